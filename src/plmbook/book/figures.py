"""Figures of the book: each function takes a table and gives a `matplotlib.figure.Figure`; it computes nothing.

Figures are narrow and their letters large, to be read on a phone. `plmbook.book.show.figure` puts one on the page; the
alternative text is in the metadata of the notebook's cell: `# %% mystnb={"image": {"alt": "..."}}`.

Tables have the column `model`, and optionally `name`, the text of a line (else `label(model)`), and `kind`, whose
colour a row has (else `kind(model)`; `style.RUN_HERE` tells a run here from published scores of the same model).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from plmbook.stats.metrics import BENIGN, PATHOGENIC
from plmbook.tables import schema_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from plmbook.book.style import (
    CLASS_COLOURS,
    DTYPE_LINES,
    ESM2,
    LIMIT,
    MODEL_COLOURS,
    MODEL_MARKS,
    POOL_LINES,
    REST,
    STYLE,
    WAY_COLOURS,
    WAY_MARKS,
    WIDTH,
    kind,
    label,
    published_mark,
)

ESTIMATES = schema_of("estimates")
"""What a table of AUROCs, AUPRCs, correlations or their differences holds at least: the value, its 95 % interval."""


def forest(
    table: pd.DataFrame,
    *,
    rows: str = "name",
    panel: str = "statistic",
    axis: str = "AUROC",
    reference: float | None = None,
) -> "Figure":
    """Values with intervals, one line each, panels side by side.

    Parameters
    ----------
    table : DataFrame
        model (kind), `rows` (text of the line), `panel` (title of the panel), value, low, high. Lines
        stand in the order in which they first come, from the top; a line that a panel lacks stays empty.
    rows, panel : str
        Names of columns.
    axis : str
        What the numbers are.
    reference : float, optional
        A vertical line: no difference, or chance.

    Returns
    -------
    Figure
    """
    names, panels = list(dict.fromkeys(table[rows])), list(dict.fromkeys(table[panel]))
    figure, axes = _canvas(0.9 + 0.33 * len(names), columns=len(panels), sharey=True)
    for ax, title in zip(axes, panels, strict=True):
        part = table[table[panel] == title]
        for (name, colour), row in zip(_named(part, rows), part.itertuples(), strict=True):
            _whisker(ax, colour, row.value, names.index(name), low=row.low, high=row.high, horizontal=True)
        ax.set(title=title, xlabel=axis, ylim=(len(names) - 0.4, -0.6))
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
        _reference(ax, reference, vertical=True)
    axes[0].set_yticks(range(len(names)), names)
    return figure


def by_bin(
    table: pd.DataFrame, *, bins: str = "bin", axis: str = "AUROC", across: str = "", reference: float | None = None
) -> "Figure":
    """Values with intervals over a few ordered bins, the models side by side in each.

    `table`: model (name, kind), `bins` (text, in order of appearance), value, low, high.
    """
    places, shown = list(dict.fromkeys(table[bins])), _series(table)
    figure, (ax,) = _canvas(3.4)
    step = 0.7 / max(len(shown), 1)
    for i, (_, colour, part) in enumerate(shown):
        for row in part.itertuples():
            x = places.index(getattr(row, bins)) + (i - (len(shown) - 1) / 2) * step
            _whisker(ax, colour, row.value, x, low=row.low, high=row.high, horizontal=False)
    ax.set_xticks(range(len(places)), places)
    ax.set(ylabel=axis, xlabel=across, xlim=(-0.6, len(places) - 0.4))
    ax.grid(axis="y")
    _reference(ax, reference, vertical=False)
    if len(shown) > 1:
        _legend(figure, shown)
    return figure


def per_gene(table: pd.DataFrame, *, value: str = "auroc", axis: str = "AUROC within the gene") -> "Figure":
    """One line per gene, best at the top by the mean over models; `table`: gene, model (name, kind) and `value`."""
    order = table.groupby("gene")[value].mean().sort_values(ascending=False).index.tolist()
    figure, (ax,) = _canvas(1.0 + 0.2 * len(order))
    ends = table.groupby("gene")[value].agg(["min", "max"]).loc[order]
    ax.hlines(range(len(order)), ends["min"], ends["max"], color="#CCCCCC", linewidth=1, zorder=1)
    shown = _series(table)
    for _, colour, part in shown:
        ax.scatter(part[value], [order.index(gene) for gene in part["gene"]], s=26, **_mark(colour), zorder=2)
    ax.set_yticks(range(len(order)), order)
    ax.set(xlabel=axis, ylim=(len(order) - 0.4, -0.6))
    ax.grid(axis="x")
    _legend(figure, shown)
    return figure


def roc_curves(effects: pd.DataFrame) -> "Figure":
    """ROC curves of several models: the share of P/LP found against the share of B/LB called, at every threshold.

    `effects`: model (name, kind), significance (P/LP or B/LB), score (lower = more damaging).
    """
    from sklearn.metrics import roc_curve

    figure, (ax,) = _canvas(4.0)
    for name, colour, part in _series(effects):
        false, true, _ = roc_curve(part["significance"] == PATHOGENIC, -part["score"])
        ax.plot(false, true, color=MODEL_COLOURS[colour], label=name, linewidth=1.6)
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    ax.set(xlabel="share of B/LB called pathogenic", ylabel="share of P/LP called pathogenic", aspect="equal")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="lower right", frameon=False)
    return figure


def scores_by_class(effects: pd.DataFrame, *, name: str = "name", bins: int = 60) -> "Figure":
    """Distributions of scores, one panel a model, one outline a class; the line at 0 is the wild type.

    `effects`: `name` (title of the panel), significance, score (natural log).
    """
    panels = list(dict.fromkeys(effects[name]))
    figure, axes = _canvas(0.8 + 1.15 * len(panels), rows=len(panels), sharex=True)
    ends = effects.groupby(name)["score"].quantile([0.005, 0.995])
    low, high = ends.min(), ends.max()
    edges = np.linspace(low, high, bins + 1)
    classes = [c for c in CLASS_COLOURS if c in set(effects["significance"])]
    for ax, title in zip(axes, panels, strict=True):
        part = effects[effects[name] == title]
        for group in classes:
            scores = part["score"][part["significance"] == group]
            density = np.histogram(scores, edges)[0] / max(len(scores), 1)
            ax.stairs(density, edges, color=CLASS_COLOURS[group], linewidth=1.4, label=group)
            ax.stairs(density, edges, color=CLASS_COLOURS[group], alpha=0.12, fill=True)
        ax.set_title(title, loc="left")
        ax.set(yticks=[], xlim=(low, high))
        ax.spines["left"].set_visible(False)
        _reference(ax, 0, vertical=True)
    axes[-1].set_xlabel("score (natural log; negative = damaging)")
    axes[0].legend(loc="upper left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def reliability(table: pd.DataFrame) -> "Figure":
    """Reliability diagrams: the observed share of P/LP against the predicted one, a panel a model.

    `table`: model (name, kind), and the columns of `metrics.reliability`: predicted, observed, low, high.
    """
    shown = _series(table)
    n_rows = -(-len(shown) // 2)
    figure, axes = _canvas(2.2 * n_rows + 0.5, rows=n_rows, columns=2, sharex=True, sharey=True)
    for ax, (name, colour, part) in zip(axes, shown, strict=False):
        ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        for row in part.itertuples():
            _whisker(ax, colour, row.observed, row.predicted, low=row.low, high=row.high, horizontal=False)
        ax.set(
            title=name.replace(" (", "\n("),
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.03),
            xticks=[0, 0.5, 1],
            yticks=[0, 0.5, 1],
        )
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    figure.supxlabel("predicted share of P/LP", fontsize=10)
    figure.supylabel("observed share", fontsize=10)
    return figure


def disagreement(table: pd.DataFrame, first: str, second: str, *, named: pd.DataFrame | None = None) -> "Figure":
    """Ranks of two models against each other, one dot a variant, coloured by class.

    `named`: rows of `table` with gene and mutation to write beside their dots.
    `table`: significance, `first` and `second` (percentile ranks, 0 = most damaging).
    """
    figure, (ax,) = _canvas(4.6)
    for group in (PATHOGENIC, BENIGN):
        part = table[table["significance"] == group]
        ax.scatter(part[first], part[second], s=5, color=CLASS_COLOURS[group], alpha=0.45, linewidths=0, label=group)
    ax.plot([0, 100], [0, 100], color="#999999", linewidth=0.8, linestyle=":")
    for row in (named if named is not None else table[:0]).to_dict("records"):
        right = row[first] > 60  # write towards the middle
        ax.annotate(
            f"{row['gene']} {row['mutation']}",
            (row[first], row[second]),
            xytext=(-4 if right else 4, 3),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8,
        )
        ax.scatter(row[first], row[second], s=16, facecolors="none", edgecolors="black", linewidths=0.8)
    ax.set(xlabel=f"{label(first)}: percentile", ylabel=f"{label(second)}: percentile", aspect="equal")
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, markerscale=3, frameon=False)
    return figure


def ensemble_curve(table: pd.DataFrame, *, single: Mapping[str, float], panel: str = "statistic") -> "Figure":
    """A statistic against the number of models averaged: a dot an ensemble, a line through their means.

    `table`: `panel`, n_models (int), value; model (for the colour).
    """
    panels = list(dict.fromkeys(table[panel]))
    figure, axes = _canvas(2.9, columns=len(panels), sharey=False)
    for ax, title in zip(axes, panels, strict=True):
        part = table[table[panel] == title]
        colour = MODEL_COLOURS[kind(part["model"].iloc[0])]
        mean = part.groupby("n_models")["value"].mean()
        ax.plot(mean.index, mean, color=colour, linewidth=1.4)
        ax.scatter(part["n_models"], part["value"], s=22, color=colour, edgecolors="white", linewidths=0.5, zorder=2)
        ax.axhline(single[title], color=MODEL_COLOURS[ESM2], linestyle="--", linewidth=1.4)
        ax.set(title=title, xlabel="ESM-1v models averaged", xticks=sorted(mean.index))
        ax.grid(axis="y")
    axes[0].set_ylabel("AUROC")
    return figure


def by_way(
    table: pd.DataFrame,
    *,
    across: str,
    value: str,
    x_axis: str | Mapping[str, str],
    axis: str,
    panel: str | None = None,
    y_scale: str = "log",
) -> "Figure":
    """A measure of several ways of doing the same work, against a size: a line a way and dtype, whiskers the range.

    `table`: way (a key of `WAY_COLOURS`, or `LIMIT`), dtype (a key of `DTYPE_LINES`), `across` (positive numbers),
    `value`, low, high (missing: no whisker).
    """
    panels = [None] if panel is None else list(dict.fromkeys(table[panel]))
    figure, axes = _canvas(3.8, columns=len(panels), sharey=True)
    drawn: dict[tuple[str, str], Any] = {}
    for ax, title in zip(axes, panels, strict=True):
        part = table if title is None else table[table[panel] == title]
        for (way, dtype), line in part.groupby(["way", "dtype"], sort=False):
            line = line.sort_values(across)
            drawn.setdefault(
                (way, dtype), _way_line(ax, way, dtype, line[across], line[value], line["low"], line["high"])
            )
        ax.set(xlabel=x_axis if isinstance(x_axis, str) else x_axis[str(title)], xscale="log", yscale=y_scale)
        ticks = _apart(sorted(set(part[across])), 1.6 if panel is None else 2.1)  # a panel is narrower
        ax.set_xticks(ticks, [_short(tick) for tick in ticks], minor=False)
        ax.set_xticks([], minor=True)
        if y_scale == "linear":
            ax.set_ylim(bottom=0)
        ax.grid(axis="y")
    axes[0].set_ylabel(axis)
    names = [f"{way}, {dtype}" for way, dtype in drawn]
    figure.legend(
        handles=list(drawn.values()), labels=names, loc="outside upper left", ncols=2, fontsize=9, frameon=False
    )
    return figure


def steps(table: pd.DataFrame, *, rows: str, step: str, value: str, axis: str) -> "Figure":
    """What a job is made of: a bar a row, its steps one after the other.

    `table`: way (a key of `WAY_COLOURS`), `rows` (text of the bar), `step` (in the order of the work), `value`.
    """
    names, kinds = list(dict.fromkeys(table[rows])), list(dict.fromkeys(table[step]))
    figure, (ax,) = _canvas(1.4 + 0.46 * len(names))
    shades = np.linspace(1.0, 0.25, len(kinds))
    for place, name in enumerate(names):
        part, left = table[table[rows] == name].set_index(step), 0.0
        for kind_of_step, shade in zip(kinds, shades, strict=True):
            width = part[value][kind_of_step]
            ax.barh(place, width, left=left, color=WAY_COLOURS[part["way"].iloc[0]], alpha=shade, height=0.7)
            left += width
    for kind_of_step, shade in zip(kinds, shades, strict=True):
        ax.barh([0], [0], color="#555555", alpha=shade, label=kind_of_step)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel=axis, ylim=(len(names) - 0.4, -0.6))
    ax.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=len(kinds), fontsize=9, frameon=False)
    return figure


def memory(table: pd.DataFrame, *, stop: float | None = None) -> "Figure":
    """Resident memory of a job over time, from 0; `table`: minutes, mib."""
    figure, (ax,) = _canvas(2.8)
    ax.plot(table["minutes"], table["mib"], color=WAY_COLOURS["plmbook"], linewidth=1.4)
    ax.set(xlabel="minutes", ylabel="resident memory (MiB)", ylim=(0, 1.15 * table["mib"].max()))
    ax.grid(axis="y")
    _reference(ax, stop, vertical=True)
    return figure


def contact_precision(table: pd.DataFrame, *, value: str = "p_at_l", times: float = 5) -> "Figure":
    """Precision of the predicted contacts of each protein against its background, a panel a model.

    `table`: model (name, kind), `background` and the column `value` (shares), one row a protein and model.
    """
    shown = _series(table)
    figure, axes = _canvas(3.2, columns=len(shown), sharex=True, sharey=True)
    right, top = (1.05 * table[name].max() for name in ("background", value))
    for ax, (name, colour, part) in zip(axes, shown, strict=True):
        ax.plot([0, right], [0, right], color="#999999", linewidth=0.8, linestyle=":")
        ax.plot([0, right], [0, times * right], color="#999999", linewidth=0.8, linestyle="--")
        ax.scatter(part["background"], part[value], s=22, alpha=0.8, linewidths=0, **_mark(colour))
        ax.set(title=name, xlabel="share of contacts, all pairs", xlim=(0, right), ylim=(-0.02 * top, top))
        ax.grid()
    axes[0].set_ylabel("share of contacts, best L pairs")
    return figure


def contact_map(table: pd.DataFrame, *, length: int, best: int, model: str) -> "Figure":
    """Contacts of a protein: those of the structure below the diagonal, the best predicted pairs above it.

    `table`: position, partner (1-based, position < partner), probability, contact (bool), as `contacts.pair_table`.
    """
    true, predicted = table[table["contact"]], table.nlargest(best, "probability")
    figure, (ax,) = _canvas(5.0)
    options: dict[str, Any] = {"marker": "s", "s": max(1.0, (250 / length) ** 2), "linewidths": 0}
    ax.scatter(true["position"], true["partner"], color="#000000", label="contact in the structure", **options)
    for right, colour in ((True, MODEL_COLOURS[kind(model)]), (False, "#BBBBBB")):
        part, text = predicted[predicted["contact"] == right], f"predicted, {'' if right else 'not '}in contact"
        ax.scatter(part["partner"], part["position"], color=colour, label=text, **options)
    ax.plot([1, length], [1, length], color="#999999", linewidth=0.8)
    ax.set(xlabel="residue", ylabel="residue", xlim=(0, length + 1), ylim=(length + 1, 0), aspect="equal")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), markerscale=3, frameon=False)
    return figure


def against(
    table: pd.DataFrame, *, x: str, y: str, x_axis: str, axis: str, panel: str = "panel", diagonal: bool = True
) -> "Figure":
    """One number against another, a dot a protein, a panel a model or a test.

    `table`: model (kind), `panel` (its title), `x` and `y` (numbers).
    """
    panels = list(dict.fromkeys(table[panel]))
    columns = min(len(panels), 2)
    deep = -(-len(panels) // columns)
    figure, axes = _canvas(0.5 + 2.5 * deep, rows=deep, columns=columns, sharex=True, sharey=True)
    ends = [table[[x, y]].min().min(), table[[x, y]].max().max()]
    for number, (ax, title) in enumerate(zip(axes, panels, strict=False)):
        part = table[table[panel] == title]
        for _, colour, dots in _series(part.assign(name=title)):
            ax.scatter(dots[x], dots[y], s=16, alpha=0.5, linewidths=0, **_mark(colour))
        if diagonal:
            ax.plot(ends, ends, color="#777777", linewidth=0.9, linestyle=":", zorder=0)
        ax.set(title=title, ylabel=axis if number % columns == 0 else "")
        ax.grid()
    for number, ax in enumerate(axes[len(panels) :], start=len(panels)):
        ax.set_visible(False)
        axes[number - columns].tick_params(labelbottom=True)  # the numbers below an empty place stand above it
    figure.supxlabel(x_axis, fontsize=10)
    return figure


def _canvas(height: float, *, rows: int = 1, columns: int = 1, **share: Any) -> tuple["Figure", Sequence["Axes"]]:
    """A figure in the style of the book, outside pyplot: nothing shows until `show` shows it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **share)
    return figure, list(axes.flat)


