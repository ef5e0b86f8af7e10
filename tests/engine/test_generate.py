"""Proteins that a decoder writes: which spans, and the table that comes out."""

import numpy as np
import pandas as pd
import pytest

import tiny
from plmbook.core.errors import InputError
from plmbook.engine import generate, scan
from plmbook.models import cards, load

PROTEINS = pd.DataFrame({"id": ["a", "b"], "sequence": ["MXXKRXL", "XMKTAY"]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_t5(tmp_path_factory.mktemp("ankh"), "ankh")


@pytest.fixture
def model(folder, monkeypatch):
    monkeypatch.setitem(cards.CARDS, "ankh_tiny", tiny.t5_card("ankh"))
    return load("ankh_tiny", path=folder, device="cpu", dtype="float32", decoder=True)


def test_spans_are_the_given_ones_or_runs_of_x():
    assert generate.plan(PROTEINS) == [[(2, 3), (6, 6)], [(1, 1)]]
    assert generate.plan(PROTEINS, [(4, 5), (1, 1)]) == [[(4, 5), (1, 1)]] * 2
    with pytest.raises(InputError, match="b: span 7 to 7: expected positions from 1 to 6"):
        generate.plan(PROTEINS, [(7, 7)])
    with pytest.raises(InputError, match="c: no X in its sequence, and no span given"):
        generate.plan(pd.DataFrame({"id": ["c"], "sequence": ["MKR"]}))
    for text in ("", "3-", "-3", "a-b", "1-2-3"):
        with pytest.raises(InputError, match=f"span '{text}': expected START-END"):
            generate.read_span(text)


def test_a_row_for_each_protein_and_number(model):
    found = generate.write(model, PROTEINS, n=3, seed=4)
    assert found["id"].tolist() == list("aaabbb") and found["number"].tolist() == [1, 2, 3] * 2
    assert set(found["spans"][:3]) == {"2-3;6-6"} and found["log_likelihood"].dtype == np.float64
    alone = generate.write(model, PROTEINS.tail(1), n=3, seed=4)
    pd.testing.assert_frame_equal(alone, found.tail(3).reset_index(drop=True))
    assert found["sequence"].nunique() > 2


def test_perplexity_is_of_the_whole_protein(model):
    found = generate.write(model, PROTEINS, perplexity=True)
    for row in found.itertuples():
        mean = scan.pseudo_log_likelihood(model, row.sequence)[0] / len(row.sequence)
        assert row.perplexity == pytest.approx(np.exp(-mean))


def test_an_error_names_the_protein(model):
    with pytest.raises(InputError, match="a: n 2: expected 1, or more and a seed"):
        generate.write(model, PROTEINS, n=2)
    with pytest.raises(InputError, match="a: model 'ankh_tiny': prefix ''; expected a model of Ankh3"):
        generate.write(model, PROTEINS, extend=3)
