"""The learners of GO terms: one interface, the same trees as LightGBM's own, nothing left out in silence."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.function import classifier, learners
from plmbook.function.classifier import (
    LEARNERS,
    best_threshold,
    common_terms,
    exclusions,
    features_for,
    fit,
    label_table,
    load,
)

N = 360
PARTS = ["train"] * 4 + ["validation", "test"]
SHORT = {"lightgbm": {"rounds": 8}, "mlp": {"epochs": 8}}  # by method: where it does not matter how well it learns


@pytest.fixture(scope="module")
def toy():
    """Features of 12 columns, and three terms: two follow a column, one is noise."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N, 12)).astype(np.float32)
    ids = [f"P{n:03d}" for n in range(N)]
    labels = pd.DataFrame(
        {
            "GO:0000001": features[:, 0] + 0.3 * rng.normal(size=N) > 0.5,
            "GO:0000002": features[:, 1] * features[:, 2] + 0.3 * rng.normal(size=N) > 0.5,
            "GO:0000003": rng.random(N) < 0.3,
        },
        index=ids,
    )
    return features, labels, pd.Series(np.resize(PARTS, N), index=ids)


def given(name, features):
    sequences = ["ACDEFGHIKLMNPQRSTVWY"[: 3 + n % 17] for n in range(len(features))]
    return features_for(name, embeddings=features, sequences=sequences)


def short(name):
    return SHORT.get(LEARNERS[name].method, {})


def part(toy, name):
    features, labels, split = toy
    rows = (split == name).to_numpy()
    return features[rows], labels.to_numpy()[rows]


