"""What the benchmarks share: proteins, the arithmetic of a forward pass, agreement, ratios, how a result is kept."""

import json
import os
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import paths
from plmbook.core.text import read_csv
from plmbook.models.cards import Card

RESULTS = Path(__file__).parent / "results"
LENGTHS = Path(__file__).parent / "lengths.tsv"
SEED = 20220917
LONGEST = 1022  # residues: what ESM-2 was trained on


def proteins(n: int, *, seed: int = SEED, longest: int = LONGEST) -> list[str]:
    """Real proteins whose lengths are spread as those of all: one drawn from each of n classes of equal size by length.

    Parameters
    ----------
    n : int
        How many, of the held-out proteins and the 53 genes.
    seed : int
    longest : int
        Residues; longer ones are left out beforehand.

    Returns
    -------
    list of str
        In random order: sorting is the work of whoever embeds them.
    """
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
    """Lengths of human and mouse proteins, drawn as `lengths.tsv` counts them, until they have so many residues.

    Returns
    -------
    list of int
        Of 30 to 5,000 residues each.
    """
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

    Examples
    --------
    >>> from plmbook import models
    >>> f"{flop(models.card('esm2_8M'), [350]) / 350:.3g}"
    '1.74e+07'
    """
    each = np.asarray(lengths, dtype=np.float64)
    return float((card.layers * (24 * card.dim**2 * each + 4 * card.dim * each**2)).sum())


def agreement(found: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """How far embeddings (n, d) agree with a reference.

    Returns
    -------
    dict of str -> float
        `largest_difference`; `smallest_cosine`; `smallest_centred_cosine`: after the mean of the reference over the
        proteins is taken off both, without which every two proteins are alike.
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

    Examples
    --------
    >>> ratios([4.0, 6.0, 8.0], [2.0, 2.0, 2.0])
    {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": float(statistics.median(values)), "low": float(min(values)), "high": float(max(values))}


def facts() -> dict[str, object]:
    """When, on what machine, with which versions and which commit."""
    import torch

    from plmbook.book import runner
    from plmbook.core import machine

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": machine.checkout(paths.root()),
        "machine": machine.hardware(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": runner.versions() | {"transformers": _version("transformers")},
    }


def write(name: str, record: dict, *, folder: Path = RESULTS) -> Path:
    """Write `NAME.json` whole or not at all, numbers to five digits."""
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(_rounded(record), indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path


def peak_memory() -> float:
    """The most memory that this process has held, in MiB; what it shares with others (mapped weights) counts."""
    import resource  # not on Windows
    import sys

    status = Path("/proc/self/status")
    if status.is_file():  # Linux: `ru_maxrss` would begin with the peak of the process that started this one
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 2**10
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _rounded(value):
    """Nested numbers to five significant digits; what lies close to 1 keeps what it is short of 1 by.

    Examples
    --------
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
