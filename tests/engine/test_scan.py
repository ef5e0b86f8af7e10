"""Scans on models whose answers are written out, against slow loops, against `effects`, and through windows."""

import functools
import tracemalloc
from collections import deque

import numpy as np
import pytest

import tiny
from fakes import FakeModel, seeded
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK, Mutation, MutationError, apply_mutations, parse_mutations
from plmbook.engine import encode, scan
from plmbook.models.esm import load_esm
from plmbook.variants import effects

A, C, D = (AMINO_ACIDS.index(letter) for letter in "ACD")
SEQUENCE = "MKRLVAEDGH"
LONG = "MKRLVAEDGHWYCFNPQSTIHGDEMLVARKITSQPNFCYWKVMLRGAEDH"  # 50 residues, no window like another
STRATEGIES = ("wildtype-marginals", "masked-marginals")


@pytest.fixture(scope="module")
def random_esm(tmp_path_factory):
    """A real ESM-2 of three layers with random weights; it takes 60 residues."""
    path = tiny.write(tmp_path_factory.mktemp("weights"), "esm2")
    return load_esm(tiny.card("esm2"), path=path, device="cpu", dtype="float32")


def every_single(sequence):
    return [(Mutation(i, ref, alt),) for i, ref in enumerate(sequence, 1) for alt in AMINO_ACIDS if alt != ref]


def variants_of(*texts):
    return [parse_mutations(text) if text else () for text in texts]


def all_backgrounds(model, sequence, variants, **options):
    """The blocks put together: (n, L, 20)."""
    tables, end = [], 0
    for where, block in scan.backgrounds(model, sequence, variants, **options):
        assert where.start == end and len(block) == where.stop - where.start > 0
        assert block.dtype == np.float32
        tables.append(block)
        end = where.stop
    assert end == len(variants)
    return np.concatenate(tables)


def substitutions(model, sequence, *, strategy="wildtype-marginals", long="window"):
    """The wild type's table from single queries: (L, 20)."""
    own, kept = scan.columns(sequence), min(len(sequence), model.max_length or 0) if long == "truncate" else None
    positions = np.flatnonzero(own[:kept] >= 0).tolist()
    queries = [scan.Query(0, ((i, MASK),) if strategy == "masked-marginals" else (), i) for i in positions]
    found = np.full((len(sequence), 20), np.nan, dtype=np.float32)
    for which, table in scan.answers(model, [sequence], queries, long=long):
        found[np.take(positions, which)] = table - table[range(len(which)), own[np.take(positions, which)]][:, None]
    return found


def looped(function, sequence, variant):
    """One background's table the slow way: one number at a time."""
    log_p = function(apply_mutations(sequence, variant))
    table = np.full((len(sequence), 20), np.nan)
    for j, wild_type in enumerate(sequence):
        for k in range(20):
            if wild_type in AMINO_ACIDS:
                table[j, k] = log_p[j, k] - log_p[j, AMINO_ACIDS.index(wild_type)]
    return table


def texts_read(model):
    return [sequence for batch in model.batches for sequence in batch]


def neighbours(sequence):
    """Log-probabilities (L, 20) that depend on a residue and the ones beside it, wherever the window begins."""
    padded = f"-{sequence}-"
    return np.concatenate([seeded(padded[i : i + 3].replace("-", "X"))[1:2] for i in range(len(sequence))])


# The wild type


def test_answers_by_hand():
    table = np.full((3, 20), -9.0)
    table[0, [A, C]] = -1.0, -3.0
    table[2, [D, A]] = -0.5, -4.0
    model = FakeModel({"ACD": table, "_CD": table + 1, "A_D": table, "AC_": 2 * table}.__getitem__)
    found = substitutions(model, "ACD")
    # ln p(C at 1 | ACD) - ln p(A at 1 | ACD) = -3 + 1; at 3, A for D: -4 + 0.5; at 2 all are equal
    assert found.shape == (3, 20) and found.dtype == np.float32
    assert (found[0, A], found[0, C], found[0, D]) == (0, -2, -8)
    assert (found[2, A], found[2, D]) == (-3.5, 0) and not found[1].any()
    assert model.n_sequences == 1
    # masked: a row that is higher by 1 has the same ratios, a doubled one twice those
    masked = substitutions(model, "ACD", strategy="masked-marginals")
    np.testing.assert_array_equal(masked, found * [[1], [1], [2]])
    assert sorted(texts_read(model)[1:]) == ["AC_", "A_D", "_CD"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_unknown_letters_have_no_row(strategy):
    model = FakeModel(seeded)
    found = substitutions(model, "MXRX", strategy=strategy)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, True]
    assert np.isfinite(found[[0, 2]]).all() and found[0, AMINO_ACIDS.index("M")] == 0
    assert model.n_sequences == (1 if strategy == "wildtype-marginals" else 2)
    assert np.isnan(substitutions(FakeModel(seeded), "XX", strategy=strategy)).all()


