"""What the pages of the tasks have in common: from the answers of the learners to lines, tables, sentences.

The chapter *The tasks* writes `tasks.<model>` and `task_outcomes.<model>`; the page of a task shows its part of them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from plmbook import tasks
from plmbook.book import show, style
from plmbook.core import artifacts
from plmbook.models import cards
from plmbook.stats import bootstrap
from plmbook.tasks.data import published_shares
from plmbook.tasks.learners import kmer_cosines

if TYPE_CHECKING:
    from IPython.display import Markdown

OWN = ("convbert", "attention", "embedding")  # the way that Ankh's page used, where a task has it


def load(names: Sequence[str], task_names: Sequence[str], profile: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The answers and the measures of some tasks, as the chapter *The tasks* left them (InputError if it has not run):
    the columns of `tasks.run` and those of `tasks.over_seeds`, with the model.
    """
    parts: dict[str, list[pd.DataFrame]] = {"task_outcomes": [], "tasks": []}
    for name in names:
        for file, found in parts.items():
            table = artifacts.read(f"{file}.{name}", profile)
            found.append(table[table["task"].isin(task_names)].assign(model=name))
    outcomes, measured = (pd.concat(found, ignore_index=True) for found in parts.values())
    return outcomes, tasks.over_seeds(measured)


def short(model: str) -> str:
    """What a page calls a model: default and general for the bundled ones, else its label."""
    bundled = {cards.card("embedded").name: "default", cards.card("embedded_general").name: "general"}
    return bundled.get(model) or style.label(model)


def _is_baseline(table: pd.DataFrame) -> pd.Series:
    """Whether the learner of each row sees no model, bool."""
    return table["learner"].map(lambda name: tasks.LEARNERS[name].baseline)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """With the name of a line (its learner, and the model that this reads) and the kind that gives its colour."""
    baseline = _is_baseline(table)
    return table.assign(
        name=table["learner"].where(baseline, table["learner"] + ", " + table["model"].map(short)),
        kind=table["model"].map(style.kind).mask(baseline, style.BASELINE),
    )


def rows(measured: pd.DataFrame) -> pd.DataFrame:
    """Lines for `figures.forest` from the measures of one task: the baselines once, then each learner of each model.
    Columns: model, name, kind, statistic (the test), value, low, high, seed_low, seed_high, seeds, n.
    """
    first = measured["model"].iloc[0]  # the baselines see no model: they are the same for all
    lines = _named(measured[~_is_baseline(measured) | (measured["model"] == first)]).rename(
        columns={"test": "statistic"}
    )
    lines = lines.sort_values("learner", key=lambda names: names.map(list(tasks.LEARNERS).index), kind="stable")
    columns = ["model", "name", "kind", "statistic", "value", "low", "high", "seed_low", "seed_high", "seeds", "n"]
    return lines[columns].reset_index(drop=True)


def best_baseline(measured: pd.DataFrame, test: str) -> str:
    """The baseline with the highest measure on a test: an opponent chosen in its favour."""
    part = measured[(measured["test"] == test) & _is_baseline(measured)]
    return part.loc[part["value"].idxmax(), "learner"]


def gains(outcomes: pd.DataFrame, measured: pd.DataFrame, *, n: int = 1000) -> pd.DataFrame:
    """How far each learner of each model is from the best baseline of each test of a task, on the same proteins.
    Columns: model, learner, test, baseline (str), value, low, high (learner less baseline; means over its seeds).
    """
    found = []
    for test in dict.fromkeys(measured["test"]):
        opponent = best_baseline(measured, test)
        of_test = outcomes[outcomes["test"] == test]
        than = of_test[(of_test["learner"] == opponent) & (of_test["model"] == of_test["model"].iloc[0])]
        own = of_test[~_is_baseline(of_test)]
        for (model, learner), part in own.groupby(["model", "learner"], sort=False):
            of_seeds = [tasks.gain(each, than, n=n)[:3] for _, each in part.groupby("seed")]
            mean = pd.DataFrame(of_seeds).mean()
            found.append((model, learner, test, opponent, *mean))
    return pd.DataFrame(found, columns=["model", "learner", "test", "baseline", "value", "low", "high"])


