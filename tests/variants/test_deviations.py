"""Compensated deviations on alignments that one can read, and a compensation that is put there to be found."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, Mutation, parse_mutations
from plmbook.core.structures import Structure
from plmbook.variants import alignment, deviations, rescue

HUMAN = "MKRLVAED"
ROWS = pd.DataFrame(
    {
        "gene": "TOY",
        "assembly": ["fish1", "frog1", "mm10", "panTro4", "rat1"],
        "aligned": [".A.V-C..", ".A.V..Z.", "...I....", "........", "....AC.X"],
    }
)


def flat(value=0.0):
    return np.full((len(HUMAN), 20), value, dtype=np.float32)


def toy_scan(score=0.0, structure=None):
    """A scan of the toy gene in which the wild type has one score everywhere."""
    aligned = alignment.ortholog_residues(ROWS, "TOY", HUMAN)
    return deviations.GeneScan("TOY", HUMAN, [], flat()[None], flat(score), *aligned, structure)


def test_cases_and_controls_by_hand():
    """K2A: fish and frog carry it.  Their L4V and the fish's A6C are cases, also where the rat has the latter."""
    cb = np.zeros((len(HUMAN), 3), dtype=np.float32)
    cb[:, 1] = 4 * np.arange(len(HUMAN))
    structure = Structure("TOY", HUMAN, cb, np.full(len(HUMAN), 90, dtype=np.float32))
    epistasis = flat()
    epistasis[3, AMINO_ACIDS.index("V")] = 1.5
    scan = toy_scan(score=-2, structure=structure)
    found = deviations.substitutions(scan, parse_mutations("K2A"), epistasis)
    columns = ["ref", "position", "alt", "frequency", "n_carriers", "case", "separation", "distance"]
    assert found[columns].values.tolist() == [
        ["L", 4, "I", 1, 0, False, 2, 8.0],
        ["L", 4, "V", 2, 2, True, 2, 8.0],
        ["V", 5, "A", 1, 0, False, 3, 12.0],
        ["A", 6, "C", 2, 1, True, 4, 16.0],
    ]
    assert found["epistasis"].tolist() == [0, 1.5, 0, 0] and (found["score_wild_type"] == -2).all()
    assert (found["gene"] == "TOY").all() and (found["mutation"] == "K2A").all()


def test_what_only_other_carriers_have_is_neither_case_nor_control():
    found = deviations.substitutions(toy_scan(), parse_mutations("K2A"), flat(), of=[1])
    assert found.loc[found["case"], ["position", "alt", "n_carriers"]].values.tolist() == [[4, "V", 1]]
    assert found.loc[~found["case"], ["position", "alt"]].values.tolist() == [[4, "I"], [5, "A"]]  # not the fish's 6C


def test_a_variant_without_a_carrier_is_refused():
    with pytest.raises(InputError, match="TOY K2C: no ortholog has this residue"):
        deviations.substitutions(toy_scan(), parse_mutations("K2C"), flat())


def carried(*rows):
    return pd.DataFrame(rows, columns=["gene", "mutation", "assembly"])


def scanned(*mutations):
    """A fake scan of variants of the toy gene."""
    genes = pd.DataFrame({"gene": ["TOY"], "sequence": [HUMAN]})
    variants = pd.DataFrame({"gene": "TOY", "mutation": list(mutations)})
    return deviations.scan_genes(FakeModel(seeded), variants, genes, ROWS)


def test_genes_are_scanned_as_one_variant_alone_is():
    (found,) = scanned("K2A", "L4V")
    assert (found.gene, found.assemblies) == ("TOY", ROWS["assembly"].tolist()) and found.structure is None
    for number, text in enumerate(["K2A", "L4V"]):
        (block,) = rescue.scores(FakeModel(seeded), HUMAN, [parse_mutations(text)])
        np.testing.assert_array_equal(found.epistasis[number], block.epistasis[0])
        np.testing.assert_array_equal(found.score_wild_type, block.score_wild_type)


def test_the_table_puts_together_what_each_variant_has():
    scan = scanned("K2A", "L4V")
    (one,) = scan
    both = carried(("TOY", "K2A", "fish1"), ("TOY", "L4V", "fish1"), ("TOY", "L4V", "frog1"))
    found = deviations.substitution_table(scan, both)
    parts = [
        deviations.substitutions(one, variant, one.epistasis[n], of=rows)
        for n, (variant, rows) in enumerate(zip(one.variants, ([0], [0, 1]), strict=True))
    ]
    pd.testing.assert_frame_equal(found, pd.concat(parts, ignore_index=True))
    only = deviations.substitution_table(scan, carried(("TOY", "K2A", "frog1")))
    assert set(only["mutation"]) == {"K2A"}
    assert only.loc[only["case"], "alt"].tolist() == ["V"]  # the frog's L4V; the fish's A6C is neither


