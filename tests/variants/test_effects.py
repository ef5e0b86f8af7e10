"""Scoring strategies on a model of three residues whose answers are written out, and on each other."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded, uniform
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.engine import scan
from plmbook.models.base import strategies
from plmbook.variants import effects, ngram

A, C, D = (AMINO_ACIDS.index(letter) for letter in "ACD")
LONG = "MKRLVAEDGH"
COUNTS = ngram.Ngram.from_table(ngram.count([AMINO_ACIDS * 3, LONG * 9]))


def written_out(answers):
    """A model that knows only the inputs in `answers`: {what it reads: {position: {residue: ln p}}}."""

    def function(sequence):
        table = np.full((len(sequence), 20), -99.0)
        for position, entries in answers[sequence].items():
            for residue, value in entries.items():
                table[position, AMINO_ACIDS.index(residue)] = value
        return table

    return FakeModel(function)


def site_independent(sequence):
    """ln p at i does not depend on any residue, only on i."""
    logits = np.random.default_rng(5).normal(size=(50, 20))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True)))[: len(sequence)]


def blind_to_itself(sequence):
    """ln p at i depends on every residue but the one at i."""
    return np.array([seeded(sequence[:i] + "_" + sequence[i + 1 :])[i] for i in range(len(sequence))])


def score(model, sequence, text, strategy, **options):
    return effects.score(model, sequence, [parse_mutations(text)], strategy=strategy, **options)[0]


# The wild type is ACD, the variants are A1C and A1C:D3A.


def test_wildtype_marginals_by_hand():
    model = written_out({"ACD": {0: {"A": -1.0, "C": -3.0}, 2: {"D": -0.5, "A": -4.0}}})
    # ln p(C at 1 | ACD) - ln p(A at 1 | ACD) = -3 + 1; the second substitution adds -4 + 0.5
    assert score(model, "ACD", "A1C", "wildtype-marginals") == -2.0
    assert score(model, "ACD", "A1C:D3A", "wildtype-marginals") == -5.5


def test_masked_marginals_by_hand():
    model = written_out({"_CD": {0: {"A": -1.0, "C": -2.0}}, "AC_": {2: {"D": -0.25, "A": -2.0}}})
    # each position masked alone, the other wild type: (-2 + 1) and (-2 + 0.25)
    assert score(model, "ACD", "A1C", "masked-marginals") == -1.0
    assert score(model, "ACD", "A1C:D3A", "masked-marginals") == -2.75


def test_comasked_by_hand():
    model = written_out(
        {"_CD": {0: {"A": -1.0, "C": -2.0}}, "_C_": {0: {"A": -1.5, "C": -1.75}, 2: {"D": -1.0, "A": -3.0}}}
    )
    assert score(model, "ACD", "A1C", "comasked") == -1.0
    # both masked together: (-1.75 + 1.5) + (-3 + 1)
    assert score(model, "ACD", "A1C:D3A", "comasked") == -2.25


def test_mutant_marginals_by_hand():
    model = written_out(
        {"CCD": {0: {"A": -2.0, "C": -0.5}}, "CCA": {0: {"A": -1.0, "C": -1.5}, 2: {"D": -3.0, "A": -0.5}}}
    )
    # read off the mutant: ln p(C at 1 | CCD) - ln p(A at 1 | CCD) = -0.5 + 2: the mutant's own residue may be preferred
    assert score(model, "ACD", "A1C", "mutant-marginals") == 1.5
    assert score(model, "ACD", "A1C:D3A", "mutant-marginals") == (-1.5 + 1.0) + (-0.5 + 3.0)


def test_pseudo_likelihood_by_hand():
    model = written_out(
        {
            # the wild type ACD, each residue masked: PLL = -1 - 2 - 0.5 = -3.5
            "_CD": {0: {"A": -1.0, "C": -4.0}},
            "A_D": {1: {"C": -2.0}},
            "AC_": {2: {"D": -0.5}},
            # the mutant CCD: PLL = -4 (position 1 masked: the same input as above) - 1.5 - 3 = -8.5
            "C_D": {1: {"C": -1.5}},
            "CC_": {2: {"D": -3.0}},
        }
    )
    assert score(model, "ACD", "A1C", "pseudo-likelihood") == -5.0
    assert model.n_sequences == 5  # three for the wild type, two more for the mutant


def test_pseudo_likelihood_reads_the_masked_position_itself():
    # A position-dependent model: reading the neighbour of the mask (fair-esm's pseudo-ppl is off by one) shows.
    found = score(FakeModel(site_independent), LONG, "K2A", "pseudo-likelihood")
    table = site_independent(LONG)
    assert found == pytest.approx(table[1, A] - table[1, AMINO_ACIDS.index("K")], abs=1e-5)


@pytest.mark.parametrize("strategy", strategies(["log-probabilities"]))
def test_the_wild_type_scores_zero_without_a_forward_pass(strategy):
    model = FakeModel(seeded)
    assert effects.score(model, LONG, [()], strategy=strategy).tolist() == [0.0]
    assert model.n_sequences == 0
    assert effects.score(model, LONG, [], strategy=strategy).shape == (0,)


@pytest.mark.parametrize("strategy", strategies(["log-probabilities"]))
def test_a_model_that_knows_nothing_scores_zero(strategy):
    assert score(FakeModel(uniform), LONG, "K2A:D8A", strategy) == 0.0


def test_strategies_agree_for_singles_where_a_position_cannot_see_itself():
    model = FakeModel(blind_to_itself)
    singles = [(Mutation(i + 1, ref, alt),) for i, ref in enumerate(LONG) for alt in "ACW" if alt != ref]
    masked = effects.score(model, LONG, singles, strategy="masked-marginals")
    for other in ("wildtype-marginals", "mutant-marginals", "comasked"):
        np.testing.assert_array_equal(effects.score(model, LONG, singles, strategy=other), masked)
    assert np.abs(masked).min() > 0
    # what the variant does to the other positions is in the pseudo-likelihood only
    assert np.abs(effects.score(model, LONG, singles, strategy="pseudo-likelihood") - masked).min() > 1e-3


def test_masked_and_comasked_differ_for_doubles_of_a_coupled_model_only():
    doubles = [parse_mutations("K2A:D8A"), parse_mutations("M1A:H10C")]
    for function, equal in ((seeded, False), (site_independent, True)):
        one = effects.score(FakeModel(function), LONG, doubles, strategy="masked-marginals")
        other = effects.score(FakeModel(function), LONG, doubles, strategy="comasked")
        assert np.allclose(one, other) == equal


def test_pseudo_likelihood_is_masked_marginals_for_a_site_independent_model():
    variants = [parse_mutations(text) for text in ("K2A", "K2A:D8A", "M1W:R3C:H10Y")]
    model = FakeModel(site_independent)
    np.testing.assert_allclose(
        effects.score(model, LONG, variants, strategy="pseudo-likelihood"),
        effects.score(model, LONG, variants, strategy="masked-marginals"),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "strategy, n_inputs",
    [
        ("wildtype-marginals", 1),
        ("masked-marginals", 3),  # positions 2, 8, 10
        ("comasked", 4),  # {2}, {8}, {2, 8}, {10}
        ("mutant-marginals", 5),  # one per distinct mutant
        # wild type 10; four singles 9 each; the double 8, since masking one of its positions leaves the other single
        ("pseudo-likelihood", 10 + 4 * 9 + 8),
    ],
)
def test_no_input_runs_twice(strategy, n_inputs):
    texts = ["K2A", "K2C", "D8A", "K2A:D8A", "H10A", "K2A"]
    model = FakeModel(seeded)
    scores = effects.score(model, LONG, [parse_mutations(t) for t in texts], strategy=strategy)
    seen = [sequence for batch in model.batches for sequence in batch]
    assert len(seen) == len(set(seen)) == n_inputs
    assert scores[0] == scores[-1]


@pytest.mark.parametrize("strategy", strategies(["log-probabilities"]))
def test_order_and_company_do_not_matter_nor_does_the_size_of_a_piece(strategy, monkeypatch):
    texts = ["K2A", "D8A:M1C", "H10A", "K2A:D8A"]
    variants = [parse_mutations(t) for t in texts]
    together = effects.score(FakeModel(seeded), LONG, variants, strategy=strategy)
    backwards = effects.score(FakeModel(seeded), LONG, variants[::-1], strategy=strategy)
    np.testing.assert_array_equal(together, backwards[::-1])
    monkeypatch.setattr(scan, "BLOCK", 25)
    model = FakeModel(seeded)
    np.testing.assert_array_equal(effects.score(model, LONG, variants, strategy=strategy), together)
    assert max(sum(map(len, batch)) for batch in model.batches) <= 25
    alone = [effects.score(FakeModel(seeded), LONG, [v[::-1]], strategy=strategy)[0] for v in variants]
    np.testing.assert_array_equal(alone, together)


def test_unknown_letters_of_the_wild_type_are_left_out_of_the_pseudo_likelihood():
    model = FakeModel(seeded)
    assert np.isfinite(score(model, "MXRL", "R3A", "pseudo-likelihood"))
    assert not any("_" == sequence[1] for batch in model.batches for sequence in batch)


def neighbours(sequence):
    """Log-probabilities (L, 20) that depend on a residue and the ones beside it, wherever the window begins."""
    padded = f"-{sequence}-"
    return np.concatenate([seeded(padded[i : i + 3].replace("-", "X"))[1:2] for i in range(len(sequence))])


def test_long_proteins_are_scored_through_windows():
    long_protein = "MKRLVAEDGH" * 5
    whole, windowed = FakeModel(neighbours), FakeModel(neighbours, max_length=20)
    for strategy in ("wildtype-marginals", "masked-marginals", "mutant-marginals"):
        for mutation in ("M1A", "L24A", "H50A"):  # the first residue, one where windows overlap, the last
            found = score(windowed, long_protein, mutation, strategy)
            assert found == score(whole, long_protein, mutation, strategy) != 0
    assert max(len(sequence) for batch in windowed.batches for sequence in batch) == 20
    with pytest.raises(InputError, match="50"):
        score(windowed, long_protein, "H50A", "wildtype-marginals", long="error")


def test_a_table_keeps_its_rows_columns_and_order():
    proteins = pd.DataFrame({"id": ["p", "q"], "sequence": [LONG, "ACD"]})
    variants = pd.DataFrame({"id": ["q", "p", "q"], "mutation": ["A1C", "K2A", "D3A"], "note": ["x", "y", "z"]})
    found = effects.score_table(FakeModel(seeded), proteins, variants, strategy="comasked")
    assert list(found.columns) == ["id", "mutation", "note", "model", "strategy", "score"]
    assert found["note"].tolist() == ["x", "y", "z"]
    assert found.loc[1, "score"] == score(FakeModel(seeded), LONG, "K2A", "comasked")
    assert set(found["model"]) == {"fake"} and set(found["strategy"]) == {"comasked"}


def test_proteins_are_found_by_the_column_that_both_tables_have():
    proteins = pd.DataFrame({"gene": ["p"], "sequence": [LONG]})
    variants = pd.DataFrame({"id": ["rs1"], "gene": ["p"], "mutation": ["K2A"]})
    expected = score(FakeModel(seeded), LONG, "K2A", "comasked")
    assert effects.score_table(FakeModel(seeded), proteins, variants, strategy="comasked")["score"][0] == expected
    named = variants.drop(columns="id")
    other = proteins.rename(columns={"gene": "id"})
    assert effects.score_table(FakeModel(seeded), other, named, strategy="comasked")["score"][0] == expected


def test_faults_are_all_counted_before_the_model_runs():
    proteins = pd.DataFrame({"gene": ["p"], "sequence": [LONG]})
    variants = pd.DataFrame({"gene": ["p", "p", "r", "p"], "mutation": ["K2A", "R2A", "K2A", "K99A"]})
    model = FakeModel(seeded)
    with pytest.raises(InputError, match="3 of 4 variants") as caught:
        effects.score_table(model, proteins, variants)
    for part in ("row 2, p: R2A", "row 3, r: no such protein", "row 4, p: K99A"):
        assert part in str(caught.value)
    assert model.batches == []
    with pytest.raises(InputError, match="changed twice"):
        effects.score(model, LONG, [(Mutation(2, "K", "A"), Mutation(2, "K", "C"))])


def test_answers_that_are_no_numbers_are_refused():
    model = FakeModel(lambda sequence: np.full((len(sequence), 20), np.nan))
    with pytest.raises(RuntimeError, match="not finite"):
        score(model, LONG, "K2A", "wildtype-marginals")


def test_the_mean_needs_every_model():
    rows = [("K2A", "a", -1.0), ("R3A", "a", -2.0), ("K2A", "b", -3.0), ("K2A", "a", -1.0), ("K2A", "b", -3.0)]
    table = pd.DataFrame(rows, columns=["mutation", "model", "score"]).assign(gene="p", strategy="s")
    found = effects.add_mean(table)
    mean = found[found["model"] == "mean"]
    # R3A lacks a model; K2A is listed twice and so is its mean
    assert mean[["mutation", "score"]].values.tolist() == [["K2A", -2.0], ["K2A", -2.0]]
    pd.testing.assert_frame_equal(found.head(5), table)
    with pytest.raises(InputError, match="already"):
        effects.add_mean(found)


def test_masked_likelihood_of_known_models():
    proteins = pd.DataFrame({"id": ["p", "q"], "sequence": [LONG * 4, "XXAXX"]})
    frequencies = np.arange(1, 21) / 210
    found = effects.masked_likelihood(FakeModel(uniform), proteins, frequencies=frequencies, ngram=COUNTS)
    assert found["n_masked"].tolist() == [6, 1]  # 15 % of 40; X is never masked, at least one residue is
    np.testing.assert_allclose(found["log_likelihood"], [-6 * np.log(20), -np.log(20)], rtol=1e-6)
    assert found["frequency_log_likelihood"][1] == pytest.approx(np.log(1 / 210))  # the A of XXAXX
    # a model that answers the frequencies equals the frequency model at the same positions
    model = FakeModel(lambda sequence: np.tile(np.log(frequencies), (len(sequence), 1)))
    same = effects.masked_likelihood(model, proteins, frequencies=frequencies, ngram=COUNTS)
    np.testing.assert_allclose(same["log_likelihood"], same["frequency_log_likelihood"], rtol=1e-6)


def test_the_ngram_sees_the_masked_sequence_and_answers_at_the_same_residues():
    proteins = pd.DataFrame({"id": ["p", "q"], "sequence": [LONG * 4, "XXAXX"]})
    model = FakeModel(lambda sequence: ngram.log_probabilities(sequence, COUNTS))  # reads what the model is given
    found = effects.masked_likelihood(model, proteins, frequencies=np.full(20, 0.05), ngram=COUNTS)
    np.testing.assert_allclose(found["ngram_log_likelihood"], found["log_likelihood"], rtol=1e-5)
    # all five letters of q are unknown once its A is masked: what is left are the frequencies
    assert found["ngram_log_likelihood"][1] == pytest.approx(ngram.log_probabilities("XX_XX", COUNTS)[2, A], rel=1e-12)


def test_masks_depend_on_the_protein_and_the_seed_only():
    proteins = pd.DataFrame({"id": ["p", "q"], "sequence": [LONG * 4, LONG * 3]})
    run = {}
    for name, table, seed in (("both", proteins, 0), ("alone", proteins.tail(1), 0), ("other", proteins, 1)):
        model = FakeModel(seeded)
        found = effects.masked_likelihood(model, table, frequencies=np.full(20, 0.05), ngram=COUNTS, seed=seed)
        run[name] = found.iloc[-1].to_dict()
        assert all("_" in sequence for batch in model.batches for sequence in batch)
    assert run["both"] == run["alone"] != run["other"]
    with pytest.raises(InputError, match="20 positive numbers"):
        effects.masked_likelihood(FakeModel(), proteins, frequencies=[1.0], ngram=COUNTS)
