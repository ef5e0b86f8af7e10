# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Remote homology
#
# Which fold has a domain whose superfamily was not in training?
# That is the question which sequence comparison answers least well, and where a model must know more than likeness.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/task_remote_homology.parquet`, `data/published/ankh_results.csv`.
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

task_names = ["remote_homology"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# TAPE's split of SCOP {cite:p}`rao2019evaluating`: test domains share the fold, and no superfamily, with training domains.
# The sample keeps the common folds, which makes the task easier than the published one.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of folds by learner"}}
lines = task_pages.rows(measured)
show.figure(
    figures.forest(lines, axis="share of domains right"),
    lines,
    "20_accuracy",
    profile=profile,
    caption="Share of the test domains whose fold is predicted. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# ## Found by likeness?
#
# Is a fold found because the model knows it, or because training has a domain that looks like this one?
# Likeness is the cosine of the counts of 3-mers to the most similar training domain.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of test domains by how similar the nearest training domain is"}}
likeness = task_pages.likeness(tasks.examples("remote_homology"))
own = outcomes[outcomes["learner"].isin(["linear", "neighbour"]) & (outcomes["seed"] == 0)]
own = own[(own["learner"] == "linear") | (own["model"] == names[0])]
by_likeness = task_pages.by_group(own, likeness)
show.figure(
    figures.by_bin(
        by_likeness, axis="share of domains right", across="cosine of 3-mers to the nearest training domain"
    ),
    by_likeness,
    "20_likeness",
    profile=profile,
    caption="Share of the test domains whose fold is predicted, by likeness to the nearest training domain, in thirds; the "
    "linear probe on the embeddings of "
    + ", ".join(f"`{name}` ({task_pages.short(name)})" for name in names)
    + ", and the nearest domain by 3-mers. Wilson's 95 % intervals.",
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
# - A few dozen folds instead of 1,195: a guess is right more often.
# - SCOP's domains come from the PDB, and the bundled models may have read them, without labels.