def _named(table: pd.DataFrame, name: str = "name") -> list[tuple[str, str]]:
    """For each row the text that names it and the kind whose colour it has."""
    names = table[name] if name in table else table["model"].map(label)
    kinds = table["kind"] if "kind" in table else table["model"].map(kind)
    return list(zip(names.astype(str), kinds, strict=True))


def _series(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Name, kind and rows of each line of a figure, in order of appearance."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(_named(table)):
        places.setdefault(key, []).append(place)
    return [(*key, table.iloc[rows]) for key, rows in places.items()]


def _mark(colour: str) -> dict[str, Any]:
    return {"color": MODEL_COLOURS[colour], "marker": MODEL_MARKS[colour]}


def _whisker(ax: "Axes", colour: str, value: float, place: float, *, low: float, high: float, horizontal: bool) -> None:
    """A mark with its interval, in the colour of a kind: `place` is where it stands on the other axis."""
    error = [[value - low], [high - value]]
    style = {**_mark(colour), "markersize": 5, "linewidth": 1.6}
    if horizontal:
        ax.errorbar(value, place, xerr=error, **style)
    else:
        ax.errorbar(place, value, yerr=error, **style)


def _way_line(ax: "Axes", way: str, dtype: str, x, y, low, high):
    """A line of `by_way`; returns what stands for it in the legend."""
    if way == LIMIT:
        style: dict[str, Any] = {"color": "#000000", "linestyle": {"float32": ":", "bfloat16": (0, (1, 3))}[dtype]}
        return ax.plot(x, y, linewidth=1.4, **style)[0]
    style = {"color": WAY_COLOURS[way], "marker": WAY_MARKS[way], "linestyle": DTYPE_LINES[dtype]}
    error = [(y - low).fillna(0), (high - y).fillna(0)]
    return ax.errorbar(x, y, yerr=error, markersize=5, linewidth=1.4, elinewidth=1.0, **style)


def _apart(values: Sequence[float], factor: float = 1.6) -> list[float]:
    """Of ascending numbers those that leave room for their text on a logarithmic scale.

    >>> _apart([1, 2, 3, 10])
    [1, 2, 10]
    """
    kept = list(values[:1])
    for value in values[1:]:
        if value >= factor * kept[-1]:
            kept.append(value)
    return kept


def _short(number: float) -> str:
    """A size in few letters.

    >>> [_short(n) for n in (64, 1022, 2_709_921, 651_042_593, 15_129_098_273)]
    ['64', '1,022', '2.71M', '651M', '15.1B']
    """
    for unit, name in ((1e9, "B"), (1e6, "M")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:,.0f}"


def _reference(ax: "Axes", at: float | None, *, vertical: bool) -> None:
    if at is not None:
        draw = ax.axvline if vertical else ax.axhline
        draw(at, color="#777777", linewidth=0.9, linestyle=":", zorder=0)


def _legend(figure: "Figure", shown: Sequence[tuple[str, str, pd.DataFrame]]) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], linestyle="", markersize=6, label=name, **_mark(colour)) for name, colour, _ in shown]
    figure.legend(handles=marks, loc="outside upper left", ncols=2, fontsize=9, frameon=False)


