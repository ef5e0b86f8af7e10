"""Ranks, tests over tasks, costs and errors, on tables small enough to check by hand and against published examples."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from plmbook import models
from plmbook.core.errors import InputError
from plmbook.tables.published import published
from plmbook.tasks import comparison

PAGE = published("ankh_results")
# Ranks of four classifiers on 14 data sets, table 6 of Demšar (2006): mean ranks 3.143, 2.000, 2.893 and 1.964.
DEMSAR = pd.DataFrame(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
        [3, 1, 4, 2],
    ],
    columns=["C4.5", "+m", "+cf", "+m+cf"],
)  # fmt: skip


def table(rows, columns="abc"):
    """Scores by (task, column)."""
    index = pd.MultiIndex.from_tuples(list(rows), names=["task", "column"])
    return pd.DataFrame(list(rows.values()), index=index, columns=list(columns), dtype=float)


TOY = table({("Q3", "x"): [90, 80, 70], ("Q3", "y"): [60, 50, 70], ("Q8", "x"): [50, 60, 40], ("GO", "x"): [10, 10, 5]})


class TestTables:
    def test_all_figures_of_the_page_are_there_in_points(self):
        scores = comparison.wide(PAGE)
        assert scores.shape == (24, 7) and scores.notna().all(axis=None)
        assert scores.loc[("fluorescence", "Fluorescence"), "Ankh Large"] == 62
        assert scores.loc[("secondary structure, 3 states", "CASP12"), "Ankh Large"] == 83.59
        assert scores.columns[0] == "Ankh Large" and scores.index[0][1] == "CASP12"

    def test_a_figure_given_twice_is_named(self):
        with pytest.raises(InputError, match="secondary structure, 3 states, CASP12, Ankh Large: given twice"):
            comparison.wide(pd.concat([PAGE, PAGE.iloc[:1]]))

    def test_a_missing_figure_is_named(self):
        with pytest.raises(InputError, match="CASP12: none of Ankh Large"):
            comparison.wide(PAGE.iloc[1:])

    def test_an_unknown_unit_is_refused(self):
        with pytest.raises(InputError, match="unit 'nats'"):
            comparison.wide(PAGE.assign(unit="nats"))

    def test_a_missing_column_is_named(self):
        with pytest.raises(InputError, match="published results: the table lacks split"):
            comparison.wide(PAGE.drop(columns="split"))

    def test_normalised_rows_go_from_0_to_1(self):
        shades = comparison.normalised(comparison.wide(PAGE))
        assert (shades.min(axis=1) == 0).all() and (shades.max(axis=1) == 1).all()
        assert comparison.normalised(TOY).loc[("GO", "x")].tolist() == [1, 1, 0]

    def test_bold_that_is_not_best(self):
        """The slips that the README of the published tables lists: contacts from attention, and level H of CATH."""
        found = comparison.bold(PAGE)
        wrong = found[~found["right"]]
        assert wrong["task"].tolist() == ["contacts from attention"] * 4 + ["CATH lookup"]
        assert wrong["column"].tolist()[-1] == "Lookup69K, H" and wrong["best"].tolist()[-1] == "ProtT5-XL-UniRef50"
        assert (wrong["best_value"] > wrong["bold_value"]).all()

    def test_nothing_in_bold_is_not_right(self):
        found = comparison.bold(PAGE.assign(bold_on_page=False))
        assert not found["right"].any() and found["bold_value"].isna().all() and (found["bold"] == "").all()


class TestRanks:
    def test_ties_share_the_mean_of_their_ranks(self):
        assert comparison.ranks(TOY).loc[("GO", "x")].tolist() == [1.5, 1.5, 3]

    def test_numbers_that_differ_by_rounding_are_level(self):
        assert comparison.ranks(pd.DataFrame({"a": [0.1 + 0.2], "b": [0.3]})).values.tolist() == [[1.5, 1.5]]

    def test_rows_sum_to_the_same(self):
        assert (comparison.ranks(comparison.wide(PAGE)).sum(axis=1) == 28).all()

    def test_a_missing_score_is_named(self):
        with pytest.raises(InputError, match="GO, x: none of b"):
            comparison.ranks(TOY.where(~((TOY.index == ("GO", "x"))[:, None] & (TOY.columns == "b"))))

    def test_a_task_counts_once_whatever_its_columns(self):
        # Q3: ranks 1, 2, 3 and 2, 3, 1, mean 1.5, 2.5, 2, so 1, 3, 2; the others have one column
        assert comparison.block_ranks(TOY).loc["Q3"].tolist() == [1, 3, 2]
        assert comparison.block_ranks(TOY).loc["Q8"].tolist() == [2, 1, 3]

    def test_merged_tasks_are_averaged_as_tasks(self):
        # Q3 has mean ranks 1.5, 2.5, 2 and Q8 2, 1, 3: together 1.75, 1.75, 2.5
        found = comparison.block_ranks(TOY, merge={"Q3": "structure", "Q8": "structure"})
        assert found.index.tolist() == ["structure", "GO"]
        assert found.loc["structure"].tolist() == [1.5, 1.5, 3]

    def test_a_task_to_merge_must_be_there(self):
        with pytest.raises(InputError, match="'Q9' is to be merged"):
            comparison.by_task(TOY, merge={"Q9": "structure"})

    def test_nine_tasks_or_seven_blocks(self):
        scores = comparison.wide(PAGE)
        assert [len(comparison.block_ranks(scores, merge=m)) for m in (None, comparison.RELATED)] == [9, 7]


class TestFriedman:
    @pytest.mark.parametrize("ties", [False, True])
    def test_as_scipy(self, ties):
        scores = np.random.default_rng(0).normal(size=(9, 7))
        scores = pd.DataFrame(scores.round(0) if ties else scores, columns=list("abcdefg"))
        found = comparison.friedman(comparison.ranks(scores))
        expected = stats.friedmanchisquare(*scores.to_numpy().T)
        assert (found.chi2, found.p_chi2) == pytest.approx((expected.statistic, expected.pvalue))
        assert (found.n_blocks, found.n_models) == (9, 7)

    def test_the_example_of_demsar(self):
        """The paper's 9.28 and 3.69 leave out the ties; ours is its 9.28 over the share that ties leave."""
        assert DEMSAR.mean().round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
        # t^3 - t is 60 for the row with four level and 6 for each of the three with two
        found, left = comparison.friedman(DEMSAR), 1 - (60 + 3 * 6) / (14 * 60)
        plain = found.chi2 * left
        assert plain == pytest.approx(9.28, abs=0.01)
        assert 13 * plain / (14 * 3 - plain) == pytest.approx(3.69, abs=0.01)
        assert found.f == pytest.approx(13 * found.chi2 / (42 - found.chi2))
        assert found.p == pytest.approx(stats.f.sf(found.f, 3, 39)) and found.p < 0.05

    def test_by_hand(self):
        # rank sums 4, 6, 8 about 6; squares of the ranks sum to 14 + 14 + 12 = 40, less 3 * 3 * 4^2 / 4 = 36
        found = comparison.friedman(pd.DataFrame([[1, 2, 3], [1, 2, 3], [2, 2, 2]], dtype=float))
        assert found.chi2 == pytest.approx(2 * (2**2 + 0 + 2**2) / 4)

    def test_blocks_that_agree_leave_no_doubt(self):
        found = comparison.friedman(pd.DataFrame([[1, 2, 3]] * 4, dtype=float))
        assert found.chi2 == 8 and found.f == np.inf and found.p == 0

    def test_models_that_are_level_do_not_differ(self):
        found = comparison.friedman(pd.DataFrame([[2, 2, 2]] * 4, dtype=float))
        assert (found.chi2, found.p_chi2, found.p) == (0, 1, 1)

    @pytest.mark.parametrize("rows", [[[1, 2, 3]], [[1, 2], [1, 2]], [[0.5, 0.7, 0.9]] * 3])
    def test_what_it_cannot_use_is_refused(self, rows):
        with pytest.raises(InputError, match="Friedman"):
            comparison.friedman(pd.DataFrame(rows, dtype=float))


