"""Result tables: computed here or shipped and checked, and never one passed off as the other.

What takes long is a *derived table*: `make results` writes `data/derived/<model>/NAME.parquet` and a manifest
`NAME.json`. `Run.derive` uses it only where its key (sha256 over the model's weights, the input files, the rows asked
for, the parameters and the version of the algorithm) is the one expected now; else everything is computed. Then the
content must have the manifest's sha256, and a seeded sample of rows, computed afresh, must agree, else it is an error.
Every use is recorded in `results/<profile>/derived/`, for the appendix of the book.
"""

import functools
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plmbook.core import paths
from plmbook.core.artifacts import content_hash, file_sha256, save, sha256, versions, write_json, write_parquet

RECOMPUTE = "PLMBOOK_RECOMPUTE"  # =1: compute every derived table and write it (what `make results` does)
TOLERANCE = 2e-3  # natural-log units; the same float32 weights on another processor differ by about 1e-5
SAMPLE = 20  # rows of a shipped table that are computed afresh


class DerivedMismatch(RuntimeError):
    """A shipped table is not what its manifest or a fresh computation says."""


@dataclass(frozen=True)
class Record:
    """How a derived table came about in this run."""

    table: str
    model: str
    status: str  # "shipped": the rows of `data/derived`, or "computed": now
    reason: str  # why it was computed; of a shipped table, what was checked
    key: str  # sha256 of model, inputs, rows, parameters and version
    content: str  # sha256 of the table's content
    rows: int
    sampled: int  # rows computed afresh for the check; 0 where all were computed
    largest_difference: float  # between shipped and fresh values
    tolerance: float  # what that difference may be
    seconds: float


Study = Callable[..., pd.DataFrame]
STUDIES: dict[str, Study] = {}  # by title; those of a room in the order in which they are made
VERSIONS: dict[str, int] = {}  # of the algorithm behind each derived table


def study(title: str, *, saves: str, tables: Mapping[str, int]) -> Callable[[Study], Study]:
    """Make a function the study of a model: `plmbook results` runs it, and its result is saved.

    Parameters
    ----------
    title : str
        Its key in `STUDIES`.
    saves : str
        The result is saved as `<saves>.<model>`.
    tables : mapping of str to int
        Its derived tables, each with the version of its algorithm, raised whenever that changes its answer, so that
        shipped tables are not used. A name belongs to one study (ValueError).

    Returns
    -------
    callable
        From a function of a `Run` and keyword-only options to the study: `study(model, *, profile="embedded",
        recompute=None, progress=False, **options)`, which returns the result. An option `collection` is of the proteins
        that are read: of whole proteomes nothing is shipped.
    """

    def decorate(function: Study) -> Study:
        def of_model(model, *, profile="embedded", recompute=None, progress=False, **options) -> pd.DataFrame:
            anew = os.environ.get(RECOMPUTE) == "1" if recompute is None else recompute
            whole = getattr(options.get("collection"), "whole", False)
            table = function(Run(model, profile, anew, progress, ships(model) and not whole), **options)
            save(table, f"{saves}.{model.name}", profile)
            return table

        if title not in STUDIES and (twice := VERSIONS.keys() & tables.keys()):
            raise ValueError(f"{title}: {min(twice)} is a table of another study")
        own, shared = (list(inspect.signature(each).parameters.values()) for each in (function, of_model))
        made = functools.update_wrapper(of_model, function)
        made.__signature__ = inspect.Signature([shared[0], *own[1:], *shared[1:-1]])  # type: ignore[attr-defined]
        VERSIONS.update(tables)
        STUDIES[title] = made
        return made

    return decorate


