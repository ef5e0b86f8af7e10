"""Learning a task: which answers there will be, the answers, and everything that they depend on."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import pandas as pd

from plmbook.core.errors import InputError, one_of
from plmbook.tasks import data
from plmbook.tasks.base import SETTINGS, Examples, Settings, Task, TaskData
from plmbook.tasks.catalogue import task
from plmbook.tasks.learners import LEARNERS

OUTCOMES = ["task", "test", "learner", "seed", "id", "predicted", "truth"]


def run(
    name: str,
    model=None,
    *,
    learners: Sequence[str] | None = None,
    seeds: Sequence[int] = SETTINGS.seeds,
    examples: Examples | None = None,
    settings: Settings = SETTINGS,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Learn a task, and say what each learner makes of each test protein.

    Parameters
    ----------
    name : str
        A key of `TASKS`.
    model
        Of `plmbook.models`, or any object with `name` and `residues(sequences)`. Baselines alone need none.
    learners : sequence of str, optional
        Default: all of the task that the model allows (an encoder without attention maps has no "attention").
    seeds : sequence of int
        Of the learners that have some; the others run once, as seed 0.
    examples : Examples, optional
        Default: the bundled ones.
    settings : Settings, optional
        How it is learnt.
    say : callable, optional
        Takes a line of progress.

    Returns
    -------
    DataFrame
        task, test, learner (str), seed (int64), id (str), predicted, truth (float64): a row a test, learner, seed and
        test protein. The numbers are the code of a class; a number; or, where a protein counts for more than one
        answer, how many are right and how many there are (contacts: the precision and 1; CATH: 1 or 0, and whether the
        lookup set has the query's class).
    """
    of = task(name)
    known = TaskData(examples if examples is not None else data.examples(name), model, settings)
    for learner in learners or ():
        one_of(f"task {name!r}: learner", learner, of.learners)
    parts = []
    for learner in _possible(of, model) if learners is None else learners:
        if not LEARNERS[learner].baseline and model is None:
            raise InputError(f"task {name!r}: learner {learner!r} reads a model's embeddings: name a model")
        if learner not in _possible(of, model):
            raise InputError(f"task {name!r}: learner {learner!r}: {model.name} gives no attention maps")
        for seed in seeds if LEARNERS[learner].seeded else (0,):
            found = _outcomes(of, known.examples, of.learn(learner, known, seed))
            parts.append(found.assign(task=name, learner=learner, seed=seed))
            if say:
                say(f"{name}, {learner}, seed {seed}")
    return pd.concat(parts, ignore_index=True)[OUTCOMES].astype({"seed": "int64"})


def plan(name: str, examples: Examples, model=None, *, seeds: Sequence[int] = SETTINGS.seeds) -> pd.DataFrame:
    """What `run` would answer, without the answers: task, test, learner (str), seed (int64), id (str)."""
    of, tested = task(name), examples.table.iloc[examples.of("test")]
    rows = [(test, id_) for id_, own in zip(tested["id"], tested["test"], strict=True) for test in of.tests(own)]
    one = pd.DataFrame(rows, columns=["test", "id"])
    parts = [
        one.assign(task=name, learner=learner, seed=seed)
        for learner in _possible(of, model)
        for seed in (seeds if LEARNERS[learner].seeded else (0,))
    ]
    return pd.concat(parts, ignore_index=True)[OUTCOMES[:5]].astype({"seed": "int64"})


def parameters(name: str) -> dict:
    """Everything that the answers of a task depend on beside its examples and the model; JSON values."""
    of, shared = task(name), asdict(SETTINGS)
    shared.pop("pair_fit")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in shared.items()} | {
        "head": [of.head, dict(SETTINGS.head), of.dropout, of.pooling],
        "fit": dict(of.fit_options(SETTINGS)),
        "learners": list(of.learners),
    }


def _possible(of: Task, model) -> list[str]:
    attentive = model.can("attentions") if hasattr(model, "can") else hasattr(model, "attentions")  # a foreign model
    return [learner for learner in of.learners if learner != "attention" or attentive]


def _outcomes(of: Task, known: Examples, answers: Sequence) -> pd.DataFrame:
    """test, id, predicted, truth of the test proteins, from a learner's answers."""
    rows = []
    for n, answer in zip(known.of("test"), answers, strict=True):
        name, test = known.table[["id", "test"]].iloc[n]
        judged = of.judge(answer, known.labels[n], known)
        rows += [(text, name, *pair) for text, pair in zip(of.tests(test), judged, strict=True)]
    found = pd.DataFrame(rows, columns=["test", "id", "predicted", "truth"])
    return found.astype({"predicted": "float64", "truth": "float64"})
