# %% [markdown]
# # An atlas of embeddings
#
# A language model turns each protein into a vector.
# The ESM2-15B embeddings study made such vectors of the human and mouse proteomes and read Gene Ontology terms off them.
# Before anything is learnt from the vectors: what lies near what?
# Is the nearest protein a relative, does it work in the same place of the cell, and is the nearest mouse protein of a
# human one its {term}`ortholog`?
# Each answer stands beside what the sequence gives without a model.
#
# **Inputs**: `data/go_proteins.parquet`, `data/go_annotations.parquet`, `data/go_terms.tsv`, `data/go_relations.tsv`,
# `data/localisation.parquet`; the shipped embeddings of `data/derived`, and the weights of the models.
# With `whole_proteomes` the sources `uniprot-go`, `goa` and `go` take the place of the GO tables and of `data/derived`.
#
# **Outputs**: `results/<profile>/embedding_*.parquet`, and the table behind each figure in `figures/`.
# [The map of proteins](../embedding_map) shows the same points with a name each.
#
# **Runtime and hardware**: about a minute of one CPU core; a sample of the shipped embeddings is computed afresh. The
# places on the UMAP are shipped as well ({ref}`sec-derived`).

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # the first one is drawn, all are measured
whole_proteomes = False  # True: those of UniProt and GOA instead of the bundled sample; needs MMseqs2
column = "cafa5"  # collection of GO annotations; whole proteomes have one, "goa"
k = 10  # nearest neighbours
n_families = 10  # clusters that have a colour
n = 400  # resamples of the clusters
seed = 20220917  # of these and of UMAP: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.function import proteome_map, proteomes, splits, studies
from plmbook.stats import bootstrap

source = proteomes.load(column, whole=whole_proteomes)
proteins, terms, annotations = source.proteins, source.terms.set_index("go_id"), source.annotations
vectors = {}
for name in models.expand(model_names):
    model = models.load(name, dtype="float32")
    vectors[model.name] = studies.go_embeddings(model, collection=source, profile=profile).drop(columns="id").to_numpy()
first = next(iter(vectors))
short = {models.card(name).name: text for name, text in (("embedded", "default"), ("embedded_general", "general"))}
pairs_of_species = splits.species_pairs(proteins)
species = list(dict.fromkeys(name for pair in pairs_of_species for name in pair))

# %% [markdown]
# ## Which proteins, and what is known of them
#
# *Where a protein works* is read off its GO terms of cellular component: a protein gets the name of a compartment if its
# terms lie in that one alone.
# The names are those of DeepLoc, whose curated labels are an independent check.
# *Families* are the clusters of the table: relatives by sequence, orthologs, and bearers of one gene symbol.
# The largest have a colour and a name: the stem that most of their gene symbols share.

# %% tags=["hide-input"]
place, every = proteome_map.compartments(annotations, proteins["id"], source.ontology.ancestors())
family = proteome_map.families(proteins, annotations, terms["name"].to_dict(), n=n_families)
proteins = proteins.assign(
    compartment=place.to_numpy(),
    family=proteins["cluster"].map(family.set_index("cluster")["family"]).fillna(proteome_map.OTHER),
)
deeploc = tables.load("localisation")
by_sequence = dict(zip(deeploc["sequence"], deeploc["localisation"], strict=True))
curated = proteins["id"].map(deeploc.set_index("id")["localisation"]).fillna(proteins["sequence"].map(by_sequence))
placed = proteins["compartment"].isin(proteome_map.COMPARTMENTS)
both = placed & curated.notna()
agree = (proteins["compartment"] == curated)[both].mean()
clusters = proteins["cluster"]
alone = clusters.map(clusters.value_counts()) == 1
counts = ", ".join(f"{number:,} {name}" for name, number in proteins["species"].value_counts().items())
Markdown(
    f"{len(proteins):,} proteins ({counts}) of at most {proteins['length'].max()} residues. "
    f"{placed.sum():,} have one compartment, {(proteins['compartment'] == proteome_map.SEVERAL).sum():,} several, "
    f"{(proteins['compartment'] == proteome_map.UNKNOWN).sum():,} none that is known. "
    f"Of DeepLoc's {len(deeploc):,} labelled proteins {curated.notna().sum()} are in this table, by accession or by "
    f"sequence, too few for a map; {both.sum()} of these have one compartment by GO, which is DeepLoc's in {agree:.0%}. "
    f"{alone.sum():,} proteins have no relative in the table."
)

