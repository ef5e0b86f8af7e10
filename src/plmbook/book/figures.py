"""Figures of the book: each function takes a table and gives a `matplotlib.figure.Figure`; it computes nothing.

Figures are narrow and their letters large, to be read on a phone. Tables have the column `model`, and optionally
`name`, the text of a line (else `label(model)`), and `kind`, whose colour a row has (else `kind(model)`;
`style.RUN_HERE` tells a run here from published scores of the same model).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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
from plmbook.stats.metrics import BENIGN, PATHOGENIC
from plmbook.tables import schema_of

ESTIMATES = schema_of("estimates")
"""What a table of AUROCs, AUPRCs, correlations or their differences holds at least: the value, its 95 % interval."""


def forest(
    table: pd.DataFrame,
    *,
    rows: str = "name",
    panel: str = "statistic",
    axis: str = "AUROC",
    reference: float | Mapping[str, float] | None = None,
    columns: int | None = None,
) -> Figure:
    """Values with intervals, one line each, panels side by side or in a grid.

    Parameters
    ----------
    table : DataFrame
        model (kind), `rows` (text of the line), `panel` (title of the panel), value, low, high. Lines stand in the
        order in which they first come, from the top; a line that a panel lacks stays empty.
    rows, panel, axis : str
        Names of the two columns; what the numbers are.
    reference : float or mapping of str to float, optional
        A vertical line in every panel, or one by the panel's title: no difference, or chance.
    columns : int, optional
        Panels side by side, for more than fit into one row; those of a grid share one scale.

    Returns
    -------
    Figure
    """
    names = list(dict.fromkeys(table[rows]))
    base, each = (0.6, 0.55 + 0.24 * len(names)) if columns else (0.9 + 0.33 * len(names), 0)
    figure, panels = _panels(_parts(table, panel), base, each, columns=columns, sharex=bool(columns), sharey=True)
    for ax, title, part in panels:
        for (name, colour), row in zip(_named(part, rows), part.itertuples(), strict=True):
            _whisker(ax, colour, row.value, names.index(name), low=row.low, high=row.high, horizontal=True)
        ax.set(title=title, xlabel="" if columns else axis)
        _lines(ax, names)
        ax.tick_params(axis="y", length=0)
        _reference(ax, reference[title] if isinstance(reference, Mapping) else reference, vertical=True)
    if columns:
        figure.supxlabel(axis, fontsize=10)
    return figure


def by_bin(table: pd.DataFrame, *, axis: str = "AUROC", across: str = "", reference: float | None = None) -> Figure:
    """Values over ordered bins, models side by side; `table`: model (name, kind), bin (text), value, low, high."""
    places, shown = list(dict.fromkeys(table["bin"])), _series(table)
    figure, (ax,) = _canvas(3.4)
    step = 0.7 / max(len(shown), 1)
    for i, (_, colour, part) in enumerate(shown):
        for row in part.itertuples():
            x = places.index(row.bin) + (i - (len(shown) - 1) / 2) * step
            _whisker(ax, colour, row.value, x, low=row.low, high=row.high, horizontal=False)
    ax.set_xticks(range(len(places)), places)
    ax.set(ylabel=axis, xlabel=across, xlim=(-0.6, len(places) - 0.4))
    ax.grid(axis="y")
    _reference(ax, reference, vertical=False)
    if len(shown) > 1:
        _legend_of(figure, shown)
    return figure


def per_gene(table: pd.DataFrame, *, axis: str = "AUROC within the gene") -> Figure:
    """One line per gene, best at the top by the mean over models; `table`: gene, model (name, kind), auroc."""
    genes = table.groupby("gene")["auroc"].agg(["mean", "min", "max"]).sort_values("mean", ascending=False)
    order = genes.index.tolist()
    figure, (ax,) = _canvas(1.0 + 0.2 * len(order))
    ax.hlines(range(len(order)), genes["min"], genes["max"], color="#CCCCCC", linewidth=1, zorder=1)
    shown = _series(table)
    for _, colour, part in shown:
        ax.scatter(part["auroc"], [order.index(gene) for gene in part["gene"]], s=26, **_mark(colour), zorder=2)
    ax.set_xlabel(axis)
    _lines(ax, order)
    _legend_of(figure, shown)
    return figure


def roc_curves(effects: pd.DataFrame) -> Figure:
    """ROC curves; `effects`: model (name, kind), significance (P/LP or B/LB), score (lower = more damaging)."""
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


def scores_by_class(effects: pd.DataFrame) -> Figure:
    """Distributions of scores, a panel a model; `effects`: name (title of the panel), significance, score (ln)."""
    figure, panels = _panels(_parts(effects, "name"), 0.8, 1.15, columns=1, sharex=True)
    ends = effects.groupby("name")["score"].quantile([0.005, 0.995])
    low, high = ends.min(), ends.max()
    edges = np.linspace(low, high, 61)
    for ax, title, part in panels:
        for group in _classes(effects):
            scores = part["score"][part["significance"] == group]
            density = np.histogram(scores, edges)[0] / max(len(scores), 1)
            ax.stairs(density, edges, color=CLASS_COLOURS[group], linewidth=1.4, label=group)
            ax.stairs(density, edges, color=CLASS_COLOURS[group], alpha=0.12, fill=True)
        ax.set_title(title, loc="left")
        ax.set(yticks=[], xlim=(low, high))
        ax.spines["left"].set_visible(False)
        _reference(ax, 0, vertical=True)
    figure.axes[-1].set_xlabel("score (natural log; negative = damaging)")
    figure.axes[0].legend(loc="upper left", bbox_to_anchor=(0, 1), frameon=False)
    return figure


def reliability(table: pd.DataFrame) -> Figure:
    """Observed against predicted share, a panel a model; `table`: model and columns of `metrics.calibration_bins`."""
    figure, panels = _panels(_series(table), 0.5, 2.2, columns=2, sharex=True, sharey=True)
    for ax, name, colour, part in panels:
        ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        for row in part.itertuples():
            _whisker(ax, colour, row.observed, row.predicted, low=row.low, high=row.high, horizontal=False)
        ax.set(title=name.replace(" (", "\n("), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    figure.supxlabel("predicted share of P/LP", fontsize=10)
    figure.supylabel("observed share", fontsize=10)
    return figure


def disagreement(table: pd.DataFrame, first: str, second: str, *, named: pd.DataFrame) -> Figure:
    """Ranks of two models, a dot a variant; `table`: significance, `first`, `second` (percentile ranks, 0 = most
    damaging). `named`: rows of `table` with gene and mutation to write beside their dots.
    """
    figure, (ax,) = _canvas(4.6)
    for group in (PATHOGENIC, BENIGN):
        part = table[table["significance"] == group]
        ax.scatter(part[first], part[second], s=5, color=CLASS_COLOURS[group], alpha=0.45, linewidths=0, label=group)
    ax.plot([0, 100], [0, 100], color="#999999", linewidth=0.8, linestyle=":")
    for row in named.to_dict("records"):
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


def ensemble_curve(table: pd.DataFrame, *, single: Mapping[str, float]) -> Figure:
    """A statistic against the number of models averaged; `table`: statistic (title), n_models (int), value, model."""
    figure, panels = _panels(_parts(table, "statistic"), 2.9)
    for ax, title, part in panels:
        colour = MODEL_COLOURS[kind(part["model"].iloc[0])]
        mean = part.groupby("n_models")["value"].mean()
        ax.plot(mean.index, mean, color=colour, linewidth=1.4)
        ax.scatter(part["n_models"], part["value"], s=22, color=colour, edgecolors="white", linewidths=0.5, zorder=2)
        ax.axhline(single[title], color=MODEL_COLOURS[ESM2], linestyle="--", linewidth=1.4)
        ax.set(title=title, xlabel="ESM-1v models averaged", xticks=sorted(mean.index))
        ax.grid(axis="y")
    figure.axes[0].set_ylabel("AUROC")
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
) -> Figure:
    """A measure of several ways of doing the same work, against a size. `table`: way (a key of `WAY_COLOURS`, or
    `LIMIT`), dtype (a key of `DTYPE_LINES`), `across` (positive numbers), `value`, low, high (missing: no whisker).
    """
    parts = [("", table)] if panel is None else _parts(table, panel)
    figure, panels = _panels(parts, 3.8, sharey=True)
    drawn: dict[str, Any] = {}
    for ax, title, part in panels:
        for (way, dtype), line in part.groupby(["way", "dtype"], sort=False):
            line = line.sort_values(across)
            shown = _way_line(ax, way, dtype, line[across], line[value], line["low"], line["high"])
            drawn.setdefault(f"{way}, {dtype}", shown)
        ax.set(xlabel=x_axis if isinstance(x_axis, str) else x_axis[title], yscale=y_scale)
        _sizes(ax, part[across], 1.6 if panel is None else 2.1)  # a panel is narrower
        if y_scale == "linear":
            ax.set_ylim(bottom=0)
        ax.grid(axis="y")
    figure.axes[0].set_ylabel(axis)
    _legend(figure, list(drawn.values()), columns=2, labels=list(drawn))
    return figure


def steps(table: pd.DataFrame, *, rows: str, step: str, value: str, axis: str) -> Figure:
    """What jobs are made of, a bar each; `table`: way (of `WAY_COLOURS`), `rows` (text), `step` (in order), `value`."""
    names, kinds = list(dict.fromkeys(table[rows])), list(dict.fromkeys(table[step]))
    figure, (ax,) = _canvas(1.4 + 0.46 * len(names))
    shades = np.linspace(1.0, 0.25, len(kinds))
    for place, name in enumerate(names):
        part, left = table[table[rows] == name].set_index(step), 0.0
        for kind_of_step, shade in zip(kinds, shades, strict=True):
            width = part[value][kind_of_step]
            ax.barh(place, width, left=left, color=WAY_COLOURS[part["way"].iloc[0]], alpha=shade, height=0.7)
            left += width
    ax.set_xlabel(axis)
    _lines(ax, names)
    patch = partial(Patch, facecolor="#555555")
    _legend(figure, [patch(alpha=shade, label=name) for name, shade in zip(kinds, shades, strict=True)])
    return figure


def memory(table: pd.DataFrame, *, stop: float | None = None) -> Figure:
    """Resident memory of a job over time, from 0; `table`: minutes, mib."""
    figure, (ax,) = _canvas(2.8)
    ax.plot(table["minutes"], table["mib"], color=WAY_COLOURS["plmbook"], linewidth=1.4)
    ax.set(xlabel="minutes", ylabel="resident memory (MiB)", ylim=(0, 1.15 * table["mib"].max()))
    ax.grid(axis="y")
    _reference(ax, stop, vertical=True)
    return figure


def contact_precision(table: pd.DataFrame) -> Figure:
    """Precision of contacts, a dot a protein; `table`: model (name, kind), background and p_at_l (shares)."""
    figure, panels = _panels(_series(table), 3.2, sharex=True, sharey=True)
    right, top = (1.05 * table[name].max() for name in ("background", "p_at_l"))
    for ax, name, colour, part in panels:
        ax.plot([0, right], [0, right], color="#999999", linewidth=0.8, linestyle=":")
        ax.plot([0, right], [0, 5 * right], color="#999999", linewidth=0.8, linestyle="--")
        ax.scatter(part["background"], part["p_at_l"], s=22, alpha=0.8, linewidths=0, **_mark(colour))
        ax.set(title=name, xlabel="share of contacts, all pairs", xlim=(0, right), ylim=(-0.02 * top, top))
        ax.grid()
    figure.axes[0].set_ylabel("share of contacts, best L pairs")
    return figure


def contact_map(table: pd.DataFrame, *, length: int, best: int, model: str) -> Figure:
    """A protein's contacts below the diagonal, the `best` predicted above it; `table`: as `contacts.pair_table`."""
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


