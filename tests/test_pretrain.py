"""Training: the mask, the order of the data, the schedule, and that a killed run ends like one that was not."""

import json

import esm
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from plmbook import pretrain
from plmbook.errors import InputError
from plmbook.residues import AMINO_ACIDS

ALPHABET = esm.data.Alphabet.from_architecture("ESM-1b")


def write_run(folder, **changes):
    """A tiny run: 24 random proteins of two kinds, 12 steps, a checkpoint every 4."""
    rng = np.random.default_rng(0)
    for name in ("general", "orthologs"):
        proteins = ["".join(rng.choice(list(AMINO_ACIDS), size=n)) for n in rng.integers(10, 60, size=12)]
        (folder / f"{name}.fasta").write_text("".join(f">{name}{i}\n{p}\n" for i, p in enumerate(proteins)))
    (folder / "heldout.tsv").write_text("id\tsequence\na\tMKRLVDE\nb\tACDEFGHIKL\n")
    entries = {
        "name": "tiny",
        "seed": 1,
        "layers": 2,
        "dim": 16,
        "heads": 2,
        "data": str(folder),
        "sources": {"general.fasta": 0.25, "orthologs.fasta": 0.75},
        "validation": str(folder / "heldout.tsv"),
        "out": str(folder / "run"),
        "max_length": 40,
        "tokens_per_step": 128,
        "steps": 12,
        "warmup": 2,
        "decay": 4,
        "autocast": False,
        "checkpoint_every": 4,
        "log_every": 2,
        **changes,
    }
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(entries))
    return path


def without_seconds(path):
    """Log rows less their last column, which is a time."""
    return [line.rsplit("\t", 1)[0] for line in path.read_text().splitlines()]


def test_a_killed_run_ends_with_the_same_weights_and_the_same_log(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    finished = pretrain.train(write_run(whole))
    config = write_run(killed)
    assert pretrain.train(config, stop_after=6) is None  # the last checkpoint is of step 4: two steps are lost
    resumed = pretrain.train(config)
    one, two = load_file(finished), load_file(resumed)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert without_seconds(whole / "run" / "log.tsv") == without_seconds(killed / "run" / "log.tsv")


def test_the_loss_falls_and_the_record_says_what_was_done(tmp_path):
    # one protein over and over: learnable, and far below ln 20 = 3.0 nats
    config = write_run(tmp_path, steps=240, warmup=5, decay=20, learning_rate=0.01)
    for name in ("general", "orthologs"):
        (tmp_path / f"{name}.fasta").write_text(">a\nMKRLVDEMKRLVDEMKRLVDEMKRLVDE\n")
    path = pretrain.train(config)
    losses = [float(line.split("\t")[2]) for line in (tmp_path / "run" / "log.tsv").read_text().splitlines()[1:]]
    assert losses[0] > 2.5
    assert losses[-1] < 1.5
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["steps"] == 240
    assert record["parameters"] == sum(t.numel() for t in load_file(path).values())
    assert record["tokens_seen"] >= 240 * 128
    assert not [n for n in load_file(path) if "contact_head" in n or "inv_freq" in n or n == "lm_head.weight"]


def test_the_mask_is_that_of_bert():
    tokens = torch.from_numpy(np.tile([0, *range(4, 24), 24, 2], 2000))  # BOS, the 20, X, EOS
    corrupted, chosen = pretrain.corrupt(tokens, ALPHABET, 0.2, [3])
    assert not chosen[(tokens == 0) | (tokens == 2) | (tokens == 24)].any()
    assert torch.equal(corrupted[~chosen], tokens[~chosen])
    standard = 20 * 2000
    assert int(chosen.sum()) == pytest.approx(0.2 * standard, rel=0.05)
    shown = corrupted[chosen]
    masked = float((shown == ALPHABET.mask_idx).float().mean())
    kept = float((shown == tokens[chosen]).float().mean())
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / 20, abs=0.02)  # unchanged, or replaced by itself
    assert set(shown.tolist()) <= {ALPHABET.mask_idx, *range(4, 24)}
    again, _ = pretrain.corrupt(tokens, ALPHABET, 0.2, [3])
    assert torch.equal(corrupted, again)


def test_long_proteins_are_cut_into_pieces_that_cover_them():
    pieces = pretrain.Pieces(["A" * 10, "C" * 95, "D"], ALPHABET, max_length=40)
    spans = list(zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True))
    assert spans[0] == (0, 10)
    assert spans[-1] == (105, 106)
    assert len(spans) == 5  # 95 residues in three pieces
    assert all(end - start <= 40 for start, end in spans)
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]  # no residue lost, none twice


