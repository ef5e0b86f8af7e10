"""Derived tables: used where they fit, checked where they are used, refused where somebody changed a number."""

import inspect
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from plmbook.core import artifacts
from plmbook.tables import derived
from project import fake_model


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


@pytest.fixture(autouse=True)
def versions(monkeypatch):
    """Of the derived tables, in a registry of its own."""
    monkeypatch.setattr(derived, "STUDIES", {})
    monkeypatch.setattr(derived, "VERSIONS", {"squares": 1})
    return derived.VERSIONS


def derive(rows, compute, model, folders, *, profile="embedded", recompute=False, ship=True, **changes):
    """The table of squares, and the record of how it came about."""
    source = folders / "data" / "input.tsv"
    if not source.exists():
        source.write_text("x\n")
    run = derived.Run(model, profile=profile, recompute=recompute, ship=ship)
    options = dict(files=["input.tsv"], parameters={"seed": 1}, sample=10) | changes
    table = run.derive("squares", rows, compute, **options)
    (record,) = derived.records(profile).itertuples()
    return table, record


def table_path(folders):
    return folders / "data" / "derived" / "fake" / "squares.parquet"


def change_by_hand(folders, row, value, *, mend_manifest=False):
    path = table_path(folders)
    table = pd.read_parquet(path)
    table.loc[row, "score"] = value
    table.to_parquet(path, index=False)
    if mend_manifest:
        manifest = json.loads(path.with_suffix(".json").read_text())
        manifest["content"] = artifacts.content_hash(table)
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


def test_a_number_changed_by_hand_is_an_error(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, 49.5)
    with pytest.raises(derived.DerivedMismatch, match=r"squares.parquet: .*sha256.*changed by hand"):
        derive(rows, Square(), model, folders)


def test_a_number_changed_together_with_the_manifest_is_found_by_the_sample(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, 49.5, mend_manifest=True)
    with pytest.raises(derived.DerivedMismatch, match=r"row 8 \(G7 A1C\): score is shipped as 49.5 and computes to 49"):
        derive(rows, Square(), model, folders, sample=40)
    # many changed rows meet even a small sample
    for row in range(40):
        change_by_hand(folders, row, row**2 + 1.0, mend_manifest=True)
    with pytest.raises(derived.DerivedMismatch, match="10 of 10 sampled rows"):
        derive(rows, Square(), model, folders)


