"""Scores of missense variants from a masked language model: five strategies, one sign convention.

Every score is a natural-log likelihood ratio of the variant over the wild type: **negative = damaging**, 0 = the wild
type itself. There is no cut-off between damaging and harmless here, and none of this is for clinical use.

Notation: S is the wild-type sequence, M the mutant (all substitutions of the variant applied), D the variant's
mutated positions, x_i the residue of x at i, x_(-i) the sequence x with the mask token at i, x_(-D) with the mask token
at every position of D, and p(a at i | x) what the model says about position i when it reads x. p is normalised over
the model's whole vocabulary. Each strategy is a function that lists terms (sign, what the model reads, where, which
residue); one engine collects the terms of all variants, runs every distinct input once, and adds up.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook.errors import InputError, did_you_mean
from plmbook.ngram import Ngram, log_probabilities
from plmbook.residues import AMINO_ACIDS, MASK, Mutation, MutationError, parse_mutations

DEFAULT = "wildtype-marginals"
PIECE = 500_000  # residues handed to the encoder at once: bounds what lies in memory, not the batch (that is its own)

KEYS = ("id", "gene")  # the columns that may name a protein, the first one that is there

_COLUMN = {letter: i for i, letter in enumerate(AMINO_ACIDS)}

Edits = tuple[tuple[int, str], ...]  # what the model reads, as changes of the wild type: (0-based position, letter)


class Term(NamedTuple):
    """sign * ln p(residue at position | the wild type with `edits`)."""

    sign: int
    edits: Edits
    position: int  # 0-based
    residue: str


def wildtype_marginals(sequence: str, mutations: Sequence[Mutation]) -> Iterator[Term]:
    """sum over i in D of ln p(M_i at i | S) - ln p(S_i at i | S).

    One forward pass of the wild type serves every variant of a protein; the model sees the residue that it judges.

    Source: Meier et al. 2021 ("wild type marginal"); Brandes et al. 2023 score all human missense variants with it.
    """
    for m in mutations:
        yield Term(+1, (), m.position - 1, m.alt)
        yield Term(-1, (), m.position - 1, m.ref)


def masked_marginals(sequence: str, mutations: Sequence[Mutation]) -> Iterator[Term]:
    """sum over i in D of ln p(M_i at i | S_(-i)) - ln p(S_i at i | S_(-i)).

    One position masked at a time, all others wild type: of several substitutions each is masked alone and the scores
    are summed. This is what fair-esm's own script computes. One forward pass per position.

    Source: the variant-prediction script of Meier et al. 2021; equal to `comasked` for one substitution.
    """
    for m in mutations:
        edits = ((m.position - 1, MASK),)
        yield Term(+1, edits, m.position - 1, m.alt)
        yield Term(-1, edits, m.position - 1, m.ref)


def comasked(sequence: str, mutations: Sequence[Mutation]) -> Iterator[Term]:
    """sum over i in D of ln p(M_i at i | S_(-D)) - ln p(S_i at i | S_(-D)).

    All mutated positions are masked together. One forward pass per set of positions.

    Source: the equation printed in Meier et al. 2021 ("masked marginal").
    """
    edits = tuple((m.position - 1, MASK) for m in mutations)
    for m in mutations:
        yield Term(+1, edits, m.position - 1, m.alt)
        yield Term(-1, edits, m.position - 1, m.ref)


def mutant_marginals(sequence: str, mutations: Sequence[Mutation]) -> Iterator[Term]:
    """sum over i in D of ln p(M_i at i | M) - ln p(S_i at i | M).

    Read off a forward pass of the **mutant** sequence: the model sees the substitution and says how much it would
    rather have the wild type there. One forward pass per variant.

    Source: Meier et al. 2021 ("mutant marginal"); as far as can be inferred, the scores that the
    rescue-mutation study published.
    """
    edits = _mutant(mutations)
    for m in mutations:
        yield Term(+1, edits, m.position - 1, m.alt)
        yield Term(-1, edits, m.position - 1, m.ref)


def pseudo_likelihood(sequence: str, mutations: Sequence[Mutation]) -> Iterator[Term]:
    """PLL(M) - PLL(S), with PLL(x) = sum over all i of ln p(x_i at i | x_(-i)).

    Every residue of both sequences is masked once: one forward pass per residue for the wild type, one per residue
    for each variant (less the mutated position of a single substitution, which both share). Letters outside the 20
    (X and others) are in both sums and have no probability of their own; they are left out of both.

    Source: Salazar et al. 2020 (pseudo-log-likelihood); Brandes et al. 2023 (its ratio, for variants).
    """
    edits = dict(_mutant(mutations))
    for i, wild_type in enumerate(sequence):
        if wild_type not in _COLUMN:
            continue
        masked = tuple(sorted({**edits, i: MASK}.items()))
        yield Term(+1, masked, i, edits.get(i, wild_type))
        yield Term(-1, ((i, MASK),), i, wild_type)


Strategy = Callable[[str, Sequence[Mutation]], Iterable[Term]]

STRATEGIES: dict[str, Strategy] = {
    "wildtype-marginals": wildtype_marginals,
    "masked-marginals": masked_marginals,
    "mutant-marginals": mutant_marginals,
    "pseudo-likelihood": pseudo_likelihood,
    "comasked": comasked,
}


def strategy_function(name: str) -> Strategy:
    """The function behind a strategy's name.

    Examples
    --------
    >>> strategy_function("comasked").__name__
    'comasked'
    >>> strategy_function("llr")
    Traceback (most recent call last):
    ...
    plmbook.errors.InputError: unknown strategy 'llr'; expected one of wildtype-marginals, masked-marginals, \
