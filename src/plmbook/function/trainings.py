"""Many trainings for the common GO terms, and their answers about test proteins as one table that can be shipped.

A training is one learner on one split, with the annotations as given or propagated to all ancestors. The table has a
row a training and test protein and a column a term: the log-odds in thousandths, so that the file is small. One more
row a training, with `THRESHOLD` as its id, holds the thresholds that validation chose.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from plmbook.core.errors import InputError
from plmbook.function import classifier, ontology, proteomes, splits
from plmbook.tables.published import published

AS_GIVEN, PROPAGATED = "as given", "propagated"
RANDOM, HOMOLOGY = "random", "homology"
KEYS = ("annotations", "split", "seed", "learner")
THRESHOLD = "threshold"  # instead of a protein's id
SCALE = 1000  # steps of a nat
UNLEARNT = -100_000  # of a term with too few proteins: less than any log-odds
FAST = {"fast": True, "jobs": 1}
FILES = (*proteomes.SAMPLE, "published/go_terms.csv")  # that the questions depend on


class Benchmark(NamedTuple):
    """What is to be learnt."""

    proteins: pd.DataFrame  # as the bundled table `go_proteins`
    terms: list[str]  # GO ids: those of the published study, and those that are among the twenty most common here
    labels: dict[str, pd.DataFrame]  # by `AS_GIVEN` and `PROPAGATED`: bool (n, k)
    propagation: ontology.Propagated  # of all annotations of the collection
    splits: dict[tuple[str, int], pd.Series]  # split and seed -> part by id; across species only proteins of two


class Answers(NamedTuple):
    """What a training says of its test proteins."""

    terms: tuple[str, ...]  # (k,), those that were learnt
    thresholds: np.ndarray  # float64 (k,)
    probabilities: np.ndarray  # float64 (n, k); rows: the test proteins, in the order of the labels


def benchmark(collection: proteomes.Collection, *, seed: int, n_seeds: int) -> Benchmark:
    """The terms, labels and splits: random and by homology with `n_seeds` seeds, and across species with the first."""
    proteins, pairs, terms = collection.proteins, collection.annotations, collection.terms
    common = terms.loc[terms["top20"], "go_id"]
    chosen = list(dict.fromkeys([*published("go_terms")["go"], *common]))
    given = classifier.label_table(pairs, proteins["id"], chosen)
    raised = ontology.propagate(pairs, collection.ontology)
    labels = {AS_GIVEN: given, PROPAGATED: given | classifier.label_table(raised.annotations, proteins["id"], chosen)}
    parts = {}
    for each in range(seed, seed + n_seeds):
        parts[RANDOM, each] = splits.random_split(proteins["id"], seed=each)
        parts[HOMOLOGY, each] = splits.cluster_split(proteins, labels=given, seed=each)
    for one, other in splits.species_pairs(proteins, both_ways=True):
        parts[f"{one} to {other}", seed] = splits.species_split(proteins, one, other, seed=seed)
    return Benchmark(proteins, chosen, labels, raised, parts)


def trainings(benchmark: Benchmark, learner: str, *, seed: int, again: bool) -> pd.DataFrame:
    """The trainings of one learner: annotations, split, seed, learner. `again` False: every split of this seed,
    annotations as given. True: the other seeds, and the splits at random and by homology with propagated
    annotations."""
    rows = [(AS_GIVEN, name, each, learner) for name, each in benchmark.splits if (each == seed) != again]
    if again:
        rows += [(PROPAGATED, name, seed, learner) for name in (RANDOM, HOMOLOGY)]
    return pd.DataFrame(rows, columns=list(KEYS))


def plan(benchmark: Benchmark, trainings: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table, of each training the thresholds and its test proteins: `KEYS` and id (str)."""
    rows = []
    for training in trainings[list(KEYS)].itertuples(index=False):
        labels = benchmark.labels[training.annotations]
        tested = labels.index[_tested(labels, benchmark.splits[training.split, training.seed])]
        rows.append(pd.DataFrame({"id": [THRESHOLD, *tested]}).assign(**training._asdict()))
    return pd.concat(rows, ignore_index=True)[[*KEYS, "id"]].astype({"seed": "int64"})


