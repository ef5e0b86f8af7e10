"""The scan of a table: samples, what is kept of each gene, and residues that were put in another place."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.core.residues import parse_mutations
from plmbook.core.structures import Structure
from plmbook.variants import rescue, rescue_tables, scans

SEQUENCES = {"AAA1": "MKRLVAEDGHMKRLVAEDGH", "BBB2": "GHWYCMKRLVAEDGHAAA"}
VARIANTS = pd.DataFrame(
    [
        ("AAA1", "R3W", 3, "W", "P/LP"),
        ("AAA1", "K2A", 2, "A", "VUS"),
        ("AAA1", "K2C", 2, "C", "B/LB"),
        ("BBB2", "G1W", 1, "W", "VUS"),
    ],
    columns=["gene", "mutation", "position", "alt", "significance"],
)
MODEL = FakeModel(seeded)


def structure(name):
    length = len(SEQUENCES[name])
    cb = np.zeros((length, 3), dtype=np.float32)
    cb[:, 0] = np.arange(length)
    return Structure(name, SEQUENCES[name], cb, np.full(length, 90.0, dtype=np.float32))


@pytest.fixture(scope="module")
def found():
    orthologs = tables.load("orthologs").head(0)
    folds = {name: structure(name) for name in SEQUENCES}
    return scans.scan_table([MODEL], "fake", VARIANTS, SEQUENCES, structures=folds, orthologs=orthologs, top=5)


def test_every_variant_is_there_once_and_says_what_its_own_scan_says(found):
    assert found.variants[["id", "mutation"]].values.tolist() == VARIANTS[["gene", "mutation"]].values.tolist()
    tables.check(found.candidates, rescue_tables.RESCUE, where="toy")
    for table in found:
        assert (table["model"] == "fake").all()
    (block,) = rescue.scores(MODEL, SEQUENCES["AAA1"], [parse_mutations("K2A")])
    row = found.variants.set_index("mutation").loc["K2A"]
    assert row["best_epistasis"] == pytest.approx(np.nanmax(np.delete(block.epistasis[0], 1, axis=0)))
    assert row["score_wild_type"] == pytest.approx(block.score_wild_type[1, 0])


def test_pairs_are_of_labelled_variants_alone(found):
    """BBB2 has a VUS only: it is scanned, and has no pairs; at position 2 of AAA1 the VUS does not count."""
    assert set(found.pairs["gene"]) == {"AAA1"} and set(found.pairs["position"]) == {2, 3}
    (block,) = rescue.scores(MODEL, SEQUENCES["AAA1"], [parse_mutations("K2C")])
    row = found.pairs[(found.pairs["position"] == 2) & (found.pairs["partner"] == 12)].iloc[0]
    assert row["score"] == pytest.approx(abs(block.score_background[0, 11].sum() / 19), rel=1e-5)
    assert row["wild"] == pytest.approx(np.abs(block.score_wild_type[11]).sum() / 19, rel=1e-5)


def test_a_sample_keeps_the_order_and_the_limit():
    rows = pd.DataFrame({"gene": ["A"] * 9 + ["B"] * 2, "number": range(11)})
    few = scans.sample(rows, 4, seed=1)
    assert few["gene"].value_counts().to_dict() == {"A": 4, "B": 2} and few["number"].is_monotonic_increasing
    pd.testing.assert_frame_equal(few, scans.sample(rows, 4, seed=1))
    assert not few.equals(scans.sample(rows, 4, seed=2))
    assert scans.sample(rows, 0, seed=1) is rows


def test_a_residue_in_another_place_is_scanned_at_both():
    moved = pd.DataFrame(
        [("AAA1", "K5W", 5, 2, "W"), ("AAA1", "R4L", 4, 3, "L")],  # the second would be the wild type's own residue
        columns=["gene", "mutation", "position", "aligned_position", "alt"],
    )
    twice = scans.misplaced([MODEL], moved, SEQUENCES)
    assert twice[["clinvar", "right", "scanned"]].values.tolist() == [["K5W", "K2W", "V5W"]]
    assert twice["spearman"].between(-1, 1).all() and twice["same_best"].dtype == bool
