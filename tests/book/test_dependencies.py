"""What make runs again: what each notebook imports, and what runs before it."""

import ast
import re

import pytest

from miniature import make_project
from plmbook.book import dependencies, profiles, render
from plmbook.core import paths
from plmbook.core.errors import InputError

SOURCES = profiles.notebooks()
TEXT_OF_A_CALL = re.compile(r"[\w-]+")


@pytest.fixture(scope="module")
def modules():
    return dependencies.modules_of(SOURCES)


def test_a_notebook_depends_on_what_it_imports_and_what_that_imports(modules):
    of_models = modules["01_models"]
    assert {"plmbook", "plmbook.book.show", "plmbook.models.cards", "plmbook.core.errors"} <= of_models
    assert not {"plmbook.cli", "plmbook.engine.store", "plmbook.book.atlas", "plmbook.tasks"} & of_models


def test_no_colour_and_no_edit_of_the_atlas_scans_again(modules):
    (scan,) = (name for name in modules if name.endswith("rescue_scan"))
    drawing = {f"plmbook.book.{name}" for name in ("style", "figures", "atlas", "map_page", "render")}
    assert {"plmbook.variants.rescue", "plmbook.engine.scan"} <= modules[scan] and not drawing & modules[scan]
    for name, found in modules.items():
        assert not {"plmbook.book.atlas", "plmbook.book.map_page", "plmbook.book.render"} & found, name


def test_imports_of_notebooks_are_static(modules):
    """The graph sees imports, not names that are looked up: a notebook asks no module by its name."""
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "plmbook":
                assert node.attr == "__version__", f"{source.name}: plmbook.{node.attr}"


def test_no_other_module_is_imported_by_its_name():
    """Or a change of it would run nothing again."""
    package = paths.root() / "src" / "plmbook"
    by_name = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "import_module(" in path.read_text(encoding="utf-8")
    }
    assert by_name <= {"__init__.py", dependencies.BY_NAME.rpartition(".")[2]}


def test_who_loads_a_model_depends_on_its_adapter(modules):
    (scan,) = (name for name in modules if name.endswith("rescue_scan"))
    assert {"plmbook.models.esm", "plmbook.models.packed"} <= modules[scan]


def tables_of(source, function):
    """The names, up to a model's, of the tables that a notebook saves or reads."""
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    place = {"artifacts.save": 1, "artifacts.read": 0}[function]
    names = [ast.unparse(call.args[place]) for call in calls if ast.unparse(call.func) == function]
    return {match[0] for name in names if (match := TEXT_OF_A_CALL.search(name.removeprefix("f").strip("'\"")))}


def test_who_reads_a_table_runs_after_who_saves_it():
    saved = {table: source.stem for source in SOURCES for table in tables_of(source, "artifacts.save")}
    assert saved["rescue_variants"].endswith("rescue_scan")
    read = 0
    for source in SOURCES:
        for table in tables_of(source, "artifacts.read") & set(saved):
            if saved[table] != source.stem:
                assert saved[table] in dependencies.header(source).get("after", ()), f"{source.stem} reads {table}"
                read += 1
    assert read


def test_rules_name_files_that_exist():
    text = dependencies.rules()
    order, *rules = text.splitlines()
    assert sorted(order.split()[2:]) == sorted(source.stem for source in SOURCES)
    for rule in rules:
        for file in rule.replace(":", " ").split():
            assert file.startswith("book/notebooks/") or (paths.root() / file).is_file(), file
    assert "benchmarks/results/go.json" in text and "src/plmbook/book/palette.json" in text


def test_without_make_notebooks_run_in_the_same_order(tmp_path, monkeypatch):
    """One that reads another's table runs after it, whatever their numbers; the appendix runs last."""
    root = make_project(tmp_path)
    (root / "analysis/00_first.py").write_text("# %%\n", encoding="utf-8")
    source = root / "analysis/01_count.py"
    header = "# ---\n# jupyter:\n#   make:\n#     after: [02_later]\n# ---\n"
    source.write_text(header + source.read_text(encoding="utf-8"), encoding="utf-8")
    (root / "analysis/02_later.py").write_text("# %%\n", encoding="utf-8")
    ran = []
    monkeypatch.setattr(render, "run_notebook", lambda path, profile, root: ran.append(path.stem))
    monkeypatch.setattr(render, "render", lambda profile, root: None)
    render.run_all("embedded", root=root)
    assert sorted(ran) == ["00_first", "01_count", "02_later", "90_run"] and ran[-1] == "90_run"
    assert ran.index("02_later") < ran.index("01_count")


def test_a_notebook_that_runs_after_none_is_refused(tmp_path):
    root = make_project(tmp_path)
    source = root / "analysis/01_count.py"
    header = "# ---\n# jupyter:\n#   make:\n#     after: [02_nothing]\n# ---\n"
    source.write_text(header + source.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match="01_count.py: runs after '02_nothing'"):
        dependencies.rules(root=root)
