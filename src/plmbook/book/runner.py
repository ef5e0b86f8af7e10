"""The runner: profile -> jupytext -> papermill -> gate -> the executed page -> Jupyter Book -> checks -> the site.

A notebook is a `py:percent` file in `analysis/`. It is executed from the repository root with the parameters of a
profile, into a temporary file; only an output that passes the gate replaces the page of the last good run. The site
is built beside the published one and takes its place only when Sphinx and the checks have nothing to say.

The functions take the root of the project, so that the tests run them on a miniature project.
"""

import ast
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plmbook.book.site import check_site
from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import nbformat
    import pandas as pd

SECTIONS = ("description", "shared", "notebooks")
"""The keys of a profile: a sentence, the parameters of all notebooks, and those of each notebook by its name."""

VERSIONS = (
    "plmbook",
    "torch",
    "fair-esm",
    "transformers",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "lightgbm",
    "umap-learn",
    "jupyter-book",
    "papermill",
)
"""The packages whose versions are stamped on each executed notebook."""

APPENDIX = "90_"
"""The name of the notebook that reads what the others left begins with this; it runs last."""


class ProfileError(InputError):
    """A profile, or the parameters cell that it fills, is not what it should be."""


class RunError(Exception):
    """A notebook or the book did not come out whole. The message is for a reader; nothing was published."""


# --- parameters ------------------------------------------------------------------------------------------


def declared_parameters(source: str, *, where: str = "parameters cell") -> dict[str, Any]:
    """Read the names and defaults of a parameters cell without running it.

    Parameters
    ----------
    source : str
        The code of the cell: one assignment a line, of a JSON value.
    where : str
        What to call the cell in an error.

    Returns
    -------
    dict of str to JSON value
        In the order of the cell.

    Raises
    ------
    ProfileError
        On two statements in one line, on anything but an assignment to one name, on a value that is not JSON
        (a tuple, a call, a name), and on a name that is assigned twice.

    Examples
    --------
    >>> declared_parameters("model = 'embedded'  # the bundled one\\nminimum = 5  # variants of each class")
    {'model': 'embedded', 'minimum': 5}
    >>> declared_parameters("pair = (1, 2)")
    Traceback (most recent call last):
        ...
    plmbook.book.runner.ProfileError: parameters cell, line 1: expected a JSON value, found a tuple: pair = (1, 2)
    """
    parameters: dict[str, Any] = {}
    lines: set[int] = set()
    text = source.splitlines()
    for statement in ast.parse(source).body:
        here = f"{where}, line {statement.lineno}"
        shown = text[statement.lineno - 1].strip()
        if statement.lineno in lines:
            raise ProfileError(f"{here}: expected one assignment a line, found several: {shown}")
        lines.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, node = [statement.target], statement.value
        elif isinstance(statement, ast.Assign):
            targets, node = statement.targets, statement.value
        else:
            raise ProfileError(f"{here}: expected an assignment, found: {shown}")
        if len(targets) != 1 or not isinstance(targets[0], ast.Name):
            raise ProfileError(f"{here}: expected an assignment to one name, found: {shown}")
        name = targets[0].id
        if name in parameters:
            raise ProfileError(f"{here}: {name} is assigned twice")
        parameters[name] = _json_value(node, here, shown)
    return parameters


def _json_value(node: ast.expr, here: str, shown: str) -> Any:
    """The value of an expression, refused where JSON would not bring it back unchanged."""
    try:
        value = ast.literal_eval(node)
        unchanged = json.loads(json.dumps(value, allow_nan=False)) == value
    except (ValueError, TypeError):
        value, unchanged = node, False
    if not unchanged:
        kind = "an expression" if isinstance(value, ast.expr) else f"a {type(value).__name__}"
        raise ProfileError(f"{here}: expected a JSON value, found {kind}: {shown}")
    return value


def load_profile(name: str, *, root: Path | None = None) -> dict[str, Any]:
    """Read a profile.

    Parameters
    ----------
    name : str
        The name of a file in `analysis/profiles`, without `.yml`.
    root : Path, optional
        The root of the project.

    Returns
    -------
    dict
        `description` (str), `shared` (dict) and `notebooks` (dict of notebook name to dict of parameters).

    Raises
    ------
    ProfileError
        If there is no such profile, or it has a key that is not in `SECTIONS`.
    """
    import yaml

    folder = _root(root) / "analysis" / "profiles"
    valid = sorted(path.stem for path in folder.glob("*.yml"))
    if name not in valid:
        raise ProfileError(
            f"unknown profile {name!r}: expected one of {', '.join(valid) or 'none'}{did_you_mean(name, valid)}"
        )
    file = folder / f"{name}.yml"
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: not YAML: {error}") from None
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise ProfileError(f"{file}: unknown section {unknown[0]!r}: expected {', '.join(SECTIONS)}")
    profile = {"description": content.get("description", ""), "shared": content.get("shared") or {}}
    profile["notebooks"] = {key: value or {} for key, value in (content.get("notebooks") or {}).items()}
    return profile