class TestCriticalDifference:
    @pytest.mark.parametrize(("k", "q"), [(2, 1.960), (4, 2.569), (7, 2.949), (10, 3.164)])
    def test_the_quantiles_of_the_table(self, k, q):
        """Demšar (2006), table 5 (a)."""
        assert comparison.critical_difference(k, 9) == pytest.approx(q * np.sqrt(k * (k + 1) / 54), rel=5e-4)

    def test_smaller_with_more_blocks_and_larger_with_a_stricter_alpha(self):
        assert comparison.critical_difference(7, 36) == pytest.approx(comparison.critical_difference(7, 9) / 2)
        assert comparison.critical_difference(7, 9, alpha=0.01) > comparison.critical_difference(7, 9)

    def test_one_model_has_no_pair(self):
        with pytest.raises(InputError, match="1 models"):
            comparison.critical_difference(1, 9)

    def test_cliques_of_the_example(self):
        """The paper finds C4.5 apart from +m+cf by less than 1.25, so all four are one group."""
        assert comparison.cliques(DEMSAR.mean(), 1.25) == [("+m+cf", "+m", "+cf", "C4.5")]
        assert comparison.cliques(DEMSAR.mean(), 1.12) == [("+m+cf", "+m", "+cf"), ("+cf", "C4.5")]

    def test_models_that_all_differ_have_no_clique(self):
        assert comparison.cliques(pd.Series({"a": 1.0, "b": 2.0, "c": 3.0}), 1.0) == []


