"""The ways to embed that the benchmarks compare, each on the same weights: fair-esm, transformers, plmbook.

`fair-esm`: the loop of its `extract.py`: length-sorted batches of 4,096 tokens, padded, the whole model with its
language-model head, mean over the residues (writing one file a protein is left out).
`transformers`: `EsmModel` with `attn_implementation="sdpa"`, sorted, padded, 4,096 tokens a batch, no head.
`plmbook`: `encode.embed` as a user calls it.

The weights are random: speed depends on the architecture alone.  Scales and biases are drawn too, since the layer
norms of a fresh network would hide what goes wrong in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from plmbook import models
from plmbook.models.cards import Card

WAYS = ("fair-esm", "transformers", "plmbook")
TOKENS = 4096  # of a padded batch, as fair-esm's extract.py has it
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NAMES = (  # of fair-esm and of transformers, longest first where one holds the other
    ("embed_tokens.", "embeddings.word_embeddings."),
    ("emb_layer_norm_after.", "encoder.emb_layer_norm_after."),
    ("layers.", "encoder.layer."),
    (".self_attn.q_proj.", ".attention.self.query."),
    (".self_attn.k_proj.", ".attention.self.key."),
    (".self_attn.v_proj.", ".attention.self.value."),
    (".self_attn.out_proj.", ".attention.output.dense."),
    (".self_attn_layer_norm.", ".attention.LayerNorm."),
    (".final_layer_norm.", ".LayerNorm."),
    (".fc1.", ".intermediate.dense."),
    (".fc2.", ".output.dense."),
)

Way = Callable[[Sequence[str]], np.ndarray]


# --- weights ---------------------------------------------------------------------------------------------


def card_of(name: str, *, max_length: int | None = None) -> Card:
    """The card of a model, with another longest protein where one is given (ESM-2's positions are relative)."""
    found = models.card(name)
    return found if max_length is None else replace(found, max_length=max_length)


def write_weights(folder: Path, name: str, *, seed: int = 0) -> None:
    """Write the weights that all ways read, float32 and bfloat16: the bundled ones, else random ones of that size.

    Mapped into memory, they are there once for all processes.
    """
    card = card_of(name)
    if card.bundled:
        state = models.load(name, device="cpu", dtype="float32").network.state_dict()
    else:
        state = random_network(card, seed=seed).state_dict()
    for dtype, kind in DTYPES.items():
        torch.save({key: value.to(kind) for key, value in state.items()}, weights_file(folder, name, dtype))


def weights_file(folder: Path, name: str, dtype: str) -> Path:
    return folder / f"{name}.{dtype}.pt"


def random_network(card: Card, *, seed: int = 0, device: str = "cpu", dtype: str = "float32"):
    """fair-esm's ESM-2 of a card's architecture with random weights, made where they are to lie.

    Linear maps uniform within 1 / sqrt(inputs), scales of the layer norms between 0.5 and 1.5, all biases normal.
    """
    network = empty_network(card).to(DTYPES[dtype]).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "layer_norm" in name and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif parameter.dim() > 1:
                bound = 1.0 if "embed" in name else parameter.shape[-1] ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)
            else:
                parameter.normal_(std=0.1, generator=generator)
    _set_frequencies(network)
    network.lm_head.weight = network.embed_tokens.weight
    return network.eval().requires_grad_(False)


def empty_network(card: Card):
    """The architecture on the meta device: shapes, and no memory."""
    import esm

    with torch.device("meta"):
        return esm.ESM2(card.layers, card.dim, card.heads, alphabet="ESM-1b", token_dropout=card.token_dropout)


def _set_frequencies(network) -> None:
    """The rotary frequencies are no weights, and `to_empty` leaves them blank."""
    for layer in network.layers:
        rotary = layer.self_attn.rot_emb
        head_dim = layer.self_attn.head_dim
        exponent = torch.arange(0, head_dim, 2, device=rotary.inv_freq.device).float() / head_dim
        rotary.inv_freq = (1.0 / 10000**exponent).to(rotary.inv_freq.dtype)


def fair_esm_network(card: Card, path: Path):
    """fair-esm's network with the weights of a file, which stay mapped."""
    network = empty_network(card)
    network.load_state_dict(torch.load(path, mmap=True, weights_only=True), assign=True)
    network.lm_head.weight = network.embed_tokens.weight
    return network.eval().requires_grad_(False)


def transformers_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of fair-esm's ESM-2 under the names of transformers' `EsmModel` (which has no head)."""
    found = {}
    for key, value in state.items():
        if key.startswith("lm_head.") or key.endswith("inv_freq"):  # the frequencies are no weights
            continue
        for theirs, ours in _NAMES:
            key = key.replace(theirs, ours)
        found[key] = value
    return found


def transformers_network(card: Card, state: dict[str, torch.Tensor], dtype: str):
    """transformers' `EsmModel` with sdpa, on these weights; a weight too few or too many is an error."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = transformers.EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=card.dim,
        num_hidden_layers=card.layers,
        num_attention_heads=card.heads,
        intermediate_size=4 * card.dim,
        max_position_embeddings=1026,
        layer_norm_eps=1e-5,
        position_embedding_type="rotary",
        token_dropout=card.token_dropout,
        emb_layer_norm_before=False,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    network, info = transformers.EsmModel.from_pretrained(
        None,
        config=config,
        state_dict=transformers_state(state),
        attn_implementation="sdpa",
        dtype=DTYPES[dtype],
        add_pooling_layer=False,
        output_loading_info=True,
    )
    faults = {name: sorted(set(keys) - {"rotary_embeddings.inv_freq"}) for name, keys in info.items()}
    if any(faults.values()):
        raise RuntimeError(f"the weights do not fit transformers' EsmModel: {faults}")
    return network.eval().requires_grad_(False)


