"""The shards of the map of proteins: what is written comes back, and half a run is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from plmbook.book import atlas, map_page
from plmbook.core.errors import InputError
from shards import unpack

MODEL = "plmbook_toy"
POINTS = pd.DataFrame(
    {
        "id": ["P1", "P2", "P3"],
        "gene": ["TTR", "", "</script>"],
        "species": ["human", "mouse", "human"],
        "cluster": ["P1", "P1", "P3"],
        "ortholog": ["P2", "P1", ""],
        "compartment": ["Extracellular", "several", "not known"],
        "family": ["TTR", "TTR", "other"],
        "length": [147, 147, 500],
        "pca_1": [0.5, -1.0, 2.0],
        "pca_2": [0.0, 1.0, 3.0],
        "umap_1": [1.0, 2.0, 3.0],
        "umap_2": [4.0, 5.0, 6.0],
    }
)
NEAR = pd.DataFrame(
    {
        "id": ["P1", "P1", "P2", "P2", "P3", "P3"],
        "rank": [1, 2] * 3,
        "neighbour": ["P2", "P3", "P1", "P3", "P2", "P1"],
        "cosine": [0.9, -0.5, 0.9, 0.1234, 0.1234, -0.5],
    }
)
FAMILIES = pd.DataFrame({"family": ["TTR"], "term": ["hormone binding"]})


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    POINTS.to_parquet(folder / f"embedding_map.{MODEL}.parquet")
    NEAR.to_parquet(folder / f"embedding_map_neighbours.{MODEL}.parquet")
    FAMILIES.to_parquet(folder / "embedding_families.parquet")
    return folder


def shard(folder, name):
    text = (folder / "embedding_map" / f"{name}.js").read_text(encoding="ascii")
    assert text.count("<") == 0
    found, value = json.loads(re.fullmatch(r"plmbookAtlas\.receive\((.*)\);\n", text, re.DOTALL)[1].join("[]"))
    assert found == f"embedding_map/{name}"
    return value


def test_what_is_written_comes_back(source, tmp_path):
    site = tmp_path / "data"
    (site / "gene").mkdir(parents=True)
    (site / "gene" / "TP53.js").write_text("of the rescue atlas", encoding="ascii")
    written = map_page.write(site, "embedded", source=source)
    assert written.startswith("3 proteins by 1 model, ")
    assert (site / "gene" / "TP53.js").exists()
    assert shard(site, "index")["models"] == [{"name": MODEL, "proteins": 3}]
    found = shard(site, MODEL)
    assert (found["ids"], found["genes"]) == (["P1", "P2", "P3"], ["TTR", "", "</script>"])
    numbers = unpack(found["numbers"])
    for column in ("species", "compartment", "family"):
        assert [found["groups"][column][code][0] for code in numbers[column]] == POINTS[column].tolist()
    assert found["groups"]["family"][0][3] == "hormone binding"
    assert [found["clusters"][code] for code in numbers["cluster"]] == POINTS["cluster"].tolist()
    assert numbers["ortholog"].tolist() == [1, 0, 3] and numbers["length"].tolist() == [147, 147, 500]
    assert numbers["neighbours"].reshape(3, 2).tolist() == [[1, 2], [0, 2], [1, 0]]
    assert numbers["cosines"].tolist() == [900, -500, 900, 123, 123, -500]
    assert np.array_equal(numbers["umap"].reshape(3, 2), POINTS[["umap_1", "umap_2"]])


def test_a_profile_without_maps_gets_an_index(tmp_path):
    assert "no maps" in map_page.write(tmp_path / "data", "paper", source=tmp_path)
    assert shard(tmp_path / "data", "index")["missing"] == "results/paper/embedding_map.<model>.parquet"


def test_half_a_run_is_refused(source, tmp_path):
    NEAR.iloc[1:].to_parquet(source / f"embedding_map_neighbours.{MODEL}.parquet")
    with pytest.raises(InputError, match="expected 2 neighbours of each of 3 proteins"):
        map_page.write(tmp_path / "data", "embedded", source=source)
    (source / "embedding_families.parquet").unlink()
    with pytest.raises(InputError, match="expected embedding_families.parquet beside"):
        map_page.write(tmp_path / "data", "embedded", source=source)


def test_what_base85_adds_is_told_apart_from_the_numbers():
    """Browsers refuse a deflated stream with bytes after its end."""
    import base64
    import zlib

    found = {}
    for size in range(1, 9):
        packed = atlas.pack({"x": np.arange(size, dtype=np.uint8)})
        padded = base64.b85decode(packed["data"].encode("ascii").translate(bytes.maketrans(*reversed(atlas._ALPHABET))))
        exact = padded[: packed["deflated"]]
        assert zlib.decompress(exact) == bytes(range(size))
        found[size] = len(padded) - len(exact)
    assert set(found.values()) >= {0, 1, 2, 3}
