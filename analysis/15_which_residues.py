# %% [markdown]
# # Which residues matter
#
# A classifier says that a protein binds GTP.
# Does it say so because of the residues that hold the GTP, or because the protein looks like others that do?
# Two ways to ask: take residues away and see how far the answer falls ({term}`occlusion`,
# {cite:t}`zeiler2014visualizing`), and divide the answer among the residues, which a linear classifier allows exactly.
# Whether either finds the right residues is checked with {term}`motifs <motif>` of PROSITE
# {cite:p}`sigrist2013prosite`, which are known from elsewhere.
#
# **Inputs**: `data/go_proteins.parquet`, `data/go_annotations.parquet`, `data/go_terms.tsv`; `go-embeddings`,
# `go-regressions` and `residue-drops` of `data/derived`; the weights of the models.
# With `whole_proteomes` the sources `uniprot-go`, `goa` and `go` take the place of the GO tables and of `data/derived`.
#
# **Outputs**: `results/<profile>/residues_*.parquet`, and the table behind each figure in `figures/`.
#
# **Runtime and hardware**: under a minute on one CPU core, most of it for reading the proteins. The classifiers and what
# masking takes away are shipped ({ref}`sec-derived`), and a sample of both is computed afresh.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # models whose answers are divided; the first is also asked masked
whole_proteomes = False  # True: those of UniProt and GOA instead of the bundled sample; needs MMseqs2
column = "cafa5"  # collection of annotations; whole proteomes have one, "goa"
width = 8  # residues of a masked window: the length of the shortest motif
stride = 8  # residues from one window to the next
longest = 450  # residues of a protein that is asked masked, at most: time goes with the square
per_question = 5  # clusters of a question that are asked masked, one protein each
well_known = ["P63092", "Q02750", "P19544"]  # accessions of proteins that are drawn: GNAS, MAP2K1 (MEK1) and WT1
n_permutations = 500  # and resamples of the clusters
seed = 20220917  # of folds, permutations and resamples: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import false_discovery_control

from plmbook import models
from plmbook.book import figures, show, style
from plmbook.core import artifacts
from plmbook.engine import encode
from plmbook.function import occlusion, proteomes, studies
from plmbook.function.classifier import label_table
from plmbook.function.measures import term_metrics
from plmbook.stats import matched, metrics

source = proteomes.load(column, whole=whole_proteomes)
terms = source.terms.set_index("go_id")
first, *_ = names = models.expand(model_names)  # of an ensemble, every member by itself
short = {models.card(name).name: text for name, text in (("embedded", "default"), ("embedded_general", "general"))}

# %% [markdown]
# ## Motifs and terms
#
# Each motif is asked with the terms that its residues bring about: the P-loop holds the phosphates of ATP or GTP, the
# zinc finger a zinc ion and with it DNA, and at the active site of a kinase ATP gives its phosphate away.
# A protein counts if it has both the motif and the term.

# %% tags=["hide-input"]
dataset = occlusion.motif_dataset(source)
proteins, labels, inside, members = dataset
wanted = list(labels)
brief = terms["name"].str.replace(r"^DNA-binding transcription factor activity.*", "transcription factor", regex=True)
title = {
    (motif, term): f"{motif.removeprefix('C2H2 ').removesuffix(' active site')}: {brief[term]}"
    for motif, term in occlusion.MOTIF_TERMS
}
patterns = pd.DataFrame(
    [
        (name, motif.accession, motif.pattern, sum(each.any() for each in inside[name]))
        for name, motif in occlusion.MOTIFS.items()
    ],
    columns=["motif", "PROSITE", "pattern", "proteins"],
)
show.table(patterns, caption=f"Motifs among the {len(proteins):,} proteins")

# %% tags=["hide-input"]
kinase = "GO:0004674"  # of serine/threonine kinases, as the motif
with_it = label_table(source.annotations, proteins["id"], [kinase])[kinase].to_numpy()
together = proteins["cluster"][with_it].value_counts(normalize=True).max()
Markdown(
    f"The term *{terms.loc[kinase, 'name']}* itself is not asked: of the {with_it.sum()} proteins with it {together:.0%} "
    "are in one cluster of relatives"
    + (
        ", which cannot be both learnt and tested."
        if together > 0.5
        else ". The terms were chosen on the bundled sample."
    )
)

