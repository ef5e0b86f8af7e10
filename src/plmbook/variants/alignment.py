"""What an alignment of 100 vertebrates says: how common a residue is in its column, and which species carry a variant.

The baseline of every model counts one column at a time: columns and rows are independent (no phylogenetic weight).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.engine import scan

SAME = "."  # in `orthologs.parquet`: the residue that the human protein has

_PSEUDOCOUNT = 0.5


# --- counts of each column -------------------------------------------------------------------------------


def site_independent(counts: pd.DataFrame, variants: pd.DataFrame) -> pd.Series:
    """ln((n_alt + 0.5) / (n_ref + 0.5)) from the counts of the variant's alignment column, summed over substitutions.

    Parameters
    ----------
    counts : DataFrame
        `tables.load("alignment")`: gene, position (1-based), ref (the human residue), an int for each letter.
    variants : DataFrame
        gene, mutation ("R175H" or "R175H:N239Y").

    Returns
    -------
    Series of float64
        Index of `variants`; negative = the new residue is rarer than the human one. NaN where the gene has no
        alignment of the matching transcript, or the wild type is not the alignment's human residue (another isoform).
    """
    need(counts, ["gene", "position", "ref", *AMINO_ACIDS], "alignment counts")
    repeated = counts.duplicated(["gene", "position"])
    if repeated.any():
        row = counts[repeated].iloc[0]
        raise InputError(f"the alignment counts hold {row['gene']} position {row['position']} twice")
    places = {key: row for row, key in enumerate(zip(counts["gene"], counts["position"].astype(int), strict=True))}
    refs = counts["ref"].to_numpy()
    table = np.log(counts[list(AMINO_ACIDS)].to_numpy(dtype=np.float64) + _PSEUDOCOUNT)  # (n_columns, 20)
    scores = np.zeros(len(variants))
    for i, (gene, text) in enumerate(zip(variants["gene"], variants["mutation"], strict=True)):
        for mutation in parse_mutations(text):
            row = places.get((gene, mutation.position))
            if row is None or refs[row] != mutation.ref:
                scores[i] = np.nan
                break
            scores[i] += table[row, AMINO_ACIDS.index(mutation.alt)] - table[row, AMINO_ACIDS.index(mutation.ref)]
    return pd.Series(scores, index=variants.index, name="score")


def effects(counts: pd.DataFrame, variants: pd.DataFrame) -> pd.DataFrame:
    """The baseline as rows of an effects table: the variants that have a score, with model "alignment"."""
    score = site_independent(counts, variants)
    scored = variants.assign(model="alignment", strategy="site-independent", score=score)
    return scored[scored["score"].notna()].reset_index(drop=True)


# --- residues of each ortholog ---------------------------------------------------------------------------


def ortholog_residues(orthologs: pd.DataFrame, gene: str, sequence: str) -> tuple[list[str], np.ndarray]:
    """The assemblies of a gene's orthologs (bundled table), and int8 (n_species, L): column of each residue, -1 where
    none of the 20. A gene without an alignment has no rows, one of another isoform is refused.
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


def carriers(residues: np.ndarray, variant: Sequence[Mutation]) -> np.ndarray:
    """Which orthologs, rows of `ortholog_residues`, have all of a variant's residues: bool (n_species,)."""
    return np.all([residues[:, m.position - 1] == AMINO_ACIDS.index(m.alt) for m in variant], axis=0)


def divergences(orthologs: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Share of residues that differ from human where both are of the 20 (NaN: nowhere): gene, assembly, divergence."""
    sequences = genes.set_index("gene")["sequence"]
    parts = []
    for gene in orthologs["gene"].unique():
        assemblies, residues = ortholog_residues(orthologs, gene, sequences[gene])
        own = scan.columns(sequences[gene])
        both = (residues >= 0) & (own >= 0)
        with np.errstate(invalid="ignore"):
            share = (both & (residues != own)).sum(axis=1) / both.sum(axis=1)
        parts.append(pd.DataFrame({"gene": gene, "assembly": assemblies, "divergence": share}))
    return pd.concat(parts, ignore_index=True)
