# %% [markdown]
# # Against experiment
#
# Laboratories have measured thousands of double mutants beside their singles.
# Where the double is better than its two singles let one expect, there is positive {term}`epistasis`; where it wins back
# what a damaging first mutation cost, there is a {term}`rescue mutation`.
# Does the epistasis that a model computes go with the measured one, and does it find the measured rescues, better than
# rules that need no model?
#
# **Inputs**: `data/landscapes.parquet`, `data/landscape_proteins.tsv`, `data/suppressors.tsv`, `data/genes.tsv`;
# `landscape-scores` of `data/derived`; the weights of the models.
#
# **Outputs**: `results/<profile>/experiment_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: half a minute on one CPU core; the scores on the backgrounds are shipped
# ({ref}`sec-derived`), a sample is computed afresh, and the scans of the human genes run live.
# The landscapes with many singles have part of them as backgrounds (`n_backgrounds`).

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models or ensembles to test
n_backgrounds = 250  # single mutants of a landscape that are run as backgrounds: those with the most doubles; 0 = all
n_resamples = 500  # of positions, or of mutations
ks = [10, 20, 50, 100]  # how many pairs are looked at, for precision at k
shown_ks = [20, 50]  # of these in the figure
enough = 20  # measured rescues that a landscape needs for precision at k
seed = 2016  # of the resamples: the year of the GB1 landscape

# %%
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.core.residues import join_mutations, parse_mutations
from plmbook.stats import metrics
from plmbook.variants import landscapes, rescue, studies

default, general = (models.card(name).name for name in ("embedded", "embedded_general"))
short = {default: "default", general: "general"}  # what tables and figures call them
measured, proteins = tables.load("landscapes"), tables.load("landscape_proteins")
called = {
    "gb1": "GB1",
    "pdz3_abundance": "PDZ3 abundance",
    "pdz3_binding": "PDZ3 binding",
    "pab1": "Pab1",
    "ube4b": "Ube4b",
    "avgfp": "avGFP",
}

# %% [markdown]
# ## The landscapes
#
# Fitness is put on one scale, fixed before any model ran: its natural logarithm relative to the wild type, never below
# the floor of the assay, where dead variants lie and none is deader than another.
# Measured epistasis is then $\varepsilon = f_{12} - f_1 - f_2$ (**primary**), on the doubles that the floor does not
# decide; and, as a check on all doubles, what is left after the best increasing function of $f_1 + f_2$ is taken away
# (*residual*).
#
# *Noise* is the share of variants that cannot work, such as those with a stop, that measure above half of the way from
# the floor to the wild type.
# *Rescues* are pairs of a mutation that costs at least half of what the assay can show and a second one that wins half of
# it back, beyond three standard errors.

# %% tags=["hide-input"]
doubles = landscapes.epistasis(measured, proteins)
pairs = landscapes.rescues(measured, proteins)
n_singles = measured["landscape"].value_counts() - doubles["landscape"].value_counts()
summary = pd.DataFrame(
    [
        {
            "landscape": called[name],
            "singles": int(n_singles[name]),
            "doubles": len(part),
            "floor (nats)": part["floor"].iat[0],
            "not floored": f"{1 - part['floored'].mean():.0%}",
            "noise": f"{proteins.set_index('landscape')['null_above_half'][name]:.0%}",
            "rescues": int((pairs["landscape"] == name).mul(pairs["rescued"]).sum()),
            "of pairs": int((pairs["landscape"] == name).sum()),
        }
        for name, part in doubles.groupby("landscape", sort=False)
    ]
)
show.table(summary, caption="What was measured", digits=2)
about = proteins.assign(landscape=proteins["landscape"].map(called))[["landscape", "assay", "length"]]
show.table(about.rename(columns={"length": "residues read"}), caption="The assays, and how much a model reads")

# %% [markdown]
# **What the models have read.**
# The families of these five proteins were kept out of the training of both embedded models (`data/README.md`); PDZ and
# RRM domains in longer proteins may have stayed, so that PDZ3 and Pab1 are not wholly new to them.
# The orthologs that the default model has read besides are those of other genes.
# So both models are tested here on what they have not read; a published model has read these families.
#
# ## What a model says of a double
#
# Each single mutant is a background, and every other mutation is scored on it and on the wild type; the difference is the
# model's epistasis.
# The model reads one mutation and scores the other, so a double has two numbers; their mean is compared with the one that
# was measured.

