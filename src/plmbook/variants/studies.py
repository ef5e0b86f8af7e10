"""Studies of variants and of rescues: the result tables of one model, derived tables among them."""

from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import paths
from plmbook.core.artifacts import save
from plmbook.core.errors import InputError
from plmbook.tables import bundled
from plmbook.tables.derived import SAMPLE, derive, dtype_of, ships, tolerance_of
from plmbook.variants import effects, landscapes, ngram, rescored

# Raise one of these whenever the algorithm behind the table changes its answer: shipped tables are then not used.
VERSIONS = {
    "masked-marginals": 1,
    "mutant-marginals": 1,
    "pseudo-likelihood": 1,
    "heldout-likelihood": 2,
    "rescue-comasked": 1,
    "rescue-pseudo-likelihood": 1,
    "landscape-scores": 1,
}

PSEUDO_VARIANTS = 200  # pseudo-likelihood takes as many forward passes as the protein has residues, for each variant
PSEUDO_LENGTH = 210  # residues: longest gene in that sample
MASKED_SHARE = 0.15
RESCORED_VARIANTS, RESCORED_TOP = 100, 20  # whose best second sites are scored again with both positions masked

# Well-known pathogenic variants whose best second sites are scored by pseudo-likelihood.  That takes hundreds of
# forward passes a second site, so all but one are of genes of at most 213 residues.
NAMED_VARIANTS = {
    "TTR": ("L75P", "T80A", "V50M", "V142I"),
    "VHL": ("N78S", "R167Q", "R167W", "Y98H"),
    "TNNC1": ("A8V", "G159D"),
    "MYL2": ("E22K", "R58Q"),
    "MYL3": ("M149V",),
    "TNNI3": ("K206Q", "R145G", "R186Q"),
    "SDHD": ("D92Y", "H102L", "P81L"),
    "TP53": ("R175H",),
}
NAMED_TOP = 5
BACKGROUNDS, ENOUGH = 250, 20  # of a landscape, those with the most doubles; rescues that are enough to count
STEPS = 1000  # of a nat, in the table of second mutations


def wildtype_effects(model, *, progress: bool = False) -> pd.DataFrame:
    """Wild-type marginals of every bundled variant whose wild type matches its gene's sequence; always computed.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score.
    """
    return effects.score_table(
        model, tables.load("genes"), bundled.matching_variants(), strategy="wildtype-marginals", progress=progress
    )