class TestSignedRank:
    @pytest.mark.parametrize("seed", range(4))
    def test_as_scipy_without_ties(self, seed):
        differences = np.random.default_rng(seed).normal(0.5, size=9)
        assert comparison._signed_rank(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)

    @pytest.mark.parametrize("n", [8, 15])  # from 14 on SciPy would take the normal approximation
    def test_with_ties_as_by_counting_all_signs(self, n):
        differences = np.array([1, 1, -2, 3, 3, 5, -1, 0.5, 2, 2, -3, 4, 6, 1, 1])[:n]
        ranks = stats.rankdata(np.abs(differences))
        sums = np.array(list(product((0, 1), repeat=n))) @ ranks
        found = ranks[differences > 0].sum()
        expected = 2 * min((sums <= found + 1e-9).mean(), (sums >= found - 1e-9).mean())
        assert comparison._signed_rank(differences) == pytest.approx(expected)

    def test_the_least_p_of_nine_blocks(self):
        assert comparison._signed_rank(np.arange(1, 10)) == 2 / 512 == comparison._signed_rank(-np.arange(1, 10))

    def test_zeros_are_left_out(self):
        assert comparison._signed_rank([0, 1, 2, 0, 3]) == comparison._signed_rank([1, 2, 3])
        assert comparison._signed_rank([0, 0]) == 1

    def test_a_missing_difference_is_refused(self):
        with pytest.raises(InputError, match="value 2 is nan"):
            comparison._signed_rank([1, np.nan])

    def test_holm(self):
        # 0.01 x 4, then 0.02 x 3, then 0.03 x 2, then 0.9
        assert comparison._holm([0.9, 0.02, 0.01, 0.03]).tolist() == pytest.approx([0.9, 0.06, 0.04, 0.06])
        assert comparison._holm([0.5, 0.6]).tolist() == [1, 1]
        assert len(comparison._holm([])) == 0


class TestBayes:
    def test_against_the_exact_answer(self):
        """Where all differences are far above the ROPE, a draw says `same` where the prior's weight w has w^2 > 1/2."""
        found = comparison._bayesian_signed_rank([5.0, 6.0, 7.0], rope=1.0, n=40_000, seed=1)
        exact = stats.beta(0.5, 3).cdf(np.sqrt(0.5))  # the weight of the prior is Beta(1/2, 3)
        assert found.better == pytest.approx(exact, abs=0.005)
        assert found.worse == 0

    def test_a_stronger_prior_doubts_more(self):
        weak, strong = (comparison._bayesian_signed_rank([5.0, 6.0], rope=1, n=5000, prior=s) for s in (0.5, 5))
        assert strong.same > weak.same

    def test_turned_round(self):
        differences = np.array([3.0, -1.0, 2.0, 0.5])
        one = comparison._bayesian_signed_rank(differences, rope=1, n=4000)
        other = comparison._bayesian_signed_rank(-differences, rope=1, n=4000)
        assert (one.better, one.same, one.worse) == pytest.approx((other.worse, other.same, other.better))
        assert one.better + one.same + one.worse == pytest.approx(1)

    def test_all_within_the_rope_is_the_same(self):
        assert comparison._bayesian_signed_rank([0.5, -1.0, 1.0], rope=1.0, n=500).same == 1  # the ends belong to it

    def test_the_same_seed_gives_the_same(self):
        draws = [comparison._bayesian_signed_rank([1.0, -2.0, 3.0], rope=1, n=300, seed=s) for s in (4, 4, 5)]
        assert draws[0] == draws[1] != draws[2]

    @pytest.mark.parametrize("wrong", [{"rope": -1}, {"rope": 1, "n": 0}, {"rope": 1, "prior": 0}])
    def test_wrong_settings_are_refused(self, wrong):
        with pytest.raises(InputError, match="signed-rank"):
            comparison._bayesian_signed_rank([1.0], **wrong)

    def test_no_difference_is_refused(self):
        with pytest.raises(InputError, match="0 differences"):
            comparison._bayesian_signed_rank([], rope=1)