def parameters_of(path: Path, profile: str, *, root: Path | None = None) -> dict[str, Any]:
    """The parameters that a profile gives to a notebook.

    A shared parameter goes to every notebook that declares it. A parameter of the notebook's own section must be
    declared by that notebook: papermill alone would only warn about a misspelt name, and the default would run.

    Parameters
    ----------
    path : Path
        A notebook in `analysis/`.
    profile : str
        The name of a profile.
    root : Path, optional
        The root of the project.

    Returns
    -------
    dict of str to JSON value
        What papermill injects; parameters that are absent keep the default of the cell.

    Raises
    ------
    ProfileError
        On a name that no notebook declares, on a section for a notebook that does not exist, and on a value of
        another type than the default.
    """
    root = _root(root)
    content = load_profile(profile, root=root)
    file = f"analysis/profiles/{profile}.yml"
    declared = {source.stem: _declared(source) for source in notebooks(root=root)}
    for section in content["notebooks"]:
        if section not in declared:
            raise ProfileError(f"{file}: no notebook analysis/{section}.py{did_you_mean(section, declared)}")
    everywhere = {name for names in declared.values() for name in names}
    for name in content["shared"]:
        if name not in everywhere:
            raise ProfileError(
                f"{file}: shared parameter {name!r} is declared by no notebook{did_you_mean(name, everywhere)}"
            )
    mine = declared[path.stem]
    own = content["notebooks"].get(path.stem, {})
    for name in own:
        if name not in mine:
            raise ProfileError(
                f"{file}: {path.stem} has no parameter {name!r}: expected one of {', '.join(mine) or 'none'}"
                f"{did_you_mean(name, mine)}"
            )
    chosen = {name: value for name, value in {**content["shared"], **own}.items() if name in mine}
    for name, value in chosen.items():
        if not _same_kind(mine[name], value):
            raise ProfileError(
                f"{file}: {path.stem}: {name}: expected {type(mine[name]).__name__} like the default {mine[name]!r}, "
                f"found {type(value).__name__} {value!r}"
            )
    return chosen


