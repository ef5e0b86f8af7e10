"""The bundled model: what ships is what its card, its configuration and its derived tables say."""

import json

import numpy as np
import pytest
import yaml

from plmbook import effects, metrics, models, paths, results, tables

CARD = models.card("embedded")
FACTS = json.loads((paths.data() / "models" / f"{CARD.name}.json").read_text())
PRIVATE = {"data", "out", "validation"}  # folders of the machine that trained it


@pytest.fixture(scope="module")
def model():
    return models.load("embedded")


def test_the_card_tells_the_configuration_that_is_committed():
    committed = yaml.safe_load((paths.root() / "data" / "make" / "pretrain.yml").read_text())
    trained = FACTS["config"]
    assert {k: v for k, v in committed.items() if k not in PRIVATE} == {
        k: trained[k] for k in committed if k in trained
    }
    assert not PRIVATE & set(trained)
    assert "/" not in json.dumps(trained)  # no path of a machine


def test_the_card_counts_what_the_weights_hold(model):
    assert model.weights_hash == CARD.sha256 == FACTS["sha256"]
    trained = sum(p.numel() for n, p in model.network.named_parameters() if not n.startswith("contact_head"))
    assert trained == CARD.parameters <= 8_000_000
    assert FACTS["steps"] == FACTS["config"]["steps"]
    assert sum(FACTS["residue_frequencies"]) == pytest.approx(1, abs=1e-4)
    assert FACTS["corpus"]["heldout_bundled"] == len(tables.load("heldout"))


@pytest.mark.parametrize("strategy", ["masked-marginals", "mutant-marginals"])
def test_shipped_scores_are_computed_again(model, strategy):
    """Golden numbers: a drift of torch, fair-esm or our forward pass shows here before it shows in the book."""
    shipped = tables.read_table(paths.derived() / CARD.name / f"{strategy}.parquet", tables.Schema("shipped", ()))
    chosen = shipped[shipped["gene"] == "TTR"].head(6).reset_index(drop=True)
    genes = tables.load("genes")
    again = effects.score_table(model, genes[genes["gene"] == "TTR"], chosen.drop(columns="score"), strategy=strategy)
    np.testing.assert_allclose(again["score"], chosen["score"], atol=results.TOLERANCE)


def test_it_knows_more_than_residue_frequencies_of_families_it_never_read():
    shipped = tables.read_table(
        paths.derived() / CARD.name / "heldout-likelihood.parquet", tables.Schema("shipped", ())
    )
    ours = metrics.perplexity(shipped)
    frequencies = metrics.perplexity(shipped, log_likelihood="frequency_log_likelihood")
    assert ours.high < frequencies.low  # the intervals do not touch
