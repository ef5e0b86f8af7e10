# ---
# jupyter:
#   make:
#     after: [26_rescue_scan]
# ---

# %% [markdown]
# # Do rescues sit in contact?
#
# If a second substitution makes up for a first one, the simplest reason is that the two residues touch.
# A model that has learned this would answer to a variant more strongly where the protein touches it.
# The rescue-mutation study {cite:p}`soylemez2022rescue` showed this for single genes; does it hold over all the genes?
#
# **Inputs**: `data/genes.tsv`, `data/variants.parquet`, and of [the scan](26_rescue_scan.ipynb) the pairs of positions
# and the variants: `results/<profile>/rescue_pairs.*`, `rescue_variants.*`, `rescue_contacts_misplaced`.
#
# **Outputs**: `results/<profile>/rescue_contacts_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: less than a minute on one CPU core.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # whose scans are read; each scanned every variant, but for
most = {"embedded_general": 12}  # models that scanned no more variants of a gene than this
n = 500  # resamples of the genes, and permutations
seed = 20220917  # of these and of the draw: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show
from plmbook.core import artifacts
from plmbook.stats import matched
from plmbook.tables import bundled
from plmbook.variants import distances

sequences = tables.load("genes").set_index("gene")["sequence"]
every = tables.load("variants")
release = f"ClinVar {every['release'].iat[0]}"
labelled = bundled.matching_variants()
labelled = labelled[labelled["significance"].isin(bundled.LABELLED)]
cutoff, nearest = distances.CUTOFFS[0], distances.RANGES[0]

# %% [markdown]
# ## The question as it was put beforehand
#
# A pair is a position $i$ that has variants, and a partner $j$.
# Its value is the mean of |{term}`epistasis`| over the 19 substitutions at $j$, and over the variants at $i$.
# A pair in {term}`contact` (8 Å, and again 10 Å) is compared with pairs of the **same position and about the same
# separation** that are not; the AUROC is the chance that the one in contact has the higher value, a mean over genes.
# Pairs count from a separation of 6 residues on, and again from 24; residues with a pLDDT below 70 do not.
# Controls match the model's uncertainty at the partner (entropy) and its pLDDT too.
#
# The interval resamples genes.
# The p-value turns the labels of a stratum round along the chain, so that runs of contacts stay runs.
#
# ## What was scanned
#
# Every P/LP and B/LB variant whose residue stands where ClinVar says; of a model that would take too long for the book a
# seeded sample of a gene's variants, and its name below says of how many.
# Of the embedded models the default one has read the vertebrate {term}`orthologs <ortholog>` of these genes; the
# {term}`general model` has not, though relatives of some may be among its proteins.


# %% tags=["hide-input"]
def title_of(name):
    """What tables call a model or an ensemble."""
    names = models.expand([name])
    return models.card(names[0]).name if len(names) == 1 else name


scans = {}
for name in model_names:
    title = title_of(name)
    pairs, variants = (artifacts.read(f"{table}.{title}", profile) for table in ("rescue_pairs", "rescue_variants"))
    scans[title] = (pairs, variants, most.get(name, 0))
first = next(iter(scans))
said = {title: "" if not limit else f" (at most {limit} variants a gene)" for title, (_, _, limit) in scans.items()}
counts = pd.DataFrame(
    [
        (
            title,
            variants["id"].nunique(),
            *((variants["significance"] == group).sum() for group in bundled.LABELLED),
            len(pairs),
            (pairs["distance"] < cutoff).sum(),
        )
        for title, (pairs, variants, _) in scans.items()
    ],
    columns=["model", "genes", *bundled.LABELLED, "pairs", f"within {cutoff:.0f} Å"],
)
show.table(counts, caption=f"Backgrounds scanned, and pairs of positions that count; {release}")
without = sorted(set(sequences.index) - set(labelled["gene"]))
Markdown(
    f"{len(sequences) - len(without)} of {len(sequences)} genes have such a variant. "
    f"All labelled variants of {', '.join(without)} are numbered in another isoform."
)

# %% [markdown]
# ## The answer

