# %% [markdown]
# # The models
#
# Of which protein language models does this book speak, how do they differ, and what may be compared with what?
# And what is the small model that ships with the book: how was it made, and has it learned anything that counting
# residues would not tell?
#
# **Inputs.** The model cards of `src/plmbook/models/cards.py` and `data/models`, `data/heldout.tsv`,
# `data/published/ankh_models.csv`, `data/published/rescue_models.csv`.
#
# **Outputs.** `results/<profile>/models.parquet`, `results/<profile>/perplexity.parquet`, and the table behind each
# figure.
#
# **Runtime.** Under a minute on two processor cores; no network.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded"]  # models that guess the held-out residues; the bundled one does in any case
n_resamples = 1000  # bootstrap resamples of the proteins
seed = 20220917  # of the bootstrap: the date of the ClinVar release, as in the other chapters

# %%
import json

import pandas as pd
from IPython.display import Markdown
from matplotlib import rc_context
from matplotlib.figure import Figure

from plmbook import metrics, models, paths, plots, results
from plmbook.models import cards
from plmbook.published import published

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
plots.show_table(sizes)

# %% [markdown]
# What a model was trained on and under which licence its weights may be used matter as much as its size.
# *Weights* says whether they lie on the machine that made this page; those of fair-esm and of the hub are fetched when
# they are first asked for.
# The families of this version that can be run are ESM-1b, ESM-1v and ESM-2; the others are described, so that the
# published tables can be read.


# %% tags=["hide-input"]
def origin(card: models.Card) -> str:
    """Where the weights come from, in a few words."""
    if card.bundled:
        return "this repository"
    return "fair-esm" if card.source.startswith("https://") else f"{card.source} (Hugging Face)"


def state(card: models.Card) -> str:
    """Whether the weights are on this machine."""
    if not card.runnable:
        return "not runnable yet"
    return "here" if cards.weights_path(card) else "to be fetched"


origins = pd.DataFrame(
    {
        "model": [card.name for card in every],
        "weights": [state(card) for card in every],
        "licence": [card.licence for card in every],
        "from": [origin(card) for card in every],
        "trained on": [card.training_data for card in every],
    }
)
plots.show_table(origins)

# %% tags=["hide-input"]
known = sizes.astype({"longest": "Int64"}).merge(origins, on="model", validate="one_to_one")
known["citation"] = [card.citation for card in every]
saved = results.save(known, "models", profile)
Markdown(f"The two tables are one file: `results/{profile}/models.parquet`.")

# %% [markdown]
# ## How large they are
#
# The sizes span four orders of magnitude, so the axis is logarithmic.


# %% tags=["hide-input"]
def draw_sizes(table: pd.DataFrame) -> Figure:
    """One line a model, largest on top; the colour is that of the model's kind in the whole book."""
    ordered = table.sort_values(["parameters", "model"], ascending=[True, False], ignore_index=True)
    with rc_context(plots.STYLE):
        figure = Figure(figsize=(plots.WIDTH, 0.8 + 0.21 * len(ordered)), layout="constrained")
        ax = figure.subplots()
        for place, row in ordered.iterrows():
            known_kind = row["family"] in ("esm2", "esm1v")
            mark = plots.kind(row["model"]) if known_kind else None
            style = {"color": plots.MODEL_COLOURS.get(mark, "#777777"), "marker": plots.MODEL_MARKS.get(mark, "v")}
            ax.hlines(place, 1e6, row["parameters"], color="#E3E3E3", linewidth=1, zorder=0)
            ax.plot(row["parameters"], place, markersize=6, **style)
        ax.set_yticks(range(len(ordered)), ordered["model"])
        ax.set(xscale="log", xlabel="parameters", xlim=(1e6, 5e10))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    return figure


