"""Tables at the door: what a table is expected to be, and the check that names all faults of a file at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, shown

LISTED = 10  # faults that a message lists before it only counts


class TableError(InputError):
    """A table that does not fit its schema; the message names the file, the rows, what was expected and found."""


@dataclass(frozen=True)
class Column:
    """One column of a schema."""

    name: str
    kind: str  # the dtype that `check` gives it: str, int64, float64, float32, bool or bytes (an object column)
    nullable: bool = False  # whether a value may be missing: NaN for a float, "" for a text
    allowed: tuple[str, ...] = ()  # the only values of a text column; empty where any text is right
    minimum: float | None = None  # of a number, included
    maximum: float | None = None  # the same
    meaning: str = ""  # what it holds, with its unit

    def __post_init__(self) -> None:
        if self.kind not in _EXPECTED:
            raise ValueError(f"column {self.name}: unknown kind {self.kind!r}; expected one of {', '.join(_EXPECTED)}")
        if self.nullable and self.kind in ("int64", "bool", "bytes"):
            raise ValueError(f"column {self.name}: {self.kind} has no missing value")


@dataclass(frozen=True)
class Schema:
    """What a table must look like."""

    name: str
    columns: tuple[Column, ...]  # that must be there; a table may have more, which are carried
    key: tuple[str, ...] = ()  # columns that together name a row, each combination once; empty: rows may repeat
    # a statement that holds for each row, and the function from the table to a boolean Series of where it holds
    rules: tuple[tuple[str, Callable[[pd.DataFrame], pd.Series]], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


_EXPECTED = {
    "str": "text",
    "int64": "an integer",
    "float64": "a finite number",
    "float32": "a finite number",
    "bool": "True or False",
    "bytes": "bytes",
}


Converted = tuple[pd.Series, np.ndarray]  # values in the column's dtype, and which of them are wrong


def check(
    table: pd.DataFrame, schema: Schema, *, where: str | Path, lines: Sequence[int] | None = None
) -> pd.DataFrame:
    """Check a table against a schema, all faults at once.

    Parameters
    ----------
    table : DataFrame
        It is left as it was.
    schema : Schema
        The columns, their dtypes, keys and rules.
    where : str or Path
        What the message calls the table: its file, or where it came from.
    lines : sequence of int, shape (n_rows,), optional
        The line of each row in its file. Without it, messages count data rows from 1.

    Returns
    -------
    DataFrame
        A new table: the columns of the schema in order and in their dtypes, then the others as they were; index 0..n-1.
        Missing texts are `""`. Invariant: `check(check(t))` equals `check(t)`.

    Raises
    ------
    TableError
        If a column is missing, or a row has a missing, ill-typed or forbidden value, repeats a key or breaks a rule. Up
        to ten faults are listed in the order of rows.
    """
    refuse_missing_columns(table, schema.names, where)
    faults = Faults(where, lines)
    checked = {column.name: _check_column(table[column.name], column, faults) for column in schema.columns}
    others = [name for name in table.columns if name not in checked]
    result = pd.concat([pd.DataFrame(checked), table[others].reset_index(drop=True)], axis=1)
    spoilt = faults.rows()  # a row with an unreadable value is named once, not again by each rule
    if schema.key:
        _check_key(result, schema.key, faults)
    for statement, holds in schema.rules:
        _check_rule(result, statement, holds, spoilt, faults)
    faults.refuse(TableError, f"in the table {schema.name}")
    return result


class Faults:
    """The faults of one file: collected row by row, raised as one error."""

    def __init__(self, where: str | Path, lines: Sequence[int] | None) -> None:
        self.where = where
        self.lines = lines
        self._count = 0
        self._found: list[tuple[int, str]] = []  # (line or row as shown, message); at least those that are listed
        self._rows: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def rows(self) -> np.ndarray:
        """The 0-based rows that have a fault so far."""
        return np.array(sorted(self._rows), dtype=np.int64)

    def label(self, row: int) -> str:
        """What a message calls a 0-based row."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def add(self, row: int, message: str) -> None:
        self._rows.add(row)
        self._note(row, f"{self.label(row)}: {message}")

    def add_line(self, line: int, message: str) -> None:
        self._note(line, f"line {line}: {message}")

    def _note(self, place: int, message: str) -> None:
        self._count += 1
        self._found.append((place, message))
        if len(self._found) > 100 * LISTED:  # a file may be wrong in every line
            self._found = self._first()

    def _first(self) -> list[tuple[int, str]]:
        return sorted(self._found, key=lambda fault: fault[0])[:LISTED]

    def refuse(self, error: type[InputError], what: str) -> None:
        """Raise where there are faults."""
        if not self._count:
            return
        messages = [message for _, message in self._first()]
        plural = "" if self._count == 1 else "s"
        more = [f"... and {self._count - LISTED} more"] if self._count > LISTED else []
        raise error("\n  ".join([f"{self.where}: {self._count} fault{plural} {what}", *messages, *more]))


