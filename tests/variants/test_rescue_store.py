"""The file of candidates: whole or not there, the same bytes whether or not it was interrupted, never another job's."""

import numpy as np
import pandas as pd
import pytest

from fakes import FakeModel, seeded
from plmbook import tables
from plmbook.core.errors import InputError
from plmbook.variants import rescue, rescue_store
from plmbook.variants.rescue_tables import RESCUE

PROTEINS = pd.DataFrame({"id": ["a", "b", "c"], "sequence": ["MKRLVAEDGH", "ACDEFGHIKL", "WYVTSRQPNM"]})
VARIANTS = pd.DataFrame(
    {"id": ["b", "a", "b", "c"], "mutation": ["C2W", "p.Arg3His", "A1D:C2W", "Y2A"], "note": ["x", "y", "z", ""]}
)


def written(path, model=None, **changes):
    """Write the toy table; returns the proteins that were computed."""
    options = {"proteins": PROTEINS, "variants": VARIANTS, "top": 5} | changes
    return rescue_store.write(path, model or FakeModel(seeded), **options)


def fails_at(letter):
    """A model that is killed when it reads a protein that starts so."""

    def function(sequence):
        if sequence[0] == letter:
            raise KeyboardInterrupt
        return seeded(sequence)

    return FakeModel(function)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_holds_the_candidates_of_all_variants_and_their_columns(tmp_path):
    path = tmp_path / "out.parquet"
    assert written(path) == 3
    found = pd.read_parquet(path)
    assert files(tmp_path) == ["out.parquet"]
    assert list(found.columns) == [*RESCUE.names, "note"]
    assert found.drop_duplicates(["id", "mutation"])[["id", "mutation", "note"]].values.tolist() == [
        ["b", "C2W", "x"],
        ["b", "A1D:C2W", "z"],
        ["a", "R3H", "y"],
        ["c", "Y2A", ""],
    ]
    assert found["note"].groupby(found["mutation"]).nunique().tolist() == [1, 1, 1, 1]
    tables.read_table(path, RESCUE)
    jobs = rescue.jobs(PROTEINS, VARIANTS)
    parts = [each.candidates for job in jobs for each in rescue.scan_job(FakeModel(seeded), job, top=5)]
    pd.testing.assert_frame_equal(found.drop(columns="note"), pd.concat(parts, ignore_index=True))


def test_a_job_that_was_killed_goes_on_and_gives_the_same_bytes(tmp_path):
    whole, path = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    written(whole)
    with pytest.raises(KeyboardInterrupt):
        written(path, fails_at("M"))  # in the second protein
    assert files(tmp_path) == ["out.parquet.parts", "whole.parquet"]
    (part,) = files(tmp_path / "out.parquet.parts")
    (tmp_path / "out.parquet.parts" / f".{part}").write_bytes(b"half")  # as a process that is killed while it writes
    model = FakeModel(seeded)
    assert written(path, model) == 2
    assert {text[0] for batch in model.batches for text in batch} == {"M", "W"}  # the first protein is not run again
    assert files(tmp_path) == ["out.parquet", "whole.parquet"]
    assert path.read_bytes() == whole.read_bytes()


def test_a_complete_job_is_not_run_again(tmp_path):
    path = tmp_path / "out.parquet"
    written(path)
    before, model = path.read_bytes(), FakeModel(seeded)
    leftover = tmp_path / "out.parquet.parts"
    leftover.mkdir()  # killed after the last part was removed
    assert written(path, model) == 0
    assert model.n_forwards == 0 and path.read_bytes() == before and not leftover.exists()
    assert written(path, top=4) == 3  # another job replaces it
    assert (pd.read_parquet(path)["rank"] <= 4).sum() == 4 * 4
    assert written(path, variants=VARIANTS.assign(note="new"), top=4) == 3
    assert set(pd.read_parquet(path)["note"]) == {"new"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"top": 4}, "top was 5, now 4"),
        ({"long": "error"}, "long was 'window', now 'error'"),
        ({"model": FakeModel(seeded, weights_hash="1" * 64)}, "models was .*0000.*, now .*1111"),
        ({"orthologs": {"b": np.zeros((2, 10), dtype=np.int8)}}, "orthologs was ''"),
        ({"variants": VARIANTS[VARIANTS["id"] != "b"]}, "is of protein 'b' of another job"),
        ({"variants": VARIANTS.drop(index=0)}, "variants was"),
        ({"proteins": PROTEINS.assign(sequence=PROTEINS["sequence"] + "A")}, "sequence was"),
    ],
)
def test_parts_of_another_job_are_refused_and_kept(tmp_path, changes, why):
    path = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        written(path, fails_at("M"))
    before = files(tmp_path / "out.parquet.parts")
    with pytest.raises(InputError, match=why):
        written(path, **changes)
    assert files(tmp_path / "out.parquet.parts") == before and not path.exists()


