"""Pairs of positions against what one can count, and a contact statistic that finds contacts and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook.core import structures
from plmbook.core.errors import InputError
from plmbook.core.residues import parse_mutations
from plmbook.core.structures import Structure
from plmbook.stats import matched
from plmbook.variants import distances, rescue
from plmbook.variants.rescue_tables import BY_POSITION, Rescue


def spread(length, rng):
    """A chain that wanders in a box: contacts at all separations."""
    return rng.uniform(0, 30, size=(length, 3)).astype(np.float32)


def protein(name, rng, *, length=80, strength=0.0, near=0.0):
    """A scan whose value is noise, higher in contact by `strength`, and falling with separation by `near`."""
    cb = spread(length, rng)
    sequence = "".join(rng.choice(list("ACDEFGHIKL"), size=length))
    places = np.sort(rng.choice(length, size=25, replace=False))
    distance = structures.distances(cb)[places]
    apart = np.abs(places[:, None] - np.arange(length))
    values = rng.normal(size=distance.shape) + strength * (distance < 8) - near * np.log(apart + 1)
    mutations = tuple(f"{sequence[i]}{i + 1}W" for i in places)
    scores = rng.normal(size=(length, 20)).astype(np.float32)
    arrays = {name: values.astype(np.float32) for name in BY_POSITION}
    scan = Rescue(name, "fake", sequence, mutations, scores, None, arrays)
    return scan, Structure(name, sequence, cb, rng.uniform(60, 100, size=length).astype(np.float32))


def pairs_of(seed, **options):
    rng = np.random.default_rng(seed)
    proteins = [protein(f"G{n}", rng, **options) for n in range(8)]
    return pd.concat([distances.position_pairs(*each) for each in proteins], ignore_index=True)


def test_pairs_by_hand():
    """Two variants at position 2, one at 9: values are means over variants; the double mutant is left out."""
    sequence = "MKRLVAEDGHKR"
    variants = [parse_mutations(text) for text in ("K2A", "G9A", "K2C", "K2D:G9A")]
    scan = rescue.scan_protein(FakeModel(seeded), sequence, variants, id="toy")
    cb = np.zeros((12, 3), dtype=np.float32)
    cb[:, 0] = np.arange(12)
    plddt = np.full(12, 90.0, dtype=np.float32)
    plddt[10] = 50.0  # position 11 does not count
    found = distances.position_pairs(scan, Structure("toy", sequence, cb, plddt))
    assert list(zip(found["position"], found["partner"], strict=True)) == [
        *((2, j) for j in (8, 9, 10, 12)),
        *((9, j) for j in (1, 2, 3)),
    ]
    values = scan.by_position["mean_abs_epistasis"]
    expected = [*(values[[0, 2]][:, [7, 8, 9, 11]].mean(axis=0)), *values[1, [0, 1, 2]]]
    np.testing.assert_allclose(found["value"], expected, rtol=1e-6)
    own, partner = (found.groupby(name)["value"].transform("mean") for name in ("position", "partner"))
    np.testing.assert_allclose(found["corrected"], found["value"] - own * partner / found["value"].mean())
    assert found["n_variants"].tolist() == [2] * 4 + [1] * 3
    assert found["distance"].tolist() == found["separation"].tolist() == [6, 7, 8, 10, 8, 7, 6]
    assert (found["plddt"] == 90).all() and found["gene"].unique().tolist() == ["toy"]
    np.testing.assert_allclose(found["entropy"], distances.entropy(scan.score_wild_type)[found["partner"] - 1])
    with pytest.raises(InputError, match="toy: the structure other has another sequence"):
        distances.position_pairs(scan, Structure("other", sequence[:-1], cb[:-1], plddt[:-1]))


def test_entropy_of_a_sure_and_of_an_unsure_position():
    scores = np.full((3, 20), -100.0)
    scores[0, 3] = 0.0
    scores[1, [3, 4]] = 0.0
    scores[2] = np.nan
    found = distances.entropy(scores)
    np.testing.assert_allclose(found[:2], [0, np.log(2)], atol=1e-12)
    assert np.isnan(found[2])


def test_contacts_are_found_where_there_is_something_to_find():
    found = distances.contact_auroc(pairs_of(0, strength=1.0), n=100)
    assert list(found.columns[:3]) == ["cutoff", "nearest", "matched"]
    assert len(found) == 2 * 2 * len(distances.CONTROLS)
    at_8 = found[(found["cutoff"] == 8) & (found["nearest"] == 6)]
    assert (at_8["auroc"] > 0.65).all() and (at_8["low"] > 0.5).all() and (at_8["p"] < 0.02).all()
    at_10 = found[(found["cutoff"] == 10) & (found["nearest"] == 6)]
    assert (at_10["auroc"] < at_8["auroc"].min()).all()  # half of these pairs are no contact at 8
    assert (at_10["n_contacts"].to_numpy() > at_8["n_contacts"].to_numpy()).all()


def test_what_separation_alone_explains_does_not_count():
    """Values fall with separation, and near pairs touch more often: unmatched, that looks like knowledge."""
    pairs = pairs_of(1, near=3.0)
    rng = np.random.default_rng(1)
    touching = rng.random(len(pairs)) < np.where(pairs["separation"] < 24, 0.3, 0.03)
    pairs = pairs.assign(distance=np.where(touching, 5.0, 20.0), contact=touching)
    unmatched = matched.auroc(pairs, value="value", case="contact", strata=[], n=20)
    found = distances.contact_auroc(pairs, cutoffs=(8.0,), ranges=(6,), n=100)
    assert unmatched.value > 0.7
    assert (found["auroc"] < 0.6).all() and (found["auroc"] - 0.5).abs().max() < (unmatched.value - 0.5) / 3


def test_a_position_that_moves_everything_does_not_count():
    pairs = pairs_of(2)
    pairs["value"] += 100.0 * pairs.groupby(["gene", "position"])["distance"].transform(lambda d: (d < 8).sum())
    found = distances.contact_auroc(pairs, cutoffs=(8.0,), ranges=(6,), n=50)
    assert found["auroc"].between(0.4, 0.6).all()


def test_a_partner_that_moves_for_everyone_is_corrected():
    """Partners that answer to all variants hide the contacts from the value, and not from the corrected one."""
    rng = np.random.default_rng(6)
    parts = []
    for n in range(8):
        scan, model = protein(f"G{n}", rng, strength=1.0)
        loud = np.exp(2 * rng.normal(size=len(scan.sequence)))
        by_position = {"z": (scan.by_position["z"] + 10) * loud}
        parts.append(distances.position_pairs(replace(scan, by_position=by_position), model, value="z"))
    options = {"cutoffs": (8.0,), "ranges": (6,), "controls": {"separation": ()}, "n": 20}
    pairs = pd.concat(parts, ignore_index=True)
    raw, corrected = (
        distances.contact_auroc(pairs, value=name, **options)["auroc"][0] for name in ("value", "corrected")
    )
    assert raw < 0.55 and corrected > 0.6


def test_the_numbers_of_genes_are_behind_the_mean():
    pairs = pairs_of(3, strength=1.0)
    genes = distances.gene_contact_aurocs(pairs)
    found = distances.contact_auroc(pairs, cutoffs=(8.0,), ranges=(6,), controls={"separation": ()}, n=20)
    assert found["auroc"][0] == pytest.approx(genes["auroc"].mean())
    assert found["n_contacts"][0] == genes["n_cases"].sum() and found["n_genes"][0] == len(genes)


def test_an_experimental_structure_has_no_plddt_to_match():
    rng = np.random.default_rng(4)
    scan, model = protein("toy", rng, strength=1.0)
    experimental = Structure(model.id, model.sequence, model.cb, np.full_like(model.plddt, np.nan))
    pairs = distances.position_pairs(scan, experimental)
    found = distances.contact_auroc(pairs, cutoffs=(8.0,), ranges=(6,), n=20).set_index("matched")["auroc"]
    assert found["separation"] == found["separation, pLDDT"] > 0.6


def test_scans_of_one_protein_only_need_their_numbers():
    """Nothing but the numbers a position is read: a stand-in without candidates and maps will do."""
    scan, model = protein("toy", np.random.default_rng(5))
    slim = SimpleNamespace(
        id=scan.id,
        sequence=scan.sequence,
        mutations=scan.mutations,
        score_wild_type=scan.score_wild_type,
        by_position={"z": scan.by_position["z"]},
    )
    assert len(distances.position_pairs(slim, model, value="z")) == len(distances.position_pairs(scan, model))
