# ---
# jupyter:
#   make:
#     after: [26_rescue_scan]
# ---

# %% [markdown]
# # In the population
#
# A variant that many people carry is rarely a severe one; selection has tried it out.
# Does {term}`allele frequency` say the same as a model's predicted effect, and does it say anything of whether a second
# substitution could make good the variant?
# People who carry two changes in one codon are a natural case of that; and for the variants of unknown significance one
# may ask which of them look rescuable.
#
# **Inputs**: `data/variants.parquet` (ClinVar {cite:p}`landrum2018clinvar`, frequencies of gnomAD
# {cite:p}`karczewski2020mutational`), `data/published_effects.parquet`, `data/alignment.parquet`,
# `data/same_codon.tsv`, `data/orthologs.parquet`, `data/structures.parquet`, `data/genes.tsv`; of the chapter
# *Do rescues sit in contact?* the tables `rescue.<model>` and `rescue_variants.<model>`; the weights of the models.
#
# **Outputs**: `results/<profile>/population_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: about a minute of one CPU core; the scan of the VUS runs live.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models or ensembles; the first has scanned all labelled variants
worst = 6  # VUS of a gene that are scanned: those with the lowest score; 0: all
minimum = 10  # variants that a gene needs for a correlation of its own
parts = [1, 5, 10]  # equal parts of a gene's labelled variants by predicted effect; 1: only the gene is matched
n = 1000  # resamples of the genes, and permutations
seed = 20220917  # of these: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.core.structures import structures_of
from plmbook.tables import bundled
from plmbook.variants import alignment, effects, population, rescue, studies

genes, orthologs = tables.load("genes"), tables.load("orthologs")
sequences, folds = genes.set_index("gene")["sequence"], structures_of(tables.load("structures"))
matching = bundled.matching_variants()
release = f"ClinVar {matching['release'].iat[0]}, gnomAD 2.1.1 exomes"
key, classes = ["gene", "mutation"], ["P/LP", "B/LB", "VUS"]

# %% [markdown]
# ## What a frequency is here
#
# It is that of gnomAD's 2.1.1 exomes, about 125,000 people, joined on gene and protein change.
# The source writes 0 where gnomAD has no such allele, and in our table it is missing: the variant is *absent*.
# Absent means not seen among these people; it may be rarer than gnomAD can see, or lie where exomes are read badly.
# So the correlations below use the variants that were **seen**, and absent ones stand beside them as a bin of their own.
#
# Start-loss variants, which ClinVar writes as a substitution of the first residue, leave no protein to be made good.
# They are left out of this chapter, and so are the variants that are numbered in another {term}`isoform`.

# %% tags=["hide-input"]
start = matching["position"] == 1
variants = matching[~start].reset_index(drop=True)
variants["bin"] = population.frequency_bins(variants["allele_frequency"])
counts = pd.crosstab(variants["significance"], variants["bin"]).loc[classes, list(population.BINS)].reset_index()
show.table(counts.rename(columns={"significance": "class"}), caption=f"Variants by allele frequency; {release}")
Markdown(
    f"{start.sum()} start-loss variants are left out "
    f"({', '.join(f'{k} {v}' for k, v in matching.loc[start, 'significance'].value_counts().items())})."
)

# %% [markdown]
# **The classes know the frequency.**
# ClinVar's submitters use it: a variant that is too common for its disease is benign by rule {cite:p}`richards2015standards`.
# So a score that tells P/LP from B/LB must follow frequency over both classes together, whatever it knows of selection.
# Within one class that shortcut is gone, though not wholly: what is common *and* VUS has been found wanting of a reason
# to be benign.
#
# ## Frequency and predicted effect
#
# The statistic is Spearman's correlation of frequency and score **within each gene**, a mean over the genes with enough
# variants; positive says that variants which are called milder are more common.
# The interval resamples genes.
# The models that run here read the wild type (wild-type marginals); beside them stand the published scores and the
# alignment column of the chapter on variant effects.


# %% tags=["hide-input"]
def mean_of(tables_of_members, name):
    """The table of an ensemble: the mean of its members' scores; of a single model its own."""
    together = pd.concat(tables_of_members, ignore_index=True)
    if len(tables_of_members) == 1:
        return together
    together = effects.add_mean(together, name=name)
    return together[together["model"] == name].reset_index(drop=True)


