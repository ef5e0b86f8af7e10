"""Readers of embeddings that others made, on files in the formats that they write."""

import argparse

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from plmbook.core.errors import InputError
from plmbook.sources import foreign

DIM = 6
VECTORS = np.random.default_rng(5).normal(size=(4, DIM)).astype(np.float32)
ACCESSIONS = ["P04637", "Q9Y6K9", "P38398", "A0A024RBG1"]
UNIPROT = (  # the columns of a download from UniProt; one protein is not in it, one is no one's
    "Entry\tEntry Name\tGene Names\tOrganism\tFeatures\tLength\n"
    "P38398\tBRCA1_HUMAN\tBRCA1 RNF53\tHomo sapiens (Human)\tDomain (2)\t1863\n"
    "P04637\tP53_HUMAN\tTP53 P53\tHomo sapiens (Human)\tDomain (1)\t393\n"
    "Q9Y6K9\tNEMO_HUMAN\tIKBKG\tHomo sapiens (Human)\tCoiled coil (1)\t419\n"
    "P00000\tXXX_MOUSE\tXxx\tMus musculus (Mouse)\t\t10\n"
)


def check(found, ids=ACCESSIONS, vectors=VECTORS):
    assert found["id"].tolist() == list(ids)
    np.testing.assert_array_equal(np.stack(found["embedding"]), vectors)
    assert found["embedding"].iloc[0].dtype == np.float32


# the hub's layout -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "column"),
    [("id", "embedding"), ("Entry", "embeddings"), ("accession", "Embedding"), ("uniprot_id", "esm2_15B_embedding"),
     ("UniProt ID", "mean_representations"), ("protein_id", "vector")],
)  # fmt: skip
def test_a_column_of_lists(tmp_path, name, column):
    (tmp_path / "data").mkdir()
    for part, rows in enumerate((slice(0, 3), slice(3, 4))):  # shards as the hub names them
        table = pa.table({name: ACCESSIONS[rows], column: VECTORS[rows].tolist(), "label": [1, 2, 3, 4][rows]})
        pq.write_table(table, tmp_path / "data" / f"train-{part:05d}-of-00002.parquet")
    (tmp_path / "README.md").write_text("# a card\n")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "old.csv").write_text("x\n1\n")
    found = foreign.read_hub(tmp_path)
    check(found)
    assert found["label"].tolist() == [1, 2, 3, 4]
    assert list(found) == ["id", "label", "embedding"]


@pytest.mark.parametrize("prefix", ["", "dim_", "emb", "feature ", "esm2_"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "csv.gz"])
def test_a_column_per_number(tmp_path, prefix, first, suffix):
    names = [f"{prefix}{first + n}" for n in range(DIM)]
    order = [3, 0, 5, 1, 2, 4]  # the numbers say the order, not the columns
    table = pd.DataFrame(VECTORS[:, order], columns=[names[n] for n in order]).assign(Entry=ACCESSIONS, go_1=1, go_2=0)
    path = tmp_path / f"all.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if "tsv" in suffix else ",", index=suffix == "csv")  # with pandas' own first column
    found = foreign.read_hub(path)
    assert found["id"].tolist() == ACCESSIONS
    np.testing.assert_allclose(np.stack(found["embedding"]), VECTORS, rtol=1e-6)
    assert {"go_1", "go_2"} <= set(found)


@pytest.mark.parametrize("written", [lambda v: str(v.tolist()), str, lambda v: "[" + "\n ".join(map(str, v)) + "]"])
def test_lists_as_text(tmp_path, written):
    pd.DataFrame({"id": ACCESSIONS, "embedding": [written(v) for v in VECTORS]}).to_csv(tmp_path / "a.csv", index=False)
    found = foreign.read_hub(tmp_path / "a.csv")
    np.testing.assert_allclose(np.stack(found["embedding"]), VECTORS, atol=1e-6)


