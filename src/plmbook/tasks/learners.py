"""How each learner of `plmbook.tasks` comes to its answers.

Every function takes the material of a task (examples, and the embeddings of a model) and a seed, and gives an answer
for each test protein, in their order: an int64 array (L,) of classes; the code of a class; a number; float scores
(L, L) of pairs; for CATH the place of the nearest lookup domain among the training rows.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from plmbook import tasks
from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.structures import contact_map
from plmbook.probing import contacts, neighbours, probes
from plmbook.tasks import Material

RESIDUE_STRENGTH = 1.0  # inverse of the L2 penalty of linear learners of residues, of which there are many
NEIGHBOURS = 5  # variants whose mean the nearest ones give, for a number
FIT = {"epochs": 8, "patience": 3, "batch": 16, "rate": 1e-3}  # of the heads; Ankh's example: 5 epochs, 16, 1e-3
PAIR_FIT = {"epochs": 40, "patience": 8, "batch": 4, "rate": 1e-3}  # of few structures: all pairs are in memory
PROBE = {"epochs": 40, "patience": 6, "batch": 16, "rate": 3e-3}  # of the MLP: an epoch costs little


# --- without a model -----------------------------------------------------------------------------------


def frequency(material: Material, seed: int) -> list:
    """The commonest class of the training residues or proteins."""
    labels = _labels(material, "train")
    if material.task.kind == "residue":
        every = np.concatenate(labels)
        winner = np.bincount(every[every != tasks.IGNORED]).argmax()
        return [np.full(len(label), winner) for label in _labels(material, "test")]
    return [int(np.bincount(labels).argmax())] * len(material.examples.of("test"))


def mutations(material: Material, seed: int) -> list:
    """Minus the number of mutations."""
    return list(-material.examples.table["n_mutations"].to_numpy(dtype=float)[material.examples.of("test")])


def composition(material: Material, seed: int) -> list:
    """Shares of the amino acids: a linear learner on them, or their nearest neighbour."""
    shares = neighbours.composition(material.examples.table["sequence"])
    return _nearest(material, shares) if material.task.kind == "lookup" else _linear_of_proteins(material, shares)


def window(material: Material, seed: int) -> list:
    """A linear learner on the 15 residues around each."""
    from scipy import sparse

    windows = [sparse.csr_matrix(probes.window_one_hot(each)) for each in material.examples.table["sequence"]]
    return _linear_of_residues(material, windows)


def one_hot(material: Material, seed: int) -> list:
    """A linear learner on which residue stands where; of pairs on their two amino acids and their separation."""
    if material.task.kind == "pair":
        return _residue_pairs(material)
    sequences = material.examples.table["sequence"]
    if sequences.str.len().nunique() != 1:
        raise tasks.InputError("learner 'one-hot' needs proteins of one length: variants of one protein")
    return _linear_of_proteins(material, np.stack([probes.one_hot(each).ravel() for each in sequences]))


def neighbour(material: Material, seed: int) -> list:
    """The label of the nearest training window, protein or variant, as far as residues tell."""
    kind, sequences = material.task.kind, material.examples.table["sequence"]
    if kind == "residue":
        return _nearest_windows(material)
    if kind == "number":
        return _nearest_variants(material)
    from plmbook.function.proteome_map import kmer_counts

    found = _most_similar(kmer_counts(sequences.tolist()), material)
    if kind == "lookup":
        return list(found)
    return [_labels(material, "train")[place] for place in found]


def separation(material: Material, seed: int) -> list:
    """How often residues as far apart touch in the training structures."""
    rates = contacts.separation_rates(_labels(material, "train"))
    return [rates[np.minimum(_apart(len(each)), len(rates) - 1)] for each in _sequences(material, "test")]


# --- with a model --------------------------------------------------------------------------------------


def linear(material: Material, seed: int) -> list:
    """A linear learner on the embeddings of residues, or on the mean of a protein."""
    if material.task.kind == "residue":
        return _linear_of_residues(material, material.states)
    if material.task.kind == "pair":
        return _trained(material, seed, lambda heads, d: heads.Probe("contacts", d, 2))
    return _linear_of_proteins(material, material.means)


def mlp(material: Material, seed: int) -> list:
    """One hidden layer on the same."""
    kind, outputs = _head_kind(material), max(1, len(material.examples.classes))
    options = {"hidden_dim": tasks.HIDDEN, "by_residue": material.task.kind == "residue"}
    if kind in ("binary", "number"):
        outputs = 1
    bias = float(np.mean(_labels(material, "train"))) if kind == "number" else 0.0
    return _trained(material, seed, lambda heads, d: heads.Probe(kind, d, outputs, bias=bias, **options), **PROBE)


def convbert(material: Material, seed: int) -> list:
    """Ankh's head of the task."""
    return _trained(material, seed, partial(ankh_head, material))