def variant_maps(table: pd.DataFrame, values: Mapping[str, str]) -> "Figure":
    """Variants by positions, a map for each gene and value, one under the other; at the left the variants' classes.

    `table`: gene, mutation, significance, position (1-based), a row a cell, and the columns of `values`: numbers, in
    colours that are symmetric about 0, or bool, dark where true. Variants stand in the order in which they come.
    """
    genes = list(dict.fromkeys(table["gene"]))
    figure, axes = _canvas(0.5 + 1.45 * len(genes) * len(values), rows=len(genes) * len(values))
    panels = iter(axes)
    for gene in genes:
        part = table[table["gene"] == gene]
        classes = part.drop_duplicates("mutation").set_index("mutation")["significance"]
        for column, title in values.items():
            ax = next(panels)
            wide = part.pivot(index="mutation", columns="position", values=column).loc[classes.index]
            _variant_map(figure, ax, wide.to_numpy(dtype=np.float64), yes_no=pd.api.types.is_bool_dtype(part[column]))
            length = wide.shape[1]
            colours = [CLASS_COLOURS[each] for each in classes]
            ax.barh(range(len(classes)), 0.025 * length, left=-0.03 * length, height=1, color=colours)
            ax.set(xlim=(-0.04 * length, length + 0.5), ylim=(len(classes) - 0.5, -0.5), yticks=[])
            ax.set_title(f"{gene}: {title}", loc="left")
            ax.set_ylabel(f"{len(classes)} variants")
        ax.set_xlabel("position")
    _class_legend(figure, [each for each in CLASS_COLOURS if each in set(table["significance"])])
    return figure


