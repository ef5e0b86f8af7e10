"""What can be learnt from which layer: vectors of every layer in one forward pass, compared by one plain learner.

The learner is logistic regression on standardised features. Proteins and the penalties on offer are the same for all
features; the validation part takes one of the penalties for each feature and term. What is compared are proteins of the
test part of one split, and every difference is paired.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.engine import encode
from plmbook.function import classifier, learners, measures, proteomes, splits

POOLS = ("mean", "max", "bos")
STRENGTHS = (0.01, 0.1)  # inverse L2 penalties (scikit-learn's C)
KEPT_BITS = 12  # of the mantissa of a weight: the answers differ by less than they are rounded
SCALE = 1000  # steps of a nat, of log-odds in tables


class Question(NamedTuple):
    """Proteins, what is to be learnt of them, and from which.

    Attributes
    ----------
    proteins : DataFrame
        Rows of the bundled table `go_proteins`, or of one like it.
    labels : DataFrame of bool (n, k)
        The twenty commonest terms.
    split : Series of str (n,)
        "train", "validation", "test"; no test protein has a relative in another part.
    """

    proteins: pd.DataFrame
    labels: pd.DataFrame
    split: pd.Series

    @property
    def tested(self) -> np.ndarray:
        """bool (n,)"""
        return (self.split == "test").to_numpy()


def question(
    column: str,
    *,
    longest: int,
    n_residues: int,
    fractions: Sequence[float],
    seed: int,
    known: proteomes.Known | None = None,
) -> Question:
    """A sample of whole clusters of the bundled proteins, or of others, split by homology.

    Parameters
    ----------
    column : str
        Collection of annotations: a value of the column `column` of `go_annotations`.
    longest : int
        Residues of a protein at most.
    n_residues, seed
        As in `whole_clusters`.
    fractions : three floats
        Of training, validation and test.
    known : Known, optional
        Proteins, instead of the bundled ones; `column` does not count then.
    """
    known = proteomes.load(column) if known is None else known
    everything, pairs, terms = known.proteins, known.annotations, known.terms
    proteins = whole_clusters(everything[everything["length"] <= longest], n_residues, seed=seed)
    labels = classifier.label_table(pairs, proteins["id"], terms.loc[terms["top20"], "go_id"])
    return Question(proteins, labels, splits.cluster_split(proteins, labels=labels, fractions=fractions, seed=seed))


def features_of(pooled: Mapping[str, np.ndarray], *, last: int) -> dict[str, list[str]]:
    """The features that are compared: each one vector of a protein, and the last means one after another.

    Parameters
    ----------
    pooled : mapping of str to array (n_layers + 1, ...)
        As `pooled_layers` gives it.
    last : int
        Layers that are put one after another.

    Returns
    -------
    dict of str to list of str
        Name -> vectors, such as "max 3".

    Examples
    --------
    >>> features_of({"mean": np.zeros((2, 5, 3))}, last=2)
    {'mean 0': ['mean 0'], 'mean 1': ['mean 1'], 'mean, last 2': ['mean 0', 'mean 1']}
    """
    n_layers = len(pooled["mean"])
    alone = {f"{pool} {layer}": [f"{pool} {layer}"] for layer in range(n_layers) for pool in pooled}
    return alone | {f"mean, last {last}": [f"mean {layer}" for layer in range(n_layers)][-last:]}


def vector_of(pooled: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """One vector of each protein, float32 (n, d), by its name, such as "max 3"."""
    pool, layer = name.split()
    return pooled[pool][int(layer)]


def regressions(
    pooled: Mapping[str, np.ndarray],
    asked: Question,
    *,
    last: int,
    dims: Sequence[int] = (),
    strengths: Sequence[float] = STRENGTHS,
    features: Sequence[str] | None = None,
    terms: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Logistic regressions from every layer and pool, as what they do to the vectors.

    Parameters
    ----------
    pooled : mapping of str to float32 array (n_layers + 1, n, d)
        As `pooled_layers` gives it.
    asked : Question
    last : int
        As in `features_of`.
    dims : sequence of int
        Numbers of principal components of the mean of the last layer, from which is learnt as well: "components 8".
    strengths : sequence of float
        Inverse L2 penalties; the validation part chooses.
    features, terms : sequence of str, optional
        Default: all.
    seed : int

    Returns
    -------
    DataFrame
        A row a feature, vector of it and term: feature, vector, term (str), threshold (float64: log-odds in
        thousandths), offset (float64), w0000, w0001, ... (float32, of `KEPT_BITS`). The log-odds of a protein are
        the sum over the vectors of offset + weights . vector.
    """
    from scipy.special import logit

    asked_terms = list(asked.labels) if terms is None else list(terms)
    labels = asked.labels[asked_terms]
    top = f"mean {len(pooled['mean']) - 1}"
    maps = principal_maps(vector_of(pooled, top), asked.split, dims) if len(dims) else {}
    parts = features_of(pooled, last=last) | {f"components {k}": [top] for k in maps}
    tables_of = []
    for name in parts if features is None else features:
        values = np.concatenate([vector_of(pooled, vector) for vector in parts[name]], axis=1)
        center, turn = values[(asked.split == "train").to_numpy()].mean(axis=0, dtype=np.float64), None
        if name.startswith("components"):
            turn, offset = maps[int(name.split()[1])]
            values = values @ turn + offset
        made = classifier.fit("logistic", values, labels, asked.split, seed=seed, strengths=tuple(strengths))
        if len(made.excluded):
            raise InputError(f"{name}: {made.excluded['term'].iloc[0]}: {made.excluded['reason'].iloc[0]}")
        weights, offset_of_term = learners.linear(made.fitted)
        if turn is not None:
            weights, offset_of_term = weights @ turn.T, offset_of_term + weights @ offset
        kept = _shortened(weights)
        offset_of_term = offset_of_term + (weights - kept) @ center  # right in the middle of the proteins
        width = values.shape[1] // len(parts[name])
        for number, vector in enumerate(parts[name]):
            own = kept[:, number * width : (number + 1) * width].astype(np.float32)
            table = pd.DataFrame(own, columns=[f"w{column:04d}" for column in range(width)])
            ids = {"feature": name, "vector": vector, "term": asked_terms}
            ids |= {"threshold": np.rint(SCALE * logit(made.thresholds)), "offset": offset_of_term * (number == 0)}
            tables_of.append(pd.concat([pd.DataFrame(ids), table], axis=1))
    return pd.concat(tables_of, ignore_index=True)


