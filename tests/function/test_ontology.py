"""The Gene Ontology: reading it, the true-path rule; on graphs that one can check by eye."""

import gzip

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.function import ontology

MF, CC = "molecular_function", "cellular_component"


def graph(edges, namespaces=None, *, names=None, obsolete=(), replaced_by=None, alternatives=None):
    """Edges as `child>parent` with the relation after a colon, is_a without one."""
    rows = []
    for edge in edges:
        pair, _, relation = edge.partition(":")
        rows.append((*pair.split(">"), relation or "is_a"))
    names = names or sorted({term for child, parent, _ in rows for term in (child, parent)})
    terms = pd.DataFrame(
        {
            "go_id": names,
            "name": names,
            "namespace": [(namespaces or {}).get(name, MF) for name in names],
            "obsolete": [name in obsolete for name in names],
            "replaced_by": [(replaced_by or {}).get(name, "") for name in names],
            "alternatives": [(alternatives or {}).get(name, ()) for name in names],
        }
    )
    return ontology.Ontology(terms, pd.DataFrame(rows, columns=["child", "parent", "relation"]), "toy")


def pairs(*words):
    """`p:t` is protein p with term t."""
    return pd.DataFrame([word.split(":") for word in words], columns=["id", "go_id"], dtype="str")


def of(found):
    return [f"{row.id}:{row.go_id}" for row in found.itertuples()]


DIAMOND = graph(["d>b", "d>c:part_of", "b>a", "c>a", "d>x:regulates", "x>a"])


def test_ancestors_go_along_is_a_and_part_of():
    found = ontology.propagate(pairs("p:d", "q:b", "p:d"), DIAMOND)
    assert of(found.annotations) == ["p:a", "p:b", "p:c", "p:d", "q:a", "q:b"]
    assert len(found.exclusions) == 0 and found.n_alternative == 0


def test_other_relations_are_asked_for():
    assert of(ontology.propagate(pairs("p:d"), DIAMOND, ("is_a",)).annotations) == ["p:a", "p:b", "p:d"]
    assert "p:x" in of(ontology.propagate(pairs("p:d"), DIAMOND, ("is_a", "regulates")).annotations)
    with pytest.raises(InputError, match="relations isa: the ontology has is_a, part_of, regulates"):
        ontology.propagate(pairs("p:d"), DIAMOND, ("isa",))


def test_another_namespace_is_not_entered():
    mixed = graph(["b>a", "b>y:part_of", "y>z"], {"y": CC, "z": CC})
    assert of(ontology.propagate(pairs("p:b"), mixed).annotations) == ["p:a", "p:b"]


def test_what_has_no_ancestors_here_is_counted():
    live = graph(
        ["b>a"], names=["a", "b", "o", "r"], obsolete=("o", "r"), replaced_by={"r": "b"}, alternatives={"b": ("b2",)}
    )
    found = ontology.propagate(pairs("p:b2", "q:b2", "p:o", "p:r", "q:r", "q:r", "p:none"), live)
    assert of(found.annotations) == ["p:a", "p:b", "q:a", "q:b"]
    assert found.n_alternative == 2
    assert found.exclusions.values.tolist() == [
        ["none", "no such term", 1, 1],
        ["o", "obsolete", 1, 1],
        ["r", "obsolete; replaced by b", 3, 2],
    ]


def test_nothing_but_excluded_terms_gives_an_empty_table():
    found = ontology.propagate(pairs("p:none"), DIAMOND)
    assert len(found.annotations) == 0 and list(found.annotations) == ["id", "go_id"] and len(found.exclusions) == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: graph(["b>a", "c>b", "a>c"]), "a cycle, .* -> .*; a term cannot be its own ancestor"),
        (lambda: graph(["a>a"]), "a cycle"),
        (lambda: graph(["b>a"], names=["b"]), r"parent a of a relation is no term \(1 such\)"),
        (lambda: graph(["b>a"], alternatives={"b": ("a",)}), "a names two terms"),
        (lambda: graph([], names=["a", "a"]), "a names two terms"),
        (lambda: ontology.Ontology(DIAMOND.terms.drop(columns="name"), DIAMOND.relations, "toy"), "no column 'name'"),
        (lambda: ontology.propagate(pairs("p:a")[["id"]], DIAMOND), "no column 'go_id'"),
    ],
)
def test_faults_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_cycle_of_other_relations_is_none_of_ours():
    circular = graph(["b>a", "a>b:has_part"])
    assert circular.ancestors() == {"a": frozenset(), "b": frozenset({"a"})}


@st.composite
def annotated(draw):
    """A random acyclic graph (a term's parents have lower numbers) and annotations of three proteins."""
    n = draw(st.integers(2, 9))
    edges = [f"t{i}>t{j}:{draw(st.sampled_from(['is_a', 'part_of']))}"
             for i in range(1, n) for j in draw(st.sets(st.integers(0, i - 1), max_size=3))]  # fmt: skip
    spaces = {f"t{i}": draw(st.sampled_from([MF, CC])) for i in range(n)}
    words = draw(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, n - 1)), min_size=1, max_size=12))
    return graph(edges, spaces, names=[f"t{i}" for i in range(n)]), pairs(*(f"{p}:t{i}" for p, i in words))


