"""The runner: profile -> jupytext -> papermill -> gate -> the executed page -> Jupyter Book -> checks -> the site.

A notebook is a `py:percent` file in `analysis/`, executed from the root with the parameters of a profile into a
temporary file; only an output that passes the gate replaces the page of the last good run. Tests have their `root`.
"""

import json
import logging
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from plmbook.core import artifacts
from plmbook.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import nbformat
    import pandas as pd
from plmbook.book.profiles import declared_by, notebooks, parameters_of, root_of

STAMPED = (*artifacts.PACKAGES, "jupyter-book", "papermill")  # whose versions are on each executed notebook


class RunError(Exception):
    """A notebook or the book did not come out whole. The message is for a reader; nothing was published."""


def page_of(path: Path, *, root: Path | None = None) -> Path:
    """Where the executed notebook of a source lies."""
    return root_of(root) / "book" / "notebooks" / f"{path.stem}.ipynb"


def run_notebook(path: Path | str, profile: str, *, root: Path | None = None) -> Path:
    """Execute one notebook and publish its page if it passes the gate.

    Parameters
    ----------
    path : Path or str
        A `py:percent` file of `analysis/`; a relative path counts from the root.
    profile : str
        The name of a profile.
    root : Path, optional
        Where the kernel runs.

    Returns
    -------
    Path
        The page: an executed notebook whose metadata `plmbook` holds `profile`, `parameters` (with the defaults),
        `source_sha256`, `seconds`, `finished` (UTC) and `versions`.

    Raises
    ------
    RunError
        If a cell fails or the gate refuses. The last page stays; the failed notebook is left in `.build/failed`.
    """
    root = root_of(root)
    source = root / path
    known = notebooks(root=root)
    if source.resolve() not in [item.resolve() for item in known]:
        names = [item.name for item in known]
        raise InputError(
            f"no notebook {path}: expected one of {', '.join(names)} in analysis{did_you_mean(source.name, names)}"
        )
    parameters = parameters_of(source, profile, root=root)
    digest = artifacts.file_sha256(source)
    print(f"{source.stem}: running ({profile})", flush=True)
    start = time.perf_counter()
    notebook = _execute(source, parameters, root=root)
    notebook.metadata["plmbook"] = {
        "profile": profile,
        "parameters": {**declared_by(source), **parameters},
        "source_sha256": digest,
        "seconds": round(time.perf_counter() - start, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": artifacts.versions(STAMPED),
    }
    faults = gate(notebook, source, profile, root=root)
    if faults:
        _fail(notebook, source, faults, root=root)
    page = page_of(source, root=root)
    _write(notebook, page)
    (root / ".build" / "failed" / page.name).unlink(missing_ok=True)
    print(f"{source.stem}: {notebook.metadata['plmbook']['seconds']:.0f} s", flush=True)
    return page


def _execute(source: Path, parameters: dict[str, Any], *, root: Path) -> "nbformat.NotebookNode":
    """Run a source in a fresh kernel; a failing cell raises RunError with the cell and its traceback."""
    import jupytext
    import nbformat
    import papermill

    # papermill reads the cell line by line and warns where it cannot; declared_parameters has read all of it
    logging.getLogger("papermill").setLevel(logging.ERROR)
    work = root / ".build"
    work.mkdir(exist_ok=True)
    executed = work / f"{source.stem}.out.ipynb"
    notebook = jupytext.read(source)
    # papermill refuses a notebook that names no kernel, and a .py names none
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    environment = {
        "IPYTHONDIR": str(work / "ipython" / source.stem),  # no start-up files of the user, no shared history
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    Path(environment["IPYTHONDIR"]).mkdir(parents=True, exist_ok=True)
    # the level silences the kernel's own remarks, not the cells'
    quiet: Any = {"progress_bar": False, "extra_arguments": ["--log-level=CRITICAL"]}
    try:
        with patch.dict(os.environ, environment):
            papermill.execute_notebook(notebook, executed, parameters=parameters, cwd=root, **quiet)
    except papermill.PapermillExecutionError:
        failed = nbformat.read(executed, as_version=4)
        # papermill marks the failure with cells of its own, which are not part of the notebook
        marker = "papermill-error-cell-tag"
        failed.cells = [cell for cell in failed.cells if marker not in cell.metadata.get("tags", [])]
        _fail(failed, source, [fault for fault in _output_faults(failed) if "unexecuted" not in fault], root=root)
    result = nbformat.read(executed, as_version=4)
    executed.unlink()
    return result


def stamps(*, root: Path | None = None) -> "pd.DataFrame":
    """What the runner wrote on each page, a row a page that exists, by number: notebook, profile (str), seconds
    (float64), finished (str, UTC), source_sha256 (str), parameters (JSON text), versions (dict).
    """
    import nbformat
    import pandas as pd

    columns = ["notebook", "profile", "seconds", "finished", "source_sha256", "parameters", "versions"]
    rows = []
    for source in notebooks(root=root):
        page = page_of(source, root=root)
        if page.is_file():
            stamp = nbformat.read(page, as_version=4).metadata.get("plmbook", {})
            row = {"notebook": source.stem} | {name: stamp.get(name) for name in columns[1:]}
            rows.append(row | {"parameters": json.dumps(stamp.get("parameters", {}), sort_keys=True)})
    return pd.DataFrame(rows, columns=columns).astype({"seconds": "float64"})


def gate(notebook: "nbformat.NotebookNode", source: Path, profile: str, *, root: Path | None = None) -> list[str]:
    """Say what keeps an executed notebook from being published."""
    faults = _output_faults(notebook)
    stamp = notebook.metadata.get("plmbook", {})
    if stamp.get("profile") != profile:
        faults.append(f"ran with the profile {stamp.get('profile')!r}, expected {profile!r}")
    expected = parameters_of(source, profile, root=root)
    found = notebook.metadata.get("papermill", {}).get("parameters", {})
    if found != expected:
        faults.append(f"ran with the parameters {dict(found)}, expected {expected}")
    if stamp.get("source_sha256") != artifacts.file_sha256(source):
        faults.append(f"is stale: {source.name} has changed since it ran")
    return faults


def _output_faults(notebook: "nbformat.NotebookNode") -> list[str]:
    """Errors, warnings and cells that did not run, each with the number of the cell and its code."""
    faults = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(code, start=1):
        shown = _indent(cell.source)
        if cell.execution_count is None:
            faults.append(f"code cell {number} is unexecuted:\n{shown}")
        for output in cell.outputs:
            if output.output_type == "error":
                traceback = plain("\n".join(output.traceback)).strip().splitlines()[-12:]
                faults.append(
                    f"code cell {number} failed with {output.ename}: {plain(output.evalue)}\n{shown}\n"
                    f"  the last lines of the traceback:\n{_indent(chr(10).join(traceback))}"
                )
            elif output.output_type == "stream" and output.name == "stderr":
                lines = plain(output.text).strip().splitlines()[-6:]
                faults.append(
                    f"code cell {number} wrote to stderr; a published page shows no warnings\n{shown}\n"
                    f"  what it wrote:\n{_indent(chr(10).join(lines))}"
                )
    return faults


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def plain(text: str) -> str:
    """A text without the escape sequences that colour a terminal.
    >>> plain("\\x1b[0;31mValueError\\x1b[0m")
    'ValueError'
    """
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def _write(notebook: "nbformat.NotebookNode", path: Path) -> None:
    """Write a notebook so that a reader sees either the old file or the whole new one."""
    import nbformat

    artifacts.write_atomically(path, lambda temporary: nbformat.write(notebook, temporary))


def _fail(notebook: "nbformat.NotebookNode", source: Path, faults: list[str], *, root: Path) -> None:
    """Leave the failed notebook for reading and raise RunError."""
    failed = root / ".build" / "failed" / f"{source.stem}.ipynb"
    _write(notebook, failed)
    page = page_of(source, root=root)
    kept = "the page of the last good run stays" if page.is_file() else "there is no page of an earlier run"
    raise RunError(
        f"{source.name}: " + "\n".join(faults) + f"\nNothing was published: {kept}. "
        f"The failed notebook is {failed.relative_to(root)}"
    )
