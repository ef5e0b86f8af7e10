"""What comes of answers: the measure of each task, test, learner and seed, and differences, with intervals."""

import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.stats import bootstrap
from plmbook.stats.bootstrap import Estimate
from plmbook.tasks.base import Task
from plmbook.tasks.catalogue import task


def estimate(outcomes: pd.DataFrame, *, n: int = 1000, seed: int = 0) -> Estimate:
    """The measure of rows of `run`, of one task, test, learner and seed; 95 % from resampling the test proteins.
    n = the test proteins; of CATH the queries whose class the lookup set has."""
    if not len(outcomes):
        raise InputError("no test protein to judge")
    of, predicted, truth = _task(outcomes), outcomes["predicted"].to_numpy(), outcomes["truth"].to_numpy()
    return _resampled(lambda rows: of.measure(predicted[rows], truth[rows]), of, truth, n, seed)


def gain(outcomes: pd.DataFrame, than: pd.DataFrame, *, n: int = 1000, seed: int = 0) -> Estimate:
    """How much better one learner is than another on the same test proteins: difference of the measures, paired."""
    both = outcomes.merge(than[["id", "predicted"]], on="id", suffixes=("", "_other"))
    if not len(both) == len(outcomes) == len(than):
        raise InputError(f"{len(both)} test proteins in common of {len(outcomes)} and {len(than)}: expected the same")
    of = _task(outcomes)
    first, second, truth = (both[name].to_numpy() for name in ("predicted", "predicted_other", "truth"))

    def difference(rows) -> float:
        return of.measure(first[rows], truth[rows]) - of.measure(second[rows], truth[rows])

    return _resampled(difference, of, truth, n, seed)


def scores(outcomes: pd.DataFrame, *, n: int = 1000) -> pd.DataFrame:
    """The measure of every task, test, learner and seed.

    Parameters
    ----------
    outcomes : DataFrame
        From `run`, of any number of tasks.
    n : int
        Resamples.

    Returns
    -------
    DataFrame
        task, test, metric, learner (str), seed (int64), value, low, high (float64), n (int64, test proteins).
    """
    rows = []
    for (name, test, learner, seed), part in outcomes.groupby(["task", "test", "learner", "seed"], sort=False):
        rows.append((name, test, task(name).metric, learner, seed, *estimate(part, n=n)))
    return pd.DataFrame(rows, columns=["task", "test", "metric", "learner", "seed", "value", "low", "high", "n"])


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """One row a test and learner: the mean over seeds, with two intervals."""
    from scipy.stats import t

    keys = [name for name in ("model", "task", "test", "metric", "learner") if name in table]
    rows = []
    for key, part in table.groupby(keys, sort=False):
        values = part["value"].to_numpy()
        half = 0.0
        if len(values) > 1:
            half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        mean = float(values.mean())
        within = (part["low"].mean(), part["high"].mean(), mean - half, mean + half)
        rows.append((*key, mean, *within, len(values), part["n"].iloc[0]))
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "seed_low", "seed_high", "seeds", "n"])


def _task(outcomes: pd.DataFrame) -> Task:
    return task(outcomes["task"].iloc[0])


def _resampled(statistic: Callable[..., float], of: Task, truth: np.ndarray, n: int, seed: int) -> Estimate:
    drawn = bootstrap.rows(len(truth), n=n, seed=[seed, zlib.crc32(str(len(truth)).encode())])
    return Estimate(statistic(slice(None)), *bootstrap.percentiles(list(map(statistic, drawn))), of.n_counted(truth))
