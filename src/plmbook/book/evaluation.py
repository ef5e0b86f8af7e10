"""How a model fares in every test of the book, in one table: the model beside its baselines.

Put together from the tables of the rooms' `studies.py`, for the chapter on the embedded models and the models' cards.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from plmbook import tables
from plmbook.core import artifacts, paths
from plmbook.models import cards
from plmbook.probing import contacts, neighbours, probes
from plmbook.probing import studies as probing_studies
from plmbook.stats import metrics
from plmbook.tables import bundled, check
from plmbook.variants import alignment
from plmbook.variants import studies as variant_studies

GENES, UNREAD_GENES = "ClinVar, 53 genes", "ClinVar, genes without a relative among the general proteins"
PUBLISHED = {"esm2_t33_650M_UR50D": "ESM-2 650M, published", "esm1v": "ESM-1v, published"}
MINIMUM = 5  # variants of each class that a gene needs for an AUROC of its own
OPTIONS: dict[str, Any] = {"n": 1000, "seed": bundled.SEED}  # of every bootstrap

EVALUATION = tables.schema_of("evaluation")


def evaluate(model, *, profile: str = "embedded", progress: bool = False) -> pd.DataFrame:
    """Every test of one model, the columns of `EVALUATION`; intervals from resampling proteins (variants: genes)."""
    found = {title: study(model, profile=profile, progress=progress) for title, (study, _) in TESTS.items()}
    return from_studies(found, model.name)


def from_studies(found: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """`evaluate` where the tables are there already, by the title of the study; `name` is for messages."""
    parts = [test(found[title]) for title, (_, test) in TESTS.items()]
    return check(pd.concat(parts, ignore_index=True), EVALUATION, where=f"evaluation of {name}")


def held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Perplexity on families that training never saw."""
    found = metrics.perplexity_table(table, **OPTIONS)
    rows = [("perplexity", row.model, row.perplexity, row.low, row.high, row.n_proteins) for row in found.itertuples()]
    for opponent in ("n-gram", "residue frequencies"):
        column = metrics.LIKELIHOODS[opponent]
        gain = table.assign(gain=table[column] - table["log_likelihood"])
        ratio = metrics.perplexity(gain, log_likelihood="gain", **OPTIONS)  # exp(mean (ln p_model - ln p_opponent))
        rows.append((f"perplexity of the {opponent} / the model's", "model", *ratio))
    return _rows("masked residues", "held-out families", rows)


def variants(effects: pd.DataFrame) -> pd.DataFrame:
    """AUROC of P/LP against B/LB by strategy, pooled and within genes; masked marginals also without the genes that
    have a relative among the general proteins.
    """
    few = f"a sample of ClinVar, genes of at most {variant_studies.PSEUDO_LENGTH} residues"
    parts = []
    for strategy, part in metrics.labelled(effects).groupby("strategy", sort=False):
        test = f"variant effects, {strategy.replace('-', ' ')}"
        if strategy == "pseudo-likelihood":
            pooled = metrics.estimate(part.reset_index(drop=True), metrics.auroc, **OPTIONS)
            parts.append(_rows(test, few, [("AUROC", "model", *pooled)]))
            continue
        parts.append(_rows(test, GENES, _aurocs(part, "model")))
        if strategy == "masked-marginals":
            unread = part[~part["gene"].isin(bundled.read_in_training("genes"))]
            parts.append(_rows(test, UNREAD_GENES, _aurocs(unread, "model")))
    return pd.concat(parts, ignore_index=True)


def variants_without_a_model() -> pd.DataFrame:
    """The same of the alignment column, the gene's share of P/LP and published scores, each on the variants it has."""
    matching = bundled.matching_variants()
    published = tables.load("published_effects")
    published = published[published["model"].isin(PUBLISHED)].rename(columns={"model": "of"})
    column = alignment.effects(tables.load("alignment"), matching)[["gene", "mutation", "score"]]
    share = metrics.labelled(matching.assign(score=0.0))
    share = share.assign(score=metrics.gene_share(share), of="share of the gene")
    scores = pd.concat([column.assign(of="alignment column"), share, published])[["gene", "mutation", "of", "score"]]
    scores = metrics.labelled(matching.merge(scores, on=["gene", "mutation"]))
    rows = [row for of, part in scores.groupby("of", sort=False) for row in _aurocs(part, PUBLISHED.get(of, of))]
    return _rows("variant effects, without a model here", GENES, rows)


