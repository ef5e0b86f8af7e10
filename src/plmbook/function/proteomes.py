"""Proteins with their GO annotations: the bundled sample or, for larger profiles, whole proteomes."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from plmbook import sources, tables
from plmbook.core import paths
from plmbook.core.artifacts import file_sha256, sha256, write_json, write_parquet
from plmbook.core.errors import InputError, one_of
from plmbook.function import ontology, splits
from plmbook.function.classifier import common_terms
from plmbook.function.ontology import Ontology
from plmbook.sources import goa, uniprot
from plmbook.tables import bundled

COLUMN = "goa"  # of the annotations: none of those of the bundled table
SAMPLE = ("go_proteins.parquet", "go_annotations.parquet", "go_terms.tsv", "go_relations.tsv")  # the bundled tables
SAYS_LITTLE = ("GO:0005515", "GO:0003674", "GO:0008150", "GO:0005575")  # protein binding, the roots: as in the sample
_COMMONEST = 20  # terms that are learnt
_VERSION = 1  # of what is kept in the cache
_EXCLUSIONS = {"what": "str", "species": "str", "reason": "str", "n": "int64"}  # column -> type


class Collection(NamedTuple):
    """Proteins and what is known of them; the sample has no exclusions, since it was drawn when the data was made."""

    proteins: pd.DataFrame  # as the bundled table `go_proteins`
    annotations: pd.DataFrame  # id, go_id, column: of one collection, direct ones, each once, by primary ids
    terms: pd.DataFrame  # go_id, name, namespace, top20 (bool: among the twenty most common), perhaps others
    ontology: Ontology  # for `ontology.propagate`: that of 2013 for the sample, the one fetched for whole proteomes
    column: str  # the collection of annotations
    files: tuple[Path, ...]  # what all of this was read from
    whole: bool
    exclusions: pd.DataFrame = pd.DataFrame(columns=list(_EXCLUSIONS)).astype(_EXCLUSIONS)  # what: protein, annotation
    releases: Mapping[str, str] = MappingProxyType({})  # go: that of `ontology`; names (of terms), or a GAF a species


def load(column: str, *, whole: bool = False, method: str = "mmseqs") -> Collection:
    """The bundled sample of proteins, or whole proteomes, which are compiled once and kept in the cache folder.

    Parameters
    ----------
    column : str
        Collection of annotations of the bundled table; whole proteomes have one, "goa".
    whole : bool
        The proteomes of all rows of `go_species`, of any length, in `cache/proteomes/<key>`: the key is made of the
        fetched files, so that another release is compiled anew.
    method : {"mmseqs", "kmer"}
        How relatives are found, as in `splits.with_homology`.

    Returns
    -------
    Collection

    Raises
    ------
    InputError
        If the bundled table has no such collection, or as `compile_proteomes`.
    """
    if whole:
        return _compiled_once(method)
    one_of("column", column, bundled.GO_COLUMNS)
    terms, pairs = tables.load("go_terms"), tables.load("go_annotations")
    files = tuple(paths.data() / file for file in SAMPLE)
    graph = ontology.read_relations(terms)
    releases = {"go": graph.release, "names": ", ".join(sorted(set(terms["release"])))}
    pairs = pairs[pairs["column"] == column]
    return Collection(tables.load("go_proteins"), pairs, terms, graph, column, files, False, releases=releases)


def _compiled_once(method: str) -> Collection:
    """Whole proteomes from the cache, compiled where they are not there."""
    species, obo = tables.load("go_species"), sources.fetch("go")
    fetched = [obo]
    for row in species.itertuples():
        fetched += [sources.fetch("uniprot-go", row.proteome), sources.fetch("goa", row.annotations)]
    files, names = [file_sha256(path) for path in fetched], species["species"].tolist()
    of: dict[str, Any] = {"files": files, "species": names, "evidence": goa.CAFA, "method": method, "version": _VERSION}
    folder = paths.cache() / "proteomes" / sha256(json.dumps(of))[:16]
    proteins, annotations = folder / "proteins.parquet", folder / "annotations.parquet"
    about = folder / "about.json"  # written last: without it a compilation was cut short
    if not about.exists():
        made = compile_proteomes(species, method=method)
        write_parquet(proteins, made.proteins)
        write_parquet(annotations, made.annotations)
        write_json(about, of | {"releases": made.releases, "exclusions": made.exclusions.to_dict("records")})
    said = json.loads(about.read_text(encoding="utf-8"))
    table, pairs = tables.read_table(proteins, tables.schema_of("go_proteins")), pd.read_parquet(annotations)
    read = proteins, annotations, obo
    return _whole(table, pairs, ontology.read_obo(obo), read, said["exclusions"], said["releases"])


def compile_proteomes(species: pd.DataFrame, *, method: str = "mmseqs") -> Collection:
    """Fetch the proteins and annotations of the rows of `go_species`, and make of them what the bundled tables are.
    Invariant: every annotation is of a protein in the table, with a term of the ontology that is not obsolete and
    evidence that CAFA counts; all else is counted in `exclusions`."""
    tables.check(species, tables.schema_of("go_species"), where="species")
    graph = ontology.read_obo(sources.fetch("go"))
    proteins, pairs, left_out, releases = [], [], [], {"go": graph.release}
    for row in species.itertuples():
        found = goa.read_gaf(sources.fetch("goa", row.annotations), evidence=goa.CAFA)
        releases[row.species] = found.header.get("date-generated") or found.header.get("generated") or "not stated"
        table = uniprot.read_tsv(sources.fetch("uniprot-go", row.proteome)).assign(species=row.species)
        here = found.annotations["id"].isin(table["id"])
        direct, reasons = _direct(found.annotations[here], graph)
        reasons = [*found.exclusions.itertuples(index=False, name=None), ("protein not in the table", (~here).sum()),
                   *reasons]  # fmt: skip
        annotated = table["id"].isin(direct["id"])
        left_out += [("annotation", row.species, *each) for each in reasons]
        left_out.append(("protein", row.species, "no annotation that counts", (~annotated).sum()))
        proteins.append(table[annotated])
        pairs.append(direct)
    table = pd.concat(proteins, ignore_index=True)
    if not len(table):
        raise InputError(f"{', '.join(species['species'])}: no protein has an annotation that counts")
    table = splits.with_homology(table, method=method)
    schema = tables.schema_of("go_proteins")
    table = tables.check(table[list(schema.names)], schema, where="proteomes")
    annotations = pd.concat(pairs, ignore_index=True).assign(column=COLUMN)
    return _whole(table, annotations, graph, (), [each for each in left_out if each[3]], releases)


def _direct(rows: pd.DataFrame, graph: Ontology) -> tuple[pd.DataFrame, list[tuple[str, int]]]:
    """Each pair once by primary ids, and why others are left out with their number."""
    live = set(graph.terms.loc[~graph.terms["obsolete"], "go_id"])
    primary = rows["go_id"].map(graph.primary)
    pairs = rows.assign(go_id=primary)[primary.isin(live)][["id", "go_id"]]
    unknown, obsolete = int(primary.isna().sum()), int((primary.notna() & ~primary.isin(live)).sum())
    pairs = pairs.drop_duplicates().sort_values(["id", "go_id"], ignore_index=True)
    return pairs, [(ontology.MISSING, unknown), (ontology.OBSOLETE, obsolete)]


def _whole(proteins, annotations, graph: Ontology, files, exclusions, releases) -> Collection:
    """With every id of the ontology, its name and namespace, and which are the most common."""
    exclusions = pd.DataFrame(exclusions, columns=list(_EXCLUSIONS)).astype(_EXCLUSIONS)
    commonest = common_terms(annotations[~annotations["go_id"].isin(SAYS_LITTLE)], _COMMONEST)
    primary = pd.DataFrame(graph.primary.items(), columns=["go_id", "primary"], dtype="str")
    named = graph.terms[["go_id", "name", "namespace"]].rename(columns={"go_id": "primary"})
    terms = primary.merge(named, on="primary").drop(columns="primary").sort_values("go_id", ignore_index=True)
    terms["top20"] = terms["go_id"].isin(commonest)
    return Collection(proteins, annotations, terms, graph, COLUMN, files, True, exclusions, releases)
