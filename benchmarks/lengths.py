"""Count the lengths of human and mouse proteins, for the benchmarks that extrapolate to the two proteomes.

`human.part*.fasta.gz` and `mouse.part*.fasta.gz` lie in the folder `human_mouse_seqs` that `data/README.md` describes:
sequences of UniProt (CC BY 4.0), each once, of 30 to 5,000 residues.

Usage: python benchmarks/lengths.py --from DIR
Writes benchmarks/lengths.tsv: length (residues), human, mouse (proteins).
"""

import argparse
from collections import Counter
from pathlib import Path

import pandas as pd
from common import LENGTHS

from plmbook.core.text import read_records


def lengths_of(path: Path) -> Counter:
    """How many sequences of a gzipped FASTA file have which length."""
    return Counter(len(sequence) for _, sequence in read_records(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    folder = parser.parse_args().source / "human_mouse_seqs"
    columns = {}
    for species in ("human", "mouse"):
        files = sorted(folder.glob(f"{species}.part*.fasta.gz"))
        if not files:
            parser.error(f"{folder}: expected {species}.part*.fasta.gz, found none")
        columns[species] = sum((lengths_of(path) for path in files), Counter())
    table = pd.DataFrame(columns).fillna(0).astype(int).sort_index().rename_axis("length")
    table.to_csv(LENGTHS, sep="\t")
    print(f"{LENGTHS}: {table.sum().to_dict()} proteins, {table.mul(table.index, axis=0).to_numpy().sum():,} residues")


if __name__ == "__main__":
    main()
