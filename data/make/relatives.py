"""Which proteins of the tests have a relative among those that the embedded models read: data/relatives.tsv.

data/make/corpus.py takes whole families out of training, but its clustering misses distant relatives and proteins that
share a domain.  So each protein of a test that is meant for unseen families is searched against the finished corpus
(MMseqs2, sensitivity 5.7); a *relative* is aligned at 30 % identity or more, over at least half of the shorter of the
two, with E below 1e-3.  The tests leave these proteins out (`plmbook.results.read_in_training`).
The 53 genes are searched too, against the general proteins: what the general model has read that is like them.

Usage: python data/make/relatives.py --corpus build/corpus
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from plmbook import paths, tables

IDENTITY = 0.3
COVERAGE = 0.5  # of the shorter sequence
FIELDS = "query,qlen,tlen,qstart,qend,tstart,tend,fident"


def tested() -> pd.DataFrame:
    """The proteins of the tests: table, id, sequence."""
    heldout = tables.load("heldout")[["id", "sequence"]].assign(table="heldout")
    structure = tables.load("secondary_structure").query("split == 'test'")[["id", "sequence"]]
    kept = tables.load("kept_structures").groupby("id")["residue"].agg("".join).rename("sequence").reset_index()
    genes = tables.load("genes")[["gene", "sequence"]].rename(columns={"gene": "id"}).assign(table="genes")
    parts = [genes, heldout, structure.assign(table="secondary_structure"), kept.assign(table="kept_structures")]
    return pd.concat(parts, ignore_index=True)[["table", "id", "sequence"]]


def search(queries: pd.Series, corpus: Path, threads: int) -> pd.DataFrame:
    """Alignments of each query (by its place) with the sequences of a FASTA file: the columns of `FIELDS`."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "queries.fasta").write_text("".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(queries)))
        options = ["-s", "5.7", "--min-seq-id", str(IDENTITY), "-e", "1e-3", "--max-seqs", "5000", "-v", "1"]
        subprocess.run(
            ["mmseqs", "easy-search", work / "queries.fasta", corpus, work / "hits.tsv", work / "tmp", *options,
             "--format-output", FIELDS, "--threads", str(threads)],
            check=True,
        )  # fmt: skip
        return pd.read_csv(work / "hits.tsv", sep="\t", names=FIELDS.split(","))


def related(hits: pd.DataFrame) -> pd.DataFrame:
    """Of each query with a relative: how many, and the highest identity."""
    shorter = hits[["qlen", "tlen"]].min(axis=1)
    aligned = pd.concat([hits["qend"] - hits["qstart"], hits["tend"] - hits["tstart"]], axis=1).min(axis=1) + 1
    found = hits[aligned >= COVERAGE * shorter]
    return found.groupby("query")["fident"].agg(relatives="size", identity="max")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder that data/make/corpus.py wrote")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    queries = tested()
    parts = []
    for source in ("general", "orthologs"):
        asked = queries if source == "general" else queries[queries["table"] != "genes"].reset_index(drop=True)
        found = related(search(asked["sequence"], args.corpus / f"{source}.fasta", args.threads))
        parts.append(asked[["table", "id"]].join(found, how="inner").assign(source=source))
    table = pd.concat(parts).sort_values(["table", "id", "source"])[["table", "id", "source", "relatives", "identity"]]
    table.round({"identity": 3}).to_csv(paths.data() / "relatives.tsv", sep="\t", index=False, lineterminator="\n")
    print(table.groupby(["table", "source"]).agg(proteins=("id", "size"), identity=("identity", "max")))


if __name__ == "__main__":
    main()
