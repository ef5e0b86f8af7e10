"""gnomAD: how frequent alleles are in 125,748 exomes (release 2.1.1)."""

from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.residues import Mutation, MutationError
from plmbook.core.text import open_text

# Places in a consequence of VEP as gnomAD 2.1.1 writes it.
CONSEQUENCE, SYMBOL, FEATURE, PROTEIN_CHANGE, CANONICAL = 1, 3, 6, 11, 26


def read_export(source: str | Path | TextIO) -> pd.DataFrame:
    """The missense consequences of a site export of gnomAD 2.1.1, one row an allele and transcript: `gene`, `mutation`,
    `ensembl_transcript`, `canonical` (bool), `allele` ("chr1:17018906:T:A", GRCh38), `filter`, `allele_count`,
    `allele_number` (int64), `allele_frequency` (AC / AN, NaN where AN is 0; the export's own has no tab after it in
    some rows, which have 14 fields instead of 15).
    """
    rows = []
    with open_text(source) as handle:
        next(handle)
        for number, line in enumerate(handle, start=2):
            fields = line.rstrip("\r\n").split("\t")
            if fields == [""]:
                continue
            if len(fields) not in (14, 15):
                raise InputError(
                    f"gnomAD export, line {number}: expected 15 fields (or 14, AF and AF_popmax run together), "
                    f"found {len(fields)}"
                )
            allele = ":".join((fields[0], fields[1], fields[3], fields[4]))
            count, total = int(fields[6]), int(fields[7])
            for entry in fields[-1].split(","):
                gene, transcript, mutation, canonical = _missense(entry.split("|"))
                if mutation:
                    rows.append((gene, mutation, transcript, canonical, allele, fields[5], count, total))
    columns = "gene mutation ensembl_transcript canonical allele filter allele_count allele_number"
    table = pd.DataFrame(rows, columns=columns.split())
    table["allele_frequency"] = table["allele_count"] / table["allele_number"].replace(0, np.nan)
    return table


def _missense(entry: list[str]) -> tuple[str, str, str, bool]:
    """Gene, transcript, mutation ("" where the consequence is no missense substitution) and whether it is canonical."""
    if len(entry) <= CANONICAL or "missense_variant" not in entry[CONSEQUENCE] or ":" not in entry[PROTEIN_CHANGE]:
        return "", "", "", False
    try:
        mutation = str(Mutation.parse(entry[PROTEIN_CHANGE].split(":", 1)[1]))
    except MutationError:
        return "", "", "", False
    return entry[SYMBOL], entry[FEATURE], mutation, entry[CANONICAL] == "YES"
