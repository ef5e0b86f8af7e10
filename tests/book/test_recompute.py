"""Every study of a project of two genes, as `plmbook results` runs them."""

import inspect
import json
import re
from dataclasses import fields, is_dataclass, replace
from types import SimpleNamespace

import pandas as pd
import pytest

from plmbook import models
from plmbook.book import evaluation, profiles, recompute
from plmbook.core import artifacts
from plmbook.function import proteomes
from plmbook.function import studies as function_studies
from plmbook.stats import metrics
from plmbook.tables import derived
from project import OPTIONS, compute_nothing, fake_model, toy_task
from tiny import write_bundled

DERIVED = {name for name in derived.VERSIONS if not name.startswith("downstream-")} | {"downstream-localisation"}
DERIVED -= {"likelihood", "next-residue"}  # of a model that reads a residue at a time
READ_AGAIN = {"go-embeddings", "go-regressions"}  # by other studies, once they are made
TESTED = {"heldout-likelihood", "contact-precision", "secondary-structure", "localisation-embeddings"}
TESTED |= {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}  # of the evaluation


@pytest.fixture
def named(project, monkeypatch):
    """The project with the card of a bundled model `fake`; loading it gives the model that the test put there."""
    write_bundled(project / "data", "fake", residue_frequencies=[0.05] * 20)
    loaded = {}
    monkeypatch.setattr(models, "expand", lambda names: ["fake"])
    monkeypatch.setattr(models, "load", lambda name, **options: loaded[name])
    monkeypatch.setattr(evaluation, "MINIMUM", 1)
    monkeypatch.setattr(evaluation, "OPTIONS", {"n": 20, "seed": 1})
    toy_task(monkeypatch)
    return loaded


def test_studies_stand_in_the_order_in_which_they_read_each_other():
    assert set(recompute.STUDIES) == set(derived.STUDIES) and len(recompute.STUDIES) == 15
    titles = [title for title, study in recompute.STUDIES.items() if study.__module__ == function_studies.__name__]
    embeddings, regressions, masked = (titles.index(t) for t in ("GO embeddings", "GO regressions", "residues masked"))
    assert embeddings == 0 and regressions < masked


def defaults(study):
    """Of a study's options; a settings object counts as its fields, a tuple as the list that JSON makes of it."""
    found = {}
    for name, parameter in inspect.signature(study).parameters.items():
        default = parameter.default
        found |= (
            {f.name: getattr(default, f.name) for f in fields(default)} if is_dataclass(default) else {name: default}
        )
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def test_a_notebook_and_the_studies_that_it_calls_have_the_same_defaults():
    """Or its derived tables would silently be computed."""
    named = {study.__name__: study for study in recompute.STUDIES.values()}
    compared = set()
    for source in profiles.notebooks():
        declared = profiles.declared_by(source)
        for name in set(re.findall(r"\bstudies\.(\w+)\(", source.read_text(encoding="utf-8"))) & set(named):
            own = defaults(named[name])
            shared = own.keys() & declared.keys()
            assert {key: declared[key] for key in shared} == {key: own[key] for key in shared}, (source.name, name)
            compared |= shared
        assert declared.get("column", function_studies.GO_COLUMN) == function_studies.GO_COLUMN
    layers = {field.name for field in fields(function_studies.LAYERS)}
    masked = {field.name for field in fields(function_studies.MASKED)}
    assert compared == {"profile", "seed", "n_seeds", "n_backgrounds", "enough"} | layers | masked


def test_what_is_computed_for_a_model_is_what_the_notebooks_ask_for():
    assert recompute.asked_for("embedded", models.card("embedded").name) == list(recompute.STUDIES)
    assert recompute.asked_for("embedded", "unirep_1900") == ["variant effects"]
    assert recompute.asked_for("embedded", "esm2_t6_8M_UR50D") == list(recompute.STUDIES)


def test_recompute_runs_every_study_and_says_how_long(project, model, named):
    named["fake"] = model
    card = project / "data" / "models" / "fake.json"
    before = json.loads(card.read_text())
    said = []
    found = recompute.recompute(options=OPTIONS, say=said.append)
    assert set(found["table"]) == DERIVED
    computed = found[~found["table"].isin(READ_AGAIN)]
    assert set(computed["status"]) == {"computed"}  # the card's evaluation does not ask for them once more
    assert {p.stem for p in (project / "data" / "derived" / "fake").glob("*.parquet")} == DERIVED
    for title in recompute.STUDIES:
        assert any(line.startswith(f"{title}, fake: ") and line.endswith(" s") for line in said)
    assert said[-1].startswith("all result tables of embedded in")
    after = json.loads(card.read_text())
    rows = pd.DataFrame(after.pop("evaluation"))
    assert after == before
    heldout = metrics.perplexity(artifacts.read("heldout.fake"))
    assert rows.loc[0, ["statistic", "of", "value"]].tolist() == ["perplexity", "model", round(heldout.value, 4)]
    # the same as from the shipped tables
    again = evaluation.evaluate(model)
    status = derived.records().drop_duplicates("table").set_index("table")["status"]
    assert set(status[[*TESTED]]) == {"shipped"}
    assert set(status.drop([*TESTED, *READ_AGAIN])) == {"computed"}  # the others are nobody's test
    pd.testing.assert_frame_equal(rows, again, atol=5.1e-5, rtol=0, check_dtype=False)


def test_recompute_of_a_model_that_is_not_bundled_leaves_data_alone(project, named, monkeypatch):
    named["fake"] = fake_model(card=SimpleNamespace(bundled=False, dim=2, layers=1))
    before = {path: path.read_bytes() for path in (project / "data").rglob("*") if path.is_file()}
    sample, asked = proteomes.load("cafa5"), []

    def load(column, *, whole):
        asked.append((column, whole))
        return sample._replace(whole=whole)

    with monkeypatch.context() as patch:
        patch.setattr(proteomes, "load", load)
        options = recompute.profile_options("paper")
    assert asked == [("cafa5", True)]  # as the notebooks of the profile
    takes = {title for title, study in recompute.STUDIES.items() if "collection" in inspect.signature(study).parameters}
    assert {title for title, own in options.items() if "collection" in own} == takes and len(takes) == 7
    settings = options["layers"]["settings"]
    assert settings == replace(function_studies.LAYERS, n_residues=500_000) != function_studies.LAYERS
    options = {title: dict(options.get(title, {})) | dict(OPTIONS.get(title, {})) for title in recompute.STUDIES}
    compute_nothing(monkeypatch)
    found = recompute.recompute("paper", ["fake"], options=options, say=lambda line: None)
    assert set(found["table"]) == DERIVED and set(found["reason"]) == {"not shipped for this model"}
    assert {path: path.read_bytes() for path in (project / "data").rglob("*") if path.is_file()} == before
