"""The bundled models: what ships is what their cards, their configurations and their derived tables say."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from plmbook import models, tables
from plmbook.book import evaluation, profiles, recompute
from plmbook.core import artifacts, paths
from plmbook.engine import pretrain
from plmbook.models import base, cards
from plmbook.stats import metrics
from plmbook.tables import bundled, derived
from plmbook.variants import effects
from plmbook.variants import studies as variant_studies

BUNDLED = cards.bundled_cards()
CONFIGURATIONS = {"embedded": "pretrain.yml", "embedded_general": "pretrain-general.yml"}  # by alias
PRIVATE = {"data", "out", "validation"}  # folders of the machine that trained it
SIZE = 20e6  # bytes of all weights in git


@pytest.fixture(params=[each.name for each in BUNDLED], scope="module")
def card(request):
    return models.card(request.param)


@pytest.fixture(scope="module")
def facts(card):
    return cards.facts(card.name)


@pytest.fixture(scope="module")
def model(card):
    return models.load(card.name)


def configuration(alias):
    return yaml.safe_load((paths.root() / "data" / "make" / CONFIGURATIONS[alias]).read_text(encoding="utf-8"))


def shipped(card, name):
    """A derived table as it lies in the repository."""
    return tables.read_table(paths.derived() / card.name / f"{name}.parquet", tables.Schema(name, ()))


def evaluated(facts):
    """The rows of a card's evaluation, checked."""
    return tables.check(pd.DataFrame(facts["evaluation"]), evaluation.EVALUATION, where=f"card of {facts['name']}")


CHAINS = ("likelihood", "next-residue")  # tables of a model that reads a residue at a time
DERIVED = {name: version for name, version in derived.VERSIONS.items() if name not in CHAINS}


# --- the two together ---


def test_two_models_are_bundled_the_default_and_the_general_one():
    assert {alias for each in BUNDLED for alias in each.aliases} == set(CONFIGURATIONS)
    default, general = (models.card(alias).name for alias in CONFIGURATIONS)
    assert general == f"{default}_general"
    assert profiles.profile_models("embedded") == [*CONFIGURATIONS, "unirep_1900"]


def test_the_weights_are_small_enough_for_git():
    files = sorted((paths.data() / "models").glob("*.safetensors"))
    assert [path.stem for path in files] == [each.name for each in BUNDLED]
    assert sum(path.stat().st_size for path in files) <= SIZE


def test_the_two_runs_differ_in_what_they_read_alone():
    default, general = (configuration(alias) for alias in CONFIGURATIONS)
    different = {name for name in default.keys() | general.keys() if default.get(name) != general.get(name)}
    assert different == {"name", "out", "sources", "curriculum"}
    assert set(default["sources"]) - set(general["sources"]) == {"orthologs.fasta"}


# --- each by itself ---


def test_the_card_tells_the_configuration_that_is_committed(card, facts):
    (alias,) = card.aliases
    committed = {name: value for name, value in configuration(alias).items() if name not in PRIVATE}
    trained = facts["config"]
    assert committed == {name: trained.get(name) for name in committed}
    assert trained.keys() <= pretrain.Config.__dataclass_fields__.keys() - PRIVATE  # what is left out has its default
    assert "/" not in json.dumps(trained)  # no path of a machine


def test_the_card_counts_what_the_weights_hold(card, facts, model):
    assert model.weights_hash == card.sha256 == facts["sha256"]
    trained = sum(p.numel() for n, p in model.network.named_parameters() if not n.startswith("contact_head"))
    assert trained == card.parameters <= 8_000_000
    assert (card.layers, card.dim, card.heads) == tuple(facts["config"][name] for name in ("layers", "dim", "heads"))
    assert facts["steps"] == facts["config"]["steps"]
    assert sum(facts["residue_frequencies"]) == pytest.approx(1, abs=1e-4)
    assert facts["corpus"]["heldout_bundled"] == len(tables.load("heldout"))
    assert facts["limits"] and facts["licence"] and facts["training_data"]


def test_the_log_is_that_of_the_training(card, facts):
    log = pd.read_csv(paths.data() / "models" / f"{card.name}.log.tsv", sep="\t")
    last = log.iloc[-1]
    assert log["step"].is_monotonic_increasing and log["step"].is_unique and log["tokens"].is_monotonic_increasing
    assert (last["step"], last["tokens"]) == (facts["steps"], facts["tokens_seen"])
    assert last["validation_loss"] < log["validation_loss"].dropna().iloc[0]


@pytest.mark.parametrize("strategy", ["masked-marginals", "mutant-marginals"])
def test_shipped_scores_are_computed_again(card, model, strategy):
    """Golden numbers: a drift of torch, fair-esm or our forward pass shows here before it shows in the book."""
    scores = shipped(card, strategy)
    chosen = scores[scores["gene"] == "TTR"].head(6).reset_index(drop=True)
    genes = tables.load("genes")
    again = effects.score_table(model, genes[genes["gene"] == "TTR"], chosen.drop(columns="score"), strategy=strategy)
    np.testing.assert_allclose(again["score"], chosen["score"], atol=derived.TOLERANCE)


def test_every_derived_table_ships_with_the_manifest_of_these_weights(card):
    folder = paths.derived() / card.name
    assert {path.stem for path in folder.glob("*.parquet")} == set(DERIVED)
    for name, version in DERIVED.items():
        manifest = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        assert manifest["content"] == artifacts.content_hash(shipped(card, name))
        ingredients = manifest["ingredients"]
        assert (ingredients["weights"], ingredients["version"]) == (card.sha256, version)


