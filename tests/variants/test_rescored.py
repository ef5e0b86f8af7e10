"""Second sites scored again, against `effects`, and the choice of what is scored again."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.variants import effects, rescored, rescue

SEQUENCES = pd.Series({"AAA1": "MKRLVAEDGHMKRLVAEDGHWYC", "BBB2": "GHWYCMKRLVAEDGHAAA"})
VARIANTS = pd.DataFrame({"gene": ["AAA1", "BBB2", "AAA1"], "mutation": ["R3H", "Y4C", "K2E"]})
TOP = 4
SEQUENCE = "MKRLVAEDGH"
TOY = pd.Series({"TOY": SEQUENCE})


def second_sites(positions, letters, mutation="R3H"):
    """Rows of second sites on one background of the toy protein."""
    return pd.DataFrame({"gene": "TOY", "mutation": mutation, "position": positions, "alt": list(letters)})


@pytest.fixture(scope="module")
def table():
    return rescored.pairs(FakeModel(seeded), SEQUENCES, VARIANTS, top=TOP, seed=3)


def test_candidates_are_the_best_by_epistasis_and_scores_are_the_scans(table):
    assert len(table) == len(VARIANTS) * 2 * TOP
    for (gene, mutation), part in table.groupby(["gene", "mutation"]):
        variant = parse_mutations(mutation)
        found = rescue.scan_protein(FakeModel(seeded), SEQUENCES[gene], [variant], id=gene, top=TOP)
        best = found.candidates[found.candidates["rank"] <= TOP]
        candidates = part[part["kind"] == "candidate"]
        assert candidates[["position", "alt"]].to_numpy().tolist() == best[["position", "alt"]].to_numpy().tolist()
        np.testing.assert_allclose(candidates["epistasis"], best["epistasis"], rtol=1e-6)
        np.testing.assert_allclose(candidates["score_background"], best["score_background"], rtol=1e-6)
        random = part[part["kind"] == "random"]
        assert not set(random["position"]) & {*candidates["position"], variant[0].position}
        (block,) = rescue.scores(FakeModel(seeded), SEQUENCES[gene], [variant])
        row = random.iloc[-1]
        assert row["epistasis"] == pytest.approx(
            block.epistasis[0, row["position"] - 1, AMINO_ACIDS.index(row["alt"])], rel=1e-6
        )


def test_pairs_of_a_gene_without_a_sequence_are_refused():
    with pytest.raises(InputError, match="no sequence of ZZZ9"):
        rescored.pairs(FakeModel(seeded), SEQUENCES, VARIANTS.assign(gene="ZZZ9"), top=TOP, seed=3)


@pytest.mark.parametrize("way, columns", [("comasked", rescored.COMASKED), ("pseudo_likelihood", rescored.PSEUDO)])
def test_a_row_does_not_depend_on_its_company_or_order(table, way, columns):
    score = getattr(rescored, way)
    whole = score(FakeModel(seeded), SEQUENCES, table)
    assert whole.index.equals(table.index) and set(columns) <= set(whole.columns)
    some = table.sample(5, random_state=1)
    np.testing.assert_allclose(score(FakeModel(seeded), SEQUENCES, some)[list(columns)], whole.loc[some.index, columns])
    one = score(FakeModel(seeded), SEQUENCES, table.iloc[[2]])
    np.testing.assert_allclose(one[list(columns)], whole.loc[[2], columns])


def test_passes_are_counted_as_they_are_run(table):
    part = table[(table["gene"] == "AAA1") & (table["mutation"] == "R3H")]
    counted = rescored.forwards(SEQUENCES, part).set_index("way")
    for way in ("comasked", "pseudo-likelihood"):
        model = FakeModel(seeded)
        getattr(rescored, way.replace("-", "_"))(model, SEQUENCES, part)
        assert counted.loc[way, "passes"] == model.n_sequences
        assert counted.loc[way, "residues"] == model.n_sequences * len(SEQUENCES["AAA1"])


def test_passes_of_every_second_site_are_counted_as_they_would_run():
    sequence = pd.Series({"A": "MKR"})
    every = [(j, a) for j in (1, 3) for a in AMINO_ACIDS if a != sequence["A"][j - 1]]
    whole = pd.DataFrame(every, columns=["position", "alt"]).assign(gene="A", mutation="K2E")
    counted = rescored.exhaustive(sequence, pd.DataFrame({"gene": ["A", "A"]})).set_index("way")
    for way in ("comasked", "pseudo-likelihood"):
        model = FakeModel(seeded)
        getattr(rescored, way.replace("-", "_"))(model, sequence, whole)
        assert counted.loc[way, "passes"] == 2 * model.n_sequences
        assert counted.loc[way, "residues"] == 2 * 3 * model.n_sequences


def nudged(by):
    """The same model with noise of this size, as on another processor."""

    def function(sequence):
        rng = np.random.default_rng(len(sequence) + sum(map(ord, sequence)))
        return seeded(sequence) + by * rng.normal(size=(len(sequence), 20))

    return FakeModel(function)


def test_an_earlier_choice_stands_where_only_the_last_digits_differ(table):
    earlier = table[list(rescored.PAIR)].copy()
    again = rescored.pairs(nudged(1e-5), SEQUENCES, VARIANTS, top=TOP, seed=3, earlier=earlier)
    pd.testing.assert_frame_equal(again[[*rescored.PAIR, "kind"]], table[[*rescored.PAIR, "kind"]])
    assert 0 < (again["epistasis"] - table["epistasis"]).abs().max() < 1e-3
    # two candidates whose order a near tie turned
    for rows in ([1, 0], [0, 1]):
        turned = earlier.copy()
        turned.loc[[0, 1], ["position", "alt"]] = earlier.loc[rows, ["position", "alt"]].to_numpy()
        found = rescored.pairs(FakeModel(seeded), SEQUENCES, VARIANTS, top=TOP, seed=3, earlier=turned)
        assert found.equals(table)  # no tie: they are put right


@pytest.mark.parametrize("change", [{"position": 3}, {"position": 999}, {"alt": "M", "position": 1}])
def test_an_earlier_choice_that_is_none_is_not_taken(table, change):
    earlier = table[list(rescored.PAIR)].copy()
    for name, value in change.items():
        earlier.loc[0, name] = value
    assert rescored.pairs(FakeModel(seeded), SEQUENCES, VARIANTS, top=TOP, seed=3, earlier=earlier).equals(table)


def test_drawing_takes_turns_among_the_genes():
    table = pd.DataFrame({"gene": [*"AAAAAAAA", *"BB", "C"], "mutation": [f"M{i}V" for i in range(1, 12)]})
    found = rescored.sample_variants(table, n=6, seed=5)
    assert found["gene"].value_counts().to_dict() == {"A": 3, "B": 2, "C": 1}
    shuffled = rescored.sample_variants(table.sample(frac=1, random_state=9), n=6, seed=5)
    pd.testing.assert_frame_equal(found, shuffled)
    assert not rescored.sample_variants(table, n=6, seed=6).equals(found)
    assert len(rescored.sample_variants(table, n=50, seed=5)) == len(table)


def test_agreement_counts_genes_alike():
    rows = [("A", f"M{i}V", kind, value) for i in range(1, 5) for kind, value in (("candidate", 1.0), ("random", 0.0))]
    rows += [("B", "M1V", "candidate", 0.0), ("B", "M1V", "random", 1.0)]
    table = pd.DataFrame(rows, columns=["gene", "mutation", "kind", "x"])
    found = rescored.agreement(table, "x", n=200, seed=1)
    assert found.value == 0.5 and found.n == 2 and found.low == 0.0 and found.high == 1.0
    assert rescored.agreement(table.assign(x=1.0), "x", n=10).value == 0.5  # ties
    two = pd.DataFrame({"gene": "A", "mutation": "M1V", "kind": [*rescored.KINDS] * 2, "x": [3.0, 2.0, 1.0, 0.0]})
    assert rescored.agreement(two, "x", n=10).value == 0.75  # three of four pairs


def test_random_second_sites_are_as_far_from_the_variant():
    sequence = SEQUENCE * 40
    variant = (Mutation(200, sequence[199], "A" if sequence[199] != "A" else "C"),)
    candidates = pd.DataFrame({"position": [201, 195, 230, 20, 399] * 4, "alt": ["A"] * 20})
    drawn = rescored.matched_random(sequence, variant, candidates, name="toy", seed=1)
    assert len(drawn) == 20 and not drawn.duplicated().any()
    assert not set(drawn["position"]) & {200, *candidates["position"]}
    assert all(sequence[p - 1] != a for p, a in zip(drawn["position"], drawn["alt"], strict=True))
    apart = (drawn["position"] - 200).abs() - (candidates["position"] - 200).abs()
    assert apart.abs().max() <= 10
    pd.testing.assert_frame_equal(drawn, rescored.matched_random(sequence, variant, candidates, name="toy", seed=1))
    assert not drawn.equals(rescored.matched_random(sequence, variant, candidates, name="toy", seed=2))
    with pytest.raises(InputError, match="no position is left"):
        rescored.matched_random("MK", parse_mutations("M1A"), pd.DataFrame({"position": [2]}))


def test_comasked_scores_agree_with_effects():
    """Of a pair the co-masked score of `effects` is the sum over both positions; here is the second one's part."""
    variant = parse_mutations("R3H")
    found = rescored.comasked(FakeModel(seeded), TOY, second_sites([1, 5, 9], "ACW").assign(note=["x", "y", "z"]))
    assert found["note"].tolist() == ["x", "y", "z"]
    for row in found.itertuples():
        pair = (*variant, Mutation(row.position, SEQUENCE[row.position - 1], row.alt))
        both = effects.score(FakeModel(seeded), SEQUENCE, [pair], strategy="comasked")[0]
        masked = seeded("".join("_" if i in (3, row.position) else s for i, s in enumerate(SEQUENCE, 1)))[2]
        first = masked[AMINO_ACIDS.index("H")] - masked[AMINO_ACIDS.index("R")]
        alone = effects.score(FakeModel(seeded), SEQUENCE, [pair[1:]], strategy="masked-marginals")[0]
        assert row.score_comasked == pytest.approx(both - first, abs=1e-5)
        assert row.score_masked == pytest.approx(alone, abs=1e-5)
    with pytest.raises(InputError, match="co-masking takes one substitution"):
        rescored.comasked(FakeModel(seeded), TOY, second_sites([1], "A", mutation="R3H:D8N"))


