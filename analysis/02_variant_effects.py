# %% [markdown]
# # Variant effects in 53 clinically actionable genes
#
# Does a protein language model, which never saw a clinical label, tell pathogenic from benign missense variants?
# And does it do so better than counting which residues other vertebrates have at the same place?
# We score the ClinVar variants of the 53 genes of the rescue-mutation study {cite:p}`soylemez2022rescue` in three ways:
# with the scores that the study published, with models that run here, and with an alignment column.
# Here, by default, run the model that is bundled with this book, which was trained on orthologs of these very genes, and
# UniRep {cite:p}`alley2019unified`, a general model whose weights (CC BY-NC 4.0) set-up installs.
#
# **Inputs**: `data/variants.parquet` (ClinVar {cite:p}`landrum2018clinvar`, allele frequencies of gnomAD
# {cite:p}`karczewski2020mutational`), `data/published_effects.parquet`, `data/alignment.parquet`, `data/genes.tsv`,
# the weights of the models that run.
#
# **Outputs**: `results/<profile>/variant_effects_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: about a minute on two CPU cores with the bundled model; no GPU.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "unirep_1900"]  # models to run here; the first is the one that the figures show
n_resamples = 1000  # bootstrap resamples of the genes
seed = 20220917  # of the bootstrap and of the folds: the date of the ClinVar release
minimum = 5  # variants of each class that a gene needs for an AUROC of its own

# %%
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.models.cards import ENSEMBLES
from plmbook.stats import metrics
from plmbook.tables import bundled
from plmbook.variants import alignment, effects, studies

boot = {"n": n_resamples, "seed": seed}
within_genes = partial(metrics.within_gene_auroc, minimum=minimum)

# %% [markdown]
# ## The variants
#
# The class is that of ClinVar's release: P/LP (pathogenic or likely so), B/LB (benign or likely so), VUS.
# A variant *matches* when its wild-type residue is the one in our sequence of the gene, at the place that it means.
# The others are numbered along another isoform or reference; they stay in the table, with the reason.

# %% tags=["hide-input"]
variants = tables.load("variants")
release = f"ClinVar {variants['release'].iat[0]}"
matching = bundled.matching_variants()
key = ["gene", "mutation"]
mismatched = variants[~pd.MultiIndex.from_frame(variants[key]).isin(pd.MultiIndex.from_frame(matching[key]))]
counts = variants.groupby("significance").agg(
    variants=("gene", "size"), genes=("gene", "nunique"), in_gnomad=("allele_frequency", "count")
)
counts["mismatched"] = mismatched["significance"].value_counts()
show.table(counts.fillna(0).reset_index(), caption=f"Variants, {release}")
reason = mismatched["mismatch_reason"].str.split(":").str[0].replace("", "letter fits by chance").rename("reason")
table = pd.crosstab(mismatched["gene"], reason).assign(all=lambda t: t.sum(axis=1)).reset_index()
show.table(table, caption=f"Variants that are not numbered along our sequence, by reason; {release}")

# %% [markdown]
# ## The scores
#
# All scores are natural-log likelihood ratios of the variant over the wild type: negative means damaging.
# The published ones are those of ESM-2 650M {cite:p}`lin2023evolutionary` and of the mean of the five ESM-1v models
# {cite:p}`meier2021language`.
# The study's page prints no AUROC: what it published are the scores; every statistic of them below is computed here.
#
# A masked language model that runs here is scored in three ways: reading the wild type, the masked position, and the
# mutant.
# UniRep reads a protein from its first residue to its last, and is scored by the likelihood of the whole chain and by
# the next residue alone.
# The methods page has the equations.
# UniRep learnt from one representative of each cluster of UniRef50 (2018): human proteins are among them, their close
# orthologs mostly not.
# One model is in memory at a time.
# Variants of another isoform whose place in our sequence is known are read there, for the section on isoforms.

# %% tags=["hide-input"]
elsewhere = mismatched.query("aligned_position > 0 and aligned_position != position")
at_home = elsewhere["ref"] + elsewhere["aligned_position"].astype(str) + elsewhere["alt"]
elsewhere = metrics.labelled(elsewhere.assign(named=elsewhere["mutation"], mutation=at_home, score=0.0))
elsewhere = elsewhere.drop(columns="score")
found, found_elsewhere = [], []
for name in models.expand(model_names):
    model = models.load(name, dtype="float32")
    found.append(studies.variant_effects(model, profile=profile))
    if "wildtype-marginals" in model.strategies:
        shifted = effects.score_table(model, tables.load("genes"), elsewhere, strategy="wildtype-marginals")
        found_elsewhere.append(shifted)
    del model  # before the next is loaded


