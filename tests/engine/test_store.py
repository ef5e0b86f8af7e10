"""The embedding store: the same bytes however often it is interrupted, and every damage found and named."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import tiny
from fakes import TOKENS, FakeModel
from plmbook.core import artifacts, paths
from plmbook.core.errors import InputError
from plmbook.engine import encode, shards, store
from plmbook.models.base import POOLS
from plmbook.tables import FastaFile, read_fasta

DIM = 4
LENGTHS = (20, 7, 31, 12, 25, 3, 40, 18, 9, 22, 14, 60)  # 50 residues a shard: 7 shards
OPTIONS = {"shard_residues": 50}


def states(sequence):
    """float32 (L, 4) that depend on the sequence and the place."""
    codes = np.array([TOKENS[letter] for letter in sequence])
    return np.stack([codes, np.arange(len(codes)) / 7, np.cumsum(codes) / 3, np.full(len(codes), len(codes))], axis=1)


def model(**changes):
    return FakeModel(hidden=states, card=tiny.card("esm2", dim=DIM), max_length=60, **changes)


@pytest.fixture
def proteins():
    rng = np.random.default_rng(3)
    sequences = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size=n)) for n in LENGTHS]
    ids = [f"p{n}" for n in rng.permutation(len(LENGTHS))]  # an order that no sorting gives
    table = pd.DataFrame({"id": ids, "description": [f"about {name}" for name in ids], "sequence": sequences})
    return table.assign(mass=np.arange(len(ids)) / 3)


def content(folder):
    """Every file and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shard_files(folder):
    return sorted((folder / "data").iterdir())


class Stops(FakeModel):
    """Fails in the middle, after so many batches."""

    left = 0

    def run(self, *arguments, **options):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().run(*arguments, **options)


# what is in it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", [pool for pool, needed in POOLS.items() if needed != "final-state"])
def test_the_store_holds_what_encode_gives_in_the_order_of_the_proteins(tmp_path, proteins, pool):
    n_shards = store.write(tmp_path / "s", model(), proteins, pool=pool, **OPTIONS)
    assert n_shards == len(shard_files(tmp_path / "s")) == 7
    found = store.read(tmp_path / "s")
    expected = encode.embed(model(), proteins["sequence"].tolist(), pool=pool)
    np.testing.assert_array_equal(np.stack(found["embedding"]), np.vstack(list(expected)).astype(np.float16))
    assert found["embedding"].iloc[0].dtype == np.float16
    if pool == "residue":
        assert list(found) == ["id", "position", "embedding"]
        assert found["id"].tolist() == np.repeat(proteins["id"].to_numpy(object), LENGTHS).tolist()
        assert found["position"].tolist() == [n for length in LENGTHS for n in range(1, length + 1)]
    else:
        assert list(found) == ["id", "length", "description", "mass", "embedding"]
        pd.testing.assert_frame_equal(found[["id", "description", "mass"]], proteins[["id", "description", "mass"]])
        assert found["length"].tolist() == list(LENGTHS)


def test_a_real_network_gives_the_same_numbers_within_the_rounding_of_float16(tmp_path, proteins):
    from plmbook.models.esm import EsmModel

    real = EsmModel(tiny.network("esm2"), tiny.card("esm2"), path=tiny.write(tmp_path, "esm2"), device="cpu")
    store.write(tmp_path / "s", real, proteins, layer=2, **OPTIONS)
    expected = encode.embed(real, proteins["sequence"].tolist(), layer=2)
    found = np.stack(store.read(tmp_path / "s")["embedding"]).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=2**-10, atol=1e-4)  # half a unit in the last place, and batching


def test_the_manifest_says_what_made_it(tmp_path, proteins):
    fasta = tmp_path / "in.fasta"
    fasta.write_text("x")
    store.write(tmp_path / "s", model(), proteins, source=fasta, layer=-1, **OPTIONS)
    facts = store.manifest(tmp_path / "s")
    assert (facts["model"], facts["layer"], facts["pool"], facts["dimension"]) == ("fake", 3, "mean", DIM)
    assert facts["source"] == {"file": "in.fasta", "sha256": artifacts.file_sha256(fasta)}
    assert facts["proteins"]["count"] == 12 and facts["proteins"]["residues"] == sum(LENGTHS) and facts["complete"]
    for planned, path in zip(facts["shards"], shard_files(tmp_path / "s"), strict=True):
        assert (planned["file"], planned["sha256"]) == (path.name, artifacts.file_sha256(path))
    assert [shard["first"] for shard in facts["shards"]][:2] == proteins["id"].iloc[[0, 2]].tolist()
    assert set(facts["versions"]) == {"plmbook", "torch", "fair-esm", "numpy", "pyarrow"}