@pytest.fixture
def keys(monkeypatch, tmp_path):
    """Of a model, the key of every derived table: nothing is computed, and shipped numbers are taken as they are."""
    monkeypatch.setattr(paths, "results", lambda profile: tmp_path / profile)
    monkeypatch.setattr(derived, "_check_sample", lambda *args, **options: (0, 0.0))
    make = derived.Run.derive
    unchecked = lambda *args, check=None, **options: make(*args, **options)  # noqa: E731
    monkeypatch.setattr(derived.Run, "derive", unchecked)
    monkeypatch.setattr(derived, "_computed", lambda rows, compute, values: rows.assign(**dict.fromkeys(values, 0.0)))
    no_score = lambda model, genes, rows, **options: rows.assign(score=0.0)  # noqa: E731
    monkeypatch.setattr(variant_studies.effects, "score_table", no_score)
    earlier = lambda *args, earlier, **options: earlier.assign(kind="candidate")  # noqa: E731
    monkeypatch.setattr(variant_studies.rescored, "pairs", earlier)  # as long as the scan says what it said

    def keys_of(model):
        for study in recompute.STUDIES.values():
            study(model)
        return derived.records()

    return keys_of


def test_every_shipped_table_is_the_one_that_is_asked_for_now(keys):
    """Or `make book` would silently compute it. The other model's tables have the same ingredients but the weights."""
    model = models.load("embedded")
    found = keys(model)
    assert set(found["status"]) == {"shipped"}, found.loc[found["status"] != "shipped", ["model", "table", "reason"]]
    names = found.loc[found["model"] == model.name, "table"]
    assert set(names) == set(DERIVED) and len(found) == len(names) + 2  # composition
    for name in names:
        one, other = (
            json.loads((paths.derived() / models.card(alias).name / f"{name}.json").read_text())["ingredients"]
            for alias in CONFIGURATIONS
        )
        different = {part for part in one if one[part] != other[part]}
        assert different - ({"rows"} if name.startswith("rescue-") else set()) == {"model", "weights"}


def test_the_shipped_scores_of_unirep_are_of_its_weights_and_name_their_licence():
    card = models.card("unirep_1900")
    assert {path.stem for path in (paths.derived() / card.name).glob("*.parquet")} == set(CHAINS)
    for name in CHAINS:
        manifest = json.loads((paths.derived() / card.name / f"{name}.json").read_text(encoding="utf-8"))
        ingredients = manifest["ingredients"]
        assert (ingredients["weights"], ingredients["version"]) == (card.sha256, derived.VERSIONS[name])
        assert ingredients["parameters"]["dtype"] == "float32"
        assert manifest["licence"] == "of the weights: CC BY-NC 4.0"


def test_it_knows_more_than_residue_frequencies_of_families_it_never_read(card):
    table = shipped(card, "heldout-likelihood")
    ours = metrics.perplexity(table)
    frequencies = metrics.perplexity(table, log_likelihood="frequency_log_likelihood")
    assert ours.high < frequencies.low  # the intervals do not touch


def test_the_tests_of_unseen_families_leave_relatives_out(card):
    kept = shipped(card, "contact-precision").query("set == 'kept'")
    for name, table in (
        ("heldout", shipped(card, "heldout-likelihood")),
        ("kept_structures", kept),
        ("secondary_structure", shipped(card, "secondary-structure")),
    ):
        assert len(table) and not set(table["id"]) & bundled.read_in_training(name)


# --- the evaluation in the cards ---


def test_the_card_holds_every_test(facts):
    found = evaluated(facts)
    assert {test.split(",")[0] for test in found["test"]} == {
        "masked residues",
        "variant effects",
        "long-range contacts from attention",
        "secondary structure",
        "localisation",
    }
    strategies = found["test"][found["test"].str.startswith("variant effects")].str.split(", ").str[1]
    defined = set(base.strategies(["log-probabilities"])) - {"comasked"}
    assert set(strategies) == {name.replace("-", " ") for name in defined}


def test_the_cards_were_given_the_same_tests():
    key = list(evaluation.EVALUATION.key)
    first, *others = (evaluated(cards.facts(each.name))[[*key, "n"]] for each in BUNDLED)
    for other in others:
        pd.testing.assert_frame_equal(first, other)


@pytest.mark.parametrize(
    ("start", "table", "study"),
    [
        ("masked residues", "heldout-likelihood", evaluation.held_out),
        ("long-range contacts", "contact-precision", evaluation.contact_maps),
        ("secondary structure", "secondary-structure", evaluation.secondary_structure),
    ],
)
def test_the_card_says_what_the_shipped_tables_say(card, facts, start, table, study):
    told = evaluated(facts)
    told = told[told["test"].str.startswith(start)].reset_index(drop=True)
    pd.testing.assert_frame_equal(told, study(shipped(card, table)), atol=1e-4, rtol=0)


def test_the_default_model_tells_pathogenic_from_benign():
    """The best strategy on all labelled variants, its interval over genes: above chance."""
    found = evaluated(cards.facts(models.card("embedded").name))
    pooled = found[(found["statistic"] == "AUROC") & (found["data"] == "ClinVar, 53 genes")]
    best = pooled.loc[pooled["value"].idxmax()]
    assert best["low"] > 0.5
