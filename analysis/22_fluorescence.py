# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Fluorescence
#
# How bright is a variant of the green fluorescent protein with four and more mutations, for a learner that has seen up to
# three?
# Variants of one protein: what embeddings know of other proteins is of little help, and additive effects go far.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/task_fluorescence.parquet`, `data/published/ankh_results.csv`.
#
# **Outputs.** The table behind each figure.
#
# **Runtime.** Seconds; what was learnt is read.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are shown

# %%
from plmbook import models
from plmbook.book import figures, show, style, task_pages

task_names = ["fluorescence"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# The landscape of avGFP {cite:p}`sarkisyan2016local`, split as TAPE does {cite:p}`rao2019evaluating`.
# The label is the logarithm of the brightness; the measure is the rank correlation.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rank correlation with measured fluorescence by learner"}}
lines = task_pages.rows(measured)
show.figure(
    figures.forest(lines, axis="Spearman correlation"),
    lines,
    "22_correlation",
    profile=profile,
    caption="Rank correlation of predicted and measured brightness of variants with four and more mutations. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# ## Variant by variant

# %% tags=["hide-input"] mystnb={"image": {"alt": "Predicted against measured brightness of each test variant, by learner"}}
own = outcomes[outcomes["learner"].isin(["one-hot", "linear", "convbert"]) & (outcomes["seed"] == 0)]
own = own[(own["learner"] != "one-hot") | (own["model"] == names[0])].copy()
own["kind"] = [style.BASELINE if row.learner == "one-hot" else style.kind(row.model) for row in own.itertuples()]
own["panel"] = [
    row.learner if row.learner == "one-hot" else f"{row.learner}, {task_pages.short(row.model)}"
    for row in own.itertuples()
]
show.figure(
    figures.against(own, x="truth", y="predicted", x_axis="measured (log brightness)", axis="predicted"),
    own,
    "22_variants",
    profile=profile,
    caption="Predicted against measured logarithm of the brightness, a dot a variant, one seed; "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Dotted: equal.",
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
# - The measured values have two heaps, dark and bright: a correlation is mostly that of telling them apart.
# - The published rows are of the whole landscape, ours of a draw of it.
# - The family of avGFP was held out of the bundled models' pretraining, and no relative of it was found in what they read
#   (`data/README.md`).