def test_a_shard_carries_the_key_of_its_store_and_its_number(tmp_path, proteins):
    """Under names that stores of earlier versions have, too: they would be foreign otherwise."""
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    carried = pq.read_schema(shard_files(tmp_path / "s")[2]).metadata
    assert carried[b"plmbook.store"].decode() == store.manifest(tmp_path / "s")["store"]
    assert carried[b"plmbook.shard"] == b"2"


def test_a_long_protein_has_its_windows_or_its_beginning(tmp_path):
    table = pd.DataFrame({"id": ["long", "short"], "sequence": ["ACDEFGHIKL" * 9, "MK"]})
    store.write(tmp_path / "w", model(), table, pool="residue")
    store.write(tmp_path / "t", model(), table, pool="residue", long="truncate")
    assert store.read(tmp_path / "w")["id"].value_counts().to_dict() == {"long": 90, "short": 2}
    assert store.read(tmp_path / "t")["id"].value_counts().to_dict() == {"long": 60, "short": 2}


@pytest.mark.parametrize(("lengths", "expected"), [([5], [1]), ([9, 1, 9], [1, 1, 1]), ([7, 3, 4, 1], [1, 2, 1])])
def test_the_plan(lengths, expected):
    table = pd.DataFrame({"id": [f"p{n}" for n in range(len(lengths))], "sequence": ["M" * n for n in lengths]})
    planned = shards.plan(table, max_length=None, shard_residues=7).shards
    assert [shard["proteins"] for shard in planned] == expected
    assert [shard["last"] for shard in planned] == table["id"].iloc[np.cumsum(expected) - 1].tolist()


# streamed -------------------------------------------------------------------------------------------------------------


class Blocks(FastaFile):
    """A FASTA file in blocks so small that shards reach over several; counts those that were read."""

    read = 0

    def blocks(self):
        for block in super().blocks(45):
            self.read += 1
            yield block


def write_fasta(path, proteins):
    rows = zip(proteins["id"], proteins["description"], proteins["sequence"], strict=True)
    path.write_text("".join(f">{name} {about}\n{text}\n" for name, about, text in rows))
    return path


@pytest.mark.parametrize("pool", ["mean", "residue"])
def test_a_fasta_file_gives_the_bytes_that_its_table_gives(tmp_path, proteins, pool):
    fasta = write_fasta(tmp_path / "in.fasta", proteins)
    store.write(tmp_path / "table", model(), read_fasta(fasta), pool=pool, source=fasta, **OPTIONS)
    streamed = Blocks(fasta)
    counted = shards.plan(streamed, max_length=60, pool=pool, **OPTIONS)
    assert (len(counted), counted.residues, counted.n_long) == (12, sum(LENGTHS), 0) and streamed.read > 7
    stopping = Stops(**vars(model()))
    stopping.left = 3
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "s", stopping, counted, pool=pool, source=fasta, **OPTIONS)
    assert store.write(tmp_path / "s", model(), Blocks(fasta), pool=pool, source=fasta, **OPTIONS) == 4
    assert content(tmp_path / "s") == content(tmp_path / "table")


def test_the_pieces_are_the_missing_shards_and_nothing_is_read_beyond_them(tmp_path, proteins):
    fasta = write_fasta(tmp_path / "in.fasta", proteins)
    facts = shards.new_manifest(model(), proteins, token_budget=100, **OPTIONS)
    starts = np.cumsum([0] + [shard["proteins"] for shard in facts["shards"]])
    for source in (proteins, Blocks(fasta), shards.plan(Blocks(fasta), max_length=60, **OPTIONS)):
        found = dict(shards.split(facts, [1, 4], source))
        assert list(found) == [1, 4]
        for number, chosen in found.items():
            assert chosen["id"].tolist() == proteins["id"].iloc[starts[number] : starts[number + 1]].tolist()
    whole, part = Blocks(fasta), Blocks(fasta)
    assert len(list(whole.blocks())) == whole.read == 12
    assert [number for number, _ in shards.split(facts, [0, 2], part)] == [0, 2] and part.read == 6
    assert list(shards.split(facts, [], part)) == []