# %% tags=["hide-input"]
n_rescues = pairs.groupby("landscape")["rescued"].sum()
counted = [name for name in called if n_rescues.get(name, 0) >= enough]  # landscapes with enough rescues to count


def scanned_by(entry):
    """The name of a model or an ensemble, and its scores of second mutations on backgrounds, by landscape."""
    members = [models.load(name, dtype="float32") for name in models.expand([entry])]
    found = [
        studies.landscape_scores(each, n_backgrounds=n_backgrounds, enough=enough, profile=profile) for each in members
    ]
    if len(members) == 1:
        return members[0].name, found[0]
    numbers = found[0].select_dtypes("number").columns  # of an ensemble the mean
    return entry, found[0].assign(**{name: sum(table[name] for table in found) / len(found) for name in numbers})


scores = dict(scanned_by(entry) for entry in model_names)
titles = {name: short.get(name, style.label(name)) for name in scores}
models_named = show.models_named(titles)


def of_landscape(table, name):
    return table[table["landscape"] == name]


# %% tags=["hide-input"]
predictors = {}  # column -> model, or None for a rule
for name in scores:
    predictors |= {f"epistasis, {titles[name]}": name, f"s1 + s2, {titles[name]}": name}
predictors |= dict.fromkeys(["f1 + f2, measured", "BLOSUM62", "near in the chain"])
doubles["f1 + f2, measured"] = doubles["f1"] + doubles["f2"]
doubles["BLOSUM62"] = sum(landscapes.substitution_similarity(doubles[f"mutation{which}"]) for which in "12")
doubles["near in the chain"] = doubles["position1"] - doubles["position2"]  # less negative: nearer
agree = []
for name, scored in scores.items():
    scored["sum"] = scored["score_first"] + scored["score_wild_type"]
    for landscape, part in doubles.groupby("landscape", sort=False):
        mine = of_landscape(scored, landscape)
        both = landscapes.symmetric(part, mine)
        doubles.loc[part.index, f"epistasis, {titles[name]}"] = both["mean"]
        doubles.loc[part.index, f"s1 + s2, {titles[name]}"] = landscapes.symmetric(part, mine, value="sum")["mean"]
        both = both.dropna()
        agree.append((titles[name], called[landscape], len(both), both["on1"].corr(both["on2"], method="spearman")))
agree = pd.DataFrame(agree, columns=["model", "landscape", "doubles", "Spearman"])
scored_doubles = doubles.dropna(subset=list(predictors)).reset_index(drop=True)
n_run = {name: of_landscape(next(iter(scores.values())), name)["mutation"].nunique() for name in called}
coverage = pd.DataFrame(
    [
        (called[name], n_run[name], len(of_landscape(scored_doubles, name)), len(of_landscape(doubles, name)))
        for name in called
    ],
    columns=["landscape", "backgrounds run", "doubles scored", "doubles measured"],
)
show.table(
    coverage,
    caption="Backgrounds that were run: the singles with the most doubles, and where rescues are counted all damaging ones",
)
both_ways = agree.pivot(index="landscape", columns="model", values="Spearman").loc[list(called.values())]
show.table(
    both_ways.reset_index(),
    caption=f"Rank correlation of the two numbers of a double, where both were computed; {models_named}",
)

# %% [markdown]
# ## Does it go with measured epistasis?
#
# Beside the models' epistasis stand rules that know no pair: a model's own scores of the two singles added up
# ($s_1 + s_2$), the two measured singles ($f_1 + f_2$), how alike the exchanged residues are ({term}`BLOSUM62`, summed),
# and how near the two positions are in the chain.
# Such a rule may well correlate: where a double can hardly fall further, bad singles make positive epistasis.
#
# The interval resamples positions, since doubles share them.
# GB1 has four positions: there the correlation is taken within each pair of positions, averaged, and the pairs are
# resampled, of which there are few.

