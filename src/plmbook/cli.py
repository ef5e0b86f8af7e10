"""The command line: a thin door to the functions that the notebooks call.

Everything is checked before a model loads, and an output appears whole or not at all. Exit 0: done; 2: the input is at
fault, the message says what to change, nothing is written; 1: anything else. Heavy imports are inside the commands.
"""

import importlib.util
import json
import logging
import os
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from plmbook import __version__
from plmbook.core.errors import InputError, did_you_mean, some
from plmbook.core.residues import parse_mutations
from plmbook.models.base import POOLS, SCORES
from plmbook.models.cards import CARDS, expand, facts, listing, titles
from plmbook.models.cards import card as card_of

ENGINES = ("local", "ray")
GO_SPLITS = ("random", "homology", "both")
LEARNERS = ("lightgbm", "logistic", "mlp", "knn", "composition", "length", "frequency")
DEFAULT = "unirep_1900"
LONG = ("window", "truncate", "error", "whole")
SENTINELS = ("residue", "span")
SHARD_RESIDUES = 2**18
TASK_RESIDUES = 100_000  # as `plmbook.tasks.SETTINGS.residues`
TOP = 50  # candidates by each score, as `plmbook.variants.rescue.TOP`
SCORING = titles("log-probabilities")
WRITING = ", ".join(name for name, card in CARDS.items() if card.can("generation"))

