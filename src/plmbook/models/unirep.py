"""UniRep: a multiplicative LSTM that read 24 million proteins, residue after residue (Alley et al. 2019).

With x_t the input of a layer at step t (the embedded residue, or the hidden state of the layer below), h and c the
layer's hidden and cell state, s the logistic function and * the product by elements (Krause et al. 2016):

    m = (x_t Wmx) * (h Wmh)    z = x_t Wx + m Wh + b    (i, f, o, u) = the quarters of z
    c' = s(f) * c + s(i) * tanh(u)    h' = s(o) * tanh(c')

Each column of a weight is normalised and multiplied by its gain.  A residue's state and probabilities depend on those
before it alone; a chain has a start token and a predicted end.  Chains that begin alike share states until they part.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.models import files, packed
from plmbook.models.base import Model, Output
from plmbook.models.cards import Card
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.tokens import Tokens

_N_TOKENS = 26  # of the input: 0 is padding, which is never read
_START, _STOP = 24, 25
_MATRICES = ("wx", "wh", "wmx", "wmh")


def _tokens() -> Tokens:
    of_letter = np.full(128, -1, dtype=np.int64)
    for token, letter in enumerate("MRHKDESTNQCUGPAVIFYWLO", start=1):
        of_letter[ord(letter)] = token
    of_letter[[ord(letter) for letter in "XZBJ"]] = 23
    return Tokens(of_letter, np.array([_START]), np.array([_STOP]))


TOKENS = _tokens()
_COLUMNS = TOKENS.of_letter[[ord(letter) for letter in AMINO_ACIDS]] - 1  # the head has no class for padding


class UniRepModel(Model):
    """A loaded UniRep of any size, from a file's arrays (`_read`). Cell state and head stay in float32."""

    batch_tokens = 2**16  # one step reads a token of each chain: only many chains fill the processor

    def __init__(self, arrays, card: Card, *, path: Path, device: str = "cpu", dtype: str = "float32"):
        super().__init__(card, path=path, device=device, dtype=dtype)
        self._dtype = DTYPES[dtype]
        self._head = arrays["dense.w"].t().contiguous().to(device), arrays["dense.b"].to(device)
        self._layers = []
        for number in range(card.layers):
            of = {name: arrays[f"mlstm.{number}.{name}"] for name in _names(number)}
            # (the published epsilon, 1e-12, is one of squares)
            wx, wh, wmx, wmh = (F.normalize(of[w], dim=0, eps=1e-6) * of["g" + w[1:]] for w in _MATRICES)
            bias = of["b"]
            if number == 0:  # what a token brings: looked up instead of multiplied
                wmx, wx, bias = arrays["embedding"] @ wmx, arrays["embedding"] @ wx + bias, torch.zeros(0)
            self._layers.append(tuple(w.to(device, self._dtype).contiguous() for w in (wmx, wx, bias, wmh, wh)))

    def tokenize(self, sequence: str) -> np.ndarray:
        """int64 (L + 2,): start, residues, stop.  X, B, Z and J share a token; there is none for a masked residue."""
        return TOKENS.read(sequence)

    @torch.inference_mode()
    def run(
        self,
        sequences: Sequence[str],
        *,
        layers: Sequence[int] = (),
        rows: Sequence[np.ndarray] | None = None,
        logits: bool = True,
        pool: str | Sequence[str] | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
    ) -> list[Output]:
        """As `Model.run`, given the residues before alone. "mean" without `spans` is over all L + 1 states (as
        published), "final" and "cell" are those after the last residue, "fusion" is mean, final and cell.
        """
        outputs = [Output() for _ in sequences]
        if not sequences:
            return outputs
        number_of = {layer: self.card.layer_number(layer) for layer in layers}
        pools = self.checked_pools(pool)
        tokens = [self.tokenize(sequence) for sequence in sequences]
        sizes = np.array([len(each) - 1 for each in tokens])  # states of each chain: L + 1
        first = np.cumsum(sizes) - sizes
        states, cells = {}, {}
        for number in set(number_of.values()):
            states[number] = torch.empty(sizes.sum(), self.card.dim, dtype=self._dtype, device=self.device)
            cells[number] = torch.empty(len(tokens), self.card.dim, device=self.device)
        table = np.empty((sizes.sum(), len(AMINO_ACIDS)), dtype=np.float32) if logits else None
        for step, (chains, row, hidden, cell) in enumerate(self._steps(tokens)):
            place, ends = first[chains] + step, sizes[chains] == step + 1
            if table is not None:
                table[place] = self._log_probabilities(hidden[-1])[row][:, _COLUMNS]
            for number in states:
                states[number][place] = hidden[number - 1][row]
                cells[number][chains[ends]] = cell[number - 1][row[ends]]
        if table is not None:
            wanted = [np.arange(size - 1) for size in sizes] if rows is None else rows
            for output, begin, each in zip(outputs, first, wanted, strict=True):
                output.log_probabilities = table[begin + np.asarray(each, dtype=np.int64)]
        parts = {"mean": [(0, size, 0) for size in sizes], "max": [(1, size - 1, 0) for size in sizes]}
        if spans is not None:
            taken = [(1 + a, b - a, size - 1 - b) for (a, b), size in zip(spans, sizes, strict=True)]
            parts = {"mean": taken, "max": taken}
        for layer, number in number_of.items():
            if pools:
                found = torch.cat(
                    [_pool(how, states[number], cells[number], parts, first + sizes - 1) for how in pools], dim=1
                )
                for output, vector in zip(outputs, found.cpu().numpy(), strict=True):
                    output.pooled[layer] = vector
            else:
                whole = states[number].float().cpu().numpy()
                for output, begin, size in zip(outputs, first, sizes, strict=True):
                    output.hidden[layer] = whole[begin + 1 : begin + size].copy()
        return outputs

    @torch.inference_mode()
    def log_likelihoods(self, sequences: Sequence[str]) -> np.ndarray:
        """As `Model.log_likelihoods`."""
        tokens = [self.tokenize(sequence) for sequence in sequences]
        totals = np.zeros(len(tokens))
        after = _padded(tokens)[:, 1:] - 1  # the class of the token that follows
        for step, (chains, row, hidden, _) in enumerate(self._steps(tokens)):
            totals[chains] += self._log_probabilities(hidden[-1])[row, after[chains, step]]
        return totals

    def _steps(self, tokens: Sequence[np.ndarray]) -> Iterator[tuple]:
        """Read a token of each chain at a time, but for the stop: yields the chains (m,) that are still read, each
        one's row, and hidden and cell states (g, d) by layer; chains that are equal so far share a row.
        """
        sizes = np.array([len(each) - 1 for each in tokens])
        longest_first = np.argsort(-sizes, kind="stable")
        padded = _padded(tokens)
        hidden = [torch.zeros(1, self.card.dim, dtype=self._dtype, device=self.device)] * self.card.layers
        cell = [each.float() for each in hidden]
        row = np.zeros(len(tokens), dtype=np.int64)
        for step in range(sizes.max(initial=0)):
            chains = longest_first[: np.count_nonzero(sizes > step)]
            begun, row = np.unique(row[: len(chains)] * _N_TOKENS + padded[chains, step], return_inverse=True)
            parent, read = np.divmod(begun, _N_TOKENS)
            if not np.array_equal(parent, np.arange(len(hidden[0]))):
                hidden, cell = ([each[parent] for each in states] for states in (hidden, cell))
            hidden, cell = self._advance(torch.from_numpy(read).to(self.device), hidden, cell)
            yield chains, row, hidden, cell

    def _advance(self, tokens: torch.Tensor, hidden: list, cell: list) -> tuple[list, list]:
        """One step of all layers for the tokens (g,) of the rows: new hidden and cell states."""
        new_hidden: list[torch.Tensor] = []
        new_cell: list[torch.Tensor] = []
        for number, (wmx, wx, bias, wmh, wh) in enumerate(self._layers):
            if number == 0:
                from_below, gates = wmx[tokens], wx[tokens]
            else:
                from_below, gates = new_hidden[-1] @ wmx, torch.addmm(bias, new_hidden[-1], wx)
            gates = gates.addmm_((hidden[number] @ wmh).mul_(from_below), wh)  # (g, 4 d)
            i, f, o, u = gates.chunk(4, dim=1)
            kept = torch.addcmul(f.sigmoid() * cell[number], i.sigmoid(), u.tanh()).float()
            new_cell.append(kept)
            new_hidden.append(o.sigmoid() * kept.tanh().to(self._dtype))
        return new_hidden, new_cell

    def _log_probabilities(self, states: torch.Tensor) -> np.ndarray:
        """float32 (g, 25): natural log over the tokens from 1 on, of what comes after the states (g, d)."""
        return F.log_softmax(F.linear(states.float(), *self._head), dim=-1).cpu().numpy()