# %% tags=["hide-input"] mystnb={"image": {"alt": "Parameters of each model on a logarithmic axis, from the embedded model to ESM-2 15B"}}
plots.show(
    draw_sizes(sizes),
    sizes,
    "01_sizes",
    profile=profile,
    caption="Parameters of each model: the embedded model (diamond), ESM-2 (circles), ESM-1v (squares), others (grey).",
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
plots.show_table(study, caption="Pretrained models of the rescue-mutation study")

# %% tags=["hide-input"]
ankh = published("ankh_models")[["model", "loader", "hub_id"]]
ankh = ankh.rename(columns={"loader": "loaded with", "hub_id": "hub name"})
ankh_cards = [models.card(name) for name in published("ankh_models")["card"]]
ankh["parameters, encoder"] = [card.parameters for card in ankh_cards]
ankh["layers, encoder"] = [card.layers for card in ankh_cards]
plots.show_table(ankh, caption="Models that Ankh's page makes available")

# %% [markdown]
# ESM-2 comes in six sizes with one recipe, so differences among them are differences of size.
# The embedded model has the same architecture, a smaller size and a shorter training; it stands in the first line for
# comparison.

# %% tags=["hide-input"]
family = [card for card in every if card.family == "esm2"]
reference = models.card("esm2_t33_650M_UR50D").parameters
plots.show_table(
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
#   ProtT5 give embeddings only.
# - *The name.* A number of the embedded model says something about the embedded model. It is not ESM-2's.

# %% [markdown]
# ## The embedded model
#
# It was trained in this project with ESM-2's architecture {cite:p}`lin2023evolutionary` as a masked language model
# {cite:p}`devlin2019bert`, small enough for two processor cores.
# Its card holds what it is and how it came about.

# %% tags=["hide-input"]
bundled = models.card("embedded")
folder = paths.data() / "models"
facts = json.loads((folder / f"{bundled.name}.json").read_text(encoding="utf-8"))
config = facts["config"]
plots.show_table(
    pd.DataFrame(
        [
            ("name", facts["name"]),
            ("architecture", f"ESM-2: {facts['layers']} layers, width {facts['dim']}, {facts['heads']} heads"),
            ("parameters", f"{facts['parameters']:,}"),
            ("longest protein", f"{facts['max_length']:,} residues"),
            ("trained on", facts["training_data"]),
            ("tokens seen", f"{facts['tokens_seen']:,}"),
            ("steps", f"{facts['steps']:,} of about {config['tokens_per_step']:,} tokens"),
            ("residues in the loss", f"{config['mask_share']:.0%}"),
            ("training time", f"{facts['training_seconds'] / 60:.0f} minutes"),
            ("licence", facts["licence"]),
            ("sha256 of the weights", facts["sha256"]),
        ],
        columns=["embedded model", ""],
    )
)

# %% [markdown]
# The training set mixes two sources, and their shares of every step are fixed.
# `train.fasta` holds general proteins: near-duplicates removed, and without the families of the held-out proteins and
# of the proteins reserved for later tests.
# `orthologs.fasta` holds the vertebrate orthologs of the genes in this book.

# %% tags=["hide-input"]
shares = pd.DataFrame(config["sources"].items(), columns=["source", "share of the residues of a step"])
counts = {"train.fasta": "training", "orthologs.fasta": "orthologs"}  # names in the record of the corpus
corpus = facts.get("corpus", {})
residues = {"train.fasta": "training_residues", "orthologs.fasta": "ortholog_residues"}
shares["proteins"] = pd.Series([corpus.get(counts[source]) for source in shares["source"]], dtype=object)
shares["residues"] = pd.Series([corpus.get(residues[source]) for source in shares["source"]], dtype=object)
plots.show_table(shares, digits=2)

# %% [markdown]
# ## How it learned
#
# The loss is the mean of $-\ln p$ of the chosen residues.
# It is measured on the batches of the training and, at intervals, on some of the held-out proteins.
# Of the chosen residues a tenth is shown as it is and a tenth replaced, so this loss is no perplexity: the next section
# masks them all.

# %% tags=["hide-input"]
log = pd.read_csv(folder / f"{bundled.name}.log.tsv", sep="\t")
heldout = {}
for name in models.expand([*model_names, "embedded"]):
    heldout[name] = results.heldout_likelihood(models.load(name), profile=profile)


# %% tags=["hide-input"]
def draw_loss(table: pd.DataFrame) -> Figure:
    """Training and held-out loss against the tokens seen, in millions."""
    colour = plots.MODEL_COLOURS[plots.BUNDLED]
    measured = table.dropna(subset=["validation_loss"])
    with rc_context(plots.STYLE):
        figure = Figure(figsize=(plots.WIDTH, 3.2), layout="constrained")
        ax = figure.subplots()
        ax.plot(table["tokens"] / 1e6, table["loss"], color=colour, linewidth=0.8, alpha=0.5, label="training batches")
        held_out = {"color": colour, "marker": "D", "markersize": 3, "label": "held-out families"}
        ax.plot(measured["tokens"] / 1e6, measured["validation_loss"], **held_out)
        ax.set(xlabel="tokens seen (millions)", ylabel="loss (nats per residue)")
        ax.grid(axis="y")
        ax.legend()
    return figure


# %% tags=["hide-input"] mystnb={"image": {"alt": "Training and held-out loss of the embedded model falling with the tokens seen"}}
plots.show(
    draw_loss(log),
    log,
    "01_loss",
    profile=profile,
    caption=f"Loss of the embedded model, `{bundled.name}`, during its training. Most residues of the training batches "
    "come from the orthologs of 53 genes, which it reads again and again; the held-out families it never reads.",
)

# %% [markdown]
# ## Does it know more than residue frequencies?
#
# In each held-out protein 15 % of the residues are masked together, and the model guesses them.
# Perplexity ({eq}`eq-perplexity`) is the number of residues among which it hesitates, so to say: 20 is blind guessing,
# 1 is certainty.
# The residue-frequency model knows how common each residue is in the general proteins of the training set.
# The last column divides its perplexity by the model's, on the same residues; above 1 the model is better.
# Only for the embedded model are the families known to be absent from training.

# %% tags=["hide-input"]
options = {"n": n_resamples, "seed": seed}
rows = []
for name, table in heldout.items():
    gain = table.assign(gain=table["log_likelihood"] - table["frequency_log_likelihood"])
    model = metrics.perplexity(table, **options)
    frequency = metrics.perplexity(table, log_likelihood="frequency_log_likelihood", **options)
    inverse = metrics.perplexity(gain, log_likelihood="gain", **options)  # model / frequency
    better = int((gain["gain"] > 0).sum())
    counts = (len(table), int(table["n_masked"].sum()), better)
    ratio = (1 / inverse.value, 1 / inverse.high, 1 / inverse.low)
    rows.append((name, *model[:3], *frequency[:3], *ratio, *counts))
numbers = [f"{what}{end}" for what in ("perplexity", "frequency", "ratio") for end in ("", "_low", "_high")]
perplexity = pd.DataFrame(rows, columns=["model", *numbers, "n_proteins", "n_masked", "n_better"])


# %% tags=["hide-input"]
def with_interval(table: pd.DataFrame, name: str) -> list[str]:
    """A column of numbers with their intervals, as text."""
    ends = table[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
    return [plots.interval(*row, digits=2) for row in ends]


plots.show_table(
    pd.DataFrame(
        {
            "model": perplexity["model"],
            "perplexity": with_interval(perplexity, "perplexity"),
            "residue frequencies": with_interval(perplexity, "frequency"),
            "ratio": with_interval(perplexity, "ratio"),
            "proteins": perplexity["n_proteins"],
            "masked residues": perplexity["n_masked"],
            "proteins guessed better": perplexity["n_better"],
        }
    ),
    caption="Masked residues of held-out families; 95 % intervals from resampling proteins",
)
saved = results.save(perplexity, "perplexity", profile)

# %% [markdown]
# ## What the embedded model is not
#
# - It is not ESM-2. It shares the architecture; its size, its training set and the length of its training are others.
# - It is not independent of the alignment baseline: it was trained on sequences that the alignment counts.
# - It is not for clinical use.
#
# Its card says the same in its own words, and names what else it has read.

# %%
Markdown("\n".join(f"- {limit}" for limit in facts.get("limits", [])))

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
row = perplexity.set_index("model").loc[bundled.name]
say = {
    what: plots.interval(row[what], row[f"{what}_low"], row[f"{what}_high"], digits=2)
    for what in ("perplexity", "frequency", "ratio")
}
verdict = "better than" if row["ratio_low"] > 1 else "not shown to be better than"
n_proteins = int(row["n_proteins"])
noncommercial = [card.name for card in every if "NC" in card.licence]
counted_sizes = sizes["parameters"]
Markdown(f"""
- The book speaks of {len(every)} models of {counted_sizes.min() / 1e6:,.1f} to {counted_sizes.max() / 1e6:,.0f} million
  parameters; {sum(card.runnable for card in every)} of them can be run in this version.
- The licence of {len(noncommercial)} of them forbids commercial use: {", ".join(noncommercial)}.
- The embedded model, `{bundled.name}`, has {bundled.parameters:,} parameters,
  {reference / bundled.parameters:,.0f} times fewer than ESM-2 650M, and saw
  {facts["tokens_seen"] / 1e6:,.0f} million tokens in {facts["training_seconds"] / 60:,.0f} minutes by the clock.
- On {n_proteins:,} proteins of families absent from its training its perplexity is {say["perplexity"]},
  that of residue frequencies {say["frequency"]}.
- It is {verdict} residue frequencies there: the ratio of the two is {say["ratio"]}, and {int(row["n_better"]):,} of
  {n_proteins:,} proteins are guessed better.
""")

# %% [markdown]
# ## Limits
#
# - Held-out means: no relative that a sequence search finds at 30 % identity. Remoter relatives may be in the training
#   set, and a general model such as ESM-2 has most likely seen these proteins themselves.
# - The intervals take the held-out proteins as a sample of such families. They say nothing of another training run with
#   other random numbers: one was finished. Several shorter ones were stopped on the way: the heads were then chosen by
#   speed, the initial weights by the training loss on six genes (six settings, one seed), the shares of the sources by
#   judgement, and a start on short proteins was dropped, since the training loss fell no faster after it.
# - The length of the finished run was set while it ran, by the time that was left. It was stopped and continued several
#   times, beside other work on the same cores; its time is that of the clock, a pause of some minutes included.
# - The held-out curve is of some of the same proteins as the perplexity, and not of one set throughout: it was 100
#   proteins up to step 2,000 and 132 after that. Read its ends, not its small steps.
# - Perplexity is no measure of usefulness. How well a model tells pathogenic from benign variants is [another
#   question](02_variant_effects.ipynb).
# - The sizes of the T5 encoders are counted from their published configurations, that of `ankh3_xl` rounded; this
#   version does not run them.
# - *Trained on* repeats what the authors say. We have not seen their training sets.
