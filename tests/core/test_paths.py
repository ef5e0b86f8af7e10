"""Where things lie."""

import pytest

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean


def test_the_root_holds_this_package():
    assert (paths.root() / "src" / "plmbook" / "core" / "paths.py").is_file()


def test_data_of_the_repository_unless_named_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("PLMBOOK_DATA", raising=False)
    assert paths.data() == paths.root() / "data"
    assert paths.derived() == paths.root() / "data" / "derived"
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    assert paths.data() == tmp_path
    assert paths.derived() == tmp_path / "derived"


def test_a_data_folder_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="PLMBOOK_DATA.*absent"):
        paths.data()


def test_a_package_without_its_repository_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "plmbook" / "core" / "paths.py"))
    with pytest.raises(InputError, match="editable install"):
        paths.root()


def test_results_of_a_profile():
    assert paths.results("embedded") == paths.root() / "results" / "embedded"


@pytest.mark.parametrize("profile", ["", "..", "a/b", "/tmp", "a b", "paper\n"])
def test_a_profile_cannot_lead_elsewhere(profile):
    with pytest.raises(InputError, match="profile"):
        paths.results(profile)


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("PLMBOOK_CACHE", str(tmp_path))
    assert paths.cache() == tmp_path
    monkeypatch.delenv("PLMBOOK_CACHE")
    assert paths.cache().name == "plmbook"


def test_hints_for_misspelt_names():
    assert did_you_mean("BRAC1", ["BRCA1", "TP53"]) == "; did you mean 'BRCA1'?"
    assert (
        did_you_mean("P04637", ["sp|P04637|P53_HUMAN", "sp|P38398|BRCA1_HUMAN"])
        == "; did you mean 'sp|P04637|P53_HUMAN'?"
    )
    assert did_you_mean("quite other", ["BRCA1"]) == ""
    assert did_you_mean("", ["BRCA1"]) == ""