# Backgrounds


def test_backgrounds_equal_a_slow_loop():
    variants = [*every_single("MKR"), *variants_of("K2A:D8C", "", "M1A:H10C:V5W")]
    found = all_backgrounds(FakeModel(seeded), SEQUENCE, variants, block=70)
    np.testing.assert_allclose(found, [looped(seeded, SEQUENCE, v) for v in variants], atol=2e-6)


def test_backgrounds_keep_unknown_letters_apart():
    sequence = "MXRLXA"
    found = all_backgrounds(FakeModel(seeded), sequence, variants_of("R3A", ""))
    np.testing.assert_allclose(found, [looped(seeded, sequence, v) for v in variants_of("R3A", "")], atol=2e-6)
    with pytest.raises(MutationError, match="position 2, found X"):
        scan.backgrounds(FakeModel(seeded), sequence, [(Mutation(2, "K", "A"),)])


def test_a_background_without_mutation_is_the_wild_type():
    for sequence, model in ((SEQUENCE, FakeModel(seeded)), (LONG, FakeModel(seeded, max_length=20))):
        (found,) = all_backgrounds(model, sequence, [()])
        np.testing.assert_array_equal(found, substitutions(model, sequence))
    assert list(scan.backgrounds(FakeModel(seeded), SEQUENCE, [])) == []


def test_the_order_of_variants_and_mutations_does_not_matter():
    variants = variants_of("K2A:D8C", "R3W", "M1A:H10C:V5W")
    found = all_backgrounds(FakeModel(seeded), SEQUENCE, variants)
    other = all_backgrounds(FakeModel(seeded), SEQUENCE, [v[::-1] for v in variants[::-1]], block=1)
    np.testing.assert_array_equal(found, other[::-1])


def test_epistasis_is_zero_where_the_model_sees_no_context():
    table = seeded("A" * 10)
    model = FakeModel(lambda sequence: table)
    found = all_backgrounds(model, SEQUENCE, every_single("MKRL"))
    assert not (found - substitutions(model, SEQUENCE)).any()


def test_backgrounds_come_in_blocks_that_nothing_runs_ahead_of():
    model = FakeModel(seeded)
    blocks = scan.backgrounds(model, SEQUENCE, every_single("MK"), block=45)
    assert model.n_sequences == 0
    where, tables = next(blocks)
    assert where == slice(0, 4) and tables.shape == (4, 10, 20)  # 4 x 10 residues fit into 45
    assert model.n_sequences == 4
    where, tables = next(scan.backgrounds(model, SEQUENCE, every_single("MK"), block=1))
    assert where == slice(0, 1)  # never less than one background


# Windows


def test_windows_give_what_the_whole_gives():
    variants = variants_of("M1A", "E24A", "L26W:H50A", "")
    whole, windowed = FakeModel(neighbours), FakeModel(neighbours, max_length=20)
    for strategy in STRATEGIES:
        np.testing.assert_array_equal(
            substitutions(windowed, LONG, strategy=strategy), substitutions(whole, LONG, strategy=strategy)
        )
    np.testing.assert_array_equal(all_backgrounds(windowed, LONG, variants), all_backgrounds(whole, LONG, variants))
    pairs = [(1, 2), (24, 26), (50, 1), (30, 21)]
    np.testing.assert_array_equal(scan.comasked(windowed, LONG, pairs), scan.comasked(whole, LONG, pairs))
    np.testing.assert_array_equal(
        scan.pseudo_log_likelihood(windowed, LONG, variants), scan.pseudo_log_likelihood(whole, LONG, variants)
    )
    assert max(map(len, texts_read(windowed))) == 20


def test_windows_without_the_mutation_are_the_wild_types_and_do_not_run():
    # A model in which every residue of a window changes every answer, so that a wrong window would show.
    variants = variants_of("M1A", "E24A", "M25C", "M1A:H50A", "")
    model = FakeModel(seeded, max_length=20)
    found = all_backgrounds(model, LONG, variants)
    read = texts_read(model)
    spans = encode.windows(50, 20)
    assert spans == [(0, 20), (10, 30), (20, 40), (30, 50)]
    # the wild type 4; M1A in the first; E24A and M25C in the second and third; M1A:H50A in the first and the last
    assert len(read) == 4 + 1 + 2 + 2 + 2
    # every window of every mutant, as the encoder reads it
    mutants = [apply_mutations(LONG, variant) for variant in variants]
    expected = encode.log_probabilities(FakeModel(seeded, max_length=20), mutants)
    own = scan.columns(LONG)
    np.testing.assert_array_equal(found, [table - table[range(50), own][:, None] for table in expected])


