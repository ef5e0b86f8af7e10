"""ProteinNet 12, text records: a sequence and the backbone of a structure each, for the contacts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.structures import c_beta
from plmbook.core.text import open_text
from plmbook.sources.cells import Unusable, called, letters_of, numbers_of, residue_table, sequence_of


def read_proteinnet(
    source: str | Path | TextIO, *, left_out: list[tuple[int, str, str]] | None = None
) -> Iterator[pd.DataFrame]:
    """Stream the structures of a ProteinNet text file, a row a residue: `id`, `position` (int64), `residue`, `cb_x`,
    `cb_y`, `cb_z` (float32, angstrom; ideal C-beta, C-alpha of glycine, NaN where the mask is -). `left_out` receives
    (number from 1, id, reason) of unusable records, an error without it.
    """
    where = called(source, "ProteinNet")
    with open_text(source) as handle:
        for number, record in enumerate(_records(handle, where), start=1):
            identifier = " ".join(record["ID"])
            try:
                table = _structure(identifier, record)
            except Unusable as error:
                if left_out is None:
                    raise InputError(
                        f"{where}: record {number} ({identifier}): {error}; left_out=[] leaves such a record out"
                    ) from None
                left_out.append((number, identifier, str(error)))
                continue
            yield table


def _records(handle: TextIO, where: str) -> Iterator[dict[str, list[str]]]:
    """The lines of each record by section, those of the evolutionary profile dropped as they pass."""
    record: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in handle:
        line = line.strip()
        if re.fullmatch(r"\[[A-Z]+\]", line):
            section = line[1:-1]
            if section == "ID":
                if record:
                    yield record
                record = {}
            elif not record:
                raise InputError(f"{where}: expected [ID] first, found {line}; not the text of ProteinNet?")
            lines = record.setdefault(section, [])
            if section not in ("ID", "PRIMARY", "TERTIARY", "MASK"):
                lines = None
        elif line and not record:
            raise InputError(f"{where}: expected [ID] first, found {line[:40]!r}; not the text of ProteinNet?")
        elif line and lines is not None:
            lines.append(line)
    if not record:
        raise InputError(f"{where}: no record; expected the text of ProteinNet")
    yield record


def _structure(identifier: str, record: dict[str, list[str]]) -> pd.DataFrame:
    sequence = sequence_of("".join(record.get("PRIMARY", [])))
    length = len(sequence)
    if not record.get("TERTIARY"):
        raise Unusable("no [TERTIARY], or an empty one")
    axes = [numbers_of(line, "[TERTIARY]") for line in record["TERTIARY"]]
    counts = [len(axis) for axis in axes]
    if counts != [3 * length] * 3:
        raise Unusable(f"[TERTIARY] has lines of {counts} numbers; expected 3 lines of {3 * length}")
    mask = letters_of("".join(record.get("MASK", [])))
    if len(mask) != length or set(mask) - set("+-"):
        raise Unusable(f"[MASK] has {len(mask)} signs; expected + or - for each of {length} residues")
    atoms = np.stack(axes, axis=1).reshape(length, 3, 3) / 100  # (L, atom, axis), picometres to angstrom
    n, ca, c = atoms[:, 0], atoms[:, 1], atoms[:, 2]
    placed = c_beta(n, ca, c)
    glycine = np.array(list(sequence)) == "G"
    placed[glycine] = ca[glycine]
    placed[np.array(list(mask)) == "-"] = np.nan
    if np.isnan(placed).all():
        raise Unusable("no residue has coordinates")
    return residue_table(identifier, sequence, placed, "cb")
