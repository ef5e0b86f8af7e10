"""Spaces, neighbours, maps and retrieval on a few proteins made by hand; then a third species, from its files on."""

import gzip

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.book.figures import maps
from plmbook.book.style import SPECIES_COLOURS, group_styles
from plmbook.core.errors import InputError
from plmbook.core.kmers import kmer_counts
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode
from plmbook.function import ontology, proteome_map, proteomes, splits
from plmbook.function.proteome_map import Space
from plmbook.probing import neighbours
from plmbook.tables import bundled

# Four directions from the mean (1, 1): right, nearly right, up, left.
VECTORS = np.array([[4.0, 1.0], [2.0, 1.1], [1.0, 2.9], [-3.0, -1.0]])
TABLE = pd.DataFrame(
    {
        "id": ["h1", "h2", "m1", "m2"],
        "species": ["human", "human", "mouse", "mouse"],
        "gene": ["TTR", "ALB", "Ttr", "Trf"],
        "cluster": ["h1", "h2", "h1", "m2"],
        "ortholog": ["m1", "", "h1", ""],
    }
)


# --- spaces ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [3, 1000])
def test_neighbours_are_those_of_the_exact_search(monkeypatch, chunk):
    monkeypatch.setattr(proteome_map, "_CHUNK", chunk)
    vectors = np.random.default_rng(0).normal(size=(40, 6)) + 2
    found = proteome_map.nearest(proteome_map.embedding_space(vectors), k=5)
    expected, _ = neighbours.nearest(vectors, vectors, k=6)
    assert (expected[:, 0] == np.arange(40)).all()
    assert np.array_equal(found, expected[:, 1:])


def test_sparse_and_dense_vectors_give_the_same_neighbours():
    rng = np.random.default_rng(1)
    counts = kmer_counts(["".join(rng.choice(list("ACD"), 60)) for _ in range(30)], 3)
    sparse, dense = (proteome_map.nearest(Space(each), k=4) for each in (counts, counts.toarray()))
    assert np.array_equal(sparse, dense)


def test_relatives_are_no_neighbours_where_they_are_kept_apart():
    """On the line 0, 1, 2, 10: the second is nearest to the first and third; a cluster of the first two parts them."""
    line = Space(np.array([[0.0], [1.0], [2.0], [10.0]]), "distance")
    assert proteome_map.nearest(line, k=1).ravel().tolist() == [1, 0, 1, 2]
    assert proteome_map.nearest(line, k=1, groups=list("aabc")).ravel().tolist() == [2, 2, 1, 2]
    assert proteome_map.nearest(line, k=2, groups=list("aabc")).tolist() == [[2, 3], [2, 3], [1, 0], [2, 1]]
    with pytest.raises(InputError, match="k 3: expected 1 to 2"):
        proteome_map.nearest(line, k=3, groups=list("aabc"))


