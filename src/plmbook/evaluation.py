"""How a model fares in every test of the book, in one table: the model beside its baselines.

The tests themselves are in `plmbook.results` (what is computed) and in the modules of their analyses (what it means);
here their statistics are put together for the chapter on the embedded models and for the models' cards.
"""

import json
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from plmbook import contacts, metrics, neighbours, paths, probes, results
from plmbook.models import cards
from plmbook.tables import Column, Schema, check

MINIMUM = 5  # variants of each class that a gene needs for an AUROC of its own
OPTIONS = {"n": 1000, "seed": results.SEED}  # of every bootstrap

EVALUATION = Schema(
    "evaluation",
    (
        Column("test", "str", meaning="what was tested"),
        Column("data", "str", meaning="on which proteins or variants"),
        Column("statistic", "str", meaning="what was measured"),
        Column("of", "str", meaning="`model`, or the baseline beside it"),
        *(
            Column(name, "float64", meaning="estimate and ends of the 95 % interval")
            for name in ("value", "low", "high")
        ),
        Column("n", "int64", minimum=1, meaning="proteins, variants or genes"),
    ),
    key=("test", "data", "statistic", "of"),
)


def evaluate(model, *, profile: str = "embedded", progress: bool = False) -> pd.DataFrame:
    """Every test of one model.

    Parameters
    ----------
    model
        From `plmbook.models.load`; for a bundled one the shipped tables are used and checked (`results.derive`).
    profile : str
        Names the folder of the results.
    progress : bool
        Show bars.

    Returns
    -------
    DataFrame
        test, data, statistic, of (str), value, low, high (float64), n (int64): see `EVALUATION`.  Intervals are 95 %,
        from resampling proteins (genes, for the variants).
    """
    options = {"profile": profile, "progress": progress}
    studies = {title: study(model, **options) for title, study in results.STUDIES.items()}
    return from_studies(studies, model.name)


def from_studies(studies: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """`evaluate` where the tables are there already.

    Parameters
    ----------
    studies : mapping of str to DataFrame
        What each of `results.STUDIES` gave, by its title there.
    name : str
        Of the model, for messages.

    Returns
    -------
    DataFrame
        As `evaluate`.
    """
    tests = {
        "held-out likelihood": held_out,
        "variant effects": variants,
        "contacts": contact_maps,
        "secondary structure": secondary_structure,
        "localisation": localisation,
    }
    parts = [test(studies[title]) for title, test in tests.items()]
    return check(pd.concat(parts, ignore_index=True), EVALUATION, where=f"evaluation of {name}")


def held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Perplexity on families that training never saw; `table` as `results.heldout_likelihood`."""
    found = metrics.perplexity_table(table, **OPTIONS)
    rows = [("perplexity", row.model, row.perplexity, row.low, row.high, row.n_proteins) for row in found.itertuples()]
    for opponent in ("n-gram", "residue frequencies"):
        column = metrics.LIKELIHOODS[opponent]
        gain = table.assign(gain=table[column] - table["log_likelihood"])
        ratio = metrics.perplexity(gain, log_likelihood="gain", **OPTIONS)  # exp(mean (ln p_model - ln p_opponent))
        rows.append((f"perplexity of the {opponent} / the model's", "model", *ratio))
    return _rows("masked residues", "held-out families", rows)


def variants(effects: pd.DataFrame) -> pd.DataFrame:
    """AUROC of P/LP against B/LB by strategy, pooled and within genes; `effects` as `results.variant_effects`."""
    parts = []
    for strategy, part in metrics.labelled(effects).groupby("strategy", sort=False):
        few = strategy == "pseudo-likelihood"
        data = f"{'a sample of ' if few else ''}ClinVar, 53 genes"
        part = part.reset_index(drop=True)
        rows = [("AUROC", "model", *metrics.estimate(part, metrics.auroc, **OPTIONS))]
        if not few:
            genes = metrics.gene_aurocs(part, minimum=MINIMUM)["gene"]
            used = part[part["gene"].isin(genes)].reset_index(drop=True)  # as `metrics.summary`: the same interval
            within = metrics.estimate(used, partial(metrics.within_gene_auroc, minimum=MINIMUM), **OPTIONS)
            rows.append(("AUROC within genes", "model", *within[:3], len(genes)))
        parts.append(_rows(f"variant effects, {strategy.replace('-', ' ')}", data, rows))
    return pd.concat(parts, ignore_index=True)


def contact_maps(table: pd.DataFrame) -> pd.DataFrame:
    """Long-range contacts from attention; `table` as `results.contact_precision`."""
    parts = []
    for name, data in (("kept", "structures kept aside"), ("genes", "AlphaFold, 53 genes")):
        part = table[table["set"] == name]
        rows = []
        for statistic, of, column in (
            ("P@L", "model", "p_at_l"),
            ("P@L", "separation only", "separation_only_p_at_l"),
            ("P@L", "random pairs", "background"),
            ("P@L/5", "model", "p_at_l5"),
            ("P@L/5", "separation only", "separation_only_p_at_l5"),
        ):
            rows.append((statistic, of, *metrics.mean_over_genes(part[column], **OPTIONS)))
        for opponent, column in (("random pairs", "background"), ("separation only", "separation_only_p_at_l")):
            ratio = contacts.ratio_of_means(part, "p_at_l", column, **OPTIONS)
            rows.append((f"P@L / that of {opponent}", "model", *ratio))
        parts.append(_rows("long-range contacts from attention", data, rows))
    return pd.concat(parts, ignore_index=True)


def secondary_structure(table: pd.DataFrame) -> pd.DataFrame:
    """Q3 of linear probes; `table` as `results.secondary_structure`."""
    names = {
        "model": "states",
        "window of 15 residues": "window",
        "the residue": "residue",
        "commonest state": "majority",
    }
    rows = [("Q3", name, *probes.q3(table, kind, **OPTIONS)) for name, kind in names.items()]
    rows.append(("Q3 - that of the window", "model", *probes.q3_gain(table, **OPTIONS)))
    return _rows("secondary structure, linear probe", "CB513", rows)


def localisation(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and Matthews correlation of the nearest neighbour; `table` as `results.localisation`."""
    names = {"model": "embedding", "composition": "composition", "commonest class": "commonest"}
    rows = []
    for name, method in names.items():
        part = table[table["method"] == method]
        rows.append(("accuracy", name, *neighbours.estimate(part, neighbours.accuracy, **OPTIONS)))
        if method != "commonest":
            rows.append(("Matthews correlation", name, *neighbours.estimate(part, neighbours.mcc, **OPTIONS)))
    return _rows("localisation, nearest neighbour", "DeepLoc, 10 classes", rows)


def write_card(name: str, table: pd.DataFrame) -> None:
    """Put the evaluation of a bundled model into its card, `data/models/NAME.json`, rounded to four decimals.

    Parameters
    ----------
    name : str
        Of the model.
    table : DataFrame
        From `evaluate`.
    """
    path = paths.data() / "models" / f"{cards.card(name).name}.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["evaluation"] = table.round({"value": 4, "low": 4, "high": 4}).to_dict("records")
    text = json.dumps(card, indent=1) + "\n"
    results.write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _rows(test: str, data: str, rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["statistic", "of", "value", "low", "high", "n"])
    table.insert(0, "data", data)
    table.insert(0, "test", test)
    return table.astype({"value": np.float64, "low": np.float64, "high": np.float64, "n": np.int64})
