"""Schemas, readers, and a user's mistakes at the door."""

import gzip
import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.tables import (
    Column,
    FastaFile,
    Schema,
    TableError,
    check,
    load,
    read_fasta,
    read_table,
    read_variants,
    schema,
)

TOY = Schema(
    "toy",
    (
        Column("name", "str"),
        Column("size", "int64", minimum=1),
        Column("weight", "float64", nullable=True, maximum=9),
        Column("kind", "str", allowed=("a", "b")),
        Column("good", "bool"),
        Column("note", "str", nullable=True),
    ),
    key=("name",),
)


def toy(**columns):
    table = {
        "name": ["x", "y", "z"],
        "size": [1, 2, 3],
        "weight": [0.5, np.nan, 2],
        "kind": ["a", "b", "a"],
        "good": [True, False, True],
        "note": ["", None, "n"],
    }
    return pd.DataFrame(table | columns)


def refusal(call, *arguments, **options):
    """The message with which a call refuses its input."""
    with pytest.raises(InputError) as error:
        call(*arguments, **options)
    return str(error.value)


# --- check ---------------------------------------------------------------------------------------------------------


def test_a_table_error_is_an_input_error_that_the_command_line_catches():
    assert issubclass(TableError, InputError)
    with pytest.raises(TableError):
        check(toy(kind=["a", "b", "c"]), TOY, where="here")


def test_a_good_table_comes_back_in_order_and_dtypes():
    given = toy(extra=[7, 8, 9], size=[1.0, 2.0, 3.0])[["extra", "note", "kind", "good", "size", "name", "weight"]]
    given.index = [5, 6, 7]
    before = given.copy()
    checked = check(given, TOY, where="here")
    assert list(checked) == ["name", "size", "weight", "kind", "good", "note", "extra"]
    assert checked["size"].dtype == np.int64
    assert checked["weight"].dtype == np.float64
    assert checked["good"].dtype == bool
    assert checked["note"].tolist() == ["", "", "n"]
    assert checked["extra"].tolist() == [7, 8, 9]
    assert list(checked.index) == [0, 1, 2]
    assert_frame_equal(given, before)
    assert_frame_equal(check(checked, TOY, where="here"), checked)


def test_object_category_and_small_dtypes_are_read_too():
    given = toy().astype({"name": object, "kind": "category", "size": "uint8", "weight": "float32"})
    assert_frame_equal(check(given, TOY, where="here"), check(toy(), TOY, where="here"))


def test_an_empty_table_with_the_columns_is_a_table():
    assert len(check(toy().iloc[:0], TOY, where="here")) == 0


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": ["x", None, "z"]}, "row 2: column name: expected text, found an empty cell"),
        ({"name": ["x", "", "z"]}, "row 2: column name: expected text, found an empty cell"),
        ({"name": ["x", 4, "z"]}, "row 2: column name: expected text, found 4"),
        ({"name": ["x", "y", "x"]}, "row 3: name 'x' repeats row 1; expected each name once"),
        ({"size": [1, 2, 0]}, "row 3: column size: expected an integer from 1 up, found"),
        ({"size": [1, 2.5, 3]}, "row 2: column size: expected an integer from 1 up, found"),
        ({"size": [1, np.nan, 3]}, "row 2: column size: expected an integer from 1 up, found an empty cell"),
        ({"size": ["1", "two", "3"]}, "row 2: column size: expected an integer from 1 up, found 'two'"),
        ({"size": [True, True, True]}, "row 1: column size: expected an integer"),
        ({"weight": [1, np.inf, 2]}, "row 2: column weight: expected a finite number, found"),
        ({"weight": [1, 10, 2]}, "row 2: column weight"),
        ({"kind": ["a", "c", "b"]}, "row 2: column kind: expected one of a, b, found 'c'"),
        ({"good": [True, "yes", False]}, "row 2: column good: expected True or False, found 'yes'"),
        ({"good": [True, None, False]}, "row 2: column good: expected True or False, found an empty cell"),
    ],
)
def test_each_kind_of_fault_names_its_row(columns, said):
    message = refusal(check, toy(**columns), TOY, where="here.tsv")
    assert message.startswith("here.tsv: ")
    assert said in message


