# %% [markdown]
# # Appendix: this run
#
# With which models, tables, versions and machine were these pages made, how long did each take, and which results were
# shipped rather than computed?
# Whoever doubts a number begins here.
#
# **Inputs.** The executed notebooks in `book/notebooks`, the records in `results/<profile>/derived`,
# `data/registry.txt`, the bundled tables and models.
#
# **Outputs.** `results/<profile>/run.parquet`, the times; nothing else is computed here.
#
# **Runtime.** Seconds.

# %% tags=["parameters"]
profile = "embedded"  # names the folder of the results

# %%
import ast
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

import plmbook
from plmbook import sources, tables
from plmbook.book import profiles, runner, show
from plmbook.core import artifacts, machine, paths
from plmbook.models import cards
from plmbook.models.files import weights_path
from plmbook.tables import derived
from plmbook.tables.published import TABLES, published

# %% [markdown]
# ## What was run
#
# A profile is a set of parameters for all notebooks.
# The commit is that of the checkout; `-dirty` says that tracked files were changed since.

# %% tags=["hide-input"]
described = profiles.load_profile(profile)["description"]
show.table(
    pd.DataFrame(
        [
            ("profile", f"{profile}: {described}"),
            ("plmbook", plmbook.__version__),
            ("commit", machine.checkout(paths.root())),
        ],
        columns=["this run", ""],
    )
)

# %% [markdown]
# ## The bundled models
#
# The sha256 in the card is compared with that of the file.


# %% tags=["hide-input"]
def state_of(card: cards.Card) -> str:
    """Whether the weights are those that the card describes."""
    path = weights_path(card)
    if path is None:
        return "missing"
    return "as in the card" if artifacts.file_sha256(path) == card.sha256 else "changed"


bundled = cards.bundled_cards()
show.table(
    pd.DataFrame(
        {
            "model": [card.name for card in bundled],
            "parameters": [card.parameters for card in bundled],
            "sha256 of the weights": [card.sha256 for card in bundled],
            "file": [state_of(card) for card in bundled],
        }
    )
)

# %% [markdown]
# ## The machine

# %%
names = {"cores": "cores that it may use", "threads": "threads of torch in this notebook"}
hardware = {names.get(name, name): value for name, value in machine.hardware().items()}
show.table(pd.DataFrame(hardware.items(), columns=["machine", ""]))

# %% [markdown]
# ## The versions
#
# All of them are pinned in `requirements.lock`; these are the ones that a number may depend on.

# %%
show.table(pd.DataFrame(artifacts.versions(runner.STAMPED).items(), columns=["package", "version"]))

# %% [markdown]
# ## Times
#
# The runner writes on each page with which profile it ran, when, and how long.
# This page is not among them, since it is still running.

# %% tags=["hide-input"]
stamps = runner.stamps()
stamps = stamps[~stamps["notebook"].str.startswith(profiles.APPENDIX)].reset_index(drop=True)
times = stamps[["notebook", "profile", "seconds", "finished"]]
artifacts.save(times, "run", profile)
show.table(times, digits=1)

# %% [markdown]
# ## Shipped or computed
#
# Some tables take longer than a build should ({ref}`sec-derived`).
# A *shipped* one was used because its key fits; a sample of its rows was computed afresh and compared, and *largest
# difference* is what that found.
# A *computed* one was computed on this machine.

# %% tags=["hide-input"]
records = derived.records(profile)
shown = ["table", "model", "status", "rows", "sampled", "largest_difference", "tolerance", "seconds"]
show.table(
    records[shown].rename(columns={"sampled": "rows checked", "largest_difference": "largest difference"}), digits=4
)

# %% [markdown]
# The reasons, and the keys: the sha256 over the model, the inputs, the rows, the parameters and the version of the
# algorithm.

# %%
show.table(records[["table", "reason", "key"]])

# %% [markdown]
# ## The bundled tables
#
# Each file with its rows and its sha256; *recorded* says whether that is the one of `data/registry.txt`.

# %% tags=["hide-input"]
registry = sources.bundled()
rows = {tables.BUNDLED[name][0]: len(tables.load(name)) for name in tables.BUNDLED}
rows |= {f"published/{name}.csv": len(published(name)) for name in TABLES}
files = pd.DataFrame({"file": list(rows), "rows": list(rows.values())})
files["sha256"] = [artifacts.file_sha256(paths.data() / file) for file in files["file"]]
files["recorded"] = [registry.get(file) == found for file, found in zip(files["file"], files["sha256"], strict=True)]
show.table(files)

# %% [markdown]
# ## The figures
#
# Where the source of each figure begins, and the table behind it.
# [The figure map](../figures.md) says what each one shows.


# %% tags=["hide-input"]
def figures_of(source: Path) -> list[tuple[str, str]]:
    """The figures that a notebook shows: name, and file with line."""
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    shows = [call for call in calls if isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "show.figure"]
    return [(call.args[2].value, f"analysis/{source.name}, line {call.lineno}") for call in shows]


drawn = [figure for source in profiles.notebooks() for figure in figures_of(source)]
listed = pd.DataFrame(drawn, columns=["figure", "drawn at"])
listed["table behind it"] = [f"results/{profile}/figures/{name}.parquet" for name in listed["figure"]]
listed["written"] = [(paths.root() / place).is_file() for place in listed["table behind it"]]
show.table(listed)

# %% [markdown]
# ## What this shows

# %% tags=["hide-input"]
total = times["seconds"].sum()
n_shipped = int((records["status"] == "shipped").sum())
Markdown(f"""
- {len(times)} notebooks ran in {total:,.0f} seconds of their own time with the profile `{profile}`;
  two at a time take less.
- {n_shipped} of {len(records)} derived tables were shipped, with {int(records["sampled"].sum()):,} rows checked;
  {len(records) - n_shipped} were computed.
- {int(files["recorded"].sum())} of {len(files)} bundled tables are the recorded ones, and
  {int(listed["written"].sum())} of {len(listed)} figures have the table behind them on disk.
""")

# %% [markdown]
# ## Limits
#
# - The times are those of one run on one machine, with other notebooks beside it.
# - A commit names the tracked files. An archive of the sources has no commit; then the version is all there is.
# - That a sample agrees says little about the rows that were not drawn. `make results` computes all of them.
