"""The figures and tables of the book: what they say, in which colour, and the file that lies behind each."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from plmbook import tables
from plmbook.book import figures, show, style
from plmbook.core import paths
from plmbook.core.errors import InputError

ESTIMATES = pd.DataFrame(
    {
        "model": ["esm2_t33_650M_UR50D", "alignment", "esm2_t33_650M_UR50D"],
        "name": ["ESM-2", "alignment", "ESM-2"],
        "statistic": ["pooled", "pooled", "within"],
        "value": [0.8, 0.7, 0.6],
        "low": [0.7, 0.65, 0.5],
        "high": [0.9, 0.75, 0.7],
    }
)


def test_every_kind_has_a_colour_and_a_mark_of_its_own():
    assert set(style.MODEL_COLOURS) == set(style.MODEL_MARKS)
    assert len(set(style.MODEL_MARKS.values())) == len(style.MODEL_MARKS)
    assert len(set(style.MODEL_COLOURS.values())) == len(style.MODEL_COLOURS)


def test_a_colour_of_a_class_is_not_that_of_a_model():
    named = {style.CLASS_COLOURS[c] for c in ("P/LP", "B/LB")}
    assert not named & set(style.MODEL_COLOURS.values())


def test_the_general_model_looks_like_none_else():
    default, general = "plmbook_t6_3M", "plmbook_t6_3M_general"
    assert (style.kind(default), style.kind(general)) == (style.BUNDLED, style.GENERAL)
    assert style.GENERAL in style.MODEL_COLOURS  # and a mark of its own, as the test above says of all
    assert (style.label(default), style.label(general)) == (default, general)
    both = pd.concat([ESTIMATES.iloc[:1].assign(model=name, name=name) for name in (default, general)])
    colours = [to_hex(bar.lines[0].get_color()).upper() for bar in figures.forest(both).axes[0].containers]
    assert colours == [style.MODEL_COLOURS[style.BUNDLED], style.MODEL_COLOURS[style.GENERAL]]


def test_a_model_without_colour_is_refused():
    with pytest.raises(InputError, match="'cadd' has no colour"):
        figures.forest(ESTIMATES.assign(model="cadd"))


def test_forest_puts_the_first_row_on_top_and_marks_the_values():
    figure = figures.forest(ESTIMATES, reference=0.5)
    first, second = figure.axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["ESM-2", "alignment"]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # 0 is at the top
    assert [axis.get_title() for axis in figure.axes] == ["pooled", "within"]
    marks = [bar.lines[0] for bar in first.containers]
    assert [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in marks] == [(0.8, 0), (0.7, 1)]
    assert to_hex(marks[0].get_color()).upper() == style.MODEL_COLOURS["esm2"]
    assert len(second.containers) == 1


def test_whiskers_end_at_the_interval():
    figure = figures.by_bin(ESTIMATES.iloc[:1].assign(bin="absent"))
    (container,) = figure.axes[0].containers
    segment = container.lines[2][0].get_segments()[0]
    assert np.allclose(segment[:, 1], [0.7, 0.9])


def test_per_gene_sorts_the_best_to_the_top():
    table = pd.DataFrame({"gene": ["A", "B"], "model": "alignment", "auroc": [0.5, 0.9]})
    (axis,) = figures.per_gene(table).axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["B", "A"]


def test_a_figure_leaves_its_table_and_its_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / profile)
    show.figure(figures.forest(ESTIMATES), ESTIMATES, "forest", profile="p", caption="Some values.")
    folder = tmp_path / "p" / "figures"
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "forest.parquet"), ESTIMATES, check_dtype=False)
    assert (folder / "forest.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["forest.parquet", "forest.png"]


def test_the_same_figure_is_the_same_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / profile)
    for name in ("one", "two"):
        show.figure(figures.forest(ESTIMATES), ESTIMATES, name, profile="p", caption="")
    one, two = ((tmp_path / "p" / "figures" / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert one == two


def test_what_is_shown_is_escaped(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    show.table(pd.DataFrame({"gene": ["<b>"], "n": [4336]}), caption="a < b")
    assert "&lt;b&gt;" in shown[0]["text/html"] and "a &lt; b" in shown[0]["text/html"]
    assert "4,336" in shown[0]["text/plain"]


def test_estimates_outside_their_interval_are_refused():
    with pytest.raises(tables.TableError, match="value lies between low and high"):
        tables.check(ESTIMATES.assign(value=0.95), figures.ESTIMATES, where="t")


@pytest.mark.parametrize("n_models", [1, 2, 3])
def test_reliability_has_a_panel_for_each_model(n_models):
    names = ["alignment", "esm1v", "plmbook_t6_3M"][:n_models]
    one = pd.DataFrame({"predicted": [0.2], "observed": [0.3], "low": [0.1], "high": [0.5]})
    figure = figures.reliability(pd.concat([one.assign(model=name) for name in names]))
    assert isinstance(figure, Figure)
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert titles == [style.label(name) for name in names]


def test_published_and_run_here_are_two_lines_in_two_colours():
    one = ESTIMATES.iloc[:1].assign(bin="absent", gene="A", auroc=0.5)
    table = pd.concat([one.assign(name="published", kind="esm2"), one.assign(name="here", kind=style.RUN_HERE)])
    colours = [style.MODEL_COLOURS["esm2"], style.MODEL_COLOURS[style.RUN_HERE]]
    bins, genes = figures.by_bin(table), figures.per_gene(table)
    for figure in (bins, genes):
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published", "here"]
    assert [to_hex(bar.lines[0].get_color()).upper() for bar in bins.axes[0].containers] == colours
    lines = figures.forest(table).axes[0]
    assert [tick.get_text() for tick in lines.get_yticklabels()] == ["published", "here"]
    assert [to_hex(bar.lines[0].get_color()).upper() for bar in lines.containers] == colours


def test_roc_curves_keep_published_and_run_here_apart():
    rows = pd.DataFrame({"model": "esm2_t33_650M_UR50D", "significance": ["P/LP", "B/LB"], "score": [-1.0, 0.0]})
    wrong = rows.assign(score=-rows["score"], name="here", kind=style.RUN_HERE)
    (axis,) = figures.roc_curves(pd.concat([rows.assign(name="published", kind="esm2"), wrong])).axes
    published, here = axis.get_lines()[:2]
    assert [line.get_label() for line in (published, here)] == ["published", "here"]
    assert np.trapezoid(published.get_ydata(), published.get_xdata()) == 1
    assert np.trapezoid(here.get_ydata(), here.get_xdata()) == 0


def test_contact_precision_has_a_panel_a_model_and_a_dot_a_protein():
    names = ["plmbook_t6_3M", "plmbook_t6_3M_general"]
    rows = pd.DataFrame({"background": [0.01, 0.02, 0.04], "p_at_l": [0.1, 0.0, 0.3]})
    table = pd.concat([rows.assign(model=names[0]), rows.iloc[:2].assign(model=names[1])], ignore_index=True)
    figure = figures.contact_precision(table)
    assert [axis.get_title() for axis in figure.axes] == names
    for axis, n in zip(figure.axes, (3, 2), strict=True):
        (dots,) = axis.collections
        assert np.allclose(dots.get_offsets(), rows[["background", "p_at_l"]].head(n))
        slopes = [line.get_ydata()[1] / line.get_xdata()[1] for line in axis.get_lines()]
        assert slopes == pytest.approx([1, 5])  # random pairs, and five times as many
    colours = [to_hex(axis.collections[0].get_facecolor()[0]).upper() for axis in figure.axes]
    assert colours == [style.MODEL_COLOURS[style.BUNDLED], style.MODEL_COLOURS[style.GENERAL]]


def test_contact_map_has_the_structure_below_the_diagonal_and_the_best_pairs_above():
    table = pd.DataFrame(
        {
            "position": [1, 2, 3, 5, 4],
            "partner": [30, 40, 33, 44, 29],
            "probability": [0.9, 0.8, 0.7, 0.2, 0.1],
            "contact": [True, False, True, True, False],
        }
    )
    figure = figures.contact_map(table, length=50, best=3, model="plmbook_t6_3M_general")
    (axis,) = figure.axes
    true, right, wrong = axis.collections
    assert true.get_offsets().tolist() == [[1, 30], [3, 33], [5, 44]]  # all contacts, predicted or not
    assert right.get_offsets().tolist() == [[30, 1], [33, 3]]
    assert wrong.get_offsets().tolist() == [[40, 2]]
    assert to_hex(right.get_facecolor()[0]).upper() == style.MODEL_COLOURS[style.GENERAL]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # residue 1 is at the top: larger second numbers are below
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "contact in the structure",
        "predicted, in contact",
        "predicted, not in contact",
    ]


def test_a_contact_map_of_nothing_right_still_draws():
    table = pd.DataFrame({"position": [1], "partner": [30], "probability": [0.9], "contact": [False]})
    axis = figures.contact_map(table, length=50, best=50, model="plmbook_t6_3M").axes[0]
    assert [len(each.get_offsets()) for each in axis.collections] == [0, 0, 1]


def test_ways_are_lines_over_ticks_that_name_the_sizes():
    rows = [(way, 8e6, 10.0, 8.0, 12.0) for way in ("fair-esm", "plmbook")] + [("plmbook", 35e6, 5.0, 4.0, 6.0)]
    table = pd.DataFrame(rows, columns=["way", "parameters", "rate", "low", "high"]).assign(dtype="float32")
    limit = table[1:].assign(way=style.LIMIT, rate=[30.0, 20.0], low=np.nan, high=np.nan)
    figure = figures.by_way(
        pd.concat([table, limit]), across="parameters", value="rate", x_axis="parameters", axis="residues a second"
    )
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8M", "35M"]
    ends = {bar.get_label(): bar.lines[0].get_ydata().tolist() for bar in ax.containers}
    assert sorted(ends.values()) == [[10.0], [10.0, 5.0]]
    segments = ax.containers[1].lines[2][0].get_segments()
    assert np.allclose([segment[:, 1] for segment in segments], [[8, 12], [4, 6]])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["fair-esm, float32", "plmbook, float32", "limit, float32"]


def test_panels_of_ways_have_their_own_axis_and_may_begin_at_zero():
    table = pd.DataFrame({"against": ["length", "number"], "n": [64, 4], "cost": 1.0, "low": 1.0, "high": 1.0})
    table = table.assign(way="plmbook", dtype="bfloat16")
    titles = {"length": "residues", "number": "proteins"}
    axes = {"x_axis": titles, "axis": "us", "y_scale": "linear"}
    figure = figures.by_way(table, across="n", value="cost", panel="against", **axes)
    assert [ax.get_xlabel() for ax in figure.axes] == ["residues", "proteins"]
    assert figure.axes[0].get_ylim()[0] == 0


def test_steps_stand_end_to_end():
    table = pd.DataFrame({"line": ["a", "a", "b", "b"], "step": ["forward", "file"] * 2, "ms": [3.0, 1.0, 2.0, 0.5]})
    figure = figures.steps(
        table.assign(way=["published"] * 2 + ["plmbook"] * 2), rows="line", step="step", value="ms", axis="ms"
    )
    (ax,) = figure.axes
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_width()]
    assert bars == [(0, 3.0), (3.0, 1.0), (0, 2.0), (2.0, 0.5)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["forward", "file"]


def test_memory_begins_at_zero_and_shows_the_kill():
    (ax,) = figures.memory(pd.DataFrame({"minutes": [0.0, 1.0], "mib": [200.0, 210.0]}), stop=0.4).axes
    assert ax.get_ylim()[0] == 0
    assert ax.lines[1].get_xdata()[0] == 0.4


def one_gene():
    """Two variants of a protein of three residues, each missing at its own position."""
    return pd.DataFrame(
        {
            "gene": "TOY",
            "mutation": ["K2A"] * 3 + ["M1V"] * 3,
            "significance": ["P/LP"] * 3 + ["B/LB"] * 3,
            "position": [1, 2, 3] * 2,
            "z": [1.0, np.nan, -2.0, np.nan, 0.5, 0.0],
            "contact": [True, True, False, True, True, False],
        }
    )


def test_variant_maps_have_a_row_a_variant_in_the_order_given():
    figure = figures.variant_maps(one_gene(), {"z": "published z", "contact": "contact"})
    z, contact = (ax for ax in figure.axes if ax.get_title("left"))
    assert [ax.get_title("left") for ax in (z, contact)] == ["TOY: published z", "TOY: contact"]
    shown = np.ma.filled(z.images[0].get_array(), np.nan)
    assert np.array_equal(shown, [[1.0, np.nan, -2.0], [np.nan, 0.5, 0.0]], equal_nan=True)
    assert z.images[0].norm.vmin == -z.images[0].norm.vmax  # 0 is in the middle of the colours
    assert contact.images[0].get_array().tolist() == [[1, 1, 0], [1, 1, 0]]
    strip = [to_hex(bar.get_facecolor()).upper() for bar in z.patches]
    assert strip == [style.CLASS_COLOURS["P/LP"], style.CLASS_COLOURS["B/LB"]]
    assert z.get_ylim()[0] > z.get_ylim()[1]  # the first variant is at the top
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["P/LP", "B/LB"]


def test_boxen_has_a_row_a_gene_and_a_column_a_value():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"gene": ["A", "B"] * 50, "pair": ["in contact"] * 40 + ["apart"] * 60, "z": rng.random(100)})
    figure = figures.boxen(table.assign(e=table["z"] * 2), {"z": "|z|", "e": "|epistasis|"})
    assert [(ax.get_title(), ax.get_ylabel()) for ax in figure.axes] == [
        (gene, title) for gene in ("A", "B") for title in ("|z|", "|epistasis|")
    ]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["apart", "in contact"]


def test_forests_fill_a_grid_and_mark_chance_in_each_panel():
    table = pd.DataFrame(
        {
            "panel": ["one", "one", "two", "three"],
            "name": ["model", "rule", "rule", "model"],
            "kind": ["bundled", "baseline", "baseline", "bundled"],
            "value": [0.3, 0.1, 0.2, 0.4],
            "low": [0.2, 0.0, 0.1, 0.3],
            "high": [0.4, 0.2, 0.3, 0.5],
        }
    )
    chance = {"one": 0.05, "two": 0.1, "three": 0.2}
    figure = figures.forest(table, panel="panel", axis="precision", reference=chance, columns=2)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == ["one", "two", "three"] and len(figure.axes) == 4
    assert [tick.get_text() for tick in shown[0].get_yticklabels()] == ["model", "rule"]
    marks = [[(bar.lines[0].get_xdata()[0], bar.lines[0].get_ydata()[0]) for bar in ax.containers] for ax in shown]
    assert marks == [[(0.3, 0), (0.1, 1)], [(0.2, 1)], [(0.4, 0)]]
    lines = [[line for line in ax.lines if line.get_linestyle() == ":"] for ax in shown]
    assert [line.get_xdata()[0] for (line,) in lines] == list(chance.values())
    assert to_hex(shown[1].containers[0].lines[0].get_color()).upper() == style.MODEL_COLOURS["baseline"]


def test_trends_have_a_line_a_class_through_the_medians():
    table = pd.DataFrame({"significance": ["B/LB"] * 4 + ["P/LP"] * 2, "s": [4.0, 3, 2, 1, 0, -1], "r": range(6)})
    figure = figures.trends_by_class(table, x="s", y="r", x_axis="score", y_axis="rescuability", parts=2)
    pathogenic, benign = figure.axes[0].lines
    assert pathogenic.get_xydata().tolist() == [[-1, 5], [0, 4]]
    assert benign.get_xydata().tolist() == [[1.5, 2.5], [3.5, 0.5]]
    assert to_hex(benign.get_color()).upper() == style.CLASS_COLOURS["B/LB"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["P/LP", "B/LB"]


def test_single_changes_span_a_line_and_the_combination_stands_on_it():
    table = pd.DataFrame({"name": ["A K2W", "B R3Q"] * 2, "panel": ["one", "one", "two", "two"],
                          "model": ["plmbook_t6_3M"] * 2 + ["alignment"] * 2, "score1": [-1.0, -2, -3, -4],
                          "score2": [0.0, -5, -6, -7], "combined": [-8.0, -9, -10, -11]})  # fmt: skip
    figure = figures.single_and_combined(table, axis="score")
    first, second = figure.axes
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["A K2W", "B R3Q"] and first.get_ylim()[0] > 0
    assert [each.tolist() for each in first.collections[0].get_segments()[1]] == [[-5, 1], [-2, 1]]
    assert second.collections[-1].get_offsets().tolist() == [[-10, 0], [-11, 1]]
    assert to_hex(second.collections[-1].get_facecolor()[0]).upper() == style.MODEL_COLOURS["alignment"]


def test_layers_have_a_line_a_pooling_and_a_panel_a_model():
    table = pd.DataFrame({"model": ["plmbook_t6_3M"] * 4 + ["plmbook_t6_3M_general"] * 4, "pool": ["mean", "bos"] * 4,
                          "layer": [1, 1, 0, 0] * 2, "value": np.arange(8.0)})  # fmt: skip
    figure = figures.by_layer(table, axis="AUPRC", reference=0.5)
    assert [ax.get_title() for ax in figure.axes] == ["plmbook_t6_3M", "plmbook_t6_3M_general"]
    mean, bos, chance = figure.axes[1].lines
    assert mean.get_xydata().tolist() == [[0, 6], [1, 4]] and bos.get_xydata().tolist() == [[0, 7], [1, 5]]
    assert mean.get_linestyle() != bos.get_linestyle() and chance.get_ydata()[0] == 0.5
    assert {to_hex(line.get_color()).upper() for line in (mean, bos)} == {style.MODEL_COLOURS["bundled, general"]}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mean", "bos"]


def test_sizes_have_whiskers_side_by_side():
    table = pd.DataFrame({"model": ["plmbook_t6_3M"] * 2 + ["plmbook_t6_3M_general"] * 2, "panel": "F1",
                          "dims": [8, 64] * 2, "value": [1.0, 2, 3, 4], "low": [0.5, np.nan, 2, 3],
                          "high": [1.5, np.nan, 5, 6]})  # fmt: skip
    figure = figures.by_size(table, across="dims", x_axis="components", axis="F1")
    (ax,) = figure.axes
    first, second = (bars.lines[0] for bars in ax.containers)
    assert first.get_ydata().tolist() == [1, 2] and second.get_ydata().tolist() == [3, 4]
    assert (first.get_xdata() < second.get_xdata()).all() and ax.get_xscale() == "log"
    whiskers = [segment[:, 1].tolist() for segment in ax.containers[0].lines[2][0].get_segments()]
    assert whiskers == [[0.5, 1.5], [2, 2]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["8", "64"]


def test_tracks_shade_the_motif():
    table = pd.DataFrame({"model": "plmbook_t6_3M", "panel": ["A"] * 5 + ["B"] * 2, "position": [1, 2, 3, 4, 5, 1, 2],
                          "motif": [False, True, True, False, True, False, False], "drop": np.arange(7.0),
                          "share": -np.arange(7.0)})  # fmt: skip
    figure = figures.tracks(table, {"drop": "masked", "share": "share"}, axis="log-odds")
    first, second = figure.axes
    assert [(patch.get_x(), patch.get_width()) for patch in first.patches] == [(1.5, 2), (4.5, 1)]
    assert not second.patches and [ax.get_title() for ax in figure.axes] == ["A", "B"]
    assert first.lines[0].get_ydata().tolist() == [0, 1, 2, 3, 4] and second.lines[1].get_ydata().tolist() == [-5, -6]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["masked", "share", "motif"]


def ranked(panel, **ranks):
    return pd.DataFrame(
        [{"panel": panel, "model": name, "family": "esm2", "rank": rank} for name, rank in ranks.items()]
    )


def test_rank_plot_has_a_mark_a_model_and_a_bar_a_group():
    table = pd.concat([ranked("nine", b=2.0, a=1.5, c=3.0, d=3.5), ranked("seven", a=1.0, b=2.0, c=3.5, d=3.5)])
    table.loc[table["model"] == "d", "family"] = "t5"
    bars = pd.DataFrame({"panel": ["nine", "nine"], "low": [1.5, 2.0], "high": [3.0, 3.5], "difference": [1.8, 1.8]})
    first, second = figures.rank_plot(table, bars, axis="mean rank").axes
    assert [ax.get_title() for ax in (first, second)] == ["nine", "seven"]
    marks = [line for line in first.get_lines() if line.get_marker() in ("o", "v")]
    assert [mark.get_xdata()[0] for mark in marks] == [1.5, 2.0, 3.0, 3.5]  # best first
    assert [mark.get_marker() for mark in marks] == ["o", "o", "o", "v"]
    names = [text.get_text() for text in first.texts]
    assert names == ["a", "b", "c", "d", "critical difference 1.80"]
    thick = [line for line in first.get_lines() if line.get_linewidth() == 2.5]
    assert np.allclose([line.get_xdata() for line in thick], [(1.44, 3.06), (1.94, 3.56)])
    assert all(line.get_ydata()[0] < 0 for line in thick)  # below the line of ranks
    assert [text.get_text() for text in second.texts] == ["a", "b", "c", "d"]  # no bar, no ruler


def test_published_models_without_a_colour_are_grey():
    mark = {"color": style.MODEL_COLOURS["esm2"], "marker": style.MODEL_MARKS["esm2"]}
    assert style.published_mark("esm2") == mark
    other = style.published_mark("t5")
    assert other == style.published_mark("esm1b") and other["color"] not in style.MODEL_COLOURS.values()


def test_dots_against_each_other_have_a_panel_each_and_a_line_where_they_are_equal():
    table = pd.DataFrame({"model": "plmbook_t6_3M", "panel": list("aabc"), "x": [0.0, 1, 2, 3], "y": [1.0, 1, 2, 4]})
    figure = figures.against(table, x="x", y="y", x_axis="one", axis="other")
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == ["a", "b", "c"]
    assert [len(ax.collections[0].get_offsets()) for ax in shown] == [2, 1, 1]
    assert all(line.get_xdata().tolist() == line.get_ydata().tolist() == [0, 4] for ax in shown for line in ax.lines)
