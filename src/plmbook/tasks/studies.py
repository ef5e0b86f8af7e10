"""The study of Ankh's tasks: a derived table of answers for each, and the scores of all."""

import numpy as np
import pandas as pd

from plmbook import tasks
from plmbook.core import paths
from plmbook.core.artifacts import content_hash, save
from plmbook.tables.derived import DerivedMismatch, derive, dtype_of, ships

# Raise one of these whenever the algorithm behind the table changes its answer: shipped tables are then not used.
VERSIONS = {f"downstream-{name}": 1 for name in tasks.TASKS}

# Heads that are trained afresh, and how far the measure on some test chains may be from the shipped one: two seeds of
# these differ by less, for a chain brings hundreds of residues; a head that has learnt nothing, by nine times as much.
HEADS_CHECKED = ("secondary_structure_3", "secondary_structure_8")
HEAD_TOLERANCE, HEAD_TESTS = 0.03, 100


def downstream(
    model,
    *,
    retrain: bool = True,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Every downstream task by every learner, from the bundled samples: a derived table of answers for each task.

    Where the answers are shipped, a baseline of each task is computed afresh and must be equal; and with `retrain`, of
    one task of `HEADS_CHECKED`, drawn by the model's weights, a ConvBERT head of one seed is trained afresh, a minute:
    its measure on some test proteins must be that of the shipped answers but for `HEAD_TOLERANCE`.

    Returns
    -------
    DataFrame
        The columns of `tasks.scores`, and model; saved as `tasks.<model>`. The answers are saved as
        `task_outcomes.<model>`, the columns of `tasks.run`.
    """
    drawn = HEADS_CHECKED[int(model.weights_hash[:8], 16) % len(HEADS_CHECKED)]
    options = {"profile": profile, "recompute": recompute, "progress": progress}
    parts = [_task_answers(model, name, trains=retrain and name == drawn, **options) for name in tasks.TASKS]
    answers = pd.concat(parts, ignore_index=True)
    save(answers, f"task_outcomes.{model.name}", profile)
    result = tasks.scores(answers).assign(model=model.name)
    save(result, f"tasks.{model.name}", profile)
    return result


def _task_answers(
    model, name: str, *, profile: str, recompute: bool | None, progress: bool, trains: bool
) -> pd.DataFrame:
    """The answers of one task; `trains`: the check trains a head."""
    known = tasks.examples(name)
    keys = ["task", "test", "learner", "seed", "id"]

    def compute(asked: pd.DataFrame, examples: tasks.Examples = known) -> pd.DataFrame:
        of = {"learners": asked["learner"].unique().tolist(), "seeds": asked["seed"].unique().tolist()}
        found = tasks.run(name, model, **of, examples=examples, say=print if progress else None)
        return asked.merge(found, on=keys, how="left", validate="one_to_one")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        baseline = tasks.task(name).cheapest
        before = shipped[shipped["learner"] == baseline]
        difference = _measures_apart(before, compute(before[keys]), tolerance=1e-6, model=model.name)
        if not trains:
            return len(before), difference
        rng = np.random.default_rng(int(content_hash(shipped)[:16], 16))
        few = tasks.with_tests(known, HEAD_TESTS, seed=int(rng.integers(2**31)))
        head = shipped[(shipped["learner"] == "convbert") & (shipped["seed"] == rng.choice(tasks.SETTINGS.seeds))]
        head = head[head["id"].isin(few.table["id"])]
        again = compute(head[keys], few)
        further = _measures_apart(head, again, tolerance=HEAD_TOLERANCE, model=model.name)
        return len(before) + len(head), max(difference, further)

    table, _ = derive(
        f"downstream-{name}",
        tasks.plan(name, known, model),
        compute,
        model=model,
        inputs=[paths.data() / file for file in (*tasks.task(name).files, "relatives.tsv")],
        parameters=tasks.parameters(name) | {"dtype": dtype_of(model)},
        version=VERSIONS[f"downstream-{name}"],
        values=("predicted", "truth"),
        tolerance=HEAD_TOLERANCE,
        check=check,
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    return table


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
