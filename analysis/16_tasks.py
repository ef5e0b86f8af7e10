# ---
# jupyter:
#   make:
#     longest: true
# ---

# %% [markdown]
# # The tasks
#
# What is an embedding good for?
# Ankh's authors answered with nine tasks {cite:p}`elnaggar2023ankh`: a property of a protein or of its residues is
# learnt by a small head, while the model stays as it is.
# Here every one of them is run for real with the models of this book, beside baselines that see no model.
#
# **Inputs.** `data/task_secondary_structure.parquet`, `data/secondary_structure.parquet`, `data/task_contacts.parquet`,
# `data/kept_structures.parquet`, `data/localisation.parquet`, `data/task_remote_homology.parquet`,
# `data/task_solubility.parquet`, `data/task_fluorescence.parquet`, `data/task_cath.parquet`, `data/derived`.
#
# **Outputs.** The answers of every learner by test protein and its measures by seed, a file each a model, which the
# pages of the tasks read; `results/<profile>/task_gains.parquet`.
#
# **Runtime.** A minute and a half on one core: one head is trained, the rest is shipped and checked by its key.
# `make results` trains them all.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose embeddings the tasks are learnt from

# %%
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tasks
from plmbook.book import figures, show, style, task_pages
from plmbook.core import artifacts
from plmbook.tables import derived
from plmbook.tasks import studies

names = models.expand(model_names)

# %% [markdown]
# ## Nine tasks
#
# Each task with its measure and the range of the seven published models, Ankh's head with its parameters, how it is trained,
# the data set on the Hugging Face hub, and what of it is learnt here.
# A *head* reads the embeddings of all residues: one layer of ConvBERT {cite:p}`jiang2020convbert`, pooling over residues
# where the answer is one for the protein, and a linear map.
# None of the published data sets can be shipped whole: what is learnt here is a sample of each, or of a stand-in, and no row
# of ours repeats a published one.
# `plmbook task --list` prints the same.

# %% tags=["hide-input"]
task_pages.show_listing()

# %% [markdown]
# The proteins that the learners are given, by part:

# %% tags=["hide-input"]
parts = pd.concat([task_pages.counts(tasks.examples(name)).assign(task=name) for name in tasks.TASKS])
parts = parts.assign(text=[f"{row.proteins:,} ({row.residues:,})" for row in parts.itertuples()])
parts["part"] = parts["part"].where(parts["part"].isin(["train", "validation"]), "test: " + parts["part"])
tests = parts[parts["part"].str.startswith("test")]
tests = tests.groupby("task", sort=False).apply(
    lambda rows: "; ".join(f"{row.part.removeprefix('test: ')}: {row.text}" for row in rows.itertuples())
)
wide = parts[~parts["part"].str.startswith("test")].pivot(index="task", columns="part", values="text")
wide = wide.reindex(tests.index).fillna("-").assign(tests=tests)[["train", "validation", "tests"]]
show.table(
    wide.rename_axis(None, axis=1).reset_index(), caption="Proteins, and their residues in brackets; CATH: domains"
)

# %% [markdown]
# ## Ways to learn
#
# A learner that sees no model is a baseline; what an embedding adds is what is above the best of them.
# Seeded learners are trained three times.

# %% tags=["hide-input"]
show.table(
    pd.DataFrame(
        [
            (each.name, "nothing" if each.baseline else "a model", "yes" if each.seeded else "no", each.meaning)
            for each in tasks.LEARNERS.values()
        ],
        columns=["learner", "sees", "seeded", "what it is"],
    )
)

# %% [markdown]
# ## The run

# %% tags=["hide-input"]
for name in names:
    model = models.load(name)
    studies.downstream(model, retrain=name == names[0], profile=profile)
    del model  # before the next is loaded
print(f"tolerance of a trained head: {studies.HEAD_TOLERANCE}, on {studies.HEAD_TESTS} test proteins")
record = derived.records(profile)
record = record[record["table"].str.startswith("downstream-") & record["model"].isin(names)]
record = record.assign(
    model=record["model"].map(task_pages.short), task=record["table"].str.removeprefix("downstream-")
)
show.table(record[["model", "task", "status", "rows", "sampled", "largest_difference", "seconds"]])

# %% [markdown]
# Where the answers were shipped, the rows *sampled* were computed afresh: a baseline of each task, which must be equal, and
# of one task and the first model a ConvBERT head of one seed, whose measure on a draw of test proteins must be the shipped
# one but for the tolerance printed here. `make results` trains them all.