# %% tags=["hide-input"]
def with_means(table):
    """An ensemble's mean in place of its members, where all of them ran."""
    for name, members in ENSEMBLES.items():
        rows = table["model"].isin(members)
        if table["model"][rows].nunique() == len(members):
            mean = effects.add_mean(table[rows], name=name)
            table = pd.concat([table[~rows], mean[mean["model"] == name]], ignore_index=True)
    return table


live, live_elsewhere = with_means(pd.concat(found)), with_means(pd.concat(found_elsewhere))
live = live[live["strategy"] != "pseudo-likelihood"]  # a sample of variants only: see the page of the run
first = models.expand(model_names)[0]
live_model = first if first in set(live["model"]) else next(e for e, members in ENSEMBLES.items() if first in members)

# %% [markdown]
# The alignment baseline is $\ln\frac{n_\text{alt} + 0.5}{n_\text{ref} + 0.5}$ over the 100 vertebrates of the column
# {cite:p}`blanchette2004aligning`, human included: no tree, no neighbours, no training.

# %% tags=["hide-input"]
esm2, esm1v = "esm2_t33_650M_UR50D", "esm1v"
published = tables.load("published_effects").assign(strategy="published")
published = variants.merge(published[published["model"].isin([esm2, esm1v])], on=key)
column = alignment.effects(tables.load("alignment"), matching).assign(name="alignment column")
published["name"] = published["model"].map(style.label) + " (published)"
live["name"] = live["model"] + " (" + live["strategy"].str.replace("-", " ") + ")"
published["kind"], live["kind"], column["kind"] = (published["model"].map(style.kind), style.RUN_HERE, style.ALIGNMENT)
live.loc[live["model"].str.startswith("unirep"), "kind"] = style.UNIREP
scores = pd.concat([published, live, column], ignore_index=True)
names = scores.drop_duplicates("name").set_index(["model", "strategy"])["name"]
main = (live_model, "wildtype-marginals")
four = {"ESM-2": (esm2, "published"), "ESM-1v": (esm1v, "published"), live_model: main,
        "the alignment column": ("alignment", "site-independent")}  # fmt: skip
chains = {f"{style.label(model)}, {way}": (model, way) for model, way in names.index
          if way in ("likelihood", "next-residue")}  # fmt: skip

# %% [markdown]
# ## All rows that have a score
#
# P/LP against B/LB, each model on every row that it has.
# The *within-gene* AUROC is the mean over the genes with enough variants of both classes;
# in the pooled one, knowing the gene alone goes far.
# Intervals come from resampling whole genes.

# %% tags=["hide-input"]
by = ("model", "strategy", "name")
all_rows = metrics.summary(scores, minimum=minimum, by=by, **boot).assign(rows="all")
shown = all_rows[all_rows["statistic"].isin(["auroc", "within-gene auroc"])]
show.table(shown.drop(columns=["rows", "model", "strategy"]),
                 caption=f"AUROC of P/LP against B/LB, each model on its own rows; {release}")  # fmt: skip
labelled = metrics.labelled(variants.assign(score=0.0))
share = metrics.estimate(labelled.assign(score=metrics.gene_share(labelled)), metrics.auroc, **boot)
Markdown(
    "A score that knows only the gene, its share of P/LP, reaches "
    f"{show.interval(share.value, share.low, share.high)} pooled on the {share.n:,} labelled variants, "
    "and 0.5 within genes by construction."
)

# %% [markdown]
# ## The same rows for all
#
# Models differ in the rows that they have, so that the table above compares unequal sets.
# The two published models first, on the variants that both have scored.

# %% tags=["hide-input"]
both = published.pivot(index=[*key, "significance"], columns="name", values="score")
shared = metrics.labelled(both.reset_index(), score=both.columns.tolist())
pair_rows = metrics.summary(published.merge(shared[key], on=key), minimum=minimum, by=by, **boot)
pair_rows["rows"] = "of both published models"
shown = pair_rows[pair_rows["statistic"].isin(["auroc", "within-gene auroc"])]
show.table(shown.drop(columns=["rows", "model", "strategy"]),
                 caption=f"AUROC of P/LP against B/LB, on the rows of both published models; {release}")  # fmt: skip

