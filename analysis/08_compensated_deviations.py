# %% [markdown]
# # Compensated pathogenic deviations
#
# Some residues that cause disease in people are the normal residue of another vertebrate
# {cite:p}`kondrashov2002dobzhansky`.
# Something else in that animal's protein may make good the damage: a {term}`CPD`, a rescue found by evolution.
# If a model knew of such rescues, the ortholog's *other* substitutions would gain on the background of the pathogenic
# residue: their {term}`epistasis` would be higher than that of substitutions that are alike but occur elsewhere.
# Is it?
#
# **Inputs**: `data/cpd.parquet`, `data/orthologs.parquet`, `data/clades.tsv`, `data/variants.parquet`,
# `data/genes.tsv`, `data/structures.parquet`, `data/relatives.tsv`, `data/published/rescue_cpd.csv`; the weights of the
# models.
#
# **Outputs**: `results/<profile>/deviations_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: about two minutes on one CPU core; the scans run live.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models or ensembles to test
minimum = 10  # cases that a gene needs to count
n_permutations = 1000  # of the main tests, and resamples of the genes
n_further = 300  # of the many further tests
close = [5, 10]  # residues: what is near in the chain
touching = 8.0  # angstrom between C-beta atoms: what is near in space
seed = 20220917  # of permutations and resamples: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import false_discovery_control

from plmbook import models, tables
from plmbook.book import figures, show
from plmbook.core import artifacts
from plmbook.core.errors import InputError
from plmbook.core.structures import structures_of
from plmbook.stats import matched, metrics
from plmbook.tables import bundled
from plmbook.tables.published import published
from plmbook.variants import alignment, deviations

default, general = (models.card(name).name for name in ("embedded", "embedded_general"))
genes, variants, clades = (tables.load(name) for name in ("genes", "variants", "clades"))
cpd, orthologs = tables.load("cpd"), tables.load("orthologs")
folds = structures_of(tables.load("structures"))
release = f"ClinVar {variants['release'].iat[0]}"
key = ["gene", "mutation"]

# %% [markdown]
# ## Which residues these are
#
# A residue counts where a vertebrate of UCSC's alignment {cite:p}`blanchette2004aligning` has it at the very place.
# That needs the alignment of the right {term}`isoform`, and here the traps lie: some genes are aligned in another one,
# and there the letter at a number means another residue, even where it happens to be the right letter.
# They are left out whole, and counted.

# %% tags=["hide-input"]
there = bundled.matching_variants()
carried = cpd.merge(there[[*key, "significance"]], on=key)
classes = ["P/LP", "B/LB", "VUS"]
in_alignment = variants["gene"].isin(orthologs["gene"])
by_chance = variants["matches"] & (variants["aligned_position"] != variants["position"])
steps = {
    "all variants": variants,
    "not aligned: the gene's alignment is of another isoform": variants[~in_alignment],
    "of these, the letter does not fit either": variants[~in_alignment & ~variants["matches"]],
    "of these, the letter fits by chance": variants[~in_alignment & by_chance],
    "aligned, and residue and place fit": there[there["gene"].isin(orthologs["gene"])],
    "of these, the residue of another vertebrate": carried.drop_duplicates(key),
}
funnel = pd.DataFrame(
    [
        (name, *(int((part["significance"] == group).sum()) for group in classes), part["gene"].nunique())
        for name, part in steps.items()
    ],
    columns=["variants", *classes, "genes"],
)
show.table(funnel, caption=f"From the variants to those that another vertebrate has; {release}")

pathogenic = carried[carried["significance"] == "P/LP"].reset_index(drop=True)
residues = pathogenic.drop_duplicates(key)[key].reset_index(drop=True)
fit, carry = (funnel.set_index("variants").loc[name] for name in list(steps)[-2:])
Markdown(
    f"**{len(residues)} P/LP residues of {residues['gene'].nunique()} genes are the wild type of another vertebrate**, "
    f"{carry['P/LP'] / fit['P/LP']:.1%} of those that can be looked up; of the B/LB residues "
    f"{carry['B/LB'] / fit['B/LB']:.0%} are. "
    f"Each has {len(pathogenic) / len(residues):.0f} carriers on average, half of them at most "
    f"{pathogenic.groupby(key).size().median():.0f}."
)

# %% [markdown]
# ## The published columns beside ours
#
# The rescue-mutation study {cite:p}`soylemez2022rescue` lists for each variant the placental mammals that have its
# residue, in columns CPD_k: $k$ residues on either side are then identical to the human ones.
# A larger $k$ asks for a compensation that lies farther away in the chain.
# A count is one variant in one genome.

