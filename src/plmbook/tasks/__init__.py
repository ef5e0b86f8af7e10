"""Downstream tasks: what Ankh was judged by, for any model, each with its baselines.

`TASKS` has the nine tasks of Ankh's page (Elnaggar et al. 2023), `LEARNERS` the ways to learn one. A task is run so:

    found = run("solubility", model)         # a model of `plmbook.models`
    scores(found)                            # a row a test, learner and seed, with intervals

A new model is any object with a name and a function from sequences to the embeddings of their residues:

    class Mine:
        name = "mine"
        def residues(self, sequences):
            return [...]                     # for each sequence a float32 array (L, d)

The examples are the bundled samples, or the real data sets (`examples(name, source="hub")`, or a folder of their
files). What is learnt is learnt from "train", stopped and chosen on "validation"; "test" is only measured. The outcome
is kept protein by protein, so that intervals and differences are of proteins and not of residues or pairs.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.residues import apply_mutations, parse_mutations
from plmbook.core.structures import CUTOFF
from plmbook.engine import encode
from plmbook.probing import contacts, probes
from plmbook.stats import bootstrap, metrics
from plmbook.stats.bootstrap import Estimate

SPLITS = ("train", "validation", "test")
SEEDS = (0, 1, 2)
SEED = 20230116  # of the draws of examples: the date of Ankh's preprint
TRAIN_RESIDUES = 100_000  # of a bundled sample that the learners read: what two cores train in minutes
VALIDATION_SHARE = 0.15  # of the training proteins, where a data set has no validation part of its own
LOCALISATION_LENGTH = 500  # residues of the longest protein, in the bundled sample of localisation alone
TRAINED_STRUCTURE = 400  # residues of the longest protein that contacts are learnt from
WINDOWS = 20_000  # training windows that the nearest ones are looked for in
NEAREST_WINDOWS = 15
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse of the L2 penalty of linear learners; validation chooses
HIDDEN = 128  # of the MLP probe
HEAD = {"nhead": 4, "num_hidden_layers": 1, "num_layers": 1, "kernel_size": 7}  # Ankh's; hidden_dim = d / 2
SCALE = {"percent": 0.01, "fraction": 1.0, "correlation": 1.0}  # of a published figure, to a share
LENGTHS = {"L": 1, "L/5": 5}  # the best L and L / 5 pairs
LEVELS = {"C": 1, "A": 2, "T": 3, "H": 4}  # of CATH: class, architecture, topology, homologous superfamily
FILES = {  # that the bundled examples are read from
    dataset: tuple(tables.BUNDLED[name][0] for name in names)
    for dataset, names in {
        "secondary_structure": ("task_secondary_structure", "secondary_structure"),
        "contacts": ("kept_structures", "task_contacts"),
        "localisation": ("localisation",),
        "remote_homology": ("task_remote_homology",),
        "solubility": ("task_solubility",),
        "fluorescence": ("task_fluorescence", "task_proteins"),
        "cath": ("task_cath",),
    }.items()
}
CHEAPEST = {  # a baseline of each kind of task that takes no time
    **{"residue": "frequency", "class": "composition", "binary": "composition"},
    **{"number": "one-hot", "pair": "separation", "lookup": "composition"},
}
OUTCOMES = ("task", "test", "learner", "seed", "id", "predicted", "truth")


@dataclass(frozen=True)
class Task:
    """One downstream task.

    Attributes
    ----------
    name, title : str
    kind : {"residue", "class", "binary", "number", "pair", "lookup"}
        What is predicted: a class a residue, a class or yes and no or a number a protein, contacts, CATH's classes.
    column : str
        Of the examples: where the label is.
    metric : str
    head : str
        The class of `plmbook.tasks.heads` that Ankh's way uses; "" where nothing is trained.
    pooling : str
        Of that head; "" where it answers for residues.
    dropout : float
    learners : tuple of str
        Keys of `LEARNERS`, the baselines first.
    published : str
        Its name in the published table (`ankh_results`).
    dataset : str
        Its name in `plmbook.sources.ankh_tasks`.
    ours : str
        What the bundled sample is.
    differs : str
        From the published setting.
    comparable : str
        "no: " and why, or "in part: " and how far.
    """

    name: str
    title: str
    kind: str
    column: str
    metric: str
    head: str
    pooling: str
    dropout: float
    learners: tuple[str, ...]
    published: str
    dataset: str
    ours: str
    differs: str
    comparable: str


@dataclass(frozen=True)
class Learner:
    """A way to a prediction.

    Attributes
    ----------
    name : str
    baseline : bool
        Whether it sees no model.
    seeded : bool
        Whether its answer depends on a seed.
    meaning : str
    """

    name: str
    baseline: bool
    seeded: bool
    meaning: str


LEARNERS = {
    each.name: each
    for each in (
        Learner("frequency", True, False, "the commonest class of the training examples"),
        Learner("mutations", True, False, "the fewer mutations, the brighter"),
        Learner("composition", True, False, "linear, on the shares of the amino acids; CATH: the nearest by them"),
        Learner("window", True, False, "linear, on the amino acids at the 15 places around a residue"),
        Learner("one-hot", True, False, "linear, on which residue stands where (contacts: on the two amino acids)"),
        Learner("neighbour", True, False, "what the most similar training proteins, variants or windows have"),
        Learner("separation", True, False, "how often residues as far apart touch in the training structures"),
        Learner("linear", False, False, "linear, on the embedding (of a residue, or the mean of a protein)"),
        Learner("mlp", False, True, "one hidden layer on the same"),
        Learner("convbert", False, True, "Ankh's head: one layer of ConvBERT on the embeddings of all residues"),
        Learner("attention", False, False, "logistic regression on the attention maps (see Contacts)"),
        Learner("embedding", False, False, "the nearest neighbour by the mean embedding, nothing trained"),
    )
}
_RESIDUE = ("frequency", "window", "neighbour", "linear", "mlp", "convbert")
_PROTEIN = ("frequency", "composition", "neighbour", "linear", "mlp", "convbert")

TASKS = {
    task.name: task
    for task in (
        Task(
            "secondary_structure_3",
            "Secondary structure, 3 states",
            "residue",
            "dssp3",
            "accuracy of residues",
            "ConvBertForMultiClassClassification",
            "",
            0.2,
            _RESIDUE,
            "secondary structure, 3 states",
            "secondary_structure",
            "CB6133 chains without a relative in the tests; CASP12, CASP14, CB513",
            "training set (published: NetSurfP-2.0's), no TS115",
            "in part: same test chains of CASP12 and CASP14, another and smaller training set",
        ),
        Task(
            "secondary_structure_8",
            "Secondary structure, 8 states",
            "residue",
            "dssp8",
            "accuracy of residues",
            "ConvBertForMultiClassClassification",
            "",
            0.2,
            _RESIDUE,
            "secondary structure, 8 states",
            "secondary_structure",
            "as for 3 states",
            "as for 3 states",
            "in part: same test chains of CASP12 and CASP14, another and smaller training set",
        ),
        Task(
            "contacts",
            "Contacts from embeddings",
            "pair",
            "",
            "long-range precision",
            "ConvBertForContactPrediction",
            "",
            0.1,
            ("separation", "one-hot", "linear", "convbert"),
            "contacts from embeddings",
            "contacts",
            "structures kept aside for training; CASP14 and CASP13 as tests",
            "training set (published: ProteinNet); C-alpha instead of C-beta in the tests",
            "no: far fewer training structures, another definition of contact",
        ),
        Task(
            "contacts_attention",
            "Contacts from attention",
            "pair",
            "",
            "long-range precision",
            "",
            "",
            0.0,
            ("separation", "one-hot", "attention"),
            "contacts from attention",
            "contacts",
            "as for contacts from embeddings",
            "as for contacts from embeddings",
            "no: another definition of contact, other structures",
        ),
        Task(
            "localisation",
            "Localisation, 10 classes",
            "class",
            "localisation",
            "accuracy of proteins",
            "ConvBertForMultiClassClassification",
            "max",
            0.2,
            _PROTEIN,
            "localisation, 10 classes",
            "localisation",
            f"a draw from DeepLoc 1.0, proteins up to {LOCALISATION_LENGTH} residues",
            "a small part of DeepLoc, short proteins only",
            "no: another draw of training and test proteins of the same source",
        ),
        Task(
            "remote_homology",
            "Remote homology",
            "class",
            "fold",
            "accuracy of proteins",
            "ConvBertForMultiClassClassification",
            "max",
            0.2,
            _PROTEIN,
            "remote homology",
            "remote_homology",
            "the common folds among TAPE's, training, validation and test",
            "a few dozen folds of 1,195",
            "no: fewer folds are easier",
        ),
        Task(
            "solubility",
            "Solubility",
            "binary",
            "soluble",
            "accuracy of proteins",
            "ConvBertForBinaryClassification",
            "max",
            0.2,
            _PROTEIN,
            "solubility",
            "solubility",
            "draws from DeepSol's validation (to learn from) and test set",
            "DeepSol's training set is not there: its validation set stands in",
            "no: a small part of other training proteins",
        ),
        Task(
            "fluorescence",
            "Fluorescence",
            "number",
            "log_fluorescence",
            "Spearman correlation",
            "ConvBertForRegression",
            "max",
            0.0,
            ("mutations", "one-hot", "neighbour", "linear", "mlp", "convbert"),
            "fluorescence",
            "fluorescence",
            "avGFP's landscape: up to 3 mutations to learn from, 4 and more to test",
            "our draw of the landscape by TAPE's rule (train up to 3, test 4 and more)",
            "in part: same protein, rule and measure, fewer variants",
        ),
        Task(
            "cath",
            "CATH lookup",
            "lookup",
            "cath",
            "accuracy of queries",
            "",
            "",
            0.0,
            ("composition", "neighbour", "embedding"),
            "CATH lookup",
            "cath",
            "a part of CATH 4.3 as lookup set, ProtTucker's test219 as queries",
            "lookup set (published: Lookup69K); cosine of standardised and centred means",
            "no: in a smaller lookup set more queries lack a near relative",
        ),
    )
}


@dataclass(frozen=True)
class Examples:
    """The labelled proteins of a task.

    Attributes
    ----------
    table : DataFrame
        id, split, test (name of the test set, "" elsewhere), sequence, n_mutations (0 where it means nothing); a row
        a protein.
    labels : tuple
        A label a row: int64 array (L,) of classes, `heads.IGNORED` where a residue does not count; int class; float; a
        `contacts.Structure`; CATH's "C.A.T.H".
    classes : tuple of str
        What the numbers of the classes mean; empty where there are none.
    source : str
        "bundled", the data set of the hub with its commit (`owner/name@commit`), or the folder.
    notes : tuple of str
        A sentence each: records of a published data set that could not be used, sequences that its splits share.
    """

    table: pd.DataFrame
    labels: tuple
    classes: tuple[str, ...] = ()
    source: str = "bundled"
    notes: tuple[str, ...] = ()

    def of(self, split: str) -> np.ndarray:
        """Rows of a split, int64."""
        return np.flatnonzero(self.table["split"] == split)


def task(name: str) -> Task:
    """A task by its name.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> task("solubility").metric
    'accuracy of proteins'
    """
    if name not in TASKS:
        raise InputError(f"task {name!r}: expected one of {', '.join(TASKS)}{did_you_mean(name, TASKS)}")
    return TASKS[name]


def listing() -> pd.DataFrame:
    """Every task in a row, for the command line and the book.

    Returns
    -------
    DataFrame
        task, title, metric, head, training (of that head), learners, seeds, hub (id of the published data set),
        revision, published (range of the seven models of Ankh's page, shares or correlations), sample, sizes (proteins
        by part), differs, comparable (str).
    """
    from plmbook.sources import ankh_tasks
    from plmbook.tables.published import published

    figures = published("ankh_results")
    figures = figures.assign(value=figures["value"] * figures["unit"].map(SCALE)).groupby("task")["value"]
    lowest, highest = figures.min(), figures.max()
    rows = []
    for each in TASKS.values():
        source = ankh_tasks.DATASETS[each.dataset]
        span = f"{lowest[each.published]:.2f} to {highest[each.published]:.2f}"
        rows.append(
            (
                *(each.name, each.title, each.metric, _head_text(each), _training_text(each), ", ".join(each.learners)),
                *(str(len(SEEDS)), source.hub_id, source.revision, span, each.ours, _sizes(each.name)),
                *(each.differs, each.comparable),
            )
        )
    names = "task title metric head training learners seeds hub revision published sample sizes differs comparable"
    return pd.DataFrame(rows, columns=names.split())


def _training_text(each: Task) -> str:
    if not each.head:
        return "nothing is trained" if each.kind == "lookup" else "a regression"
    fit = parameters(each.name)["fit"]
    return f"AdamW, rate {fit['rate']:g}, {fit['batch']} proteins a step, at most {fit['epochs']} epochs"


def _sizes(name: str) -> str:
    """Proteins by part, such as train 400, validation 80, CASP12 20."""
    table = examples(name).table
    part = table["test"].where(table["split"] == "test", table["split"])
    return ", ".join(f"{key} {n}" for key, n in part.value_counts(sort=False).items())


def _head_text(each: Task) -> str:
    if not each.head:
        return "none"
    layers = f"{HEAD['num_layers']} layer, {HEAD['nhead']} heads, kernel {HEAD['kernel_size']}, hidden d / 2"
    pooled = f", {each.pooling} pooling" if each.pooling else ""
    return f"{each.head}: {layers}, dropout {each.dropout:g}{pooled}"


# --- examples ------------------------------------------------------------------------------------------


def examples(
    name: str,
    *,
    source: str | Path = "bundled",
    residues: int | None = TRAIN_RESIDUES,
    seed: int = SEED,
) -> Examples:
    """The labelled proteins of a task.

    Parameters
    ----------
    name : str
        A key of `TASKS`.
    source : str or path
        "bundled"; "hub", the published data set (fetched once); or a folder that holds its files.
    residues : int, optional
        Training proteins are drawn until they have as many residues, validation proteins a fifth of it; None: all.
    seed : int
        Of the draws.

    Returns
    -------
    Examples

    Raises
    ------
    InputError
        If there is no such task, or no training, validation or test protein.
    """
    chosen, place, notes = task(name), "bundled", ()
    if str(source) == "bundled":
        table = _BUNDLED[chosen.dataset]()
    else:
        table, place, notes = _published(chosen, None if str(source) == "hub" else Path(source))
    if chosen.kind != "lookup" and not (table["split"] == "validation").any():
        table = _with_validation(table, seed=seed)
    if residues is not None and chosen.kind != "lookup":
        table = _drawn(table, {"train": residues, "validation": residues // 5}, seed=seed)
    table = table.reset_index(drop=True)
    wanted = SPLITS if chosen.kind != "lookup" else ("train", "test")
    for split in wanted:
        if not (table["split"] == split).any():
            raise InputError(f"task {name!r}: no protein in {split!r}; the examples have {len(table)} in all")
    if "n_mutations" not in table:
        table = table.assign(n_mutations=_differences(table) if chosen.kind == "number" else 0)
    labels, classes = _labels(table, chosen)
    return Examples(table[["id", "split", "test", "sequence", "n_mutations"]], tuple(labels), classes, place, notes)


def _secondary_structure() -> pd.DataFrame:
    """Our chains, and those of CB513 of which no bundled model has read a relative."""
    from plmbook.tables.bundled import read_in_training

    ours, others = tables.load("task_secondary_structure"), tables.load("secondary_structure")
    others = others[(others["split"] == "test") & ~others["id"].isin(read_in_training("secondary_structure"))]
    columns = ["id", "split", "source", "sequence", "dssp3", "dssp8", "counted"]
    table = pd.concat([ours[columns], others[columns]], ignore_index=True)
    return table.assign(test=table["source"].where(table["split"] == "test", ""))


def _localisation() -> pd.DataFrame:
    table = tables.load("localisation")
    return _with_test(table[table["length"] <= LOCALISATION_LENGTH])


def _fluorescence() -> pd.DataFrame:
    table, proteins = tables.load("task_fluorescence"), tables.load("task_proteins").set_index("id")
    wild_type = proteins.loc["avGFP", "sequence"]
    sequences = [_variant(wild_type, text) for text in table["mutations"]]
    return _with_test(table.assign(id=table["mutations"].replace("", "wild type"), sequence=sequences))


def _variant(wild_type: str, mutations: str) -> str:
    return apply_mutations(wild_type, parse_mutations(mutations)) if mutations else wild_type


def _cath() -> pd.DataFrame:
    table = tables.load("task_cath")
    return _with_test(table.assign(split=table["role"].map({"lookup": "train", "query": "test"})))


def _contacts() -> pd.DataFrame:
    """A row a protein, its structure in `structure`: those kept aside to learn from, CASP14 and CASP13 as tests."""
    casp = tables.load("task_contacts")
    sources = dict(zip(casp["id"], casp["source"], strict=True))
    return _structures(_short_structures(contacts.structures_of(tables.load("kept_structures"))), casp, sources)


def _structures(training: list[contacts.Structure], casp: pd.DataFrame, sources: dict[str, str]) -> pd.DataFrame:
    """id, split, test, sequence, structure. The tests have C-alpha atoms only, which then stand for the C-beta."""
    casp = casp.rename(columns={f"ca_{axis}": f"cb_{axis}" for axis in "xyz"}).assign(plddt=np.nan)
    rows = [(each.id, "train", "", each.sequence, each) for each in training]
    for name, each in contacts.structures_of(casp).items():
        rows.append((name, "test", sources[name], each.sequence, each))
    return pd.DataFrame(rows, columns=["id", "split", "test", "sequence", "structure"])


def _short_structures(found: dict[str, contacts.Structure]) -> list[contacts.Structure]:
    return [each for each in found.values() if len(each.sequence) <= TRAINED_STRUCTURE]


def _with_test(table: pd.DataFrame) -> pd.DataFrame:
    """The one test set is called test."""
    return table.assign(test=np.where(table["split"] == "test", "test", ""))


def _differences(table: pd.DataFrame) -> np.ndarray:
    """Residues in which each sequence differs from the commonest ones of training; 0 where lengths are unequal."""
    lengths = table["sequence"].str.len()
    if lengths.nunique() != 1:
        return np.zeros(len(table), dtype=np.int64)
    codes = np.array([np.frombuffer(each.encode(), np.uint8) for each in table["sequence"]])
    learnt = codes[(table["split"] == "train").to_numpy()]
    consensus = np.array([np.bincount(column).argmax() for column in learnt.T], dtype=np.uint8)
    return (codes != consensus).sum(axis=1)


def _published(of: Task, folder: Path | None) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """The published data set of a task, from the hub or a folder, as the bundled tables are; its source, and notes."""
    from plmbook.sources import ankh_tasks

    table, left_out = ankh_tasks.read(of.dataset, folder=folder)
    source = f"{table.attrs['hub_id']}@{table.attrs['revision']}" if folder is None else str(folder)
    notes = _left_out(left_out)
    if of.kind == "pair":
        training, more = ([], ()) if folder is None else _proteinnet(folder)
        kept = training or _short_structures(contacts.structures_of(tables.load("kept_structures")))
        return _structures(kept, table, dict.fromkeys(table["id"], "CASP14")), source, notes + more
    if of.kind == "lookup":
        table = table.assign(split=table["split"].mask(table["role"] == "lookup", "train"))
    shared = ankh_tasks.duplicates_across(table)
    notes += tuple(
        f"{source}: {count:,} {'sequence is' if count == 1 else 'sequences are'} in {places}"
        for places, count in shared["splits"].value_counts().items()
    )
    if "test_set" not in table:
        return _with_test(table), source, notes
    return table.assign(test=table["test_set"].where(table["split"] == "test", "")), source, notes


def _left_out(records: pd.DataFrame) -> tuple[str, ...]:
    """A sentence a file of which records (file, row, reason) are left out; row 0: the file is not there.

    Examples
    --------
    >>> _left_out(pd.DataFrame({"file": ["a.csv", "a.csv"], "row": [3, 8], "reason": ["no sequence", "no sequence"]}))
    ('a.csv: 2 left out, the first is record 3: no sequence',)
    """
    notes = []
    for file, part in records.groupby("file", sort=False):
        first = part.iloc[0]
        many = f"{len(part):,} left out, the first is record {first['row']}: " if first["row"] else ""
        notes.append(f"{file}: {many}{first['reason']}")
    return tuple(notes)


def _proteinnet(folder: Path) -> tuple[list[contacts.Structure], tuple[str, ...]]:
    """ProteinNet's training proteins where a folder holds its text file, such as `training_30`; and notes."""
    from plmbook.sources import proteinnet

    files = [path for path in sorted(folder.iterdir()) if re.fullmatch(r"training_\d+(\.gz)?", path.name)]
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise InputError(f"{folder}: {names} hold the same proteins; leave one of them")
    found, left_out, notes = [], [], ()
    for path in files:  # one, or none
        for table in proteinnet.read_proteinnet(path, left_out=left_out):
            found += _short_structures(contacts.structures_of(table.assign(plddt=np.nan)))
        records = pd.DataFrame(left_out, columns=["row", "id", "reason"])
        notes = _left_out(records.assign(file=path.name))
    return found, notes