@settings(max_examples=150, deadline=None)
@given(annotated())
def test_a_parent_has_every_protein_of_its_children(case):
    toy, given_pairs = case
    found = ontology.propagate(given_pairs, toy).annotations
    matrix = pd.crosstab(found["id"], found["go_id"]).reindex(columns=toy.terms["go_id"], fill_value=0)
    assert set(map(tuple, given_pairs.values)) <= set(map(tuple, found.values))
    for child, parents in toy.parents().items():
        for parent in parents:
            assert (matrix[parent] >= matrix[child]).all()
    assert ontology.violations(found, toy)["n_lacking"].sum() == 0
    assert ontology.propagate(found, toy).annotations.equals(found)


def test_violations_are_counted_by_relation():
    found = ontology.violations(pairs("p:d", "q:d", "q:b", "q:a"), DIAMOND)
    assert found.values.tolist() == [["d", "c", 2, 2], ["d", "b", 2, 1], ["b", "a", 1, 0]]


OBO = """format-version: 1.2
data-version: releases/2023-01-01
ontology: go

[Term]
id: GO:0000001
name: root of functions
namespace: molecular_function
alt_id: GO:0000009
alt_id: GO:0000008

[Term]
id: GO:0000002
name: a function
namespace: molecular_function
is_a: GO:0000001 ! root of functions
relationship: part_of GO:0000004 ! a part
relationship: regulates GO:0000001 ! root of functions

[Term]
id: GO:0000003
name: obsolete function
namespace: molecular_function
is_obsolete: true
replaced_by: GO:0000002

[Term]
id: GO:0000004
name: a part
namespace: cellular_component

[Typedef]
id: part_of
name: part of
"""


@pytest.mark.parametrize("zipped", [False, True])
def test_obo_with_obsolete_terms_alternatives_and_release(tmp_path, zipped):
    path = tmp_path / ("go.obo.gz" if zipped else "go.obo")
    path.write_bytes(gzip.compress(OBO.encode()) if zipped else OBO.encode())
    found = ontology.read_obo(path)
    assert found.release == "releases/2023-01-01"
    assert found.terms.values.tolist() == [
        ["GO:0000001", "root of functions", MF, False, "", ("GO:0000008", "GO:0000009")],
        ["GO:0000002", "a function", MF, False, "", ()],
        ["GO:0000003", "obsolete function", MF, True, "GO:0000002", ()],
        ["GO:0000004", "a part", CC, False, "", ()],
    ]
    assert sorted(found.relations["relation"]) == ["is_a", "part_of", "regulates"]
    assert found.ancestors()["GO:0000002"] == {"GO:0000001"}  # part_of leads to another namespace
    assert "GO:0000003" not in found.ancestors()


@pytest.mark.parametrize("text", ["", "no ontology\n", "<html></html>\n", "format-version: 1.2\n"])
def test_what_is_no_obo_is_named(tmp_path, text):
    (tmp_path / "x.obo").write_text(text)
    with pytest.raises(InputError, match="x.obo"):
        ontology.read_obo(tmp_path / "x.obo")
    with pytest.raises(InputError, match="no such file"):
        ontology.read_obo(tmp_path / "y.obo")


def test_the_bundled_relations_make_an_ontology():
    found = ontology.read_relations()
    terms = tables.load("go_terms")
    assert len(found.terms) == terms["in_2013"].sum() == len(terms) - 54
    ancestors = found.ancestors()
    assert {"GO:0005634", "GO:0005575"} <= ancestors["GO:0005654"]  # the nucleoplasm is in the nucleus
    assert "GO:0016020" in ancestors["GO:0005886"]  # the plasma membrane is a membrane
    roots = {term for term in ancestors if not ancestors[term]}
    assert roots == {"GO:0003674", "GO:0005575", "GO:0008150"}


def test_the_bundled_annotations_are_direct_and_become_propagated():
    annotations = tables.load("go_annotations")
    rows = annotations[annotations["column"] == "cafa5"]
    graph_2013 = ontology.read_relations()
    lacking = ontology.violations(rows[rows["go_id"].isin(set(graph_2013.terms["go_id"]))], graph_2013)
    assert (lacking["n_lacking"].sum(), lacking["n_proteins"].sum()) == (78_378, 82_709)
    found = ontology.propagate(rows, graph_2013)
    assert ontology.violations(found.annotations, graph_2013)["n_lacking"].sum() == 0
    assert len(found.annotations) == 338_391
    assert found.exclusions["n_annotations"].sum() == 1_685
    assert set(found.exclusions["go_id"]) <= set(ontology.lost_terms()["go_id"])
    assert len(ontology.lost_terms()) == 54
