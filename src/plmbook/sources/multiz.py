"""UCSC multiz100way: protein alignments of 100 vertebrates to human transcripts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.text import read_records

HUMAN = "hg38"
STOP = "Z"  # UCSC writes a stop codon as Z
_MAX_FLANK = 5
HEADER = re.compile(
    r"(?P<transcript>[^_\s.]+)(?:\.\d+)?_(?P<assembly>[A-Za-z0-9]+)(?:_(?P<exon>\d+)_(?P<total>\d+))?(?:\s|$)"
)

Rows = dict[str, str]  # assembly -> aligned row


def read_alignments(source: str | Path | TextIO) -> dict[str, Rows]:
    """Read aligned rows: transcript -> assembly -> row, exons joined in their order; FASTA with headers
    `TRANSCRIPT[.VERSION]_ASSEMBLY_EXON_TOTAL ...` (as UCSC ships it) or `TRANSCRIPT_ASSEMBLY` (exons already joined). A
    record that appears again must be equal; rows of one transcript have one length.
    """
    exons: dict[tuple[str, str], dict[int, str]] = {}
    totals: dict[str, int] = {}
    for header, row in read_records(source):
        match = HEADER.match(header)
        if match is None:
            raise InputError(f"multiz100way: expected a header TRANSCRIPT_ASSEMBLY[_EXON_TOTAL], found {header!r}")
        transcript, assembly = match["transcript"], match["assembly"]
        exon = int(match["exon"] or 1)
        totals[transcript] = int(match["total"] or 1)
        if exons.setdefault((transcript, assembly), {}).setdefault(exon, row) != row:
            raise InputError(f"multiz100way: {header.split()[0]} appears again with another row")
    alignments: dict[str, Rows] = {}
    for (transcript, assembly), parts in exons.items():
        if len(parts) != totals[transcript]:
            raise InputError(f"multiz100way: {transcript}_{assembly} has {len(parts)} of {totals[transcript]} exons")
        alignments.setdefault(transcript, {})[assembly] = "".join(parts[n] for n in sorted(parts))
    for transcript, rows in alignments.items():
        if len({len(row) for row in rows.values()}) != 1:
            raise InputError(f"multiz100way: rows of {transcript} differ in length")
    return alignments


def human_sequence(rows: Mapping[str, str]) -> str:
    """The human protein of an alignment: without gaps and without the final stop."""
    return rows[HUMAN].replace("-", "").removesuffix(STOP)


def matching_transcript(alignments: Mapping[str, Rows], sequence: str) -> str:
    """The transcript whose human row is exactly `sequence`, "" if there is none."""
    return next((name for name in sorted(alignments) if human_sequence(alignments[name]) == sequence), "")


def residue_counts(rows: Mapping[str, str]) -> pd.DataFrame:
    """What stands in each column at a human residue; each row sums to the number of assemblies: `position` (int64, in
    the human protein), `ref`, one int64 column an amino acid, `gap` (`-`), `unknown` (`X`, or a stop inside a row).
    """
    human = rows[HUMAN]
    n_residues = len(human_sequence(rows))
    columns = [i for i, residue in enumerate(human) if residue != "-"][:n_residues]
    letters = np.array([list(row) for row in rows.values()])[:, columns]  # (n_assemblies, L)
    table = pd.DataFrame({"position": np.arange(1, len(columns) + 1), "ref": list(human_sequence(rows))})
    for residue in AMINO_ACIDS:
        table[residue] = (letters == residue).sum(axis=0)
    table["gap"] = (letters == "-").sum(axis=0)
    table["unknown"] = len(rows) - table[[*AMINO_ACIDS, "gap"]].sum(axis=1)
    return table


def flank(human: str, other: str, position: int) -> int:
    """How many residues are identical on each side of a 1-based position, in both at once, up to 5 or to the protein's
    end. The human row has no gaps and no final stop.
    """
    i = position - 1
    reach = min(_MAX_FLANK, i, len(human) - 1 - i)
    same = [human[i - k] == other[i - k] and human[i + k] == other[i + k] for k in range(1, reach + 1)]
    return [*same, False].index(False)


def carriers(rows: Mapping[str, str], position: int, alt: str) -> dict[str, int]:
    """The assemblies that carry `alt` at a human position, with their `flank`; the human row must have no gaps."""
    human = human_sequence(rows)
    if "-" in rows[HUMAN]:
        raise InputError("multiz100way: expected a human row without gaps")
    return {name: flank(human, row, position) for name, row in sorted(rows.items()) if row[position - 1] == alt}
