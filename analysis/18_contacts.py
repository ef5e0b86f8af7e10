# ---
# jupyter:
#   make:
#     after: [16_tasks]
# ---

# %% [markdown]
# # Contacts
#
# Which residues far apart in the chain touch in the fold?
# Ankh's page asks in two ways: of a head on embeddings, and of attention maps with a regression.
# Both are run here on the same structures, beside two opponents that see no model.
#
# **Inputs.** The answers that [the chapter on the tasks](16_tasks.ipynb) left, `data/kept_structures.parquet`, `data/task_contacts.parquet`, `data/published/ankh_results.csv`.
#
# **Outputs.** The table behind each figure.
#
# **Runtime.** Seconds; what was learnt is read.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are shown

# %%
import numpy as np
import pandas as pd

from plmbook import models, tasks
from plmbook.book import figures, show, task_pages

task_names = ["contacts", "contacts_attention"]
names = models.expand(model_names)
outcomes, measured = task_pages.load(names, task_names, profile)

# %% [markdown]
# ## The examples
#
# Contacts are learnt from structures kept aside from pretraining; CASP14 and CASP13 are the tests.
# Of the tests only C-alpha atoms are known: two residues touch where these are within 8 Å.
# P@L is the share of contacts among the best L pairs at least 24 residues apart, L the residues with coordinates.
# ProteinNet {cite:p}`alquraishi2019proteinnet` is not bundled; `plmbook.sources.proteinnet` reads its files.

# %% tags=["hide-input"]
task_pages.show_examples(task_names)

# %% [markdown]
# ## Heads, probes and baselines
#
# Whiskers are 95 % intervals from resampling the test proteins; of trained heads the mean over seeds is shown.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Long-range precision by learner on CASP13 and CASP14"}}
lines = task_pages.rows(measured.drop_duplicates(["model", "test", "learner"]))
show.figure(
    figures.forest(lines, axis="share of contacts", columns=2),
    lines,
    "18_precision",
    profile=profile,
    caption="Long-range contacts among the best L and L / 5 pairs, mean over the proteins. "
    + ", ".join(f"{task_pages.short(name)}: `{name}`" for name in names)
    + ". Grey: baselines that see no model.",
)

# %% tags=["hide-input"]
task_pages.show_seeds(measured)

# %% [markdown]
# Random pairs would reach the share of contacts among all long-range pairs:

# %% tags=["hide-input"]
known = tasks.examples("contacts")
random_pairs = pd.DataFrame(
    [
        (known.table["test"].iloc[n], tasks.long_range_precision(known.labels[n], np.zeros((len(sequence),) * 2)))
        for n in known.of("test")
        for sequence in [known.table["sequence"].iloc[n]]
    ],
    columns=["test", "share"],
)
show.table(random_pairs.groupby("test")["share"].mean().reset_index(), caption="Mean over the proteins")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Long-range precision of each protein by attention against separation alone, a panel a model"}}
part = outcomes[(outcomes["task"] == "contacts_attention") & outcomes["test"].str.endswith(", L")]
wide = part.pivot(index=["model", "test", "id"], columns="learner", values="predicted").reset_index()
wide["panel"] = wide["model"].map(task_pages.short)
show.figure(
    figures.against(wide, x="separation", y="attention", x_axis="P@L of separation alone", axis="P@L from attention"),
    wide,
    "18_proteins",
    profile=profile,
    caption="P@L of each protein of CASP13 and CASP14 from attention maps of "
    + ", ".join(f"`{name}` ({task_pages.short(name)})" for name in names)
    + " against pairs ranked by their separation. Dotted: equal.",
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
# ## A feature that cancels
#
# The published head reads of a pair the product of its two states and their difference, and averages its answer with
# that of the swapped pair.
# The difference changes its sign when the pair is swapped: whatever its weights, its share of the average is nothing.
# Half of the head's last matrix is never used; `plmbook.tasks.heads.Pairs` keeps the numbers and does not compute with them,
# and a test holds it against the written-out features.

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
task_pages.shows(task_names, outcomes, measured)

# %% [markdown]
# ## Limits
#
# - A few dozen training structures are far fewer than ProteinNet's. The regression on attention reads 20 of them, as that
#   of its authors did; the other learners read all.
# - C-alpha atoms within 8 Å are fewer pairs than C-beta atoms within 8 Å, which the training structures are judged by.
# - CASP proteins were held out of pretraining with their families; domains that they share with longer proteins were not
#   looked for. No structure was ever seen in pretraining.
# - Attention was measured otherwise in [the chapter on the embedded models](04_embedded_model.ipynb): with C-beta atoms,
#   on other structures, in both halves.
