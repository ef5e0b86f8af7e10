"""Downstream tasks: what Ankh was judged by, for any model, each with its baselines.

`TASKS` has the nine tasks of Ankh's page (Elnaggar et al. 2023), `LEARNERS` the ways to learn one;
`scores(run("solubility", model))` has a row a test, learner and seed. A model is of `plmbook.models`, or any object
with a `name` and `residues(sequences)`, which gives a float32 array (L, d) for each. What is learnt is learnt from
"train", stopped and chosen on "validation"; "test" is only measured, protein by protein.
"""

from plmbook.tasks.base import IGNORED, SETTINGS, SPLITS, Examples, Settings, Task, TaskData
from plmbook.tasks.catalogue import TASKS, task
from plmbook.tasks.data import examples, listing, with_tests
from plmbook.tasks.experiment import parameters, plan, run
from plmbook.tasks.learners import LEARNERS
from plmbook.tasks.measures import estimate, gain, over_seeds, scores
from plmbook.tasks.pair import long_range_precision
