"""How well scores separate pathogenic from benign variants, and how sure we are of it.

A *table* has a row a variant: `gene`, `significance` ("P/LP" or "B/LB"), and scores (natural-log likelihood ratios).
**Pathogenic is the positive class, a lower score is more damaging**. Other classes and missing scores are refused,
never dropped: `labelled` selects explicitly. A *statistic* is a function `statistic(table, *, score="score",
weight=None)`; `weight` (..., n_rows) says how often each row counts in each of several resamples. `roc_auc` and
`average_precision` take arrays, where the *higher* score is the more positive.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need, one_of
from plmbook.stats import bootstrap
from plmbook.stats.bootstrap import Estimate

PATHOGENIC = "P/LP"
BENIGN = "B/LB"

# What `perplexity_table` calls each column of a table of held-out likelihoods.
LIKELIHOODS: Mapping[str, str] = MappingProxyType(
    {"model": "log_likelihood", "n-gram": "ngram_log_likelihood", "residue frequencies": "frequency_log_likelihood"}
)
LENGTH_EDGES = (50, 150, 300, 500, 1023)  # residues; a range excludes its upper edge

Statistic = Callable[..., np.ndarray | float]


# --- statistics of variants ------------------------------------------------------------------------------


def labelled(table: pd.DataFrame, *, score: str | list[str] = "score") -> pd.DataFrame:
    """The P/LP and B/LB rows on which every given score (a column or several) exists, with a fresh index."""
    scores = [score] if isinstance(score, str) else list(score)
    need(table, ["significance", *scores])
    complete = table["significance"].isin([PATHOGENIC, BENIGN]) & table[scores].notna().all(axis=1)
    return table[complete].reset_index(drop=True)


def auroc(table: pd.DataFrame, *, score: str = "score", weight: np.ndarray | None = None) -> np.ndarray | float:
    """Area under the ROC curve: the chance that a random P/LP variant scores below a random B/LB one, ties half.

    Parameters
    ----------
    table : DataFrame
        `significance` and the score column; another class or a missing score is an InputError.
    score : str
        The score column.
    weight : ndarray (..., n_rows), optional
        How often each row counts.

    Returns
    -------
    float or ndarray (...)
        In [0, 1]; NaN where a class is empty.
    """
    pathogenic, values = _classes(table, score)
    return roc_auc(pathogenic, -values, weight)


def auprc(
    table: pd.DataFrame, *, positive: str = PATHOGENIC, score: str = "score", weight: np.ndarray | None = None
) -> np.ndarray | float:
    """Area under the precision-recall curve (average precision), either class as the positive one.

    A random score reaches the base rate: 82 % for P/LP on the bundled variants; B/LB positive is the harder question.

    Parameters
    ----------
    table, score, weight
        As in `auroc`.
    positive : {"P/LP", "B/LB"}
        P/LP: the lowest scores are called first; B/LB: the highest.

    Returns
    -------
    float or ndarray (...)
        In [0, 1]; NaN where a class is empty.
    """
    one_of("positive class", positive, (PATHOGENIC, BENIGN))
    pathogenic, values = _classes(table, score)
    if positive == BENIGN:
        return average_precision(~pathogenic, values, weight)
    return average_precision(pathogenic, -values, weight)


benign_auprc = partial(auprc, positive=BENIGN)


def gene_aurocs(table: pd.DataFrame, *, minimum: int = 5, score: str = "score") -> pd.DataFrame:
    """AUROC within each gene that has at least `minimum` P/LP and `minimum` B/LB variants: gene (str), n_pathogenic,
    n_benign (int64), auroc (float64); sorted by gene.
    """
    need(table, ["gene"])
    pathogenic, values = _classes(table, score)
    found = []
    for gene, places in sorted(table.groupby("gene").indices.items()):
        n_pathogenic = int(pathogenic[places].sum())
        n_benign = len(places) - n_pathogenic
        if min(n_pathogenic, n_benign) >= max(minimum, 1):
            found.append((gene, n_pathogenic, n_benign, roc_auc(pathogenic[places], -values[places])))
    kinds = {"gene": "str", "n_pathogenic": "int64", "n_benign": "int64", "auroc": "float64"}
    return pd.DataFrame(found, columns=list(kinds)).astype(kinds)


def within_gene_auroc(
    table: pd.DataFrame, minimum: int = 5, *, score: str = "score", weight: np.ndarray | None = None
) -> np.ndarray | float:
    """Mean over genes of the AUROC within the gene: what is left when gene identity cannot help.

    Parameters
    ----------
    table, score : DataFrame, str
        As in `auroc`, with the column `gene`.
    minimum : int
        Least number of P/LP and of B/LB variants in a gene.
    weight : ndarray (..., n_rows), optional
        Constant within a gene (whole genes are resampled), or it is an InputError.

    Returns
    -------
    float or ndarray (...)
        NaN where no gene qualifies.
    """
    genes = gene_aurocs(table, minimum=minimum, score=score)
    if weight is None:
        return float(genes["auroc"].mean()) if len(genes) else float("nan")
    chosen = _gene_weights(table, _weights(weight, len(table)), genes["gene"])
    with np.errstate(invalid="ignore", divide="ignore"):
        return _plain(chosen @ genes["auroc"].to_numpy() / chosen.sum(-1))


def pair_auroc(
    table: pd.DataFrame, *, score: str = "score", weight: np.ndarray | None = None, between: bool = False
) -> np.ndarray | float:
    """AUROC over the pairs of a P/LP and a B/LB variant of one gene, or of two genes (`between`); NaN without a pair.
    Their mean, weighted by pairs, is the pooled AUROC. Weights are constant within a gene; its copies are one gene.
    """
    genes = gene_aurocs(table, minimum=1, score=score)
    weight = _weights(weight, len(table))
    times = _gene_weights(table, weight, genes["gene"])
    size = times**2 * (genes["n_pathogenic"] * genes["n_benign"]).to_numpy()  # copies of a gene pair up, too
    inside, n_inside = size @ genes["auroc"].to_numpy(), size.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not between:
            return _plain(inside / n_inside)
        pathogenic, _ = _classes(table, score)
        n_all = weight[..., pathogenic].sum(-1) * weight[..., ~pathogenic].sum(-1)
        return _plain((auroc(table, score=score, weight=weight) * n_all - inside) / (n_all - n_inside))


def gene_share(table: pd.DataFrame) -> pd.Series:
    """A score that knows only the gene, the baseline for pooled AUROC: minus the gene's share of P/LP, in [-1, 0]."""
    need(table, ["gene"])
    pathogenic = pd.Series(_labels(table).astype(float), index=table.index)
    return (0.0 - pathogenic.groupby(table["gene"]).transform("mean")).rename("score")


