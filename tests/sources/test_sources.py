"""Each parser on a small text in the source's own format, with the traps of that format; the registry; the mirror."""

import gzip
import io

import numpy as np
import pytest

from plmbook import sources
from plmbook.core.errors import InputError
from plmbook.core.text import read_records
from plmbook.sources import alphafold, clinvar, gnomad, multiz, rescue, uniprot


def text(*lines):
    return io.StringIO("\n".join(lines))  # no line end after the last line, on purpose


# --- UniProt ---

TTHY = ">sp|P02766|TTHY_HUMAN Transthyretin OS=Homo sapiens OX=9606 GN=TTR PE=1 SV=1"


def test_uniprot_header_and_wrapped_sequence():
    row = uniprot.read_fasta(text(TTHY, "MASHR", "LLL")).iloc[0].to_dict()
    assert row == {
        "uniprot": "P02766",
        "entry_name": "TTHY_HUMAN",
        "description": "Transthyretin",
        "organism": "Homo sapiens",
        "taxon": 9606,
        "gene": "TTR",
        "version": 1,
        "length": 8,
        "sequence": "MASHRLLL",
    }


def test_uniprot_header_without_gene_and_an_isoform():
    table = uniprot.read_fasta(
        text(
            ">tr|A0A024|A0A024_HUMAN Protein (Fragment) OS=Homo sapiens OX=9606 PE=4 SV=2",
            "M",
            ">sp|P04637-2|P53_HUMAN Isoform 2 of Cellular tumor antigen p53 OS=Homo sapiens OX=9606 GN=TP53",
            "MEE",
        )
    )
    assert table[["uniprot", "gene", "version"]].values.tolist() == [["A0A024", "", 2], ["P04637-2", "TP53", 0]]


@pytest.mark.parametrize(
    "lines, said",
    [((">TTR", "MASHR"), "record 1: expected a header like"), ((TTHY, "M", TTHY, "M"), "found again: P02766")],
)
def test_uniprot_refuses(lines, said):
    with pytest.raises(InputError, match=said):
        uniprot.read_fasta(text(*lines))


# --- ClinVar ---

WHOLE = "#AlleleID\tType\tName\tGeneID\tGeneSymbol\tHGNC_ID\tClinicalSignificance\tAssembly"


def whole_row(name, symbol="TTR", significance="Pathogenic", assembly="GRCh38"):
    return f"15048\tsingle nucleotide variant\t{name}\t7276\t{symbol}\tHGNC:1\t{significance}\t{assembly}"


def test_clinvar_whole_file_counts_one_assembly():
    name = "NM_000371.4(TTR):c.148G>A (p.Val50Met)"
    table = clinvar.read_variant_summary(text(WHOLE, whole_row(name, assembly="GRCh37"), whole_row(name)))
    assert table.values.tolist() == [["TTR", "V50M", "NM_000371.4", "c.148G>A", "P/LP", "Pathogenic"]]


def test_clinvar_takes_the_gene_of_the_name_where_a_variant_overlaps_two():
    row = whole_row("NM_000169.3(GLA):c.1A>T (p.Met1Leu)", symbol="GLA;RPL36A-HNRNPH2")
    assert clinvar.read_variant_summary(text(WHOLE, row))["gene"].tolist() == ["GLA"]


@pytest.mark.parametrize(
    "name",
    [
        "NM_000371.4(TTR):c.76-1G>A",
        "NM_000371.4(TTR):c.148G>A (p.Trp61Ter)",
        "NM_000371.4(TTR):c.210T>C (p.Ser70=)",
        "NM_000371.4(TTR):c.148del (p.Val50fs)",
        "NM_000371.4(TTR):c.148_149insAAA (p.Ala344_Gly345=)",
        "GRCh38/hg38 18q12.1(chr18:31591876-31599021)x3",
    ],
)
def test_clinvar_passes_over_what_is_no_missense_substitution(name):
    assert clinvar.read_variant_summary(text(WHOLE, whole_row(name))).empty


