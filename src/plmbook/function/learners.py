"""The methods behind `plmbook.function.classifier`: from features and labels to what is saved, and to probabilities.

`train` and `validation` are pairs of features (float32, n x d) and labels (bool, n x k); in `train` every label has
both classes. What a method learnt is arrays and LightGBM's own model texts: no pickle.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from plmbook.core.machine import cores, one_torch_thread
from plmbook.probing import neighbours

_Part = tuple[np.ndarray, np.ndarray]

ROUNDS = 100  # trees of a label at most, LightGBM's default
PATIENCE = 20  # trees without a better average precision on validation, after which a label stops
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse of the L2 penalty (scikit-learn's C) to choose from
_NEIGHBOURS = 10
_HIDDEN = 256
_EPOCHS = 100
_BATCH = 128

# One histogram layout and no data-dependent choice of it: the same trees on every run and any number of threads. By
# columns is the faster of the two on embeddings; the trees are those of LightGBM's own choice.
_EXACT = {"objective": "binary", "deterministic": True, "force_col_wise": True, "verbosity": -1}
# Coarser bins, and half of the columns for each tree. Gradients in integers (`use_quantized_grad`) would gain
# a little more, but LightGBM 4.7 ends on some data sets with "Check failed: (best_split_info.right_count) > (0)".
FAST = _EXACT | {"max_bin": 63, "feature_fraction": 0.5}


@dataclass(frozen=True)
class Fitted:
    """What a method learnt."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    trees: tuple[str, ...] = ()  # LightGBM's text of the model of each label
    chosen: dict[str, list] = field(default_factory=dict)  # by validation, for each label, such as the number of trees


# --- LightGBM --------------------------------------------------------------------------------------------


def parameters(*, seed: int = 0, imbalance: str = "none", fast: bool = False, threads: int = 1) -> dict:
    """What LightGBM is given; `LGBMClassifier(n_estimators=..., **parameters(...))` grows the same trees."""
    chosen = (FAST if fast else _EXACT) | {"seed": seed, "num_threads": threads}
    return chosen | ({"is_unbalance": True} if imbalance == "balanced" else {})


def fit_lightgbm(
    train: _Part,
    validation: _Part | None,
    *,
    seed: int = 0,
    imbalance: str = "none",
    fast: bool = False,
    rounds: int = ROUNDS,
    patience: int = PATIENCE,
    jobs: int | None = None,
) -> Fitted:
    """Boosted trees for each label, on data binned once, `jobs` labels at a time (1: with all cores); a label stops
    after `patience` trees without a better average precision on validation, or without one at `rounds`. Invariant: the
    trees are those that `LGBMClassifier` grows on a label alone, whatever the other labels and the number of cores."""
    import lightgbm

    (features, labels), n_cores = train, cores()
    jobs = min(n_cores if jobs is None else jobs, labels.shape[1])
    options = parameters(seed=seed, imbalance=imbalance, fast=fast, threads=n_cores if jobs == 1 else 1)
    wanted = np.ascontiguousarray(labels.T, dtype=np.float32)  # (k, n)
    held: Any = None  # features, then a data set of LightGBM
    held_wanted: Any = [None] * len(wanted)
    if validation is not None:
        held, held_wanted = validation[0], np.ascontiguousarray(validation[1].T, dtype=np.float32)
    of_labels = zip(wanted, held_wanted, strict=True)
    binned = lightgbm.Dataset(features, label=wanted[0], params=options | {"num_threads": n_cores}).construct()
    if jobs == 1:
        held = None if held is None else binned.create_valid(held, label=held_wanted[0])
        grown = [_grow(binned, held, *each, options, rounds, patience) for each in of_labels]
    else:
        grown = _grow_in_processes(binned, held, of_labels, options, rounds, patience, jobs=jobs)
    return Fitted(trees=tuple(grown), chosen={"n_trees": [text.count("\nTree=") for text in grown]})


