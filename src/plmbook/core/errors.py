"""The one error for input that is at fault, and the hint that goes with a misspelt name."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The input is at fault, not the program.

    The message is for the person who made the input: it names the file, the row or the record, what was
    expected, what was found and the likely cause. The command line prints it and exits with 2.
    """


def shown(value: object) -> str:
    """A value as a message shows it: at most 40 characters."""
    text = repr(value.item() if getattr(value, "ndim", None) == 0 else value)
    return text if len(text) <= 40 else text[:37] + "..."


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Name the choices that a misspelt word was probably meant to be.

    Parameters
    ----------
    word : str
        What the user wrote.
    choices : iterable of str
        The valid names.

    Returns
    -------
    str
        `"; did you mean 'a' or 'b'?"` (at most three names, nearest first), or `""` where nothing is near.

    Examples
    --------
    >>> did_you_mean("tp53", ["TP53", "BRCA1"])
    "; did you mean 'TP53'?"
    >>> did_you_mean("alignment", ["TP53", "BRCA1"])
    ''
    """
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