def scan(members, title, chosen):
    """The second sites of the chosen variants: rescuability, and the map of each gene as it was kept."""
    candidates, maps = [], {}
    for gene, part in chosen.groupby("gene", sort=False):
        assemblies, residues = alignment.ortholog_residues(orthologs, gene, sequences[gene])
        found = rescue.scan_protein(
            members,
            sequences[gene],
            [parse_mutations(text) for text in part["mutation"]],
            id=gene,
            structure=folds[gene],
            orthologs=residues if assemblies else None,
            maps=True,
        )
        candidates.append(found.candidates.assign(model=title))
        maps |= dict(zip([(gene, text) for text in found.mutations], found.maps, strict=True))
    return population.rescuability(pd.concat(candidates, ignore_index=True)).rename(columns={"id": "gene"}), maps


codons = tables.load("same_codon")
changes = population.codon_changes(codons)
missense = changes.loc[changes["kind"] == population.MISSENSE, key].drop_duplicates().reset_index(drop=True)
live, of_codons, of_vus, maps, chosen = [], {}, [], {}, None
for name in model_names:
    members = [models.load(each, dtype="float32") for each in models.expand([name])]
    title = members[0].name if len(members) == 1 else name
    scored = mean_of([studies.wildtype_effects(each) for each in members], title)
    live.append(scored)
    of_codons[title] = mean_of([effects.score_table(each, genes, missense) for each in members], title)
    if chosen is None:  # the first model says which VUS are scanned, by all models
        vus = scored[(scored["significance"] == "VUS") & (scored["position"] > 1)].sort_values([*key])
        chosen = vus.sort_values("score", kind="stable").groupby("gene").head(worst or len(vus)).sort_values([*key])
    made, maps[title] = scan(members, title, chosen)
    of_vus.append(made.merge(scored[[*key, "score"]].rename(columns={"score": "score_wild_type"}), on=key))
    del members  # before the next is loaded
titles = list(of_codons)
first, others = titles[0], titles[1:]
of_vus = pd.concat(of_vus, ignore_index=True)

esm2, esm1v = "esm2_t33_650M_UR50D", "esm1v"
published = tables.load("published_effects")
published = published[published["model"].isin([esm2, esm1v])]
published = variants.merge(published, on=key).assign(name=lambda t: t["model"].map(style.label) + " (published)")
column = alignment.effects(tables.load("alignment"), variants).assign(name="alignment column")
live = pd.concat(live, ignore_index=True)
live = live[live["position"] > 1].assign(name=lambda t: t["model"], kind=style.RUN_HERE)
live.loc[live["model"].str.endswith("_general"), "kind"] = style.GENERAL
published["kind"], column["kind"] = published["model"].map(style.kind), style.ALIGNMENT
scores = pd.concat([live, published, column], ignore_index=True).drop(columns="bin").merge(variants[[*key, "bin"]])
names = list(dict.fromkeys(scores["name"]))
have = scores.groupby(key)["name"].nunique() == len(names)
scores = scores.set_index(key).loc[have[have].index].reset_index()  # the variants that all have
looks = scores.drop_duplicates("name").set_index("name")[["model", "kind"]]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Within-gene rank correlation of allele frequency and score, a panel a class, a line a model"}}
boot = {"n": n, "seed": seed}
groups = {"all classes": classes} | {each: [each] for each in classes}
frequency = pd.DataFrame(
    [
        {"name": name, **looks.loc[name], "statistic": title}
        | population.correlation(part, "allele_frequency", "score", minimum=minimum, **boot)
        for name in names
        for title, group in groups.items()
        for part in [scores[(scores["name"] == name) & scores["significance"].isin(group)]]
    ]
)
sizes = frequency.drop_duplicates("statistic").set_index("statistic")
caption = (
    f"Spearman correlation of allele frequency and score within genes, on variants seen in gnomAD that all have; "
    f"{release}; published ESM-2 650M and ESM-1v, {', '.join(titles)} run here. Genes and variants: "
    + "; ".join(f"{each} {row['genes']} and {row['variants']:,}" for each, row in sizes.iterrows())
    + ". Whiskers: 95 % bootstrap over genes."
)
figure = figures.forest(frequency, axis="correlation", reference=0, columns=2)
show.figure(figure, frequency, "10_frequency", profile=profile, caption=caption)

