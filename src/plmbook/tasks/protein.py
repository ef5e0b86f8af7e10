"""Tasks that ask something of a whole protein: one of several classes, yes or no, a number."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.probing import neighbours, probes
from plmbook.stats import metrics
from plmbook.tasks.base import Examples, Task, TaskData
from plmbook.tasks.learners import label_of_most_similar, logistic, ridge


@dataclass(frozen=True, kw_only=True)
class ClassTask(Task):
    """A label and an answer are the number of a class; -1 for one that no training protein has."""

    metric: str = "accuracy of proteins"
    learners: tuple[str, ...] = ("frequency", "composition", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForMultiClassClassification"
    pooling: str = "max"
    dropout: float = 0.2

    cheapest = "composition"
    head_kind = "classes"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        classes = tuple(sorted(set(table.loc[table["split"] == "train", self.column])))
        return pd.Index(classes).get_indexer(table[self.column]).tolist(), classes

    def frequency(self, data: TaskData, seed: int) -> list:
        return [int(np.bincount(data.examples.labels_of("train")).argmax())] * len(data.examples.of("test"))

    def composition(self, data: TaskData, seed: int) -> list:
        return logistic(data, neighbours.composition(data.sequences))

    def neighbour(self, data: TaskData, seed: int) -> list:
        return label_of_most_similar(data)

    def linear(self, data: TaskData, seed: int) -> list:
        return logistic(data, data.means)

    def answer(self, logits: np.ndarray) -> int:
        return int(logits.argmax())

    def measure(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        return float(np.mean(predicted == truth))


@dataclass(frozen=True, kw_only=True)
class BinaryTask(ClassTask):
    """1 or 0: yes or no."""

    head: str = "ConvBertForBinaryClassification"

    head_kind = "binary"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        return [int(value) for value in table[self.column]], ("no", "yes")

    def answer(self, logits: np.ndarray) -> int:
        return int(logits[0] > 0)


@dataclass(frozen=True, kw_only=True)
class NumberTask(Task):
    """A number of each variant of one protein."""

    metric: str = "Spearman correlation"
    learners: tuple[str, ...] = ("mutations", "one-hot", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForRegression"
    pooling: str = "max"

    cheapest = "one-hot"
    head_kind = "number"

    def n_mutations(self, table: pd.DataFrame) -> np.ndarray | int:
        """Residues in which each sequence differs from the commonest ones of training; 0 where lengths are unequal."""
        if table["sequence"].str.len().nunique() != 1:
            return 0
        codes = _codes(table["sequence"])
        learnt = codes[(table["split"] == "train").to_numpy()]
        consensus = np.array([np.bincount(column).argmax() for column in learnt.T], dtype=np.uint8)
        return (codes != consensus).sum(axis=1)

    def mutations(self, data: TaskData, seed: int) -> list:
        return list(-data.examples.table["n_mutations"].to_numpy(dtype=float)[data.examples.of("test")])

    def one_hot(self, data: TaskData, seed: int) -> list:
        if data.sequences.str.len().nunique() != 1:
            raise InputError("learner 'one-hot' needs proteins of one length: variants of one protein")
        return ridge(data, np.stack([probes.one_hot(each).ravel() for each in data.sequences]))

    def neighbour(self, data: TaskData, seed: int) -> list:
        """The mean of the training variants with the fewest residues between; all of one length."""
        codes = _codes(data.sequences)
        train, values = codes[data.examples.of("train")], np.array(data.examples.labels_of("train"))
        answers = []
        for each in codes[data.examples.of("test")]:
            nearest = np.argsort((train != each).sum(axis=1), kind="stable")[: data.settings.neighbours]
            answers.append(float(values[nearest].mean()))
        return answers

    def linear(self, data: TaskData, seed: int) -> list:
        return ridge(data, data.means)

    def head_options(self, examples: Examples) -> dict:
        mean = float(np.mean(examples.labels_of("train")))
        return super().head_options(examples) | {"training_labels_mean": mean}

    def answer(self, logits: np.ndarray) -> float:
        return float(logits[0])

    def measure(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        return round(metrics.spearman(predicted, truth), 12)


def _codes(sequences: pd.Series) -> np.ndarray:
    """uint8 (n, L) of sequences of one length."""
    return np.array([np.frombuffer(each.encode(), np.uint8) for each in sequences])
