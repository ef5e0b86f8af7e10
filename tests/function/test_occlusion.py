"""Attribution on a model that knows one motif: its residues are found, and nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK
from plmbook.function import classifier, occlusion
from plmbook.stats import matched

MOTIF = occlusion.MOTIFS["P-loop"].pattern
D = 4


def hidden(sequence):
    """(L, 4): whether the residue is K of a P-loop, whether it is K, whether L, and 1; masked residues have none."""
    inside = occlusion.motif_residues(sequence.replace(MASK, "X"), MOTIF)
    letters = np.array(list(sequence))
    return np.stack([inside & (letters == "K"), letters == "K", letters == "L", np.ones(len(letters))], axis=1)


def cross_fitted(features, labels, clusters, seed=0):
    """The classifiers of all folds, and the fold of each protein."""
    fold = occlusion.folds_of(labels, clusters, seed=seed)
    return [occlusion.fit_fold(features, labels, fold, number, seed=seed) for number in range(5)], fold


def mean(sequence):
    return hidden(sequence).mean(axis=0)


def proteins(n=160, seed=0):
    """Random proteins, every second one with a P-loop; clusters of two."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        letters = rng.choice(list(AMINO_ACIDS), size=60)
        if number % 2:
            start = rng.integers(5, 45)
            letters[start : start + 8] = list("GAAAAGKS")
        found.append("".join(letters))
    return found, np.array([f"c{number // 2}" for number in range(n)])


@pytest.fixture(scope="module")
def planted():
    """Sequences, clusters, labels (has a P-loop), the cross-fitted classifiers, and who is asked by which."""
    sequences, clusters = proteins()
    has = [occlusion.motif_residues(text, MOTIF).any() for text in sequences]
    labels = pd.DataFrame({"GO:1": has}, index=[f"p{n}" for n in range(len(sequences))])
    features = np.array([mean(text) for text in sequences], dtype=np.float32)
    classifiers, fold = cross_fitted(features, labels, clusters, seed=1)
    return sequences, clusters, labels, features, classifiers, fold


@pytest.mark.parametrize(
    ("name", "sequence", "expected"),
    [
        ("P-loop", "MMGPPPPGKTMM", "..GPPPPGKT.."),
        ("P-loop", "MMGPPPPGRTMM", "............"),
        ("P-loop", "AGAAAAGKSGKT", ".GAAAAGKSGKT"),  # two that overlap: from 2 to 9 and from 5 to 12
        ("C2H2 zinc finger", "KPFQCRICMRNFSRSDHLTTHIRTHTG", "....CRICMRNFSRSDHLTTHIRTH.."),  # of EGR1
        ("kinase active site", "DLIYRDLKPENLLIDQQ", ".LIYRDLKPENLLI..."),  # of PKA
    ],
)
def test_motifs_by_hand(name, sequence, expected):
    found = occlusion.motif_residues(sequence, occlusion.MOTIFS[name].pattern)
    assert "".join(letter if here else "." for letter, here in zip(sequence, found, strict=True)) == expected


def test_a_pattern_is_read_or_refused():
    assert occlusion._expression("[AG]-x(4)-G-K-[ST]") == "[AG].{4}GK[ST]"
    assert occlusion._expression("N-{P}-[ST]-x(2,4)") == "N[^P][ST].{2,4}"
    with pytest.raises(InputError, match="pattern 'A-\\?': '\\?' is no element that is read here"):
        occlusion._expression("A-?")


def test_windows_leave_no_residue_out():
    with pytest.raises(InputError, match="windows of 3 residues, one every 4: expected a stride of 1 to 3"):
        occlusion.windows(9, 3, 4)
    with pytest.raises(InputError, match="windows of 0 residues, one every 1: expected at least one residue"):
        occlusion.windows(9, 0, 1)
    assert occlusion.spread(np.array([[1.0], [3.0]]), [(0, 2), (1, 3)], 3).ravel().tolist() == [1.0, 2.0, 3.0]


