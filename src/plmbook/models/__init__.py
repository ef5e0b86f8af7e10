"""Models: a card for each, and adapters that turn sequences into hidden states, log-probabilities and attention maps.

`load` gives a model; nothing else in the package knows a tokenizer.  Importing this module does not import torch.
"""

from importlib import import_module
from pathlib import Path

from plmbook.core.errors import InputError
from plmbook.models.base import Family, Model, Output
from plmbook.models.cards import CARDS, FAMILIES, Card, all_cards, card, expand

__all__ = ["CARDS", "FAMILIES", "Card", "Family", "Model", "Output", "all_cards", "card", "expand", "load"]


def load(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    path: str | Path | None = None,
    prefix: str | None = None,
    decoder: bool = False,
) -> Model:
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
    decoder : bool
        Ankh: the whole T5, which scores hidden residues and writes sequences, instead of the encoder, which embeds.

    Returns
    -------
    Model
        `plmbook.models.esm.EsmModel`, `plmbook.models.t5.T5Model` or `plmbook.models.t5_decoder.Seq2Seq`.

    Raises
    ------
    InputError
        If an argument is unknown, the model has no decoder, or the weights are absent, unreadable, not those of this
        model, incomplete or not finite.
    """
    chosen = card(name)
    if chosen.family not in FAMILIES:
        raise InputError(
            f"model {chosen.name!r}: its family {chosen.family!r} cannot be run in this version; "
            f"expected one of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[chosen.family]
    if decoder and not family.decoder:
        raise InputError(f"model {chosen.name!r}: family {family.name!r} has no decoder; expected a model of Ankh")
    if decoder and not chosen.can("generation"):
        raise InputError(
            f"model {chosen.name!r}: {chosen.source} holds an encoder and no decoder; expected a model of Ankh"
        )
    module, function = (family.decoder if decoder else family.loader).split(":")
    loader = getattr(import_module(module), function)
    return loader(chosen.with_prefix(prefix), device=device, dtype=dtype, path=path)
