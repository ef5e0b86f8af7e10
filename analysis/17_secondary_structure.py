# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Secondary structure
#
# Is a residue in a helix, in a strand or elsewhere, and which of DSSP's eight states {cite:p}`kabsch1983dictionary` has it?
# Windows of residues have answered that since the 1970s {cite:p}`garnier1978analysis`; what do embeddings add, and what
# does a head of attention and convolution add to them?
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/task_secondary_structure.parquet`, `data/secondary_structure.parquet`, `data/published/ankh_results.csv`.
#
# **Outputs.** The table behind each figure.
#
# **Runtime.** Seconds; what was learnt is read.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are shown

# %%
import pandas as pd

from plmbook import models
from plmbook.book import figures, show, task_pages

task_names = ["secondary_structure_3", "secondary_structure_8"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# Training chains are a draw of CB6133 {cite:p}`zhou2014deep` without a relative in the tests.
# The tests are CASP12, CASP14 and those chains of CB513 {cite:p}`cuff1999cb513` of which no bundled model has read a
# relative.
# TS115 and NetSurfP-2.0's whole training set are not bundled; `plmbook task secondary_structure_3 --data hub` reads them.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy of residues by learner on three test sets, for 3 and 8 states"}}
lines = pd.concat(
    [task_pages.rows(measured[measured["task"] == f"secondary_structure_{n}"]).assign(states=n) for n in (3, 8)],
    ignore_index=True,
)
lines["statistic"] += ", Q" + lines["states"].astype(str)
show.figure(
    figures.forest(lines, axis="share of residues right", columns=2),
    lines,
    "17_accuracy",
    profile=profile,
    caption="Share of the residues whose state is predicted, by test set; Q3 is 3 states, Q8 is 8. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# ## Protein by protein
#
# Is the gain over the window spread over the chains, or does it come from a few?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Q3 of each CB513 chain by the ConvBERT head against that of a window, a panel a model"}}
part = outcomes[(outcomes["task"] == "secondary_structure_3") & (outcomes["test"] == "CB513") & (outcomes["seed"] == 0)]
part = part.assign(q3=part["predicted"] / part["truth"])
wide = part.pivot(index=["model", "id"], columns="learner", values="q3").reset_index()
wide["panel"] = wide["model"].map(task_pages.short)
show.figure(
    figures.against(wide, x="window", y="convbert", x_axis="Q3 of the window", axis="Q3 of the ConvBERT head"),
    wide,
    "17_proteins",
    profile=profile,
    caption="Q3 of each chain of CB513: the ConvBERT head on the embeddings of "
    + ", ".join(f"`{name}` ({task_pages.short(name)})" for name in names)
    + " against a linear learner on a window of residues. Dotted: equal.",
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
# - CASP12 and CASP14 have 20 and 18 chains: an interval over so few proteins is wide, in the published table too, which
#   shows none.
# - The training chains are a small part of what the published heads read, so a gap to the published rows is of data as
#   well as of models.
# - Training labels come from CB6133, those of CB513 from NetSurfP-2.0's files, those of CASP12 and CASP14 from a
#   collection of benchmarks: DSSP's versions may differ. In CASP14 the rare state I counts as other, in training as helix.
# - CASP and CB513 proteins were held out of pretraining with their families, but for domains that they share with longer
#   proteins, which were looked for in CB513 alone.
