"""Derived tables: used where they fit, checked where they are used, refused where somebody changed a number."""

import dataclasses
import json
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.book import evaluation, recompute
from plmbook.core import artifacts, paths
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.function import occlusion, proteome_map, proteomes, trainings
from plmbook.function import studies as function_studies
from plmbook.probing import contacts, neighbours, probes
from plmbook.probing import studies as probing_studies
from plmbook.stats import metrics
from plmbook.tables import bundled, derived
from plmbook.tasks import studies as tasks_studies
from plmbook.variants import effects, landscapes, ngram, rescored
from plmbook.variants import studies as variants_studies

GENES = {"AAA1": "MKRLVAEDGHMKRLVAEDGH", "BBB2": "GHWYCMKRLVAEDGHAAA"}


def every_version():
    return function_studies.VERSIONS | probing_studies.VERSIONS | tasks_studies.VERSIONS | variants_studies.VERSIONS


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """`data/` and `results/` of a tiny project."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("PLMBOOK_DATA", str(data))
    monkeypatch.delenv(derived.RECOMPUTE, raising=False)
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / "results" / profile)
    return tmp_path


@pytest.fixture
def model():
    return FakeModel(seeded, card=SimpleNamespace(bundled=True, dim=2, layers=1))


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
    return derived.derive("squares", rows, compute, **(options | changes))


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


def test_the_environment_asks_for_recomputation(folders, rows, model, monkeypatch):
    monkeypatch.setenv(derived.RECOMPUTE, "1")
    for _ in range(2):
        compute = Square()
        _, record = derive(rows, compute, model, folders)
        assert (compute.asked, record.status) == ([40], "computed")
    assert table_path(folders).exists()
    assert [p.name for p in table_path(folders).parent.iterdir() if p.name.startswith(".")] == []


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


def test_content_hash_sees_values_names_kinds_and_order():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan], "d": [True, False]})
    same = table.astype({"a": "int32", "b": "object"}).set_index(pd.Index([5, 6]))
    assert artifacts.content_hash(table) == artifacts.content_hash(same)
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
    assert len({artifacts.content_hash(t) for t in [table, *others]}) == 10


def test_saved_tables_come_back_whole(folders):
    table = pd.DataFrame({"gene": ["A"], "score": [-1.5]})
    path = artifacts.save(table, "toy")
    pd.testing.assert_frame_equal(artifacts.read("toy"), table)
    with pytest.raises(InputError, match="plmbook results --profile embedded"):
        artifacts.read("other")
    with pytest.raises(ZeroDivisionError):
        artifacts.write_atomically(path, lambda temporary: 1 / 0)
    pd.testing.assert_frame_equal(artifacts.read("toy"), table)
    assert [p.name for p in path.parent.iterdir()] == ["toy.parquet"]


# The studies, on a project of two genes.


@pytest.fixture
def project(folders, monkeypatch):
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
    write_structures(data)
    write_secondary_structure(data)
    write_localisation(data)
    write_relatives(data)
    write_go(data)
    write_landscapes(data)
    monkeypatch.setattr(variants_studies, "NAMED_VARIANTS", {"AAA1": ("R3W",), "BBB2": ("G1W", "H2W")})
    monkeypatch.setattr(variants_studies, "RESCORED_TOP", 3)
    monkeypatch.setattr(variants_studies, "RESCORED_VARIANTS", 4)
    monkeypatch.setattr(function_studies, "LAYERS", function_studies.LAYERS | {"dims": [1]})
    monkeypatch.setattr(occlusion, "QUESTIONS", (("P-loop", TERMS[0]), ("P-loop", TERMS[1])))
    monkeypatch.setattr(proteome_map, "umap", lambda space, seed: space.vectors[:, :2])
    return folders


KEPT = tuple(f"k{number}" for number in range(6))
CHAINS = {"train": [f"t{number}" for number in range(8)], "test": [f"c{number}" for number in range(5)]}
PLACED = {"train": [f"r{number}" for number in range(8)], "test": [f"q{number}" for number in range(6)]}


def residues(name, length):
    """A sequence that depends on the name alone."""
    rng = np.random.default_rng(list(name.encode()))
    return "".join(rng.choice(list(AMINO_ACIDS), length))


def balls(names, key, length=40):
    """Structures whose residues lie in a ball: about a pair in ten touches."""
    parts = []
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        part = pd.DataFrame(rng.normal(scale=7.0, size=(length, 3)), columns=["cb_x", "cb_y", "cb_z"], dtype="float32")
        part = part.assign(position=np.arange(1, length + 1), residue=list(residues(name, length)))
        parts.append(part.assign(**{key: name}))
    return pd.concat(parts, ignore_index=True)


def write_structures(data):
    kept = balls(KEPT, "id").assign(plddt=np.float32(np.nan), source="PDB")
    kept[list(tables.schema_of("kept_structures").names)].to_parquet(data / "kept_structures.parquet", index=False)
    genes = balls(GENES, "gene").assign(plddt=np.float32(90))
    genes = genes.assign(**{f"ca_{axis}": genes[f"cb_{axis}"] for axis in "xyz"})
    genes[list(tables.schema_of("structures").names)].to_parquet(data / "structures.parquet", index=False)


def write_secondary_structure(data):
    rows = [(name, split, residues(name, 30)) for split, names in CHAINS.items() for name in names]
    table = pd.DataFrame(rows, columns=["id", "split", "sequence"])
    states = str.maketrans(AMINO_ACIDS, "H" * 6 + "E" * 7 + "C" * 7)
    table = table.assign(length=30, dssp3=table["sequence"].str.translate(states), dssp8="", resolved="1" * 30)
    table = table.assign(counted="0" + "1" * 29, source=table["split"].map({"train": "NetSurfP-2.0", "test": "CB513"}))
    table.to_parquet(data / "secondary_structure.parquet", index=False)


def write_localisation(data):
    rows = [(name, split, residues(name, 25)) for split, names in PLACED.items() for name in names]
    table = pd.DataFrame(rows, columns=["id", "split", "sequence"]).assign(length=25)
    table["localisation"] = np.where(np.arange(len(table)) % 2, "Nucleus", "Cytoplasm")
    table.to_parquet(data / "localisation.parquet", index=False)


TERMS = ("GO:0005524", "GO:0005525", "GO:0000003")  # the last one is the parent of the first


def write_go(data):
    """Clusters of three proteins of two species; a cluster has a term or not, and with the first one a P-loop."""
    rng, n = np.random.default_rng(7), 150
    table = pd.DataFrame({"id": [f"P{number:03d}" for number in range(n)], "gene": "", "ortholog": ""})
    table["cluster"] = [f"c{number // 3:02d}" for number in range(n)]
    table["species"] = np.where(np.arange(n) % 3 == 1, "mouse", "human")
    has = np.repeat(rng.random((n // 3, len(TERMS))) < 0.4, 3, axis=0)
    plain = [residues(name, 8 + number % 5) for number, name in enumerate(table["id"])]
    starts = np.where(has[:, 0], "GAAAAGKT", "LLLLLLLL")
    table["sequence"] = [start + text for start, text in zip(starts, plain, strict=True)]
    table["length"] = table["sequence"].str.len()
    table.to_parquet(data / "go_proteins.parquet", index=False)
    rows, columns = np.nonzero(has)
    pairs = pd.DataFrame({"id": table["id"].to_numpy()[rows], "go_id": np.array(TERMS)[columns], "column": "cafa5"})
    pairs.to_parquet(data / "go_annotations.parquet", index=False)
    terms = pd.DataFrame({"go_id": sorted(TERMS), "name": "a name", "namespace": "molecular_function"})
    counts = dict.fromkeys(("n_human", "n_mouse", "n_human_sample", "n_mouse_sample"), 9)
    terms = terms.assign(release="2025-09-26", in_2013=True, **counts, information_accretion=1.0, published=True)
    terms.assign(top20=True).to_csv(data / "go_terms.tsv", sep="\t", index=False)
    relations = pd.DataFrame({"child": [TERMS[0]], "parent": [TERMS[2]], "relation": ["is_a"]})
    relations.to_csv(data / "go_relations.tsv", sep="\t", index=False)
    (data / "published").mkdir()
    pd.DataFrame({"go": TERMS[:1]}).to_csv(data / "published" / "go_terms.csv", index=False)


def write_landscapes(data):
    """Two assays of one protein: all doubles of six singles at as many positions."""
    sequence = GENES["AAA1"]
    singles = [f"{sequence[place]}{place + 1}W" for place in range(6)]
    doubles = [f"{a}:{b}" for place, a in enumerate(singles) for b in singles[place + 1 :]]
    rows = pd.DataFrame({"mutation": singles + doubles})
    rows = rows.assign(fitness=np.float32(-0.1) * np.arange(len(rows), dtype=np.float32), error=np.float32(0.1))
    names = ["one", "two"]
    pd.concat([rows.assign(landscape=name) for name in names]).to_parquet(data / "landscapes.parquet", index=False)
    about = {"protein": "P", "uniprot": "P1", "length": len(sequence), "sequence": sequence, "first": 1}
    about |= {"last": len(sequence), "offset": 0, "file_offset": 0, "assay": "a", "fitness_unit": "ln", "scale": "ln"}
    about |= {"wild_type_fitness": 0.0, "floor": -4.0, "floor_from": "", "null_above_half": 0.0, "error_from": "x"}
    about |= {"source": "x", "licence": "x", "doi": "x"}
    proteins = pd.DataFrame([{"landscape": name} | about for name in names])
    proteins.assign(floor_from="x").to_csv(data / "landscape_proteins.tsv", sep="\t", index=False)


def write_relatives(data, *related):
    """`related`: (table, id); without one, a gene has a relative, which leaves nothing out."""
    table = pd.DataFrame([*related] or [("genes", "AAA1")], columns=["table", "id"])
    table.assign(source="general", relatives=2, identity=0.4).to_csv(data / "relatives.tsv", sep="\t", index=False)


def test_variant_effects_cover_what_they_say(project, model):
    table = variants_studies.variant_effects(model)
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
    pd.testing.assert_frame_equal(artifacts.read("effects.fake"), table)
    assert set(derived.records()["table"]) == {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}


def test_shipped_effects_are_the_computed_ones_with_few_forward_passes(project, model):
    computed = variants_studies.variant_effects(model, recompute=True)
    before = model.n_sequences
    shipped = variants_studies.variant_effects(model)
    pd.testing.assert_frame_equal(shipped, computed)
    assert set(derived.records()["status"]) == {"shipped"}
    assert model.n_sequences - before < before
    # another model of the same name is another key
    variants_studies.variant_effects(FakeModel(seeded, weights_hash="2" * 64, card=model.card))
    assert set(derived.records()["status"]) == {"computed"}


def test_a_model_that_is_not_bundled_ships_nothing(project):
    variants_studies.variant_effects(FakeModel(seeded, card=SimpleNamespace(bundled=False)), recompute=True)
    assert not (project / "data" / "derived").exists()


def test_pseudo_sample_is_seeded_stratified_and_of_short_genes():
    genes = pd.DataFrame({"gene": ["S", "L"], "length": [210, 211]})
    variants = pd.DataFrame(
        {
            "gene": ["S"] * 100 + ["L"] * 100,
            "mutation": [f"A{i}C" for i in range(200)],
            "significance": (["P/LP"] * 80 + ["B/LB"] * 20) * 2,
        }
    )
    found = variants_studies.pseudo_sample(variants, genes, n=60)
    assert set(found["gene"]) == {"S"}
    assert found["significance"].value_counts().to_dict() == {"P/LP": 40, "B/LB": 20}  # only 20 B/LB exist
    assert variants_studies.pseudo_sample(variants, genes, n=20)["significance"].value_counts().to_dict() == {
        "P/LP": 10,
        "B/LB": 10,
    }
    pd.testing.assert_frame_equal(found, variants_studies.pseudo_sample(variants.sample(frac=1), genes, n=60))
    assert not found.equals(variants_studies.pseudo_sample(variants, genes, n=60, seed=1))


def test_heldout_likelihood_reads_the_frequencies_of_the_card(project, model, monkeypatch):
    frequencies = np.arange(1, 21) / 210
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: frequencies.tolist())
    table = variants_studies.heldout_likelihood(model)
    assert table.columns.tolist() == [
        "id", "source", "kingdom", "length", "n_masked", "log_likelihood", "frequency_log_likelihood",
        "ngram_log_likelihood",
    ]  # fmt: skip
    assert table["n_masked"].tolist() == [3, 3]
    assert table["kingdom"].tolist() == ["Animals", "unknown"]
    assert (table["frequency_log_likelihood"] <= 3 * np.log(frequencies.max())).all()
    assert (table["ngram_log_likelihood"] < 0).all()


def test_other_counts_are_another_heldout_table(project, model, monkeypatch):
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: [0.05] * 20)
    before = variants_studies.heldout_likelihood(model, recompute=True)
    variants_studies.heldout_likelihood(model)
    assert derived.records()["status"].tolist() == ["shipped"]
    ngram.count([AMINO_ACIDS * 3]).to_parquet(project / "data" / "ngram.parquet", index=False)
    after = variants_studies.heldout_likelihood(model)
    assert "another inputs" in derived.records()["reason"].iloc[0]
    assert (before["ngram_log_likelihood"] != after["ngram_log_likelihood"]).any()
    pd.testing.assert_series_equal(before["log_likelihood"], after["log_likelihood"])
    monkeypatch.setattr(ngram, "WEIGHTS", {"neighbours": 1.0})
    variants_studies.heldout_likelihood(model)
    assert "parameters" in derived.records()["reason"].iloc[0]


def test_residue_frequencies_come_with_the_bundled_model(folders):
    from tiny import write_bundled

    write_bundled(folders / "data", residue_frequencies=[0.05] * 20)
    assert bundled.residue_frequencies() == [0.05] * len(AMINO_ACIDS)
    write_bundled(folders / "data")
    with pytest.raises(InputError, match="residue_frequencies"):
        bundled.residue_frequencies()


# The tests of unseen families, and those of what states and attention hold.


def asked(model, study, **options):
    """The table of a study, and how many sequences the model read for it."""
    before = model.n_sequences + len(model.attended)
    return study(model, **options), model.n_sequences + len(model.attended) - before


NEW = {
    "contact-precision": (probing_studies.contact_precision, "contacts.fake", "p_at_l"),
    "secondary-structure": (probing_studies.secondary_structure, "secondary_structure.fake", "correct_window"),
    "localisation-embeddings": (probing_studies.localisation, "localisation.fake", "e0001"),
    "go-embeddings": (function_studies.go_embeddings, "go_embeddings.fake", "e0001"),
}


@pytest.mark.parametrize("name", NEW)
def test_a_study_ships_and_is_checked(project, model, name):
    study, saved, _ = NEW[name]
    computed, all_of_them = asked(model, study, recompute=True)
    assert derived.records()["table"].tolist() == [name]
    shipped, some = asked(model, study)
    pd.testing.assert_frame_equal(shipped, computed)
    pd.testing.assert_frame_equal(artifacts.read(saved), computed)
    (record,) = derived.records().itertuples()
    assert record.status == "shipped" and record.sampled > 0 and record.largest_difference == 0
    assert 0 < some <= all_of_them
    study(FakeModel(seeded, weights_hash="2" * 64, card=model.card))
    assert derived.records()["reason"].tolist() == ["the shipped table is of another weights"]


@pytest.mark.parametrize("mended", [False, True])
@pytest.mark.parametrize("name", NEW)
def test_a_changed_number_of_a_study_is_noticed(project, model, name, mended):
    """By its manifest; and where that was changed as well, by the sample."""
    study, _, column = NEW[name]
    study(model, recompute=True)
    path = project / "data" / "derived" / "fake" / f"{name}.parquet"
    table = pd.read_parquet(path)
    table[column] += 2  # over every tolerance, in every row: whichever are drawn
    table.to_parquet(path, index=False)
    if mended:
        manifest = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps(manifest | {"content": artifacts.content_hash(table)}))
    said = f"{column} is shipped as .* and computes to" if mended else "was a number changed by hand"
    with pytest.raises(derived.DerivedMismatch, match=f"{name}.parquet: .*{said}"):
        study(model)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("contact-precision", "kept_structures.parquet"),
        ("contact-precision", "structures.parquet"),
        ("secondary-structure", "secondary_structure.parquet"),
        ("localisation-embeddings", "localisation.parquet"),
        ("go-embeddings", "go_proteins.parquet"),
    ],
)
def test_another_input_is_another_table(project, model, name, file):
    study, _, _ = NEW[name]
    study(model, recompute=True)
    path = project / "data" / file
    pd.read_parquet(path).assign(further=1).to_parquet(path, index=False)  # carried, not read
    study(model)
    assert derived.records()["reason"].tolist() == ["the shipped table is of another inputs"]


def test_contacts_test_each_protein_once_by_a_regression_of_others(project, model):
    table = probing_studies.contact_precision(model)
    assert list(table) == ["id", "set", "fold", "length", *contacts.MEASURES, "model"]
    assert table.groupby("set")["id"].agg(list).to_dict() == {"kept": table["id"].tolist()[:6], "genes": [*GENES]}
    assert set(table["id"]) == {*KEPT, *GENES} and table["id"].is_unique
    assert table.groupby(["set", "fold"]).size().to_dict() == {("genes", 0): 2, ("kept", 0): 3, ("kept", 1): 3}
    assert (table["length"] == 40).all() and (table["n_pairs"] == 16 * 17 / 2).all()
    fold = table.loc[table["id"] == "k0", "fold"].iloc[0]
    others = table.loc[(table["set"] == "kept") & (table["fold"] != fold), "id"].tolist()
    again = contacts.contact_precision(
        model, balls(KEPT, "id").assign(plddt=np.nan), train_ids=others, test_ids=["k0"], seed=bundled.SEED
    )
    found = table[table["id"] == "k0"][["p_at_l", "background", "separation_only_p_at_l"]]
    assert found.iloc[0].tolist() == pytest.approx(again[list(found)].iloc[0].tolist())


def test_secondary_structure_counts_what_the_mask_leaves(project, model):
    table = probing_studies.secondary_structure(model)
    assert table["id"].tolist() == CHAINS["test"]
    assert (table["n_residues"] == 29).all()
    assert (table["correct_residue"] == 29).all()  # the state is a function of the residue
    assert probes.q3(table, "majority", n=10).value < 0.6


def test_localisation_goes_through_hundredths_of_the_embeddings(project, model):
    table = probing_studies.localisation(model)
    assert table.groupby("method")["id"].agg(list).to_dict() == dict.fromkeys(
        ("commonest", "composition", "embedding"), PLACED["test"]
    )
    assert set(table.loc[table["method"] != "commonest", "neighbour"]) <= set(PLACED["train"])
    proteins = tables.load("localisation")
    of = {name: residues(name, 25) for name in proteins["id"]}
    means = {name: np.round(model.tokenize(s)[1:-1].mean(), 2) for name, s in of.items()}  # the states of `FakeModel`
    vectors = [np.repeat([[means[name]] for name in PLACED[split]], 2, axis=1) for split in ("test", "train")]
    test, train = (proteins[proteins["split"] == split].reset_index(drop=True) for split in ("test", "train"))
    expected = neighbours.transfer(test, train, *vectors)
    found = table[table["method"] == "embedding"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="method"), expected, atol=1e-6)


def test_large_states_do_not_turn_over(project):
    large = FakeModel(seeded, hidden=lambda s: np.full((len(s), 2), 400.0), card=SimpleNamespace(bundled=True, dim=2))
    probing_studies.localisation(large, recompute=True)
    shipped = pd.read_parquet(project / "data" / "derived" / "fake" / "localisation-embeddings.parquet")
    assert (shipped[["e0000", "e0001"]] == 40_000).all(axis=None)


def test_relatives_are_of_one_table(project):
    write_relatives(project / "data", ("heldout", "p"), ("kept_structures", "k1"), ("genes", "AAA1"))
    assert bundled.read_in_training("heldout") == {"p"}
    assert bundled.read_in_training("kept_structures") == {"k1"}
    assert bundled.read_in_training("secondary_structure") == set()


def test_what_has_a_relative_in_training_is_left_out_of_the_tests(project, model, monkeypatch):
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: [0.05] * 20)
    related = [("heldout", "p"), ("kept_structures", "k1"), ("secondary_structure", "c2"), ("genes", "AAA1")]
    write_relatives(project / "data", *related, ("heldout", "k2"))  # an id of another table
    assert variants_studies.heldout_likelihood(model)["id"].tolist() == ["q"]
    left = probing_studies.contact_precision(model)
    assert set(left["id"]) == {*KEPT, *GENES} - {"k1"}  # the genes stay
    assert residues("k1", 40) not in model.attended  # nor is a regression fitted on it
    assert probing_studies.secondary_structure(model)["id"].tolist() == ["c0", "c1", "c3", "c4"]


def test_other_relatives_mean_other_tables(project, model, monkeypatch):
    monkeypatch.setattr(bundled, "residue_frequencies", lambda: [0.05] * 20)
    studies = (
        variants_studies.heldout_likelihood,
        probing_studies.contact_precision,
        probing_studies.secondary_structure,
    )
    for study in studies:
        study(model, recompute=True)
    write_relatives(project / "data", ("heldout", "p"), ("kept_structures", "k1"), ("secondary_structure", "c2"))
    for study in studies:
        study(model)
    assert set(derived.records()["status"]) == {"computed"}


# What is learnt of GO terms.

LEARNT = {  # file in derived/, study
    "fake/go-answers": function_studies.go_answers,
    "composition/go-answers": function_studies.go_answers,
    "fake/go-answers-again": function_studies.go_answers_again,
    "composition/go-answers-again": function_studies.go_answers_again,
    "fake/go-regressions": function_studies.go_regressions,
    "fake/residue-drops": function_studies.residue_drops,
    "fake/layer-regressions": function_studies.layer_answers,
    "fake/layer-answers": function_studies.layer_answers,
    "fake/protein-map": function_studies.protein_map,
    "fake/landscape-scores": variants_studies.landscape_scores,
}


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("study", dict.fromkeys(LEARNT.values()))
def test_what_was_learnt_ships_and_is_checked(project, model, study):
    computed, all_of_them = asked(model, study, recompute=True)
    function_studies.go_regressions(model, recompute=True)
    function_studies.go_embeddings(model, recompute=True)
    shipped, some = asked(model, study)
    pd.testing.assert_frame_equal(shipped, computed)
    assert some <= all_of_them
    known = derived.records().set_index(["model", "table"])
    for place in (place for place, of_place in LEARNT.items() if of_place is study):
        record = known.loc[tuple(place.split("/"))]
        assert record["status"] == "shipped" and record["largest_difference"] <= record["tolerance"] / 10
        assert (record["sampled"] > 0) != place.endswith("map")  # of a map no row can be computed alone
    other = FakeModel(seeded, weights_hash="2" * 64, card=model.card)
    study(other)
    changed = derived.records().set_index(["model", "table"])["reason"]
    for place in (place for place, of_place in LEARNT.items() if of_place is study):
        of_weights = not place.startswith("composition")  # which reads no model
        assert (changed[tuple(place.split("/"))] == "the shipped table is of another weights") == of_weights


@pytest.mark.parametrize("place", LEARNT)
def test_another_number_in_what_was_learnt_is_noticed(project, model, place, monkeypatch):
    """Also where the manifest was changed with it."""
    study, name = LEARNT[place], place.split("/")[1]
    if name == "protein-map":  # one that keeps all neighbours, by the angle between two numbers that differ
        monkeypatch.setattr(function_studies, "MAP_KEPT", 0.5)
        monkeypatch.setattr(proteome_map, "umap", lambda space, seed: unit(space.vectors))
        model.hidden = lambda s: np.stack([model.tokenize(s)[1:-1], np.sin(np.cumsum(model.tokenize(s)[1:-1]))]).T
    for each in (function_studies.go_embeddings, function_studies.go_regressions, study):
        each(model, recompute=True)
    path = project / "data" / "derived" / f"{place}.parquet"
    table = pd.read_parquet(path)
    if name == "protein-map":
        table["x"] = table["x"].to_numpy()[np.random.default_rng(0).permutation(len(table))]
    elif name in ("go-regressions", "layer-regressions"):
        table["intercept" if "intercept" in table else "offset"] += 2
    elif name == "landscape-scores":
        table["score"] += 10
    else:
        table[[term for term in TERMS if term in table]] += 2 if name == "residue-drops" else 1000
    table.to_parquet(path, index=False)
    with pytest.raises(derived.DerivedMismatch, match=f"{name}.parquet: .*was a number changed by hand"):
        study(model)
    manifest = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(manifest | {"content": artifacts.content_hash(table)}))
    with pytest.raises(derived.DerivedMismatch, match=f"{name}.*(afresh|computes to|none of these embeddings)"):
        study(model)


def test_another_question_is_another_table(project, model):
    for study in (
        function_studies.go_answers,
        function_studies.go_regressions,
        function_studies.residue_drops,
        function_studies.layer_answers,
    ):
        study(model, recompute=True)
    function_studies.go_answers(model, seed=1, n_seeds=1)
    function_studies.residue_drops(model, masked=function_studies.MASKED | {"stride": 4})
    function_studies.go_regressions(model, seed=1)
    function_studies.layer_answers(model, options=function_studies.LAYERS | {"strengths": [0.1]})
    records = derived.records()
    learnt = records[records["table"].isin([place.split("/")[1] for place in LEARNT])]
    assert learnt["status"].tolist() == ["computed"] * len(learnt) and len(learnt) == 6
    assert learnt["reason"].str.contains("parameters|rows").all()


@pytest.mark.parametrize(
    "study", [study for study in dict.fromkeys(LEARNT.values()) if study != variants_studies.landscape_scores]
)
def test_other_proteins_than_the_bundled_are_computed_and_nothing_is_shipped(project, model, study):
    """Proteins, labels and column are those of the argument; without it, or with the sample, the key is the same."""
    sample, shipped = proteomes.load("cafa5"), project / "data" / "derived"
    other = sample.proteins.assign(id="w" + sample.proteins["id"])
    pairs = sample.annotations.assign(id="w" + sample.annotations["id"], column="goa")
    other.to_parquet(project / "proteins.parquet", index=False)
    files = (project / "proteins.parquet",)
    whole = proteomes.Known(other, pairs, sample.terms, sample.ontology, "goa", files, True)
    for each in (function_studies.go_embeddings, study):
        table = each(model, known=whole, recompute=True)
        ids = table["id"][table["id"] != trainings.THRESHOLD] if "id" in table else pd.Series(["w"])
        assert len(ids) and ids.str.startswith("w").all()
    assert set(derived.records()["status"]) == {"computed"} and not shipped.exists()
    keys = []
    for known in (whole, None, sample):
        study(model, known=known)
        keys.append(derived.records().query("table != 'go-embeddings'").set_index(["model", "table"])["key"])
    of_whole, of_none, of_sample = keys
    assert len(of_none) and (of_none == of_sample).all() and (of_whole != of_none).all()


def test_answers_of_every_split_and_again(project, model):
    once, again = function_studies.go_answers(model), function_studies.go_answers_again(model)
    every = ["annotations", "split", "seed"]
    assert once.groupby("learner")[every].apply(lambda part: len(part.drop_duplicates())).tolist() == [4, 4]
    assert again.groupby("learner")[every].apply(lambda part: len(part.drop_duplicates())).tolist() == [6, 6]
    assert set(again.loc[again["annotations"] == "propagated", "seed"]) == {bundled.SEED}
    numbers = pd.concat([once, again])[list(TERMS)]
    assert (numbers.stack() != trainings.UNLEARNT).mean() > 0.9
    assert once["id"].value_counts()[trainings.THRESHOLD] == 8


def test_windows_say_what_masking_takes_away(project, model):
    drops = function_studies.residue_drops(model)
    question = occlusion.question("cafa5")
    vectors = function_studies.go_embeddings(model).drop(columns="id").to_numpy()
    classifiers, fold = occlusion.cross_fitted(
        vectors, question.labels, question.proteins["cluster"], seed=bundled.SEED
    )
    row = int(np.flatnonzero(question.proteins["id"] == drops["id"].iloc[0])[0])
    sequence = question.proteins["sequence"][row]
    part = drops[drops["id"] == drops["id"].iloc[0]]
    expected = occlusion.drops(model, sequence, classifiers[fold[row]], width=8, stride=8)
    spans = list(part[["start", "stop"]].itertuples(index=False, name=None))
    found = occlusion.spread(part[list(TERMS[:2])].to_numpy(), spans, len(sequence))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_second_mutations_of_a_protein_stand_for_each_of_its_landscapes(project, model):
    found = variants_studies.landscape_scores(model, n_backgrounds=2)
    one, two = (found[found["landscape"] == name].drop(columns="landscape") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
    assert one["mutation"].nunique() == 2 and len(one) == 2 * 5
    whole = landscapes.pair_scores(model, GENES["AAA1"], one[["mutation", "second"]].reset_index(drop=True))
    for column in ("score_background", "score_wild_type", "model_epistasis", "score_first"):
        np.testing.assert_allclose(one[column], whole[column], atol=0.51e-3)


# All of it.


@pytest.fixture
def named(project, monkeypatch):
    """The project with the card of a bundled model `fake`; loading it gives the model that the test put there."""
    from plmbook import models
    from tiny import write_bundled

    write_bundled(project / "data", "fake", residue_frequencies=[0.05] * 20)
    loaded = {}
    monkeypatch.setattr(models, "expand", lambda names: ["fake"])
    monkeypatch.setattr(models, "load", lambda name, device="auto": loaded[name])
    monkeypatch.setattr(evaluation, "MINIMUM", 1)
    monkeypatch.setattr(evaluation, "OPTIONS", {"n": 20, "seed": 1})
    return loaded


RESCORED = {"rescue-comasked", "rescue-pseudo-likelihood"}
DERIVED = {"masked-marginals", "mutant-marginals", "pseudo-likelihood", "heldout-likelihood", *RESCORED, *NEW}
DERIVED |= {place.split("/")[1] for place in LEARNT} | {"downstream-localisation"}
READ_AGAIN = ["go-embeddings", "go-regressions"]  # by other studies, once they are made


def test_rescores_ship_the_expensive_scores_and_scan_live(project, model):
    computed = variants_studies.rescores(model, recompute=True)
    ways = computed.groupby("way", sort=False)
    assert ways["kind"].value_counts().to_dict() == {
        ("comasked", "candidate"): 12,
        ("comasked", "random"): 12,
        ("pseudo-likelihood", "candidate"): 15,
        ("pseudo-likelihood", "random"): 15,
    }
    assert computed.loc[computed["way"] == "comasked", list(rescored.COMASKED)].notna().all(axis=None)
    assert computed.loc[computed["way"] == "comasked", list(rescored.PSEUDO)].isna().all(axis=None)
    drawn = computed.loc[computed["way"] == "comasked", ["gene", "mutation"]].drop_duplicates()
    labelled = bundled.matching_variants().query("significance == 'P/LP'")
    assert len(drawn) == 4 and len(drawn.merge(labelled, on=["gene", "mutation"])) == 4
    pd.testing.assert_frame_equal(artifacts.read("rescored.fake"), computed)
    again = type(model)(model.function, card=model.card)
    pd.testing.assert_frame_equal(variants_studies.rescores(again), computed)
    records = derived.records().set_index("table")["status"]
    assert records.to_dict() == dict.fromkeys(RESCORED, "shipped") and again.n_sequences < model.n_sequences


def test_recompute_runs_every_study_and_says_how_long(project, model, named, monkeypatch):
    toy_task(monkeypatch)
    named["fake"] = model
    card = project / "data" / "models" / "fake.json"
    before = json.loads(card.read_text())
    said = []
    found = recompute.recompute(say=said.append)
    assert set(found["table"]) == DERIVED and set(every_version()) == DERIVED
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
    status = derived.records().set_index("table")["status"]
    unasked = [*RESCORED, "go-embeddings", "downstream-localisation", *{each.split("/")[1] for each in LEARNT}]
    assert set(status.drop(unasked)) == {"shipped"}  # the others are nobody's test
    assert set(status[unasked].drop(READ_AGAIN)) == {"computed"}
    pd.testing.assert_frame_equal(rows, again, atol=5.1e-5, rtol=0, check_dtype=False)


def _kept_options(study, given, title, model, **options):
    given[title] = options
    return study(model, **options)


def test_recompute_of_a_model_that_is_not_bundled_leaves_data_alone(project, named, monkeypatch):
    toy_task(monkeypatch)
    named["fake"] = FakeModel(seeded, card=SimpleNamespace(bundled=False, dim=2, layers=1))
    before = {path: path.read_bytes() for path in (project / "data").rglob("*") if path.is_file()}
    sample, asked = proteomes.load("cafa5"), []

    def load(column, *, whole):
        asked.append((column, whole))
        return sample._replace(whole=whole)

    monkeypatch.setattr(proteomes, "load", load)
    given = {}
    for title in recompute.STUDIES:
        keep = partial(_kept_options, recompute.STUDIES[title], given, title)
        monkeypatch.setitem(recompute.STUDIES, title, keep)
    found = recompute.recompute("paper", ["fake"], say=lambda line: None)
    assert asked == [("cafa5", True)]  # as the notebooks of the profile
    assert {title for title, options in given.items() if "known" in options} == set(recompute.OF_PROTEOMES)
    assert given["layers"]["options"]["n_residues"] == 500_000 != function_studies.LAYERS["n_residues"]
    assert set(found["table"]) == DERIVED and set(found["reason"]) == {"not shipped for this model"}
    assert {path: path.read_bytes() for path in (project / "data").rglob("*") if path.is_file()} == before


# --- downstream tasks --------------------------------------------------------------------------------------------


def toy_task(monkeypatch):
    """One task of a few proteins, with two learners that need no training and one that counts how often it is asked."""
    from plmbook import tasks

    rows = [(f"p{n}", ("train", "validation", "test")[n % 3], "ACDEFGHIKL"[n % 10] * 5) for n in range(30)]
    known = pd.DataFrame(rows, columns=["id", "split", "sequence"]).assign(n_mutations=0)
    known["test"] = np.where(known["split"] == "test", "test", "")
    examples = tasks.Examples(known, tuple(n % 2 for n in range(30)), ("a", "b"))
    asked = []

    def convbert(data, seed):
        asked.append((seed, len(data.examples.of("test"))))
        return [(int(name[1:]) + seed) % 2 for name in known["id"][known["split"] == "test"]][: asked[-1][1]]

    task = dataclasses.replace(tasks.TASKS["localisation"], learners=("composition", "convbert"))
    for name in tasks.TASKS.keys() - {task.name}:
        monkeypatch.delitem(tasks.TASKS, name)
    monkeypatch.setitem(tasks.TASKS, task.name, task)
    monkeypatch.setattr(tasks_studies, "VERSIONS", {"downstream-localisation": 1})
    monkeypatch.setattr(tasks, "examples", lambda name: examples)
    monkeypatch.setitem(task.answers, "convbert", convbert)
    monkeypatch.setattr(tasks_studies, "HEADS_CHECKED", ("localisation",))
    return asked


@pytest.fixture
def task(folders, monkeypatch):
    for name in ("localisation.parquet", "relatives.tsv"):
        (folders / "data" / name).write_text("x")
    return toy_task(monkeypatch)


def test_answers_of_tasks_are_shipped_and_one_head_is_trained_afresh(folders, task, model):
    first = tasks_studies.downstream(model, recompute=True)
    assert [seed for seed, _ in task] == [0, 1, 2]
    assert set(first["learner"]) == {"composition", "convbert"} and set(first["model"]) == {"fake"}
    task.clear()
    again = tasks_studies.downstream(model)
    assert len(task) == 1  # one seed of one head
    pd.testing.assert_frame_equal(first, again)
    record = derived.records().set_index("table").loc["downstream-localisation"]
    assert (record["status"], record["sampled"]) == ("shipped", 20)
    assert artifacts.read("task_outcomes.fake")["id"].nunique() == 10


@pytest.mark.parametrize("learner", ["composition", "convbert"])
def test_an_answer_changed_together_with_the_manifest_is_found(folders, task, model, learner):
    tasks_studies.downstream(model, recompute=True)
    path = folders / "data" / "derived" / "fake" / "downstream-localisation.parquet"
    table = pd.read_parquet(path)
    table.loc[table["learner"] == learner, "predicted"] = 7
    table.to_parquet(path, index=False)
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["content"] = artifacts.content_hash(table)
    path.with_suffix(".json").write_text(json.dumps(manifest))
    with pytest.raises(derived.DerivedMismatch, match=f"localisation by {learner}, fake, .*shipped as 0 and computes"):
        tasks_studies.downstream(model)
