"""Whole T5s, encoder and decoder: how likely Ankh finds a protein, and what it writes where residues are missing.

A *sentinel* (`<extra_id_0>`, `<extra_id_1>`, ...) stands in the encoder's input for what was taken out; the decoder
writes each sentinel and after it what belongs there.  The forward pass and the search are transformers'; reading the
files is the stricter code of `plmbook.models.t5`.

Shapes: B rows of n tokens for a protein of L residues, V tokens in the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models.cards import Card
from plmbook.models.cards import card as find_card
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.t5 import (
    SHARED,
    Tokens,
    find_folder,
    hash_weights,
    read_config,
    read_state,
    read_tokens,
    read_vocabulary,
    with_prefix,
)

SENTINEL = "<extra_id_{}>"
NO_RESIDUE = ("<", "[")  # how the tokens begin that are left out of a likelihood, as in Ankh's own code
TOKEN_BUDGET = 4096  # tokens of a batch: masked copies of one protein
COMPLETES = "[S2S]"  # the prefix with which Ankh3 learnt to go on with a sequence
LEFT_OVER = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.",)  # of old files; nothing uses it


@dataclass(frozen=True, eq=False)
class Seq2Seq:
    """A loaded T5 with its decoder.

    Attributes
    ----------
    name : str
    card : Card
    device, dtype : str
    path : Path
        The folder of the files.
    network : transformers.T5ForConditionalGeneration
    tokens : Tokens
    sentinels : tuple of int
        Token ids of `<extra_id_0>`, `<extra_id_1>`, ...
    excluded : int64 array
        Ids of the tokens that stand for no residue.
    start : int
        The token with which the decoder begins.
    """

    name: str
    card: Card
    device: str
    dtype: str
    path: Path
    network: object
    tokens: Tokens
    sentinels: tuple[int, ...]
    excluded: np.ndarray
    start: int

    @cached_property
    def weights_hash(self) -> str:
        """As `plmbook.models.t5.hash_weights`: that of the encoder alone, since the files are the same."""
        return hash_weights(self.path)

    @property
    def residues(self) -> list[int]:
        """Token ids of the 20 amino acids, in the order of `AMINO_ACIDS`."""
        return self.tokens.of_letter[[ord(letter) for letter in AMINO_ACIDS]].tolist()


@dataclass(frozen=True)
class Filled:
    """One protein that a model wrote into.

    Attributes
    ----------
    sequence : str
        The whole protein.
    fills : tuple of str
        What was written, one entry for each span in the order in which they were given.
    """

    sequence: str
    fills: tuple[str, ...]


# loading --------------------------------------------------------------------------------------------------------------


def load_seq2seq(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    path: str | Path | None = None,
    prefix: str | None = None,
) -> Seq2Seq:
    """Load a T5 with its decoder: Ankh, Ankh2 or Ankh3.

    Parameters
    ----------
    name : str
        A card's name or alias.
    device, dtype, path, prefix
        As for `plmbook.models.load`.

    Returns
    -------
    Seq2Seq

    Raises
    ------
    InputError
        If the model is no T5 or its repository holds an encoder alone (ProtT5), the vocabulary has no sentinel, or a
        weight is missing, left over, misshapen or not finite; and as `plmbook.models.load`.

    Examples
    --------
    >>> load_seq2seq("prott5_xl_u50")
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: model 'prott5_xl_u50': Rostlab/prot_t5_xl_half_uniref50-enc holds an encoder and no
    \
