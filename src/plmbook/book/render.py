"""From executed pages to the site: Jupyter Book, the atlas and its palette, the checks, and only then publication."""

import os
import re
import shutil
import subprocess
import sys
import time
from graphlib import TopologicalSorter
from pathlib import Path

from plmbook.book.dependencies import header
from plmbook.book.profiles import APPENDIX, notebooks, root_of
from plmbook.book.runner import RunError, gate, plain, run_notebook
from plmbook.book.site import check_site


def toc_files(*, root: Path | None = None) -> list[str]:
    """The pages that the table of contents names, in its order: paths from the root without suffix, as `book/intro`."""
    from sphinx_external_toc.parsing import parse_toc_yaml  # Jupyter Book's own

    return list(parse_toc_yaml(root_of(root) / "book" / "_toc.yml"))


def check_pages(profile: str, *, root: Path | None = None) -> list[str]:
    """Put every notebook of the table of contents through the gate, and look for the other pages."""
    import nbformat

    root = root_of(root)
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

    Returns
    -------
    Path
        `book/_build/html/index.html`.

    Raises
    ------
    RunError
        If a page is missing, stale or refused, or Sphinx or the checks object; the published site stays as it was.
    """
    from plmbook.book import atlas, map_page, style

    root = root_of(root)
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
    static, source = built / "_static" / "atlas", root / "results" / profile
    for title, module in (("atlas", atlas), ("map of proteins", map_page)):
        if module.PAGE in toc_files(root=root):
            print(f"book: {title}, {module.write(static / 'data', profile, source=source)}", flush=True)
            (static / "palette.js").write_text(style.page_script(), encoding="utf-8")
            (static / "palette.css").write_text(style.page_rules(), encoding="utf-8")
    faults = check_site(built)
    if faults:
        shutil.rmtree(work, ignore_errors=True)
        raise RunError("the book was built and not published, its pages fail their checks:\n" + "\n".join(faults))
    index = _publish(built, root / "book" / "_build" / "html")
    print(f"book: {time.perf_counter() - start:.0f} s", flush=True)
    return index


def _sphinx_message(text: str, log: Path) -> str:
    """The lines of Sphinx's output that a writer must act on."""
    lines = [line for line in plain(text).splitlines() if re.search(r"WARNING|ERROR|CRITICAL|[Ee]xception", line)]
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
    """Run every notebook, one after the other, and build the site. `make book` does so in parallel."""
    sources = {source.stem: source for source in notebooks(root=root)}
    after = {stem: set(header(source).get("after", ())) for stem, source in sources.items()}
    after |= {stem: set(sources) - {stem} for stem in sources if stem.startswith(APPENDIX)}
    for stem in TopologicalSorter(after).static_order():
        run_notebook(sources[stem], profile, root=root)
    return render(profile, root=root)
