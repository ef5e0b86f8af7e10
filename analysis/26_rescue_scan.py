# ---
# jupyter:
#   make:
#     longest: true
# ---

# %% [markdown]
# # The scan
#
# What would every second substitution do on the background of every variant?
# The chapters on rescue and the [atlas](../atlas.md) read the tables of this page; it draws nothing, so that a change of
# a figure does not scan again.
#
# **Inputs**: `data/genes.tsv`, `data/variants.parquet`, `data/structures.parquet`, `data/orthologs.parquet`; the
# weights of the models.
#
# **Outputs**: `results/<profile>/rescue.*.parquet` (the best second substitutions of each variant),
# `rescue_variants.<model>` (a row a variant), `rescue_maps.<model>` (the whole map of each variant),
# `rescue_wild_type.<model>`, `rescue_pairs.<model>` (pairs of positions, for the question of contacts) and
# `rescue_contacts_misplaced`.
#
# **Runtime and hardware**: about six minutes of one CPU core; every scan runs live.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # each scans every variant, but for
most = {"embedded_general": 12}  # models that scan no more variants of a gene than this, drawn with the seed
further = []  # classes scanned besides, for the atlas; the tests are of P/LP and B/LB variants
top = 50  # candidates of a variant by epistasis, and as many by score
seed = 20220917  # of the draw: the date of the ClinVar release
per_gene = 10  # variants of another isoform, of a gene, that are scanned at both numbers

# %%
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import show
from plmbook.core import artifacts
from plmbook.core.structures import structures_of
from plmbook.tables import bundled
from plmbook.variants import rescue, rescue_tables, scans

sequences = tables.load("genes").set_index("gene")["sequence"]
every = tables.load("variants")
release = f"ClinVar {every['release'].iat[0]}"
scanned = bundled.matching_variants()
scanned = scanned[scanned["significance"].isin([*bundled.LABELLED, *further])].reset_index(drop=True)
folds, orthologs = structures_of(tables.load("structures")), tables.load("orthologs")

# %% [markdown]
# ## What is scanned
#
# Every P/LP and B/LB variant whose residue stands where ClinVar says; a model that would take too long for the book scans
# a seeded sample of a gene's variants.
# Of the embedded models the default one has read the vertebrate {term}`orthologs <ortholog>` of these genes; the
# {term}`general model` has not, though relatives of some may be among its proteins.
# Of each background the best candidates, a few numbers a position and, in one byte a number, the map are kept.


# %% tags=["hide-input"]
def load(name):
    """The model or the members of an ensemble, and what tables call it."""
    members = [models.load(each, dtype="float32") for each in models.expand([name])]
    return members, members[0].name if len(members) == 1 else name


counts = []
for name in model_names:
    (members, title), limit = load(name), most.get(name, 0)
    chosen = scans.sample(scanned, limit, seed=seed)
    found = scans.scan_table(members, title, chosen, sequences, structures=folds, orthologs=orthologs, top=top)
    tables.check(found.candidates, rescue_tables.RESCUE, where=f"rescue.{title}")
    variants = found.variants
    ids = ["id", "mutation"]
    with_candidates = found.candidates[ids].drop_duplicates()
    assert len(with_candidates.merge(variants[ids])) == len(variants), "a variant has no candidates"
    assert set(variants["id"]) == set(scanned["gene"]), "a gene is lost"
    assert not variants.duplicated(ids).any() and len(variants) == len(chosen), "a background is lost"
    artifacts.save(found.candidates, f"rescue.{title}", profile)
    artifacts.save(variants, f"rescue_variants.{title}", profile)
    artifacts.save(found.maps, f"rescue_maps.{title}", profile)
    artifacts.save(found.wild_type, f"rescue_wild_type.{title}", profile)
    artifacts.save(found.pairs, f"rescue_pairs.{title}", profile)
    n_of_class = [int((variants["significance"] == group).sum()) for group in bundled.LABELLED]
    counts.append((title, variants["id"].nunique(), *n_of_class, limit or "all", len(found.pairs)))
    del members, found  # before the next is loaded
counts = pd.DataFrame(counts, columns=["model", "genes", *bundled.LABELLED, "variants of a gene, at most", "pairs"])
show.table(counts, caption=f"Backgrounds scanned, and pairs of positions that count; {release}")

# %% [markdown]
# ## Where the published scan put the residue
#
# Some labelled variants of another isoform are scanned twice by the first model: at the residue that ClinVar means, and,
# as the published script did, at ClinVar's number in this sequence.
# [Do rescues sit in contact?](07_rescue_contacts.ipynb) says what it changes.

# %% tags=["hide-input"]
members, first = load(model_names[0])
past = every["position"] > every["gene"].map(sequences.str.len())
elsewhere = (every["aligned_position"] > 0) & (every["aligned_position"] != every["position"])
moved = every[elsewhere & every["significance"].isin(bundled.LABELLED) & ~past]
moved = moved.sample(frac=1, random_state=seed).groupby("gene").head(per_gene)
twice = scans.misplaced(members, moved, sequences)
artifacts.save(twice, "rescue_contacts_misplaced", profile)
Markdown(f"{len(twice)} variants of {twice['gene'].nunique()} genes, at most {per_gene} a gene, by {first}.")

# %% [markdown]
# ## Gate
#
# On the wild type itself, epistasis is 0 everywhere.

# %% tags=["hide-input"]
short = sequences.index[sequences.str.len() <= 200]
for gene in short:
    for block in rescue.scores(members, sequences[gene], [()]):
        assert (block.epistasis == 0).all(), f"{gene}: epistasis of the wild type is not 0"
Markdown(f"True of the {len(short)} genes of at most 200 residues, by {first}.")
