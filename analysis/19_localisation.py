# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Localisation
#
# Where in the cell does a protein work?
# Ten compartments, of which four hold most proteins; the signals are short and often at an end of the chain.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/localisation.parquet`, `data/published/ankh_results.csv`.
#
# **Outputs.** The table behind each figure.
#
# **Runtime.** Seconds; what was learnt is read.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are shown

# %%
from plmbook import models, tasks
from plmbook.book import figures, show, task_pages

task_names = ["localisation"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# A draw of DeepLoc 1.0 {cite:p}`almagro2017deeploc` with proteins up to a length that two cores train in minutes; a
# part of its training proteins is set aside for validation.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of localisation by learner"}}
lines = task_pages.rows(measured)
show.figure(
    figures.forest(lines, axis="share of proteins right"),
    lines,
    "19_accuracy",
    profile=profile,
    caption="Share of the test proteins whose compartment is predicted. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# ## Which compartments?
#
# Accuracy is mostly that of the large classes. Of each compartment, how many of its proteins are found?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall of each compartment by the ConvBERT head, a panel a model"}}
classes = tasks.examples("localisation").classes
own = outcomes[(outcomes["learner"] == "convbert") & (outcomes["seed"] == 0)]
recall = task_pages.recall(own, classes)
show.figure(
    figures.forest(recall, rows="class", panel="panel", axis="share found"),
    recall,
    "19_classes",
    profile=profile,
    caption="Recall of each compartment by the ConvBERT head, one seed, on the embeddings of "
    + ", ".join(f"`{name}` ({task_pages.short(name)})" for name in names)
    + "; Wilson's 95 % intervals. The number of test proteins is in brackets.",
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
# - Proteins longer than the limit of the sample are left out; membrane proteins among them are many.
# - DeepLoc's own split is by homology at 30 % identity; our draw keeps its sides.
# - The bundled models may have read these sequences, without labels, in pretraining.
