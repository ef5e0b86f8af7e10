"""AlphaFold DB: predicted structures, one a UniProt accession."""

from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import THREE_LETTER
from plmbook.core.text import open_text
from plmbook.sources.cells import coordinates


def read_accession(source: str | Path | TextIO) -> str:
    """The UniProt accession that a model names in its DBREF record; without one it is refused."""
    with open_text(source) as handle:
        for line in handle:
            if line.startswith("DBREF") and line[26:32].strip() == "UNP":
                return line[33:41].strip()
    raise InputError("AlphaFold PDB: expected a DBREF record that names a UniProt accession, found none")


def read_structure(source: str | Path | TextIO) -> pd.DataFrame:
    """One model, a row a residue; positions must run 1, 2, 3, ... and no atom may be missing: `position` (int64),
    `residue`, `ca_x` to `cb_z` (float32, angstrom; C-beta is C-alpha for glycine), `plddt` (float32, 0 to 100, of the
    C-alpha: it stands in the B-factor column).
    """
    atoms = _atoms(source)
    alpha = _each_residue(atoms, "CA")
    one_letter = {three.upper(): one for one, three in THREE_LETTER.items()}
    unknown = sorted(set(alpha.res_name) - set(one_letter))
    if unknown:
        raise InputError(f"AlphaFold PDB: expected the 20 amino acids, found {unknown}")
    beta = alpha.coord.copy()  # (L, 3); stays C-alpha for glycine
    atoms_beta = atoms[atoms.atom_name == "CB"]
    beta[atoms_beta.res_id - 1] = atoms_beta.coord
    without = set(alpha.res_id[alpha.res_name != "GLY"]) - set(atoms_beta.res_id)
    if without:
        raise InputError(
            f"AlphaFold PDB: expected a C-beta in every residue but glycine, missing at {sorted(map(int, without))[:5]}"
        )
    residues = {"position": np.arange(1, len(alpha) + 1), "residue": [one_letter[name] for name in alpha.res_name]}
    places = coordinates("ca", alpha.coord) | coordinates("cb", beta)
    return pd.DataFrame(residues | places | {"plddt": alpha.b_factor.astype(np.float32)})


def read_backbone(source: str | Path | TextIO) -> pd.DataFrame:
    """What a cartoon needs beside the C-alpha, a row a residue: `position` (int64), then `n_x` to `o_z` of the atoms N,
    C and O (float32, angstrom, to the nearest 0.01).
    """
    atoms = _atoms(source)
    columns = {"position": _each_residue(atoms, "N").res_id.astype(np.int64)}
    for atom in "nco":
        columns |= coordinates(atom, _each_residue(atoms, atom.upper()).coord.astype(np.float64).round(2))
    return pd.DataFrame(columns)


def _atoms(source: str | Path | TextIO):
    """The biotite array of the first model, with `b_factor`."""
    from biotite.structure.io.pdb import PDBFile

    with open_text(source) as handle:
        return PDBFile.read(handle).get_structure(model=1, extra_fields=["b_factor"])


def _each_residue(atoms, name: str):
    """The atoms of one name, one a residue, of residues 1, 2, 3, ..."""
    found = atoms[atoms.atom_name == name]
    if len(found) == 0 or not np.array_equal(found.res_id, np.arange(1, len(found) + 1)):
        raise InputError(
            f"AlphaFold PDB: expected residues 1, 2, 3, ... each with {'a C-alpha' if name == 'CA' else name}, "
            f"found {len(found)}: {found.res_id[:5].tolist()} ..."
        )
    return found
