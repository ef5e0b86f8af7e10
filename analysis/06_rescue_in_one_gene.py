# %% [markdown]
# # Rescue in one gene
#
# The rescue-mutation study {cite:p}`soylemez2022rescue` put every variant of a gene into the protein and asked a model
# about every second substitution.
# Its figure shows one gene: variants by positions, beside the contact map, and whether positions in contact stand out.
# What does that figure look like for BAG3 and TNNC1, and what changes when the score is compared with the wild type's?
#
# **Inputs**: `data/genes.tsv`, `data/variants.parquet`, `data/structures.parquet`, `data/orthologs.parquet`,
# `data/published_effects.parquet`; the weights of the model.
#
# **Outputs**: `results/<profile>/rescue_one_gene_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: less than a minute on one CPU core; the scan runs live.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # of the profile; this chapter scans with the first
genes = ["BAG3", "TNNC1"]  # any of the 53
classes = ["P/LP", "B/LB"]  # variants to scan; with "VUS" too, all
named = {"BAG3": "E455K", "TNNC1": "G159D"}  # whose candidates are listed; for other genes the lowest-scored variant
cutoff = 8.0  # angstrom between C-beta atoms: closer is in contact
nearest = 6  # residues: pairs nearer in the chain do not count
n_candidates = 8  # rows of the lists
chunk = 5  # backgrounds of a forward in the published script

# %%
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts, structures
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.stats import matched
from plmbook.tables import bundled
from plmbook.variants import alignment, distances, rescue

members = [models.load(name, dtype="float32") for name in models.expand(model_names[:1])]
sequences = tables.load("genes").set_index("gene")["sequence"]
variants = bundled.matching_variants()
release = f"ClinVar {variants['release'].iat[0]}"
folds, orthologs = structures.structures_of(tables.load("structures")), tables.load("orthologs")

# %% [markdown]
# ## The scan
#
# One forward pass a variant, and one of the wild type.
# With $B$ the protein that carries the variant and $S$ the wild type, each second substitution of residue $a$ at $j$ has
#
# $$ s_B(a, j) = \ln \frac{p(a \text{ at } j \mid B)}{p(S_j \text{ at } j \mid B)}, \qquad
# e(a, j) = s_B(a, j) - s_S(a, j) $$
#
# $s_B$ is what the published scan reports, $e$ is the {term}`epistasis`: what the variant adds.
# The published figure shows $z$: the mean of $s_B$ over the residues at $j$, standardised over the variants of the gene.

# %% tags=["hide-input"]
scans, rows = {}, {}
for gene in genes:
    part = variants[(variants["gene"] == gene) & variants["significance"].isin(classes)]
    part = part.sort_values("position").sort_values("significance", key=lambda c: c.map(classes.index), kind="stable")
    part = part.reset_index(drop=True)
    assemblies, residues = alignment.ortholog_residues(orthologs, gene, sequences[gene])
    rows[gene] = part
    scans[gene] = rescue.scan_protein(
        members,
        sequences[gene],
        [parse_mutations(text) for text in part["mutation"]],
        id=gene,
        structure=folds[gene],
        orthologs=residues if assemblies else None,
    )
model = members[0].name if len(members) == 1 else model_names[0]
counts = pd.DataFrame(
    [
        (
            gene,
            len(sequences[gene]),
            *(int((rows[gene]["significance"] == group).sum()) for group in classes),
            len(scans[gene].mutations) * 19 * (len(sequences[gene]) - 1),
            f"{folds[gene].counted.mean():.0%}",
        )
        for gene in genes
    ],
    columns=["gene", "residues", *classes, "second sites", "confident residues"],
)
show.table(counts, caption=f"What is scanned with {model}; {release}. Confident: pLDDT of 70 or more")

# %% [markdown]
# ## The published figure, and epistasis under it
#
# Rows are variants, P/LP above B/LB and each in the order of the chain; columns are positions.
# The three panels of a gene have the same rows and columns.
# The last one is the contact map, read along the variants' rows: a dark cell lies within 8 Å of the variant.


# %% tags=["hide-input"]
def long_table(gene):
    """A row a variant and position: what the three panels show."""
    scan, part = scans[gene], rows[gene]
    distance = structures.distances(folds[gene].cb)[part["position"].to_numpy() - 1]  # (n, L)
    table = scan.position_table[["id", "mutation", "position", "z", "mean_epistasis", "mean_abs_epistasis"]]
    return table.rename(columns={"id": "gene"}).assign(
        significance=np.repeat(part["significance"].to_numpy(), len(scan.sequence)),
        separation=np.abs(np.repeat(part["position"].to_numpy(), len(scan.sequence)) - table["position"].to_numpy()),
        distance=distance.reshape(-1),
        contact=distance.reshape(-1) < cutoff,
        confident=(folds[gene].counted[part["position"].to_numpy() - 1][:, None] & folds[gene].counted).reshape(-1),
    )


