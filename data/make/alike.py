"""Proteins that are alike: MMseqs2's search, and when two of its alignments' ends make a relative."""

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from plmbook.core.text import read_csv

FIELDS = ("query", "target", "qlen", "tlen", "qstart", "qend", "tstart", "tend", "fident")
COVERAGE = 0.5  # of the shorter of the two


def search(
    queries: Iterable[str],
    targets: Iterable[str],
    *,
    identity: float,
    sensitivity: float = 5.7,
    e_value: float = 1e-3,
    options: Sequence[object] = (),
    threads: int = 1,
) -> pd.DataFrame:
    """Align every query with the targets that MMseqs2 finds.

    Parameters
    ----------
    queries, targets : iterable of str
        Sequences.
    identity : float
        Least share of identical residues in an alignment.
    sensitivity, e_value : float
        MMseqs2's `-s` and `-e`.
    options : sequence
        Further arguments of `mmseqs easy-search`.
    threads : int

    Returns
    -------
    DataFrame
        A row an alignment: query, target (int64, places among those given, from 0), qlen, tlen, qstart, qend, tstart,
        tend (int64, residues, from 1, ends included), fident (float64, share of identical residues).
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, sequences in (("queries", queries), ("targets", targets)):
            with open(work / f"{name}.fasta", "w") as handle:  # numbers for names: MMseqs2 rewrites ids that hold `|`
                handle.writelines(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences))
        rule = ["-s", sensitivity, "--min-seq-id", identity, "-e", e_value, *options]
        files = [work / name for name in ("queries.fasta", "targets.fasta", "hits.tsv", "tmp")]
        report = ["--format-output", ",".join(FIELDS), "--threads", threads, "-v", 1]
        subprocess.run(["mmseqs", "easy-search", *files, *map(str, [*rule, *report])], check=True)
        return read_csv(work / "hits.tsv", names=FIELDS)


def relatives(hits: pd.DataFrame, coverage: float = COVERAGE) -> pd.DataFrame:
    """The alignments that cover enough of the shorter of the two: MMseqs2's mode 5 compares lengths.

    Parameters
    ----------
    hits : DataFrame
        From `search`.
    coverage : float
        Share of the residues of the shorter of the two between the ends of the alignment.

    Returns
    -------
    DataFrame
        Those rows of `hits`.
    """
    query = (hits["qend"] - hits["qstart"] + 1) / hits["qlen"]
    target = (hits["tend"] - hits["tstart"] + 1) / hits["tlen"]
    return hits[query.where(hits["qlen"] <= hits["tlen"], target) >= coverage]
