"""Do second sites sit where the protein touches the variant?  Epistasis against distance.

A *pair* is a position i that has variants and a partner j.  Its value: the mean over the variants at i of the mean of
|epistasis| over the 19 substitutions at j (a maximum is ruled by the one letter that the model likes least).
Pairs are compared within one i and one bin of separation |i - j| (`plmbook.stats.matched`).  A partner that answers to
every variant is seen by the value after the average product correction (Dunn et al. 2008).  Controls: thirds of the
model's entropy at j on the wild type (an uncertain model moves little or much whatever the cause) and of pLDDT at j.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import Mutation
from plmbook.core.structures import Structure, distances
from plmbook.stats import matched
from plmbook.variants.rescue_tables import Rescue

CUTOFFS = (8.0, 10.0)  # angstrom between C-beta atoms
RANGES = (6, 24)  # least separation: all pairs that count, long range

# What is matched next to the position, and the further strata of it.
CONTROLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "separation": (),
        "separation, entropy": ("entropy_bin",),
        "separation, pLDDT": ("plddt_bin",),
        "separation, entropy, pLDDT": ("entropy_bin", "plddt_bin"),
    }
)

_EDGES = (6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 384)  # of the bins of separation; lower edge included


def to_variant(structure: Structure | None, sequence: str, variant: Sequence[Mutation]) -> np.ndarray:
    """Angstrom from each residue to the nearest substituted one: float64 (L,), NaN without a structure."""
    if structure is None:
        return np.full(len(sequence), np.nan)
    cb = structure.cb.astype(np.float64)
    return np.linalg.norm(cb[:, None] - cb[[m.position - 1 for m in variant]], axis=2).min(axis=1)


def check_structure(structure: Structure, sequence: str, name: str) -> None:
    """Make sure that a structure is of this very sequence (`InputError`, which begins with the name)."""
    if structure.sequence != sequence:
        raise InputError(
            f"{name}{': ' * bool(name)}the structure {structure.id} has another sequence ({len(structure.sequence)} "
            f"residues, expected these {len(sequence)}); another isoform?"
        )


def entropy(score_wild_type: np.ndarray) -> np.ndarray:
    """How uncertain a model is at each position among the 20 residues, from log ratios (L, 20): float64 (L,), nats."""
    from scipy.special import entr, softmax

    return entr(softmax(np.asarray(score_wild_type, dtype=np.float64), axis=1)).sum(axis=1)


def position_pairs(
    rescue: Rescue, structure: Structure, *, value: str = "mean_abs_epistasis", nearest: int = RANGES[0]
) -> pd.DataFrame:
    """The pairs of one protein with what the model and the structure say about them."""
    check_structure(structure, rescue.sequence, rescue.id)
    positions, n_variants, means = position_means(rescue, rescue.by_position[value])
    far = np.abs(positions[:, None] - np.arange(len(rescue.sequence))) >= nearest
    counted = structure.counted[positions][:, None] & structure.counted
    row, j = np.nonzero(far & counted & ~np.isnan(means))
    i, values = positions[row], means[row, j]
    product = _mean_by(row, values) * _mean_by(j, values)
    return pd.DataFrame(
        {
            "gene": pd.Series(rescue.id, index=range(len(row)), dtype="str"),
            "position": i + 1,
            "partner": j + 1,
            "separation": np.abs(i - j),
            "n_variants": n_variants[row],
            "value": values,
            "corrected": values - product / values.mean() if len(values) else values,
            "distance": distances(structure.cb)[i, j],
            "entropy": entropy(rescue.score_wild_type)[j],
            "plddt": structure.plddt[j].astype(np.float64),
        }
    )


def position_means(rescue: Rescue, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The positions (0-based) that have variants of one substitution, how many each has, and the mean over these of
    numbers (n, L): float64 (n_positions, L).
    """
    single = [row for row, mutation in enumerate(rescue.mutations) if ":" not in mutation]
    place = np.array([int(rescue.mutations[row][1:-1]) - 1 for row in single], dtype=np.int64)
    positions, which, n_variants = np.unique(place, return_inverse=True, return_counts=True)
    sums = np.zeros((len(positions), len(rescue.sequence)))
    np.add.at(sums, which, numbers[single].astype(np.float64))
    return positions, n_variants, sums / n_variants[:, None]


