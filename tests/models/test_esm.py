"""ESM checkpoints as Meta ships them, against fair-esm's own reading and forward pass."""

import hashlib
import os
from fractions import Fraction

import numpy as np
import pooch
import pytest
import torch
from esm import pretrained

import tiny
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models import cards, files, load
from plmbook.models import esm as adapter

FAMILIES = ["esm1b", "esm1v", "esm2"]
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "M", "MK_AY", "ACDEFGHIKLMNPQRSTVWY" * 3, "MXBZUO_W", "GG____"]
PUBLISHED = list(cards.CARDS.values())


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Tiny cards, an empty cache, no mirror, no network."""

    def offline(url, **_):
        raise OSError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    monkeypatch.setattr(pooch, "retrieve", offline)
    for family in FAMILIES:
        monkeypatch.setitem(cards.CARDS, tiny.NAMES[family], tiny.card(family))


def fair_esm(path, family):
    """fair-esm's own network, read by fair-esm's own code from the same file."""
    content, regression = (
        (torch.load(each, weights_only=False) for each in (path, _regression(path)))
        if _regression(path).is_file()
        else (torch.load(path, weights_only=False), None)
    )
    network, alphabet = pretrained.load_model_and_alphabet_core(tiny.NAMES[family], content, regression)
    return network.eval(), alphabet


def _regression(path):
    return path.with_name(f"{path.stem}-contact-regression.pt")


def reference(network, alphabet, sequences, layers=(0, 1, tiny.LAYERS)):
    """fair-esm's padded forward of a batch: per sequence the log-probabilities (L, 20) and hidden states (L, d)."""
    converter = alphabet.get_batch_converter()
    _, _, tokens = converter([(str(n), text.replace("_", "<mask>")) for n, text in enumerate(sequences)])
    with torch.no_grad():
        found = network(tokens, repr_layers=list(layers))
    table = found["logits"].log_softmax(-1)[..., [alphabet.get_idx(letter) for letter in AMINO_ACIDS]]
    return [
        (table[n, 1 : len(text) + 1], {layer: found["representations"][layer][n, : len(text) + 1] for layer in layers})
        for n, text in enumerate(sequences)
    ]


@pytest.mark.filterwarnings("ignore:Regression weights not found")
@pytest.mark.parametrize("family", FAMILIES)
def test_run_agrees_with_fair_esm(tmp_path, family):
    path = tiny.write(tmp_path, family)
    model = load(tiny.NAMES[family], path=path, device="cpu")
    outputs = model.run(SEQUENCES, layers=[0, 1, tiny.LAYERS])
    for output, (table, hidden) in zip(outputs, reference(*fair_esm(path, family), SEQUENCES), strict=True):
        np.testing.assert_allclose(output.log_probabilities, table, atol=1e-5)
        for layer, states in hidden.items():
            np.testing.assert_allclose(output.hidden[layer], states[1:], atol=1e-5)
    assert outputs[0].log_probabilities.dtype == outputs[0].hidden[1].dtype == np.float32
    assert np.ptp(outputs[0].log_probabilities) > 1  # the random weights do speak


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sequence_does_not_depend_on_its_batch(tmp_path, family):
    model = load(tiny.NAMES[family], path=tiny.write(tmp_path, family), device="cpu")
    batch = model.run(SEQUENCES, layers=[-1])
    for sequence, together in zip(SEQUENCES, batch, strict=True):
        alone = model.run([sequence], layers=[-1])[0]
        np.testing.assert_allclose(alone.log_probabilities, together.log_probabilities, atol=1e-5)
        np.testing.assert_allclose(alone.hidden[-1], together.hidden[-1], atol=1e-5)


