"""The scripts of data/make as modules: they are no part of the package."""

import importlib
import sys
from types import ModuleType

from miniature import REPOSITORY

FOLDER = str(REPOSITORY / "data" / "make")


def script(name: str) -> ModuleType:
    """The script `data/make/NAME.py`; `main` is not run."""
    sys.path.insert(0, FOLDER)  # as where it is run: they import each other
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(FOLDER)
