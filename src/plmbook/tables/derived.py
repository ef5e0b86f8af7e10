"""Result tables: computed here or shipped and checked, and never one passed off as the other.

`make book` has ten minutes on two cores; some tables take longer. Those are *derived tables*: `make results` computes
them and writes `data/derived/<model>/NAME.parquet` with a manifest `NAME.json` beside it. `derive` uses such a table
only where its key (sha256 over the model's weights, the input files, the rows asked for, the parameters and the version
of the algorithm) is the one expected now. Then the content must have the sha256 of the manifest, and a seeded sample of
rows is computed afresh and must agree; if not, that is an error and not a warning. Where the key differs, everything is
computed. Every use leaves a record in `results/<profile>/derived/` for the appendix of the book.
"""

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from plmbook import __version__, tables, tasks
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.engine import encode
from plmbook.function import layers, learners, occlusion, proteome_map, proteomes, trainings
from plmbook.probing import contacts, neighbours, probes
from plmbook.variants import effects, landscapes, ngram, rescored

RECOMPUTE = "PLMBOOK_RECOMPUTE"  # =1: compute every derived table and write it (what `make results` does)
TOLERANCE = 2e-3  # natural-log units; the same float32 weights on another processor differ by about 1e-5
SAMPLE = 20  # rows of a shipped table that are computed afresh

LABELLED = ("P/LP", "B/LB")
PSEUDO_VARIANTS = 200  # pseudo-likelihood takes as many forward passes as the protein has residues, for each variant
PSEUDO_LENGTH = 210  # residues: longest gene in that sample
SEED = 20220917  # the date of the ClinVar release
MASKED_SHARE = 0.15
RESCORED_VARIANTS, RESCORED_TOP = 100, 20  # whose best second sites are scored again with both positions masked
# Well-known pathogenic variants whose best second sites are scored by pseudo-likelihood.  That takes hundreds of
# forward passes a second site, so all but one are of genes of at most 213 residues.
NAMED_VARIANTS = {
    "TTR": ("L75P", "T80A", "V50M", "V142I"),
    "VHL": ("N78S", "R167Q", "R167W", "Y98H"),
    "TNNC1": ("A8V", "G159D"),
    "MYL2": ("E22K", "R58Q"),
    "MYL3": ("M149V",),
    "TNNI3": ("K206Q", "R145G", "R186Q"),
    "SDHD": ("D92Y", "H102L", "P81L"),
    "TP53": ("R175H",),
}
NAMED_TOP = 5

# Raise one of these whenever the algorithm behind the table changes its answer: shipped tables are then not used.
VERSIONS = {
    "masked-marginals": 1,
    "mutant-marginals": 1,
    "pseudo-likelihood": 1,
    "heldout-likelihood": 2,
    "contact-precision": 1,
    "secondary-structure": 1,
    "localisation-embeddings": 1,
    "go-embeddings": 1,
    "rescue-comasked": 1,
    "rescue-pseudo-likelihood": 1,
    **{f"downstream-{name}": 1 for name in tasks.TASKS},
    "go-answers": 1,
    "go-answers-again": 1,
    "go-regressions": 1,
    "residue-drops": 1,
    "layer-regressions": 1,
    "layer-answers": 1,
    "protein-map": 1,
    "landscape-scores": 1,
}
CONTACT_SAMPLE = 2  # proteins whose contacts are checked, with the one or two regressions that they need
CONTACT_TOLERANCE = 0.03  # of a share among L pairs: a near tie broken the other way moves it by 1 / L, L from 50
# Heads that are trained afresh, and how far the measure on some test chains may be from the shipped one: two seeds of
# these differ by less, for a chain brings hundreds of residues; a head that has learnt nothing, by nine times as much.
HEADS_CHECKED = ("secondary_structure_3", "secondary_structure_8")
HEAD_TOLERANCE, HEAD_TESTS = 0.03, 100
ANSWER_DRAWS = 2  # terms of a training that are learnt afresh
ANSWER_TOLERANCE = 0.01  # of probability, in the mean over the test proteins of a term
REGRESSIONS, WINDOWS = 3, 8  # rows that are computed afresh: fits of a term, windows that are masked
MASKED = {"width": 8, "stride": 8, "longest": 450, "per_question": 5}  # residues; clusters of a question
LAYERS = {
    "longest": 350,  # residues of a protein at most
    "n_residues": 230_000,  # of all proteins that are read
    "fractions": [0.5, 0.15, 0.35],  # for training, validation and test
    "strengths": list(layers.STRENGTHS),
    "dims": [2, 4, 8, 16, 32, 64, 128],  # principal components that are kept, beside all
    "last": 4,  # layers that are put one after another
}
LAYER_DRAWS = 5  # terms that are learnt afresh from the last layer
ANSWER_STEPS = 10  # thousandths of log-odds: the same regression of states that another processor computed
LAYER_ROWS = 10  # answers that are computed afresh: the proteins are read again
MAP_NEIGHBOURS, MAP_KEPT = 10, 0.1  # a map keeps at least this share of the nearest proteins; chance is 0.002
BACKGROUNDS, ENOUGH = 250, 20  # of a landscape, those with the most doubles; rescues that are enough to count
STEPS = 1000  # of a nat, in the table of second mutations
GO_COLUMN, GO_SEEDS = "cafa5", 3  # collection of annotations; splits of each kind
PROBE_RESIDUES = 20_000  # that the probes learn from: the fit is made afresh wherever a row is checked


class DerivedMismatch(RuntimeError):
    """A shipped table is not what its manifest or a fresh computation says."""


@dataclass(frozen=True)
class Record:
    """How a derived table came about in this run.

    Attributes
    ----------
    table, model : str
        What was asked for.
    status : {"shipped", "computed"}
        Whether the rows are those of `data/derived` or were computed now.
    reason : str
        Why it was computed; for a shipped table, what was checked.
    key : str
        sha256 of model, inputs, rows, parameters and version.
    content : str
        sha256 of the table's content.
    rows, sampled : int
        Rows of the table; rows computed afresh for the check (0 where all were computed).
    largest_difference : float
        Between shipped and fresh values of the sample (0 where all were computed).
    tolerance : float
        What that difference may be.
    seconds : float
        Spent in this run.
    """

    table: str
    model: str
    status: str
    reason: str
    key: str
    content: str
    rows: int
    sampled: int
    largest_difference: float
    tolerance: float
    seconds: float


