"""Result tables: computed here or shipped and checked, and never one passed off as the other.

`make book` has ten minutes on two cores; some tables take longer. Those are *derived tables*: `make results` computes
them and writes `data/derived/<model>/NAME.parquet` with a manifest `NAME.json` beside it. `derive` uses such a table
only where its key (sha256 over the model's weights, the input files, the rows asked for, the parameters and the version
of the algorithm) is the one expected now. Then the content must have the sha256 of the manifest, and a seeded sample of
rows is computed afresh and must agree; if not, that is an error and not a warning. Where the key differs, everything is
computed. Every use leaves a record in `results/<profile>/derived/` for the appendix of the book.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core import paths
from plmbook.core.artifacts import content_hash, sha256, versions, write_parquet, write_text

RECOMPUTE = "PLMBOOK_RECOMPUTE"  # =1: compute every derived table and write it (what `make results` does)
TOLERANCE = 2e-3  # natural-log units; the same float32 weights on another processor differ by about 1e-5
SAMPLE = 20  # rows of a shipped table that are computed afresh


class DerivedMismatch(RuntimeError):
    """A shipped table is not what its manifest or a fresh computation says."""


@dataclass(frozen=True)
class Record:
    """How a derived table came about in this run.

    Attributes
    ----------
    table, model : str
        What was asked for.
    status : {"shipped", "computed"}
        Whether the rows are those of `data/derived` or were computed now.
    reason : str
        Why it was computed; for a shipped table, what was checked.
    key : str
        sha256 of model, inputs, rows, parameters and version.
    content : str
        sha256 of the table's content.
    rows, sampled : int
        Rows of the table; rows computed afresh for the check (0 where all were computed).
    largest_difference : float
        Between shipped and fresh values of the sample (0 where all were computed).
    tolerance : float
        What that difference may be.
    seconds : float
        Spent in this run.
    """

    table: str
    model: str
    status: str
    reason: str
    key: str
    content: str
    rows: int
    sampled: int
    largest_difference: float
    tolerance: float
    seconds: float


def derive(
    name: str,
    rows: pd.DataFrame,
    compute: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    model,
    inputs: Sequence[str | Path],
    parameters: Mapping[str, object],
    version: int,
    values: Sequence[str] = ("score",),
    tolerance: float = TOLERANCE,
    sample: int = SAMPLE,
    profile: str = "embedded",
    ship: bool = True,
    recompute: bool | None = None,
    check: Callable[[pd.DataFrame], tuple[int, float]] | None = None,
) -> tuple[pd.DataFrame, Record]:
    """A table that is shipped and checked where possible, else computed.

    Parameters
    ----------
    name : str
        Of the table: the file is `data/derived/<model>/NAME.parquet`.
    rows : DataFrame
        What to compute, one row each; the columns that identify a row.
    compute : callable
        From rows (any part of `rows`, at least one) to those rows with the columns `values` added, in the same order.
        A row's values must not depend on the other rows.
    model
        With `name` and `weights_hash`.
    inputs : sequence of paths
        Files that the values depend on.
    parameters : mapping
        JSON values that the values depend on: seeds, dtype, ...
    version : int
        Of the algorithm.
    values : sequence of str
        The numeric columns that `compute` adds.
    tolerance : float
        Largest difference between a shipped and a fresh value.
    sample : int
        Rows of a shipped table to compute afresh.
    profile : str
        Where the record goes.
    ship : bool
        False: compute, whatever is shipped, and write nothing to `data/derived` (profiles other than `embedded`).
    recompute : bool, optional
        Compute and write to `data/derived`; default: whether the environment says PLMBOOK_RECOMPUTE=1.
    check : callable, optional
        Instead of the sample of rows, where a row cannot be computed alone: from the shipped table to the number of
        rows that were computed afresh and the largest difference; it raises DerivedMismatch.

    Returns
    -------
    table : DataFrame
        `rows` with `values`.
    record : Record
        Also written to `results/<profile>/derived/`.

    Raises
    ------
    DerivedMismatch
        Where the key fits but the content is not the manifest's, or a sampled row disagrees.
    """
    start = time.perf_counter()
    rows = rows.reset_index(drop=True)
    if recompute is None:
        recompute = os.environ.get(RECOMPUTE) == "1"
    ingredients = _ingredients(name, rows, model=model, inputs=inputs, parameters=parameters, version=version)
    key = sha256(json.dumps(ingredients, sort_keys=True))
    place = paths.derived() / model.name / f"{name}.parquet"
    reason = _why_compute(place, ingredients, key, ship=ship, recompute=recompute)
    if reason:
        table = _computed(rows, compute, values)
        if recompute and ship:
            _write_derived(place, table, key, ingredients, seconds=time.perf_counter() - start)
        status, sampled, difference = "computed", 0, 0.0
    else:
        table = _shipped(place, rows, values)
        if check is None:
            sampled, difference = _check_sample(place, table, rows, compute, values, sample=sample, tolerance=tolerance)
        else:
            sampled, difference = check(table)
        status, reason = "shipped", f"key and content fit, {sampled} of {len(table)} rows computed afresh and equal"
    record = Record(
        table=name,
        model=model.name,
        status=status,
        reason=reason,
        key=key,
        content=content_hash(table),
        rows=len(table),
        sampled=sampled,
        largest_difference=difference,
        tolerance=tolerance,
        seconds=round(time.perf_counter() - start, 2),
    )
    write_text(
        paths.results(profile) / "derived" / f"{model.name}.{name}.json", json.dumps(asdict(record), indent=1) + "\n"
    )
    return table, record


def records(profile: str = "embedded") -> pd.DataFrame:
    """How the derived tables of a profile came about, for the appendix: a row per table, the columns of `Record`."""
    found = [json.loads(p.read_text()) for p in sorted((paths.results(profile) / "derived").glob("*.json"))]
    return pd.DataFrame(found, columns=[field.name for field in fields(Record)])


def ships(model, known=None) -> bool:
    """Only the bundled model's tables of bundled proteins are shipped; other profiles compute everything."""
    return bool(getattr(model.card, "bundled", False)) and not (known is not None and known.whole)


