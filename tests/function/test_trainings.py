"""Many trainings as one table: each term as if it were learnt alone, and what comes out is what was learnt."""

import numpy as np
import pandas as pd
import pytest

from plmbook.core.errors import InputError
from plmbook.function import classifier, ontology, proteomes, trainings

TERMS = ["GO:1", "GO:2", "GO:3"]


@pytest.fixture(scope="module")
def benchmark():
    """150 proteins; one feature tells the first term, the second is a coin, the third has no protein."""
    rng, n = np.random.default_rng(5), 150
    ids = pd.Index([f"p{number}" for number in range(n)], name="id")
    labels = pd.DataFrame({term: rng.random(n) < 0.4 for term in TERMS}, index=ids)
    labels["GO:3"] = False
    parts = {}
    for seed in (1, 2):
        drawn = rng.permutation(np.repeat(["train", "validation", "test"], [90, 30, 30]))
        parts[trainings.RANDOM, seed] = pd.Series(drawn, index=ids)
    parts["some", 1] = parts[trainings.RANDOM, 1].iloc[:120]  # a split that leaves proteins out
    nothing = ontology.Propagated(pd.DataFrame(), pd.DataFrame(), 0)
    return trainings.Benchmark(pd.DataFrame({"id": ids}), TERMS, {"as given": labels}, nothing, parts)


@pytest.fixture(scope="module")
def features(benchmark):
    rng = np.random.default_rng(6)
    values = rng.normal(size=(150, 3)).astype(np.float32)
    values[:, 0] += 3 * benchmark.labels["as given"]["GO:1"]
    return {"lightgbm": values, "knn": values}


def one(split, seed, learner="lightgbm"):
    return pd.DataFrame([("as given", split, seed, learner)], columns=list(trainings.KEYS))


@pytest.mark.parametrize("learner", ["lightgbm", "knn"])
@pytest.mark.parametrize(("split", "seed"), [(trainings.RANDOM, 2), ("some", 1)])
def test_the_table_says_what_the_classifier_says(benchmark, features, learner, split, seed):
    table = trainings.answer(benchmark, one(split, seed, learner), features)
    found = trainings.read(table, annotations="as given", split=split, seed=seed, learner=learner)
    part, labels = benchmark.splits[split, seed], benchmark.labels["as given"]
    inside = labels.index.isin(part.index)
    options = trainings.FAST if learner == "lightgbm" else {}
    made = classifier.fit(learner, features[learner][inside], labels[inside], part, seed=seed, **options)
    tested = labels.index.isin(part.index[part == "test"])
    assert found.terms == made.terms == ("GO:1", "GO:2")
    expected = made.predict(features[learner][tested])
    np.testing.assert_allclose(found.probabilities, expected, rtol=0.51e-3, atol=1.1e-9)
    np.testing.assert_allclose(found.thresholds, made.thresholds, rtol=0.51e-3)
    live = trainings.learn(
        benchmark, features[learner], annotations="as given", split=split, seed=seed, learner=learner
    )
    np.testing.assert_array_equal(live.probabilities, expected)
    assert (table["GO:3"] == trainings.UNLEARNT).all()


def test_a_term_does_not_depend_on_the_others(benchmark, features):
    together = trainings.answer(benchmark, one(trainings.RANDOM, 1), features)
    alone = trainings.answer(benchmark, one(trainings.RANDOM, 1), features, terms=["GO:2"])
    pd.testing.assert_frame_equal(alone, together[list(alone)])
    assert trainings.mean_difference(alone, together, ["GO:2"]).tolist() == [0.0]
    nobody = trainings.answer(
        benchmark, one(trainings.RANDOM, 1), features, terms=["GO:3"]
    )  # no term that can be learnt
    pd.testing.assert_frame_equal(nobody, together[list(nobody)])


def test_the_plan_has_the_rows_of_the_answers(benchmark, features):
    rows = trainings.plan(benchmark, pd.concat([one(trainings.RANDOM, 1), one("some", 1)]))
    found = trainings.answer(benchmark, rows, features)
    pd.testing.assert_frame_equal(found[list(rows)], rows)
    assert rows.groupby("split", sort=False)["id"].agg(["size", "first"]).values.tolist() == [
        [31, trainings.THRESHOLD],
        [1 + int((benchmark.splits["some", 1] == "test").sum()), trainings.THRESHOLD],
    ]


def test_trainings_of_one_seed_and_of_the_others(benchmark):
    given = trainings.trainings(benchmark, "knn", seed=1, again=False)
    assert given.values.tolist() == [["as given", "random", 1, "knn"], ["as given", "some", 1, "knn"]]
    again = trainings.trainings(benchmark, "knn", seed=1, again=True)
    assert again.values.tolist() == [
        ["as given", "random", 2, "knn"],
        ["propagated", "random", 1, "knn"],
        ["propagated", "homology", 1, "knn"],
    ]


def test_the_sample_is_learnt_across_its_two_species():
    """The shipped answers are keyed by their rows: the order of the splits is part of them."""
    benchmark = trainings.benchmark(proteomes.load("cafa5"), seed=1, n_seeds=2)
    expected = [("random", 1), ("homology", 1), ("random", 2), ("homology", 2)]
    assert list(benchmark.splits) == [*expected, ("human to mouse", 1), ("mouse to human", 1)]


def test_how_far_apart_is_a_mean_over_proteins():
    before, after = (pd.DataFrame({"GO:1": trainings.steps(np.array(p))}) for p in ([0.5, 0.2], [0.5, 0.3]))
    assert trainings.mean_difference(before, after, ["GO:1"])["GO:1"] == pytest.approx(0.05, abs=1e-4)


def test_a_training_that_is_not_there_is_named(benchmark, features):
    table = trainings.answer(benchmark, one(trainings.RANDOM, 1), features)
    with pytest.raises(InputError, match="no training as given, random, 9, lightgbm"):
        trainings.read(table, annotations="as given", split="random", seed=9, learner="lightgbm")
