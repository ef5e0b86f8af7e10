"""The engine on a GPU: the true architectures of ESM-2 with random weights, on real lengths of proteins.

The limit is a matrix product measured in the same run, over again beside each model.  Results are written after every
step, and each part has its share of the time, so that a run that is cut keeps what it has.

    650M, 3B, 15B   residues a second and share of the limit, on proteins with the lengths of the human and mouse ones
    budgets         tokens of a batch, 650M
    transformers    `EsmModel` with sdpa, padded, on the proteins of at most 1,022 residues, in turns with the engine
    growth          cost against length and against number of sequences, 650M
    scan            backgrounds of the 53 genes, 650M
    projections     from the timed runs, and marked so: the two proteomes, all published backgrounds with six models

Usage: python benchmarks/gpu.py [--minutes 9] [--device cuda] [--quick]
Writes benchmarks/results/gpu.json.  `--quick --device cpu` runs every part on models of a few thousand parameters.
"""

import argparse
import gc
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import common
import torch
import ways

from plmbook import models, tables
from plmbook.core.residues import parse_mutations
from plmbook.engine import encode
from plmbook.engine.scan import backgrounds
from plmbook.models.cards import Card
from plmbook.models.esm import EsmModel

PROTEOMES = {"proteins": 37_000, "residues": 20_000_000}  # human and mouse, as the embeddings study read them
RESCUE = {"backgrounds": 25_351, "residues": 15_400_000, "models": 6}  # of the rescue-mutation study
BUDGETS = (4096, 8192, 16384, 32768, 65536, 131072)
LENGTHS = (64, 128, 256, 512, 1022, 2048, 4096)
NUMBERS = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Settings:
    """How much is run, and how much of the time (1 in all) a part may take."""

    cards: dict[str, Card]
    residues: int  # of the timed run of each model
    chunk: int  # residues between two looks at the clock
    sample: int  # residues of a comparison
    square: int  # of the large matrix product
    tokens: int  # rows of the models' own matrix products
    dtype: str = "bfloat16"


def settings(quick: bool, dtype: str = "bfloat16") -> Settings:
    names = {"650M": "esm2_650M", "3B": "esm2_3B", "15B": "esm2_15B"}
    cards = {size: models.card(name) for size, name in names.items()}
    if quick:  # the names stay, the layers shrink
        small = {size: replace(card, layers=2, dim=64, heads=2) for size, card in cards.items()}
        return Settings(small, residues=4000, chunk=2000, sample=1500, square=256, tokens=256, dtype=dtype)
    return Settings(cards, residues=2_050_000, chunk=512_000, sample=300_000, square=8192, tokens=16384, dtype=dtype)


class Run:
    """The record, its file, and the clock."""

    def __init__(self, out: Path, device: str, minutes: float, config: Settings, quick: bool):
        self.out, self.device, self.config, self.quick = out, device, config, quick
        self.start, self.seconds = time.perf_counter(), 60 * minutes
        self.record = common.facts() | {
            "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
            "dtype": config.dtype,
            "weights": "random",
            "quick": quick,
            "seed": common.SEED,
            "limit": [],
            "sizes": {},
        }

    @property
    def used(self) -> float:
        """Share of the time that is over."""
        return (time.perf_counter() - self.start) / self.seconds

    def has_time(self, until: float, part: str) -> bool:
        """Whether a part may begin, or go on: it may where less than that share of the time is over."""
        if self.used < until:
            return True
        self.say(f"{part}: not begun, or cut; {self.used:.0%} of the time is over")
        self.record.setdefault("cut", []).append(part)
        return False

    def keep(self, **parts) -> None:
        """Add to the record and write it."""
        self.record.update(parts)
        self.record["seconds"] = time.perf_counter() - self.start
        common.write("gpu", self.record, folder=self.out)

    def attempt(self, part: str, until: float, work: Callable[[float], None]) -> None:
        """Run a part that may begin before that share of the time is over; one that fails is named."""
        if not self.has_time(until, part):
            return
        self.fresh()
        try:
            work(until)
        except Exception as error:  # the time on a GPU is short: what else can be had is had
            self.say(f"{part}: failed, {type(error).__name__}: {error}")
            self.record.setdefault("failed", {})[part] = f"{type(error).__name__}: {error}"
        self.keep(projections=projections(self.record))

    def say(self, text: str) -> None:
        print(f"[{time.perf_counter() - self.start:6.1f} s] {text}", flush=True)

    # --- memory and time on the device -----------------------------------------------------------------------

    def wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def fresh(self) -> None:
        """Free what is no longer used, and count the peak of memory anew."""
        if self.device.startswith("cuda"):
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gib(self) -> float:
        return torch.cuda.max_memory_allocated() / 2**30 if self.device.startswith("cuda") else float("nan")

    def timed(self, way, *arguments) -> float:
        self.wait()
        start = time.perf_counter()
        way(*arguments)
        self.wait()
        return time.perf_counter() - start

    def limit(self) -> float:
        """The best matrix product now, in GFLOP a second; kept."""
        config = self.config
        shapes = [(config.square,) * 3, *ways.shapes_of(list(config.cards.values()), config.tokens)[1:]]
        seconds = 0.01 if self.quick else 0.2
        rates = {shape: ways.matrix_rate(shape, config.dtype, device=self.device, seconds=seconds) for shape in shapes}
        self.record["limit"].append(
            {
                "at": time.perf_counter() - self.start,
                "rates": [{"shape": list(shape), "gflop_per_second": rate} for shape, rate in rates.items()],
            }
        )
        best = max(rates, key=rates.get)
        self.say(f"matrix product {'x'.join(map(str, best))}: {rates[best] / 1000:,.1f} TFLOP/s")
        return rates[best]


