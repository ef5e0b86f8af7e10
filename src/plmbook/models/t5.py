"""Ankh, Ankh2, Ankh3 and ProtT5: encoders of T5 (Raffel et al. 2020), in the files that their authors put on the hub.

transformers says what the weights are called and how large they are; reading them is our own, stricter code: the
configuration must be the card's, and a key that is missing, left over, misshapen or not finite is an error.  So are
the tokens: one for each residue and `</s>` at the end, looked up in the model's own vocabulary.  Tokenizers of
natural language, which these models borrowed, put an unknown token before the first residue in some versions of
transformers and none in others.

The forward pass lays sequences end to end, without padding, and computes only the layers that are asked for.
Shapes: N tokens in all, B sequences of n tokens, d the model's width, H heads, c the width of a head.  The tests hold
it against transformers' own forward.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError
from plmbook.core.paths import file_sha256
from plmbook.core.residues import AMINO_ACIDS, UNKNOWN, first_fault
from plmbook.models import Output, packed
from plmbook.models.cards import RUNNABLE, Card, hub_weights, weights_path
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.files import check_tensor, read_pickle, some

ACTIVATIONS = {"relu": F.relu, "gated-gelu": partial(F.gelu, approximate="tanh"), "gated-silu": F.silu}
WORD = "\u2581"  # SentencePiece's mark of the beginning of a word: ProtT5 reads each residue as a word
SHARED = ("shared.weight", "encoder.embed_tokens.weight")  # two names of the input embedding
IGNORED = ("decoder.", "lm_head.")  # a whole T5 has these; the encoder does not need them
PREFIXES = ("[NLU]", "[S2S]")  # the two tasks of Ankh3: to read a sequence, and to go on with one
LFS_POINTER = b"version https://git-lfs"

# what a model computes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """The weights of one layer; what reads the same input is one matrix.

    Attributes
    ----------
    attention_norm, feed_norm : float32 tensor (d,)
    qkv : tensor (3 H c, d)
        Query, key and value.
    out : tensor (d, H c)
    feed_in : tensor (m, d), or (2 m, d) where the feed-forward is gated: the gate first
    feed_out : tensor (d, m)
    """

    attention_norm: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    feed_norm: torch.Tensor
    feed_in: torch.Tensor
    feed_out: torch.Tensor


@dataclass(frozen=True)
class Encoder:
    """The weights of an encoder, and what its configuration says of them.

    Attributes
    ----------
    embedding : tensor (vocabulary, d)
    blocks : tuple of Block
    final_norm : float32 tensor (d,)
    bias : float32 tensor (buckets, H)
        What a head adds to a score for each bucket of distances; the first layer holds it, all layers use it.
    max_distance : int
        From this distance on, all lie in one bucket.
    epsilon : float
        Of the layer norms.
    feed_forward : str
        A key of `ACTIVATIONS`.
    """

    embedding: torch.Tensor
    blocks: tuple[Block, ...]
    final_norm: torch.Tensor
    bias: torch.Tensor
    max_distance: int
    epsilon: float
    feed_forward: str

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.bias.shape[1]


def hidden_states(
    encoder: Encoder, tokens: torch.Tensor, lengths: Sequence[int], layers: Iterable[int]
) -> dict[int, torch.Tensor]:
    """Hidden states of chosen layers.

    Parameters
    ----------
    encoder : Encoder
    tokens : int64 tensor (N,)
        Token ids of all sequences, end to end.
    lengths : sequence of int
        Tokens of each sequence; they sum to N.
    layers : iterable of int
        0 is the input embedding, the number of layers the last after the final layer norm: the `hidden_states` of
        transformers have the same numbers.

    Returns
    -------
    dict of int -> float32 tensor (N, d)

    Notes
    -----
    What the layers add up (the residual stream) is float32 whatever the dtype of the weights: in these models a few
    of its channels grow so large that float16 overflows, and bfloat16 would round away what later layers add.
    """
    wanted = set(layers)
    x = F.embedding(tokens, encoder.embedding).float()  # (N, d)
    found = {0: x} if 0 in wanted else {}
    depth = max(wanted)
    biases = {length: position_bias(encoder, length) for length in set(lengths)} if depth else {}
    for number, block in enumerate(encoder.blocks[:depth], start=1):
        x = x + attention(encoder, block, x, lengths, biases)
        x = x + feed_forward(encoder, block, x)
        if number in wanted:
            found[number] = norm(encoder, x, encoder.final_norm) if number == len(encoder.blocks) else x
    return found


def attention(encoder, block, x, lengths, biases):
    """What one layer's self-attention adds to x (N, d): scores are not divided by the root of c, T5 is trained so."""
    projected = project(encoder, block, x)  # (N, 3, H, c)
    mixed, start = [], 0
    for length, run in itertools.groupby(lengths):  # neighbours of one length go through together
        count = len(list(run))
        rows = slice(start, start + count * length)
        start = rows.stop
        heads = projected[rows].unflatten(0, (count, length)).permute(2, 0, 3, 1, 4)  # (3, B, H, n, c)
        found = F.scaled_dot_product_attention(*heads, attn_mask=biases[length], scale=1.0)
        mixed.append(found.transpose(1, 2).reshape(count * length, -1))
    return F.linear(torch.cat(mixed), block.out)


