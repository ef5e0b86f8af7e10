"""Every substitution of a protein as arrays: on the wild type, on backgrounds, with two positions masked together.

All is one kind of query: ln p(each residue at a position), where the model reads the wild type with some *edits*
(letters put in, or masked).  In windows (`plmbook.engine.encode`) edits outside the one that answers change nothing.
In a score the normaliser over the vocabulary cancels; the pseudo-log-likelihood and the co-masked tables need it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK, Mutation, MutationError, join_mutations
from plmbook.engine import encode

BLOCK = 500_000  # residues that a block of inputs has; their answers, 20 float32 each, are 40 MB

Edits = tuple[tuple[int, str], ...]  # changes of the wild type: (0-based position, letter or MASK)

_COLUMN_OF = np.full(128, -1, dtype=np.int8)  # by ASCII code; -1: none of the 20
_COLUMN_OF[[ord(letter) for letter in AMINO_ACIDS]] = np.arange(20)


class Query(NamedTuple):
    """ln p(. at position | the wild type with `edits`)."""

    protein: int  # index of the wild type
    edits: Edits  # distinct positions; equal inputs are recognised by equal edits: give them in one order
    position: int  # 0-based


def backgrounds(
    model,
    sequence: str,
    variants: Sequence[Sequence[Mutation]],
    *,
    long: str = "window",
    block: int = BLOCK,
    progress: bool = False,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Score every second-site substitution on the background of each variant of a protein.

    Parameters
    ----------
    model, sequence : Model, str
        The wild type S, L residues.
    variants : sequence of n sequences of Mutation
        The substitutions of each background B, at distinct positions, or none: the wild type.
    block, long, progress : int, str, bool
        Residues of a block, at least one background, to bound the memory; as in `encode.log_probabilities`.

    Yields
    ------
    where : slice
        Of `variants`; the slices follow one another and cover it.
    tables : float32 array (b, L, 20)
        ln p_B(a at j) - ln p_B(S_j at j), columns in the order of `AMINO_ACIDS`: against the wild type's residue, also
        at the background's own positions.  NaN rows where that is none of the 20, where "truncate" cut, and up to the
        last mutation where the model reads a residue at a time: its second sites are those that follow.

    Raises
    ------
    InputError
        Before any forward: a mutation that does not fit, two at one position (`MutationError`), one that "truncate" cut
        off; a sequence that is too long for "error".
    """
    (read,) = _readings(model, [sequence], long)
    edits = []
    for number, variant in enumerate(variants, start=1):
        check_variant(sequence, variant)
        edits.append(substituted(variant))
        if any(position >= read.kept for position, _ in edits[-1]):
            raise InputError(f"variant {number}, {join_mutations(variant)}: {_cut(read, len(sequence))}")
    return _backgrounds(model, sequence, read, edits, max(1, block // len(sequence)), progress)


def comasked(model, sequence: str, pairs, *, long: str = "window") -> np.ndarray:
    """Log-probabilities at two positions that are both masked, float32 (n, 2, 20): `[k, 0]` at i, `[k, 1]` at j of pair
    k. `pairs` (n, 2) are 1-based and different; one pass of {i, j} serves every variant at either.
    """
    (read,) = _readings(model, [sequence], long)
    asked = _checked_pairs(pairs, read, len(sequence))
    distinct, which = np.unique(np.sort(asked, axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    # The window that answers for one position may not hold the other: there only the one is masked, for all partners.
    spans = np.array(read.spans)[np.array(read.answering)[distinct]]  # (m, 2, 2): start and stop by position
    other = distinct[:, ::-1]
    near = (spans[..., 0] <= other) & (other < spans[..., 1])
    found = np.empty((*distinct.shape, 20), dtype=np.float32)
    alone, which_alone = np.unique(distinct[~near], return_inverse=True)
    found[~near] = _table(model, sequence, read, alone, masked=True)[which_alone]
    step = max(1, BLOCK // read.longest)
    for start in range(0, len(distinct), step):
        rows, sides = np.nonzero(near[start : start + step])
        chunk = distinct[start : start + step].tolist()
        queries = [
            Query(0, tuple((position, MASK) for position in chunk[row]), chunk[row][side])
            for row, side in zip(rows.tolist(), sides.tolist(), strict=True)
        ]
        for asked_here, table in _answers(model, [sequence], [read], queries):
            found[start + rows[asked_here], sides[asked_here]] = table
    result = found[which]
    backwards = asked[:, 0] > asked[:, 1]
    result[backwards] = result[backwards, ::-1]
    return result


def pseudo_log_likelihood(
    model,
    sequence: str,
    variants: Sequence[Sequence[Mutation]] = ((),),
    *,
    long: str = "window",
    progress: bool = False,
) -> np.ndarray:
    """The sum over all i of ln p(x_i at i | x with i masked), x a variant of a protein (Salazar et al. 2020).

    Parameters
    ----------
    model, sequence, variants, long, progress
        As in `backgrounds`, also the errors; by default the wild type alone; "truncate" is refused where it cuts.

    Returns
    -------
    float64 array (n,)
        Natural log.  Letters outside the 20 have no probability and are left out.
    """
    (read,) = _readings(model, [sequence], long)
    if read.kept < len(sequence):
        raise InputError(f"a pseudo-log-likelihood needs every residue: {_cut(read, len(sequence))}")
    for variant in variants:
        check_variant(sequence, variant)
    edits = [substituted(variant) for variant in variants]
    own = np.array([columns(edited(sequence, each)) for each in edits]).reshape(-1, len(sequence))  # (n, L)
    positions = np.flatnonzero(columns(sequence) >= 0).tolist()
    step = max(1, BLOCK // (read.longest * max(1, len(edits))))
    totals = np.zeros(len(edits))
    with tqdm(total=len(positions), desc=model.name, unit="position", leave=False, disable=not progress) as bar:
        for start in range(0, len(positions), step):
            chunk = positions[start : start + step]
            queries = (Query(0, _masked_at(each, i), i) for i in chunk for each in edits)
            terms = np.empty((len(chunk), len(edits)))  # ln p of each variant's own residue
            for which, table in _answers(model, [sequence], [read], queries):
                row, owner = np.divmod(which, len(edits))
                terms[row, owner] = table[np.arange(len(which)), own[owner, np.take(chunk, row)]]
            for each in terms:  # in the order of the positions, so that company does not change the last digit
                totals += each
            bar.update(len(chunk))
    return totals


def answers(
    model, sequences: Sequence[str], queries: Iterable[Query], *, long: str = "window", progress: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Run every distinct input once, at most `BLOCK` residues at a time: yields which, int (k,), queries (each once,
    any order) and log-probabilities, float32 (k, 20), of `AMINO_ACIDS`. What is not finite is a RuntimeError.
    """
    return _answers(model, sequences, _readings(model, sequences, long), queries, progress=progress)


def _answers(model, sequences, readings, queries, *, progress=False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`answers` after the policy for long sequences."""
    inputs: dict[tuple[int, int, Edits], int] = {}  # (protein, window, edits inside it) -> number
    numbers, rows = [], []
    for protein, edits, position in queries:
        read = readings[protein]
        if not 0 <= position < read.kept:
            raise InputError(f"position {position + 1}: {_cut(read, len(sequences[protein]))}")
        window = read.answering[position]
        start, stop = read.spans[window]
        if len(read.spans) > 1:
            edits = tuple(edit for edit in edits if start <= edit[0] < stop)
        numbers.append(inputs.setdefault((protein, window, edits), len(inputs)))
        rows.append(position - start)
    # A slot is a row of an input that someone asked for: sorted by input, then by row.
    width = max((read.longest for read in readings), default=1)
    slots, slot_of = np.unique(
        np.array(numbers, dtype=np.int64) * width + np.array(rows, dtype=np.int64), return_inverse=True
    )
    slot_input, slot_row = np.divmod(slots, width)
    by_slot = np.argsort(slot_of, kind="stable")
    first_slot = np.searchsorted(slot_input, np.arange(len(inputs) + 1))  # of each input
    first_query = np.searchsorted(slot_of[by_slot], np.arange(len(slots) + 1))  # of each slot, in by_slot
    with tqdm(total=len(inputs), desc=model.name, unit="sequence", disable=not progress) as bar:
        for begin, keys in _blocks(inputs, readings):
            first = first_slot[begin : begin + len(keys) + 1]
            texts = [_text(sequences[protein], readings[protein].spans[window], e) for protein, window, e in keys]
            wanted = np.split(slot_row[first[0] : first[-1]], first[1:-1] - first[0])
            table = np.concatenate(_run(model, texts, rows=wanted))  # (slots of the block, 20)
            which = by_slot[first_query[first[0]] : first_query[first[-1]]]
            yield which, table[slot_of[which] - first[0]]
            bar.update(len(keys))


def check_variant(sequence: str, variant: Sequence[Mutation]) -> None:
    """Make sure that the substitutions of a variant fit its wild type and change each position once."""
    for mutation in variant:
        mutation.check(sequence)
    positions = [mutation.position for mutation in variant]
    if twice := [position for position in positions if positions.count(position) > 1]:
        raise MutationError(
            f"{join_mutations(variant)}: position {min(twice)} is changed twice; a variant changes each position once"
        )


def substituted(variant: Sequence[Mutation]) -> Edits:
    """The edits that make a variant, sorted by position."""
    return tuple(sorted((mutation.position - 1, mutation.alt) for mutation in variant))


def edited(sequence: str, edits: Edits) -> str:
    """The sequence with edits."""
    for position, letter in edits:
        sequence = sequence[:position] + letter + sequence[position + 1 :]
    return sequence


def columns(sequence: str) -> np.ndarray:
    """The column of each residue in tables with 20, int8 (L,); -1 where it is none of the 20."""
    return _COLUMN_OF[np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)]


class _Reading(NamedTuple):
    """How a protein is read: in windows, each residue answered by one of them."""

    spans: list[tuple[int, int]]  # start and stop of each window
    answering: list[int]  # the window of each residue that is kept; a list: single look-ups are twice as fast
    longest: int  # residues of the longest window

    @property
    def kept(self) -> int:
        return len(self.answering)


def _readings(model, sequences: Sequence[str], long: str) -> list[_Reading]:
    """The windows of each protein, after the policy for long ones."""
    limit = encode.longest(model, long)
    readings = []
    for kept in encode.kept_lengths(sequences, limit, long):
        spans = encode.windows(kept, limit or kept)
        readings.append(_Reading(spans, encode.window_of(kept, spans).tolist(), max(b - a for a, b in spans)))
    return readings


def _cut(read: _Reading, length: int) -> str:
    if read.kept == length:
        return f"expected 1 to {length}, the residues of the sequence"
    return (
        f"long='truncate' keeps the first {read.kept} of {length} residues; expected a position of these, or 'window'"
    )


def _checked_pairs(pairs, read: _Reading, length: int) -> np.ndarray:
    """int (n, 2), 0-based."""
    asked = np.asarray(pairs)
    if not asked.size:
        return np.empty((0, 2), dtype=np.int64)
    if asked.ndim != 2 or asked.shape[1] != 2 or asked.dtype.kind not in "iu":
        raise InputError(f"pairs: expected whole numbers in two columns, found {asked.dtype} {asked.shape}")
    asked = asked.astype(np.int64) - 1
    outside = ((asked < 0) | (asked >= read.kept)).any(axis=1)
    same = asked[:, 0] == asked[:, 1]
    for bad, why in ((outside, _cut(read, length)), (same, "expected two different positions")):
        if bad.any():
            number = int(bad.argmax())
            i, j = (asked[number] + 1).tolist()
            raise InputError(f"pair number {number + 1}, positions {i} and {j}: {why}")
    return asked


def _table(model, sequence: str, read: _Reading, positions: np.ndarray, *, masked: bool) -> np.ndarray:
    """float32 (n, 20): ln p at positions (0-based) of the wild type, each masked alone or none masked."""
    found = np.empty((len(positions), 20), dtype=np.float32)
    queries = (Query(0, ((i, MASK),) if masked else (), i) for i in positions.tolist())
    for which, table in _answers(model, [sequence], [read], queries):
        found[which] = table
    return found


def _backgrounds(model, sequence, read, edits, step, progress) -> Iterator[tuple[slice, np.ndarray]]:
    """`backgrounds` after its checks; `step`: backgrounds of a block."""
    kept, whole = read.kept, len(read.spans) == 1
    one_way = model.can("likelihood")  # what it says of a residue does not depend on those that follow
    own = columns(sequence)
    answering = np.array(read.answering)
    answered = [np.flatnonzero(answering == window) for window in range(len(read.spans))]
    touched = [
        [w for w, (start, stop) in enumerate(read.spans) if any(start <= position < stop for position, _ in each)]
        for each in edits
    ]
    wild = None
    if any(len(windows) < len(read.spans) for windows in touched):
        wild = _table(model, sequence, read, np.arange(kept), masked=False)
    with tqdm(total=len(edits), desc=model.name, unit="background", disable=not progress) as bar:
        for begin in range(0, len(edits), step):
            where = slice(begin, min(begin + step, len(edits)))
            inputs = [(k, w) for k, windows in enumerate(touched[where]) for w in windows]
            texts = [_text(sequence, read.spans[w], edits[begin + k]) for k, w in inputs]
            rows = None if whole else [answered[w] - read.spans[w][0] for _, w in inputs]
            tables = np.empty((where.stop - begin, len(sequence), 20), dtype=np.float32)
            tables[:, kept:] = np.nan
            if wild is not None:
                tables[:, :kept] = wild
            for (k, w), table in zip(inputs, _run(model, texts, rows=rows), strict=True):
                tables[k, answered[w]] = table
            _subtract_own(tables, own)
            if one_way:
                for table, each in zip(tables, edits[where], strict=True):
                    table[: max((position + 1 for position, _ in each), default=0)] = np.nan
            yield where, tables
            bar.update(len(tables))


def _subtract_own(tables: np.ndarray, own: np.ndarray) -> None:
    """Log-probabilities (..., L, 20) to log ratios against the residue in column `own` (L,), in place, in float32."""
    tables -= np.take_along_axis(
        tables, np.broadcast_to(own.astype(np.int64)[:, None], (*tables.shape[:-1], 1)), axis=-1
    )
    tables[..., own < 0, :] = np.nan


def _masked_at(edits: Edits, position: int) -> Edits:
    """Edits and a mask, which replaces an edit; the mask comes last, so that equal inputs have equal edits."""
    return (*(edit for edit in edits if edit[0] != position), (position, MASK))


def _text(sequence: str, span: tuple[int, int], edits: Edits) -> str:
    """What the model reads: a window of the sequence, with the edits that lie in it."""
    start, stop = span
    return edited(sequence[start:stop], tuple((i - start, letter) for i, letter in edits if start <= i < stop))


def _run(model, texts: list[str], *, rows) -> list[np.ndarray]:
    # No input is longer than its reading: a window, or the whole protein where that was asked for.
    beyond = model.max_length is not None and any(len(text) > model.max_length for text in texts)
    found = encode.log_probabilities(model, texts, rows=rows, long="whole" if beyond else "error")
    faults = sum(not np.isfinite(table).all() for table in found)
    if faults:
        raise RuntimeError(f"{model.name} gave answers that are not finite numbers to {faults} of {len(texts)} inputs")
    return found


def _blocks(inputs: Iterable, readings: Sequence[_Reading]) -> Iterator[tuple[int, list]]:
    """Inputs in blocks of at most `BLOCK` residues (at least one input each), with the number of the first."""
    block: list[tuple] = []
    begin = residues = 0
    for number, key in enumerate(inputs):
        start, stop = readings[key[0]].spans[key[1]]
        if block and residues + stop - start > BLOCK:
            yield begin, block
            begin, block, residues = number, [], 0
        block.append(key)
        residues += stop - start
    if block:
        yield begin, block
