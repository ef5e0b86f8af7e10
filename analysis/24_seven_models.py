# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Seven models compared
#
# The page of Ankh {cite:p}`elnaggar2023ankh` prints nine tables: two models of its authors and five others, on nine
# tasks, 168 figures, the best in bold.
# What do they say when they are read together: which model is better than which, by how much, at what cost, and is it
# more than chance?
# And where do the small models of this book stand beside them?
#
# The seven are Ankh Large and Base, ProtT5 {cite:p}`elnaggar2022prottrans`, ESM-2 of three sizes
# {cite:p}`lin2023evolutionary` and ESM-1b {cite:p}`rives2021biological`.
#
# **Inputs.** `data/published/ankh_results.csv`, the cards of the models, and the results of the embedded models on the
# same tasks, which [the chapter on the tasks](16_tasks.ipynb) left.
#
# **Outputs.** `results/<profile>/comparison_*.parquet`, and the table behind each figure.
#
# **Runtime.** Half a minute on one core.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose runs stand beside the published figures
rope = 1.0  # percentage points: two scores that are no further apart are equal for practical purposes
n_draws = 50000  # of the Bayesian signed-rank test
seed = 20220917  # of these draws

# %%
import pandas as pd
from IPython.display import Markdown
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure

from plmbook import models
from plmbook import tasks as downstream
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.tables.published import published
from plmbook.tasks import comparison

printed = published("ankh_results")
scores = comparison.wide(printed)  # (24 columns of tables, 7 models), percentage points
tasks = list(dict.fromkeys(scores.index.get_level_values("task")))
brief = {
    "secondary structure, 3 states": "Q3",
    "secondary structure, 8 states": "Q8",
    "contacts from embeddings": "contacts, embeddings",
    "contacts from attention": "contacts, attention",
    "localisation, 10 classes": "localisation",
    "CATH lookup": "CATH",
}

# %% [markdown]
# ## What is printed
#
# Shares and correlations are read as percentage points, so that all tables have one unit.
# For the colours each row is stretched between its worst and its best model: dark is best, white is worst, and a row
# whose models lie close together looks as strong as one in which they lie far apart.
# The numbers in the fields say which it is.


# %% tags=["hide-input"]
def draw_scores(scores: pd.DataFrame) -> Figure:
    """The published figures, a row a column of a table, with a shade for the place between worst and best."""
    shades = comparison.normalised(scores)
    labels = [
        task if column == task.capitalize() else f"{brief.get(task, task)}: {column}" for task, column in scores.index
    ]
    starts = [
        place
        for place, task in enumerate(scores.index.get_level_values("task"))
        if place and task != scores.index[place - 1][0]
    ]
    with rc_context(style.STYLE):
        figure = Figure(figsize=(style.WIDTH + 1, 0.9 + 0.25 * len(scores)), layout="constrained")
        ax = figure.subplots()
        ax.imshow(shades, cmap=colormaps["Greys"], vmin=0, vmax=1.15, aspect="auto")
        for place, (row, shade) in enumerate(zip(scores.to_numpy(), shades.to_numpy(), strict=True)):
            for at, (value, dark) in enumerate(zip(row, shade, strict=True)):
                weight = "bold" if value == row.max() else "normal"
                ax.text(
                    at,
                    place,
                    f"{value:.1f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    fontweight=weight,
                    color="white" if dark > 0.6 else "black",
                )
        for start in starts:
            ax.axhline(start - 0.5, color="#000000", linewidth=0.8)
        ax.set_yticks(range(len(labels)), labels, fontsize=8)
        ax.set_xticks(
            range(scores.shape[1]),
            [name.replace("-XL-", "-XL\n") for name in scores.columns],
            fontsize=8,
            rotation=40,
            ha="left",
        )
        ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        ax.spines[:].set_visible(False)
    return figure


shown = scores.reset_index()

