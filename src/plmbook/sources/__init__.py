"""The outside sources of data and the tables bundled from them: what they are, where they are, whether they are intact.

`sources.yml` has what is known about each; one module a source holds the parser from its own format to our table.
Downloads go through pooch into the cache folder; `PLMBOOK_MIRROR` names a folder that is used instead of the network.
"""

import os
from pathlib import Path

import pandas as pd
import yaml

from plmbook.core import paths
from plmbook.core.artifacts import file_sha256
from plmbook.core.errors import InputError, did_you_mean
from plmbook.sources import ankh_tasks
from plmbook.sources.record import Source

__all__ = ["SOURCES", "Source", "bundled", "fetch", "listing", "verify"]

_FACTS = yaml.safe_load(Path(__file__).with_name("sources.yml").read_text(encoding="utf-8"))
SOURCES: dict[str, Source] = {
    name: Source(name, **facts | {"extracts": tuple(facts.get("extracts", ()))}) for name, facts in _FACTS.items()
} | {source.name: source for source in ankh_tasks.SOURCES}
REGISTRY = "registry.txt"  # in data/: `file sha256` a line, the format of pooch


def bundled() -> dict[str, str]:
    """The bundled files and their sha256, as `data/registry.txt` records them: path inside `data/` -> hash."""
    path = paths.data() / REGISTRY
    if not path.is_file():
        raise InputError(
            f"{path}: expected the hashes of the bundled tables, found no such file; python data/make/registry.py"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    return {
        file: sha256 for file, sha256 in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    }


def verify() -> pd.DataFrame:
    """Compare each bundled file with its recorded hash: `file`, `expected`, `found` ("" where the file is missing),
    `state` ("bundled", "changed" or "missing").
    """
    rows = []
    for file, expected in bundled().items():
        path = paths.data() / file
        found = file_sha256(path) if path.exists() else ""
        rows.append((file, expected, found, "bundled" if found == expected else "changed" if found else "missing"))
    return pd.DataFrame(rows, columns=["file", "expected", "found", "state"])


def listing() -> pd.DataFrame:
    """Everything there is to know about: bundled tables, then outside sources.

    Returns
    -------
    DataFrame
        `name`, `state` ("bundled", "changed", "cached", "in the mirror" or "missing"), `release`, `licence`, `sha256`
        ("" where not known), `url` ("" for a bundled table).
    """
    rows = [(row.file, row.state, "", "see data/README.md", row.expected, "") for row in verify().itertuples()]
    for source in SOURCES.values():
        rows.append((source.name, _state(source), source.release, source.licence, source.sha256 or "", source.url))
    return pd.DataFrame(rows, columns=["name", "state", "release", "licence", "sha256", "url"])


def fetch(name: str, accession: str | None = None) -> Path:
    """Download a source, or find it in the mirror, and return the path of its file.

    Parameters
    ----------
    name : str
        A name of `SOURCES`.
    accession : str, optional
        UniProt accession, or what the source's `item` says, where a source has one file a protein or species.

    Returns
    -------
    Path
        In the mirror (`PLMBOOK_MIRROR`: the whole file or an extract of it, in the folder or up to two below, perhaps
        gzipped), or in the cache folder.

    Raises
    ------
    InputError
        Where the mirror lacks the file, or its sha256 is not the published one or that of the first download.

    Examples
    --------
    >>> fetch("clinvr")
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: unknown source 'clinvr'; expected one of uniprot, ...; did you mean 'clinvar'?
    """
    if name not in SOURCES:
        raise InputError(f"unknown source {name!r}; expected one of {', '.join(SOURCES)}{did_you_mean(name, SOURCES)}")
    source = SOURCES[name]
    if source.reader:
        raise InputError(f"source {name!r} is no file: {source.reader}")
    mirror = os.environ.get("PLMBOOK_MIRROR")
    if source.per_protein and accession is None and not mirror:
        raise InputError(f"source {name!r} has more than one file: expected a {source.item}")
    if accession is not None and not source.per_protein:
        raise InputError(f"source {name!r} is one file: expected no accession, found {accession!r}")
    if mirror:
        return _from_mirror(source, Path(mirror).expanduser(), accession)
    return _download(source, accession)


def _from_mirror(source: Source, mirror: Path, accession: str | None) -> Path:
    names = [source.file_name(accession)] if accession or not source.per_protein else []
    names += [f"{name}.gz" for name in names] + list(source.extracts)
    for name in names:
        for path in (mirror / name, *sorted(mirror.glob(f"*/{name}")), *sorted(mirror.glob(f"*/*/{name}"))):
            if path.is_file():
                _check_hash(path, source)
                return path
    raise InputError(
        f"PLMBOOK_MIRROR {mirror}: expected {' or '.join(names)} there or up to two folders below, found none"
    )


def _check_hash(path: Path, source: Source) -> None:
    """Compare a file of the mirror, or what it unpacks to, with the known hash of the source, if there is one."""
    if source.sha256 is None:
        return
    found = file_sha256(path, unpacked=not source.url.endswith(".gz"))
    if found != source.sha256:
        raise InputError(
            f"{path}: expected sha256 {source.sha256} ({source.name}), found {found}; another version, or cut short?"
        )


def _download(source: Source, accession: str | None) -> Path:
    import pooch

    folder = paths.cache() / source.name
    file = source.file_name(accession)
    record = folder / f"{file}.sha256"
    known = source.sha256 or (record.read_text(encoding="utf-8").strip() if record.exists() else None)
    try:
        path = pooch.retrieve(
            source.url.format(accession=accession), known_hash=known and f"sha256:{known}", fname=file, path=folder
        )
    except ValueError as error:  # pooch names both hashes
        raise InputError(f"{source.name}: {error}") from None
    except OSError as error:
        raise InputError(f"{source.name}: cannot download {source.url.format(accession=accession)}: {error}") from None
    if known is None:
        record.write_text(file_sha256(path) + "\n", encoding="utf-8")
    return Path(path)


def _state(source: Source) -> str:
    folder = paths.cache() / source.name
    if folder.is_dir() and any(path.suffix != ".sha256" for path in folder.iterdir()):
        return "cached"
    mirror = os.environ.get("PLMBOOK_MIRROR")
    if mirror:
        try:
            _from_mirror(source, Path(mirror).expanduser(), None)
        except InputError:
            return "missing"
        return "in the mirror"
    return "missing"
