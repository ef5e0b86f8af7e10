"""Variants in the population: how often they are seen, how damaging a model calls them, and what could rescue them.

*Predicted effect* is the score s(v) of a variant, a natural-log likelihood ratio: negative means damaging.
*Rescuability* is what the best acceptable second substitution u (`plmbook.variants.rescue`) gives back to v, in nats:

    R(v) = max(0, max { epistasis(v, u) : score_background(v, u) >= 0 })

u is *acceptable* where the background with the variant prefers it to the residue that stands there.  The *compensated
share* is R(v) / -s(v), for s(v) < 0: at 1 the best second substitution gains as much as the variant costs.
A variant that costs more leaves more to compensate, so classes are compared at equal predicted effect only
(`class_difference`), and within genes, since R, a maximum over sites, grows with the length of the protein.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError
from plmbook.stats import bootstrap, matched, metrics
from plmbook.tables import schema_of

_EDGES = (0.0, 1e-5, 1e-4, 1e-3)  # of allele frequency: where a bin begins
BINS = ("absent", "below 1e-5", "1e-5 to 1e-4", "1e-4 to 1e-3", "from 1e-3")
MINIMUM = 10  # variants that a gene needs for a correlation of its own
SILENT, STOP, MISSENSE = "silent", "stop", "missense"

RESCUABILITY = schema_of("rescuability")


# --- frequency and predicted effect ----------------------------------------------------------------------


def frequency_bins(frequency: pd.Series) -> pd.Series:
    """The bin of each allele frequency, one of `BINS` (str): 0 to 1; missing or 0, gnomAD has no such allele."""
    numbers = frequency.fillna(0.0)
    if (wrong := ~numbers.between(0, 1)).any():
        raise InputError(f"an allele frequency is from 0 to 1, found {numbers[wrong].iat[0]}")
    place = np.searchsorted(_EDGES, numbers, side="right")
    return pd.Series(np.array(BINS, dtype=object)[np.where(numbers == 0, 0, place)], index=frequency.index, dtype="str")


def gene_correlations(
    table: pd.DataFrame, first: str, second: str, *, given: str | None = None, minimum: int = MINIMUM
) -> pd.DataFrame:
    """Spearman correlation within each gene: gene, n, correlation; with `given` the partial one (of ranks). Left out:
    rows with a missing number, genes of fewer than `minimum`, columns that do not vary or follow from the given one.
    """
    columns = [first, second, *([given] if given else [])]
    rows = []
    for gene, part in table.dropna(subset=columns).groupby("gene"):
        if len(part) < minimum:
            continue
        ranks = part[columns].rank().to_numpy()
        ranks = ranks - ranks.mean(axis=0)
        if given:
            known = ranks[:, 2:]
            ranks = ranks[:, :2] - known @ np.linalg.lstsq(known, ranks[:, :2], rcond=None)[0]
        spread = np.sqrt((ranks[:, :2] ** 2).sum(axis=0))
        if (spread > 1e-9 * len(part)).all():
            rows.append((gene, len(part), float(ranks[:, 0] @ ranks[:, 1] / spread.prod())))
    found = pd.DataFrame(rows, columns=["gene", "n", "correlation"])
    return found.astype({"n": "int64", "correlation": "float64"})


def correlation(
    table: pd.DataFrame,
    first: str,
    second: str,
    *,
    given: str | None = None,
    minimum: int = MINIMUM,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, float | int]:
    """The mean over genes of `gene_correlations`, nothing pooled: value, low, high, genes, variants."""
    found = gene_correlations(table, first, second, given=given, minimum=minimum)
    if found.empty:
        raise InputError(f"no gene has {minimum} variants with {first} and {second}")
    mean = metrics.mean_over_genes(found["correlation"], n=n, seed=seed)
    return dict(zip(["value", "low", "high", "genes"], mean, strict=True)) | {"variants": int(found["n"].sum())}


def gene_percentiles(table: pd.DataFrame, column: str) -> pd.Series:
    """The place of each row among those of its gene by a column: 0 to 100 with mean 50, ties share the mean."""
    groups = table.groupby("gene")[column]
    return 100 * (groups.rank() - 0.5) / groups.transform("size")


def mean_by_bin(
    table: pd.DataFrame, value: str, *, bins: str = "bin", minimum: int = 3, n: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """The mean by bin (`BINS`, else by appearance) within genes of `minimum` rows there, then over genes
    (bootstrapped): `bins`, value, low, high (float64), genes, variants (int64).
    """
    rows = []
    for name, part in table.groupby(bins, sort=False):
        groups = part.groupby("gene")[value]
        means = groups.mean()[groups.size() >= minimum]
        if len(means):
            size = int(part["gene"].isin(means.index).sum())
            rows.append((name, *metrics.mean_over_genes(means, n=n, seed=seed), size))
    found = pd.DataFrame(rows, columns=[bins, "value", "low", "high", "genes", "variants"])
    if set(found[bins]) <= set(BINS):
        found = found.sort_values(bins, key=lambda column: column.map(BINS.index))
    return found.reset_index(drop=True)


# --- rescuability ----------------------------------------------------------------------------------------


def rescuability(candidates: pd.DataFrame) -> pd.DataFrame:
    """R(v) of each variant from the candidates that a scan has kept.

    Parameters
    ----------
    candidates : DataFrame
        Columns of `plmbook.variants.rescue_tables.RESCUE`: the best by epistasis and by score_background.

    Returns
    -------
    DataFrame
        Columns of `RESCUABILITY`, a row a variant and model, in order of appearance.

    Notes
    -----
    What was not kept has a smaller epistasis and a smaller score_background than what was.  So the maximum is that over
    all (`exact`) where the best acceptable candidate was kept for its epistasis, or the worst that was kept for its
    score is not acceptable; else it is a lower bound, and the smallest epistasis kept for itself an upper (`at_most`).
    """
    key = ["id", "mutation", "model"]
    # Each was kept for one of its ranks: both lists go at least as far as the larger of the better ranks.
    better = candidates[key].assign(top=candidates[["rank", "rank_background"]].min(axis=1))
    variants = better.groupby(key, sort=False)["top"].max().reset_index()
    kept = candidates.merge(variants, on=key)
    worst = kept[kept["rank_background"] <= kept["top"]].groupby(key)["score_background"].min().rename("worst")
    least = kept[kept["rank"] <= kept["top"]].groupby(key)["epistasis"].min().rename("least")
    gaining = kept[(kept["score_background"] >= 0) & (kept["epistasis"] > 0)]
    best = gaining.loc[gaining.groupby(key, sort=False)["epistasis"].idxmax()]
    best = best.assign(
        rescuability=best["epistasis"].astype("float64"),
        second=best["ref"] + best["position"].astype("str") + best["alt"],
        by_epistasis=best["rank"] <= best["top"],
    )[[*key, "rescuability", "second", "distance_angstrom", "cpd", "by_epistasis"]]
    found = variants.merge(best, on=key, how="left").merge(worst, on=key, how="left").merge(least, on=key, how="left")
    found = found.fillna({"rescuability": 0.0, "second": ""})
    found["exact"] = found["by_epistasis"].eq(True) | (found["worst"] < 0) | (found["least"] <= found["rescuability"])
    bound = found[["rescuability", "least"]].max(axis=1).astype("float64")
    found["at_most"] = found["rescuability"].where(found["exact"], bound)
    return found[list(RESCUABILITY.names)].astype({"second": "str", "exact": "bool"})


def class_difference(
    table: pd.DataFrame,
    value: str,
    *,
    effect: str = "score_wild_type",
    bins: int = 5,
    minimum: int = 5,
    n: int = 1000,
    seed: int = 0,
) -> matched.Matched:
    """The chance that a P/LP variant has a higher value than a B/LB one of its gene and of about its effect."""
    part = metrics.labelled(table, score=[value, effect])
    part = part.assign(
        benign=part["significance"] == metrics.BENIGN,
        turned=-part[value],
        part=matched.quantile_bins(part, effect, by=["gene"], bins=bins),
    )
    options: dict[str, Any] = {"case": "benign", "strata": ["part"], "minimum": minimum, "n": n, "seed": seed}
    above = matched.auroc(part, value="turned", **options)
    below = matched.auroc(part, value=value, **options)
    return above._replace(p=min(1.0, 2 * min(above.p, below.p)), n_cases=above.n_controls, n_controls=above.n_cases)


def compensated_share(table: pd.DataFrame) -> pd.Series:
    """R / -s of each row, from rescuability and score_wild_type, float64 (n,); missing where s is not below 0."""
    cost = -table["score_wild_type"].astype("float64")
    return table["rescuability"] / cost.where(cost > 0)


def ranked(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Variants that all `models` call damaging, by the `compensated_share` on which they agree: gene, mutation, share
    (the smallest), `score MODEL`, `rescuability MODEL`, `share MODEL`; `table` has a row a variant and model.
    """
    names = {"score_wild_type": "score", "rescuability": "rescuability", "share": "share"}
    parts = []
    for model in models:
        part = table[table["model"] == model].assign(share=compensated_share).set_index(["gene", "mutation"])
        parts.append(part[list(names)].rename(columns={old: f"{new} {model}" for old, new in names.items()}))
    wide = pd.concat(parts, axis=1, join="inner").dropna()
    wide.insert(0, "share", wide[[f"share {model}" for model in models]].min(axis=1))
    return wide.reset_index().sort_values(
        ["share", "gene", "mutation"], ascending=[False, True, True], ignore_index=True
    )


