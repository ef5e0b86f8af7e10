"""Compensated deviations: a residue that is pathogenic in humans and the wild type of another vertebrate.

Where an ortholog *carries* a variant's residue, something in it may compensate.  Its other substitutions against human
are *cases*; substitutions that other orthologs have, but no carrier, are *controls*.  If a model knows of compensation,
cases have higher epistasis on the variant's background than controls that are alike in what epistasis may follow
anyway: the score on the wild type, how many orthologs have the residue, and the distance from the variant.  A case and
its controls are of one variant, and so of one protein and one background (`plmbook.stats.matched`).

Scores for this test come from a model that has not read the gene's orthologs: one that has knows which residues come
together from having seen them together.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, join_mutations, parse_mutations
from plmbook.core.structures import Structure
from plmbook.engine import scan
from plmbook.stats import matched
from plmbook.variants import rescue

SAME = "."  # in `orthologs.parquet`: the residue that the human protein has
FREQUENCY_EDGES = (2, 4, 8, 16, 32, 64)  # orthologs that have the residue; lower edge included
SEPARATION_EDGES = (3, 6, 11, 24, 48, 96, 192)  # residues
DISTANCE_EDGES = (5.0, 8.0, 12.0, 16.0, 24.0, 36.0)  # angstrom
SCORE_BINS = 5  # of score_wild_type, by quantiles of each variant's substitutions
STRATA = ("mutation", "score_bin", "frequency_bin", "distance_bin")


def aligned(orthologs: pd.DataFrame, gene: str, sequence: str) -> tuple[list[str], np.ndarray]:
    """The orthologs of a gene as numbers.

    Parameters
    ----------
    orthologs : DataFrame
        The bundled table `orthologs`.
    gene : str
    sequence : str
        The human protein, L residues.

    Returns
    -------
    assemblies : list of str
        n_species, in the order of the table; none where the gene has no alignment.
    residues : int8 array (n_species, L)
        Columns in the order of `AMINO_ACIDS`, -1 where there is none of the 20.

    Raises
    ------
    InputError
        Where a row is not as long as the sequence.

    Examples
    --------
    >>> table = pd.DataFrame({"gene": ["A"], "assembly": ["mm10"], "aligned": [".C-"]})
    >>> aligned(table, "A", "AKR")[1].tolist()
    [[0, 1, -1]]
    >>> aligned(table, "A", "AKRM")
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: A: the row of mm10 has 3 residues, the sequence 4; another isoform?
    """
    rows = orthologs[orthologs["gene"] == gene]
    for assembly, text in zip(rows["assembly"], rows["aligned"], strict=True):
        if len(text) != len(sequence):
            raise InputError(
                f"{gene}: the row of {assembly} has {len(text)} residues, the sequence {len(sequence)}; "
                "another isoform?"
            )
    own = scan.columns(sequence)
    letters = np.array([list(text) for text in rows["aligned"]], dtype="U1").reshape(len(rows), len(sequence))
    found = scan.columns("".join(letters.reshape(-1))).reshape(letters.shape)
    return rows["assembly"].tolist(), np.where(letters == SAME, own, found).astype(np.int8)


def divergence(residues: np.ndarray, sequence: str) -> np.ndarray:
    """How far each ortholog is from human.

    Parameters
    ----------
    residues : int8 array (n_species, L)
        Of `aligned`.
    sequence : str

    Returns
    -------
    float64 array (n_species,)
        Share of differing residues among those where both have one of the 20; NaN where there are none.

    Examples
    --------
    >>> divergence(np.array([[0, 1, -1]]), "AKR").tolist()
    [0.5]
    """
    own = scan.columns(sequence)
    both = (residues >= 0) & (own >= 0)
    with np.errstate(invalid="ignore"):
        return (both & (residues != own)).sum(axis=1) / both.sum(axis=1)


def carriers(residues: np.ndarray, variant: Sequence[Mutation]) -> np.ndarray:
    """Which orthologs have all of a variant's residues: bool (n_species,).

    Examples
    --------
    >>> carriers(np.array([[0, 1], [1, 1]]), [Mutation(1, "K", "A")]).tolist()
    [True, False]
    """
    return np.all([residues[:, m.position - 1] == AMINO_ACIDS.index(m.alt) for m in variant], axis=0)


def substitutions(
    sequence: str,
    variant: Sequence[Mutation],
    epistasis: np.ndarray,
    score_wild_type: np.ndarray,
    residues: np.ndarray,
    *,
    gene: str,
    structure: Structure | None = None,
    of: Collection[int] | None = None,
) -> pd.DataFrame:
    """The second sites of a variant that evolution has tried: in its carriers, and elsewhere.

    Parameters
    ----------
    sequence : str
        The human protein, L residues.
    variant : sequence of Mutation
    epistasis, score_wild_type : float array (L, 20)
        Of one background (`plmbook.variants.rescue.Block`) and of the wild type.
    residues : int8 array (n_species, L)
        Of `aligned`, human not among them.
    gene : str
    structure : Structure, optional
        Of this sequence.
    of : collection of int, optional
        Rows of `residues`: only these carriers make cases (a clade, say).  What other carriers have is then neither a
        case nor a control.  Default: all.

    Returns
    -------
    DataFrame
        gene, mutation (str), position (int64), ref, alt (str), epistasis, score_wild_type (float64), frequency (int64:
        orthologs that have `alt` there), n_carriers (int64: carriers among them, of those that make cases), case
        (bool), separation (int64, residues), distance (float64, angstrom; NaN without a structure); by position.

    Raises
    ------
    InputError
        Where no ortholog carries the variant.
    """
    carry = carriers(residues, variant)
    if not carry.any():
        raise InputError(f"{gene} {join_mutations(variant)}: no ortholog has this residue")
    chosen = carry.copy()
    if of is not None:
        chosen &= np.isin(np.arange(len(residues)), list(of))
    frequency, by_all, by_chosen = (_counts(rows) for rows in (residues, residues[carry], residues[chosen]))
    seen = rescue.second_sites(sequence, variant) & (frequency > 0) & ~np.isnan(epistasis)
    seen &= (by_chosen > 0) | (by_all == 0)
    j, column = np.nonzero(seen)
    own = [mutation.position - 1 for mutation in variant]
    distance = np.full(len(sequence), np.nan)
    if structure is not None:
        if structure.sequence != sequence:
            raise InputError(f"{gene}: the structure {structure.id} has another sequence; another isoform?")
        cb = structure.cb.astype(np.float64)
        distance = np.linalg.norm(cb[:, None] - cb[own], axis=2).min(axis=1)
    table = pd.DataFrame(
        {
            "gene": gene,
            "mutation": join_mutations(variant),
            "position": j + 1,
            "ref": [sequence[place] for place in j],
            "alt": [AMINO_ACIDS[letter] for letter in column],
            "epistasis": epistasis[j, column].astype(np.float64),
            "score_wild_type": score_wild_type[j, column].astype(np.float64),
            "frequency": frequency[j, column],
            "n_carriers": by_chosen[j, column],
            "case": by_chosen[j, column] > 0,
            "separation": np.abs(j[:, None] - own).min(axis=1),
            "distance": distance[j],
        }
    )
    return table.astype({name: "str" for name in ("gene", "mutation", "ref", "alt")})


class Scanned(NamedTuple):
    """The variants of one gene that an ortholog carries, with what a model says of every second site.

    Attributes
    ----------
    gene, sequence : str
        L residues.
    variants : list of tuple of Mutation
        n of one substitution each.
    epistasis : float32 array (n, L, 20)
    score_wild_type : float32 array (L, 20)
    assemblies : list of str
        The orthologs, n_species.
    residues : int8 array (n_species, L)
        As `aligned`.
    structure : Structure or None
    """

    gene: str
    sequence: str
    variants: list[tuple[Mutation, ...]]
    epistasis: np.ndarray
    score_wild_type: np.ndarray
    assemblies: list[str]
    residues: np.ndarray
    structure: Structure | None


def scan_genes(
    model,
    variants: pd.DataFrame,
    genes: pd.DataFrame,
    orthologs: pd.DataFrame,
    *,
    structures: Mapping[str, Structure] | None = None,
) -> list[Scanned]:
    """Score every second site on the background of each variant, gene by gene.

    Parameters
    ----------
    model
        From `plmbook.models.load`, or several: an ensemble (`plmbook.variants.rescue.scores`).
    variants : DataFrame
        gene, mutation (str), each once; all of them fit the sequence of their gene.
    genes, orthologs : DataFrame
        The bundled tables.
    structures : mapping, optional
        By gene.

    Returns
    -------
    list of Scanned
        A gene each, in order of appearance.

    Raises
    ------
    InputError
        A gene that `genes` lacks, or as `plmbook.variants.rescue.scores`.
    """
    sequences = genes.set_index("gene")["sequence"]
    found = []
    for gene, mutations in variants.groupby("gene", sort=False)["mutation"]:
        if gene not in sequences.index:
            raise InputError(f"gene {gene!r}: not among the {len(sequences)} genes of the table")
        sequence, parsed = sequences[gene], [tuple(parse_mutations(text)) for text in mutations]
        blocks = list(rescue.scores(model, sequence, parsed))
        epistasis = np.concatenate([block.epistasis for block in blocks])
        known = aligned(orthologs, gene, sequence)
        found.append(
            Scanned(gene, sequence, parsed, epistasis, blocks[0].score_wild_type, *known, (structures or {}).get(gene))
        )
    return found


def tried(scanned: Sequence[Scanned], carried: pd.DataFrame) -> pd.DataFrame:
    """The second sites that evolution has tried, of all variants that some orthologs carry.

    Parameters
    ----------
    scanned : sequence of Scanned
    carried : DataFrame
        gene, mutation, assembly: which carriers make cases, such as those of a clade.  A variant without a row here is
        left out.

    Returns
    -------
    DataFrame
        The tables of `substitutions`, one after another.

    Raises
    ------
    InputError
        Where a named ortholog does not carry its variant, or no variant is left.
    """
    chosen = carried.groupby(["gene", "mutation"])["assembly"].agg(list).to_dict()
    parts = []
    for each in scanned:
        for variant, epistasis in zip(each.variants, each.epistasis, strict=True):
            text = join_mutations(variant)
            named = chosen.get((each.gene, text))
            if named is None:
                continue
            rows = [each.assemblies.index(name) for name in named if name in each.assemblies]
            if len(rows) < len(named) or not carriers(each.residues, variant)[rows].all():
                raise InputError(f"{each.gene} {text}: not all of {', '.join(named)} have this residue")
            parts.append(
                substitutions(
                    each.sequence,
                    variant,
                    epistasis,
                    each.score_wild_type,
                    each.residues,
                    gene=each.gene,
                    structure=each.structure,
                    of=rows,
                )
            )
    if not parts:
        raise InputError(f"none of the scanned variants is among the {len(chosen)} with carriers")
    return pd.concat(parts, ignore_index=True)


def divergences(orthologs: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """How far each ortholog of each gene is from human.

    Parameters
    ----------
    orthologs, genes : DataFrame
        The bundled tables.

    Returns
    -------
    DataFrame
        gene, assembly (str), divergence (float64, `divergence`; NaN where nothing is aligned).
    """
    sequences = genes.set_index("gene")["sequence"]
    parts = []
    for gene in orthologs["gene"].unique():
        assemblies, residues = aligned(orthologs, gene, sequences[gene])
        apart = divergence(residues, sequences[gene])
        parts.append(pd.DataFrame({"gene": gene, "assembly": assemblies, "divergence": apart}))
    return pd.concat(parts, ignore_index=True)


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
        Of `substitutions`, for all variants of all genes.
    value : str
        What is compared.
    max_separation : int, optional
        Residues: only second sites this near in the chain.
    max_distance : float, optional
        Angstrom: only second sites nearer than this.
    minimum, n, seed : int
        As in `plmbook.stats.matched.auroc`.

    Returns
    -------
    Matched
        The chance that a case is above a control of the same variant, fifth of score_wild_type, class of frequency and
        class of distance (of separation where there is no structure); a mean over genes, 0.5 is chance.

    Raises
    ------
    InputError
        Where no gene has enough cases.
    """
    return matched.auroc(
        _binned(table, max_separation, max_distance),
        value=value,
        case="case",
        strata=STRATA,
        minimum=minimum,
        n=n,
        seed=seed,
    )


