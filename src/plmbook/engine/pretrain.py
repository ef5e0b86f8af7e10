"""Masked language modelling with ESM-2's architecture and task (Lin et al. 2023): `plmbook pretrain CONFIG.yml`.

Sequences are packed end to end (no padding).  All that is random is a function of the configuration, the files and the
step: a run that was killed goes on with the same batches, masks and weights (same machine and number of threads).
Three things make few tokens go far (`data/README.md` has the measurements): heads that look at their neighbours from
the first step on, a pool of proteins that grows (`Config.curriculum`), and Muon on the matrices (Jordan et al. 2024).
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, get_origin

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from tqdm import tqdm

from plmbook.core.artifacts import file_sha256, write_atomically, write_json
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models import packed
from plmbook.tables import read_fasta
from plmbook.tables.readers import read_delimited
from plmbook.tables.schema import refuse_missing_columns

# What a run may change when it goes on: its schedule from here on, where things lie, what is written down on the way.
_CHANGEABLE = frozenset(
    "steps decay whole_from data out validation validation_proteins checkpoint_every log_every".split()
)
_LOG_COLUMNS = ("step", "tokens", "loss", "validation_loss", "learning_rate", "seconds")


@dataclass(frozen=True)
class Config:
    """One training run, as written in its YAML file. `curriculum`: source -> (proteins in the pool at the start, that
    join at each step), in the file's order; without an entry all are in it; below zero a source joins later.
    """

    name: str
    seed: int
    layers: int
    dim: int
    heads: int
    data: str  # folder of the FASTA files
    sources: dict[str, float]  # FASTA path, relative to `data` -> its share of the pieces of every batch
    validation: str  # TSV with a `sequence` column: held-out families
    out: str  # folder of checkpoint, log and final weights
    validation_proteins: int = 100  # evenly spaced in the file; read at each checkpoint
    curriculum: dict[str, list] = field(default_factory=dict)
    neighbours: list[list[int]] = field(default_factory=list)  # of the first layers: at which each head looks at first
    max_length: int = 1022  # residues; of a longer protein a piece is read
    crop: int = 254  # residues of a piece before step `whole_from`; then `max_length`
    whole_from: int = 0
    tokens_per_step: int = 4096
    mask_share: float = 0.15  # of the residues of a step enter the loss
    steps: int = 10_000
    warmup: int = 200  # steps, linear
    decay: int = 1_000  # last steps, linear to zero; constant in between
    learning_rate: float = 5e-3  # of Muon, scaled to the size of AdamW's updates, and of AdamW on what is no matrix
    betas: tuple[float, float] = (0.9, 0.98)  # of AdamW
    momentum: float = 0.95  # of Muon
    weight_decay: float = 0.01  # of the matrices
    clip: float = 1.0  # gradient norm
    autocast: bool = True  # bfloat16 matrix products on float32 weights
    checkpoint_every: int = 200  # steps
    log_every: int = 20  # steps


def read_config(path: str | Path) -> Config:
    """The configuration in a YAML file; what is unknown, missing, of a wrong type or at odds is an InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a training configuration in YAML")
    try:
        entries = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise InputError(f"{path}: not YAML{f', line {place.line + 1}' if place else ''}") from None
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected a mapping of settings, found {type(entries).__name__}")
    known = {f.name: f for f in fields(Config)}
    optional = {name for name, f in known.items() if f.default is not MISSING or f.default_factory is not MISSING}
    if unknown := sorted(set(entries) - set(known)):
        raise InputError(f"{path}: unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if missing := [name for name in known if name not in optional | set(entries)]:
        raise InputError(f"{path}: missing setting {', '.join(missing)}")
    for name, value in entries.items():
        kind: Any = get_origin(known[name].type) or known[name].type
        fitting: Any = {float: (int, float), tuple: list}.get(kind, kind)
        if not isinstance(value, fitting) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path}: {name}: expected {kind.__name__}, found {value!r}")
    config = Config(**entries)
    for fault in _faults(config):
        raise InputError(f"{path}: {fault}")
    return config


def _faults(config: Config) -> Iterator[str]:
    """What is at odds within a configuration."""
    if config.dim % config.heads or (config.dim // config.heads) % 2:
        yield f"dim {config.dim} must be an even multiple of heads {config.heads}"
    if len(config.neighbours) > config.layers or any(len(offsets) != config.heads for offsets in config.neighbours):
        yield f"neighbours: expected at most {config.layers} lists of {config.heads} offsets, a head one"
    for name, entry in config.curriculum.items():
        if name not in config.sources:
            yield f"curriculum: {name!r} is none of the sources {', '.join(config.sources)}"
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(n, int) for n in entry)):
            yield f"curriculum: {name}: expected [proteins at the start, proteins a step], found {entry!r}"
    if all(_pool(config.curriculum.get(name), 0) <= 0 for name in config.sources):
        yield "curriculum: no source has a protein in its pool at the first step"
    if config.checkpoint_every % config.log_every:
        yield "checkpoint_every must be a multiple of log_every, or a resumed log would differ"
    if config.steps < config.warmup + config.decay:
        yield f"steps {config.steps} is less than warmup {config.warmup} + decay {config.decay}"


