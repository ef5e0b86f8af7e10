"""ESM-1b, ESM-1v, ESM-2 and the bundled model, in the files that their authors ship.

fair-esm's classes hold the weights; reading the files is our own, stricter code: the architecture comes from the
checkpoint, pickles are opened with an allow-list of one class, and a key that is missing, left over, misshapen or not
finite is an error.
"""

import argparse
import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import esm
import numpy as np
import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError
from plmbook.core.paths import file_sha256
from plmbook.core.residues import AMINO_ACIDS, MASK, UNKNOWN, first_fault
from plmbook.models import Output, packed
from plmbook.models.cards import REGRESSION_URL, Card, hub_cache, mirror, weights_path
from plmbook.models.device import DTYPES, choose_device
from plmbook.models.files import check_tensor, read_pickle, some

ALPHABET = esm.Alphabet.from_architecture("ESM-1b")  # the 33 tokens of ESM-1b, ESM-1v and ESM-2
NAMESPACE = [argparse.Namespace]  # the one class beyond tensors: Meta's files keep the training options in it
REGRESSION_KEYS = ("contact_head.regression.weight", "contact_head.regression.bias")

_COLUMNS = [ALPHABET.get_idx(letter) for letter in AMINO_ACIDS]
_TOKEN_OF = np.full(128, -1, dtype=np.int64)  # by ASCII code
for _letter in AMINO_ACIDS + UNKNOWN:
    # ESM has tokens for X, B, U, Z and O; it has none for J (leucine or isoleucine), which is read as X.
    _TOKEN_OF[ord(_letter)] = ALPHABET.get_idx(_letter if _letter in ALPHABET.tok_to_idx else "X")
_TOKEN_OF[ord(MASK)] = ALPHABET.mask_idx


