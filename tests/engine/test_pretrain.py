"""Training: the mask, the order of the data, the schedule, and that a killed run ends like one that was not."""

import json

import esm
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import pretrain

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


def kill(path, monkeypatch, *, after):
    """A run that dies after so many steps."""
    real = pretrain.draw_batch

    def draw(sources, config, step):
        if step == after:
            raise KeyboardInterrupt
        return real(sources, config, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain, "draw_batch", draw)
        pretrain.train(path)


def without_seconds(path):
    """Log rows less their last column, which is a time."""
    return [line.rsplit("\t", 1)[0] for line in path.read_text().splitlines()]


def test_a_killed_run_ends_with_the_same_weights_and_the_same_log(tmp_path, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    finished = pretrain.train(write_run(whole))
    config = write_run(killed)
    kill(config, monkeypatch, after=6)  # the last checkpoint is of step 4: two steps are lost
    resumed = pretrain.train(config)
    one, two = load_file(finished), load_file(resumed)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert without_seconds(whole / "run" / "log.tsv") == without_seconds(killed / "run" / "log.tsv")


def test_the_loss_falls_and_the_record_says_what_was_done(tmp_path):
    # one protein over and over: learnable, and far below ln 20 = 3.0 nats
    config = write_run(tmp_path, steps=100, warmup=5, decay=20, learning_rate=0.02, checkpoint_every=50, log_every=5)
    for name in ("general", "orthologs"):
        (tmp_path / f"{name}.fasta").write_text(">a\nMKRLVDEMKRLVDEMKRLVDEMKRLVDE\n")
    path = pretrain.train(config)
    losses = [float(line.split("\t")[2]) for line in (tmp_path / "run" / "log.tsv").read_text().splitlines()[1:]]
    assert losses[0] > 2.5
    assert losses[-1] < 1.5
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["steps"] == 100
    assert record["parameters"] == sum(t.numel() for t in load_file(path).values())
    assert record["tokens_seen"] >= 100 * 128
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


def letters(proteins, drawn):
    """The residues of what `Proteins.draw` gave, as text."""
    return ["".join(ALPHABET.get_tok(int(token)) for token in proteins.tokens[start:end]) for _, start, end in drawn]


def texts(sources, batch):
    """The same for a whole batch."""
    return [letters(sources[name], [place])[0] for name, *place in batch]


def test_a_piece_lies_inside_its_protein_and_every_residue_is_read():
    proteins = pretrain.Proteins(["ACDEF" * 20, "KLM", "W"], ALPHABET)
    rng = np.random.default_rng(0)
    drawn = letters(proteins, (proteins.draw(rng, 40) for _ in range(4000)))
    assert {len(piece) for piece in drawn} == {40, 3, 1}
    assert all(piece in "ACDEF" * 20 for piece in drawn if len(piece) == 40)
    assert {piece for piece in drawn if len(piece) < 40} == {"KLM", "W"}
    # by residues: 100 of 104 draws are of the long protein, 3 of the middle one
    assert sum(len(piece) == 40 for piece in drawn) == pytest.approx(4000 * 100 / 104, rel=0.03)
    assert sum(len(piece) == 3 for piece in drawn) == pytest.approx(4000 * 3 / 104, rel=0.3)
    starts = {piece[:5] for piece in drawn if len(piece) == 40}
    assert len(starts) == 5  # pieces begin anywhere


def test_only_the_pool_is_drawn_from():
    proteins = pretrain.Proteins(["AAAA", "CCCC", "DDDD"], ALPHABET)
    rng = np.random.default_rng(0)
    assert set(letters(proteins, (proteins.draw(rng, 9, pool=2) for _ in range(100)))) == {"AAAA", "CCCC"}
    assert set(letters(proteins, (proteins.draw(rng, 9, pool=99) for _ in range(100)))) == {"AAAA", "CCCC", "DDDD"}


def test_the_curriculum_grows_the_pool_and_lets_a_source_join_late(tmp_path):
    config = pretrain.read_config(
        write_run(tmp_path, curriculum={"general.fasta": [-4, 2], "orthologs.fasta": [1, 1]}, tokens_per_step=2000)
    )
    sources = {
        "general.fasta": pretrain.Proteins(["AAAA", "CCCC"], ALPHABET),
        "orthologs.fasta": pretrain.Proteins(["DDDD", "EEEE", "FFFF"], ALPHABET),
    }
    seen = [set(texts(sources, pretrain.draw_batch(sources, config, step))) for step in range(5)]
    assert seen[0] == {"DDDD"}
    assert seen[1] == {"DDDD", "EEEE"}
    assert seen[2] == {"DDDD", "EEEE", "FFFF"}
    assert seen[3] == {"DDDD", "EEEE", "FFFF", "AAAA", "CCCC"}  # the pool of 2 holds both


def short_and_long():
    """Two sources of five proteins: of 30 residues A, and of 90 residues C."""
    return {
        "general.fasta": pretrain.Proteins(["A" * 30] * 5, ALPHABET),
        "orthologs.fasta": pretrain.Proteins(["C" * 90] * 5, ALPHABET),
    }


def test_a_batch_is_a_function_of_the_step_and_gives_each_source_its_share(tmp_path):
    config = pretrain.read_config(write_run(tmp_path, tokens_per_step=6000))
    sources = short_and_long()
    batch = pretrain.draw_batch(sources, config, 3)
    assert batch == pretrain.draw_batch(sources, config, 3) != pretrain.draw_batch(sources, config, 4)
    pieces = texts(sources, batch)
    assert [len(piece) for piece in pieces] == sorted(len(piece) for piece in pieces)
    assert {len(piece) for piece in pieces} == {30, 40}  # at most max_length
    assert np.mean([piece.startswith("C") for piece in pieces]) == pytest.approx(0.75, abs=0.1)


def test_what_was_read_is_counted_by_drawing_it_again(tmp_path):
    config = pretrain.read_config(write_run(tmp_path, tokens_per_step=100))
    sources = short_and_long()
    found = pretrain.count_read(sources, config, 50)
    batches = [piece for step in range(50) for piece in pretrain.draw_batch(sources, config, step)]
    assert found["orthologs.fasta"]["proteins"] == 5
    assert sum(each["pieces"] for each in found.values()) == len(batches)
    assert sum(each["residues"] for each in found.values()) == sum(len(text) for text in texts(sources, batches))


def test_pieces_are_short_before_whole_from(tmp_path):
    config = pretrain.read_config(write_run(tmp_path, crop=10, whole_from=6, sources={"general.fasta": 1.0}))
    sources = {"general.fasta": pretrain.Proteins(["A" * 90], ALPHABET)}
    assert {len(piece) for piece in texts(sources, pretrain.draw_batch(sources, config, 5))} == {10}
    assert {len(piece) for piece in texts(sources, pretrain.draw_batch(sources, config, 6))} == {40}


def test_heads_look_at_the_neighbours_they_are_told_to(tmp_path):
    """Attention of the untrained model, read off fair-esm's own forward pass."""
    told = [[-1, 1], [2, -3]]
    config = pretrain.read_config(write_run(tmp_path, dim=64, neighbours=told))
    model = pretrain.new_model(config).eval()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(4, 24, size=(1, 60)))
    with torch.no_grad():
        maps = model(tokens, need_head_weights=True)["attentions"][0]  # (layers, heads, 60, 60)
    for layer, offsets in enumerate(told):
        for head, offset in enumerate(offsets):
            inner = np.arange(5, 55)
            strongest = maps[layer, head].argmax(dim=-1).numpy()[inner]
            assert (strongest == inner + offset).mean() > 0.9
    plain = pretrain.new_model(pretrain.read_config(write_run(tmp_path, dim=64))).eval()
    with torch.no_grad():
        flat = plain(tokens, need_head_weights=True)["attentions"][0, 0, 0].argmax(dim=-1).numpy()
    assert (flat[5:55] == np.arange(5, 55) - 1).mean() < 0.3


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
        ({"neighbours": [[1]]}, "neighbours: expected at most 2 lists of 2 offsets"),
        ({"curriculum": {"else.fasta": [1, 1]}}, "'else.fasta' is none of the sources"),
        ({"curriculum": {"general.fasta": [1]}}, "expected .proteins at the start, proteins a step., found .1."),
        (
            {"sources": {"general.fasta": 1.0}, "curriculum": {"general.fasta": [0, 5]}},
            "no source has a protein in its pool",
        ),
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


