"""What `plmbook go` reads: embeddings, annotations, terms, clusters and sequences, as people have them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError, need
from plmbook.core.text import open_text
from plmbook.engine import store
from plmbook.sources import embeddings as streamed
from plmbook.sources import foreign, goa, uniprot
from plmbook.tables.readers import read_delimited

MADE_BY = ("model", "weights", "layer", "pool", "long")  # facts that a classifier and what it reads must share

_GO_CELL = re.compile(rf"(?:.*\[)?({uniprot.GO_ID.pattern})\]?")  # GO:0005829, or UniProt's `cytosol [GO:0005829]`


class Embeddings(NamedTuple):
    """Embeddings and what is known of their making."""

    table: pd.DataFrame  # id (str, distinct), perhaps length and others
    vectors: np.ndarray  # float32 (n, d)
    facts: dict  # `MADE_BY` and dimension of the manifest of a store; of a table of others only the dimension


def read_embeddings(path: str | Path) -> Embeddings:
    """Read the folder of `plmbook embed` or of `sources.embeddings.fill`, or a table that `sources.foreign` reads.
    The vectors of a `fill` folder stay on disk (a memory map) until proteins are chosen."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected embeddings, such as `plmbook embed` writes")
    if (path / streamed.VECTORS).is_file() and not (path / "manifest.json").is_file():
        table, vectors = streamed.read(path)
        return Embeddings(table.astype({"id": "str"}), vectors, {"dimension": vectors.shape[1]})
    if (path / "manifest.json").is_file():
        manifest = store.manifest(path)
        if manifest["pool"] == "residue":
            raise InputError(f"{path}: holds an embedding per residue; embed with --pool mean, max or bos")
        table, facts = store.read(path), {name: manifest[name] for name in (*MADE_BY, "dimension")}
    else:
        table = foreign.read_hub(path)
        facts = {"dimension": len(table["embedding"].iloc[0])}
    vectors = np.stack(table["embedding"]).astype(np.float32)
    return Embeddings(table.drop(columns="embedding").astype({"id": "str"}), vectors, facts)


class Annotations(NamedTuple):
    """Which protein has which GO term."""

    pairs: pd.DataFrame  # id, go_id (str), each pair once, in the order of the file; an empty cell gives none
    left_out: list[tuple[str, int]]  # of a GAF file: reason and number of those that say NOT or are of other databases
    evidence: dict[str, int]  # of a GAF file: annotations of each code


def read_annotations(path: str | Path) -> Annotations:
    """Read a tab-separated table with the columns id (Entry, accession, ...) and go_id (GO, ...), or a GAF 2.x file.
    Several GO ids may stand in a cell, separated by `;`, alone or as UniProt has them, `cytosol [GO:0005829]`."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table of annotations with the columns id and go_id")
    with open_text(path) as handle:
        if handle.read(12).startswith("!gaf-version"):
            return _read_gaf(path)
    table, lines = read_delimited(path)
    name, term = foreign.id_column(table, path), _go_column(table, path)
    cells = table[term].str.split(";").explode().str.strip()
    cells = cells[cells != ""]
    found = cells.str.extract(f"^{_GO_CELL.pattern}$")[0]
    if (wrong := found.isna()).any():
        what = repr(cells[wrong].iloc[0][:40])
        raise InputError(f"{path}: line {lines[cells.index[wrong][0]]}: {what}: expected a GO id such as GO:0005634")
    pairs = pd.DataFrame({"id": table.loc[cells.index, name].str.strip().to_numpy(), "go_id": found.to_numpy()})
    if (nameless := pairs["id"] == "").any():
        raise InputError(f"{path}: line {lines[cells.index[nameless][0]]}: the column {name} is empty")
    return Annotations(pairs.drop_duplicates(ignore_index=True), [], {})


def _read_gaf(path: Path) -> Annotations:
    found = goa.read_gaf(path)
    left_out = list(found.exclusions.itertuples(index=False, name=None))
    if not len(found.annotations):
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in left_out) or "the file has none"
        raise InputError(f"{path}: no annotation of a protein of UniProtKB; left out: {reasons}")
    evidence = {str(code): int(count) for code, count in found.annotations["evidence"].value_counts().items()}
    return Annotations(found.annotations[["id", "go_id"]].drop_duplicates(ignore_index=True), left_out, evidence)


def _go_column(table: pd.DataFrame, path: Path) -> str:
    """The column with GO ids; of UniProt's two the one that holds nothing else."""
    spellings = uniprot.TSV["go_ids"]
    found = {uniprot.folded(name): name for name in table if uniprot.folded(name) in spellings}
    if not found or (len(found) > 1 and spellings[0] not in found):
        what = ", ".join(found.values()) or f"none among {', '.join(table.columns[:8])}"
        raise InputError(f"{path}: expected one column with GO ids, such as go_id; found {what}")
    return found.get(spellings[0], next(iter(found.values())))


def read_terms(path: str | Path) -> list[str]:
    """GO ids of a text file, the first word of each line; a header and lines with `#` are passed over."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"--terms {path}: expected a number, or a file with a GO id a line")
    with open_text(path) as handle:
        words = [(number, line.split()[0]) for number, line in enumerate(handle, start=1) if line.strip()]
    found: list[str] = []
    for number, word in words:
        if word.startswith("#") or (number == 1 and not word.startswith("GO:")):
            continue
        if not uniprot.GO_ID.fullmatch(word) or word in found:
            why = "repeats" if word in found else "is no GO id"
            raise InputError(f"{path}: line {number}: {word[:40]!r} {why}; expected a GO id such as GO:0005634 a line")
        found.append(word)
    if not found:
        raise InputError(f"{path}: holds no GO id; expected one a line")
    return found


def read_sequences(path: str | Path, ids: Sequence[str]) -> dict[str, str]:
    """The sequences of some proteins by id, of a FASTA file that has them all."""
    found = dict(tables.read_fasta(path)[["id", "sequence"]].itertuples(index=False))
    if missing := [name for name in ids if name not in found]:
        raise InputError(f"{path}: lacks {len(missing)} of {len(ids)} embedded proteins, such as {missing[0]!r}")
    return found


def read_clusters(path: str | Path, ids: Sequence[str]) -> pd.Series:
    """The cluster of each of some proteins, Series of str by id, of a tab-separated table of id and cluster."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"--clusters {path}: no such file; expected a table with the columns id and cluster")
    table, _ = read_delimited(path)
    need(table, ["id", "cluster"], str(path))
    if (repeated := table["id"].duplicated()).any():
        raise InputError(f"{path}: {table.loc[repeated, 'id'].iloc[0]!r} repeats; expected each protein once")
    found = table.set_index("id")["cluster"].reindex(pd.Index(ids, name="id"))
    if (without := found.isna() | (found == "")).any():
        first = found.index[without][0]
        raise InputError(f"{path}: {without.sum()} of {len(ids)} proteins have no cluster, such as {first!r}")
    return found
