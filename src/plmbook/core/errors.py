"""The one error for input that is at fault, the checks that many rooms make, and the hint for a misspelt name."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class InputError(ValueError):
    """The input is at fault, not the program. The message names the file, the row or the record, what was expected,
    what was found and the likely cause; the command line prints it and exits with 2.
    """


def shown(value: Any) -> str:
    """A value as a message shows it: at most 40 characters."""
    text = repr(value.item() if getattr(value, "ndim", None) == 0 else value)
    return text if len(text) <= 40 else text[:37] + "..."


def some(names: Iterable[object], n: int = 5) -> str:
    """The first of many names, and how many more there are.
    >>> some("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    words = list(map(str, names))
    return ", ".join(words[:n]) + (f" and {len(words) - n} more" if len(words) > n else "")


def one_of(what: str, value: str, choices: Iterable[str]) -> str:
    """The value, where it is one of the choices; else an InputError that lists them and names the nearest."""
    choices = list(choices)
    if value not in choices:
        raise InputError(f"{what} {value!r}: expected one of {', '.join(choices)}{did_you_mean(value, choices)}")
    return value


def need(table: "pd.DataFrame", columns: Iterable[str], of: str = "") -> None:
    """Refuse a table without some columns; `of` says which table it is."""
    if missing := [name for name in columns if name not in table.columns]:
        where = f"{of}: " if of else ""
        raise InputError(f"{where}the table lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """What a misspelt word was probably meant to be: up to three names, nearest first; "" where nothing is near."""
    by_folded: dict[str, str] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), choice)
    near = difflib.get_close_matches(word.casefold(), by_folded, n=3)
    if not near:
        # An accession inside a longer FASTA id (`P04637` in `sp|P04637|P53_HUMAN`) is too short to be "close".
        folded = word.casefold()
        near = [choice for choice in by_folded if len(folded) > 2 and folded in choice][:3]
    if not near:
        return ""
    return "; did you mean " + " or ".join(repr(by_folded[name]) for name in near) + "?"