# %% tags=["hide-input"] mystnb={"image": {"alt": "Table of the 168 published figures, 24 rows by seven models, each shaded by its place between the worst and the best of its row"}}
show.figure(
    draw_scores(scores),
    shown,
    "24_scores",
    profile=profile,
    caption="The published figures in percentage points (Spearman correlation x 100 for fluorescence): "
    f"{', '.join(scores.columns)}. Shade: from the worst (white) to the best (dark) of the row; bold: the best, by "
    "the figures and not by the page.",
)

# %% [markdown]
# What the page prints in bold is not always what is highest.

# %% tags=["hide-input"]
marked = comparison.bold(printed)
wrong = marked[~marked["right"]]
show.table(
    wrong[["task", "column", "bold", "bold_value", "best", "best_value"]],
    caption="Columns in which a figure is higher than the bold one; percentage points",
    digits=1,
)
shared = marked[marked["best"].str.contains(", ") & marked["right"]]
Markdown(
    f"In {len(wrong)} of {len(marked)} columns something is higher than what is bold: "
    f"{', '.join(f'{n} in {brief.get(task, task)}' for task, n in wrong['task'].value_counts().items())}. "
    f"In {len(shared)} the bold model shares its place: "
    + "; ".join(f"{brief.get(row.task, row.task)} on {row.column} ({row.best})" for row in shared.itertuples())
    + "."
)

# %% [markdown]
# ## Nine tasks, not twenty-four columns
#
# The four columns of a table are four views of one task: one kind of head, tested on several sets of proteins, or the
# same answers counted in several ways.
# To count them as four witnesses would give the tasks with many columns the word.
# So models are ranked in each column, ranks are averaged within a task, and ranked again: nine *blocks*.
#
# Even these are not independent.
# The three-state and the eight-state labels are of the same residues, and both contact tasks of the same pairs.
# A second reading therefore merges the two and the two, which leaves seven blocks.

# %% tags=["hide-input"]
readings = {"nine tasks": None, "seven blocks": comparison.RELATED}
block_ranks = {name: comparison.block_ranks(scores, merge=merge) for name, merge in readings.items()}
points = {name: comparison.by_task(scores, merge=merge) for name, merge in readings.items()}
by_blocks = block_ranks["nine tasks"]
show.table(
    by_blocks.rename(index=brief).rename_axis("task").reset_index(),
    caption="Rank of each model in each task, 1 is the best; models that are level share a rank",
    digits=1,
)
likeness = by_blocks.T.corr(method="spearman")
likeness.index, likeness.columns = ([brief.get(task, task) for task in tasks] for _ in range(2))
pairs = likeness.where(~pd.DataFrame(
    [[a >= b for b in range(len(tasks))] for a in range(len(tasks))], index=likeness.index, columns=likeness.columns
)).stack()  # fmt: skip
show.table(
    likeness.rename_axis("").reset_index(),
    caption="Do tasks order the seven models alike? Spearman correlations",
    digits=2,
)
(most_alike, most_value), (least_alike, least_value) = ((pairs.idxmax(), pairs.max()), (pairs.idxmin(), pairs.min()))
Markdown(
    f"Q3 and Q8 correlate at {likeness.loc['Q3', 'Q8']:.2f}, contacts from embeddings and from attention at "
    f"{likeness.loc['contacts, embeddings', 'contacts, attention']:.2f}. Most alike are {' and '.join(most_alike)} "
    f"({most_value:.2f}), least {' and '.join(least_alike)} ({least_value:.2f}); with seven models a correlation may be far off."
)

# %% [markdown]
# ## Do the models differ?
#
# Friedman's test asks whether mean ranks lie further apart than they would if each block shuffled the models.
# The correction of Iman and Davenport {cite:p}`iman1980friedman` makes it less timid with few blocks.
# Where it says yes, Nemenyi's test says which pairs differ: those whose mean ranks lie at least the
# {term}`critical difference` apart. It covers all 21 pairs at once, as Demšar recommends {cite:p}`demsar2006statistical`.