def gene_enrichment(
    table: pd.DataFrame,
    *,
    value: str = "epistasis",
    max_separation: int | None = None,
    max_distance: float | None = None,
    minimum: int = matched.MINIMUM,
) -> pd.DataFrame:
    """The same of each gene: gene, auroc, n_cases, n_controls, n_pairs, as `plmbook.stats.matched.gene_aurocs`."""
    binned = _binned(table, max_separation, max_distance)
    return matched.gene_aurocs(binned, value=value, case="case", strata=STRATA, minimum=minimum)


def _counts(residues: np.ndarray) -> np.ndarray:
    """How many of some orthologs have each residue at each position: int64 (L, 20)."""
    length = residues.shape[1]
    places = residues + 20 * np.arange(length, dtype=np.int64)
    return np.bincount(places[residues >= 0], minlength=20 * length).reshape(length, 20)


def _binned(table: pd.DataFrame, max_separation: int | None, max_distance: float | None) -> pd.DataFrame:
    """The rows near enough, with their strata; quantiles are those of all the variant's rows, far ones included."""
    near = np.searchsorted(DISTANCE_EDGES, table["distance"], side="right")
    apart = np.searchsorted(SEPARATION_EDGES, table["separation"], side="right")
    table = table.assign(
        score_bin=matched.quantile_bins(table, "score_wild_type", by=["gene", "mutation"], bins=SCORE_BINS),
        frequency_bin=np.searchsorted(FREQUENCY_EDGES, table["frequency"], side="right"),
        distance_bin=np.where(table["distance"].isna(), -1 - apart, near),
    )
    if max_separation is not None:
        table = table[table["separation"] <= max_separation]
    if max_distance is not None:
        table = table[table["distance"] < max_distance]
    return table