def derive(
    name: str,
    rows: pd.DataFrame,
    compute: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    model,
    inputs: Sequence[str | Path],
    parameters: Mapping[str, object],
    version: int,
    values: Sequence[str] = ("score",),
    tolerance: float = TOLERANCE,
    sample: int = SAMPLE,
    profile: str = "embedded",
    ship: bool = True,
    recompute: bool | None = None,
    check: Callable[[pd.DataFrame], tuple[int, float]] | None = None,
) -> tuple[pd.DataFrame, Record]:
    """A table that is shipped and checked where possible, else computed.

    Parameters
    ----------
    name : str
        Of the table: the file is `data/derived/<model>/NAME.parquet`.
    rows : DataFrame
        What to compute, one row each; the columns that identify a row.
    compute : callable
        From rows (any part of `rows`, at least one) to those rows with the columns `values` added, in the same order.
        A row's values must not depend on the other rows.
    model
        With `name` and `weights_hash`.
    inputs : sequence of paths
        Files that the values depend on.
    parameters : mapping
        JSON values that the values depend on: seeds, dtype, ...
    version : int
        Of the algorithm.
    values : sequence of str
        The numeric columns that `compute` adds.
    tolerance : float
        Largest difference between a shipped and a fresh value.
    sample : int
        Rows of a shipped table to compute afresh.
    profile : str
        Where the record goes.
    ship : bool
        False: compute, whatever is shipped, and write nothing to `data/derived` (profiles other than `embedded`).
    recompute : bool, optional
        Compute and write to `data/derived`; default: whether the environment says PLMBOOK_RECOMPUTE=1.
    check : callable, optional
        Instead of the sample of rows, where a row cannot be computed alone: from the shipped table to the number of
        rows that were computed afresh and the largest difference; it raises DerivedMismatch.

    Returns
    -------
    table : DataFrame
        `rows` with `values`.
    record : Record
        Also written to `results/<profile>/derived/`.

    Raises
    ------
    DerivedMismatch
        Where the key fits but the content is not the manifest's, or a sampled row disagrees.
    """
    start = time.perf_counter()
    rows = rows.reset_index(drop=True)
    if recompute is None:
        recompute = os.environ.get(RECOMPUTE) == "1"
    ingredients = _ingredients(name, rows, model=model, inputs=inputs, parameters=parameters, version=version)
    key = _sha256(json.dumps(ingredients, sort_keys=True))
    place = paths.derived() / model.name / f"{name}.parquet"
    reason = _why_compute(place, ingredients, key, ship=ship, recompute=recompute)
    if reason:
        table = _computed(rows, compute, values)
        if recompute and ship:
            _write_derived(place, table, key, ingredients, seconds=time.perf_counter() - start)
        status, sampled, difference = "computed", 0, 0.0
    else:
        table = _shipped(place, rows, values)
        if check is None:
            sampled, difference = _check_sample(place, table, rows, compute, values, sample=sample, tolerance=tolerance)
        else:
            sampled, difference = check(table)
        status, reason = "shipped", f"key and content fit, {sampled} of {len(table)} rows computed afresh and equal"
    record = Record(
        table=name,
        model=model.name,
        status=status,
        reason=reason,
        key=key,
        content=content_hash(table),
        rows=len(table),
        sampled=sampled,
        largest_difference=difference,
        tolerance=tolerance,
        seconds=round(time.perf_counter() - start, 2),
    )
    _write_text(
        paths.results(profile) / "derived" / f"{model.name}.{name}.json", json.dumps(asdict(record), indent=1) + "\n"
    )
    return table, record


def content_hash(table: pd.DataFrame) -> str:
    """sha256 of what a table holds: names, kinds and values of its columns, in order; the index does not count.

    Equal for equal tables whatever the file format, its compression and the library that wrote it.

    Examples
    --------
    >>> t = pd.DataFrame({"gene": ["TOY"], "score": [-1.0]})
    >>> content_hash(t) == content_hash(t.set_index(pd.Index([7]))), content_hash(t) == content_hash(t + t)
    (True, False)
    """
    digest = hashlib.sha256(str(len(table)).encode())
    for name in table.columns:
        column = table[name]
        kind = "text"
        if pd.api.types.is_bool_dtype(column):
            kind, content = "bool", column.to_numpy(dtype=np.uint8).tobytes()
        elif pd.api.types.is_integer_dtype(column):
            kind, content = "integer", column.to_numpy(dtype="<i8").tobytes()
        elif pd.api.types.is_float_dtype(column):
            kind, content = "number", column.to_numpy(dtype="<f8").tobytes()
        else:
            content = json.dumps(column.astype(object).where(column.notna(), None).tolist()).encode()
        digest.update(json.dumps([str(name), kind]).encode() + content)
    return digest.hexdigest()


def save(table: pd.DataFrame, name: str, profile: str = "embedded") -> Path:
    """Write `results/<profile>/NAME.parquet`; a reader sees the old file or the new one, never half of one.

    Parameters
    ----------
    table : DataFrame
        The index is not written.
    name : str
        Without suffix.

    Returns
    -------
    Path
        Of the file.
    """
    path = paths.results(profile) / f"{name}.parquet"
    _write_parquet(path, table)
    return path


def read(name: str, profile: str = "embedded") -> pd.DataFrame:
    """Read what `save` wrote.

    Raises
    ------
    InputError
        Where it was not computed yet.
    """
    path = paths.results(profile) / f"{name}.parquet"
    if not path.exists():
        raise InputError(f"{path} does not exist; run `plmbook results --profile {profile}` first")
    return pd.read_parquet(path)


def records(profile: str = "embedded") -> pd.DataFrame:
    """How the derived tables of a profile came about, for the appendix: a row per table, the columns of `Record`."""
    found = [json.loads(p.read_text()) for p in sorted((paths.results(profile) / "derived").glob("*.json"))]
    return pd.DataFrame(found, columns=[field.name for field in fields(Record)])


def wildtype_effects(model, *, progress: bool = False) -> pd.DataFrame:
    """Wild-type marginals of every bundled variant whose wild type matches its gene's sequence; always computed.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score.
    """
    return effects.score_table(
        model, tables.load("genes"), matching_variants(), strategy="wildtype-marginals", progress=progress
    )


