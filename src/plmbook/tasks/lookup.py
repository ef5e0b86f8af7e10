"""Tasks that ask for the nearest protein of a lookup set: CATH's classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.probing import neighbours
from plmbook.tasks.base import Examples, Noted, Task, TaskData
from plmbook.tasks.learners import label_of_most_similar, label_of_nearest

LEVELS = ("C", "A", "T", "H")  # of CATH: class, architecture, topology, homologous superfamily


@dataclass(frozen=True, kw_only=True)
class LookupTask(Task):
    """A label and an answer are CATH's "C.A.T.H"; "train" is the lookup set, of which nothing is learnt."""

    metric: str = "accuracy of queries"
    learners: tuple[str, ...] = ("composition", "neighbour", "embedding")
    training: str = "nothing is trained"

    splits = ("train", "test")
    cheapest = "composition"

    def from_published(self, table: pd.DataFrame, source: str, folder: Path | None) -> Noted:
        table = table.assign(split=table["split"].mask(table["role"] == "lookup", "train"))
        return super().from_published(table, source, folder)

    def composition(self, data: TaskData, seed: int) -> list:
        return label_of_nearest(data, neighbours.composition(data.sequences))

    def neighbour(self, data: TaskData, seed: int) -> list:
        return label_of_most_similar(data)

    def embedding(self, data: TaskData, seed: int) -> list:
        return label_of_nearest(data, data.means)

    def tests(self, test: str) -> list[str]:
        return list(LEVELS)

    def judge(self, answer: str, label: str, examples: Examples) -> list[tuple[float, float]]:
        """At each level whether the answer is right, and whether the lookup set has the query's class."""
        lookup = [_levels(code) for code in examples.labels_of("train")]
        found = zip(_levels(answer), _levels(label), zip(*lookup, strict=True), strict=True)
        return [(answered == own, own in there) for answered, own, there in found]

    def n_counted(self, truth: np.ndarray) -> int:
        return int((truth > 0).sum())

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["split"]


def _levels(code: str) -> list[str]:
    """C, C.A, C.A.T and C.A.T.H of a code."""
    words = code.split(".")
    return [".".join(words[: k + 1]) for k in range(len(LEVELS))]
