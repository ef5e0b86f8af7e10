# %% [markdown]
# # What is learned from which layer
#
# A protein language model hands on a vector for each residue and {term}`layer`; a classifier wants one vector a
# protein.
# Which layer should it take, how should the residues be pooled, and how many numbers does it need?
# Here every layer and three ways of pooling compete for the common {term}`GO` terms, by the plainest learner there is.
# Proteins, learner and the penalties on offer are the same for all; the validation part takes one of these for each
# feature and term, so that features differ in themselves and in the penalty that suits them.
#
# **Inputs**: `data/go_proteins.parquet`, `data/go_annotations.parquet`, `data/go_terms.tsv`; `go-embeddings`,
# `layer-regressions` and `layer-answers` of `data/derived`; the weights of the models.
# With `whole_proteomes` the sources `uniprot-go`, `goa` and `go` take the place of the GO tables and of `data/derived`.
#
# **Outputs**: `results/<profile>/layers_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: half a minute on one CPU core. What was learnt from each layer and what it says of the test
# proteins is shipped ({ref}`sec-derived`), and a sample computed afresh; all of it takes two minutes.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose layers are compared
whole_proteomes = False  # True: drawn from those of UniProt and GOA, not from the bundled sample; needs MMseqs2
column = "cafa5"  # collection of annotations; whole proteomes have one, "goa"
longest = 350  # residues of a protein at most: time is short
n_residues = 230000  # of all proteins that are read
fractions = [0.5, 0.15, 0.35]  # of the proteins for training, validation and test
strengths = [0.01, 0.1]  # inverse L2 penalties (scikit-learn's C): the validation part chooses, for each term and input
dims = [2, 4, 8, 16, 32, 64, 128]  # principal components that are kept, beside all
last = 4  # layers that are put one after another
steps = 6  # layers of a model in the figure of differences, at equal distances in its depth
n_resamples = 200  # of the bootstrap over clusters
seed = 20220917  # of the sample, the split and the resamples: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models
from plmbook.book import figures, show
from plmbook.core import artifacts
from plmbook.function import classifier, layers, proteomes, splits, studies, trainings
from plmbook.probing import neighbours

source = proteomes.load(column, whole=whole_proteomes)
everything = source.proteins
names = models.expand(model_names)  # of an ensemble, every member by itself
short = {models.card(name).name: text for name, text in (("embedded", "default"), ("embedded_general", "general"))}

# %% [markdown]
# ## Proteins and terms
#
# A sample of whole clusters of relatives, split so that no test protein has a relative in training.

# %% tags=["hide-input"]
options = {"longest": longest, "n_residues": n_residues, "fractions": fractions}
dataset = layers.dataset(source, seed=seed, **options)
proteins, labels, split = dataset
clusters = proteins["cluster"]
assert splits.leakage(split, proteins)["share"] == 0
parts = split.value_counts()
with_term = labels[(split == "test").to_numpy()].sum()
Markdown(
    f"{len(proteins):,} of {len(everything):,} proteins with {proteins['length'].sum():,} residues in "
    f"{clusters.nunique()} clusters: {parts['train']} to learn from, {parts['validation']} for the penalty and the thresholds, "
    f"{parts['test']} to test. The terms are the {labels.shape[1]} commonest; each is on {with_term.min()} to "
    f"{with_term.max()} test proteins."
)

# %% [markdown]
# ## Reading every layer at once
#
# Layer 0 is what goes into the first block: a vector for each kind of amino acid, without a neighbour.
# Its mean is the amino-acid composition in other coordinates; ESM-1v adds a vector for each place in the chain there,
# which tells the length as well.
# *mean* and *max* run over the residues; *bos* is the vector of the token before the first residue ({term}`BOS`), at
# layer 0 the same for every protein, so that nothing can be learnt from it.

# %% tags=["hide-input"]
settings = studies.LayerSettings(strengths=strengths, dims=dims, last=last, **options)
answers, widths, depth = {}, {}, {}
for name in names:
    model = models.load(name, dtype="float32")
    depth[name] = model.card.layers
    table = studies.layer_answers(model, seed=seed, settings=settings, collection=source, profile=profile)
    answers[name] = {}
    for feature, part in table.groupby("feature", sort=False):
        limits, values = (part["id"] == trainings.THRESHOLD).to_numpy(), trainings.probability(part[list(labels)])
        answers[name][feature] = (values[~limits], values[limits][0])
        widths[name, feature] = model.card.dim * (last if feature.startswith("mean, last") else 1)
    del model
reference = {name: f"mean {n_layers}" for name, n_layers in depth.items()}  # the last layer of each
truth, tested = labels[dataset.tested], clusters[dataset.tested]
composition = neighbours.composition(proteins["sequence"].tolist())
made = classifier.fit("logistic", composition, labels, split, seed=seed, strengths=tuple(strengths))
composition = made.predict(composition[dataset.tested]), made.thresholds