class EsmModel:
    """A loaded ESM model.

    Attributes
    ----------
    name : str
    card : Card
    max_length : int
        The longest protein in residues.
    device, dtype : str
    path : Path
        The file of the weights.
    network : esm.ESM2 or esm.ProteinBertModel
    """

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
        regression = copy.deepcopy(network.contact_head)  # in float32, whatever the rest is
        self.network = network.to(device=device, dtype=DTYPES[dtype]).eval().requires_grad_(False)
        self.network.contact_head = regression.to(device=device, dtype=torch.float32).requires_grad_(False)
        packed.fuse(self.network)
        self.card = card
        self.name = card.name
        self.max_length = card.max_length
        self.path = Path(path)
        self.device = device
        self.dtype = dtype
        self.has_contacts = has_contacts

    @cached_property
    def weights_hash(self) -> str:
        """sha256 (hex) of the weights' file, as `sha256sum` prints it."""
        return file_sha256(self.path)

    def tokenize(self, sequence: str) -> np.ndarray:
        """Token ids of one sequence.

        Parameters
        ----------
        sequence : str
            Residues in upper case; `_` stands for a masked one.  X, B, Z, U, O have their own tokens, J is read as X.

        Returns
        -------
        int64 array (L + 2,)
            With BOS first and EOS last.

        Raises
        ------
        InputError
            If the sequence is empty or holds anything else.
        """
        codes = np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)
        tokens = np.empty(len(codes) + 2, dtype=np.int64)
        tokens[0], tokens[-1] = ALPHABET.cls_idx, ALPHABET.eos_idx
        tokens[1:-1] = _TOKEN_OF[codes]
        if not sequence or tokens[1:-1].min() < 0:
            raise InputError(_fault(sequence))
        return tokens

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
        """One forward pass over a batch, without padding: a sequence's answer does not depend on its neighbours.

        Parameters
        ----------
        sequences : sequence of str
            Of ESM-1b and ESM-1v at most `max_length` residues each; how ESM-2 meets a longer one
            `plmbook.engine.encode` says.
        layers : sequence of int
            Hidden states wanted: 0 is the input embedding, `card.layers` (or -1) the last, after its layer norm.
        rows : sequence of int arrays, optional
            For each sequence the 0-based residues whose log-probabilities are wanted.  Default: all.
        logits : bool
            Whether log-probabilities are wanted at all.
        pool : {"mean", "max", "bos"} or several of these, optional
            One vector of each layer and sequence, pooled in float32 where the model runs, instead of all residues;
            those of several pools stand one after another in it.
        spans : sequence of (int, int), optional
            Start and stop (0-based, stop excluded) of the residues of each sequence that are pooled.  Default: all.

        Returns
        -------
        list of Output
            In the order of `sequences`; `hidden` (or `pooled`) has the keys of `layers`.

        Raises
        ------
        InputError
            If a sequence is too long or holds no residue, a layer does not exist, or a row is outside its sequence.
        """
        if not sequences:
            return []
        tokens = [self._checked_tokens(sequence) for sequence in sequences]
        n_layers = len(self.network.layers)
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
        for layer, number in number_of.items():
            if pool is not None:
                pools = (pool,) if isinstance(pool, str) else pool
                found = [self._pooled(states[number], lengths, each, spans) for each in pools]
                vectors = torch.cat(found, dim=1).cpu().numpy()
                for output, vector in zip(outputs, vectors, strict=True):
                    output.pooled[layer] = vector
                continue
            table = states[number].float().cpu().numpy()  # (N, d)
            for output, stop, length in zip(outputs, np.cumsum(lengths), lengths, strict=True):
                output.hidden[layer] = table[stop - length + 1 : stop - 1].copy()  # without BOS and EOS
        if logits:
            last = states[n_layers] if options else states[n_layers][places]  # (M, d)
            table = F.log_softmax(packed.lm_logits(self.network, last), dim=-1)[:, _COLUMNS].cpu().numpy()  # (M, 20)
            for output, piece in zip(outputs, np.split(table, np.cumsum(counts)[:-1]), strict=True):
                output.log_probabilities = piece
        return outputs

    @torch.inference_mode()
    def attentions(self, sequence: str) -> np.ndarray:
        """Attention maps of one sequence.

        Returns
        -------
        float32 array (layers, heads, L, L)
            `[l, h, i, j]`: how much residue i attends to residue j.  BOS and EOS are cut off: rows sum to less than 1.
        """
        maps = self._attention_maps(torch.from_numpy(self._checked_tokens(sequence)).to(self.device))
        return maps[:, :, 1:-1, 1:-1].cpu().numpy()

    @torch.inference_mode()
    def contacts(self, sequence: str) -> np.ndarray:
        """Probability of contact for each pair of residues: the logistic regression that ships with the model.

        Returns
        -------
        float32 array (L, L), symmetric

        Raises
        ------
        InputError
            If the model has no regression weights on this machine.
        """
        if not self.has_contacts:
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
        if len(tokens) - 2 > self.max_length and not self.card.any_length:
            raise InputError(
                f"model {self.name!r}: a sequence of {len(tokens) - 2} residues, expected at most {self.max_length}; "
                "plmbook.engine.encode reads longer ones in windows"
            )
        return tokens

    def _pooled(self, states, lengths, pool, spans) -> torch.Tensor:
        """float32 (B, d)."""
        if pool == "bos":
            return states[np.cumsum([0, *lengths[:-1]])].float()
        spans = spans or [(0, length - 2) for length in lengths]
        parts = [(1 + a, b - a, length - 1 - b) for (a, b), length in zip(spans, lengths, strict=True)]
        return packed.pool(states, parts, pool)

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
    """Load the weights of an ESM card; see `plmbook.models.load`, which is how one calls it.

    Parameters
    ----------
    card : Card
        Of a family `esm1b`, `esm1v` or `esm2`.
    device, dtype, path
        As for `load`.

    Returns
    -------
    EsmModel

    Raises
    ------
    InputError
        As `load`.
    """
    device, dtype = choose_device(device, dtype, dim=card.dim, heads=card.heads)
    path = find_weights(card, path)
    if path.suffix == ".safetensors":
        network, has_contacts = read_safetensors(path, card, dtype=dtype), False
    else:
        regression = path.with_name(_regression_name(path.stem))
        regression = regression if regression.is_file() else None
        network, has_contacts = read_checkpoint(path, card, regression=regression, dtype=dtype)
    return EsmModel(network, card, path=path, device=device, dtype=dtype, has_contacts=has_contacts)