def project(encoder, block, x):
    """Queries, keys and values of x (N, d) after its layer norm: (N, 3, H, c)."""
    normed = norm(encoder, x, block.attention_norm).to(block.qkv.dtype)
    return F.linear(normed, block.qkv).view(len(x), 3, encoder.heads, -1)


def feed_forward(encoder, block, x):
    """What one layer's feed-forward adds to x (N, d)."""
    activation = ACTIVATIONS[encoder.feed_forward]
    inner = F.linear(norm(encoder, x, block.feed_norm).to(block.feed_in.dtype), block.feed_in)
    if encoder.feed_forward.startswith("gated"):
        gate, inner = inner.chunk(2, dim=-1)
        inner = activation(gate) * inner
    else:
        inner = activation(inner)
    return F.linear(inner, block.feed_out)


def norm(encoder, x, weight):
    """T5's layer norm, by the root mean square, in float32: no mean is taken off and nothing is added."""
    return F.rms_norm(x, weight.shape, weight, encoder.epsilon)


def position_bias(encoder: Encoder, length: int) -> torch.Tensor:
    """What each head adds to the score of each pair of tokens.

    Parameters
    ----------
    encoder : Encoder
    length : int
        Tokens of the sequence, n.

    Returns
    -------
    tensor (1, H, n, n)
        `[0, h, i, j]` for query i and key j: float32 on a CPU, the weights' dtype elsewhere, as the kernels want it.
        The largest thing in memory for a long protein.
    """
    offsets = torch.arange(1 - length, length)  # key minus query
    buckets = position_buckets(offsets, len(encoder.bias), encoder.max_distance)
    table = encoder.bias[buckets.to(encoder.bias.device)].T  # (H, 2n - 1)
    # Query i sees the offsets -i to n - 1 - i: window number n - 1 - i of the table.
    bias = table.unfold(1, length, 1).flip(1)[None].contiguous()
    return bias if bias.device.type == "cpu" else bias.to(encoder.embedding.dtype)


def position_buckets(offsets: torch.Tensor, n_buckets: int, max_distance: int) -> torch.Tensor:
    """T5's buckets of relative positions: half of them for keys to the right; near ones exact, far ones logarithmic.

    Parameters
    ----------
    offsets : int64 tensor
        Key minus query.
    n_buckets, max_distance : int

    Returns
    -------
    int64 tensor of the same shape

    Examples
    --------
    >>> position_buckets(torch.tensor([-200, -9, -1, 0, 1, 9, 200]), 32, 128).tolist()
    [15, 8, 1, 0, 17, 24, 31]
    """
    half = n_buckets // 2
    n_exact = half // 2
    distance = offsets.abs()
    # Distance 0 has no logarithm and is exact anyway; the arithmetic is float32, as in transformers.
    scaled = torch.log(distance.clamp(min=1).float() / n_exact) / math.log(max_distance / n_exact)
    far = (n_exact + (scaled * (half - n_exact)).long()).clamp(max=half - 1)
    return torch.where(distance < n_exact, distance, far) + half * (offsets > 0)