app = typer.Typer(
    name="plmbook",
    help="What protein language models know about proteins: variants, embeddings, the book.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(
    help="The bundled tables and their outside sources.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(data_app, name="data")


def _option(*names: str, help: str, **more: Any) -> Any:
    """An option whose default the help does not show: there is none, or the text says it."""
    return typer.Option(*names, help=help, show_default=False, **more)


def _argument(metavar: str, help: str) -> Any:
    return typer.Argument(metavar=metavar, help=help, show_default=False)


Fasta = Annotated[Path, _argument("SEQS.fasta", "Protein sequences.")]
Variants = Annotated[Path, _argument("VARIANTS.tsv", "Tab-separated: id (or gene), mutation, further columns.")]
TableFile = Annotated[Path, _option("--output", "-o", help="A .tsv or .parquet file.")]
Models = Annotated[list[str] | None, _option("--model", "-m", help="Once or more, an ensemble. Default: embedded.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[
    str, typer.Option(help="auto (bfloat16 where the model gains by it, else float32), float32 or bfloat16.")
]
ScoreDtype = Annotated[
    str, typer.Option(help="float32, or bfloat16: faster, but it blurs small differences; auto chooses.")
]
Long = Annotated[str, typer.Option(help=f"Proteins longer than the model takes: {', '.join(LONG)}.")]
Profile = Annotated[str, typer.Option(help="A file of analysis/profiles, without .yml.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line: 0 done, 2 the input or the usage is at fault, 1 anything else.
    >>> main(["--version"])
    plmbook ...
    0
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    encoder = logging.getLogger("plmbook.engine.encode")
    level = encoder.level
    debug = "--debug" in arguments  # before or after the command: a person adds it to a line that failed
    try:
        app(args=[a for a in arguments if a != "--debug"], prog_name="plmbook", standalone_mode=True)
    except SystemExit as end:  # how the parser says that it is done: 0, or 2 for a wrong usage
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except InputError as error:
        print(f"plmbook: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # the last resort: a person gets a line, --debug gets the traceback
        if debug:
            traceback.print_exc()
        else:
            print(f"plmbook: {type(error).__name__}: {error}\n(--debug shows where)", file=sys.stderr)
        return 1
    finally:
        encoder.setLevel(level)  # a command may have silenced it (`_check_lengths`)
    return 0


def _show_version(asked: bool) -> None:
    if asked:
        print(f"plmbook {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """What protein language models know about proteins: variants, embeddings, the book."""


@app.command("models")
def list_models(
    name: Annotated[
        str | None, typer.Argument(help="Print the card of this model, as JSON.", show_default=False)
    ] = None,
) -> None:
    """Every model: family, parameters, layers, width, longest protein, licence, and whether its weights are here.

    SCORES says whether it scores variants: yes, no, or by sentinel, which is the strategy pseudo-likelihood alone; such
    a model also writes sequences. The card of a bundled model also says how it was trained, on what, and how it fared
    in every test of the book.
    """
    if name is not None:
        typer.echo(json.dumps(facts(name), indent=1))
        return
    _print_columns(listing())


@data_app.command("list")
def list_data() -> None:
    """Every bundled table and outside source: state, release, licence, checksum, URL."""
    from plmbook import sources

    found = sources.listing()
    rows = [tuple(str(name).upper() for name in found.columns)]
    rows += [tuple(str(value) or "-" for value in row) for row in found.itertuples(index=False)]
    _print_columns(rows)


@data_app.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="A source of `plmbook data list`.", show_default=False)],
    accession: Annotated[str | None, typer.Argument(help="UniProt accession, where a source has a file each.")] = None,
) -> None:
    """Download an outside source into the cache, or find it in the folder that PLMBOOK_MIRROR names."""
    from plmbook import sources

    print(sources.fetch(name, accession))


@data_app.command("verify")
def verify_data() -> None:
    """Compare the bundled files with their recorded checksums; exit 1 where one differs."""
    from plmbook import sources

    found = sources.verify()
    for row in found.itertuples():
        print(f"{row.state:8} {row.file}")
    faults = found[found["state"] != "bundled"]
    print(f"{len(found) - len(faults)} of {len(found)} bundled files are what they were")
    if len(faults):
        raise typer.Exit(1)


@app.command()
def effects(
    fasta: Fasta,
    variants: Variants,
    output: TableFile,
    model: Annotated[
        list[str] | None,
        _option(
            *("--model", "-m"),
            help=f"Once or more; several make an ensemble. Default: {DEFAULT}. Models of {SCORING}; with --strategy "
            f"pseudo-likelihood also {WRITING}; with likelihood or next-residue those of {titles('likelihood')}.",
        ),
    ] = None,
    strategy: Annotated[
        str | None, _option("--strategy", "-s", help=f"{', '.join(SCORES)}. Default: the model's first of these.")
    ] = None,
    long: Long = "window",
    device: Device = "auto",
    dtype: ScoreDtype = "float32",
    quiet: Quiet = False,
) -> None:
    """Score missense variants: a natural-log likelihood ratio per variant, negative = damaging.

    The output holds the columns of VARIANTS.tsv plus model, strategy and score; with several models one row per
    variant and model, and rows with model=mean. A mutation is written R175H, Arg175His or p.Arg175His, several of one
    protein R175H:N239Y. Not for clinical use.
    """
    from plmbook import models, tables
    from plmbook.core import artifacts
    from plmbook.variants import effects as scoring

    cards = _cards(model or [DEFAULT])
    strategy = strategy or next(iter(cards[0].strategies), scoring.DEFAULT)
    for card in cards:
        scoring.strategy_for(card, strategy)
    _check_output(output, (".tsv", ".parquet"), inputs=[fasta, variants])
    proteins = tables.read_fasta(fasta)
    rows = tables.read_variants(variants, proteins)
    used = proteins[proteins["id"].isin(rows["id"])]
    for card in cards:
        _check_lengths(used, card, long, variants=rows, whole=strategy == "pseudo-likelihood")
    import pandas as pd

    parts = []
    for card in cards:
        decoder = card.can("generation")
        loaded = models.load(card.name, device=device, dtype=dtype, decoder=decoder)
        computed_in = loaded.dtype
        parts.append(scoring.score_table(loaded, used, rows, strategy=strategy, long=long, progress=_bars(quiet)))
        del loaded  # one model in memory at a time
    found = pd.concat(parts, ignore_index=True)
    if len(cards) > 1:
        found = scoring.add_mean(found)
    artifacts.write_table(found, output)
    named = ", ".join(card.name for card in cards)
    print(f"{output}: {len(rows)} variants of {len(used)} proteins, {strategy}, {named} in {computed_in}")


@app.command()
def rescue(
    fasta: Fasta,
    variants: Variants,
    output: Annotated[Path, _option("--output", "-o", help="A .parquet file.", metavar="OUT.parquet")],
    model: Models = None,
    top: Annotated[int, typer.Option(min=1, help="Candidates of a variant by each of the two scores.")] = TOP,
    structures: Annotated[
        Path | None, _option(help="Holds ID.pdb as AlphaFold DB writes it, for distances.", metavar="DIR")
    ] = None,
    long: Long = "window",
    device: Device = "auto",
    dtype: ScoreDtype = "float32",
    quiet: Quiet = False,
) -> None:
    """Search second mutations that may make good a first one: every substitution on the background of each variant.

    The output holds the best second sites of each variant by epistasis (how much more the model likes a substitution on
    the background than on the wild type) and by score_background (the published score; below 0 the wild type's residue
    is still preferred there), with both ranks; by UniRep, which reads a residue at a time, of the sites that follow the
    variant. Distances and cpd (orthologs with both residues) are known for the 53
    bundled genes. An interrupted job goes on where it stopped when the same line is run again. Not for clinical use.
    """
    from plmbook import models, tables
    from plmbook.tables import bundled
    from plmbook.variants import rescue_store

    cards = _cards(model or ["embedded"])
    _check_scores(cards)
    _check_output(output, (".parquet",), inputs=[fasta, variants])
    proteins = tables.read_fasta(fasta)
    rows = tables.read_variants(variants, proteins, reserved=rescue_store.RESERVED)
    used = proteins[proteins["id"].isin(rows["id"])]
    for card in cards:
        _check_lengths(used, card, long, variants=rows)
    if any("embedded" in card.aliases for card in cards) and (unlike := bundled.unlike_genes(used)):
        warning = (
            f"{some(unlike, 10)}: unlike the 53 genes whose orthologs the embedded model has read; it knows little"
        )
        print(f"plmbook: {warning} else, so take what it says with care", file=sys.stderr)
    folded, orthologs = rescue_store.structures_and_orthologs(used, structures)
    chosen = rescue_store.precisions(output) if dtype == "auto" else {}
    loaded = [models.load(card.name, device=device, dtype=chosen.get(card.name, dtype)) for card in cards]
    options: Any = {"structures": folded, "orthologs": orthologs, "top": top, "long": long, "progress": _bars(quiet)}
    computed = rescue_store.write(output, loaded, used, rows, **options)
    done = {0: "was complete, nothing to do", rows["id"].nunique(): ""}.get(computed, f"{computed} of them now")
    print(
        f"{output}: {len(rows)} variants of {rows['id'].nunique()} proteins, the {top} best by each score, "
        f"{', '.join(card.name for card in cards)}{'; ' * bool(done)}{done}"
    )


@app.command()
def embed(
    fasta: Fasta,
    output: Annotated[Path, _option("--output", "-o", help="A folder.", metavar="DIR")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model's name.")] = DEFAULT,
    pool: Annotated[str, typer.Option(help=f"{', '.join(POOLS)}.")] = "mean",
    layer: Annotated[int, typer.Option(help="0 (before the first; UniRep: from 1) to the last; -1 is the last.")] = -1,
    long: Long = "window",
    device: Device = "auto",
    dtype: Dtype = "auto",
    engine: Annotated[
        str, typer.Option(help="local (this process) or ray (Ray Data: all devices of a machine or a cluster).")
    ] = "local",
    address: Annotated[
        str | None, _option(help="With --engine ray: a running cluster, such as auto or HOST:6379.")
    ] = None,
    shard_residues: Annotated[
        int,
        typer.Option(min=1, help="Residues of a file: less for a wide model and --pool residue, more for billions."),
    ] = SHARD_RESIDUES,
    quiet: Quiet = False,
) -> None:
    """Embed proteins into a folder: Parquet files in DIR/data (float16), and manifest.json that says what made them.

    One row per protein: id, length, description, embedding; with --pool residue one per residue: id, position (from 1),
    embedding. An interrupted job goes on where it stopped when the same line is run again; what was chosen
    automatically stays as it was chosen first. The sequences are read in blocks: memory does not grow with the file.
    """
    (card,) = _cards([model], several=False)
    _one_of("pool", pool, POOLS)
    _one_of("long", long, LONG)
    _check_engine(engine, address)
    card.check_pool(pool)
    card.layer_number(layer)
    if output.suffix in (".parquet", ".tsv", ".csv", ".pt", ".h5", ".json"):
        raise InputError(f"{output}: the output is a folder of Parquet files; name one, such as {output.stem}")
    if not output.parent.is_dir():
        raise InputError(f"{output}: the folder {output.parent} does not exist; make it first")
    if not os.access(output if output.is_dir() else output.parent, os.W_OK):
        raise InputError(f"{output}: cannot be written to")
    from plmbook import tables
    from plmbook.engine import encode, shards, store

    before = store.existing(output)
    plan: Any = {"long": long, "pool": pool, "shard_residues": shard_residues}
    proteins = shards.plan(tables.FastaFile(fasta), max_length=encode.longest(card, long), **plan)
    if proteins.n_long:
        _say_long(f"{proteins.long_ones()}, the most that {card.name} reads", long)
    if before is not None and dtype == "auto":
        dtype = before["computed_in"]
    options: Any = plan | {"source": fasta, "layer": layer, "progress": _bars(quiet)}
    if engine == "ray":
        from plmbook.engine import cluster

        placed: Any = {"device": device, "dtype": dtype, "address": address}
        computed = cluster.write(output, card.name, proteins, **placed, **options)
    else:
        from plmbook import models

        loaded = models.load(card.name, device=device, dtype=dtype)
        computed = store.write(output, loaded, proteins, **options)
    print(f"{output}: {store.summary(store.manifest(output), computed, before)}")


@app.command("generate")
def generate_proteins(
    fasta: Fasta,
    output: Annotated[Path, _option("--output", "-o", help="A .fasta, .tsv or .parquet file.")],
    model: Annotated[str, _option("--model", "-m", help=f"One of {WRITING}.")],
    span: Annotated[
        list[str] | None,
        _option(
            help="Residues to write anew in every protein, from 1, the end included; once or more. "
            "Default: each protein's own runs of X.",
            metavar="START-END",
        ),
    ] = None,
    extend: Annotated[
        int | None, _option(help="Go on after the end of each protein by so many residues (Ankh3).", min=1)
    ] = None,
    sentinel: Annotated[
        str, typer.Option(help="One for each residue (a span keeps its length), or for each span (the model ends it).")
    ] = SENTINELS[0],
    longest: Annotated[
        int | None, _option(help="With --sentinel span: residues of a span. Default: twice the longest.", min=1)
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Sequences of each protein; several need --seed.")] = 1,
    seed: Annotated[
        int | None, _option(help="Draw residues, reproducibly. Default: the likeliest at each step.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="With --seed: below 1, likely residues become likelier.")] = 1.0,
    perplexity: Annotated[
        bool, typer.Option("--perplexity", help="Also how likely each whole protein is: a pass for each residue.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quiet: Quiet = False,
) -> None:
    """Let a model write masked spans of proteins anew, or go on with them.

    The output holds, for each protein written: id, number, model, sequence, spans, fills (what stands there now),
    log_likelihood (natural log, the sum over the residues written). What is written was never made or tested.
    """
    (card,) = _cards([model], several=False)
    if not card.can("generation"):
        raise InputError(f"{card.name}: has no decoder that writes sequences; expected one of {WRITING}")
    if extend is not None and not card.can("prefix"):
        raise InputError(f"--extend {extend}: {card.name} did not learn to go on with a protein; expected Ankh3")
    _one_of("sentinel", sentinel, SENTINELS)
    if extend is not None and (span or longest or sentinel != SENTINELS[0]):
        raise InputError(f"--extend {extend}: goes on after the end; --span, --sentinel and --longest are for spans")
    if longest is not None and sentinel != "span":
        raise InputError(f"--longest {longest}: is for --sentinel span; a span keeps its length otherwise")
    if n > 1 and seed is None:
        raise InputError(f"-n {n}: without --seed every sequence is the likeliest one; give a seed")
    if temperature <= 0:
        raise InputError(f"--temperature {temperature}: expected more than 0")
    _check_output(output, (".fasta", ".tsv", ".parquet"), inputs=[fasta])
    from plmbook import models, tables
    from plmbook.core import artifacts
    from plmbook.engine import generate

    proteins = tables.read_fasta(fasta)
    spans = None if extend is not None else generate.plan(proteins, [generate.read_span(text) for text in span or []])
    prefix = generate.EXTENDS if extend is not None else None
    loaded = models.load(card.name, device=device, dtype=dtype, decoder=True, prefix=prefix)
    options: Any = {"extend": extend, "sentinel": sentinel, "longest": longest, "n": n, "seed": seed}
    options |= {"temperature": temperature, "perplexity": perplexity, "progress": _bars(quiet)}
    found = generate.write(loaded, proteins, spans, **options)
    if output.suffix == ".fasta":
        artifacts.write_text(output, generate.fasta(found))
    else:
        artifacts.write_table(found, output)
    print(f"{output}: {len(found)} sequences of {len(proteins)} proteins, {loaded.name} in {loaded.dtype}")


@app.command()
def go(
    context: typer.Context,
    embeddings: Annotated[Path, _argument("EMBEDDINGS", "A folder of `plmbook embed`, or a table with embeddings.")],
    output: Annotated[Path, _option("--output", "-o", help="A new folder; with --predict a file.", metavar="DIR")],
    annotations: Annotated[
        Path | None, _argument("ANNOTATIONS", "Tab-separated: id, go_id (several with ;); or GAF 2.x.")
    ] = None,
    predict: Annotated[
        Path | None, _option(help="Apply the classifier that lies in this folder.", metavar="DIR")
    ] = None,
    terms: Annotated[str, typer.Option(help="How many of the commonest terms, or a file with a GO id a line.")] = "20",
    split: Annotated[str, typer.Option(help=f"{', '.join(GO_SPLITS)}.")] = "both",
    clusters: Annotated[
        Path | None, _option(help="Tab-separated: id, cluster. Relatives share one.", metavar="FILE")
    ] = None,
    sequences: Annotated[
        Path | None, _option(help="For clusters without --clusters, and for baselines.", metavar="FASTA")
    ] = None,
    obo: Annotated[Path | None, _option(help="The ontology, to propagate annotations.", metavar="FILE")] = None,
    learner: Annotated[str, typer.Option(help=f"{', '.join(LEARNERS)}.")] = LEARNERS[0],
    fast: Annotated[bool, typer.Option("--fast", help="LightGBM with coarser bins and fewer columns a tree.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the training and the intervals.")] = 0,
) -> None:
    """Learn GO terms from embeddings, beside baselines, on a random split and on one by clusters of relatives.

    DIR gets the measures of each term with intervals, Fmax and Smin, predictions, thresholds, the classifier, and
    exclusions.tsv, which names what was left out and why. The same line again gives the same bytes. With --predict DIR
    the classifier of an earlier run is applied to EMBEDDINGS: -o OUT.tsv gets id, term, probability, predicted.
    """
    if predict is not None:
        _refuse_with_predict(context)
        _predict_go(predict, embeddings, annotations, output)
        return
    if annotations is None:
        raise InputError("ANNOTATIONS is missing: a table with the columns id and go_id (or give --predict DIR)")
    if output.suffix in (".tsv", ".parquet"):
        raise InputError(f"{output}: the output is a folder; name one, such as {output.stem}")
    if terms.isdigit() and not int(terms):
        raise InputError("--terms 0: expected a number from 1, or a file with a GO id a line")
    from plmbook.function import study

    chosen = int(terms) if terms.isdigit() else Path(terms)
    inputs: Any = {"clusters": clusters, "sequences": sequences, "obo": obo}
    options: Any = {"terms": chosen, "split": split, "learner": learner, "fast": fast, "seed": seed}
    for line in study.run(embeddings, annotations, output, **inputs, **options):
        print(line)


def _refuse_with_predict(context: typer.Context) -> None:
    """Refuse options of training, which an earlier run settled."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [
        name for name, source in sources.items() if source and source.name == "COMMANDLINE"
    ]  # Typer has its own enum
    if other := [name for name in given if name not in ("embeddings", "annotations", "output", "predict")]:
        options = ", ".join(f"--{name}" for name in other)
        raise InputError(f"{options}: not used with --predict, which applies a classifier as it was trained")


def _predict_go(folder: Path, embeddings: Path, annotations: Path | None, output: Path) -> None:
    """`plmbook go --predict`."""
    if annotations is not None:
        raise InputError(f"{annotations}: --predict takes embeddings alone, the terms are those of the classifier")
    _check_output(output, (".tsv", ".parquet"), inputs=[embeddings])
    from plmbook.core import artifacts
    from plmbook.function import study

    found, classifier = study.predict(folder, embeddings)
    artifacts.write_table(found, output)
    print(f"{output}: {found['id'].nunique():,} proteins, {len(classifier.terms)} terms, {classifier.learner}")


@app.command("task")
def run_task(
    name: Annotated[str | None, typer.Argument(help="A task of --list.", show_default=False)] = None,
    show: Annotated[bool, typer.Option("--list", help="Print every task and end.")] = False,
    model: Annotated[list[str] | None, _option("--model", "-m", help=f"Once or more. Default: {DEFAULT}.")] = None,
    output: Annotated[
        Path | None, _option("--output", "-o", help="A .tsv or .parquet file: measures by seed, the data's commit.")
    ] = None,
    learner: Annotated[list[str] | None, _option(help="Once or more. Default: all of the task.")] = None,
    data: Annotated[str, typer.Option(help="bundled, hub, or a folder with the hub's files.")] = "bundled",
    residues: Annotated[
        int, typer.Option(min=0, help="Draw training proteins with so many residues; 0: all, in memory at once.")
    ] = TASK_RESIDUES,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each head.")] = 3,
    device: Device = "auto",
    dtype: Dtype = "auto",
    quiet: Quiet = False,
) -> None:
    """Run one of Ankh's downstream tasks: heads and probes on a model's embeddings, beside baselines that see none.

    Prints a row a test set and learner: the mean over seeds, its 95 % interval over test proteins, and over seeds. The
    bundled samples are small; --data hub takes the published data set, of which --residues draws a part: the embeddings
    of all residues are in memory at once.
    """
    from plmbook import tasks

    if show:
        found = tasks.listing()
        for row in found.itertuples():
            print(f"{row.task}: {row.title}")
            for what in found.columns[2:]:
                print(f"  {what:<11}{getattr(row, what) or '-'}")
        return
    if name is None:
        raise InputError(f"a task is missing; expected one of {', '.join(tasks.TASKS)} (--list describes them)")
    chosen = tasks.task(name)
    for each in learner or []:
        _one_of("learner", each, chosen.learners)
    cards = _cards(model or [DEFAULT])
    if output is not None:
        _check_output(output, (".tsv", ".parquet"), inputs=[])
    from plmbook import models
    from plmbook.core import artifacts

    examples = tasks.examples(name, source=data, residues=residues or None)
    for note in examples.notes:
        print(f"plmbook: {note}", file=sys.stderr)
    say = (lambda line: print(line, file=sys.stderr)) if _bars(quiet) else None
    import pandas as pd

    parts = []
    for card in cards:
        loaded = models.load(card.name, device=device, dtype=dtype)
        found = tasks.run(name, loaded, learners=learner, seeds=range(seeds), examples=examples, say=say)
        parts.append(tasks.scores(found).assign(model=card.name, data=examples.source))
        del loaded  # one model in memory at a time
    measured = pd.concat(parts, ignore_index=True)
    rows = [("MODEL", "TEST", "LEARNER", chosen.metric.upper(), "95 % OVER PROTEINS", "95 % OVER SEEDS", "PROTEINS")]
    for row in tasks.over_seeds(measured).itertuples():
        over = f"{row.seed_low:.3f} to {row.seed_high:.3f}" if row.seeds > 1 else "-"
        numbers = (f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}", over, str(row.n))
        rows.append((row.model, row.test, row.learner, *numbers))
    _print_columns(rows)
    if output is not None:
        artifacts.write_table(measured, output)


@app.command()
def pretrain(config: Annotated[Path, _argument("CONFIG.yml", "What to train on what.")], quiet: Quiet = False) -> None:
    """Train a masked language model of ESM-2's architecture, or go on with a training that was interrupted."""
    if not config.is_file():
        raise InputError(f"{config}: no such file; expected the YAML file of a training")
    from plmbook.engine import pretrain as training

    print(training.train(config, progress=_bars(quiet)))


@app.command("results")
def compute_results(
    profile: Profile = "embedded",
    model: Annotated[
        list[str] | None, _option("--model", "-m", help="Once or more. Default: those of the profile.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compute every result table from the bundled inputs, the shipped ones included (`make results`)."""
    from plmbook.book import profiles, recompute

    names = [card.name for card in _cards(model or profiles.profile_models(profile))]
    recompute.recompute(profile, names, device=device, progress=_bars(quiet))


@app.command("book")
def build_book(
    profile: Profile = "embedded",
    notebook: Annotated[Path | None, _option(help="Run this notebook of analysis/ and nothing else.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Only build the site from the pages already run.")] = False,
) -> None:
    """Run the notebooks with a profile and build the site; `make book` does the same in parallel."""
    from plmbook.book import profiles, runner
    from plmbook.book import render as site

    if notebook is not None and render:
        raise InputError("--notebook runs one page and --render builds the site; give one of them")
    profiles.load_profile(profile)
    try:
        if notebook is not None:
            print(runner.run_notebook(notebook, profile))
        elif render:
            print(site.render(profile))
        else:
            print(site.run_all(profile))
    except runner.RunError as error:  # written for a reader: shown as it is
        print(f"plmbook: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _cards(names: Sequence[str], *, several: bool = True) -> list:
    """The cards of what a user named, each runnable."""
    cards = [card_of(name) for name in expand(names)]
    if not several and len(cards) > 1:
        members = ", ".join(each.name for each in cards)
        raise InputError(f"{names[0]} is an ensemble of {len(cards)} models; name one: {members}")
    for each in cards:
        if not each.runnable:
            raise InputError(f"{each.name}: models of the family {each.family} cannot be run in this version")
        if "NC" in each.licence:
            print(f"{each.name}: weights under {each.licence}, not for commercial use", file=sys.stderr)
    return cards


def _check_scores(cards: Sequence) -> None:
    for card in cards:
        if not (card.can("log-probabilities") or card.can("likelihood")):
            raise InputError(
                f"{card.name}: gives embeddings, no probabilities of all residues at once; name a model of {SCORING}"
            )


def _one_of(what: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise InputError(f"--{what} {value}: expected one of {', '.join(choices)}{did_you_mean(value, choices)}")


def _check_output(path: Path, suffixes: Sequence[str], *, inputs: Sequence[Path]) -> None:
    """Refuse an output that could not be written, or that would replace an input."""
    if path.suffix not in suffixes:
        raise InputError(f"{path}: the output ends in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written to")
    for given in inputs:
        if path.resolve() == given.resolve():
            raise InputError(f"{path}: the output would replace an input; name another file")


def _check_engine(engine: str, address: str | None) -> None:
    _one_of("engine", engine, ENGINES)
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise InputError("--engine ray: Ray is not installed; pip install 'plmbook[cluster]' brings it")
    if address is not None and engine != "ray":
        raise InputError(f"--address {address}: is for --engine ray; the engine is {engine}")


def _say_long(what: str, long: str) -> None:
    done = "read in overlapping windows" if long == "window" else "cut at the end"
    print(f"plmbook: {what}; they are {done}", file=sys.stderr)
    logging.getLogger("plmbook.engine.encode").setLevel(logging.ERROR)  # it would say the same again, by number


def _check_lengths(proteins, card, long: str, *, variants=None, whole: bool = False) -> None:
    """What happens to proteins longer than the model takes is decided, and said, before it loads."""
    from plmbook.engine import encode

    _one_of("long", long, LONG)
    limit = encode.longest(card, long)
    over = proteins[proteins["length"] > limit] if limit else proteins.head(0)
    if not len(over):
        return
    named = some((f"{row.id} ({row.length})" for row in over.itertuples()), 10)
    most = f"the {card.max_length} residues that {card.name} reads"
    what = f"{len(over)} of {len(proteins)} proteins are longer than {most}: {named}"
    if long == "error":
        raise InputError(f"{what}; cut them, or use --long window")
    if long == "truncate" and whole:
        raise InputError(f"{what}; pseudo-likelihood needs every residue, use --long window")
    if long == "truncate" and variants is not None:
        _check_not_cut(variants, card)
    _say_long(what, long)


def _check_not_cut(variants, card) -> None:
    for row in variants.itertuples():
        for mutation in parse_mutations(row.mutation):
            if mutation.position > card.max_length:
                raise InputError(
                    f"{row.id} {row.mutation}: --long truncate leaves the first {card.max_length} residues; "
                    "use --long window"
                )


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows of text, aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _bars(quiet: bool) -> bool:
    return not quiet and sys.stderr.isatty()


if __name__ == "__main__":
    sys.exit(main())
