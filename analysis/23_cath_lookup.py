# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # CATH lookup
#
# Is the nearest domain in the space of embeddings of the same class, architecture, topology, superfamily?
# Nothing is trained: each query takes the place in CATH {cite:p}`sillitoe2021cath` of the lookup domain whose mean embedding
# is nearest to its own, by the cosine after each column is standardised and centred on the lookup domains.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/task_cath.parquet`, `data/published/ankh_results.csv`.
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

task_names = ["cath"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# The queries are ProtTucker's test219 {cite:p}`heinzinger2022contrastive`, the lookup set a part of CATH 4.3.
# At each level a query counts where the lookup set has its class at all.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; nothing is trained.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of the nearest domain at four levels of CATH by learner"}}
lines = task_pages.rows(measured)
show.figure(
    figures.forest(lines, axis="share of queries right", columns=2),
    lines,
    "23_levels",
    profile=profile,
    caption="Share of the queries whose nearest lookup domain is of the same class (C), architecture (A), topology (T), homologous superfamily (H). "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
counted = outcomes[(outcomes["learner"] == "embedding") & (outcomes["model"] == names[0])]
counted = counted.groupby("test", sort=False)["truth"].agg(queries="size", counted="sum").astype({"counted": "int64"})
show.table(
    counted.rename_axis("level").reset_index(),
    caption="Queries, and those whose class the lookup set has at each level",
)

# %% [markdown]
# ## Beside the published table
#
# The upper rows are Ankh's page {cite:p}`elnaggar2023ankh`; ours are at the bottom, of another sample and of models more
# than a hundred times smaller.
# Where one side has no such test the cell is empty.

# %% tags=["hide-input"]
task_pages.show_published(task_names, measured, digits=2)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
task_pages.shows(task_names, outcomes, measured)

# %% [markdown]
# ## Limits
#
# - The published lookup set is many times larger; in a smaller one the near relative is often not there. So only queries
#   whose class is there count, and the published table may have counted otherwise.
# - The search is exact: of a few thousand vectors that takes less than a second.
