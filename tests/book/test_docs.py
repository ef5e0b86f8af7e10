"""The README and the book's own pages: what they name exists, what they show runs, what they count is so."""

import ast
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from miniature import REPOSITORY
from plmbook import tables
from plmbook.book import readme, render
from plmbook.cli import app, main
from plmbook.core import machine
from plmbook.tables import bundled

PAGES = sorted(path for path in REPOSITORY.glob("book/*.md"))
SOURCES = sorted(REPOSITORY.glob("analysis/[0-9]*.py"))
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
ROOT_FILES = ("README.md", "LICENSE", "CITATION.cff", "Makefile", "environment.yml", "requirements.lock")
BUILT = ("results/embedded", "results/<profile>/derived", "book/notebooks", "book/_build/html/index.html")
FOLDERS = ("analysis", "book", "data", "results", "src", "tests", ".venv")


def text(path):
    return path.read_text(encoding="utf-8")


def prose(source):
    """The Markdown of a notebook, without its comment signs."""
    cells = re.split(r"^# %%", text(source), flags=re.MULTILINE)
    return "\n".join(re.sub(r"^# ?", "", cell, flags=re.MULTILINE) for cell in cells if cell.startswith(" [markdown]"))


def documents():
    """Everything that a reader reads: name to Markdown."""
    found = {"README.md": README} | {path.name: text(path) for path in PAGES}
    return found | {source.name: prose(source) for source in SOURCES}


def without_fences(markdown):
    return re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def named_paths(markdown):
    """The places in the repository that a text names in code type, links and pictures."""
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_fences(markdown))
    spans += re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", markdown)
    places = [span for span in spans if re.fullmatch(r"[\w.<>*/-]+", span)]
    return {place for place in places if place in ROOT_FILES or place.split("/")[0] in FOLDERS}


def figures_of(source):
    """The names of the figures that a notebook shows."""
    calls = [node for node in ast.walk(ast.parse(text(source))) if isinstance(node, ast.Call)]
    shown = [call for call in calls if ast.unparse(call.func) == "show.figure"]
    return [call.args[2].value for call in shown]


def figures():
    return {name: source for source in SOURCES for name in figures_of(source)}


def made_by_a_build(place):
    """Why a path that git ignores will be there after `make book`: None, or what is wrong."""
    if place in BUILT:
        return None
    if place.startswith(".venv"):
        return None if "-m venv" in text(REPOSITORY / "Makefile") else "no rule makes .venv"
    found = re.fullmatch(r"results/(?:embedded|<profile>)/(figures/)?([\w.]+?)(\*?)(?:\.parquet)?", place)
    if not found:
        return f"no rule for {place}"
    folder, name, star = found.groups()
    if folder:
        return None if name in figures() else f"no notebook shows a figure {name}"
    written = {w for source in SOURCES for w in saved_by(source)}
    match = any(w.startswith(name) for w in written) if star else name in written
    return None if match else f"no notebook saves {name}; they save {sorted(written)}"


def saved_by(source):
    """The names under which a notebook saves result tables; a variable in a name stands for every string there."""
    tree = ast.parse(text(source))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) != "artifacts.save":
            continue
        name = call.args[1]
        if isinstance(name, ast.Constant):
            yield name.value
        elif isinstance(name, ast.JoinedStr):
            start = name.values[0].value
            yield from (f"{start}{string}" for string in strings)


# --- commands, paths, words ------------------------------------------------------------------------------


def targets():
    makefile = text(REPOSITORY / "Makefile")
    return set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize("name", documents())
def test_every_make_target_exists(name):
    code = re.findall(r"`(make [^`\n]+)`|^ {4}(make .*)$", documents()[name], flags=re.MULTILINE)
    for command in ("".join(found) for found in code):
        for word in command.split()[1:]:
            if "=" not in word:
                assert word in targets(), command
            elif word.startswith("PROFILE="):
                assert (REPOSITORY / f"analysis/profiles/{word.removeprefix('PROFILE=')}.yml").is_file(), command
            else:
                assert word.split("=")[0] in ("VENV", "JOBS"), command


def test_readme_says_two_commands():
    """A newcomer needs two; they stand alone on a line, and CI runs them."""
    commands = re.findall(r"^ {4}(\S.*)$", README, flags=re.MULTILINE)
    assert commands == ["make book", "make test"]
    assert set(commands) <= set(text(REPOSITORY / ".ci/run").splitlines())


