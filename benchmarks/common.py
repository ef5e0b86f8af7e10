"""What the benchmarks share: proteins, the arithmetic of a forward pass, agreement, ratios, how a result is kept."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import artifacts, paths
from plmbook.core.text import read_csv
from plmbook.models.cards import Card

RESULTS = Path(__file__).parent / "results"
LENGTHS = Path(__file__).parent / "lengths.tsv"
SEED = 20220917
LONGEST = 1022  # residues: what ESM-2 was trained on


def proteins(n: int, *, seed: int = SEED, longest: int = LONGEST) -> list[str]:
    """Real proteins, lengths spread as those of all: one drawn from each of n equal classes; in random order."""
    every = pd.concat([tables.load("heldout")["sequence"], tables.load("genes")["sequence"]])
    every = sorted((sequence for sequence in every if len(sequence) <= longest), key=lambda s: (len(s), s))
    rng = np.random.default_rng(seed)
    drawn = [every[int(rng.choice(part))] for part in np.array_split(np.arange(len(every)), min(n, len(every)))]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def random_proteins(lengths: Sequence[int], *, seed: int = SEED) -> list[str]:
    """Sequences of the given lengths, every residue drawn alike: the time of a forward does not depend on them."""
    from plmbook.core.residues import AMINO_ACIDS

    rng = np.random.default_rng(seed)
    letters = np.array(list(AMINO_ACIDS))
    return ["".join(letters[rng.integers(20, size=length)]) for length in lengths]


def proteome_lengths(n_residues: int, *, seed: int = SEED) -> list[int]:
    """Lengths of human and mouse proteins, drawn as `lengths.tsv` counts them, until they have so many residues."""
    counts = read_csv(LENGTHS)
    weight = (counts["human"] + counts["mouse"]).to_numpy(dtype=np.float64)
    mean = float((counts["length"] * weight).sum() / weight.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.choice(counts["length"].to_numpy(), size=int(2 * n_residues / mean) + 10, p=weight / weight.sum())
    return [int(length) for length in drawn[: int(np.searchsorted(np.cumsum(drawn), n_residues)) + 1]]


def flop(card: Card, lengths: Sequence[int]) -> float:
    """Floating-point operations that the transformer layers need for proteins of these lengths.

    Per residue and layer 24 d^2 for the linear maps (12 d^2 multiplications with as many additions) and 4 d L for
    attention within a protein of L residues.  BOS, EOS, padding and the language-model head are not useful work and
    not counted.

    >>> from plmbook import models
    >>> f"{flop(models.card('esm2_8M'), [350]) / 350:.3g}"
    '1.74e+07'
    """
    each = np.asarray(lengths, dtype=np.float64)
    return float((card.layers * (24 * card.dim**2 * each + 4 * card.dim * each**2)).sum())


def agreement(found: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """How far embeddings (n, d) agree with a reference: `largest_difference`, `smallest_cosine`,
    `smallest_centred_cosine`.

    Centred: the mean of the reference over the proteins is taken off both, without which every two proteins are alike.
    """
    found, reference = found.astype(np.float64), reference.astype(np.float64)
    mean = reference.mean(axis=0)
    return {
        "largest_difference": float(np.abs(found - reference).max()),
        "smallest_cosine": float(_cosines(found, reference).min()),
        "smallest_centred_cosine": float(_cosines(found - mean, reference - mean).min()),
    }


def ratios(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times faster, turn by turn: the median of the ratios and their range.

    >>> ratios([4.0, 6.0, 8.0], [2.0, 2.0, 2.0])
    {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": float(statistics.median(values)), "low": float(min(values)), "high": float(max(values))}


def facts() -> dict[str, object]:
    """When, on what machine, with which versions and which commit."""
    import torch

    from plmbook.core import machine

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": machine.checkout(paths.root()),
        "machine": machine.hardware(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": artifacts.versions(),
    }


def write(name: str, record: dict, *, folder: Path = RESULTS) -> Path:
    """Write `NAME.json` whole or not at all, numbers to five digits."""
    path = folder / f"{name}.json"
    artifacts.write_json(path, _rounded(record))
    return path


def peak_memory() -> float:
    """The most memory that this process has held, in MiB; what it shares with others (mapped weights) counts."""
    import resource  # not on Windows

    _, peak = memory("self")  # Linux: `ru_maxrss` would begin with the peak of the process that started this one
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak or used / (2**20 if sys.platform == "darwin" else 2**10)


def memory(pid: int | str) -> tuple[float, float]:
    """Resident memory of a process and the most that it was, MiB (mapped libraries count); 0 where nothing says it."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(fields["VmRSS"].split()[0]) / 2**10, int(fields["VmHWM"].split()[0]) / 2**10
    except (OSError, KeyError):  # a process that has ended has no memory
        return 0.0, 0.0


def start_embed(fasta: Path, folder: Path, *options, **environment) -> subprocess.Popen:
    """`plmbook embed`, in a process group of its own."""
    command = [sys.executable, "-m", "plmbook.cli", "embed", fasta, "-o", folder, *options, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(paths.root() / "src")} | environment
    return subprocess.Popen(list(map(str, command)), env=environment, start_new_session=True, stdout=subprocess.DEVNULL)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def _rounded(value):
    """Nested numbers to five significant digits; what lies close to 1 keeps what it is short of 1 by.

    >>> _rounded({"seconds": [0.123456789, 3], "cosine": 0.99999876543})
    {'seconds': [0.12346, 3], 'cosine': 0.9999987654}
    """
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, 10) if 0.99 < value < 1 else float(f"{value:.5g}")
    return value
