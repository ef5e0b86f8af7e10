"""The published rescue script's way of scanning a protein, beside `scan.backgrounds`.

The published way, written anew from its description: the backgrounds of a gene five at a time through fair-esm; for
each a table row by row in Python, every token of the vocabulary (33, special ones among them) at every residue,
ln p(token) - ln p(wild type); merged with the list of variants and appended to a tab-separated file.
Ours: `scan.backgrounds`, its arrays into one Parquet file with one row a background.
"""

import os
import tempfile
import time
from pathlib import Path

import common
import numpy as np
import pandas as pd
import torch
import ways
from turns import Workers, once, take_turns

from plmbook import models, tables
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.tables import bundled

GENE = "PTEN"  # 403 residues
CHUNK = 5  # backgrounds of one forward of the published script
STEPS = ("forward", "table", "file")


def backgrounds(n: int, *, gene: str = GENE, seed: int = common.SEED) -> tuple[str, pd.DataFrame]:
    """The sequence of a gene and n of its P/LP variants, rows of the variants table."""
    sequence = tables.load("genes").set_index("gene")["sequence"][gene]
    rows = bundled.matching_variants()
    rows = rows[(rows["gene"] == gene) & (rows["significance"] == "P/LP")]
    return sequence, rows.sample(n, random_state=seed).reset_index(drop=True)


def published_worker(name: str, folder: str):
    """The published way: -> {"seconds": {step: s}, "bytes": size of the file, "scores": (n, L, 20) float32}."""
    import esm

    card = models.card(name)
    network = ways.fair_esm_network(card, ways.weights_file(Path(folder), name, "float32"))
    alphabet = esm.Alphabet.from_architecture("ESM-1b")
    convert = alphabet.get_batch_converter()

    def scan(sequence: str, rows: pd.DataFrame) -> dict:
        seconds, kept = dict.fromkeys(STEPS, 0.0), []
        path = Path(folder) / f"scan-{os.getpid()}.tsv"
        path.unlink(missing_ok=True)
        for start in range(0, len(rows), CHUNK):
            chunk = rows.iloc[start : start + CHUNK]
            clock = time.perf_counter()
            _, _, tokens = convert([(m, mutated(sequence, m)) for m in chunk["mutation"]])
            with torch.no_grad():
                table = torch.log_softmax(network(tokens)["logits"], dim=-1)[:, 1:-1]  # (b, L, 33)
            clock = add(seconds, "forward", clock)
            kept.append(table)
            for mutation, scores in zip(chunk["mutation"], table, strict=True):
                frame = pd.DataFrame(
                    [
                        (f"{wild}{j + 1}{token}", (scores[j, t] - scores[j, alphabet.get_idx(wild)]).item())
                        for j, wild in enumerate(sequence)
                        for t, token in enumerate(alphabet.all_toks)
                    ],
                    columns=["second_site", "score"],
                ).assign(gene=GENE, mutation=mutation)
                clock = add(seconds, "table", clock)
                merged = frame.merge(rows[["gene", "mutation", "significance"]], on=["gene", "mutation"], how="left")
                merged.to_csv(path, sep="\t", mode="a", header=not path.exists(), index=False)
                clock = add(seconds, "file", clock)
        every = torch.cat(kept).numpy()
        columns = [alphabet.get_idx(letter) for letter in AMINO_ACIDS]
        wild = [alphabet.get_idx(letter) for letter in sequence]
        scores = every[..., columns] - every[:, np.arange(len(sequence)), wild][..., None]
        return {"seconds": seconds, "bytes": path.stat().st_size, "scores": scores}

    return scan


def plmbook_worker(name: str, folder: str, dtype: str):
    """Our way: the same answer, from `scan.backgrounds`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from plmbook.engine.scan import backgrounds as scanned
    from plmbook.models.esm import EsmModel

    card, path = models.card(name), ways.weights_file(Path(folder), name, dtype)
    model = EsmModel(ways.fair_esm_network(card, path), card, path=path, dtype=dtype)

    def scan(sequence: str, rows: pd.DataFrame) -> dict:
        seconds = dict.fromkeys(STEPS, 0.0)
        clock = time.perf_counter()
        variants = [parse_mutations(mutation) for mutation in rows["mutation"]]
        scores = np.concatenate([found for _, found in scanned(model, sequence, variants)])  # (n, L, 20)
        clock = add(seconds, "forward", clock)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), 20 * len(sequence))
        texts = {name: pa.array(rows[name]) for name in ("gene", "mutation", "significance")}
        table = pa.table(texts | {"scores": flat})
        clock = add(seconds, "table", clock)
        target = Path(folder) / f"scan-{os.getpid()}.parquet"
        pq.write_table(table, target)
        add(seconds, "file", clock)
        return {"seconds": seconds, "bytes": target.stat().st_size, "scores": scores}

    return scan


def mutated(sequence: str, mutation: str) -> str:
    """The background's sequence."""
    letters = list(sequence)
    for each in parse_mutations(mutation):
        each.check(sequence)
        letters[each.position - 1] = each.alt
    return "".join(letters)