# %% tags=["hide-input"]
shown = family[["family", "cluster", "size", "term", "share"]].rename(
    columns={"family": "stem of the symbols", "size": "proteins", "share": "of them have it"}
)
show.table(shown, caption="The largest clusters, and the GO term that tells each apart best", digits=2)
artifacts.save(family, "embedding_families", profile)

# %% [markdown]
# ## Principal components
#
# The components are the directions in which the vectors differ most.
# What they go with can be asked of two things that every sequence has: its length and its share of each amino acid.

# %% tags=["hide-input"]
pca = proteome_map.components(vectors[first], n=10)
goes_with = proteome_map.property_correlations(pca.scores[:, :5], proteins["sequence"].tolist())
rows = []
for number, part in goes_with.groupby("component"):
    strongest = part.reindex(part["spearman"].abs().sort_values(ascending=False).index).head(4)
    texts = ", ".join(f"{row.property} {row.spearman:+.2f}" for row in strongest.itertuples())
    length = part.set_index("property").loc["length", "spearman"]
    rows.append((number, pca.shares[number - 1], texts, length, part["r_squared"].iat[0]))
columns = ["component", "share of variance", "goes with (rank correlation)", "with length", "R² of both"]
goes = pd.DataFrame(rows, columns=columns)
artifacts.save(goes_with, "embedding_components", profile)
show.table(goes, caption=f"{first}: the first components; R² of a linear fit on length and amino acids", digits=2)

# %% tags=["hide-input"]
total = {}
for name, each in vectors.items():
    spread = each - each.mean(axis=0)
    lengths, shares = np.log(proteins["length"].to_numpy()), proteome_map.neighbours.composition(proteins["sequence"])
    fitted = proteome_map.explained(np.column_stack([lengths, shares]), spread)
    total[name] = float((fitted * spread.var(axis=0)).sum() / spread.var(axis=0).sum())
Markdown(
    f"The first two components hold {pca.shares[:2].sum():.0%} of the variance, the first ten {pca.shares.sum():.0%}. "
    "Length and the shares of the amino acids together explain, by a linear fit, "
    + " and ".join(f"{value:.0%} of all variance of {name}" for name, value in total.items())
    + "."
)

# %% [markdown]
# ## Two maps
#
# The first two components are a projection.
# {term}`UMAP` instead looks for a plane in which neighbours stay together; it may pull apart what is near and push
# together what is far.

