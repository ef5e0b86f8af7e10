"""A whole project in miniature: two notebooks of a few cells, a profile, a page, the real configuration of the book."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

COUNT = """# %% [markdown]
# # How many?
#
# With $n = 2$ there are $n + 1$ posts.

# %% tags=["parameters"]
n_posts = 2  # posts
label = "s = a=b"  # a value that looks like an assignment
names = ["TP53", "BRCA1"]  # genes
threshold = 0.5  # nats

# %%
assert n_posts < 100, "too many posts"
print(n_posts + 1, label)

# %%
# only a comment, and still a cell that runs

# %% [markdown]
# ![two posts](../_static/posts.svg)
"""

APPENDIX = """# %% [markdown]
# # The run

# %%
from pathlib import Path

len(list(Path("book/notebooks").glob("0*.ipynb")))
"""

INTRO = """# A small book

It has one chapter, [the count](notebooks/01_count.ipynb), and cites {cite:t}`Rives2021`.

$$ e^{i\\pi} + 1 = 0 $$ (euler)

See {eq}`euler`.

```{bibliography}
```
"""

BIBLIOGRAPHY = """@article{Rives2021,
  author = {Rives, Alexander and Meier, Joshua},
  title = {Biological structure and function emerge from scaling unsupervised learning},
  journal = {PNAS},
  year = {2021},
}
"""

TOC = """format: jb-book
root: book/intro
chapters:
  - file: book/notebooks/01_count
  - file: book/notebooks/90_run
"""

PROFILE = """description: two posts
shared: {threshold: 1}
notebooks:
  01_count: {n_posts: 4, names: [PTEN]}
"""

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="2" height="9"/></svg>'


def make_project(root: Path) -> Path:
    """Write the project, with the repository's `_config.yml` and stylesheet.

    MathJax is stood in for by a file of a line: the checks ask whether a script is there, not what it does.
    """
    files = {
        "analysis/01_count.py": COUNT,
        "analysis/90_run.py": APPENDIX,
        "analysis/profiles/embedded.yml": PROFILE,
        "book/intro.md": INTRO,
        "book/references.bib": BIBLIOGRAPHY,
        "book/_toc.yml": TOC,
        ".pytest_cache/README.md": "# Not a page\n",
        "data/README.md": "# Not a page either\n",
        "book/_static/posts.svg": SVG,
        "book/_static/vendor/mathjax/tex-svg-full.js": "/* in place of MathJax */\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copy(REPOSITORY / "_config.yml", root)
    shutil.copy(REPOSITORY / "book" / "_static" / "plmbook.css", root / "book" / "_static")
    return root
