"""ClinVar: what laboratories and panels say about variants."""

import re
from pathlib import Path
from typing import TextIO

import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import Mutation, MutationError
from plmbook.core.text import open_text

NAME = re.compile(r"(?P<transcript>[^(:]+)(?:\((?P<gene>[^)]+)\))?:(?P<change>\S+) \((?P<protein>p\.[^)]+)\)")
PATHOGENIC = {"Pathogenic", "Likely pathogenic", "Pathogenic/Likely pathogenic"}
BENIGN = {"Benign", "Likely benign", "Benign/Likely benign"}


def classify(significance: str) -> str:
    """The class of a ClinVar significance: "P/LP", "B/LB", "VUS" or "Other" (conflicting, risk factor, ...). What
    follows the first `;` or `,` (drug response, risk factor) does not change the class.
    """
    first = re.split("[;,]", significance)[0].strip()
    if first in PATHOGENIC:
        return "P/LP"
    if first in BENIGN:
        return "B/LB"
    return "VUS" if first == "Uncertain significance" else "Other"


def read_variant_summary(source: str | Path | TextIO, assembly: str = "GRCh38") -> pd.DataFrame:
    """The missense variants of a variant_summary file, whole or cut to some columns, in one assembly, one row an
    allele: `gene` (of the name: one symbol even where a variant overlaps two genes), `mutation` ("R175H"),
    `transcript`, `change` ("c.524G>A"), `significance` (of `classify`), `stated` (ClinVar's words).
    """
    rows = []
    with open_text(source) as handle:
        columns = handle.readline().rstrip("\r\n").lstrip("#").split("\t")
        missing = {"Name", "ClinicalSignificance"} - set(columns)
        if missing:
            raise InputError(
                f"variant_summary: expected the columns Name and ClinicalSignificance, missing {sorted(missing)}"
            )
        for line in handle:  # quotes are plain characters in this file
            row = dict(zip(columns, line.rstrip("\r\n").split("\t"), strict=False))
            if row.get("Assembly", assembly) != assembly:
                continue
            match = NAME.match(row["Name"])
            if match is None:
                continue
            try:
                mutation = str(Mutation.parse(match["protein"]))
            except MutationError:
                continue
            stated = row["ClinicalSignificance"]
            gene = match["gene"] or row.get("GeneSymbol", "")
            rows.append((gene, mutation, match["transcript"], match["change"], classify(stated), stated))
    return pd.DataFrame(rows, columns=["gene", "mutation", "transcript", "change", "significance", "stated"])


def transcripts(summary: pd.DataFrame) -> pd.DataFrame:
    """One transcript a (gene, mutation), that which names most missense variants of the gene, then the first by name:
    `gene`, `mutation`, `transcript`, `n_transcripts` (int64: how many transcripts named this mutation).
    """
    pairs = summary[["gene", "mutation", "transcript"]].drop_duplicates()
    uses = pairs.groupby(["gene", "transcript"]).size().rename("uses").reset_index()
    ranked = pairs.merge(uses).sort_values(
        ["gene", "mutation", "uses", "transcript"], ascending=[True, True, False, True]
    )
    groups = ranked.groupby(["gene", "mutation"], sort=True)
    table = groups["transcript"].agg(transcript="first", n_transcripts="size").reset_index()
    return table.astype({"n_transcripts": "int64"})
