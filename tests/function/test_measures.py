"""The measures of predicted GO terms: scikit-learn's and cafaeval's numbers, intervals that mean what they say."""

import numpy as np
import pandas as pd
import pytest

from plmbook.core.errors import InputError
from plmbook.function.measures import (
    METRICS,
    TAUS,
    against_baselines,
    cafa,
    calibration,
    consistent,
    information,
    mean_differences,
    mean_metric,
    term_metrics,
)
from plmbook.stats import bootstrap

N, TERMS = 200, ["GO:0000001", "GO:0000002"]


@pytest.fixture
def predicted():
    """Labels of two terms, and probabilities that know something of the first."""
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(rng.random((N, 2)) < [0.4, 0.2], columns=TERMS)
    return labels, np.round(np.clip(rng.random((N, 2)) * 0.7 + labels * [0.3, 0.0], 0, 1), 2).to_numpy()


def test_the_measures_are_scikit_learns(predicted):
    from sklearn import metrics

    labels, values = predicted
    found = term_metrics(labels, values, np.array([0.5, 0.4]), n=20)
    for k, threshold in enumerate([0.5, 0.4]):
        y, p, row = labels.iloc[:, k], values[:, k], found.iloc[k]
        said = p >= threshold
        expected = {
            "accuracy": metrics.accuracy_score(y, said),
            "f1": metrics.f1_score(y, said),
            "precision": metrics.precision_score(y, said),
            "recall": metrics.recall_score(y, said),
            "mcc": metrics.matthews_corrcoef(y, said),
            "auprc": metrics.average_precision_score(y, p),
            "auroc": metrics.roc_auc_score(y, p),
        }
        assert row[list(METRICS)].to_dict() == pytest.approx(expected)
        assert (row["n"], row["n_with"], row["threshold"]) == (N, y.sum(), threshold)
        assert row["prevalence"] == pytest.approx(y.mean())
        for name in METRICS:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_a_resample_is_scikit_learns_with_weights(predicted):
    """The interval of few resamples, each computed again."""
    from sklearn import metrics

    labels, values = predicted
    weights = bootstrap.weights(range(N), n=3, seed=7)
    assert (weights.sum(axis=1) == N).all()
    found = term_metrics(labels, values, np.array([0.5, 0.5]), n=3, seed=7).iloc[0]
    y, p = labels.iloc[:, 0], values[:, 0]
    auprc = [metrics.average_precision_score(y, p, sample_weight=w) for w in weights]
    mcc = [metrics.matthews_corrcoef(y, p >= 0.5, sample_weight=w) for w in weights]
    for name, each in (("auprc", auprc), ("mcc", mcc)):
        expected = np.quantile(each, [0.025, 0.975])
        assert [found[f"{name}_low"], found[f"{name}_high"]] == pytest.approx(expected)


def test_relatives_widen_the_interval(predicted):
    labels, values = predicted
    four = pd.concat([labels] * 4, ignore_index=True), np.tile(values, (4, 1))
    clusters = np.tile(np.arange(N), 4)
    wide, narrow = (term_metrics(*four, np.array([0.5, 0.5]), clusters=c, n=300) for c in (clusters, None))
    assert np.allclose(wide["f1"], narrow["f1"])
    widths = [(table["f1_high"] - table["f1_low"]).iloc[0] for table in (wide, narrow)]
    assert widths[0] > 1.5 * widths[1]  # four copies know no more than one: twice as wide


def test_a_term_without_predictions_or_with_one_class(predicted):
    labels, values = predicted
    found = term_metrics(labels.assign(**{TERMS[1]: False}), values, np.array([1.1, 0.5]), n=10)
    assert found.loc[0, ["f1", "precision", "recall", "mcc"]].tolist() == [0, 0, 0, 0]
    assert found.loc[1, ["auprc", "auroc", "auprc_low", "auroc_high"]].isna().all()
    assert found.loc[1, "accuracy"] < 1 and found.loc[1, "n_with"] == 0


def test_the_better_one_beats_the_best_baseline(predicted):
    labels, values = predicted
    threshold = np.array([0.5, 0.5])
    methods = {"ours": (values, threshold), "coin": (values[::-1], threshold), "none": (values * 0 + 0.1, threshold)}
    found = against_baselines(labels, methods, "ours", n=200)
    assert found["term"].tolist() == TERMS
    assert found["beats"].tolist() == [True, False]  # of the second term nothing is known
    first = found.iloc[0]
    assert first["low"] > 0 and first["low"] <= first["difference"] <= first["high"]
    alone = term_metrics(labels, values[::-1], threshold, n=0).loc[0, "auprc"]
    assert first["baseline_value"] == pytest.approx(max(alone, labels[TERMS[0]].mean()))
    same = against_baselines(labels, {"ours": methods["ours"], "twin": methods["ours"]}, "ours", metric="f1", n=50)
    assert same[["difference", "low", "high"]].eq(0).all(axis=None) and not same["beats"].any()