def dtype_of(model) -> str:
    return str(getattr(model, "dtype", "float32"))


def tolerance_of(model) -> float:
    """bfloat16 keeps three digits of a logit, and what they are depends on the batch."""
    return 0.1 if dtype_of(model) == "bfloat16" else TOLERANCE


def _ingredients(name, rows, *, model, inputs, parameters, version) -> dict:
    """What the key is made of; kept in the manifest, so that a difference can be named."""
    return {
        "table": name,
        "model": model.name,
        "weights": model.weights_hash,
        "inputs": {Path(path).name: sha256(Path(path).read_bytes()) for path in inputs},
        "parameters": dict(parameters),
        "rows": content_hash(rows),
        "version": version,
    }


def _why_compute(place: Path, ingredients: dict, key: str, *, ship: bool, recompute: bool) -> str:
    """Why a table has to be computed; empty where the shipped one is to be used."""
    if not ship:
        return "not shipped for this model"
    if recompute:
        return "asked for"
    manifest = _read_manifest(place)
    if manifest is None:
        return "no shipped table"
    if manifest.get("key") == key:
        return ""
    before = manifest.get("ingredients", {})
    changed = [part for part, value in ingredients.items() if before.get(part) != value]
    return f"the shipped table is of another {' and '.join(changed) or 'key'}"


def _read_manifest(place: Path) -> dict | None:
    path = place.with_suffix(".json")
    if not path.exists() or not place.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DerivedMismatch(f"{path} is not JSON ({error}); restore it, or run `make results`") from None
    if not isinstance(manifest, dict):
        raise DerivedMismatch(f"{path} is not a manifest; restore it, or run `make results`")
    return manifest


