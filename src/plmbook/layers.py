"""What can be learnt from which layer: vectors of every layer in one forward pass, compared by one plain learner.

The learner is logistic regression on standardised features, the same penalty for all, so that features differ and
nothing else. What is compared are proteins of the test part of one split, and every difference is paired.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from plmbook import encode, function, function_metrics
from plmbook.errors import InputError

POOLS = ("mean", "max", "bos")
STRENGTHS = (0.01, 0.1)  # inverse L2 penalties (scikit-learn's C)


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
        See `plmbook.encode.embed`.
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
    tested = (function.parts_of(split, labels.index) == "test").to_numpy()
    predicted = {}
    for name, values in features.items():
        learnt = function.fit("logistic", values, labels, split, seed=seed, strengths=tuple(strengths))
        predicted[name] = learnt.predict(np.asarray(values)[tested]), learnt.thresholds
    truth = labels.loc[tested, list(learnt.terms)]  # of labels and split alone: the same for all features
    table = pd.DataFrame({"name": list(features), "width": [np.shape(values)[1] for values in features.values()]})
    table["n_terms"] = int(truth.loc[:, (truth.any() & ~truth.all())].shape[1])
    resampling = {"clusters": np.asarray(clusters)[tested], "n": n, "seed": seed}
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
    found = function_metrics.mean_differences(truth, predicted, reference, metric=metric, **resampling)
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
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    features = np.asarray(features, dtype=np.float64)
    training = (split == "train").to_numpy()
    most = min(features.shape[1], int(training.sum()) - 1)
    if wrong := [k for k in dims if not 1 <= k <= most]:
        raise InputError(f"{wrong[0]} components: expected 1 to {most}")
    scaler = StandardScaler().fit(features[training])
    standard = scaler.transform(features)
    found = PCA(max(dims), svd_solver="full").fit(standard[training])
    scores, axes = found.transform(standard), found.components_  # (n, k), (k, d)
    return {k: (scores[:, :k] @ axes[:k] + found.mean_).astype(np.float32) for k in dims}
