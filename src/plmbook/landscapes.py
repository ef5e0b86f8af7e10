"""Epistasis and rescue as measured: double-mutant landscapes on one scale that is fixed beforehand.

f is the natural logarithm of fitness relative to the wild type: 0 = as the wild type, negative = damaged.  An assay
cannot tell apart what lies at its floor, so f is never below it.  For a double mutant of a and b, two scales:

1. `epistasis` = f_ab - f_a - f_b, **the primary one**, on the doubles that the floor does not decide (`floored`).
2. `residual` = f_ab - g(f_a + f_b), g the increasing function that fits all doubles of the landscape best (isotonic
   regression): what is left when a non-linearity common to all pairs, such as the floor itself, is taken away.

Both tables that the functions read are bundled: `tables.load("landscapes")` and `tables.load("landscape_proteins")`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from plmbook.errors import InputError

# How fitness is given -> nats in one unit of it; "linear" is a ratio to the wild type, of which the logarithm is taken.
LOG_UNITS: Mapping[str, float] = MappingProxyType({"ln": 1.0, "log2": np.log(2), "log10": np.log(10)})
SCALES = ("linear", *LOG_UNITS)
Z = 3.0  # standard errors by which a rescue must lift; 1.3 in 1,000 lifts of nothing come so far


def log_fitness(table: pd.DataFrame, proteins: pd.DataFrame) -> pd.DataFrame:
    """Fitness on the common scale.

    Parameters
    ----------
    table : DataFrame
        One row a variant: landscape, mutation ("A1C" or "A1C:D2E", sorted by position), fitness and error (float, on
        the scale of the assay; error is one standard error, NaN = unknown).
    proteins : DataFrame
        One row a landscape: landscape, scale (one of `SCALES`), wild_type_fitness and floor (float, on that scale).

    Returns
    -------
    DataFrame
        landscape, mutation, f, error, floor (float64, nats relative to the wild type; f >= floor, floor < 0), in the
        order and with the index of `table`.

    Raises
    ------
    InputError
        If a landscape is not among `proteins`, a scale is unknown, or a floor is not below the wild type.

    Examples
    --------
    >>> proteins = pd.DataFrame({"landscape": ["toy"], "scale": "log2", "wild_type_fitness": 1.0, "floor": -2.0})
    >>> table = pd.DataFrame({"landscape": "toy", "mutation": ["A1C", "A1D"], "fitness": [0.0, -9.0], "error": 1.0})
    >>> log_fitness(table, proteins)[["f", "error", "floor"]].round(3).values.tolist()
    [[-0.693, 0.693, -2.079], [-2.079, 0.693, -2.079]]
    >>> log_fitness(table, proteins.assign(floor=2.0))
    Traceback (most recent call last):
        ...
    plmbook.errors.InputError: landscape 'toy': expected a floor below the wild type's fitness 1.0, found 2.0
    """
    known = proteins.set_index("landscape")
    parts = []
    for name, rows in table.groupby("landscape", sort=False):
        if name not in known.index:
            raise InputError(f"landscape {name!r}: expected one of {', '.join(known.index)}")
        scale, wild_type, floor = known.loc[name, ["scale", "wild_type_fitness", "floor"]]
        if scale not in SCALES:
            raise InputError(f"landscape {name!r}: unknown scale {scale!r}; expected one of {', '.join(SCALES)}")
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
            unit = LOG_UNITS[scale]
            values, error, lowest = unit * (fitness - wild_type), unit * error, unit * (floor - wild_type)
        parts.append(rows[["landscape", "mutation"]].assign(f=values, error=error, floor=lowest))
    return pd.concat(parts).loc[table.index]


def epistasis(table: pd.DataFrame, proteins: pd.DataFrame) -> pd.DataFrame:
    """Measured epistasis of every double mutant, on both scales.

    Parameters
    ----------
    table, proteins : DataFrame
        As for `log_fitness`; both singles of every double must be there.

    Returns
    -------
    DataFrame
        One row a double, in the order of `table`, index from 0: landscape, mutation, mutation1, mutation2 (str),
        position1, position2 (int64, 1-based, in ascending order), f1, f2, f12 (float64, nats, never below the floor),
        error1, error2, error12 (float64, nats), floor (float64, nats), epistasis (f12 - f1 - f2), error (that of
        epistasis, NaN where one of the three is), floored (bool), residual (float64, nats).

        `floored`: f1, f2, f12 or f1 + f2 is at the floor or below it, so that the floor decides epistasis: where
        f1 + f2 is, it cannot be negative.  Leave these out of the first scale; the second one needs no flag.

    Raises
    ------
    InputError
        As `log_fitness`; also if a single is missing, a variant comes twice or has more than two mutations.

    Examples
    --------
    A rescue: C alone costs 3, D alone nothing, both together 1.

    >>> proteins = pd.DataFrame({"landscape": ["toy"], "scale": "ln", "wild_type_fitness": 0.0, "floor": -5.0})
    >>> table = pd.DataFrame({"landscape": "toy", "mutation": ["A1C", "E2D", "A1C:E2D"],
    ...                       "fitness": [-3.0, 0.0, -1.0], "error": 0.0})
    >>> epistasis(table, proteins)[["mutation1", "mutation2", "epistasis", "floored"]].values.tolist()
    [['A1C', 'E2D', 2.0, False]]
    >>> epistasis(table[1:], proteins)
    Traceback (most recent call last):
        ...
    plmbook.errors.InputError: landscape 'toy': A1C:E2D: expected its single mutant A1C among the variants, found none
    """
    values = log_fitness(table, proteins)
    repeated = values.duplicated(["landscape", "mutation"])
    if repeated.any():
        row = values[repeated].iloc[0]
        raise InputError(f"landscape {row['landscape']!r}: {row['mutation']} comes twice")
    n_mutations = values["mutation"].str.count(":") + 1
    if (n_mutations > 2).any():
        row = values[n_mutations > 2].iloc[0]
        raise InputError(f"landscape {row['landscape']!r}: {row['mutation']}: expected one or two mutations")
    doubles = values[n_mutations == 2].rename(columns={"f": "f12", "error": "error12"}).reset_index(drop=True)
    singles = values[n_mutations == 1].set_index(["landscape", "mutation"])[["f", "error"]]
    parts = doubles["mutation"].str.partition(":")
    for which, column in (("1", 0), ("2", 2)):
        doubles[f"mutation{which}"] = parts[column]
        doubles[f"position{which}"] = parts[column].str[1:-1].astype("int64")
        keys = pd.MultiIndex.from_arrays([doubles["landscape"], parts[column]])
        known = keys.isin(singles.index)
        if not known.all():
            row = doubles[~known].iloc[0]
            raise InputError(
                f"landscape {row['landscape']!r}: {row['mutation']}: expected its single mutant "
                f"{row[f'mutation{which}']} among the variants, found none"
            )
        doubles[[f"f{which}", f"error{which}"]] = singles.reindex(keys).to_numpy()
    additive = doubles["f1"] + doubles["f2"]
    doubles["epistasis"] = doubles["f12"] - additive
    doubles["error"] = np.sqrt(doubles["error1"] ** 2 + doubles["error2"] ** 2 + doubles["error12"] ** 2)
    doubles["floored"] = doubles[["f1", "f2", "f12"]].min(axis=1).combine(additive, min) <= doubles["floor"]
    doubles["residual"] = _residual(doubles["landscape"], additive, doubles["f12"])
    sides = [f"{name}{which}" for name in ("mutation", "position") for which in "12"]
    measured = ["f1", "f2", "f12", "error1", "error2", "error12", "floor", "epistasis", "error", "floored", "residual"]
    return doubles[["landscape", "mutation", *sides, *measured]]


def _residual(landscape: pd.Series, additive: pd.Series, found: pd.Series) -> pd.Series:
    """What an increasing function of the additive expectation, fitted to each landscape, does not explain."""
    from sklearn.isotonic import IsotonicRegression

    expected = pd.Series(0.0, index=found.index)
    for _, x in additive.groupby(landscape, sort=False):
        expected[x.index] = IsotonicRegression().fit_transform(x, found[x.index])
    return found - expected


def rescues(table: pd.DataFrame, proteins: pd.DataFrame, *, z: float = Z) -> pd.DataFrame:
    """Which second mutations rescue a damaging first one, by a rule that is fixed beforehand.

    Every double is looked at from both sides.  A first mutation counts as *damaging* where it costs at least half of
    what the assay can show (f <= floor / 2).  The second one *rescues* it where the double has won back at least half
    of that loss (f12 >= f / 2) and the lift, f12 - f, is at least `z` of its standard errors.  The rescue is *specific*
    where epistasis too is at least `z` of its standard errors above 0: it is more than the second mutation's own
    benefit.

    Parameters
    ----------
    table, proteins : DataFrame
        As for `epistasis`.
    z : float
        Standard errors.

    Returns
    -------
    DataFrame
        One row a damaging mutation and a second one that was measured with it, in the order of the doubles of `table`,
        the lower position first, index from 0: landscape, mutation (the damaging one), second, double (str), f,
        f_second, f_double, lift, lift_error, epistasis, epistasis_error, residual (float64, nats), floored, rescued,
        specific (bool).  `rescued` among all rows is what precision at k counts.

    Raises
    ------
    InputError
        As `epistasis`; also if an error is unknown or `z` is negative.

    Examples
    --------
    >>> proteins = pd.DataFrame({"landscape": ["toy"], "scale": "ln", "wild_type_fitness": 0.0, "floor": -5.0})
    >>> table = pd.DataFrame({"landscape": "toy", "mutation": ["A1C", "E2D", "A1C:E2D"],
    ...                       "fitness": [-3.0, 0.0, -1.0], "error": 0.1})
    >>> rescues(table, proteins)[["mutation", "second", "lift", "rescued", "specific"]].values.tolist()
    [['A1C', 'E2D', 2.0, True, True]]
    """
    if not z >= 0:
        raise InputError(f"expected z >= 0 standard errors, found {z}")
    doubles = epistasis(table, proteins)
    if doubles["error"].isna().any():
        row = doubles[doubles["error"].isna()].iloc[0]
        raise InputError(f"landscape {row['landscape']!r}: {row['mutation']}: a rescue needs the error of each fitness")
    shared = {"mutation": "double", "f12": "f_double", "error": "epistasis_error"}
    sides = []
    for first, second in (("1", "2"), ("2", "1")):
        own = {
            f"mutation{first}": "mutation",
            f"mutation{second}": "second",
            f"f{first}": "f",
            f"f{second}": "f_second",
        }
        side = doubles.rename(columns=shared).rename(columns=own)
        sides.append(side.assign(lift_error=np.sqrt(doubles[f"error{first}"] ** 2 + doubles["error12"] ** 2)))
    found = pd.concat(sides).sort_index(kind="stable")
    found = found[found["f"] <= found["floor"] / 2].reset_index(drop=True)
    found["lift"] = found["f_double"] - found["f"]
    found["rescued"] = (found["f_double"] >= found["f"] / 2) & (found["lift"] >= z * found["lift_error"])
    found["specific"] = found["rescued"] & (found["epistasis"] >= z * found["epistasis_error"])
    names = ["landscape", "mutation", "second", "double", "f", "f_second", "f_double", "lift", "lift_error"]
    return found[[*names, "epistasis", "epistasis_error", "residual", "floored", "rescued", "specific"]]