def against(table: pd.DataFrame, *, x: str, y: str, x_axis: str, axis: str) -> Figure:
    """One number against another, a dot a protein; `table`: model (kind), panel (its title), `x` and `y` (numbers)."""
    parts = _parts(table, "panel")
    figure, panels = _panels(parts, 0.5, 2.5, columns=min(len(parts), 2), sharex=True, sharey=True)
    ends = [table[[x, y]].min().min(), table[[x, y]].max().max()]
    for number, (ax, title, part) in enumerate(panels):
        for _, colour, dots in _series(part.assign(name=title)):
            ax.scatter(dots[x], dots[y], s=16, alpha=0.5, linewidths=0, **_mark(colour))
        ax.plot(ends, ends, color="#777777", linewidth=0.9, linestyle=":", zorder=0)
        ax.set(title=title, ylabel=axis if number % 2 == 0 else "")
        ax.grid()
    figure.supxlabel(x_axis, fontsize=10)
    return figure


def variant_maps(table: pd.DataFrame, values: Mapping[str, str]) -> Figure:
    """Maps of variants by positions, one for each gene and value, with their classes. `table`: gene, mutation,
    significance, position (1-based), and the columns of `values` (numbers, in colours symmetric about 0, or bool).
    """
    parts = [(gene, column, part) for gene, part in _parts(table, "gene") for column in values]
    figure, panels = _panels(parts, 0.5, 1.45, columns=1)
    for ax, gene, column, part in panels:
        classes = part.drop_duplicates("mutation").set_index("mutation")["significance"]
        wide = part.pivot(index="mutation", columns="position", values=column).loc[classes.index]
        _variant_map(figure, ax, wide.to_numpy(dtype=np.float64), yes_no=pd.api.types.is_bool_dtype(part[column]))
        length = wide.shape[1]
        colours = [CLASS_COLOURS[each] for each in classes]
        ax.barh(range(len(classes)), 0.025 * length, left=-0.03 * length, height=1, color=colours)
        ax.set(xlim=(-0.04 * length, length + 0.5), ylim=(len(classes) - 0.5, -0.5), yticks=[])
        ax.set_title(f"{gene}: {values[column]}", loc="left")
        ax.set_ylabel(f"{len(classes)} variants")
        if column == list(values)[-1]:
            ax.set_xlabel("position")
    _class_legend(figure, table)
    return figure


