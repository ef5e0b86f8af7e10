"""Measured epistasis and rescues on cases computed by hand, and what the bundled landscapes hold."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.variants import landscapes, rescue
from scripts import script


def toy(scale="ln", wild_type=0.0, floor=-4.0):
    return pd.DataFrame({"landscape": ["toy"], "scale": [scale], "wild_type_fitness": [wild_type], "floor": [floor]})


def variants(fitness, error=0.1):
    return pd.DataFrame({"landscape": "toy", "mutation": list(fitness), "fitness": fitness.values(), "error": error})


@pytest.fixture(scope="module")
def proteins():
    return tables.load("landscape_proteins").set_index("landscape", drop=False)


@pytest.fixture(scope="module")
def bundled():
    return tables.load("landscapes")


@pytest.fixture(scope="module")
def doubles(bundled, proteins):
    return landscapes.epistasis(bundled, proteins.reset_index(drop=True))


@pytest.fixture(scope="module")
def rescued(bundled, proteins):
    return landscapes.rescues(bundled, proteins.reset_index(drop=True))


# --- by hand ---


@pytest.mark.parametrize(
    ("scale", "wild_type", "floor", "fitness", "error", "expected"),
    [
        ("ln", 0.5, -1.0, -0.5, 0.2, (-1.0, 0.2, -1.5)),
        ("log2", 0.0, -3.0, -2.0, 1.0, (-2 * np.log(2), np.log(2), -3 * np.log(2))),
        ("log10", 3.0, 1.0, 2.0, 0.5, (-np.log(10), 0.5 * np.log(10), -2 * np.log(10))),
        ("linear", 2.0, 0.02, 1.0, 0.1, (np.log(1 / 2), 0.1, np.log(1 / 100))),  # the error of ln x is that of x over x
        ("linear", 2.0, 0.02, 0.0, 0.01, (np.log(1 / 100), 0.5, np.log(1 / 100))),  # no read was selected: the floor
    ],
)
def test_fitness_of_every_scale_comes_out_in_nats(scale, wild_type, floor, fitness, error, expected):
    found = landscapes.log_fitness(variants({"A1C": fitness}, error), toy(scale, wild_type, floor))
    np.testing.assert_allclose(found[["f", "error", "floor"]].to_numpy()[0], expected)


def test_order_and_index_are_kept_across_landscapes():
    table = pd.DataFrame(
        {"landscape": ["b", "a", "b"], "mutation": ["A1C", "A1C", "A1D"], "fitness": [-1.0, -2.0, -3.0], "error": 0.0},
        index=[7, 3, 5],
    )
    both = pd.concat([toy().assign(landscape="a"), toy().assign(landscape="b")])
    found = landscapes.log_fitness(table, both)
    assert found["f"].to_dict() == {7: -1.0, 3: -2.0, 5: -3.0}


def test_epistasis_is_what_the_double_has_beyond_the_sum():
    """-1.5 - (-1.0) - (-2.0) = 1.5; the error is that of three measurements of 0.1: sqrt(0.03)."""
    found = landscapes.epistasis(variants({"A1C": -1.0, "E12D": -2.0, "A1C:E12D": -1.5}), toy()).iloc[0]
    assert (found["mutation1"], found["position1"], found["mutation2"], found["position2"]) == ("A1C", 1, "E12D", 12)
    assert found["epistasis"] == pytest.approx(1.5)
    assert found["error"] == pytest.approx(np.sqrt(0.03))
    assert not found["floored"]


def test_additive_mutations_have_no_epistasis_on_either_scale():
    singles = {"A1C": -0.5, "A1D": -1.0, "E2D": -0.25, "E2F": -2.0}
    sums = {f"{a}:{b}": singles[a] + singles[b] for a in ("A1C", "A1D") for b in ("E2D", "E2F")}
    found = landscapes.epistasis(variants(singles | sums), toy())
    np.testing.assert_allclose(found[["epistasis", "residual"]], 0, atol=1e-12)


def test_a_common_increasing_distortion_leaves_no_residual():
    """f12 = -(f1 + f2)^2 for every pair: epistasis on the first scale, none on the second."""
    singles = {"A1C": -0.1, "A1D": -1.0, "E2D": -0.2, "E2F": -0.7}
    sums = {f"{a}:{b}": -((singles[a] + singles[b]) ** 2) for a in ("A1C", "A1D") for b in ("E2D", "E2F")}
    found = landscapes.epistasis(variants(singles | sums), toy())
    assert found["epistasis"].abs().min() > 0.1
    np.testing.assert_allclose(found["residual"], 0, atol=1e-12)


def test_two_pairs_out_of_order_share_their_mean():
    """f1 + f2 = -3 gives -1, -2 gives -2: the best increasing function is -1.5 for both."""
    table = variants({"A1C": -1.0, "A1D": 0.0, "E2F": -2.0, "A1C:E2F": -1.0, "A1D:E2F": -2.0})
    assert landscapes.epistasis(table, toy())["residual"].tolist() == pytest.approx([0.5, -0.5])


@pytest.mark.parametrize(
    ("f1", "f2", "f12", "floored"),
    [
        (-1.0, -2.0, -2.9, False),
        (-1.0, -3.0, -2.0, True),  # the sum is at the floor of -4: epistasis cannot be negative
        (-1.0, -2.0, -9.0, True),
        (-9.0, 1.0, -2.0, True),
    ],
)
def test_doubles_that_the_floor_decides_are_flagged(f1, f2, f12, floored):
    found = landscapes.epistasis(variants({"A1C": f1, "E2D": f2, "A1C:E2D": f12}), toy()).iloc[0]
    assert found["floored"] == floored
    assert found["f12"] >= -4 and found["f1"] >= -4


@pytest.mark.parametrize(
    ("f_second", "f_double", "error", "expected"),
    [
        (0.0, -1.0, 0.1, (True, True)),
        (1.9, -1.0, 0.1, (True, False)),  # the second mutation's own benefit: epistasis is 0.1
        (0.0, -1.6, 0.1, (False, False)),  # less than half of the loss is won back
        (0.0, -1.0, 0.5, (False, False)),  # a lift of 2 with an error of sqrt(0.5): less than three of them
    ],
)
def test_a_rescue_wins_back_half_of_the_loss_beyond_its_error(f_second, f_double, error, expected):
    table = variants({"A1C": -3.0, "E2D": f_second, "A1C:E2D": f_double}, error)
    found = landscapes.rescues(table, toy())
    assert found[["mutation", "second"]].values.tolist() == [["A1C", "E2D"]]  # E2D alone damages nothing
    assert (found["rescued"][0], found["specific"][0]) == expected
    assert found["lift"][0] == pytest.approx(f_double + 3.0)


def test_two_damaging_mutations_are_looked_at_from_both_sides():
    found = landscapes.rescues(variants({"A1C": -3.0, "E2D": -2.5, "A1C:E2D": -0.5}), toy())
    assert found[["mutation", "second"]].values.tolist() == [["A1C", "E2D"], ["E2D", "A1C"]]
    assert found["lift"].tolist() == pytest.approx([2.5, 2.0])
    assert found["rescued"].all()


@pytest.mark.parametrize(
    ("table", "proteins", "said"),
    [
        (variants({"A1C": 0.0}), toy().assign(landscape="other"), "expected one of other"),
        (variants({"A1C": 0.0}), toy(scale="log3"), "unknown scale 'log3'"),
        (variants({"A1C": 0.0}), toy(scale="linear", wild_type=1.0, floor=0.0), "and above 0, found 0.0"),
        (pd.concat([variants({"A1C": 0.0})] * 2), toy(), "A1C comes twice"),
        (variants({"A1C:E2D:F3G": 0.0}), toy(), "expected one or two mutations"),
        (variants({"A1C": 0.0, "A1C:E2D": 0.0}), toy(), "expected its single mutant E2D"),
    ],
)
def test_tables_at_fault_are_refused(table, proteins, said):
    with pytest.raises(InputError) as refusal:
        landscapes.epistasis(table.reset_index(drop=True), proteins)
    assert said in str(refusal.value)


def test_rescues_need_errors():
    table = variants({"A1C": -3.0, "E2D": 0.0, "A1C:E2D": 0.0}, np.nan)
    assert landscapes.epistasis(table, toy())["error"].isna().all()
    with pytest.raises(InputError, match="needs the error"):
        landscapes.rescues(table, toy())


# --- a model beside the measurements ---

SEQUENCE = "MKRLVAEDGH"


def pairs_of(*rows):
    return pd.DataFrame(rows, columns=["mutation", "second"])


def test_pairs_are_scored_as_the_rescue_scan_scores_them():
    pairs = pairs_of(("K2A", "D8N"), ("H10Y", "K2A"), ("K2A", "R3G"), ("D8N", "K2A")).set_index(pd.Index([5, 2, 9, 7]))
    model = FakeModel(seeded)
    found = landscapes.pair_scores(model, SEQUENCE, pairs)
    assert model.n_sequences == 4  # three backgrounds and the wild type
    assert found.index.tolist() == [5, 2, 9, 7] and found[["mutation", "second"]].equals(pairs)
    for row in found.itertuples():
        (first,), (second,) = parse_mutations(row.mutation), parse_mutations(row.second)
        (block,) = rescue.scores(FakeModel(seeded), SEQUENCE, [(first,)])
        place, own = ((m.position - 1, AMINO_ACIDS.index(m.alt)) for m in (second, first))
        assert row.score_background == block.score_background[0][place]
        assert row.score_wild_type == block.score_wild_type[place]
        assert row.model_epistasis == block.epistasis[0][place]
        assert row.score_first == block.score_wild_type[own]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("K2A", "K2C"), "K2C on the background K2A: expected another position"),
        (("K2A", "R3G:L4V"), "R3G:L4V: expected one mutation, found 2"),
        (("A2K", "R3G"), "A2K"),
    ],
)
def test_pairs_at_fault_are_refused(pair, said):
    with pytest.raises(InputError, match=said):
        landscapes.pair_scores(FakeModel(), SEQUENCE, pairs_of(pair))


def test_a_double_is_the_mean_of_its_sides():
    doubles = pd.DataFrame({"mutation1": ["K2A", "K2A", "R3G"], "mutation2": ["D8N", "H10Y", "H10Y"]})
    every = landscapes._sides(doubles)
    assert len(every) == 6
    found = landscapes.symmetric(doubles, landscapes.pair_scores(FakeModel(seeded), SEQUENCE, every))
    assert (found["on1"] != found["on2"]).all()
    np.testing.assert_allclose(found["mean"], (found["on1"] + found["on2"]) / 2)
    some = landscapes._sides(doubles, landscapes._most_doubled(doubles, 1))  # H10Y and K2A have two doubles each
    assert set(some["mutation"]) == {"H10Y"}
    half = landscapes.symmetric(doubles, landscapes.pair_scores(FakeModel(seeded), SEQUENCE, some))
    assert half["mean"].isna().tolist() == [True, False, False]
    np.testing.assert_array_equal(half["mean"][1:], found["on2"][1:])


def noisy(n=400, slope=1.0, positions=20, seed=0):
    """Doubles whose measured epistasis follows `model` by `slope`."""
    rng = np.random.default_rng(seed)
    places = np.array([rng.choice(positions, 2, replace=False) for _ in range(n)])
    model = rng.normal(size=n).round(1)  # with ties
    return pd.DataFrame(
        {
            "position1": places.min(axis=1),
            "position2": places.max(axis=1),
            "model": model,
            "nothing": rng.normal(size=n),
            "epistasis": slope * model + rng.normal(size=n),
        }
    )


def test_correlations_are_spearmans():
    from scipy.stats import spearmanr

    table = noisy()
    found = landscapes.correlations(table, measured="epistasis", predictors=["model", "nothing"], n=200)
    for row in found.itertuples():
        assert row.value == pytest.approx(spearmanr(table[row.predictor], table["epistasis"])[0])
        assert row.low < row.value < row.high and row.n == len(table)
    found = found.set_index("predictor")
    assert found.loc["model", "low"] > 0.5 and found.loc["nothing", "low"] < 0 < found.loc["nothing", "high"]
    table = noisy(positions=4)
    within = landscapes.pair_correlations(table, measured="epistasis", predictors=["model"])
    part = table[(table["position1"] == within["position1"][0]) & (table["position2"] == within["position2"][0])]
    assert within["value"][0] == pytest.approx(spearmanr(part["model"], part["epistasis"])[0])
    assert len(within) == 6 and within["n"].sum() == len(table)


def test_weighted_ranks_are_those_of_repeated_rows():
    rng = np.random.default_rng(1)
    values, weight = rng.integers(6, size=30).astype(float), rng.integers(4, size=30)
    repeated = pd.Series(np.repeat(values, weight)).rank() - 0.5
    found = np.repeat(landscapes._Ranks(values).weighted(weight.astype(float)), weight)
    np.testing.assert_allclose(found, repeated)


def test_resampling_positions_is_wider_than_resampling_rows():
    """Whole positions that are high on both sides: few positions, however many rows."""
    rng = np.random.default_rng(0)
    table = noisy(n=2_000, slope=0.0, positions=8)
    level = rng.normal(size=(2, 8))
    for column, effect in zip(("model", "epistasis"), level, strict=True):
        table[column] += 3 * (effect[table["position1"]] + effect[table["position2"]])
    options = {"measured": "epistasis", "predictors": ["model"], "n": 200}
    by_position = landscapes.correlations(table, **options)
    by_row = landscapes.correlations(table.assign(row=range(len(table))), units=["row"], **options)
    width = [float((found["high"] - found["low"]).iloc[0]) for found in (by_position, by_row)]
    assert width[0] > 4 * width[1]


def test_precision_by_hand():
    """Scores 3, 2, 2, 1 with hits at the first and one of the tied two: k = 2 holds half of a hit more."""
    table = pd.DataFrame(
        {"mutation": list("abab"), "second": list("ccdd"), "score": [2.0, 3.0, 2.0, 1.0],
         "rescued": [True, True, False, False]}
    )  # fmt: skip
    found = landscapes.precision(table, predictors=["score"], ks=[1, 2, 3, 4], n=50)
    assert found["value"].tolist() == [1.0, 0.75, 2 / 3, 0.5]
    assert (found["chance"] == 0.5).all() and (found["n_hits"] == 2).all() and found["k"].tolist() == [1, 2, 3, 4]
    assert (found["low"].dropna() >= 0).all() and (found["high"].dropna() <= 1).all()
    with pytest.raises(InputError, match="expected k from 1 to 4, the rows, found 5"):
        landscapes.precision(table, predictors=["score"], ks=[5])


def test_substitutions_are_compared_by_blosum62():
    assert landscapes.substitution_similarity(pd.Series(["I1V", "W5D"])).tolist() == [3, -4]


def test_the_lift_of_others_by_hand():
    """A1C and A1E are one half, A1D the other: its lift of 3 by E2D is what A1C and A1E get; E2F has none with them."""
    pairs = pd.DataFrame({"mutation": ["A1C", "A1D", "A1E", "A1D"], "second": ["E2D", "E2D", "E2D", "E2F"],
                          "lift": [1.0, 3.0, 2.0, 5.0]})  # fmt: skip
    assert landscapes.mean_lift(pairs).tolist() == [3.0, 1.5, 3.0, 1.5]


def test_the_lift_of_others_does_not_rank_the_rows_of_one_second():
    """Every second lifts by a level of its own: the other half finds it, and a row's own noise is not in its number."""
    rng = np.random.default_rng(0)
    level = pd.Series(rng.normal(size=20), index=[f"E2{k}" for k in range(20)])
    pairs = pd.DataFrame([(f"A1{i:02}", second) for i in range(40) for second in level.index])
    pairs = pairs.set_axis(["mutation", "second"], axis=1)
    pairs["lift"] = pairs["second"].map(level) + rng.normal(size=len(pairs))
    found = landscapes.mean_lift(pairs)
    assert found.corr(pairs["second"].map(level)) > 0.9
    for _, rows in pairs.groupby("second"):
        assert found[rows.index].nunique() == 2  # one number a half
    shuffled = pairs.assign(lift=rng.permutation(pairs["lift"]))
    assert abs(landscapes.mean_lift(shuffled).corr(shuffled["lift"])) < 0.1


