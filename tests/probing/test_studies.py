"""Studies of states and attention on a project of two genes: what they count, what they ship, what is checked."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.probing import contacts, neighbours, probes, studies
from plmbook.tables import bundled, derived
from project import (
    CHAINS,
    GENES,
    KEPT,
    PLACED,
    balls,
    check_change_is_noticed,
    check_ships,
    compute_nothing,
    fake_model,
    residues,
    write_relatives,
)

STUDIES = {  # by derived table: the study, a column, and files that the table depends on
    "contact-precision": (studies.contact_precision, "p_at_l", ["kept_structures.parquet", "structures.parquet"]),
    "secondary-structure": (studies.secondary_structure, "correct_window", ["secondary_structure.parquet"]),
    "localisation-embeddings": (studies.localisation, "e0001", ["localisation.parquet"]),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_ships_and_is_checked(model, ship, name):
    record = check_ships(STUDIES[name][0], model, ship, [f"fake/{name}"]).iloc[0]
    assert record["sampled"] > 0 and record["largest_difference"] == 0
    assert derived.records()["table"].tolist() == [name]


@pytest.mark.parametrize("name", STUDIES)
def test_a_changed_number_is_noticed(model, ship, name):
    study, column, _ = STUDIES[name]
    more = lambda table: table.assign(**{column: table[column] + 2})  # noqa: E731  # over every tolerance, every row
    check_change_is_noticed(study, model, ship, f"fake/{name}", more, f"{column} is shipped as .* and computes to")


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, (_, _, files) in STUDIES.items() for file in files])
def test_another_input_is_another_table(project, model, ship, name, file, monkeypatch):
    ship(STUDIES[name][0])
    path = project / "data" / file
    pd.read_parquet(path).assign(further=1).to_parquet(path, index=False)  # carried, not read
    compute_nothing(monkeypatch)
    STUDIES[name][0](model)
    assert derived.records()["reason"].tolist() == ["the shipped table is of another inputs"]


def test_what_has_a_relative_in_training_is_left_out_and_means_another_table(project, model, ship):
    ship(studies.contact_precision)
    ship(studies.secondary_structure)
    related = [("kept_structures", "k1"), ("secondary_structure", "c2"), ("genes", "AAA1")]
    write_relatives(project / "data", *related, ("heldout", "k2"))  # an id of another table
    left = studies.contact_precision(model)
    assert set(left["id"]) == {*KEPT, *GENES} - {"k1"}  # the genes stay
    assert residues("k1", 40) not in model.attended  # nor is a regression fitted on it
    assert studies.secondary_structure(model)["id"].tolist() == ["c0", "c1", "c3", "c4"]
    assert set(derived.records()["status"]) == {"computed"}


def test_contacts_test_each_protein_once_by_a_regression_of_others(project, model):
    table = studies.contact_precision(model)
    assert list(table) == ["id", "set", "fold", "length", *contacts.MEASURES, "model"]
    assert table.groupby("set")["id"].agg(list).to_dict() == {"kept": table["id"].tolist()[:6], "genes": [*GENES]}
    assert set(table["id"]) == {*KEPT, *GENES} and table["id"].is_unique
    assert table.groupby(["set", "fold"]).size().to_dict() == {("genes", 0): 2, ("kept", 0): 3, ("kept", 1): 3}
    assert (table["length"] == 40).all() and (table["n_pairs"] == 16 * 17 / 2).all()
    fold = table.loc[table["id"] == "k0", "fold"].iloc[0]
    others = table.loc[(table["set"] == "kept") & (table["fold"] != fold), "id"].tolist()
    again = contacts.contact_precision(
        model, balls(KEPT, "id").assign(plddt=np.nan), train_ids=others, test_ids=["k0"], seed=bundled.SEED
    )
    found = table[table["id"] == "k0"][["p_at_l", "background", "separation_only_p_at_l"]]
    assert found.iloc[0].tolist() == pytest.approx(again[list(found)].iloc[0].tolist())


def test_secondary_structure_counts_what_the_mask_leaves(project, model):
    table = studies.secondary_structure(model)
    assert table["id"].tolist() == CHAINS["test"]
    assert (table["n_residues"] == 29).all()
    assert (table["correct_residue"] == 29).all()  # the state is a function of the residue
    assert probes.q3(table, "majority", n=10).value < 0.6


def test_localisation_goes_through_hundredths_of_the_embeddings(project, model):
    table = studies.localisation(model)
    assert table.groupby("method")["id"].agg(list).to_dict() == dict.fromkeys(
        ("commonest", "composition", "embedding"), PLACED["test"]
    )
    assert set(table.loc[table["method"] != "commonest", "neighbour"]) <= set(PLACED["train"])
    proteins = tables.load("localisation")
    of = {name: residues(name, 25) for name in proteins["id"]}
    means = {name: np.round(model.tokenize(s)[1:-1].mean(), 2) for name, s in of.items()}  # the states of `FakeModel`
    vectors = [np.repeat([[means[name]] for name in PLACED[split]], 2, axis=1) for split in ("test", "train")]
    test, train = (proteins[proteins["split"] == split].reset_index(drop=True) for split in ("test", "train"))
    expected = neighbours.transfer(test, train, *vectors)
    found = table[table["method"] == "embedding"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="method"), expected, atol=1e-6)


def test_large_states_do_not_turn_over(project):
    large = fake_model(hidden=lambda s: np.full((len(s), 2), 400.0))
    studies.localisation(large, recompute=True)
    shipped = pd.read_parquet(project / "data" / "derived" / "fake" / "localisation-embeddings.parquet")
    assert (shipped[["e0000", "e0001"]] == 40_000).all(axis=None)
