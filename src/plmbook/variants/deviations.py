"""Compensated deviations: a residue that is pathogenic in humans and the wild type of another vertebrate.

Where an ortholog *carries* a variant's residue, its other substitutions against human are *cases*; those that only
other orthologs have are *controls*.  If a model knows of compensation, cases have higher epistasis on the variant's
background than matched controls of the same variant (`enrichment`).  The model must not have read the gene's orthologs:
one that has knows which residues come together from having seen them together.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, join_mutations, parse_mutations
from plmbook.core.structures import Structure
from plmbook.stats import matched
from plmbook.variants import distances, rescue
from plmbook.variants.alignment import carriers, ortholog_residues

_STRATA = ("mutation", "score_bin", "frequency_bin", "distance_bin")

_FREQUENCY_EDGES = (2, 4, 8, 16, 32, 64)  # orthologs that have the residue; lower edge included
_SEPARATION_EDGES = (3, 6, 11, 24, 48, 96, 192)  # residues
_DISTANCE_EDGES = (5.0, 8.0, 12.0, 16.0, 24.0, 36.0)  # angstrom
_SCORE_BINS = 5  # of score_wild_type, by quantiles of each variant's substitutions


class GeneScan(NamedTuple):
    """Variants of one gene that an ortholog carries, with what a model says of every second site."""

    gene: str
    sequence: str  # L residues
    variants: list[tuple[Mutation, ...]]  # n of one substitution each
    epistasis: np.ndarray  # float32 (n, L, 20)
    score_wild_type: np.ndarray  # float32 (L, 20)
    assemblies: list[str]  # the orthologs, n_species
    residues: np.ndarray  # int8 (n_species, L), as `alignment.ortholog_residues`
    structure: Structure | None


def scan_genes(
    model,
    variants: pd.DataFrame,
    genes: pd.DataFrame,
    orthologs: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
) -> list[GeneScan]:
    """A `GeneScan` a gene of its variants (gene, mutation, each once); `genes`, which has all, `orthologs`: bundled."""
    sequences = genes.set_index("gene")["sequence"]
    found = []
    for gene, mutations in variants.groupby("gene", sort=False)["mutation"]:
        if gene not in sequences.index:
            raise InputError(f"gene {gene!r}: not among the {len(sequences)} genes of the table")
        sequence, parsed = sequences[gene], [tuple(parse_mutations(text)) for text in mutations]
        blocks = list(rescue.scores(model, sequence, parsed))
        epistasis = np.concatenate([block.epistasis for block in blocks])
        aligned = ortholog_residues(orthologs, gene, sequence)
        structure = (structures or {}).get(gene)
        found.append(GeneScan(gene, sequence, parsed, epistasis, blocks[0].score_wild_type, *aligned, structure))
    return found


def substitution_table(scans: Sequence[GeneScan], carried: pd.DataFrame) -> pd.DataFrame:
    """`substitutions` of all variants in `carried` (gene, mutation, assembly), whose carriers make the cases.
    InputError: an ortholog that does not carry its variant, or no scanned variant.
    """
    chosen = carried.groupby(["gene", "mutation"])["assembly"].agg(list).to_dict()
    parts = []
    for scan in scans:
        for variant, epistasis in zip(scan.variants, scan.epistasis, strict=True):
            text = join_mutations(variant)
            named = chosen.get((scan.gene, text))
            if named is None:
                continue
            rows = [scan.assemblies.index(name) for name in named if name in scan.assemblies]
            if len(rows) < len(named) or not carriers(scan.residues, variant)[rows].all():
                raise InputError(f"{scan.gene} {text}: not all of {', '.join(named)} have this residue")
            parts.append(substitutions(scan, variant, epistasis, of=rows))
    if not parts:
        raise InputError(f"none of the scanned variants is among the {len(chosen)} with carriers")
    return pd.concat(parts, ignore_index=True)


def substitutions(
    scan: GeneScan, variant: Sequence[Mutation], epistasis: np.ndarray, *, of: Collection[int] | None = None
) -> pd.DataFrame:
    """A variant's second sites that some ortholog has: epistasis, score_wild_type, frequency (orthologs with it),
    n_carriers (carriers with it, in rows `of` only), case, separation (residues), distance (angstrom or NaN).
    """
    sequence, residues, text = scan.sequence, scan.residues, join_mutations(variant)
    carry = carriers(residues, variant)
    if not carry.any():
        raise InputError(f"{scan.gene} {text}: no ortholog has this residue")
    if scan.structure is not None:
        distances.check_structure(scan.structure, sequence, scan.gene)
    chosen = carry if of is None else carry & np.isin(np.arange(len(residues)), list(of))
    frequency, by_all, by_chosen = (_counts(rows) for rows in (residues, residues[carry], residues[chosen]))
    seen = rescue.second_sites(sequence, variant) & (frequency > 0) & ~np.isnan(epistasis)
    seen &= (by_chosen > 0) | (by_all == 0)
    j, column = np.nonzero(seen)
    own = [mutation.position - 1 for mutation in variant]
    table = pd.DataFrame(
        {
            "gene": scan.gene,
            "mutation": text,
            "position": j + 1,
            "ref": [sequence[place] for place in j],
            "alt": [AMINO_ACIDS[letter] for letter in column],
            "epistasis": epistasis[j, column].astype(np.float64),
            "score_wild_type": scan.score_wild_type[j, column].astype(np.float64),
            "frequency": frequency[j, column],
            "n_carriers": by_chosen[j, column],
            "case": by_chosen[j, column] > 0,
            "separation": np.abs(j[:, None] - own).min(axis=1),
            "distance": distances.to_variant(scan.structure, sequence, variant)[j],
        }
    )
    return table.astype({name: "str" for name in ("gene", "mutation", "ref", "alt")})


def enrichment(
    table: pd.DataFrame,
    *,
    value: str = "epistasis",
    max_separation: int | None = None,
    max_distance: float | None = None,
    minimum: int = matched.MINIMUM,
    n: int = 1000,
    seed: int = 0,
) -> matched.Matched:
    """Whether the carriers' other substitutions have higher epistasis than matched ones.

    Parameters
    ----------
    table : DataFrame
        Of `substitution_table`: gene, mutation, `value`, score_wild_type, frequency, case, separation, distance.
    value : str
        The column that is compared.
    max_separation, max_distance : int, float, optional
        Only second sites this near in the chain (residues), or nearer than this in space (angstrom).
    minimum, n, seed : int
        As in `plmbook.stats.matched.auroc`.

    Returns
    -------
    Matched
        The chance (mean over genes; 0.5 is chance) that a case is above a control of the same variant, fifth of
        score_wild_type, class of frequency and class of distance (of separation without a structure).
    """
    binned = _binned(table, max_separation, max_distance)
    return matched.auroc(binned, value=value, case="case", strata=_STRATA, minimum=minimum, n=n, seed=seed)


def gene_enrichment(table: pd.DataFrame, *, minimum: int = matched.MINIMUM) -> pd.DataFrame:
    """The enrichment of epistasis in each gene; columns of `plmbook.stats.matched.gene_aurocs`."""
    binned = _binned(table, None, None)
    return matched.gene_aurocs(binned, value="epistasis", case="case", strata=_STRATA, minimum=minimum)


def _counts(residues: np.ndarray) -> np.ndarray:
    """How many of some orthologs have each residue at each position: int64 (L, 20)."""
    length = residues.shape[1]
    places = residues + 20 * np.arange(length, dtype=np.int64)
    return np.bincount(places[residues >= 0], minlength=20 * length).reshape(length, 20)


def _binned(table: pd.DataFrame, max_separation: int | None, max_distance: float | None) -> pd.DataFrame:
    """The rows near enough, with their strata; quantiles are those of all the variant's rows, far ones included."""
    by_distance = np.searchsorted(_DISTANCE_EDGES, table["distance"], side="right")
    by_separation = np.searchsorted(_SEPARATION_EDGES, table["separation"], side="right")
    table = table.assign(
        score_bin=matched.quantile_bins(table, "score_wild_type", by=["gene", "mutation"], bins=_SCORE_BINS),
        frequency_bin=np.searchsorted(_FREQUENCY_EDGES, table["frequency"], side="right"),
        distance_bin=np.where(table["distance"].isna(), -1 - by_separation, by_distance),
    )
    if max_separation is not None:
        table = table[table["separation"] <= max_separation]
    if max_distance is not None:
        table = table[table["distance"] < max_distance]
    return table
