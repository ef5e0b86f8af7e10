"""The atlas's shards: what is written comes back to the last bit, nothing of it is code, nothing is missing."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.book import atlas
from plmbook.core import paths
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, parse_mutations
from plmbook.core.structures import structures_of
from plmbook.tables import bundled
from plmbook.variants import alignment, rescue
from shards import unpack

FIRST, SECOND = "plmbook_a", "esm1v"
MODELS = (FIRST, SECOND)
GENES = ("TTR", "HNF1A")  # HNF1A has no alignment


def scan(gene, name, limit):
    """The tables that the chapter saves, of one gene, by a model without weights or an ensemble of two such."""
    sequence = tables.load("genes").set_index("gene")["sequence"][gene]
    labelled = bundled.matching_variants()
    labelled = labelled[labelled["significance"].isin(bundled.LABELLED) & (labelled["gene"] == gene)].head(limit)
    members = [FakeModel(seeded, name=name)]
    if name == SECOND:
        members = [FakeModel(seeded, name="a"), FakeModel(lambda text: seeded(text[::-1])[::-1], name="b")]
    assemblies, residues = alignment.ortholog_residues(tables.load("orthologs"), gene, sequence)
    found = rescue.scan_protein(
        members,
        sequence,
        [parse_mutations(text) for text in labelled["mutation"]],
        id=gene,
        structure=structures_of(tables.load("structures").query("gene == @gene"))[gene],
        orthologs=residues if assemblies else None,
        top=5,
        maps=True,
    )
    best = found.candidates.drop_duplicates("mutation")
    variants = best[["id", "mutation"]].assign(best_epistasis=best["epistasis"])
    made = {
        "rescue": found.candidates,
        "rescue_maps": found.map_table,
        "rescue_wild_type": found.wild_type_table,
        "rescue_variants": variants,
    }
    return {table: rows.assign(model=name) for table, rows in made.items()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder of results: one model scanned four variants of two genes, an ensemble one variant of one."""
    folder = tmp_path_factory.mktemp("results")
    for name, genes, limit in ((FIRST, GENES, 4), (SECOND, GENES[:1], 1)):
        scans = [scan(gene, name, limit) for gene in genes]
        for table in scans[0]:
            rows = pd.concat([each[table] for each in scans], ignore_index=True)
            rows.to_parquet(folder / f"{table}.{name}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def written(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "data"
    return folder, atlas.write(folder, "embedded", models=MODELS, source=source)


def shard(folder, name):
    """The value that a shard hands to the page; the file is one call and nothing else."""
    text = (folder / f"{name}.js").read_text(encoding="ascii")
    found, value = json.loads(re.fullmatch(r"plmbookAtlas\.receive\((.*)\);\n", text, re.DOTALL)[1].join("[]"))
    assert found == name
    return value


def table(source, name, model):
    return pd.read_parquet(source / f"{name}.{model}.parquet")


# --- numbers --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-128, 127)), st.lists(st.floats(width=32)), st.lists(st.integers(0, 2**32 - 1)))
def test_packed_numbers_come_back(small, real, large):
    columns = {
        "small": np.array(small, dtype=np.int8),
        "real": np.array(real, dtype=np.float32),
        "large": np.array(large, dtype=np.uint32),
    }
    packed = atlas.pack(columns)
    assert re.fullmatch(r"[0-9A-Za-z!#$%.()*+,:;=?@^_`{|}~-]*", packed["data"]) and len(packed["data"]) % 5 == 0
    for name, values in unpack(json.loads(json.dumps(packed))).items():
        assert values.dtype == columns[name].dtype
        assert values.tobytes() == columns[name].tobytes()  # NaN and -0 too


@given(st.binary(max_size=40))
def test_the_stream_ends_where_the_shard_says(noise):
    """Firefox refuses a stream with more after its end, and base 85 pads to four bytes."""
    packed = atlas.pack({"noise": np.frombuffer(noise, np.uint8)})
    padded = base64.b85decode(packed["data"].translate(str.maketrans(".,:", "&<>")).encode("ascii"))
    stream = zlib.decompressobj()
    assert stream.decompress(padded[: packed["deflated"]]) == noise
    assert stream.eof and stream.unused_data == b""
    assert 0 <= len(padded) - packed["deflated"] < 4


def test_packing_refuses_what_the_page_cannot_read():
    with pytest.raises(InputError, match="deep is float64; expected one of int8"):
        atlas.pack({"deep": np.zeros(2)})


# --- what is written --------------------------------------------------------------------------------------------


def test_maps_are_those_of_the_tables(source, written):
    folder, _ = written
    for model in (FIRST, SECOND):
        for row in table(source, "rescue_maps", model).itertuples():
            found = shard(folder, f"{model}/{row.id}/{row.mutation}")
            assert (found["gene"], found["mutation"], found["model"]) == (row.id, row.mutation, model)
            assert np.float32(found["scale"]) == row.scale
            assert unpack(found["numbers"])["map"].tobytes() == row.epistasis


def test_candidates_are_those_of_the_tables(source, written):
    """As the page does it: the rest follows from the wild type's scores and the coordinates."""
    folder, _ = written
    for model in (FIRST, SECOND):
        for (gene, mutation), rows in table(source, "rescue", model).groupby(["id", "mutation"]):
            about = shard(folder, f"gene/{gene}")
            numbers = unpack(about["numbers"])
            wild = unpack(about["wild_type"][model])["score"].reshape(-1, 20)
            found = unpack(shard(folder, f"{model}/{gene}/{mutation}")["numbers"])
            j = found["position"].astype(int) - 1
            cb = numbers["cb"].astype(float).reshape(-1, 3)
            own = wild[j, found["alt"]]
            expected = {
                "position": found["position"],
                "ref": np.array(list(about["sequence"]))[j],
                "alt": np.array(list(AMINO_ACIDS))[found["alt"]],
                "rank": found["rank"],
                "rank_background": found["rank_background"],
                "score_background": found["score_background"],
                "score_wild_type": own,
                "epistasis": found.get("epistasis", found["score_background"] - own),
            }
            for name, values in expected.items():
                assert (rows[name].to_numpy() == values).all(), (gene, mutation, name)
            there = int(mutation[1:-1]) - 1
            np.testing.assert_allclose(rows["distance_angstrom"], np.linalg.norm(cb[j] - cb[there], axis=1), rtol=1e-12)
            cpd = np.where(found["cpd"] == atlas.NO_ALIGNMENT, np.nan, found["cpd"])
            np.testing.assert_array_equal(rows["cpd"], cpd)


def test_an_ensemble_writes_its_epistasis(written):
    """The mean of differences, rounded, need not be the difference of rounded means."""
    folder, _ = written
    (gene,) = [each for each in shard(folder, "index")["genes"] if SECOND in each["best"]]
    (mutation,) = [m for m, best in zip(gene["mutations"], gene["best"][SECOND], strict=True) if best is not None]
    assert "epistasis" in unpack(shard(folder, f"{SECOND}/TTR/{mutation}")["numbers"])
    assert "epistasis" not in unpack(shard(folder, f"{FIRST}/TTR/{mutation}")["numbers"])


def test_genes_are_those_of_the_bundled_tables(source, written):
    folder, _ = written
    for gene in GENES:
        found = shard(folder, f"gene/{gene}")
        protein = tables.load("genes").set_index("gene").loc[gene]
        assert (found["sequence"], found["uniprot"]) == (protein["sequence"], protein["uniprot"])
        numbers = unpack(found["numbers"])
        structure = tables.load("structures").query("gene == @gene")
        assert (numbers["plddt"] == structure["plddt"]).all()
        assert (numbers["cb"].reshape(-1, 3) == structure[["cb_x", "cb_y", "cb_z"]]).all(axis=None)
        backbone = tables.load("backbone").query("gene == @gene")
        for atom in "nco":
            places = backbone[[f"{atom}_{axis}" for axis in "xyz"]].to_numpy()
            np.testing.assert_allclose(numbers[atom].reshape(-1, 3) / 100, places, atol=1e-4)
        assert np.isnan(numbers["conservation"]).all() == (gene == "HNF1A")
        wild = table(source, "rescue_wild_type", FIRST).query("id == @gene")[list(AMINO_ACIDS)].to_numpy()
        assert (unpack(found["wild_type"][FIRST])["score"].reshape(-1, 20) == wild).all()
        variants = bundled.matching_variants().query("gene == @gene")
        assert [row[0] for row in found["variants"]] == variants["mutation"].tolist()
        frequencies = [np.nan if row[2] is None else row[2] for row in found["variants"]]
        np.testing.assert_array_equal(frequencies, variants["allele_frequency"])


def test_every_gene_and_variant_of_the_index_has_its_shard(source, written):
    folder, report = written
    index = shard(folder, "index")
    assert [model["name"] for model in index["models"]] == [FIRST, SECOND]  # that with the most variants first
    assert [gene["gene"] for gene in index["genes"]] == sorted(GENES)
    expected = {"index"}
    for gene in index["genes"]:
        expected.add(f"gene/{gene['gene']}")
        for name, best in gene["best"].items():
            found = table(source, "rescue_variants", name).query("id == @gene['gene']").set_index("mutation")
            for mutation, value in zip(gene["mutations"], best, strict=True):
                assert (mutation in found.index) == (value is not None)
                if value is not None:
                    assert value == pytest.approx(found["best_epistasis"][mutation], abs=6e-4)
                    expected.add(f"{name}/{gene['gene']}/{mutation}")
        positions = [int(mutation[1:-1]) for mutation in gene["mutations"]]
        assert positions == sorted(positions)
    files = {path.relative_to(folder).as_posix().removesuffix(".js") for path in folder.rglob("*.*")}
    assert files == expected
    size = sum(path.stat().st_size for path in folder.rglob("*.js"))
    assert report == f"9 maps of 2 genes by 2 models, {size / 1e6:.1f} MB"


def test_a_map_takes_a_byte_a_number_and_a_quarter_for_the_letters(source, written):
    """Noise, as here, deflates worst; what is beside the map is small."""
    folder, _ = written
    for row in table(source, "rescue_maps", FIRST).query("id == 'TTR'").itertuples():
        n = len(row.epistasis)
        packed = atlas.pack({"map": np.frombuffer(row.epistasis, np.int8)})
        assert n == packed["bytes"] == 20 * 147
        assert len(packed["data"]) < 1.25 * n + 25
        assert (folder / FIRST / "TTR" / f"{row.mutation}.js").stat().st_size < 1.25 * n + 1500


def test_the_index_says_how_many_candidates_are_kept(source, written, tmp_path):
    assert shard(written[0], "index")["top"] == 5
    rows = table(source, "rescue", FIRST)
    of_one = (rows["id"] == "TTR") & (rows["mutation"] == rows["mutation"].iat[0])
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows[~(of_one & (rows["rank"] == 4))].to_parquet(tmp_path / f"rescue.{FIRST}.parquet", index=False)
    atlas.write(tmp_path / "data", "embedded", models=MODELS, source=tmp_path)
    assert shard(tmp_path / "data", "index")["top"] == 3


def test_classes_and_frequencies_are_clinvars_and_gnomads(written):
    index = shard(written[0], "index")
    known = tables.load("variants").set_index(["gene", "mutation"])
    for gene in index["genes"]:
        for mutation, group, frequency in zip(gene["mutations"], gene["classes"], gene["frequencies"], strict=True):
            row = known.loc[gene["gene"], mutation]
            assert index["classes"][group] == row["significance"]
            assert pd.isna(row["allele_frequency"]) if frequency is None else frequency == row["allele_frequency"]


def test_what_was_there_before_is_gone(source, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.js").write_text("", encoding="ascii")
    atlas.write(tmp_path / "data", "embedded", models=MODELS, source=source)
    assert not (tmp_path / "data" / "old.js").exists()


def test_a_model_that_the_profile_dropped_is_not_shown(source, tmp_path):
    """Its tables stay in the folder of the results."""
    atlas.write(tmp_path, "embedded", models=[SECOND], source=source)
    assert [model["name"] for model in shard(tmp_path, "index")["models"]] == [SECOND]
    assert not (tmp_path / FIRST).exists()


def test_without_names_the_models_are_those_of_the_profile(source, tmp_path):
    """`paper` has the ensemble, which the chapter calls by its own name, and not the other model of these tables."""
    atlas.write(tmp_path, "paper", source=source)
    assert [model["name"] for model in shard(tmp_path, "index")["models"]] == [SECOND]
    assert atlas.titles(["embedded"])[0].startswith("plmbook_")  # a single model by the name on its card


# --- text that is no code ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "\u2028\u2029", "\"'`\\", "<!--<script>", "]]>", "&lt;", "\0\n\r", "ä𝔸", ""],
)
def test_hostile_text_is_text(text):
    made = atlas.script(text, {text: [text]})
    assert made.isascii() and made.isprintable() is False and made.count("\n") == 1  # the line's own end
    assert not set("<>&") & set(made)
    assert json.loads(made.removeprefix("plmbookAtlas.receive(").removesuffix(");\n").join("[]")) == [
        text,
        {text: [text]},
    ]


def test_nan_is_no_json():
    with pytest.raises(ValueError):
        atlas.script("toy", {"value": float("nan")})


@pytest.mark.parametrize("name", ["../R175H", "a b", ".hidden", "R175H</script>", "R175H:N239Y"])
def test_names_that_leave_the_folder_are_refused(source, tmp_path, name):
    for path in source.iterdir():
        rows = pd.read_parquet(path)
        if "mutation" in rows:
            first = rows["mutation"].iat[0]
            rows["mutation"] = rows["mutation"].where(rows["mutation"] != first, name)
        rows.to_parquet(tmp_path / path.name, index=False)
    with pytest.raises(InputError, match="cannot name a file"):
        atlas.write(tmp_path / "data", "embedded", models=MODELS, source=tmp_path)


@pytest.mark.parametrize("name", ["", "gene/", "/R175H", "gene/../R175H"])
def test_no_part_of_a_name_is_empty_or_leads_up(tmp_path, name):
    with pytest.raises(InputError, match="cannot name a file"):
        atlas.write_shard(tmp_path, name, {})


def test_the_page_names_one_set_of_browsers():
    text = (paths.root() / "book" / "atlas.md").read_text(encoding="utf-8")
    named = re.findall(r"Chrome ([\d.]+), Firefox ([\d.]+), Safari ([\d.]+)", text)
    assert len(named) == 2 and len(set(named)) == 1


# --- tables that are missing or do not fit --------------------------------------------------------------------


def test_a_profile_that_was_not_scanned_says_so(tmp_path):
    report = atlas.write(tmp_path / "data", "paper", source=tmp_path / "results")
    index = shard(tmp_path / "data", "index")
    assert index["models"] == [] and index["genes"] == []
    assert index["missing"] == "results/paper/rescue_maps.<model>.parquet"
    assert report == "no rescue tables in this profile, the page says so"


@pytest.mark.parametrize("name", ["rescue", "rescue_variants", "rescue_wild_type"])
def test_half_a_scan_is_refused(source, tmp_path, name):
    for path in source.glob(f"*.{FIRST}.parquet"):
        if not path.name.startswith(f"{name}."):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=f"expected {name}.{FIRST}.parquet beside rescue_maps"):
        atlas.write(tmp_path / "data", "embedded", models=MODELS, source=tmp_path)


def changed(source, folder, name, change):
    """A copy of the results of the first model with one table changed."""
    for path in source.glob(f"*.{FIRST}.parquet"):
        (folder / path.name).write_bytes(path.read_bytes())
    change(table(source, name, FIRST)).to_parquet(folder / f"{name}.{FIRST}.parquet", index=False)


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("rescue_wild_type", lambda t: t.assign(A=t["A"] + 1), "another wild type"),
        ("rescue_maps", lambda t: t.assign(epistasis=[x[:-1] for x in t["epistasis"]]), "expected a map of .* numbers"),
        ("rescue", lambda t: t[t["mutation"] != t["mutation"].iat[0]], "without candidates"),
        ("rescue_maps", lambda t: t.assign(epistasis="text"), "expected bytes, found 'text'"),
        ("rescue_maps", lambda t: pd.concat([t, t]), "repeats row 1"),
    ],
)
def test_tables_of_two_runs_are_refused(source, tmp_path, name, change, message):
    changed(source, tmp_path, name, change)
    with pytest.raises(InputError, match=message):
        atlas.write(tmp_path / "data", "embedded", models=MODELS, source=tmp_path)
