"""Learners by hand, on a few made-up proteins."""

import numpy as np
import pandas as pd

from plmbook import tasks
from plmbook.core.structures import Structure
from plmbook.probing import contacts
from plmbook.tasks import pair
from toy_tasks import structures, table


def test_the_commonest_class_and_the_nearest_protein_by_hand():
    rows = [("a", "train", "", "ACDEF"), ("b", "train", "", "GHIKL"), ("c", "train", "", "MNMNM")]
    rows += [("v", "validation", "", "ACDEF"), ("t", "test", "T", "XGHIK")]
    known = pd.DataFrame(rows, columns=["id", "split", "test", "sequence"]).assign(n_mutations=0)
    data = tasks.TaskData(tasks.Examples(known, (0, 1, 0, 0, 1), ("x", "y")))
    assert tasks.task("localisation").frequency(data, 0) == [0]
    assert tasks.task("localisation").neighbour(data, 0) == [1]  # GHI is shared with b


def test_the_nearest_windows_know_a_repeated_motif():
    known = table((20, 4, 4), length=(30, 31))
    motif = "WWYYWWYYWWYYWWY"
    known["sequence"] = [s[:8] + motif + s[23:] for s in known["sequence"]]
    labels = tuple(np.array([1 if 12 <= n < 18 else 0 for n in range(30)]) for _ in known["id"])
    data = tasks.TaskData(tasks.Examples(known, labels, tuple("HEC")))
    for answer in tasks.task("secondary_structure_3").neighbour(data, 0):
        assert (answer[14:16] == 1).all() and (answer[:5] == 0).all()


def test_additive_variants_are_learnt_from_one_hot_columns():
    wild_type = "ACDEFGHIKLMNPQRSTVWY"
    effect = dict(zip(range(20), np.random.default_rng(1).normal(size=20), strict=True))
    rows, labels = [], []
    for number in range(200):
        chosen = np.random.default_rng(number).choice(20, size=1 + number % 4, replace=False)
        sequence = "".join("A" if n in chosen and letter != "A" else letter for n, letter in enumerate(wild_type))
        rows.append((f"v{number}", ("train", "train", "validation", "test")[number % 4], sequence, len(chosen)))
        labels.append(float(sum(effect[n] for n in chosen if n)))
    known = pd.DataFrame(rows, columns=["id", "split", "sequence", "n_mutations"])
    known["test"] = np.where(known["split"] == "test", "T", "")
    found = tasks.run("fluorescence", learners=["mutations", "one-hot"], examples=tasks.Examples(known, tuple(labels)))
    value = tasks.over_seeds(tasks.scores(found, n=10)).set_index("learner")["value"]
    assert value["one-hot"] > 0.9 > value["mutations"]


def test_separation_ranks_near_pairs_first():
    known = structures()
    data = tasks.TaskData(known)
    for answer, sequence in zip(tasks.task("contacts").separation(data, 0), known.table["sequence"][-2:], strict=True):
        assert answer.shape == (len(sequence), len(sequence)) and (np.diff(answer[0, 1:]) <= 0).all()


def test_labels_of_pairs_leave_out_near_ones_and_what_has_no_coordinates():
    structure = structures().labels[0]
    cb = structure.cb.copy()
    cb[3] = np.nan
    labels = pair.pair_labels(Structure("x", structure.sequence, cb, structure.plddt))
    apart = np.abs(np.subtract.outer(np.arange(len(cb)), np.arange(len(cb))))
    assert (labels[apart < contacts.NEAREST] == -1).all() and (labels[3] == -1).all() and (labels[:, 3] == -1).all()
    assert labels[0, -1] == 1 and labels[0, 10] == 0
