"""Labels from the nearest protein: vectors made by hand, ties, votes, and the bundled table."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.probing import neighbours
from plmbook.tables import bundled

# Four references around their mean (1, 1): right, up, left, down.
REFERENCES = np.array([[3.0, 1.0], [1.0, 3.0], [-1.0, 1.0], [1.0, -1.0]])
LABELS = pd.DataFrame({"id": ["r0", "r1", "r2", "r3"], "localisation": ["east", "north", "west", "south"]})


def queries(*labels):
    return pd.DataFrame({"id": [f"q{i}" for i in range(len(labels))], "localisation": labels})


def test_the_nearest_by_hand():
    """From the mean, (2, 1.5) points 27 degrees above east; (1, 9) due north; (-9, 0) nearly west."""
    places, cosines = neighbours.nearest(np.array([[2.0, 1.5], [1.0, 9.0], [-9.0, 0.0]]), REFERENCES, k=2)
    assert places.tolist() == [[0, 1], [1, 0], [2, 3]]
    assert cosines[0] == pytest.approx([2 / np.sqrt(5), 1 / np.sqrt(5)])
    assert cosines[1].tolist() == [1.0, 0.0]


def test_centring_is_on_the_references_and_changes_the_answer():
    """(1, 0.9) points halfway between two references as seen from the origin, and due south from the mean."""
    query = np.array([[1.0, 0.9]])
    places, _ = neighbours.nearest(query, REFERENCES)
    assert places.tolist() == [[3]]
    plain = (query / np.linalg.norm(query)) @ (REFERENCES / np.linalg.norm(REFERENCES, axis=1, keepdims=True)).T
    assert plain.argmax() != 3


def test_equal_references_are_taken_in_their_order():
    """Halfway between east and north, and two copies of one reference."""
    places, cosines = neighbours.nearest(np.array([[2.0, 2.0]]), REFERENCES, k=4)
    assert places.tolist() == [[0, 1, 2, 3]] and cosines[0, 0] == cosines[0, 1] and cosines[0, 2] == cosines[0, 3]
    copies = np.random.default_rng(0).normal(size=(50, 37))
    copies[[4, 20, 44]] = copies[11]
    places, cosines = neighbours.nearest(copies[[11]], copies, k=4)
    assert places.tolist() == [[4, 11, 20, 44]] and np.ptp(cosines) == 0


def test_the_same_as_a_library_and_independent_of_the_batch(monkeypatch):
    rng = np.random.default_rng(1)
    asked, known = rng.normal(size=(40, 12)), rng.normal(size=(90, 12)) + 3
    places, cosines = neighbours.nearest(asked, known, k=5)
    mean = known.mean(axis=0)
    distance, expected = NearestNeighbors(metric="cosine").fit(known - mean).kneighbors(asked - mean, 5)
    assert np.array_equal(places, expected)
    assert cosines == pytest.approx(1 - distance, abs=1e-8)
    monkeypatch.setattr(neighbours, "_CHUNK", 7)
    again, _ = neighbours.nearest(asked, known, k=5)
    assert np.array_equal(places, again)
    moved, _ = neighbours.nearest((asked + 7) * 2, (known + 7) * 2, k=5)
    assert np.array_equal(places, moved)


def test_a_vector_at_the_mean_is_equally_far_from_all():
    places, cosines = neighbours.nearest(np.array([[1.0, 1.0]]), REFERENCES)
    assert places.tolist() == [[0]] and cosines.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("asked", "known", "k", "said"),
    [
        (np.zeros((1, 3)), REFERENCES, 1, "shapes"),
        (np.zeros((1, 2)), REFERENCES[:0], 1, "shapes"),
        (np.full((1, 2), np.nan), REFERENCES, 1, "not finite"),
        (np.zeros((1, 2)), REFERENCES, 5, "expected 1 to 4"),
        (np.zeros((1, 2)), REFERENCES, 0, "expected 1 to 4"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(asked, known, k, said):
    with pytest.raises(InputError, match=said):
        neighbours.nearest(asked, known, k=k)


def test_transfer_names_the_neighbour():
    found = neighbours.transfer(queries("east", "west"), LABELS, np.array([[5.0, 1.0], [1.0, 5.0]]), REFERENCES)
    assert found.to_dict("records") == [
        {"id": "q0", "truth": "east", "predicted": "east", "neighbour": "r0", "similarity": 1.0},
        {"id": "q1", "truth": "west", "predicted": "north", "neighbour": "r1", "similarity": 1.0},
    ]


def test_a_protein_is_not_its_own_neighbour():
    with pytest.raises(InputError, match="1 proteins are queries and references, such as r1"):
        neighbours.transfer(LABELS[1:2], LABELS, REFERENCES[1:2], REFERENCES)
    with pytest.raises(InputError, match="3 vectors for 4 references"):
        neighbours.transfer(queries("east"), LABELS, REFERENCES[:1], REFERENCES[:3])


def test_commonest_is_one_label_and_of_equal_ones_the_first_by_name():
    known = pd.DataFrame({"id": list("abcd"), "localisation": ["z", "y", "y", "z"]})
    found = neighbours.commonest(queries("y", "z"), known)
    assert list(found) == ["id", "truth", "predicted", "neighbour", "similarity"]
    assert found["predicted"].tolist() == ["y", "y"]
    assert neighbours.estimate(found, neighbours.mcc, n=20).value == 0


def test_composition_by_hand():
    found = neighbours.composition(["AACX", "YYYY"])
    assert found[0, 0] == pytest.approx(2 / 3) and found[0, 1] == pytest.approx(1 / 3) and found[1, 19] == 1
    assert found.sum(axis=1) == pytest.approx([1, 1])


def test_estimates_of_known_predictions():
    """Six queries, four right: of a three, of b one."""
    table = pd.DataFrame({"truth": list("aaaabb"), "predicted": list("aaabab")})
    accuracy = neighbours.estimate(table, n=400, seed=2)
    assert accuracy.value == pytest.approx(4 / 6) and accuracy.n == 6
    assert accuracy.low < 4 / 6 < accuracy.high
    assert accuracy == neighbours.estimate(table, n=400, seed=2)
    assert neighbours.estimate(table, neighbours.mcc, n=20).value == pytest.approx((3 * 1 - 1 * 1) / (4 * 2))
    with pytest.raises(InputError, match="no prediction"):
        neighbours.estimate(table.head(0))


def test_random_labels_are_found_at_their_base_rate():
    rng = np.random.default_rng(3)
    known = pd.DataFrame({"id": [f"r{i}" for i in range(400)], "localisation": rng.choice(list("ab"), 400)})
    asked = queries(*rng.choice(list("ab"), 400))
    found = neighbours.transfer(asked, known, rng.normal(size=(400, 5)), rng.normal(size=(400, 5)))
    assert abs(neighbours.estimate(found, n=20).value - 0.5) < 0.1
    assert abs(neighbours.estimate(found, neighbours.mcc, n=20).value) < 0.2


@pytest.fixture(scope="module")
def table():
    return tables.load("localisation")


def test_bundled_counts(table):
    assert table["split"].value_counts().to_dict() == {"train": 1502, "test": 700}
    counts = table.groupby(["split", "localisation"]).size().unstack("split")
    assert set(counts.index) == set(bundled.LOCALISATIONS)
    assert counts["test"].to_dict() == {
        "Cell membrane": 64,
        "Cytoplasm": 120,
        "Endoplasmic reticulum": 46,
        "Extracellular": 109,
        "Golgi apparatus": 18,
        "Lysosome/Vacuole": 16,
        "Mitochondrion": 85,
        "Nucleus": 192,
        "Peroxisome": 8,
        "Plastid": 42,
    }
    assert table["length"].between(40, 1022).all()


def test_bundled_no_sequence_occurs_twice_and_none_of_test_is_in_training(table):
    assert table["sequence"].is_unique
    assert set("".join(table["sequence"])) <= set(AMINO_ACIDS + "XUBZ")


def test_bundled_composition_says_more_than_the_commonest_label(table):
    train, test = (table[table["split"] == split].reset_index(drop=True) for split in ("train", "test"))
    vectors = (neighbours.composition(rows["sequence"]) for rows in (test, train))
    found = neighbours.transfer(test, train, *vectors)
    assert neighbours.estimate(found, neighbours.mcc, n=100).low > 0.1
