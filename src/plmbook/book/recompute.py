"""Every result table of a profile, computed from its inputs: what `make results` runs."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

import pandas as pd

from plmbook import models
from plmbook.book import evaluation, profiles
from plmbook.function import proteomes
from plmbook.function import studies as function
from plmbook.probing import studies as probing
from plmbook.tables import derived
from plmbook.tasks import studies as tasks
from plmbook.variants import studies as variants

# Those of a room in the order of its file, since later ones read what earlier ones made; no room reads another's.
STUDIES = {
    title: study
    for room in (variants, probing, tasks, function)
    for title, study in derived.STUDIES.items()
    if study.__module__ == room.__name__
}


def profile_options(profile: str) -> dict[str, dict]:
    """What a profile asks of studies besides the model: options by the title of the study, as its notebooks pass them.
    Whole proteomes that it reads are fetched and compiled where the cache lacks them.
    """
    chosen = profiles.load_profile(profile)
    asked = {k: v for name, own in chosen["notebooks"].items() if name.endswith("_layers") for k, v in own.items()}
    names = {field.name for field in fields(function.LAYERS)}
    settings = replace(function.LAYERS, **{name: value for name, value in asked.items() if name in names})
    found: dict[str, dict] = {"layers": {"settings": settings}}
    if chosen["shared"].get("whole_proteomes"):
        collection = proteomes.load(function.GO_COLUMN, whole=True)
        for title, study in STUDIES.items():
            if "collection" in inspect.signature(study).parameters:
                found.setdefault(title, {})["collection"] = collection
    return found


def asked_for(profile: str, model: str) -> list[str]:
    """Titles of the studies that a profile needs of a model: all, or where single notebooks name it those they call."""
    content = profiles.load_profile(profile)
    named = {name: models.expand(own.get("model_names", ["embedded"])) for name, own in content["notebooks"].items()}
    alone = [source for source in profiles.notebooks() if model in named.get(source.stem, ())]
    if model in models.expand([*content["shared"].get("model_names", []), "embedded"]) or not alone:
        return list(STUDIES)
    text = "".join(source.read_text(encoding="utf-8") for source in alone)
    return [title for title, study in STUDIES.items() if f"studies.{study.__name__}(" in text]


def recompute(
    profile: str = "embedded",
    model_names: Sequence[str] | None = None,
    *,
    options: Mapping[str, Mapping] | None = None,
    device: str = "auto",
    progress: bool = False,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Compute every result table of a profile from its inputs, derived tables included: what `make results` runs.

    Parameters
    ----------
    profile : str
        Names the folder under `results/`, and says which proteins are read for GO terms.
    model_names : sequence of str, optional
        Models or ensembles; default: those of the profile. The tables of a bundled model are also written to
        `data/derived`, and how it fares in every test into its card.
    options : mapping of str to mapping, optional
        Of studies, by title; default: `profile_options`.
    device, progress, say : str, bool, callable
        Where models run, whether bars are shown, and what takes each line of the report.

    Returns
    -------
    DataFrame
        As `derived.records`.
    """
    start = time.perf_counter()
    names = models.expand(model_names or profiles.profile_models(profile))
    options = profile_options(profile) if options is None else options
    for name in names:
        card = models.card(name)
        # what is shipped is to be the same everywhere: no processor's bfloat16
        dtype = "float32" if card.bundled or card.packaged else "auto"
        model, found = models.load(name, device=device, dtype=dtype), {}
        for title in asked_for(profile, name):
            begun = time.perf_counter()
            say(f"{title}, {model.name} ...")
            found[title] = STUDIES[title](
                model, profile=profile, recompute=True, progress=progress, **options.get(title, {})
            )
            say(f"{title}, {model.name}: {len(found[title]):,} rows in {time.perf_counter() - begun:.0f} s")
        if model.card.bundled:
            evaluation.write_card(name, evaluation.from_studies(found, model.name))
    made = derived.records(profile)
    for row in made.itertuples():
        say(f"  {row.table}, {row.model}: {row.status}, {row.rows:,} rows, {row.seconds:.0f} s")
    say(f"all result tables of {profile} in {time.perf_counter() - start:.0f} s")
    return made
