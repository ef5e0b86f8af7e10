"""Ankh's data sets in the layout of the hub, written here: CSV, gzipped CSV and Parquet; every way to be left out."""

import dataclasses
import gzip
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from plmbook import sources
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.sources import ankh_tasks
from plmbook.tables import bundled


def lines(values):
    """One text a residue, as the hub's files write a mask."""
    return " ".join(f"{value:.1f}" for value in values)


def mask(text):
    return lines(int(letter) for letter in text)


def structure(sequence="MKV", dssp3="HEC", dssp8="GBT", disorder="110", **more):
    return {"input": sequence, "dssp3": dssp3, "dssp8": dssp8, "disorder": mask(disorder), **more}


XYZ = [[1.5, -2.0, 3.25], [0, 0, 0], [4.0, 5.0, 6.0]]

# One usable record a file, with the columns of the hub; a column more than is asked for, where the hub has one.
LAYOUTS = {
    "secondary_structure": {
        "training_hhblits.csv": [structure(cb513_mask=mask("111"))],
        "CASP12.csv": [structure(cb513_mask=mask("111"))],
        "CASP14.csv": [structure(xyz_coordinates=json.dumps(XYZ))],
        "TS115.csv": [structure(cb513_mask=mask("111"))],
        "CB513.csv": [structure(cb513_mask=mask("011"))],
    },
    "contacts": {"CASP14.csv": [structure(disorder="101", xyz_coordinates=json.dumps(XYZ))]},
    "remote_homology": {
        name: [{"primary": "MKV", "fold_label": 7, "class_label": 1}]
        for name in ("train.csv", "valid.csv", "test_fold_holdout.csv")
    },
    "localisation": {
        name: [{"input": "MKV", "loc": "Cell.membrane", "membrane": "M"}]
        for name in ("deeploc_train.csv", "deeploc_test.csv")
    },
    "solubility": {
        f"solubility_{name}.csv": [{"sequences": "MKV", "labels": 1}] for name in ("training", "validation", "testing")
    },
    "fluorescence": {
        f"fluorescence_{name}.csv": [{"primary": "MKV", "log_fluorescence": 3.5, "num_mutations": 2}]
        for name in ("train", "valid", "test")
    },
    "cath": {name: [{"sequence": "MKV", "cath": "3.40.50.300"}] for name in ("lookup.csv", "query.csv")},
}
EXTRA = {  # what a usable record of MKV becomes, beside id, split, sequence and length
    "remote_homology": {"fold": "7"},
    "localisation": {"localisation": "Cell membrane"},
    "solubility": {"soluble": True},
    "fluorescence": {"log_fluorescence": 3.5},
}


