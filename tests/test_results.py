"""Derived tables: used where they fit, checked where they are used, refused where somebody changed a number."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import effects, ngram, paths, results
from plmbook.errors import InputError
from plmbook.residues import AMINO_ACIDS, parse_mutations

GENES = {"AAA1": "MKRLVAEDGHMKRLVAEDGH", "BBB2": "GHWYCMKRLVAEDGHAAA"}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """`data/` and `results/` of a tiny project."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("PLMBOOK_DATA", str(data))
    monkeypatch.delenv(results.RECOMPUTE, raising=False)
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / "results" / profile)
    return tmp_path


@pytest.fixture
def model():
    return FakeModel(seeded, card=SimpleNamespace(bundled=True))


@pytest.fixture
def rows():
    return pd.DataFrame({"gene": [f"G{i}" for i in range(40)], "mutation": "A1C"})


class Square:
    """Computes the square of the number in the gene's name, and counts the rows that it was asked for."""

    def __init__(self, power=2.0):
        self.power, self.asked = power, []

    def __call__(self, rows):
        self.asked.append(len(rows))
        return rows.assign(score=rows["gene"].str[1:].astype(float) ** self.power)


def derive(rows, compute, model, folders, **changes):
    source = folders / "data" / "input.tsv"
    if not source.exists():
        source.write_text("x\n")
    options = dict(model=model, inputs=[source], parameters={"seed": 1}, version=1, sample=10)
    return results.derive("squares", rows, compute, **(options | changes))


def table_path(folders):
    return folders / "data" / "derived" / "fake" / "squares.parquet"


def change_by_hand(folders, row, value, *, mend_manifest=False):
    path = table_path(folders)
    table = pd.read_parquet(path)
    table.loc[row, "score"] = value
    table.to_parquet(path, index=False)
    if mend_manifest:
        manifest = json.loads(path.with_suffix(".json").read_text())
        manifest["content"] = results.content_hash(table)
        path.with_suffix(".json").write_text(json.dumps(manifest))


def test_without_a_shipped_table_everything_is_computed_and_nothing_shipped(folders, rows, model):
    compute = Square()
    table, record = derive(rows, compute, model, folders)
    assert compute.asked == [40]
    assert table["score"].tolist() == [float(i * i) for i in range(40)]
    assert (record.status, record.reason, record.rows, record.sampled) == ("computed", "no shipped table", 40, 0)
    assert not table_path(folders).exists()


def test_a_shipped_table_is_used_after_a_sampled_check(folders, rows, model):
    first, _ = derive(rows, Square(), model, folders, recompute=True)
    compute = Square()
    table, record = derive(rows, compute, model, folders)
    assert compute.asked == [10]
    pd.testing.assert_frame_equal(table, first)
    assert (record.status, record.sampled, record.largest_difference) == ("shipped", 10, 0.0)
    manifest = json.loads(table_path(folders).with_suffix(".json").read_text())
    assert manifest["key"] == record.key and manifest["content"] == record.content and manifest["rows"] == 40
    assert {"torch", "numpy", "plmbook"} <= set(manifest["versions"])


def test_the_environment_asks_for_recomputation(folders, rows, model, monkeypatch):
    monkeypatch.setenv(results.RECOMPUTE, "1")
    for _ in range(2):
        compute = Square()
        _, record = derive(rows, compute, model, folders)
        assert (compute.asked, record.status) == ([40], "computed")
    assert table_path(folders).exists()
    assert [p.name for p in table_path(folders).parent.iterdir() if p.name.startswith(".")] == []


def test_a_number_changed_by_hand_is_an_error(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, 49.5)
    with pytest.raises(results.DerivedMismatch, match=r"squares.parquet: .*sha256.*changed by hand"):
        derive(rows, Square(), model, folders)


def test_a_number_changed_together_with_the_manifest_is_found_by_the_sample(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, 49.5, mend_manifest=True)
    with pytest.raises(results.DerivedMismatch, match=r"row 8 \(G7 A1C\): score is shipped as 49.5 and computes to 49"):
        derive(rows, Square(), model, folders, sample=40)
    # many changed rows meet even a small sample
    for row in range(40):
        change_by_hand(folders, row, row**2 + 1.0, mend_manifest=True)
    with pytest.raises(results.DerivedMismatch, match="10 of 10 sampled rows"):
        derive(rows, Square(), model, folders)