def test_whitened_dimensions_count_alike_and_go_apart():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) * [1, 10, 100, 1000]
    white = proteome_map.embedding_space(np.hstack([vectors, vectors[:, :1]]), "whitened").vectors
    assert white.shape == (300, 4)  # the copied dimension holds nothing new
    assert np.allclose(white.T @ white / 300, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("form", proteome_map.FORMS[1:])
def test_centred_forms_do_not_feel_a_shift(form):
    vectors = np.random.default_rng(3).normal(size=(20, 3))
    one, other = (proteome_map.embedding_space(each, form) for each in (vectors, vectors + 50))
    assert np.array_equal(proteome_map.nearest(one, k=3), proteome_map.nearest(other, k=3))


@pytest.mark.parametrize(
    ("vectors", "form", "said"),
    [
        ([[1.0], [np.nan]], "centred", "not finite: row 2"),
        ([1.0], "centred", "shape"),
        ([[1.0]], "centered", "did you mean 'centred'"),
    ],
)
def test_ill_vectors_are_refused(vectors, form, said):
    with pytest.raises(InputError, match=said):
        proteome_map.embedding_space(np.array(vectors), form)


# --- labels ------------------------------------------------------------------------------------------------------


def test_a_compartment_is_one_by_all_terms_and_their_ancestors():
    """The nucleolus is in the nucleus; the second has two compartments, the third a term outside all."""
    annotations = pd.DataFrame(
        [("a", "GO:0005730"), ("a", "GO:0005634"), ("b", "GO:0005634"), ("b", "GO:0005829"), ("c", "GO:0005575")],
        columns=["id", "go_id"],
    )
    place, every = proteome_map.compartments(annotations, list("abcd"), {"GO:0005730": frozenset({"GO:0005634"})})
    assert place.to_dict() == {"a": "Nucleus", "b": "several", "c": "not known", "d": "not known"}
    assert every.values.tolist() == [["a", "Nucleus"], ["b", "Cytoplasm"], ["b", "Nucleus"]]


def test_compartments_are_classes_of_deeploc_and_terms_of_the_bundled_ontology():
    assert set(bundled.LOCALISATIONS) - set(proteome_map.COMPARTMENTS) == {"Plastid"}
    terms = tables.load("go_terms").set_index("go_id").loc[list(proteome_map.COMPARTMENTS.values())]
    assert (terms["namespace"] == "cellular_component").all()


def test_bundled_compartments_agree_with_deeploc():
    pairs = tables.load("go_annotations").query("column == 'cafa5'")
    labels = tables.load("localisation").set_index("id")["localisation"]
    ids = sorted(set(tables.load("go_proteins")["id"]) & set(labels.index))
    place, _ = proteome_map.compartments(pairs, ids, ontology.read_relations().ancestors())
    known = place[place.isin(proteome_map.COMPARTMENTS)]
    assert len(known) > 50 and (known == labels[known.index]).mean() > 0.85


def test_neighbours_by_name_and_labels_that_agree():
    found = proteome_map.neighbour_table(Space(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])), list("abc"), k=1)
    assert found.round(3).values.tolist() == [["a", 1, "b", 0.707], ["b", 1, "a", 0.707], ["c", 1, "b", 0.707]]
    assert proteome_map.label_agreement(np.array([[1], [0], [0]]), list("aab")).tolist() == [1.0, 1.0, 0.0]


def test_a_linear_fit_explains_what_is_linear():
    targets = np.array([[1.0, 0.0], [3.0, 1.0], [5.0, 0.0]])
    assert proteome_map.explained(np.array([[0.0], [1.0], [2.0]]), targets).round(6).tolist() == [1.0, 0.0]


def test_the_longer_tail_of_a_component_is_positive():
    found = proteome_map.components(np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0]]), n=1)
    assert found.scores.ravel().round(6).tolist() == [-1.0, -1.0, 2.0] and found.shares.tolist() == [1.0]


def test_families_are_named_by_what_is_common_within_and_rare_outside():
    table = pd.DataFrame({"id": list("abcde"), "gene": ["KRT1", "Krt8", "KRT18", "TTR", ""], "cluster": list("xxxyz")})
    everyone = [(each, "GO:1") for each in "abcde"]
    annotations = pd.DataFrame([*everyone, ("a", "GO:2"), ("b", "GO:2")], columns=["id", "go_id"])
    found = proteome_map.families(table, annotations, {"GO:2": "filament"}, n=2)
    assert found.values.tolist() == [["x", 3, "KRT", "filament", 2 / 3], ["y", 1, "TTR", "GO:1", 1.0]]


# --- maps --------------------------------------------------------------------------------------------------------


def test_components_are_those_of_scikit_learn_but_for_the_sign():
    vectors = np.random.default_rng(4).normal(size=(50, 5)) * [5, 4, 3, 2, 1]
    found, reference = proteome_map.components(vectors, n=3), PCA(3).fit(vectors)
    assert found.shares == pytest.approx(reference.explained_variance_ratio_)
    assert np.abs(found.scores) == pytest.approx(np.abs(reference.transform(vectors)))
    again = proteome_map.components(np.vstack([vectors[25:], vectors[:25]]), n=3)  # in another order
    assert np.vstack([again.scores[25:], again.scores[:25]]) == pytest.approx(found.scores)


