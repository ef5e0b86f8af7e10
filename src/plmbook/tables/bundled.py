"""The bundled tables: a schema for each, from `bundled.yml`, and the rules about their rows that all analyses share."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.kmers import kmer_counts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models.cards import card
from plmbook.tables.readers import read_table
from plmbook.tables.schema import Column, Schema

SEED = 20220917  # the date of the ClinVar release


def _description(name: str) -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))


_DESCRIPTION, _RESULTS = _description("bundled.yml"), _description("results.yml")
_VOCABULARIES = {name: tuple(words) for name, words in _DESCRIPTION.pop("vocabularies").items()}
_VOCABULARIES["amino acids"] = tuple(AMINO_ACIDS)
SIGNIFICANCES = _VOCABULARIES["significances"]
LABELLED = SIGNIFICANCES[:2]
SPLITS = _VOCABULARIES["splits"]
KINGDOMS, LOCALISATIONS = _VOCABULARIES["kingdoms"], _VOCABULARIES["localisations"]
NAMESPACES, GO_COLUMNS = _VOCABULARIES["namespaces"], _VOCABULARIES["collections"]

_RULES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "length is the number of residues of sequence": lambda table: table["length"] == table["sequence"].str.len(),
    "mutation is ref, position and alt": lambda table: (
        table["mutation"] == table["ref"] + table["position"].astype(str) + table["alt"]
    ),
    "ref and alt differ": lambda table: table["ref"] != table["alt"],
    "mismatch_reason is given where matches is False, and only there": lambda table: (
        table["matches"] == (table["mismatch_reason"] == "")
    ),
    "value lies between low and high": lambda table: table["value"].between(table["low"], table["high"]),
    "n_mutations is the number of mutations": lambda table: (
        table["n_mutations"] == table["mutations"].str.count("[0-9]+")
    ),
    "cath is four numbers joined by dots": lambda table: table["cath"].str.fullmatch(r"[1-9]\d*(\.[1-9]\d*){3}"),
    "ca_x, ca_y and ca_z are there together": lambda table: (
        table[["ca_x", "ca_y", "ca_z"]].isna().sum(axis=1).isin([0, 3])
    ),
}


def _rule(statement: str) -> tuple[str, Callable[[pd.DataFrame], pd.Series]]:
    """A statement of `bundled.yml` with the function that checks it."""
    letters = re.fullmatch(r"(\w+) has one of (\w+) for each residue( or is empty)?", statement)
    if letters is None:
        return statement, _RULES[statement]
    name, allowed, or_empty = letters.groups()

    def holds(table: pd.DataFrame) -> pd.Series:
        fits = table[name].str.fullmatch(f"[{allowed}]+") & (table[name].str.len() == table["sequence"].str.len())
        return fits | (table[name] == "") if or_empty else fits

    return statement, holds


def _columns(described: dict[str, dict[str, Any]]) -> Iterator[Column]:
    """The columns of a table; `amino acids` stands for one of each letter, in the order of `AMINO_ACIDS`."""
    for name, facts in described.items():
        allowed = facts.get("allowed", ())
        facts = facts | {"allowed": _VOCABULARIES[allowed] if isinstance(allowed, str) else tuple(allowed)}
        for each in AMINO_ACIDS if name == "amino acids" else (name,):
            yield Column(each, **facts)


def _schema(name: str, facts: dict[str, Any]) -> Schema:
    rules = tuple(_rule(statement) for statement in facts.get("rules", ()))
    return Schema(facts.get("title", name), tuple(_columns(facts["columns"])), key=tuple(facts["key"]), rules=rules)


BUNDLED: dict[str, tuple[str, Schema]] = {
    name: (facts["file"], _schema(name, facts)) for name, facts in _DESCRIPTION.items()
}
"""File and schema of each bundled table, by its logical name."""


RESULTS: dict[str, Schema] = {name: _schema(name, facts) for name, facts in _RESULTS.items()}
"""The schemas of result tables that others read."""


def schema_of(name: str) -> Schema:
    """The schema of a bundled table or of a result table."""
    return RESULTS[name] if name in RESULTS else BUNDLED[name][1]


def load(name: str) -> pd.DataFrame:
    """Read a bundled table by its logical name, checked against its schema (`bundled.yml`).

    Parameters
    ----------
    name : str
        A key of `BUNDLED`, such as genes or variants.

    Returns
    -------
    DataFrame
        The columns of the schema, then any others, with a fresh integer index.

    >>> load("genome")
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: no bundled table 'genome'; expected one of ...; did you mean 'genes'?
    """
    if name not in BUNDLED:
        raise InputError(
            f"no bundled table {name!r}; expected one of {', '.join(BUNDLED)}{did_you_mean(name, BUNDLED)}"
        )
    file, schema = BUNDLED[name]
    return read_table(paths.data() / file, schema)


def residue_frequencies() -> list[float]:
    """Frequencies of `AMINO_ACIDS` in the training corpus of the bundled model, from its card's JSON."""
    path = paths.data() / "models" / f"{card('embedded').name}.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "residue_frequencies" not in facts:
        raise InputError(f"{path}: expected residue_frequencies, 20 numbers in the order of AMINO_ACIDS, found none")
    return [float(value) for value in facts["residue_frequencies"]]


def read_in_training(table: str) -> set[str]:
    """The proteins of a bundled test that the tests of unseen families leave out, for every model: they share half of
    the shorter sequence at 30 % identity (`data/make/relatives.py`) with one that a model has read."""
    found = load("relatives")
    return set(found["id"][found["table"] == table])


def lies_here(variants: pd.DataFrame) -> pd.Series:
    """Which variants count, everywhere: those whose residue and place are those of the bundled sequence; bool.
    Of another isoform the letter may happen to fit (`matches`), but `aligned_position` says that it lies elsewhere."""
    return variants["matches"] & (variants["aligned_position"] == variants["position"])


def matching_variants() -> pd.DataFrame:
    """The bundled variants that count (`lies_here`), with a fresh index."""
    variants = load("variants")
    return variants[lies_here(variants)].reset_index(drop=True)


def unlike_genes(proteins: pd.DataFrame) -> list[str]:
    """The `id` of each protein that shares less than a fifth of its 4-mers with each of the 53 genes, whose orthologs
    are most of what the bundled model has read.  Human and mouse proteins share half of them, strangers a hundredth.
    """
    if not (paths.data() / "genes.tsv").is_file():  # an installation may have the models alone
        return []
    words = kmer_counts([*load("genes")["sequence"], *proteins["sequence"]], 4).astype(bool).astype(float)
    genes, own = words[: -len(proteins)], words[-len(proteins) :]
    return proteins["id"][(own @ genes.T).toarray().max(axis=1) < own.sum(axis=1) / 5].tolist()
