"""To which part of life the held-out proteins belong: the rules, and what they make of the bundled table."""

import pytest

from plmbook import tables
from plmbook.tables import bundled
from scripts import script


@pytest.fixture(scope="module")
def make():
    """The script data/make/kingdoms.py as a module."""
    return script("kingdoms")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("P04637 P53_HUMAN GN=TP53 OX=9606 src=musite", "Animals"),
        ("P42632 TDCE_ECOLI GN=tdcE OX=83333 src=cfdb_proteomes", "Bacteria"),
        ("A0A384KHS0 A0A384KHS0_PLAKH GN=PKH_041120 OX=5851 src=cfdb_proteomes", "other eukaryotes"),
        ("Q9LIQ6 ING1_ARATH GN=ING1 OX=3702 src=dannyfriar_loc", "Plants"),
        ("P28094 WNT1_STRPU GN=WNT-1 src=capsnet_ptm", "Animals"),  # no taxon: the species code
        ("Q8Q083 MTXX_METMA GN=mtxX src=mpa_methano", "Archaea"),
        ("T96060010078 src=cafa3", "Animals"),  # taxon 9606 and seven digits
        ("T2089630001504 src=prot2vec", "Bacteria"),  # taxon 208963
        ("362663.ecp:ECP_3577 src=dscript_string", "Bacteria"),
        ("CR_05900W_A-T src=fungidb", "Fungi"),
        ("SPAC9G1.04.1 src=fungidb", "Fungi"),
        ("Mnemiopsis_leidyi_433 src=fungidb", "Animals"),  # the collection's name does not decide
        ("YP_005353330.1 src=prokka_sprot", "Bacteria"),
        ("D4GW50 src=prokka_sprot", "unknown"),  # bacteria, archaea and viruses are in that part of the collection
        ("ISM1 src=prokka_sprot", "unknown"),
        ("gi src=orthofinder_myco", "Bacteria"),
        ("WP_004043705.1 src=signalp6_refproteomes", "Archaea"),
        ("WP_010888465.1 src=signalp6_refproteomes", "Bacteria"),
        ("NP_216283.1 src=signalp6_refproteomes", "Bacteria"),
        ("WP_064496623.1 src=signalp6_refproteomes", "unknown"),  # in no series
        ("WP_004043705.1 src=phanns", "unknown"),  # the series are those of one collection
        ("1y0n-A src=flip_pdb", "unknown"),
        ("Q6M056 src=clean_ec", "unknown"),
        ("X0 OX=1 src=musite", "unknown"),  # a taxon that is not in the table
    ],
)
def test_kingdom_of_a_header(make, header, expected):
    assert make.kingdom(header) == expected


def test_every_rule_names_a_kingdom_and_series_do_not_overlap(make):
    named = {*make.TAXA.values(), *make.CODES.values(), *(k for *_, k in make.FORMS), *(k for *_, k in make.SERIES)}
    assert named == set(bundled.KINGDOMS) - {"unknown"}
    series = sorted(row[:3] for row in make.SERIES)
    for (prefix, _, last), (other, first, _) in zip(series, series[1:], strict=False):
        assert prefix != other or last < first


def test_the_column_is_added_once_and_the_others_stay(make):
    text = "id\tsource\tlength\tsequence\na\tmusite\t2\tMK\nb\tflip_pdb\t2\tRL\n"
    headers = {"MK": "a A_X OX=9606 src=musite", "RL": "b src=flip_pdb"}
    found = make.add_column(text, headers)
    assert found == ("id\tsource\tlength\tsequence\tkingdom\na\tmusite\t2\tMK\tAnimals\nb\tflip_pdb\t2\tRL\tunknown\n")
    assert make.add_column(found, headers) == found


def test_the_script_finds_proteins_by_their_sequence(make, tmp_path, capsys):
    import gzip

    for name in ("human_mouse_seqs", "corpus"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with gzip.open(tmp_path / "data" / "corpus" / "x.fasta.gz", "wt") as handle:
        handle.write(">other OX=9606 src=y\nMKK\n>a OX=3702 src=y\nMK\n>again OX=9606 src=y\nMK\n")
    table = tmp_path / "heldout.tsv"
    table.write_text("id\tsource\tlength\tsequence\na\ty\t2\tMK\n")
    make.main(["--from", str(tmp_path), "--table", str(table)])
    assert table.read_text().splitlines()[1] == "a\ty\t2\tMK\tPlants"
    assert "Plants: 1" in capsys.readouterr().out


def test_the_bundled_table():
    counts = tables.load("heldout")["kingdom"].value_counts().to_dict()
    assert counts == {
        "Bacteria": 120, "unknown": 84, "Fungi": 67, "Animals": 45, "other eukaryotes": 39, "Archaea": 29, "Plants": 10,
        "Viruses": 1,
    }  # fmt: skip