class Proteins:
    """Tokenised proteins in one flat array, in the order of their file, without BOS and EOS."""

    def __init__(self, sequences: list[str], alphabet):
        table = np.full(256, alphabet.unk_idx, dtype=np.uint8)
        for letter in AMINO_ACIDS + "XBZUO":
            table[ord(letter)] = alphabet.get_idx(letter)
        # uint8 (R,): all residues, proteins end to end; protein p lies in `tokens[edges[p]:edges[p + 1]]`
        self.tokens = table[np.frombuffer("".join(sequences).encode("ascii"), dtype=np.uint8)]
        self.edges = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)

    def draw(self, rng: np.random.Generator, length: int, pool: float = math.inf) -> tuple[int, int, int]:
        """Number, start and end of a piece around a random residue of the first `pool` proteins: a shorter protein
        whole, a piece over an end moved in, so that ends and short proteins are read less often.
        """
        last = int(min(pool, len(self.edges) - 1))
        residue = rng.integers(self.edges[last])
        protein = np.searchsorted(self.edges, residue, side="right") - 1
        first, end = self.edges[protein], self.edges[protein + 1]
        start = max(first, min(residue - rng.integers(length), end - length))
        return int(protein), int(start), int(min(start + length, end))


def draw_batch(sources: dict[str, Proteins], config: Config, step: int) -> list[tuple[str, int, int, int]]:
    """The pieces of one step, (source, protein, start, end): at least `tokens_per_step` tokens with BOS and EOS, the
    shortest first, since attention runs over equal lengths at once.
    """
    rng = np.random.default_rng([config.seed, 1, step])
    names = list(config.sources)
    shares = np.array([config.sources[name] for name in names], dtype=float)
    pools = np.array([_pool(config.curriculum.get(name), step) for name in names])
    shares *= pools > 0
    length = config.max_length if step >= config.whole_from else min(config.crop, config.max_length)
    pieces, n_tokens = [], 0
    while n_tokens < config.tokens_per_step:
        number = rng.choice(len(names), p=shares / shares.sum())
        protein, start, end = sources[names[number]].draw(rng, length, pool=pools[number])
        pieces.append((names[number], protein, start, end))
        n_tokens += end - start + 2
    return sorted(pieces, key=lambda piece: piece[3] - piece[2])


def count_read(sources: dict[str, Proteins], config: Config, steps: int) -> dict[str, dict[str, int]]:
    """By source the `pieces`, `proteins` (distinct) and `residues` (with repeats) of some steps, drawn again."""
    proteins: dict[str, set[int]] = {name: set() for name in sources}
    found = {name: {"pieces": 0, "residues": 0} for name in sources}
    for step in range(steps):
        for name, protein, start, end in draw_batch(sources, config, step):
            proteins[name].add(protein)
            found[name]["pieces"] += 1
            found[name]["residues"] += end - start
    return {name: {"proteins": len(proteins[name]), **counts} for name, counts in found.items()}


def _pool(curriculum, step: int) -> float:
    """How many of the first proteins of a source may be drawn at a step; 0 or less: the source has yet to join."""
    return math.inf if curriculum is None else curriculum[0] + curriculum[1] * step


def corrupt(tokens: torch.Tensor, alphabet, share: float, seed: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask tokens (N,) as BERT and ESM do: the corrupted tokens, int64 (N,), and which were chosen, bool (N,).  `share`
    of the standard residues are (never BOS, EOS or unknown): 80 % become <mask>, 10 % a random residue, 10 % stay.
    """
    rng = np.random.default_rng(seed)
    standard = np.array([alphabet.get_idx(a) for a in AMINO_ACIDS])
    chosen = torch.from_numpy(rng.random(len(tokens)) < share) & torch.isin(tokens, torch.from_numpy(standard))
    dice = torch.from_numpy(rng.random(len(tokens)))
    random = torch.from_numpy(standard[rng.integers(len(standard), size=len(tokens))])
    corrupted = torch.where(chosen & (dice < 0.8), alphabet.mask_idx, tokens)
    return torch.where(chosen & (dice >= 0.9), random, corrupted), chosen


def learning_rate(config: Config, step: int) -> float:
    """Linear warm-up, constant, linear decay to zero over the last `decay` steps (step counts from 0)."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    fall = min(1.0, (config.steps - step) / max(1, config.decay))
    return config.learning_rate * min(rise, fall)


def _masked_loss(model, pieces: list[np.ndarray], config: Config, share: float, seed: list[int]):
    """Mean cross-entropy (nats, over the whole vocabulary) at the chosen residues of pieces, and how many these are."""
    alphabet, device = model.alphabet, next(model.parameters()).device
    parts = [part for piece in pieces for part in ([alphabet.cls_idx], piece, [alphabet.eos_idx])]
    tokens, lengths = torch.from_numpy(np.concatenate(parts).astype(np.int64)), [len(piece) + 2 for piece in pieces]
    corrupted, chosen = corrupt(tokens, alphabet, share, seed)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.autocast):
        x = packed.hidden_states(model, corrupted.to(device), lengths)[len(model.layers)][chosen.to(device)]
        loss = F.cross_entropy(packed.lm_logits(model, x).float(), tokens.to(device)[chosen.to(device)])
    return loss, int(chosen.sum())


