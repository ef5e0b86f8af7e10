# %% [markdown]
# # Two models, two diets
#
# The rescue-mutation study {cite:p}`soylemez2022rescue` compared ESM-2 (trained on UR50/D) with ESM-1v (on UR90/S).
# A footnote of its page promises: "Briefly summarize the difference and its implication for our comparison".
# It was left open; this chapter fills it in.
# What did the two models read, is ESM-1v's advantage on clinical variants real, and is the diet its cause?
#
# **Inputs**: the published scores (`data/published_effects.parquet`), `data/variants.parquet`,
# `data/alignment.parquet`, `data/structures.parquet`; no model runs here.
#
# **Outputs**: `results/<profile>/two_diets_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: under a minute on two CPU cores.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
n_resamples = 1000  # bootstrap resamples of the genes
seed = 20220917  # of the bootstrap: the date of the ClinVar release
minimum = 5  # variants of each class that a gene needs for an AUROC of its own

# %%
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.stats import metrics
from plmbook.tables import bundled
from plmbook.tables.published import published
from plmbook.variants import alignment

boot = {"n": n_resamples, "seed": seed}
within_genes = partial(metrics.within_gene_auroc, minimum=minimum)
statistics = {"pooled": metrics.auroc, "within genes": within_genes}

# %% [markdown]
# ## The difference, briefly
#
# UniRef90 and UniRef50 group the known proteins into clusters of at least 90 % and 50 % identity.
#
# - **UR90/S** (ESM-1v): one representative of every UniRef90 cluster, drawn uniformly.
#   A family with many members at 60 to 90 % identity is seen many times over {cite:p}`meier2021language`.
# - **UR50/D** (ESM-2): a UniRef50 cluster is drawn, then one of the UniRef90 clusters in it.
#   Every UniRef50 cluster has the same weight, and its close homologs are seen, but share that weight
#   {cite:p}`lin2023evolutionary`.
#
# So ESM-1v's diet is weighted towards large, closely sampled families, such as the vertebrate orthologs of human genes.

# %% tags=["hide-input"]
pair = ["esm2_t33_650M_UR50D", "esm1v_t33_650M_UR90S_1"]
cards = pd.DataFrame([models.card(name) for name in pair])[["name", "layers", "dim", "parameters", "training_data"]]
show.table(cards.assign(positions=["rotary", "learned"], use=["single run", "ensemble of five"]),
                 caption="What was compared: the cards of ESM-2 and of a member of ESM-1v")  # fmt: skip
show.table(published("rescue_models")[["model", "layers", "parameters", "training_dataset", "use"]],
                 caption="As printed by the rescue-mutation study")  # fmt: skip

# %% [markdown]
# More than the diet differs.
# ESM-2 has rotary positions {cite:p}`su2021roformer`, ESM-1v learned ones.
# The releases of UniRef and the training recipes differ, too.
# And the study used one ESM-2 against the mean of five ESM-1v.
# Data, architecture and ensembling are confounded; only the ensembling can be taken apart with the scores.
#
# ## The rows that all six models have
#
# The five members lack different variants, so that each comparison below uses the rows that all models have.
# The ensemble is the plain mean of the five.

# %% tags=["hide-input"]
esm2, members = pair[0], list(models.expand(["esm1v"]))
variants = tables.load("variants")
release = f"ClinVar {variants['release'].iat[0]}"
wide = tables.load("published_effects").pivot(index=["gene", "mutation"], columns="model", values="score").reset_index()
wide = variants.merge(wide, on=["gene", "mutation"])
wide["alignment"] = alignment.site_independent(tables.load("alignment"), wide)
available = wide[[esm2, *members, "esm1v", "alignment"]].notna().groupby(wide["significance"]).sum()
show.table(available.T.rename_axis("model").reset_index(), caption=f"Variants with a score, by class; {release}")
common = metrics.labelled(wide, score=[esm2, *members])
common["esm1v"] = common[members].mean(axis=1)
classes = common["significance"].value_counts()
n_genes = common["gene"].nunique()
Markdown(f"{classes['P/LP']:,} P/LP and {classes['B/LB']:,} B/LB variants of {n_genes} genes have all six scores.")

# %% [markdown]
# ## Is the advantage there for each single member?

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC with intervals of ESM-2, five ESM-1v members and their mean, pooled and in genes"}}
singles = pd.DataFrame(
    [(model, name, *metrics.estimate(common, statistic, score=model, **boot))
     for name, statistic in statistics.items() for model in [esm2, *members, "esm1v"]],
    columns=["model", "statistic", "value", "low", "high", "n"],
)  # fmt: skip
singles["name"] = singles["model"].map(style.label)
caption = (
    f"AUROC of ESM-2 650M and ESM-1v on the {len(common):,} common rows, published scores, {release}. "
    "Whiskers: 95 % bootstrap over genes."
)
show.figure(figures.forest(singles), singles, "03_members", profile=profile, caption=caption)

