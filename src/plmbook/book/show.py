"""What a chapter shows: a figure with the table behind it, a table with its caption, numbers as words."""

import html
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from plmbook.core import artifacts, paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_WIDTH = 600  # CSS pixels of a figure on a wide page


def models_named(called: Mapping[str, str]) -> str:
    """The models of a figure or table for its caption: each by its name, and in brackets by what is shown instead.
    >>> models_named({"plmbook_t6_3M": "default", "esm1v": "esm1v"})
    'plmbook_t6_3M (default), esm1v'
    """
    return ", ".join(name if text == name else f"{name} ({text})" for name, text in called.items())


def ahead(first: str, second: str, value: float, low: float, high: float) -> str:
    """What a difference of two models, first minus second, with its interval, lets one say.
    >>> ahead("the model", "the column", 0.03, 0.01, 0.05)
    'the model is ahead of the column by 0.030 [0.010, 0.050]'
    >>> ahead("the model", "the column", -0.03, -0.05, -0.01)
    'the column is ahead of the model by 0.030 [0.010, 0.050]'
    >>> ahead("the model", "the column", 0.03, -0.01, 0.05)
    'the model and the column cannot be told apart (+0.030 [-0.010, +0.050])'
    """
    if low > 0:
        return f"{first} is ahead of {second} by {interval(value, low, high)}"
    if high < 0:
        return f"{second} is ahead of {first} by {interval(-value, -high, -low)}"
    return f"{first} and {second} cannot be told apart ({interval(value, low, high, sign=True)})"


def interval(value: float, low: float, high: float, *, digits: int = 3, sign: bool = False) -> str:
    """A number and its interval as text.
    >>> interval(0.8612, 0.83, 0.8901), interval(-0.0101, -0.053, 0.048, sign=True)
    ('0.861 [0.830, 0.890]', '-0.010 [-0.053, +0.048]')
    """
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def figure(drawn: "Figure", table: pd.DataFrame, name: str, *, profile: str, caption: str) -> None:
    """Put a figure and its caption on the page; write the table behind it and the picture.

    Parameters
    ----------
    drawn : Figure
        Of a function of `plmbook.book.figures`.
    table : DataFrame
        What the figure shows; written to `results/<profile>/figures/NAME.parquet`, the picture beside it as PNG.
    name, profile : str
        Of the files, such as `02_auroc`, and of the folder of the results.
    caption : str
        CommonMark; names the models and says what a bar or a whisker is.
    """
    from IPython.display import Image, Markdown, display

    artifacts.save(table, f"figures/{name}", profile)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    picture = paths.results(profile) / "figures" / f"{name}.png"
    artifacts.write_atomically(picture, lambda temporary: temporary.write_bytes(buffer.getvalue()))
    display(Image(data=buffer.getvalue(), width=PAGE_WIDTH))
    display(Markdown(f"**Figure.** {caption} Table behind it: `results/{profile}/figures/{name}.parquet`."))


def table(values: pd.DataFrame, *, caption: str = "", digits: int = 3) -> None:
    """Put a small table on the page; `value`, `low`, `high` become "0.861 [0.830, 0.890]", a missing value a dash.

    Parameters
    ----------
    values : DataFrame
        The index is not shown.
    caption : str
        Plain text above the table: the models, the data.
    digits : int
        Decimals of numbers that are no integers; those get thousands separators.
    """
    from IPython.display import display

    texts = as_text(values, digits=digits)
    shown = texts.to_html(index=False, border=0, escape=True)
    caption = caption.replace("`", "")  # Markdown is not read here
    head = f"<caption>{html.escape(caption)}</caption>"
    shown = shown.replace("<thead>", f"{head}<thead>" if caption else "<thead>", 1)
    plain = texts.to_string(index=False)
    display({"text/html": shown, "text/plain": f"{caption}\n{plain}" if caption else plain}, raw=True)


def as_text(table: pd.DataFrame, *, digits: int = 3) -> pd.DataFrame:
    """The table that `table` shows: texts, with fresh index.
    >>> t = pd.DataFrame({"model": ["a"], "value": [0.5], "low": [0.25], "high": [0.75], "n": [4336], "x": [np.nan]})
    >>> as_text(t).iloc[0].tolist()
    ['a', '0.500 [0.250, 0.750]', '4,336', '–']
    """
    texts = table.astype(object).map(_as_text, digits=digits)
    if {"value", "low", "high"} <= set(table):
        ends = table[["value", "low", "high"]].itertuples(index=False)
        texts["value"] = [interval(*row, digits=digits) for row in ends]
        texts = texts.drop(columns=["low", "high"]).rename(columns={"value": "value [95 % interval]"})
    return texts.reset_index(drop=True)


def _as_text(value: object, digits: int) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:,.{digits}f}"
    return "–" if value is None or value is pd.NaT else str(value)
