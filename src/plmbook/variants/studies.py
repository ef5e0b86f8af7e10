"""Studies of variants and of rescues: the result tables of one model, derived tables among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import paths
from plmbook.tables import bundled
from plmbook.tables.derived import SAMPLE, Run, study
from plmbook.variants import effects, landscapes, ngram, rescored

PSEUDO_VARIANTS = 200  # pseudo-likelihood takes as many forward passes as the protein has residues, for each variant
PSEUDO_LENGTH = 210  # residues: longest gene in that sample
MASKED_SHARE = 0.15
STEPS = 1000  # of a nat, in the table of second mutations

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


@dataclass(frozen=True)
class RescoreSettings:
    """Of `rescores`: whose best second sites are scored again, and how many."""

    n_variants: int = 100  # P/LP variants, drawn over the genes, scored with both positions masked
    top: int = 20  # second sites of each
    named: Mapping[str, Sequence[str]] = field(default_factory=lambda: NAMED_VARIANTS)  # by gene, by pseudo-likelihood
    named_top: int = 5  # second sites of each


RESCORED = RescoreSettings()


def wildtype_effects(model, *, progress: bool = False) -> pd.DataFrame:
    """Wild-type marginals of every variant that counts: their columns, model, strategy, score; never shipped."""
    return effects.score_table(
        model, tables.load("genes"), bundled.matching_variants(), strategy="wildtype-marginals", progress=progress
    )


LABELLED_STRATEGIES = dict.fromkeys(
    ("masked-marginals", "mutant-marginals", "pseudo-likelihood", "likelihood", "next-residue"), 1
)
CHAINS_CHECKED = 5  # rows of a model that reads a residue at a time: the longest gene takes thousands of steps


@study("variant effects", saves="effects", tables=LABELLED_STRATEGIES)
def variant_effects(run: Run) -> pd.DataFrame:
    """Every score of one model on the bundled variants: their columns, model, strategy, score (`effects.<model>`).
    Wild-type marginals of all, masked and mutant marginals of P/LP and B/LB, pseudo-likelihood of a sample of these; of
    a model that reads a residue at a time likelihood and next residue of P/LP and B/LB.
    """
    can = run.model.strategies
    parts = [wildtype_effects(run.model, progress=run.progress)] if "wildtype-marginals" in can else []
    parts += [_labelled_effects(run, each) for each in LABELLED_STRATEGIES if each in can]
    return pd.concat(parts, ignore_index=True)


def _labelled_effects(run: Run, strategy: str) -> pd.DataFrame:
    """The scores of every P/LP and B/LB variant, by pseudo-likelihood those of `pseudo_sample`."""
    genes, variants = tables.load("genes"), bundled.matching_variants()
    chosen = variants[variants["significance"].isin(bundled.LABELLED)].reset_index(drop=True)
    sample, times = SAMPLE, 1
    parameters: dict[str, object] = {"strategy": strategy}
    if strategy == "pseudo-likelihood":  # one variant takes hundreds of forward passes, and adds up to 400 numbers
        chosen, sample, times = pseudo_sample(chosen, genes), 1, 5
        parameters |= {"n": PSEUDO_VARIANTS, "longest": PSEUDO_LENGTH, "seed": bundled.SEED}

    elif run.model.can("likelihood"):
        sample = CHAINS_CHECKED

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        scored = effects.score_table(run.model, genes, rows, strategy=strategy, progress=run.bars(rows))
        return rows.assign(score=scored["score"].to_numpy())

    table = run.derive(
        strategy,
        chosen[["gene", "mutation"]],
        compute,
        files=("genes.tsv", "variants.parquet"),
        parameters=parameters,
        sample=sample,
        tolerance=times * run.tolerance,
    )
    return chosen.assign(model=run.model.name, strategy=strategy, score=table["score"].to_numpy())


def pseudo_sample(variants: pd.DataFrame, genes: pd.DataFrame, *, n: int = PSEUDO_VARIANTS) -> pd.DataFrame:
    """A seeded, sorted sample: n variants of genes up to `PSEUDO_LENGTH` residues, half P/LP, half B/LB if enough."""
    short = set(genes["gene"][genes["length"] <= PSEUDO_LENGTH])
    rows = variants[variants["gene"].isin(short)].sort_values(["gene", "mutation"])
    pathogenic, benign = (rows[rows["significance"] == label] for label in bundled.LABELLED)
    n_benign = min(len(benign), max(n // 2, n - len(pathogenic)))
    n_pathogenic = min(len(pathogenic), n - n_benign)
    drawn = [part.sample(k, random_state=bundled.SEED) for part, k in ((pathogenic, n_pathogenic), (benign, n_benign))]
    return pd.concat(drawn).sort_values(["gene", "mutation"]).reset_index(drop=True)


@study("held-out likelihood", saves="heldout", tables={"heldout-likelihood": 2})
def heldout_likelihood(run: Run) -> pd.DataFrame:
    """`effects.masked_likelihood` on proteins without a relative in training, the n-gram counted on the bundled model's
    general proteins; also source, kingdom, length (for `metrics.perplexity_table`).
    """
    proteins, frequencies = tables.load("heldout"), bundled.residue_frequencies()
    proteins = proteins[~proteins["id"].isin(bundled.read_in_training("heldout"))].reset_index(drop=True)
    counts = ngram.Ngram.from_table(tables.load("ngram"))

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        return effects.masked_likelihood(
            run.model,
            proteins.set_index("id").loc[rows["id"]].reset_index(),
            frequencies=frequencies,
            ngram=counts,
            share=MASKED_SHARE,
            seed=bundled.SEED,
            progress=run.bars(rows),
        )

    table = run.derive(
        "heldout-likelihood",
        proteins[["id"]],
        compute,
        files=("heldout.tsv", "ngram.parquet"),
        parameters={
            "share": MASKED_SHARE,
            "seed": bundled.SEED,
            "frequencies": list(frequencies),
            "ngram": {"weights": dict(ngram.WEIGHTS), "prior": ngram.PRIOR, "shrinkage": ngram.SHRINKAGE},
        },
        values=("n_masked", "log_likelihood", "frequency_log_likelihood", "ngram_log_likelihood"),
        tolerance=5 * run.tolerance,  # sums over up to 150 masked residues
    )
    return proteins[["id", "source", "kingdom", "length"]].merge(table, on="id", how="left", validate="one_to_one")


@study("rescues", saves="rescored", tables={"rescue-comasked": 1, "rescue-pseudo-likelihood": 1})
def rescores(run: Run, *, settings: RescoreSettings = RESCORED) -> pd.DataFrame:
    """`rescored` scores of some variants' best and random second sites; pseudo-likelihood of the named ones only."""
    sequences = tables.load("genes").set_index("gene")["sequence"]
    variants = bundled.matching_variants()
    pathogenic = variants[variants["significance"] == bundled.LABELLED[0]]
    drawn = rescored.sample_variants(pathogenic, n=settings.n_variants, seed=bundled.SEED)
    rows = [(gene, text) for gene, texts in settings.named.items() for text in texts]
    named = pd.DataFrame(rows, columns=["gene", "mutation"])
    parts = []
    for way, chosen, top, score, values, sample, times in (
        ("comasked", drawn, settings.top, rescored.comasked, rescored.COMASKED, SAMPLE, 1),
        # one double mutant takes four passes a residue; the sum of as many numbers differs by more than one of them
        ("pseudo-likelihood", named, settings.named_top, rescored.pseudo_likelihood, rescored.PSEUDO, 1, 5),
    ):
        earlier = None if run.recompute else _shipped_pairs(paths.derived() / run.model.name / f"rescue-{way}.parquet")
        pairs = rescored.pairs(run.model, sequences, chosen, top=top, seed=bundled.SEED, earlier=earlier)

        def compute(rows: pd.DataFrame, score=score) -> pd.DataFrame:
            return score(run.model, sequences, rows)

        table = run.derive(
            f"rescue-{way}",
            pairs[list(rescored.PAIR)],
            compute,
            files=("genes.tsv",),
            parameters={},
            values=values,
            tolerance=times * run.tolerance,
            sample=sample,
        )
        parts.append(pairs.assign(model=run.model.name, way=way, **{name: table[name].to_numpy() for name in values}))
    return pd.concat(parts, ignore_index=True)


