"""The command line as a new user types it: what it writes, and what it says when the input is at fault."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from plmbook import cli, models, tables
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.core.residues import parse_mutations
from plmbook.engine import encode, shards, store
from plmbook.function import classifier, study
from plmbook.models import base, cards
from plmbook.tables import bundled
from plmbook.variants import effects, rescue, rescue_tables

FASTA = ">toy1 a first protein\nMKRLVAEDGHMKRLVAEDGH\n>toy2\nGHWYCMKRLVAEDGH\n>toy3\nACDEFGHIKLMNPQRSTVWY\n"
VARIANTS = """id\tmutation\tnote
toy1\tK2A\tfirst
toy1\tp.Arg3His\tsecond
toy1\tp.(Leu4Pro)\tthird
toy1\tVal5Ala\tfourth
toy1\tK2A:R3H\tdouble
toy2\tG1A\t
toy2\tH2R\t
toy2\tW3C\t
toy3\tA1C\t
toy3\tY20H\tlast
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder with two files, and a tiny bundled model."""
    from tiny import write_bundled

    write_bundled(tmp_path / "data")
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "seqs.fasta").write_text(FASTA)
    (work / "variants.tsv").write_text(VARIANTS)
    monkeypatch.chdir(work)
    return work


def python(*arguments, **options):
    """Run another Python that finds the package without its being installed."""
    environment = {**os.environ, "PYTHONPATH": str(paths.root() / "src")}
    program = [sys.executable, *arguments]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, env=environment, **options)


def run(command, *arguments):
    """Run a line; on the tiny bundled model where it names none, for the default is a published one."""
    default = ["-m", "embedded"] if command in ("effects", "embed", "task") and "-m" not in arguments else []
    return cli.main([str(a) for a in (command, *default, *arguments)])


@pytest.fixture
def tiny_default(folder, monkeypatch):
    """A tiny UniRep under the name of the default model, in a mirror."""
    import tiny

    card = tiny.unirep_card(name=cli.DEFAULT, source=cards.CARDS[cli.DEFAULT].source, licence="CC BY-NC 4.0")
    monkeypatch.setitem(cards.CARDS, cli.DEFAULT, card)
    monkeypatch.setenv("PLMBOOK_MIRROR", str(folder))
    tiny.write_unirep(folder / f"{cli.DEFAULT}.npz")


def test_the_default_is_unirep_and_its_licence_is_said(tiny_default, capsys):
    assert cli.main(["effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv"]) == 0
    assert "unirep_1900: weights under CC BY-NC 4.0, not for commercial use" in capsys.readouterr().err
    found = pd.read_csv("out.tsv", sep="\t", keep_default_na=False)
    assert set(found["model"]) == {cli.DEFAULT} and set(found["strategy"]) == {"likelihood"}
    assert cli.main(["effects", "seqs.fasta", "variants.tsv", "-o", "next.tsv", "-s", "next-residue"]) == 0
    single, other = (pd.read_csv(name, sep="\t")["score"] for name in ("next.tsv", "out.tsv"))
    assert np.isfinite(single).all() and not np.allclose(single, other)
    assert cli.main(["embed", "seqs.fasta", "-o", "out", "--pool", "fusion"]) == 0
    stored = store.read("out")
    assert len(stored["embedding"].iloc[0]) == 3 * 16
    capsys.readouterr()
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "no.tsv", "-m", "embedded", "-m", cli.DEFAULT) == 2
    assert "unirep_1900: strategy 'wildtype-marginals' is not defined for it" in capsys.readouterr().err
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "no.tsv", "-s", "likelihood") == 2
    assert "no chain has a likelihood; expected wildtype-marginals" in capsys.readouterr().err


def test_rescue_says_what_the_embedded_model_has_not_read(folder, capsys, monkeypatch):
    monkeypatch.setattr(bundled, "unlike_genes", lambda proteins: proteins["id"].tolist()[:2])
    assert run("rescue", "seqs.fasta", "variants.tsv", "-o", "out.parquet", "-m", "embedded") == 0
    said = capsys.readouterr().err
    assert "toy1, toy2: unlike the 53 genes" in said and "toy3" not in said


def test_rescue_by_a_model_that_reads_one_way_names_what_follows_the_variant(tiny_default):
    assert run("rescue", "seqs.fasta", "variants.tsv", "-o", "out.parquet", "-m", cli.DEFAULT) == 0
    found = pd.read_parquet("out.parquet")
    last = found["mutation"].str.split(":").str[-1].str[1:-1].astype(int)
    assert len(found) and (found["position"] > last).all() and found["epistasis"].abs().max() > 0


def test_effects_on_three_proteins_and_ten_variants(folder, capsys):
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv") == 0
    found = pd.read_csv("out.tsv", sep="\t", keep_default_na=False)
    assert list(found.columns) == ["id", "mutation", "note", "model", "strategy", "score"]
    assert found["mutation"].tolist()[:5] == ["K2A", "R3H", "L4P", "V5A", "K2A:R3H"]
    assert found["note"].tolist()[:2] == ["first", "second"]
    assert set(found["model"]) == {"plmbook_t3_tiny"} and set(found["strategy"]) == {"wildtype-marginals"}
    expected = effects.score(models.load("embedded"), "GHWYCMKRLVAEDGH", [parse_mutations("W3C")])
    assert found.loc[7, "score"] == pytest.approx(expected[0], abs=1e-5)
    assert "10 variants of 3 proteins" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", base.strategies(["log-probabilities"]))
def test_every_strategy_runs(folder, strategy):
    assert run("effects", "seqs.fasta", "variants.tsv", "-s", strategy, "-o", "out.parquet", "--device", "cpu") == 0
    found = pd.read_parquet("out.parquet")
    assert set(found["strategy"]) == {strategy} and np.isfinite(found["score"]).all()


@pytest.fixture
def decoders(folder, monkeypatch):
    """Tiny Ankh and Ankh3 with decoders, found in a mirror, and a ProtT5 without."""
    import tiny
    from plmbook.models import cards

    monkeypatch.setenv("PLMBOOK_MIRROR", str(folder.parent / "mirror"))
    for kind in tiny.T5:
        monkeypatch.setitem(cards.CARDS, f"{kind}_tiny", tiny.t5_card(kind))
        tiny.write_t5(folder.parent / "mirror" / f"{kind}-tiny", kind)
    return folder


def test_a_decoder_scores_by_pseudo_likelihood(decoders, capsys):
    options = ("-m", "ankh_tiny", "-s", "pseudo-likelihood", "--device", "cpu")
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", *options) == 0
    found = pd.read_csv("out.tsv", sep="\t", keep_default_na=False)
    assert set(found["model"]) == {"ankh_tiny"} and set(found["strategy"]) == {"pseudo-likelihood"}
    model = models.load("ankh_tiny", device="cpu", dtype="float32", decoder=True)

    def total(sequence):
        """Sum of ln p of each residue, one sequence at a time."""
        hidden = [f"{sequence[:n]}_{sequence[n + 1 :]}" for n in range(len(sequence))]
        rows = [model.run([text])[0].log_probabilities[0] for text in hidden]
        return sum(float(row["ACDEFGHIKLMNPQRSTVWY".index(each)]) for row, each in zip(rows, sequence, strict=True))

    wild = "GHWYCMKRLVAEDGH"
    assert found.loc[7, "score"] == pytest.approx(total("GHCYCMKRLVAEDGH") - total(wild), abs=1e-3)
    assert "10 variants of 3 proteins, pseudo-likelihood, ankh_tiny in float32" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", [each for each in base.SCORES if each != "pseudo-likelihood"])
def test_a_decoder_is_refused_where_it_defines_nothing_before_it_loads(decoders, capsys, monkeypatch, strategy):
    monkeypatch.setattr(models, "load", lambda *a, **k: pytest.fail("a model was loaded"))
    for names in (("-m", "ankh_tiny"), ("-m", "ankh_tiny", "-m", "embedded")):
        assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", "-s", strategy, *names) == 2
        printed = capsys.readouterr().err
        assert f"ankh_tiny: strategy '{strategy}' is not defined for it" in printed
        assert "expected pseudo-likelihood" in printed and not Path("out.tsv").exists()
    loaded = types.SimpleNamespace(name="x", can=lambda what: what == "pseudo-likelihood")
    with pytest.raises(InputError, match="expected pseudo-likelihood"):
        effects.score(loaded, "MKRL", [parse_mutations("K2A")], strategy=strategy)


def test_an_encoder_alone_scores_by_no_strategy(folder, capsys):
    arguments = ("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", "-m", "prott5_xl_u50")
    assert run(*arguments, "-s", "pseudo-likelihood") == 2
    assert "name a model of ESM-1b, ESM-1v, ESM-2" in capsys.readouterr().err


def test_generate_writes_spans_anew(decoders, capsys):
    line = ("generate", "seqs.fasta", "-m", "ankh_tiny", "--span", "2-3", "--span", "10", "--device", "cpu")
    assert run(*line, "-o", "out.tsv", "-n", "2", "--seed", "1", "--perplexity") == 0
    found = pd.read_csv("out.tsv", sep="\t")
    columns = ["id", "number", "model", "sequence", "spans", "fills", "log_likelihood", "perplexity"]
    assert list(found.columns) == columns and len(found) == 6
    assert found["id"].tolist() == ["toy1", "toy1", "toy2", "toy2", "toy3", "toy3"]
    assert found["number"].tolist() == [1, 2] * 3 and set(found["spans"]) == {"2-3;10-10"}
    sources = tables.read_fasta("seqs.fasta").set_index("id")["sequence"]
    for row in found.itertuples():
        first, second = row.fills.split(";")
        given = sources[row.id]
        assert row.sequence == given[0] + first + given[3:9] + second + given[10:]
    assert (found["log_likelihood"] < 0).all() and (found["perplexity"] > 1).all()
    assert "6 sequences of 3 proteins, ankh_tiny in float32" in capsys.readouterr().out
    assert run(*line, "-o", "out.fasta", "-n", "2", "--seed", "1") == 0
    written = tables.read_fasta("out.fasta")
    assert written["id"].tolist()[:2] == ["toy1_1", "toy1_2"]
    assert written["sequence"].tolist() == found["sequence"].tolist()
    assert "spans=2-3;10-10" in written["description"][0] and "log_likelihood=-" in written["description"][0]
    (decoders / "one.fasta").write_text(">toy2\nGHWYCMKRLVAEDGH\n")  # alone it gives the same
    assert run("generate", "one.fasta", *line[2:], "-o", "one.tsv", "-n", "2", "--seed", "1") == 0
    assert pd.read_csv("one.tsv", sep="\t")["sequence"].tolist() == found["sequence"].tolist()[2:4]


def test_generate_writes_runs_of_x(decoders):
    (decoders / "x.fasta").write_text(">a\nMXXKRX\n>b\nXMKR\n")
    assert run("generate", "x.fasta", "-m", "ankh3_tiny", "-o", "out.parquet", "--device", "cpu") == 0
    found = pd.read_parquet("out.parquet").set_index("id")
    assert found["spans"].to_dict() == {"a": "2-3;6-6", "b": "1-1"} and not found["sequence"].str.contains("X").any()
    assert found["sequence"].str.len().to_dict() == {"a": 6, "b": 4}
    assert run("generate", "x.fasta", "-m", "ankh3_tiny", "-o", "out.tsv", "--sentinel", "span", "--longest", 5) == 0
    fills = pd.read_csv("out.tsv", sep="\t")["fills"]
    assert all(1 <= len(each) <= 5 for each in ";".join(fills).split(";"))


def test_generate_goes_on_with_a_protein(decoders):
    line = ("generate", "seqs.fasta", "-m", "ankh3_tiny", "--extend", 4, "--device", "cpu")
    assert run(*line, "-o", "out.tsv") == 0
    found = pd.read_csv("out.tsv", sep="\t")
    assert found["spans"].tolist() == ["21-24", "16-19", "21-24"] and set(found["model"]) == {"ankh3_tiny_S2S"}
    given = tables.read_fasta("seqs.fasta")["sequence"]
    assert found["sequence"].tolist() == [a + b for a, b in zip(given, found["fills"], strict=True)]
    assert found["fills"].str.len().tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-m", "embedded", "--span", "2-3"), "plmbook_t3_tiny: has no decoder that writes sequences; expected one of"),
        (("-m", "prott5_xl_u50", "--span", "2-3"), "expected one of ankh_base, ankh_large"),
        (("-m", "ankh_tiny"), "toy1: no X in its sequence, and no span given"),
        (("-m", "ankh_tiny", "--span", "2:3"), "span '2:3': expected START-END"),
        (("-m", "ankh_tiny", "--span", "14-16"), "toy2: span 14 to 16: expected positions from 1 to 15"),
        (("-m", "ankh_tiny", "--span", "2-4", "--span", "4-5"), "toy1: span 2 to 4 overlaps 4 to 5"),
        (("-m", "ankh_tiny", "--span", "2-3", "-n", "2"), "-n 2: without --seed"),
        (("-m", "ankh_tiny", "--span", "2-3", "--seed", "1", "--temperature", "0"), "--temperature 0.0: expected more"),
        (("-m", "ankh_tiny", "--span", "2-3", "--sentinel", "letter"), "--sentinel letter: expected one of residue"),
        (("-m", "ankh_tiny", "--span", "2-3", "--longest", "2"), "--longest 2: is for --sentinel span"),
        (("-m", "ankh_tiny", "--extend", "3"), "--extend 3: ankh_tiny did not learn to go on"),
        (("-m", "ankh3_tiny", "--extend", "3", "--span", "2-3"), "--span, --sentinel and --longest are for spans"),
        (("-m", "ankh_tiny", "--span", "2-3", "-o", "out.pdb"), "ends in .fasta or .tsv or .parquet"),
        (("-m", "ankh_tiny", "--span", "2-3", "-o", "seqs.fasta"), "would replace an input"),
    ],
)
def test_generate_refuses_before_a_model_loads(decoders, capsys, monkeypatch, arguments, expected):
    monkeypatch.setattr(models, "load", lambda *a, **k: pytest.fail("a model was loaded"))
    before = {path.name: path.read_bytes() for path in decoders.iterdir()}
    output = () if "-o" in arguments else ("-o", "out.tsv")
    assert run("generate", "seqs.fasta", *arguments, *output) == 2
    assert expected in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in decoders.iterdir()} == before


def test_generate_names_the_protein_with_too_many_residues_to_write(decoders, capsys):
    assert run("generate", "seqs.fasta", "-m", "ankh_tiny", "--span", "1-9", "-o", "out.tsv") == 2
    assert "toy1: 9 sentinels are needed, one for each residue, but the vocabulary of" in capsys.readouterr().err
    assert not Path("out.tsv").exists()


def test_rescue_writes_the_best_second_sites_of_each_variant(folder, capsys):
    arguments = ("rescue", "seqs.fasta", "variants.tsv", "-o", "out.parquet", "--top", "3")
    assert run(*arguments) == 0
    found = pd.read_parquet("out.parquet")
    assert list(found.columns) == [*rescue_tables.RESCUE.names, "note"]
    assert found.groupby(["id", "mutation"]).ngroups == 10 and (found["rank"] <= 3).sum() == 30
    expected = rescue.scan_protein(models.load("embedded"), "GHWYCMKRLVAEDGH", [parse_mutations("W3C")], top=3)
    mine = found[found["mutation"] == "W3C"]
    np.testing.assert_allclose(mine["epistasis"], expected.candidates["epistasis"], atol=1e-5)
    assert "10 variants of 3 proteins, the 3 best by each score" in capsys.readouterr().out
    assert run(*arguments) == 0
    assert "was complete, nothing to do" in capsys.readouterr().out


def test_rescue_goes_on_where_it_stopped(folder, capsys, monkeypatch):
    arguments = ("rescue", "seqs.fasta", "variants.tsv", "-o", "out.parquet")
    assert run(*arguments) == 0
    whole = Path("out.parquet").read_bytes()
    Path("out.parquet").unlink()
    scan_job = rescue.scan_job

    def killed(model, job, **options):
        if job.id == "toy2":
            raise KeyboardInterrupt
        return scan_job(model, job, **options)

    monkeypatch.setattr(rescue, "scan_job", killed)
    assert run(*arguments) not in (0, 2)
    assert sorted(os.listdir()) == ["out.parquet.parts", "seqs.fasta", "variants.tsv"]
    monkeypatch.setattr(rescue, "scan_job", scan_job)
    capsys.readouterr()
    assert run(*arguments) == 0
    assert "2 of them now" in capsys.readouterr().out
    assert Path("out.parquet").read_bytes() == whole


def test_rescue_knows_distances_from_a_folder(folder, capsys):
    line = "ATOM  {n:5d}  {atom:<3} ALA A{i:4d}    {x:8.3f}{y:8.3f}{y:8.3f}  1.00 90.00           C  \n"
    atoms = [(i, atom) for i in range(1, 4) for atom in ("CA", "CB")]
    rows = [line.format(n=n, atom=atom, i=i, x=4.0 * i, y=0.0) for n, (i, atom) in enumerate(atoms, 1)]
    Path("models").mkdir()
    Path("models/toy.pdb").write_text("".join(rows) + "END\n")
    Path("one.fasta").write_text(">toy\nAAA\n")
    Path("one.tsv").write_text("id\tmutation\ntoy\tA1C\n")
    assert run("rescue", "one.fasta", "one.tsv", "-o", "out.parquet", "--structures", "models") == 0
    found = pd.read_parquet("out.parquet")
    assert found.groupby("position")["distance_angstrom"].first().to_dict() == {2: 4.0, 3: 8.0}
    assert run("rescue", "one.fasta", "one.tsv", "-o", "other.parquet", "--structures", "nowhere") == 2
    assert "no such folder" in capsys.readouterr().err and not Path("other.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-o", "out.tsv"), "ends in .parquet"),
        (("-o", "out.parquet", "--top", "0"), "greater than or equal to 1"),
        (("-o", "out.parquet", "-m", "ankh_base"), "gives embeddings"),
    ],
)
def test_rescue_refuses(folder, capsys, arguments, expected):
    assert run("rescue", "seqs.fasta", "variants.tsv", *arguments) == 2
    assert expected in capsys.readouterr().err
    assert sorted(os.listdir()) == ["seqs.fasta", "variants.tsv"]


def test_the_names_in_the_help_are_those_of_the_package():
    assert cli.TOP == rescue.TOP
    assert list(base.SCORES) == list(effects.STRATEGIES)
    assert cli.SHARD_RESIDUES == shards.SHARD_RESIDUES
    assert cli.LEARNERS == tuple(classifier.LEARNERS) and cli.GO_SPLITS == (*study.SPLITS, "both")
    assert set(cli.LONG) == set(encode.LONG)


def test_several_models_make_an_ensemble(folder, monkeypatch):
    from fakes import FakeModel, seeded

    def load(name, **options):
        shift = int(name[-1])
        return FakeModel(lambda s: seeded(s) * shift, name=name)

    monkeypatch.setattr(models, "load", load)
    assert run("effects", "seqs.fasta", "variants.tsv", "-m", "esm1v", "-o", "out.tsv") == 0
    found = pd.read_csv("out.tsv", sep="\t")
    names = [f"esm1v_t33_650M_UR90S_{n}" for n in range(1, 6)]
    assert found["model"].value_counts().to_dict() == dict.fromkeys([*names, "mean"], 10)
    wide = found.pivot(index=["id", "mutation"], columns="model", values="score")
    np.testing.assert_allclose(wide["mean"], wide.drop(columns="mean").mean(axis=1), atol=1e-5)


MISTAKES = {
    "wrong wild type": ("variants.tsv", VARIANTS.replace("K2A\tfirst", "R2A\tfirst"), ["line 2", "R2A", "found K"]),
    "past the end": ("variants.tsv", VARIANTS.replace("Y20H", "Y99H"), ["line 11", "past the end", "20 residues"]),
    "a stop": ("variants.tsv", VARIANTS.replace("p.Arg3His", "p.Arg3Ter"), ["line 3", "stop codon"]),
    "unknown protein": ("variants.tsv", VARIANTS.replace("toy3\tA1C", "toy9\tA1C"), ["line 10", "toy9"]),
    "no mutation column": ("variants.tsv", VARIANTS.replace("mutation", "change"), ["mutation"]),
    "an empty table": ("variants.tsv", "", ["variants.tsv", "empty"]),
    "a duplicate id": ("seqs.fasta", FASTA.replace("toy2", "toy1"), ["line 3", "toy1", "repeats"]),
    "lower case": ("seqs.fasta", FASTA.replace("GHWYC", "ghwyc"), ["line 4", "toy2", "lower-case"]),
    "an empty file": ("seqs.fasta", "", ["seqs.fasta", "empty"]),
    "no header": ("seqs.fasta", "MKRL\n", ["line 1", "header"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_file_is_named_and_nothing_is_written(folder, capsys, monkeypatch, name):
    monkeypatch.setattr(models, "load", lambda *a, **k: pytest.fail("a model was loaded before the input was checked"))
    file, content, expected = MISTAKES[name]
    (folder / file).write_text(content)
    before = sorted(p.name for p in folder.iterdir())
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv") == 2
    printed = capsys.readouterr()
    for part in expected:
        assert part in printed.err
    assert file in printed.err and "Traceback" not in printed.err and printed.out == ""
    assert sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["-m", "esm2_t33_650M", "-o", "out.tsv"], ["esm2_t33_650M", "unknown", "esm2_t33_650M_UR50D"]),
        (
            ["-m", "ankh_base", "-s", "comasked", "-o", "out.tsv"],
            ["ankh_base", "no probabilities of residues", "expected pseudo-likelihood"],
        ),
        (["-s", "masked", "-o", "out.tsv"], ["strategy 'masked': expected one of", "masked-marginals"]),
        (["-o", "out.xlsx"], ["out.xlsx", ".tsv or .parquet"]),
        (["-o", "missing/out.tsv"], ["missing", "does not exist"]),
        (["-o", "variants.tsv"], ["would replace an input"]),
        (["--long", "cut", "-o", "out.tsv"], ["--long cut", "window, truncate, error"]),
        (["--dtype", "float8", "-o", "out.tsv"], ["float8", "bfloat16"]),
        (["-o", "out.tsv", "--frobnicate"], ["--frobnicate"]),
        ([], ["--output"]),
    ],
)
def test_a_mistake_in_the_options_is_named_and_nothing_is_written(folder, capsys, arguments, expected):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert run("effects", "seqs.fasta", "variants.tsv", *arguments) == 2
    printed = capsys.readouterr().err
    for part in expected:
        assert part in printed
    assert "Traceback" not in printed
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_missing_file_is_an_input_error(folder, capsys):
    assert run("effects", "seq.fasta", "variants.tsv", "-o", "out.tsv") == 2
    assert "seq.fasta" in capsys.readouterr().err


def test_long_proteins_are_named_before_the_model_loads(folder, capsys):
    (folder / "seqs.fasta").write_text(">toy1\n" + "MKRLVAEDGH" * 7 + "\n")  # 70 residues, the tiny model reads 60
    (folder / "variants.tsv").write_text("id\tmutation\ntoy1\tK2A\ntoy1\tH70A\n")
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", "--long", "error") == 2
    assert "toy1 (70)" in capsys.readouterr().err
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", "--long", "truncate") == 2
    assert "toy1 H70A" in capsys.readouterr().err
    options = ["-o", "out.tsv", "--long", "truncate", "-s", "pseudo-likelihood"]
    assert run("effects", "seqs.fasta", "variants.tsv", *options) == 2
    assert "needs every residue" in capsys.readouterr().err
    assert not (folder / "out.tsv").exists()
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv") == 0
    assert "toy1 (70); they are read in overlapping windows" in capsys.readouterr().err
    assert len(pd.read_csv("out.tsv", sep="\t")) == 2


def test_anything_else_exits_with_1_and_one_line_unless_debugged(folder, capsys, monkeypatch):
    def load(*arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(models, "load", load)
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv") == 1
    printed = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in printed and "Traceback" not in printed
    assert run("effects", "seqs.fasta", "variants.tsv", "-o", "out.tsv", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err
    assert not (folder / "out.tsv").exists()


@pytest.mark.parametrize("pool, n_rows", [("mean", 3), ("max", 3), ("bos", 3), ("residue", 20 + 15 + 20)])
def test_embed_writes_float16_lists_and_a_manifest(folder, pool, n_rows):
    assert run("embed", "seqs.fasta", "-o", "out", "--pool", pool) == 0
    table = pq.read_table("out/data")
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: halffloat>[16]"
    columns = ["position"] if pool == "residue" else ["length", "description"]
    assert table.column_names == ["id", *columns, "embedding"]
    assert table.num_rows == n_rows
    sequences = ["MKRLVAEDGHMKRLVAEDGH", "GHWYCMKRLVAEDGH", "ACDEFGHIKLMNPQRSTVWY"]
    expected = encode.embed(models.load("embedded"), sequences, pool=pool)
    found = np.array(table["embedding"].to_pylist())
    np.testing.assert_allclose(found, np.vstack(list(expected)), rtol=2e-3, atol=1e-3)
    facts = json.loads((folder / "out" / "manifest.json").read_text())
    assert (facts["model"], facts["layer"], facts["pool"]) == ("plmbook_t3_tiny", 3, pool)
    assert [shard["rows"] for shard in facts["shards"]] == [n_rows]
    assert facts["source"]["file"] == "seqs.fasta" and len(facts["weights"]) == len(facts["source"]["sha256"]) == 64


def content(folder):
    """Every file and its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_chosen_automatically_stays_when_a_job_is_resumed(folder, capsys):
    line = ("embed", "seqs.fasta", "--shard-residues", 20, "--device", "cpu", "-o")
    assert run(*line, "out", "--dtype", "bfloat16") == 0  # stands for a machine on which auto means this
    assert run(*line, "other") == 0
    capsys.readouterr()
    whole = content(folder / "out")
    assert json.loads(whole[Path("manifest.json")])["computed_in"] == "bfloat16"
    assert json.loads((folder / "other" / "manifest.json").read_text())["computed_in"] == "float32"
    next(folder.glob("out/data/embeddings-00001-*")).unlink()
    assert run(*line, "out", "--dtype", "float32") == 2
    assert "computed_in was 'bfloat16', now 'float32'" in capsys.readouterr().err
    assert run(*line, "out") == 0
    assert "in bfloat16; 3 files, 2 of them were there" in capsys.readouterr().out
    assert content(folder / "out") == whole


