"""Studies of what hidden states and attention hold: the result tables of one model, derived tables among them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.structures import CONFIDENT, CUTOFF
from plmbook.engine import encode
from plmbook.probing import contacts, neighbours, probes
from plmbook.tables import bundled
from plmbook.tables.derived import Run, study

CONTACT_SAMPLE = 2  # proteins whose contacts are checked, with the one or two regressions that they need
CONTACT_TOLERANCE = 0.03  # of a share among L pairs: a near tie broken the other way moves it by 1 / L, L from 50
PROBE_RESIDUES = 20_000  # that the probes learn from: the fit is made afresh wherever a row is checked


@study("contacts", saves="contacts", tables={"contact-precision": 1})
def contact_precision(run: Run) -> pd.DataFrame:
    """`contacts.contact_precision` in families that training never saw and in the 53 genes: also set, fold, model."""
    kept = tables.load("kept_structures")
    kept = kept[~kept["id"].isin(bundled.read_in_training("kept_structures"))]
    genes = tables.load("structures").rename(columns={"gene": "id"})
    columns = ["id", "position", "residue", "cb_x", "cb_y", "cb_z", "plddt"]
    structures = pd.concat([kept[columns], genes[columns]], ignore_index=True)
    lengths = kept["id"].value_counts().to_dict()
    plan = contacts.cross_fit(lengths, genes["id"].drop_duplicates().tolist(), seed=bundled.SEED)

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        found = [
            contacts.contact_precision(
                run.model,
                structures,
                train_ids=contacts.training_ids(plan, fold),
                test_ids=part["id"].tolist(),
                seed=bundled.SEED,
                progress=run.progress,
            )
            for fold, part in rows.groupby("fold")
        ]
        return rows.merge(pd.concat(found), on="id", how="left", validate="one_to_one")

    table = run.derive(
        "contact-precision",
        plan.assign(set=plan["set"].map({"kept": "kept", "other": "genes"}))[["id", "set", "fold"]],
        compute,
        files=("kept_structures.parquet", "structures.parquet", "relatives.tsv"),
        parameters={
            "seed": bundled.SEED,
            "n_train": contacts.N_TRAIN,
            "longest_trained": contacts.LONGEST_TRAINED,
            "penalty": contacts.PENALTY,
            "non_contacts": contacts.NON_CONTACTS,
            "cutoff": CUTOFF,
            "confident": CONFIDENT,
        },
        values=("length", *contacts.MEASURES),
        sample=CONTACT_SAMPLE,
        tolerance=CONTACT_TOLERANCE,
    )
    return table.assign(model=run.model.name)


@study("secondary structure", saves="secondary_structure", tables={"secondary-structure": 1})
def secondary_structure(run: Run) -> pd.DataFrame:
    """CB513 by the model's probe and three baselines, fitted afresh: the columns of `probes.secondary_structure`."""
    proteins = tables.load("secondary_structure")
    proteins = proteins[~proteins["id"].isin(bundled.read_in_training("secondary_structure"))]
    train, test = (proteins[proteins["split"] == split].reset_index(drop=True) for split in bundled.SPLITS)

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        fitted = probes.fit_all(train, run.model, max_residues=PROBE_RESIDUES, seed=bundled.SEED)
        these = test.set_index("id").loc[rows["id"]].reset_index()
        return probes.secondary_structure(run.model, these, fitted, progress=run.bars(rows))

    return run.derive(
        "secondary-structure",
        test[["id"]],
        compute,
        files=("secondary_structure.parquet", "relatives.tsv"),
        parameters={
            "max_residues": PROBE_RESIDUES,
            "strength": probes.STRENGTH,
            "width": probes.WIDTH,
            "layer": -1,
            "seed": bundled.SEED,
        },
        values=("n_residues", *(f"correct_{kind}" for kind in probes.KINDS)),
        tolerance=1,  # residue: one that lies on the border between two states
    )


@study("localisation", saves="localisation", tables={"localisation-embeddings": 1})
def localisation(run: Run) -> pd.DataFrame:
    """Localisation of DeepLoc's test proteins from the nearest training protein's shipped embedding, and two baselines:
    method (embedding, composition, commonest) and the columns of `neighbours.transfer`.
    """
    proteins = tables.load("localisation")
    table = hundredths(run, "localisation-embeddings", proteins, files=("localisation.parquet",))
    vectors = table.drop(columns="id").to_numpy(dtype=np.float64)
    learnt = (proteins["split"] == "train").to_numpy()
    train, test = proteins[learnt].reset_index(drop=True), proteins[~learnt].reset_index(drop=True)
    shares = neighbours.composition(proteins["sequence"])
    found = {
        "embedding": neighbours.transfer(test, train, vectors[~learnt], vectors[learnt]),
        "composition": neighbours.transfer(test, train, shares[~learnt], shares[learnt]),
        "commonest": neighbours.commonest(test, train),
    }
    return pd.concat([part.assign(method=name) for name, part in found.items()], ignore_index=True)


def hundredths(run: Run, name: str, proteins: pd.DataFrame, *, files: Sequence[str | Path]) -> pd.DataFrame:
    """Embeddings (last layer, mean over residues) as a derived table: id, e0000, e0001, ... (int32, hundredths)."""
    names = [f"e{number:04d}" for number in range(run.model.card.dim)]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        sequences = proteins.set_index("id").loc[rows["id"], "sequence"]
        vectors = encode.embed(run.model, list(sequences), progress=run.bars(rows))
        numbers = np.rint(100 * vectors).astype(np.int32)  # int16 would turn over at 327
        return pd.concat([rows, pd.DataFrame(numbers, columns=names)], axis=1)

    return run.derive(
        name,
        proteins[["id"]],
        compute,
        files=files,
        parameters={"layer": -1, "pool": "mean", "scale": 100},
        values=names,
        tolerance=1,  # hundredth: a number on the border between two
    )