# %% [markdown]
# ## The classifiers
#
# Logistic regression on the mean of the last layer, five times, so that each protein is asked of a classifier that saw
# none of its relatives.
# A classifier that cannot tell who has a term has no reason that could be right; so its {term}`AUROC` and {term}`AUPRC`
# come first.

# %% tags=["hide-input"]
fitted, odds, states = {}, {}, {}
needed = sorted({int(row) for rows in members.values() for row in rows})
fold = occlusion.folds_of(labels, proteins["cluster"], seed=seed)
for name in names:
    model = models.load(name, dtype="float32")
    features = studies.go_embeddings(model, collection=source, profile=profile).drop(columns="id").to_numpy()
    options = {"seed": seed, "collection": source, "profile": profile}
    learnt = studies.go_regressions(model, embeddings=features, **options).groupby("fold")
    found = [occlusion.from_coefficients(part, features, fold, number) for number, part in learnt]
    fitted[name] = found
    every = np.stack([occlusion.log_odds(one, features) for one in found])
    odds[name] = every[fold, np.arange(len(proteins))]  # (n, k), of the fold that did not see the protein
    hidden = encode.embed(model, [proteins["sequence"][row] for row in needed], pool="residue")
    states[name] = dict(zip(needed, hidden, strict=True))
    del model, hidden

# %% tags=["hide-input"]
quality = []
for name, values in odds.items():
    options = {"clusters": proteins["cluster"], "n": 300, "seed": seed}
    found = term_metrics(labels, 1 / (1 + np.exp(-values)), np.full(len(wanted), 0.5), **options)
    quality.append(found.assign(model=name))
quality = pd.concat(quality, ignore_index=True)


