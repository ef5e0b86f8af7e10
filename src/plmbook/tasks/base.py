"""What tasks, learners and measures share: settings, the record of a task, its examples, and what is learnt from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.engine import encode
from plmbook.sources import ankh_tasks

if TYPE_CHECKING:
    from torch import nn

SPLITS = ("train", "validation", "test")
IGNORED = -100  # label of a residue that does not count


@dataclass(frozen=True)
class Settings:
    """How tasks are sampled and learnt; the keys of the shipped answers hold all of it, by these names."""

    seed: int = 20230116  # of the draws of examples: the date of Ankh's preprint
    seeds: tuple[int, ...] = (0, 1, 2)  # of the trainings
    residues: int = 100_000  # of a bundled sample that the learners read: what two cores train in minutes
    validation_share: float = 0.15  # of the training proteins, where a data set has no validation part of its own
    localisation_length: int = 500  # residues of the longest protein, in the bundled sample of localisation alone
    trained_structure: int = 400  # residues of the longest protein that contacts are learnt from
    windows: tuple[int, int] = (20_000, 15)  # training windows that the nearest ones are looked for in; these
    strengths: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse of the L2 penalty; validation chooses
    hidden: int = 128  # of the MLP probe
    head: dict[str, int] = field(  # Ankh's; hidden_dim = d / 2
        default_factory=lambda: {"nhead": 4, "num_hidden_layers": 1, "num_layers": 1, "kernel_size": 7}
    )
    fit: dict[str, Any] = field(  # of the heads; Ankh's example: 5 epochs, 16, 1e-3
        default_factory=lambda: {"epochs": 8, "patience": 3, "batch": 16, "rate": 1e-3}
    )
    pair_fit: dict[str, Any] = field(  # of few structures: all pairs are in memory
        default_factory=lambda: {"epochs": 40, "patience": 8, "batch": 4, "rate": 1e-3}
    )
    probe: dict[str, Any] = field(  # of the MLP: an epoch costs little
        default_factory=lambda: {"epochs": 40, "patience": 6, "batch": 16, "rate": 3e-3}
    )
    residue_strength: float = 1.0  # inverse of the L2 penalty of linear learners of residues, of which there are many
    neighbours: int = 5  # variants whose mean the nearest ones give, for a number


SETTINGS = Settings()


@dataclass(frozen=True)
class Examples:
    """The labelled proteins of a task."""

    table: pd.DataFrame  # a row a protein: id, split, test ("" elsewhere), sequence, n_mutations (0: means nothing)
    labels: tuple  # int64 (L,) of classes or `IGNORED`; int class; float; a `Structure`; CATH's "C.A.T.H"
    classes: tuple[str, ...] = ()  # what the numbers of the classes mean; empty where there are none
    source: str = "bundled"  # or the data set of the hub with its commit (`owner/name@commit`), or the folder
    notes: tuple[str, ...] = ()  # sentences: published records that could not be used, sequences that splits share

    def of(self, split: str) -> np.ndarray:
        """Rows of a split, int64."""
        return np.flatnonzero(self.table["split"] == split)

    def labels_of(self, split: str) -> list:
        return [self.labels[n] for n in self.of(split)]

    def sequences_of(self, split: str) -> list[str]:
        return self.table["sequence"].iloc[self.of(split)].tolist()


class TaskData:
    """What learners learn from: the examples of a task and, when first asked for, a model's embeddings of them."""

    def __init__(self, examples: Examples, model=None, settings: Settings = SETTINGS):
        self.examples, self.model, self.settings = examples, model, settings

    @property
    def sequences(self) -> pd.Series:
        return self.examples.table["sequence"]

    @cached_property
    def states(self) -> list[np.ndarray]:
        """Embeddings of the residues of each protein, float32 (L, d), each column standardised on the training rows."""
        found = _residue_embeddings(self.model, self.sequences.tolist())
        learnt = np.concatenate([found[n] for n in self.examples.of("train")]).astype(np.float64)
        mean, scale = learnt.mean(axis=0), learnt.std(axis=0)
        scale[scale == 0] = 1
        for number, each in enumerate(found):  # one by one: the states of all proteins are large
            found[number] = ((each - mean) / scale).astype(np.float32)
        return found

    @cached_property
    def means(self) -> np.ndarray:
        """The mean over the residues of each protein, float64 (n, d)."""
        return np.stack([each.mean(axis=0, dtype=np.float64) for each in self.states])


