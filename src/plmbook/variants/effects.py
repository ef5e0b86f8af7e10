"""Scores of missense variants from a language model: seven strategies, one sign convention.

Every score is a natural-log likelihood ratio of the variant over the wild type: **negative = damaging**, 0 = the wild
type itself. There is no cut-off between damaging and harmless here, and none of this is for clinical use.

S is the wild-type sequence, M the mutant (all substitutions applied), D the mutated positions, x_i the residue of x at
i, x_(-i) and x_(-D) the sequence with the mask token at i or at all of D, and p(a at i | x) what the model says about
position i when it reads x, normalised over its whole vocabulary. The marginals are sums over D and differ only in what
the model reads; the last two strategies are of models that read a residue at a time.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from plmbook.core.artifacts import sha256
from plmbook.core.errors import InputError, did_you_mean, need, one_of
from plmbook.core.residues import AMINO_ACIDS, MASK, Mutation, parse_mutations
from plmbook.engine import encode, scan
from plmbook.engine.scan import Edits, substituted
from plmbook.models.base import SCORES, Capability, strategies
from plmbook.models.cards import titles
from plmbook.variants.ngram import Ngram, log_probabilities

DEFAULT = "wildtype-marginals"

_KEYS = ("id", "gene")  # the columns that may name a protein, the first one that is there

Variant = tuple[Mutation, ...]  # sorted, at distinct positions
Pairs = Sequence[tuple[str, Variant]]  # wild types and their variants, checked


def _marginals(reads: Callable[[Variant, int], Edits], model, pairs: Pairs, *, long: str, progress: bool) -> np.ndarray:
    """sum over i in D of ln p(M_i at i | x) - ln p(S_i at i | x), where x is S with the edits that `reads` gives."""
    proteins = list(dict.fromkeys(sequence for sequence, _ in pairs))
    number = {sequence: n for n, sequence in enumerate(proteins)}
    questions = (
        scan.Query(number[sequence], reads(variant, m.position - 1), m.position - 1)
        for sequence, variant in pairs
        for m in variant
    )
    column = AMINO_ACIDS.index
    substitutions = [(n, column(m.alt), column(m.ref)) for n, (_, variant) in enumerate(pairs) for m in variant]
    owner, alt, ref = np.array(substitutions, dtype=np.int64).reshape(-1, 3).T
    ratios = np.empty(len(owner))  # one for each substitution, in float64
    for which, table in scan.answers(model, proteins, questions, long=long, progress=progress):
        row = np.arange(len(which))
        ratios[which] = table[row, alt[which]].astype(np.float64) - table[row, ref[which]]
    # summed in the order of the substitutions: company does not change the last digit
    return np.bincount(owner, weights=ratios, minlength=len(pairs))


def _pseudo_likelihood(model, pairs: Pairs, **options) -> np.ndarray:
    """PLL(M) - PLL(S), PLL(x) = sum over i of ln p(x_i at i | x_(-i)) (Salazar et al. 2020; its ratio: Brandes et al.
    2023): a pass per residue of each sequence. Letters outside the 20 are left out.
    """
    of_protein: dict[str, list[int]] = {}
    for number, (sequence, variant) in enumerate(pairs):
        if variant:
            of_protein.setdefault(sequence, []).append(number)
    scores = np.zeros(len(pairs))
    for sequence, numbers in of_protein.items():
        totals = scan.pseudo_log_likelihood(model, sequence, [(), *(pairs[n][1] for n in numbers)], **options)
        scores[numbers] = totals[1:] - totals[0]
    return scores


def _likelihood(model, pairs: Pairs, *, long: str = "window", progress: bool = False) -> np.ndarray:
    """ln p(M) - ln p(S) of whole chains, stop token included (Alley et al. 2019; ProteinGym scores UniRep so)."""
    one_of("long", long, encode.LONG)
    mutants = [scan.edited(sequence, substituted(variant)) for sequence, variant in pairs]
    found = encode.log_likelihoods(model, [*mutants, *(sequence for sequence, _ in pairs)], progress=progress)
    return found[: len(pairs)] - found[len(pairs) :]


Strategy = Callable[..., np.ndarray]  # (model, pairs, *, long, progress) -> float64 (n,)

STRATEGIES: dict[str, Strategy] = {
    # x = S: one forward pass of the wild type serves all.  Meier et al. 2021 ("wild type marginal"); Brandes et al.
    # 2023 score all human missense variants with it.
    "wildtype-marginals": partial(_marginals, lambda variant, i: ()),
    # x = S_(-i): one masked position, one pass, at a time.  The variant-prediction script of Meier et al. 2021
    # (fair-esm); equal to `comasked` for one substitution.
    "masked-marginals": partial(_marginals, lambda variant, i: ((i, MASK),)),
    # x = M: one pass of the **mutant** per variant.  Meier et al. 2021 ("mutant marginal"); as far as can be inferred,
    # what the rescue-mutation study published.
    "mutant-marginals": partial(_marginals, lambda variant, i: substituted(variant)),
    "pseudo-likelihood": _pseudo_likelihood,
    # x = S_(-D): one pass per set of positions.  The equation printed in Meier et al. 2021 ("masked marginal").
    "comasked": partial(_marginals, lambda variant, i: tuple([(m.position - 1, MASK) for m in variant])),
    "likelihood": _likelihood,
    # the residues of S before i: what the model expected to come
    "next-residue": partial(_marginals, lambda variant, i: ()),
}
_WHY: dict[Capability, str] = {  # a model that can do this lacks the other strategies
    "log-probabilities": "it sees both sides of a residue, and no chain has a likelihood",
    "pseudo-likelihood": "its encoder gives embeddings, no probabilities of residues, and its decoder answers for one "
    "hidden residue at a time",
    "likelihood": "it reads a protein from its first residue to its last and masks none",
}


def strategy_for(model, name: str) -> Strategy:
    """The function behind a strategy's name; a model, or the card of one, that does not define it is refused."""
    one_of("strategy", name, STRATEGIES)
    if any(model.can(what) for what in SCORES[name]):
        return STRATEGIES[name]
    for what, why in _WHY.items():
        if model.can(what):
            defined = ", ".join(strategies([what]))
            raise InputError(f"{model.name}: strategy {name!r} is not defined for it: {why}; expected {defined}")
    scoring = titles(SCORES[name][0])
    raise InputError(f"{model.name}: gives embeddings, no probabilities of residues; name a model of {scoring}")


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
    model, sequence : Model, str
        From `plmbook.models.load`; the wild type, L residues.
    variants : sequence of n sequences of Mutation
        One or more substitutions each, at distinct positions; a variant without any is the wild type and scores 0.
    strategy : str
        A key of `STRATEGIES`.
    long, progress : {"window", "truncate", "error", "whole"}, bool
        What to do where the protein is longer than the model takes (`plmbook.engine.encode`); show a bar.

    Returns
    -------
    ndarray (n,) of float64
        Natural-log likelihood ratios, negative = damaging.

    Raises
    ------
    InputError
        A strategy that the model lacks, a mutation that does not fit (`MutationError`), one that `truncate` cut off.
    """
    function = strategy_for(model, strategy)
    for variant in variants:
        scan.check_variant(sequence, variant)
    return function(model, [(sequence, tuple(sorted(variant))) for variant in variants], long=long, progress=progress)


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
    model, strategy, long, progress
        As in `score`.
    proteins : DataFrame
        `id` or `gene` (unique), `sequence`.
    variants : DataFrame
        `id` or `gene`, `mutation` ("R175H" or "R175H:N239Y", any form that `Mutation` reads), further columns.

    Returns
    -------
    DataFrame
        `variants` in their order, plus model, strategy (str), score (float64, natural log, negative = damaging).

    Raises
    ------
    InputError
        All variants without a protein or of another wild type, counted; the first ten are listed.
    """
    function = strategy_for(model, strategy)
    scores = function(model, pair_up(proteins, variants), long=long, progress=progress)
    return variants.assign(model=model.name, strategy=strategy, score=scores)


