"""How fast is the packed forward pass beside fair-esm's own, on the same weights and the same proteins?

The two take turns within one run, and the median of the ratios is what counts: machines are noisy.
fair-esm's side is the loop of its `extract.py`: length-sorted batches of 4,096 tokens, padded, last layer, language
model head included.  The weights of ESM-2 8M are random here, since speed depends on the architecture alone.

Usage: python benchmarks/forward.py [--repeats 5] [--proteins 40]
Writes benchmarks/results/forward.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import esm
import numpy as np
import torch

from plmbook import encode, models, tables
from plmbook.book import versions
from plmbook.models.cards import card
from plmbook.models.esm import EsmModel

RESULTS = Path(__file__).parent / "results" / "forward.json"
TOKENS = 4096  # of a batch of fair-esm's extract.py


def random_model(name: str) -> EsmModel:
    """The architecture of a card with random weights (seed 0)."""
    it = card(name)
    torch.manual_seed(0)
    network = esm.ESM2(num_layers=it.layers, embed_dim=it.dim, attention_heads=it.heads)
    return EsmModel(network, it, path=Path("random"), device="cpu", dtype="float32")


def fair_esm_embeddings(model: EsmModel, sequences: list[str]) -> np.ndarray:
    """Mean embeddings (n, d) float32 as fair-esm's `extract.py` makes them."""
    alphabet = model.network.alphabet
    data = esm.FastaBatchedDataset([str(i) for i in range(len(sequences))], sequences)
    convert = alphabet.get_batch_converter()
    found = np.zeros((len(sequences), model.card.dim), dtype=np.float32)
    with torch.no_grad():
        for batch in data.get_batch_indices(TOKENS, extra_toks_per_seq=1):
            _, _, tokens = convert([data[i] for i in batch])
            states = model.network(tokens, repr_layers=[model.card.layers])["representations"][model.card.layers]
            for row, i in enumerate(batch):
                found[i] = states[row, 1 : len(sequences[i]) + 1].mean(0).numpy()
    return found


def compare(model: EsmModel, sequences: list[str], repeats: int) -> dict:
    """Seconds of both sides in turn, their ratio, and how far the embeddings agree."""
    ways = {"fair_esm": fair_esm_embeddings, "plmbook": encode.embed}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    embeddings = {}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            embeddings[name] = way(model, sequences)
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(seconds["fair_esm"], seconds["plmbook"], strict=True)]
    a, b = embeddings["fair_esm"], embeddings["plmbook"]
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return {
        "model": model.name,
        "weights": "random" if str(model.path) == "random" else model.weights_hash,
        "residues": sum(map(len, sequences)),
        "seconds": {name: [round(s, 3) for s in values] for name, values in seconds.items()},
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "largest_difference": float(np.abs(a - b).max()),
        "smallest_cosine": float(cosine.min()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--proteins", type=int, default=40)
    args = parser.parse_args()
    proteins = tables.load("heldout")
    sequences = proteins["sequence"].tolist()[:: max(1, len(proteins) // args.proteins)]
    found = [
        compare(model, sequences, args.repeats) for model in (models.load("embedded"), random_model("esm2_t6_8M_UR50D"))
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    record = {"threads": torch.get_num_threads(), "versions": versions(), "runs": found}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    for run in found:
        print(
            f"{run['model']}: {run['ratio_median']} times fair-esm's speed (range {run['ratio_range']}), "
            f"largest difference {run['largest_difference']:.1e}, smallest cosine {run['smallest_cosine']:.6f}"
        )


if __name__ == "__main__":
    main()