# %% tags=["hide-input"]
short = {name: name.replace("separation", "sep.", 1) for name in distances.CONTROLS}
planned = pd.concat(
    [distances.contact_auroc(pairs, n=n, seed=seed).assign(model=title) for title, (pairs, _, _) in scans.items()],
    ignore_index=True,
).rename(columns={"auroc": "value"})
planned["name"] = [f"{row.cutoff:.0f} Å, from {row.nearest}: {short[row.matched]}" for row in planned.itertuples()]

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC of pairs in contact by mean |epistasis|, by cut-off, separation and what is matched, a panel a model"}}
caption = (
    f"AUROC of pairs in contact by mean |epistasis|, matched on position and what the line names; {release}. "
    + "; ".join(f"{title}{extra}" for title, extra in said.items())
    + ". Whiskers: 95 % bootstrap over genes. 0.5 is chance."
)
figure = figures.forest(
    planned.assign(panel=planned["model"].str.replace("_t", "\n_t", n=1)), panel="panel", reference=0.5
)
show.figure(figure, planned, "07_contacts", profile=profile, caption=caption)

# %% tags=["hide-input"]
main = planned[planned["matched"] == "separation"]
shown = main[["model", "cutoff", "nearest", "value", "low", "high", "p", "n_genes", "n_contacts"]]
show.table(
    shown.rename(columns={"cutoff": "Å", "nearest": "from", "n_genes": "genes", "n_contacts": "contacts"}).astype(
        {"Å": int}
    ),
    caption=f"The pre-stated statistic, matched on position and separation; {release}; p is one-sided",
)

# %% [markdown]
# ## Gene by gene
#
# A gene counts from ten contacts on.
# Genes differ, and the mean hides that; with few contacts a gene's own value is uncertain.

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC of pairs in contact within each gene, a mark a model"}}
by_gene = pd.concat(
    [distances.gene_contact_aurocs(pairs).assign(model=title) for title, (pairs, _, _) in scans.items()],
    ignore_index=True,
)
caption = (
    f"AUROC of pairs within {cutoff:.0f} Å by mean |epistasis|, matched on position and separation, from {nearest} "
    f"residues on; {release}. " + "; ".join(f"{title}{extra}" for title, extra in said.items()) + "."
)
figure = figures.per_gene(by_gene, axis="AUROC of contacts within the gene")
show.figure(figure, by_gene, "07_genes", profile=profile, caption=caption)

# %% [markdown]
# ## Against simpler values
#
# The same pairs, the same matching, another value:
#
# - *published score*: the absolute value of the mean score on the background, without the wild type's taken off;
# - *published |z|*: the value of the published figure, standardised over all scanned variants of the gene;
# - *wild type only*: the mean |score| of the wild type at the partner, which knows no variant at all;
# - *nearer in the chain*: the separation itself.
#
# Position and separation cannot help: a pair is compared only with pairs of its own position, in the same bin of
# separation.
# What is left of separation within the bins is the last of these lines.
# A value that does no better than that line need not know anything of contacts, and where the published score does no
# better than *wild type only*, the variant has no part in it.
# The line *nothing matched* shows what matching takes away: there, all pairs of a gene are compared with each other.

# %% tags=["hide-input"]
baselines = []
for title, (pairs, _, _) in scans.items():
    near = pairs.assign(near=-pairs["separation"].astype(float), contact=pairs["distance"] < cutoff)
    chosen = near[near["separation"] >= nearest]
    for name, value in {
        "published score": "score",
        "published |z|": "z",
        "wild type only": "wild",
        "nearer in the chain": "near",
    }.items():
        alone = {"separation": ()}
        found = distances.contact_auroc(
            near.dropna(subset=[value]), value=value, cutoffs=[cutoff], controls=alone, n=n, seed=seed
        )
        baselines.append(found.assign(model=title, ranked=name))
    raw = matched.auroc(chosen, value="value", case="contact", strata=[], n=n, seed=seed)
    names = ["auroc", "low", "high", "p", "n_genes", "n_contacts", "n_others"]
    whole = dict(zip(names, raw, strict=True)) | {"cutoff": cutoff, "nearest": nearest, "matched": "nothing"}
    baselines.append(pd.DataFrame([whole | {"model": title, "ranked": "|epistasis|, nothing matched"}]))