@pytest.mark.filterwarnings("ignore:Regression weights not found")
@pytest.mark.parametrize("family", FAMILIES)
def test_attentions_agree_with_fair_esm(tmp_path, family):
    path = tiny.write(tmp_path, family)
    network, alphabet = fair_esm(path, family)
    tokens = torch.from_numpy(load(tiny.NAMES[family], path=path).tokenize(SEQUENCES[0]))[None]
    with torch.no_grad():
        expected = network(tokens, need_head_weights=True)["attentions"][0]
    found = load(tiny.NAMES[family], path=path, device="cpu").attentions(SEQUENCES[0])
    assert found.shape == (tiny.LAYERS, tiny.HEADS, 22, 22)
    np.testing.assert_allclose(found, expected[:, :, 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("family", ["esm1b", "esm2"])
def test_contacts_agree_with_fair_esm(tmp_path, family):
    path = tiny.write(tmp_path, family)
    network, _ = fair_esm(path, family)
    model = load(tiny.NAMES[family], path=path, device="cpu")
    expected = network.predict_contacts(torch.from_numpy(model.tokenize(SEQUENCES[0]))[None])[0].detach()
    found = model.contacts(SEQUENCES[0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_contacts_without_regression_say_what_to_fetch(tmp_path):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2", with_regression=False), device="cpu")
    with pytest.raises(
        InputError, match=r"esm2_tiny-contact-regression\.pt beside .*/regression/esm2_tiny-contact-regression\.pt"
    ):
        model.contacts("MKTAYIAK")


def test_rows_pick_log_probabilities(tmp_path):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2"), device="cpu")
    every = model.run(["MKTAY", "ACDE"])
    rows = [np.array([4, 0]), np.array([], dtype=int)]
    picked = model.run(["MKTAY", "ACDE"], rows=rows)
    np.testing.assert_allclose(picked[0].log_probabilities, every[0].log_probabilities[[4, 0]], atol=1e-6)
    assert picked[1].log_probabilities.shape == (0, 20)
    with pytest.raises(InputError, match="5 residues"):
        model.run(["MKTAY"], rows=[np.array([5])])


def test_only_what_is_asked_for(tmp_path):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2"), device="cpu")
    output = model.run(["MKTAY"], layers=[1], logits=False)[0]
    assert output.log_probabilities is None
    assert list(output.hidden) == [1]
    assert model.run([]) == []
    with pytest.raises(InputError, match="layer 4, expected 0 to 3"):
        model.run(["MKTAY"], layers=[4])


def test_probabilities_are_over_the_whole_vocabulary(tmp_path):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2"), device="cpu")
    total = np.exp(model.run([SEQUENCES[0]])[0].log_probabilities).sum(axis=1)
    assert (total < 1).all()


def test_bfloat16_is_near(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    exact, coarse = (load("esm2_tiny", path=path, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    expected, found = (model.run([SEQUENCES[0]], layers=[-1])[0] for model in (exact, coarse))
    assert found.hidden[-1].dtype == np.float32
    assert 0 < np.abs(found.hidden[-1] - expected.hidden[-1]).mean() < 0.1
    assert coarse.attentions("MKTAY").shape == (3, 4, 5, 5)
    assert coarse.contacts("MKTAY").shape == (5, 5)


# tokens ---------------------------------------------------------------------------------------------------------------


def test_tokens_are_those_of_fair_esm(tmp_path):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2"), device="cpu")
    letters = AMINO_ACIDS + "XBUZO"
    _, _, expected = tiny.ALPHABET.get_batch_converter()([("all", letters + "<mask>")])
    assert model.tokenize(letters + "_").tolist() == expected[0].tolist()
    assert model.tokenize("M").tolist() == [0, 20, 2]
    assert model.tokenize("J").tolist() == model.tokenize("X").tolist()


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("MKtA", "lower-case 't' at position 3"),
        ("MK*", "position 3"),
        ("M-K", "position 2"),
        ("", "empty"),
        ("M<mask>", "position 2"),
        ("M\u00c5", "position 2"),
        ("M K", "position 2"),
    ],
)
def test_what_no_token_fits_is_refused(tmp_path, sequence, message):
    model = load("esm2_tiny", path=tiny.write(tmp_path, "esm2"), device="cpu")
    with pytest.raises(InputError, match=message):
        model.tokenize(sequence)


def test_length_limit(tmp_path):
    model = load("esm1b_tiny", path=tiny.write(tmp_path, "esm1b"), device="cpu")
    assert model.run(["A" * 60])[0].log_probabilities.shape == (60, 20)
    for call in (lambda: model.run(["A" * 61]), lambda: model.attentions("A" * 61), lambda: model.contacts("A" * 61)):
        with pytest.raises(InputError, match="61 residues, expected at most 60"):
            call()


# reading files --------------------------------------------------------------------------------------------------------


def _drop(key):
    return lambda content: content["model"].pop(key)


def _poison(content):
    content["model"]["encoder.sentence_encoder.layers.1.fc1.bias"][3] = float("nan")


def _reshape(content):
    content["model"]["encoder.lm_head.bias"] = torch.zeros(5)


def _untie(content):
    content["model"]["encoder.lm_head.weight"] = content["model"]["encoder.lm_head.weight"] + 1


def _add(content):
    content["model"]["encoder.sentence_encoder.layers.7.fc1.bias"] = torch.zeros(64)


def _other_width(content):
    options = content["cfg"]["model"] if "cfg" in content else content["args"]
    options.encoder_embed_dim = 32


FC1 = "encoder.sentence_encoder.layers.0.fc1.weight"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop(FC1), r"missing: layers\.0\.fc1\.weight"),
        (_add, r"unexpected: layers\.7\.fc1\.bias"),
        (_poison, r"layers\.1\.fc1\.bias holds numbers that are not finite"),
        (_reshape, r"lm_head\.bias is \(5,\), expected \(33,\)"),
        (_untie, r"lm_head\.weight is not embed_tokens\.weight"),
        (_other_width, r"32 dim, expected 16"),
        (lambda content: content.pop("model"), "expected a checkpoint of ESM"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, family, change, message):
    path = tiny.write(tmp_path, family, change=change)
    with pytest.raises(InputError, match=message):
        load(tiny.NAMES[family], path=path, device="cpu")


def test_a_file_without_options_is_refused(tmp_path):
    path = tiny.write(tmp_path, "esm2", change=lambda content: content.pop("cfg"))
    with pytest.raises(InputError, match=r"expected 'cfg' \(ESM-2\) or 'args'"):
        load("esm2_tiny", path=path)


def test_weights_of_another_family_are_refused(tmp_path):
    with pytest.raises(InputError, match="family esm1, expected esm2"):
        load("esm2_tiny", path=tiny.write(tmp_path, "esm1b"))
    with pytest.raises(InputError, match="family esm2, expected esm1v"):
        load("esm1v_tiny", path=tiny.write(tmp_path, "esm2"))


def test_positions_that_are_too_few_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(cards.CARDS, "esm1b_tiny", tiny.card("esm1b", max_length=61))
    with pytest.raises(InputError, match="62 positions, expected 63"):
        load("esm1b_tiny", path=tiny.write(tmp_path, "esm1b"))


def test_a_truncated_file_is_refused(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="truncated"):
        load("esm2_tiny", path=path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="truncated"):
        load("esm2_tiny", path=path)


class _Runs:
    """A pickle of this would run a command when it is opened the old way."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "it-ran"
    path = tiny.write(tmp_path, "esm2", change=lambda content: content.update(extra=_Runs(marker)))
    with pytest.raises(InputError, match="mkdir, which is not allowed"):
        load("esm2_tiny", path=path)
    assert not marker.exists()


def test_only_a_namespace_is_allowed_and_only_while_reading(tmp_path):
    path = tiny.write(tmp_path, "esm2", change=lambda content: content.update(extra=Fraction(1, 2)))
    with pytest.raises(InputError, match=r"fractions\.Fraction, which is not allowed"):
        load("esm2_tiny", path=path)
    assert tiny.Namespace not in torch.serialization.get_safe_globals()


def test_the_weights_are_those_of_the_file(tmp_path):
    path = tiny.write(tmp_path, "esm1v")
    model = load("esm1v_tiny", path=path)
    assert model.weights_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    saved = torch.load(path, weights_only=False)["model"]["encoder.sentence_encoder.embed_tokens.weight"]
    table = model.network.embed_tokens.weight
    assert (table[tiny.ALPHABET.mask_idx] == 0).all()  # as fair-esm: the mask embedding of ESM-1 is zero
    assert (saved[tiny.ALPHABET.mask_idx] != 0).any()
    assert torch.equal(table[:32].cpu().float(), saved[:32])
    assert model.network.lm_head.weight is table


# finding files --------------------------------------------------------------------------------------------------------


def test_places_in_their_order(tmp_path, monkeypatch):
    cache, mirror, given = tmp_path / "torch" / "hub" / "checkpoints", tmp_path / "mirror", tmp_path / "given"
    for folder in (cache, mirror, given):
        folder.mkdir(parents=True)
        tiny.write(folder, "esm2")
    assert load("esm2_tiny").path.parent == cache
    monkeypatch.setenv("PLMBOOK_MIRROR", str(mirror))
    assert load("esm2_tiny").path.parent == mirror
    assert load("esm2_tiny", path=given).path == given / "esm2_tiny.pt"
    assert load("esm2_tiny").contacts("MKTAY").shape == (5, 5)


def test_hub_cache_is_the_one_of_torch(monkeypatch, tmp_path):
    assert str(files.hub_cache()) == os.path.join(torch.hub.get_dir(), "checkpoints")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert str(files.hub_cache()) == os.path.join(torch.hub.get_dir(), "checkpoints")


def test_offline_says_what_to_fetch_and_where_to_put_it(tmp_path):
    with pytest.raises(
        InputError, match=rf"fetch https://example\.org/none\.pt and put it into {tmp_path}/torch/hub/checkpoints"
    ):
        load("esm2_tiny")


def test_download_goes_into_the_cache(tmp_path, monkeypatch):
    asked = []

    def fetch(url, *, known_hash, fname, path, progressbar):
        asked.append(url)
        if "regression" in url:
            raise OSError("403")  # happens; the model must still load
        path.mkdir(parents=True)
        return str(tiny.write(path, "esm2", with_regression=False))

    monkeypatch.setattr(pooch, "retrieve", fetch)
    model = load("esm2_tiny")
    assert model.path == tmp_path / "torch" / "hub" / "checkpoints" / "esm2_tiny.pt"
    assert asked == ["https://example.org/none.pt", adapter.REGRESSION_URL.format(name="esm2_tiny")]
    assert not model.can("contacts")
    assert load("esm2_tiny").path == model.path
    assert len(asked) == 2  # the second time nothing is fetched


def test_a_path_without_weights(tmp_path):
    with pytest.raises(InputError, match=r"no weights at .*none\.pt"):
        load("esm2_tiny", path=tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"no weights at .*esm2_tiny\.pt or .*esm2_tiny\.safetensors"):
        load("esm2_tiny", path=tmp_path)


def test_unknown_names_devices_and_dtypes(tmp_path):
    path = tiny.write(tmp_path, "esm2")
    with pytest.raises(InputError, match="did you mean 'esm2_tiny'"):
        load("esm2_tinny", path=path)
    with pytest.raises(InputError, match="ensemble of 5"):
        load("esm1v")
    with pytest.raises(InputError, match="dtype 'int8'"):
        load("esm2_tiny", path=path, dtype="int8")
    with pytest.raises(InputError, match="device 'tpu9'"):
        load("esm2_tiny", path=path, device="tpu9")


# the bundled model ----------------------------------------------------------------------------------------------------


def test_bundled_model(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    network = tiny.write_bundled(tmp_path)
    model = load("embedded", device="cpu")
    assert model.name == "plmbook_t3_tiny"
    assert model.weights_hash == model.card.sha256
    for output, (table, hidden) in zip(
        model.run(SEQUENCES, layers=[1]), reference(network, tiny.ALPHABET, SEQUENCES, layers=[1]), strict=True
    ):
        np.testing.assert_allclose(output.log_probabilities, table, atol=1e-5)
        np.testing.assert_allclose(output.hidden[1], hidden[1][1:], atol=1e-5)
    with pytest.raises(InputError, match="no contact regression"):
        model.contacts("MKTAY")


def test_bundled_model_that_was_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path)
    path = tmp_path / "models" / "plmbook_t3_tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"sha256 .*, expected .* \(the card's\)"):
        load("embedded")
    path.unlink()
    with pytest.raises(InputError, match=r"plmbook_t3_tiny\.safetensors beside it is not"):
        load("embedded")


def test_bundled_model_of_another_size(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path, layers=4)
    with pytest.raises(InputError, match=r"missing: layers\.3\."):
        load("embedded")


# cards against the architecture ---------------------------------------------------------------------------------------


ESM = [card for card in PUBLISHED if card.family.startswith("esm")]


@pytest.mark.parametrize("card", ESM, ids=lambda card: card.name)
def test_parameter_counts_are_those_of_the_architecture(card):
    options = dict(layers=card.layers, embed_dim=card.dim, attention_heads=card.heads, token_dropout=True)
    with torch.device("meta"):
        if card.family == "esm2":
            network = adapter.esm.ESM2(card.layers, card.dim, card.heads)
        else:
            extra = dict(ffn_embed_dim=5120, max_positions=1024, emb_layer_norm_before=card.family == "esm1b")
            network = adapter.esm.ProteinBertModel(
                tiny.Namespace(arch="roberta_large", **options, **extra), tiny.ALPHABET
            )
    counted = {name: each.numel() for name, each in network.named_parameters() if not name.startswith("contact_head.")}
    assert sum(counted.values()) == card.parameters


def test_auto_leaves_the_bundled_model_in_float32(monkeypatch):
    monkeypatch.undo()  # the real card and weights
    monkeypatch.setattr("plmbook.models.device.bfloat16_gain", lambda dim, heads: 9.0)
    assert load("embedded", device="cpu").dtype == "float32"
    assert load("embedded", device="cpu", dtype="bfloat16").dtype == "bfloat16"
