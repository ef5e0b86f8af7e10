"""Every layer in one pass is what each gives alone; what is planted in one layer is found there, and noise nowhere."""

import numpy as np
import pandas as pd
import pytest

import tiny
from plmbook.core.errors import InputError
from plmbook.engine import encode
from plmbook.function import classifier, layers
from plmbook.models.esm import load_esm

SEQUENCES = ["MKRLVAED", "GGSTPWYCHNQ", "MKV"]
N, TERMS = 300, ["GO:1", "GO:2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tiny.write(tmp_path_factory.mktemp("weights"), "esm2")
    return load_esm(tiny.card("esm2"), path=path, device="cpu", dtype="float32")


def test_one_pass_gives_what_each_layer_and_pool_gives_alone(model):
    found = layers.pooled_layers(model, SEQUENCES)
    assert list(found) == ["mean", "max", "bos"]
    for pool, vectors in found.items():
        assert vectors.shape == (tiny.LAYERS + 1, len(SEQUENCES), tiny.DIM) and vectors.dtype == np.float32
        for layer in range(tiny.LAYERS + 1):
            alone = encode.embed(model, SEQUENCES, layer=layer, pool=pool)
            np.testing.assert_allclose(vectors[layer], alone, atol=1e-5)
    assert len(np.unique(found["bos"][0], axis=0)) == 1  # the same token before every protein
    assert len(np.unique(found["bos"][-1], axis=0)) == len(SEQUENCES)


def test_layer_0_is_the_composition_in_other_coordinates(model):
    """What order the residues have does not count before the first block."""
    forwards, backwards = (layers.pooled_layers(model, [text])["mean"] for text in ("MKRLVAED", "DEAVLRKM"))
    np.testing.assert_allclose(forwards[0], backwards[0], atol=1e-6)
    assert np.abs(forwards[1] - backwards[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("sequences", "message"),
    [([], "no sequence to embed"), (["A" * 61], "a sequence of 61 residues: expected at most 60")],
)
def test_what_cannot_be_pooled_is_refused(model, sequences, message):
    with pytest.raises(InputError, match=message):
        layers.pooled_layers(model, sequences)


def test_clusters_stay_whole():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"cluster": rng.integers(40, size=200).astype(str), "length": rng.integers(30, 90, size=200)})
    part = layers.whole_clusters(table, 4000, seed=1)
    assert 3000 < part["length"].sum() <= 4000
    found, all_of_them = part["cluster"].value_counts().to_dict(), table["cluster"].value_counts().to_dict()
    assert found == {cluster: all_of_them[cluster] for cluster in found}
    pd.testing.assert_frame_equal(part, layers.whole_clusters(table, 4000, seed=1))
    assert set(layers.whole_clusters(table, 4000, seed=2)["cluster"]) != set(part["cluster"])


