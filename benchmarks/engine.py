"""How fast is the engine, beside fair-esm, beside transformers, and beside what the machine could do at best?

Each part is a run in which the ways take turns, since machines are noisy: what counts is the median of the ratios
within a turn.  Each writes its results, every raw timing among them, as soon as it has them.

    embedding   three ways to embed, five sizes of ESM-2, malloc as shipped and tuned; the matrix products between them
    scan        the published rescue script's way against `scan.backgrounds`
    growth      cost against length and number of sequences
    precision   what bfloat16 changes in this book's own results
    go          twenty labels of LightGBM: as one calls it, on one data set, and fast (benchmarks/go.py)
    gpu         the true architectures on a GPU, skipped where there is none (benchmarks/gpu.py)
    check       a few seconds: this machine, one model, as one line of JSON on standard output; writes nothing

Usage: python benchmarks/engine.py [PART ...] [--quick] [--out DIR]       (default: all but `check`)
Writes benchmarks/results/PART.json.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import common
import numpy as np
import rescue
import ways
from turns import MALLOC, Workers, once, take_turns

from plmbook import models, tables

PARTS = ("embedding", "scan", "growth", "precision", "go", "gpu")


@dataclass(frozen=True)
class Size:
    """How much of one model is timed."""

    model: str
    proteins: int
    turns: int  # at most
    seconds: float  # after which no further turn starts, once there are two

    @property
    def name(self) -> str:
        return models.card(self.model).name


SIZES = (
    Size("embedded", proteins=64, turns=5, seconds=45),
    Size("esm2_8M", proteins=32, turns=5, seconds=80),
    Size("esm2_35M", proteins=12, turns=4, seconds=90),
    Size("esm2_150M", proteins=6, turns=3, seconds=110),
    Size("esm2_650M", proteins=3, turns=3, seconds=110),
)
QUICK = (Size("embedded", proteins=6, turns=2, seconds=10), Size("esm2_8M", proteins=4, turns=2, seconds=10))
# The way, its dtype; bfloat16 only where the processor's matrix products gain from it.
LINES = (
    ("fair-esm", "float32"),
    ("transformers", "float32"),
    ("plmbook", "float32"),
    ("transformers", "bfloat16"),
    ("plmbook", "bfloat16"),
)


def log(text: str) -> None:
    print(text, flush=True)


# --- embedding -------------------------------------------------------------------------------------------


def matrix_rates(shapes: Sequence[tuple[int, int, int]], dtypes: Sequence[str]) -> dict[str, dict[tuple, float]]:
    """GFLOP a second of the processor's matrix products, by dtype and shape."""
    return {dtype: {shape: ways.matrix_rate(shape, dtype) for shape in shapes} for dtype in dtypes}


def limits() -> tuple[dict[str, list], dict[str, float]]:
    """Of each dtype the shapes of matrix products to time, the large square and the best, and its rate, GFLOP/s."""
    shapes = ways.shapes_of([models.card(size.model) for size in SIZES])
    rates = once(matrix_rates, shapes, tuple(ways.DTYPES))
    best = {dtype: max(found, key=found.get) for dtype, found in rates.items()}
    return (
        {dtype: list(dict.fromkeys([shapes[0], best[dtype]])) for dtype in rates},
        {dtype: rates[dtype][best[dtype]] for dtype in rates},
    )


def embedding(out: Path, *, quick: bool = False) -> None:
    """Ways against each other and against the matrix products, for each size."""
    shapes, rates = limits()
    fast = rates["bfloat16"] > 1.1 * rates["float32"]
    lines = [line for line in LINES if fast or line[1] != "bfloat16"]
    sizes = QUICK if quick else SIZES
    record = common.facts() | {
        "seed": common.SEED,
        "tokens_per_padded_batch": ways.TOKENS,
        "malloc": MALLOC,
        "bfloat16_is_faster": bool(fast),
        "quick": quick,
        "runs": [],
    }
    for size in sizes:
        run = embed_one(size, lines, shapes)
        record["runs"].append(run)
        common.write("embedding", record, folder=out)
        log(embedding_summary(run))


