"""The checks of the built site, on the built miniature and on pages that break each rule.

The real book is checked by the same function: the runner calls it before it publishes, `make check-site` again.
"""

import subprocess
import sys

import pytest

from miniature import make_project
from plmbook.book import render
from plmbook.book.site import check_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = make_project(tmp_path_factory.mktemp("site"))
    return render.run_all("embedded", root=root).parent


def test_miniature_is_clean(site):
    assert check_site(site) == []


def test_no_file_names_a_script_or_style_of_a_cdn(site):
    """The grep of a suspicious reader: `grep -rE 'https?://[^" ]+\\.(js|css)'` on what is loaded."""
    found = [
        path.name
        for path in site.rglob("*")
        if path.suffix in (".html", ".css")
        for word in path.read_text(encoding="utf-8").split('"')
        if word.startswith("http") and word.endswith((".js", ".css"))
    ]
    assert found == []
    page = (site / "book" / "intro.html").read_text(encoding="utf-8")
    assert "_static/vendor/mathjax/tex-svg-full.js" in page
    for host in ("cdn.jsdelivr", "cdnjs", "unpkg", "googleapis", "googletagmanager"):
        assert host not in page


def test_stylesheet_of_the_book_is_loaded(site):
    assert "_static/plmbook.css" in (site / "book" / "intro.html").read_text(encoding="utf-8")
    assert (site / "_static" / "plmbook.css").is_file()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<script src="https://example.org/a.js"></script>', "loads from outside: https://example.org/a.js"),
        ('<script src="//example.org/a.js"></script>', "loads from outside: //example.org/a.js"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "loads from outside"),
        ('<link rel="preload" as="font" href="https://example.org/a.woff2">', "loads from outside"),
        ('<img src="https://example.org/a.png" alt="a">', "loads from outside"),
        ('<iframe src="https://example.org/"></iframe>', "loads from outside"),
        ('<script>u = "https://example.org/a.js"</script>', "an inline script names https://example.org/a.js"),
        ('<script src="gone.js"></script>', "a file that does not exist: gone.js"),
        ('<a href="gone.html">x</a>', "a file that does not exist: gone.html"),
        ('<a href="#gone">x</a>', "an anchor that does not exist: #gone"),
        ('<a href="other.html#gone">x</a>', "an anchor that does not exist: other.html#gone"),
        ('<img src="a.png">', "an image without alt text: a.png"),
        ('<img src="a.png" alt=" ">', "an image without alt text: a.png"),
        ('<div class="output traceback highlight">x</div>', "an output of the kind traceback"),
        ('<div class="output stderr highlight">x</div>', "an output of the kind stderr"),
        ('<style>@import "https://example.org/a.css"</style>', "an inline style names https://example.org/a.css"),
    ],
)
def test_each_rule(tmp_path, body, fault):
    (tmp_path / "other.html").write_text('<p id="here">y</p>', encoding="utf-8")
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(body, encoding="utf-8")
    faults = check_site(tmp_path)
    assert len(faults) == 1 and fault in faults[0] and faults[0].startswith("index.html: ")


def test_what_is_allowed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.html").write_text('<p id="here">y</p>', encoding="utf-8")
    (tmp_path / "index.html").write_text(
        '<a href="https://doi.org/10.1/x">doi</a><a href="mailto:a@b.c">m</a><a href="sub/a%20b.html#here">l</a>'
        '<a href="#">top</a><img src="data:image/png;base64,AAAA" alt="two posts">'
        '<link rel="next" href="sub/a b.html">',
        encoding="utf-8",
    )
    assert check_site(tmp_path) == []


def test_stylesheets_and_empty_folders(tmp_path):
    assert "no pages" in check_site(tmp_path)[0]
    (tmp_path / "index.html").write_text("<p>x</p>", encoding="utf-8")
    (tmp_path / "a.css").write_text("@import url('https://example.org/font.css');", encoding="utf-8")
    assert check_site(tmp_path) == ["a.css: loads from outside: https://example.org/font.css"]
    (tmp_path / "a.css").write_text("p { background: url(//example.org/p.png) }", encoding="utf-8")
    assert check_site(tmp_path) == ["a.css: loads from outside: //example.org/p.png"]


def test_command_of_make_check_site(tmp_path):
    (tmp_path / "index.html").write_text('<img src="a.png">', encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "plmbook.book.site", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "alt text" in done.stdout
    (tmp_path / "index.html").write_text("<p>fine</p>", encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "plmbook.book.site", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0