def test_residues_and_one_file_in_the_summary(folder, capsys):
    assert run("embed", "seqs.fasta", "-o", "out", "--pool", "residue") == 0
    said = "out: 3 proteins with 55 residues, 16 numbers each, plmbook_t3_tiny in float32; 1 file\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("name", ["a duplicate id", "lower case", "an empty file", "no header"])
def test_a_mistake_in_the_proteins_is_named_before_the_model_loads(folder, capsys, monkeypatch, name):
    monkeypatch.setattr(models, "load", lambda *a, **k: pytest.fail("a model was loaded before the input was checked"))
    file, text, expected = MISTAKES[name]
    (folder / file).write_text(text)
    assert run("embed", "seqs.fasta", "-o", "out") == 2
    printed = capsys.readouterr().err
    assert all(part in printed for part in expected) and not (folder / "out").exists()


def test_long_proteins_are_named_before_they_are_embedded(folder, capsys):
    (folder / "seqs.fasta").write_text(FASTA + ">long\n" + "MKRLVAEDGH" * 7 + "\n")  # the tiny model reads 60
    assert run("embed", "seqs.fasta", "-o", "out", "--long", "error") == 2
    printed = capsys.readouterr().err
    assert "1 of 4 proteins are longer than 60 residues: long (70); cut them, or choose long 'window'" in printed
    assert run("embed", "seqs.fasta", "-o", "out", "--pool", "bos") == 2
    assert "pool 'bos' needs long 'truncate'" in capsys.readouterr().err and not (folder / "out").exists()
    assert run("embed", "seqs.fasta", "-o", "out", "--long", "truncate", "--pool", "residue") == 0
    said = "the most that plmbook_t3_tiny reads; they are cut at the end\n"
    assert capsys.readouterr().err.endswith(said)  # and nothing after it by number
    assert pq.read_table("out/data").num_rows == 55 + 60


