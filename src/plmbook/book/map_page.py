"""The interactive map of proteins: the tables `embedding_map.<model>` as scripts for the page `book/embedding_map.md`.

Shards are as those of the rescue atlas (`plmbook.book.atlas`), in a folder of their own: `index.js` has the models,
`MODEL.js` names, groups, places and nearest neighbours of all proteins. Colours and marks are those of the chapter.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plmbook.book import atlas, style
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.function import proteome_map

PAGE = "book/embedding_map"  # of the table of contents: a book without this page gets no shards
FOLDER = "embedding_map"
THOUSANDTH = 1000  # cosines are integers, in thousandths
LAYOUTS = {"umap": "UMAP", "pca": "principal components"}


def write(folder: str | Path, profile: str, *, source: str | Path | None = None) -> str:
    """Write the shards of a profile; gives a line that says what was written."""
    folder = Path(folder)
    source = paths.results(profile) if source is None else Path(source)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    shards = {name: shard(*tables_of(source, name), model=name) for name in mapped_models(source)}
    index: dict[str, Any] = {
        "profile": profile,
        "missing": "" if shards else f"results/{profile}/embedding_map.<model>.parquet",
        "models": [{"name": name, "proteins": len(each["ids"])} for name, each in shards.items()],
        "layouts": LAYOUTS,
    }
    atlas.write_shard(folder, f"{FOLDER}/index", index)
    for name, each in shards.items():
        atlas.write_shard(folder, f"{FOLDER}/{name}", each)
    if not shards:
        return "no maps in this profile, the page says so"
    models = f"{len(shards)} model{'s' * (len(shards) != 1)}"
    return f"{index['models'][0]['proteins']:,} proteins by {models}, {atlas.megabytes(folder / FOLDER)}"


def mapped_models(source: Path) -> list[str]:
    """The models whose maps lie in a folder of results, by name."""
    found = source.glob("embedding_map.*.parquet")
    return sorted(path.name.removeprefix("embedding_map.").removesuffix(".parquet") for path in found)


def tables_of(source: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Points, neighbours and families of a model."""
    needed = [f"embedding_map.{name}", f"embedding_map_neighbours.{name}", "embedding_families"]
    for table in needed:
        if not (source / f"{table}.parquet").is_file():
            raise InputError(f"{source}: expected {table}.parquet beside {needed[0]}.parquet; run the chapter again")
    points, near, families = (pd.read_parquet(source / f"{table}.parquet") for table in needed)
    return points, near, families


def shard(points: pd.DataFrame, near: pd.DataFrame, families: pd.DataFrame, *, model: str) -> dict[str, Any]:
    """What the page shows of a model: `families` (family, term), `near` (k a protein: id, rank, neighbour, cosine),
    `points` (id, gene, species, cluster, ortholog, compartment, family, length, pca_1, pca_2, umap_1, umap_2).
    """
    n = len(points)
    place = pd.Series(range(n), index=points["id"])
    near = near.assign(row=near["id"].map(place), to=near["neighbour"].map(place)).sort_values(["row", "rank"])
    k = int(near["rank"].max())
    if near[["row", "to"]].isna().any(axis=None) or len(near) != n * k or (near["row"].value_counts() != k).any():
        raise InputError(f"{model}: expected {k} neighbours of each of {n} proteins; run the chapter again")
    terms = dict(zip(families["family"], families["term"], strict=True))
    groups = {
        "species": _groups(list(dict.fromkeys(points["species"])), colours=style.SPECIES_COLOURS),
        "compartment": _groups(list(proteome_map.COMPARTMENTS), rest=(proteome_map.SEVERAL, proteome_map.UNKNOWN)),
        "family": _groups(list(terms), rest=(proteome_map.OTHER,), notes=terms),
    }
    clusters = sorted(set(points["cluster"]))
    numbers = {
        column: points[column].map({name: code for code, (name, *_) in enumerate(known)}).to_numpy(np.uint8)
        for column, known in groups.items()
    }
    numbers |= {
        "cluster": points["cluster"].map({name: code for code, name in enumerate(clusters)}).to_numpy(np.uint16),
        "length": points["length"].to_numpy(np.uint16),
        "ortholog": points["ortholog"].map(place).fillna(n).to_numpy(np.uint16),
        "neighbours": near["to"].to_numpy(np.uint16),
        "cosines": np.rint(THOUSANDTH * near["cosine"]).to_numpy(np.int16),
    }
    numbers |= {name: points[[f"{name}_1", f"{name}_2"]].to_numpy(np.float32) for name in LAYOUTS}
    return {
        "model": model,
        "k": k,
        "ids": points["id"].tolist(),
        "genes": points["gene"].tolist(),
        "clusters": clusters,
        "groups": groups,
        "numbers": atlas.pack(numbers),
    }


def _groups(names: list[str], *, rest: tuple[str, ...] = (), notes: dict[str, str] | None = None, **options) -> list:
    styles = style.group_styles(names, **options)
    known = [[name, *mark, (notes or {}).get(name, "")] for name, mark in styles.items()]
    return known + [[name, style.REST, "o", ""] for name in rest]