# %% [markdown]
# Below, every model has the same variants: those that match, lie in a gene with an alignment, and were published.

# %% tags=["hide-input"]
wide = scores.pivot(index=[*key, "significance"], columns="name", values="score")
common = metrics.labelled(wide.reset_index(), score=wide.columns.tolist())
on_common = scores.merge(common[key], on=key)
gene_score = common.assign(model="gene-share", strategy="baseline", name="share of the gene",
                           score=metrics.gene_share(common))  # fmt: skip
common_rows = metrics.summary(pd.concat([on_common, gene_score]), minimum=minimum, by=by, **boot).assign(rows="common")

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC with intervals, pooled and within genes, a line a model, on the same variants"}}
forest = common_rows[common_rows["statistic"].isin(["auroc", "within-gene auroc"])].copy()
forest["kind"] = forest["name"].map(scores.drop_duplicates("name").set_index("name")["kind"]).fillna("gene-share")
forest["name"] = forest["name"].str.replace(" (", "\n(", regex=False)
forest["statistic"] = forest["statistic"].map({"auroc": "pooled", "within-gene auroc": "within genes"})
n = common_rows.iloc[0]
caption = (
    f"AUROC of {n['n_pathogenic']:,} P/LP against {n['n_benign']:,} B/LB variants of {n['n_genes']} genes that every "
    f"model has, {release}: published scores of ESM-2 650M and ESM-1v, what ran here "
    f"({', '.join(live['model'].unique())}), and two baselines. Whiskers: 95 % bootstrap over genes."
)
show.figure(figures.forest(forest), forest, "02_auroc", profile=profile, caption=caption)

# %% tags=["hide-input"] mystnb={"image": {"alt": "ROC curves of ESM-2, ESM-1v, the model run here and the alignment, same variants"}}
of_four = on_common.set_index(["model", "strategy"]).loc[list(four.values())].reset_index()
of_four["name"] = of_four["name"].replace(names[main], live_model)
here = f"`{live_model}` run here with wild-type marginals, ESM-2 and ESM-1v as published; {release}."
show.figure(figures.roc_curves(of_four), of_four[["name", "model", "significance", "score"]], "02_roc", profile=profile,
           caption=f"ROC curves on the same variants; {here}")  # fmt: skip

# %% [markdown]
# Four of five labelled variants are P/LP, so that a high AUPRC for P/LP comes cheap.
# With B/LB as the positive class the question is the clinic's other one: can a variant be cleared?
#
# Each difference below uses the rows that both have, and one resampling of the genes for both.

# %% tags=["hide-input"]
rates = common["significance"].value_counts(normalize=True)
auprc = common_rows[common_rows["statistic"].str.startswith("auprc")]
caption = f"AUPRC on the common rows, {release}; by chance {rates['P/LP']:.3f} (P/LP) and {rates['B/LB']:.3f} (B/LB)"
show.table(auprc.drop(columns=["rows", "n_genes", "model", "strategy"]), caption=caption)
statistics = {"pooled": metrics.auroc, "within genes": within_genes, "AUPRC of B/LB": metrics.benign_auprc}
against = {**four, **chains}
pairs = [("ESM-1v", "ESM-2"), *((name, "the alignment column") for name in list(four)[:3]), (live_model, "ESM-2")]
pairs += [(name, other) for name in chains for other in ("ESM-2", "the alignment column")]
pairs += [tuple(chains)] if len(chains) == 2 else []
differences = pd.DataFrame(
    [(a, b, name, *metrics.paired_difference(wide.reset_index(), names[against[a]], names[against[b]], statistic=statistic,
                                             **boot))
     for a, b in pairs for name, statistic in statistics.items()],
    columns=["first", "second", "statistic", "value", "low", "high", "n"],
)  # fmt: skip
show.table(differences, caption=f"Difference in AUROC (or AUPRC), first minus second; {here}")