cells = pd.concat([long_table(gene) for gene in genes], ignore_index=True)

# %% tags=["hide-input"] mystnb={"image": {"alt": "For each gene three maps of variants by positions: published z, mean epistasis, contact with the variant"}}
panels = {"z": "published z", "mean_epistasis": "mean epistasis (nats)", "contact": f"within {cutoff:.0f} Å"}
caption = (
    f"Variants by positions, scanned with {model}; {release}. Left: the class of each variant. "
    "Grey: no second site. The colours of each map end at its 99th percentile."
)
show.figure(figures.variant_maps(cells, panels), cells, "06_maps", profile=profile, caption=caption)


# %% tags=["hide-input"]
far = cells[cells["separation"] >= nearest].dropna(subset=["z"])
ranks = far.assign(z=far["z"].abs()).groupby(["gene", "mutation"])[["z", "mean_abs_epistasis"]].rank(ascending=False)
far = far.assign(rank_z=ranks["z"], rank=ranks["mean_abs_epistasis"])
far["of"] = far.groupby(["gene", "mutation"])["position"].transform("size")
one = far[far["rank"] > far["of"] / 2].sort_values("z", key=np.abs).iloc[-1]
alike = (
    far.groupby(["gene", "mutation"])[["rank_z", "rank"]].corr().xs("rank_z", level=2)["rank"].groupby("gene").mean()
)
Markdown(
    "**Why they differ.** Standardising over variants takes the wild type's score away as well (the z of epistasis is "
    "the same number), but it measures from the mean of the gene's variants instead of the wild type, and divides by "
    "their spread: a position that hardly moves gets as large a z as one that moves much. "
    f"The starkest case here is {one['gene']} {one['mutation']} at position {one['position']}, {one['separation']} "
    f"residues away: z is {one['z']:+.1f}, number {one['rank_z']:.0f} by size of the {one['of']} positions of that "
    f"variant; epistasis is {one['mean_epistasis']:+.3f} nats in the mean, and by the mean of its size number "
    f"{one['rank']:.0f}. "
    "Over all positions of a variant the rank correlation of |z| and |epistasis| is "
    + ", ".join(f"{alike[gene]:.2f} ({gene})" for gene in genes)
    + " in the mean."
)

# %% [markdown]
# ## In and out of contact
#
# The study compared |z| of pairs in contact with that of all others.
# Contacts are nearer in the chain than other pairs, and a model answers more strongly to what is near.
# So pairs nearer than 6 residues are left out here, as are residues with a pLDDT below 70, whose place is a guess.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Boxen plots of published |z| and of |epistasis| for pairs apart and in contact, by gene"}}
pairs = cells[cells["confident"] & (cells["separation"] >= nearest)].dropna(subset=["z"])
pairs = pairs.assign(
    z=pairs["z"].abs(), pair=np.where(pairs["contact"], "in contact", "apart"), epistasis=pairs["mean_abs_epistasis"]
)
kept = ["gene", "mutation", "position", "separation", "distance", "pair", "z", "epistasis"]
caption = (
    f"Pairs of a variant and a position, at least {nearest} residues apart, {model}; {release}. "
    f"In contact: within {cutoff:.0f} Å. Each further box holds half of what lies beyond the one before."
)
figure = figures.boxen(pairs, {"z": "published |z|", "epistasis": "mean |epistasis| (nats)"})
show.figure(figure, pairs[kept], "06_boxen", profile=profile, caption=caption)

# %% [markdown]
# The numbers behind it: how often a pair in contact has the higher value, 0.5 being chance.
# Once against all others of the gene, once against those of the same position and about the same separation.

# %% tags=["hide-input"]
compared = []
for gene in genes:
    scan = scans[gene]
    scan = replace(scan, by_position={**scan.by_position, "abs_z": np.abs(scan.by_position["z"])})
    for name, value in (("published |z|", "abs_z"), ("mean |epistasis|", "mean_abs_epistasis")):
        table = distances.position_pairs(scan, folds[gene], value=value, nearest=nearest)
        table = table.assign(contact=table["distance"] < cutoff)
        raw = matched.gene_aurocs(table, value="value", case="contact", strata=[], minimum=1)
        fair = distances.gene_contact_aurocs(table, cutoff=cutoff, nearest=nearest, minimum=1)
        for against, found in (("all others", raw), ("same separation", fair)):
            if len(found):
                compared.append((gene, name, against, found["auroc"].iat[0], int(found["n_cases"].iat[0])))
