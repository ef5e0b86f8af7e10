"""Tables at the door: their schemas, and the readers that refuse a faulty file before any model loads.

Every reader collects the faults of a file and names up to ten of them with their lines, so that one run shows them all.
"""

import contextlib
import csv
import functools
import gzip
import io
import zlib
from array import array
from codecs import getincrementaldecoder
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.residues import AMINO_ACIDS, MutationError, first_fault, join_mutations, parse_mutations

LISTED = 10  # faults that a message lists before it only counts
BLOCK_CHARACTERS = 2**20  # of headers and sequences: what a reader that streams holds at a time
SIGNIFICANCES = ("P/LP", "B/LB", "VUS", "Other")

_ONE_OF_20 = tuple(AMINO_ACIDS)
_MISSING_SHOWN = "an empty cell"


class TableError(InputError):
    """A table that does not fit its schema; the message names the file, the rows, what was expected and found."""


@dataclass(frozen=True)
class Column:
    """One column of a schema.

    Attributes
    ----------
    name : str
    kind : str
        The dtype that `check` gives it: `str`, `int64`, `float64`, `float32`, `bool` or `bytes` (an object column).
    nullable : bool
        Whether a value may be missing: NaN for a float, `""` for a text.
    allowed : tuple of str
        The only values of a text column; empty where any text is right.
    minimum, maximum : float or None
        The range of a number, ends included.
    meaning : str
        What it holds, with its unit.
    """

    name: str
    kind: str
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _EXPECTED:
            raise ValueError(f"column {self.name}: unknown kind {self.kind!r}; expected one of {', '.join(_EXPECTED)}")
        if self.nullable and self.kind in ("int64", "bool", "bytes"):
            raise ValueError(f"column {self.name}: {self.kind} has no missing value")


