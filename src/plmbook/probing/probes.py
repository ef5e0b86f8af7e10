"""Secondary structure by residue, from a linear probe: what the hidden states of a model say without more training.

A probe is a multinomial logistic regression on standardised features of a residue, one of four kinds: *majority*
(nothing: the commonest state in training), *residue* (which of the 20), *window* (the amino acids at the 15 places
around it, as in GOR; Garnier et al. 1978), *states* (the model's hidden state there).  Q3 is the share of the residues
whose state (helix H, strand E, other C) is predicted; residues without coordinates or outside CB513's domains are out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from plmbook.core.errors import InputError, need, one_of
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode
from plmbook.engine.scan import columns
from plmbook.stats import bootstrap
from plmbook.stats.bootstrap import Estimate

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

KINDS = ("majority", "residue", "window", "states")
_STATES = "HEC"
WIDTH = 15  # residues of the window
MAX_RESIDUES = 60_000  # of the training set
STRENGTH = 1.0  # inverse of the L2 penalty, scikit-learn's C
_CHUNK = 64  # proteins whose features are in memory together


def one_hot(sequence: str) -> np.ndarray:
    """Which amino acid each residue is, float32 (L, 20); a letter outside `AMINO_ACIDS` has a row of zeros."""
    return (columns(sequence)[:, None] == np.arange(len(AMINO_ACIDS))).astype(np.float32)


def window_one_hot(sequence: str, *, width: int = WIDTH) -> np.ndarray:
    """float32 (L, width * 21): for each place around a residue `one_hot`, then 1 where it is outside the chain."""
    if width < 1 or width % 2 == 0:
        raise InputError(f"window of {width} residues: expected an odd number from 1 up")
    half, inside = width // 2, len(sequence)
    padded = np.zeros((inside + 2 * half, len(AMINO_ACIDS) + 1), dtype=np.float32)
    padded[half : half + inside, :-1] = one_hot(sequence)
    padded[:half, -1] = padded[half + inside :, -1] = 1
    return np.concatenate([padded[place : place + inside] for place in range(width)], axis=1)


def _features(sequences: Sequence[str], kind: str, *, model=None, layer: int = -1) -> list[np.ndarray]:
    """The features of each residue, float32 (L, d) a sequence; `kind` is one of `KINDS`."""
    one_of("features", kind, KINDS)
    if kind == "states":
        if model is None:
            raise InputError("features 'states': expected a model")
        return list(encode.embed(model, list(sequences), layer=layer, pool="residue"))
    if kind == "majority":
        return [np.zeros((len(sequence), 1), dtype=np.float32) for sequence in sequences]
    return list(map(one_hot if kind == "residue" else window_one_hot, sequences))


def _draw(proteins: pd.DataFrame, *, max_residues: int = MAX_RESIDUES, seed: int = 0) -> pd.DataFrame:
    """Whole proteins in a seeded order, as many as have at most `max_residues` counted residues together."""
    shuffled = proteins.sort_values("id").sample(frac=1, random_state=seed, ignore_index=True)
    fits = shuffled["counted"].str.count("1").cumsum() <= max_residues
    if not fits.any():
        raise InputError(f"{max_residues} training residues: expected at least those of one protein")
    return shuffled[fits].reset_index(drop=True)


def fit(
    proteins: pd.DataFrame, kind: str, *, model=None, layer: int = -1, max_residues: int = MAX_RESIDUES, seed: int = 0
) -> "Pipeline":
    """Fit a probe on labelled proteins.

    Parameters
    ----------
    proteins : DataFrame
        id, sequence, dssp3, counted (str), as in the bundled table `secondary_structure`.
    kind : {"majority", "residue", "window", "states"}
        The features, as the top of this module says.
    model, layer : Model, int
        For `states`: layer 0 is the input embedding, -1 the last.
    max_residues, seed : int
        Whole proteins in a seeded order, as many as have at most so many counted residues together.

    Returns
    -------
    sklearn Pipeline
        Standardisation and logistic regression (float64, to its unique optimum); `majority`: most frequent class.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check(proteins)
    drawn = _draw(proteins, max_residues=max_residues, seed=seed)
    masks = [as_bool(mask) for mask in drawn["counted"]]
    tables = _features(drawn["sequence"], kind, model=model, layer=layer)
    x = np.concatenate([table[mask] for table, mask in zip(tables, masks, strict=True)]).astype(np.float64)
    y = np.concatenate([_letters(states)[mask] for states, mask in zip(drawn["dssp3"], masks, strict=True)])
    if len(np.unique(y)) < 2:
        raise InputError(f"{len(y)} training residues: expected at least two states, found {', '.join(np.unique(y))}")
    if kind == "majority":
        return make_pipeline(DummyClassifier(strategy="most_frequent")).fit(x, y)
    # The columns of hidden states are nearly collinear: a method of first order takes a thousand steps, Newton's a few.
    # One-hot columns are not, and there are more of them.
    solver = "newton-cholesky" if kind == "states" else "lbfgs"
    regression = LogisticRegression(C=STRENGTH, solver=solver, tol=1e-5, max_iter=2000)
    return make_pipeline(StandardScaler(), regression).fit(x, y)