# the model ------------------------------------------------------------------------------------------------------------


class T5Model:
    """A loaded encoder.

    Memory sets the only limit on a sequence: attention keeps one number for each head and pair of tokens (4 bytes; at
    5,000 residues and 32 heads 3.2 GB) beside the weights.

    Attributes
    ----------
    name : str
    card : Card
    max_length : None
        Positions are relative, no protein is too long.
    has_bos : bool
        False: there is no BOS token.  The prefix of Ankh3 says what to do and does not stand for the sequence.
    device, dtype : str
    path : Path
        The folder of the files.
    encoder : Encoder
    """

    has_bos = False

    def __init__(
        self, encoder: Encoder, tokens: "Tokens", card: Card, *, path: Path, device: str = "cpu", dtype: str = "float32"
    ):
        self.encoder = encoder
        self.card = card
        self.name = card.name
        self.max_length = card.max_length
        self.path = Path(path)
        self.device = device
        self.dtype = dtype
        self._tokens = tokens

    @cached_property
    def weights_hash(self) -> str:
        """As `hash_weights`."""
        return hash_weights(self.path)

    def tokenize(self, sequence: str) -> np.ndarray:
        """Token ids of one sequence.

        Parameters
        ----------
        sequence : str
            Residues in upper case.  Letters that the vocabulary lacks (J), and those that the model's authors replace
            (U, Z, O and B for ProtT5), are read as X.

        Returns
        -------
        int64 array (L + 1,), or (L + 2,) for Ankh3
            `</s>` is last; Ankh3's prefix is first.

        Raises
        ------
        InputError
            If the sequence is empty or holds anything else; there is no token for a masked residue.
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
    ) -> list[Output]:
        """One forward pass over a batch, without padding: a sequence's answer does not depend on its neighbours.

        Parameters
        ----------
        sequences : sequence of str
        layers : sequence of int
            Hidden states wanted: 0 is the input embedding, `card.layers` (or -1) the last, after its layer norm.
        rows : sequence of int arrays, optional
            Of no use here; models with probabilities have it.
        logits : bool
            Must be False: an encoder gives no probabilities.
        pool : {"mean", "max"} or both, optional
            One vector of each layer and sequence, pooled in float32 where the model runs, instead of all residues;
            those of several pools stand one after another in it.

        Returns
        -------
        list of Output
            In the order of `sequences`; `hidden` (or `pooled`) has the keys of `layers`.

        Raises
        ------
        InputError
            If log-probabilities or the BOS token are asked for, a sequence holds no residue, or a layer does not exist.
        """
        if logits:
            raise InputError(
                f"model {self.name!r}: the encoder of a T5 has hidden states and no probabilities of residues; "
                f"expected a model of the families {', '.join(family for family in RUNNABLE if family != 't5')}"
            )
        pools = (pool,) if isinstance(pool, str) else pool
        if pools is not None and "bos" in pools:
            raise InputError(f"model {self.name!r}: a T5 has no BOS token; expected another pool")
        number_of = {layer: self.card.layer_number(layer) for layer in layers}
        outputs = [Output() for _ in sequences]
        if not outputs or not number_of:
            return outputs
        tokens = [self.tokenize(sequence) for sequence in sequences]
        lengths = [len(each) for each in tokens]
        row = torch.from_numpy(np.concatenate(tokens)).to(self.device)  # (N,)
        states = hidden_states(self.encoder, row, lengths, number_of.values())
        # Each sequence has three parts: the prefix, where there is one, the residues, and the end.
        parts = [(len(self._tokens.prefix), len(text), 1) for text in sequences]
        for layer, number in number_of.items():
            if pools is not None:
                found = [packed.pool(states[number], parts, each) for each in pools]
                vectors = torch.cat(found, dim=1).cpu().numpy()  # (B, d), d of each pool
                for output, vector in zip(outputs, vectors, strict=True):
                    output.pooled[layer] = vector
                continue
            residues = states[number].cpu().split(list(itertools.chain.from_iterable(parts)))[1::3]
            for output, each in zip(outputs, residues, strict=True):
                output.hidden[layer] = each.numpy().copy()
        return outputs

    @torch.inference_mode()
    def attentions(self, sequence: str) -> np.ndarray:
        """Attention maps of one sequence.

        Returns
        -------
        float32 array (layers, heads, L, L)
            `[l, h, i, j]`: how much residue i attends to residue j.  `</s>` and the prefix are cut off: rows sum to
            less than 1.
        """
        encoder, tokens = self.encoder, self.tokenize(sequence)
        lengths, bias = [len(tokens)], position_bias(encoder, len(tokens))
        x = F.embedding(torch.from_numpy(tokens).to(self.device), encoder.embedding).float()
        maps = []
        for block in encoder.blocks:
            query, key, _ = project(encoder, block, x).float().permute(1, 2, 0, 3)  # each (H, n, c)
            maps.append((query @ key.mT + bias[0]).softmax(dim=-1))
            x = x + attention(encoder, block, x, lengths, {len(tokens): bias})
            x = x + feed_forward(encoder, block, x)
        first = len(self._tokens.prefix)
        return torch.stack(maps)[:, :, first:-1, first:-1].cpu().numpy()


# reading files --------------------------------------------------------------------------------------------------------


def load_t5(
    card: Card,
    *,
    device: str = "auto",
    dtype: str = "auto",
    path: str | Path | None = None,
    prefix: str | None = None,
) -> T5Model:
    """Load the encoder of a T5 card; see `plmbook.models.load`, which is how one calls it.

    Parameters
    ----------
    card : Card
        Of the family `t5`.
    device, dtype, path, prefix
        As for `load`.

    Returns
    -------
    T5Model

    Raises
    ------
    InputError
        As `load`.
    """
    card = with_prefix(card, prefix)
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    folder = find_folder(card, path)
    config = read_config(folder, card)
    tokens = read_tokens(folder, card, config.vocab_size)
    encoder = read_encoder(folder, config, device=device, dtype=dtype)
    return T5Model(encoder, tokens, card, path=folder, device=device, dtype=dtype)


def with_prefix(card: Card, prefix: str | None) -> Card:
    """The card with another first token, which its name then says too: what a model says depends on it.

    Parameters
    ----------
    card : Card
    prefix : str or None
        One of `PREFIXES`; None: the card as it is.

    Returns
    -------
    Card

    Raises
    ------
    InputError
        If there is no such prefix, or the card's model has none.

    Examples
    --------
    >>> from plmbook.models import card
    >>> with_prefix(card("ankh3_large"), "[S2S]").name
    'ankh3_large_S2S'
    >>> with_prefix(card("ankh_large"), "[S2S]")
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: model 'ankh_large': prefix '[S2S]', but it knows none; only Ankh3 does
    """
    if prefix is None or prefix == card.prefix:
        return card
    if not card.prefix:
        raise InputError(f"model {card.name!r}: prefix {prefix!r}, but it knows none; only Ankh3 does")
    if prefix not in PREFIXES:
        raise InputError(f"model {card.name!r}: prefix {prefix!r}, expected one of {', '.join(PREFIXES)}")
    return replace(card, name=f"{card.name}_{prefix.strip('[]')}", prefix=prefix)


def hash_weights(folder: Path) -> str:
    """sha256 (hex) of the weights' file, as `sha256sum` prints it; of shards, of the lines that it prints."""
    files = hub_weights(folder)
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file_sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def find_folder(card: Card, path: str | Path | None = None) -> Path:
    """The folder of a card's files: the given one, else what lies here, else a download into the hub's cache.

    Parameters
    ----------
    card : Card
    path : path, optional
        A folder.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is none and it cannot be fetched; the message says what to fetch and where to put it.
    """
    if path is None:
        return weights_path(card) or _download(card)
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"model {card.name!r}: no folder {str(path)!r}")
    return folder