def boxen(table: pd.DataFrame, values: Mapping[str, str], *, panel: str = "gene", by: str = "pair") -> Figure:
    """Letter-value plots of two groups, a row of panels a gene, a column a value. `table`: `panel`, `by` (text of the
    group, sorted: "apart" is left of "in contact") and the columns of `values`.
    """
    import seaborn

    groups = sorted(set(table[by]))
    style: dict[str, Any] = {"palette": dict(zip(groups, ("#CCCCCC", "#8C8C8C"), strict=False)), "legend": False}
    parts = [(name, column, part) for name, part in _parts(table, panel) for column in values]
    figure, panels = _panels(parts, 0.4, 2.3, columns=len(values))
    for ax, name, column, part in panels:
        seaborn.boxenplot(data=part, x=by, y=column, hue=by, order=groups, hue_order=groups, ax=ax, **style)
        ax.set(title=name, xlabel="", ylabel=values[column])
        ax.grid(axis="y")
    return figure


def _variant_map(figure: Figure, ax: Axes, numbers: np.ndarray, *, yes_no: bool) -> None:
    """A map of rows by positions with its scale."""
    largest = 1.0 if yes_no else float(np.nanquantile(np.abs(numbers), 0.99)) if np.isfinite(numbers).any() else 1.0
    colours = matplotlib.colormaps["Greys" if yes_no else "PuOr"].with_extremes(bad="#E3E3E3")
    extent = (0.5, numbers.shape[1] + 0.5, len(numbers) - 0.5, -0.5)
    ends: dict[str, Any] = {"vmin": 0 if yes_no else -largest, "vmax": largest}
    image = ax.imshow(numbers, aspect="auto", interpolation="nearest", cmap=colours, extent=extent, **ends)
    scale = figure.colorbar(image, ax=ax, pad=0.01, fraction=0.04)
    if yes_no:
        scale.set_ticks([0, 1], labels=["no", "yes"])