def test_clinvar_quotes_are_letters():
    row = whole_row("NM_000371.4(TTR):c.148G>A (p.Val50Met)", significance='Pathogenic; "other')
    assert clinvar.read_variant_summary(text(WHOLE, row, whole_row("NM_000371.4(TTR):c.149T>C (p.Val50Ala)")))[
        "mutation"
    ].tolist() == ["V50M", "V50A"]


def test_clinvar_refuses_a_missing_column():
    with pytest.raises(InputError, match="missing \\['ClinicalSignificance'\\]"):
        clinvar.read_variant_summary(text("Name\tGene"))


@pytest.mark.parametrize(
    "stated, expected",
    [
        ("Pathogenic/Likely pathogenic", "P/LP"),
        ("Pathogenic, low penetrance", "P/LP"),
        ("Benign/Likely benign; other", "B/LB"),
        ("Uncertain significance", "VUS"),
        ("Conflicting interpretations of pathogenicity; risk factor", "Other"),
        ("not provided", "Other"),
    ],
)
def test_clinvar_classes(stated, expected):
    assert clinvar.classify(stated) == expected


def test_clinvar_transcript_is_the_one_that_names_most_of_the_gene():
    table = clinvar.read_variant_summary(
        text(
            "Name\tClinicalSignificance",
            "NM_1.1(TPM1):c.1A>T (p.Gln263Glu)\tBenign",
            "NM_2.1(TPM1):c.1A>T (p.Gln263Glu)\tBenign",
            "NM_2.1(TPM1):c.9A>T (p.Gln3Glu)\tBenign",
        )
    )
    chosen = clinvar.transcripts(table)
    assert chosen.values.tolist() == [["TPM1", "Q263E", "NM_2.1", 2], ["TPM1", "Q3E", "NM_2.1", 1]]


# --- gnomAD ---

EXPORT = (
    "CHROM\tPOS\tID\tREF\tALT\tFILTER\tAC\tAN\tAF\tAF_popmax\tpopmax\tallele_type\tvariant_type\tn_alt_alelles\tvep"
)


def consequence(kind="missense_variant", change="ENSP1.1:p.Tyr273Phe", transcript="ENST1", canonical="YES"):
    fields = [
        "A",
        kind,
        "MODERATE",
        "SDHB",
        "ENSG1",
        "Transcript",
        transcript,
        "protein_coding",
        "8/8",
        "",
        "c",
        change,
    ]
    return "|".join(fields + [""] * 14 + [canonical, "", ""])


def allele(vep, count="2", number="251352", frequencies="7.95697e-06\t5.78168e-05"):
    return "\t".join(
        ["chr1", "17018906", "rs1", "T", "A", "PASS", count, number, frequencies, "amr", "snv", "snv", "1", vep]
    )


@pytest.mark.parametrize("frequencies", ["7.95697e-06\t5.78168e-05", "7.95697e-065.78168e-05"])
def test_gnomad_frequency_is_a_quotient_even_where_two_columns_ran_together(frequencies):
    table = gnomad.read_export(text(EXPORT, "", allele(consequence(), frequencies=frequencies)))
    assert table[["gene", "mutation", "allele"]].values.tolist() == [["SDHB", "Y273F", "chr1:17018906:T:A"]]
    assert table["allele_frequency"].tolist() == [2 / 251352]
    assert table["canonical"].tolist() == [True]


def test_gnomad_keeps_missense_consequences_of_every_transcript():
    vep = ",".join(
        [
            consequence(),
            consequence(change="ENSP2.1:p.Tyr90Phe", transcript="ENST2", canonical=""),
            consequence(kind="stop_gained", change="ENSP3.1:p.Tyr90Ter"),
            consequence(kind="intron_variant", change=""),
        ]
    )
    table = gnomad.read_export(text(EXPORT, allele(vep)))
    assert table[["mutation", "canonical"]].values.tolist() == [["Y273F", True], ["Y90F", False]]


def test_gnomad_nobody_sequenced_is_nan():
    assert np.isnan(
        gnomad.read_export(text(EXPORT, allele(consequence(), count="0", number="0")))["allele_frequency"][0]
    )


