"""Heads: small networks that learn a task from the embeddings of residues, which stay as they are.

The ConvBERT heads carry the class names and parameters of Ankh (Elnaggar et al. 2023): `num_layers` layers of
transformers' ConvBERT (Jiang et al. 2020), pooling, one linear map; `num_hidden_layers` does nothing, as in Ankh's
version 1. Unlike Ankh's, what a head says does not depend on the padding: rows beyond a protein's end are kept out of
convolution, pooling and loss, too. `Probe`, what they are compared with, is the linear map alone, or one hidden layer.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from plmbook.core.errors import InputError, one_of
from plmbook.core.machine import one_torch_thread

POOLINGS = ("max", "avg", "mean")  # Ankh writes avg, and takes mean for the same
IGNORED = -100  # the label of a residue that does not count, as `plmbook.tasks.base.IGNORED`
IGNORED_PAIR = -1  # the label of a pair that does not count
BATCH = 16  # proteins of a step, as Ankh's examples accumulate
WARM_UP = 0.1  # share of the steps of the longest training in which the rate rises
CLIP = 1.0  # largest norm of a gradient
POOL = 8  # batches that are sorted by length together: little padding, and still a random order

Example = tuple[np.ndarray, np.ndarray]


@dataclass
class HeadOutput:
    """What a head says of a batch."""

    logits: torch.Tensor  # (B, 1) binary and number; (B, k) a class a protein, (B, L, k) a residue, (B, L, L, k) a pair
    loss: torch.Tensor | None = None  # (), where labels were given


# --- losses --------------------------------------------------------------------------------------------


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and labels


def _of_proteins(loss: Loss) -> Loss:
    return lambda logits, labels: loss(logits, labels.reshape(logits.shape).to(logits.dtype))


def _class_loss(logits: torch.Tensor, labels: torch.Tensor, ignored: int = IGNORED) -> torch.Tensor:
    """Mean over the residues, proteins or pairs that count; 0 where none does."""
    losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=ignored, reduction="sum")
    return losses / (labels != ignored).sum().clamp(min=1)


def _label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Several labels at once; a row of `IGNORED` does not count."""
    counted = (labels != IGNORED).all(dim=-1)
    if not counted.any():
        return logits.sum() * 0
    return F.binary_cross_entropy_with_logits(logits[counted], labels[counted].to(logits.dtype))


@dataclass(frozen=True)
class _Kind:
    """What a head answers."""

    loss: Loss
    padding: int  # the label of a row that padding adds
    dtype: torch.dtype  # of labels
    grows: tuple[int, ...] = ()  # sides of a protein's label, as of `F.pad`: 1 where it is as long as the protein


KINDS = {
    "binary": _Kind(_of_proteins(F.binary_cross_entropy_with_logits), 0, torch.float32),
    "classes": _Kind(_class_loss, IGNORED, torch.int64, grows=(0, 1)),
    "labels": _Kind(_label_loss, IGNORED, torch.float32, grows=(0, 0, 0, 1)),
    "number": _Kind(_of_proteins(F.mse_loss), 0, torch.float32),
    "contacts": _Kind(partial(_class_loss, ignored=IGNORED_PAIR), IGNORED_PAIR, torch.int64, grows=(0, 1, 0, 1)),
}


# --- the layers ----------------------------------------------------------------------------------------


class _MaskedLinear(nn.Linear):
    """A linear map whose rows beyond the end of a protein are zero: what the convolution finds beyond a chain's end."""

    mask: torch.Tensor  # (B, L, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.mask