def read_config(folder: Path, card: Card):
    """Read `config.json`, and compare it with the card.

    Parameters
    ----------
    folder : Path
    card : Card
        Layers, dim and heads are compared.

    Returns
    -------
    transformers.T5Config

    Raises
    ------
    InputError
        If it is absent, is no configuration of a T5, or is of another architecture than the card says.
    """
    from transformers import T5Config

    path = folder / "config.json"
    facts = _read_json(path)
    if facts.get("model_type") != "t5":
        raise InputError(f"{path}: model_type {facts.get('model_type')!r}, expected 't5' ({card.name})")
    try:
        config = T5Config.from_dict(facts)
    except Exception as error:  # the classes of huggingface_hub's strict dataclasses have no other base
        raise InputError(f"{path}: no configuration of a T5 ({' '.join(str(error).split())})") from None
    for ours, theirs in (("layers", "num_layers"), ("dim", "d_model"), ("heads", "num_heads")):
        if getattr(config, theirs) != getattr(card, ours):
            raise InputError(
                f"{path}: {getattr(config, theirs)} {ours}, expected {getattr(card, ours)} for {card.name}; "
                "of another model?"
            )
    if config.feed_forward_proj not in ACTIVATIONS:
        raise InputError(
            f"{path}: feed_forward_proj {config.feed_forward_proj!r}, expected one of {', '.join(ACTIVATIONS)}"
        )
    return config


