"""AUROC of cases against controls of the same stratum: comparisons that cannot gain by what the strata fix.

A *stratum* is a set of rows that are alike in what should not count: of one protein, at one separation, of one
frequency, and so on.  A case is compared with the controls of its stratum only.  In each gene

    AUROC = sum over strata of U / sum over strata of n_cases n_controls

with U the number of pairs in which the case has the higher value, ties half.  The statistic is the mean over genes,
each counting alike; its interval comes from resampling genes.

The p-value is that of a permutation which keeps the cases' neighbourhood: within each stratum, in the order of the
rows (along the chain), the labels are rotated by a random number of rows.  Values of neighbours are alike and cases
come in runs, so that labels dealt out freely would make chance look rarer than it is.
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
    value, case : str
        Names of columns.
    strata : sequence of str
        Columns that together with the gene make the strata.
    minimum : int
        Cases of a gene that are in strata with controls; genes with fewer are left out, and counted by `n_genes`.
    n, seed : int
        Of the permutations and of the bootstrap.

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        A column or a value is missing, or no gene has enough cases.

    Examples
    --------
    Two strata of a gene: in the first the case is above both controls, in the second below one and above none.

    >>> t = pd.DataFrame({"gene": "A", "near": [1, 1, 1, 2, 2], "x": [3.0, 1.0, 2.0, 0.0, 9.0],
    ...                   "hit": [True, False, False, True, False]})
    >>> found = auroc(t, value="x", case="hit", strata=["near"], minimum=1, n=100)
    >>> round(found.value, 4), found.n_cases, found.n_controls
    (0.6667, 2, 3)
    """
    ranked = _ranked(table, value, case, strata)
    genes = _genes(ranked, minimum)
    enough = genes["enough"].to_numpy()
    if not enough.any():
        raise InputError(f"no gene has {minimum} cases with controls of their stratum; {len(genes)} genes were given")
    estimate = metrics.mean_over_genes(genes.loc[enough, "auroc"], n=n, seed=seed)
    pairs, floor = genes["n_pairs"].to_numpy(), genes["floor"].to_numpy()
    rng = np.random.default_rng(seed)
    reached = 0
    for _ in range(n):
        shift = rng.integers(ranked.size)  # one a stratum
        turned = ranked.start + (ranked.offset + shift[ranked.stratum]) % ranked.size[ranked.stratum]
        sums = np.bincount(ranked.gene, weights=ranked.rank[turned], minlength=len(genes))
        chance = ((sums - floor)[enough] / pairs[enough]).mean()
        reached += bool(chance >= estimate.value - 1e-12)  # a rotation by nothing gives the value itself
    n_cases, n_controls = (int(genes.loc[enough, name].sum()) for name in ("n_cases", "n_controls"))
    return Matched(*estimate[:3], (1 + reached) / (1 + n), int(enough.sum()), n_cases, n_controls)


def gene_aurocs(
    table: pd.DataFrame, *, value: str, case: str, strata: Sequence[str], minimum: int = MINIMUM
) -> pd.DataFrame:
    """`auroc` of each gene that has enough cases: gene (str), auroc (float64), n_cases, n_controls, n_pairs (int64)."""
    genes = _genes(_ranked(table, value, case, strata), minimum)
    return genes.loc[genes["enough"], ["gene", "auroc", "n_cases", "n_controls", "n_pairs"]].reset_index(drop=True)


def quantile_bins(table: pd.DataFrame, column: str, *, by: Sequence[str], bins: int = 3) -> pd.Series:
    """Which part of its group a row is in, by the quantiles of a column, int64 from 0 for the lowest: a stratum.

    Parts have equally many rows, but equal values stay together.

    >>> quantile_bins(pd.DataFrame({"g": "A", "x": [5.0, 1.0, 3.0, 3.0]}), "x", by=["g"], bins=2).tolist()
    [1, 0, 1, 1]
    """
    # Equal values share the highest of their ranks, so that they fall on one side.
    share = table.groupby(list(by), sort=False)[column].rank(pct=True, method="max")
    return np.minimum(np.ceil(share * bins - 1e-9).astype("int64") - 1, bins - 1)


class _Ranked(NamedTuple):
    """The rows of strata with cases and controls, stratum by stratum."""

    rank: np.ndarray  # float64 (n_rows,): within the stratum, 1 is the lowest, ties their mean
    size: np.ndarray  # int64 (n_strata,): rows
    n_cases: np.ndarray  # int64 (n_strata,)
    gene_of_stratum: np.ndarray  # int64 (n_strata,)
    names: np.ndarray  # str (n_genes,)
    start: np.ndarray  # int64 (n_cases,): first row of each case's stratum
    offset: np.ndarray  # int64 (n_cases,): the case's row in it
    stratum: np.ndarray  # int64 (n_cases,)
    gene: np.ndarray  # int64 (n_cases,)


def _ranked(table: pd.DataFrame, value: str, case: str, strata: Sequence[str]) -> _Ranked:
    need(table, ["gene", value, case, *strata])
    values, cases = table[value].to_numpy(dtype=np.float64), table[case].to_numpy(dtype=bool)
    if np.isnan(values).any():
        raise InputError(f"{int(np.isnan(values).sum())} of {len(values)} values of {value} are missing")
    code = table.groupby(["gene", *strata], sort=False, dropna=False).ngroup().to_numpy()
    n_rows, n_cases = np.bincount(code), np.bincount(code, weights=cases)
    both = ((n_cases > 0) & (n_cases < n_rows))[code]
    gene, names = pd.factorize(table["gene"])
    order = np.flatnonzero(both)[np.argsort(code[both], kind="stable")]
    values, cases, gene = values[order], cases[order], gene[order]
    _, code, size = np.unique(code[order], return_inverse=True, return_counts=True)
    start = np.cumsum(size) - size
    place = np.flatnonzero(cases)
    return _Ranked(
        rank=pd.Series(values).groupby(code).rank().to_numpy(),
        size=size,
        n_cases=np.bincount(code, weights=cases, minlength=len(size)).astype(np.int64),
        gene_of_stratum=gene[start],
        names=np.asarray(names),
        start=start[code[place]],
        offset=place - start[code[place]],
        stratum=code[place],
        gene=gene[place],
    )


def _genes(ranked: _Ranked, minimum: int) -> pd.DataFrame:
    """A row a gene: auroc, counts, whether it has enough cases, and what the sum of ranks is at least (`floor`)."""
    n_controls = ranked.size - ranked.n_cases

    def of_genes(values: np.ndarray) -> np.ndarray:
        return np.bincount(ranked.gene_of_stratum, weights=values, minlength=len(ranked.names)).astype(np.int64)

    rows = ranked.rank[ranked.start + ranked.offset]
    sums = np.bincount(ranked.gene, weights=rows, minlength=len(ranked.names))
    found = pd.DataFrame(
        {
            "gene": ranked.names,
            "n_cases": of_genes(ranked.n_cases),
            "n_controls": of_genes(n_controls),
            "n_pairs": of_genes(ranked.n_cases * n_controls),
            "floor": of_genes(ranked.n_cases * (ranked.n_cases + 1) // 2),
        }
    )
    found["enough"] = found["n_cases"] >= max(minimum, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found["auroc"] = (sums - found["floor"]) / found["n_pairs"]
    return found
