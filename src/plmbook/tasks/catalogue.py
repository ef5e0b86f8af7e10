"""The nine tasks of Ankh's page (Elnaggar et al. 2023), and where the bundled sample of each comes from.

A tenth is an entry of `tasks.yml` and, where its sample is not one table as it is, a reader here, which gives id, split
(train, validation, test), test (name of the test set, "" elsewhere), sequence, and what labels need.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

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
    return structure_table(kept_structures(), tables.load("task_contacts"))


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


KINDS: dict[str, type[Task]] = {
    **{"residue": ResidueTask, "class": ClassTask, "binary": BinaryTask, "number": NumberTask},
    **{"pair": PairTask, "lookup": LookupTask},
}
_READERS = {
    **{"secondary_structure": _secondary_structure, "contacts": _contacts, "localisation": _localisation},
    **{"fluorescence": _fluorescence, "cath": _cath},
}


def _task(name: str, facts: dict[str, Any]) -> Task:
    """A task as `tasks.yml` describes it."""
    facts = {"dataset": name} | {key: tuple(of) if isinstance(of, list) else of for key, of in facts.items()}
    return KINDS[facts.pop("kind")](name=name, read=_READERS.get(facts["dataset"]), **facts)


_FACTS = yaml.safe_load(Path(__file__).with_name("tasks.yml").read_text(encoding="utf-8"))
TASKS = {name: _task(name, facts) for name, facts in _FACTS.items()}


def task(name: str) -> Task:
    """A task by its name; InputError if there is none."""
    return TASKS[one_of("task", name, TASKS)]
