"""Ankh, Ankh2, Ankh3 and ProtT5: encoders of T5 (Raffel et al. 2020), in the files that their authors put on the hub.

The configuration must be the card's; a key that is missing, left over, misshapen or not finite is an error.  Tokens are
looked up in the model's own vocabulary: tokenizers put an unknown token first in some versions of transformers only.
Sequences lie end to end: N tokens in all, B sequences of n tokens, d the width, H heads, c the width of a head.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError, some
from plmbook.core.residues import AMINO_ACIDS, UNKNOWN
from plmbook.models import files, packed
from plmbook.models.base import Model, Output
from plmbook.models.cards import FAMILIES, Card
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.tokens import Tokens

_ACTIVATIONS = {"relu": F.relu, "gated-gelu": partial(F.gelu, approximate="tanh"), "gated-silu": F.silu}
_WORD = "\u2581"  # SentencePiece's mark of the beginning of a word: ProtT5 reads each residue as a word
SHARED = ("shared.weight", "encoder.embed_tokens.weight")  # two names of the input embedding
_IGNORED = ("decoder.", "lm_head.")  # a whole T5 has these; the encoder does not need them

# what a model computes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """The weights of one layer; what reads the same input is one matrix."""

    attention_norm: torch.Tensor  # float32 (d,)
    qkv: torch.Tensor  # (3 H c, d): query, key and value
    out: torch.Tensor  # (d, H c)
    feed_norm: torch.Tensor  # float32 (d,)
    feed_in: torch.Tensor  # (m, d), or (2 m, d) where the feed-forward is gated: the gate first
    feed_out: torch.Tensor  # (d, m)


@dataclass(frozen=True)
class Encoder:
    """The weights of an encoder, and what its configuration says of them."""

    embedding: torch.Tensor  # (vocabulary, d)
    blocks: tuple[Block, ...]
    final_norm: torch.Tensor  # float32 (d,)
    bias: torch.Tensor  # float32 (buckets, H): added to a score by bucket of distances; all layers use the first one's
    max_distance: int  # from here on, all distances lie in one bucket
    epsilon: float  # of the layer norms
    feed_forward: str  # a key of _ACTIVATIONS

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.bias.shape[1]


def hidden_states(
    encoder: Encoder, tokens: torch.Tensor, lengths: Sequence[int], layers: Iterable[int]
) -> dict[int, torch.Tensor]:
    """Hidden states by layer, float32 (N, d). The residual stream is float32 whatever the weights: a few channels
    overflow float16, and bfloat16 would round away what later layers add.
    """
    wanted = set(layers)
    x = F.embedding(tokens, encoder.embedding).float()  # (N, d)
    found = {0: x} if 0 in wanted else {}
    depth = max(wanted)
    biases = {length: _position_bias(encoder, length) for length in set(lengths)} if depth else {}
    for number, block in enumerate(encoder.blocks[:depth], start=1):
        x = x + _attention(encoder, block, x, lengths, biases)
        x = x + _feed_forward(encoder, block, x)
        if number in wanted:
            found[number] = _norm(encoder, x, encoder.final_norm) if number == len(encoder.blocks) else x
    return found


def _attention(encoder, block, x, lengths, biases):
    """What one layer's self-attention adds to x (N, d): scores are not divided by the root of c, T5 is trained so."""
    projected = _project(encoder, block, x)  # (N, 3, H, c)
    mixed, start = [], 0
    for length, run in itertools.groupby(lengths):  # neighbours of one length go through together
        count = len(list(run))
        rows = slice(start, start + count * length)
        start = rows.stop
        heads = projected[rows].unflatten(0, (count, length)).permute(2, 0, 3, 1, 4)  # (3, B, H, n, c)
        found = F.scaled_dot_product_attention(*heads, attn_mask=biases[length], scale=1.0)
        mixed.append(found.transpose(1, 2).reshape(count * length, -1))
    return F.linear(torch.cat(mixed), block.out)


def _project(encoder, block, x):
    """Queries, keys and values of x (N, d) after its layer norm: (N, 3, H, c)."""
    normed = _norm(encoder, x, block.attention_norm).to(block.qkv.dtype)
    return F.linear(normed, block.qkv).view(len(x), 3, encoder.heads, -1)