def test_the_memory_of_plan_and_pieces_does_not_grow_with_the_proteins(tmp_path):
    asked = model()
    asked.max_length = 100

    def peak(n):
        fasta = tmp_path / f"{n}.fasta"
        fasta.write_text("".join(f">protein_{i} about it\n{'MKRLV' * 20}\n" for i in range(n)))

        class Parts(FastaFile):
            def blocks(self):
                return super().blocks(20_000)

        tracemalloc.start()
        try:
            facts = shards.new_manifest(asked, Parts(fasta), token_budget=100, shard_residues=10_000)
            every = range(len(facts["shards"]))
            n_found = sum(len(chosen) for _, chosen in shards.split(facts, every, Parts(fasta)))
            return tracemalloc.get_traced_memory()[1], n_found
        finally:
            tracemalloc.stop()

    peak(500)  # what is loaded once
    few, many = peak(1_000), peak(12_000)
    assert (few[1], many[1]) == (1_000, 12_000)
    assert many[0] - few[0] < 11_000 * 40  # eight bytes an id, a few for its part of a shard; its text has 200


def test_long_proteins_are_counted_and_the_first_named(proteins):
    counted = shards.plan(proteins, max_length=19)
    assert counted.long_ones() == "6 of 12 proteins are longer than 19 residues: " + ", ".join(
        f"{row.id} ({len(row.sequence)})" for row in proteins.itertuples() if len(row.sequence) > 19
    )
    many = shards.plan(pd.DataFrame({"id": [str(n) for n in range(15)], "sequence": "MKRL"}), max_length=3)
    assert many.long_ones().endswith("8 (4), 9 (4) and 5 more")
    assert shards.plan(proteins, max_length=None).n_long == 0


def test_a_file_that_changes_after_the_census_is_refused_and_nothing_is_written(tmp_path, proteins):
    fasta = write_fasta(tmp_path / "in.fasta", proteins)
    counted = shards.plan(FastaFile(fasta), max_length=60, **OPTIONS)
    write_fasta(fasta, proteins.assign(sequence=proteins["sequence"] + "M"))
    asked = model()
    with pytest.raises(InputError, match="in.fasta: was changed while it was in use"):
        store.write(tmp_path / "s", asked, counted, **OPTIONS)
    assert asked.n_forwards == 0 and list(content(tmp_path / "s")) == ["manifest.json"]


def test_proteins_that_were_counted_for_another_job_are_no_plan_for_this_one(tmp_path, proteins):
    counted = shards.plan(proteins, max_length=60, pool="max", **OPTIONS)
    with pytest.raises(ValueError, match="counted with .*'max'.*expected .*'mean'"):
        store.write(tmp_path / "s", model(), counted, **OPTIONS)
    assert not (tmp_path / "s").exists()


# read by others -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["mean", "residue"])
def test_pandas_and_pyarrow_read_the_folder_as_it_is(tmp_path, proteins, pool):
    store.write(tmp_path / "s", model(), proteins, pool=pool, **OPTIONS)
    expected = store.read(tmp_path / "s")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s" / "data"), expected)
    opened = pyarrow.dataset.dataset(tmp_path / "s" / "data")
    assert opened.schema.field("embedding").type == pa.list_(pa.float16(), DIM)
    assert opened.to_table()["id"].to_pylist() == expected["id"].tolist()
    assert store.dataset(tmp_path / "s").count_rows() == len(expected)


@pytest.mark.parametrize("pool", ["mean", "residue"])
def test_polars_reads_the_folder_as_it_is(tmp_path, proteins, pool):
    import polars

    store.write(tmp_path / "s", model(), proteins, pool=pool, **OPTIONS)
    expected = store.read(tmp_path / "s")
    found = polars.read_parquet(tmp_path / "s" / "data")
    assert found["id"].to_list() == expected["id"].tolist()
    np.testing.assert_array_equal(np.array(found["embedding"].to_list()), np.stack(expected["embedding"]))