def test_gnomad_refuses_a_row_cut_short():
    with pytest.raises(InputError, match="line 2: expected 15 fields"):
        gnomad.read_export(text(EXPORT, "chr1\t17018906"))


# --- multiz100way ---


def test_multiz_joins_exons_in_order_and_leaves_versions():
    lines = [
        ">T1.2_hg38_2_2 2 0 0 chr1:1-9+",
        "AZ",
        "",
        ">T1.2_hg38_1_2 2 0 0 chr1:1-9+",
        "MK",
        ">T1.2_mm10_1_2 2 0 0",
        "M-",
        ">T1.2_mm10_2_2 2 0 0",
        "XZ",
    ]
    assert multiz.read_alignments(text(*lines)) == {"T1": {"hg38": "MKAZ", "mm10": "M-XZ"}}


def test_multiz_counts_a_repeated_record_once_and_keeps_transcripts_apart():
    records = [">T1_hg38", "MKZ", ">T1_mm10", "MRZ", ">T2_hg38", "MZ", ">T2_mm10", "MZ"]
    alignments = multiz.read_alignments(text(*records * 5))
    assert alignments == {"T1": {"hg38": "MKZ", "mm10": "MRZ"}, "T2": {"hg38": "MZ", "mm10": "MZ"}}
    assert multiz.matching_transcript(alignments, "MK") == "T1"
    assert multiz.matching_transcript(alignments, "MKR") == ""


@pytest.mark.parametrize(
    "lines, said",
    [
        ((">T1_hg38", "MK", ">T1_hg38", "MR"), "appears again with another row"),
        ((">T1_hg38", "MK", ">T1_mm10", "M"), "differ in length"),
        ((">T1_hg38_1_2", "MK"), "has 1 of 2 exons"),
        ((">hg38", "MK"), "expected a header"),
    ],
)
def test_multiz_refuses(lines, said):
    with pytest.raises(InputError, match=said):
        multiz.read_alignments(text(*lines))


ROWS = {"hg38": "MKTAZ", "mm10": "MKSAZ", "rn6": "M-SXZ", "danRer10": "MZTA-"}


def test_multiz_counts_residues_gaps_and_unknowns():
    """Column 2: K twice, a gap, and a stop inside a row; the final stop is no column."""
    table = multiz.residue_counts(ROWS)
    assert table["ref"].tolist() == ["M", "K", "T", "A"]
    assert table[["K", "T", "S", "A", "gap", "unknown"]].values.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 1, 1],
        [0, 2, 2, 0, 0, 0],
        [0, 0, 0, 3, 0, 1],
    ]
    assert table["M"].tolist() == [4, 0, 0, 0]


def test_multiz_columns_are_those_of_human_residues():
    table = multiz.residue_counts({"hg38": "M-KZ", "mm10": "MRKZ"})
    assert (table["position"].tolist(), table["K"].tolist(), table["R"].tolist()) == ([1, 2], [0, 2], [0, 0])


def test_multiz_carriers_and_their_flanks():
    assert multiz.carriers(ROWS, 3, "S") == {"mm10": 1, "rn6": 0}  # mm10: K and A are the same, then the protein ends


def test_multiz_flank_needs_both_sides_and_stops_at_five():
    human = "ACDEFGHIKLMNP"
    assert multiz.flank(human, "ACDEFGWIKLMNP", 7) == 5
    assert multiz.flank(human, "ACDEFGWIKLMNW", 7) == 5
    assert multiz.flank(human, "ACDEFGWIWLMNP", 7) == 1
    assert multiz.flank(human, "ACWEFGWIKLMNP", 7) == 3
    assert multiz.flank(human, "WCDEFGHIKLMNP", 1) == 0  # nothing before the first residue


# --- AlphaFold ---


def atom(number, name, residue, position, x, plddt=91.5):
    place = f"{x:8.3f}{0.0:8.3f}{0.0:8.3f}"
    return f"ATOM  {number:>5}  {name:<3} {residue} A{position:>4}    {place}  1.00{plddt:6.2f}           C  "


