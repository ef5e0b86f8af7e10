"""The scripts of benchmarks/: each way computes the same, turns are fair, every part runs at a tiny size."""

import importlib
import json
import os
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from miniature import REPOSITORY
from plmbook import models

FOLDER = str(REPOSITORY / "benchmarks")
sys.path.insert(0, FOLDER)  # as where they are run: they import each other
try:
    common, engine, go, gpu, rescue, turns, unirep, ways = map(
        importlib.import_module, ("common", "engine", "go", "gpu", "rescue", "turns", "unirep", "ways")
    )
finally:
    sys.path.remove(FOLDER)

TINY = replace(models.card("esm2_8M"), name="tiny", layers=2, dim=32, heads=4, max_length=60)
SEQUENCES = ["MKTAYIAKQRQISFVK", "MK", "GSHMLEDPVNWCTFRQYKIA", "MKXA"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the weights of the tiny model, whose card the ways find."""
    monkeypatch.setattr(ways, "card_of", lambda name, max_length=None: TINY)
    ways.write_weights(tmp_path, "tiny")
    return str(tmp_path)


# --- the ways --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["transformers", "plmbook"])
def test_every_way_gives_what_fair_esm_gives(folder, way):
    reference = ways.make_way("fair-esm", "tiny", "float32", folder)(SEQUENCES)
    found = ways.make_way(way, "tiny", "float32", folder)(SEQUENCES)
    assert found.shape == (4, 32) and found.dtype == np.float32
    assert np.abs(found - reference).max() < 1e-4
    assert np.abs(reference).max() > 0.1  # there is something to agree on
    alike = common.agreement(ways.make_way(way, "tiny", "bfloat16", folder)(SEQUENCES), reference)
    assert alike["smallest_centred_cosine"] > 0.99
    assert alike["largest_difference"] > 1e-4  # another arithmetic did run


def test_a_weight_that_transformers_does_not_get_is_an_error(folder):
    state = ways.random_network(TINY).state_dict()
    del state["layers.1.fc1.bias"]
    with pytest.raises(RuntimeError, match="layer.1.intermediate.dense.bias"):
        ways.transformers_network(TINY, state, "float32")


def test_random_weights_leave_nothing_at_its_default():
    network = ways.random_network(TINY)
    for name, parameter in network.named_parameters():
        if not name.startswith("contact_head"):
            assert parameter.std() > 0.01, name
    fresh = ways.random_network(TINY)
    assert all((a == b).all() for a, b in zip(network.parameters(), fresh.parameters(), strict=True))
    rotary = network.layers[0].self_attn.rot_emb.inv_freq
    assert np.allclose(rotary, 10000.0 ** -(np.arange(0, 8, 2) / 8))


def test_padded_batches_keep_to_the_budget_and_hold_each_index_once():
    sizes = [5, 60, 7, 31, 30, 5]
    groups = ways.padded_batches(sizes, 64)
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert all(max(sizes[i] for i in group) * len(group) <= 64 for group in groups)


def test_rate_of_a_matrix_product_is_a_rate():
    small, large = (ways.matrix_rate((n, n, n), "float32", seconds=0.01) for n in (8, 256))
    assert 0 < small < large


# --- what they are given ---------------------------------------------------------------------------------


def test_proteins_have_the_lengths_of_all():
    few, many = (sorted(map(len, common.proteins(n))) for n in (8, 448))
    assert len(few) == 8 and max(many) <= common.LONGEST
    assert few != common.proteins(8, seed=1)
    assert np.allclose(np.quantile(few, [0.25, 0.75]), np.quantile(many, [0.25, 0.75]), rtol=0.35)
    assert common.proteins(8) == common.proteins(8)


def test_proteome_lengths_add_up_and_are_as_long_as_the_table_says():
    lengths = common.proteome_lengths(300_000)
    assert 300_000 <= sum(lengths) < 305_001
    assert 480 < np.mean(lengths) < 680  # 19.5 million residues in 33,537 proteins: 582
    assert min(lengths) >= 30 and max(lengths) <= 5000


def test_flop_counts_linear_maps_and_attention():
    card = replace(TINY, layers=1, dim=2)
    assert common.flop(card, [3]) == 3 * 24 * 4 + 4 * 2 * 9
    assert common.flop(card, [3, 3]) == 2 * common.flop(card, [3])


def test_agreement_takes_the_common_mean_off():
    reference = np.array([[100.0, 1.0], [100.0, -1.0]])
    found = common.agreement(reference * [[1, -1], [1, -1]], reference)  # what tells the two apart is turned round
    assert found["largest_difference"] == 2
    assert found["smallest_cosine"] > 0.999
    assert found["smallest_centred_cosine"] == pytest.approx(-1)


# --- turns -----------------------------------------------------------------------------------------------


def test_turns_alternate_and_stop_in_time():
    order = []
    calls = {name: lambda name=name: order.append(name) or name for name in "ab"}
    assert turns.take_turns(calls, turns=3, seconds=60) == {"a": ["a"] * 3, "b": ["b"] * 3}
    assert "".join(order) == "abbaab"
    assert turns.take_turns(calls, turns=9, seconds=0)["a"] == ["a"] * 2


def test_a_worker_has_its_environment_and_its_own_memory(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # the other process imports `turns`, too
    with turns.Worker(partial, os.getenv, environment={"MALLOC_TOP_PAD_": "4096"}) as worker:
        seconds, found = worker.call("MALLOC_TOP_PAD_", keep=True)
        assert found == "4096" and seconds >= 0 and worker.peak_mib > 1
        with pytest.raises(RuntimeError, match="in a worker: TypeError: str expected, not int"):
            worker.call(3)
    assert "MALLOC_TOP_PAD_" not in os.environ


def test_a_worker_does_not_inherit_the_peak_of_its_parent(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    held = np.ones(64 * 2**20)  # 512 MiB
    assert common.peak_memory() > held.nbytes / 2**20
    del held
    with turns.Worker(partial, os.getenv) as worker:
        worker.call("PATH")
        assert worker.peak_mib < 300


# --- the parts -------------------------------------------------------------------------------------------


def test_check_says_how_fast_this_machine_is(capsys, monkeypatch):
    monkeypatch.setattr(common, "proteins", lambda n: SEQUENCES[:3])
    assert engine.main(["check"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["ways"][:2]
    assert (first["way"], second["way"]) == ("fair-esm", "plmbook")
    assert second["smallest_centred_cosine"] > 0.99999
    assert second["times_fair_esm"]["low"] <= second["times_fair_esm"]["median"]


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        engine.main(["sacn"])
    assert stopped.value.code == 2
    assert "unknown part sacn" in capsys.readouterr().err


def test_the_two_scans_agree(tmp_path):
    """The published way and ours, in this process, on two backgrounds."""
    name = models.card("embedded").name
    ways.write_weights(tmp_path, name)
    sequence, rows = rescue.backgrounds(2)
    assert (rows["significance"] == "P/LP").all()
    published = rescue.published_worker(name, str(tmp_path))(sequence, rows)
    ours = rescue.plmbook_worker(name, str(tmp_path), "float32")(sequence, rows)
    assert published["scores"].shape == ours["scores"].shape == (2, len(sequence), 20)
    elsewhere = np.arange(len(sequence)) != (rows["position"].to_numpy() - 1)[:, None]
    found = rescue.agreement(ours["scores"], published["scores"], elsewhere)
    assert found["largest_difference"] < 1e-3 and found["shared_of_50_best"] > 0.95
    assert ours["bytes"] < published["bytes"] / 5


def test_the_part_on_go_terms_runs_and_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(FOLDER)  # the hidden states are computed in another process
    assert engine.main(["go", "--quick", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "go.json").read_text())
    took, judged = record["time"], record["quality"]
    assert took["exact_identical"] == took["exact_compared"] == 4  # to the last bit
    assert all(0.02 < share < 0.31 for share in took["prevalence"])
    own, ours = took["seconds"]["independent"], took["seconds"]["fast"]
    ratio = sorted(sum(a) / sum(b) for a, b in zip(own, ours, strict=True))
    assert took["times_independent"]["fast"]["low"] == pytest.approx(ratio[0], rel=1e-3)
    assert judged["model"] == models.card("embedded").name and judged["layers"] == [6] and record["quick"]
    means = judged["mean_auprc"]
    assert judged["difference"]["value"] == pytest.approx(means["fast"] - means["independent"], abs=1e-4)
    assert judged["difference"]["low"] <= judged["difference"]["high"]
    assert len(judged["terms"]) == len(judged["auprc"]["fast"]) > 0
    assert "4 of 4 labels identical to the last bit" in capsys.readouterr().out


def test_layers_stand_side_by_side_and_rows_stay_in_order():
    from plmbook.engine import encode

    sequences = ["MKTAYIAKQRQISFVK", "MKVL", "GSHMLEDPVNWCTFRQYKIA"]
    model = models.load("embedded", device="cpu")
    found, described = go.hidden_states("embedded", sequences, model.card.dim + 10)
    assert described["layers"] == [model.card.layers, model.card.layers - 1]
    last, before = (encode.embed(model, sequences, layer=layer) for layer in described["layers"])
    assert np.allclose(found, np.concatenate([last, before[:, :10]], axis=1), atol=1e-5)


def test_every_part_for_the_gpu_runs_and_is_kept(tmp_path, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(gpu.common, "write", lambda name, record, folder: written.append((name, json.dumps(record))))
    record = gpu.run(tmp_path, device="cpu", minutes=10, quick=True, dtype="float32")
    assert list(record["sizes"]) == ["650M", "15B", "3B"]
    assert all(run["complete"] and run["residues"] >= 4000 for run in record["sizes"].values())
    assert {"scan", "transformers", "budgets", "growth", "projections"} <= set(record)
    assert "cut" not in record
    assert record["transformers"]["650M"]["smallest_cosine"] > 0.9999
    minutes = 20_000_000 / record["sizes"]["15B"]["residues_per_second"] / 60
    assert record["projections"]["proteomes"]["minutes"] == pytest.approx(minutes)
    assert len(written) >= 6 and {name for name, _ in written} == {"gpu"}  # after every part


def test_a_gpu_run_without_time_keeps_what_it_has(tmp_path):
    record = gpu.run(tmp_path, device="cpu", minutes=0.0001, quick=True, dtype="float32")
    kept = json.loads((tmp_path / "gpu.json").read_text())
    assert list(record["sizes"]) == ["650M"] and not record["sizes"]["650M"]["complete"]
    assert kept["cut"] == record["cut"] and "15B" in kept["cut"]
    assert kept["sizes"]["650M"]["residues"] == record["sizes"]["650M"]["residues"]


def test_a_part_that_fails_on_a_gpu_does_not_end_the_run(tmp_path, monkeypatch):
    real = gpu.throughput

    def failing(run, size, *rest, **options):
        if size == "15B":
            raise MemoryError("too large")
        return real(run, size, *rest, **options)

    monkeypatch.setattr(gpu, "throughput", failing)
    record = gpu.run(tmp_path, device="cpu", minutes=10, quick=True, dtype="float32")
    assert record["failed"] == {"15B": "MemoryError: too large"}
    assert list(record["sizes"]) == ["650M", "3B"] and record["growth"]


# --- the committed results -------------------------------------------------------------------------------


def test_results_hold_every_timing_and_the_machine():
    found = {path.stem: json.loads(path.read_text()) for path in common.RESULTS.glob("*.json")}
    assert {"embedding", "scan", "growth", "precision"} <= set(found)
    for name, record in found.items():
        assert record["machine"]["processor"] and record["versions"]["torch"] and record["date"], name
        assert not record.get("quick"), f"{name} is a rehearsal"
    assert [run["model"] for run in found["embedding"]["runs"]] == [size.name for size in engine.SIZES]
    for run in found["embedding"]["runs"]:
        n_turns = {len(way["seconds"]) for way in run["ways"]}
        assert len(n_turns) == 1 and n_turns.pop() >= 2
        for way in run["ways"]:
            rate = sorted(run["residues"] / seconds for seconds in way["seconds"])
            assert way["residues_per_second"]["low"] == pytest.approx(rate[0], rel=1e-3)


def test_results_agree_with_fair_esm_as_closely_as_is_promised():
    record = json.loads((common.RESULTS / "embedding.json").read_text())
    for run in record["runs"]:
        for way in run["ways"]:
            exact = way["dtype"] == "float32"
            assert way["smallest_cosine"] > (0.99999 if exact else 0.9999), (run["model"], way["way"])
            assert way["smallest_centred_cosine"] > (0.99999 if exact else 0.995), (run["model"], way["way"])


def test_nothing_was_lost_in_the_committed_proofs():
    kill, million, cluster = (
        json.loads((common.RESULTS / f"{n}.json").read_text()) for n in ("kill", "million", "cluster")
    )
    assert kill["identical"] == kill["kept"] == len(kill["runs"]) >= 50
    assert million["found"]["proteins_in_order"] == million["proteins"] == 1_000_000
    assert million["mib_at_100_percent"] < 1.1 * million["mib_at_10_percent"]
    assert cluster["identical"] and 0 < cluster["shards_at_the_kill"] < cluster["shards"]


# --- UniRep ----------------------------------------------------------------------------------------------


def test_the_limit_of_unirep_counts_its_two_products():
    assert unirep.flop() == 2 * 5 * 1900**2
    assert unirep.limit("float32", seconds=0.01) > 1e8
