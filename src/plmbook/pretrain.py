"""Masked language modelling with ESM-2's architecture: `plmbook pretrain CONFIG.yml`.

The task is ESM-2's (Lin et al. 2023): of the chosen residues 80 % are shown as <mask>, 10 % as a random residue, 10 %
unchanged, and the loss is the cross-entropy at the chosen residues.  Sequences are packed end to end (no padding), so
a step costs what its residues cost.  Everything random is a function of the seed and the step: a run that is killed and
started again goes on from its last checkpoint with the same batches, masks and weights as one that never stopped.
"""

import hashlib
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import get_origin

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from tqdm import tqdm

from plmbook.errors import InputError
from plmbook.models import packed
from plmbook.residues import AMINO_ACIDS
from plmbook.tables import read_fasta

# What a run may change when it goes on: how long it is, where things lie, and what is written down on the way.
CHANGEABLE = {"steps", "decay", "data", "out", "validation", "validation_proteins", "checkpoint_every", "log_every"}
LOG_COLUMNS = ("step", "tokens", "loss", "validation_loss", "learning_rate", "seconds")


@dataclass(frozen=True)
class Config:
    """One training run, as written in its YAML file.

    `sources` maps a FASTA path (relative to `data`) to its share of the residues of every batch.
    """

    name: str
    seed: int
    layers: int
    dim: int
    heads: int
    data: str  # folder of the FASTA files
    sources: dict[str, float]
    validation: str  # TSV with a `sequence` column: held-out families
    out: str  # folder of checkpoint, log and final weights
    validation_proteins: int = 100  # evenly spaced in the file; read at each checkpoint
    max_length: int = 1022  # residues; longer proteins are cut into pieces
    tokens_per_step: int = 4096
    mask_share: float = 0.15  # of the residues of a step enter the loss
    steps: int = 10_000
    warmup: int = 200  # steps, linear
    decay: int = 1_000  # last steps, linear to zero; constant in between
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    autocast: bool = True  # bfloat16 matrix products on float32 weights
    checkpoint_every: int = 200  # steps
    log_every: int = 20  # steps


