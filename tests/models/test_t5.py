"""T5 encoders as the hub holds them, against transformers' own reading and forward pass."""

import hashlib
import json
import math
import os

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention

import tiny
from plmbook.core.errors import InputError
from plmbook.engine import encode
from plmbook.models import cards, files, load
from plmbook.models import t5 as adapter

KINDS = list(tiny.T5)
# 130 residues and more: the buckets of far positions are reached; two of one length go through attention together
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "M", "MXBZUOJW", "ACDEFGHIKLMNPQRSTVWY" * 8, "GAGAGAGA"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Tiny cards, an empty cache, no mirror, no network."""

    def offline(*_, **__):
        raise LocalEntryNotFoundError("no network in tests")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    for kind in KINDS:
        monkeypatch.setitem(cards.CARDS, f"{kind}_tiny", tiny.t5_card(kind))


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return tiny.write_t5(tmp_path_factory.mktemp(kind), kind)


@pytest.fixture
def model(kind, folder):
    return load(f"{kind}_tiny", path=folder, device="cpu", dtype="float32")


def transformers_own(folder):
    return T5EncoderModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


# the forward pass -----------------------------------------------------------------------------------------------------


def test_run_agrees_with_transformers(model, folder):
    network, first = transformers_own(folder), len(model.card.prefix) > 0
    layers = range(tiny.LAYERS + 1)
    for text, output in zip(SEQUENCES, model.run(SEQUENCES, layers=layers, logits=False), strict=True):
        with torch.no_grad():
            states = network(torch.from_numpy(model.tokenize(text))[None], output_hidden_states=True).hidden_states
        assert len(states) == len(layers)
        for layer in layers:
            assert output.hidden[layer].shape == (len(text), tiny.DIM)
            assert output.hidden[layer].dtype == np.float32
            np.testing.assert_allclose(output.hidden[layer], states[layer][0, first:-1], atol=1e-5)
        assert output.log_probabilities is None and not output.pooled
        assert output.hidden[tiny.LAYERS].std() > 0.5  # the random weights do speak


def test_attentions_agree_with_transformers(model, folder):
    network, first = transformers_own(folder), len(model.card.prefix) > 0
    with torch.no_grad():
        maps = network(torch.from_numpy(model.tokenize(SEQUENCES[3]))[None], output_attentions=True).attentions
    found = model.attentions(SEQUENCES[3])
    assert found.shape == (tiny.LAYERS, tiny.HEADS, 160, 160)
    np.testing.assert_allclose(found, torch.cat(maps)[:, :, first:-1, first:-1], atol=1e-5)
    assert (found.sum(axis=-1) < 1).all()


@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (64, 128), (8, 128), (8, 20)])
def test_buckets_are_those_of_transformers(n_buckets, max_distance):
    offsets = torch.arange(-5000, 5001)
    expected = T5Attention._relative_position_bucket(offsets, num_buckets=n_buckets, max_distance=max_distance)
    assert torch.equal(adapter.position_buckets(offsets, n_buckets, max_distance), expected)


def test_a_sequence_does_not_depend_on_its_batch(model):
    batch = model.run(SEQUENCES, layers=[-1], logits=False)
    for sequence, together in zip(SEQUENCES, batch, strict=True):
        alone = model.run([sequence], layers=[-1], logits=False)[0]
        np.testing.assert_allclose(alone.hidden[-1], together.hidden[-1], atol=1e-5)


def test_only_what_is_asked_for(model, monkeypatch):
    ran = []
    monkeypatch.setattr(adapter, "_feed_forward", lambda encoder, block, x: ran.append(block) or 0)
    assert list(model.run(["MKTAY"], layers=[1], logits=False)[0].hidden) == [1]
    assert len(ran) == 1  # the layers above are not computed
    model.run(["MKTAY"], layers=[0], logits=False)
    assert len(ran) == 1
    assert model.run(["MKTAY"], logits=False)[0].hidden == {}
    assert model.run([], layers=[-1], logits=False) == []
    for layer in (4, -5):
        with pytest.raises(InputError, match=f"layer {layer}, expected 0 to 3"):
            model.run(["MKTAY"], layers=[layer], logits=False)


def test_bfloat16_is_near(kind, folder, model):
    coarse = load(f"{kind}_tiny", path=folder, device="cpu", dtype="bfloat16")
    expected, found = (each.run([SEQUENCES[3]], layers=[0, -1], logits=False)[0].hidden for each in (model, coarse))
    assert found[-1].dtype == np.float32
    assert 0 < np.abs(found[-1] - expected[-1]).mean() < 0.01
    assert np.abs(found[0] - expected[0]).max() < 2**-8 * np.abs(expected[0]).max()
    assert coarse.encoder.bias.dtype == coarse.encoder.final_norm.dtype == torch.float32
    assert coarse.attentions("MKTAY").shape == (3, 4, 5, 5)


def test_bfloat16_survives_what_overflows_float16(tmp_path):
    """One channel far beyond the largest number of float16 (65,504), as in the published models' deeper layers."""

    def grow(state):
        state["encoder.block.0.layer.1.DenseReluDense.wo.weight"][0] *= 1e6

    folder = tiny.write_t5(tmp_path, "ankh", change=grow)
    exact, coarse = (load("ankh_tiny", path=folder, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    expected, found = (each.run([SEQUENCES[0]], layers=[1, -1], logits=False)[0].hidden for each in (exact, coarse))
    assert np.abs(expected[1]).max() > 65504
    assert np.isfinite(found[-1]).all()
    assert np.abs(found[-1] - expected[-1]).mean() < 0.02


# what an encoder does not have ----------------------------------------------------------------------------------------


def test_log_probabilities_are_refused(model):
    message = rf"'{model.name}'.* no probabilities of residues; expected a model of the families esm1b, esm1v, esm2$"
    for ask in (lambda: model.run(["MKTAY"]), lambda: encode.log_probabilities(model, ["MKTAY"])):
        with pytest.raises(InputError, match=message):
            ask()
    assert not model.can("log-probabilities") and not model.card.can("log-probabilities")


def test_bos_is_refused(model):
    assert not model.can("bos") and not model.card.can("bos")
    asks = (
        lambda: model.run(["MKTAY"], layers=[-1], logits=False, pool="bos"),
        lambda: model.run(["MKTAY"], layers=[-1], logits=False, pool=("mean", "bos")),
        lambda: encode.embed(model, ["MKTAY"], pool="bos"),
    )
    for ask in asks:
        with pytest.raises(InputError, match="has no token before the first residue"):
            ask()


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_pooling_is_over_the_residues(model, pool):
    hidden, pooled = (model.run(SEQUENCES, layers=[1, -1], logits=False, pool=how) for how in (None, pool))
    for whole, one in zip(hidden, pooled, strict=True):
        assert not one.hidden
        for layer, states in whole.hidden.items():
            np.testing.assert_allclose(one.pooled[layer], getattr(states, pool)(axis=0), atol=1e-6)


def test_several_pools_stand_one_after_another(model):
    alone = [model.run(SEQUENCES, layers=[1, -1], logits=False, pool=how) for how in ("mean", "max")]
    together = model.run(SEQUENCES, layers=[1, -1], logits=False, pool=("mean", "max"))
    for output, *each in zip(together, *alone, strict=True):
        for layer, vector in output.pooled.items():
            np.testing.assert_array_equal(vector, np.concatenate([one.pooled[layer] for one in each]))


def test_embed(model):
    means, residues = (encode.embed(model, SEQUENCES, pool=pool) for pool in ("mean", "residue"))
    assert [len(each) for each in residues] == [len(text) for text in SEQUENCES]
    np.testing.assert_allclose(means, np.stack([each.mean(axis=0) for each in residues]), atol=1e-5)
    tight = encode.embed(model, SEQUENCES, pool="mean", token_budget=10)
    np.testing.assert_allclose(tight, means, atol=1e-5)
    assert model.max_length is None  # no windows, whatever the length


def test_features_of_a_list_of_sequences_in_two_lines(kind, folder):
    """What the embeddings are: rows of transformers' last layer, without the prefix before and `</s>` after them."""
    model = load(f"{kind}_tiny", path=folder, device="cpu")
    residues = encode.embed(model, SEQUENCES, pool="residue")
    network, first = transformers_own(folder), 1 if kind == "ankh3" else 0
    for text, found in zip(SEQUENCES, residues, strict=True):
        with torch.no_grad():
            states = network(torch.from_numpy(model.tokenize(text))[None]).last_hidden_state[0]
        assert len(states) == first + len(text) + 1
        np.testing.assert_allclose(found, states[first : first + len(text)], atol=1e-5)


def test_ankh3_reads_with_the_prefix_that_is_asked_for(tmp_path):
    folder = tiny.write_t5(tmp_path, "ankh3")
    usual, same, other = (load("ankh3_tiny", path=folder, prefix=prefix) for prefix in (None, "[NLU]", "[S2S]"))
    assert [model.tokenize("MK")[0] for model in (usual, same, other)] == [3, 3, 4]
    assert [model.name for model in (usual, same, other)] == ["ankh3_tiny", "ankh3_tiny", "ankh3_tiny_S2S"]
    vectors = [encode.embed(model, SEQUENCES, pool="mean") for model in (usual, same, other)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "prefix", "message"),
    [
        ("ankh_tiny", "[S2S]", "model 'ankh_tiny': prefix '.S2S.', but it knows none; only Ankh3 does"),
        ("esm2_8M", "[NLU]", "model 'esm2_t6_8M_UR50D': prefix '.NLU.', but it knows none"),
        ("ankh3_tiny", "M", r"model 'ankh3_tiny': prefix 'M', expected one of \[NLU\], \[S2S\]"),
    ],
)
def test_a_prefix_that_the_model_does_not_know_is_refused(name, prefix, message):
    with pytest.raises(InputError, match=message):
        load(name, prefix=prefix)


# tokens ---------------------------------------------------------------------------------------------------------------


def test_tokens_are_those_of_the_tokenizer(kind, folder, model):
    """As each model's authors feed it: letters for Ankh, a prefix and letters for Ankh3, words for ProtT5."""
    letters = "".join(tiny.T5_LETTERS)
    if kind == "ankh":
        from tokenizers import Tokenizer

        expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(letters).ids
    else:
        from sentencepiece import SentencePieceProcessor

        replaced = letters.translate(str.maketrans("UZOB", "XXXX"))
        text = "[NLU]" + letters if kind == "ankh3" else " ".join(replaced)
        expected = [*SentencePieceProcessor(model_file=str(folder / "spiece.model")).encode(text), 1]
    assert model.tokenize(letters).tolist() == expected
    assert 2 not in expected  # <unk>
    assert model.tokenize("J").tolist() == model.tokenize("X").tolist()
    assert len(model.tokenize("MKTAY")) == (7 if kind == "ankh3" else 6)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("MKtA", "lower-case 't' at position 3"),
        ("MK*", "position 3"),
        ("M_K", "position 2"),
        ("", "empty"),
        ("M[NLU]", "position 2"),
        ("M\u00c5", "position 2"),
        ("M\u007f", "position 2"),
    ],
)
def test_what_is_no_residue_is_refused(model, sequence, message):
    with pytest.raises(InputError, match=message):
        model.tokenize(sequence)
    with pytest.raises(InputError, match=message):
        model.run(["MK", sequence], layers=[-1], logits=False)


