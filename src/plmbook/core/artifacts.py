"""Files that this package writes: atomic, with a hash of their content, and the versions behind them."""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import __version__
from plmbook.core import paths
from plmbook.core.errors import InputError


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table that a person asked for, whole or not at all: .parquet, else tab-separated with six decimals."""

    def write(temporary: Path) -> None:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.6f", lineterminator="\n")

    write_atomically(path, write)


def content_hash(table: pd.DataFrame) -> str:
    """sha256 of what a table holds: names, kinds and values of its columns, in order; the index does not count.

    Equal for equal tables whatever the file format, its compression and the library that wrote it.

    Examples
    --------
    >>> t = pd.DataFrame({"gene": ["TOY"], "score": [-1.0]})
    >>> content_hash(t) == content_hash(t.set_index(pd.Index([7]))), content_hash(t) == content_hash(t + t)
    (True, False)
    """
    digest = hashlib.sha256(str(len(table)).encode())
    for name in table.columns:
        column = table[name]
        kind = "text"
        if pd.api.types.is_bool_dtype(column):
            kind, content = "bool", column.to_numpy(dtype=np.uint8).tobytes()
        elif pd.api.types.is_integer_dtype(column):
            kind, content = "integer", column.to_numpy(dtype="<i8").tobytes()
        elif pd.api.types.is_float_dtype(column):
            kind, content = "number", column.to_numpy(dtype="<f8").tobytes()
        else:
            content = json.dumps(column.astype(object).where(column.notna(), None).tolist()).encode()
        digest.update(json.dumps([str(name), kind]).encode() + content)
    return digest.hexdigest()


def save(table: pd.DataFrame, name: str, profile: str = "embedded") -> Path:
    """Write `results/<profile>/NAME.parquet`; a reader sees the old file or the new one, never half of one.

    Parameters
    ----------
    table : DataFrame
        The index is not written.
    name : str
        Without suffix.

    Returns
    -------
    Path
        Of the file.
    """
    path = paths.results(profile) / f"{name}.parquet"
    write_parquet(path, table)
    return path


def read(name: str, profile: str = "embedded") -> pd.DataFrame:
    """Read what `save` wrote.

    Raises
    ------
    InputError
        Where it was not computed yet.
    """
    path = paths.results(profile) / f"{name}.parquet"
    if not path.exists():
        raise InputError(f"{path} does not exist; run `plmbook results --profile {profile}` first")
    return pd.read_parquet(path)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"plmbook": __version__, "python": platform.python_version()}
    numbers = ("numpy", "scipy", "pandas", "pyarrow", "torch", "fair-esm", "scikit-learn", "lightgbm", "umap-learn")
    for package in numbers:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def write_parquet(path: Path, table: pd.DataFrame, **encoding) -> None:
    def write(temporary: Path) -> None:
        table.to_parquet(temporary, index=False, compression="zstd", **encoding)

    write_atomically(path, write)


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then move it into place; nothing is left on failure.

    Parameters
    ----------
    path : path
        The file to be; its folder is made.
    write : callable
        Takes the temporary path, which has the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide the file from others
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