def test_the_mean_difference_is_that_of_the_means(predicted):
    labels, values = predicted
    threshold = np.array([0.5, 0.5])
    methods = {"ours": (values, threshold), "coin": (values[::-1], threshold), "none": (values * 0 + 0.1, threshold)}
    found = mean_differences(labels, methods, "ours", n=100).set_index("baseline")
    means = {name: term_metrics(labels, *given, n=0)["auprc"].mean() for name, given in methods.items()}
    assert found["difference"].to_dict() == pytest.approx({n: means["ours"] - means[n] for n in ("coin", "none")})
    assert (found["low"] < found["difference"]).all() and (found["difference"] < found["high"]).all()
    assert found.loc["none", "baseline_value"] == pytest.approx(labels.mean().mean())  # the prevalence
    one = labels.assign(**{TERMS[1]: False})  # a term that nobody has does not count
    assert mean_differences(one, methods, "ours", n=5)["value"].iloc[0] == pytest.approx(
        term_metrics(labels, values, threshold, n=0).loc[0, "auprc"]
    )


# --- CAFA ------------------------------------------------------------------------------------------------

OBO = """format-version: 1.2

[Term]
id: GO:0008150
name: biological_process
namespace: biological_process

[Term]
id: GO:0000001
name: a
namespace: biological_process
is_a: GO:0008150 ! biological_process

[Term]
id: GO:0000002
name: b
namespace: biological_process
is_a: GO:0000001 ! a

[Term]
id: GO:0000003
name: c
namespace: biological_process
relationship: part_of GO:0000001 ! a
"""
LINEAGE = {"GO:0000002": {"GO:0000001", "GO:0008150"}, "GO:0000003": {"GO:0000001", "GO:0008150"}}
LINEAGE |= {"GO:0000001": {"GO:0008150"}}
ANNOTATED = {"p1": "GO:0000002", "p2": "GO:0000003", "p3": "GO:0000001", "p4": "GO:0000002", "p5": "GO:0000003"}
SAID = {
    "p1": {"GO:0000002": 0.905, "GO:0000003": 0.305},
    "p2": {"GO:0000002": 0.605, "GO:0000003": 0.505},
    "p3": {"GO:0000001": 0.705, "GO:0000003": 0.155},
    "p4": {"GO:0000003": 0.455},
}  # nothing for p5
INFORMATION = {"GO:0000001": 0.25, "GO:0000002": 1.5, "GO:0000003": 2.0}


def written_case():
    """The labels, propagated, and the consistent probabilities of the case above."""
    terms = ["GO:0008150", "GO:0000001", "GO:0000002", "GO:0000003"]
    held = [{term, *LINEAGE.get(term, ())} for term in ANNOTATED.values()]
    labels = pd.DataFrame([[term in each for term in terms] for each in held], index=list(ANNOTATED), columns=terms)
    values = np.array([[SAID.get(name, {}).get(term, 0.0) for term in terms] for name in ANNOTATED])
    return labels, consistent(values, terms, LINEAGE)


def test_fmax_and_smin_are_those_of_cafas_program(tmp_path):
    from cafaeval.evaluation import cafa_eval

    (tmp_path / "go.obo").write_text(OBO)
    (tmp_path / "truth.tsv").write_text("".join(f"{name}\t{term}\n" for name, term in ANNOTATED.items()))
    (tmp_path / "said").mkdir()
    rows = [f"{name}\t{term}\t{value}\n" for name, each in SAID.items() for term, value in each.items()]
    (tmp_path / "said/one.tsv").write_text("".join(rows))
    (tmp_path / "ia.tsv").write_text("".join(f"{term}\t{value}\n" for term, value in INFORMATION.items()))
    curve, best = cafa_eval(
        str(tmp_path / "go.obo"),
        str(tmp_path / "said"),
        str(tmp_path / "truth.tsv"),
        ia=str(tmp_path / "ia.tsv"),
        no_orphans=True,
    )
    labels, values = written_case()
    found = cafa(labels, values, information=INFORMATION, n=10).iloc[0]
    assert (found["n_terms"], found["n_proteins"]) == (3, 5)  # without the root
    f = best["f"].reset_index().iloc[0]
    assert found["fmax"] == pytest.approx(f["f"]) and found["fmax_tau"] == pytest.approx(f["tau"])
    assert (found["precision"], found["recall"]) == pytest.approx((f["pr"], f["rc"]))
    assert found["coverage"] == pytest.approx(f["cov"]) == 0.8
    assert found["smin"] == pytest.approx(curve["s_w"].min()) == pytest.approx(smin(labels, values))
    assert found["smin"] == pytest.approx(np.hypot(found["misinformation"], found["remaining_uncertainty"]))