@pytest.mark.filterwarnings("error")
def test_resamples_without_a_row_are_left_out():
    """Two positions in one pair: every other resample draws one of them twice, and then no double."""
    table = noisy(positions=2)
    found = landscapes.correlations(table, measured="epistasis", predictors=["model"], n=40)
    np.testing.assert_allclose(found[["low", "high"]], np.repeat(found[["value"]].to_numpy(), 2, axis=1))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (noisy().drop(columns="model"), "lacks model"),
        (noisy().assign(model=np.nan), "400 of 400 values of model are missing"),
        (noisy()[:0], "no rows"),
    ],
)
def test_correlations_need_numbers(table, said):
    with pytest.raises(InputError, match=said):
        landscapes.correlations(table, measured="epistasis", predictors=["model"])


# --- the bundled landscapes ---


def test_landscapes_are_counted(doubles, bundled):
    n_doubles = doubles.groupby("landscape", sort=False).size()
    n_singles = bundled.groupby("landscape", sort=False).size() - n_doubles
    assert {name: (int(n_singles[name]), int(n_doubles[name])) for name in n_doubles.index} == {
        "gb1": (76, 2_091),
        "pdz3_abundance": (1_280, 5_010),
        "pdz3_binding": (1_441, 6_459),
        "pab1": (1_188, 36_514),
        "ube4b": (899, 49_518),
        "avgfp": (1_084, 11_954),
    }