def beside_published(name: str, measured: pd.DataFrame) -> pd.DataFrame:
    """The published table of a task, our rows under it (the model with the learner and "our sample"), as shares or
    correlations. Columns: model, and one a test, NaN where one side has no such test.
    """
    of, table = tasks.task(name), published_shares()
    table = table[table["task"] == of.published]
    table = table.assign(test=of.published_tests(table))
    wide = table.pivot(index="model", columns="test", values="value")
    wide = wide.reindex(index=dict.fromkeys(table["model"]), columns=dict.fromkeys(table["test"]))
    ours = measured[measured["learner"].isin(OWN) & (measured["task"] == name)]
    for (model, learner), part in ours.groupby(["model", "learner"], sort=False):
        line = f"{short(model)}, {learner}: our sample"
        for test, value in zip(part["test"], part["value"], strict=True):
            wide.loc[line, test] = value
    return wide.rename_axis("model").rename_axis(None, axis=1).reset_index()


def counts(known: tasks.Examples) -> pd.DataFrame:
    """Proteins and residues of each part of a task: part (str), proteins, residues, longest (int64)."""
    table = known.table.assign(residues=known.table["sequence"].str.len())
    table["part"] = table["test"].where(table["split"] == "test", table["split"])
    found = table.groupby("part", sort=False)["residues"].agg(proteins="size", residues="sum", longest="max")
    return found.reset_index()