def test_proteins_without_a_listed_term_count_as_in_cafas_program(tmp_path):
    """p4 has the root alone, p5 a term that is not in the list; what is said of them is wrong."""
    from cafaeval.evaluation import cafa_eval

    only_root, listed = {**ANNOTATED, "p4": "GO:0008150"}, ["GO:0000001", "GO:0000002", "GO:0000003"]
    only_root["p6"] = "GO:0008150"
    said = SAID | {"p6": {"GO:0000002": 0.655}}
    (tmp_path / "go.obo").write_text(OBO)
    (tmp_path / "truth.tsv").write_text("".join(f"{name}\t{term}\n" for name, term in only_root.items()))
    (tmp_path / "said").mkdir()
    rows = [f"{name}\t{term}\t{value}\n" for name, each in said.items() for term, value in each.items()]
    (tmp_path / "said/one.tsv").write_text("".join(rows))
    (tmp_path / "ia.tsv").write_text("".join(f"{term}\t{value}\n" for term, value in INFORMATION.items()))
    files = (str(tmp_path / name) for name in ("go.obo", "said", "truth.tsv"))
    curve, _ = cafa_eval(*files, ia=str(tmp_path / "ia.tsv"), no_orphans=True)
    held = [{term, *LINEAGE.get(term, ())} for term in only_root.values()]
    labels = pd.DataFrame([[term in each for term in listed] for each in held], index=list(only_root), columns=listed)
    values = np.array([[said.get(name, {}).get(term, 0.0) for term in listed] for name in only_root])
    values = consistent(values, listed, LINEAGE)
    everyone = {"all": set(only_root)}
    found = cafa(labels, values, annotated=everyone, information=INFORMATION, n=10).iloc[0]
    assert (found["n_proteins"], found["n_with"]) == (6, 4)
    theirs = curve.reset_index().set_index(curve.reset_index()["tau"].round(2))
    recall = theirs["rc"] * 6 / 4  # theirs is over all six
    best = (2 * theirs["pr"] * recall / (theirs["pr"] + recall)).max()
    assert found["fmax"] == pytest.approx(best)
    at = theirs.loc[round(found["fmax_tau"], 2)]
    assert (found["precision"], found["coverage"]) == pytest.approx((at["pr"], at["cov"]))
    assert found["smin"] == pytest.approx(theirs["s_w"].min())
    flattered = cafa(labels, values, information=INFORMATION, n=10).iloc[0]
    assert flattered["n_proteins"] == 4 and flattered["fmax"] > found["fmax"]
    one = cafa(labels, values, annotated=everyone, information=INFORMATION, clusters=["one"] * 6, n=3).iloc[0]
    assert (one["fmax_low"], one["smin_low"]) == pytest.approx((one["fmax"], one["smin"]))


def test_information_is_counted_among_the_listed_terms():
    """Between c and its listed ancestor a lies b, which is not listed and says nearly all of c."""
    ids = [f"p{k}" for k in range(7)]
    labels = pd.DataFrame({"a": [True] * 7, "c": [True] + [False] * 6, "d": [True] * 3 + [False] * 4}, index=ids)
    lineage = {"c": {"a", "b", "d", "GO:0008150"}, "d": {"a", "GO:0008150"}, "a": {"GO:0008150"}}
    found = information(labels, lineage, aspects=dict.fromkeys("acd", "P"), annotated={"P": {*ids, *"wxyz"}})
    assert found == pytest.approx({"a": 0.0, "c": 1.0, "d": 1.0})  # c of d alone: (1 + 1) / (3 + 1)
    more = pd.concat([labels, pd.DataFrame(False, index=list("wxyz1234"), columns=labels.columns)])
    of_aspect = information(more, lineage, aspects=dict.fromkeys("acd", "P"), annotated={"P": {*ids, *"wxyz"}})
    assert of_aspect["a"] == pytest.approx(np.log2(12 / 8)) and of_aspect["c"] == 1  # 1234 have nothing of the aspect
    assert information(more)["a"] == pytest.approx(np.log2(16 / 8))


def test_the_mean_over_terms_has_an_interval(predicted):
    labels, values = predicted
    found = mean_metric(labels.assign(none=False), np.c_[values, values[:, 0]], n=100)
    means = term_metrics(labels, values, np.array([0.5, 0.5]), n=0)["auprc"].mean()
    assert found["value"] == pytest.approx(means) and found["n_terms"] == 2  # the term that nobody has does not count
    assert found["low"] < found["value"] < found["high"]
    methods = {"ours": (values, np.ones(2)), "twin": (values, np.ones(2))}
    assert mean_differences(labels, methods, "ours", n=5)["value"].iloc[0] == pytest.approx(found["value"])


