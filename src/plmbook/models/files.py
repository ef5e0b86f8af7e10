"""Reading files of weights: what every family of models checks alike."""

import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from plmbook.core.errors import InputError


def read_pickle(path: Path, allowed: Sequence[type] = ()):
    """What a `.pt` or `.bin` file of PyTorch holds; tensors are mapped into memory where the file allows it.

    Parameters
    ----------
    path : Path
    allowed : sequence of type
        Classes that it may hold beyond tensors and plain Python values.

    Returns
    -------
    object
        On the CPU.

    Raises
    ------
    InputError
        If the file holds anything else, or cannot be read.
    """
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it holds {refused[1]}, which is not allowed in a file of weights"
            if refused
            else "it is no file of weights"
        )
        raise InputError(f"{path}: refused, {why}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read as PyTorch weights ({first_line}); truncated?") from None


def check_tensor(path: Path, key: str, value, shape: torch.Size) -> None:
    """Refuse what is no tensor of this shape, or holds a number that is not finite.

    Raises
    ------
    InputError
        It names the file, the key, what was found and what was expected.
    """
    if not isinstance(value, torch.Tensor) or value.shape != shape:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(f"{path}: {key} is {found}, expected {tuple(shape)}")
    if not torch.isfinite(value).all():
        raise InputError(f"{path}: {key} holds numbers that are not finite; the file is damaged")


def some(keys: Sequence[str]) -> str:
    """The first five of many names.

    Examples
    --------
    >>> some(list("abcdefg"))
    'a, b, c, d, e and 2 more'
    """
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
