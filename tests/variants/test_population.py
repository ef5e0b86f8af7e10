"""Frequencies, rescuability and codons on tables that one can read, and a difference that is put there to be found."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import parse_mutations
from plmbook.stats import metrics
from plmbook.variants import population, rescue

SEQUENCE = "MKRLVAEDGH"


def candidates(rows, **more):
    """Candidates of one variant: (position, alt, score_background, epistasis), ranked."""
    table = pd.DataFrame(rows, columns=["position", "alt", "score_background", "epistasis"])
    table["score_wild_type"] = table["score_background"] - table["epistasis"]
    for name, column in (("rank", "epistasis"), ("rank_background", "score_background")):
        table[name] = table[column].rank(ascending=False, method="min").astype("int64")
    given = {"id": "A", "mutation": "K2A", "model": "m", "ref": "R", "distance_angstrom": np.nan, "cpd": np.nan}
    return table.assign(**given | more).sort_values("rank", ignore_index=True)


# --- frequency and predicted effect ----------------------------------------------------------------------


def test_each_frequency_has_one_bin():
    found = population.frequency_bins(pd.Series([np.nan, 0, 1e-9, 9.9e-6, 1e-5, 1e-4, 1e-3, 1.0]))
    assert found.tolist() == [population.BINS[i] for i in (0, 0, 1, 1, 2, 3, 4, 4)]
    with pytest.raises(InputError, match="from 0 to 1, found -0.1"):
        population.frequency_bins(pd.Series([0.5, -0.1]))


def test_correlation_is_within_genes_and_not_pooled():
    """Falling within each gene, but the gene with the higher x has the higher y: pooled, it rises."""
    t = pd.DataFrame({"gene": ["A"] * 5 + ["B"] * 5, "x": [1, 2, 3, 4, 5, 11, 12, 13, 14, 15.0]})
    t["y"] = [5, 4, 3, 2, 1, 15, 14, 13, 12, 11.0]
    assert spearmanr(t["x"], t["y"])[0] > 0.4
    found = population.correlation(t, "x", "y", minimum=5, n=20)
    assert found == pytest.approx({"value": -1.0, "low": -1.0, "high": -1.0, "genes": 2, "variants": 10})


def test_correlation_equals_scipy_and_leaves_out_what_is_missing_or_flat():
    rng = np.random.default_rng(0)
    t = pd.DataFrame({"gene": np.repeat(list("ABC"), 12), "x": rng.normal(size=36), "y": rng.integers(0, 4, 36)})
    t.loc[t["gene"] == "B", "y"] = 1  # does not vary
    t.loc[[0, 1], "x"] = np.nan
    found = population.gene_correlations(t, "x", "y", minimum=10)
    assert found[["gene", "n"]].values.tolist() == [["A", 10], ["C", 12]]
    for row in found.itertuples():
        part = t[t["gene"] == row.gene].dropna()
        assert row.correlation == pytest.approx(spearmanr(part["x"], part["y"])[0])
    assert population.gene_correlations(t, "x", "y", minimum=11)["gene"].tolist() == ["C"]
    with pytest.raises(InputError, match="no gene has 13 variants with x and y"):
        population.correlation(t, "x", "y", minimum=13)


def test_partial_correlation_takes_away_what_both_follow():
    """x and y both follow z and nothing else: related, but not at equal z."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(4, 400))
    x, y = (z + rng.normal(size=z.shape) for _ in range(2))
    t = pd.DataFrame({"gene": np.repeat(list("ABCD"), 400), "x": x.ravel(), "y": y.ravel(), "z": z.ravel()})
    assert population.correlation(t, "x", "y")["value"] > 0.4
    assert abs(population.correlation(t, "x", "y", given="z")["value"]) < 0.05


def test_partial_correlation_equals_the_formula():
    rng = np.random.default_rng(2)
    t = pd.DataFrame(rng.normal(size=(30, 3)), columns=["x", "y", "z"]).assign(gene="A")
    (xy,), (xz,), (yz,) = (
        population.gene_correlations(t, a, b)["correlation"] for a, b in (("x", "y"), ("x", "z"), ("y", "z"))
    )
    follows = t.assign(rank=t["x"].rank())
    assert population.gene_correlations(follows, "x", "y", given="rank").empty  # nothing of x is left
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert population.gene_correlations(t, "x", "y", given="z")["correlation"].iat[0] == pytest.approx(expected)


def test_percentiles_and_their_means_by_bin():
    t = pd.DataFrame({"gene": list("AAAABB"), "x": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0]})
    t["p"] = population.gene_percentiles(t, "x")
    assert t["p"].tolist() == [12.5, 37.5, 62.5, 87.5, 50, 50]
    t["bin"] = ["from 1e-3", "absent", "absent", "from 1e-3", "absent", "absent"]
    found = population.mean_by_bin(t, "p", minimum=2, n=10)
    assert found[["bin", "value", "genes", "variants"]].values.tolist() == [
        ["absent", 50.0, 2, 4],  # (50 + 50) / 2
        ["from 1e-3", 50.0, 1, 2],
    ]
    assert population.mean_by_bin(t, "p", minimum=3, n=10).empty