def smin(labels, values):
    """By its definition: missed and wrong information of a protein, the mean of each over proteins."""
    weight, truth = np.array([INFORMATION.get(term, 0.0) for term in labels]), labels.to_numpy()
    missed = [((truth & (values < tau)) * weight).sum(axis=1).mean() for tau in TAUS]
    wrong = [((~truth & (values >= tau)) * weight).sum(axis=1).mean() for tau in TAUS]
    return np.hypot(missed, wrong).min()


def test_the_bootstrap_measures_what_the_value_does():
    """All proteins in one cluster: every resample is the whole set."""
    labels, values = written_case()
    found = cafa(labels, values, information=INFORMATION, clusters=["one"] * 5, n=5).iloc[0]
    assert found["fmax_low"] == pytest.approx(found["fmax"]) == pytest.approx(found["fmax_high"])
    assert found["smin_low"] == pytest.approx(found["smin"]) == pytest.approx(found["smin_high"])
    drawn = cafa(labels, values, information=INFORMATION, n=200).iloc[0]
    assert drawn["fmax_low"] < drawn["fmax"] < drawn["fmax_high"] <= 1
    assert drawn["smin_low"] < drawn["smin"] < drawn["smin_high"]


def test_aspects_are_apart_and_count_their_own_proteins(predicted):
    labels, values = predicted
    found = cafa(labels, values, aspects={TERMS[0]: "F", TERMS[1]: "C"}, n=5).set_index("aspect")
    assert found["n_proteins"].to_dict() == {"F": labels[TERMS[0]].sum(), "C": labels[TERMS[1]].sum()}
    assert found.loc["F", "fmax"] == cafa(labels[TERMS[:1]], values[:, :1], n=5)["fmax"].iloc[0]
    assert "smin" not in found
    with pytest.raises(InputError, match="1 terms have no aspect, such as GO:0000002"):
        cafa(labels, values, aspects={TERMS[0]: "F"})
    with pytest.raises(InputError, match="no protein has a term other than the roots"):
        cafa(labels.set_axis(["GO:0003674", "GO:0005575"], axis=1), values)


def test_perfect_predictions_are_perfect(predicted):
    labels, _ = predicted
    found = cafa(labels, labels.to_numpy().astype(float), information=dict.fromkeys(TERMS, 1.0), n=20).iloc[0]
    assert (found["fmax"], found["fmax_low"], found["smin"], found["smin_high"]) == (1, 1, 0, 0)


def test_ancestors_are_at_least_as_probable(predicted):
    _, values = written_case()
    assert (values[:, 0] >= values.max(axis=1)).all() and (values[:, 1] >= values[:, 2:].max(axis=1)).all()
    assert values[0].tolist() == [0.905, 0.905, 0.905, 0.305]
    assert np.array_equal(consistent(predicted[1], TERMS, None), predicted[1])


# --- calibration and ill input ---------------------------------------------------------------------------


def test_calibration_is_counted_by_term(predicted):
    labels, values = predicted
    found = calibration(labels, values, bins=4)
    assert found.groupby("term")["n"].sum().to_dict() == dict.fromkeys(TERMS, N)
    first = found[found["term"] == TERMS[0]]
    observed = (first["observed"] * first["n"]).sum()
    assert observed == pytest.approx(labels[TERMS[0]].sum()) and first["predicted"].is_monotonic_increasing
    assert (found["low"] <= found["observed"] + 1e-9).all() and (found["observed"] <= found["high"] + 1e-9).all()


def test_ill_input_is_named(predicted):
    labels, values = predicted
    threshold = np.array([0.5, 0.5])
    with pytest.raises(InputError, match=r"labels \(200, 2\), probabilities \(199, 2\), 2 thresholds"):
        term_metrics(labels, values[1:], threshold)
    with pytest.raises(InputError, match=r"a probability is missing or not in \[0, 1\]"):
        term_metrics(labels, np.where(values > 0.5, np.nan, values), threshold)
    for wrong in (np.nan, 1.0):
        with pytest.raises(InputError, match="the labels of 'GO:0000001': expected True and False"):
            term_metrics(labels.astype(object).assign(**{TERMS[0]: wrong}), values, threshold)
    with pytest.raises(InputError, match="3 clusters for 200 proteins"):
        term_metrics(labels, values, threshold, clusters=["a"] * 3)
    with pytest.raises(InputError, match="metric 'acuracy'.*did you mean 'accuracy'"):
        against_baselines(labels, {"a": (values, threshold), "b": (values, threshold)}, "a", metric="acuracy")
    with pytest.raises(InputError, match="expected the predictions of 'a' and of a baseline, found a"):
        against_baselines(labels, {"a": (values, threshold)}, "a")
