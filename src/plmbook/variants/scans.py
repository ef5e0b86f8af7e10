"""The scan of a table of variants, gene by gene: what the chapters and the atlas read of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.core.structures import Structure
from plmbook.tables import bundled
from plmbook.variants import alignment, distances, rescue
from plmbook.variants.rescue_tables import Rescue


class Scan(NamedTuple):
    """The tables of a scan by one model or ensemble, each with the column `model`."""

    pairs: pd.DataFrame  # of positions, P/LP and B/LB variants: `distances.position_pairs`, and score, z, wild
    candidates: pd.DataFrame  # `rescue_tables.RESCUE`
    variants: pd.DataFrame  # a row a variant: its own score, how much it moves, its best second substitution
    maps: pd.DataFrame  # `rescue_tables.RESCUE_MAPS`
    wild_type: pd.DataFrame  # `rescue_tables.RESCUE_WILD_TYPE`


def sample(variants: pd.DataFrame, most: int, *, seed: int) -> pd.DataFrame:
    """At most `most` variants of a gene, drawn with the seed, in their order; all where `most` is 0."""
    if not most:
        return variants
    shuffled = variants.sample(frac=1, random_state=seed)
    return variants.loc[sorted(shuffled.groupby("gene").head(most).index)].reset_index(drop=True)


def scan_table(
    models: Sequence,
    name: str,
    variants: pd.DataFrame,
    sequences: Mapping[str, str],
    *,
    structures: Mapping[str, Structure],
    orthologs: pd.DataFrame,
    top: int = rescue.TOP,
) -> Scan:
    """Scan every variant of a table (gene, mutation, position, alt, significance; each once), gene by gene."""
    parts = []
    for gene, part in variants.groupby("gene", sort=False):
        part = part.reset_index(drop=True)
        assemblies, residues = alignment.ortholog_residues(orthologs, gene, sequences[gene])
        found = rescue.scan_protein(
            models,
            sequences[gene],
            [parse_mutations(text) for text in part["mutation"]],
            id=gene,
            structure=structures[gene],
            orthologs=residues if assemblies else None,
            top=top,
            maps=True,
        )
        labelled = part["significance"].isin(bundled.LABELLED).to_numpy()
        pairs = _pair_table(found, labelled, structures[gene]) if labelled.any() else pd.DataFrame()
        parts.append((pairs, found.candidates, _summary(found, part), found.map_table, found.wild_type_table))
    whole = [[table.assign(model=name) for table in tables if len(table)] for tables in zip(*parts, strict=True)]
    return Scan(*(pd.concat(tables, ignore_index=True) for tables in whole))


def _pair_table(found: Rescue, labelled: np.ndarray, structure: Structure) -> pd.DataFrame:
    """Pairs of a protein by its `labelled` (bool (n,)) variants: mean |epistasis| as value, and score, z, wild."""
    by_position = {name: numbers[labelled] for name, numbers in found.by_position.items()}
    found = replace(found, mutations=tuple(compress(found.mutations, labelled)), by_position=by_position)
    by, table = found.by_position, distances.position_pairs(found, structure)
    wild = np.broadcast_to(np.abs(found.score_wild_type).sum(axis=1) / 19, by["z"].shape)
    for name, numbers in {"score": np.abs(by["mean_score_background"]), "z": np.abs(by["z"]), "wild": wild}.items():
        positions, _, means = distances.position_means(found, numbers)
        table[name] = means[np.searchsorted(positions, table["position"] - 1), table["partner"] - 1]
    return table


def _summary(found: Rescue, part: pd.DataFrame) -> pd.DataFrame:
    """A row a variant: its own score, how much it moves, and its best second substitution by epistasis."""
    own = part["position"].to_numpy() - 1, [AMINO_ACIDS.index(alt) for alt in part["alt"]]
    best = found.candidates[found.candidates["rank"] == 1].drop_duplicates("mutation").set_index("mutation")
    best = best.loc[list(found.mutations)].reset_index()
    return pd.DataFrame(
        {
            "id": found.id,
            "mutation": found.mutations,
            "significance": part["significance"],
            "score_wild_type": found.score_wild_type[own],
            "mean_abs_epistasis": np.nanmean(found.by_position["mean_abs_epistasis"], axis=1),
            "best": best["ref"] + best["position"].astype(str) + best["alt"],
            "best_epistasis": best["epistasis"],
            "best_distance_angstrom": best["distance_angstrom"],
            "best_score_background": np.nanmax(found.by_position["max_score_background"], axis=1),
        }
    )


def misplaced(models: Sequence, variants: pd.DataFrame, sequences: Mapping[str, str]) -> pd.DataFrame:
    """Variants of another isoform, scanned at the residue that ClinVar means and at ClinVar's number: gene, clinvar,
    right, scanned, same_best (same best second substitution), spearman (of mean |epistasis| along the chain).
    """
    rows = []
    for gene, part in variants.groupby("gene"):
        sequence, both_places = sequences[gene], {}
        for row in part.itertuples():
            right = Mutation(row.aligned_position, sequence[row.aligned_position - 1], row.alt)
            if sequence[row.position - 1] != row.alt:  # else the script scanned the wild type
                both_places[row.mutation] = (right, Mutation(row.position, sequence[row.position - 1], row.alt))
        distinct = list(dict.fromkeys((each,) for both in both_places.values() for each in both))
        found = rescue.scan_protein(models, sequence, distinct, id=gene, top=1)
        best = found.candidates[found.candidates["rank"] == 1].drop_duplicates("mutation").set_index("mutation")
        profiles = pd.DataFrame(found.by_position["mean_abs_epistasis"].T, columns=list(found.mutations))
        for name, both in both_places.items():
            a, b = (str(each) for each in both)
            same = best.loc[a, ["position", "alt"]].tolist() == best.loc[b, ["position", "alt"]].tolist()
            rows.append((gene, name, a, b, same, profiles[a].corr(profiles[b], method="spearman")))
    return pd.DataFrame(rows, columns=["gene", "clinvar", "right", "scanned", "same_best", "spearman"])