# --- rescuability ----------------------------------------------------------------------------------------


def test_the_best_acceptable_one_counts():
    """The highest epistasis is not acceptable; of the two that are, the one that gains more counts."""
    table = candidates([(5, "C", -1.0, 3.0), (6, "D", 0.5, 2.0), (7, "E", 2.0, 0.1)], cpd=4.0, distance_angstrom=6.5)
    (found,) = population.rescuability(table).to_dict("records")
    assert (found["rescuability"], found["second"], found["cpd"], found["distance_angstrom"]) == (2.0, "R6D", 4.0, 6.5)
    assert found["exact"]


def test_nothing_acceptable_or_gaining_is_0():
    for rows in ([(5, "C", -1.0, 3.0)], [(5, "C", 1.0, -0.5)]):
        (found,) = population.rescuability(candidates(rows)).to_dict("records")
        assert found["rescuability"] == 0 and found["second"] == ""
    tables.check(population.rescuability(candidates(rows)), population.RESCUABILITY, where="here")


def test_rescuability_says_where_it_is_only_a_bound():
    """Two are kept for each score of five.  The middle one is the answer, and was kept for neither."""
    everything = candidates([(3, "A", -3, 5), (4, "A", -2, 4), (5, "A", 1, 3), (6, "A", 2, 2), (7, "A", 3, 1)])
    kept = everything[(everything["rank"] <= 2) | (everything["rank_background"] <= 2)]
    (found,) = population.rescuability(kept).to_dict("records")
    assert found["rescuability"] == 2 and not found["exact"] and found["at_most"] == 4
    # Where the last that was kept for its score is not acceptable, none that was left out can be.
    low = everything.assign(score_background=everything["score_background"] - 2.5)
    (found,) = population.rescuability(low[(low["rank"] <= 2) | (low["rank_background"] <= 2)]).to_dict("records")
    assert found["rescuability"] == found["at_most"] == 1 and found["exact"]


def test_rescuability_from_kept_candidates_is_that_of_the_whole_scan():
    model = FakeModel(seeded)
    variants = [parse_mutations(text) for text in ("K2A", "R3W", "E7Q")]
    (block,) = rescue.scores(model, SEQUENCE, variants)
    for top in (3, 50, 1000):
        found = rescue.scan_protein(model, SEQUENCE, variants, id="A", top=top)
        made = population.rescuability(found.candidates)
        tables.check(made, population.RESCUABILITY, where="here")
        assert made["mutation"].tolist() == ["K2A", "R3W", "E7Q"]
        for row, variant, background, gain in zip(
            made.itertuples(), variants, block.score_background, block.epistasis, strict=True
        ):
            sites = rescue.second_sites(SEQUENCE, variant) & (background >= 0)
            true = max(0.0, float(gain[sites].max(initial=0)))
            assert row.rescuability - 1e-6 <= true <= row.at_most + 1e-6
            if row.exact:
                assert row.rescuability == pytest.approx(true, abs=1e-6)
    assert made["exact"].all() and (made["rescuability"] > 0).all()


