"""Contacts from attention: arithmetic one can check by eye, a planted signal that must be found, the bundled table."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.structures import Structure, contact_map, structures_of
from plmbook.probing import contacts

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
SIGNAL = (1, 2)  # layer and head of the fake model that know the contacts


def fake_structure(name, length=80, spread=9.0, plddt=np.nan):
    """Rows of a protein whose residues lie in a ball: about 6 % of the pairs touch."""
    rng = np.random.default_rng(int.from_bytes(name.encode(), "little"))
    rows = pd.DataFrame(rng.normal(scale=spread, size=(length, 3)), columns=["cb_x", "cb_y", "cb_z"])
    rows["residue"] = rng.choice(list(LETTERS), size=length)
    return rows.assign(id=name, position=np.arange(1, length + 1), plddt=plddt)


def fake_model(table, *, knows):
    """A model of 2 x 3 maps of noise; where it `knows`, one head also attends to what is in contact."""
    touching = {s.sequence: contact_map(s.cb) for s in structures_of(table).values()}

    def attentions(sequence):
        rng = np.random.default_rng(len(sequence) + sum(map(ord, sequence[:9])))
        maps = rng.random((2, 3, len(sequence), len(sequence))).astype(np.float32)
        if knows:
            maps[SIGNAL] += 3 * touching[sequence]
        return maps

    return SimpleNamespace(name="fake", attentions=attentions)


@pytest.fixture(scope="module")
def proteins():
    return pd.concat([fake_structure(f"p{n}") for n in range(8)], ignore_index=True)


# --- maps ---


def test_apc_leaves_a_symmetric_map_whose_rows_and_columns_add_up_to_zero():
    maps = np.random.default_rng(0).random((2, 3, 7, 7))
    corrected = contacts.apc(maps)
    assert corrected.shape == maps.shape
    assert np.allclose(corrected, np.swapaxes(corrected, -1, -2))
    assert np.allclose(corrected.sum(axis=-1), 0) and np.allclose(corrected.sum(axis=-2), 0)
    assert np.abs(corrected).max() > 0.1


def test_apc_by_hand():
    """S = A + A' = [[0, 3], [3, 2]], rows 3 and 5, sum 8: S_ij - S_i S_j / 8."""
    assert np.allclose(contacts.apc(np.array([[0.0, 1.0], [2.0, 1.0]])), [[-9 / 8, 9 / 8], [9 / 8, -9 / 8]])


def test_contact_is_strictly_below_the_cutoff():
    touching = contact_map(np.array([[0.0, 0, 0], [8.0, 0, 0], [15.9, 0, 0]]))
    assert touching.tolist() == [[True, False, False], [False, True, True], [False, True, True]]


def test_features_are_the_corrected_maps_at_the_pairs():
    maps = np.random.default_rng(1).random((2, 3, 6, 6))
    i, j = np.array([0, 2]), np.array([4, 5])
    expected = contacts.apc(maps)[:, :, i, j].reshape(6, 2).T
    assert np.allclose(contacts._features(maps, i, j), expected)


# --- pairs and precision ---


def test_pairs_of_five_residues_by_range():
    """Separations 2 and 3 of five residues: 02 13 24 and 03 14."""
    i, j = contacts.pairs(np.ones(5, bool), 2, 4)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 3), (1, 4), (2, 4)]


def test_ranges_meet_without_gap_or_overlap():
    bounds = list(contacts.RANGES.values())
    assert bounds[0][0] == contacts.NEAREST and bounds[-1] == (24, None)
    assert [high for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]


def test_a_pair_counts_only_where_both_residues_do():
    plddt = np.array([90.0, 69.9, 70.0, np.nan, 50.0])  # NaN: experimental
    structure = Structure("toy", "MKRLA", np.zeros((5, 3)), plddt)
    assert structure.counted.tolist() == [True, False, True, True, False]
    i, j = contacts.pairs(structure.counted, 1)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 2), (0, 3), (2, 3)]


def test_precision_of_five_residues_by_hand():
    """Pairs two or more apart: 02 03 04 13 14 24; contacts 02 and 14; best four 14, 03, 02, 13."""
    scores = np.zeros((5, 5))
    for (i, j), value in {(1, 4): 0.9, (0, 3): 0.8, (0, 2): 0.7, (1, 3): 0.6, (0, 1): 1.0}.items():
        scores[i, j] = value  # 01 has the best score of all and is too near
    truth = np.zeros((5, 5), bool)
    truth[0, 2] = truth[1, 4] = truth[0, 1] = True
    i, j = contacts.pairs(np.ones(5, bool), 2)
    found = [contacts.precision_at(scores[i, j], truth[i, j], k) for k in (1, 2, 3, 4, 6, 99)]
    assert found == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4, 2 / 6, 2 / 6])


