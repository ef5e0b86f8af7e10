"""Which functions a protein has: GO terms from one vector a protein, each a question of its own, by several learners.

`LEARNERS` lists the learners with the features that each takes. Three of them see no embedding (amino-acid composition,
length, the frequency of the term) and one trains nothing (the nearest proteins): what they reach is what an embedding
has to beat. Each learns from "train", stops and sets its thresholds on "validation", and never sees "test".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.artifacts import sha256, versions, write_json
from plmbook.core.errors import InputError, one_of
from plmbook.function import learners
from plmbook.function.learners import Fitted
from plmbook.function.splits import PARTS
from plmbook.probing import neighbours

FORMAT = "plmbook classifier 1"
IMBALANCE = ("none", "balanced")
_LIBRARIES = {"lightgbm": ["lightgbm"], "logistic": ["scikit-learn"], "mlp": ["torch"]}  # by method
_MINIMUM = 5  # training proteins with a term, and without it, below which it is not learnt


class _Learner(NamedTuple):
    """A way to learn the labels, and the features that it takes."""

    method: str  # of `plmbook.function.learners`
    reads: str  # "embedding", "composition" (n, 20), "length" (n, 1) or "nothing" (n, 0)
    baseline: bool = False


LEARNERS = {
    "lightgbm": _Learner("lightgbm", "embedding"),  # boosted trees, one model a term on one binned data set
    "logistic": _Learner("logistic", "embedding"),  # on standardised features
    "mlp": _Learner("mlp", "embedding"),  # one hidden layer for all terms at once
    "knn": _Learner("knn", "embedding", baseline=True),  # the terms of the nearest training proteins by cosine
    "composition": _Learner("lightgbm", "composition", baseline=True),  # the shares of the 20 amino acids
    "length": _Learner("lightgbm", "length", baseline=True),  # the number of residues
    "frequency": _Learner("frequency", "nothing", baseline=True),  # how common the term is, the same for every protein
}
BASELINES = tuple(name for name, learner in LEARNERS.items() if learner.baseline)


@dataclass(frozen=True)
class Classifier:
    """A learner that has learnt; `fit` or `load` makes it."""

    learner: str  # of `LEARNERS`
    terms: tuple[str, ...]  # the k labels, in the order of the columns of `predict`
    thresholds: np.ndarray  # float64 (k,): has a term from this probability on; F1 on validation was best there
    width: int  # columns of the features
    excluded: pd.DataFrame  # the labels that were not learnt: see `fit`
    facts: dict  # JSON values: seed, options, versions, numbers of proteins, and what the caller said of the features
    fitted: Fitted = field(repr=False)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probability of each of the `terms`, float64 (n, k), from features, float32 (n, width).
        InputError if the width is another than in training, or a number is missing or not finite.
        Invariant: the answer for a protein does not depend on the other proteins."""
        features = _checked_features(features)
        if features.shape[1] != self.width:
            raise InputError(f"{features.shape[1]} features, expected {self.width} as in training; of another model?")
        if not len(features):
            return np.empty((0, len(self.terms)))
        return learners.METHODS[LEARNERS[self.learner].method].predict(self.fitted, features)

    def save(self, folder: str | Path) -> Path:
        """Write a folder, new or empty: `arrays.safetensors`, `trees/NUMBER.txt` in LightGBM's own format, and, written
        last, `manifest.json` with the sha256 of each file. The same classifier gives the same bytes."""
        from safetensors.numpy import save

        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: is not empty; name a new folder for the classifier")
        arrays = {name: np.ascontiguousarray(array) for name, array in self.fitted.arrays.items()}
        files = {"arrays.safetensors": save(arrays)} if arrays else {}
        files |= {f"trees/{number:05d}.txt": text.encode() for number, text in enumerate(self.fitted.trees)}
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        manifest = {
            "format": FORMAT,
            "learner": self.learner,
            "width": self.width,
            "terms": list(self.terms),
            "thresholds": self.thresholds.tolist(),
            "facts": self.facts,
            "chosen": self.fitted.chosen,
            "excluded": self.excluded.to_dict("records"),
            "files": {name: sha256(content) for name, content in files.items()},
        }
        write_json(folder / "manifest.json", manifest)
        return folder


def load(folder: str | Path) -> Classifier:
    """Read what `Classifier.save` wrote."""
    from safetensors.numpy import load as read_arrays

    folder = Path(folder)
    place = folder / "manifest.json"
    if not place.is_file():
        raise InputError(f"{folder}: no classifier here (manifest.json); `plmbook go` makes one")
    try:
        manifest = json.loads(place.read_text(encoding="utf-8"))
        ours = manifest["format"] == FORMAT and manifest["learner"] in LEARNERS
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise InputError(f"{place}: damaged, or no classifier of this version ({FORMAT})")
    contents = {name: _content(folder / name, digest) for name, digest in manifest["files"].items()}
    arrays = contents.pop("arrays.safetensors", None)
    trees = tuple(contents[name].decode() for name in sorted(contents))
    return Classifier(
        learner=manifest["learner"],
        terms=tuple(manifest["terms"]),
        thresholds=np.array(manifest["thresholds"], dtype=np.float64),
        width=manifest["width"],
        excluded=exclusion_table(manifest["excluded"]),
        facts=manifest["facts"],
        fitted=Fitted(read_arrays(arrays) if arrays else {}, trees, manifest["chosen"]),
    )