def _feed_forward(encoder, block, x):
    """What one layer's feed-forward adds to x (N, d)."""
    activation = _ACTIVATIONS[encoder.feed_forward]
    inner = F.linear(_norm(encoder, x, block.feed_norm).to(block.feed_in.dtype), block.feed_in)
    if encoder.feed_forward.startswith("gated"):
        gate, inner = inner.chunk(2, dim=-1)
        inner = activation(gate) * inner
    else:
        inner = activation(inner)
    return F.linear(inner, block.feed_out)


def _norm(encoder, x, weight):
    """T5's layer norm, by the root mean square, in float32: no mean is taken off and nothing is added."""
    return F.rms_norm(x, weight.shape, weight, encoder.epsilon)


def _position_bias(encoder: Encoder, length: int) -> torch.Tensor:
    """What each head adds to the score of query i and key j: (1, H, n, n); float32 on a CPU, else as the weights."""
    offsets = torch.arange(1 - length, length)  # key minus query
    buckets = position_buckets(offsets, len(encoder.bias), encoder.max_distance)
    table = encoder.bias[buckets.to(encoder.bias.device)].T  # (H, 2n - 1)
    # Query i sees the offsets -i to n - 1 - i: window number n - 1 - i of the table.
    bias = table.unfold(1, length, 1).flip(1)[None].contiguous()
    return bias if bias.device.type == "cpu" else bias.to(encoder.embedding.dtype)


def position_buckets(offsets: torch.Tensor, n_buckets: int, max_distance: int) -> torch.Tensor:
    """Buckets of relative positions (key minus query): half for keys to the right; near ones exact, far ones log."""
    half = n_buckets // 2
    n_exact = half // 2
    distance = offsets.abs()
    # Distance 0 has no logarithm and is exact anyway; the arithmetic is float32, as in transformers.
    scaled = torch.log(distance.clamp(min=1).float() / n_exact) / math.log(max_distance / n_exact)
    far = (n_exact + (scaled * (half - n_exact)).long()).clamp(max=half - 1)
    return torch.where(distance < n_exact, distance, far) + half * (offsets > 0)


# the model ------------------------------------------------------------------------------------------------------------


class T5Model(Model):
    """A loaded encoder, without BOS: Ankh3's prefix does not stand for the sequence. Memory limits a sequence:
    attention keeps 4 bytes a head and pair of tokens (3.2 GB at 5,000 residues and 32 heads).
    """

    def __init__(
        self, encoder: Encoder, tokens: Tokens, card: Card, *, path: Path, device: str = "cpu", dtype: str = "float32"
    ):
        super().__init__(card, path=path, device=device, dtype=dtype)
        self.encoder = encoder
        self._tokens = tokens
        self.capabilities -= {"pseudo-likelihood", "generation"}  # the decoder's

    def tokenize(self, sequence: str) -> np.ndarray:
        """int64 (L + 1,), `</s>` last, or for Ankh3 (L + 2,), prefix first; no token is a mask. J, and what the authors
        replace (for ProtT5 U, Z, O and B), are read as X.
        """
        return self._tokens.read(sequence)

    @torch.inference_mode()
    def run(
        self,
        sequences: Sequence[str],
        *,
        layers: Sequence[int] = (),
        rows: Sequence[np.ndarray] | None = None,
        logits: bool = True,
        pool: str | Sequence[str] | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Output]:
        """As `Model.run`, but `logits` must be False and `pool` not "bos"."""
        if logits:
            scoring = (name for name, family in FAMILIES.items() if "log-probabilities" in family.capabilities)
            raise InputError(
                f"model {self.name!r}: the encoder of a T5 has hidden states and no probabilities of residues; "
                f"expected a model of the families {', '.join(scoring)}"
            )
        pools = self.checked_pools(pool)
        number_of = {layer: self.card.layer_number(layer) for layer in layers}
        outputs = [Output() for _ in sequences]
        if not outputs or not number_of:
            return outputs
        tokens = [self.tokenize(sequence) for sequence in sequences]
        row = torch.from_numpy(np.concatenate(tokens)).to(self.device)  # (N,)
        states = hidden_states(self.encoder, row, [len(each) for each in tokens], number_of.values())
        before, after = self.card.special_tokens
        packed.fill(outputs, states, number_of, [(before, len(x), after) for x in sequences], pools=pools, spans=spans)
        return outputs

    @torch.inference_mode()
    def attentions(self, sequence: str) -> np.ndarray:
        """As `Model.attentions`."""
        encoder, tokens = self.encoder, self.tokenize(sequence)
        lengths, bias = [len(tokens)], _position_bias(encoder, len(tokens))
        x = F.embedding(torch.from_numpy(tokens).to(self.device), encoder.embedding).float()
        maps = []
        for block in encoder.blocks:
            query, key, _ = _project(encoder, block, x).float().permute(1, 2, 0, 3)  # each (H, n, c)
            maps.append((query @ key.mT + bias[0]).softmax(dim=-1))
            x = x + _attention(encoder, block, x, lengths, {len(tokens): bias})
            x = x + _feed_forward(encoder, block, x)
        before, after = self.card.special_tokens
        return torch.stack(maps)[:, :, before:-after, before:-after].cpu().numpy()


