"""What counting neighbours says about a masked residue: the honest opponent of a language model.

Three kinds of counts over the training proteins, and the protein's own composition, are combined log-linearly:

    ln p(x) = ln f(x) + w_1 ln[P(x | l, r) / f(x)] + sum over d of w_d sum over the sides of ln[P_d(x | n) / f(x)]
              + w_c ln[q(x) / f(x)] - ln Z

f is how common x is, l and r its two neighbours, n the residue d places away on one side (d = 2, 3, 4: a turn of a
helix), and q the composition of the residues that are visible in the same protein, shrunk towards f (a *cache*: Kuhn
and De Mori 1990); counts are smoothed by a Dirichlet prior (MacKay and Peto 1995). A neighbour beyond the end of the
protein is a letter of its own (`END`). A masked or unknown one is summed over: with l unknown P(x | l, r) becomes
P(x | r), with both unknown f(x); an unknown n drops its term. Z makes the 20 probabilities sum to 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS

END = "-"  # a place before the first or after the last residue
_DISTANCES = (2, 3, 4)  # residues away, on either side, whose pairs with the residue are counted
PRIOR = 100.0  # pseudo-counts of the residue frequencies in every context; contexts have 100,000 counts and more
SHRINKAGE = 100.0  # residues' worth of the corpus in the composition of a protein

# Fitted on training proteins that were left out of the counts (data/make/ngram.py); the keys are terms of the equation.
WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"neighbours": 0.59, "2": 0.38, "3": 0.35, "4": 0.33, "composition": 0.83}
)

_END, _UNKNOWN = 20, 21  # codes after those of the 20 residues
_LETTERS = 22
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODES[np.frombuffer((AMINO_ACIDS + END).encode(), dtype=np.uint8)] = np.arange(21)
_PAD = max(_DISTANCES)
_PIECE = 2_000_000  # residues counted at once: bounds the memory


@dataclass(frozen=True)
class Ngram:
    """Smoothed counts, ready for `log_probabilities`; codes are of the residues, `END` and unknown."""

    frequencies: np.ndarray  # float64 (20,): f, in the order of `AMINO_ACIDS`
    neighbours: np.ndarray  # float64 (22, 22, 20): ln P(x | l, r) - ln f(x) by the codes of l and r
    # By the offset of n from x, -4 to -2 and 2 to 4: float64 (22, 20), ln P_d(x | n) - ln f(x); 0 where n is unknown.
    pairs: dict[int, np.ndarray]

    @classmethod
    def from_table(cls, table: pd.DataFrame, *, prior: float = PRIOR) -> "Ngram":
        """Smooth a table of counts, as `count` makes it or the bundled one; contexts that are absent count 0."""
        contexts = _contexts()
        counts = {offset: np.zeros((_LETTERS, 20)) for offset, _ in contexts.values()}
        counts[0] = np.zeros((_LETTERS, _LETTERS, 20))
        for context, row in zip(table["context"], table[list(AMINO_ACIDS)].to_numpy(dtype=np.float64), strict=True):
            if context not in contexts:
                raise InputError(f"{context!r} is no context of an n-gram; expected one like L_K, A.._ or _.W")
            offset, codes = contexts[context]
            counts[offset][codes] = row
        both = counts.pop(0)
        frequencies = both.sum((0, 1))
        if (frequencies <= 0).any():
            raise InputError("the counts of an n-gram need every amino acid at least once with both neighbours known")
        frequencies /= frequencies.sum()
        both[_UNKNOWN] = both.sum(0)  # an unknown neighbour is summed over; both unknown gives the frequencies
        both[:, _UNKNOWN] = both.sum(1)
        pairs = {}
        for offset, found in counts.items():
            pairs[offset] = _smoothed(found, frequencies, prior)
            pairs[offset][_UNKNOWN] = 0.0
        return cls(frequencies, _smoothed(both, frequencies, prior), pairs)


def count(sequences: Iterable[str]) -> pd.DataFrame:
    """A row for each of `_contexts`: context (`L_K` = between L and K, `A.._` = three after A, `-` = beyond the end,
    `.` = any), and how often each amino acid is at `_` (int64). Letters outside the 20 do not count.
    """
    ends = END * _PAD
    text = ends.join(["", *sequences, ""])
    if len(text) <= _PAD:
        raise InputError("an n-gram needs at least one sequence")
    codes = _CODES[np.frombuffer(text.encode(), dtype=np.uint8)]
    both = _counted(codes, (-1, 1, 0))[:21, :21, :20]
    parts = [both.reshape(-1, 20)]
    for distance in _DISTANCES:
        pair = _counted(codes, (-distance, 0))  # [code, code `distance` later]
        parts += [pair[:21, :20], pair[:20, :21].T]  # as seen from the later and from the earlier of the two
    counts = pd.DataFrame(np.concatenate(parts), columns=list(AMINO_ACIDS), dtype="int64")
    counts.insert(0, "context", list(_contexts()))
    return counts


def _contexts() -> dict[str, tuple[int, tuple[int, ...]]]:
    """Every context in the order of the tables: the neighbours left and right, then the pairs by distance and side; for
    each the offset of its letter from the residue (0: it has both neighbours) and the codes of its letters.
    """
    letters = list(enumerate(AMINO_ACIDS + END))
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    found |= {f"{left}_{right}": (0, (a, b)) for a, left in letters for b, right in letters}
    for distance in _DISTANCES:
        gap = "." * (distance - 1)
        found |= {f"{letter}{gap}_": (-distance, (code,)) for code, letter in letters}
        found |= {f"_{gap}{letter}": (distance, (code,)) for code, letter in letters}
    return found


def log_probabilities(sequence: str, ngram: Ngram, *, weights: Mapping[str, float] = WEIGHTS) -> np.ndarray:
    """ln p of `AMINO_ACIDS`, float64 (L, 20), by the visible letters of the 20: a residue counts in its own
    composition, so ask at masked places (`_`). A term without a weight counts 0, an unknown one is an InputError.
    """
    terms = log_ratios(sequence, ngram)
    unknown = set(weights) - set(terms)
    if unknown:
        raise InputError(f"unknown term {sorted(unknown)[0]!r} of an n-gram; expected {', '.join(terms)}")
    logits = np.tile(np.log(ngram.frequencies), (len(sequence), 1))
    for name, weight in weights.items():
        logits += weight * terms[name]
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def log_ratios(sequence: str, ngram: Ngram) -> dict[str, np.ndarray]:
    """The terms of the equation before their weights: term -> float64 (L, 20), 0 where it says nothing."""
    codes = _CODES[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]
    length = len(codes)
    ends = np.full(_PAD, _END, dtype=np.uint8)
    padded = np.concatenate([ends, np.where(codes == _END, _UNKNOWN, codes), ends])

    def at(offset: int) -> np.ndarray:
        return padded[_PAD + offset : _PAD + offset + length]

    terms = {"neighbours": ngram.neighbours[at(-1), at(1)]}
    for distance in _DISTANCES:
        terms[str(distance)] = ngram.pairs[-distance][at(-distance)] + ngram.pairs[distance][at(distance)]
    visible = np.bincount(codes, minlength=_LETTERS)[:20]
    own = (visible + SHRINKAGE * ngram.frequencies) / (visible.sum() + SHRINKAGE)
    terms["composition"] = np.broadcast_to(np.log(own / ngram.frequencies), (length, 20))
    return terms


def _smoothed(counts: np.ndarray, frequencies: np.ndarray, prior: float) -> np.ndarray:
    """ln of (counts + prior f) / (total + prior) over f, along the last axis."""
    smoothed = (counts + prior * frequencies) / (counts.sum(axis=-1, keepdims=True) + prior)
    return np.log(smoothed / frequencies)


def _counted(codes: np.ndarray, offsets: Sequence[int]) -> np.ndarray:
    """(22, ..., 22) int64: how often the codes at the offsets occur together, at all places after the first padding."""
    total = np.zeros(_LETTERS ** len(offsets), dtype=np.int64)
    last = len(codes) - max(0, *offsets)
    for start in range(_PAD, last, _PIECE):
        stop = min(start + _PIECE, last)
        key = np.zeros(stop - start, dtype=np.int64)
        for offset in offsets:
            key = key * _LETTERS + codes[start + offset : stop + offset]
        total += np.bincount(key, minlength=len(total))
    return total.reshape((_LETTERS,) * len(offsets))
