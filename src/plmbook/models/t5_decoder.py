"""Whole T5s, encoder and decoder: how likely Ankh finds a residue, and what it writes where residues are missing.

A *sentinel* (`<extra_id_0>`, ...) stands in the encoder's input for what was taken out; the decoder writes it, and
after it what belongs there.  B rows of n tokens for a protein of L residues, V tokens in the vocabulary.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK
from plmbook.models import files
from plmbook.models.base import Model, Output
from plmbook.models.cards import Card
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.t5 import SHARED, read_config, read_state, read_tokens, read_vocabulary
from plmbook.models.tokens import Tokens

_SENTINEL = "<extra_id_{}>"
_NO_RESIDUE = ("<", "[")  # how the tokens begin that are left out of a likelihood, as in Ankh's own code
COMPLETES = "[S2S]"  # the prefix with which Ankh3 learnt to go on with a sequence
_LEFT_OVER = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.",)  # of old files; nothing uses it


class Seq2Seq(Model):
    """A loaded T5 with its decoder; `network` is a `transformers.T5ForConditionalGeneration`."""

    def __init__(
        self,
        network,
        tokens: Tokens,
        card: Card,
        *,
        sentinels: tuple[int, ...],  # token ids of <extra_id_0>, <extra_id_1>, ...
        excluded: np.ndarray,  # int64: ids of the tokens that stand for no residue
        start: int,  # the token with which the decoder begins
        path: Path,
        device: str = "cpu",
        dtype: str = "float32",
    ):
        super().__init__(card, path=path, device=device, dtype=dtype)
        self.network = network.to(device=device, dtype=DTYPES[dtype])
        self.tokens = tokens
        self.sentinels, self.excluded, self.start = sentinels, excluded, start
        self.residues = tokens.of_letter[[ord(letter) for letter in AMINO_ACIDS]].tolist()  # as AMINO_ACIDS
        self.capabilities -= {"attentions"}  # the encoder's

    def tokenize(self, sequence: str) -> np.ndarray:
        """int64 (before + L + 1,), with the first sentinel where `_` hides a residue."""
        row = self.tokens.read(sequence.replace(MASK, "X"))
        row[len(self.tokens.before) + np.flatnonzero([letter == MASK for letter in sequence])] = self.sentinels[0]
        return row

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
        """Log-probabilities (1, 20) at the one `_` of each sequence, as `likelihood.py` of Ankh: `<extra_id_0>` stands
        for it and is the decoder's second token; over the vocabulary without tokens that begin with `<` or `[`.
        """
        if layers or not logits:
            raise InputError(f"model {self.name!r}: loaded with its decoder; embeddings are those of the encoder alone")
        for number, sequence in enumerate(sequences):
            masked = [place for place, letter in enumerate(sequence) if letter == MASK]
            if len(masked) != 1 or (rows is not None and np.asarray(rows[number]).tolist() != masked):
                raise InputError(
                    f"model {self.name!r}: its decoder answers for one masked residue at a time, and there alone; "
                    "expected the strategy pseudo-likelihood"
                )
        outputs = []
        for _, run in itertools.groupby(map(self.tokenize, sequences), key=len):
            table = _answers(self, np.stack(list(run)))[:, self.residues].numpy()
            outputs += [Output(log_probabilities=row[None]) for row in table]
        return outputs


@dataclass(frozen=True)
class Filled:
    """One protein that a model wrote into."""

    sequence: str  # the whole protein
    fills: tuple[str, ...]  # what was written, one entry for each span in the order in which they were given
    # natural log, sum over the residues written: each given the input and what was written before it, by the model
    # itself (not heated or cooled), over the vocabulary of `Seq2Seq.run`
    log_likelihood: float


# loading --------------------------------------------------------------------------------------------------------------


def load_seq2seq(card: Card, *, device: str = "auto", dtype: str = "auto", path: str | Path | None = None) -> Seq2Seq:
    """Load a T5 with its decoder; `plmbook.models.load` with `decoder=True` is how one calls it."""
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    folder = files.find_folder(card, path)
    config = read_config(folder, card)
    tokens = read_tokens(folder, card, config.vocab_size)
    sentinels, excluded = _read_sentinels(folder, config.vocab_size)
    return Seq2Seq(
        _read_network(folder, config),
        tokens,
        card,
        sentinels=sentinels,
        excluded=excluded,
        start=_start(config),
        path=folder,
        device=device,
        dtype=dtype,
    )


def _read_sentinels(folder: Path, vocab_size: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Ids of `<extra_id_0>`, `<extra_id_1>`, ... up to a gap; and of all tokens that are no residue, int64, sorted."""
    path, vocabulary = read_vocabulary(folder)
    known = {token: number for token, number in vocabulary.items() if number < vocab_size}
    sentinels: list[int] = []
    while _SENTINEL.format(len(sentinels)) in known:
        sentinels.append(known[_SENTINEL.format(len(sentinels))])
    if not sentinels:
        raise InputError(f"{path}: the vocabulary lacks {_SENTINEL.format(0)}; expected that of a whole T5")
    excluded = sorted(number for token, number in known.items() if token.startswith(_NO_RESIDUE))
    return tuple(sentinels), np.array(excluded, dtype=np.int64)


