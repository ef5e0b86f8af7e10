"""The alignment baseline and the residues of orthologs, by hand and as bundled."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.sources import multiz
from plmbook.stats import metrics
from plmbook.variants import alignment
from scripts import script

HUMAN = "MKRLVAED"
ROWS = pd.DataFrame(
    {
        "gene": "TOY",
        "assembly": ["fish1", "frog1", "mm10", "panTro4", "rat1"],
        "aligned": [".A.V-C..", ".A.V..Z.", "...I....", "........", "....AC.X"],
    }
)


@pytest.fixture
def counts():
    table = pd.DataFrame({"gene": "TOY", "position": [1, 2], "ref": ["M", "K"], **{a: [0, 0] for a in AMINO_ACIDS}})
    table["M"] = [100, 0]
    table["K"], table["R"] = [0, 60], [0, 39]
    return table


def test_scores_are_log_count_ratios(counts):
    variants = pd.DataFrame({"gene": "TOY", "mutation": ["K2R", "M1A", "M1A:K2R"]}, index=[7, 8, 9])
    found = alignment.site_independent(counts, variants)
    first, second = np.log(39.5 / 60.5), np.log(0.5 / 100.5)
    np.testing.assert_allclose(found, [first, second, first + second])
    assert found.index.tolist() == [7, 8, 9]
    # the way back has the opposite sign: the score is a ratio
    back = counts.assign(ref=["M", "R"])
    found = alignment.site_independent(back, pd.DataFrame({"gene": ["TOY"], "mutation": ["R2K"]}))
    assert found[0] == pytest.approx(-first, abs=1e-12)


def test_no_alignment_or_another_isoform_has_no_score(counts):
    variants = pd.DataFrame({"gene": ["OTHER", "TOY", "TOY", "TOY"], "mutation": ["K2R", "K3R", "L2R", "K2R"]})
    found = alignment.site_independent(counts, variants)
    assert found.isna().tolist() == [True, True, True, False]
    table = alignment.effects(counts, variants.assign(significance="P/LP"))
    assert len(table) == 1
    assert table.loc[0, ["model", "strategy"]].tolist() == ["alignment", "site-independent"]


def test_counts_at_fault_are_refused(counts):
    with pytest.raises(InputError, match="alignment counts: the table lacks A"):
        alignment.site_independent(counts.drop(columns="A"), pd.DataFrame({"gene": [], "mutation": []}))
    with pytest.raises(InputError, match="TOY position 1 twice"):
        alignment.site_independent(pd.concat([counts, counts.head(1)]), pd.DataFrame({"gene": [], "mutation": []}))


def test_the_baseline_on_the_bundled_variants():
    variants = tables.load("variants")
    scored = alignment.effects(tables.load("alignment"), variants[variants["matches"]])
    rows = metrics.labelled(scored)
    assert rows["significance"].value_counts().to_dict() == {"P/LP": 3376, "B/LB": 688}
    assert scored["gene"].nunique() == 47
    assert metrics.auroc(rows) == pytest.approx(0.890, abs=3e-3)


# --- residues of each ortholog ---


def test_alignments_as_numbers():
    assemblies, residues = alignment.ortholog_residues(ROWS, "TOY", HUMAN)
    assert assemblies == ROWS["assembly"].tolist() and residues.dtype == np.int8
    text = ["".join(AMINO_ACIDS[k] if k >= 0 else "-" for k in row) for row in residues]
    assert text == ["MARV-CED", "MARVVA-D", "MKRIVAED", "MKRLVAED", "MKRLACE-"]
    nothing, none = alignment.ortholog_residues(ROWS, "OTHER", HUMAN)
    assert nothing == [] and none.shape == (0, len(HUMAN))
    assert alignment.carriers(residues, parse_mutations("R3W:L4V")).tolist() == [False] * 5
    assert alignment.carriers(residues, parse_mutations("K2A:L4V")).tolist() == [True, True, False, False, False]
    with pytest.raises(InputError, match="TOY: the row of fish1 has 8 residues, the sequence 9; another isoform?"):
        alignment.ortholog_residues(ROWS, "TOY", HUMAN + "M")


def test_divergences_of_all_genes():
    genes = pd.DataFrame({"gene": ["TOY"], "sequence": [HUMAN]})
    found = alignment.divergences(ROWS, genes)
    assert found["assembly"].tolist() == ROWS["assembly"].tolist() and set(found["gene"]) == {"TOY"}
    np.testing.assert_allclose(found["divergence"], [3 / 7, 2 / 7, 1 / 8, 0, 2 / 7])


# --- the table of orthologs ---


def test_the_script_writes_differences():
    made = script("orthologs")
    genes = pd.DataFrame({"gene": ["TOY", "NONE"], "transcript": ["T1", ""], "sequence": ["MKA", "MM"]})
    rows = {multiz.HUMAN: "MKAZ", "mm10": "M-AZ", "galGal4": "XKCZ"}
    table = made.make_orthologs({"TOY": {"T1": rows}}, genes)
    assert table.values.tolist() == [["TOY", "galGal4", "X.C"], ["TOY", "mm10", ".-."]]
    tables.check(table, tables.schema_of("orthologs"), where="toy")
    with pytest.raises(InputError, match="TOY: the human row of T1"):
        made.make_orthologs({"TOY": {"T1": rows}}, genes.assign(sequence="MKC"))


def test_counts_of_residues_come_back(tmp_path):
    """The table holds what `multiz.residue_counts` counts: other residues, gaps and unknowns of each position."""
    rows = {multiz.HUMAN: "MKAZ", "mm10": "M-CZ", "galGal4": "XKCZ"}
    genes = pd.DataFrame({"gene": ["TOY"], "transcript": ["T1"], "sequence": ["MKA"]})
    table = script("orthologs").make_orthologs({"TOY": {"T1": rows}}, genes)
    _, residues = alignment.ortholog_residues(table, "TOY", "MKA")
    counts = multiz.residue_counts(rows)
    for position, column in enumerate(residues.T):
        here = Counter(AMINO_ACIDS[k] for k in column if k >= 0) + Counter("MKA"[position])
        assert all(counts.loc[position, letter] == here[letter] for letter in AMINO_ACIDS)


def test_the_bundled_orthologs_are_the_bundled_counts():
    """By column, what the 99 rows hold and the human residue are the counts of alignment.parquet."""
    counts = tables.load("alignment").set_index(["gene", "position"])
    genes = tables.load("genes").set_index("gene")["sequence"]
    letters = list(AMINO_ACIDS)
    for gene, rows in tables.load("orthologs").groupby("gene"):
        human = np.frombuffer(genes[gene].encode(), dtype="S1")
        assert len(rows) == 99 and (rows["aligned"].str.len() == len(human)).all()
        seen = np.frombuffer("".join(rows["aligned"]).encode(), dtype="S1").reshape(99, len(human))
        seen = np.vstack([human, np.where(seen == b".", human, seen)])
        found = np.stack([(seen == letter.encode()).sum(axis=0) for letter in letters], axis=1)
        np.testing.assert_array_equal(found, counts.loc[gene, letters].to_numpy(), err_msg=gene)