def test_a_file_that_is_no_part_is_refused(tmp_path):
    path, folder = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    with pytest.raises(KeyboardInterrupt):
        written(path, fails_at("M"))
    (part,) = folder.iterdir()
    part.write_bytes(part.read_bytes()[:-20])  # cut short
    with pytest.raises(InputError, match="none of this command's files, or is damaged"):
        written(path)


def test_faults_of_the_input_are_found_before_anything_is_made(tmp_path):
    path, model = tmp_path / "out.parquet", FakeModel(seeded)
    for changes, why in (
        ({"variants": VARIANTS.assign(mutation="C2W")}, "2 of 4 variants cannot be scored"),
        ({"variants": VARIANTS.rename(columns={"note": "epistasis"})}, "columns that are written: epistasis"),
        ({"variants": VARIANTS.head(0)}, "no rows"),
        ({"variants": pd.concat([VARIANTS, VARIANTS])}, "variant 3, C2W: comes twice"),
        ({"top": 0}, "top 0: expected at least one"),
    ):
        with pytest.raises(InputError, match=why):
            written(path, model, **changes)
    assert model.n_forwards == 0 and not files(tmp_path)


def test_an_ensemble_writes_members_and_mean(tmp_path):
    path = tmp_path / "out.parquet"
    models = [FakeModel(seeded, name="one"), FakeModel(lambda s: 2 * seeded(s), name="two")]
    assert written(path, models) == 3
    found = pd.read_parquet(path)
    assert found.drop_duplicates(["id", "model"])[["id", "model"]].values.tolist() == [
        [protein, model] for protein in "bac" for model in ("one", "two", "mean")
    ]
    assert (found["rank"] <= 5).sum() == 3 * 4 * 5


def test_the_precision_of_a_job_is_known_from_its_first_part_on(tmp_path):
    path = tmp_path / "out.parquet"
    assert rescue_store.precisions(path) == {}
    with pytest.raises(KeyboardInterrupt):
        written(path, half(fails_at("M")))
    assert rescue_store.precisions(path) == {"fake": "bfloat16"}
    with pytest.raises(InputError, match="models was .*'bfloat16'.*, now .*'float32'"):
        written(path, half(FakeModel(seeded), "float32"))
    assert written(path, half(FakeModel(seeded))) == 2
    assert rescue_store.precisions(path) == {"fake": "bfloat16"}


def half(model, dtype="bfloat16"):
    model.dtype = dtype
    return model


def test_a_gene_is_known_by_its_sequence():
    genes = pd.DataFrame({"gene": ["G", "H"], "sequence": ["MK", "MKR"]})
    places = {name: 0.0 for name in ("cb_x", "cb_y", "cb_z")}
    structures = pd.DataFrame({"gene": "G", "position": [1, 2], "residue": ["M", "K"], "plddt": 90.0} | places)
    orthologs = pd.DataFrame({"gene": ["G"], "assembly": ["mm10"], "aligned": [".R"]})
    proteins = pd.DataFrame({"id": ["mine", "other", "h"], "sequence": ["MK", "MKL", "MKR"]})
    found, aligned = rescue_store.of_bundled_genes(proteins, genes, structures, orthologs)
    assert list(found) == list(aligned) == ["mine"]
    assert found["mine"].sequence == "MK" and aligned["mine"].shape == (1, 2)
