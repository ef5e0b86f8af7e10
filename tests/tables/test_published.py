"""The published tables: counts, ranges, the script that made them, and the references of the book."""

import gzip
import re
from pathlib import Path

import pandas as pd
import pytest
from pybtex.database import parse_file
from pybtex.plugin import find_plugin

from plmbook import tables
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.models.cards import CARDS, card
from plmbook.sources import rescue
from plmbook.tables.published import TABLES, published
from scripts import script

PUBLISHED = paths.root() / "data" / "published"


@pytest.fixture(scope="module")
def make():
    """The script data/make/published.py as a module."""
    return script("published")


@pytest.mark.parametrize(
    ("name", "n_rows"),
    [
        ("go_terms", 20),
        ("ankh_results", 168),
        ("ankh_models", 2),
        ("ankh_datasets", 9),
        ("rescue_models", 2),
        ("rescue_cpd", 53),
        ("rescue_data", 4),
        ("acmg_v31", 78),
        ("control_genes", 53),
        ("esm2_models", 28),
    ],
)
def test_counts_and_sources(name, n_rows):
    table = published(name)
    assert len(table) == n_rows
    assert not table.duplicated().any()
    assert not table.isna().any(axis=None)
    assert (table["source"].str.len() > 0).all()


def test_every_file_is_a_table_and_has_a_row_in_the_readme():
    assert {path.stem for path in PUBLISHED.glob("*.csv")} == set(TABLES)
    readme = (PUBLISHED / "README.md").read_text()
    for name in TABLES:
        row = re.search(rf"^\| `{name}\.csv` \|.*\| (\d+) \| \S+ \|$", readme, re.MULTILINE)
        assert int(row[1]) == len(published(name))


def test_unknown_table():
    with pytest.raises(InputError, match="no published table 'go_term'; did you mean 'go_terms'"):
        published("go_term")


def test_missing_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"go_terms\.csv: not found"):
        published("go_terms")


def test_go_terms_80_figures():
    table = published("go_terms")
    figures = table[["accuracy", "f1", "precision", "recall"]]
    assert figures.size == 80
    assert (figures.dtypes == "float64").all()
    assert figures.gt(0).all(axis=None) and figures.lt(1).all(axis=None)
    assert table["go"].str.fullmatch(r"GO:\d{7}").all() and table["go"].is_unique
    assert table["f1"].is_monotonic_decreasing
    # F1 = 2PR / (P + R); precision and recall are rounded to 0.005, so F1 is within 0.01.
    harmonic = 2 * table["precision"] * table["recall"] / (table["precision"] + table["recall"])
    assert (harmonic - table["f1"]).abs().max() <= 0.01
    assert tuple(figures.iloc[0]) == (0.99, 0.9, 0.92, 0.89)
    assert tuple(figures.iloc[-1]) == (0.85, 0.35, 0.3, 0.42)


def test_ankh_results_168_figures():
    table = published("ankh_results")
    per_section = table.groupby("section", sort=False).size()
    assert per_section.tolist() == [28, 28, 28, 28, 7, 7, 7, 7, 28]
    assert table["model"].nunique() == 7
    assert (table.groupby(["section", "column"]).size() == 7).all()
    assert table["value"].dtype == "float64"
    percent = table["unit"] == "percent"
    assert table.loc[percent, "value"].between(5, 100).all()
    assert table.loc[~percent, "value"].between(0, 1).all()
    assert set(table["unit"]) == {"percent", "fraction", "correlation"}


def test_no_percent_signs():
    for name in TABLES:
        assert "%" not in (PUBLISHED / f"{name}.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("task", "column", "model", "value"),
    [
        ("secondary structure, 3 states", "CASP14 (HARD)", "ESM2-650M", 76.97),
        ("secondary structure, 8 states", "CB513", "ESM-1b", 71.55),
        ("contacts from embeddings", "ProteinNet (L/5)", "Ankh Large", 73.49),
        ("contacts from attention", "CASP14 (L/1)", "ESM2-15B", 12.25),
        ("fluorescence", "Fluorescence", "ESM2-3B", 0.46),
        ("CATH lookup", "Lookup69K (H)", "ProtT5-XL-UniRef50", 0.73),
    ],
)
def test_ankh_figures_as_printed(task, column, model, value):
    table = published("ankh_results")
    chosen = table[(table["task"] == task) & (table["column"] == column) & (table["model"] == model)]
    assert chosen["value"].tolist() == [value]