def test_a_residue_type_is_that_of_other_proteins():
    t = pd.DataFrame({"gene": list("aabb"), "ref": list("GKGG"), "motif": False, "x": [9.0, 1.0, 2.0, 4.0]})
    assert occlusion.by_residue_type(t, "x").tolist() == [3.0, 0.0, 9.0, 9.0]


def test_every_protein_is_asked_of_a_classifier_that_saw_no_relative(planted):
    _, clusters, labels, features, classifiers, fold = planted
    assert len(classifiers) == 5 and sorted(set(fold)) == [0, 1, 2, 3, 4]
    assert (pd.Series(fold).groupby(clusters).nunique() == 1).all()
    changed = labels.copy()
    changed[fold == 2] = ~changed[fold == 2]  # what fold 2 is tested on
    split = pd.Series(np.where(fold == 2, "test", np.where(fold == 3, "validation", "train")), index=labels.index)
    again = classifier.fit("logistic", features, changed, split, seed=1)
    np.testing.assert_array_equal(again.fitted.arrays["coefficients"], classifiers[2].fitted.arrays["coefficients"])
    assert (np.bincount(fold, weights=labels["GO:1"]) >= 5).all()  # each has its share of the term


def test_a_term_that_cannot_be_learnt_is_refused(planted):
    _, clusters, labels, features, *_ = planted
    rare = labels.assign(rare=np.arange(len(labels)) == 3)
    with pytest.raises(InputError, match="fold 1 of 5: rare: "):
        cross_fitted(features, rare, clusters)


def test_shares_add_up_to_the_log_odds(planted):
    sequences, _, _, features, classifiers, fold = planted
    for row in (0, 1, 7):
        one = classifiers[fold[row]]
        total = occlusion.shares(one, hidden(sequences[row])).sum(axis=0) + one.fitted.arrays["intercepts"]
        np.testing.assert_allclose(total, occlusion.log_odds(one, features[[row]])[0], atol=1e-5)
        probability = 1 / (1 + np.exp(-occlusion.log_odds(one, features[[row]])))
        np.testing.assert_allclose(probability, one.predict(features[[row]]), atol=1e-6)


def test_only_a_linear_answer_can_be_divided(planted):
    _, _, labels, features, *_ = planted
    split = pd.Series(["train"] * 100 + ["validation"] * 30 + ["test"] * 30, index=labels.index)
    other = classifier.fit("knn", features, labels, split)
    for ask in (lambda: occlusion.log_odds(other, features), lambda: occlusion.shares(other, features)):
        with pytest.raises(InputError, match="learner 'knn': expected 'logistic'"):
            ask()


def test_drops_by_hand(planted):
    """Windows of 8, one every 8: what a window takes away is the log-odds of the protein less those of what is left."""
    sequences, _, _, _, classifiers, fold = planted
    text, one = sequences[1], classifiers[fold[1]]
    model = FakeModel(hidden=hidden)
    found = occlusion.drops(model, text, one, width=8, stride=8)
    assert found.shape == (60, 1) and model.n_sequences == 1 + 8  # 0-8, 8-16, ..., 48-56, 52-60

    def odds(sequence):
        return occlusion.log_odds(one, mean(sequence)[None])[0, 0]

    def without(a, b):
        return odds(text) - odds(text[:a] + MASK * (b - a) + text[b:])

    np.testing.assert_allclose(found[:8, 0], without(0, 8), atol=1e-5)
    np.testing.assert_allclose(found[52:56, 0], (without(48, 56) + without(52, 60)) / 2, atol=1e-5)
    np.testing.assert_allclose(found[56:, 0], without(52, 60), atol=1e-5)


def test_a_protein_that_is_too_long_is_refused(planted):
    sequences, _, _, _, classifiers, _ = planted
    with pytest.raises(InputError, match="longer than 50 residues"):
        occlusion.drops(FakeModel(hidden=hidden, max_length=50), sequences[0], classifiers[0])


