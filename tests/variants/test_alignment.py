"""The alignment baseline by hand."""

import numpy as np
import pandas as pd
import pytest

from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.stats import metrics
from plmbook.variants import alignment


@pytest.fixture
def counts():
    table = pd.DataFrame({"gene": "TOY", "position": [1, 2], "ref": ["M", "K"], **{a: [0, 0] for a in AMINO_ACIDS}})
    table["M"] = [100, 0]
    table["K"], table["R"] = [0, 60], [0, 39]
    return table


def test_scores_are_log_count_ratios(counts):
    variants = pd.DataFrame({"gene": "TOY", "mutation": ["K2R", "M1A", "M1A:K2R"]}, index=[7, 8, 9])
    found = alignment.site_independent(counts, variants)
    first, second = np.log(39.5 / 60.5), np.log(0.5 / 100.5)
    np.testing.assert_allclose(found, [first, second, first + second])
    assert found.index.tolist() == [7, 8, 9]
    # the way back has the opposite sign: the score is a ratio
    back = counts.assign(ref=["M", "R"])
    found = alignment.site_independent(back, pd.DataFrame({"gene": ["TOY"], "mutation": ["R2K"]}))
    assert found[0] == pytest.approx(-first, abs=1e-12)


def test_no_alignment_or_another_isoform_has_no_score(counts):
    variants = pd.DataFrame({"gene": ["OTHER", "TOY", "TOY", "TOY"], "mutation": ["K2R", "K3R", "L2R", "K2R"]})
    found = alignment.site_independent(counts, variants)
    assert found.isna().tolist() == [True, True, True, False]
    table = alignment.effects(counts, variants.assign(significance="P/LP"))
    assert len(table) == 1
    assert table.loc[0, ["model", "strategy"]].tolist() == ["alignment", "site-independent"]


def test_a_repeated_column_is_refused(counts):
    with pytest.raises(InputError, match="TOY position 1 twice"):
        alignment.site_independent(pd.concat([counts, counts.head(1)]), pd.DataFrame({"gene": [], "mutation": []}))


def test_the_baseline_on_the_bundled_variants():
    variants = tables.load("variants")
    scored = alignment.effects(tables.load("alignment"), variants[variants["matches"]])
    rows = metrics.labelled(scored)
    assert rows["significance"].value_counts().to_dict() == {"P/LP": 3376, "B/LB": 688}
    assert scored["gene"].nunique() == 47
    assert metrics.auroc(rows) == pytest.approx(0.890, abs=3e-3)
