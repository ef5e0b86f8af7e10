"""A model without weights: what it answers is a function of the sequence that the test chooses."""

from dataclasses import dataclass, field

import numpy as np

from plmbook.core.residues import AMINO_ACIDS
from plmbook.models import Output
from plmbook.models.base import CAPABILITIES, strategies

TOKENS = {letter: number for number, letter in enumerate(AMINO_ACIDS + "X_", start=1)}  # 0 = BOS, 99 = EOS


def uniform(sequence):
    """Log-probabilities of a model that knows nothing: (L, 20), every entry -ln 20."""
    return np.full((len(sequence), 20), -np.log(20.0))


def seeded(sequence):
    """Log-probabilities (L, 20) that depend on the whole sequence, the same in every process.

    The context matters: changing (or masking) one residue changes every row.
    """
    numbers = np.array([TOKENS[letter] for letter in sequence], dtype=np.uint64)
    key = int((numbers * (np.arange(len(sequence), dtype=np.uint64) * np.uint64(7919) + np.uint64(104729))).sum())
    logits = np.random.default_rng(key).normal(size=(len(sequence), 20))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@dataclass
class FakeModel:
    """Answers like a `plmbook.models` model and counts what it was asked; its attention is noise.

    Parameters
    ----------
    function : callable
        From a sequence (residues, `_` where one is masked) to float (L, 20), the natural-log probabilities of
        `AMINO_ACIDS` at each residue.  Taken as it is: not normalised.
    hidden : callable, optional
        From a sequence to float (L, d), returned for every layer asked.  Default: the token number, twice.

    Attributes
    ----------
    batches : list of list of str
        The sequences of every call of `run`, in order.
    attended : list of str
        The sequences of every call of `attentions`, in order.
    """

    function: object = uniform
    hidden: object = None
    name: str = "fake"
    max_length: int = 1022
    weights_hash: str = "0" * 64
    device: str = "cpu"
    dtype: str = "float32"
    card: object = None
    batches: list = field(default_factory=list)
    attended: list = field(default_factory=list)

    def can(self, what):
        """What a model of the ESM families can."""
        return what in ("log-probabilities", "attentions", "bos")

    @property
    def strategies(self):
        return strategies([what for what in CAPABILITIES if self.can(what)])

    @property
    def n_forwards(self):
        """Calls of `run` (batches)."""
        return len(self.batches)

    @property
    def n_sequences(self):
        """Sequences seen in all calls together."""
        return sum(len(batch) for batch in self.batches)

    def tokenize(self, sequence):
        """int64 (L + 2,): BOS 0, residues 1..20 in the order of AMINO_ACIDS, X 21, mask 22, EOS 99."""
        return np.array([0, *(TOKENS[letter] for letter in sequence), 99], dtype=np.int64)

    def run(self, sequences, *, layers=(), rows=None, logits=True, pool=None, spans=None):
        """As a model's `run`; what is longer than `max_length` is an AssertionError, so a test sees it."""
        assert all(len(sequence) <= self.max_length for sequence in sequences)
        self.batches.append(list(sequences))
        outputs = []
        for number, sequence in enumerate(sequences):
            table = np.asarray(self.function(sequence), dtype=np.float32) if logits else None
            if table is not None and rows is not None:
                table = table[np.asarray(rows[number], dtype=int)]
            hidden = {n: self._hidden(sequence) for n in layers}
            if pool is not None:
                start, stop = spans[number] if spans else (0, len(sequence))
                vectors = {
                    "mean": lambda states: states.mean(0),
                    "max": lambda states: states.max(0),
                    "bos": lambda states: np.zeros(states.shape[1], dtype=np.float32),
                }
                asked = [pool] if isinstance(pool, str) else pool
                pooled = {
                    n: np.concatenate([vectors[each](states[start:stop]) for each in asked])
                    for n, states in hidden.items()
                }
                outputs.append(Output(table, pooled=pooled))
                continue
            outputs.append(Output(log_probabilities=table, hidden=hidden))
        return outputs

    def attentions(self, sequence):
        """float32 (2, 2, L, L), the same for the same sequence in every process."""
        self.attended.append(sequence)
        rng = np.random.default_rng(self.tokenize(sequence))
        return rng.random((2, 2, len(sequence), len(sequence)), dtype=np.float32)

    def _hidden(self, sequence):
        if self.hidden is not None:
            return np.asarray(self.hidden(sequence), dtype=np.float32)
        return np.repeat(self.tokenize(sequence)[1:-1, None], 2, axis=1).astype(np.float32)
