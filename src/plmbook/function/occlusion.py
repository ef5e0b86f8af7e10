"""Which residues a prediction rests on: by taking them away, and by dividing a linear classifier's answer among them.

Both are in log-odds of a term, positive where a residue speaks for the term. Occlusion (`drops`) asks what the residue
itself does. A share (`shares`) belongs to what the model wrote at a residue, which it took from the whole protein: with
w the coefficients of the raw features, h_i the hidden state and m the mean of the training proteins, that of residue i
is w . (h_i - m) / L. Motifs of PROSITE, known from elsewhere, say whether either finds the residues that do the work.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import MASK
from plmbook.engine import encode
from plmbook.function import learners, proteomes, splits
from plmbook.function.classifier import Classifier, exclusion_table, fit, label_table
from plmbook.stats import matched, metrics
from plmbook.stats.bootstrap import Estimate

FOLDS = 5  # each protein is asked of the one classifier that saw none of its relatives


class Motif(NamedTuple):
    """A pattern of PROSITE."""

    accession: str
    pattern: str  # in PROSITE's own syntax


MOTIFS = {
    "P-loop": Motif("PS00017", "[AG]-x(4)-G-K-[ST]"),
    "C2H2 zinc finger": Motif("PS00028", "C-x(2,4)-C-x(3)-[LIVMFYWC]-x(8)-H-x(3,5)-H"),
    "kinase active site": Motif("PS00108", "[LIVMFYC]-x-[HY]-x-D-[LIVMFY]-K-x(2)-N-[LIVMFYCT](3)"),
}
"""Motifs with the residues that hold a nucleotide or a metal ion (Sigrist et al. 2013)."""

MOTIF_TERMS = (
    ("P-loop", "GO:0005525"),
    ("P-loop", "GO:0005524"),
    ("C2H2 zinc finger", "GO:0000981"),
    ("C2H2 zinc finger", "GO:0008270"),
    ("C2H2 zinc finger", "GO:0046872"),
    ("kinase active site", "GO:0005524"),
)
"""A motif, and a GO term that its residues bring about."""


class MotifDataset(NamedTuple):
    """Proteins, what is known of them, and where their motifs are."""

    proteins: pd.DataFrame  # as the bundled table `go_proteins`
    labels: pd.DataFrame  # bool (n, k), the terms of `MOTIF_TERMS`
    inside: dict[str, list[np.ndarray]]  # motif -> for each protein which residues lie in it, bool (L,)
    members: dict[tuple[str, str], np.ndarray]  # motif and term -> rows of the proteins that have both


def motif_dataset(collection: proteomes.Collection) -> MotifDataset:
    """Motifs and terms of the bundled proteins, or of others."""
    proteins, pairs = collection.proteins, collection.annotations
    labels = label_table(pairs, proteins["id"], list(dict.fromkeys(term for _, term in MOTIF_TERMS)))
    inside = {
        name: [motif_residues(sequence, motif.pattern) for sequence in proteins["sequence"]]
        for name, motif in MOTIFS.items()
    }
    has = {name: np.array([each.any() for each in found]) for name, found in inside.items()}
    members = {(motif, term): np.flatnonzero(has[motif] & labels[term].to_numpy()) for motif, term in MOTIF_TERMS}
    return MotifDataset(proteins, labels, inside, members)


def to_mask(dataset: MotifDataset, *, longest: int, per_question: int) -> dict[tuple[str, str], list[int]]:
    """Motif and term -> rows of the proteins that are read masked, since that takes time: of each question one protein
    a cluster, the shortest first; clusters up to `per_question`, proteins up to `longest`."""
    found = {}
    for key, rows in dataset.members.items():
        part = dataset.proteins.loc[rows].query("length <= @longest").sort_values(["length", "id"])
        found[key] = part.drop_duplicates("cluster").index[:per_question].tolist()
    return found


_ELEMENT = re.compile(r"(?P<what>x|[A-Z]|\[[A-Z]+\]|\{[A-Z]+\})(?:\((?P<times>\d+(?:,\d+)?)\))?")


def _expression(pattern: str) -> str:
    """A regular expression from a PROSITE pattern of `x`, `A`, `[AG]`, `{P}`, with `(n)` or `(n,m)` behind."""
    texts = []
    for element in pattern.rstrip(".").split("-"):
        if (match := _ELEMENT.fullmatch(element)) is None:
            what = "is no element that is read here; expected such as x(2), A, [AG] or {P}"
            raise InputError(f"pattern {pattern!r}: {element!r} {what}")
        what = match["what"].replace("x", ".").replace("{", "[^").replace("}", "]")
        texts.append(what + (f"{{{match['times']}}}" if match["times"] else ""))
    return "".join(texts)


def motif_residues(sequence: str, pattern: str) -> np.ndarray:
    """Which residues lie in a match of a PROSITE pattern, bool (L,); matches may overlap."""
    found = np.zeros(len(sequence), dtype=bool)
    for match in re.finditer(f"(?=({_expression(pattern)}))", sequence):
        found[match.start(1) : match.end(1)] = True
    return found


def folds_of(labels: pd.DataFrame, clusters: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """The fold of each protein, int64 (n,): clusters stay whole, and each fold has its share of every label."""
    table = pd.DataFrame({"id": labels.index, "cluster": np.asarray(clusters)})
    fold = pd.Series(FOLDS - 1, index=labels.index, dtype=np.int64)
    for number in range(FOLDS - 1):  # one after another is split off
        share = 1 / (FOLDS - number)
        left = labels.loc[table["id"]]
        split = splits.cluster_split(table, labels=left, fractions=(1 - share, 0.0, share), seed=seed + number)
        fold[split.index[split == "test"]] = number
        table = table[(split != "test").to_numpy()]
    return fold.to_numpy()


def fit_fold(features: np.ndarray, labels: pd.DataFrame, fold: np.ndarray, number: int, *, seed: int = 0) -> Classifier:
    """The logistic regressions of one fold of `folds_of`: they saw neither its proteins nor their relatives.
    The next fold sets the penalty; a term that cannot be learnt is an InputError."""
    made = fit("logistic", features, labels, pd.Series(_parts(fold, number), index=labels.index), seed=seed)
    if len(gone := made.excluded):
        raise InputError(f"fold {number + 1} of {FOLDS}: {gone['term'].iloc[0]}: {gone['reason'].iloc[0]}")
    return made


def _parts(fold: np.ndarray, number: int) -> np.ndarray:
    return np.where(fold == number, "test", np.where(fold == (number + 1) % FOLDS, "validation", "train"))


def coefficients(classifier: Classifier) -> pd.DataFrame:
    """Logistic regressions as a table: term (str), intercept, w0000, w0001, ... (float64: of standardised features)."""
    arrays = classifier.fitted.arrays
    table = pd.DataFrame({"term": list(classifier.terms), "intercept": arrays["intercepts"]})
    return table.join(pd.DataFrame(arrays["coefficients"]).rename(columns="w{:04d}".format))


def from_coefficients(table: pd.DataFrame, features: np.ndarray, fold: np.ndarray, number: int) -> Classifier:
    """The classifier of one fold from its `coefficients` and the features that it learnt from; it has no thresholds."""
    training = np.asarray(features, dtype=np.float32)[_parts(fold, number) == "train"]
    mean, scale = learners.standards(training)
    weights, intercepts = table.filter(regex=r"^w\d+$").to_numpy(), table["intercept"].to_numpy()
    arrays = {"mean": mean, "scale": scale, "coefficients": weights, "intercepts": intercepts}
    terms, unset = tuple(table["term"]), np.full(len(table), np.nan)
    return Classifier("logistic", terms, unset, weights.shape[1], exclusion_table([]), {}, learners.Fitted(arrays))


def log_odds(classifier: Classifier, features: np.ndarray) -> np.ndarray:
    """Log-odds of each term by a logistic regression, float64 (n, k); natural log."""
    weights, offset = _linear(classifier)
    return np.asarray(features, dtype=np.float64) @ weights.T + offset


def shares(classifier: Classifier, states: np.ndarray) -> np.ndarray:
    """What each residue adds to the log-odds of a logistic regression on the mean of the states (L, d): float64 (L, k).
    Invariant: their sum over residues, and the intercept, are the log-odds of the protein."""
    arrays = classifier.fitted.arrays
    weights, _ = _linear(classifier)
    return (np.asarray(states, dtype=np.float64) - arrays["mean"]) @ weights.T / len(states)


def drops(model, sequence: str, classifier: Classifier, *, width: int = 5, stride: int = 5) -> np.ndarray:
    """How far the log-odds of each term fall when a residue is masked, together with its neighbours.

    Parameters
    ----------
    model
        From `plmbook.models.load`, the one whose mean embeddings the classifier learnt.
    sequence : str
        L residues; at most what the model reads at once.
    classifier : Classifier
        Of the learner "logistic".
    width, stride : int
        Residues of a window, and from one window to the next; the last window ends with the protein.

    Returns
    -------
    float64 array (L, k)
        Log-odds of the protein less those with the window masked, a mean over the windows that hold a residue.

    Raises
    ------
    InputError
        If stride or width is not positive, or the stride leaves gaps between windows.
    """
    spans = windows(len(sequence), width, stride)
    return spread(window_drops(model, sequence, classifier, spans), spans, len(sequence))


def window_drops(model, sequence: str, classifier: Classifier, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """How far the log-odds of each term fall when a window is masked, float64 (m, k); windows are (start, stop)."""
    texts = [sequence, *(sequence[:a] + MASK * (b - a) + sequence[b:] for a, b in spans)]
    values = log_odds(classifier, np.asarray(encode.embed(model, texts, long="error")))
    return values[0] - values[1:]


def spread(values: np.ndarray, spans: Sequence[tuple[int, int]], length: int) -> np.ndarray:
    """From windows (m, k) to residues (length, k): the mean over the windows that hold a residue, which none lacks."""
    total, times = np.zeros((length, np.shape(values)[1])), np.zeros((length, 1))
    for (a, b), value in zip(spans, values, strict=True):
        total[a:b] += value
        times[a:b] += 1
    return total / times


def windows(length: int, width: int, stride: int) -> list[tuple[int, int]]:
    """Start and stop (0-based, stop excluded) of windows that cover a protein; the last one ends with it.

    >>> windows(7, 3, 2), windows(8, 3, 3), windows(2, 5, 5)
    ([(0, 3), (2, 5), (4, 7)], [(0, 3), (3, 6), (5, 8)], [(0, 2)])
    """
    if not 1 <= stride <= width:
        expected = f"a stride of 1 to {width}, or residues are left out" if width > 0 else "at least one residue"
        raise InputError(f"windows of {width} residues, one every {stride}: expected {expected}")
    width = min(width, length)
    starts = [*range(0, length - width, stride), length - width]
    return [(start, start + width) for start in starts]


def by_residue_type(table: pd.DataFrame, value: str) -> pd.Series:
    """What the kind of amino acid alone gives each residue: float64, index of `table`, 0 where there is nothing to
    average. The mean of the column `value` over the same amino acid (ref) outside motifs (motif, bool) in other
    clusters (gene)."""
    outside = table[~table["motif"]]
    of_all = outside.groupby("ref")[value].agg(["sum", "count"])
    own = outside.groupby(["gene", "ref"])[value].agg(["sum", "count"])
    everyone = of_all.reindex(table["ref"]).fillna(0).to_numpy()
    here = own.reindex(pd.MultiIndex.from_frame(table[["gene", "ref"]])).fillna(0).to_numpy()
    total, count = (everyone - here).T
    return pd.Series(np.where(count > 0, total / np.maximum(count, 1), 0.0), index=table.index)


def gain(table: pd.DataFrame, value: str, baseline: str, *, n: int = 1000, seed: int = 0) -> Estimate:
    """How much better the column `value` tells motif residues from the others of their protein than `baseline` does.
    The table has id, motif (bool), and gene (the cluster of relatives). The difference of the AUROCs
    (`plmbook.stats.matched`), a mean over clusters, with its paired 95 % interval and the number of clusters."""
    options: Any = {"case": "motif", "strata": ["id"], "minimum": 1}
    first, second = (matched.gene_aurocs(table, value=name, **options) for name in (value, baseline))
    return metrics.mean_over_genes(first["auroc"] - second["auroc"], n=n, seed=seed)


def _linear(classifier: Classifier) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (k, d) and offset (k,) on the raw features."""
    if classifier.learner != "logistic":
        raise InputError(f"learner {classifier.learner!r}: expected 'logistic', whose answer is a sum")
    return learners.linear(classifier.fitted)
