"""What protein language models know about proteins, in one book: the shared module behind its chapters.

The names below are what most people need, each imported when first asked for; the rest is imported
from its room, as in `from plmbook.variants import effects`.

>>> import plmbook
>>> plmbook.parse_mutations("R175H")[0].position
175
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plmbook.core.errors import InputError
    from plmbook.core.residues import Mutation, parse_mutations
    from plmbook.engine.encode import embed
    from plmbook.function.classifier import Classifier as GoClassifier
    from plmbook.models import load as load_model
    from plmbook.tables import load as load_table
    from plmbook.variants.effects import score_table as score

__version__ = "0.1.0"
__all__ = ["GoClassifier", "InputError", "Mutation", "embed", "load_model", "load_table", "parse_mutations", "score"]

ROOMS = (
    "core", "stats", "models", "tables", "sources", "engine", "probing", "variants", "tasks", "function", "book",
)  # fmt: skip
"""The rooms of the package; each imports only from those before it (`make lint` checks)."""

_HOME = {
    "GoClassifier": ("function.classifier", "Classifier"),
    "InputError": ("core.errors", "InputError"),
    "Mutation": ("core.residues", "Mutation"),
    "embed": ("engine.encode", "embed"),
    "load_model": ("models", "load"),
    "load_table": ("tables", "load"),
    "parse_mutations": ("core.residues", "parse_mutations"),
    "score": ("variants.effects", "score_table"),
}


def __getattr__(name: str):
    if name in ROOMS:
        return import_module(f"plmbook.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'plmbook' has no attribute {name!r}")
    module, original = _HOME[name]
    return getattr(import_module(f"plmbook.{module}"), original)


def __dir__() -> list[str]:
    return sorted([*globals(), *ROOMS, *_HOME])
