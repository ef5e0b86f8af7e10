"""AUROC of cases against controls of the same stratum: comparisons that cannot gain by what the strata fix.

A *stratum* is a set of rows that are alike in what should not count (protein, separation, frequency). A gene's AUROC is
the sum over its strata of U (pairs in which the case has the higher value, ties half) over that of n_cases n_controls;
the statistic is the mean over genes. For the p-value the labels of each stratum are rotated along the chain:
neighbours' values are alike and cases come in runs, so that free permutation would make chance look too rare.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need
from plmbook.stats import metrics

MINIMUM = 10  # cases that a gene needs, in strata that have controls too


class Matched(NamedTuple):
    """A matched AUROC, and how many were compared."""

    value: float  # mean over genes with its 95 % interval; 0.5 is chance
    low: float
    high: float
    p: float  # one-sided: the share of permutations that reach the value, itself included
    n_genes: int
    n_cases: int
    n_controls: int


def auroc(
    table: pd.DataFrame,
    *,
    value: str,
    case: str,
    strata: Sequence[str],
    minimum: int = MINIMUM,
    n: int = 1000,
    seed: int = 0,
) -> Matched:
    """The chance that a case has a higher value than a control of its stratum, with interval and p-value.

    Parameters
    ----------
    table : DataFrame
        gene (str), the columns `value` (float, none missing), `case` (bool) and `strata`; the rows of a stratum in the
        order along the chain.
    value, case, strata : str, str, sequence of str
        Names of columns; a gene and values of `strata` make a stratum.
    minimum : int
        Cases of a gene that are in strata with controls; genes with fewer are left out.
    n, seed : int
        Of the permutations and of the bootstrap.

    Returns
    -------
    Matched
        InputError where no gene has enough cases.
    """
    rows = _ranked(table, value, case, strata)
    genes = _genes(rows, table["gene"].unique(), minimum)
    enough = genes["enough"].to_numpy()
    if not enough.any():
        raise InputError(f"no gene has {minimum} cases with controls of their stratum; {len(genes)} genes were given")
    estimate = metrics.mean_over_genes(genes.loc[enough, "auroc"], n=n, seed=seed)
    pairs, floor, rank = genes["n_pairs"].to_numpy(), genes["floor"].to_numpy(), rows["rank"].to_numpy()
    start = np.flatnonzero(~rows["stratum"].duplicated())  # (n_strata,): each one's first row
    size = np.diff(start, append=len(rows))
    place = np.flatnonzero(rows["case"])  # (n_cases,)
    stratum, gene = rows["stratum"].to_numpy()[place], genes.index.get_indexer(rows["gene"].iloc[place])
    rng, reached = np.random.default_rng(seed), 0
    for _ in range(n):
        turned = start[stratum] + (place - start[stratum] + rng.integers(size)[stratum]) % size[stratum]
        sums = np.bincount(gene, weights=rank[turned], minlength=len(genes))
        chance = ((sums - floor)[enough] / pairs[enough]).mean()
        reached += bool(chance >= estimate.value - 1e-12)  # a rotation by nothing gives the value itself
    n_cases, n_controls = (int(genes.loc[enough, name].sum()) for name in ("n_cases", "n_controls"))
    return Matched(*estimate[:3], (1 + reached) / (1 + n), int(enough.sum()), n_cases, n_controls)


def gene_aurocs(
    table: pd.DataFrame, *, value: str, case: str, strata: Sequence[str], minimum: int = MINIMUM
) -> pd.DataFrame:
    """`auroc` of each gene that has enough cases: gene (str), auroc (float64), n_cases, n_controls, n_pairs (int64)."""
    genes = _genes(_ranked(table, value, case, strata), table["gene"].unique(), minimum)
    genes = genes[genes["enough"]].rename_axis("gene").reset_index()
    return genes[["gene", "auroc", "n_cases", "n_controls", "n_pairs"]]


def quantile_bins(table: pd.DataFrame, column: str, *, by: Sequence[str], bins: int = 3) -> pd.Series:
    """A stratum: which part of its group a row is in, by a column's quantiles (int64, 0 the lowest; ties together)."""
    # Equal values share the highest of their ranks, so that they fall on one side.
    share = table.groupby(list(by), sort=False)[column].rank(pct=True, method="max")
    return np.minimum(np.ceil(share * bins - 1e-9).astype("int64") - 1, bins - 1)


def _ranked(table: pd.DataFrame, value: str, case: str, strata: Sequence[str]) -> pd.DataFrame:
    """The rows of strata with cases and controls, stratum by stratum, otherwise in their order: gene, stratum (int64
    from 0), case (bool), rank (float64: within the stratum, 1 is the lowest, ties their mean).
    """
    need(table, ["gene", value, case, *strata])
    if n_missing := int(table[value].isna().sum()):
        raise InputError(f"{n_missing} of {len(table)} values of {value} are missing")
    code = table.groupby(["gene", *strata], sort=False, dropna=False).ngroup()
    rows = pd.DataFrame({"gene": table["gene"], "stratum": code, "case": table[case].astype(bool)})
    rows["rank"] = table[value].astype(float).groupby(code).rank()
    share = rows["case"].groupby(code).transform("mean")
    rows = rows[(share > 0) & (share < 1)].sort_values("stratum", kind="stable", ignore_index=True)
    return rows.assign(stratum=pd.factorize(rows["stratum"])[0])


def _genes(rows: pd.DataFrame, genes: Sequence[str], minimum: int) -> pd.DataFrame:
    """A row a gene: auroc, counts, whether it has enough cases, and what the sum of its cases' ranks is at least."""
    strata = rows.groupby("stratum").agg(gene=("gene", "first"), size=("case", "size"), n_cases=("case", "sum"))
    strata["n_controls"] = strata["size"] - strata["n_cases"]
    strata["n_pairs"] = strata["n_cases"] * strata["n_controls"]
    strata["floor"] = strata["n_cases"] * (strata["n_cases"] + 1) // 2
    counts = ["n_cases", "n_controls", "n_pairs", "floor"]
    found = strata.groupby("gene")[counts].sum().reindex(genes, fill_value=0).astype("int64")
    sums = rows[rows["case"]].groupby("gene")["rank"].sum().reindex(genes, fill_value=0.0)
    found["enough"] = found["n_cases"] >= max(minimum, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found.assign(auroc=(sums - found["floor"]) / found["n_pairs"])
