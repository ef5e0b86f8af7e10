"""The job of `plmbook.engine.store.write` on many machines, by Ray Data: the same shards, byte for byte.

The driver checks everything, holds the folder's lock and streams the proteins of the missing shards; actors hold the
model, a GPU each where there is one, and write shards into the folder, which every node sees at the same path.
A shard is a function of its proteins: where a node dies, Ray computes it again.  Either engine resumes the other's job.
"""

import contextlib
import copy
import logging
import math
import os
import pickle
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from plmbook import models
from plmbook.core.artifacts import versions
from plmbook.core.errors import InputError
from plmbook.engine import encode, shards, store
from plmbook.tables import FastaFile

_RESTARTS = 5  # of one actor: more than nodes usually die under it, few enough for what kills it every time to end
ADVICE = "what was written stays, and the same command goes on from there; the logs of Ray tell more"

# Counted in the file by the card of https://huggingface.co/datasets/hazemessam/uniref50 (UniProt, 14 December 2024).
UNIREF50_SEQUENCES = 68_360_540
UNIREF50_RESIDUES = 19_582_371_375
ESM2 = ("esm2_8M", "esm2_35M", "esm2_150M", "esm2_650M", "esm2_3B", "esm2_15B")
PEAKS = {"A100": 312e12, "H100": 989e12}  # FLOP/s in bfloat16, dense, as NVIDIA's data sheets state them (SXM)


class _Job(NamedTuple):
    """What an actor has to know."""

    folder: Path
    facts: dict
    device: str
    path: Path | None


def write(
    folder: str | Path,
    model_name: str,
    proteins: pd.DataFrame | FastaFile | shards.Plan,
    *,
    source: str | Path | None = None,
    layer: int = -1,
    pool: str = "mean",
    long: str = "window",
    device: str = "auto",
    dtype: str = "auto",
    path: str | Path | None = None,
    shard_residues: int = shards.SHARD_RESIDUES,
    token_budget: int | None = None,
    address: str | None = None,
    actors: int | None = None,
    cpus: int = 1,
    progress: bool = False,
) -> int:
    """Embed proteins into a store on a Ray cluster, or go on where either engine stopped.

    Parameters
    ----------
    folder, source, layer, pool, long, shard_residues, token_budget, progress
        As in `plmbook.engine.store.write`; the folder is the same storage at the same path on every node.
    model_name, path : str
        A model that every node can load; see `plmbook.models.load`.
    proteins : DataFrame, FastaFile or Plan
        A `FastaFile` is read in blocks, on the driver's node alone; a DataFrame goes into Ray's object store whole.
    device, dtype : {"auto", "cpu", "cuda"}, str
        "auto" is "cuda" where a node has a GPU for Ray to give, one an actor; the dtype is chosen once, for all.
    address : str, optional
        Of the cluster's head.  Default: `RAY_ADDRESS`, else the cluster on this machine, else one for this call alone.
    actors, cpus : int
        Copies of the model at work (default: as many as there is room for, also on nodes that join); cores of each.

    Returns
    -------
    int
        Shards that this call computed; 0 where the store was complete.

    Raises
    ------
    InputError
        As `plmbook.engine.store.write`; also if Ray or the cluster is not there, no node has room for an actor, or a
        node cannot load the model or does not see the folder.
    RuntimeError
        If an actor failed: the message names node and shard.  What was written stays, and the same call goes on.
    """
    folder = Path(folder).absolute()
    path = None if path is None else Path(path).absolute()  # workers have other working directories
    card = models.card(model_name)
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: expected auto, cpu or cuda; which GPU an actor has is for Ray to say")
    if cpus < 1 or (actors is not None and actors < 1):
        raise InputError(f"{actors} actors of {cpus} cores: expected at least one of each")
    if not isinstance(proteins, shards.Plan):
        limit = encode.longest(card, long)
        proteins = shards.plan(proteins, max_length=limit, long=long, pool=pool, shard_residues=shard_residues)
    before = store.existing(folder)  # refuses before anything is started
    if before and dtype == "auto":
        dtype = before["computed_in"]  # what the first call chose
    with _ray(address) as ray:
        device, room = _room(ray, device, cpus)
        resources = {"num_cpus": cpus, "num_gpus": int(device == "cuda")}
        model = _reported(ray, resources, folder, card.name, device, dtype, path)
        token_budget = token_budget or model.token_budget
        options: dict[str, Any] = {"layer": layer, "pool": pool, "long": long, "token_budget": token_budget}
        mine = shards.new_manifest(model, proteins, source=source, shard_residues=shard_residues, **options)
        with store.job(folder, mine, progress=progress) as (facts, missing, bar):
            if missing:
                job = _Job(folder, facts, device, path)
                _run(ray, job, missing, proteins, min(actors or room, len(missing)), resources, bar)
    return len(missing)


