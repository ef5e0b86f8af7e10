"""Whole proteomes with their GO annotations, from UniProt and GOA: for the larger profiles, instead of the sample.

`load` gives either, for the chapters that can read both.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from plmbook import sources, tables
from plmbook.core import paths
from plmbook.core.artifacts import file_sha256, sha256, write_json, write_parquet
from plmbook.core.errors import InputError, did_you_mean
from plmbook.function import ontology, splits
from plmbook.sources import goa, uniprot
from plmbook.tables import bundled

COLUMN = "goa"  # of the annotations: none of those of the bundled table
SAMPLE = ("go_proteins.parquet", "go_annotations.parquet", "go_terms.tsv", "go_relations.tsv")  # the bundled tables
COMMONEST = 20  # terms that are learnt
SAYS_LITTLE = ("GO:0005515", "GO:0003674", "GO:0008150", "GO:0005575")  # protein binding, the roots: as in the sample
VERSION = 1  # of what is kept in the cache
EXCLUSIONS = {"what": "str", "species": "str", "reason": "str", "n": "int64"}  # column -> type


class Proteomes(NamedTuple):
    """What `compile_proteomes` gives.

    Attributes
    ----------
    proteins : DataFrame
        As the bundled table `go_proteins`.
    annotations : DataFrame
        `id`, `go_id`, `column` ("goa"): direct ones, each once, by primary ids; `plmbook.function.ontology.propagate`
        adds the ancestors.
    exclusions : DataFrame
        `what` ("protein" or "annotation"), `species`, `reason`, `n` (int64, proteins or annotations).
    ontology : Ontology
    releases : dict of str
        Of the ontology, and of each species' GAF file.
    """

    proteins: pd.DataFrame
    annotations: pd.DataFrame
    exclusions: pd.DataFrame
    ontology: ontology.Ontology
    releases: dict[str, str]


class Known(NamedTuple):
    """Proteins and what is known of them: the bundled sample, or whole proteomes.

    Attributes
    ----------
    proteins : DataFrame
        As the bundled table `go_proteins`.
    annotations : DataFrame
        `id`, `go_id`, `column`: of one collection, direct ones.
    terms : DataFrame
        `go_id`, `name`, `namespace` (str), `top20` (bool: among the twenty most common), perhaps others.
    ontology : Ontology
        For `plmbook.function.ontology.propagate`: that of 2013 for the sample, the one fetched for whole proteomes.
    column : str
        The collection.
    files : tuple of Path
        What all of this was read from.
    whole : bool
    exclusions : DataFrame
        As those of `Proteomes`. Of the sample there are none: it was drawn when the data was made, and `data/README.md`
        says how.
    releases : mapping of str to str
        "go": the ontology that propagates. With it, of whole proteomes each species' GAF file; of the sample "names",
        the release that the names of the terms are from.
    """

    proteins: pd.DataFrame
    annotations: pd.DataFrame
    terms: pd.DataFrame
    ontology: ontology.Ontology
    column: str
    files: tuple[Path, ...]
    whole: bool
    exclusions: pd.DataFrame = pd.DataFrame(columns=list(EXCLUSIONS)).astype(EXCLUSIONS)
    releases: Mapping[str, str] = MappingProxyType({})


def load(column: str, *, whole: bool = False, method: str = "mmseqs", threads: int = 1) -> Known:
    """The bundled sample of proteins, or whole proteomes, which are compiled once and kept in the cache folder.

    Parameters
    ----------
    column : str
        Collection of annotations of the bundled table; whole proteomes have one, "goa".
    whole : bool
        The proteomes of all rows of `go_species`, of any length, in `cache/proteomes/<key>`: the key is made of the
        fetched files, so that another release is compiled anew.
    method, threads
        As in `compile_proteomes`.

    Returns
    -------
    Known

    Raises
    ------
    InputError
        If the bundled table has no such collection, or as `compile_proteomes`.
    """
    if not whole:
        if column not in bundled.GO_COLUMNS:
            hint = did_you_mean(column, bundled.GO_COLUMNS)
            raise InputError(f"column {column!r}: expected one of {', '.join(bundled.GO_COLUMNS)}{hint}")
        terms, pairs = tables.load("go_terms"), tables.load("go_annotations")
        files = tuple(paths.data() / file for file in SAMPLE)
        proteins, pairs = tables.load("go_proteins"), pairs[pairs["column"] == column]
        graph = ontology.read_relations(terms)
        releases = {"go": graph.release, "names": ", ".join(sorted(set(terms["release"])))}
        return Known(proteins, pairs, terms, graph, column, files, False, releases=releases)
    proteins_file, annotations_file, about = _kept(method, threads)
    obo = sources.fetch("go")
    graph = ontology.read_obo(obo)
    proteins = tables.read_table(proteins_file, tables.schema_of("go_proteins"))
    annotations = pd.read_parquet(annotations_file)
    terms = _terms(graph, annotations)
    said = json.loads(about.read_text(encoding="utf-8"))
    exclusions = pd.DataFrame(said["exclusions"], columns=list(EXCLUSIONS)).astype(EXCLUSIONS)
    files = proteins_file, annotations_file, obo
    return Known(proteins, annotations, terms, graph, COLUMN, files, True, exclusions, said["releases"])


def _kept(method: str, threads: int) -> tuple[Path, Path, Path]:
    """The files in the cache of proteins, annotations and what was left out, compiled where they are not there."""
    species = tables.load("go_species")
    fetched = [sources.fetch("go")]
    for row in species.itertuples():
        fetched += [sources.fetch("uniprot-go", row.proteome), sources.fetch("goa", row.annotations)]
    of = {"files": [file_sha256(path) for path in fetched], "species": species["species"].tolist()}
    of |= {"evidence": goa.CAFA, "method": method, "version": VERSION}
    key = sha256(json.dumps(of))
    folder = paths.cache() / "proteomes" / key[:16]
    places = folder / "proteins.parquet", folder / "annotations.parquet"
    about = folder / "about.json"  # written last: without it a compilation was cut short
    if not about.exists():
        made = compile_proteomes(method=method, threads=threads)
        for place, table in zip(places, (made.proteins, made.annotations), strict=True):
            write_parquet(place, table)
        said = of | {"releases": made.releases, "exclusions": made.exclusions.to_dict("records")}
        write_json(about, said)
    return *places, about


def _terms(graph: ontology.Ontology, annotations: pd.DataFrame) -> pd.DataFrame:
    """Every id of the ontology with name and namespace, and which are the most common; ties by id."""
    primary = pd.Series(graph.primary)
    named = graph.terms.set_index("go_id").loc[primary, ["name", "namespace"]].reset_index(drop=True)
    counts = annotations.loc[~annotations["go_id"].isin(SAYS_LITTLE), "go_id"].value_counts().sort_index()
    commonest = counts.sort_values(ascending=False, kind="stable").index[:COMMONEST]
    found = named.assign(go_id=primary.index, top20=primary.index.isin(commonest))
    return found[["go_id", "name", "namespace", "top20"]].sort_values("go_id", ignore_index=True)


def compile_proteomes(
    species: Sequence[str] | None = None,
    *,
    known: pd.DataFrame | None = None,
    evidence: tuple[str, ...] = goa.CAFA,
    longest: int | None = None,
    method: str = "mmseqs",
    threads: int = 1,
) -> Proteomes:
    """Fetch the proteins and annotations of some species and make of them what the bundled tables are.

    Parameters
    ----------
    species : sequence of str, optional
        Of the column of that name in `known`; default: all of them.
    known : DataFrame, optional
        As `go_species`, the default: one more species is one more row.
    evidence : tuple of str
        Codes that count; () for all.
    longest : int, optional
        Residues; longer proteins are left out and counted.
    method : {"mmseqs", "kmer"}
        As `splits.with_homology`.
    threads : int

    Returns
    -------
    Proteomes

    Raises
    ------
    InputError
        If a species is not known, a source cannot be had or read, an accession is in two species, or nothing is left.

    Notes
    -----
    Invariant: every annotation is of a protein in the table, with a term of the ontology that is not obsolete; all else
    is counted in `exclusions`.
    """
    known = (
        tables.load("go_species")
        if known is None
        else tables.check(known, tables.schema_of("go_species"), where="species")
    )
    by_name = known.set_index("species")
    names = list(by_name.index) if species is None else list(species)
    for name in names:
        if name not in by_name.index:
            hint = did_you_mean(name, by_name.index)
            raise InputError(
                f"species {name!r}: expected one of {', '.join(by_name.index)}{hint}; add a row to go_species"
            )
    graph = ontology.read_obo(sources.fetch("go"))
    proteins, pairs, left_out, releases = [], [], [], {"go": graph.release}
    for name in names:
        row = by_name.loc[name]
        table = uniprot.read_tsv(sources.fetch("uniprot-go", row["proteome"])).assign(species=name)
        long = table["length"] > longest if longest else pd.Series(False, index=table.index)
        left_out.append(("protein", name, f"over {longest} residues", int(long.sum())))
        table = table[~long]
        found = goa.read_gaf(sources.fetch("goa", row["annotations"]), evidence=evidence)
        releases[name] = found.header.get("date-generated") or found.header.get("generated") or "not stated"
        here = found.annotations["id"].isin(table["id"])
        left_out += [("annotation", name, *each) for each in found.exclusions.itertuples(index=False, name=None)]
        left_out.append(("annotation", name, "protein not in the table", int((~here).sum())))
        direct, reasons = _direct(found.annotations[here], graph)
        left_out += [("annotation", name, *each) for each in reasons]
        annotated = table["id"].isin(direct["id"])
        left_out.append(("protein", name, "no annotation that counts", int((~annotated).sum())))
        proteins.append(table[annotated])
        pairs.append(direct)
    table = pd.concat(proteins, ignore_index=True)
    if not len(table):
        raise InputError(f"{', '.join(names)}: no protein has an annotation that counts; see evidence and longest")
    table = splits.with_homology(table, method=method, threads=threads)
    table = tables.check(
        table[list(tables.schema_of("go_proteins").names)], tables.schema_of("go_proteins"), where="proteomes"
    )
    exclusions = pd.DataFrame(left_out, columns=list(EXCLUSIONS)).astype(EXCLUSIONS)
    annotations = pd.concat(pairs, ignore_index=True).assign(column=COLUMN)
    return Proteomes(table, annotations, exclusions[exclusions["n"] > 0].reset_index(drop=True), graph, releases)


def _direct(rows: pd.DataFrame, graph: ontology.Ontology) -> tuple[pd.DataFrame, list[tuple[str, int]]]:
    """Each pair once by primary ids, and why others are left out with their number."""
    live = set(graph.terms.loc[~graph.terms["obsolete"], "go_id"])
    primary = rows["go_id"].map(graph.primary)
    pairs = rows.assign(go_id=primary)[primary.isin(live)][["id", "go_id"]]
    unknown, obsolete = int(primary.isna().sum()), int((primary.notna() & ~primary.isin(live)).sum())
    kept = pairs.drop_duplicates().sort_values(["id", "go_id"], ignore_index=True)
    return kept, [(ontology.MISSING, unknown), (ontology.OBSOLETE, obsolete)]
