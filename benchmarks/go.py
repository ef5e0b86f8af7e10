"""Twenty labels on one matrix of features: LightGBM as one calls it, on one binned data set, and the fast path.

    independent   `LGBMClassifier().fit` for each label, as it comes
    exact         `plmbook.function.learners.fit_lightgbm`: the same trees, binned once
    fast          the same with `fast=True`: coarser bins, half of the columns for each tree, a label a core

Time: 20,000 x 1,280 made-up features, the labels in two halves; within a half the ways take turns. Quality:
proteins of the bundled table with their twenty commonest terms, the hidden states of the embedded model as features;
average precision in five-fold cross-validation, the fast path less LightGBM's own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np
from turns import once

from plmbook import models, tables
from plmbook.core import artifacts
from plmbook.engine import encode
from plmbook.function import classifier, learners, measures
from plmbook.stats import bootstrap, metrics

FOLDS = 5
RESAMPLES = 200


@dataclass(frozen=True)
class Size:
    """How much is timed."""

    rows: int
    columns: int
    labels: int
    rounds: int
    proteins: int | None  # None: all of the bundled table


FULL = Size(20_000, 1_280, 20, 100, None)
QUICK = Size(400, 40, 4, 5, 60)


def run(out: Path, *, quick: bool = False) -> dict:
    """Both parts; `go.json` after each."""
    size = QUICK if quick else FULL

    record = common.facts() | artifacts.versions(["lightgbm"]) | {"seed": common.SEED, "quick": quick}
    record |= {"rounds": size.rounds, "parameters": learners.parameters(fast=True)}
    for name, part in (("time", timing), ("quality", quality)):
        record[name] = part(size)
        common.write("go", record, folder=out)
    return record


def timing(size: Size) -> dict:
    """Seconds of each way on made-up features, and whether the exact path predicts what LightGBM does."""
    features, labels, others = made_up(size)
    turns = []
    for number, columns in enumerate(np.array_split(np.arange(size.labels), 2)):
        turns.append({})
        for way in list(WAYS) if number == 0 else reversed(WAYS):
            turns[-1][way] = WAYS[way](features, labels[:, columns], others, size.rounds)
    times = {
        way: [sum(turn["independent"]["seconds"]) / turn[way]["seconds"][0] for turn in turns]
        for way in ("exact", "fast")
    }
    paired = [
        pair
        for turn in turns
        for pair in zip(turn["exact"]["predictions"], turn["independent"]["predictions"], strict=True)
    ]
    return {
        "rows": size.rows,
        "columns": size.columns,
        "labels": size.labels,
        "prevalence": labels.mean(axis=0).tolist(),
        "seconds": {way: [turn[way]["seconds"] for turn in turns] for way in WAYS},
        "times_independent": {way: common.spread(each) for way, each in times.items()},
        "exact_compared": len(paired),
        "exact_identical": sum(bool(np.array_equal(a, b)) for a, b in paired),
    }


def quality(size: Size) -> dict:
    """Average precision of the fast path less that of LightGBM's own, cross-validated on real proteins.

    A term's average precision on one fifth of the proteins varies by more than the paths differ: every protein is
    tested once, by trees that have not seen it, and the folds' values are averaged.
    """
    proteins, labels = labelled_proteins(size)
    features, described = once(hidden_states, "embedded", proteins["sequence"].tolist(), size.columns)
    truth = labels.to_numpy()
    fold = np.random.default_rng(common.SEED).permutation(len(proteins)) % FOLDS
    # A label without both classes in every fold cannot be judged: only in the rehearsal.
    judged = [k for k, y in enumerate(truth.T) if all(0 < y[fold == f].sum() < (fold == f).sum() for f in range(FOLDS))]
    y, seconds = truth[:, judged], dict.fromkeys(COMPARED, 0.0)
    answers = {way: np.empty(y.shape) for way in COMPARED}
    for f in range(FOLDS):
        for way in COMPARED:
            found = WAYS[way](features[fold != f], y[fold != f], features[fold == f], size.rounds)
            answers[way][fold == f] = np.transpose(found["predictions"])
            seconds[way] += sum(found["seconds"])
    weights = bootstrap.weights(range(len(y)), n=RESAMPLES, seed=common.SEED)
    values = {way: average_precision(y, each, fold) for way, each in answers.items()}
    drawn = {
        way: np.nanmean(average_precision(y, each, fold, weight=weights), axis=(0, 1)) for way, each in answers.items()
    }
    low, high = bootstrap.percentiles(drawn["fast"] - drawn["independent"])
    return described | {
        "proteins": len(proteins),
        "folds": FOLDS,
        "terms": labels.columns[judged].tolist(),
        "auprc": {way: each.T.tolist() for way, each in values.items()},
        "mean_auprc": {way: float(each.mean()) for way, each in values.items()},
        "difference": {"value": float(values["fast"].mean() - values["independent"].mean()), "low": low, "high": high},
        "seconds": seconds,
    }


def average_precision(truth: np.ndarray, answers: np.ndarray, fold: np.ndarray, *, weight=None) -> np.ndarray:
    """Of each fold and label, float64 (folds, k), or (folds, k, n) with the n resamples of `weight` (n, proteins)."""
    return np.array(
        [
            [
                metrics.average_precision(truth[rows, k], answers[rows, k], None if weight is None else weight[:, rows])
                for k in range(truth.shape[1])
            ]
            for rows in (np.flatnonzero(fold == f) for f in range(FOLDS))
        ]
    )


# --- the ways --------------------------------------------------------------------------------------------


def independent(features: np.ndarray, labels: np.ndarray, others: np.ndarray, rounds: int) -> dict:
    """LightGBM's own classifier for each label."""
    from lightgbm import LGBMClassifier

    seconds, predictions = [], []
    for y in labels.T:
        start = time.perf_counter()
        fitted = LGBMClassifier(n_estimators=rounds, verbosity=-1).fit(features, y)
        seconds.append(time.perf_counter() - start)
        predictions.append(fitted.booster_.predict(others))
    return {"seconds": seconds, "predictions": predictions}