@dataclass(frozen=True)
class Schema:
    """What a table must look like.

    Attributes
    ----------
    name : str
    columns : tuple of Column
        The columns that must be there; a table may have more, which are carried.
    key : tuple of str
        The columns that together name a row, each combination once; empty where rows may repeat.
    rules : tuple of (str, callable)
        A statement that holds for each row, and the function from the table to a boolean Series of where it holds.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[tuple[str, Callable[[pd.DataFrame], pd.Series]], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


_EXPECTED = {
    "str": "text",
    "int64": "an integer",
    "float64": "a finite number",
    "float32": "a finite number",
    "bool": "True or False",
    "bytes": "bytes",
}


def _length_is_that_of_the_sequence(table: pd.DataFrame) -> pd.Series:
    return table["length"] == table["sequence"].str.len()


def _mutation_is_its_parts(table: pd.DataFrame) -> pd.Series:
    return table["mutation"] == table["ref"] + table["position"].astype(str) + table["alt"]


_LENGTH_RULE = ("length is the number of residues of sequence", _length_is_that_of_the_sequence)

_GENE = Column("gene", "str", meaning="HGNC symbol")
_ID = Column("id", "str", meaning="first word of the FASTA header")
_MUTATION = Column("mutation", "str", meaning="such as R175H, or R175H:N239Y; 1-based")
_POSITION = Column("position", "int64", minimum=1, meaning="1-based residue")
_REF = Column("ref", "str", allowed=_ONE_OF_20, meaning="wild-type residue")
_ALT = Column("alt", "str", allowed=_ONE_OF_20, meaning="residue that replaces it")
_SEQUENCE = Column("sequence", "str", meaning="residues, one letter each")
_LENGTH = Column("length", "int64", minimum=1, meaning="residues")
_COUNT = functools.partial(Column, kind="int64", minimum=0)
_SCORING = (
    Column("model", "str", meaning="name of a model card, or the mean of an ensemble"),
    Column("strategy", "str", meaning="how the score was computed"),
    Column("score", "float64", meaning="natural-log likelihood ratio; negative = damaging"),
)

PROTEINS = Schema("proteins", (_ID, _SEQUENCE, _LENGTH), key=("id",), rules=(_LENGTH_RULE,))
_SEQUENCES = Schema("proteins", (_ID, _SEQUENCE), key=("id",))  # what `read_variants` needs of the proteins
EFFECTS = Schema("effects", (_ID, _MUTATION, *_SCORING), key=("id", "mutation", "model", "strategy"))
PUBLISHED_EFFECTS = Schema(
    "published effects", (_GENE, _MUTATION, *_SCORING), key=("gene", "mutation", "model", "strategy")
)
GENES = Schema(
    "genes",
    (
        _GENE,
        Column("uniprot", "str", meaning="UniProt accession"),
        Column("entry_name", "str", meaning="UniProt entry name"),
        Column("transcript", "str", nullable=True, meaning="multiz100way transcript whose protein is `sequence`"),
        _COUNT("n_species", meaning="rows of the alignment"),
        _LENGTH,
        _SEQUENCE,
    ),
    key=("gene",),
    rules=(_LENGTH_RULE,),
)
VARIANTS = Schema(
    "variants",
    (
        _GENE,
        _MUTATION,
        _POSITION,
        _REF,
        _ALT,
        Column("significance", "str", allowed=SIGNIFICANCES, meaning="ClinVar class"),
        Column("allele_frequency", "float64", nullable=True, minimum=0, maximum=1, meaning="gnomAD; NaN = absent"),
        Column("release", "str", meaning="date of the ClinVar release"),
        Column("transcript", "str", nullable=True, meaning="RefSeq transcript of the HGVS name"),
        Column("matches", "bool", meaning="whether `ref` is the residue of the gene's sequence"),
        Column("mismatch_reason", "str", nullable=True, meaning="why it is not"),
        Column("aligned_position", "int64", minimum=0, meaning="its place in the gene's sequence; 0: nowhere"),
        Column("stated", "str", meaning="ClinVar's own class, alleles joined by +"),
    ),
    key=("gene", "mutation"),
    rules=(
        ("mutation is ref, position and alt", _mutation_is_its_parts),
        ("ref and alt differ", lambda table: table["ref"] != table["alt"]),
        (
            "mismatch_reason is given where matches is False, and only there",
            lambda table: table["matches"] == (table["mismatch_reason"] == ""),
        ),
    ),
)
ALIGNMENT = Schema(
    "alignment",
    (
        _GENE,
        _POSITION,
        _REF,
        *(_COUNT(letter, meaning="rows of the alignment with this residue") for letter in AMINO_ACIDS),
        _COUNT("gap", meaning="rows with a gap"),
        _COUNT("unknown", meaning="rows with another letter"),
    ),
    key=("gene", "position"),
)
CPD = Schema(
    "cpd",
    (
        _GENE,
        _MUTATION,
        Column("assembly", "str", meaning="genome whose residue is `alt` there"),
        _COUNT("flank", maximum=5, meaning="identical aligned residues on each side, capped at 5"),
    ),
    key=("gene", "mutation", "assembly"),
)
ORTHOLOGS = Schema(
    "orthologs",
    (
        _GENE,
        Column("assembly", "str", meaning="UCSC's name of the genome, such as mm10"),
        Column(
            "aligned",
            "str",
            meaning="a letter a human residue: `.` the same, `-` a gap, `X` unknown, `Z` a stop, else the residue",
        ),
    ),
    key=("gene", "assembly"),
)
STRUCTURES = Schema(
    "structures",
    (
        _GENE,
        _POSITION,
        Column("residue", "str", allowed=_ONE_OF_20, meaning="one letter"),
        *(Column(name, "float32", meaning="angstrom") for name in ("ca_x", "ca_y", "ca_z", "cb_x", "cb_y", "cb_z")),
        Column("plddt", "float32", minimum=0, maximum=100, meaning="predicted lDDT-Ca, 0 to 100"),
    ),
    key=("gene", "position"),
)
BACKBONE = Schema(
    "backbone",
    (
        _GENE,
        _POSITION,
        *(Column(f"{atom}_{axis}", "float32", meaning="angstrom, to 0.01") for atom in "nco" for axis in "xyz"),
    ),
    key=("gene", "position"),
)
KEPT_STRUCTURES = Schema(
    "kept_structures",
    (
        Column("id", "str", meaning="the protein, as its source names it"),
        _POSITION,
        Column("residue", "str", allowed=_ONE_OF_20, meaning="one letter"),
        *(Column(name, "float32", meaning="angstrom") for name in ("cb_x", "cb_y", "cb_z")),
        Column("plddt", "float32", nullable=True, minimum=0, maximum=100, meaning="NaN = experimental"),
        Column("source", "str", allowed=("PDB", "SCOP", "AlphaFold2"), meaning="where the structure is from"),
    ),
    key=("id", "position"),
)
KINGDOMS = ("Bacteria", "Archaea", "Animals", "Fungi", "Plants", "other eukaryotes", "Viruses", "unknown")
HELDOUT = Schema(
    "heldout",
    (
        _ID,
        Column("source", "str", meaning="where the protein is from"),
        _LENGTH,
        _SEQUENCE,
        Column("kingdom", "str", allowed=KINGDOMS, meaning="part of life, as far as the source says"),
    ),
    key=("id",),
    rules=(_LENGTH_RULE,),
)
NGRAM = Schema(
    "ngram",
    (
        Column("context", "str", meaning="what stands around the residue `_`; see plmbook.variants.ngram.count"),
        *(_COUNT(letter, meaning="training residues of this kind in that context") for letter in AMINO_ACIDS),
    ),
    key=("context",),
)
SPLITS = ("train", "test")
LOCALISATIONS = (  # the classes of DeepLoc 1.0
    "Cell membrane",
    "Cytoplasm",
    "Endoplasmic reticulum",
    "Extracellular",
    "Golgi apparatus",
    "Lysosome/Vacuole",
    "Mitochondrion",
    "Nucleus",
    "Peroxisome",
    "Plastid",
)
_SPLIT = Column("split", "str", allowed=SPLITS, meaning="what the protein may be used for")


def _letter_for_each_residue(name: str, letters: str, *, or_none: bool = False) -> tuple[str, Callable]:
    """The rule that a text has one of `letters` for each residue (or is empty)."""

    def holds(table: pd.DataFrame) -> pd.Series:
        fits = table[name].str.fullmatch(f"[{letters}]+") & (table[name].str.len() == table["sequence"].str.len())
        return fits | (table[name] == "") if or_none else fits

    return f"{name} has one of {letters} for each residue{' or is empty' if or_none else ''}", holds


SECONDARY_STRUCTURE = Schema(
    "secondary_structure",
    (
        Column("id", "str", meaning="PDB chain, or CB513 and the number of its first record"),
        _SPLIT,
        Column("source", "str", allowed=("NetSurfP-2.0", "CB513"), meaning="set that the protein is from"),
        _LENGTH,
        _SEQUENCE,
        Column("dssp3", "str", meaning="H helix, E strand, C other, by residue"),
        Column("dssp8", "str", nullable=True, meaning="the eight states of DSSP, C for none; empty for NetSurfP-2.0"),
        Column("resolved", "str", meaning="1 where the residue has coordinates, else 0"),
        Column("counted", "str", meaning="1 where it is resolved and, for CB513, in a domain of that set, else 0"),
    ),
    key=("id",),
    rules=(
        _LENGTH_RULE,
        _letter_for_each_residue("dssp3", "HEC"),
        _letter_for_each_residue("dssp8", "HGIEBTSC", or_none=True),
        _letter_for_each_residue("resolved", "01"),
        _letter_for_each_residue("counted", "01"),
    ),
)
LOCALISATION = Schema(
    "localisation",
    (
        Column("id", "str", meaning="UniProt accession"),
        _SPLIT,
        Column("localisation", "str", allowed=LOCALISATIONS, meaning="compartment, by DeepLoc 1.0"),
        _LENGTH,
        _SEQUENCE,
    ),
    key=("id",),
    rules=(_LENGTH_RULE,),
)

RELATIVES = Schema(
    "relatives",
    (
        Column(
            "table",
            "str",
            allowed=("genes", "heldout", "kept_structures", "landscapes", "secondary_structure"),
            meaning="the test",
        ),
        Column("id", "str", meaning="protein of that table"),
        Column("source", "str", allowed=("general", "orthologs"), meaning="which part of the training corpus"),
        Column("relatives", "int64", minimum=1, meaning="sequences there that share half of the shorter one"),
        Column("identity", "float64", minimum=0, maximum=1, meaning="of the most alike"),
    ),
    key=("table", "id", "source"),
)

LANDSCAPES = Schema(
    "landscapes",
    (
        Column("landscape", "str", meaning="a row of landscape_proteins"),
        _MUTATION,
        Column("fitness", "float32", meaning="as measured, in the unit of the landscape"),
        Column("error", "float32", minimum=0, meaning="one standard error of it, in the same unit"),
    ),
    key=("landscape", "mutation"),
)
LANDSCAPE_PROTEINS = Schema(
    "landscape_proteins",
    (
        Column("landscape", "str", meaning="one assay of one protein"),
        Column("protein", "str", meaning="what was mutated"),
        Column("uniprot", "str", meaning="UniProt accession"),
        _LENGTH,
        _SEQUENCE,
        Column("first", "int64", minimum=1, meaning="first residue of the assayed region, 1-based in sequence"),
        Column("last", "int64", minimum=1, meaning="last residue of the assayed region, 1-based in sequence"),
        Column("offset", "int64", meaning="UniProt's position minus that in sequence"),
        Column("file_offset", "int64", meaning="position in sequence minus that in the source's file"),
        Column("assay", "str", meaning="what was measured"),
        Column("fitness_unit", "str", meaning="of fitness"),
        Column("scale", "str", allowed=("linear", "ln", "log2", "log10"), meaning="linear = ratio to the wild type"),
        Column("wild_type_fitness", "float64", meaning="on that scale"),
        Column("floor", "float64", meaning="what the assay gives for a protein that does not work, on that scale"),
        Column("floor_from", "str", meaning="which variants the floor is the median of"),
        Column(
            "null_above_half",
            "float64",
            minimum=0,
            maximum=1,
            meaning="share of those that measure above half of the way from floor to wild type, in logarithms",
        ),
        Column("error_from", "str", meaning="where the errors are from"),
        Column("source", "str", meaning="repository and commit"),
        Column("licence", "str", meaning="of the repository"),
        Column("doi", "str", meaning="of the measurement"),
    ),
    key=("landscape",),
    rules=(_LENGTH_RULE,),
)
CLADE_NAMES = (  # from the nearest to the farthest
    "Primates",
    "other Euarchontoglires",
    "Laurasiatheria",
    "Afrotheria",
    "Xenarthra",
    "Marsupialia",
    "Monotremata",
    "Birds",
    "Reptiles",
    "Amphibians",
    "Coelacanths",
    "Ray-finned fish",
    "Lampreys",
)
CLADES = Schema(
    "clades",
    (
        Column("assembly", "str", meaning="UCSC's name of the genome"),
        Column("species", "str", meaning="scientific name"),
        Column("common_name", "str", meaning="UCSC's common name"),
        Column("clade", "str", allowed=CLADE_NAMES, meaning="part of the vertebrates"),
        _COUNT("split", maximum=18, meaning="where its lineage leaves the human one, counted from us; 0 = human"),
        _COUNT("n_genes", maximum=47, meaning="genes of which the genome has a residue in the alignment"),
        Column("aligned", "float64", minimum=0, maximum=1, meaning="share of human residues with a residue, gene mean"),
        Column("identity", "float64", minimum=0, maximum=1, meaning="share of those that are ours, gene mean"),
    ),
    key=("assembly",),
)
SUPPRESSORS = Schema(
    "suppressors",
    (
        _GENE,
        Column("variant", "str", meaning="the damaging mutation, 1-based"),
        Column("suppressor", "str", meaning="what rescues it; several joined by :"),
        Column("status", "str", allowed=("verified", "second-hand", "lead"), meaning="how the pair is known"),
        Column("evidence", "str", meaning="what was read"),
        Column("doi", "str", meaning="of the works, or their PMC number; several joined by ;"),
        Column("construct", "str", nullable=True, meaning="on which background it was shown"),
    ),
    key=("gene", "variant", "suppressor"),
)
SAME_CODON = Schema(
    "same_codon",
    (
        _GENE,
        _MUTATION,
        _POSITION,
        _REF,
        _ALT,
        Column(
            "category",
            "str",
            allowed=("Changed missense", "Partially changed missense", "Rescued nonsense"),
            meaning="gnomAD's name of what both changes together make of each",
        ),
        Column("change1", "str", meaning="what the first nucleotide change does alone; * = stop"),
        Column("change2", "str", meaning="what the second one does alone"),
        Column("class1", "str", nullable=True, meaning="ClinVar class of change1, as the study wrote it"),
        Column("class2", "str", nullable=True, meaning="ClinVar class of change2"),
        Column("class_combined", "str", nullable=True, meaning="ClinVar class of both together"),
        Column("allele_frequency1", "float64", nullable=True, minimum=0, maximum=1, meaning="gnomAD; NaN = none"),
        Column("allele_frequency2", "float64", nullable=True, minimum=0, maximum=1, meaning="gnomAD; NaN = none"),
        Column("genomic", "str", meaning="both changes in GRCh37"),
        Column("transcript", "str", meaning="Ensembl transcript in whose numbering they are named"),
        Column("matches", "bool", meaning="whether `ref` is the residue of the gene's sequence"),
        Column("aligned_position", "int64", minimum=0, meaning="its place in the gene's sequence; 0: nowhere"),
    ),
    key=("gene", "genomic"),
    rules=(("mutation is ref, position and alt", _mutation_is_its_parts),),
)

NAMESPACES = ("molecular_function", "biological_process", "cellular_component")
GO_COLUMNS = ("cafa5", "symbol_experimental", "entrez_all")  # where annotations are from; never mixed
_GO_ID = Column("go_id", "str", meaning="term of the Gene Ontology, such as GO:0005634")
_RELATION = Column("relation", "str", allowed=("is_a", "part_of"), meaning="of the child to the parent")
GO_SPECIES = Schema(
    "go_species",
    (
        Column("species", "str", meaning="short name, as in go_proteins"),
        Column("taxon", "int64", minimum=1, meaning="NCBI"),
        Column("name", "str", meaning="scientific name"),
        Column("proteome", "str", meaning="UniProt reference proteome, what the source uniprot-go takes"),
        Column("annotations", "str", meaning="file of GOA, what the source goa takes"),
    ),
    key=("species",),
)
GO_PROTEINS = Schema(
    "go_proteins",
    (
        Column("id", "str", meaning="UniProt accession"),
        Column("species", "str", meaning="a row of go_species"),
        Column("gene", "str", nullable=True, meaning="gene symbol; empty where the source has none"),
        Column("cluster", "str", meaning="homology cluster, named after its first protein; never splits orthologs"),
        Column("ortholog", "str", nullable=True, meaning="reciprocal best hit in the other species"),
        _LENGTH,
        _SEQUENCE,
    ),
    key=("id",),
    rules=(_LENGTH_RULE,),
)
GO_ANNOTATIONS = Schema(
    "go_annotations",
    (
        Column("id", "str", meaning="UniProt accession, a row of go_proteins"),
        _GO_ID,
        Column("column", "str", allowed=GO_COLUMNS, meaning="collection that the annotation is from"),
    ),
    key=("id", "go_id", "column"),
)
GO_TERMS = Schema(
    "go_terms",
    (
        _GO_ID,
        Column("name", "str", meaning="as of `release`"),
        Column("namespace", "str", allowed=NAMESPACES, meaning="aspect of the ontology"),
        Column("release", "str", meaning="of the Gene Ontology from which the name is"),
        Column("in_2013", "bool", meaning="whether the relations of 2013 know the term"),
        _COUNT("n_human", meaning="human proteins with the term in column cafa5, of the whole set"),
        _COUNT("n_mouse", meaning="mouse proteins, likewise"),
        _COUNT("n_human_sample", meaning="human proteins with the term in column cafa5, of go_proteins"),
        _COUNT("n_mouse_sample", meaning="mouse proteins, likewise"),
        Column("information_accretion", "float64", nullable=True, minimum=0, meaning="bits, by CAFA5; NaN = not given"),
        Column("published", "bool", meaning="one of the 20 terms of the ESM2-15B embeddings study"),
        Column("top20", "bool", meaning="one of the 20 most common of column cafa5 in the whole set"),
    ),
    key=("go_id",),
)
GO_RELATIONS = Schema(
    "go_relations",
    (
        Column("child", "str", meaning="term"),
        Column("parent", "str", meaning="term"),
        _RELATION,
    ),
    key=("child", "parent", "relation"),
)

TASK_SPLITS = ("train", "validation", "test")
_TASK_ID = Column("id", "str", meaning="its set and the number there")
_TASK_SPLIT = Column("split", "str", allowed=TASK_SPLITS, meaning="what the row may be used for")
TASK_SECONDARY_STRUCTURE = Schema(
    "task_secondary_structure",
    (
        _TASK_ID,
        _TASK_SPLIT,
        Column("source", "str", allowed=("CB6133", "CASP12", "CASP14"), meaning="set that the protein is from"),
        _LENGTH,
        _SEQUENCE,
        Column("dssp3", "str", meaning="H helix, E strand, C other, by residue"),
        Column("dssp8", "str", meaning="the eight states of DSSP, C for none, by residue"),
        Column("counted", "str", meaning="1 where the residue has coordinates, else 0"),
    ),
    key=("id",),
    rules=(
        _LENGTH_RULE,
        _letter_for_each_residue("dssp3", "HEC"),
        _letter_for_each_residue("dssp8", "HGIEBTSC"),
        _letter_for_each_residue("counted", "01"),
    ),
)
TASK_REMOTE_HOMOLOGY = Schema(
    "task_remote_homology",
    (_TASK_ID, _TASK_SPLIT, _LENGTH, _SEQUENCE, Column("fold", "str", meaning="SCOP fold, by its number in TAPE")),
    key=("id",),
    rules=(_LENGTH_RULE,),
)
TASK_SOLUBILITY = Schema(
    "task_solubility",
    (_TASK_ID, _TASK_SPLIT, _LENGTH, _SEQUENCE, Column("soluble", "bool", meaning="when expressed, by DeepSol")),
    key=("id",),
    rules=(_LENGTH_RULE,),
)
TASK_FLUORESCENCE = Schema(
    "task_fluorescence",
    (
        Column("id", "str", meaning="the protein, a row of task_proteins; the same in all rows"),
        _TASK_SPLIT,
        Column("mutations", "str", nullable=True, meaning="such as K3R:N146S; 1-based; empty for the wild type"),
        _COUNT("n_mutations", meaning="how many these are"),
        Column("log_fluorescence", "float64", meaning="log10 of the median brightness of the genotype's barcodes"),
    ),
    key=("id", "mutations"),
    rules=(
        (
            "n_mutations is the number of mutations",
            lambda table: table["n_mutations"] == table["mutations"].str.count("[0-9]+"),
        ),
    ),
)
TASK_PROTEINS = Schema(
    "task_proteins",
    (
        Column("id", "str", meaning="the protein whose mutants a task is about"),
        Column("description", "str", meaning="what it is"),
        _LENGTH,
        _SEQUENCE,
    ),
    key=("id",),
    rules=(_LENGTH_RULE,),
)
TASK_CATH = Schema(
    "task_cath",
    (
        Column("id", "str", meaning="CATH domain"),
        Column("role", "str", allowed=("lookup", "query"), meaning="queries are searched among the lookup"),
        _LENGTH,
        _SEQUENCE,
        Column("cath", "str", meaning="class, architecture, topology, superfamily, such as 3.40.50.720"),
    ),
    key=("id",),
    rules=(
        _LENGTH_RULE,
        ("cath is four numbers joined by dots", lambda table: table["cath"].str.fullmatch(r"[1-9]\d*(\.[1-9]\d*){3}")),
    ),
)
TASK_CONTACTS = Schema(
    "task_contacts",
    (
        _TASK_ID,
        Column("split", "str", allowed=("test",), meaning="what the row may be used for"),
        Column("source", "str", allowed=("CASP13", "CASP14"), meaning="set that the chain is from"),
        _POSITION,
        Column("residue", "str", allowed=_ONE_OF_20, meaning="one letter"),
        *(
            Column(name, "float32", nullable=True, meaning="angstrom, of C-alpha; the source has no C-beta; NaN = none")
            for name in ("ca_x", "ca_y", "ca_z")
        ),
    ),
    key=("id", "position"),
    rules=(
        (
            "ca_x, ca_y and ca_z are there together",
            lambda table: table[["ca_x", "ca_y", "ca_z"]].isna().sum(axis=1).isin([0, 3]),
        ),
    ),
)

BUNDLED: dict[str, tuple[str, Schema]] = {
    "genes": ("genes.tsv", GENES),
    "variants": ("variants.parquet", VARIANTS),
    "published_effects": ("published_effects.parquet", PUBLISHED_EFFECTS),
    "alignment": ("alignment.parquet", ALIGNMENT),
    "cpd": ("cpd.parquet", CPD),
    "orthologs": ("orthologs.parquet", ORTHOLOGS),
    "structures": ("structures.parquet", STRUCTURES),
    "backbone": ("backbone.parquet", BACKBONE),
    "heldout": ("heldout.tsv", HELDOUT),
    "ngram": ("ngram.parquet", NGRAM),
    "kept_structures": ("kept_structures.parquet", KEPT_STRUCTURES),
    "secondary_structure": ("secondary_structure.parquet", SECONDARY_STRUCTURE),
    "localisation": ("localisation.parquet", LOCALISATION),
    "relatives": ("relatives.tsv", RELATIVES),
    "landscapes": ("landscapes.parquet", LANDSCAPES),
    "landscape_proteins": ("landscape_proteins.tsv", LANDSCAPE_PROTEINS),
    "clades": ("clades.tsv", CLADES),
    "suppressors": ("suppressors.tsv", SUPPRESSORS),
    "same_codon": ("same_codon.tsv", SAME_CODON),
    "go_species": ("go_species.tsv", GO_SPECIES),
    "go_proteins": ("go_proteins.parquet", GO_PROTEINS),
    "go_annotations": ("go_annotations.parquet", GO_ANNOTATIONS),
    "go_terms": ("go_terms.tsv", GO_TERMS),
    "go_relations": ("go_relations.tsv", GO_RELATIONS),
    "task_secondary_structure": ("task_secondary_structure.parquet", TASK_SECONDARY_STRUCTURE),
    "task_remote_homology": ("task_remote_homology.parquet", TASK_REMOTE_HOMOLOGY),
    "task_solubility": ("task_solubility.parquet", TASK_SOLUBILITY),
    "task_fluorescence": ("task_fluorescence.parquet", TASK_FLUORESCENCE),
    "task_proteins": ("task_proteins.tsv", TASK_PROTEINS),
    "task_cath": ("task_cath.parquet", TASK_CATH),
    "task_contacts": ("task_contacts.parquet", TASK_CONTACTS),
}


def load(name: str) -> pd.DataFrame:
    """Read a bundled table by its logical name, checked against its schema.

    Parameters
    ----------
    name : str
        A key of `BUNDLED`, such as genes or variants.

    Returns
    -------
    DataFrame
        The columns of the schema, then any others, with a fresh integer index.

    Raises
    ------
    InputError
        If there is no such table or its file is missing.
    TableError
        If it does not fit its schema.

    Examples
    --------
    >>> load("genome")
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: no bundled table 'genome'; expected one of genes, variants, published_effects, \
alignment, cpd, orthologs, structures, backbone, heldout, ngram, kept_structures, secondary_structure, localisation, \
relatives, landscapes, landscape_proteins, clades, suppressors, same_codon, go_species, go_proteins, go_annotations, \
go_terms, go_relations, task_secondary_structure, task_remote_homology, task_solubility, task_fluorescence, \
task_proteins, task_cath, task_contacts; did you mean 'genes'?
    """
    if name not in BUNDLED:
        raise InputError(
            f"no bundled table {name!r}; expected one of {', '.join(BUNDLED)}{did_you_mean(name, BUNDLED)}"
        )
    file, schema = BUNDLED[name]
    return read_table(paths.data() / file, schema)


def read_table(path: str | Path, schema: Schema) -> pd.DataFrame:
    """Read a table and check it against a schema.

    Parameters
    ----------
    path : str or Path
        Parquet (`.parquet`), or tab-separated text with a header (anything else; gzip is seen by its content).
    schema : Schema

    Returns
    -------
    DataFrame
        As `check`.

    Raises
    ------
    InputError
        If the file is missing, empty or not such a file.
    TableError
        If it does not fit the schema.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        table, lines = _read_tsv(path)
        return check(table, schema, where=path, lines=lines)
    _refuse_unless_file(path)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise InputError(
            f"{path}: expected a Parquet file, found one that cannot be read ({error}); cut short?"
        ) from None
    return check(table, schema, where=path)