baselines = pd.concat(baselines, ignore_index=True).rename(columns={"auroc": "value"})
shown = pd.concat([main[main["cutoff"] == cutoff].assign(ranked="mean |epistasis|"), baselines])
shown = shown.sort_values(
    ["nearest", "model"], kind="stable", key=lambda c: c.map(list(scans).index) if c.name == "model" else c
)
show.table(
    shown[["model", "ranked", "nearest", "value", "low", "high", "p"]].rename(columns={"nearest": "from"}),
    caption=f"AUROC of pairs within {cutoff:.0f} Å by other values; {release}; |z| needs a gene with two variants",
)

# %% [markdown]
# ## A correction found afterwards
#
# During development the pre-stated statistic was computed on a sample, and showed nothing: 0.497 [0.476, 0.517] at 8 Å.
# After that, four other ways to correct a pair for its partner were tried on it, and gave 0.512 to 0.529.
# A partner that answers to every variant hides the one that answers to this one; the {term}`APC` takes away what
# position and partner explain by themselves.
# It was chosen **after** a null result, among several, so what follows is exploratory: its p-value is too small by an
# amount that nobody can compute, and other proteins would have to confirm it.

# %% tags=["hide-input"]
afterwards = pd.concat(
    [
        distances.contact_auroc(pairs, value="corrected", n=n, seed=seed).assign(model=title)
        for title, (pairs, _, _) in scans.items()
    ],
    ignore_index=True,
).rename(columns={"auroc": "value"})
shown = afterwards[afterwards["matched"].isin(["separation", "separation, entropy, pLDDT"])]
shown = shown.assign(controls=shown["matched"].map(short), **{"Å": shown["cutoff"].astype(int)})
show.table(
    shown[["model", "Å", "nearest", "controls", "value", "low", "high", "p"]].rename(columns={"nearest": "from"}),
    caption="Exploratory: AUROC of pairs in contact by mean |epistasis| after the average product correction; "
    f"{release}",
)

# %% [markdown]
# ## Backgrounds that the published scan had wrong
#
# The published script put ClinVar's residue at ClinVar's number, whatever stood there in its sequence
# ([What we corrected](../corrected.md)).
# Counted in our table of its variants:

# %% tags=["hide-input"]
there = bundled.lies_here(every)
past = every["position"] > every["gene"].map(sequences.str.len())
every["fit"] = np.select(
    [there, every["matches"], past], ["fits", "fits by chance", "past the end"], default="another residue"
)
kinds = ["another residue", "past the end", "fits by chance"]
wrong = pd.crosstab(every["gene"], every["fit"]).reindex(columns=["fits", *kinds], fill_value=0)
classes = pd.crosstab(every["gene"][~there], every["significance"][~there])
wrong = wrong.join(classes.reindex(columns=bundled.LABELLED, fill_value=0), how="inner").reset_index()
wrong = pd.concat([wrong, wrong.drop(columns="gene").sum().to_frame().T.assign(gene="all")], ignore_index=True)
n_of_gene = every.groupby("gene").size()
lost = {chunk: int((np.minimum(chunk, n_of_gene) - 1).sum()) for chunk in (2, 5)}
show.table(
    wrong[["gene", "fits", *kinds, *bundled.LABELLED]].astype({c: int for c in wrong.columns if c != "gene"}),
    caption=f"Genes with variants of another isoform; P/LP and B/LB: of those that do not fit; {release}",
)
n_wrong, n_table = int((~there).sum()), len(every)
Markdown(
    f"That is {n_wrong:,} of {n_table:,} backgrounds ({n_wrong / n_table:.1%}). "
    "One version of the script wrote the first backgrounds of each gene over one another: of these variants, "
    f"{lost[2]} are lost with the chunks of two that the repository's command takes, {lost[5]} with the default of five."
)

# %% [markdown]
# Does it matter where the residue goes?
# Some labelled variants of another isoform are scanned twice: at the residue that ClinVar means, and, as the script did,
# at ClinVar's number in this sequence.