# %% tags=["hide-input"]
scales = {"epistasis": "epistasis, not floored", "residual": "residual, all"}
rows = []
for name in called:
    for scale in scales:
        part = of_landscape(scored_doubles, name)
        part = (part[~part["floored"]] if scale == "epistasis" else part).reset_index(drop=True)
        if name == "gb1":
            by_pair = landscapes.pair_correlations(part, measured=scale, predictors=list(predictors))
            there = by_pair.dropna(subset="value")  # nearness is constant within a pair
            values = there.groupby("predictor", sort=False)["value"]
            means = {p: metrics.mean_over_genes(each, n=n_resamples, seed=seed) for p, each in values}
            found = [(p, mean.value, mean.low, mean.high, len(part)) for p, mean in means.items()]
            if scale == "epistasis":
                within = by_pair
        else:
            found = landscapes.correlations(
                part, measured=scale, predictors=list(predictors), n=n_resamples, seed=seed
            ).itertuples(index=False)
        rows += [(called[name], scale, *each) for each in found]
correlations = pd.DataFrame(rows, columns=["landscape", "scale", "name", "value", "low", "high", "n"])
correlations["model"] = [predictors[name] or "rule" for name in correlations["name"]]
correlations["kind"] = [
    style.kind(predictors[name]) if name.startswith("epistasis") else style.BASELINE for name in correlations["name"]
]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rank correlation of model epistasis and of simple rules with measured epistasis, a panel a landscape"}}
primary = correlations[correlations["scale"] == "epistasis"].rename(columns={"scale": "statistic"})
caption = (
    "Spearman correlation with measured epistasis, doubles not decided by the floor. Coloured: epistasis of "
    f"{models_named}; grey: rules. Whiskers: 95 %, resampling positions (GB1: pairs of positions). Dotted: none."
)
figure = figures.forest(primary, panel="landscape", axis="Spearman correlation", reference=0, columns=2)
show.figure(figure, primary, "09_correlation", profile=profile, caption=caption)

# %% tags=["hide-input"]
text = correlations.assign(
    rho=[show.interval(*row, digits=2, sign=True) for row in correlations[["value", "low", "high"]].to_numpy()]
)
for scale, title in scales.items():
    part = text[(text["scale"] == scale) & text["name"].isin([p for p in predictors if not p.startswith("s1")])]
    wide = part.pivot(index="landscape", columns="name", values="rho").loc[list(called.values())]
    models_first = [p for p in predictors if p.startswith("epistasis")]
    show.table(
        wide[[*models_first, "f1 + f2, measured"]].reset_index(),
        caption=f"Spearman correlation: {title}; {models_named}",
    )
wide = within[within["predictor"].isin(models_first)].pivot(
    index=["position1", "position2"], columns="predictor", values="value"
)
caption = f"GB1, each pair of positions: Spearman correlation, epistasis; {models_named}"
show.table(wide.reset_index(), caption=caption, digits=2)

# %% [markdown]
# ## Does it find the measured rescues?
#
# Every pair of a damaging mutation and a second one that was measured with it is ranked, and the share of rescues among
# the first $k$ is counted.
# The model ranks by epistasis of the second on the background of the damaging one; by its score there, as the published
# scan did; and by its score on the wild type, which knows nothing of the damage.
# Beside it stand rules: the additive expectation ($f_1 + f_2$), the second's own effect ($f_2$), what the second lifts
# *other* damaging mutations by (measured, site-independent: it knows the second and not the first), BLOSUM62 of the
# second, nearness in the chain, and chance.
# The rules marked *measured* have seen the laboratory's singles or other doubles, which no model here has.

# %% tags=["hide-input"]
rules = ["f1 + f2, measured", "f2, measured", "lift of others, measured", "BLOSUM62 of the second", "near in the chain"]
rows = []
for name in counted:
    part = of_landscape(pairs, name).reset_index(drop=True)
    part["f1 + f2, measured"] = part["f"] + part["f_second"]
    part["f2, measured"] = part["f_second"]
    part["lift of others, measured"] = landscapes.mean_lift(part)
    part["BLOSUM62 of the second"] = landscapes.substitution_similarity(part["second"])
    place = [part[column].str[1:-1].astype("int64") for column in ("mutation", "second")]
    part["near in the chain"] = -(place[0] - place[1]).abs()
    ways = {}
    for model, scored in scores.items():
        renamed = {
            "model_epistasis": f"epistasis, {titles[model]}",
            "score_background": f"on the background, {titles[model]}",
            "score_wild_type": f"on the wild type, {titles[model]}",
        }
        ways |= dict.fromkeys(renamed.values(), model)
        columns = ["mutation", "second", *renamed]
        part = part.merge(of_landscape(scored, name)[columns].rename(columns=renamed), on=["mutation", "second"])
    options = {"ks": [k for k in ks if k <= len(part)], "n": n_resamples, "seed": seed}
    found = landscapes.precision(part, predictors=[*ways, *rules], **options)
    rows.append(found.assign(landscape=called[name], model=[ways.get(p, "rule") for p in found["predictor"]]))
    assert len(part) == (pairs["landscape"] == name).sum(), "a pair was not scored"