# --- several nucleotides in one codon --------------------------------------------------------------------


def codon_changes(cases: pd.DataFrame) -> pd.DataFrame:
    """The three changes of each case of the bundled `same_codon` whose wild type fits: case (its row), which ("1", "2",
    "combined"), change, kind (`SILENT`, `STOP`, `MISSENSE`), gene, mutation (empty but for missense).
    """
    rows = []
    for row in cases.reset_index(drop=True).itertuples():
        if not row.matches or row.aligned_position == 0:
            continue
        for which, change in (("1", row.change1), ("2", row.change2), ("combined", row.mutation)):
            ref, alt = change[0], change[-1]
            kind = SILENT if ref == alt else STOP if alt == "*" else MISSENSE
            mutation = f"{ref}{row.aligned_position}{alt}" if kind == MISSENSE else ""
            rows.append((row.Index, which, change, kind, row.gene, mutation))
    return pd.DataFrame(rows, columns=["case", "which", "change", "kind", "gene", "mutation"])


def codon_scores(changes: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """The predicted effects of each case: case, score1, score2, combined (0: a silent change; NaN: a stop), silent
    (bool). `scores` (gene, mutation, score) has all missense `changes`, else InputError.
    """
    known = changes.merge(scores[["gene", "mutation", "score"]], on=["gene", "mutation"], how="left", validate="m:1")
    known["score"] = known["score"].mask(known["kind"] == SILENT, 0.0)
    lost = known[known["score"].isna() & (known["kind"] == MISSENSE)]
    if len(lost):
        raise InputError(f"{lost['gene'].iat[0]} {lost['mutation'].iat[0]}: expected a score, found none")
    wide = known.pivot(index="case", columns="which", values="score").rename(columns={"1": "score1", "2": "score2"})
    wide["silent"] = known["kind"].eq(SILENT).groupby(known["case"]).any()
    return wide.reset_index()[["case", "score1", "score2", "combined", "silent"]].rename_axis(columns=None)


def milder(table: pd.DataFrame) -> pd.DataFrame:
    """How often the combined residue is called milder than "the worse of two", "both of two" or "the only one" (the
    other is silent): than, k, n, value, low, high (exact 95 % interval of Clopper and Pearson); NaN is left out.
    """
    full = table.dropna(subset=["score1", "score2", "combined"])
    if full.empty:
        raise InputError("no case has a score of both single changes and of the combination")
    worse, better = (full[["score1", "score2"]].agg(how, axis=1) for how in ("min", "max"))
    rows = []
    for than, limit, which in (
        ("the worse of two", worse, ~full["silent"]),
        ("both of two", better, ~full["silent"]),
        ("the only one", worse.where(worse < 0, better), full["silent"]),  # the silent one has 0
    ):
        if size := int(which.sum()):
            k = int((full["combined"] > limit)[which].sum())
            rows.append((than, k, size, *bootstrap.share(k, size, "exact")[:3]))
    return pd.DataFrame(rows, columns=["than", "k", "n", "value", "low", "high"])
