# %% [markdown]
# # Do other ways of asking agree?
#
# The {term}`epistasis` of a second substitution is read off two forward passes: of the variant's protein, and of the wild
# type.
# That is cheap enough to be done for every second site of every variant, and it is one of several questions that a model
# can be asked.
# Two others are dearer: mask both positions, or score the whole double mutant by its pseudo-likelihood.
# Do the candidates that the scan puts first stand out in these as well?
#
# **Inputs**: `data/genes.tsv`, `data/variants.parquet`, `data/derived`; the weights of the models.
#
# **Outputs**: `results/<profile>/asked_again_*.parquet`, `rescored.<model>` (a row a second site) beside them, and the
# table behind each figure in `figures/`.
#
# **Runtime and hardware**: about a minute of one CPU core; the scans run live, the dear scores are shipped, and a sample
# of them is computed afresh.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results
model_names = ["embedded", "embedded_general"]  # each is asked by itself
n = 1000  # resamples of the genes
seed = 20220917  # of these: the date of the ClinVar release

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from plmbook import models, tables
from plmbook.book import figures, show
from plmbook.core import artifacts
from plmbook.core.residues import parse_mutations
from plmbook.stats import matched
from plmbook.tables import bundled
from plmbook.variants import rescored, studies

sequences = tables.load("genes").set_index("gene")["sequence"]
variants = bundled.matching_variants()
release = f"ClinVar {variants['release'].iat[0]}"
settings, found = studies.RESCORED, []
for name in models.expand(model_names):  # of an ensemble, every member by itself
    model = models.load(name, dtype="float32")
    found.append(studies.rescores(model, settings=settings, profile=profile))
    del model  # before the next is loaded
found = pd.concat(found, ignore_index=True)
first, models_named = found["model"].iat[0], ", ".join(found["model"].unique())
places = [parse_mutations(text)[0].position for text in found["mutation"]]
found["separation"] = (found["position"] - places).abs()
masked, pseudo = (found[found["way"] == way] for way in ("comasked", "pseudo-likelihood"))

# %% [markdown]
# ## Who is asked, and beside whom
#
# *Candidates* are the best second sites of a variant by epistasis.
# Beside each candidate stands a random second site about as far from the variant along the chain, at a position that no
# candidate has.
# Where a model puts its candidates next to the variant, the nearest positions are taken, and the random sites lie a little
# further away; so the same is asked once more within bins of separation.
# The statistic is the chance that a candidate has the higher value than a random second site of the same variant: a mean
# over variants, then over genes, each gene counting alike; 0.5 where the two do not differ.
# The interval resamples genes.
# This was fixed before the scores were computed; the comparison within bins was added when the separations below were
# seen.