@pytest.mark.parametrize("ids", [ACCESSIONS, [f"sp|{name}|X_HUMAN" for name in ACCESSIONS]])
@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_uniprot_metadata_is_joined_by_accession(tmp_path, ids, suffix):
    pq.write_table(pa.table({"Entry": ids, "embedding": VECTORS.tolist()}), tmp_path / "e.parquet")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "uniprot.tsv").write_text(UNIPROT)
    if suffix == "parquet":
        pd.read_csv(tmp_path / "m" / "uniprot.tsv", sep="\t").to_parquet(tmp_path / "m" / "u.parquet")
        (tmp_path / "m" / "uniprot.tsv").unlink()
    found = foreign.read_hub(tmp_path / "e.parquet", metadata=tmp_path / "m")
    check(found, ids)
    assert found["Entry Name"].tolist()[:3] == ["P53_HUMAN", "NEMO_HUMAN", "BRCA1_HUMAN"]
    assert found["Gene Names"].isna().tolist() == [False, False, False, True]


def test_metadata_in_the_same_table(tmp_path):
    table = pd.DataFrame(
        [line.split("\t") for line in UNIPROT.splitlines()[1:]], columns=UNIPROT.split("\n")[0].split("\t")
    )
    table.assign(embedding=VECTORS.tolist()).to_parquet(tmp_path / "a.parquet")
    found = foreign.read_hub(tmp_path)
    check(found, ["P38398", "P04637", "Q9Y6K9", "P00000"])
    assert found["Features"].iloc[0] == "Domain (2)"  # a column of UniProt, not the embedding


def frame(**columns):
    return pd.DataFrame({"id": ACCESSIONS, "embedding": VECTORS.tolist()} | columns)


WRONG = {
    "no id": (lambda: frame().drop(columns="id"), "no column names the protein.*found embedding"),
    "no embedding": (lambda: frame().drop(columns="embedding"), "no embedding; expected"),
    "two": (lambda: frame(vector=VECTORS.tolist()), "embedding, vector could each be the embedding"),
    "a gap": (lambda: pd.DataFrame({"id": ACCESSIONS, "0": 1.0, "2": 1.0}), "no embedding; expected"),
    "repeats": (lambda: frame(id=["a", "b", "a", "c"]), "id 'a' repeats"),
    "widths": (
        lambda: frame(embedding=[[1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 2.0]]),
        "'Q9Y6K9' has 1 numbers, expected 2",
    ),
    "nan": (lambda: frame(embedding=[[1.0], [np.nan], [1.0], [1.0]]), "'Q9Y6K9' holds numbers that are missing"),
    "no rows": (lambda: frame().head(0), "has no rows"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path, name):
    made, expected = WRONG[name]
    made().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"a.parquet: .*{expected}"):
        foreign.read_hub(tmp_path / "a.parquet")


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such"):
        foreign.read_hub(tmp_path / "none")
    with pytest.raises(InputError, match="files, found none"):
        foreign.read_hub(tmp_path)
    frame().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "m.tsv").write_text("Entry\tx\nP00000\t1\n")
    with pytest.raises(InputError, match="has none of the proteins"):
        foreign.read_hub(tmp_path / "a.parquet", metadata=tmp_path / "m.tsv")
    (tmp_path / "m.tsv").unlink()
    frame(extra=1).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet: its columns are not those of .*a.parquet \(extra\)"):
        foreign.read_hub(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="a.parquet: cannot be read"):
        foreign.read_hub(tmp_path)
    frame(embedding=["[1, 2]", "[1, x]", "[1, 2]", "[1, 2]"]).to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="row 2: embedding: expected a list of numbers"):
        foreign.read_hub(tmp_path / "t.csv")


# fair-esm's folders ---------------------------------------------------------------------------------------------------

LABELS = {"sp|P04637|P53_HUMAN Cellular tumor antigen": 5, "toy2": 3, "toy1 in a/folder": 4}


def representations(label, layer):
    rng = np.random.default_rng([LABELS[label], layer])
    return torch.from_numpy(rng.normal(size=(LABELS[label], DIM)).astype(np.float32))


@pytest.fixture
def extracted(tmp_path):
    """The files that extract.py writes for layers 0, 32 and 33 and everything included."""
    for label in LABELS:
        per_token = {layer: representations(label, layer) for layer in (0, 32, 33)}
        result = {
            "label": label,
            "representations": per_token,
            "mean_representations": {layer: each.mean(0).clone() for layer, each in per_token.items()},
            "bos_representations": {layer: each[0] + 1 for layer, each in per_token.items()},
            "contacts": torch.zeros(LABELS[label], LABELS[label]),
        }
        path = tmp_path / "esm" / f"{label}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(result, path)
    return tmp_path / "esm"