decoder; expected a model of Ankh
    """
    card = find_card(name)
    if card.family != "t5":
        raise InputError(f"model {card.name!r}: family {card.family!r} has no decoder; expected a model of Ankh")
    if card.source.endswith("-enc"):
        raise InputError(
            f"model {card.name!r}: {card.source} holds an encoder and no decoder; expected a model of Ankh"
        )
    card = with_prefix(card, prefix)
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    folder = find_folder(card, path)
    config = read_config(folder, card)
    tokens = read_tokens(folder, card, config.vocab_size)
    sentinels, excluded = read_sentinels(folder, config.vocab_size)
    return Seq2Seq(
        name=card.name,
        card=card,
        device=device,
        dtype=dtype,
        path=folder,
        network=read_network(folder, config).to(device=device, dtype=DTYPES[dtype]),
        tokens=tokens,
        sentinels=sentinels,
        excluded=excluded,
        start=_start(config),
    )


def read_sentinels(folder: Path, vocab_size: int) -> tuple[tuple[int, ...], np.ndarray]:
    """The sentinels of a vocabulary, and all of its tokens that stand for no residue.

    Parameters
    ----------
    folder : Path
    vocab_size : int
        Rows of the embedding.

    Returns
    -------
    (tuple of int, int64 array)
        The ids of `<extra_id_0>`, `<extra_id_1>`, ... as far as they go without a gap; and, sorted, those of every
        token that begins with `<` or `[`.

    Raises
    ------
    InputError
        If there is no `<extra_id_0>`.
    """
    path, vocabulary = read_vocabulary(folder)
    known = {token: number for token, number in vocabulary.items() if number < vocab_size}
    sentinels = []
    while SENTINEL.format(len(sentinels)) in known:
        sentinels.append(known[SENTINEL.format(len(sentinels))])
    if not sentinels:
        raise InputError(f"{path}: the vocabulary lacks {SENTINEL.format(0)}; expected that of a whole T5")
    excluded = sorted(number for token, number in known.items() if token.startswith(NO_RESIDUE))
    return tuple(sentinels), np.array(excluded, dtype=np.int64)


def read_network(folder: Path, config):
    """Read a whole T5, each weight checked before it is used.

    Parameters
    ----------
    folder : Path
    config : transformers.T5Config

    Returns
    -------
    transformers.T5ForConditionalGeneration
        On the CPU, in the numbers of the file, for inference only.

    Raises
    ------
    InputError
        As `plmbook.models.t5.read_encoder`, for the decoder too.

    Notes
    -----
    `tie_word_embeddings: false` in the configuration (all of Ankh) means that the head is a matrix of its own, and
    must be in the file; where it is absent or true, the head is the input embedding, and the decoder's output is
    divided by the root of the width.
    """
    from transformers import T5ForConditionalGeneration

    with torch.device("meta"):  # names and sizes; no memory, no random weights
        network = T5ForConditionalGeneration(config)
    expected = {key: value.shape for key, value in network.state_dict().items()}
    tied = (*SHARED, "decoder.embed_tokens.weight", *(("lm_head.weight",) if config.scale_decoder_outputs else ()))
    network.load_state_dict(read_state(folder, expected, tied=tied, ignored=LEFT_OVER), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _start(config) -> int:
    start = getattr(config, "decoder_start_token_id", None)
    return config.pad_token_id if start is None else start


# how likely a protein is ----------------------------------------------------------------------------------------------


@torch.inference_mode()
def pseudo_log_likelihood(model: Seq2Seq, sequence: str, *, token_budget: int = TOKEN_BUDGET) -> np.ndarray:
    """How likely a model finds each residue of a protein, when a sentinel stands in its place.

    Parameters
    ----------
    model : Seq2Seq
    sequence : str
        L residues.
    token_budget : int
        Tokens of a batch; at least one row runs.

    Returns
    -------
    float32 array (L,)
        Natural-log probability of each residue, over the vocabulary without the tokens that begin with `<` or `[`.
        A letter that is read as X has that of X.

    Raises
    ------
    InputError
        If the sequence is empty or holds what is no residue.

    Notes
    -----
    Ankh's way (`likelihood.py` of its repository): residue i is replaced by `<extra_id_0>`, the decoder reads its
    start token and `<extra_id_0>`, and the answer stands at its last position.  Ankh's own function returns one
    number, exp(mean of these), which is `1 / pseudo_perplexity`; for Ankh3 it puts `[NLU]` first and counts positions
    from 1, as is done here for every model with a prefix.

    Each residue costs a pass of the encoder over the whole protein, so time grows with L squared and more.
    """
    row = torch.from_numpy(model.tokens.read(sequence))  # (n,)
    first, count = len(model.tokens.prefix), len(sequence)
    rows = max(1, token_budget // len(row))
    found = []
    for positions in torch.arange(first, first + count).split(rows):
        masked = row.repeat(len(positions), 1)  # (B, n)
        masked[torch.arange(len(positions)), positions] = model.sentinels[0]
        found.append(_answers(model, masked).gather(1, row[positions, None]))
    return torch.cat(found)[:, 0].numpy()


def _answers(model: Seq2Seq, masked: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of what belongs at `<extra_id_0>` in rows of tokens (B, n): float32 (B, V) on the CPU."""
    written = torch.tensor([[model.start, model.sentinels[0]]]).expand(len(masked), -1)
    output = model.network(
        input_ids=masked.to(model.device), decoder_input_ids=written.to(model.device), use_cache=False
    )
    logits = output.logits[:, -1].float().cpu()
    logits[:, model.excluded] = -torch.inf
    return logits.log_softmax(dim=-1)


