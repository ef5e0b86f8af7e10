"""Proteins that a decoder writes: spans anew, or what follows a beginning; a table in, a table out."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.engine import scan
from plmbook.models import t5_decoder

EXTENDS = t5_decoder.COMPLETES  # the prefix with which a model is loaded to go on with proteins

Spans = Sequence[tuple[int, int]]  # start and end, 1-based, the end included


def read_span(text: str) -> tuple[int, int]:
    """A span as a person writes it: "10-20", or one position, "7"; 1-based, both ends included."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if match is None:
        raise InputError(f"span {text!r}: expected START-END, such as 10-20, or one position")
    return int(match[1]), int(match[2] or match[1])


def plan(proteins: pd.DataFrame, spans: Spans = ()) -> list[Spans]:
    """The spans to write of each protein: the given ones, the same of all, or each one's own runs of X."""
    planned: list[Spans] = []
    for name, sequence in zip(proteins["id"], proteins["sequence"], strict=True):
        own = list(spans) or [(run.start() + 1, run.end()) for run in re.finditer("X+", sequence)]
        if not own:
            raise InputError(
                f"{name}: no X in its sequence, and no span given; expected one of them to be written anew"
            )
        with _named(name):
            t5_decoder.check_spans(own, len(sequence))
        planned.append(own)
    return planned


def write(
    model,
    proteins: pd.DataFrame,
    spans: Sequence[Spans] | None = None,
    *,
    extend: int | None = None,
    sentinel: str = "residue",
    longest: int | None = None,
    n: int = 1,
    seed: int | None = None,
    temperature: float = 1.0,
    perplexity: bool = False,
    progress: bool = False,
) -> pd.DataFrame:
    """Let a model write spans of proteins anew, or go on with them.

    Parameters
    ----------
    model : Model
        From `plmbook.models.load` with `decoder=True`; to go on with proteins, Ankh3 with `prefix="[S2S]"`.
    proteins : DataFrame
        `id`, `sequence`.
    spans, extend : sequence of spans, int, optional
        Either the spans of each protein, from `plan`, or how many residues to write after its end.
    sentinel, longest : {"residue", "span"}, int, optional
        "residue": each residue has its own sentinel, as in Ankh's training; a fill is as long as what was there.
        "span": each span has one, as in T5's, and a fill at most `longest` residues (default: twice the longest span).
    n : int
        Sequences wanted of each protein, perhaps alike; more than one needs a seed.
    seed, temperature : int, float, optional
        Draw the residues, each protein from the same seed; below 1 the likely residues become likelier.  Without a
        seed: the most likely residue at each step (greedy).
    perplexity, progress : bool
        Also how likely the model finds each whole protein, a pass of the encoder for each residue; show a bar.

    Returns
    -------
    DataFrame
        `n` rows per protein: `id`, `number` (from 1), `model`, `sequence`, `spans` (positions of the input, `2-3;6-6`),
        `fills` (what was written there), `log_likelihood` (natural log, `plmbook.models.t5_decoder.Filled`), and where
        asked for `perplexity` (exp of minus the mean log-probability of a hidden residue, 1 or more).

    Raises
    ------
    InputError
        Names the protein: spans outside it, overlapping or more than the sentinels of the vocabulary, a letter that is
        no residue, a model that cannot go on with proteins, an option that does not fit.
    """
    from tqdm import tqdm

    drawing: dict = {"n": n, "seed": seed, "temperature": temperature}
    if extend is not None:
        spans = [()] * len(proteins)
    planned = plan(proteins) if spans is None else spans
    rows = []
    with tqdm(total=len(proteins), unit="protein", disable=not progress) as bar:
        for name, sequence, own in zip(proteins["id"], proteins["sequence"], planned, strict=True):
            with _named(name):
                if extend is not None:
                    own = [(len(sequence) + 1, len(sequence) + extend)]
                    written = t5_decoder.complete(model, sequence, extend, **drawing)
                else:
                    written = t5_decoder.generate_spans(
                        model, sequence, own, sentinel=sentinel, longest=longest, **drawing
                    )
            places = ";".join(f"{start}-{end}" for start, end in own)
            for number, each in enumerate(written, start=1):
                row = (name, number, model.name, each.sequence, places, ";".join(each.fills), each.log_likelihood)
                rows.append((*row, _perplexity(model, each.sequence)) if perplexity else row)
            bar.update()
    columns = ["id", "number", "model", "sequence", "spans", "fills", "log_likelihood"]
    return pd.DataFrame(rows, columns=[*columns, "perplexity"] if perplexity else columns)


def fasta(written: pd.DataFrame) -> str:
    """The proteins of `write` as FASTA: `>ID_NUMBER`, and the other columns as `name=value`."""
    facts = written.columns.difference(["id", "number", "sequence"], sort=False)
    texts = []
    for row in written.to_dict("records"):
        told = (f"{name}={row[name]:.6g}" if isinstance(row[name], float) else f"{name}={row[name]}" for name in facts)
        texts.append(f">{row['id']}_{row['number']} {' '.join(told)}\n{row['sequence']}\n")
    return "".join(texts)


def _perplexity(model, sequence: str) -> float:
    """exp(-mean of ln p of a residue that a sentinel hides), over the 20 amino acids."""
    (total,) = scan.pseudo_log_likelihood(model, sequence)
    return float(np.exp(-total / np.count_nonzero(scan.columns(sequence) >= 0)))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let an error say which protein is meant."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