# --- one interface ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_predicts_saves_and_reads(toy, tmp_path, name):
    features, labels, split = toy
    read = given(name, features)
    made = fit(name, read, labels, split, seed=1, facts={"model": "toy"}, **short(name))
    found = made.predict(read)
    assert found.shape == (N, 3) and found.dtype == np.float64
    assert (found >= 0).all() and (found <= 1).all()
    assert made.terms == tuple(labels) and made.thresholds.shape == (3,) and not len(made.excluded)
    assert made.facts["model"] == "toy" and made.facts["proteins"] == {"train": 240, "validation": 60, "test": 60}
    again = load(made.save(tmp_path / "one"))
    assert np.array_equal(again.predict(read), found) and np.array_equal(again.thresholds, made.thresholds)
    assert again.facts == made.facts and again.terms == made.terms
    assert np.allclose(again.predict(read[:7]), found[:7], atol=1e-12)  # whatever the other proteins are
    kinds = {path.suffix for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert kinds <= {".json", ".txt", ".safetensors"}


@pytest.mark.parametrize("name", ["lightgbm", "logistic", "mlp", "knn"])
def test_what_reads_the_embedding_learns_what_is_in_it(toy, name):
    from sklearn.metrics import roc_auc_score

    features, labels, split = toy
    test, truth = part(toy, "test")
    found = fit(name, features, labels, split).predict(test)
    assert roc_auc_score(truth[:, 0], found[:, 0]) > 0.75
    assert 0.25 < roc_auc_score(truth[:, 2], found[:, 2]) < 0.75  # there is nothing to learn


def test_the_same_job_gives_the_same_bytes(toy, tmp_path):
    features, labels, split = toy
    for name in LEARNERS:
        made = [fit(name, given(name, features), labels, split, **short(name)) for _ in range(2)]
        folders = [each.save(tmp_path / f"{name}{n}") for n, each in enumerate(made, start=1)]
        files = [sorted(path for path in folder.rglob("*") if path.is_file()) for folder in folders]
        assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]], name
    other = fit("mlp", features, labels, split, seed=5, **short("mlp")).save(tmp_path / "other")
    assert (other / "arrays.safetensors").read_bytes() != (tmp_path / "mlp1/arrays.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["lightgbm", "logistic", "mlp"])
def test_the_test_proteins_change_nothing(toy, name):
    features, labels, split = toy
    rows = (split == "test").to_numpy()
    other = labels.copy()
    other[rows] = ~other[rows]
    changed = np.where(rows[:, None], np.float32(9), features)
    first = fit(name, features, labels, split, **short(name))
    second = fit(name, changed, other, split, **short(name))
    assert np.array_equal(first.thresholds, second.thresholds)
    assert np.array_equal(first.predict(features), second.predict(features))


def test_the_order_of_the_split_does_not_matter(toy):
    features, labels, split = toy
    found = fit("logistic", features, labels, split.sample(frac=1, random_state=0))
    assert np.array_equal(found.predict(features), fit("logistic", features, labels, split).predict(features))


# --- LightGBM --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("imbalance", classifier.IMBALANCE)
@pytest.mark.parametrize("fast", [False, True])
def test_one_data_set_gives_the_trees_of_independent_fits(toy, imbalance, fast):
    """The same numbers to the last bit as a `LGBMClassifier` for each label."""
    import lightgbm

    train, held, (test, _) = part(toy, "train"), part(toy, "validation"), part(toy, "test")
    options = {"seed": 3, "imbalance": imbalance, "fast": fast}
    stopped = learners.fit_lightgbm(train, held, rounds=30, patience=5, **options)
    whole = learners.fit_lightgbm(train, None, rounds=30, **options)
    parameters = learners.parameters(**options)
    for k in range(3):
        own = lightgbm.LGBMClassifier(n_estimators=30, **parameters).fit(train[0], train[1][:, k])
        found = learners.predict_lightgbm(whole, test)[:, k]
        assert np.array_equal(own.predict_proba(test)[:, 1], found)
        own = lightgbm.LGBMClassifier(n_estimators=30, metric="average_precision", **parameters).fit(
            train[0],
            train[1][:, k],
            eval_X=held[0],
            eval_y=held[1][:, k],
            callbacks=[lightgbm.early_stopping(5, verbose=False)],
        )
        found = learners.predict_lightgbm(stopped, test)[:, k]
        assert np.array_equal(own.predict_proba(test)[:, 1], found)
        assert stopped.chosen["n_trees"][k] == own.best_iteration_ < 30
    assert whole.chosen["n_trees"] == [30] * 3


@pytest.mark.parametrize("fast", [False, True])
def test_the_number_of_processes_and_threads_changes_no_byte(monkeypatch, fast):
    """Enough rows that LightGBM would divide them among threads."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(6000, 24)).astype(np.float32)
    labels = features[:, :3] + 2 * rng.normal(size=(6000, 3)) > 1
    train, held = (features[:5000], labels[:5000]), (features[5000:], labels[5000:])
    made = []
    for threads, jobs in ((1, 1), (2, 1), (2, 2)):
        monkeypatch.setattr(learners, "cores", lambda threads=threads: threads)
        made.append(learners.fit_lightgbm(train, held, rounds=4, fast=fast, jobs=jobs).trees)
    assert made[0] == made[1] == made[2]
    assert "[seed: " in made[0][0] and "num_threads" not in made[0][0]


def test_the_fast_path_grows_other_trees(toy):
    train, held = part(toy, "train"), part(toy, "validation")
    exact, fast = (learners.fit_lightgbm(train, held, rounds=5, fast=fast, jobs=1) for fast in (False, True))
    trees = [[text.split("parameters:")[0] for text in each.trees] for each in (exact, fast)]
    assert trees[0] != trees[1]
    found = [learners.predict_lightgbm(each, held[0]) for each in (exact, fast)]
    assert not np.allclose(*found)


def test_balanced_classes_raise_the_probability_of_a_rare_term(toy):
    features, labels, split = toy
    for name in ("lightgbm", "logistic", "mlp"):
        both = (fit(name, features, labels, split, imbalance=each, **short(name)) for each in classifier.IMBALANCE)
        plain, balanced = both
        assert balanced.predict(features)[:, 2].mean() > plain.predict(features)[:, 2].mean() + 0.05, name


def test_torch_stays_out_of_the_path_of_lightgbm(tmp_path):
    """On macOS the two may not live in one process."""
    code = """
import sys, numpy as np, pandas as pd
from plmbook.function import classifier, measures, study
x = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
labels = pd.DataFrame({"GO:1": x[:, 0] > 0}, index=list(map(str, range(120))))
split = pd.Series(np.resize(["train", "train", "validation"], 120), index=labels.index)
assert "lightgbm" not in sys.modules
made = classifier.fit("lightgbm", x, labels, split)
classifier.load(made.save(sys.argv[1])).predict(x)
assert "lightgbm" in sys.modules
sys.exit("torch" in sys.modules)
"""
    environment = {"PYTHONPATH": str(paths.root() / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "made")], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert not done.stdout and not done.stderr  # no warning of feature names, no log


# --- the others ------------------------------------------------------------------------------------------


def test_nearest_proteins_vote_by_their_cosine():
    references = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    labels = np.array([[True], [False], [True], [False]])
    fitted = learners.fit_knn((references, labels))
    found = learners.predict_knn(fitted, np.array([[3, 1], [0, 0]], dtype=np.float32))
    assert found[0, 0] == pytest.approx(3 / 4)  # cosines 3/sqrt(10) with the term and 1/sqrt(10) without
    assert found[1, 0] == 0.5  # near to none: the share of all


def test_frequency_is_that_of_training(toy):
    features, labels, split = toy
    found = fit("frequency", features[:, :0], labels, split).predict(features[:2, :0])
    assert np.allclose(found, labels[(split == "train").to_numpy()].mean().to_numpy())


def test_logistic_regression_is_scikit_learns(toy):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, held, (test, _) = part(toy, "train"), part(toy, "validation"), part(toy, "test")
    fitted = learners.fit_logistic(train, held, strengths=(0.1,))
    scaler = StandardScaler().fit(train[0].astype(np.float64))
    own = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(scaler.transform(train[0]), train[1][:, 0])
    expected = own.predict_proba(scaler.transform(test))[:, 1]
    assert np.allclose(learners.predict_logistic(fitted, test)[:, 0], expected, atol=1e-4)


# --- exclusions and thresholds ---------------------------------------------------------------------------


def test_a_term_that_cannot_be_learnt_is_reported(toy):
    features, labels, split = toy
    training, validation = (split == "train").to_numpy(), (split == "validation").to_numpy()
    rare, unheld = np.zeros(N, bool), labels["GO:0000001"].to_numpy() & training
    rare[np.flatnonzero(training)[:4]] = rare[np.flatnonzero(validation)[:3]] = True
    extra = {"GO:none": False, "GO:all": True, "GO:rare": rare, "GO:common": ~rare, "GO:unheld": unheld}
    made = fit("logistic", features, labels.assign(**extra, **{"GO:held": unheld | validation}), split)
    assert made.terms == tuple(labels)
    found = made.excluded.set_index("term")
    assert found["reason"].to_dict() == {
        "GO:none": "no training protein has it",
        "GO:all": "every training protein has it",
        "GO:rare": "fewer than 5 training proteins have it",
        "GO:common": "fewer than 5 training proteins are without it",
        "GO:unheld": "no validation protein has it",
        "GO:held": "every validation protein has it",
    }
    assert found.loc["GO:rare"].tolist()[1:] == [4, 236, 3, 57]
    assert fit("logistic", features, labels.assign(**extra), split, minimum=4).terms[-2:] == ("GO:rare", "GO:common")


def test_nothing_to_learn_is_an_error(toy):
    features, labels, split = toy
    with pytest.raises(InputError, match=r"no term can be learnt from 240 .*GO:0000001: no training protein has it"):
        fit("frequency", features, labels & False, split)


def test_exclusions_are_in_the_order_of_the_labels():
    labels = pd.DataFrame({"b": [True] * 4, "a": [False] * 4})
    found = exclusions(labels, pd.Series(["train", "train", "validation", "validation"]), minimum=1)
    assert found["term"].tolist() == ["b", "a"] and found["train_with"].tolist() == [2, 0]


def test_the_threshold_is_the_best_of_all():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    for _ in range(30):
        truth = rng.random(40) < 0.3
        truth[0] = True
        values = np.round(rng.random(40) * 0.5 + truth * 0.3, 1)  # with ties
        best = max(f1_score(truth, values >= value) for value in np.unique(values))
        assert f1_score(truth, values >= best_threshold(truth, values)) == pytest.approx(best)


def test_the_threshold_is_that_of_validation(toy):
    features, labels, split = toy
    made = fit("logistic", features, labels, split)
    held, truth = part(toy, "validation")
    expected = [best_threshold(y, p) for y, p in zip(truth.T, made.predict(held).T, strict=True)]
    assert np.allclose(made.thresholds, expected)


def test_common_terms_are_counted_by_protein():
    pairs = pd.DataFrame(
        [("a", "GO:2"), ("a", "GO:2"), ("a", "GO:1"), ("b", "GO:3"), ("c", "GO:3"), ("c", "GO:1")],
        columns=["id", "go_id"],
    )
    assert common_terms(pairs, 2) == ["GO:1", "GO:3"]  # twice each, by name; GO:2 has one protein
    assert common_terms(pairs, 5, among=["a"]) == ["GO:1", "GO:2"]
    found = label_table(pairs, ["c", "a", "x"], ["GO:3", "GO:9"])
    assert found.to_numpy().tolist() == [[True, False], [False, False], [False, False]] and found.index.name == "id"


# --- ill input -------------------------------------------------------------------------------------------


def bad_value(features, labels, split, value=np.nan):
    features = features.copy()
    features[[3, 5], 1] = value
    return features, labels, split


BAD = {
    "NaN": (bad_value, "the features of 2 of 360 proteins .* such as those of 'P003'"),
    "inf": (lambda *toy: bad_value(*toy, value=np.inf), "missing or not finite, such as those of 'P003'"),
    "too few rows": (lambda x, y, s: (x[1:], y, s), r"features of the shape \(359, 12\): expected \(360, d\)"),
    "a repeated protein": (lambda x, y, s: (x, y.rename(index={"P001": "P000"}), s), "the protein 'P000' twice"),
    "a repeated term": (lambda x, y, s: (x, y.set_axis(["a", "b", "a"], axis=1), s), "the term 'a' twice"),
    "labels of numbers": (lambda x, y, s: (x, y.astype(float), s), "labels of 'GO:0000001': expected True and False"),
    "no labels": (lambda x, y, s: (x, y[[]], s), "labels of 360 proteins and 0 terms"),
    "a protein without a part": (lambda x, y, s: (x, y, s.drop("P007")), "not in the split, such as .P007"),
    "another part": (lambda x, y, s: (x, y, s.replace("test", "held out")), "the part 'held out'; expected train"),
    "a protein in two parts": (lambda x, y, s: (x, y, pd.concat([s, s.head(1)])), "the split holds 'P000' twice"),
    "no validation": (lambda x, y, s: (x, y, s.replace("validation", "test")), "no protein in 'validation'"),
    "no training": (lambda x, y, s: (x, y, s.replace("train", "test")), "no protein in 'train'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_ill_input_is_named(toy, name):
    make, expected = BAD[name]
    with pytest.raises(InputError, match=expected):
        fit("logistic", *make(*toy))


def test_unknown_names_are_refused(toy):
    with pytest.raises(InputError, match="learner 'lightgmb'.*did you mean 'lightgbm'"):
        fit("lightgmb", *toy)
    with pytest.raises(InputError, match="imbalance 'smote': expected one of none, balanced"):
        fit("logistic", *toy, imbalance="smote")
    assert features_for("length", sequences=["MKV", "M"]).tolist() == [[3], [1]]
    with pytest.raises(InputError, match="'composition' reads the composition, which was not given"):
        features_for("composition", embeddings=toy[0])


def test_features_of_another_width_are_refused(toy):
    made = fit("frequency", *toy)
    with pytest.raises(InputError, match="3 features, expected 12 as in training"):
        made.predict(toy[0][:, :3])
    with pytest.raises(InputError, match="such as those of row 4"):
        made.predict(bad_value(*toy)[0])
    assert made.predict(toy[0][:0]).shape == (0, 3)


def test_a_damaged_classifier_is_refused(toy, tmp_path):
    made = fit("lightgbm", *toy, rounds=3)
    made.save(tmp_path / "made")
    with pytest.raises(InputError, match="made: is not empty"):
        made.save(tmp_path / "made")
    with pytest.raises(InputError, match="no classifier here"):
        load(tmp_path)
    (tmp_path / "made/trees/00001.txt").write_text("tree")
    with pytest.raises(InputError, match="00001.txt: is not what was saved"):
        load(tmp_path / "made")
    (tmp_path / "made/trees/00001.txt").unlink()
    with pytest.raises(InputError, match="00001.txt: a file of the classifier is missing"):
        load(tmp_path / "made")
    place = tmp_path / "made/manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"format": "plmbook classifier 9"}))
    with pytest.raises(InputError, match="damaged, or no classifier of this version"):
        load(tmp_path / "made")
