"""What a scan keeps: maps of one byte a number, and the tables that are saved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.variants import rescue
from plmbook.variants.rescue_tables import ABSENT, RESCUE_MAPS, RESCUE_WILD_TYPE, quantise

SEQUENCE = "MKRLVAEDGH"
VARIANTS = [parse_mutations(text) for text in ("R3H", "D8N")]
NUMBERS = st.floats(-50, 50, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30) | st.just(np.nan)


def dequantised(codes, scales):
    """The numbers behind `quantise`, NaN where absent: of one map (L, 20), or of n with their scales (n, 1, 1)."""
    return np.where(codes == ABSENT, np.nan, codes * scales)


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.just(20)), elements=NUMBERS))
def test_a_map_of_int8_is_within_half_a_step(numbers):
    codes, scale = quantise(numbers)
    assert codes.dtype == np.int8 and scale.dtype == np.float32
    found = dequantised(codes, scale)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(numbers))
    there = ~np.isnan(numbers)
    largest = np.abs(numbers[there]).max(initial=0)
    assert (np.abs(found - numbers)[there] <= 0.5001 * scale).all() and scale == pytest.approx(largest / 127)


def test_maps_are_the_epistasis_of_the_second_sites():
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, VARIANTS, maps=True)
    (block,) = rescue.scores(FakeModel(seeded), SEQUENCE, VARIANTS)
    numbers = dequantised(found.maps, found.scales[:, None, None])
    for number, j in enumerate((2, 7)):
        assert (found.maps[number, j] == ABSENT).all() and np.isnan(numbers[number, j]).all()
        others = np.delete(np.arange(len(SEQUENCE)), j)
        error = np.abs(numbers[number] - block.epistasis[number])[others]
        assert error.max() <= 0.5001 * found.scales[number]
    assert rescue.scan_protein(FakeModel(seeded), SEQUENCE, VARIANTS).maps is None


def test_maps_and_the_wild_type_as_tables():
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, VARIANTS, id="toy", maps=True)
    maps = tables.check(found.map_table, RESCUE_MAPS, where="maps")
    assert maps["mutation"].tolist() == ["R3H", "D8N"] and (maps["scale"].to_numpy() == found.scales).all()
    codes = np.array([np.frombuffer(each, dtype=np.int8).reshape(-1, 20) for each in maps["epistasis"]])
    np.testing.assert_array_equal(codes, found.maps)
    wild = tables.check(found.wild_type_table, RESCUE_WILD_TYPE, where="wild type")
    assert "".join(wild["ref"]) == SEQUENCE and wild["position"].tolist() == list(range(1, 11))
    np.testing.assert_array_equal(wild[list(AMINO_ACIDS)], found.score_wild_type)
    without = rescue.scan_protein(FakeModel(seeded), SEQUENCE, VARIANTS).map_table
    assert without.empty and list(without.columns) == list(RESCUE_MAPS.names)
