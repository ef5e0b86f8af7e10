"""Models: a card for each, and adapters that turn sequences into hidden states, log-probabilities and attention maps.

`load` gives a model; nothing else in the package knows a tokenizer.  Importing this module does not import torch.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plmbook.core.errors import InputError
from plmbook.models.cards import CARDS, RUNNABLE, Card, all_cards, card, expand

__all__ = ["CARDS", "Card", "Output", "all_cards", "card", "expand", "load"]


@dataclass
class Output:
    """What a model says about one sequence of L residues.

    Attributes
    ----------
    log_probabilities : float32 array (n_rows, 20) or None
        Natural-log probabilities over the model's whole vocabulary, the columns of `AMINO_ACIDS` (so a row sums to a
        little less than 1).  One row per residue asked for.  None for T5: its encoders give hidden states only.
    hidden : dict of int -> float32 array (L, d)
        Hidden states by layer, residues only.
    pooled : dict of int -> float32 array (d,)
        Where pooling was asked for: one vector by layer, and `hidden` is empty.
    """

    log_probabilities: np.ndarray | None = None
    hidden: dict[int, np.ndarray] = field(default_factory=dict)
    pooled: dict[int, np.ndarray] = field(default_factory=dict)


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    path: str | Path | None = None,
    prefix: str | None = None,
):
    """Load a model that is ready to run.

    The weights come from `path`; else the bundled ones, `PLMBOOK_MIRROR`, the cache (of torch hub, for T5 of the
    Hugging Face hub); else the network.

    Parameters
    ----------
    name : str
        A card's name or alias; `embedded` is the bundled model.
    device : str
        `auto` (a CUDA GPU where there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, ...
    dtype : str
        `float32`, `bfloat16` or `auto`: bfloat16 on CUDA and on a CPU that is faster in it, else float32, and float32
        for narrow models such as the bundled ones (see `plmbook.models.device`).  What comes out is float32.
    path : path, optional
        ESM: the file of the weights, or a folder that holds `NAME.pt`.  T5: the folder of `config.json`, the weights
        and the tokenizer.
    prefix : str, optional
        Ankh3: the first token, which tells it its task, `[NLU]` or `[S2S]`.  Default: the card's, `[NLU]`; with
        another one the name of the model ends in it, such as `ankh3_large_S2S`.

    Returns
    -------
    plmbook.models.esm.EsmModel or plmbook.models.t5.T5Model

    Raises
    ------
    InputError
        If the name, device, dtype or prefix is unknown, the model's family has no adapter in this version, or the
        weights are absent, unreadable, not those of this model, incomplete or not finite.

    Examples
    --------
    >>> load("ankh_large", path="nowhere")
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: model 'ankh_large': no folder 'nowhere'
    """
    chosen = card(name)
    if not chosen.runnable:
        raise InputError(
            f"model {chosen.name!r}: its family {chosen.family!r} cannot be run in this version; "
            f"expected one of {', '.join(RUNNABLE)}"
        )
    if chosen.family == "t5":
        from plmbook.models.t5 import load_t5

        return load_t5(chosen, device=device, dtype=dtype, path=path, prefix=prefix)
    if prefix is not None:
        raise InputError(f"model {chosen.name!r}: prefix {prefix!r}, but it knows none; only Ankh3 does")
    from plmbook.models.esm import load_esm

    return load_esm(chosen, device=device, dtype=dtype, path=path)
