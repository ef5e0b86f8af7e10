"""One forward pass of a fair-esm model over sequences laid end to end, without padding.

fair-esm's modules hold the weights; its own `forward` pads, materialises every attention map and always runs the
language-model head.  Here the sequences of a batch are concatenated, attention stays inside each of them
(`torch.nn.functional.scaled_dot_product_attention`), and only what is asked for is computed.

Works for `esm.ESM2` (ESM-2, the embedded model: rotary positions) and `esm.ProteinBertModel` (ESM-1b, ESM-1v: learned
positions).  Shapes: N tokens in all, d the model's width, H heads.  The tests hold it against fair-esm's own forward.
"""

import itertools

import torch
import torch.nn.functional as F

MASKED_IN_TRAINING = 0.15 * 0.8  # share of tokens shown as <mask> when ESM was trained (token dropout's constant)


def embed_tokens(model, tokens, lengths):
    """Input embeddings with ESM's token dropout and, for ESM-1, learned positions.

    Parameters
    ----------
    model : esm.ESM2 or esm.ProteinBertModel
    tokens : int64 tensor (N,)
        Token ids of all sequences, each with its BOS and EOS, end to end.
    lengths : sequence of int
        Tokens of each sequence; they sum to N.

    Returns
    -------
    tensor (N, d), in the dtype of the weights

    Notes
    -----
    Token dropout (as in fair-esm): a masked token's embedding is zero, and the rest of its sequence is scaled by
    (1 - 0.12) / (1 - share of masked tokens), BOS and EOS counted.
    """
    counts = torch.as_tensor(lengths, device=tokens.device)
    x = getattr(model, "embed_scale", 1) * F.embedding(tokens, model.embed_tokens.weight)  # (N, d)
    if getattr(model, "token_dropout", False) or getattr(getattr(model, "args", None), "token_dropout", False):
        masked = tokens == model.mask_idx
        x = x.masked_fill(masked[:, None], 0.0)
        owner = torch.repeat_interleave(torch.arange(len(lengths), device=tokens.device), counts)
        share = torch.zeros(len(lengths), device=tokens.device).index_add_(0, owner, masked.float()) / counts
        x = x * ((1 - MASKED_IN_TRAINING) / (1 - share)).to(x.dtype)[owner, None]
    if hasattr(model, "embed_positions"):  # ESM-1: positions count from padding_idx + 1 within each sequence
        positions = torch.cat([torch.arange(n, device=tokens.device) for n in lengths]) + model.padding_idx + 1
        x = x + F.embedding(positions, model.embed_positions.weight)
    if getattr(model, "emb_layer_norm_before", None):
        x = model.emb_layer_norm_before(x)
    return x


def rotary_tables(head_dim, lengths, device, dtype):
    """Cosine and sine of the rotary embedding (RoFormer), each (N, 1, head_dim), positions from 0 within a sequence."""
    frequency = 1.0 / (10000 ** (torch.arange(0, head_dim, 2, device=device).float() / head_dim))
    angle = torch.outer(torch.arange(max(lengths), device=device).float(), frequency)  # (T, head_dim / 2)
    angle = torch.cat([angle, angle], dim=-1)
    angle = torch.cat([angle[:n] for n in lengths])[:, None]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """Apply rotary positions to x (N, H, head_dim)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def attend(query, key, value):
    """Scaled dot-product attention of B sequences of n tokens: three (B, H, n, head_dim) -> (B, H, n, head_dim).

    When training on a CPU the two products are written out: torch's fused CPU kernel recomputes the exponentials in its
    backward pass and made a step 1.35 times slower (1.32 to 1.44, interleaved, one thread, 2.7 million parameters).
    """
    if query.requires_grad and query.device.type == "cpu":
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, H, n, n)
        return scores.softmax(dim=-1).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value)


def attention(layer, x, lengths, tables):
    """Multi-head self-attention of one layer (Vaswani et al. 2017), inside each sequence.

    Parameters
    ----------
    layer : esm.modules.TransformerLayer
    x : tensor (N, d)
        After the layer norm.
    lengths : sequence of int
        Tokens of each sequence.
    tables : (cos, sin) or None
        From `rotary_tables`; None for learned positions.

    Returns
    -------
    tensor (N, d)
    """
    module = layer.self_attn
    n_tokens, dim = x.shape
    shape = (n_tokens, module.num_heads, dim // module.num_heads)
    query, key, value = (proj(x).view(shape) for proj in (module.q_proj, module.k_proj, module.v_proj))
    if tables is not None:
        query, key = rotate(query, *tables), rotate(key, *tables)
    mixed, start = [], 0
    for length, run in itertools.groupby(lengths):  # neighbours of one length go through together
        count = len(list(run))
        rows = slice(start, start + count * length)
        start = rows.stop
        heads = (t[rows].view(count, length, *shape[1:]).transpose(1, 2) for t in (query, key, value))
        mixed.append(attend(*heads).transpose(1, 2).reshape(count * length, dim))
    return module.out_proj(torch.cat(mixed))


def hidden_states(model, tokens, lengths, layers=None):
    """Hidden states of chosen layers.

    Parameters
    ----------
    model : esm.ESM2 or esm.ProteinBertModel
    tokens : int64 tensor (N,)
    lengths : sequence of int
        Tokens of each sequence, BOS and EOS included.
    layers : iterable of int, optional
        0 is the input embedding, `num_layers` the last layer after its final layer norm (as in fair-esm).
        Default: the last layer only.

    Returns
    -------
    dict of int -> tensor (N, d)
    """
    n_layers = len(model.layers)
    wanted = {n_layers} if layers is None else set(layers)
    x = embed_tokens(model, tokens, lengths)
    found = {0: x} if 0 in wanted else {}
    first = model.layers[0].self_attn
    tables = None
    if getattr(first, "rot_emb", None) is not None:
        tables = rotary_tables(x.shape[1] // first.num_heads, lengths, x.device, x.dtype)
    for number, layer in enumerate(model.layers[: max(wanted)], start=1):
        x = x + attention(layer, layer.self_attn_layer_norm(x), lengths, tables)
        x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
        if number == n_layers and getattr(model, "emb_layer_norm_after", None):
            x = model.emb_layer_norm_after(x)
        if number in wanted:
            found[number] = x
    return found


def lm_logits(model, x):
    """Language-model head on any rows: (M, d) -> (M, vocabulary)."""
    head = model.lm_head
    return F.linear(head.layer_norm(F.gelu(head.dense(x))), head.weight, head.bias)
