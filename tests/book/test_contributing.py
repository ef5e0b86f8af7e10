"""The map for newcomers is that of this tree."""

import re

import plmbook
from miniature import REPOSITORY

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_rooms_are_those_of_the_package_from_the_ground_up():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert tuple(rows) == plmbook.ROOMS
    folders = {path.name for path in (REPOSITORY / "src" / "plmbook").iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(rows)


def test_tests_mirror_the_rooms():
    for folder in (REPOSITORY / "tests").iterdir():
        if folder.is_dir() and folder.name not in ("browser", "data_make", "__pycache__"):
            assert folder.name in plmbook.ROOMS, folder


def test_every_path_exists():
    named = {word for word in re.findall(r"`([\w./-]+/[\w./-]+|\w+\.(?:py|yml|md))`", PAGE)}
    for name in named:
        places = [REPOSITORY / name, REPOSITORY / "src" / "plmbook" / name]
        found = any(place.exists() for place in places) or any((REPOSITORY / "src").rglob(name.rsplit("/", 1)[-1]))
        assert found or name.startswith(".venv/"), name
    assert len(named) > 15


def test_every_command_is_a_target():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"`make ([a-z-]+)`", PAGE))
    assert {"book", "test", "lint", "results"} <= commands <= targets
