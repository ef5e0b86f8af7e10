"""The block of numbers in the README, from the committed tables; `python -m plmbook.book.readme` rewrites it."""

import sys

import pandas as pd

from plmbook import tables
from plmbook.book.show import interval
from plmbook.core import paths
from plmbook.core.artifacts import write_text
from plmbook.core.errors import InputError
from plmbook.models.cards import all_cards
from plmbook.stats import metrics
from plmbook.tables import bundled
from plmbook.variants import alignment

START, END = "<!-- results:start -->", "<!-- results:end -->"
STRATEGIES = ("masked-marginals", "likelihood")  # whose scores of every P/LP and B/LB variant are shipped, and shown
PUBLISHED = {"esm1v": "ESM-1v, mean of five, published", "esm2_t33_650M_UR50D": "ESM-2 650M, published"}


def glance(*, n: int = 1000) -> pd.DataFrame:
    """How well the scores tell P/LP from B/LB, from the committed tables alone, as `metrics.summary`: each score on all
    variants that have it; of the models that run here those that are shipped.
    """
    variants = tables.load("variants")[["gene", "mutation", "significance"]]
    published = tables.load("published_effects")
    parts = [published[published["model"] == model] for model in PUBLISHED]
    parts.append(alignment.effects(tables.load("alignment"), bundled.matching_variants()))
    parts += _shipped()
    columns = ["gene", "mutation", "model", "strategy", "score"]
    effects = pd.concat([part[columns] for part in parts], ignore_index=True)
    return metrics.summary(
        effects.merge(variants, on=["gene", "mutation"], validate="many_to_one"), n=n, seed=bundled.SEED
    )


def block(table: pd.DataFrame) -> str:
    """The lines between the markers, as Markdown, from the table of `glance`."""
    lines = ["| score | variants, P/LP + B/LB | AUROC, all genes together | AUROC within genes |", "|---|---|---|---|"]
    for (model, strategy), part in table.groupby(["model", "strategy"], sort=False):
        found = {row.statistic: row for row in part.itertuples()}
        pooled, within = found["auroc"], found["within-gene auroc"]
        counts = f"{pooled.n_pathogenic:,} + {pooled.n_benign:,}"
        ends = [interval(each.value, each.low, each.high) for each in (pooled, within)]
        cells = (_name(model, strategy), counts, ends[0], f"{ends[1]}, {within.n_genes} genes")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def split(text: str) -> tuple[str, str, str]:
    """A README before its block and with the first marker, the block, and from the second marker on.
    >>> split("no markers")
    Traceback (most recent call last):
        ...
    plmbook.core.errors.InputError: README: expected one line <!-- results:start --> and below it one <!-- results:end
    -->
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(END) < text.index(START):
        raise InputError(f"README: expected one line {START} and below it one {END}")
    start, end = text.index(START) + len(START) + 1, text.index(END)
    return text[:start], text[start:end], text[end:]


def main() -> int:
    """Rewrite the block of the repository's README."""
    path = paths.root() / "README.md"
    try:
        before = path.read_text(encoding="utf-8")
        start, _, end = split(before)
        after = start + block(glance()) + end
    except InputError as error:
        print(f"plmbook.book.readme: {error}", file=sys.stderr)
        return 2
    write_text(path, after)
    print(f"{path}: {'as it was' if after == before else 'rewritten'}")
    return 0


def _shipped() -> list[pd.DataFrame]:
    """The shipped scores of the models that run here, as far as `make results` has written them."""
    places = [(name, way, paths.derived() / name / f"{way}.parquet") for name in all_cards() for way in STRATEGIES]
    return [pd.read_parquet(path).assign(model=name, strategy=way) for name, way, path in places if path.is_file()]


def _name(model: str, strategy: str) -> str:
    of = "UniRep" if model.startswith("unirep") else "the embedded model"
    known = PUBLISHED | {"alignment": "counting the alignment column"}
    return known.get(model, f"{of}, `{model}`, {strategy}")


if __name__ == "__main__":
    sys.exit(main())