def test_a_component_along_length_is_seen():
    sequences = ["A" * size for size in range(1, 11)]
    found = proteome_map.property_correlations(np.arange(10.0)[:, None], sequences).set_index("property")
    assert found.loc["length", "spearman"] == pytest.approx(1) and found.loc["A", "spearman"] == 0


def test_a_map_that_is_the_space_keeps_all_and_a_shuffled_one_nothing():
    rng = np.random.default_rng(5)
    angles = np.sort(rng.uniform(0, 2, 60))
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    space = Space(circle)
    assert proteome_map.neighbours_kept(space, circle, k=3) == pytest.approx(1, abs=0.02)
    assert proteome_map.distances_kept(space, circle) == pytest.approx(1, abs=1e-6)
    shuffled = circle[rng.permutation(60)]
    assert (
        proteome_map.neighbours_kept(space, shuffled, k=3) < 0.2
        and abs(proteome_map.distances_kept(space, shuffled)) < 0.3
    )


def test_umap_keeps_two_groups_apart_the_same_way_twice(capfd):
    rng = np.random.default_rng(6)
    vectors = np.vstack([rng.normal(size=(40, 5)) + sign * np.array([8, 0, 0, 0, 0]) for sign in (-1, 1)])
    space = proteome_map.embedding_space(vectors)
    found = proteome_map.umap(space, seed=1)
    assert found.shape == (80, 2) and np.array_equal(found, proteome_map.umap(space, seed=1))
    near = proteome_map.nearest(Space(found, "distance"), k=5)
    assert (near[:40] < 40).all() and (near[40:] >= 40).all()
    assert capfd.readouterr().err == ""


def test_groups_have_styles_of_their_own_and_maps_show_them():
    styles = group_styles([f"g{number}" for number in range(12)])
    assert len(set(styles.values())) == 12
    with pytest.raises(InputError, match="16 groups; colours and marks tell 15 apart"):
        group_styles(list("abcdefghijklmnop"), colours=SPECIES_COLOURS)
    axes = {"x_axis": "x", "y_axis": "y"}
    points = pd.DataFrame([("PCA", 0, 1, "g0"), ("PCA", 1, 1, "g9"), ("UMAP", 2, 3, "none")])
    points = points.set_axis(["panel", "x", "y", "group"], axis=1).assign(**axes)
    figure = maps(points, by="group", styles=styles)
    assert [ax.get_title() for ax in figure.axes] == ["PCA", "UMAP"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["g0", "g9", "other"]
    drawn = [dots.get_offsets().data.tolist() for dots in figure.axes[0].collections]
    assert drawn == [[], [[0, 1]], [[1, 1]]]


# --- neighbours and orthologs ------------------------------------------------------------------------------------


def test_chance_is_what_random_neighbours_reach():
    rng = np.random.default_rng(7)
    labels, clusters = rng.choice(list("abc"), 60, p=[0.6, 0.3, 0.1]), rng.integers(20, size=60)
    for groups in (None, clusters):
        draws = [
            proteome_map.label_agreement(
                proteome_map.nearest(Space(rng.random((60, 1)), "distance"), k=5, groups=groups), labels
            )
            for _ in range(400)
        ]
        assert np.mean(draws) == pytest.approx(proteome_map.chance_agreement(labels, groups), abs=0.01)


def test_orthologs_are_ranked_among_all_of_the_other_species():
    """h1 is at 0; of the mouse proteins at 3 (its ortholog) and 1 the second is nearer. Back, h1 is nearest to 3."""
    space = Space(np.array([[0.0], [9.0], [3.0], [1.0]]), "distance")
    pairs = proteome_map.ortholog_pairs(TABLE, "human", "mouse")
    assert pairs.values.tolist() == [["h1", "m1", "h1"]]
    there = proteome_map.retrieve(space, TABLE, pairs, among="mouse")
    assert there.values.tolist() == [["h1", "m1", 1, 1, "m2", False]]
    assert proteome_map.recall(there, 1).tolist() == [0] and proteome_map.recall(there, 2).tolist() == [1]
    back = proteome_map.retrieve(space, TABLE, pairs, among="human")
    assert back.values.tolist() == [["m1", "h1", 0, 1, "h1", True]]


def test_recall_divides_ties():
    found = pd.DataFrame({"nearer": [0, 0, 3], "tied": [1, 4, 1]})
    assert proteome_map.recall(found, 1).tolist() == [1.0, 0.25, 0.0]


def test_ties_are_shared_among_all_orders():
    """Both mouse proteins have the length of h1: its ortholog is first in half of the orders."""
    space = proteome_map.baseline_spaces(["MKV", "MKVL", "MAA", "MCC"])["length"]
    found = proteome_map.retrieve(space, TABLE, proteome_map.ortholog_pairs(TABLE, "human", "mouse"), among="mouse")
    assert proteome_map.recall(found, 1).tolist() == [0.5] and proteome_map.recall(found, 10).tolist() == [1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"second": "mosue"}, "did you mean 'mouse'"),
        ({"second": "human"}, "twice"),
        ({"proteins": TABLE.assign(ortholog="")}, "names no orthologs"),
    ],
)
def test_orthologs_that_cannot_be_had(arguments, said):
    with pytest.raises(InputError, match=said):
        proteome_map.ortholog_pairs(**{"proteins": TABLE, "first": "human", "second": "mouse"} | arguments)