def boxen(table: pd.DataFrame, values: Mapping[str, str], *, panel: str = "gene", by: str = "pair") -> "Figure":
    """Letter-value plots of two groups, a row of panels a gene, a column a value.

    `table`: `panel`, `by` (text of the group; in order of appearance if sorted, so "apart" is left of "in contact")
    and the columns of `values`.
    """
    import seaborn

    panels, groups = list(dict.fromkeys(table[panel])), sorted(set(table[by]))
    greys = dict(zip(groups, ("#CCCCCC", "#8C8C8C"), strict=False))
    figure, axes = _canvas(0.4 + 2.3 * len(panels), rows=len(panels), columns=len(values))
    places = iter(axes)
    for name in panels:
        part = table[table[panel] == name]
        for column, title in values.items():
            ax = next(places)
            seaborn.boxenplot(
                data=part, x=by, y=column, hue=by, order=groups, hue_order=groups, palette=greys, legend=False, ax=ax
            )
            ax.set(title=name, xlabel="", ylabel=title)
            ax.grid(axis="y")
    return figure


def _variant_map(figure: "Figure", ax: "Axes", numbers: np.ndarray, *, yes_no: bool) -> None:
    """A map of rows by positions with its scale."""
    from matplotlib import colormaps

    largest = 1.0 if yes_no else float(np.nanquantile(np.abs(numbers), 0.99)) if np.isfinite(numbers).any() else 1.0
    colours = colormaps["Greys" if yes_no else "PuOr"].with_extremes(bad="#E3E3E3")
    extent = (0.5, numbers.shape[1] + 0.5, len(numbers) - 0.5, -0.5)
    ends: dict[str, Any] = {"vmin": 0 if yes_no else -largest, "vmax": largest}
    image = ax.imshow(numbers, aspect="auto", interpolation="nearest", cmap=colours, extent=extent, **ends)
    scale = figure.colorbar(image, ax=ax, pad=0.01, fraction=0.04)
    if yes_no:
        scale.set_ticks([0, 1], labels=["no", "yes"])


