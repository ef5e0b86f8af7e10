"""Kinds of tasks: labels, judgements, heads, by hand."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.core.errors import InputError
from plmbook.tasks import heads, pair
from toy_tasks import structures


def test_cath_counts_a_query_only_where_the_lookup_has_its_class():
    rows = [("l1", "train", ""), ("l2", "train", ""), ("q", "test", "test")]
    known = pd.DataFrame(rows, columns=["id", "split", "test"]).assign(sequence="ACD", n_mutations=0)
    examples = tasks.Examples(known, ("1.10.8.10", "3.40.50.720", "3.40.50.300"))
    cath, query = tasks.task("cath"), examples.labels[2]
    assert cath.judge("3.40.50.720", query, examples) == [(1, 1), (1, 1), (1, 1), (0, 0)]
    assert cath.judge("1.10.8.10", query, examples) == [(0, 1), (0, 1), (0, 1), (0, 0)]


def test_long_range_precision_by_hand():
    """Of 60 residues on a hairpin the pair (0, 59) touches; a score that knows it is right at L / 60."""
    structure = structures().labels[0]
    n = len(structure.sequence)
    scores = np.zeros((n, n))
    scores[0, n - 1] = 1
    assert tasks.long_range_precision(structure, scores, part=n) == 1.0
    assert tasks.long_range_precision(structure, -scores, part=n) < 0.5


def test_heads_are_classes_and_learners_have_functions_and_a_name():
    assert heads.IGNORED == tasks.IGNORED
    for each in tasks.TASKS.values():
        assert not each.head or issubclass(getattr(heads, each.head), heads.Head)
        assert set(each.learners) <= set(tasks.LEARNERS) and each.cheapest in each.learners
        assert all(callable(getattr(each, name.replace("-", "_"))) for name in each.learners)
        assert sum(tasks.LEARNERS[name].baseline for name in each.learners) >= 2


def test_contacts_of_a_folder_pass_over_what_is_no_structure(tmp_path):
    """Of `training_*` only ProteinNet's text files are read, and two of them, which are nested, are refused."""
    (tmp_path / "training_hhblits.csv").write_text("input,dssp3\n")
    assert pair._proteinnet(tmp_path) == ([], ())
    for name in ("training_30", "training_100"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="training_100, training_30 hold the same proteins"):
        pair._proteinnet(tmp_path)