def check(
    table: pd.DataFrame, schema: Schema, *, where: str | Path, lines: Sequence[int] | None = None
) -> pd.DataFrame:
    """Check a table against a schema, all faults at once.

    Parameters
    ----------
    table : DataFrame
    schema : Schema
    where : str or Path
        What the message calls the table: its file, or where it came from.
    lines : sequence of int, shape (n_rows,), optional
        The line of each row in its file. Without it, messages count data rows from 1.

    Returns
    -------
    DataFrame
        A new table: the columns of the schema in order and in their dtypes, then the others as they were; index 0..n-1.
        Missing texts are `""`.

    Raises
    ------
    TableError
        If a column is missing, or a row has a missing, ill-typed or forbidden value, repeats a key or breaks a
        rule. Up to ten faults are listed in the order of rows.

    Notes
    -----
    Invariant: `check(check(t))` equals `check(t)`; the given table is left as it was.

    Examples
    --------
    >>> proteins = pd.DataFrame({"id": ["a", "a"], "sequence": ["MK", "MKR"], "length": [2, 4]})
    >>> check(proteins, PROTEINS, where="toy")
    Traceback (most recent call last):
        ...
    plmbook.tables.TableError: toy: 2 faults in the table proteins
      row 2: id 'a' repeats row 1; expected each id once
      row 2: expected that length is the number of residues of sequence, found sequence 'MKR', length 4
    """
    _refuse_missing_columns(table, schema.names, where)
    faults = _Faults(where, lines)
    checked = {column.name: _check_column(table[column.name], column, faults) for column in schema.columns}
    others = [name for name in table.columns if name not in checked]
    result = pd.concat([pd.DataFrame(checked), table[others].reset_index(drop=True)], axis=1)
    spoilt = faults.rows()  # a row with an unreadable value is named once, not again by each rule
    if schema.key:
        _check_key(result, schema.key, faults)
    for statement, holds in schema.rules:
        _check_rule(result, statement, holds, spoilt, faults)
    faults.refuse(TableError, f"in the table {schema.name}")
    return result