@pytest.mark.parametrize("pool", ["mean", "residue"])
def test_datasets_reads_the_folder_as_it_is(tmp_path, proteins, pool, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    store.write(tmp_path / "s", model(), proteins, pool=pool, **OPTIONS)
    expected = store.read(tmp_path / "s")
    (found,) = datasets.load_dataset("parquet", data_dir=str(tmp_path / "s"), cache_dir=str(tmp_path / "c")).values()
    assert found["id"][:] == expected["id"].tolist()
    np.testing.assert_array_equal(np.array(found["embedding"][:]), np.stack(expected["embedding"]))


# interrupted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["mean", "residue"])
@pytest.mark.parametrize("batches", [0, 1, 5])
def test_a_job_that_stopped_ends_with_the_bytes_of_an_undisturbed_one(tmp_path, proteins, pool, batches):
    store.write(tmp_path / "whole", model(), proteins, pool=pool, **OPTIONS)
    stopping = Stops(**vars(model()))
    stopping.left = batches
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "s", stopping, proteins, pool=pool, **OPTIONS)
    before = content(tmp_path / "s")
    assert len(before) == 1 + batches  # the manifest and whole shards
    with pytest.raises(InputError, match=f"{7 - batches} faults.*run the same job again"):
        store.read(tmp_path / "s")
    going_on = model()
    assert store.write(tmp_path / "s", going_on, proteins, pool=pool, **OPTIONS) == 7 - batches
    assert going_on.n_forwards == 7 - batches  # nothing is computed twice
    after = content(tmp_path / "s")
    assert after == content(tmp_path / "whole")
    assert all(after[name] == before[name] for name in before if name != "manifest.json")


def test_a_complete_store_is_left_alone(tmp_path, proteins):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    before, again = content(tmp_path / "s"), model()
    stamps = [path.stat().st_mtime_ns for path in shard_files(tmp_path / "s")]
    assert store.write(tmp_path / "s", again, proteins, **OPTIONS) == 0
    assert again.n_forwards == 0 and content(tmp_path / "s") == before
    assert [path.stat().st_mtime_ns for path in shard_files(tmp_path / "s")] == stamps


def test_a_shard_that_could_not_be_written_leaves_no_trace(tmp_path, proteins, monkeypatch):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(handle)

    store.write(tmp_path / "whole", model(), proteins, **OPTIONS)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    assert len(content(tmp_path / "s")) == 3  # the manifest and two shards
    assert store.write(tmp_path / "s", model(), proteins, **OPTIONS) == 5
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_what_a_kill_leaves_behind_is_removed(tmp_path, proteins):
    store.write(tmp_path / "whole", model(), proteins, **OPTIONS)
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / ".writing-manifest.json").write_text('{"form')
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    assert content(tmp_path / "s") == content(tmp_path / "whole")
    shard_files(tmp_path / "s")[3].rename(tmp_path / "s" / ".writing-embeddings-00003-of-00007-0.parquet")
    assert store.write(tmp_path / "s", model(), proteins, **OPTIONS) == 1
    assert content(tmp_path / "s") == content(tmp_path / "whole")


KILLS = """
import os, random, shutil, signal, sys, time
sys.path[:0] = {path!r}
import pandas as pd
import test_store
from plmbook.engine import store

def job(folder):
    store.write(folder, test_store.model(), pd.read_csv("in.csv"), shard_residues=50)

def files(folder):
    return sum(len(names) for _, _, names in os.walk(folder))

def forked(folder):
    child = os.fork()
    if not child:
        job(folder)
        os._exit(0)
    return child

def whole(folder):
    started = time.monotonic()
    assert os.waitpid(forked(folder), 0)[1] == 0
    return time.monotonic() - started

def killed(folder, n_files, seconds):
    child = forked(folder)
    while files(folder) < n_files:
        time.sleep(0.0002)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

step = min(whole("whole" + str(n)) for n in range(3)) / 8  # of a manifest and 7 shards
expected = test_store.content(store.Path("whole0"))
chance, left = random.Random(9), []
while len(left) < {n_kills}:
    shutil.rmtree("s", ignore_errors=True)
    if not killed("s", chance.randrange(9), chance.uniform(0, step)):
        continue  # it had ended
    left.append(files("s"))
    whole("s")
    assert test_store.content(store.Path("s")) == expected, len(left)
print(len(set(left)))
"""