class TestAgainst:
    def test_counts_and_median(self):
        found = comparison.against(comparison.by_task(TOY), "a", n=200).set_index("model")
        # a: Q3 75, Q8 50, GO 10; b: 65, 60, 10; c: 70, 40, 5
        assert found.loc["b", ["wins", "ties", "losses", "median"]].tolist() == [1, 1, 1, 0]
        assert found.loc["c", ["wins", "ties", "losses", "median"]].tolist() == [3, 0, 0, 5]
        assert found.loc["c", "p"] == 0.25 and found.loc["c", "p_holm"] == 0.5
        assert (found[["better", "same", "worse"]].sum(axis=1) - 1).abs().max() < 1e-9

    def test_an_unknown_model_is_refused(self):
        with pytest.raises(InputError, match="'d' is not in the table"):
            comparison.against(TOY, "d")


class TestCost:
    def test_operations_of_esm_are_those_of_its_layers(self):
        found = comparison.costs({"large": "esm2_t48_15B_UR50D", "small": "esm2_t33_650M_UR50D"})
        formula = 2 * 12 * found["layers"] * found["dim"] ** 2 / 1e9
        assert np.allclose(found["gflops"], formula, rtol=0.01)

    def test_cards_of_the_page_are_known(self):
        cards = PAGE.drop_duplicates("model").set_index("model")["card"].to_dict()
        found = comparison.costs(cards).set_index("model")
        assert len(found) == 7
        assert found.loc["Ankh Large", "parameters"] == models.card("ankh_large").parameters
        assert found.loc["Ankh Base", "gflops"] == 2 * models.card("ankh_base").parameters / 1e9

    def test_an_unknown_card_is_refused(self):
        with pytest.raises(InputError, match="'esm9'"):
            comparison.costs({"a": "esm9"})

    def test_front(self):
        #                 cheap and bad, dear and good, dearer and worse, twins of the second
        assert comparison.pareto([1, 4, 5, 4], [9, 2, 3, 2]).tolist() == [True, True, False, True]
        assert comparison.pareto([2.0], [2.0]).tolist() == [True]


class TestErrors:
    def test_of_a_share(self):
        assert comparison._share_error(0.5, 100) == pytest.approx(0.098, abs=5e-4)
        assert comparison._share_error(1.0, 9) == 0

    def test_of_a_correlation_as_by_drawing(self):
        rng, rho, n = np.random.default_rng(0), 0.6, 200
        drawn = []
        for _ in range(800):
            x = rng.normal(size=n)
            drawn.append(stats.spearmanr(x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)).statistic)
        assert comparison._correlation_error(float(np.mean(drawn)), n) == pytest.approx(1.96 * np.std(drawn), rel=0.1)

    def test_spread_is_that_of_the_proteins(self):
        values = np.random.default_rng(1).normal(70, 9, size=300)
        error = 1.96 * values.std() / np.sqrt(300)
        assert comparison.spread(70 - error, 70 + error, 300) == pytest.approx(values.std(), rel=1e-3)

    def test_which_columns_have_which_error(self):
        scores, q3 = comparison.wide(PAGE), "secondary structure, 3 states"
        found = comparison.sampling(scores, spreads={q3: 10.0}).set_index(["task", "column"])
        contacts = found[found.index.get_level_values("task").str.startswith("contacts")]
        assert contacts["error"].isna().all() and contacts["proteins"].isna().all() and len(contacts) == 8
        assert found.loc[(q3, "CASP12"), "error"] == pytest.approx(1.96 * 10 / np.sqrt(20), rel=1e-4)
        assert found.loc[(q3, "CASP14, HARD"), "proteins"] == 18
        assert found.loc[(q3, "CASP12"), "residues_alone"] < found.loc[(q3, "CASP12"), "error"]
        assert np.isnan(found.loc[("secondary structure, 8 states", "CASP12"), "error"])  # no spread was given
        solubility = found.loc[("solubility", "Solubility")]
        assert solubility["lead"] == pytest.approx(76.41 - 76.36) and solubility["extent"] == pytest.approx(
            76.41 - 60.52
        )

    def test_ties_lead_by_nothing(self):
        assert comparison.sampling(TOY).set_index("task").loc["GO", "lead"] == 0