def _shipped_pairs(place: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(place, columns=list(rescored.PAIR))
    except (OSError, ValueError):  # none, or damaged, which `derive` tells
        return None


@study("landscapes", saves="landscape_scores", tables={"landscape-scores": 1})
def landscape_scores(run: Run, *, n_backgrounds: int = 250, enough: int = 20) -> pd.DataFrame:
    """`landscapes.pair_scores` of second mutations of the measured landscapes, with landscape, to 0.001 nats."""
    measured, proteins = tables.load("landscapes"), tables.load("landscape_proteins")
    chosen = landscapes.backgrounds(measured, proteins, n=n_backgrounds, enough=enough)
    sequence_of = proteins.set_index("landscape")["sequence"]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name, part in rows.groupby("landscape", sort=False):
            found = landscapes.pair_scores(run.model, sequence_of[name], part, progress=run.bars(rows))
            parts.append(part.assign(score=np.rint(STEPS * found["score_background"]).astype(np.int32)))
        return pd.concat(parts).loc[rows.index]

    table = run.derive(
        "landscape-scores",
        chosen,
        compute,
        files=("landscapes.parquet", "landscape_proteins.tsv"),
        parameters={"n_backgrounds": n_backgrounds, "enough": enough, "steps": STEPS},
        tolerance=1 + STEPS * run.tolerance,
    )
    parts = []
    for name, part in table.groupby("landscape", sort=False):
        known = {"score_background": part["score"].to_numpy() / STEPS}
        scored = landscapes.pair_scores(run.model, sequence_of[name], part[["mutation", "second"]], **known)
        parts += [scored.assign(landscape=each) for each in sequence_of.index[sequence_of == sequence_of[name]]]
    return pd.concat(parts, ignore_index=True)