def shared(*, fast: bool) -> Callable[..., dict]:
    """Ours for all labels at once."""

    def fit(features: np.ndarray, labels: np.ndarray, others: np.ndarray, rounds: int) -> dict:
        start = time.perf_counter()
        fitted = learners.fit_lightgbm((features, labels), None, rounds=rounds, fast=fast)
        seconds = [time.perf_counter() - start]
        return {"seconds": seconds, "predictions": list(learners.predict_lightgbm(fitted, others).T)}

    return fit


WAYS = {"independent": independent, "exact": shared(fast=False), "fast": shared(fast=True)}
COMPARED = ("independent", "fast")  # in quality: the exact path grows the independent trees


# --- what they are given ---------------------------------------------------------------------------------


def made_up(size: Size, *, seed: int = common.SEED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (rows, columns) with common factors as embeddings have them, labels of 3 to 30 % that follow some, and
    features of a tenth as many other rows.
    """
    rng = np.random.default_rng(seed)
    n, factors = size.rows + size.rows // 10, min(64, size.columns)
    hidden = rng.normal(size=(n, factors)).astype(np.float32)
    loadings = rng.normal(size=(factors, size.columns)).astype(np.float32)
    features = hidden @ loadings + 3 * rng.normal(size=(n, size.columns)).astype(np.float32)
    scores = hidden @ rng.normal(size=(factors, size.labels)) + 6 * rng.normal(size=(n, size.labels))
    labels = scores > np.quantile(scores, 1 - np.linspace(0.03, 0.3, size.labels), axis=0).diagonal()
    return features[: size.rows], labels[: size.rows], features[size.rows :]


def labelled_proteins(size: Size):
    """Proteins of the bundled table, and their commonest terms (DataFrame of bool)."""
    pairs = tables.load("go_annotations")
    pairs = pairs[pairs["column"] == "cafa5"]
    proteins = tables.load("go_proteins")
    proteins = proteins[proteins["id"].isin(pairs["id"])]
    if size.proteins is not None:
        proteins = proteins.sample(size.proteins, random_state=common.SEED)
    chosen = classifier.common_terms(pairs[~pairs["go_id"].isin(measures.ROOTS)], size.labels)
    return proteins, classifier.label_table(pairs, proteins["id"].tolist(), chosen)


def hidden_states(name: str, sequences: list[str], columns: int) -> tuple[np.ndarray, dict]:
    """Means over residues of the hidden states of several layers side by side, (n, columns), the last layer first; and
    which.

    Four layers of 320 numbers make 1,280; the embedded model has fewer numbers a layer, so that it takes more layers,
    and of the last of these only as many columns as are missing.
    """
    model = models.load(name, device="cpu")
    layers = list(range(model.card.layers, -1, -1))[: -(-columns // model.card.dim)]
    found = np.empty((len(sequences), len(layers), model.card.dim), dtype=np.float32)
    for group in encode.batches([len(sequence) + 2 for sequence in sequences], encode.token_budget(model)):
        outputs = model.run([sequences[n] for n in group], layers=layers, logits=False, pool="mean")
        found[group] = [[output.pooled[layer] for layer in layers] for output in outputs]
    described = {"model": model.name, "dim": model.card.dim, "layers": layers, "columns": columns}
    return np.ascontiguousarray(found.reshape(len(sequences), -1)[:, :columns]), described


def summary(record: dict) -> str:
    """The record in lines for the terminal."""
    took, judged = record["time"], record["quality"]
    lines = [
        f"  {way:<12}{sum(map(sum, took['seconds'][way])):>8.1f} s for {took['labels']} labels"
        + (f", {took['times_independent'][way]['median']:.2f} x" if way in took["times_independent"] else "")
        for way in WAYS
    ]
    gap = judged["difference"]
    lines.append(f"  {took['exact_identical']} of {took['exact_compared']} labels identical to the last bit")
    lines.append(
        f"  {judged['model']}, {len(judged['terms'])} terms of {judged['proteins']} proteins, {judged['folds']} folds: "
        f"mean average precision {judged['mean_auprc']['independent']:.4f}, fast {gap['value']:+.4f} "
        f"[{gap['low']:+.4f}, {gap['high']:+.4f}]"
    )
    return "\n".join(lines)