def forwards(lengths: Sequence[int], longest: int) -> list[int]:
    """Residues of every forward that proteins of these lengths take: whole, or window by window.

    >>> forwards([300, 1500], 1022)
    [300, 1022, 1022]
    """
    return [stop - start for length in lengths for start, stop in encode.windows(length, longest)]


def engine(run: Run, card: Card) -> EsmModel:
    """A model with random weights, made on the device."""
    network = ways.random_network(card, device=run.device, dtype=run.config.dtype)
    return EsmModel(network, card, path=Path("random"), device=run.device, dtype=run.config.dtype)


def warm(run: Run, model: EsmModel) -> None:
    """The first forwards choose kernels and reserve memory: not timed."""
    lengths = common.proteome_lengths(min(60_000, run.config.sample), seed=1)
    encode.embed(model, common.random_proteins(lengths, seed=1))


# --- parts -----------------------------------------------------------------------------------------------


def throughput(run: Run, size: str, model: EsmModel, *, until: float) -> dict:
    """The timed run of a model over proteins of real lengths, in chunks; the limit before and after it."""
    lengths = common.proteome_lengths(run.config.residues)
    run.fresh()
    warm(run, model)
    limits = [run.limit()]
    chunks, start = [], 0
    while start < len(lengths) and (not chunks or run.has_time(until, f"{size}, timed run")):
        stop, residues = start, 0
        while stop < len(lengths) and residues < run.config.chunk:
            residues += lengths[stop]
            stop += 1
        part = common.random_proteins(lengths[start:stop], seed=start)
        seconds = run.timed(encode.embed, model, part)
        work = common.flop(model.card, forwards(lengths[start:stop], model.max_length)) / 1e9
        chunks.append({"proteins": len(part), "residues": residues, "gflop": work, "seconds": seconds})
        run.say(f"{size}: {residues:,} residues, {residues / seconds:,.0f} residues/s")
        start = stop
    limits.append(run.limit())
    seconds = sum(chunk["seconds"] for chunk in chunks)
    rate = sum(chunk["gflop"] for chunk in chunks) / seconds
    return {
        "model": model.name,
        "layers": model.card.layers,
        "dim": model.card.dim,
        "chunks": chunks,
        "proteins": sum(chunk["proteins"] for chunk in chunks),
        "residues": sum(chunk["residues"] for chunk in chunks),
        "seconds": seconds,
        "residues_per_second": sum(chunk["residues"] for chunk in chunks) / seconds,
        "limit_gflop_per_second": limits,
        "share_of_limit": rate / max(limits),
        "peak_gib": run.peak_gib(),
        "complete": start == len(lengths),
    }