def test_carriers_that_do_not_carry_are_refused():
    with pytest.raises(InputError, match="TOY K2A: not all of fish1, mm10 have this residue"):
        deviations.substitution_table(scanned("K2A"), carried(("TOY", "K2A", "fish1"), ("TOY", "K2A", "mm10")))
    with pytest.raises(InputError, match="none of the scanned variants"):
        deviations.substitution_table(scanned("K2A"), carried(("TOY", "L4V", "fish1")))
    with pytest.raises(InputError, match="gene 'OTHER': not among the 1 genes"):
        variants = pd.DataFrame({"gene": ["OTHER"], "mutation": ["K2A"]})
        deviations.scan_genes(FakeModel(), variants, pd.DataFrame({"gene": ["TOY"], "sequence": [HUMAN]}), ROWS)


def test_residues_are_counted_by_position():
    _, residues = alignment.ortholog_residues(ROWS, "TOY", HUMAN)
    counts = deviations._counts(residues)
    assert counts.shape == (len(HUMAN), 20) and counts.sum() == (residues >= 0).sum()
    assert counts[3, AMINO_ACIDS.index("V")] == 2 and counts[4, AMINO_ACIDS.index("A")] == 1
    assert not deviations._counts(residues[:0]).any()


def simulated(compensation, seed=0, genes=5, length=120, species=40):
    """Orthologs that differ at random; the carriers' substitutions have higher epistasis by `compensation`.

    Epistasis follows the score on the wild type and the frequency, which cases and controls do not share.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for n in range(genes):
        human = rng.integers(20, size=length)
        rates = rng.choice([0.02, 0.1, 0.4], size=length)
        other = rng.integers(20, size=(2, length))
        changed = rng.random((species, length)) < rates
        residues = np.where(changed, other[rng.integers(2, size=(species, length)), np.arange(length)], human)
        sequence = "".join(AMINO_ACIDS[k] for k in human)
        scores = rng.normal(-3, 2, size=(length, 20)).astype(np.float32)
        frequency = (residues[:, :, None] == np.arange(20)).sum(axis=0)
        for i in rng.choice(np.flatnonzero(rates > 0.05), size=4, replace=False):
            alt = other[0, i] if other[0, i] != human[i] else other[1, i]
            if alt == human[i] or not (residues[:, i] == alt).any():
                continue
            variant = (Mutation(int(i) + 1, sequence[i], AMINO_ACIDS[alt]),)
            mine = (residues[residues[:, i] == alt][:, :, None] == np.arange(20)).any(axis=0)
            epistasis = -scores + 0.2 * np.log1p(frequency) + rng.normal(size=scores.shape) + compensation * mine
            scan = deviations.GeneScan(f"G{n}", sequence, [variant], epistasis[None], scores, [], residues, None)
            parts.append(deviations.substitutions(scan, variant, epistasis))
    return pd.concat(parts, ignore_index=True)


def test_compensation_is_found_where_it_is_and_not_where_it_is_not():
    table = simulated(2.0)
    there = deviations.enrichment(table, n=200)
    assert there.value > 0.7 and there.low > 0.5 and there.p < 0.01
    absent = deviations.enrichment(simulated(0.0), n=200)
    assert 0.42 < absent.value < 0.58 and absent.p > 0.02
    genes = deviations.gene_enrichment(table)
    assert genes["auroc"].mean() == pytest.approx(there.value)
    near = deviations.enrichment(table, max_separation=20, minimum=3, n=50)
    assert near.n_cases < there.n_cases and near.value > 0.55


def test_only_near_second_sites_where_asked():
    table = simulated(1.0).assign(distance=lambda t: t["separation"] * 1.5)
    close = deviations._binned(table, None, 8.0)
    assert len(close) and (close["distance"] < 8).all()
    assert (deviations._binned(table, 5, None)["separation"] <= 5).all()
    whole = deviations._binned(table, None, None)
    kept = whole.loc[close.index, "score_bin"]
    assert (kept == close["score_bin"]).all()  # fifths of all the variant's substitutions, not of the near ones
