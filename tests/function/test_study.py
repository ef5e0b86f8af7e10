"""`plmbook go` as a user types it: what it writes, twice the same, and what it says when the input is at fault."""

import json

import numpy as np
import pandas as pd
import pytest

from plmbook import cli
from plmbook.core.errors import InputError
from plmbook.function import classifier, inputs, splits, study

N = 240
TERMS = ["GO:0000001", "GO:0000002"]
OBO = """format-version: 1.2
data-version: toy

[Term]
id: GO:0008150
name: biological_process
namespace: biological_process

[Term]
id: GO:0000001
name: a
namespace: biological_process
alt_id: GO:0000011
is_a: GO:0008150 ! biological_process

[Term]
id: GO:0000002
name: b
namespace: biological_process
is_a: GO:0000001 ! a

[Term]
id: GO:0000009
name: old
namespace: biological_process
is_obsolete: true
replaced_by: GO:0000001
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Embeddings of 240 proteins in clusters of two, with two terms that can be read off them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N, 6)).astype(np.float32)
    ids = [f"P{n:03d}" for n in range(N)]
    pd.DataFrame({"id": ids, "embedding": list(vectors)}).to_parquet("own.parquet")
    rows = [(name, "GO:0008150") for name in ids]
    rows += [(name, TERMS[0]) for name, x in zip(ids, vectors, strict=True) if x[0] > 0]
    rows += [(name, TERMS[1]) for name, x in zip(ids, vectors, strict=True) if x[0] > 0 and x[1] > 0]
    write_pairs(rows, "go.tsv")
    pd.DataFrame({"id": ids, "cluster": [f"c{n // 2}" for n in range(N)]}).to_csv("clusters.tsv", sep="\t", index=False)
    letters = rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size=(N, 40))
    fasta = "".join(f">{name}\n{''.join(row)}\n" for name, row in zip(ids, letters, strict=True))
    (tmp_path / "seqs.fasta").write_text(fasta)
    (tmp_path / "go.obo").write_text(OBO)
    return tmp_path


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setitem(study.run.__kwdefaults__, "n", 20)


def write_pairs(rows, path):
    pd.DataFrame(rows, columns=["id", "go_id"]).to_csv(path, sep="\t", index=False)


def run(*arguments):
    return cli.main(["go", *map(str, arguments)])


BOTH = ("own.parquet", "go.tsv", "--clusters", "clusters.tsv", "--terms", "2")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- what it writes --------------------------------------------------------------------------------------


def test_both_splits_with_every_table(folder, capsys):
    assert run(*BOTH, "--sequences", "seqs.fasta", "-o", "out") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("random split, 48 test proteins, lightgbm: mean F1 ")
    assert said[1].startswith("homology split, 48 test proteins") and said[2] == "left out: nothing"
    assert said[3:] == ["terms were not checked against an ontology, nor propagated (--obo FILE does both)"]
    for split in ("random", "homology"):
        metrics = pd.read_csv(f"out/{split}/metrics.tsv", sep="\t")
        assert metrics["learner"].unique().tolist() == ["lightgbm", "knn", "composition", "length", "frequency"]
        own = metrics[metrics["learner"] == "lightgbm"]
        assert own["term"].tolist() == TERMS and (own["auprc"] > 0.8).all()  # the root is not among the commonest
        assert pd.read_parquet(f"out/{split}/metrics.parquet").shape == metrics.shape
        against = pd.read_csv(f"out/{split}/baselines.tsv", sep="\t")
        assert against["beats"].all() and (against["low"] > 0).all()
        assert pd.read_csv(f"out/{split}/cafa.tsv", sep="\t")["aspect"].eq("all").all()
        assert pd.read_csv(f"out/{split}/calibration.tsv", sep="\t")["n"].sum() == 2 * 48
        predictions = pd.read_parquet(f"out/{split}/predictions.parquet")
        assert predictions.columns.tolist() == ["id", "part", *TERMS] and len(predictions) == N
        made = classifier.load(f"out/{split}/classifier")
        thresholds = pd.read_csv(f"out/{split}/thresholds.tsv", sep="\t")
        assert np.allclose(thresholds["threshold"], made.thresholds, rtol=1e-5)
        vectors = np.stack(pd.read_parquet("own.parquet")["embedding"])
        assert np.array_equal(made.predict(vectors), predictions[TERMS].to_numpy())
    parts = pd.read_parquet("out/homology/predictions.parquet")["part"]
    assert (parts.groupby(np.arange(N) // 2).nunique() == 1).all()
    manifest = json.loads((folder / "out/manifest.json").read_text())
    assert manifest["leakage"]["homology"]["n_related"] == 0 < manifest["leakage"]["random"]["n_related"]
    assert manifest["notes"] == said[3:] and manifest["ontology"] is None and manifest["clusters"] == "file"
    assert set(manifest["files"]) == set(contents(folder / "out")) - {"manifest.json"}


def test_the_same_line_gives_the_same_bytes(folder):
    for fast in ([], ["--fast"]):
        for name in "ab":
            assert run(*BOTH, *fast, "-o", f"{name}{len(fast)}") == 0
        assert contents(folder / f"a{len(fast)}") == contents(folder / f"b{len(fast)}")
    exact, fast = (pd.read_parquet(f"a{n}/random/predictions.parquet")[TERMS] for n in (0, 1))
    assert not np.allclose(exact, fast)
    assert run(*BOTH, "--seed", "1", "-o", "c") == 0
    assert contents(folder / "c")["random/predictions.parquet"] != contents(folder / "a0")["random/predictions.parquet"]


def test_a_streamed_data_set_is_read_without_loading_it(folder):
    """What `sources.embeddings.fill` wrote gives what the table itself gives."""
    from plmbook.sources import embeddings

    embeddings.fill(folder / "filled", folder / "own.parquet")
    found, whole = (inputs.read_embeddings(folder / name) for name in ("filled", "own.parquet"))
    assert isinstance(found.vectors, np.memmap) and np.array_equal(found.vectors, whole.vectors)
    assert found.table["id"].tolist() == whole.table["id"].tolist() and found.facts == whole.facts
    assert run("filled", "go.tsv", "--split", "random", "-o", "a") == 0
    assert run("own.parquet", "go.tsv", "--split", "random", "-o", "b") == 0
    same = [pd.read_parquet(folder / name / "random/predictions.parquet") for name in "ab"]
    pd.testing.assert_frame_equal(*same)


def test_clusters_from_the_sequences(folder, monkeypatch, capsys):
    monkeypatch.setattr(study.shutil, "which", lambda name: None)
    assert run("own.parquet", "go.tsv", "--sequences", "seqs.fasta", "--split", "homology", "-o", "out") == 0
    said = capsys.readouterr().out
    assert "warning: no program mmseqs; clusters are from k-mers: 10% of the words of 5 residues shared" in said
    assert json.loads((folder / "out/manifest.json").read_text())["clusters"].startswith("k-mers: ")
    parts = pd.read_parquet("out/homology/predictions.parquet").set_index("id")["part"]
    lines = (folder / "seqs.fasta").read_text().split()
    groups = splits.kmer_clusters([line[1:] for line in lines[::2]], lines[1::2])
    expected = splits.cluster_split(groups.reset_index(), labels=labels_of(parts.index), seed=0)
    assert parts.tolist() == expected.loc[parts.index].tolist()


def test_clusters_are_of_mmseqs_where_it_is(folder, monkeypatch, capsys):
    def clusters(ids, sequences):
        assert len(sequences) == N
        return pd.Series([f"c{n // 3}" for n in range(N)], index=pd.Index(ids, name="id"), name="cluster")

    monkeypatch.setattr(study.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(splits, "mmseqs_clusters", clusters)
    assert run("own.parquet", "go.tsv", "--sequences", "seqs.fasta", "--split", "homology", "-o", "out") == 0
    assert "warning" not in capsys.readouterr().out
    parts = pd.read_parquet("out/homology/predictions.parquet")["part"]
    assert (parts.groupby(np.arange(N) // 3).nunique() == 1).all()
    manifest = json.loads((folder / "out/manifest.json").read_text())
    assert manifest["clusters"] == "MMseqs2: 30% identity, 50% of both covered, E below 0.001"


def labels_of(ids):
    pairs = inputs.read_annotations("go.tsv").pairs
    return classifier.label_table(pairs, ids, classifier.common_terms(pairs[pairs["go_id"] != "GO:0008150"]))


def test_an_ontology_propagates_and_names_what_is_lost(folder, capsys, caplog):
    pairs = pd.read_csv("go.tsv", sep="\t")
    child = pairs[pairs["go_id"] == TERMS[1]]["id"].tolist()
    rows = [(name, TERMS[1]) for name in child]  # the parent is not said
    rows += [(name, "GO:0000011") for name in pairs.loc[pairs["go_id"] == TERMS[0], "id"] if name not in child]
    rows += [(name, "GO:0008150") for name in pairs["id"].unique()]
    rows += [(name, "GO:0000009") for name in ("P000", "P001", "Q2")] + [("P001", "GO:0000777"), ("Q1", TERMS[0])]
    write_pairs(rows, "direct.tsv")
    line = ("own.parquet", "direct.tsv", "--obo", "go.obo", "--split", "random", "--terms", 2)
    assert run(*line, "-o", "out") == 0
    found = pd.read_csv("out/exclusions.tsv", sep="\t", keep_default_na=False)
    assert found.values.tolist() == [
        ["annotation", "GO:0000009", "", "obsolete; replaced by GO:0000001", 3],
        ["annotation", "GO:0000777", "", "no such term", 1],
        ["protein", "Q2", "", "none of its annotations is left", 0],
        ["protein", "Q1", "", "no embedding", 2],
    ]
    said = capsys.readouterr()
    assert "left out: 2 annotations, 2 proteins; see out/exclusions.tsv" in said.out and not said.err
    assert not caplog.records  # obonet says nothing of the header of the file
    mapped = sum(term == "GO:0000011" for _, term in rows)
    assert f"\n{mapped} annotations had an alternative id, mapped to the main one" in said.out and mapped > 1
    manifest = json.loads((folder / "out/manifest.json").read_text())
    assert manifest["alternative_ids_mapped"] == mapped and manifest["ontology"] == "toy"
    assert run("own.parquet", "go.tsv", "--split", "random", "--terms", 2, "-o", "whole") == 0
    said = [(folder / name / "random/predictions.parquet").read_bytes() for name in ("out", "whole")]
    assert said[0] == said[1]
    cafa = pd.read_csv("out/random/cafa.tsv", sep="\t")
    assert cafa["aspect"].eq("biological_process").all() and (cafa["smin"] >= 0).all()
    assert cafa["n_proteins"].eq(48).all() and (cafa["n_with"] < 48).all()  # the root alone makes a protein count


def test_information_is_of_training_proteins(folder, monkeypatch):
    seen = {}

    def information(labels, ancestors, **known):
        seen.update(ids=list(labels.index), known=known)
        return dict.fromkeys(labels, 1.0)

    monkeypatch.setattr(study.measures, "information", information)
    line = ("own.parquet", "go.tsv", "--obo", "go.obo", "--split", "random", "--terms", 2, "--learner", "frequency")
    assert run(*line, "-o", "out") == 0
    parts = pd.read_parquet("out/random/predictions.parquet").set_index("id")["part"]
    assert seen["ids"] == parts.index[parts == "train"].tolist()
    assert len(seen["known"]["annotated"]["biological_process"]) == N


def test_a_term_that_no_test_protein_has_is_reported(folder, capsys):
    parts = splits.random_split([f"P{n:03d}" for n in range(N)], seed=0)
    held = [*parts.index[parts == "train"][:30], *parts.index[parts == "validation"][:5]]
    rows = [(name, "GO:0000005") for name in held]
    write_pairs([*pd.read_csv("go.tsv", sep="\t").itertuples(index=False, name=None), *rows], "more.tsv")
    (folder / "terms.txt").write_text("GO:0000001\nGO:0000005\n")
    line = ("--split", "random", "--terms", "terms.txt", "--learner", "logistic", "-o", "out")
    assert run("own.parquet", "more.tsv", *line) == 0
    found = pd.read_csv("out/exclusions.tsv", sep="\t", keep_default_na=False)
    assert found.values.tolist() == [["term", "GO:0000005", "random", "no test protein has it", 0]]
    metrics = pd.read_csv("out/random/metrics.tsv", sep="\t").set_index(["learner", "term"])
    own = metrics.loc[("logistic", "GO:0000001")]
    expected = f"mean F1 {own['f1']:.3f}, mean AUPRC {own['auprc']:.3f} over 1 terms"
    assert expected in capsys.readouterr().out


def test_splits_are_made_before_anything_is_trained(folder, monkeypatch, capsys):
    def never(*arguments, **options):
        raise AssertionError("trained")

    monkeypatch.setattr(study, "_study", never)
    pd.DataFrame({"id": [f"P{n:03d}" for n in range(N)], "cluster": "one"}).to_csv("one.tsv", sep="\t", index=False)
    assert run("own.parquet", "go.tsv", "--clusters", "one.tsv", "-o", "out") == 2
    assert "too few proteins or clusters" in capsys.readouterr().err


def test_what_cannot_be_learnt_is_reported(folder, capsys):
    rows = [*pd.read_csv("go.tsv", sep="\t").itertuples(index=False, name=None), ("P001", "GO:0000005")]
    rows += [(name, "GO:0000001") for name in ("Q1", "Q2")] + [("Q2", "GO:0000005")]
    write_pairs([row for row in rows if row[0] != "P007"], "more.tsv")
    (folder / "terms.txt").write_text("go_id\tname\nGO:0000001\ta\nGO:0008150\n# none has it\nGO:0000777\nGO:0000005\n")
    assert run("own.parquet", "more.tsv", "--split", "random", "--terms", "terms.txt", "-o", "out") == 0
    found = pd.read_csv("out/exclusions.tsv", sep="\t", keep_default_na=False)
    assert found[["what", "name", "split", "count"]].values.tolist() == [
        ["protein", "Q1", "", 1],
        ["protein", "Q2", "", 2],
        ["protein", "P007", "", 0],
        ["term", "GO:0008150", "random", 167],
        ["term", "GO:0000777", "random", 0],
        ["term", "GO:0000005", "random", 1],
    ]
    reasons = found.set_index("name")["reason"].to_dict()
    assert (reasons["Q1"], reasons["P007"]) == ("no embedding", "no annotation")
    assert reasons["GO:0008150"] == "every training protein has it"
    assert reasons["GO:0000777"] == "no training protein has it"
    assert "left out: 3 proteins, 3 terms" in capsys.readouterr().out
    assert classifier.load("out/random/classifier").terms == ("GO:0000001",)


def test_annotations_in_both_layouts(folder):
    for text in (
        "Entry\tGene Ontology IDs\nP1\tGO:0000001; GO:0000002\nP2\t\n",
        "id\tgo_id\nP1\tGO:0000001\nP1\tGO:0000002\nP1\tGO:0000001\n",
        "Entry\tEntry Name\tGene Ontology (GO)\nP1\tA_HUMAN\tcell [GO:0000001]; a 5' [b] end [GO:0000002]\nP2\tB\t\n",
        "Entry\tEntry Name\tGene Ontology (GO)\tGene Ontology IDs\nP1\tA\tx [GO:0000001]\tGO:0000001; GO:0000002\n",
        'id\tname\tgo_id\nP1\t"5-HT like\tGO:0000001\nP1\t"x\tGO:0000002\n',
    ):
        (folder / "a.tsv").write_text(text)
        found, left_out, evidence = inputs.read_annotations("a.tsv")
        assert not left_out and not evidence and found.values.tolist() == [["P1", "GO:0000001"], ["P1", "GO:0000002"]]


def test_a_gaf_file_gives_the_same(folder, capsys):
    line = "UniProtKB\t{}\tG\t{}\t{}\tPMID:1\tIDA\t\tP\tname\t\tprotein\ttaxon:9606\t20200101\tUniProt\t\t\n"
    pairs = pd.read_csv("go.tsv", sep="\t")
    lines = [line.format(row.id, "involved_in", row.go_id) for row in pairs.itertuples()]
    lines[0] = lines[0].replace("\tIDA\t", "\tIEA\t")
    lines.append(line.format("P000", "NOT|involved_in", "GO:0000005"))
    (folder / "go.gaf").write_text("!gaf-version: 2.2\n" + "".join(lines))
    for file in ("go.tsv", "go.gaf"):
        arguments = ("--split", "random", "--terms", 2, "--learner", "frequency", "-o", f"out_{file[-3:]}")
        assert run("own.parquet", file, *arguments) == 0
    first, second = (contents(folder / f"out_{kind}/random") for kind in ("tsv", "gaf"))
    assert first == second
    found = pd.read_csv("out_gaf/exclusions.tsv", sep="\t")
    assert found[["what", "reason", "count"]].values.tolist() == [["annotation", "qualifier NOT", 1]]
    n = len(pairs) - 1
    assert f"warning: {1 / (n + 1):.1%} of the annotations are electronic (IEA)" in (said := capsys.readouterr().out)
    assert f"by evidence: IDA {n}, IEA 1" in said
    assert json.loads((folder / "out_gaf/manifest.json").read_text())["evidence"] == {"IDA": n, "IEA": 1}


def test_a_gaf_file_of_another_data_base_is_named(folder, capsys):
    line = "MGI\tMGI:1\tG\tinvolved_in\tGO:0005829\tPMID:1\tIDA\t\tC\tname\t\tprotein\ttaxon:10090\t20200101\tMGI\t\t\n"
    (folder / "mgi.gaf").write_text("!gaf-version: 2.2\n" + line)
    assert run("own.parquet", "mgi.gaf", "--split", "random", "-o", "out") == 2
    assert "no annotation of a protein of UniProtKB; left out: database MGI (1)" in capsys.readouterr().err


# --- a classifier, applied -------------------------------------------------------------------------------


@pytest.fixture
def stores(folder, monkeypatch):
    """Embeddings of the tiny model: two stores of one making, one of another layer."""
    from tiny import write_bundled

    write_bundled(folder / "data")
    monkeypatch.setenv("PLMBOOK_DATA", str(folder / "data"))
    lines = (folder / "seqs.fasta").read_text().split()
    (folder / "few.fasta").write_text("\n".join(lines[:20]) + "\n")
    for name, fasta, layer in (("all", "seqs.fasta", -1), ("few", "few.fasta", -1), ("other", "few.fasta", 1)):
        assert cli.main(["embed", fasta, "-m", "embedded", "-o", name, "--layer", str(layer), "-q"]) == 0
    return folder


def test_a_classifier_is_applied_to_a_store(stores, capsys):
    assert run("all", "go.tsv", "--split", "random", "--terms", 2, "--learner", "logistic", "-o", "out") == 0
    metrics = pd.read_csv("out/random/metrics.tsv", sep="\t")
    assert metrics["learner"].unique().tolist() == ["logistic", "knn", "length", "frequency"]  # the store has lengths
    capsys.readouterr()
    for named in ("out", "out/random", "out/random/classifier"):
        assert run("--predict", named, "few", "-o", "said.tsv") == 0
    assert "said.tsv: 10 proteins, 2 terms, logistic" in capsys.readouterr().out
    found = pd.read_csv("said.tsv", sep="\t")
    before = pd.read_parquet("out/random/predictions.parquet").head(10)
    assert found.columns.tolist() == ["id", "term", "probability", "predicted"]
    assert found["id"].unique().tolist() == before["id"].tolist()
    assert np.allclose(found.pivot(index="id", columns="term", values="probability"), before[TERMS], atol=1e-6)
    thresholds = dict(zip(TERMS, classifier.load("out/random/classifier").thresholds, strict=True))
    assert (found["predicted"] == (found["probability"] >= found["term"].map(thresholds) - 1e-7)).all()


def test_a_classifier_refuses_embeddings_of_another_making(stores, capsys):
    assert run("all", "go.tsv", "--split", "random", "--terms", 2, "--learner", "logistic", "-o", "out") == 0
    assert run("--predict", "out", "other", "-o", "said.tsv") == 2
    assert "other: layer 1, expected 3, on which the classifier was trained" in capsys.readouterr().err
    assert run("--predict", "out", "own.parquet", "-o", "said.tsv") == 2
    assert "own.parquet: model not known, expected 'plmbook_t3_tiny'" in capsys.readouterr().err
    assert run("own.parquet", "go.tsv", "--split", "random", "--terms", 2, "--learner", "knn", "-o", "foreign") == 0
    pd.DataFrame({"id": ["a"], "embedding": [[1.0, 2.0]]}).to_parquet("narrow.parquet")
    capsys.readouterr()
    assert run("--predict", "foreign", "narrow.parquet", "-o", "said.tsv") == 2
    assert "narrow.parquet: 2 numbers a protein, expected 6" in capsys.readouterr().err
    assert not (stores / "said.tsv").exists()


def test_two_classifiers_need_a_name(folder, capsys):
    assert run(*BOTH, "--learner", "frequency", "-o", "out") == 0
    assert run("--predict", "out", "own.parquet", "-o", "said.tsv") == 2
    assert "holds a classifier of each split; name out/random or out/homology" in capsys.readouterr().err


# --- ill input -------------------------------------------------------------------------------------------

TABLES = {
    "no GO column": ("id\tx\nP000\tGO:0000001\n", "expected one column with GO ids, such as go_id; found none"),
    "lines of two lengths": ("id\tgo_id\nP000\tGO:0000001\ta\tb\nP1\t\n", "line 2: expected 2 tab-separated values"),
    "short lines": ("id\tgo_id\n\nP000\tGO:0000001\nP1\n", "line 4: expected 2 tab-separated values"),
    "one name twice": ("id\tgo_id\tgo_id\nP000\t\t\n", "more than one column named 'go_id'"),
    "two GO columns": ("id\tgo\tgo_id\nP000\t\t\n", "expected one column with GO ids, such as go_id; found go, go_id"),
    "no ids": ("x\tgo_id\nP000\tGO:0000001\n", "no column names the protein; expected id, Entry"),
    "no GO id": ("id\tgo_id\nP000\tGO:0000001\nP001\tnucleus\n", "bad.tsv: line 3: 'nucleus': expected a GO id"),
    "no protein": ("id\tgo_id\n\tGO:0000001\n", "bad.tsv: line 2: the column id is empty"),
    "other proteins": ("id\tgo_id\nQ1\tGO:0000001\n", "none of its 1 proteins is in own.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_mistake_in_the_annotations_is_named(folder, capsys, name):
    text, expected = TABLES[name]
    (folder / "bad.tsv").write_text(text)
    assert run("own.parquet", "bad.tsv", "--split", "random", "-o", "out") == 2
    assert expected in capsys.readouterr().err
    assert not (folder / "out").exists() and not list(folder.glob(".out*"))


def test_a_mistake_in_the_embeddings_is_named(folder, capsys):
    table = pd.read_parquet("own.parquet")
    pd.concat([table, table.head(1)]).to_parquet("twice.parquet")
    vectors = np.stack(table["embedding"])
    vectors[3, 2] = np.nan
    table.assign(embedding=list(vectors)).to_parquet("nan.parquet")
    table.assign(id=["a", "b", None, *table["id"][3:]]).to_parquet("none.parquet")
    for name, expected in (
        ("none.parquet", "row 3: the column id is empty"),
        ("twice.parquet", "id 'P000' repeats; expected each protein once"),
        ("nan.parquet", "the embedding of 'P003' holds numbers that are missing or not finite"),
        ("absent", "absent: no such file or folder; expected embeddings"),
        ("go.tsv", "go.tsv: no embedding; expected a column of lists"),
    ):
        assert run(name, "go.tsv", "--split", "random", "-o", "out") == 2
        assert expected in capsys.readouterr().err
    assert not (folder / "out").exists()


LINES = {
    "no relatives": (["own.parquet", "go.tsv"], "--split both needs to know which proteins are relatives"),
    "no annotations": (["own.parquet"], "ANNOTATIONS is missing"),
    "another split": (["own.parquet", "go.tsv", "--split", "homolgy"], "did you mean 'homology'?"),
    "another learner": (["own.parquet", "go.tsv", "--learner", "xgboost"], "--learner xgboost: expected"),
    "fast of another": (["own.parquet", "go.tsv", "--learner", "knn", "--fast"], "--fast is for --learner lightgbm"),
    "no sequences": (["own.parquet", "go.tsv", "--split", "random", "--learner", "composition"], "give --sequences"),
    "no term": (["own.parquet", "go.tsv", "--terms", "0"], "--terms 0: expected a number from 1"),
    "no file of terms": (["own.parquet", "go.tsv", "--split", "random", "--terms", "t"], "--terms t: expected"),
    "few sequences": (["own.parquet", "go.tsv", "--sequences", "one.fasta"], "lacks 239 of 240 embedded proteins"),
    "few clusters": (["own.parquet", "go.tsv", "--clusters", "one.tsv"], "239 of 240 proteins have no cluster"),
    "no clusters": (["own.parquet", "go.tsv", "--clusters", "go.tsv"], "go.tsv: the table lacks cluster"),
    "an old term": (["own.parquet", "go.tsv", "--obo", "go.obo", "--terms", "old", "--split", "random"], "none of the"),
    "no classifier": (["--predict", ".", "own.parquet"], "--predict .: no classifier here"),
    "options to predict": (["--predict", ".", "own.parquet", "--terms", "20", "--fast"], "--terms, --fast: not used"),
    "terms to predict": (["--predict", ".", "own.parquet", "go.tsv"], "--predict takes embeddings alone"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_mistake_in_the_line_is_named(folder, capsys, name):
    arguments, expected = LINES[name]
    (folder / "one.fasta").write_text(">P000\nMKV\n")
    (folder / "one.tsv").write_text("id\tcluster\nP000\tc\n")
    (folder / "old").write_text("GO:0000009\n")
    output = "out.tsv" if "--predict" in arguments else "out"
    assert run(*arguments, "-o", output) == 2
    assert expected in capsys.readouterr().err
    assert not (folder / output).exists()


def test_an_output_with_files_is_left_alone(folder, capsys):
    (folder / "out").mkdir()
    (folder / "out/mine").write_text("dear")
    assert run("own.parquet", "go.tsv", "--split", "random", "-o", "out") == 2
    assert "out: is not empty; name a new folder" in capsys.readouterr().err
    for here in (".", "../" + folder.name):
        assert run("own.parquet", "go.tsv", "--split", "random", "-o", here) == 2
        assert "is the current folder; name a new one in it" in capsys.readouterr().err
    assert run("own.parquet", "go.tsv", "--split", "random", "-o", "no/out") == 2
    assert "the folder no does not exist" in capsys.readouterr().err
    assert run("own.parquet", "go.tsv", "-o", "out.tsv") == 2
    assert "out.tsv: the output is a folder" in capsys.readouterr().err


def test_a_link_to_an_empty_folder_is_filled(folder):
    (folder / "place").mkdir()
    (folder / "link").symlink_to("place")
    assert run("own.parquet", "go.tsv", "--split", "random", "--learner", "frequency", "-o", "link") == 0
    assert (folder / "link").is_symlink() and (folder / "place/manifest.json").is_file()


def test_terms_of_a_file_are_checked(folder):
    for text, expected in (
        ("GO:1\n", "line 1: 'GO:1' is no GO id"),
        ("GO:0000001\n" * 2, "line 2: .* repeats"),
        ("", "holds no GO id"),
    ):
        (folder / "t").write_text(text)
        with pytest.raises(InputError, match=expected):
            inputs.read_terms("t")