# %% [markdown]
# The whiskers overlap because genes differ, which moves all models together.
# The paired differences, with the same resampled genes for both models, are the fair comparison.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Paired difference in AUROC of each ESM-1v model from ESM-2, pooled and within genes"}}
differences = pd.DataFrame(
    [(model, name, *metrics.paired_difference(common, model, esm2, statistic=statistic, **boot))
     for name, statistic in statistics.items() for model in [*members, "esm1v"]],
    columns=["model", "statistic", "value", "low", "high", "n"],
)  # fmt: skip
differences["name"] = differences["model"].map(style.label)
caption = (
    f"AUROC of ESM-1v less that of ESM-2 650M, same rows, published scores, {release}. "
    "Whiskers: 95 %, paired bootstrap over genes."
)
figure = figures.forest(differences, axis="difference in AUROC", reference=0)
show.figure(figure, differences, "03_differences", profile=profile, caption=caption)

# %% [markdown]
# ## How much of it is the ensemble?
#
# The mean of any number of the five can be formed: 31 ensembles, five of them single models.
# A single ESM-2 should be compared with a single ESM-1v; the rest of the curve is what averaging buys.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC against the number of ESM-1v models averaged, with ESM-2 as a dashed line"}}
ensembles = pd.DataFrame(
    [(name, "esm1v", k, " ".join(m[-1] for m in chosen),
      statistic(common.assign(score=common[list(chosen)].mean(axis=1))))
     for name, statistic in statistics.items() for k in range(1, 6) for chosen in combinations(members, k)],
    columns=["statistic", "model", "n_models", "members", "value"],
)  # fmt: skip
single = {name: statistic(common, score=esm2) for name, statistic in statistics.items()}
caption = (
    "Every ensemble of the five ESM-1v models (dots), their mean (line), and ESM-2 650M, a single run (dashed); "
    f"{release}."
)
show.figure(
    figures.ensemble_curve(ensembles, single=single), ensembles, "03_ensembles", profile=profile, caption=caption
)

# %% tags=["hide-input"]
single_run, averaging = "a single ESM-1v less ESM-2", "averaging five"
parts = {single_run: (members, [esm2]), averaging: (["esm1v"], members)}
shares = pd.DataFrame(
    [(part, name, *metrics.estimate(common, metrics.contrast(statistic, *sides), score="esm1v", **boot))
     for name, statistic in statistics.items() for part, sides in parts.items()],
    columns=["part", "statistic", "value", "low", "high", "n"],
)  # fmt: skip
show.table(shares, caption=f"AUROC of the ensemble less ESM-2's, in two parts that add up to it; {release}")

# %% [markdown]
# ## Pooled, but between genes or within them?
#
# A pooled AUROC counts pairs of a P/LP and a B/LB variant; nearly all of these pairs lie in two different genes,
# where a model gains by having the level of each gene right.
# The pooled AUROC is the mean of two parts, weighted by their numbers of pairs: pairs within a gene and pairs between.
# The within-gene AUROC above gives each gene the same weight, however few its variants; here each pair has the same.

# %% tags=["hide-input"]
kinds = {
    "within genes, each pair alike": metrics.pair_auroc,
    "between genes": partial(metrics.pair_auroc, between=True),
}
levels = pd.DataFrame(
    [(name, *metrics.paired_difference(common, "esm1v", esm2, statistic=statistic, **boot))
     for name, statistic in (statistics | kinds).items()],
    columns=["statistic", "value", "low", "high", "n"],
)  # fmt: skip
show.table(levels, caption=f"ESM-1v, mean of 5, less ESM-2 650M: AUROC on the common rows, {release}")

# %% [markdown]
# ## Which genes?

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC within each gene by ESM-2 and by ESM-1v, one line a gene"}}
by_gene = pd.concat([metrics.gene_aurocs(common, minimum=minimum, score=m).assign(model=m) for m in (esm2, "esm1v")])
gap = by_gene.pivot(index="gene", columns="model", values="auroc")
gap = (gap["esm1v"] - gap[esm2]).sort_values()
caption = f"AUROC of ESM-2 650M and ESM-1v within each of {len(gap)} genes, published scores, common rows, {release}."
show.figure(figures.per_gene(by_gene), by_gene, "03_genes", profile=profile, caption=caption)


# %% tags=["hide-input"]
def ends(part):
    return ", ".join(f"{gene} ({value:+.2f})" for gene, value in part.items())


