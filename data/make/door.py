"""What the scripts of this folder share: where the raw files are, where the tables go, rows of raw files."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from plmbook.core import paths
from plmbook.core.text import read_csv

MIRROR = "PLMBOOK_MIRROR"


def parser(text: str) -> argparse.ArgumentParser:
    """The options `--from` and `--out`; a script adds its own.

    Parameters
    ----------
    text : str
        The script's docstring; its first line is shown.
    """
    made = argparse.ArgumentParser(description=text.splitlines()[0])
    made.add_argument("--from", dest="source", type=Path, help=f"folder of the raw files (default: {MIRROR})")
    made.add_argument("--out", type=Path, help="folder of the tables (default: where the book reads them)")
    return made


def parse(
    options: argparse.ArgumentParser,
    *,
    holding: str | None = None,
    out: Path | None = None,
    arguments: Sequence[str] | None = None,
) -> argparse.Namespace:
    """Read the command line and find the folders; a message and exit 2 where the raw files are not there.

    Parameters
    ----------
    options : ArgumentParser
        Of `parser`.
    holding : str, optional
        A folder or a file by which the raw files are known: `source` is what holds it, the given folder or one below.
        "" needs a folder, whatever it holds.  Without it none is needed: `plmbook.sources.fetch` finds its files, or
        downloads them.
    out : path, optional
        The default of `--out`; else the folder of the bundled tables.
    arguments : sequence of str, optional
        Else those of the command.

    Returns
    -------
    Namespace
        source (Path, or None where none is needed and none given), out (Path; not made), and the script's own.
        Where `--from` was given, `PLMBOOK_MIRROR` is that from here on, as `fetch` reads it.
    """
    args = options.parse_args(arguments)
    if args.source is None and os.environ.get(MIRROR):
        args.source = Path(os.environ[MIRROR])
    if args.source is None and holding is not None:
        options.error(f"name the folder of the raw files with --from DIR or {MIRROR}")
    if args.source is not None:
        if not args.source.is_dir():
            options.error(f"{args.source}: expected a folder of raw files, found none")
        os.environ[MIRROR] = str(args.source)
        if holding:
            found = [args.source / holding, *sorted(args.source.rglob(holding))]
            args.source = next((path.parent for path in found if path.exists()), None)
            if args.source is None:
                options.error(f"{os.environ[MIRROR]}: expected {holding} in it or below, found none")
    args.out = args.out or out or paths.data()
    return args


def read_rows(path: Path, separator: str = ",") -> list[dict[str, str]]:
    """The rows of a table with a header, each cell as text; commas within a cell are quoted in these files."""
    return read_csv(path, separator, quoted=separator == ",", dtype=str, na_filter=False).to_dict("records")
