"""What learns the labels in `plmbook.function.classifier`: from two matrices to what can be saved, and from that to
probabilities.

`fit_METHOD(train, validation, ...)` gives a `Fitted`, `predict_METHOD(fitted, features)` the probabilities, float64
(n, k). `train` and `validation` are pairs of features (float32, n x d) and labels (bool, n x k); in `train` every
label has both classes. What a method learnt is arrays and LightGBM's own model texts: no pickle.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plmbook.core.machine import cores, one_torch_thread
from plmbook.probing import neighbours

Part = tuple[np.ndarray, np.ndarray]

ROUNDS = 100  # trees of a label at most, LightGBM's default
PATIENCE = 20  # trees without a better average precision on validation, after which a label stops
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # inverse of the L2 penalty (scikit-learn's C) to choose from
NEIGHBOURS = 10
HIDDEN = 256
EPOCHS = 100
BATCH = 128

# One histogram layout and no data-dependent choice of it: the same trees on every run and any number of threads. By
# columns is the faster of the two on embeddings; the trees are those of LightGBM's own choice.
EXACT = {"objective": "binary", "deterministic": True, "force_col_wise": True, "verbosity": -1}
# Coarser bins, and half of the columns for each tree. Gradients in integers (`use_quantized_grad`) would gain
# a little more, but LightGBM 4.7 ends on some data sets with "Check failed: (best_split_info.right_count) > (0)".
FAST = EXACT | {"max_bin": 63, "feature_fraction": 0.5}


@dataclass(frozen=True)
class Fitted:
    """What a method learnt.

    Attributes
    ----------
    arrays : dict of str to ndarray
    trees : tuple of str
        LightGBM's text of the model of each label.
    chosen : dict of str to list
        What validation chose for each label, such as the number of trees.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    trees: tuple[str, ...] = ()
    chosen: dict[str, list] = field(default_factory=dict)


# --- LightGBM --------------------------------------------------------------------------------------------


def parameters(*, seed: int = 0, imbalance: str = "none", fast: bool = False, threads: int = 1) -> dict:
    """What LightGBM is given; `LGBMClassifier(n_estimators=..., **parameters(...))` grows the same trees."""
    chosen = (FAST if fast else EXACT) | {"seed": seed, "num_threads": threads}
    return chosen | ({"is_unbalance": True} if imbalance == "balanced" else {})


def fit_lightgbm(
    train: Part,
    validation: Part | None,
    *,
    seed: int = 0,
    imbalance: str = "none",
    fast: bool = False,
    rounds: int = ROUNDS,
    patience: int | None = PATIENCE,
    jobs: int | None = None,
) -> Fitted:
    """Boosted trees for each label, on one binned data set.

    Parameters
    ----------
    train, validation : (features, labels)
        Without validation every label gets all rounds.
    seed : int
    imbalance : {"none", "balanced"}
        "balanced": LightGBM's `is_unbalance`, the rarer class weighs as much as the other.
    fast : bool
        `FAST` instead of `EXACT`.
    rounds : int
        Trees of a label at most.
    patience : int or None
        Trees without a better average precision on validation, after which a label stops; None: never.
    jobs : int, optional
        Labels that are trained at a time, in processes of one thread each on one saved binary; 1: one after the
        other in this process, with all cores. Default: as many as cores, which wait for each other less.

    Returns
    -------
    Fitted
        `trees`, and `chosen["n_trees"]`.

    Notes
    -----
    Invariant: the trees of a label do not depend on the other labels, on `jobs` or on the number of cores. They are
    those that `LGBMClassifier(n_estimators=rounds, **parameters(...)).fit` grows on this label alone; what is saved is
    the binning, once for all labels.
    """
    import lightgbm

    (features, labels), n_cores = train, cores()
    jobs = min(n_cores if jobs is None else jobs, labels.shape[1])
    options = parameters(seed=seed, imbalance=imbalance, fast=fast, threads=n_cores if jobs == 1 else 1)
    stopping = None if validation is None else patience
    binned = lightgbm.Dataset(features, label=_column(labels, 0), params=options | {"num_threads": n_cores}).construct()
    if jobs == 1:
        held = None if stopping is None else binned.create_valid(validation[0], label=_column(validation[1], 0))
        # The parameters of the data set are as they were when it was made: LightGBM compares them.
        grown = [
            _grow(binned, held, _column(labels, k), _held_column(validation, k), options, rounds, stopping)
            for k in range(labels.shape[1])
        ]
    else:
        grown = _grow_in_processes(binned, labels, validation, options, rounds, stopping, jobs)
    return Fitted(trees=tuple(grown), chosen={"n_trees": [text.count("\nTree=") for text in grown]})