# %% [markdown]
# ## Gene by gene

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC within each gene, one line a gene, one mark a model, best genes at the top"}}
looks = of_four.drop_duplicates("name").set_index("name")[["model", "kind"]]
genes = pd.concat([
    metrics.gene_aurocs(part, minimum=minimum).assign(name=name, **looks.loc[name])
    for name, part in of_four.groupby("name", sort=False)
])  # fmt: skip
caption = (
    f"AUROC within each of the {genes['gene'].nunique()} genes with at least {minimum} variants of each class among "
    f"the common rows; {here}"
)
show.figure(figures.per_gene(genes), genes, "02_genes", profile=profile, caption=caption)

# %% [markdown]
# ## Which strategy made the published scores?
#
# The sources disagree: by the study's notes the scores were read off the mutant background,
# while a later version of its page says `wt-marginals` (the first version names no strategy).
# The scores themselves can answer.
# In masked-language-model training a residue that the model can see is mostly the right one,
# so that the model prefers whatever it sees {cite:p}`devlin2019bert`.
# Read off the wild type, that pushes every score down; read off the mutant, it pushes every score up by as much.
# So the share of positive scores and the median tell the strategies apart.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Score distributions of P/LP and B/LB: published ESM-2, the model run in three ways"}}
rows = on_common.groupby(["model", "strategy", "name", "significance"], sort=False)["score"]
strategies = rows.agg(positive=lambda s: (s > 0).mean(), median="median", n="size").reset_index()
wide_strategies = strategies.pivot(index="name", columns="significance", values=["positive", "median"])
wide_strategies.columns = [f"{a}, {b}" for a, b in wide_strategies.columns]
show.table(wide_strategies.reset_index(),
                 caption=f"Share of scores above 0, and median score; common rows, {release}")  # fmt: skip
ways = [way for model, way in names.index if model == live_model and way != "published"]
of_kinds = on_common.set_index(["model", "strategy"]).loc[[four["ESM-2"], *((live_model, way) for way in ways)]]
of_kinds = of_kinds.reset_index()[["model", "strategy", "name", "significance", "score"]]
caption = f"Scores of the same variants, {release}: ESM-2 650M as published, `{live_model}` in three ways. Line: 0."
show.figure(figures.scores_by_class(of_kinds), of_kinds, "02_strategies", profile=profile, caption=caption)

# %% [markdown]
# Some genes are a natural experiment: where a model knows nothing of a protein, only the seen residue is left.
# In training, kept and random residues come equally often, a given wrong residue 20 times less often than any,
# so that a model without context should score every variant about $-\ln 20 = -3.0$ off the wild type,
# and $+3.0$ off the mutant.

# %% tags=["hide-input"]
large = published[published.groupby(["model", "gene"])["gene"].transform("size") >= 50]  # few are flat by chance
flat = large.groupby(["model", "gene"])["score"].quantile([0.25, 0.5, 0.75]).unstack()
flat.columns = ["first quartile", "median", "third quartile"]
flat["spread"] = flat["third quartile"] - flat["first quartile"]
flat = flat.sort_values(["model", "spread"]).groupby("model").head(3).reset_index()
caption = f"Published scores: for each model the three genes in which they vary least; {release}"
show.table(flat, caption=caption, digits=1)
reference = on_common[on_common["strategy"] == "published"]
likeness = metrics.rank_correlations(
    pd.concat([on_common[on_common["kind"].isin([style.RUN_HERE, style.UNIREP])], reference]), by="name"
)
likeness = likeness[likeness["second"].str.endswith("(published)")]
show.table(likeness, caption=f"Spearman correlation with the published scores, common rows; {release}")

# %% tags=["hide-input"]
positive = strategies[strategies["significance"] == "B/LB"].set_index(["model", "strategy"])["positive"]
seen = positive[live_model][ways]
nearest = (seen - positive[four["ESM-2"]]).abs().idxmin()
if seen.max() - seen.min() < 0.1:  # a tenth of the B/LB variants
    comparison = "The three hardly differ, so that this model cannot tell the strategies apart."
elif nearest == "mutant-marginals":
    comparison = "Of the three, mutant marginals come nearest to the published ESM-2, which supports that reading."
else:
    comparison = f"Of the three, {nearest} come nearest to the published ESM-2, which does not support that reading."