def trends_by_class(table: pd.DataFrame, *, x: str, y: str, x_axis: str, y_axis: str, parts: int = 8) -> Figure:
    """One number against another, a dot a variant, and by class a line through the medians of equal parts. `table`:
    significance (of `CLASS_COLOURS`), `x`, `y` (from 0 up; the axis is linear near 0, else logarithmic).
    """
    figure, (ax,) = _canvas(3.8)
    for group in _classes(table):
        part = table[table["significance"] == group].sort_values(x)
        ax.scatter(part[x], part[y], s=5, color=CLASS_COLOURS[group], alpha=0.3, linewidths=0)
        pieces = [part.iloc[rows] for rows in np.array_split(np.arange(len(part)), parts) if len(rows)]
        middle = pd.DataFrame([piece[[x, y]].median() for piece in pieces])
        line: dict[str, Any] = {"marker": "o", "markersize": 4, "markeredgecolor": "white"}
        ax.plot(middle[x], middle[y], color=CLASS_COLOURS[group], linewidth=1.8, **line)
    ax.set_yscale("asinh", linear_width=0.1)  # most are small, and 0 is a value
    ticks = [tick for tick in (0, 0.1, 0.3, 1, 3, 10, 30) if tick <= table[y].max()]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set(xlabel=x_axis, ylabel=y_axis, ylim=(-0.005, None))
    ax.grid()
    _class_legend(figure, table)
    return figure