def answers(table: pd.DataFrame, pooled: Mapping[str, np.ndarray], ids: Sequence[str]) -> pd.DataFrame:
    """What regressions say of proteins.

    Parameters
    ----------
    table : DataFrame
        As `regressions` gives it.
    pooled : mapping of str to float32 array (n_layers + 1, n, d)
        Of these proteins.
    ids : sequence of n str

    Returns
    -------
    DataFrame
        feature, id (str), and one a term: the log-odds in thousandths (int32).
    """
    parts = []
    for name, rows in table.groupby("feature", sort=False):
        log_odds = 0.0
        for vector, part in rows.groupby("vector", sort=False):
            weights = part.filter(regex=r"^w\d+$").to_numpy(dtype=np.float64)
            values = vector_of(pooled, vector).astype(np.float64)
            log_odds = log_odds + values @ weights.T + part["offset"].to_numpy()
        found = pd.DataFrame(np.rint(SCALE * log_odds).astype("int32"), columns=part["term"].tolist())
        parts.append(pd.concat([pd.DataFrame({"feature": name, "id": list(ids)}), found], axis=1))
    return pd.concat(parts, ignore_index=True)


def _shortened(values: np.ndarray, bits: int = KEPT_BITS) -> np.ndarray:
    """Numbers with a short mantissa, which a file holds in fewer bytes."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**bits) / 2**bits, exponent)


def pooled_layers(
    model, sequences: Sequence[str], *, pools: Sequence[str] = POOLS, progress: bool = False
) -> dict[str, np.ndarray]:
    """Vectors of each protein from every layer and by several ways of pooling; each protein is read once.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    sequences : sequence of n str
        None longer than the model reads at once.
    pools : sequence of {"mean", "max", "bos"}
        See `plmbook.engine.encode.embed`.
    progress : bool
        Show a bar.

    Returns
    -------
    dict of str to float32 array (n_layers + 1, n, d)
        By pool; 0 is the input embedding, which knows no neighbours, the last is what `encode.embed` gives.

    Raises
    ------
    InputError
        If there is no sequence, one is too long, or a pool is unknown (or the model has none such).
    """
    from tqdm import tqdm

    pools = list(pools)
    if unknown := set(pools) - set(POOLS):
        raise InputError(f"pool {min(unknown)!r}: expected some of {', '.join(POOLS)}")
    lengths = [len(sequence) for sequence in sequences]
    if not lengths:
        raise InputError("no sequence to embed")
    if model.max_length is not None and max(lengths) > model.max_length:
        raise InputError(f"a sequence of {max(lengths)} residues: expected at most {model.max_length}, read at once")
    numbers = range(model.card.layers + 1)
    found = np.empty((len(numbers), len(lengths), len(pools), model.card.dim), dtype=np.float32)
    groups = encode.batches([length + 2 for length in lengths], encode.token_budget(model))  # BOS and EOS
    for group in tqdm(groups, desc=model.name, unit="batch", disable=not progress):
        outputs = model.run([sequences[n] for n in group], layers=tuple(numbers), logits=False, pool=pools)
        for n, output in zip(group, outputs, strict=True):
            for number in numbers:
                found[number, n] = output.pooled[number].reshape(len(pools), -1)
    return {pool: np.ascontiguousarray(found[:, :, k]) for k, pool in enumerate(pools)}


def whole_clusters(proteins: pd.DataFrame, n_residues: int, *, seed: int = 0) -> pd.DataFrame:
    """A random part of the proteins that keeps relatives together.

    Parameters
    ----------
    proteins : DataFrame
        cluster (str), length (residues), and anything else.
    n_residues : int
        At most so many; clusters come in a seeded order, and one that no longer fits is passed over.
    seed : int

    Returns
    -------
    DataFrame
        Rows of `proteins` in their order, fresh index. Invariant: a cluster is there whole or not at all.

    Examples
    --------
    >>> t = pd.DataFrame({"cluster": ["a", "a", "b"], "length": [40, 50, 20]})
    >>> whole_clusters(t, 100)["cluster"].tolist() in (["b"], ["a", "a"])
    True
    """
    sizes = proteins.groupby("cluster")["length"].sum().sort_index()
    kept, room = [], n_residues
    for cluster in np.random.default_rng(seed).permutation(sizes.index.to_numpy()):
        if sizes[cluster] <= room:
            kept.append(cluster)
            room -= sizes[cluster]
    return proteins[proteins["cluster"].isin(kept)].reset_index(drop=True)


def compare(
    features: Mapping[str, np.ndarray],
    labels: pd.DataFrame,
    split: pd.Series,
    *,
    reference: str,
    clusters: Sequence[str],
    strengths: Sequence[float] = STRENGTHS,
    n: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """How well the terms can be learnt from each of several features, and how far each is from one of them.

    Parameters
    ----------
    features : mapping of str to float array (n_proteins, any width)
        Row by row those of `labels`.
    labels : DataFrame of bool (n_proteins, k)
        Index: ids. Columns: GO ids.
    split : Series of str
        Index: ids. "train", "validation" (for the threshold of F1), "test".
    reference : str
        A key of `features`.
    clusters : sequence of str (n_proteins,)
        Relatives, which are resampled together.
    strengths : sequence of float
        Inverse L2 penalties; the validation part chooses, for each feature and term.
    n, seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        A row per feature: name (str), width, n_terms (int64), auprc, f1 (means over the terms), auprc_difference,
        auprc_low, auprc_high, f1_difference, f1_low, f1_high (float64): less the reference's, with the 95 % paired
        bootstrap over clusters. The reference's own differences are 0.

    Raises
    ------
    InputError
        If the reference is none of the features; as `function.fit`.

    Notes
    -----
    The interval speaks of other test proteins, not of another training set.
    """
    if reference not in features:
        raise InputError(f"reference {reference!r}: expected one of {', '.join(features)}")
    tested = (classifier.parts_of(split, labels.index) == "test").to_numpy()
    predicted = {}
    for name, values in features.items():
        learnt = classifier.fit("logistic", values, labels, split, seed=seed, strengths=tuple(strengths))
        predicted[name] = learnt.predict(np.asarray(values)[tested]), learnt.thresholds
    truth = labels.loc[tested, list(learnt.terms)]  # of labels and split alone: the same for all features
    widths = {name: np.shape(values)[1] for name, values in features.items()}
    return compare_answers(
        predicted, truth, widths, reference=reference, clusters=np.asarray(clusters)[tested], n=n, seed=seed
    )


def compare_answers(
    predicted: Mapping[str, tuple[np.ndarray, np.ndarray]],
    truth: pd.DataFrame,
    widths: Mapping[str, int],
    *,
    reference: str,
    clusters: Sequence[str],
    n: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """As `compare`, of what was answered already.

    Parameters
    ----------
    predicted : mapping of str to (probabilities, thresholds)
        By feature: float arrays (n_tested, k) and (k,).
    truth : DataFrame of bool (n_tested, k)
    widths : mapping of str to int
        Numbers of each feature.
    reference : str
        A key of `predicted`.
    clusters : sequence of str (n_tested,)
    n, seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        As `compare`.
    """
    table = pd.DataFrame({"name": list(predicted), "width": [widths[name] for name in predicted]})
    table["n_terms"] = int(truth.loc[:, (truth.any() & ~truth.all())].shape[1])
    resampling = {"clusters": np.asarray(clusters), "n": n, "seed": seed}
    for metric in ("auprc", "f1"):
        found = _distances(truth, predicted, reference, metric, resampling)
        for column in ("value", "difference", "low", "high"):
            table[metric if column == "value" else f"{metric}_{column}"] = table["name"].map(found[column])
    order = ["name", "width", "n_terms", "auprc", "f1"]
    return table[[*order, *(column for column in table if column not in order)]].astype({"name": "str"})


def _distances(truth, predicted, reference, metric, resampling) -> pd.DataFrame:
    """value, difference, low, high by name: each less the reference."""
    if len(predicted) == 1:
        predicted = predicted | {"": predicted[reference]}  # so that the reference has something to be compared with
    found = measures.mean_differences(truth, predicted, reference, metric=metric, **resampling)
    rows = {row.baseline: (row.baseline_value, -row.difference, -row.high, -row.low) for row in found.itertuples()}
    rows[reference] = (float(found["value"].iloc[0]), 0.0, 0.0, 0.0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "difference", "low", "high"])


def principal(features: np.ndarray, split: pd.Series, dims: Sequence[int]) -> dict[int, np.ndarray]:
    """What is left of features when only their first principal components are kept.

    Parameters
    ----------
    features : float array (n, d)
        In the order of `split`.
    split : Series of str (n,)
        The components are those of the standardised training proteins.
    dims : sequence of int
        How many components to keep; at most d, and at most one fewer than training proteins.

    Returns
    -------
    dict of int to float32 array (n, d)
        By number of components: the standardised features, projected onto these and written in the old coordinates, so
        that a penalty means the same for each. Invariant: all d components give the standardised features back.

    Raises
    ------
    InputError
        If a number is not within its bounds.
    """
    features = np.asarray(features, dtype=np.float64)
    maps = principal_maps(features, split, dims)
    return {k: (features @ matrix + offset).astype(np.float32) for k, (matrix, offset) in maps.items()}


def principal_maps(
    features: np.ndarray, split: pd.Series, dims: Sequence[int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """What `principal` does to features: x -> x @ matrix + offset.

    Parameters
    ----------
    features, split, dims
        As in `principal`.

    Returns
    -------
    dict of int to (float64 array (d, d), float64 array (d,))

    Raises
    ------
    InputError
        As `principal`.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    features = np.asarray(features, dtype=np.float64)
    training = (split == "train").to_numpy()
    most = min(features.shape[1], int(training.sum()) - 1)
    if wrong := [k for k in dims if not 1 <= k <= most]:
        raise InputError(f"{wrong[0]} components: expected 1 to {most}")
    scaler = StandardScaler().fit(features[training])
    found = PCA(max(dims), svd_solver="full").fit(scaler.transform(features[training]))
    maps = {}
    for k in dims:
        kept = found.components_[:k].T @ found.components_[:k]  # (d, d)
        offset = found.mean_ - (scaler.mean_ / scaler.scale_ + found.mean_) @ kept
        maps[k] = kept / scaler.scale_[:, None], offset
    return maps
