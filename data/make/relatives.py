"""Which proteins of the tests have a relative among those that the embedded models read: data/relatives.tsv.

data/make/corpus.py takes whole families out of training, but its clustering misses distant relatives and proteins that
share a domain.  So each protein of a test that is meant for unseen families is searched against the finished corpus
(MMseqs2, sensitivity 5.7); a *relative* is aligned at 30 % identity or more, over at least half of the shorter of the
two, with E below 1e-3.  The tests leave these proteins out (`plmbook.tables.bundled.read_in_training`).
The 53 genes are searched too, against the general proteins: what the general model has read that is like them; and so
are the constructs of the measured landscapes, against both, to say which of them a model may know.

Usage: python data/make/relatives.py --corpus build/corpus
"""

import argparse
from pathlib import Path

import pandas as pd
from alike import relatives, search

from plmbook import tables
from plmbook.core import paths

IDENTITY = 0.3


def tested() -> pd.DataFrame:
    """The proteins of the tests: table, id, sequence."""
    heldout = tables.load("heldout")[["id", "sequence"]].assign(table="heldout")
    structure = tables.load("secondary_structure").query("split == 'test'")[["id", "sequence"]]
    kept = tables.load("kept_structures").groupby("id")["residue"].agg("".join).rename("sequence").reset_index()
    genes = tables.load("genes")[["gene", "sequence"]].rename(columns={"gene": "id"}).assign(table="genes")
    landscapes = tables.load("landscape_proteins")[["landscape", "sequence"]].rename(columns={"landscape": "id"})
    structure, kept = structure.assign(table="secondary_structure"), kept.assign(table="kept_structures")
    parts = [genes, landscapes.assign(table="landscapes"), heldout, structure, kept]
    return pd.concat(parts, ignore_index=True)[["table", "id", "sequence"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True, help="folder that data/make/corpus.py wrote")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    queries = tested()
    parts = []
    for source in ("general", "orthologs"):
        asked = queries if source == "general" else queries[queries["table"] != "genes"].reset_index(drop=True)
        corpus = tables.read_fasta(args.corpus / f"{source}.fasta")["sequence"]
        options = {"identity": IDENTITY, "options": ["--max-seqs", 5000], "threads": args.threads}
        hits = relatives(search(asked["sequence"], corpus, **options))
        found = hits.groupby("query")["fident"].agg(relatives="size", identity="max")
        parts.append(asked[["table", "id"]].join(found, how="inner").assign(source=source))
    table = pd.concat(parts).sort_values(["table", "id", "source"])[["table", "id", "source", "relatives", "identity"]]
    table.round({"identity": 3}).to_csv(paths.data() / "relatives.tsv", sep="\t", index=False, lineterminator="\n")
    print(table.groupby(["table", "source"]).agg(proteins=("id", "size"), identity=("identity", "max")))


if __name__ == "__main__":
    main()
