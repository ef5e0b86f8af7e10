"""What `plmbook go` reads and writes: embeddings and annotations in, a folder with the study out.

    DIR/manifest.json                  options, inputs with their sha256, and the sha256 of every file
    DIR/exclusions.tsv                 every annotation, protein and term that was left out, with the reason; terms that
                                       were learnt and could not be measured, too
    DIR/SPLIT/metrics.tsv, .parquet    a row per term and learner: the one asked for, and the baselines
    DIR/SPLIT/baselines.tsv            a row per term: the best baseline, and whether it is beaten
    DIR/SPLIT/cafa.tsv                 Fmax and Smin by learner and aspect
    DIR/SPLIT/calibration.tsv          predicted against observed shares
    DIR/SPLIT/predictions.parquet      a row per protein: its part, and the probability of each term
    DIR/SPLIT/thresholds.tsv           the probability from which on a protein is said to have a term
    DIR/SPLIT/classifier/              what `--predict` reads

SPLIT is `random` or `homology`. Nothing depends on the time or the place: the same job gives the same bytes.
"""

import os
import re
import secrets
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmbook import __version__
from plmbook.core.artifacts import file_sha256, sha256, write_json
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.machine import cores
from plmbook.core.text import open_text
from plmbook.engine import store
from plmbook.function import classifier as function
from plmbook.function import measures, ontology, splits
from plmbook.function.classifier import BASELINES, LEARNERS, Classifier
from plmbook.sources import embeddings as streamed
from plmbook.sources import foreign, uniprot
from plmbook.tables.readers import read_delimited

FORMAT = "plmbook go 1"
SPLITS = ("random", "homology")
RESAMPLES = 1000
KMERS = f"k-mers: {splits.SHARED:.0%} of the words of {splits.K} residues shared"
MMSEQS = f"MMseqs2: {splits.IDENTITY:.0%} identity, {splits.COVERAGE:.0%} of both covered, E below {splits.E_VALUE:g}"
MADE_BY = ("model", "weights", "layer", "pool", "long")  # facts that a classifier and what it reads must share

_GO_CELL = re.compile(rf"(?:.*\[)?({uniprot.GO_ID.pattern})\]?")  # GO:0005829, or UniProt's `cytosol [GO:0005829]`


@dataclass(frozen=True)
class Embeddings:
    """Embeddings and what is known of their making."""

    table: pd.DataFrame  # id (str, distinct), perhaps length and others
    vectors: np.ndarray  # float32 array (n, d)
    facts: dict  # `MADE_BY` and dimension of the manifest of a store; of a table of others only the dimension


def read_embeddings(path: str | Path) -> Embeddings:
    """Read the folder of `plmbook embed`, of `sources.embeddings.fill`, or a table that `plmbook.sources.foreign`
    reads.

    Of the second one the vectors stay on disk (a memory map) until proteins are chosen.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected embeddings, such as `plmbook embed` writes")
    if (path / "manifest.json").is_file():
        facts = store.manifest(path)
        if facts["pool"] == "residue":
            raise InputError(f"{path}: holds an embedding per residue; embed with --pool mean, max or bos")
        table = store.read(path)
        known = {name: facts[name] for name in (*MADE_BY, "dimension")}
    elif (path / streamed.VECTORS).is_file():
        table, vectors = streamed.read(path)
        return Embeddings(table.astype({"id": "str"}), vectors, {"dimension": vectors.shape[1]})
    else:
        table = foreign.read_hub(path)
        known = {"dimension": len(table["embedding"].iloc[0])}
    vectors = np.stack(table["embedding"]).astype(np.float32)
    return Embeddings(table.drop(columns="embedding").astype({"id": "str"}), vectors, known)


class Annotations(NamedTuple):
    """What `read_annotations` gives."""

    # id, go_id (str), each pair once, in the order of the file; a protein with an empty cell has no row
    pairs: pd.DataFrame
    left_out: list[tuple]  # Rows of `exclusion_table`: of a GAF file those that say NOT, or are of another data base
    evidence: dict[str, int]  # Annotations of each code of evidence, of a GAF file; else empty


def read_annotations(path: str | Path) -> Annotations:
    """Read which protein has which GO term."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a table of annotations with the columns id and go_id")
    if _is_gaf(path):
        return _of_gaf(path)
    table, lines = read_delimited(path)
    name, term = foreign.id_column(table, path), _go_column(table, path)
    cells = table[term].str.split(";").explode().str.strip()
    cells = cells[cells != ""]
    found = cells.str.extract(f"^{_GO_CELL.pattern}$")[0]
    if (wrong := found.isna()).any():
        what = repr(cells[wrong].iloc[0][:40])
        raise InputError(f"{path}: line {lines[cells.index[wrong][0]]}: {what}: expected a GO id such as GO:0005634")
    pairs = pd.DataFrame({"id": table.loc[cells.index, name].str.strip().to_numpy(), "go_id": found.to_numpy()})
    if (nameless := pairs["id"] == "").any():
        raise InputError(f"{path}: line {lines[cells.index[nameless][0]]}: the column {name} is empty")
    return Annotations(pairs.drop_duplicates(ignore_index=True), [], {})