def test_all_faults_are_reported_at_once_and_in_order_of_rows():
    message = refusal(check, toy(name=["x", "x", "z"], size=[1, 2, -3], kind=["c", "a", "b"]), TOY, where="here")
    lines = message.split("\n")
    assert lines[0] == "here: 3 faults in the table toy"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["row 1", "row 2", "row 3"]


def test_two_empty_names_are_not_also_a_repeated_name():
    message = refusal(check, toy(name=["x", "", ""]), TOY, where="here")
    assert "2 faults" in message
    assert "repeats" not in message


def test_ten_faults_are_listed_and_the_others_counted():
    table = pd.DataFrame({"name": [f"n{i}" for i in range(25)], "size": [0] * 25})
    schema = Schema("sizes", TOY.columns[:2])
    lines = refusal(check, table, schema, where="here").split("\n")
    assert lines[0].startswith("here: 25 faults")
    assert len(lines) == 12
    assert lines[-1].strip() == "... and 15 more"


def test_a_missing_column_lists_those_found_and_the_near_one():
    message = refusal(check, toy().rename(columns={"size": "Size", "kind": "sort"}), TOY, where="here")
    assert "expected the columns 'size' and 'kind'" in message
    assert "found the columns name, Size, weight, sort" in message
    assert "'Size' for 'size'" in message


def test_a_column_twice():
    table = pd.concat([toy(), toy()[["size"]]], axis=1)
    assert "more than one column named 'size'" in refusal(check, table, TOY, where="here")


WITH_LENGTH = Schema(
    "proteins",
    (Column("id", "str"), Column("sequence", "str"), Column("length", "int64", minimum=1)),
    key=("id",),
    rules=(
        ("length is the number of residues of sequence", lambda table: table["length"] == table["sequence"].str.len()),
    ),
)


def test_rules_are_checked_on_rows_that_could_be_read():
    proteins = pd.DataFrame({"id": ["a", "b", "c"], "sequence": ["MK", "MKR", "M"], "length": ["2", "4", "one"]})
    lines = refusal(check, proteins, WITH_LENGTH, where="here").split("\n")[1:]
    assert lines == [
        "  row 2: expected that length is the number of residues of sequence, found sequence 'MKR', length 4",
        "  row 3: column length: expected an integer from 1 up, found 'one'",
    ]


def test_schemas_that_make_no_sense_cannot_be_written():
    with pytest.raises(ValueError, match="unknown kind"):
        Column("size", "int32")
    with pytest.raises(ValueError, match="no missing value"):
        Column("size", "int64", nullable=True)


# --- the schemas of the bundled tables -----------------------------------------------------------------------------


def variants(**columns):
    table = {
        "gene": ["TP53", "TP53"],
        "mutation": ["R175H", "N239Y"],
        "position": [175, 239],
        "ref": ["R", "N"],
        "alt": ["H", "Y"],
        "significance": ["P/LP", "VUS"],
        "allele_frequency": [1e-5, np.nan],
        "release": ["2022-09-17"] * 2,
        "transcript": ["NM_000546.6", ""],
        "matches": [True, True],
        "mismatch_reason": ["", ""],
        "aligned_position": [175, 239],
        "stated": ["P/LP", "VUS"],
    }
    return pd.DataFrame(table | columns)


def test_variants_schema():
    checked = check(variants(), tables.schema_of("variants"), where="here")
    assert checked["allele_frequency"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"position": [175, 240]}, "row 2: expected that mutation is ref, position and alt"),
        ({"mutation": ["R175R", "N239Y"], "alt": ["R", "Y"]}, "row 1: expected that ref and alt differ"),
        ({"matches": [True, False]}, "row 2: expected that mismatch_reason is given"),
        ({"significance": ["P/LP", "pathogenic"]}, "expected one of P/LP, B/LB, VUS, Other, found 'pathogenic'"),
        ({"allele_frequency": [1.5, 0]}, "row 1: column allele_frequency"),
        ({"mutation": ["R175H"] * 2, "position": [175] * 2, "ref": ["R"] * 2, "alt": ["H"] * 2}, "repeats row 1"),
    ],
)
def test_variants_schema_refuses(columns, said):
    assert said in refusal(check, variants(**columns), tables.schema_of("variants"), where="here")