precision = pd.concat(rows, ignore_index=True).rename(columns={"predictor": "name"})
precision["kind"] = [style.BASELINE if model == "rule" else style.kind(model) for model in precision["model"]]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Precision at k of the models and of simple rules for measured rescues, with chance as a dotted line"}}
shown = precision[precision["k"].isin(shown_ks)].assign(
    panel=lambda t: t["landscape"] + "\nk = " + t["k"].astype("str"), statistic="precision"
)
caption = (
    f"Share of measured rescues among the first k pairs. Coloured: {models_named}; grey: rules. "
    "Whiskers: 95 %, resampling mutations. Dotted: chance."
)
chance = shown.drop_duplicates("panel").set_index("panel")["chance"].to_dict()
figure = figures.forest(shown, panel="panel", axis="precision at k", reference=chance, columns=2)
show.figure(figure, shown, "09_precision", profile=profile, caption=caption)

# %% tags=["hide-input"]
for name in dict.fromkeys(precision["landscape"]):
    part = of_landscape(precision, name)
    wide = part.pivot(index="name", columns="k", values="value").loc[list(dict.fromkeys(part["name"]))]
    one = part.iloc[0]
    show.table(
        wide.rename(columns=lambda k: f"k = {k}").rename_axis("ranked by").reset_index(),
        caption=f"{name}: precision at k; {one['n_hits']} rescues among {one['n']:,} pairs, chance "
        f"{one['chance']:.3f}; {models_named}",
    )

# %% [markdown]
# ## Cases without statistics: TP53
#
# The literature names second mutations that restore p53 cancer mutants.
# They are few, and chosen by those who looked for them: no statistic can be made of them.
# *Verified* says that the abstract of the work was read and names the pair; *second-hand* that another text says so of the
# pair; a *lead* names variant and suppressor, not the pair.
# The percentile is the share of all second-site substitutions on that background that rank below; 100 is the best.
# The default model has read the orthologs of TP53; the general one has not, nor any relative of it.

# %% tags=["hide-input"]
suppressors = tables.load("suppressors")
sequences = tables.load("genes").set_index("gene")["sequence"]


def cases_of(entry):
    """Rank of each suppressor; where there are several, of each with the others in the background."""
    members = [models.load(name, dtype="float32") for name in models.expand([entry])]
    name = members[0].name if len(members) == 1 else entry
    for row in suppressors.itertuples():
        seconds = parse_mutations(row.suppressor)
        for second in seconds:
            background = (*parse_mutations(row.variant), *(other for other in seconds if other != second))
            (block,) = rescue.scores(members, sequences[row.gene], [background])
            sites = rescue.second_sites(sequences[row.gene], background)
            for score, table in (("epistasis", block.epistasis[0]), ("score", block.score_background[0])):
                rank, n = rescue.rank_of(table, sites, second)
                yield row.gene, join_mutations(background), str(second), row.status, name, score, rank, n


cases = pd.DataFrame(
    [case for entry in model_names for case in cases_of(entry)],
    columns=["gene", "background", "second", "status", "model", "by", "rank", "of"],
)
cases["percentile"] = 100 * (cases["of"] - cases["rank"]) / (cases["of"] - 1)
wide = cases.assign(column=cases["model"].map(titles) + ", " + cases["by"]).pivot(
    index=["background", "second", "status"], columns="column", values="percentile"
)
wide = wide[[f"{titles[name]}, {by}" for name in scores for by in ("epistasis", "score")]]
order = cases.drop_duplicates(["background", "second"]).set_index(["background", "second", "status"]).index
n_sites = cases["of"].max()
show.table(
    wide.loc[order].reset_index(),
    caption=f"TP53: rank percentile of a suppressor among up to {n_sites:,} second sites, by epistasis and by score on "
    f"the background; {models_named}",
    digits=0,
)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
for table in (primary, shown):
    tables.check(table, figures.ESTIMATES, where="experiment")