def test_a_number_that_went_missing_is_an_error(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, np.nan, mend_manifest=True)
    with pytest.raises(results.DerivedMismatch, match="shipped as nan"):
        derive(rows, Square(), model, folders, sample=40)


def test_the_sample_moves_with_the_content(folders, rows, model):
    asked = []

    class Note(Square):
        def __call__(self, part):
            asked.append(tuple(part["gene"]))
            return super().__call__(part)

    for power in (2.0, 3.0):
        derive(rows, Square(power), model, folders, recompute=True)
        derive(rows, Note(power), model, folders)
        derive(rows, Note(power), model, folders)
    assert asked[0] == asked[1] != asked[2] == asked[3]


def test_small_differences_pass_and_are_recorded(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    near = lambda part: Square()(part).assign(score=lambda t: t["score"] + 1e-4)  # noqa: E731
    _, record = derive(rows, near, model, folders)
    assert record.status == "shipped" and record.largest_difference == pytest.approx(1e-4)
    with pytest.raises(results.DerivedMismatch):
        derive(rows, near, model, folders, tolerance=1e-5)


@pytest.mark.parametrize(
    "part, change",
    [
        ("weights", lambda f, m: dict(model=FakeModel(weights_hash="1" * 64))),
        ("parameters", lambda f, m: dict(parameters={"seed": 2})),
        ("version", lambda f, m: dict(version=2)),
        ("inputs", lambda f, m: {} if (f / "data" / "input.tsv").write_text("y\n") else None),
        ("rows", lambda f, m: dict(rows="fewer")),
    ],
)
def test_another_key_means_computing_and_saying_why(folders, rows, model, part, change):
    derive(rows, Square(), model, folders, recompute=True)
    options = change(folders, model)
    if options.pop("rows", None):
        rows = rows.head(30)
    before = table_path(folders).read_bytes()
    compute = Square()
    table, record = derive(rows, compute, options.pop("model", model), folders, **options)
    assert compute.asked == [len(rows)]
    assert record.status == "computed" and record.reason == f"the shipped table is of another {part}"
    assert table_path(folders).read_bytes() == before


def test_other_profiles_compute_and_do_not_ship(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    before = table_path(folders).read_bytes()
    compute = Square(3.0)
    _, record = derive(rows, compute, model, folders, ship=False, recompute=True, profile="paper")
    assert compute.asked == [40] and record.status == "computed"
    assert table_path(folders).read_bytes() == before
    assert results.records("paper")["table"].tolist() == ["squares"]


def test_records_hold_the_last_use_of_each_table(folders, rows, model):
    assert len(results.records()) == 0
    derive(rows, Square(), model, folders, recompute=True)
    derive(rows, Square(), model, folders)
    found = results.records()
    assert found[["table", "model", "status"]].values.tolist() == [["squares", "fake", "shipped"]]


def test_a_compute_that_loses_rows_is_a_bug(folders, rows, model):
    with pytest.raises(RuntimeError, match="in their order"):
        derive(rows, lambda part: Square()(part).iloc[::-1], model, folders)


def test_a_broken_manifest_or_table_is_named(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    good = table_path(folders).read_bytes()
    table_path(folders).write_bytes(good[:100])
    with pytest.raises(results.DerivedMismatch, match="squares.parquet cannot be read"):
        derive(rows, Square(), model, folders)
    table_path(folders).with_suffix(".json").write_text("{")
    with pytest.raises(results.DerivedMismatch, match="squares.json is not JSON"):
        derive(rows, Square(), model, folders)


def test_content_hash_sees_values_names_kinds_and_order():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan], "d": [True, False]})
    same = table.astype({"a": "int32", "b": "object"}).set_index(pd.Index([5, 6]))
    assert results.content_hash(table) == results.content_hash(same)
    others = [
        table.assign(a=[1, 3]),
        table.assign(b=["x", "y"]),
        table.assign(c=[0.5, 0.0]),
        table.assign(d=[True, True]),
        table.rename(columns={"a": "e"}),
        table[["b", "a", "c", "d"]],
        table.iloc[::-1],
        table.head(1),
        table.astype({"a": "float64"}),
    ]
    assert len({results.content_hash(t) for t in [table, *others]}) == 10