def contact_auroc(
    pairs: pd.DataFrame,
    *,
    value: str = "value",
    cutoffs: Sequence[float] = CUTOFFS,
    ranges: Sequence[int] = RANGES,
    controls: Mapping[str, Sequence[str]] = CONTROLS,
    minimum: int = matched.MINIMUM,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether the value is higher for pairs in contact than for pairs of the same position and separation.

    Parameters
    ----------
    pairs, value : DataFrame, {"value", "corrected"}
        Of `position_pairs`, one or more proteins; what is compared.
    cutoffs, ranges : sequence of float, of int
        In contact is what is closer than a cutoff (angstrom); least separations.
    controls : mapping of str to sequence of str
        Further strata; as `CONTROLS`.
    minimum, n, seed : int
        As in `plmbook.stats.matched.auroc`; no gene with `minimum` contacts is an `InputError`.

    Returns
    -------
    DataFrame
        cutoff, nearest, matched (str), auroc, low, high, p (float64), n_genes, n_contacts, n_others (int64).  0.5 is
        chance; the interval resamples genes; p rotates the partners of a position within its bins of separation.
    """
    binned = pairs.assign(
        separation_bin=np.searchsorted(_EDGES, pairs["separation"], side="right"),
        entropy_bin=_thirds(pairs, "entropy"),
        plddt_bin=_thirds(pairs, "plddt"),
    )
    options: dict[str, Any] = {"value": value, "case": "contact", "minimum": minimum, "n": n, "seed": seed}
    rows = []
    for cutoff in cutoffs:
        for nearest in ranges:
            chosen = binned[binned["separation"] >= nearest].assign(contact=lambda t, c=cutoff: t["distance"] < c)
            for name, further in controls.items():
                found = matched.auroc(chosen, strata=["position", "separation_bin", *further], **options)
                rows.append((cutoff, nearest, name, *found))
    names = ["cutoff", "nearest", "matched", "auroc", "low", "high", "p", "n_genes", "n_contacts", "n_others"]
    return pd.DataFrame(rows, columns=names)


def gene_contact_aurocs(
    pairs: pd.DataFrame, *, cutoff: float = CUTOFFS[0], nearest: int = RANGES[0], minimum: int = matched.MINIMUM
) -> pd.DataFrame:
    """`contact_auroc` of each gene, matched on separation; columns of `plmbook.stats.matched.gene_aurocs`."""
    chosen = pairs[pairs["separation"] >= nearest].assign(
        contact=lambda t: t["distance"] < cutoff,
        separation_bin=lambda t: np.searchsorted(_EDGES, t["separation"], side="right"),
    )
    strata = ["position", "separation_bin"]
    return matched.gene_aurocs(chosen, value="value", case="contact", strata=strata, minimum=minimum)


def _mean_by(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of the values of each value's group."""
    return (np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1))[group]


def _thirds(pairs: pd.DataFrame, column: str) -> np.ndarray:
    """int64 (n_pairs,): 0, 1 or 2, by thirds of the gene's residues (not of its pairs); equal where all are missing."""
    partners = pairs[["gene", "partner", column]].drop_duplicates(["gene", "partner"])
    filled = partners.assign(**{column: partners[column].fillna(0.0)})  # experimental structures have no pLDDT
    bins = filled.assign(third=matched.quantile_bins(filled, column, by=["gene"]))
    return pairs[["gene", "partner"]].merge(bins, on=["gene", "partner"], how="left")["third"].to_numpy()