def find_weights(card: Card, path: str | Path | None = None) -> Path:
    """The file of a card's weights: the given path, else what lies here, else a download into torch hub's cache.

    Parameters
    ----------
    card : Card
    path : path, optional
        A file, or a folder that holds `NAME.pt` or `NAME.safetensors`.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is none and it cannot be fetched; the message says what to fetch and where to put it.
    """
    if path is not None:
        return _given_weights(card, Path(path).expanduser())
    found = weights_path(card)
    if found is not None:
        return found
    if card.bundled:
        raise InputError(
            f"model {card.name!r}: its card is there, {card.name}.safetensors beside it is not; restore data/models"
        )
    fetched = _download(card.source, f"{card.name}.pt", card)
    if card.family != "esm1v":  # ESM-1v was released without contact regression
        try:
            _download(REGRESSION_URL.format(name=card.name), _regression_name(card.name), card)
        except InputError:
            pass  # optional: `contacts` says what is missing, everything else works without
    return fetched


def read_checkpoint(path: Path, card: Card, *, regression: Path | None = None, dtype: str = "float32"):
    """Build the network that a `.pt` file of Meta describes, and fill it.

    Parameters
    ----------
    path : Path
        ESM-1b and ESM-1v: `args` (a Namespace) and `model`; ESM-2: `cfg` (with a Namespace under `model`) and `model`.
    card : Card
        The model that the file should be: family, layers, dim and heads are compared.
    regression : Path, optional
        The file of the contact regression.
    dtype : str
        `float32` or `bfloat16`, of the weights in memory.

    Returns
    -------
    network : esm.ESM2 or esm.ProteinBertModel
        On the CPU.
    has_contacts : bool
        Whether contact regression weights were found.

    Raises
    ------
    InputError
        If a file cannot be read, is of another architecture than the card says, lacks weights, holds further ones, or
        holds numbers that are not finite.
    """
    content = read_pickle(path, NAMESPACE)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise InputError(
            f"{path}: expected a checkpoint of ESM with the weights under 'model', found {_outline(content)}"
        )
    state = {_without_prefix(key): value for key, value in content["model"].items()}
    if regression is not None:
        extra = read_pickle(regression, NAMESPACE)
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
    has_contacts = REGRESSION_KEYS[0] in state
    _fill(network, state, path, dtype=dtype, may_lack=() if has_contacts else REGRESSION_KEYS)
    if "args" in content:
        with torch.no_grad():  # as fair-esm does: ESM-1's mask embedding is zero (and with it, tied, the output row)
            network.embed_tokens.weight[ALPHABET.mask_idx].zero_()
    return network, has_contacts