def beside_transformers(run: Run, size: str, model: EsmModel, *, until: float) -> dict | None:
    """Engine and transformers' sdpa in turns, on the proteins that both read whole."""
    lengths = [n for n in common.proteome_lengths(run.config.sample, seed=2) if n <= model.max_length]
    sequences = common.random_proteins(lengths, seed=2)
    state = {key: value.cpu() for key, value in model.network.state_dict().items()}
    network = ways.transformers_network(model.card, state, run.config.dtype)
    padded = {
        tokens: ways.transformers_way(network, device=run.device, tokens_per_batch=tokens)
        for tokens in ((ways.TOKENS,) if run.quick else (ways.TOKENS, 4 * ways.TOKENS, 16 * ways.TOKENS))
    }
    calls = {"plmbook": lambda s: encode.embed(model, s)} | padded
    answers = {key: call(sequences[:40]) for key, call in calls.items()}
    seconds: dict[object, list[float]] = {key: [] for key in calls}
    for turn in range(3):
        if turn and not run.has_time(until, f"{size}, beside transformers"):
            break
        for key in list(calls)[:: 1 if turn % 2 == 0 else -1]:
            seconds[key].append(run.timed(calls[key], sequences))
    best = min(padded, key=lambda tokens: min(seconds[tokens]))
    found = {
        "residues": sum(lengths),
        "proteins": len(lengths),
        "plmbook_seconds": seconds["plmbook"],
        "transformers_seconds": {str(tokens): seconds[tokens] for tokens in padded},
        "best_tokens_per_batch": best,
        "times_transformers": common.ratios(seconds[best], seconds["plmbook"]),
        **common.agreement(answers["plmbook"], answers[best]),
    }
    run.say(
        f"{size}: {found['times_transformers']['median']:.1f} x transformers' sdpa ({best} tokens a batch), "
        f"smallest cosine {found['smallest_cosine']:.5f}"
    )
    return found


def budgets(run: Run, model: EsmModel, *, until: float) -> list[dict]:
    """Residues a second against the tokens of a batch; the engine's own choice is `None`."""
    lengths = common.proteome_lengths(run.config.sample, seed=3)
    sequences, found = common.random_proteins(lengths, seed=3), []
    for tokens in (None, *(BUDGETS[:2] if run.quick else BUDGETS)):
        if not run.has_time(until, "token budgets"):
            break
        options = {} if tokens is None else {"token_budget": tokens}
        run.fresh()
        seconds = [run.timed(lambda: encode.embed(model, sequences, **options)) for _ in range(3)]  # noqa: B023
        found.append(
            {
                "token_budget": tokens,
                "seconds": seconds,
                "residues_per_second": common.spread([sum(lengths) / s for s in seconds]),
                "peak_gib": run.peak_gib(),
            }
        )
        run.say(f"budget {tokens}: {found[-1]['residues_per_second']['median']:,.0f} residues/s")
    return found


