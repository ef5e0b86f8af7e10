"""Every family that can be run, on a tiny checkpoint: what its record promises is what its models do."""

import importlib.metadata

import numpy as np
import pytest

import tiny
from plmbook.core.errors import InputError
from plmbook.models import FAMILIES, Output, cards, load
from plmbook.models.base import CAPABILITIES, Model, pooled

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "M", "GAGAG"]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def written(family, tmp_path_factory):
    return tiny.write_family(tmp_path_factory.mktemp(family.name), family.name)


@pytest.fixture
def loaded(written, monkeypatch):
    """The model, or with `decoder=True` the one with its decoder."""
    card, path = written
    monkeypatch.setitem(cards.CARDS, card.name, card)
    return lambda **options: load(card.name, path=path, device="cpu", dtype="float32", **options)


def test_a_record_is_complete(family):
    assert family.capabilities <= set(CAPABILITIES) and family.title
    assert importlib.metadata.version(family.library)
    assert bool(family.decoder) == ("generation" in family.capabilities)
    of_family = [card for card in cards.CARDS.values() if card.family == family.name]
    assert of_family
    for card in of_family:
        assert card.capabilities <= family.capabilities and set(card.lacks) <= family.capabilities
        assert card.can("prefix") == bool(card.prefix)
        for shared in ("training_data", "licence", "citation"):
            assert getattr(family, shared) in ("", getattr(card, shared))


def test_special_tokens_surround_the_residues(family, loaded):
    model = loaded()
    assert isinstance(model, Model) and model.name == model.card.name
    before, after = model.card.special_tokens
    assert (before, after) == (family.before, family.after)
    for text in SEQUENCES:
        assert len(model.tokenize(text)) == before + len(text) + after
    # a residue's token does not depend on its place
    assert (model.tokenize("MKM")[before] == model.tokenize("KMM")[before + 1]).all()


def test_hidden_states_are_those_of_the_residues(loaded):
    model = loaded()
    lowest = model.card.first_layer
    outputs = model.run(SEQUENCES, layers=[lowest, -1], logits=False)
    for text, output in zip(SEQUENCES, outputs, strict=True):
        assert isinstance(output, Output)
        assert {layer: states.shape for layer, states in output.hidden.items()} == {
            layer: (len(text), model.card.dim) for layer in (lowest, -1)
        }
    for how in ("max",) if model.can("final-state") else ("mean", "max"):  # UniRep's mean has the start's state, too
        for found, whole in zip(model.run(SEQUENCES, layers=[-1], logits=False, pool=how), outputs, strict=True):
            np.testing.assert_allclose(found.pooled[-1], pooled(whole.hidden[-1], how), atol=1e-5)
    spans = [(2, 5), (0, 1), (1, 3)]
    found = model.run(SEQUENCES, layers=[-1], logits=False, pool="mean", spans=spans)
    for output, whole, (start, stop) in zip(found, outputs, spans, strict=True):
        np.testing.assert_allclose(output.pooled[-1], whole.hidden[-1][start:stop].mean(axis=0), atol=1e-5)


def test_what_it_can_it_does_and_the_rest_it_refuses(loaded):
    model = loaded()
    text = SEQUENCES[0]
    calls = {
        "log-probabilities": lambda: model.run([text])[0].log_probabilities.shape == (len(text), 20),
        "attentions": lambda: model.attentions(text).shape == (tiny.LAYERS, tiny.HEADS, len(text), len(text)),
        "contacts": lambda: model.contacts(text).shape == (len(text), len(text)),
        "bos": lambda: model.run([text], layers=[-1], logits=False, pool="bos")[0].pooled[-1].shape == (tiny.DIM,),
        "any-length": lambda: len(model.run(["M" * 70], layers=[-1], logits=False)[0].hidden[-1]) == 70,
        "likelihood": lambda: model.log_likelihoods([text]).shape == (1,),
        "final-state": lambda: len(model.run([text], layers=[-1], pool="fusion")[0].pooled[-1]) == 3 * tiny.DIM,
    }
    if model.can("likelihood"):  # what it says of a residue is no answer at a masked one: strategies refuse it
        del calls["log-probabilities"]
    for what, call in calls.items():
        if model.can(what):
            assert call(), what
        else:
            with pytest.raises(InputError, match=f"{model.name}'? ?[:h]|sequence of 70 residues"):
                call()


def test_a_decoder_is_loaded_where_there_is_one(family, loaded):
    if not family.decoder:
        with pytest.raises(InputError, match=f"family '{family.name}' has no decoder"):
            loaded(decoder=True)
        return
    model = loaded(decoder=True)
    assert model.can("pseudo-likelihood") and model.can("generation")
    assert not loaded().can("pseudo-likelihood") and not loaded().can("generation")
    assert model.run(["M_TAY"])[0].log_probabilities.shape == (1, 20)
    assert model.weights_hash == loaded().weights_hash
