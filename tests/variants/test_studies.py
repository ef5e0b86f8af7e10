"""Studies of variants and rescues on a project of two genes: what they cover, what they ship, what is checked."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import tiny
from fakes import FakeModel, seeded
from plmbook.core import artifacts
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.models.unirep import load_unirep
from plmbook.tables import bundled, derived
from plmbook.variants import effects, landscapes, ngram, rescored, studies
from project import GENES, OPTIONS, check_change_is_noticed, check_ships, fake_model, write_relatives

rescores = partial(studies.rescores, **OPTIONS["rescues"])


@pytest.fixture
def frequencies(monkeypatch):
    """Of the residues, which are read off the card of a bundled model."""
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: [0.05] * 20)


def test_variant_effects_cover_what_they_say(project, model):
    table = studies.variant_effects(model)
    n_matching = sum(len(s) - s.count("W") for s in GENES.values())
    counts = table["strategy"].value_counts()
    assert counts["wildtype-marginals"] == n_matching  # no mismatch, no match by chance
    labelled = table[table["strategy"] == "masked-marginals"]
    assert set(labelled["significance"]) == {"P/LP", "B/LB"}
    assert counts["masked-marginals"] == counts["mutant-marginals"] == counts["pseudo-likelihood"] < n_matching
    row = table[table["strategy"] == "mutant-marginals"].iloc[3]
    expected = effects.score(
        FakeModel(seeded), GENES[row["gene"]], [parse_mutations(row["mutation"])], strategy="mutant-marginals"
    )
    assert row["score"] == expected[0]
    pd.testing.assert_frame_equal(artifacts.read("effects.fake"), table)
    assert set(derived.records()["table"]) == {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}


def test_shipped_effects_are_the_computed_ones_with_few_forward_passes(model, ship):
    places = ["fake/masked-marginals", "fake/mutant-marginals", "fake/pseudo-likelihood"]
    check_ships(studies.variant_effects, model, ship, places)
    _, all_of_them = ship(studies.variant_effects)
    assert model.n_sequences < all_of_them


def test_a_model_that_reads_a_residue_at_a_time_has_its_own_strategies(project, tmp_path):
    card = tiny.unirep_card(source="pypi:package==1/file.npz")
    model = load_unirep(card, device="cpu", dtype="float32", path=tiny.write_unirep(tmp_path / "a.npz"))
    table = studies.variant_effects(model, recompute=True)
    assert table["strategy"].unique().tolist() == ["likelihood", "next-residue"]
    assert set(table["significance"]) == {"P/LP", "B/LB"}
    for way, rows in table.groupby("strategy"):
        row = rows.iloc[3]
        expected = effects.score(model, GENES[row["gene"]], [parse_mutations(row["mutation"])], strategy=way)
        assert row["score"] == pytest.approx(expected[0], abs=1e-4)
    pd.testing.assert_frame_equal(studies.variant_effects(model), table)
    records = derived.records().set_index("table")
    manifest = json.loads((project / "data" / "derived" / card.name / "likelihood.json").read_text())
    assert manifest["licence"] == "of the weights: MIT"
    assert set(records["status"]) == {"shipped"} and set(records["sampled"]) == {studies.CHAINS_CHECKED}


def test_a_model_that_is_not_bundled_ships_nothing(project):
    studies.variant_effects(fake_model(card=SimpleNamespace(bundled=False)), recompute=True)
    assert not (project / "data" / "derived").exists()


def test_pseudo_sample_is_seeded_stratified_and_of_short_genes(monkeypatch):
    genes = pd.DataFrame({"gene": ["S", "L"], "length": [210, 211]})
    variants = pd.DataFrame(
        {
            "gene": ["S"] * 100 + ["L"] * 100,
            "mutation": [f"A{i}C" for i in range(200)],
            "significance": (["P/LP"] * 80 + ["B/LB"] * 20) * 2,
        }
    )
    found = studies.pseudo_sample(variants, genes, n=60)
    assert set(found["gene"]) == {"S"}
    assert found["significance"].value_counts().to_dict() == {"P/LP": 40, "B/LB": 20}  # only 20 B/LB exist
    assert studies.pseudo_sample(variants, genes, n=20)["significance"].value_counts().to_dict() == {
        "P/LP": 10,
        "B/LB": 10,
    }
    pd.testing.assert_frame_equal(found, studies.pseudo_sample(variants.sample(frac=1), genes, n=60))
    monkeypatch.setattr(bundled, "SEED", 1)
    assert not found.equals(studies.pseudo_sample(variants, genes, n=60))


def test_heldout_likelihood_reads_the_frequencies_of_the_card(project, model, monkeypatch):
    frequencies = np.arange(1, 21) / 210
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: frequencies.tolist())
    table = studies.heldout_likelihood(model)
    assert table.columns.tolist() == [
        "id", "source", "kingdom", "length", "n_masked", "log_likelihood", "frequency_log_likelihood",
        "ngram_log_likelihood",
    ]  # fmt: skip
    assert table["n_masked"].tolist() == [3, 3]
    assert table["kingdom"].tolist() == ["Animals", "unknown"]
    assert (table["frequency_log_likelihood"] <= 3 * np.log(frequencies.max())).all()
    assert (table["ngram_log_likelihood"] < 0).all()


def test_other_counts_are_another_heldout_table(project, model, frequencies, monkeypatch):
    before = studies.heldout_likelihood(model, recompute=True)
    studies.heldout_likelihood(model)
    assert derived.records()["status"].tolist() == ["shipped"]
    ngram.count([AMINO_ACIDS * 3]).to_parquet(project / "data" / "ngram.parquet", index=False)
    after = studies.heldout_likelihood(model)
    assert "another inputs" in derived.records()["reason"].iloc[0]
    assert (before["ngram_log_likelihood"] != after["ngram_log_likelihood"]).any()
    pd.testing.assert_series_equal(before["log_likelihood"], after["log_likelihood"])
    monkeypatch.setattr(ngram, "WEIGHTS", {"neighbours": 1.0})
    studies.heldout_likelihood(model)
    assert "parameters" in derived.records()["reason"].iloc[0]


def test_what_has_a_relative_in_training_is_left_out_and_means_another_table(project, model, frequencies):
    studies.heldout_likelihood(model, recompute=True)
    write_relatives(project / "data", ("heldout", "p"))
    assert studies.heldout_likelihood(model)["id"].tolist() == ["q"]
    assert set(derived.records()["status"]) == {"computed"}


def test_rescores_ship_the_expensive_scores_and_scan_live(model, ship):
    check_ships(rescores, model, ship, ["fake/rescue-comasked", "fake/rescue-pseudo-likelihood"])
    computed, all_of_them = ship(rescores)
    assert model.n_sequences < all_of_them
    ways = computed.groupby("way", sort=False)
    assert ways["kind"].value_counts().to_dict() == {
        ("comasked", "candidate"): 12,
        ("comasked", "random"): 12,
        ("pseudo-likelihood", "candidate"): 15,
        ("pseudo-likelihood", "random"): 15,
    }
    assert computed.loc[computed["way"] == "comasked", list(rescored.COMASKED)].notna().all(axis=None)
    assert computed.loc[computed["way"] == "comasked", list(rescored.PSEUDO)].isna().all(axis=None)
    drawn = computed.loc[computed["way"] == "comasked", ["gene", "mutation"]].drop_duplicates()
    labelled = bundled.matching_variants().query("significance == 'P/LP'")
    assert len(drawn) == 4 and len(drawn.merge(labelled, on=["gene", "mutation"])) == 4


def test_second_mutations_ship_and_are_checked(model, ship):
    check_ships(studies.landscape_scores, model, ship, ["fake/landscape-scores"])
    more = lambda table: table.assign(score=table["score"] + 10)  # noqa: E731
    check_change_is_noticed(studies.landscape_scores, model, ship, "fake/landscape-scores", more)


def test_second_mutations_of_a_protein_stand_for_each_of_its_landscapes(project, model):
    found = studies.landscape_scores(model, n_backgrounds=2)
    one, two = (found[found["landscape"] == name].drop(columns="landscape") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
    assert one["mutation"].nunique() == 2 and len(one) == 2 * 5
    whole = landscapes.pair_scores(model, GENES["AAA1"], one[["mutation", "second"]].reset_index(drop=True))
    for column in ("score_background", "score_wild_type", "model_epistasis", "score_first"):
        np.testing.assert_allclose(one[column], whole[column], atol=0.51e-3)
