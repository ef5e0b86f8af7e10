"""The cells of outside files: a sequence, letters, numbers, coordinates, or why a record cannot be used."""

import re
from collections.abc import Iterator
from pathlib import Path

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
    positions = np.arange(1, len(sequence) + 1, dtype=np.int64)
    columns = {"id": identifier, "position": positions, "residue": list(sequence)} | coordinates(atom, places)
    return pd.DataFrame(columns).astype({"id": "str", "residue": "str"})


def coordinates(atom: str, places: np.ndarray) -> dict[str, np.ndarray]:
    """Places (L, 3) as the columns `ATOM_x`, `ATOM_y`, `ATOM_z` (float32)."""
    return {f"{atom}_{letter}": places[:, axis].astype(np.float32) for axis, letter in enumerate("xyz")}


def called(source: object, what: str) -> str:
    """What messages call a source: its path, or the name of an open file, if it has one, else what it is."""
    return str(getattr(source, "name", what) if hasattr(source, "read") else source)


def visible_files(folder: Path) -> list[str]:
    """The files of a folder, searched in depth, from the folder, sorted; the hub's client keeps its cache in .cache."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