def test_bytes_are_a_kind():
    schema = tables.Schema("maps", (tables.Column("map", "bytes"),))
    assert check(pd.DataFrame({"map": [b"\x00", b""]}), schema, where="here")["map"].tolist() == [b"\x00", b""]
    said = refusal(check, pd.DataFrame({"map": [b"\x00", "text", None]}), schema, where="here")
    assert "row 2: column map: expected bytes, found 'text'" in said and "row 3: column map: expected bytes" in said


def test_every_bundled_table_has_a_schema_whose_key_is_of_its_columns():
    assert list(tables.BUNDLED) == [
        "goldens", "genes", "variants", "published_effects", "alignment", "cpd", "orthologs", "structures", "backbone",
        "heldout", "ngram", "kept_structures", "secondary_structure", "localisation", "relatives", "landscapes",
        "landscape_proteins",
        "clades", "suppressors", "same_codon", "go_species", "go_proteins", "go_annotations", "go_terms",
        "go_relations",
        "task_secondary_structure", "task_remote_homology", "task_solubility", "task_fluorescence", "task_proteins",
        "task_cath", "task_contacts",
    ]  # fmt: skip
    for _, each in tables.BUNDLED.values():
        assert each.key and set(each.key) <= set(each.names)
    assert set(AMINO_ACIDS) < set(tables.schema_of("alignment").names)
    assert tables.schema_of("published_effects").names == ("gene", "mutation", "model", "strategy", "score")


def test_load_reads_by_name_from_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    (tmp_path / "heldout.tsv").write_text("id\tsource\tlength\tsequence\tkingdom\nNA\tfamily\t2\tMK\tFungi\n")
    assert load("heldout").to_dict("records") == [
        {"id": "NA", "source": "family", "length": 2, "sequence": "MK", "kingdom": "Fungi"}
    ]
    variants().to_parquet(tmp_path / "variants.parquet")
    assert load("variants")["position"].tolist() == [175, 239]


def test_load_says_what_is_wrong(monkeypatch, tmp_path):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    assert "did you mean 'genes'?" in refusal(load, "gene")
    assert "genes.tsv: no such file" in refusal(load, "genes")
    (tmp_path / "cpd.parquet").write_text("not Parquet")
    assert "cpd.parquet: cannot be read as Parquet" in refusal(load, "cpd")
    (tmp_path / "heldout.tsv").write_text("id\tsource\tlength\tsequence\tkingdom\n\na\tfamily\tmany\tMK\tFungi\n")
    assert "line 3: column length: expected an integer from 1 up, found 'many'" in refusal(load, "heldout")


# --- FASTA ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


FASTA = ">sp|P1|A_HUMAN first protein\nMKR\nLV\n\n>b\nMKX\n"
READ = pd.DataFrame(
    {"id": ["sp|P1|A_HUMAN", "b"], "description": ["first protein", ""], "sequence": ["MKRLV", "MKX"], "length": [5, 3]}
)


@pytest.mark.parametrize(
    "content",
    [
        FASTA.encode(),
        FASTA.rstrip().encode(),
        FASTA.replace("\n", "\r\n").encode(),
        FASTA.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + FASTA.encode(),
        FASTA.replace("MKR\n", "M KR \n").encode(),
        ("\n\n" + FASTA).encode(),
        gzip.compress(FASTA.encode(), mtime=0),
        FASTA.encode("utf-16"),
    ],
    ids=[
        "plain",
        "no last line end",
        "Windows",
        "old Mac",
        "byte-order mark",
        "blanks",
        "blank lines",
        "gzip",
        "UTF-16",
    ],
)
def test_fasta_as_people_have_it(write, content):
    table = read_fasta(write("a.fasta", content))
    assert_frame_equal(table, READ.astype({"length": "int64"}))
    assert_frame_equal(check(table, WITH_LENGTH, where="a")[list(READ)], table)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        ("MKRL\n", "line 1: expected a FASTA header that starts with '>', found 'MKRL'"),
        (">a\nMK\n>b\nMK\n>a again\nMR\n", "line 5: record 'a' repeats the id of line 1"),
        (">a\nMK\n>\nMK\n", "line 3: the header has no id"),
        (">a\n>b\nMK\n", "line 1: record 'a' has no sequence"),
        (">a\nMK\n>b\n", "line 3: record 'b' has no sequence"),
        (">a\nMKR\nMkr\n", "line 3: record 'a': lower-case 'k' at column 2"),
        (">a\nMKR*\n", "line 2: record 'a': '*' at column 4 is a stop"),
        (">a\nMK-R\n", "line 2: record 'a': '-' at column 3 is an alignment gap"),
        (">a\nMK{R\n", "line 2: record 'a': '{' at column 3 is not a residue"),
        (">a\n" + "ACGT" * 10 + "\n", "line 1: record 'a': expected a protein, found only the letters of DNA"),
        (b"\x89PNG\r\n", "found byte 0x89"),
        (b"PK\x03\x04\x00", "found a binary one"),
        (gzip.compress(FASTA.encode(), mtime=0)[:-12], "cannot be read"),
    ],
)
def test_fasta_mistakes_name_file_line_and_record(write, content, said):
    path = write("mine.fasta", content)
    message = refusal(read_fasta, path)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_lower_case_fasta_says_what_to_do_once_a_record(write):
    message = refusal(read_fasta, write("a.fasta", ">a\nmkr\nmkr\n>b\nmk\n"))
    assert "2 faults" in message
    assert "soft-masked? make the sequence upper case" in message