def _padded(tokens: Sequence[np.ndarray]) -> np.ndarray:
    """Token ids (n, longest), 0 after the stop of a shorter chain."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(each) for each in tokens], batch_first=True).numpy()


def _pool(how: str, states: torch.Tensor, cells: torch.Tensor, parts: Mapping, last: np.ndarray) -> torch.Tensor:
    """float32 (n, d), for "fusion" (n, 3 d), from states (N, d), the last cell state and the last state of each."""
    if how == "fusion":
        return torch.cat([_pool(each, states, cells, parts, last) for each in ("mean", "final", "cell")], dim=1)
    if how == "cell":
        return cells
    return states[last].float() if how == "final" else packed.pool(states, parts[how], how)


def load_unirep(card: Card, *, device: str = "auto", dtype: str = "auto", path: str | Path | None = None) -> Model:
    """Load the weights of a card of UniRep; `plmbook.models.load` is how one calls it."""
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    path = files.find_file(card, path)
    files.check_sha256(path, card)
    return UniRepModel(_read(path, card), card, path=path, device=device, dtype=dtype)


def _names(number: int) -> tuple[str, ...]:
    return (*_MATRICES, *("g" + name[1:] for name in _MATRICES), "b")


def _read(path: Path, card: Card) -> dict[str, torch.Tensor]:
    """The arrays of a published file, whose names, shapes and numbers are checked; nothing in it is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as opened:
            found = {name: torch.from_numpy(opened[name]) for name in opened.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as an .npz file of arrays ({error}); truncated?") from None
    depth = 1 + max([int(name.split(".")[1]) for name in found if re.match(r"mlstm\.\d+\.", name)], default=-1)
    files.check_names(path, [name for name in ("embedding", "mlstm.0.wmh") if name not in found], [])
    files.compare_sizes(path, card, {"layers": depth, "dim": len(found["mlstm.0.wmh"])})
    below, d = found["embedding"].shape[-1], card.dim
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (_N_TOKENS, below),
        "dense.w": (d, _N_TOKENS - 1),
        "dense.b": (_N_TOKENS - 1,),
    }
    for number in range(depth):
        of_layer = ((below, 4 * d), (d, 4 * d), (below, d), (d, d), (4 * d,), (4 * d,), (d,), (d,), (4 * d,))
        shapes |= {f"mlstm.{number}.{name}": shape for name, shape in zip(_names(number), of_layer, strict=True)}
        below = d
    files.check_names(path, [n for n in shapes if n not in found], [n for n in found if n not in shapes])
    for name, shape in shapes.items():
        files.check_tensor(path, name, found[name], torch.Size(shape))
    return {name: value.float() for name, value in found.items()}