def embed_one(size: Size, lines: Sequence[tuple[str, str]], shapes: dict[str, list]) -> dict:
    """One size: all ways with both mallocs, and the matrix products, in turns."""
    sequences = common.proteins(size.proteins)
    lengths = [len(sequence) for sequence in sequences]
    keys = [(way, dtype, malloc) for malloc in MALLOC for way, dtype in lines]
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        once(ways.write_weights, Path(folder), size.name)
        for way, dtype, malloc in keys:
            workers.start((way, dtype, malloc), ways.make_way, way, size.name, dtype, folder, malloc=malloc)
        for key in keys:  # the shortest protein warms up
            workers[key].call([min(sequences, key=len)])
        first: dict[tuple, np.ndarray] = {}

        def embed(key: tuple) -> float:
            seconds, answer = workers[key].call(sequences, keep=key not in first)
            first.setdefault(key, answer)
            return seconds

        dtypes = tuple(dict.fromkeys(dtype for _, dtype in lines))
        every = list(dict.fromkeys(shape for dtype in dtypes for shape in shapes[dtype]))
        matrix = workers.start("matrix", partial, matrix_rates, every, dtypes)
        calls = {"matrix": lambda: matrix.call(keep=True)[1]} | {key: partial(embed, key) for key in keys}
        seconds = take_turns(calls, turns=size.turns, seconds=size.seconds)
        peaks = {key: workers[key].peak_mib for key in keys}
    rates = seconds.pop("matrix")
    card = models.card(size.name)
    work = common.flop(card, lengths)
    best = {dtype: max(max(rate[dtype].values()) for rate in rates) for dtype in dtypes}  # GFLOP/s
    return {
        "model": size.name,
        "weights": "the model's own" if card.bundled else "random",
        "layers": card.layers,
        "dim": card.dim,
        "parameters": card.parameters,
        "proteins": len(sequences),
        "residues": sum(lengths),
        "longest": max(lengths),
        "gflop": work / 1e9,
        "limit_gflop_per_second": best,
        "matrix_product": [
            {"dtype": dtype, "shape": list(shape), "gflop_per_second": [rate[dtype][shape] for rate in rates]}
            for dtype in dtypes
            for shape in shapes[dtype]
        ],
        "ways": [
            {
                "way": way,
                "dtype": dtype,
                "malloc": malloc,
                "seconds": times,
                "residues_per_second": common.spread([sum(lengths) / s for s in times]),
                "share_of_limit": common.spread([work / 1e9 / s / best[dtype] for s in times]),
                "times_fair_esm": common.ratios(seconds["fair-esm", "float32", malloc], times),
                "peak_mib": peaks[way, dtype, malloc],
                **common.agreement(first[way, dtype, malloc], first["fair-esm", "float32", "default"]),
            }
            for (way, dtype, malloc), times in seconds.items()
        ],
    }


def embedding_summary(run: dict) -> str:
    """A size in lines for the terminal."""
    rows = [
        f"  {each['way']:<13}{each['dtype']:<9} malloc {each['malloc']:<8}"
        f"{each['residues_per_second']['median']:>9,.0f} residues/s"
        f"{each['times_fair_esm']['median']:>7.1f} x fair-esm [{each['times_fair_esm']['low']:.1f}, "
        f"{each['times_fair_esm']['high']:.1f}]{each['share_of_limit']['median']:>7.0%} of the limit"
        f"{each['peak_mib']:>8,.0f} MiB  difference {each['largest_difference']:.0e}, "
        f"cosine {each['smallest_cosine']:.6f}, centred {each['smallest_centred_cosine']:.4f}"
        for each in run["ways"]
    ]
    turns = len(run["ways"][0]["seconds"])
    head = f"{run['model']}: {run['proteins']} proteins, {run['residues']:,} residues, {turns} turns"
    return "\n".join([head, *rows])


# --- the scan --------------------------------------------------------------------------------------------