def predict_lightgbm(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    import lightgbm

    return np.stack([lightgbm.Booster(model_str=text).predict(features) for text in fitted.trees], axis=1)


def _grow(binned, held, labels, held_labels, options: dict, rounds: int, patience) -> str:
    """The text of the model of one label, without the number of threads, which changes no tree."""
    import lightgbm

    binned.set_label(labels)
    stopping: dict[str, Any] = {}
    if held is not None:
        held.set_label(held_labels)
        options = options | {"metric": "average_precision"}
        stopping = {"valid_sets": [held], "callbacks": [lightgbm.early_stopping(patience, verbose=False)]}
    text = lightgbm.train(options, binned, rounds, **stopping).model_to_string()  # up to the best iteration
    return re.sub(r"^\[num_threads: .*\]\n", "", text, flags=re.MULTILINE)


def _grow_in_processes(binned, held, of_labels, *options, jobs: int) -> list[str]:
    """As `_grow` for every label, several at a time."""
    from joblib import Parallel, delayed

    with tempfile.TemporaryDirectory(prefix="plmbook-go-") as folder:
        path = Path(folder) / "binned.bin"
        binned.save_binary(path)
        grow = delayed(_grow_from_file)
        return Parallel(n_jobs=jobs, backend="loky")(grow(path, held, *each, *options) for each in of_labels)


def _grow_from_file(path: Path, held, labels, held_labels, options: dict, *limits) -> str:
    import lightgbm

    binned = lightgbm.Dataset(path, params=options).construct()
    held = None if held is None else binned.create_valid(held, label=held_labels)
    return _grow(binned, held, labels, held_labels, options, *limits)


# --- logistic regression ---------------------------------------------------------------------------------


def fit_logistic(
    train: _Part, validation: _Part, *, seed: int = 0, imbalance: str = "none", strengths: Sequence[float] = STRENGTHS
) -> Fitted:
    """Logistic regression of each label on standardised features, to its optimum; validation chooses the L2 penalty.
    `arrays`: mean, scale (float64, d), coefficients (float64, k x d), intercepts (float64, k); `chosen["strength"]`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score

    mean, scale = standards(train[0])
    x, held = (train[0] - mean) / scale, (validation[0] - mean) / scale
    # Newton's method needs a few steps where a method of first order takes a thousand, but a matrix of d x d.
    solver = "newton-cholesky" if x.shape[1] <= 2000 else "lbfgs"
    weight = None if imbalance == "none" else imbalance
    coefficients, intercepts, chosen = [], [], []
    for y, held_y in zip(train[1].T, validation[1].T, strict=True):
        found = []
        for strength in strengths:
            model = LogisticRegression(C=strength, class_weight=weight, solver=solver, tol=1e-5, max_iter=2000)
            model.fit(x, y)
            found.append((average_precision_score(held_y, model.decision_function(held)), -strength, model))
        _, negative, model = max(found, key=lambda each: each[:2])  # of equal ones the stronger penalty
        coefficients.append(model.coef_[0])
        intercepts.append(model.intercept_[0])
        chosen.append(-negative)
    arrays = {"mean": mean, "scale": scale, "coefficients": np.array(coefficients), "intercepts": np.array(intercepts)}
    return Fitted(arrays, chosen={"strength": chosen})


def predict_logistic(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    a = fitted.arrays
    return expit((features - a["mean"]) / a["scale"] @ a["coefficients"].T + a["intercepts"])


def linear(fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """What a logistic regression does to raw features: weights (k, d) and offset (k,), float64."""
    a = fitted.arrays
    weights = a["coefficients"] / a["scale"]
    return weights, a["intercepts"] - weights @ a["mean"]


# --- a network for all labels ----------------------------------------------------------------------------


def fit_mlp(
    train: _Part,
    validation: _Part,
    *,
    seed: int = 0,
    imbalance: str = "none",
    epochs: int = _EPOCHS,
    patience: int = PATIENCE,
) -> Fitted:
    """One hidden layer for all labels at once, AdamW; the epoch with the best mean average precision on validation.
    `arrays`: mean, scale (float64, d), and the weights of both layers (float32); `chosen["epoch"]`.
    Imports torch, which on macOS may not live in one process with LightGBM; `predict_mlp` is NumPy."""
    import torch
    from sklearn.metrics import average_precision_score

    mean, scale = standards(train[0])
    x, held = (torch.from_numpy(((each - mean) / scale).astype(np.float32)) for each in (train[0], validation[0]))
    y = torch.from_numpy(train[1].astype(np.float32))
    share = y.mean(dim=0)
    weight = (1 - share) / share if imbalance == "balanced" else torch.ones_like(share)
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(seed)
        first, output = torch.nn.Linear(x.shape[1], _HIDDEN), torch.nn.Linear(_HIDDEN, y.shape[1])
        network = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Dropout(0.3), output)
        with torch.no_grad():
            output.bias.copy_(torch.logit(share, eps=1e-6))  # begin with the frequencies
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=weight)
        best, best_epoch, state = -np.inf, 0, network.state_dict()
        for epoch in range(epochs):
            network.train()
            for rows in torch.randperm(len(x)).split(_BATCH):
                optimiser.zero_grad()
                loss_of(network(x[rows]), y[rows]).backward()
                optimiser.step()
            network.eval()
            with torch.no_grad():
                scores = network(held).numpy()
            value = float(average_precision_score(validation[1], scores, average="macro"))
            if value > best:
                best, best_epoch = value, epoch
                state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            if epoch - best_epoch >= patience:
                break
    names = {"0.weight": "hidden", "0.bias": "hidden_bias", "3.weight": "output", "3.bias": "output_bias"}
    arrays = {"mean": mean, "scale": scale} | {names[name]: tensor.numpy() for name, tensor in state.items()}
    return Fitted(arrays, chosen={"epoch": [best_epoch]})


def predict_mlp(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    a = fitted.arrays
    hidden = np.maximum((features - a["mean"]) / a["scale"] @ a["hidden"].T + a["hidden_bias"], 0)
    return expit(hidden @ a["output"].T + a["output_bias"])


# --- without training ------------------------------------------------------------------------------------


def fit_knn(train: _Part, validation: _Part | None = None, *, seed: int = 0, imbalance: str = "none") -> Fitted:
    """Keep the training proteins: float32 `references` (n, d) and bool `labels` (n, k)."""
    return Fitted({"references": train[0], "labels": train[1]})


def predict_knn(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """Share of the `_NEIGHBOURS` nearest by cosine that have the label, each weighted by its cosine, float64 (n, k).
    A cosine below 0 weighs nothing; a protein without a neighbour above 0 gets the shares of all training proteins."""
    references, labels = fitted.arrays["references"], fitted.arrays["labels"].astype(np.float64)
    places, cosines = neighbours.nearest(features, references, k=min(_NEIGHBOURS, len(references)))
    weights = np.maximum(cosines, 0)
    total = weights.sum(axis=1, keepdims=True)
    shares = np.einsum("nj,njk->nk", weights, labels[places])
    found = np.where(total > 0, shares / np.where(total > 0, total, 1), labels.mean(axis=0))
    return np.minimum(found, 1)  # a sum of shares may round up


def fit_frequency(train: _Part, validation: _Part | None = None, *, seed: int = 0, imbalance: str = "none") -> Fitted:
    """The share of each label in training: float64 `shares` (k,)."""
    return Fitted({"shares": train[1].mean(axis=0)})


def predict_frequency(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """The same for every protein, float64 (n, k)."""
    return np.tile(fitted.arrays["shares"], (len(features), 1))


def standards(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, float64; 1 where a column is constant."""
    wide = features.astype(np.float64)
    scale = wide.std(axis=0)
    return wide.mean(axis=0), np.where(scale > 0, scale, 1.0)


class _Method(NamedTuple):
    fit: Callable[..., Fitted]
    predict: Callable[[Fitted, np.ndarray], np.ndarray]


METHODS = {
    "lightgbm": _Method(fit_lightgbm, predict_lightgbm),
    "logistic": _Method(fit_logistic, predict_logistic),
    "mlp": _Method(fit_mlp, predict_mlp),
    "knn": _Method(fit_knn, predict_knn),
    "frequency": _Method(fit_frequency, predict_frequency),
}