def read_fasta(path: str | Path) -> pd.DataFrame:
    """Read protein sequences from a FASTA file.

    Parameters
    ----------
    path : str or Path
        Plain or gzip text; Windows line ends and a byte-order mark are accepted.

    Returns
    -------
    DataFrame
        A row per record in the order of the file: `id` (str, the first word of the header), `description` (str,
        the rest), `sequence` (str, `AMINO_ACIDS` and `UNKNOWN`, white space removed), `length` (int64, residues).

    Raises
    ------
    InputError
        If the file is missing, empty or not FASTA; a record has no id, no sequence or an id used before; or a sequence
        holds lower case, a gap, a stop or anything that is not a residue, or is DNA. Names file, line and record.

    Notes
    -----
    Invariant: ids are distinct, and `length == sequence.str.len()`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "toy.fasta"
    >>> _ = path.write_text(">a first\\nMKR\\nL\\n")
    >>> read_fasta(path).iloc[0].to_dict()
    {'id': 'a', 'description': 'first', 'sequence': 'MKRL', 'length': 4}
    >>> _ = path.write_text(">a first\\nMKR\\n>a again\\nMKL\\n")
    >>> read_fasta(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: ...toy.fasta: 1 fault in the FASTA file
      line 3: record 'a' repeats the id of line 1; ids are the first word of each header and must be distinct
    >>> folder.cleanup()
    """
    return pd.concat(FastaFile(path).blocks(), ignore_index=True)