def labelled_effects(
    model, strategy: str, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Another strategy's scores: a derived table.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    strategy : {"masked-marginals", "mutant-marginals", "pseudo-likelihood"}
        The first two for every P/LP and B/LB variant, the last for `pseudo_sample`.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score.
    """
    if strategy not in VERSIONS or strategy not in effects.STRATEGIES:
        raise InputError(f"no derived table of {strategy}")
    genes, variants = tables.load("genes"), matching_variants()
    variants = variants[variants["significance"].isin(LABELLED)].reset_index(drop=True)
    chosen, sample = variants, SAMPLE
    parameters = {"strategy": strategy, "dtype": _dtype(model)}
    if strategy == "pseudo-likelihood":
        chosen, sample = pseudo_sample(variants, genes), 1  # one variant takes hundreds of forward passes
        parameters |= {"n": PSEUDO_VARIANTS, "longest": PSEUDO_LENGTH, "seed": SEED}

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        scored = effects.score_table(model, genes, rows, strategy=strategy, progress=progress and len(rows) > SAMPLE)
        return rows.assign(score=scored["score"].to_numpy())

    table, _ = derive(
        strategy,
        chosen[["gene", "mutation"]],
        compute,
        model=model,
        inputs=[paths.data() / "genes.tsv", paths.data() / "variants.parquet"],
        parameters=parameters,
        version=VERSIONS[strategy],
        sample=sample,
        # a pseudo-likelihood ratio adds up to 400 numbers
        tolerance=_tolerance(model) * (5 if strategy == "pseudo-likelihood" else 1),
        profile=profile,
        ship=_ships(model),
        recompute=recompute,
    )
    return chosen.reset_index(drop=True).assign(model=model.name, strategy=strategy, score=table["score"].to_numpy())


def pseudo_sample(
    variants: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    n: int = PSEUDO_VARIANTS,
    longest: int = PSEUDO_LENGTH,
    seed: int = SEED,
) -> pd.DataFrame:
    """A seeded sample of labelled variants in short genes, half P/LP and half B/LB as far as there are enough.

    Parameters
    ----------
    variants : DataFrame
        gene, mutation, significance and others.
    genes : DataFrame
        gene, length (residues).
    n : int
        Variants; where a class has fewer than n / 2, the other makes up for it.
    longest : int
        Residues of the longest gene considered.
    seed : int
        Of the draw.

    Returns
    -------
    DataFrame
        Rows of `variants`, sorted by gene and mutation, fresh index.
    """
    short = set(genes["gene"][genes["length"] <= longest])
    rows = variants[variants["gene"].isin(short)].sort_values(["gene", "mutation"])
    pathogenic, benign = (rows[rows["significance"] == label] for label in LABELLED)
    n_benign = min(len(benign), max(n // 2, n - len(pathogenic)))
    n_pathogenic = min(len(pathogenic), n - n_benign)
    drawn = [part.sample(k, random_state=seed) for part, k in ((pathogenic, n_pathogenic), (benign, n_benign))]
    return pd.concat(drawn).sort_values(["gene", "mutation"]).reset_index(drop=True)


def variant_effects(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Every score that the book shows of one model on the bundled variants; saved as `effects.<model>`.

    Returns
    -------
    DataFrame
        The columns of the bundled variants plus model, strategy, score: wild-type marginals for all matching variants,
        masked and mutant marginals for P/LP and B/LB, pseudo-likelihood for a sample of those.
    """
    options = {"profile": profile, "recompute": recompute, "progress": progress}
    parts = [wildtype_effects(model, progress=progress)]
    parts += [labelled_effects(model, s, **options) for s in effects.STRATEGIES if s in VERSIONS]
    table = pd.concat(parts, ignore_index=True)
    save(table, f"effects.{model.name}", profile)
    return table


def heldout_likelihood(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """Masked residues of proteins without a relative in training: the model beside two that count.

    The residue frequencies are those of the bundled model's training corpus, from its card; the n-gram
    (`plmbook.variants.ngram`) counted the general proteins of that corpus. `metrics.perplexity_table` makes
    perplexities of it, over all, by length and by kingdom.

    Returns
    -------
    DataFrame
        id, source, kingdom, length, n_masked, log_likelihood, frequency_log_likelihood, ngram_log_likelihood; saved as
        `heldout.<model>`.
    """
    proteins, frequencies = tables.load("heldout"), residue_frequencies()
    proteins = proteins[~proteins["id"].isin(read_in_training("heldout"))].reset_index(drop=True)
    counts = ngram.Ngram.from_table(tables.load("ngram"))

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        these = proteins.set_index("id").loc[rows["id"]].reset_index()
        return effects.masked_likelihood(
            model,
            these,
            frequencies=frequencies,
            ngram=counts,
            share=MASKED_SHARE,
            seed=SEED,
            progress=progress and len(rows) > SAMPLE,
        )

    table, _ = derive(
        "heldout-likelihood",
        proteins[["id"]],
        compute,
        model=model,
        inputs=[paths.data() / "heldout.tsv", paths.data() / "ngram.parquet"],
        parameters={
            "share": MASKED_SHARE,
            "seed": SEED,
            "frequencies": list(frequencies),
            "ngram": {"weights": dict(ngram.WEIGHTS), "prior": ngram.PRIOR, "shrinkage": ngram.SHRINKAGE},
            "dtype": _dtype(model),
        },
        version=VERSIONS["heldout-likelihood"],
        values=("n_masked", "log_likelihood", "frequency_log_likelihood", "ngram_log_likelihood"),
        tolerance=5 * _tolerance(model),  # sums over up to 150 masked residues
        profile=profile,
        ship=_ships(model),
        recompute=recompute,
    )
    table = proteins[["id", "source", "kingdom", "length"]].merge(table, on="id", how="left", validate="one_to_one")
    save(table, f"heldout.{model.name}", profile)
    return table


def residue_frequencies() -> list[float]:
    """Frequencies of `AMINO_ACIDS` in the training corpus of the bundled model, from its card's JSON.

    Raises
    ------
    InputError
        Where there is no bundled model, or its card lacks `residue_frequencies`.
    """
    from plmbook import models

    path = paths.data() / "models" / f"{models.card('embedded').name}.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "residue_frequencies" not in facts:
        raise InputError(f"{path}: expected residue_frequencies, 20 numbers in the order of AMINO_ACIDS, found none")
    return [float(value) for value in facts["residue_frequencies"]]


def read_in_training(table: str) -> set[str]:
    """The proteins of a bundled test that have a relative among the sequences that a bundled model has read.

    A relative shares half of the shorter sequence at 30 % identity (`data/make/relatives.py`). The tests of unseen
    families leave these proteins out, for every model.

    Parameters
    ----------
    table : {"heldout", "secondary_structure", "kept_structures", "genes", "landscapes"}

    Returns
    -------
    set of str
        Ids of that table.
    """
    found = tables.load("relatives")
    return set(found["id"][found["table"] == table])


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
    kept = kept[~kept["id"].isin(read_in_training("kept_structures"))]
    genes = tables.load("structures").rename(columns={"gene": "id"})
    columns = ["id", "position", "residue", "cb_x", "cb_y", "cb_z", "plddt"]
    structures = pd.concat([kept[columns], genes[columns]], ignore_index=True)
    lengths = kept["id"].value_counts().to_dict()
    plan = contacts.cross_fit(lengths, genes["id"].drop_duplicates().tolist(), seed=SEED)
    rows = plan.assign(set=plan["set"].map({"kept": "kept", "other": "genes"}))[["id", "set", "fold"]]

    def compute(asked: pd.DataFrame) -> pd.DataFrame:
        found = [
            contacts.contact_precision(
                model,
                structures,
                train_ids=contacts.training_ids(plan, fold),
                test_ids=part["id"].tolist(),
                seed=SEED,
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
            "seed": SEED,
            "n_train": contacts.N_TRAIN,
            "longest_trained": contacts.LONGEST_TRAINED,
            "penalty": contacts.PENALTY,
            "non_contacts": contacts.NON_CONTACTS,
            "cutoff": contacts.CUTOFF,
            "confident": contacts.CONFIDENT,
            "dtype": _dtype(model),
        },
        version=VERSIONS["contact-precision"],
        values=("length", *contacts.MEASURES),
        sample=CONTACT_SAMPLE,
        tolerance=CONTACT_TOLERANCE,
        profile=profile,
        ship=_ships(model),
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
    proteins = proteins[~proteins["id"].isin(read_in_training("secondary_structure"))]
    train, test = (proteins[proteins["split"] == split].reset_index(drop=True) for split in tables.SPLITS)

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        fitted = probes.fit_all(train, model, max_residues=PROBE_RESIDUES, seed=SEED)
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
            "seed": SEED,
            "dtype": _dtype(model),
        },
        version=VERSIONS["secondary-structure"],
        values=("n_residues", *(f"correct_{kind}" for kind in probes.KINDS)),
        tolerance=1,  # residue: one that lies on the border between two states
        profile=profile,
        ship=_ships(model),
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
        parameters={"layer": -1, "pool": "mean", "scale": 100, "dtype": _dtype(model)},
        version=VERSIONS["localisation-embeddings"],
        values=names,
        tolerance=1,  # hundredth: a number on the border between two
        profile=profile,
        ship=_ships(model),
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


def go_embeddings(
    model,
    *,
    known: proteomes.Known | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Embeddings of the human and mouse proteins with GO terms: the last layer, a mean over residues.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    known : Known, optional
        From `plmbook.function.proteomes.load`: proteins instead of the bundled ones. Whole proteomes are computed, and
        nothing is shipped of them.

    Returns
    -------
    DataFrame
        id (str), e0000, e0001, ... (float32, rounded to hundredths, whether shipped or computed); rows as the
        proteins; saved as `go_embeddings.<model>`.
    """
    proteins = tables.load("go_proteins") if known is None else known.proteins
    names = [f"e{number:04d}" for number in range(model.card.dim)]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        sequences = proteins.set_index("id").loc[rows["id"], "sequence"]
        vectors = encode.embed(model, list(sequences), progress=progress and len(rows) > SAMPLE)
        hundredths = np.rint(100 * vectors).astype(np.int32)  # int16 would turn over at 327
        return pd.concat([rows, pd.DataFrame(hundredths, columns=names)], axis=1)

    table, _ = derive(
        "go-embeddings",
        proteins[["id"]],
        compute,
        model=model,
        inputs=_inputs(known, "go_proteins.parquet"),
        parameters={"layer": -1, "pool": "mean", "scale": 100, "dtype": _dtype(model)},
        version=VERSIONS["go-embeddings"],
        values=names,
        tolerance=1,  # hundredth: a number on the border between two
        profile=profile,
        ship=_ships(model, known),
        recompute=recompute,
    )
    vectors = (table[names].to_numpy(dtype=np.float64) / 100).astype(np.float32)
    result = pd.concat([table[["id"]], pd.DataFrame(vectors, columns=names)], axis=1)
    save(result, f"go_embeddings.{model.name}", profile)
    return result


def rescores(
    model, *, profile: str = "embedded", recompute: bool | None = None, progress: bool = False
) -> pd.DataFrame:
    """The best second sites of some variants, and matched random ones, scored again; saved as `rescored.<model>`.

    The scan runs live, the scores are derived tables: with both positions masked the `RESCORED_TOP` candidates of
    `RESCORED_VARIANTS` P/LP variants drawn over the genes, by pseudo-likelihood the `NAMED_TOP` of `NAMED_VARIANTS`.

    Returns
    -------
    DataFrame
        The columns of `rescored.pairs`, model, way ("comasked", "pseudo-likelihood"), and those of
        `rescored.comasked` and `rescored.pseudo_likelihood`, missing in the other way's rows.
    """
    sequences = tables.load("genes").set_index("gene")["sequence"]
    variants = matching_variants()
    drawn = rescored.drawn(variants[variants["significance"] == LABELLED[0]], n=RESCORED_VARIANTS, seed=SEED)
    named = pd.DataFrame(
        [(gene, text) for gene, texts in NAMED_VARIANTS.items() for text in texts], columns=["gene", "mutation"]
    )
    parts = []
    for way, chosen, top, score, values, sample, times in (
        ("comasked", drawn, RESCORED_TOP, rescored.comasked, rescored.COMASKED, SAMPLE, 1),
        # one double mutant takes four passes a residue; the sum of as many numbers differs by more than one of them
        ("pseudo-likelihood", named, NAMED_TOP, rescored.pseudo_likelihood, rescored.PSEUDO, 1, 5),
    ):
        place = paths.derived() / model.name / f"rescue-{way}.parquet"
        pairs = rescored.pairs(
            model, sequences, chosen, top=top, seed=SEED, known=None if recompute else _shipped_pairs(place)
        )

        def compute(rows: pd.DataFrame, score=score) -> pd.DataFrame:
            return score(model, sequences, rows)

        table, _ = derive(
            f"rescue-{way}",
            pairs[list(rescored.PAIR)],
            compute,
            model=model,
            inputs=[paths.data() / "genes.tsv"],
            parameters={"dtype": _dtype(model)},
            version=VERSIONS[f"rescue-{way}"],
            values=values,
            tolerance=_tolerance(model) * times,
            sample=sample,
            profile=profile,
            ship=_ships(model),
            recompute=recompute,
        )
        parts.append(pairs.assign(model=model.name, way=way, **{name: table[name].to_numpy() for name in values}))
    result = pd.concat(parts, ignore_index=True)
    save(result, f"rescored.{model.name}", profile)
    return result


def _shipped_pairs(place: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(place, columns=list(rescored.PAIR))
    except (OSError, ValueError):  # none, or damaged, which `derive` tells
        return None


def downstream(
    model,
    *,
    retrain: bool = True,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Every downstream task by every learner, from the bundled samples: a derived table of answers for each task.

    Where the answers are shipped, a baseline of each task is computed afresh and must be equal; and with `retrain`, of
    one task of `HEADS_CHECKED`, drawn by the model's weights, a ConvBERT head of one seed is trained afresh, a minute:
    its measure on some test proteins must be that of the shipped answers but for `HEAD_TOLERANCE`.

    Returns
    -------
    DataFrame
        The columns of `tasks.scores`, and model; saved as `tasks.<model>`. The answers are saved as
        `task_outcomes.<model>`, the columns of `tasks.run`.
    """
    drawn = HEADS_CHECKED[int(model.weights_hash[:8], 16) % len(HEADS_CHECKED)]
    options = {"profile": profile, "recompute": recompute, "progress": progress}
    parts = [_task_answers(model, name, trains=retrain and name == drawn, **options) for name in tasks.TASKS]
    answers = pd.concat(parts, ignore_index=True)
    save(answers, f"task_outcomes.{model.name}", profile)
    result = tasks.scores(answers).assign(model=model.name)
    save(result, f"tasks.{model.name}", profile)
    return result


def _task_answers(
    model, name: str, *, profile: str, recompute: bool | None, progress: bool, trains: bool
) -> pd.DataFrame:
    """The answers of one task; `trains`: the check trains a head."""
    known = tasks.examples(name)
    keys = ["task", "test", "learner", "seed", "id"]

    def compute(asked: pd.DataFrame, examples: tasks.Examples = known) -> pd.DataFrame:
        of = {"learners": asked["learner"].unique().tolist(), "seeds": asked["seed"].unique().tolist()}
        found = tasks.run(name, model, **of, examples=examples, say=print if progress else None)
        return asked.merge(found, on=keys, how="left", validate="one_to_one")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        baseline = tasks.CHEAPEST[tasks.task(name).kind]
        before = shipped[shipped["learner"] == baseline]
        difference = _measures_apart(before, compute(before[keys]), tolerance=1e-6, model=model.name)
        if not trains:
            return len(before), difference
        rng = np.random.default_rng(int(content_hash(shipped)[:16], 16))
        few = tasks.with_tests(known, HEAD_TESTS, seed=int(rng.integers(2**31)))
        head = shipped[(shipped["learner"] == "convbert") & (shipped["seed"] == rng.choice(tasks.SEEDS))]
        head = head[head["id"].isin(few.table["id"])]
        again = compute(head[keys], few)
        further = _measures_apart(head, again, tolerance=HEAD_TOLERANCE, model=model.name)
        return len(before) + len(head), max(difference, further)

    table, _ = derive(
        f"downstream-{name}",
        tasks.plan(name, known, model),
        compute,
        model=model,
        inputs=[paths.data() / file for file in (*tasks.FILES[tasks.task(name).dataset], "relatives.tsv")],
        parameters=tasks.parameters(name) | {"dtype": _dtype(model)},
        version=VERSIONS[f"downstream-{name}"],
        values=("predicted", "truth"),
        tolerance=HEAD_TOLERANCE,
        check=check,
        profile=profile,
        ship=_ships(model),
        recompute=recompute,
    )
    return table


def _measures_apart(before: pd.DataFrame, after: pd.DataFrame, *, tolerance: float, model: str) -> float:
    """The largest difference of a learner's measures over its tests; DerivedMismatch where it is over the tolerance."""
    largest = 0.0
    for test, part in before.groupby("test"):
        old, new = (tasks.estimate(each, n=1).value for each in (part, after[after["test"] == test]))
        if not abs(old - new) <= tolerance:
            row = part.iloc[0]
            raise DerivedMismatch(
                f"{row['task']} by {row['learner']}, {model}, seed {row['seed']}, {test}: shipped as {old:.6g} and "
                f"computes to {new:.6g}, over {tolerance:g} apart. Restore data/derived, or run `make results`"
            )
        largest = max(largest, abs(old - new))
    return largest


COMPOSITION = SimpleNamespace(name="composition", weights_hash="")  # the model of those that read no model


def go_answers(
    model,
    *,
    again: bool = False,
    column: str = GO_COLUMN,
    seed: int = SEED,
    n_seeds: int = GO_SEEDS,
    known: proteomes.Known | None = None,
    asked: trainings.Question | None = None,
    embeddings: np.ndarray | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Boosted trees for the common GO terms, on embeddings and on composition: answers about test proteins.

    Where the answers are shipped, terms of a training, drawn by the content of the table, are learnt afresh.

    Parameters
    ----------
    model
        From `plmbook.models.load`; the shares of amino acids are learnt as well, which read none.
    again : bool
        False: every split once, annotations as given. True: what else is asked of one model, the splits of the next
        seeds, and propagated annotations.
    column, seed, n_seeds
        As in `trainings.question`.
    known : Known, optional
        As in `go_embeddings`; `column` does not count then.
    asked : Question, optional
        What `trainings.question` gives for these, where it is at hand.
    embeddings : float32 array (n, d), optional
        Those of `go_embeddings`, where they are at hand.

    Returns
    -------
    DataFrame
        The columns of `trainings.answer`, learners "lightgbm" and "composition"; saved as `go_answers.<model>` or
        `go_answers_again.<model>`.
    """
    column = column if known is None else known.column
    asked = trainings.question(column, seed=seed, n_seeds=n_seeds, known=known) if asked is None else asked
    options = {"column": column, "seed": seed, "n_seeds": n_seeds, "again": again, "known": known}
    options |= {"profile": profile, "recompute": recompute}
    if embeddings is None:
        embeddings = go_embeddings(model, known=known, profile=profile, progress=progress).drop(columns="id").to_numpy()
    shares = neighbours.composition(asked.proteins["sequence"]).astype(np.float32)
    table = pd.concat(
        [
            _go_answers(model, "lightgbm", embeddings, asked, ships=_ships(model, known), **options),
            _go_answers(COMPOSITION, "composition", shares, asked, ships=_ships(model, known), **options),
        ],
        ignore_index=True,
    )
    save(table, f"go_answers{'_again' if again else ''}.{model.name}", profile)
    return table


def _go_answers(source, learner, features, asked, *, ships, known, column, seed, n_seeds, again, profile, recompute):
    """What one learner answers."""
    chosen = trainings.trainings(asked, learner, seed=seed, again=again)
    name = "go-answers-again" if again else "go-answers"

    def compute(rows: pd.DataFrame, terms: Sequence[str] | None = None) -> pd.DataFrame:
        found = trainings.answer(asked, rows, {learner: features}, terms=terms)
        return rows.merge(found, on=list(rows.columns), how="left", validate="one_to_one")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        rng, largest, n = np.random.default_rng(int(content_hash(shipped)[:16], 16)), 0.0, 0
        for _ in range(ANSWER_DRAWS):
            drawn, term = chosen.iloc[[rng.integers(len(chosen))]], asked.terms[rng.integers(len(asked.terms))]
            before = shipped.merge(drawn, on=list(trainings.KEYS))
            after = compute(before[list(rows.columns)], [term])
            difference = float(trainings.apart(before, after, [term]).item())
            if not difference <= ANSWER_TOLERANCE:
                what = ", ".join(map(str, drawn.iloc[0]))
                raise DerivedMismatch(
                    f"{name}, {source.name}: {term} ({what}): learnt afresh, the probabilities are {difference:.3g} "
                    f"from the shipped ones in the mean, over {ANSWER_TOLERANCE:g}. Restore the file, or run "
                    "`make results`"
                )
            largest, n = max(largest, difference), n + len(before)
        return n, largest

    rows = trainings.plan(asked, chosen)
    table, _ = derive(
        name,
        rows,
        compute,
        model=source,
        inputs=_inputs(known, *trainings.FILES),
        parameters={
            "column": column,
            "seed": seed,
            "n_seeds": n_seeds,
            "trees": trainings.FAST | {"rounds": learners.ROUNDS, "patience": learners.PATIENCE},
            "fast": learners.FAST,
            "scale": trainings.SCALE,
        },
        version=VERSIONS[name],
        values=asked.terms,
        tolerance=ANSWER_TOLERANCE,
        check=check,
        profile=profile,
        ship=ships,
        recompute=recompute,
    )
    return table


def go_answers_again(model, **options) -> pd.DataFrame:
    """`go_answers` with `again`."""
    return go_answers(model, again=True, **options)


def go_regressions(
    model,
    *,
    column: str = GO_COLUMN,
    seed: int = SEED,
    known: proteomes.Known | None = None,
    asked: occlusion.Question | None = None,
    embeddings: np.ndarray | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Logistic regression of the terms whose motifs are looked for, cross-fitted over the proteins.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    column : str
        Collection of annotations.
    seed : int
        Of the folds.
    known : Known, optional
        As in `go_embeddings`; `column` does not count then.
    asked : occlusion.Question, optional
        What `occlusion.question` gives, where it is at hand.
    embeddings : float32 array (n, d), optional
        Those of `go_embeddings`, where they are at hand.

    Returns
    -------
    DataFrame
        fold (int64), and the columns of `occlusion.coefficients`; saved as `go_regressions.<model>`.
    """
    column = column if known is None else known.column
    asked = occlusion.question(column, known=known) if asked is None else asked
    if embeddings is None:
        embeddings = go_embeddings(model, known=known, profile=profile, progress=progress).drop(columns="id").to_numpy()
    fold = occlusion.folds_of(asked.labels, asked.proteins["cluster"], seed=seed)
    rows = pd.DataFrame(
        [(number, term) for number in range(occlusion.FOLDS) for term in asked.labels], columns=["fold", "term"]
    )

    def compute(wanted: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for number, part in wanted.groupby("fold", sort=False):
            made = occlusion.fit_fold(embeddings, asked.labels[part["term"]], fold, number, seed=seed)
            parts.append(occlusion.coefficients(made).assign(fold=number))
        return wanted.merge(pd.concat(parts), on=["fold", "term"], how="left", validate="one_to_one")

    table, _ = derive(
        "go-regressions",
        rows,
        compute,
        model=model,
        inputs=_inputs(known, "go_proteins.parquet", "go_annotations.parquet"),
        parameters={
            "column": column,
            "seed": seed,
            "folds": occlusion.FOLDS,
            "strengths": list(learners.STRENGTHS),
            "dtype": _dtype(model),
        },
        version=VERSIONS["go-regressions"],
        values=["intercept", *(f"w{number:04d}" for number in range(embeddings.shape[1]))],
        sample=REGRESSIONS,
        profile=profile,
        ship=_ships(model, known),
        recompute=recompute,
    )
    save(table, f"go_regressions.{model.name}", profile)
    return table


def residue_drops(
    model,
    *,
    column: str = GO_COLUMN,
    seed: int = SEED,
    masked: Mapping[str, int] = MASKED,
    known: proteomes.Known | None = None,
    asked: occlusion.Question | None = None,
    classifiers: Sequence | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """How far the log-odds of terms fall when a window of residues is masked.

    Parameters
    ----------
    model, column, seed, known, asked
        As in `go_regressions`.
    masked : mapping
        width, stride: residues of a window, and from one to the next; longest, per_question: as in `occlusion.to_mask`.
    classifiers : sequence of Classifier, optional
        By fold, of `go_regressions`, where they are at hand.

    Returns
    -------
    DataFrame
        id (str), start, stop (int64; of the window, 0-based, stop excluded), and one a term (float64: the log-odds of
        the protein less those with the window masked); saved as `residue_drops.<model>`.
    """
    column = column if known is None else known.column
    asked = occlusion.question(column, known=known) if asked is None else asked
    fold = occlusion.folds_of(asked.labels, asked.proteins["cluster"], seed=seed)
    if classifiers is None:
        vectors = go_embeddings(model, known=known, profile=profile, progress=progress).drop(columns="id").to_numpy()
        options = {"column": column, "seed": seed, "known": known, "asked": asked, "profile": profile}
        found = go_regressions(model, embeddings=vectors, **options)
        parts = [part for _, part in found.groupby("fold")]
        classifiers = [occlusion.from_coefficients(part, vectors, fold, number) for number, part in enumerate(parts)]
    proteins = asked.proteins.assign(fold=fold).set_index("id")
    chosen = occlusion.to_mask(asked, longest=masked["longest"], per_question=masked["per_question"])
    rows = [
        (asked.proteins["id"][row], *span)
        for row in sorted({row for of_question in chosen.values() for row in of_question})
        for span in occlusion.windows(int(asked.proteins["length"][row]), masked["width"], masked["stride"])
    ]

    def compute(wanted: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name, part in wanted.groupby("id", sort=False):
            of_protein = proteins.loc[name]
            spans = list(part[["start", "stop"]].itertuples(index=False, name=None))
            values = occlusion.window_drops(model, of_protein["sequence"], classifiers[of_protein["fold"]], spans)
            parts.append(pd.concat([part.reset_index(drop=True), pd.DataFrame(values, columns=terms)], axis=1))
        return wanted.merge(pd.concat(parts), on=["id", "start", "stop"], how="left", validate="one_to_one")

    terms = list(asked.labels)
    table, _ = derive(
        "residue-drops",
        pd.DataFrame(rows, columns=["id", "start", "stop"]),
        compute,
        model=model,
        inputs=_inputs(known, "go_proteins.parquet", "go_annotations.parquet"),
        parameters=dict(masked)
        | {
            "column": column,
            "seed": seed,
            "folds": occlusion.FOLDS,
            "strengths": list(learners.STRENGTHS),
            "dtype": _dtype(model),
        },
        version=VERSIONS["residue-drops"],
        values=terms,
        tolerance=5 * _tolerance(model),  # log-odds add up as many numbers as the embedding has
        sample=WINDOWS,
        profile=profile,
        ship=_ships(model, known),
        recompute=recompute,
    )
    save(table, f"residue_drops.{model.name}", profile)
    return table


def layer_answers(
    model,
    *,
    column: str = GO_COLUMN,
    seed: int = SEED,
    options: Mapping[str, object] | None = None,
    known: proteomes.Known | None = None,
    asked: layers.Question | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Logistic regression of the common GO terms from every layer and pool, and what it says of the test proteins.

    Where both are shipped, the answers are checked by reading proteins again, and of the regressions those from the
    mean of the last layer, by learning terms afresh from the embeddings of `go_embeddings`: the other layers of the
    training proteins are read only where everything is computed.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    column, seed
        As in `layers.question`.
    options : mapping, optional
        longest, n_residues, fractions: as in `layers.question`; strengths, dims, last: as in `layers.regressions`, all
        components besides. Default: `LAYERS`.
    known : Known, optional
        As in `go_embeddings`; `column` does not count then.
    asked : layers.Question, optional
        What `layers.question` gives for these, where it is at hand.

    Returns
    -------
    DataFrame
        feature, id (str), and one a term (int32): the log-odds in thousandths. The thresholds stand in the rows
        whose id is "threshold". Saved as `layer_answers.<model>`.
    """
    options = LAYERS if options is None else options
    column = column if known is None else known.column
    if asked is None:
        chosen = {name: options[name] for name in ("longest", "n_residues", "fractions")}
        asked = layers.question(column, seed=seed, known=known, **chosen)
    sequences, terms = asked.proteins.set_index("id")["sequence"], list(asked.labels)
    learning = {"last": options["last"], "strengths": options["strengths"], "seed": seed}
    most = min(model.card.dim, int((asked.split == "train").sum()) - 1)  # components that the training proteins have
    learning["dims"] = sorted({min(k, most) for k in (*options["dims"], most)})
    names = layers.features_of(dict.fromkeys(layers.POOLS, range(model.card.layers + 1)), last=options["last"])
    top = f"mean {model.card.layers}"
    names |= {f"components {k}": [top] for k in learning["dims"]}
    read = {}  # all proteins, where they had to be read

    def learn(wanted: pd.DataFrame) -> pd.DataFrame:
        read["all"] = layers.pooled_layers(model, list(sequences), progress=progress)
        return wanted.merge(layers.regressions(read["all"], asked, **learning), on=list(wanted.columns), how="left")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        vectors = go_embeddings(model, known=known, profile=profile).set_index("id")
        vectors = vectors.loc[asked.proteins["id"]].to_numpy()
        pooled = {"mean": np.broadcast_to(vectors, (model.card.layers + 1, *vectors.shape))}
        rng = np.random.default_rng(int(content_hash(shipped)[:16], 16))
        drawn = rng.choice(terms, min(LAYER_DRAWS, len(terms)), replace=False)
        only = {"features": [top], "terms": drawn.tolist()}
        fresh = layers.regressions(pooled, asked, **(learning | {"dims": []}), **only)
        before = shipped[(shipped["feature"] == top) & shipped["term"].isin(drawn)].set_index("term").loc[drawn]
        said = [
            layers.answers(table, pooled, asked.proteins["id"])[drawn] for table in (before.reset_index(), fresh)
        ]
        apart = trainings.apart(*said, drawn)
        if not apart.max() <= ANSWER_TOLERANCE:
            raise DerivedMismatch(
                f"layer-regressions, {model.name}: {apart.idxmax()} from the mean of the last layer: learnt afresh, "
                f"the probabilities are {apart.max():.3g} from the shipped ones in the mean, over "
                f"{ANSWER_TOLERANCE:g}. Restore the file, or run `make results`"
            )
        return len(drawn), float(apart.max())

    common = {
        "model": model,
        "inputs": _inputs(known, "go_proteins.parquet", "go_annotations.parquet", "go_terms.tsv"),
        "parameters": dict(options)
        | {"column": column, "seed": seed, "bits": layers.KEPT_BITS, "dtype": _dtype(model)},
        "profile": profile,
        "ship": _ships(model, known),
        "recompute": recompute,
    }
    learnt, _ = derive(
        "layer-regressions",
        pd.DataFrame(
            [(name, vector, term) for name, vectors in names.items() for vector in vectors for term in terms],
            columns=["feature", "vector", "term"],
        ),
        learn,
        version=VERSIONS["layer-regressions"],
        values=["threshold", "offset", *(f"w{number:04d}" for number in range(model.card.dim))],
        tolerance=ANSWER_TOLERANCE,
        check=check,
        **common,
    )

    def answer(wanted: pd.DataFrame) -> pd.DataFrame:
        ids = wanted["id"].drop_duplicates().tolist()
        if "all" in read:
            places = asked.proteins.set_index("id").index.get_indexer(ids)
            pooled = {pool: values[:, places] for pool, values in read["all"].items()}
        else:
            pooled = layers.pooled_layers(model, sequences[ids].tolist())
        found = layers.answers(learnt[learnt["feature"].isin(wanted["feature"])], pooled, ids)
        return wanted.merge(found, on=["feature", "id"], how="left", validate="one_to_one")

    tested = asked.proteins["id"][asked.tested]
    table, _ = derive(
        "layer-answers",
        pd.DataFrame([(name, each) for name in names for each in tested], columns=["feature", "id"]),
        answer,
        version=VERSIONS["layer-answers"],
        values=terms,
        tolerance=ANSWER_STEPS,
        sample=LAYER_ROWS,
        **common,
    )
    thresholds = learnt.drop_duplicates(["feature", "term"]).pivot(index="feature", columns="term", values="threshold")
    thresholds = thresholds.loc[list(names), terms].reset_index().assign(id=trainings.THRESHOLD)
    result = pd.concat([thresholds, table], ignore_index=True)[["feature", "id", *terms]]
    result = result.astype(dict.fromkeys(terms, "int32"))
    save(result, f"layer_answers.{model.name}", profile)
    return result


def protein_map(
    model,
    *,
    seed: int = SEED,
    known: proteomes.Known | None = None,
    embeddings: np.ndarray | None = None,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Places of the human and mouse proteins on a UMAP of their embeddings.

    A map is made at once or not at all, so that no row of a shipped one is computed afresh. What is checked is that
    it is a map of these embeddings: it keeps neighbours.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    seed : int
        Of UMAP.
    known : Known, optional
        As in `go_embeddings`.
    embeddings : float32 array (n, d), optional
        Those of `go_embeddings`, where they are at hand.

    Returns
    -------
    DataFrame
        id (str), x, y (float64, no unit, to the nearest 0.001); saved as `protein_map.<model>`.
    """
    if embeddings is None:
        embeddings = go_embeddings(model, known=known, profile=profile, progress=progress).drop(columns="id").to_numpy()
    space = proteome_map.embedding_space(embeddings)

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        x, y = np.round(proteome_map.umap(space, seed=seed), 3).T
        return rows.assign(x=x, y=y)

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        kept = proteome_map.kept(space, shipped[["x", "y"]].to_numpy(), k=MAP_NEIGHBOURS)
        if not kept >= MAP_KEPT:
            raise DerivedMismatch(
                f"protein-map, {model.name}: of the {MAP_NEIGHBOURS} nearest proteins the map keeps {kept:.1%}, "
                f"expected at least {MAP_KEPT:.0%}: it is none of these embeddings. "
                "Restore the file, or run `make results`"
            )
        return 0, 0.0

    table, _ = derive(
        "protein-map",
        (tables.load("go_proteins") if known is None else known.proteins)[["id"]],
        compute,
        model=model,
        inputs=_inputs(known, "go_proteins.parquet"),
        parameters={"seed": seed, "space": "centred", "dtype": _dtype(model)},
        version=VERSIONS["protein-map"],
        values=("x", "y"),
        check=check,
        profile=profile,
        ship=_ships(model, known),
        recompute=recompute,
    )
    save(table, f"protein_map.{model.name}", profile)
    return table


def landscape_scores(
    model,
    *,
    n_backgrounds: int = BACKGROUNDS,
    enough: int = ENOUGH,
    profile: str = "embedded",
    recompute: bool | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Second mutations of the measured landscapes on the backgrounds of first ones.

    Parameters
    ----------
    model
        From `plmbook.models.load`.
    n_backgrounds, enough : int
        As in `landscapes.backgrounds`.

    Returns
    -------
    DataFrame
        landscape (str: every one of its protein has the rows), and the columns of `landscapes.pair_scores`, in which
        the score on the background is to the nearest 0.001 nats; saved as `landscape_scores.<model>`.
    """
    measured, proteins = tables.load("landscapes"), tables.load("landscape_proteins")
    chosen = landscapes.backgrounds(measured, proteins, n=n_backgrounds, enough=enough)
    names = list(dict.fromkeys(chosen["landscape"]))
    sequence_of = proteins.set_index("landscape")["sequence"]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name, part in rows.groupby("landscape", sort=False):
            found = landscapes.pair_scores(model, sequence_of[name], part, progress=progress and len(rows) > SAMPLE)
            parts.append(part.assign(score=np.rint(STEPS * found["score_background"]).astype(np.int32)))
        return pd.concat(parts).loc[rows.index]

    table, _ = derive(
        "landscape-scores",
        chosen,
        compute,
        model=model,
        inputs=[paths.data() / file for file in ("landscapes.parquet", "landscape_proteins.tsv")],
        parameters={"n_backgrounds": n_backgrounds, "enough": enough, "steps": STEPS, "dtype": _dtype(model)},
        version=VERSIONS["landscape-scores"],
        tolerance=1 + STEPS * _tolerance(model),
        profile=profile,
        ship=_ships(model),
        recompute=recompute,
    )
    parts = []
    for name in names:
        part = table[table["landscape"] == name]
        scored = landscapes.pair_scores(
            model, sequence_of[name], part[["mutation", "second"]], known=part["score"].to_numpy() / STEPS
        )
        same = proteins.loc[proteins["sequence"] == sequence_of[name], "landscape"]
        parts += [scored.assign(landscape=each) for each in same]
    result = pd.concat(parts, ignore_index=True)
    save(result, f"landscape_scores.{model.name}", profile)
    return result


STUDIES: dict[str, Callable[..., pd.DataFrame]] = {
    "variant effects": variant_effects,
    "held-out likelihood": heldout_likelihood,
    "contacts": contact_precision,
    "secondary structure": secondary_structure,
    "localisation": localisation,
    "rescues": rescores,
    "GO embeddings": go_embeddings,
    "downstream tasks": downstream,
    "GO answers": go_answers,
    "GO answers again": go_answers_again,
    "GO regressions": go_regressions,
    "residues masked": residue_drops,
    "layers": layer_answers,
    "map of proteins": protein_map,
    "landscapes": landscape_scores,
}
# Those of the proteins that a profile reads: the bundled sample, or whole proteomes.
OF_PROTEOMES = (
    "GO embeddings",
    "GO answers",
    "GO answers again",
    "GO regressions",
    "residues masked",
    "layers",
    "map of proteins",
)


def profile_models(profile: str) -> list[str]:
    """The models of a profile: `model_names` among its shared parameters, else the bundled one.

    Raises
    ------
    InputError
        Where there is no such profile.

    Examples
    --------
    >>> profile_models("paper")
    ['esm2_t33_650M_UR50D', 'esm1v']
    """
    from plmbook.book import runner

    return list(runner.load_profile(profile)["shared"].get("model_names", ["embedded"]))


def profile_options(profile: str) -> dict[str, dict]:
    """What a profile asks of studies besides the model: options by the title of the study, as its notebooks pass them.

    Whole proteomes are fetched and compiled where the profile reads them and they are not in the cache.

    Parameters
    ----------
    profile : str

    Returns
    -------
    dict of str to dict
        Keys are some of `STUDIES`; the options are `options` (of `layer_answers`) and `known` (of `OF_PROTEOMES`).

    Raises
    ------
    InputError
        Where there is no such profile, or as `plmbook.function.proteomes.load`.

    Examples
    --------
    >>> profile_options("embedded")["layers"]["options"]["n_residues"]
    230000
    """
    from plmbook.book import runner

    chosen = runner.load_profile(profile)
    asked = chosen["notebooks"].get("14_layers", {})
    found: dict[str, dict] = {"layers": {"options": LAYERS | {k: v for k, v in asked.items() if k in LAYERS}}}
    if chosen["shared"].get("whole_proteomes"):
        known = proteomes.load(GO_COLUMN, whole=True)
        for title in OF_PROTEOMES:
            found.setdefault(title, {})["known"] = known
    return found


def recompute(
    profile: str = "embedded",
    model_names: Sequence[str] | None = None,
    *,
    device: str = "auto",
    progress: bool = False,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Compute every result table of a profile from its inputs, derived tables included: what `make results` runs.

    Parameters
    ----------
    profile : str
        Names the folder under `results/`, and says which proteins are read for GO terms.
    model_names : sequence of str, optional
        Models or ensembles; default: those of the profile. The tables of a bundled model are also written to
        `data/derived`, and how it fares in every test into its card.
    device : str
        As in `plmbook.models.load`.
    progress : bool
        Show bars.
    say : callable
        Takes each line of the report.

    Returns
    -------
    DataFrame
        As `records`.
    """
    from plmbook import models
    from plmbook.book import evaluation

    start = time.perf_counter()
    names, options = models.expand(model_names or profile_models(profile)), profile_options(profile)
    for name in names:
        model, found = models.load(name, device=device), {}
        for title, study in STUDIES.items():
            begun = time.perf_counter()
            say(f"{title}, {model.name} ...")
            found[title] = study(model, profile=profile, recompute=True, progress=progress, **options.get(title, {}))
            say(f"{title}, {model.name}: {len(found[title]):,} rows in {time.perf_counter() - begun:.0f} s")
        if _ships(model):
            evaluation.write_card(name, evaluation.from_studies(found, model.name))
    made = records(profile)
    for row in made.itertuples():
        say(f"  {row.table}, {row.model}: {row.status}, {row.rows:,} rows, {row.seconds:.0f} s")
    say(f"all result tables of {profile} in {time.perf_counter() - start:.0f} s")
    return made


def matching_variants() -> pd.DataFrame:
    """The bundled variants whose residue and place are those of the bundled sequence, with a fresh index.

    Left out are the mismatches, and the few variants of another isoform whose letter happens to be the one at the same
    number of our sequence: `matches` is true for them, but `aligned_position` says that they lie elsewhere.
    """
    variants = tables.load("variants")
    there = variants["matches"] & (variants["aligned_position"] == variants["position"])
    return variants[there].reset_index(drop=True)


def _ships(model, known: proteomes.Known | None = None) -> bool:
    """Only the bundled model's tables of bundled proteins are shipped; other profiles compute everything."""
    return bool(getattr(model.card, "bundled", False)) and not (known is not None and known.whole)


def _inputs(known: proteomes.Known | None, *files: str) -> list[Path]:
    """Files of the folder of data; where whole proteomes are read, these instead of the tables of the sample."""
    if known is None or not known.whole:
        return [paths.data() / file for file in files]
    return [*known.files, *(paths.data() / file for file in files if file not in proteomes.SAMPLE)]


def _dtype(model) -> str:
    return str(getattr(model, "dtype", "float32"))


def _tolerance(model) -> float:
    """bfloat16 keeps three digits of a logit, and what they are depends on the batch."""
    return 0.1 if _dtype(model) == "bfloat16" else TOLERANCE


def _ingredients(name, rows, *, model, inputs, parameters, version) -> dict:
    """What the key is made of; kept in the manifest, so that a difference can be named."""
    return {
        "table": name,
        "model": model.name,
        "weights": model.weights_hash,
        "inputs": {Path(path).name: _sha256(Path(path).read_bytes()) for path in inputs},
        "parameters": dict(parameters),
        "rows": content_hash(rows),
        "version": version,
    }


def _why_compute(place: Path, ingredients: dict, key: str, *, ship: bool, recompute: bool) -> str:
    """Why a table has to be computed; empty where the shipped one is to be used."""
    if not ship:
        return "not shipped for this model"
    if recompute:
        return "asked for"
    manifest = _read_manifest(place)
    if manifest is None:
        return "no shipped table"
    if manifest.get("key") == key:
        return ""
    before = manifest.get("ingredients", {})
    changed = [part for part, value in ingredients.items() if before.get(part) != value]
    return f"the shipped table is of another {' and '.join(changed) or 'key'}"


def _read_manifest(place: Path) -> dict | None:
    path = place.with_suffix(".json")
    if not path.exists() or not place.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DerivedMismatch(f"{path} is not JSON ({error}); restore it, or run `make results`") from None
    if not isinstance(manifest, dict):
        raise DerivedMismatch(f"{path} is not a manifest; restore it, or run `make results`")
    return manifest


def _computed(rows: pd.DataFrame, compute: Callable, values: Sequence[str]) -> pd.DataFrame:
    """`rows` with the values; whatever else `compute` returns is left out."""
    if not len(rows):
        added = pd.DataFrame(columns=list(values), index=rows.index, dtype=np.float64)
    else:
        found = compute(rows)
        if len(found) != len(rows) or any(list(found[c]) != list(rows[c]) for c in rows.columns):
            raise RuntimeError("compute must return the rows that it was given, in their order")
        added = pd.DataFrame({value: found[value].to_numpy() for value in values}, index=rows.index)
    return pd.concat([rows, added], axis=1)  # at once: there may be hundreds of columns


def _shipped(place: Path, rows: pd.DataFrame, values: Sequence[str]) -> pd.DataFrame:
    """The table of `data/derived`, known to be what its manifest says."""
    manifest = _read_manifest(place)
    try:
        table = pd.read_parquet(place)
    except (OSError, ValueError) as error:
        raise DerivedMismatch(f"{place} cannot be read ({error}); restore it, or run `make results`") from None
    found = content_hash(table)
    if found != manifest.get("content"):
        raise DerivedMismatch(
            f"{place}: expected a table with the sha256 {manifest.get('content')} of its manifest, found {found}; "
            "was a number changed by hand? Restore the file, or run `make results`"
        )
    columns = [*rows.columns, *values]
    if list(table.columns) != columns or content_hash(table[list(rows.columns)]) != content_hash(rows):
        raise DerivedMismatch(f"{place}: its rows or columns are not those asked for; restore it or run `make results`")
    return table


def _check_sample(
    place: Path,
    table: pd.DataFrame,
    rows: pd.DataFrame,
    compute: Callable,
    values: Sequence[str],
    *,
    sample: int,
    tolerance: float,
) -> tuple[int, float]:
    """Compute a sample afresh: its size and the largest difference, or DerivedMismatch.

    The draw is seeded by the content: the same table is always checked at the same rows, but nobody can keep clear of
    them when changing it.
    """
    if not len(table) or sample < 1:
        return 0, 0.0
    rng = np.random.default_rng(int(content_hash(table)[:16], 16))
    chosen = np.sort(rng.choice(len(table), size=min(sample, len(table)), replace=False))
    fresh = _computed(rows.iloc[chosen].reset_index(drop=True), compute, values)
    largest = 0.0
    for value in values:
        shipped = table[value].to_numpy(dtype=np.float64)[chosen]
        again = fresh[value].to_numpy(dtype=np.float64)
        difference = np.where(np.isnan(shipped) & np.isnan(again), 0.0, np.abs(shipped - again))
        wrong = np.flatnonzero(~(difference <= tolerance))  # a NaN on one side is wrong, too
        if len(wrong):
            row = int(chosen[wrong[0]])
            what = " ".join(str(x) for x in rows.iloc[row])
            raise DerivedMismatch(
                f"{place}: row {row + 1} ({what}): {value} is shipped as {shipped[wrong[0]]:.6g} and computes to "
                f"{again[wrong[0]]:.6g}, over {tolerance:g} apart ({len(wrong)} of {len(chosen)} sampled rows). "
                "Restore the file, or run `make results`"
            )
        largest = max(largest, float(difference.max()))
    return len(chosen), largest


def _write_derived(place: Path, table: pd.DataFrame, key: str, ingredients: dict, *, seconds: float) -> None:
    manifest = {
        "key": key,
        "content": content_hash(table),
        "rows": len(table),
        "seconds": round(seconds, 1),
        "ingredients": ingredients,
        "versions": _versions(),
    }
    numbers = table.select_dtypes("number").columns
    _write_parquet(
        place,
        table,
        use_dictionary=[name for name in table if name not in numbers],
        column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),  # the high bytes, which hardly differ, go together
    )
    _write_text(place.with_suffix(".json"), json.dumps(manifest, indent=1) + "\n")


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"plmbook": __version__, "python": platform.python_version()}
    numbers = ("numpy", "scipy", "pandas", "pyarrow", "torch", "fair-esm", "scikit-learn", "lightgbm", "umap-learn")
    for package in numbers:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _write_parquet(path: Path, table: pd.DataFrame, **encoding) -> None:
    def write(temporary: Path) -> None:
        table.to_parquet(temporary, index=False, compression="zstd", **encoding)

    write_atomically(path, write)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then move it into place; nothing is left on failure.

    Parameters
    ----------
    path : path
        The file to be; its folder is made.
    write : callable
        Takes the temporary path, which has the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would hide the file from others
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sha256(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
