"""Readers of FASTA and of delimited text that refuse a faulty file before any model loads."""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, did_you_mean, shown
from plmbook.core.residues import MutationError, first_fault, join_mutations, parse_mutations
from plmbook.core.text import fasta_records, lines, refuse_unless_file
from plmbook.tables.schema import LISTED, Column, Faults, Schema, TableError, check, refuse_missing_columns

_SEQUENCES = Schema("proteins", (Column("id", "str"), Column("sequence", "str")), key=("id",))
_BLOCK_CHARACTERS = 2**20  # of headers and sequences: what a reader that streams holds at a time


def read_table(path: str | Path, schema: Schema) -> pd.DataFrame:
    """Read a table and check it against a schema.

    Parameters
    ----------
    path : str or Path
        Parquet (`.parquet`), or tab-separated text with a header (anything else; gzip is seen by its content).
    schema : Schema
        That it must fit (TableError).

    Returns
    -------
    DataFrame
        As `check`.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        table, numbers = read_delimited(path)
        return check(table, schema, where=path, lines=numbers)
    return check(read_parquet(path), schema, where=path)


def read_parquet(path: str | Path) -> pd.DataFrame:
    """A Parquet file; one that is missing or damaged is refused by name."""
    refuse_unless_file(Path(path))
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise InputError(f"{path}: cannot be read as Parquet ({error}); cut short?") from None


def read_fasta(path: str | Path) -> pd.DataFrame:
    """Read protein sequences from a FASTA file.

    Parameters
    ----------
    path : str or Path
        Plain or gzip text; Windows line ends and a byte-order mark are accepted.

    Returns
    -------
    DataFrame
        A row per record in the order of the file: `id` (str, the first word of the header, distinct), `description`
        (str, the rest), `sequence` (str, `AMINO_ACIDS` and `UNKNOWN`, white space removed), `length` (int64, residues).

    Raises
    ------
    InputError
        With file, line and record: no id, no sequence or an id used before; lower case, a gap, a stop or anything that
        is not a residue; DNA.
    """
    return pd.concat(FastaFile(path).blocks(), ignore_index=True)


class FastaFile:
    """The proteins of a FASTA file, read a block at a time and as often as wanted: memory does not grow with the file.
    `path` is a file on disk, plain or gzip, as for `read_fasta`; a pipe could be read only once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._checked: tuple | None = None  # the stamp of the file that was read to its end without a fault

    def __repr__(self) -> str:
        return f"FastaFile({str(self.path)!r})"

    def blocks(self, characters: int = _BLOCK_CHARACTERS) -> Iterator[pd.DataFrame]:
        """Read the file from its beginning: tables as of `read_fasta`, one or more records each, index from 0. A block
        is closed when its headers and sequences have so many characters; a longer protein is alone in its own. Faults
        are raised at the end of the first reading (no block counts before it), and where the file has changed."""
        stamp = self._stamp()
        faults = Faults(self.path, None)
        hashes = array("q")
        rows: list[tuple[str, str, str]] = []
        filled = 0
        for header, line, parts in fasta_records(lines(self.path), self.path):
            name, description, sequence = _fields(header, parts)
            _check_record(name, sequence, line, parts, faults)
            size = len(header) + len(sequence)
            if rows and filled + size > characters:
                if not faults:  # else nothing will come of it: the rest is read to count the faults
                    self._refuse_if_changed(stamp)
                    yield _protein_table(rows)
                rows, filled = [], 0
            rows.append((name, description, sequence))
            filled += size
            if name and self._checked is None:
                hashes.append(hash(name))
        self._note_repeated_ids(np.asarray(hashes), faults)  # ids were remembered as eight bytes each: read again
        self._refuse_if_changed(stamp)
        faults.refuse(InputError, "in the FASTA file")
        self._checked = stamp
        yield _protein_table(rows)

    def _stamp(self) -> tuple:
        """What changes when the file does."""
        refuse_unless_file(self.path)
        if not self.path.is_file():
            raise InputError(
                f"{self.path}: expected a file on disk, found a pipe or a device, which can be read only once; "
                "save it as a file first"
            )
        found = self.path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _refuse_if_changed(self, stamp: tuple) -> None:
        if self._checked not in (None, stamp) or self._stamp() != stamp:
            raise InputError(f"{self.path}: was changed while it was in use; leave it as it is and start again")

    def _note_repeated_ids(self, hashes: np.ndarray, faults: "Faults") -> None:
        hashes.sort()  # in place: there may be a hundred million
        repeated = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not repeated:
            return
        first_lines: dict[str, int] = {}
        for header, line, parts in fasta_records(lines(self.path), self.path):
            name = _fields(header, parts)[0]
            if name and hash(name) in repeated and first_lines.setdefault(name, line) != line:
                faults.add_line(
                    line,
                    f"record {name!r} repeats the id of line {first_lines[name]}; "
                    "ids are the first word of each header and must be distinct",
                )


