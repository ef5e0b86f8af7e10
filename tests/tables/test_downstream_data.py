"""The parsers and draws of data/make/downstream.py, on rows that one can check by eye."""

import numpy as np
import pandas as pd
import pytest

from plmbook.core.errors import InputError
from scripts import script


@pytest.fixture(scope="module")
def make():
    """The script data/make/downstream.py as a module."""
    return script("downstream")


HEADER = "input,dssp3,dssp8,disorder,xyz_coordinates\n"


def casp(folder, *rows):
    path = folder / "CASP14.csv"
    path.write_text(HEADER + "".join(row + "\n" for row in rows))
    return path


def test_a_chain_of_casp(make, tmp_path):
    """Two ways of writing a list; 0, 0, 0 is no place."""
    first = 'MKR,CHE,CIB,0.0 1.0 1.0,"[[0.0, 0.0, 0.0], [1.5, -2.0, 3.0], [4.0, 5.0, 6.0]]"'
    second = 'MK,CC,CT,"[1.0, 1.0]","[[1.0, 2.0, 3.0], [0.0, 0.0, 3.8]]"'
    table = make.read_casp(casp(tmp_path, first, second))
    assert table["id"].tolist() == ["CASP14_01", "CASP14_02"]
    assert table.loc[0, ["source", "sequence", "dssp3", "dssp8", "counted"]].tolist() == [
        "CASP14", "MKR", "CHE", "CIB", "011",
    ]  # fmt: skip
    np.testing.assert_array_equal(table["xyz"][0], [[np.nan] * 3, [1.5, -2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(table["xyz"][1], [[1, 2, 3], [0, 0, 3.8]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('MK,CCC,CC,1.0 1.0,"[[1,2,3],[4,5,6]]"', "row 1: expected as many states"),
        ('MK,CC,CC,1.0 1.0,"[[1,2,3]]"', "row 1: expected 3 coordinates a residue, found 3"),
        ('MK,CC,CC,1.0 1.0,"[[1,2,3],[0,0,0]]"', "row 1: expected 0, 0, 0 where disorder is 0.0"),
        ('MK,CC,CC,1.0 0.0,"[[1,2,3],[4,5,6]]"', "row 1: expected 0, 0, 0 where disorder is 0.0"),
    ],
)
def test_a_faulty_chain_is_refused(make, tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        make.read_casp(casp(tmp_path, row))


def test_cb6133_is_read_once_a_sequence_with_three_states(make, tmp_path):
    path = tmp_path / "cb.csv"
    path.write_text("id,len,input,expected\n1,8,MKRLXGHA,HGIEBTSL\n2,8,MKRLXGHA,HGIEBTSL\n3,2,MK,LL\n")
    table = make.read_cb6133(path)
    assert table["id"].tolist() == ["CB6133_0001", "CB6133_0003"]
    assert table.loc[0, ["dssp3", "dssp8", "counted"]].tolist() == ["HHHEECCC", "HGIEBTSC", "11111111"]
    path.write_text("id,len,input,expected\n7,3,MKR,LL\n")
    with pytest.raises(InputError, match="protein 7: expected a state for each residue"):
        make.read_cb6133(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("K1R", "K3R"),  # the file's 1 is the third residue
        ("G3A,K1R", "K3R:G5A"),  # sorted by position
        ("K1*", None),  # a stop
        ("K1R,G3*", None),
        ("G1R", None),  # K is there
        ("K1K", None),
        ("G9A", None),  # past the end
    ],
)
def test_a_genotype_in_the_numbering_of_uniprot(make, text, expected):
    assert make.genotype(text, "MSKAG") == expected


def test_a_draw_keeps_the_shares(make):
    """6 : 3 : 1 of 10; of 5 rows 3, 1.5 and 0.5: the row that is left goes to the first of the two halves."""
    table = pd.DataFrame({"kind": [2] * 6 + [3] * 3 + [4], "row": range(10)})
    drawn = make.draw(table, 5, "kind")
    assert drawn["kind"].value_counts().to_dict() == {2: 3, 3: 2}
    assert drawn.index.is_monotonic_increasing and drawn["row"].is_unique
    pd.testing.assert_frame_equal(drawn, make.draw(table, 5, "kind"))
    halves = pd.Series([2, 3])
    assert make.draw(table, 4, "kind", halves)["kind"].value_counts().to_dict() == {2: 2, 3: 2}
    flags = pd.DataFrame({"soluble": [True, False, False, False]})
    assert make.draw(flags, 4, "soluble")["soluble"].sum() == 1


def test_the_lookup_has_the_superfamilies_first(make, monkeypatch):
    """Two of 1.1.1.1, a query's; one of each topology that has none; then others, while there is room."""
    monkeypatch.setattr(make, "OF_A_TOPOLOGY", 1)
    queries = pd.DataFrame({"cath": ["1.1.1.1", "1.1.2.1"]})
    domains = pd.DataFrame(
        [
            ("a", "1.1.1.1"), ("b", "1.1.1.1"),
            ("c", "1.1.2.7"), ("d", "1.1.2.8"),
            ("e", "1.1.1.5"), ("f", "3.40.50.720"),
        ],
        columns=["id", "cath"],
    ).assign(sequence="M" * 10)  # fmt: skip
    for room, expected in ((3, 3), (5, 5), (9, 6)):
        monkeypatch.setattr(make, "LOOKUP", (room, 1_000))
        chosen = make.chosen_domains(domains, queries)
        assert len(chosen) == expected
        assert set(chosen["id"].head(2)) == {"a", "b"} and chosen["id"].iloc[2] in "cd"
    monkeypatch.setattr(make, "LOOKUP", (9, 45))
    assert len(make.chosen_domains(domains, queries)) == 4  # 40 residues


def test_a_sequence_in_two_splits_is_refused(make):
    part = pd.DataFrame({"id": ["x"], "split": ["train"], "sequence": ["MK"], "soluble": [True]})
    other = part.assign(id="y", split="test")
    with pytest.raises(InputError, match="task_solubility: 1 sequences occur twice, the first again as y"):
        make.finished([part, other], make.tables.schema_of("task_solubility"))
    table = make.finished([other.assign(sequence="MKR"), part], make.tables.schema_of("task_solubility"))
    assert table["id"].tolist() == ["x", "y"] and table["length"].tolist() == [2, 3]