def problem(strength, seed=0):
    """Labels, a split, clusters of three, and features: noise, and noise into which the labels are planted."""
    rng = np.random.default_rng(seed)
    ids = [f"p{n}" for n in range(N)]
    clusters = np.repeat([f"c{n}" for n in range(N // 3)], 3)
    labels = pd.DataFrame(rng.random((N, 2)) < 0.3, index=ids, columns=TERMS)
    split = pd.Series(np.repeat(rng.permuted(["train"] * 50 + ["validation"] * 15 + ["test"] * 35), 3), index=ids)
    noise, other = rng.normal(size=(2, N, 12))
    planted = rng.normal(size=(N, 12))
    planted[:, :2] += strength * labels.to_numpy()
    return {"noise": noise, "other": other, "planted": planted}, labels, split, clusters


def compared(strength, reference="noise", seed=0, names=("noise", "other", "planted")):
    features, labels, split, clusters = problem(strength, seed)
    tested = (split == "test").to_numpy()
    given = {}
    for name in names:
        made = classifier.fit("logistic", features[name], labels, split, strengths=layers.STRENGTHS)
        given[name] = made.predict(features[name][tested]), made.thresholds
    options = {"reference": reference, "clusters": clusters[tested], "n": 200}
    return layers.compare(given, labels[tested], dict.fromkeys(given, 12), **options).set_index("name")


def test_what_is_planted_is_found():
    found = compared(3.0)
    assert found["width"].tolist() == [12, 12, 12] and (found["n_terms"] == 2).all()
    assert found.loc["planted", "auprc"] > 0.9 and found.loc["planted", "f1"] > 0.8
    for metric in ("auprc", "f1"):
        difference = found[metric] - found.loc["noise", metric]
        np.testing.assert_allclose(found[f"{metric}_difference"], difference)
        assert found.loc["planted", f"{metric}_low"] > 0.1
        assert (found.loc["noise", [f"{metric}_difference", f"{metric}_low", f"{metric}_high"]] == 0).all()
    turned = compared(3.0, reference="planted")
    np.testing.assert_allclose(turned.loc["noise", "auprc_difference"], -found.loc["planted", "auprc_difference"])
    np.testing.assert_allclose(turned.loc["noise", "auprc_high"], -found.loc["planted", "auprc_low"])


def test_noise_is_not_told_from_noise():
    """Of twenty pairs of noise one would lie outside a 95 % interval by chance; five would be too many."""
    outside = 0
    for seed in range(20):
        found = compared(0.0, seed=seed, names=("noise", "other"))
        outside += not found.loc["other", "auprc_low"] <= 0 <= found.loc["other", "auprc_high"]
    assert outside < 5


def test_an_unknown_reference_is_refused():
    with pytest.raises(InputError, match="reference 'last': expected one of noise, other, planted"):
        compared(0.0, reference="last")


def principal(features, split, dims):
    """What is left of features when only some principal components are kept."""
    maps = layers._principal_maps(features, split, dims)
    return {k: features @ matrix + offset for k, (matrix, offset) in maps.items()}


def test_principal_components():
    rng = np.random.default_rng(3)
    features = np.outer(rng.normal(size=50), np.arange(1, 7)) + 0.01 * rng.normal(size=(50, 6)) + 5
    split = pd.Series(["train"] * 40 + ["test"] * 10)
    kept = principal(features, split, [1, 6])
    standard = (features - features[:40].mean(axis=0)) / features[:40].std(axis=0)
    np.testing.assert_allclose(kept[6], standard, atol=1e-4)  # all of them: nothing is lost
    assert np.linalg.matrix_rank(kept[1], tol=1e-3) == 1 and np.abs(kept[1] - standard).max() < 0.2
    changed = features.copy()
    changed[40:] = 100 * rng.normal(size=(10, 6))
    np.testing.assert_array_equal(principal(changed, split, [1])[1][:40], kept[1][:40])  # test changes nothing
    for wrong in (0, 7):
        with pytest.raises(InputError, match=f"{wrong} components: expected 1 to 6"):
            principal(features, split, [wrong])


@pytest.fixture
def pooled():
    """Three layers and pools of a model of four numbers, and labels of their proteins."""
    rng = np.random.default_rng(8)
    ids = [f"p{number}" for number in range(150)]
    labels = pd.DataFrame(rng.random((150, 2)) < 0.4, index=ids, columns=TERMS)
    split = pd.Series(rng.permutation(np.repeat(["train", "validation", "test"], [90, 20, 40])), index=ids)
    vectors = {pool: rng.normal(5, 2, size=(3, 150, 4)).astype(np.float32) for pool in layers.POOLS}
    vectors["mean"] += labels["GO:1"].to_numpy()[:, None]
    return vectors, layers.Dataset(pd.DataFrame({"id": ids}), labels, split)


def test_a_regression_as_a_table_answers_as_the_classifier_does(pooled):
    vectors, dataset = pooled
    table = layers.regressions(vectors, dataset, last=2, dims=[1, 4])
    found = layers.answers(table, vectors, dataset.proteins["id"]).set_index("feature")
    features = {f"{pool} {layer}": vectors[pool][layer] for pool in layers.POOLS for layer in range(3)}
    features["mean, last 2"] = np.concatenate(vectors["mean"][-2:], axis=1)
    kept = principal(vectors["mean"][-1], dataset.split, [1, 4])
    features |= {f"components {k}": values for k, values in kept.items()}
    assert set(found.index) == set(features) == set(table["feature"])
    for name, values in features.items():
        made = classifier.fit("logistic", values, dataset.labels, dataset.split, strengths=layers.STRENGTHS)
        said = 1 / (1 + np.exp(-found.loc[name, TERMS].to_numpy() / layers.SCALE))
        np.testing.assert_allclose(said, made.predict(np.asarray(values, dtype=np.float32)), atol=1e-3)
        limits = table[table["feature"] == name].drop_duplicates("term")["threshold"] / layers.SCALE
        np.testing.assert_allclose(1 / (1 + np.exp(-limits)), made.thresholds, atol=3e-4)


def test_a_part_of_the_regressions_is_that_part(pooled):
    vectors, dataset = pooled
    table = layers.regressions(vectors, dataset, last=2)
    part = layers.regressions(vectors, dataset, last=2, features=["max 1"], terms=["GO:2"])
    whole = table[(table["feature"] == "max 1") & (table["term"] == "GO:2")].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, whole)
    some = {pool: values[:, [7, 3]] for pool, values in vectors.items()}
    answers = layers.answers(table, vectors, dataset.proteins["id"])
    chosen = answers.set_index(["feature", "id"]).loc[[("mean 2", "p7"), ("mean 2", "p3")]].reset_index()
    again = layers.answers(table[table["feature"] == "mean 2"], some, ["p7", "p3"])
    pd.testing.assert_frame_equal(again, chosen)


def test_models_of_different_depth_have_each_their_last_layer_for_reference(pooled):
    """What a chapter asks of each model by itself: its own layers, and how far they are from the last of these."""
    shallow, dataset = pooled
    rng = np.random.default_rng(9)
    deep = {pool: rng.normal(5, 2, size=(6, 150, 3)).astype(np.float32) for pool in layers.POOLS}
    truth, clusters = dataset.labels[dataset.tested], [f"c{number}" for number in range(dataset.tested.sum())]
    for vectors, n_layers in ((shallow, 2), (deep, 5)):
        table = layers.regressions(vectors, dataset, last=2)
        said = layers.answers(table, vectors, dataset.proteins["id"])
        given = {}
        for feature, part in said.groupby("feature", sort=False):
            limits = table[table["feature"] == feature].drop_duplicates("term")["threshold"]
            probabilities = [1 / (1 + np.exp(-each / layers.SCALE)) for each in (part[TERMS], limits)]
            given[feature] = probabilities[0].to_numpy()[dataset.tested], probabilities[1].to_numpy()
        options = {"reference": f"mean {n_layers}", "clusters": clusters, "n": 50}
        found = layers.compare(given, truth, dict.fromkeys(given, 1), **options).set_index("name")
        assert len(found) == len(layers.POOLS) * (n_layers + 1) + 1
        assert (found.loc[f"mean {n_layers}", ["auprc_difference", "f1_difference"]] == 0).all()
        difference = found["auprc"] - found.loc[f"mean {n_layers}", "auprc"]
        np.testing.assert_allclose(found["auprc_difference"], difference)
    with pytest.raises(InputError, match="reference 'mean 2'"):  # the last layer of another model is none of this one's
        layers.compare({"mean 5": given["mean 5"]}, truth, {"mean 5": 1}, **(options | {"reference": "mean 2"}))
