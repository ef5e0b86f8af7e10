"""The Gene Ontology: its terms and relations, and what follows from them for annotations.

A protein that has a term has every ancestor of it (the true-path rule): `propagate` adds them.  Only relations inside a
namespace count, `is_a` and `part_of` unless others are asked for.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.text import open_text

RELATIONS = ("is_a", "part_of")
TERM_COLUMNS = ("go_id", "name", "namespace", "obsolete", "replaced_by", "alternatives")
RELEASE_2013 = "2013 (relations of CAFA2)"
MISSING = "no such term"
OBSOLETE = "obsolete"


@dataclass(frozen=True)
class Ontology:
    """Terms and the relations between them; checked when it is made.

    Attributes
    ----------
    terms : DataFrame
        A row a term: `go_id` (str, distinct), `name` (str), `namespace` (str, one of `bundled.NAMESPACES`), `obsolete`
        (bool), `replaced_by` (str, the term to use instead, or ""), `alternatives` (tuple of str: other ids of it).
    relations : DataFrame
        A row a relation: `child`, `parent` (str, go_id), `relation` (str, such as is_a or part_of).
    release : str
        Of the ontology, as its file says.

    Raises
    ------
    InputError
        If a column is missing, an id repeats, is the alternative of two terms or of one and a term itself, a relation
        names a term that is not there, or is_a and part_of have a cycle.
    """

    terms: pd.DataFrame
    relations: pd.DataFrame
    release: str

    def __post_init__(self) -> None:
        for table, names in ((self.terms, TERM_COLUMNS), (self.relations, tables.schema_of("go_relations").names)):
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
        others = zip(self.terms["alternatives"], self.terms["go_id"], strict=True)
        return {
            **{alternative: term for alternatives, term in others for alternative in alternatives},
            **{term: term for term in self.terms["go_id"]},
        }

    def parents(self, relations: Sequence[str] = RELATIONS) -> dict[str, tuple[str, ...]]:
        """Term -> its parents in the same namespace, sorted; every term that is not obsolete is a key.

        Parameters
        ----------
        relations : sequence of str

        Returns
        -------
        dict
            Parents come before their children.
        """
        namespace = self.terms.set_index("go_id")["namespace"]
        rows = self.relations[self.relations["relation"].isin(relations)]
        same = namespace[rows["child"]].to_numpy() == namespace[rows["parent"]].to_numpy()
        rows = rows[same]
        found = rows.groupby("child")["parent"].agg(lambda parents: tuple(sorted(set(parents)))).to_dict()
        live = dict.fromkeys(self.terms.loc[~self.terms["obsolete"], "go_id"])
        related = [term for term in _in_order(rows) if term in live]
        return {term: found.get(term, ()) for term in dict.fromkeys([*related, *live])}

    def ancestors(self, relations: Sequence[str] = RELATIONS) -> dict[str, frozenset[str]]:
        """Term -> all its ancestors in the same namespace, itself not among them.

        Parameters
        ----------
        relations : sequence of str

        Returns
        -------
        dict
            Invariant: the ancestors of a parent are among those of its child.
        """
        found: dict[str, frozenset[str]] = {}
        for term, parents in self.parents(relations).items():
            found[term] = frozenset(parents).union(*(found[parent] for parent in parents))
        return found


class Propagated(NamedTuple):
    """What `propagate` gives.

    Attributes
    ----------
    annotations : DataFrame
        `id`, `go_id` (str), each pair once, sorted: the given terms by their primary ids, and all their ancestors.
    exclusions : DataFrame
        A row a term that was left out: `go_id`, `reason` ("no such term", "obsolete", "obsolete; replaced by GO:..."),
        `n_annotations` (int64, rows of it that were left out), `n_proteins` (int64, proteins that had it).
    n_alternative : int
        Annotations that were mapped from an alternative id to the primary one.
    """

    annotations: pd.DataFrame
    exclusions: pd.DataFrame
    n_alternative: int


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
    terms = pd.DataFrame(rows, columns=list(TERM_COLUMNS)).sort_values("go_id", ignore_index=True)
    release = graph.graph.get("data-version", "not stated")
    return Ontology(terms, relations.sort_values(["child", "parent", "relation"], ignore_index=True), release)


def read_relations(terms: pd.DataFrame | None = None, relations: pd.DataFrame | None = None) -> Ontology:
    """The ontology of the bundled tables: the relations of 2013 among the terms that occur, and their ancestors.

    Parameters
    ----------
    terms : DataFrame, optional
        As `go_terms`; default: the bundled table.
    relations : DataFrame, optional
        As `go_relations`; default: the bundled table.

    Returns
    -------
    Ontology
        Only the terms that the relations of 2013 know: `lost_terms` names the others.  The tables say nothing of
        obsolete terms or alternative ids.
    """
    terms = tables.load("go_terms") if terms is None else terms
    relations = tables.load("go_relations") if relations is None else relations
    known = terms.loc[terms["in_2013"], ["go_id", "name", "namespace"]].reset_index(drop=True)
    known = known.assign(obsolete=False, replaced_by="", alternatives=[()] * len(known))
    return Ontology(known, relations, RELEASE_2013)


def lost_terms(terms: pd.DataFrame | None = None) -> pd.DataFrame:
    """The terms of the annotations that the relations of 2013 do not know: they have no ancestors here.

    Parameters
    ----------
    terms : DataFrame, optional
        As `go_terms`; default: the bundled table.

    Returns
    -------
    DataFrame
        `go_id`, `name`, `namespace`, `n_human`, `n_mouse` (int64, proteins of the whole set), the most common first.
    """
    terms = tables.load("go_terms") if terms is None else terms
    lost = terms[~terms["in_2013"]].assign(n=lambda table: table["n_human"] + table["n_mouse"])
    lost = lost.sort_values(["n", "go_id"], ascending=[False, True], ignore_index=True)
    return lost[["go_id", "name", "namespace", "n_human", "n_mouse"]]


def propagate(annotations: pd.DataFrame, ontology: Ontology, relations: Sequence[str] = RELATIONS) -> Propagated:
    """Give each protein the ancestors of its terms.

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
        (annotations, exclusions, n_alternative).  Alternative ids are mapped to the primary one; obsolete terms and
        those that the ontology does not have are left out and listed.

    Raises
    ------
    InputError
        If a column is missing, or the ontology has none of the relations.

    Notes
    -----
    Invariant: a protein that has a term has all parents of it, so that in a table of 0 and 1 parent >= child; to
    propagate twice changes nothing.

    Examples
    --------
    >>> names = ["GO:1", "GO:2", "GO:3"]
    >>> terms = pd.DataFrame({"go_id": names, "name": names, "namespace": "cellular_component"})
    >>> terms = terms.assign(obsolete=[False, False, True], replaced_by="", alternatives=[(), ("GO:9",), ()])
    >>> edges = pd.DataFrame({"child": ["GO:2"], "parent": ["GO:1"], "relation": ["is_a"]})
    >>> found = propagate(
    ...     pd.DataFrame({"id": ["a", "a", "b"], "go_id": ["GO:9", "GO:3", "GO:7"]}), Ontology(terms, edges, "toy")
    ... )
    >>> found.annotations.values.tolist(), found.n_alternative
    ([['a', 'GO:1'], ['a', 'GO:2']], 1)
    >>> found.exclusions.values.tolist()
    [['GO:3', 'obsolete', 1, 1], ['GO:7', 'no such term', 1, 1]]
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
    kept = reason.isna()
    pairs = given[kept].assign(go_id=primary[kept]).drop_duplicates()
    ancestors = ontology.ancestors(relations)
    lists = pairs["go_id"].map(lambda term: [term, *ancestors[term]])
    full = pd.DataFrame(
        {
            "id": pairs["id"].repeat(lists.str.len().astype(int)).to_numpy(),
            "go_id": [term for each in lists for term in each],
        },
        dtype="str",
    )
    full = full.drop_duplicates().sort_values(["id", "go_id"], ignore_index=True)
    left_out = given[~kept].assign(reason=reason[~kept].astype("str")).groupby(["go_id", "reason"])["id"]
    exclusions = left_out.agg(n_annotations="size", n_proteins="nunique").reset_index()
    return Propagated(full, exclusions, int((kept & (given["go_id"] != primary)).sum()))


