"""What an embedding store holds, before a file of it exists: the facts of the job, the plan of the shards, their rows.

Which proteins a shard holds depends on the proteins alone; they are read in blocks, so that memory does not grow.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plmbook.core.artifacts import file_sha256, sha256, versions
from plmbook.core.errors import InputError, one_of
from plmbook.engine import encode
from plmbook.models import FAMILIES
from plmbook.models.base import POOLS
from plmbook.tables import FastaFile
from plmbook.tables.schema import LISTED

FORMAT = "plmbook embeddings 1"
SHARD_RESIDUES = 2**18  # 700 proteins: what an interruption can cost, and 1.3 GB of residues at 1,280 numbers each
_MAX_SHARDS = 99_999  # five digits in a file's name, which readers of the hub's layout expect

_FOUND_LATER = ("file", "sha256")  # of a shard: known once it is written


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one reading of the proteins tells, before a model is loaded: `plan` makes it."""

    proteins: pd.DataFrame | FastaFile
    options: dict  # for which `max_length`, `long`, `pool` and `shard_residues`
    count: int
    residues: int
    sha256: str  # over the names of the columns and every row
    columns: dict[str, str]  # Arrow types of the columns of a shard
    shards: list[dict]  # for each the number of `proteins` and `rows`, the `first` and `last` id
    n_long: int  # proteins of more than `max_length` residues
    longer: list[tuple[str, int]]  # id and length of the first of these, ten at most

    def __len__(self) -> int:
        return self.count

    def long_ones(self) -> str:
        """How many proteins are longer than the model reads, and the first of them; for a message."""
        named = ", ".join(f"{name} ({length})" for name, length in self.longer)
        more = f" and {self.n_long - len(self.longer)} more" if self.n_long > len(self.longer) else ""
        limit = self.options["max_length"]
        return f"{self.n_long} of {self.count} proteins are longer than {limit} residues: {named}{more}"


def plan(
    proteins: pd.DataFrame | FastaFile,
    *,
    max_length: int | None,
    long: str = "window",
    pool: str = "mean",
    shard_residues: int = SHARD_RESIDUES,
) -> Plan:
    """Check all proteins, plan the shards, hash the content; arguments of `store.write`, `max_length` None: any."""
    one_of("pool", pool, POOLS)
    one_of("long", long, encode.LONG)
    limit = np.inf if max_length is None else max_length
    digest, columns = hashlib.sha256(), {}
    shards: list[dict] = []
    longer: list[tuple[str, int]] = []
    count = residues = n_long = filled = 0
    for block in _blocks(proteins):
        if not count:
            _check_proteins(block)
            columns = _columns(block, pool)
            digest.update(repr(list(block)).encode())
        digest.update("".join(map(repr, block.itertuples(index=False, name=None))).encode())
        for name, length in zip(block["id"].tolist(), block["sequence"].str.len().tolist(), strict=True):
            if length > limit:
                n_long += 1
                longer += [(name, length)] if n_long <= LISTED else []
            if not shards or filled + length > shard_residues:  # a protein is never empty: the last shard is not
                shards.append({"proteins": 0, "rows": 0, "first": name})
                filled = 0
            kept = min(length, limit) if long == "truncate" else length
            shards[-1]["proteins"] += 1
            shards[-1]["rows"] += kept if pool == "residue" else 1
            shards[-1]["last"] = name
            filled += length
            residues += length
        count += len(block)
    if len(shards) > _MAX_SHARDS:
        raise InputError(f"{len(shards):,} shards, expected at most {_MAX_SHARDS:,}; raise shard_residues")
    options = {"max_length": max_length, "long": long, "pool": pool, "shard_residues": shard_residues}
    found = Plan(proteins, options, count, residues, digest.hexdigest(), columns, shards, n_long, longer)
    if n_long and (long == "error" or (long == "window" and pool == "bos")):
        hint = "pool 'bos' needs long 'truncate'" if long == "window" else "cut them, or choose long 'window'"
        raise InputError(f"{found.long_ones()}; {hint}")
    return found