mutant-marginals, pseudo-likelihood, comasked
    """
    if name not in STRATEGIES:
        raise InputError(
            f"unknown strategy {name!r}; expected one of {', '.join(STRATEGIES)}{did_you_mean(name, STRATEGIES)}"
        )
    return STRATEGIES[name]


def score(
    model,
    sequence: str,
    variants: Sequence[Sequence[Mutation]],
    *,
    strategy: str = DEFAULT,
    long: str = "window",
    progress: bool = False,
) -> np.ndarray:
    """Score variants of one protein.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    sequence : str
        The wild type, L residues.
    variants : sequence of n sequences of Mutation
        One or more substitutions each, at distinct positions; every wild type is checked. A variant without any is
        the wild type and scores 0.
    strategy : str
        A key of `STRATEGIES`.
    long : {"window", "truncate", "error"}
        What to do where the protein is longer than the model takes; see `plmbook.encode`.
    progress : bool
        Show a bar.

    Returns
    -------
    ndarray (n,) of float64
        Natural-log likelihood ratios, negative = damaging.

    Raises
    ------
    InputError
        Unknown strategy; a mutation that does not fit the sequence (`MutationError`); a position that `truncate`
        cut off.

    Notes
    -----
    Invariants: the order of `variants` does not matter; for single substitutions `masked-marginals` equals
    `comasked`; for a model whose answer at i does not depend on the residue at i, `wildtype-marginals`,
    `masked-marginals` and `mutant-marginals` are equal for single substitutions.
    """
    pairs = [(sequence, tuple(sorted(variant))) for variant in variants]
    return _score_pairs(model, pairs, strategy=strategy, long=long, progress=progress)


def score_table(
    model,
    proteins: pd.DataFrame,
    variants: pd.DataFrame,
    *,
    strategy: str = DEFAULT,
    long: str = "window",
    progress: bool = False,
) -> pd.DataFrame:
    """Score a table of variants; every wild type is checked before anything runs.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    proteins : DataFrame
        `id` or `gene` (unique), `sequence`.
    variants : DataFrame
        `id` or `gene`, `mutation` ("R175H" or "R175H:N239Y", any form that `Mutation` reads), further columns.
    strategy, long, progress
        As in `score`.

    Returns
    -------
    DataFrame
        The rows and columns of `variants` in their order, plus model (str), strategy (str), score (float64, natural
        log, negative = damaging).

    Raises
    ------
    InputError
        A column is missing, a variant names a protein that is not there, or a wild type does not match: all faults
        are counted and the first ten listed.
    """
    pairs = pair_up(proteins, variants)
    scores = _score_pairs(model, pairs, strategy=strategy, long=long, progress=progress)
    return variants.assign(model=model.name, strategy=strategy, score=scores)


def pair_up(proteins: pd.DataFrame, variants: pd.DataFrame) -> list[tuple[str, tuple[Mutation, ...]]]:
    """The sequence and the parsed mutations of each row of a variants table, every wild type checked.

    Parameters
    ----------
    proteins, variants : DataFrame
        As in `score_table`.

    Returns
    -------
    list of (str, tuple of Mutation)
        In the order of `variants`.

    Raises
    ------
    InputError
        As in `score_table`.

    Examples
    --------
    >>> proteins = pd.DataFrame({"gene": ["TOY"], "sequence": ["MKRL"]})
    >>> pair_up(proteins, pd.DataFrame({"gene": ["TOY"], "mutation": ["K2A"]}))
    [('MKRL', (Mutation(position=2, ref='K', alt='A'),))]
    >>> pair_up(proteins, pd.DataFrame({"gene": ["TOY"], "mutation": ["R2A"]}))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    plmbook.errors.InputError: 1 of 1 variants cannot be scored:
      row 1, TOY: R2A: expected the wild type R at position 2, found K; ...
    """
    shared = [column for column in KEYS if column in proteins.columns and column in variants.columns]
    protein_key = shared[0] if shared else _key(proteins, "proteins")
    variant_key = shared[0] if shared else _key(variants, "variants")
    for table, column, name in ((proteins, "sequence", "proteins"), (variants, "mutation", "variants")):
        if column not in table.columns:
            raise InputError(f"the table of {name} lacks the column {column}; it has {', '.join(table.columns)}")
    if proteins[protein_key].duplicated().any():
        twice = proteins[protein_key][proteins[protein_key].duplicated()].iloc[0]
        raise InputError(f"the table of proteins names {twice} twice")
    sequences = dict(zip(proteins[protein_key], proteins["sequence"], strict=True))
    pairs, faults = [], []
    for row, (name, text) in enumerate(zip(variants[variant_key], variants["mutation"], strict=True), start=1):
        try:
            if name not in sequences:
                raise InputError(f"no such protein{did_you_mean(str(name), map(str, sequences))}")
            mutations = parse_mutations(text)
            for mutation in mutations:
                mutation.check(sequences[name])
            pairs.append((sequences[name], mutations))
        except InputError as error:
            faults.append(f"row {row}, {name}: {error}")
    if faults:
        listed = "\n  ".join(faults[:10]) + ("\n  ..." if len(faults) > 10 else "")
        raise InputError(f"{len(faults)} of {len(variants)} variants cannot be scored:\n  {listed}")
    return pairs


def add_mean(effects: pd.DataFrame, *, name: str = "mean") -> pd.DataFrame:
    """Append an ensemble: the mean score over the models, where every model has one.

    Parameters
    ----------
    effects : DataFrame
        `id` or `gene`, `mutation`, `model`, `strategy`, `score`; further columns are carried from the first model.
    name : str
        What the added rows have in `model`.

    Returns
    -------
    DataFrame
        `effects` and below it one row per variant and strategy with `model=name`; a variant that a model lacks (no
        row, or no score) gets no mean, since a mean over fewer models is another score.

    Raises
    ------
    InputError
        Where rows with this name are there already.

    Examples
    --------
    >>> e = pd.DataFrame({"gene": "TOY", "mutation": ["K2A", "R3A", "K2A"], "model": ["a", "a", "b"],
    ...                   "strategy": "comasked", "score": [-1.0, -5.0, -2.0]})
    >>> add_mean(e).tail(1)[["mutation", "model", "score"]].values.tolist()
    [['K2A', 'mean', -1.5]]
    """
    if (effects["model"] == name).any():
        raise InputError(f"the effects already hold rows with model={name}")
    key = [_key(effects, "effects"), "mutation", "strategy"]
    # A variant may be listed twice in a user's table (with other carried columns): the n-th row of one model belongs
    # with the n-th of the next.
    numbered = effects.assign(_turn=effects.groupby([*key, "model"]).cumcount())
    groups = numbered.groupby([*key, "_turn"], sort=False)["score"]
    complete = groups.transform("count") == effects["model"].nunique()
    mean = effects.assign(model=name, score=groups.transform("mean"))[complete]
    first = ~numbered[complete].duplicated([*key, "_turn"])
    return pd.concat([effects, mean[first]], ignore_index=True)


def masked_likelihood(
    model,
    proteins: pd.DataFrame,
    *,
    frequencies: Sequence[float],
    ngram: Ngram | None = None,
    share: float = 0.15,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """How well a model guesses masked residues of whole proteins, beside models that count residues and neighbours.

    In each protein a share of the residues is masked together (Devlin et al. 2019 mask 15 %; here every chosen
    residue becomes the mask token). The choice depends on the seed and the protein's id only, so a protein gives the
    same numbers alone and among others. `metrics.perplexity` makes a perplexity of the sums.

    Parameters
    ----------
    model
        From `plmbook.models.load`; its log-probabilities are normalised over its whole vocabulary.
    proteins : DataFrame
        id (str), sequence (str).
    frequencies : sequence of 20 floats
        Of `AMINO_ACIDS` in the training corpus, all positive, sum 1.
    ngram : Ngram, optional
        The n-gram (`plmbook.ngram`) to ask about the same masked sequences: it sees what the model sees.
    share : float
        Of the residues of the 20 kinds; at least one residue per protein.
    seed : int
        Of the choice.

    Returns
    -------
    DataFrame
        id, n_masked (int64), log_likelihood, frequency_log_likelihood and, where an n-gram is given,
        ngram_log_likelihood (float64: sums of ln p of the true residues at the same positions).

    Raises
    ------
    InputError
        Frequencies that are none, or a protein without any of the 20 residues.
    """
    from plmbook import encode

    expected = np.asarray(frequencies, dtype=np.float64)
    if expected.shape != (20,) or (expected <= 0).any() or abs(expected.sum() - 1) > 1e-3:
        raise InputError("frequencies must be 20 positive numbers that add up to 1, in the order " + AMINO_ACIDS)
    masked, rows = [], []
    for name, sequence in zip(proteins["id"], proteins["sequence"], strict=True):
        chosen = _choose_masks(name, sequence, share=share, seed=seed)
        masked.append(_edit(sequence, tuple((int(i), MASK) for i in chosen)))
        rows.append(chosen)
    found = encode.log_probabilities(model, masked, rows=rows, progress=progress)
    answers = []
    for name, sequence, text, chosen, table in zip(
        proteins["id"], proteins["sequence"], masked, rows, found, strict=True
    ):
        columns = [_COLUMN[sequence[i]] for i in chosen]
        log_likelihood = float(table[np.arange(len(chosen)), columns].astype(np.float64).sum())
        answer = [name, len(chosen), log_likelihood, float(np.log(expected[columns]).sum())]
        if ngram is not None:
            answer.append(float(log_probabilities(text, ngram)[chosen, columns].sum()))
        answers.append(answer)
    names = ["id", "n_masked", "log_likelihood", "frequency_log_likelihood"]
    return pd.DataFrame(answers, columns=names if ngram is None else [*names, "ngram_log_likelihood"])


def _score_pairs(
    model, pairs: list[tuple[str, tuple[Mutation, ...]]], *, strategy: str, long: str, progress: bool
) -> np.ndarray:
    """(n,) float64 scores of (wild type, mutations) pairs; equal wild types share their forward passes."""
    terms_of = strategy_function(strategy)
    names: dict[str, int] = {}  # wild type -> a small number, so that keys stay small
    wanted: dict[tuple[int, Edits], dict[int, int]] = {}  # what the model reads -> position -> row of its answer
    for sequence, mutations in pairs:
        _check(sequence, mutations)
        protein = names.setdefault(sequence, len(names))
        for term in terms_of(sequence, mutations) if mutations else ():
            rows = wanted.setdefault((protein, term.edits), {})
            rows.setdefault(term.position, len(rows))
    answers = _forward(model, list(names), wanted, long=long, progress=progress)
    scores = np.zeros(len(pairs))
    for i, (sequence, mutations) in enumerate(pairs):
        protein = names[sequence]
        for term in terms_of(sequence, mutations) if mutations else ():
            reads = (protein, term.edits)
            scores[i] += term.sign * float(answers[reads][wanted[reads][term.position], _COLUMN[term.residue]])
    if not np.isfinite(scores).all():
        raise RuntimeError(f"{model.name} gave {int((~np.isfinite(scores)).sum())} scores that are not finite numbers")
    return scores


def _forward(
    model, sequences: list[str], wanted: dict[tuple[int, Edits], dict[int, int]], *, long: str, progress: bool
) -> dict[tuple[int, Edits], np.ndarray]:
    """Run every distinct input once, a bounded piece of them at a time: key -> (n_rows, 20) float32."""
    from tqdm import tqdm

    from plmbook import encode

    answers = {}
    bar = tqdm(total=len(wanted), desc=model.name, unit="sequence", disable=not progress)
    with bar:
        for keys in _pieces(wanted, sequences):
            texts = [_edit(sequences[protein], edits) for protein, edits in keys]
            rows = [np.fromiter(wanted[key], dtype=np.int64) for key in keys]
            found = encode.log_probabilities(model, texts, rows=rows, long=long, progress=False)
            answers.update(zip(keys, found, strict=True))
            bar.update(len(keys))
    return answers


def _pieces(wanted: Iterable[tuple[int, Edits]], sequences: list[str]) -> Iterator[list[tuple[int, Edits]]]:
    """Keys in pieces of at most `PIECE` residues (at least one key each)."""
    piece, residues = [], 0
    for key in wanted:
        length = len(sequences[key[0]])
        if piece and residues + length > PIECE:
            yield piece
            piece, residues = [], 0
        piece.append(key)
        residues += length
    if piece:
        yield piece


def _edit(sequence: str, edits: Edits) -> str:
    letters = list(sequence)
    for position, letter in edits:
        letters[position] = letter
    return "".join(letters)


def _mutant(mutations: Sequence[Mutation]) -> Edits:
    return tuple((m.position - 1, m.alt) for m in sorted(mutations))


def _check(sequence: str, mutations: Sequence[Mutation]) -> None:
    for mutation in mutations:
        mutation.check(sequence)
    if len({m.position for m in mutations}) != len(mutations):
        raise MutationError(f"{':'.join(map(str, mutations))}: a position is changed twice")


def _choose_masks(name: str, sequence: str, *, share: float, seed: int) -> np.ndarray:
    """Sorted 0-based positions to mask: a function of the seed and the protein's id."""
    eligible = np.flatnonzero([letter in _COLUMN for letter in sequence])
    if not len(eligible):
        raise InputError(f"{name}: none of the 20 amino acids in its sequence")
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return np.sort(rng.choice(eligible, size=max(1, round(share * len(eligible))), replace=False))


def _key(table: pd.DataFrame, name: str) -> str:
    """The column that names the protein: `id`, or else `gene`."""
    for column in KEYS:
        if column in table.columns:
            return column
    raise InputError(f"the table of {name} needs a column id or gene; it has {', '.join(map(str, table.columns))}")
