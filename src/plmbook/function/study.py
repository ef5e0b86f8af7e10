"""What `plmbook go` does: embeddings and annotations in, a folder with the study out.

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
import secrets
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plmbook import __version__
from plmbook.core.artifacts import file_sha256, sha256, write_json
from plmbook.core.errors import InputError, did_you_mean
from plmbook.function import classifier, inputs, measures, ontology, splits
from plmbook.function.classifier import BASELINES, LEARNERS, Classifier
from plmbook.function.inputs import MADE_BY, Embeddings

_FORMAT = "plmbook go 1"
SPLITS = ("random", "homology")
_KMERS = f"k-mers: {splits.SHARED:.0%} of the words of {splits.K} residues shared"
_MMSEQS = f"MMseqs2: {splits.IDENTITY:.0%} identity, {splits.COVERAGE:.0%} of both covered, E below {splits.E_VALUE:g}"

_Tables = dict[str, pd.DataFrame]  # of a split: metrics, baselines, cafa, calibration, predictions, thresholds
_Rows = list[tuple[str, str, str, str, int]]  # of what was left out: see `_exclusions`


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
    n: int = 1000,
) -> list[str]:
    """`plmbook go`: read, split, train, measure, write.

    Parameters
    ----------
    embeddings, annotations : path
        As `plmbook.function.inputs.read_embeddings` and `read_annotations` read them.
    folder : path
        New or empty.
    terms : int or path
        How many of the commonest terms (the roots of the ontology aside), or a text file with a GO id a line.
    split : {"random", "homology", "both"}
    learner, fast, seed
        As in `plmbook.function.classifier.fit`.
    clusters : path, optional
        Tab-separated, id and cluster, for the split by homology and the intervals.
    sequences : path, optional
        FASTA: for the baselines "composition" and "length", and, without `clusters`, for clusters by MMseqs2, or by
        shared k-mers where it is not on the PATH.
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
    _refuse_unless_new(folder)
    _check_options(learner, fast, split, clusters, sequences)
    given, annotated = inputs.read_embeddings(embeddings), inputs.read_annotations(annotations)
    rows: _Rows = [("annotation", "", "", *each) for each in annotated.left_out]
    pairs, graph = annotated.pairs, None
    known: dict[str, Any] = {}
    checks: dict[str, Any] = {"ontology": None}
    if obo is not None:
        graph, pairs, known, checks, lost = _propagated(pairs, obo)
        rows += lost
    used, unused = _proteins_of_both(given, pairs, embeddings, annotations)
    ids = used.table["id"].tolist()
    chosen, lost = _chosen_terms(terms, pairs, ids, graph)
    rows += unused + lost
    labels = classifier.label_table(pairs, ids, chosen)
    by_id = None if sequences is None else inputs.read_sequences(sequences, ids)
    groups, method = _clusters_of(ids, clusters, by_id)
    parts = {name: _split(name, labels, groups, seed) for name in (SPLITS if split == "both" else (split,))}
    options: dict[str, Any] = {"learner": learner, "seed": seed, "clusters": groups, "sequences": by_id, "n": n}
    options |= {"annotated": {"all": set(ids)}} | known | ({"fast": True} if fast else {})
    found = {name: _study(used, labels, each, **options) for name, each in parts.items()}
    rows += [row for name, (made, tables) in found.items() for row in _unlearnt(name, made, tables["metrics"])]
    files = {"annotations": annotations, "clusters": clusters, "sequences": sequences, "obo": obo}
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "plmbook": __version__,
        "options": {"learner": learner, "fast": fast, "split": split, "seed": seed, "resamples": n},
        "terms": chosen,
        "embeddings": used.facts
        | {"proteins": len(ids), "sha256": sha256("\n".join(ids).encode() + used.vectors.tobytes())},
        "inputs": {name: file_sha256(path) for name, path in files.items() if path is not None},
        "evidence": annotated.evidence,
        **checks,
        "clusters": method,
        "leakage": {} if groups is None else {k: splits.leakage(v, groups.reset_index()) for k, v in parts.items()},
        "notes": _notes(checks, method, annotated.evidence, by_id),
    }
    exclusions = _exclusions(rows)
    _write(folder, found, exclusions, facts)
    lines = [_line(name, learner, tables) for name, (_, tables) in found.items()]
    return [*lines, _left_out(exclusions, folder), *facts["notes"]]


