"""Studies of GO terms on a project of two genes: what they ship, what is checked, whose proteins they read."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from plmbook.function import occlusion, proteome_map, proteomes, studies, trainings
from plmbook.tables import bundled, derived
from project import OPTIONS, TERMS, check_change_is_noticed, check_ships, compute_nothing

layer_answers = partial(studies.layer_answers, **OPTIONS["layers"])
STUDIES = {  # by place in `data/derived`
    "fake/go-embeddings": studies.go_embeddings,
    "fake/go-answers": studies.go_answers,
    "composition/go-answers": studies.go_answers,
    "fake/go-answers-again": studies.go_answers_again,
    "composition/go-answers-again": studies.go_answers_again,
    "fake/go-regressions": studies.go_regressions,
    "fake/residue-drops": studies.residue_drops,
    "fake/layer-regressions": layer_answers,
    "fake/layer-answers": layer_answers,
    "fake/protein-map": studies.protein_map,
}
TITLES = {each: getattr(each, "func", each).__name__ for each in STUDIES.values()}
every_study = pytest.mark.parametrize("study", TITLES, ids=TITLES.values())


@pytest.fixture
def shipped_before(ship):
    """Other studies read these: no test of theirs computes them."""
    ship(studies.go_embeddings)
    ship(studies.go_regressions)
    return ship


@every_study
def test_a_study_ships_and_is_checked(model, shipped_before, study):
    records = check_ships(study, model, shipped_before, [place for place, each in STUDIES.items() if each is study])
    for record in records.reset_index().itertuples():
        assert (record.sampled > 0) != (record.table == "protein-map")  # of a map no row can be computed alone


def changed(table):
    """Over every tolerance, in every row."""
    if "e0001" in table:
        return table.assign(e0001=table["e0001"] + 2)
    for column in ("intercept", "offset"):
        if column in table:
            return table.assign(**{column: table[column] + 2})
    more = 2 if "start" in table else 1000
    return table.assign(**{term: table[term] + more for term in TERMS if term in table})


@pytest.mark.parametrize("place", [place for place in STUDIES if place != "fake/protein-map"])
def test_a_changed_number_is_noticed(model, shipped_before, place):
    check_change_is_noticed(STUDIES[place], model, shipped_before, place, changed, "afresh|computes to")


def test_a_changed_map_is_noticed(project, model, monkeypatch):
    """A map that keeps all neighbours, by the angle between two numbers that differ; then its places are exchanged."""
    monkeypatch.setattr(studies, "MAP_KEPT", 0.5)
    unit = lambda space, seed: space.vectors / np.linalg.norm(space.vectors, axis=1, keepdims=True)  # noqa: E731
    monkeypatch.setattr(proteome_map, "umap", unit)
    model.hidden = lambda s: np.stack([model.tokenize(s)[1:-1], np.sin(np.cumsum(model.tokenize(s)[1:-1]))]).T
    studies.go_embeddings(model, recompute=True)
    exchanged = lambda table: table.assign(x=np.random.default_rng(0).permutation(table["x"]))  # noqa: E731
    make = partial(studies.protein_map, recompute=True)
    check_change_is_noticed(
        studies.protein_map, model, lambda _: make(model), "fake/protein-map", exchanged, "none of these embeddings"
    )


def test_another_input_is_another_table(project, model, ship, monkeypatch):
    ship(studies.go_embeddings)
    path = project / "data" / "go_proteins.parquet"
    pd.read_parquet(path).assign(further=1).to_parquet(path, index=False)  # carried, not read
    compute_nothing(monkeypatch)
    studies.go_embeddings(model)
    assert derived.records()["reason"].tolist() == ["the shipped table is of another inputs"]


def test_another_question_is_another_table(model, ship, monkeypatch):
    for study in (studies.go_answers, studies.go_regressions, studies.residue_drops, layer_answers):
        ship(study)
    compute_nothing(monkeypatch)
    studies.go_answers(model, seed=1, n_seeds=1)
    studies.residue_drops(model, settings=replace(studies.MASKED, stride=4))
    studies.go_regressions(model, seed=1)
    studies.layer_answers(model, settings=replace(OPTIONS["layers"]["settings"], strengths=(0.1,)))
    records = derived.records().query("table != 'go-embeddings'")
    assert records["status"].tolist() == ["computed"] * 6
    assert records["reason"].str.contains("parameters|rows").all()


@every_study
def test_other_proteins_than_the_bundled_are_computed_and_nothing_is_shipped(project, model, study, monkeypatch):
    """Proteins, labels and column are those of the argument; without it, or with the sample, the key is the same."""
    sample = proteomes.load("cafa5")
    other = sample.proteins.assign(id="w" + sample.proteins["id"])
    pairs = sample.annotations.assign(id="w" + sample.annotations["id"], column="goa")
    other.to_parquet(project / "proteins.parquet", index=False)
    files = (project / "proteins.parquet",)
    whole = proteomes.Collection(other, pairs, sample.terms, sample.ontology, "goa", files, True)
    table = study(model, collection=whole, recompute=True)
    ids = table["id"][table["id"] != trainings.THRESHOLD] if "id" in table else pd.Series(["w"])
    assert len(ids) and ids.str.startswith("w").all()
    assert set(derived.records()["status"]) == {"computed"} and not (project / "data" / "derived").exists()
    compute_nothing(monkeypatch)
    keys = []
    for collection in (whole, None, sample):
        study(model, collection=collection)
        keys.append(derived.records().set_index(["model", "table"])["key"])
    of_whole, of_none, of_sample = keys
    assert len(of_none) and (of_none == of_sample).all() and (of_whole != of_none).all()


def test_answers_of_every_split_and_again(ship):
    (once, _), (again, _) = ship(studies.go_answers), ship(studies.go_answers_again)
    every = ["annotations", "split", "seed"]
    assert once.groupby("learner")[every].apply(lambda part: len(part.drop_duplicates())).tolist() == [4, 4]
    assert again.groupby("learner")[every].apply(lambda part: len(part.drop_duplicates())).tolist() == [6, 6]
    assert set(again.loc[again["annotations"] == "propagated", "seed"]) == {bundled.SEED}
    numbers = pd.concat([once, again])[list(TERMS)]
    assert (numbers.stack() != trainings.UNLEARNT).mean() > 0.9
    assert once["id"].value_counts()[trainings.THRESHOLD] == 8


def test_windows_say_what_masking_takes_away(model, ship):
    (drops, _), (embeddings, _) = ship(studies.residue_drops), ship(studies.go_embeddings)
    dataset = occlusion.motif_dataset(proteomes.load("cafa5"))
    fold = occlusion.folds_of(dataset.labels, dataset.proteins["cluster"], seed=bundled.SEED)
    vectors = embeddings.drop(columns="id").to_numpy()
    row = int(np.flatnonzero(dataset.proteins["id"] == drops["id"].iloc[0])[0])
    sequence = dataset.proteins["sequence"][row]
    part = drops[drops["id"] == drops["id"].iloc[0]]
    classifier = occlusion.fit_fold(vectors, dataset.labels, fold, fold[row], seed=bundled.SEED)
    expected = occlusion.drops(model, sequence, classifier, width=8, stride=8)
    spans = list(part[["start", "stop"]].itertuples(index=False, name=None))
    found = occlusion.spread(part[list(TERMS[:2])].to_numpy(), spans, len(sequence))
    np.testing.assert_allclose(found, expected, atol=1e-6)
