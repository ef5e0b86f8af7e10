"""What the pages of the tasks show: lines, gains and tables from made-up answers."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.book import style, task_pages
from plmbook.core import artifacts, paths
from plmbook.core.errors import InputError
from plmbook.models import cards
from plmbook.tables.published import published

DEFAULT, GENERAL = (cards.card(name).name for name in ("embedded", "embedded_general"))


def answers(model, learner, right, *, seed=0, task="solubility", test="test"):
    """Ten test proteins, the first `right` of them right."""
    return pd.DataFrame(
        {"task": task, "test": test, "learner": learner, "seed": seed, "id": [f"p{n}" for n in range(10)]}
        | {"predicted": [1.0] * right + [0.0] * (10 - right), "truth": 1.0, "model": model}
    )


@pytest.fixture
def outcomes():
    """Composition 5 of 10, frequency 4, the head 8 and 6 in two seeds of the default model, 3 of the general one."""
    parts = []
    for model, heads in ((DEFAULT, (8, 6)), (GENERAL, (3, 3))):
        parts += [answers(model, "frequency", 4), answers(model, "composition", 5), answers(model, "linear", 7)]
        parts += [answers(model, "convbert", right, seed=seed) for seed, right in enumerate(heads)]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def measured(outcomes):
    parts = [tasks.scores(part, n=20).assign(model=model) for model, part in outcomes.groupby("model", sort=False)]
    return tasks.over_seeds(pd.concat(parts, ignore_index=True))


def test_load_reads_what_the_chapter_left(outcomes, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / profile)
    with pytest.raises(InputError, match="does not exist"):
        task_pages.load([DEFAULT], ["solubility"], "embedded")
    for model, part in outcomes.groupby("model"):
        own = part.drop(columns="model")
        artifacts.save(own, f"task_outcomes.{model}")
        artifacts.save(tasks.scores(own, n=20).assign(model=model), f"tasks.{model}")
    found, measured = task_pages.load([DEFAULT, GENERAL], ["solubility"], "embedded")
    assert len(found) == len(outcomes) and set(measured["model"]) == {DEFAULT, GENERAL}
    assert not len(task_pages.load([DEFAULT], ["localisation"], "embedded")[0])


def test_a_baseline_stands_once_and_a_learner_once_a_model(measured):
    lines = task_pages.rows(measured)
    names = ["frequency", "composition", "linear, default", "linear, general", "convbert, default", "convbert, general"]
    assert lines["name"].tolist() == names
    assert lines["kind"].tolist() == [style.BASELINE] * 2 + [style.BUNDLED, style.GENERAL] * 2


def test_gains_are_over_the_best_baseline_and_the_mean_over_seeds(outcomes, measured):
    found = task_pages.gains(outcomes, measured, n=50).set_index(["model", "learner"])
    assert set(found["baseline"]) == {"composition"}
    assert found.loc[(DEFAULT, "convbert"), "value"] == pytest.approx(0.2)  # (0.8 + 0.6) / 2 - 0.5
    assert found.loc[(GENERAL, "convbert"), "value"] == pytest.approx(-0.2)
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()


def test_the_published_rows_come_first_as_shares_and_ours_below(measured):
    table = task_pages.beside_published("solubility", measured)
    assert list(table.columns) == ["model", "test"] and len(table) == 9
    assert table["model"].iloc[0] == "Ankh Large" and table["test"].iloc[0] == pytest.approx(0.7641)
    assert table["model"].tolist()[-2:] == ["default, convbert: our sample", "general, convbert: our sample"]
    assert table["test"].iloc[-2] == pytest.approx(0.7)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_published_column_has_the_name_of_one_of_our_tests_or_has_no_counterpart(name):
    empty = pd.DataFrame(columns=["model", "task", "test", "learner", "value"])
    columns = set(task_pages.beside_published(name, empty).columns) - {"model"}
    known = tasks.examples(name)
    ours = {test for of in known.table["test"] if of for test in tasks.task(name).tests(of)}
    assert columns & ours or tasks.task(name).published not in set(published("ankh_results")["task"])
    assert columns - ours <= {"TS115", "ProteinNet, L", "ProteinNet, L/5"}


def test_sentences_carry_the_numbers_of_the_run(outcomes, measured):
    lines = task_pages.sentences("solubility", measured, task_pages.gains(outcomes, measured, n=50))
    assert "10 proteins" in lines[0] and "`composition`, has 0.500" in lines[0]
    assert f"`convbert` on `{DEFAULT}` reaches 0.700" in lines[0]
    assert lines[1] == "- Against the probes on the same embeddings the head is behind in 1 of 2 comparisons."


def test_recall_by_hand():
    rows = pd.DataFrame({"model": DEFAULT, "predicted": [0, 0, 1, 1.0], "truth": [0, 0, 0, 1.0]})
    found = task_pages.recall(rows, ["a", "b", "c"]).set_index("class")
    assert found["value"].to_dict() == {"a (3)": pytest.approx(2 / 3), "b (1)": 1.0}  # c has no test protein
    assert (found["low"] < found["value"]).all() and found.loc["b (1)", "high"] == 1.0


def test_likeness_and_groups_by_it():
    rows = [("t", "train", "", "ACDEFG"), ("v", "validation", "", "ACDEFG")]
    rows += [("same", "test", "T", "ACDEFG"), ("half", "test", "T", "ACDWWW"), ("none", "test", "T", "WWWWWW")]
    table = pd.DataFrame(rows, columns=["id", "split", "test", "sequence"]).assign(n_mutations=0)
    found = task_pages.likeness(tasks.Examples(table, (0, 0, 0, 0, 0), ("a",)))
    assert found["same"] == pytest.approx(1) and found["none"] == 0 and 0 < found["half"] < 1
    answered = pd.DataFrame({"id": found.index, "predicted": [0.0, 1, 1], "truth": 0.0})
    both = pd.concat([answered.assign(model=DEFAULT, learner=name) for name in ("linear", "composition")])
    grouped = task_pages.by_group(both, found)
    assert grouped.groupby("name")["value"].apply(list).to_dict() == {
        "composition": [0.0, 0.0, 1.0],
        "linear, default": [0.0, 0.0, 1.0],
    }
    assert grouped["n"].eq(1).all() and np.isfinite(grouped[["low", "high"]]).all(axis=None)