def labelled_effects(
    model, strategy: str, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Another strategy's scores: a derived table.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    strategy : {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}
        The first two for every P/LP and B/LB variant, the last for `pseudo_sample`.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score.
    """
    if strategy not in VERSIONS or strategy not in effects.STRATEGIES:
        raise InputError(f"no derived table of {strategy}")
    genes, variants = tables.load("genes"), bundled.matching_variants()
    variants = variants[variants["significance"].isin(bundled.LABELLED)].reset_index(drop=True)
    chosen, sample = variants, SAMPLE
    parameters = {"strategy": strategy, "dtype": dtype_of(model)}
    if strategy == "pseudo-likelihood":
        chosen, sample = pseudo_sample(variants, genes), 1  # one variant takes hundreds of forward passes
        parameters |= {"n": PSEUDO_VARIANTS, "longest": PSEUDO_LENGTH, "seed": bundled.SEED}

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        scored = effects.score_table(model, genes, rows, strategy=strategy, progress=progress and len(rows) > SAMPLE)
        return rows.assign(score=scored["score"].to_numpy())

    table, _ = derive(
        strategy,
        chosen[["gene", "mutation"]],
        compute,
        model=model,
        inputs=[paths.data() / "genes.tsv", paths.data() / "variants.parquet"],
        parameters=parameters,
        version=VERSIONS[strategy],
        sample=sample,
        # a pseudo-likelihood ratio adds up to 400 numbers
        tolerance=tolerance_of(model) * (5 if strategy == "pseudo-likelihood" else 1),
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    return chosen.reset_index(drop=True).assign(model=model.name, strategy=strategy, score=table["score"].to_numpy())


def pseudo_sample(
    variants: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    n: int = PSEUDO_VARIANTS,
    longest: int = PSEUDO_LENGTH,
    seed: int = bundled.SEED,
) -> pd.DataFrame:
    """A seeded sample of labelled variants in short genes, half P/LP and half B/LB as far as there are enough.

    Parameters
    ----------
    variants : DataFrame
        gene, mutation, significance and others.
    genes : DataFrame
        gene, length (residues).
    n : int
        Variants; where a class has fewer than n / 2, the other makes up for it.
    longest : int
        Residues of the longest gene considered.
    seed : int
        Of the draw.

    Returns
    -------
    DataFrame
        Rows of `variants`, sorted by gene and mutation, fresh index.
    """
    short = set(genes["gene"][genes["length"] <= longest])
    rows = variants[variants["gene"].isin(short)].sort_values(["gene", "mutation"])
    pathogenic, benign = (rows[rows["significance"] == label] for label in bundled.LABELLED)
    n_benign = min(len(benign), max(n // 2, n - len(pathogenic)))
    n_pathogenic = min(len(pathogenic), n - n_benign)
    drawn = [part.sample(k, random_state=seed) for part, k in ((pathogenic, n_pathogenic), (benign, n_benign))]
    return pd.concat(drawn).sort_values(["gene", "mutation"]).reset_index(drop=True)


def variant_effects(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Every score that the book shows of one model on the bundled variants; saved as `effects.<model>`.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score: wild-type marginals for all matching variants,
        masked and mutant marginals for P/LP and B/LB, pseudo-likelihood for a sample of those.
    """
    options = {"profile": profile, "recompute": recompute, "progress": progress}
    parts = [wildtype_effects(model, progress=progress)]
    parts += [labelled_effects(model, s, **options) for s in effects.STRATEGIES if s in VERSIONS]
    table = pd.concat(parts, ignore_index=True)
    save(table, f"effects.{model.name}", profile)
    return table


def heldout_likelihood(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Masked residues of proteins without a relative in training: the model beside two that count.

    The residue frequencies are those of the bundled model's training corpus, from its card; the n-gram
    (`plmbook.variants.ngram`) counted the general proteins of that corpus. `metrics.perplexity_table` makes
    perplexities of it, over all, by length and by kingdom.

    Returns
    -------
    DataFrame
        id, source, kingdom, length, n_masked, log_likelihood, frequency_log_likelihood, ngram_log_likelihood; saved as
        `heldout.<model>`.
    """
    proteins, frequencies = tables.load("heldout"), bundled.residue_frequencies()
    proteins = proteins[~proteins["id"].isin(bundled.read_in_training("heldout"))].reset_index(drop=True)
    counts = ngram.Ngram.from_table(tables.load("ngram"))

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        these = proteins.set_index("id").loc[rows["id"]].reset_index()
        return effects.masked_likelihood(
            model,
            these,
            frequencies=frequencies,
            ngram=counts,
            share=MASKED_SHARE,
            seed=bundled.SEED,
            progress=progress and len(rows) > SAMPLE,
        )

    table, _ = derive(
        "heldout-likelihood",
        proteins[["id"]],
        compute,
        model=model,
        inputs=[paths.data() / "heldout.tsv", paths.data() / "ngram.parquet"],
        parameters={
            "share": MASKED_SHARE,
            "seed": bundled.SEED,
            "frequencies": list(frequencies),
            "ngram": {"weights": dict(ngram.WEIGHTS), "prior": ngram.PRIOR, "shrinkage": ngram.SHRINKAGE},
            "dtype": dtype_of(model),
        },
        version=VERSIONS["heldout-likelihood"],
        values=("n_masked", "log_likelihood", "frequency_log_likelihood", "ngram_log_likelihood"),
        tolerance=5 * tolerance_of(model),  # sums over up to 150 masked residues
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    table = proteins[["id", "source", "kingdom", "length"]].merge(table, on="id", how="left", validate="one_to_one")
    save(table, f"heldout.{model.name}", profile)
    return table


def rescores(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """The best second sites of some variants, and matched random ones, scored again; saved as `rescored.<model>`.

    The scan runs live, the scores are derived tables: with both positions masked the `RESCORED_TOP` candidates of
    `RESCORED_VARIANTS` P/LP variants drawn over the genes, by pseudo-likelihood the `NAMED_TOP` of `NAMED_VARIANTS`.

    Returns
    -------
    DataFrame
        The columns of `rescored.pairs`, model, way ("comasked", "pseudo-likelihood"), and those of
        `rescored.comasked` and `rescored.pseudo_likelihood`, missing in the other way's rows.
    """
    sequences = tables.load("genes").set_index("gene")["sequence"]
    variants = bundled.matching_variants()
    drawn = rescored.sample_variants(
        variants[variants["significance"] == bundled.LABELLED[0]], n=RESCORED_VARIANTS, seed=bundled.SEED
    )
    named = pd.DataFrame(
        [(gene, text) for gene, texts in NAMED_VARIANTS.items() for text in texts], columns=["gene", "mutation"]
    )
    parts = []
    for way, chosen, top, score, values, sample, times in (
        ("comasked", drawn, RESCORED_TOP, rescored.comasked, rescored.COMASKED, SAMPLE, 1),
        # one double mutant takes four passes a residue; the sum of as many numbers differs by more than one of them
        ("pseudo-likelihood", named, NAMED_TOP, rescored.pseudo_likelihood, rescored.PSEUDO, 1, 5),
    ):
        place = paths.derived() / model.name / f"rescue-{way}.parquet"
        pairs = rescored.pairs(
            model, sequences, chosen, top=top, seed=bundled.SEED, earlier=None if recompute else _shipped_pairs(place)
        )

        def compute(rows: pd.DataFrame, score=score) -> pd.DataFrame:
            return score(model, sequences, rows)

        table, _ = derive(
            f"rescue-{way}",
            pairs[list(rescored.PAIR)],
            compute,
            model=model,
            inputs=[paths.data() / "genes.tsv"],
            parameters={"dtype": dtype_of(model)},
            version=VERSIONS[f"rescue-{way}"],
            values=values,
            tolerance=tolerance_of(model) * times,
            sample=sample,
            profile=profile,
            ship=ships(model),
            recompute=recompute,
        )
        parts.append(pairs.assign(model=model.name, way=way, **{name: table[name].to_numpy() for name in values}))
    result = pd.concat(parts, ignore_index=True)
    save(result, f"rescored.{model.name}", profile)
    return result


def _shipped_pairs(place: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(place, columns=list(rescored.PAIR))
    except (OSError, ValueError):  # none, or damaged, which `derive` tells
        return None


def landscape_scores(
    model,
    *,
    n_backgrounds: int = BACKGROUNDS,
    enough: int = ENOUGH,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Second mutations of the measured landscapes on the backgrounds of first ones.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    n_backgrounds, enough : int
        As in `landscapes.backgrounds`.

    Returns
    -------
    DataFrame
        landscape (str: every one of its protein has the rows), and the columns of `landscapes.pair_scores`, in which
        the score on the background is to the nearest 0.001 nats; saved as `landscape_scores.<model>`.
    """
    measured, proteins = tables.load("landscapes"), tables.load("landscape_proteins")
    chosen = landscapes.backgrounds(measured, proteins, n=n_backgrounds, enough=enough)
    names = list(dict.fromkeys(chosen["landscape"]))
    sequence_of = proteins.set_index("landscape")["sequence"]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name, part in rows.groupby("landscape", sort=False):
            found = landscapes.pair_scores(model, sequence_of[name], part, progress=progress and len(rows) > SAMPLE)
            parts.append(part.assign(score=np.rint(STEPS * found["score_background"]).astype(np.int32)))
        return pd.concat(parts).loc[rows.index]

    table, _ = derive(
        "landscape-scores",
        chosen,
        compute,
        model=model,
        inputs=[paths.data() / file for file in ("landscapes.parquet", "landscape_proteins.tsv")],
        parameters={"n_backgrounds": n_backgrounds, "enough": enough, "steps": STEPS, "dtype": dtype_of(model)},
        version=VERSIONS["landscape-scores"],
        tolerance=1 + STEPS * tolerance_of(model),
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    parts = []
    for name in names:
        part = table[table["landscape"] == name]
        scored = landscapes.pair_scores(
            model, sequence_of[name], part[["mutation", "second"]], score_background=part["score"].to_numpy() / STEPS
        )
        same = proteins.loc[proteins["sequence"] == sequence_of[name], "landscape"]
        parts += [scored.assign(landscape=each) for each in same]
    result = pd.concat(parts, ignore_index=True)
    save(result, f"landscape_scores.{model.name}", profile)
    return result
