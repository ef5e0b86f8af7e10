"""A Ray cluster of two nodes on one machine, one of them killed in the middle: is the store that of the local engine?

The bundled model embeds bundled held-out proteins with the local engine, then on two nodes of one core each (a raylet,
an object store and worker processes apiece, as on two machines).  Once a share of the shards is written, the second
node gets SIGKILL.  Ray notices, runs what was lost again on the first, and every file must have the bytes of the local
engine's.  The seconds say little about a cluster: both nodes share this machine, and they count the start of workers.

Usage: python benchmarks/cluster.py [--proteins 300] [--shard-residues 3000] [--folder DIR]
Writes benchmarks/results/cluster.json.
"""

import argparse
import contextlib
import io
import os
import re
import tempfile
import threading
import time
from pathlib import Path

import common

from plmbook import models, tables
from plmbook.engine import cluster, store

KILL_AT = 0.3  # share of the shards
STORE_BYTES = 80 * 2**20  # Ray's object store of a node: the least that Ray takes is 75 MiB


def written(folder: Path) -> int:
    """Shards in a folder."""
    return len(list(folder.glob("data/*.parquet")))


def two_nodes():
    """A Ray cluster on this machine, and its second node; the driver is on the first."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    victim = made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    return made, victim


def killed(folder: Path, proteins, n_shards: int, options: dict) -> dict:
    """The job on two nodes, the second of which dies; what was seen."""
    made, victim = two_nodes()
    seen = {}

    def kill() -> None:
        while written(folder) < KILL_AT * n_shards:
            time.sleep(0.01)
        seen["shards_at_the_kill"] = written(folder)
        made.remove_node(victim, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    told = io.StringIO()
    start = time.perf_counter()
    killer.start()
    with contextlib.redirect_stderr(told):  # where Ray says that it tries again
        computed = cluster.write(folder, "embedded", proteins, device="cpu", **options)
    seconds = time.perf_counter() - start
    killer.join(timeout=60)
    import ray

    ray.shutdown()
    made.shutdown()
    # "Task ... failed. There are infinite retries remaining, so the task will be retried"; equal lines come bundled
    repeats = [int(n) for n in re.findall(r"\[repeated (\d+)x", told.getvalue())]
    retries = told.getvalue().count("the task will be retried") + sum(n - 1 for n in repeats)
    return seen | {"shards_computed": computed, "retries_told_by_ray": retries, "seconds_ray": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proteins", type=int, default=300)
    parser.add_argument("--shard-residues", type=int, default=3000)
    parser.add_argument("--folder", type=Path, help="where the stores are written; default: a temporary one")
    arguments = parser.parse_args()
    proteins = tables.load("heldout")[["id", "source", "sequence"]].head(arguments.proteins)
    options = {"shard_residues": arguments.shard_residues}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        local, ray = Path(scratch) / "local", Path(scratch) / "ray"
        start = time.perf_counter()
        model = models.load("embedded", device="cpu")
        n_shards = store.write(local, model, proteins, **options)
        seconds_local = time.perf_counter() - start
        seen = killed(ray, proteins, n_shards, options)
        identical = common.content(local) == common.content(ray)
    record = {
        "model": model.name,
        "proteins": len(proteins),
        "residues": int(proteins["sequence"].str.len().sum()),
        "nodes": 2,
        "nodes_killed": 1,
        "shards": n_shards,
        **seen,
        "seconds_local": seconds_local,
        "identical": identical,
    }
    path = common.write("cluster", common.facts() | record)
    print(
        f"{path.name}: node killed at {seen['shards_at_the_kill']} of {n_shards} shards; "
        f"{'identical' if identical else 'DIFFERENT'} to the local engine; {seen['seconds_ray']:.0f} s with Ray, "
        f"{seconds_local:.0f} s without"
    )
    if not identical or not seen["shards_at_the_kill"] < n_shards:
        raise SystemExit("the node did not die in the middle, or its death changed the store")


if __name__ == "__main__":
    main()