def projection(
    names: Sequence[str] = ESM2,
    *,
    sequences: int = UNIREF50_SEQUENCES,
    residues: int = UNIREF50_RESIDUES,
    peaks: Mapping[str, float] = PEAKS,
    rates: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """What it takes to embed a sequence database: counts, a lower bound of GPU hours, storage."""
    rows = []
    for card in map(models.card, names):
        family = models.FAMILIES[card.family]
        if not family.standard_layers:
            raise InputError(
                f"model {card.name!r}: the count of FLOP holds for ESM's layers, not for family {family.name}"
            )
        tokens = residues + (family.before + family.after) * sequences
        each = 24.0 * card.layers * card.dim**2 + 4.0 * card.layers * card.dim * tokens / sequences
        rate = (rates or {}).get(card.name, math.nan)
        rows.append(
            {"model": card.name, "tokens": tokens, "flop_per_token": each, "flop": each * tokens}
            | {f"bound_hours_{gpu}": each * tokens / peak / 3600 for gpu, peak in peaks.items()}
            | {"measured_hours": residues / rate / 3600}
            | {"pooled_gigabytes": 2e-9 * card.dim * sequences, "residue_terabytes": 2e-12 * card.dim * residues}
        )
    return pd.DataFrame(rows)


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator:
    """Ray, connected and quiet; a connection that was there stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its C++ side would print into this terminal
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("Ray is not installed; the cluster needs it: pip install 'plmbook[cluster]'") from None
    ours = not ray.is_initialized()
    if ours:
        try:
            with _silent():
                ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"no Ray cluster at {address or os.environ.get('RAY_ADDRESS')!r}: {error}") from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Ray tells of nodes that died; stdout is the caller's
            yield ray
    finally:
        if ours:
            ray.shutdown()


def _room(ray, device: str, cpus: int) -> tuple[str, int]:
    """The device that is meant, and how many actors the nodes have room for."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(node.get("GPU", 0) for node in nodes)
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    if device == "cuda":
        room = sum(int(min(node.get("GPU", 0), node.get("CPU", 0) // cpus)) for node in nodes)
    else:
        room = sum(int(node.get("CPU", 0) // cpus) for node in nodes)
    if not room:
        wanted = f"{cpus} CPU" + (" and a GPU" if device == "cuda" else "")
        raise InputError(f"no node of the Ray cluster has {wanted}; `ray status` shows what it has")
    return device, room


def _reported(ray, resources: dict, *arguments) -> SimpleNamespace:
    """What a node of the cluster says of the model: the driver may have no GPU and no weights."""
    try:
        found = ray.get(ray.remote(**resources, max_retries=_RESTARTS)(_caught).remote("", _report, *arguments))
    except ray.exceptions.RayError as error:
        raise _died(error) from error
    if isinstance(found, Exception):
        raise found
    return found


def _report(folder: Path, name: str, device: str, dtype: str, path: Path | None) -> SimpleNamespace:
    model = models.load(name, device=device, dtype=dtype, path=path)
    facts = {fact: getattr(model, fact) for fact in ("name", "card", "max_length", "weights_hash", "dtype")}
    return SimpleNamespace(**facts, device=device, token_budget=store.choose_token_budget(folder, model))


def _run(ray, job: _Job, missing: list[int], proteins, n_actors: int, resources: dict, bar: tqdm) -> None:
    """Stream the missing shards through the actors; returns when every one is written."""
    with _muted("ray.data"):
        written = _written(ray, job, missing, proteins, n_actors, resources)
        try:
            for batch in written.iter_batches(batch_size=None, prefetch_batches=0):
                for number, failure in zip(batch["number"].tolist(), batch["failure"].tolist(), strict=True):
                    if failure:
                        error = pickle.loads(failure)
                        raise type(error)(f"{error}\n{ADVICE}")
                    bar.update(job.facts["shards"][number]["proteins"])
        except ray.exceptions.RayTaskError as error:  # of the task that reads the proteins: actors return theirs
            cause = getattr(error, "cause", None)
            raise (InputError if isinstance(cause, InputError) else RuntimeError)(f"{cause}\n{ADVICE}") from error
        except ray.exceptions.RayError as error:
            raise _died(error) from error


def _written(ray, job: _Job, missing: list[int], proteins, n_actors: int, resources: dict):
    """The Ray dataset whose execution writes the shards: a row with the `number` of each."""
    from ray.data import ActorPoolStrategy, DataContext

    # Ray 2.60 warns of what 2.64 will take away, without another place to say how often an actor may restart.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = DataContext.get_current().copy()
        context.target_max_block_size = 1  # so that a block is one shard, which is what is lost with a node
        context.enable_progress_bars = False
        context.execution_no_progress_timeout_s = -1  # a shard may take hours on a CPU, a node as long to join
        with DataContext.current(context):
            waiting = ray.data.read_datasource(
                _datasource(job.facts, missing, proteins),
                override_num_blocks=1,
                num_cpus=0,
                # where the proteins are; and what is read is lost with the driver only
                label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
            )
            return waiting.map_batches(
                _Embedder,
                fn_constructor_args=(job,),
                batch_size=1,
                compute=ActorPoolStrategy(size=n_actors),
                max_restarts=_RESTARTS,
                max_task_retries=-1,  # a lost node uses up several in the seconds before Ray is sure of it
                **resources,
            )


def _datasource(facts: dict, missing: list[int], proteins: shards.Plan):
    """A row per missing shard, `number` and pickled `proteins`, read one after another by one task."""
    import pyarrow as pa
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    read_from = proteins.proteins
    if isinstance(read_from, FastaFile):
        read_from = copy.copy(read_from)  # which keeps the stamp of the file that was checked
        read_from.path = read_from.path.absolute()

    def read() -> Iterator[pa.Table]:
        for number, chosen in shards.split(facts, missing, read_from):
            yield pa.table({"number": [number], "proteins": [pickle.dumps(chosen)]})

    class Pieces(Datasource):
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None) -> list[ReadTask]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(read, unknown)]

    return Pieces()


class _Embedder:
    """An actor: embeds the proteins of a shard and writes it.  The model is loaded with the first shard, not before: a
    process that dies over it is then retried as often as one that dies over a shard, and no more.
    """

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.model = None

    def __call__(self, batch: dict) -> dict:
        number, proteins = int(batch["number"][0]), pickle.loads(batch["proteins"][0])
        failure = _caught(f", shard {number}", self._embed, number, proteins)
        return {"number": batch["number"], "failure": [pickle.dumps(failure) if failure else b""]}

    def _embed(self, number: int, proteins: pd.DataFrame) -> None:
        folder, facts, *_ = self.job
        self.model = self.model or self._load()
        options = {name: facts[name] for name in ("layer", "pool", "long", "token_budget")}
        vectors = encode.embed(self.model, proteins["sequence"].tolist(), **options)
        store.write_shard(folder, facts, number, proteins, vectors)

    def _load(self):
        folder, facts, device, path = self.job
        if not (seen := store.existing(folder)) or seen["store"] != facts["store"]:
            raise InputError(
                f"{folder}: is not the folder that the driver sees; it must be storage that all nodes share"
            )
        model = models.load(facts["model"], device=device, dtype=facts["computed_in"], path=path)
        found = {"weights": model.weights_hash, "versions": versions(facts["versions"])}
        differing = shards.differences({name: facts[name] for name in found}, found, set())
        if named := [f"{name} is {here!r}, elsewhere {there!r}" for name, there, here in differing]:
            raise InputError(f"this node would give other numbers: {'; '.join(named)}; install the same on all nodes")
        return model


def _caught(what: str, work: Callable, *arguments):
    """The result, or the error for the driver to raise: it names the node, and carries nothing of Ray's."""
    where = f"Ray node {platform.node()}{what}"
    try:
        return work(*arguments)
    except InputError as error:
        return InputError(f"{where}: {error}")
    except Exception as error:
        logging.getLogger(__name__).exception("%s", where)  # the traceback, for the logs of Ray
        return RuntimeError(f"{where}: {type(error).__name__}: {error}")


def _died(error: Exception) -> RuntimeError:
    """What a person has to know when no worker was left that could say what was wrong."""
    first = next(iter(str(error).strip().splitlines()), "")
    return RuntimeError(
        f"a worker of the Ray cluster died {_RESTARTS + 1} times; its memory may be too small "
        f"({type(error).__name__}: {first})\n{ADVICE}"
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing on the standard error of the process, where Ray's C++ side writes past Python's."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextlib.contextmanager
def _muted(name: str) -> Iterator[None]:
    """No lines of a logger in the terminal; its files are written as ever."""
    printing = [h for h in logging.getLogger(name).handlers if isinstance(h, logging.StreamHandler)]
    levels = [handler.level for handler in printing]
    for handler in printing:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in zip(printing, levels, strict=True):
            handler.setLevel(level)