def _edit_json(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda content: content["model"]["vocab"].pop(4),
            "the vocabulary lacks L; expected the tokenizer of ankh_tiny",
        ),
        (lambda content: content["model"].update(vocab=[]), "the vocabulary lacks A, C, D, E, F and 17 more; expected"),
        (lambda content: content["model"].pop("vocab"), "no vocabulary of a tokenizer"),
        (lambda content: content["model"]["vocab"].extend([["</s>", 0.0]] * 40), "token 67, but the embedding has 40"),
    ],
)
def test_a_faulty_vocabulary_is_refused(tmp_path, edit, message):
    folder = tiny.write_t5(tmp_path, "ankh")
    _edit_json(folder / "tokenizer.json", edit)
    with pytest.raises(InputError, match=message):
        load("ankh_tiny", path=folder)


def test_a_vocabulary_may_be_a_table(tmp_path):
    folder = tiny.write_t5(tmp_path, "ankh")
    expected = load("ankh_tiny", path=folder).tokenize("MKTAY").tolist()
    _edit_json(
        folder / "tokenizer.json",
        lambda content: content["model"].update(vocab={each[0]: n for n, each in enumerate(content["model"]["vocab"])}),
    )
    assert load("ankh_tiny", path=folder).tokenize("MKTAY").tolist() == expected