def rewrite(folder, change):
    for path in folder.rglob("*.pt"):
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)


@pytest.mark.parametrize("pool", ["mean", "max", "bos"])
@pytest.mark.parametrize("layer", [None, 32, 0])
def test_a_folder_of_pt_files(extracted, pool, layer):
    found = foreign.read_fair_esm(extracted, layer=layer, pool=pool)
    assert found["id"].tolist() == ["sp|P04637|P53_HUMAN", "toy1", "toy2"] and set(found["label"]) == set(LABELS)
    how = {"mean": lambda t: t.mean(0), "max": lambda t: t.max(0).values, "bos": lambda t: t[0] + 1}[pool]
    expected = [how(representations(label, 33 if layer is None else layer)).numpy() for label in found["label"]]
    np.testing.assert_array_equal(np.stack(found["embedding"]), np.stack(expected))


def test_residues_and_the_mean_of_them(extracted):
    found = foreign.read_fair_esm(extracted, pool="residue")
    assert found["id"].value_counts().to_dict() == {"sp|P04637|P53_HUMAN": 5, "toy1": 4, "toy2": 3}
    assert found["position"].tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 1, 2, 3]
    np.testing.assert_array_equal(np.stack(found["embedding"])[9:], representations("toy2", 33).numpy())
    means = np.stack(foreign.read_fair_esm(extracted)["embedding"])
    rewrite(extracted, lambda content: content.pop("mean_representations"))
    np.testing.assert_allclose(np.stack(foreign.read_fair_esm(extracted)["embedding"]), means, atol=1e-6)


def test_half_precision_is_read(extracted):
    rewrite(extracted, lambda c: c["mean_representations"].update({33: c["mean_representations"][33].bfloat16()}))
    assert foreign.read_fair_esm(extracted)["embedding"].iloc[0].dtype == np.float32


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        (lambda c: None, {"layer": 5}, "no layer 5; found 0, 32, 33"),
        (lambda c: None, {"pool": "median"}, "pool 'median'"),
        (lambda c: c.pop("bos_representations"), {"pool": "bos"}, r"\.pt: no bos_representations"),
        (lambda c: c.pop("representations"), {"pool": "residue"}, r"\.pt: no representations"),
        (lambda c: c.pop("label"), {}, r"\.pt: expected a dictionary with a label"),
        (lambda c: c.update(label="toy2"), {}, "'toy2' begins the labels of two files"),
        (lambda c: c["mean_representations"].update({33: torch.full((DIM,), torch.nan)}), {}, "not finite"),
        (lambda c: c.update(extra=argparse.Namespace(a=1)), {}, r"\.pt: cannot be read"),
    ],
)
def test_what_is_wrong_with_a_pt_file_is_named(extracted, change, options, expected):
    rewrite(extracted, change)
    with pytest.raises(InputError, match=expected):
        foreign.read_fair_esm(extracted, **options)


def test_a_file_that_is_cut_off_is_named(extracted):
    path = extracted / "toy2.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="toy2.pt: cannot be read"):
        foreign.read_fair_esm(extracted)
    with pytest.raises(InputError, match="found none"):
        foreign.read_fair_esm(extracted / "none")


def test_quotation_marks_around_cells_of_tab_separated_text_are_taken_off(tmp_path):
    """R's write.table puts them around names and texts; one inside a cell is a letter, and joins no rows."""
    (tmp_path / "r.tsv").write_text('"id"\t"note"\t"e_0"\t"e_1"\n"P1"\ta "b\t0.5\t1\n"P2"\tc\t2\t3\n')
    found = foreign.read_hub(tmp_path / "r.tsv")
    assert found["id"].tolist() == ["P1", "P2"] and found["note"].tolist() == ['a "b', "c"]
    assert np.stack(found["embedding"]).tolist() == [[0.5, 1], [2, 3]]