Noted = tuple[pd.DataFrame, tuple[str, ...]]  # a table, and sentences on it


@dataclass(frozen=True, kw_only=True)
class Task:
    """A downstream task, a subclass a kind of label; methods are learners: data, seed -> answers for test proteins."""

    name: str
    title: str
    dataset: str  # its name in `plmbook.sources.ankh_tasks`, that of the task by default
    files: tuple[str, ...]  # of data/, that the bundled sample is read from
    read: Callable[[], pd.DataFrame] | None = None  # the sample as `bundled` gives it; None: it is the first file
    sample: str  # what it is
    differs: str  # from the published setting
    comparable: str  # "no: " and why, or "in part: " and how far
    metric: str
    learners: tuple[str, ...]  # keys of `LEARNERS`, the baselines first
    column: str = ""  # of the sample: where the label is
    head: str = ""  # the class of `plmbook.tasks.heads` that Ankh's way uses; "" where no head is trained
    pooling: str = ""  # of that head; "" where it answers for residues
    dropout: float = 0.0
    training: str = ""  # in words, where no head is trained

    splits: ClassVar[tuple[str, ...]] = SPLITS
    cheapest: ClassVar[str]  # a baseline that takes no time

    @property
    def published(self) -> str:
        """Its name in the published table (`ankh_results`): the title, in small letters but for an acronym."""
        return self.title if self.title[:2].isupper() else self.title[0].lower() + self.title[1:]

    # --- examples ---

    def bundled(self) -> pd.DataFrame:
        """The sample: id, split, test (name of the test set, "" elsewhere), sequence, and what `labels` reads."""
        return self.read() if self.read else with_test(tables.load(self.files[0].partition(".")[0]))

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        """A label a row, and the classes; these are known from the training proteins, a class that they lack is -1."""
        return list(table[self.column]), ()

    def n_mutations(self, table: pd.DataFrame) -> np.ndarray | int:
        """Of each protein, where its table does not say."""
        return 0

    def from_published(self, table: pd.DataFrame, source: str, folder: Path | None) -> Noted:
        """The published data set, read by `ankh_tasks.read`, as the sample is; and notes on it."""
        shared = ankh_tasks.duplicates_across(table)
        notes = tuple(
            f"{source}: {count:,} {'sequence is' if count == 1 else 'sequences are'} in {places}"
            for places, count in shared["splits"].value_counts().items()
        )
        return with_test(table, table["test_set"] if "test_set" in table else "test"), notes

    # --- learners ---

    head_kind: ClassVar[str] = ""  # a key of `heads.KINDS`

    def learn(self, learner: str, data: TaskData, seed: int) -> Sequence:
        """The answers of a learner: the method of its name."""
        return getattr(self, learner.replace("-", "_"))(data, seed)

    def mlp(self, data: TaskData, seed: int) -> list:
        given = self.head_options(data.examples)
        options = {"outputs": given.get("num_tokens", 1), "bias": given.get("training_labels_mean", 0.0)}
        options |= {"hidden_dim": data.settings.hidden, "by_residue": not self.pooling}
        return self.trained(data, seed, lambda heads, d: heads.Probe(self.head_kind, d, **options), data.settings.probe)

    def convbert(self, data: TaskData, seed: int) -> list:
        options: dict[str, Any] = data.settings.head | {"dropout": self.dropout} | self.head_options(data.examples)

        def make(heads, d: int) -> "nn.Module":
            return getattr(heads, self.head)(input_dim=d, hidden_dim=d // 2, **options)

        return self.trained(data, seed, make, self.fit_options(data.settings))

    def trained(self, data: TaskData, seed: int, make: Callable, options: dict[str, Any]) -> list:
        """Answers of a head, which `make` builds from the module of heads and the width of the embeddings."""
        from plmbook.tasks import heads

        examples, states = data.examples, data.states

        def labelled(split: str) -> list:
            return [(states[n], self.head_label(examples.labels[n])) for n in examples.of(split)]

        def score(logits: list[np.ndarray], labels: list) -> float:
            return self.score([self.answer(each) for each in logits], examples.labels_of("validation"), examples)

        fitted = heads.fit(
            lambda: make(heads, states[0].shape[1]),
            labelled("train"),
            labelled("validation"),
            score,
            seed=seed,
            device=getattr(data.model, "device", "cpu"),
            **options,
        )
        return [self.answer(each) for each in heads.predict(fitted.head, [states[n] for n in examples.of("test")])]

    def fit_options(self, settings: Settings) -> dict[str, Any]:
        return settings.fit

    def head_options(self, examples: Examples) -> dict:
        """Of Ankh's head, beside its shape."""
        pooled = {"pooling": self.pooling} if self.pooling else {}
        return pooled | ({"num_tokens": len(examples.classes)} if self.head_kind == "classes" else {})

    def head_label(self, label):
        """A label as the head's loss takes it."""
        return label

    def answer(self, logits: np.ndarray):
        """What a head's logits of one protein say, as all learners do."""
        raise NotImplementedError

    # --- measures ---

    def tests(self, test: str) -> list[str]:
        """The tests that a protein of a test set is part of."""
        return [test]

    def judge(self, answer, label, examples: Examples) -> list[tuple[float, float]]:
        """(predicted, truth) of a protein for each of its tests, from which `measure` is computed."""
        return [(answer, label)]

    def measure(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        """What is right of what counts."""
        return float(predicted.sum() / truth.sum()) if truth.sum() else float("nan")

    def n_counted(self, truth: np.ndarray) -> int:
        """Proteins that a measure rests on."""
        return len(truth)

    def score(self, answers: Sequence, labels: Sequence, examples: Examples) -> float:
        """The measure of validation proteins, by the first test."""
        pairs = [self.judge(*each, examples)[0] for each in zip(answers, labels, strict=True)]
        return self.measure(*np.array(pairs, dtype=np.float64).T)

    def published_tests(self, table: pd.DataFrame) -> pd.Series | str:
        """What our tests are called, for the rows of a published table."""
        return "test"


def with_test(table: pd.DataFrame, name: str | pd.Series = "test") -> pd.DataFrame:
    """The table with the column test: the name of the test set (of each row), "" for what is not tested."""
    return table.assign(test=np.where(table["split"] == "test", name, ""))


def left_out_notes(records: pd.DataFrame) -> tuple[str, ...]:
    """A sentence a file of which records (file, row, reason) are left out; row 0: the file is not there."""
    notes = []
    for file, part in records.groupby("file", sort=False):
        first = part.iloc[0]
        many = f"{len(part):,} left out, the first is record {first['row']}: " if first["row"] else ""
        notes.append(f"{file}: {many}{first['reason']}")
    return tuple(notes)


def _residue_embeddings(model, sequences: list[str]) -> list[np.ndarray]:
    """float32 (L, d) of each sequence: `model.residues(sequences)`, or the last layer of one of `plmbook.models`."""
    if hasattr(model, "residues"):
        found = [np.asarray(each, dtype=np.float32) for each in model.residues(sequences)]
    else:
        found = list(encode.embed(model, sequences, pool="residue"))
    if len(found) != len(sequences):
        raise InputError(f"model {model.name!r}: {len(found)} embeddings for {len(sequences)} sequences")
    for number, (each, sequence) in enumerate(zip(found, sequences, strict=True), start=1):
        if each.ndim != 2 or len(each) != len(sequence) or each.shape[1] != found[0].shape[1]:
            raise InputError(
                f"model {model.name!r}, sequence {number}: expected embeddings of the shape ({len(sequence)}, "
                f"{found[0].shape[-1]}), a row a residue, found {each.shape}; are BOS and EOS still there?"
            )
        if not np.isfinite(each).all():
            raise InputError(f"model {model.name!r}, sequence {number}: an embedding holds a number that is not finite")
    return found