def recall(outcomes: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Of the test proteins of each class, how many are found, for `figures.forest`; codes are places in `classes`.
    Columns: model, panel (its short name), class (with the number of test proteins), value, low, high (Wilson's), n.
    """
    found = []
    for model, part in outcomes.groupby("model", sort=False):
        for code, name in enumerate(classes):
            of_class = part[part["truth"] == code]
            if len(of_class):
                right = int((of_class["predicted"] == code).sum())
                found.append((model, short(model), f"{name} ({len(of_class)})", *bootstrap.share(right, len(of_class))))
    return pd.DataFrame(found, columns=["model", "panel", "class", "value", "low", "high", "n"])


def likeness(known: tasks.Examples) -> pd.Series:
    """The cosine of the counts of 3-mers of each test protein and its most similar training protein; float64, by id."""
    return pd.Series(kmer_cosines(known).max(axis=1), index=known.table["id"].iloc[known.of("test")])


def by_group(outcomes: pd.DataFrame, value_of: pd.Series, *, parts: int = 3) -> pd.DataFrame:
    """Share of test proteins whose class is predicted, in groups of about as many by a number of the protein (by id).
    Columns: model, name, kind, bin (range of the number), value, low, high (Wilson's 95 %), n.
    """
    groups = pd.qcut(outcomes["id"].map(value_of), parts, duplicates="drop")
    found = []
    for (group, model, learner), part in outcomes.groupby([groups, "model", "learner"], observed=True):
        right = int((part["predicted"] == part["truth"]).sum())
        found.append((model, learner, f"{group.left:.2f} to {group.right:.2f}", *bootstrap.share(right, len(part))))
    table = pd.DataFrame(found, columns=["model", "learner", "bin", "value", "low", "high", "n"])
    return _named(table)[["model", "name", "kind", "bin", "value", "low", "high", "n"]]


def _markdown(lines: Iterable[str]) -> "Markdown":
    from IPython.display import Markdown

    return Markdown("\n".join(lines))


def show_listing() -> "Markdown":
    """Every task of `tasks.listing` in a paragraph: tables with so much text do not fit a page."""
    found = []
    for row in tasks.listing().itertuples():
        commit = f" at `{row.revision[:10]}`" if row.revision else ", the newest"
        hub = f"`{row.hub}`{commit}" if row.hub else "none"
        found.append(
            f"- **{row.title}** (`{row.task}`): {row.metric}; published {row.published or '-'}. Head: {row.head}. "
            f"Training: {row.training}; {row.seeds} seeds. Published data set: {hub}. "
            f"Our sample: {row.sample} ({row.sizes}). Differs: {row.differs}. Comparable: {row.comparable}."
        )
    return _markdown(found)


def show_examples(task_names: Sequence[str]) -> "Markdown":
    """Put the sizes of the parts on the page; what the head is and how the setting differs from the published one."""
    sizes = counts(tasks.examples(task_names[0]))
    both = ", in both tasks" if len(task_names) > 1 else ""
    show.table(sizes, caption=f"Proteins of each part that learners are given{both}")
    setting = tasks.listing().set_index("task").loc[list(task_names)]
    return _markdown(
        f"- `{row.Index}`: head {row.head}. Differs: {row.differs}. Comparable: {row.comparable}."
        for row in setting.itertuples()
    )


def show_seeds(measured: pd.DataFrame) -> None:
    """Put the learners that were trained more than once on the page."""
    seeded = measured[measured["seeds"] > 1]
    seeded = seeded.assign(model=seeded["model"].map(short))
    several = ["task"] if seeded["task"].nunique() > 1 else []
    show.table(
        seeded[["model", *several, "test", "learner", "value", "seed_low", "seed_high", "seeds"]],
        caption="Trained heads: the mean over seeds with its 95 % interval by Student's t",
    )


def show_published(task_names: Sequence[str], measured: pd.DataFrame, *, digits: int = 3) -> None:
    """Put the published table of each task on the page, with our rows at the bottom."""
    for name in task_names:
        table = beside_published(name, measured[measured["task"] == name])
        show.table(table, caption=tasks.task(name).title, digits=digits)


def shows(task_names: Sequence[str], outcomes: pd.DataFrame, measured: pd.DataFrame) -> "Markdown":
    """What a page says of its tasks: `sentences` of each."""
    lines = []
    for name in task_names:
        part = measured[measured["task"] == name]
        gained = gains(outcomes[outcomes["task"] == name], part)
        lines += [f"\n**{tasks.task(name).title}**\n"] if len(task_names) > 1 else []
        lines += sentences(name, part, gained)
    return _markdown(lines)


def sentences(name: str, measured: pd.DataFrame, gained: pd.DataFrame) -> list[str]:
    """What a page says of a task, from its measures and gains: a bullet of Markdown each."""
    found = []
    for test in dict.fromkeys(measured["test"]):
        part = measured[measured["test"] == test].set_index(["model", "learner"])
        opponent = best_baseline(measured, test)
        level = part.xs(opponent, level="learner").iloc[0]
        words = []
        for row in gained[(gained["test"] == test) & gained["learner"].isin(OWN)].itertuples():
            own = part.loc[(row.model, row.learner)]
            verdict = show.ahead("it", f"`{opponent}`", row.value, row.low, row.high)
            words.append(
                f"`{row.learner}` on `{row.model}` reaches {show.interval(own['value'], own['low'], own['high'])}: "
                f"{verdict}"
            )
        found.append(
            f"- **{test}** ({tasks.task(name).metric}, {int(level['n'])} proteins): the best baseline, `{opponent}`, "
            f"has {show.interval(level['value'], level['low'], level['high'])}. " + "; ".join(words) + "."
        )
    own = gained[gained["learner"].isin(OWN)]
    probes = gained[~gained["learner"].isin(OWN)]
    if len(probes):
        both = own.merge(probes, on=["model", "test"], suffixes=("", "_probe"))
        behind = int((both["value"] < both["value_probe"]).sum())
        found.append(
            f"- Against the probes on the same embeddings the head is behind in {behind} of {len(both)} comparisons."
        )
    return found
