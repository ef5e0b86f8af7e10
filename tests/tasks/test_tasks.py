"""Tasks: examples, learners and measures, on made-up proteins whose labels an embedding knows."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import contacts
from plmbook.sources import ankh_tasks
from plmbook.tasks import learners

RNG = np.random.default_rng(0)


class Alphabet:
    """Four numbers a residue: whether it is one of ACDE, one of FGHI, one of KLMN, and whether its place is odd."""

    name = "alphabet"

    def __init__(self):
        self.calls = 0

    def residues(self, sequences):
        self.calls += 1
        groups = ("ACDE", "FGHI", "KLMN")
        return [
            np.array([[*(letter in group for group in groups), n % 2] for n, letter in enumerate(each)], np.float32)
            for each in sequences
        ]


def proteins(n, split, length=(12, 20), start=0):
    sequences = ["".join(RNG.choice(list("ACDEFGHIKLMN"), size=RNG.integers(*length))) for _ in range(n)]
    ids = [f"{split}{start + k}" for k in range(n)]
    return pd.DataFrame({"id": ids, "split": split, "test": "T" if split == "test" else "", "sequence": sequences})


def table(n=(60, 20, 20), **options):
    parts = [proteins(k, split, **options) for k, split in zip(n, tasks.SPLITS, strict=True)]
    return pd.concat(parts, ignore_index=True).assign(n_mutations=0)


def residue_examples():
    """The state is the group of the letter; the first residue never counts."""
    known = table()
    labels = []
    for sequence in known["sequence"]:
        states = np.array([0 if x in "ACDE" else 1 if x in "FGHI" else 2 for x in sequence])
        states[0] = tasks.IGNORED
        labels.append(states)
    return tasks.Examples(known, tuple(labels), tuple("HEC"))


def class_examples():
    """The class is the group of most letters."""
    known = table(length=(9, 14))
    labels = [int(np.argmax([sum(x in g for x in s) for g in ("ACDE", "FGHI", "KLMN")])) for s in known["sequence"]]
    return tasks.Examples(known, tuple(labels), ("a", "b", "c"))


def structures():
    """Chains that are straight, but for a hairpin in the middle."""
    known, labels = table((6, 2, 2), length=(60, 70)), []
    for name, sequence in zip(known["id"], known["sequence"], strict=True):
        half = len(sequence) // 2
        x = np.concatenate([np.arange(half), np.arange(len(sequence) - half)[::-1]]) * 3.8
        cb = np.stack([x, np.where(np.arange(len(sequence)) < half, 0.0, 5.0), np.zeros(len(sequence))], axis=1)
        labels.append(contacts.Structure(name, sequence, cb.astype(np.float32), np.full(len(sequence), np.nan)))
    return tasks.Examples(known, tuple(labels))


# --- learners ----------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(learners, "FIT", {"epochs": 3, "patience": 3, "batch": 4, "rate": 3e-3})
    monkeypatch.setitem(tasks.HEAD, "nhead", 2)


@pytest.mark.parametrize(
    "name, make",
    [("secondary_structure_3", residue_examples), ("localisation", class_examples), ("contacts", structures)],
)
def test_every_learner_answers_for_every_test_protein_and_what_a_model_knows_is_learnt(name, make, quick):
    known, model = make(), Alphabet()
    found = tasks.run(name, model, seeds=[0, 1], examples=known)
    planned = tasks.plan(name, known, model, seeds=[0, 1])
    keys = ["task", "test", "learner", "seed", "id"]
    pd.testing.assert_frame_equal(
        found[keys].sort_values(keys, ignore_index=True), planned.sort_values(keys, ignore_index=True)
    )
    assert set(found["learner"]) == set(tasks.TASKS[name].learners)
    assert set(found.loc[found["learner"] == "convbert", "seed"]) == {0, 1}
    assert set(found.loc[found["learner"] == "linear", "seed"]) == {0}
    assert found[["predicted", "truth"]].notna().all(axis=None)
    if name != "contacts":
        measured = tasks.over_seeds(tasks.scores(found, n=20)).set_index("learner")["value"]
        assert measured["linear"] > 0.95 and measured["linear"] > measured["frequency"] + 0.2


def test_the_model_reads_each_protein_once(quick):
    model = Alphabet()
    tasks.run("localisation", model, learners=["linear", "mlp"], seeds=[0, 1], examples=class_examples())
    assert model.calls == 1


def test_baselines_need_no_model():
    found = tasks.run("localisation", learners=["frequency", "composition", "neighbour"], examples=class_examples())
    assert len(found) == 3 * 20


def test_the_commonest_class_and_the_nearest_protein_by_hand():
    rows = [("a", "train", "", "ACDEF"), ("b", "train", "", "GHIKL"), ("c", "train", "", "MNMNM")]
    rows += [("v", "validation", "", "ACDEF"), ("t", "test", "T", "XGHIK")]
    known = pd.DataFrame(rows, columns=["id", "split", "test", "sequence"]).assign(n_mutations=0)
    material = tasks.Material(tasks.task("localisation"), tasks.Examples(known, (0, 1, 0, 0, 1), ("x", "y")))
    assert learners.frequency(material, 0) == [0]
    assert learners.neighbour(material, 0) == [1]  # GHI is shared with b


def test_the_nearest_windows_know_a_repeated_motif():
    known = table((20, 4, 4), length=(30, 31))
    motif = "WWYYWWYYWWYYWWY"
    known["sequence"] = [s[:8] + motif + s[23:] for s in known["sequence"]]
    labels = tuple(np.array([1 if 12 <= n < 18 else 0 for n in range(30)]) for _ in known["id"])
    material = tasks.Material(tasks.task("secondary_structure_3"), tasks.Examples(known, labels, tuple("HEC")))
    for answer in learners.neighbour(material, 0):
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
    material = tasks.Material(tasks.task("contacts"), known)
    for answer, sequence in zip(learners.separation(material, 0), known.table["sequence"][-2:], strict=True):
        assert answer.shape == (len(sequence), len(sequence)) and (np.diff(answer[0, 1:]) <= 0).all()


def test_labels_of_pairs_leave_out_near_ones_and_what_has_no_coordinates():
    structure = structures().labels[0]
    cb = structure.cb.copy()
    cb[3] = np.nan
    labels = learners._touching(contacts.Structure("x", structure.sequence, cb, structure.plddt))
    apart = np.abs(np.subtract.outer(np.arange(len(cb)), np.arange(len(cb))))
    assert (labels[apart < contacts.NEAREST] == -1).all() and (labels[3] == -1).all() and (labels[:, 3] == -1).all()
    assert labels[0, -1] == 1 and labels[0, 10] == 0


# --- outcomes and measures ---------------------------------------------------------------------------------------


def test_cath_counts_a_query_only_where_the_lookup_has_its_class():
    rows = [("l1", "train", ""), ("l2", "train", ""), ("q", "test", "test")]
    known = pd.DataFrame(rows, columns=["id", "split", "test"]).assign(sequence="ACD", n_mutations=0)
    examples = tasks.Examples(known, ("1.10.8.10", "3.40.50.720", "3.40.50.300"))
    found = tasks._outcomes(tasks.task("cath"), examples, [1]).set_index("test")
    assert found["truth"].tolist() == [1, 1, 1, 0] and found["predicted"].tolist() == [1, 1, 1, 0]
    found = tasks._outcomes(tasks.task("cath"), examples, [0]).set_index("test")
    assert found["predicted"].tolist() == [0, 0, 0, 0]


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


def test_long_range_precision_by_hand():
    """Of 60 residues on a hairpin the pair (0, 59) touches; a score that knows it is right at L / 60."""
    structure = structures().labels[0]
    n = len(structure.sequence)
    scores = np.zeros((n, n))
    scores[0, n - 1] = 1
    assert tasks.long_range_precision(structure, scores, part=n) == 1.0
    assert tasks.long_range_precision(structure, -scores, part=n) < 0.5


# --- examples of the book ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_bundled_examples_are_whole(name):
    known = tasks.examples(name)
    of = tasks.TASKS[name]
    splits = set(known.table["split"])
    assert splits == (set(tasks.SPLITS) if of.kind != "lookup" else {"train", "test"})
    assert known.table["id"].is_unique and len(known.labels) == len(known.table)
    assert (known.table["test"] != "").equals(known.table["split"] == "test")
    train = known.table[known.table["split"] == "train"]
    if of.kind != "lookup":
        assert train["sequence"].str.len().sum() <= tasks.TRAIN_RESIDUES
    if of.kind == "residue":
        assert all(len(label) == len(s) for label, s in zip(known.labels, known.table["sequence"], strict=True))
        assert set(np.concatenate(known.labels)) <= {tasks.IGNORED, *range(len(known.classes))}
    assert not set(train["sequence"]) & set(known.table.loc[known.table["split"] == "test", "sequence"])
    again = tasks.examples(name)
    pd.testing.assert_frame_equal(known.table, again.table)


def test_every_published_task_is_here():
    from plmbook.tables.published import published

    assert {task.published for task in tasks.TASKS.values()} == set(published("ankh_results")["task"])


def test_heads_are_classes_and_learners_functions():
    from plmbook.tasks import heads

    for each in tasks.TASKS.values():
        assert not each.head or issubclass(getattr(heads, each.head), heads.Head)
        assert set(each.learners) <= set(tasks.LEARNERS)
        assert sum(tasks.LEARNERS[name].baseline for name in each.learners) >= 2
    assert set(learners.ANSWER) == set(tasks.LEARNERS)


def test_parameters_are_json():
    import json

    for name in tasks.TASKS:
        assert json.loads(json.dumps(tasks.parameters(name))) == tasks.parameters(name)


def test_a_draw_of_test_proteins_leaves_the_rest_as_it_is():
    known = class_examples()
    few = tasks.with_tests(known, 5, seed=1)
    assert few.table["split"].value_counts().to_dict() == {"train": 60, "validation": 20, "test": 5}
    assert all(
        few.labels[n] == known.labels[known.table["id"].eq(name).argmax()] for n, name in enumerate(few.table["id"])
    )


# --- a new model -------------------------------------------------------------------------------------------------


class Mine:
    name = "mine"

    def residues(self, sequences):
        return [np.eye(20)[[AMINO_ACIDS.find(letter) for letter in sequence]] for sequence in sequences]


@pytest.mark.parametrize("name", ["solubility", "remote_homology"])
def test_a_new_model_of_five_lines_runs_through_two_tasks(name):
    """As the chapter *Add your model* shows it; its linear probe sees what the composition baseline sees."""
    found = tasks.run(name, Mine(), learners=["composition", "linear"], examples=tasks.examples(name, residues=30_000))
    value = tasks.over_seeds(tasks.scores(found, n=20)).set_index("learner")["value"]
    assert value["linear"] == pytest.approx(value["composition"], abs=0.05)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "solubilty"}, "did you mean 'solubility'"),
        ({"name": "localisation", "learners": ["knn"]}, "expected one of frequency"),
        ({"name": "localisation", "learners": ["linear"]}, "name a model"),
    ],
)
def test_faults_are_named(options, message):
    known = class_examples()
    with pytest.raises(InputError, match=message):
        tasks.run(**options, examples=known)


def broken(change):
    class Broken(Alphabet):
        name = "broken"

        def residues(self, sequences):
            found = super().residues(sequences)
            found[2] = change(found[2])
            return found

    return Broken()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: np.vstack([x, x[:1]]), "BOS and EOS"),
        (lambda x: x[:, :2], "found"),
        (lambda x: x * np.nan, "not finite"),
    ],
)
def test_embeddings_that_do_not_fit_name_the_sequence(change, message):
    with pytest.raises(InputError, match=rf"model 'broken', sequence 3.*{message}"):
        tasks.run("localisation", broken(change), learners=["linear"], examples=class_examples())


def test_a_model_without_attention_leaves_that_learner_out_and_says_so_when_asked():
    found = tasks.plan("contacts_attention", structures(), Alphabet())
    assert set(found["learner"]) == {"separation", "one-hot"}
    with pytest.raises(InputError, match="gives no attention maps"):
        tasks.run("contacts_attention", Alphabet(), learners=["attention"], examples=structures())


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


def test_contacts_of_a_folder_pass_over_what_is_no_structure(tmp_path):
    """Of `training_*` only ProteinNet's text files are read, and two of them, which are nested, are refused."""
    (tmp_path / "training_hhblits.csv").write_text("input,dssp3\n")
    assert tasks._proteinnet(tmp_path) == ([], ())
    for name in ("training_30", "training_100"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="training_100, training_30 hold the same proteins"):
        tasks._proteinnet(tmp_path)
