"""The best second sites of some variants, asked again in ways that a scan of all of them could not afford.

A *candidate* is one of the `top` second sites of a variant by epistasis (`plmbook.variants.rescue`).  Beside each
stands a
random second site about as far from the variant along the chain (`rescue.matched_random`).  Both are scored again, by
masking both positions (`rescue.rescore_comasked`) or by the pseudo-log-likelihood of the double mutant
(`rescue.rescore_pseudo_likelihood`).
"""

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.stats import metrics
from plmbook.stats.bootstrap import Estimate
from plmbook.variants import rescue

KINDS = ("candidate", "random")
TIE = 1e-3  # nats: epistasis of the same weights on another processor differs by about 1e-5
PAIR = ("gene", "mutation", "position", "alt")
COMASKED = ("score_comasked", "score_masked", "epistasis_comasked")
PSEUDO = ("pll_change", "pll_variant", "pll_epistasis")


def drawn(variants: pd.DataFrame, *, n: int, seed: int) -> pd.DataFrame:
    """A seeded draw of variants over many genes: one of each gene, then a second of each, until there are n.

    Parameters
    ----------
    variants : DataFrame
        gene, mutation and others.
    n : int
        Variants; all where there are no more.
    seed : int

    Returns
    -------
    DataFrame
        Rows of `variants`, sorted by gene and mutation, fresh index; it does not depend on the order of the rows.

    Examples
    --------
    >>> table = pd.DataFrame({"gene": list("AAAB"), "mutation": ["M1V", "K2R", "L3P", "M1L"]})
    >>> drawn(table, n=2, seed=0)["gene"].tolist()
    ['A', 'B']
    """
    shuffled = variants.sort_values(["gene", "mutation"]).sample(frac=1, random_state=seed)
    turn = shuffled.groupby("gene").cumcount()
    chosen = shuffled.loc[turn.sort_values(kind="stable").index[:n]]
    return chosen.sort_values(["gene", "mutation"]).reset_index(drop=True)


