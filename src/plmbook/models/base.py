"""What all models share, without torch or NumPy: the command line's help is made from the families."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from plmbook.core.errors import InputError
from plmbook.models.files import hash_weights

if TYPE_CHECKING:
    import numpy as np

    from plmbook.models.cards import Card

POOLS: dict[str, "Capability | None"] = {"mean": None, "max": None, "bos": "bos"} | {
    **dict.fromkeys(("final", "cell", "fusion"), "final-state"),
    "residue": None,
}
"""How a protein's residues become one vector ("residue": they do not), and what a model needs for it."""

Capability = Literal[
    "log-probabilities",
    "pseudo-likelihood",
    "likelihood",
    "generation",
    "attentions",
    "contacts",
    "bos",
    "final-state",
    "prefix",
    "any-length",
]
CAPABILITIES: dict[Capability, str] = {
    "log-probabilities": "probabilities of residues",
    "pseudo-likelihood": "probabilities of one hidden residue at a time, by sentinel",
    "likelihood": "likelihood of a whole chain",
    "generation": "residues that it writes",
    "attentions": "attention maps",
    "contacts": "probabilities of contacts",
    "bos": "token before the first residue that stands for the sequence",
    "final-state": "state after the last residue that stands for the sequence",
    "prefix": "choice of a first token that says what to do",
    "any-length": "way to read a protein of any length at once",
}
"""What a model may have beyond embeddings, which all have; in words that follow `no`."""

SCORES: dict[str, tuple[Capability, ...]] = {
    "wildtype-marginals": ("log-probabilities",),
    "masked-marginals": ("log-probabilities",),
    "mutant-marginals": ("log-probabilities",),
    "pseudo-likelihood": ("log-probabilities", "pseudo-likelihood"),
    "comasked": ("log-probabilities",),
    "likelihood": ("likelihood",),
    "next-residue": ("likelihood",),
}
"""Strategies of `plmbook.variants.effects` and what defines them, any of it; a model's first one is its default."""


@dataclass(frozen=True)
class Family:
    """Models that one adapter runs: what is true of all of them, whatever their size."""

    name: str  # as in `Card.family` and in the tables
    title: str  # as people write it
    loader: str  # "module:function", imported when a model is loaded: card, device, dtype, path -> `Model`
    library: str  # the package whose version, next to torch's, decides the numbers
    capabilities: frozenset[Capability]  # a card may lack some
    before: int  # special tokens before the residues, a prefix not counted
    after: int
    decoder: str = ""  # as `loader`, for the model with its decoder; empty: it has none
    standard_layers: bool = True  # 12 d^2 weights each, 4 in attention, 8 in the feed-forward, as FLOP are counted
    training_data: str = ""  # of the published models where all share it; else on the cards, as the next two
    licence: str = ""
    citation: str = ""


@dataclass
class Output:
    """What a model says about one sequence of L residues."""

    # float32 (n_rows, 20), a row for each residue asked for: natural log over the model's whole vocabulary, in the
    # columns of `AMINO_ACIDS` (probabilities sum to a little less than 1); None where none were asked for
    log_probabilities: "np.ndarray | None" = None
    hidden: "dict[int, np.ndarray]" = field(default_factory=dict)  # by layer, float32 (L, d), residues only
    pooled: "dict[int, np.ndarray]" = field(default_factory=dict)  # float32 (d,) by layer; then `hidden` is empty