def growth(run: Run, card: Card, *, until: float) -> list[dict]:
    """Cost per residue against length (up to whole long proteins) and against the number of sequences."""
    model = engine(run, replace(card, max_length=max(LENGTHS)))
    lengths, numbers = (LENGTHS[:2], NUMBERS[:2]) if run.quick else (LENGTHS, NUMBERS)
    jobs = [("length", n, [n] * max(1, run.config.sample // 2 // n)) for n in lengths]
    every = [n for n in common.proteome_lengths(2000 * 600, seed=4) if n <= card.max_length]
    jobs += [("number", n, every[:n]) for n in numbers]
    found = []
    for against, value, sizes in jobs:
        if not run.has_time(until, "growth"):
            break
        sequences = common.random_proteins(sizes, seed=4)
        encode.embed(model, sequences[:1])
        seconds = [run.timed(encode.embed, model, sequences) for _ in range(3)]
        costs = common.spread([1e6 * s / sum(sizes) for s in seconds])
        found.append(
            {
                "against": against,
                "value": value,
                "proteins": len(sizes),
                "residues": sum(sizes),
                "seconds": seconds,
                "microseconds_per_residue": costs,
            }
        )
        run.say(f"{against} {value}: {costs['median']:.2f} us/residue")
    return found


def scan(run: Run, model: EsmModel, *, until: float) -> dict:
    """Backgrounds of every gene, as many of each as its share of all; arrays out, nothing written."""
    genes = tables.load("genes").set_index("gene")["sequence"]
    rows = tables.load("variants")
    rows = rows[rows["matches"]]
    of_all = run.config.residues / rows["gene"].map(genes.str.len()).sum()
    drawn = rows.groupby("gene").sample(frac=min(1.0, of_all * 1.02), random_state=common.SEED)
    drawn = rows.head(2) if drawn.empty else drawn
    seconds, n_backgrounds, residues, work = [], 0, 0, 0.0
    model.run([genes.iloc[0]])  # warms up
    for gene, part in drawn.groupby("gene"):
        if seconds and not run.has_time(until, "scan"):
            break
        variants = [parse_mutations(mutation) for mutation in part["mutation"]]
        seconds.append(run.timed(lambda: [None for _ in backgrounds(model, genes[gene], variants)]))  # noqa: B023
        n_backgrounds += len(variants)
        residues += len(variants) * len(genes[gene])
        work += common.flop(model.card, [len(genes[gene])] * len(variants)) / 1e9
    run.say(f"scan: {n_backgrounds:,} backgrounds, {residues:,} residues, {residues / sum(seconds):,.0f} residues/s")
    return {
        "model": model.name,
        "genes": len(seconds),
        "backgrounds": n_backgrounds,
        "residues": residues,
        "seconds_by_gene": seconds,
        "seconds": sum(seconds),
        "residues_per_second": residues / sum(seconds),
        "gflop_per_second": work / sum(seconds),
        "complete": len(seconds) == drawn["gene"].nunique(),
    }


def projections(record: dict) -> dict:
    """What the whole jobs would take at the measured rates: extrapolated, and from how many residues.

    >>> made = projections({"sizes": {"15B": {"residues_per_second": 20000.0, "residues": 2000000}}})
    >>> made["proteomes"]["minutes"], made["proteomes"]["timed_residues"]
    (16.666666666666668, 2000000)
    """
    found = {}
    if (run := record["sizes"].get("15B")) is not None:
        found["proteomes"] = {
            **PROTEOMES,
            "minutes": PROTEOMES["residues"] / run["residues_per_second"] / 60,
            "timed_residues": run["residues"],
        }
    if (run := record.get("scan")) is not None:
        found["rescue"] = {
            **RESCUE,
            "minutes": RESCUE["models"] * RESCUE["residues"] / run["residues_per_second"] / 60,
            "timed_residues": run["residues"],
        }
    return found


def run(out: Path, *, device: str = "cuda", minutes: float = 9, quick: bool = False, dtype: str = "bfloat16") -> dict:
    """Every part; returns the record, which is also written to `out/gpu.json` after each."""
    this = Run(out, device, minutes, settings(quick, dtype), quick)
    cards, record = this.config.cards, this.record
    this.keep()

    def first() -> None:
        model = engine(this, cards["650M"])
        record["sizes"]["650M"] = throughput(this, "650M", model, until=0.15)
        this.attempt("scan", 0.25, lambda until: record.update(scan=scan(this, model, until=until)))
        this.attempt("650M, beside transformers", 0.32, lambda until: compare("650M", model, until))

    def compare(size: str, model: EsmModel, until: float) -> None:
        record.setdefault("transformers", {})[size] = beside_transformers(this, size, model, until=until)

    def timed(size: str, until: float) -> None:
        model = engine(this, cards[size])
        this.say(f"{size}: made")
        record["sizes"][size] = throughput(this, size, model, until=until)
        if size == "3B":
            this.attempt("3B, beside transformers", 0.88, lambda until: compare(size, model, until))

    def budgets_650m(until: float) -> None:
        record["budgets"] = budgets(this, engine(this, cards["650M"]), until=until)

    this.attempt("650M", math.inf, lambda until: first())
    # The largest next: what it leaves undone cannot be made up for.
    this.attempt("15B", 0.75, lambda until: timed("15B", until))
    this.attempt("3B", 0.86, lambda until: timed("3B", until))
    this.attempt("token budgets", 0.94, budgets_650m)
    this.attempt("growth", 0.98, lambda until: record.update(growth=growth(this, cards["650M"], until=until)))
    this.keep(projections=projections(record))
    return record


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="models of a few thousand parameters: no results")
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of gpu.json")
    args = parser.parse_args(argv)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("benchmarks/gpu.py: no CUDA device here; --quick --device cpu tries every part", file=sys.stderr)
        return 2
    record = run(args.out, device=args.device, minutes=args.minutes, quick=args.quick)
    for size, found in record["sizes"].items():
        print(f"{size}: {found['residues_per_second']:,.0f} residues/s, {found['share_of_limit']:.0%} of the limit")
    for job, found in record["projections"].items():
        print(f"{job}: {found['minutes']:.1f} minutes, extrapolated from {found['timed_residues']:,} residues")
    return 0


if __name__ == "__main__":
    sys.exit(main())
