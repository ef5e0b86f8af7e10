"""How well predicted GO terms fit: per term, over all terms as CAFA does, beside baselines, each with an interval.

Intervals are 95 % percentile intervals from resampling proteins, or whole clusters of them where these are given:
relatives are not independent, and single proteins give too narrow ones. They say nothing about another training set.
"""

from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd

from plmbook.core.errors import InputError, one_of
from plmbook.stats import bootstrap, metrics

METRICS = ("accuracy", "f1", "precision", "recall", "mcc", "auprc", "auroc")
ROOTS = ("GO:0003674", "GO:0005575", "GO:0008150")  # every annotated protein has them: no one is praised for that
TAUS = np.arange(1, 100) / 100  # CAFA's thresholds


def term_metrics(
    labels: pd.DataFrame,
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    *,
    clusters: Sequence | None = None,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The measures of each term on the given proteins.

    Parameters
    ----------
    labels : DataFrame of bool (n_proteins, k)
        Columns: GO ids.
    probabilities : float array (n_proteins, k)
    thresholds : float array (k,)
        A protein is said to have the term from this probability on: accuracy, F1, precision, recall, MCC.
    clusters : sequence (n_proteins,), optional
        Which proteins are resampled together.
    n, seed : int
        Of the bootstrap; n = 0 leaves the intervals out.

    Returns
    -------
    DataFrame
        A row per term: term (str), n, n_with (int64), prevalence, threshold, and for each of `METRICS` its value and
        the ends of its interval, `_low` and `_high` (float64). Precision without any prediction is 0, as F1 and MCC
        are; AUPRC (average precision) and AUROC are missing where the term has one class.

    Raises
    ------
    InputError
        If the shapes do not fit or a probability is not in [0, 1].
    """
    truth, probabilities = _checked(labels, probabilities, thresholds)
    weights = _weights(labels, clusters, n, seed)
    rows = []
    for term, y, p, threshold in zip(labels.columns, truth.T, probabilities.T, thresholds, strict=True):
        row = {"term": str(term), "n": len(y), "n_with": int(y.sum()), "prevalence": y.mean(), "threshold": threshold}
        for name, (value, *drawn) in _values(y, p, threshold, weights, METRICS).items():
            row[name] = value
            if n:
                row[f"{name}_low"], row[f"{name}_high"] = bootstrap.percentiles(drawn)
        rows.append(row)
    return pd.DataFrame(rows).astype({"term": "str", "n": "int64", "n_with": "int64"})


def against_baselines(
    labels: pd.DataFrame,
    predicted: Mapping[str, tuple[np.ndarray, np.ndarray]],
    learner: str,
    *,
    metric: str = "auprc",
    clusters: Sequence | None = None,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """For each term the best baseline (flattered: it is chosen on the proteins measured), and whether `learner` beats
    it. `predicted`: by learner, probabilities (n_proteins, k), thresholds (k,). term, value (of the learner), baseline,
    baseline_value, difference, low, high, beats (bool: the whole interval is above 0); all see the same resamples."""
    found = _compared(labels, predicted, learner, metric, _weights(labels, clusters, n, seed))
    own, rows = found.pop(learner), []
    for k, term in enumerate(labels.columns):
        best = max(found, key=lambda name: np.nan_to_num(found[name][k, 0], nan=-np.inf))
        difference, *drawn = own[k] - found[best][k]
        low, high = bootstrap.percentiles(drawn)
        rows.append((str(term), own[k, 0], best, found[best][k, 0], difference, low, high, bool(low > 0)))
    columns = ["term", "value", "baseline", "baseline_value", "difference", "low", "high", "beats"]
    return pd.DataFrame(rows, columns=columns).astype({"term": "str", "baseline": "str"})


def mean_differences(
    labels: pd.DataFrame,
    predicted: Mapping[str, tuple[np.ndarray, np.ndarray]],
    learner: str,
    *,
    metric: str = "auprc",
    clusters: Sequence | None = None,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The mean over the terms of what a learner reaches, less that of each other one; arguments of `against_baselines`.
    Terms with one class do not count. It shows a small advantage in many terms, each of which has a wide interval.
    A row per baseline: baseline (str), value (of the learner), baseline_value, difference, low, high."""
    found = _compared(labels, predicted, learner, metric, _weights(labels, clusters, n, seed))
    means = {name: _mean(labels, values) for name, values in found.items()}
    own = means.pop(learner)
    rows = [
        (name, own[0], other[0], own[0] - other[0], *bootstrap.percentiles(own[1:] - other[1:]))
        for name, other in means.items()
    ]
    columns = ["baseline", "value", "baseline_value", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"baseline": "str"})


