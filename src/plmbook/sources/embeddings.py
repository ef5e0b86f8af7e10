"""The ESM2-15B embeddings of the human and mouse proteomes, streamed: a data set that is larger than memory.

Any data set in that layout is read, on the hub at a pinned commit or local; `foreign.read_hub` reads a small one.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plmbook.core.artifacts import write_atomically, write_parquet
from plmbook.core.errors import InputError
from plmbook.core.text import open_text, unquoted
from plmbook.sources import foreign, uniprot
from plmbook.sources.cells import visible_files

REPOSITORY = "Darkadin/ESM2_embeddings_Human_Mouse"

BATCH = 256  # proteins: 5 MB of float32 at 5,120 columns
_HUB = "hf://"
VECTORS, PROTEINS = "embeddings.npy", "proteins.parquet"


def batches(
    place: str | Path = REPOSITORY, *, revision: str | None = None, batch_size: int = BATCH
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Stream a data set of embeddings: id, go_ids (where there are GO terms), other columns; and float32 (n, d).
    `place`: a local folder or file, or `owner/name` on the hub, which needs the commit as `revision`.
    """
    files, kind = _files(place, revision)
    seen: set[str] = set()
    width = None
    for table in _stream(files, kind, batch_size):
        table = unquoted(table) if kind == ".tsv" else table
        found, vectors = foreign.separated(table, place)
        width = width or vectors.shape[1]
        if vectors.shape[1] != width:
            raise InputError(f"{place}: {found['id'].iloc[0]!r} has {vectors.shape[1]} numbers, others have {width}")
        again = found["id"].duplicated() | found["id"].isin(seen)
        if again.any():
            raise InputError(f"{place}: {found.loc[again, 'id'].iloc[0]!r} repeats; expected each protein once")
        seen.update(found["id"])
        if column := uniprot.named(found.columns).get("go_ids"):
            found.insert(1, "go_ids", [uniprot.go_ids(cell) for cell in found.pop(column)])
        yield found, vectors


def fill(
    folder: str | Path, place: str | Path = REPOSITORY, *, revision: str | None = None, batch_size: int = BATCH
) -> int:
    """Copy a data set of embeddings into a folder that is read without loading it: a NumPy file and a table.

    Parameters
    ----------
    folder : path
        New or empty; gets `embeddings.npy` (float32, (n, d)) and `proteins.parquet` (in the same order), both or none.
    place, revision, batch_size
        As `batches`.

    Returns
    -------
    int
        Proteins.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or an empty folder")
    _files(place, revision)  # at the door: a wrong place leaves no folder
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[pd.DataFrame] = []

    def write(partial: Path) -> None:
        with open(partial, "w+b") as handle:
            for proteins, vectors in batches(place, revision=revision, batch_size=batch_size):
                if not rows:
                    body = _write_header(handle, (0, vectors.shape[1]))
                rows.append(proteins)
                handle.write(np.ascontiguousarray(vectors, dtype="<f4").data)
            if not rows:
                raise InputError(f"{place}: no rows")
            handle.seek(0)
            if _write_header(handle, (sum(map(len, rows)), vectors.shape[1])) != body:  # it may grow
                raise RuntimeError(f"{folder / VECTORS}: the header outgrew its room")
        write_parquet(folder / PROTEINS, pd.concat(rows, ignore_index=True))

    try:
        write_atomically(folder / VECTORS, write)
    except BaseException:
        (folder / PROTEINS).unlink(missing_ok=True)
        raise
    return sum(map(len, rows))


def read(folder: str | Path) -> tuple[pd.DataFrame, np.ndarray]:
    """What `fill` wrote: the table, and the embeddings as a read-only memory map, float32 (n, d)."""
    folder = Path(folder)
    for name in (PROTEINS, VECTORS):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no {name}; expected a folder that plmbook.sources.embeddings.fill wrote")
    return pd.read_parquet(folder / PROTEINS), np.load(folder / VECTORS, mmap_mode="r")


def _write_header(handle, shape: tuple[int, int]) -> int:
    np.lib.format.write_array_header_1_0(handle, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return handle.tell()


def _files(place: str | Path, revision: str | None) -> tuple[list[str], str]:
    """The files of one format, local paths or addresses of the hub, and their suffix."""
    local = Path(place)
    if local.exists():
        if revision is not None:
            raise InputError(f"{place}: a local folder has no revision, found {revision!r}")
        names = [str(local)] if local.is_file() else [str(local / name) for name in visible_files(local)]
    else:
        names = _on_hub(str(place), revision)
    by_kind = {kind: [n for n in names if n.endswith((kind, f"{kind}.gz"))] for kind in (".parquet", ".csv", ".tsv")}
    found = {kind: files for kind, files in by_kind.items() if files}
    if len(found) != 1:
        kinds = " and ".join(found) or "none"
        raise InputError(f"{place}: expected .parquet, .csv or .tsv files, of one kind; found {kinds}")
    return next((files, kind) for kind, files in found.items())


def _on_hub(repository: str, revision: str | None) -> list[str]:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise InputError(f"{repository}: no such folder, and not the name of a data set (owner/name)")
    if revision is None or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(
            f"{repository}: revision {revision!r}; expected a commit of the hub (40 hexadecimal digits): a branch such "
            "as main may change.  If a local folder was meant: there is none of this name"
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        names = HfApi().list_repo_files(repository, revision=revision, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"{repository} at {revision}: cannot be listed ({str(error).splitlines()[0]})") from None
    return [f"{_HUB}datasets/{repository}@{revision}/{name}" for name in sorted(names)]


def _stream(files: list[str], kind: str, batch_size: int) -> Iterator[pd.DataFrame]:
    """Rows of the files, as many at a time as told: those of the hub, and Parquet, through `datasets`."""
    import datasets
    import pyarrow.dataset

    text: dict[str, Any] = {"sep": "\t", "quoting": csv.QUOTE_NONE} if kind == ".tsv" else {"sep": ","}
    if kind != ".parquet" and not files[0].startswith(_HUB):
        for file in files:
            with open_text(file) as handle:
                yield from pd.read_csv(handle, chunksize=batch_size, **text)
        return
    form, options = "csv", {"chunksize": batch_size, **text}
    if kind == ".parquet":
        # without reading ahead: a row group of 5,120 columns is large
        plain = pyarrow.dataset.ParquetFragmentScanOptions(use_buffered_stream=True, pre_buffer=False)
        form, options = "parquet", {"batch_size": batch_size, "fragment_scan_options": plain}
    rows = datasets.load_dataset(form, data_files=files, split="train", streaming=True, **options)
    for table in rows.with_format("arrow").iter(batch_size=batch_size):
        yield table.to_pandas()
