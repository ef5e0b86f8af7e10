"""Make data/ngram.parquet: the counts behind the n-gram that the embedded model is measured against.

    python data/make/ngram.py --corpus build/corpus

Reads `general.fasta` of data/make/corpus.py: the training proteins without the orthologs of the 53 genes.
First every 50th protein of the last quarter is left out of the counts, and on these 1,007 the weights of the terms are
fitted (every other protein) and each step of the model is measured (the rest): the file lists large families first,
so these proteins have no near relative among those counted, as the held-out ones. Then all are counted.
The script stops where the fitted weights are not those of `plmbook.variants.ngram.WEIGHTS`. Takes ten seconds.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from plmbook.core.residues import AMINO_ACIDS, MASK
from plmbook.core.text import read_records
from plmbook.variants import ngram

EVERY = 50  # protein of the last quarter of the file is left out for the fit
SHARE = 0.15  # of the residues of a protein are masked together, as in the evaluation
SEED = 20221121
ALLOWED = 0.05  # difference between a fitted weight and that of the module
STEPS = (
    (),
    ("neighbours",),
    ("neighbours", "2", "3", "4"),
    ("composition",),
    ("neighbours", "composition"),
    tuple(ngram.WEIGHTS),
)


def masked_terms(sequences: Sequence[str], model: ngram.Ngram) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Terms at masked residues: term -> (n, 20); the codes (n,) of the true residues; the protein (n,) of each."""
    rng = np.random.default_rng(SEED)
    parts, truth, owner = [], [], []
    for number, sequence in enumerate(sequences):
        known = np.flatnonzero([letter in AMINO_ACIDS for letter in sequence])
        chosen = rng.choice(known, size=max(1, round(SHARE * len(known))), replace=False)
        letters = list(sequence)
        for place in chosen:
            letters[place] = MASK
        found = ngram.log_ratios("".join(letters), model)
        parts.append({name: values[chosen] for name, values in found.items()})
        truth += [AMINO_ACIDS.index(sequence[place]) for place in chosen]
        owner += [number] * len(chosen)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, np.array(truth), np.array(owner)


def loss_and_slope(
    weights: np.ndarray, terms: np.ndarray, truth: np.ndarray, frequencies: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean -ln p of the true residues and its gradient by the weights, from terms (k, n, 20)."""
    logits = np.log(frequencies) + np.tensordot(weights, terms, 1) if len(weights) else np.log(frequencies)[None]
    p = np.exp(np.broadcast_to(logits, (len(truth), 20)))
    p = p / p.sum(axis=1, keepdims=True)
    rows = np.arange(len(truth))
    slope = (terms * p).sum(axis=2).mean(axis=1) - terms[:, rows, truth].mean(axis=1)
    return float(-np.log(p[rows, truth]).mean()), slope


def fit(names: Sequence[str], terms: dict[str, np.ndarray], truth: np.ndarray, owner: np.ndarray, model: ngram.Ngram):
    """Weights (k,) fitted on every other protein, and the perplexity on the others."""
    stacked = np.stack([terms[name] for name in names]) if names else np.zeros((0, len(truth), 20))
    half = owner % 2 == 0
    weights = np.zeros(0)
    if names:
        start = np.full(len(names), 0.5)
        inside = (stacked[:, half], truth[half], model.frequencies)
        weights = minimize(loss_and_slope, start, args=inside, jac=True, method="BFGS").x
    loss, _ = loss_and_slope(weights, stacked[:, ~half], truth[~half], model.frequencies)
    return weights, float(np.exp(loss))


def main(arguments: list[str] | None = None) -> None:
    """Fit, compare, count all, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path(__file__).resolve().parents[1] / "ngram.parquet")
    options = parser.parse_args(arguments)
    sequences = [sequence for _, sequence in read_records(options.corpus / "general.fasta")]
    left_out = sequences[3 * len(sequences) // 4 :: EVERY]
    every = ngram.count(sequences)
    without = every.copy()
    without[list(AMINO_ACIDS)] -= ngram.count(left_out)[list(AMINO_ACIDS)]
    model = ngram.Ngram.from_table(without)
    found = masked_terms(left_out, model)
    print(f"{len(sequences):,} proteins; fitted and measured on {len(left_out):,} of them, left out of the counts")
    for names in STEPS:
        weights, perplexity = fit(names, *found, model)
        shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(names, weights, strict=True))
        print(f"perplexity {perplexity:.2f}  {shown or 'residue frequencies'}")
    wrong = {
        name: round(float(weight), 2)
        for name, weight in zip(STEPS[-1], weights, strict=True)
        if abs(weight - ngram.WEIGHTS[name]) > ALLOWED
    }
    if wrong:
        raise SystemExit(f"plmbook.variants.ngram.WEIGHTS is out of date; fitted: {wrong}")
    write(every, options.to)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the counts; equal input gives equal bytes under equal versions of pandas and pyarrow."""
    table.to_parquet(path, index=False, compression="zstd")
    print(f"{path.name}: {len(table)} contexts, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
