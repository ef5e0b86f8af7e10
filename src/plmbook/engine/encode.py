"""From sequences to log-probabilities and embeddings: batches without padding, windows for long proteins, order kept.

The longest batch runs first, so what does not fit into memory fails at once.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from plmbook.core.errors import InputError, one_of, some
from plmbook.models.base import POOLS

LONG = ("error", "truncate", "window", "whole")
TOKEN_BUDGET = 2048  # tokens of a batch on a CPU: what its caches hold; a larger one is no faster
_CHAINS = 512  # read at once for their likelihood: more are no faster
_MOST_TOKENS = 2**16  # on a GPU, where memory allows: enough to fill one
_BYTES_PER_TOKEN = 32  # times the model's width and the bytes of a number: what the widest layer keeps, with room

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Piece:
    """What one forward reads, residues start to stop of a sequence, and the residues for which it answers."""

    owner: int  # index of the sequence
    start: int
    stop: int
    taken: np.ndarray | None  # 0-based residues of the whole sequence; None: all of it, the piece is the sequence

    @property
    def n_tokens(self) -> int:
        return self.stop - self.start + 2  # BOS and EOS

    @property
    def span(self) -> tuple[int, int]:
        """Start and stop, within the piece, of the residues taken: a window answers for a run of them."""
        if self.taken is None:
            return 0, self.stop - self.start
        return int(self.taken[0]) - self.start, int(self.taken[-1]) + 1 - self.start


def log_probabilities(
    model,
    sequences: Sequence[str],
    *,
    rows: Sequence[np.ndarray] | None = None,
    long: str = "window",
    token_budget: int | None = None,
    progress: bool = False,
) -> list[np.ndarray]:
    """Natural-log probabilities of the 20 amino acids at residues of many sequences.

    Parameters
    ----------
    model, sequences : Model, sequence of str
        Residues; `_` is a masked one.
    rows : sequence of int arrays, optional
        For each sequence the 0-based residues that are wanted, in any order.  Default: all.
    long : {"window", "truncate", "error", "whole"}
        What happens to a sequence of more than `model.max_length` residues; "window" reads it in overlapping windows,
        "truncate" its first residues, "whole" in one piece where the model can (`longest`), "error" refuses it.
    token_budget, progress : int, bool, optional
        Tokens of a batch, which is split where memory does not hold it, and so is every later one; show a bar.

    Returns
    -------
    list of float32 array (n_rows, 20)
        In the order of `sequences`, `rows` and `AMINO_ACIDS`.  Truncated sequences have `model.max_length` rows.

    Raises
    ------
    InputError
        Before any forward: a sequence that is too long for "error", or a row outside what is kept.
    MemoryError
        If a single sequence does not fit into memory.
    """
    limit = longest(model, long)
    lengths = kept_lengths(sequences, limit, long)
    wanted = _checked_rows(rows, lengths)
    results = [np.empty((len(each), 20), dtype=np.float32) for each in wanted]
    pieces = []
    for owner, residues in enumerate(wanted):
        pieces += _pieces(owner, lengths[owner], limit, None if rows is None else residues)

    def ask(batch):
        if all(piece.taken is None for piece in batch):
            return {"rows": None}
        return {"rows": [np.arange(p.stop) if p.taken is None else p.taken - p.start for p in batch]}

    for piece, output in _forwards(model, sequences, pieces, token_budget, progress, ask):
        table = output.log_probabilities
        if piece.taken is None or len(piece.taken) == len(wanted[piece.owner]):  # one piece answers for all
            results[piece.owner] = table
        else:
            results[piece.owner][np.isin(wanted[piece.owner], piece.taken)] = table
    return results


def embed(
    model,
    sequences: Sequence[str],
    *,
    layer: int = -1,
    pool: str = "mean",
    long: str = "window",
    token_budget: int | None = None,
    progress: bool = False,
) -> np.ndarray | list[np.ndarray]:
    """Embeddings of many sequences.

    Parameters
    ----------
    model, sequences, long, token_budget, progress
        As in `log_probabilities`.
    layer, pool : int, str
        0 is the input embedding, -1 the last layer; a key of `plmbook.models.base.POOLS`: "mean" or "max" over the
        residues (never over BOS and EOS, but UniRep's mean over its start, too, as published), "bos", "final", "cell"
        or "fusion" (recurrent models), "residue" (all).

    Returns
    -------
    float32 array (n, d), or for "residue" list of float32 array (L, d)
        In the order of `sequences`.  Pooling is done in float32 or finer, whatever the model's dtype.

    Raises
    ------
    InputError
        Before any forward: a sequence too long for "error", a window with "bos" (which has no one BOS), no sequence.
    """
    one_of("pool", pool, POOLS)
    if not sequences:
        raise InputError("no sequence to embed")
    limit = longest(model, long)
    lengths = kept_lengths(sequences, limit, long)
    pieces = [piece for n, length in enumerate(lengths) for piece in _pieces(n, length, limit, None)]
    if pool == "bos" and any(piece.taken is not None for piece in pieces):
        raise InputError(
            f"pool 'bos': a sequence of more than {limit} residues is read in windows and has no one BOS; "
            "expected long='truncate' or another pool"
        )
    results: list = [None] * len(lengths)

    def ask(batch):
        options = {"layers": (layer,), "logits": False}
        if pool == "residue":
            return options
        if any(piece.taken is not None for piece in batch):
            options["spans"] = [piece.span for piece in batch]
        return options | {"pool": pool}

    for piece, output in _forwards(model, sequences, pieces, token_budget, progress, ask):
        n, (start, stop) = piece.owner, piece.span
        if piece.taken is None:
            found = output.hidden if pool == "residue" else output.pooled
            results[n] = found[layer].astype(np.float32, copy=False)
        elif pool == "residue":
            states = output.hidden[layer]  # (L of the piece, d)
            results[n] = np.empty((lengths[n], states.shape[1]), np.float32) if results[n] is None else results[n]
            results[n][piece.taken] = states[start:stop]
        elif pool == "max":
            vector = output.pooled[layer]
            results[n] = vector if results[n] is None else np.maximum(results[n], vector)
        else:  # the mean over the protein is that of its windows, each with the residues for which it answers
            share = output.pooled[layer].astype(np.float64) * (stop - start) / lengths[n]
            results[n] = share if results[n] is None else results[n] + share
    return results if pool == "residue" else np.stack(results).astype(np.float32)


def log_likelihoods(model, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
    """As `Model.log_likelihoods`, float64 (n,): equal chains are read once, those that begin alike together."""
    distinct = sorted(dict.fromkeys(sequences), key=lambda text: (-len(text), text))
    found: dict[str, float] = {}
    with tqdm(total=len(distinct), desc=model.name, unit="chain", disable=not progress) as bar:
        for start in range(0, len(distinct), _CHAINS):
            batch = distinct[start : start + _CHAINS]
            found.update(zip(batch, model.log_likelihoods(batch).tolist(), strict=True))
            bar.update(len(batch))
    return np.array([found[sequence] for sequence in sequences])


def token_budget(model) -> int:
    """Tokens of a batch: on a CPU `TOKEN_BUDGET`, on a GPU a power of two that takes half of the free memory."""
    found = getattr(model, "fitting_tokens", _MOST_TOKENS)  # what a batch that did not fit has taught
    if str(model.device).split(":")[0] == "cpu":
        return min(found, getattr(model, "batch_tokens", TOKEN_BUDGET))
    from plmbook.models.device import DTYPES, free_memory

    per_token = _BYTES_PER_TOKEN * model.card.dim * DTYPES[model.dtype].itemsize
    fitting = (free_memory(model.device) or 0) // 2 // per_token
    return min(found, max(TOKEN_BUDGET, 2 ** (int(fitting).bit_length() - 1) if fitting else 0))


def longest(model, long: str) -> int | None:
    """Residues of the longest sequence that a model (or its card) reads at once; None where there is no limit, as with
    "whole", which ESM-1b and ESM-1v cannot: they have learned a vector for each of 1,022 positions.
    """
    if long != "whole":
        return model.max_length
    if not getattr(model, "card", model).can("any-length"):
        raise InputError(
            f"long 'whole': {model.name} has no positions beyond {model.max_length} residues; use 'window'"
        )
    return None


def windows(length: int, max_length: int) -> list[tuple[int, int]]:
    """Overlapping windows (start, stop), 0-based, spread evenly: of `max_length` residues, half or more shared."""
    if length <= max_length:
        return [(0, length)]
    surplus = length - max_length
    n_steps = -(-surplus // (max_length - max_length // 2))  # rounded up
    return [(step * surplus // n_steps, step * surplus // n_steps + max_length) for step in range(n_steps + 1)]


def window_of(length: int, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """The window that answers for each residue, int (length,): where it lies farthest from a cut, else the earlier."""
    position = np.arange(length)
    room = np.full((len(spans), length), -1)  # residues between a residue and the nearest cut; -1: not in the window
    for number, (start, stop) in enumerate(spans):
        left = position - start if start > 0 else np.full(length, length)
        right = stop - 1 - position if stop < length else np.full(length, length)
        room[number] = np.where((position >= start) & (position < stop), np.minimum(left, right), -1)
    return room.argmax(axis=0)


def batches(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of items in batches of at most `budget`, largest first; what is larger than the budget is alone."""
    groups: list[list[int]] = []
    filled = budget
    for index in sorted(range(len(sizes)), key=lambda n: -sizes[n]):
        if not groups or filled + sizes[index] > budget:
            groups.append([])
            filled = 0
        groups[-1].append(index)
        filled += sizes[index]
    return groups


def kept_lengths(sequences: Sequence[str], max_length: int | None, long: str) -> list[int]:
    """Residues of each sequence that get an answer, after the policy for those that are longer than the model reads."""
    lengths = [len(sequence) for sequence in sequences]
    if 0 in lengths:
        raise InputError(f"sequence number {lengths.index(0) + 1} of {len(lengths)} is empty")
    one_of("long", long, LONG)
    over = [n for n, length in enumerate(lengths, start=1) if max_length is not None and length > max_length]
    if not over:
        return lengths
    listed = some((f"number {n} ({lengths[n - 1]})" for n in over), 10)
    if long == "error":
        raise InputError(f"{len(over)} of {len(lengths)} sequences are longer than {max_length} residues: {listed}")
    level, done = (logging.WARNING, "cut after them") if long == "truncate" else (logging.INFO, "read in windows")
    message = "%d of %d sequences are longer than %d residues, %s: %s"
    _log.log(level, message, len(over), len(lengths), max_length, done, listed)
    return lengths if max_length is None or long != "truncate" else [min(length, max_length) for length in lengths]


def _checked_rows(rows: Sequence[np.ndarray] | None, lengths: Sequence[int]) -> list[np.ndarray]:
    if rows is None:
        return [np.arange(length) for length in lengths]
    if len(rows) != len(lengths):
        raise InputError(f"rows for {len(rows)} sequences, expected {len(lengths)}")
    checked = [np.asarray(each, dtype=np.int64).reshape(-1) for each in rows]
    for number, (each, length) in enumerate(zip(checked, lengths, strict=True)):
        if each.size and not (0 <= each.min() and each.max() < length):
            outside = int(each[(each < 0) | (each >= length)][0])
            raise InputError(f"sequence number {number + 1}: residue {outside + 1} asked, expected 1 to {length}")
    return checked


def _pieces(owner: int, length: int, max_length: int | None, wanted: np.ndarray | None) -> list[_Piece]:
    """The forwards that one sequence needs; `wanted` None: every residue."""
    if max_length is None or length <= max_length:
        if wanted is None or len(wanted):
            return [_Piece(owner, 0, length, wanted)]
        return []
    spans = windows(length, max_length)
    answering = window_of(length, spans)
    wanted = np.arange(length) if wanted is None else wanted
    taken = [wanted[answering[wanted] == number] for number in range(len(spans))]
    return [_Piece(owner, *span, each) for span, each in zip(spans, taken, strict=True) if len(each)]


def _forwards(model, sequences, pieces, budget, progress, ask) -> Iterator[tuple]:
    """Run the pieces, longest first, and yield each with its output; `ask` gives the options of a batch."""
    sizes = [piece.n_tokens for piece in pieces]
    budget = token_budget(model) if budget is None else min(budget, getattr(model, "fitting_tokens", budget))
    waiting = deque(batches(sizes, budget))
    with tqdm(total=sum(sizes), unit=" tokens", unit_scale=True, disable=not progress) as bar:
        while waiting:
            group = waiting.popleft()
            batch = [pieces[index] for index in group]
            texts = [sequences[piece.owner][piece.start : piece.stop] for piece in batch]
            n_tokens = sum(sizes[index] for index in group)
            outputs = _run_if_it_fits(model, texts, ask(batch))
            if outputs is None:
                _log.warning("%s: %d tokens do not fit into memory; going on with half", model.name, n_tokens)
                rest = [*group, *itertools.chain.from_iterable(waiting)]
                model.fitting_tokens = n_tokens // 2  # also for the next call
                smaller = batches([sizes[index] for index in rest], model.fitting_tokens)
                waiting = deque([rest[index] for index in again] for again in smaller)
                continue
            yield from zip(batch, outputs, strict=True)
            bar.update(n_tokens)


def _run_if_it_fits(model, texts: list[str], options: dict) -> list | None:
    """The outputs of one batch; None where memory does not hold several sequences."""
    try:
        return model.run(texts, **options)
    except RuntimeError as error:
        # A GPU raises OutOfMemoryError (torch is not imported here); of other memory only the text speaks.
        told = any(word in str(error) for word in ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED"))
        if type(error).__name__ != "OutOfMemoryError" and not told:
            raise
        if len(texts) == 1:
            raise MemoryError(
                f"model {model.name!r}: a sequence of {len(texts[0])} residues does not fit into memory"
            ) from error
    return None