def learn(
    benchmark: Benchmark,
    features: np.ndarray,
    *,
    annotations: str,
    split: str,
    seed: int,
    learner: str,
    terms: Sequence[str] | None = None,
) -> Answers:
    """One training, and what it says of the test proteins; terms with too few proteins are left out."""
    labels, part = benchmark.labels[annotations], benchmark.splits[split, seed]
    inside, tested = labels.index.isin(part.index), _tested(labels, part)
    known = labels.loc[inside, benchmark.terms if terms is None else list(terms)]
    lost = classifier.exclusions(known, part.reindex(known.index))["term"]
    if len(lost) == known.shape[1]:
        return Answers((), np.empty(0), np.empty((int(tested.sum()), 0)))
    options: dict[str, Any] = FAST if classifier.LEARNERS[learner].method == "lightgbm" else {}
    made = classifier.fit(learner, features[inside], known.drop(columns=lost), part, seed=seed, **options)
    return Answers(made.terms, made.thresholds, made.predict(features[tested]))


def steps(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds in thousandths, int32; `probability` gives the probabilities back.

    >>> steps(np.array([0.5, 0.01])).tolist(), probability(steps(np.array([0.5, 0.01]))).round(6).tolist()
    ([0, -4595], [0.5, 0.010001])
    """
    return np.rint(SCALE * logit(np.clip(probabilities, 1e-9, 1 - 1e-9))).astype("int32")


def probability(numbers: np.ndarray) -> np.ndarray:
    """What `steps` was given, but for rounding, float64."""
    return expit(np.asarray(numbers, dtype=np.float64) / SCALE)


def answer(
    benchmark: Benchmark,
    trainings: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    *,
    terms: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Learn the trainings, and answer about their test proteins: the rows of `plan`, and an int32 column a term, as
    `steps`, `UNLEARNT` where the term has too few proteins. `features`: by learner, float32 (n, d) in the order of the
    proteins. Invariant: the column of a term does not depend on which other terms are asked for."""
    terms = benchmark.terms if terms is None else list(terms)
    parts = []
    for training in trainings[list(KEYS)].drop_duplicates().itertuples(index=False):
        made = learn(benchmark, features[training.learner], **training._asdict(), terms=terms)
        rows = plan(benchmark, pd.DataFrame([training]))
        found = pd.DataFrame(UNLEARNT, index=rows.index, columns=terms, dtype="int32")
        found[list(made.terms)] = steps(np.vstack([made.thresholds, made.probabilities]))
        parts.append(pd.concat([rows, found], axis=1))
    return pd.concat(parts, ignore_index=True)


def read(table: pd.DataFrame, *, annotations: str, split: str, seed: int, learner: str) -> Answers:
    """What one training of a table says."""
    wanted = {"annotations": annotations, "split": split, "seed": seed, "learner": learner}
    rows = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    if not len(rows):
        raise InputError(f"no training {', '.join(map(str, wanted.values()))}; `plmbook results` makes the table")
    values = rows.drop(columns=[*KEYS, "id"])
    values = values.loc[:, (values != UNLEARNT).all()]
    numbers, thresholds = probability(values.to_numpy()), (rows["id"] == THRESHOLD).to_numpy()
    return Answers(tuple(values.columns), numbers[thresholds][0], numbers[~thresholds])


def mean_difference(one: pd.DataFrame, other: pd.DataFrame, terms: Sequence[str]) -> pd.Series:
    """Mean absolute difference of the probabilities of each term in two sets of answers of the same rows, by term.
    A mean, since a tree that another processor splits elsewhere moves single answers."""
    before, after = (probability(table[list(terms)].to_numpy()) for table in (one, other))
    return pd.Series(np.abs(before - after).mean(axis=0), index=list(terms))


def _tested(labels: pd.DataFrame, split: pd.Series) -> np.ndarray:
    """Which proteins of the labels are test proteins of a split, bool (n,)."""
    return labels.index.isin(split.index[split == "test"])
