"""Annotations in GAF, proteins in UniProt's tables, and whole proteomes made of both."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from plmbook import sources, tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.function import classifier, occlusion, ontology, proteomes, trainings
from plmbook.probing import neighbours
from plmbook.sources import goa, uniprot


def gaf_line(
    name, term, *, qualifier="", evidence="IDA", aspect="C", database="UniProtKB", taxon="taxon:9606", ends=17
):
    fields = [database, name, name.lower(), qualifier, term, "PMID:1", evidence, "", aspect, "", "", "protein", taxon,
              "20200229", "UniProt", "", ""]  # fmt: skip
    return "\t".join(fields[:ends])


def gaf(*lines, version="2.2"):
    return io.StringIO("\n".join([f"!gaf-version: {version}", "!", "!date-generated: 2023-01-05", *lines]) + "\n")


@pytest.mark.parametrize(("version", "none", "plain"), [("2.1", "NOT", ""), ("2.2", "NOT|located_in", "located_in")])
def test_gaf_leaves_out_and_counts_the_qualifier_not(version, none, plain):
    found = goa.read_gaf(
        gaf(
            gaf_line("P1", "GO:0005829", qualifier=plain),
            gaf_line("P1", "GO:0005634", qualifier=none),
            gaf_line("P2", "GO:0005524", qualifier="contributes_to", evidence="IEA", aspect="F", ends=15),
            gaf_line("C1", "GO:0005829", database="ComplexPortal"),
            gaf_line("P3", "GO:0006810", aspect="P", taxon="taxon:10090|taxon:562"),
            gaf_line("P4", "GO:0006810", aspect="P", taxon="83333"),
            version=version,
        )
    )
    assert found.annotations.values.tolist() == [
        ["P1", "p1", plain, "GO:0005829", "IDA", "cellular_component", 9606, "20200229"],
        ["P2", "p2", "contributes_to", "GO:0005524", "IEA", "molecular_function", 9606, "20200229"],
        ["P3", "p3", "", "GO:0006810", "IDA", "biological_process", 10090, "20200229"],
        ["P4", "p4", "", "GO:0006810", "IDA", "biological_process", 83333, "20200229"],
    ]
    assert found.exclusions.values.tolist() == [["database ComplexPortal", 1], ["qualifier NOT", 1]]
    assert found.header == {"gaf-version": version, "date-generated": "2023-01-05"}


def test_gaf_by_evidence():
    lines = [gaf_line("P1", "GO:0005829", evidence=code) for code in ("IDA", "IEA", "IEA", "ND", "TAS")]
    found = goa.read_gaf(gaf(*lines), evidence=goa.CAFA)
    assert found.annotations["evidence"].tolist() == ["IDA", "TAS"]
    assert found.exclusions.values.tolist() == [["evidence IEA", 2], ["evidence ND", 1]]


@pytest.mark.parametrize(
    ("handle", "said"),
    [
        (gaf(gaf_line("P1", "GO:0005829"), version="1.0"), "expected the line !gaf-version: 2.1 or 2.2 .* found 1.0"),
        (io.StringIO(gaf_line("P1", "GO:0005829")), "found none"),
        (io.StringIO(""), "empty or no GAF file"),
        (gaf(gaf_line("P1", "GO:0005829", ends=9)), "line 4: 9 fields, expected 17"),
        (gaf(gaf_line("P1", "nucleus")), "line 4: expected an id and a GO id.*'nucleus'"),
        (gaf(gaf_line("P1", "GO:0005829", aspect="X")), "an aspect F, P or C.*'X'"),
        (gaf(gaf_line("P1", "GO:0005829", taxon="human")), "taxon:N.*'human'"),
    ],
)
def test_gaf_refuses(handle, said):
    with pytest.raises(InputError, match=said):
        goa.read_gaf(handle)


EXPORT = (
    "Entry\tEntry Name\tGene Names\tOrganism (ID)\tLength\tSequence\tGene Ontology IDs\n"
    'P1\tA_HUMAN\tABC "x\t9606\t3\tMKV\tGO:0005829; GO:0005634\n'
    "P2\tB_HUMAN\t\t9606\t2\tMK\t\n"
)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"Entry": "accession", "Entry Name": "id", "Gene Names": "gene_names", "Organism (ID)": "organism_id",
         "Gene Ontology IDs": "go_id"},
        {"Entry": "UniProt ID", "Gene Names": "Gene Name", "Gene Ontology IDs": "GO", "Organism (ID)": "taxid"},
    ],
)  # fmt: skip
def test_uniprot_table_in_several_spellings(names):
    text = EXPORT
    for ours, theirs in names.items():
        text = text.replace(ours + "\t", theirs + "\t", 1).replace(ours + "\n", theirs + "\n", 1)
    found = uniprot.read_tsv(io.StringIO(text))
    assert found.drop(columns="entry_name").values.tolist() == [
        ["P1", "ABC", 9606, 3, "MKV", ("GO:0005634", "GO:0005829")],
        ["P2", "", 9606, 2, "MK", ()],
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Sequence\t", "Seq\t", "no column for sequence; expected 'sequence'"),
        ("\nP2\t", "\nP1\t", "row 2: accession 'P1'"),
        ("\t9606\t", "\tman\t", "row 1: taxon 'man'; expected NCBI's number"),
        ("\t3\tMKV", "\t4\tMKV", "P1: length 4, its sequence has 3"),
    ],
)
def test_uniprot_table_refuses(old, new, said):
    with pytest.raises(InputError, match=said):
        uniprot.read_tsv(io.StringIO(EXPORT.replace(old, new, 1)))


OBO = """format-version: 1.2
data-version: releases/2023-01-01

