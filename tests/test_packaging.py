"""The files around the package agree: pins, environments, licences, commands, table of contents."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from miniature import REPOSITORY
from plmbook.book import profiles, render
from plmbook.models.cards import expand


def read(name):
    return (REPOSITORY / name).read_text(encoding="utf-8")


def lock():
    """The pins of requirements.lock: canonical name to version."""
    lines = [line for line in read("requirements.lock").splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


class TestLock:
    def test_exact_pins_and_nothing_else(self):
        for line in read("requirements.lock").splitlines():
            # no hash, no local suffix (+cpu), no marker, no address: wheels differ between platforms
            assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
        assert len(lock()) > 100

    def test_only_what_is_needed(self):
        for name in lock():
            assert not name.startswith(("nvidia", "triton", "cuda"))  # torch brings its own on each platform
        assert "pip" not in lock()

    def test_pins_satisfy_pyproject(self):
        requirements = project()["dependencies"] + project()["optional-dependencies"]["dev"]
        for requirement in map(Requirement, requirements):
            assert lock()[canonicalize_name(requirement.name)] in requirement.specifier, requirement

    def test_installed_is_what_is_locked(self):
        """The tests run on the pinned versions, or their result says nothing about `make book`."""
        from importlib.metadata import version

        for name in ("jupyter-book", "papermill", "jupytext", "sphinx", "pandas", "torch", "scikit-learn"):
            assert version(name).split("+")[0] == lock()[name]


class TestProject:
    def test_extras_and_command(self):
        assert set(project()["optional-dependencies"]) == {"dev", "cluster", "hub"}
        assert project()["scripts"] == {"plmbook": "plmbook.cli:main"}

    def test_versions_agree(self):
        citation = yaml.safe_load(read("CITATION.cff"))
        assert citation["version"] == project()["version"]
        assert citation["license"] == project()["license"] == "MIT"
        assert "doi" not in citation  # none until an archive has given one

    def test_environment_is_in_step_with_the_lock(self):
        environment = yaml.safe_load(read("environment.yml"))
        assert environment["channels"] == ["conda-forge", "nodefaults"]
        pins = dict(item.split("=") for item in environment["dependencies"] if "=" in item)
        by_pip = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
        pins |= dict(item.split("==") for items in by_pip for item in items)
        assert pins.pop("python") == "3.11"
        pins["torch"] = pins.pop("pytorch")
        for name, version in pins.items():
            assert f"{lock()[name]}.".startswith(f"{version}."), name
        direct = {canonicalize_name(Requirement(item).name) for item in project()["dependencies"]}
        assert direct <= set(pins)


class TestNode:
    def test_lock_has_integrity_and_no_addresses(self):
        package, locked = json.loads(read("package.json")), json.loads(read("package-lock.json"))
        for version in package["dependencies"].values():
            assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked["packages"][""]["dependencies"] == package["dependencies"]
        installed = {name: entry for name, entry in locked["packages"].items() if name}
        assert installed
        for entry in installed.values():
            assert entry["integrity"].startswith("sha512-")
            assert "resolved" not in entry

    def test_no_file_names_a_registry(self):
        for name in ("package.json", "package-lock.json", ".npmrc", "requirements.lock", "environment.yml", "Makefile"):
            assert not re.search(r"https?://|--(extra-)?index-url|registry=", read(name)), name


class TestMake:
    def run(self, *arguments):
        return subprocess.run(["make", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)

    def test_help_is_the_default_and_lists_every_target(self):
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert done.stdout == self.run("help").stdout
        phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[1].split()
        for target in set(phony) - {"FORCE", "pages"}:
            assert re.search(rf"^  make {target}\s+\S", done.stdout, re.MULTILINE), target

    def test_notebook_rules(self, tmp_path):
        """A changed module runs the notebooks that import it, and the appendix; a finished book runs nothing."""
        imports = {
            "01_a": "from plmbook.variants import effects",
            "02_b": "from plmbook.book import figures",
            "03_c": "from plmbook.core import paths",
            "90_run": "",
        }
        headers = {"03_c": "# ---\n# jupyter:\n#   make:\n#     after: [02_b]\n# ---\n"}
        for name, line in imports.items():
            (tmp_path / "analysis" / "profiles").mkdir(parents=True, exist_ok=True)
            source = f"{headers.get(name, '')}# %%\n{line}\n"
            (tmp_path / "analysis" / f"{name}.py").write_text(source, encoding="utf-8")
        package = "src/plmbook"
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        page = (f"{package}/book/atlas.py", "book/_static/atlas/atlas.js")
        for name in ("analysis/profiles/embedded.yml", page[1], "data/genes.tsv", "data/make/genes.py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("", encoding="utf-8")
        for name in ("Makefile", "requirements.lock", "_config.yml"):
            shutil.copy(REPOSITORY / name, tmp_path)
        program = tmp_path / "env" / "bin" / "plmbook"
        program.parent.mkdir(parents=True)
        # In place of the runner: says what it was asked to do, and makes the page.
        program.write_text(
            "#!/bin/sh\n"
            "out=book/_build/html/index.html\n"
            '[ "$4" = --render ] || out=book/notebooks/$(basename "$5" .py).ipynb\n'
            'mkdir -p "$(dirname "$out")"\n'
            'touch "$out"\n'
            'echo "$@"\n',
            encoding="utf-8",
        )
        python = program.with_name("python")
        python.write_text(f'#!/bin/sh\nPYTHONPATH=src exec "{sys.executable}" "$@"\n', encoding="utf-8")
        for each in (program, python):
            each.chmod(0o755)
        for ready in ("node_modules/.ready", "book/_static/vendor/.ready", "env/.weights"):
            (tmp_path / ready).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / ready).write_text("", encoding="utf-8")

        def pages(profile="embedded"):
            command = ["make", "-j2", "pages", f"VENV={tmp_path / 'env'}", f"PROFILE={profile}"]
            command += ["-o", "node_modules/.ready", "-o", "book/_static/vendor/.ready"]
            command += ["-o", str(tmp_path / "env/.weights")]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            words = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("book --profile")]
            return [word.removeprefix("analysis/").removesuffix(".py") for word in words]

        def change(name):
            later = (tmp_path / "book/_build/html/index.html").stat().st_mtime + 0.01
            time.sleep(0.05)  # so that what is made next is newer still
            os.utime(tmp_path / name, (later, later))

        (tmp_path / "book/api").mkdir()
        (tmp_path / "book/api/core.md").write_text("", encoding="utf-8")
        first = pages()
        assert sorted(first[:3]) == ["01_a", "02_b", "03_c"] and first[3:] == ["90_run", "--render"]
        assert first.index("02_b") < first.index("03_c")  # 01_a may end before, between or after
        assert pages() == []
        everything = ["01_a", "02_b", "03_c", "90_run", "--render"]
        for name, expected in {
            "analysis/01_a.py": ["01_a", "90_run", "--render"],
            "analysis/02_b.py": ["02_b", "03_c", "90_run", "--render"],
            "analysis/90_run.py": ["90_run", "--render"],
            f"{package}/variants/effects.py": ["01_a", "90_run", "--render"],
            f"{package}/book/palette.json": ["02_b", "03_c", "90_run", "--render"],
            f"{package}/core/errors.py": everything,
            "data/genes.tsv": everything,
            "analysis/profiles/embedded.yml": everything,
            "_config.yml": ["--render"],
            "book/api/core.md": ["--render"],
            **dict.fromkeys(page, ["--render"]),
            f"{package}/cli.py": ["--render"],  # the API pages show docstrings
            "data/make/genes.py": [],
        }.items():
            change(name)
            assert sorted(pages(), key=lambda word: (word[0] == "-", word)) == expected, name
            assert pages() == [], name
        (tmp_path / f"{package}/variants/ngram.py").unlink()  # make goes on where a module was taken away
        (tmp_path / f"{package}/variants/effects.py").write_text("", encoding="utf-8")
        assert pages() == ["01_a", "90_run", "--render"]
        (tmp_path / "analysis/profiles/paper.yml").write_text("", encoding="utf-8")
        assert len(pages("paper")) == 5  # another profile runs every notebook again

    def test_python_is_asked_for_by_its_version(self, tmp_path):
        """Without Python 3.11 the message says so, and nothing is made."""
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, tmp_path)
        tools = tmp_path / "bin"
        tools.mkdir()
        for name in ("bash", "sh", "make", "getconf", "find", "env"):
            (tools / name).symlink_to(shutil.which(name))
        (tools / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (tools / "python3").chmod(0o755)
        done = subprocess.run(
            ["make", "lint"], cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0 and "Python 3.11 is needed and was not found" in done.stderr
        assert not (tmp_path / ".venv").exists()


class TestBook:
    def test_table_of_contents_names_what_exists(self):
        for name in render.toc_files():
            source = name.replace("book/notebooks/", "analysis/") + ".py"
            assert (REPOSITORY / f"{name}.md").is_file() or (REPOSITORY / source).is_file(), name

    def test_every_notebook_is_in_the_table_of_contents(self):
        named = render.toc_files()
        for source in profiles.notebooks():
            assert f"book/notebooks/{source.stem}" in named

    @pytest.mark.parametrize("profile", ["embedded", "small", "paper", "full"])
    def test_profiles_fit_the_notebooks(self, profile):
        assert profiles.load_profile(profile)["description"]
        for source in profiles.notebooks():
            parameters = profiles.parameters_of(source, profile)
            assert json.loads(json.dumps(parameters)) == parameters
            every = {**profiles.declared_by(source), **parameters}
            assert every.get("profile", profile) == profile  # it names the folder of the results
            assert expand(every.get("model_names", ["esm1v"]))  # an unknown model raises

    def test_notebooks_pair_through_jupytext(self):
        formats = tomllib.loads(read("jupytext.toml"))["formats"]
        assert formats == {"analysis/": "py:percent", "book/notebooks/": "ipynb"}

    def test_configuration(self):
        configuration = yaml.safe_load(read("_config.yml"))
        assert configuration["execute"]["execute_notebooks"] == "off"
        assert configuration["only_build_toc_files"] is True
        assert not re.search(r"https?://", read("_config.yml"))


class TestContinuousIntegration:
    def test_runs_the_commands_of_the_readme(self):
        commands = [line for line in read(".ci/run").splitlines() if line.startswith("make ")]
        assert commands[:2] == ["make book", "make test"]
        for command in commands[:2]:
            assert command in read("README.md")

    def test_is_strict_and_called(self):
        assert "set -euo pipefail" in read(".ci/run")
        assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111
        steps = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["book-and-tests"]["steps"]
        assert {"run": ".ci/run"} in steps

    def test_a_tag_publishes(self):
        workflow = yaml.safe_load(read(".github/workflows/publish.yml"))
        assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` as true
