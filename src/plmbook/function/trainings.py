"""Many trainings for the common GO terms, and their answers about test proteins as one table that can be shipped.

A training is one learner on one split of the proteins, with the annotations as given or propagated to all ancestors.
The table has a row a training and test protein and a column a term: the log-odds in thousandths, so that the file is
small. One more row a training, with `THRESHOLD` as its id, holds the thresholds that validation chose.
Since a term is learnt without the others, one column of one training can be computed afresh alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

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


class Question(NamedTuple):
    """What is to be learnt.

    Attributes
    ----------
    proteins : DataFrame
        As the bundled table `go_proteins`.
    terms : list of str
        GO ids: those of the published study, and those that are among the twenty most common here.
    labels : dict of str to DataFrame of bool (n, k)
        By `AS_GIVEN` and `PROPAGATED`.
    propagation : ontology.Propagated
        Of all annotations of the collection.
    parts : dict of (str, int) to Series of str
        Split and seed -> "train", "validation", "test" by id; a split across species lacks no protein of the two.
    """

    proteins: pd.DataFrame
    terms: list[str]
    labels: dict[str, pd.DataFrame]
    propagation: ontology.Propagated
    parts: dict[tuple[str, int], pd.Series]


class Answers(NamedTuple):
    """What a training says of its test proteins.

    Attributes
    ----------
    terms : tuple of str (k,)
        Those that were learnt.
    thresholds : float64 array (k,)
    probabilities : float64 array (n, k)
        Rows: the test proteins, in the order of the labels.
    """

    terms: tuple[str, ...]
    thresholds: np.ndarray
    probabilities: np.ndarray


def question(column: str, *, seed: int, n_seeds: int, known: proteomes.Known | None = None) -> Question:
    """The terms, labels and splits of the bundled proteins, or of others.

    Parameters
    ----------
    column : str
        Collection of annotations: a value of the column `column` of `go_annotations`.
    seed : int
        Of the splits.
    n_seeds : int
        So many random splits and splits by homology: this seed and the next ones.
    known : Known, optional
        Proteins, instead of the bundled ones; `column` does not count then.

    Returns
    -------
    Question
    """
    known = proteomes.load(column) if known is None else known
    proteins, pairs, terms = known.proteins, known.annotations, known.terms
    common = terms.loc[terms["top20"], "go_id"]
    chosen = list(dict.fromkeys([*published("go_terms")["go"], *common]))
    given = classifier.label_table(pairs, proteins["id"], chosen)
    raised = ontology.propagate(pairs, known.ontology)
    labels = {AS_GIVEN: given, PROPAGATED: given | classifier.label_table(raised.annotations, proteins["id"], chosen)}
    parts = {}
    for each in range(seed, seed + n_seeds):
        parts[RANDOM, each] = splits.random_split(proteins["id"], seed=each)
        parts[HOMOLOGY, each] = splits.cluster_split(proteins, labels=given, seed=each)
    for one, other in splits.species_pairs(proteins, both_ways=True):
        parts[f"{one} to {other}", seed] = splits.species_split(proteins, one, other, seed=seed)
    return Question(proteins, chosen, labels, raised, parts)


def trainings(asked: Question, learner: str, *, seed: int, again: bool) -> pd.DataFrame:
    """The trainings of one learner.

    Parameters
    ----------
    asked : Question
    learner : str
    seed : int
        The one of `question`.
    again : bool
        False: every split of this seed, annotations as given. True: the splits of the other seeds, and the random split
        and that by homology with propagated annotations.

    Returns
    -------
    DataFrame
        annotations, split, seed, learner.
    """
    rows = [(AS_GIVEN, name, each, learner) for name, each in asked.parts if (each == seed) != again]
    if again:
        rows += [(PROPAGATED, name, seed, learner) for name in (RANDOM, HOMOLOGY)]
    return pd.DataFrame(rows, columns=list(KEYS))


def plan(asked: Question, trainings: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table: of each training its test proteins and the row of thresholds.

    Parameters
    ----------
    asked : Question
    trainings : DataFrame
        annotations, split, seed, learner.

    Returns
    -------
    DataFrame
        annotations, split (str), seed (int64), learner, id (str).
    """
    rows = []
    for training in trainings[list(KEYS)].itertuples(index=False):
        part = asked.parts[training.split, training.seed]
        ids = [THRESHOLD, *_tested(asked.labels[training.annotations], part).index]
        rows.append(pd.DataFrame({"id": ids}).assign(**training._asdict()))
    return pd.concat(rows, ignore_index=True)[[*KEYS, "id"]].astype({"seed": "int64"})