def table(planted, classifier_of):
    """Every residue of the proteins with the motif: its share and its drop."""
    sequences, clusters, labels, *_ = planted
    parts = []
    for row in np.flatnonzero(labels["GO:1"]):
        text, one = sequences[row], classifier_of(row)
        parts.append(
            pd.DataFrame(
                {
                    "gene": clusters[row],
                    "id": labels.index[row],
                    "ref": list(text),
                    "motif": occlusion.motif_residues(text, MOTIF),
                    "share": occlusion.shares(one, hidden(text))[:, 0],
                    "drop": occlusion.drops(FakeModel(hidden=hidden), text, one, width=2, stride=2)[:, 0],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


OPTIONS = {"case": "motif", "strata": ["id"], "minimum": 1, "n": 200}


def test_what_is_planted_is_found(planted):
    """The term comes with the K of the P-loop: its share is the largest, and masking the motif takes most away."""
    _, _, _, _, classifiers, fold = planted
    residues = table(planted, lambda row: classifiers[fold[row]])
    inside = residues["motif"] & (residues["ref"] == "K")
    own = residues.groupby("id")["share"].rank(ascending=False, method="min")
    assert (own[inside] == 1).mean() > 0.95
    most = residues.groupby("id")["drop"].max()
    assert (most > 0).all() and (most == residues[residues["motif"]].groupby("id")["drop"].max()).all()
    by_drop = matched.auroc(residues, value="drop", **OPTIONS)
    assert by_drop.low > 0.7 and by_drop.p < 0.01  # half of the motif may be any residue: masking it breaks nothing
    residues["kind"] = occlusion.by_residue_type(residues, "drop")
    found = occlusion.gain(residues, "drop", "kind", n=200)
    assert found.low > 0.1 and found.n == by_drop.n_genes


def test_where_nothing_is_planted_nothing_is_found(planted):
    """A term dealt out at random has no residues: the AUROC of the motif stays at one half."""
    sequences, clusters, labels, *_ = planted
    rng = np.random.default_rng(5)
    deaf = np.array([rng.normal(size=(60, 6)) for _ in sequences])  # hidden states that know nothing of the sequence
    chance = labels.assign(**{"GO:1": rng.permuted(labels["GO:1"].to_numpy())})
    classifiers, fold = cross_fitted(deaf.mean(axis=1).astype(np.float32), chance, clusters)
    parts = [
        pd.DataFrame(
            {
                "gene": clusters[row],
                "id": labels.index[row],
                "motif": occlusion.motif_residues(sequences[row], MOTIF),
                "share": occlusion.shares(classifiers[fold[row]], deaf[row])[:, 0],
            }
        )
        for row in np.flatnonzero(labels["GO:1"])
    ]
    found = matched.auroc(pd.concat(parts, ignore_index=True), value="share", **OPTIONS)
    assert found.n_genes > 60 and found.low < 0.5 < found.high and found.p > 0.01


def test_what_was_learnt_comes_back_from_a_table(planted):
    sequences, _, labels, features, classifiers, fold = planted
    for number, made in enumerate(classifiers):
        again = occlusion.from_coefficients(occlusion.coefficients(made), features, fold, number)
        assert again.terms == made.terms
        np.testing.assert_allclose(occlusion.log_odds(again, features), occlusion.log_odds(made, features), atol=1e-9)
        states = hidden(sequences[1]).astype(float)
        np.testing.assert_allclose(occlusion.shares(again, states), occlusion.shares(made, states), atol=1e-9)


def test_the_shortest_of_each_cluster_are_masked():
    proteins = pd.DataFrame({"id": list("abcd"), "cluster": ["x", "x", "y", "z"], "length": [30, 20, 25, 90]})
    dataset = occlusion.MotifDataset(proteins, pd.DataFrame(), {}, {("P-loop", "GO:1"): np.arange(4)})
    assert occlusion.to_mask(dataset, longest=50, per_question=5) == {("P-loop", "GO:1"): [1, 2]}
    assert occlusion.to_mask(dataset, longest=90, per_question=1) == {("P-loop", "GO:1"): [1]}