[Term]
id: GO:0005575
name: cellular_component
namespace: cellular_component

[Term]
id: GO:0005829
name: cytosol
namespace: cellular_component
alt_id: GO:0005830
is_a: GO:0005575 ! cellular_component

[Term]
id: GO:0000005
name: obsolete thing
namespace: cellular_component
is_obsolete: true
"""

HEADER = "Entry\tGene Names\tOrganism (ID)\tSequence\tGene Ontology IDs"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Three species: one protein of each is related to the others', one is not, one has no annotation that counts."""
    rng = np.random.default_rng(0)
    shared = "".join(rng.choice(list(AMINO_ACIDS), 120))
    rows = tables.load("go_species")
    yeast = ("yeast", 559292, "Saccharomyces cerevisiae", "UP000002311", "YEAST/goa_yeast")
    species = pd.concat([rows, pd.DataFrame([yeast], columns=rows.columns)], ignore_index=True)
    for letter, row in zip("HMY", species.itertuples(), strict=True):
        own = "".join(rng.choice(list(AMINO_ACIDS), 100))
        lines = [HEADER]
        lines += [
            f"{letter}1\t\t{row.taxon}\t{shared[: 100 + ord(letter) % 7]}\t",
            f"{letter}2\t\t{row.taxon}\t{own}\t",
        ]
        lines += [f"{letter}3\t\t{row.taxon}\t{own[::-1]}\t", f"{letter}4\t\t{row.taxon}\t{own * 6}\t"]
        text = "\n".join(lines) + "\n"
        (tmp_path / f"uniprot-go-{row.proteome}.tsv.gz").write_bytes(gzip.compress(text.encode()))
        written = gaf(
            gaf_line(f"{letter}1", "GO:0005830"), gaf_line(f"{letter}1", "GO:0005829"),
            gaf_line(f"{letter}2", "GO:0005575"), gaf_line(f"{letter}2", "GO:0000005"),
            gaf_line(f"{letter}2", "GO:0000007"), gaf_line(f"{letter}3", "GO:0005829", evidence="IEA"),
            gaf_line(f"{letter}4", "GO:0005829"), gaf_line("other", "GO:0005829"),
        ).getvalue()  # fmt: skip
        (tmp_path / f"{row.annotations.rsplit('/')[-1]}.gaf.gz").write_bytes(gzip.compress(written.encode()))
    (tmp_path / "go-basic.obo").write_text(OBO)
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path))
    return species


