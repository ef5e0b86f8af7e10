"""Compile the orthologs of the genes, aligned to human, from UCSC's alignment: orthologs.parquet.

One row a gene and assembly, of the 47 genes whose alignment has the transcript of genes.tsv; a letter a human residue,
`.` where it is the human one, so that the table is what the 99 vertebrates differ in.  Equal input and equal versions
of pandas and pyarrow give equal bytes.

Usage: python data/make/orthologs.py --from DIR [--out data]
DIR, or PLMBOOK_MIRROR, is the folder that holds multiz100way-msa.tar.gz.
"""

from collections import Counter

import door
import pandas as pd
from bundled import write

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.sources import fetch, multiz
from plmbook.sources.record import tar_members
from plmbook.variants.alignment import SAME


def differences(row: str, sequence: str) -> str:
    """An aligned row with `.` where it has the residue of the sequence; the final stop is no column."""
    return "".join(SAME if letter == human else letter for letter, human in zip(row, sequence, strict=False))


def make_orthologs(alignments: dict[str, dict[str, multiz.Rows]], genes: pd.DataFrame) -> pd.DataFrame:
    """The rows of `orthologs.parquet`.

    Parameters
    ----------
    alignments : dict
        Gene -> transcript -> assembly -> row, from `multiz.read_alignments`.
    genes : DataFrame
        gene, transcript ("" where none matches), sequence.

    Returns
    -------
    DataFrame
        As `tables.schema_of("orthologs")`, sorted.

    Raises
    ------
    InputError
        Where the human row is not the sequence.
    """
    rows = []
    for gene in genes[genes["transcript"] != ""].itertuples():
        aligned = alignments[gene.gene][gene.transcript]
        human = aligned[multiz.HUMAN]
        if human.removesuffix(multiz.STOP) != gene.sequence:
            raise InputError(f"{gene.gene}: the human row of {gene.transcript} is not the sequence of genes.tsv")
        rows += [
            (gene.gene, assembly, differences(row, gene.sequence))
            for assembly, row in aligned.items()
            if assembly != multiz.HUMAN
        ]
    table = pd.DataFrame(rows, columns=list(tables.schema_of("orthologs").names))
    return table.sort_values(["gene", "assembly"], ignore_index=True)


def main() -> None:
    args = door.parse(door.parser(__doc__))

    alignments = {gene: multiz.read_alignments(handle) for gene, handle in tar_members(fetch("multiz"))}
    table = make_orthologs(alignments, tables.load("genes"))
    write(table, tables.schema_of("orthologs"), args.out / "orthologs.parquet")
    letters = Counter("".join(table["aligned"]))
    print(f"orthologs.parquet: {len(table)} rows, {(args.out / 'orthologs.parquet').stat().st_size} bytes")
    print(f"{table['gene'].nunique()} genes, {table['assembly'].nunique()} assemblies")
    same, gaps, unknown = (sum(letters.pop(letter, 0) for letter in kind) for kind in (SAME, "-", "XZ"))
    print(f"residues as in human {same}, other residues {sum(letters.values())}, gaps {gaps}, unknown {unknown}")


if __name__ == "__main__":
    main()
