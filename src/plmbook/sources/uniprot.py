"""UniProtKB: protein sequences and what their FASTA headers say; tables of proteins with their GO terms."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.text import read_csv, read_records
from plmbook.sources.cells import called

HEADER = re.compile(
    r"(?P<database>sp|tr)\|(?P<accession>[A-Z0-9]+(?:-\d+)?)\|(?P<entry_name>\w+) (?P<description>.*?) "
    r"OS=(?P<organism>.*?) OX=(?P<taxon>\d+)(?: GN=(?P<gene>\S+))?(?: PE=(?P<existence>\d))?(?: SV=(?P<version>\d+))?"
)

TSV = {  # our column -> how UniProt and others call it, without case and punctuation
    "id": ("entry", "accession", "uniprot", "uniprotid", "uniprotac", "uniprotaccession", "primaryaccession", "id"),
    "entry_name": ("entryname", "entry_name", "uniprotkbid"),
    "gene": ("genenames", "genenamesprimary", "gene", "genename", "genesymbol", "genes"),
    "taxon": ("organismid", "taxon", "taxonid", "taxid", "ncbitaxonid", "taxonomyid", "organismtaxid"),
    "length": ("length", "sequencelength"),
    "sequence": ("sequence", "proteinsequence", "aasequence"),
    "go_ids": ("geneontologyids", "goids", "goid", "go", "geneontology", "geneontologygo", "goterms", "goannotations",
               "goterm", "goannotation", "geneontologyterms", "geneontologyid", "term"),
}  # fmt: skip
GO_ID = re.compile(r"GO:\d{7}")


def read_tsv(source: str | Path | TextIO) -> pd.DataFrame:
    """Read a table that UniProt's website or REST service exported: `id` (accession), `entry_name`, `gene` (the first
    name, or ""), `taxon` (int64, NCBI; 0 where absent), `length` (int64), `sequence`, `go_ids` (tuple of str, sorted).
    Accessions, sequences and GO ids must be there, and lengths be those of the sequences.
    """
    where = called(source, "UniProt table")
    raw = read_csv(source, dtype=str, keep_default_na=False)
    columns = named(raw.columns)
    for needed in ("id", "sequence", "go_ids"):
        if needed not in columns:
            raise InputError(f"{where}: no column for {needed}; expected {TSV[needed][0]!r} or the like, found "
                             f"{', '.join(raw.columns[:10])}")  # fmt: skip
    raw = pd.DataFrame({ours: raw[theirs] for ours, theirs in columns.items()})  # `id` may be theirs for another
    ids, sequences = raw["id"], raw["sequence"]
    if (repeated := ids.duplicated() | (ids == "")).any():
        row = int(repeated.idxmax())
        raise InputError(f"{where}: row {row + 1}: accession {ids[row]!r}; expected each once and none empty")
    table = pd.DataFrame({"id": ids, "entry_name": raw.get("entry_name", "")})
    table["gene"] = raw["gene"].str.split(r"[ ;]", regex=True).str[0] if "gene" in raw else ""
    table["taxon"] = _taxa(raw["taxon"], where) if "taxon" in raw else 0
    table["length"] = sequences.str.len().astype("int64")
    if "length" in raw and (wrong := raw["length"] != table["length"].astype(str)).any():
        row = int(wrong.idxmax())
        raise InputError(f"{where}: {ids[row]}: length {raw['length'][row]}, its sequence has {table['length'][row]}")
    return table.assign(sequence=sequences, go_ids=[go_ids(cell) for cell in raw["go_ids"]])


def _taxa(cells: pd.Series, where: object) -> pd.Series:
    if (wrong := ~cells.str.fullmatch(r"[0-9]{1,18}")).any():
        row = int(wrong.idxmax())
        raise InputError(f"{where}: row {row + 1}: taxon {cells[row]!r}; expected NCBI's number, such as 9606")
    return cells.astype("int64")


def named(columns: Iterable[str]) -> dict[str, str]:
    """Our names of the columns that are there -> theirs; the first spelling of `TSV` that fits.
    >>> named(["Entry", "Gene Ontology (GO)", "Organism (ID)"])
    {'id': 'Entry', 'taxon': 'Organism (ID)', 'go_ids': 'Gene Ontology (GO)'}
    """
    theirs = {folded(name): name for name in reversed(list(columns))}
    found = {ours: [theirs[name] for name in spellings if name in theirs] for ours, spellings in TSV.items()}
    return {ours: names[0] for ours, names in found.items() if names}


def folded(name: str) -> str:
    """A column's name without case and punctuation.
    >>> folded("UniProt ID"), folded("esm2_embedding")
    ('uniprotid', 'esm2embedding')
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def go_ids(cell: object) -> tuple[str, ...]:
    """The GO ids in a cell, sorted, each once: `GO:1; GO:2`, `name [GO:0005829]`, a list or a missing value.
    >>> go_ids("nucleus [GO:0005634]; cytosol [GO:0005829]"), go_ids(["GO:0005634"]), go_ids(None)
    (('GO:0005634', 'GO:0005829'), ('GO:0005634',), ())
    """
    texts = [cell] if isinstance(cell, str) else cell if isinstance(cell, Iterable) else []
    return tuple(sorted(set(GO_ID.findall(" ".join(map(str, texts))))))


def read_fasta(source: str | Path | TextIO) -> pd.DataFrame:
    """Read a UniProt FASTA file; every accession once: `uniprot` (accession), `entry_name`, `description`, `organism`,
    `taxon` (int64, NCBI), `gene` ("" where absent), `version` (int64; 0 where absent), `length` (int64), `sequence`.
    """
    rows = []
    for number, (header, sequence) in enumerate(read_records(source), start=1):
        match = HEADER.match(header)
        if match is None:
            raise InputError(
                f"UniProt FASTA, record {number}: expected a header like "
                f"'sp|P02766|TTHY_HUMAN ... OS=... OX=...', found {header!r}"
            )
        numbers = {"taxon": int(match["taxon"]), "version": int(match["version"] or 0), "length": len(sequence)}
        rows.append(match.groupdict("") | numbers | {"uniprot": match["accession"], "sequence": sequence})
    columns = "uniprot entry_name description organism taxon gene version length sequence"
    table = pd.DataFrame(rows, columns=columns.split())
    if table["uniprot"].duplicated().any():
        repeated = table.loc[table["uniprot"].duplicated(), "uniprot"].tolist()
        raise InputError(f"UniProt FASTA: expected every accession once, found again: {', '.join(repeated)}")
    return table