# %% tags=["hide-input"]
tests, ranked, bars = [], [], []
cost = comparison.costs(printed.drop_duplicates("model").set_index("model")["card"].to_dict()).set_index("model")
for name, table in block_ranks.items():
    means = table.mean()
    found = comparison.friedman(table)
    difference = comparison.critical_difference(found.n_models, found.n_blocks)
    tests.append(
        {
            "blocks": name,
            "n": found.n_blocks,
            "chi2": found.chi2,
            "p_chi2": found.p_chi2,
            "F": found.f,
            "p": found.p,
            "difference": difference,
        }
    )
    ranked += [
        {"panel": name, "model": model, "family": cost.loc[model, "family"], "rank": rank}
        for model, rank in means.items()
    ]
    for group in comparison.cliques(means, difference):
        bars.append(
            {
                "panel": name,
                "low": means[list(group)].min(),
                "high": means[list(group)].max(),
                "difference": difference,
                "models": ", ".join(group),
            }
        )
tests, ranked, bars = pd.DataFrame(tests), pd.DataFrame(ranked), pd.DataFrame(bars)
show.table(
    tests.rename(
        columns={
            "n": "number",
            "chi2": "Friedman's chi²",
            "p_chi2": "its p",
            "p": "p of F",
            "difference": "critical difference",
        }
    ),
    caption=f"Do {scores.shape[1]} models differ? Friedman's test, with the F of Iman and Davenport, and Nemenyi's critical difference at 5 %",
    digits=5,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean ranks of seven models on a line, with bars under those that cannot be told apart, for nine tasks and for seven blocks"}}
show.figure(
    figures.rank_plot(ranked, bars, axis="mean rank (1 is the best)"),
    ranked,
    "24_ranks",
    profile=profile,
    caption=f"Mean ranks of {', '.join(scores.columns)} (circles: ESM-2). A black bar joins models that lie less than the "
    "critical difference apart, so that Nemenyi's test at 5 % cannot tell them apart.",
)


# %% tags=["hide-input"]
def told_apart(name: str) -> list[tuple[str, str]]:
    """The pairs of a reading that lie at least the critical difference apart, the better first."""
    means, limit = block_ranks[name].mean().sort_values(), tests.set_index("blocks").loc[name, "difference"]
    return [(one, other) for one in means.index for other in means.index if means[other] - means[one] >= limit]


orders = pd.DataFrame(
    {
        "24 columns": comparison.ranks(scores).mean(),
        **{name: table.mean() for name, table in block_ranks.items()},
        "normalised score": comparison.by_task(comparison.normalised(scores)).mean(),
    }
)
show.table(
    orders.sort_values("nine tasks").rename_axis("model").reset_index(),
    caption="Mean rank over columns, tasks and blocks; mean over tasks of the score between worst (0) and best (1)",
    digits=2,
)
Markdown("\n".join(
    f"- {name}: {len(told_apart(name))} of 21 pairs are told apart ("
    + ("; ".join(f"{one} from {other}" for one, other in told_apart(name)) or "none") + ")."
    for name in readings
))  # fmt: skip

# %% [markdown]
# Nine blocks are few.
# The critical difference is about half of the whole range of ranks, so what is *not* told apart is not shown to be
# equal; and the test takes the blocks for independent, which they are not, so what *is* told apart is told with more
# confidence than is due.
# The second panel is the more careful one.

# %% [markdown]
# ## Ankh Large against each of the others
#
# Ranks forget by how much.
# Here the difference in percentage points, averaged within each task, is looked at for one model that stands out, and
# in two ways.
#
# Wilcoxon's signed-rank test asks whether the differences could as well have the other sign; with so few blocks all
# combinations of signs are counted.
# Six comparisons are made, and Holm's method corrects for it.
#
# The {term}`Bayesian signed-rank test` {cite:p}`benavoli2017time` asks what a reader wants to know: how probable is it
# that the model is better by more than would matter, that both are equal for practical purposes, that it is worse?
# What would matter lies outside the {term}`ROPE`, here a percentage point to either side as in that paper, and varied
# below.

# %% tags=["hide-input"]
favourite = "Ankh Large"
options = {"n": n_draws, "seed": seed}
versus = pd.concat(
    [comparison.against(table, favourite, rope=rope, **options).assign(blocks=name) for name, table in points.items()],
    ignore_index=True,
)
for name in points:
    part = versus[versus["blocks"] == name]
    text = part.assign(record=[f"{row.wins}-{row.ties}-{row.losses}" for row in part.itertuples()])
    show.table(
        text[["model", "record", "median", "p", "p_holm", "better", "same", "worse"]].rename(
            columns={"record": "won-level-lost", "median": "median difference", "p_holm": "p, Holm"}
        ),
        caption=f"{favourite} against each, {name}: blocks won, level and lost; percentage points; Wilcoxon's p; "
        f"posterior probabilities with a ROPE of {rope:g} points",
    )
column_record = comparison.against(scores, favourite, rope=rope, n=1)[["model", "wins", "ties", "losses"]]
Markdown(
    f"With {len(points['nine tasks'])} blocks p cannot fall below {2.0 ** (1 - len(points['nine tasks'])):.4f}, and "
    f"with {len(points['seven blocks'])} not below {2.0 ** (1 - len(points['seven blocks'])):.4f}: times six, even a "
    f"model that wins everywhere then has {min(1, 6 * 2.0 ** (1 - len(points['seven blocks']))):.3f}. By column, "
    "without any test: "
    + "; ".join(f"{row.model} {row.wins}-{row.ties}-{row.losses}" for row in column_record.itertuples())
    + "."
)

# %% tags=["hide-input"]
widths = [0.0, 0.5 * rope, rope, 2 * rope]
varied = pd.DataFrame({"model": scores.columns.drop(favourite)})
for width in widths:
    varied[f"{width:g} points"] = comparison.against(points["nine tasks"], favourite, rope=width, **options)["better"]
show.table(
    varied,
    caption=f"Probability that {favourite} is better by more than the ROPE, by its half width; nine tasks",
    digits=2,
)

# %% [markdown]
# ## Cost against quality
#
# What does a better rank cost?
# On the {term}`front <Pareto front>` lie the models that nothing beats at their size.
# A forward pass takes about two operations a parameter and residue, one multiplication and one addition
# {cite:p}`kaplan2020scaling`; for ESM this is twice 12 x layers x width², and the sizes on the cards say the same.
# What attention itself takes grows with the length of the protein and is left out.
# For Ankh and ProtT5 the encoder alone is counted, as the decoder is not run; their training had to pay for both.

# %% tags=["hide-input"]
cost["mean rank"] = by_blocks.mean()
cost["normalised score"] = orders["normalised score"]
cost["front"] = comparison.pareto(cost["parameters"], cost["mean rank"])
cost["front, score"] = comparison.pareto(cost["parameters"], -cost["normalised score"])
formula = 24 * cost["layers"] * cost["dim"] ** 2 / 1e9
esm = cost["family"].map(lambda name: models.FAMILIES[name].standard_layers)
apart = (formula[esm] / cost.loc[esm, "gflops"] - 1).abs().max()
priced = cost.reset_index().sort_values("parameters", ignore_index=True)


def draw_cost(table: pd.DataFrame) -> Figure:
    """Mean rank and mean normalised score against the size, with the front of what nothing beats."""
    with rc_context(style.STYLE):
        figure = Figure(figsize=(style.WIDTH, 6.0), layout="constrained")
        axes = figure.subplots(2, 1, sharex=True)
        for ax, value, front in zip(axes, ("mean rank", "normalised score"), ("front", "front, score"), strict=True):
            best = table[table[front]].sort_values("parameters")
            ax.step(
                best["parameters"], best[value], where="post", color="#000000", linewidth=1, linestyle="--", zorder=1
            )
            for row in table.to_dict("records"):
                ax.plot(
                    row["parameters"], row[value], markersize=7, linestyle="", **style.published_mark(row["family"])
                )
                right = row["parameters"] < 5e9
                ax.annotate(
                    row["model"], (row["parameters"], row[value]), xytext=(7 if right else -7, 5), fontsize=9,
                    textcoords="offset points", ha="left" if right else "right", va="center",
                )  # fmt: skip
            ax.set(ylabel=value, xscale="log", xlim=(3e8, 3e10))
            ax.grid()
        axes[0].set(ylim=(scores.shape[1], 1), ylabel="mean rank (up is better)")
        axes[1].set(ylim=(0, 1.05), xlabel="parameters that are run (operations a residue: about twice that)")
    return figure


# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean rank and mean normalised score of seven models against their parameters; the front runs from Ankh Base to Ankh Large"}}
show.figure(
    draw_cost(priced),
    priced,
    "24_cost",
    profile=profile,
    caption=f"Mean rank over nine tasks, and mean normalised score, of {', '.join(priced['model'])} against the parameters "
    "that are run (circles: ESM-2). Dashed: the front; what lies on it is beaten by nothing that is as small.",
)

# %% tags=["hide-input"]
show.table(
    priced[["model", "layers", "dim", "parameters", "gflops", "mean rank", "normalised score", "front"]].rename(
        columns={"gflops": "billion operations a residue", "front": "on the front"}
    ),
    caption="Size, cost and quality; for Ankh and ProtT5 of the encoder",
    digits=2,
)
front = priced.loc[priced["front"], "model"].tolist()
Markdown(
    f"On the front: {', '.join(front)}. For the ESM models the formula and the cards differ by at most {apart:.1%}. "
    f"Within ESM-2, a model {cost.loc['ESM2-15B', 'parameters'] / cost.loc['ESM2-650M', 'parameters']:.0f} times as large "
    f"gains {cost.loc['ESM2-650M', 'mean rank'] - cost.loc['ESM2-15B', 'mean rank']:.1f} ranks."
)

# %% [markdown]
# ## How far can a printed figure be trusted?
#
# The page prints no interval and no number of training runs, not even how many proteins were tested.
# The public sets of those names have known sizes, and these say how far a figure would move with other proteins of the
# same kind.
#
# For a share of proteins that is a matter of counting.
# For Q3 and Q8 a protein brings hundreds of residues that are right or wrong together, so the spread between proteins
# counts; it is taken from our own run on CB513.
# Were residues independent, the error would be the smaller number in the last column; they are not.

# %% tags=["hide-input"]
names = models.expand(model_names)
ours = pd.concat([artifacts.read(f"tasks.{name}", profile) for name in names], ignore_index=True)
best_runs = comparison.with_published(ours, scores)


def best_on(task: str, test: str) -> pd.Series:
    """Our best result on a test, over the models."""
    part = best_runs[(best_runs["task"] == task) & (best_runs["test"] == test)]
    return part.loc[part["value"].idxmax()]


sources = {task: best_on(task, "CB513") for task in ("secondary_structure_3", "secondary_structure_8")}
spreads = {
    downstream.task(task).published: comparison.spread(row["low"], row["high"], row["n"])
    for task, row in sources.items()
}
errors = comparison.sampling(scores, spreads=spreads)
known = errors.dropna(subset=["error"])
show.table(
    known[["task", "column", "proteins", "best", "lead", "extent", "error", "residues_alone"]]
    .assign(task=known["task"].replace(brief))
    .rename(
        columns={
            "lead": "best - second",
            "extent": "best - worst",
            "error": "± error of one",
            "residues_alone": "±, residues alone",
        }
    ),
    caption="Percentage points; the error is half of a 95 % interval of one figure, at the middle of the seven models",
    digits=1,
)
drawn_from = sources["secondary_structure_3"]
Markdown(
    f"Spread between proteins, from the {drawn_from['learner']} learner (for Q3) of {drawn_from['model']} on {drawn_from['n']} "
    f"proteins: {spreads[tasks[0]]:.1f} points in Q3 and {spreads[tasks[1]]:.1f} in Q8. A better model spreads less, so these "
    f"errors are rather too large. In {int((known['lead'] < known['error']).sum())} of {len(known)} columns the best lies closer to "
    f"the second than the error of one figure; in {int((known['extent'] < known['error']).sum())} even the worst does. Figures "
    "of two models on the same proteins err together, so their difference is surer than that; how much surer, only figures "
    f"for each protein would tell. {', '.join(sorted(set(errors.loc[errors['error'].isna(), 'task'])))}: sizes not known."
)

# %% [markdown]
# ## Our runs beside
#
# The two embedded models are more than a hundred times smaller than the smallest of the seven.
# On the same tasks, with the samples that ship with this book, their best learner stands beside the best baseline, which
# needs no model, and beside the range of the seven published models.
# What we test is our sample: for most tasks proteins or labels are others than those of the page, and everywhere the
# training set is far smaller. The range says what the task is like elsewhere; the column *comparable* says whether a
# number may be set beside it at all, and the list below why not.
# Both the learner and the baseline are the best on the proteins that they are measured on, which flatters both.

# %% tags=["hide-input"]
published_as = {name: each.published for name, each in downstream.TASKS.items()}
short = {models.card(name).name: text for name, text in (("embedded", "default"), ("embedded_general", "general"))}


def shown_range(row: pd.Series) -> str:
    """The published models' range as text."""
    return f"{row['lowest']:.1f} to {row['highest']:.1f}" if row["column"] else "–"


for name in names:
    part = best_runs[best_runs["model"] == name]
    show.table(
        pd.DataFrame(
            {
                "task": [brief.get(published_as[task], published_as[task]) for task in part["task"]],
                "test": part["test"].to_numpy(),
                "proteins": part["data"].to_numpy(),
                "learner": part["learner"].to_numpy(),
                "value [95 % interval]": [
                    show.interval(*row, digits=1) for row in part[["value", "low", "high"]].to_numpy()
                ],
                "best baseline": [
                    f"{row.baseline_value:.1f} ({row.baseline})" if row.baseline else "–" for row in part.itertuples()
                ],
                "seven models": [shown_range(row) for _, row in part.iterrows()],
                "comparable": part["comparable"].to_numpy(),
            }
        ),
        caption=f"{name} ({short.get(name, 'this profile')}) on our samples, percentage points, beside the range of the seven models on Ankh's page",
    )
Markdown("\n".join(
    f"- {downstream.task(task).title}. Our sample: {downstream.task(task).sample}. Comparable: {downstream.task(task).comparable}."
    for task in dict.fromkeys(best_runs["task"])
))  # fmt: skip

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
assert scores.shape == (24, 7) and len(by_blocks) == len(tasks) == 9
assert (by_blocks.sum(axis=1) == 28).all(), "ranks of seven models sum to 28"
assert set(best_runs["model"]) == set(names), "a model was not run on the tasks"
saved = {
    "ranks": by_blocks.reset_index(),
    "tests": tests,
    "pairs": versus,
    "costs": priced,
    "errors": errors,
    "ours": best_runs,
    "bold": marked,
}
for name, table in saved.items():
    artifacts.save(table, f"comparison_{name}", profile)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
by_test = tests.set_index("blocks")
nine, seven = by_test.loc["nine tasks"], by_test.loc["seven blocks"]
order = by_blocks.mean().sort_values()
least = 2.0 ** (1 - len(points["seven blocks"]))  # all signs alike, both ways
record = versus[versus["blocks"] == "nine tasks"].set_index("model")
merged = versus[versus["blocks"] == "seven blocks"].set_index("model")
below = [f"{model} ({row.p_holm:.3f})" for model, row in record.iterrows() if row.p_holm < 0.05]
hard = record["better"].idxmin()
odd = scores.xs("solubility", level="task").iloc[0].sort_values()
ahead_of = best_runs.dropna(subset=["baseline_value"])
beats = ahead_of[ahead_of["value"] > ahead_of["baseline_value"]]
clear = ahead_of[ahead_of["low"] > ahead_of["baseline_value"]]
within = best_runs[(best_runs["column"] != "") & (best_runs["high"] >= best_runs["lowest"])]
lines = [
    f"The seven models differ: p = {nine['p']:.1g} over nine tasks and {seven['p']:.1g} over seven blocks (Iman and "
    f"Davenport). The order of mean ranks is {', '.join(f'{model} {rank:.1f}' for model, rank in order.items())}.",
    f"Which differ is mostly open. The critical difference is {nine['difference']:.1f} ranks; it tells {len(told_apart('nine tasks'))} of "
    f"21 pairs apart, and {len(told_apart('seven blocks'))} with related tasks merged.",
    f"{favourite} is first on average and beats {len(below)} of {len(record)} models after Holm's correction over nine tasks: "
    f"{', '.join(below) or 'none'}. Over seven blocks the smallest of all possible p, corrected, is {min(1, 6 * least):.3f}. It is least sure against {hard}: better by more than "
    f"{rope:g} point with probability {record.loc[hard, 'better']:.2f} (seven blocks: {merged.loc[hard, 'better']:.2f}), equal for "
    f"practical purposes with {record.loc[hard, 'same']:.2f} ({merged.loc[hard, 'same']:.2f}).",
    f"The front of size against rank is {' and '.join(front)}. ESM2-15B, {cost.loc['ESM2-15B', 'parameters'] / cost.loc[favourite, 'parameters']:.0f} times "
    f"as large as {favourite}, has mean rank {order['ESM2-15B']:.1f}; its best rank is {by_blocks['ESM2-15B'].min():g}, in {by_blocks['ESM2-15B'].idxmin()}.",
    f"In {len(wrong)} of {len(marked)} columns the page's bold is not the highest figure.",
    f"One figure stands out: {odd.index[0]} on solubility has {odd.iloc[0]:.1f} %, the next lowest {odd.iloc[1]:.1f} % "
    f"({odd.index[1]}). A training that failed looks like that, and without a second seed nobody can tell.",
    f"In {int((known['lead'] < known['error']).sum())} of {len(known)} columns whose test size is known, the best leads the second by "
    "less than the error of one figure.",
    f"Our runs ({', '.join(f'{name}, {models.card(name).parameters / 1e6:,.1f} million parameters' for name in names)}) are above the best "
    f"baseline in {len(beats)} of {len(ahead_of)} tests, in {len(clear)} of them with the whole interval; in {len(within)} of {int((best_runs['column'] != '').sum())} with a published column their interval reaches "
    "the range of the seven, mostly on other data; the best learner and the best baseline are chosen on the test.",
]
Markdown("\n".join(f"- {line}" for line in lines))

# %% [markdown]
# ## What not to conclude
#
# - That a model is better because a figure is: not one of the 168 comes with an interval or a second seed, and the tests of
#   this chapter only ask whether tasks agree.
# - That CASP12 and CASP14 decide between models: 20 and 18 proteins cannot, where the models lie a few points apart.
# - That models which are not told apart are equal: nine blocks tell only large differences.
# - That the seven would keep their order elsewhere: ranks are among these seven, on these tasks, with these heads.
#
# ## Limits
#
# - The page is that of the authors of two of the seven models, and of ProtT5. How much heads and settings were tuned for
#   each model is not said; a head that was chosen with one's own model in hand favours it.
# - The model that is set against the others was chosen because it stands out in these very figures. The page's authors
#   had named it before; still, its p values flatter.
# - A percentage point of Q3 is not one of P@L or of a correlation. The signed-rank tests weigh tasks by points, so contacts
#   and CATH count most where their differences are largest; ranks do not weigh, and forget sizes.
# - The Bayesian test takes blocks for independent draws from all tasks there might be, and its prior is worth half a task.
# - Figures are rounded on the page: fluorescence and CATH to two digits, a whole point here, which makes ties.
# - Sizes of test sets are those of the public sets of that name; the page does not print them. CASP14 is called HARD there
#   and taken for the 18 proteins of the public collection.
# - Of training cost nothing is known here: tokens read, hours, and for the encoder-decoders the decoder.
# - Our runs use small samples and two small models; they show that the tasks can be run, and not how good the seven are.
