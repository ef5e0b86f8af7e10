"""The bundled tables hold what data/README.md says: counts, joins, and the published figures recomputed from them."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from plmbook import sources, tables
from plmbook.core import paths
from plmbook.core.residues import AMINO_ACIDS, UNKNOWN, apply_mutations, parse_mutations
from plmbook.core.structures import structures_of
from plmbook.tables import bundled
from plmbook.tables.published import published as published_table

ESM2, ESM1V = "esm2_t33_650M_UR50D", "esm1v"
CLASSES = ["P/LP", "B/LB"]


@pytest.fixture(scope="module")
def genes():
    return tables.load("genes")


@pytest.fixture(scope="module")
def variants():
    return tables.load("variants")


@pytest.fixture(scope="module")
def alignment():
    return tables.load("alignment")


@pytest.fixture(scope="module")
def published():
    """One column a model, NaN where it was not run."""
    long = tables.load("published_effects")
    return long.pivot(index=["gene", "mutation"], columns="model", values="score").reset_index()


@pytest.fixture(scope="module")
def labelled(variants, published):
    """The P/LP and B/LB variants with their published scores."""
    table = variants.merge(published, on=["gene", "mutation"], how="left")
    return table[table["significance"].isin(CLASSES)]


def area(table, score):
    """AUROC of P/LP against B/LB over the rows that have the score, not by our own metrics; lower = more damaging."""
    scored = table[table[score].notna()]
    return roc_auc_score(scored["significance"] == "P/LP", -scored[score])


def within_genes(table, score, minimum=5):
    """(number of genes, mean over genes of the AUROC) over the genes with at least `minimum` of each class."""
    areas = [
        area(rows, score)
        for _, rows in table[table[score].notna()].groupby("gene")
        if all((rows["significance"] == name).sum() >= minimum for name in CLASSES)
    ]
    return len(areas), float(np.mean(areas))


# --- genes ---


def test_there_are_53_genes_up_to_1000_residues(genes):
    assert len(genes) == 53
    assert genes["length"].max() <= 1000
    assert genes["uniprot"].is_unique


def test_47_genes_have_an_alignment_of_their_own_sequence(genes):
    without = genes.loc[genes["transcript"] == "", "gene"].tolist()
    assert without == ["BTD", "HNF1A", "MEN1", "MUTYH", "PKP2", "WT1"]
    assert (genes["n_species"] == np.where(genes["transcript"] == "", 0, 100)).all()


def test_the_right_one_of_two_transcripts_is_taken(genes):
    """The file of each of these genes begins with another protein (TP53's with one of 76 residues)."""
    taken = genes.set_index("gene")["transcript"]
    assert taken[["LMNA", "TP53", "MAX", "VHL"]].tolist() == [
        "ENST00000368300",
        "ENST00000269305",
        "ENST00000358664",
        "ENST00000256474",
    ]


# --- variants ---


def test_variants_are_counted_by_class(variants):
    assert len(variants) == 25_096
    assert variants["significance"].value_counts().to_dict() == {"VUS": 20_643, "P/LP": 3_673, "B/LB": 780}


def test_every_gene_is_known_and_has_variants(genes, variants):
    assert set(variants["gene"]) == set(genes["gene"])


def test_wild_types_match_unless_flagged(genes, variants):
    sequences = genes.set_index("gene")["sequence"]
    found = [sequences[v.gene][v.position - 1 : v.position] for v in variants.itertuples()]
    assert ((variants["ref"] == found) == variants["matches"]).all()
    assert (~variants["matches"]).sum() == 2_105


def test_mismatches_lie_in_the_six_genes_and_have_a_reason(genes, variants):
    wrong = variants[~variants["matches"]]
    assert set(wrong["gene"]) == set(genes.loc[genes["transcript"] == "", "gene"])
    assert wrong["mismatch_reason"].str.split(":").str[0].value_counts().to_dict() == {
        "other isoform": 2_058,
        "past the end": 44,
        "reference differs": 3,
    }


def test_aligned_positions_hold_the_wild_type(genes, variants):
    """Moved to the gene's sequence, each variant of another isoform meets its own wild type (HNF1A 574 apart)."""
    sequences = genes.set_index("gene")["sequence"]
    placed = variants[(variants["aligned_position"] > 0) & ~variants["mismatch_reason"].str.startswith("reference")]
    assert all(sequences[v.gene][v.aligned_position - 1] == v.ref for v in placed.itertuples())
    assert (variants["aligned_position"] == 0).sum() == 75  # WT1 only: its ClinVar isoform begins 73 residues earlier


def test_matches_by_chance_are_counted(variants):
    """The same letter stands there in both isoforms, but it is another residue of the protein."""
    chance = variants[variants["matches"] & (variants["aligned_position"] != variants["position"])]
    assert chance["gene"].value_counts().to_dict() == {"MUTYH": 54, "WT1": 47, "MEN1": 43, "PKP2": 19, "BTD": 14}
    assert chance["significance"].value_counts().to_dict() == {"VUS": 166, "P/LP": 11}


def test_a_frequency_of_zero_is_absent(variants):
    assert variants["allele_frequency"].isna().sum() == 18_476
    assert variants["allele_frequency"].min() > 0


def test_every_variant_has_a_refseq_transcript(variants):
    assert variants["transcript"].str.fullmatch(r"NM_\d+\.\d+").all()


def test_classes_resolved_by_the_study_are_counted(variants):
    """ClinVar itself calls these conflicting; the study took the majority of the submissions."""
    conflicting = variants[variants["stated"].isin(["Other", "B/LB+Other", "Other+P/LP", "Other+VUS"])]
    assert conflicting["significance"].value_counts().to_dict() == {"VUS": 1_411, "P/LP": 290, "B/LB": 240}


# --- published scores ---


def test_published_scores_are_counted_by_model(variants):
    long = tables.load("published_effects")
    assert long.groupby("model").size().to_dict() == {
        ESM2: 24_791,
        ESM1V: 24_990,
        "esm1v_t33_650M_UR90S_1": 22_166,
        "esm1v_t33_650M_UR90S_2": 24_504,
        "esm1v_t33_650M_UR90S_3": 24_557,
        "esm1v_t33_650M_UR90S_4": 24_379,
        "esm1v_t33_650M_UR90S_5": 24_379,
    }
    known = pd.MultiIndex.from_frame(variants[["gene", "mutation"]])
    assert pd.MultiIndex.from_frame(long[["gene", "mutation"]]).isin(known).all()


def test_the_published_mean_is_that_of_the_models_that_were_run(published):
    members = [f"esm1v_t33_650M_UR90S_{i}" for i in range(1, 6)]
    np.testing.assert_allclose(published[members].mean(axis=1), published[ESM1V], atol=1e-7)
    assert published[members].notna().sum(axis=1).value_counts().to_dict() == {
        5: 21_559,
        4: 2_820,
        1: 437,
        3: 125,
        2: 49,
        0: 47,
    }


def test_esm2_lacks_246_rows_of_vhl(variants, published):
    table = variants.merge(published, on=["gene", "mutation"], how="left")
    assert (table[ESM2].isna() & (table["gene"] == "VHL")).sum() == 246


def test_published_auroc_on_all_rows_with_a_score(labelled):
    assert area(labelled, ESM2) == pytest.approx(0.861, abs=0.001)
    assert area(labelled, ESM1V) == pytest.approx(0.893, abs=0.001)


def test_published_auroc_on_common_rows(labelled):
    common = labelled.dropna(subset=[ESM2, ESM1V])
    assert common["significance"].value_counts().to_dict() == {"P/LP": 3_558, "B/LB": 778}
    assert area(common, ESM2) == pytest.approx(0.861, abs=0.001)
    assert area(common, ESM1V) == pytest.approx(0.907, abs=0.001)


def test_published_within_gene_auroc_is_on_common_rows(labelled):
    """ESM-1v reaches 0.879 on its own rows and 0.875, the stated figure, on the common ones."""
    common = labelled.dropna(subset=[ESM2, ESM1V])
    assert within_genes(common, ESM2) == (34, pytest.approx(0.855, abs=0.001))
    assert within_genes(common, ESM1V) == (34, pytest.approx(0.875, abs=0.001))
    assert within_genes(labelled, ESM1V) == (34, pytest.approx(0.879, abs=0.001))


# --- alignment, compensated deviations, structures ---


def test_alignment_counts_sum_to_the_rows(genes, alignment):
    totals = alignment[[*AMINO_ACIDS, "gap", "unknown"]].sum(axis=1)
    assert (totals == alignment["gene"].map(genes.set_index("gene")["n_species"])).all()


def test_alignment_refs_spell_the_sequences(genes, alignment):
    spelt = alignment.groupby("gene")["ref"].agg("".join)
    expected = genes[genes["transcript"] != ""].set_index("gene")["sequence"]
    pd.testing.assert_series_equal(spelt, expected, check_names=False)
    human = alignment[list(AMINO_ACIDS)].to_numpy()[np.arange(len(alignment)), alignment["ref"].map(AMINO_ACIDS.index)]
    assert human.min() >= 1  # the human row is counted


def test_alignment_baseline(labelled, alignment):
    """ln((n_alt + 0.5) / (n_ref + 0.5)) over all 100 rows, gaps and unknowns uncounted, written out here once more."""
    table = labelled.merge(alignment.drop(columns="ref"), on=["gene", "position"])
    counts = table[list(AMINO_ACIDS)].to_numpy()
    row = np.arange(len(table))
    n_alt, n_ref = (counts[row, table[name].map(AMINO_ACIDS.index)] for name in ("alt", "ref"))
    table = table.assign(baseline=np.log((n_alt + 0.5) / (n_ref + 0.5)))
    assert table["significance"].value_counts().to_dict() == {"P/LP": 3_376, "B/LB": 688}
    assert area(table, "baseline") == pytest.approx(0.890, abs=0.003)


def test_carriers_are_counted_in_the_alignment(variants, alignment):
    """The carriers of a variant are as many as the alignment counts of its residue."""
    cpd = tables.load("cpd")
    table = variants.merge(alignment.drop(columns="ref"), on=["gene", "position"])
    expected = table[list(AMINO_ACIDS)].to_numpy()[np.arange(len(table)), table["alt"].map(AMINO_ACIDS.index)]
    counted = cpd.groupby(["gene", "mutation"]).size()
    found = counted.reindex(pd.MultiIndex.from_frame(table[["gene", "mutation"]]), fill_value=0)
    assert (found.to_numpy() == expected).all()
    assert len(cpd) == 41_519
    assert "hg38" not in set(cpd["assembly"])


def test_flanks_are_counted(variants):
    assert tables.load("cpd")["flank"].value_counts().to_dict() == {
        0: 20_763,
        1: 6_873,
        5: 6_215,
        2: 3_793,
        3: 2_487,
        4: 1_388,
    }


def test_structures_have_the_residues_of_the_sequences(genes):
    structures = tables.load("structures")
    spelt = structures.groupby("gene")["residue"].agg("".join)
    pd.testing.assert_series_equal(spelt, genes.set_index("gene")["sequence"], check_names=False)


def test_neighbouring_c_alphas_are_a_peptide_bond_apart():
    """3.8 angstrom for trans, 2.9 for cis; C-beta lies 1.5 from C-alpha, and on it for glycine."""
    structures = tables.load("structures")
    alpha = structures[["ca_x", "ca_y", "ca_z"]].to_numpy()
    step = np.linalg.norm(np.diff(alpha, axis=0), axis=1)[structures["position"].to_numpy()[1:] > 1]
    assert step.min() > 2.5 and step.max() < 4.3
    bond = np.linalg.norm(structures[["cb_x", "cb_y", "cb_z"]].to_numpy() - alpha, axis=1)
    glycine = (structures["residue"] == "G").to_numpy()
    assert bond[glycine].max() == 0
    assert bond[~glycine].min() > 1.4 and bond[~glycine].max() < 1.7


def test_the_backbone_is_that_of_the_structures():
    """Bonds of a peptide: N to C-alpha 1.46 angstrom, C-alpha to C 1.52, C to O 1.23, C to the next N 1.33."""
    structures, backbone = tables.load("structures"), tables.load("backbone")
    pd.testing.assert_frame_equal(structures[["gene", "position"]], backbone[["gene", "position"]])
    places = structures.join(backbone.drop(columns=["gene", "position"]))
    atoms = {name: places[[f"{name}_{axis}" for axis in "xyz"]].to_numpy() for name in ("n", "ca", "c", "o")}
    for a, b, length in (("n", "ca", 1.46), ("ca", "c", 1.52), ("c", "o", 1.23)):
        bond = np.linalg.norm(atoms[a] - atoms[b], axis=1)
        assert np.abs(bond - length).max() < 0.12, (a, b)
    peptide = np.linalg.norm(atoms["n"][1:] - atoms["c"][:-1], axis=1)[places["position"].to_numpy()[1:] > 1]
    assert np.abs(np.median(peptide) - 1.33) < 0.02 and peptide.max() < 1.6
    for atom in "nco":
        hundredths = 100 * atoms[atom].astype(float)
        assert np.abs(hundredths - hundredths.round()).max() < 0.01


# --- the tests of the embedded models ---


def test_contexts_of_the_ngram_hold_the_same_residues():
    table = tables.load("ngram")
    counts = table[list(AMINO_ACIDS)].sum(axis=1)
    pairs = table["context"].str.fullmatch(r"[A-Z-]_[A-Z-]")
    assert pairs.sum() == 441 and counts[pairs].sum() == 86_474_556
    assert len(table) == 567 == 441 + 6 * 21


def test_structures_kept_aside_are_counted():
    kept = tables.load("kept_structures")
    lengths = kept.groupby("id").size()
    assert (len(lengths), lengths.min(), lengths.max(), len(kept)) == (66, 72, 881, 22_326)
    assert kept.groupby("source")["id"].nunique().to_dict() == {"AlphaFold2": 50, "PDB": 15, "SCOP": 1}
    assert (kept["plddt"].isna() | (kept["plddt"] >= 70)).sum() == 18_591


def test_states_of_secondary_structure_are_counted():
    table = tables.load("secondary_structure")
    for split, total, counted in (
        ("test", 106_073, {"C": 35_635, "H": 29_102, "E": 18_690}),
        ("train", 136_197, {"H": 49_023, "C": 48_050, "E": 29_485}),
    ):
        part = table[table["split"] == split]
        assert part["length"].sum() == total
        states = pd.Series(list("".join(part["dssp3"])))[np.array(list("".join(part["counted"]))) == "1"]
        assert states.value_counts().to_dict() == counted


def test_residues_of_the_localisation_set_are_counted():
    lengths = tables.load("localisation").groupby("split")["length"].agg(["size", "sum"])
    assert lengths.loc["test"].tolist() == [700, 289_598]
    assert lengths.loc["train"].tolist() == [1_502, 617_237]


def test_relatives_are_counted_and_are_proteins_of_the_tests():
    relatives = tables.load("relatives")
    counts = relatives.groupby(["table", "source"]).size().to_dict()
    assert counts == {
        ("genes", "general"): 22,
        ("heldout", "general"): 91,
        ("kept_structures", "general"): 30,
        ("kept_structures", "orthologs"): 2,
        ("landscapes", "general"): 4,
        ("secondary_structure", "general"): 205,
        ("secondary_structure", "orthologs"): 9,
    }
    structure = tables.load("secondary_structure")
    tested = {
        "heldout": (set(tables.load("heldout")["id"]), 304),
        "kept_structures": (set(tables.load("kept_structures")["id"]), 36),
        "secondary_structure": (set(structure.loc[structure["split"] == "test", "id"]), 223),
    }
    for name, (ids, left) in tested.items():
        related = bundled.read_in_training(name)
        assert related <= ids and len(ids - related) == left
    assert bundled.read_in_training("landscapes") == {"pdz3_abundance", "pdz3_binding", "pab1", "ube4b"}
    assert relatives["identity"].between(0.3, 1).all()


# --- the downstream tasks ---


TASKS = ("task_secondary_structure", "task_remote_homology", "task_solubility", "task_fluorescence", "task_cath")


@pytest.fixture(scope="module")
def tasks():
    """The tables of the tasks, by name without task_."""
    return {name.removeprefix("task_"): tables.load(name) for name in (*TASKS, "task_proteins", "task_contacts")}


@pytest.mark.parametrize(
    ("name", "counts", "residues"),
    [
        ("secondary_structure", [600, 80, 38], [121_499, 16_466, 10_427]),
        ("remote_homology", [1_100, 151, 436], [176_725, 24_237, 63_670]),
        ("solubility", [1_100, 150, 600], [286_260, 43_728, 146_710]),
    ],
)
def test_proteins_and_residues_of_the_tasks_are_counted(tasks, name, counts, residues):
    lengths = tasks[name].groupby("split")["length"].agg(["size", "sum"]).loc[["train", "validation", "test"]]
    assert lengths["size"].tolist() == counts and lengths["sum"].tolist() == residues


def test_no_sequence_of_a_task_is_in_two_splits(tasks):
    for name in ("secondary_structure", "remote_homology", "solubility", "cath"):
        table = tasks[name]
        assert table["sequence"].is_unique, name
        assert table["sequence"].str.fullmatch(f"[{AMINO_ACIDS}X]+").all(), name
    assert (tables.load("localisation").groupby("sequence")["split"].nunique() == 1).all()
    kept = structures_of(tables.load("kept_structures"))
    casp = tasks["contacts"].rename(columns={f"ca_{axis}": f"cb_{axis}" for axis in "xyz"}).assign(plddt=np.nan)
    casp = {each.sequence for each in structures_of(casp).values()}
    assert casp and not {each.sequence for each in kept.values()} & casp
    cb513 = tables.load("secondary_structure").query("split == 'test'")
    assert not set(cb513["sequence"]) & set(tasks["secondary_structure"].query("split != 'test'")["sequence"])


def test_eight_states_give_three_but_for_one_set(tasks):
    """DSSP's pi helix I is H in CB6133 and CASP12, C in CASP14."""
    table = tasks["secondary_structure"]
    for source, rows in table.groupby("source"):
        pairs = set(zip("".join(rows["dssp8"]), "".join(rows["dssp3"]), strict=True))
        expected = set(zip("HGIEBTSC", "HHHEECCC", strict=True))
        assert pairs == (expected if source != "CASP14" else expected - {("I", "H")} | {("I", "C")}), source


def test_states_of_the_tasks_are_counted(tasks):
    table = tasks["secondary_structure"]
    assert table["source"].value_counts().to_dict() == {"CB6133": 680, "CASP12": 20, "CASP14": 18}
    assert table.groupby("source")["counted"].agg("".join).str.count("1").to_dict() == {
        "CASP12": 6_004,
        "CASP14": 2_718,
        "CB6133": 137_965,
    }
    test = table[table["split"] == "test"]
    states = pd.Series(list("".join(test["dssp3"])))[np.array(list("".join(test["counted"]))) == "1"]
    assert states.value_counts().to_dict() == {"C": 3_695, "H": 3_109, "E": 1_918}
    unknown = table.groupby("split")["sequence"].agg("".join).str.count("X")
    assert unknown[["train", "validation", "test"]].tolist() == [846, 119, 0]


def test_every_fold_can_be_learnt(tasks):
    table = tasks["remote_homology"]
    folds = table.groupby("split")["fold"].value_counts().unstack(level=0, fill_value=0)
    assert len(folds) == 55 and (folds["train"] == 20).all() and folds["test"].min() == 1
    assert folds["validation"].max() == 3 and (folds["validation"] > 0).sum() == 54


def test_soluble_proteins_are_counted(tasks):
    soluble = tasks["solubility"].groupby("split")["soluble"].sum()
    assert soluble.to_dict() == {"train": 457, "validation": 62, "test": 302}


def test_genotypes_fit_the_wild_type_and_are_counted(tasks):
    table, wild_type = tasks["fluorescence"], tasks["proteins"].set_index("id")["sequence"]["avGFP"]
    landscapes = tables.load("landscape_proteins").set_index("landscape")
    assert wild_type == landscapes["sequence"]["avgfp"]
    assert table["split"].value_counts().to_dict() == {"train": 900, "test": 900, "validation": 120}
    for row in table[table["mutations"] != ""].itertuples():
        mutations = parse_mutations(row.mutations)
        assert len(mutations) == row.n_mutations
        assert len(apply_mutations(wild_type, mutations)) == len(wild_type)  # refuses another wild type
    bare = table[table["mutations"] == ""]
    assert bare[["split", "n_mutations"]].values.tolist() == [["train", 0]]
    assert bare["log_fluorescence"].iloc[0] == pytest.approx(landscapes["wild_type_fitness"]["avgfp"], abs=1e-6)
    assert (table["split"] == "test").equals(table["n_mutations"] >= 4)
    numbers = table.groupby("split")["n_mutations"].value_counts(sort=False)
    assert numbers["train"].sort_index().to_dict() == {0: 1, 1: 37, 2: 439, 3: 423}
    assert numbers["test"].sort_index().head(4).to_dict() == {4: 331, 5: 241, 6: 152, 7: 89}


def test_genotypes_measure_what_the_landscape_does(tasks):
    """Singles and doubles are in landscapes.parquet too, read from the other file of the source."""
    landscape = tables.load("landscapes").query("landscape == 'avgfp'")
    both = tasks["fluorescence"].merge(landscape, left_on="mutations", right_on="mutation")
    assert len(both) == 37 + 439 + 5 + 59 - 25  # doubles without both singles are left out there
    np.testing.assert_allclose(both["log_fluorescence"], both["fitness"], rtol=1e-6)


def test_no_query_is_in_the_lookup_and_what_can_be_found_is_counted(tasks):
    table = tasks["cath"]
    lookup, queries = (table[table["role"] == role] for role in ("lookup", "query"))
    assert (len(lookup), lookup["length"].sum()) == (2_111, 379_990)
    assert (len(queries), queries["length"].sum()) == (219, 30_456)
    for query in queries["sequence"]:  # nor within a longer domain, nor the other way round
        assert not any(query in domain or domain in query for domain in lookup["sequence"])
    assert queries["cath"].is_unique
    found = []
    for level in (1, 2, 3, 4):
        upper = table["cath"].str.split(".").str[:level].str.join(".")
        found.append(int(upper[queries.index].isin(upper[lookup.index]).sum()))
    assert found == [219, 219, 181, 94]


def test_c_alphas_of_casp_are_a_peptide_bond_apart(tasks):
    table = tasks["contacts"]
    assert table.groupby("source")["id"].nunique().to_dict() == {"CASP13": 12, "CASP14": 18}
    assert (len(table), table["ca_x"].isna().sum()) == (6_009, 1_011)
    far = []
    for name, chain in table.groupby("id"):
        assert chain["position"].tolist() == list(range(1, len(chain) + 1))
        step = np.linalg.norm(np.diff(chain[["ca_x", "ca_y", "ca_z"]].to_numpy(), axis=0), axis=1)
        far += [(name, place + 1) for place in np.flatnonzero(step > 4.1)]
        step = step[np.isfinite(step)]
        assert step.min() > 2.7 and abs(np.median(step) - 3.8) < 0.06
    assert far == [("CASP14_02", 33)]


def test_the_chains_of_casp14_are_those_of_secondary_structure(tasks):
    contacts = tasks["contacts"].query("source == 'CASP14'")
    structure = tasks["secondary_structure"].query("source == 'CASP14'").set_index("id").sort_index()
    spelt = contacts.groupby("id")["residue"].agg("".join)
    pd.testing.assert_series_equal(spelt, structure["sequence"], check_names=False)
    resolved = contacts["ca_x"].notna().map({True: "1", False: "0"}).groupby(contacts["id"]).agg("".join)
    pd.testing.assert_series_equal(resolved, structure["counted"], check_names=False)


# --- function ---


@pytest.fixture(scope="module")
def go():
    """The five tables of function, by name without go_."""
    return {name: tables.load(f"go_{name}") for name in ("species", "proteins", "annotations", "terms", "relations")}


def test_the_go_tables_know_each_other(go):
    proteins, annotations, terms = go["proteins"], go["annotations"], go["terms"]
    assert set(annotations["id"]) == set(proteins["id"])
    assert set(annotations["go_id"]) <= set(terms["go_id"])
    known = set(terms.loc[terms["in_2013"], "go_id"])
    assert set(go["relations"]["child"]) | set(go["relations"]["parent"]) <= known
    assert set(proteins["species"]) == set(go["species"]["species"])


def test_the_go_proteins_are_counted_and_their_sequences_are_residues(go):
    proteins = go["proteins"]
    counts = proteins.groupby("species")["length"].agg(["size", "sum"])
    assert counts.to_dict("index") == {"human": {"size": 3300, "sum": 976_436}, "mouse": {"size": 1647, "sum": 523_488}}
    assert proteins["length"].between(30, 500).all()
    assert proteins["sequence"].str.fullmatch(f"[{AMINO_ACIDS}{UNKNOWN}]+").all() and proteins["sequence"].is_unique
    assert (proteins["gene"] == "").sum() == 1_323
    sizes = proteins["cluster"].value_counts()
    assert (len(sizes), sizes.max()) == (2_066, 57)


def test_orthologs_name_each_other_and_share_a_cluster(go):
    proteins = go["proteins"].set_index("id")
    paired = proteins[proteins["ortholog"] != ""]
    assert paired["species"].value_counts().to_dict() == {"human": 1_427, "mouse": 1_427}
    others = proteins.loc[paired["ortholog"]]
    assert others["ortholog"].tolist() == paired.index.tolist()
    assert (others["cluster"].to_numpy() == paired["cluster"].to_numpy()).all()
    assert (others["species"].to_numpy() != paired["species"].to_numpy()).all()
    named = proteins[proteins["gene"] != ""]
    clusters = named.groupby(named["gene"].str.upper())["cluster"].nunique()
    assert (clusters == 1).all() and len(clusters) > 2_000


def test_go_annotations_are_counted_by_column(go):
    species = go["proteins"].set_index("id")["species"]
    of = go["annotations"].assign(species=species[go["annotations"]["id"]].to_numpy()).groupby("column")
    assert of.size().to_dict() == {"cafa5": 50_721, "entrez_all": 19_809, "symbol_experimental": 12_352}
    assert of["go_id"].nunique().to_dict() == {"cafa5": 1_494, "entrez_all": 1_396, "symbol_experimental": 1_306}
    proteins = {name: rows.groupby("species")["id"].nunique().to_dict() for name, rows in of}
    assert proteins == {
        "cafa5": {"human": 3_300, "mouse": 1_647},
        "entrez_all": {"human": 1_781},
        "symbol_experimental": {"human": 1_483, "mouse": 1_107},
    }


def test_17_of_the_20_published_terms_are_among_the_20_most_common(go):
    terms, printed = go["terms"], published_table("go_terms")
    assert set(terms.loc[terms["published"], "go_id"]) == set(printed["go"])
    assert (terms["published"].sum(), terms["top20"].sum(), (terms["published"] & terms["top20"]).sum()) == (20, 20, 17)
    counts = terms.set_index("go_id")[["n_human", "n_mouse"]].sum(axis=1)
    assert counts[terms.loc[terms["top20"], "go_id"]].min() >= counts[terms.loc[~terms["top20"], "go_id"]].max()
    names = terms.set_index("go_id")["name"]
    assert names[printed["go"]].tolist() == printed["description"].tolist()


def test_the_sample_keeps_the_shares_of_the_20_terms(go):
    terms = go["terms"][go["terms"]["published"] | go["terms"]["top20"]].set_index("go_id")
    assert len(terms) == 23
    cafa5 = go["annotations"][go["annotations"]["column"] == "cafa5"]
    for species, whole in (("human", 9_477), ("mouse", 4_629)):
        ids = set(go["proteins"].loc[go["proteins"]["species"] == species, "id"])
        counts = cafa5[cafa5["id"].isin(ids)]["go_id"].value_counts()
        assert (counts[terms.index] == terms[f"n_{species}_sample"]).all()
        assert (terms[f"n_{species}_sample"] / len(ids) - terms[f"n_{species}"] / whole).abs().max() < 0.02


def test_the_terms_that_the_relations_do_not_know_are_counted_and_named(go):
    terms = go["terms"]
    lost = terms[~terms["in_2013"]]
    assert (len(terms), ((terms["n_human"] + terms["n_mouse"]) == 0).sum(), len(lost)) == (3_110, 1_578, 54)
    assert lost[["n_human", "n_mouse"]].sum().tolist() == [2_837, 2_277]
    assert (terms["information_accretion"].isna().sum(), set(terms["release"])) == (185, {"2025-09-26"})
    page = (paths.data() / "README.md").read_text(encoding="utf-8")
    assert all(f"{name} ({term})" in page for term, name in lost[["go_id", "name"]].to_numpy())


# --- the page and the registry ---


def test_the_page_counts_rows_and_bytes():
    """The table of files at the top of data/README.md."""
    page = (paths.data() / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+\.\w+)` \| ([\d,]+) \| ([\d,]+) \|", page, flags=re.MULTILINE)
    counted = {file: tuple(int(number.replace(",", "")) for number in numbers) for file, *numbers in listed}
    assert counted == {
        file: (len(tables.load(name)), round((paths.data() / file).stat().st_size / 1000))
        for name, (file, _) in tables.BUNDLED.items()
    }


def test_every_registered_file_is_intact():
    checked = sources.verify()
    assert checked.loc[checked["state"] != "bundled", ["file", "state"]].values.tolist() == []
    assert {file for file, _ in tables.BUNDLED.values()} <= set(checked["file"])


def test_the_tables_are_small():
    assert sum((paths.data() / file).stat().st_size for file, _ in tables.BUNDLED.values()) < 12e6


def test_which_proteins_are_unlike_the_genes():
    genes = tables.load("genes").rename(columns={"gene": "id"})
    assert bundled.unlike_genes(genes) == []
    mutated = genes.assign(sequence=genes["sequence"].str.replace("E", "D"))  # 7 % of the residues
    assert bundled.unlike_genes(mutated) == []
    assert len(bundled.unlike_genes(tables.load("heldout"))) > 390
