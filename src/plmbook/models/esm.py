"""ESM-1b, ESM-1v, ESM-2 and the bundled model, in the files that their authors ship.

fair-esm's classes hold the weights.  Reading is stricter: the architecture comes from the checkpoint, pickles may hold
one class only, and a key that is missing, left over, misshapen or not finite is an error.
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import esm
import numpy as np
import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS, MASK, UNKNOWN
from plmbook.models import files, packed
from plmbook.models.base import Model, Output
from plmbook.models.cards import Card
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.tokens import Tokens

REGRESSION_URL = "https://dl.fbaipublicfiles.com/fair-esm/regression/{name}-contact-regression.pt"
ALPHABET = esm.Alphabet.from_architecture("ESM-1b")  # the 33 tokens of ESM-1b, ESM-1v and ESM-2
_NAMESPACE = [argparse.Namespace]  # the one class beyond tensors: Meta's files keep the training options in it
_REGRESSION_KEYS = ("contact_head.regression.weight", "contact_head.regression.bias")

_COLUMNS = [ALPHABET.get_idx(letter) for letter in AMINO_ACIDS]


def _tokens() -> Tokens:
    of_letter = np.full(128, -1, dtype=np.int64)
    for letter in AMINO_ACIDS + UNKNOWN:
        # ESM has tokens for X, B, U, Z and O; it has none for J (leucine or isoleucine), which is read as X.
        of_letter[ord(letter)] = ALPHABET.get_idx(letter if letter in ALPHABET.tok_to_idx else "X")
    of_letter[ord(MASK)] = ALPHABET.mask_idx
    return Tokens(of_letter, np.array([ALPHABET.cls_idx]), np.array([ALPHABET.eos_idx]))


TOKENS = _tokens()


class EsmModel(Model):
    """A loaded ESM model; `network` is an `esm.ESM2` or `esm.ProteinBertModel`."""

    def __init__(
        self,
        network,
        card: Card,
        *,
        path: Path,
        device: str = "cpu",
        dtype: str = "float32",
        has_contacts: bool = False,
    ):
        super().__init__(card, path=path, device=device, dtype=dtype)
        regression = copy.deepcopy(network.contact_head)  # in float32, whatever the rest is
        self.network = network.to(device=device, dtype=DTYPES[dtype]).eval().requires_grad_(False)
        self.network.contact_head = regression.to(device=device, dtype=torch.float32).requires_grad_(False)
        packed.fuse(self.network)
        self.capabilities -= set() if has_contacts else {"contacts"}

    def tokenize(self, sequence: str) -> np.ndarray:
        """int64 (L + 2,): BOS, residues, EOS.  X, B, Z, U and O have their own tokens, J is read as X."""
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
        """As `Model.run`; ESM-1b and ESM-1v read at most `max_length` residues."""
        if not sequences:
            return []
        tokens = [self._checked_tokens(sequence) for sequence in sequences]
        n_layers = len(self.network.layers)
        pools = self.checked_pools(pool)
        number_of = {layer: self.card.layer_number(layer) for layer in layers}
        lengths = [len(each) for each in tokens]
        wanted = set(number_of.values()) | ({n_layers} if logits else set())
        outputs = [Output() for _ in sequences]
        if not wanted:
            return outputs
        options = {}
        if logits:
            places, counts = self._places(rows, lengths)
            if n_layers not in number_of.values() and 0 < len(places) < sum(lengths) / 2:
                options = {"rows": places, "counts": counts}  # the last layer where it is asked for
        packed_tokens = torch.from_numpy(np.concatenate(tokens)).to(self.device)  # (N,)
        states = packed.hidden_states(self.network, packed_tokens, lengths, layers=wanted, **options)
        packed.fill(outputs, states, number_of, [(1, length - 2, 1) for length in lengths], pools=pools, spans=spans)
        if logits:
            last = states[n_layers] if options else states[n_layers][places]  # (M, d)
            table = F.log_softmax(packed.lm_logits(self.network, last), dim=-1)[:, _COLUMNS].cpu().numpy()  # (M, 20)
            for output, piece in zip(outputs, np.split(table, np.cumsum(counts)[:-1]), strict=True):
                output.log_probabilities = piece
        return outputs

    @torch.inference_mode()
    def attentions(self, sequence: str) -> np.ndarray:
        """As `Model.attentions`."""
        maps = self._attention_maps(torch.from_numpy(self._checked_tokens(sequence)).to(self.device))
        return maps[:, :, 1:-1, 1:-1].cpu().numpy()

    @torch.inference_mode()
    def contacts(self, sequence: str) -> np.ndarray:
        """As `Model.contacts`."""
        if not self.can("contacts"):
            raise InputError(
                f"model {self.name!r}: no contact regression; expected "
                f"{_regression_name(self.name)} beside {self.path} "
                f"(ESM-1b and ESM-2: {REGRESSION_URL.format(name=self.name)}; ESM-1v and the bundled model have none)"
            )
        tokens = torch.from_numpy(self._checked_tokens(sequence)).to(self.device)
        maps = self._attention_maps(tokens)
        return self.network.contact_head(tokens[None], maps[None])[0].cpu().numpy()

    def _checked_tokens(self, sequence: str) -> np.ndarray:
        tokens = self.tokenize(sequence)
        if not self.can("any-length") and self.max_length and len(tokens) - 2 > self.max_length:
            raise InputError(
                f"model {self.name!r}: a sequence of {len(tokens) - 2} residues, expected at most {self.max_length}; "
                "plmbook.engine.encode reads longer ones in windows"
            )
        return tokens

    def _places(self, rows: Sequence[np.ndarray] | None, lengths: list[int]) -> tuple[torch.Tensor, list[int]]:
        """The tokens (M,) at which log-probabilities are wanted, and how many of them each sequence has."""
        if rows is None:
            rows = [np.arange(length - 2) for length in lengths]
        rows = [np.asarray(each, dtype=np.int64) for each in rows]
        for each, length in zip(rows, lengths, strict=True):
            if each.size and not (0 <= each.min() and each.max() < length - 2):
                raise InputError(
                    f"rows {each.min()} to {each.max()} asked of a sequence of {length - 2} residues (0-based)"
                )
        starts = np.cumsum([0, *lengths[:-1]]) + 1  # where each sequence's first residue lies
        places = np.concatenate([start + each for start, each in zip(starts, rows, strict=True)])
        return torch.from_numpy(places).to(self.device), [len(each) for each in rows]

    def _attention_maps(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 (layers, heads, L + 2, L + 2), BOS and EOS included: softmax(q k / sqrt(head_dim))."""
        network, layout = self.network, packed.Layout([len(tokens)], tokens.device)
        x = packed.embed_tokens(network, tokens, layout)
        module = network.layers[0].self_attn
        head_dim = x.shape[1] // module.num_heads
        rotary = getattr(module, "rot_emb", None) is not None
        tables = packed.rotary_tables(head_dim, layout, x.dtype) if rotary else None
        maps = []
        for layer in network.layers:
            query, key, _ = packed.projections(layer, layer.self_attn_layer_norm(x), tables)
            scores = torch.einsum("ihc,jhc->hij", query.float(), key.float()) / head_dim**0.5
            maps.append(scores.softmax(dim=-1))
            x = packed.apply_layer(layer, x, layout, tables)
        return torch.stack(maps)


