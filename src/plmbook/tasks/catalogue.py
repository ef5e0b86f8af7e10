"""The nine tasks of Ankh's page (Elnaggar et al. 2023), and where the bundled sample of each comes from.

A tenth task is a row here: an instance of one kind of `Task`, whose `read` gives a table with the columns id, split
(train, validation, test), test (name of the test set, "" elsewhere), sequence, and the labels.
"""

from dataclasses import replace

import pandas as pd

from plmbook import tables
from plmbook.core.errors import one_of
from plmbook.core.residues import apply_mutations, parse_mutations
from plmbook.tables.bundled import read_in_training
from plmbook.tasks.base import SETTINGS, Task, with_test
from plmbook.tasks.lookup import LookupTask
from plmbook.tasks.pair import PairTask, kept_structures, structure_table
from plmbook.tasks.protein import BinaryTask, ClassTask, NumberTask
from plmbook.tasks.residue import ResidueTask


def _secondary_structure() -> pd.DataFrame:
    """Our chains, and those of CB513 of which no bundled model has read a relative."""
    ours, others = tables.load("task_secondary_structure"), tables.load("secondary_structure")
    others = others[(others["split"] == "test") & ~others["id"].isin(read_in_training("secondary_structure"))]
    columns = ["id", "split", "source", "sequence", "dssp3", "dssp8", "counted"]
    table = pd.concat([ours[columns], others[columns]], ignore_index=True)
    return with_test(table, table["source"])


def _contacts() -> pd.DataFrame:
    """Structures kept aside to learn from, CASP14 and CASP13 as tests."""
    casp = tables.load("task_contacts")
    return structure_table(kept_structures(), casp, dict(zip(casp["id"], casp["source"], strict=True)))


def _localisation() -> pd.DataFrame:
    table = tables.load("localisation")
    return with_test(table[table["length"] <= SETTINGS.localisation_length])


def _fluorescence() -> pd.DataFrame:
    table, proteins = tables.load("task_fluorescence"), tables.load("task_proteins").set_index("id")
    wild_type = proteins.loc["avGFP", "sequence"]
    sequences = [
        apply_mutations(wild_type, parse_mutations(each)) if each else wild_type for each in table["mutations"]
    ]
    return with_test(table.assign(id=table["mutations"].replace("", "wild type"), sequence=sequences))


def _cath() -> pd.DataFrame:
    table = tables.load("task_cath")
    return with_test(table.assign(split=table["role"].map({"lookup": "train", "query": "test"})))


_Q3 = ResidueTask(
    name="secondary_structure_3",
    title="Secondary structure, 3 states",
    dataset="secondary_structure",
    files=("task_secondary_structure.parquet", "secondary_structure.parquet"),
    read=_secondary_structure,
    column="dssp3",
    sample="CB6133 chains without a relative in the tests; CASP12, CASP14, CB513",
    differs="training set (published: NetSurfP-2.0's), no TS115",
    comparable="in part: same test chains of CASP12 and CASP14, another and smaller training set",
)
_CONTACTS = PairTask(
    name="contacts",
    title="Contacts from embeddings",
    files=("kept_structures.parquet", "task_contacts.parquet"),
    read=_contacts,
    learners=("separation", "one-hot", "linear", "convbert"),
    head="ConvBertForContactPrediction",
    dropout=0.1,
    sample="structures kept aside for training; CASP14 and CASP13 as tests",
    differs="training set (published: ProteinNet); C-alpha instead of C-beta in the tests",
    comparable="no: far fewer training structures, another definition of contact",
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _Q3,
        replace(
            _Q3,
            name="secondary_structure_8",
            title="Secondary structure, 8 states",
            column="dssp8",
            sample="as for 3 states",
            differs="as for 3 states",
        ),
        _CONTACTS,
        replace(
            _CONTACTS,
            name="contacts_attention",
            title="Contacts from attention",
            dataset="contacts",
            learners=("separation", "one-hot", "attention"),
            head="",
            dropout=0.0,
            training="a regression",
            sample="as for contacts from embeddings",
            differs="as for contacts from embeddings",
            comparable="no: another definition of contact, other structures",
        ),
        ClassTask(
            name="localisation",
            title="Localisation, 10 classes",
            files=("localisation.parquet",),
            read=_localisation,
            column="localisation",
            sample=f"a draw from DeepLoc 1.0, proteins up to {SETTINGS.localisation_length} residues",
            differs="a small part of DeepLoc, short proteins only",
            comparable="no: another draw of training and test proteins of the same source",
        ),
        ClassTask(
            name="remote_homology",
            title="Remote homology",
            files=("task_remote_homology.parquet",),
            column="fold",
            sample="the common folds among TAPE's, training, validation and test",
            differs="a few dozen folds of 1,195",
            comparable="no: fewer folds are easier",
        ),
        BinaryTask(
            name="solubility",
            title="Solubility",
            files=("task_solubility.parquet",),
            column="soluble",
            sample="draws from DeepSol's validation (to learn from) and test set",
            differs="DeepSol's training set is not there: its validation set stands in",
            comparable="no: a small part of other training proteins",
        ),
        NumberTask(
            name="fluorescence",
            title="Fluorescence",
            files=("task_fluorescence.parquet", "task_proteins.tsv"),
            read=_fluorescence,
            column="log_fluorescence",
            sample="avGFP's landscape: up to 3 mutations to learn from, 4 and more to test",
            differs="our draw of the landscape by TAPE's rule (train up to 3, test 4 and more)",
            comparable="in part: same protein, rule and measure, fewer variants",
        ),
        LookupTask(
            name="cath",
            title="CATH lookup",
            files=("task_cath.parquet",),
            read=_cath,
            column="cath",
            sample="a part of CATH 4.3 as lookup set, ProtTucker's test219 as queries",
            differs="lookup set (published: Lookup69K); cosine of standardised and centred means",
            comparable="no: in a smaller lookup set more queries lack a near relative",
        ),
    )
}


def task(name: str) -> Task:
    """A task by its name; InputError if there is none.

    >>> task("solubility").metric
    'accuracy of proteins'
    """
    return TASKS[one_of("task", name, TASKS)]
