"""What the scripts of data/make share: they say what they miss, and write where they are told."""

import os

import pytest

from plmbook.core import paths
from scripts import script

SCRIPTS = ("bundled", "cases", "clades", "landscapes", "orthologs", "published", "structures", "tasks")


@pytest.fixture
def common(monkeypatch):
    """The module, with no mirror set; what it sets is undone."""
    monkeypatch.setenv("PLMBOOK_MIRROR", "")
    return script("door")


def parsed(common, arguments, **options):
    options |= {"arguments": [str(each) for each in arguments]}
    return common.parse(common.parser("What it makes.\n\nMore."), **options)


def test_the_folder_is_the_one_that_holds_what_is_looked_for(common, tmp_path):
    (tmp_path / "a" / "b" / "dms").mkdir(parents=True)
    found = parsed(common, ["--from", tmp_path, "--out", tmp_path / "new" / "out"], holding="dms")
    assert found.source == tmp_path / "a" / "b" and found.out == tmp_path / "new" / "out"
    assert os.environ["PLMBOOK_MIRROR"] == str(tmp_path)  # what `fetch` reads: the whole folder
    (tmp_path / "dms").mkdir()
    assert parsed(common, ["--from", tmp_path], holding="dms").source == tmp_path  # the nearer one


def test_the_environment_names_the_folder_and_the_command_line_wins(common, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path / "one"))
    assert parsed(common, [], holding="").source == tmp_path / "one"
    assert parsed(common, ["--from", tmp_path / "two"], holding="").source == tmp_path / "two"


def test_without_need_no_folder_is_asked_for(common, tmp_path):
    found = parsed(common, [])
    assert found.source is None and found.out == paths.data()
    assert parsed(common, [], out=tmp_path / "made").out == tmp_path / "made"


@pytest.mark.parametrize(
    ("folder", "message"),
    [(None, "with --from DIR or PLMBOOK_MIRROR"), ("lost", "lost: expected a folder"), (".", "expected dms in it or")],
)
def test_what_is_missing_is_said_and_nothing_is_written(common, tmp_path, capsys, folder, message):
    named = [] if folder is None else ["--from", tmp_path / folder]
    with pytest.raises(SystemExit) as stopped:
        parsed(common, [*named, "--out", tmp_path / "out"], holding="dms")
    assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_that_compiles_from_raw_files_asks_in_the_same_way(common, name, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--from", str(tmp_path / "lost")])
    with pytest.raises(SystemExit) as stopped:
        script(name).main()
    assert stopped.value.code == 2
    assert f"{tmp_path / 'lost'}: expected a folder of raw files, found none" in capsys.readouterr().err
