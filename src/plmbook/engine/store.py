"""The embedding store: Parquet shards and a manifest in a folder; nothing half written, nothing computed twice.

    DIR/manifest.json                                              what made it, and what is in each shard
    DIR/data/embeddings-00000-of-00003-0123456789abcdef.parquet    a shard; its name ends with the start of its sha256

Pooled, a row is a protein: `id`, `length` (residues), the proteins' further columns, `embedding` (fixed-size list of
float16); else a residue, in order: `id`, `position` (from 1), `embedding`.  The same job gives the same bytes: a shard
is moved into place when it is whole, and carries the key of its store (sha256 of what made it).
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from tqdm import tqdm

from plmbook.core.artifacts import file_sha256, sha256, write_atomically
from plmbook.core.errors import InputError
from plmbook.engine import encode, shards
from plmbook.tables import FastaFile

_ROW_GROUP_BYTES = 2**25  # what a reader that streams holds at a time

_NAME = re.compile(r"embeddings-(\d{5})-of-(\d{5})-([0-9a-f]{16})\.parquet")


def write(
    folder: str | Path,
    model,
    proteins: pd.DataFrame | FastaFile | shards.Plan,
    *,
    source: str | Path | None = None,
    layer: int = -1,
    pool: str = "mean",
    long: str = "window",
    shard_residues: int = shards.SHARD_RESIDUES,
    token_budget: int | None = None,
    progress: bool = False,
) -> int:
    """Embed proteins into a store, or go on where an interrupted call stopped.

    Parameters
    ----------
    folder, model : path, Model
        New, empty, or a store of the very same job; from `plmbook.models.load`.
    proteins, source : DataFrame, FastaFile or Plan, path
        `id` (distinct), `sequence`; a pooled store keeps further columns of text or numbers.  A `FastaFile` is never in
        memory as a whole.  The source is the file that they come from, for the manifest.
    layer, pool, long, progress
        As in `plmbook.engine.encode.embed`.
    shard_residues, token_budget : int
        A shard is closed before it would exceed this; tokens of a batch (default: `choose_token_budget`).

    Returns
    -------
    int
        Shards that this call computed; 0 where the store was complete.

    Raises
    ------
    InputError
        Before any forward: bad proteins or options, a folder of something else (the message says what differs), a
        damaged or foreign shard, another process that is writing here.  Nothing is removed.
    """
    folder = Path(folder)
    if token_budget is None:
        token_budget = choose_token_budget(folder, model)
    options: dict[str, Any] = {"layer": layer, "pool": pool, "long": long, "token_budget": token_budget}
    mine = shards.new_manifest(model, proteins, source=source, shard_residues=shard_residues, **options)
    existing(folder)  # refuses before anything is made
    with job(folder, mine, progress=progress) as (facts, missing, bar):
        for number, chosen in shards.split(facts, missing, proteins):
            vectors = encode.embed(model, chosen["sequence"].tolist(), **options)
            write_shard(folder, facts, number, chosen, vectors)
            bar.update(len(chosen))
    return len(missing)


def choose_token_budget(folder: str | Path, model) -> int:
    """Tokens of a batch: as the folder's store records (another size may change last bits), else the machine's."""
    before = existing(folder)
    return encode.token_budget(model) if before is None else before["token_budget"]


@contextlib.contextmanager
def job(folder: Path, mine: dict, *, progress: bool) -> Iterator[tuple[dict, list[int], tqdm]]:
    """Hold the folder for the job that the manifest `mine` describes: what `begin` gives, and a bar to update by
    proteins.  Who leaves without an error has written every missing shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        facts, missing = begin(folder, mine)
        total = facts["proteins"]["count"]
        done = total - sum(facts["shards"][number]["proteins"] for number in missing)
        with tqdm(total=total, initial=done, unit=" proteins", disable=not progress) as bar:
            yield facts, missing, bar
        if missing or not facts.get("complete"):
            _finish(folder, facts)