compared = pd.DataFrame(compared, columns=["gene", "value", "against", "AUROC", "contacts"])
show.table(compared, caption=f"AUROC of contacts, pairs of positions, {model}; {release}")

# %% [markdown]
# A gene is one protein with a few variants at a few positions: no interval is given, and none of this is a finding.
# [The next chapter](07_rescue_contacts.ipynb) asks the question of all 53 genes.
#
# ## Candidates of one variant
#
# The second substitutions with the highest epistasis, and, for comparison, that with the highest published score.
# The distance is between C-beta atoms in the predicted structure.
# *CPD* counts vertebrates whose own sequence has both the variant's residue and this one.

# %% tags=["hide-input"]
listed = []
for gene in genes:
    part = rows[gene]
    own = [parse_mutations(text)[0] for text in part["mutation"]]
    alone = [scans[gene].score_wild_type[m.position - 1, AMINO_ACIDS.index(m.alt)] for m in own]
    chosen = named.get(gene)
    chosen = chosen if chosen in set(part["mutation"]) else part["mutation"].iat[int(np.argmin(alone))]
    score, group = (
        dict(zip(part["mutation"], column, strict=True))[chosen] for column in (alone, part["significance"])
    )
    found = scans[gene].candidates.query("mutation == @chosen")
    best = found.nsmallest(n_candidates, "rank")
    listed.append(found.assign(gene=gene))
    shown = pd.concat([best, found.nsmallest(1, "rank_background")]).drop_duplicates(["position", "alt"])
    shown = pd.DataFrame(
        {
            "second": shown["ref"] + shown["position"].astype(str) + shown["alt"],
            "epistasis": shown["epistasis"],
            "rank": shown["rank"],
            "published score": shown["score_background"],
            "its rank": shown["rank_background"],
            "on wild type": shown["score_wild_type"],
            "Å": [f"{distance:.1f}" for distance in shown["distance_angstrom"]],
            "CPD": ["–" if np.isnan(count) else f"{count:.0f}" for count in shown["cpd"]],
        }
    )
    caption = (
        f"{gene} {chosen} ({group}; {release}), {model}: {score:+.2f} nats on the wild type; "
        "best by epistasis, then by score"
    )
    show.table(shown, caption=caption, digits=2)
listed = pd.concat(listed, ignore_index=True)

# %% tags=["hide-input"]
tops = listed.sort_values("rank_background").groupby("gene", sort=False).head(1)
ups = [
    f"for {row.gene} {row.mutation} it is {row.ref}{row.position}{row.alt}, {row.score_background:+.2f} nats; on the "
    f"wild type it has {row.score_wild_type:+.2f}, so that epistasis is {row.epistasis:+.2f}, number {row.rank:,}"
    for row in tops.itertuples()
]
Markdown(
    "The last line of each list is what the published score puts first: "
    + "; ".join(ups)
    + ". None of these substitutions is known to rescue anything: they are what a small model prefers."
)

# %% [markdown]
# ## Beside what was published
#
# Of the scan the study published figures; its repository holds the output of four backgrounds of one other gene, MYL3.
# So there are no published numbers of the scan of these genes to set beside ours.
# What it published for every variant of these genes is the score of the variant itself.
# Ours (wild-type marginals, from the same scan) and theirs (read off the mutant sequence), over all variants, VUS too:

# %% tags=["hide-input"]
theirs = tables.load("published_effects").pivot(index=["gene", "mutation"], columns="model", values="score")
beside = []
for gene in genes:
    part = variants[variants["gene"] == gene]
    column = [AMINO_ACIDS.index(alt) for alt in part["alt"]]
    ours = scans[gene].score_wild_type[part["position"].to_numpy() - 1, column]
    both = part[["gene", "mutation"]].assign(ours=ours).merge(theirs.reset_index(), on=["gene", "mutation"])
    for other in ("esm2_t33_650M_UR50D", "esm1v"):
        pair = both[["ours", other]].dropna()
        rho = pair["ours"].corr(pair[other], method="spearman")
        beside.append((gene, style.label(other), rho, pair["ours"].median(), pair[other].median(), len(pair)))
beside = pd.DataFrame(beside, columns=["gene", "published", "Spearman", "median, ours", "median, theirs", "variants"])
show.table(beside, caption=f"Scores of single variants: {model} here and those published; {release}")

# %% [markdown]
# ## What the published script did otherwise
#
# [What we corrected](../corrected.md) lists it.
# One point can be shown on these genes: four public versions of the script (139a51f among them) gave every background of a chunk the
# name of the chunk's first, so that a row of its figure is several variants under one name.
# We label our own scan so, in our order of the variants, and ask how the named row agrees with the variant's own.