def scan(out: Path, *, quick: bool = False) -> None:
    """The published way against ours, on the backgrounds of one gene."""
    record = common.facts() | {"gene": rescue.GENE, "seed": common.SEED, "quick": quick, "runs": []}
    for name, turns in (("embedded", 2),) if quick else (("embedded", 4), ("esm2_35M", 3)):
        run = rescue.compare(models.card(name).name, n_backgrounds=3 if quick else 12, turns=turns)
        record["runs"].append(run)
        common.write("scan", record, folder=out)
        log(rescue.summary(run))


# --- growth ----------------------------------------------------------------------------------------------

LENGTHS = (64, 128, 256, 512, 1022, 2048)
NUMBERS = (1, 4, 16, 64)


def growth(out: Path, *, quick: bool = False) -> None:
    """Cost per residue against length, and against the number of sequences; ESM-2 8M, malloc as shipped."""
    lengths, numbers = (LENGTHS[:3], NUMBERS[:2]) if quick else (LENGTHS, NUMBERS)
    name, residues = models.card("esm2_8M").name, 1024 if quick else 4096
    lines = [("fair-esm", "float32"), ("plmbook", "float32"), ("plmbook", "bfloat16")]
    jobs = [("length", n, common.random_proteins([n] * max(1, residues // n))) for n in lengths]
    jobs += [("number", n, common.proteins(n)) for n in numbers]
    record = common.facts() | {"model": name, "weights": "random", "quick": quick, "points": []}
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        once(ways.write_weights, Path(folder), name)
        for way, dtype in lines:
            workers.start((way, dtype), ways.make_way, way, name, dtype, folder, max(lengths))
        for against, value, sequences in jobs:
            for worker in workers.values():
                worker.call(sequences[:1])
            calls = {key: lambda w=worker, s=sequences: w.call(s)[0] for key, worker in workers.items()}
            found = take_turns(calls, turns=2 if quick else 3, seconds=8)
            n_residues = sum(map(len, sequences))
            record["points"] += [
                {
                    "against": against,
                    "value": value,
                    "way": way,
                    "dtype": dtype,
                    "proteins": len(sequences),
                    "residues": n_residues,
                    "seconds": times,
                    "microseconds_per_residue": common.spread([1e6 * s / n_residues for s in times]),
                    "peak_mib": workers[way, dtype].peak_mib,
                }
                for (way, dtype), times in found.items()
            ]
            common.write("growth", record, folder=out)
            costs = {f"{way} {dtype}": 1e6 * min(times) / n_residues for (way, dtype), times in found.items()}
            log(f"{against} {value}: " + ", ".join(f"{key} {cost:,.0f} us/residue" for key, cost in costs.items()))


# --- precision -------------------------------------------------------------------------------------------


def precision(out: Path, *, quick: bool = False) -> None:
    """What bfloat16 changes: scores of the variants, their AUROC, nearest neighbours; the bundled models."""
    record = common.facts() | {"strategy": "wildtype-marginals", "quick": quick, "runs": []}
    for name in ("embedded",) if quick else ("embedded", "embedded_general"):
        record["runs"].append(precision_of(name, n_proteins=30 if quick else 400))
        common.write("precision", record, folder=out)
        run = record["runs"][-1]
        auroc = ", ".join(f"{value:.4f} in {dtype}" for dtype, value in run["auroc"].items())
        log(
            f"{run['model']}: AUROC {auroc}; scores correlate with {run['pearson']:.5f}; "
            f"the nearest neighbour is the same for {run['same_nearest']:.1%}"
        )


def precision_of(name: str, *, n_proteins: int) -> dict:
    """One model in both dtypes, on the matching variants and on proteins of the localisation table."""
    from plmbook.engine import encode
    from plmbook.probing import neighbours
    from plmbook.stats import metrics
    from plmbook.variants import effects

    variants = tables.load("variants")
    variants = variants[variants["matches"]].reset_index(drop=True)
    proteins = tables.load("localisation").sample(n_proteins, random_state=common.SEED)["sequence"].tolist()
    scores, embeddings = variants[["gene", "mutation", "significance"]].copy(), {}
    for dtype in ways.DTYPES:
        model = models.load(name, device="cpu", dtype=dtype)
        scored = effects.score_table(model, tables.load("genes"), scores[["gene", "mutation"]])
        scores[dtype] = scored["score"]
        embeddings[dtype] = encode.embed(model, proteins)
        del model
    pair = metrics.labelled(scores, score=list(ways.DTYPES))
    difference = metrics.paired_difference(pair, "bfloat16", "float32", seed=common.SEED)
    nearest = {dtype: neighbours.nearest(each, each, k=11)[0] for dtype, each in embeddings.items()}
    # The nearest of all is the protein itself.
    others = {dtype: [row[row != n][:10] for n, row in enumerate(places)] for dtype, places in nearest.items()}
    both = list(zip(others["float32"], others["bfloat16"], strict=True))
    return {
        "model": models.card(name).name,
        "variants": len(scores),
        "labelled_variants": len(pair),
        "auroc": {dtype: float(metrics.auroc(pair, score=dtype)) for dtype in ways.DTYPES},
        "auroc_difference": {"value": difference.value, "low": difference.low, "high": difference.high},
        "pearson": float(scores["float32"].corr(scores["bfloat16"])),
        "spearman": float(scores["float32"].corr(scores["bfloat16"], method="spearman")),
        "largest_score_difference": float((scores["float32"] - scores["bfloat16"]).abs().max()),
        "median_score_difference": float((scores["float32"] - scores["bfloat16"]).abs().median()),
        "proteins": n_proteins,
        "same_nearest": float(np.mean([a[0] == b[0] for a, b in both])),
        "shared_of_ten_nearest": float(np.mean([len(set(a) & set(b)) / len(a) for a, b in both])),
        **common.agreement(embeddings["bfloat16"], embeddings["float32"]),
    }


# --- this machine ----------------------------------------------------------------------------------------


def check() -> dict:
    """fair-esm and the engine on the embedded model and a few proteins, in this process: ratio and agreement."""
    import torch

    sequences, name = common.proteins(8), models.card("embedded").name
    own = models.load(name, device="cpu")  # in the dtype that the probe of this machine chooses
    chosen = list(dict.fromkeys(["float32", own.dtype]))
    with tempfile.TemporaryDirectory() as folder:
        ways.write_weights(Path(folder), name)
        keys = [("fair-esm", "float32"), *(("plmbook", dtype) for dtype in chosen)]
        made = {(way, dtype): ways.make_way(way, name, dtype, folder) for way, dtype in keys}
    answers = {key: way(sequences) for key, way in made.items()}

    def seconds_of(key: tuple) -> float:
        start = time.perf_counter()
        made[key](sequences)
        return time.perf_counter() - start

    seconds = take_turns({key: partial(seconds_of, key) for key in made}, turns=3, seconds=math.inf)
    reference = ("fair-esm", "float32")
    return {
        "model": name,
        "threads": torch.get_num_threads(),
        "proteins": len(sequences),
        "residues": sum(map(len, sequences)),
        "ways": [
            {
                "way": way,
                "dtype": dtype,
                "residues_per_second": common.spread([sum(map(len, sequences)) / s for s in times]),
                "times_fair_esm": common.ratios(seconds[reference], times),
                **common.agreement(answers[way, dtype], answers[reference]),
            }
            for (way, dtype), times in seconds.items()
        ],
    }


def go_part(out: Path, *, quick: bool = False) -> None:
    """Learning twenty GO terms."""
    import go

    log(go.summary(go.run(out, quick=quick)))


def gpu_part(out: Path, *, quick: bool = False) -> None:
    """The GPU's part, where there is a GPU."""
    import gpu
    import torch

    if not torch.cuda.is_available():
        log("gpu: not measured, no CUDA device here")
        return
    gpu.run(out, device="cuda", quick=quick)


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, or check (default: all but check)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it runs: no results")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the JSON files")
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - {*PARTS, "check"}:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; expected {', '.join(PARTS)} or check")
    if "check" in args.parts:
        print(json.dumps(check()))
        return 0
    runs = {"embedding": embedding, "scan": scan, "growth": growth, "precision": precision}
    runs |= {"go": go_part, "gpu": gpu_part}
    for part in args.parts or PARTS:
        start = time.perf_counter()
        log(f"--- {part}")
        runs[part](args.out, quick=args.quick)
        log(f"--- {part}: {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
