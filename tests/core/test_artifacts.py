"""Files that this package writes: what a content hash sees, and that a failure leaves the old file."""

import gzip
import hashlib
from importlib import metadata

import numpy as np
import pandas as pd
import pytest

import plmbook
from plmbook.core import artifacts
from plmbook.core.errors import InputError


def test_content_hash_sees_values_names_kinds_and_order():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan], "d": [True, False]})
    same = table.astype({"a": "int32", "b": "object"}).set_index(pd.Index([5, 6]))
    assert artifacts.content_hash(table) == artifacts.content_hash(same)
    others = [
        table.assign(a=[1, 3]),
        table.assign(b=["x", "y"]),
        table.assign(c=[0.5, 0.0]),
        table.assign(d=[True, True]),
        table.rename(columns={"a": "e"}),
        table[["b", "a", "c", "d"]],
        table.iloc[::-1],
        table.head(1),
        table.astype({"a": "float64"}),
    ]
    assert len({artifacts.content_hash(t) for t in [table, *others]}) == 10


def test_saved_tables_come_back_whole(folders):
    table = pd.DataFrame({"gene": ["A"], "score": [-1.5]})
    path = artifacts.save(table, "toy")
    pd.testing.assert_frame_equal(artifacts.read("toy"), table)
    with pytest.raises(InputError, match="make book PROFILE=embedded"):
        artifacts.read("other")
    with pytest.raises(ZeroDivisionError):
        artifacts.write_atomically(path, lambda temporary: 1 / 0)
    pd.testing.assert_frame_equal(artifacts.read("toy"), table)
    assert [p.name for p in path.parent.iterdir()] == ["toy.parquet"]


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "new" / "a.json"
    artifacts.write_json(path, {"a": [1, "é"]})
    assert path.read_text() == '{\n "a": [\n  1,\n  "\\u00e9"\n ]\n}\n'
    before = path.read_bytes()

    def fail(temporary):
        temporary.write_text("half")
        assert path.read_bytes() == before and temporary.suffix == ".json"
        raise RuntimeError("a full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        artifacts.write_atomically(path, fail)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path):
    artifacts.write_text(tmp_path / "a.txt", "text\n")
    (tmp_path / "b.txt").write_text("text\n")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_temporary_file_lies_where_who_cleans_up_looks_for_it(tmp_path):
    seen = []
    options = {"folder": tmp_path, "prefix": ".writing-", "lasting": True}
    for _ in range(2):
        artifacts.write_atomically(
            tmp_path / "data" / "a.bin", lambda to: seen.append(to) or to.write_bytes(b"x"), **options
        )
    assert all(path.parent == tmp_path and path.name.startswith(".writing-a.") for path in seen)
    assert len(set(seen)) == 2 and [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_hash_of_text_of_bytes_of_a_file_and_of_what_it_unpacks_to(tmp_path):
    digest = hashlib.sha256("é".encode()).hexdigest()
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_text("é")
    packed.write_bytes(gzip.compress("é".encode()))
    assert artifacts.sha256("é") == artifacts.sha256("é".encode()) == artifacts.file_sha256(plain) == digest
    assert artifacts.file_sha256(packed) == hashlib.sha256(packed.read_bytes()).hexdigest() != digest
    assert artifacts.file_sha256(packed, unpacked=True) == artifacts.file_sha256(plain, unpacked=True) == digest


def test_versions_are_those_of_the_packages_that_are_named():
    assert artifacts.versions(["plmbook", "numpy", "no-such-package"]) == {
        "plmbook": plmbook.__version__,
        "numpy": metadata.version("numpy"),
        "no-such-package": "absent",
    }
    assert list(artifacts.versions()) == list(artifacts.PACKAGES)