def add(seconds: dict[str, float], step: str, since: float) -> float:
    """Count the time since then to a step; the time now."""
    now = time.perf_counter()
    seconds[step] += now - since
    return now


def compare(name: str, *, n_backgrounds: int, turns: int) -> dict:
    """Both ways in turns, the published one with malloc as shipped and tuned."""
    sequence, rows = backgrounds(n_backgrounds)
    lines = {
        ("published", "float32", "default"): (published_worker, ()),
        ("published", "float32", "tuned"): (published_worker, ()),
        ("plmbook", "float32", "default"): (plmbook_worker, ("float32",)),
        ("plmbook", "bfloat16", "default"): (plmbook_worker, ("bfloat16",)),
    }
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        once(ways.write_weights, Path(folder), name)
        for key, (make, more) in lines.items():
            workers.start(key, make, name, folder, *more, malloc=key[2])
        for worker in workers.values():
            worker.call(sequence, rows.head(1))  # warms up
        calls = {
            key: lambda worker=worker: worker.call(sequence, rows, keep=True)[1] for key, worker in workers.items()
        }
        found = take_turns(calls, turns=turns, seconds=45)
        peaks = {key: worker.peak_mib for key, worker in workers.items()}
    published = found["published", "float32", "default"]
    own = pd.Series(rows["position"]).to_numpy() - 1
    elsewhere = np.arange(len(sequence)) != own[:, None]  # (n, L): the variant's own residue is no second site
    return {
        "model": name,
        "backgrounds": len(rows),
        "length": len(sequence),
        "ways": [
            {
                "way": way,
                "dtype": dtype,
                "malloc": malloc,
                "seconds": {step: [one["seconds"][step] for one in each] for step in STEPS},
                "milliseconds_per_background": {
                    step: common.spread([1000 * one["seconds"][step] / len(rows) for one in each]) for step in STEPS
                },
                "bytes_per_background": each[-1]["bytes"] / len(rows),
                "peak_mib": peaks[way, dtype, malloc],
                "times_published": common.ratios(
                    [sum(one["seconds"].values()) for one in published], [sum(one["seconds"].values()) for one in each]
                ),
                **agreement(each[-1]["scores"], published[-1]["scores"], elsewhere),
            }
            for (way, dtype, malloc), each in found.items()
        ],
    }


def agreement(scores: np.ndarray, reference: np.ndarray, elsewhere: np.ndarray) -> dict[str, float]:
    """Largest difference of the scores (n, L, 20) at second sites, and the share of the 50 best that both name."""
    a, b = (np.where(elsewhere[..., None], each, -np.inf).reshape(len(each), -1) for each in (scores, reference))
    best = [set(np.argsort(-x)[:50]) & set(np.argsort(-y)[:50]) for x, y in zip(a, b, strict=True)]
    return {
        "largest_difference": float(np.abs(scores - reference)[elsewhere].max()),
        "shared_of_50_best": float(np.mean([len(each) / 50 for each in best])),
    }


def summary(run: dict) -> str:
    """The comparison in lines for the terminal."""
    lines = [f"{run['model']}: {run['backgrounds']} backgrounds of {run['length']} residues, ms a background"]
    for each in run["ways"]:
        steps = ", ".join(f"{step} {each['milliseconds_per_background'][step]['median']:,.1f}" for step in STEPS)
        lines.append(
            f"  {each['way']:<10}{each['dtype']:<9} malloc {each['malloc']:<8} {steps}; "
            f"{each['times_published']['median']:.1f} x published, {each['bytes_per_background'] / 1024:,.0f} KiB, "
            f"difference {each['largest_difference']:.0e}"
        )
    return "\n".join(lines)
