"""What can be learnt from which layer: vectors of every layer in one forward pass, compared by one plain learner.

The learner is logistic regression on standardised features, with the same proteins and penalties on offer for all; the
validation part chooses the penalty for each feature and term. Differences are paired, over the test part of one split.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import logit

from plmbook.core.errors import InputError, one_of
from plmbook.engine import encode
from plmbook.function import classifier, learners, measures, proteomes, splits

POOLS = ("mean", "max", "bos")
STRENGTHS = (0.01, 0.1)  # inverse L2 penalties (scikit-learn's C)
MANTISSA_BITS = 12  # of the mantissa of a weight: the answers differ by less than they are rounded
SCALE = 1000  # steps of a nat, of log-odds in tables


class Dataset(NamedTuple):
    """Proteins, what is to be learnt of them, and from which."""

    proteins: pd.DataFrame  # as the bundled table `go_proteins`
    labels: pd.DataFrame  # bool (n, k), the twenty commonest terms
    split: pd.Series  # str (n,): "train", "validation", "test"; no test protein has a relative in another part

    @property
    def tested(self) -> np.ndarray:
        """bool (n,)"""
        return (self.split == "test").to_numpy()


def dataset(
    collection: proteomes.Collection, longest: int, n_residues: int, fractions: Sequence[float], *, seed: int
) -> Dataset:
    """Whole clusters with `n_residues` at most, of proteins up to `longest`, split by homology into `fractions`."""
    everything, pairs, terms = collection.proteins, collection.annotations, collection.terms
    proteins = whole_clusters(everything[everything["length"] <= longest], n_residues, seed=seed)
    labels = classifier.label_table(pairs, proteins["id"], terms.loc[terms["top20"], "go_id"])
    return Dataset(proteins, labels, splits.cluster_split(proteins, labels=labels, fractions=fractions, seed=seed))


def features_of(n_layers: int, *, last: int) -> dict[str, list[str]]:
    """The features that are compared: name -> vectors, such as "max 3"; one is the last means one after another."""
    alone = {f"{pool} {layer}": [f"{pool} {layer}"] for layer in range(n_layers) for pool in POOLS}
    return alone | {f"mean, last {last}": [f"mean {layer}" for layer in range(n_layers)][-last:]}


def _vector(pooled: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """One vector of each protein, float32 (n, d), by its name, such as "max 3"."""
    pool, layer = name.split()
    return pooled[pool][int(layer)]


def regressions(
    pooled: Mapping[str, np.ndarray],
    dataset: Dataset,
    *,
    last: int,
    dims: Sequence[int] = (),
    strengths: Sequence[float] = STRENGTHS,
    features: Sequence[str] | None = None,
    terms: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Logistic regressions from every layer and pool, and from `dims` principal components of the mean of the last
    layer. A row a feature, vector and term: feature, vector, term, threshold (log-odds in thousandths), offset, w0000,
    ... (float32, of `MANTISSA_BITS`); a protein's log-odds are the sum over vectors of offset + weights . vector."""
    labels = dataset.labels if terms is None else dataset.labels[list(terms)]
    n_layers = len(pooled["mean"])
    top = f"mean {n_layers - 1}"
    maps = _principal_maps(_vector(pooled, top), dataset.split, dims) if len(dims) else {}
    parts = features_of(n_layers, last=last) | {f"components {k}": [top] for k in maps}
    found = []
    for name in parts if features is None else features:
        values = np.concatenate([_vector(pooled, vector) for vector in parts[name]], axis=1)
        turn = maps[int(name.split()[1])] if name.startswith("components") else None
        thresholds, weights, offsets = _regression(name, values, turn, labels, dataset.split, seed, strengths)
        thresholds = np.rint(SCALE * logit(thresholds))
        for number, (vector, own) in enumerate(zip(parts[name], np.split(weights, len(parts[name]), 1), strict=True)):
            ids = {"feature": name, "vector": vector, "term": list(labels), "threshold": thresholds}
            table = pd.DataFrame(ids | {"offset": offsets * (number == 0)})
            found.append(table.join(pd.DataFrame(own.astype(np.float32)).rename(columns="w{:04d}".format)))
    return pd.concat(found, ignore_index=True)


