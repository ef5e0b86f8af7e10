"""The ways to learn a task, and what each answers for the test proteins.

`LEARNERS` names them. A kind of task (`plmbook.tasks.kinds`) says which function stands behind a name: each takes the
data of a task and a seed, and gives an answer for each test protein, in their order: an int64 array (L,) of classes;
the code of a class; a number; float scores (L, L) of pairs; for CATH the code of the nearest lookup domain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from plmbook.core.errors import InputError
from plmbook.core.kmers import kmer_counts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.structures import Structure, contact_map
from plmbook.probing import contacts, neighbours, probes
from plmbook.tasks.base import IGNORED, TaskData


@dataclass(frozen=True)
class Learner:
    """A way to a prediction."""

    name: str
    baseline: bool  # whether it sees no model
    seeded: bool  # whether its answer depends on a seed
    meaning: str


LEARNERS = {
    each.name: each
    for each in (
        Learner("frequency", True, False, "the commonest class of the training examples"),
        Learner("mutations", True, False, "the fewer mutations, the brighter"),
        Learner("composition", True, False, "linear, on the shares of the amino acids; CATH: the nearest by them"),
        Learner("window", True, False, "linear, on the amino acids at the 15 places around a residue"),
        Learner("one-hot", True, False, "linear, on which residue stands where (contacts: on the two amino acids)"),
        Learner("neighbour", True, False, "what the most similar training proteins, variants or windows have"),
        Learner("separation", True, False, "how often residues as far apart touch in the training structures"),
        Learner("linear", False, False, "linear, on the embedding (of a residue, or the mean of a protein)"),
        Learner("mlp", False, True, "one hidden layer on the same"),
        Learner("convbert", False, True, "Ankh's head: one layer of ConvBERT on the embeddings of all residues"),
        Learner("attention", False, False, "logistic regression on the attention maps (see Contacts)"),
        Learner("embedding", False, False, "the nearest neighbour by the mean embedding, nothing trained"),
    )
}


# --- heads ---------------------------------------------------------------------------------------------


def mlp(data: TaskData, seed: int) -> list:
    """One hidden layer on the embeddings of residues, or on the mean of a protein."""
    task, examples = data.task, data.examples
    options = {"outputs": task.n_outputs(examples), "bias": task.bias(examples)}
    options |= {"hidden_dim": data.settings.hidden, "by_residue": not task.pooling}
    return _trained(data, seed, lambda heads, d: heads.Probe(task.head_kind, d, **options), data.settings.probe)


def convbert(data: TaskData, seed: int) -> list:
    """Ankh's head of the task."""
    return _trained(data, seed, lambda heads, d: data.task.ankh_head(heads, d, data))


def pair_probe(data: TaskData, seed: int) -> list:
    """A linear map of the products of two embeddings."""
    return _trained(data, seed, lambda heads, d: heads.Probe("contacts", d, 2))


def _trained(data: TaskData, seed: int, make: Callable, options: dict | None = None) -> list:
    """Answers of a head that `make` builds from the module of heads and the width of the embeddings."""
    from plmbook.tasks import heads

    task, examples, states = data.task, data.examples, data.states

    def labelled(split: str) -> list[tuple[np.ndarray, object]]:
        return [(states[n], task.head_label(examples.labels[n])) for n in examples.of(split)]

    def score(logits: list[np.ndarray], labels: list) -> float:
        return task.score([task.answer(each) for each in logits], examples.labels_of("validation"), examples)

    fitted = heads.fit(
        lambda: make(heads, states[0].shape[1]),
        labelled("train"),
        labelled("validation"),
        score,
        seed=seed,
        device=getattr(data.model, "device", "cpu"),
        **(options or task.fit_options(data.settings)),
    )
    return [task.answer(each) for each in heads.predict(fitted.head, [states[n] for n in examples.of("test")])]


# --- of residues ---------------------------------------------------------------------------------------


def commonest_of_residues(data: TaskData, seed: int) -> list:
    """The commonest class of the training residues."""
    every = np.concatenate(data.examples.labels_of("train"))
    winner = np.bincount(every[every != IGNORED]).argmax()
    return [np.full(len(label), winner) for label in data.examples.labels_of("test")]


def windows(data: TaskData) -> list:
    """The 15 residues around each: sparse (L, 315)."""
    from scipy import sparse

    return [sparse.csr_matrix(probes.window_one_hot(each)) for each in data.sequences]


def states(data: TaskData) -> list:
    return data.states


