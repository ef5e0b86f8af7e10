"""Tiny checkpoints with random weights: ESM in the very format of Meta's files, T5 in that of the hub's folders."""

import io
import json
from argparse import Namespace
from dataclasses import replace

import esm
import numpy as np
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

    from plmbook.core.artifacts import file_sha256

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


# T5: what the three kinds of published encoders look like, small
T5 = {
    "ankh": dict(feed_forward_proj="gated-gelu", d_kv=4, relative_attention_num_buckets=8),
    "ankh3": dict(feed_forward_proj="gated-silu", d_kv=6, relative_attention_num_buckets=8),
    "prott5": dict(feed_forward_proj="relu", d_kv=8),
}
T5_LETTERS = "ALGVSREDTIPKFQNYMHWCXBOUZ"  # in the order of their vocabularies; none has J
T5_SENTINELS = [f"<extra_id_{n}>" for n in range(6)]  # the first one has the highest number


def t5_card(kind, **changes):
    """A card that fits the tiny checkpoint of a kind of T5."""
    own = {"ankh3": {"prefix": "[NLU]"}, "prott5": {"read_as_x": "UZOB"}}.get(kind, {})
    facts = dict(name=f"{kind}_tiny", family="t5", max_length=None, source=f"lab/{kind}-tiny") | own
    return replace(card("esm2"), **(facts | changes))


def write_t5(folder, kind, *, change=None, change_config=None):
    """Write a folder of the hub for a kind of T5; the functions may alter the tensors and the configuration first.

    `ankh`: the whole T5 with its decoder in `pytorch_model.bin`, and `tokenizer.json`.  `ankh3`: the whole T5 in two
    shards of safetensors with their index, and `spiece.model`.  `prott5`: the encoder alone, float16, in
    `pytorch_model.bin`, and `spiece.model` with residues that are words.
    """
    from safetensors.torch import save_file
    from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    config = dict(
        model_type="t5",
        vocab_size=40,
        d_model=DIM,
        d_ff=24,
        num_layers=LAYERS,
        num_decoder_layers=2,
        num_heads=HEADS,
        layer_norm_epsilon=1e-6,
        **T5[kind],
    )
    torch.manual_seed(0)
    made = (T5EncoderModel if kind == "prott5" else T5ForConditionalGeneration)(T5Config(**config))
    for name, parameter in made.named_parameters():
        centre, spread = (1.0, 0.3) if "norm" in name else (0.0, 1.0 if "bias" in name else 0.15)
        torch.nn.init.normal_(parameter, centre, spread)
    if change_config is not None:
        change_config(config)
    (folder / "config.json").write_text(json.dumps(config))
    state = {key: value.clone() for key, value in made.state_dict().items()}
    if kind == "prott5":
        state = {key: value.half() for key, value in state.items()}
    if change is not None:
        change(state)
    if kind == "ankh3":
        shards = {f"model-0000{n}-of-00002.safetensors": sorted(state)[n - 1 :: 2] for n in (1, 2)}
        for name, keys in shards.items():
            save_file({key: state[key] for key in keys}, folder / name)
        index = {"metadata": {}, "weight_map": {key: name for name, keys in shards.items() for key in keys}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        torch.save(state, folder / "pytorch_model.bin")
    _write_t5_tokenizer(folder, kind)
    return folder


def _write_t5_tokenizer(folder, kind):
    """`<pad>`, `</s>`, `<unk>`, the letters: what every one of the published vocabularies begins with."""
    if kind == "ankh":
        from tokenizers import Tokenizer, models, processors

        pieces = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")] + [(letter, -3.0) for letter in T5_LETTERS]
        tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
        tokenizer.add_special_tokens(T5_SENTINELS[::-1])
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        tokenizer.save(str(folder / "tokenizer.json"))
        return
    from sentencepiece import SentencePieceTrainer

    # A letter more often than the next, so that their order is kept.
    counts = {letter: 2 * len(T5_LETTERS) - n for n, letter in enumerate(T5_LETTERS)}
    word = kind == "prott5"
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter((" " if word else "").join(letter * count) for letter, count in counts.items()),
        model_writer=model,
        model_type="word" if word else "char",
        add_dummy_prefix=word,
        vocab_size=len(T5_LETTERS) + (3 if word else 6),
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        user_defined_symbols=[] if word else ["[NLU]", "[S2S]"],
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    facts = {"do_lower_case": False}
    if not word:
        facts["added_tokens_decoder"] = {str(39 - n): {"content": token} for n, token in enumerate(T5_SENTINELS)}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))


# UniRep: two layers, so that the one above reads the states of the one below
UNIREP_EMBEDDING = 5


def unirep_card(**changes):
    """A card that fits the tiny file of UniRep."""
    facts = dict(name="unirep_tiny", family="unirep", layers=2, heads=0, max_length=None, first_layer=1)
    return replace(card("esm2"), **(facts | changes))


def unirep_arrays(seed=0):
    """The arrays of a tiny UniRep by name, as in the published files; some gains are negative, as there."""
    rng = np.random.default_rng(seed)
    arrays = {"embedding": (26, UNIREP_EMBEDDING), "dense.w": (DIM, 25), "dense.b": (25,)}
    for number, below in enumerate((UNIREP_EMBEDDING, DIM)):
        shapes = {"wx": (below, 4 * DIM), "wh": (DIM, 4 * DIM), "wmx": (below, DIM), "wmh": (DIM, DIM), "b": (4 * DIM,)}
        shapes |= {f"g{name[1:]}": shapes[name][1:] for name in ("wx", "wh", "wmx", "wmh")}
        arrays |= {f"mlstm.{number}.{name}": shape for name, shape in shapes.items()}
    return {name: rng.normal(0.5, 1.0, size=shape).astype(np.float32) for name, shape in arrays.items()}


def write_unirep(path, *, change=None):
    """Write a tiny UniRep in the very format of the package's files; `change` may alter the arrays first."""
    arrays = unirep_arrays()
    if change is not None:
        change(arrays)
    np.savez(path, **arrays)
    return path


def write_family(folder, family, **options):
    """A tiny checkpoint of any family that can be run, and the card that fits it: (card, path)."""
    if family == "unirep":
        return unirep_card(), write_unirep(folder / "unirep_tiny.npz", **options)
    if family == "t5":
        return t5_card("ankh"), write_t5(folder, "ankh", **options)
    return card(family), write(folder, family, **options)
