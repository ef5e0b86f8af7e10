"""Made-up proteins whose labels an embedding knows: examples of three kinds of tasks."""

import numpy as np
import pandas as pd

from plmbook import tasks
from plmbook.core.structures import Structure

RNG = np.random.default_rng(0)


class Alphabet:
    """Four numbers a residue: whether it is one of ACDE, one of FGHI, one of KLMN, and whether its place is odd."""

    name = "alphabet"

    def __init__(self):
        self.calls = 0

    def residues(self, sequences):
        self.calls += 1
        groups = ("ACDE", "FGHI", "KLMN")
        return [
            np.array([[*(letter in group for group in groups), n % 2] for n, letter in enumerate(each)], np.float32)
            for each in sequences
        ]


def proteins(n, split, length=(12, 20), start=0):
    sequences = ["".join(RNG.choice(list("ACDEFGHIKLMN"), size=RNG.integers(*length))) for _ in range(n)]
    ids = [f"{split}{start + k}" for k in range(n)]
    return pd.DataFrame({"id": ids, "split": split, "test": "T" if split == "test" else "", "sequence": sequences})


def table(n=(60, 20, 20), **options):
    parts = [proteins(k, split, **options) for k, split in zip(n, tasks.SPLITS, strict=True)]
    return pd.concat(parts, ignore_index=True).assign(n_mutations=0)


def residue_examples():
    """The state is the group of the letter; the first residue never counts."""
    known = table()
    labels = []
    for sequence in known["sequence"]:
        states = np.array([0 if x in "ACDE" else 1 if x in "FGHI" else 2 for x in sequence])
        states[0] = tasks.IGNORED
        labels.append(states)
    return tasks.Examples(known, tuple(labels), tuple("HEC"))


def class_examples():
    """The class is the group of most letters."""
    known = table(length=(9, 14))
    labels = [int(np.argmax([sum(x in g for x in s) for g in ("ACDE", "FGHI", "KLMN")])) for s in known["sequence"]]
    return tasks.Examples(known, tuple(labels), ("a", "b", "c"))


def structures():
    """Chains that are straight, but for a hairpin in the middle."""
    known, labels = table((6, 2, 2), length=(60, 70)), []
    for name, sequence in zip(known["id"], known["sequence"], strict=True):
        half = len(sequence) // 2
        x = np.concatenate([np.arange(half), np.arange(len(sequence) - half)[::-1]]) * 3.8
        cb = np.stack([x, np.where(np.arange(len(sequence)) < half, 0.0, 5.0), np.zeros(len(sequence))], axis=1)
        labels.append(Structure(name, sequence, cb.astype(np.float32), np.full(len(sequence), np.nan)))
    return tasks.Examples(known, tuple(labels))
