"""What is known about an outside source, and the members of its archives."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from plmbook.core.text import decoded


@dataclass(frozen=True)
class Source:
    """An outside source of data, as a person would cite it.

    Attributes
    ----------
    name : str
        The name that `fetch` takes.
    title : str
        What it is, in a few words.
    url : str
        Where it is downloaded. `{accession}` in it is a UniProt accession: one file a protein.
    release : str
        The release that the bundled tables come from.
    licence : str
    citation : str
        The paper, with its DOI where it has one.
    sha256 : str or None
        Of the remote file. None where no copy of the whole remote file was ever hashed here; the hash is then
        recorded beside the file at the first download, and later downloads are checked against that record.
    extracts : tuple of str
        Names of files in the source's own format that hold a part of it; accepted in a mirror instead of the whole.
    note : str
        What a person should know before using it.
    file : str
        Name of the downloaded file, with `{accession}`, where the last part of the URL is none.
    item : str
        What `{accession}` is, with an example.
    reader : str
        For a source that is no file: what reads it.
    """

    name: str
    title: str
    url: str
    release: str
    licence: str
    citation: str
    sha256: str | None = None
    extracts: tuple[str, ...] = ()
    note: str = ""
    file: str = ""
    item: str = "UniProt accession, such as P04637"
    reader: str = ""

    @property
    def per_protein(self) -> bool:
        """Whether the source has one file a protein (or a proteome, by `item`)."""
        return "{accession}" in self.url

    def file_name(self, accession: str | None = None) -> str:
        """The name of the downloaded file: `file`, else the last part of the URL."""
        return (self.file or self.url).format(accession=accession).rsplit("/", 1)[-1]


def tar_members(path: str | Path) -> Iterator[tuple[str, TextIO]]:
    """Yield (stem of the name, text handle) of each file of a tar archive, sorted by name."""
    with tarfile.open(path) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            if member.isfile():
                yield Path(member.name).stem, decoded(tar.extractfile(member), f"{path}: {member.name}")
