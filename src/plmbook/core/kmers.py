"""The words of k residues that overlap in a protein: what relatives share without an alignment."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse


def kmer_counts(sequences: Sequence[str], k: int) -> sparse.csr_array:
    """How often each k-mer occurs in each protein, float64 (n, k-mers that occur), in the order of first occurrence.
    >>> kmer_counts(["AAAA", "CAAA", "CA"], 3).toarray().tolist()  # a protein shorter than k is its own word
    [[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows: list[int] = []
    columns: list[int] = []
    words: dict[str, int] = {}
    for row, sequence in enumerate(sequences):
        found = [sequence[i : i + k] for i in range(max(1, len(sequence) - k + 1))]
        columns += [words.setdefault(word, len(words)) for word in found]
        rows += [row] * len(found)
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(sequences), len(words)))