def test_saved_tables_come_back_whole(folders):
    table = pd.DataFrame({"gene": ["A"], "score": [-1.5]})
    path = results.save(table, "toy")
    pd.testing.assert_frame_equal(results.read("toy"), table)
    with pytest.raises(InputError, match="plmbook results --profile embedded"):
        results.read("other")
    with pytest.raises(ZeroDivisionError):
        results.write_atomically(path, lambda temporary: 1 / 0)
    pd.testing.assert_frame_equal(results.read("toy"), table)
    assert [p.name for p in path.parent.iterdir()] == ["toy.parquet"]


# The studies, on a project of two genes.


@pytest.fixture
def project(folders):
    data = folders / "data"
    genes = pd.DataFrame({"gene": list(GENES), "sequence": list(GENES.values())})
    genes = genes.assign(uniprot="P1", entry_name="E", transcript="", n_species=100, length=genes["sequence"].str.len())
    genes.to_csv(data / "genes.tsv", sep="\t", index=False)
    classes = ["P/LP", "B/LB", "VUS", "P/LP", "Other", "B/LB"]
    variants = [
        (gene, f"{ref}{i + 1}W", i + 1, ref, "W", classes[i % 6], True)
        for gene, sequence in GENES.items()
        for i, ref in enumerate(sequence)
        if ref != "W"
    ]
    variants.append(("AAA1", "W1A", 1, "W", "A", "P/LP", False))
    chance = GENES["AAA1"][1]  # the letter fits, the residue is another one of another isoform
    variants.append(("AAA1", f"{chance}2G", 2, chance, "G", "P/LP", True))
    table = pd.DataFrame(variants, columns=["gene", "mutation", "position", "ref", "alt", "significance", "matches"])
    table = table.assign(
        allele_frequency=np.nan,
        release="2022-09-17",
        transcript="",
        mismatch_reason=np.where(table["matches"], "", "unknown"),
        aligned_position=table["position"],
        stated=table["significance"],
    )
    table.loc[table.index[-1], "aligned_position"] = 5
    table.to_parquet(data / "variants.parquet", index=False)
    heldout = pd.DataFrame({"id": ["p", "q"], "source": "toy", "length": [20, 18], "sequence": list(GENES.values())})
    heldout.assign(kingdom=["Animals", "unknown"]).to_csv(data / "heldout.tsv", sep="\t", index=False)
    ngram.count([AMINO_ACIDS * 2, *GENES.values()]).to_parquet(data / "ngram.parquet", index=False)
    return folders


def test_variant_effects_cover_what_they_say(project, model):
    table = results.variant_effects(model)
    n_matching = sum(len(s) - s.count("W") for s in GENES.values())
    counts = table["strategy"].value_counts()
    assert counts["wildtype-marginals"] == n_matching  # no mismatch, no match by chance
    labelled = table[table["strategy"] == "masked-marginals"]
    assert set(labelled["significance"]) == {"P/LP", "B/LB"}
    assert counts["masked-marginals"] == counts["mutant-marginals"] == counts["pseudo-likelihood"] < n_matching
    row = table[table["strategy"] == "mutant-marginals"].iloc[3]
    expected = effects.score(
        FakeModel(seeded), GENES[row["gene"]], [parse_mutations(row["mutation"])], strategy="mutant-marginals"
    )
    assert row["score"] == expected[0]
    pd.testing.assert_frame_equal(results.read("effects.fake"), table)
    assert set(results.records()["table"]) == {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}


def test_shipped_effects_are_the_computed_ones_with_few_forward_passes(project, model):
    computed = results.variant_effects(model, recompute=True)
    before = model.n_sequences
    shipped = results.variant_effects(model)
    pd.testing.assert_frame_equal(shipped, computed)
    assert set(results.records()["status"]) == {"shipped"}
    assert model.n_sequences - before < before
    # another model of the same name is another key
    results.variant_effects(FakeModel(seeded, weights_hash="2" * 64, card=model.card))
    assert set(results.records()["status"]) == {"computed"}


