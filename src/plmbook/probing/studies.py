"""Studies of what hidden states and attention hold: the result tables of one model, derived tables among them."""

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import paths
from plmbook.core.artifacts import save
from plmbook.core.structures import CONFIDENT, CUTOFF
from plmbook.engine import encode
from plmbook.probing import contacts, neighbours, probes
from plmbook.tables import bundled
from plmbook.tables.derived import SAMPLE, derive, dtype_of, ships

# Raise one of these whenever the algorithm behind the table changes its answer: shipped tables are then not used.
VERSIONS = {
    "contact-precision": 1,
    "secondary-structure": 1,
    "localisation-embeddings": 1,
}

CONTACT_SAMPLE = 2  # proteins whose contacts are checked, with the one or two regressions that they need
CONTACT_TOLERANCE = 0.03  # of a share among L pairs: a near tie broken the other way moves it by 1 / L, L from 50
PROBE_RESIDUES = 20_000  # that the probes learn from: the fit is made afresh wherever a row is checked


def contact_precision(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Contacts among the best pairs by attention: structures of families that training never saw, and the 53 genes.

    Each protein is tested once, by a regression fitted on at most 20 kept-aside proteins of other families: see
    `contacts.cross_fit`.

    Returns
    -------
    DataFrame
        id, set ("kept" or "genes"), fold, the columns of `contacts.contact_precision`, model; saved as
        `contacts.<model>`.
    """
    kept = tables.load("kept_structures")
    kept = kept[~kept["id"].isin(bundled.read_in_training("kept_structures"))]
    genes = tables.load("structures").rename(columns={"gene": "id"})
    columns = ["id", "position", "residue", "cb_x", "cb_y", "cb_z", "plddt"]
    structures = pd.concat([kept[columns], genes[columns]], ignore_index=True)
    lengths = kept["id"].value_counts().to_dict()
    plan = contacts.cross_fit(lengths, genes["id"].drop_duplicates().tolist(), seed=bundled.SEED)
    rows = plan.assign(set=plan["set"].map({"kept": "kept", "other": "genes"}))[["id", "set", "fold"]]

    def compute(asked: pd.DataFrame) -> pd.DataFrame:
        found = [
            contacts.contact_precision(
                model,
                structures,
                train_ids=contacts.training_ids(plan, fold),
                test_ids=part["id"].tolist(),
                seed=bundled.SEED,
                progress=progress,
            )
            for fold, part in asked.groupby("fold")
        ]
        return asked.merge(pd.concat(found), on="id", how="left", validate="one_to_one")

    table, _ = derive(
        "contact-precision",
        rows,
        compute,
        model=model,
        inputs=[
            paths.data() / f"{name}" for name in ("kept_structures.parquet", "structures.parquet", "relatives.tsv")
        ],
        parameters={
            "seed": bundled.SEED,
            "n_train": contacts.N_TRAIN,
            "longest_trained": contacts.LONGEST_TRAINED,
            "penalty": contacts.PENALTY,
            "non_contacts": contacts.NON_CONTACTS,
            "cutoff": CUTOFF,
            "confident": CONFIDENT,
            "dtype": dtype_of(model),
        },
        version=VERSIONS["contact-precision"],
        values=("length", *contacts.MEASURES),
        sample=CONTACT_SAMPLE,
        tolerance=CONTACT_TOLERANCE,
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    table = table.assign(model=model.name)
    save(table, f"contacts.{model.name}", profile)
    return table


def secondary_structure(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Secondary structure of CB513 by linear probes: residues right by chain, for the model and three baselines.

    Make Q3 of it with `probes.q3(table)` and `probes.q3(table, "window")`. The sampled check fits the probes afresh.

    Returns
    -------
    DataFrame
        id, n_residues, correct_majority, correct_residue, correct_window, correct_states; saved as
        `secondary_structure.<model>`.
    """
    proteins = tables.load("secondary_structure")
    proteins = proteins[~proteins["id"].isin(bundled.read_in_training("secondary_structure"))]
    train, test = (proteins[proteins["split"] == split].reset_index(drop=True) for split in bundled.SPLITS)

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        fitted = probes.fit_all(train, model, max_residues=PROBE_RESIDUES, seed=bundled.SEED)
        these = test.set_index("id").loc[rows["id"]].reset_index()
        return probes.secondary_structure(model, these, fitted, progress=progress and len(rows) > SAMPLE)

    table, _ = derive(
        "secondary-structure",
        test[["id"]],
        compute,
        model=model,
        inputs=[paths.data() / "secondary_structure.parquet", paths.data() / "relatives.tsv"],
        parameters={
            "max_residues": PROBE_RESIDUES,
            "strength": probes.STRENGTH,
            "width": probes.WIDTH,
            "layer": -1,
            "seed": bundled.SEED,
            "dtype": dtype_of(model),
        },
        version=VERSIONS["secondary-structure"],
        values=("n_residues", *(f"correct_{kind}" for kind in probes.KINDS)),
        tolerance=1,  # residue: one that lies on the border between two states
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    save(table, f"secondary_structure.{model.name}", profile)
    return table


def localisation(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Localisation of DeepLoc's test proteins from their nearest training protein, and two baselines.

    What is shipped are the embeddings, in hundredths: a protein's embedding depends on no other row, so that a sample
    can be checked, and the neighbours are found afresh each time.

    Returns
    -------
    DataFrame
        method (embedding, composition, commonest), id, truth, predicted, neighbour, similarity; saved as
        `localisation.<model>`.
    """
    proteins = tables.load("localisation")
    names = [f"e{number:04d}" for number in range(model.card.dim)]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        sequences = proteins.set_index("id").loc[rows["id"], "sequence"]
        vectors = encode.embed(model, list(sequences), progress=progress and len(rows) > SAMPLE)
        hundredths = np.rint(100 * vectors).astype(np.int32)  # int16 would turn over at 327
        return pd.concat([rows, pd.DataFrame(hundredths, columns=names)], axis=1)

    table, _ = derive(
        "localisation-embeddings",
        proteins[["id"]],
        compute,
        model=model,
        inputs=[paths.data() / "localisation.parquet"],
        parameters={"layer": -1, "pool": "mean", "scale": 100, "dtype": dtype_of(model)},
        version=VERSIONS["localisation-embeddings"],
        values=names,
        tolerance=1,  # hundredth: a number on the border between two
        profile=profile,
        ship=ships(model),
        recompute=recompute,
    )
    vectors = table[names].to_numpy(dtype=np.float64)
    learnt = (proteins["split"] == "train").to_numpy()
    train, test = proteins[learnt].reset_index(drop=True), proteins[~learnt].reset_index(drop=True)
    shares = neighbours.composition(proteins["sequence"])
    found = {
        "embedding": neighbours.transfer(test, train, vectors[~learnt], vectors[learnt]),
        "composition": neighbours.transfer(test, train, shares[~learnt], shares[learnt]),
        "commonest": neighbours.commonest(test, train),
    }
    result = pd.concat([part.assign(method=name) for name, part in found.items()], ignore_index=True)
    save(result, f"localisation.{model.name}", profile)
    return result
