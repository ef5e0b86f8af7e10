"""The bundled tables: a schema for each, and the rules about their rows that every analysis shares."""

import functools
import json
from collections.abc import Callable

import pandas as pd

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.residues import AMINO_ACIDS
from plmbook.tables.readers import read_table
from plmbook.tables.schema import ID, LENGTH, LENGTH_RULE, MUTATION, SCORING, SEQUENCE, Column, Schema

SEED = 20220917  # the date of the ClinVar release
SIGNIFICANCES = ("P/LP", "B/LB", "VUS", "Other")
LABELLED = SIGNIFICANCES[:2]
_ONE_OF_20 = tuple(AMINO_ACIDS)


def _mutation_is_its_parts(table: pd.DataFrame) -> pd.Series:
    return table["mutation"] == table["ref"] + table["position"].astype(str) + table["alt"]


_GENE = Column("gene", "str", meaning="HGNC symbol")
_POSITION = Column("position", "int64", minimum=1, meaning="1-based residue")
_REF = Column("ref", "str", allowed=_ONE_OF_20, meaning="wild-type residue")
_ALT = Column("alt", "str", allowed=_ONE_OF_20, meaning="residue that replaces it")
_COUNT = functools.partial(Column, kind="int64", minimum=0)
PUBLISHED_EFFECTS = Schema(
    "published effects", (_GENE, MUTATION, *SCORING), key=("gene", "mutation", "model", "strategy")
)

GENES = Schema(
    "genes",
    (
        _GENE,
        Column("uniprot", "str", meaning="UniProt accession"),
        Column("entry_name", "str", meaning="UniProt entry name"),
        Column("transcript", "str", nullable=True, meaning="multiz100way transcript whose protein is `sequence`"),
        _COUNT("n_species", meaning="rows of the alignment"),
        LENGTH,
        SEQUENCE,
    ),
    key=("gene",),
    rules=(LENGTH_RULE,),
)

VARIANTS = Schema(
    "variants",
    (
        _GENE,
        MUTATION,
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
        MUTATION,
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
        ID,
        Column("source", "str", meaning="where the protein is from"),
        LENGTH,
        SEQUENCE,
        Column("kingdom", "str", allowed=KINGDOMS, meaning="part of life, as far as the source says"),
    ),
    key=("id",),
    rules=(LENGTH_RULE,),
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
        LENGTH,
        SEQUENCE,
        Column("dssp3", "str", meaning="H helix, E strand, C other, by residue"),
        Column("dssp8", "str", nullable=True, meaning="the eight states of DSSP, C for none; empty for NetSurfP-2.0"),
        Column("resolved", "str", meaning="1 where the residue has coordinates, else 0"),
        Column("counted", "str", meaning="1 where it is resolved and, for CB513, in a domain of that set, else 0"),
    ),
    key=("id",),
    rules=(
        LENGTH_RULE,
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
        LENGTH,
        SEQUENCE,
    ),
    key=("id",),
    rules=(LENGTH_RULE,),
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
        MUTATION,
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
        LENGTH,
        SEQUENCE,
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
    rules=(LENGTH_RULE,),
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
        MUTATION,
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
        LENGTH,
        SEQUENCE,
    ),
    key=("id",),
    rules=(LENGTH_RULE,),
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
        LENGTH,
        SEQUENCE,
        Column("dssp3", "str", meaning="H helix, E strand, C other, by residue"),
        Column("dssp8", "str", meaning="the eight states of DSSP, C for none, by residue"),
        Column("counted", "str", meaning="1 where the residue has coordinates, else 0"),
    ),
    key=("id",),
    rules=(
        LENGTH_RULE,
        _letter_for_each_residue("dssp3", "HEC"),
        _letter_for_each_residue("dssp8", "HGIEBTSC"),
        _letter_for_each_residue("counted", "01"),
    ),
)

TASK_REMOTE_HOMOLOGY = Schema(
    "task_remote_homology",
    (_TASK_ID, _TASK_SPLIT, LENGTH, SEQUENCE, Column("fold", "str", meaning="SCOP fold, by its number in TAPE")),
    key=("id",),
    rules=(LENGTH_RULE,),
)

TASK_SOLUBILITY = Schema(
    "task_solubility",
    (_TASK_ID, _TASK_SPLIT, LENGTH, SEQUENCE, Column("soluble", "bool", meaning="when expressed, by DeepSol")),
    key=("id",),
    rules=(LENGTH_RULE,),
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
        LENGTH,
        SEQUENCE,
    ),
    key=("id",),
    rules=(LENGTH_RULE,),
)

TASK_CATH = Schema(
    "task_cath",
    (
        Column("id", "str", meaning="CATH domain"),
        Column("role", "str", allowed=("lookup", "query"), meaning="queries are searched among the lookup"),
        LENGTH,
        SEQUENCE,
        Column("cath", "str", meaning="class, architecture, topology, superfamily, such as 3.40.50.720"),
    ),
    key=("id",),
    rules=(
        LENGTH_RULE,
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


def residue_frequencies() -> list[float]:
    """Frequencies of `AMINO_ACIDS` in the training corpus of the bundled model, from its card's JSON.

    Raises
    ------
    InputError
        Where there is no bundled model, or its card lacks `residue_frequencies`.
    """
    from plmbook import models

    path = paths.data() / "models" / f"{models.card('embedded').name}.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "residue_frequencies" not in facts:
        raise InputError(f"{path}: expected residue_frequencies, 20 numbers in the order of AMINO_ACIDS, found none")
    return [float(value) for value in facts["residue_frequencies"]]


def read_in_training(table: str) -> set[str]:
    """The proteins of a bundled test that have a relative among the sequences that a bundled model has read.

    A relative shares half of the shorter sequence at 30 % identity (`data/make/relatives.py`). The tests of unseen
    families leave these proteins out, for every model.

    Parameters
    ----------
    table : {"heldout", "secondary_structure", "kept_structures", "genes", "landscapes"}

    Returns
    -------
    set of str
        Ids of that table.
    """
    found = load("relatives")
    return set(found["id"][found["table"] == table])


def matching_variants() -> pd.DataFrame:
    """The bundled variants whose residue and place are those of the bundled sequence, with a fresh index.

    Left out are the mismatches, and the few variants of another isoform whose letter happens to be the one at the same
    number of our sequence: `matches` is true for them, but `aligned_position` says that they lie elsewhere.
    """
    variants = load("variants")
    there = variants["matches"] & (variants["aligned_position"] == variants["position"])
    return variants[there].reset_index(drop=True)
