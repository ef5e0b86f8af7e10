"""Contacts between residues, read off attention maps: what a model knows of structure without ever having seen one.

The method is that of Rao et al. (2020, Transformer protein language models are unsupervised structure learners): each
attention map is made symmetric and corrected for the average product (APC), and one logistic regression for all
proteins weighs the maps (layers x heads numbers a pair of residues), fitted on at most 20 proteins with a structure.

Residues are in *contact* where their C-beta atoms (C-alpha of glycine) are less than 8 angstrom apart.  Ranges by
|i - j|: short (6 to 11), medium (12 to 23), long (24 and more).  Of a predicted structure only residues with a pLDDT of
70 or more *count*; L is their number, P@L the share of contacts among the L best pairs of a range.  Baselines: the
*background*, the share among all pairs, and *separation only*, pairs by how often residues that far apart touch.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from plmbook.core.errors import InputError
from plmbook.core.structures import Structure, contact_map, structures_of
from plmbook.stats import bootstrap
from plmbook.stats.bootstrap import Estimate

NEAREST = 6  # least separation of a pair, in the fit and everywhere
RANGES = {"short": (6, 12), "medium": (12, 24), "long": (24, None)}  # separation: from (included), to (excluded)
PENALTY = 0.15  # scikit-learn's C of the L1 penalty, as Rao et al.
NON_CONTACTS = 10  # drawn for each contact of a training protein
N_TRAIN = 20  # proteins, as Rao et al.
LONGEST_TRAINED = 400  # residues, of a protein to fit on
MEASURES = (
    *("n_residues", "n_pairs", "n_contacts", "background", "p_at_l", "p_at_l2", "p_at_l5"),
    *("separation_only_p_at_l", "separation_only_p_at_l5"),
    *("p_at_l_medium", "background_medium", "p_at_l_short", "background_short"),
)
"""The numbers of `contact_precision`, long range where no range is named."""


@dataclass(frozen=True)
class Regression:
    """What turns attention into contacts, and the baseline from the same proteins."""

    weights: np.ndarray  # float64 (layers, heads)
    intercept: float
    rates: np.ndarray  # float64 (n,): `separation_rates`; the last one holds for whatever is farther apart


# --- maps and pairs --------------------------------------------------------------------------------------


def apc(maps: np.ndarray) -> np.ndarray:
    """Average product correction (Dunn et al. 2008) of S = A + A', maps (..., L, L): S_ij - S_i S_j / sum of S."""
    both = maps + np.swapaxes(maps, -1, -2)
    rows = both.sum(axis=-1)  # (..., L)
    total = rows.sum(axis=-1)[..., None, None]
    return both - rows[..., :, None] * rows[..., None, :] / total