# %% [markdown]
# ## What embeddings add to the best baseline
#
# For each test the best baseline is chosen by its test measure, in its favour.
# The difference is taken on the same test proteins, resampled together.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Difference of the learner on embeddings from the best baseline, for each test of the nine tasks and both models"}}
outcomes, measured = task_pages.load(names, list(tasks.TASKS), profile)
gained = pd.concat(
    [
        task_pages.gains(outcomes[outcomes["task"] == name], measured[measured["task"] == name], n=500).assign(
            task=name
        )
        for name in tasks.TASKS
    ],
    ignore_index=True,
)
saved = artifacts.save(gained, "task_gains", profile)
own = gained[gained["learner"].isin(task_pages.OWN)].copy()
titles = {name: task.title.split(",")[0] for name, task in tasks.TASKS.items()} | {
    "secondary_structure_3": "Q3",
    "secondary_structure_8": "Q8",
    "contacts": "contacts, embeddings",
    "contacts_attention": "contacts, attention",
}
own["name"] = [
    titles[row.task] + ("" if row.test == "test" else f", {row.test.replace(', ', ' ')}") for row in own.itertuples()
]
own["statistic"] = own["model"].map(task_pages.short)
own["kind"] = own["model"].map(style.kind)
show.figure(
    figures.forest(own, axis="difference", reference=0),
    own,
    "16_gains",
    profile=profile,
    caption="Ankh's way (a ConvBERT head; attention; nearest neighbour for CATH) on the embeddings of "
    + ", ".join(f"`{name}` ({task_pages.short(name)})" for name in names)
    + ", less the best baseline of each test, in units of the task's measure. Whiskers: 95 % over test proteins; mean "
    "over seeds.",
)

# %% [markdown]
# ## Beside the published figures
#
# The range of the seven models of Ankh's page, and the same way on our samples; the page of each task has the rows.
# Shares and correlations; where one side has no such test the cell is empty.

# %% tags=["hide-input"]
beside = []
for name in tasks.TASKS:
    table = task_pages.beside_published(name, measured).set_index("model")
    ours = table.index.str.endswith("our sample")
    spans = table[~ours].agg(["min", "max"]).T.set_axis(["published, lowest", "highest"], axis=1)
    own_rows = table[ours].T.rename(columns=lambda line: line.split(",")[0])
    beside.append(pd.concat([spans, own_rows], axis=1).rename_axis("test").reset_index().assign(task=titles[name]))
beside = pd.concat(beside, ignore_index=True)
show.table(beside[["task", *beside.columns.drop("task")]])

# %% tags=["hide-input"]
ahead = own.assign(
    verdict=own["low"].gt(0).map({True: "ahead", False: ""}) + own["high"].lt(0).map({True: "behind", False: ""})
)
ahead["verdict"] = ahead["verdict"].replace("", "not apart")
verdicts = ahead.groupby(["statistic", "verdict"], sort=False).size().unstack(fill_value=0)
verdicts = verdicts.reindex(columns=["ahead", "not apart", "behind"], fill_value=0)
show.table(
    verdicts.rename_axis("model").rename_axis(None, axis=1).reset_index(),
    caption="Tests in which the way on embeddings is ahead of the best baseline outside the interval, not apart, behind",
)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
lines = []
for row in verdicts.itertuples():
    part = ahead[ahead["statistic"] == row.Index]
    best, worst = part.loc[part["value"].idxmax()], part.loc[part["value"].idxmin()]
    lines.append(
        f"- {row.Index}: of {len(part)} tests, ahead of the best baseline in {row.ahead}, not apart in "
        f"{part['verdict'].eq('not apart').sum()}, behind in {row.behind}. Most is gained in {best['name']} "
        f"({show.interval(best['value'], best['low'], best['high'], sign=True)}), least in {worst['name']} "
        f"({show.interval(worst['value'], worst['low'], worst['high'], sign=True)})."
    )
n_tests = len(own) // len(names)
lines.append(
    f"- Were the tests independent and the opponent fixed beforehand, {0.025 * n_tests:.1f} of {n_tests} would be ahead by "
    "chance, and as many behind."
)
wins = gained.merge(
    gained[gained["learner"] == "convbert"], on=["model", "task", "test"], suffixes=("", "_head")
).query("learner != 'convbert'")
for learner, part in wins.groupby("learner", sort=False):
    level = (part["value_head"] > part["value"]).sum()
    lines.append(
        f"- The ConvBERT head has a higher measure than the {learner} probe in {level} of {len(part)} comparisons; whether a "
        "single one is more than chance was not asked."
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## Limits
#
# - The samples are small: what is learnt from a hundred thousand residues says little about what is learnt from ten
#   million, and a head with 170,000 numbers is at a disadvantage to a linear map.
# - The parameters of the heads are those of Ankh's examples for all models; none was tuned for ours.
# - The intervals are over test proteins; how far a head moves with its seed stands beside it on the page of each task.
# - Tests of one task share proteins or residues (Q3 and Q8; L and L / 5; the levels of CATH): they are not independent.
# - The bundled models have read many of these proteins, without labels; so have the published ones.