def begin(folder: Path, mine: dict) -> tuple[dict, list[int]]:
    """Make the existing, locked folder a store of the job `mine`: its manifest, and the numbers of the shards to
    compute, ascending. Another job's store, or a damaged or foreign shard, is an InputError.
    """
    facts = existing(folder)
    for leftover in folder.glob(".writing-*"):  # of a process that was killed
        leftover.unlink()
    if facts is None:
        facts = mine
        _write_manifest(folder, facts)
    found = _survey(folder, facts)
    ignored = {"store", "shards", "complete", "source.file"}
    if (found["state"] == "ok").all():
        ignored |= {"versions", "device"}  # what is whole stays valid; what is not is never made in two ways
    differing = [f"{name} was {old!r}, now {new!r}" for name, old, new in shards.differences(facts, mine, ignored)]
    if differing:
        raise InputError(
            f"{folder}: holds the embeddings of another job: {'; '.join(differing)}; "
            "name another folder, or repeat what was asked first"
        )
    _refuse_faults(folder, found[~found["state"].isin(["ok", "missing"])])
    return facts, found.loc[found["state"] == "missing", "shard"].tolist()


def write_shard(
    folder: Path, facts: dict, number: int, proteins: pd.DataFrame, vectors: np.ndarray | list[np.ndarray]
) -> Path:
    """Write one shard, vectors as of `encode.embed`, whole or not at all; in any order and by several processes."""
    table = shards.arrow_table(facts, proteins, vectors)
    planned = facts["shards"][number]
    if table.num_rows != planned["rows"] or proteins["id"].iloc[0] != planned["first"]:
        raise RuntimeError(f"shard {number}: {table.num_rows} rows, the plan says {planned['rows']}")
    table = table.replace_schema_metadata({"plmbook.store": facts["store"], "plmbook.shard": str(number)})
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=[name for name in table.column_names if name != "embedding"],
        row_group_size=max(1, _ROW_GROUP_BYTES // (2 * facts["dimension"])),
    )
    content = sink.getvalue()
    digest = sha256(content)
    name = f"embeddings-{number:05d}-of-{len(facts['shards']):05d}-{digest[:16]}.parquet"
    return _place(folder, folder / "data" / name, content)


def _finish(folder: Path, facts: dict) -> None:
    """Check every shard and write their checksums into the manifest: the store is complete."""
    found = _survey(folder, facts)
    _refuse_faults(folder, found[found["state"] != "ok"])
    written = [
        planned | {"file": row.file, "sha256": row.sha256}
        for planned, row in zip(facts["shards"], found.itertuples(), strict=True)
    ]
    _write_manifest(folder, facts | {"shards": written, "complete": True})


def existing(folder: str | Path) -> dict | None:
    """The manifest of a store, finished or not; None where the folder is new or empty."""
    folder = Path(folder)
    place = folder / "manifest.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a folder for the embeddings")
    if not place.is_file():
        if folder.is_dir() and any(not path.name.startswith(".writing-") for path in folder.iterdir()):
            raise InputError(f"{folder}: holds files but no embedding store (manifest.json); name a new folder")
        return None
    try:
        facts = json.loads(place.read_text(encoding="utf-8"))
        ours = facts["format"] == shards.FORMAT and facts["store"] == shards.key(facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        ours = False
    if not ours:
        raise InputError(f"{place}: damaged, changed, or no manifest of this version ({shards.FORMAT})")
    return facts


def manifest(folder: str | Path) -> dict:
    """What made a store, and its shards; `complete` is absent where the job has not ended."""
    facts = existing(folder)
    if facts is None:
        raise InputError(f"{folder}: no embedding store here; `plmbook embed` makes one")
    return facts


def verify(folder: str | Path) -> pd.DataFrame:
    """Compare every shard with its checksum, its store and the plan.

    Parameters
    ----------
    folder : path
        Of `write` or `plmbook embed`; no store or a damaged manifest is an `InputError`.

    Returns
    -------
    DataFrame
        A row per shard of the plan and per other file: `shard` (number, -1 for what is none), `file`, `state` (`ok`,
        `missing`, `corrupt`, `foreign`), `why`, `sha256` (hex; empty where there is no file).
    """
    return _survey(Path(folder), manifest(folder))


def dataset(folder: str | Path) -> pyarrow.dataset.Dataset:
    """Open a complete store without reading it, for what does not fit into memory; rows in the order of the proteins.

    Parameters
    ----------
    folder : path
        Of `write` or `plmbook embed`; a missing, damaged or foreign shard is an `InputError` that names every one.

    Returns
    -------
    pyarrow.dataset.Dataset
    """
    folder = Path(folder)
    found = verify(folder)
    _refuse_faults(folder, found[found["state"] != "ok"])
    return pyarrow.dataset.dataset([str(folder / "data" / name) for name in found["file"]], format="parquet")


def read(folder: str | Path) -> pd.DataFrame:
    """Read a whole store, checked.

    Parameters
    ----------
    folder : path
        As in `dataset`.

    Returns
    -------
    DataFrame
        Rows in the order of the proteins, the columns of the shards; `embedding` holds float16 arrays (d,).
    """
    return dataset(folder).to_table().to_pandas()


def _survey(folder: Path, facts: dict) -> pd.DataFrame:
    """What `verify` returns."""
    rows = {n: (n, "", "missing", "not computed yet, or removed", "") for n in range(len(facts["shards"]))}
    others = []
    data = folder / "data"
    for path in sorted(data.iterdir()) if data.is_dir() else []:
        digest = file_sha256(path) if path.is_file() else ""
        number, state, why = _judged(path, digest, facts)
        if number is None or rows[number][2] != "missing":
            others.append((-1, path.name, "foreign", why or f"a second shard {number}", digest))
        else:
            rows[number] = (number, path.name, state, why, digest)
    return pd.DataFrame([*rows.values(), *others], columns=["shard", "file", "state", "why", "sha256"])


def _judged(path: Path, digest: str, facts: dict) -> tuple[int | None, str, str]:
    """Number, state and reason of a file among the shards."""
    named = _NAME.fullmatch(path.name)
    if not named or int(named[2]) != len(facts["shards"]) or int(named[1]) >= int(named[2]) or not path.is_file():
        return None, "foreign", "its name is none of this store's shards"
    number = int(named[1])
    if not digest.startswith(named[3]):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4))
            why = "its content is not what was written" if file.read() == b"PAR1" else "it is cut off"
        return number, "corrupt", f"{why} (sha256 {digest[:16]}, expected {named[3]})"
    try:
        carried = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid:
        return None, "foreign", "it is no Parquet file"
    if (carried.get(b"plmbook.store"), carried.get(b"plmbook.shard")) != (facts["store"].encode(), b"%d" % number):
        return None, "foreign", "it belongs to another store or another place"
    if facts["shards"][number].get("sha256", digest) != digest:
        return None, "foreign", "it is not the shard that the manifest lists"
    return number, "ok", ""


