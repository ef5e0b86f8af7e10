"""Embeddings that others made: data sets in the layout of the hub, and the folders of fair-esm's `extract.py`.

Each reader gives the table that `plmbook.engine.store.read` gives: `id`, further columns, `embedding` (arrays (d,)).
"""

import json
import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, one_of, some
from plmbook.core.text import read_csv, unquoted
from plmbook.models.base import POOLS, pooled
from plmbook.sources import uniprot
from plmbook.sources.cells import visible_files
from plmbook.tables.readers import read_parquet

_IDS = ("id", *(name for name in uniprot.TSV["id"] if name != "id"), "proteinid", "proteinac", "identifier",
       "entryname", "protein", "name", "label")  # fmt: skip
_EMBEDDINGS = ("embedding", "embeddings", "meanembedding", "meanrepresentation", "meanrepresentations",
              "representation", "representations", "vector", "features", "hiddenstate", "hiddenstates")  # fmt: skip
_SUFFIXES = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")

_POOLED_KEYS = {"mean": "mean_representations", "bos": "bos_representations"}


def read_hub(folder: str | Path, *, metadata: str | Path | None = None) -> pd.DataFrame:
    """Read a data set with an embedding per protein, as they lie on the Hugging Face hub, from a local copy.

    Parameters
    ----------
    folder : path
        A Parquet, CSV or TSV file, or a folder of such (in depth, by name). One column names the protein (`id`,
        `accession`, ...; distinct). The embedding, of one width and finite, is a column of lists (`embedding`, ...; in
        CSV as text) or a column per number (`0`, `1`, ... or `dim_0`, ...), from 0 or 1 without a gap.
    metadata : path, optional
        UniProt's table of these proteins, in the same formats; joined by accession.

    Returns
    -------
    DataFrame
        A row per protein, in the order of the files: `id`, the other columns under their own names, those of
        `metadata` (missing where a protein is not in it), `embedding` (float32 arrays (d,)).
    """
    folder = Path(folder)
    found, vectors = separated(_tables(folder), folder)
    if (repeated := found["id"].duplicated()).any():
        raise InputError(f"{folder}: id {found.loc[repeated, 'id'].iloc[0]!r} repeats; expected each protein once")
    if metadata is not None:
        found = _joined(found, Path(metadata))
    return found.assign(embedding=list(vectors))