def logistic_of_residues(data: TaskData, seed: int, features: Callable) -> list:
    """Multinomial logistic regression on features (L, d) of each protein, dense or sparse."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    found = features(data)
    x, y = _counted_residues(data, found)
    x = sparse.vstack(x).tocsr() if sparse.issparse(x[0]) else np.concatenate(x)
    fitted = LogisticRegression(C=data.settings.residue_strength, max_iter=500, tol=1e-3).fit(x, np.concatenate(y))
    return [fitted.predict(found[n]) for n in data.examples.of("test")]


def nearest_windows(data: TaskData, seed: int) -> list:
    """The commonest class of the training windows with most residues in common; of equal windows the first ones."""
    most, nearest_ones = data.settings.windows
    codes = [_window_codes(each, probes.WIDTH // 2) for each in data.sequences]
    x, y = map(np.concatenate, _counted_residues(data, codes, most))
    one_hot, order = _one_hot_windows(x), np.arange(len(x))
    k, classes, answers = min(nearest_ones, len(x)), np.arange(int(y.max()) + 1), []
    for n in data.examples.of("test"):
        shared = (_one_hot_windows(codes[n]) @ one_hot.T).astype(np.int64)  # (L, training windows): residues in common
        nearest = np.argpartition(order - shared * len(x), k - 1, axis=1)[:, :k]  # distinct keys: the same k anywhere
        answers.append((y[nearest][:, :, None] == classes).sum(axis=1).argmax(axis=1))
    return answers


def _counted_residues(data: TaskData, features: list, most: float = np.inf) -> tuple[list, list]:
    """Features and classes of the training residues that count, protein by protein, of about `most` residues."""
    x, y, total = [], [], 0
    for n, label in zip(data.examples.of("train"), data.examples.labels_of("train"), strict=True):
        counted = label != IGNORED
        x.append(features[n][counted])
        y.append(label[counted])
        total += counted.sum()
        if total >= most:
            break
    return x, y


def _window_codes(sequence: str, half: int) -> np.ndarray:
    """uint8 (L, 15): the residues around each, 20 for none or another letter."""
    inner = np.array([AMINO_ACIDS.find(letter) % 21 for letter in sequence], dtype=np.uint8)  # -1 becomes 20
    padded = np.concatenate([np.full(half, 20, np.uint8), inner, np.full(half, 20, np.uint8)])
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)


def _one_hot_windows(codes: np.ndarray) -> np.ndarray:
    """float32 (n, 15 * 21)."""
    return (codes[:, :, None] == np.arange(21)).reshape(len(codes), -1).astype(np.float32)


# --- of proteins: a class or a number ------------------------------------------------------------------


def commonest_class(data: TaskData, seed: int) -> list:
    """The commonest class of the training proteins."""
    return [int(np.bincount(data.examples.labels_of("train")).argmax())] * len(data.examples.of("test"))


def fewest_mutations(data: TaskData, seed: int) -> list:
    """Minus the number of mutations."""
    return list(-data.examples.table["n_mutations"].to_numpy(dtype=float)[data.examples.of("test")])


def composition(data: TaskData) -> np.ndarray:
    return neighbours.composition(data.sequences)


def means(data: TaskData) -> np.ndarray:
    return data.means


def one_hot(data: TaskData) -> np.ndarray:
    """Which residue stands where, float32 (n, 20 L)."""
    if data.sequences.str.len().nunique() != 1:
        raise InputError("learner 'one-hot' needs proteins of one length: variants of one protein")
    return np.stack([probes.one_hot(each).ravel() for each in data.sequences])


def nearest_variants(data: TaskData, seed: int) -> list:
    """The mean of the training variants with the fewest residues between; all of one length."""
    sequences = np.array([np.frombuffer(each.encode(), np.uint8) for each in data.sequences])
    train, values = sequences[data.examples.of("train")], np.array(data.examples.labels_of("train"))
    answers = []
    for sequence in sequences[data.examples.of("test")]:
        nearest = np.argsort((train != sequence).sum(axis=1), kind="stable")[: data.settings.neighbours]
        answers.append(float(values[nearest].mean()))
    return answers


def ridge(data: TaskData, seed: int, features: Callable) -> list:
    """Ridge regression on features (n, d)."""
    from sklearn.linear_model import Ridge

    def loss(fitted, x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean((fitted.predict(x) - y) ** 2))

    return _least_loss(data, features(data), lambda strength: Ridge(alpha=1 / strength), loss)


def logistic(data: TaskData, seed: int, features: Callable) -> list:
    """Logistic regression on features (n, d)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    def loss(fitted, x: np.ndarray, y: np.ndarray) -> float:
        known = np.isin(y, fitted.classes_)  # a class that training lacks cannot be learnt
        return log_loss(y[known], fitted.predict_proba(x[known]), labels=fitted.classes_)

    return _least_loss(
        data, features(data), lambda strength: LogisticRegression(C=strength, max_iter=2000, tol=1e-4), loss
    )