worst = gap.index[0]
worst_auroc = by_gene.set_index(["gene", "model"])["auroc"][worst, "esm1v"]
rest = metrics.paired_difference(common.query("gene != @worst"), "esm1v", esm2, statistic=within_genes, **boot)
Markdown(
    f"ESM-1v is ahead in {(gap > 0).sum()} of {len(gap)} genes, most in {ends(gap[::-1].head(3))}; "
    f"ESM-2 most in {ends(gap.head(3))}. "
    f"One gene weighs much in a mean over {len(gap)}: without {worst}, where ESM-1v ranks the classes "
    f"{worst_auroc:.2f} (below 0.5 is the wrong way round), the difference within genes would be "
    f"{show.interval(rest.value, rest.low, rest.high, sign=True)}. "
    f"We saw {worst} before we left it out: a lead to follow, not a result. "
    "The chapter on variant effects shows genes in which one of the models has no clue."
)

# %% [markdown]
# ## Which positions and variants?
#
# Conserved or variable: the alignment column has one residue only, or an entropy below or above the others' median.
# Confident or not: AlphaFold's pLDDT {cite:p}`jumper2021highly`, low where a protein is disordered.
# Frequency: whether gnomAD has the variant.

# %% tags=["hide-input"]
columns = tables.load("alignment")
share = columns[list(AMINO_ACIDS)].div(columns[list(AMINO_ACIDS)].sum(axis=1), axis=0).to_numpy()
columns["entropy"] = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)  # nats, gaps left out
places = bundled.matching_variants()[["gene", "mutation"]]  # a position of another isoform has another column
where = common.merge(places, on=["gene", "mutation"])
where = where.merge(columns[["gene", "position", "entropy"]], on=["gene", "position"], how="left")
where = where.merge(tables.load("structures")[["gene", "position", "plddt"]], on=["gene", "position"], how="left")
middle = where["entropy"][where["entropy"] > 1e-9].median()
entropy_bins = {"bins": [-1, 1e-9, middle, 10], "labels": ["one residue", "conserved", "variable"]}
groups = {
    "column": pd.cut(where["entropy"], **entropy_bins),
    "pLDDT": pd.cut(where["plddt"], [0, 70, 90, 100], labels=["below 70", "70 to 90", "above 90"]),
    "gnomAD": where["allele_frequency"].notna().map({True: "present", False: "absent"}),
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Difference in AUROC of ESM-1v from ESM-2 by conservation, pLDDT and gnomAD presence"}}
found = [
    (kind, str(group), "esm1v", *metrics.paired_difference(part.reset_index(drop=True), "esm1v", esm2, **boot),
     int((part["significance"] == "B/LB").sum()))
    for kind, labels in groups.items() for group, part in where.groupby(labels, observed=True)
]  # fmt: skip
names = ["statistic", "name", "model", "value", "low", "high", "n", "n_benign"]
positions = pd.DataFrame(found, columns=names)
shown = positions.assign(name=positions["statistic"] + ": " + positions["name"], statistic="ESM-1v less ESM-2")
figure = figures.forest(shown, axis="difference in AUROC, pooled", reference=0)
caption = (
    f"AUROC of ESM-1v less that of ESM-2 650M by kind of position and variant, published scores, {release}. "
    "Whiskers: 95 %, paired bootstrap over genes."
)
show.figure(figure, positions, "03_positions", profile=profile, caption=caption)
caption = f"The same as a table, ESM-1v less ESM-2 650M; {release}"
show.table(positions.drop(columns="model").rename(columns={"statistic": "by"}), caption=caption)

# %% [markdown]
# ## Does the UR90 diet look more like an alignment?
#
# If ESM-1v has learned more from close homologs, its scores should follow the alignment column more closely.
# We correlate ranks within each gene, over all its variants (VUS too), and average over genes.

# %% tags=["hide-input"]
aligned = wide.merge(places, on=["gene", "mutation"]).dropna(subset=[esm2, *members, "alignment"])
aligned = aligned[aligned.groupby("gene")["gene"].transform("size") >= 20].reset_index(drop=True)
aligned["esm1v"] = aligned[members].mean(axis=1)
six = [esm2, *members, "esm1v"]
closeness = aligned.groupby("gene")[[*six, "alignment"]].apply(lambda t: t.rank().corr()["alignment"][six])
near = pd.DataFrame([(m, "Spearman", *metrics.mean_over_genes(closeness[m], **boot)) for m in six],
                    columns=["model", "statistic", "value", "low", "high", "n"])  # fmt: skip
lead = metrics.mean_over_genes(closeness["esm1v"] - closeness[esm2], **boot)
lead_single = metrics.mean_over_genes(closeness[members].mean(axis=1) - closeness[esm2], **boot)
caption = (
    f"Rank correlation with the alignment within a gene: mean over {lead.n} genes, {len(aligned):,} variants; {release}"
)
show.table(near, caption=caption)

# %% [markdown]
# And if that is where its advantage comes from, giving both models the alignment should shrink the difference.
# We add the alignment's rank to each model's rank, with equal weight.

# %% tags=["hide-input"]
both = metrics.labelled(common.merge(places, on=["gene", "mutation"]), score=[esm2, "esm1v", "alignment"])
ranked = both.assign(**{m: both[m].rank() for m in (esm2, "esm1v", "alignment")})
helped = ranked.assign(**{m: ranked[m] + ranked["alignment"] for m in (esm2, "esm1v")})
shrinks = pd.DataFrame(
    [(rows, name, *metrics.paired_difference(table, "esm1v", esm2, statistic=statistic, **boot))
     for rows, table in (("alone", ranked), ("with the alignment", helped))
     for name, statistic in statistics.items()],
    columns=["models", "statistic", "value", "low", "high", "n"],
)  # fmt: skip
caption = f"AUROC of ESM-1v less ESM-2's, alone and after the alignment's rank is added to both; {release}"
show.table(shrinks, caption=caption)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
saved = {"members": singles, "differences": differences, "ensembles": ensembles, "parts": shares, "levels": levels,
         "genes": by_gene, "positions": positions, "closeness": near, "with_alignment": shrinks}  # fmt: skip
assert variants["release"].nunique() == 1, "the captions name one release"
for table in (singles, differences, near, positions):
    tables.check(table, figures.ESTIMATES, where="two_diets")
assert (differences["n"] == len(common)).all(), "the models were compared on different rows"
total = differences.query("model == 'esm1v'").set_index("statistic")["value"]
assert np.allclose(shares.groupby("statistic")["value"].sum(), total), "the two parts do not add up"
for name, table in saved.items():
    artifacts.save(table, f"two_diets_{name}", profile)

# %% [markdown]
# ## What this shows


# %% tags=["hide-input"]
def say(row):
    return show.interval(row["value"], row["low"], row["high"], sign=True)


d = differences.set_index(["model", "statistic"]).sort_index()
p, s = shares.set_index(["part", "statistic"]), shrinks.set_index(["models", "statistic"])
v = levels.set_index("statistic")
alone = differences[differences["model"] != "esm1v"].groupby("statistic")
lowest, highest, sure = alone["value"].min(), alone["value"].max(), alone["low"].agg(lambda low: (low > 0).sum())
Markdown(f"""
- On the {len(common):,} rows that all six models have, the ESM-1v ensemble differs from ESM-2 in AUROC by
  {say(d.loc["esm1v", "pooled"])} pooled and {say(d.loc["esm1v", "within genes"])} within genes.
  Pairs of variants of two genes show {say(v.loc["between genes"])}, pairs within a gene
  {say(v.loc["within genes, each pair alike"])}.
- Single members differ from ESM-2 by {lowest["pooled"]:+.3f} to {highest["pooled"]:+.3f} pooled (the interval lies
  above 0 for {sure["pooled"]} of 5) and by {lowest["within genes"]:+.3f} to {highest["within genes"]:+.3f} within
  genes ({sure["within genes"]} of 5).
  Single run against single run it is {say(p.loc[single_run, "pooled"])} pooled;
  averaging five adds {say(p.loc[averaging, "pooled"])}.
- Genes differ more than models do: within {gap.index[-1]} ESM-1v is ahead by {gap.iloc[-1]:+.2f}, within {worst} it is
  behind by {gap.iloc[0]:+.2f}.
- The rank correlation with the alignment, within genes, is higher for ESM-1v than for ESM-2 by
  {say(lead._asdict())} for the ensemble and {say(lead_single._asdict())} for a single member.
  With the alignment added to both models, their pooled difference goes from {say(s.loc["alone", "pooled"])} to
  {say(s.loc["with the alignment", "pooled"])}.
- **Implication for the comparison**: it is no test of one diet against the other. Averaging is part of the lead, and
  once both models have the alignment column, little of it is left: that fits a diet of close homologs, and does not
  prove it.
""")

# %% [markdown]
# **What would falsify this reading.**
# ESM-2's architecture trained on UR90/S, or ESM-1v's on UR50/D, would hold all but the diet equal:
# if the first did not move towards the alignment, the diet would not be the cause.
# Five ESM-2 runs with different random numbers would show whether averaging helps it as much.
# And if the genes where ESM-1v fails turned out to be slips of the published files, the lead would be larger than here.
#
# ## Limits
#
# - Diet, architecture, UniRef release and training recipe change together; nothing here separates them.
# - The scores are those published, with gaps that differ between the members; which strategy made them is inferred
#   ([variant effects](02_variant_effects.ipynb)).
# - The common rows leave out variants that any model lacks, among them many of VHL, MLH1, MSH2 and TGFBR2.
# - Within-bin AUROCs are pooled over genes; entropy and pLDDT are proxies of what a position does.
# - Being nearer to a vertebrate alignment is no proof of having read its sequences: a better model of the family
#   could come as near.
