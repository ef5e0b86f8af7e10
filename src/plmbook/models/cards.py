"""One card per model: what it is, how large, under which licence, and where its weights come from.

Nothing here imports torch.  The families and the cards of the published models are written below; the card of a bundled
model is data, the JSON beside its weights in `data/models/`.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean
from plmbook.models.base import Capability, Family
from plmbook.models.files import weights_path

_WEIGHTS_URL = "https://dl.fbaipublicfiles.com/fair-esm/models/{name}.pt"
ENSEMBLES = {"esm1v": tuple(f"esm1v_t33_650M_UR90S_{n}" for n in range(1, 6))}
_PREFIXES = ("[NLU]", "[S2S]")  # the two tasks of Ankh3: to read a sequence, and to go on with one

_ESM: frozenset[Capability] = frozenset(("log-probabilities", "attentions", "bos"))
_fair_esm = partial(
    Family, loader="plmbook.models.esm:load_esm", library="fair-esm", before=1, after=1, licence="MIT"
)  # BOS and EOS around the residues

_FAMILIES = (
    _fair_esm(
        name="esm1b",
        title="ESM-1b",
        capabilities=_ESM | {"contacts"},
        training_data="UniRef50 (UR50/S, 2018_03)",
        citation="rives2021biological",
    ),
    _fair_esm(
        name="esm1v",
        title="ESM-1v",
        capabilities=_ESM,  # released without contact regression
        training_data="UniRef90 (UR90/S, 2020_03)",
        citation="meier2021language",
    ),
    _fair_esm(
        name="esm2",
        title="ESM-2",
        capabilities=_ESM | {"contacts", "any-length"},
        training_data="UniRef50 clusters, their members drawn from UniRef90 (UR50/D, 2021_04)",
        citation="lin2023evolutionary",
    ),
    Family(
        name="t5",
        title="T5 (Ankh, ProtT5)",
        loader="plmbook.models.t5:load_t5",
        decoder="plmbook.models.t5_decoder:load_seq2seq",
        library="transformers",
        capabilities=frozenset(("attentions", "any-length", "pseudo-likelihood", "generation", "prefix")),
        before=0,
        after=1,
        standard_layers=False,
    ),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
"""What can be run.  A new family: a record here, its cards below, and its adapter in `plmbook.models.NAME`."""


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
    source: str  # URL of the weights, `org/model` of a Hugging Face repository, or `bundled`
    citation: str  # key in `book/references.bib`
    aliases: tuple[str, ...] = ()  # further names that `card` understands
    sha256: str = ""  # of the file of a bundled model
    token_dropout: bool = True  # of a bundled model: trained with ESM's; the others say so in their checkpoint
    revision: str = ""  # commit of the Hugging Face repository that is fetched; empty: the newest
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
    def capabilities(self) -> frozenset[Capability]:
        """What the model has beyond embeddings: keys of `plmbook.models.base.CAPABILITIES`."""
        if not self.runnable:
            return frozenset()
        return FAMILIES[self.family].capabilities.difference(self.lacks, () if self.prefix else ("prefix",))

    def can(self, what: Capability) -> bool:
        """Whether the model has one of `plmbook.models.base.CAPABILITIES`."""
        return what in self.capabilities

    @property
    def special_tokens(self) -> tuple[int, int]:
        """How many tokens stand before and after the residues, a prefix counted."""
        family = FAMILIES[self.family]
        return family.before + bool(self.prefix), family.after

    def layer_number(self, layer: int) -> int:
        """A layer as a number from 0 (before the first) to `layers`; negative ones count from the end."""
        if not -self.layers - 1 <= layer <= self.layers:
            raise InputError(f"model {self.name!r}: layer {layer}, expected 0 to {self.layers} (or -1 for the last)")
        return layer if layer >= 0 else self.layers + 1 + layer

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


def _esm(name, family, layers, dim, heads, parameters, *aliases):
    # 1,022 residues: 1,024 learned positions less BOS and EOS (ESM-1); the crop that ESM-2 was trained on.
    shared, source = FAMILIES[family], _WEIGHTS_URL.format(name=name)
    facts = (1022, shared.training_data, shared.licence, source, shared.citation, aliases)
    return Card(name, family, layers, dim, heads, parameters, *facts)


def _ankh(name, hub_name, dim, heads, parameters, citation, aliases=()):
    return Card(
        name=name,
        family="t5",
        layers=48,
        dim=dim,
        heads=heads,
        parameters=parameters,
        max_length=None,
        training_data="UniRef50",
        licence="CC BY-NC-SA 4.0",
        source=f"ElnaggarLab/{hub_name}",
        citation=citation,
        aliases=aliases,
        revision=_REVISIONS.get(hub_name, ""),
        # Ankh3 learnt two tasks and is told by a first token which; for embeddings its authors write [NLU].
        prefix="[NLU]" if name.startswith("ankh3") else "",
    )


_REVISIONS = {  # of the repositories on the Hugging Face hub
    "ankh-base": "d99cb6b966530dfc2ae96bc69d9255c2a07308b0",
    "ankh-large": "74b371dbfa3ee0a05d32ae74df0c2e0b82d6b9a6",
    "ankh2-ext2": "aa9b9fa72288c47d9f618ce80c011e24b54e17a8",
    "ankh3-large": "2be091622e8a393f0ef21735070084123c874b6e",
    "ankh3-xl": "e00113df5c95ef71df7ea3f5a73d56bd00e473a4",
    "prot_t5_xl_half_uniref50-enc": "94a6abc029ae13029317b140b7424e012bf8dfbf",
}

_PUBLISHED = (
    _esm("esm1b_t33_650M_UR50S", "esm1b", 33, 1280, 20, 652_358_433, "esm1b"),
    *(_esm(name, "esm1v", 33, 1280, 20, 652_355_873) for name in ENSEMBLES["esm1v"]),
    _esm("esm2_t6_8M_UR50D", "esm2", 6, 320, 20, 7_512_353, "esm2_8M"),
    _esm("esm2_t12_35M_UR50D", "esm2", 12, 480, 20, 33_501_153, "esm2_35M"),
    _esm("esm2_t30_150M_UR50D", "esm2", 30, 640, 20, 148_139_553, "esm2_150M"),
    _esm("esm2_t33_650M_UR50D", "esm2", 33, 1280, 20, 651_042_593, "esm2_650M"),
    _esm("esm2_t36_3B_UR50D", "esm2", 36, 2560, 40, 2_839_004_193, "esm2_3B"),
    _esm("esm2_t48_15B_UR50D", "esm2", 48, 5120, 40, 15_129_098_273, "esm2_15B"),
    _ankh("ankh_base", "ankh-base", 768, 12, 453_170_688, "elnaggar2023ankh"),
    _ankh("ankh_large", "ankh-large", 1536, 16, 1_151_707_648, "elnaggar2023ankh"),
    # The hub's `ankh2-large` holds no weights; the two extended trainings of Ankh2 do.
    _ankh("ankh2_ext1", "ankh2-ext1", 1536, 16, 1_151_707_648, "elnaggar2023ankh"),
    _ankh("ankh2_ext2", "ankh2-ext2", 1536, 16, 1_151_707_648, "elnaggar2023ankh", ("ankh2", "ankh2_large")),
    _ankh("ankh3_large", "ankh3-large", 1536, 16, 1_151_879_680, "alsamkary2025ankh3"),
    _ankh("ankh3_xl", "ankh3-xl", 2560, 32, 3_490_000_000, "alsamkary2025ankh3"),
    Card(
        name="prott5_xl_u50",
        family="t5",
        layers=24,
        dim=1024,
        heads=32,
        parameters=1_208_141_824,
        max_length=None,
        training_data="BFD, then UniRef50",
        licence="MIT",
        source="Rostlab/prot_t5_xl_half_uniref50-enc",
        citation="elnaggar2022prottrans",
        aliases=("prot_t5_xl_uniref50", "prot_t5_xl_half_uniref50-enc"),
        revision=_REVISIONS["prot_t5_xl_half_uniref50-enc"],
        read_as_x="UZOB",
        lacks=("pseudo-likelihood", "generation"),  # the repository holds the encoder alone
    ),
)
CARDS: dict[str, Card] = {card.name: card for card in _PUBLISHED}


def all_cards() -> dict[str, Card]:
    """The cards of the published models and of the bundled ones, by name, bundled first."""
    bundled = {card.name: card for card in bundled_cards()}
    return bundled | {name: card for name, card in CARDS.items() if name not in bundled}


def card(name: str) -> Card:
    """The card of a model by its name or an alias (`embedded`: the bundled model).

    Parameters
    ----------
    name : str

    Returns
    -------
    Card

    Raises
    ------
    InputError
        If no single model is called so; the message lists the valid names, the nearest first.

    Examples
    --------
    >>> card("esm2_650M").name
    'esm2_t33_650M_UR50D'
    >>> card("ankh_bass")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: model 'ankh_bass': unknown; did you mean 'ankh_base'...
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

    Returns
    -------
    list of str
        In the order given, each name once.

    Raises
    ------
    InputError
        If a name is unknown, or none is given.

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
    """The cards in `data/models/*.json`, sorted by name; none where the folder is absent.

    A file holds the fields of `Card` (those that have a default, and `citation`, may be missing); what else it holds
    are facts about the training.
    """
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
        The fields of its `Card` and its `capabilities`; for a bundled model everything in `data/models/NAME.json`,
        among it `config` (how it was trained), `corpus` (on what), `evaluation` (how it fared in the tests of the book)
        and `limits`.

    Raises
    ------
    InputError
        As `card`.
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
    rows = [("NAME", "FAMILY", "PARAMETERS", "LAYERS", "DIM", "LONGEST", "LICENCE", "SCORES", "WEIGHTS")]
    for card in all_cards().values():
        if not card.runnable:
            here = "no adapter"
        else:
            here = "bundled" if card.bundled else "here" if weights_path(card) else "to be fetched"
        size = f"{card.parameters / 1e6:,.0f} M" if card.parameters >= 1e7 else f"{card.parameters / 1e6:.1f} M"
        scores = "yes" if card.can("log-probabilities") else "by sentinel" if card.can("pseudo-likelihood") else "no"
        sizes = (size, str(card.layers), str(card.dim), str(card.max_length or "any"))
        rows.append((card.name, card.family, *sizes, card.licence, scores, here))
    return rows
