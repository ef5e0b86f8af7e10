"""Embedding on a Ray cluster: the bytes of the local engine, whatever happens on the way."""

import contextlib
import math
import threading

import numpy as np
import pandas as pd
import pytest

from plmbook import cli, models, tables
from plmbook.core.errors import InputError
from plmbook.engine import cluster, shards, store
from plmbook.tables import FastaFile

SMALL = {"shard_residues": 1_400}
STORE_BYTES = 80 * 2**20  # Ray's object store of a node: the least that Ray takes is 75 MiB


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As an actor of one core computes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "proteins.fasta"
    chosen = tables.load("heldout").iloc[::9]
    path.write_text("".join(f">{row.id} of {row.source}\n{row.sequence}\n" for row in chosen.itertuples()))
    return path


def embed(fasta, folder, *options):
    """`plmbook embed` with small shards; returns the exit status."""
    small = ["--shard-residues", str(SMALL["shard_residues"]), "--device", "cpu", "--dtype", "float32", "--quiet"]
    return cli.main(["embed", str(fasta), "-m", "embedded", "-o", str(folder), *small, *options])


@pytest.fixture(scope="module")
def local(tmp_path_factory, fasta):
    """The store of the local engine, undisturbed."""
    folder = tmp_path_factory.mktemp("local") / "store"
    assert embed(fasta, folder) == 0
    return folder


@pytest.fixture(scope="module")
def nodes():
    """Two nodes of a core each; the driver is on the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        # A dead node refuses a check at once, a slow one has ten seconds: seen within five seconds instead of fifteen.
        # Not sooner: the processes of the node that was killed live a moment longer than it, and write.
        checks = {"initial_delay_ms": 0, "period_ms": 1000, "failure_threshold": 5}
        checks = {f"health_check_{name}": value for name, value in checks.items()}
        head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False, "_system_config": checks}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
        ray.shutdown()
        made.shutdown()


def content(folder):
    """Every file and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shards_in(folder):
    return [path for path in folder.glob("data/*.parquet") if path.is_file()]


@contextlib.contextmanager
def when_written(folder, number, act):
    """Call `act` in another thread once the folder holds so many shards."""
    done = threading.Event()
    failures = []

    def watch():
        try:
            while len(shards_in(folder)) < number and not done.wait(0.01):
                pass
            act()
        except Exception as error:  # shown by the test, not lost in the thread
            failures.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not failures


# on a cluster of two nodes; the last of these tests kills one of them


def test_a_fault_in_an_actor_ends_the_job_with_one_message_and_the_local_engine_goes_on(tmp_path, nodes, fasta, local):
    folder, planned = tmp_path / "s", store.manifest(local)["shards"]
    last = folder / "data" / planned[-1]["file"]
    options = {"source": fasta, "device": "cpu", "dtype": "float32"} | SMALL
    with when_written(folder, 1, last.mkdir), pytest.raises(RuntimeError) as caught:
        cluster.write(folder, "embedded", FastaFile(fasta), **options)
    message = str(caught.value)
    assert message.startswith("Ray node ") and f"shard {len(planned) - 1}: IsADirectoryError" in message
    assert message.endswith(f"\n{cluster.ADVICE}") and message.count("\n") == 1
    last.rmdir()
    assert 0 < len(shards_in(folder)) < len(planned)
    assert embed(fasta, folder) == 0
    assert content(folder) == content(local)


def test_weights_that_are_not_there_are_named_before_anything_is_written(tmp_path, nodes, fasta):
    with pytest.raises(InputError, match="^Ray node .*nowhere[^\n]*$"):
        cluster.write(tmp_path / "s", "esm2_8M", FastaFile(fasta), path=tmp_path / "nowhere.pt", device="cpu")
    assert not (tmp_path / "s").exists()


def test_a_node_that_dies_changes_nothing_of_what_the_local_engine_began(
    tmp_path, nodes, fasta, local, monkeypatch, capsys
):
    folder, n_shards = tmp_path / "s", len(store.manifest(local)["shards"])
    with monkeypatch.context() as patch:
        steps = iter([store.encode.embed] * 2)  # the third shard fails with StopIteration
        patch.setattr(store.encode, "embed", lambda *arguments, **options: next(steps)(*arguments, **options))
        assert embed(fasta, folder) == 1
    assert len(shards_in(folder)) == 2
    capsys.readouterr()

    (victim,) = nodes.worker_nodes
    seen = []

    def kill():
        seen.append(len(shards_in(folder)))
        nodes.remove_node(victim, allow_graceful=False)

    # The driver itself must not read the proteins a second time: another process streams them.
    monkeypatch.setattr(shards, "split", lambda *arguments: pytest.fail("the driver read the proteins"))
    with when_written(folder, 4, kill):
        assert embed(fasta, folder, "--engine", "ray") == 0
    assert 4 <= seen[0] < n_shards  # after the first shard that Ray wrote, before the last
    assert content(folder) == content(local)
    (line,) = capsys.readouterr().out.splitlines()  # nothing of Ray's
    assert line.startswith(f"{folder}: ") and line.endswith(f"{n_shards} files, 2 of them were there")