# %% [markdown]
# With the absent ones: the score of a variant as its percentile among the variants of its gene, by bin.
# If absence meant no more than bad luck in sampling, the first bin would lie at 50.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean percentile of the score within the gene, by bin of allele frequency, a mark a model"}}
placed = [
    part.assign(percentile=population.gene_percentiles(part, "score")) for _, part in scores.groupby("name", sort=False)
]
by_bin = pd.concat(
    [
        population.mean_by_bin(part, "percentile", **boot).assign(
            name=part["name"].iat[0], **looks.loc[part["name"].iat[0]]
        )
        for part in placed
    ],
    ignore_index=True,
)
by_class = pd.concat(
    [
        population.mean_by_bin(rows, "percentile", **boot).assign(name=part["name"].iat[0], significance=group)
        for part in placed
        for group, rows in part.groupby("significance")
    ],
    ignore_index=True,
)
in_bin = by_bin.drop_duplicates("bin")
caption = (
    f"Percentile of the score within the gene (100: mildest), mean over genes, by allele frequency; all classes, "
    f"{release}; published ESM-2 650M and ESM-1v, {', '.join(titles)} run here. Variants: "
    + "; ".join(f"{row.bin} {row.variants:,}" for row in in_bin.itertuples())
    + ". Whiskers: 95 % bootstrap over genes. Dotted: the mean of all."
)
figure = figures.by_bin(by_bin, axis="percentile of the score", across="gnomAD allele frequency", reference=50)
show.figure(figure, by_bin, "10_bins", profile=profile, caption=caption)

# %% [markdown]
# ### The kind of substitution
#
# How often a residue turns into another one is partly mutation: arginine codons hold CpG sites, which mutate ten times as
# often as others.
# A model that has a low opinion of such substitutions anywhere goes against frequency for that reason.
# We looked because the correlation of the general embedded model lay below 0, so this is exploratory: *given the kind* is
# the rank correlation that is left at equal rank of the mean score of the same two residues over all genes.

# %% tags=["hide-input"]
scores["kind of substitution"] = scores.groupby(["name", "ref", "alt"])["score"].transform("mean")
given_kind = pd.DataFrame(
    [
        {"name": name, **looks.loc[name], "statistic": statistic}
        | population.correlation(part, "allele_frequency", value, given=given, minimum=minimum, **boot)
        for name, part in scores.groupby("name", sort=False)
        for statistic, value, given in (
            ("the score", "score", None),
            ("the score, given the kind", "score", "kind of substitution"),
            ("the kind alone", "kind of substitution", None),
        )
    ]
)
show.table(
    given_kind[["name", "statistic", "value", "low", "high"]].rename(
        columns={"name": "model", "statistic": "frequency with"}
    ),
    caption=f"Spearman correlation with frequency within genes, all classes; {release}",
)

# %% [markdown]
# ## Rescuability, as it was defined beforehand
#
# The {term}`rescue scan <rescue mutation>` of a variant $v$ gives of each second substitution $u$ its score on the
# variant's background and its {term}`epistasis`.
# A second substitution is *acceptable* if the background prefers it to the residue that stands there.
# {term}`Rescuability <rescuability>` is the epistasis of the best acceptable one, in nats, and 0 where none gains:
#
# $$R(v) = \max\Bigl(0,\ \max_{u:\ \text{score}_B(u) \ge 0} \varepsilon(v, u)\Bigr).$$
#
# Epistasis and not the score, so that a substitution which the wild type likes as much is no rescue; and only the
# acceptable ones, so that what is hopeless on both is none either.
# The *share made good* is $R(v) / -s(v)$ with the predicted effect $s(v) < 0$: at 1, the best second substitution gains
# what the variant costs.
#
# This was written down before the comparison below was made, and it was not changed after.
# `rescue.<model>` keeps so many of the best second sites of a variant by either number.
# The maximum is exact unless more of them are acceptable than were kept; then it is known between two bounds.
# $R$ is the lower one; the comparison is made with the upper one and with the exact ones too, which was added when the
# share of exact values was seen.