@dataclass(frozen=True)
class Run:
    """One run of a study, which it is given in the place of the model."""

    model: Any  # from `plmbook.models.load`
    profile: str = "embedded"  # names the folder of the results
    recompute: bool = False  # compute every derived table, whatever is shipped, and write it to `data/derived`
    progress: bool = False  # show bars
    ship: bool = True  # whether tables of this model, and of the proteins at hand, are shipped

    @property
    def dtype(self) -> str:
        return str(getattr(self.model, "dtype", "float32"))

    @property
    def tolerance(self) -> float:
        """Nats: bfloat16 keeps three digits of a logit, and what they are depends on the batch."""
        return 0.1 if self.dtype == "bfloat16" else TOLERANCE

    def bars(self, rows: pd.DataFrame) -> bool:
        """Whether to show a bar for these rows: not for a sample that is checked."""
        return self.progress and len(rows) > SAMPLE

    def derive(
        self,
        name: str,
        rows: pd.DataFrame,
        compute: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        files: Sequence[str | Path],
        parameters: Mapping[str, object],
        values: Sequence[str] = ("score",),
        of=None,
        tolerance: float | None = None,
        sample: int = SAMPLE,
        check: Callable[[pd.DataFrame], tuple[int, float]] | None = None,
    ) -> pd.DataFrame:
        """The table `data/derived/<model>/NAME.parquet` where key and content fit and a check agrees, else computed.

        Parameters
        ----------
        name : str
            Of the table, one of those that the decorator names.
        rows : DataFrame
            What to compute, one row each; the columns that identify a row.
        compute : callable
            From any part of `rows` (at least one) to them with the columns `values`; no row depends on the others.
        files, parameters : sequence of paths, mapping
            That the values depend on: files in the folder of data; JSON values besides the model's dtype (seeds, ...).
        values : sequence of str
            The numeric columns that `compute` adds.
        of : optional
            With `name` and `weights_hash`: whose the table is, where no model is read for it: no dtype in its key.
        tolerance : float, optional
            Largest difference between a shipped and a fresh value; default: that of one log-probability.
        sample : int
            Rows of a shipped table to compute afresh.
        check : callable, optional
            Instead of the sample, where a row cannot be computed alone: from the shipped table to the number of rows
            that were computed afresh and the largest difference; it raises DerivedMismatch.

        Returns
        -------
        DataFrame
            `rows` with `values`; DerivedMismatch where the key fits but the content or the check does not.
        """
        start = time.perf_counter()
        rows = rows.reset_index(drop=True)
        source, dtype = (self.model, {"dtype": self.dtype}) if of is None else (of, {})
        tolerance = self.tolerance if tolerance is None else tolerance
        ingredients = {
            "table": name,
            "model": source.name,
            "weights": source.weights_hash,
            "inputs": {Path(file).name: file_sha256(paths.data() / file) for file in files},
            "parameters": json.loads(json.dumps({**parameters, **dtype})),  # as a manifest has them: no tuples
            "rows": content_hash(rows),
            "version": VERSIONS[name],
        }
        key = sha256(json.dumps(ingredients, sort_keys=True))
        place = paths.derived() / source.name / f"{name}.parquet"
        reason = _why_compute(place, ingredients, key, ship=self.ship, recompute=self.recompute)
        if reason:
            table = _computed(rows, compute, values)
            if self.recompute and self.ship:
                facts = {"seconds": round(time.perf_counter() - start, 1), "ingredients": ingredients}
                if licence := getattr(getattr(source, "card", None), "licence", ""):
                    facts["licence"] = f"of the weights: {licence}"
                _write_derived(place, table, {"key": key} | facts)
            status, sampled, difference = "computed", 0, 0.0
        else:
            table = _shipped(place, rows, values)
            if check is None:
                sampled, difference = _check_sample(place, table, rows, compute, values, sample, tolerance)
            else:
                sampled, difference = check(table)
            status, reason = "shipped", f"key and content fit, {sampled} of {len(table)} rows computed afresh and equal"
        record = Record(
            table=name,
            model=source.name,
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
        write_json(paths.results(self.profile) / "derived" / f"{source.name}.{name}.json", asdict(record))
        return table


def records(profile: str = "embedded") -> pd.DataFrame:
    """How the derived tables of a profile came about, for the appendix: a row a table, the columns of `Record`."""
    found = [json.loads(p.read_text()) for p in sorted((paths.results(profile) / "derived").glob("*.json"))]
    return pd.DataFrame(found, columns=[field.name for field in fields(Record)])


def ships(model) -> bool:
    """Whether the book ships tables of a model: of those that every set-up has."""
    return bool(getattr(model.card, "bundled", False) or getattr(model.card, "packaged", False))


def draw_of(table: pd.DataFrame) -> np.random.Generator:
    """Seeded by the content: the same table is checked at the same rows, but nobody who changes it can avoid them."""
    return np.random.default_rng(int(content_hash(table)[:16], 16))


def _why_compute(place: Path, ingredients: dict, key: str, *, ship: bool, recompute: bool) -> str:
    """Why a table has to be computed; empty where the shipped one is to be used."""
    if not ship:
        return "not shipped for this model"
    if recompute:
        return "asked for"
    if not (manifest := _read_manifest(place)):
        return "no shipped table"
    if manifest.get("key") == key:
        return ""
    before = manifest.get("ingredients", {})
    changed = [part for part, value in ingredients.items() if before.get(part) != value]
    return f"the shipped table is of another {' and '.join(changed) or 'key'}"


def _read_manifest(place: Path) -> dict:
    """Empty where there is none, or no table."""
    path = place.with_suffix(".json")
    if not path.exists() or not place.exists():
        return {}
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


def _check_sample(place: Path, table, rows, compute, values, sample: int, tolerance: float) -> tuple[int, float]:
    """Compute a sample afresh: its size and the largest difference, or DerivedMismatch."""
    if not len(table) or sample < 1:
        return 0, 0.0
    chosen = np.sort(draw_of(table).choice(len(table), size=min(sample, len(table)), replace=False))
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


def _write_derived(place: Path, table: pd.DataFrame, facts: dict) -> None:
    manifest = {"content": content_hash(table), "rows": len(table)} | facts | {"versions": versions()}
    numbers = table.select_dtypes("number").columns
    write_parquet(
        place,
        table,
        use_dictionary=[name for name in table if name not in numbers],
        column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),  # the high bytes, which hardly differ, go together
    )
    write_json(place.with_suffix(".json"), manifest)
