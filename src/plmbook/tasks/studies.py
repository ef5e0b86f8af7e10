"""The study of Ankh's tasks: a derived table of answers for each, and the scores of all."""

from collections.abc import Sequence

import pandas as pd

from plmbook import tasks
from plmbook.core.artifacts import save
from plmbook.tables.derived import DerivedMismatch, Run, draw_of, study

# Heads that are trained afresh, and how far the measure on some test chains may be from the shipped one: two seeds of
# these differ by less, for a chain brings hundreds of residues; a head that has learnt nothing, by nine times as much.
HEADS_CHECKED = ("secondary_structure_3", "secondary_structure_8")
HEAD_TOLERANCE, HEAD_TESTS = 0.03, 100


@study("downstream tasks", saves="tasks", tables={f"downstream-{name}": 1 for name in tasks.TASKS})
def downstream(run: Run, *, retrain: bool = True, heads: Sequence[str] = HEADS_CHECKED) -> pd.DataFrame:
    """Every downstream task by every learner, from the bundled samples: a derived table of answers for each task.
    Where the answers are shipped, a baseline of each task is computed afresh and must be equal.
    """
    drawn = heads[int(run.model.weights_hash[:8], 16) % len(heads)]
    parts = [_answers(run, name, trains=retrain and name == drawn) for name in tasks.TASKS]
    answers = pd.concat(parts, ignore_index=True)
    save(answers, f"task_outcomes.{run.model.name}", run.profile)
    return tasks.scores(answers).assign(model=run.model.name)


def _answers(run: Run, name: str, *, trains: bool) -> pd.DataFrame:
    """The answers of one task; `trains`: the check trains a head."""
    known = tasks.examples(name)
    keys = ["task", "test", "learner", "seed", "id"]

    def compute(rows: pd.DataFrame, examples: tasks.Examples = known) -> pd.DataFrame:
        of = {"learners": rows["learner"].unique().tolist(), "seeds": rows["seed"].unique().tolist()}
        found = tasks.run(name, run.model, **of, examples=examples, say=print if run.progress else None)
        return rows.merge(found, on=keys, how="left", validate="one_to_one")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        baseline = tasks.task(name).cheapest
        before = shipped[shipped["learner"] == baseline]
        difference = _measures_apart(before, compute(before[keys]), tolerance=1e-6, model=run.model.name)
        if not trains:
            return len(before), difference
        rng = draw_of(shipped)
        few = tasks.with_tests(known, HEAD_TESTS, seed=int(rng.integers(2**31)))
        head = shipped[(shipped["learner"] == "convbert") & (shipped["seed"] == rng.choice(tasks.SETTINGS.seeds))]
        head = head[head["id"].isin(few.table["id"])]
        again = compute(head[keys], few)
        further = _measures_apart(head, again, tolerance=HEAD_TOLERANCE, model=run.model.name)
        return len(before) + len(head), max(difference, further)

    return run.derive(
        f"downstream-{name}",
        tasks.plan(name, known, run.model),
        compute,
        files=(*tasks.task(name).files, "relatives.tsv"),
        parameters=tasks.parameters(name),
        values=("predicted", "truth"),
        tolerance=HEAD_TOLERANCE,
        check=check,
    )


def _measures_apart(before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float, model: str) -> float:
    """The largest difference of a learner's measures over its tests; DerivedMismatch where it is over the tolerance."""
    largest = 0.0
    for test, part in before.groupby("test"):
        old, new = (tasks.estimate(each, n=1).value for each in (part, after[after["test"] == test]))
        if not abs(old - new) <= tolerance:
            row = part.iloc[0]
            raise DerivedMismatch(
                f"{row['task']} by {row['learner']}, {model}, seed {row['seed']}, {test}: shipped as {old:.6g} and "
                f"computes to {new:.6g}, over {tolerance:g} apart. Restore data/derived, or run `make results`"
            )
        largest = max(largest, abs(old - new))
    return largest