def test_kill_9_at_20_random_moments_and_each_time_the_same_store(tmp_path, proteins):
    """Forked children of one process, so that a kill costs milliseconds; what was there at each kill differs."""
    proteins.to_csv(tmp_path / "in.csv", index=False)
    path = [str(paths.root() / folder) for folder in ("src", "tests", "tests/engine")]
    code = KILLS.format(path=path, n_kills=20)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5  # the kills fell before, between and after the shards


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    """Runs a script of `benchmarks/` to its end and returns what it recorded."""
    monkeypatch.syspath_prepend(str(paths.root() / "benchmarks"))
    monkeypatch.setenv("PLMBOOK_DATA", str(paths.data()))  # restored after a script has changed it

    def run(name, *arguments):
        options = ["--folder", tmp_path, "--out", tmp_path, *arguments]
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        importlib.import_module(name).main()
        return json.loads((tmp_path / f"{name}.json").read_text())

    return run


def test_the_benchmark_of_kills_finds_the_store_identical(benchmark):
    found = benchmark("kill", "--moments", 1, "--proteins", 24)
    (run,) = found["runs"]
    assert (found["proteins"], found["identical"], found["kept"]) == (24, 1, 1)
    assert found["shards"] > 1 and 0 < run["moment"] < found["seconds_undisturbed"]


def test_the_benchmark_of_a_million_finds_every_protein(benchmark):
    found = benchmark("million", "--sequences", 3000)
    assert found["found"]["proteins_in_order"] == found["proteins"] == 3000
    assert 0 < found["shards_at_the_kill"] < found["shards"]
    assert found["curve"][-1][2] == 1 and len(found["curve"]) <= 300
    assert 0 < found["mib_at_10_percent"] <= found["peak_mib"]


def test_a_batch_size_that_was_chosen_automatically_stays(tmp_path, proteins, monkeypatch):
    stopping = Stops(**vars(model()))
    stopping.left = 2
    with monkeypatch.context() as small:
        small.setattr(encode, "token_budget", lambda model: 55)  # the machine on which it began
        store.write(tmp_path / "whole", model(), proteins, **OPTIONS)
        with pytest.raises(KeyboardInterrupt):
            store.write(tmp_path / "s", stopping, proteins, **OPTIONS)
    assert encode.token_budget(model()) != 55
    with pytest.raises(InputError, match="token_budget was 55, now 100"):
        store.write(tmp_path / "s", model(), proteins, token_budget=100, **OPTIONS)
    assert store.write(tmp_path / "s", model(), proteins, **OPTIONS) == 5
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_two_workers_may_write_one_shard_at_the_same_time(tmp_path, proteins, monkeypatch):
    """As on a cluster that gave up a worker which then goes on: the inner call ends while the outer one writes."""
    store.write(tmp_path / "whole", model(), proteins, **OPTIONS)
    (tmp_path / "s").mkdir()
    facts, _ = store.begin(tmp_path / "s", shards.new_manifest(model(), proteins, token_budget=4096, **OPTIONS))
    ((number, chosen),) = shards.split(facts, [2], proteins)
    arguments = (tmp_path / "s", facts, number, chosen, encode.embed(model(), chosen["sequence"].tolist()))
    real, inner = os.fsync, []

    def sync(handle):
        if not inner:
            inner.append(1)
            inner.append(store.write_shard(*arguments))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    assert store.write_shard(*arguments) == inner[1]
    assert store.verify(tmp_path / "s").query("state == 'ok'")["shard"].tolist() == [2]
    assert len(content(tmp_path / "s")) == 2


def test_two_processes_do_not_write_to_one_folder(tmp_path, proteins):
    class Nosy(FakeModel):
        def run(self, *arguments, **options):
            with pytest.raises(InputError, match="another process"):
                store.write(tmp_path / "s", model(), proteins, **OPTIONS)
            return super().run(*arguments, **options)

    assert store.write(tmp_path / "s", Nosy(**vars(model())), proteins, **OPTIONS) == 7


# refused --------------------------------------------------------------------------------------------------------------

