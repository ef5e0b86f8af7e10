"""Models: a card for each, and adapters that turn sequences into hidden states, log-probabilities and attention maps.

`load` gives a model; nothing else in the package knows a tokenizer.  Importing this module does not import torch.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plmbook.errors import InputError
from plmbook.models.cards import CARDS, RUNNABLE, Card, all_cards, card, expand

__all__ = ["CARDS", "Card", "Output", "all_cards", "card", "expand", "load"]


@dataclass
class Output:
    """What a model says about one sequence of L residues.

    Attributes
    ----------
    log_probabilities : float32 array (n_rows, 20) or None
        Natural-log probabilities over the model's whole vocabulary, the columns of `AMINO_ACIDS` (so a row sums to a
        little less than 1).  One row per residue asked for.
    hidden : dict of int -> float32 array (L, d)
        Hidden states by layer, residues only.
    bos : dict of int -> float32 array (d,)
        The hidden state of the token before the first residue, by layer.
    """

    log_probabilities: np.ndarray | None = None
    hidden: dict[int, np.ndarray] = field(default_factory=dict)
    bos: dict[int, np.ndarray] = field(default_factory=dict)


def load(name: str, *, device: str = "auto", dtype: str = "auto", path: str | Path | None = None):
    """Load a model that is ready to run.

    The weights come from `path`; else the bundled ones, `PLMBOOK_MIRROR`, the torch hub cache; else the network.

    Parameters
    ----------
    name : str
        A card's name or alias; `embedded` is the bundled model.
    device : str
        `auto` (a CUDA GPU where there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, ...
    dtype : str
        `float32`, `bfloat16` or `auto` (bfloat16 on CUDA, else float32).  What comes out is float32 in any case.
    path : path, optional
        The file of the weights, or a folder that holds `NAME.pt`.

    Returns
    -------
    plmbook.models.esm.EsmModel

    Raises
    ------
    InputError
        If the name, device or dtype is unknown, the model's family has no adapter in this version, or the weights are
        absent, unreadable, not those of this model, incomplete or not finite.

    Examples
    --------
    >>> load("ankh_large")
    Traceback (most recent call last):
        ...
    plmbook.errors.InputError: model 'ankh_large': encoder family t5 is described but not runnable yet in this \
version; expected a model of the families esm1b, esm1v, esm2
    """
    chosen = card(name)
    if not chosen.runnable:
        raise InputError(
            f"model {chosen.name!r}: encoder family {chosen.family} is described but not runnable yet in this version; "
            f"expected a model of the families {', '.join(RUNNABLE)}"
        )
    from plmbook.models.esm import load_esm

    return load_esm(chosen, device=device, dtype=dtype, path=path)