def compared(given, name, reference):
    """How far each feature of a model is from one of them."""
    known = {feature: widths.get((name, feature), 20) for feature in given}  # 20: the shares of the amino acids
    drawing = {"reference": reference, "clusters": tested, "n": n_resamples, "seed": seed}
    return layers.compare(given, truth, known, **drawing).assign(model=name)


# %% [markdown]
# ## Layers and pooling
#
# Logistic regression on standardised features; of the penalties the validation part chooses.
# The measure is the mean over the terms of {term}`AUPRC`, which needs no threshold; F1 stands in the saved table.

# %% tags=["hide-input"]
swept = []
for name, own in answers.items():
    given = {feature: answer for feature, answer in own.items() if not feature.startswith("components")}
    swept.append(compared(given | {"composition": composition}, name, reference[name]))
swept = pd.concat(swept, ignore_index=True)
swept[["pool", "layer"]] = swept["name"].str.extract(r"^(\w+) (\d+)$").to_numpy()
reached = swept[swept["name"] == "composition"]["auprc"].iloc[0]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean AUPRC over the terms against the layer, a line each for mean, maximum and BOS pooling, a panel a model, amino-acid composition dotted"}}
of_each = [models.expand([entry])[0] for entry in model_names]  # of an ensemble one member, so that a panel has room
drawn = swept[swept["model"].isin(of_each)].dropna(subset=["layer"]).astype({"layer": int})
drawn = drawn.assign(name=drawn["model"].map(lambda name: short.get(name, name)), value=drawn["auprc"])
drawn = drawn[["model", "name", "pool", "layer", "value"]]
figure = figures.by_layer(drawn, axis="mean AUPRC", reference=reached)
deepest = max(depth[name] for name in of_each)
figure.axes[0].set_xticks(range(0, deepest + 1, -(-deepest // 10)))  # of all panels, which share the axis
caption = (
    f"What logistic regression reaches from each layer of {show.models_named({n: short.get(n, n) for n in of_each})}; "
    "split by homology. Dotted: from the amino-acid composition. The next figure has the intervals."
)
show.figure(figure, drawn, "14_layers", profile=profile, caption=caption)

# %% [markdown]
# Each feature is compared with the mean of the last layer of its model, and each comparison is paired: the same
# proteins, resampled together.
# Of a deep model the figure shows some layers, at equal distances; the saved table of the sweep has them all.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Difference in mean AUPRC from the mean of the last layer, a line a layer or pooling with its interval, a panel a model"}}
apart, alike = [], len(set(depth.values())) == 1
for name, n_layers in depth.items():
    rows = {}  # what the figure calls a feature -> the feature
    for step in range(steps):
        layer = round(step * n_layers / steps)
        rows[f"layer {layer}, mean" if alike else f"{step}/{steps} of the layers, mean"] = f"mean {layer}"
    rows |= {f"last {last} layers, mean": f"mean, last {last}", "last layer, max": f"max {n_layers}"}
    rows |= {"last layer, bos": f"bos {n_layers}", "composition": "composition"}
    own = swept[swept["model"] == name].set_index("name")
    apart.append(own.loc[list(rows.values())].assign(name=list(rows)))
apart = pd.concat(apart, ignore_index=True)
apart = apart.rename(columns={"auprc_difference": "value", "auprc_low": "low", "auprc_high": "high"})
apart = apart.assign(panel=apart["model"].map(lambda name: short.get(name, name)))
apart = apart[["model", "panel", "name", "value", "low", "high"]]
figure = figures.forest(apart, panel="panel", axis="mean AUPRC less that of the last layer", reference=0.0, columns=2)
caption = (
    f"The same for {' and '.join(f'{name} ({n_layers} layers)' for name, n_layers in depth.items())}, less what the "
    "mean of the last layer reaches. "
    "Whiskers: 95 % paired bootstrap over clusters of test proteins."
)
show.figure(figure, apart, "14_differences", profile=profile, caption=caption)

# %% tags=["hide-input"]
best = swept[swept["pool"].notna()].sort_values("auprc", ascending=False).groupby("model", sort=False).head(3)
best = best.sort_values("model", kind="stable")
table = pd.DataFrame({"model": best["model"], "layer, pooling": best["layer"] + ", " + best["pool"]})
for metric, title in (("auprc", "AUPRC"), ("f1", "F1")):
    differences = best[[f"{metric}_difference", f"{metric}_low", f"{metric}_high"]].to_numpy()
    table[f"mean {title}"] = best[metric]
    table[f"{title} less last layer's"] = [show.interval(*row, sign=True) for row in differences]
table.loc[best["name"] == best["model"].map(reference), [name for name in table if "less" in name]] = "(this is it)"
show.table(table, caption="The three best of each model, chosen on the test proteins, which flatters them")

# %% [markdown]
# ## How many numbers
#
# The vector of the last layer, with only its first principal components kept, beside all of it.
# The components are those of the training proteins, whose labels they do not know.

# %% tags=["hide-input"]
sized = []
for name, own in answers.items():
    given = {feature: answer for feature, answer in own.items() if feature.startswith("components")}
    all_kept = max(given, key=lambda feature: int(feature.removeprefix("components ")))
    sized.append(compared(given, name, all_kept))
sized = pd.concat(sized, ignore_index=True)
sized["name"] = sized["name"].str.removeprefix("components ")
sized["dims"] = sized["name"].astype(int)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean F1 and mean AUPRC, less those of the whole vector, against the number of principal components kept, a line a model"}}
halves = []
for metric, title in (("f1", "mean F1"), ("auprc", "mean AUPRC")):
    columns = {f"{metric}_{end}": text for end, text in (("difference", "value"), ("low", "low"), ("high", "high"))}
    halves.append(sized[["model", "dims", *columns]].rename(columns=columns).assign(panel=title))
curve = pd.concat(halves, ignore_index=True)
figure = figures.by_size(curve, across="dims", x_axis="components kept", axis="less the whole vector's")
caption = (
    f"What is lost with the last components of the last layer's mean: {' and '.join(names)}. "
    "Whiskers: 95 % paired bootstrap over clusters of test proteins."
)
show.figure(figure, curve, "14_size", profile=profile, caption=caption)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
expected = {name: len(layers.POOLS) * (n_layers + 1) + 2 for name, n_layers in depth.items()}
assert swept.groupby("model")["name"].nunique().to_dict() == expected  # layers from 0 up, the last ones, composition
# A vector that is the same for all proteins cannot be better than the share of the term.
nothing = swept.loc[swept["name"] == "bos 0", "auprc"]
assert np.allclose(nothing, with_term.mean() / parts["test"])
for part, saved in {"sweep": swept, "size": sized}.items():
    artifacts.save(saved, f"layers_{part}", profile)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
lines = []
for name, n_layers in depth.items():
    own = swept[swept["model"] == name].set_index("name")

    def said(row, what, *, of=own):
        """How far one feature is from the last layer's mean."""
        return show.ahead(what, "the last layer", *of.loc[row, ["auprc_difference", "auprc_low", "auprc_high"]])

    inner = [f"mean {layer}" for layer in range(1, n_layers)]
    ahead = [row for row in inner if own.loc[row, "auprc_low"] > 0]
    behind = [row for row in inner if own.loc[row, "auprc_high"] < 0]
    top = max(inner, key=lambda row: own.loc[row, "auprc"])
    lines.append(
        f"**{name}**, means over residues: of {len(inner)} inner layers {len(ahead)} are ahead of the last one outside the "
        f"interval, {len(behind)} behind, and for {len(inner) - len(ahead) - len(behind)} no difference can be told. "
        f"The best of them: {said(top, top.replace('mean', 'layer'))} in mean AUPRC."
    )
    lines.append(
        f"{name}: {said(f'mean, last {last}', f'the last {last} layers together')}; "
        f"{said(f'max {n_layers}', 'its maximum')}; {said(f'bos {n_layers}', 'its BOS token')}; "
        f"{said('composition', 'composition')}."
    )
    own_size = sized[sized["model"] == name].set_index("dims")
    clear = [k for k in dims if own_size.loc[k, "auprc_high"] < 0]
    lost = own_size.loc[dims[0], ["f1_difference", "f1_low", "f1_high"]]
    lines.append(
        f"{name}: {dims[0]} components instead of {own_size.index.max()} change the mean F1 by "
        f"{show.interval(*lost, sign=True)}. The mean AUPRC falls outside the interval with "
        f"{', '.join(map(str, clear)) or 'none of the sizes tried'}."
    )
Markdown("\n".join(f"- {line}" for line in lines))

# %% [markdown]
# ## What would change this
#
# If the last layer were what the training made best for its own task, guessing masked residues, an inner layer should be
# ahead of it for other tasks, in larger models as well; were the difference gone with more proteins, it would have spoken of this sample only.
# Where composition and the last layer cannot be told apart, more test proteins would decide.
#
# ## Limits
#
# - A sample of short proteins, so that the chapter stays within its time: the intervals are wide. The other profiles
#   draw about twice as many, from whole proteomes, which is still a sample.
# - The interval speaks of other test proteins, not of another training set or another training of the model.
# - The penalties on offer are those of two earlier runs, whose results were seen.
# - Of many comparisons some lie outside their interval by chance; the best ones were chosen on the test proteins.
# - Several layers one after another have as many times the numbers to fit.
# - In the `embedded` profile the models are small and have few layers: what is said of one of these says nothing about
#   a layer of ESM-2 650M.