CHANGES = {
    "weights": ({"model": {"weights_hash": "1" * 64}}, "weights was '000.*now '111"),
    "model": ({"model": {"name": "other"}}, "model was 'fake', now 'other'"),
    "layer": ({"layer": 1}, "layer was 3, now 1"),
    "pool": ({"pool": "max"}, "pool was 'mean', now 'max'"),
    "long": ({"long": "truncate"}, "long was 'window', now 'truncate'"),
    "shards": ({"shard_residues": 51}, "shard_residues was 50, now 51"),
    "device": ({"model": {"device": "cuda:1"}}, "device was 'cpu', now 'cuda'"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_job_in_the_same_folder_is_refused_and_nothing_is_lost(tmp_path, proteins, name):
    changes, expected = CHANGES[name]
    stopping = Stops(**vars(model()))
    stopping.left = 2
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "s", stopping, proteins, **OPTIONS)
    before = content(tmp_path / "s")
    changed = model(**changes.get("model", {}))
    with pytest.raises(InputError, match=expected):
        store.write(tmp_path / "s", changed, proteins, **OPTIONS | {k: v for k, v in changes.items() if k != "model"})
    assert content(tmp_path / "s") == before and changed.n_forwards == 0


@pytest.mark.parametrize("column", ["sequence", "id", "description"])
def test_other_proteins_in_the_same_folder_are_refused(tmp_path, proteins, column):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    other = proteins.copy()
    other.loc[5, column] = "AAA"
    with pytest.raises(InputError, match="proteins.sha256 was"):
        store.write(tmp_path / "s", model(), other, **OPTIONS)
    with pytest.raises(InputError, match="proteins.count was 12, now 11"):
        store.write(tmp_path / "s", model(), proteins.iloc[:11], **OPTIONS)


def test_newer_packages_find_a_complete_store_and_refuse_a_half_made_one(tmp_path, proteins, monkeypatch):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    monkeypatch.setattr(artifacts, "__version__", "99")
    assert store.write(tmp_path / "s", model(), proteins, **OPTIONS) == 0
    shard_files(tmp_path / "s")[2].unlink()
    with pytest.raises(InputError, match="versions.plmbook was .*, now '99'"):
        store.write(tmp_path / "s", model(), proteins, **OPTIONS)


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        (lambda t: t.drop(columns="id"), {}, "no id"),
        (lambda t: t.head(0), {}, "found 0"),
        (lambda t: pd.concat([t, t.head(1)]), {}, "'p.*' repeats"),
        (lambda t: t.assign(sequence=""), {}, "has no residues"),
        (lambda t: t.assign(embedding=1), {}, "'embedding' is one that the store makes"),
        (lambda t: t.assign(odd=[[1]] * len(t)), {}, "'odd': expected text or numbers"),
        (lambda t: t, {"pool": "median"}, "pool 'median'"),
        (lambda t: t, {"long": "cut"}, "long 'cut'"),
        (lambda t: t, {"layer": 4}, "layer 4, expected 0 to 3"),
        (lambda t: t.assign(sequence="M" * 61), {"long": "error"}, r"12 of 12 proteins are longer than 60 .*\(61\)"),
        (lambda t: t.assign(sequence="M" * 61), {"pool": "bos"}, "needs long 'truncate'"),
    ],
)
def test_bad_input_is_refused_before_a_forward_and_nothing_is_made(tmp_path, proteins, change, options, expected):
    asked = model()
    with pytest.raises(InputError, match=expected):
        store.write(tmp_path / "s", asked, change(proteins), **OPTIONS | options)
    assert asked.n_forwards == 0 and not (tmp_path / "s").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path, proteins):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds files but no embedding store"):
        store.write(tmp_path, model(), proteins, **OPTIONS)
    with pytest.raises(InputError, match="is a file"):
        store.write(tmp_path / "thesis.txt", model(), proteins, **OPTIONS)
    assert content(tmp_path) == {"thesis.txt": b"x"}
    with pytest.raises(InputError, match="no embedding store here"):
        store.read(tmp_path / "nothing")


def test_a_model_without_bos_has_none_to_pool(tmp_path, proteins):
    asked = model()
    asked.card = dataclasses.replace(asked.card, family="t5")
    with pytest.raises(InputError, match="esm2_tiny has no token before the first residue"):
        store.write(tmp_path / "s", asked, proteins, pool="bos", long="truncate", **OPTIONS)
    facts = shards.new_manifest(asked, proteins, token_budget=100, **OPTIONS)
    assert set(facts["versions"]) == {"plmbook", "torch", "transformers", "numpy", "pyarrow"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, 7e4])
def test_what_float16_cannot_hold_is_an_error_that_names_the_protein(tmp_path, proteins, bad):
    third = proteins["sequence"].iloc[2]
    broken = model()
    broken.hidden = lambda sequence: states(sequence) if sequence != third else np.full((len(third), DIM), bad)
    with pytest.raises(RuntimeError, match=repr(proteins["id"].iloc[2])):
        store.write(tmp_path / "s", broken, proteins, **OPTIONS)