# reading files --------------------------------------------------------------------------------------------------------


def load_t5(card: Card, *, device: str = "auto", dtype: str = "auto", path: str | Path | None = None) -> T5Model:
    """Load the encoder of a T5 card; `plmbook.models.load` is how one calls it."""
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    folder = files.find_folder(card, path)
    config = read_config(folder, card)
    tokens = read_tokens(folder, card, config.vocab_size)
    encoder = _read_encoder(folder, config, device=device, dtype=dtype)
    return T5Model(encoder, tokens, card, path=folder, device=device, dtype=dtype)


def read_config(folder: Path, card: Card):
    """The `T5Config` of `config.json`; layers, dim and heads must be the card's."""
    from transformers import T5Config

    path = folder / "config.json"
    facts = files.read_json(path)
    if facts.get("model_type") != "t5":
        raise InputError(f"{path}: model_type {facts.get('model_type')!r}, expected 't5' ({card.name})")
    try:
        config = T5Config.from_dict(facts)
    except Exception as error:  # the classes of huggingface_hub's strict dataclasses have no other base
        raise InputError(f"{path}: no configuration of a T5 ({' '.join(str(error).split())})") from None
    files.compare_sizes(path, card, {"layers": config.num_layers, "dim": config.d_model, "heads": config.num_heads})
    if config.feed_forward_proj not in _ACTIVATIONS:
        raise InputError(
            f"{path}: feed_forward_proj {config.feed_forward_proj!r}, expected one of {', '.join(_ACTIVATIONS)}"
        )
    return config


def read_tokens(folder: Path, card: Card, vocab_size: int) -> Tokens:
    """The residues' tokens, from `tokenizer.json` (Ankh) or `spiece.model`. Refused: one that lacks a residue, X,
    `</s>` or the card's prefix, or has more tokens than the embedding has rows.
    """
    path, vocabulary = read_vocabulary(folder)
    mark = next((mark for mark in ("", _WORD) if mark + "A" in vocabulary), "")
    needed = [mark + letter for letter in AMINO_ACIDS + "X"] + ["</s>"] + ([card.prefix] if card.prefix else [])
    missing = [token for token in needed if token not in vocabulary]
    if missing:
        raise InputError(f"{path}: the vocabulary lacks {some(missing)}; expected the tokenizer of {card.name}")
    highest = max(vocabulary[token] for token in needed)
    if highest >= vocab_size:
        raise InputError(f"{path}: token {highest}, but the embedding has {vocab_size} rows; of another model?")
    of_letter = np.full(128, -1, dtype=np.int64)
    for letter in AMINO_ACIDS + UNKNOWN:
        known = letter not in card.read_as_x and vocabulary.get(mark + letter, vocab_size) < vocab_size
        of_letter[ord(letter)] = vocabulary[mark + (letter if known else "X")]
    prefix = np.array([vocabulary[card.prefix]] if card.prefix else [], dtype=np.int64)
    return Tokens(of_letter, prefix, np.array([vocabulary["</s>"]]))