def _least_loss(data: TaskData, features: np.ndarray, make: Callable, loss: Callable) -> list:
    """Answers from standardised features (n, d), by the penalty with the least loss on validation."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    of = data.examples.of
    y, held = (np.array(data.examples.labels_of(split)) for split in ("train", "validation"))
    found = []
    for strength in data.settings.strengths:
        fitted = make_pipeline(StandardScaler(), make(strength)).fit(features[of("train")], y)
        found.append((round(loss(fitted, features[of("validation")], held), 9), strength, fitted))
    best = min(found, key=lambda each: each[:2])[2]  # of equal ones the stronger penalty
    return best.predict(features[of("test")]).tolist()


# --- the nearest protein: its class, or CATH's code ----------------------------------------------------


def most_similar(data: TaskData, seed: int) -> list:
    """The label of the training protein with the most alike counts of 3-mers."""
    nearest = np.round(kmer_cosines(data.examples), neighbours.DECIMALS).argmax(axis=1)
    return _labels_at(data, nearest)


def kmer_cosines(examples) -> np.ndarray:
    """Cosines of the counts of 3-mers, test by training proteins, float64 (n, m)."""
    counts = kmer_counts(examples.table["sequence"].tolist(), 3)
    norms = np.sqrt(counts.multiply(counts).sum(axis=1)).ravel()
    scaled = counts.multiply(1 / np.maximum(norms, 1e-12)[:, None]).tocsr()
    return (scaled[examples.of("test")] @ scaled[examples.of("train")].T).toarray()


def nearest(data: TaskData, seed: int, features: Callable) -> list:
    """The label of the training protein with the largest cosine of features (n, d), after their mean is taken off."""
    vectors = features(data)
    places, _ = neighbours.nearest(vectors[data.examples.of("test")], vectors[data.examples.of("train")])
    return _labels_at(data, places[:, 0])


def _labels_at(data: TaskData, places: Sequence[int]) -> list:
    labels = data.examples.labels_of("train")
    return [labels[place] for place in places]


# --- of pairs ------------------------------------------------------------------------------------------


def separation(data: TaskData, seed: int) -> list:
    """How often residues as far apart touch in the training structures."""
    rates = contacts.separation_rates(data.examples.labels_of("train"))
    return [rates[np.minimum(_separations(len(each)), len(rates) - 1)] for each in data.examples.sequences_of("test")]


def logistic_of_pairs(data: TaskData, seed: int) -> list:
    """Logistic regression of contact on the two amino acids of a pair and on how often pairs so far apart touch."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    training = data.examples.labels_of("train")
    rates = np.log(np.maximum(contacts.separation_rates(training), 1e-6))

    def features(sequence: str, i: np.ndarray, j: np.ndarray) -> sparse.csr_array:
        codes = np.array([AMINO_ACIDS.find(letter) for letter in sequence])  # -1: none of the 20
        low, high = np.minimum(codes[i], codes[j]), np.maximum(codes[i], codes[j])
        column = np.where(low < 0, 400, 20 * low + high)
        of_type = sparse.csr_array((np.ones(len(i)), (np.arange(len(i)), column)), shape=(len(i), 401))
        rate = rates[np.minimum(np.abs(j - i), len(rates) - 1)]
        return sparse.csr_array(sparse.hstack([of_type, sparse.csr_array(rate[:, None])]))

    tables, labels = [], []
    for structure in training:
        touching = pair_labels(structure)
        i, j = np.nonzero(np.triu(touching >= 0, k=1))
        y = touching[i, j] == 1
        chosen = contacts.draw_pairs(y, contacts.NON_CONTACTS, name=structure.id, seed=0)
        tables.append(features(structure.sequence, i[chosen], j[chosen]))
        labels.append(y[chosen])
    fitted = LogisticRegression(C=probes.STRENGTH, max_iter=500).fit(sparse.vstack(tables), np.concatenate(labels))
    answers = []
    for sequence in data.examples.sequences_of("test"):
        i, j = np.triu_indices(len(sequence), k=1)
        found = np.zeros((len(sequence), len(sequence)))
        found[i, j] = found[j, i] = fitted.decision_function(features(sequence, i, j))
        answers.append(found)
    return answers


def attention(data: TaskData, seed: int) -> list:
    """Contacts from attention maps, by a regression on the training structures."""
    learnt = sorted(data.examples.labels_of("train"), key=lambda each: each.id)[: contacts.N_TRAIN]
    regression = contacts.fit(data.model, learnt, seed=seed)
    attentions = (data.model.attentions(each) for each in data.examples.sequences_of("test"))
    return [contacts.predict(regression, each) for each in attentions]


def pair_labels(structure: Structure) -> np.ndarray:
    """int64 (L, L): 1 contact, 0 none, -1 where a pair does not count (too near, or not resolved)."""
    counted = structure.counted & np.isfinite(structure.cb).all(axis=1)
    places = np.nan_to_num(structure.cb.astype(np.float64))
    labels = contact_map(places).astype(np.int64)
    labels[~(counted[:, None] & counted[None, :]) | (_separations(len(counted)) < contacts.NEAREST)] = -1
    return labels


def _separations(length: int) -> np.ndarray:
    """|i - j| of all pairs, int64 (L, L)."""
    places = np.arange(length)
    return np.abs(places[:, None] - places[None, :])