def _validation_loss(model, sequences: list[str], config: Config) -> float:
    """Mean loss (nats, over the whole vocabulary) on held-out families, 15 % of the residues chosen with a fixed seed:
    a curve to watch, not the book's perplexity (`variants.studies.heldout_likelihood` masks every chosen residue).
    """
    proteins = Proteins(sequences, model.alphabet)
    pieces = [piece[: config.max_length] for piece in np.split(proteins.tokens, proteins.edges[1:-1])]
    total, count = 0.0, 0
    with torch.no_grad():
        for first in range(0, len(pieces), 16):
            loss, n_chosen = _masked_loss(model, pieces[first : first + 16], config, 0.15, [config.seed, 7, first])
            total += float(loss) * n_chosen
            count += n_chosen
    return total / count


def new_model(config: Config):
    """A random `esm.ESM2`: weights normal(0, fan-in^-1/2), biases zero; the projections that write into the residual
    stream are divided by sqrt(2 layers) (GPT-2). It reaches in 145 steps the loss of normal(0, 0.02) at 200.
    """
    import esm

    torch.manual_seed(config.seed)
    model = esm.ESM2(num_layers=config.layers, embed_dim=config.dim, attention_heads=config.heads)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and not name.startswith("contact_head"):
            scale = parameter.shape[1] ** -0.5
            if name.endswith(("out_proj.weight", "fc2.weight")):
                scale /= math.sqrt(2 * config.layers)
            torch.nn.init.normal_(parameter, std=scale)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    _look_at_neighbours(model, config.neighbours)
    return model


def _look_at_neighbours(model, neighbours: list[list[int]]) -> None:
    """Let the first layers' heads begin by looking at fixed offsets: with rotary positions the product of q's and k's
    biases, unit vectors turned by the offset, is a bell around j = i + offset. Their content part starts at 0.3.
    """
    for layer, offsets in zip(model.layers, neighbours, strict=False):
        module = layer.self_attn
        size = module.q_proj.out_features // module.num_heads
        frequency = 1.0 / (10000 ** (torch.arange(0, size, 2).float() / size))
        strength = (frequency > 0.05) * math.sqrt(4.0 * math.sqrt(size))
        with torch.no_grad():
            for head, offset in enumerate(offsets):
                rows = slice(head * size, (head + 1) * size)
                module.q_proj.bias[rows] = torch.cat([strength, torch.zeros_like(strength)])
                turn = frequency * offset
                module.k_proj.bias[rows] = torch.cat([strength * turn.cos(), -strength * turn.sin()])
                module.q_proj.weight[rows] *= 0.3
                module.k_proj.weight[rows] *= 0.3