def pseudo_perplexity(model: Seq2Seq, sequence: str, *, token_budget: int = TOKEN_BUDGET) -> float:
    """Between how many residues a model hesitates where a sentinel hides one of them.

    Parameters
    ----------
    model, sequence, token_budget
        As in `pseudo_log_likelihood`.

    Returns
    -------
    float
        exp(-mean of the log-probabilities), 1 or more.  Ankh's own `compute_pseudo_likelihood` returns exp(mean), one
        divided by this.

    Raises
    ------
    InputError
        As `pseudo_log_likelihood`.
    """
    found = pseudo_log_likelihood(model, sequence, token_budget=token_budget)
    return float(np.exp(-found.mean(dtype=np.float64)))


# writing what is missing ----------------------------------------------------------------------------------------------


def generate_spans(
    model: Seq2Seq,
    sequence: str,
    spans: Sequence[tuple[int, int]],
    *,
    sentinel: str = "residue",
    longest: int | None = None,
    n: int = 1,
    seed: int | None = None,
    temperature: float = 1.0,
) -> list[Filled]:
    """Take spans out of a protein and let a model write them anew.

    Parameters
    ----------
    model : Seq2Seq
        Ankh3 learnt this with its prefix `[NLU]`, which is the card's.
    sequence : str
    spans : sequence of (int, int)
        Start and end of each, 1-based, the end included; in any order.
    sentinel : {"residue", "span"}
        What a sentinel stands for.  "residue": each residue has its own, as in Ankh's training; a fill is as long as
        what was there.  "span": each span has one, as in T5's, and the model says how long its fill is.
    longest : int, optional
        For "span": the most residues of a fill.  Default: twice as many as the longest span.
    n : int
        Sequences wanted; more than one needs a seed.
    seed : int, optional
        Draw the residues, reproducibly.  Default: the most likely one at each step (greedy).
    temperature : float
        Of the drawing; below 1 the likely residues become likelier.

    Returns
    -------
    list of Filled
        `n` of them, perhaps alike.

    Raises
    ------
    InputError
        If a span lies outside the protein, spans overlap or are more than the sentinels of the vocabulary, there is
        none, the sequence holds what is no residue, or an option does not fit.

    Notes
    -----
    The decoder may write only what can be read back: the sentinels in their order, after each at least one of the 20
    amino acids, and the end.  Residues outside the spans stay as they are.
    """
    model.tokens.read(sequence)  # a faulty sequence is named before its spans
    _check_spans(spans, len(sequence))
    if sentinel not in ("residue", "span"):
        raise InputError(f"sentinel {sentinel!r}: expected 'residue' or 'span'")
    if longest is not None and (sentinel == "residue" or longest < 1):
        raise InputError(f"longest {longest}: expected 1 or more, and sentinel='span'")
    holes = _holes(spans, sentinel)
    if len(holes) > len(model.sentinels):
        raise InputError(
            f"{len(holes)} sentinels are needed, one for each {sentinel}, but the vocabulary of {model.name!r} has "
            f"{len(model.sentinels)}; take out less at a time"
        )
    most = 1 if sentinel == "residue" else longest or 2 * max(stop - start for start, stop in holes)
    openings = model.sentinels[: len(holes)]
    outputs = _write(model, _masked(model, sequence, holes), openings, 1, most, n=n, seed=seed, temperature=temperature)
    return [_filled(sequence, spans, holes, parse_fills(model, output, openings)) for output in outputs]


