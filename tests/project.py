"""A project of two genes, for the studies: the bundled tables in miniature, and a model without weights."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import tables, tasks
from plmbook.core import artifacts, paths
from plmbook.core.residues import AMINO_ACIDS
from plmbook.function import occlusion, proteome_map, trainings
from plmbook.function import studies as function_studies
from plmbook.tables import derived
from plmbook.variants import ngram
from plmbook.variants import studies as variants_studies

GENES = {"AAA1": "MKRLVAEDGHMKRLVAEDGH", "BBB2": "GHWYCMKRLVAEDGHAAA"}
KEPT = tuple(f"k{number}" for number in range(6))
CHAINS = {"train": [f"t{number}" for number in range(8)], "test": [f"c{number}" for number in range(5)]}
PLACED = {"train": [f"r{number}" for number in range(8)], "test": [f"q{number}" for number in range(6)]}
TERMS = ("GO:0005524", "GO:0005525", "GO:0000003")  # the last one is the parent of the first

OPTIONS: dict[str, Mapping] = {  # of studies, by title: what suits two genes and a model of two dimensions
    "rescues": {
        "settings": variants_studies.RescoreSettings(
            n_variants=4, top=3, named={"AAA1": ("R3W",), "BBB2": ("G1W", "H2W")}
        )
    },
    "layers": {"settings": dataclasses.replace(function_studies.LAYERS, dims=(1,))},
    "downstream tasks": {"heads": ("localisation",)},
}


def fake_model(**changes):
    return FakeModel(seeded, **({"card": SimpleNamespace(bundled=True, dim=2, layers=1)} | changes))


def read_by(model):
    """How many sequences a model was given, for what it says or for its attention."""
    return model.n_sequences + len(model.attended)


def set_folders(patch: pytest.MonkeyPatch, root: Path) -> None:
    patch.setenv("PLMBOOK_DATA", str(root / "data"))
    patch.delenv(derived.RECOMPUTE, raising=False)
    patch.setattr(paths, "results", lambda profile: root / "results" / profile)


def make_small(patch: pytest.MonkeyPatch) -> None:
    """What no setting of a study says: terms that the project has, no UMAP, few trees."""
    patch.setattr(occlusion, "MOTIF_TERMS", (("P-loop", TERMS[0]), ("P-loop", TERMS[1])))
    patch.setattr(proteome_map, "umap", lambda space, seed: space.vectors[:, :2])
    patch.setattr(trainings, "FAST", trainings.FAST | {"rounds": 10})


def compute_nothing(patch: pytest.MonkeyPatch) -> None:
    """Where only keys matter: tables of numbers that mean nothing, and no check of rows."""

    def numbers(rows, compute, values):
        found = np.random.default_rng(0).normal(size=(len(rows), len(values)))
        return pd.concat([rows, pd.DataFrame(found, columns=list(values), index=rows.index)], axis=1)

    patch.setattr(derived, "_computed", numbers)
    patch.setattr(derived, "_check_sample", lambda *args, **options: (0, 0.0))


class Shipped:
    """What a study ships in this project, computed once for all tests of a process.

    Called with a study, it puts the files into `data/derived` of the test's project, and returns the result and how
    many sequences the model was given.
    """

    def __init__(self, written: Path, root: Path):
        self.written, self.root, self.made = written, root, {}

    def __call__(self, study):
        if study not in self.made:
            root = self.root / str(len(self.made))
            shutil.copytree(self.written, root / "data")
            with pytest.MonkeyPatch.context() as patch:
                set_folders(patch, root)
                make_small(patch)
                model = fake_model()
                self.made[study] = root / "data" / "derived", study(model, recompute=True), read_by(model)
        folder, result, n = self.made[study]
        shutil.copytree(folder, paths.derived(), dirs_exist_ok=True)
        return result.copy(), n


def change(place: str, alter, *, mend_manifest: bool = False) -> None:
    """Change a shipped table, `<model>/<table>`, by hand."""
    path = paths.derived() / f"{place}.parquet"
    table = alter(pd.read_parquet(path))
    table.to_parquet(path, index=False)
    if mend_manifest:
        manifest = json.loads(path.with_suffix(".json").read_text()) | {"content": artifacts.content_hash(table)}
        path.with_suffix(".json").write_text(json.dumps(manifest))


def check_ships(study, model, ship, places) -> pd.DataFrame:
    """What is shipped is what is computed, less is read for it, and it is of these weights; gives the records."""
    computed, all_of_them = ship(study)
    before = read_by(model)
    pd.testing.assert_frame_equal(study(model), computed)
    assert read_by(model) - before <= all_of_them
    records = derived.records().set_index(["model", "table"])
    own = records.loc[[tuple(place.split("/")) for place in places]]
    assert set(own["status"]) == {"shipped"} and (own["largest_difference"] <= own["tolerance"] / 10).all()
    with pytest.MonkeyPatch.context() as patch:
        compute_nothing(patch)
        study(fake_model(weights_hash="2" * 64))
    reasons = derived.records().set_index(["model", "table"])["reason"]
    for place in places:  # composition reads no model
        other = reasons[tuple(place.split("/"))] == "the shipped table is of another weights"
        assert other != place.startswith("composition")
    return own


def check_change_is_noticed(study, model, ship, place, alter, said="computes to") -> None:
    """A changed number: by its manifest; and where that was changed as well, by what is computed afresh."""
    ship(study)
    name = place.split("/")[1]
    change(place, alter)
    with pytest.raises(derived.DerivedMismatch, match=f"{name}.parquet: .*was a number changed by hand"):
        study(model)
    change(place, lambda table: table, mend_manifest=True)
    with pytest.raises(derived.DerivedMismatch, match=f"{name}.*({said})"):
        study(model)


# --- the bundled tables in miniature ---


def write(data: Path) -> None:
    """The tables of `data/`."""
    data.mkdir(parents=True)
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


def toy_task(monkeypatch):
    """One task of a few proteins, with two learners that need no training and one that counts how often it is asked."""
    rows = [(f"p{n}", ("train", "validation", "test")[n % 3], "ACDEFGHIKL"[n % 10] * 5) for n in range(30)]
    known = pd.DataFrame(rows, columns=["id", "split", "sequence"]).assign(n_mutations=0)
    known["test"] = np.where(known["split"] == "test", "test", "")
    examples = tasks.Examples(known, tuple(n % 2 for n in range(30)), ("a", "b"))
    asked = []

    def convbert(task, data, seed):
        asked.append((seed, len(data.examples.of("test"))))
        return [(int(name[1:]) + seed) % 2 for name in known["id"][known["split"] == "test"]][: asked[-1][1]]

    task = dataclasses.replace(tasks.TASKS["localisation"], learners=("composition", "convbert"))
    for name in tasks.TASKS.keys() - {task.name}:
        monkeypatch.delitem(tasks.TASKS, name)
    monkeypatch.setitem(tasks.TASKS, task.name, task)
    monkeypatch.setattr(tasks, "examples", lambda name: examples)
    monkeypatch.setattr(type(task), "convbert", convbert)
    return asked