@dataclass(frozen=True)
class Tokens:
    """Token ids of a model.

    Attributes
    ----------
    of_letter : int64 array (128,)
        By ASCII code; -1 where a character is no residue.
    prefix : int64 array (0,) or (1,)
        What comes before the residues.
    end : int
        `</s>`.
    """

    of_letter: np.ndarray
    prefix: np.ndarray
    end: int

    def read(self, sequence: str) -> np.ndarray:
        """Token ids of one sequence, as `T5Model.tokenize` says."""
        if not sequence:
            raise InputError("an empty sequence; expected at least one residue")
        codes = np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)
        residues = self.of_letter[np.minimum(codes, 127)]
        if residues.min() < 0:
            offset, why = first_fault(sequence)
            raise InputError(why.format(place=f"position {offset + 1}"))
        return np.concatenate([self.prefix, residues, [self.end]])


def read_tokens(folder: Path, card: Card, vocab_size: int) -> Tokens:
    """Look the residues up in the vocabulary of the tokenizer that lies beside the weights.

    Parameters
    ----------
    folder : Path
        With `tokenizer.json` (Ankh) or `spiece.model` (ProtT5, Ankh3).
    card : Card
    vocab_size : int
        Rows of the embedding.

    Returns
    -------
    Tokens

    Raises
    ------
    InputError
        If there is no tokenizer, or it lacks a residue, X, `</s>` or the card's prefix, or has more tokens than the
        embedding has rows.
    """
    path, vocabulary = read_vocabulary(folder)
    mark = next((mark for mark in ("", WORD) if mark + "A" in vocabulary), "")
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
    return Tokens(of_letter, prefix, vocabulary["</s>"])


def read_encoder(folder: Path, config, *, device: str = "cpu", dtype: str = "float32") -> Encoder:
    """Read the encoder's weights, each checked before it is used.

    Parameters
    ----------
    folder : Path
    config : transformers.T5Config
    device, dtype : str
        Where the weights go and what they become; layer norms and the position bias stay float32.

    Returns
    -------
    Encoder

    Raises
    ------
    InputError
        If a file is absent, a pointer of Git LFS, unreadable or of another architecture, lacks weights of the encoder,
        holds further ones (but for a decoder's, which are left alone), or holds numbers that are not finite.
    """
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


def _download(card: Card) -> Path:
    from huggingface_hub import snapshot_download

    def fetch(*patterns):
        return Path(snapshot_download(card.source, revision=card.revision or None, allow_patterns=patterns))

    try:
        folder = fetch("*.json", "spiece.model", "model*.safetensors")
        if not all(file.is_file() for file in hub_weights(folder) or [folder / "none"]):
            folder = fetch("pytorch_model*.bin")
    except Exception as error:  # what the network and the hub raise has no common base
        at = f" (revision {card.revision})" if card.revision else ""
        raise InputError(
            f"model {card.name!r}: its files are not here and could not be fetched ({type(error).__name__}); "
            f"fetch {card.source}{at} from the Hugging Face hub, and name in PLMBOOK_MIRROR the folder that holds it "
            f"as {card.source.split('/')[-1]}, or give its path"
        ) from None
    return folder


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"{path.parent}: no {path.name}; expected the files of a model of the Hugging Face hub")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(found).__name__}")
    return found