def test_far_masks_share_one_input_in_windows(monkeypatch):
    monkeypatch.setattr(scan, "BLOCK", 40)  # two windows: the pairs come in many blocks
    pairs = [(i, j) for i in (1, 2, 24) for j in (25, 45, 50)]
    model = FakeModel(seeded, max_length=20)
    found = scan.comasked(model, LONG, pairs)
    read = texts_read(model)
    masked = [scan.edited(LONG, ((i - 1, MASK), (j - 1, MASK))) for i, j in pairs]
    rows = [np.array(pair) - 1 for pair in pairs]
    np.testing.assert_array_equal(found, encode.log_probabilities(FakeModel(seeded, max_length=20), masked, rows=rows))
    # only 24 and 25 are within one window, which answers for both; else every position is masked alone, once
    assert len(read) == len(set(read)) == 1 + 6


def test_a_protein_that_is_too_long_is_refused_or_cut():
    model = FakeModel(seeded, max_length=20)
    with pytest.raises(InputError, match="longer than 20"):
        substitutions(model, LONG, long="error")
    cut = {"long": "truncate"}
    for call in (
        lambda: scan.backgrounds(model, LONG, variants_of("M1A", "H21A"), **cut),
        lambda: scan.comasked(model, LONG, [(1, 21)], **cut),
        lambda: scan.pseudo_log_likelihood(model, LONG, **cut),
        lambda: effects.score(model, LONG, variants_of("H21A"), **cut),
    ):
        with pytest.raises(InputError, match="keeps the first 20 of 50"):
            call()
    assert model.n_sequences == 0
    head = LONG[:20]
    found = substitutions(model, LONG, **cut)
    np.testing.assert_array_equal(found[:20], substitutions(model, head))
    assert found.shape == (50, 20) and np.isnan(found[20:]).all()
    (found,) = all_backgrounds(model, LONG, variants_of("M1A"), **cut)
    np.testing.assert_array_equal(found[:20], all_backgrounds(model, head, variants_of("M1A"))[0])
    assert np.isnan(found[20:]).all()


# Two masks


def test_comasked_by_hand():
    table = np.arange(60, dtype=float).reshape(3, 20)
    model = FakeModel({"_C_": table, "__D": -table}.__getitem__)
    found = scan.comasked(model, "ACD", [(1, 3), (2, 1), (3, 1), (1, 2), (1, 3)])
    assert found.dtype == np.float32
    expected = [table[[0, 2]], -table[[1, 0]], table[[2, 0]], -table[[0, 1]], table[[0, 2]]]
    np.testing.assert_array_equal(found, expected)
    assert sorted(texts_read(model)) == ["_C_", "__D"]


def test_comasked_pairs_run_once_in_any_block(monkeypatch):
    pairs = [(i, j) for i in range(1, 11) for j in range(1, 11) if i != j]
    model = FakeModel(seeded)
    found = scan.comasked(model, SEQUENCE, pairs)
    assert len(texts_read(model)) == len(set(texts_read(model))) == 45
    for (i, j), answer in zip(pairs, found, strict=True):
        expected = seeded(scan.edited(SEQUENCE, ((i - 1, MASK), (j - 1, MASK))))[[i - 1, j - 1]]
        np.testing.assert_array_equal(answer, expected.astype(np.float32))
    monkeypatch.setattr(scan, "BLOCK", 30)
    model = FakeModel(seeded)
    np.testing.assert_array_equal(scan.comasked(model, SEQUENCE, pairs), found)
    assert model.n_sequences == 45 and max(map(len, model.batches)) == 3
    assert scan.comasked(model, SEQUENCE, []).shape == (0, 2, 20)


@pytest.mark.parametrize(
    "pairs, message",
    [
        ([(1, 2), (3, 3)], "pair number 2, positions 3 and 3: expected two different"),
        ([(0, 2)], "positions 0 and 2: expected 1 to 10"),
        ([(1, 2), (1, 3), (11, 2)], "pair number 3, positions 11 and 2: expected 1 to 10"),
        ([(1.0, 2.0)], "whole numbers"),
        ([1, 2], "two columns"),
    ],
)
def test_pairs_that_are_none(pairs, message):
    model = FakeModel(seeded)
    with pytest.raises(InputError, match=message):
        scan.comasked(model, SEQUENCE, pairs)
    assert model.n_sequences == 0


