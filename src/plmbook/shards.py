"""What an embedding store holds, before a file of it exists: the facts of the job, the plan of the shards, their rows.

Which proteins a shard holds depends on the proteins alone; the key of a store is a checksum of everything that decides
its numbers.  `plmbook.store` puts this into files.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from plmbook import __version__, encode
from plmbook.errors import InputError

FORMAT = "plmbook embeddings 1"
SHARD_RESIDUES = 2**18  # 700 proteins: what an interruption can cost, and 1.3 GB of residues at 1,280 numbers each
MAX_SHARDS = 99_999  # five digits in a file's name, which readers of the hub's layout expect

_FOUND_LATER = ("file", "sha256")  # of a shard: known once it is written


def describe(
    model,
    proteins: pd.DataFrame,
    *,
    source: str | Path | None = None,
    layer: int = -1,
    pool: str = "mean",
    long: str = "window",
    shard_residues: int = SHARD_RESIDUES,
    token_budget: int = encode.TOKEN_BUDGET,
) -> dict:
    """The manifest of a job that has not begun: what makes the embeddings, and the plan of the shards.

    Parameters
    ----------
    model, proteins, source, layer, pool, long, shard_residues, token_budget
        As in `plmbook.store.write`.

    Returns
    -------
    dict
        JSON values: the facts, `shards` (for each the number of `proteins` and `rows`, the `first` and `last` id) and
        `store`, the key.

    Raises
    ------
    InputError
        If the proteins lack a column, an id repeats, a protein is empty or longer than `long` and `pool` allow, or an
        option is unknown.
    """
    if pool not in encode.POOLS:
        raise InputError(f"pool {pool!r}: expected one of {', '.join(encode.POOLS)}")
    if not -1 <= layer <= model.card.layers:
        raise InputError(f"layer {layer}: {model.name} has the layers 0 to {model.card.layers} (-1 is the last)")
    _check_proteins(proteins)
    lengths = proteins["sequence"].str.len().tolist()
    over = encode.long_sequences(lengths, model.max_length, long, ids=proteins["id"])
    if len(over) and (long == "error" or (long == "window" and pool == "bos")):
        named = ", ".join(f"{row.id} ({row.length})" for row in over.head(10).itertuples())
        hint = "pool 'bos' needs long='truncate'" if long == "window" else "use long='window' or cut them"
        raise InputError(f"{len(over)} proteins are longer than {model.max_length} residues, {named}; {hint}")
    kept = [min(n, model.max_length) if long == "truncate" and model.max_length else n for n in lengths]
    ids = proteins["id"].tolist()
    facts = {
        "format": FORMAT,
        "model": model.name,
        "weights": model.weights_hash,
        "layer": model.card.layers if layer == -1 else layer,
        "pool": pool,
        "long": long,
        "dimension": model.card.dim,
        "computed_in": str(getattr(model, "dtype", "float32")),
        "device": str(model.device).split(":")[0],
        "stored_as": "float16",
        "token_budget": token_budget,
        "shard_residues": shard_residues,
        "columns": _columns(proteins, pool),
        "source": {"file": Path(source).name, "sha256": file_sha256(source)} if source else None,
        "proteins": {"count": len(ids), "residues": sum(lengths), "sha256": _content_hash(proteins)},
        "versions": {"plmbook": __version__}
        | {name: version(name) for name in ("torch", "fair-esm", "numpy", "pyarrow")},
        "shards": [
            {
                "proteins": stop - start,
                "rows": sum(kept[start:stop]) if pool == "residue" else stop - start,
                "first": ids[start],
                "last": ids[stop - 1],
            }
            for start, stop in plan(lengths, shard_residues)
        ],
    }
    if len(facts["shards"]) > MAX_SHARDS:
        raise InputError(f"{len(facts['shards']):,} shards, expected at most {MAX_SHARDS:,}; raise shard_residues")
    return facts | {"store": key(facts)}


def plan(lengths: Sequence[int], residues: int = SHARD_RESIDUES) -> list[tuple[int, int]]:
    """Cut proteins, in their order, into shards of at most so many residues; a longer protein is alone.

    Returns
    -------
    list of (start, stop)

    Examples
    --------
    >>> plan([3, 4, 9, 2, 2, 1], 7)
    [(0, 2), (2, 3), (3, 6)]
    """
    spans, start, filled = [], 0, 0
    for number, length in enumerate(lengths):
        if number > start and filled + length > residues:
            spans.append((start, number))
            start, filled = number, 0
        filled += length
    return [*spans, (start, len(lengths))] if len(lengths) else []


def rows(facts: dict, proteins: pd.DataFrame, vectors: Sequence[np.ndarray]) -> pa.Table:
    """The rows of a shard, in the columns that `facts` names.

    Parameters
    ----------
    facts : dict
        From `describe`.
    proteins : DataFrame
        Those of the shard.
    vectors : float array (n, d), or for "residue" list of float array (L, d)
        As `plmbook.encode.embed` gives them.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    RuntimeError
        If an embedding has another width, is not finite, or too large for float16.
    """
    residues = facts["pool"] == "residue"
    stacked = np.concatenate(vectors) if residues else np.asarray(vectors)  # (rows, d)
    if stacked.shape[1] != facts["dimension"]:
        raise RuntimeError(f"embeddings of {stacked.shape[1]} numbers, expected {facts['dimension']}")
    bad = ~(np.abs(stacked) <= np.finfo(np.float16).max).all(axis=1)  # a NaN is not <= either
    if bad.any():
        owners = np.repeat(proteins["id"].to_numpy(object), [len(v) for v in vectors] if residues else 1)
        raise RuntimeError(f"protein {owners[bad][0]!r}: its embedding holds values that float16 cannot")
    columns = {"id": proteins["id"], "length": proteins["sequence"].str.len()}
    if residues:
        counts = [len(each) for each in vectors]
        columns = {
            "id": np.repeat(proteins["id"].to_numpy(object), counts),
            "position": np.concatenate([np.arange(1, n + 1) for n in counts]),
        }
    arrays = {
        name: pa.array(columns.get(name, proteins.get(name)), type=pa.type_for_alias(kind), from_pandas=True)
        for name, kind in facts["columns"].items()
        if name != "embedding"
    }
    flat = pa.array(stacked.astype(np.float16).ravel())
    return pa.table(arrays | {"embedding": pa.FixedSizeListArray.from_arrays(flat, facts["dimension"])})


def key(facts: dict) -> str:
    """sha256 (hex) over all that decides the content of a store: not the name of the source file, not its progress."""
    bare = {name: value for name, value in facts.items() if name not in ("store", "complete")}
    bare["shards"] = [{k: v for k, v in shard.items() if k not in _FOUND_LATER} for shard in facts["shards"]]
    bare["source"] = facts["source"] and facts["source"]["sha256"]
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def differences(old: dict, new: dict, ignored: set[str], prefix: str = "") -> Iterator[tuple]:
    """Name (dotted), old and new value of each fact in which two jobs differ.

    Examples
    --------
    >>> list(differences({"layer": 6, "source": {"file": "a"}}, {"layer": 5, "source": {"file": "b"}}, {"source.file"}))
    [('layer', 6, 5)]
    """
    for name in dict.fromkeys([*old, *new]):
        before, after, full = old.get(name), new.get(name), prefix + name
        if full in ignored or before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, ignored, f"{full}.")
        else:
            yield full, before, after


def _check_proteins(proteins: pd.DataFrame) -> None:
    lacking = [name for name in ("id", "sequence") if name not in proteins]
    if lacking or not len(proteins):
        raise InputError(f"proteins: expected rows with id and sequence, found {'no ' + lacking[0] if lacking else 0}")
    repeated = proteins.loc[proteins["id"].duplicated(), "id"]
    if len(repeated):
        raise InputError(f"proteins: id {repeated.iloc[0]!r} repeats; expected each once")
    if (empty := proteins["sequence"].str.len() == 0).any():
        raise InputError(f"proteins: {proteins.loc[empty, 'id'].iloc[0]!r} has no residues")
    if taken := {"embedding", "position"} & set(proteins):
        raise InputError(f"proteins: column {min(taken)!r} is one that the store makes; rename it")


def _columns(proteins: pd.DataFrame, pool: str) -> dict[str, str]:
    """Arrow types of the columns; the widths of lists are in `dimension`."""
    if pool == "residue":
        return {"id": "string", "position": "int64", "embedding": "list of float16"}
    types = {"id": "string", "length": "int64"}
    for name in proteins.columns.difference(["id", "sequence", "length"], sort=False):
        kind = proteins[name].dtype.kind
        types[name] = {"i": "int64", "u": "int64", "f": "double", "b": "bool"}.get(kind, "string")
        try:
            pa.array(proteins[name], type=pa.type_for_alias(types[name]), from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(f"proteins: column {name!r}: expected text or numbers ({error})") from None
    return types | {"embedding": "list of float16"}


def _content_hash(proteins: pd.DataFrame) -> str:
    digest = hashlib.sha256(repr(list(proteins)).encode())
    for row in proteins.itertuples(index=False, name=None):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def file_sha256(path: str | Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
