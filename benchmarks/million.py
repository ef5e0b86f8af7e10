"""A million proteins through `plmbook embed`: does memory stay flat, does a killed job go on, is nothing lost?

The proteins are synthetic: their lengths are log-normal (mean 100 residues, standard deviation of the logarithm 0.6,
cut at 10 and 2,000), every residue is drawn alike.  The model is an ESM-2 of one layer with random weights, so small
that the work around the model is what is seen.  The job is killed (SIGKILL to its process group) when 40 % of the
shards are there, and the same line is run again.

What memory still gains on the way is oneDNN's: it keeps the last 1,024 matrix products that it prepared, one for each
layer and size of a batch.  With ONEDNN_PRIMITIVE_CACHE_CAPACITY=0 it keeps none.

Then the store is held against the FASTA file: every protein once and in order, and some embeddings against the model
that reads these proteins one by one.

Usage: python benchmarks/million.py [--sequences 1000000] [--folder DIR] [--out DIR]
Writes benchmarks/results/million.json: the memory of the job (MiB) by the second, and what was found in the store.
"""

import argparse
import itertools
import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import common
import numpy as np

from plmbook import models, tables
from plmbook.core import artifacts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode, shards, store

SEED = 20221114
MEAN, SIGMA, SHORTEST, LONGEST = 100, 0.6, 10, 2000  # residues; of the logarithm; residues
NAME, LAYERS, DIM, HEADS = "esm2_t1_tiny", 1, 16, 2
SHARE = 0.4  # of the shards, when the job is killed
POINTS = 300  # of the memory curve that are kept
SINGLE = 1000  # proteins whose embedding is computed again, one by one


def write_fasta(path: Path, n: int) -> np.ndarray:
    """Write n synthetic proteins; returns their lengths (n,)."""
    rng = np.random.default_rng(SEED)
    letters = np.frombuffer(AMINO_ACIDS.encode(), dtype=np.uint8)
    lengths = np.exp(rng.normal(np.log(MEAN) - SIGMA**2 / 2, SIGMA, size=n)).clip(SHORTEST, LONGEST).astype(int)
    with path.open("w", encoding="ascii") as file:
        for first in range(0, n, 10_000):
            part = lengths[first : first + 10_000]
            text = letters[rng.integers(20, size=part.sum())].tobytes().decode("ascii")
            for number, (start, length) in enumerate(zip(np.cumsum(part) - part, part, strict=True), start=first + 1):
                lines = (text[at : min(at + 60, start + length)] for at in range(start, start + length, 60))
                file.write("\n".join([f">synthetic_{number:07d} drawn for a benchmark", *lines, ""]))
    return lengths


def write_model(folder: Path) -> None:
    """Write a tiny ESM-2 with random weights (seed 0) as a bundled model, weights and card, into `folder/models`."""
    import esm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = esm.ESM2(LAYERS, DIM, HEADS)
    state = {
        key: value.half().contiguous()
        for key, value in network.state_dict().items()
        if not key.startswith("contact_head.") and key != "lm_head.weight" and not key.endswith("inv_freq")
    }
    (folder / "models").mkdir(parents=True)
    path = folder / "models" / f"{NAME}.safetensors"
    save_file(state, path)
    card = {
        "name": NAME,
        "family": "esm2",
        "layers": LAYERS,
        "dim": DIM,
        "heads": HEADS,
        "parameters": sum(value.numel() for value in state.values()),
        "max_length": common.LONGEST,
        "training_data": "none: random weights",
        "licence": "CC0",
        "sha256": artifacts.file_sha256(path),
    }
    path.with_suffix(".json").write_text(json.dumps(card))


def start(fasta: Path, folder: Path, data: Path, shard_residues: int) -> subprocess.Popen:
    options = ["-m", NAME, "--shard-residues", shard_residues, "--device", "cpu", "--dtype", "float32"]
    return common.start_embed(fasta, folder, *options, PLMBOOK_DATA=str(data))


def watch(process: subprocess.Popen, folder: Path, kill_at: float | None = None) -> list[dict]:
    """Look at a job once a second until it ends, or kill it when so large a share of the shards is there."""
    began, samples = time.monotonic(), []
    while process.poll() is None:
        resident, peak = common.memory(process.pid)
        done, planned = progress(folder)
        seconds = time.monotonic() - began
        samples.append({"seconds": seconds, "resident": resident, "peak": peak, "share": done / max(1, planned)})
        if kill_at is not None and planned and done >= kill_at * planned:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(min(1.0, 0.02 + seconds / 20))
    return [sample for sample in samples if sample["resident"]]