# %% tags=["hide-input"]
about = artifacts.read(f"rescue_variants.{first}", profile).rename(columns={"id": "gene"})
second = population.rescuability(artifacts.read(f"rescue.{first}", profile)).rename(columns={"id": "gene"})
labelled = variants[variants["significance"].isin(bundled.LABELLED)]
scanned = labelled[[*key, "position", "significance", "allele_frequency", "bin"]].merge(
    about[[*key, "score_wild_type", "mean_abs_epistasis", "best_epistasis"]], on=key
)
scanned = scanned.merge(second, on=key).sort_values(["gene", "position", "mutation"], ignore_index=True)
scanned["share"] = population.compensated_share(scanned)
of_classes = scanned.groupby("significance").agg(
    variants=("gene", "size"),
    exact=("exact", "mean"),
    none=("rescuability", lambda r: (r == 0).mean()),
    score=("score_wild_type", "median"),
    rescuability=("rescuability", "median"),
    at_most=("at_most", "median"),
    share=("share", "median"),
)
show.table(
    of_classes.loc[list(bundled.LABELLED)]
    .reset_index()
    .rename(columns={"significance": "class", "none": "R = 0", "at_most": "at most"}),
    caption=f"Rescuability by {first}: share of exact and of zero values, medians of score, R, upper bound, share made "
    f"good; {release}",
)

# %% [markdown]
# A variant that costs more leaves more to be made good, and disturbs the model more; or it breaks so much that nothing
# helps.
# Whichever it is, the classes differ in predicted effect, and so they must be compared at equal predicted effect.