def test_pairs_that_do_not_fit_the_table_are_refused():
    space = Space(VECTORS)
    with pytest.raises(InputError, match="x9: in a pair and not in the table"):
        proteome_map.retrieve(space, TABLE, pd.DataFrame({"first": ["x9"], "second": ["m1"]}), among="mouse")
    with pytest.raises(InputError, match="one protein of 'mouse' in each pair"):
        proteome_map.retrieve(space, TABLE, pd.DataFrame({"first": ["h1"], "second": ["h2"]}), among="mouse")
    with pytest.raises(InputError, match="3 vectors for 4 proteins"):
        proteome_map.retrieve(Space(VECTORS[:3]), TABLE, pd.DataFrame({"first": [], "second": []}), among="mouse")


def test_the_bundled_orthologs_are_mutual_and_of_one_cluster():
    proteins = tables.load("go_proteins")
    pairs = proteome_map.ortholog_pairs(proteins, "human", "mouse")
    turned = proteome_map.ortholog_pairs(proteins, "mouse", "human")
    assert set(zip(pairs["first"], pairs["second"], strict=True)) == set(
        zip(turned["second"], turned["first"], strict=True)
    )
    cluster = proteins.set_index("id")["cluster"]
    assert len(pairs) == (proteins["ortholog"] != "").sum() / 2
    assert (cluster[pairs["second"]].to_numpy() == pairs["cluster"]).all()


def test_identity_is_of_the_aligned_residues():
    sequences = pd.Series({"a": "MKVLAAGWYQ", "b": "MKVLAGWYQ", "c": "MKVLAAGWUQ"})
    pairs = pd.DataFrame({"first": ["a", "a"], "second": ["b", "c"]})
    assert proteome_map.identities(pairs, sequences).tolist() == [1.0, 0.9]  # a gap; selenocysteine is read as C


# --- one more species --------------------------------------------------------------------------------------------

OBO = """format-version: 1.2
data-version: releases/2023-01-01

[Term]
id: GO:0005575
name: cellular_component
namespace: cellular_component

[Term]
id: GO:0005634
name: nucleus
namespace: cellular_component
is_a: GO:0005575 ! cellular_component

[Term]
id: GO:0005829
name: cytosol
namespace: cellular_component
is_a: GO:0005575 ! cellular_component
"""