def test_pseudo_likelihoods_agree_with_effects():
    variant = parse_mutations("R3H")
    found = rescored.pseudo_likelihood(FakeModel(seeded), TOY, second_sites([1, 9], "AW"))
    for row in found.itertuples():
        second = Mutation(row.position, SEQUENCE[row.position - 1], row.alt)
        one, two, both = effects.score(
            FakeModel(seeded), SEQUENCE, [variant, (second,), (*variant, second)], strategy="pseudo-likelihood"
        )
        assert row.pll_variant == pytest.approx(one, abs=1e-4)
        assert row.pll_change == pytest.approx(both - one, abs=1e-4)
        assert row.pll_epistasis == pytest.approx(both - one - two, abs=1e-4)


def test_comasked_masks_both_positions_and_reads_the_second_site():
    """A model that answers by what it sees: a masked neighbour shows, and each row says which row it is."""

    def rows(sequence):
        table = np.zeros((len(sequence), 20))
        table[:, AMINO_ACIDS.index("D")] = -np.arange(1, len(sequence) + 1) * (10 if sequence.count("_") == 2 else 1)
        return table

    model = FakeModel(rows)
    found = rescored.comasked(model, TOY, second_sites([4, 9], "DD"))
    assert found["score_comasked"].tolist() == [-40, -90]  # row j of the input with i and j masked, not its neighbour
    assert found["score_masked"].tolist() == [-4, -9]
    assert found["epistasis_comasked"].tolist() == [-36, -81]
    read = {text for batch in model.batches for text in batch}
    assert read == {"MK__VAEDGH", "MK_LVAED_H", "MKR_VAEDGH", "MKRLVAED_H"}