# %% tags=["hide-input"]
scanned["cost"] = -scanned["score_wild_type"]
with_cost = {
    value: population.correlation(scanned, "cost", value, minimum=minimum, **boot)
    for value in ("rescuability", "at_most", "best_epistasis")
}
Markdown(
    "Within genes, the predicted cost correlates with rescuability by "
    f"{show.interval(*list(with_cost['rescuability'].values())[:3], sign=True)}, with its upper bound by "
    f"{show.interval(*list(with_cost['at_most'].values())[:3], sign=True)}, and with the highest epistasis, acceptable or "
    f"not, by {show.interval(*list(with_cost['best_epistasis'].values())[:3], sign=True)}."
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rescuability against predicted effect, a dot a variant, with a line of medians for P/LP and one for B/LB"}}
caption = (
    f"Rescuability (nats) against the predicted effect of the variant, both by {first}; {len(scanned):,} P/LP and B/LB "
    f"variants, {release}. Lines: medians of eight equal parts of a class. The vertical axis is stretched near 0. "
    "Genes are pooled here; the test below is within genes."
)
figure = figures.trends_by_class(
    scanned, x="score_wild_type", y="rescuability", x_axis="score on the wild type (nats)", y_axis="rescuability (nats)"
)
show.figure(
    figure,
    scanned[[*key, "significance", "score_wild_type", "rescuability"]],
    "10_rescuability",
    profile=profile,
    caption=caption,
)

# %% [markdown]
# ## Do pathogenic variants differ, given their predicted effect?
#
# A P/LP variant is compared with the B/LB variants of its gene whose predicted effect lies in the same part: one part
# (nothing but the gene is matched), fifths, tenths.
# The statistic is the chance that the P/LP variant has the higher value; one half is no difference.
# **The main line is that of rescuability in fifths**, and the rest is there to read it.
# Its upper bound and the variants with an exact value say whether the bounds matter; what is left of the predicted cost
# itself within the parts says how well they match.
# The last two are what one might have called rescuability instead: the highest epistasis, acceptable or not, and the mean
# of its absolute value, which is how much the variant disturbs the model at all.
# The interval resamples genes; $p$ is two-sided, from rotating the labels along the chain within each part.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Chance that a P/LP variant has the higher value than a B/LB one, matched ever more finely, a panel a value"}}
values = {
    "rescuability": ("rescuability", scanned),
    "predicted cost itself": ("cost", scanned),
    "its upper bound": ("at_most", scanned),
    "exact values only": ("rescuability", scanned[scanned["exact"]]),
    "highest epistasis": ("best_epistasis", scanned),
    "mean |epistasis|": ("mean_abs_epistasis", scanned),
}
how = {1: "gene only", 5: "fifths", 10: "tenths"}
difference = pd.DataFrame(
    [
        (first, panel, how.get(bins, f"{bins} parts"), *population.class_difference(rows, value, bins=bins, **boot))
        for panel, (value, rows) in values.items()
        for bins in parts
    ],
    columns=["model", "statistic", "name", "value", "low", "high", "p", "genes", "P/LP", "B/LB"],
)
caption = (
    f"Chance that a P/LP variant has a higher value than a B/LB variant of the same gene and part of the predicted effect; "
    f"{first}, {release}. Whiskers: 95 % bootstrap over genes. Dotted: no difference."
)
figure = figures.forest(difference, axis="chance", reference=0.5, columns=2)
show.figure(figure, difference, "10_classes", profile=profile, caption=caption)
show.table(
    difference[["statistic", "name", "value", "low", "high", "p", "genes", "P/LP", "B/LB"]].rename(
        columns={"statistic": "value of", "name": "matched"}
    ),
    caption=f"The same as a table, with what was compared; {first}, {release}",
)

# %% [markdown]
# ## Rescuability and frequency
#
# Labelled variants that were seen, within genes; *given the effect*: the rank correlation that is left at equal rank of
# the predicted effect.

# %% tags=["hide-input"]
followed = pd.DataFrame(
    [
        {
            "model": first,
            "statistic": f"{text} with frequency, {title}{' , given the effect' if given else ''}".replace(" ,", ","),
        }
        | population.correlation(rows, "allele_frequency", value, given=given, minimum=minimum, **boot)
        for value, text in {"score_wild_type": "predicted effect", "rescuability": "rescuability"}.items()
        for title, rows in {"P/LP and B/LB": scanned, "B/LB": scanned[scanned["significance"] == "B/LB"]}.items()
        for given in ([None] if value == "score_wild_type" else [None, "score_wild_type"])
    ]
)
show.table(
    followed[["statistic", "value", "low", "high", "genes", "variants"]].rename(
        columns={"statistic": "correlation of"}
    ),
    caption=f"Spearman correlation within genes, {first}; {release}",
)

# %% [markdown]
# ## Two changes in one codon
#
# gnomAD lists people who carry two changes in one codon on one chromosome {cite:p}`wang2020mnv`.
# What each would do alone and what they do together are different residues, or a stop that turns into a residue: the
# nearest thing to a rescue that a genome shows directly, at one residue instead of two.
# If carriers are healthy because the combination is milder than its parts, a model might say so.

# %% tags=["hide-input"]
cases = codons.reset_index(names="case")
cases["fits"] = cases["case"].isin(changes["case"])
cases["shown"] = cases["gene"] + " " + cases["mutation"]
of_case = pd.concat(
    [population.codon_scores(changes, scored).assign(model=title, name=title) for title, scored in of_codons.items()],
    ignore_index=True,
)
known = alignment.effects(tables.load("alignment"), missense)
aligned_cases = changes["gene"].isin(known["gene"]).groupby(changes["case"]).all()
aligned_changes = changes[changes["case"].isin(aligned_cases[aligned_cases].index)]
of_case = pd.concat(
    [of_case, population.codon_scores(aligned_changes, known).assign(model="alignment", name="alignment column")],
    ignore_index=True,
).merge(cases[["case", "category", "gene", "mutation", "shown", "change1", "change2"]], on="case")
changed = of_case[of_case["category"] == "Changed missense"]
verdicts = pd.concat(
    [
        population.milder(part).assign(model=part["model"].iat[0], name=name)
        for name, part in changed.groupby("name", sort=False)
    ],
    ignore_index=True,
)
misfits = cases[~cases["fits"]]
per_category = cases.groupby("category").agg(cases=("case", "size"), fits=("fits", "sum")).reset_index()
show.table(
    per_category.rename(columns={"fits": "in our sequence"}),
    caption="Two changes in one codon, gnomAD 2.1, and those whose wild type is that of our sequence",
)
Markdown(f"Not scored, since the residue is another one in our sequence: {', '.join(misfits['shown'])}.")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Scores of two single changes and of their combination for each changed missense case, a panel a model"}}
order = changed[changed["model"] == first].sort_values("combined")["shown"].tolist()
drawn = changed[changed["model"].isin(titles)].assign(
    name=lambda t: t["shown"], panel=lambda t: t["model"].str.replace("_t", "\n_t", n=1)
)
drawn = drawn.sort_values("name", key=lambda c: c.map(order.index), kind="stable")
drawn = drawn.sort_values("model", key=lambda c: c.map(titles.index), kind="stable")
caption = (
    f"*Changed missense*: the scores (wild-type marginals) of the two single changes (rings) and of both together "
    f"(filled), {', '.join(titles)}; gnomAD 2.1. Left is more damaging; 0 is the wild type, or a silent change."
)
show.figure(
    figures.single_and_combined(drawn, axis="score (natural log)"), drawn, "10_codons", profile=profile, caption=caption
)

# %% [markdown]
# If the three residues of a case were alike in rank, the combination would be milder than the worse single change in two
# of three cases, and milder than both in one of three; beside a silent change, milder than the only one in one of two.
# That is a yardstick and no null hypothesis: two changes reach farther in the genetic code than one.

# %% tags=["hide-input"]
show.table(
    verdicts[["name", "than", "k", "n", "value", "low", "high"]].rename(
        columns={"name": "by", "than": "combination milder than", "n": "of"}
    ),
    caption="Changed missense: how often the combination is called milder; exact binomial intervals",
    digits=2,
)
rescued = of_case[(of_case["category"] == "Rescued nonsense") & (of_case["model"] == first)]
show.table(
    rescued[["gene", "change1", "change2", "mutation", "combined"]].rename(
        columns={"change1": "one change", "change2": "the other", "mutation": "together", "combined": "score together"}
    ),
    caption=f"Rescued nonsense, {first}: the model knows no stop (*) and cannot score it; only the combination has a score",
    digits=2,
)

# %% [markdown]
# ## Which VUS look rescuable
#
# **Not for clinical use**: this is a model's arithmetic on a variant whose effect nobody knows, and on a second
# substitution that nobody has made.
#
# Scanned are, of each gene, the VUS with the worst predicted effect by the first model; the rule looks at no class and at
# no frequency.
# A variant that costs little has little to be made good, so that the mild ones would only add noise.
# Each model computes the share made good, $R(v) / -s(v)$, by itself; a variant ranks by **the smallest share that any of
# the models gives it**, so that one model alone cannot lift it.
# How far the models agree is also seen in where the others rank the first model's second substitution among all second
# sites of that variant (100: on top).


# %% tags=["hide-input"]
def standing(row, title):
    """The percentile that another model gives the first model's second substitution by epistasis."""
    variant, site = parse_mutations(row.mutation), Mutation.parse(row.second) if row.second else None
    if site is None:
        return np.nan
    codes = maps[title][row.gene, row.mutation].astype(np.int16)
    place, among = rescue.rank_of(codes, rescue.second_sites(sequences[row.gene], variant), site)
    return 100 * (among - place) / (among - 1)


def seen(row):
    """How many orthologs have the second substitution's residue at its place; missing without an alignment."""
    assemblies, residues = alignment.ortholog_residues(orthologs, row.gene, sequences[row.gene])
    if not assemblies or not row.second:
        return np.nan
    site = Mutation.parse(row.second)
    return float((residues[:, site.position - 1] == AMINO_ACIDS.index(site.alt)).sum())


ranking = population.ranked(of_vus, titles)
mine = of_vus[of_vus["model"] == first][[*key, "second", "distance_angstrom", "cpd"]]
ranking = ranking.merge(mine, on=key).merge(variants[[*key, "allele_frequency"]], on=key)
for title in others:
    theirs = of_vus.loc[of_vus["model"] == title, [*key, "second"]].rename(columns={"second": f"second {title}"})
    ranking = ranking.merge(theirs, on=key)
    ranking[f"standing {title}"] = [standing(row, title) for row in ranking.itertuples()]
ranking["orthologs"] = [seen(row) for row in ranking.itertuples()]
ranking = ranking.sort_values(["share", *key], ascending=[False, True, True], ignore_index=True)
top = ranking.head(20)
short = {first: "default" if models.card("embedded").name == first else style.label(first)}
short |= {title: "general" if title == models.card("embedded_general").name else title for title in others}
table = pd.DataFrame({"VUS": top["gene"] + " " + top["mutation"], "second": top["second"]})
for title in titles:
    table[f"share, {short[title]}"] = top[f"share {title}"]
for title in others:
    table[f"standing, {short[title]}"] = top[f"standing {title}"].round().map("{:.0f}".format)
table["Å"], table["orthologs"] = top["distance_angstrom"], top["orthologs"].map("{:.0f}".format).replace("nan", "–")
show.table(
    table,
    caption=f"VUS by the share that all models call made good, {show.models_named(short)}; {release}; second "
    f"substitution of {first}; standing: its percentile by the other model; Å: C-beta distance; orthologs with its "
    "residue. Not for clinical use",
    digits=2,
)

# %% tags=["hide-input"]
like = scanned[scanned["score_wild_type"] <= top[f"score {first}"].max()]
alike = like.groupby("significance")["share"].agg(lambda share: (share >= top[f"share {first}"].min()).mean())
agree = pd.Series({title: (top["second"] == top[f"second {title}"]).sum() for title in others}, dtype="int64")
heights = {title: ranking[f"standing {title}"].median() for title in others}
Markdown(
    f"{len(chosen)} VUS of {chosen['gene'].nunique()} genes were scanned; {len(ranking)} of them are damaging by every model. "
    + " ".join(
        f"{title} names the same second substitution as {first} for {agree[title]} of these {len(top)} "
        f"(and for {(ranking['second'] == ranking[f'second {title}']).sum()} of all {len(ranking)}); the median standing "
        f"over all is {heights[title]:.0f}."
        for title in others
    )
    + f" A share this high by {first} is nothing special to VUS: "
    + ", ".join(f"{value:.0%} of the {group}" for group, value in alike.items())
    + " variants that score as low reach that of the last in the table."
)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
agreed = scanned.merge(live.loc[live["model"] == first, [*key, "score"]], on=key)
assert len(agreed) == len(scanned) > 0, "a scanned variant is not among the matching ones"
assert np.allclose(agreed["score"], agreed["score_wild_type"], atol=0.01), "the scan is of another model or sequence"
for made in (second, of_vus):
    tables.check(made.rename(columns={"gene": "id"}), population.RESCUABILITY, where="population")
for made in (frequency, given_kind, difference, followed):
    tables.check(made, figures.ESTIMATES, where="population")
saved = {"counts": counts, "frequency": frequency, "given_kind": given_kind, "bins": by_bin,
         "bins_by_class": by_class, "labelled": scanned, "classes": difference, "rescuability_frequency": followed,
         "codons": of_case, "codons_milder": verdicts, "vus": ranking}  # fmt: skip
for name, made in saved.items():
    artifacts.save(made, f"population_{name}", profile)

# %% [markdown]
# ## What this shows


# %% tags=["hide-input"]
def say(row, *, sign=False, digits=2):
    return show.interval(row["value"], row["low"], row["high"], sign=sign, digits=digits)


def told(row, chance, above, below, even):
    return above if row["low"] > chance else below if row["high"] < chance else even


at = frequency.set_index(["name", "statistic"])
rank = difference.set_index(["statistic", "name"])
chief = rank.loc["rescuability", how.get(parts[1], f"{parts[1]} parts")]
raw, left = rank.loc["rescuability", "gene only"], rank.loc["predicted cost itself"].iloc[1]
follow = followed.set_index("statistic")
given = follow.loc["rescuability with frequency, P/LP and B/LB, given the effect"]
codon = verdicts.set_index(["name", "than"])
finer = rank.loc["rescuability"].iloc[2:]  # what else was matched, more finely
bounds = [rank.loc[each, chief.name[1]] for each in ("its upper bound", "exact values only")]
verdict = told(
    chief,
    0.5,
    "P/LP variants are called more rescuable than B/LB variants of the same predicted effect",
    "P/LP variants are called less rescuable than B/LB variants of the same predicted effect",
    "no difference between P/LP and B/LB variants can be told",
)
if (chief["p"] < 0.05) != (chief["low"] > 0.5 or chief["high"] < 0.5):
    verdict += " (interval and permutation do not agree)"
verdict += f"; with the upper bound {say(bounds[0])}, p {bounds[0]['p']:.2g}, with exact values only {say(bounds[1])}, p {bounds[1]['p']:.2g}"
lines = [
    "- Frequency and predicted effect go together within genes, all classes: "
    + "; ".join(f"{name} {say(at.loc[(name, 'all classes')], sign=True)}" for name in names)
    + ".",
    "- At equal kind of substitution: "
    + "; ".join(
        f"{row['name']} {say(row, sign=True)}"
        for _, row in given_kind[given_kind["statistic"] == "the score, given the kind"].iterrows()
    )
    + ".",
    "- Among VUS alone, where the class says nothing: "
    + "; ".join(f"{name} {say(at.loc[(name, 'VUS')], sign=True)}" for name in names)
    + ".",
    f"- Rescuability, matched on the gene alone: {say(raw)}, p {raw['p']:.2g}, that a P/LP variant has more than a B/LB one. "
    f"**Given the predicted effect, as planned in {chief.name[1]}: {say(chief)}, p {chief['p']:.2g}:** {verdict}. "
    + "".join(f"In {name}: {say(row)}, p {row['p']:.2g}. " for name, row in finer.iterrows())
    + f"Within the same parts the predicted cost itself still differs, {say(left)}; over the gene, rescuability correlates with "
    f"it by "
    f"{say(with_cost['rescuability'], sign=True)}, so that this "
    + told(with_cost["rescuability"], 0, "favours P/LP", "favours B/LB", "can hardly make or hide a difference")
    + ".",
    f"- Rescuability correlates with frequency by {say(given, sign=True)} given the predicted effect: "
    + told(
        given, 0, "the more common the more rescuable", "the more common the less rescuable", "no sign of a relation"
    )
    + ".",
    "- Two missense changes in one codon: the combination is called milder than both in "
    + "; ".join(
        f"{row['k']} of {row['n']} ({name}, {say(row)})"
        for name, row in codon.xs("both of two", level="than").iterrows()
    )
    + ".",
    f"- {len(ranking)} VUS are ranked. What all models agree to be made good is {top['share'].max():.0%} of the predicted "
    f"cost at best and {top['share'].min():.0%} at the end of the table"
    + (": by these models, no VUS looks rescued by one substitution. " if top["share"].max() < 0.5 else ". ")
    + f"In the table the second residue is {top['distance_angstrom'].median():.0f} Å away in the median, and known from an "
    f"ortholog in {(top['orthologs'] > 0).sum()} of {top['orthologs'].notna().sum()}.",
]
Markdown("\n".join(lines))

# %% [markdown]
# **What would change this.**
# Frequencies of a larger set of people, or of one in which the disease genes of this list were not screened, could move
# the correlations within a class; those over all classes are partly made by the rules of classification.
# A model that was not trained on the orthologs of these genes, scanned over all labelled variants, would say whether the
# comparison of the classes is the model's memory of which residues the orthologs have.
# A difference that stays when the parts are made finer, and shows in genes that were not looked at here, would be one of
# the classes; one that shrinks with the parts is the predicted effect seen twice.
# And one measured second substitution that restores a VUS of the table would be worth more than the table.
#
# ## Limits
#
# - Not for clinical use: no threshold, no patient, no measurement stands behind the table of VUS.
# - Classes use frequency, conservation and computed scores; none of the three is independent of the others here.
# - Frequency is also mutation, and the kind of substitution takes that away only as far as two residues tell the codons.
# - The score on the wild type is large where a model is sure of the residue that it reads, as the default model is in
#   genes whose orthologs it knows; shares made good are small for that reason too, while ranks within a gene are not
#   touched by it.
# - gnomAD holds few people of many ancestries; a founder variant is common and may be severe.
# - Rescuability is a maximum over thousands of second sites of a small model, and the highest of many noisy numbers is
#   mostly noise; the chapters before this one say how little of its {term}`epistasis` was found in structures, orthologs
#   and experiments.
# - A codon's two changes were seen in people; that their carriers are well was not.
# - The cases of one codon are few, and some share a gene.
# - The default model has read the orthologs of these genes, so that a second residue which an ortholog has is no discovery.