def measured(name, metric):
    """The measure of every term with its interval, as text."""
    part = quality[quality["model"] == name]
    rows = part[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy()
    return [show.interval(*row, digits=2) for row in rows]


table = pd.DataFrame({"term": brief[wanted].to_numpy(), "with it": labels.sum().to_numpy()})
for name in names:
    for metric in ("auroc", "auprc"):
        table[f"{metric.upper()}, {short.get(name, name)}"] = measured(name, metric)
show.table(table, caption=f"How well the terms are told: {' and '.join(names)}, relatives apart; 95 % intervals")

# %% [markdown]
# ## What each residue adds
#
# The log-odds are a sum over residues and an intercept.
# The share of a residue is what the model wrote there, and it may have read it elsewhere in the protein.

# %% tags=["hide-input"]
shared = []
for name in names:
    for key, rows in members.items():
        k = wanted.index(key[1])
        for row in rows:
            classifier = fitted[name][fold[row]]
            value = occlusion.shares(classifier, states[name][row])[:, k]
            sequence, ids = proteins["sequence"][row], proteins.loc[row, ["id", "cluster"]]
            shared.append(
                pd.DataFrame(
                    {
                        "model": name,
                        "question": title[key],
                        "gene": ids["cluster"],
                        "id": ids["id"],
                        "position": np.arange(1, len(sequence) + 1),
                        "ref": list(sequence),
                        "motif": inside[key[0]][row],
                        "share": value,
                    }
                )
            )
shared = pd.concat(shared, ignore_index=True)
each = shared.groupby(["model", "question"], sort=False)
shared["kind"] = pd.concat([occlusion.by_residue_type(part, "share") for _, part in each]).reindex(shared.index)

# %% [markdown]
# ## What masking takes away
#
# A window of residues is masked, the protein is read again, and the log-odds fall or rise.
# Reading takes time, so of each question one protein a cluster is asked, the shortest first.
# Some well-known proteins are masked besides; they are drawn below and count nowhere else.

# %% tags=["hide-input"]
masking = studies.MaskSettings(width=width, stride=stride, longest=longest, per_question=per_question)
masked_of = occlusion.to_mask(dataset, longest=longest, per_question=per_question)
model = models.load(first, dtype="float32")
options = {"seed": seed, "collection": source, "profile": profile}
windows = studies.residue_drops(model, settings=masking, classifiers=fitted[first], **options)
fixed = {  # rows of the well-known proteins, and the first question each has motif and term of
    row: next(key for key, rows in members.items() if row in rows)
    for row in needed
    if proteins["id"][row] in well_known
}
spacing = {"width": width, "stride": stride}
by_name = {row: occlusion.drops(model, proteins["sequence"][row], fitted[first][fold[row]], **spacing) for row in fixed}
del model
fallen = {}  # (L, k) by row of the proteins
for row in sorted({row for rows in masked_of.values() for row in rows}):
    part = windows[windows["id"] == proteins["id"][row]]
    spans = list(part[["start", "stop"]].itertuples(index=False, name=None))
    fallen[row] = occlusion.spread(part[wanted].to_numpy(), spans, len(proteins["sequence"][row]))
windows_read = len(windows)
parts = []
for key, rows in masked_of.items():
    part = shared[(shared["model"] == first) & (shared["question"] == title[key])]
    for row in rows:
        own = part[part["id"] == proteins["id"][row]]
        parts.append(own.assign(drop=fallen[row][:, wanted.index(key[1])]))
masked = pd.concat(parts, ignore_index=True)
each = masked.groupby("question", sort=False)
masked["drop_kind"] = pd.concat([occlusion.by_residue_type(part, "drop") for _, part in each]).reindex(masked.index)
Markdown(
    f"{len(fallen)} proteins, {windows_read:,} windows of {width} residues. The shares could be read off all "
    f"{len(needed)} proteins with a motif and its term."
)

# %% [markdown]
# ## Single proteins
#
# Some well-known proteins are named in the parameters, for being well known and not for what was found in them.
# Beside them stands, for each motif, of the proteins that were masked the one whose term is told best: with the largest
# part of the proteins without the term below it.
# That is a choice by the result, and shows where a way points when the classifier is sure; how often it points at the
# motif the next section counts.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Fall of the log-odds when residues are masked, and the shares of the same residues, along well-known proteins and those whose term is told best, with their motifs in grey"}}
named = proteins["id"].where(proteins["gene"] == "", proteins["gene"] + " (" + proteins["id"] + ")")
row_of = pd.Series(proteins.index, index=proteins["id"])


def below(row, key):
    """The part of the proteins without a term whose log-odds are lower than those of this one."""
    k = wanted.index(key[1])
    return (odds[first][~labels[key[1]].to_numpy(), k] < odds[first][row, k]).mean()


ranked = [
    (key[0], title[key], proteins["id"][row], proteins["gene"][row], below(row, key))
    for key, rows in masked_of.items()
    for row in rows
]
ranked = pd.DataFrame(ranked, columns=["motif", "question", "id", "gene", "below"])
best = ranked.sort_values(["below", "id"], ascending=[False, True]).groupby("motif", sort=False).head(1)
best = best.set_index("motif").reindex(occlusion.MOTIFS)
asked_in = {text: key for key, text in title.items()}
drawn = [("", row, key, by_name[row]) for row, key in fixed.items()]
drawn += [
    ("best told: ", row_of[each.id], asked_in[each.question], fallen[row_of[each.id]]) for each in best.itertuples()
]
lines, seen = [], []
for note, row, key, drop in drawn:
    own = (shared["model"] == first) & (shared["question"] == title[key])
    line = shared[own & (shared["id"] == proteins["id"][row])]
    line = line.assign(drop=drop[:, wanted.index(key[1])])
    # The share of the residues of a window, so that both are sums over equally many residues.
    line["window_share"] = line["share"].rolling(width, center=True, min_periods=1).mean() * width
    lines.append(line.assign(panel=f"{note}{named[row]}, {title[key]}"))
    within = {"case": "motif", "strata": ["id"], "minimum": 1}
    found = [matched.gene_aurocs(line, value=value, **within)["auroc"].iloc[0] for value in ("drop", "share")]
    seen.append((note, named[row], title[key], below(row, key), *found))
lines = pd.concat(lines, ignore_index=True)
lines = lines[["model", "panel", "id", "position", "ref", "motif", "drop", "window_share"]]
seen = pd.DataFrame(seen, columns=["chosen", "protein", "question", "below", "masked", "share"])
figure = figures.tracks(lines, {"drop": "masked", "window_share": "share"}, axis="log-odds of the term")
absent = sorted(set(well_known) - {proteins["id"][row] for row in fixed})
caption = (
    f"{first}: how far the log-odds fall when a window of {width} residues is masked, and the sum of the shares of as "
    "many residues. Above 0 a residue speaks for the term. "
    + " ".join(
        f"{row.protein} stands above {row.below:.0%} of the proteins without its term."
        for row in seen.drop_duplicates(["protein", "question"]).itertuples()
    )
    + (f" Not among the proteins with motif and term: {', '.join(absent)}." if absent else "")
)
show.figure(figure, lines, "15_tracks", profile=profile, caption=caption)

# %% [markdown]
# ## Are the motifs found?
#
# The AUROC of the residues of a motif against all others of the same protein, a mean over clusters of relatives; 0.5 is
# chance.
# The p-value comes from turning the motif along the chain.
# A baseline gives each residue what its kind of amino acid has on average in other clusters, outside motifs: a lysine
# speaks for ATP binding wherever it stands.

# %% tags=["hide-input"]
ways = {
    f"masked, {short.get(first, first)}": (masked, first, "drop", "drop_kind"),
    **{f"share, {short.get(name, name)}": (shared, name, "share", "kind") for name in names},
}
statistics, gains = [], []
for way, (table, name, value, baseline) in ways.items():
    for question in title.values():
        part = table[(table["model"] == name) & (table["question"] == question)]
        options = {"case": "motif", "strata": ["id"], "minimum": 1, "n": n_permutations, "seed": seed}
        which = {"way": way, "model": name, "question": question, "proteins": part["id"].nunique()}
        for text, read in ((way, value), (f"kind, {way}", baseline)):
            statistics.append(which | {"of": text} | matched.auroc(part, value=read, **options)._asdict())
        found = occlusion.gain(part, value, baseline, n=n_permutations, seed=seed)
        gains.append(which | {"difference": found.value, "low": found.low, "high": found.high, "clusters": found.n})
statistics, gains = pd.DataFrame(statistics), pd.DataFrame(gains)
own = statistics["of"] == statistics["way"]
statistics.loc[own, "q"] = false_discovery_control(statistics.loc[own, "p"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUROC of motif residues within their protein, a line a motif and term, panels for masking, for shares by two models, and for a baseline of the kind of residue"}}
panels = [*ways, f"kind alone, {short.get(first, first)}"]
drawn = pd.concat(
    [
        statistics[own].assign(panel=statistics["way"], kind=statistics["model"].map(style.kind)),
        statistics[statistics["of"] == f"kind, {panels[1]}"].assign(panel=panels[-1], kind=style.BASELINE),
    ],
    ignore_index=True,
)
drawn = drawn[["model", "kind", "panel", "question", "value", "low", "high"]]
figure = figures.forest(
    drawn, panel="panel", rows="question", axis="AUROC of motif residues in their protein", reference=0.5, columns=2
)
caption = (
    f"Do {show.models_named({name: short.get(name, name) for name in names})} look at the motif? Masked: "
    f"{len(fallen)} proteins; shares, and the kind of residue alone: {len(needed)}. Whiskers: 95 % bootstrap over clusters. Dotted: chance."
)
show.figure(figure, drawn, "15_motifs", profile=profile, caption=caption)

# %% tags=["hide-input"]
shown = statistics[own].merge(
    gains[["way", "question", "difference", "low", "high"]], on=["way", "question"], suffixes=("", "_gain")
)
table = pd.DataFrame(
    {
        "way": shown["way"],
        "question": shown["question"],
        "clusters": shown["n_genes"],
        "AUROC": [show.interval(*row, digits=2) for row in shown[["value", "low", "high"]].to_numpy()],
        "q": shown["q"],
        "less kind alone": [
            show.interval(*row, digits=2, sign=True)
            for row in shown[["difference", "low_gain", "high_gain"]].to_numpy()
        ],
    }
)
show.table(table, caption="q: false discovery rate over all rows (Benjamini and Hochberg)")

# %% [markdown]
# Do both ways point at the same residues?
# Of each window, the fall of the log-odds and the sum of the shares, by rank within the protein.

# %% tags=["hide-input"]
blocks = masked.assign(block=(masked["position"] - 1) // stride)
blocks = blocks.groupby(["question", "gene", "id", "block"])[["drop", "share"]].agg({"drop": "mean", "share": "sum"})
of_protein = blocks.groupby(["question", "gene", "id"]).apply(lambda part: part["drop"].corr(part["share"], "spearman"))
of_cluster = of_protein.groupby("gene").mean()  # a protein may be asked more than one question
agreement = metrics.mean_over_genes(of_cluster, n=n_permutations, seed=seed)
Markdown(
    f"Rank correlation of both along the chain, {first}: {show.interval(*agreement[:3], digits=2, sign=True)}, a mean "
    f"over {agreement.n} clusters."
)

# %% [markdown]
# ## Gate and results

# %% tags=["hide-input"]
# The shares and the intercept give the log-odds of the protein back.
for name in names:
    total = shared[shared["model"] == name].groupby(["question", "id"])["share"].sum()
    for key, rows in members.items():
        for row in rows:
            classifier, k = fitted[name][fold[row]], wanted.index(key[1])
            whole = occlusion.log_odds(classifier, states[name][row].mean(axis=0, keepdims=True))[0, k]
            offset = classifier.fitted.arrays["intercepts"][k]
            assert abs(total[title[key], proteins["id"][row]] + offset - whole) < 1e-3
assert all((table.groupby("id")["motif"].sum() > 0).all() for table in (shared, masked))
for part, saved in {
    "motifs": statistics,
    "gains": gains,
    "terms": quality,
    "masked": masked,
    "examples": ranked,
}.items():
    artifacts.save(saved, f"residues_{part}", profile)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
said = []
for way in ways:
    part = statistics[own & (statistics["way"] == way)]
    better = gains[gains["way"] == way].set_index("question")
    above = part[(part["low"] > 0.5) & (part["q"] < 0.05)]
    below = part[part["high"] < 0.5]
    more = [question for question in above["question"] if better.loc[question, "low"] > 0]
    said.append(
        f"**{way}**: motif residues stand out, with the interval above one half and q below 0.05, in {len(above)} of "
        f"{len(part)} questions"
        + (f" ({'; '.join(above['question'] + ' ' + above['value'].map('{:.2f}'.format))})" if len(above) else "")
        + f"; more than their kind of amino acid explains in {len(more)}"
        + (f" ({'; '.join(more)})" if more else "")
        + f". In {len(below)} they speak against the term; in the others neither can be told."
    )
weak = quality[(quality["model"] == first) & (quality["auprc_low"] < 2 * quality["prevalence"])]
if len(weak):
    told = ", ".join(brief[weak["term"]])
    said.append(
        f"{first} hardly tells who has these terms when relatives are apart (AUPRC not clearly above twice the share): {told}."
    )
said.append(
    f"Masking and shares are not the same question ({first}): their rank correlation along the chain is "
    f"{show.interval(*agreement[:3], digits=2, sign=True)}, a mean over clusters."
)
if len(fixed):
    told = "; ".join(
        f"{row.protein}, {row.question}: {row.masked:.2f} masked, {row.share:.2f} by shares"
        for row in seen[seen["chosen"] == ""].itertuples()
    )
    said.append(f"The well-known proteins, AUROC of the motif's residues in that one protein, {first}: {told}.")
confident = [(odds[first][rows, wanted.index(key[1])] > 0).mean() for key, rows in members.items()]
said.append(
    f"Of the proteins with motif and term {min(confident):.0%} to {max(confident):.0%} by question are given the term "
    f"with a probability above one half, {first}."
)
Markdown("\n".join(f"- {line}" for line in said))

# %% [markdown]
# ## What would change this
#
# A model that recognises the function by its site should have an AUROC near one, by masking above all, and far more than
# the kind of residue gives.
# Were it near one half where the classifier is good, the classifier would go by family, composition or compartment
# instead: right for the wrong reason.
#
# ## Limits
#
# - Where a term is not learnt the question which residues matter has no answer. In the `embedded` profile the models
#   are small; ESM-2 650M may learn more terms, and more of their sites.
# - The single proteins are examples: a few names that one knows, and those whose term is told best, a choice by result.
# - The list of questions was fixed after a trial of seven, the one on kinase activity among them, had been seen; the
#   q-values count those that are left.
# - Few clusters of relatives have motif and term, and with fewer than ten an interval from resampling them is too narrow.
# - A motif is a part of the site: residues around it, or of a second site, rightly matter and count as others here.
# - A masked window leaves its neighbours, from which a model may guess what is missing; and a masked protein is none.
# - The masked windows lie on a grid: a motif may be cut by it.
# - No conservation of these proteins is at hand, which would be the better baseline.