def _class_legend(figure: "Figure", classes: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(color=CLASS_COLOURS[each], label=each) for each in classes]
    figure.legend(handles=marks, loc="outside upper left", ncols=len(marks), fontsize=9, frameon=False)


def forests(
    table: pd.DataFrame,
    *,
    rows: str = "name",
    panel: str = "panel",
    axis: str,
    reference: float | Mapping[str, float] | None = None,
    columns: int = 2,
) -> "Figure":
    """`forest` for more panels than fit side by side: they stand in a grid, all on one scale."""
    names, panels = list(dict.fromkeys(table[rows])), list(dict.fromkeys(table[panel]))
    deep = -(-len(panels) // columns)
    height = 0.6 + deep * (0.55 + 0.24 * len(names))
    figure, axes = _canvas(height, rows=deep, columns=columns, sharex=True, sharey=True)
    for ax, title in zip(axes, panels, strict=False):
        part = table[table[panel] == title]
        for (name, colour), row in zip(_named(part, rows), part.itertuples(), strict=True):
            _whisker(ax, colour, row.value, names.index(name), low=row.low, high=row.high, horizontal=True)
        ax.set(title=title, ylim=(len(names) - 0.4, -0.6))
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
        _reference(ax, reference[title] if isinstance(reference, Mapping) else reference, vertical=True)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    figure.supxlabel(axis, fontsize=10)
    return figure


def trends_by_class(table: pd.DataFrame, *, x: str, y: str, x_axis: str, y_axis: str, parts: int = 8) -> "Figure":
    """One number against another, a dot a variant, and of each class a line through the medians of equal parts.

    `table`: significance (a key of `CLASS_COLOURS`), `x`, `y` (from 0 up; the axis is linear near 0, else logarithmic).
    """
    figure, (ax,) = _canvas(3.8)
    for group in [each for each in CLASS_COLOURS if each in set(table["significance"])]:
        part = table[table["significance"] == group].sort_values(x)
        ax.scatter(part[x], part[y], s=5, color=CLASS_COLOURS[group], alpha=0.3, linewidths=0)
        pieces = [part.iloc[rows] for rows in np.array_split(np.arange(len(part)), parts) if len(rows)]
        middle = [(piece[x].median(), piece[y].median()) for piece in pieces]
        line: dict[str, Any] = {
            "color": CLASS_COLOURS[group],
            "marker": "o",
            "markersize": 4,
            "markeredgecolor": "white",
        }
        ax.plot(*zip(*middle, strict=True), linewidth=1.8, **line)
    ax.set_yscale("asinh", linear_width=0.1)  # most are small, and 0 is a value
    ticks = [tick for tick in (0, 0.1, 0.3, 1, 3, 10, 30) if tick <= table[y].max()]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set(xlabel=x_axis, ylabel=y_axis, ylim=(-0.005, None))
    ax.grid()
    _class_legend(figure, [each for each in CLASS_COLOURS if each in set(table["significance"])])
    return figure


def single_and_combined(table: pd.DataFrame, *, axis: str) -> "Figure":
    """Scores of two single changes and of both together, a line a case, panels side by side.

    `table`: name (text of the line, in order of appearance), panel, model (name, kind), score1, score2, combined.
    """
    names, panels = list(dict.fromkeys(table["name"])), list(dict.fromkeys(table["panel"]))
    figure, axes = _canvas(1.0 + 0.18 * len(names), columns=len(panels), sharex=True, sharey=True)
    for ax, title in zip(axes, panels, strict=True):
        part = table[table["panel"] == title]
        place = part["name"].map(names.index)
        low, high = part[["score1", "score2"]].min(axis=1), part[["score1", "score2"]].max(axis=1)
        ax.hlines(place, low, high, color="#BBBBBB", linewidth=1.4, zorder=1)
        for column in ("score1", "score2"):
            ax.scatter(part[column], place, s=16, facecolors="white", edgecolors="#777777", linewidths=1, zorder=2)
        ax.scatter(part["combined"], place, s=24, **_mark(kind(part["model"].iloc[0])), zorder=3)
        ax.set(title=title, ylim=(len(names) - 0.4, -0.6))
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    figure.supxlabel(axis, fontsize=10)
    return figure


def maps(
    table: pd.DataFrame, *, by: str, styles: Mapping[str, tuple[str, str]], rest: str = "other", columns: int = 2
) -> "Figure":
    """Points coloured by group, one panel a map, side by side.

    `table`: panel (text, in order of appearance), x, y, x_axis and y_axis (text, the same within a panel), and `by`;
    rows of no key of `styles` are grey and lie below.
    """
    from matplotlib.lines import Line2D

    panels = list(dict.fromkeys(table["panel"]))
    shown = [group for group in styles if group in set(table[by])]
    has_rest = bool((~table[by].isin(shown)).any())
    lines = -(-(len(shown) + has_rest) // columns)
    figure, axes = _canvas(2.7 + 0.19 * lines, columns=len(panels))
    for ax, title in zip(axes, panels, strict=True):
        part = table[table["panel"] == title]
        below = part[~part[by].isin(shown)]
        ax.scatter(below["x"], below["y"], s=2.5, color=REST, linewidths=0, rasterized=True)
        # all groups in one call and in random order: the last group drawn does not hide the others
        for mark in dict.fromkeys(styles[group][1] for group in shown):
            of_mark = part[part[by].isin([group for group in shown if styles[group][1] == mark])]
            of_mark = of_mark.sample(frac=1, random_state=0)
            colours = of_mark[by].map(lambda group: styles[group][0])
            size = 4 if mark == "o" else 7
            ax.scatter(of_mark["x"], of_mark["y"], s=size, c=colours, marker=mark, linewidths=0, rasterized=True)
        ax.set(title=title, xlabel=part["x_axis"].iloc[0], ylabel=part["y_axis"].iloc[0], xticks=[], yticks=[])
    marks = [(group, *styles[group]) for group in shown] + ([(rest, REST, "o")] if has_rest else [])
    dot: dict[str, Any] = {"linestyle": "", "markersize": 6}
    handles = [Line2D([], [], marker=mark, color=colour, label=name, **dot) for name, colour, mark in marks]
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, fontsize=9, frameon=False)
    return figure


def by_layer(table: pd.DataFrame, *, axis: str, reference: float | None = None) -> "Figure":
    """A measure (value) against the layer (int), a line a pooling (pool, of `POOL_LINES`), a panel a model."""
    from matplotlib.lines import Line2D

    shown = _series(table)
    figure, axes = _canvas(3.2, columns=len(shown), sharex=True, sharey=True)
    pools = list(dict.fromkeys(table["pool"]))
    for ax, (name, colour, part) in zip(axes, shown, strict=True):
        for pool in pools:
            line = part[part["pool"] == pool].sort_values("layer")
            style: dict[str, Any] = dict(zip(("linestyle", "marker"), POOL_LINES[pool], strict=True))
            ax.plot(line["layer"], line["value"], color=MODEL_COLOURS[colour], markersize=5, **style)
        ax.set(title=name, xlabel="layer", xticks=sorted(set(part["layer"])))
        ax.grid(axis="y")
        _reference(ax, reference, vertical=False)
    axes[0].set_ylabel(axis)
    marks = [
        Line2D([], [], color="#555555", linestyle=style, marker=mark, markersize=5, label=pool)
        for pool, (style, mark) in POOL_LINES.items()
        if pool in pools
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=len(marks), fontsize=9, frameon=False)
    return figure


def by_size(table: pd.DataFrame, *, across: str, x_axis: str, axis: str, panel: str = "panel") -> "Figure":
    """A measure with its interval against a size on a logarithmic scale, a line a model, panels side by side.

    `table`: model (kind, name), `panel`, `across` (positive numbers), value; low, high: whiskers, missing for none.
    """
    panels = list(dict.fromkeys(table[panel]))
    figure, axes = _canvas(3.4, columns=len(panels), sharex=True)
    sizes = sorted(set(table[across]))
    for ax, title in zip(axes, panels, strict=True):
        shown = _series(table[table[panel] == title])
        for number, (_, colour, part) in enumerate(shown):
            x = part[across] * 1.05 ** (number - (len(shown) - 1) / 2)  # whiskers side by side
            error = [(part["value"] - part["low"]).fillna(0), (part["high"] - part["value"]).fillna(0)]
            ax.errorbar(x, part["value"], yerr=error, markersize=5, linewidth=1.4, elinewidth=1.0, **_mark(colour))
        ax.set(title=title, xlabel=x_axis, xscale="log")
        ax.set_xticks(_apart(sizes, 1.8), [_short(size) for size in _apart(sizes, 1.8)], minor=False)
        ax.set_xticks([], minor=True)
        ax.grid(axis="y")
    axes[0].set_ylabel(axis)
    _legend(figure, _series(table))
    return figure


def tracks(table: pd.DataFrame, values: Mapping[str, str], *, axis: str) -> "Figure":
    """Numbers along proteins, a panel a protein one under the other, with a motif behind them in grey.

    `table`: model, panel (title), position (1-based, ascending within a panel), motif (bool), and the columns of
    `values`.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    panels = list(dict.fromkeys(table["panel"]))
    figure, axes = _canvas(0.7 + 1.7 * len(panels), rows=len(panels))
    colour = MODEL_COLOURS[kind(table["model"].iloc[0])]
    styles: list[dict[str, Any]] = [
        {"color": colour, "linewidth": 1.5},
        {"color": "#000000", "linewidth": 1.0, "linestyle": "--"},
    ]
    for ax, title in zip(axes, panels, strict=True):
        part = table[table["panel"] == title]
        inside = part["motif"].to_numpy()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
        for first, stop in edges.reshape(-1, 2):
            ax.axvspan(part["position"].iloc[first] - 0.5, part["position"].iloc[stop - 1] + 0.5, color="#D5D5D5", lw=0)
        for column, style in zip(values, styles, strict=False):
            ax.plot(part["position"], part[column], **style)
        _reference(ax, 0.0, vertical=False)
        ax.set(title=title, xlim=(1, len(part)))
    axes[-1].set_xlabel("residue")
    figure.supylabel(axis, fontsize=10)
    marks: list[Any] = [
        Line2D([], [], label=text, **style) for text, style in zip(values.values(), styles, strict=False)
    ]
    marks.append(Patch(color="#D5D5D5", label="motif"))
    figure.legend(handles=marks, loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    return figure


def rank_plot(table: pd.DataFrame, bars: pd.DataFrame, *, axis: str, panel: str = "panel") -> "Figure":
    """Critical-difference diagrams: mean ranks on a line, bars under those that cannot be told apart, a row a panel.

    `bars`: `panel`, low, high: mean ranks that a bar spans; difference (the critical one, the same in a panel).
    `table`: `panel` (its title), model (text), family (of its card, for the mark), rank (1 is the best, at the left).
    """
    panels = list(dict.fromkeys(table[panel]))
    deepest = max([(bars[panel] == title).sum() for title in panels], default=0)
    n_models = max((table[panel] == title).sum() for title in panels)
    figure, axes = _canvas((1.3 + 0.13 * n_models + 0.12 * deepest) * len(panels) + 0.3, rows=len(panels), sharex=True)
    for ax, title in zip(axes, panels, strict=True):
        part = table[table[panel] == title].sort_values("rank", kind="stable")
        under = bars[bars[panel] == title]
        left = -(-len(part) // 2)  # the better half is named at the left, the best on top
        for place, row in enumerate(part.itertuples()):
            at_left = place < left
            height = 1.0 + (left - place if at_left else place - left + 1)
            end = 0.7 if at_left else n_models + 0.3
            ax.plot([row.rank, row.rank, end], [0, height, height], color="#999999", linewidth=0.8, zorder=1)
            ax.plot(row.rank, 0, markersize=6, zorder=3, clip_on=False, **published_mark(row.family))
            text: dict[str, Any] = {"ha": "right" if at_left else "left", "va": "center", "fontsize": 9}
            ax.text(end - 0.08 if at_left else end + 0.08, height, row.model, **text)
        for depth, row in enumerate(under.itertuples(), start=1):
            ax.plot([row.low - 0.06, row.high + 0.06], [-0.75 * depth] * 2, color="#000000", linewidth=2.5)
        if len(under):
            top, ends = left + 2.2, [1, 1 + under["difference"].iloc[0]]
            ax.plot(ends, [top, top], color="#000000", linewidth=1.2, marker="|", markersize=6)
            ax.text(ends[1] + 0.12, top, f"critical difference {ends[1] - 1:.2f}", va="center", fontsize=9)
        ax.plot([1, n_models], [0, 0], color="#000000", linewidth=0.8, zorder=0)
        ax.set_title(title)
        ax.set(yticks=[], xticks=range(1, n_models + 1), xlim=(-1.6, n_models + 2.6))
        ax.set_ylim(-0.75 * (deepest + 1), left + 2.8)
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(axis="x", length=0, labelbottom=True)
    axes[-1].set_xlabel(axis)
    return figure
