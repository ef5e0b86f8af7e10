"""A data set in the layout of the ESM2-15B embeddings, written here, is streamed in bounded memory."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plmbook import sources
from plmbook.core.errors import InputError
from plmbook.sources import embeddings, foreign

WIDTH = 5_120  # of ESM2-15B
SPECIES = {9606: "Homo sapiens (Human)", 10090: "Mus musculus (Mouse)"}
GO_CELLS = ["GO:0005524; GO:0005634", "", "nucleus [GO:0005634]", "GO:0005829;GO:0005524"]
GO_IDS = [("GO:0005524", "GO:0005634"), (), ("GO:0005634",), ("GO:0005524", "GO:0005829")]


def proteins(n, start=0):
    taxa = [list(SPECIES)[(start + i) % 2] for i in range(n)]
    return {
        "Entry": [f"P{start + i:05d}" for i in range(n)],
        "Organism": [SPECIES[taxon] for taxon in taxa],
        "Organism (ID)": taxa,
        "Gene Ontology IDs": [GO_CELLS[(start + i) % 4] for i in range(n)],
    }


def vectors(n, width=WIDTH, start=0):
    """What the tests know: row i is i + a column's number over 8192, exact in float32."""
    return (np.arange(start, start + n, dtype=np.float32)[:, None] + np.arange(width, dtype=np.float32) / 8192).astype(
        np.float32
    )


