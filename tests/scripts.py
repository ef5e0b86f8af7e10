"""The scripts of data/make as modules: they are no part of the package."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from miniature import REPOSITORY

FOLDER = str(REPOSITORY / "data" / "make")


def script(name: str) -> ModuleType:
    """The script `data/make/NAME.py`; `main` is not run."""
    for path in Path(FOLDER).glob("*.py"):  # a script of the benchmarks may have the same name
        if getattr(sys.modules.get(path.stem), "__file__", str(path)) != str(path):
            del sys.modules[path.stem]
    sys.path.insert(0, FOLDER)  # as where it is run: they import each other
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(FOLDER)
