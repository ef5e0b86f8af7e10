"""The best second sites of some variants, scored again in ways that a scan of all of them could not afford.

A *candidate* is one of the `top` second sites of a variant by epistasis (`plmbook.variants.rescue`); each is compared
with a random second site about as far from the variant along the chain.
"""

import zlib

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK, Mutation, join_mutations, parse_mutations
from plmbook.engine import scan
from plmbook.stats import metrics
from plmbook.stats.bootstrap import Estimate
from plmbook.variants import rescue

KINDS = ("candidate", "random")
PAIR = ("gene", "mutation", "position", "alt")
COMASKED = ("score_comasked", "score_masked", "epistasis_comasked")
PSEUDO = ("pll_change", "pll_variant", "pll_epistasis")

_NEAREST = 10  # positions of about the same separation among which `matched_random` draws
_TIE = 1e-3  # nats: epistasis of the same weights on another processor differs by about 1e-5


# --- which second sites ----------------------------------------------------------------------------------


def sample_variants(variants: pd.DataFrame, *, n: int, seed: int) -> pd.DataFrame:
    """A seeded sample, sorted, whatever the order given: one variant of each gene, then a second, until there are n."""
    shuffled = variants.sort_values(["gene", "mutation"]).sample(frac=1, random_state=seed)
    turn = shuffled.groupby("gene").cumcount()
    chosen = shuffled.loc[turn.sort_values(kind="stable").index[:n]]
    return chosen.sort_values(["gene", "mutation"]).reset_index(drop=True)


