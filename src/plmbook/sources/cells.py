"""The cells of outside files: a sequence, letters, numbers, coordinates, or why a record cannot be used."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWY" + "UBZOX")  # each model maps the last five as its authors do


class Unusable(ValueError):
    """Why one record is left out."""


def letters_of(cell) -> str:
    """The text of a cell without the spaces between residues; "" where it is empty."""
    if isinstance(cell, (list, tuple, np.ndarray)):
        cell = "".join(map(str, cell))
    return "".join(cell.split()) if isinstance(cell, str) else ""


def sequence_of(cell) -> str:
    """The sequence of a cell, upper case."""
    sequence = letters_of(cell).upper()
    if not sequence:
        raise Unusable("the sequence is empty")
    strange = sorted(set(sequence) - LETTERS)
    if strange:
        raise Unusable(f"the sequence has {' '.join(strange)}; expected the 20 amino acids, U, B, Z, O or X")
    return sequence


def numbers_of(cell, what: str) -> np.ndarray:
    """float64 (n,): the numbers of a cell, written `1.0 0.0`, `[1.0, 0.0]` or as (nested) lists; None is NaN."""
    if isinstance(cell, str):
        cell = re.sub(r"[\[\](),]", " ", cell).split()
    flat = list(_flat(cell))
    try:
        return np.array([np.nan if token in (None, "None") else float(token) for token in flat], dtype=np.float64)
    except (TypeError, ValueError):
        raise Unusable(f"{what} is not made of numbers") from None


def _flat(cell) -> Iterator:
    if isinstance(cell, (list, tuple, np.ndarray)):
        for each in cell:
            yield from _flat(each)
    else:
        yield cell


def residue_table(identifier: str, sequence: str, places: np.ndarray, atom: str) -> pd.DataFrame:
    """A row a residue: `id`, `position`, `residue` and the places (L, 3) as `ATOM_x`, `ATOM_y`, `ATOM_z` (float32)."""
    table = pd.DataFrame(
        {
            "id": pd.Series([identifier] * len(sequence), dtype="str"),
            "position": np.arange(1, len(sequence) + 1, dtype=np.int64),
            "residue": pd.Series(list(sequence), dtype="str"),
        }
    )
    for axis, letter in enumerate("xyz"):
        table[f"{atom}_{letter}"] = places[:, axis].astype(np.float32)
    return table