_BUNDLED: dict[str, Callable[[], pd.DataFrame]] = {
    "secondary_structure": _secondary_structure,
    "contacts": _contacts,
    "localisation": _localisation,
    "remote_homology": lambda: _with_test(tables.load("task_remote_homology")),
    "solubility": lambda: _with_test(tables.load("task_solubility")),
    "fluorescence": _fluorescence,
    "cath": _cath,
}


def _shuffled(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """In a seeded order that does not depend on that of the table."""
    return table.sort_values("id").sample(frac=1, random_state=seed)


def _with_validation(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """A share of the training proteins becomes the validation part."""
    order = _shuffled(table[table["split"] == "train"], seed)
    taken = order.index[: max(1, round(VALIDATION_SHARE * len(order)))]
    return table.assign(split=table["split"].mask(table.index.isin(taken), "validation"))


def _drawn(table: pd.DataFrame, most: dict[str, int], *, seed: int) -> pd.DataFrame:
    """Whole proteins of each split in a seeded order, as many as have `most[split]` residues together; tests whole."""
    parts = []
    for split, part in table.groupby("split", sort=False):
        if split in most:
            order = _shuffled(part, seed)
            part = order[order["sequence"].str.len().cumsum() <= most[split]].sort_index()
        parts.append(part)
    return pd.concat(parts).sort_index()


def _labels(table: pd.DataFrame, of: Task) -> tuple[list, tuple[str, ...]]:
    """A label a row and the classes, known from the training proteins; a class that they lack is -1."""
    learnt = table[table["split"] == "train"]
    if of.kind == "pair":
        return list(table["structure"]), ()
    if of.kind == "lookup":
        return list(table[of.column]), ()
    if of.kind == "number":
        return [float(value) for value in table[of.column]], ()
    if of.kind == "binary":
        return [int(value) for value in table[of.column]], ("no", "yes")
    if of.kind == "class":
        classes = tuple(sorted(set(learnt[of.column])))
        code = {name: number for number, name in enumerate(classes)}
        return [code.get(name, -1) for name in table[of.column]], classes
    classes = tuple("HEC" if of.column == "dssp3" else "HGIEBTSC")
    code = {name: number for number, name in enumerate(classes)}
    labels = []
    for states, counted in zip(table[of.column], table["counted"], strict=True):
        numbers = np.array([code[letter] for letter in states], dtype=np.int64)
        labels.append(np.where(probes.as_bool(counted), numbers, IGNORED))
    return labels, classes


IGNORED = -100  # as `plmbook.tasks.heads.IGNORED`, without importing torch


# --- running -------------------------------------------------------------------------------------------


def run(
    name: str,
    model=None,
    *,
    learners: Sequence[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    examples: Examples | None = None,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Learn a task, and say what each learner makes of each test protein.

    Parameters
    ----------
    name : str
        A key of `TASKS`.
    model
        Of `plmbook.models`, or any object with `name` and `residues(sequences)`. Baselines alone need none.
    learners : sequence of str, optional
        Default: all of the task that the model allows (an encoder without attention maps has no "attention").
    seeds : sequence of int
        Of the learners that have some; the others run once, as seed 0.
    examples : Examples, optional
        From `examples`, the default.
    say : callable, optional
        Takes a line of progress.

    Returns
    -------
    DataFrame
        task, test, learner (str), seed (int64), id (str), predicted, truth (float64): a row a test, learner, seed and
        test protein. What the numbers are depends on the task: the code of a class; a number; and where a protein
        counts for more than one answer the number of right ones and of all (residues; contacts: the precision and 1;
        CATH: 1 or 0, and whether the lookup set has the query's class).

    Raises
    ------
    InputError
        If there is no such task or learner, the model cannot do what a learner needs, or its embeddings do not fit.
    """
    from plmbook.tasks import learners as task_learners

    chosen = task(name)
    known = examples if examples is not None else globals()["examples"](name)
    material = Material(chosen, known, model)
    asked = chosen.learners if learners is None else learners
    for learner in asked:
        if learner not in chosen.learners:
            raise InputError(
                f"task {name!r}: learner {learner!r}, expected one of {', '.join(chosen.learners)}"
                f"{did_you_mean(learner, chosen.learners)}"
            )
    if learners is None:
        asked = [each for each in asked if _possible(each, model)]
    parts = []
    for learner in asked:
        if not LEARNERS[learner].baseline and model is None:
            raise InputError(f"task {name!r}: learner {learner!r} reads a model's embeddings: name a model")
        if not _possible(learner, model):
            raise InputError(f"task {name!r}: learner {learner!r}: {model.name} gives no attention maps")
        for seed in seeds if LEARNERS[learner].seeded else seeds[:1]:
            seed = seed if LEARNERS[learner].seeded else 0
            answers = task_learners.ANSWER[learner](material, seed)
            found = _outcomes(chosen, known, answers)
            parts.append(found.assign(task=name, learner=learner, seed=seed))
            if say:
                say(f"{name}, {learner}, seed {seed}")
    return pd.concat(parts, ignore_index=True)[list(OUTCOMES)].astype({"seed": "int64"})


def plan(name: str, examples: Examples, model=None, *, seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """What `run` would answer, without the answers: task, test, learner (str), seed (int64), id (str).

    Parameters
    ----------
    name, examples, model, seeds
        As in `run`.
    """
    chosen, parts = task(name), []
    tested = examples.table.iloc[examples.of("test")]
    rows = [(test, id_) for id_, of in zip(tested["id"], tested["test"], strict=True) for test in _tests(chosen, of)]
    one = pd.DataFrame(rows, columns=["test", "id"])
    for learner in chosen.learners:
        if _possible(learner, model):
            for seed in seeds if LEARNERS[learner].seeded else (0,):
                parts.append(one.assign(task=name, learner=learner, seed=seed))
    return pd.concat(parts, ignore_index=True)[["task", "test", "learner", "seed", "id"]].astype({"seed": "int64"})


def with_tests(examples: Examples, n: int, *, seed: int) -> Examples:
    """The same examples with a seeded draw of n test proteins (all, where there are fewer)."""
    tested = examples.of("test")
    drawn = np.random.default_rng(seed).choice(tested, size=min(n, len(tested)), replace=False)
    keep = np.sort(np.concatenate([np.setdiff1d(np.arange(len(examples.table)), tested), drawn]))
    table = examples.table.iloc[keep].reset_index(drop=True)
    return replace(examples, table=table, labels=tuple(examples.labels[k] for k in keep))


def parameters(name: str) -> dict:
    """Everything that the answers of a task depend on beside its examples and the model; JSON values."""
    from plmbook.tasks import learners

    of = task(name)
    return {
        "seed": SEED,
        "seeds": list(SEEDS),
        "residues": TRAIN_RESIDUES,
        "validation_share": VALIDATION_SHARE,
        "localisation_length": LOCALISATION_LENGTH,
        "trained_structure": TRAINED_STRUCTURE,
        "windows": [WINDOWS, NEAREST_WINDOWS],
        "strengths": list(STRENGTHS),
        "hidden": HIDDEN,
        "head": [of.head, HEAD, of.dropout, of.pooling],
        "fit": learners.PAIR_FIT if of.kind == "pair" else learners.FIT,
        "probe": learners.PROBE,
        "residue_strength": learners.RESIDUE_STRENGTH,
        "neighbours": learners.NEIGHBOURS,
        "learners": list(of.learners),
    }


def _tests(of: Task, test: str) -> list[str]:
    """The tests that a protein of a test set is part of."""
    if of.kind == "pair":
        return [f"{test}, {text}" for text in LENGTHS]
    return list(LEVELS) if of.kind == "lookup" else [test]


def _possible(learner: str, model) -> bool:
    return learner != "attention" or hasattr(model, "attentions")


class Material:
    """What learners learn from: the examples of a task and, when first asked for, a model's embeddings of them.

    Attributes
    ----------
    task : Task
    examples : Examples
    model : object or None
    """

    def __init__(self, task: Task, examples: Examples, model=None):
        self.task, self.examples, self.model = task, examples, model

    @cached_property
    def states(self) -> list[np.ndarray]:
        """Embeddings of the residues of each protein, float32 (L, d), each column standardised on the training rows."""
        found = residues_of(self.model, self.examples.table["sequence"].tolist())
        learnt = np.concatenate([found[n] for n in self.examples.of("train")]).astype(np.float64)
        mean, scale = learnt.mean(axis=0), learnt.std(axis=0)
        scale[scale == 0] = 1
        for number, each in enumerate(found):  # one by one: the states of all proteins are large
            found[number] = ((each - mean) / scale).astype(np.float32)
        return found

    @cached_property
    def means(self) -> np.ndarray:
        """The mean over the residues of each protein, float64 (n, d)."""
        return np.stack([each.mean(axis=0, dtype=np.float64) for each in self.states])


def residues_of(model, sequences: Sequence[str]) -> list[np.ndarray]:
    """Embeddings of residues by any model.

    Parameters
    ----------
    model
        With `residues(sequences)`; else of `plmbook.models`, which is asked for its last layer.
    sequences : sequence of str

    Returns
    -------
    list of float32 array (L, d)

    Raises
    ------
    InputError
        If the rows are not one a residue, the width changes, or a number is not finite.
    """
    if hasattr(model, "residues"):
        found = [np.asarray(each, dtype=np.float32) for each in model.residues(list(sequences))]
    else:
        found = encode.embed(model, list(sequences), pool="residue")
    if len(found) != len(sequences):
        raise InputError(f"model {model.name!r}: {len(found)} embeddings for {len(sequences)} sequences")
    for number, (each, sequence) in enumerate(zip(found, sequences, strict=True), start=1):
        if each.ndim != 2 or len(each) != len(sequence) or each.shape[1] != found[0].shape[1]:
            raise InputError(
                f"model {model.name!r}, sequence {number}: expected embeddings of the shape ({len(sequence)}, "
                f"{found[0].shape[-1]}), a row a residue, found {each.shape}; are BOS and EOS still there?"
            )
        if not np.isfinite(each).all():
            raise InputError(f"model {model.name!r}, sequence {number}: an embedding holds a number that is not finite")
    return found


def _outcomes(of: Task, known: Examples, answers: list) -> pd.DataFrame:
    """test, id, predicted, truth of the test proteins, from a learner's answers."""
    rows = []
    for n, answer in zip(known.of("test"), answers, strict=True):
        name, test, label = known.table["id"].iloc[n], known.table["test"].iloc[n], known.labels[n]
        if of.kind == "residue":
            counted = label != IGNORED
            rows.append((test, name, np.count_nonzero(answer[counted] == label[counted]), counted.sum()))
        elif of.kind == "pair":
            for text, part in zip(_tests(of, test), LENGTHS.values(), strict=True):
                rows.append((text, name, long_range_precision(label, answer, part), 1))
        elif of.kind == "lookup":
            lookup = [known.labels[k] for k in known.of("train")]
            for level, words in LEVELS.items():
                own = _upto(label, words)
                there = any(_upto(other, words) == own for other in lookup)
                rows.append((level, name, there and _upto(lookup[answer], words) == own, there))
        else:
            rows.append((test, name, answer, label))
    found = pd.DataFrame(rows, columns=["test", "id", "predicted", "truth"])
    return found.astype({"predicted": np.float64, "truth": np.float64})


def _upto(code: str, words: int) -> str:
    """The first words of CATH's C.A.T.H."""
    return ".".join(code.split(".")[:words])


def long_range_precision(structure: contacts.Structure, scores: np.ndarray, part: int = 1) -> float:
    """Share of contacts among the L / part best pairs at least 24 residues apart, L the residues that count.

    Parameters
    ----------
    structure : Structure
        Residues without coordinates (NaN) do not count.
    scores : float array (L, L)
        Higher = more likely in contact.
    part : int

    Returns
    -------
    float
        In [0, 1]; 0 where there is no such pair.
    """
    counted = structure.counted & np.isfinite(structure.cb).all(axis=1)
    i, j = contacts.pairs(counted, *contacts.RANGES["long"])
    if not len(i):
        return 0.0
    distance = np.linalg.norm(structure.cb[i].astype(np.float64) - structure.cb[j], axis=1)
    return contacts.precision_at(scores[i, j], distance < CUTOFF, max(int(counted.sum()) // part, 1))


# --- what comes of it ----------------------------------------------------------------------------------


def estimate(outcomes: pd.DataFrame, *, n: int = 1000, seed: int = 0) -> Estimate:
    """The measure of a task with a 95 % interval from resampling the test proteins.

    Parameters
    ----------
    outcomes : DataFrame
        Rows of `run` of one task, test, learner and seed.
    n, seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        n = the test proteins; of CATH the queries whose class the lookup set has.

    Examples
    --------
    >>> rows = pd.DataFrame({"task": "localisation", "predicted": [1.0, 2.0, 0.0, 1.0], "truth": [1.0, 2.0, 0.0, 2.0]})
    >>> estimate(rows, n=10).value
    0.75
    """
    return _estimate(outcomes["predicted"].to_numpy(), outcomes["truth"].to_numpy(), _kind(outcomes), n=n, seed=seed)


def gain(outcomes: pd.DataFrame, than: pd.DataFrame, *, n: int = 1000, seed: int = 0) -> Estimate:
    """How much better one learner is than another on the same test proteins, resampled together.

    Parameters
    ----------
    outcomes, than : DataFrame
        As in `estimate`, of the same task and test.
    n, seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate
        Difference of the measures.

    Raises
    ------
    InputError
        If the test proteins are not the same.
    """
    both = outcomes.merge(than[["id", "predicted"]], on="id", suffixes=("", "_other"))
    if not len(both) == len(outcomes) == len(than):
        raise InputError(f"{len(both)} test proteins in common of {len(outcomes)} and {len(than)}: expected the same")
    truth, kind = both["truth"].to_numpy(), _kind(outcomes)
    draws = _draws(len(both), n, seed)
    first, second = (both[name].to_numpy() for name in ("predicted", "predicted_other"))
    values = [_measure(first[d], truth[d], kind) - _measure(second[d], truth[d], kind) for d in draws]
    value = _measure(first, truth, kind) - _measure(second, truth, kind)
    return Estimate(value, *bootstrap.percentiles(values), _size(truth, kind))


def scores(outcomes: pd.DataFrame, *, n: int = 1000) -> pd.DataFrame:
    """The measure of every task, test, learner and seed.

    Parameters
    ----------
    outcomes : DataFrame
        From `run`, of any number of tasks; further columns such as model are kept apart.
    n : int
        Resamples.

    Returns
    -------
    DataFrame
        task, test, metric, learner (str), seed (int64), value, low, high (float64), n (int64, test proteins).
    """
    rows = []
    for (name, test, learner, seed), part in outcomes.groupby(["task", "test", "learner", "seed"], sort=False):
        rows.append((name, test, task(name).metric, learner, seed, *estimate(part, n=n)))
    return pd.DataFrame(rows, columns=["task", "test", "metric", "learner", "seed", "value", "low", "high", "n"])


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """One row a test and learner: the mean over seeds, with two intervals.

    Parameters
    ----------
    table : DataFrame
        From `scores`; a column model is kept apart where there is one.

    Returns
    -------
    DataFrame
        (model,) task, test, metric, learner, value (mean over seeds), low, high (95 % over test proteins: the means of
        those of the seeds), seed_low, seed_high (95 % of the mean over seeds by Student's t; the value itself where
        there is one seed), seeds, n (int64).
    """
    from scipy.stats import t

    keys = [name for name in ("model", "task", "test", "metric", "learner") if name in table]
    rows = []
    for key, part in table.groupby(keys, sort=False):
        values = part["value"].to_numpy()
        half = 0.0
        if len(values) > 1:
            half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        mean = float(values.mean())
        within = (part["low"].mean(), part["high"].mean(), mean - half, mean + half)
        rows.append((*key, mean, *within, len(values), part["n"].iloc[0]))
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "seed_low", "seed_high", "seeds", "n"])


def _kind(outcomes: pd.DataFrame) -> str:
    return task(outcomes["task"].iloc[0]).kind


def _estimate(predicted: np.ndarray, truth: np.ndarray, kind: str, *, n: int, seed: int) -> Estimate:
    if not len(predicted):
        raise InputError("no test protein to judge")
    values = [_measure(predicted[drawn], truth[drawn], kind) for drawn in _draws(len(predicted), n, seed)]
    return Estimate(_measure(predicted, truth, kind), *bootstrap.percentiles(values), _size(truth, kind))


def _draws(size: int, n: int, seed: int):
    return bootstrap.rows(size, n=n, seed=[seed, zlib.crc32(str(size).encode())])


def _size(truth: np.ndarray, kind: str) -> int:
    return int((truth > 0).sum()) if kind == "lookup" else len(truth)


def _measure(predicted: np.ndarray, truth: np.ndarray, kind: str) -> float:
    """The measure of a task; see `run` for what the numbers are."""
    if kind == "number":
        return spearman(predicted, truth)
    if kind in ("class", "binary"):
        return float(np.mean(predicted == truth))
    return float(predicted.sum() / truth.sum()) if truth.sum() else float("nan")


def spearman(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Rank correlation with shared ranks; 0 where all are equal.

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 9.0])), spearman(np.zeros(3), np.arange(3.0))
    (1.0, 0.0)
    """
    return round(metrics.spearman(predicted, truth), 12)
