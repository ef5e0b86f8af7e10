"""Text files as people have them: plain or gzip, UTF-8 with or without a byte-order mark, UTF-16 with one.

The content says which, never the name. Everything that reads text goes through `open_text`.
"""

import contextlib
import csv
import gzip
import io
import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from plmbook.core.errors import InputError, did_you_mean, shown

if TYPE_CHECKING:
    import pandas as pd


@contextlib.contextmanager
def open_text(source: str | Path | TextIO) -> Iterator[TextIO]:
    """Open a path as text, without byte-order mark and with `\\n` line ends; a text handle passes through, left open.
    While it is open, a byte that cannot be decoded, or a damaged archive, is an InputError that names line or file.
    """
    if not isinstance(source, str | Path):
        yield source
        return
    path = Path(source)
    refuse_unless_file(path)
    try:
        with open_bytes(path) as file:
            yield decoded(file, path)
    except UnicodeDecodeError as error:
        place = f"line {_undecodable_line(path, error.encoding)}"
        found = f"byte 0x{error.object[error.start]:02x}"
        raise InputError(f"{path}: {place}: expected UTF-8 text, found {found}; is it a text file?") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


@contextlib.contextmanager
def open_bytes(path: str | Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    """Open a file for reading bytes, through gzip (bgzip, too) where its first two bytes say so."""
    with Path(path).open("rb") as file:
        yield gzip.open(file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def decoded(file: Any, where: object) -> TextIO:
    """A binary handle that can peek as text, in the encoding that its first bytes say; binary content is refused."""
    start = file.peek(1024)[:1024]
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Excel's "Unicode text" is UTF-16
    if start.startswith(b"PK\x03\x04") or (encoding == "utf-8-sig" and b"\x00" in start):
        raise _binary(where)
    return io.TextIOWrapper(file, encoding=encoding)


def lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a text file, with their `\\n`; a missing, a blank or a binary file is refused."""
    blank = True
    try:
        with open_text(path) as handle:
            for line in handle:
                if "\x00" in line:
                    raise _binary(path)
                blank = blank and not line.strip()
                yield line
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if blank:
        raise InputError(f"{path}: the file is empty")


def fasta_records(lines: Iterable[str], where: object = "FASTA") -> Iterator[tuple[str, int, list[tuple[int, str]]]]:
    """Yield each record: header without `>`, its line, and (line, text without white space) of the sequence."""
    header, start = "", 0
    parts: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith(">"):
            if start:
                yield header, start, parts
            header, start, parts = line[1:].strip(), number, []
        elif words := line.split():
            if not start:
                found = shown(line.removesuffix("\n"))
                raise InputError(f"{where}: line {number}: expected a FASTA header that starts with '>', found {found}")
            parts.append((number, "".join(words)))
    if start:
        yield header, start, parts


def read_records(source: str | Path | TextIO) -> Iterator[tuple[str, str]]:
    """Yield (header without `>`, sequence) of a FASTA text, letters as they are: outside sources hold gaps and stops.
    `plmbook.tables.read_fasta` is the strict reader for users' files.
    >>> list(read_records(io.StringIO(">a b\\nMK-\\n\\nZ\\n>c\\nM")))
    [('a b', 'MK-Z'), ('c', 'M')]
    """
    with open_text(source) as handle:
        for header, _, parts in fasta_records(handle, getattr(handle, "name", "FASTA")):
            yield header, "".join([part for _, part in parts])


def read_csv(
    source: str | Path | TextIO, separator: str = "\t", *, quoted: bool = False, **options: Any
) -> "pd.DataFrame":
    """`pandas.read_csv` of any text file; a quotation mark is a letter like others unless the format is `quoted`."""
    import pandas as pd

    with open_text(source) as handle:
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        return pd.read_csv(handle, sep=separator, quoting=quoting, **options)


def unquoted(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table read without quoting, a pair of quotation marks around a whole name or cell taken off (R writes them)."""
    import pandas as pd

    pair = re.compile(r'^"(.*)"$')
    table = table.rename(columns=lambda name: pair.sub(r"\1", str(name)))
    texts = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    return table.assign(**{name: table[name].str.replace(pair, r"\1", regex=True) for name in texts})


def refuse_unless_file(path: Path) -> None:
    """Refuse a folder and a path that does not exist, naming the near one."""
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder")
    if not path.exists():
        hint = ""
        if path.parent.is_dir():
            hint = did_you_mean(path.name, (other.name for other in path.parent.iterdir()))
        raise InputError(f"{path}: no such file{hint}")


def _binary(where: object) -> InputError:
    return InputError(f"{where}: expected a text file, found a binary one (a spreadsheet or an archive?)")


def _undecodable_line(path: Path, encoding: str) -> int:
    """The number of the first line that cannot be decoded: the decoder that failed does not know it."""
    decoder, number = getincrementaldecoder(encoding)(), 0
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError:
                return number
    return number  # the file ends within a character