def read_config(path: str | Path) -> Config:
    """Read and check a training configuration.

    Parameters
    ----------
    path : path
        YAML, a mapping of the fields of `Config`.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If the file is missing or no YAML, or an entry is unknown, missing, of a wrong type or at odds with another.
    """
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
    if unknown := sorted(set(entries) - set(known)):
        raise InputError(f"{path}: unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if missing := [name for name, f in known.items() if f.default is MISSING and name not in entries]:
        raise InputError(f"{path}: missing setting {', '.join(missing)}")
    for name, value in entries.items():
        kind = get_origin(known[name].type) or known[name].type
        fitting = {float: (int, float), tuple: (list,)}.get(kind, (kind,))
        if not isinstance(value, fitting) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path}: {name}: expected {kind.__name__}, found {value!r}")
    config = Config(**entries)
    if config.dim % config.heads or (config.dim // config.heads) % 2:
        raise InputError(f"{path}: dim {config.dim} must be an even multiple of heads {config.heads}")
    if config.checkpoint_every % config.log_every:
        raise InputError(f"{path}: checkpoint_every must be a multiple of log_every, or a resumed log would differ")
    if config.steps < config.warmup + config.decay:
        raise InputError(f"{path}: steps {config.steps} is less than warmup {config.warmup} + decay {config.decay}")
    return config


class Pieces:
    """Tokenised proteins in one flat array, cut into pieces of at most `max_length` residues.

    Attributes
    ----------
    tokens : uint8 (R,)
        Token ids of all residues, proteins end to end, without BOS and EOS.
    starts, ends : int64 (P,)
        Where each piece lies in `tokens`; together the pieces cover every residue once.
    """

    def __init__(self, sequences: list[str], alphabet, max_length: int):
        table = np.full(256, alphabet.unk_idx, dtype=np.uint8)
        for letter in AMINO_ACIDS + "XBZUO":
            table[ord(letter)] = alphabet.get_idx(letter)
        self.tokens = table[np.frombuffer("".join(sequences).encode("ascii"), dtype=np.uint8)]
        starts, ends, offset = [], [], 0
        for sequence in sequences:
            n_pieces = math.ceil(len(sequence) / max_length)
            edges = offset + np.linspace(0, len(sequence), n_pieces + 1).astype(np.int64)
            starts.append(edges[:-1])
            ends.append(edges[1:])
            offset += len(sequence)
        self.starts, self.ends = np.concatenate(starts), np.concatenate(ends)

    def __len__(self) -> int:
        return len(self.starts)

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Piece numbers of one pass over all of them: every residue once, so long proteins count by their length."""
        return np.random.default_rng([seed, epoch]).permutation(len(self))


def batches(sources: list[tuple[Pieces, float]], tokens_per_step: int, seed: int):
    """Endless batches, each a list of (source number, piece number) of about `tokens_per_step` tokens.

    Each piece comes from the source that is furthest behind its share of the residues.

    Parameters
    ----------
    sources : list of (Pieces, float)
        With their shares, which need not sum to 1.
    tokens_per_step : int
        A batch ends with the piece that reaches it.
    seed : int
        Of the order of the pieces.
    """
    streams = [_endless(pieces, seed + 1000 * number) for number, (pieces, _) in enumerate(sources)]
    shares = np.array([share for _, share in sources]) / sum(share for _, share in sources)
    seen = np.zeros(len(sources))
    while True:
        batch, n_tokens = [], 0
        while n_tokens < tokens_per_step:
            number = int(np.argmin(seen / shares))
            piece = next(streams[number])
            length = int(sources[number][0].ends[piece] - sources[number][0].starts[piece])
            seen[number] += length
            n_tokens += length + 2
            batch.append((number, piece))
        yield batch


def _endless(pieces: Pieces, seed: int):
    epoch = 0
    while True:
        yield from pieces.order(epoch, seed)
        epoch += 1


def assemble(batch, sources, alphabet) -> tuple[torch.Tensor, list[int]]:
    """Tokens (N,) int64 with BOS and EOS around each piece, and the length of each."""
    parts, lengths = [], []
    for number, piece in batch:
        pieces = sources[number][0]
        body = pieces.tokens[pieces.starts[piece] : pieces.ends[piece]]
        parts += [[alphabet.cls_idx], body, [alphabet.eos_idx]]
        lengths.append(len(body) + 2)
    return torch.from_numpy(np.concatenate(parts).astype(np.int64)), lengths


def corrupt(tokens: torch.Tensor, alphabet, share: float, seed: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask as BERT and ESM do.

    Parameters
    ----------
    tokens : int64 (N,)
    share : float
        Of the standard residues that enter the loss; 80 % of them become <mask>, 10 % a random residue, 10 % stay.
    seed : list of int
        Seed of this step's choice.

    Returns
    -------
    corrupted : int64 (N,)
    chosen : bool (N,)
        BOS, EOS and unknown residues are never chosen.
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


def loss_of(model, tokens, lengths, chosen, targets):
    """Mean cross-entropy (nats) at the chosen positions, over the whole vocabulary."""
    last = len(model.layers)
    x = packed.hidden_states(model, tokens, lengths)[last][chosen]
    return F.cross_entropy(packed.lm_logits(model, x).float(), targets[chosen])


def gradients(model, parameters, tokens, lengths, chosen, targets, *, workers: int, autocast: bool):
    """Loss (float, nats) and gradients of one step, its sequences shared out over threads.

    Two threads with a core each made 1.02 to 1.12 times the steps of one pass on both cores (medians, interleaved).
    The sum over the shares is the gradient of the whole, up to rounding.

    Parameters
    ----------
    model : esm.ESM2
    parameters : list of tensor
    tokens, targets : int64 tensor (N,)
        What the model reads and what it should say.
    lengths : list of int
        Tokens of each sequence.
    chosen : bool tensor (N,)
    workers : int
        Threads; 1 on a GPU.
    autocast : bool
        bfloat16 products.

    Returns
    -------
    loss : float
    gradients : list of tensor
        Like `parameters`.
    """
    total = int(chosen.sum())

    def share(first, last, sizes):
        part = slice(first, last)
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=autocast):
            loss = loss_of(model, tokens[part], sizes, chosen[part], targets[part]) * (int(chosen[part].sum()) / total)
        return loss.detach(), torch.autograd.grad(loss, parameters)

    shares = [s for s in _shares(lengths, workers) if bool(chosen[s[0] : s[1]].any())]
    if len(shares) == 1:
        found = [share(*shares[0])]
    else:
        with ThreadPoolExecutor(len(shares)) as pool:
            found = list(pool.map(lambda each: share(*each), shares))
    summed = [sum(parts[1:], start=parts[0]) for parts in zip(*(grads for _, grads in found), strict=True)]
    return float(sum(loss for loss, _ in found)), summed


def _shares(lengths: list[int], workers: int) -> list[tuple[int, int, list[int]]]:
    """Cut a batch between sequences into at most `workers` runs of about as many tokens: (first, last, lengths)."""
    ends = np.cumsum(lengths)
    group = np.minimum((ends - np.asarray(lengths) / 2) * workers // ends[-1], workers - 1).astype(int)
    found = []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        found.append(
            (int(ends[members[0]] - lengths[members[0]]), int(ends[members[-1]]), [lengths[i] for i in members])
        )
    return found


def validation_loss(model, sequences: list[str], config: Config, device) -> float:
    """Mean loss (nats, over the whole vocabulary) on held-out families, 15 % of the residues chosen with a fixed seed.

    As in training a tenth of the chosen residues is shown as it is, so this is a curve to watch, not the perplexity
    that the book reports (`plmbook.results.heldout_likelihood` masks every chosen residue).
    """
    pieces = Pieces(sequences, model.alphabet, config.max_length)
    total, count = 0.0, 0
    with torch.no_grad():
        for first in range(0, len(pieces), 16):
            batch = [(0, i) for i in range(first, min(first + 16, len(pieces)))]
            tokens, lengths = assemble(batch, [(pieces, 1.0)], model.alphabet)
            corrupted, chosen = corrupt(tokens, model.alphabet, 0.15, [config.seed, 7, first])
            with torch.autocast(device.type, torch.bfloat16, enabled=config.autocast):
                loss = loss_of(model, corrupted.to(device), lengths, chosen.to(device), tokens.to(device))
            total += float(loss) * int(chosen.sum())
            count += int(chosen.sum())
    return total / count


def new_model(config: Config):
    """A randomly initialised `esm.ESM2`: weights normal(0, fan-in^-1/2), biases zero.

    The projections that write into the residual stream are divided by sqrt(2 layers) (GPT-2).  On the orthologs of six
    genes, one seed, this reached the loss that normal(0, 0.02) has after 200 steps in about 145.
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
    return model


def train(
    config_path: str | Path, *, source: str | Path | None = None, progress: bool = True, stop_after: int | None = None
):
    """Train, or go on training, the model of a configuration.

    Parameters
    ----------
    config_path : path
        YAML file of `Config` entries.
    source : path, optional
        Folder of the FASTA files, instead of the configuration's `data`.
    progress : bool
        Show a bar.
    stop_after : int, optional
        Stop after this many steps of this call without saving anything more, as a killed run would.

    Returns
    -------
    Path or None
        The final weights (float16 safetensors) with a JSON record beside them; None when stopped before the end.

    Raises
    ------
    InputError
        As `read_config` and `plmbook.tables.read_fasta`; if the held-out file is missing; if the checkpoint in `out`
        was made with other settings.
    """
    config = read_config(config_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # each of the workers below has one
    try:
        workers = cores if device.type == "cpu" else 1
        return _train(config, Path(source or config.data), device, workers, progress=progress, stop_after=stop_after)
    finally:
        torch.set_num_threads(cores)


def _train(
    config: Config, folder: Path, device, workers: int, *, progress: bool, stop_after: int | None
) -> Path | None:
    out = Path(config.out)
    model = new_model(config).to(device)
    sources = [
        (Pieces(read_fasta(folder / name)["sequence"].tolist(), model.alphabet, config.max_length), share)
        for name, share in config.sources.items()
    ]
    held_out = _validation_sequences(Path(config.validation), config.validation_proteins)
    out.mkdir(parents=True, exist_ok=True)
    trained = [p for n, p in model.named_parameters() if not n.startswith("contact_head")]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.dim() == 2], "weight_decay": config.weight_decay},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=config.betas,
        eps=1e-8,
    )
    state = {"step": 0, "tokens": 0, "seconds": 0.0}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        _refuse_another_run(config, saved["config"], checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    _trim_log(out / "log.tsv", state["step"])

    stream = batches(sources, config.tokens_per_step, config.seed)
    for _ in range(state["step"]):
        next(stream)
    started, losses, first_step = time.perf_counter() - state["seconds"], [], state["step"]
    bar = tqdm(total=config.steps, initial=first_step, unit="step", disable=not progress)
    while state["step"] < config.steps:
        step = state["step"]
        tokens, lengths = assemble(next(stream), sources, model.alphabet)
        corrupted, chosen = corrupt(tokens, model.alphabet, config.mask_share, [config.seed, step])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        loss, found = gradients(
            model,
            trained,
            *(corrupted.to(device), lengths, chosen.to(device), tokens.to(device)),
            workers=workers,
            autocast=config.autocast,
        )
        for parameter, gradient in zip(trained, found, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(trained, config.clip)
        optimizer.step()
        losses.append(loss)
        state.update(step=step + 1, tokens=state["tokens"] + len(tokens), seconds=time.perf_counter() - started)
        end = state["step"] == config.steps
        save = end or state["step"] % config.checkpoint_every == 0
        if save or state["step"] % config.log_every == 0:
            validation = validation_loss(model, held_out, config, device) if save else float("nan")
            _log(out / "log.tsv", state, float(np.mean(losses)), validation, learning_rate(config, step))
            losses = []
        if save:
            weights = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            _save_atomically({**weights, "state": state, "config": json.dumps(asdict(config))}, checkpoint)
        if stop_after is not None and state["step"] - first_step >= stop_after and not end:
            return None
    bar.close()
    return export(model, config, state)


def export(model, config: Config, state: dict) -> Path:
    """Write the final weights as float16 safetensors, and what the run was as JSON beside them.

    Left out: `contact_head` (untrained), `lm_head.weight` (tied to the embedding), rotary frequencies (computed).
    """
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
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "tokens_seen": state["tokens"],
        "steps": state["step"],
        "training_seconds": round(state["seconds"]),
        "config": asdict(config),
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return path


def _validation_sequences(path: Path, n: int) -> list[str]:
    import pandas as pd

    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a TSV of held-out proteins with a `sequence` column")
    sequences = pd.read_csv(path, sep="\t")["sequence"].tolist()
    places = np.linspace(0, len(sequences) - 1, min(n, len(sequences))).round().astype(int)
    return [sequences[place] for place in places]


def _refuse_another_run(config: Config, saved: str, checkpoint: Path) -> None:
    """A checkpoint goes on with the settings that it was made with, or not at all."""
    before, now = json.loads(saved), json.loads(json.dumps(asdict(config)))
    changed = [name for name in now if name not in CHANGEABLE and now[name] != before.get(name)]
    if changed:
        told = "; ".join(f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed)
        raise InputError(f"{checkpoint}: made with other settings ({told}); put them back or name another `out`")


def _save_atomically(payload: dict, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(payload, partial)
    partial.replace(path)


def _log(path: Path, state: dict, loss: float, validation: float, rate: float) -> None:
    if not path.exists():
        path.write_text("\t".join(LOG_COLUMNS) + "\n")
    row = (state["step"], state["tokens"], f"{loss:.5f}", f"{validation:.5f}", f"{rate:.6g}", f"{state['seconds']:.0f}")
    with open(path, "a") as handle:
        handle.write("\t".join(map(str, row)) + "\n")


def _trim_log(path: Path, step: int) -> None:
    """Drop log rows written after the checkpoint that training goes on from."""
    if path.exists():
        header, *rows = path.read_text().splitlines()
        kept = [row for row in rows if int(row.split("\t")[0]) <= step]
        path.write_text("\n".join([header, *kept]) + "\n")