def new_manifest(
    model,
    proteins: pd.DataFrame | FastaFile | Plan,
    *,
    token_budget: int,
    source: str | Path | None = None,
    layer: int = -1,
    pool: str = "mean",
    long: str = "window",
    shard_residues: int = SHARD_RESIDUES,
) -> dict:
    """The manifest of a new job: facts, `shards` and `store`, a checksum of what decides the numbers (its key)."""
    limit = encode.longest(model, long)
    options: dict[str, Any] = {"max_length": limit, "long": long, "pool": pool, "shard_residues": shard_residues}
    layer_number = model.card.layer_number(layer)
    model.card.check_pool(pool)
    planned = proteins if isinstance(proteins, Plan) else plan(proteins, **options)
    if planned.options != options:
        raise ValueError(f"the proteins were counted with {planned.options}, expected {options}")
    library = FAMILIES[model.card.family].library
    facts = {
        "format": FORMAT,
        "model": model.name,
        "weights": model.weights_hash,
        "layer": layer_number,
        "pool": pool,
        "long": long,
        "dimension": model.card.dim * (3 if pool == "fusion" else 1),
        "computed_in": str(getattr(model, "dtype", "float32")),
        "device": str(model.device).split(":")[0],
        "stored_as": "float16",
        "token_budget": token_budget,
        "shard_residues": shard_residues,
        "columns": planned.columns,
        "source": {"file": Path(source).name, "sha256": file_sha256(source)} if source else None,
        "proteins": {"count": planned.count, "residues": planned.residues, "sha256": planned.sha256},
        "versions": versions(("plmbook", "torch", library, "numpy", "pyarrow")),
        "shards": [dict(shard) for shard in planned.shards],
    }
    return facts | {"store": key(facts)}


def split(
    facts: dict, missing: Collection[int], proteins: pd.DataFrame | FastaFile | Plan
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Read the proteins again and yield number and proteins of each of the `missing` shards, ascending, with a block
    and a shard in memory.  A file that changed since it was first read is an InputError.
    """
    asked, blocks = set(missing), _blocks(proteins)
    block = next(blocks)
    for number in range(max(asked, default=-1) + 1):
        parts, lacking = [], facts["shards"][number]["proteins"]
        while lacking:
            if block.empty:
                block = next(blocks)
            parts.append(block.iloc[:lacking])
            block = block.iloc[lacking:]
            lacking -= len(parts[-1])
        if number in asked:
            yield number, parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _blocks(proteins: pd.DataFrame | FastaFile | Plan) -> Iterator[pd.DataFrame]:
    if isinstance(proteins, Plan):
        proteins = proteins.proteins
    return iter([proteins]) if isinstance(proteins, pd.DataFrame) else proteins.blocks()


def arrow_table(facts: dict, proteins: pd.DataFrame, vectors: np.ndarray | list[np.ndarray]) -> pa.Table:
    """The rows of a shard in the columns that the manifest names; `vectors` as `encode.embed` gives them.  An embedding
    of another width, not finite, or too large for float16 is a RuntimeError.
    """
    residues = facts["pool"] == "residue"
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        halves = [np.asarray(each, dtype=np.float16) for each in (vectors if residues else [vectors])]
    stacked = np.concatenate(halves)  # (rows, d)
    if stacked.shape[1] != facts["dimension"]:
        raise RuntimeError(f"embeddings of {stacked.shape[1]} numbers, expected {facts['dimension']}")
    owners = np.repeat(proteins["id"].to_numpy(object), [len(each) for each in vectors] if residues else 1)
    bad = ~np.isfinite(stacked).all(axis=1)
    if bad.any():
        raise RuntimeError(f"protein {owners[bad][0]!r}: its embedding holds values that float16 cannot")
    columns = {"id": owners, "length": proteins["sequence"].str.len()}
    if residues:
        columns["position"] = np.concatenate([np.arange(1, len(each) + 1) for each in vectors])
    arrays = {
        name: pa.array(columns.get(name, proteins.get(name)), type=pa.type_for_alias(kind), from_pandas=True)
        for name, kind in facts["columns"].items()
        if name != "embedding"
    }
    flat = pa.array(stacked.ravel())
    return pa.table(arrays | {"embedding": pa.FixedSizeListArray.from_arrays(flat, facts["dimension"])})


def key(facts: dict) -> str:
    """sha256 (hex) over all that decides the content of a store: not the name of the source file, not its progress."""
    bare = {name: value for name, value in facts.items() if name not in ("store", "complete")}
    bare["shards"] = [{k: v for k, v in shard.items() if k not in _FOUND_LATER} for shard in facts["shards"]]
    bare["source"] = facts["source"] and facts["source"]["sha256"]
    return sha256(json.dumps(bare, sort_keys=True))


def differences(old: dict, new: dict, ignored: set[str], prefix: str = "") -> Iterator[tuple]:
    """Name (dotted), old and new value of each fact in which two jobs differ.

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
