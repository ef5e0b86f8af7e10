"""What is known about an outside source, and the members of its archives."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from plmbook.core.text import decoded


@dataclass(frozen=True)
class Source:
    """An outside source of data, as a person would cite it."""

    name: str  # what `fetch` takes
    title: str
    url: str  # `{accession}` in it is a UniProt accession: one file a protein
    release: str  # the one that the bundled tables come from
    licence: str
    citation: str  # the paper, with its DOI where it has one
    # of the remote file; None where no whole copy was ever hashed here: then it is recorded at the first download
    sha256: str | None = None
    extracts: tuple[str, ...] = ()  # files that hold a part of it; a mirror may have them instead of the whole
    note: str = ""  # what a person should know before using it
    file: str = ""  # name of the downloaded file, with `{accession}`, where the last part of the URL is none
    item: str = "UniProt accession, such as P04637"  # what `{accession}` is
    reader: str = ""  # for a source that is no file: what reads it

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
