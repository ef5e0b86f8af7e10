"""Secondary structure by a linear probe: planted answers, masks, windows by hand, and the bundled table."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel
from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import probes
from plmbook.tables import bundled

RESIDUES = np.array(list(AMINO_ACIDS))


def proteins(n=40, length=30, seed=0, mask=None):
    """Proteins whose state is a function of the residue: H for A to G, E for H to P, C for the others."""
    rng = np.random.default_rng(seed)
    state = dict(zip(AMINO_ACIDS, "H" * 6 + "E" * 7 + "C" * 7, strict=True))
    sequences = ["".join(rng.choice(RESIDUES, length)) for _ in range(n)]
    return pd.DataFrame(
        {
            "id": [f"p{seed}_{i:03d}" for i in range(n)],
            "sequence": sequences,
            "dssp3": ["".join(state[letter] for letter in sequence) for sequence in sequences],
            "counted": mask or "1" * length,
        }
    )


def shuffled(table, seed=0):
    """The same proteins, their states permuted over all residues."""
    states = np.random.default_rng(seed).permutation(list("".join(table["dssp3"])))
    length = len(table["dssp3"].iloc[0])
    return table.assign(dssp3=["".join(states[i : i + length]) for i in range(0, len(states), length)])


def planted(sequence):
    """Hidden states (L, 5): three directions for the three states, two of noise."""
    place = np.array([AMINO_ACIDS.index(letter) for letter in sequence])
    state = np.digitize(place, [6, 13])
    noise = np.random.default_rng(place.sum()).normal(size=(len(sequence), 5))
    return 5 * np.eye(3, 5)[state] + 0.5 * noise


@pytest.fixture
def model():
    return FakeModel(hidden=planted)


def test_a_probe_finds_planted_states_and_the_baselines_what_they_can(model):
    train, test = proteins(), proteins(seed=1)
    fitted = probes.fit_all(train, model)
    table = probes.secondary_structure(model, test, fitted)
    assert list(table) == ["id", "n_residues", *(f"correct_{kind}" for kind in probes.KINDS)]
    assert probes.q3(table).value > 0.99
    assert probes.q3(table, "residue").value == 1  # here the residue says it all
    assert 0.25 < probes.q3(table, "majority").value < 0.5
    assert table["n_residues"].tolist() == [30] * 40


def test_a_probe_of_shuffled_states_is_no_better_than_the_commonest(model):
    train, test = shuffled(proteins(100)), shuffled(proteins(100, seed=1), seed=1)
    table = probes.secondary_structure(model, test, probes.fit_all(train, model))
    best = max("".join(test["dssp3"]).count(state) for state in "HEC") / 3000
    for kind in probes.KINDS:
        assert abs(probes.q3(table, kind).value - best) < 0.05


def test_the_window_sees_neighbours_that_the_residue_does_not():
    """The state of a residue is that of the residue before it."""

    def shift(table):
        return table.assign(dssp3=["C" + states[:-1] for states in table["dssp3"]])

    train, test = shift(proteins(200)), shift(proteins(seed=1))
    fitted = probes.fit_all(train, None, kinds=["residue", "window"])
    table = probes.secondary_structure(None, test, fitted)
    assert probes.q3(table, "window").value > 0.98
    assert probes.q3(table, "residue").value < 0.5
    gain = probes.q3(table, "window", than="residue")
    assert gain.low > 0.4 and gain.value == pytest.approx(
        probes.q3(table, "window").value - probes.q3(table, "residue").value
    )


def test_residues_that_are_masked_do_not_count(model):
    """Wrong labels under the mask change neither the fit nor the count."""
    mask = "1" * 10 + "0" * 20
    train, test = proteins(80, mask=mask), proteins(seed=1, mask=mask)

    def spoilt(table):
        return table.assign(dssp3=[states[:10] + "H" * 20 for states in table["dssp3"]])

    right = probes.secondary_structure(model, test, probes.fit_all(train, model))
    same = probes.secondary_structure(model, spoilt(test), probes.fit_all(spoilt(train), model))
    pd.testing.assert_frame_equal(right, same)
    assert right["n_residues"].tolist() == [10] * 40
    # without the mask they would count: otherwise this test could not fail
    bare = probes.secondary_structure(
        model, spoilt(test).assign(counted="1" * 30), probes.fit_all(spoilt(train).assign(counted="1" * 30), model)
    )
    assert bare["correct_states"].sum() / bare["n_residues"].sum() < 0.95


def test_a_protein_without_a_counted_residue_has_none_right(model):
    train = proteins()
    test = proteins(2, seed=1).assign(counted=["0" * 30, "1" * 30])
    table = probes.secondary_structure(model, test, probes.fit_all(train, model))
    assert table["n_residues"].tolist() == [0, 30]
    assert table["correct_states"].tolist()[0] == 0


def test_the_answer_for_a_protein_does_not_depend_on_the_others(model):
    fitted, test = probes.fit_all(proteins(), model), proteins(seed=1)
    whole = probes.secondary_structure(model, test, fitted)
    part = probes.secondary_structure(model, test.iloc[[7, 3]].reset_index(drop=True), fitted)
    pd.testing.assert_frame_equal(part, whole.iloc[[7, 3]].reset_index(drop=True))


def test_window_by_hand():
    """ACDXE with a window of 5: two places outside at each end, X is a place inside without a letter."""
    found = probes.window_one_hot("ACDXE", width=5).reshape(5, 5, 21)
    letters = AMINO_ACIDS + "-"
    shown = ["".join(letters[row.argmax()] if row.any() else "." for row in residue) for residue in found]
    assert shown == ["--ACD", "-ACD.", "ACD.E", "CD.E-", "D.E--"]
    assert found.sum(axis=2).max() == 1 and found.dtype == np.float32


def test_a_window_of_one_is_the_residue():
    sequence = AMINO_ACIDS + "XU"
    assert np.array_equal(probes.window_one_hot(sequence, width=1)[:, :20], probes.one_hot(sequence))
    assert probes.window_one_hot(sequence).shape == (22, 315)
    with pytest.raises(InputError, match="odd number"):
        probes.window_one_hot("AC", width=4)


def test_a_window_wider_than_the_chain_has_its_places_outside():
    found = probes.window_one_hot("A").reshape(15, 21)
    assert found[:, 20].tolist() == [1] * 7 + [0] + [1] * 7
    assert found[7, 0] == 1 and found.sum() == 15


def test_the_layer_is_the_one_asked(model):
    seen = []

    class Layered(FakeModel):
        def run(self, sequences, *, layers=(), rows=None, logits=True):
            seen.extend(layers)
            return super().run(sequences, layers=layers, rows=rows, logits=logits)

    layered = Layered(hidden=planted)
    probe = probes.fit(proteins(), "states", model=layered, layer=2)
    probes._count_correct(proteins(3, seed=1), "states", probe, model=layered, layer=2)
    assert set(seen) == {2}


def test_the_draw_is_of_whole_proteins_within_the_budget_and_seeded():
    table = proteins(50)
    drawn = probes._draw(table, max_residues=100, seed=3)
    assert len(drawn) == 3  # of 30 residues each
    again = probes._draw(table.iloc[::-1], max_residues=100, seed=3)  # the order of the table does not matter
    assert drawn["id"].tolist() == again["id"].tolist()
    assert drawn["id"].tolist() != probes._draw(table, max_residues=100, seed=4)["id"].tolist()
    assert len(probes._draw(table, max_residues=10**6)) == 50
    with pytest.raises(InputError, match="at least those of one protein"):
        probes._draw(table, max_residues=29)


def test_q3_is_over_residues_and_its_interval_over_proteins():
    table = pd.DataFrame({"n_residues": [10, 30, 0], "correct_states": [10, 18, 0], "correct_window": [5, 15, 0]})
    found = probes.q3(table, n=2000, seed=1)
    assert found.value == 28 / 40 and found.n == 3
    assert found.low == pytest.approx(0.6) and found.high == pytest.approx(1.0)
    assert found == probes.q3(table, n=2000, seed=1)
    assert probes.q3(table, than="window").value == pytest.approx(8 / 40)
    with pytest.raises(InputError, match="lacks correct_residue"):
        probes.q3(table, "residue")
    with pytest.raises(InputError, match="at least one counted residue"):
        probes.q3(table.assign(n_residues=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dssp3": "H" * 29}, "dssp3: expected one of H, E, C for each of 30 residues"),
        ({"dssp3": "G" * 30}, "dssp3: expected one of H, E, C"),
        ({"counted": "1" * 31}, "counted: expected one of 0, 1"),
        ({"dssp3": "H" * 30}, "expected at least two states, found H"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        probes.fit(proteins().assign(**change), "residue")


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="lacks counted"):
        probes.fit(proteins().drop(columns="counted"), "residue")
    with pytest.raises(InputError, match="did you mean 'states'"):
        probes._features(["MK"], "state")
    with pytest.raises(InputError, match="expected a model"):
        probes._features(["MK"], "states")
    with pytest.raises(InputError, match="no protein"):
        probes.fit(proteins().head(0), "residue")


@pytest.fixture(scope="module")
def table():
    return tables.load("secondary_structure")


def test_bundled_counts(table):
    assert table.groupby(["split", "source"]).size().to_dict() == {
        ("train", "NetSurfP-2.0"): 600,
        ("test", "CB513"): 430,
    }
    counted = table["counted"].str.count("1").groupby(table["split"]).sum()
    assert counted["test"] == 83_427  # what CB513's own mask leaves of the resolved residues, record by record
    assert counted["train"] == 126_558
    train = table[table["split"] == "train"]
    assert train["length"].between(40, 500).all()


def test_bundled_states_fit_each_other(table):
    """The three states are the eight by the rule of NetSurfP-2.0: G, H, I are H; E, B are E."""
    rule = str.maketrans("HGIEBTSC", "HHHEECCC")
    test = table[table["split"] == "test"]
    assert (test["dssp8"].str.translate(rule) == test["dssp3"]).all()
    assert (table.loc[table["split"] == "train", "dssp8"] == "").all()


def test_bundled_only_resolved_residues_count(table):
    for row in table.itertuples():
        assert not any(r == "0" and c == "1" for r, c in zip(row.resolved, row.counted, strict=True))
    assert (table["counted"].str.contains("1")).all()


def test_bundled_no_sequence_occurs_twice_and_none_of_test_is_in_training(table):
    assert table["sequence"].is_unique
    assert set("".join(table["sequence"])) <= set(AMINO_ACIDS + "XUOZ")


def test_bundled_no_training_protein_shares_many_words_with_a_test_protein(table):
    """20 letters in a row that occur in both would be a copy; relatives at 25 % identity have none."""
    words = {split: set() for split in bundled.SPLITS}
    for row in table.itertuples():
        words[row.split] |= {row.sequence[i : i + 20] for i in range(row.length - 19)}
    assert not words["train"] & words["test"]