def _study(
    embeddings: Embeddings,
    labels: pd.DataFrame,
    split: pd.Series,
    *,
    learner: str,
    seed: int,
    clusters: pd.Series | None,
    sequences: Mapping[str, str] | None,
    n: int,
    aspects: Mapping[str, str] | None = None,
    ancestors: Mapping[str, set[str]] | None = None,
    annotated: Mapping[str, Collection[str]],
    **options,
) -> tuple[Classifier, _Tables]:
    """Train a learner (with `options`) and every baseline that the inputs allow on one split; measure on its test
    proteins. `clusters`, by protein id, are resampled together. With `ancestors` a term is as probable as its
    descendants at least, and its information, counted on training proteins, is what it adds to its ancestors."""
    test = (split == "test").to_numpy()
    trained, every = {}, {}
    for name, features in _features(learner, embeddings, labels.index, sequences).items():
        facts = embeddings.facts if LEARNERS[name].reads == "embedding" else {}
        extra = options if name == learner else {}
        trained[name] = classifier.fit(name, features, labels, split, seed=seed, facts=facts, **extra)
        every[name] = trained[name].predict(features)
    own = trained[learner]
    names = list(own.terms)
    truth = labels.loc[test, names]
    groups = None if clusters is None else clusters.reindex(truth.index).to_numpy()
    predicted = {name: (values[test], trained[name].thresholds) for name, values in every.items()}
    resampling: dict[str, Any] = {"clusters": groups, "n": n, "seed": seed}
    known: dict[str, Any] = {"aspects": aspects, "annotated": annotated}
    known["information"] = measures.information(labels.loc[split == "train", names], ancestors, **known)
    metrics = {name: measures.term_metrics(truth, *given, **resampling) for name, given in predicted.items()}
    raised = {name: measures.consistent(values, own.terms, ancestors) for name, (values, _) in predicted.items()}
    cafa = {name: measures.cafa(truth, values, **known, **resampling) for name, values in raised.items()}
    return own, {
        "metrics": _by_learner(metrics),
        "baselines": measures.against_baselines(truth, predicted, learner, **resampling),
        "cafa": _by_learner(cafa),
        "calibration": measures.calibration(truth, predicted[learner][0]),
        "predictions": split.rename("part").reset_index().join(pd.DataFrame(every[learner], columns=names)),
        "thresholds": pd.DataFrame({"term": names, "threshold": own.thresholds}),
    }


def _features(learner: str, embeddings: Embeddings, ids: Sequence[str], sequences) -> dict[str, np.ndarray]:
    """What the learner and the baselines read, of those whose inputs are there."""
    given: dict[str, Any] = {"embeddings": embeddings.vectors}
    if sequences is not None:
        given["sequences"] = [sequences[name] for name in ids]
    elif "length" in embeddings.table:
        given["lengths"] = embeddings.table["length"].tolist()
    needed = {"composition": {"sequences"}, "length": {"sequences", "lengths"}}
    names = [name for name in BASELINES if needed.get(LEARNERS[name].reads, given.keys()) & given.keys()]
    return {name: classifier.features_for(name, **given) for name in dict.fromkeys((learner, *names))}


def _by_learner(found: _Tables) -> pd.DataFrame:
    return pd.concat(found, names=["learner"]).reset_index("learner").reset_index(drop=True)


def predict(folder: str | Path, embeddings: str | Path) -> tuple[pd.DataFrame, Classifier]:
    """`plmbook go --predict`: what the classifier of an earlier run says of proteins, embedded as it was trained.
    A row per protein and term: id, term (str), probability (float64), predicted (bool: at or above the threshold)."""
    made = classifier.load(_find_classifier(Path(folder)))
    given = inputs.read_embeddings(embeddings)
    _check_same_making(made, given, embeddings)
    values = made.predict(given.vectors)
    table = pd.DataFrame(values, index=given.table["id"], columns=pd.Index(made.terms, name="term"))
    table = table.stack().rename("probability").reset_index()
    return table.assign(predicted=(values >= made.thresholds).ravel()), made


def _find_classifier(folder: Path) -> Path:
    """The folder of the classifier in what `plmbook go` wrote, in one of its splits, or the classifier itself."""
    for place in (folder, folder / "classifier"):
        manifest = place / "manifest.json"
        if manifest.is_file() and f'"{classifier.FORMAT}"' in manifest.read_text(encoding="utf-8"):
            return place
    found = [folder / split for split in SPLITS if (folder / split / "classifier").is_dir()]
    if len(found) > 1:
        raise InputError(f"{folder}: holds a classifier of each split; name {' or '.join(map(str, found))}")
    if not found:
        raise InputError(f"--predict {folder}: no classifier here, such as `plmbook go` writes with -o")
    return found[0] / "classifier"


def _check_same_making(made: Classifier, embeddings: Embeddings, where: str | Path) -> None:
    """Refuse embeddings of another kind than the classifier was trained on, or if only one side says what made it."""
    if (reads := LEARNERS[made.learner].reads) != "embedding":
        raise InputError(f"the classifier reads the {reads} of proteins, not embeddings")
    for name in MADE_BY:
        given, wanted = embeddings.facts.get(name), made.facts.get(name)
        if given != wanted:
            given, wanted = ("not known" if each is None else repr(each) for each in (given, wanted))
            raise InputError(
                f"{where}: {name} {given}, expected {wanted}, on which the classifier was trained; embed the proteins "
                "in the same way"
            )
    if embeddings.vectors.shape[1] != made.width:
        raise InputError(f"{where}: {embeddings.vectors.shape[1]} numbers a protein, expected {made.width}")


