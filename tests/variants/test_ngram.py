"""The n-gram: counts and probabilities worked out by hand, back-off, and what it gains on text with structure."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.variants import ngram
from scripts import script

TOY = ["MKL", "MKL", "MRL", "KMLL"]
ALL20 = AMINO_ACIDS * 2  # so that no residue has frequency 0
NEIGHBOURS = {"neighbours": 1.0}


def column(letter):
    return AMINO_ACIDS.index(letter)


def counted(sequences):
    return ngram.count(sequences).set_index("context")


def test_counts_by_hand():
    table = counted(TOY)
    assert table.loc["M_L", "K"] == 2 and table.loc["M_L", "R"] == 1 and table.loc["M_L"].sum() == 4  # and L in KMLL
    assert table.loc["-_K", "M"] == 2 and table.loc["L_-", "L"] == 1 and table.loc["K_-", "L"] == 2
    assert table.loc["M._", "L"] == 4  # MKL, MKL, MRL and KMLL: L two after M
    assert table.loc["_.L", "M"] == 4 and table.loc["-._", "K"] == 3  # K in MKL, MKL, and the first of KMLL
    assert table.loc["K.._", "L"] == 1 and table.loc["_..-", "M"] == 4  # three after M: the end of MKL, MKL, MRL, KMLL
    residues = sum(map(len, TOY))
    both = table.index[table.index.str.fullmatch("._.")]
    assert table.loc[both].to_numpy().sum() == residues  # each residue is once between two neighbours
    for offset in ("X._", "_.X", "X.._", "_..X", "X..._", "_...X"):  # and once in each pair
        rows = table.index[table.index.str.fullmatch(offset.replace(".", r"\.").replace("X", "."))]
        assert len(rows) == 21 and table.loc[rows].to_numpy().sum() == residues


def test_unknown_letters_are_in_no_context():
    table = counted(["MXL"])
    both = table.index[table.index.str.fullmatch("._.")]
    assert table.loc[both].to_numpy().sum() == 0  # X is beside both
    assert table.loc["M._", "L"] == 1 and table.loc["_.L", "M"] == 1
    assert "X" not in table


def test_proteins_do_not_touch_each_other():
    alone = counted(["MKL"]) + counted(["RAD"])
    pd.testing.assert_frame_equal(alone, counted(["MKL", "RAD"]))


def test_pieces_do_not_change_the_counts(monkeypatch):
    whole = ngram.count(TOY)
    monkeypatch.setattr(ngram, "_PIECE", 3)
    pd.testing.assert_frame_equal(whole, ngram.count(TOY))


def test_probabilities_by_hand_and_back_off():
    model = ngram.Ngram.from_table(ngram.count([*TOY, ALL20]), prior=2.0)
    letters = "".join([*TOY, ALL20])
    f = np.array([letters.count(a) for a in AMINO_ACIDS]) / len(letters)
    np.testing.assert_allclose(model.frequencies, f)

    def p(sequence, place):
        return np.exp(ngram.log_probabilities(sequence, model, weights=NEIGHBOURS)[place])

    # Between M and L stand K, K, R and L: (count + 2 f) / (4 + 2).
    assert p("M_L", 1)[column("K")] == pytest.approx((2 + 2 * f[column("K")]) / 6)
    assert p("M_L", 1)[column("W")] == pytest.approx(2 * f[column("W")] / 6)
    # The right neighbour is masked, too: all that follows M, which is K, K, R, L and, in ALL20, N twice.
    assert p("M__", 1)[column("K")] == pytest.approx((2 + 2 * f[column("K")]) / 8)
    assert p("M__", 1)[column("N")] == pytest.approx((2 + 2 * f[column("N")]) / 8)
    np.testing.assert_allclose(p("M_X", 1), p("M__", 1))
    # Both are masked: the frequencies.
    np.testing.assert_allclose(p("M____L", 2), f)
    # Before K at the beginning stood M, twice.  The end is known: that is no back-off.
    assert p("_KL", 0)[column("M")] == pytest.approx((2 + 2 * f[column("M")]) / 4)
    assert p("__L", 0)[column("A")] == pytest.approx((1 + 2 * f[column("A")]) / 7)  # five proteins begin


def test_a_pair_by_hand():
    model = ngram.Ngram.from_table(ngram.count([*TOY, ALL20]), prior=2.0)
    f = model.frequencies
    found = np.exp(ngram.log_probabilities("M__", model, weights={"2": 1.0})[2])
    # Two after M: L four times and P twice.  On the right is the end, as for the last two residues of each protein.
    left = (np.bincount([column("L")] * 4 + [column("P")] * 2, minlength=20) + 2 * f) / 8
    last = [column(letter) for letter in "KLKLRLLLWY"]
    right = (np.bincount(last, minlength=20) + 2 * f) / 12
    expected = left * right / f
    np.testing.assert_allclose(found, expected / expected.sum())


def test_composition_is_of_the_visible_residues():
    model = ngram.Ngram.from_table(ngram.count([ALL20]))
    found = np.exp(ngram.log_probabilities("WWW__XX", model, weights={"composition": 1.0}))
    expected = (3 + ngram.SHRINKAGE / 20) / (3 + ngram.SHRINKAGE)
    np.testing.assert_allclose(found[:, column("W")], expected)


@pytest.mark.parametrize("sequence", ["M", "_", "X", "-", "MK_LW__XX_é", ALL20])
def test_rows_sum_to_one(sequence):
    model = ngram.Ngram.from_table(ngram.count([*TOY, ALL20]))
    found = ngram.log_probabilities(sequence, model)
    assert found.shape == (len(sequence), 20)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


def drawn(rng, n, length, structured):
    """Proteins; structured ones repeat each residue's number plus one (mod 20) nine times out of ten."""
    numbers = rng.integers(20, size=(n, length))
    if structured:
        for i in range(1, length):
            follow = rng.random(n) < 0.9
            numbers[:, i] = np.where(follow, (numbers[:, i - 1] + 1) % 20, numbers[:, i])
    return ["".join(AMINO_ACIDS[k] for k in row) for row in numbers]