def test_every_wild_type_stands_in_the_sequence_and_in_the_assayed_region(bundled, proteins):
    singles = bundled[~bundled["mutation"].str.contains(":")]
    for name, mutations in singles.groupby("landscape")["mutation"]:
        protein, positions = proteins.loc[name], mutations.str[1:-1].astype(int)
        assert positions.between(protein["first"], protein["last"]).all()
        assert (np.array(list(protein["sequence"]))[positions - 1] == mutations.str[0]).all()
        assert mutations.str[-1].isin(list(AMINO_ACIDS)).all()


def test_numbering_of_the_domains(proteins):
    """Positions that the works name, in UniProt's numbering: V39 of GB1 is 265 of protein G."""
    for name, site, residue in (
        ("gb1", 265, "V"),
        ("gb1", 280, "V"),
        ("pdz3_binding", 372, "H"),  # His372 holds the ligand
        ("pab1", 139, "N"),
        ("pab1", 157, "I"),
        ("ube4b", 1107, "L"),
        ("avgfp", 65, "S"),  # the chromophore, Ser65-Tyr66-Gly67
        ("avgfp", 66, "Y"),
    ):
        protein = proteins.loc[name]
        assert protein["sequence"][site - protein["offset"] - 1] == residue, (name, site)


def test_what_the_floor_decides_is_counted(doubles):
    assert doubles.groupby("landscape", sort=False)["floored"].sum().to_dict() == {
        "gb1": 724,
        "pdz3_abundance": 2_499,
        "pdz3_binding": 3_045,
        "pab1": 6_609,
        "ube4b": 12_003,
        "avgfp": 790,
    }