def contrast(statistic: Statistic, first: list[str], second: list[str]) -> Statistic:
    """The mean of a statistic over some score columns less its mean over others: what averaging two scores buys."""
    if not first or not second:
        raise InputError("a contrast needs at least one score on each side")

    def difference(rows: pd.DataFrame, *, score: str = "", weight: np.ndarray | None = None) -> np.ndarray | float:
        sides = (np.array([statistic(rows, score=name, weight=weight) for name in names]) for names in (first, second))
        return _plain(np.subtract(*(side.mean(axis=0) for side in sides)))

    return difference


# --- with their intervals --------------------------------------------------------------------------------


def estimate(
    table: pd.DataFrame, statistic: Statistic, *, score: str = "score", n: int = 1000, seed: int = 0
) -> Estimate:
    """A statistic on the table with its 95 % percentile interval when genes, not variants, are resampled.

    Variants of one gene share protein, alignment and laboratory: resampling them makes the intervals too narrow.

    Parameters
    ----------
    table, score : DataFrame, str
        As `statistic` takes them.
    statistic : callable
        `statistic(table, score=..., weight=...)` as in this module.
    n, seed : int
        Resamples, and their seed.

    Returns
    -------
    Estimate
        n = the rows. Resamples on which the statistic does not exist (no benign variant drawn) are left out; where it
        exists on none, it is an InputError.
    """
    need(table, ["gene"])
    weights = bootstrap.weights(table["gene"], n=n, seed=seed)
    drawn = [statistic(table, score=score, weight=part) for part in bootstrap.chunks(weights)]
    interval = bootstrap.percentiles(np.concatenate(drawn), bootstrap.GENE_TAILS)
    if np.isnan(interval.low):
        raise InputError("the statistic exists on no resample: too few genes have both classes")
    return Estimate(float(statistic(table, score=score)), *interval, len(table))