def test_a_prefix_may_have_been_added_later(tmp_path, monkeypatch):
    monkeypatch.setitem(cards.CARDS, "ankh3_tiny", tiny.t5_card("ankh3", prefix="[NEW]"))
    folder = tiny.write_t5(tmp_path, "ankh3")
    with pytest.raises(InputError, match=r"the vocabulary lacks \[NEW\]; expected the tokenizer of ankh3_tiny"):
        load("ankh3_tiny", path=folder)
    _edit_json(
        folder / "tokenizer_config.json",
        lambda content: content.update(added_tokens_decoder={"31": {"content": "[NEW]"}}),
    )
    assert load("ankh3_tiny", path=folder).tokenize("M")[0] == 31


def test_a_folder_without_a_readable_tokenizer_is_refused(tmp_path):
    folder = tiny.write_t5(tmp_path, "prott5")
    (folder / "spiece.model").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"spiece\.model: cannot be read as a SentencePiece model"):
        load("prott5_tiny", path=folder)
    (folder / "spiece.model").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json and no spiece\.model"):
        load("prott5_tiny", path=folder)


# configuration --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda config: config.update(num_layers=4), "4 layers, expected 3 for ankh_tiny; of another model"),
        (lambda config: config.update(d_model=32), "32 dim, expected 16"),
        (lambda config: config.update(num_heads=2), "2 heads, expected 4"),
        (lambda config: config.update(model_type="bert"), "model_type 'bert', expected 't5'"),
        (lambda config: config.update(d_ff="wide"), "no configuration of a T5 .*d_ff"),
        (lambda config: config.update(feed_forward_proj="gated-relu"), "feed_forward_proj 'gated-relu', expected"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path, edit, message):
    with pytest.raises(InputError, match=message):
        load("ankh_tiny", path=tiny.write_t5(tmp_path, "ankh", change_config=edit))


