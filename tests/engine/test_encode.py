"""Batches, windows, the residue slice and pooling, on fake models whose answers can be checked by eye."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import tiny
from fakes import TOKENS, FakeModel, seeded
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode
from plmbook.models import Output, packed
from plmbook.models.base import pooled
from plmbook.models.esm import load_esm

RNG = np.random.default_rng(7)


def random_protein(length):
    return "".join(RNG.choice(list(AMINO_ACIDS), size=length))


def letters(sequence):
    """A table whose row is the residue itself, in column 0: what a model without context would say."""
    table = np.zeros((len(sequence), 20))
    table[:, 0] = [TOKENS[letter] for letter in sequence]
    return table


def surroundings(sequence):
    """(L, 4): the residue, and how far the window reaches to its left and to its right, and the next residue."""
    n = len(sequence)
    codes = np.array([TOKENS[letter] for letter in sequence])
    return np.stack([codes, np.arange(n), n - 1 - np.arange(n), np.append(codes[1:], 0)], axis=1)


# windows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 5, 10, 11, 12, 15, 16, 20, 21, 99, 100])
@pytest.mark.parametrize("window", [1, 2, 7, 10])
def test_windows_cover_everything(length, window):
    spans = encode.windows(length, window)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert {stop - start for start, stop in spans} == {min(length, window)}
    for (_, stop), (start, _) in zip(spans, spans[1:], strict=False):
        assert stop - start >= window // 2  # neighbours share at least half of a window
    if length > window:  # and no window more than needed
        assert len(spans) == 1 + int(np.ceil((length - window) / (window - window // 2)))


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1021, [(0, 1021)]), (1022, [(0, 1022)]), (1023, [(0, 1022), (1, 1023)]), (1533, [(0, 1022), (511, 1533)])],
)
def test_windows_of_esm(length, expected):
    assert encode.windows(length, 1022) == expected


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (30, encode.windows(30, 10)),
        (23, encode.windows(23, 7)),
        (11, [(0, 10), (1, 11)]),
        (14, [(0, 6), (4, 10), (8, 14)]),
        (1023, encode.windows(1023, 1022)),
    ],
)
def test_each_residue_is_taken_where_it_is_farthest_from_a_cut(length, spans):
    chosen = encode.window_of(length, spans)

    def room(residue, span):  # a cut is a window's edge that is not the protein's end
        start, stop = span
        left = residue - start if start > 0 else length
        right = stop - 1 - residue if stop < length else length
        return min(left, right)

    for residue in range(length):
        inside = [n for n, (start, stop) in enumerate(spans) if start <= residue < stop]
        assert chosen[residue] in inside
        best = max(room(residue, spans[n]) for n in inside)
        assert room(residue, spans[chosen[residue]]) == best
    assert (np.diff(chosen) >= 0).all()


@pytest.mark.parametrize("length", [1, 1021, 1022, 1023, 1500, 2600])
def test_every_residue_keeps_its_place(length):
    protein = random_protein(length)
    model = FakeModel(letters, hidden=surroundings)
    [table] = encode.log_probabilities(model, [protein])
    assert table.shape == (length, 20)
    assert table[:, 0].tolist() == [TOKENS[letter] for letter in protein]
    [states] = encode.embed(model, [protein], pool="residue")
    assert states.shape == (length, 4)
    assert states[:, 0].tolist() == [TOKENS[letter] for letter in protein]
    assert states[:-1, 3].tolist() == [TOKENS[letter] for letter in protein[1:]]  # context never ends at a cut
    # The nearest cut is at least a quarter of a window away, or the protein's own end is.
    position = np.arange(length)
    assert (states[:, 1] >= np.minimum(position, 1022 // 4)).all()
    assert (states[:, 2] >= np.minimum(length - 1 - position, 1022 // 4)).all()


def test_1023_residues_exactly():
    model = FakeModel(hidden=surroundings)
    [states] = encode.embed(model, [random_protein(1023)], pool="residue")
    # Windows 0-1022 and 1-1023 (stop excluded).  Residue i has 1021 - i to the first's cut, i - 1 to the second's:
    # equal at 511, where the earlier window answers.
    assert states[:512, 1].tolist() == list(range(512))
    assert states[512:, 1].tolist() == list(range(511, 1022))
    assert [len(text) for batch in model.batches for text in batch] == [1022, 1022]


def test_rows_of_a_long_protein_keep_their_order():
    protein = random_protein(2000)
    model = FakeModel(letters)
    rows = np.array([1999, 3, 1000, 3, 0])
    [table] = encode.log_probabilities(model, [protein], rows=[rows])
    assert table[:, 0].tolist() == [TOKENS[protein[row]] for row in rows]


def test_windows_that_answer_nothing_are_not_run():
    model = FakeModel(letters)
    encode.log_probabilities(model, [random_protein(2000), random_protein(30)], rows=[np.array([5]), np.array([], int)])
    assert model.n_sequences == 1


# policies -------------------------------------------------------------------------------------------------------------


def test_error_is_decided_before_any_forward():
    model = FakeModel()
    sequences = ["A" * 10, "A" * 1023]
    for call in (encode.log_probabilities, encode.embed):
        with pytest.raises(InputError, match=r"1 of 2 sequences are longer than 1022 residues: number 2 \(1023\)"):
            call(model, sequences, long="error")
        with pytest.raises(InputError, match="long 'chop'"):
            call(model, sequences, long="chop")
    assert model.n_forwards == 0
    assert encode.log_probabilities(model, ["A" * 1022], long="error")[0].shape == (1022, 20)


@pytest.mark.parametrize(("length", "kept"), [(1021, 1021), (1022, 1022), (1023, 1022)])
def test_truncate_keeps_residues_and_no_end(length, kept, caplog):
    protein = random_protein(length)
    model = FakeModel(letters)
    [table] = encode.log_probabilities(model, [protein], long="truncate")
    assert table[:, 0].tolist() == [TOKENS[letter] for letter in protein[:kept]]
    [states] = encode.embed(model, [protein], long="truncate", pool="residue")
    assert len(states) == kept
    assert ("cut after them" in caplog.text) == (length > kept)


def test_truncate_refuses_rows_that_are_cut_off():
    model = FakeModel()
    with pytest.raises(InputError, match="sequence number 1: residue 1023 asked, expected 1 to 1022"):
        encode.log_probabilities(model, ["A" * 1023], rows=[np.array([1022])], long="truncate")
    with pytest.raises(InputError, match="rows for 1 sequences, expected 2"):
        encode.log_probabilities(model, ["A", "C"], rows=[np.array([0])])
    with pytest.raises(InputError, match="residue 0 asked"):
        encode.log_probabilities(model, ["A"], rows=[np.array([-1])])
    assert model.n_forwards == 0


def test_empty_input():
    model = FakeModel()
    assert encode.log_probabilities(model, []) == []
    with pytest.raises(InputError, match="sequence number 2 of 2 is empty"):
        encode.log_probabilities(model, ["A", ""])
    with pytest.raises(InputError, match="no sequence to embed"):
        encode.embed(model, [])
    assert model.n_forwards == 0


def test_windows_are_logged(caplog):
    with caplog.at_level(logging.INFO):
        encode.log_probabilities(FakeModel(), ["A" * 1023, "A"])
    assert "1 of 2 sequences are longer than 1022 residues, read in windows: number 1 (1023)" in caplog.text


def test_a_model_without_limit_reads_all_at_once():
    class Limitless(FakeModel):
        def run(self, sequences, **options):
            self.batches.append(list(sequences))
            return [Output(log_probabilities=letters(sequence)) for sequence in sequences]

    model = Limitless(max_length=None)
    assert encode.log_probabilities(model, ["A" * 5000], long="error")[0].shape == (5000, 20)
    assert model.n_sequences == 1


# batches --------------------------------------------------------------------------------------------------------------


def test_order_is_restored_and_the_longest_runs_first():
    proteins = [random_protein(length) for length in [3, 50, 7, 120, 1, 50, 200, 9]]
    model = FakeModel(seeded)
    tables = encode.log_probabilities(model, proteins, token_budget=130)
    for protein, table in zip(proteins, tables, strict=True):
        np.testing.assert_allclose(table, seeded(protein), atol=1e-6)
    seen = [len(text) for batch in model.batches for text in batch]
    assert seen == sorted(seen, reverse=True) and len(seen) == len(proteins)
    for batch in model.batches:
        assert sum(len(text) + 2 for text in batch) <= 130 or len(batch) == 1


def test_batches_hold_every_index_once():
    sizes = RNG.integers(1, 60, size=200).tolist()
    groups = encode.batches(sizes, 100)
    assert sorted(index for group in groups for index in group) == list(range(200))
    assert max(sum(sizes[index] for index in group) for group in groups) <= 100
    assert encode.batches([], 100) == []


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class SmallModel(FakeModel):
    """Its memory holds 40 residues at a time."""

    def run(self, sequences, **options):
        if sum(map(len, sequences)) > 40:
            raise OutOfMemoryError("CUDA out of memory")
        return super().run(sequences, **options)


def test_a_batch_that_does_not_fit_is_halved(caplog):
    proteins = [random_protein(length) for length in [10, 20, 15, 30, 5]]
    model = SmallModel(seeded)
    rows = [np.arange(len(protein) // 2) for protein in proteins]
    tables = encode.log_probabilities(model, proteins, rows=rows)
    for protein, table in zip(proteins, tables, strict=True):
        np.testing.assert_allclose(table, seeded(protein)[: len(protein) // 2], atol=1e-6)
    assert model.n_forwards > 1
    said = [record.getMessage() for record in caplog.records]
    assert said == ["fake: 90 tokens do not fit into memory; going on with half"]  # 80 residues, BOS and EOS of each
    with pytest.raises(MemoryError, match="a sequence of 41 residues"):
        encode.embed(model, ["A" * 41, "AC"])


def test_other_errors_are_not_hidden():
    class Broken(FakeModel):
        def run(self, sequences, **options):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        encode.log_probabilities(Broken(), ["AC", "AD"])


def test_progress_is_shown_only_on_request(capsys):
    encode.log_probabilities(FakeModel(), ["ACD"])
    assert capsys.readouterr().err == ""
    encode.log_probabilities(FakeModel(), ["ACD"], progress=True)
    assert "5.00/5.00" in capsys.readouterr().err


# pooling --------------------------------------------------------------------------------------------------------------

STATES = np.array([[1.0, -4.0], [2.0, 0.0], [6.0, 1.0]])  # mean (3, -1), maximum (6, 1)


class HandMade(FakeModel):
    """BOS and EOS are (100, 100): a pooled value that has seen one of them stands out."""

    def run(self, sequences, *, layers=(), rows=None, logits=True, pool=None, spans=None):
        assert not logits and rows is None  # an embedding needs no language-model head
        self.batches.append(list(sequences))
        edge = np.full((1, 2), 100.0)
        tokens = torch.from_numpy(np.concatenate([np.vstack([edge, STATES[: len(text)], edge]) for text in sequences]))
        if pool is None:
            return [Output(hidden=dict.fromkeys(layers, STATES[: len(text)])) for text in sequences]
        if pool == "bos":
            vectors = np.repeat(edge, len(sequences), axis=0)
        else:
            vectors = packed.pool(tokens, [(1, len(text), 1) for text in sequences], pool).numpy()
        return [Output(pooled=dict.fromkeys(layers, vector)) for vector in vectors]


@pytest.mark.parametrize(
    ("pool", "expected"), [("mean", [[3, -1], [1.5, -2]]), ("max", [[6, 1], [2, 0]]), ("bos", [[100, 100], [100, 100]])]
)
def test_pooling_by_hand(pool, expected):
    found = encode.embed(HandMade(), ["MKT", "MK"], pool=pool)
    np.testing.assert_array_equal(found, expected)


def test_residue_embeddings_have_one_row_a_residue():
    found = encode.embed(HandMade(), ["MK", "MKT", "M"], pool="residue", layer=2)
    assert [each.shape for each in found] == [(2, 2), (3, 2), (1, 2)]
    assert found[0].dtype == np.float32
    assert not np.isin(100, np.concatenate(found))


def test_mean_of_many_float32_does_not_drift():
    # 0.1 in float32 added 100,000 times drifts in float32 by 1e-4 and more; pooling must not.
    states = np.full((100_000, 1), 0.1, dtype=np.float32)
    assert pooled(states, "mean")[0] == np.float32(0.1)


def test_pooling_over_windows_is_pooling_over_residues():
    protein = random_protein(2100)
    model = FakeModel()
    [residues] = encode.embed(model, [protein], pool="residue")
    np.testing.assert_allclose(encode.embed(model, [protein])[0], residues.mean(axis=0, dtype=float), rtol=1e-6)
    np.testing.assert_array_equal(encode.embed(model, [protein, "AC"], pool="max")[0], residues.max(axis=0))


def test_bos_of_a_windowed_protein_is_refused():
    model = HandMade()
    with pytest.raises(InputError, match="has no one BOS"):
        encode.embed(model, ["A" * 1023], pool="bos")
    assert model.n_forwards == 0
    with pytest.raises(InputError, match="pool 'sum': expected one of mean, max, bos, final, cell, fusion, residue"):
        encode.embed(model, ["A"], pool="sum")


# with a network -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    from plmbook.models.esm import EsmModel

    path = tmp_path_factory.mktemp("weights") / "none.pt"
    return EsmModel(tiny.network("esm2"), tiny.card("esm2"), path=path)


def test_batches_of_a_network_are_its_single_answers(network):
    proteins = [random_protein(length) for length in [5, 60, 1, 33, 33]] + ["MK_T_"]
    tables = encode.log_probabilities(network, proteins, token_budget=70)
    means = encode.embed(network, proteins, token_budget=70)
    for protein, table, mean in zip(proteins, tables, means, strict=True):
        [alone] = network.run([protein], layers=[-1])
        np.testing.assert_allclose(table, alone.log_probabilities, atol=1e-5)
        np.testing.assert_allclose(mean, alone.hidden[-1].mean(axis=0), atol=1e-5)


def test_windows_of_a_network_are_its_answers_to_the_windows(network):
    protein = random_protein(100)  # windows 0-60, 20-80, 40-100: residues 0-39, 40-59, 60-99 (ties to the earlier)
    [table] = encode.log_probabilities(network, [protein])
    spans = encode.windows(100, 60)
    owner = encode.window_of(100, spans)
    for number, (start, stop) in enumerate(spans):
        [answer] = network.run([protein[start:stop]])
        mine = np.flatnonzero(owner == number)
        assert len(mine)
        np.testing.assert_allclose(table[mine], answer.log_probabilities[mine - start], atol=1e-5)


# the budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "dim", "expected"), [(141e9, 1280, 2**16), (80e9, 5120, 2**16), (8e9, 5120, 8192), (0, 64, 2048)]
)
def test_the_budget_of_a_gpu_follows_its_free_memory(monkeypatch, free, dim, expected):
    monkeypatch.setattr("plmbook.models.device.free_memory", lambda device: int(free))
    model = FakeModel(device="cuda:0", dtype="bfloat16", card=SimpleNamespace(dim=dim))
    assert encode.token_budget(model) == expected
    model.fitting_tokens = 1000  # it was asked for more, once
    assert encode.token_budget(model) == 1000


def test_a_cpu_has_one_budget():
    assert encode.token_budget(FakeModel(device="cpu")) == encode.TOKEN_BUDGET


def test_after_a_batch_that_did_not_fit_all_are_smaller():
    model = SmallModel(seeded)
    proteins = [random_protein(10) for _ in range(40)]
    encode.log_probabilities(model, proteins, token_budget=120)
    assert [len(batch) for batch in model.batches] == [2] * 20  # 120 -> 60 -> 30 tokens, 12 a protein, found once
    assert encode.token_budget(model) == 30
    encode.log_probabilities(model, proteins, token_budget=120)
    assert [len(batch) for batch in model.batches] == [2] * 40  # and not forgotten


def test_the_machines_own_memory_is_told_from_other_errors():
    class Full(FakeModel):
        def run(self, sequences, **options):
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
            )

    with pytest.raises(MemoryError, match="a sequence of 2 residues"):
        encode.embed(Full(), ["AC"])


def test_a_batch_with_windows_in_it_is_pooled_the_same():
    model = FakeModel(max_length=20)
    long, short = random_protein(50), random_protein(7)
    for pool in ("mean", "max"):
        together = encode.embed(model, [long, short], pool=pool)
        for protein, vector in zip([long, short], together, strict=True):
            states = np.repeat(model.tokenize(protein)[1:-1, None], 2, axis=1)
            np.testing.assert_allclose(vector, pooled(states, pool), rtol=1e-6)


# whole ----------------------------------------------------------------------------------------------------------------


def test_a_long_protein_can_be_read_whole(tmp_path):
    """What the packed forward gives beyond the length of training is fair-esm's own answer."""
    model = load_esm(tiny.card("esm2", max_length=20), path=tiny.write(tmp_path, "esm2"), device="cpu", dtype="float32")
    protein = random_protein(50)
    (whole,) = encode.embed(model, [protein], pool="residue", long="whole")
    last = model.card.layers
    tokens = torch.from_numpy(model.tokenize(protein))[None]
    with torch.no_grad():
        expected = model.network(tokens, repr_layers=[last])["representations"][last][0, 1:-1]
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    (in_windows,) = encode.embed(model, [protein], pool="residue", long="window")
    assert np.abs(whole - in_windows).max() > 1e-3
    (table,) = encode.log_probabilities(model, [protein], long="whole")
    assert table.shape == (50, 20)


def test_learned_positions_cannot_be_read_whole(tmp_path):
    model = load_esm(tiny.card("esm1v"), path=tiny.write(tmp_path, "esm1v"), device="cpu", dtype="float32")
    with pytest.raises(InputError, match="long 'whole': esm1v_tiny has no positions beyond"):
        encode.embed(model, ["ACD"], long="whole")