def runs(task="localisation", test="test", model="m", **learners):
    """Results of a test: each learner's values, a seed each."""
    return pd.DataFrame(
        [
            {"task": task, "test": test, "metric": "accuracy of proteins", "learner": learner.replace("_", "-"),
             "seed": seed, "value": value, "low": value - 0.05, "high": value + 0.05, "n": 200, "model": model}
            for learner, values in learners.items() for seed, value in enumerate(values)
        ]
    )  # fmt: skip


class TestBeside:
    scores = comparison.wide(PAGE)

    def test_the_best_by_its_mean_and_not_by_its_luckiest_seed(self):
        found = comparison.with_published(
            runs(frequency=[0.2], composition=[0.4], linear=[0.5], mlp=[0.3, 0.6]), self.scores
        )
        row = found.iloc[0]
        assert (row["learner"], row["baseline"], row["seeds"]) == ("linear", "composition", 1)
        assert (row["value"], row["low"], row["high"]) == pytest.approx((50, 45, 55))
        assert row["baseline_value"] == pytest.approx(40)
        assert (row["column"], row["lowest"], row["highest"]) == ("DeepLoc", 80.51, 83.01)
        assert (row["data"], row["comparable"]) == ("200", "no")

    def test_seeds_are_averaged(self):
        row = comparison.with_published(runs(linear=[0.3], convbert=[0.4, 0.6]), self.scores).iloc[0]
        assert (row["learner"], row["seeds"], row["value"]) == ("convbert", 2, pytest.approx(50))
        assert row["baseline"] == "" and np.isnan(row["baseline_value"])

    def test_models_and_tests_are_kept_apart(self):
        parts = [runs("secondary_structure_3", test, model, linear=[v], window=[0.5])
                 for test, model, v in (("CB513", "m", 0.6), ("CASP12", "m", 0.7), ("CB513", "k", 0.8))]  # fmt: skip
        found = comparison.with_published(pd.concat(parts), self.scores)
        assert found[["test", "model", "data"]].values.tolist() == [
            ["CB513", "m", "200 of 513"], ["CASP12", "m", "200 of 20"], ["CB513", "k", "200 of 513"],
        ]  # fmt: skip
        assert found["value"].tolist() == pytest.approx([60, 70, 80])

    def test_a_test_without_a_published_column(self):
        row = comparison.with_published(runs("contacts", "CASP13, L", linear=[0.1]), self.scores).iloc[0]
        assert row["column"] == "" and np.isnan(row["lowest"]) and row["data"] == "200"

    @pytest.mark.parametrize("task", list(dict.fromkeys(PAGE["task"])))
    def test_every_published_task_has_one_of_ours(self, task):
        from plmbook import tasks

        assert [each.published for each in tasks.TASKS.values()].count(task) == 1

    def test_what_is_wrong_is_named(self):
        with pytest.raises(InputError, match="learner 'oracle', expected one of frequency"):
            comparison.with_published(runs(oracle=[0.9]), self.scores)
        with pytest.raises(InputError, match="localisation, test, accuracy of proteins, m: no learner but baselines"):
            comparison.with_published(runs(frequency=[0.9]), self.scores)
        with pytest.raises(InputError, match="linear: seed 0 twice"):
            comparison.with_published(pd.concat([runs(linear=[0.9])] * 2), self.scores)
        with pytest.raises(InputError, match="results of the tasks: the table lacks high"):
            comparison.with_published(runs(linear=[0.9]).drop(columns="high"), self.scores)
        with pytest.raises(InputError, match="'localisation, 10 classes' is missing"):
            comparison.with_published(
                runs(linear=[0.9]), self.scores.drop(index="localisation, 10 classes", level="task")
            )

    def test_counterparts_of_contacts(self):
        columns = ["ProteinNet, L/1", "ProteinNet, L/5", "CASP14, L/1", "CASP14, L/5"]
        found = [comparison._counterpart(test, columns) for test in ("CASP14, L", "CASP14, L/5", "others, L")]
        assert found == ["CASP14, L/1", "CASP14, L/5", ""]
        assert comparison._counterpart("CASP14", ["CASP12", "CASP14, HARD"]) == "CASP14, HARD"
        assert comparison._counterpart("test", ["DeepLoc"]) == "DeepLoc"

    @pytest.mark.parametrize(
        ("test", "expected"), [("C", "Lookup69K, C"), ("H", "Lookup69K, H"), ("test", ""), ("X", "")]
    )
    def test_counterparts_of_cath(self, test, expected):
        assert comparison._counterpart(test, [f"Lookup69K, {level}" for level in "CATH"]) == expected


def test_importing_it_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys, plmbook.tasks.comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