class FastaFile:
    """The proteins of a FASTA file, read a block at a time and as often as wanted: memory does not grow with the file.

    Parameters
    ----------
    path : str or Path
        A file on disk, plain or gzip, as for `read_fasta`; a pipe could be read only once.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._checked: tuple | None = None  # the stamp of the file that was read to its end without a fault

    def __repr__(self) -> str:
        return f"FastaFile({str(self.path)!r})"

    def blocks(self, characters: int = BLOCK_CHARACTERS) -> Iterator[pd.DataFrame]:
        """Read the file from its beginning.

        Parameters
        ----------
        characters : int
            A block is closed when its headers and sequences have so many; a longer protein is alone in its block.

        Yields
        ------
        DataFrame
            As `read_fasta` gives them, one or more records each, index from 0.

        Raises
        ------
        InputError
            As `read_fasta`, at the end of the first reading: no block counts before it.  Also if the file changed
            since then.

        Notes
        -----
        Ids are remembered as eight bytes each, in the first reading alone; the file is read again to name those that
        repeat.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "toy.fasta"
        ...     _ = path.write_text(">a\\nMKR\\n>b\\nMKL\\n>c\\nMKV\\n")
        ...     [block["id"].tolist() for block in FastaFile(path).blocks(8)]
        [['a', 'b'], ['c']]
        """
        stamp = self._stamp()
        faults = _Faults(self.path, None)
        hashes = array("q")
        rows: list[tuple[str, str, str]] = []
        filled = 0
        for header, line, parts in _records(self.path):
            name, description, sequence = _fields(header, parts)
            _check_record(name, sequence, line, parts, faults)
            size = len(header) + len(sequence)
            if rows and filled + size > characters:
                if not faults:  # else nothing will come of it: the rest is read to count the faults
                    self._refuse_if_changed(stamp)
                    yield _protein_table(rows)
                rows, filled = [], 0
            rows.append((name, description, sequence))
            filled += size
            if name and self._checked is None:
                hashes.append(hash(name))
        self._note_repeated_ids(np.asarray(hashes), faults)
        self._refuse_if_changed(stamp)
        faults.refuse(InputError, "in the FASTA file")
        self._checked = stamp
        yield _protein_table(rows)

    def _stamp(self) -> tuple:
        """What changes when the file does."""
        _refuse_unless_file(self.path)
        if not self.path.is_file():
            raise InputError(
                f"{self.path}: expected a file on disk, found a pipe or a device, which can be read only once; "
                "save it as a file first"
            )
        found = self.path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _refuse_if_changed(self, stamp: tuple) -> None:
        if self._checked not in (None, stamp) or self._stamp() != stamp:
            raise InputError(f"{self.path}: was changed while it was in use; leave it as it is and start again")

    def _note_repeated_ids(self, hashes: np.ndarray, faults: "_Faults") -> None:
        hashes.sort()
        repeated = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not repeated:
            return
        first_lines: dict[str, int] = {}
        for header, line, parts in _records(self.path):
            name = _fields(header, parts)[0]
            if name and hash(name) in repeated and first_lines.setdefault(name, line) != line:
                faults.add_line(
                    line,
                    f"record {name!r} repeats the id of line {first_lines[name]}; "
                    "ids are the first word of each header and must be distinct",
                )


def read_variants(
    path: str | Path, proteins: pd.DataFrame, *, reserved: Collection[str] = ("model", "strategy", "score")
) -> pd.DataFrame:
    """Read a table of variants and check each of them against the sequence of its protein.

    Parameters
    ----------
    path : str or Path
        Tab-separated text with a header line; columns `id` (or `gene`), holding an id of `proteins`, and `mutation`,
        in any form that `parse_mutations` reads. Plain or gzip; Windows line ends and a byte-order mark are accepted.
    proteins : DataFrame
        Columns `id` and `sequence`, as `read_fasta` gives them.
    reserved : collection of str
        Names of columns that will be written, and so may not be carried.

    Returns
    -------
    DataFrame
        A row per row of the file, in its order: `id` (str), `mutation` (str, normalised: `R175H` or `R175H:N239Y`),
        then the file's further columns as text (also `gene`, where that column gave the ids).

    Raises
    ------
    InputError
        If the file is missing or empty.
    TableError
        If `proteins` lacks a column or repeats an id; if the file is not tab-separated, lacks a column or has one that
        is reserved; or a row names an unknown protein, holds no missense mutation, does not fit the sequence, or
        repeats an earlier one. All faults are counted and up to ten listed.

    Notes
    -----
    Invariant: every mutation applies to the sequence of its protein, and each (id, mutation) is there once.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "toy.tsv"
    >>> proteins = pd.DataFrame({"id": ["a"], "sequence": ["MKRL"]})
    >>> _ = path.write_text("id\\tmutation\\tnote\\na\\tp.Lys2Ala\\tmine\\n")
    >>> read_variants(path, proteins).iloc[0].to_dict()
    {'id': 'a', 'mutation': 'K2A', 'note': 'mine'}
    >>> _ = path.write_text("id\\tmutation\\na\\tR175Ter\\nb\\tK2A\\n")
    >>> read_variants(path, proteins)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    plmbook.tables.TableError: ...toy.tsv: 2 faults in the table of variants
      line 2: 'a' R175Ter: a stop codon (nonsense change); only missense changes are scored, \