def write(folder, files, form="csv"):
    """The files of a data set in one of the forms that the hub has."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in files.items():
        table, stem = pd.DataFrame(records), name.removesuffix(".csv")
        if form == "csv":
            table.to_csv(folder / name, index=False)
        elif form == "csv.gz":
            (folder / f"{name}.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
        else:
            table.to_parquet(folder / f"{stem}.parquet", index=False)
    return folder


def one(tmp_path, name, *records, file=None, split="test", **more):
    """Read a folder where one file of the data set holds these records and one usable one after them."""
    files = dict(LAYOUTS[name])
    file = file or next(each.name for each in ankh_tasks.DATASETS[name].files if each.split == split)
    files[file] = [*records, *files[file]]
    return ankh_tasks.read(name, folder=write(tmp_path / "d", files), split=split, **more)


# --- the layouts ---


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("name", EXTRA)
def test_each_data_set_in_each_form(tmp_path, name, form):
    examples, left_out = ankh_tasks.read(name, folder=write(tmp_path / "d", LAYOUTS[name], form))
    splits = ankh_tasks.DATASETS[name].splits
    assert examples.to_dict("records") == [
        {"id": f"{split}-1", "split": split, "sequence": "MKV", "length": 3, **EXTRA[name]} for split in splits
    ]
    assert left_out.empty and list(left_out) == ["split", "file", "row", "reason"]
    assert examples.attrs == {"hub_id": ankh_tasks.DATASETS[name].hub_id, "revision": ""}


def test_the_columns_have_their_types(tmp_path):
    kinds = {}
    for name in EXTRA:
        examples, _ = ankh_tasks.read(name, folder=write(tmp_path / name, LAYOUTS[name]))
        kinds |= examples.dtypes.astype(str).to_dict()
    assert kinds == {
        "id": "str",
        "split": "str",
        "sequence": "str",
        "length": "int64",
        "fold": "str",
        "localisation": "str",
        "soluble": "bool",
        "log_fluorescence": "float64",
    }


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_secondary_structure_masks_disorder_and_in_cb513_what_its_mask_says(tmp_path, form):
    folder = write(tmp_path / "d", LAYOUTS["secondary_structure"], form)
    examples, left_out = ankh_tasks.read("secondary_structure", folder=folder)
    assert left_out.empty
    assert examples[["id", "split", "test_set", "counted"]].values.tolist() == [
        ["train-1", "train", "", "110"],
        ["CASP12-1", "test", "CASP12", "110"],
        ["CASP14-1", "test", "CASP14", "110"],
        ["TS115-1", "test", "TS115", "110"],
        ["CB513-1", "test", "CB513", "010"],
    ]
    assert list(examples) == ["id", "split", "test_set", "sequence", "length", "dssp3", "dssp8", "counted"]
    assert set(examples["dssp3"]) == {"HEC"} and set(examples["dssp8"]) == {"GBT"}


def test_only_cb513_is_masked_by_cb513_mask_and_only_it_must_have_one(tmp_path):
    files = dict(LAYOUTS["secondary_structure"])
    files["TS115.csv"] = [structure(cb513_mask=mask("011"))]
    examples, _ = ankh_tasks.read("secondary_structure", folder=write(tmp_path / "d", files), split="test")
    assert dict(zip(examples["test_set"], examples["counted"], strict=True))["TS115"] == "110"
    files["CB513.csv"] = [structure()]
    with pytest.raises(InputError, match=r"CB513\.csv: expected a column 'cb513_mask'"):
        ankh_tasks.read("secondary_structure", folder=write(tmp_path / "d", files), split="test")


def test_a_mask_written_as_a_list_or_stored_as_one(tmp_path):
    records = [structure() | {"disorder": "[1.0, 1.0, 0.0]"}]
    examples, _ = one(tmp_path, "secondary_structure", *records, file="TS115.csv")
    assert examples["counted"].tolist()[:1] == ["110"]
    files = {"CASP14.csv": [structure() | {"disorder": [1.0, 1.0, 0.0], "xyz_coordinates": XYZ}]}
    folder = write(tmp_path / "lists", files, "parquet")
    assert ankh_tasks.read("secondary_structure", folder=folder, split="test")[0]["counted"].tolist() == ["110"]
    assert ankh_tasks.read("contacts", folder=folder)[0]["ca_x"].isna().tolist() == [False, True, True]


def test_a_test_set_that_is_not_there_is_said(tmp_path):
    files = {name: LAYOUTS["secondary_structure"][name] for name in ("training_hhblits.csv", "CASP12.csv")}
    examples, left_out = ankh_tasks.read("secondary_structure", folder=write(tmp_path / "d", files))
    assert examples["id"].tolist() == ["train-1", "CASP12-1"]
    assert left_out[["file", "row"]].values.tolist() == [["CASP14.csv", 0], ["TS115.csv", 0], ["CB513.csv", 0]]
    assert left_out["reason"].str.startswith("no such file in").all()
    (tmp_path / "d" / "CASP12.csv").unlink()
    with pytest.raises(InputError, match="no file of secondary_structure; expected CASP12.csv, CASP14.csv"):
        ankh_tasks.read("secondary_structure", folder=tmp_path / "d", split="test")


def test_coordinates_of_casp14_and_what_is_not_resolved(tmp_path):
    """0, 0, 0 stands for no coordinates; so does a residue that is disordered."""
    files = {
        "CASP14.csv": [structure(disorder="011", xyz_coordinates=json.dumps(XYZ)), *LAYOUTS["contacts"]["CASP14.csv"]]
    }
    table, left_out = ankh_tasks.read("contacts", folder=write(tmp_path / "d", files))
    assert left_out.empty
    assert list(table) == ["id", "split", "position", "residue", "ca_x", "ca_y", "ca_z"]
    assert table[["id", "position", "residue"]].values.tolist() == [
        [f"CASP14-{protein}", position, "MKV"[position - 1]] for protein in (1, 2) for position in (1, 2, 3)
    ]
    nan = [np.nan] * 3
    found = table[["ca_x", "ca_y", "ca_z"]].to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [nan, nan, XYZ[2], XYZ[0], nan, XYZ[2]])


def test_cath_says_which_is_looked_up(tmp_path):
    examples, left_out = ankh_tasks.read("cath", folder=write(tmp_path / "d", LAYOUTS["cath"]))
    assert examples[["role", "cath", "split"]].values.tolist() == [
        ["lookup", "3.40.50.300", "train"],
        ["query", "3.40.50.300", "test"],
    ]
    assert left_out[["split", "file", "row"]].values.tolist() == [["validation", "valid.csv", 0]]


def test_a_column_under_a_name_that_nobody_foresaw(tmp_path):
    files = {name: [{"sequence": "MKV", "homology": "1.10.8.10"}] for name in ("lookup.csv", "query.csv")}
    folder = write(tmp_path / "d", files)
    with pytest.raises(
        InputError, match=r"lookup\.csv: expected a column 'cath' .*found the columns sequence, homology"
    ):
        ankh_tasks.read("cath", folder=folder)
    examples, _ = ankh_tasks.read("cath", folder=folder, columns={"cath": "homology"})
    assert examples["cath"].tolist() == ["1.10.8.10"] * 2
    with pytest.raises(InputError, match="field 'label'; expected one of sequence, cath"):
        ankh_tasks.read("cath", folder=folder, columns={"label": "homology"})
    with pytest.raises(InputError, match="expected a column 'other'"):
        ankh_tasks.read("cath", folder=folder, columns={"cath": "other"})


def test_parts_of_a_split_are_read_in_order_and_none_may_be_missing(tmp_path):
    data = tmp_path / "d" / "data"
    data.mkdir(parents=True)
    for part, labels in enumerate([[1, 0], [0]]):
        table = pd.DataFrame({"sequences": ["MKV"] * len(labels), "labels": labels})
        table.to_parquet(data / f"train-{part:05d}-of-00002.parquet")
    train, _ = ankh_tasks.read("solubility", folder=tmp_path / "d", split="train")
    assert train["id"].tolist() == ["train-1", "train-2", "train-3"]
    assert train["soluble"].tolist() == [True, False, False]
    (data / "train-00000-of-00002.parquet").unlink()
    with pytest.raises(InputError, match="expected the 2 parts of solubility_training.csv"):
        ankh_tasks.read("solubility", folder=tmp_path / "d", split="train")


def test_names_of_the_hubs_own_conversion(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "default" / split).mkdir(parents=True)
        table = pd.DataFrame({"input": ["MKV"], "loc": ["Nucleus"]})
        table.to_parquet(tmp_path / "default" / split / "0000.parquet")
    assert ankh_tasks.read("localisation", folder=tmp_path)[0]["localisation"].tolist() == ["Nucleus"] * 2


def test_the_hubs_own_name_wins_and_two_files_that_could_be_it_are_refused(tmp_path):
    write(tmp_path / "d", {"deeploc_test.csv": LAYOUTS["localisation"]["deeploc_test.csv"]})
    write(tmp_path / "d", {"test.csv": [{"input": "M", "loc": "Nucleus"}]})
    assert ankh_tasks.read("localisation", folder=tmp_path / "d", split="test")[0]["sequence"].tolist() == ["MKV"]
    write(tmp_path / "d" / "again", {"deeploc_test.csv": LAYOUTS["localisation"]["deeploc_test.csv"]})
    with pytest.raises(InputError, match=r"again/deeploc_test.csv, deeploc_test.csv could each be deeploc_test.csv"):
        ankh_tasks.read("localisation", folder=tmp_path / "d", split="test")


# --- sequences ---


@pytest.mark.parametrize("given, sequence", [("MUBZOXK", "MUBZOXK"), ("M K  V", "MKV"), ("mkv", "MKV"), ("NA", "NA")])
def test_letters_that_are_kept(tmp_path, given, sequence):
    examples, left_out = one(tmp_path, "solubility", {"sequences": given, "labels": 0})
    assert examples[["sequence", "length", "soluble"]].values.tolist()[0] == [sequence, len(sequence), False]
    assert left_out.empty


def test_spaces_between_residues_and_between_labels(tmp_path):
    records = [structure("M K V", "H E C", "G B T")]
    examples, _ = one(tmp_path, "secondary_structure", *records, file="TS115.csv")
    assert examples.iloc[0][["sequence", "dssp3", "dssp8"]].tolist() == ["MKV", "HEC", "GBT"]


@pytest.mark.parametrize(
    "sequence, reason",
    [
        ("", "the sequence is empty"),
        ("  ", "the sequence is empty"),
        ("MK*", "the sequence has *; expected the 20 amino acids, U, B, Z, O or X"),
        ("M1K-J", "the sequence has - 1 J; expected the 20 amino acids, U, B, Z, O or X"),
    ],
)
def test_sequences_that_are_left_out(tmp_path, sequence, reason):
    examples, left_out = one(tmp_path, "solubility", {"sequences": sequence, "labels": 0})
    assert examples["id"].tolist() == ["test-2"]
    assert left_out.values.tolist() == [["test", "solubility_testing.csv", 1, reason]]


# --- labels ---


@pytest.mark.parametrize(
    "name, record, reason",
    [
        ("solubility", {"sequences": "MK", "labels": 2}, "the label is 2; expected 0 or 1"),
        ("solubility", {"sequences": "MK", "labels": ""}, "the label is not one finite number"),
        ("remote_homology", {"primary": "MK", "fold_label": 1195}, "fold_label 1195; expected 0 to 1194"),
        ("remote_homology", {"primary": "MK", "fold_label": -1}, "fold_label -1; expected 0 to 1194"),
        ("remote_homology", {"primary": "MK", "fold_label": 1.5}, "fold_label 1.5; expected 0 to 1194"),
        ("remote_homology", {"primary": "MK", "fold_label": "a.1"}, "fold_label is not made of numbers"),
        ("fluorescence", {"primary": "MK", "log_fluorescence": "nan"}, "log_fluorescence is not one finite number"),
        ("fluorescence", {"primary": "MK", "log_fluorescence": "inf"}, "log_fluorescence is not one finite number"),
        ("fluorescence", {"primary": "MK", "log_fluorescence": "[1, 2]"}, "log_fluorescence is not one finite number"),
        ("cath", {"sequence": "MK", "cath": "3.40.50"}, "cath '3.40.50'; expected four numbers such as 3.40.50.300"),
        ("cath", {"sequence": "MK", "cath": "3.40.0.1"}, "cath '3.40.0.1'; expected four numbers such as 3.40.50.300"),
        (
            "localisation",
            {"input": "MK", "loc": "Cytoplasm-Nucleus"},
            "localisation 'Cytoplasm-Nucleus' is 2 compartments; expected one",
        ),
        (
            "localisation",
            {"input": "MK", "loc": "Chromosome"},
            "localisation 'Chromosome' is not one of the 10 compartments",
        ),
        ("localisation", {"input": "MK", "loc": ""}, "localisation '' is not one of the 10 compartments"),
        ("secondary_structure", structure(dssp3="HE"), "dssp3 is not as long as the sequence (2 labels, 3 residues)"),
        ("secondary_structure", structure(dssp3="HEL"), "dssp3 has L; expected letters of HEC"),
        ("secondary_structure", structure(dssp8="GB-"), "dssp8 has -; expected letters of HGIEBTSC"),
        (
            "secondary_structure",
            structure(disorder="11"),
            "disorder is not as long as the sequence (2 values, 3 residues)",
        ),
        ("secondary_structure", structure() | {"disorder": "1 1 2"}, "disorder has values other than 0 and 1"),
        ("secondary_structure", structure() | {"disorder": "1 1 a"}, "disorder is not made of numbers"),
        (
            "contacts",
            structure(xyz_coordinates="[[1, 2, 3]]"),
            "xyz_coordinates has 3 numbers, not 3 for each of 3 residues",
        ),
        ("contacts", structure(xyz_coordinates="[[0, 0, 0], [0, 0, 0], [0, 0, 0]]"), "no residue has coordinates"),
        (
            "contacts",
            structure(xyz_coordinates="[[1, 2, inf], [0, 0, 0], [0, 0, 0]]"),
            "xyz_coordinates has a number that is not finite",
        ),
    ],
)
def test_labels_that_are_left_out_with_row_and_reason(tmp_path, name, record, reason):
    file = "CASP14.csv" if name == "secondary_structure" else None
    examples, left_out = one(tmp_path, name, record, file=file)
    assert left_out["row"].tolist() == [1] and left_out["reason"].tolist() == [reason]
    assert len(examples) > 0 and not examples["id"].str.fullmatch(r"(test|CASP14)-1").any()


def test_the_ten_compartments_as_deeploc_writes_them(tmp_path):
    written = [name.replace(" ", ".") for name in bundled.LOCALISATIONS] + ["Lysosome.Vacuole", "golgi apparatus"]
    examples, left_out = one(tmp_path, "localisation", *({"input": "MK", "loc": each} for each in written))
    assert left_out.empty
    assert examples["localisation"].tolist()[:-1] == [*bundled.LOCALISATIONS, "Lysosome/Vacuole", "Golgi apparatus"]


def test_reasons_can_be_counted(tmp_path):
    records = [{"input": "MK", "loc": loc} for loc in ("Cytoplasm-Nucleus", "Nucleus", "Cytoplasm-Nucleus")]
    examples, left_out = one(tmp_path, "localisation", *records)
    assert left_out["reason"].value_counts().to_dict() == {
        "localisation 'Cytoplasm-Nucleus' is 2 compartments; expected one": 2
    }
    assert left_out["row"].tolist() == [1, 3] and examples["id"].tolist() == ["test-2", "test-4"]


@pytest.mark.parametrize("value", [1.25, "[1.25]", "1.25"])
def test_fluorescence_may_be_a_list_of_one_number(tmp_path, value):
    examples, _ = one(tmp_path, "fluorescence", {"primary": "MK", "log_fluorescence": value})
    assert examples["log_fluorescence"].tolist()[0] == 1.25


def test_numbers_as_parquet_stores_them(tmp_path):
    files = {
        "fluorescence_test.csv": [{"primary": "MK", "log_fluorescence": [1.25]}],
        "solubility_testing.csv": [{"sequences": "MK", "labels": True}, {"sequences": None, "labels": True}],
    }
    folder = write(tmp_path / "d", files, "parquet")
    fluorescence, _ = ankh_tasks.read("fluorescence", folder=folder, split="test")
    assert fluorescence["log_fluorescence"].tolist() == [1.25]
    solubility, left_out = ankh_tasks.read("solubility", folder=folder, split="test")
    assert solubility["soluble"].tolist() == [True]
    assert left_out["reason"].tolist() == ["the sequence is empty"]


# --- what is an error ---


def test_a_missing_column_names_the_file_what_was_found_and_what_was_expected(tmp_path):
    files = {"deeploc_train.csv": [{"input": "MK", "membrane": "M"}]}
    with pytest.raises(
        InputError,
        match=r"deeploc_train\.csv: expected a column 'loc' \(localisation\), found the columns input, membrane",
    ):
        ankh_tasks.read("localisation", folder=write(tmp_path / "d", files), split="train")


def test_a_file_without_a_usable_record(tmp_path):
    files = {"solubility_testing.csv": [{"sequences": "", "labels": 1}, {"sequences": "MK", "labels": 5}]}
    with pytest.raises(InputError, match=r"testing\.csv: none of 2 records is usable; row 1: the sequence is empty"):
        ankh_tasks.read("solubility", folder=write(tmp_path / "d", files), split="test")
    (tmp_path / "d" / "solubility_testing.csv").write_text("sequences,labels\n")
    with pytest.raises(InputError, match="none of 0 records is usable"):
        ankh_tasks.read("solubility", folder=tmp_path / "d", split="test")


@pytest.mark.parametrize(
    "content",
    [b"", b'sequences,labels\n"MK,1\n', b"sequences,labels\nMK,1,2\nMK,1,2,3\n", b"sequences,labels\nMK,1,2\n"],
)
def test_a_file_that_is_no_csv(tmp_path, content):
    (tmp_path / "solubility_testing.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"solubility_testing\.csv"):
        ankh_tasks.read("solubility", folder=tmp_path, split="test")


def test_files_that_are_cut_short(tmp_path):
    whole = gzip.compress(b"sequences,labels\n" + b"MK,1\n" * 1000)
    (tmp_path / "solubility_testing.csv.gz").write_bytes(whole[:-12])
    with pytest.raises(InputError, match=r"testing\.csv\.gz: cannot be read as CSV"):
        ankh_tasks.read("solubility", folder=tmp_path, split="test")
    (tmp_path / "solubility_training.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"training\.parquet: cannot be read as Parquet"):
        ankh_tasks.read("solubility", folder=tmp_path, split="train")


def test_a_missing_file_or_folder_or_split(tmp_path):
    folder = write(tmp_path / "d", {"deeploc_train.csv": LAYOUTS["localisation"]["deeploc_train.csv"]})
    with pytest.raises(InputError, match=r"expected deeploc_test\.csv.*found deeploc_train\.csv"):
        ankh_tasks.read("localisation", folder=folder)
    assert len(ankh_tasks.read("localisation", folder=folder, split="train")[0]) == 1
    with pytest.raises(InputError, match="no such folder; expected the files of proteinea/deeploc"):
        ankh_tasks.read("localisation", folder=tmp_path / "none")
    with pytest.raises(InputError, match="split 'validation'; expected one of train, test"):
        ankh_tasks.read("localisation", folder=folder, split="validation")
    with pytest.raises(InputError, match="a local folder has no revision"):
        ankh_tasks.read("localisation", folder=folder, revision="0" * 40)
    with pytest.raises(InputError, match="unknown data set 'solubilty'.*did you mean 'solubility'"):
        ankh_tasks.read("solubilty")


# --- the mirror and the hub ---


@pytest.mark.parametrize("below", ["proteinea/deeploc", "deeploc", "hub/deeploc"])
def test_the_mirror_is_used_instead_of_the_hub(tmp_path, monkeypatch, below):
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path))
    monkeypatch.setenv("PLMBOOK_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="PLMBOOK_MIRROR.*expected a folder proteinea/deeploc or deeploc"):
        ankh_tasks.read("localisation")
    assert sources.listing().set_index("name")["state"]["ankh-localisation"] == "missing"
    write(tmp_path / below, LAYOUTS["localisation"])
    assert len(ankh_tasks.read("localisation")[0]) == 2
    assert sources.listing().set_index("name")["state"]["ankh-localisation"] == "in the mirror"


COMMITS = ["5954b78" + "a" * 33, "2380df1b7f957a8f146385134e672ceea977d51b", "0" * 40]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of one data set, whose files lie in a folder; it records what it was asked."""
    import huggingface_hub

    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    asked = []

    class Api:
        def dataset_info(self, hub_id):
            asked.append(("info", hub_id))
            return SimpleNamespace(sha=COMMITS[0])

        def list_repo_commits(self, hub_id, *, repo_type):
            asked.append(("commits", hub_id, repo_type))
            return [SimpleNamespace(commit_id=commit) for commit in COMMITS]

        def list_repo_files(self, hub_id, *, revision, repo_type):
            asked.append(("files", hub_id, revision, repo_type))
            return [".gitattributes", "README.md", *(path.name for path in (tmp_path / "hub").iterdir())]

    def download(hub_id, name, *, revision, repo_type):
        asked.append(("download", hub_id, name, revision, repo_type))
        return str(tmp_path / "hub" / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return SimpleNamespace(folder=tmp_path / "hub", asked=asked)


def test_the_start_of_a_commit_is_completed_and_recorded(hub):
    write(hub.folder, LAYOUTS["fluorescence"])
    examples, _ = ankh_tasks.read("fluorescence", split="test")
    assert examples.attrs == {"hub_id": "proteinea/fluorescence", "revision": COMMITS[0]}
    assert hub.asked == [
        ("commits", "proteinea/fluorescence", "dataset"),
        ("files", "proteinea/fluorescence", COMMITS[0], "dataset"),
        ("download", "proteinea/fluorescence", "fluorescence_test.csv", COMMITS[0], "dataset"),
    ]


def test_a_whole_commit_is_used_as_it_is(hub):
    write(hub.folder, LAYOUTS["localisation"])
    examples, _ = ankh_tasks.read("localisation")
    assert examples.attrs["revision"] == ankh_tasks.DATASETS["localisation"].revision
    assert {each[0] for each in hub.asked} == {"files", "download"}
    examples, _ = ankh_tasks.read("localisation", revision=COMMITS[1])
    assert examples.attrs["revision"] == COMMITS[1]


def test_without_a_pinned_commit_the_newest_is_read_and_recorded(hub):
    write(hub.folder, LAYOUTS["cath"])
    examples, _ = ankh_tasks.read("cath")
    assert examples.attrs["revision"] == COMMITS[0]
    assert hub.asked[:2] == [
        ("info", "proteinea/nearest_neighbor_search"),
        ("files", "proteinea/nearest_neighbor_search", COMMITS[0], "dataset"),
    ]


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc", "A" * 40])
def test_a_branch_is_no_revision(hub, revision):
    with pytest.raises(InputError, match="expected a commit: 7 to 40 hexadecimal digits"):
        ankh_tasks.read("fluorescence", revision=revision)
    assert hub.asked == []


def test_a_commit_that_the_hub_does_not_have(hub):
    with pytest.raises(InputError, match=r"expected one commit 1234567\.\.\., found 0 among 3 commits"):
        ankh_tasks.read("fluorescence", revision="1234567")


def test_a_hub_that_cannot_be_reached_is_said(hub, monkeypatch):
    import httpx
    import huggingface_hub

    def dead(*_, **__):
        raise httpx.ConnectError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", dead)
    with pytest.raises(
        InputError, match=r"proteinea/deeploc: cannot be read from the hub \(no route to host\); give a"
    ):
        ankh_tasks.read("localisation")


def test_every_data_set_is_described_and_listed():
    for name, dataset in ankh_tasks.DATASETS.items():
        assert dataset.name == name and dataset.licence and dataset.becomes
        assert re.fullmatch(r"|[0-9a-f]{7,40}", dataset.revision)
        assert set(dataset.optional) <= set(dataset.columns)
        with pytest.raises(dataclasses.FrozenInstanceError):
            dataset.revision = ""
    published = pd.read_csv(paths.data() / "published" / "ankh_datasets.csv")["hub_id"]
    assert set(published) == {dataset.hub_id for dataset in ankh_tasks.DATASETS.values()}
    listed = {source.url.removeprefix("https://huggingface.co/datasets/") for source in sources.SOURCES.values()}
    assert set(published) <= listed
    with pytest.raises(InputError, match=r"is no file: plmbook\.sources\.ankh_tasks\.read\('solubility'\)"):
        sources.fetch("ankh-solubility")


# --- what two splits share ---


def test_sequences_shared_between_splits():
    examples = pd.DataFrame(
        [
            ("a", "train", "MK"),
            ("b", "train", "MK"),
            ("c", "validation", "MR"),
            ("d", "test", "MK"),
            ("e", "test", "ME"),
        ],
        columns=["id", "split", "sequence"],
    )
    found = ankh_tasks.duplicates_across(examples)
    assert found.values.tolist() == [["MK", "train, test", "a, b, d", 3]]
    assert ankh_tasks.duplicates_across(examples.iloc[:3]).empty  # twice in one split is no leak
    with pytest.raises(InputError, match=r"missing \['sequence'\]"):
        ankh_tasks.duplicates_across(examples[["id", "split"]])