class Model:
    """A loaded model of any family.  What only some can do is refused by the others; ask `can` first.

    Attributes
    ----------
    name, card : str, Card
    max_length : int or None
        The longest protein in residues; None where only memory sets a limit.
    path : Path
        The file of the weights, or the folder of its files.
    device, dtype : str
    capabilities : frozenset of str
        Keys of `CAPABILITIES`.
    """

    def __init__(self, card: "Card", *, path: str | Path, device: str = "cpu", dtype: str = "float32"):
        self.card = card
        self.name = card.name
        self.max_length = card.max_length
        self.path = Path(path)
        self.device = device
        self.dtype = dtype
        self.capabilities = card.capabilities

    def can(self, what: Capability) -> bool:
        """Whether the model has one of `CAPABILITIES`, as its files on this machine allow."""
        return what in self.capabilities

    @property
    def strategies(self) -> list[str]:
        """The strategies that score its variants, its default first; none where it gives embeddings alone."""
        return strategies(self.capabilities)

    @cached_property
    def weights_hash(self) -> str:
        """sha256 (hex) of the weights' file, as `sha256sum` prints it; of shards, of the lines that it prints."""
        return hash_weights(self.path)

    def tokenize(self, sequence: str) -> "np.ndarray":
        """Token ids, int64 (before + L + after,), of residues in upper case; `_` is a masked one where the model has a
        token for it. A letter without a token is read as X; anything else, or nothing, is an InputError.
        """
        raise NotImplementedError

    def run(
        self,
        sequences: Sequence[str],
        *,
        layers: Sequence[int] = (),
        rows: "Sequence[np.ndarray] | None" = None,
        logits: bool = True,
        pool: str | Sequence[str] | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Output]:
        """One forward pass over a batch, without padding: a sequence's answer does not depend on its neighbours.

        Parameters
        ----------
        sequences : sequence of str
            At most `max_length` residues each, and at least one.
        layers : sequence of int
            Hidden states wanted: 0 is the input embedding, `card.layers` (or -1) the last, after its layer norm.
        rows, logits : sequence of int arrays, bool
            For each sequence the 0-based residues whose log-probabilities are wanted (default: all); whether any are.
        pool : str or sequence of str, optional
            Keys of `POOLS` but "residue": one vector of each layer and sequence, pooled in float32 where the model
            runs, instead of all residues; those of several pools stand one after another in it.
        spans : sequence of (int, int), optional
            Start and stop (0-based, stop excluded) of the residues of each sequence that are pooled.  Default: all.

        Returns
        -------
        list of Output
            `hidden` (or `pooled`) has the keys of `layers`.  InputError: the model lacks what is asked for.
        """
        raise NotImplementedError

    def log_likelihoods(self, sequences: Sequence[str]) -> "np.ndarray":
        """Natural-log likelihood of whole chains, stop token included, float64 (n,), by a model that reads a residue at
        a time. Chains that begin alike cost less together.
        """
        raise self.lacks("likelihood")

    def attentions(self, sequence: str) -> "np.ndarray":
        """How much residue i attends to j, float32 (layers, heads, L, L), without special tokens: rows sum to < 1."""
        raise self.lacks("attentions")

    def contacts(self, sequence: str) -> "np.ndarray":
        """Probability of contact of residues, float32 (L, L); InputError without regression weights on this machine."""
        raise self.lacks("contacts")

    def checked_pools(self, pool: str | Sequence[str] | None) -> list[str]:
        """The pools that `run` is asked for, all of which the model has."""
        pools = [pool] if isinstance(pool, str) else list(pool or ())
        for each in pools:
            self.card.check_pool(each)
        return pools

    def lacks(self, what: Capability) -> InputError:
        """The error for a person who asks for what this model does not have."""
        return InputError(f"model {self.name!r}: has no {CAPABILITIES[what]}")


def strategies(capabilities: Collection[Capability]) -> list[str]:
    """The keys of `SCORES` that these capabilities define."""
    return [name for name, needed in SCORES.items() if not set(needed).isdisjoint(capabilities)]


def pooled(states: "np.ndarray", pool: str) -> "np.ndarray":
    """Pool hidden states (L, d), residues only, by "mean" or "max": float32 (d,); "residue" gives (L, d) back.

    >>> import numpy as np
    >>> pooled(np.zeros((0, 2)), "mean")
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: no residue to pool
    """
    if not len(states):
        raise InputError("no residue to pool")
    if pool == "mean":
        return states.mean(axis=0, dtype="float64").astype("float32")
    return (states.max(axis=0) if pool == "max" else states).astype("float32")
