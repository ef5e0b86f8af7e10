"""Several models on several tasks: ranks, tests over tasks, costs, and how far a difference can be trusted.

A table of *scores* has a row a column of a published table and a column a model; its index has the task. Rows of one
task share proteins and training, so they are averaged first: the task is the *block* of every test. No test knows the
error of a single figure: `sampling` does, where the number of proteins is known.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from plmbook import models, tasks
from plmbook.core.errors import InputError, need

PUBLISHED = ("task", "dataset", "split", "unit", "model", "value", "bold_on_page")
POINTS = {"percent": 1.0, "fraction": 100.0, "correlation": 100.0}  # a unit in percentage points
OURS = ("task", "test", "metric", "model", "learner", "seed", "value", "low", "high", "n")
KEYS = OURS[:4]  # what one of our results is of
DECIMALS = 9  # of a difference: what is nearer than that is a tie

RELATED = {  # tasks that ask the same of the same proteins: one block where they are merged
    "secondary structure, 3 states": "secondary structure",
    "secondary structure, 8 states": "secondary structure",
    "contacts from embeddings": "contacts",
    "contacts from attention": "contacts",
}
# Proteins of the public test sets of these names. The page prints no sizes: the first four are those of NetSurfP-2.0
# (CB513, TS115), CASP12 and CASP14 as the pbc collection has them, and of DeepLoc, TAPE (folds, fluorescence), DeepSol
# and EAT (the queries of the CATH lookup). Of the contact sets no size is known here.
PROTEINS = {
    "CASP12": 20,
    "CASP14": 18,
    "TS115": 115,
    "CB513": 513,
    "DeepLoc": 2768,
    "SCOPe": 718,
    "Solubility": 2001,
    "Fluorescence": 27217,
    "Lookup69K": 219,
}
RESIDUES = {"CASP12": 6801, "CASP14": 3626}  # of those proteins in the pbc collection
OVER_RESIDUES = ("secondary structure, 3 states", "secondary structure, 8 states")  # a protein counts by its residues
Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


class Friedman(NamedTuple):
    """Friedman's test whether models differ at all over blocks."""

    n_blocks: int
    n_models: int
    chi2: float  # Friedman's statistic, corrected for ties
    p_chi2: float  # its p by the chi-squared distribution
    f: float  # the correction of Iman and Davenport (1980), less conservative with few blocks
    p: float  # its p by F with n_models - 1 and (n_models - 1)(n_blocks - 1) degrees of freedom


class SignedRank(NamedTuple):
    """Posterior probabilities of the Bayesian signed-rank test, which sum to 1."""

    better: float  # the first model is better by more than the region of practical equivalence
    same: float
    worse: float


# --- tables ----------------------------------------------------------------------------------------------


def wide(results: pd.DataFrame) -> pd.DataFrame:
    """The long table of published figures as scores in percentage points.

    Parameters
    ----------
    results : DataFrame
        task, dataset, split, unit, model (str), value (float64), such as `published("ankh_results")`. An unknown unit,
        and a figure that is missing or comes twice, is an InputError.

    Returns
    -------
    DataFrame of float64
        Index: task, column (`dataset`, or `dataset, split`); columns: models; both in the order of the page. Fractions
        and correlations are multiplied by 100.
    """
    need(results, PUBLISHED[:6], "published results")
    unknown = sorted(set(results["unit"]) - set(POINTS))
    if unknown:
        raise InputError(f"published results: unit {unknown[0]!r}, expected one of {', '.join(POINTS)}")
    table = results.assign(
        column=_columns(results), value=(results["value"] * results["unit"].map(POINTS)).round(DECIMALS)
    )
    keys = ["task", "column", "model"]
    twice = table[table.duplicated(keys)]
    if len(twice):
        raise InputError(f"published results: {', '.join(twice.iloc[0][keys])}: given twice")
    rows = pd.MultiIndex.from_frame(table[["task", "column"]].drop_duplicates())
    scores = table.pivot(index=["task", "column"], columns="model", values="value")
    scores = scores.reindex(index=rows, columns=list(dict.fromkeys(table["model"])))
    _complete(scores)
    return scores.rename_axis(columns=None)