def test_the_engine_for_many_machines_gets_the_same_job(folder, capsys, monkeypatch):
    from plmbook.engine import store

    calls = []

    def write(output, name, proteins, *, address, device, dtype, **options):
        calls.append((name, len(proteins), address, device, dtype))
        return store.write(output, models.load(name, device="cpu", dtype="float32"), proteins, **options)

    monkeypatch.setitem(sys.modules, "plmbook.engine.cluster", types.SimpleNamespace(write=write))
    monkeypatch.setattr("plmbook.engine.cluster", sys.modules["plmbook.engine.cluster"], raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "ray" or find(name))
    line = ("embed", "seqs.fasta", "--shard-residues", 20, "--pool", "max", "--layer", 1, "-o")
    assert run(*line, "there", "--engine", "ray", "--address", "head:6379") == 0
    assert "3 files" in capsys.readouterr().out
    assert run(*line, "there", "--engine", "ray") == 0
    name = "plmbook_t3_tiny"
    assert calls == [(name, 3, "head:6379", "auto", "auto"), (name, 3, None, "auto", "float32")]
    assert run(*line, "here") == 0
    assert content(folder / "there") == content(folder / "here")


def test_where_ray_is_not_installed_its_engine_is_refused(folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    assert run("embed", "seqs.fasta", "-o", "out", "--engine", "ray") == 2
    assert "Ray is not installed; pip install 'plmbook[cluster]'" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_embed_goes_on_where_it_stopped_and_says_so(folder, capsys, monkeypatch):
    line = ("embed", "seqs.fasta", "-o", "out", "--shard-residues", 20)  # a protein a file
    assert run(*line) == 0
    assert capsys.readouterr().out == "out: 3 proteins, 16 numbers each, plmbook_t3_tiny in float32; 3 files\n"
    whole = content(folder / "out")
    assert run(*line) == 0
    assert "float32; was complete, nothing to do" in capsys.readouterr().out
    next(folder.glob("out/data/embeddings-00001-*")).unlink()
    assert run(*line) == 0
    assert "3 files, 2 of them were there" in capsys.readouterr().out
    assert content(folder / "out") == whole
    assert run(*line, "--layer", "1") == 2
    assert "another job: layer was 3, now 1; name another folder" in capsys.readouterr().err
    damaged = next(folder.glob("out/data/embeddings-00002-*"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert run(*line) == 2
    printed = capsys.readouterr().err
    assert damaged.name in printed and "cut off" in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--pool", "median", "-o", "out"], "--pool median"),
        (["--layer", "9", "-o", "out"], "expected 0 to 3"),
        (["-o", "out.parquet"], "the output is a folder of Parquet files; name one, such as out"),
        (["-o", "."], "holds files but no embedding store"),
        (["-o", "seqs.fasta"], "is a file"),
        (["-o", "missing/out"], "does not exist"),
        (["-m", "esm1v", "-o", "out"], "ensemble"),
        (["-m", "ankh_base", "--pool", "bos", "-o", "out"], "ankh_base has no token before the first residue"),
        (["--long", "cut", "-o", "out"], "--long cut"),
        (["--engine", "dask", "-o", "out"], "--engine dask: expected one of local, ray"),
        (["--address", "head:6379", "-o", "out"], "--address head:6379: is for --engine ray"),
        (["--shard-residues", "0", "-o", "out"], "--shard-residues"),
        (["--dtype", "float8", "-o", "out"], "float8"),
    ],
)
def test_embed_refuses(folder, capsys, arguments, expected):
    before = sorted(p.name for p in folder.iterdir())
    assert run("embed", "seqs.fasta", *arguments) == 2
    assert expected in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_models_lists_every_card(folder, capsys):
    assert run("models") == 0
    printed = capsys.readouterr().out
    for name in ("plmbook_t3_tiny", "esm2_t48_15B_UR50D", "esm1v_t33_650M_UR90S_5", "ankh_large", "prott5_xl_u50"):
        assert name in printed


def test_models_prints_the_card_of_a_bundled_model_whole(folder, capsys):
    path = folder.parent / "data" / "models" / "plmbook_t3_tiny.json"
    card = json.loads(path.read_text()) | {"evaluation": [{"test": "t", "value": 0.5}], "limits": ["none \u00e9"]}
    path.write_text(json.dumps(card))
    printed = []
    for name in ("plmbook_t3_tiny", "embedded"):
        assert run("models", name) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    found = json.loads(printed[0])
    assert {key: found[key] for key in card} == card
    assert found["source"] == "bundled" and found["aliases"] == ["embedded"]


def test_models_prints_the_card_of_a_published_model(folder, capsys):
    assert run("models", "esm2_650M") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["layers"], found["dim"]) == ("esm2_t33_650M_UR50D", 33, 1280)
    assert found["licence"] == "MIT" and found["source"].startswith("https://")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ankh_bass", "model 'ankh_bass': unknown; did you mean 'ankh_base'"),
        ("embeded", "model 'embeded': unknown; did you mean 'embedded'?"),
        ("esm1v", "model 'esm1v': an ensemble of 5 models, expected one: esm1v_t33_650M_UR90S_1"),
    ],
)
def test_models_names_the_nearest_of_an_unknown_name(folder, capsys, name, said):
    assert run("models", name) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == "" and "Traceback" not in printed.err


