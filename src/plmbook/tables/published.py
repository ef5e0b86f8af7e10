"""The tables of the three earlier works and figures of ESM-2, as printed, and a count of one of their files."""

from typing import TYPE_CHECKING

from plmbook.core import paths
from plmbook.core.errors import InputError, did_you_mean
from plmbook.core.text import read_csv

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "acmg_v31",
    "ankh_datasets",
    "ankh_models",
    "ankh_results",
    "control_genes",
    "esm2_models",
    "go_terms",
    "rescue_cpd",
    "rescue_data",
    "rescue_models",
)


def published(name: str) -> "pd.DataFrame":
    """Load a published table; its columns, its source and its slips are described in `data/published/README.md`.

    Parameters
    ----------
    name : str
        One of `TABLES`.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the page; no value is missing and none differs from the page. Figures are float64 in the
        unit of the column `unit` where there is one (`percent` 0-100, `fraction` and `correlation` 0-1, `perplexity`
        from 1 up), and 0-1 in `go_terms`; counts and lengths (residues; `cds_length` in nucleotides without the stop)
        are int64; flags are bool; an empty cell of text is `""`. Identifiers such as `ncbi_gene` stay text. The last
        column `source` names the work and the page.
    """
    if name not in TABLES:
        hint = did_you_mean(name, TABLES) or f"; expected one of {', '.join(TABLES)}"
        raise InputError(f"no published table {name!r}{hint}")
    path = paths.data() / "published" / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"{path}: not found; made by data/make/published.py")
    return read_csv(path, ",", quoted=True, keep_default_na=False, dtype={"ncbi_gene": str})