def predict_lightgbm(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n, k)."""
    import lightgbm

    return np.stack([lightgbm.Booster(model_str=text).predict(features) for text in fitted.trees], axis=1)


def _grow(binned, held, labels, held_labels, options: dict, rounds: int, patience: int | None) -> str:
    """The text of the model of one label."""
    import lightgbm

    binned.set_label(labels)
    if patience is None:
        return _without_threads(lightgbm.train(options, binned, rounds).model_to_string())
    held.set_label(held_labels)
    stop = lightgbm.early_stopping(patience, verbose=False)
    measured = options | {"metric": "average_precision"}
    grown = lightgbm.train(measured, binned, rounds, valid_sets=[held], callbacks=[stop])
    return _without_threads(grown.model_to_string(num_iteration=grown.best_iteration))


def _without_threads(text: str) -> str:
    """The number of threads changes no tree: without it the same job has the same bytes on any number of cores."""
    return re.sub(r"^\[num_threads: .*\]\n", "", text, flags=re.MULTILINE)


def _grow_in_processes(binned, labels, validation, options, rounds, patience, jobs) -> list[str]:
    """As `_grow` for every label, several at a time."""
    from joblib import Parallel, delayed

    with tempfile.TemporaryDirectory(prefix="plmbook-go-") as folder:
        path = Path(folder) / "binned.bin"
        binned.save_binary(path)
        held = None if patience is None else validation[0]
        grow = delayed(_grow_from_file)
        return Parallel(n_jobs=jobs, backend="loky")(
            grow(path, held, _column(labels, k), _held_column(validation, k), options, rounds, patience)
            for k in range(labels.shape[1])
        )


def _grow_from_file(path, features, labels, held_labels, options, rounds, patience) -> str:
    import lightgbm

    binned = lightgbm.Dataset(path, params=options).construct()
    held = None if patience is None else binned.create_valid(features, label=held_labels)
    return _grow(binned, held, labels, held_labels, options, rounds, patience)


def _column(labels: np.ndarray, k: int) -> np.ndarray:
    return labels[:, k].astype(np.float32)


def _held_column(validation: Part | None, k: int) -> np.ndarray | None:
    return None if validation is None else _column(validation[1], k)


# --- logistic regression ---------------------------------------------------------------------------------


def fit_logistic(
    train: Part, validation: Part, *, seed: int = 0, imbalance: str = "none", strengths: Sequence[float] = STRENGTHS
) -> Fitted:
    """Logistic regression of each label on standardised features; validation chooses the L2 penalty.

    Returns
    -------
    Fitted
        mean, scale (float64, d), coefficients (float64, k x d), intercepts (float64, k); `chosen["strength"]`.

    Notes
    -----
    In float64 and to convergence: the optimum is unique, so that no seed is needed.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score

    mean, scale = standards(train[0])
    x, held = (train[0] - mean) / scale, (validation[0] - mean) / scale
    # Newton's method needs a few steps where a method of first order takes a thousand, but a matrix of d x d.
    solver = "newton-cholesky" if x.shape[1] <= 2000 else "lbfgs"
    coefficients, intercepts, chosen = [], [], []
    for y, held_y in zip(train[1].T, validation[1].T, strict=True):
        found = []
        for strength in strengths:
            model = LogisticRegression(
                C=strength, solver=solver, tol=1e-5, max_iter=2000, class_weight=_class_weight(imbalance)
            ).fit(x, y)
            found.append((average_precision_score(held_y, model.decision_function(held)), -strength, model))
        _, negative, model = max(found, key=lambda each: each[:2])  # of equal ones the stronger penalty
        coefficients.append(model.coef_[0])
        intercepts.append(model.intercept_[0])
        chosen.append(-negative)
    arrays = {"mean": mean, "scale": scale, "coefficients": np.array(coefficients), "intercepts": np.array(intercepts)}
    return Fitted(arrays, chosen={"strength": chosen})