# Pseudo-log-likelihood


def looped_likelihood(sequence):
    total = 0.0
    for i, letter in enumerate(sequence):
        if letter in AMINO_ACIDS:
            total += seeded(f"{sequence[:i]}_{sequence[i + 1 :]}")[i, AMINO_ACIDS.index(letter)]
    return total


def test_pseudo_log_likelihood_equals_a_slow_loop(monkeypatch):
    sequence = SEQUENCE + "X"
    variants = variants_of("", "K2A", "K2A:D8C", "D8C", "K2A")
    model = FakeModel(seeded)
    found = scan.pseudo_log_likelihood(model, sequence, variants)
    np.testing.assert_allclose(found, [looped_likelihood(apply_mutations(sequence, v)) for v in variants], atol=1e-5)
    # 10 of the wild type, 9 more of each single, 8 more of the double: masking one of its two leaves the other single
    assert len(texts_read(model)) == len(set(texts_read(model))) == 10 + 9 + 9 + 8
    monkeypatch.setattr(scan, "BLOCK", 25)
    np.testing.assert_array_equal(scan.pseudo_log_likelihood(model, sequence, variants), found)
    np.testing.assert_array_equal(scan.pseudo_log_likelihood(model, sequence), found[:1])
    assert scan.pseudo_log_likelihood(model, sequence, []).shape == (0,)


def test_far_variants_share_the_inputs_of_the_wild_type():
    model = FakeModel(seeded, max_length=20)
    scan.pseudo_log_likelihood(model, LONG, variants_of("", "M1A"))
    # the first of four windows answers for residues 1 to 15: there the variant has inputs of its own, less its own mask
    assert np.count_nonzero(encode.window_of(50, encode.windows(50, 20)) == 0) == 15
    assert len(texts_read(model)) == len(set(texts_read(model))) == 50 + 14


def peak_memory(call):
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_the_memory_of_a_pseudo_likelihood_is_that_of_a_block(monkeypatch):
    answer = np.full((50, 20), -3.0, dtype=np.float32)
    model = FakeModel(lambda sequence: answer, batches=deque(maxlen=1))  # remembers no batch but the last
    variants = every_single(LONG)[:60]
    monkeypatch.setattr(scan, "BLOCK", 3000)  # one position of all 60
    streamed = peak_memory(lambda: scan.pseudo_log_likelihood(model, LONG, variants))
    monkeypatch.setattr(scan, "BLOCK", 10**9)
    at_once = peak_memory(lambda: scan.pseudo_log_likelihood(model, LONG, variants))
    assert 5 * streamed < at_once, (streamed, at_once)


# A real model, one input at a time


def test_every_strategy_equals_a_slow_reference_on_a_real_model(random_esm):
    sequence = "MKRLVAED"
    ask = functools.cache(lambda text: random_esm.run([text])[0].log_probabilities)

    def mask(text, *positions):
        return scan.edited(text, tuple((i, MASK) for i in positions))

    def likelihood(text):
        return sum(ask(mask(text, i))[i, AMINO_ACIDS.index(letter)] for i, letter in enumerate(text))

    def marginals(variant, read):
        total = 0.0
        for m in variant:
            row = ask(read(m.position - 1))[m.position - 1]
            total += row[AMINO_ACIDS.index(m.alt)] - row[AMINO_ACIDS.index(m.ref)]
        return total

    def reference(variant):
        mutant = apply_mutations(sequence, variant)
        both = mask(sequence, *(m.position - 1 for m in variant))
        return {
            "wildtype-marginals": marginals(variant, lambda i: sequence),
            "masked-marginals": marginals(variant, lambda i: mask(sequence, i)),
            "mutant-marginals": marginals(variant, lambda i: mutant),
            "comasked": marginals(variant, lambda i: both),
            "pseudo-likelihood": likelihood(mutant) - likelihood(sequence),
        }

    variants = [*every_single(sequence), *variants_of("K2A:D8C", "M1W:L4P:A6G")]
    expected = [reference(variant) for variant in variants]
    for strategy in random_esm.strategies:
        found = effects.score(random_esm, sequence, variants, strategy=strategy)
        np.testing.assert_allclose(found, [each[strategy] for each in expected], atol=1e-4, err_msg=strategy)
        assert np.ptp(found) > 1