def test_short_or_poor_peptides_are_no_dna(write):
    assert len(read_fasta(write("a.fasta", ">a\nACGT\n>b\n" + "AG" * 50 + "\n"))) == 2


def test_a_missing_file_names_the_near_one(write, tmp_path):
    write("proteins.fasta", FASTA)
    message = refusal(read_fasta, tmp_path / "protein.fasta")
    assert "no such file; did you mean 'proteins.fasta'?" in message
    assert "found a folder" in refusal(read_fasta, tmp_path)
    assert "no such file" in refusal(read_fasta, tmp_path / "absent" / "a.fasta")


@pytest.mark.parametrize("characters", [1, 30, 10_000])
def test_a_fasta_file_is_read_in_blocks_as_often_as_wanted(write, characters):
    file = FastaFile(write("a.fasta", FASTA + ">c\n" + "MKRLV\n" * 40))
    for _ in range(3):
        blocks = list(file.blocks(characters))
        assert len(blocks) == {1: 3, 30: 3, 10_000: 1}[characters]
        assert all(list(block.index) == list(range(len(block))) for block in blocks)
        assert_frame_equal(pd.concat(blocks, ignore_index=True), read_fasta(file.path))
        next(file.blocks(characters))  # given up before its end


def test_ids_that_repeat_in_other_blocks_are_named_with_both_lines(write):
    records = [f">p{n % 40}\nMKRLV\n" for n in range(52)]  # p0 to p11 come twice
    blocks = FastaFile(write("a.fasta", "".join(records))).blocks(20)
    message = refusal(list, blocks)
    lines = message.split("\n")
    assert "12 faults" in lines[0] and len(lines) == 1 + schema.LISTED + 1 and "... and 2 more" in lines[-1]
    assert "line 81: record 'p0' repeats the id of line 1;" in lines[1]
    assert "line 99: record 'p9' repeats the id of line 19;" in lines[10]


def test_two_ids_of_one_hash_are_two_ids(write, monkeypatch):
    monkeypatch.setattr(tables, "hash", lambda name: 7, raising=False)
    path = write("a.fasta", ">a\nMK\n>b\nMK\n>c\nMK\n")
    assert read_fasta(path)["id"].tolist() == ["a", "b", "c"]
    message = refusal(read_fasta, write("b.fasta", path.read_text() + ">b\nMK\n"))
    assert "1 fault" in message and "line 7: record 'b' repeats the id of line 3" in message


def test_all_faults_of_a_long_file_are_counted_and_the_first_listed(write):
    records = [f">p{n}\n{'MKR' if n % 2 else 'mkr'}\n" for n in range(6000)]
    file = FastaFile(write("a.fasta", "".join(records) + ">p1\nMK\n"))
    with pytest.raises(InputError) as refused:
        for block in file.blocks(1000):
            assert "mkr" not in set(block["sequence"])  # after a fault no block is given out
    lines = str(refused.value).split("\n")
    assert "3001 faults" in lines[0] and "... and 2991 more" in lines[-1]
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == [f"line {4 * n + 2}" for n in range(10)]