def test_a_checkpoint_goes_on_with_its_own_settings_only(tmp_path, monkeypatch):
    kill(write_run(tmp_path), monkeypatch, after=5)
    with pytest.raises(InputError, match=r"learning_rate was 0\.005, is 0\.5"):
        pretrain.train(write_run(tmp_path, learning_rate=0.5))
    assert pretrain.train(write_run(tmp_path, steps=14)).is_file()  # a longer run is the same run


@pytest.mark.parametrize("changes", [{"steps": 6}, {"decay": 10}, {"whole_from": 2, "crop": 20}])
def test_a_schedule_is_not_changed_for_steps_already_made(tmp_path, changes, monkeypatch):
    kill(write_run(tmp_path, crop=20), monkeypatch, after=5)  # the checkpoint is of step 4
    with pytest.raises(InputError, match="would change the 4 steps already made"):
        pretrain.train(write_run(tmp_path, **{"crop": 20, **changes}))


def test_what_is_not_yaml_is_refused_with_its_line(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text("name: tiny\nlayers: [2\n")
    with pytest.raises(InputError, match="not YAML, line 3"):
        pretrain.read_config(path)


@pytest.mark.parametrize(("n", "expected"), [(2, ["A", "E"]), (3, ["A", "C", "E"]), (9, list("ABCDE"))])
def test_the_watched_proteins_are_as_many_as_asked_and_spread_evenly(tmp_path, n, expected):
    (tmp_path / "heldout.tsv").write_text("sequence\nA\nB\nC\nD\nE\n")
    assert pretrain._validation_sequences(tmp_path / "heldout.tsv", n) == expected
