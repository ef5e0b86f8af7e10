"""Structures of proteins: where each residue lies, and whether that is known well enough to count."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need

CONFIDENT = 70.0  # pLDDT from which a residue of a predicted structure counts


@dataclass(frozen=True)
class Structure:
    """One protein with the places of its residues."""

    id: str
    sequence: str  # L residues
    cb: np.ndarray  # float32 (L, 3): C-beta (C-alpha of glycine), angstrom
    plddt: np.ndarray  # float32 (L,): 0 to 100; NaN where the structure is experimental

    @property
    def counted(self) -> np.ndarray:
        """bool (L,): experimental, or confidently predicted."""
        return np.isnan(self.plddt) | (self.plddt >= CONFIDENT)


def structures_of(table: pd.DataFrame) -> dict[str, Structure]:
    """The proteins of a table of structures, by id, in order of appearance.

    Parameters
    ----------
    table : DataFrame
        One row a residue: `id` (or `gene`), position (int, 1-based, each of 1..L once), residue (one letter),
        cb_x, cb_y, cb_z (angstrom), plddt (0 to 100, NaN = experimental).  Such as the bundled tables `structures`
        and `kept_structures`.

    Returns
    -------
    dict of str -> Structure

    Raises
    ------
    InputError
        Where a column is missing, or a protein's positions are not 1..L.

    Examples
    --------
    >>> t = pd.DataFrame({"id": "toy", "position": [2, 1], "residue": ["K", "M"], "cb_x": [3.8, 0.0], "cb_y": 0.0,
    ...                   "cb_z": 0.0, "plddt": [90.0, 60.0]})
    >>> toy = structures_of(t)["toy"]
    >>> toy.sequence, toy.counted.tolist()
    ('MK', [False, True])
    >>> structures_of(t.assign(position=[2, 3]))
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: structure of toy: expected the positions 1 to 2, each once, found 2 to 3
    """
    key = "id" if "id" in table.columns else "gene"
    needed = [key, "position", "residue", "cb_x", "cb_y", "cb_z", "plddt"]
    need(table, needed, "structures")
    found = {}
    for name, part in table.groupby(key, sort=False):
        part = part.sort_values("position")
        positions = part["position"].to_numpy()
        if not np.array_equal(positions, np.arange(1, len(part) + 1)):
            raise InputError(
                f"structure of {name}: expected the positions 1 to {len(part)}, each once, "
                f"found {positions[0]} to {positions[-1]}"
            )
        found[str(name)] = Structure(
            id=str(name),
            sequence="".join(part["residue"]),
            cb=part[["cb_x", "cb_y", "cb_z"]].to_numpy(dtype=np.float32),
            plddt=part["plddt"].to_numpy(dtype=np.float32),
        )
    return found