def test_verify_notices_a_changed_file(folder, capsys):
    import hashlib

    data = folder.parent / "data"
    (data / "table.tsv").write_text("x\n")
    (data / "registry.txt").write_text(f"table.tsv {hashlib.sha256(b'x' + bytes([10])).hexdigest()}\n")
    assert run("data", "verify") == 0
    (data / "table.tsv").write_text("y\n")
    assert run("data", "verify") == 1
    assert "changed  table.tsv" in capsys.readouterr().out
    assert run("data", "list") == 0


def test_other_commands_check_their_input(folder, capsys):
    assert run("pretrain", "none.yml") == 2
    assert "none.yml" in capsys.readouterr().err
    assert run("results", "--profile", "imaginary") == 2
    assert "imaginary" in capsys.readouterr().err
    assert run("book", "--profile", "imaginary") == 2
    assert "imaginary" in capsys.readouterr().err
    assert run("book", "--notebook", "x.py", "--render") == 2


def test_help_answers_without_heavy_imports():
    code = (
        "import sys; from plmbook import cli; code = cli.main(['--help']); "
        "heavy = [m for m in ('torch', 'esm', 'pandas', 'sklearn', 'lightgbm', 'ray') if m in sys.modules]; "
        "print('heavy:', heavy, code)"
    )
    found = python("-c", code, check=True)
    assert "heavy: [] 0" in found.stdout
    for command in ("models", "data", "embed", "effects", "go", "pretrain", "results", "book"):
        assert f"\n  {command} " in found.stdout


