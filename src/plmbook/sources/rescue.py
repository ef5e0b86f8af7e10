"""The table of variants and scores that the rescue-mutation study published."""

import ast
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import Mutation
from plmbook.core.text import read_csv

MODELS = {  # column of the file -> name of the model's card; the mean of the five is "esm1v"
    "esm2_t33_650M_UR50D": "esm2_t33_650M_UR50D",
    **{f"esm1v_t33_650M_UR90S_{i}": f"esm1v_t33_650M_UR90S_{i}" for i in range(1, 6)},
    "esm1v_t33_650M_UR90S_average": "esm1v",
}
FLANKS = tuple(f"CPD_{k}" for k in range(6))


def read_scores(source: str | Path | TextIO) -> pd.DataFrame:
    """The published table, a row a (gene, mutation), whose two forms must agree: `gene`, `mutation`, `position`
    (int64), `ref`, `alt`, `significance`, `allele_frequency` (NaN = absent), one float64 column for each of `MODELS`
    (NaN = not run; negative = damaging), `CPD_0` to `CPD_5` (tuples: assemblies with `alt`, k equal residues a side).
    """
    raw = read_csv(source, dtype=str, keep_default_na=False)
    needed = ["GENE", "MUTATION", "AA_CHANGE", "GROUP", "gnomAD_AF", *MODELS, *FLANKS]
    if missing := [name for name in needed if name not in raw.columns]:
        raise InputError(f"published scores: missing the columns {', '.join(missing)}")
    repeated = raw.duplicated(["GENE", "MUTATION"])
    if repeated.any():
        row = raw[repeated].iloc[0]
        raise InputError(
            f"published scores: expected every (gene, mutation) once, found {row['GENE']} {row['MUTATION']} again"
        )
    mutations = [Mutation.parse(text) for text in raw["MUTATION"]]
    for row, (mutation, change) in enumerate(zip(mutations, raw["AA_CHANGE"], strict=True), start=2):
        if Mutation.parse(change) != mutation:
            raise InputError(f"published scores, line {row}: MUTATION {mutation} and AA_CHANGE {change} disagree")
    frequency = raw["gnomAD_AF"].astype("float64")
    changes = {part: [getattr(each, part) for each in mutations] for part in ("position", "ref", "alt")}
    table = pd.DataFrame({"gene": raw["GENE"], "mutation": raw["MUTATION"], **changes, "significance": raw["GROUP"]})
    table["allele_frequency"] = frequency.where(frequency > 0, np.nan)
    for column, model in MODELS.items():
        table[model] = pd.to_numeric(raw[column].replace("", np.nan))
    for column in FLANKS:
        table[column] = [() if text == "No" else tuple(ast.literal_eval(text)) for text in raw[column]]
    return table
