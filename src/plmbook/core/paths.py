"""Where things lie: the repository, its bundled data, the results and the book. Nothing here makes a folder."""

import os
import re
from pathlib import Path

from plmbook.core.errors import InputError


def root() -> Path:
    """The folder of the repository, found from where this module lies (the package is installed editable)."""
    package = Path(__file__).resolve().parents[1]
    folder = package.parents[1]
    if folder / "src" / "plmbook" != package:
        raise InputError(
            "the repository is not beside the package: expected an editable install of a clone (pip install -e .), "
            f"found {package}; "
            "for the bundled tables alone, set PLMBOOK_DATA to a copy of the folder data"
        )
    return folder


def data() -> Path:
    """The folder of the bundled tables: `PLMBOOK_DATA` where it is set, else `data` of the repository."""
    named = os.environ.get("PLMBOOK_DATA")
    if not named:
        return root() / "data"
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"PLMBOOK_DATA: expected a folder that holds the bundled tables, found {named!r}, which is no folder"
        )
    return folder


def derived() -> Path:
    """The folder of the committed derived tables, one folder a model."""
    return data() / "derived"


def results(profile: str) -> Path:
    """The folder of the result tables of a profile; its name has letters, digits, '-' and '_' only."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", profile):
        raise InputError(f"profile {profile!r}: expected letters, digits, '-' and '_' only")
    return root() / "results" / profile


def cache() -> Path:
    """The folder for downloads: `PLMBOOK_CACHE` where it is set, else the user's cache folder of the system."""
    named = os.environ.get("PLMBOOK_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("plmbook"))