def predict_logistic(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n, k)."""
    a = fitted.arrays
    return _logistic((features - a["mean"]) / a["scale"] @ a["coefficients"].T + a["intercepts"])


def linear(fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """What a logistic regression does to raw features: weights (k, d) and offset (k,), float64."""
    a = fitted.arrays
    weights = a["coefficients"] / a["scale"]
    return weights, a["intercepts"] - weights @ a["mean"]


# --- a network for all labels ----------------------------------------------------------------------------


def fit_mlp(
    train: Part,
    validation: Part,
    *,
    seed: int = 0,
    imbalance: str = "none",
    hidden: int = HIDDEN,
    epochs: int = EPOCHS,
    patience: int = PATIENCE,
) -> Fitted:
    """One hidden layer for all labels at once, AdamW; the epoch with the best mean average precision on validation.

    Returns
    -------
    Fitted
        mean, scale (float64, d), and the weights of both layers (float32); `chosen["epoch"]`.

    Notes
    -----
    Imports torch, which on macOS may not live in one process with LightGBM; `predict_mlp` is NumPy. On one thread: the
    products are small, and sums do not depend on the number of cores.
    """
    import torch
    from sklearn.metrics import average_precision_score

    mean, scale = standards(train[0])
    x, held = (torch.from_numpy(((each - mean) / scale).astype(np.float32)) for each in (train[0], validation[0]))
    y = torch.from_numpy(train[1].astype(np.float32))
    share = y.mean(dim=0)
    weight = (1 - share) / share if imbalance == "balanced" else torch.ones_like(share)
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], hidden),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(hidden, y.shape[1]),
        )
        with torch.no_grad():
            network[3].bias.copy_(torch.logit(share, eps=1e-6))  # begin with the frequencies
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=weight)
        best, best_epoch, kept = -np.inf, 0, None
        for epoch in range(epochs):
            network.train()
            for rows in torch.randperm(len(x)).split(BATCH):
                optimiser.zero_grad()
                loss_of(network(x[rows]), y[rows]).backward()
                optimiser.step()
            network.eval()
            with torch.no_grad():
                scores = network(held).numpy()
            value = float(average_precision_score(validation[1], scores, average="macro"))
            if value > best:
                best, best_epoch = value, epoch
                kept = {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}
            if epoch - best_epoch >= patience:
                break
    names = {"0.weight": "hidden", "0.bias": "hidden_bias", "3.weight": "output", "3.bias": "output_bias"}
    arrays = {"mean": mean, "scale": scale} | {names[name]: array for name, array in kept.items()}
    return Fitted(arrays, chosen={"epoch": [best_epoch]})


def predict_mlp(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n, k)."""
    a = fitted.arrays
    hidden = np.maximum((features - a["mean"]) / a["scale"] @ a["hidden"].T + a["hidden_bias"], 0)
    return _logistic(hidden @ a["output"].T + a["output_bias"])


# --- without training ------------------------------------------------------------------------------------


def fit_knn(train: Part, validation: Part | None = None, *, seed: int = 0, imbalance: str = "none") -> Fitted:
    """Keep the training proteins: float32 `references` (n, d) and bool `labels` (n, k)."""
    return Fitted({"references": train[0], "labels": train[1]})


def predict_knn(fitted: Fitted, features: np.ndarray) -> np.ndarray:
    """Share of the `NEIGHBOURS` nearest by cosine that have the label, each weighted by its cosine, float64 (n, k).

    A cosine below 0 weighs nothing; a protein without a neighbour above 0 gets the shares of all training proteins.
    """
    references, labels = fitted.arrays["references"], fitted.arrays["labels"].astype(np.float64)
    places, cosines = neighbours.nearest(features, references, k=min(NEIGHBOURS, len(references)))
    weights = np.maximum(cosines, 0)
    total = weights.sum(axis=1, keepdims=True)
    shares = np.einsum("nj,njk->nk", weights, labels[places])
    found = np.where(total > 0, shares / np.where(total > 0, total, 1), labels.mean(axis=0))
    return np.minimum(found, 1)  # a sum of shares may round up


def fit_frequency(train: Part, validation: Part | None = None, *, seed: int = 0, imbalance: str = "none") -> Fitted:
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


def _class_weight(imbalance: str) -> str | None:
    return "balanced" if imbalance == "balanced" else None


def _logistic(logits: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(logits.astype(np.float64))


FIT = {"lightgbm": fit_lightgbm, "logistic": fit_logistic, "mlp": fit_mlp, "knn": fit_knn, "frequency": fit_frequency}
PREDICT = {
    "lightgbm": predict_lightgbm,
    "logistic": predict_logistic,
    "mlp": predict_mlp,
    "knn": predict_knn,
    "frequency": predict_frequency,
}