def test_weights_of_another_size_are_not_a_published_model(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: 3 layers, expected 48 for ankh_base; of another model"):
        load("ankh_base", path=tiny.write_t5(tmp_path, "ankh"))


def test_a_folder_without_a_readable_configuration_is_refused(tmp_path):
    folder = tiny.write_t5(tmp_path, "ankh")
    for content, message in (("{", "expected JSON"), ("[]", "expected a JSON object, found a list")):
        (folder / "config.json").write_text(content)
        with pytest.raises(InputError, match=message):
            load("ankh_tiny", path=folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json; expected the files of a model"):
        load("ankh_tiny", path=folder)


# weights --------------------------------------------------------------------------------------------------------------


FEED = "encoder.block.1.layer.1.DenseReluDense.wo.weight"


def _poison(state):
    state[FEED][0, 3] = math.inf


def _untie(state):
    state["encoder.embed_tokens.weight"] = state["shared.weight"] + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(FEED), rf"missing: {FEED}"),
        (lambda state: [state.pop(key) for key in adapter.SHARED], "missing: shared.weight, encoder.embed_tokens"),
        (lambda state: state.update({"encoder.block.7.x": torch.zeros(2)}), r"unexpected: encoder\.block\.7\.x"),
        (lambda state: state.update({"classifier.bias": torch.zeros(2)}), r"unexpected: classifier\.bias"),
        (lambda state: state.update({FEED: torch.zeros(5)}), r"wo\.weight is \(5,\), expected \(16, 24\)"),
        (_poison, r"wo\.weight holds numbers that are not finite"),
        (_untie, r"shared\.weight is not encoder\.embed_tokens\.weight, to which T5 ties it"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, kind, change, message):
    with pytest.raises(InputError, match=message):
        load(f"{kind}_tiny", path=tiny.write_t5(tmp_path, kind, change=change))


@pytest.mark.parametrize("left", adapter.SHARED)
def test_one_name_of_the_embedding_is_enough(tmp_path, kind, folder, left):
    gone = next(key for key in adapter.SHARED if key != left)
    made = tiny.write_t5(tmp_path, kind, change=lambda state: state.pop(gone))
    first, second = (load(f"{kind}_tiny", path=each, device="cpu", dtype="float32") for each in (folder, made))
    expected, found = (each.run(["MKTAY"], layers=[-1], logits=False)[0].hidden[-1] for each in (first, second))
    np.testing.assert_array_equal(found, expected)


def test_a_decoder_is_left_alone(tmp_path):
    """Even where it is damaged: nothing of it is used."""

    def damage(state):
        state["decoder.final_layer_norm.weight"][:] = math.nan
        state["lm_head.weight"][:] = math.nan

    folder = tiny.write_t5(tmp_path, "ankh", change=damage)
    assert np.isfinite(load("ankh_tiny", path=folder).run(["MKTAY"], layers=[-1], logits=False)[0].hidden[-1]).all()


def test_float16_weights_are_read_as_they_are(tmp_path):
    folder = tiny.write_t5(tmp_path, "prott5")
    saved = torch.load(folder / "pytorch_model.bin")["shared.weight"]
    assert saved.dtype == torch.float16
    model = load("prott5_tiny", path=folder, device="cpu", dtype="float32")
    assert torch.equal(model.encoder.embedding, saved.float())


def test_safetensors_come_before_pickles(tmp_path):
    from safetensors.torch import save_file

    folder = tiny.write_t5(tmp_path, "prott5")
    state = torch.load(folder / "pytorch_model.bin")
    state = {key: value + 1 for key, value in state.items() if key != adapter.SHARED[1]}
    save_file(state, folder / "model.safetensors")
    model = load("prott5_tiny", path=folder, device="cpu", dtype="float32")
    assert torch.equal(model.encoder.embedding, state["shared.weight"].float())
    assert model.weights_hash == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_hash_of_shards_is_that_of_the_lines_of_sha256sum(folder, kind, model):
    files = sorted([*folder.glob("*.bin"), *folder.glob("*.safetensors")])
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    assert len(files) == (2 if kind == "ankh3" else 1)
    assert model.weights_hash == (digests[0] if len(files) == 1 else hashlib.sha256(lines.encode()).hexdigest())


def test_a_pointer_of_git_lfs_is_named(tmp_path, kind):
    folder = tiny.write_t5(tmp_path, kind)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:93e8\nsize 1812735384\n"
    weights = files.hub_weights(folder)[-1]
    whole = weights.read_bytes()
    weights.write_bytes(pointer)
    with pytest.raises(InputError, match=rf"{weights.name}: a pointer of Git LFS, not the file itself"):
        load(f"{kind}_tiny", path=folder)
    weights.write_bytes(whole)
    if kind != "ankh":
        (folder / "spiece.model").write_bytes(pointer)
        with pytest.raises(InputError, match=r"spiece\.model: a pointer of Git LFS"):
            load(f"{kind}_tiny", path=folder)


def test_a_truncated_file_is_refused(tmp_path, kind):
    folder = tiny.write_t5(tmp_path, kind)
    weights = files.hub_weights(folder)[0]
    whole = weights.read_bytes()
    for content in (whole[: len(whole) // 2], b""):
        weights.write_bytes(content)
        with pytest.raises(InputError, match="truncated"):
            load(f"{kind}_tiny", path=folder)


class _Runs:
    """A pickle of this would run a command when it is opened the old way."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "it-ran"
    folder = tiny.write_t5(tmp_path / "model", "ankh", change=lambda state: state.update(extra=_Runs(marker)))
    with pytest.raises(InputError, match="refused, it holds .*mkdir, which is not allowed"):
        load("ankh_tiny", path=folder)
    assert not marker.exists()
    torch.save([1, 2], folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="expected tensors by name, found a list"):
        load("ankh_tiny", path=folder)


def test_an_index_names_its_shards(tmp_path):
    folder = tiny.write_t5(tmp_path, "ankh3")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"model-00002-of-00002\.safetensors: absent, but the index beside it names it"
    ):
        load("ankh3_tiny", path=folder)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match=r"index\.json: expected the shards of the weights under 'weight_map'"):
        load("ankh3_tiny", path=folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(InputError, match=r"no weights; expected model\.safetensors or pytorch_model\.bin"):
        load("ankh3_tiny", path=folder)


# finding files --------------------------------------------------------------------------------------------------------


def _into_the_cache(tmp_path, kind):
    """What a download of the hub leaves: a snapshot under the name of its commit, and a note of which is newest."""
    place = tmp_path / "hub" / f"models--lab--{kind}-tiny"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc123")
    return tiny.write_t5(place / "snapshots" / "abc123", kind)


def test_places_in_their_order(tmp_path, monkeypatch, kind):
    name, mirror = f"{kind}_tiny", tmp_path / "mirror"
    cached = _into_the_cache(tmp_path, kind)
    assert load(name).path == cached == files.weights_path(cards.card(name))
    monkeypatch.setenv("PLMBOOK_MIRROR", str(mirror))
    assert load(name).path == cached
    by_model = tiny.write_t5(mirror / f"{kind}-tiny", kind)
    assert load(name).path == by_model
    by_owner = tiny.write_t5(mirror / "lab" / f"{kind}-tiny", kind)
    assert load(name).path == by_owner
    given = tiny.write_t5(tmp_path / "given", kind)
    assert load(name, path=given).path == given
    with pytest.raises(InputError, match=r"no folder '.*none'"):
        load(name, path=tmp_path / "none")


def test_a_pinned_revision_is_the_one_that_is_looked_for(tmp_path, monkeypatch):
    _into_the_cache(tmp_path, "ankh")
    assert files.weights_path(tiny.t5_card("ankh", revision="abc123")) is not None
    assert files.weights_path(tiny.t5_card("ankh", revision="def456")) is None


def test_a_download_that_was_cut_short_is_not_taken_for_whole(tmp_path):
    cached = _into_the_cache(tmp_path, "ankh3")
    (cached / "model-00002-of-00002.safetensors").unlink()
    assert files.weights_path(cards.card("ankh3_tiny")) is None
    with pytest.raises(InputError, match="could not be fetched"):
        load("ankh3_tiny")


def test_offline_says_what_to_fetch_and_where_to_put_it(monkeypatch):
    monkeypatch.setitem(cards.CARDS, "ankh_tiny", tiny.t5_card("ankh", revision="abc123"))
    with pytest.raises(
        InputError,
        match=r"could not be fetched \(LocalEntryNotFoundError\); fetch lab/ankh-tiny \(revision abc123\) from the "
        r"Hugging Face hub, and name in PLMBOOK_MIRROR the folder that holds it as ankh-tiny, or give its path$",
    ):
        load("ankh_tiny")


@pytest.mark.parametrize(("kind", "calls"), [("ankh", 2), ("ankh3", 1)])
def test_download_asks_for_safetensors_before_pickles(tmp_path, monkeypatch, kind, calls):
    asked = []

    def fetch(source, *, revision, allow_patterns):
        asked.append(allow_patterns)
        made = tiny.write_t5(tmp_path / "fetched", kind)
        if len(asked) == 1:
            for weights in made.glob("*.bin"):
                weights.unlink()
        assert (source, revision) == (f"lab/{kind}-tiny", None)
        return str(made)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load(f"{kind}_tiny").path == tmp_path / "fetched"
    assert asked == [("*.json", "spiece.model", "model*.safetensors"), ("pytorch_model*.bin",)][:calls]


# cards against the architecture ---------------------------------------------------------------------------------------

ANKH = dict(num_layers=48, num_decoder_layers=24, relative_attention_num_buckets=64, vocab_size=144)
LARGE = ANKH | dict(d_model=1536, num_heads=16, d_ff=3840, feed_forward_proj="gated-silu")
PUBLISHED = {  # from the config.json of the hub's repositories
    "ankh_base": ANKH | dict(d_model=768, num_heads=12, d_ff=3072, feed_forward_proj="gated-gelu"),
    "ankh_large": LARGE | dict(feed_forward_proj="gated-gelu"),
    "ankh2_ext1": LARGE,
    "ankh2_ext2": LARGE,
    "ankh3_large": LARGE | dict(vocab_size=256),
    "prott5_xl_u50": dict(num_layers=24, d_model=1024, num_heads=32, d_kv=128, d_ff=16384, vocab_size=128),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_those_of_the_architecture(tmp_path, name):
    card = cards.card(name)
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name] | {"model_type": "t5"}))
    config = adapter.read_config(tmp_path, card)
    with torch.device("meta"):
        network = T5EncoderModel(T5Config.from_dict(config.to_dict()))
    assert sum(each.numel() for each in network.parameters()) == card.parameters
