"""GOA: annotations of proteins with GO terms and their evidence, in the Gene Association Format (GAF) 2.1 or 2.2."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple, TextIO

import pandas as pd

from plmbook.core.errors import InputError
from plmbook.core.text import open_text
from plmbook.sources.cells import called

ASPECTS = {"F": "molecular_function", "P": "biological_process", "C": "cellular_component"}
CAFA = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "TAS", "IC")  # evidence that CAFA counts as experimental
FIELDS = 17  # of GAF 2.x; the last two may be cut off


class Gaf(NamedTuple):
    """What `read_gaf` gives."""

    # a row an annotation that counts: `id` (accession), `gene` (symbol), `qualifier` ("" where none), `go_id`,
    # `evidence` (code, such as IDA), `namespace`, `taxon` (int64, NCBI), `date` (str, YYYYMMDD)
    annotations: pd.DataFrame
    exclusions: pd.DataFrame  # a row a reason: `reason` (str), `n_annotations` (int64)
    header: dict[str, str]  # what the lines with `!name: value` say, the first of each name


def read_gaf(source: str | Path | TextIO, *, database: str = "UniProtKB", evidence: tuple[str, ...] = ()) -> Gaf:
    """Read a GAF file. Left out and counted are ids of another database, the qualifier NOT, and evidence not asked for,
    such as `CAFA` (none: all count). A line with too few fields, no GO id or an unknown aspect is an error.
    """
    where = called(source, "GAF file")
    rows: list[tuple] = []
    left_out: Counter[str] = Counter()
    header: dict[str, str] = {}
    with open_text(source) as handle:
        for number, line in enumerate(handle, start=1):
            if line.startswith("!"):
                if match := re.match(r"!\s*([\w-]+)\s*:\s*(.*)", line):
                    header.setdefault(match[1].casefold(), match[2].strip())
                continue
            if not line.strip():
                continue
            if not header.get("gaf-version", "").startswith("2"):
                raise InputError(
                    f"{where}: expected the line !gaf-version: 2.1 or 2.2 before the first annotation, found "
                    f"{header.get('gaf-version') or 'none'}"
                )
            fields = line.rstrip("\r\n").split("\t")
            _refuse_faulty(fields, f"{where}: line {number}")
            if reason := _reason(fields, database, evidence):
                left_out[reason] += 1
                continue
            taxon = fields[12].split("|")[0].removeprefix("taxon:")
            rows.append((fields[1], *fields[2:5], fields[6], ASPECTS[fields[8]], int(taxon), fields[13]))
    if not header:
        raise InputError(f"{where}: is empty or no GAF file; expected !gaf-version: 2.1 or 2.2 in its first lines")
    names = ["id", "gene", "qualifier", "go_id", "evidence", "namespace", "taxon", "date"]
    table = pd.DataFrame(rows, columns=names).astype({name: "int64" if name == "taxon" else "str" for name in names})
    exclusions = pd.DataFrame(sorted(left_out.items()), columns=["reason", "n_annotations"])
    return Gaf(table, exclusions.astype({"reason": "str", "n_annotations": "int64"}), header)


def _refuse_faulty(fields: list[str], where: str) -> None:
    if len(fields) < FIELDS - 2:
        raise InputError(f"{where}: {len(fields)} fields, expected {FIELDS}; cut short, or not tab-separated?")
    if not fields[1] or not re.fullmatch(r"GO:\d{7}", fields[4]):
        raise InputError(f"{where}: expected an id and a GO id such as GO:0005829, found {fields[1]!r}, {fields[4]!r}")
    if fields[8] not in ASPECTS or not re.match(r"(taxon:)?\d+(\||$)", fields[12]):  # some files have a bare number
        raise InputError(f"{where}: expected an aspect F, P or C and taxon:N, found {fields[8]!r}, {fields[12]!r}")


def _reason(fields: list[str], database: str, evidence: tuple[str, ...]) -> str:
    """Why an annotation does not count, or ""."""
    if fields[0] != database:
        return f"database {fields[0]}"
    if "NOT" in fields[3].upper().split("|"):
        return "qualifier NOT"
    return f"evidence {fields[6]}" if evidence and fields[6] not in evidence else ""
