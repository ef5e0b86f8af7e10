"""Studies of GO terms: the result tables of one model, derived tables among them.

All read the same proteins: a `collection` from `plmbook.function.proteomes.load`, by default the bundled sample. Of
whole proteomes nothing is shipped.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from plmbook.function import layers, learners, occlusion, proteome_map, proteomes, trainings
from plmbook.probing import neighbours
from plmbook.probing.studies import hundredths
from plmbook.tables import bundled
from plmbook.tables.derived import TOLERANCE, DerivedMismatch, Run, draw_of, study

GO_COLUMN, GO_SEEDS = "cafa5", 3  # collection of annotations; splits of each kind
ANSWER_DRAWS = 2  # terms of a training that are learnt afresh
ANSWER_TOLERANCE = 0.01  # of probability, in the mean over the test proteins of a term
REGRESSIONS, WINDOWS = 3, 8  # rows that are computed afresh: fits of a term, windows that are masked
LAYER_DRAWS = 5  # terms that are learnt afresh from the last layer
ANSWER_STEPS = 10  # thousandths of log-odds: the same regression of states that another processor computed
LAYER_ROWS = 10  # answers that are computed afresh: the proteins are read again
MAP_NEIGHBOURS, MAP_KEPT = 10, 0.1  # a map keeps at least this share of the nearest proteins; chance is 0.002
COMPOSITION = SimpleNamespace(name="composition", weights_hash="")  # the model of those that read no model


@dataclass(frozen=True)
class MaskSettings:
    """Of `residue_drops`: the windows, and which proteins are read masked (`occlusion.to_mask`)."""

    width: int = 8  # residues of a window
    stride: int = 8  # residues from one window to the next
    longest: int = 450  # residues of a protein at most
    per_question: int = 5  # clusters of a question at most


@dataclass(frozen=True)
class LayerSettings:
    """Of `layer_answers`: which proteins are read (`layers.dataset`), and what is learnt (`layers.regressions`)."""

    longest: int = 350  # residues of a protein at most
    n_residues: int = 230_000  # of all proteins that are read
    fractions: Sequence[float] = (0.5, 0.15, 0.35)  # for training, validation and test
    strengths: Sequence[float] = layers.STRENGTHS
    dims: Sequence[int] = (2, 4, 8, 16, 32, 64, 128)  # principal components that are kept, beside all
    last: int = 4  # layers that are put one after another


MASKED, LAYERS = MaskSettings(), LayerSettings()


@study("GO embeddings", saves="go_embeddings", tables={"go-embeddings": 1})
def go_embeddings(run: Run, *, collection: proteomes.Collection | None = None) -> pd.DataFrame:
    """Embeddings of the proteins with GO terms, last layer, mean: id, e0000, ... (float32, rounded to hundredths)."""
    collection = collection or proteomes.load(GO_COLUMN)
    table = hundredths(run, "go-embeddings", collection.proteins, files=_files(collection, "go_proteins.parquet"))
    return table.set_index("id").astype("float64").div(100).astype("float32").reset_index()


def _embeddings(run: Run, collection: proteomes.Collection, given: np.ndarray | None = None) -> np.ndarray:
    """Those of `go_embeddings`, float32 (n, d), where they are not at hand."""
    if given is not None:
        return given
    table = go_embeddings(run.model, collection=collection, profile=run.profile, progress=run.progress)
    return table.drop(columns="id").to_numpy()


def _files(collection: proteomes.Collection, *files: str) -> list[str | Path]:
    """Tables of the folder of data; where whole proteomes are read, their files instead of the tables of the sample."""
    if not collection.whole:
        return list(files)
    return [*collection.files, *(file for file in files if file not in proteomes.SAMPLE)]


@study("GO answers", saves="go_answers", tables={"go-answers": 1})
def go_answers(
    run: Run,
    *,
    seed: int = bundled.SEED,
    n_seeds: int = GO_SEEDS,
    collection: proteomes.Collection | None = None,
    benchmark: trainings.Benchmark | None = None,
    embeddings: np.ndarray | None = None,
) -> pd.DataFrame:
    """Boosted trees for the common GO terms, on embeddings and on composition: answers about test proteins of every
    split once, annotations as given. Of shipped answers, terms of a training, drawn by content, are learnt afresh."""
    return _answers(run, False, collection, benchmark, embeddings, seed, n_seeds)


@study("GO answers again", saves="go_answers_again", tables={"go-answers-again": 1})
def go_answers_again(
    run: Run,
    *,
    seed: int = bundled.SEED,
    n_seeds: int = GO_SEEDS,
    collection: proteomes.Collection | None = None,
    benchmark: trainings.Benchmark | None = None,
    embeddings: np.ndarray | None = None,
) -> pd.DataFrame:
    """`go_answers` of what else is asked of one model: the splits of the next seeds, and propagated annotations."""
    return _answers(run, True, collection, benchmark, embeddings, seed, n_seeds)


def _answers(run: Run, again: bool, collection, benchmark, embeddings, seed: int, n_seeds: int) -> pd.DataFrame:
    """What LightGBM and composition answer, each a derived table of that name."""
    name = "go-answers-again" if again else "go-answers"
    collection = collection or proteomes.load(GO_COLUMN)
    benchmark = benchmark or trainings.benchmark(collection, seed=seed, n_seeds=n_seeds)
    shares = neighbours.composition(benchmark.proteins["sequence"]).astype(np.float32)

    def of(source, learner: str, features: np.ndarray) -> pd.DataFrame:
        chosen = trainings.trainings(benchmark, learner, seed=seed, again=again)
        keys = [*trainings.KEYS, "id"]

        def compute(rows: pd.DataFrame, terms: Sequence[str] | None = None) -> pd.DataFrame:
            found = trainings.answer(benchmark, rows, {learner: features}, terms=terms)
            return rows[keys].merge(found, on=keys, how="left", validate="one_to_one")

        def check(shipped: pd.DataFrame) -> tuple[int, float]:
            rng, largest, n = draw_of(shipped), 0.0, 0
            for _ in range(ANSWER_DRAWS):
                drawn = chosen.iloc[[rng.integers(len(chosen))]]
                term = benchmark.terms[rng.integers(len(benchmark.terms))]
                before = shipped.merge(drawn, on=list(trainings.KEYS))
                what = f"{name}, {source.name} ({', '.join(map(str, drawn.iloc[0]))})"
                largest = max(largest, _near_enough(what, before, compute(before, [term]), [term]))
                n += len(before)
            return n, largest

        return run.derive(
            name,
            trainings.plan(benchmark, chosen),
            compute,
            of=source,
            files=_files(collection, *trainings.FILES),
            parameters={
                "column": collection.column,
                "seed": seed,
                "n_seeds": n_seeds,
                "trees": trainings.FAST | {"rounds": learners.ROUNDS, "patience": learners.PATIENCE},
                "fast": learners.FAST,
                "scale": trainings.SCALE,
            },
            values=benchmark.terms,
            tolerance=ANSWER_TOLERANCE,
            check=check,
        )

    learnt = of(run.model, "lightgbm", _embeddings(run, collection, embeddings))
    return pd.concat([learnt, of(COMPOSITION, "composition", shares)], ignore_index=True)


def _near_enough(what: str, shipped: pd.DataFrame, fresh: pd.DataFrame, terms: list[str]) -> float:
    """The largest mean difference of the probabilities of a term; over the tolerance it is an error."""
    apart = trainings.mean_difference(shipped, fresh, terms)
    if not apart.max() <= ANSWER_TOLERANCE:
        raise DerivedMismatch(
            f"{what}: {apart.idxmax()}, learnt afresh: the probabilities are {apart.max():.3g} from the shipped ones "
            f"in the mean, over {ANSWER_TOLERANCE:g}. Restore the file, or run `make results`"
        )
    return float(apart.max())


@study("GO regressions", saves="go_regressions", tables={"go-regressions": 1})
def go_regressions(
    run: Run,
    *,
    seed: int = bundled.SEED,
    collection: proteomes.Collection | None = None,
    embeddings: np.ndarray | None = None,
) -> pd.DataFrame:
    """Logistic regression of the terms with motifs, cross-fitted over proteins: fold, term, intercept, w0000, ..."""
    collection = collection or proteomes.load(GO_COLUMN)
    embeddings, labels = _embeddings(run, collection, embeddings), occlusion.motif_dataset(collection).labels
    fold = occlusion.folds_of(labels, collection.proteins["cluster"], seed=seed)
    every = [(number, term) for number in range(occlusion.FOLDS) for term in labels]

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for number, part in rows.groupby("fold", sort=False):
            made = occlusion.fit_fold(embeddings, labels[part["term"]], fold, number, seed=seed)
            parts.append(occlusion.coefficients(made).assign(fold=number))
        return rows.merge(pd.concat(parts), on=["fold", "term"], how="left", validate="one_to_one")

    return run.derive(
        "go-regressions",
        pd.DataFrame(every, columns=["fold", "term"]),
        compute,
        files=_files(collection, "go_proteins.parquet", "go_annotations.parquet"),
        parameters=_folding(collection, seed),
        values=["intercept", *(f"w{number:04d}" for number in range(embeddings.shape[1]))],
        sample=REGRESSIONS,
        tolerance=TOLERANCE,
    )


def _folding(collection: proteomes.Collection, seed: int) -> dict[str, object]:
    """What the regressions depend on."""
    return {"column": collection.column, "seed": seed, "folds": occlusion.FOLDS, "strengths": learners.STRENGTHS}


@study("residues masked", saves="residue_drops", tables={"residue-drops": 1})
def residue_drops(
    run: Run,
    *,
    seed: int = bundled.SEED,
    settings: MaskSettings = MASKED,
    collection: proteomes.Collection | None = None,
    classifiers: Sequence | None = None,
) -> pd.DataFrame:
    """How far the log-odds of terms fall where a window is masked: id, start, stop (0-based, excluded), one a term."""
    collection = collection or proteomes.load(GO_COLUMN)
    dataset = occlusion.motif_dataset(collection)
    proteins, terms = dataset.proteins, list(dataset.labels)
    fold = occlusion.folds_of(dataset.labels, proteins["cluster"], seed=seed)
    if classifiers is None:
        vectors = _embeddings(run, collection)
        options = {"collection": collection, "embeddings": vectors, "profile": run.profile}
        learnt = go_regressions(run.model, seed=seed, **options).groupby("fold")
        classifiers = [occlusion.from_coefficients(part, vectors, fold, number) for number, part in learnt]
    chosen = occlusion.to_mask(dataset, longest=settings.longest, per_question=settings.per_question)
    windows = [
        (proteins["id"][row], *span)
        for row in sorted({row for rows in chosen.values() for row in rows})
        for span in occlusion.windows(int(proteins["length"][row]), settings.width, settings.stride)
    ]
    by_id = proteins.assign(fold=fold).set_index("id")

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for name, part in rows.groupby("id", sort=False):
            spans = list(part[["start", "stop"]].itertuples(index=False, name=None))
            classifier = classifiers[by_id.loc[name, "fold"]]
            values = occlusion.window_drops(run.model, by_id.loc[name, "sequence"], classifier, spans)
            parts.append(pd.concat([part.reset_index(drop=True), pd.DataFrame(values, columns=terms)], axis=1))
        return rows.merge(pd.concat(parts), on=["id", "start", "stop"], how="left", validate="one_to_one")

    return run.derive(
        "residue-drops",
        pd.DataFrame(windows, columns=["id", "start", "stop"]),
        compute,
        files=_files(collection, "go_proteins.parquet", "go_annotations.parquet"),
        parameters=asdict(settings) | _folding(collection, seed),
        values=terms,
        tolerance=5 * run.tolerance,  # log-odds add up as many numbers as the embedding has
        sample=WINDOWS,
    )


@study("layers", saves="layer_answers", tables={"layer-regressions": 1, "layer-answers": 1})
def layer_answers(
    run: Run,
    *,
    seed: int = bundled.SEED,
    settings: LayerSettings = LAYERS,
    collection: proteomes.Collection | None = None,
) -> pd.DataFrame:
    """Logistic regression of the common GO terms from every layer and pool: what it says of the test proteins.
    Columns feature, id ("threshold" for the thresholds), and one a term (int32): log-odds in thousandths."""
    collection = collection or proteomes.load(GO_COLUMN)
    dataset = layers.dataset(collection, settings.longest, settings.n_residues, settings.fractions, seed=seed)
    card, ids, terms = run.model.card, dataset.proteins["id"], list(dataset.labels)
    sequences = dataset.proteins.set_index("id")["sequence"]
    most = min(card.dim, int((dataset.split == "train").sum()) - 1)  # components that the training proteins have
    dims = sorted({min(k, most) for k in (*settings.dims, most)})
    learn = partial(layers.regressions, dataset=dataset, last=settings.last, strengths=settings.strengths, seed=seed)
    features = layers.features_of(card.layers + 1, last=settings.last)
    top = f"mean {card.layers}"
    features |= {f"components {k}": [top] for k in dims}
    derive = partial(
        run.derive,
        files=_files(collection, "go_proteins.parquet", "go_annotations.parquet", "go_terms.tsv"),
        parameters=asdict(settings) | {"column": collection.column, "seed": seed, "bits": layers.MANTISSA_BITS},
    )
    read: dict[str, dict[str, np.ndarray]] = {}  # all proteins, where they had to be read

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        read["all"] = layers.pooled_layers(run.model, list(sequences), progress=run.progress)
        return rows.merge(learn(read["all"], dims=dims), on=list(rows.columns), how="left")

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        vectors = pd.DataFrame(_embeddings(run, collection), index=collection.proteins["id"]).loc[ids].to_numpy()
        pooled = {"mean": np.broadcast_to(vectors, (card.layers + 1, *vectors.shape))}
        drawn = draw_of(shipped).choice(terms, min(LAYER_DRAWS, len(terms)), replace=False).tolist()
        before = shipped[(shipped["feature"] == top) & shipped["term"].isin(drawn)].set_index("term").loc[drawn]
        fresh = learn(pooled, features=[top], terms=drawn)
        one, other = (layers.answers(table, pooled, ids) for table in (before.reset_index(), fresh))
        what = f"layer-regressions, {run.model.name}, from the mean of the last layer"
        return len(drawn), _near_enough(what, one, other, drawn)

    every = [(name, vector, term) for name, vectors in features.items() for vector in vectors for term in terms]
    learnt = derive(
        "layer-regressions",
        pd.DataFrame(every, columns=["feature", "vector", "term"]),
        compute,
        values=["threshold", "offset", *(f"w{number:04d}" for number in range(card.dim))],
        tolerance=ANSWER_TOLERANCE,
        check=check,
    )

    def answer(rows: pd.DataFrame) -> pd.DataFrame:
        wanted = rows["id"].drop_duplicates().tolist()
        if "all" in read:
            places = sequences.index.get_indexer(wanted)
            pooled = {pool: values[:, places] for pool, values in read["all"].items()}
        else:
            pooled = layers.pooled_layers(run.model, sequences[wanted].tolist())
        found = layers.answers(learnt[learnt["feature"].isin(rows["feature"])], pooled, wanted)
        return rows.merge(found, on=["feature", "id"], how="left", validate="one_to_one")

    tested = ids[dataset.tested]
    table = derive(
        "layer-answers",
        pd.DataFrame([(name, each) for name in features for each in tested], columns=["feature", "id"]),
        answer,
        values=terms,
        tolerance=ANSWER_STEPS,
        sample=LAYER_ROWS,
    )
    thresholds = learnt.drop_duplicates(["feature", "term"]).pivot(index="feature", columns="term", values="threshold")
    thresholds = thresholds.loc[list(features), terms].reset_index().assign(id=trainings.THRESHOLD)
    result = pd.concat([thresholds, table], ignore_index=True)[["feature", "id", *terms]]
    return result.astype(dict.fromkeys(terms, "int32"))


@study("map of proteins", saves="protein_map", tables={"protein-map": 1})
def protein_map(
    run: Run,
    *,
    seed: int = bundled.SEED,
    collection: proteomes.Collection | None = None,
    embeddings: np.ndarray | None = None,
) -> pd.DataFrame:
    """Places of the proteins on a UMAP of their embeddings. A map is made at once or not at all, so that no row of a
    shipped one is computed afresh; what is checked is that it is a map of these embeddings: it keeps neighbours."""
    collection = collection or proteomes.load(GO_COLUMN)
    space = proteome_map.embedding_space(_embeddings(run, collection, embeddings))

    def compute(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.join(pd.DataFrame(proteome_map.umap(space, seed=seed).round(3), columns=["x", "y"]))

    def check(shipped: pd.DataFrame) -> tuple[int, float]:
        kept = proteome_map.neighbours_kept(space, shipped[["x", "y"]].to_numpy(), k=MAP_NEIGHBOURS)
        if not kept >= MAP_KEPT:
            raise DerivedMismatch(
                f"protein-map, {run.model.name}: of the {MAP_NEIGHBOURS} nearest proteins the map keeps {kept:.1%}, "
                f"expected at least {MAP_KEPT:.0%}: it is none of these embeddings. "
                "Restore the file, or run `make results`"
            )
        return 0, 0.0

    return run.derive(
        "protein-map",
        collection.proteins[["id"]],
        compute,
        files=_files(collection, "go_proteins.parquet"),
        parameters={"seed": seed, "space": "centred"},
        values=("x", "y"),
        check=check,
    )
