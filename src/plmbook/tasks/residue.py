"""Tasks that ask for a class of each residue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import probes
from plmbook.tasks.base import IGNORED, Examples, Task, TaskData

STATES = {"dssp3": "HEC", "dssp8": "HGIEBTSC"}


@dataclass(frozen=True, kw_only=True)
class ResidueTask(Task):
    """A label and an answer are an int64 array (L,), `IGNORED` where a residue does not count."""

    metric: str = "accuracy of residues"
    learners: tuple[str, ...] = ("frequency", "window", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForMultiClassClassification"
    dropout: float = 0.2

    cheapest = "frequency"
    head_kind = "classes"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        classes = tuple(STATES[self.column])
        code = {name: number for number, name in enumerate(classes)}
        found = []
        for states, counted in zip(table[self.column], table["counted"], strict=True):
            numbers = np.array([code[letter] for letter in states], dtype=np.int64)
            found.append(np.where(probes.as_bool(counted), numbers, IGNORED))
        return found, classes

    def frequency(self, data: TaskData, seed: int) -> list:
        every = np.concatenate(data.examples.labels_of("train"))
        winner = np.bincount(every[every != IGNORED]).argmax()
        return [np.full(len(label), winner) for label in data.examples.labels_of("test")]

    def window(self, data: TaskData, seed: int) -> list:
        from scipy import sparse

        return _logistic(data, [sparse.csr_matrix(probes.window_one_hot(each)) for each in data.sequences])

    def neighbour(self, data: TaskData, seed: int) -> list:
        """The commonest class of the training windows with most residues in common; of equal windows the first ones."""
        most, k = data.settings.windows
        codes = [_window_codes(each, probes.WIDTH // 2) for each in data.sequences]
        x, y = map(np.concatenate, _counted(data, codes, most))
        one_hot, order, k = _one_hot(x), np.arange(len(x)), min(k, len(x))
        classes, answers = np.arange(int(y.max()) + 1), []
        for n in data.examples.of("test"):
            shared = (_one_hot(codes[n]) @ one_hot.T).astype(np.int64)  # (L, training windows): residues in common
            nearest = np.argpartition(order - shared * len(x), k - 1, axis=1)[:, :k]  # distinct keys: the same anywhere
            answers.append((y[nearest][:, :, None] == classes).sum(axis=1).argmax(axis=1))
        return answers

    def linear(self, data: TaskData, seed: int) -> list:
        return _logistic(data, data.states)

    def answer(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=-1)

    def judge(self, answer: np.ndarray, label: np.ndarray, examples: Examples) -> list[tuple[float, float]]:
        """How many residues are right, and how many count."""
        counted = label != IGNORED
        return [(float((answer == label)[counted].sum()), float(counted.sum()))]

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["dataset"]


def _logistic(data: TaskData, features: Sequence) -> list:
    """Multinomial logistic regression on features (L, d) of each protein, dense or sparse."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    parts, labels = _counted(data, features)
    x = sparse.vstack(parts).tocsr() if sparse.issparse(parts[0]) else np.concatenate(parts)
    fitted = LogisticRegression(C=data.settings.residue_strength, max_iter=500, tol=1e-3)
    fitted.fit(x, np.concatenate(labels))
    return [fitted.predict(features[n]) for n in data.examples.of("test")]


def _counted(data: TaskData, features: Sequence, most: float = np.inf) -> tuple[list, list]:
    """Features and classes of the training residues that count, protein by protein, of about `most` residues."""
    x, y, total = [], [], 0
    for n in data.examples.of("train"):
        label = data.examples.labels[n]
        counted = label != IGNORED
        x.append(features[n][counted])
        y.append(label[counted])
        total += counted.sum()
        if total >= most:
            break
    return x, y


def _window_codes(sequence: str, half: int) -> np.ndarray:
    """uint8 (L, 15): the residues around each, 20 for none or another letter."""
    inner = np.array([AMINO_ACIDS.find(letter) % 21 for letter in sequence], dtype=np.uint8)  # -1 becomes 20
    padded = np.pad(inner, half, constant_values=20)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """float32 (n, 15 * 21)."""
    return (codes[:, :, None] == np.arange(21)).reshape(len(codes), -1).astype(np.float32)