def paired_difference(
    table: pd.DataFrame, first: str, second: str, *, statistic: Statistic = auroc, n: int = 1000, seed: int = 0
) -> Estimate:
    """`statistic` of one score minus that of another, on the rows that both have, resampling genes once for both.

    Parameters
    ----------
    table : DataFrame
        `gene`, `significance`, and both score columns; rows that miss one are left out of both.
    first, second : str
        The score columns.
    statistic, n, seed
        As in `estimate`.

    Returns
    -------
    Estimate
        value, low, high of first - second (positive: the first is better), n = the common rows.
    """
    common = labelled(table, score=[first, second])
    return estimate(common, contrast(statistic, [first], [second]), score=first, n=n, seed=seed)


def mean_over_genes(values: pd.Series, *, n: int = 1000, seed: int = 0) -> Estimate:
    """The mean of one number a gene, with its 95 % interval from resampling the genes.

    Parameters
    ----------
    values : Series of float64
        A value a gene, none missing (InputError).
    n, seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        n = the genes.
    """
    if not len(values) or values.isna().any():
        raise InputError(f"a mean over genes needs a number for each gene, found {values.count()} of {len(values)}")
    return bootstrap.ratio(values.to_numpy(dtype=np.float64), n=n, seed=seed, tails=bootstrap.GENE_TAILS)


def summary(
    effects: pd.DataFrame,
    *,
    minimum: int = 5,
    n: int = 1000,
    seed: int = 0,
    by: tuple[str, ...] = ("model", "strategy"),
) -> pd.DataFrame:
    """The statistics of every model and strategy of an effects table, with intervals over genes.

    Parameters
    ----------
    effects : DataFrame
        `gene`, `significance`, `score` and the columns of `by`; other classes and missing scores are left out.
    minimum : int
        Least number of P/LP and of B/LB variants in a gene, for the within-gene AUROC.
    n, seed : int
        Of the bootstrap.
    by : tuple of str
        What one line of the summary is about.

    Returns
    -------
    DataFrame
        `by`, statistic ("auroc", "within-gene auroc", "auprc P/LP", "auprc B/LB"), value, low, high (float64),
        n_pathogenic, n_benign, n_genes (int64; for the within-gene AUROC of the genes that qualify).
    """
    within = "within-gene auroc"
    statistics: dict[str, Statistic] = {
        "auroc": auroc,
        within: partial(within_gene_auroc, minimum=minimum),
        "auprc P/LP": auprc,
        "auprc B/LB": benign_auprc,
    }
    rows = []
    for names, part in labelled(effects).groupby(list(by), sort=False):
        qualifying = part[part["gene"].isin(gene_aurocs(part, minimum=minimum)["gene"])]
        for label, statistic in statistics.items():
            used = (qualifying if label == within else part).reset_index(drop=True)
            if used["significance"].nunique() < 2:  # nothing to separate: no number rather than an invented one
                continue
            found = estimate(used, statistic, n=n, seed=seed)
            n_pathogenic = int((used["significance"] == PATHOGENIC).sum())
            rows.append((*names, label, *found[:3], n_pathogenic, len(used) - n_pathogenic, used["gene"].nunique()))
    columns = [*by, "statistic", "value", "low", "high", "n_pathogenic", "n_benign", "n_genes"]
    return pd.DataFrame(rows, columns=columns)


# --- calibration -----------------------------------------------------------------------------------------


def calibrate(table: pd.DataFrame, *, score: str = "score", folds: int = 5, seed: int = 0) -> pd.Series:
    """Probability that a variant is P/LP, float64 in [0, 1], from an isotonic regression (non-increasing in the score)
    that never saw the variant's gene; genes are dealt into `folds` groups.
    """
    from sklearn.isotonic import IsotonicRegression
    from sklearn.model_selection import GroupKFold

    need(table, ["gene"])
    pathogenic, values = _classes(table, score)
    if table["gene"].nunique() < folds:
        raise InputError(f"{folds} folds need at least {folds} genes, found {table['gene'].nunique()}")
    probability = np.full(len(table), np.nan)
    splitter = GroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(values, pathogenic, groups=table["gene"]):
        if pathogenic[train].all() or not pathogenic[train].any():
            raise InputError("a fold's training genes have only one class; use fewer folds or more genes")
        fit = IsotonicRegression(y_min=0, y_max=1, increasing=False, out_of_bounds="clip")
        probability[test] = fit.fit(values[train], pathogenic[train]).predict(values[test])
    return pd.Series(probability, index=table.index, name="probability")


