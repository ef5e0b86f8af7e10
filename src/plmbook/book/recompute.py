"""Every result table of a profile, computed from its inputs: what `make results` runs."""

import time
from collections.abc import Callable, Sequence

import pandas as pd

from plmbook.book import profiles
from plmbook.function import proteomes
from plmbook.function.studies import (
    GO_COLUMN,
    LAYERS,
    go_answers,
    go_answers_again,
    go_embeddings,
    go_regressions,
    layer_answers,
    protein_map,
    residue_drops,
)
from plmbook.probing.studies import contact_precision, localisation, secondary_structure
from plmbook.tables.derived import records, ships
from plmbook.tasks.studies import downstream
from plmbook.variants.studies import heldout_likelihood, landscape_scores, rescores, variant_effects

STUDIES: dict[str, Callable[..., pd.DataFrame]] = {
    "variant effects": variant_effects,
    "held-out likelihood": heldout_likelihood,
    "contacts": contact_precision,
    "secondary structure": secondary_structure,
    "localisation": localisation,
    "rescues": rescores,
    "GO embeddings": go_embeddings,
    "downstream tasks": downstream,
    "GO answers": go_answers,
    "GO answers again": go_answers_again,
    "GO regressions": go_regressions,
    "residues masked": residue_drops,
    "layers": layer_answers,
    "map of proteins": protein_map,
    "landscapes": landscape_scores,
}

# Those of the proteins that a profile reads: the bundled sample, or whole proteomes.
OF_PROTEOMES = (
    "GO embeddings",
    "GO answers",
    "GO answers again",
    "GO regressions",
    "residues masked",
    "layers",
    "map of proteins",
)


def profile_options(profile: str) -> dict[str, dict]:
    """What a profile asks of studies besides the model: options by the title of the study, as its notebooks pass them.

    Whole proteomes are fetched and compiled where the profile reads them and they are not in the cache.

    Parameters
    ----------
    profile : str

    Returns
    -------
    dict of str to dict
        Keys are some of `STUDIES`; the options are `options` (of `layer_answers`) and `known` (of `OF_PROTEOMES`).

    Raises
    ------
    InputError
        Where there is no such profile, or as `plmbook.function.proteomes.load`.

    Examples
    --------
    >>> profile_options("embedded")["layers"]["options"]["n_residues"]
    230000
    """

    chosen = profiles.load_profile(profile)
    asked = chosen["notebooks"].get("14_layers", {})
    found: dict[str, dict] = {"layers": {"options": LAYERS | {k: v for k, v in asked.items() if k in LAYERS}}}
    if chosen["shared"].get("whole_proteomes"):
        known = proteomes.load(GO_COLUMN, whole=True)
        for title in OF_PROTEOMES:
            found.setdefault(title, {})["known"] = known
    return found


def recompute(
    profile: str = "embedded",
    model_names: Sequence[str] | None = None,
    *,
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
    device : str
        As in `plmbook.models.load`.
    progress : bool
        Show bars.
    say : callable
        Takes each line of the report.

    Returns
    -------
    DataFrame
        As `records`.
    """
    from plmbook import models
    from plmbook.book import evaluation

    start = time.perf_counter()
    names, options = models.expand(model_names or profiles.profile_models(profile)), profile_options(profile)
    for name in names:
        model, found = models.load(name, device=device), {}
        for title, study in STUDIES.items():
            begun = time.perf_counter()
            say(f"{title}, {model.name} ...")
            found[title] = study(model, profile=profile, recompute=True, progress=progress, **options.get(title, {}))
            say(f"{title}, {model.name}: {len(found[title]):,} rows in {time.perf_counter() - begun:.0f} s")
        if ships(model):
            evaluation.write_card(name, evaluation.from_studies(found, model.name))
    made = records(profile)
    for row in made.itertuples():
        say(f"  {row.table}, {row.model}: {row.status}, {row.rows:,} rows, {row.seconds:.0f} s")
    say(f"all result tables of {profile} in {time.perf_counter() - start:.0f} s")
    return made