def mean_log_p(sequences, model, weights):
    rng = np.random.default_rng(5)
    total = []
    for sequence in sequences:
        places = rng.choice(len(sequence), size=len(sequence) // 7, replace=False)
        masked = "".join("_" if i in places else letter for i, letter in enumerate(sequence))
        found = ngram.log_probabilities(masked, model, weights=weights)
        total += [found[i, column(sequence[i])] for i in places]
    return np.mean(total)


def test_it_gains_where_neighbours_tell_and_only_there():
    rng = np.random.default_rng(0)
    weights = {name: weight for name, weight in ngram.WEIGHTS.items() if name != "composition"}
    gain = {}
    for structured in (True, False):
        model = ngram.Ngram.from_table(ngram.count(drawn(rng, 500, 200, structured)))
        test = drawn(rng, 40, 200, structured)
        gain[structured] = mean_log_p(test, model, weights) - mean_log_p(test, model, {})
    assert gain[True] > 1.0  # nats: from one in 20 to better than one in 7
    assert abs(gain[False]) < 0.02


@pytest.mark.parametrize("context", ["", "_", "L_", "_A", "J_A", "A.B_", "A._.A", "A....._", "L_K_"])
def test_refuses_what_is_no_context(context):
    table = ngram.count([ALL20]).assign(context=lambda t: [context, *t["context"][1:]])
    with pytest.raises(InputError, match="no context of an n-gram"):
        ngram.Ngram.from_table(table)


def test_refuses_unknown_terms_and_nothing_to_count():
    model = ngram.Ngram.from_table(ngram.count([ALL20]))
    with pytest.raises(InputError, match="unknown term '5' of an n-gram; expected neighbours, 2"):
        ngram.log_probabilities("MK", model, weights={"5": 1.0})
    with pytest.raises(InputError, match="at least one sequence"):
        ngram.count([])
    with pytest.raises(InputError, match="every amino acid"):
        ngram.Ngram.from_table(ngram.count(["MK"]))


def test_the_bundled_counts_are_of_the_training_proteins():
    table = tables.load("ngram")
    assert table["context"].tolist() == ngram.count(["M"])["context"].tolist()
    counts = table[list(AMINO_ACIDS)].to_numpy()
    assert 86_000_000 < counts[:441].sum() < 86_500_000
    model = ngram.Ngram.from_table(table)
    assert model.frequencies[column("L")] > 0.08 > 0.02 > model.frequencies[column("W")]
    first = np.exp(ngram.log_probabilities("_KLVDE", model)[0])
    assert first[column("M")] > 0.5  # most proteins begin with M


@pytest.fixture(scope="module")
def make():
    """The script data/make/ngram.py as a module."""
    return script("ngram")


def test_the_fit_weighs_what_tells_and_drops_what_does_not(make):
    rng = np.random.default_rng(1)
    model = ngram.Ngram.from_table(ngram.count(drawn(rng, 300, 150, True)), prior=1.0)
    found = make.masked_terms(drawn(rng, 60, 150, True), model)
    weights, perplexity = make.fit(("neighbours",), *found, model)
    assert weights[0] == pytest.approx(1, abs=0.1)  # the counts are of the same source: their own weight is the best
    assert perplexity < 7 < make.fit((), *found, model)[1] < 21


def test_the_gradient_of_the_fit_is_that_of_its_loss(make):
    rng = np.random.default_rng(2)
    terms, truth = rng.normal(size=(2, 30, 20)), rng.integers(20, size=30)
    at, frequencies, step = np.array([0.3, 0.8]), np.full(20, 0.05), 1e-6
    _, slope = make.loss_and_slope(at, terms, truth, frequencies)
    for i in range(2):
        move = step * np.eye(2)[i]
        up, down = (make.loss_and_slope(at + sign * move, terms, truth, frequencies)[0] for sign in (1, -1))
        assert slope[i] == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_the_script_writes_the_counts_of_all_or_stops_where_the_weights_are_old(make, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(3)
    proteins = drawn(rng, 400, 40, True)
    (tmp_path / "general.fasta").write_text("".join(f">{i} src=toy\n{s}\n" for i, s in enumerate(proteins)))
    monkeypatch.setattr(make, "EVERY", 4)  # of the last quarter
    arguments = ["--corpus", str(tmp_path), "--to", str(tmp_path / "ngram.parquet")]
    with pytest.raises(SystemExit, match="out of date; fitted: {'neighbours'"):
        make.main(arguments)
    assert not (tmp_path / "ngram.parquet").exists()
    monkeypatch.setattr(make, "ALLOWED", np.inf)
    make.main(arguments)
    written = tables.read_table(tmp_path / "ngram.parquet", tables.schema_of("ngram"))
    pd.testing.assert_frame_equal(written, ngram.count(proteins), check_dtype=False)
    said = capsys.readouterr().out
    assert "400 proteins; fitted and measured on 25 of them" in said and "residue frequencies" in said