def test_the_memory_of_a_reading_does_not_grow_with_the_file(write):
    def peak(n):
        file = FastaFile(write(f"{n}.fasta", "".join(f">protein_{i}\n{'MKRLV' * 20}\n" for i in range(n))))
        next(file.blocks(20_000))  # what is loaded once
        tracemalloc.start()
        for _ in file.blocks(20_000):
            pass
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(1_000), peak(15_000)
    assert many - few < 14_000 * 20  # eight bytes an id, and room for an array to grow; an id as text has 60


def test_a_file_that_changes_between_two_readings_is_refused(write):
    path = write("a.fasta", FASTA)
    file = FastaFile(path)
    assert len(list(file.blocks())) == 1
    path.write_text(FASTA + ">c\nMK\n")
    assert "changed while it was in use" in refusal(list, file.blocks())


def test_a_file_that_changes_while_it_is_read_is_refused(write):
    path = write("a.fasta", FASTA + ">c\nMK\n")
    blocks = FastaFile(path).blocks(10)
    next(blocks)
    path.write_text(FASTA)
    assert "changed while it was in use" in refusal(list, blocks)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.fasta")
    assert "found a pipe or a device" in refusal(read_fasta, tmp_path / "pipe.fasta")


def test_a_byte_that_is_no_text_is_named_with_its_line_far_into_a_file(write):
    content = FASTA.encode() + b"".join(b">p%d\nMKR\n" % n for n in range(20_000)) + b">x\nMK\xffR\n"
    assert "line 40008: expected UTF-8 text, found byte 0xff" in refusal(read_fasta, write("a.fasta", content))
    assert "line 40008: " in refusal(read_fasta, write("b.fasta", gzip.compress(content)))
    cut = FASTA.encode("utf-16")[:-1]
    assert "expected UTF-8 text" in refusal(read_fasta, write("c.fasta", cut))