def _same_kind(default: Any, value: Any) -> bool:
    """Whether a value may stand for a default: of the same type, an int for a float, or either of them null."""
    if default is None or value is None:
        return True
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def _declared(source: Path) -> dict[str, Any]:
    """The parameters of a notebook; none where it has no parameters cell."""
    import jupytext

    cells = [cell for cell in jupytext.read(source).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise ProfileError(f"{source}: expected one cell tagged parameters, found {len(cells)}")
    return declared_parameters(cells[0].source, where=f"{source.name}: parameters cell") if cells else {}


# --- running ---------------------------------------------------------------------------------------------


def notebooks(*, root: Path | None = None) -> list[Path]:
    """The notebooks of the project in the order in which they run: by number, the appendix last.

    Parameters
    ----------
    root : Path, optional
        The root of the project.

    Returns
    -------
    list of Path
        The `py:percent` sources.
    """
    sources = sorted((_root(root) / "analysis").glob("[0-9]*.py"))
    return sorted(sources, key=lambda path: path.name.startswith(APPENDIX))


def page_of(path: Path, *, root: Path | None = None) -> Path:
    """Where the executed notebook of a source lies."""
    return _root(root) / "book" / "notebooks" / f"{path.stem}.ipynb"


def source_hash(path: Path) -> str:
    """The sha256 of a source, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_notebook(path: Path | str, profile: str, *, root: Path | None = None) -> Path:
    """Execute one notebook and publish its page if it passes the gate.

    Parameters
    ----------
    path : Path or str
        A `py:percent` file of `analysis/`; a relative path counts from the root.
    profile : str
        The name of a profile.
    root : Path, optional
        The root of the project; the kernel runs there.

    Returns
    -------
    Path
        The page: an executed notebook whose metadata `plmbook` holds `profile`, `parameters` (all of them, with the
        defaults), `source_sha256`, `seconds`, `finished` (UTC) and `versions`.

    Raises
    ------
    InputError
        If the notebook, the profile or a parameter is unknown.
    RunError
        If a cell fails or the gate refuses the output. The page of the last good run stays as it is, and the failed
        notebook is left in `.build/failed`.
    """
    root = _root(root)
    source = root / path
    known = notebooks(root=root)
    if source.resolve() not in [item.resolve() for item in known]:
        names = [item.name for item in known]
        raise InputError(
            f"no notebook {path}: expected one of {', '.join(names)} in analysis{did_you_mean(source.name, names)}"
        )
    parameters = parameters_of(source, profile, root=root)
    digest = source_hash(source)
    print(f"{source.stem}: running ({profile})", flush=True)
    start = time.perf_counter()
    notebook = _execute(source, parameters, root=root)
    notebook.metadata["plmbook"] = {
        "profile": profile,
        "parameters": {**_declared(source), **parameters},
        "source_sha256": digest,
        "seconds": round(time.perf_counter() - start, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions(),
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
    entered, executed = work / f"{source.stem}.in.ipynb", work / f"{source.stem}.out.ipynb"
    notebook = jupytext.read(source)
    # papermill refuses a notebook that names no kernel, and a .py names none
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, entered)
    environment = {
        "IPYTHONDIR": str(work / "ipython" / source.stem),  # no start-up files of the user, no shared history
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    Path(environment["IPYTHONDIR"]).mkdir(parents=True, exist_ok=True)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        papermill.execute_notebook(
            str(entered),
            str(executed),
            parameters=parameters,
            cwd=str(root),
            progress_bar=False,
            log_output=False,
            extra_arguments=["--log-level=CRITICAL"],  # the kernel's own remarks, not the cells'
        )
    except papermill.PapermillExecutionError:
        failed = nbformat.read(executed, as_version=4)
        # papermill marks the failure with cells of its own, which are not part of the notebook
        marker = "papermill-error-cell-tag"
        failed.cells = [cell for cell in failed.cells if marker not in cell.metadata.get("tags", [])]
        _fail(failed, source, [fault for fault in _output_faults(failed) if "unexecuted" not in fault], root=root)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        entered.unlink(missing_ok=True)
    result = nbformat.read(executed, as_version=4)
    executed.unlink()
    return result


def versions() -> dict[str, str]:
    """The versions of Python and of the packages in `VERSIONS` that are installed.

    Returns
    -------
    dict of str to str
    """
    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def stamps(*, root: Path | None = None) -> "pd.DataFrame":
    """What the runner wrote on each page: for the appendix of the run.

    Parameters
    ----------
    root : Path, optional
        The root of the project.

    Returns
    -------
    DataFrame
        One row a page that exists, in the order of the numbers: `notebook` (str), `profile` (str), `seconds`
        (float64), `finished` (str, UTC), `source_sha256` (str), `parameters` (JSON text), `versions` (dict).
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


# --- the gate --------------------------------------------------------------------------------------------


def gate(notebook: "nbformat.NotebookNode", source: Path, profile: str, *, root: Path | None = None) -> list[str]:
    """Say what keeps an executed notebook from being published.

    Parameters
    ----------
    notebook : NotebookNode
        The executed notebook.
    source : Path
        The `py:percent` file that it should come from.
    profile : str
        The profile that it should have run with.
    root : Path, optional
        The root of the project.

    Returns
    -------
    list of str
        The faults; empty for a notebook in which every code cell ran, none wrote an error or a warning, and whose
        profile, parameters and source are the current ones.
    """
    faults = _output_faults(notebook)
    stamp = notebook.metadata.get("plmbook", {})
    if stamp.get("profile") != profile:
        faults.append(f"ran with the profile {stamp.get('profile')!r}, expected {profile!r}")
    expected = parameters_of(source, profile, root=root)
    found = notebook.metadata.get("papermill", {}).get("parameters", {})
    if found != expected:
        faults.append(f"ran with the parameters {dict(found)}, expected {expected}")
    if stamp.get("source_sha256") != source_hash(source):
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
                traceback = _plain("\n".join(output.traceback)).strip().splitlines()[-12:]
                faults.append(
                    f"code cell {number} failed with {output.ename}: {_plain(output.evalue)}\n{shown}\n"
                    f"  the last lines of the traceback:\n{_indent(chr(10).join(traceback))}"
                )
            elif output.output_type == "stream" and output.name == "stderr":
                lines = _plain(output.text).strip().splitlines()[-6:]
                faults.append(
                    f"code cell {number} wrote to stderr; a published page shows no warnings\n{shown}\n"
                    f"  what it wrote:\n{_indent(chr(10).join(lines))}"
                )
    return faults


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _plain(text: str) -> str:
    """A text without the escape sequences that colour a terminal.

    >>> _plain("\\x1b[0;31mValueError\\x1b[0m")
    'ValueError'
    """
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def _write(notebook: "nbformat.NotebookNode", path: Path) -> None:
    """Write a notebook so that a reader sees either the old file or the whole new one."""
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)


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


# --- the site --------------------------------------------------------------------------------------------


def toc_files(*, root: Path | None = None) -> list[str]:
    """The pages that the table of contents names, in its order, without suffixes.

    Parameters
    ----------
    root : Path, optional
        The root of the project.

    Returns
    -------
    list of str
        Paths from the root, such as `book/intro`.
    """
    import yaml

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key in ("root", "file"))
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    file = _root(root) / "book" / "_toc.yml"
    return list(walk(yaml.safe_load(file.read_text(encoding="utf-8"))))