def _count_correct(
    proteins: pd.DataFrame, kind: str, probe: "Pipeline", *, model=None, layer: int = -1, progress: bool = False
) -> np.ndarray:
    """How many counted residues of each protein a probe gets right, int64 (n,), whatever the other proteins are."""
    counts = []
    with tqdm(total=len(proteins), unit="protein", desc=kind, disable=not progress) as bar:
        for start in range(0, len(proteins), _CHUNK):
            part = proteins.iloc[start : start + _CHUNK]
            tables = _features(part["sequence"], kind, model=model, layer=layer)
            for table, states, mask in zip(tables, part["dssp3"], part["counted"], strict=True):
                chosen = as_bool(mask)
                right = probe.predict(table[chosen]) == _letters(states)[chosen] if chosen.any() else np.array([])
                counts.append(int(right.sum()))
            bar.update(len(part))
    return np.array(counts, dtype=np.int64)


def fit_all(proteins: pd.DataFrame, model, *, kinds: Sequence[str] = KINDS, **options) -> dict[str, "Pipeline"]:
    """A probe of each kind on the same training residues; options as in `fit`."""
    return {kind: fit(proteins, kind, model=model, **options) for kind in kinds}


def secondary_structure(
    model, proteins: pd.DataFrame, probes: dict[str, "Pipeline"], *, layer: int = -1, progress: bool = False
) -> pd.DataFrame:
    """Score fitted probes on test proteins.

    Parameters
    ----------
    model, layer, progress : Model, int, bool
        As in `fit`; show a bar.
    proteins, probes : DataFrame, dict of kind to Pipeline
        id, sequence, dssp3, counted: none of training; from `fit_all`, of the same model and layer.

    Returns
    -------
    DataFrame
        One row a protein, in their order: id (str), n_residues (counted ones), `correct_<kind>` of each kind (int64).
    """
    _check(proteins)
    table = pd.DataFrame({"id": proteins["id"].to_numpy(), "n_residues": proteins["counted"].str.count("1").to_numpy()})
    for kind, probe in probes.items():
        table[f"correct_{kind}"] = _count_correct(proteins, kind, probe, model=model, layer=layer, progress=progress)
    return table.astype({name: "int64" for name in table.columns if name != "id"})


def q3(table: pd.DataFrame, kind: str = "states", *, than: str = "", n: int = 1000, seed: int = 0) -> Estimate:
    """Share of counted residues whose state a probe predicts, minus that of `than`; the interval resamples proteins."""
    names = [f"correct_{each}" for each in (kind, than) if each]
    need(table, [*names, "n_residues"])
    right, *others = (table[name].to_numpy(np.float64) for name in names)
    if not table["n_residues"].sum() > 0:
        raise InputError("Q3 needs at least one counted residue")
    return bootstrap.ratio(right - sum(others), table["n_residues"], n=n, seed=seed)


def as_bool(mask: str) -> np.ndarray:
    """bool (L,) of a text of 0 and 1."""
    return _letters(mask) == "1"


def _letters(text: str) -> np.ndarray:
    """The letters of a text, str array (L,)."""
    return np.array(list(text), dtype="U1")


def _check(proteins: pd.DataFrame) -> None:
    """Labels and mask have a letter for each residue."""
    need(proteins, ["id", "sequence", "dssp3", "counted"])
    if not len(proteins):
        raise InputError("no protein to probe")
    length = proteins["sequence"].str.len()
    for column, allowed in (("dssp3", _STATES), ("counted", "01")):
        wrong = (proteins[column].str.len() != length) | ~proteins[column].str.fullmatch(f"[{allowed}]+")
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"row {row + 1}, {proteins['id'].iloc[row]}: {column}: expected one of {', '.join(allowed)} for each "
                f"of {length.iloc[row]} residues, found {proteins[column].iloc[row][:20]!r}"
            )