# %% tags=["hide-input"]
counts = pd.DataFrame(
    [
        (way, model, len(part[["gene", "mutation"]].drop_duplicates()), len(part) // 2, *apart)
        for (way, model), part in found.groupby(["way", "model"], sort=False)
        for apart in [part.groupby("kind")["separation"].median()[list(rescored.KINDS)]]
    ],
    columns=["way", "model", "variants", "of each kind", "candidates apart", "random apart"],
)
artifacts.save(counts, "asked_again_counts", profile)
show.table(
    counts, caption=f"What was asked again, and the median separation (residues) from the variant; {release}", digits=0
)
named = pd.MultiIndex.from_frame(pseudo[["gene", "mutation"]].drop_duplicates())
Markdown(
    "The pseudo-likelihoods are of well-known variants, chosen by name: "
    + "; ".join(
        f"{gene} {', '.join(part.get_level_values(1))}"
        for gene, part in named.groupby(named.get_level_values(0)).items()
    )
    + "."
)

# %% [markdown]
# What all of it would cost shows why it is not asked of every second site.

# %% tags=["hide-input"]
one = found[found["model"] == first]
labelled = variants[variants["significance"].isin(bundled.LABELLED)]
costs = []
for way, part in one.groupby("way", sort=False):
    asked = part.drop_duplicates(["gene", "mutation"])
    tables_of = {
        "asked": rescored.forwards(sequences, part),
        "every site of these variants": rescored.exhaustive(sequences, asked),
        "every site of all labelled variants": rescored.exhaustive(sequences, labelled),
    }
    costs += [
        {"what": what} | table.set_index("way").loc[way].to_dict() | {"way": way} for what, table in tables_of.items()
    ]
costs = pd.DataFrame(costs)
artifacts.save(costs, "asked_again_costs", profile)
show.table(
    costs.assign(millions=costs["residues"] / 1e6)[["way", "what", "passes", "millions"]].rename(
        columns={"millions": "residues, millions"}
    ),
    caption=f"Forward passes of one model ({first}), and the residues that it reads; {release}",
    digits=0,
)

# %% [markdown]
# ## Both positions masked
#
# With the variant's position $i$ and the second site $j$ masked, the model sees neither residue:
#
# $$ s_{ij}(a) = \ln \frac{p(a \text{ at } j \mid S_{-i,-j})}{p(S_j \text{ at } j \mid S_{-i,-j})}, \qquad
# s_j(a) = \ln \frac{p(a \text{ at } j \mid S_{-j})}{p(S_j \text{ at } j \mid S_{-j})}, \qquad
# e_{ij}(a) = s_{ij}(a) - s_j(a) $$
#
# $e_{ij}$ knows the variant's position and not its residue.
# It says how much the wild type at $i$ speaks against $a$ at $j$: where a candidate is only what the model likes once the
# wild type is gone, $e_{ij}$ is high; where it takes the variant's own residue to make room for it, $e_{ij}$ is not.

# %% tags=["hide-input"]
SAME = "epistasis, matched separation"
BINS = (2, 3, 5, 9, 17, 33, 65, 129)  # lower edges, residues
ROWS = {
    "comasked": {
        "epistasis_comasked": "epistasis, both masked",
        "score_comasked": "score, both masked",
        "score_background": "score on the background",
    },
    "pseudo-likelihood": {
        "pll_epistasis": "epistasis of the PLL",
        "pll_change": "change of the PLL",
        "score_background": "score on the background",
    },
}
answers = pd.DataFrame(
    [
        {"way": way, "model": model, "name": name, **rescored.agreement(part, value, n=n, seed=seed)._asdict()}
        for (way, model), part in found.groupby(["way", "model"], sort=False)
        for value, name in ROWS[way].items()
    ]
).rename(columns={"n": "genes"})
for (way, model), part in found.groupby(["way", "model"], sort=False):
    near = matched.auroc(
        part.assign(
            candidate=part["kind"] == rescored.KINDS[0], bin=np.searchsorted(BINS, part["separation"], side="right")
        ).sort_values(["gene", "mutation", "position", "alt"]),
        value=next(iter(ROWS[way])),
        case="candidate",
        strata=["mutation", "bin"],
        minimum=1,
        n=n,
        seed=seed,
    )
    row = {"way": way, "model": model, "name": SAME, "value": near.value, "low": near.low, "high": near.high}
    answers.loc[len(answers)] = row | {"genes": near.n_genes}
answers = answers.sort_values(["way", "model"], kind="stable").reset_index(drop=True)
artifacts.save(answers, "asked_again_agreement", profile)


def within(part, first, second):
    """Mean over variants of the rank correlation of two values among its candidates."""
    candidates = part[part["kind"] == "candidate"].groupby(["gene", "mutation"])
    return candidates.apply(lambda rows: rows[first].corr(rows[second], method="spearman")).mean()


def forest_of(way):
    part = answers[answers["way"] == way]
    named = part.assign(panel=part["model"].str.replace("_t", "\n_t", n=1))
    return figures.forest(named, panel="panel", axis="candidate above random", reference=0.5, columns=2)


# %% tags=["hide-input"] mystnb={"image": {"alt": "Chance that a candidate has the higher value than a matched random second site, both positions masked, a panel a model"}}
caption = (
    f"Chance that a candidate has a higher value than a random second site of the same variant; "
    f"{settings.top} candidates of each of {settings.n_variants} P/LP variants, {release}; "
    f"{models_named}. Whiskers: 95 % bootstrap over genes. 0.5 is chance."
)
show.figure(
    forest_of("comasked"), answers[answers["way"] == "comasked"], "11_comasked", profile=profile, caption=caption
)

# %% tags=["hide-input"]
lines = []
for model, part in masked.groupby("model", sort=False):
    of = answers[(answers["way"] == "comasked") & (answers["model"] == model)].set_index("name")
    row, background = of.loc["epistasis, both masked"], of.loc["score on the background"]
    lines.append(
        f"- **{model}**: a candidate has the higher epistasis with both positions masked in "
        f"{show.interval(row['value'], row['low'], row['high'])} of the comparisons, and in "
        f"{show.interval(*of.loc[SAME, ['value', 'low', 'high']])} of those within a bin of separation. "
        f"Among the candidates of a variant the two kinds of epistasis have a mean rank correlation of "
        f"{within(part, 'epistasis', 'epistasis_comasked'):+.2f}. "
        f"On the background a candidate scores higher than a random site in "
        f"{show.interval(background['value'], background['low'], background['high'])}: "
        + (
            "candidates by epistasis are no better liked in themselves."
            if background["low"] <= 0.5
            else "candidates by epistasis are better liked in themselves, too."
        )
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## The whole double mutant
#
# The pseudo-log-likelihood (PLL) of a protein is the sum over its residues of the log-probability of each when it is masked.
# With $v$ the variant, $w$ the second site, and $S_v$, $S_w$, $S_{vw}$ the mutants:
#
# $$ \Delta(w \mid v) = \mathrm{PLL}(S_{vw}) - \mathrm{PLL}(S_v), \qquad
# e = \Delta(w \mid v) - \big(\mathrm{PLL}(S_w) - \mathrm{PLL}(S)\big) $$
#
# $\Delta > 0$: the second site makes the variant's protein likelier.
# That alone is no rescue, since a residue that the model likes anywhere does so too; $e > 0$: it does more for the variant
# than for the wild type.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Chance that a candidate has the higher value than a matched random second site, by pseudo-likelihood, a panel a model"}}
caption = (
    f"Chance that a candidate has a higher value than a random second site of the same variant; {settings.named_top} "
    f"candidates of each of {len(named)} named variants, {release}; {models_named}. PLL: pseudo-log-likelihood. "
    f"Whiskers: 95 % bootstrap over {pseudo['gene'].nunique()} genes. 0.5 is chance."
)
show.figure(
    forest_of("pseudo-likelihood"),
    answers[answers["way"] == "pseudo-likelihood"],
    "11_pseudo_likelihood",
    profile=profile,
    caption=caption,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Change of the pseudo-log-likelihood and its epistasis, of candidates and of matched random second sites, a row of panels a model"}}
caption = (
    f"What a second site does to the variant's pseudo-log-likelihood (left), and what of it is epistasis (right), of "
    f"candidates and matched random second sites of {len(named)} named variants, {release}; {models_named}."
)
figure = figures.boxen(
    pseudo, {"pll_change": "change of the PLL (nats)", "pll_epistasis": "epistasis (nats)"}, panel="model", by="kind"
)
show.figure(figure, pseudo, "11_double_mutants", profile=profile, caption=caption)

# %% tags=["hide-input"]
lines = []
for model, part in pseudo.groupby("model", sort=False):
    of = answers[(answers["way"] == "pseudo-likelihood") & (answers["model"] == model)].set_index("name")
    row = of.loc["epistasis of the PLL"]
    shares = [part.loc[part["kind"] == kind, "pll_change"].gt(0).mean() for kind in rescored.KINDS]
    lines.append(
        f"- **{model}**: a candidate has the higher epistasis of the PLL in "
        f"{show.interval(row['value'], row['low'], row['high'])} of the comparisons; {shares[0]:.0%} of the candidates and "
        f"{shares[1]:.0%} of the random second sites make the variant's protein likelier. "
        f"Over the candidates, epistasis of the scan and of the PLL have a mean rank correlation within a variant of "
        f"{within(part, 'epistasis', 'pll_epistasis'):+.2f}."
    )
Markdown("\n".join(lines))

# %% [markdown]
# Of each named variant, the candidate that does most for its pseudo-likelihood, and how much of what the variant costs
# that makes good (*made good*; only where the variant costs something).

# %% tags=["hide-input"]
best = pseudo[(pseudo["kind"] == "candidate") & (pseudo["model"] == first)]
best = best.loc[best.groupby(["gene", "mutation"], sort=False)["pll_change"].idxmax()].reset_index(drop=True)
wild = [sequences[gene][position - 1] for gene, position in zip(best["gene"], best["position"], strict=True)]
best["second site"] = wild + best["position"].astype(str) + best["alt"]
best["made good"] = np.where(best["pll_variant"] < 0, best["pll_change"] / -best["pll_variant"], np.nan)
artifacts.save(best, "asked_again_named", profile)
shown = best.assign(variant=best["gene"] + " " + best["mutation"])
show.table(
    shown[["variant", "pll_variant", "second site", "pll_change", "pll_epistasis", "made good"]].rename(
        columns={"pll_variant": "cost", "pll_change": "change", "pll_epistasis": "epistasis"}
    ),
    caption=f"Named variants; PLL in nats, cost: PLL of the variant less the wild type's; {first}; {release}",
    digits=2,
)

# %% [markdown]
# ## What this says

# %% tags=["hide-input"]
wins = answers.set_index(["way", "model", "name"])
lines = []
for model in found["model"].unique():
    rows = {way: wins.loc[(way, model, SAME)] for way in ROWS}
    agree = sum(row["low"] > 0.5 for row in rows.values())
    parts = {way: found[(found["model"] == model) & (found["way"] == way)] for way in ROWS}
    alike = {way: within(part, "epistasis", next(iter(ROWS[way]))) for way, part in parts.items()}
    candidates = {way: part[part["kind"] == rescored.KINDS[0]] for way, part in parts.items()}
    lost = (candidates["pseudo-likelihood"]["pll_change"] < 0).mean()
    lines.append(
        f"- **{model}**: within bins of separation {['neither other way tells', 'one of the two other ways tells', 'both other ways tell'][agree]} "
        f"candidates from random second sites (co-masked {show.interval(*rows['comasked'][['value', 'low', 'high']], digits=2)}, "
        f"{rows['comasked']['genes']:.0f} genes; pseudo-likelihood "
        f"{show.interval(*rows['pseudo-likelihood'][['value', 'low', 'high']], digits=2)}, {rows['pseudo-likelihood']['genes']:.0f} genes), "
        f"while the order among the candidates of a variant is hardly shared "
        f"(rank correlations {alike['comasked']:+.2f} and {alike['pseudo-likelihood']:+.2f})."
        if max(alike.values()) < 0.5
        else f"- **{model}**: the ways share the order of the candidates, too "
        f"(rank correlations {alike['comasked']:+.2f} and {alike['pseudo-likelihood']:+.2f})."
    )
    lines.append(
        f"  Half of the candidates lie within {candidates['comasked']['separation'].median():.0f} residues of the variant, and "
        f"{lost:.0%} of those of the named variants make the protein *less* likely as a whole"
        + (": high epistasis is mostly a smaller loss, and no gain." if lost > 0.5 else ".")
    )
Markdown("\n".join(lines))

# %% [markdown]
# The ways share a model.
# Where they agree, the scan's first places are no accident of how the question was put.
# That does not say that they are rescues; for that, see [contacts](07_rescue_contacts),
# [evolution](08_compensated_deviations) and [experiment](09_against_experiment).
#
# **What would falsify this reading.**
# Candidates that stand out only on the background and in neither of the other ways would be an artefact of reading the
# score off one pass; a random second site that does as well would be one of the separation.
#
# ## Limits
#
# - Candidates were chosen by the model that is asked again; the comparison is of ways to ask, not of models.
#   Of an ensemble each member is asked by itself.
# - Two masked positions are answered independently of each other: co-masking cannot show that two *particular* residues
#   fit each other.
# - The named variants are few, of few genes, and were chosen because they are known: their numbers are cases, and their
#   interval is over a handful of genes.
# - Pseudo-likelihoods weigh all residues alike, so that one second site far from the variant moves many terms a little.
