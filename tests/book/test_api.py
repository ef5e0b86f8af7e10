"""The API pages: every name on them exists and says its parameters and what it gives; nobody else does so at length."""

import ast
import importlib
import inspect
import re

import pytest

import plmbook
from plmbook.core import paths

PAGES = sorted((paths.root() / "book" / "api").glob("*.md"))
NAMED = [
    (page.stem, kind, name)
    for page in PAGES
    for kind, name in re.findall(r"^\.\. auto(function|class):: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
SECTION = re.compile(r"^ *(Parameters|Returns|Yields|Raises|Attributes)\n *-{3,}$", re.MULTILINE)


def named_object(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def described(docstring):
    """The names under Parameters (or, of a class, Attributes)."""
    text = inspect.cleandoc(docstring)
    section = r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S+( \S+)?\n-{3,}$|\Z)"
    found = re.search(section, text, re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^(\S.*?)(?: :.*)?$", found[1], re.MULTILINE) if found else []
    return {name.strip(" *") for head in heads for name in head.split(",")}


def test_every_room_has_its_page_and_about_a_hundred_names_are_there():
    assert {page.stem for page in PAGES} == set(plmbook.ROOMS)
    names = [name for _, _, name in NAMED]
    assert len(names) == len(set(names)) and 80 <= len(names) <= 140
    for room, _, name in NAMED:
        assert name.startswith(f"plmbook.{room}."), name


@pytest.mark.parametrize("name", [name for _, kind, name in NAMED if kind == "function"])
def test_a_function_says_what_it_takes_and_gives(name):
    function = named_object(name)
    docstring = function.__doc__ or ""
    parameters = {each for each in inspect.signature(function).parameters if not each.startswith("_")}
    assert parameters <= described(docstring), parameters - described(docstring)
    gives = inspect.signature(function).return_annotation
    assert gives in (None, "None") or re.search(r"^ *(Returns|Yields)\n *-+$", docstring, re.MULTILINE)


@pytest.mark.parametrize("name", [name for _, kind, name in NAMED if kind == "class"])
def test_a_class_has_a_docstring(name):
    assert (named_object(name).__doc__ or "").strip() and inspect.isclass(named_object(name))


def test_what_the_package_hands_out_is_on_the_pages():
    on_pages = [named_object(name) for _, _, name in NAMED]
    for name in plmbook.__all__:
        assert any(getattr(plmbook, name) is each for each in on_pages), name


def test_the_rest_is_described_in_a_few_lines():
    """Sections are for the names of these pages; elsewhere one to three lines say what is given."""
    long = {named_object(name).__qualname__.split(".")[0] for _, _, name in NAMED}
    package = paths.root() / "src" / "plmbook"
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in long:
                inner = [node, *(each for each in ast.walk(node) if isinstance(each, ast.FunctionDef))]
                for each in inner:
                    found = SECTION.search(ast.get_docstring(each) or "")
                    assert found is None, f"{path.relative_to(package)}: {node.name}: {found and found[1]}"