def test_a_model_that_is_not_bundled_ships_nothing(project):
    results.variant_effects(FakeModel(seeded, card=SimpleNamespace(bundled=False)), recompute=True)
    assert not (project / "data" / "derived").exists()


def test_pseudo_sample_is_seeded_stratified_and_of_short_genes():
    genes = pd.DataFrame({"gene": ["S", "L"], "length": [200, 201]})
    variants = pd.DataFrame(
        {
            "gene": ["S"] * 100 + ["L"] * 100,
            "mutation": [f"A{i}C" for i in range(200)],
            "significance": (["P/LP"] * 80 + ["B/LB"] * 20) * 2,
        }
    )
    found = results.pseudo_sample(variants, genes, n=60)
    assert set(found["gene"]) == {"S"}
    assert found["significance"].value_counts().to_dict() == {"P/LP": 40, "B/LB": 20}  # only 20 B/LB exist
    assert results.pseudo_sample(variants, genes, n=20)["significance"].value_counts().to_dict() == {
        "P/LP": 10,
        "B/LB": 10,
    }
    pd.testing.assert_frame_equal(found, results.pseudo_sample(variants.sample(frac=1), genes, n=60))
    assert not found.equals(results.pseudo_sample(variants, genes, n=60, seed=1))


def test_heldout_likelihood_reads_the_frequencies_of_the_card(project, model, monkeypatch):
    frequencies = np.arange(1, 21) / 210
    monkeypatch.setattr(results, "residue_frequencies", lambda: frequencies.tolist())
    table = results.heldout_likelihood(model)
    assert table.columns.tolist() == [
        "id", "source", "kingdom", "length", "n_masked", "log_likelihood", "frequency_log_likelihood",
        "ngram_log_likelihood",
    ]  # fmt: skip
    assert table["n_masked"].tolist() == [3, 3]
    assert table["kingdom"].tolist() == ["Animals", "unknown"]
    assert (table["frequency_log_likelihood"] <= 3 * np.log(frequencies.max())).all()
    assert (table["ngram_log_likelihood"] < 0).all()


def test_other_counts_are_another_heldout_table(project, model, monkeypatch):
    monkeypatch.setattr(results, "residue_frequencies", lambda: [0.05] * 20)
    before = results.heldout_likelihood(model, recompute=True)
    results.heldout_likelihood(model)
    assert results.records()["status"].tolist() == ["shipped"]
    ngram.count([AMINO_ACIDS * 3]).to_parquet(project / "data" / "ngram.parquet", index=False)
    after = results.heldout_likelihood(model)
    assert "another inputs" in results.records()["reason"].iloc[0]
    assert (before["ngram_log_likelihood"] != after["ngram_log_likelihood"]).any()
    pd.testing.assert_series_equal(before["log_likelihood"], after["log_likelihood"])
    monkeypatch.setattr(ngram, "WEIGHTS", {"neighbours": 1.0})
    results.heldout_likelihood(model)
    assert "parameters" in results.records()["reason"].iloc[0]


def test_residue_frequencies_come_with_the_bundled_model(folders):
    from tiny import write_bundled

    write_bundled(folders / "data", residue_frequencies=[0.05] * 20)
    assert results.residue_frequencies() == [0.05] * len(AMINO_ACIDS)
    write_bundled(folders / "data")
    with pytest.raises(InputError, match="residue_frequencies"):
        results.residue_frequencies()


def test_recompute_runs_every_study_and_says_how_long(project, model, monkeypatch):
    from plmbook import models

    monkeypatch.setattr(models, "expand", lambda names: ["fake"])
    monkeypatch.setattr(models, "load", lambda name, device="auto": model)
    monkeypatch.setattr(results, "residue_frequencies", lambda: [0.05] * 20)
    said = []
    found = results.recompute(say=said.append)
    assert set(found["table"]) == {
        "masked-marginals",
        "mutant-marginals",
        "pseudo-likelihood",
        "heldout-likelihood",
    }
    assert set(found["status"]) == {"computed"}
    assert sorted(p.name for p in (project / "data" / "derived" / "fake").glob("*.parquet")) == sorted(
        f"{name}.parquet" for name in found["table"]
    )
    assert any(line.startswith("variant effects, fake:") and line.endswith(" s") for line in said)
    assert said[-1].startswith("all result tables of embedded in")
