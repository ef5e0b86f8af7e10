"""Fixtures that tests of several rooms share: a project of two genes (`project.py`)."""

import shutil

import pytest


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """`data/` and `results/` of an empty project."""
    from project import set_folders

    (tmp_path / "data").mkdir()
    set_folders(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    from project import write

    folder = tmp_path_factory.mktemp("written") / "data"
    write(folder)
    return folder


@pytest.fixture
def project(folders, written, monkeypatch):
    """The folder of the project of two genes."""
    from project import make_small

    shutil.copytree(written, folders / "data", dirs_exist_ok=True)
    make_small(monkeypatch)
    return folders


@pytest.fixture(scope="session")
def shipped(written, tmp_path_factory):
    from project import Shipped

    return Shipped(written, tmp_path_factory.mktemp("shipped"))


@pytest.fixture
def ship(project, shipped):
    """Puts what a study ships into the project: see `project.Shipped`."""
    return shipped


@pytest.fixture
def model():
    from project import fake_model

    return fake_model()
