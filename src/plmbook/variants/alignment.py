"""What an alignment of 100 vertebrates says about a variant, one column at a time: the baseline of every model."""

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations

PSEUDOCOUNT = 0.5
NAME = "alignment"
STRATEGY = "site-independent"


def site_independent(counts: pd.DataFrame, variants: pd.DataFrame) -> pd.Series:
    """ln((n_alt + 0.5) / (n_ref + 0.5)) from the counts of the variant's alignment column, summed over substitutions.

    Parameters
    ----------
    counts : DataFrame
        One row per gene and position: gene (str), position (int, 1-based), ref (the human residue) and a count (int)
        for each letter of `AMINO_ACIDS`, human included; the bundled table is `tables.load("alignment")`.
    variants : DataFrame
        gene, mutation ("R175H" or "R175H:N239Y").

    Returns
    -------
    Series of float64
        Index of `variants`; negative = the new residue is rarer than the human one. NaN where the gene has no
        alignment of the matching transcript, or the wild type is not the alignment's human residue (another isoform).

    Raises
    ------
    InputError
        Where a gene and position come twice in `counts`, or a column is missing.

    Notes
    -----
    Columns are independent of each other, rows of each other (no phylogenetic weight): plain counting on purpose.

    Examples
    --------
    99 rows have K, one has R: K2R scores ln(1.5 / 99.5).

    >>> counts = pd.DataFrame({"gene": "TOY", "position": [2], "ref": "K"} | {a: [0] for a in AMINO_ACIDS} |
    ...                       {"K": [99], "R": [1]})
    >>> site_independent(counts, pd.DataFrame({"gene": "TOY", "mutation": ["K2R", "A9C"]})).round(4).tolist()
    [-4.1947, nan]
    >>> site_independent(counts.drop(columns="A"), pd.DataFrame({"gene": [], "mutation": []}))
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: the alignment counts lack the columns A
    """
    missing = [c for c in ("gene", "position", "ref", *AMINO_ACIDS) if c not in counts.columns]
    if missing:
        raise InputError(f"the alignment counts lack the columns {', '.join(missing)}")
    repeated = counts.duplicated(["gene", "position"])
    if repeated.any():
        row = counts[repeated].iloc[0]
        raise InputError(f"the alignment counts hold {row['gene']} position {row['position']} twice")
    places = {key: row for row, key in enumerate(zip(counts["gene"], counts["position"].astype(int), strict=True))}
    refs = counts["ref"].to_numpy()
    table = np.log(counts[list(AMINO_ACIDS)].to_numpy(dtype=np.float64) + PSEUDOCOUNT)  # (n_columns, 20)
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
    """The baseline as rows of an effects table.

    Returns
    -------
    DataFrame
        The rows of `variants` that have a score, with model "alignment", strategy "site-independent" and `score`.
    """
    scored = variants.assign(model=NAME, strategy=STRATEGY, score=site_independent(counts, variants))
    return scored[scored["score"].notna()].reset_index(drop=True)
