"""The size of `src`, room by room, and whether it is within the budget of `pyproject.toml`, `[tool.plmbook.budget]`."""

import ast
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("files", "lines", "code", "docstrings")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def size(source: str) -> Counter[str]:
    """Lines of a Python source: all of them, of code (neither blank, comment nor docstring), of docstrings."""
    lines = source.splitlines()
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    code = [
        number
        for number, line in enumerate(lines, start=1)
        if number not in documented and line.strip() and not line.lstrip().startswith("#")
    ]
    return Counter(files=1, lines=len(lines), code=len(code), docstrings=len(documented))


def main() -> int:
    """Print the table; 1 where a limit is passed."""
    limits = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["plmbook"]["budget"]
    package = ROOT / "src" / "plmbook"
    rooms: dict[str, Counter[str]] = {}
    faults = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        found = size(path.read_text(encoding="utf-8"))
        rooms.setdefault(parts[0] if len(parts) > 1 else "(doors)", Counter()).update(found)
        if found["code"] > limits["file"]:
            faults.append(f"{path.relative_to(ROOT)}: {found['code']:,} lines of code, at most {limits['file']:,}")
    total = sum(rooms.values(), Counter())
    for name, found in [*rooms.items(), ("all", total)]:
        print(f"{name:10}" + "".join(f"{found[column]:>8,} {column}" for column in COLUMNS))
    for column in ("lines", "code"):
        if total[column] > limits[column]:
            faults.append(f"src: {total[column]:,} {column}, at most {limits[column]:,}")
    print("\n".join(faults) or "within the budget", file=sys.stderr if faults else sys.stdout)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