def test_sources_get_their_share_of_the_residues():
    sources = [
        (pretrain.Pieces(["A" * n for n in range(20, 60)], ALPHABET, 100), 0.25),
        (pretrain.Pieces(["C" * n for n in range(5, 30)], ALPHABET, 100), 0.75),
    ]
    stream = pretrain.batches(sources, 200, seed=0)
    seen = [0, 0]
    for _ in range(200):
        for number, piece in next(stream):
            pieces = sources[number][0]
            seen[number] += int(pieces.ends[piece] - pieces.starts[piece])
    assert seen[1] / sum(seen) == pytest.approx(0.75, abs=0.01)


def test_one_pass_reads_every_piece_once():
    pieces = pretrain.Pieces(["A" * n for n in range(1, 9)], ALPHABET, 100)
    stream = pretrain.batches([(pieces, 1.0)], 1, seed=5)
    assert sorted(next(stream)[0][1] for _ in range(len(pieces))) == list(range(len(pieces)))


def test_the_learning_rate_rises_stays_and_falls_to_zero(tmp_path):
    config = pretrain.read_config(write_run(tmp_path, learning_rate=1.0))
    rates = [pretrain.learning_rate(config, step) for step in range(13)]
    assert rates[:3] == [0.5, 1.0, 1.0]  # two steps of warm-up
    assert rates[8:] == [1.0, 0.75, 0.5, 0.25, 0.0]  # four of decay


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layerz": 3}, "unknown setting layerz"),
        ({"layers": "two"}, "layers: expected int, found 'two'"),
        ({"sources": ["a.fasta"]}, "sources: expected dict"),
        ({"dim": 17}, "multiple of heads"),
        ({"steps": 3}, "less than warmup"),
        ({"checkpoint_every": 3}, "multiple of log_every"),
        ({"validation": "nowhere.tsv"}, "nowhere.tsv"),
        ({"sources": {"nowhere.fasta": 1.0}}, "nowhere.fasta"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_reason(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        pretrain.train(write_run(tmp_path, **changes))


def test_a_missing_setting_or_file_is_named(tmp_path):
    path = write_run(tmp_path)
    entries = yaml.safe_load(path.read_text())
    del entries["layers"]
    path.write_text(yaml.safe_dump(entries))
    with pytest.raises(InputError, match="missing setting layers"):
        pretrain.read_config(path)
    with pytest.raises(InputError, match="no such file"):
        pretrain.read_config(tmp_path / "absent.yml")


def test_a_checkpoint_goes_on_with_its_own_settings_only(tmp_path):
    pretrain.train(write_run(tmp_path), stop_after=5)
    with pytest.raises(InputError, match=r"learning_rate was 0\.001, is 0\.5"):
        pretrain.train(write_run(tmp_path, learning_rate=0.5))
    assert pretrain.train(write_run(tmp_path, steps=14)) is not None  # a longer run is the same run


def test_what_is_not_yaml_is_refused_with_its_line(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text("name: tiny\nlayers: [2\n")
    with pytest.raises(InputError, match="not YAML, line 3"):
        pretrain.read_config(path)


def test_gradients_shared_out_over_threads_are_those_of_one_pass(tmp_path):
    config = pretrain.read_config(write_run(tmp_path))
    model = pretrain.new_model(config)
    parameters = [p for n, p in model.named_parameters() if not n.startswith("contact_head")]
    lengths = [12, 30, 7, 25, 9]
    targets = torch.randint(4, 24, (sum(lengths),), generator=torch.Generator().manual_seed(0))
    tokens, chosen = pretrain.corrupt(targets, ALPHABET, 0.3, [1])
    answers = [
        pretrain.gradients(model, parameters, tokens, lengths, chosen, targets, workers=n, autocast=False)
        for n in (1, 2, 5)
    ]
    for loss, gradients in answers[1:]:
        assert loss == pytest.approx(answers[0][0], rel=1e-5)
        for one, many in zip(answers[0][1], gradients, strict=True):
            assert torch.allclose(one, many, atol=1e-6)
    with torch.no_grad():
        whole = float(pretrain.loss_of(model, tokens, lengths, chosen, targets))
    assert answers[0][0] == pytest.approx(whole, rel=1e-5)


def test_shares_cover_a_batch_between_sequences():
    shares = pretrain._shares([10, 10, 5, 5, 30], 2)
    assert shares == [(0, 30, [10, 10, 5, 5]), (30, 60, [30])]
    assert pretrain._shares([7], 2) == [(0, 7, [7])]


@pytest.mark.parametrize(("n", "expected"), [(2, ["A", "E"]), (3, ["A", "C", "E"]), (9, list("ABCDE"))])
def test_the_watched_proteins_are_as_many_as_asked_and_spread_evenly(tmp_path, n, expected):
    (tmp_path / "heldout.tsv").write_text("sequence\nA\nB\nC\nD\nE\n")
    assert pretrain._validation_sequences(tmp_path / "heldout.tsv", n) == expected
