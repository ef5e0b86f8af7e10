"""The scan against slow loops and hand-made numbers, and each defect of the published script against what ours does."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import tiny
from fakes import FakeModel, seeded, uniform
from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, MutationError, apply_mutations, parse_mutations
from plmbook.core.structures import Structure
from plmbook.engine import scan
from plmbook.models.esm import load_esm
from plmbook.variants import effects, rescue
from plmbook.variants.rescue_tables import BY_POSITION, RESCUE

SEQUENCE = "MKRLVAEDGH"
LONG = "MKRLVAEDGHWYCFNPQSTIHGDEMLVARKITSQPNFCYWKVMLRGAEDH"  # 50 residues, no window like another
A, C, D, E, K = (AMINO_ACIDS.index(letter) for letter in "ACDEK")


@pytest.fixture(scope="module")
def random_esm(tmp_path_factory):
    """A real ESM-2 of three layers with random weights; it takes 60 residues."""
    path = tiny.write(tmp_path_factory.mktemp("weights"), "esm2")
    return load_esm(tiny.card("esm2"), path=path, device="cpu", dtype="float32")


def variants_of(*texts):
    return [parse_mutations(text) for text in texts]


def all_scores(model, sequence, variants, **options):
    """The blocks of a scan put together: score_background, score_wild_type, epistasis."""
    blocks, end = list(rescue.scores(model, sequence, variants, **options)), 0
    for block in blocks:
        assert block.where.start == end and len(block.epistasis) == block.where.stop - block.where.start > 0
        assert block.epistasis.dtype == np.float32
        end = block.where.stop
    assert end == len(variants)
    background, epistasis = (np.concatenate([block[field] for block in blocks]) for field in (1, 3))
    return background, blocks[0].score_wild_type, epistasis


def double_mutants(model, sequence, variant):
    """Every second site as a variant of the mutant and of the wild type: dict (position, alt) -> the two scores."""
    taken = {mutation.position for mutation in variant}
    places = [(j, ref) for j, ref in enumerate(sequence, start=1) if j not in taken]
    seconds = [(Mutation(j, ref, alt),) for j, ref in places for alt in AMINO_ACIDS if alt != ref]
    both = [effects.score(model, text, seconds) for text in (apply_mutations(sequence, variant), sequence)]
    return {(second.position, second.alt): pair for (second,), *pair in zip(seconds, *both, strict=True)}


# The definition


def test_scores_by_hand():
    wild, mutant = np.full((2, 20), -9.0), np.full((2, 20), -9.0)
    wild[1, [K, D]] = -1.0, -4.0
    mutant[1, [K, D]] = -2.0, -2.5
    model = FakeModel({"AK": wild, "CK": mutant}.__getitem__)
    background, wild_type, epistasis = all_scores(model, "AK", variants_of("A1C"))
    assert background[0, 1, D] == -0.5  # -2.5 + 2
    assert wild_type[1, D] == -3.0  # -4 + 1
    assert epistasis[0, 1, D] == 2.5
    assert background[0, 1, K] == wild_type[1, K] == epistasis[0, 1, K] == 0
    assert model.n_sequences == 2  # one forward a background, one for the wild type


@pytest.mark.parametrize("mutation", ["R3H", "M1V", "R3H:D8N"])
def test_a_scan_is_its_double_mutants(mutation):
    variant = parse_mutations(mutation)
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, [variant], top=1000)
    expected = double_mutants(FakeModel(seeded), SEQUENCE, variant)
    assert len(found.candidates) == len(expected) == 19 * (len(SEQUENCE) - len(variant))
    for row in found.candidates.itertuples():
        background, wild_type = expected[row.position, row.alt]
        assert row.ref == SEQUENCE[row.position - 1]
        assert row.score_background == pytest.approx(background, abs=1e-5)
        assert row.score_wild_type == pytest.approx(wild_type, abs=1e-5)
        assert row.epistasis == pytest.approx(background - wild_type, abs=1e-5)


def test_a_scan_of_a_real_network_is_its_double_mutants(random_esm):
    sequence, variant = LONG[:6], parse_mutations("L4P")
    expected = double_mutants(random_esm, sequence, variant)
    found = rescue.scan_protein(random_esm, sequence, [variant], top=1000).candidates
    pairs = [expected[key] for key in zip(found["position"], found["alt"], strict=True)]
    np.testing.assert_allclose(found[["score_background", "score_wild_type"]], pairs, atol=2e-5)
    assert np.abs(found["epistasis"]).max() > 0.01  # the network does answer to its context


@pytest.mark.parametrize("sequence", [SEQUENCE, LONG, "MKXRL"])
def test_epistasis_of_the_wild_type_is_0_everywhere(sequence):
    model = FakeModel(seeded, max_length=20)
    background, wild_type, epistasis = all_scores(model, sequence, [(), ()])
    known = np.array([letter in AMINO_ACIDS for letter in sequence])
    assert (epistasis[:, known] == 0).all() and np.isnan(epistasis[:, ~known]).all()
    np.testing.assert_array_equal(background[1], wild_type)


def test_epistasis_of_the_wild_type_is_0_in_a_real_network(random_esm):
    _, _, epistasis = all_scores(random_esm, LONG, [(), *variants_of("R3H"), ()])
    assert (epistasis[[0, 2]] == 0).all() and (epistasis[1] != 0).any()


def test_a_model_that_ignores_context_has_no_epistasis():
    def by_residue(sequence):
        table = np.tile(seeded("M")[0], (len(sequence), 1))
        return table

    _, wild_type, epistasis = all_scores(FakeModel(by_residue), SEQUENCE, variants_of("R3H", "D8N"))
    assert (epistasis == 0).all() and (wild_type != 0).any()


def test_batch_and_single_agree(random_esm):
    variants = variants_of("R3H", "L4P", "D8N", "H50A", "R3H:L4P")
    together = all_scores(random_esm, LONG, variants)
    for number, variant in enumerate(variants):
        alone = all_scores(random_esm, LONG, [variant])
        np.testing.assert_allclose(alone[0][0], together[0][number], atol=1e-4)
        np.testing.assert_allclose(alone[2][0], together[2][number], atol=1e-4)


@pytest.mark.parametrize("block", [1, 25, 10**6])
def test_the_size_of_a_block_changes_nothing(block, monkeypatch):
    variants = variants_of("M1V", "R3H", "L4P", "D8N", "H10A")
    expected = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants, maps=True)
    monkeypatch.setattr(scan, "BLOCK", block)
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants, maps=True)
    pd.testing.assert_frame_equal(found.candidates, expected.candidates)
    pd.testing.assert_frame_equal(found.position_table, expected.position_table)
    np.testing.assert_array_equal(found.maps, expected.maps)


def test_where_no_window_holds_the_variant_there_is_no_epistasis():
    model = FakeModel(seeded, max_length=20)  # windows of 20 residues; everything in one depends on all of it
    _, _, epistasis = all_scores(model, LONG, variants_of("K2A"))
    touched = (epistasis[0] != 0).any(axis=1)
    assert touched[2:10].all() and not touched[20:].any()
    # a variant in the middle is read by its own windows only; the candidates are where the model has seen it
    found = rescue.scan_protein(model, LONG, variants_of("K2A"), top=5).candidates
    assert (found.loc[found["rank"] <= 5, "position"] <= 20).all()


def test_memory_does_not_grow_with_variants_times_20_l(monkeypatch):
    monkeypatch.setattr(scan, "BLOCK", 50 * len(LONG))
    variants = [(Mutation(i, ref, alt),) for i, ref in enumerate(LONG, 1) for alt in AMINO_ACIDS if alt != ref]
    whole = len(variants) * len(LONG) * 20 * 4  # bytes of one array of all backgrounds
    tracemalloc.start()
    for block in rescue.scores(FakeModel(uniform), LONG, variants):
        del block
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert whole > 3e6 and peak < whole / 3


# What is kept


def test_candidates_are_the_best_by_either_score_and_show_both_ranks():
    variants = variants_of("R3H", "D8N")
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants, id="toy", top=7).candidates
    background, _, epistasis = all_scores(FakeModel(seeded), SEQUENCE, variants)
    assert found["mutation"].unique().tolist() == ["R3H", "D8N"]
    for number, (mutation, part) in enumerate(found.groupby("mutation", sort=False)):
        sites = rescue.second_sites(SEQUENCE, parse_mutations(mutation))
        by_epistasis, by_background = part[part["rank"] <= 7], part[part["rank_background"] <= 7]
        assert by_epistasis["rank"].tolist() == list(range(1, 8)) and len(by_background) == 7
        assert len(part) == len(by_epistasis.index.union(by_background.index)) > 7
        np.testing.assert_array_equal(by_epistasis["epistasis"], np.sort(epistasis[number][sites])[::-1][:7])
        best = np.sort(background[number][sites])[::-1][:7]
        np.testing.assert_array_equal(by_background.sort_values("rank_background")["score_background"], best)
        assert part["epistasis"].is_monotonic_decreasing
        assert not (part["position"] == int(mutation[1:-1])).any()
        for row in part.itertuples():
            second = Mutation(row.position, row.ref, row.alt)
            assert rescue.rank_of(epistasis[number], sites, second) == (row.rank, sites.sum())
            assert rescue.rank_of(background[number], sites, second) == (row.rank_background, sites.sum())
    checked = tables.check(found, RESCUE, where="toy")
    pd.testing.assert_frame_equal(checked, found)


def test_equal_scores_are_taken_by_position_and_letter():
    found = rescue.scan_protein(FakeModel(uniform), "MKR", variants_of("K2A"), top=20).candidates
    assert (found["epistasis"] == 0).all()
    expected = [(j, a) for j, ref in ((1, "M"), (3, "R")) for a in AMINO_ACIDS if a != ref][:20]
    assert list(zip(found["position"], found["alt"], strict=True)) == expected
    assert (found["rank"] == 1).all() and (found["rank_background"] == 1).all()


def test_fewer_second_sites_than_asked_for():
    found = rescue.scan_protein(FakeModel(seeded), "MXK", variants_of("M1A"), top=50)
    assert found.candidates["position"].tolist() == [3] * 19
    assert np.isnan(found.by_position["mean_epistasis"][0, :2]).all()
    assert rescue.scan_protein(FakeModel(seeded), "M", variants_of("M1A")).candidates.empty


def test_distance_is_to_the_nearest_substituted_residue():
    cb = np.array([[0.0, 0, 0], [3, 4, 0], [100, 0, 0]], dtype=np.float32)
    structure = Structure("toy", "MKR", cb, np.full(3, 90.0, dtype=np.float32))
    model = FakeModel(seeded)
    found = rescue.scan_protein(model, "MKR", variants_of("M1A", "M1A:R3A"), structure=structure, top=99).candidates
    one, two = (
        found[found["mutation"] == m].groupby("position")["distance_angstrom"].first() for m in ("M1A", "M1A:R3A")
    )
    assert one.to_dict() == {2: 5.0, 3: 100.0} and two.to_dict() == {2: 5.0}
    assert rescue.scan_protein(model, "MKR", variants_of("M1A")).candidates["distance_angstrom"].isna().all()
    with pytest.raises(InputError, match="structure toy has another sequence"):
        rescue.scan_protein(model, "MKRL", variants_of("M1A"), structure=structure)


def test_cpd_counts_orthologs_with_both_residues():
    orthologs = np.array([[A, C, D], [A, C, -1], [C, C, D], [A, E, D]])
    found = rescue.scan_protein(FakeModel(seeded), "MKR", variants_of("M1A"), orthologs=orthologs, top=99).candidates
    counts = found.set_index(["position", "alt"])["cpd"]
    assert counts[counts > 0].to_dict() == {(2, "C"): 2, (2, "E"): 1, (3, "D"): 2}
    assert rescue.scan_protein(FakeModel(seeded), "MKR", variants_of("M1A")).candidates["cpd"].isna().all()
    with pytest.raises(InputError, match=r"alignment is \(4, 3\), expected \(n_species, 4\)"):
        rescue.scan_protein(FakeModel(seeded), "MKRL", variants_of("M1A"), orthologs=orthologs)


def test_the_numbers_of_a_position():
    variants = variants_of("R3H", "D8N")
    background, _, epistasis = all_scores(FakeModel(seeded), SEQUENCE, variants)
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants, id="toy").position_table
    assert len(found) == 2 * len(SEQUENCE)
    for row in found.itertuples():
        number, j = ["R3H", "D8N"].index(row.mutation), row.position - 1
        if j + 1 == int(row.mutation[1:-1]):
            assert np.isnan([row.mean_epistasis, row.max_epistasis, row.mean_score_background]).all()
            continue
        others = [k for k in range(20) if AMINO_ACIDS[k] != SEQUENCE[j]]
        e, s = epistasis[number, j, others], background[number, j, others]
        expected = [e.mean(), e.max(), np.abs(e).mean(), s.mean(), s.max()]
        assert [getattr(row, name) for name in BY_POSITION[:5]] == pytest.approx(expected, abs=1e-5)


# The published score


def test_z_by_hand():
    """Two residues, two variants: at 2 the means over the 19 others are -1 and -3, at 1 the reference is the variant's.

    At position 2 (K, the same in both backgrounds): ln p(K) is 1 and 3 above all others.  m = -1, -3; mean -2, sd 1.
    At position 1: on CK ln p is -1 for C, -2 for A, -3 for the other 18: against C, m = (-1 - 2 * 18) / 19 = -37/19; on
    DK it is -1 for D and -2 for the other 19: m = -1.  Mean -28/19, and z = -1, 1 again, since there are two variants.
    """
    first, second = np.full((2, 20), -3.0), np.full((2, 20), -2.0)
    first[0, [C, A]] = -1.0, -2.0
    first[1, K] = -2.0
    second[0, D] = -1.0
    second[1] = -5.0
    second[1, K] = -2.0
    model = FakeModel({"AK": uniform("AK"), "CK": first, "DK": second}.__getitem__)
    variants = variants_of("A1C", "A1D")
    background, _, _ = all_scores(model, "AK", variants)
    means = rescue.published_means(background, variants)
    np.testing.assert_allclose(means, [[-37 / 19, -1.0], [-1.0, -3.0]], atol=1e-6)
    found = rescue.scan_protein(model, "AK", variants)
    np.testing.assert_allclose(found.by_position["z"], [[-1, 1], [1, -1]], atol=1e-6)


def test_z_of_three_variants_uses_the_standard_deviation_of_a_population():
    z = rescue.published_z(np.array([[0.0], [0.0], [3.0]]))  # mean 1, variance (1 + 1 + 4) / 3 = 2
    np.testing.assert_allclose(z, np.array([[-1.0], [-1.0], [2.0]]) / np.sqrt(2))


def test_z_does_not_exist_where_the_variants_agree():
    assert np.isnan(rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants_of("R3H")).by_position["z"]).all()
    found = rescue.scan_protein(FakeModel(seeded, max_length=20), LONG, variants_of("K2A", "R3A", "K2C"))
    assert np.isnan(found.by_position["z"][:, 25:]).all() and not np.isnan(found.by_position["z"][:, :10]).any()


# The published script's defects


def test_the_first_backgrounds_are_not_lost_and_each_has_its_own_label(monkeypatch):
    variants = variants_of("M1V", "K2A", "R3H", "L4P", "V5A", "A6G", "E7D")
    for block in (10, 20, 50):  # one, two and five backgrounds at a time
        monkeypatch.setattr(scan, "BLOCK", block)
        found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants, top=1)
        assert found.candidates["mutation"].unique().tolist() == [str(variant[0]) for variant in variants]
        for row in found.candidates.itertuples():
            mutant = apply_mutations(SEQUENCE, parse_mutations(row.mutation))
            second = [(Mutation(row.position, row.ref, row.alt),)]
            assert row.score_background == pytest.approx(effects.score(FakeModel(seeded), mutant, second)[0], abs=1e-5)


def test_a_forward_that_fails_is_an_error_and_no_earlier_answer_is_used(monkeypatch):
    def fails_on_the_last(sequence):
        if sequence.startswith("V"):
            raise MemoryError("no room")
        return seeded(sequence)

    monkeypatch.setattr(scan, "BLOCK", 1)
    blocks = rescue.scores(FakeModel(fails_on_the_last), SEQUENCE, variants_of("K2A", "M1V"))
    seen = []
    with pytest.raises(MemoryError):
        for block in blocks:
            seen.append(block.where)
    assert seen in ([], [slice(0, 1)])
    with pytest.raises(RuntimeError, match="not finite"):
        rescue.scan_protein(FakeModel(lambda s: np.full((len(s), 20), np.nan)), SEQUENCE, variants_of("K2A"))


@pytest.mark.parametrize("text", ["A2C", "K11A"])
def test_the_wild_type_is_checked_before_anything_runs(text):
    model = FakeModel(seeded)
    with pytest.raises(MutationError, match="expected the wild type|past the end"):
        rescue.scores(model, SEQUENCE, variants_of("K2A", text))
    with pytest.raises(InputError, match="1 of 2 variants cannot be scored"):
        proteins = pd.DataFrame({"id": ["toy"], "sequence": [SEQUENCE]})
        rescue.jobs(proteins, pd.DataFrame({"id": "toy", "mutation": ["K2A", text]}))
    assert model.n_forwards == 0


def test_a_second_site_is_one_of_the_20_and_never_the_wild_type():
    found = rescue.scan_protein(FakeModel(seeded), SEQUENCE, variants_of("R3H"), top=10**6).candidates
    assert set(found["alt"]) == set(AMINO_ACIDS) and (found["alt"] != found["ref"]).all()
    assert len(found) == 19 * 9  # not 33 tokens of 10 residues
    assert not found.duplicated(["position", "alt"]).any()


def test_a_variant_that_comes_twice_is_refused():
    model = FakeModel(seeded)
    with pytest.raises(InputError, match="variant 3, R3H: comes twice"):
        rescue.scan_protein(model, SEQUENCE, variants_of("R3H", "K2A", "R3H"))
    with pytest.raises(InputError, match="variant 2: has no substitution"):
        rescue.scan_protein(model, SEQUENCE, [*variants_of("R3H"), ()])
    assert model.n_forwards == 0


# Several models


def test_an_ensemble_is_the_mean_of_its_members():
    variants = variants_of("R3H", "D8N")
    models = [FakeModel(seeded, name="one"), FakeModel(lambda s: 2 * seeded(s[::-1])[::-1], name="two")]
    each = [all_scores(replace(model, batches=[]), SEQUENCE, variants) for model in models]
    background, wild_type, epistasis = all_scores(models, SEQUENCE, variants)
    np.testing.assert_allclose(background, (each[0][0] + each[1][0]) / 2, atol=1e-6)
    np.testing.assert_allclose(wild_type, (each[0][1] + each[1][1]) / 2, atol=1e-6)
    np.testing.assert_allclose(epistasis, background - wild_type, atol=1e-5)


def test_a_table_scanned_by_an_ensemble_gives_members_and_mean_from_one_pass():
    models = [FakeModel(seeded, name="one"), FakeModel(lambda s: 2 * seeded(s[::-1])[::-1], name="two")]
    proteins = pd.DataFrame({"gene": ["A", "B"], "sequence": [SEQUENCE, LONG]})
    variants = pd.DataFrame({"gene": ["B", "A", "B"], "mutation": ["K2A", "R3H", "p.Arg3His"]})
    found = [(job.id, each) for job in rescue.jobs(proteins, variants) for each in rescue.scan_job(models, job)]
    assert [(name, each.model) for name, each in found] == [(g, m) for g in "BA" for m in ("one", "two", "mean")]
    assert found[0][1].mutations == ("K2A", "R3H")
    assert models[0].n_sequences == models[1].n_sequences == 2 + 3  # a wild type a protein, a background a variant
    mean = rescue.scan_protein(models, LONG, variants_of("K2A", "R3H"), id="B")
    pd.testing.assert_frame_equal(mean.candidates, found[2][1].candidates)
    alone = rescue.scan_protein(models[0], LONG, variants_of("K2A", "R3H"), id="B")
    pd.testing.assert_frame_equal(alone.candidates, found[0][1].candidates)


def test_an_ensemble_needs_names_that_tell_its_members_apart():
    for models in ([], [FakeModel(), FakeModel()], [FakeModel(name="mean")]):
        with pytest.raises(InputError, match="models of different names"):
            rescue.scan_protein(models, SEQUENCE, variants_of("R3H"))


def test_a_site_that_a_model_does_not_score_has_no_rank():
    (first,), (before,), (after,) = variants_of("R3H", "K2A", "L4A")
    sites = rescue.second_sites("MKRLA", (first,))
    scores = np.zeros(sites.shape)
    scores[:3] = np.nan  # of a model that reads a residue at a time
    with pytest.raises(InputError, match="K2A is no second site"):
        rescue.rank_of(scores, sites, before)
    assert rescue.rank_of(scores, sites, after) == (1, 2 * 19)


def test_models_that_read_one_way_and_both_make_no_ensemble():
    one_way = FakeModel(seeded, name="one")
    one_way.can = lambda what: what == "likelihood"
    with pytest.raises(InputError, match="fake, one: some read both sides of a residue"):
        rescue.members([FakeModel(seeded), one_way])