def complete(
    model: Seq2Seq,
    sequence: str,
    n_residues: int,
    *,
    n: int = 1,
    seed: int | None = None,
    temperature: float = 1.0,
) -> list[Filled]:
    """Let Ankh3 go on with a protein: it learnt to write the rest of one of which it reads the beginning.

    Parameters
    ----------
    model : Seq2Seq
        Loaded with `prefix="[S2S]"`.
    sequence : str
        The beginning.
    n_residues : int
        How many to write.
    n, seed, temperature
        As in `generate_spans`.

    Returns
    -------
    list of Filled
        `n` of them; the one fill is what follows `sequence`.

    Raises
    ------
    InputError
        If the model has another prefix or none, no residue is asked for, the sequence holds what is no residue, or an
        option does not fit.
    """
    if model.card.prefix != COMPLETES:
        raise InputError(
            f"model {model.name!r}: prefix {model.card.prefix!r}; expected a model of Ankh3, loaded with "
            f"prefix={COMPLETES!r}"
        )
    if n_residues < 1:
        raise InputError(f"n_residues {n_residues}: expected 1 or more")
    row, openings = model.tokens.read(sequence), (model.start,)
    outputs = _write(model, row, openings, n_residues, n_residues, n=n, seed=seed, temperature=temperature)
    fills = [parse_fills(model, output, openings) for output in outputs]
    return [Filled(sequence + fill, (fill,)) for (fill,) in fills]


def parse_fills(model: Seq2Seq, tokens: Sequence[int], openings: Sequence[int]) -> tuple[str, ...]:
    """Read back what a decoder wrote.

    Parameters
    ----------
    model : Seq2Seq
    tokens : sequence of int
        Token ids from the decoder's start token on; what follows `</s>` does not matter.
    openings : sequence of int
        The tokens that open the fills, all of which must be there, in this order: sentinels.

    Returns
    -------
    tuple of str
        The residues after each of `openings`.

    Raises
    ------
    InputError
        If anything else is there, or an opening is missing; the message names the place.
    """
    letter_of = dict(zip(model.residues, AMINO_ACIDS, strict=True))
    fills: list[str] = []
    for place, token in enumerate(tokens):
        if token == model.tokens.end:
            break
        if len(fills) < len(openings) and token == openings[len(fills)]:
            fills.append("")
        elif fills and token in letter_of:
            fills[-1] += letter_of[token]
        elif place or token != model.start:
            raise InputError(f"token {token} at place {place} of the decoder's output: no residue, and not its turn")
    if len(fills) < len(openings):
        raise InputError(f"{len(fills)} fills in the decoder's output, expected {len(openings)}")
    return tuple(fills)


def _check_spans(spans: Sequence[tuple[int, int]], length: int) -> None:
    if not spans:
        raise InputError("no span to write; expected pairs of a start and an end")
    for start, end in spans:
        if not 1 <= start <= end <= length:
            raise InputError(
                f"span {start} to {end}: expected positions from 1 to {length}, the start not after the end"
            )
    ordered = sorted(spans)
    for (start, end), (after, last) in zip(ordered, ordered[1:], strict=False):
        if after <= end:
            raise InputError(f"span {start} to {end} overlaps {after} to {last}; join them")