def cpu_seconds() -> float:
    """What the jobs that have ended used, all cores together: the clock also counts what others do on the machine."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def progress(folder: Path) -> tuple[int, int]:
    """Shards that are there, and shards in all (0 before there is a manifest)."""
    facts = store.existing(folder)
    data = folder / "data"
    return len(os.listdir(data)) if data.is_dir() else 0, len(facts["shards"]) if facts else 0


def compare(folder: Path, fasta: Path, data: Path) -> dict:
    """Hold the store against the FASTA file and the model; what is lost, out of place or wrong is an error."""
    opened = store.dataset(folder)  # checks every shard
    found = zip(*(column(opened, name) for name in ("id", "length", "description")), strict=True)
    n = 0
    for row, expected in itertools.zip_longest(found, records(fasta)):
        if row != expected:
            raise SystemExit(f"row {n + 1}: found {row}, expected {expected}")
        n += 1
    every = max(1, n // SINGLE)
    wanted = list(range(0, n, every))
    texts = [text for block in tables.FastaFile(fasta).blocks() for text in block["sequence"]][::every]
    model = models.load(NAME, device="cpu", dtype="float32")
    alone = np.concatenate([encode.embed(model, [text]) for text in texts])
    stored = np.stack(opened.take(wanted, columns=["embedding"])["embedding"].to_numpy()).astype(np.float32)
    difference = float(np.abs(stored - alone).max())
    if difference > 2**-9 * np.abs(alone).max():
        raise SystemExit(f"an embedding differs by {difference} from that of the protein alone")
    return {"proteins_in_order": n, "compared_one_by_one": len(wanted), "largest_difference": difference}


def column(opened, name: str) -> Iterator:
    for batch in opened.to_batches(columns=[name]):
        yield from batch[name].to_pylist()


def records(fasta: Path) -> Iterator[tuple]:
    for block in tables.FastaFile(fasta).blocks():
        yield from zip(block["id"], block["length"].tolist(), block["description"], strict=True)


def at(samples: Sequence[dict], share: float) -> float:
    """Resident memory when such a share of the shards was there: median of the five nearest looks, MiB."""
    nearest = sorted(samples, key=lambda sample: abs(sample["share"] - share))[:5]
    return statistics.median(sample["resident"] for sample in nearest)


def thinned(samples: Sequence[dict]) -> list[list[float]]:
    """[seconds, resident MiB, share of the shards] of at most `POINTS` samples, the last one among them."""
    step = -(-len(samples) // POINTS)
    return [[s["seconds"], s["resident"], s["share"]] for s in samples[::-1][::step][::-1]]


def measure(n: int, work: Path) -> dict:
    """The whole benchmark in a folder."""
    fasta, folder, data = work / "proteins.fasta", work / "store", work / "data"
    lengths = write_fasta(fasta, n)
    shard_residues = min(shards.SHARD_RESIDUES, int(lengths.sum()) // 20)  # a small trial has shards to lose, too
    write_model(data)
    os.environ["PLMBOOK_DATA"] = str(data)
    used = cpu_seconds()
    process = start(fasta, folder, data, shard_residues)
    killed = watch(process, folder, SHARE)
    if process.returncode != -signal.SIGKILL:
        raise SystemExit(f"the job ended with {process.returncode} before it was killed; take more sequences")
    there, _ = progress(folder)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "data").iterdir()}
    process = start(fasta, folder, data, shard_residues)
    resumed = watch(process, folder)
    if process.returncode:
        raise SystemExit(f"the resumed job ended with {process.returncode}")
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "data").iterdir()}
    lost = [name for name, stamp in before.items() if after.get(name) != stamp]
    if lost:
        raise SystemExit(f"{lost[0]}: was there at the kill and was computed again")
    used = cpu_seconds() - used
    seconds = [killed[-1]["seconds"], resumed[-1]["seconds"]]
    for sample in resumed:
        sample["seconds"] += seconds[0]
    residues = int(lengths.sum())
    return {
        "proteins": n,
        "residues": residues,
        "fasta_mb": fasta.stat().st_size / 1e6,
        "lengths": {"mean": float(lengths.mean()), "median": float(np.median(lengths)), "longest": int(lengths.max())},
        "model": {"name": NAME, "layers": LAYERS, "dim": DIM, "heads": HEADS},
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "shards": len(after),
        "shards_at_the_kill": there,
        "seconds": sum(seconds),
        "seconds_of_each_part": seconds,
        "cpu_seconds": used,
        "residues_per_second": residues / sum(seconds),
        "peak_mib": max(killed[-1]["peak"], resumed[-1]["peak"]),
        "mib_when_the_job_begins": next(s["resident"] for s in killed if s["share"]),
        "mib_at_10_percent": at(killed, 0.1),
        "mib_at_40_percent": at(killed, SHARE),
        "mib_at_100_percent": at(resumed, 1.0),
        "curve": thinned(killed + resumed),
        "found": compare(folder, fasta, data),
        "store_mb": sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="for the FASTA file and the store; default: a temporary one")
    parser.add_argument("--out", type=Path, default=common.RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as work:
        found = measure(args.sequences, Path(work))
    print(common.write("million", common.facts() | found, folder=args.out))
    print(
        f"{found['proteins']:,} proteins, {found['residues']:,} residues: {found['seconds']:.0f} s "
        f"({found['cpu_seconds']:.0f} s of one core), {found['residues_per_second']:,.0f} residues/s"
    )
    print(
        f"memory: {found['mib_at_10_percent']:.0f} MiB at 10 %, {found['mib_at_100_percent']:.0f} MiB at 100 %, "
        f"peak {found['peak_mib']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