def labelled(rng, shift):
    """Four genes; the rescuability follows the predicted effect, which follows the class; P/LP have `shift` more."""
    parts = []
    for gene in "ABCD":
        pathogenic = rng.random(300) < 0.6
        score = rng.normal(size=300) - 1.0 * pathogenic
        value = -score + 0.5 * rng.normal(size=300) + shift * pathogenic
        parts.append(pd.DataFrame({"gene": gene, "significance": np.where(pathogenic, "P/LP", "B/LB"),
                                   "score_wild_type": score, "rescuability": value}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_a_worse_variant_leaves_more_to_be_made_good():
    """Within genes alone the classes differ for that reason; at equal predicted effect they do not."""
    table = labelled(np.random.default_rng(3), 0.0)
    raw = population.class_difference(table, "rescuability", bins=1, n=200)
    same = population.class_difference(table, "rescuability", bins=20, n=200)
    assert raw.value > 0.65 and raw.p < 0.02
    assert 0.45 < same.value < 0.55 and same.p > 0.05
    assert raw.n_cases == (table["significance"] == "P/LP").sum() and raw.n_genes == 4


def test_a_difference_that_is_there_is_found_on_either_side():
    for shift, side in ((0.5, 1), (-0.5, -1)):
        table = labelled(np.random.default_rng(4), shift)
        found = population.class_difference(table, "rescuability", bins=20, n=200)
        assert side * (found.value - 0.5) > 0.1 and found.p < 0.02
        assert found.low <= found.value <= found.high


def test_classes_by_hand_and_what_does_not_count():
    """P/LP 3 and 1 against B/LB 2: one of two pairs; VUS rows play no part."""
    t = pd.DataFrame({"gene": "A", "significance": ["P/LP", "B/LB", "P/LP", "VUS"], "x": [3.0, 2.0, 1.0, 9.0],
                      "score_wild_type": -1.0})  # fmt: skip
    found = population.class_difference(t, "x", minimum=1, n=50)
    assert (found.value, found.n_cases, found.n_controls, found.n_genes) == (0.5, 2, 1, 1)
    with pytest.raises(InputError, match="no gene has 5 cases"):
        population.class_difference(t, "x", n=50)


def test_what_costs_nothing_has_no_share():
    t = pd.DataFrame({"rescuability": [1.0, 1.0], "score_wild_type": [-4.0, 0.5]})
    np.testing.assert_array_equal(population.compensated_share(t), [0.25, np.nan])


def test_a_rank_needs_every_model():
    t = pd.DataFrame(
        [
            ("A", "K2A", "one", -2.0, 1.0),
            ("A", "K2A", "two", -1.0, 0.8),
            ("A", "R3W", "one", -4.0, 3.0),
            ("A", "R3W", "two", -4.0, 1.0),
            ("A", "E7Q", "one", -1.0, 9.0),
            ("A", "E7Q", "two", 0.5, 9.0),  # the second model calls it no damage
            ("A", "L4V", "one", -1.0, 1.0),  # the second model lacks it
        ],
        columns=["gene", "mutation", "model", "score_wild_type", "rescuability"],
    )
    found = population.ranked(t, ["one", "two"])
    assert found[["mutation", "share", "share one", "share two"]].values.tolist() == [
        ["K2A", 0.5, 0.5, 0.8],
        ["R3W", 0.25, 0.75, 0.25],
    ]
    assert population.ranked(t, ["one"])["mutation"].tolist() == ["E7Q", "L4V", "R3W", "K2A"]


# --- several nucleotides in one codon --------------------------------------------------------------------


def test_every_change_of_a_codon_is_numbered_in_our_sequence():
    cases = tables.load("same_codon")
    changes = population.codon_changes(cases)
    fits = cases["matches"] & (cases["aligned_position"] > 0)
    assert changes["case"].nunique() == fits.sum() and len(changes) == 3 * fits.sum()
    sequences = tables.load("genes").set_index("gene")["sequence"]
    missense = changes[changes["kind"] == population.MISSENSE]
    for gene, text in missense[["gene", "mutation"]].itertuples(index=False):
        parse_mutations(text)[0].check(sequences[gene])
    stops = changes[changes["kind"] == population.STOP]
    assert set(cases.loc[stops["case"], "category"]) == {"Rescued nonsense"}
    assert (changes.loc[changes["which"] == "combined", "kind"] != population.STOP).all()


def test_scores_of_a_codon():
    cases = pd.DataFrame({"gene": "A", "mutation": ["K2W", "R3Q"], "change1": ["K2A", "R3*"],
                          "change2": ["K2C", "R3R"], "matches": True, "aligned_position": [2, 3]})  # fmt: skip
    changes = population.codon_changes(cases)
    assert changes[["change", "kind", "mutation"]].values.tolist()[3:] == [
        ["R3*", "stop", ""], ["R3R", "silent", ""], ["R3Q", "missense", "R3Q"],
    ]  # fmt: skip
    scores = pd.DataFrame({"gene": "A", "mutation": ["K2A", "K2C", "K2W", "R3Q"], "score": [-1.0, -2.0, -3.0, -4.0]})
    found = population.codon_scores(changes, scores)
    assert found.iloc[0].tolist() == [0, -1, -2, -3, False]
    assert np.isnan(found["score1"][1]) and found.loc[1, ["score2", "combined", "silent"]].tolist() == [0, -4, True]
    with pytest.raises(InputError, match="A K2C: expected a score"):
        population.codon_scores(changes, scores.drop(1))


def test_milder_has_the_exact_interval():
    """None of 10: Clopper and Pearson give 1 - 0.025 ** (1 / 10) as the upper end."""
    t = pd.DataFrame({"score1": -1.0, "score2": [-2.0] * 10 + [np.nan], "combined": -3.0, "silent": False})
    found = population.milder(t)
    assert found["k"].tolist() == [0, 0] and found["n"].tolist() == [10, 10]
    np.testing.assert_allclose(found["high"], 1 - 0.025**0.1)
    assert population.milder(t.assign(combined=-1.5))["k"].tolist() == [10, 0]
    one = t.assign(score1=0.0, silent=True)  # a silent change cannot be worse: what counts is the other
    assert population.milder(one)[["than", "k", "n"]].values.tolist() == [["the only one", 0, 10]]
    assert population.milder(one.assign(combined=-1.0))["k"].tolist() == [10]
    assert population.milder(one.assign(score2=0.5, combined=0.2))["k"].tolist() == [0]
    with pytest.raises(InputError, match="no case has a score"):
        population.milder(t.tail(1))


def test_frequencies_of_the_bundled_variants_are_absent_or_above_0():
    variants = tables.load("variants")
    bins = population.frequency_bins(variants["allele_frequency"]).value_counts()
    assert bins["absent"] == variants["allele_frequency"].isna().sum() == 18_476
    assert bins.sum() == len(variants) and set(bins.index) == set(population.BINS)
    assert set(variants["significance"]) >= {metrics.PATHOGENIC, metrics.BENIGN}