def load_esm(card: Card, *, device: str = "auto", dtype: str = "auto", path: str | Path | None = None) -> EsmModel:
    """Load the weights of an ESM card; `plmbook.models.load` is how one calls it."""
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    path = _find_weights(card, path)
    if path.suffix == ".safetensors":
        network, has_contacts = _read_safetensors(path, card, dtype=dtype), False
    else:
        beside = path.with_name(_regression_name(path.stem))
        regression = beside if beside.is_file() else None
        network, has_contacts = _read_checkpoint(path, card, regression=regression, dtype=dtype)
    return EsmModel(network, card, path=path, device=device, dtype=dtype, has_contacts=has_contacts)


def _find_weights(card: Card, path: str | Path | None) -> Path:
    """The file of the weights; where it has to be fetched, the contact regression with it."""
    to_fetch = path is None and files.weights_path(card) is None
    found = files.find_file(card, path)
    if to_fetch and card.can("contacts"):
        try:
            files.fetch_file(card, REGRESSION_URL.format(name=card.name), _regression_name(card.name))
        except InputError:
            pass  # optional: `contacts` says what is missing, everything else works without
    return found


def _read_checkpoint(path: Path, card: Card, *, regression: Path | None = None, dtype: str = "float32"):
    """Build and fill the network of a `.pt` file of Meta (`args`, a Namespace, in ESM-1; `cfg` in ESM-2), which must be
    the card's: the network, and whether it has contacts (their regression is a file of its own).
    """
    content = files.read_pickle(path, _NAMESPACE)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise InputError(
            f"{path}: expected a checkpoint of ESM with the weights under 'model', found {_outline(content)}"
        )
    state = {_without_prefix(key): value for key, value in content["model"].items()}
    if regression is not None:
        extra = files.read_pickle(regression, _NAMESPACE)
        if not isinstance(extra, dict) or not isinstance(extra.get("model"), dict):
            raise InputError(
                f"{regression}: expected contact regression weights under 'model', found {_outline(extra)}"
            )
        state.update(extra["model"])
    if "cfg" in content:
        network = _esm2_network(path, _options(content["cfg"], "model", path), card)
    elif "args" in content:
        network = _esm1_network(path, _options(content, "args", path), card, state)
    else:
        raise InputError(f"{path}: expected 'cfg' (ESM-2) or 'args' (ESM-1b, ESM-1v), found {_outline(content)}")
    has_contacts = _REGRESSION_KEYS[0] in state
    _fill(network, state, path, dtype=dtype, may_lack=() if has_contacts else _REGRESSION_KEYS)
    if "args" in content:
        with torch.no_grad():  # as fair-esm does: ESM-1's mask embedding is zero (and with it, tied, the output row)
            network.embed_tokens.weight[ALPHABET.mask_idx].zero_()
    return network, has_contacts


