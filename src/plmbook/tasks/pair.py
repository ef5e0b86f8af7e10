"""Tasks that ask which pairs of residues touch."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.core.structures import CUTOFF, Structure, contact_map, structures_of
from plmbook.probing import contacts, probes
from plmbook.sources import proteinnet
from plmbook.tasks.base import SETTINGS, Examples, Noted, Settings, Task, TaskData, left_out_notes

LENGTHS = {"L": 1, "L/5": 5}  # the best L and L / 5 pairs


@dataclass(frozen=True, kw_only=True)
class PairTask(Task):
    """A label is a `Structure`, an answer scores (L, L), higher = more likely in contact."""

    metric: str = "long-range precision"
    column: str = "structure"

    cheapest = "separation"
    head_kind = "contacts"

    def from_published(self, table: pd.DataFrame, source: str, folder: Path | None) -> Noted:
        """CASP14 as the test; learnt from ProteinNet where a folder has it, else from the bundled structures."""
        training, notes = ([], ()) if folder is None else _proteinnet(folder)
        return structure_table(training or kept_structures(), table.assign(source="CASP14")), notes

    def separation(self, data: TaskData, seed: int) -> list:
        rates = contacts.separation_rates(data.examples.labels_of("train"))
        tested = data.examples.sequences_of("test")
        return [contacts.rates_at(rates, _separations(len(each))) for each in tested]

    def one_hot(self, data: TaskData, seed: int) -> list:
        """Logistic regression on the two amino acids of a pair and on how often pairs so far apart touch."""
        from scipy import sparse
        from sklearn.linear_model import LogisticRegression

        rates = np.log(np.maximum(contacts.separation_rates(data.examples.labels_of("train")), 1e-6))
        features, labels = [], []
        for structure in data.examples.labels_of("train"):
            touching = pair_labels(structure)
            i, j = np.nonzero(np.triu(touching >= 0, k=1))
            y = touching[i, j] == 1
            chosen = contacts.draw_pairs(y, name=structure.id, seed=0)
            features.append(_pair_features(structure.sequence, i[chosen], j[chosen], rates))
            labels.append(y[chosen])
        fitted = LogisticRegression(C=probes.STRENGTH, max_iter=500)
        fitted.fit(sparse.vstack(features), np.concatenate(labels))
        answers = []
        for sequence in data.examples.sequences_of("test"):
            i, j = np.triu_indices(len(sequence), k=1)
            found = np.zeros((len(sequence), len(sequence)))
            found[i, j] = found[j, i] = fitted.decision_function(_pair_features(sequence, i, j, rates))
            answers.append(found)
        return answers

    def linear(self, data: TaskData, seed: int) -> list:
        """A linear map of the products of two embeddings."""
        return self.trained(data, seed, lambda heads, d: heads.Probe("contacts", d, 2), data.settings.pair_fit)

    def attention(self, data: TaskData, seed: int) -> list:
        """A regression of contacts on attention maps, learnt from the training structures."""
        learnt = sorted(data.examples.labels_of("train"), key=lambda each: each.id)[: contacts.N_TRAIN]
        regression = contacts.fit(data.model, learnt, seed=seed)
        attentions = (data.model.attentions(each) for each in data.examples.sequences_of("test"))
        return [contacts.predict(regression, each) for each in attentions]

    def fit_options(self, settings: Settings) -> dict[str, Any]:
        return settings.pair_fit

    def head_label(self, label: Structure) -> np.ndarray:
        return pair_labels(label)

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """The logit of contact less that of none."""
        return (logits[..., 1] - logits[..., 0]).astype(np.float64)

    def tests(self, test: str) -> list[str]:
        return [f"{test}, {text}" for text in LENGTHS]

    def judge(self, answer: np.ndarray, label: Structure, examples: Examples) -> list[tuple[float, float]]:
        """The precision, and 1."""
        return [(long_range_precision(label, answer, part), 1) for part in LENGTHS.values()]

    def published_tests(self, table: pd.DataFrame) -> pd.Series:
        return table["dataset"] + ", " + table["split"].replace({"L/1": "L"})


def long_range_precision(structure: Structure, scores: np.ndarray, part: int = 1) -> float:
    """Share of contacts among the L / part best pairs at least 24 residues apart, L the residues with coordinates; 0 to
    1.
    `scores` (L, L): higher = more likely in contact. Only residues with coordinates count; 0 where no pair does."""
    counted = _resolved(structure)
    i, j = contacts.pairs(counted, *contacts.RANGES["long"])
    if not len(i):
        return 0.0
    distance = np.linalg.norm(structure.cb[i].astype(np.float64) - structure.cb[j], axis=1)
    return contacts.precision_at(scores[i, j], distance < CUTOFF, max(int(counted.sum()) // part, 1))


def pair_labels(structure: Structure) -> np.ndarray:
    """int64 (L, L): 1 contact, 0 none, -1 where a pair does not count (too near, or not resolved)."""
    counted = _resolved(structure)
    labels = contact_map(np.nan_to_num(structure.cb.astype(np.float64))).astype(np.int64)
    labels[~(counted[:, None] & counted[None, :]) | (_separations(len(counted)) < contacts.NEAREST)] = -1
    return labels


def _resolved(structure: Structure) -> np.ndarray:
    """bool (L,): counted, and with coordinates."""
    return structure.counted & np.isfinite(structure.cb).all(axis=1)


def _separations(length: int) -> np.ndarray:
    """|i - j| of all pairs, int64 (L, L)."""
    places = np.arange(length)
    return np.abs(places[:, None] - places[None, :])


def _pair_features(sequence: str, i: np.ndarray, j: np.ndarray, rates: np.ndarray):
    """Sparse (pairs, 402): which two amino acids, in either order, and the rate of their separation."""
    from scipy import sparse

    codes = np.array([AMINO_ACIDS.find(letter) for letter in sequence])  # -1: none of the 20
    low, high = np.minimum(codes[i], codes[j]), np.maximum(codes[i], codes[j])
    column = np.where(low < 0, 400, 20 * low + high)
    of_type = sparse.csr_array((np.ones(len(i)), (np.arange(len(i)), column)), shape=(len(i), 401))
    return sparse.csr_array(sparse.hstack([of_type, contacts.rates_at(rates, np.abs(j - i))[:, None]]))


# --- structures to learn from and to test on -----------------------------------------------------------


def structure_table(training: list[Structure], casp: pd.DataFrame) -> pd.DataFrame:
    """id, split, test, sequence, structure. The tests have C-alpha atoms only, which then stand for the C-beta."""
    sources = dict(zip(casp["id"], casp["source"], strict=True))
    casp = casp.rename(columns={f"ca_{axis}": f"cb_{axis}" for axis in "xyz"}).assign(plddt=np.nan)
    rows = [(each.id, "train", "", each.sequence, each) for each in training]
    rows += [(name, "test", sources[name], each.sequence, each) for name, each in structures_of(casp).items()]
    return pd.DataFrame(rows, columns=["id", "split", "test", "sequence", "structure"])


def kept_structures() -> list[Structure]:
    """Those kept aside from pretraining."""
    return _short(tables.load("kept_structures"))


def _short(table: pd.DataFrame) -> list[Structure]:
    return [each for each in structures_of(table).values() if len(each.sequence) <= SETTINGS.trained_structure]


def _proteinnet(folder: Path) -> tuple[list[Structure], tuple[str, ...]]:
    """ProteinNet's training proteins where a folder holds its text file, such as `training_30`; and notes."""
    files = [path for path in sorted(folder.iterdir()) if re.fullmatch(r"training_\d+(\.gz)?", path.name)]
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise InputError(f"{folder}: {names} hold the same proteins; leave one of them")
    found: list[Structure] = []
    left_out: list[tuple[int, str, str]] = []
    for path in files:  # one, or none
        for table in proteinnet.read_proteinnet(path, left_out=left_out):
            found += _short(table.assign(plddt=np.nan))
    records = pd.DataFrame(left_out, columns=["row", "id", "reason"])
    return found, left_out_notes(records.assign(file="".join(path.name for path in files)))