ran = [way for model, way in names.index if model == esm2 and way != "published"]
exact = [(common[names[esm2, way]] - common[names[esm2, "published"]]).abs().median() for way in ran]
decided = (
    "Run here, ESM-2 itself differs from its published scores by a median of "
    + ", ".join(f"{gap:.3f} ({way})" for gap, way in zip(exact, ran, strict=True)) + "."
    if ran else
    "Running ESM-2 itself (profile `paper`) decides it, since the right strategy must give the very numbers."
)  # fmt: skip
told = flat.drop_duplicates("model").set_index("model")
Markdown(f"""
ESM-1v varies least in {told["gene"][esm1v]} (median {told["median"][esm1v]:+.1f}), ESM-2 in {told["gene"][esm2]}
({told["median"][esm2]:+.1f}): near +3 is what a model without a clue gives off the mutant.
Such a score says nothing about the variant, and we would not use it: a wrong rank there is no finding on biology.

From this we infer that the published scores are mutant-background marginals; nobody documents it.
Of the B/LB variants, ESM-2's published score is positive for {positive[four["ESM-2"]]:.0%} and ESM-1v's for
{positive[four["ESM-1v"]]:.0%}. `{live_model}` gives {seen["wildtype-marginals"]:.0%} with wild-type,
{seen["masked-marginals"]:.0%} with masked and {seen["mutant-marginals"]:.0%} with mutant-background marginals.
{comparison} {decided}
""")

# %% [markdown]
# ## By allele frequency
#
# A variant that many people carry is rarely pathogenic, and frequency is itself evidence for ClinVar's classes.
# The hard cases are the rare variants of both classes; a frequency of 0 in the source means absent from gnomAD.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC of four models in four bins of gnomAD allele frequency, with intervals"}}
edges, labels = [-1, 0, 1e-5, 1e-4, 1], ["absent", "below 1e-5", "1e-5 to 1e-4", "above 1e-4"]
of_four["bin"] = pd.cut(of_four["allele_frequency"].fillna(0), edges, labels=labels).astype(str)
frequency = pd.DataFrame(
    [(bin, name, *looks.loc[name], *metrics.estimate(part.reset_index(drop=True), metrics.auroc, **boot))
     for (bin, name), part in of_four.groupby(["bin", "name"], sort=False)],
    columns=["bin", "name", "model", "kind", "value", "low", "high", "n"],
).sort_values("bin", key=lambda c: c.map(labels.index), kind="stable")  # fmt: skip
sizes = of_four.drop_duplicates(key).groupby(["bin", "significance"]).size().unstack(fill_value=0)
per_bin = "; ".join(f"{bin}: {row['P/LP']:,} and {row['B/LB']:,}" for bin, row in sizes.reindex(labels).iterrows())
caption = (
    f"AUROC by gnomAD allele frequency, common rows; {here} "
    f"P/LP and B/LB variants in each bin: {per_bin}. Whiskers: 95 % bootstrap over genes."
)
figure = figures.by_bin(frequency, across="gnomAD allele frequency")
show.figure(figure, frequency, "02_frequency", profile=profile, caption=caption)

# %% [markdown]
# ## Calibration
#
# A score becomes a probability of P/LP by an isotonic fit on four fifths of the genes; it is judged on the other fifth.
# The base rate is that of ClinVar's labels, not of a clinic's patients.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Reliability diagrams of four models: observed against predicted share of P/LP variants"}}
parts = {name: part.reset_index(drop=True) for name, part in of_four.groupby("name", sort=False)}
fitted = {name: part.assign(probability=metrics.calibrate(part, seed=seed)) for name, part in parts.items()}
calibration = pd.DataFrame(
    [(name, metrics.brier(part), metrics.expected_calibration_error(part), len(part)) for name, part in fitted.items()],
    columns=["name", "brier", "calibration_error", "n"],
)
base_rate = rates["P/LP"]
caption = f"Calibration across genes, {release}; Brier score of the base rate alone: {base_rate * (1 - base_rate):.3f}"
show.table(calibration, caption=caption)
curves = pd.concat([metrics.reliability(p).assign(name=name, **looks.loc[name]) for name, p in fitted.items()])
caption = (
    f"Reliability of cross-fitted probabilities, bins of equally many variants; {here} "
    "Whiskers: 95 % Wilson intervals, variants taken as independent."
)
show.figure(figures.reliability(curves), curves, "02_reliability", profile=profile, caption=caption)