def read_variants(
    path: str | Path, proteins: pd.DataFrame, *, reserved: Collection[str] = ("model", "strategy", "score")
) -> pd.DataFrame:
    """Read a table of variants and check each of them against the sequence of its protein.

    Parameters
    ----------
    path : str or Path
        Tab-separated text with a header line; columns `id` (or `gene`), holding an id of `proteins`, and `mutation`, in
        any form that `parse_mutations` reads. Plain or gzip; Windows line ends and a byte-order mark are accepted.
    proteins : DataFrame
        Columns `id` (distinct) and `sequence`, as `read_fasta` gives them.
    reserved : collection of str
        Names of columns that will be written, and so may not be carried.

    Returns
    -------
    DataFrame
        A row per row of the file, in its order: `id` (str), `mutation` (str, normalised: `R175H` or `R175H:N239Y`),
        then the file's further columns as text (also `gene`, where that column gave the ids). Every mutation applies to
        the sequence of its protein, and each (id, mutation) is there once.

    Raises
    ------
    TableError
        If the file lacks a column or has one that is reserved; or a row names an unknown protein, holds no missense
        mutation, does not fit the sequence, or repeats an earlier one. All faults are counted and up to ten listed.
    """
    path = Path(path)
    proteins = check(proteins, _SEQUENCES, where="the proteins given")
    table, numbers = read_delimited(path)
    identifier = "gene" if "gene" in table.columns and "id" not in table.columns else "id"
    refuse_missing_columns(table, (identifier, "mutation"), path, instead={"id": "gene"})
    clashes = [name for name in table.columns if name in reserved]
    if clashes:
        named = ", ".join(map(repr, clashes))
        raise TableError(
            f"{path}: line 1: the columns {', '.join(reserved)} are written by this command, found {named}; rename them"
        )
    ids = table[identifier].str.strip().tolist()
    faults = Faults(path, numbers)
    mutations = _fitting_mutations(ids, table["mutation"].tolist(), proteins, faults)
    faults.refuse(TableError, "in the table of variants")
    head = pd.DataFrame({"id": ids, "mutation": mutations}, dtype="str")
    return pd.concat([head, table.drop(columns=["id", "mutation"], errors="ignore")], axis=1)


def _fitting_mutations(ids: Sequence[str], texts: Sequence[str], proteins: pd.DataFrame, faults: Faults) -> list[str]:
    """Normalise the mutations; note each row whose protein is unknown, or which does not fit or repeats another."""
    sequences = dict(zip(proteins["id"], proteins["sequence"], strict=True))
    unknown: dict[str, list[int]] = defaultdict(list)
    first_rows: dict[tuple[str, str], int] = {}
    normalised = []
    for row, (name, text) in enumerate(zip(ids, texts, strict=True)):
        joined = ""
        if name not in sequences:
            unknown[name].append(row)
        else:
            try:
                mutations = parse_mutations(text)
                for mutation in mutations:
                    mutation.check(sequences[name])
                joined = join_mutations(mutations)
                first = first_rows.setdefault((name, joined), row)
                if first != row:
                    faults.add(row, f"{name!r} {joined} repeats {faults.label(first)}; expected each variant once")
            except MutationError as error:
                faults.add(row, f"{name!r} {error}")
        normalised.append(joined)
    for order, (name, rows) in enumerate(unknown.items()):
        # Finding near names in a proteome is slow: only for those that the message can list.
        hint = did_you_mean(name, sequences) if order < LISTED else ""
        others = f" (and on {len(rows) - 1} further lines)" if len(rows) > 1 else ""
        said = f"id {name!r} is not among the {len(sequences)} proteins" if name else "the id is empty"
        faults.add(rows[0], f"{said}{others}{hint}")
    return normalised