def pairs(
    model,
    sequences: pd.Series,
    variants: pd.DataFrame,
    *,
    top: int,
    seed: int,
    known: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The candidates of each variant and as many matched random second sites, with the scores of the scan.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    sequences : Series of str
        Wild types by gene.
    variants : DataFrame
        gene, mutation (one substitution or several); each once.
    top : int
        Candidates of a variant.
    seed : int
        Of the random ones.
    known : DataFrame, optional
        The columns `PAIR` of an earlier answer, in its order.  Of a variant it stands where its candidates are the best
        but for `TIE`: on another processor the last digits differ, and near ties fall the other way.

    Returns
    -------
    DataFrame
        gene, mutation, position (int64, 1-based), alt, kind (one of `KINDS`), score_background, epistasis (float64,
        natural log).  Of a variant: candidates, epistasis falling, then the random ones in the same order.

    Raises
    ------
    InputError
        As `rescue.scores`; a gene without a sequence.
    """
    unknown = sorted(set(variants["gene"]) - set(sequences.index))
    if unknown:
        raise InputError(f"no sequence of {', '.join(unknown)}")
    earlier = {} if known is None else dict(iter(known.groupby(["gene", "mutation"])))
    found = []
    for gene, part in variants.groupby("gene", sort=False):
        parsed = [tuple(sorted(parse_mutations(text))) for text in part["mutation"]]
        for block in rescue.scores(model, sequences[gene], parsed):
            for row, which in enumerate(range(len(parsed))[block.where]):
                mutation, epistasis = part["mutation"].iloc[which], block.epistasis[row]
                table = earlier.get((gene, mutation))
                if table is None or not _still_best(table, epistasis, top, sequences[gene], parsed[which]):
                    table = _chosen(gene, sequences[gene], parsed[which], epistasis, top, seed)
                place = _places(table)
                found.append(
                    pd.DataFrame(
                        {
                            "gene": gene,
                            "mutation": mutation,
                            "position": table["position"].to_numpy(dtype=np.int64),
                            "alt": table["alt"].to_numpy(),
                            "kind": np.repeat(KINDS, len(table) // 2),
                            "score_background": block.score_background[row][place].astype(np.float64),
                            "epistasis": epistasis[place].astype(np.float64),
                        }
                    )
                )
    return pd.concat(found, ignore_index=True)


def _places(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return table["position"].to_numpy() - 1, np.array([AMINO_ACIDS.index(letter) for letter in table["alt"]])


def _chosen(gene, sequence, variant, epistasis, top, seed) -> pd.DataFrame:
    """Position and letter of the candidates, then of the random second sites."""
    sites = rescue.second_sites(sequence, variant)
    falling = np.argsort(np.where(sites, -epistasis, np.inf), axis=None, kind="stable")[:top]
    rows, columns = np.divmod(falling, len(AMINO_ACIDS))
    best = pd.DataFrame({"position": rows + 1, "alt": [AMINO_ACIDS[column] for column in columns]})
    return pd.concat([best, rescue.matched_random(sequence, variant, best, name=gene, seed=seed)], ignore_index=True)


def _still_best(table: pd.DataFrame, epistasis, top: int, sequence: str, variant) -> bool:
    """Whether the first half of an earlier choice is the best `top` but for near ties, and all are second sites."""
    sites = rescue.second_sites(sequence, variant)
    if len(table) != 2 * top or table["position"].max() > len(sequence) or not sites[_places(table)].all():
        return False
    best = np.sort(epistasis[sites])[::-1][:top]
    return bool((np.abs(epistasis[_places(table.head(top))] - best) <= TIE).all())


def comasked(model, sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """`rescue.rescore_comasked` over a table.

    Parameters
    ----------
    model, sequences
        As in `pairs`.
    rows : DataFrame
        gene, mutation, position, alt; further columns are carried.

    Returns
    -------
    DataFrame
        `rows`, in their order, with score_comasked, score_masked, epistasis_comasked (float64).
    """
    return _by_variant(rescue.rescore_comasked, model, sequences, rows)


def pseudo_likelihood(model, sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """`rescue.rescore_pseudo_likelihood` over a table.

    Parameters
    ----------
    model, sequences, rows
        As in `comasked`.

    Returns
    -------
    DataFrame
        `rows`, in their order, with pll_change, pll_variant, pll_epistasis (float64).
    """
    return _by_variant(rescue.rescore_pseudo_likelihood, model, sequences, rows)


def _by_variant(rescore, model, sequences, rows) -> pd.DataFrame:
    parts = [
        rescore(model, sequences[gene], parse_mutations(mutation), part)
        for (gene, mutation), part in rows.groupby(["gene", "mutation"], sort=False)
    ]
    return pd.concat(parts).loc[rows.index]


def forwards(sequences: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """What the two ways cost for some second sites of each variant.

    Parameters
    ----------
    sequences : Series of str
        Wild types by gene; proteins that are read whole.
    rows : DataFrame
        gene, mutation, position, alt.

    Returns
    -------
    DataFrame
        way ("comasked", "pseudo-likelihood"), passes, residues (int64): forward passes and residues read.  Of L
        residues, co-masking takes a pass a position beside the variant, and one that masks it alone; a
        pseudo-log-likelihood takes L passes a sequence, less those that hide where two sequences differ.
    """
    variants = rows.groupby(["gene", "mutation"], sort=False)["position"].agg(["size", "nunique"]).reset_index()
    return _cost(
        [len(sequences[gene]) for gene in variants["gene"]],
        [2 * n for n in variants["nunique"]],
        [_pseudo_passes(len(sequences[gene]), n) for gene, n in zip(variants["gene"], variants["size"], strict=True)],
    )


def exhaustive(sequences: pd.Series, variants: pd.DataFrame) -> pd.DataFrame:
    """What the two ways would cost for every second site of each variant.

    Parameters
    ----------
    sequences : Series of str
    variants : DataFrame
        gene; a row a variant with one substitution.

    Returns
    -------
    DataFrame
        As `forwards`.
    """
    lengths = [len(sequences[gene]) for gene in variants["gene"]]
    pseudo = [_pseudo_passes(length, 19 * (length - 1)) for length in lengths]
    return _cost(lengths, [2 * (length - 1) for length in lengths], pseudo)


def _cost(lengths, comasked, pseudo) -> pd.DataFrame:
    rows = [
        (way, sum(passes), sum(n * length for n, length in zip(passes, lengths, strict=True)))
        for way, passes in (("comasked", comasked), ("pseudo-likelihood", pseudo))
    ]
    return pd.DataFrame(rows, columns=["way", "passes", "residues"])


def _pseudo_passes(length: int, seconds: int) -> int:
    """Distinct inputs of the wild type, the variant, and so many single and double mutants."""
    # Masked at i the variant is the wild type, and a double mutant the single one; masked at j, neither holds a second
    # site, so that all of a position's second sites are the wild type, or the variant.
    at_variant = 1 + seconds
    elsewhere = (length - 1) * 2 * (1 + seconds) - 2 * seconds
    return at_variant + elsewhere


def agreement(table: pd.DataFrame, value: str, *, n: int = 1000, seed: int = 0) -> Estimate:
    """The chance that a candidate has the higher value than a random second site of the same variant.

    Parameters
    ----------
    table : DataFrame
        gene, mutation, kind, the column `value` (float).
    value : str
    n, seed : int
        Of the bootstrap over genes.

    Returns
    -------
    Estimate
        Mean over genes of the mean over their variants, ties half; 0.5 where the kinds do not differ.

    Examples
    --------
    >>> table = pd.DataFrame({"gene": "A", "mutation": "M1V", "kind": [*KINDS, *KINDS], "x": [3.0, 2.0, 1.0, 0.0]})
    >>> agreement(table, "x", n=10).value
    0.75
    """
    by_variant = {
        key: _win(*(part.loc[part["kind"] == kind, value].to_numpy() for kind in KINDS))
        for key, part in table.groupby(["gene", "mutation"], sort=False)
    }
    by_gene = pd.Series(by_variant).groupby(level=0).mean()
    return metrics.mean_over_genes(by_gene, n=n, seed=seed)


def _win(first: np.ndarray, second: np.ndarray) -> float:
    difference = first[:, None] - second[None, :]
    return float(((difference > 0) + (difference == 0) / 2).mean())
