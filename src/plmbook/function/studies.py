"""Studies of GO terms: the result tables of one model, derived tables among them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import paths
from plmbook.core.artifacts import content_hash, save
from plmbook.engine import encode
from plmbook.function import layers, learners, occlusion, proteome_map, proteomes, trainings
from plmbook.probing import neighbours
from plmbook.tables import bundled
from plmbook.tables.derived import SAMPLE, DerivedMismatch, derive, dtype_of, ships, tolerance_of

# Raise one of these whenever the algorithm behind the table changes its answer: shipped tables are then not used.
VERSIONS = {
    "go-embeddings": 1,
    "go-answers": 1,
    "go-answers-again": 1,
    "go-regressions": 1,
    "residue-drops": 1,
    "layer-regressions": 1,
    "layer-answers": 1,
    "protein-map": 1,
}

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
GO_COLUMN, GO_SEEDS = "cafa5", 3  # collection of annotations; splits of each kind


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
        parameters={"layer": -1, "pool": "mean", "scale": 100, "dtype": dtype_of(model)},
        version=VERSIONS["go-embeddings"],
        values=names,
        tolerance=1,  # hundredth: a number on the border between two
        profile=profile,
        ship=ships(model, known),
        recompute=recompute,
    )
    vectors = (table[names].to_numpy(dtype=np.float64) / 100).astype(np.float32)
    result = pd.concat([table[["id"]], pd.DataFrame(vectors, columns=names)], axis=1)
    save(result, f"go_embeddings.{model.name}", profile)
    return result


COMPOSITION = SimpleNamespace(name="composition", weights_hash="")  # the model of those that read no model


def go_answers(
    model,
    *,
    again: bool = False,
    column: str = GO_COLUMN,
    seed: int = bundled.SEED,
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
            _go_answers(model, "lightgbm", embeddings, asked, ships=ships(model, known), **options),
            _go_answers(COMPOSITION, "composition", shares, asked, ships=ships(model, known), **options),
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
    seed: int = bundled.SEED,
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
            "dtype": dtype_of(model),
        },
        version=VERSIONS["go-regressions"],
        values=["intercept", *(f"w{number:04d}" for number in range(embeddings.shape[1]))],
        sample=REGRESSIONS,
        profile=profile,
        ship=ships(model, known),
        recompute=recompute,
    )
    save(table, f"go_regressions.{model.name}", profile)
    return table


def residue_drops(
    model,
    *,
    column: str = GO_COLUMN,
    seed: int = bundled.SEED,
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
            "dtype": dtype_of(model),
        },
        version=VERSIONS["residue-drops"],
        values=terms,
        tolerance=5 * tolerance_of(model),  # log-odds add up as many numbers as the embedding has
        sample=WINDOWS,
        profile=profile,
        ship=ships(model, known),
        recompute=recompute,
    )
    save(table, f"residue_drops.{model.name}", profile)
    return table


def layer_answers(
    model,
    *,
    column: str = GO_COLUMN,
    seed: int = bundled.SEED,
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
        said = [layers.answers(table, pooled, asked.proteins["id"])[drawn] for table in (before.reset_index(), fresh)]
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
        | {"column": column, "seed": seed, "bits": layers.KEPT_BITS, "dtype": dtype_of(model)},
        "profile": profile,
        "ship": ships(model, known),
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
    seed: int = bundled.SEED,
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
        parameters={"seed": seed, "space": "centred", "dtype": dtype_of(model)},
        version=VERSIONS["protein-map"],
        values=("x", "y"),
        check=check,
        profile=profile,
        ship=ships(model, known),
        recompute=recompute,
    )
    save(table, f"protein_map.{model.name}", profile)
    return table


def _inputs(known: proteomes.Known | None, *files: str) -> list[Path]:
    """Files of the folder of data; where whole proteomes are read, these instead of the tables of the sample."""
    if known is None or not known.whole:
        return [paths.data() / file for file in files]
    return [*known.files, *(paths.data() / file for file in files if file not in proteomes.SAMPLE)]