def refuse_missing_columns(
    table: pd.DataFrame, names: Sequence[str], where: str | Path, instead: dict[str, str] | None = None
) -> None:
    repeated = sorted({str(name) for name in table.columns[table.columns.duplicated()]})
    if repeated:
        raise TableError(
            f"{where}: expected each column once, found more than one column named {', '.join(map(repr, repeated))}"
        )
    missing = [name for name in names if name not in table.columns]
    if not missing:
        return
    found = [str(name) for name in table.columns]
    wanted = " and ".join(
        repr(name) + (f" (or {instead[name]!r})" if instead and name in instead else "") for name in missing
    )
    folded = {name.strip().casefold(): name for name in found}
    near = [f"{folded[name]!r} for {name!r}" for name in missing if name in folded]
    hint = f"; names are exact: found {', '.join(near)}" if near else ""
    plural = "" if len(missing) == 1 else "s"
    raise TableError(
        f"{where}: expected the column{plural} {wanted}, found the columns {', '.join(found) or '(none)'}{hint}"
    )


def _check_column(values: pd.Series, column: Column, faults: Faults) -> pd.Series:
    """Return the values in the column's dtype; where one is at fault, its place holds a harmless stand-in."""
    values = values.reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    texts = values.map(lambda value: isinstance(value, str)).to_numpy(bool)
    missing = values.isna().to_numpy(bool)
    if texts.any():
        missing = missing | (values == "").fillna(False).to_numpy(bool)
    if not column.nullable:
        for row in np.flatnonzero(missing).tolist():
            faults.add(row, f"column {column.name}: expected {_expected(column)}, found an empty cell")
    convert = {"str": _as_text, "bool": _as_bool, "bytes": _as_bytes}.get(column.kind, _as_number)
    converted, wrong = convert(values, texts, missing, column)
    for row in np.flatnonzero(wrong & ~missing).tolist():
        faults.add(row, f"column {column.name}: expected {_expected(column)}, found {values[row]!r}")
    return converted


def _expected(column: Column) -> str:
    if column.allowed:
        return "one of " + ", ".join(column.allowed)
    text = _EXPECTED[column.kind]
    if column.minimum is not None:
        text += f" from {column.minimum:g}" + (f" to {column.maximum:g}" if column.maximum is not None else " up")
    return text


def _as_text(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> Converted:
    wrong = ~texts
    if column.allowed:
        wrong |= ~values.isin(column.allowed).to_numpy(bool)
    return values.where(texts & ~missing, "").astype("str"), wrong


def _as_bool(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> Converted:
    if values.dtype == bool:
        return values.copy(), np.zeros(len(values), bool)
    known = values.map({True: 1, False: 0, "True": 1, "False": 0}).astype("float64").to_numpy()
    return pd.Series(known == 1), np.isnan(known)


def _as_bytes(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> Converted:
    wrong = ~values.map(lambda value: isinstance(value, bytes)).to_numpy(bool)
    return values.astype(object).where(~wrong, b""), wrong


def _as_number(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> Converted:
    if values.dtype == bool:  # True is no number, though pandas would read it as 1
        return pd.Series(np.zeros(len(values), column.kind)), np.ones(len(values), bool)
    numbers = pd.to_numeric(values, errors="coerce").astype("float64").to_numpy()
    wrong = ~np.isfinite(numbers)
    if column.minimum is not None:
        wrong |= numbers < column.minimum
    if column.maximum is not None:
        wrong |= numbers > column.maximum
    if column.kind == "int64":
        wrong |= (numbers != np.round(numbers)) | (np.abs(numbers) > 2**53)  # beyond it, float64 skips integers
        return pd.Series(np.where(wrong, 0, numbers).astype(np.int64)), wrong
    return pd.Series(np.where(wrong, np.nan, numbers).astype(column.kind)), wrong


def _check_key(table: pd.DataFrame, key: Sequence[str], faults: Faults) -> None:
    repeated = np.flatnonzero(table.duplicated(list(key)))
    if not len(repeated):
        return
    codes = table.groupby(list(key), sort=False).ngroup().to_numpy()
    _, firsts = np.unique(codes, return_index=True)  # the first row of each combination
    for row in np.setdiff1d(repeated, faults.rows()).tolist():
        own, first = ", ".join(f"{name} {table[name][row]!r}" for name in key), faults.label(firsts[codes[row]])
        faults.add(row, f"{own} repeats {first}; expected each {' and '.join(key)} once")


def _check_rule(
    table: pd.DataFrame, statement: str, holds: Callable[[pd.DataFrame], pd.Series], spoilt: np.ndarray, faults: Faults
) -> None:
    broken = ~holds(table).to_numpy(bool)
    broken[spoilt] = False
    if not broken.any():
        return
    # A statement names the columns that it is about: show their values.
    about = [name for name in table.columns if str(name) in statement.replace(",", " ").split()]
    for row in np.flatnonzero(broken):
        found = ", ".join(f"{name} {shown(table[name][row])}" for name in about)
        faults.add(int(row), f"expected that {statement}, found {found}")