def _of_gaf(path: Path) -> Annotations:
    from plmbook.sources import goa

    found = goa.read_gaf(path)
    rows = [("annotation", "", "", row.reason, row.n_annotations) for row in found.exclusions.itertuples()]
    if not len(found.annotations):
        reasons = ", ".join(f"{row[3]} ({row[4]:,})" for row in rows) or "the file has none"
        raise InputError(f"{path}: no annotation of a protein of UniProtKB; left out: {reasons}")
    evidence = {str(code): int(count) for code, count in found.annotations["evidence"].value_counts().items()}
    return Annotations(found.annotations[["id", "go_id"]].drop_duplicates(ignore_index=True), rows, evidence)


def _go_column(table: pd.DataFrame, path: Path) -> str:
    """The column with GO ids; of UniProt's two the one that holds nothing else."""
    spellings = uniprot.TSV["go_ids"]
    found = {uniprot.folded(name): name for name in table if uniprot.folded(name) in spellings}
    if len(found) > 1 and spellings[0] not in found:
        raise InputError(f"{path}: expected one column with GO ids, such as go_id; found {', '.join(found.values())}")
    if not found:
        among = ", ".join(table.columns[:8])
        raise InputError(f"{path}: expected one column with GO ids, such as go_id; found none among {among}")
    return found.get(spellings[0], next(iter(found.values())))