# %% [markdown]
# ## Where the two published models disagree
#
# Scores of two models have different scales, so that we compare percentiles among the common rows (0: most damaging).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Percentile of each variant by ESM-2 and by ESM-1v, coloured by class, extremes named"}}
apart = common[[*key, "significance"]].assign(
    **{model: common[names[model, "published"]] for model in (esm2, esm1v)}, alignment=common["alignment column"]
)
ranks = apart.assign(**{model: apart[model].rank(pct=True) * 100 for model in (esm2, esm1v)})
gap = ranks[esm1v] - ranks[esm2]
largest = gap.abs().sort_values(ascending=False, kind="stable").index
caption = (
    f"Percentile ranks of the common rows by the published scores of ESM-2 650M and ESM-1v, {release}; "
    "named: the largest disagreement of each of six genes."
)
figure = figures.disagreement(ranks, esm2, esm1v, named=ranks.loc[largest].drop_duplicates("gene").head(6))
show.figure(figure, ranks, "02_disagreement", profile=profile, caption=caption)

# %% tags=["hide-input"]
nearer = np.where((gap < 0) == (apart["significance"] == "P/LP"), "ESM-1v", "ESM-2")
disagreements = apart.assign(ESM2_percentile=ranks[esm2], ESM1v_percentile=ranks[esm1v], nearer=nearer).loc[largest]
show.table(disagreements.head(12), caption=f"Largest disagreements of the published scores; {release}", digits=1)
disagreements = disagreements.head(200)
right = (disagreements["nearer"] == "ESM-1v").mean()
Markdown(f"Of the {len(disagreements)} largest disagreements, ESM-1v is on the side of ClinVar's class in {right:.0%}.")

# %% [markdown]
# ## What the mismatched isoforms do
#
# A variant that is numbered along another isoform is scored at a wrong residue unless somebody moves it.
# For those whose place in our sequence is known, the model that runs here is read at the right residue.
# A few of them name the letter that our sequence happens to have at the same number:
# they count as mismatched, since it is not their place.

# %% tags=["hide-input"]
here_elsewhere = live_elsewhere[live_elsewhere["model"] == live_model]
moved = here_elsewhere.drop(columns=["mutation", "model", "strategy"]).rename(
    columns={"named": "mutation", "score": live_model}
)
of_published = published.pivot(index=key, columns="name", values="score").reset_index()
one, two = (names[four[name]] for name in ("ESM-2", "ESM-1v"))
moved = metrics.labelled(moved.merge(of_published, on=key), score=[one, two])
matched = metrics.labelled(wide.reset_index().merge(matching[key], on=key), score=[one, two, names[main]])
matched = matched.rename(columns={names[main]: live_model})
mismatches = pd.DataFrame(
    [(rows, name, *metrics.estimate(part, metrics.auroc, score=name, **boot), part["gene"].nunique())
     for rows, part in (("matching", matched), ("mismatched", moved)) for name in (one, two, live_model)],
    columns=["rows", "name", "value", "low", "high", "n", "genes"],
)  # fmt: skip
caption = f"AUROC on matching and mismatched rows, {release}; {live_model} reads the right residue (wild type)"
show.table(mismatches, caption=caption)

# %% [markdown]
# The two groups are different genes: where an isoform differs, nearly all of the gene's variants are mismatched.
# Read the difference as a warning, not as an effect of the numbering alone.
#
# ## Gate and results

# %% tags=["hide-input"]
summary = pd.concat([all_rows, pair_rows, common_rows], ignore_index=True)
tables.check(summary, figures.ESTIMATES, where="variant_effects_summary")
ways_of = {tuple(sorted(part["strategy"].unique())) for _, part in live.groupby("model")}
every = {("masked-marginals", "mutant-marginals", "wildtype-marginals"), ("likelihood", "next-residue")}
assert ways_of <= every and len(names) == 3 + sum(live.groupby("model")["strategy"].nunique()), "a strategy is missing"
assert set(summary["statistic"]) == {"auroc", "within-gene auroc", "auprc P/LP", "auprc B/LB"}
assert common_rows.query("statistic == 'auroc'")["n_pathogenic"].nunique() == 1, "the common rows differ"
assert variants["release"].nunique() == 1, "the captions name one release"
saved = {"summary": summary, "differences": differences, "genes": genes, "strategies": strategies, "flat": flat,
         "likeness": likeness, "frequency": frequency, "calibration": calibration, "disagreements": disagreements,
         "mismatches": mismatches}  # fmt: skip