def attention(material: Material, seed: int) -> list:
    """Contacts from attention maps, by a regression on the training structures."""
    learnt = sorted(_labels(material, "train"), key=lambda each: each.id)[: contacts.N_TRAIN]
    regression = contacts.fit(material.model, learnt, seed=seed)
    attentions = (material.model.attentions(each) for each in _sequences(material, "test"))
    return [contacts.predict(regression, each) for each in attentions]


def embedding(material: Material, seed: int) -> list:
    """The nearest lookup domain by the mean embedding."""
    return _nearest(material, material.means)


ANSWER: dict[str, Callable[[Material, int], list]] = {
    "frequency": frequency,
    "mutations": mutations,
    "composition": composition,
    "window": window,
    "one-hot": one_hot,
    "neighbour": neighbour,
    "separation": separation,
    "linear": linear,
    "mlp": mlp,
    "convbert": convbert,
    "attention": attention,
    "embedding": embedding,
}


# --- networks ------------------------------------------------------------------------------------------


def ankh_head(material: Material, heads, d: int):
    """The head of a task with Ankh's parameters for embeddings d wide; `heads` is the module."""
    of, k = material.task, len(material.examples.classes)
    options = tasks.HEAD | {"input_dim": d, "hidden_dim": d // 2, "dropout": of.dropout}
    if of.kind in ("residue", "class"):
        return getattr(heads, of.head)(num_tokens=k, pooling=of.pooling or None, **options)
    if of.kind == "pair":
        return getattr(heads, of.head)(**options)
    if of.kind == "number":
        options["training_labels_mean"] = float(np.mean(_labels(material, "train")))
    return getattr(heads, of.head)(pooling=of.pooling, **options)


def fit_head(material: Material, seed: int, make: Callable, **options):
    """Train a head on the material; `plmbook.tasks.heads.Fitted`.

    Parameters
    ----------
    material : Material
    seed : int
    make : callable
        From the module `plmbook.tasks.heads` and the width of the embeddings to a head.
    **options
        Of `heads.fit`.
    """
    from plmbook.tasks import heads

    states, kind = material.states, material.task.kind
    parts = []
    for split in ("train", "validation"):
        rows = material.examples.of(split)
        labels = _labels(material, split)
        if kind == "pair":
            labels = [_touching(each) for each in labels]
        parts.append([(states[n], label) for n, label in zip(rows, labels, strict=True)])
    if kind == "pair":
        structures = _labels(material, "validation")

        def score(logits, labels):
            found = [tasks.long_range_precision(s, _pair_scores(x)) for s, x in zip(structures, logits, strict=True)]
            return float(np.mean(found))

        options = PAIR_FIT | options
    else:
        score = partial(_score, kind)
    width, device = states[0].shape[1], getattr(material.model, "device", "cpu")
    return heads.fit(lambda: make(heads, width), *parts, score, seed=seed, device=device, **(FIT | options))


def _trained(material: Material, seed: int, make: Callable, **options) -> list:
    from plmbook.tasks import heads

    fitted = fit_head(material, seed, make, **options)
    logits = heads.predict(fitted.head, [material.states[n] for n in material.examples.of("test")])
    return [_answer(material.task.kind, each) for each in logits]


def _answer(kind: str, logits: np.ndarray):
    """What a head's logits of one protein say."""
    if kind == "pair":
        return _pair_scores(logits)
    if kind == "number":
        return float(logits[0])
    if kind == "binary":
        return int(logits[0] > 0)
    found = logits.argmax(axis=-1)
    return found if kind == "residue" else int(found)


def _score(kind: str, logits: list[np.ndarray], labels: list) -> float:
    """The measure of a task on validation proteins."""
    answers = [_answer(kind, each) for each in logits]
    if kind == "number":
        return tasks.spearman(np.array(answers), np.array(labels))
    if kind == "residue":
        answers, labels = np.concatenate(answers), np.concatenate(labels)
        return float(np.mean((answers == labels)[labels != tasks.IGNORED]))
    return float(np.mean(np.array(answers) == np.array(labels)))


def _head_kind(material: Material) -> str:
    """The key of `heads.KINDS`."""
    return {"residue": "classes", "class": "classes", "pair": "contacts"}.get(material.task.kind, material.task.kind)


def _pair_scores(logits: np.ndarray) -> np.ndarray:
    """(L, L): the logit of contact less that of none."""
    return (logits[..., 1] - logits[..., 0]).astype(np.float64)


def _touching(structure: contacts.Structure) -> np.ndarray:
    """Labels of pairs, int64 (L, L): 1 contact, 0 none, -1 where a pair does not count (too near, or not resolved)."""
    counted = structure.counted & np.isfinite(structure.cb).all(axis=1)
    places = np.nan_to_num(structure.cb.astype(np.float64))
    labels = contact_map(places).astype(np.int64)
    labels[~(counted[:, None] & counted[None, :]) | (_apart(len(counted)) < contacts.NEAREST)] = -1
    return labels


# --- linear learners -----------------------------------------------------------------------------------


def _linear_of_proteins(material: Material, features: np.ndarray) -> list:
    """Ridge or logistic regression on standardised features (n, d); the loss on validation chooses the penalty."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind, of = material.task.kind, material.examples.of
    y = {split: np.array(_labels(material, split)) for split in ("train", "validation")}
    known = np.isin(y["validation"], y["train"]) | (kind == "number")  # a class that training lacks cannot be learnt
    held, truth = features[of("validation")][known], y["validation"][known]
    found = []
    for strength in tasks.STRENGTHS:
        logistic = LogisticRegression(C=strength, max_iter=2000, tol=1e-4)
        model = Ridge(alpha=1 / strength) if kind == "number" else logistic
        fitted = make_pipeline(StandardScaler(), model).fit(features[of("train")], y["train"])
        if kind == "number":
            loss = float(np.mean((fitted.predict(held) - truth) ** 2))
        else:
            loss = log_loss(truth, fitted.predict_proba(held), labels=fitted.classes_)
        found.append((round(loss, 9), strength, fitted))
    best = min(found, key=lambda each: each[:2])[2]  # of equal ones the stronger penalty
    return best.predict(features[of("test")]).tolist()


def _linear_of_residues(material: Material, features: list) -> list:
    """Multinomial logistic regression on the features (L, d), dense or sparse, of all training residues."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    x, y = _counted_residues(material, features, None)
    x = sparse.vstack(x).tocsr() if sparse.issparse(x[0]) else np.concatenate(x)
    fitted = LogisticRegression(C=RESIDUE_STRENGTH, max_iter=500, tol=1e-3).fit(x, np.concatenate(y))
    return [fitted.predict(features[n]) for n in material.examples.of("test")]


def _counted_residues(material: Material, features: list, most: int | None) -> tuple[list, list]:
    """Features and classes of the training residues that count, protein by protein, of about `most` residues (all)."""
    x, y, total = [], [], 0
    for n, label in zip(material.examples.of("train"), _labels(material, "train"), strict=True):
        counted = label != tasks.IGNORED
        x.append(features[n][counted])
        y.append(label[counted])
        total += counted.sum()
        if most is not None and total >= most:
            break
    return x, y


def _residue_pairs(material: Material) -> list:
    """Logistic regression of contact on the two amino acids of a pair and on how often pairs so far apart touch."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    rates = np.log(np.maximum(contacts.separation_rates(_labels(material, "train")), 1e-6))

    def features(sequence: str, i: np.ndarray, j: np.ndarray) -> sparse.csr_array:
        codes = np.array([AMINO_ACIDS.find(letter) for letter in sequence])  # -1: none of the 20
        low, high = np.minimum(codes[i], codes[j]), np.maximum(codes[i], codes[j])
        column = np.where(low < 0, 400, 20 * low + high)
        of_type = sparse.csr_array((np.ones(len(i)), (np.arange(len(i)), column)), shape=(len(i), 401))
        apart = rates[np.minimum(np.abs(j - i), len(rates) - 1)]
        return sparse.csr_array(sparse.hstack([of_type, sparse.csr_array(apart[:, None])]))

    tables, labels = [], []
    for structure in _labels(material, "train"):
        touching = _touching(structure)
        i, j = np.nonzero(np.triu(touching >= 0, k=1))
        y = touching[i, j] == 1
        chosen = contacts.draw_pairs(y, contacts.NON_CONTACTS, name=structure.id, seed=0)
        tables.append(features(structure.sequence, i[chosen], j[chosen]))
        labels.append(y[chosen])
    fitted = LogisticRegression(C=probes.STRENGTH, max_iter=500).fit(sparse.vstack(tables), np.concatenate(labels))
    answers = []
    for sequence in _sequences(material, "test"):
        i, j = np.triu_indices(len(sequence), k=1)
        found = np.zeros((len(sequence), len(sequence)))
        found[i, j] = found[j, i] = fitted.decision_function(features(sequence, i, j))
        answers.append(found)
    return answers


# --- nearest neighbours --------------------------------------------------------------------------------


def _nearest(material: Material, vectors: np.ndarray) -> list:
    """The place among the training rows of the nearest by centred cosine."""
    places, _ = neighbours.nearest(vectors[material.examples.of("test")], vectors[material.examples.of("train")])
    return places[:, 0].tolist()


def _most_similar(counts, material: Material) -> np.ndarray:
    """As `_nearest`, by the cosine of sparse counts (n, d), not centred."""
    norms = np.sqrt(counts.multiply(counts).sum(axis=1)).ravel()
    scaled = counts.multiply(1 / np.maximum(norms, 1e-12)[:, None]).tocsr()
    cosines = (scaled[material.examples.of("test")] @ scaled[material.examples.of("train")].T).toarray()
    return np.round(cosines, neighbours.DECIMALS).argmax(axis=1)


def _nearest_variants(material: Material) -> list:
    """The mean of the variants with the fewest residues between; all of one length."""
    sequences = np.array([np.frombuffer(each.encode(), np.uint8) for each in material.examples.table["sequence"]])
    train, values = sequences[material.examples.of("train")], np.array(_labels(material, "train"))
    answers = []
    for sequence in sequences[material.examples.of("test")]:
        nearest = np.argsort((train != sequence).sum(axis=1), kind="stable")[:NEIGHBOURS]
        answers.append(float(values[nearest].mean()))
    return answers


def _nearest_windows(material: Material) -> list:
    """The commonest class of the training windows with most residues in common; of equal windows the first ones."""
    half = probes.WIDTH // 2
    codes = [_window_codes(each, half) for each in material.examples.table["sequence"]]
    x, y = map(np.concatenate, _counted_residues(material, codes, tasks.WINDOWS))
    one_hot, order = _one_hot_windows(x), np.arange(len(x))
    k, classes, answers = min(tasks.NEAREST_WINDOWS, len(x)), np.arange(int(y.max()) + 1), []
    for n in material.examples.of("test"):
        shared = (_one_hot_windows(codes[n]) @ one_hot.T).astype(np.int64)  # (L, training windows): residues in common
        nearest = np.argpartition(order - shared * len(x), k - 1, axis=1)[:, :k]  # distinct keys: the same k anywhere
        answers.append((y[nearest][:, :, None] == classes).sum(axis=1).argmax(axis=1))
    return answers


def _window_codes(sequence: str, half: int) -> np.ndarray:
    """uint8 (L, 15): the residues around each, 20 for none or another letter."""
    inner = np.array([AMINO_ACIDS.find(letter) % 21 for letter in sequence], dtype=np.uint8)  # -1 becomes 20
    padded = np.concatenate([np.full(half, 20, np.uint8), inner, np.full(half, 20, np.uint8)])
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)


def _one_hot_windows(codes: np.ndarray) -> np.ndarray:
    """float32 (n, 15 * 21)."""
    return (codes[:, :, None] == np.arange(21)).reshape(len(codes), -1).astype(np.float32)


# --- pieces --------------------------------------------------------------------------------------------


def _labels(material: Material, split: str) -> list:
    return [material.examples.labels[n] for n in material.examples.of(split)]


def _sequences(material: Material, split: str) -> list[str]:
    return material.examples.table["sequence"].iloc[material.examples.of(split)].tolist()


def _apart(length: int) -> np.ndarray:
    """|i - j| of all pairs, int64 (L, L)."""
    places = np.arange(length)
    return np.abs(places[:, None] - places[None, :])