def _read_network(folder: Path, config):
    """Read a whole T5, in the numbers of the file, each weight checked. `tie_word_embeddings: false` (all of Ankh): the
    head is in the file; else it is the input embedding, the decoder's output divided by the root of the width.
    """
    from transformers import T5ForConditionalGeneration

    with torch.device("meta"):  # names and sizes; no memory, no random weights
        network = T5ForConditionalGeneration(config)
    expected = {key: value.shape for key, value in network.state_dict().items()}
    tied = (*SHARED, "decoder.embed_tokens.weight", *(("lm_head.weight",) if config.scale_decoder_outputs else ()))
    network.load_state_dict(read_state(folder, expected, tied=tied, ignored=_LEFT_OVER), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _start(config) -> int:
    start = getattr(config, "decoder_start_token_id", None)
    return config.pad_token_id if start is None else start


def _answers(model: Seq2Seq, masked: np.ndarray) -> torch.Tensor:
    """Log-probabilities of what belongs at `<extra_id_0>` in rows of tokens (B, n): float32 (B, V) on the CPU."""
    written = torch.tensor([[model.start, model.sentinels[0]]]).expand(len(masked), -1)
    output = model.network(
        input_ids=torch.from_numpy(masked).to(model.device), decoder_input_ids=written.to(model.device), use_cache=False
    )
    return _log_probabilities(model, output.logits[:, -1])


def _log_probabilities(model: Seq2Seq, logits: torch.Tensor) -> torch.Tensor:
    """float32 (..., V) on the CPU, without what stands for no residue."""
    logits = logits.float().cpu()
    logits[..., model.excluded] = -torch.inf
    return logits.log_softmax(dim=-1)


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
    """`plmbook.engine.generate.write` for one protein, n times; at least one residue after each sentinel, in order."""
    model.tokens.read(sequence)  # a faulty sequence is named before its spans
    check_spans(spans, len(sequence))
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
    row = _masked(model, sequence, holes)
    written = _write(model, row, openings, 1, most, n=n, seed=seed, temperature=temperature)
    return [_filled(sequence, spans, holes, _read_fills(model, tokens, openings), total) for tokens, total in written]


def complete(
    model: Seq2Seq, sequence: str, n_residues: int, *, n: int = 1, seed: int | None = None, temperature: float = 1.0
) -> list[Filled]:
    """Let Ankh3, loaded with its prefix `[S2S]`, go on with a protein, n times: it learnt to write the rest of one."""
    if model.card.prefix != COMPLETES:
        raise InputError(
            f"model {model.name!r}: prefix {model.card.prefix!r}; expected a model of Ankh3, loaded with "
            f"prefix={COMPLETES!r}"
        )
    if n_residues < 1:
        raise InputError(f"n_residues {n_residues}: expected 1 or more")
    row, openings = model.tokens.read(sequence), (model.start,)
    written = _write(model, row, openings, n_residues, n_residues, n=n, seed=seed, temperature=temperature)
    fills = [(_read_fills(model, tokens, openings), total) for tokens, total in written]
    return [Filled(sequence + fill[0], fill, total) for fill, total in fills]


def _read_fills(model: Seq2Seq, tokens: Sequence[int], openings: Sequence[int]) -> tuple[str, ...]:
    """What a decoder wrote after each of `openings`, all there in this order; `tokens` begin with its start token."""
    letter_of = dict(zip(model.residues, AMINO_ACIDS, strict=True))
    fills: list[str] = []
    for place, token in enumerate(tokens):
        if token == model.tokens.after[0]:
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


def check_spans(spans: Sequence[tuple[int, int]], length: int) -> None:
    """Refuse spans (1-based, the end included) that overlap, or lie outside a protein of so many residues."""
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
    row, first = model.tokens.read(sequence).tolist(), len(model.tokens.before)
    for (start, stop), token in reversed(list(zip(holes, model.sentinels, strict=False))):
        row[first + start : first + stop] = [token]  # from the right: what is to the left keeps its place
    return np.array(row)


def _filled(sequence, spans, holes, fills, log_likelihood) -> Filled:
    """The protein with its holes filled, and what each span became."""
    pieces, done = [], 0
    for (start, stop), fill in zip(holes, fills, strict=True):
        pieces += [sequence[done:start], fill]
        done = stop
    inside = [
        "".join(fill for (at, _), fill in zip(holes, fills, strict=True) if start - 1 <= at < end)
        for start, end in spans
    ]
    return Filled("".join([*pieces, sequence[done:]]), tuple(inside), log_likelihood)


def _check_drawing(n: int, seed: int | None, temperature: float) -> None:
    """Refuse numbers with which nothing can be drawn."""
    if n < 1 or (n > 1 and seed is None):
        raise InputError(f"n {n}: expected 1, or more and a seed")
    if temperature <= 0:
        raise InputError(f"temperature {temperature}: expected more than 0; without a seed the likeliest is taken")


@torch.inference_mode()
def _write(model, row, openings, least, most, *, n, seed, temperature) -> list[tuple[list[int], float]]:
    """Tokens that the decoder writes, n times, `least` to `most` residues an opening; the residues' log-likelihood."""
    from transformers import GenerationConfig

    _check_drawing(n, seed, temperature)
    drawing = {} if seed is None else {"temperature": temperature, "top_k": 0, "top_p": 1.0, "num_return_sequences": n}
    end = int(model.tokens.after[0])
    config = GenerationConfig(
        do_sample=seed is not None,
        num_beams=1,
        max_new_tokens=len(openings) * (1 + most) + 1,
        decoder_start_token_id=model.start,
        pad_token_id=end,
        eos_token_id=end,
        return_dict_in_generate=True,
        output_logits=True,
        **drawing,
    )
    allowed = partial(_allowed, openings, model.residues, end, least, most)
    devices = [model.device] if model.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):  # the caller's own random numbers go on as if nothing were drawn
        if seed is not None:
            torch.manual_seed(seed)
        tokens = torch.from_numpy(row)[None].to(model.device)
        output = model.network.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            generation_config=config,
            prefix_allowed_tokens_fn=lambda _, written: allowed(written.tolist()),
        )
    written = output.sequences.cpu()  # (n, 1 + steps)
    terms = _log_probabilities(model, torch.stack(output.logits, dim=1)).gather(-1, written[:, 1:, None])[..., 0]
    terms = terms.where(torch.isin(written[:, 1:], torch.tensor(model.residues)), 0)
    return list(zip(written.tolist(), terms.double().sum(dim=1).tolist(), strict=True))


def _allowed(openings, residues, end, least, most, tokens) -> list[int]:
    """The tokens that may come next; here with the sentinels 9 and 8, the residues 3 and 4, and 1 or 2 residues a fill.

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