for name, table in saved.items():
    artifacts.save(table, f"variant_effects_{name}", profile)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
say = {
    (r.rows, r.model, r.strategy, r.statistic.split("-")[0]): show.interval(r.value, r.low, r.high)
    for r in summary.itertuples()
}  # keys end in "auroc", "within" or "auprc ..."
lead = differences.set_index(["first", "second", "statistic"])[["value", "low", "high"]]


def verdict(first, second, statistic="pooled"):
    return show.ahead(first, second, *lead.loc[(first, second, statistic)])


to_column = "the alignment column"
beaten = [name for name in list(four)[:3] if lead.loc[(name, to_column, "pooled"), "low"] > 0]
heading = "**Counting an alignment column is hard to beat**: pooled, no model here is clearly ahead of it."
if beaten:
    heading = f"**Counting an alignment column is a strong baseline**; clearly ahead of it: {', '.join(beaten)}."
low = all_rows.set_index(["model", "strategy", "statistic"])["low"][(*main, "auroc")]
chance = " (no better than chance, as far as one can tell)" if low <= 0.5 else ""
kin = "It has read orthologs of these very genes: see the limits." if models.card(first).bundled else ""
of = mismatches.set_index(["rows", "name"])["value"]
of_chains = "".join(f"""
- {name} (run here), has {say["all", *chains[name], "auroc"]} pooled and {say["all", *chains[name], "within"]} within
  genes. Within genes, {verdict(name, "ESM-2", "within genes")}, and {verdict(name, to_column, "within genes")}."""
    for name in chains)  # fmt: skip
Markdown(f"""
- On all rows that have a score, the published ESM-2 650M reaches an AUROC of
  {say["all", esm2, "published", "auroc"]}, ESM-1v {say["all", esm1v, "published", "auroc"]} and the alignment column
  {say["all", *four[to_column], "auroc"]}.
  The gene alone gives {share.value:.3f}: much of a pooled AUROC is knowing which gene one looks at.
- On the rows that both have, pooled, {verdict("ESM-1v", "ESM-2")}; within genes,
  {verdict("ESM-1v", "ESM-2", "within genes")}.
- {heading}
  On the common rows it reaches {say["common", *four[to_column], "auroc"]}.
  Pooled, {verdict("ESM-2", to_column)}, and {verdict("ESM-1v", to_column)}; within genes,
  {verdict("ESM-2", to_column, "within genes")}, and {verdict("ESM-1v", to_column, "within genes")}.
  In the AUPRC of B/LB, {verdict("ESM-2", to_column, "AUPRC of B/LB")}, and
  {verdict("ESM-1v", to_column, "AUPRC of B/LB")}.
- `{live_model}`, run here (wild-type marginals), reaches {say["all", *main, "auroc"]} on all its rows{chance}, on the
  common rows {say["common", *main, "auroc"]} pooled and {say["common", *main, "within"]} within genes.
  Pooled, {verdict(live_model, to_column)}; against the published scores, {verdict(live_model, "ESM-2")}. {kin}{of_chains}
- On mismatched rows the published scores reach {of["mismatched", one]:.3f} (ESM-2) and {of["mismatched", two]:.3f}
  (ESM-1v), on matching rows, of other genes, {of["matching", one]:.3f} and {of["matching", two]:.3f}.
""")

# %% [markdown]
# ## Limits
#
# - ClinVar's classes are not independent of conservation: laboratories use computed scores and alignments as evidence,
#   which flatters every predictor here, the alignment most of all.
# - The model bundled with this book was trained on vertebrate orthologs of these 53 genes, which the alignment rows
#   also are.
#   Its score is no test on unseen families; its held-out perplexity is in the chapter on the models.
# - UniRep learnt from human proteins among others, without labels, and its weights may not be used commercially.
# - Genes with an alignment, and genes with enough benign variants, are a selection of the list.
# - Resampling 53 genes gives wide intervals; an interval that holds 0 does not say that two models are equal.
# - The strategy behind the published scores is inferred, not documented.
# - Nothing here is for clinical use: there is no threshold, and the base rate is that of a database.
