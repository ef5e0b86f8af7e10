"""Structures of proteins: where each residue lies, and whether that is known well enough to count."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need

CONFIDENT = 70.0  # pLDDT from which a residue of a predicted structure counts
CUTOFF = 8.0  # angstrom between the C-beta atoms of a contact

# Ideal geometry of an L-amino acid (Engh and Huber 1991, doi:10.1107/S0108767391001071).
_CA_CB = 1.53  # angstrom
_N_CA_CB, _C_CA_CB = np.deg2rad([110.5, 110.1])


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
        Such as the bundled `structures`, one row a residue: `id` (or `gene`), position (int, each of 1..L once, else
        InputError), residue (one letter), cb_x, cb_y, cb_z (angstrom), plddt (0 to 100, NaN = experimental).

    Returns
    -------
    dict of str -> Structure

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


def distances(cb: np.ndarray) -> np.ndarray:
    """Distances between residues, float64 (L, L), from their C-beta atoms (L, 3)."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(np.asarray(cb, dtype=np.float64)))


def contact_map(cb: np.ndarray, cutoff: float = CUTOFF) -> np.ndarray:
    """Which residues touch, bool (L, L), symmetric, True on the diagonal; a pair at the very cutoff is no contact."""
    return distances(cb) < cutoff


def c_beta(n: np.ndarray, ca: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Where C-beta is, float64 (L, 3), by the ideal geometry of an L-amino acid, from the backbone (L, 3), angstrom;
    NaN where the three are on a line. Its direction is p u + q v + r (u x v) / |u x v| with u and v the unit vectors to
    N and C: p and q follow from the two angles, r from the length 1.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        u = (n - ca) / np.linalg.norm(n - ca, axis=1, keepdims=True)
        v = (c - ca) / np.linalg.norm(c - ca, axis=1, keepdims=True)
        across = np.cross(u, v)
        across = across / np.linalg.norm(across, axis=1, keepdims=True)
        k = (u * v).sum(axis=1, keepdims=True)  # cosine of the angle N-CA-C
        p = (np.cos(_N_CA_CB) - k * np.cos(_C_CA_CB)) / (1 - k**2)
        q = (np.cos(_C_CA_CB) - k * np.cos(_N_CA_CB)) / (1 - k**2)
        r = np.sqrt(1 - (p**2 + q**2 + 2 * p * q * k))
        return ca + _CA_CB * (p * u + q * v + r * across)