def normalised(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of each row between 0, the worst model, and 1, the best; 0.5 throughout where all models are level.
    How much a tenth is worth differs from row to row: one model that fails moves all others together."""
    low, high = scores.min(axis=1), scores.max(axis=1)
    extent = (high - low).where(high > low)
    return scores.sub(low, axis=0).div(extent, axis=0).fillna(0.5)


def ranks(scores: pd.DataFrame, *, lowest_first: bool = False) -> pd.DataFrame:
    """The rank of each model (column) in each block (row): 1 is the best, models that are level share their mean rank,
    so that every row sums to k (k + 1) / 2. `lowest_first`: for mean ranks that are ranked again."""
    _complete(scores)
    return scores.round(DECIMALS).rank(axis=1, method="average", ascending=lowest_first)


def by_task(table: pd.DataFrame, *, merge: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Means of the rows of each task, so that a task with four columns counts as one with one; by task (str).
    `merge`: task -> block, such as `RELATED`; the tasks of a block are averaged after that."""
    means = table.groupby(level="task", sort=False).mean()
    for task in merge or {}:
        if task not in means.index:
            raise InputError(f"task {task!r} is to be merged, but the table has {', '.join(map(str, means.index))}")
    return means.rename(index=merge or {}).groupby(level="task", sort=False).mean()


def block_ranks(scores: pd.DataFrame, *, merge: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Ranks of the models in each task: ranks in its columns, averaged and ranked again, as `friedman` needs them."""
    return ranks(by_task(ranks(scores), merge=merge), lowest_first=True)


def bold(results: pd.DataFrame) -> pd.DataFrame:
    """What the page prints in bold, and what is best; `results` as in `wide`, with bold_on_page (bool); a row a column.
    Several models stand with a comma; right (bool): something is bold, and nothing is higher."""
    need(results, PUBLISHED, "published results")
    scores = wide(results)
    printed = results[results["bold_on_page"]].assign(column=_columns(results)).groupby(["task", "column"])["model"]
    marked = printed.agg(list).to_dict()
    rows = []
    for key, row in scores.iterrows():
        bold, best = marked.get(key, []), row.index[row == row.max()].tolist()
        right = bool(bold) and set(bold) <= set(best)
        rows.append((*key, ", ".join(bold), ", ".join(best), row[bold].max(), row.max(), right))
    return pd.DataFrame(rows, columns=["task", "column", "bold", "best", "bold_value", "best_value", "right"])


# --- tests over blocks -----------------------------------------------------------------------------------


def friedman(table: pd.DataFrame) -> Friedman:
    """Whether the models differ at all: Friedman's test over blocks, with the correction of Iman and Davenport, from
    ranks as of `block_ranks`. Demšar (2006), equations in 3.2.2; ties as in Conover (1999). Both p take blocks for
    independent. F is infinite where all agree."""
    values = table.to_numpy(dtype=np.float64)
    n, k = values.shape
    if n < 2 or k < 3:
        raise InputError(f"Friedman's test: {n} blocks and {k} models, expected at least two and three")
    if not np.allclose(values.sum(axis=1), k * (k + 1) / 2):
        raise InputError("Friedman's test: a row is not one of ranks; pass the scores through `ranks`")
    sums = values.sum(axis=0)
    spread = (values**2).sum() - n * k * (k + 1) ** 2 / 4  # of all ranks about their mean; 0 where all are level
    chi2 = (k - 1) * ((sums - n * (k + 1) / 2) ** 2).sum() / spread if spread > 0 else 0.0
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 else np.inf
    p_chi2, p = stats.chi2.sf(chi2, k - 1), stats.f.sf(f, k - 1, (k - 1) * (n - 1))
    return Friedman(n, k, float(chi2), float(p_chi2), float(f), float(p))


def critical_difference(n_models: int, n_blocks: int, *, alpha: float = 0.05) -> float:
    """How far apart two mean ranks must be to differ, all pairs taken together (Nemenyi's test; for many blocks).
    q of the studentized range at `alpha`, the chance of calling any pair different where none is, divided by the root
    of 2, times sqrt(k (k + 1) / (6 n)); Demšar (2006), table 5 (a)."""
    if n_models < 2 or n_blocks < 2:
        raise InputError(f"critical difference: {n_models} models and {n_blocks} blocks, expected at least two of each")
    q = stats.studentized_range.ppf(1 - alpha, n_models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_models * (n_models + 1) / (6 * n_blocks)))


def cliques(mean_ranks: pd.Series, difference: float) -> list[tuple[str, ...]]:
    """Groups of models whose mean ranks differ by less than `difference`, the bars of a critical-difference diagram:
    each of at least two models, from the best to the worst; none is part of another."""
    ordered = mean_ranks.sort_values(kind="stable")
    found, last = [], -1
    for start in range(len(ordered)):
        end = int((ordered < ordered.iloc[start] + difference).sum()) - 1
        if end > start and end > last:
            found.append(tuple(ordered.index[start : end + 1]))
            last = end
    return found


def _signed_rank(differences: ArrayLike) -> float:
    """p of Wilcoxon's two-sided signed-rank test, zeros left out; 1 where nothing is left, never below 2^(1 - n).
    Exact: the sums of all 2^n signs are counted, one rank after the other; with ties SciPy stops at 13 blocks."""
    values = _finite(differences)
    values = values[values != 0]
    if not len(values):
        return 1.0
    twice = np.rint(2 * stats.rankdata(np.abs(values))).astype(int)  # whole numbers, halves doubled
    ways = np.zeros(twice.sum() + 1)  # ways[s]: how many choices of positive ranks have the sum s
    ways[0] = 1
    for rank in twice:
        ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
    positive = twice[values > 0].sum()
    return float(min(1.0, 2 * min(ways[: positive + 1].sum(), ways[positive:].sum()) / ways.sum()))


def _holm(p: ArrayLike) -> np.ndarray:
    """p values corrected for their number by Holm's step-down method, in the order given; never below p nor above 1."""
    values = _finite(p)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return adjusted


def _bayesian_signed_rank(
    differences: ArrayLike, *, rope: float, n: int = 50_000, seed: int = 0, prior: float = 0.5
) -> SignedRank:
    """The Bayesian signed-rank test (Benavoli et al. 2017, section 4.2): better, equal for practical purposes, or
    worse? Each draw weights the differences, and one of 0 (the prior), by a Dirichlet distribution, and says where the
    mean of two most probably is: above, in (ends included) or below `rope` around 0; a tie is shared."""
    values = _finite(differences)
    if not len(values) or rope < 0 or n < 1 or prior <= 0:
        raise InputError(
            f"Bayesian signed-rank test: {len(values)} differences, rope {rope}, {n} draws, prior {prior}; "
            "expected at least one, 0 or more, and positive numbers"
        )
    values = np.concatenate([[0.0], values])
    weights = np.random.default_rng(seed).dirichlet([prior, *np.ones(len(values) - 1)], size=n)  # (n, m + 1)
    means = ((values[:, None] + values[None, :]) / 2).round(DECIMALS)  # of each pair, itself included
    above = np.einsum("ni,ij,nj->n", weights, (means > rope).astype(float), weights, optimize=True)
    below = np.einsum("ni,ij,nj->n", weights, (means < -rope).astype(float), weights, optimize=True)
    masses = np.stack([above, 1 - above - below, below], axis=1)
    most = masses >= masses.max(axis=1, keepdims=True) - 1e-12
    return SignedRank(*map(float, (most / most.sum(axis=1, keepdims=True)).mean(axis=0)))


def against(scores: pd.DataFrame, model: str, *, rope: float = 1.0, n: int = 50_000, seed: int = 0) -> pd.DataFrame:
    """One model against each of the others, over blocks.

    Parameters
    ----------
    scores : DataFrame of float64
        A row a block, a column a model, none missing, all rows in one unit, such as `by_task(wide(...))`.
    model : str
        The one that is compared, a column.
    rope : float
        Half the width of the region of practical equivalence, in the unit of the scores; its ends belong to it.
    n, seed : int
        Draws of the Bayesian test; each pair has the same.

    Returns
    -------
    DataFrame
        A row for each other model, in the order of the columns: model (str), wins, ties, losses (int64, blocks; of
        `model`), median (float64, of the differences, `model` minus the other), p, p_holm (Wilcoxon's signed-rank test;
        by Holm's method for all rows together), better, same, worse (posterior probabilities of the Bayesian
        signed-rank test of Benavoli et al. 2017).
    """
    _complete(scores)
    if model not in scores:
        raise InputError(f"model {model!r} is not in the table, which has {', '.join(map(str, scores.columns))}")
    rows = []
    for other in scores.columns.drop(model):
        difference = (scores[model] - scores[other]).round(DECIMALS)
        counts = [int(found.sum()) for found in (difference > 0, difference == 0, difference < 0)]
        posterior = _bayesian_signed_rank(difference, rope=rope, n=n, seed=seed)
        rows.append((other, *counts, difference.median(), _signed_rank(difference), *posterior))
    columns = ["model", "wins", "ties", "losses", "median", "p", "better", "same", "worse"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(columns.index("p") + 1, "p_holm", _holm(table["p"]))
    return table


# --- cost ------------------------------------------------------------------------------------------------


def costs(cards: Mapping[str, str]) -> pd.DataFrame:
    """The size of each model (name -> card), and gflops of a residue: 2 x parameters (Kaplan et al. 2020).
    Left out: attention itself, which grows with the length, and the decoder of T5."""
    found = {name: models.card(card) for name, card in cards.items()}
    rows = [(name, of.name, of.family, of.layers, of.dim, of.parameters) for name, of in found.items()]
    table = pd.DataFrame(rows, columns=["model", "card", "family", "layers", "dim", "parameters"])
    return table.assign(gflops=2 * table["parameters"] / 1e9)


def pareto(cost: ArrayLike, badness: ArrayLike) -> np.ndarray:
    """Which items (bool) no other beats: none is cheaper and at least as good, or as cheap and better. Low is good."""
    one, other = (values[:, None] for values in (_finite(cost), _finite(badness)))
    no_worse = (one <= one.T) & (other <= other.T)  # [i, j]: i is no worse than j in either
    beaten = no_worse & ((one < one.T) | (other < other.T))
    return np.asarray(~beaten.any(axis=0))


# --- the error of a figure -------------------------------------------------------------------------------


def _share_error(share: float, n: int) -> float:
    """Half the width of the 95 % interval of a share of n independent items: 1.96 sqrt(p (1 - p) / n)."""
    return float(Z * np.sqrt(share * (1 - share) / n))


def _correlation_error(rho: float, n: int) -> float:
    """Half the 95 % interval of a Spearman correlation of n pairs, near enough: 1.96 sqrt((1 + rho^2 / 2) / (n - 3)) on
    Fisher's scale (Bonett and Wright 2000), times 1 - rho^2 on rho's own."""
    return float(Z * (1 - rho**2) * np.sqrt((1 + rho**2 / 2) / (n - 3)))


def spread(low: float, high: float, n: int) -> float:
    """The standard deviation between n proteins, from a 95 % interval of their mean: half its width x sqrt(n) /
    1.96."""
    return float((high - low) / 2 * np.sqrt(n) / Z)


def sampling(scores: pd.DataFrame, *, spreads: Mapping[str, float] | None = None) -> pd.DataFrame:
    """How far each figure of `wide` may be off because its test set has so few proteins; of differences it is less.
    `spreads`: deviation between proteins, in percentage points, by task of `OVER_RESIDUES`. error: half the 95 %
    interval at the median of the models; residues_alone: the same, were residues independent."""
    rows = []
    for (task, column), row in scores.iterrows():
        name = column.split(", ")[0]
        n = None if "contacts" in task else PROTEINS.get(name)
        ordered = row.sort_values(ascending=False)
        middle = row.median() / 100
        error = residues = np.nan
        if task in OVER_RESIDUES:
            error = Z * spreads[task] / np.sqrt(n) if n and spreads and task in spreads else np.nan
            residues = 100 * _share_error(middle, RESIDUES[name]) if name in RESIDUES else np.nan
        elif n:
            error = 100 * (_correlation_error if task == "fluorescence" else _share_error)(middle, n)
        best, second, worst = ordered.iloc[0], ordered.iloc[1], ordered.iloc[-1]
        rows.append((task, column, n, best, second, best - second, best - worst, error, residues))
    columns = ["task", "column", "proteins", "best", "second", "lead", "extent", "error", "residues_alone"]
    return pd.DataFrame(rows, columns=columns).astype({"proteins": "Int64"})


# --- our runs next to the published models ---------------------------------------------------------------


def with_published(ours: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Our best learner of each test, the best baseline, and the range of the published models.

    Both learner and baseline are the best on the very proteins that they are measured on, which flatters both.

    Parameters
    ----------
    ours : DataFrame
        As of `tasks.scores`, with the column model (str), for any number of models; values are shares or correlations.
        A seed that comes twice, or a test with baselines alone, is an InputError.
    scores : DataFrame of float64
        As of `wide`.

    Returns
    -------
    DataFrame
        A row for each task, test, metric and model of ours (str): n (int64), learner (str, the best that reads the
        model), value, low, high, seed_low, seed_high (float64, percentage points, as of `tasks.over_seeds`), seeds
        (int64), baseline (str, the best; empty: none), baseline_value (float64), column (str: the published column that
        has the same name, or is the task's only one; empty: none), lowest, highest (float64, of the published models),
        data (str: how many proteins, of how many in the public set of that name), comparable (str: `no` or `in part`).
    """
    need(ours, OURS, "results of the tasks")
    twice = ours[ours.duplicated([*KEYS, "learner", "seed"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(f"results of the tasks: {', '.join(row[[*KEYS, 'learner']])}: seed {row['seed']} twice")
    strange = sorted(set(ours["learner"]) - set(tasks.LEARNERS))
    if strange:
        raise InputError(f"results of the tasks: learner {strange[0]!r}, expected one of {', '.join(tasks.LEARNERS)}")
    rows = []
    for key, part in tasks.over_seeds(ours).groupby(list(KEYS), sort=False):
        known = tasks.task(key[0])
        if known.published not in scores.index:
            raise InputError(f"published results: task {known.published!r} is missing")
        rule = part["learner"].map(lambda name: tasks.LEARNERS[name].baseline)
        if rule.all():
            raise InputError(f"results of the tasks: {', '.join(key)}: no learner but baselines")
        best = part[~rule].nlargest(1, "value").iloc[0]
        simple = part[rule].nlargest(1, "value")  # or none
        published = scores.loc[known.published]
        column = _counterpart(key[1], published.index)
        rows.append(
            {
                **best[[*KEYS, "n", "learner"]],
                **(100 * best[["value", "low", "high", "seed_low", "seed_high"]]),
                "seeds": best["seeds"],
                "baseline": "".join(simple["learner"]),
                "baseline_value": 100 * simple["value"].max(),
                "column": column,
                "lowest": published.loc[column].min() if column else np.nan,
                "highest": published.loc[column].max() if column else np.nan,
                "data": f"{best['n']:,}" + (f" of {PROTEINS[key[1]]}" if key[1] in PROTEINS else ""),
                "comparable": known.comparable.split(":")[0],
            }
        )
    return pd.DataFrame(rows)


def _counterpart(test: str, columns: Sequence[str]) -> str:
    """The published column of a test of ours, by name; the only one of a task where ours is just called `test`."""
    named = [
        each
        for each in columns
        if each in (test, f"{test}/1") or each.startswith(f"{test}, ") or each.endswith(f", {test}")
    ]
    if len(named) != 1 and test == "test":
        named = list(columns)
    return named[0] if len(named) == 1 else ""


def _columns(results: pd.DataFrame) -> pd.Series:
    split = results["split"].fillna("")
    return results["dataset"].where(split == "", results["dataset"] + ", " + split)


def _complete(scores: pd.DataFrame) -> None:
    missing = scores.isna()
    if missing.any(axis=None):
        row, model = missing.stack().idxmax()[:-1], missing.stack().idxmax()[-1]
        raise InputError(f"scores: {', '.join(map(str, row))}: none of {model}; expected one of every model")


def _finite(values: ArrayLike) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64).ravel()
    if len(bad := np.flatnonzero(~np.isfinite(found))):
        raise InputError(f"value {bad[0] + 1} is {found[bad[0]]}, expected finite numbers")
    return found
