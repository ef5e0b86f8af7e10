"""The rescue candidates of a whole table in one Parquet file, written protein by protein so that a job can go on.

    OUT.parquet           the candidates, rows of `rescue_tables.RESCUE` and the variants' further columns
    OUT.parquet.parts/    while the job runs: a file a protein, named by the sha256 of what made it

That is the models (name, sha256 of the weights, precision), the protein, its variants and the options; a part of
another job is refused.
"""

import itertools
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plmbook import tables
from plmbook.core import paths
from plmbook.core.artifacts import sha256, write_atomically
from plmbook.core.errors import InputError
from plmbook.core.residues import join_mutations, parse_mutations
from plmbook.core.structures import Structure, structures_of
from plmbook.engine import store
from plmbook.sources import alphafold
from plmbook.variants import rescue
from plmbook.variants.alignment import ortholog_residues
from plmbook.variants.rescue_tables import RESCUE

# Columns that are written, and so may not be among the variants' own.
RESERVED = tuple(name for name in RESCUE.names if name not in ("id", "mutation"))

_VERSION = 1  # of the algorithm and of the columns: raise it where the same job gives other rows
_KEY, _FACTS = b"plmbook.rescue", b"plmbook.rescue.facts"  # in files that earlier versions wrote too


def write(
    path: str | Path,
    model,
    proteins: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
    orthologs: Mapping[str, np.ndarray] | None = None,
    top: int = rescue.TOP,
    long: str = "window",
    progress: bool = False,
) -> int:
    """Scan a table of variants into a file, or go on where an interrupted call stopped.

    Parameters
    ----------
    path : path
        The Parquet file to be.  One that another job wrote is replaced; its own is left as it is.
    model
        From `plmbook.models.load`, or a sequence of such: rows of each member, and of the ensemble with model=mean.
    proteins, variants : DataFrame
        id, sequence; and id, mutation, each once, with further columns (`plmbook.tables.read_variants`), carried.
    structures, orthologs : mapping, optional
        By id, as in `plmbook.variants.rescue.scan_protein`; a protein may be missing.
    top, long, progress
        As in `plmbook.variants.rescue.scan_protein`.

    Returns
    -------
    int
        Proteins that this call computed; 0 where the file was complete.

    Raises
    ------
    InputError
        Before any forward, but for what `long` refuses: as `effects.pair_up` and `rescue.scan_protein`; a further
        column with the name of a written one; parts of another job (it says what differs); another process at work.
    """
    from tqdm import tqdm

    path = Path(path)
    rescue.check_top(top)
    models = rescue.members(model)
    jobs = rescue.jobs(proteins, variants, structures=structures, orthologs=orthologs)
    facts = [_facts(models, job, top=top, long=long) for job in jobs]
    carried = _carried(variants)
    whole = _digest([facts, carried.to_csv()])
    folder = _folder(path)
    parts = [folder / f"{_digest(each)}.parquet" for each in facts]
    if _metadata(path).get(_KEY, b"").decode() == whole:
        _remove(folder, parts)  # of a process that was killed between the last two steps
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with store.lock(folder):
        _refuse_foreign(folder, facts)
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        for number in tqdm(missing, desc=path.name, unit="protein", disable=not progress):
            found = rescue.scan_job(models, jobs[number], top=top, long=long, progress=progress)
            table = pa.Table.from_pandas(pd.concat([each.candidates for each in found]), preserve_index=False)
            table = table.replace_schema_metadata({_FACTS: _as_json(facts[number])})
            write_atomically(parts[number], partial(pq.write_table, table, compression="zstd"))
        marks = {_KEY: whole.encode(), _FACTS: _as_json(facts[0])}
        write_atomically(path, lambda temporary: _join(temporary, parts, carried, marks))
        _remove(folder, parts)
    return len(missing)


def precisions(path: str | Path) -> dict[str, str]:
    """model -> dtype of the job that a file, or the parts beside it, are of; empty where no job has begun."""
    path = Path(path)
    for found in [*sorted(_folder(path).glob("*.parquet")), path]:
        facts = json.loads(_metadata(found).get(_FACTS, b"{}"))
        if facts:
            return {name: dtype for name, _, dtype in facts["models"]}
    return {}


