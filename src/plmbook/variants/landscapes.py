"""Epistasis and rescue as measured: double-mutant landscapes on one scale that is fixed beforehand.

f is the natural logarithm of fitness relative to the wild type: negative = damaged.  An assay cannot tell apart what
lies at its floor, so f is never below it.  For a double mutant of a and b, two scales:

1. `epistasis` = f_ab - f_a - f_b, **the primary one**, on the doubles that the floor does not decide (`floored`).
2. `residual` = f_ab - g(f_a + f_b), g the increasing function that fits all doubles of the landscape best (isotonic
   regression): what is left when a non-linearity common to all pairs, such as the floor itself, is taken away.

Doubles of one position, or pair of positions, are alike: intervals resample positions or mutations, never doubles.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, need
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.stats import bootstrap
from plmbook.variants import rescue

# How fitness is given -> nats in one unit of it; "linear" is a ratio to the wild type, of which the logarithm is taken.
_LOG_UNITS: Mapping[str, float] = MappingProxyType({"ln": 1.0, "log2": np.log(2), "log10": np.log(10)})
_SCALES = ("linear", *_LOG_UNITS)
_Z = 3.0  # standard errors by which a rescue must lift; 1.3 in 1,000 lifts of nothing come so far


def log_fitness(table: pd.DataFrame, proteins: pd.DataFrame) -> pd.DataFrame:
    """landscape, mutation, f, error, floor (nats relative to the wild type; f >= floor, floor < 0), as `table`."""
    known = proteins.set_index("landscape")
    parts = []
    for name, rows in table.groupby("landscape", sort=False):
        if name not in known.index:
            raise InputError(f"landscape {name!r}: expected one of {', '.join(known.index)}")
        scale, wild_type, floor = known.loc[name, ["scale", "wild_type_fitness", "floor"]]
        if scale not in _SCALES:
            raise InputError(f"landscape {name!r}: unknown scale {scale!r}; expected one of {', '.join(_SCALES)}")
        if not floor < wild_type or (scale == "linear" and not floor > 0):
            above = " and above 0" if scale == "linear" else ""
            raise InputError(
                f"landscape {name!r}: expected a floor below the wild type's fitness {wild_type}{above}, found {floor}"
            )
        fitness = rows["fitness"].astype("float64").clip(lower=floor)
        error = rows["error"].astype("float64")
        if scale == "linear":
            values, error, lowest = np.log(fitness / wild_type), error / fitness, np.log(floor / wild_type)
        else:
            unit = _LOG_UNITS[scale]
            values, error, lowest = unit * (fitness - wild_type), unit * error, unit * (floor - wild_type)
        parts.append(rows[["landscape", "mutation"]].assign(f=values, error=error, floor=lowest))
    return pd.concat(parts).loc[table.index]


def epistasis(table: pd.DataFrame, proteins: pd.DataFrame) -> pd.DataFrame:
    """Measured epistasis of every double mutant, on both scales."""
    values = log_fitness(table, proteins)
    _refuse(values[values.duplicated(["landscape", "mutation"])], " comes twice")
    n_mutations = values["mutation"].str.count(":") + 1
    _refuse(values[n_mutations > 2], ": expected one or two mutations")
    doubles = values[n_mutations == 2].rename(columns={"f": "f12", "error": "error12"}).reset_index(drop=True)
    singles = values[n_mutations == 1].set_index(["landscape", "mutation"])[["f", "error"]]
    parts = doubles["mutation"].str.partition(":")
    for which, column in (("1", 0), ("2", 2)):
        doubles[f"mutation{which}"] = parts[column]
        doubles[f"position{which}"] = parts[column].str[1:-1].astype("int64")
        keys = pd.MultiIndex.from_arrays([doubles["landscape"], parts[column]])
        expected = f": expected its single mutant {{mutation{which}}} among the variants, found none"
        _refuse(doubles[~keys.isin(singles.index)], expected)
        doubles[[f"f{which}", f"error{which}"]] = singles.reindex(keys).to_numpy()
    additive = doubles["f1"] + doubles["f2"]
    doubles["epistasis"] = doubles["f12"] - additive
    doubles["error"] = np.sqrt(doubles["error1"] ** 2 + doubles["error2"] ** 2 + doubles["error12"] ** 2)
    doubles["floored"] = doubles[["f1", "f2", "f12"]].min(axis=1).combine(additive, min) <= doubles["floor"]
    doubles["residual"] = _residual(doubles["landscape"], additive, doubles["f12"])
    sides = [f"{name}{which}" for name in ("mutation", "position") for which in "12"]
    measured = ["f1", "f2", "f12", "error1", "error2", "error12", "floor", "epistasis", "error", "floored", "residual"]
    return doubles[["landscape", "mutation", *sides, *measured]]


def _refuse(rows: pd.DataFrame, why: str) -> None:
    """Name the first of some rows at fault, and why, in which the columns of the row may stand in braces."""
    if len(rows):
        row = rows.iloc[0]
        raise InputError(f"landscape {row['landscape']!r}: {row['mutation']}{why.format(**row)}")


def _residual(landscape: pd.Series, additive: pd.Series, found: pd.Series) -> pd.Series:
    """What an increasing function of the additive expectation, fitted to each landscape, does not explain."""
    from sklearn.isotonic import IsotonicRegression

    expected = pd.Series(0.0, index=found.index)
    for _, x in additive.groupby(landscape, sort=False):
        expected[x.index] = IsotonicRegression().fit_transform(x, found[x.index])
    return found - expected


def rescues(table: pd.DataFrame, proteins: pd.DataFrame) -> pd.DataFrame:
    """Which second mutations rescue a damaging first one, by a rule that is fixed beforehand."""
    doubles = epistasis(table, proteins)
    if doubles["error"].isna().any():
        row = doubles[doubles["error"].isna()].iloc[0]
        raise InputError(f"landscape {row['landscape']!r}: {row['mutation']}: a rescue needs the error of each fitness")
    shared = {"mutation": "double", "f12": "f_double", "error": "epistasis_error"}
    sides = []
    for a, b in ("12", "21"):
        own = {f"mutation{a}": "mutation", f"mutation{b}": "second", f"f{a}": "f", f"f{b}": "f_second"}
        side = doubles.rename(columns=shared).rename(columns=own)
        sides.append(side.assign(lift_error=np.sqrt(doubles[f"error{a}"] ** 2 + doubles["error12"] ** 2)))
    found = pd.concat(sides).sort_index(kind="stable")
    found = found[found["f"] <= found["floor"] / 2].reset_index(drop=True)
    found["lift"] = found["f_double"] - found["f"]
    found["rescued"] = (found["f_double"] >= found["f"] / 2) & (found["lift"] >= _Z * found["lift_error"])
    found["specific"] = found["rescued"] & (found["epistasis"] >= _Z * found["epistasis_error"])
    names = ["landscape", "mutation", "second", "double", "f", "f_second", "f_double", "lift", "lift_error"]
    return found[[*names, "epistasis", "epistasis_error", "residual", "floored", "rescued", "specific"]]


# --- what a model and what simple rules say --------------------------------------------------------------


def _sides(doubles: pd.DataFrame, backgrounds: Collection[str] | None = None) -> pd.DataFrame:
    """Every double from both sides, sorted: mutation (the background, of those given) and second (the second site)."""
    both = pd.concat(
        [doubles[[f"mutation{a}", f"mutation{b}"]].set_axis(["mutation", "second"], axis=1) for a, b in ("12", "21")]
    )
    if backgrounds is not None:
        both = both[both["mutation"].isin(backgrounds)]
    return both.drop_duplicates().sort_values(["mutation", "second"]).reset_index(drop=True)


def _most_doubled(doubles: pd.DataFrame, n: int) -> list[str]:
    """At most n mutations with the most doubles, of equals the first by name."""
    counts = doubles["mutation1"].value_counts().add(doubles["mutation2"].value_counts(), fill_value=0)
    return counts.sort_index().sort_values(ascending=False, kind="stable").index[:n].tolist()


def backgrounds(measured: pd.DataFrame, proteins: pd.DataFrame, *, n: int, enough: int) -> pd.DataFrame:
    """landscape, mutation (the background), second: for each protein the `n` mutations with the most doubles (0: all),
    and all damaging first mutations of a landscape with `enough` measured rescues.
    """
    doubles, pairs = epistasis(measured, proteins), rescues(measured, proteins)
    counts = pairs.groupby("landscape")["rescued"].sum()
    counted = set(counts.index[counts >= enough])
    parts = []
    for _, of_protein in proteins.groupby("sequence", sort=False):  # PDZ3 has two landscapes
        part = doubles[doubles["landscape"].isin(of_protein["landscape"])]
        damaging = pairs.loc[pairs["landscape"].isin(set(of_protein["landscape"]) & counted), "mutation"]
        chosen = {*_most_doubled(part, n or len(measured)), *damaging}
        parts.append(_sides(part, chosen).assign(landscape=of_protein["landscape"].iat[0]))
    return pd.concat(parts, ignore_index=True)[["landscape", "mutation", "second"]]


def pair_scores(
    model, sequence: str, pairs: pd.DataFrame, *, score_background: np.ndarray | None = None, progress: bool = False
) -> pd.DataFrame:
    """`pairs` with score_background, score_wild_type (of `second`), model_epistasis (their difference) and score_first
    (of `mutation`): float32, natural log. With `score_background` (n,) only the wild type is read.
    """
    which, names = pd.factorize(pairs["mutation"], sort=True)
    second, seconds = pd.factorize(pairs["second"], sort=True)
    first_of, second_of = ([_single(text, sequence) for text in texts] for texts in (names, seconds))
    i, own = _cells(first_of)[:, which]
    j, column = _cells(second_of)[:, second]
    same = i == j
    if same.any():
        row = pairs[same].iloc[0]
        raise InputError(f"{row['second']} on the background {row['mutation']}: expected another position")
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(names) + 1))
    found = np.empty((3, len(pairs)), dtype=np.float32)
    if score_background is not None:
        block = next(iter(rescue.scores(model, sequence, [()])))  # of the wild type alone
        found[:] = score_background, block.score_wild_type[j, column], block.score_wild_type[i, own]
        first_of = []
    for block in rescue.scores(model, sequence, [(mutation,) for mutation in first_of], progress=progress):
        rows = order[starts[block.where.start] : starts[block.where.stop]]
        found[0, rows] = block.score_background[which[rows] - block.where.start, j[rows], column[rows]]
        found[1, rows] = block.score_wild_type[j[rows], column[rows]]
        found[2, rows] = block.score_wild_type[i[rows], own[rows]]
    background, wild_type, first = found
    return pairs.assign(
        score_background=background,
        score_wild_type=wild_type,
        model_epistasis=background - wild_type,
        score_first=first,
    )


def _single(text: str, sequence: str) -> Mutation:
    found = parse_mutations(text)
    if len(found) != 1:
        raise InputError(f"{text}: expected one mutation, found {len(found)}")
    found[0].check(sequence)
    return found[0]


def _cells(mutations: Sequence[Mutation]) -> np.ndarray:
    """Where mutations stand in a table (L, 20): int64 (2, n), position and column."""
    cells = [(mutation.position - 1, AMINO_ACIDS.index(mutation.alt)) for mutation in mutations]
    return np.array(cells, dtype=np.int64).reshape(-1, 2).T


def symmetric(doubles: pd.DataFrame, scored: pd.DataFrame, *, value: str = "model_epistasis") -> pd.DataFrame:
    """A model's epistasis of each double, from `scored` such as of `pair_scores`: on1, on2 (float64: mutation 2 on the
    background of mutation 1, and the reverse, which is another number), mean (over the sides that were scored).
    """
    known = scored.set_index(["mutation", "second"])[value].astype("float64")
    found = {}
    for a, b in ("12", "21"):
        keys = pd.MultiIndex.from_arrays([doubles[f"mutation{a}"], doubles[f"mutation{b}"]])
        found[f"on{a}"] = known.reindex(keys).to_numpy()
    table = pd.DataFrame(found, index=doubles.index)
    return table.assign(mean=table.mean(axis=1))


def substitution_similarity(mutations: pd.Series) -> np.ndarray:
    """How alike the residues of each substitution ("I1V") are: BLOSUM62, int64 (n,), -4 (unlike) to 3."""
    from biotite.sequence.align import SubstitutionMatrix

    blosum = SubstitutionMatrix.std_protein_matrix()
    return np.array([blosum.get_score(text[0], text[-1]) for text in mutations], dtype=np.int64)


def mean_lift(pairs: pd.DataFrame) -> pd.Series:
    """What a second mutation lifts other damaging ones by, float64 (n,): its mean lift in the half of the mutations
    (every other one by name) that this one is not in, so that a row's own lift does not count; else that half's mean.
    """
    half = pd.factorize(pairs["mutation"], sort=True)[0] % 2
    values = pd.Series(np.nan, index=pairs.index, dtype="float64")
    for own in (0, 1):
        others = pairs[half != own]
        known = others.groupby("second")["lift"].mean()
        values[half == own] = pairs.loc[half == own, "second"].map(known).fillna(others["lift"].mean())
    return values


# --- against what was measured ---------------------------------------------------------------------------


def correlations(
    table: pd.DataFrame,
    *,
    measured: str,
    predictors: Sequence[str],
    units: Sequence[str] = ("position1", "position2"),
    n: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Spearman correlation of several predictors with what was measured, on the same rows.

    Parameters
    ----------
    table : DataFrame
        One row a double of one landscape: `measured` and the predictors (numbers, none missing), `units`.
    measured, predictors : str, sequence of str
        Columns.
    units : sequence of str
        Two or more columns whose values are resampled from one urn: a row counts the product of its units' counts.
    n, seed : int
        Of the bootstrap; ranks are taken anew in each resample.

    Returns
    -------
    DataFrame
        predictor (str), value, low, high (float64: rho, 95 % interval), n (int64: rows); a row a predictor.
    """
    _filled(table, [measured, *predictors, *units])
    values, drawn = _resampled(_rho(table, measured, predictors), table, units, n=n, seed=seed)
    rows = [
        (name, value, *bootstrap.percentiles(resampled), len(table))
        for name, value, resampled in zip(predictors, values, drawn.T, strict=True)
    ]
    return pd.DataFrame(rows, columns=["predictor", "value", "low", "high", "n"])