def test_equal_scores_give_the_background():
    truth = np.array([True, False, False, False])
    assert [contacts.precision_at(np.ones(4), truth, k) for k in (1, 2, 3)] == [0.25, 0.25, 0.25]
    assert np.isnan(contacts.precision_at(np.array([]), np.array([]), 1))
    with pytest.raises(InputError, match="precision of the 0 best pairs: expected at least 1"):
        contacts.precision_at(np.ones(4), truth, 0)
    with pytest.raises(InputError, match="3 scores for 4 pairs"):
        contacts.precision_at(np.ones(3), truth, 1)


def test_pairs_in_a_table_come_the_best_first():
    toy = Structure("toy", "MKR", np.array([[0.0, 0, 0], [5.0, 0, 0], [10.0, 0, 0]]), np.full(3, np.nan))
    found = contacts.pair_table(toy, np.array([[0, 0.2, 0.9], [0, 0, 0.4], [0, 0, 0]]), nearest=1)
    assert list(found) == ["position", "partner", "probability", "contact"]
    assert found.values.tolist() == [[1, 3, 0.9, False], [2, 3, 0.4, True], [1, 2, 0.2, True]]


# --- the regression ---


def test_a_planted_head_is_found(proteins):
    train, test = ["p0", "p1", "p2", "p3"], ["p4", "p5", "p6", "p7"]
    model = fake_model(proteins, knows=True)
    structures = structures_of(proteins)
    regression = contacts.fit(model, [structures[name] for name in train])
    assert np.unravel_index(np.abs(regression.weights).argmax(), (2, 3)) == SIGNAL
    found = contacts.contact_precision(model, proteins, train_ids=train, test_ids=test)
    reachable = np.minimum(1, found["n_contacts"] / found["n_residues"])
    assert (found["p_at_l"] >= 0.95 * reachable).all()
    assert (found["p_at_l5"] > 0.95).all()
    assert contacts.ratio_of_means(found).low > 5


def test_noise_gives_about_the_background(proteins):
    model = fake_model(proteins, knows=False)
    found = contacts.contact_precision(model, proteins, train_ids=["p0", "p1", "p2", "p3"])
    assert found["id"].tolist() == ["p4", "p5", "p6", "p7"]
    ratio = contacts.ratio_of_means(found)
    assert 0.5 < ratio.value < 1.6
    assert ratio.low < 1.2


def test_probabilities_are_those_of_all_pairs_though_few_are_fitted(proteins, monkeypatch):
    """Noise: with the intercept corrected for the draw, the mean probability is the share of contacts."""
    model, structures = fake_model(proteins, knows=False), structures_of(proteins)
    monkeypatch.setattr(contacts, "NON_CONTACTS", 2)
    regression = contacts.fit(model, list(structures.values()))
    shares, means = [], []
    for structure in structures.values():
        i, j = contacts.pairs(structure.counted)
        shares.append(contact_map(structure.cb)[i, j].mean())
        means.append(contacts.predict(regression, model.attentions(structure.sequence))[i, j].mean())
    assert np.mean(means) == pytest.approx(np.mean(shares), rel=0.1)


def test_separation_only_ranks_by_the_rates_of_the_training_proteins():
    """A straight rod with 1 angstrom a residue: contacts are the pairs less than 8 apart."""
    n = 40
    rod = pd.DataFrame({"id": "rod", "position": np.arange(1, n + 1), "residue": "A", "cb_x": np.arange(n) * 1.0})
    rod = rod.assign(cb_y=0.0, cb_z=0.0, plddt=np.nan)
    model = SimpleNamespace(name="fake", attentions=lambda s: np.ones((1, 1, len(s), len(s)), np.float32))
    regression = contacts.fit(model, structures_of(rod).values())
    assert np.allclose(regression.rates[[6, 7]], 1) and np.allclose(regression.rates[8:], 0)
    assert (np.diff(regression.rates) <= 1e-12).all()
    assert contacts.rates_at(regression.rates, np.array([7, 500])).tolist() == [1.0, 0.0]


