"""Models: a card for each, and adapters that answer for sequences. Importing this module does not import torch."""

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

    The weights come from `path`; else the bundled ones, `PLMBOOK_MIRROR`, the cache, the network.

    Parameters
    ----------
    name : str
        A card's name or alias; `embedded` is the bundled model.
    device, dtype : str
        `auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, ...; `float32`, `bfloat16` or `auto`: bfloat16
        where that is faster and the model not narrow (`plmbook.models.device`).  What comes out is float32.
    path : path, optional
        ESM: the file of the weights, or a folder that holds `NAME.pt`.  T5: the folder of weights and tokenizer.
        UniRep: the `.npz` file.
    prefix : str, optional
        Ankh3: the first token, which tells it its task, `[NLU]` (the default) or `[S2S]`; another one than the card's
        is added to the model's name, such as `ankh3_large_S2S`.
    decoder : bool
        Ankh: the whole T5, which scores hidden residues and writes sequences, instead of the encoder, which embeds.

    Returns
    -------
    Model
        `plmbook.models.esm.EsmModel`, `plmbook.models.t5.T5Model`, `plmbook.models.t5_decoder.Seq2Seq` or
        `plmbook.models.unirep.UniRepModel`.

    Raises
    ------
    InputError
        An unknown argument, no decoder, or weights that are absent, unreadable, another model's or not finite.
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
