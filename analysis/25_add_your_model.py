# %% [markdown]
# # Add your model
#
# How does a model of one's own do in these tasks?
# Five lines bring it in: a name, and a function from sequences to the embeddings of their residues.
# Everything else, examples, heads, baselines, intervals, is what the other pages use.
#
# **Inputs.** `data/task_solubility.parquet`, `data/task_fluorescence.parquet`.
#
# **Outputs.** The table behind the figure.
#
# **Runtime.** Under a minute on two processor cores.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
residues = 60_000  # training residues of each task: this page learns live

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import tasks
from plmbook.book import figures, show, style, task_pages
from plmbook.core.residues import AMINO_ACIDS

# %% [markdown]
# ## Five lines
#
# The model of this page knows one number of each amino acid, its hydropathy {cite:p}`kyte1982simple`, and smooths it
# along the chain with three widths.
# Yours would load its weights here.

# %%
HYDROPATHY = dict(zip(AMINO_ACIDS, [1.8, 2.5, -3.5, -3.5, 2.8, -0.4, -3.2, 4.5, -3.9, 3.8, 1.9, -3.5, -1.6, -3.5, -4.5, -0.8, -0.7, 4.2, -0.9, -1.3], strict=True))  # fmt: skip


# %%
class Hydropathy:
    name = "hydropathy"

    def residues(self, sequences):
        return [smoothed(np.array([HYDROPATHY.get(letter, 0.0) for letter in sequence])) for sequence in sequences]


# %% [markdown]
# `residues` gives for each sequence an array with a row a residue, none for BOS or EOS; shape and numbers are checked.
# The helper below belongs to this model, not to the five lines.


# %%
def smoothed(values):
    """The values and their means over 7, 21 and 61 residues, (L, 4)."""

    def mean(width):
        sums, counts = (np.convolve(x, np.ones(width)) for x in (values, np.ones(len(values))))
        return (sums / counts)[width // 2 : width // 2 + len(values)]

    return np.stack([values, *map(mean, (7, 21, 61))], axis=1)


# %% [markdown]
# ## Two tasks
#
# `tasks.run` learns, `tasks.scores` measures. The same on the command line, for a model with a card:
# `plmbook task solubility -m esm2_650M`.

# %%
model = Hydropathy()
outcomes = pd.concat(
    [
        tasks.run(name, model, seeds=[0], examples=tasks.examples(name, residues=residues))
        for name in ("solubility", "fluorescence")
    ]
)
measured = tasks.over_seeds(tasks.scores(outcomes))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Measures of the learners on hydropathy and of the baselines in two tasks"}}
lines = measured.assign(
    model=model.name,
    name=measured["learner"],
    kind=[style.BASELINE if tasks.LEARNERS[name].baseline else style.RUN_HERE for name in measured["learner"]],
    statistic=measured["task"].map(lambda name: tasks.task(name).title),
)
show.figure(
    figures.forest(lines, axis="accuracy; correlation"),
    lines,
    "25_two_tasks",
    profile=profile,
    caption="A model of four numbers a residue (hydropathy and its means) in two tasks, one seed: accuracy of solubility, "
    "rank correlation of fluorescence. Grey: baselines that see no model. Whiskers: 95 % over test proteins.",
)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
shown = []
for name, part in measured.groupby("task", sort=False):
    opponent = task_pages.best_baseline(part, "test")
    of_task = outcomes[outcomes["task"] == name]
    best = part[~part["learner"].map(lambda learner: tasks.LEARNERS[learner].baseline)]
    best = best.loc[best["value"].idxmax(), "learner"]
    found = tasks.gain(of_task[of_task["learner"] == best], of_task[of_task["learner"] == opponent])
    shown.append(
        f"- {tasks.task(name).title}: the best learner on hydropathy (`{best}`) against the best baseline (`{opponent}`): "
        f"{show.ahead('it', 'the baseline', found.value, found.low, found.high)}."
    )
Markdown("\n".join(shown))

# %% [markdown]
# ## Limits
#
# - The learner that is shown above is the best of three on the test proteins, so slightly flattered.
# - A smaller draw of the examples than on the pages of the tasks, and one seed.
# - An embedding of one protein must not depend on the others of the call: batches with padding are the usual way to get
#   that wrong.