def single_and_combined(table: pd.DataFrame, *, axis: str) -> Figure:
    """Scores of two single changes and of both together; `table`: name, panel, model, score1, score2, combined."""
    names = list(dict.fromkeys(table["name"]))
    figure, panels = _panels(_parts(table, "panel"), 1.0 + 0.18 * len(names), sharex=True, sharey=True)
    for ax, title, part in panels:
        place = part["name"].map(names.index)
        low, high = part[["score1", "score2"]].min(axis=1), part[["score1", "score2"]].max(axis=1)
        ax.hlines(place, low, high, color="#BBBBBB", linewidth=1.4, zorder=1)
        for column in ("score1", "score2"):
            ax.scatter(part[column], place, s=16, facecolors="white", edgecolors="#777777", linewidths=1, zorder=2)
        ax.scatter(part["combined"], place, s=24, **_mark(kind(part["model"].iloc[0])), zorder=3)
        ax.set_title(title)
        _lines(ax, names)
        ax.tick_params(axis="y", length=0, labelsize=8)
    figure.supxlabel(axis, fontsize=10)
    return figure


def maps(
    table: pd.DataFrame, *, by: str, styles: Mapping[str, tuple[str, str]], rest: str = "other", columns: int = 2
) -> Figure:
    """Points coloured by group, a panel a map. `table`: panel, x, y, x_axis and y_axis (text, the same within a panel),
    and `by`; rows of no key of `styles` are grey and lie below.
    """
    shown = [group for group in styles if group in set(table[by])]
    has_rest = bool((~table[by].isin(shown)).any())
    lines = -(-(len(shown) + has_rest) // columns)
    figure, panels = _panels(_parts(table, "panel"), 2.7 + 0.19 * lines)
    for ax, title, part in panels:
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
    _legend(figure, [_dot(marker=mark, color=colour, label=name) for name, colour, mark in marks], columns=columns)
    return figure


def by_layer(table: pd.DataFrame, *, axis: str, reference: float | None = None) -> Figure:
    """A measure (value) against the layer (int), a line a pooling (pool, of `POOL_LINES`), a panel a model."""
    figure, panels = _panels(_series(table), 3.2, sharex=True, sharey=True)
    for ax, name, colour, part in panels:
        for pool, line in _parts(part, "pool"):
            line = line.sort_values("layer")
            ax.plot(line["layer"], line["value"], color=MODEL_COLOURS[colour], markersize=5, **POOL_LINES[pool])
        ax.set(title=name, xlabel="layer", xticks=sorted(set(part["layer"])))
        ax.grid(axis="y")
        _reference(ax, reference, vertical=False)
    figure.axes[0].set_ylabel(axis)
    pools = [pool for pool in POOL_LINES if pool in set(table["pool"])]
    _legend(figure, [Line2D([], [], color="#555555", markersize=5, label=pool, **POOL_LINES[pool]) for pool in pools])
    return figure


def by_size(table: pd.DataFrame, *, across: str, x_axis: str, axis: str) -> Figure:
    """A measure with its interval against a size on a logarithmic scale, a line a model, panels side by side. `table`:
    model (kind, name), panel, `across` (positive numbers), value; low, high: whiskers, missing for none.
    """
    figure, panels = _panels(_parts(table, "panel"), 3.4, sharex=True)
    for ax, title, rows in panels:
        shown = _series(rows)
        for number, (_, colour, part) in enumerate(shown):
            x = part[across] * 1.05 ** (number - (len(shown) - 1) / 2)  # whiskers side by side
            error = [(part["value"] - part["low"]).fillna(0), (part["high"] - part["value"]).fillna(0)]
            ax.errorbar(x, part["value"], yerr=error, markersize=5, linewidth=1.4, elinewidth=1.0, **_mark(colour))
        ax.set(title=title, xlabel=x_axis)
        _sizes(ax, table[across], 1.8)
        ax.grid(axis="y")
    figure.axes[0].set_ylabel(axis)
    _legend_of(figure, _series(table))
    return figure


def tracks(table: pd.DataFrame, values: Mapping[str, str], *, axis: str) -> Figure:
    """Numbers along proteins, a panel a protein. `table`: model, panel (title), position (1-based, ascending within a
    panel), motif (bool, grey behind them), and the columns of `values`.
    """
    figure, panels = _panels(_parts(table, "panel"), 0.7, 1.7, columns=1)
    colour = MODEL_COLOURS[kind(table["model"].iloc[0])]
    styles: list[dict[str, Any]] = [
        {"color": colour, "linewidth": 1.5},
        {"color": "#000000", "linewidth": 1.0, "linestyle": "--"},
    ]
    for ax, title, part in panels:
        inside = part["motif"].to_numpy()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
        for first, stop in edges.reshape(-1, 2):
            ax.axvspan(part["position"].iloc[first] - 0.5, part["position"].iloc[stop - 1] + 0.5, color="#D5D5D5", lw=0)
        for column, style in zip(values, styles, strict=False):
            ax.plot(part["position"], part[column], **style)
        _reference(ax, 0.0, vertical=False)
        ax.set(title=title, xlim=(1, len(part)))
    figure.axes[-1].set_xlabel("residue")
    figure.supylabel(axis, fontsize=10)
    lines = [Line2D([], [], label=text, **style) for text, style in zip(values.values(), styles, strict=False)]
    _legend(figure, [*lines, Patch(color="#D5D5D5", label="motif")], columns=3)
    return figure


def rank_plot(table: pd.DataFrame, bars: pd.DataFrame, *, axis: str) -> Figure:
    """Critical-difference diagrams: mean ranks on a line, bars under those that cannot be told apart, a row a panel.
    `table`: panel, model (text), family (of its card, for the mark), rank (1 is the best, at the left). `bars`: panel,
    low, high (mean ranks that a bar spans), difference (the critical one, the same in a panel).
    """
    deepest = bars["panel"].value_counts().max() if len(bars) else 0
    n_models = table["panel"].value_counts().max()
    each = 1.3 + 0.13 * n_models + 0.12 * deepest
    figure, panels = _panels(_parts(table, "panel"), 0.3, each, columns=1, sharex=True)
    for ax, title, part in panels:
        part, under = part.sort_values("rank", kind="stable"), bars[bars["panel"] == title]
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
    figure.axes[-1].set_xlabel(axis)
    return figure


def _canvas(height: float, *, rows: int = 1, columns: int = 1, **share: Any) -> tuple[Figure, Sequence[Axes]]:
    """A figure in the style of the book, outside pyplot: nothing shows until `show` shows it."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **share)
    return figure, list(axes.flat)


def _panels(
    parts: Sequence[tuple], base: float, each: float = 0, *, columns: int | None = None, **share: Any
) -> tuple[Figure, list[tuple]]:
    """A panel for each part, `columns` side by side (default: all): the figure, as high as the base and `each` of its
    rows, and the axes in front of each part.
    """
    columns = columns or len(parts)
    rows = -(-len(parts) // columns)
    figure, axes = _canvas(base + each * rows, rows=rows, columns=columns, **share)
    for number in range(len(parts), len(axes)):
        axes[number].set_visible(False)
        axes[number - columns].tick_params(labelbottom=True)  # the numbers below an empty place stand above it
    return figure, [(ax, *part) for ax, part in zip(axes, parts, strict=False)]


def _parts(table: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each panel after its title, in order of appearance."""
    return [(title, table[table[by] == title]) for title in dict.fromkeys(table[by])]


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


def _whisker(ax: Axes, colour: str, value: float, place: float, *, low: float, high: float, horizontal: bool) -> None:
    """A mark with its interval, in the colour of a kind: `place` is where it stands on the other axis."""
    error = [[value - low], [high - value]]
    style = {**_mark(colour), "markersize": 5, "linewidth": 1.6}
    if horizontal:
        ax.errorbar(value, place, xerr=error, **style)
    else:
        ax.errorbar(place, value, yerr=error, **style)


def _way_line(ax: Axes, way: str, dtype: str, x, y, low, high):
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


def _reference(ax: Axes, at: float | None, *, vertical: bool) -> None:
    if at is not None:
        draw = ax.axvline if vertical else ax.axhline
        draw(at, color="#777777", linewidth=0.9, linestyle=":", zorder=0)


def _lines(ax: Axes, names: Sequence[str]) -> None:
    """A line for each name, from the top, the names at the left."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="x")


def _sizes(ax: Axes, sizes: pd.Series, factor: float) -> None:
    """A logarithmic axis with the sizes that leave room for each other's text."""
    ticks = _apart(sorted(set(sizes)), factor)
    ax.set_xscale("log")
    ax.set_xticks(ticks, [_short(tick) for tick in ticks], minor=False)
    ax.set_xticks([], minor=True)


def _classes(table: pd.DataFrame) -> list[str]:
    """The classes of variants that a table has, in their order."""
    return [name for name in CLASS_COLOURS if name in set(table["significance"])]


def _legend(figure: Figure, handles: Sequence[Artist], *, columns: int | None = None, **more: Any) -> None:
    """A legend above the panels."""
    more |= {"ncols": columns or len(handles), "fontsize": 9, "frameon": False}
    figure.legend(handles=handles, loc="outside upper left", **more)


_dot = partial(Line2D, [], [], linestyle="", markersize=6)


def _legend_of(figure: Figure, shown: Sequence[tuple[str, str, pd.DataFrame]]) -> None:
    _legend(figure, [_dot(label=name, **_mark(colour)) for name, colour, _ in shown], columns=2)


def _class_legend(figure: Figure, table: pd.DataFrame) -> None:
    _legend(figure, [Patch(color=CLASS_COLOURS[name], label=name) for name in _classes(table)])