def reliability(table: pd.DataFrame, *, probability: str = "probability", bins: int = 10) -> pd.DataFrame:
    """`calibration_bins` of a column of probabilities of P/LP (see `calibrate`)."""
    return calibration_bins(*_probabilities(table, probability), bins=bins)


def _probabilities(table: pd.DataFrame, probability: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether each labelled row is pathogenic, and its probability, from 0 to 1."""
    pathogenic, values = _classes(table, probability)
    if ((values < 0) | (values > 1)).any():
        raise InputError(f"{probability} must lie in [0, 1]")
    return pathogenic, values


def brier(table: pd.DataFrame, *, probability: str = "probability") -> float:
    """Mean squared distance between the probability of P/LP and the class (1 or 0); 0 is perfect (Brier 1950)."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(*_probabilities(table, probability)))


def expected_calibration_error(table: pd.DataFrame, *, probability: str = "probability", bins: int = 10) -> float:
    """Mean over variants of |predicted - observed share| of their bin (Naeini 2015), bins as in `reliability`."""
    found = reliability(table, probability=probability, bins=bins)
    return float(((found["predicted"] - found["observed"]).abs() * found["n"]).sum() / found["n"].sum())


# --- arrays ----------------------------------------------------------------------------------------------


def roc_auc(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray | float:
    """Area under the ROC curve of bool (n,) and float (n,); (...) for weights (..., n). NaN where a class is empty.
    Equal to `sklearn.metrics.roc_auc_score(positive, score, sample_weight=weight)`.
    """
    hits, misses = _by_threshold(positive, score, weight)  # (..., n_thresholds), the highest score first
    below = np.cumsum(misses, axis=-1) - misses / 2  # weight of the negatives at or above the threshold, ties half
    with np.errstate(invalid="ignore", divide="ignore"):
        return _plain(1 - (hits * below).sum(-1) / (hits.sum(-1) * misses.sum(-1)))


def average_precision(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray | float:
    """Area under the precision-recall curve of bool (n,) and float (n,); (...) for weights (..., n). NaN where a class
    is empty; else sum_k (R_k - R_(k-1)) P_k over the distinct scores, as `sklearn.metrics.average_precision_score`.
    """
    hits, misses = _by_threshold(positive, score, weight)
    true, false = np.cumsum(hits, axis=-1), np.cumsum(misses, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(true + false > 0, true / (true + false), 0.0)
        area = (hits * precision).sum(-1) / true[..., -1]
    return _plain(np.where((true[..., -1] > 0) & (false[..., -1] > 0), area, np.nan))


def calibration_bins(positive: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Predicted against observed share of bool (n,) and float (n,), in bins of equally many; equal predictions share a
    bin: predicted (mean probability, ascending), observed, low, high (95 % Wilson interval of the share), n (int64).
    """
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="right")
    rows = pd.DataFrame({"predicted": probability, "observed": positive.astype(float)}).groupby(place)
    found = rows.mean()
    n, share = rows.size(), found["observed"]
    z = 1.959964  # and not all digits of the normal quantile, as `bootstrap.share` has them: saved bins have these ends
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return found.assign(low=centre - half, high=centre + half, n=n).reset_index(drop=True)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays (n,), ties share their ranks; 0 where one is constant."""
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0  # a constant has no order; SciPy would warn
    return float(spearmanr(a, b).statistic)


def rank_correlations(
    effects: pd.DataFrame, *, by: str = "model", key: tuple[str, ...] = ("gene", "mutation")
) -> pd.DataFrame:
    """Spearman's correlation of every pair of models on the variants that both have: first, second (str), spearman
    (float64), n (int64), in order of appearance. Two scores of one model for one variant are refused.
    """
    repeated = effects.duplicated([by, *key])
    if repeated.any():
        row = effects[repeated].iloc[0]
        raise InputError(f"two scores of {row[by]} for {' '.join(str(row[k]) for k in key)}; keep one strategy")
    wide = effects.pivot(index=list(key), columns=by, values="score")[effects[by].unique()]
    rows = []
    for first, second in itertools.combinations(wide.columns, 2):
        common = wide[[first, second]].dropna()
        rows.append((first, second, common.rank().corr().iloc[0, 1] if len(common) > 1 else np.nan, len(common)))
    return pd.DataFrame(rows, columns=["first", "second", "spearman", "n"])


# --- perplexity ------------------------------------------------------------------------------------------


def perplexity(
    table: pd.DataFrame, *, log_likelihood: str = "log_likelihood", n: int = 1000, seed: int = 0
) -> Estimate:
    """exp(-mean log p) over masked residues (n_masked, `log_likelihood`), resampling proteins; 20 = guessing."""
    need(table, [log_likelihood, "n_masked"])
    total, masked = table[log_likelihood].to_numpy(float), table["n_masked"].to_numpy(float)
    if not masked.sum():
        raise InputError("perplexity needs at least one masked residue")
    return bootstrap.ratio(-total, masked, n=n, seed=seed, tails=bootstrap.GENE_TAILS, of=np.exp)


def perplexity_table(table: pd.DataFrame, *, by: pd.Series | None = None, n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Perplexity of the models of `LIKELIHOODS` at the same masked residues, by the group of each row (no group: left
    out): group, model (str), perplexity, low, high (float64), n_proteins, n_masked (int64). The mean of ln perplexity
    over the groups, weighted by n_masked, is that over all.
    """
    need(table, [*LIKELIHOODS.values(), "n_masked"])
    groups = pd.Series("all", index=table.index) if by is None else by
    rows = []
    for name, part in table.groupby(groups, observed=True):
        for model, column in LIKELIHOODS.items():
            found = perplexity(part, log_likelihood=column, n=n, seed=seed)
            rows.append((str(name), model, *found[:3], len(part), int(part["n_masked"].sum())))
    return pd.DataFrame(rows, columns=["group", "model", "perplexity", "low", "high", "n_proteins", "n_masked"])


def length_group(lengths: pd.Series) -> pd.Series:
    """The range of lengths of a protein, an ordered category such as "150-299"; missing outside all ranges."""
    labels = [f"{first}-{after - 1}" for first, after in itertools.pairwise(LENGTH_EDGES)]
    return pd.cut(lengths, list(LENGTH_EDGES), right=False, labels=labels)


# --- pieces ----------------------------------------------------------------------------------------------


def _by_threshold(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the positives and of the negatives at each distinct score, the highest first: two (..., n_distinct)."""
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) < 0]))
    sorted_weight = np.take(_weights(weight, len(score)), order, axis=-1)
    hits = sorted_weight * positive[order]
    misses = sorted_weight - hits
    if len(starts) < len(order):  # equal scores are taken together
        hits, misses = (np.add.reduceat(each, starts, axis=-1) for each in (hits, misses))
    return hits, misses


def _classes(table: pd.DataFrame, score: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool pathogenic and (n,) float64 scores of a table that holds nothing else."""
    need(table, ["significance", score])
    values = table[score].to_numpy(dtype=np.float64)
    pathogenic = _labels(table)
    if not len(table):
        raise InputError("the table has no rows")
    if n_missing := int((~np.isfinite(values)).sum()):
        raise InputError(f"{n_missing} of {len(table)} values of {score} are missing; see metrics.labelled(table)")
    return pathogenic, values


def _labels(table: pd.DataFrame) -> np.ndarray:
    need(table, ["significance"])
    pathogenic = table["significance"] == PATHOGENIC
    other = table.loc[~pathogenic & (table["significance"] != BENIGN), "significance"]
    if len(other):
        raise InputError(
            f"significance must be {PATHOGENIC} or {BENIGN}, found {other.iloc[0]}; "
            "select the rows with metrics.labelled(table)"
        )
    return pathogenic.to_numpy(dtype=bool)


def _gene_weights(table: pd.DataFrame, weight: np.ndarray, genes: pd.Series) -> np.ndarray:
    """(..., n_genes) weight of each of `genes` from the weights (..., n_rows) of the rows, equal within a gene."""
    codes, names = pd.factorize(table["gene"])
    by_gene = weight[..., np.unique(codes, return_index=True)[1]]
    if not np.array_equal(by_gene[..., codes], weight):
        raise InputError("the weights must be equal within a gene: resample whole genes")
    return by_gene[..., pd.Index(names).get_indexer(genes)]


def _weights(weight: np.ndarray | None, n: int) -> np.ndarray:
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    if weight.shape[-1] != n:
        raise InputError(f"{weight.shape[-1]} weights for {n} rows")
    return weight


def _plain(value: np.ndarray) -> np.ndarray | float:
    """A Python float for a single number, else the array."""
    return float(value) if np.ndim(value) == 0 else value
