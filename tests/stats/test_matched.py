"""The matched AUROC against pairs counted one by one, and a permutation that knows what chance is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plmbook.core.errors import InputError
from plmbook.stats import matched


def table(seed=0, genes=6, strata=8, rows=20, shift=0.0):
    """Noise in which the cases lie `shift` higher."""
    rng = np.random.default_rng(seed)
    gene = np.repeat([f"G{n}" for n in range(genes)], strata * rows)
    case = rng.random(len(gene)) < 0.3
    values = rng.normal(size=len(gene)) + shift * case
    return pd.DataFrame(
        {"gene": gene, "part": np.tile(np.repeat(range(strata), rows), genes), "x": values, "hit": case}
    )


def counted(t, minimum):
    """The slow way: each case with each control of its stratum."""
    found = {}
    for gene, part in t.groupby("gene", sort=False):
        wins = pairs = cases = 0
        for _, stratum in part.groupby("part"):
            high, low = stratum["x"][stratum["hit"]], stratum["x"][~stratum["hit"]]
            for value in high:
                wins += (value > low).sum() + (value == low).sum() / 2
            pairs += len(high) * len(low)
            cases += len(high) if len(low) else 0
        if cases >= minimum:
            found[gene] = wins / pairs
    return found


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=40))
@settings(max_examples=60, deadline=None)
def test_pairs_counted_one_by_one(rows):
    t = pd.DataFrame(rows, columns=["gene", "part", "x", "hit"]).astype({"x": float, "hit": bool})
    expected = counted(t, 1)
    found = matched.gene_aurocs(t, value="x", case="hit", strata=["part"], minimum=1)
    assert dict(zip(found["gene"], found["auroc"], strict=True)) == pytest.approx(expected)


def test_the_statistic_is_the_mean_over_genes():
    t = table(shift=0.5)
    found = matched.auroc(t, value="x", case="hit", strata=["part"], n=100)
    assert found.value == pytest.approx(np.mean(list(counted(t, 10).values())))
    assert found.low <= found.value <= found.high
    used = t[t.groupby(["gene", "part"])["hit"].transform("nunique") == 2]  # strata with cases and controls
    assert found.n_genes == 6 and found.n_cases == used["hit"].sum() and found.n_controls == (~used["hit"]).sum()


def test_p_is_small_where_there_is_something_and_uniform_where_there_is_not():
    options = {"value": "x", "case": "hit", "strata": ["part"], "n": 99}
    assert matched.auroc(table(shift=0.5), **options).p == 0.01
    assert matched.auroc(table(shift=-0.5), **options).p > 0.9
    chance = [matched.auroc(table(seed, genes=3, strata=4), **options).p for seed in range(60)]
    assert 0.35 < np.mean(chance) < 0.65 and np.mean(np.array(chance) <= 0.1) < 0.25


def test_p_of_runs_is_that_of_runs():
    """Values and cases both come in runs: what free permutation would call rare happens by chance."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        walk = np.repeat(rng.normal(size=(4, 10)), 10, axis=1).reshape(-1)  # runs of ten equal values
        case = np.repeat(rng.random((4, 10)) < 0.3, 10, axis=1).reshape(-1)
        t = pd.DataFrame({"gene": "A", "part": np.repeat(range(4), 100), "x": walk, "hit": case})
        found.append(matched.auroc(t, value="x", case="hit", strata=["part"], n=99).p)
    assert np.mean(np.array(found) <= 0.05) <= 0.15


def test_what_the_strata_fix_does_not_count():
    t = table().assign(x=lambda t: t["part"] * 100.0, hit=lambda t: t.index % 20 < t["part"])  # high strata, many cases
    found = matched.auroc(t, value="x", case="hit", strata=["part"], n=20)
    assert found.value == 0.5 and found.p == 1


def test_equal_seeds_give_equal_answers_and_rows_may_come_gene_by_gene_in_any_order():
    t = table(shift=0.2)
    options = {"value": "x", "case": "hit", "strata": ["part"], "n": 50}
    assert matched.auroc(t, **options) == matched.auroc(t, **options)
    turned = pd.concat([part for _, part in reversed(list(t.groupby("gene")))])
    first, second = (matched.gene_aurocs(each, value="x", case="hit", strata=["part"]) for each in (t, turned))
    pd.testing.assert_frame_equal(first, second.sort_values("gene", ignore_index=True))


def test_faults():
    t = table()
    with pytest.raises(InputError, match="lacks place"):
        matched.auroc(t, value="x", case="hit", strata=["place"])
    with pytest.raises(InputError, match="1 of 960 values of x are missing"):
        matched.auroc(t.assign(x=t["x"].where(t.index > 0)), value="x", case="hit", strata=["part"])
    with pytest.raises(InputError, match="no gene has 1000 cases"):
        matched.auroc(t, value="x", case="hit", strata=["part"], minimum=1000)


def test_bins_hold_equally_many_rows_of_each_group():
    t = pd.DataFrame({"g": ["A"] * 6 + ["B"] * 3, "x": [6.0, 5, 4, 3, 2, 1, 10, 30, 20]})
    assert matched.quantile_bins(t, "x", by=["g"]).tolist() == [2, 2, 1, 1, 0, 0, 0, 2, 1]
    assert matched.quantile_bins(t.assign(x=1.0), "x", by=["g"]).nunique() == 1