def test_a_third_species_is_a_row_more(mirror):
    found = proteomes.compile_proteomes(mirror, method="kmer")
    assert found.proteins["id"].tolist() == [f"{letter}{n}" for letter in "HMY" for n in (1, 2, 4)]
    assert found.proteins["species"].tolist() == ["human"] * 3 + ["mouse"] * 3 + ["yeast"] * 3
    assert found.proteins["cluster"].tolist() == [
        "H1",
        "H2",
        "H2",
        "H1",
        "M2",
        "M2",
        "H1",
        "Y2",
        "Y2",
    ]  # the fourth is the second, six times
    counted = ((1, "GO:0005829"), (2, "GO:0005575"), (4, "GO:0005829"))
    assert found.annotations.values.tolist() == [
        [f"{letter}{n}", term, "goa"] for letter in "HMY" for n, term in counted
    ]
    yeast = found.exclusions[found.exclusions["species"] == "yeast"].drop(columns="species")
    assert sorted(yeast.values.tolist()) == [
        ["annotation", "evidence IEA", 1],
        ["annotation", "no such term", 1],
        ["annotation", "obsolete", 1],
        ["annotation", "protein not in the table", 1],
        ["protein", "no annotation that counts", 1],
    ]
    assert found.releases == {"go": "releases/2023-01-01", **dict.fromkeys(("human", "mouse", "yeast"), "2023-01-05")}


def write_many(folder, species, n):
    """In place of the few: n proteins a species, every other one of the cytosol, which shows in its composition."""
    rng, letters = np.random.default_rng(1), list(AMINO_ACIDS)
    shares = np.where(np.isin(letters, list("DEKR")), 3.0, 1.0)
    for letter, row in zip("HMY", species.itertuples(), strict=True):
        lines, pairs = [HEADER], []
        for i in range(n):
            weights = shares if i % 2 else np.ones(len(letters))
            sequence = "".join(rng.choice(letters, 100, p=weights / weights.sum()))
            lines.append(f"{letter}{i}\t\t{row.taxon}\t{sequence}\t")
            pairs.append(gaf_line(f"{letter}{i}", "GO:0005829" if i % 2 else "GO:0005575"))
        place = folder / f"uniprot-go-{row.proteome}.tsv.gz"
        place.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
        place = folder / f"{row.annotations.rsplit('/')[-1]}.gaf.gz"
        place.write_bytes(gzip.compress(gaf(*pairs).getvalue().encode()))


def test_a_classifier_learns_of_a_third_species(mirror, tmp_path):
    """The splits across species are those of the species that are there, and a term is found in the one not learnt."""
    write_many(tmp_path, mirror, 60)
    made = proteomes.compile_proteomes(mirror, method="kmer")
    benchmark = trainings.benchmark(made, seed=1, n_seeds=1)
    across = [name for name, _ in benchmark.splits if " to " in name]
    assert across == [
        "human to mouse", "mouse to human", "human to yeast", "yeast to human", "mouse to yeast", "yeast to mouse",
    ]  # fmt: skip
    part, labels = benchmark.splits["yeast to human", 1], benchmark.labels[trainings.AS_GIVEN][["GO:0005829"]]
    assert set(part.index.str[0]) == {"H", "Y"} and set(part.index[part == "test"].str[0]) == {"H"}
    shares = neighbours.composition(made.proteins["sequence"]).astype(np.float32)
    inside = labels.index.isin(part.index)
    made_of = classifier.fit("logistic", shares[inside], labels[inside], part, seed=1)
    tested = labels.index.isin(part.index[part == "test"])
    truth, found = labels[tested]["GO:0005829"].to_numpy(), made_of.predict(shares[tested])[:, 0]
    assert truth.sum() == 30 and (found[truth][:, None] > found[~truth]).mean() > 0.95
    answers = trainings.learn(
        benchmark, shares, annotations=trainings.AS_GIVEN, split="yeast to human", seed=1, learner="logistic"
    )
    np.testing.assert_array_equal(answers.probabilities[:, 0], found)


def test_proteomes_without_an_annotation_that_counts_are_refused(mirror, tmp_path):
    line = gaf_line("H1", "GO:0005829", evidence="IEA")
    (tmp_path / "goa_human.gaf.gz").write_bytes(gzip.compress(gaf(line).getvalue().encode()))
    with pytest.raises(InputError, match="human: no protein has an annotation that counts"):
        proteomes.compile_proteomes(mirror[:1], method="kmer")


def test_sources_with_a_file_a_species_say_what_they_take(monkeypatch):
    monkeypatch.delenv("PLMBOOK_MIRROR", raising=False)
    with pytest.raises(InputError, match="expected a UniProt proteome, such as UP000005640"):
        sources.fetch("uniprot-go")
    with pytest.raises(InputError, match="expected a file of GOA, such as HUMAN/goa_human"):
        sources.fetch("goa")
    assert sources.SOURCES["goa"].file_name("HUMAN/goa_human") == "goa_human.gaf.gz"
    assert sources.SOURCES["uniprot-go"].file_name("UP000005640") == "uniprot-go-UP000005640.tsv.gz"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("PLMBOOK_CACHE", str(folder))
    return folder / "proteomes"


