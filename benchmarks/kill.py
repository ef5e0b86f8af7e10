"""Kill an embedding job at 50 random moments: is the store that it leaves, once resumed, always the same?

The job is `plmbook embed` with the bundled model on 200 of the bundled held-out proteins.  It runs undisturbed first.
Then, for each moment, drawn alike over the time that this took: the job runs in an empty folder until the moment comes,
its process group gets SIGKILL, what is left is looked at, and the same line is run again to its end.  Every file must
then have the bytes that the undisturbed run gave it, the manifest too, and no shard that was there may have been made
again.  Where a job ends before its moment, another moment is drawn.

Usage: python benchmarks/kill.py [--moments 50] [--proteins 200] [--folder DIR] [--out DIR]
Writes benchmarks/results/kill.json.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import common

from plmbook import tables
from plmbook.engine import store

SEED = 20221125
SHARD_RESIDUES = 2_500  # many small shards, so that the moments fall before, between and after them


def write_fasta(path: Path, n: int) -> int:
    """Write the first n held-out proteins; returns their residues."""
    proteins = tables.load("heldout").head(n)
    path.write_text("".join(f">{row.id} {row.source}\n{row.sequence}\n" for row in proteins.itertuples()))
    return int(proteins["length"].sum())


def start(fasta: Path, folder: Path) -> subprocess.Popen:
    return common.start_embed(fasta, folder, "--shard-residues", SHARD_RESIDUES, "--device", "cpu")


def finish(process: subprocess.Popen) -> None:
    if process.wait():
        raise SystemExit(f"the job ended with {process.returncode}")


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a shard is written again."""
    found = {path.name: path.stat() for path in folder.glob("data/*.parquet")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def killed(fasta: Path, folder: Path, moment: float) -> bool:
    """Start the job in an empty folder and kill it at a moment (seconds after its start); False if it ended before."""
    shutil.rmtree(folder, ignore_errors=True)
    process = start(fasta, folder)
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def resumed(fasta: Path, folder: Path, whole: dict[str, bytes]) -> dict:
    """What a killed job left, and whether the store is the same once the job has ended."""
    facts, before = store.existing(folder), stamps(folder)
    leftovers = [path.name for path in folder.glob(".writing-*")]
    finish(start(fasta, folder))
    after = stamps(folder)
    return {
        "manifest": facts is not None,
        "shards": len(before),
        "leftovers": len(leftovers),
        "kept": all(after.get(name) == stamp for name, stamp in before.items()),
        "identical": common.content(folder) == whole,
    }


def measure(n_moments: int, n_proteins: int, work: Path) -> dict:
    """The whole benchmark in a folder."""
    fasta = work / "heldout.fasta"
    residues = write_fasta(fasta, n_proteins)
    began = time.monotonic()
    finish(start(fasta, work / "whole"))
    seconds = time.monotonic() - began
    whole = common.content(work / "whole")
    facts = store.manifest(work / "whole")
    chance, runs = random.Random(SEED), []
    too_late = 0
    while len(runs) < n_moments:
        moment = chance.uniform(0, seconds)
        if not killed(fasta, work / "killed", moment):
            too_late += 1
            continue
        runs.append({"moment": moment} | resumed(fasta, work / "killed", whole))
        print(f"{len(runs)} of {n_moments}: {runs[-1]}", flush=True)
    return {
        "model": facts["model"],
        "computed_in": facts["computed_in"],
        "proteins": facts["proteins"]["count"],
        "residues": residues,
        "shards": len(facts["shards"]),
        "files": len(whole),
        "seconds_undisturbed": seconds,
        "ended_before_their_moment": too_late,
        "identical": sum(run["identical"] for run in runs),
        "kept": sum(run["kept"] for run in runs),
        "leftovers": sum(run["leftovers"] for run in runs),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--proteins", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="for the FASTA file and the stores; default: a temporary one")
    parser.add_argument("--out", type=Path, default=common.RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as work:
        found = measure(args.moments, args.proteins, Path(work))
    print(common.write("kill", common.facts() | found, folder=args.out))
    print(
        f"{len(found['runs'])} kills: {found['identical']} stores identical, {found['kept']} kept every shard, "
        f"{found['leftovers']} leftovers removed"
    )
    if found["identical"] != len(found["runs"]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
