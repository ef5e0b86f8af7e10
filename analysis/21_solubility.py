# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Solubility
#
# Does a protein stay in solution when bacteria make it?
# A property of the whole chain, of which composition and charge tell much.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/task_solubility.parquet`, `data/published/ankh_results.csv`.
#
# **Outputs.** The table behind each figure.
#
# **Runtime.** Seconds; what was learnt is read.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are shown

# %%
from plmbook import models
from plmbook.book import figures, show, task_pages

task_names = ["solubility"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# DeepSol's validation set {cite:p}`khurana2018deepsol` stands in for its training set, which is not bundled; the test
# proteins are a draw of its test set.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of solubility by learner"}}
lines = task_pages.rows(measured)
show.figure(
    figures.forest(lines, axis="share of proteins right"),
    lines,
    "21_accuracy",
    profile=profile,
    caption="Share of the test proteins that are rightly called soluble or not. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# ## Which way are the errors?

# %% tags=["hide-input"]
own = outcomes[outcomes["learner"].isin(["composition", "convbert"]) & (outcomes["seed"] == 0)]
words = {0.0: "no", 1.0: "yes"}
confusion = own.assign(
    called=own["predicted"].map(words), soluble=own["truth"].map(words), model=own["model"].map(task_pages.short)
)
confusion = confusion.groupby(["model", "learner", "soluble", "called"]).size().unstack("called", fill_value=0)
show.table(
    confusion.rename(columns=lambda word: f"called {word}").rename_axis(None, axis=1).reset_index(),
    caption="Test proteins by what they are and what they were called, one seed; "
    + show.models_named({name: task_pages.short(name) for name in names}),
)

# %% [markdown]
# ## Beside the published table
#
# The upper rows are Ankh's page {cite:p}`elnaggar2023ankh`; ours are at the bottom, of another sample and of models more
# than a hundred times smaller.
# Where one side has no such test the cell is empty.

# %% tags=["hide-input"]
task_pages.show_published(task_names, measured)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
task_pages.shows(task_names, outcomes, measured)

# %% [markdown]
# ## Limits
#
# - Shares of soluble proteins differ between training, validation and test (`data/README.md` has them): a learner that is
#   chosen on validation is not chosen for the test.
# - Solubility was read off whether a target of structural genomics went on in its pipeline: labels are noisy.
# - A small part of the number of training proteins that the published heads read.