def _read_encoder(folder: Path, config, *, device: str = "cpu", dtype: str = "float32") -> Encoder:
    """Read the encoder's weights, each checked (a decoder is let be); layer norms and position bias stay float32."""
    state = read_state(folder, _expected_shapes(config))

    def weight(*keys, dtype=DTYPES[dtype]):
        return torch.cat([state.pop(key) for key in keys]).to(device=device, dtype=dtype)

    exact = partial(weight, dtype=torch.float32)
    gated = config.feed_forward_proj.startswith("gated")
    bias = exact("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    blocks = []
    for number in range(config.num_layers):
        here, there = (f"encoder.block.{number}.layer.{half}" for half in (0, 1))
        blocks.append(
            Block(
                attention_norm=exact(f"{here}.layer_norm.weight"),
                qkv=weight(*(f"{here}.SelfAttention.{part}.weight" for part in "qkv")),
                out=weight(f"{here}.SelfAttention.o.weight"),
                feed_norm=exact(f"{there}.layer_norm.weight"),
                feed_in=weight(
                    *(f"{there}.DenseReluDense.{part}.weight" for part in (("wi_0", "wi_1") if gated else ("wi",)))
                ),
                feed_out=weight(f"{there}.DenseReluDense.wo.weight"),
            )
        )
    return Encoder(
        embedding=weight(SHARED[0]),
        blocks=tuple(blocks),
        final_norm=exact("encoder.final_layer_norm.weight"),
        bias=bias,
        max_distance=config.relative_attention_max_distance,
        epsilon=config.layer_norm_epsilon,
        feed_forward=config.feed_forward_proj,
    )


def read_vocabulary(folder: Path) -> tuple[Path, dict[str, int]]:
    """The file of the vocabulary and its tokens (token: id), those that were added later included."""
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            content = files.read_json(path)
            pieces, added = content["model"]["vocab"], content.get("added_tokens", [])
            # Unigram: [piece, score] in the order of the ids; other models: {piece: id}
            found = dict(pieces) if isinstance(pieces, dict) else {each[0]: n for n, each in enumerate(pieces)}
            found |= {token["content"]: token["id"] for token in added}
        else:
            path = folder / "spiece.model"
            found = _read_sentencepiece(path)
            more = folder / "tokenizer_config.json"
            if more.is_file():
                added = files.read_json(more).get("added_tokens_decoder", {})
                found |= {token["content"]: int(number) for number, token in added.items()}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: no vocabulary of a tokenizer ({type(error).__name__}: {error})") from None
    return path, found


def _read_sentencepiece(path: Path) -> dict[str, int]:
    from sentencepiece import SentencePieceProcessor

    if not path.is_file():
        raise InputError(f"{path.parent}: no tokenizer.json and no spiece.model; expected the tokenizer's files")
    files.refuse_pointer(path)
    try:
        processor = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError):
        raise InputError(f"{path}: cannot be read as a SentencePiece model; truncated?") from None
    return {processor.id_to_piece(n): n for n in range(processor.get_piece_size())}


def _expected_shapes(config) -> dict[str, torch.Size]:
    from transformers import T5EncoderModel

    with torch.device("meta"):  # names and sizes; no memory, no random weights
        return {key: value.shape for key, value in T5EncoderModel(config).state_dict().items()}


def read_state(
    folder: Path, expected: dict[str, torch.Size], *, tied: Sequence[str] = SHARED, ignored: tuple[str, ...] = _IGNORED
) -> dict[str, torch.Tensor]:
    """A folder's tensors by name: all of `expected` and no other, its shapes, finite. `tied`: names of one tensor, of
    which a file has at least one; names that begin with one of `ignored` are let be.
    """
    found = files.hub_weights(folder)
    if not found:
        raise InputError(
            f"{folder}: no weights; expected model.safetensors or pytorch_model.bin, or an index of shards"
        )
    state, unexpected = {}, []
    for file in found:
        for key, value in _read_weights(file, ignored).items():
            if key in expected:
                files.check_tensor(file, key, value, expected[key])
                state[key] = value
            elif not key.startswith(ignored):
                unexpected.append(key)
    there = [key for key in tied if key in state]
    for key in there[1:]:
        if not torch.equal(state[key], state[there[0]]):
            raise InputError(f"{folder}: {there[0]} is not {key}, to which T5 ties it")
    state |= {key: state[there[0]] for key in tied if there}
    files.check_names(folder, [key for key in expected if key not in state], unexpected)
    return state


def _read_weights(file: Path, ignored: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """The tensors of one file, mapped into memory; of what is left alone as little as possible."""
    if not file.is_file():
        raise InputError(f"{file}: absent, but the index beside it names it; fetch it again")
    files.refuse_pointer(file)
    if file.suffix == ".safetensors":
        return files.read_safetensors(file, ignored)
    content = files.read_pickle(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected tensors by name, found a {type(content).__name__}")
    return content
