"""Files that this package writes: atomic, with a hash of their content, and the versions behind them."""

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from plmbook import __version__
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.core.text import open_bytes

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = (
    *("plmbook", "python", "numpy", "scipy", "pandas", "pyarrow", "torch", "fair-esm", "transformers"),
    *("scikit-learn", "lightgbm", "umap-learn"),
)
"""What numbers depend on: its versions are recorded with a derived table and with a page."""
_INTEGER = ("integer", "<i8")
_NUMBERS = {"b": ("bool", "u1"), "i": _INTEGER, "u": _INTEGER, "f": ("number", "<f8")}  # by the kind of a dtype


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table that a person asked for, whole or not at all: .parquet, else tab-separated with six decimals."""

    def write(temporary: Path) -> None:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.6f", lineterminator="\n")

    write_atomically(path, write)


def content_hash(table: "pd.DataFrame") -> str:
    """sha256 of names, kinds and values of a table's columns, in order, whatever the index, file format and library."""
    digest = hashlib.sha256(str(len(table)).encode())
    for name, column in table.items():
        kind, dtype = _NUMBERS.get(column.dtype.kind, ("text", ""))
        if dtype:
            content = column.to_numpy(dtype=dtype).tobytes()
        else:
            content = json.dumps(column.astype(object).where(column.notna(), None).tolist()).encode()
        digest.update(json.dumps([str(name), kind]).encode() + content)
    return digest.hexdigest()


def save(table: "pd.DataFrame", name: str, profile: str = "embedded") -> Path:
    """Write `results/<profile>/NAME.parquet`; a reader sees the old file or the new one, never half of one.

    Parameters
    ----------
    table : DataFrame
        The index is not written.
    name, profile : str
        Of the file, without suffix, and of its folder.

    Returns
    -------
    Path
    """
    path = paths.results(profile) / f"{name}.parquet"
    write_parquet(path, table)
    return path


def read(name: str, profile: str = "embedded") -> "pd.DataFrame":
    """Read what `save` wrote.

    Parameters
    ----------
    name, profile : str
        As in `save`; InputError where it was not computed yet.

    Returns
    -------
    DataFrame
    """
    path = paths.results(profile) / f"{name}.parquet"
    if not path.exists():
        raise InputError(f"{path} does not exist; run `make book PROFILE={profile}`, or the notebook that saves it")
    import pandas as pd

    return pd.read_parquet(path)


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The versions of packages, of `plmbook` and of `python`; "absent" where one is not installed."""
    from importlib import metadata

    found = {"plmbook": __version__, "python": platform.python_version()}
    for name in set(packages) - found.keys():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return {name: found.get(name, "absent") for name in packages}


def write_parquet(path: str | Path, table: "pd.DataFrame", **encoding) -> None:
    """Write a table without its index, whole or not at all."""
    options = {"index": False, "compression": "zstd"} | encoding
    write_atomically(path, lambda temporary: table.to_parquet(temporary, **options))


def write_json(path: str | Path, facts: object) -> None:
    """Write JSON that a person can read, whole or not at all."""
    write_text(path, json.dumps(facts, indent=1) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_atomically(
    path: str | Path,
    write: Callable[[Path], object],
    *,
    folder: Path | None = None,
    prefix: str = ".",
    lasting: bool = False,
) -> Path:
    """Let `write` fill a temporary file with the same suffix, then move it into place; nothing is left on failure.
    `folder` (on the same disk) and `prefix` are of the temporary file, for who must know it after a kill; each name is
    used once. `lasting`: it reaches the disk first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder or path.parent, prefix=f"{prefix}{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide the file from others
        if lasting:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def sha256(content: bytes | str) -> str:
    """sha256 (hex) of bytes, of a text in UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def file_sha256(path: str | Path, *, unpacked: bool = False) -> str:
    """sha256 (hex) of a file's bytes, as `sha256sum` prints it; `unpacked`: of what a gzip file holds."""
    with open_bytes(path) if unpacked else open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