# damaged --------------------------------------------------------------------------------------------------------------


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def foreign(path, folder):
    """The same shard of a store of another layer, under its own name and under that of the one it replaces."""
    for other in shard_files(folder.parent / "other"):
        if other.name[:16] == path.name[:16]:
            (path.parent / other.name).write_bytes(other.read_bytes())
    path.unlink()


DAMAGES = {
    "a bit in the data": (lambda path, folder: flip(path, 200), "corrupt", "its content is not what was written"),
    "a bit in the footer": (lambda path, folder: flip(path, -40), "corrupt", "its content is not what was written"),
    "cut off": (lambda path, folder: path.write_bytes(path.read_bytes()[:-100]), "corrupt", "it is cut off"),
    "emptied": (lambda path, folder: path.write_bytes(b""), "corrupt", "it is cut off"),
    "replaced by the next": (
        lambda path, folder: path.write_bytes(shard_files(folder)[3].read_bytes()),
        "corrupt",
        "its content is not what was written",
    ),
    "of another store": (foreign, "foreign", "it belongs to another store"),
    "another file": (
        lambda path, folder: path.rename(path.with_name("notes.txt")),
        "foreign",
        "its name is none of this store's shards",
    ),
}


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named_and_nothing_is_overwritten(tmp_path, proteins, name, complete):
    damage, state, why = DAMAGES[name]
    folder = tmp_path / "s"
    store.write(tmp_path / "other", model(), proteins, layer=1, **OPTIONS)
    store.write(folder, model(), proteins, **OPTIONS)
    assert (store.verify(folder)["state"] == "ok").all()
    if not complete:
        shard_files(folder)[-1].unlink()
        facts = store.manifest(folder)
        begun = [{k: v for k, v in shard.items() if k not in ("file", "sha256")} for shard in facts["shards"]]
        del facts["complete"]
        (folder / "manifest.json").write_text(json.dumps(facts | {"shards": begun}, indent=1) + "\n")
    damage(shard_files(folder)[2], folder)
    before = content(folder)
    bad = store.verify(folder).query("state not in ('ok', 'missing')")
    assert bad["state"].tolist() == [state] and why in bad["why"].iloc[0]
    (named,) = bad["file"]
    for use in (store.read, store.dataset, lambda f: store.write(f, model(), proteins, **OPTIONS)):
        with pytest.raises(InputError, match=f"{named}: {state}, {why}"):
            use(folder)
    assert content(folder) == before
    (folder / "data" / named).unlink()  # what the message says to do
    store.write(tmp_path / "whole", model(), proteins, **OPTIONS)
    assert store.write(folder, model(), proteins, **OPTIONS) == 1 + (not complete)
    assert content(folder) == content(tmp_path / "whole")


def test_a_second_shard_of_one_number_is_named(tmp_path, proteins):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    path = shard_files(tmp_path / "s")[1]
    table = pq.read_table(path)
    pq.write_table(table, tmp_path / "x.parquet", compression="none")  # the same rows and key, other bytes
    digest = artifacts.file_sha256(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").rename(path.with_name(f"embeddings-00001-of-00007-{digest[:16]}.parquet"))
    bad = store.verify(tmp_path / "s").query("state != 'ok'")
    assert bad["state"].tolist() == ["foreign"] and digest[:16] in bad["file"].iloc[0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x", "store": ""}', "truncated"])
def test_a_damaged_manifest_is_named(tmp_path, proteins, text):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    place = tmp_path / "s" / "manifest.json"
    place.write_text(place.read_text()[:300] if text == "truncated" else text)
    for use in (store.read, store.verify, lambda f: store.write(f, model(), proteins, **OPTIONS)):
        with pytest.raises(InputError, match="manifest.json: damaged"):
            use(tmp_path / "s")


def test_a_manifest_that_was_edited_is_named(tmp_path, proteins):
    store.write(tmp_path / "s", model(), proteins, **OPTIONS)
    place = tmp_path / "s" / "manifest.json"
    place.write_text(place.read_text().replace('"layer": 3', '"layer": 2'))
    with pytest.raises(InputError, match="manifest.json: damaged, changed"):
        store.read(tmp_path / "s")