def _computed(rows: pd.DataFrame, compute: Callable, values: Sequence[str]) -> pd.DataFrame:
    """`rows` with the values; whatever else `compute` returns is left out."""
    if not len(rows):
        added = pd.DataFrame(columns=list(values), index=rows.index, dtype=np.float64)
    else:
        found = compute(rows)
        if len(found) != len(rows) or any(list(found[c]) != list(rows[c]) for c in rows.columns):
            raise RuntimeError("compute must return the rows that it was given, in their order")
        added = pd.DataFrame({value: found[value].to_numpy() for value in values}, index=rows.index)
    return pd.concat([rows, added], axis=1)  # at once: there may be hundreds of columns


def _shipped(place: Path, rows: pd.DataFrame, values: Sequence[str]) -> pd.DataFrame:
    """The table of `data/derived`, known to be what its manifest says."""
    manifest = _read_manifest(place)
    try:
        table = pd.read_parquet(place)
    except (OSError, ValueError) as error:
        raise DerivedMismatch(f"{place} cannot be read ({error}); restore it, or run `make results`") from None
    found = content_hash(table)
    if found != manifest.get("content"):
        raise DerivedMismatch(
            f"{place}: expected a table with the sha256 {manifest.get('content')} of its manifest, found {found}; "
            "was a number changed by hand? Restore the file, or run `make results`"
        )
    columns = [*rows.columns, *values]
    if list(table.columns) != columns or content_hash(table[list(rows.columns)]) != content_hash(rows):
        raise DerivedMismatch(f"{place}: its rows or columns are not those asked for; restore it or run `make results`")
    return table


def _check_sample(
    place: Path,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    compute: Callable,
    values: Sequence[str],
    *,
    sample: int,
    tolerance: float,
) -> tuple[int, float]:
    """Compute a sample afresh: its size and the largest difference, or DerivedMismatch.

    The draw is seeded by the content: the same table is always checked at the same rows, but nobody can keep clear of
    them when changing it.
    """
    if not len(table) or sample < 1:
        return 0, 0.0
    rng = np.random.default_rng(int(content_hash(table)[:16], 16))
    chosen = np.sort(rng.choice(len(table), size=min(sample, len(table)), replace=False))
    fresh = _computed(rows.iloc[chosen].reset_index(drop=True), compute, values)
    largest = 0.0
    for value in values:
        shipped = table[value].to_numpy(dtype=np.float64)[chosen]
        again = fresh[value].to_numpy(dtype=np.float64)
        difference = np.where(np.isnan(shipped) & np.isnan(again), 0.0, np.abs(shipped - again))
        wrong = np.flatnonzero(~(difference <= tolerance))  # a NaN on one side is wrong, too
        if len(wrong):
            row = int(chosen[wrong[0]])
            what = " ".join(str(x) for x in rows.iloc[row])
            raise DerivedMismatch(
                f"{place}: row {row + 1} ({what}): {value} is shipped as {shipped[wrong[0]]:.6g} and computes to "
                f"{again[wrong[0]]:.6g}, over {tolerance:g} apart ({len(wrong)} of {len(chosen)} sampled rows). "
                "Restore the file, or run `make results`"
            )
        largest = max(largest, float(difference.max()))
    return len(chosen), largest


def _write_derived(place: Path, table: pd.DataFrame, key: str, ingredients: dict, *, seconds: float) -> None:
    manifest = {
        "key": key,
        "content": content_hash(table),
        "rows": len(table),
        "seconds": round(seconds, 1),
        "ingredients": ingredients,
        "versions": versions(),
    }
    numbers = table.select_dtypes("number").columns
    write_parquet(
        place,
        table,
        use_dictionary=[name for name in table if name not in numbers],
        column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),  # the high bytes, which hardly differ, go together
    )
    write_text(place.with_suffix(".json"), json.dumps(manifest, indent=1) + "\n")