def _refuse_faults(folder: Path, faults: pd.DataFrame) -> None:
    if not len(faults):
        return
    named = [f"{row.file or f'shard {row.shard}'}: {row.state}, {row.why}" for row in faults.head(10).itertuples()]
    more = [f"and {len(faults) - 10} more"] if len(faults) > 10 else []
    what = "run the same job again to compute them"
    if (faults["state"] != "missing").any():
        what = "move what is corrupt or foreign away and run the same job again: it computes what is missing"
    lines = "\n  ".join([*named, *more])
    raise InputError(f"{folder}: {len(faults)} faults in the embedding store; {what}\n  {lines}")


def _write_manifest(folder: Path, facts: dict) -> None:
    _place(folder, folder / "manifest.json", (json.dumps(facts, indent=1) + "\n").encode())


def _place(folder: Path, path: Path, content) -> Path:
    """Write beside the shards and move into place what has reached the disk.  The temporary name is one that `begin`
    knows (after a kill it is removed) and is used once: two workers that were given one shard do not share a file.
    """
    return write_atomically(path, lambda to: to.write_bytes(content), folder=folder, prefix=".writing-", lasting=True)


@contextlib.contextmanager
def lock(folder: str | Path) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go however the process ends.  Who holds it may call `begin` and
    `finish`; workers that it started may write shards meanwhile.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such lock on a folder
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another process is writing embeddings here; wait for it") from None
        yield
    finally:
        os.close(handle)


def summary(facts: dict, computed: int, before: dict | None) -> str:
    """What lies in a store that a command completed; `before` is the manifest that it found."""
    n_shards = len(facts["shards"])
    residues = f" with {facts['proteins']['residues']:,} residues" if facts["pool"] == "residue" else ""
    what = f"{facts['proteins']['count']:,} proteins{residues}, {facts['dimension']:,} numbers each"
    made = f"{facts['model']} in {facts['computed_in']}"
    files = f"{n_shards:,} file{'' if n_shards == 1 else 's'}"
    if before is not None and before.get("complete") and not computed:
        return f"{what}, {made}; was complete, nothing to do"
    if before is not None:
        files += f", {n_shards - computed:,} of them were there"
    return f"{what}, {made}; {files}"
