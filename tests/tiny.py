"""Tiny ESM checkpoints with random weights, in the very format of Meta's files."""

import json
from argparse import Namespace

import esm
import torch

from plmbook.models.cards import Card

LAYERS, DIM, HEADS = 3, 16, 4
ALPHABET = esm.Alphabet.from_architecture("ESM-1b")
NAMES = {"esm1b": "esm1b_tiny", "esm1v": "esm1v_tiny", "esm2": "esm2_tiny"}


def card(family, **changes):
    """A card that fits the tiny checkpoint of a family."""
    facts = dict(
        name=NAMES[family],
        family=family,
        layers=LAYERS,
        dim=DIM,
        heads=HEADS,
        parameters=1,
        max_length=60,
        training_data="none",
        licence="MIT",
        source="https://example.org/none.pt",
        citation="",
    )
    return Card(**(facts | changes))


def network(family, seed=0):
    """A network of fair-esm with random weights that are far from zero, so that every module matters."""
    torch.manual_seed(seed)
    if family == "esm2":
        made = esm.ESM2(LAYERS, DIM, HEADS, alphabet=ALPHABET, token_dropout=True)
    else:
        made = esm.ProteinBertModel(
            Namespace(
                **esm1_options(family), layers=LAYERS, embed_dim=DIM, ffn_embed_dim=4 * DIM, attention_heads=HEADS
            ),
            ALPHABET,
        )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made.eval()


def esm1_options(family):
    # fair-esm decides emb_layer_norm_before from the keys; a fresh network needs to be told.
    return dict(arch="roberta_large", max_positions=62, token_dropout=True, emb_layer_norm_before=family == "esm1b")


def checkpoint(family, made=None):
    """The content of NAME.pt and of NAME-contact-regression.pt, both as Meta writes them.

    The encoder's weights are prefixed `encoder.sentence_encoder.`, the head's `encoder.`; `lm_head.weight` and the
    embedding share their storage; the contact regression is a file of its own.
    """
    state = (made or network(family)).state_dict()
    regression = {key: state.pop(key) for key in list(state) if key.startswith("contact_head.")}
    prefixed = {f"encoder.{'' if key.startswith('lm_head') else 'sentence_encoder.'}{key}": state[key] for key in state}
    if family == "esm2":
        options = Namespace(
            encoder_layers=LAYERS, encoder_embed_dim=DIM, encoder_attention_heads=HEADS, token_dropout=True
        )
        content = {"cfg": {"model": options}, "model": prefixed}
    else:
        options = Namespace(
            arch="roberta_large",
            encoder_layers=LAYERS,
            encoder_embed_dim=DIM,
            encoder_ffn_embed_dim=4 * DIM,
            encoder_attention_heads=HEADS,
            max_positions=62,
            token_dropout=True,
        )
        content = {"args": options, "model": prefixed}
    return content, {"model": regression}


def write(folder, family, *, with_regression=True, change=None):
    """Write the files of a family into a folder; `change` may alter the content first.  Returns the path of NAME.pt."""
    content, regression = checkpoint(family)
    if change is not None:
        change(content)
    path = folder / f"{NAMES[family]}.pt"
    torch.save(content, path)
    if with_regression and family != "esm1v":
        torch.save(regression, folder / f"{NAMES[family]}-contact-regression.pt")
    return path


def write_bundled(folder, name="plmbook_t3_tiny", **facts):
    """Write a bundled model (float16 safetensors and its card) into `folder/models`; returns its network, float32."""
    from safetensors.torch import save_file

    from plmbook.models.esm import file_sha256

    made = network("esm2", seed=1)
    state = {
        key: value.half().contiguous()
        for key, value in made.state_dict().items()
        if not key.startswith("contact_head.") and key != "lm_head.weight" and not key.endswith("inv_freq")
    }
    (folder / "models").mkdir(parents=True, exist_ok=True)
    path = folder / "models" / f"{name}.safetensors"
    save_file(state, path)
    card_facts = dict(
        name=name,
        family="esm2",
        layers=LAYERS,
        dim=DIM,
        heads=HEADS,
        parameters=1,
        max_length=60,
        training_data="a test",
        licence="CC0",
        sha256=file_sha256(path),
        tokens_seen=12,
    )
    path.with_suffix(".json").write_text(json.dumps(card_facts | facts))
    for parameter in made.parameters():  # the rotary frequencies, a buffer, are never rounded
        parameter.data = parameter.data.half().float()
    return made
