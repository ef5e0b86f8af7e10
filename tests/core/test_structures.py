"""Geometry of structures: where C-beta is, and which residues touch."""

import numpy as np
import pytest

from plmbook import tables
from plmbook.core.structures import c_beta

# C-alpha at the origin, N and C in the plane of x and y, 111 degrees apart: u and v of the docstring of c_beta.
HALF = np.deg2rad(111 / 2)
N_, C_ = 1.46 * np.array([np.cos(HALF), np.sin(HALF), 0]), 1.52 * np.array([np.cos(HALF), -np.sin(HALF), 0])


def angle(a, b):
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_c_beta_by_hand():
    """1.53 A away, at the two angles, opposite to N and C (x < 0), and below the plane, as L-amino acids have it.

    u x v = (cos, sin, 0) x (cos, -sin, 0) points to -z.  Seen from the hydrogen (z > 0, looking down), C, the side
    chain and N are at -55.5, 180 and 55.5 degrees: clockwise, which is the CO-R-N rule of L.
    """
    beta = c_beta(N_[None], np.zeros((1, 3)), C_[None])[0]
    assert np.linalg.norm(beta) == pytest.approx(1.53)
    assert angle(beta, N_) == pytest.approx(110.5) and angle(beta, C_) == pytest.approx(110.1)
    assert beta[0] < 0 and beta[2] < 0
    # x from both angles: (cos 110.5 + cos 110.1) / 2 cos 55.5 = -0.6126; z from the length
    np.testing.assert_allclose(beta / 1.53, [-0.6126, -0.0040, -0.7904], atol=2e-4)


def test_c_beta_turns_with_the_backbone_and_is_mirrored_with_it():
    moved = c_beta(N_[None, [1, 2, 0]] + 7, np.full((1, 3), 7.0), C_[None, [1, 2, 0]] + 7)
    still = c_beta(N_[None], np.zeros((1, 3)), C_[None])
    np.testing.assert_allclose(moved - 7, still[:, [1, 2, 0]])
    swapped = c_beta(C_[None], np.zeros((1, 3)), N_[None])
    assert swapped[0, 2] > 0  # N and C exchanged: the other hand


def test_three_atoms_on_a_line_have_no_c_beta():
    assert np.isnan(c_beta(N_[None], np.zeros((1, 3)), -N_[None])).all()


def test_c_beta_is_where_the_bundled_structures_have_it():
    """AlphaFold2 models of the 53 genes: 0.08 angstrom apart on average."""
    both = tables.load("backbone").merge(tables.load("structures"), on=["gene", "position"])
    both = both[both["residue"] != "G"]
    n, ca, c, cb = (both[[f"{atom}_{axis}" for axis in "xyz"]].to_numpy(float) for atom in ("n", "ca", "c", "cb"))
    apart = np.linalg.norm(c_beta(n, ca, c) - cb, axis=1)
    assert len(apart) > 20_000 and apart.mean() < 0.1 and np.quantile(apart, 0.99) < 0.3