@pytest.mark.parametrize("name", documents())
def test_every_path_exists(name):
    for place in named_paths(documents()[name]):
        if place.startswith(("results", ".venv", "book/notebooks", "book/_build")):
            assert made_by_a_build(place) is None
        else:
            assert (REPOSITORY / place).exists(), place


def test_paths_are_found():
    """The finder finds: it would not notice a missing file if it saw no names."""
    found = named_paths("`src/x.py` and `make book`, `README.md`, ![p](book/p.png), `R175H`, `esm2/x`")
    assert found == {"src/x.py", "README.md", "book/p.png"}
    assert made_by_a_build("results/embedded/no_such_table.parquet")
    assert made_by_a_build("results/embedded/figures/no_such_figure.parquet")
    assert len(named_paths(README)) > 15


def named_tests(markdown):
    """The tests that a text names, each after its file: (file, test)."""
    file, found = "", []
    for span in re.findall(r"`(tests/[\w/]+\.py|test_\w+)`", without_fences(markdown)):
        if span.startswith("tests/"):
            file = span
        else:
            found.append((file, span))
    return found


def functions_of(source):
    """The names of the functions of a file."""
    return {node.name for node in ast.parse(text(source)).body if isinstance(node, ast.FunctionDef)}


def test_named_tests_are_found():
    assert named_tests("`tests/test_a.py`: `test_x`, `test_y`;\n`tests/test_b.py`: `test_z`. `x`") == [
        ("tests/test_a.py", "test_x"), ("tests/test_a.py", "test_y"), ("tests/test_b.py", "test_z"),
    ]  # fmt: skip


def test_what_we_corrected_names_tests_that_exist():
    """Each point that says what ours does names the tests that hold it."""
    page = text(REPOSITORY / "book/corrected.md")
    named = named_tests(page)
    assert [f"{file}: {name}" for file, name in named if name not in functions_of(REPOSITORY / file)] == []
    points = [point for point in re.split(r"^## ", page, flags=re.MULTILINE) if "**Ours.**" in point]
    assert len(points) > 5 and all(named_tests(point) or "The test above" in point for point in points)


@pytest.mark.parametrize("name", documents())
def test_links_between_pages_lead_to_pages(name):
    if name == "README.md":
        return_from = REPOSITORY
    else:
        return_from = REPOSITORY / "book" / ("notebooks" if name.endswith(".py") else ".")
    pages = {REPOSITORY / f"{page}" for page in render.toc_files()}
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", without_fences(documents()[name])):
        if not target.startswith(("http://", "https://", "#")):
            assert (return_from / target.split("#")[0]).resolve().with_suffix("") in pages, target


@pytest.mark.parametrize("name", documents())
def test_every_citation_is_in_the_references(name):
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", text(REPOSITORY / "book/references.bib"), flags=re.MULTILINE))
    groups = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", documents()[name])
    assert {key.strip() for group in groups for key in group.split(",")} <= keys


def glossary():
    """The terms of the glossary: what stands at the left margin of its directive."""
    body = re.search(r"```\{glossary\}\n(.*?)^```", text(REPOSITORY / "book/glossary.md"), re.DOTALL | re.MULTILINE)[1]
    return [line for line in body.splitlines() if line and not line.startswith(" ")]


@pytest.mark.parametrize("name", documents())
def test_every_term_is_in_the_glossary(name):
    used = re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", documents()[name])
    assert {term.casefold() for term in used} <= {term.casefold() for term in glossary()}


def test_glossary_holds_the_abbreviations_once():
    terms = glossary()
    assert len(terms) == len({term.casefold() for term in terms})
    field = {"PLM", "LLR", "P/LP", "B/LB", "VUS", "AUROC", "AUPRC", "pLDDT", "MSA", "CPD", "isoform", "MANE"}
    assert field | {"UniRef50", "UR50/D", "UR90/S", "BOS", "EOS", "token", "epistasis", "rescue mutation"} <= set(terms)


@pytest.mark.parametrize("name", documents())
def test_labels_exist(name):
    """`{eq}` and `{ref}` lead to labels of the book."""
    markdown = "\n".join(map(text, PAGES))
    labels = set(re.findall(r"\$\$ \(([\w-]+)\)", markdown) + re.findall(r"^\(([\w-]+)\)=$", markdown, re.MULTILINE))
    assert set(re.findall(r"\{(?:eq|ref)\}`([\w-]+)`", documents()[name])) <= labels


