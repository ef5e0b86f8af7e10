"""Measures, gains and means over seeds, by hand."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.core.errors import InputError


def outcomes(task, predicted, truth):
    n = len(predicted)
    return pd.DataFrame(
        {"task": task, "test": "T", "learner": "linear", "seed": 0, "id": [str(k) for k in range(n)]}
        | {"predicted": np.array(predicted, float), "truth": np.array(truth, float)}
    )


@pytest.mark.parametrize(
    "task, predicted, truth, value",
    [
        ("secondary_structure_3", [8, 1], [10, 30], 9 / 40),  # residues, not the mean of proteins
        ("contacts", [0.5, 0.1], [1, 1], 0.3),
        ("localisation", [1, 2, 2], [1, 2, 3], 2 / 3),
        ("solubility", [1, 0], [1, 1], 0.5),
        ("fluorescence", [1, 2, 4], [3, 5, 9], 1.0),
        ("cath", [1, 0, 0], [1, 1, 0], 0.5),  # of the two that count
    ],
)
def test_measures_by_hand(task, predicted, truth, value):
    found = tasks.estimate(outcomes(task, predicted, truth), n=200)
    assert found.value == pytest.approx(value)
    assert found.low <= found.value <= found.high
    assert found.n == (2 if task == "cath" else len(predicted))


def test_a_gain_is_of_the_same_proteins():
    better, worse = (
        outcomes("solubility", [1, 1, 0, 1], [1, 1, 1, 1]),
        outcomes("solubility", [1, 0, 0, 0], [1, 1, 1, 1]),
    )
    found = tasks.gain(better, worse, n=500)
    assert found.value == 0.5 and found.low >= 0
    assert tasks.gain(better, better).high == 0
    with pytest.raises(InputError, match="expected the same"):
        tasks.gain(better, worse.head(3))


def test_over_seeds_by_hand():
    rows = [
        ("solubility", "test", "accuracy", "mlp", seed, value, 0.4, 0.8, 9)
        for seed, value in enumerate([0.5, 0.6, 0.7])
    ]
    rows.append(("solubility", "test", "accuracy", "linear", 0, 0.6, 0.5, 0.7, 9))
    names = ["task", "test", "metric", "learner", "seed", "value", "low", "high", "n"]
    found = tasks.over_seeds(pd.DataFrame(rows, columns=names)).set_index("learner")
    mlp = found.loc["mlp"]
    half = 4.302653 * 0.1 / np.sqrt(3)  # Student's t with 2 degrees of freedom
    assert mlp["value"] == pytest.approx(0.6) and mlp["seed_high"] - mlp["value"] == pytest.approx(half, rel=1e-5)
    assert (mlp["seeds"], found.loc["linear", "seed_low"]) == (3, 0.6)