def read_vocabulary(folder: Path) -> tuple[Path, dict[str, int]]:
    """The file of the vocabulary and its tokens (token: id), those that were added later included.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            content = _read_json(path)
            pieces, added = content["model"]["vocab"], content.get("added_tokens", [])
            # Unigram: [piece, score] in the order of the ids; other models: {piece: id}
            found = dict(pieces) if isinstance(pieces, dict) else {each[0]: n for n, each in enumerate(pieces)}
            found |= {token["content"]: token["id"] for token in added}
        else:
            path = folder / "spiece.model"
            found = _read_sentencepiece(path)
            more = folder / "tokenizer_config.json"
            if more.is_file():
                added = _read_json(more).get("added_tokens_decoder", {})
                found |= {token["content"]: int(number) for number, token in added.items()}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: no vocabulary of a tokenizer ({type(error).__name__}: {error})") from None
    return path, found


def _read_sentencepiece(path: Path) -> dict[str, int]:
    from sentencepiece import SentencePieceProcessor

    if not path.is_file():
        raise InputError(f"{path.parent}: no tokenizer.json and no spiece.model; expected the tokenizer's files")
    _refuse_pointer(path)
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
    folder: Path, expected: dict[str, torch.Size], *, tied: Sequence[str] = SHARED, ignored: tuple[str, ...] = IGNORED
) -> dict[str, torch.Tensor]:
    """The tensors of a folder by name, all there, shaped as expected and finite.

    Parameters
    ----------
    folder : Path
    expected : dict of str -> torch.Size
    tied : sequence of str
        Names of one and the same tensor; a file holds at least one of them.
    ignored : tuple of str
        Beginnings of names that are left alone, whatever they hold.

    Returns
    -------
    dict of str -> tensor
        With the keys of `expected`.

    Raises
    ------
    InputError
        As `read_encoder`.
    """
    files = hub_weights(folder)
    if not files:
        raise InputError(
            f"{folder}: no weights; expected model.safetensors or pytorch_model.bin, or an index of shards"
        )
    state, unexpected = {}, []
    for file in files:
        for key, value in _read_weights(file, ignored).items():
            if key in expected:
                check_tensor(file, key, value, expected[key])
                state[key] = value
            elif not key.startswith(ignored):
                unexpected.append(key)
    there = [key for key in tied if key in state]
    for key in there[1:]:
        if not torch.equal(state[key], state[there[0]]):
            raise InputError(f"{folder}: {there[0]} is not {key}, to which T5 ties it")
    state |= {key: state[there[0]] for key in tied if there}
    missing = [key for key in expected if key not in state]
    faults = [f"{word} {some(keys)}" for word, keys in (("missing:", missing), ("unexpected:", unexpected)) if keys]
    if faults:
        raise InputError(f"{folder}: the weights do not fit the architecture; {'; '.join(faults)}")
    return state


def _read_weights(file: Path, ignored: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """The tensors of one file, mapped into memory; of what is left alone as little as possible."""
    if not file.is_file():
        raise InputError(f"{file}: absent, but the index beside it names it; fetch it again")
    _refuse_pointer(file)
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys() if not key.startswith(ignored)}
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: cannot be read as safetensors ({error}); truncated?") from None
    content = read_pickle(file)
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected tensors by name, found a {type(content).__name__}")
    return content


def _refuse_pointer(file: Path) -> None:
    with open(file, "rb") as opened:
        if opened.read(len(LFS_POINTER)) == LFS_POINTER:
            raise InputError(
                f"{file}: a pointer of Git LFS, not the file itself; fetch it (git lfs pull, or the hub's own download)"
            )
