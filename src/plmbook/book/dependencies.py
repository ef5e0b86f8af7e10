"""What each notebook depends on, as rules of make: the modules that it imports, what runs before it, what it reads.

A notebook says in its header what make cannot see: `after` (notebooks whose tables it reads), `reads` (patterns of
files besides `data/`), `longest` (starts first, so that the others run beside it). Written to `.build/depends.mk`.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from plmbook.book.profiles import APPENDIX, notebooks, root_of
from plmbook.core.errors import InputError, did_you_mean

BY_NAME = "plmbook.models"  # imports its modules by their names, when a model is loaded: no graph shows it


def header(source: Path) -> dict[str, Any]:
    """What the header of a notebook says under `make`; empty where it has none."""
    import yaml

    found = re.match(r"# ---\n(.*?)# ---\n", source.read_text(encoding="utf-8"), flags=re.DOTALL)
    if found is None:
        return {}
    return yaml.safe_load(re.sub(r"^# ?", "", found[1], flags=re.MULTILINE))["jupyter"].get("make", {})


def imported(source: str, known: Iterable[str]) -> set[str]:
    """The modules of the package, out of `known`, that a source names in its imports, with the packages around them.
    >>> sorted(imported("from plmbook.core import paths", {"plmbook", "plmbook.core", "plmbook.core.paths"}))
    ['plmbook', 'plmbook.core', 'plmbook.core.paths']
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    around = {".".join(parts[:n]) for name in names if (parts := name.split(".")) for n in range(1, len(parts) + 1)}
    return around & set(known)


def modules_of(sources: Iterable[Path]) -> dict[str, set[str]]:
    """The modules of the package that each notebook imports, whether itself or through another: by its stem."""
    import grimp

    graph = grimp.build_graph("plmbook", exclude_type_checking_imports=True, cache_dir=None)
    for adapter in graph.find_descendants(BY_NAME):
        graph.add_import(importer=BY_NAME, imported=adapter)
    found = {}
    for source in sources:
        direct = imported(source.read_text(encoding="utf-8"), graph.modules)
        upstream = set().union(*(graph.find_upstream_modules(module) for module in direct))
        found[source.stem] = direct | upstream | {m.rpartition(".")[0] for m in upstream if "." in m}
    return found


def files_of(module: str, *, root: Path) -> list[str]:
    """The files of a module, from the root: its own, and the .yml and .json next to it that it names."""
    place = Path("src", *module.split("."))
    own = place / "__init__.py" if (root / place).is_dir() else place.with_suffix(".py")
    text = (root / own).read_text(encoding="utf-8")
    data = [each.name for each in sorted((root / own.parent).glob("*.[jy]*")) if each.name in text]
    return [own.as_posix(), *((own.parent / name).as_posix() for name in data)]


def rules(*, root: Path | None = None) -> str:
    """The rules: one line a notebook, and the order in which they start."""
    root = root_of(root)
    sources = notebooks(root=root)
    stems = [source.stem for source in sources]
    asks = {source.stem: header(source) for source in sources}
    lines = []
    for stem, modules in modules_of(sources).items():
        needs = sorted({file for module in modules for file in files_of(module, root=root)})
        for before in asks[stem].get("after", ()):
            if before not in stems:
                raise InputError(f"analysis/{stem}.py: runs after {before!r}{did_you_mean(before, stems)}")
            needs.append(f"book/notebooks/{before}.ipynb")
        for pattern in asks[stem].get("reads", ()):
            needs += sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
        if stem.startswith(APPENDIX):
            needs += [f"book/notebooks/{other}.ipynb" for other in stems if other != stem]
        lines.append(f"book/notebooks/{stem}.ipynb: {' '.join(needs)}")
    first = sorted(stems, key=lambda stem: not asks[stem].get("longest", False))
    # Each file is a target of its own too: make goes on where a module was taken away, and runs what imported it.
    every = sorted({file for line in lines for file in line.split()[1:] if not file.endswith(".ipynb")})
    return "\n".join([f"ORDER := {' '.join(first)}", *lines, f"{' '.join(every)}:", ""])


if __name__ == "__main__":
    print(rules(root=Path.cwd()), end="")