# %% tags=["hide-input"]
# Counted from the study's table; `data/README.md` says where ours differ.
study = published("rescue_cpd")
study = study[study["gene"].isin(orthologs["gene"])]
published_cpd = {k: int(study[f"cpd_{k}"].sum()) for k in range(6)}
placental = ["Primates", "other Euarchontoglires", "Laurasiatheria", "Afrotheria", "Xenarthra"]
mammals = set(clades["assembly"][clades["clade"].isin(placental)])
by_flank = pd.DataFrame(
    [
        {
            "k at least": k,
            "published": published_cpd[k],
            "ours, same genomes": int((part["assembly"].isin(mammals)).sum()),
            "ours, all 99": len(part),
            "P/LP residues": part[part["significance"] == "P/LP"].drop_duplicates(key).shape[0],
            "B/LB residues": part[part["significance"] == "B/LB"].drop_duplicates(key).shape[0],
        }
        for k in published_cpd
        for part in [carried[carried["flank"] >= k]]
    ]
)
show.table(by_flank, caption=f"Carriers by k; published: 57 placental mammals; {release}")

# %% [markdown]
# ## Where the carriers are
#
# A residue that only a far vertebrate has leaves hundreds of other differences among which the compensation would hide;
# in a near one the suspects are few.

# %% tags=["hide-input"]
groups_of_clades = dict.fromkeys(placental, "placental mammals") | {
    "Marsupialia": "marsupials, monotremes",
    "Monotremata": "marsupials, monotremes",
    "Birds": "birds, reptiles",
    "Reptiles": "birds, reptiles",
    "Amphibians": "amphibians, fish",
    "Coelacanths": "amphibians, fish",
    "Ray-finned fish": "amphibians, fish",
    "Lampreys": "amphibians, fish",
}
far = ["below 5 %", "5 to 15 %", "15 to 30 %", "above 30 %"]
carriers = pathogenic.merge(clades[["assembly", "clade"]], on="assembly")
carriers = carriers.merge(alignment.divergences(orthologs, genes), on=["gene", "assembly"])
carriers["group"] = carriers["clade"].map(groups_of_clades)
carriers["divergence_bin"] = pd.cut(carriers["divergence"], [-1, 0.05, 0.15, 0.3, 1], labels=far).astype("str")
only = carriers.groupby(key)["group"].nunique().loc[lambda n: n == 1].index
alone = carriers.set_index(key).loc[only].reset_index()
by_clade = pd.DataFrame(
    [
        (
            group,
            len({name for name in clades["assembly"][clades["clade"].map(groups_of_clades) == group]} - {"hg38"}),
            part.drop_duplicates(key).shape[0],
            alone[alone["group"] == group].drop_duplicates(key).shape[0],
            part["divergence"].median(),
        )
        for group, part in carriers.groupby("group")
    ],
    columns=["clade", "genomes", "P/LP residues", "only there", "median divergence"],
).sort_values("median divergence")
show.table(by_clade, caption=f"P/LP residues carried, by clade; divergence: share of differing residues; {release}")

# %% [markdown]
# ## The test
#
# *Cases* are the other substitutions of a variant's carriers, *controls* substitutions that other vertebrates have, but
# no carrier of this variant.
# A case is compared only with controls of the same variant, and of the same fifth of the score on the wild type, class
# of frequency among the orthologs and class of distance from the variant: with what epistasis may follow anyway.
# The statistic is the chance that the case has the higher epistasis, a mean over genes with at least `minimum` cases;
# one half is chance.
# The interval resamples genes; $p$ is one-sided and comes from rotating the labels along the chain within each stratum.
#
# **What counts was set before this page was made.**
# The one primary test is that of the *general* model, which has read no ortholog of these genes, on the genes that have no
# relative among its training proteins either.
# Then the same model on all genes.
# The *default* model was trained on these very orthologs: it has seen the cases stand beside the pathogenic residue, so
# that whatever it shows may be memory, and it stands here as such.

# %% tags=["hide-input"]
related = bundled.read_in_training("genes")


def scanned_by(entry):
    """The name of a model or an ensemble, and its scan of the residues."""
    members = [models.load(name, dtype="float32") for name in models.expand([entry])]
    name = members[0].name if len(members) == 1 else entry
    return name, deviations.scan_genes(members, residues, genes, orthologs, structures=folds)


