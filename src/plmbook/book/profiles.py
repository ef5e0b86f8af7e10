"""Profiles: the parameters that `analysis/profiles/*.yml` gives to the notebooks, each checked against its cell."""

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean

SECTIONS = ("description", "shared", "notebooks")
"""The keys of a profile: a sentence, the parameters of all notebooks, and those of each notebook by its name."""
APPENDIX = "90_"
"""The name of the notebook that reads what the others left begins with this; it runs last."""


class ProfileError(InputError):
    """A profile, or the parameters cell that it fills, is not what it should be."""


def declared_parameters(source: str, *, where: str = "parameters cell") -> dict[str, Any]:
    """Read the names and defaults (JSON values) of a parameters cell, in their order, without running it."""
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
            targets: Sequence[ast.expr] = [statement.target]
            node = statement.value
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

    Returns
    -------
    dict
        `description` (str), `shared` (dict), `notebooks` (name -> dict); ProfileError where it or a key is unknown.
    """
    import yaml

    folder = root_of(root) / "analysis" / "profiles"
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
    """The parameters that a profile gives to a notebook: its own, and of the shared ones those that it declares. Its
    own must be declared: papermill alone would only warn about a misspelt name, and the default would run.
    """
    root = root_of(root)
    content = load_profile(profile, root=root)
    file = f"analysis/profiles/{profile}.yml"
    declared = {source.stem: declared_by(source) for source in notebooks(root=root)}
    everywhere = {name for names in declared.values() for name in names}
    mine, own = declared[path.stem], content["notebooks"].get(path.stem, {})
    for names, known, fault in (
        (content["notebooks"], declared, "no notebook analysis/{}.py"),
        (content["shared"], everywhere, "shared parameter {!r} is declared by no notebook"),
        (own, mine, f"{path.stem} has no parameter {{!r}}: expected one of {', '.join(mine) or 'none'}"),
    ):
        for name in names:
            if name not in known:
                raise ProfileError(f"{file}: {fault.format(name)}{did_you_mean(name, known)}")
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


def declared_by(source: Path) -> dict[str, Any]:
    """The parameters of a notebook; none where it has no parameters cell."""
    import jupytext

    cells = [cell for cell in jupytext.read(source).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise ProfileError(f"{source}: expected one cell tagged parameters, found {len(cells)}")
    return declared_parameters(cells[0].source, where=f"{source.name}: parameters cell") if cells else {}


def notebooks(*, root: Path | None = None) -> list[Path]:
    """The notebooks (`py:percent` sources) of the project by number, the appendix last."""
    sources = sorted((root_of(root) / "analysis").glob("[0-9]*.py"))
    return sorted(sources, key=lambda path: path.name.startswith(APPENDIX))


def root_of(root: Path | None) -> Path:
    return paths.root() if root is None else Path(root).resolve()


def profile_models(profile: str) -> list[str]:
    """The models of a profile: `model_names` of all its notebooks (else the bundled one), then those of single ones."""
    content = load_profile(profile)
    alone = [name for own in content["notebooks"].values() for name in own.get("model_names", [])]
    return list(dict.fromkeys([*content["shared"].get("model_names", ["embedded"]), *alone]))