def _read_safetensors(path: Path, card: Card, *, dtype: str = "float32"):
    """Build the ESM-2 network of a bundled card and fill it from its file (sha256 as on the card). The head's weight,
    rotary frequencies (tied, derived) and the contact head may be absent.
    """
    files.check_sha256(path, card)
    state = files.read_safetensors(path)
    network = esm.ESM2(card.layers, card.dim, card.heads, alphabet=ALPHABET, token_dropout=card.token_dropout)
    derived = [key for key in network.state_dict() if key.endswith("rot_emb.inv_freq")]
    _fill(network, state, path, dtype=dtype, may_lack=(*_REGRESSION_KEYS, "lm_head.weight", *derived))
    return network


def _regression_name(stem: str) -> str:
    return f"{stem}-contact-regression.pt"


def _outline(content) -> str:
    return ", ".join(map(str, list(content)[:5])) if isinstance(content, dict) else type(content).__name__


def _options(container, key: str, path: Path) -> dict:
    options = container.get(key) if isinstance(container, dict) else None
    options = vars(options) if isinstance(options, argparse.Namespace) else options
    if not isinstance(options, dict):
        raise InputError(f"{path}: expected the training options under {key!r}, found {type(options).__name__}")
    # The options of the encoder are written with its prefix (`encoder_embed_dim`).
    return {name.removeprefix("encoder_"): value for name, value in options.items()}


def _without_prefix(key: str) -> str:
    """Names of the training code to names of the released classes.

    >>> _without_prefix("encoder.sentence_encoder.layers.0.fc1.bias"), _without_prefix("encoder.lm_head.bias")
    ('layers.0.fc1.bias', 'lm_head.bias')
    """
    return key.removeprefix("encoder.").removeprefix("sentence_encoder.")


def _compare(path: Path, card: Card, family: str, options: dict) -> None:
    if family != ("esm2" if card.family == "esm2" else "esm1"):
        raise InputError(f"{path}: an architecture of the family {family}, expected {card.family} ({card.name})")
    names = {"layers": "layers", "dim": "embed_dim", "heads": "attention_heads"}
    for theirs in names.values():
        if theirs not in options:
            raise InputError(f"{path}: the training options lack encoder_{theirs}")
    files.compare_sizes(path, card, {ours: options[theirs] for ours, theirs in names.items()})


def _esm2_network(path: Path, options: dict, card: Card):
    _compare(path, card, "esm2", options)
    with torch.device("meta"):  # no memory and no random weights: everything comes from the file
        return esm.ESM2(
            options["layers"],
            options["embed_dim"],
            options["attention_heads"],
            alphabet=ALPHABET,
            token_dropout=options.get("token_dropout", True),
        )


def _esm1_network(path: Path, options: dict, card: Card, state: dict):
    if options.get("arch") != "roberta_large":
        raise InputError(f"{path}: architecture {options.get('arch')!r}, expected 'roberta_large' (ESM-1b, ESM-1v)")
    _compare(path, card, "esm1", options)
    if options.get("max_positions", 0) < (needed := (card.max_length or 0) + 2):
        raise InputError(f"{path}: {options.get('max_positions')} positions, expected {needed} for {card.name}")
    # ESM-1b normalises its embeddings before the first layer and ESM-1v does not; only the keys say which.
    norm_before = any(key.startswith("emb_layer_norm_before") for key in state)
    with torch.device("meta"):
        return esm.ProteinBertModel(argparse.Namespace(**{**options, "emb_layer_norm_before": norm_before}), ALPHABET)


def _fill(network, state: dict, path: Path, *, dtype: str, may_lack: Sequence[str]) -> None:
    """Put the weights into the network after every check; the keys `may_lack` may be absent."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in state and key not in may_lack]
    unexpected = [key for key in state if key not in expected]
    files.check_names(path, missing, unexpected)
    for key, value in state.items():
        files.check_tensor(path, key, value, expected[key].shape)
    tied = state.get("lm_head.weight", state["embed_tokens.weight"])
    if not torch.equal(tied, state["embed_tokens.weight"]):
        raise InputError(f"{path}: lm_head.weight is not embed_tokens.weight, to which ESM ties it")
    for key in _REGRESSION_KEYS:  # unused where absent: `contacts` refuses
        state.setdefault(key, torch.zeros(expected[key].shape))
    # The regression reads float32 attention maps, and keeps its own precision.
    cast = {key: value.to(torch.float32 if key in _REGRESSION_KEYS else DTYPES[dtype]) for key, value in state.items()}
    network.load_state_dict(cast, strict=False, assign=True)
    network.lm_head.weight = network.embed_tokens.weight