def test_rescues_are_counted(rescued):
    counts = rescued.groupby("landscape", sort=False).agg({"mutation": "size", "rescued": "sum", "specific": "sum"})
    assert {name: tuple(map(int, row)) for name, *row in counts.itertuples()} == {
        "gb1": (1_724, 158, 145),
        "pdz3_abundance": (3_373, 22, 19),
        "pdz3_binding": (4_311, 7, 6),
        "pab1": (10_261, 2, 2),
        "ube4b": (12_623, 3, 0),
        "avgfp": (948, 3, 3),
    }


def test_the_suppressors_that_the_pab1_work_names_stand_out(doubles):
    """Melamed et al. 2013: N139T, N139S and I157L suppress other mutations.  Mean residual of 475 mutations."""
    mine = doubles[(doubles["landscape"] == "pab1") & ~doubles["floored"]]
    sides = pd.concat(
        [mine[[f"mutation{which}", "residual"]].set_axis(["mutation", "residual"], axis=1) for which in "12"]
    )
    means = sides.groupby("mutation")["residual"].agg(["size", "mean"])
    ranks = means.loc[means["size"] >= 20, "mean"].rank(ascending=False)
    assert len(ranks) == 475
    assert ranks[["N114T", "N114S", "I132L"]].tolist() == [4, 2, 14]  # UniProt's position minus 25