def of_bundled_genes(
    proteins: pd.DataFrame, genes: pd.DataFrame, structures: pd.DataFrame, orthologs: pd.DataFrame
) -> tuple[dict[str, Structure], dict[str, np.ndarray]]:
    """Structures and alignments by id, as `write` takes them, of proteins whose sequence is that of a bundled gene."""
    gene_of = dict(zip(genes["sequence"], genes["gene"], strict=True))
    named = proteins.assign(gene=proteins["sequence"].map(gene_of)).dropna(subset="gene")
    wanted = structures[structures["gene"].isin(named["gene"])]
    models = structures_of(wanted) if len(wanted) else {}
    rows = {row.id: ortholog_residues(orthologs, row.gene, row.sequence)[1] for row in named.itertuples()}
    return (
        {row.id: models[row.gene] for row in named.itertuples() if row.gene in models},
        {name: residues for name, residues in rows.items() if len(residues)},
    )


def structures_and_orthologs(
    proteins: pd.DataFrame, folder: Path | None
) -> tuple[dict[str, Structure], dict[str, np.ndarray]]:
    """Structures and alignments by id: the bundled ones where a sequence is a gene's, and `folder/ID.pdb`."""
    structures: dict[str, Structure] = {}
    orthologs: dict[str, np.ndarray] = {}
    if (paths.data() / "genes.tsv").is_file():  # an installation may have the models alone
        bundled = (tables.load(name) for name in ("genes", "structures", "orthologs"))
        structures, orthologs = of_bundled_genes(proteins, *bundled)
    if folder is None:
        return structures, orthologs
    if not folder.is_dir():
        raise InputError(f"--structures {folder}: no such folder")
    for name in proteins["id"]:
        path = folder / f"{name}.pdb"
        if path.is_file():
            structures |= structures_of(alphafold.read_structure(path).assign(id=name))
    return structures, orthologs


def _folder(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


def _remove(folder: Path, parts: list[Path]) -> None:
    for part in parts:
        part.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _facts(models, job: rescue.Job, *, top: int, long: str) -> dict:
    """What a part is made of, as JSON can hold it; what is long is hashed."""

    def digest(array, dtype: str) -> str:
        return "" if array is None else sha256(np.asarray(array, dtype=dtype).tobytes())

    return {
        "version": _VERSION,
        "models": [[each.name, each.weights_hash, getattr(each, "dtype", "")] for each in models],
        "protein": job.id,
        "sequence": _digest(job.sequence),
        "variants": _digest([join_mutations(variant) for variant in job.variants]),
        "structure": digest(job.structure and job.structure.cb, "<f4"),
        "orthologs": digest(job.orthologs, "<i1"),
        "top": top,
        "long": long,
    }


def _as_json(facts) -> bytes:
    return json.dumps(facts, sort_keys=True).encode()


def _digest(facts) -> str:
    return sha256(_as_json(facts))


def _metadata(path: Path) -> dict[bytes, bytes]:
    """What a Parquet file says about itself; nothing where there is no such file."""
    try:
        return pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return {}


def _refuse_foreign(folder: Path, facts: list[dict]) -> None:
    mine = {each["protein"]: each for each in facts}
    for found in sorted(folder.iterdir()):
        if found.name.startswith("."):  # half written, by a process that was killed
            found.unlink()
            continue
        other = json.loads(_metadata(found).get(_FACTS, b"{}"))
        if found.name != f"{_digest(other)}.parquet":
            why = "is none of this command's files, or is damaged"
        elif other["protein"] not in mine:
            why = f"is of protein {other['protein']!r} of another job"
        elif other != (expected := mine[other["protein"]]):
            differing = [name for name in expected if other.get(name) != expected[name]]
            changes = "; ".join(f"{name} was {other.get(name)!r}, now {expected[name]!r}" for name in differing)
            why = f"is of another job: {changes}"
        else:
            continue
        raise InputError(f"{found}: {why}; repeat what was asked first, or remove the folder {folder}")


def _join(path: Path, parts: list[Path], carried: pd.DataFrame, marks: dict[bytes, bytes]) -> None:
    """All parts in one file, with the variants' further columns; a part is in memory at a time."""
    key = ["id", "mutation"]
    tables = (pd.read_parquet(part).merge(carried, on=key, how="left", validate="many_to_one") for part in parts)
    arrow = (pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None) for table in tables)
    first = next(arrow)
    with pq.ParquetWriter(path, first.schema.with_metadata(marks), compression="zstd") as writer:
        for table in itertools.chain([first], arrow):
            writer.write_table(table.cast(writer.schema))


def _carried(variants: pd.DataFrame) -> pd.DataFrame:
    """The variants with the mutations written as in the candidates."""
    clashes = [name for name in variants.columns if name in RESERVED]
    if clashes:
        raise InputError(f"the table of variants has columns that are written: {', '.join(clashes)}; rename them")
    written = [join_mutations(parse_mutations(text)) for text in variants["mutation"]]
    return variants.assign(mutation=pd.Series(written, index=variants.index, dtype="str"))