def test_bold_names_one_model_a_section_and_not_always_the_best():
    table = published("ankh_results")
    bold = table[table["bold_on_page"]].groupby("section")["model"].unique()
    assert bold.map(len).tolist() == [1] * 9
    best = table.groupby(["section", "column"])["value"].transform("max")
    beaten = table[table["bold_on_page"] & (table["value"] < best)]
    assert beaten.groupby("task").size().to_dict() == {"CATH lookup": 1, "contacts from attention": 4}


def test_models_map_to_cards():
    table = published("ankh_results")
    names = table.groupby("model")["card"].unique()
    assert names.map(len).eq(1).all()
    assert len({card(name[0]).name for name in names}) == 7
    assert set(published("ankh_models")["card"]) <= set(table["card"])


def test_ankh_hub_names():
    models, datasets = published("ankh_models"), published("ankh_datasets")
    assert models["hub_id"].tolist() == ["ElnaggarLab/ankh-large", "ElnaggarLab/ankh-base"]
    assert datasets["hub_id"].nunique() == 6
    assert all(hub_id in call for hub_id, call in zip(datasets["hub_id"], datasets["loader"], strict=True))
    assert datasets["test_file"].tolist() == ["", "CASP12.csv", "CASP14.csv", "CB513.csv", "TS115.csv", "", "", "", ""]


def test_esm2_figures_as_printed_and_larger_is_better(make):
    table = published("esm2_models")
    sizes = ["8M", "35M", "150M", "650M", "3B", "15B"]
    assert [card(name).name.split("_")[2] for name in table["card"].unique()] == sizes
    assert table.groupby(["metric", "dataset"]).size().to_dict() == {
        ("long-range precision at L", "CAMEO (Apr-Jun 2022)"): 6,
        ("long-range precision at L", "CASP14"): 6,
        ("long-range precision at L", "Large valid"): 6,
        ("perplexity", "UniRef50 of 2025, test split"): 5,
        ("perplexity", "UniRef50 of 2025, validation split"): 5,
    }
    for (metric, _), rows in table.groupby(["metric", "dataset"], sort=False):
        sign = -1 if metric == "perplexity" else 1
        assert (sign * rows["value"]).is_monotonic_increasing  # rows go from the smallest model to the largest
    chosen = table.set_index(["card", "dataset"])["value"]
    assert chosen["esm2_t6_8M_UR50D", "Large valid"] == 15.9
    assert chosen["esm2_t48_15B_UR50D", "CASP14"] == 37.0
    assert chosen["esm2_t33_650M_UR50D", "UniRef50 of 2025, test split"] == 8.717
    assert table["value"].between(1, 100).all() and table["note"].str.len().gt(0).all()
    assert pd.DataFrame(make.esm2_models()).equals(table)  # the file is what the script writes


def test_rescue_tables_keep_placeholders_empty():
    models, data = published("rescue_models"), published("rescue_data")
    assert models[["model", "layers", "parameters", "training_dataset"]].to_numpy().tolist() == [
        ["ESM-2", 33, "650M", "UR50/D"],
        ["ESM-1v", 33, "650M", "UR90/S"],
    ]
    assert data["data_source"].tolist() == ["ACMG v3.1", "", "", "ucsc"]
    assert data["notes"].tolist() == [""] * 4
    assert data["note"].str.contains("placeholder xx").tolist() == [False, True, True, True]


def test_acmg_78_genes_53_kept():
    table = published("acmg_v31")
    assert table["gene"].nunique() == 78
    assert table["in_study"].sum() == 53
    assert table.groupby("domain").size().to_dict() == {
        "cancer": 28, "cardiovascular": 37, "metabolism": 4, "miscellaneous": 9,
    }  # fmt: skip
    assert set(table.loc[table["added_in_v31"], "gene"]) == {"BAG3", "DES", "RBM20", "TNNC1", "TTR"}
    assert (table["in_study"] == (table["length"] <= 1000)).all()
    assert (table["in_study"] == (table["reason_left_out"] == "")).all()
    assert table["uniprot"].is_unique
    assert table["uniprot"].str.fullmatch(r"[OPQ]\d[A-Z0-9]{3}\d").all()