def check_pages(profile: str, *, root: Path | None = None) -> list[str]:
    """Put every notebook of the table of contents through the gate, and look for the other pages.

    Parameters
    ----------
    profile : str
        The name of a profile.
    root : Path, optional
        The root of the project.

    Returns
    -------
    list of str
        The faults, each with the page it is about.
    """
    import nbformat

    root = _root(root)
    faults = []
    for name in toc_files(root=root):
        if not name.startswith("book/notebooks/"):
            if not (root / f"{name}.md").is_file():
                faults.append(f"book/_toc.yml names {name}, and there is no {name}.md")
            continue
        source = root / "analysis" / f"{Path(name).name}.py"
        page = root / f"{name}.ipynb"
        if not source.is_file():
            faults.append(f"book/_toc.yml names {name}, and there is no analysis/{source.name}")
        elif not page.is_file():
            faults.append(f"{name}.ipynb: has not been run")
        else:
            notebook = nbformat.read(page, as_version=4)
            faults += [f"{name}.ipynb: {fault}" for fault in gate(notebook, source, profile, root=root)]
    return faults


def render(profile: str, *, root: Path | None = None) -> Path:
    """Build the site from the executed notebooks and put it in place of the last one.

    Parameters
    ----------
    profile : str
        The profile that every notebook must have run with.
    root : Path, optional
        The root of the project.

    Returns
    -------
    Path
        `book/_build/html/index.html`.

    Raises
    ------
    RunError
        If a page is missing, stale or refused by the gate, if Sphinx has anything to say, or if the built site
        fails its checks. The published site stays as it was.
    """
    from plmbook.book import atlas, map_page

    root = _root(root)
    faults = check_pages(profile, root=root)
    if faults:
        raise RunError("the book was not built:\n" + "\n".join(faults))
    print("book: building the pages", flush=True)
    start = time.perf_counter()
    # The work folder keeps Sphinx's cache. It lies outside the published site, so that no half-built page shows.
    work = root / ".build" / "site"
    command = ["build", ".", "--config", "_config.yml", "--toc", "book/_toc.yml", "--path-output", str(work)]
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "-W", "-n", "--keep-going"],
        cwd=root,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1", "JUPYTER_PLATFORM_DIRS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    log = root / ".build" / "render.log"
    log.write_text(done.stdout, encoding="utf-8")
    built = work / "_build" / "html"
    if done.returncode:
        # Sphinx warns when it reads a page, and its cache would keep the page and forget the warning.
        shutil.rmtree(work, ignore_errors=True)
        raise RunError(_sphinx_message(done.stdout, log.relative_to(root)))
    if atlas.PAGE in toc_files(root=root):
        written = atlas.write(built / "_static" / "atlas" / "data", profile, source=root / "results" / profile)
        print(f"book: atlas, {written}", flush=True)
    if map_page.PAGE in toc_files(root=root):
        written = map_page.write(built / "_static" / "atlas" / "data", profile, source=root / "results" / profile)
        print(f"book: map of proteins, {written}", flush=True)
    faults = check_site(built)
    if faults:
        shutil.rmtree(work, ignore_errors=True)
        raise RunError("the book was built and not published, its pages fail their checks:\n" + "\n".join(faults))
    index = _publish(built, root / "book" / "_build" / "html")
    print(f"book: {time.perf_counter() - start:.0f} s", flush=True)
    return index


def _sphinx_message(text: str, log: Path) -> str:
    """The lines of Sphinx's output that a writer must act on."""
    lines = [line for line in _plain(text).splitlines() if re.search(r"WARNING|ERROR|CRITICAL|[Ee]xception", line)]
    return "\n".join(["the book was not built, Sphinx says:", *(lines or text.splitlines()[-15:]), f"All of it: {log}"])


def _publish(built: Path, site: Path) -> Path:
    """Copy the built site beside the published one, and change their places."""
    fresh, old = site.with_name("html.new"), site.with_name("html.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(built, fresh, ignore=shutil.ignore_patterns("*.map"))  # for debuggers of the theme only
    if site.exists():
        site.rename(old)
    fresh.rename(site)
    shutil.rmtree(old, ignore_errors=True)
    index = site / "index.html"
    index.touch()  # make compares its time with the pages'
    return index


def run_all(profile: str, *, root: Path | None = None) -> Path:
    """Run every notebook, one after the other, and build the site. `make book` does so in parallel.

    Parameters
    ----------
    profile : str
        The name of a profile.
    root : Path, optional
        The root of the project.

    Returns
    -------
    Path
        The first page of the site.
    """
    for source in notebooks(root=root):
        run_notebook(source, profile, root=root)
    return render(profile, root=root)


def _root(root: Path | None) -> Path:
    return paths.root() if root is None else Path(root).resolve()