def test_a_row_counts_only_confident_residues(proteins):
    """The last 30 of 80 residues do not count: 50 do, and 26 * 27 / 2 pairs of them are 24 or more apart."""
    unsure = fake_structure("p9").assign(plddt=[90.0] * 50 + [40.0] * 30)
    table = pd.concat([proteins, unsure], ignore_index=True)
    model = fake_model(table, knows=True)
    row = contacts.contact_precision(model, table, train_ids=["p0", "p1"], test_ids=["p9"]).iloc[0]
    assert (row["length"], row["n_residues"], row["n_pairs"]) == (80, 50, 26 * 27 // 2)
    assert row["background"] == pytest.approx(row["n_contacts"] / row["n_pairs"])


def test_proteins_are_fitted_on_or_tested_on(proteins):
    model = fake_model(proteins, knows=False)
    with pytest.raises(InputError, match="p1: both to fit on and to test on"):
        contacts.contact_precision(model, proteins, train_ids=["p0", "p1"], test_ids=["p1"])
    with pytest.raises(InputError, match="no structure of q9"):
        contacts.contact_precision(model, proteins, train_ids=["q9"])


def test_no_contact_is_no_fit():
    far = fake_structure("far", length=30, spread=1e4)
    model = fake_model(far, knows=False)
    with pytest.raises(InputError, match="found 0 and 300 in 1 proteins"):  # 24 * 25 / 2 pairs six or more apart
        contacts.fit(model, structures_of(far).values())


# --- the plan and the statistics ---


def test_each_protein_is_tested_once_by_a_fit_without_it():
    kept = {f"k{n}": 100 if n < 41 else 900 for n in range(66)}
    genes = ["TP53", "VHL"]
    plan = contacts.cross_fit(kept, genes, seed=3)
    assert sorted(plan["id"]) == sorted([*kept, *genes])
    for fold in (0, 1):
        training = contacts.training_ids(plan, fold)
        assert len(training) == contacts.N_TRAIN
        assert max(kept[name] for name in training) == 100  # 20 of the 20 or 21 short ones of a half
        assert not set(training) & set(plan["id"][plan["fold"] == fold])
        assert not set(training) & set(genes)
    assert plan.equals(contacts.cross_fit(dict(reversed(kept.items())), genes, seed=3))
    assert not plan.equals(contacts.cross_fit(kept, genes, seed=4))


def test_ratio_is_of_means_over_proteins():
    """(0.3 + 0.1) / (0.04 + 0.01) = 8; the ratios alone would be 7.5 and 10."""
    table = pd.DataFrame({"p_at_l": [0.3, 0.1], "background": [0.04, 0.01]})
    found = contacts.ratio_of_means(table, seed=1)
    assert found.value == pytest.approx(8) and found.n == 2
    assert (found.low, found.high) == pytest.approx((7.5, 10))
    with pytest.raises(InputError, match="reference above zero"):
        contacts.ratio_of_means(table.assign(background=0.0))


# --- the bundled table ---


@pytest.fixture(scope="module")
def kept():
    return tables.load("kept_structures")


def test_kept_structures_are_complete_proteins(kept):
    structures = structures_of(kept)  # positions 1..L, each once
    lengths = [len(structure.sequence) for structure in structures.values()]
    assert 50 <= min(lengths) and max(lengths) <= 1022
    assert all(structure.counted.sum() >= 50 for structure in structures.values())


def test_kept_structures_lack_what_the_models_may_have_seen(kept):
    names = kept["id"].unique().tolist()
    assert not [name for name in names if name.startswith(("MSH2_", "P53_", "PTEN_", "CALM1_", "A0A140D2T1_"))]
    assert len(set(tables.load("genes")["entry_name"]) & set(names)) == 0


def test_neighbours_along_the_chain_are_near(kept):
    """C-beta atoms of neighbours are 3.2 to 7.6 angstrom apart, but for the few breaks of experimental chains."""
    step = kept.groupby("id")[["cb_x", "cb_y", "cb_z"]].diff().pow(2).sum(axis=1, skipna=False).pow(0.5).dropna()
    assert step.min() > 2.5
    assert (step > 7.6).sum() <= 3


def test_experimental_structures_have_no_plddt_and_predicted_ones_do(kept):
    predicted = kept["source"] == "AlphaFold2"
    assert (kept["plddt"].notna() == predicted).all()
    assert kept["plddt"].max() > 90  # a scale of 0 to 100
