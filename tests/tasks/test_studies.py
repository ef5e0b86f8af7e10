"""The study of downstream tasks on one toy task."""

from functools import partial

import pandas as pd
import pytest

from plmbook.core import artifacts
from plmbook.tables import derived
from plmbook.tasks import studies
from project import OPTIONS, change, toy_task

downstream = partial(studies.downstream, **OPTIONS["downstream tasks"])


@pytest.fixture
def task(folders, monkeypatch):
    for name in ("localisation.parquet", "relatives.tsv"):
        (folders / "data" / name).write_text("x")
    return toy_task(monkeypatch)


def test_answers_of_tasks_are_shipped_and_one_head_is_trained_afresh(task, model):
    first = downstream(model, recompute=True)
    assert [seed for seed, _ in task] == [0, 1, 2]
    assert set(first["learner"]) == {"composition", "convbert"} and set(first["model"]) == {"fake"}
    task.clear()
    again = downstream(model)
    assert len(task) == 1  # one seed of one head
    pd.testing.assert_frame_equal(first, again)
    record = derived.records().set_index("table").loc["downstream-localisation"]
    assert (record["status"], record["sampled"]) == ("shipped", 20)
    assert artifacts.read("task_outcomes.fake")["id"].nunique() == 10


def test_no_head_is_trained_where_none_is_asked_for(task, model):
    downstream(model, recompute=True)
    task.clear()
    downstream(model, retrain=False)
    assert task == [] and derived.records()["status"].tolist() == ["shipped"]


@pytest.mark.parametrize("learner", ["composition", "convbert"])
def test_an_answer_changed_together_with_the_manifest_is_found(task, model, learner):
    downstream(model, recompute=True)
    wrong = lambda table: table.assign(predicted=table["predicted"].mask(table["learner"] == learner, 7))  # noqa: E731
    change("fake/downstream-localisation", wrong, mend_manifest=True)
    with pytest.raises(derived.DerivedMismatch, match=f"localisation by {learner}, fake, .*shipped as 0 and computes"):
        downstream(model)
