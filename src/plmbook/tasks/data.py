"""The examples of a task: bundled, from the hub or from a folder; what is drawn of them; and a listing of all tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.sources import ankh_tasks
from plmbook.tables.published import published
from plmbook.tasks.base import SETTINGS, Examples, Task, left_out_notes
from plmbook.tasks.catalogue import TASKS, task

_SHARE = {"percent": 0.01, "fraction": 1.0, "correlation": 1.0}  # of a published figure


def examples(
    name: str, *, source: str | Path = "bundled", residues: int | None = SETTINGS.residues, seed: int = SETTINGS.seed
) -> Examples:
    """The labelled proteins of a task.

    Parameters
    ----------
    name : str
        A key of `TASKS`.
    source : str or path
        "bundled"; "hub", the published data set (fetched once); or a folder that holds its files.
    residues : int, optional
        Training proteins are drawn until they have as many residues, validation proteins a fifth of it; None: all.
    seed : int
        Of the draws.

    Returns
    -------
    Examples
        InputError if there is no training, validation or test protein.
    """
    of = task(name)
    if str(source) == "bundled":
        known = Examples(of.bundled(), ())
    else:
        known = _published(of, None if str(source) == "hub" else Path(source))
    table = known.table
    if "validation" in of.splits:  # a lookup set is whole
        if not (table["split"] == "validation").any():
            table = _with_validation(table, seed=seed)
        if residues is not None:
            table = _sampled(table, {"train": residues, "validation": residues // 5}, seed=seed)
    table = table.reset_index(drop=True)
    for split in of.splits:
        if not (table["split"] == split).any():
            raise InputError(f"task {name!r}: no protein in {split!r}; the examples have {len(table)} in all")
    if "n_mutations" not in table:
        table = table.assign(n_mutations=of.n_mutations(table))
    labels, classes = of.labels(table)
    table = table[["id", "split", "test", "sequence", "n_mutations"]]
    return replace(known, table=table, labels=tuple(labels), classes=classes)


def with_tests(known: Examples, n: int, *, seed: int) -> Examples:
    """The same examples with a seeded draw of n test proteins (all, where there are fewer)."""
    tested = known.of("test")
    drawn = np.random.default_rng(seed).choice(tested, size=min(n, len(tested)), replace=False)
    keep = np.sort(np.concatenate([np.setdiff1d(np.arange(len(known.table)), tested), drawn]))
    table = known.table.iloc[keep].reset_index(drop=True)
    return replace(known, table=table, labels=tuple(known.labels[k] for k in keep))


def listing() -> pd.DataFrame:
    """Every task in a row, for the command line and the book.

    Returns
    -------
    DataFrame
        task, title, metric, head, training (of that head), learners, seeds, hub (id of the published data set),
        revision, published (range of the seven models of Ankh's page, shares or correlations), sample, sizes (proteins
        by part), differs, comparable (str; "" where there is none).
    """
    figures = published_shares().groupby("task")["value"]
    spans = {name: f"{of.min():.2f} to {of.max():.2f}" for name, of in figures}
    names = "task title metric head training learners seeds hub revision published sample sizes differs comparable"
    rows = []
    for each in TASKS.values():
        dataset = ankh_tasks.DATASETS.get(each.dataset)
        hub = (dataset.hub_id, dataset.revision) if dataset else ("", "")
        way = (_head_text(each), _training_text(each), ", ".join(each.learners), str(len(SETTINGS.seeds)))
        sample = (each.sample, _sizes(each.name), each.differs, each.comparable)
        rows.append((each.name, each.title, each.metric, *way, *hub, spans.get(each.published, ""), *sample))
    return pd.DataFrame(rows, columns=names.split())


def published_shares() -> pd.DataFrame:
    """The published table `ankh_results` with shares (or correlations) as values."""
    table = published("ankh_results")
    return table.assign(value=table["value"] * table["unit"].map(_SHARE))


def _head_text(each: Task) -> str:
    if not each.head:
        return "none"
    shape = SETTINGS.head
    layers = f"{shape['num_layers']} layer, {shape['nhead']} heads, kernel {shape['kernel_size']}, hidden d / 2"
    pooled = f", {each.pooling} pooling" if each.pooling else ""
    return f"{each.head}: {layers}, dropout {each.dropout:g}{pooled}"


def _training_text(each: Task) -> str:
    if not each.head:
        return each.training
    fit = each.fit_options(SETTINGS)
    return f"AdamW, rate {fit['rate']:g}, {fit['batch']} proteins a step, at most {fit['epochs']} epochs"


def _sizes(name: str) -> str:
    """Proteins by part, such as train 400, validation 80, CASP12 20."""
    table = examples(name).table
    part = table["test"].where(table["split"] == "test", table["split"])
    return ", ".join(f"{key} {n}" for key, n in part.value_counts(sort=False).items())


def _published(of: Task, folder: Path | None) -> Examples:
    """The published data set of a task, from the hub or a folder: a table as the bundled ones are, no labels yet."""
    table, left_out = ankh_tasks.read(of.dataset, folder=folder)
    source = f"{table.attrs['hub_id']}@{table.attrs['revision']}" if folder is None else str(folder)
    table, notes = of.from_published(table, source, folder)
    return Examples(table, (), source=source, notes=left_out_notes(left_out) + notes)


def _shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """In a seeded order that does not depend on that of the table."""
    return table.sort_values("id").sample(frac=1, random_state=seed)


def _with_validation(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """A share of the training proteins becomes the validation part."""
    order = _shuffled(table[table["split"] == "train"], seed)
    taken = order.index[: max(1, round(SETTINGS.validation_share * len(order)))]
    return table.assign(split=table["split"].mask(table.index.isin(taken), "validation"))


def _sampled(table: pd.DataFrame, most: dict[str, int], *, seed: int) -> pd.DataFrame:
    """Whole proteins of each split in a seeded order, as many as have `most[split]` residues together; tests whole."""
    parts = []
    for split, part in table.groupby("split", sort=False):
        if split in most:
            order = _shuffled(part, seed)
            part = order[order["sequence"].str.len().cumsum() <= most[split]].sort_index()
        parts.append(part)
    return pd.concat(parts).sort_index()