def train(config_path: str | Path, *, progress: bool = True) -> Path:
    """Train, or go on training, the model of a configuration.

    Parameters
    ----------
    config_path, progress : path, bool
        YAML file of `Config` entries; show a bar.

    Returns
    -------
    Path
        The final weights (float16 safetensors) with a JSON record beside them.

    Raises
    ------
    InputError
        A configuration or file at fault or missing, or a checkpoint in `out` that was made with other settings.
    """
    config = read_config(config_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out, folder = Path(config.out), Path(config.data)
    model = new_model(config).to(device)
    sources = {
        name: Proteins(read_fasta(folder / name)["sequence"].tolist(), model.alphabet) for name in config.sources
    }
    held_out = _validation_sequences(Path(config.validation), config.validation_proteins)
    out.mkdir(parents=True, exist_ok=True)
    trained = [p for n, p in model.named_parameters() if not n.startswith("contact_head")]
    optimizers = _optimizers(model, config)
    state: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
    checkpoint = out / "checkpoint.pt"
    for left in out.glob(".checkpoint.*.pt"):  # of a run that was killed while it saved
        left.unlink()
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        _refuse_another_run(config, saved["config"], saved["state"]["step"], checkpoint)
        model.load_state_dict(saved["model"])
        for optimizer, its_state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(its_state)
        state = saved["state"]
    _begin_log(out / "log.tsv", state["step"])

    started, losses = time.perf_counter() - state["seconds"], []
    steps = range(state["step"], config.steps)
    for step in tqdm(steps, initial=state["step"], total=config.steps, unit="step", disable=not progress):
        drawn = [sources[name].tokens[start:end] for name, _, start, end in draw_batch(sources, config, step)]
        loss, _ = _masked_loss(model, drawn, config, config.mask_share, [config.seed, step])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, config.clip)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        n_tokens = state["tokens"] + sum(len(piece) + 2 for piece in drawn)
        state.update(step=step + 1, tokens=n_tokens, seconds=time.perf_counter() - started)
        save = step + 1 == config.steps or (step + 1) % config.checkpoint_every == 0
        if save or (step + 1) % config.log_every == 0:
            validation = _validation_loss(model, held_out, config) if save else float("nan")
            _log(out / "log.tsv", state, float(np.mean(losses)), validation, learning_rate(config, step))
            losses = []
        if save:
            found = {"model": model.state_dict(), "optimizers": [each.state_dict() for each in optimizers]}
            found |= {"state": state, "config": json.dumps(asdict(config))}
            write_atomically(checkpoint, partial(torch.save, found))
    return _export(model, config, state)


def _optimizers(model, config: Config) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the network, AdamW for the rest: embedding, biases, layer norms."""
    trained = {n: p for n, p in model.named_parameters() if not n.startswith("contact_head")}
    matrices = {n: p for n, p in trained.items() if p.dim() == 2 and n != "embed_tokens.weight"}
    rest = [p for n, p in trained.items() if n not in matrices]
    muon = torch.optim.Muon(
        list(matrices.values()),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, torch.optim.AdamW(rest, lr=config.learning_rate, betas=config.betas, weight_decay=0.0)]


def _export(model, config: Config, state: dict) -> Path:
    """Write the final weights (float16) and the run as JSON, without `contact_head` and what is tied or computed."""
    from safetensors.torch import save_file

    tensors = {
        name: tensor.half().contiguous().cpu()
        for name, tensor in model.state_dict().items()
        if not (name.startswith("contact_head") or name == "lm_head.weight" or name.endswith("inv_freq"))
    }
    path = Path(config.out) / f"{config.name}.safetensors"
    save_file(tensors, path)
    record = {
        "name": config.name,
        "family": "esm2",
        "layers": config.layers,
        "dim": config.dim,
        "heads": config.heads,
        "parameters": sum(t.numel() for t in tensors.values()),
        "max_length": config.max_length,
        "sha256": file_sha256(path),
        "tokens_seen": state["tokens"],
        "steps": state["step"],
        "training_seconds": round(state["seconds"]),
        "config": asdict(config),
    }
    write_json(path.with_suffix(".json"), record)
    return path


def _validation_sequences(path: Path, n: int) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a TSV of held-out proteins with a `sequence` column")
    table, _ = read_delimited(path)
    refuse_missing_columns(table, ("sequence",), path)
    sequences = table["sequence"].tolist()
    places = np.linspace(0, len(sequences) - 1, min(n, len(sequences))).round().astype(int)
    return [sequences[place] for place in places]


def _refuse_another_run(config: Config, saved: str, steps: int, checkpoint: Path) -> None:
    """A checkpoint goes on with the settings that it was made with, or not at all."""
    before, now = json.loads(saved), json.loads(json.dumps(asdict(config)))
    changed = [name for name in now if name not in _CHANGEABLE and now[name] != before.get(name)]
    if changed:
        told = "; ".join(f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed)
        raise InputError(f"{checkpoint}: made with other settings ({told}); put them back or name another `out`")
    past = Config(**before)
    if min(steps, past.whole_from) != min(steps, config.whole_from) or any(
        learning_rate(past, step) != learning_rate(config, step) for step in range(steps)
    ):
        raise InputError(
            f"{checkpoint}: steps, decay or whole_from would change the {steps} steps already made; "
            "put them back or name another `out`"
        )


def _begin_log(path: Path, step: int) -> None:
    """Write the header, and drop rows that were written after the checkpoint from which training goes on."""
    rows = path.read_text().splitlines()[1:] if path.exists() else []
    rows = [row for row in rows if int(row.split("\t")[0]) <= step]
    path.write_text("\n".join(["\t".join(_LOG_COLUMNS), *rows]) + "\n")


def _log(path: Path, state: dict, loss: float, validation: float, rate: float) -> None:
    row = (state["step"], state["tokens"], f"{loss:.5f}", f"{validation:.5f}", f"{rate:.6g}", f"{state['seconds']:.0f}")
    with open(path, "a") as handle:
        handle.write("\t".join(map(str, row)) + "\n")