def read_terms(path: str | Path) -> list[str]:
    """GO ids of a text file, the first word of each line; a header and lines with `#` are passed over."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"--terms {path}: expected a number, or a file with a GO id a line")
    found = []
    with open_text(path) as handle:
        lines = list(handle)
    for number, line in enumerate(lines, start=1):
        word = line.split()[0] if line.split() else ""
        if not word or word.startswith("#") or (number == 1 and not word.startswith("GO:")):
            continue
        if not uniprot.GO_ID.fullmatch(word) or word in found:
            why = "repeats" if word in found else "is no GO id"
            raise InputError(f"{path}: line {number}: {word[:40]!r} {why}; expected a GO id such as GO:0005634 a line")
        found.append(word)
    if not found:
        raise InputError(f"{path}: holds no GO id; expected one a line")
    return found


def run(
    embeddings: str | Path,
    annotations: str | Path,
    folder: str | Path,
    *,
    terms: int | str | Path = 20,
    split: str = "both",
    learner: str = "lightgbm",
    fast: bool = False,
    seed: int = 0,
    clusters: str | Path | None = None,
    sequences: str | Path | None = None,
    obo: str | Path | None = None,
    n: int = RESAMPLES,
) -> list[str]:
    """`plmbook go`: read, split, train, measure, write.

    Parameters
    ----------
    embeddings, annotations : path
        As `read_embeddings` and `read_annotations`.
    folder : path
        New or empty.
    terms : int or path
        How many of the commonest terms (the roots of the ontology aside), or a file that `read_terms` reads.
    split : {"random", "homology", "both"}
    learner, fast, seed
        As in `plmbook.function.classifier.fit`.
    clusters : path, optional
        Tab-separated, id and cluster, for the split by homology and the intervals.
    sequences : path, optional
        FASTA: for the baselines "composition" and "length", and for clusters where no file gives them: by MMseqs2 where
        it is on the PATH, else by shared k-mers (`plmbook.function.splits`).
    obo : path, optional
        The ontology: annotations are propagated to the ancestors, obsolete and unknown terms left out, Fmax and Smin
        given by aspect.
    n : int
        Resamples of the intervals.

    Returns
    -------
    list of str
        What was done, a line a split, one on what was left out, and warnings.

    Raises
    ------
    InputError
        Before anything is trained or written, if an input is at fault.
    """
    folder = Path(folder)
    check_new(folder)
    _check_options(learner, fast, split, clusters, sequences)
    given, (pairs, rows, evidence) = read_embeddings(embeddings), read_annotations(annotations)
    graph, known, checks = None, {}, {"ontology": None}
    if obo is not None:
        graph, pairs, known, lost, n_alternative = _propagated(pairs, obo)
        checks = {"ontology": graph.release, "relations": ontology.RELATIONS, "alternative_ids_mapped": n_alternative}
        rows = rows + lost
    used, unused = _proteins_of_both(given, pairs, embeddings, annotations)
    ids = used.table["id"].tolist()
    chosen, lost = _chosen_terms(terms, pairs, ids, graph)
    rows = rows + unused + lost
    labels = function.label_table(pairs, ids, chosen)
    by_id = None if sequences is None else _sequences_of(ids, sequences)
    groups, method = _clusters_of(ids, clusters, by_id)
    parts = {name: _split(name, labels, groups, seed) for name in (SPLITS if split == "both" else (split,))}
    known.setdefault("annotated", {"all": set(ids)})
    found, lines, leaks = {}, [], {}
    for name, each in parts.items():
        options = {"learner": learner, "seed": seed, "clusters": groups, "sequences": by_id, "n": n}
        found[name] = study(used, labels, each, **options, **known, **({"fast": True} if fast else {}))
        made, tables = found[name]
        rows += [("term", row.term, name, row.reason, row.train_with) for row in made.excluded.itertuples()]
        rows += _unmeasured(name, learner, tables["metrics"])
        if groups is not None:
            leaks[name] = splits.leakage(each, groups.reset_index())
        lines.append(_line(name, learner, tables))
    files = {"annotations": annotations, "clusters": clusters, "sequences": sequences, "obo": obo}
    notes = _notes(checks, method, evidence, by_id)
    facts = {
        "plmbook": __version__,
        "options": {"learner": learner, "fast": fast, "split": split, "seed": seed, "resamples": n},
        "terms": chosen,
        "embeddings": used.facts | {"proteins": len(ids), "sha256": _sha256(used)},
        "inputs": {name: file_sha256(path) for name, path in files.items() if path is not None},
        "evidence": evidence,
        **checks,
        "clusters": method,
        "leakage": leaks,
        "notes": notes,
    }
    exclusions = exclusion_table(rows)
    write(folder, found, exclusions, facts)
    return [*lines, _left_out(exclusions, folder), *notes]


def study(
    embeddings: Embeddings,
    labels: pd.DataFrame,
    split: pd.Series,
    *,
    learner: str = "lightgbm",
    seed: int = 0,
    clusters: pd.Series | None = None,
    sequences: Mapping[str, str] | None = None,
    aspects: Mapping[str, str] | None = None,
    ancestors: Mapping[str, set[str]] | None = None,
    annotated: Mapping[str, Collection[str]] | None = None,
    n: int = RESAMPLES,
    **options,
) -> tuple[Classifier, dict[str, pd.DataFrame]]:
    """Train a learner and every baseline that the inputs allow on one split, and measure them on its test proteins.

    Returns tables: dict of str to DataFrame, metrics, baselines, cafa, calibration, predictions, thresholds: see the
    top of this module.
    """
    parts = function.parts_of(split, labels.index)
    test = (parts == "test").to_numpy()
    if not test.any():
        raise InputError("the split has no protein in 'test'")
    inputs = _inputs(embeddings, labels.index, sequences)
    trained = {}
    for name in dict.fromkeys((learner, *BASELINES)):
        if LEARNERS[name].reads in ("composition", "length") and not set(inputs) & {"sequences", "lengths"}:
            continue
        if LEARNERS[name].reads == "composition" and "sequences" not in inputs:
            continue
        features = function.features_for(name, **inputs)
        facts = embeddings.facts if LEARNERS[name].reads == "embedding" else {}
        extra = options if name == learner else {}
        trained[name] = (function.fit(name, features, labels, split, seed=seed, facts=facts, **extra), features)
    classifier = trained[learner][0]
    truth = labels.loc[test, list(classifier.terms)]
    groups = None if clusters is None else clusters.reindex(truth.index).to_numpy()
    every = {name: made.predict(features) for name, (made, features) in trained.items()}
    predicted = {name: (values[test], trained[name][0].thresholds) for name, values in every.items()}
    resampling = {"clusters": groups, "n": n, "seed": seed}
    known = {"aspects": aspects, "annotated": annotated}
    learnt_from = labels.loc[(parts == "train").to_numpy(), list(classifier.terms)]
    bits = measures.information(learnt_from, ancestors, **known)
    measured, overall = [], []
    for name, (values, thresholds) in predicted.items():
        found = measures.term_metrics(truth, values, thresholds, **resampling)
        measured.append(found.assign(learner=name))
        raised = measures.consistent(values, classifier.terms, ancestors)
        found = measures.cafa(truth, raised, information=bits, **known, **resampling)
        overall.append(found.assign(learner=name))
    metrics, cafa = pd.concat(measured, ignore_index=True), pd.concat(overall, ignore_index=True)
    probabilities = pd.DataFrame(every[learner], columns=list(classifier.terms))
    terms = {"term": list(classifier.terms), "threshold": classifier.thresholds}
    return classifier, {
        "metrics": metrics[["learner", *metrics.columns.drop("learner")]],
        "baselines": measures.against_baselines(truth, predicted, learner, **resampling),
        "cafa": cafa[["learner", *cafa.columns.drop("learner")]],
        "calibration": measures.calibration(truth, predicted[learner][0]),
        "predictions": pd.concat([parts.rename("part").rename_axis("id").reset_index(), probabilities], axis=1),
        "thresholds": pd.DataFrame(terms),
    }


def write(folder: str | Path, found: Mapping[str, tuple[Classifier, dict]], exclusions: pd.DataFrame, facts: dict):
    """Write the study of each split, whole or not at all."""
    check_new(Path(folder))
    folder = Path(folder).resolve()  # of a link the folder that it stands for
    building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir()
        _write_tsv(exclusions, building / "exclusions.tsv")
        for split, (classifier, tables) in found.items():
            place = building / split
            place.mkdir()
            for name, table in tables.items():
                if name in ("metrics", "predictions"):
                    table.to_parquet(place / f"{name}.parquet", index=False)
                if name != "predictions":
                    _write_tsv(table, place / f"{name}.tsv")
            classifier.save(place / "classifier")
        files = sorted(path for path in building.rglob("*") if path.is_file())
        written = {path.relative_to(building).as_posix(): file_sha256(path) for path in files}
        manifest = {"format": FORMAT} | facts | {"files": written}
        write_json(building / "manifest.json", manifest)
        os.replace(building, folder)  # over an empty folder, too
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_new(folder: Path) -> None:
    """Refuse a folder that holds files, is the current one, or whose parent is missing."""
    if folder.resolve() == Path.cwd():
        raise InputError(f"{folder}: is the current folder; name a new one in it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; name a new folder")
    if not folder.parent.is_dir():
        raise InputError(f"{folder}: the folder {folder.parent} does not exist; make it first")


def find_classifier(folder: str | Path) -> Path:
    """The folder of the classifier in what `plmbook go` wrote, in one of its splits, or the classifier itself."""
    folder = Path(folder)
    for place in (folder, folder / "classifier"):
        manifest = place / "manifest.json"
        if manifest.is_file() and f'"{function.FORMAT}"' in manifest.read_text(encoding="utf-8"):
            return place
    found = [folder / split for split in SPLITS if (folder / split / "classifier").is_dir()]
    if len(found) > 1:
        raise InputError(f"{folder}: holds a classifier of each split; name {' or '.join(map(str, found))}")
    if not found:
        raise InputError(f"--predict {folder}: no classifier here, such as `plmbook go` writes with -o")
    return found[0] / "classifier"


def check_same_making(classifier: Classifier, embeddings: Embeddings, where: str | Path) -> None:
    """Refuse embeddings of another kind than the classifier was trained on."""
    if LEARNERS[classifier.learner].reads != "embedding":
        raise InputError(f"the classifier reads the {LEARNERS[classifier.learner].reads} of proteins, not embeddings")
    of_training = {name: classifier.facts.get(name) for name in MADE_BY}
    given = {name: embeddings.facts.get(name) for name in MADE_BY}
    for name in MADE_BY:
        if of_training[name] != given[name]:
            raise InputError(
                f"{where}: {name} {_said(given[name])}, expected {_said(of_training[name])}, on which the classifier "
                "was trained; embed the proteins in the same way"
            )
    if embeddings.vectors.shape[1] != classifier.width:
        raise InputError(f"{where}: {embeddings.vectors.shape[1]} numbers a protein, expected {classifier.width}")


def predictions(classifier: Classifier, embeddings: Embeddings) -> pd.DataFrame:
    """What a classifier says of each protein.

    Returns DataFrame, a row per protein and term: id, term (str), probability (float64), predicted (bool: at or above
    the threshold).
    """
    values = classifier.predict(embeddings.vectors)
    n, k = values.shape
    return pd.DataFrame(
        {
            "id": np.repeat(embeddings.table["id"].to_numpy(), k),
            "term": np.tile(np.array(classifier.terms, dtype=object), n),
            "probability": values.ravel(),
            "predicted": (values >= classifier.thresholds).ravel(),
        }
    ).astype({"id": "str", "term": "str"})


def exclusion_table(rows: Sequence[tuple[str, str, str, str, int]] = ()) -> pd.DataFrame:
    """what ("annotation", "protein" or "term"), name, split (empty: all), reason (str), count (int64)."""
    columns = ["what", "name", "split", "reason", "count"]
    return pd.DataFrame(list(rows), columns=columns).astype(dict.fromkeys(columns[:4], "str") | {"count": "int64"})


def _check_options(learner: str, fast: bool, split: str, clusters, sequences) -> None:
    """Refuse what cannot be done before anything is read."""
    if learner not in LEARNERS:
        raise InputError(f"--learner {learner}: expected one of {', '.join(LEARNERS)}{did_you_mean(learner, LEARNERS)}")
    if fast and learner != "lightgbm":
        raise InputError(f"--fast is for --learner lightgbm; the learner is {learner}")
    if LEARNERS[learner].reads == "composition" and sequences is None:
        raise InputError(f"--learner {learner} reads the sequences; give --sequences FASTA")
    choices = (*SPLITS, "both")
    if split not in choices:
        raise InputError(f"--split {split}: expected one of {', '.join(choices)}{did_you_mean(split, choices)}")
    if split != "random" and clusters is None and sequences is None:
        raise InputError(
            f"--split {split} needs to know which proteins are relatives: give --clusters FILE or --sequences FASTA, "
            "or --split random"
        )


def _propagated(pairs: pd.DataFrame, obo: str | Path) -> tuple[ontology.Ontology, pd.DataFrame, dict, list[tuple], int]:
    """The ontology, propagated annotations, what `study` is told of the terms, exclusions, alternative ids mapped."""
    graph = ontology.read_obo(obo)
    found = ontology.propagate(pairs, graph)
    rows = [("annotation", row.go_id, "", row.reason, row.n_annotations) for row in found.exclusions.itertuples()]
    emptied = pairs.loc[~pairs["id"].isin(found.annotations["id"]), "id"].drop_duplicates()
    rows += [("protein", name, "", "none of its annotations is left", 0) for name in emptied]
    aspects = graph.terms.set_index("go_id")["namespace"]
    annotated = found.annotations["id"].groupby(found.annotations["go_id"].map(aspects)).agg(set).to_dict()
    known = {"aspects": aspects.to_dict(), "ancestors": graph.ancestors(), "annotated": annotated}
    return graph, found.annotations, known, rows, found.n_alternative


def _chosen_terms(
    terms: int | str | Path, pairs: pd.DataFrame, ids: Sequence[str], graph: ontology.Ontology | None
) -> tuple[list[str], list[tuple]]:
    """The terms to learn, and the rows of the exclusions for those that the ontology lacks."""
    if isinstance(terms, int):
        counted = pairs[~pairs["go_id"].isin(measures.ROOTS)]
        return function.common_terms(counted, terms, among=ids), []
    named = read_terms(terms)
    return (named, []) if graph is None else _of_ontology(named, graph)


def _split(name: str, labels: pd.DataFrame, groups: pd.Series | None, seed: int) -> pd.Series:
    if name == "random":
        return splits.random_split(labels.index, seed=seed)
    return splits.cluster_split(groups.reset_index(), labels=labels, seed=seed)


def _left_out(exclusions: pd.DataFrame, folder: Path) -> str:
    counts = exclusions["what"].value_counts()
    said = [f"{counts[what]:,} {what}s" for what in ("annotation", "protein", "term") if what in counts]
    return f"left out: {', '.join(said)}; see {folder / 'exclusions.tsv'}" if said else "left out: nothing"


def _proteins_of_both(
    given: Embeddings, pairs: pd.DataFrame, embeddings: str | Path, annotations: str | Path
) -> tuple[Embeddings, list[tuple]]:
    """The embedded proteins that have an annotation, and the rows of the exclusions for all others."""
    annotated = given.table["id"].isin(pairs["id"]).to_numpy()
    if not annotated.any():
        examples = [next(iter(each["id"]), "none") for each in (given.table, pairs)]
        raise InputError(
            f"{annotations}: none of its {pairs['id'].nunique()} proteins is in {embeddings}; the ids differ, such as "
            f"{examples[1]!r} and {examples[0]!r}"
        )
    without = pairs.loc[~pairs["id"].isin(given.table["id"]), "id"].value_counts(sort=False)
    rows = [("protein", name, "", "no embedding", count) for name, count in without.items()]
    rows += [("protein", name, "", "no annotation", 0) for name in given.table.loc[~annotated, "id"]]
    kept = given.table[annotated].reset_index(drop=True)
    return Embeddings(kept, given.vectors[annotated], given.facts), rows


def _of_ontology(terms: list[str], graph: ontology.Ontology) -> tuple[list[str], list[tuple]]:
    """The terms by their primary ids, and the rows of the exclusions for those that the ontology lacks."""
    primary, dead = graph.primary, set(graph.terms.loc[graph.terms["obsolete"], "go_id"])
    reasons = {term: "no such term" if term not in primary else "obsolete" for term in terms}
    lost = [term for term in terms if primary.get(term) is None or primary[term] in dead]
    kept = dict.fromkeys(primary[term] for term in terms if term not in lost)
    if not kept:
        raise InputError(f"none of the {len(terms)} terms is in the ontology, such as {terms[0]}")
    return list(kept), [("term", term, "", reasons[term], 0) for term in lost]


def _sequences_of(ids: Sequence[str], path: str | Path) -> dict[str, str]:
    from plmbook import tables

    proteins = tables.read_fasta(path)
    found = dict(zip(proteins["id"], proteins["sequence"], strict=True))
    if missing := [name for name in ids if name not in found]:
        raise InputError(f"{path}: lacks {len(missing)} of {len(ids)} embedded proteins, such as {missing[0]!r}")
    return found


def _clusters_of(
    ids: Sequence[str], path: str | Path | None, sequences: Mapping[str, str] | None
) -> tuple[pd.Series | None, str | None]:
    """The cluster of each protein and how it is known: from a file, from the sequences, or not at all."""
    if path is None and sequences is None:
        return None, None
    if path is None:
        ordered = [sequences[name] for name in ids]
        if shutil.which("mmseqs") is None:
            return splits.kmer_clusters(ids, ordered), KMERS
        return splits.mmseqs_clusters(ids, ordered, threads=cores()), MMSEQS
    path = Path(path)
    if not path.is_file():
        raise InputError(f"--clusters {path}: no such file; expected a table with the columns id and cluster")
    table, _ = read_delimited(path)
    if missing := {"id", "cluster"} - set(table):
        raise InputError(f"{path}: no column {min(missing)}; expected id and cluster, found {', '.join(table)}")
    if (repeated := table["id"].duplicated()).any():
        raise InputError(f"{path}: {table.loc[repeated, 'id'].iloc[0]!r} repeats; expected each protein once")
    found = table.set_index("id")["cluster"].reindex(pd.Index(ids, name="id"))
    if (without := found.isna() | (found == "")).any():
        first = found.index[without][0]
        raise InputError(f"{path}: {without.sum()} of {len(ids)} proteins have no cluster, such as {first!r}")
    return found, "file"


def _line(split: str, learner: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """The result of a split in a line."""
    metrics = tables["metrics"]
    own, against = metrics[metrics["learner"] == learner], tables["baselines"]
    counted = own[own["auprc"].notna()]
    return (
        f"{split} split, {own['n'].iloc[0]:,} test proteins, {learner}: mean F1 {counted['f1'].mean():.3f}, mean AUPRC "
        f"{counted['auprc'].mean():.3f} over {len(counted)} terms; above the best baseline in {against['beats'].sum()} "
        "of them"
    )


def _unmeasured(split: str, learner: str, metrics: pd.DataFrame) -> list[tuple]:
    """Rows of the exclusions for terms that were learnt and that all or none of the test proteins have."""
    own = metrics[(metrics["learner"] == learner) & metrics["auprc"].isna()]
    reasons = {True: "every test protein has it", False: "no test protein has it"}
    return [("term", row.term, split, reasons[row.n_with > 0], row.n_with) for row in own.itertuples()]


def _notes(checks: dict, method: str | None, evidence: Mapping[str, int], sequences: Mapping | None) -> list[str]:
    """What a user should know of a study."""
    found = []
    if checks["ontology"] is None:
        found.append("terms were not checked against an ontology, nor propagated (--obo FILE does both)")
    else:
        found.append(f"{checks['alternative_ids_mapped']:,} annotations had an alternative id, mapped to the main one")
    if sequences is None:
        found.append("without --sequences there is no baseline of composition")
    if method == KMERS:
        found.append(
            f"warning: no program mmseqs; clusters are from {KMERS}, which misses distant relatives: the split by "
            "homology keeps many of them on both sides; install MMseqs2, or give --clusters"
        )
    if total := sum(evidence.values()):
        share = evidence.get("IEA", 0) / total
        codes = ", ".join(f"{code} {count:,}" for code, count in evidence.items())
        warning = "warning: " if share else ""
        found.append(
            f"{warning}{share:.1%} of the annotations are electronic (IEA), inferred from sequence as a rule: they "
            f"flatter what reads sequences; by evidence: {codes}"
        )
    return found


def _sha256(embeddings: Embeddings) -> str:
    return sha256("\n".join(embeddings.table["id"]).encode() + embeddings.vectors.tobytes())


def _inputs(embeddings: Embeddings, ids: Sequence[str], sequences: Mapping[str, str] | None) -> dict:
    """What `features_for` may be given."""
    found: dict = {"embeddings": embeddings.vectors}
    if sequences is not None:
        return found | {"sequences": [sequences[name] for name in ids]}
    if "length" in embeddings.table:
        return found | {"lengths": embeddings.table["length"].tolist()}
    return found


def _is_gaf(path: Path) -> bool:
    with open_text(path) as handle:
        return handle.read(12).startswith("!gaf-version")


def _said(value) -> str:
    return "not known" if value is None else repr(value)


def _write_tsv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep="\t", index=False, lineterminator="\n", float_format="%.6g")
