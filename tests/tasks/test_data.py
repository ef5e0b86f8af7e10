"""Examples of the tasks: bundled, and from the files of a published data set."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.sources import ankh_tasks
from plmbook.tables.published import published
from plmbook.tasks.residue import ResidueTask
from toy_tasks import class_examples


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_bundled_examples_are_whole(name):
    known = tasks.examples(name)
    of = tasks.TASKS[name]
    splits = set(known.table["split"])
    assert splits == set(of.splits)
    assert known.table["id"].is_unique and len(known.labels) == len(known.table)
    assert (known.table["test"] != "").equals(known.table["split"] == "test")
    train = known.table[known.table["split"] == "train"]
    if "validation" in splits:
        assert train["sequence"].str.len().sum() <= tasks.SETTINGS.residues
    if isinstance(of, ResidueTask):
        assert all(len(label) == len(s) for label, s in zip(known.labels, known.table["sequence"], strict=True))
        assert set(np.concatenate(known.labels)) <= {tasks.IGNORED, *range(len(known.classes))}
    assert not set(train["sequence"]) & set(known.table.loc[known.table["split"] == "test", "sequence"])
    again = tasks.examples(name)
    pd.testing.assert_frame_equal(known.table, again.table)


def test_the_text_of_localisation_has_its_setting():
    assert tasks.TASKS["localisation"].sample.endswith(f"up to {tasks.SETTINGS.localisation_length} residues")


def test_every_published_task_is_here():
    assert {task.published for task in tasks.TASKS.values()} >= set(published("ankh_results")["task"])


def test_a_draw_of_test_proteins_leaves_the_rest_as_it_is():
    known = class_examples()
    few = tasks.with_tests(known, 5, seed=1)
    assert few.table["split"].value_counts().to_dict() == {"train": 60, "validation": 20, "test": 5}
    assert all(
        few.labels[n] == known.labels[known.table["id"].eq(name).argmax()] for n, name in enumerate(few.table["id"])
    )


# --- the published data sets -------------------------------------------------------------------------------------


def test_mutations_of_published_variants_are_counted_from_the_commonest_residues(tmp_path):
    """The hub's table has sequences alone; the wild type is what most training variants have at each place."""
    for split, rows in {
        "train": [("ACDE", 3.0), ("ACDE", 3.0), ("GCDE", 2.0), ("ACDF", 2.0)],
        "validation": [("ACDE", 3.0)],
        "test": [("GCDF", 1.0), ("GGGG", 0.5)],
    }.items():
        pd.DataFrame(rows, columns=["primary", "log_fluorescence"]).to_csv(tmp_path / f"{split}.csv", index=False)
    known = tasks.examples("fluorescence", source=tmp_path)
    assert known.table.loc[known.table["split"] == "test", "n_mutations"].tolist() == [2, 4]
    found = tasks.run("fluorescence", learners=["mutations"], examples=known)
    assert found["predicted"].tolist() == [-2, -4]


def test_what_is_wrong_with_a_published_set_is_said(tmp_path, monkeypatch):
    """A record without a sequence, and a sequence on both sides; of the hub the commit that was read."""
    for split, rows in {
        "train": [("ACDE", 3.0), ("", 3.0), ("GCDE", 2.0)],
        "validation": [("ACDE", 3.0)],
        "test": [("GCDE", 1.0), ("GGGG", 0.5)],
    }.items():
        pd.DataFrame(rows, columns=["primary", "log_fluorescence"]).to_csv(tmp_path / f"{split}.csv", index=False)
    known = tasks.examples("fluorescence", source=tmp_path)
    left_out, *shared = known.notes
    assert left_out.startswith("train.csv: 1 left out, the first is record 2: ")
    assert sorted(each.rpartition(" in ")[2] for each in shared) == ["train, test", "train, validation"]
    assert all(f"{tmp_path}: 1 sequence is in " in each for each in shared)
    assert known.source == str(tmp_path)
    assert tasks.with_tests(known, 1, seed=0).notes == known.notes
    read = ankh_tasks.read

    def of_the_hub(name, *, folder):
        table, left_out = read(name, folder=tmp_path)
        table.attrs["revision"] = "c0ffee"
        return table, left_out

    monkeypatch.setattr(ankh_tasks, "read", of_the_hub)
    hub_id = ankh_tasks.DATASETS["fluorescence"].hub_id
    assert tasks.examples("fluorescence", source="hub").source == f"{hub_id}@c0ffee"
    assert tasks.examples("fluorescence").source == "bundled"
