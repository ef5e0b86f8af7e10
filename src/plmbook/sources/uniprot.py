"""UniProtKB: protein sequences and what their FASTA headers say."""

import re
from pathlib import Path
from typing import TextIO

import pandas as pd

from plmbook.errors import InputError
from plmbook.sources.record import Source, opened, read_records

SOURCE = Source(
    name="uniprot",
    title="UniProtKB/Swiss-Prot, canonical sequences",
    url="https://rest.uniprot.org/uniprotkb/{accession}.fasta",
    release="not stated by the file used (2022; the header gives each sequence's version)",
    licence="CC BY 4.0",
    citation="The UniProt Consortium, Nucleic Acids Research 2023, doi:10.1093/nar/gkac1052",
    extracts=("acmg.filtered.genes.fa",),
    note="The address serves the current release; a sequence is the same while its version (SV) is the same.",
)

HEADER = re.compile(
    r"(?P<database>sp|tr)\|(?P<accession>[A-Z0-9]+(?:-\d+)?)\|(?P<entry_name>\w+) (?P<description>.*?) "
    r"OS=(?P<organism>.*?) OX=(?P<taxon>\d+)(?: GN=(?P<gene>\S+))?(?: PE=(?P<existence>\d))?(?: SV=(?P<version>\d+))?"
)


def read_fasta(source: str | Path | TextIO) -> pd.DataFrame:
    """Read a UniProt FASTA file.

    Parameters
    ----------
    source : path or text handle

    Returns
    -------
    DataFrame
        `uniprot` (accession), `entry_name`, `description`, `organism`, `taxon` (int64, NCBI), `gene` ("" where the
        header has none), `version` (int64, of the sequence; 0 where absent), `length` (int64, residues), `sequence`.

    Raises
    ------
    InputError
        Where a header is not UniProt's, or an accession appears twice.

    Examples
    --------
    >>> import io
    >>> text = ">sp|P02766|TTHY_HUMAN Transthyretin OS=Homo sapiens OX=9606 GN=TTR PE=1 SV=1\\nMASHR\\nLLL\\n"
    >>> read_fasta(io.StringIO(text))[["uniprot", "gene", "length"]].values.tolist()
    [['P02766', 'TTR', 8]]
    >>> read_fasta(io.StringIO(">TTR\\nMASHR\\n"))
    Traceback (most recent call last):
        ...
    plmbook.errors.InputError: UniProt FASTA, record 1: expected a header \
like 'sp|P02766|TTHY_HUMAN ... OS=... OX=...', \
found 'TTR'
    """
    rows = []
    with opened(source) as handle:
        for number, (header, sequence) in enumerate(read_records(handle), start=1):
            match = HEADER.match(header)
            if match is None:
                raise InputError(
                    f"UniProt FASTA, record {number}: expected a header like "
                    f"'sp|P02766|TTHY_HUMAN ... OS=... OX=...', found {header!r}"
                )
            fields = match.groupdict()
            rows.append(
                {
                    "uniprot": fields["accession"],
                    "entry_name": fields["entry_name"],
                    "description": fields["description"],
                    "organism": fields["organism"],
                    "taxon": int(fields["taxon"]),
                    "gene": fields["gene"] or "",
                    "version": int(fields["version"] or 0),
                    "length": len(sequence),
                    "sequence": sequence,
                }
            )
    table = pd.DataFrame(rows)
    if rows and table["uniprot"].duplicated().any():
        repeated = table.loc[table["uniprot"].duplicated(), "uniprot"].tolist()
        raise InputError(f"UniProt FASTA: expected every accession once, found again: {', '.join(repeated)}")
    return table