def read_safetensors(path: Path, card: Card, *, dtype: str = "float32"):
    """Build the ESM-2 network of a bundled card and fill it from its safetensors file (float16 or float32).

    Tied and derived tensors (`lm_head.weight`, rotary frequencies) and the contact head may be absent.

    Parameters
    ----------
    path : Path
    card : Card
        Gives the architecture; its sha256, where it has one, must be the file's.
    dtype : str
        `float32` or `bfloat16`, of the weights in memory.

    Returns
    -------
    esm.ESM2
        On the CPU.

    Raises
    ------
    InputError
        If the file cannot be read, is not the one that the card names, or does not fit the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if card.sha256:
        found = file_sha256(path)
        if found != card.sha256:
            raise InputError(
                f"{path}: sha256 {found}, expected {card.sha256} (the card's); damaged, or of another training?"
            )
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error}); truncated?") from None
    network = esm.ESM2(card.layers, card.dim, card.heads, alphabet=ALPHABET, token_dropout=card.token_dropout)
    derived = [key for key in network.state_dict() if key.endswith("rot_emb.inv_freq")]
    _fill(network, state, path, dtype=dtype, may_lack=(*REGRESSION_KEYS, "lm_head.weight", *derived))
    return network


def _fault(sequence: str) -> str:
    if not sequence:
        return "an empty sequence; expected at least one residue"
    fault = first_fault(sequence.replace(MASK, "X"))
    if fault is None:
        return f"a sequence that no token fits: {sequence[:20]!r}"
    offset, why = fault
    return why.format(place=f"position {offset + 1}")


def _regression_name(stem: str) -> str:
    return f"{stem}-contact-regression.pt"


def _given_weights(card: Card, path: Path) -> Path:
    candidates = [path / f"{card.name}{suffix}" for suffix in (".pt", ".safetensors")] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"model {card.name!r}: no weights at {' or '.join(map(str, candidates))}")


def _download(url: str, file_name: str, card: Card) -> Path:
    import pooch

    folder = hub_cache()
    source = mirror() / file_name if mirror() else None
    if source is not None and source.is_file():
        return source
    if (folder / file_name).is_file():
        return folder / file_name
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname=file_name, path=folder, progressbar=False))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise InputError(
            f"model {card.name!r}: its weights are not here and could not be fetched ({type(error).__name__}); "
            f"fetch {url} and put it into {folder}, name its folder in PLMBOOK_MIRROR, or give its path"
        ) from None


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
    for ours, theirs in (("layers", "layers"), ("dim", "embed_dim"), ("heads", "attention_heads")):
        if theirs not in options:
            raise InputError(f"{path}: the training options lack encoder_{theirs}")
        if options[theirs] != getattr(card, ours):
            raise InputError(
                f"{path}: {options[theirs]} {ours}, expected {getattr(card, ours)} for {card.name}; of another model?"
            )


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
    if options.get("max_positions", 0) < card.max_length + 2:
        raise InputError(
            f"{path}: {options.get('max_positions')} positions, expected {card.max_length + 2} for {card.name}"
        )
    # ESM-1b normalises its embeddings before the first layer and ESM-1v does not; only the keys say which.
    norm_before = any(key.startswith("emb_layer_norm_before") for key in state)
    with torch.device("meta"):
        return esm.ProteinBertModel(argparse.Namespace(**{**options, "emb_layer_norm_before": norm_before}), ALPHABET)


def _fill(network, state: dict, path: Path, *, dtype: str, may_lack: Sequence[str]) -> None:
    """Put the weights into the network after every check; the keys `may_lack` may be absent."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in state and key not in may_lack]
    unexpected = [key for key in state if key not in expected]
    if missing or unexpected:
        faults = [f"{word} {some(keys)}" for word, keys in (("missing:", missing), ("unexpected:", unexpected)) if keys]
        raise InputError(f"{path}: the weights do not fit the architecture; {'; '.join(faults)}")
    for key, value in state.items():
        check_tensor(path, key, value, expected[key].shape)
    tied = state.get("lm_head.weight", state["embed_tokens.weight"])
    if not torch.equal(tied, state["embed_tokens.weight"]):
        raise InputError(f"{path}: lm_head.weight is not embed_tokens.weight, to which ESM ties it")
    for key in REGRESSION_KEYS:  # unused where absent: `contacts` refuses
        state.setdefault(key, torch.zeros(expected[key].shape))
    # The regression reads float32 attention maps, and keeps its own precision.
    kept = {key: value.to(torch.float32 if key in REGRESSION_KEYS else DTYPES[dtype]) for key, value in state.items()}
    network.load_state_dict(kept, strict=False, assign=True)
    network.lm_head.weight = network.embed_tokens.weight
