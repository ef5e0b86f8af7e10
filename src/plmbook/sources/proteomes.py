"""Whole proteomes with their GO annotations, from UniProt and GOA: for the larger profiles, instead of the sample."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from plmbook import ontology, sources, splits, tables
from plmbook.errors import InputError, did_you_mean
from plmbook.sources import goa, uniprot

COLUMN = "goa"  # of the annotations: none of those of the bundled table


class Proteomes(NamedTuple):
    """What `compile_proteomes` gives.

    Attributes
    ----------
    proteins : DataFrame
        As the bundled table `go_proteins`.
    annotations : DataFrame
        `id`, `go_id`, `column` ("goa"): direct ones, each once, by primary ids; `plmbook.ontology.propagate` adds the
        ancestors.
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
    known = tables.load("go_species") if known is None else tables.check(known, tables.GO_SPECIES, where="species")
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
    table = tables.check(table[list(tables.GO_PROTEINS.names)], tables.GO_PROTEINS, where="proteomes")
    exclusions = pd.DataFrame(left_out, columns=["what", "species", "reason", "n"])
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