MODEL = [
    "HEADER                                            01-JUN-22",
    "DBREF  XXXX A    1     2  UNP    P02766   TTHY_HUMAN       1    147",
    "MODEL        1",
    atom(1, "CA", "GLY", 1, 0.0),
    atom(2, "CA", "ALA", 2, 3.8, plddt=40.25),
    atom(3, "CB", "ALA", 2, 5.3),
    "ENDMDL",
]


def test_alphafold_coordinates_and_plddt():
    table = alphafold.read_structure(text(*MODEL))
    assert table["residue"].tolist() == ["G", "A"]
    np.testing.assert_allclose(table["ca_x"], [0.0, 3.8], atol=1e-6)
    np.testing.assert_allclose(table["cb_x"], [0.0, 5.3], atol=1e-6)  # glycine's stands on its C-alpha
    np.testing.assert_allclose(table["plddt"], [91.5, 40.25])
    assert {str(kind) for kind in table.dtypes[2:]} == {"float32"}


def test_alphafold_accession():
    assert alphafold.read_accession(text(*MODEL)) == "P02766"
    with pytest.raises(InputError, match="DBREF"):
        alphafold.read_accession(text(*MODEL[2:]))


@pytest.mark.parametrize("drop, said", [(3, "residues 1, 2, 3"), (5, "missing at \\[2\\]")])
def test_alphafold_refuses_what_is_missing(drop, said):
    with pytest.raises(InputError, match=said):
        alphafold.read_structure(text(*MODEL[:drop], *MODEL[drop + 1 :]))


BACKBONE = [atom(3 * i + k, name, "GLY", i, i + k / 3) for i in (1, 2) for k, name in enumerate(("N", "C", "O"))]


def test_alphafold_backbone_to_a_hundredth():
    table = alphafold.read_backbone(text("MODEL        1", *BACKBONE, "ENDMDL"))
    assert table["position"].tolist() == [1, 2]
    assert table["n_x"].tolist() == [1, 2]
    assert table["c_x"].tolist() == [np.float32(1.33), np.float32(2.33)]
    assert table["o_x"].tolist() == [np.float32(1.67), np.float32(2.67)]
    assert (table[["n_y", "c_y", "o_z"]].nunique() == 1).all()


@pytest.mark.parametrize("name", ["N", "C", "O"])
def test_alphafold_backbone_refuses_a_missing_atom(name):
    lines = [line for line in BACKBONE if not (line[12:16].strip() == name and line[22:26].strip() == "1")]
    with pytest.raises(InputError, match=f"residues 1, 2, 3, ... each with {name}, found 1"):
        alphafold.read_backbone(text("MODEL        1", *lines, "ENDMDL"))


# --- the published scores ---

SCORES = ["GENE", "MUTATION", "AA_CHANGE", "GROUP", "gnomAD_AF", *rescue.FLANKS, *rescue.MODELS]


def scores_row(mutation="S279A", change="Ser279Ala", frequency="0", esm2="-4.5"):
    return "\t".join(
        ["SDHB", mutation, change, "VUS", frequency, "['mm10', 'rn6']", *["No"] * 5, esm2, *[""] * 5, "-1.0"]
    )


def test_scores_zero_is_absent_and_empty_is_not_run():
    table = rescue.read_scores(text("\t".join(SCORES), scores_row(), scores_row("S279T", "Ser279Thr", "7.96E-06", "")))
    assert len(table) == 2  # the last line has no line end
    assert np.isnan(table["allele_frequency"][0]) and table["allele_frequency"][1] == 7.96e-06
    assert table["esm2_t33_650M_UR50D"][0] == -4.5 and np.isnan(table["esm2_t33_650M_UR50D"][1])
    assert table["esm1v"].tolist() == [-1.0, -1.0] and table["esm1v_t33_650M_UR90S_1"].isna().all()
    assert table["CPD_0"][0] == ("mm10", "rn6") and table["CPD_1"][0] == ()