def fit(
    learner: str,
    features: np.ndarray,
    labels: pd.DataFrame,
    split: pd.Series,
    *,
    seed: int = 0,
    imbalance: str = "none",
    minimum: int = _MINIMUM,
    facts: dict | None = None,
    **options,
) -> Classifier:
    """Learn the terms of proteins from their features.

    Parameters
    ----------
    learner : str
        Of `LEARNERS`.
    features : float32 array (n, d)
        Row by row those of `labels`; `features_for` makes what a learner takes.
    labels : DataFrame of bool (n, k)
        Index: protein ids, distinct. Columns: GO ids. `label_table` makes it.
    split : Series of str
        Index: protein ids, all of those of `labels`. Values: "train", "validation", "test".
    seed : int
    imbalance : {"none", "balanced"}
        "balanced" lets the rarer class weigh as much as the other: the answers are then no probabilities, but hardly
        change their order. Thresholds are set on validation either way, so that rare terms are found without.
    minimum : int
        Training proteins with a term, and without it, below which the term is not learnt.
    facts : dict, optional
        JSON values about the features, kept with the classifier: model, pool, layer.
    **options
        Of the method in `plmbook.function.learners`, such as `fast=True` for "lightgbm".

    Returns
    -------
    Classifier
        The test proteins change nothing in it. `excluded` has a row per label that was not learnt: term, reason (str),
        train_with, train_without, validation_with, validation_without (int64, numbers of proteins).

    Raises
    ------
    InputError
        An unknown learner, part or option of imbalance; features that are missing, not finite, or not those of the
        labels; an id that repeats or is not in the split; a part without proteins; no label left.
    """
    one_of("learner", learner, LEARNERS)
    one_of("imbalance", imbalance, IMBALANCE)
    _check_labels(labels)
    features = _checked_features(features, labels.index)
    parts = parts_of(split, labels.index)
    training, validation = (parts == "train").to_numpy(), (parts == "validation").to_numpy()
    for name, rows in (("train", training), ("validation", validation)):
        if not rows.any():
            raise InputError(f"the split has no protein in {name!r} among the {len(labels)} labelled ones")
    excluded = exclusions(labels, parts, minimum=minimum)
    learnable = labels.loc[:, ~labels.columns.isin(excluded["term"])]
    if not learnable.shape[1]:
        reasons = "; ".join(f"{row.term}: {row.reason}" for row in excluded.head(5).itertuples())
        raise InputError(f"no term can be learnt from {training.sum()} training proteins ({reasons})")
    truth, method = learnable.to_numpy(dtype=bool), LEARNERS[learner].method
    train, held = ((features[rows], truth[rows]) for rows in (training, validation))
    fitted = learners.METHODS[method].fit(train, held, seed=seed, imbalance=imbalance, **options)
    on_validation = learners.METHODS[method].predict(fitted, held[0])
    thresholds = [best_threshold(y, p) for y, p in zip(held[1].T, on_validation.T, strict=True)]
    known = {
        "seed": seed,
        "imbalance": imbalance,
        "minimum": minimum,
        "options": options,
        "proteins": {name: int((parts == name).sum()) for name in PARTS},
        "versions": versions(("plmbook", "numpy", *_LIBRARIES.get(method, ()))),
    }
    terms, width = tuple(map(str, learnable.columns)), features.shape[1]
    return Classifier(learner, terms, np.array(thresholds), width, excluded, known | (facts or {}), fitted)


def features_for(
    learner: str,
    *,
    embeddings: np.ndarray | None = None,
    sequences: Sequence[str] | None = None,
    lengths: Sequence[int] | None = None,
) -> np.ndarray:
    """What a learner of `LEARNERS` reads, float32: the embeddings (n, d), composition (n, 20), length (n, 1) or nothing
    (n, 0); what it needs and is not given is an InputError."""
    reads = LEARNERS[learner].reads
    if reads == "embedding" and embeddings is not None:
        return np.asarray(embeddings, dtype=np.float32)
    if reads == "composition" and sequences is not None:
        return neighbours.composition(sequences).astype(np.float32)
    if lengths is None and sequences is not None:
        lengths = [len(sequence) for sequence in sequences]
    if reads == "length" and lengths is not None:
        return np.asarray(lengths, dtype=np.float32)[:, None]
    if reads == "nothing":
        n = next(len(given) for given in (embeddings, lengths) if given is not None)
        return np.empty((n, 0), dtype=np.float32)
    raise InputError(f"learner {learner!r} reads the {reads}, which was not given")