def test_whole_proteomes_are_compiled_once_a_release(mirror, cache, tmp_path, monkeypatch):
    found = proteomes.load("cafa5", whole=True, method="kmer")
    made = proteomes.compile_proteomes(mirror[:2], method="kmer")
    pd.testing.assert_frame_equal(found.proteins, made.proteins)
    pd.testing.assert_frame_equal(found.annotations, made.annotations)
    assert (found.whole, found.column, found.ontology.release) == (True, "goa", "releases/2023-01-01")
    assert found.annotations["column"].unique().tolist() == ["goa"]
    (about,) = cache.glob("*/about.json")
    pd.testing.assert_frame_equal(found.exclusions, made.exclusions)
    assert found.exclusions.query("species == 'mouse'")["n"].gt(0).all()
    assert found.releases == {"go": "releases/2023-01-01", "human": "2023-01-05", "mouse": "2023-01-05"}
    with monkeypatch.context() as patched:
        patched.setattr(proteomes, "compile_proteomes", None)  # a second compilation would fail
        again = proteomes.load("cafa5", whole=True, method="kmer")
    pd.testing.assert_frame_equal(again.proteins, found.proteins)
    pd.testing.assert_frame_equal(again.annotations, found.annotations)
    pd.testing.assert_frame_equal(again.exclusions, made.exclusions)
    assert again.releases == made.releases
    about.unlink()  # as if it had been cut short
    assert proteomes.load("cafa5", whole=True, method="kmer").files == found.files and about.exists()
    obo = tmp_path / "go-basic.obo"
    obo.write_text(obo.read_text().replace("2023-01-01", "2023-02-01"))
    other = proteomes.load("cafa5", whole=True, method="kmer")
    assert other.ontology.release == "releases/2023-02-01" and other.files[0].parent != found.files[0].parent


def test_terms_of_whole_proteomes(mirror, cache):
    """The root is the commonest but says little; an alternative id has the name of its term."""
    terms = proteomes.load("cafa5", whole=True, method="kmer").terms
    assert terms.values.tolist() == [
        ["GO:0000005", "obsolete thing", "cellular_component", False],
        ["GO:0005575", "cellular_component", "cellular_component", False],
        ["GO:0005829", "cytosol", "cellular_component", True],
        ["GO:0005830", "cytosol", "cellular_component", False],
    ]


def test_whole_proteomes_can_be_asked(mirror, cache):
    """As the chapters ask: direct annotations, and propagated ones by the ontology that was fetched."""
    collection = proteomes.load("cafa5", whole=True, method="kmer")
    pairs = ontology.propagate(collection.annotations, collection.ontology).annotations
    assert pairs[pairs["id"] == "H1"]["go_id"].tolist() == ["GO:0005575", "GO:0005829"]
    given = classifier.label_table(collection.annotations, collection.proteins["id"], ["GO:0005829", "GO:0005575"])
    assert given.sum().tolist() == [4, 2] and pairs["go_id"].value_counts()["GO:0005575"] == 6
    motifs = occlusion.motif_dataset(collection)
    assert motifs.proteins["id"].tolist() == collection.proteins["id"].tolist() and not motifs.labels.any(axis=None)


def test_the_sample_is_the_bundled_tables():
    collection = proteomes.load("cafa5")
    pd.testing.assert_frame_equal(collection.proteins, tables.load("go_proteins"))
    pd.testing.assert_frame_equal(collection.annotations, tables.load("go_annotations").query("column == 'cafa5'"))
    assert (collection.whole, collection.column, collection.ontology.release) == (False, "cafa5", ontology.RELEASE_2013)
    assert collection.releases == {"go": ontology.RELEASE_2013, "names": "2025-09-26"}
    assert not len(collection.exclusions) and list(collection.exclusions) == ["what", "species", "reason", "n"]
    assert [path.name for path in collection.files] == list(proteomes.SAMPLE) and all(
        p.is_file() for p in collection.files
    )
    with pytest.raises(InputError, match="column 'cafa': expected one of cafa5, .*; did you mean 'cafa5'"):
        proteomes.load("cafa")