def test_the_program_itself_exits_with_2_and_no_traceback(folder):
    found = python("-m", "plmbook.cli", "effects", "seqs.fasta", "variants.tsv", "-m", "nonsense", "-o", "o.tsv")
    assert found.returncode == 2
    assert found.stderr.startswith("plmbook: model 'nonsense'") and "Traceback" not in found.stderr
    assert not (folder / "o.tsv").exists()


# --- downstream tasks --------------------------------------------------------------------------------------------


def test_task_list_names_every_task_and_imports_no_torch(capsys):
    from plmbook import tasks

    assert run("task", "--list") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in tasks.TASKS) and "proteinea/deeploc" in printed
    code = "import sys; from plmbook import cli; cli.main(['task', '--list']); sys.exit('torch' in sys.modules)"
    assert python("-c", code).returncode == 0


def test_a_task_prints_and_writes_its_measures(folder, capsys, monkeypatch):
    from plmbook import tasks

    examples = tasks.Examples(
        pd.DataFrame(
            [(f"p{n}", ("train", "validation", "test")[n % 3], "ACDEFGHIKL"[n % 7] * 9, 0) for n in range(36)],
            columns=["id", "split", "sequence", "n_mutations"],
        ).assign(test=lambda t: np.where(t["split"] == "test", "test", "")),
        tuple(n % 2 for n in range(36)),
        ("no", "yes"),
        "owner/name@c0ffee",
        ("a.csv: 2 left out",),
    )
    monkeypatch.setattr(tasks, "examples", lambda *arguments, **options: examples)
    line = ("task", "solubility", "-o", "out.tsv", "--learner", "composition", "--learner", "mlp", "--seeds", 2, "-q")
    assert run(*line) == 0
    printed, said = capsys.readouterr()
    assert "ACCURACY OF PROTEINS" in printed and "mlp" in printed and "plmbook: a.csv: 2 left out\n" in said
    table = pd.read_csv("out.tsv", sep="\t")
    assert table.groupby("learner")["seed"].apply(list).to_dict() == {"composition": [0], "mlp": [0, 1]}
    assert list(table.columns) == "task test metric learner seed value low high n model data".split()
    assert set(table["data"]) == {"owner/name@c0ffee"}


@pytest.mark.parametrize(
    "line, message",
    [
        (("task",), "a task is missing"),
        (("task", "solubilty"), "did you mean 'solubility'"),
        (("task", "solubility", "--learner", "knn"), "expected one of frequency"),
        (("task", "solubility", "-m", "esm2_9M"), "did you mean"),
        (("task", "solubility", "-o", "out.csv"), "the output ends in .tsv or .parquet"),
        (("task", "solubility", "--data", "nowhere"), "nowhere"),
    ],
)
def test_faults_of_a_task_end_with_2_before_a_model_loads(folder, capsys, monkeypatch, line, message):
    def refuse(*arguments, **options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(models, "load", refuse)
    assert run(*line) == 2
    assert message in capsys.readouterr().err