@pytest.fixture
def three_species(tmp_path, monkeypatch):
    """Ten proteins in each of three species, the same but for a few residues; yeast is a row more in `go_species`."""
    rng = np.random.default_rng(8)
    ancestors = ["".join(rng.choice(list(AMINO_ACIDS), rng.integers(60, 120))) for _ in range(10)]
    rows = tables.load("go_species")
    yeast = ("yeast", 559292, "Saccharomyces cerevisiae", "UP000002311", "YEAST/goa_yeast")
    species = pd.concat([rows, pd.DataFrame([yeast], columns=rows.columns)], ignore_index=True)
    for letter, row in zip("HMY", species.itertuples(), strict=True):
        proteins = ["Entry\tGene Names\tOrganism (ID)\tSequence\tGene Ontology IDs"]
        lines = ["!gaf-version: 2.2", "!date-generated: 2023-01-05"]
        for number, sequence in enumerate(ancestors):
            residues = list(sequence)
            for place in rng.integers(len(residues), size=len(residues) // 10):
                residues[place] = rng.choice(list(AMINO_ACIDS))
            name, term = f"{letter}{number}", ("GO:0005634", "GO:0005829")[number % 2]
            proteins.append(f"{name}\tGENE{number}\t{row.taxon}\t{''.join(residues)}\t")
            fields = ["UniProtKB", name, name, "located_in", term, "PMID:1", "IDA", "", "C", "", "", "protein",
                      f"taxon:{row.taxon}", "20200229", "UniProt", "", ""]  # fmt: skip
            lines.append("\t".join(fields))
        text = "\n".join(proteins) + "\n"
        (tmp_path / f"uniprot-go-{row.proteome}.tsv.gz").write_bytes(gzip.compress(text.encode()))
        gaf = "\n".join(lines) + "\n"
        (tmp_path / f"{row.annotations.rsplit('/')[-1]}.gaf.gz").write_bytes(gzip.compress(gaf.encode()))
    (tmp_path / "go-basic.obo").write_text(OBO)
    monkeypatch.setenv("PLMBOOK_MIRROR", str(tmp_path))
    return proteomes.compile_proteomes(species, method="kmer")


def test_a_third_species_goes_through_the_whole_chapter(three_species):
    proteins = three_species.proteins
    assert proteins["species"].value_counts().to_dict() == {"human": 10, "mouse": 10, "yeast": 10}
    alphabet = np.array(list(AMINO_ACIDS))
    model = FakeModel(seeded, hidden=lambda sequence: np.array(list(sequence))[:, None] == alphabet)  # (L, 20)
    vectors = encode.embed(model, proteins["sequence"].tolist())
    spaces = {"model": proteome_map.embedding_space(vectors), **proteome_map.baseline_spaces(proteins["sequence"])}

    spaces["random"] = Space(np.random.default_rng(9).normal(size=(30, 20)))
    place, _ = proteome_map.compartments(three_species.annotations, proteins["id"], three_species.ontology.ancestors())
    assert place.value_counts().to_dict() == {"Nucleus": 15, "Cytoplasm": 15}
    family = proteome_map.families(proteins, three_species.annotations, {}, n=3)
    assert (family["size"] == 3).all()

    found = splits.species_pairs(proteins)
    assert found == [("human", "mouse"), ("human", "yeast"), ("mouse", "yeast")]
    for one, other in found:
        pairs = pd.DataFrame({"first": [f"{one[0].upper()}{n}" for n in range(10)]})
        pairs["second"] = other[0].upper() + pairs["first"].str[1:]
        assert (proteome_map.identities(pairs, proteins.set_index("id")["sequence"]) > 0.7).all()
        for among in (one, other):
            recalls = {
                name: proteome_map.recall(proteome_map.retrieve(space, proteins, pairs, among=among), 1).mean()
                for name, space in spaces.items()
            }
            assert recalls["3-mers"] == 1 and recalls["composition"] > 0.5 and recalls["model"] > 0.5
            assert recalls["random"] < 0.5
    near = proteome_map.nearest(spaces["3-mers"], k=2)
    assert proteome_map.label_agreement(near, proteins["cluster"]).mean() == 1
    assert proteome_map.chance_agreement(proteins["cluster"]) == pytest.approx(2 / 29)
    assert (
        proteome_map.label_agreement(near, proteins["species"]).mean() == 0
    )  # the two relatives are of the other species

    layout = proteome_map.components(vectors, n=2).scores
    points = pd.DataFrame({"panel": "PCA", "x": layout[:, 0], "y": layout[:, 1], "x_axis": "1", "y_axis": "2"})
    styles = group_styles(["human", "mouse", "yeast"], colours=SPECIES_COLOURS)
    figure = maps(points.assign(species=proteins["species"]), by="species", styles=styles)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["human", "mouse", "yeast"]