scans = dict(scanned_by(entry) for entry in model_names)
called = {name: {default: "default", general: "general"}.get(name, name) for name in scans}
models_named = show.models_named(called)
everything = {name: deviations.substitution_table(scan, pathogenic) for name, scan in scans.items()}
sets = {}  # title -> (model, which rows)
if general in scans:
    sets["general, no relatives read"] = (general, lambda table: table[~table["gene"].isin(related)])
    sets["general, all genes"] = (general, lambda table: table)
for name in scans:
    if name != general:
        sets[f"{called[name]}, has read them"] = (name, lambda table: table)
primary = next(iter(sets))
primary_named = f"{sets[primary][0]} ({primary})"
size = everything[sets[primary][0]]
Markdown(
    f"{len(residues)} backgrounds a model; the orthologs have tried {len(size):,} second sites on them, "
    f"{int(size['case'].sum()):,} of which a carrier has. "
    f"{len(related & set(residues['gene']))} of the {residues['gene'].nunique()} genes have a relative among the "
    "general training proteins."
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Matched AUROC of epistasis of the carriers' substitutions, for each model and set of genes, near one half"}}
columns = ["value", "low", "high", "p", "genes", "cases", "controls"]
options = {"minimum": minimum, "seed": seed}
main = pd.DataFrame(
    [
        (title, model, "epistasis", *deviations.enrichment(keep(everything[model]), n=n_permutations, **options))
        for title, (model, keep) in sets.items()
    ],
    columns=["name", "model", "statistic", *columns],
)
caption = (
    f"Chance that a carrier's substitution has higher epistasis than a matched one, by {models_named}; P/LP residues, "
    f"{release}. The first line is the primary test. Whiskers: 95 % bootstrap over genes. Dotted: chance."
)
figure = figures.forest(main, axis="matched AUROC", reference=0.5)
show.figure(figure, main, "08_enrichment", profile=profile, caption=caption)
show.table(
    main[["name", *columns[:6]]].rename(columns={"name": "model and genes"}),
    caption=f"The same as a table, {models_named}; {release}",
)

# %% [markdown]
# ### What the matching takes away, and what it leaves
#
# Cases differ from controls before any model is asked: they are more frequent, and lie elsewhere.
# The same comparison of the three things that are matched, once within the variant alone and once within the strata.
# The strata are classes, so that a part of each difference is left inside them: an AUROC of epistasis that is no farther
# from one half than what is left of these proves nothing.

# %% tags=["hide-input"]
model, keep = sets[primary]
chosen = keep(everything[model]).assign(nearness=lambda t: -t["distance"])
what = {
    "epistasis": "epistasis",
    "score_wild_type": "score on the wild type",
    "frequency": "orthologs that have it",
    "nearness": "nearness to the variant",
}
balance = pd.DataFrame(
    [
        (
            text,
            matched.auroc(chosen, value=column, case="case", strata=["mutation"], n=1, **options).value,
            deviations.enrichment(chosen, value=column, n=1, **options).value,
        )
        for column, text in what.items()
    ],
    columns=["of", "within the variant", "within the strata"],
)
show.table(balance, caption=f"AUROC of cases against controls, {primary_named}; {release}")

# %% [markdown]
# ### What this test could have seen
#
# A result near one half means little if the test is blind.
# So we plant an effect in the primary model's numbers and test again: a shift of every case by a part of the standard
# deviation of its variant's epistasis; and, what the idea of *one* compensation amounts to, a single case a variant,
# drawn at random, put above everything else.

# %% tags=["hide-input"]
rng = np.random.default_rng(seed)
chosen = chosen.reset_index(drop=True)
spread = chosen.groupby(key)["epistasis"].transform("std")
one_case = chosen[chosen["case"]].groupby(key).sample(1, random_state=rng.integers(2**31)).index
planted = {"nothing": chosen["epistasis"]} | {
    f"all cases, {shift:.2f} standard deviations": chosen["epistasis"] + shift * spread * chosen["case"]
    for shift in (0.05, 0.1, 0.2)
}
planted["one case a variant, at the top"] = chosen["epistasis"].mask(
    chosen.index.isin(one_case), chosen["epistasis"].max() + 1
)
power = pd.DataFrame(
    [
        (name, *deviations.enrichment(chosen.assign(epistasis=values), n=n_further, **options)[:4])
        for name, values in planted.items()
    ],
    columns=["planted", *columns[:4]],
)
show.table(power, caption=f"The test with an effect planted, {primary_named}; {release}")

# %% [markdown]
# ## Near the variant, by clade, by divergence
#
# Compensation should be easiest to see near the variant, and in carriers that differ from us in little else.
# These tests were not primary; there are many, so the table has $q$ beside $p$: the share of false findings among all
# with a $q$ as small (Benjamini and Hochberg, over the tests of one panel).

# %% tags=["hide-input"]
parts = {f"within {n} residues": (None, {"max_separation": n}) for n in close}
parts[f"within {touching:.0f} Å"] = (None, {"max_distance": touching})
parts |= {f"in {group}": (carriers["group"] == group, {}) for group in by_clade["clade"]}
parts |= {f"divergence {name}": (carriers["divergence_bin"] == name, {}) for name in far}
parts |= {"flanks differ (k = 0)": (carriers["flank"] == 0, {}), "flanks alike (k = 5)": (carriers["flank"] == 5, {})}
tested = [title for title in sets if title != "general, all genes"]
subsets, too_few = [], []
for name, (which, near) in parts.items():
    for title in tested:
        model, keep = sets[title]
        table = everything[model] if which is None else deviations.substitution_table(scans[model], carriers[which])
        try:
            found = deviations.enrichment(keep(table), n=n_further, **options, **near)
        except InputError:  # no gene has that many cases
            too_few.append(f"{name} ({title})")
            continue
        subsets.append((name, title, model, *found))
subsets = pd.DataFrame(subsets, columns=["name", "statistic", "model", *columns])
subsets["q"] = subsets.groupby("statistic")["p"].transform(false_discovery_control)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Matched AUROC near the variant, by clade, by divergence and by flank, a panel a model"}}
caption = (
    f"The same statistic, by {models_named}, for parts of the second sites (near the variant) and of the carriers "
    f"(*in* a clade); P/LP residues, {release}. Whiskers: 95 % bootstrap over genes. Dotted: chance."
)
wrapped = subsets.assign(panel=subsets["statistic"].str.replace(", ", ",\n"))
figure = figures.forest(wrapped, panel="panel", axis="matched AUROC", reference=0.5, columns=2)
show.figure(figure, subsets, "08_parts", profile=profile, caption=caption)
show.table(
    subsets.loc[subsets["statistic"] == primary, ["name", *columns[:6], "q"]].rename(columns={"name": "part"}),
    caption=f"The same as a table, {primary_named}; {release}"
    + (f"; no gene with {minimum} cases: {', '.join(too_few)}" if too_few else ""),
)

# %% [markdown]
# ## Gene by gene

# %% tags=["hide-input"] mystnb={"image": {"alt": "Matched AUROC of each gene, one mark a model, on either side of one half"}}
by_gene = pd.concat(
    [deviations.gene_enrichment(table, minimum=minimum).assign(model=name) for name, table in everything.items()],
    ignore_index=True,
)
caption = f"The statistic in each gene with at least {minimum} cases, by {models_named}; P/LP residues, {release}."
figure = figures.per_gene(by_gene, axis="matched AUROC within the gene")
show.figure(figure, by_gene, "08_genes", profile=profile, caption=caption)

# %% tags=["hide-input"]
model, keep = sets[primary]
own = keep(by_gene[by_gene["model"] == model]).set_index("gene")
extreme = (own["auroc"] - 0.5).abs().idxmax()
rest = metrics.mean_over_genes(own["auroc"].drop(extreme), n=n_permutations, seed=seed)
Markdown(
    f"One gene weighs much in a mean over {len(own)}: without {extreme} ({own['auroc'][extreme]:.3f}, "
    f"{own['n_cases'][extreme]:,} of the {own['n_cases'].sum():,} cases) the primary statistic would be "
    f"{show.interval(rest.value, rest.low, rest.high)}. "
    f"We saw {extreme} before we left it out, so that this is no test of its own."
)

# %% [markdown]
# ## The highest candidates
#
# Of each variant the carriers' substitution with the highest epistasis, the highest of these first.
# They are what the primary model would propose as the compensation: leads, not findings, as the test above says.

# %% tags=["hide-input"]
cases = keep(everything[model]).query("case")
best = cases.loc[cases.groupby(key)["epistasis"].idxmax()].nlargest(8, "epistasis")
best = best.assign(second=best["ref"] + best["position"].astype("str") + best["alt"])
show.table(
    best[["gene", "mutation", "second", "epistasis", "distance", "n_carriers"]].rename(
        columns={"mutation": "variant", "second": "in the carrier", "distance": "Å apart", "n_carriers": "carriers"}
    ),
    caption=f"P/LP residues with the carriers' substitution of highest epistasis (nats), {model}; {release}",
    digits=2,
)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
assert (carried.groupby("flank").size().sum() == len(carried)) and (carried["flank"] <= 5).all()
for scan in scans.values():  # the carriers of the table are those of the alignment
    found = {(s.gene, str(v[0])): int(alignment.carriers(s.residues, v).sum()) for s in scan for v in s.variants}
    assert found == pathogenic.groupby(key).size().to_dict(), "cpd.parquet and orthologs.parquet disagree"
for table in (main, subsets):
    tables.check(table, figures.ESTIMATES, where="deviations")
saved = {"funnel": funnel, "by_flank": by_flank, "by_clade": by_clade, "tests": main, "parts": subsets,
         "balance": balance, "planted": power, "genes": by_gene, "candidates": best}  # fmt: skip
for name, table in saved.items():
    artifacts.save(table, f"deviations_{name}", profile)

# %% [markdown]
# ## What this shows


# %% tags=["hide-input"]
def say(row):
    """A test as text."""
    return f"{show.interval(row['value'], row['low'], row['high'])}, p {row['p']:.2g}"


def verdict(row):
    """What interval and permutation say together."""
    found = {(True, True): "a sign that", (False, False): "no sign that"}.get(
        (row["low"] > 0.5, row["p"] < 0.05), "at most a weak sign (interval and permutation do not agree) that"
    )
    return f"{found} the carriers' substitutions rank above matched ones"


tests, first = main.set_index("name"), main.iloc[0]
others = [f"- {title}: {say(tests.loc[title])}." for title in list(sets)[1:]]
mine = subsets[subsets["statistic"] == primary]
lowest = mine.loc[mine["q"].idxmin()]
near = mine[mine["name"].str.startswith("within")]
left = balance.set_index("of")["within the strata"].drop("epistasis")
moved = power.set_index("planted")["value"] - power["value"].iloc[0]
Markdown(
    "\n".join(
        [
            f"- {len(residues)} P/LP residues of {residues['gene'].nunique()} genes are the wild type of another vertebrate.",
            f"- Primary test ({primary}, {first['genes']} genes, {first['cases']:,} cases): {say(first)}. "
            f"That is {verdict(first)}; an AUROC above {first['high']:.3f} is unlikely.",
            f"- What the matching leaves of the matched quantities themselves gives {left.min():.3f} to {left.max():.3f} in "
            f"the same strata: {'as far from one half as' if left.max() >= first['value'] else 'less than'} epistasis.",
            f"- Without {extreme} alone it would be {show.interval(rest.value, rest.low, rest.high)}.",
            *others,
            f"- Of {len(mine)} further tests of the primary model the smallest q is {lowest['q']:.2f} "
            f"({lowest['name']}: {say(lowest)}). "
            f"Near the variant, where one would look first, it is {near['value'].min():.3f} to {near['value'].max():.3f}: "
            f"{(near['high'] < 0.5).sum()} of {len(near)} intervals lie below one half and {(near['low'] > 0.5).sum()} above.",
            f"- A shift of every case by {0.05} standard deviations would move the primary statistic by {moved.iloc[1]:+.3f}, "
            f"one compensation a variant, ranked first of all, by {moved.iloc[-1]:+.3f}: the test is made for the former.",
        ]
    )
)

# %% [markdown]
# **What would falsify this reading.**
# A model that has read none of the orthologs and still ranks the carriers' substitutions above matched ones, with an
# interval that leaves out one half, would show that compensation can be learned from other families; the published
# models cannot be that test, since their training holds the orthologs.
# If the default model, with the carriers of each residue taken out of its training, still showed what it shows here, that
# would be knowledge and not memory.
# And if most carriers' residues turned out to be errors of assembly or alignment, there would be nothing to find.
#
# ## Limits
#
# - One substitution of hundreds may be the compensation; the test asks about all of a carrier's substitutions together,
#   and the row with one planted case a variant says how little a single one moves it.
# - Not every such residue needs a compensation: some are mild, some classed wrongly, some harmful only in people.
# - Residues of one clade share their history: carriers' substitutions come together for that reason too.
#   The strata match how frequent a substitution is and not where in the tree it is.
# - Genes with few carriers drop out of the parts; a mean over genes gives a small gene the weight of a large one.
# - *No relatives* means none that a search finds at 30 % identity over half of the shorter sequence (`data/relatives.tsv`).
# - Distances are those of AlphaFold's models of the human proteins.
