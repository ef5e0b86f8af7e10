"""Splits and homology clusters: whole clusters, shares, seeds, leakage."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.machine import cores
from plmbook.core.residues import AMINO_ACIDS
from plmbook.function import splits


def table_of(clusters, **others):
    return pd.DataFrame({"id": [f"p{i}" for i in range(len(clusters))], "cluster": list(clusters), **others})


def random_protein(rng, n=150):
    return "".join(rng.choice(list(AMINO_ACIDS), n))


def mutated(rng, sequence, share):
    letters = np.array(list(sequence))
    places = rng.random(len(letters)) < share
    letters[places] = rng.choice(list(AMINO_ACIDS), places.sum())
    return "".join(letters)


def test_random_split_has_its_shares_and_its_seed():
    ids = [f"p{i}" for i in range(1000)]
    found = splits.random_split(ids, seed=3)
    assert found.index.tolist() == ids and found.index.name == "id" and found.name == "split"
    assert found.value_counts().to_dict() == {"train": 700, "test": 200, "validation": 100}
    assert found.equals(splits.random_split(ids, seed=3)) and not found.equals(splits.random_split(ids, seed=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=60, max_size=200), st.integers(0, 5))
def test_a_cluster_is_never_split(clusters, seed):
    table = table_of([f"c{number}" for number in [*clusters, *range(31)]])
    found = splits.cluster_split(table, seed=seed)
    assert (found.groupby(table["cluster"].to_numpy()).nunique() == 1).all()
    assert found.index.tolist() == table["id"].tolist() and set(found) == set(splits.PARTS)
    assert splits.leakage(found, table)["n_related"] == 0


def test_cluster_split_of_the_bundled_proteins_keeps_shares_and_labels():
    table, annotations = tables.load("go_proteins"), tables.load("go_annotations")
    top = tables.load("go_terms").query("top20")["go_id"]
    rows = annotations[(annotations["column"] == "cafa5") & annotations["go_id"].isin(top)]
    labels = pd.crosstab(rows["id"], rows["go_id"]).reindex(table["id"], fill_value=0)
    found = splits.cluster_split(table, labels=labels, seed=1)
    shares = found.value_counts(normalize=True)
    assert shares[list(splits.PARTS)].tolist() == pytest.approx(splits.FRACTIONS, abs=0.02)
    by_label = labels.groupby(found).sum() / labels.sum()
    assert by_label.shape == (3, 20)
    expected = np.array(splits.FRACTIONS)[:, None]
    assert np.abs(by_label.loc[list(splits.PARTS)].to_numpy() - expected).max() < 0.04
    assert found.equals(splits.cluster_split(table, labels=labels, seed=1))
    kept = splits.leakage(found, table)
    assert kept == {"n_test": (found == "test").sum(), "n_related": 0, "share": 0, "n_ortholog": 0}
    leaked = splits.leakage(splits.random_split(table["id"], seed=1), table)
    assert leaked["share"] > 0.4 and leaked["n_ortholog"] > 200


def test_leakage_counts_test_proteins_with_a_relative_in_training():
    table = table_of("aabbc", ortholog=["", "", "p3", "p2", ""])
    split = pd.Series(["train", "test", "validation", "test", "test"], index=table["id"])
    assert splits.leakage(split, table) == {"n_test": 3, "n_related": 1, "share": 1 / 3, "n_ortholog": 0}
    split["p2"] = "train"
    assert splits.leakage(split, table) == {"n_test": 3, "n_related": 2, "share": 2 / 3, "n_ortholog": 1}


def test_across_species():
    table = table_of("aabbcdef", species=["human"] * 5 + ["mouse"] * 2 + ["yeast"])
    table.loc[5, "cluster"] = "a"
    found = splits.species_split(table, "human", "mouse", validation=0.4)
    assert found.loc[["p5", "p6"]].tolist() == ["test", "test"] and "p7" not in found.index
    assert set(found.loc[["p0", "p1", "p2", "p3", "p4"]]) == {"train", "validation"}
    unrelated = splits.species_split(table, "human", "mouse", validation=0.4, related=False)
    assert unrelated[unrelated == "test"].index.tolist() == ["p6"]
    assert splits.leakage(unrelated, table)["n_related"] == 0


def test_kmer_clusters_find_close_relatives_alone():
    rng = np.random.default_rng(0)
    first, second = random_protein(rng), random_protein(rng)
    sequences = [first, second, mutated(rng, first, 0.1), mutated(rng, second, 0.1), random_protein(rng), "MK"]
    assert splits.kmer_clusters(list("abcdef"), sequences).tolist() == ["a", "b", "a", "b", "e", "f"]


def test_kmer_links_are_counted_of_the_shorter():
    whole = random_protein(np.random.default_rng(1), 400)
    assert splits.kmer_clusters(["whole", "part"], [whole, whole[100:160]]).tolist() == ["whole", "whole"]


FAKE = """#!{python}
import json, sys
from pathlib import Path

tool, *arguments = sys.argv[1:]
with open("{log}", "a") as handle:
    handle.write(json.dumps([tool, *(Path(each).name for each in arguments)]) + chr(10))