def test_a_number_that_went_missing_is_an_error(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    change_by_hand(folders, 7, np.nan, mend_manifest=True)
    with pytest.raises(derived.DerivedMismatch, match="shipped as nan"):
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
    with pytest.raises(derived.DerivedMismatch):
        derive(rows, near, model, folders, tolerance=1e-5)


@pytest.mark.parametrize(
    "part, change",
    [
        ("weights", lambda f, m: dict(model=fake_model(weights_hash="1" * 64))),
        ("parameters", lambda f, m: dict(parameters={"seed": 2})),
        ("version", lambda f, m: derived.VERSIONS.update(squares=2) or {}),
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
    assert derived.records("paper")["table"].tolist() == ["squares"]


def test_records_hold_the_last_use_of_each_table(folders, rows, model):
    assert len(derived.records()) == 0
    derive(rows, Square(), model, folders, recompute=True)
    derive(rows, Square(), model, folders)
    found = derived.records()
    assert found[["table", "model", "status"]].values.tolist() == [["squares", "fake", "shipped"]]


def test_a_compute_that_loses_rows_is_a_bug(folders, rows, model):
    with pytest.raises(RuntimeError, match="in their order"):
        derive(rows, lambda part: Square()(part).iloc[::-1], model, folders)


@pytest.mark.parametrize("n_rows", [0, 30])
def test_a_table_of_many_columns_is_made_without_a_warning(folders, rows, model, n_rows):
    """Column by column, pandas would warn of its own slowness from the hundredth on."""
    names = [f"e{number:04d}" for number in range(200)]

    def compute(part):
        numbers = np.arange(200)[None] + part["gene"].str[1:].astype(int).to_numpy()[:, None]
        return pd.concat([part, pd.DataFrame(numbers, columns=names)], axis=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, _ = derive(rows.head(n_rows), compute, model, folders, values=names, recompute=True)
        shipped, record = derive(rows.head(n_rows), compute, model, folders, values=names)
    assert list(table.columns) == ["gene", "mutation", *names]
    assert table["e0199"].tolist() == [199 + number for number in range(n_rows)]
    assert record.status == "shipped" and shipped["e0199"].tolist() == table["e0199"].tolist()


def test_a_broken_manifest_or_table_is_named(folders, rows, model):
    derive(rows, Square(), model, folders, recompute=True)
    good = table_path(folders).read_bytes()
    table_path(folders).write_bytes(good[:100])
    with pytest.raises(derived.DerivedMismatch, match="squares.parquet cannot be read"):
        derive(rows, Square(), model, folders)
    table_path(folders).with_suffix(".json").write_text("{")
    with pytest.raises(derived.DerivedMismatch, match="squares.json is not JSON"):
        derive(rows, Square(), model, folders)


# --- studies ---


@pytest.fixture
def squares(folders, rows, versions):
    """A study of one derived table."""
    versions.clear()
    (folders / "data" / "input.tsv").write_text("x\n")

    @derived.study("squares of numbers", saves="numbers", tables={"squares": 3, "of nobody": 1})
    def squares(run, *, power=2.0, of=None, collection=None):
        """Squares."""
        return run.derive("squares", rows, Square(power), files=("input.tsv",), parameters={"power": (power,)}, of=of)

    return squares


def manifest(folders, model="fake"):
    return json.loads((folders / "data" / "derived" / model / "squares.json").read_text())


def test_a_study_ships_its_tables_and_saves_its_result(folders, squares, model):
    table = squares(model, recompute=True)
    pd.testing.assert_frame_equal(artifacts.read("numbers.fake"), table)
    ingredients = manifest(folders)["ingredients"]
    assert ingredients["version"] == 3 and ingredients["parameters"] == {"power": [2.0], "dtype": "float32"}
    assert list(ingredients["inputs"]) == ["input.tsv"]
    pd.testing.assert_frame_equal(squares(model, profile="small"), table)
    (record,) = derived.records("small").itertuples()
    assert (record.status, record.sampled, record.tolerance) == ("shipped", derived.SAMPLE, derived.TOLERANCE)
    squares(model, power=3.0)
    assert derived.records()["reason"].tolist() == ["the shipped table is of another parameters"]


def test_the_environment_asks_for_recomputation(folders, squares, model, monkeypatch):
    monkeypatch.setenv(derived.RECOMPUTE, "1")
    for _ in range(2):
        squares(model)
        assert derived.records()["status"].tolist() == ["computed"]
    assert table_path(folders).exists()
    assert [p.name for p in table_path(folders).parent.iterdir() if p.name.startswith(".")] == []


def test_a_study_is_registered_and_says_what_it_takes(squares):
    assert derived.STUDIES == {"squares of numbers": squares}
    assert derived.VERSIONS == {"squares": 3, "of nobody": 1}
    names = ["model", "power", "of", "collection", "profile", "recompute", "progress"]
    assert list(inspect.signature(squares).parameters) == names and squares.__doc__ == "Squares."
    with pytest.raises(ValueError, match="another: squares is a table of another study"):
        derived.study("another", saves="x", tables={"squares": 1})(lambda run: None)


def test_numbers_of_another_type_are_another_table_and_may_differ_more(squares, model):
    squares(model, recompute=True)
    model.dtype = "bfloat16"
    squares(model)
    (record,) = derived.records().itertuples()
    assert (record.reason, record.tolerance) == ("the shipped table is of another parameters", 0.1)


def test_what_reads_no_model_has_no_type(folders, squares, model):
    squares(model, of=SimpleNamespace(name="nothing", weights_hash=""), recompute=True)
    ingredients = manifest(folders, "nothing")["ingredients"]
    assert ingredients["weights"] == "" and ingredients["parameters"] == {"power": [2.0]}


@pytest.mark.parametrize("bundled, whole", [(False, False), (True, True)])
def test_nothing_is_shipped_of_other_models_and_of_whole_proteomes(folders, squares, model, bundled, whole):
    model.card = SimpleNamespace(bundled=bundled)
    squares(model, collection=SimpleNamespace(whole=whole), recompute=True)
    assert derived.records()["reason"].tolist() == ["not shipped for this model"]
    assert not (folders / "data" / "derived").exists()


def test_bars_are_shown_for_a_whole_table_and_not_for_a_sample(rows, model):
    run = derived.Run(model, progress=True)
    assert run.bars(rows) and not run.bars(rows.head(derived.SAMPLE)) and not derived.Run(model).bars(rows)