# without a cluster ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:1"}, "which GPU an actor has"),
        ({"actors": 0}, "at least one"),
        ({"cpus": 0}, "at least one"),
        ({"pool": "median"}, "expected one of"),
        ({"long": "error"}, "longer than"),
    ],
)
def test_bad_options_are_refused_before_ray_starts(tmp_path, options, message, monkeypatch):
    monkeypatch.setattr(cluster, "_ray", lambda address: pytest.fail("Ray was started"))
    table = pd.DataFrame({"id": ["a"], "sequence": ["M" * 2000]})
    with pytest.raises(InputError, match=message):
        cluster.write(tmp_path / "s", "embedded", table, **options)


def test_a_folder_of_other_things_is_refused_before_ray_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_ray", lambda address: pytest.fail("Ray was started"))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="no embedding store"):
        cluster.write(tmp_path, "embedded", pd.DataFrame({"id": ["a"], "sequence": ["MK"]}))


def test_the_proteins_are_read_as_they_are_taken(fasta, monkeypatch):
    counted = shards.plan(FastaFile(fasta), max_length=None, **SMALL)
    taken, whole = [], FastaFile.blocks

    def blocks(self):
        for block in whole(self, 500):  # characters
            taken.append(len(block))
            yield block

    monkeypatch.setattr(FastaFile, "blocks", blocks)
    facts = {"shards": counted.shards}
    (task,) = cluster._datasource(facts, [1, 3], counted).get_read_tasks(1)
    rows = task()
    assert next(rows)["number"].to_pylist() == [1]
    assert sum(taken) < 0.5 * len(counted)  # the second of many shards
    assert next(rows)["number"].to_pylist() == [3] and next(rows, None) is None


class FakeRay:
    """Nodes without Ray."""

    def __init__(self, *resources, alive=True):
        self.resources, self.alive = resources, alive

    def nodes(self):
        return [{"Alive": self.alive, "Resources": each} for each in self.resources]


def test_an_actor_has_a_gpu_where_there_is_one_and_its_cores():
    mixed = FakeRay({"CPU": 8.0}, {"CPU": 6.0, "GPU": 4.0}, {"GPU": 2.0})
    assert cluster._room(mixed, "auto", 1) == ("cuda", 4)
    assert cluster._room(mixed, "auto", 2) == ("cuda", 3)  # three times two cores
    assert cluster._room(mixed, "cpu", 4) == ("cpu", 3)  # two and one
    with pytest.raises(InputError, match="9 CPU; "):
        cluster._room(mixed, "cpu", 9)
    with pytest.raises(InputError, match="and a GPU"):
        cluster._room(FakeRay({"CPU": 8.0}), "cuda", 1)
    with pytest.raises(InputError, match="no node"):
        cluster._room(FakeRay({"CPU": 8.0}, alive=False), "cpu", 1)


def test_the_projection_counts_tokens_flop_hours_and_bytes():
    found = cluster.projection(["esm2_8M", "esm2_15B"], sequences=100, residues=29_800, peaks={"toy": 1e12})
    assert found["tokens"].tolist() == [30_000, 30_000]  # BOS and EOS of each
    # 15B: 48 layers of width 5120; 300 tokens a protein
    assert found["flop_per_token"].iloc[1] == 2 * 12 * 48 * 5120**2 + 4 * 48 * 5120 * 300
    assert found["bound_hours_toy"].iloc[1] == pytest.approx(found["flop_per_token"].iloc[1] * 30_000 / 1e12 / 3600)
    assert found["pooled_gigabytes"].iloc[1] == pytest.approx(100 * 5120 * 2 / 1e9)
    assert found["residue_terabytes"].iloc[1] == pytest.approx(29_800 * 5120 * 2 / 1e12)
    assert found["measured_hours"].isna().all()


def test_the_projection_takes_a_measured_rate():
    name = models.card("esm2_650M").name
    found = cluster.projection(["esm2_650M", "esm2_3B"], residues=3_600_000, sequences=10_000, rates={name: 1000.0})
    assert found["measured_hours"].iloc[0] == pytest.approx(1.0) and math.isnan(found["measured_hours"].iloc[1])


def test_the_projection_to_uniref50_has_a_row_per_size_and_two_gpus():
    found = cluster.projection()
    assert found["model"].tolist() == [models.card(name).name for name in cluster.ESM2]
    assert found["bound_hours_A100"].is_monotonic_increasing
    np.testing.assert_allclose(found["bound_hours_A100"] / found["bound_hours_H100"], 989 / 312)


def test_the_projection_refuses_layers_that_it_cannot_count():
    with pytest.raises(InputError, match="t5"):
        cluster.projection(["ankh_base"])