if tool == "easy-cluster":
    lines = Path(arguments[0]).read_text().split()
    rows = [(n, n) for n in range(len(lines) // 2)]
    rows += [(n, m) for n, _ in rows for m, _ in rows if n < m and lines[2 * n + 1][:20] == lines[2 * m + 1][:20]]
    Path(arguments[1] + "_cluster.tsv").write_text("".join(f"{{n}}\\t{{m}}\\n" for n, m in rows))
elif tool == "easy-rbh":
    Path(arguments[2]).write_text("0\\t0\\t50\\n")
else:
    sys.exit("no such tool")
"""


@pytest.fixture
def mmseqs(tmp_path, monkeypatch):
    """A program `mmseqs` alone on the PATH: proteins that begin alike are one cluster; the log of its arguments."""
    (tmp_path / "bin").mkdir()
    program, log = tmp_path / "bin/mmseqs", tmp_path / "log"
    program.write_text(FAKE.format(python=sys.executable, log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return log


def test_chains_of_links_are_one_cluster():
    links = [(np.array([0]), np.array([2])), (np.array([2]), np.array([3]))]
    assert splits._linked(list("abcd"), links).tolist() == ["a", "b", "a", "a"]


def test_mmseqs_is_given_the_rule_and_its_clusters_are_read(mmseqs):
    rng = np.random.default_rng(3)
    first, other = random_protein(rng), random_protein(rng)
    found = splits.mmseqs_clusters(["sp|A|A_HUMAN", "b", "c"], [first, other, first[:40]])
    assert found.to_dict() == {"sp|A|A_HUMAN": "sp|A|A_HUMAN", "b": "b", "c": "sp|A|A_HUMAN"}
    (line,) = mmseqs.read_text().splitlines()
    rule = f"--min-seq-id 0.3 -c 0.5 --cov-mode 0 -e 0.001 --cluster-mode 1 --threads {cores()} -v 1".split()
    assert json.loads(line) == ["easy-cluster", "0.fasta", "found", "tmp", *rule]


def test_what_mmseqs_says_is_in_the_message(mmseqs):
    with pytest.raises(InputError, match="mmseqs easy-search failed: no such tool"):
        splits._mmseqs("easy-search", [], "found", [], [])


@pytest.mark.parametrize("method", ["mmseqs", "kmer"])
def test_relatives_orthologs_and_symbols_are_joined(method, mmseqs):
    rng = np.random.default_rng(2)
    human = [random_protein(rng) for _ in range(3)]
    twin = human[0][:20] + mutated(rng, human[0][20:], 0.1)
    mouse = [twin, random_protein(rng), random_protein(rng)]
    table = pd.DataFrame(
        {
            "id": ["h0", "h1", "h2", "m0", "m1", "m2"],
            "species": ["human"] * 3 + ["mouse"] * 3,
            "gene": ["", "TTR", "A", "", "Ttr", "B"],
            "sequence": human + mouse,
        }
    )
    found = splits.with_homology(table, method=method)
    assert found["cluster"].tolist() == ["h0", "h1", "h2", "h0", "h1", "m2"]
    assert found["ortholog"].tolist() == (["m0", "", "", "h0", "", ""] if method == "mmseqs" else [""] * 6)


def test_without_mmseqs_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="no such program; install MMseqs2.*kmer_clusters"):
        splits.mmseqs_clusters(["a"], ["MKV"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: splits.random_split([]), "no proteins"),
        (lambda: splits.random_split(["a", "a"]), "'a' repeats"),
        (lambda: splits.random_split(["a", None, "b"]), "the id of protein 2 is missing"),
        (lambda: splits.kmer_clusters(["a", np.nan], ["MK", "MK"]), "the id of protein 2 is missing"),
        (lambda: splits.random_split(["a", "b"]), "no protein, expected"),
        (lambda: splits.random_split(["a"], fractions=(0.5, 0.6, 0.2)), "expected three .*with sum 1"),
        (lambda: splits.random_split(["a"], fractions=(0.5, 0.5)), "expected three"),
        (lambda: splits.cluster_split(table_of("aab").drop(columns="cluster")), "the table lacks cluster"),
        (lambda: splits.cluster_split(table_of(["a", "", "b"])), "'p1' has none"),
        (lambda: splits.cluster_split(table_of("aaaa")), "too few proteins or clusters"),
        (lambda: splits.cluster_split(table_of("abc"), labels=pd.DataFrame({"x": [1]}, index=["p0"])), "of 'p1'"),
        (lambda: splits.species_split(table_of("ab", species=["h", "m"]), "h", "rat"), "'rat': not in the table"),
        (lambda: splits.species_split(table_of("ab", species=["h", "m"]), "h", "h"), "expected two"),
        (lambda: splits.species_split(table_of("aba", species=list("hhm")), "h", "m", validation=0.5, related=False),
         "none is left to test"),
        (lambda: splits.leakage(pd.Series(["test"], index=["q"]), table_of("a")), "no cluster of 'q'"),
        (lambda: splits.with_homology(table_of("a"), method="blast"), "expected one of mmseqs, kmer"),
    ],
)  # fmt: skip
def test_faults_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