def write(folder, layout, n_files=3, n=64, width=WIDTH, go="Gene Ontology IDs", row_group=32):
    """Files of `n` proteins each; each file has n / row_group row groups."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_files):
        facts = proteins(n, number * n)
        facts[go] = facts.pop("Gene Ontology IDs")
        rows = vectors(n, width, number * n)
        if layout == "list":
            facts["embedding"] = pa.FixedSizeListArray.from_arrays(rows.ravel(), width)
        else:
            facts |= {str(i): rows[:, i] for i in range(width)}
        name = f"train-{number:05d}-of-{n_files:05d}.parquet"
        pq.write_table(pa.table(facts), folder / name, row_group_size=row_group, use_dictionary=False)
    return n_files * n


@pytest.fixture(scope="module", params=["list", "numbers"])
def data_set(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / request.param
    return folder, write(folder, request.param)


def test_both_layouts_are_streamed_in_order(data_set):
    folder, n = data_set
    found = list(embeddings.batches(folder, batch_size=24))
    assert all(len(table) == len(rows) <= 24 for table, rows in found)
    table = pd.concat([table for table, _ in found], ignore_index=True)
    assert table["id"].tolist() == proteins(n)["Entry"]
    assert table["go_ids"].tolist() == [GO_IDS[i % 4] for i in range(n)]
    assert table["Organism (ID)"].tolist() == proteins(n)["Organism (ID)"]
    assert list(table) == ["id", "go_ids", "Organism", "Organism (ID)"]
    stacked = np.concatenate([rows for _, rows in found])
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked, vectors(n))


def test_a_filled_folder_is_what_was_streamed(data_set, tmp_path):
    folder, n = data_set
    assert embeddings.fill(tmp_path / "filled", folder) == n
    table, rows = embeddings.read(tmp_path / "filled")
    assert isinstance(rows, np.memmap) and rows.dtype == np.float32
    np.testing.assert_array_equal(rows, vectors(n))
    assert table["id"].tolist() == proteins(n)["Entry"]
    assert [tuple(each) for each in table["go_ids"]] == [GO_IDS[i % 4] for i in range(n)]
    assert sorted(path.name for path in (tmp_path / "filled").iterdir()) == ["embeddings.npy", "proteins.parquet"]


def test_streaming_and_reading_at_once_agree(tmp_path):
    write(tmp_path / "d", "numbers", n_files=2, n=6, width=16)
    at_once = foreign.read_hub(tmp_path / "d")
    ((table, rows),) = embeddings.batches(tmp_path / "d")
    assert table["id"].tolist() == at_once["id"].tolist()
    np.testing.assert_array_equal(rows, np.stack(at_once["embedding"]))


PEAK = """
import json, re, resource, sys
from pathlib import Path
from plmbook.sources import embeddings
def peak():
    status = Path("/proc/self/status")
    if status.is_file():  # `ru_maxrss` would begin with the peak of the process that started this one
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
embeddings.fill(sys.argv[3] + "-small", sys.argv[1], batch_size=64)
before = peak()
n = embeddings.fill(sys.argv[3], sys.argv[2], batch_size=64)
print(json.dumps({"n": n, "grown": peak() - before}))
"""


@pytest.mark.parametrize("layout", ["list", "numbers"])
def test_memory_is_bounded(tmp_path, layout):
    """Two species, four row groups a file: after 4 files (42 MB of numbers), 12 (126 MB) need little more memory."""
    write(tmp_path / "small", layout, n_files=4, n=512, row_group=128)
    n = write(tmp_path / "large", layout, n_files=12, n=512, row_group=128)
    whole = n * WIDTH * 4
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / name) for name in ("small", "large", "filled"))]
    # One thread and one arena: else what the allocator has not yet given back is as large as what is measured.
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["n"] == n == 6_144
    assert found["grown"] < whole / 2, found  # to hold all would take two thirds of it more
    _, rows = embeddings.read(tmp_path / "filled")
    np.testing.assert_array_equal(rows[[0, 511, 512, 6_143]], vectors(n)[[0, 511, 512, 6_143]])


@pytest.mark.parametrize("name", ["GO", "go_ids", "go_id", "Gene Ontology (GO)", "gene_ontology_IDs", "GO terms"])
def test_spellings_of_the_go_column(tmp_path, name):
    write(tmp_path / "d", "list", n_files=1, n=4, width=8, go=name)
    ((table, _),) = embeddings.batches(tmp_path / "d")
    assert table["go_ids"].tolist() == GO_IDS and name not in set(table) - {"go_ids"}


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("layout", ["list", "numbers"])
def test_text_files_are_streamed_too(tmp_path, suffix, layout):
    table, rows = pd.DataFrame(proteins(9)), vectors(9, 12)
    if layout == "list":
        table["embedding"] = [json.dumps(row.tolist()) for row in rows]
    else:
        table = pd.concat([table, pd.DataFrame(rows, columns=[f"dim_{i}" for i in range(12)])], axis=1)
    table.to_csv(tmp_path / f"a.{suffix}", sep="\t" if suffix == "tsv" else ",", index=False)
    found = list(embeddings.batches(tmp_path, batch_size=4))
    assert [len(each) for _, each in found] == [4, 4, 1]
    np.testing.assert_allclose(np.concatenate([each for _, each in found]), rows, rtol=1e-6)
    assert pd.concat([each for each, _ in found])["go_ids"].tolist() == [GO_IDS[i % 4] for i in range(9)]


def test_the_hub_is_read_at_the_commit_that_is_named(monkeypatch):
    import huggingface_hub

    commit, streamed = "c0ffee" + "0" * 34, []

    class Api:
        def list_repo_files(self, name, *, revision, repo_type):
            assert (revision, repo_type) == (commit, "dataset")
            return ["README.md", "data/b.parquet", "data/a.parquet"]

    def stream(files, kind, batch_size):
        streamed.extend([kind, *files])
        yield pd.DataFrame({"id": ["P1", "P2"], "embedding": list(vectors(2))})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(embeddings, "_stream", stream)
    ((table, rows),) = embeddings.batches("owner/name", revision=commit)
    assert table["id"].tolist() == ["P1", "P2"] and rows.shape == vectors(2).shape
    at = f"hf://datasets/owner/name@{commit}/data"
    assert streamed == [".parquet", f"{at}/a.parquet", f"{at}/b.parquet"]


def test_the_hub_needs_a_commit():
    for revision in (None, "main", "v1.0", "abc"):
        with pytest.raises(InputError, match="expected a commit of the hub"):
            next(embeddings.batches(revision=revision))


def test_a_local_folder_has_no_revision(tmp_path):
    write(tmp_path / "d", "list", n_files=1, n=4, width=8)
    with pytest.raises(InputError, match="a local folder has no revision"):
        next(embeddings.batches(tmp_path / "d", revision="0" * 40))


def test_the_source_says_that_nothing_is_pinned_and_is_no_file():
    assert "no revision is pinned" in sources.SOURCES["esm2-15b-embeddings"].release
    with pytest.raises(InputError, match="is no file.*embeddings.batches"):
        sources.fetch("esm2-15b-embeddings")


def test_what_is_wrong_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        next(embeddings.batches(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="of one kind; found none"):
        embeddings.fill(tmp_path / "out", tmp_path / "empty")
    assert not (tmp_path / "out").exists()
    write(tmp_path / "d", "list", n_files=1, n=4, width=8)
    write(tmp_path / "d" / "again", "list", n_files=1, n=4, width=8)
    with pytest.raises(InputError, match="'P00000' repeats"):
        embeddings.fill(tmp_path / "out", tmp_path / "d", batch_size=4)
    assert list((tmp_path / "out").iterdir()) == []
    rows = vectors(4, 8)
    rows[2, 3] = np.nan
    table = pa.table({**proteins(4), "embedding": pa.FixedSizeListArray.from_arrays(rows.ravel(), 8)})
    (tmp_path / "nan").mkdir()
    pq.write_table(table, tmp_path / "nan" / "a.parquet")
    with pytest.raises(InputError, match="'P00002'.*not finite"):
        next(embeddings.batches(tmp_path / "nan"))
    with pytest.raises(InputError, match="a new or an empty folder"):
        embeddings.fill(tmp_path / "d", tmp_path / "nan")
    with pytest.raises(InputError, match=r"no proteins\.parquet"):
        embeddings.read(tmp_path / "nan")


def test_quotation_marks_around_cells_of_tab_separated_text_are_taken_off(tmp_path):
    (tmp_path / "r.tsv").write_text('"id"\t"e_0"\t"e_1"\n"P1"\t0.5\t1\n"P2"\t2\t3\n')
    ((table, rows),) = embeddings.batches(tmp_path)
    assert table["id"].tolist() == ["P1", "P2"] and rows.tolist() == [[0.5, 1], [2, 3]]