def pairs(
    model, sequences: pd.Series, variants: pd.DataFrame, *, top: int, seed: int, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """gene, mutation, position (1-based), alt, kind (`KINDS`), score_background, epistasis: of each variant `top`
    candidates, then random ones. `earlier` (`PAIR`) stands where its candidates are the best but for 0.001 nats.
    """
    unknown = sorted(set(variants["gene"]) - set(sequences.index))
    if unknown:
        raise InputError(f"no sequence of {', '.join(unknown)}")
    chosen_before = {} if earlier is None else dict(iter(earlier.groupby(["gene", "mutation"])))
    found = []
    for gene, part in variants.groupby("gene", sort=False):
        parsed = [tuple(sorted(parse_mutations(text))) for text in part["mutation"]]
        for block in rescue.scores(model, sequences[gene], parsed):
            for row, which in enumerate(range(len(parsed))[block.where]):
                mutation, epistasis = part["mutation"].iloc[which], block.epistasis[row]
                table = chosen_before.get((gene, mutation))
                if table is None or not _still_best(table, epistasis, top, sequences[gene], parsed[which]):
                    table = _choose(gene, sequences[gene], parsed[which], epistasis, top, seed)
                place = _places(table)
                table = table.assign(gene=gene, mutation=mutation, kind=np.repeat(KINDS, len(table) // 2))
                background = block.score_background[row][place].astype(np.float64)
                found.append(table.assign(score_background=background, epistasis=epistasis[place].astype(np.float64)))
    return pd.concat(found, ignore_index=True)[[*PAIR, "kind", "score_background", "epistasis"]]


def matched_random(
    sequence: str, variant: rescue.Variant, candidates: pd.DataFrame, *, name: str = "", seed: int = 0
) -> pd.DataFrame:
    """Random second sites (position, alt): for each candidate one of the 10 positions nearest to its separation that no
    candidate has, and one of 19 substitutions, none twice; drawn by the seed, the protein's name and the variant only.
    """
    own = [mutation.position for mutation in variant]
    sites = rescue.second_sites(sequence, variant)
    sites[candidates["position"].to_numpy() - 1] = False
    rng = np.random.default_rng([seed, zlib.crc32(f"{name} {join_mutations(variant)}".encode())])
    separation = np.abs(np.arange(1, len(sequence) + 1)[:, None] - own).min(axis=1)  # (L,)
    rows = []
    for position in candidates["position"]:
        free = np.flatnonzero(sites.any(axis=1))
        if not len(free):
            raise InputError(f"{name} {join_mutations(variant)}: no position is left for random second sites")
        order = np.argsort(np.abs(separation[free] - separation[position - 1]), kind="stable")
        j = int(rng.choice(free[order[:_NEAREST]]))
        column = int(rng.choice(np.flatnonzero(sites[j])))
        sites[j, column] = False
        rows.append((j + 1, AMINO_ACIDS[column]))
    return pd.DataFrame(rows, columns=["position", "alt"]).astype({"position": "int64", "alt": "str"})


def _places(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return table["position"].to_numpy() - 1, np.array([AMINO_ACIDS.index(letter) for letter in table["alt"]])


def _choose(gene, sequence, variant, epistasis, top, seed) -> pd.DataFrame:
    """Position and letter of the candidates, then of the random second sites."""
    sites = rescue.second_sites(sequence, variant)
    falling = np.argsort(np.where(sites, -epistasis, np.inf), axis=None, kind="stable")[:top]
    rows, columns = np.divmod(falling, len(AMINO_ACIDS))
    best = pd.DataFrame({"position": rows + 1, "alt": [AMINO_ACIDS[column] for column in columns]})
    return pd.concat([best, matched_random(sequence, variant, best, name=gene, seed=seed)], ignore_index=True)


def _still_best(table: pd.DataFrame, epistasis, top: int, sequence: str, variant) -> bool:
    """Whether the first half of an earlier choice is the best `top` but for near ties, and all are second sites."""
    sites = rescue.second_sites(sequence, variant)
    if len(table) != 2 * top or table["position"].max() > len(sequence) or not sites[_places(table)].all():
        return False
    best = np.sort(epistasis[sites])[::-1][:top]
    return bool((np.abs(epistasis[_places(table.head(top))] - best) <= _TIE).all())


# --- the two ways to score them again --------------------------------------------------------------------


def comasked(model, sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` (gene, mutation, position, alt) with `COMASKED`, natural log: the score of alt with both positions masked,
    with its own alone masked, and the difference: how much the wild type's residue speaks against alt.
    """
    return _by_variant(_comasked, model, sequences, rows)


def pseudo_likelihood(model, sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with `PSEUDO`, nats: pll_change = PLL(both) - PLL(variant), pll_variant = PLL(variant) - PLL(wild type),
    pll_epistasis = pll_change - (PLL(second site) - PLL(wild type)).
    """
    return _by_variant(_pseudo_likelihood, model, sequences, rows)


def _by_variant(rescore, model, sequences, rows) -> pd.DataFrame:
    parts = [
        rescore(model, sequences[gene], parse_mutations(mutation), part)
        for (gene, mutation), part in rows.groupby(["gene", "mutation"], sort=False)
    ]
    return pd.concat(parts).loc[rows.index]


def _comasked(model, sequence: str, variant: rescue.Variant, candidates: pd.DataFrame) -> pd.DataFrame:
    if len(variant) != 1:
        raise InputError(f"{join_mutations(variant)}: co-masking takes one substitution and one second site")
    scan.check_variant(sequence, variant)
    j, alt = _places(candidates)
    ref = scan.columns(sequence).astype(np.int64)[j]
    masked_pairs = np.column_stack([np.full(len(j), variant[0].position), j + 1])
    both = scan.comasked(model, sequence, masked_pairs)[:, 1].astype(np.float64)  # (n, 20) at j
    questions = [scan.Query(0, ((place, MASK),), place) for place in j.tolist()]
    alone = np.empty_like(both)
    for which, table in scan.answers(model, [sequence], questions):
        alone[which] = table
    row = np.arange(len(j))
    comasked, masked = (table[row, alt] - table[row, ref] for table in (both, alone))
    return candidates.assign(score_comasked=comasked, score_masked=masked, epistasis_comasked=comasked - masked)


def _pseudo_likelihood(model, sequence: str, variant: rescue.Variant, candidates: pd.DataFrame) -> pd.DataFrame:
    seconds = [
        Mutation(int(position), sequence[position - 1], alt)
        for position, alt in zip(candidates["position"], candidates["alt"], strict=True)
    ]
    mutants = [(), tuple(variant), *((second,) for second in seconds), *((*variant, second) for second in seconds)]
    totals = scan.pseudo_log_likelihood(model, sequence, mutants)
    wild_type, background = totals[:2]
    single, double = totals[2:].reshape(2, -1)
    change = double - background
    return candidates.assign(
        pll_change=change, pll_variant=background - wild_type, pll_epistasis=change - (single - wild_type)
    )


# --- what they cost, and what they say -------------------------------------------------------------------


def forwards(sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """What the two ways cost for `rows` of proteins read whole: way, passes, residues. Co-masking takes a pass a pair
    of positions and one for the second alone, PLL one a residue of each sequence, less those that hide all differences.
    """
    variants = rows.groupby(["gene", "mutation"], sort=False)["position"].agg(["size", "nunique"]).reset_index()
    lengths = sequences.str.len()[variants["gene"]].to_numpy()
    return _cost(lengths, variants["nunique"].to_numpy(), variants["size"].to_numpy())


def exhaustive(sequences: pd.Series, variants: pd.DataFrame) -> pd.DataFrame:
    """What the two ways would cost for every second site of each variant of one substitution; columns of `forwards`."""
    lengths = sequences.str.len()[variants["gene"]].to_numpy()
    return _cost(lengths, lengths - 1, 19 * (lengths - 1))


def _cost(lengths: np.ndarray, positions: np.ndarray, seconds: np.ndarray) -> pd.DataFrame:
    """The cost of variants of proteins of some lengths, with so many second sites at so many positions each."""
    # Masked at i the variant is the wild type, and a double mutant the single one; masked at j, neither holds a second
    # site, so that all of a position's second sites are the wild type, or the variant.
    pseudo = (1 + seconds) + (lengths - 1) * 2 * (1 + seconds) - 2 * seconds
    ways = {"comasked": 2 * positions, "pseudo-likelihood": pseudo}
    rows = [(way, int(passes.sum()), int(passes @ lengths)) for way, passes in ways.items()]
    return pd.DataFrame(rows, columns=["way", "passes", "residues"])


def agreement(table: pd.DataFrame, value: str, *, n: int = 1000, seed: int = 0) -> Estimate:
    """The chance that a candidate's value is above a random second site's, ties half, over variants, then genes."""
    by_variant = {
        key: _win(*(part.loc[part["kind"] == kind, value].to_numpy() for kind in KINDS))
        for key, part in table.groupby(["gene", "mutation"], sort=False)
    }
    by_gene = pd.Series(by_variant).groupby(level=0).mean()
    return metrics.mean_over_genes(by_gene, n=n, seed=seed)


def _win(first: np.ndarray, second: np.ndarray) -> float:
    difference = first[:, None] - second[None, :]
    return float(((difference > 0) + (difference == 0) / 2).mean())