# --- from what was read to what is learnt ----------------------------------------------------------------


def _check_options(learner: str, fast: bool, split: str, clusters, sequences) -> None:
    """Refuse what cannot be done before anything is read."""
    for option, value, choices in (("--learner", learner, tuple(LEARNERS)), ("--split", split, (*SPLITS, "both"))):
        if value not in choices:
            raise InputError(f"{option} {value}: expected one of {', '.join(choices)}{did_you_mean(value, choices)}")
    if fast and learner != "lightgbm":
        raise InputError(f"--fast is for --learner lightgbm; the learner is {learner}")
    if LEARNERS[learner].reads == "composition" and sequences is None:
        raise InputError(f"--learner {learner} reads the sequences; give --sequences FASTA")
    if split != "random" and clusters is None and sequences is None:
        raise InputError(
            f"--split {split} needs to know which proteins are relatives: give --clusters FILE or --sequences FASTA, "
            "or --split random"
        )


def _propagated(pairs: pd.DataFrame, obo: str | Path) -> tuple[ontology.Ontology, pd.DataFrame, dict, dict, _Rows]:
    """The ontology, propagated annotations, options of `_study`, facts for the manifest, and what was lost."""
    graph = ontology.read_obo(obo)
    found = ontology.propagate(pairs, graph)
    rows: _Rows = [
        ("annotation", row.go_id, "", row.reason, row.n_annotations) for row in found.exclusions.itertuples()
    ]
    emptied = pairs.loc[~pairs["id"].isin(found.annotations["id"]), "id"].drop_duplicates()
    rows += [("protein", name, "", "none of its annotations is left", 0) for name in emptied]
    aspects = graph.terms.set_index("go_id")["namespace"]
    annotated = found.annotations["id"].groupby(found.annotations["go_id"].map(aspects)).agg(set).to_dict()
    known = {"aspects": aspects.to_dict(), "ancestors": graph.ancestors(), "annotated": annotated}
    checks = {"ontology": graph.release, "relations": ontology.RELATIONS, "alternative_ids_mapped": found.n_alternative}
    return graph, found.annotations, known, checks, rows


def _proteins_of_both(
    given: Embeddings, pairs: pd.DataFrame, embeddings: str | Path, annotations: str | Path
) -> tuple[Embeddings, _Rows]:
    """The embedded proteins that have an annotation, and the rows of the exclusions for all others."""
    annotated = given.table["id"].isin(pairs["id"]).to_numpy()
    if not annotated.any():
        examples = [next(iter(each["id"]), "none") for each in (given.table, pairs)]
        raise InputError(
            f"{annotations}: none of its {pairs['id'].nunique()} proteins is in {embeddings}; the ids differ, such as "
            f"{examples[1]!r} and {examples[0]!r}"
        )
    without = pairs.loc[~pairs["id"].isin(given.table["id"]), "id"].value_counts(sort=False)
    rows: _Rows = [("protein", name, "", "no embedding", count) for name, count in without.items()]
    rows += [("protein", name, "", "no annotation", 0) for name in given.table.loc[~annotated, "id"]]
    table = given.table[annotated].reset_index(drop=True)
    return given._replace(table=table, vectors=given.vectors[annotated]), rows


def _chosen_terms(
    terms: int | str | Path, pairs: pd.DataFrame, ids: Sequence[str], graph: ontology.Ontology | None
) -> tuple[list[str], _Rows]:
    """The terms to learn, by their primary ids, and the rows of the exclusions for those that the ontology lacks."""
    if isinstance(terms, int):
        counted = pairs[~pairs["go_id"].isin(measures.ROOTS)]
        return classifier.common_terms(counted, terms, among=ids), []
    named = inputs.read_terms(terms)
    if graph is None:
        return named, []
    primary, dead = graph.primary, set(graph.terms.loc[graph.terms["obsolete"], "go_id"])
    lost = [term for term in named if primary.get(term) is None or primary[term] in dead]
    chosen = list(dict.fromkeys(primary[term] for term in named if term not in lost))
    if not chosen:
        raise InputError(f"none of the {len(named)} terms is in the ontology, such as {named[0]}")
    reasons = [ontology.OBSOLETE if term in primary else ontology.MISSING for term in lost]
    return chosen, [("term", term, "", reason, 0) for term, reason in zip(lost, reasons, strict=True)]


