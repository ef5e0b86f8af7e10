"""Metrics against scikit-learn, against counting by hand, and against their own invariants."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.stats import bootstrap, metrics


def random_table(n=4300, n_genes=53, seed=0):
    rng = np.random.default_rng(seed)
    pathogenic = rng.random(n) < 0.8
    return pd.DataFrame(
        {
            "gene": np.array([f"G{i:02d}" for i in rng.integers(0, n_genes, n)]),
            "mutation": [f"A{i}C" for i in range(n)],
            "significance": np.where(pathogenic, "P/LP", "B/LB"),
            "score": np.round(rng.normal(size=n) - 1.5 * pathogenic, 1),  # rounded: many ties
        }
    )


@pytest.fixture(scope="module")
def table():
    return random_table()


def test_auroc_and_auprc_equal_scikit_learn_with_ties(table):
    pathogenic = table["significance"] == "P/LP"
    assert metrics.auroc(table) == pytest.approx(roc_auc_score(pathogenic, -table["score"]), abs=1e-12)
    assert metrics.auprc(table) == pytest.approx(average_precision_score(pathogenic, -table["score"]), abs=1e-12)
    assert metrics.benign_auprc(table) == pytest.approx(average_precision_score(~pathogenic, table["score"]), abs=1e-12)


@pytest.mark.parametrize("statistic", [metrics.auroc, metrics.auprc, metrics.benign_auprc])
def test_a_weight_counts_like_that_many_rows(table, statistic):
    weights = bootstrap.weights(table["gene"], n=3, seed=1)
    together = statistic(table, weight=weights)
    assert together.shape == (3,)
    for weight, value in zip(weights, together, strict=True):
        repeated = table.loc[table.index.repeat(weight.astype(int))]
        assert value == pytest.approx(statistic(repeated), abs=1e-12)


def test_within_gene_auroc_is_the_mean_over_qualifying_genes():
    # A: P -3, P -1, B -2, B 0 -> pairs in order: 2 + 1 of 4 = 0.75; B: P -1, B -2 -> 0, but one of each is too few
    table = pd.DataFrame(
        {
            "gene": list("AAAABB"),
            "significance": ["P/LP", "P/LP", "B/LB", "B/LB", "P/LP", "B/LB"],
            "score": [-3.0, -1.0, -2.0, 0.0, -1.0, -2.0],
        }
    )
    assert metrics.within_gene_auroc(table, minimum=2) == 0.75
    assert metrics.within_gene_auroc(table, minimum=1) == 0.375
    assert np.isnan(metrics.within_gene_auroc(table, minimum=5))
    # a resample with A twice and B never, and one with B once and A three times: (3 * 0.75 + 0) / 4
    weight = np.array([[2, 2, 2, 2, 0, 0], [3, 3, 3, 3, 1, 1]])
    assert metrics.within_gene_auroc(table, 1, weight=weight).tolist() == [0.75, 0.5625]
    with pytest.raises(InputError, match="equal within a gene"):
        metrics.within_gene_auroc(table, 1, weight=np.arange(6))


def test_within_gene_auroc_ignores_gene_identity(table):
    shift = table["gene"].map({g: 10 * i for i, g in enumerate(sorted(table["gene"].unique()))})
    moved = table.assign(score=table["score"] + shift)
    assert metrics.within_gene_auroc(moved) == pytest.approx(metrics.within_gene_auroc(table))
    assert metrics.auroc(moved) < metrics.auroc(table) - 0.1


def test_pairs_within_and_between_genes_by_counting(table):
    small = table.iloc[:300]
    pathogenic, benign = (small[small["significance"] == label] for label in ("P/LP", "B/LB"))
    pairs = pathogenic.merge(benign, how="cross", suffixes=("", "_benign"))
    order = (pairs["score"] < pairs["score_benign"]) + (pairs["score"] == pairs["score_benign"]) / 2
    one_gene = pairs["gene"] == pairs["gene_benign"]
    assert metrics.pair_auroc(small) == pytest.approx(order[one_gene].mean())
    assert metrics.pair_auroc(small, between=True) == pytest.approx(order[~one_gene].mean())


def test_pairs_of_a_resample_are_those_of_the_repeated_rows(table):
    small = table.iloc[:300].reset_index(drop=True)
    weights = bootstrap.weights(small["gene"], n=3, seed=1)
    for between in (False, True):
        together = metrics.pair_auroc(small, weight=weights, between=between)
        for weight, value in zip(weights, together, strict=True):
            repeated = small.loc[small.index.repeat(weight.astype(int))]
            assert value == pytest.approx(metrics.pair_auroc(repeated, between=between))


def test_pairs_between_genes_need_two_genes():
    one = random_table(n=50, n_genes=1)
    assert np.isnan(metrics.pair_auroc(one, between=True))
    assert metrics.pair_auroc(one) == pytest.approx(metrics.auroc(one))


def test_what_a_statistic_cannot_use_is_refused(table):
    with pytest.raises(InputError, match="equal within a gene"):
        metrics.pair_auroc(table, weight=np.arange(len(table)))
    with pytest.raises(InputError, match="at least one score on each side"):
        metrics.contrast(metrics.auroc, ["score"], [])
    with pytest.raises(InputError, match="3 weights for 4300 rows"):
        metrics.auroc(table, weight=np.ones(3))
    with pytest.raises(InputError, match="positive class 'VUS': expected one of P/LP, B/LB"):
        metrics.auprc(table, positive="VUS")
    with pytest.raises(InputError, match="60 folds need at least 60 genes, found 53"):
        metrics.calibrate(table, folds=60)
    with pytest.raises(InputError, match=r"score must lie in \[0, 1\]"):
        metrics.reliability(table, probability="score")


def test_spearman_shares_the_ranks_of_ties():
    assert metrics.spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 9.0])) == pytest.approx(1)
    assert metrics.spearman(np.array([1.0, 2.0, 2.0]), np.array([1.0, 3.0, 2.0])) == pytest.approx(3**0.5 / 2)
    assert metrics.spearman(np.zeros(3), np.arange(3.0)) == 0


def test_contrasts_that_telescope_add_up(table):
    noise = np.random.default_rng(2).normal(size=(2, len(table)))
    both = table.assign(one=table["score"] + noise[0], two=table["score"] + noise[1])
    gain = metrics.contrast(metrics.auroc, ["score"], ["one", "two"])
    lead = metrics.contrast(metrics.auroc, ["one", "two"], ["two"])
    whole = metrics.contrast(metrics.auroc, ["score"], ["two"])
    weight = bootstrap.weights(table["gene"], n=4)
    assert gain(both) > 0
    assert gain(both) + lead(both) == pytest.approx(whole(both))
    np.testing.assert_allclose(gain(both, weight=weight) + lead(both, weight=weight), whole(both, weight=weight))


def test_mean_over_genes_resamples_genes():
    values = pd.Series(np.arange(20.0))
    found = metrics.mean_over_genes(values, n=500, seed=1)
    assert (found.value, found.n) == (9.5, 20)
    standard_error = values.std() / 20**0.5
    assert found.high - found.low == pytest.approx(4 * standard_error, rel=0.15)
    assert found == metrics.mean_over_genes(values, n=500, seed=1)
    with pytest.raises(InputError, match="needs a number for each gene, found 1 of 2"):
        metrics.mean_over_genes(pd.Series([1.0, np.nan]))
    with pytest.raises(InputError, match="found 0 of 0"):
        metrics.mean_over_genes(values[:0])


def test_gene_share_knows_nothing_within_a_gene(table):
    assert metrics.within_gene_auroc(table.assign(score=metrics.gene_share(table))) == 0.5


def test_bootstrap_is_seeded_contains_the_value_and_is_fast(table):
    start = time.process_time()
    found = metrics.estimate(table, metrics.auroc, n=1000, seed=3)
    assert time.process_time() - start < 3
    assert found.low < metrics.auroc(table) < found.high
    assert found == metrics.estimate(table, metrics.auroc, n=1000, seed=3)
    assert found != metrics.estimate(table, metrics.auroc, n=1000, seed=4)


def test_bootstrap_resamples_genes_not_rows():
    # one gene: every resample is the table itself, so the interval has no width
    table = random_table(n=200, n_genes=1)
    value = metrics.auroc(table)
    assert metrics.estimate(table, metrics.auroc, n=20) == pytest.approx((value, value, value, 200))
    assert (bootstrap.weights(table["gene"], n=5) == 1).all()


def test_bootstrap_with_too_few_classes_says_so():
    table = random_table(n=50, n_genes=2).assign(significance="P/LP")
    with pytest.raises(InputError, match="no resample"):
        metrics.estimate(table, metrics.auroc, n=10)


def test_paired_difference_uses_common_rows_and_is_narrower_than_unpaired(table):
    rng = np.random.default_rng(1)
    both = table.assign(other=table["score"] + rng.normal(scale=0.3, size=len(table)))
    both.loc[:99, "other"] = np.nan
    found = metrics.paired_difference(both, "score", "other", n=300)
    assert found.n == len(table) - 100
    common = both.iloc[100:]
    assert found.value == pytest.approx(metrics.auroc(common) - metrics.auroc(common, score="other"))
    assert found.low < found.value < found.high
    alone = metrics.estimate(table, metrics.auroc, n=300)
    assert found.high - found.low < alone.high - alone.low
    assert metrics.paired_difference(both, "score", "score", n=10)[:3] == (0, 0, 0)


def test_other_classes_and_missing_scores_are_refused_not_dropped(table):
    with pytest.raises(InputError, match="found VUS"):
        metrics.auroc(table.assign(significance="VUS"))
    with pytest.raises(InputError, match="1 of 4300 values of score are missing"):
        metrics.auroc(table.assign(score=table["score"].where(table.index > 0)))
    with pytest.raises(InputError, match="lacks score"):
        metrics.auroc(table.drop(columns="score"))
    mixed = table.assign(significance=table["significance"].where(table.index > 9, "VUS"))
    assert len(metrics.labelled(mixed)) == len(table) - 10


def test_summary_has_every_statistic_with_counts(table):
    effects = pd.concat([table.assign(model=m, strategy="wildtype-marginals") for m in ("a", "b")])
    found = metrics.summary(effects, n=20)
    assert len(found) == 8
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()
    first = found.iloc[0]
    assert (first["model"], first["statistic"], first["value"]) == ("a", "auroc", metrics.auroc(table))
    assert first["n_pathogenic"] + first["n_benign"] == len(table)


def test_calibration_is_cross_fitted_by_gene(table):
    probability = metrics.calibrate(table)
    assert probability.between(0, 1).all()
    # flipping the labels of one gene cannot change that gene's own probabilities
    gene = table["gene"] == "G07"
    flipped = table.assign(
        significance=table["significance"].where(~gene, table["significance"].map({"P/LP": "B/LB", "B/LB": "P/LP"}))
    )
    again = metrics.calibrate(flipped)
    np.testing.assert_array_equal(probability[gene], again[gene])
    assert not np.array_equal(probability[~gene], again[~gene])
    calibrated = table.assign(probability=probability)
    assert metrics.brier(calibrated) < metrics.brier(table.assign(probability=0.8))
    assert metrics.expected_calibration_error(calibrated) < 0.05
    assert metrics.expected_calibration_error(table.assign(probability=0.3)) == pytest.approx(
        (table["significance"] == "P/LP").mean() - 0.3
    )


def test_reliability_counts_by_hand():
    # two bins: 0.2, 0.2 (one of two P/LP), 0.8, 0.8 (both P/LP)
    table = pd.DataFrame({"significance": ["P/LP", "B/LB", "P/LP", "P/LP"], "probability": [0.2, 0.2, 0.8, 0.8]})
    found = metrics.reliability(table, bins=2)
    assert found["predicted"].tolist() == [0.2, 0.8]
    assert found["observed"].tolist() == [0.5, 1.0]
    assert found["n"].tolist() == [2, 2]
    assert (found["low"] <= found["observed"]).all() and (found["observed"] <= found["high"] + 1e-12).all()
    assert metrics.brier(table) == pytest.approx((0.8**2 + 0.2**2 + 0.2**2 + 0.2**2) / 4)
    assert metrics.expected_calibration_error(table, bins=2) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)


def test_spearman_on_common_rows():
    effects = pd.DataFrame(
        {
            "gene": "G",
            "mutation": ["A1C", "A2C", "A3C", "A1C", "A2C", "A3C", "A1C"],
            "model": ["x"] * 3 + ["y"] * 3 + ["z"],
            "score": [1.0, 2.0, 3.0, -1.0, -4.0, -9.0, 0.0],
        }
    )
    found = metrics.rank_correlations(effects)
    assert found[["first", "second", "n"]].values.tolist() == [["x", "y", 3], ["x", "z", 1], ["y", "z", 1]]
    assert found["spearman"].iloc[0] == pytest.approx(-1)
    assert found["spearman"].iloc[1:].isna().all()
    with pytest.raises(InputError, match="two scores of x for G A1C"):
        metrics.rank_correlations(pd.concat([effects, effects.head(1)]))


def test_perplexity_of_a_uniform_guess_is_twenty():
    table = pd.DataFrame({"log_likelihood": [3 * np.log(1 / 20), 5 * np.log(1 / 20)], "n_masked": [3, 5]})
    assert metrics.perplexity(table, n=20) == pytest.approx((20, 20, 20, 2))
    with pytest.raises(InputError, match="at least one masked"):
        metrics.perplexity(table.assign(n_masked=0))


def likelihoods(n, seed=0):
    """A table as `heldout_likelihood` of the studies makes it, of made-up numbers."""
    rng = np.random.default_rng(seed)
    masked = rng.integers(5, 150, n)
    columns = {name: -masked * rng.uniform(1.5, 3.1, n) for name in metrics.LIKELIHOODS.values()}
    kingdom = rng.choice(["Bacteria", "Fungi", "unknown"], n)
    return pd.DataFrame({"length": rng.integers(50, 1023, n), "n_masked": masked, "kingdom": kingdom, **columns})


@pytest.mark.parametrize("by", ["length", "kingdom"])
def test_perplexities_of_the_groups_recombine_to_that_of_all(by):
    table = likelihoods(80)
    groups = metrics.length_group(table["length"]) if by == "length" else table["kingdom"]
    parts = metrics.perplexity_table(table, by=groups, n=50)
    whole = metrics.perplexity_table(table, n=50).set_index("model")
    assert set(whole["group"]) == {"all"} and whole["n_proteins"].eq(80).all()
    for model, rows in parts.groupby("model"):
        assert rows["n_proteins"].sum() == 80 and rows["n_masked"].sum() == table["n_masked"].sum()
        together = np.exp(np.average(np.log(rows["perplexity"]), weights=rows["n_masked"]))
        assert together == pytest.approx(whole.loc[model, "perplexity"], rel=1e-12)
    assert (parts["low"] <= parts["perplexity"]).all() and (parts["perplexity"] <= parts["high"]).all()


def test_groups_of_length_come_in_order_and_each_is_that_part_alone():
    table = likelihoods(60, seed=1)
    parts = metrics.perplexity_table(table, by=metrics.length_group(table["length"]), n=50, seed=3)
    assert parts["group"].unique().tolist() == ["50-149", "150-299", "300-499", "500-1022"]
    assert parts["model"].unique().tolist() == ["model", "n-gram", "residue frequencies"]
    long = table[table["length"] >= 500]
    alone = metrics.perplexity(long, log_likelihood="ngram_log_likelihood", n=50, seed=3)
    row = parts.set_index(["group", "model"]).loc[("500-1022", "n-gram")]
    assert row[["perplexity", "low", "high", "n_proteins"]].tolist() == list(alone)
    outside = metrics.length_group(pd.Series([49, 1023]))
    assert outside.isna().all()
    with pytest.raises(InputError, match="lacks ngram_log_likelihood"):
        metrics.perplexity_table(table.drop(columns="ngram_log_likelihood"))


# The numbers of the published scores on the bundled variants (issue: each to 0.001).


@pytest.fixture(scope="module")
def published():
    scores = tables.load("published_effects").pivot(index=["gene", "mutation"], columns="model", values="score")
    return tables.load("variants").merge(scores.reset_index(), on=["gene", "mutation"], how="left")


@pytest.mark.parametrize(
    "model, expected, n", [("esm2_t33_650M_UR50D", 0.861, (3570, 778)), ("esm1v", 0.893, (3647, 779))]
)
def test_published_scores_on_all_rows_that_have_one(published, model, expected, n):
    rows = metrics.labelled(published, score=model)
    counts = rows["significance"].value_counts()
    assert (counts["P/LP"], counts["B/LB"]) == n
    assert metrics.auroc(rows, score=model) == pytest.approx(expected, abs=1e-3)


def test_published_scores_on_common_rows_pooled_and_within_genes(published):
    names = ["esm2_t33_650M_UR50D", "esm1v"]
    rows = metrics.labelled(published, score=names)
    assert rows["significance"].value_counts().to_dict() == {"P/LP": 3558, "B/LB": 778}
    pooled = [metrics.auroc(rows, score=name) for name in names]
    within = [metrics.within_gene_auroc(rows, score=name) for name in names]
    assert pooled == pytest.approx([0.861, 0.907], abs=1e-3)
    assert within == pytest.approx([0.855, 0.875], abs=1e-3)
    assert len(metrics.gene_aurocs(rows, score="esm1v")) == 34
    share = metrics.auroc(rows.assign(share=metrics.gene_share(rows)), score="share")
    assert share == pytest.approx(0.807, abs=1e-3)