# %% tags=["hide-input"]
centred = proteome_map.embedding_space(vectors[first])
model = models.load(first, dtype="float32")
drawn = studies.protein_map(model, seed=seed, collection=source, embeddings=vectors[first], profile=profile)
layouts = {"PCA": pca.scores[:, :2], "UMAP": drawn[["x", "y"]].to_numpy()}
axes = {
    "PCA": [f"component {i + 1} ({pca.shares[i]:.0%} of variance)" for i in range(2)],
    "UMAP": ["no unit", "no unit"],
}
drawn = pd.concat(
    [
        proteins[["id", "species", "gene", "compartment", "family"]].assign(
            model=first, panel=name, x=layout[:, 0], y=layout[:, 1], x_axis=axes[name][0], y_axis=axes[name][1]
        )
        for name, layout in layouts.items()
    ],
    ignore_index=True,
)
faith = pd.DataFrame(
    [
        (
            name,
            proteome_map.neighbours_kept(centred, layout, k=k),
            proteome_map.distances_kept(centred, layout, seed=seed),
        )
        for name, layout in {**layouts, "ten components": pca.scores}.items()
    ],
    columns=["map", "neighbours kept", "distances, rank correlation"],
)
artifacts.save(faith, "embedding_maps", profile)
show.table(
    faith, caption=f"{first}: share of the {k} nearest proteins that a map keeps, and order of the distances", digits=2
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two maps of human and mouse proteins, by principal components and by UMAP, a dot a protein, coloured by species"}}
styles = style.group_styles(species, colours=style.SPECIES_COLOURS)
caption = f"Proteins by their embedding of {first}, coloured by species. A dot is a protein."
show.figure(figures.maps(drawn, by="species", styles=styles), drawn, "13_species", profile=profile, caption=caption)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same two maps coloured by compartment, proteins of several or of none that is known in grey"}}
styles = style.group_styles(list(proteome_map.COMPARTMENTS))
caption = (
    f"Proteins by their embedding of {first}, coloured by compartment (GO, proteins of one compartment alone; grey: "
    "several, or not known)."
)
figure = figures.maps(drawn, by="compartment", styles=styles, rest="several or not known")
show.figure(figure, drawn, "13_compartments", profile=profile, caption=caption)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same two maps with the largest families in a colour and a mark each, all other proteins in grey"}}
styles = style.group_styles(family["family"].tolist())
caption = f"Proteins by their embedding of {first}; the {len(family)} largest families have a colour and a mark."
figure = figures.maps(drawn, by="family", styles=styles, columns=4)
show.figure(figure, drawn, "13_families", profile=profile, caption=caption)

# %% tags=["hide-input"]
umap_kept, pca_kept = faith.set_index("map").loc[["UMAP", "PCA"], "neighbours kept"]
umap_far, pca_far = faith.set_index("map").loc[["UMAP", "PCA"], "distances, rank correlation"]
Markdown(
    f"Of the {k} nearest proteins of a protein, {umap_kept:.0%} are among its {k} nearest on the UMAP, and "
    f"{pca_kept:.0%} on the plane of two components (by chance {k / (len(proteins) - 1):.1%}). So "
    f"{1 - umap_kept:.0%} of the nearest points on the UMAP are not the nearest proteins. The order of the distances is "
    f"kept with a rank correlation of {umap_far:.2f} on the UMAP and {pca_far:.2f} on the components. A gap, an island or "
    "its place on such a map proves nothing; the numbers below are of the space itself."
)

# %% [markdown]
# ## Who the neighbours are
#
# For each protein the nearest others are taken by cosine (3-mers: counts, by cosine; composition: shares of the amino
# acids), and counted if they have its label.
# *Compartment, relatives out* leaves relatives out: a relative often works in the same place, and is found by any method.
# Dimensions of an embedding are unequal and go together; *whitened* vectors are turned to their principal components, and
# each of these counts the same.
# The same is done to the composition.
# *Chance* is what neighbours drawn at random would reach.

# %% tags=["hide-input"]
baselines = proteome_map.baseline_spaces(proteins["sequence"].tolist())
composition = baselines.pop("composition").vectors
forms = {(name, form): proteome_map.embedding_space(each, form)
         for name, each in {**vectors, "composition": composition}.items() for form in proteome_map.FORMS}  # fmt: skip
forms |= {(name, ""): space for name, space in baselines.items()}
drawn_forms = [(name, form) for name in vectors for form in ("centred", "whitened")] + [
    ("3-mers", ""), ("composition", "centred"), ("composition", "whitened"),
]  # fmt: skip


def name_of(space, form):
    return short.get(space, space) + (", whitened" if form == "whitened" else "")


def forest_of(table, panel):
    """The columns that a forest needs; colours are those of the models."""
    return table.assign(
        model=first,
        name=[name_of(row.space, row.form) for row in table.itertuples()],
        panel=panel,
        kind=[style.kind(name) if name in vectors else style.BASELINE for name in table["space"]],
    )


def part_of(space, rows):
    return proteome_map.Space(space.vectors[np.flatnonzero(rows)], space.metric)


questions = {  # label, who is asked, whether relatives count
    "family": ("cluster", ~alone, True),
    "compartment": ("compartment", placed, True),
    "compartment,\nrelatives out": ("compartment", placed, False),
    "species": ("species", np.ones(len(proteins), dtype=bool), True),
}
found, agreeing = [], {}
for question, (label, asked, with_kin) in questions.items():
    rows = proteins[asked]
    options = {"units": rows["cluster"], "n": n, "seed": seed}
    groups = None if with_kin else rows["cluster"]
    by_chance = proteome_map.chance_agreement(rows[label], groups)
    for name, form in drawn_forms:
        near = proteome_map.nearest(part_of(forms[name, form], asked), k=k, groups=groups)
        share = agreeing[question, name, form] = proteome_map.label_agreement(near, rows[label])
        estimate = bootstrap.ratio(share, **options)._asdict()
        found.append({"question": question, "space": name, "form": form, **estimate, "chance": by_chance})
neighbours = pd.DataFrame(found).rename(columns={"n": "proteins"})
artifacts.save(
    neighbours.assign(question=neighbours["question"].str.replace("\n", " ")), "embedding_neighbours", profile
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of the ten nearest proteins with the same label, a panel for family, compartment, compartment with relatives left out and species, a line for each model as it is and whitened, for 3-mers and for composition, with 95 % intervals and chance"}}
forest = forest_of(neighbours, neighbours["question"])
figure = figures.forest(
    forest,
    panel="panel",
    axis=f"share of the {k} nearest with the same label",
    reference=neighbours.groupby("question")["chance"].first().to_dict(),
    columns=2,
)
models_named = show.models_named({each: short.get(each, each) for each in vectors})
caption = (
    f"Neighbours with a protein's own label, by embeddings of {models_named}, by 3-mers and by composition. "
    "Whiskers: 95 % bootstrap over clusters. Dotted: chance. Families are small, so a share of 1 is out of reach there."
)
show.figure(figure, forest, "13_neighbours", profile=profile, caption=caption)

# %% tags=["hide-input"]
relatives_out = "compartment,\nrelatives out"
differences = []
for name, form in drawn_forms[: 2 * len(vectors)]:
    for baseline in (("3-mers", ""), ("composition", "centred"), ("composition", "whitened")):
        values = agreeing[relatives_out, name, form] - agreeing[relatives_out, *baseline]
        estimate = bootstrap.ratio(values, units=proteins["cluster"][placed], n=n, seed=seed)
        differences.append((name, form, name_of(*baseline), *estimate[:3]))
differences = pd.DataFrame(differences, columns=["model", "vectors", "less", "value", "low", "high"])
artifacts.save(differences, "embedding_compartments", profile)
show.table(
    differences,
    caption="Same compartment, relatives left out: share of the embedding less that of each baseline, paired",
)

# %% [markdown]
# ## From one species to the other
#
# Orthologs are reciprocal best hits of sequence search.
# For each human protein with an ortholog in the table, all mouse proteins are ranked by likeness, and back.
# *Recall at 1* is the share whose ortholog comes first; of proteins that are equally alike, each order counts the same.
# Most orthologs of human and mouse are nearly the same sequence, and they were found by sequence: 3-mers should find them
# almost always.
# The question is not whether an embedding beats that, but what a mean over residues adds or loses.

# %% tags=["hide-input"]
orthologs, hits = {}, []
sequences = proteins.set_index("id")["sequence"]
for one, other in pairs_of_species:
    pairs = proteome_map.ortholog_pairs(proteins, one, other)
    orthologs[one, other] = pairs.assign(identity=proteome_map.identities(pairs, sequences))
for pair, pairs in orthologs.items():
    for among in pair:
        (query,) = set(pair) - {among}
        for (name, form), space in forms.items():
            ranked = proteome_map.retrieve(space, proteins, pairs, among=among)
            ranked = ranked.assign(at_1=proteome_map.recall(ranked, 1), at_10=proteome_map.recall(ranked, 10))
            where = {"direction": f"{query} to {among}", "space": name, "form": form}
            hits.append(ranked.assign(identity=pairs["identity"], cluster=pairs["cluster"], **where))
hits = pd.concat(hits, ignore_index=True)
artifacts.save(hits, "embedding_retrieval", profile)
measured = []
for (direction, name, form), part in hits.groupby(["direction", "space", "form"], sort=False):
    for at in (1, 10):
        value = bootstrap.ratio(part[f"at_{at}"], units=part["cluster"], n=n, seed=seed)
        measured.append({"direction": direction, "space": name, "form": form, "k": at, **value._asdict()})
measured = pd.DataFrame(measured).rename(columns={"n": "pairs"})
artifacts.save(measured, "embedding_recall", profile)
identity = pd.concat(orthologs.values())["identity"]
sizes = proteins["species"].value_counts()
Markdown(
    " ".join(
        f"{len(pairs):,} pairs of {one} and {other}, searched among {sizes[other]:,} and {sizes[one]:,} proteins."
        for (one, other), pairs in orthologs.items()
    )
    + f" The sequences of a pair are identical at {identity.mean():.0%} of the shorter one's residues in the mean, half of "
    f"the pairs at more than {identity.median():.0%}; {(identity < 0.7).mean():.0%} at less than 70 %."
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall of orthologs at 1 and at 10 in both directions, a line for each model, for 3-mers, composition and length, with 95 % intervals"}}
kept = [(row.space, row.form) in [*drawn_forms, ("length", "")] for row in measured.itertuples()]
main = measured[kept].sort_values(["k", "direction"], kind="stable")
forest = forest_of(main, [f"{row.direction},\nat {row.k}" for row in main.itertuples()])
figure = figures.forest(forest, panel="panel", axis="recall of the ortholog", columns=2)
caption = (
    f"Orthologs found by embeddings of {models_named}, centred or whitened, and by sequence alone. "
    "Whiskers: 95 % bootstrap over the clusters of the pairs."
)
show.figure(figure, forest, "13_retrieval", profile=profile, caption=caption)

# %% tags=["hide-input"]
one, other = pairs_of_species[0]
compared = [*vectors, "composition"]
variants = measured[measured["space"].isin(compared) & (measured["direction"] == f"{one} to {other}")]
variants = variants.assign(text=[show.interval(*row) for row in variants[["value", "low", "high"]].to_numpy()])
variants = variants.pivot(index=["space", "form"], columns="k", values="text").reindex(
    [(name, form) for name in compared for form in proteome_map.FORMS]
)
variants = variants.rename(columns={1: "recall at 1", 10: "recall at 10"}).reset_index()
variants = variants.rename(columns={"space": "vectors of", "form": "are"})
show.table(variants, caption=f"{one} to {other}: what is done to the vectors first; 95 % intervals")

# %% [markdown]
# ### By how alike the pair is

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall at 1 by the identity of the pair of orthologs, for whitened vectors of each model, for 3-mers and for composition, with 95 % intervals"}}
edges = [0, 0.6, 0.7, 0.8, 0.9, 0.95, 1]
names = ["< 60 %", "60–70", "70–80", "80–90", "90–95", "> 95 %"]
binned = hits[hits["direction"] == f"{one} to {other}"]
binned = (
    binned.assign(bin=pd.cut(binned["identity"], edges, labels=names).astype(str))
    .set_index(["space", "form", "bin"])
    .sort_index()
)
marked = {"3-mers": style.ALIGNMENT, "composition": style.BASELINE}
rows = []
for name, form in [*((name, "whitened") for name in vectors), ("3-mers", ""), ("composition", "whitened")]:
    for text in names:
        part = binned.loc[(name, form, text)]
        value = bootstrap.ratio(part["at_1"], units=part["cluster"], n=n, seed=seed)
        kind = marked.get(name) or style.kind(name)
        rows.append({"model": first, "name": name_of(name, form), "kind": kind, "bin": text, **value._asdict()})
by_identity = pd.DataFrame(rows).rename(columns={"n": "pairs"})
artifacts.save(by_identity, "embedding_recall_by_identity", profile)
figure = figures.by_bin(by_identity, axis="recall at 1", across=f"identity of the pair ({one} to {other})")
per_bin = by_identity.drop_duplicates("bin")["pairs"]
caption = (
    f"Orthologs found first by whitened embeddings of {models_named}, by 3-mers and by whitened composition; pairs in each "
    f"bin: {', '.join(f'{number:,}' for number in per_bin)}. Whiskers: 95 % bootstrap over the clusters of the pairs."
)
show.figure(figure, by_identity, "13_identity", profile=profile, caption=caption)

# %% [markdown]
# ### What is lost, what is added

# %% tags=["hide-input"]
rows = []
by_kmers = hits[hits["space"] == "3-mers"].set_index(["direction", "query"])["at_1"]
for name, form in drawn_forms[: 2 * len(vectors)]:
    own = hits[(hits["space"] == name) & (hits["form"] == form)]
    for direction, part in own.groupby("direction", sort=False):
        part = part.set_index(["direction", "query"])
        theirs = by_kmers[part.index]
        difference = bootstrap.ratio(part["at_1"] - theirs, units=part["cluster"], n=n, seed=seed)
        row = {"vectors of": name_of(name, form), "direction": direction, **difference._asdict()}
        row["lost"] = int(((part["at_1"] == 0) & (theirs == 1)).sum())
        row["added"] = int(((part["at_1"] == 1) & (theirs == 0)).sum())
        rows.append(row | {"misses: a relative": part.loc[part["at_1"] == 0, "kin"].mean()})
against = pd.DataFrame(rows)
artifacts.save(against, "embedding_against_kmers", profile)
show.table(
    against.drop(columns="n"),
    caption=f"Embeddings of {models_named} less 3-mers, recall at 1; queries that only the one finds first; share of the "
    "embedding's misses where a relative stands first",
    digits=2,
)

# %% [markdown]
# ## Points for the map of proteins

# %% tags=["hide-input"]
points = proteins.drop(columns="sequence").assign(
    model=first, pca_1=layouts["PCA"][:, 0], pca_2=layouts["PCA"][:, 1],
    umap_1=layouts["UMAP"][:, 0], umap_2=layouts["UMAP"][:, 1],
)  # fmt: skip
artifacts.save(points, f"embedding_map.{first}", profile)
near = proteome_map.neighbour_table(forms[first, "centred"], proteins["id"], k=k)
artifacts.save(near, f"embedding_map_neighbours.{first}", profile)
assert len(near) == k * len(points) and np.isfinite(points[["pca_1", "pca_2", "umap_1", "umap_2"]]).all(axis=None)
assert neighbours[["value", "chance"]].stack().between(0, 1).all() and measured["value"].between(0, 1).all()
Markdown(f"{len(points):,} points and the {k} nearest proteins of each are written for the map.")

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
shares = neighbours.set_index(["question", "space", "form"])["value"]
recalls = measured.set_index(["direction", "space", "form", "k"])["value"]
ahead = f"{one} to {other}"
lines = [
    f"Length and composition alone explain, by a linear fit, {total[first]:.0%} of the variance of {first}: "
    + (
        "of what sets its vectors apart, more is what a protein is made of than all else together."
        if total[first] > 0.5
        else "most of what sets its vectors apart is something else, or no straight line."
    )
]
of_chance = neighbours.groupby("question")["chance"].first()
for name in vectors:
    plain, white = ("centred", "whitened")
    lines.append(
        f"Of the {k} nearest by {name}, {shares['family', name, plain]:.0%} are of the protein's family "
        f"({shares['family', name, white]:.0%} whitened; 3-mers {shares['family', '3-mers', '']:.0%}, composition "
        f"{shares['family', 'composition', plain]:.0%}, chance {of_chance['family']:.1%})."
    )
together = neighbours[neighbours["question"] == relatives_out].set_index(["space", "form"])["value"]
best_baseline = together.drop(list(vectors), level="space").idxmax()
for name in vectors:
    form = together[name].idxmax()
    row = differences.set_index(["model", "vectors", "less"]).loc[(name, form, name_of(*best_baseline))]
    said = show.ahead(f"{name} ({form})", name_of(*best_baseline), row["value"], row["low"], row["high"])
    lines.append(
        f"With relatives left out, {said}, the best baseline, in the share of neighbours of the same compartment "
        f"({together[name, form]:.3f}; chance {of_chance[relatives_out]:.3f})."
    )
lines.append(
    f"Neighbours are of the same species in {shares['species', first, 'centred']:.0%}, by chance in "
    f"{of_chance['species']:.0%}, by 3-mers in {shares['species', '3-mers', '']:.0%}."
)
for name in vectors:
    best = max(proteome_map.FORMS, key=lambda form: recalls[ahead, name, form, 1])
    lines.append(
        f"{ahead}, {name} finds the ortholog first in {recalls[ahead, name, 'centred', 1]:.1%} and among ten in "
        f"{recalls[ahead, name, 'centred', 10]:.1%}, with the best form of its vectors, *{best}*, in "
        f"{recalls[ahead, name, best, 1]:.1%} and {recalls[ahead, name, best, 10]:.1%}."
    )
best = max(proteome_map.FORMS, key=lambda form: recalls[ahead, "composition", form, 1])
behind = (against.loc[against["direction"] == ahead, "high"] < 0).all()  # every form of every model, with its interval
gained = all(recalls[ahead, name, "whitened", 1] > recalls[ahead, name, "centred", 1] for name in vectors)
lines.append(
    f"3-mers find it first in {recalls[ahead, '3-mers', '', 1]:.1%}, composition ({best}) in "
    f"{recalls[ahead, 'composition', best, 1]:.1%}, length in {recalls[ahead, 'length', '', 1]:.1%}"
    + (": a mean over residues loses some of what the order of the residues says" if behind else "")
    + (", and whitening gives a part of it back" if behind and gained else "")
    + "."
)
Markdown("\n".join(f"- {line[0].upper()}{line[1:]}" for line in lines))

# %% [markdown]
# ## What would change this
#
# An embedding that held more of a protein's work than its sequence shows would put proteins of one compartment together
# with relatives left out, well above composition, and would find orthologs below 60 % identity that 3-mers miss.
# A larger model may do both; the `paper` profile can ask that.
#
# ## Limits
#
# - In the `embedded` profile the proteins are a sample of those up to 500 residues; in whole proteomes, which the other
#   profiles read, there are more paralogs to be mistaken for.
# - Orthologs are reciprocal best hits of sequence search, which favours the method that is most like it: 3-mers.
# - A cluster may join families through one member; its name says what most have in common.
# - GO is incomplete and was partly transferred between orthologs by curators: that flatters any method that finds kin.
# - The models read sequences of these families in their training; they saw no label of a compartment, family or species.
# - UMAP gives another picture with another seed or number of neighbours, and may with another processor.
