"""The packed forward: against fair-esm's own, at some tokens only, in bfloat16, and the call of a GPU's attention."""

import esm
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tiny
from plmbook.models import packed
from plmbook.models.esm import ALPHABET, load_esm

SEQUENCES = ["MKTAYIAKQR", "ACDEFGH", "MKTAY", "WWWWW", "M"]
LENGTHS = [len(text) + 2 for text in SEQUENCES]


@pytest.fixture(scope="module", params=tiny.NAMES)
def model(request, tmp_path_factory):
    path = tiny.write(tmp_path_factory.mktemp("weights"), request.param)
    return load_esm(tiny.card(request.param), path=path, device="cpu", dtype="float32")


def tokens_of(model):
    return torch.from_numpy(np.concatenate([model.tokenize(text) for text in SEQUENCES]))


@torch.no_grad()
def test_the_last_layer_at_some_tokens_is_the_last_layer(model):
    tokens, last = tokens_of(model), len(model.network.layers)
    whole = packed.hidden_states(model.network, tokens, LENGTHS)[last]
    rows, counts = torch.tensor([4, 1, 13, 20, 31, 37]), [2, 2, 0, 1, 1]
    some = packed.hidden_states(model.network, tokens, LENGTHS, rows=rows, counts=counts)[last]
    torch.testing.assert_close(some, whole[rows], atol=1e-5, rtol=0)


def test_few_rows_give_what_all_rows_give(model):
    rows = [np.array([0, len(text) - 1]) for text in SEQUENCES]
    every = model.run(SEQUENCES)
    for few, many, wanted in zip(model.run(SEQUENCES, rows=rows), every, rows, strict=True):
        np.testing.assert_allclose(few.log_probabilities, many.log_probabilities[wanted], atol=1e-5)


@torch.no_grad()
def test_joint_weights_leave_the_modules_as_they_were(model):
    for layer in model.network.layers:
        module, (weight, bias) = layer.self_attn, layer.self_attn.joint
        for number, part in enumerate((module.q_proj, module.k_proj, module.v_proj)):
            torch.testing.assert_close(part.weight, weight.chunk(3)[number], atol=0, rtol=0)
            assert part.weight.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()  # no memory added
            assert part.bias.untyped_storage().data_ptr() == bias.untyped_storage().data_ptr()
    x = torch.randn(3, model.card.dim)
    joint = packed.projections(model.network.layers[0], x, None)
    for found, part in zip(joint, ("q_proj", "k_proj", "v_proj"), strict=True):
        expected = getattr(model.network.layers[0].self_attn, part)(x).view(found.shape)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_what_is_not_asked_for_is_not_computed(model, monkeypatch):
    seen = []
    real = packed.apply_layer
    monkeypatch.setattr(packed, "apply_layer", lambda layer, *rest: seen.append(layer) or real(layer, *rest))
    monkeypatch.setattr(packed, "lm_logits", lambda *_: pytest.fail("a head for an embedding"))
    model.run(SEQUENCES, layers=[1], logits=False)
    assert len(seen) == 1


@pytest.mark.parametrize("how", ["mean", "max", "bos"])
def test_pooling_on_the_device_is_pooling_of_what_comes_out(model, how):
    plain = model.run(SEQUENCES, layers=[1, -1], logits=False)
    for output, every in zip(model.run(SEQUENCES, layers=[1, -1], logits=False, pool=how), plain, strict=True):
        assert not output.hidden and list(output.pooled) == [1, -1]
        for layer, vector in output.pooled.items():
            assert vector.dtype == np.float32
            if how != "bos":
                np.testing.assert_allclose(vector, getattr(every.hidden[layer], how)(axis=0), atol=1e-5)


def test_several_pools_stand_one_after_another(model):
    alone = [model.run(SEQUENCES, layers=[1, -1], logits=False, pool=how) for how in ("mean", "max", "bos")]
    together = model.run(SEQUENCES, layers=[1, -1], logits=False, pool=("mean", "max", "bos"))
    for output, *each in zip(together, *alone, strict=True):
        for layer, vector in output.pooled.items():
            np.testing.assert_array_equal(vector, np.concatenate([one.pooled[layer] for one in each]))


def test_pooling_by_hand():
    states = torch.tensor([[100.0], [1], [3], [100], [100], [7], [100]])  # BOS, two residues, EOS; BOS, one, EOS
    parts = [(1, 2, 1), (1, 1, 1)]
    assert packed.pool(states, parts, "mean").tolist() == [[2], [7]]
    assert packed.pool(states, parts, "max").tolist() == [[3], [7]]
    assert packed.pool(states, [(2, 1, 1), (1, 1, 1)], "mean").tolist() == [[3], [7]]