def pair_correlations(table: pd.DataFrame, *, measured: str, predictors: Sequence[str]) -> pd.DataFrame:
    """`correlations` within pairs of positions: position1, position2 (int64), predictor, value, n, sorted by pair."""
    _filled(table, [measured, *predictors, "position1", "position2"])
    rows = []
    for (first, second), part in table.groupby(["position1", "position2"]):
        values = _rho(part, measured, predictors)(np.ones(len(part)))
        rows += [(first, second, name, rho, len(part)) for name, rho in zip(predictors, values, strict=True)]
    return pd.DataFrame(rows, columns=["position1", "position2", "predictor", "value", "n"])


def precision(
    table: pd.DataFrame,
    *,
    predictors: Sequence[str],
    ks: Sequence[int],
    hit: str = "rescued",
    units: Sequence[str] = ("mutation", "second"),
    n: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of rescues (`hit`) among a predictor's k highest pairs, ties averaged, `units` resampled as in
    `correlations`: predictor, k, value, low, high (95 % interval), n, n_hits (rows, rescues), chance (n_hits / n).
    """
    _filled(table, [hit, *predictors, *units])
    if not all(1 <= k <= len(table) for k in ks):
        raise InputError(f"expected k from 1 to {len(table)}, the rows, found {', '.join(map(str, ks))}")
    hits = table[hit].to_numpy(dtype=np.float64)
    ranked = {name: _Ranks(-table[name].to_numpy(dtype=np.float64)) for name in predictors}

    def shares(weight: np.ndarray) -> np.ndarray:
        return np.array([_first_k(each.sums(weight), each.sums(weight * hits), ks) for each in ranked.values()])

    values, drawn = _resampled(shares, table, units, n=n, seed=seed)  # (n_predictors, n_ks), (n, n_predictors, n_ks)
    rows = []
    for p, name in enumerate(predictors):
        for q, k in enumerate(ks):
            ends = bootstrap.percentiles(drawn[:, p, q])
            rows.append((name, k, values[p, q], *ends, len(table), int(hits.sum()), hits.mean()))
    return pd.DataFrame(rows, columns=["predictor", "k", "value", "low", "high", "n", "n_hits", "chance"])


class _Ranks:
    """One column of numbers in order, so that ranks in a resample need no sorting."""

    def __init__(self, values: np.ndarray):
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self.start = np.flatnonzero(new)  # of each run of equal values
        self.run = np.empty(len(values), dtype=np.int64)
        self.run[self.order] = np.cumsum(new) - 1

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of some other numbers over each run of equal values, the lowest values first."""
        return np.add.reduceat(values[self.order], self.start)

    def weighted(self, weight: np.ndarray) -> np.ndarray:
        """Mid-rank of each value where rows count as often as `weight` says."""
        size = self.sums(weight)
        return (np.cumsum(size) - size / 2)[self.run]


def _rho(table: pd.DataFrame, measured: str, predictors: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Spearman correlation of each predictor with what was measured, as a function of the weights of the rows."""
    ranked = {name: _Ranks(table[name].to_numpy(dtype=np.float64)) for name in (measured, *predictors)}

    def rho(weight: np.ndarray) -> np.ndarray:
        target = ranked[measured].weighted(weight)
        return np.array([_pearson(target, ranked[name].weighted(weight), weight) for name in predictors])

    return rho


def _pearson(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    total = weight.sum()
    if not total:  # a resample of few units may hold no row
        return np.nan
    x, y = x - weight @ x / total, y - weight @ y / total
    spread = (weight @ (x * x)) * (weight @ (y * y))
    return float(weight @ (x * y) / np.sqrt(spread)) if spread > 0 else np.nan


def _first_k(size: np.ndarray, hits: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Share of hits among the first k, NaN where there are fewer; rows and hits of each run of equal scores."""
    rows, found = np.cumsum(size), np.cumsum(hits)
    last = np.searchsorted(rows, ks)  # the run that holds the k-th row
    inside = last < len(rows)
    last = np.minimum(last, len(rows) - 1)
    before = np.asarray(ks) - (rows[last] - size[last])  # rows of that run that are among the first k
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (found[last] - hits[last] + hits[last] * before / size[last]) / ks
    return np.where(inside, share, np.nan)


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], table: pd.DataFrame, units: Sequence[str], *, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of the weights of the rows, and its values in the resamples of the units."""
    codes, names = pd.factorize(pd.concat([table[name] for name in units], ignore_index=True))
    if len(names) < 2:
        raise InputError(f"expected two or more of {' and '.join(units)} to resample, found {len(names)}")
    codes = codes.reshape(len(units), len(table))
    resamples = bootstrap.counts(len(names), n=n, seed=seed).astype(np.float64)
    return statistic(np.ones(len(table))), np.array([statistic(drawn[codes].prod(axis=0)) for drawn in resamples])


def _filled(table: pd.DataFrame, columns: Sequence[str]) -> None:
    need(table, columns)
    if not len(table):
        raise InputError("the table has no rows")
    for name in columns:
        if table[name].isna().any():
            raise InputError(f"{int(table[name].isna().sum())} of {len(table)} values of {name} are missing")