# --- the scripts ---


def test_clades_hold_every_genome_of_the_alignments():
    clades = tables.load("clades")
    assert set(tables.load("cpd")["assembly"]) == set(clades["assembly"]) - {"hg38"}
    assert clades["clade"].value_counts(sort=False).to_dict() == {
        "Primates": 12,
        "other Euarchontoglires": 14,
        "Laurasiatheria": 25,
        "Afrotheria": 6,
        "Xenarthra": 1,
        "Marsupialia": 3,
        "Monotremata": 1,
        "Birds": 14,
        "Reptiles": 6,
        "Amphibians": 1,
        "Coelacanths": 1,
        "Ray-finned fish": 15,
        "Lampreys": 1,
    }
    by_split = clades.groupby("split")["identity"].mean()
    assert by_split.iloc[0] == 1 and by_split.index.tolist() == list(range(19))
    assert by_split.corr(pd.Series(by_split.index, index=by_split.index), method="spearman") < -0.9


def test_species_are_read_with_one_split_for_all_or_one_each():
    found = script("clades").read_species("Big cats 1 2\na, A b, x\nb, B c, y\n\nFish 3\nc, C d, z\nd, D e, w\n")
    assert found[["assembly", "clade", "split"]].values.tolist() == [
        ["a", "Big cats", 1], ["b", "Big cats", 2], ["c", "Fish", 3], ["d", "Fish", 3],
    ]  # fmt: skip