def _regression(name, values, turn, labels, split, seed, strengths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds (k,), weights (k, d) and offsets (k,) of what is learnt from vectors (n, d), as `turn` maps them."""
    center = values[(split == "train").to_numpy()].mean(axis=0, dtype=np.float64)
    mapped = values if turn is None else values @ turn[0] + turn[1]
    made = classifier.fit("logistic", mapped, labels, split, seed=seed, strengths=tuple(strengths))
    if len(made.excluded):
        raise InputError(f"{name}: {made.excluded['term'].iloc[0]}: {made.excluded['reason'].iloc[0]}")
    weights, offsets = learners.linear(made.fitted)
    if turn is not None:
        weights, offsets = weights @ turn[0].T, offsets + weights @ turn[1]
    mantissa, exponent = np.frexp(weights)  # a short mantissa takes fewer bytes of a file
    short = np.ldexp(np.round(mantissa * 2**MANTISSA_BITS) / 2**MANTISSA_BITS, exponent)
    return made.thresholds, short, offsets + (weights - short) @ center  # right in the middle of the proteins


def answers(table: pd.DataFrame, pooled: Mapping[str, np.ndarray], ids: Sequence[str]) -> pd.DataFrame:
    """What `regressions` say of proteins: feature, id (str), and one a term, the log-odds in thousandths (int32)."""
    parts = []
    for name, rows in table.groupby("feature", sort=False):
        log_odds = 0.0
        for vector, part in rows.groupby("vector", sort=False):
            weights = part.filter(regex=r"^w\d+$").to_numpy(dtype=np.float64)
            values = _vector(pooled, vector).astype(np.float64)
            log_odds = log_odds + values @ weights.T + part["offset"].to_numpy()
        found = pd.DataFrame(np.rint(SCALE * log_odds).astype("int32"), columns=part["term"].tolist())
        parts.append(pd.concat([pd.DataFrame({"feature": name, "id": list(ids)}), found], axis=1))
    return pd.concat(parts, ignore_index=True)


def pooled_layers(model, sequences: Sequence[str], *, progress: bool = False) -> dict[str, np.ndarray]:
    """Vectors of each protein, read once, from every layer: by pool float32 (n_layers + 1, n, d), input first."""
    from tqdm import tqdm

    lengths = [len(sequence) for sequence in sequences]
    if not lengths:
        raise InputError("no sequence to embed")
    if model.max_length is not None and max(lengths) > model.max_length:
        raise InputError(f"a sequence of {max(lengths)} residues: expected at most {model.max_length}, read at once")
    numbers = range(model.card.layers + 1)
    found = np.empty((len(numbers), len(lengths), len(POOLS), model.card.dim), dtype=np.float32)
    groups = encode.batches([length + 2 for length in lengths], encode.token_budget(model))  # BOS and EOS
    for group in tqdm(groups, desc=model.name, unit="batch", disable=not progress):
        outputs = model.run([sequences[n] for n in group], layers=tuple(numbers), logits=False, pool=list(POOLS))
        for n, output in zip(group, outputs, strict=True):
            for number in numbers:
                found[number, n] = output.pooled[number].reshape(len(POOLS), -1)
    return {pool: np.ascontiguousarray(found[:, :, k]) for k, pool in enumerate(POOLS)}


def whole_clusters(proteins: pd.DataFrame, n_residues: int, *, seed: int = 0) -> pd.DataFrame:
    """A random part of the proteins, with `n_residues` at most, in their order: each cluster whole or not at all."""
    sizes = proteins.groupby("cluster")["length"].sum().sort_index()
    chosen, room = [], n_residues
    for cluster in np.random.default_rng(seed).permutation(sizes.index.to_numpy()):
        if sizes[cluster] <= room:
            chosen.append(cluster)
            room -= sizes[cluster]
    return proteins[proteins["cluster"].isin(chosen)].reset_index(drop=True)


def compare(
    predicted: Mapping[str, tuple[np.ndarray, np.ndarray]],
    truth: pd.DataFrame,
    widths: Mapping[str, int],
    *,
    reference: str,
    clusters: Sequence[str],
    n: int = 300,
    seed: int = 0,
) -> pd.DataFrame:
    """How well terms are predicted from each of several features, and how far each is from one of them.

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
        Relatives, which are resampled together.
    n, seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        A row per feature: name (str), width, n_terms (int64), auprc, f1 (means over the terms), auprc_difference,
        auprc_low, auprc_high, f1_difference, f1_low, f1_high (float64): less the reference's (its own are 0), with the
        95 % paired bootstrap over clusters, which speaks of other test proteins, not of another training set.

    Raises
    ------
    InputError
        If the reference is none of the features.
    """
    one_of("reference", reference, predicted)
    table = pd.DataFrame({"name": list(predicted), "width": [widths[name] for name in predicted]})
    table["n_terms"] = int((truth.any() & ~truth.all()).sum())
    resampling: Any = {"clusters": np.asarray(clusters), "n": n, "seed": seed}
    if len(predicted) == 1:
        predicted = {**predicted, "": predicted[reference]}  # so that the reference has something to be compared with
    for metric in ("auprc", "f1"):
        found = measures.mean_differences(truth, predicted, reference, metric=metric, **resampling)
        rows = {row.baseline: (row.baseline_value, -row.difference, -row.high, -row.low) for row in found.itertuples()}
        rows[reference] = (float(found["value"].iloc[0]), 0.0, 0.0, 0.0)
        columns = [metric, *(f"{metric}_{end}" for end in ("difference", "low", "high"))]
        table[columns] = [rows[name] for name in table["name"]]
    order = ["name", "width", "n_terms", "auprc", "f1"]
    return table[[*order, *table.columns.drop(order)]].astype({"name": "str"})


def _principal_maps(
    features: np.ndarray, split: pd.Series, dims: Sequence[int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By number of components: matrix (d, d) and offset (d,), so that x -> x @ matrix + offset keeps only these of x.
    They are of the standardised training proteins; what is left is written in the old coordinates, so that a penalty
    means the same for each number. Invariant: all d components give the standardised features back."""
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
        onto = found.components_[:k].T @ found.components_[:k]  # (d, d)
        offset = found.mean_ - (scaler.mean_ / scaler.scale_ + found.mean_) @ onto
        maps[k] = onto / scaler.scale_[:, None], offset
    return maps
