"""The Gene Ontology: its terms and relations, and what follows from them for annotations (the true-path rule).

Only relations inside a namespace count, `is_a` and `part_of` unless others are asked for.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.text import open_text

RELATIONS = ("is_a", "part_of")
_TERM_COLUMNS = ("go_id", "name", "namespace", "obsolete", "replaced_by", "alternatives")
RELEASE_2013 = "2013 (relations of CAFA2)"
MISSING = "no such term"
OBSOLETE = "obsolete"


@dataclass(frozen=True)
class Ontology:
    """Terms and the relations between them; checked when it is made (an InputError names what does not fit)."""

    terms: pd.DataFrame  # _TERM_COLUMNS: replaced_by is an id or "", alternatives a tuple of other ids of the term
    relations: pd.DataFrame  # child, parent (go_id), relation (such as is_a or part_of)
    release: str  # of the ontology, as its file says

    def __post_init__(self) -> None:
        for table, names in ((self.terms, _TERM_COLUMNS), (self.relations, tables.schema_of("go_relations").names)):
            if missing := [name for name in names if name not in table]:
                raise InputError(f"ontology {self.release}: no column {missing[0]!r}; found {', '.join(table)}")
        ids = pd.Series([*self.terms["go_id"], *(other for each in self.terms["alternatives"] for other in each)])
        if (repeated := ids.duplicated()).any():
            raise InputError(f"ontology {self.release}: {ids[repeated].iloc[0]} names two terms; expected one")
        known = set(self.terms["go_id"])
        for end in ("child", "parent"):
            if len(unknown := self.relations.loc[~self.relations[end].isin(known), end]):
                raise InputError(
                    f"ontology {self.release}: {end} {unknown.iloc[0]} of a relation is no term ({len(unknown)} such)"
                )
        _in_order(self.relations[self.relations["relation"].isin(RELATIONS)])  # others (has_part) may well be circular

    @property
    def primary(self) -> dict[str, str]:
        """Every id, alternative ones too -> the id of its term."""
        others = self.terms.explode("alternatives").dropna(subset="alternatives")
        return dict(zip(others["alternatives"], others["go_id"], strict=True)) | {t: t for t in self.terms["go_id"]}

    def parents(self, relations: Sequence[str] = RELATIONS) -> dict[str, tuple[str, ...]]:
        """Every term that is not obsolete, parents first -> its parents in the same namespace, sorted."""
        namespace = self.terms.set_index("go_id")["namespace"]
        rows = self.relations[self.relations["relation"].isin(relations)]
        rows = rows[namespace.loc[rows["child"]].to_numpy() == namespace.loc[rows["parent"]].to_numpy()]
        found = rows.groupby("child")["parent"].agg(lambda parents: tuple(sorted(set(parents)))).to_dict()
        live = dict.fromkeys(self.terms.loc[~self.terms["obsolete"], "go_id"])
        related = [term for term in _in_order(rows) if term in live]
        return {term: found.get(term, ()) for term in dict.fromkeys([*related, *live])}

    def ancestors(self, relations: Sequence[str] = RELATIONS) -> dict[str, frozenset[str]]:
        """Term -> all its ancestors in the same namespace, itself not among them."""
        found: dict[str, frozenset[str]] = {}
        for term, parents in self.parents(relations).items():
            found[term] = frozenset(parents).union(*(found[parent] for parent in parents))
        return found


class Propagated(NamedTuple):
    """What `propagate` gives."""

    annotations: pd.DataFrame  # id, go_id (str), each pair once, sorted: primary ids of given terms, and all ancestors
    exclusions: pd.DataFrame  # a row a term: go_id, reason (str), n_annotations, n_proteins (int64) that were left out
    n_alternative: int  # annotations that were mapped from an alternative id to the primary one


def read_obo(path: str | Path) -> Ontology:
    """Read an OBO file, such as `go-basic.obo`.

    Parameters
    ----------
    path : path
        Plain or gzip; OBO 1.2 or 1.4.

    Returns
    -------
    Ontology
        With the obsolete terms; `release` is the file's `data-version`.

    Raises
    ------
    InputError
        If the file is missing, is no OBO file, or its terms and relations do not fit each other.
    """
    import obonet

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an OBO file, such as go-basic.obo")
    logging.disable(logging.WARNING)  # obonet warns of headers that we do not read
    try:
        with open_text(path) as handle:
            graph = obonet.read_obo(handle, ignore_obsolete=False)
    except InputError:
        raise
    except (ValueError, OSError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as OBO ({error or type(error).__name__})") from None
    finally:
        logging.disable(logging.NOTSET)
    stanzas = {term: stanza for term, stanza in graph.nodes(data=True) if "name" in stanza}
    if not stanzas:
        raise InputError(f"{path}: expected the terms of an ontology in OBO, found none")
    default = graph.graph.get("default-namespace", [""])
    rows = [
        (
            term,
            stanza["name"],
            stanza.get("namespace", default[0] if isinstance(default, list) else default),
            stanza.get("is_obsolete") == "true",
            next(iter(stanza.get("replaced_by", ())), ""),
            tuple(sorted(stanza.get("alt_id", ()))),
        )
        for term, stanza in stanzas.items()
    ]
    edges = [(child, parent, relation) for child, parent, relation in graph.edges(keys=True)]
    relations = pd.DataFrame(edges, columns=list(tables.schema_of("go_relations").names), dtype="str")
    terms = pd.DataFrame(rows, columns=list(_TERM_COLUMNS)).sort_values("go_id", ignore_index=True)
    release = graph.graph.get("data-version", "not stated")
    return Ontology(terms, relations.sort_values(["child", "parent", "relation"], ignore_index=True), release)


def read_relations(terms: pd.DataFrame | None = None, relations: pd.DataFrame | None = None) -> Ontology:
    """The ontology of 2013 of the bundled tables, `go_terms` and `go_relations`; `lost_terms` are those that it lacks.
    The tables say nothing of obsolete terms or alternative ids."""
    terms = tables.load("go_terms") if terms is None else terms
    relations = tables.load("go_relations") if relations is None else relations
    known = terms.loc[terms["in_2013"], ["go_id", "name", "namespace"]].reset_index(drop=True)
    known = known.assign(obsolete=False, replaced_by="", alternatives=[()] * len(known))
    return Ontology(known, relations, RELEASE_2013)


def lost_terms(terms: pd.DataFrame | None = None) -> pd.DataFrame:
    """The terms of the annotations that the relations of 2013 do not know: they have no ancestors here.
    go_id, name, namespace, n_human, n_mouse (int64, proteins of the whole set), the most common first."""
    terms = tables.load("go_terms") if terms is None else terms
    lost = terms[~terms["in_2013"]].assign(n=lambda table: table["n_human"] + table["n_mouse"])
    lost = lost.sort_values(["n", "go_id"], ascending=[False, True], ignore_index=True)
    return lost[["go_id", "name", "namespace", "n_human", "n_mouse"]]


def propagate(annotations: pd.DataFrame, ontology: Ontology, relations: Sequence[str] = RELATIONS) -> Propagated:
    """Give each protein the ancestors of its terms; to do so twice changes nothing.

    Parameters
    ----------
    annotations : DataFrame
        `id`, `go_id` (str), a row an annotation; a pair may repeat, other columns are ignored.
    ontology : Ontology
    relations : sequence of str
        Along which annotations go up, inside a namespace.

    Returns
    -------
    Propagated
        annotations : `id`, `go_id` (str), each pair once, sorted: the terms by their primary ids, and all ancestors.
        exclusions : a row a term that was left out: `go_id`, `reason` ("no such term", "obsolete", "obsolete; replaced
        by GO:..."), `n_annotations`, `n_proteins` (int64).
        n_alternative : annotations that were mapped from an alternative id to the primary one.

    Raises
    ------
    InputError
        If a column is missing, or the ontology has none of the relations.
    """
    for name in ("id", "go_id"):
        if name not in annotations:
            raise InputError(f"annotations: no column {name!r}; found {', '.join(map(str, annotations))}")
    found = set(ontology.relations["relation"])
    if len(ontology.relations) and not found & set(relations):
        raise InputError(f"relations {', '.join(relations)}: the ontology has {', '.join(sorted(found))}")
    given = annotations[["id", "go_id"]].reset_index(drop=True).astype("str")
    primary = given["go_id"].map(ontology.primary)
    dead = ontology.terms[ontology.terms["obsolete"]].set_index("go_id")["replaced_by"]
    reason = primary.map({term: f"{OBSOLETE}; replaced by {to}" if to else OBSOLETE for term, to in dead.items()})
    reason = reason.astype(object).where(primary.notna(), MISSING)
    live = reason.isna()
    pairs = given[live].assign(go_id=primary[live]).drop_duplicates()
    ancestors = ontology.ancestors(relations)
    pairs["go_id"] = pairs["go_id"].map({term: [term, *ancestors[term]] for term in pairs["go_id"].unique()})
    full = pairs.explode("go_id").astype("str").drop_duplicates().sort_values(["id", "go_id"], ignore_index=True)
    left_out = given[~live].assign(reason=reason[~live].astype("str")).groupby(["go_id", "reason"])["id"]
    exclusions = left_out.agg(n_annotations="size", n_proteins="nunique").reset_index()
    return Propagated(full, exclusions, int((live & (given["go_id"] != primary)).sum()))


def violations(annotations: pd.DataFrame, ontology: Ontology, relations: Sequence[str] = RELATIONS) -> pd.DataFrame:
    """Where annotations lack an ancestor (of propagated ones, nowhere), a row a child and its parent, the largest
    first: child, parent, n_proteins (int64, have the child), n_lacking (of those, lack the parent)."""
    holders = annotations.groupby("go_id")["id"].agg(set).to_dict()
    rows = [
        (child, parent, len(holders[child]), len(holders[child] - holders.get(parent, set())))
        for child, parents in ontology.parents(relations).items()
        if child in holders
        for parent in parents
    ]
    found = pd.DataFrame(rows, columns=["child", "parent", "n_proteins", "n_lacking"])
    return found.sort_values(["n_lacking", "child", "parent"], ascending=[False, True, True], ignore_index=True)


def _in_order(relations: pd.DataFrame) -> list[str]:
    """The terms of the relations, parents before children."""
    parents: dict[str, list[str]] = {}
    for child, parent in zip(relations["child"], relations["parent"], strict=True):
        parents.setdefault(child, []).append(parent)
    try:
        return list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        raise InputError(
            f"relations: a cycle, {' -> '.join(error.args[1])}; a term cannot be its own ancestor"
        ) from None