def test_identity_is_over_what_is_aligned():
    """Two of four human residues have one in the other genome, and one of the two is ours."""
    alignments = {"G": {"hg38": "MKRLZ", "x": "MA-XZ", "y": "----Z"}}
    found = script("clades").measure(alignments).set_index("assembly")
    assert found.loc["hg38"].tolist() == [1, 1.0, 1.0]
    assert found.loc["x"].tolist() == [1, 0.5, 0.5]
    assert found.loc["y", "n_genes"] == 0 and np.isnan(found.loc["y", "identity"])


def test_suppressors_fit_tp53():
    suppressors = tables.load("suppressors")
    sequence = tables.load("genes").set_index("gene").loc["TP53", "sequence"]
    for row in suppressors.itertuples():
        for mutation in parse_mutations(f"{row.variant}:{row.suppressor}"):
            mutation.check(sequence)
    assert suppressors["status"].value_counts().to_dict() == {"second-hand": 3, "verified": 2, "lead": 2}


def test_changes_in_one_codon_are_counted():
    table = tables.load("same_codon")
    assert table["category"].value_counts().to_dict() == {
        "Changed missense": 34,
        "Rescued nonsense": 10,
        "Partially changed missense": 5,
    }
    nonsense = table["change1"].str.endswith("*") | table["change2"].str.endswith("*")
    assert (nonsense == (table["category"] == "Rescued nonsense")).all()
    sequences = tables.load("genes").set_index("gene")["sequence"]
    found = [sequences[row.gene][row.position - 1 : row.position] == row.ref for row in table.itertuples()]
    assert (table["matches"] == found).all() and table["matches"].sum() == 44
    assert table.loc[table["aligned_position"] == 0, "gene"].tolist() == ["TNNT2", "WT1", "WT1"]


def test_codons_are_translated():
    cases = script("cases")
    assert cases.translated("gAg/TGg") == ("E", "W") and cases.translated("Cga/Tga") == ("R", "*")
    assert (cases.one_letter("Glu236Ter"), cases.one_letter("Val76Val")) == ("E236*", "V76V")


def test_counts_of_gb1_make_fitness_and_its_error(tmp_path):
    """100 reads before and 50 after, wild type 200 and 400: 0.5 / 2 = 0.25; error sqrt(50 + 25) / 100 / 2."""
    path = tmp_path / "gb1.csv"
    path.write_text("Variants,HD,Count input,Count selected,Fitness\nVDGV,0,200,400,1\nADGV,1,100,300,1.8\n"
                    "ACGV,2,100,50,0.25\nACCV,3,100,0,0\n")  # fmt: skip
    table, wild_type = script("landscapes").read_gb1(path)
    assert wild_type == 1
    assert table["variant"].tolist() == [
        ((39, "V", "A"),),
        ((39, "V", "A"), (40, "D", "C")),
        ((39, "V", "A"), (40, "D", "C"), (41, "G", "C")),
    ]
    assert table["fitness"].tolist() == [1.8, 0.25, 0]
    assert table["error"].iloc[1:].tolist() == pytest.approx([np.sqrt(75) / 200, 1 / 200])


def test_known_scores_spare_the_backgrounds_and_change_nothing():
    pairs = pairs_of(("K2A", "D8N"), ("K2A", "R3G"), ("D8N", "K2A"), ("H10Y", "K2A"))
    model = FakeModel(seeded)
    whole = landscapes.pair_scores(model, SEQUENCE, pairs)
    model.batches.clear()
    again = landscapes.pair_scores(model, SEQUENCE, pairs, score_background=whole["score_background"].to_numpy())
    pd.testing.assert_frame_equal(again, whole)
    assert model.n_sequences <= 2