def test_scans_hold_the_scores_of_every_single_substitution(random_esm):
    sequence = "MKRLVAEDGHWYCFNPQSTI"
    singles = every_single(sequence)
    at = tuple(np.array([(m.position - 1, AMINO_ACIDS.index(m.alt)) for (m,) in singles]).T)
    for strategy in STRATEGIES:
        table = substitutions(random_esm, sequence, strategy=strategy)
        np.testing.assert_allclose(
            table[at], effects.score(random_esm, sequence, singles, strategy=strategy), atol=1e-5, err_msg=strategy
        )
        assert not table[np.arange(20), scan.columns(sequence)].any()
    found = all_backgrounds(random_esm, sequence, singles)[(np.arange(len(singles)), *at)]
    expected = effects.score(random_esm, sequence, singles, strategy="mutant-marginals")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_comasked_tables_hold_the_scores_of_doubles(random_esm):
    sequence = "MKRLVAEDGHWYCFNPQSTI"
    doubles = variants_of("K2A:D8C", "V5W:I20L", "D8C:Y12M")
    pairs = [[m.position for m in variant][::-1] for variant in doubles]  # j before i
    tables = scan.comasked(random_esm, sequence, pairs)
    found = [
        sum(
            row[AMINO_ACIDS.index(m.alt)] - row[AMINO_ACIDS.index(m.ref)] for m, row in zip(v, table[::-1], strict=True)
        )
        for v, table in zip(doubles, tables, strict=True)
    ]
    expected = effects.score(random_esm, sequence, doubles, strategy="comasked")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_windows_of_a_real_model(random_esm):
    sequence = "".join(np.random.default_rng(3).choice(list(AMINO_ACIDS), size=130))
    variants = [(Mutation(i, sequence[i - 1], "A" if sequence[i - 1] != "A" else "C"),) for i in (1, 31, 65, 130)]
    mutants = [apply_mutations(sequence, variant) for variant in variants]
    expected = encode.log_probabilities(random_esm, mutants)
    expected = [table - table[np.arange(130), scan.columns(sequence)][:, None] for table in expected]
    np.testing.assert_allclose(all_backgrounds(random_esm, sequence, variants), expected, atol=1e-4)


# Faults


@pytest.mark.parametrize(
    "variant, message",
    [
        ([Mutation(2, "R", "A")], "R2A: expected the wild type R at position 2, found K"),
        ([Mutation(11, "K", "A")], "K11A: position 11 is past the end"),
        ([Mutation(2, "K", "A"), Mutation(2, "K", "C")], "K2A:K2C: position 2 is changed twice"),
        ([Mutation(4, "L", "C"), Mutation(2, "K", "A"), Mutation(4, "L", "A")], "position 4 is changed twice"),
    ],
)
def test_variants_that_do_not_fit_are_refused_before_the_model_runs(variant, message):
    model = FakeModel(seeded)
    for call in (
        lambda: scan.backgrounds(model, SEQUENCE, [(), variant]),  # at the call, not at the first block
        lambda: scan.pseudo_log_likelihood(model, SEQUENCE, [(), variant]),
        lambda: effects.score(model, SEQUENCE, [(), variant]),
    ):
        with pytest.raises(MutationError, match=message):
            call()
    assert model.n_sequences == 0


def test_other_faults():
    model = FakeModel(seeded)
    with pytest.raises(InputError, match="empty"):
        substitutions(model, "")
    with pytest.raises(InputError, match="position 11: expected 1 to 10"):
        list(scan.answers(model, [SEQUENCE], [scan.Query(0, (), 10)]))
    assert model.n_sequences == 0
    nowhere = FakeModel(lambda sequence: np.full((len(sequence), 20), np.nan))
    for call in (
        lambda: substitutions(nowhere, SEQUENCE),
        lambda: all_backgrounds(nowhere, SEQUENCE, variants_of("K2A")),
        lambda: scan.comasked(nowhere, SEQUENCE, [(1, 2)]),
        lambda: scan.pseudo_log_likelihood(nowhere, SEQUENCE),
    ):
        with pytest.raises(RuntimeError, match="fake gave answers that are not finite"):
            call()


def test_a_long_protein_can_be_read_whole(tmp_path):
    model = load_esm(tiny.card("esm2", max_length=20), path=tiny.write(tmp_path, "esm2"), device="cpu", dtype="float32")
    longer = load_esm(tiny.card("esm2"), path=tiny.write(tmp_path, "esm2"), device="cpu", dtype="float32")
    sequence = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEV"
    expected = substitutions(longer, sequence)
    np.testing.assert_allclose(substitutions(model, sequence, long="whole"), expected, atol=1e-5)
    ((_, tables),) = scan.backgrounds(model, sequence, [parse_mutations("K2A")], long="whole")
    ((_, whole),) = scan.backgrounds(longer, sequence, [parse_mutations("K2A")])
    np.testing.assert_allclose(tables, whole, atol=1e-5)