# %% tags=["hide-input"]
twice = artifacts.read("rescue_contacts_misplaced", profile)
unaffected = main[(main["model"] == first) & (main["cutoff"] == cutoff) & (main["nearest"] == nearest)].iloc[0]
affected = set(wrong["gene"]) - {"all"}
others = distances.contact_auroc(
    scans[first][0].query("gene not in @affected"),
    cutoffs=[cutoff],
    ranges=[nearest],
    controls={"separation": ()},
    n=n,
    seed=seed,
).iloc[0]
Markdown(
    f"Of {len(twice)} such variants, drawn with a seed, {twice['same_best'].sum()} have "
    f"the same best second substitution at both places with {first}, and the rank correlation of the two profiles of "
    f"mean |epistasis| along the chain is {twice['spearman'].mean():.2f} in the mean. "
    "Without the genes of the table above, the pre-stated AUROC is "
    f"{show.interval(others['auroc'], others['low'], others['high'])}, with their fitting variants "
    f"{show.interval(unaffected['value'], unaffected['low'], unaffected['high'])}."
)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
assert planned["n_genes"].between(1, len(sequences)).all() and planned["p"].between(0, 1).all()
assert int(wrong["fits"].iat[-1]) + n_wrong == int(every["gene"].isin(affected).sum())
assert (planned["low"] <= planned["value"]).all() and (planned["value"] <= planned["high"]).all()
saved = {"planned": planned, "genes": by_gene, "baselines": baselines, "afterwards": afterwards, "mismatches": wrong}
for name, table in saved.items():
    artifacts.save(table, f"rescue_contacts_{name}", profile)

# %% [markdown]
# ## What this shows


# %% tags=["hide-input"]
def row_of(table, title, **where):
    """The one row of a table that fits, cut-off and separation being the first of each where they are not given."""
    where = {"model": title, "cutoff": cutoff, "nearest": nearest, "matched": "separation"} | where
    (found,) = (row for row in table.to_dict("records") if all(row[key] == value for key, value in where.items()))
    return found


def against_chance(row):
    """In words, where interval and permutation agree."""
    if row["low"] > 0.5 and row["p"] < 0.05:
        return "above chance"
    return "below chance" if row["high"] < 0.5 and row["p"] > 0.95 else "not told from chance"


def line(row):
    return f"{show.interval(row['value'], row['low'], row['high'])}, p = {row['p']:.3f}, {against_chance(row)}"


texts = []
for title, extra in said.items():
    far = row_of(planned, title, nearest=distances.RANGES[1])
    strict = row_of(planned, title, matched="separation, entropy, pLDDT")
    texts += [
        f"- {title}{extra}: AUROC {line(row_of(planned, title))} at {cutoff:.0f} Å; {line(far)} from "
        f"{distances.RANGES[1]} residues on; with entropy and pLDDT matched too {line(strict)}."
    ]
named = baselines[(baselines["model"] == first) & (baselines["nearest"] == nearest)].set_index("ranked")
texts += [
    f"- Other values, {first}: " + "; ".join(f"{name} {line(named.loc[name])}" for name in named.index) + ".",
    "- Exploratory, after the average product correction: "
    + "; ".join(f"{title} {line(row_of(afterwards, title))}" for title in scans)
    + ".",
    f"- {n_wrong:,} of {n_table:,} published backgrounds are not the variant they are named for.",
]
Markdown("\n".join(texts))

# %% [markdown]
# **What would falsify this.**
# Pairs were compared with pairs of the same position and separation, so that a value above one half cannot come from
# these two.
# It could come from what partners in contact have in common beside the contact: they are buried and conserved.
# If matching entropy and pLDDT brought it to one half, or if *wild type only* did as well, the model would know which
# partners are sensitive, and nothing about pairs.
# A value at one half would be refuted by a larger model on the same pairs: it would then be this model that does not
# know contacts, not that rescues do not sit there.
# The corrected value would be refuted by proteins that were not looked at before.
#
# ## Limits
#
# - |Epistasis| says that the model answers, not that a substitution rescues; measured landscapes ask that.
# - The default model has read the orthologs of these genes, and the general model has read relatives of some.
# - Structures are predicted, one chain each: contacts between chains count as none.
# - Positions with variants are where ClinVar has labels, which is not a random choice.
# - A sample of a gene's variants has fewer positions, and so fewer contacts.
