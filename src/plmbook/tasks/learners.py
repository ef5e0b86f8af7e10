"""The ways to learn a task, and what several kinds of tasks learn with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from plmbook.core.kmers import kmer_counts
from plmbook.probing import neighbours
from plmbook.tasks.base import Examples, TaskData


@dataclass(frozen=True)
class Learner:
    """A way to a prediction."""

    name: str
    meaning: str
    baseline: bool = False  # whether it sees no model
    seeded: bool = False  # whether its answer depends on a seed


_FACTS = yaml.safe_load(Path(__file__).with_name("learners.yml").read_text(encoding="utf-8"))
LEARNERS = {name: Learner(name, **facts) for name, facts in _FACTS.items()}


def ridge(data: TaskData, features: np.ndarray) -> list:
    """Numbers, by ridge regression on features (n, d)."""
    from sklearn.linear_model import Ridge

    def loss(fitted, x: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean((fitted.predict(x) - y) ** 2))

    return _least_loss(data, features, lambda strength: Ridge(alpha=1 / strength), loss)


def logistic(data: TaskData, features: np.ndarray) -> list:
    """Classes, by logistic regression on features (n, d)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    def loss(fitted, x: np.ndarray, y: np.ndarray) -> float:
        known = np.isin(y, fitted.classes_)  # a class that training lacks cannot be learnt
        return log_loss(y[known], fitted.predict_proba(x[known]), labels=fitted.classes_)

    return _least_loss(data, features, lambda strength: LogisticRegression(C=strength, max_iter=2000, tol=1e-4), loss)


def _least_loss(data: TaskData, features: np.ndarray, make: Callable, loss: Callable) -> list:
    """Answers from standardised features, by the penalty with the least loss on validation."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    of = data.examples.of
    y, held = (np.array(data.examples.labels_of(split)) for split in ("train", "validation"))
    found = []
    for strength in data.settings.strengths:
        fitted = make_pipeline(StandardScaler(), make(strength)).fit(features[of("train")], y)
        found.append((round(loss(fitted, features[of("validation")], held), 9), strength, fitted))
    best = min(found, key=lambda each: each[:2])[2]  # of equal ones the stronger penalty
    return best.predict(features[of("test")]).tolist()


def label_of_nearest(data: TaskData, features: np.ndarray) -> list:
    """That of the training protein with the largest cosine of features (n, d), after their mean is taken off."""
    places, _ = neighbours.nearest(features[data.examples.of("test")], features[data.examples.of("train")])
    labels = data.examples.labels_of("train")
    return [labels[place] for place in places[:, 0]]


def label_of_most_similar(data: TaskData) -> list:
    """That of the training protein with the most alike counts of 3-mers."""
    places = np.round(kmer_cosines(data.examples), neighbours.DECIMALS).argmax(axis=1)
    labels = data.examples.labels_of("train")
    return [labels[place] for place in places]


def kmer_cosines(examples: Examples) -> np.ndarray:
    """Cosines of the counts of 3-mers, test by training proteins, float64 (n, m)."""
    counts = kmer_counts(examples.table["sequence"].tolist(), 3)
    norms = np.sqrt(counts.multiply(counts).sum(axis=1)).ravel()
    scaled = counts.multiply(1 / np.maximum(norms, 1e-12)[:, None]).tocsr()
    return (scaled[examples.of("test")] @ scaled[examples.of("train")].T).toarray()
