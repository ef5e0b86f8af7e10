"""The kinds of tasks: what a label is, what learners there are, how an answer is judged, what is measured.

A class of each residue, a class or yes and no or a number of a protein, contacts of pairs of residues, the nearest
domain in a lookup set. Each is a subclass of `Task` that the tasks of the catalogue are instances of.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.structures import CUTOFF, Structure, structures_of
from plmbook.probing import contacts, probes
from plmbook.sources import proteinnet
from plmbook.stats import metrics
from plmbook.tasks import learners as learn
from plmbook.tasks.base import IGNORED, SETTINGS, Examples, Noted, Settings, Task, left_out_notes

LENGTHS = {"L": 1, "L/5": 5}  # the best L and L / 5 pairs
LEVELS = ("C", "A", "T", "H")  # of CATH: class, architecture, topology, homologous superfamily
STATES = {"dssp3": "HEC", "dssp8": "HGIEBTSC"}


@dataclass(frozen=True, kw_only=True)
class ResidueTask(Task):
    """A class of each residue: an int64 array (L,), `IGNORED` where a residue does not count."""

    metric: str = "accuracy of residues"
    learners: tuple[str, ...] = ("frequency", "window", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForMultiClassClassification"
    dropout: float = 0.2

    answers = {
        "frequency": learn.commonest_of_residues,
        "window": partial(learn.logistic_of_residues, features=learn.windows),
        "neighbour": learn.nearest_windows,
        "linear": partial(learn.logistic_of_residues, features=learn.states),
        "mlp": learn.mlp,
        "convbert": learn.convbert,
    }
    cheapest = "frequency"
    head_kind = "classes"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        classes = tuple(STATES[self.column])
        code = {name: number for number, name in enumerate(classes)}
        found = []
        for states, counted in zip(table[self.column], table["counted"], strict=True):
            numbers = np.array([code[letter] for letter in states], dtype=np.int64)
            found.append(np.where(probes.as_bool(counted), numbers, IGNORED))
        return found, classes

    def head_options(self, examples: Examples) -> dict:
        return super().head_options(examples) | {"num_tokens": self.n_outputs(examples)}

    def answer(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=-1)

    def judge(self, answer, label, examples: Examples) -> list[tuple[float, float]]:
        """How many residues are right, and how many count."""
        counted = label != IGNORED
        return [(np.count_nonzero(answer[counted] == label[counted]), np.count_nonzero(counted))]

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["dataset"]


@dataclass(frozen=True, kw_only=True)
class ClassTask(Task):
    """One of several classes of a protein: an int."""

    metric: str = "accuracy of proteins"
    learners: tuple[str, ...] = ("frequency", "composition", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForMultiClassClassification"
    pooling: str = "max"
    dropout: float = 0.2

    answers = {
        "frequency": learn.commonest_class,
        "composition": partial(learn.logistic, features=learn.composition),
        "neighbour": learn.most_similar,
        "linear": partial(learn.logistic, features=learn.means),
        "mlp": learn.mlp,
        "convbert": learn.convbert,
    }
    cheapest = "composition"
    head_kind = "classes"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        classes = tuple(sorted(set(table.loc[table["split"] == "train", self.column])))
        code = {name: number for number, name in enumerate(classes)}
        return [code.get(name, -1) for name in table[self.column]], classes

    def head_options(self, examples: Examples) -> dict:
        return super().head_options(examples) | {"num_tokens": self.n_outputs(examples)}

    def answer(self, logits: np.ndarray) -> int:
        return int(logits.argmax())

    def measure(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        return float(np.mean(predicted == truth))


@dataclass(frozen=True, kw_only=True)
class BinaryTask(ClassTask):
    """Yes or no of a protein: 1 or 0."""

    head: str = "ConvBertForBinaryClassification"

    head_kind = "binary"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        return [int(value) for value in table[self.column]], ("no", "yes")

    def n_outputs(self, examples: Examples) -> int:
        return 1

    def head_options(self, examples: Examples) -> dict:
        return Task.head_options(self, examples)

    def answer(self, logits: np.ndarray) -> int:
        return int(logits[0] > 0)


@dataclass(frozen=True, kw_only=True)
class NumberTask(Task):
    """A number of a variant of one protein."""

    metric: str = "Spearman correlation"
    learners: tuple[str, ...] = ("mutations", "one-hot", "neighbour", "linear", "mlp", "convbert")
    head: str = "ConvBertForRegression"
    pooling: str = "max"

    answers = {
        "mutations": learn.fewest_mutations,
        "one-hot": partial(learn.ridge, features=learn.one_hot),
        "neighbour": learn.nearest_variants,
        "linear": partial(learn.ridge, features=learn.means),
        "mlp": learn.mlp,
        "convbert": learn.convbert,
    }
    cheapest = "one-hot"
    head_kind = "number"

    def labels(self, table: pd.DataFrame) -> tuple[list, tuple[str, ...]]:
        return [float(value) for value in table[self.column]], ()

    def n_mutations(self, table: pd.DataFrame) -> np.ndarray | int:
        """Residues in which each sequence differs from the commonest ones of training; 0 where lengths are unequal."""
        if table["sequence"].str.len().nunique() != 1:
            return 0
        codes = np.array([np.frombuffer(each.encode(), np.uint8) for each in table["sequence"]])
        learnt = codes[(table["split"] == "train").to_numpy()]
        consensus = np.array([np.bincount(column).argmax() for column in learnt.T], dtype=np.uint8)
        return (codes != consensus).sum(axis=1)

    def bias(self, examples: Examples) -> float:
        return float(np.mean(examples.labels_of("train")))

    def head_options(self, examples: Examples) -> dict:
        return super().head_options(examples) | {"training_labels_mean": self.bias(examples)}

    def answer(self, logits: np.ndarray) -> float:
        return float(logits[0])

    def measure(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        return round(metrics.spearman(predicted, truth), 12)


@dataclass(frozen=True, kw_only=True)
class PairTask(Task):
    """Contacts: a label is a `Structure`, an answer scores (L, L), higher = more likely in contact."""

    metric: str = "long-range precision"
    column: str = "structure"

    answers = {
        "separation": learn.separation,
        "one-hot": learn.logistic_of_pairs,
        "linear": learn.pair_probe,
        "convbert": learn.convbert,
        "attention": learn.attention,
    }
    cheapest = "separation"
    head_kind = "contacts"

    def from_published(self, table: pd.DataFrame, source: str, folder: Path | None) -> Noted:
        """CASP14 as the test; learnt from ProteinNet where a folder has it, else from the bundled structures."""
        training, notes = ([], ()) if folder is None else _proteinnet(folder)
        return structure_table(training or kept_structures(), table, dict.fromkeys(table["id"], "CASP14")), notes

    def fit_options(self, settings: Settings) -> Mapping[str, float]:
        return settings.pair_fit

    def head_options(self, examples: Examples) -> dict:
        return {}

    def head_label(self, label: Structure) -> np.ndarray:
        return learn.pair_labels(label)

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """The logit of contact less that of none."""
        return (logits[..., 1] - logits[..., 0]).astype(np.float64)

    def tests(self, test: str) -> list[str]:
        return [f"{test}, {text}" for text in LENGTHS]

    def judge(self, answer, label, examples: Examples) -> list[tuple[float, float]]:
        """The precision, and 1."""
        return [(long_range_precision(label, answer, part), 1) for part in LENGTHS.values()]

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["dataset"] + ", " + table["split"].replace({"L/1": "L"})


@dataclass(frozen=True, kw_only=True)
class LookupTask(Task):
    """The nearest domain of a lookup set, which is "train": a label and an answer are CATH's "C.A.T.H"."""

    metric: str = "accuracy of queries"
    learners: tuple[str, ...] = ("composition", "neighbour", "embedding")
    training: str = "nothing is trained"

    answers = {
        "composition": partial(learn.nearest, features=learn.composition),
        "neighbour": learn.most_similar,
        "embedding": partial(learn.nearest, features=learn.means),
    }
    splits = ("train", "test")
    cheapest = "composition"

    def from_published(self, table: pd.DataFrame, source: str, folder: Path | None) -> Noted:
        table = table.assign(split=table["split"].mask(table["role"] == "lookup", "train"))
        return super().from_published(table, source, folder)

    def tests(self, test: str) -> list[str]:
        return list(LEVELS)

    def judge(self, answer: str, label: str, examples: Examples) -> list[tuple[float, float]]:
        """At each level whether the answer is right, and whether the lookup set has the query's class."""
        own, lookup = _levels(label), [_levels(code) for code in examples.labels_of("train")]
        return [(_levels(answer)[k] == own[k], any(codes[k] == own[k] for codes in lookup)) for k in range(len(LEVELS))]

    def n_counted(self, truth: np.ndarray) -> int:
        return int((truth > 0).sum())

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["split"]