@pytest.mark.parametrize("name", documents())
def test_plain_words(name):
    """No result is typed into the introduction, and nobody is promised a medicine."""
    words = documents()[name].casefold()
    for word in ("state-of-the-art", "cutting-edge", "powerful", "seamless", "leverage", "robust "):
        assert word not in words, word
    if name == "intro.md":
        assert not re.search(r"\b0\.\d{2,}", words)
        assert "not" in words and "clinical use" in words


# --- the models of a profile -----------------------------------------------------------------------------


def unexpanded(code):
    """The models that code loads by a name just as it stands in `model_names`, where it may be that of an ensemble."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        loops = [node] if isinstance(node, ast.For) else getattr(node, "generators", [])
        names = {ast.unparse(loop.target) for loop in loops if ast.unparse(loop.iter) == "model_names"}
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "models.load":
                loaded = ast.unparse(call.args[0])
                found |= {loaded} if loaded in names or loaded.startswith("model_names[") else set()
    return sorted(found)


def test_chapters_open_ensembles_before_they_load_models():
    """`esm1v` stands for five models: `models.load` refuses the name, `models.expand` opens it."""
    assert unexpanded("for name in model_names:\n    model = models.load(name)") == ["name"]
    assert unexpanded("[models.load(x) for x in model_names]; models.load(model_names[0])") == ["model_names[0]", "x"]
    assert unexpanded("for name in models.expand(model_names):\n    models.load(name)") == []
    code = {source.name: text(source) for source in SOURCES}
    loading = [name for name in code if "\nmodel_names = " in code[name] and "models.load(" in code[name]]
    assert len(loading) > 10
    assert {name: unexpanded(code[name]) for name in loading if unexpanded(code[name])} == {}
    assert [name for name in loading if "models.expand(" not in code[name]] == []


# --- the figure map --------------------------------------------------------------------------------------


def mapped():
    """The rows of the figure map: name to (notebook, table)."""
    page = text(REPOSITORY / "book/figures.md")
    rows = re.findall(r"^\| `(\d\d_\w+)` \|.*\| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE)
    return {name: (notebook, table) for name, notebook, table in rows}


def test_the_map_holds_every_figure_and_no_other():
    assert {name: f"analysis/{source.name}" for name, source in figures().items()} == {
        name: notebook for name, (notebook, _) in mapped().items()
    }


def test_the_map_names_the_table_that_show_writes():
    for name, (_, table) in mapped().items():
        assert table == f"results/embedded/figures/{name}.parquet"


def test_every_figure_has_an_alternative_text_and_a_caption():
    import jupytext

    for source in SOURCES:
        for cell in jupytext.read(source).cells:
            if cell.cell_type == "code" and "show.figure(" in cell.source:
                assert len(cell.metadata["mystnb"]["image"]["alt"]) > 20, cell.source
                assert "caption=" in cell.source


# Chapters about the variants of ClinVar: every caption names its release, but for those that rest on other data.
CLINVAR = ("02", "03", "06", "07", "08", "10", "11")
OTHER_DATA = (
    "What was compared: the cards of ESM-2 and of a member of ESM-1v",
    "As printed by the rescue-mutation study",
    "Two changes in one codon, gnomAD 2.1",
    "*Changed missense*: the scores (wild-type marginals) of the two single changes",
    "Changed missense: how often the combination is called milder",
    "Rescued nonsense, ",
)


def captions(source):
    """Of each figure and table the code cell with the Markdown above it, and the caption as it is written."""
    import jupytext

    above, texts = "", {}
    for cell in jupytext.read(source).cells:
        if cell.cell_type != "code":
            above = cell.source
            continue
        nodes = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Assign | ast.Call)]
        for node in sorted(nodes, key=lambda node: node.lineno):
            if isinstance(node, ast.Assign):
                texts[ast.unparse(node.targets[0])] = ast.unparse(node.value)
            elif ast.unparse(node.func) in ("show.figure", "show.table"):
                written = "".join(ast.unparse(each.value) for each in node.keywords if each.arg == "caption")
                written = texts[written] if written == "caption" else written
                yield f"{above}\n{cell.source}", written.replace("{here}", texts.get("here", ""))


def test_captions_name_the_release_of_clinvar():
    found = [(source.name[:2], *each) for source in SOURCES for each in captions(source)]
    for chapter, cells, written in found:
        rests = chapter in CLINVAR and not any(start in written for start in OTHER_DATA)
        if rests or "ClinVar" in cells:
            assert "{release}" in written, f"chapter {chapter}: {written or cells}"
    for start in OTHER_DATA:
        assert any(start in written for _, _, written in found), f"no caption begins so: {start}"


# --- the snippets of the README --------------------------------------------------------------------------


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def own_proteins(tmp_path, monkeypatch):
    """A newcomer's folder with the two files that the README shows."""
    (tmp_path / "proteins.fasta").write_text(block("fasta"), encoding="utf-8")
    (tmp_path / "variants.tsv").write_text(block("tsv"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_five_lines_of_python_run(own_proteins):
    lines = block("python").splitlines()
    assert len(lines) == 5
    names = {}
    exec("\n".join(lines), names)
    scores = names["scores"]
    assert scores["mutation"].tolist() == ["E7V", "C96Y"]
    assert scores["score"].notna().all() and (scores["strategy"] == "masked-marginals").all()
    assert scores["model"].unique().tolist() == [names["model"].name]


def test_the_command_line_runs(own_proteins):
    (command,) = block("sh").splitlines()
    program, *arguments = command.split()
    assert program == "plmbook"
    assert main([*arguments, "--quiet"]) == 0
    scores = pd.read_csv(own_proteins / "scores.tsv", sep="\t")
    assert scores.columns.tolist() == ["id", "mutation", "note", "model", "strategy", "score"]
    assert len(scores) == 2


def test_the_readme_names_models_and_strategies_that_exist():
    from plmbook.models import expand

    assert expand(re.findall(r"`--model (\S+)`", README))
    known = {command.name or command.callback.__name__ for command in app.registered_commands} | {"data"}
    assert set(re.findall(r"`plmbook ([a-z]+)", README)) <= known


# --- the numbers of the README ---------------------------------------------------------------------------


def test_the_block_is_what_the_tables_give():
    assert readme.split(README)[1] == readme.block(readme.glance()), "run: python -m plmbook.book.readme"


def test_the_published_numbers_are_those_of_the_study():
    """The AUROC of the published scores on all rows that have one, and within the 34 genes with 5 of each class."""
    numbers = readme.split(README)[1]
    assert re.search(r"ESM-2 650M, published \| 3,570 \+ 778 \| 0\.861 .*\| 0\.855 .* 34 genes", numbers)
    assert re.search(r"ESM-1v, mean of five, published \| 3,647 \+ 779 \| 0\.893 ", numbers)
    assert re.search(r"alignment column \| 3,376 \+ 688 \| 0\.890 ", numbers)


def test_the_embedded_model_is_among_them():
    from plmbook.models import card

    assert card("embedded").name in readme.split(README)[1]


def test_a_changed_table_changes_the_block(monkeypatch):
    whole = tables.load("published_effects")
    few = whole[whole["gene"].isin(["TP53", "PTEN", "MSH2"])]
    real = tables.load
    monkeypatch.setattr(bundled, "load", lambda name: few if name == "published_effects" else real(name))
    assert readme.block(readme.glance(n=10)) != readme.split(README)[1]


# --- the appendix ----------------------------------------------------------------------------------------


def test_a_checkout_is_named_and_an_archive_is_not(tmp_path):
    assert machine.checkout(tmp_path) == "no git checkout"
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert machine.checkout(tmp_path) == "no commit"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "--quiet", "--allow-empty", "-m", "a"], check=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", machine.checkout(tmp_path))


def test_a_surrounding_repository_does_not_count(tmp_path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "archive").mkdir()
    assert machine.checkout(tmp_path / "archive") == "no git checkout"


def test_without_git(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.checkout(tmp_path) == "git not found"


def test_processor(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Fast 3000\n", encoding="utf-8")
    assert machine.processor(tmp_path / "cpuinfo") == "Fast 3000"
    assert machine.processor(tmp_path / "absent")


def test_hardware_is_complete():
    found = machine.hardware()
    assert set(found) == {"processor", "cores", "memory", "system", "torch", "device", "threads"}
    assert all(found.values())
    assert int(found["cores"]) >= 1


def test_the_readme_module_does_not_import_torch():
    code = "import sys, plmbook.book.readme, plmbook.core.machine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_toc_names_the_pages_of_the_frame():
    toc = yaml.safe_load(text(REPOSITORY / "book/_toc.yml"))
    assert toc["root"] == "book/intro"
    assert set(render.toc_files()) >= {f"book/{path.stem}" for path in PAGES}