# %% tags=["hide-input"]
labelled = []
for gene in genes:
    parsed = [parse_mutations(text) for text in scans[gene].mutations]
    blocks = rescue.scores(members, sequences[gene], parsed)
    means = np.concatenate([rescue.published_means(b.score_background, parsed[b.where]) for b in blocks])  # (n, L)
    again = rescue.published_z(means)
    assert np.allclose(again, scans[gene].by_position["z"], atol=1e-4, equal_nan=True), "z differs from its definition"
    starts = range(0, len(means), chunk)
    true, named_so = means[::chunk], np.array([means[start : start + chunk].mean(axis=0) for start in starts])
    if len(starts) > 2:
        z_true, z_named = rescue.published_z(true), rescue.published_z(named_so)
        agree = [pd.Series(a).corr(pd.Series(b), method="spearman") for a, b in zip(z_true, z_named, strict=True)]
        labelled.append((gene, len(means), len(starts), float(np.mean(agree))))
labelled = pd.DataFrame(labelled, columns=["gene", "variants", "names left", "Spearman of z"])
caption = (
    f"Rows as those versions name them ({chunk} backgrounds a chunk) against the named variants' own; {model}; "
    f"{release}"
)
show.table(labelled, caption=caption)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
for gene in genes:
    scan = scans[gene]
    (block,) = rescue.scores(members, sequences[gene], [()])
    inside = ~np.isnan(block.score_wild_type)
    assert (block.epistasis[:, inside] == 0).all(), f"{gene}: epistasis of the wild type is not 0"
    assert scan.mutations == tuple(rows[gene]["mutation"]), f"{gene}: a variant is lost or out of order"
    own = rows[gene]["position"].to_numpy() - 1
    assert np.isnan(scan.by_position["mean_epistasis"][np.arange(len(own)), own]).all(), f"{gene}: its own position"
    # Standardising takes the wild type away: z of mean epistasis is z of the published mean, off the variants' places.
    off = np.setdiff1d(np.arange(len(scan.sequence)), own)
    if len(own) > 1:
        epistasis_z = rescue.published_z(scan.by_position["mean_epistasis"][:, off].astype(np.float64))
        there = scan.by_position["mean_epistasis"][:, off].std(axis=0) > 1e-3  # elsewhere rounding decides
        assert np.allclose(epistasis_z[:, there], scan.by_position["z"][:, off][:, there], atol=0.05), gene
assert len(cells) == sum(len(rows[gene]) * len(sequences[gene]) for gene in genes), "cells are missing"
saved = {"contacts": compared, "candidates": listed, "published": beside, "labels": labelled}
for name, table in saved.items():
    artifacts.save(table, f"rescue_one_gene_{name}", profile)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
a = compared.set_index(["gene", "value", "against"])["AUROC"]


def said(gene):
    parts = [
        f"{a[gene, value, 'all others']:.2f} for {value} against all others, {a[gene, value, 'same separation']:.2f} "
        "against pairs of the same separation"
        for value in ("published |z|", "mean |epistasis|")
        if (gene, value, "same separation") in a.index
    ]
    return f"- {gene}: the AUROC of contacts is {'; '.join(parts)}." if parts else f"- {gene}: no contacts."


Markdown(
    "\n".join(
        [
            f"- The scan of {', '.join(f'{len(rows[g])} variants of {g}' for g in genes)} gives every second "
            f"substitution a score, an epistasis and a distance, from {model}.",
            *map(said, genes),
            f"- z and epistasis are not the same: at {one['position']}, {one['gene']} {one['mutation']} is number "
            f"{one['rank_z']:.0f} of {one['of']} by |z| and number {one['rank']:.0f} by |epistasis|.",
            "- The rank correlation of our scores of single variants with those published is "
            + ", ".join(f"{r.Spearman:.2f} ({r.gene}, {r.published})" for r in beside.itertuples())
            + ".",
        ]
    )
)

# %% [markdown]
# **What would falsify this.**
# A candidate is a claim about the laboratory: the double mutant works better than the variant alone.
# One measured double mutant that does not, or a list in which random second substitutions of the same separation do as
# well, speaks against it.
# That epistasis tells more than z would be wrong if, over many genes, |z| found contacts or measured rescues better;
# the next chapter has both values.
#
# ## Limits
#
# - The model is small, and it has read the vertebrate orthologs of these genes: CPD is no independent evidence here.
# - z depends on which variants are standardised over; the study had all, here the classes of the parameter `classes`.
# - The published panel shows the whole contact map; ours shows its rows for the variants, for they line up so.
# - Both structures are predicted, and much of BAG3 is disordered.
# - Nothing on this page is for clinical use.
