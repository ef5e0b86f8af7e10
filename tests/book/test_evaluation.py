"""The table of all tests: each number by hand on tables of a few rows, and the card that holds it."""

import json

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.book import evaluation, recompute
from plmbook.core.errors import InputError
from plmbook.stats import metrics
from plmbook.tables import bundled


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Of the bootstrap: what it gives is tested with the statistics."""
    monkeypatch.setattr(evaluation, "OPTIONS", {"n": 50, "seed": 1})


def by_name(table):
    """The rows of a test by statistic and by whose it is."""
    assert not table.duplicated(["test", "data", "statistic", "of"]).any()
    return table.set_index(["statistic", "of"])


def heldout_table():
    """Three proteins of 10, 30 and 20 masked residues."""
    per_residue = {"log_likelihood": [2.0, 2.5, 2.8], "ngram_log_likelihood": [2.5, 2.6, 2.7]}
    per_residue["frequency_log_likelihood"] = [2.9, 2.8, 3.0]
    masked = np.array([10, 30, 20])
    table = pd.DataFrame({name: -masked * np.array(nats) for name, nats in per_residue.items()})
    return table.assign(id=list("abc"), n_masked=masked)


def variants_table():
    """Genes A and B with two variants of each class, C with P/LP alone; two strategies, and a sample for the third."""
    rows = pd.DataFrame(
        {
            "gene": list("AAAABBBBCC"),
            "significance": ["P/LP", "P/LP", "B/LB", "B/LB"] * 2 + ["P/LP", "VUS"],
            "score": [-9.0, -3.0, -5.0, -1.0, -4.0, -4.0, -4.0, 0.0, -8.0, -7.0],
        }
    )
    perfect = np.where(rows["significance"] == "P/LP", -1.0, 0.0)
    return pd.concat(
        [
            rows.assign(strategy="wildtype-marginals"),
            rows.assign(strategy="masked-marginals", score=perfect),
            rows.iloc[[0, 3, 4, 7]].assign(strategy="pseudo-likelihood"),
        ]
    )


def contacts_table():
    """Two proteins kept aside and two genes."""
    return pd.DataFrame(
        {
            "set": ["kept", "kept", "genes", "genes"],
            "p_at_l": [0.3, 0.1, 0.2, 0.4],
            "p_at_l5": [0.5, 0.3, 0.6, 0.4],
            "background": [0.04, 0.01, 0.02, 0.02],
            "separation_only_p_at_l": [0.1, 0.06, 0.1, 0.1],
            "separation_only_p_at_l5": [0.2, 0.1, 0.3, 0.1],
        }
    )


def structure_table():
    """Two chains of 10 and 30 counted residues."""
    right = {"majority": [4, 12], "residue": [5, 15], "window": [6, 18], "states": [8, 20]}
    return pd.DataFrame({"n_residues": [10, 30]} | {f"correct_{kind}": numbers for kind, numbers in right.items()})


def localisation_table():
    """Four proteins of two classes by each method."""
    predicted = {"embedding": list("aabb"), "composition": list("abbb"), "commonest": list("aaaa")}
    return pd.concat(
        [pd.DataFrame({"method": name, "truth": list("aabb"), "predicted": found}) for name, found in predicted.items()]
    )


STUDIES = {
    "held-out likelihood": heldout_table,
    "variant effects": variants_table,
    "contacts": contacts_table,
    "secondary structure": structure_table,
    "localisation": localisation_table,
}


# --- each test by hand ---


def test_perplexities_and_their_quotients():
    found = by_name(evaluation.held_out(heldout_table()))
    ours = np.exp((10 * 2.0 + 30 * 2.5 + 20 * 2.8) / 60)
    ngram = np.exp((10 * 2.5 + 30 * 2.6 + 20 * 2.7) / 60)
    frequencies = np.exp((10 * 2.9 + 30 * 2.8 + 20 * 3.0) / 60)
    value = found["value"]
    assert value["perplexity", "model"] == pytest.approx(ours)
    assert value["perplexity", "n-gram"] == pytest.approx(ngram)
    assert value["perplexity", "residue frequencies"] == pytest.approx(frequencies)
    assert value["perplexity of the n-gram / the model's", "model"] == pytest.approx(ngram / ours)
    assert value["perplexity of the residue frequencies / the model's", "model"] == pytest.approx(frequencies / ours)
    assert (found["n"] == 3).all() and len(found) == 5


def test_the_interval_of_a_quotient_is_of_the_same_proteins_for_both():
    """Where the model is e times as sure of every residue the quotient is e, whichever proteins are drawn."""
    table = heldout_table()
    table["ngram_log_likelihood"] = table["log_likelihood"] - table["n_masked"]
    found = by_name(evaluation.held_out(table)).loc[("perplexity of the n-gram / the model's", "model")]
    assert found[["value", "low", "high"]].tolist() == pytest.approx([np.e] * 3)


def test_variant_effects_pooled_and_within_genes(monkeypatch):
    """Wild type, P/LP -9 -3 -4 -4 -8 against B/LB -5 -1 -4 0: of 20 pairs 14 in order, 2 ties. In A 3 of 4; in B 3."""
    monkeypatch.setattr(evaluation, "MINIMUM", 2)
    found = evaluation.variants(variants_table())
    assert found["test"].unique().tolist() == [
        f"variant effects, {name}" for name in ("wildtype marginals", "masked marginals", "pseudo likelihood")
    ]
    wildtype = by_name(found[found["test"].str.endswith("wildtype marginals")])
    pooled, within = (wildtype.loc[(name, "model")] for name in ("AUROC", "AUROC within genes"))
    assert pooled["value"] == pytest.approx((14 + 2 / 2) / 20)
    assert pooled["n"] == 9  # the VUS is no row of it
    assert within["value"] == pytest.approx((3 / 4 + 3 / 4) / 2)
    assert within["n"] == 2  # genes
    masked = found[found["test"].str.endswith("masked marginals")]
    assert masked["data"].unique().tolist() == [evaluation.GENES, evaluation.UNREAD_GENES]
    masked = by_name(masked[masked["data"] == evaluation.GENES])
    assert (masked[["value", "low", "high"]] == 1).all(axis=None)


def test_a_sample_says_so_and_has_no_number_within_genes(monkeypatch):
    monkeypatch.setattr(evaluation, "MINIMUM", 1)
    found = evaluation.variants(variants_table())
    sample = found[found["test"].str.endswith("pseudo likelihood")]
    assert sample[["data", "statistic", "n"]].values.tolist() == [
        ["a sample of ClinVar, genes of at most 210 residues", "AUROC", 4]
    ]


def test_genes_that_have_a_relative_among_the_general_proteins_are_left_out(monkeypatch):
    monkeypatch.setattr(evaluation, "MINIMUM", 1)
    monkeypatch.setattr(bundled, "read_in_training", lambda table: {"A"} if table == "genes" else set())
    found = evaluation.variants(variants_table())
    unread = by_name(found[found["data"] == evaluation.UNREAD_GENES])
    assert unread["n"]["AUROC", "model"] == 5  # four of B and the P/LP of C
    assert unread["n"]["AUROC within genes", "model"] == 1


def test_what_needs_no_model_has_the_published_numbers():
    found = by_name(evaluation.variants_without_a_model())
    assert {of for _, of in found.index} == {"alignment column", "share of the gene", *evaluation.PUBLISHED.values()}
    assert found["value"]["AUROC", "alignment column"] == pytest.approx(0.890, abs=5e-4)
    assert found["n"]["AUROC", "alignment column"] == 3_376 + 688
    assert found["value"]["AUROC within genes", "share of the gene"] == 0.5


def test_the_chapter_on_variants_has_the_same_numbers(monkeypatch):
    """`metrics.summary` makes those: same genes, same resamples, same interval."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "gene": np.repeat([f"g{n}" for n in range(12)], 12),
            "significance": rng.choice(["P/LP", "B/LB"], 144),
            "score": rng.normal(size=144),
            "model": "fake",
            "strategy": "wildtype-marginals",
        }
    )
    ours = by_name(evaluation.variants(table))
    theirs = metrics.summary(table, minimum=evaluation.MINIMUM, **evaluation.OPTIONS).set_index("statistic")
    columns = ["value", "low", "high"]
    assert theirs.loc["within-gene auroc", "n_genes"] == ours["n"]["AUROC within genes", "model"] < 12
    for here, there in (("AUROC", "auroc"), ("AUROC within genes", "within-gene auroc")):
        assert ours.loc[(here, "model"), columns].tolist() == theirs.loc[there, columns].tolist()