def pair_up(proteins: pd.DataFrame, variants: pd.DataFrame) -> list[tuple[str, Variant]]:
    """The sequence and the parsed mutations of each row, every wild type checked (tables and errors: `score_table`)."""
    protein_key, variant_key = key_columns(proteins, variants)
    need(proteins, ["sequence"], "proteins")
    need(variants, ["mutation"], "variants")
    if (twice := proteins[protein_key].duplicated()).any():
        raise InputError(f"the table of proteins names {proteins[protein_key][twice].iloc[0]} twice")
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


def key_columns(proteins: pd.DataFrame, variants: pd.DataFrame) -> tuple[str, str]:
    """The column that names the protein in each table: the one that both have, or the first of `id` and `gene`."""
    shared = [column for column in _KEYS if column in proteins.columns and column in variants.columns]
    return (shared[0], shared[0]) if shared else (_key(proteins, "proteins"), _key(variants, "variants"))


def add_mean(effects: pd.DataFrame, *, name: str = "mean") -> pd.DataFrame:
    """Append an ensemble: the mean score over the models, where every model has one.

    Parameters
    ----------
    effects : DataFrame
        `id` or `gene`, `mutation`, `model`, `strategy`, `score`; further columns are carried from the first model.
    name : str
        What the added rows have in `model`; rows that have it already are an `InputError`.

    Returns
    -------
    DataFrame
        `effects` and below it a row per variant and strategy with `model=name`, where every model has a score.
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
    ngram: Ngram,
    share: float = 0.15,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """How well a model, residue `frequencies` and an n-gram guess a masked share of each protein (id, sequence; 15 %:
    Devlin et al. 2019): id, n_masked, log_likelihood, and that with `frequency_` and `ngram_` (sums of ln p).
    """
    expected = np.asarray(frequencies, dtype=np.float64)
    if expected.shape != (20,) or (expected <= 0).any() or abs(expected.sum() - 1) > 1e-3:
        raise InputError("frequencies must be 20 positive numbers that add up to 1, in the order " + AMINO_ACIDS)
    names, sequences = proteins["id"].tolist(), proteins["sequence"].tolist()
    rows = [_choose_masks(*each, share=share, seed=seed) for each in zip(names, sequences, strict=True)]
    masked = [
        scan.edited(sequence, tuple((int(i), MASK) for i in chosen))
        for sequence, chosen in zip(sequences, rows, strict=True)
    ]
    found = encode.log_probabilities(model, masked, rows=rows, progress=progress)
    answers = []
    for name, sequence, text, chosen, table in zip(names, sequences, masked, rows, found, strict=True):
        own = scan.columns(sequence)[chosen]
        by_model = float(table[np.arange(len(chosen)), own].astype(np.float64).sum())
        by_ngram = float(log_probabilities(text, ngram)[chosen, own].sum())
        answers.append((name, len(chosen), by_model, float(np.log(expected[own]).sum()), by_ngram))
    columns = ["id", "n_masked", "log_likelihood", "frequency_log_likelihood", "ngram_log_likelihood"]
    return pd.DataFrame(answers, columns=columns)


def _choose_masks(name: str, sequence: str, *, share: float, seed: int) -> np.ndarray:
    """Sorted 0-based positions to mask: a function of the seed and the protein's id."""
    eligible = np.flatnonzero(scan.columns(sequence) >= 0)
    if not len(eligible):
        raise InputError(f"{name}: none of the 20 amino acids in its sequence")
    digest = bytes.fromhex(sha256(f"{seed} {name}"))
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return np.sort(rng.choice(eligible, size=max(1, round(share * len(eligible))), replace=False))


def _key(table: pd.DataFrame, name: str) -> str:
    """The column that names the protein: `id`, or else `gene`."""
    for column in _KEYS:
        if column in table.columns:
            return column
    raise InputError(f"the table of {name} needs a column id or gene; it has {', '.join(map(str, table.columns))}")