def _clusters_of(
    ids: Sequence[str], path: str | Path | None, sequences: Mapping[str, str] | None
) -> tuple[pd.Series | None, str | None]:
    """The cluster of each protein and how it is known: from a file, from the sequences, or not at all."""
    if path is not None:
        return inputs.read_clusters(path, ids), "file"
    if sequences is None:
        return None, None
    ordered = [sequences[name] for name in ids]
    if shutil.which("mmseqs") is None:
        return splits.kmer_clusters(ids, ordered), _KMERS
    return splits.mmseqs_clusters(ids, ordered), _MMSEQS


def _split(name: str, labels: pd.DataFrame, groups: pd.Series | None, seed: int) -> pd.Series:
    if name == "random" or groups is None:
        return splits.random_split(labels.index, seed=seed)
    return splits.cluster_split(groups.reset_index(), labels=labels, seed=seed)


# --- what is written and said ----------------------------------------------------------------------------


def _refuse_unless_new(folder: Path) -> None:
    """Refuse a folder that holds files, is the current one, or whose parent is missing."""
    if folder.resolve() == Path.cwd():
        raise InputError(f"{folder}: is the current folder; name a new one in it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; name a new folder")
    if not folder.parent.is_dir():
        raise InputError(f"{folder}: the folder {folder.parent} does not exist; make it first")


def _write(
    folder: Path, found: Mapping[str, tuple[Classifier, _Tables]], exclusions: pd.DataFrame, facts: dict
) -> None:
    """Write the study of each split, whole or not at all."""
    _refuse_unless_new(folder)
    folder = folder.resolve()  # of a link the folder that it stands for
    building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        building.mkdir()
        _write_tsv(exclusions, building / "exclusions.tsv")
        for split, (made, tables) in found.items():
            place = building / split
            place.mkdir()
            for name, table in tables.items():
                if name in ("metrics", "predictions"):
                    table.to_parquet(place / f"{name}.parquet", index=False)
                if name != "predictions":
                    _write_tsv(table, place / f"{name}.tsv")
            made.save(place / "classifier")
        files = sorted(path for path in building.rglob("*") if path.is_file())
        written = {path.relative_to(building).as_posix(): file_sha256(path) for path in files}
        write_json(building / "manifest.json", facts | {"files": written})
        os.replace(building, folder)  # over an empty folder, too
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_tsv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep="\t", index=False, lineterminator="\n", float_format="%.6g")


def _exclusions(rows: _Rows) -> pd.DataFrame:
    """what ("annotation", "protein" or "term"), name, split (empty: all), reason (str), count (int64)."""
    columns = ["what", "name", "split", "reason", "count"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[:4], "str") | {"count": "int64"})


def _unlearnt(split: str, made: Classifier, metrics: pd.DataFrame) -> _Rows:
    """The terms that were not learnt, and those that were and that all or none of the test proteins have."""
    rows: _Rows = [("term", row.term, split, row.reason, row.train_with) for row in made.excluded.itertuples()]
    unmeasured = metrics[(metrics["learner"] == made.learner) & metrics["auprc"].isna()]
    reasons = {True: "every test protein has it", False: "no test protein has it"}
    return rows + [("term", row.term, split, reasons[row.n_with > 0], row.n_with) for row in unmeasured.itertuples()]


def _line(split: str, learner: str, tables: _Tables) -> str:
    """The result of a split in a line."""
    metrics = tables["metrics"]
    own, against = metrics[metrics["learner"] == learner], tables["baselines"]
    counted = own[own["auprc"].notna()]
    return (
        f"{split} split, {own['n'].iloc[0]:,} test proteins, {learner}: mean F1 {counted['f1'].mean():.3f}, mean AUPRC "
        f"{counted['auprc'].mean():.3f} over {len(counted)} terms; above the best baseline in {against['beats'].sum()} "
        "of them"
    )


def _left_out(exclusions: pd.DataFrame, folder: Path) -> str:
    counts = exclusions["what"].value_counts()
    said = [f"{counts[what]:,} {what}s" for what in ("annotation", "protein", "term") if what in counts]
    return f"left out: {', '.join(said)}; see {folder / 'exclusions.tsv'}" if said else "left out: nothing"


def _notes(checks: dict, method: str | None, evidence: Mapping[str, int], sequences: Mapping | None) -> list[str]:
    """What a user should know of a study."""
    found = ["terms were not checked against an ontology, nor propagated (--obo FILE does both)"]
    if checks["ontology"] is not None:
        found = [f"{checks['alternative_ids_mapped']:,} annotations had an alternative id, mapped to the main one"]
    if sequences is None:
        found.append("without --sequences there is no baseline of composition")
    if method == _KMERS:
        found.append(
            f"warning: no program mmseqs; clusters are from {_KMERS}, which misses distant relatives: the split by "
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
