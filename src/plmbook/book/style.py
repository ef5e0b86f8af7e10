"""Colours, marks and names of the book: one palette, `palette.json`, for the figures and for the scripts of the pages.

Colours of models, classes and ways are Okabe and Ito's (2008); a colour has one meaning across the book.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plmbook.core.errors import InputError

PALETTE = json.loads((Path(__file__).parent / "palette.json").read_text(encoding="utf-8"))

WIDTH = 5.0  # inches; at 10 points a letter is readable where a phone shrinks this to 360 pixels
DPI = 200

BUNDLED, ESM2, ESM1V, ALIGNMENT, GENE_SHARE = "bundled", "esm2", "esm1v", "alignment", "gene-share"
BASELINE = "baseline"  # any other rule that runs no model
UNIREP = "unirep"
GENERAL = "bundled, general"  # the bundled model that read none of the clusters of the 53 genes
RUN_HERE = BUNDLED  # beside published scores, whatever model of a profile was run has this colour
CLASS_COLOURS: dict[str, str] = PALETTE["classes"]
MODEL_COLOURS: dict[str, str] = PALETTE["models"]
MODEL_MARKS = dict(zip(MODEL_COLOURS, "DPhos^xv", strict=True))

# Ways of doing the same work, for the chapter on speed: ours has the colour of the bundled model, fair-esm ESM-2's.
WAY_COLOURS: dict[str, str] = PALETTE["ways"]
WAY_MARKS = {"plmbook": "D", "fair-esm": "o", "transformers": "s", "published": "o"}
LIMIT = "limit"  # of the machine: black and dotted, without marks
DTYPE_LINES: dict[str, Any] = {"float32": "-", "bfloat16": "--"}
POOL_LINES: dict[str, Any] = {
    "mean": {"linestyle": "-", "marker": "o"},
    "max": {"linestyle": "--", "marker": "s"},
    "bos": {"linestyle": "-.", "marker": "^"},
}

# Groups of proteins on a map: Paul Tol's "muted" scheme (2021), which shares no colour with the schemes above; a second
# round has another mark. What is in no group is grey and lies below.
GROUP_COLOURS: tuple[str, ...] = tuple(PALETTE["groups"])
GROUP_MARKS = "os^Dv"
SPECIES_COLOURS: tuple[str, ...] = tuple(PALETTE["species"])  # Tol's "high-contrast", in order of the species
REST: str = PALETTE["rest"]

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALETTE["rule"],
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
}


def kind(model: str) -> str:
    """What a model is in the colours of the book: a key of `MODEL_COLOURS`, such as `bundled`, `esm2` or `alignment`.
    >>> [kind(m) for m in ("esm1v_t33_650M_UR90S_3", "esm2_t33_650M_UR50D", "plmbook_t6_3M", "plmbook_t6_3M_general")]
    ['esm1v', 'esm2', 'bundled', 'bundled, general']
    >>> kind("cadd")
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: model 'cadd' has no colour in the book: expected a name that begins with ...
    """
    starts = {"plmbook": BUNDLED} | {each: each for each in (UNIREP, ESM2, ESM1V, ALIGNMENT, GENE_SHARE)}
    for start, found in starts.items():
        if model.startswith(start):
            return GENERAL if found == BUNDLED and model.endswith("_general") else found
    raise InputError(f"model {model!r} has no colour in the book: expected a name that begins with {', '.join(starts)}")


def label(model: str) -> str:
    """The name of a model as figures show it."""
    found = kind(model)
    if found == ESM2:
        return f"ESM-2 {model.split('_')[2]}"
    if found == ESM1V:
        return "ESM-1v, mean of 5" if model == "esm1v" else f"ESM-1v, member {model[-1]}"
    named = {ALIGNMENT: "alignment column", GENE_SHARE: "share of the gene", UNIREP: f"UniRep {model[7:]}"}
    return named.get(found, model)


def group_styles(groups: Sequence[str], *, colours: Sequence[str] = GROUP_COLOURS) -> dict[str, tuple[str, str]]:
    """A colour and a mark for each group, in their order; no two groups have the same of both.
    >>> group_styles(["human", "mouse"], colours=SPECIES_COLOURS)
    {'human': ('#004488', 'o'), 'mouse': ('#DDAA33', 'o')}
    """
    most = len(colours) * len(GROUP_MARKS)
    if len(groups) > most:
        raise InputError(f"{len(groups)} groups; colours and marks tell {most} apart")
    return {
        group: (colours[place % len(colours)], GROUP_MARKS[place // len(colours)]) for place, group in enumerate(groups)
    }


def published_mark(family: str) -> dict[str, Any]:
    """Colour and mark of a published model by the family of its card; grey where the family has no colour."""
    return {"color": MODEL_COLOURS.get(family, PALETTE["other"]), "marker": MODEL_MARKS.get(family, "v")}


def page_script() -> str:
    """The palette as a classic script for the pages: `plmbookPalette`, which the atlas reads."""
    return f"window.plmbookPalette = {json.dumps(PALETTE)};\n"


def page_rules() -> str:
    """The palette as CSS custom properties: `--p-lp`, `--b-lb`, `--vus`, `--other`, `--variant`, `--plddt-90`, ..."""
    atlas = PALETTE["atlas"]
    named = {name.lower().replace("/", "-"): colour for name, colour in CLASS_COLOURS.items()}
    named |= {name: atlas[name] for name in ("variant", "candidate", "positive", "negative")}
    named |= {f"plddt-{least}": colour for least, colour in atlas["confidence"]}
    return ":root {\n" + "".join(f"  --{name}: {colour};\n" for name, colour in named.items()) + "}\n"