def _aurocs(part: pd.DataFrame, of: str) -> list[tuple]:
    part = part.reset_index(drop=True)
    qualifying = metrics.gene_aurocs(part, minimum=MINIMUM)["gene"]
    inside = part[part["gene"].isin(qualifying)].reset_index(drop=True)  # as `metrics.summary`
    within = metrics.estimate(inside, partial(metrics.within_gene_auroc, minimum=MINIMUM), **OPTIONS)
    pooled = metrics.estimate(part, metrics.auroc, **OPTIONS)
    return [("AUROC", of, *pooled), ("AUROC within genes", of, *within[:3], len(qualifying))]


def contact_maps(table: pd.DataFrame) -> pd.DataFrame:
    """Long-range contacts from attention."""
    parts = []
    for name, data in (("kept", "structures kept aside"), ("genes", "AlphaFold, 53 genes")):
        part = table[table["set"] == name]
        columns = {
            ("P@L", "model"): "p_at_l",
            ("P@L", "separation only"): "separation_only_p_at_l",
            ("P@L", "random pairs"): "background",
            ("P@L/5", "model"): "p_at_l5",
            ("P@L/5", "separation only"): "separation_only_p_at_l5",
        }
        rows = [(*key, *metrics.mean_over_genes(part[column], **OPTIONS)) for key, column in columns.items()]
        for opponent in ("random pairs", "separation only"):
            ratio = contacts.ratio_of_means(part, "p_at_l", columns["P@L", opponent], **OPTIONS)
            rows.append((f"P@L / that of {opponent}", "model", *ratio))
        parts.append(_rows("long-range contacts from attention", data, rows))
    return pd.concat(parts, ignore_index=True)


def secondary_structure(table: pd.DataFrame) -> pd.DataFrame:
    """Q3 of linear probes."""
    names = {
        "model": "states",
        "window of 15 residues": "window",
        "the residue": "residue",
        "commonest state": "majority",
    }
    rows = [("Q3", name, *probes.q3(table, kind, **OPTIONS)) for name, kind in names.items()]
    rows.append(("Q3 - that of the window", "model", *probes.q3(table, than="window", **OPTIONS)))
    return _rows("secondary structure, linear probe", "CB513", rows)


def localisation(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and Matthews correlation of the nearest neighbour."""
    names = {"model": "embedding", "composition": "composition", "commonest class": "commonest"}
    rows = []
    for name, method in names.items():
        part = table[table["method"] == method]
        rows.append(("accuracy", name, *neighbours.estimate(part, neighbours.accuracy, **OPTIONS)))
        if method != "commonest":
            rows.append(("Matthews correlation", name, *neighbours.estimate(part, neighbours.mcc, **OPTIONS)))
    return _rows("localisation, nearest neighbour", "DeepLoc, 10 classes", rows)


def write_card(name: str, table: pd.DataFrame) -> None:
    """Put the evaluation of a bundled model into its card, `data/models/NAME.json`, rounded to four decimals."""
    path = paths.data() / "models" / f"{cards.card(name).name}.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["evaluation"] = table.round({"value": 4, "low": 4, "high": 4}).to_dict("records")
    artifacts.write_json(path, card)


def _rows(test: str, data: str, rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["statistic", "of", "value", "low", "high", "n"])
    table.insert(0, "data", data)
    table.insert(0, "test", test)
    return table.astype({"value": np.float64, "low": np.float64, "high": np.float64, "n": np.int64})


TESTS = {
    "held-out likelihood": (variant_studies.heldout_likelihood, held_out),
    "variant effects": (variant_studies.variant_effects, variants),
    "contacts": (probing_studies.contact_precision, contact_maps),
    "secondary structure": (probing_studies.secondary_structure, secondary_structure),
    "localisation": (probing_studies.localisation, localisation),
}
"""By the title of a study: the study, and what is read off its table."""
