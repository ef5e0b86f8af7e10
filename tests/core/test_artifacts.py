"""Files that this package writes: what a content hash sees, and that a failure leaves the old file."""

import numpy as np
import pandas as pd
import pytest

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
    with pytest.raises(InputError, match="plmbook results --profile embedded"):
        artifacts.read("other")
    with pytest.raises(ZeroDivisionError):
        artifacts.write_atomically(path, lambda temporary: 1 / 0)
    pd.testing.assert_frame_equal(artifacts.read("toy"), table)
    assert [p.name for p in path.parent.iterdir()] == ["toy.parquet"]