def label_table(annotations: pd.DataFrame, ids: Sequence[str], terms: Sequence[str]) -> pd.DataFrame:
    """Which protein has which term: bool (n, k), index `ids`, columns `terms`; other pairs are ignored."""
    rows, columns = pd.Index(ids, name="id"), pd.Index(terms)
    places = np.stack([rows.get_indexer(annotations["id"]), columns.get_indexer(annotations["go_id"])])
    i, j = places[:, (places >= 0).all(axis=0)]
    found = np.zeros((len(rows), len(columns)), dtype=bool)
    found[i, j] = True
    return pd.DataFrame(found, index=rows, columns=columns)


def common_terms(annotations: pd.DataFrame, n: int = 20, *, among: Sequence[str] | None = None) -> list[str]:
    """The n terms that most proteins have, commonest first, equal ones by name."""
    pairs = annotations[["id", "go_id"]].drop_duplicates()
    if among is not None:
        pairs = pairs[pairs["id"].isin(among)]
    counts = pairs["go_id"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return counts.index[:n].tolist()


def exclusions(labels: pd.DataFrame, parts: pd.Series, *, minimum: int = _MINIMUM) -> pd.DataFrame:
    """The labels that cannot be learnt or given a threshold, in the order of the columns: term, reason (str),
    train_with, train_without, validation_with, validation_without (int64, numbers of proteins)."""
    counts = {}
    for part in ("train", "validation"):
        rows = labels[(parts == part).to_numpy()]
        counts[f"{part}_with"] = rows.sum().astype("int64")
        counts[f"{part}_without"] = (len(rows) - rows.sum()).astype("int64")
    table = pd.DataFrame({"term": labels.columns.astype("str"), "reason": ""} | {k: v.array for k, v in counts.items()})
    needed = max(1, minimum)
    for column, least, reason in (  # the last that applies is the reason
        ("validation_without", 1, "every validation protein has it"),
        ("validation_with", 1, "no validation protein has it"),
        ("train_without", needed, f"fewer than {needed} training proteins are without it"),
        ("train_with", needed, f"fewer than {needed} training proteins have it"),
        ("train_without", 1, "every training protein has it"),
        ("train_with", 1, "no training protein has it"),
    ):
        table["reason"] = table["reason"].mask(table[column] < least, reason)
    return exclusion_table(table[table["reason"] != ""])


def parts_of(split: pd.Series, ids: Sequence[str]) -> pd.Series:
    """The part of each protein, in the order of `ids`."""
    if unknown := set(split) - set(PARTS):
        raise InputError(f"the split has the part {min(map(str, unknown))!r}; expected {', '.join(PARTS)}")
    if split.index.has_duplicates:
        raise InputError(f"the split holds {split.index[split.index.duplicated()][0]!r} twice")
    found = split.reindex(ids)
    if found.isna().any():
        missing = found.index[found.isna()]
        raise InputError(f"{len(missing)} of {len(found)} proteins are not in the split, such as {missing[0]!r}")
    return found


def best_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Of `probabilities` (n,) the one from which on F1 is best; of equally good ones the highest."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    last = np.flatnonzero(np.append(np.diff(ranked) < 0, True))  # equal probabilities are taken together
    hits = np.cumsum(truth[order])[last]
    f1 = 2 * hits / (last + 1 + truth.sum())
    return float(ranked[last[np.argmax(f1)]])


def _checked_features(features: np.ndarray, ids: Sequence[str] | None = None) -> np.ndarray:
    """float32 (n, d), contiguous and finite."""
    features = np.ascontiguousarray(features, dtype=np.float32)
    if features.ndim != 2 or (ids is not None and len(features) != len(ids)):
        rows = "n" if ids is None else len(ids)
        raise InputError(f"features of the shape {features.shape}: expected ({rows}, d), a row per protein")
    if (bad := ~np.isfinite(features).all(axis=1)).any():
        first = int(np.flatnonzero(bad)[0])
        named = f"row {first + 1}" if ids is None else repr(ids[first])
        raise InputError(
            f"the features of {bad.sum()} of {len(features)} proteins hold numbers that are missing or not finite, "
            f"such as those of {named}; embed them again, or leave them out"
        )
    return features


def _check_labels(labels: pd.DataFrame) -> None:
    for what, names in (("protein", labels.index), ("term", labels.columns)):
        if names.has_duplicates:
            raise InputError(f"the labels hold the {what} {names[names.duplicated()][0]!r} twice")
    if not labels.size:
        raise InputError(f"labels of {labels.shape[0]} proteins and {labels.shape[1]} terms: expected some of each")
    if other := [name for name in labels if not pd.api.types.is_bool_dtype(labels[name])]:
        raise InputError(f"the labels of {other[0]!r}: expected True and False")


def exclusion_table(rows) -> pd.DataFrame:
    """Rows as `exclusions` gives them, with the kinds of its columns; also of none."""
    types = {"term": "str", "reason": "str"}
    types |= {f"{part}_{which}": "int64" for part in ("train", "validation") for which in ("with", "without")}
    return pd.DataFrame(rows, columns=list(types)).astype(types).reset_index(drop=True)


def _content(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: a file of the classifier is missing")
    content = path.read_bytes()
    if sha256(content) != digest:
        raise InputError(f"{path}: is not what was saved (its sha256 differs from the manifest's)")
    return content
