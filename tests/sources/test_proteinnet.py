"""Text records of ProteinNet, written here."""

import gzip
import io
import itertools
import tracemalloc

import numpy as np
import pytest

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.sources.proteinnet import read_proteinnet

# C-alpha at the origin, N and C in the plane of x and y, 111 degrees apart: u and v of the docstring of c_beta.
HALF = np.deg2rad(111 / 2)
N_, C_ = 1.46 * np.array([np.cos(HALF), np.sin(HALF), 0]), 1.52 * np.array([np.cos(HALF), -np.sin(HALF), 0])


def proteinnet(identifier, sequence, signs, *, drop=(), shift=0.0):
    """A text record: residue i is the backbone above, i * 3.8 A further along x; in picometres; 0 where masked."""
    atoms = [
        (atom + [i * 3.8 + shift, 0, 0]) * 100 * (sign == "+")
        for i, sign in enumerate(signs)
        for atom in (N_, np.zeros(3), C_)
    ]
    axes = ["\t".join(f"{value:.4f}" for value in axis) for axis in np.transpose(atoms)]
    profile = ["\t".join(["0.05"] * len(sequence))] * 21
    sections = {"ID": [identifier], "PRIMARY": [sequence], "EVOLUTIONARY": profile, "TERTIARY": axes, "MASK": [signs]}
    text = [line for name, lines in sections.items() if name not in drop for line in (f"[{name}]", *lines)]
    return "\n".join(text) + "\n\n"


def test_a_record_of_proteinnet():
    text = proteinnet("10#1ABC_1_A", "MGKV", "+++-")
    (table,) = read_proteinnet(io.StringIO(text))
    assert list(table) == ["id", "position", "residue", "cb_x", "cb_y", "cb_z"]
    assert table[["id", "position", "residue"]].values.tolist() == [
        ["10#1ABC_1_A", 1, "M"],
        ["10#1ABC_1_A", 2, "G"],
        ["10#1ABC_1_A", 3, "K"],
        ["10#1ABC_1_A", 4, "V"],
    ]
    places = table[["cb_x", "cb_y", "cb_z"]].to_numpy()
    assert places.dtype == np.float32
    beta = np.array([-0.6126, -0.0040, -0.7904]) * 1.53
    np.testing.assert_allclose(places[0], beta, atol=1e-3)  # angstrom, not picometres
    np.testing.assert_allclose(places[1], [3.8, 0, 0], atol=1e-5)  # glycine: C-alpha
    np.testing.assert_allclose(places[2], beta + [7.6, 0, 0], atol=1e-3)
    assert np.isnan(places[3]).all()


def test_the_columns_are_those_of_kept_structures():
    (table,) = read_proteinnet(io.StringIO(proteinnet("TBM#T0865", "MGKV", "++++")))
    tables.check(
        table.assign(plddt=np.float32(np.nan), source="PDB"), tables.schema_of("kept_structures"), where="ProteinNet"
    )


def test_records_that_cannot_be_used_are_left_out_by_name_or_are_an_error(tmp_path):
    records = [
        proteinnet("a", "MKV", "+++"),
        proteinnet("b", "MKV", "+++", drop=("TERTIARY",)),
        proteinnet("c", "MKV", "++++"),  # a residue more in the structure
        proteinnet("d", "MKV", "---"),
        proteinnet("e", "MK*", "+++"),
        proteinnet("f", "MKV", "+++", drop=("MASK",)),
        proteinnet("g", "MKV", "+++", drop=("EVOLUTIONARY",)),
    ]
    path = tmp_path / "validation.gz"
    path.write_bytes(gzip.compress("".join(records).encode()))
    left_out = []
    found = [table["id"].iloc[0] for table in read_proteinnet(path, left_out=left_out)]
    assert found == ["a", "g"]
    assert left_out == [
        (2, "b", "no [TERTIARY], or an empty one"),
        (3, "c", "[TERTIARY] has lines of [12, 12, 12] numbers; expected 3 lines of 9"),
        (4, "d", "no residue has coordinates"),
        (5, "e", "the sequence has *; expected the 20 amino acids, U, B, Z, O or X"),
        (6, "f", "[MASK] has 0 signs; expected + or - for each of 3 residues"),
    ]
    stream = read_proteinnet(path)
    next(stream)
    with pytest.raises(InputError, match=r"validation\.gz: record 2 \(b\): no \[TERTIARY\].*left_out=\[\] leaves"):
        next(stream)


@pytest.mark.parametrize("text", ["", "\n\n", ">a\nMKV\n", "[PRIMARY]\nMKV\n"])
def test_a_text_that_is_not_of_proteinnet(text):
    with pytest.raises(InputError, match="no record|not the text of ProteinNet"):
        next(read_proteinnet(io.StringIO(text)))


def test_proteinnet_is_streamed():
    """An endless file: each structure comes before the next is read, and memory holds one."""
    length = 200
    passed = itertools.count()

    def endless():
        for number in passed:
            yield from proteinnet(f"p{number}", "M" * length, "+" * length).splitlines(keepends=True)

    class Handle:
        def read(self):
            raise AssertionError("the whole file was asked for")

        def __iter__(self):
            return endless()

    stream = read_proteinnet(Handle())
    assert next(stream)["id"].iloc[0] == "p0"
    tracemalloc.start()
    for number, table in enumerate(itertools.islice(stream, 60), start=1):
        assert table["id"].iloc[0] == f"p{number}" and len(table) == length
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert next(passed) <= 63  # one record ahead at most
    record = len(proteinnet("p", "M" * length, "+" * length))
    assert peak < 30 * record, (peak, record)  # 60 records passed
