"""Compile the structures kept aside for the test of contacts: one protein a family, none related to the 53 genes.

Reads structures reduced to C-beta (JSON lines: `id`, `seq`, `cb` in angstrom, for predicted ones `plddt`), the
proteins that `corpus.py` keeps out of training by whole families.  What stays is decided by four rules:

1. 50 to 1,022 residues, all of the 20 kinds; pLDDT on the scale 0 to 100.
2. At least 50 residues that count: experimental, or with a pLDDT of 70 or more.
3. No relative among the 53 genes, whose orthologs the embedded model reads.
4. One protein a family, the one with the most residues that count; among equals the first by id.

A relative is what MMseqs2's search aligns with 30 % identity over at least half of the shorter of the two, E < 1e-3.
Families are the connected groups of relatives; the globins are one family by SCOP (a.1.1).

Usage: python data/make/structures.py --from DIR
"""

import json
from pathlib import Path

import door
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from alike import relatives, search

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.text import open_text

FILES = {  # file -> (value of `source`, family of all its proteins or "" where search decides)
    "biotite_test_pdb.jsonl.gz": ("PDB", ""),
    "foldseek_scop_globins.jsonl.gz": ("SCOP", "a.1.1"),
    "proteingym_af2_structures.jsonl.gz": ("AlphaFold2", ""),
}
SHORTEST, LONGEST = 50, 1022  # residues
CONFIDENT = 70  # pLDDT from which a predicted residue counts
IDENTITY = 0.3


def read_structures(folder: Path) -> pd.DataFrame:
    """All structures: id, source, family (or ""), sequence, cb (lists of 3 angstrom), plddt (list, or None)."""
    rows = []
    for file, (source, family) in FILES.items():
        with open_text(folder / file) as handle:
            for number, line in enumerate(handle, start=1):
                row = json.loads(line)
                check(row, f"{folder / file}: line {number}")
                # ADRB2_HUMAN_Jones_2020 is a model of ADRB2_HUMAN; the rest names an assay of it
                name = "_".join(row["id"].split("_")[:2]) if source == "AlphaFold2" else row["id"]
                rows.append((name, source, family, row["seq"], row["cb"], row.get("plddt")))
    return pd.DataFrame(rows, columns=["id", "source", "family", "sequence", "cb", "plddt"])


def check(row: dict, where: str) -> None:
    """One coordinate (and pLDDT) a residue, or InputError."""
    expected = len(row["seq"])
    for name in ("cb", "plddt"):
        if row.get(name) is not None and len(row[name]) != expected:
            raise InputError(f"{where}: {row['id']}: expected {expected} values of {name}, found {len(row[name])}")


def count_residues(plddt: list[float] | None, length: int) -> int:
    """Residues that count: all of an experimental structure, the confident ones of a predicted one."""
    return length if plddt is None else sum(value >= CONFIDENT for value in plddt)


def reason_to_leave_out(row) -> str:
    """Why a structure cannot be in the table, by itself; "" where it can."""
    if not SHORTEST <= len(row.sequence) <= LONGEST:
        return f"not {SHORTEST} to {LONGEST} residues"
    if not set(row.sequence) <= set(AMINO_ACIDS):
        return "other letters than the 20"
    if row.plddt is not None and max(row.plddt) <= 1:
        return "pLDDT between 0 and 1: not AlphaFold's scale, so perhaps of another method"
    if row.counted < SHORTEST:
        return f"fewer than {SHORTEST} residues that count"
    return ""


def related_pairs(sequences: dict[str, str], threads: int) -> list[tuple[str, str]]:
    """Pairs of names that are relatives, in either order; the k-mers are short since so are the sets."""
    names, texts = list(sequences), list(sequences.values())
    hits = relatives(search(texts, texts, identity=IDENTITY, options=["-k", 5], threads=threads))
    hits = hits[hits["query"] != hits["target"]]
    return [(names[query], names[target]) for query, target in zip(hits["query"], hits["target"], strict=True)]


def families(ids: list[str], pairs: list[tuple[str, str]]) -> dict[str, str]:
    """id -> the first id of its connected group."""
    found = {name: name for name in sorted(ids)}
    for first, second in sorted(pairs):
        if first in found and second in found:
            old, new = sorted((found[first], found[second]), reverse=True)
            found = {name: new if group == old else group for name, group in found.items()}
    return found


def choose(structures: pd.DataFrame, genes: pd.DataFrame, threads: int) -> pd.DataFrame:
    """`structures` with `counted` and `left_out` (the reason, "" where the protein stays)."""
    lengths = structures["sequence"].str.len()
    structures["counted"] = [count_residues(p, n) for p, n in zip(structures["plddt"], lengths, strict=True)]
    structures["left_out"] = [reason_to_leave_out(row) for row in structures.itertuples()]
    able = structures[structures["left_out"] == ""]
    sequences = {f"gene {row.gene}": row.sequence for row in genes.itertuples()}
    pairs = related_pairs(dict(zip(able["id"], able["sequence"], strict=True)) | sequences, threads)
    near = {}
    for first, second in sorted(pairs):
        if second.startswith("gene ") and not first.startswith("gene "):
            near.setdefault(first, second.removeprefix("gene "))
    group = families(able["id"].tolist(), pairs)
    structures["family"] = [row.family or group.get(row.id, "") for row in structures.itertuples()]
    named = structures["id"].isin(near) & (structures["left_out"] == "")
    structures.loc[named, "left_out"] = "related to the gene " + structures.loc[named, "id"].map(near)
    staying = structures[structures["left_out"] == ""].sort_values(["counted", "id"], ascending=[False, True])
    best = staying.drop_duplicates("family")
    others = staying.drop(best.index)
    names = best.set_index("family")["id"]
    structures.loc[others.index, "left_out"] = "of the family of " + others["family"].map(names)
    return structures


def make_table(chosen: pd.DataFrame) -> pd.DataFrame:
    """One row a residue, proteins by id."""
    parts = []
    for row in chosen.sort_values("id").itertuples():
        part = pd.DataFrame(row.cb, columns=["cb_x", "cb_y", "cb_z"])
        part.insert(0, "residue", list(row.sequence))
        part.insert(0, "position", range(1, len(part) + 1))
        part.insert(0, "id", row.id)
        parts.append(part.assign(plddt=float("nan") if row.plddt is None else row.plddt, source=row.source))
    return pd.concat(parts, ignore_index=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Check and write; no index, no metadata that names versions of the libraries."""
    table = tables.check(table, tables.schema_of("kept_structures"), where=path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, path, compression="zstd", compression_level=19)


def main() -> None:
    options = door.parser(__doc__)
    options.add_argument("--threads", type=int, default=2)
    args = door.parse(options, holding=next(iter(FILES)))
    structures = choose(read_structures(args.source), tables.load("genes"), args.threads)
    for row in structures.sort_values(["left_out", "id"]).itertuples():
        print(f"{row.id} ({row.source}, {len(row.sequence)} residues, {row.counted} count): {row.left_out or 'kept'}")
    kept = structures[structures["left_out"] == ""]
    path = args.out / tables.BUNDLED["kept_structures"][0]
    write(make_table(kept), path)
    reasons = structures["left_out"].str.replace(r"^(related|of the family).*", r"\1", regex=True)
    print(reasons.replace("", "kept").value_counts().to_string())
    print(kept["source"].value_counts().to_string())
    print(f"{path.name}: {len(kept)} proteins, {kept['sequence'].str.len().sum()} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
