"""Cards: names, aliases, ensembles, and the card of the bundled model as data."""

import json
import os
import re
import subprocess
import sys

import pytest

import tiny
from plmbook.core.errors import InputError
from plmbook.models import CARDS, all_cards, card, cards, expand, files, load

NAMED_BY_THE_STUDIES = [
    "esm1b_t33_650M_UR50S", *(f"esm1v_t33_650M_UR90S_{n}" for n in range(1, 6)),
    "esm2_t6_8M_UR50D", "esm2_t12_35M_UR50D", "esm2_t30_150M_UR50D", "esm2_t33_650M_UR50D", "esm2_t36_3B_UR50D",
    "esm2_t48_15B_UR50D", "ankh_base", "ankh_large", "ankh2_large", "ankh3_large", "ankh3_xl", "prot_t5_xl_uniref50",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMED_BY_THE_STUDIES)
def test_every_model_of_the_studies_has_a_card(name):
    found = card(name)
    assert found.licence and found.source and found.citation and found.training_data
    assert found.dim % found.heads == 0


def test_names_and_aliases_are_unique():
    spoken = [name for each in CARDS.values() for name in (each.name, *each.aliases)]
    assert len(spoken) == len(set(spoken)) == len([name for name in spoken if card(name)])
    assert not set(spoken) & set(cards.ENSEMBLES)


def test_names_tell_the_size():
    # esm2_t33_650M_UR50D: 33 layers, 650 million parameters (Meta rounds 652 to 650)
    for each in CARDS.values():
        if each.name.startswith("esm"):
            layers, size = each.name.split("_")[1:3]
            million = float(size[:-1]) * (1000 if size.endswith("B") else 1)
            assert each.layers == int(layers[1:])
            assert each.parameters / 1e6 == pytest.approx(million, rel=0.07)


def test_esm_files_come_from_where_fair_esm_takes_them():
    from esm import pretrained

    for each in CARDS.values():
        if each.family.startswith("esm"):
            assert callable(getattr(pretrained, each.name))
            assert each.source == f"https://dl.fbaipublicfiles.com/fair-esm/models/{each.name}.pt"


def test_expand_opens_ensembles_and_drops_repeats():
    assert expand(["esm1v"]) == [f"esm1v_t33_650M_UR90S_{n}" for n in range(1, 6)]
    assert expand(["esm2_8M", "esm1v_t33_650M_UR90S_2", "esm1v", "esm2_t6_8M_UR50D"])[:3] == [
        "esm2_t6_8M_UR50D",
        "esm1v_t33_650M_UR90S_2",
        "esm1v_t33_650M_UR90S_1",
    ]
    with pytest.raises(InputError, match="did you mean 'esm1v'"):
        expand(["esm1w"])


def test_every_published_model_can_be_run():
    assert all(each.runnable for each in CARDS.values())
    others = [each.name for each in CARDS.values() if not each.family.startswith("esm")]
    assert [each.name for each in CARDS.values() if not each.can("log-probabilities")] == others
    assert [each.name for each in CARDS.values() if not each.can("bos")] == others
    assert [each.name for each in CARDS.values() if each.prefix] == ["ankh3_large", "ankh3_xl"]


def test_what_is_fetched_from_the_hub_is_pinned():
    for each in CARDS.values():
        if each.family == "t5" and each.name != "ankh2_ext1":  # of that one no revision is on record
            assert re.fullmatch("[0-9a-f]{40}", each.revision), each.name
            assert re.fullmatch("(ElnaggarLab|Rostlab)/[a-z0-9_-]+", each.source), each.name


def test_a_family_without_adapter_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path, family="mamba")
    with pytest.raises(InputError, match="its family 'mamba' cannot be run in this version; expected one of esm1b"):
        load("embedded")
    assert files.weights_path(card("embedded")) is None


def test_cards_do_not_import_torch():
    code = (
        "import sys; from plmbook.models import CARDS, files; [files.weights_path(each) for each in CARDS.values()]; "
        "sys.exit(bool({'torch', 'esm', 'transformers'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_the_bundled_card_is_data(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    with pytest.raises(InputError, match="no bundled model found; expected a card NAME.json in"):
        card("embedded")
    assert list(all_cards()) == list(CARDS)
    tiny.write_bundled(tmp_path)
    found = card("embedded")
    assert (found.name, found.layers, found.licence, found.bundled) == ("plmbook_t3_tiny", 3, "CC0", True)
    assert found.aliases == ("embedded",)
    assert next(iter(all_cards())) == "plmbook_t3_tiny"
    assert expand(["embedded", "plmbook_t3_tiny"]) == ["plmbook_t3_tiny"]
    assert files.weights_path(found) == tmp_path / "models" / "plmbook_t3_tiny.safetensors"


def test_facts_are_the_card_and_what_else_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    told = {"evaluation": [{"test": "t", "value": 0.5, "n": 3}], "limits": ["small"], "config": {"seed": 1}}
    tiny.write_bundled(tmp_path, **told)
    found = cards.facts("embedded")
    assert found == cards.facts("plmbook_t3_tiny")
    assert {key: found[key] for key in told} == told
    assert (found["tokens_seen"], found["source"], found["citation"]) == (12, "bundled", "")
    assert list(found)[:3] == ["name", "family", "layers"]
    published = cards.facts("esm2_8M")
    fields = set(cards.Card.__dataclass_fields__) - {"lacks"} | {"capabilities"}
    assert set(published) == fields and published["parameters"] == 7_512_353
    for each in (found, published):
        assert json.loads(json.dumps(each))["name"] == each["name"]
    with pytest.raises(InputError, match="did you mean 'esm2_8M'"):
        cards.facts("esm2_8m")


def test_two_bundled_models_are_listed_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path, "plmbook_a_general", aliases=["embedded_general"])
    tiny.write_bundled(tmp_path, "plmbook_a")
    assert list(all_cards())[:2] == ["plmbook_a", "plmbook_a_general"]
    assert expand(["embedded", "embedded_general"]) == ["plmbook_a", "plmbook_a_general"]
    assert [files.weights_path(each).stem for each in cards.bundled_cards()] == ["plmbook_a", "plmbook_a_general"]


def test_two_bundled_models_share_no_alias(tmp_path, monkeypatch):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path, "plmbook_a")
    tiny.write_bundled(tmp_path, "plmbook_b")
    with pytest.raises(InputError, match="claimed by plmbook_a and plmbook_b"):
        card("embedded")
    tiny.write_bundled(tmp_path, "plmbook_a", aliases=[])
    assert card("embedded").name == "plmbook_b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.pop("heads"), "the card lacks heads"),
        (lambda facts: facts.update(name="other"), "the card's name is 'other', expected 'plmbook_t3_tiny'"),
    ],
)
def test_a_faulty_bundled_card_is_refused(tmp_path, monkeypatch, change, message):
    monkeypatch.setenv("PLMBOOK_DATA", str(tmp_path))
    tiny.write_bundled(tmp_path)
    path = tmp_path / "models" / "plmbook_t3_tiny.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=message):
        card("embedded")
    path.write_text("{")
    with pytest.raises(InputError, match="expected a model's card as JSON"):
        card("esm1b")
    path.write_text("[]")
    with pytest.raises(InputError, match="found a list"):
        card("esm1b")