@pytest.mark.parametrize(
    "rows, said",
    [
        ([scores_row(), scores_row()], "SDHB S279A again"),
        ([scores_row(change="Ser279Thr")], "line 2: MUTATION S279A and AA_CHANGE Ser279Thr disagree"),
    ],
)
def test_scores_refuse(rows, said):
    with pytest.raises(InputError, match=said):
        rescue.read_scores(text("\t".join(SCORES), *rows))


# --- files, the registry, the mirror ---


def test_files_open_plain_and_gzipped(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nMK\n")
    for name in ("a.fa.gz", "a.fa.bgz"):
        (tmp_path / name).write_bytes(gzip.compress(b">a\nMK\n"))
    for name in ("a.fa", "a.fa.gz", "a.fa.bgz"):
        assert list(read_records(tmp_path / name)) == [("a", "MK")]


def test_every_source_is_described():
    for name, source in sources.SOURCES.items():
        assert source.name == name and source.url.startswith("https://")
        assert source.title and source.release and source.licence and source.citation


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    (tmp_path / "mirror" / "below").mkdir(parents=True)
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("PLMBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mirror"


def test_the_mirror_is_used_instead_of_the_network(mirror):
    whole, extract = mirror / "variant_summary_2022-09.txt.gz", mirror / "below" / "variant_summary.hgvs.tsv.gz"
    extract.write_bytes(b"")
    assert sources.fetch("clinvar") == extract
    whole.write_bytes(b"")
    assert sources.fetch("clinvar") == whole
    model = mirror / "AF-P02766-F1-model_v4.pdb"
    model.write_text("")
    assert sources.fetch("alphafold", accession="P02766") == model


def test_a_file_that_the_mirror_lacks(mirror):
    with pytest.raises(InputError, match="expected gnomad.exomes.*found none"):
        sources.fetch("gnomad")


def test_a_known_hash_is_compared_in_the_mirror(mirror):
    (mirror / "clinvar_dm_esm_scores.txt").write_text("INDEX\n")
    with pytest.raises(InputError, match="expected sha256 64ec31.*rescue-scores.*found"):
        sources.fetch("rescue-scores")


def test_accessions_are_for_sources_with_a_file_a_protein(monkeypatch):
    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    with pytest.raises(InputError, match="expected a UniProt accession"):
        sources.fetch("alphafold")
    with pytest.raises(InputError, match="expected no accession"):
        sources.fetch("clinvar", accession="P02766")


def test_first_download_records_the_hash_and_later_ones_are_checked(tmp_path, monkeypatch):
    """A local file stands for the network; the second download finds another content."""
    import pooch

    remote = tmp_path / "variant_summary_2022-09.txt.gz"
    remote.write_bytes(b"first")
    real = pooch.retrieve

    def retrieve(url, known_hash, fname, path):
        assert url == sources.SOURCES["clinvar"].url
        return real(url, known_hash, fname=fname, path=path, downloader=lambda _url, out, _pooch: _copy(remote, out))

    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    monkeypatch.setenv("PLMBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    fetched = sources.fetch("clinvar")
    record = fetched.with_name(fetched.name + ".sha256")
    assert record.read_text().strip() == pooch.file_hash(fetched, alg="sha256")
    assert sources.listing().set_index("name")["state"]["clinvar"] == "cached"
    fetched.unlink()
    remote.write_bytes(b"second")
    with pytest.raises(InputError, match="clinvar: .*hash"):
        sources.fetch("clinvar")


def _copy(source, destination):
    with open(destination, "wb") as out:
        out.write(source.read_bytes())


def test_verify_sees_a_changed_and_a_missing_table(tmp_path, monkeypatch):
    sha256_of_empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "registry.txt").write_text(
        "".join(f"{name}.tsv {sha256_of_empty}\n" for name in ("whole", "changed", "missing"))
    )
    (tmp_path / "whole.tsv").write_text("")
    (tmp_path / "changed.tsv").write_text("by hand")
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    assert sources.verify()[["file", "state"]].values.tolist() == [
        ["whole.tsv", "bundled"],
        ["changed.tsv", "changed"],
        ["missing.tsv", "missing"],
    ]
    assert sources.listing()["name"].tolist()[:3] == ["whole.tsv", "changed.tsv", "missing.tsv"]