def test_a_damaged_gzip_file_is_named(write):
    packed = bytearray(gzip.compress(FASTA.encode() + b"".join(b">p%d\nMKR\n" % n for n in range(3000))))
    packed[len(packed) // 2] ^= 255
    assert "cannot be read" in refusal(read_fasta, write("a.fasta", bytes(packed)))


# --- variants ------------------------------------------------------------------------------------------------------

PROTEINS = pd.DataFrame({"id": ["TP53", "BRCA1"], "sequence": ["MEEPQSDPSV", "MDLSALRVEE"], "length": [10, 10]})


@pytest.mark.parametrize(
    "content",
    [
        "id\tmutation\tnote\nTP53\tE2A\tone\nBRCA1\tp.Asp2Ala:L3V\t\n",
        "id\tmutation\tnote\r\nTP53\tE2A\tone\r\nBRCA1\tp.Asp2Ala:L3V\t\r\n",
        "\ufeffid\tmutation\tnote\n\n TP53 \t E2A \tone\n\nBRCA1\tL3V:D2A\t",
        'id\tmutation\t"note"\nTP53\t"E2A"\tone\nBRCA1\tp.(Asp2Ala):L3V\t\n',
    ],
)
def test_variants_are_normalised_and_columns_carried(write, content):
    table = read_variants(write("v.tsv", content), PROTEINS)
    expected = {"id": ["TP53", "BRCA1"], "mutation": ["E2A", "D2A:L3V"], "note": ["one", ""]}
    assert_frame_equal(table, pd.DataFrame(expected))


def test_the_column_gene_is_accepted_and_kept(write):
    table = read_variants(write("v.tsv", "mutation\tgene\nE2A\tTP53\n"), PROTEINS)
    assert table.to_dict("records") == [{"id": "TP53", "mutation": "E2A", "gene": "TP53"}]


def test_beside_id_a_column_gene_is_only_carried(write):
    table = read_variants(write("v.tsv", "id\tgene\tmutation\nTP53\tp53\tE2A\n"), PROTEINS)
    assert table.to_dict("records") == [{"id": "TP53", "mutation": "E2A", "gene": "p53"}]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("TP53\tQ4A", ["expected the wild type Q at position 4, found P", "Q is at position 5", "off by one"]),
        ("TP53\tW4A", ["expected the wild type W at position 4, found P", "another isoform"]),
        ("TP53\tV11A", ["position 11 is past the end", "10 residues"]),
        ("TP53\tE2*", ["stop codon"]),
        ("TP53\tp.Glu2Ter", ["stop codon"]),
        ("TP53\tp.Glu2fs", ["frameshift"]),
        ("TP53\tp.Glu2del", ["deletion"]),
        ("TP53\tE2E", ["synonymous"]),
        ("TP53\t", ["an empty cell"]),
        ("TP53\tE2A:P4W:P4V", ["position 4 is changed twice"]),
        ("TP53\tp.Met1Val", ["'TP53' M1V repeats line 2"]),
        ("P53\tE2A", ["id 'P53' is not among the 2 proteins", "did you mean 'TP53'?"]),
        ("tp53\tE2A", ["did you mean 'TP53'?"]),
        ("\tE2A", ["the id is empty"]),
        ("TP53", ["expected 2 tab-separated values, as the header has, found 1"]),
        ("TP53\tE2A\tmore", ["found 3"]),
        ("TP53,E2A", ["found 1"]),
        ('TP53\t"E2A', ["""'TP53' "E2A: not a mutation"""]),
    ],
)
def test_mistakes_in_a_row_name_file_and_line(write, row, said):
    path = write("v.tsv", f"id\tmutation\nTP53\tM1V\n{row}\n")
    message = refusal(read_variants, path, PROTEINS)
    assert message.startswith(f"{path}: ")
    assert "line 3: " in message
    for words in said:
        assert words in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("id\tmutation\n", "expected rows below the header, found none"),
        ("id,mutation\nTP53,E2A\n", "expected columns separated by tabs, found commas in 'id,mutation'"),
        ("id;mutation\nTP53;E2A\n", "found semicolons"),
        ("id mutation\nTP53 E2A\n", "found blanks"),
        ("ID\tMutation\nTP53\tE2A\n", "found 'ID' for 'id', 'Mutation' for 'mutation'"),
        ("name\tmutation\nTP53\tE2A\n", "expected the column 'id' (or 'gene'), found the columns name, mutation"),
        ("id\tchange\nTP53\tE2A\n", "expected the column 'mutation', found the columns id, change"),
        ("id\tmutation\tmutation\nTP53\tE2A\tE2A\n", "more than one column named 'mutation'"),
        ("id\tmutation\t\nTP53\tE2A\t\n", "found none for column 3"),
        ("id\tmutation\tscore\nTP53\tE2A\t1\n", "are written by this command, found 'score'"),
        (FASTA, "found FASTA; are the files in the wrong order?"),
    ],
)
def test_mistakes_in_the_file(write, content, said):
    path = write("v.tsv", content)
    message = refusal(read_variants, path, PROTEINS)
    assert message.startswith(f"{path}: ")
    assert said in message


def test_proteins_that_are_no_table_of_proteins(write):
    path = write("v.tsv", "id\tmutation\nTP53\tE2A\n")
    assert "expected the column 'id'" in refusal(read_variants, path, PROTEINS.rename(columns={"id": "gene"}))
    assert "row 2: id 'TP53' repeats row 1" in refusal(read_variants, path, PROTEINS.assign(id="TP53"))


def test_all_faulty_rows_are_counted_and_an_unknown_protein_is_named_once(write):
    rows = [f"BRCA2\tM{i}V" for i in range(1, 8)] + ["TP53\tM1V", "TP53\tM2V", "TP53\tE99V"]
    message = refusal(read_variants, write("v.tsv", "id\tmutation\n" + "\n".join(rows)), PROTEINS)
    lines = message.split("\n")
    assert "3 faults" in lines[0]
    assert "line 2: id 'BRCA2'" in lines[1] and "(and on 6 further lines)" in lines[1] and "'BRCA1'" in lines[1]
    assert lines[2].strip().startswith("line 10:")
    assert lines[3].strip().startswith("line 11:")


def test_a_table_read_from_text_has_the_dtypes_of_its_schema(write):
    path = write("t.tsv", "name\tsize\tweight\tkind\tgood\tnote\nx\t3\t\ta\tFalse\t\n")
    table = read_table(path, TOY)
    assert table["size"].tolist() == [3] and table["size"].dtype == np.int64
    assert table["weight"].isna().all()
    assert table["good"].tolist() == [False] and table["good"].dtype == bool