def _fields(header: str, parts: Sequence[tuple[int, str]]) -> tuple[str, str, str]:
    """Id, description and sequence of a FASTA record."""
    name, description = [*header.split(maxsplit=1), "", ""][:2]
    return name, description, "".join([part for _, part in parts])


def _protein_table(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["id", "description", "sequence"], dtype="str")
    return table.assign(length=table["sequence"].str.len().astype("int64"))


def _check_record(name: str, sequence: str, line: int, parts: Sequence[tuple[int, str]], faults: Faults) -> None:
    if not name:
        faults.add_line(line, "the header has no id; expected '>' and a first word that names the protein")
    if not sequence:
        faults.add_line(line, f"record {name!r} has no sequence; expected residues below the header")
    elif first_fault(sequence) is not None:
        line, (offset, why) = next((line, fault) for line, part in parts if (fault := first_fault(part)))
        faults.add_line(line, f"record {name!r}: {why.format(place=f'column {offset + 1}')}")  # the first says enough
    elif len(sequence) >= 30 and not sequence.strip("ACGTUN") and len(set(sequence) - {"N"}) >= 4:
        faults.add_line(
            line, f"record {name!r}: expected a protein, found only the letters of DNA or RNA; translate it first"
        )


def read_delimited(path: str | Path) -> tuple[pd.DataFrame, list[int]]:
    """Read tab-separated text with a header as a table of texts, with the line of each row in the file.
    A quotation mark never joins rows: only a pair around a whole cell, as spreadsheets write it, is taken off."""
    path = Path(path)
    filled = [(number, _cells(line)) for number, line in enumerate(lines(path), start=1) if line.strip()]
    header_line, header = filled[0][0], [name.strip() for name in filled[0][1]]
    _refuse_other_formats(path, header_line, header)
    if "" in header:
        raise TableError(
            f"{path}: line {header_line}: expected a name for every column, "
            f"found none for column {header.index('') + 1}"
        )
    if len(filled) == 1:
        raise TableError(f"{path}: expected rows below the header, found none")
    numbers, rows = [number for number, _ in filled[1:]], [fields for _, fields in filled[1:]]
    faults = Faults(path, numbers)
    for row, fields in enumerate(rows):
        if len(fields) != len(header):
            faults.add(row, f"expected {len(header)} tab-separated values, as the header has, found {len(fields)}")
    faults.refuse(TableError, "in the tab-separated table")
    table = pd.DataFrame(rows, columns=header, dtype="str")
    refuse_missing_columns(table, (), path)  # and those that are there twice
    return table, numbers


def _cells(line: str) -> list[str]:
    cells = line.removesuffix("\n").split("\t")
    if '"' not in line:
        return cells
    whole = [len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells]
    return [cell[1:-1].replace('""', '"') if both else cell for cell, both in zip(cells, whole, strict=True)]


def _refuse_other_formats(path: Path, line: int, header: list[str]) -> None:
    """A header of a single column is mostly another format; say which."""
    if header[0].startswith(">"):
        raise TableError(
            f"{path}: line {line}: expected a header of tab-separated names, found FASTA; "
            "are the files in the wrong order?"
        )
    if len(header) > 1:
        return
    for separator, name in ((",", "commas"), (";", "semicolons"), ("|", "bars"), (" ", "blanks")):
        if separator in header[0]:
            raise TableError(
                f"{path}: line {line}: expected columns separated by tabs, "
                f"found {name} in {shown(header[0])}; save as TSV"
            )