def test_acmg_windows_cover_the_protein_and_none_is_spare():
    table = published("acmg_v31")
    reach = 1022 + 511 * (table["windows_of_1022"] - 1)  # last residue that the windows cover
    assert (reach >= table["length"]).all()
    assert ((reach - 511 < table["length"]) | (table["windows_of_1022"] == 1)).all()
    assert (table.loc[table["in_study"], "windows_of_1022"] == 1).all()


def test_readme_totals_of_the_windows():
    table = published("acmg_v31")
    readme = (PUBLISHED / "README.md").read_text()
    left_out = table[~table["in_study"]]
    without_ttn = left_out[left_out["gene"] != "TTN"]
    for rows in (left_out, without_ttn):
        assert f"{rows['length'].sum():,} residues" in readme
        assert f"{rows['windows_of_1022'].sum()} windows" in readme
    assert f"{table.loc[table['in_study'], 'length'].sum():,} residues" in readme


def test_kept_acmg_genes_are_the_bundled_genes():
    genes = pd.read_csv(paths.root() / "data" / "genes.tsv", sep="\t")
    kept = published("acmg_v31").query("in_study").set_index("gene")
    assert set(kept.index) == set(genes["gene"])
    bundled = genes.set_index("gene").loc[kept.index]
    assert (bundled["uniprot"] == kept["uniprot"]).all()
    # The bundled sequence is the one of the study's scan; its length is that of the study's FASTA.
    assert (bundled["length"] == kept["length"]).all()


def test_control_genes():
    table = published("control_genes")
    kept = published("acmg_v31").query("in_study").set_index("gene")
    assert table["gene"].tolist() == sorted(kept.index)
    assert table["control_gene"].is_unique and not set(table["control_gene"]) & set(table["gene"])
    assert table["transcript"].str.fullmatch(r"ENST\d{11}").all()
    assert table["control_transcript"].str.fullmatch(r"ENST\d{11}").all()
    assert (table[["cds_length", "control_cds_length"]] % 3 == 0).all(axis=None)
    # As printed, two controls stand in each other's row; every other one matches to 0.1.
    difference = (table["missense_z"] - table["control_missense_z"]).abs()
    assert table.loc[difference > 0.1, "gene"].tolist() == ["BMPR1A", "BTD"]
    other_length = table["cds_length"].to_numpy() != 3 * kept["length"].loc[table["gene"]].to_numpy()
    assert table.loc[other_length, "gene"].tolist() == ["TGFBR2", "TNNT2", "WT1"]
    assert set(table.loc[table["note"] != "", "gene"]) == {"ACTA2", "BMPR1A", "BTD", "GLA", "TGFBR2", "TNNT2", "WT1"}
    assert table.set_index("gene").loc["ACTA2", "control_gene"] == "PCPB1"  # as printed


def test_cpd_counts_fall_with_k_and_are_those_of_the_bundled_tables():
    table = published("rescue_cpd")
    columns = [f"cpd_{k}" for k in range(6)]
    assert (table[columns].diff(axis=1).dropna(axis=1) <= 0).all(axis=None)
    variants = tables.load("variants")["gene"].value_counts()
    assert table.set_index("gene")["variants"].to_dict() == variants.to_dict()
    aligned = set(tables.load("genes").query("transcript != ''")["gene"])
    sums = table[table["gene"].isin(aligned)][columns].sum()
    assert sums.tolist() == [19_693, 12_130, 8_822, 6_702, 5_240, 4_419]
    readme = (PUBLISHED / "README.md").read_text()
    assert ", ".join(f"{each:,}" for each in sums[:-1]) + f" and {sums.iloc[-1]:,}" in readme
    # Ours are of all vertebrates, theirs of the placental mammals among these.
    ours = tables.load("cpd")["gene"].value_counts()
    assert (ours.reindex(sorted(aligned), fill_value=0) >= table.set_index("gene")["cpd_0"].loc[sorted(aligned)]).all()


def test_cpd_counts_refuse_another_file(make, tmp_path):
    header = "GENE\tMUTATION\tAA_CHANGE\tGROUP\tgnomAD_AF\t" + "\t".join([*rescue.MODELS, *rescue.FLANKS])
    row = "A\tp.Met1Val\tM1V\tVUS\t0\t" + "\t".join(["0"] * len(rescue.MODELS) + ["No"] * len(rescue.FLANKS))
    with gzip.open(tmp_path / "clinvar_dm_esm_scores.tsv.gz", "wt") as handle:
        handle.write(f"{header}\n{row}\n")
    with pytest.raises(ValueError, match="expected 53 genes"):
        make.rescue_cpd(tmp_path)