def _levels(code: str) -> list[str]:
    """C, C.A, C.A.T and C.A.T.H of a code."""
    words = code.split(".")
    return [".".join(words[: k + 1]) for k in range(len(LEVELS))]


def long_range_precision(structure: Structure, scores: np.ndarray, part: int = 1) -> float:
    """Share of contacts among the L / part best pairs at least 24 residues apart, L the residues that count.

    Parameters
    ----------
    structure : Structure
        Residues without coordinates (NaN) do not count.
    scores : float array (L, L)
        Higher = more likely in contact.
    part : int

    Returns
    -------
    float
        In [0, 1]; 0 where there is no such pair.
    """
    counted = structure.counted & np.isfinite(structure.cb).all(axis=1)
    i, j = contacts.pairs(counted, *contacts.RANGES["long"])
    if not len(i):
        return 0.0
    distance = np.linalg.norm(structure.cb[i].astype(np.float64) - structure.cb[j], axis=1)
    return contacts.precision_at(scores[i, j], distance < CUTOFF, max(int(counted.sum()) // part, 1))


# --- structures to learn contacts from -----------------------------------------------------------------


def structure_table(training: list[Structure], casp: pd.DataFrame, sources: Mapping[str, str]) -> pd.DataFrame:
    """id, split, test, sequence, structure. The tests have C-alpha atoms only, which then stand for the C-beta."""
    casp = casp.rename(columns={f"ca_{axis}": f"cb_{axis}" for axis in "xyz"}).assign(plddt=np.nan)
    rows = [(each.id, "train", "", each.sequence, each) for each in training]
    for name, each in structures_of(casp).items():
        rows.append((name, "test", sources[name], each.sequence, each))
    return pd.DataFrame(rows, columns=["id", "split", "test", "sequence", "structure"])


def kept_structures() -> list[Structure]:
    """Those kept aside from pretraining."""
    return _short(structures_of(tables.load("kept_structures")))


def _short(found: Mapping[str, Structure]) -> list[Structure]:
    return [each for each in found.values() if len(each.sequence) <= SETTINGS.trained_structure]


def _proteinnet(folder: Path) -> tuple[list[Structure], tuple[str, ...]]:
    """ProteinNet's training proteins where a folder holds its text file, such as `training_30`; and notes."""
    files = [path for path in sorted(folder.iterdir()) if re.fullmatch(r"training_\d+(\.gz)?", path.name)]
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise InputError(f"{folder}: {names} hold the same proteins; leave one of them")
    found, left_out, notes = [], [], ()
    for path in files:  # one, or none
        for table in proteinnet.read_proteinnet(path, left_out=left_out):
            found += _short(structures_of(table.assign(plddt=np.nan)))
        records = pd.DataFrame(left_out, columns=["row", "id", "reason"])
        notes = left_out_notes(records.assign(file=path.name))
    return found, notes