def violations(annotations: pd.DataFrame, ontology: Ontology, relations: Sequence[str] = RELATIONS) -> pd.DataFrame:
    """Where annotations lack an ancestor: how far from propagated they are.

    Parameters
    ----------
    annotations : DataFrame
        `id`, `go_id`.
    ontology : Ontology
    relations : sequence of str

    Returns
    -------
    DataFrame
        A row a child and a parent of it: `child`, `parent`, `n_proteins` (int64, have the child), `n_lacking` (int64,
        of those, lack the parent), sorted by `n_lacking`, largest first.  Propagated annotations lack nothing.
    """
    holders = annotations.groupby("go_id")["id"].agg(set).to_dict()
    rows = [
        (child, parent, len(holders[child]), len(holders[child] - holders.get(parent, set())))
        for child, parents in ontology.parents(relations).items()
        if child in holders
        for parent in parents
    ]
    found = pd.DataFrame(rows, columns=["child", "parent", "n_proteins", "n_lacking"])
    return found.sort_values(["n_lacking", "child", "parent"], ascending=[False, True, True], ignore_index=True)


def information_accretion(
    annotations: pd.DataFrame, ontology: Ontology, relations: Sequence[str] = RELATIONS
) -> pd.Series:
    """How much a term says that its parents do not: -log2 P(term | all its parents), as CAFA counts it.

    Parameters
    ----------
    annotations : DataFrame
        `id`, `go_id`, propagated.
    ontology : Ontology
    relations : sequence of str

    Returns
    -------
    Series of float64
        Bits, from 0, indexed by go_id: every term of the ontology that is not obsolete; name `information_accretion`.
        0 for a root.

    Raises
    ------
    InputError
        If the annotations are not propagated: a protein has a term and not its parent.

    Notes
    -----
    Clark and Radivojac 2013, doi:10.1093/bioinformatics/btt228: P is the share, among the proteins that have all
    parents, of those that have the term.  As in the program of CAFA5 (claradepaolis/InformationAccretion), one protein
    that has every term is added to each count, so that a term without annotations has a finite value.

    Examples
    --------
    >>> terms = pd.DataFrame({"go_id": ["GO:1", "GO:2"], "name": "", "namespace": "molecular_function"})
    >>> terms = terms.assign(obsolete=False, replaced_by="", alternatives=[(), ()])
    >>> toy = Ontology(terms, pd.DataFrame({"child": ["GO:2"], "parent": ["GO:1"], "relation": ["is_a"]}), "toy")
    >>> pairs = pd.DataFrame({"id": list("abcc"), "go_id": ["GO:1", "GO:1", "GO:1", "GO:2"]})
    >>> information_accretion(pairs, toy).to_dict()
    {'GO:1': 0.0, 'GO:2': 1.0}
    """
    lacking = violations(annotations, ontology, relations)
    if len(lacking) and (worst := lacking.iloc[0])["n_lacking"]:
        raise InputError(
            f"annotations: {worst['n_lacking']} proteins have {worst['child']} and not its parent {worst['parent']}; "
            "expected propagated annotations (plmbook.function.ontology.propagate)"
        )
    holders = annotations.groupby("go_id")["id"].agg(set).to_dict()
    nobody: set[str] = set()
    values = {}
    for term, parents in ontology.parents(relations).items():
        with_parents = set.intersection(*(holders.get(parent, nobody) for parent in parents)) if parents else nobody
        with_term = len(holders.get(term, nobody))
        values[term] = float(np.log2((len(with_parents) + 1) / (with_term + 1))) if parents else 0.0
    return pd.Series(values, name="information_accretion", dtype=float).rename_axis("go_id")


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