def separated(table: pd.DataFrame, place: str | Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The embedding, float32 (n, d), apart from the other columns (`id` first) of rows in the hub's layout."""
    place = Path(place)
    name = id_column(table, place)
    if (unnamed := table[name].isna() | (table[name].astype("str").str.strip() == "")).any():
        raise InputError(f"{place}: row {int(unnamed.to_numpy().argmax()) + 1}: the column {name} is empty")
    vectors, used = _embeddings(table, place)
    found = table.drop(columns=[name, *used])
    found.insert(0, "id", table[name].astype("str"))
    return found, _checked(vectors, found["id"], place)


def read_fair_esm(folder: str | Path, *, layer: int | None = None, pool: str = "mean") -> pd.DataFrame:
    """Read a folder that fair-esm's `extract.py` wrote: a `.pt` file per protein.

    Parameters
    ----------
    folder : path
        Searched in depth: a `/` in a FASTA header becomes a folder.  Only tensors and plain values are read.
    layer : int, optional
        Default: the last of those in the files.
    pool : {"mean", "max", "bos", "residue"}
        `mean` reads `mean_representations`, or pools `representations` where there are none; `max` and `residue` need
        `representations` (`--include per_tok`), `bos` needs `bos_representations`.

    Returns
    -------
    DataFrame
        In the order of the files' names (that of the FASTA is not kept): `id` (first word of the label), `label`,
        `embedding` (float32 arrays (d,)).  For "residue" a row per residue: `id`, `position` (from 1), `embedding`.
    """
    one_of("pool", pool, [each for each, needed in POOLS.items() if needed != "final-state"])
    folder = Path(folder)
    files = sorted(folder.rglob("*.pt")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: expected a folder with the .pt files of fair-esm's extract.py, found none")
    labels, states = [], []
    for path in files:
        content = _read_pt(path)
        kept, layer = _layer(content, path, layer, pool)
        labels.append(content["label"])
        states.append(kept if pool == "residue" or kept.ndim == 1 else pooled(kept, pool))
    ids = pd.Series([label.split(maxsplit=1)[0] for label in labels], dtype="str")
    if (repeated := ids.duplicated()).any():
        raise InputError(f"{folder}: {ids[repeated].iloc[0]!r} begins the labels of two files; expected distinct ids")
    if pool != "residue":
        return pd.DataFrame({"id": ids, "label": labels, "embedding": list(_checked(states, ids, folder))})
    counts = [len(each) for each in states]
    owners = ids.repeat(counts).reset_index(drop=True)
    rows = _checked([row for each in states for row in each], owners, folder)
    position = np.concatenate([np.arange(1, n + 1) for n in counts])
    return pd.DataFrame({"id": owners, "position": position, "embedding": list(rows)})


def _tables(place: Path) -> pd.DataFrame:
    """All rows of a file, or of the files of a folder."""
    if not place.exists():
        raise InputError(f"{place}: no such file or folder")
    files = [place]
    if place.is_dir():
        files = [place / name for name in visible_files(place) if name.endswith(_SUFFIXES)]
    if not files or not files[0].name.endswith(_SUFFIXES):
        raise InputError(f"{place}: expected {', '.join(_SUFFIXES)} files, found none")
    parts = [_table(path) for path in files]
    for path, part in zip(files, parts, strict=True):
        if list(part) != list(parts[0]):
            differing = sorted(set(map(str, part)) ^ set(map(str, parts[0])))[:5]
            raise InputError(f"{path}: its columns are not those of {files[0]} ({', '.join(differing) or 'order'})")
    return pd.concat(parts, ignore_index=True)


def _table(path: Path) -> pd.DataFrame:
    try:  # in CSV the commas of a list are quoted
        if path.suffix == ".parquet":
            found = read_parquet(path)
        else:
            found = unquoted(read_csv(path)) if ".tsv" in path.name else read_csv(path, ",", quoted=True)
    except InputError:
        raise
    except ValueError as error:  # what pandas says of a content
        raise InputError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from None
    if not len(found):
        raise InputError(f"{path}: has no rows")
    return found.rename(columns=str)


def id_column(table: pd.DataFrame, place: Path) -> str:
    """The column that names the protein: of several the one that comes first in `_IDS`."""
    by_name = {uniprot.folded(name): name for name in reversed(table.columns)}
    found = [by_name[name] for name in _IDS if name in by_name]
    if not found:
        raise InputError(
            f"{place}: no column names the protein; expected id, Entry, accession or the like, found {some(table, 8)}"
        )
    return found[0]


def _embeddings(table: pd.DataFrame, place: Path) -> tuple[Sequence, list[str]]:
    """The vectors, one a row, and the columns that they were in."""
    named = [name for name in table if uniprot.folded(name).endswith(_EMBEDDINGS) and _is_list(table[name].iloc[0])]
    if len(named) > 1:
        raise InputError(f"{place}: {', '.join(named)} could each be the embedding; drop all but one")
    if named:
        cells = table[named[0]]
        return [_vector(cell, f"{place}: row {row + 1}: {named[0]}") for row, cell in enumerate(cells)], named
    families: dict[str, dict[int, str]] = {}
    for name in table.select_dtypes("number"):
        if split := re.fullmatch(r"(.*?)(\d+)", name):
            families.setdefault(split[1], {})[int(split[2])] = name
    runs = [f for f in families.values() if len(f) > 1 and sorted(f) == list(range(min(f), min(f) + len(f)))]
    runs = [f for f in runs if min(f) in (0, 1)]
    if not runs:
        raise InputError(
            f"{place}: no embedding; expected a column of lists (embedding, ...) or a column per number "
            f"(0, 1, ... or dim_0, dim_1, ...), found {some(table, 8)}"
        )
    runs.sort(key=len)
    if len(runs) > 1 and len(runs[-1]) == len(runs[-2]):
        firsts = " and ".join(run[min(run)] for run in runs[-2:])
        raise InputError(f"{place}: the columns that start at {firsts} could each be the embedding; drop one")
    columns = [runs[-1][n] for n in sorted(runs[-1])]
    return table[columns].to_numpy(np.float32), columns


def _is_list(cell: object) -> bool:
    """UniProt's `Features` is text, an embedding is a list or its text."""
    return cell.lstrip().startswith("[") if isinstance(cell, str) else isinstance(cell, list | tuple | np.ndarray)


def _vector(cell, where: str) -> np.ndarray:
    """One embedding of a list, or of its text: JSON (`[0.1, 0.2]`) or as NumPy prints it (`[0.1 0.2]`)."""
    try:
        if isinstance(cell, str):
            bare = cell.strip().strip("[]()").replace(",", " ")
            return np.array(bare.split(), dtype=np.float32)
        return np.asarray(cell, dtype=np.float32).ravel()
    except (ValueError, TypeError):
        raise InputError(f"{where}: expected a list of numbers, found {json.dumps(str(cell)[:40])}") from None


def _checked(vectors: Sequence, ids: pd.Series, place: Path) -> np.ndarray:
    """float32 (n, d)."""
    widths = [np.size(vector) for vector in vectors]
    for name, width in zip(ids, widths, strict=True):
        if width != widths[0] or not width:
            raise InputError(f"{place}: {name!r} has {width} numbers, expected {widths[0] or 'some'} as the first row")
    stacked = np.asarray(np.stack(vectors), dtype=np.float32)
    if (bad := ~np.isfinite(stacked).all(axis=1)).any():
        raise InputError(f"{place}: the embedding of {ids[bad].iloc[0]!r} holds numbers that are missing or not finite")
    return stacked


def _joined(proteins: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Add the columns of UniProt's table, by its id column, where the accession is the same."""
    table = _tables(place)
    name = id_column(table, place)
    table = table.assign(**{name: table[name].map(_accession)}).drop_duplicates(name).set_index(name)
    keys = proteins["id"].map(_accession)
    if not keys.isin(table.index).any():
        raise InputError(f"{place}: {name} has none of the proteins, such as {keys.iloc[0]!r}; of other proteins?")
    added = table.drop(columns=[each for each in table if each in proteins]).reindex(keys)
    return pd.concat([proteins, added.reset_index(drop=True)], axis=1)


def _accession(name: object) -> str:
    """The accession of UniProt's FASTA ids, other names as they are.
    >>> _accession("sp|P04637|P53_HUMAN"), _accession("P04637")
    ('P04637', 'P04637')
    """
    parts = str(name).split("|")
    return parts[1] if len(parts) == 3 and parts[0] in ("sp", "tr") else str(name)


def _read_pt(path: Path) -> dict:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as a file of tensors ({why})") from None
    if not isinstance(content, dict) or not isinstance(content.get("label"), str) or not content["label"].strip():
        raise InputError(f"{path}: expected a dictionary with a label, as fair-esm's extract.py writes")
    return content


def _layer(content: dict, path: Path, layer: int | None, pool: str) -> tuple[np.ndarray, int]:
    """The representation of one file, (d,) or (L, d), and its layer."""
    wanted = [key for key in (_POOLED_KEYS.get(pool), "representations") if key and (pool != "bos" or "bos" in key)]
    key = next((key for key in wanted if isinstance(content.get(key), dict) and content[key]), None)
    if key is None:
        raise InputError(f"{path}: no {' or '.join(wanted)}, which pool {pool!r} needs; found {', '.join(content)}")
    layers = sorted(content[key])
    layer = layers[-1] if layer is None else layer
    if layer not in layers:
        raise InputError(f"{path}: no layer {layer}; found {', '.join(map(str, layers))}")
    return content[key][layer].float().numpy(), layer