def test_contacts_are_means_over_proteins_and_ratios_of_means():
    table = evaluation.contact_maps(contacts_table())
    assert table["data"].unique().tolist() == ["structures kept aside", "AlphaFold, 53 genes"]
    kept = by_name(table[table["data"] == "structures kept aside"])
    value = kept["value"]
    assert value["P@L", "model"] == pytest.approx(0.2)
    assert value["P@L", "separation only"] == pytest.approx(0.08)
    assert value["P@L", "random pairs"] == pytest.approx(0.025)
    assert value["P@L/5", "model"] == pytest.approx(0.4)
    assert value["P@L/5", "separation only"] == pytest.approx(0.15)
    # of means: 0.2 / 0.025, not the mean of 7.5 and 10
    assert value["P@L / that of random pairs", "model"] == pytest.approx(8)
    assert value["P@L / that of separation only", "model"] == pytest.approx(2.5)
    assert (kept["n"] == 2).all() and len(kept) == 7
    genes = by_name(table[table["data"] != "structures kept aside"])
    assert genes["value"]["P@L / that of random pairs", "model"] == pytest.approx(15)


def test_q3_is_of_residues_and_its_gain_that_over_the_window():
    found = by_name(evaluation.secondary_structure(structure_table()))
    value = found["value"]
    assert value["Q3", "model"] == pytest.approx(28 / 40)
    assert value["Q3", "window of 15 residues"] == pytest.approx(24 / 40)
    assert value["Q3", "the residue"] == pytest.approx(20 / 40)
    assert value["Q3", "commonest state"] == pytest.approx(16 / 40)
    assert value["Q3 - that of the window", "model"] == pytest.approx(4 / 40)
    assert (found["n"] == 2).all() and len(found) == 5