def mean_metric(
    labels: pd.DataFrame,
    probabilities: np.ndarray,
    *,
    metric: str = "auprc",
    clusters: Sequence | None = None,
    n: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """The mean of "auprc" or "auroc" over the terms that some proteins have and some have not, with its interval:
    value, low, high (float), n_terms (int: those counted). Arguments as in `term_metrics`."""
    thresholds = np.zeros(labels.shape[1])
    found = _by_term(labels, probabilities, thresholds, metric, _weights(labels, clusters, n, seed))
    value, *drawn = _mean(labels, found)
    return {"value": float(value), **bootstrap.percentiles(drawn)._asdict(), "n_terms": int(_divided(labels).sum())}


def cafa(
    labels: pd.DataFrame,
    probabilities: np.ndarray,
    *,
    aspects: Mapping[str, str] | None = None,
    annotated: Mapping[str, Collection[str]] | None = None,
    information: Mapping[str, float] | None = None,
    clusters: Sequence | None = None,
    n: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Fmax and Smin over all terms, as CAFA defines them, by aspect of the ontology.

    Parameters
    ----------
    labels : DataFrame of bool (n_proteins, k)
        Propagated: a protein with a term has the term's ancestors among the columns.
    probabilities : float array (n_proteins, k)
        Made consistent by the caller: that of a term is at least that of its descendants (`consistent`).
    aspects : mapping of term to str, optional
        Such as "F", "P", "C"; without it all terms make one aspect, "all".
    annotated : mapping of aspect to ids, optional
        The proteins (of the index of `labels`, others do not matter) with any term of the aspect, listed here or not:
        what is said of them wrongly counts. Without it only those with a listed term are measured, which flatters.
    information : mapping of term to float, optional
        Information accretion in bits, for Smin (`information` gives it); a term that it lacks counts 0.
    clusters, n, seed
        As in `term_metrics`.

    Returns
    -------
    DataFrame
        A row per aspect: aspect (str), n_terms, n_proteins (int64: measured), n_with (int64: those with a listed term),
        fmax, fmax_low, fmax_high, fmax_tau, coverage, precision, recall (at that threshold), and with `information`
        smin, smin_low, smin_high, smin_tau, misinformation, remaining_uncertainty (float64, bits). Interval: resampled
        proteins at the threshold that is best on all of them.

    Raises
    ------
    InputError
        If the shapes do not fit, a term has no aspect, or nothing is left to measure.

    Notes
    -----
    Protein-centred (Radivojac et al. 2013, Jiang et al. 2016), computed by `cafaeval` (Piovesan et al. 2024): for each
    threshold 0.01 ... 0.99, precision is the mean over the proteins with a prediction, recall over those with a listed
    term (`cafaeval` divides it by all that are measured, so that perfect predictions would not reach 1). Fmax is the
    largest harmonic mean of both, Smin the smallest sqrt(ru^2 + mi^2) of the mean information that is missed and that
    is wrong, over all that are measured. The roots are left out. With a short list of terms neither can be set beside a
    leader board of CAFA, which counts all terms of the ontology.
    """
    truth, probabilities = _checked(labels, probabilities)
    terms = pd.Index(map(str, labels.columns))
    if aspects is not None and (without := [term for term in terms if term not in aspects]):
        raise InputError(f"{len(without)} terms have no aspect, such as {without[0]}")
    of_term = np.array(["all" if aspects is None else aspects[term] for term in terms])
    counted = ~terms.isin(ROOTS)
    weight = None if information is None else np.array([float(information.get(term, 0.0)) for term in terms])
    units = np.arange(len(truth)) if clusters is None else np.asarray(clusters)
    rows = []
    for aspect in dict.fromkeys(of_term[counted].tolist()):
        columns = counted & (of_term == aspect)
        known = with_term = truth[:, columns].any(axis=1)
        if not with_term.any():
            continue
        if annotated is not None:
            known = with_term | labels.index.isin(list(annotated.get(aspect, ())))
        y, p = truth[np.ix_(known, columns)], probabilities[np.ix_(known, columns)]
        drawn = bootstrap.weights(units[known], n=n, seed=seed)
        counts = {"n_terms": int(columns.sum()), "n_proteins": len(y), "n_with": int(with_term.sum())}
        row = {"aspect": aspect} | counts | _fmax(y, p, drawn)
        rows.append(row | ({} if weight is None else _smin(y, p, weight[columns], drawn)))
    if not rows:
        raise InputError("no protein has a term other than the roots: nothing to measure")
    return pd.DataFrame(rows)


def information(
    labels: pd.DataFrame,
    ancestors: Mapping[str, Collection[str]] | None = None,
    *,
    aspects: Mapping[str, str] | None = None,
    annotated: Mapping[str, Collection[str]] | None = None,
) -> dict[str, float]:
    """Information accretion of terms among those listed: -log2 P(term | its nearest listed ancestors), in bits; 0 for
    roots. `labels`: propagated, of training proteins. For an unlisted root stand the proteins annotated in its aspect,
    or all. As in CAFA5 (Clark and Radivojac 2013) one protein with every term is added to each count."""
    lineage = {term: set((ancestors or {}).get(term, ())) for term in labels}
    found = {}
    for term in labels:
        listed = [each for each in labels if each in lineage[term] and each not in ROOTS]
        nearest = [each for each in listed if not any(each in lineage[other] for other in listed)]
        given = labels[nearest].all(axis=1)
        if not nearest and annotated is not None:
            of_aspect = annotated.get("all" if aspects is None else aspects[term], ())
            given = labels[term] | labels.index.isin(list(of_aspect))
        share = (1 + (labels[term] & given).sum()) / (1 + given.sum())
        found[str(term)] = 0.0 if term in ROOTS else float(-np.log2(share))
    return found


def consistent(probabilities: np.ndarray, terms: Sequence[str], ancestors: Mapping[str, set[str]] | None) -> np.ndarray:
    """Raise the probability of each term to that of its descendants, float64 (n, k): who has a term has its ancestors.
    `ancestors` without the term itself; None leaves the probabilities as they are."""
    found = np.array(probabilities, dtype=np.float64)
    if ancestors is None:
        return found
    for k, term in enumerate(terms):
        below = [j for j, other in enumerate(terms) if term in ancestors.get(other, ())]
        found[:, k] = np.max(probabilities[:, [k, *below]], axis=1)
    return found


def calibration(labels: pd.DataFrame, probabilities: np.ndarray, *, bins: int = 10) -> pd.DataFrame:
    """Predicted against observed share of each term, in bins of equally many proteins (`metrics.calibration_bins`):
    term (str), predicted, observed, low, high (95 % Wilson interval), n (int64); by term, predicted ascending."""
    truth, probabilities = _checked(labels, probabilities)
    parts = [
        metrics.calibration_bins(y, p, bins=bins).assign(term=str(term))
        for term, y, p in zip(labels.columns, truth.T, probabilities.T, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)[["term", "predicted", "observed", "low", "high", "n"]]


def _weights(labels: pd.DataFrame, clusters: Sequence | None, n: int, seed: int) -> np.ndarray:
    """How often each protein counts in each resample, float64 (n, n_proteins); a cluster is drawn together."""
    if clusters is not None and len(clusters) != len(labels):
        raise InputError(f"{len(clusters)} clusters for {len(labels)} proteins")
    return bootstrap.weights(np.arange(len(labels)) if clusters is None else clusters, n=n, seed=seed)


def _compared(
    labels: pd.DataFrame, predicted: Mapping, learner: str, metric: str, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """`_by_term` of each learner."""
    one_of("metric", metric, METRICS)
    if learner not in predicted or len(predicted) < 2:
        raise InputError(f"expected the predictions of {learner!r} and of a baseline, found {', '.join(predicted)}")
    return {name: _by_term(labels, p, thresholds, metric, weights) for name, (p, thresholds) in predicted.items()}


def _by_term(labels: pd.DataFrame, probabilities, thresholds, metric: str, weights: np.ndarray) -> np.ndarray:
    """A measure of each term on all proteins, then on each resample, float64 (k, 1 + n)."""
    y, p = _checked(labels, probabilities, thresholds)
    return np.array([_values(*each, weights, (metric,))[metric] for each in zip(y.T, p.T, thresholds, strict=True)])


def _divided(labels: pd.DataFrame) -> np.ndarray:
    """The terms with both classes, bool (k,)."""
    return labels.mean().between(0, 1, inclusive="neither").to_numpy()


def _mean(labels: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """The mean of `_by_term` over the terms with both classes, float64 (1 + n,)."""
    both = _divided(labels)
    if not both.any():
        raise InputError(f"none of {labels.shape[1]} terms divides the proteins; nothing to measure")
    return np.append(values[both, 0].mean(), np.nanmean(values[both, 1:], axis=0))


def _values(y, p, threshold, weights, only: Sequence[str]) -> dict[str, np.ndarray]:
    """Each measure on all proteins, then on each resample, float64 (1 + n,)."""
    everyone = np.ones((1, len(y)))
    parts = [_measures(y, p, p >= threshold, part, only) for part in (everyone, *bootstrap.chunks(weights))]
    return {name: np.concatenate([part[name] for part in parts]) for name in only}


def _measures(y, p, said, weights, only) -> dict:
    """Each measure for each row of weights."""
    found: dict = {}
    if set(only) - {"auprc", "auroc"}:
        tp, fp = weights @ (said & y), weights @ (said & ~y)
        fn, tn = weights @ (~said & y), weights @ (~said & ~y)
        margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        found = {
            "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "mcc": _ratio(tp * tn - fp * fn, np.sqrt(margins)),
        }
    for name, statistic in (("auprc", metrics.average_precision), ("auroc", metrics.roc_auc)):
        if name in only:
            found[name] = statistic(y, p, weights)
    return found


def _fmax(y: np.ndarray, p: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    curve, with_term = _curve(y, p, None), y.any(axis=1)
    curve["rc"] *= len(y) / with_term.sum()
    curve["f"] = _ratio(2 * curve["pr"] * curve["rc"], curve["pr"] + curve["rc"])
    best = curve.loc[curve["f"].idxmax()]
    said = p >= best["tau"]
    hits, predicted = (said & y).sum(axis=1), said.sum(axis=1)
    precision, recall = _ratio(hits, predicted), _ratio(hits, y.sum(axis=1))
    # As in the definition: precision over the proteins with a prediction, recall over those with a term.
    of_precision = _ratio(drawn @ precision, drawn @ (predicted > 0))
    of_recall = _ratio(drawn @ recall, drawn @ with_term)
    low, high = bootstrap.percentiles(_ratio(2 * of_precision * of_recall, of_precision + of_recall))
    names = ("fmax", "fmax_low", "fmax_high", "fmax_tau", "coverage", "precision", "recall")
    return dict(zip(names, (best["f"], low, high, *best[["tau", "cov", "pr", "rc"]]), strict=True))


def _smin(y: np.ndarray, p: np.ndarray, information: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    curve = _curve(y, p, information)
    best = curve.loc[curve["s"].idxmin()]
    said, total = p >= best["tau"], drawn.sum(axis=1)
    uncertainty, misinformation = (~said & y) @ information, (said & ~y) @ information
    low, high = bootstrap.percentiles(np.hypot(drawn @ uncertainty / total, drawn @ misinformation / total))
    names = ("smin", "smin_low", "smin_high", "smin_tau", "misinformation", "remaining_uncertainty")
    return dict(zip(names, (best["s"], low, high, *best[["tau", "mi", "ru"]]), strict=True))


def _curve(y: np.ndarray, p: np.ndarray, information: np.ndarray | None) -> pd.DataFrame:
    """What `cafaeval` measures at each of `TAUS`: tau, f, pr, rc, cov, s, ru, mi."""
    from cafaeval.evaluation import compute_metrics, normalize

    everyone, columns = np.full(len(TAUS), len(y)), np.arange(y.shape[1])
    predictions, truth = SimpleNamespace(matrix=p), SimpleNamespace(matrix=y)
    counted = compute_metrics(predictions, truth, TAUS, columns, information, n_cpu=1)
    return normalize(counted, "all", TAUS, everyone, "cafa")


def _checked(labels: pd.DataFrame, probabilities: np.ndarray, thresholds=None) -> tuple[np.ndarray, np.ndarray]:
    """bool and float64 (n, k)."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    k = labels.shape[1] if thresholds is None else len(thresholds)
    if probabilities.shape != labels.shape or k != labels.shape[1] or not labels.size:
        raise InputError(
            f"labels {labels.shape}, probabilities {probabilities.shape}, {k} thresholds: expected (n, k), (n, k) and k"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise InputError("a probability is missing or not in [0, 1]")
    if other := [name for name in labels if not pd.api.types.is_bool_dtype(labels[name]) or labels[name].isna().any()]:
        raise InputError(f"the labels of {other[0]!r}: expected True and False")
    return labels.to_numpy(dtype=bool), probabilities


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and 0 where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), b)
    return np.divide(a, b, out=np.zeros(a.shape), where=b != 0)