assert (
    doubles.groupby("landscape")
    .size()
    .equals(measured["mutation"].str.contains(":").groupby(measured["landscape"]).sum().rename(None))
), "a double was lost"
saved = {"landscapes": summary, "correlations": correlations, "gb1_pairs": within, "both_ways": agree,
         "precision": precision, "cases": cases, "coverage": coverage}  # fmt: skip
for name, table in saved.items():
    artifacts.save(table, f"experiment_{name}", profile)

# %% [markdown]
# ## What this shows


# %% tags=["hide-input"]
def say(row):
    return show.interval(row["value"], row["low"], row["high"], digits=2, sign=True)


def share(row):
    return show.interval(row["value"], row["low"], row["high"], digits=2)


by = correlations.set_index(["scale", "landscape", "name"]).sort_index()
lines = []
for name in scores:
    way = f"epistasis, {titles[name]}"
    each = by.xs(way, level="name")
    above, below = (each["low"] > 0).groupby("scale").sum(), (each["high"] < 0).groupby("scale").sum()
    lines.append(
        f"- The {titles[name]} model's epistasis correlates with the measured one by {say(by.loc['epistasis', 'GB1', way])} in "
        f"GB1 within pairs of positions, {say(by.loc['epistasis', 'PDZ3 abundance', way])} in PDZ3 abundance. "
        f"Of the {len(called)} landscapes the interval lies above 0 in {above['epistasis']} and below in "
        f"{below['epistasis']} (residual: {above['residual']} and {below['residual']}); by chance "
        f"{0.05 * len(called):.1f} would lie on either side together."
    )
rule = by.xs("f1 + f2, measured", level="name").loc["epistasis"]
at = precision.set_index(["landscape", "name", "k"]).sort_index()
k = shown_ks[0]
for name in dict.fromkeys(precision["landscape"]):
    told = [f"by epistasis, {titles[m]} {share(at.loc[(name, f'epistasis, {titles[m]}', k)])}" for m in scores]
    told += [f"{way} {share(at.loc[(name, way, k)])}" for way in rules[:3]]
    chance_here = at.loc[(name, rules[0], k), "chance"]
    lines.append(f"- {name}, precision at {k}: {'; '.join(told)}; chance {chance_here:.3f}.")
lines.insert(
    len(scores),
    f"- The measured singles alone, $f_1 + f_2$, correlate with measured epistasis by {rule['value'].min():+.2f} to "
    f"{rule['value'].max():+.2f}; the interval leaves out 0 in {((rule['low'] > 0) | (rule['high'] < 0)).sum()} "
    f"landscapes. That is what the assay and its scale make of two mutations that know nothing of each other.",
)
verified = cases[(cases["status"] == "verified") & (cases["by"] == "epistasis")]
lines.append(
    "- TP53, verified pairs, percentile by epistasis: "
    + "; ".join(
        f"{row.second} on {row.background} {row.percentile:.0f} ({titles[row.model]})" for row in verified.itertuples()
    )
    + ". Cases, not evidence."
)
Markdown("\n".join(lines))

# %% [markdown]
# **What would falsify this reading.**
# A model of this size that was trained on the families of these proteins, or a larger one that has not read them, whose
# epistasis correlates with the measured one within pairs of positions beyond what the singles say, would show that it is
# our models that lack it and not language models.
# A correlation that vanishes on the residual scale is the assay's shape and not coupling; one that is there on both and in
# several landscapes is not.
# And if the rescues of GB1 did not replicate, precision at k would count noise.
#
# ## Limits
#
# - Six landscapes of five proteins, four of them short domains; GB1's four positions were chosen because they are coupled.
# - Positive measured epistasis is partly the assay: a floor, a plateau, an ensemble of folded and unfolded protein.
#   The residual takes away what is common to all pairs of a landscape, no more.
# - Where not all backgrounds were run, a double has one of its two numbers; the table of coverage says how many.
# - Ube4b is noise to a large part, and its numbers should be read so.
# - The general proteins that the models have read hold relatives of PDZ3, Pab1 and Ube4b, none of GB1 and avGFP
#   (`data/relatives.tsv`).
# - A rescue here is a fitness won back in an assay, and not a patient's protein made good.