def learn(
    asked: Question,
    features: np.ndarray,
    *,
    annotations: str,
    split: str,
    seed: int,
    learner: str,
    terms: Sequence[str] | None = None,
) -> Answers:
    """One training, and what it says of the test proteins.

    Parameters
    ----------
    asked : Question
    features : float32 array (n, d)
        In the order of the proteins.
    annotations, split, seed, learner
        The training.
    terms : sequence of str, optional
        Default: all.

    Returns
    -------
    Answers
        Terms with too few proteins are left out.
    """
    labels, part = asked.labels[annotations], asked.parts[split, seed]
    kept = labels.index.isin(part.index)
    known = labels.loc[kept, asked.terms if terms is None else list(terms)]
    gone = set(classifier.exclusions(known, part.reindex(known.index))["term"])
    learnt = [term for term in known if term not in gone]
    tested = labels.index.isin(_tested(labels, part).index)
    if not learnt:
        return Answers((), np.empty(0), np.empty((int(tested.sum()), 0)))
    options = FAST if classifier.LEARNERS[learner].method == "lightgbm" else {}
    made = classifier.fit(learner, features[kept], known[learnt], part, seed=seed, **options)
    return Answers(made.terms, made.thresholds, made.predict(features[tested]))


def steps(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds in thousandths, int32; `probability` gives the probabilities back.

    Examples
    --------
    >>> steps(np.array([0.5, 0.01])).tolist(), probability(steps(np.array([0.5, 0.01]))).round(6).tolist()
    ([0, -4595], [0.5, 0.010001])
    """
    from scipy.special import logit

    return np.rint(SCALE * logit(np.clip(probabilities, 1e-9, 1 - 1e-9))).astype("int32")


def probability(numbers: np.ndarray) -> np.ndarray:
    """What `steps` was given, but for rounding, float64."""
    from scipy.special import expit

    return expit(np.asarray(numbers, dtype=np.float64) / SCALE)


def answer(
    asked: Question,
    trainings: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    *,
    terms: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Learn, and answer about the test proteins.

    Parameters
    ----------
    asked : Question
    trainings : DataFrame
        annotations, split, seed, learner; a training may repeat.
    features : mapping of str to float32 array (n, d)
        By learner, in the order of the proteins.
    terms : sequence of str, optional
        Default: all.

    Returns
    -------
    DataFrame
        The columns of `plan` for these trainings, and one a term (int32): as `steps`, `UNLEARNT` where the term has
        too few proteins.

    Notes
    -----
    Invariant: the column of a term does not depend on which other terms are asked for.
    """
    terms = asked.terms if terms is None else list(terms)
    parts = []
    for training in trainings[list(KEYS)].drop_duplicates().itertuples(index=False):
        made = learn(asked, features[training.learner], **training._asdict(), terms=terms)
        tested = _tested(asked.labels[training.annotations], asked.parts[training.split, training.seed])
        found = pd.DataFrame(UNLEARNT, index=range(1 + len(tested)), columns=terms, dtype="int32")
        found[list(made.terms)] = steps(np.vstack([made.thresholds, made.probabilities]))
        ids = pd.DataFrame({"id": [THRESHOLD, *tested.index]}).assign(**training._asdict())
        parts.append(pd.concat([ids[[*KEYS, "id"]], found], axis=1))
    return pd.concat(parts, ignore_index=True).astype({"seed": "int64"})


def read(table: pd.DataFrame, *, annotations: str, split: str, seed: int, learner: str) -> Answers:
    """What one training of a table says.

    Parameters
    ----------
    table : DataFrame
        As `answer` gives it.

    Returns
    -------
    Answers

    Raises
    ------
    InputError
        If the table lacks the training.
    """
    wanted = {"annotations": annotations, "split": split, "seed": seed, "learner": learner}
    rows = table[np.logical_and.reduce([(table[name] == value).to_numpy() for name, value in wanted.items()])]
    if not len(rows):
        raise InputError(f"no training {', '.join(map(str, wanted.values()))}; `plmbook results` makes the table")
    values = rows.drop(columns=[*KEYS, "id"])
    values = values.loc[:, (values != UNLEARNT).all()]
    numbers, thresholds = probability(values.to_numpy()), (rows["id"] == THRESHOLD).to_numpy()
    return Answers(tuple(values.columns), numbers[thresholds][0], numbers[~thresholds])


def apart(one: pd.DataFrame, other: pd.DataFrame, terms: Sequence[str]) -> pd.Series:
    """How far two sets of answers of the same rows are apart: mean difference of the probabilities of each term.

    Returns
    -------
    Series of float64
        By term. A mean, since a tree that another processor splits elsewhere moves single answers.
    """
    before, after = (probability(table[list(terms)].to_numpy()) for table in (one, other))
    return pd.Series(np.abs(before - after).mean(axis=0), index=list(terms))


def _tested(labels: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """The labels of the test proteins of a split, in their order."""
    return labels[labels.index.isin(split.index[split == "test"])]