# --- the ways --------------------------------------------------------------------------------------------


def make_way(way: str, name: str, dtype: str, folder: str, max_length: int | None = None) -> Way:
    """A way, ready to embed: sequences -> (n, d) float32 means over the residues, in their order."""
    card, path = card_of(name, max_length=max_length), weights_file(Path(folder), name, dtype)
    if way == "plmbook":
        return plmbook_way(card, fair_esm_network(card, path), path=path, dtype=dtype)
    if way == "fair-esm":
        return fair_esm_way(card, fair_esm_network(card, path))
    return transformers_way(transformers_network(card, torch.load(path, mmap=True, weights_only=True), dtype))


def plmbook_way(card: Card, network, *, path: Path, device: str = "cpu", dtype: str = "float32", **options) -> Way:
    """`encode.embed`; `options` go to it, such as `token_budget`."""
    from plmbook.engine import encode
    from plmbook.models.esm import EsmModel

    model = EsmModel(network, card, path=path, device=device, dtype=dtype)
    return lambda sequences: encode.embed(model, list(sequences), **options)


def fair_esm_way(card: Card, network) -> Way:
    """fair-esm's `extract.py`, less its files."""
    import esm

    convert = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()

    def embed(sequences: Sequence[str]) -> np.ndarray:
        data = esm.FastaBatchedDataset([str(i) for i in range(len(sequences))], list(sequences))
        found = np.empty((len(sequences), card.dim), dtype=np.float32)
        with torch.no_grad():
            for batch in data.get_batch_indices(TOKENS, extra_toks_per_seq=1):
                _, _, tokens = convert([data[i] for i in batch])
                states = network(tokens, repr_layers=[card.layers], return_contacts=False)["representations"]
                for row, i in enumerate(batch):
                    found[i] = states[card.layers][row, 1 : len(sequences[i]) + 1].mean(0).numpy()
        return found

    return embed


def transformers_way(network, *, device: str = "cpu", tokens_per_batch: int = TOKENS) -> Way:
    """transformers' `EsmModel`: sorted by length, padded, longest first, the mean in float32."""
    import esm

    convert = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()
    network = network.to(device)

    def embed(sequences: Sequence[str]) -> np.ndarray:
        found = np.empty((len(sequences), network.config.hidden_size), dtype=np.float32)
        with torch.inference_mode():
            for batch in padded_batches([len(sequence) + 2 for sequence in sequences], tokens_per_batch):
                _, _, tokens = convert([(str(i), sequences[i]) for i in batch])
                tokens = tokens.to(device)
                real = tokens != 1  # not padding
                states = network(tokens, attention_mask=real.long()).last_hidden_state.float()  # (B, T, d)
                lengths = torch.tensor([len(sequences[i]) for i in batch], device=device)
                place = torch.arange(tokens.shape[1], device=device)
                residues = (place >= 1) & (place <= lengths[:, None])  # (B, T), without BOS and EOS
                means = (states * residues[..., None]).sum(1) / lengths[:, None]
                found[batch] = means.cpu().numpy()
        return found

    return embed


def padded_batches(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Indices, longest first, in batches of at most `budget` tokens once padded to their longest.

    >>> padded_batches([3, 9, 4, 2], 8)
    [[1], [2, 0], [3]]
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if not groups or sizes[groups[-1][0]] * (len(groups[-1]) + 1) > budget:
            groups.append([])
        groups[-1].append(index)
    return groups


# --- the limit -------------------------------------------------------------------------------------------


def matrix_rate(shape: Sequence[int], dtype: str, *, device: str = "cpu", seconds: float = 0.3) -> float:
    """GFLOP a second of one matrix product (n, k) x (k, m), repeated for about so long; the mean of the repetitions."""
    import time

    n, k, m = shape
    # Entries of one size: a GPU draws less power, and so runs faster, on zeros.
    x = torch.randn(n, k, device=device, dtype=DTYPES[dtype])
    weight = torch.randn(m, k, device=device, dtype=DTYPES[dtype])  # as a linear layer holds it
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    with torch.inference_mode():
        for _ in range(2):
            torch.nn.functional.linear(x, weight)
        wait()
        start = time.perf_counter()
        torch.nn.functional.linear(x, weight)
        wait()
        repeats = max(2, int(seconds / (time.perf_counter() - start)))
        start = time.perf_counter()
        for _ in range(repeats):
            torch.nn.functional.linear(x, weight)
        wait()
    return 2 * n * k * m * repeats / (time.perf_counter() - start) / 1e9


def shapes_of(cards: Sequence[Card], tokens: int = 2048) -> list[tuple[int, int, int]]:
    """A large square, and the linear maps of these models on a batch of so many tokens."""
    found = [(2048, 2048, 2048)]
    for card in cards:
        found += [(tokens, card.dim, 3 * card.dim), (tokens, card.dim, 4 * card.dim), (tokens, 4 * card.dim, card.dim)]
    return list(dict.fromkeys(found))