def test_markdown_reader(make):
    one = "# One\n\n| a | b |\n|:-:|---|\n| 1 | [x](u(2)) |\n\ntext | more\n\n"
    page = one + " * <b>&nbsp; Two:</b><br/>\n \n|c|\n|-|\n|2|\n|3|\n"
    first, second = make.read_markdown_tables(page)
    assert (first.heading, first.header, first.rows) == ("One", ["a", "b"], [["1", "[x](u(2))"]])
    assert (second.heading, second.header, second.rows) == ("Two", ["c"], [["2"], ["3"]])
    assert make._link("[x](u(2))") == ("x", "u(2)")


def test_markdown_reader_refuses_a_short_row(make):
    with pytest.raises(ValueError, match="line 4: expected 2 cells as in the header, found 1"):
        make.read_markdown_tables("# t\n|a|b|\n|-|-|\n|1|\n")


def test_script_refuses_a_page_with_a_row_missing(make):
    header = "## Classification results\n|Accuracy|F1|Precision|Recall|GO|GO_desc|\n|-|-|-|-|-|-|\n"
    page = header + "|0.9|0.9|0.9|0.9|GO:1|x|\n"
    with pytest.raises(ValueError, match="expected 20 rows, found 1"):
        make.go_terms(page)


def test_script_names_the_missing_pages_and_writes_nothing(make, tmp_path):
    (tmp_path / "page.md").write_text("# ESM2_15B\n")
    with pytest.raises(FileNotFoundError, match="no .md or .txt page found for: Ankh"):
        make.main(["--from", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_windows(make):
    # 1,022 residues are one window; the next begins 511 later and reaches residue 1,533.
    assert [make.n_windows(length) for length in (1, 1022, 1023, 1533, 1534)] == [1, 1, 2, 2, 3]


REFERENCES = parse_file(str(paths.root() / "book" / "references.bib"))


@pytest.mark.parametrize("key", list(REFERENCES.entries))
def test_reference(key):
    entry = REFERENCES.entries[key]
    assert entry.persons["author"]
    assert entry.fields["title"].strip()
    assert re.fullmatch(r"(19|20)\d\d", entry.fields["year"])
    if "doi" in entry.fields:
        assert re.fullmatch(r"10\.\d{4,9}/[^\s{}]+", entry.fields["doi"])
    if "eprint" in entry.fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", entry.fields["eprint"])  # four digits until 2014
        assert entry.fields["doi"] == f"10.48550/arXiv.{entry.fields['eprint']}"
    # The style that the book uses formats it; a field that its type needs and lacks is an error there.
    style = find_plugin("pybtex.style.formatting", "unsrt")()
    (formatted,) = style.format_entries([entry])
    assert formatted.text.render_as("text").strip()


def test_references_are_distinct():
    dois = [entry.fields["doi"].lower() for entry in REFERENCES.entries.values() if "doi" in entry.fields]
    assert len(dois) == len(set(dois)) >= 20
    titles = [entry.fields["title"].lower() for entry in REFERENCES.entries.values()]
    assert len(titles) == len(set(titles)) == len(REFERENCES.entries)


def test_cited_cards_are_in_the_references():
    cited = {entry.citation for entry in CARDS.values() if entry.citation}
    assert len(cited) >= 5
    assert cited <= set(REFERENCES.entries)


def test_rescue_study_has_no_invented_doi():
    assert "doi" not in REFERENCES.entries["soylemez2022rescue"].fields


def test_script_reads_its_folder_from_the_environment(make, tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        make.main(["--out", str(tmp_path / "out")])
    assert not Path(tmp_path / "out").exists()


def test_the_page_on_citing_says_what_the_licence_of_ankh_says_and_links_to():
    page = (paths.root() / "book" / "cite.md").read_text(encoding="utf-8")
    assert "CC BY-NC-SA" in page and "(CC BY)" in page
    assert all(card.licence == "CC BY-NC-SA 4.0" for card in CARDS.values() if card.name.startswith("ankh"))