def pairs(counted: np.ndarray, nearest: int = NEAREST, farther: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The pairs i < j of residues that count, `nearest <= j - i < farther`: two int64 (n_pairs,), 0-based, sorted."""
    places = np.flatnonzero(counted)
    first, second = np.triu_indices(len(places), k=1)
    i, j = places[first], places[second]
    keep = j - i >= nearest
    if farther is not None:
        keep &= j - i < farther
    return i[keep], j[keep]


# --- the regression --------------------------------------------------------------------------------------


def _features(attention: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """What the regression reads of pairs: every attention map after `apc`, float32 (n_pairs, layers * heads)."""
    maps = attention.reshape(-1, *attention.shape[-2:])
    found = np.empty((len(i), len(maps)), dtype=np.float32)
    for number, each in enumerate(maps):  # one at a time: all corrected maps of 1,000 residues take 100 MB
        found[:, number] = apc(each)[i, j]
    return found


def fit(model, structures: Iterable[Structure], *, seed: int = 0) -> Regression:
    """Fit the weights of the attention maps on proteins of known structure.

    Parameters
    ----------
    model, structures : Model, iterable of Structure
        With `attentions`; the training proteins, at least one with a contact and a pair without.
    seed : int
        With the protein's id draws `NON_CONTACTS` times as many pairs without contact as with (Rao et al. use all).

    Returns
    -------
    Regression
        The intercept is corrected for the draw (Prentice and Pyke 1979), so that probabilities are those of all pairs.
    """
    from sklearn.linear_model import LogisticRegression

    structures = list(structures)
    shape, tables, labels, n_all = None, [], [], np.zeros(2, dtype=np.int64)
    for structure in structures:
        i, j = pairs(structure.counted)
        touching = contact_map(structure.cb)[i, j]
        n_all += [np.count_nonzero(~touching), np.count_nonzero(touching)]
        chosen = draw_pairs(touching, name=structure.id, seed=seed)
        attention = model.attentions(structure.sequence)
        shape = attention.shape[:2]
        tables.append(_features(attention, i[chosen], j[chosen]))
        labels.append(touching[chosen])
    if not n_all.all():
        raise InputError(
            f"the fit needs pairs in contact and pairs without, found {n_all[1]} and {n_all[0]} "
            f"in {len(structures)} proteins"
        )
    label = np.concatenate(labels)
    logistic = LogisticRegression(l1_ratio=1.0, C=PENALTY, solver="liblinear", random_state=seed)
    logistic.fit(np.concatenate(tables), label)
    drawn = np.count_nonzero(~label) / n_all[0]  # share of the pairs without contact that the fit has seen
    return Regression(
        weights=logistic.coef_.reshape(shape).astype(np.float64),
        intercept=float(logistic.intercept_[0] + np.log(drawn)),
        rates=separation_rates(structures),
    )


def draw_pairs(touching: np.ndarray, *, name: str, seed: int) -> np.ndarray:
    """Places in `touching` (n_pairs,), sorted: all contacts and `NON_CONTACTS` others each, by name and seed."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    inside, outside = np.flatnonzero(touching), np.flatnonzero(~touching)
    drawn = rng.choice(outside, size=min(len(outside), NON_CONTACTS * len(inside)), replace=False)
    return np.sort(np.concatenate([inside, drawn]))


def separation_rates(structures: Iterable[Structure]) -> np.ndarray:
    """Share of contacts by separation, float64 (n,): isotonic regression (farther is rarer), weighted by pairs."""
    from sklearn.isotonic import IsotonicRegression

    found = []
    for structure in structures:
        i, j = pairs(structure.counted)
        found.append((j - i, contact_map(structure.cb)[i, j]))
    separation, touching = map(np.concatenate, zip(*found, strict=True))
    n_pairs, n_contacts = np.bincount(separation), np.bincount(separation, weights=touching)
    there = np.flatnonzero(n_pairs)
    isotonic = IsotonicRegression(increasing=False, out_of_bounds="clip")
    isotonic.fit(there, n_contacts[there] / n_pairs[there], sample_weight=n_pairs[there])
    return isotonic.predict(np.arange(len(n_pairs)))


def predict(regression: Regression, attention: np.ndarray) -> np.ndarray:
    """Probability of contact of every pair of residues.

    Parameters
    ----------
    regression, attention : Regression, float array (layers, heads, L, L)

    Returns
    -------
    float64 array (L, L)
        Symmetric.  Meant for pairs at least `NEAREST` apart: the fit has seen no others.
    """
    from scipy.special import expit

    logit = np.full(attention.shape[-2:], regression.intercept)
    for layer, head in zip(*np.nonzero(regression.weights), strict=True):  # the L1 penalty leaves some maps out
        logit += regression.weights[layer, head] * apc(attention[layer, head])
    return expit(logit)


def rates_at(rates: np.ndarray, separations: np.ndarray) -> np.ndarray:
    """The baseline's score of pairs: how often residues that far apart touch (`separation_rates`), float64."""
    return rates[np.minimum(separations, len(rates) - 1)]


def precision_at(scores: np.ndarray, contacts: np.ndarray, k: int) -> float:
    """Share of contacts among the k best pairs; NaN without pairs.  Where equal scores share the k-th place, the mean
    over all ways to break the tie; so scores that are all equal give the background rate.
    """
    scores, contacts = np.asarray(scores, dtype=np.float64), np.asarray(contacts, dtype=bool)
    if k < 1:
        raise InputError(f"precision of the {k} best pairs: expected at least 1")
    if scores.shape != contacts.shape:
        raise InputError(f"{len(scores)} scores for {len(contacts)} pairs")
    if not len(scores):
        return float("nan")
    k = min(k, len(scores))
    last = np.partition(scores, len(scores) - k)[len(scores) - k]  # the k-th best
    above, tied = scores > last, scores == last
    hits = np.count_nonzero(contacts[above]) + (k - np.count_nonzero(above)) * contacts[tied].mean()
    return float(hits / k)


def pair_table(structure: Structure, probability: np.ndarray, nearest: int = NEAREST) -> pd.DataFrame:
    """The pairs of one protein, best first: position, partner (1-based, position < partner), probability, contact."""
    i, j = pairs(structure.counted, nearest)
    found = pd.DataFrame(
        {
            "position": i + 1,
            "partner": j + 1,
            "probability": probability[i, j].astype(np.float64),
            "contact": contact_map(structure.cb)[i, j],
        }
    )
    return found.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


# --- the evaluation --------------------------------------------------------------------------------------


def contact_precision(
    model,
    structures: pd.DataFrame,
    *,
    train_ids: Sequence[str],
    test_ids: Sequence[str] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Fit on some proteins, count the contacts among the best pairs of others; `cross_fit` plans it by family.

    Parameters
    ----------
    model, structures : Model, DataFrame
        With `attentions`; as in `plmbook.core.structures.structures_of`.
    train_ids, test_ids : sequence of str
        Proteins to fit on, and to test on: by default all others.  One that is unknown, or in both, is an `InputError`.
    seed, progress : int, bool
        Of the pairs without contact in the fit; show a bar.

    Returns
    -------
    DataFrame
        One row a test protein, in the order asked: id, length, n_residues (L, those that count), n_pairs, n_contacts
        (int64), and shares (float64; NaN where a range has no pair): background, p_at_l, p_at_l2, p_at_l5 (L, L / 2 and
        L / 5 best pairs), separation_only_p_at_l, separation_only_p_at_l5 (long range); p_at_l_medium, p_at_l_short,
        background_medium, background_short.
    """
    known = structures_of(structures)
    train_ids = list(train_ids)
    test_ids = [name for name in known if name not in set(train_ids)] if test_ids is None else list(test_ids)
    unknown = [name for name in [*train_ids, *test_ids] if name not in known]
    if unknown:
        raise InputError(f"no structure of {', '.join(unknown[:5])}; there are {len(known)}")
    both = sorted(set(train_ids) & set(test_ids))
    if both:
        raise InputError(f"{', '.join(both[:5])}: both to fit on and to test on; expected one or the other")
    regression = fit(model, (known[name] for name in train_ids), seed=seed)
    tested = tqdm(test_ids, desc=f"{model.name}, contacts", unit="protein", disable=not progress)
    rows = [_tested(model, known[name], regression) for name in tested]
    return pd.DataFrame(rows, columns=["id", "length", *MEASURES]).astype({"id": "str"})


def cross_fit(lengths: Mapping[str, int], others: Sequence[str] = (), *, seed: int = 0) -> pd.DataFrame:
    """A plan that tests each protein of `lengths` (id -> residues) by `N_TRAIN` of the other half, `others` by the
    second: id, set ("kept", "other"), fold (its half), trains (the other fold is fitted on it).
    """
    dealt = np.random.default_rng(seed).permutation(sorted(lengths)).tolist()
    dealt.sort(key=lambda name: lengths[name] > LONGEST_TRAINED)  # stable: the short ones first, in the order drawn
    halves = [dealt[0::2], dealt[1::2]]
    training = {name for half in halves for name in half[:N_TRAIN]}
    rows = [(name, "kept", fold, name in training) for fold, half in enumerate(halves) for name in sorted(half)]
    rows += [(name, "other", 0, False) for name in others]
    return pd.DataFrame(rows, columns=["id", "set", "fold", "trains"]).astype({"id": "str", "set": "str"})


def training_ids(plan: pd.DataFrame, fold: int) -> list[str]:
    """The proteins on which the regression is fitted that tests a fold of `cross_fit`: those of the other half."""
    return plan["id"][(plan["fold"] != fold) & plan["trains"]].tolist()


def ratio_of_means(
    table: pd.DataFrame, value: str = "p_at_l", reference: str = "background", *, n: int = 1000, seed: int = 0
) -> Estimate:
    """How many times one column's mean over proteins is another's, 95 % interval from resampling proteins.  Not a mean
    of ratios: a protein with two contacts, and so with hardly any background, would rule that.
    """
    numbers = table[[value, reference]].to_numpy(dtype=np.float64)  # (n_proteins, 2)
    if not len(numbers) or np.isnan(numbers).any() or numbers[:, 1].sum() == 0:
        raise InputError(f"{value} / {reference} needs both numbers of each protein, and a reference above zero")
    sums = bootstrap.counts(len(numbers), n=n, seed=seed) @ numbers  # (n, 2); `bootstrap.ratio` has other last digits
    sums = sums[sums[:, 1] > 0]
    found = float(numbers[:, 0].sum() / numbers[:, 1].sum())
    return Estimate(found, *bootstrap.percentiles(sums[:, 0] / sums[:, 1]), len(numbers))


def _tested(model, structure: Structure, regression: Regression) -> dict[str, Any]:
    """The row of one test protein: id, length and `MEASURES`."""
    touching = contact_map(structure.cb)
    scores = predict(regression, model.attentions(structure.sequence))
    n_residues = int(structure.counted.sum())
    found: dict[str, Any] = {"id": structure.id, "length": len(structure.sequence), "n_residues": n_residues}
    for name, (nearest, farther) in RANGES.items():
        i, j = pairs(structure.counted, nearest, farther)
        truth, score = touching[i, j], scores[i, j]
        end = "" if name == "long" else f"_{name}"
        found[f"background{end}"] = float(truth.mean()) if len(truth) else float("nan")
        found[f"p_at_l{end}"] = precision_at(score, truth, max(n_residues, 1))
        if name != "long":
            continue
        found |= {"n_pairs": len(truth), "n_contacts": int(truth.sum())}
        baseline = rates_at(regression.rates, j - i)
        for part in (2, 5):
            found[f"p_at_l{part}"] = precision_at(score, truth, max(n_residues // part, 1))
        found["separation_only_p_at_l"] = precision_at(baseline, truth, max(n_residues, 1))
        found["separation_only_p_at_l5"] = precision_at(baseline, truth, max(n_residues // 5, 1))
    return found