class ConvBert(nn.Module):
    """Layers of ConvBERT over embeddings: self-attention beside a convolution whose kernel depends on the place."""

    def __init__(
        self,
        input_dim: int,
        nhead: int,
        hidden_dim: int,
        num_hidden_layers: int = 1,
        num_layers: int = 1,
        kernel_size: int = 7,
        dropout: float = 0.2,
    ):
        ConvBertConfig, ConvBertLayer = _convbert()
        super().__init__()
        self.input_dim = input_dim
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"kernel_size {kernel_size}: expected an odd number of residues")
        needed = 2 * max(nhead // 2, 1)
        if input_dim % needed:
            raise InputError(f"input_dim {input_dim}: expected a multiple of {needed} for {nhead} heads")
        config = ConvBertConfig(
            hidden_size=input_dim,
            num_attention_heads=nhead,
            intermediate_size=hidden_dim,
            conv_kernel_size=kernel_size,
            num_hidden_layers=num_hidden_layers,
            hidden_dropout_prob=dropout,
        )
        layers: list[Any] = [ConvBertLayer(config) for _ in range(num_layers)]
        for attention in (layer.attention.self for layer in layers):
            attention.conv_out_layer = _MaskedLinear(input_dim, attention.all_head_size)
        self.layers: Any = nn.ModuleList(layers)

    def forward(self, embeddings: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, L, d), zero where the mask (B, L) is False: beyond the end of a protein."""
        there = mask[..., None].to(embeddings.dtype)  # (B, L, 1)
        additive = (1 - there[:, None, None, :, 0]) * torch.finfo(embeddings.dtype).min  # (B, 1, 1, L)
        x = embeddings * there
        for layer in self.layers:
            layer.attention.self.conv_out_layer.mask = there
            x = layer(x, attention_mask=additive) * there
        return x


def _convbert() -> tuple[type, type]:
    """transformers' ConvBertConfig and ConvBertLayer, without the warning that a notebook has no progress bars."""
    import warnings

    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        from transformers.models.convbert.configuration_convbert import ConvBertConfig
        from transformers.models.convbert.modeling_convbert import ConvBertLayer
    return ConvBertConfig, ConvBertLayer


def _pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """The maximum or the mean over the residues of each protein: (B, L, d) to (B, d).

    >>> hidden, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])
    >>> _pool(hidden, mask, "avg").item(), _pool(hidden, mask, "max").item()
    (2.0, 3.0)
    """
    there = mask[..., None]
    if pooling == "max":
        return hidden.masked_fill(~there, -torch.inf).amax(dim=1)
    return (hidden * there).sum(dim=1) / there.sum(dim=1)


class Pairs(nn.Module):
    """Logits of pairs of residues, symmetric: a linear map of Ankh's features, `x_i * x_j` and `x_i - x_j`. (i, j) and
    (j, i) are averaged, so the difference cancels and is not computed; its weights stay, as in the published head."""

    def __init__(self, input_dim: int, num_tokens: int = 2):
        super().__init__()
        self.linear = nn.Linear(2 * input_dim, num_tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, d) to (B, L, L, num_tokens)."""
        of_products = self.linear.weight[:, : x.shape[-1]]  # (k, d)
        logits = [(x * weights) @ x.transpose(1, 2) for weights in of_products]
        return torch.stack(logits, dim=-1) + self.linear.bias


class Head(nn.Module):
    """Encoder (or none), pooling (none: an answer a residue or pair), linear map, loss: what all heads share.
    `kind` is a key of `KINDS`; `bias` is that of the linear map, at the start."""

    def __init__(
        self, kind: str, encoder: nn.Module | None, decoder: nn.Module, *, pooling: str | None = None, bias: float = 0.0
    ):
        super().__init__()
        if pooling is not None:
            one_of("pooling", pooling, POOLINGS)
        self.kind, self.pooling = kind, pooling
        self.encoder, self.decoder = encoder, decoder
        linear: Any = decoder.linear if isinstance(decoder, Pairs) else decoder
        nn.init.uniform_(linear.weight, -0.1, 0.1)
        nn.init.constant_(linear.bias, bias)

    def hidden(self, embeddings: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the linear map reads: (B, L, d') or, pooled, (B, d')."""
        x = embeddings if self.encoder is None else self.encoder(embeddings, mask)
        return x if self.pooling is None else _pool(x, mask, self.pooling)

    def forward(
        self, embeddings: torch.Tensor, labels: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> HeadOutput:
        """Logits of embeddings (B, L, d), and the loss given labels; `mask` (B, L): where a residue is, default
        everywhere. Labels: binary (B,) of 0 and 1; classes (B,) or (B, L) of int64, some `IGNORED`; labels (B, k) or
        (B, L, k); number (B,); contacts (B, L, L) of int64, some `IGNORED_PAIR`."""
        mask = torch.ones_like(embeddings[..., 0], dtype=torch.bool) if mask is None else mask
        logits = self.decoder(self.hidden(embeddings, mask))
        return HeadOutput(logits, None if labels is None else KINDS[self.kind].loss(logits, labels))


class Probe(Head):
    """A linear map, or one hidden layer and a linear map, of each residue or pair or of a protein's mean embedding."""

    def __init__(
        self, kind: str, input_dim: int, outputs: int = 1, *, hidden_dim: int = 0, by_residue: bool = False, **options
    ):
        layer = nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Dropout(0.2)) if hidden_dim else None
        width = hidden_dim or input_dim
        decoder = Pairs(width, outputs) if kind == "contacts" else nn.Linear(width, outputs)
        by_residue = by_residue or kind == "contacts"
        super().__init__(kind, layer, decoder, pooling=None if by_residue else "avg", **options)

    def hidden(self, embeddings: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = embeddings if self.pooling is None else _pool(embeddings, mask, self.pooling)
        return x if self.encoder is None else self.encoder(x)


# --- Ankh's heads --------------------------------------------------------------------------------------


class ConvBertForBinaryClassification(Head):
    """Yes or no of a protein: logits (B, 1). `layers` are the parameters of `ConvBert`."""

    answers = "binary"

    def __init__(self, *, pooling: str = "max", bias: float = 0.0, **layers):
        if pooling is None:
            raise InputError("pooling None: an answer for a protein needs one, expected avg or max")
        encoder = ConvBert(**layers)
        super().__init__(self.answers, encoder, nn.Linear(encoder.input_dim, 1), pooling=pooling, bias=bias)


class ConvBertForMultiClassClassification(Head):
    """One of `num_tokens` classes: of each residue (B, L, k), as in Ankh, or with `pooling` of a protein (B, k)."""

    answers = "classes"

    def __init__(self, num_tokens: int, *, pooling: str | None = None, **layers):
        encoder = ConvBert(**layers)
        super().__init__(self.answers, encoder, nn.Linear(encoder.input_dim, num_tokens), pooling=pooling)


class ConvBertForMultiLabelClassification(ConvBertForMultiClassClassification):
    """Any of `num_tokens` labels: of each residue (B, L, k), or with `pooling` of a protein (B, k)."""

    answers = "labels"


class ConvBertForRegression(ConvBertForBinaryClassification):
    """A number a protein: logits (B, 1). `training_labels_mean` is the bias of the linear map at the start."""

    answers = "number"

    def __init__(self, *, training_labels_mean: float | None = None, **options):
        super().__init__(bias=training_labels_mean or 0.0, **options)


class ConvBertForContactPrediction(Head):
    """Whether two residues touch: symmetric logits (B, L, L, `num_tokens`), see `Pairs`."""

    def __init__(self, *, num_tokens: int = 2, dropout: float = 0.1, **layers):
        encoder = ConvBert(dropout=dropout, **layers)
        super().__init__("contacts", encoder, Pairs(encoder.input_dim, num_tokens))


# --- training ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """A head after training."""

    head: Head = field(repr=False)  # with the weights of the best epoch, in evaluation mode
    log: pd.DataFrame  # epoch (int64, from 1), loss (float64, mean over the steps), validation (float64, high is good)
    best_epoch: int


def fit(
    make: Callable[[], Head],
    training: Sequence[Example],
    validation: Sequence[Example],
    score: Callable[[list[np.ndarray], list[np.ndarray]], float],
    *,
    epochs: int = 10,
    patience: int = 3,
    batch: int = BATCH,
    rate: float = 1e-3,
    seed: int = 0,
    device: str = "cpu",
) -> Fitted:
    """Train a head; the epoch with the best validation score is kept.

    On one thread of a CPU the same seed gives the same head, byte for byte, on one machine; not on another processor.

    Parameters
    ----------
    make : callable
        Gives the head; called after seeding, so that the start is part of what the seed says.
    training, validation : sequence of (embeddings, label)
        float32 array (L, d) of a protein, and its label as in `Head.forward` without the first dimension.
    score : callable
        From the logits and the labels of the validation proteins, as lists, to a number: higher is better.
    epochs, patience : int
        Epochs at most; epochs without a better score, after which training stops.
    batch : int
        Proteins of a step.
    rate : float
        Of AdamW without decay of weights; it rises over the first tenth of the steps and stays.
    seed : int
        Of the start, the order and the dropout.
    device : str
        As in `plmbook.models.load`.

    Returns
    -------
    Fitted
        InputError where a part has no proteins, or the loss or the score is not a number.
    """
    if not len(training) or not len(validation):
        raise InputError(f"{len(training)} training and {len(validation)} validation proteins: expected some of each")
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(seed)
        order = np.random.default_rng(seed)
        head = make().to(device)
        optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.0)
        steps = max(1, round(WARM_UP * epochs * -(-len(training) // batch)))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / steps))
        lengths = [len(embeddings) for embeddings, _ in training]
        best, best_epoch, rows = -np.inf, 0, []
        kept: dict[str, torch.Tensor] = {}
        for epoch in range(1, epochs + 1):
            head.train()
            losses = []
            for chosen in _batches(lengths, batch, order):
                embeddings, labels, mask = collate([training[n] for n in chosen], head.kind, device)
                optimiser.zero_grad()
                loss = head(embeddings, labels, mask).loss
                loss.backward()
                nn.utils.clip_grad_norm_(head.parameters(), CLIP)
                optimiser.step()
                schedule.step()
                losses.append(loss.item())
            if not np.isfinite(losses).all():
                raise InputError(f"epoch {epoch}: the loss is not a number; is the rate too large?")
            value = float(score(predict(head, [x for x, _ in validation], batch=batch), [y for _, y in validation]))
            if np.isnan(value):
                raise InputError(f"epoch {epoch}: the validation score is not a number; do these labels have one?")
            rows.append((epoch, float(np.mean(losses)), value))
            if not kept or value > best:
                best, best_epoch, kept = value, epoch, copy.deepcopy(head.state_dict())
            if epoch - best_epoch >= patience:
                break
        head.load_state_dict(kept)
    return Fitted(head.eval(), pd.DataFrame(rows, columns=["epoch", "loss", "validation"]), best_epoch)


@torch.inference_mode()
def predict(head: Head, embeddings: Sequence[np.ndarray], *, batch: int = BATCH) -> list[np.ndarray]:
    """Logits of each protein, without what padding added: float32 (1,), (k,), (L, k) or (L, L, k), in the given order.
    `batch` neighbours in length are read at a time; they change an answer in the last digits of a sum only."""
    head.eval()
    device = next(head.parameters()).device
    found: list[np.ndarray] = [np.empty(0)] * len(embeddings)
    order = sorted(range(len(embeddings)), key=lambda n: -len(embeddings[n]))
    with one_torch_thread():
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            x, _, mask = collate([(embeddings[n], None) for n in chosen], head.kind, device)
            logits = head(x, mask=mask).logits.cpu().numpy()
            for n, answer in zip(chosen, logits, strict=True):
                found[n] = answer[(slice(len(embeddings[n])),) * (answer.ndim - 1)].copy()  # (k,), (L, k), (L, L, k)
    return found


def collate(
    examples: Sequence[tuple[np.ndarray, np.ndarray | None]], kind: str, device: str | torch.device = "cpu"
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Proteins padded at the end: embeddings (B, L, d), labels as in `Head.forward`, mask (B, L) of residues."""
    rows = [torch.from_numpy(np.asarray(x, dtype=np.float32)) for x, _ in examples]
    embeddings = pad_sequence(rows, batch_first=True)
    mask = pad_sequence([torch.ones(len(each), dtype=torch.bool) for each in rows], batch_first=True)
    if examples[0][1] is None:
        return embeddings.to(device), None, mask.to(device)
    of, longest = KINDS[kind], embeddings.shape[1]
    labels = [torch.as_tensor(np.asarray(y)).to(of.dtype) for _, y in examples]
    if 2 * labels[0].dim() == len(of.grows):
        labels = [F.pad(y, [side * (longest - len(y)) for side in of.grows], value=of.padding) for y in labels]
    return embeddings.to(device), torch.stack(labels).to(device), mask.to(device)


def _batches(lengths: Sequence[int], batch: int, order: np.random.Generator) -> list[np.ndarray]:
    """Batches of proteins of similar length, in a random order."""
    shuffled = order.permutation(len(lengths))
    found = []
    for start in range(0, len(shuffled), POOL * batch):
        together = sorted(shuffled[start : start + POOL * batch], key=lambda n: lengths[n])
        found += [np.array(together[k : k + batch]) for k in range(0, len(together), batch)]
    return [found[place] for place in order.permutation(len(found))]
