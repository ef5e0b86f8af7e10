"""Text of every kind is opened by one door, which looks at the content and never at the name."""

import codecs
import gzip
import io

import pandas as pd
import pytest

from plmbook.core import text
from plmbook.core.errors import InputError
from plmbook.function import ontology
from plmbook.sources import alphafold, clinvar, gnomad, goa, multiz, rescue, uniprot
from plmbook.sources.proteinnet import read_proteinnet
from plmbook.tables import read_fasta, read_variants
from plmbook.tables.published import published
from plmbook.tables.readers import read_delimited

WORDS = "id\tnote\na\tPlé\n"
KINDS = {
    "plain": WORDS.encode(),
    "Windows": WORDS.replace("\n", "\r\n").encode(),
    "byte-order mark": codecs.BOM_UTF8 + WORDS.encode(),
    "UTF-16": WORDS.encode("utf-16"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE + WORDS.encode("utf-16-be"),
    "gzip": gzip.compress(WORDS.encode(), mtime=0),
    "gzip of UTF-16": gzip.compress(WORDS.encode("utf-16"), mtime=0),
    # many members, the last of them empty
    "bgzip": gzip.compress(WORDS.encode(), mtime=0) + gzip.compress(b"", mtime=0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.bgz"])
def test_the_content_says_how_a_file_is_read_not_its_name(tmp_path, kind, name):
    path = tmp_path / name
    path.write_bytes(KINDS[kind])
    assert "".join(text.lines(path)) == WORDS
    with text.open_text(path) as handle:
        assert handle.read() == WORDS
    assert text.read_csv(path).values.tolist() == [["a", "Plé"]]
    assert read_delimited(path)[0].values.tolist() == [["a", "Plé"]]


def test_a_handle_passes_through_and_stays_open():
    handle = io.StringIO(WORDS)
    with text.open_text(handle) as found:
        assert found is handle
    assert not handle.closed


READERS = {
    "lines": lambda path: list(text.lines(path)),
    "csv": text.read_csv,
    "delimited": read_delimited,
    "FASTA": read_fasta,
    "variants": lambda path: read_variants(path, pd.DataFrame({"id": ["a"], "sequence": ["MK"]})),
    "records": lambda path: list(text.read_records(path)),
    "GAF": goa.read_gaf,
    "UniProt TSV": uniprot.read_tsv,
    "UniProt FASTA": uniprot.read_fasta,
    "ClinVar": clinvar.read_variant_summary,
    "gnomAD": gnomad.read_export,
    "multiz": multiz.read_alignments,
    "rescue": rescue.read_scores,
    "AlphaFold": alphafold.read_structure,
    "ProteinNet": lambda path: list(read_proteinnet(path)),
    "OBO": ontology.read_obo,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_that_is_no_text_is_named_with_its_line_by_every_reader(tmp_path, reader, packed):
    content = b"!gaf-version: 2.2\n! Latin-1: caf\xe9\n"
    if reader in ("FASTA", "records", "UniProt FASTA", "multiz"):
        content = b">T1_hg38\n>caf\xe9\nMK\n"
    if reader == "ProteinNet":
        content = b"[ID]\ncaf\xe9\n"
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    with pytest.raises(InputError, match=r"a\.txt: line 2: expected UTF-8 text, found byte 0xe9"):
        READERS[reader](path)


@pytest.mark.parametrize("reader", ["lines", "csv", "delimited", "variants", "OBO"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\x00", "found a binary one"),
        (WORDS.encode("utf-16-le"), "found a binary one"),  # no byte-order mark says what it is
        (gzip.compress(WORDS.encode() * 5000, mtime=0)[:-20], "cannot be read"),
        (gzip.compress(WORDS.encode() * 5000, mtime=0)[:5], "cannot be read"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, reader, content, said):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.txt: .*{said}"):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_names_the_near_one(tmp_path, reader):
    (tmp_path / "proteins.txt").write_text(WORDS)
    with pytest.raises(InputError, match="protein.txt: no such file"):
        READERS[reader](tmp_path / "protein.txt")


def test_a_quotation_mark_joins_nothing(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('id\tnote\na\t"5 end\nb\t3" end\nc\t"whole, ""cell"""\nd\t""\n')
    table, numbers = read_delimited(path)
    assert table["note"].tolist() == ['"5 end', '3" end', 'whole, "cell"', ""] and numbers == [2, 3, 4, 5]
    assert text.read_csv(path)["id"].tolist() == ["a", "b", "c", "d"]


def test_a_format_that_quotes_is_read_so_when_it_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,note\na,"one, two"\n')
    assert text.read_csv(path, ",", quoted=True).values.tolist() == [["a", "one, two"]]
    assert published("ankh_datasets")["source"].notna().all()


def test_fasta_records_know_their_lines():
    lines = io.StringIO("\n>a b\nM K-\n\nZ\n>c\n")
    assert list(text.fasta_records(lines)) == [("a b", 2, [(3, "MK-"), (5, "Z")]), ("c", 6, [])]
    with pytest.raises(InputError, match="toy: line 1: expected a FASTA header that starts with '>', found 'MK'"):
        list(text.fasta_records(["MK\n"], "toy"))
