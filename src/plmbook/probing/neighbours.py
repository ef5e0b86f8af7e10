"""Transfer of a label from the nearest protein in the space of embeddings; nothing is trained.

A protein is one vector (the mean of the hidden states over its residues); nearness is the cosine after the references'
mean is taken off, without which every cosine is close to 1.  Baselines: amino-acid shares, and the commonest label.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need
from plmbook.core.residues import AMINO_ACIDS
from plmbook.stats import bootstrap
from plmbook.stats.bootstrap import Estimate

DECIMALS = 9  # of a cosine: what differs by less is a tie, whatever the order in which a processor adds up
LABEL = "localisation"  # the column that is transferred
_CHUNK = 500  # queries whose cosines to all references are in memory together


def composition(sequences: Sequence[str]) -> np.ndarray:
    """Shares of the 20 amino acids among the residues of each protein that are one of them, float64 (n, 20); else 0."""
    counts = np.array([[sequence.count(letter) for letter in AMINO_ACIDS] for sequence in sequences], dtype=np.float64)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def nearest(queries: np.ndarray, references: np.ndarray, *, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The k references with the largest cosine to each query, both centred on the mean of the references.

    Brute force in float64; the answer for a query does not depend on the other queries.

    Parameters
    ----------
    queries, references, k : float array (n, d) and (m, d), int
        Finite; 1 to m.

    Returns
    -------
    places : int64 array (n, k)
        Rows of `references`, nearest first; of equal ones the first row comes first.
    similarities : float64 array (n, k)
        Cosines in [-1, 1], rounded to 9 decimals. A vector that is the mean itself has the cosine 0 to all.
    """
    queries, references = np.asarray(queries, dtype=np.float64), np.asarray(references, dtype=np.float64)
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1] or not len(references):
        raise InputError(
            f"expected (n, d) queries and (m, d) references, found shapes {queries.shape} and {references.shape}"
        )
    if not (np.isfinite(queries).all() and np.isfinite(references).all()):
        raise InputError("an embedding holds a number that is not finite")
    if not 1 <= k <= len(references):
        raise InputError(f"k {k}: expected 1 to {len(references)}, the number of references")
    mean = references.mean(axis=0)
    of_queries, of_references = _units(queries - mean), _units(references - mean)
    places = np.empty((len(queries), k), dtype=np.int64)
    similarities = np.empty((len(queries), k))
    for start in range(0, len(queries), _CHUNK):
        part = slice(start, start + _CHUNK)
        cosines = np.round(of_queries[part] @ of_references.T, DECIMALS) + 0.0  # no negative zero
        places[part] = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        similarities[part] = np.take_along_axis(cosines, places[part], axis=1)
    return places, similarities


def transfer(
    queries: pd.DataFrame, references: pd.DataFrame, query_vectors: np.ndarray, reference_vectors: np.ndarray
) -> pd.DataFrame:
    """Predict the localisation of each query: that of its nearest reference.

    Parameters
    ----------
    queries, references : DataFrame
        id, localisation (str), n and m rows; an id that is in both is an `InputError`.
    query_vectors, reference_vectors : float array (n, d) and (m, d)

    Returns
    -------
    DataFrame
        A row a query: id, truth, predicted, neighbour (id of the nearest reference), similarity (its cosine).
    """
    for table, vectors, name in ((queries, query_vectors, "queries"), (references, reference_vectors, "references")):
        need(table, ["id", LABEL])
        if len(table) != len(vectors):
            raise InputError(f"{len(vectors)} vectors for {len(table)} {name}")
    both = set(queries["id"]) & set(references["id"])
    if both:
        raise InputError(f"{len(both)} proteins are queries and references, such as {min(both)}")
    places, similarities = nearest(query_vectors, reference_vectors)
    found = references.iloc[places[:, 0]]
    texts = _truth(queries).assign(predicted=found[LABEL].to_numpy(), neighbour=found["id"].to_numpy()).astype("str")
    return texts.assign(similarity=similarities[:, 0])


def commonest(queries: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """The baseline in the columns of `transfer`: the commonest label (ties: first by name), similarity 0."""
    need(references, [LABEL])
    need(queries, ["id", LABEL])
    return _truth(queries).assign(predicted=references[LABEL].mode()[0], neighbour="", similarity=0.0)


def _truth(queries: pd.DataFrame) -> pd.DataFrame:
    return queries[["id", LABEL]].rename(columns={LABEL: "truth"}).reset_index(drop=True)


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the queries with the right label."""
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def mcc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Matthews correlation coefficient of several classes (Gorodkin 2004): 1 = perfect, 0 = one label for all."""
    from sklearn.metrics import matthews_corrcoef

    if len(np.union1d(truth, predicted)) < 2:
        return 0.0  # scikit-learn's answer, without its warning at each such resample
    return float(matthews_corrcoef(truth, predicted))


def estimate(
    predictions: pd.DataFrame,
    statistic: Callable[[np.ndarray, np.ndarray], float] = accuracy,
    *,
    n: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A statistic of (truth, predicted), 95 % interval from resampling the queries; the references stay as they are."""
    need(predictions, ["truth", "predicted"])
    size = len(predictions)
    if not size:
        raise InputError("no prediction to judge")
    # Codes instead of texts: the same answers, much faster to compare a thousand times.
    _, codes = np.unique(np.concatenate([predictions["truth"], predictions["predicted"]]), return_inverse=True)
    truth, predicted = codes[:size], codes[size:]
    values = [statistic(truth[rows], predicted[rows]) for rows in bootstrap.rows(size, n=n, seed=seed)]
    return Estimate(float(statistic(truth, predicted)), *bootstrap.percentiles(values), size)


def _units(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64 (n, d); a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
