"""One resampling and its intervals: seeded, unbiased, and the same draw however a statistic asks for it."""

import numpy as np
import pytest
from scipy import stats

from plmbook.core.errors import InputError
from plmbook.stats import bootstrap


def test_counts_are_draws_with_replacement():
    drawn = bootstrap.counts(7, n=4000, seed=1)
    assert drawn.shape == (4000, 7) and (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.05)
    assert drawn.var(axis=0) == pytest.approx(np.full(7, 6 / 7), rel=0.1)  # binomial: 7 x 1/7 x 6/7
    assert (drawn == bootstrap.counts(7, n=4000, seed=1)).all() and (drawn != bootstrap.counts(7, n=4000)).any()
    # the first resamples do not depend on how many follow
    assert (bootstrap.counts(7, n=5, seed=1) == drawn[:5]).all()


def test_nothing_to_resample_is_refused():
    with pytest.raises(InputError, match="nothing to resample"):
        bootstrap.counts(0)


def test_rows_of_a_unit_are_drawn_together():
    units = ["b", "a", "b", "c", "a"]
    weights = bootstrap.weights(units, n=50, seed=2)
    assert weights.dtype == np.float64 and weights.shape == (50, 5)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]] == bootstrap.counts(3, n=50, seed=2)).all()  # units in order of appearance
    assert [len(part) for part in bootstrap.chunks(np.ones((600, 2)))] == [250, 250, 100]
    assert bootstrap.chunks(np.ones((0, 2))) == []


def test_rows_are_places_with_repeats():
    drawn = list(bootstrap.rows(5, n=3, seed=[0, 9]))
    assert len(drawn) == 3 and all(each.shape == (5,) and set(each) <= set(range(5)) for each in drawn)
    assert all((a == b).all() for a, b in zip(drawn, bootstrap.rows(5, n=3, seed=[0, 9]), strict=True))


def test_percentiles_leave_out_what_does_not_exist():
    values = np.arange(101.0)
    assert bootstrap.percentiles(values) == (2.5, 97.5)
    assert bootstrap.percentiles([*values, np.nan]) == (2.5, 97.5)
    assert np.isnan(bootstrap.percentiles([np.nan])).all() and np.isnan(bootstrap.percentiles([])).all()


def test_a_ratio_is_that_of_the_resampled_sums():
    above, below = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0])
    found = bootstrap.ratio(above, below, n=400, seed=3)
    drawn = bootstrap.counts(3, n=400, seed=3)
    assert found == (9 / 8, *np.quantile((drawn @ above) / (drawn @ below), [0.025, 0.975]), 3)
    assert bootstrap.ratio(above, n=400)[0] == 3 and bootstrap.ratio(above, units=list("xxx"), n=9) == (3, 3, 3, 3)
    log = bootstrap.ratio(above, below, n=400, seed=3, of=np.log)
    assert log.value == np.log(9 / 8) and log.low == pytest.approx(np.log(found.low), abs=1e-3)


def test_resamples_without_a_denominator_do_not_count():
    found = bootstrap.ratio(np.array([1.0, 3.0]), np.array([0.0, 4.0]), n=200)  # a quarter draws the first row twice
    assert (found.low, found.high) == (0.75, 1.0)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 5), (5, 5), (40, 200)])
def test_a_share_is_scipys(k, n):
    for method in ("wilson", "exact"):
        found, ends = bootstrap.share(k, n, method), stats.binomtest(k, n).proportion_ci(0.95, method=method)
        assert found == pytest.approx((k / n, ends.low, ends.high, n), abs=1e-12)
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_share_of_nothing_is_refused():
    for k, n in ((0, 0), (3, 2)):
        with pytest.raises(InputError, match=f"share of {k} of {n}"):
            bootstrap.share(k, n)