def test_localisation_by_method():
    """Composition has three of four right: with TP 2, TN 1, FP 1, FN 0 Matthews gives 2 / sqrt(3 * 2 * 2 * 1)."""
    found = by_name(evaluation.localisation(localisation_table()))
    value = found["value"]
    assert value["accuracy", "model"] == 1 and value["Matthews correlation", "model"] == 1
    assert value["accuracy", "composition"] == 0.75
    assert value["Matthews correlation", "composition"] == pytest.approx(2 / np.sqrt(12))
    assert value["accuracy", "commonest class"] == 0.5
    assert ("Matthews correlation", "commonest class") not in found.index  # zero by its definition
    assert (found["n"] == 4).all()


# --- all of it ---


@pytest.fixture
def evaluated(monkeypatch):
    monkeypatch.setattr(evaluation, "MINIMUM", 2)
    return evaluation.from_studies({title: make() for title, make in STUDIES.items()}, "fake")


def test_the_whole_has_the_schema_and_every_study(evaluated):
    checked = tables.check(evaluated, evaluation.EVALUATION, where="test")  # unique keys, no missing number
    assert list(checked.columns) == list(evaluation.EVALUATION.names)
    assert set(STUDIES) == set(evaluation.TESTS)
    assert all(recompute.STUDIES[title] is study for title, (study, _) in evaluation.TESTS.items())
    assert evaluated["test"].str.split(",").str[0].unique().tolist() == [
        "masked residues",
        "variant effects",
        "long-range contacts from attention",
        "secondary structure",
        "localisation",
    ]
    inside = (evaluated["low"] <= evaluated["value"]) & (evaluated["value"] <= evaluated["high"])
    assert inside[evaluated["statistic"] != "Matthews correlation"].all()
    assert (evaluated["of"] == "model").sum() == 3 + 7 + 2 * 4 + 2 + 2


def test_a_number_that_is_missing_is_refused(monkeypatch):
    monkeypatch.setattr(evaluation, "MINIMUM", 2)
    studies = {title: make() for title, make in STUDIES.items()}
    studies["contacts"].loc[0, "p_at_l5"] = np.nan
    with pytest.raises(InputError, match="found 1 of 2"):
        evaluation.from_studies(studies, "fake")


def test_the_card_takes_rounded_rows_and_keeps_the_rest(tmp_path, monkeypatch, evaluated):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    card = {
        "name": "plmbook_toy",
        "family": "esm2",
        "layers": 1,
        "dim": 2,
        "heads": 1,
        "parameters": 3,
        "max_length": 9,
        "training_data": "a test",
        "licence": "CC0",
        "sha256": "0" * 64,
        "aliases": ["toy"],
        "limits": ["none \u00e9"],
        "config": {"seed": 1, "betas": [0.9, 0.98]},
        "evaluation": "of another day",
    }
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "plmbook_toy.json"
    path.write_text(json.dumps(card))
    table = evaluated.assign(value=evaluated["value"] + 0.123456789, high=10.0)
    evaluation.write_card("toy", table)  # by its alias
    written = json.loads(path.read_text())
    rows = written.pop("evaluation")
    card.pop("evaluation")
    assert written == card
    assert list(rows[0]) == list(evaluation.EVALUATION.names)
    assert [row["value"] for row in rows] == [round(value, 4) for value in table["value"]]
    assert all(isinstance(row["n"], int) for row in rows)
    again = tables.check(pd.DataFrame(rows), evaluation.EVALUATION, where=path)
    pd.testing.assert_frame_equal(again, table, atol=5.1e-5, rtol=0)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