def test_a_part_of_each_sequence_is_pooled(model):
    spans = [(2, 5), (0, 7), (4, 5), (1, 2), (0, 1)]
    every = model.run(SEQUENCES, layers=[-1], logits=False)
    for how in ("mean", "max"):
        found = model.run(SEQUENCES, layers=[-1], logits=False, pool=how, spans=spans)
        for output, states, (start, stop) in zip(found, every, spans, strict=True):
            expected = getattr(states.hidden[-1][start:stop], how)(axis=0)
            np.testing.assert_allclose(output.pooled[-1], expected, atol=1e-5)


def test_a_batch_of_which_no_residue_is_asked(model):
    output = model.run(["MKT"], rows=[np.array([], dtype=int)])[0]
    assert output.log_probabilities.shape == (0, 20)


def test_bfloat16_is_close_and_pools_in_float32(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    exact, coarse = (load_esm(tiny.card("esm2"), path=path, device="cpu", dtype=d) for d in ("float32", "bfloat16"))
    for a, b in zip(exact.run(SEQUENCES, layers=[-1]), coarse.run(SEQUENCES, layers=[-1]), strict=True):
        cosine = F.cosine_similarity(torch.from_numpy(a.hidden[-1]), torch.from_numpy(b.hidden[-1]))
        assert cosine.min() > 0.999
        assert 0 < np.abs(a.log_probabilities - b.log_probabilities).max() < 0.1
        assert a.log_probabilities.dtype == b.log_probabilities.dtype == np.float32


def test_the_contact_regression_keeps_its_precision(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    exact, coarse = (load_esm(tiny.card("esm2"), path=path, device="cpu", dtype=d) for d in ("float32", "bfloat16"))
    weights = (each.network.contact_head.regression.weight for each in (exact, coarse))
    torch.testing.assert_close(*weights, atol=0, rtol=0)
    assert np.ptp(exact.contacts(SEQUENCES[0])) > 0


def test_layout():
    layout = packed.Layout([3, 1, 2])
    assert layout.bounds.tolist() == [0, 3, 4, 6] and layout.bounds.dtype == torch.int32
    assert layout.positions.tolist() == [0, 1, 2, 0, 0, 1]


class OnGpu(torch.Tensor):
    """A tensor that says it lies on a GPU, so that the call for one can be checked without one."""

    is_cuda = True


@torch.no_grad()
def test_a_gpu_attends_in_one_call(monkeypatch):
    """Flash attention's own answer cannot be had here; what it is asked for can: tensors, bounds, longest lengths."""
    shape, lengths, asked = (9, 2, 8), [4, 2, 3], [1, 0, 2]
    query, key, value = (torch.randn(shape, dtype=torch.bfloat16) for _ in range(3))
    rows = torch.tensor([2, 6, 8])

    def varlen(query, key, value, cu_query, cu_key, max_query, max_key):
        assert (max_query, max_key) == (2, 4) and cu_query.dtype == cu_key.dtype == torch.int32
        spans = zip(cu_query[:-1], cu_query[1:], cu_key[:-1], cu_key[1:], strict=True)
        parts = []
        for q0, q1, k0, k1 in spans:
            heads = (t.as_subclass(torch.Tensor).transpose(0, 1) for t in (query[q0:q1], key[k0:k1], value[k0:k1]))
            parts.append(F.scaled_dot_product_attention(*heads).transpose(0, 1))
        return torch.cat(parts)

    layouts = packed.Layout(asked), packed.Layout(lengths)
    expected = packed.attend(query[rows], key, value, *layouts)
    monkeypatch.setattr(packed, "varlen_attention", lambda: varlen)
    found = packed.attend(query[rows].as_subclass(OnGpu), key, value, *layouts)
    assert found.shape == expected.shape == (3, 16)
    torch.testing.assert_close(found.as_subclass(torch.Tensor), expected, atol=1e-2, rtol=0)


def test_the_signature_of_varlen_attention_is_the_one_that_is_called():
    import inspect

    parameters = list(inspect.signature(packed.varlen_attention()).parameters)
    assert parameters[:7] == ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]


@torch.no_grad()
def test_fair_esm_still_runs_on_a_fused_network(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    model = load_esm(tiny.card("esm2"), path=path, device="cpu", dtype="float32")
    tokens = torch.from_numpy(model.tokenize(SEQUENCES[0]))
    assert isinstance(model.network, esm.ESM2) and model.network.alphabet.tok_to_idx == ALPHABET.tok_to_idx
    last = model.card.layers
    theirs = model.network(tokens[None], repr_layers=[last])["representations"][last][0]
    ours = packed.hidden_states(model.network, tokens, [len(tokens)])[last]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