written like R175H, Arg175His or p.Arg175His
      line 3: id 'b' is not among the 1 proteins
    >>> folder.cleanup()
    """
    path = Path(path)
    proteins = check(proteins, _SEQUENCES, where="the proteins given")
    table, lines = _read_tsv(path)
    identifier = "gene" if "gene" in table.columns and "id" not in table.columns else "id"
    _refuse_missing_columns(table, (identifier, "mutation"), path, instead={"id": "gene"})
    clashes = [name for name in table.columns if name in reserved]
    if clashes:
        named = ", ".join(map(repr, clashes))
        raise TableError(
            f"{path}: line 1: the columns {', '.join(reserved)} are written by this command, found {named}; rename them"
        )
    ids = table[identifier].str.strip().tolist()
    faults = _Faults(path, lines)
    mutations = _fitting_mutations(ids, table["mutation"].tolist(), proteins, faults)
    faults.refuse(TableError, "in the table of variants")
    carried = table.drop(columns=["mutation", *(["id"] if identifier == "id" else [])])
    head = pd.DataFrame({"id": pd.Series(ids, dtype="str"), "mutation": pd.Series(mutations, dtype="str")})
    return pd.concat([head, carried], axis=1)


class _Faults:
    """The faults of one file: collected row by row, raised as one error."""

    def __init__(self, where: str | Path, lines: Sequence[int] | None) -> None:
        self.where = where
        self.lines = lines
        self._count = 0
        self._found: list[tuple[int, str]] = []  # (line or row as shown, message); at least those that are listed
        self._rows: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def rows(self) -> np.ndarray:
        """The 0-based rows that have a fault so far."""
        return np.array(sorted(self._rows), dtype=np.int64)

    def label(self, row: int) -> str:
        """What a message calls a 0-based row."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"

    def add(self, row: int, message: str) -> None:
        self._rows.add(row)
        self._note(row, f"{self.label(row)}: {message}")

    def add_line(self, line: int, message: str) -> None:
        self._note(line, f"line {line}: {message}")

    def _note(self, place: int, message: str) -> None:
        self._count += 1
        self._found.append((place, message))
        if len(self._found) > 100 * LISTED:  # a file may be wrong in every line
            self._found = self._first()

    def _first(self) -> list[tuple[int, str]]:
        return sorted(self._found, key=lambda fault: fault[0])[:LISTED]

    def refuse(self, error: type[InputError], what: str) -> None:
        """Raise where there are faults."""
        if not self._count:
            return
        messages = [message for _, message in self._first()]
        plural = "" if self._count == 1 else "s"
        more = [f"... and {self._count - LISTED} more"] if self._count > LISTED else []
        raise error("\n  ".join([f"{self.where}: {self._count} fault{plural} {what}", *messages, *more]))


