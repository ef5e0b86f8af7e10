"""Runs of tasks: every learner answers for every test protein, what a model knows is learnt, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from plmbook import tasks
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from toy_tasks import Alphabet, class_examples, residue_examples, structures

FEW = {"epochs": 3, "patience": 3, "batch": 4, "rate": 3e-3}
QUICK = replace(tasks.SETTINGS, fit=FEW, pair_fit=FEW, head=tasks.SETTINGS.head | {"nhead": 2})  # four columns


@pytest.mark.parametrize(
    "name, make",
    [("secondary_structure_3", residue_examples), ("localisation", class_examples), ("contacts", structures)],
)
def test_every_learner_answers_for_every_test_protein_and_what_a_model_knows_is_learnt(name, make):
    known, model = make(), Alphabet()
    found = tasks.run(name, model, seeds=[0, 1], examples=known, settings=QUICK)
    planned = tasks.plan(name, known, model, seeds=[0, 1])
    keys = ["task", "test", "learner", "seed", "id"]
    pd.testing.assert_frame_equal(
        found[keys].sort_values(keys, ignore_index=True), planned.sort_values(keys, ignore_index=True)
    )
    assert set(found["learner"]) == set(tasks.TASKS[name].learners)
    assert set(found.loc[found["learner"] == "convbert", "seed"]) == {0, 1}
    assert set(found.loc[found["learner"] == "linear", "seed"]) == {0}
    assert found[["predicted", "truth"]].notna().all(axis=None)
    if name != "contacts":
        measured = tasks.over_seeds(tasks.scores(found, n=20)).set_index("learner")["value"]
        assert measured["linear"] > 0.95 and measured["linear"] > measured["frequency"] + 0.2


def test_the_model_reads_each_protein_once():
    model = Alphabet()
    learners = ["linear", "mlp"]
    tasks.run("localisation", model, learners=learners, seeds=[0, 1], examples=class_examples(), settings=QUICK)
    assert model.calls == 1


def test_baselines_need_no_model():
    found = tasks.run("localisation", learners=["frequency", "composition", "neighbour"], examples=class_examples())
    assert len(found) == 3 * 20


def test_parameters_are_json():
    for name in tasks.TASKS:
        assert json.loads(json.dumps(tasks.parameters(name))) == tasks.parameters(name)


# --- a new model -------------------------------------------------------------------------------------------------


class Mine:
    name = "mine"

    def residues(self, sequences):
        return [np.eye(20)[[AMINO_ACIDS.find(letter) for letter in sequence]] for sequence in sequences]


@pytest.mark.parametrize("name", ["solubility", "remote_homology"])
def test_a_new_model_of_five_lines_runs_through_two_tasks(name):
    """As the chapter *Add your model* shows it; its linear probe sees what the composition baseline sees."""
    found = tasks.run(name, Mine(), learners=["composition", "linear"], examples=tasks.examples(name, residues=30_000))
    value = tasks.over_seeds(tasks.scores(found, n=20)).set_index("learner")["value"]
    assert value["linear"] == pytest.approx(value["composition"], abs=0.05)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "solubilty"}, "did you mean 'solubility'"),
        ({"name": "localisation", "learners": ["knn"]}, "expected one of frequency"),
        ({"name": "localisation", "learners": ["linear"]}, "name a model"),
    ],
)
def test_faults_are_named(options, message):
    known = class_examples()
    with pytest.raises(InputError, match=message):
        tasks.run(**options, examples=known)


def broken(change):
    class Broken(Alphabet):
        name = "broken"

        def residues(self, sequences):
            found = super().residues(sequences)
            found[2] = change(found[2])
            return found

    return Broken()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: np.vstack([x, x[:1]]), "BOS and EOS"),
        (lambda x: x[:, :2], "found"),
        (lambda x: x * np.nan, "not finite"),
    ],
)
def test_embeddings_that_do_not_fit_name_the_sequence(change, message):
    with pytest.raises(InputError, match=rf"model 'broken', sequence 3.*{message}"):
        tasks.run("localisation", broken(change), learners=["linear"], examples=class_examples())


def test_a_model_without_attention_leaves_that_learner_out_and_says_so_when_asked():
    found = tasks.plan("contacts_attention", structures(), Alphabet())
    assert set(found["learner"]) == {"separation", "one-hot"}
    with pytest.raises(InputError, match="gives no attention maps"):
        tasks.run("contacts_attention", Alphabet(), learners=["attention"], examples=structures())