def _holes(spans: Sequence[tuple[int, int]], sentinel: str) -> list[tuple[int, int]]:
    """What each sentinel stands for, from left to right: 0-based start and stop."""
    ordered = sorted((start - 1, end) for start, end in spans)
    if sentinel == "span":
        return ordered
    return [(position, position + 1) for start, stop in ordered for position in range(start, stop)]


def _masked(model: Seq2Seq, sequence: str, holes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Tokens of a sequence (int64) with a sentinel in each hole."""
    row, first = model.tokens.read(sequence).tolist(), len(model.tokens.prefix)
    for (start, stop), token in reversed(list(zip(holes, model.sentinels, strict=False))):
        row[first + start : first + stop] = [token]  # from the right: what is to the left keeps its place
    return np.array(row)


def _filled(sequence, spans, holes, fills) -> Filled:
    """The protein with its holes filled, and what each span became."""
    pieces, done = [], 0
    for (start, stop), fill in zip(holes, fills, strict=True):
        pieces += [sequence[done:start], fill]
        done = stop
    inside = [
        "".join(fill for (at, _), fill in zip(holes, fills, strict=True) if start - 1 <= at < end)
        for start, end in spans
    ]
    return Filled("".join([*pieces, sequence[done:]]), tuple(inside))


@torch.inference_mode()
def _write(model, row, openings, least, most, *, n, seed, temperature) -> list[list[int]]:
    """What the decoder writes, n times: after each of the openings `least` to `most` residues, then the end."""
    from transformers import GenerationConfig

    if n < 1 or (n > 1 and seed is None):
        raise InputError(f"n {n}: expected 1, or more and a seed")
    if temperature <= 0:
        raise InputError(f"temperature {temperature}: expected more than 0; without a seed the likeliest is taken")
    drawing = {} if seed is None else {"temperature": temperature, "top_k": 0, "top_p": 1.0, "num_return_sequences": n}
    config = GenerationConfig(
        do_sample=seed is not None,
        num_beams=1,
        max_new_tokens=len(openings) * (1 + most) + 1,
        decoder_start_token_id=model.start,
        pad_token_id=model.tokens.end,
        eos_token_id=model.tokens.end,
        **drawing,
    )
    allowed = partial(_allowed, openings, model.residues, model.tokens.end, least, most)
    devices = [model.device] if model.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):  # the caller's own random numbers go on as if nothing were drawn
        if seed is not None:
            torch.manual_seed(seed)
        tokens = torch.from_numpy(row)[None].to(model.device)
        written = model.network.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            generation_config=config,
            prefix_allowed_tokens_fn=lambda _, written: allowed(written.tolist()),
        )
    return written.tolist()


def _allowed(openings, residues, end, least, most, tokens) -> list[int]:
    """The tokens that may come next.

    Examples
    --------
    With the sentinels 9 and 8, the residues 3 and 4, and 1 or 2 residues a fill:

    >>> after = partial(_allowed, (9, 8), [3, 4], 1, 1, 2)
    >>> after([0]), after([0, 9]), after([0, 9, 3]), after([0, 9, 3, 4]), after([0, 9, 3, 8, 4, 4])
    ([9], [3, 4], [3, 4, 8], [8], [1])
    """
    if tokens[-1] == end:
        return [end]
    filled = 0
    while tokens[-1 - filled] in residues:
        filled += 1
    opening = tokens[-1 - filled]
    number = openings.index(opening) if opening in openings else -1  # -1: nothing is open yet
    following = [openings[number + 1]] if number + 1 < len(openings) else [end]
    if number < 0 or filled >= most:
        return following
    return residues if filled < least else residues + following