def _refuse_missing_columns(
    table: pd.DataFrame, names: Sequence[str], where: str | Path, instead: dict[str, str] | None = None
) -> None:
    repeated = sorted({str(name) for name in table.columns[table.columns.duplicated()]})
    if repeated:
        raise TableError(
            f"{where}: expected each column once, found more than one column named {', '.join(map(repr, repeated))}"
        )
    missing = [name for name in names if name not in table.columns]
    if not missing:
        return
    found = [str(name) for name in table.columns]
    wanted = " and ".join(
        repr(name) + (f" (or {instead[name]!r})" if instead and name in instead else "") for name in missing
    )
    folded = {name.strip().casefold(): name for name in found}
    near = [f"{folded[name]!r} for {name!r}" for name in missing if name in folded]
    hint = f"; names are exact: found {', '.join(near)}" if near else ""
    plural = "" if len(missing) == 1 else "s"
    raise TableError(
        f"{where}: expected the column{plural} {wanted}, found the columns {', '.join(found) or '(none)'}{hint}"
    )


def _check_column(values: pd.Series, column: Column, faults: _Faults) -> pd.Series:
    """Return the values in the column's dtype; where one is at fault, its place holds a harmless stand-in."""
    values = values.reset_index(drop=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    texts = values.map(lambda value: isinstance(value, str)).to_numpy(bool)
    missing = values.isna().to_numpy(bool)
    if texts.any():
        missing = missing | (values == "").fillna(False).to_numpy(bool)
    if not column.nullable:
        for row in np.flatnonzero(missing):
            faults.add(row, f"column {column.name}: expected {_expected(column)}, found {_MISSING_SHOWN}")
    convert = {"str": _as_text, "bool": _as_bool, "bytes": _as_bytes}.get(column.kind, _as_number)
    converted, wrong = convert(values, texts, missing, column)
    for row in np.flatnonzero(wrong & ~missing):
        faults.add(row, f"column {column.name}: expected {_expected(column)}, found {values[row]!r}")
    return converted


def _expected(column: Column) -> str:
    if column.allowed:
        return "one of " + ", ".join(column.allowed)
    text = _EXPECTED[column.kind]
    if column.minimum is not None:
        text += f" from {column.minimum:g}" + (f" to {column.maximum:g}" if column.maximum is not None else " up")
    return text


def _as_text(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> tuple[pd.Series, np.ndarray]:
    wrong = ~texts
    if column.allowed:
        wrong |= ~values.isin(column.allowed).to_numpy(bool)
    return values.where(texts & ~missing, "").astype("str"), wrong


def _as_bool(values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column) -> tuple[pd.Series, np.ndarray]:
    if values.dtype == bool:
        return values.copy(), np.zeros(len(values), bool)
    known = values.map({True: 1, False: 0, "True": 1, "False": 0}).astype("float64").to_numpy()
    return pd.Series(known == 1), np.isnan(known)


def _as_bytes(
    values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column
) -> tuple[pd.Series, np.ndarray]:
    wrong = ~values.map(lambda value: isinstance(value, bytes)).to_numpy(bool)
    return values.astype(object).where(~wrong, b""), wrong


def _as_number(
    values: pd.Series, texts: np.ndarray, missing: np.ndarray, column: Column
) -> tuple[pd.Series, np.ndarray]:
    if values.dtype == bool:  # True is no number, though pandas would read it as 1
        return pd.Series(np.zeros(len(values), column.kind)), np.ones(len(values), bool)
    numbers = pd.to_numeric(values, errors="coerce").astype("float64").to_numpy()
    wrong = ~np.isfinite(numbers)
    if column.minimum is not None:
        wrong |= numbers < column.minimum
    if column.maximum is not None:
        wrong |= numbers > column.maximum
    if column.kind == "int64":
        wrong |= (numbers != np.round(numbers)) | (np.abs(numbers) > 2**53)  # beyond it, float64 skips integers
        return pd.Series(np.where(wrong, 0, numbers).astype(np.int64)), wrong
    return pd.Series(np.where(wrong, np.nan, numbers).astype(column.kind)), wrong


def _check_key(table: pd.DataFrame, key: Sequence[str], faults: _Faults) -> None:
    repeated = np.flatnonzero(table.duplicated(list(key)))
    if not len(repeated):
        return
    codes = table.groupby(list(key), sort=False).ngroup().to_numpy()
    _, firsts = np.unique(codes, return_index=True)  # the first row of each combination
    already = set(faults.rows().tolist())
    for row in repeated:
        if row in already:
            continue
        shown = ", ".join(f"{name} {table[name][row]!r}" for name in key)
        faults.add(
            int(row), f"{shown} repeats {faults.label(int(firsts[codes[row]]))}; expected each {' and '.join(key)} once"
        )


def _check_rule(
    table: pd.DataFrame, statement: str, holds: Callable[[pd.DataFrame], pd.Series], spoilt: np.ndarray, faults: _Faults
) -> None:
    broken = ~holds(table).to_numpy(bool)
    broken[spoilt] = False
    if not broken.any():
        return
    # A statement names the columns that it is about: show their values.
    about = [name for name in table.columns if str(name) in statement.replace(",", " ").split()]
    for row in np.flatnonzero(broken):
        found = ", ".join(f"{name} {_shown(table[name][row])}" for name in about)
        faults.add(int(row), f"expected that {statement}, found {found}")


def _shown(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else text[:37] + "..."


def _fitting_mutations(ids: Sequence[str], texts: Sequence[str], proteins: pd.DataFrame, faults: _Faults) -> list[str]:
    """Normalise the mutations; note each row whose protein is unknown, or which does not fit or repeats another."""
    sequences = dict(zip(proteins["id"], proteins["sequence"], strict=True))
    unknown: dict[str, list[int]] = defaultdict(list)
    first_rows: dict[tuple[str, str], int] = {}
    normalised = []
    for row, (name, text) in enumerate(zip(ids, texts, strict=True)):
        joined = ""
        if name not in sequences:
            unknown[name].append(row)
        else:
            try:
                mutations = parse_mutations(text)
                for mutation in mutations:
                    mutation.check(sequences[name])
                joined = join_mutations(mutations)
                first = first_rows.setdefault((name, joined), row)
                if first != row:
                    faults.add(row, f"{name!r} {joined} repeats {faults.label(first)}; expected each variant once")
            except MutationError as error:
                faults.add(row, f"{name!r} {error}")
        normalised.append(joined)
    for order, (name, rows) in enumerate(unknown.items()):
        # Finding near names in a proteome is slow: only for those that the message can list.
        hint = did_you_mean(name, sequences) if order < LISTED else ""
        others = f" (and on {len(rows) - 1} further lines)" if len(rows) > 1 else ""
        said = f"id {name!r} is not among the {len(sequences)} proteins" if name else "the id is empty"
        faults.add(rows[0], f"{said}{others}{hint}")
    return normalised


def _fields(header: str, parts: Sequence[tuple[int, str]]) -> tuple[str, str, str]:
    """Id, description and sequence of a FASTA record."""
    words = header.split(maxsplit=1)
    sequence = "".join([part for _, part in parts])
    return words[0] if words else "", words[1].strip() if len(words) > 1 else "", sequence


def _protein_table(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["id", "description", "sequence"], dtype="str")
    return table.assign(length=table["sequence"].str.len().astype("int64"))


def _check_record(name: str, sequence: str, line: int, parts: Sequence[tuple[int, str]], faults: _Faults) -> None:
    if not name:
        faults.add_line(line, "the header has no id; expected '>' and a first word that names the protein")
    if not sequence:
        faults.add_line(line, f"record {name!r} has no sequence; expected residues below the header")
    elif first_fault(sequence) is not None:
        _name_residue(name, parts, faults)
    elif len(sequence) >= 30 and not sequence.strip("ACGTUN") and len(set(sequence) - {"N"}) >= 4:
        faults.add_line(
            line, f"record {name!r}: expected a protein, found only the letters of DNA or RNA; translate it first"
        )


def _name_residue(name: str, parts: Sequence[tuple[int, str]], faults: _Faults) -> None:
    """One fault a record: the rest of a lower-case sequence says the same."""
    for line, part in parts:
        fault = first_fault(part)
        if fault is not None:
            offset, why = fault
            faults.add_line(line, f"record {name!r}: {why.format(place=f'column {offset + 1}')}")
            return


def _records(path: Path) -> Iterator[tuple[str, int, list[tuple[int, str]]]]:
    """Yield each FASTA record as header, line of the header, and its lines of sequence with their numbers."""
    header, start, parts = None, 0, []
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith(">"):
            if header is not None:
                yield header, start, parts
            header, start, parts = line[1:].strip(), number, []
        elif words := line.split():
            if header is None:
                shown = _shown(line.removesuffix("\n"))
                raise InputError(f"{path}: line {number}: expected a FASTA header that starts with '>', found {shown}")
            parts.append((number, "".join(words)))
    yield header, start, parts  # the file is not blank, so that there was a header


def _read_tsv(path: Path) -> tuple[pd.DataFrame, list[int]]:
    """Read tab-separated text as a table of texts, with the line of each row."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), delimiter="\t", strict=True)
    try:
        filled = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except csv.Error as error:
        raise TableError(f"{path}: line {reader.line_num}: cannot be read as tab-separated text ({error})") from None
    header_line, header = filled[0][0], [name.strip() for name in filled[0][1]]
    _refuse_other_formats(path, header_line, header)
    if "" in header:
        raise TableError(
            f"{path}: line {header_line}: expected a name for every column, "
            f"found none for column {header.index('') + 1}"
        )
    if len(filled) == 1:
        raise TableError(f"{path}: expected rows below the header, found none")
    lines, rows = [line for line, _ in filled[1:]], [fields for _, fields in filled[1:]]
    faults = _Faults(path, lines)
    for row, fields in enumerate(rows):
        if len(fields) != len(header):
            faults.add(row, f"expected {len(header)} tab-separated values, as the header has, found {len(fields)}")
    faults.refuse(TableError, "in the tab-separated table")
    return pd.DataFrame(rows, columns=header, dtype="str"), lines


def _refuse_other_formats(path: Path, line: int, header: list[str]) -> None:
    """A header of a single column is mostly another format; say which."""
    if header[0].startswith(">"):
        raise TableError(
            f"{path}: line {line}: expected a header of tab-separated names, found FASTA; "
            "are the files in the wrong order?"
        )
    if len(header) > 1:
        return
    for separator, name in ((",", "commas"), (";", "semicolons"), ("|", "bars"), (" ", "blanks")):
        if separator in header[0]:
            raise TableError(
                f"{path}: line {line}: expected columns separated by tabs, "
                f"found {name} in {_shown(header[0])}; save as TSV"
            )


def _refuse_unless_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: expected a file, found a folder")
    if not path.exists():
        hint = ""
        if path.parent.is_dir():
            hint = did_you_mean(path.name, (other.name for other in path.parent.iterdir()))
        raise InputError(f"{path}: no such file{hint}")


def _read_text(path: Path) -> str:
    """Read a text file as `_lines` does."""
    return "".join(_lines(path))


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, without byte-order mark and with `\\n` line ends; never blank."""
    _refuse_unless_file(path)
    number, blank = 0, True
    try:
        with _opened(path) as file:
            # Excel's "Unicode text" is UTF-16 with a byte-order mark.
            encoding = "utf-16" if file.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            for number, line in enumerate(io.TextIOWrapper(file, encoding=encoding), start=1):
                if "\x00" in line or (number == 1 and line.startswith("PK\x03\x04")):
                    raise InputError(f"{path}: expected a text file, found a binary one (a spreadsheet or an archive?)")
                blank = blank and not line.strip()
                yield line
    except UnicodeDecodeError as error:
        place = f"line {_undecodable_line(path, encoding)}"
        found = f"byte 0x{error.object[error.start]:02x}"
        raise InputError(f"{path}: {place}: expected UTF-8 text, found {found}; is it a text file?") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if blank:
        raise InputError(f"{path}: the file is empty")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file for reading bytes, through gzip where its content says so: its name may say otherwise."""
    with path.open("rb") as file:
        yield gzip.open(file) if file.peek(2)[:2] == b"\x1f\x8b" else file


def _undecodable_line(path: Path, encoding: str) -> int:
    """The number of the first line that cannot be decoded: the decoder that failed does not know it."""
    decoder, number = getincrementaldecoder(encoding)(), 0
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError:
                return number
    return number  # the file ends within a character
