"""The runner on a project in miniature: real kernels, real Sphinx, and every way in which it must refuse."""

import nbformat
import pytest

from miniature import make_project
from plmbook.book import profiles, render, runner
from plmbook.core import artifacts
from plmbook.core.errors import InputError


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project whose book stands."""
    root = make_project(tmp_path_factory.mktemp("built"))
    render.run_all("embedded", root=root)
    return root


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def copy_of(built, tmp_path):
    """A project with the executed notebooks of a finished book, without its site."""
    root = make_project(tmp_path)
    (root / "book" / "notebooks").mkdir()
    for page in (built / "book" / "notebooks").glob("*.ipynb"):
        (root / "book" / "notebooks" / page.name).write_bytes(page.read_bytes())
    return root


class TestDeclaredParameters:
    def test_reads_what_papermill_misses(self):
        cell = 's = "a=b"\nseed: int = 0  # comment\nwide = {\n    "a": [1, 2.5, None, True],\n}\n'
        assert profiles.declared_parameters(cell) == {"s": "a=b", "seed": 0, "wide": {"a": [1, 2.5, None, True]}}

    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            ("seed = 0; other = 1", "one assignment a line"),
            ("pair = (1, 2)", "found a tuple"),
            ("table = {1: 2}", "found a dict"),
            ("path = Path('data')", "found an expression"),
            ("x = float('nan')", "found an expression"),
            ("import os", "expected an assignment"),
            ("a = b = 1", "one name"),
            ("a, b = 1, 2", "one name"),
            ("a = 1\na = 2", "assigned twice"),
        ],
    )
    def test_refuses(self, cell, message):
        with pytest.raises(profiles.ProfileError, match=message):
            profiles.declared_parameters(cell)


class TestParametersOf:
    def test_shared_and_own(self, project):
        chosen = profiles.parameters_of(project / "analysis/01_count.py", "embedded", root=project)
        assert chosen == {"threshold": 1, "n_posts": 4, "names": ["PTEN"]}
        assert profiles.parameters_of(project / "analysis/90_run.py", "embedded", root=project) == {}

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("n_posts", "n_post", r"01_count has no parameter 'n_post'.*did you mean 'n_posts'"),
            ("threshold", "treshold", r"shared parameter 'treshold' is declared by no notebook.*'threshold'"),
            ("01_count", "01_cuont", r"no notebook analysis/01_cuont.py.*'01_count'"),
            ("n_posts: 4", "n_posts: four", r"expected int like the default 2, found str 'four'"),
            ("n_posts: 4", "n_posts: true", r"expected int like the default 2, found bool True"),
            ("notebooks", "notebook", r"unknown section 'notebook'"),
            ("{threshold", "{{threshold", r"not YAML"),
        ],
    )
    def test_refuses(self, project, old, new, message):
        edit(project / "analysis/profiles/embedded.yml", old, new)
        with pytest.raises(profiles.ProfileError, match=message):
            profiles.parameters_of(project / "analysis/01_count.py", "embedded", root=project)

    def test_unknown_profile_and_notebook(self, project):
        with pytest.raises(InputError, match="unknown profile 'embeded'.*did you mean 'embedded'"):
            runner.run_notebook("analysis/01_count.py", "embeded", root=project)
        with pytest.raises(InputError, match="no notebook analysis/01_cont.py.*'01_count.py'"):
            runner.run_notebook("analysis/01_cont.py", "embedded", root=project)


class TestRun:
    def test_pages_are_stamped_and_complete(self, built):
        page = nbformat.read(runner.page_of(built / "analysis/01_count.py", root=built), as_version=4)
        stamp = page.metadata["plmbook"]
        assert stamp["profile"] == "embedded"
        assert stamp["parameters"] == {"n_posts": 4, "label": "s = a=b", "names": ["PTEN"], "threshold": 1}
        assert stamp["source_sha256"] == artifacts.file_sha256(built / "analysis/01_count.py")
        assert stamp["seconds"] > 0
        assert stamp["versions"]["python"].startswith("3.")
        assert page.metadata["kernelspec"]["name"] == "python3"
        texts = [output.text for cell in page.cells for output in cell.get("outputs", []) if "text" in output]
        assert texts == ["5 s = a=b\n"]

    def test_appendix_runs_last_in_the_root(self, built):
        page = nbformat.read(runner.page_of(built / "analysis/90_run.py", root=built), as_version=4)
        assert page.cells[-1].outputs[0].data["text/plain"] == "1"  # it sees the page of the other notebook
        table = runner.stamps(root=built)
        assert table["notebook"].tolist() == ["01_count", "90_run"]
        assert (table["seconds"] > 0).all()

    def test_site(self, built):
        site = built / "book" / "_build" / "html"
        assert "A small book" in (site / "book" / "intro.html").read_text(encoding="utf-8")
        assert (site / "index.html").is_file()
        assert not list(site.parent.glob("html.*"))
        assert not (site / "_static" / "atlas").exists()  # without its page there is no atlas

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("assert n_posts < 100", "assert n_posts < 3", "code cell 3 failed with AssertionError: too many posts"),
            ("# only a comment", "import warnings; warnings.warn('old')  #", "wrote to stderr(.|\n)*UserWarning: old"),
            ("# %%\n# only", '# %% tags=["skip-execution"]\n# only', "code cell 4 is unexecuted"),
        ],
    )
    def test_a_failure_keeps_the_last_good_page(self, built, tmp_path, old, new, message):
        root = copy_of(built, tmp_path)
        page = root / "book/notebooks/01_count.ipynb"
        before = page.read_bytes()
        edit(root / "analysis/01_count.py", old, new)
        with pytest.raises(runner.RunError, match=message) as caught:
            runner.run_notebook("analysis/01_count.py", "embedded", root=root)
        assert "01_count.py" in str(caught.value) and "\x1b" not in str(caught.value)
        assert "the page of the last good run stays" in str(caught.value)
        assert page.read_bytes() == before
        assert (root / ".build/failed/01_count.ipynb").is_file()
        assert sorted(path.name for path in page.parent.iterdir()) == ["01_count.ipynb", "90_run.ipynb"]


class TestGate:
    def read(self, root):
        return nbformat.read(root / "book/notebooks/01_count.ipynb", as_version=4)

    def test_passes_a_good_page(self, built):
        assert runner.gate(self.read(built), built / "analysis/01_count.py", "embedded", root=built) == []

    def test_refuses_what_was_tampered_with(self, built):
        source = built / "analysis/01_count.py"
        notebook = self.read(built)
        notebook.metadata["plmbook"]["profile"] = "paper"
        notebook.metadata["papermill"]["parameters"]["n_posts"] = 3
        notebook.metadata["plmbook"]["source_sha256"] = "0" * 64
        notebook.cells[-2].execution_count = None
        faults = "\n".join(runner.gate(notebook, source, "embedded", root=built))
        for part in ("profile 'paper'", "ran with the parameters", "is stale", "unexecuted"):
            assert part in faults

    def test_refuses_an_error_output(self, built):
        notebook = self.read(built)
        cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
        cell.outputs = [nbformat.v4.new_output("error", ename="KeyError", evalue="'x'", traceback=["\x1b[31mat x"])]
        (fault,) = runner.gate(notebook, built / "analysis/01_count.py", "embedded", root=built)
        assert "code cell 1 failed with KeyError" in fault and "at x" in fault


class TestRender:
    """Each refusal comes before anything is published: the published site is a stand-in that must survive."""

    def published(self, root):
        site = root / "book/_build/html"
        site.mkdir(parents=True)
        (site / "index.html").write_text("the last good site", encoding="utf-8")
        return site / "index.html"

    def refused(self, root, message):
        index = self.published(root)
        with pytest.raises(runner.RunError, match=message):
            render.render("embedded", root=root)
        assert index.read_text(encoding="utf-8") == "the last good site"

    def test_the_atlas_is_written_where_its_page_is(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        (root / "book/atlas.md").write_text("# The atlas\n", encoding="utf-8")
        with (root / "book/_toc.yml").open("a", encoding="utf-8") as toc:
            toc.write("  - file: book/atlas\n")
        site = render.render("embedded", root=root).parent
        index = (site / "_static/atlas/data/index.js").read_text(encoding="ascii")
        assert "results/embedded/rescue_maps" in index  # the miniature has no such chapter, and the page will say so

    def test_stale_source(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        edit(root / "analysis/01_count.py", "n_posts + 1", "n_posts + 2")
        self.refused(root, "01_count.ipynb: is stale: 01_count.py has changed")

    def test_changed_profile(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        edit(root / "analysis/profiles/embedded.yml", "n_posts: 4", "n_posts: 5")
        self.refused(root, "ran with the parameters .*'n_posts': 4.* expected .*'n_posts': 5")

    def test_missing_pages(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        (root / "book/notebooks/90_run.ipynb").unlink()
        (root / "book/intro.md").unlink()
        self.refused(root, r"there is no book/intro.md(.|\n)*90_run.ipynb: has not been run")

    def test_sphinx_warning_and_again(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        edit(root / "book/intro.md", "{eq}`euler`", "{eq}`eular`")
        self.refused(root, "eular")
        # The second run must not be saved by the cache of the first, which has read the page and warned.
        with pytest.raises(runner.RunError, match="eular"):
            render.render("embedded", root=root)

    def test_failed_check_of_the_site(self, built, tmp_path):
        root = copy_of(built, tmp_path)
        edit(root / "book/intro.md", "It has", '<img src="https://example.org/a.png" alt="a">\n\nIt has')
        self.refused(root, "loads from outside: https://example.org/a.png")
