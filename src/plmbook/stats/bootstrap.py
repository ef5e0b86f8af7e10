"""Resampling and the intervals that come of it: one bootstrap, one percentile interval, one binomial interval.

A *unit* is what is drawn: a gene, a protein, a cluster of relatives; its rows are not independent. A resample draws as
many units as there are, with replacement; each row counts as often as its unit. Intervals are percentiles, 2.5 to 97.5.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from plmbook.core.errors import InputError

CHUNK = 250  # resamples handled together: 250 x 4,400 rows of float64 are 9 MB
TAILS = (0.025, 0.975)
GENE_TAILS = ((1 - 0.95) / 2, (1 + 0.95) / 2)  # 2e-17 from TAILS; saved intervals over genes have these last bits


class Interval(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A statistic with its 95 % interval and the number of rows, or of units, that it rests on."""

    value: float
    low: float
    high: float
    n: int


def counts(n_units: int, *, n: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each unit is drawn in each resample: int64 (n, n_units), each row sums to n_units."""
    if n_units < 1:
        raise InputError("nothing to resample: no protein, gene or row to judge")
    return np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), size=n)


def weights(units: ArrayLike, *, n: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each row counts in each resample, given the unit of each row: float64 (n, n_rows)."""
    codes, names = pd.factorize(np.asarray(units))
    return counts(len(names), n=n, seed=seed)[:, codes].astype(np.float64)


def rows(n_rows: int, *, n: int = 1000, seed: int | Sequence[int] = 0) -> Iterator[np.ndarray]:
    """Which rows are drawn in each resample, int64 (n_rows,): for statistics that take no weights."""
    rng = np.random.default_rng(seed)
    return (rng.integers(n_rows, size=n_rows) for _ in range(n))


def chunks(weights: np.ndarray) -> list[np.ndarray]:
    """The resamples in parts that bound the memory of a statistic."""
    return [weights[start : start + CHUNK] for start in range(0, len(weights), CHUNK)]


def percentiles(values: ArrayLike, tails: tuple[float, float] = TAILS) -> Interval:
    """The ends of the interval, from the resamples on which the statistic exists; missing where it exists on none."""
    found = np.asarray(values, dtype=np.float64)
    found = found[~np.isnan(found)]
    return Interval(*map(float, np.quantile(found, tails))) if len(found) else Interval(np.nan, np.nan)


def ratio(
    numerator: ArrayLike,
    denominator: ArrayLike = 1.0,
    *,
    units: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 0,
    tails: tuple[float, float] = TAILS,
    of: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Estimate:
    """The sum of some numbers over that of others (1: their mean), and what `of` makes of it; n = the rows (units).
    Resamples whose denominator is not above 0 do not count.
    """
    pair = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), denominator)
    drawn = counts(len(pair[0]), n=n, seed=seed) if units is None else weights(units, n=n, seed=seed)
    above, below = (drawn @ each for each in pair)
    values = np.divide(above, below, out=np.full(n, np.nan), where=below > 0)
    return Estimate(float(of(pair[0].sum() / pair[1].sum())), *percentiles(of(values), tails), len(pair[0]))


def share(k: int, n: int, method: str = "wilson") -> Estimate:
    """k of n with its 95 % interval: Wilson's, or the exact one of Clopper and Pearson ("exact")."""
    from scipy.stats import binomtest

    if not 0 <= k <= n or not n:
        raise InputError(f"a share of {k} of {n}: expected one of at least one")
    ends = binomtest(k, n).proportion_ci(0.95, method=method)
    return Estimate(k / n, min(float(ends.low), k / n), max(float(ends.high), k / n), n)
