"""One forward pass of a fair-esm model over sequences laid end to end, without padding.

fair-esm's modules hold the weights; its own `forward` pads, materialises every attention map and always runs the
language-model head.  Here only what is asked for is computed, for `esm.ESM2` (rotary positions) and
`esm.ProteinBertModel` (ESM-1: learned positions).  N tokens in all, d the model's width, H heads.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import torch
import torch.nn.functional as F

from plmbook.models.base import Output

MASKED_IN_TRAINING = 0.15 * 0.8  # share of tokens shown as <mask> when ESM was trained (token dropout's constant)


@dataclass(frozen=True)
class Layout:
    """Where the sequences of a batch lie in its row of tokens."""

    lengths: Sequence[int]  # tokens of each; they sum to N
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def counts(self):
        """int64 tensor (B,), the lengths."""
        return torch.as_tensor(self.lengths, device=self.device)

    @cached_property
    def bounds(self):
        """int32 tensor (B + 1,): sequence n holds the tokens bounds[n] to bounds[n + 1]."""
        return F.pad(self.counts.cumsum(0), (1, 0)).int()

    @cached_property
    def positions(self):
        """int64 tensor (N,): the place of each token in its sequence, from 0."""
        starts = self.spread(self.bounds[:-1].long())
        return torch.arange(len(starts), device=self.device) - starts

    def spread(self, values):
        """A value a sequence (B, ...) -> a value a token (N, ...)."""
        return torch.repeat_interleave(values, self.counts, dim=0, output_size=sum(self.lengths))


def embed_tokens(model, tokens, layout):
    """Input embeddings (N, d). As in fair-esm a masked token's is zero, and the rest of its sequence is scaled by
    0.88 / (1 - share of masked tokens), BOS and EOS counted.
    """
    x = getattr(model, "embed_scale", 1) * F.embedding(tokens, model.embed_tokens.weight)  # (N, d)
    if getattr(model, "token_dropout", False) or getattr(getattr(model, "args", None), "token_dropout", False):
        masked = tokens == model.mask_idx
        x = x.masked_fill(masked[:, None], 0.0)
        share = torch.segment_reduce(masked.float(), "mean", lengths=layout.counts)
        x = (x * layout.spread((1 - MASKED_IN_TRAINING) / (1 - share))[:, None]).to(x.dtype)
    if hasattr(model, "embed_positions"):  # ESM-1: positions count from padding_idx + 1 within each sequence
        x = x + F.embedding(layout.positions + model.padding_idx + 1, model.embed_positions.weight)
    if getattr(model, "emb_layer_norm_before", None):
        x = model.emb_layer_norm_before(x)
    return x


def rotary_tables(head_dim, layout, dtype):
    """Cosine and signed sine of the rotary embedding (RoFormer), each (N, 1, head_dim), for `_rotate`."""
    frequency = 1.0 / (10000 ** (torch.arange(0, head_dim, 2, device=layout.device).float() / head_dim))
    angle = torch.outer(torch.arange(max(layout.lengths), device=layout.device).float(), frequency)  # (T, head_dim / 2)
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    return tuple(torch.cat(pair, dim=-1)[layout.positions, None] for pair in ((cos, cos), (-sin, sin)))


def _rotate(x, tables):
    """Apply rotary positions to x (N, ..., head_dim)."""
    cos, sin = (table.view(len(x), *[1] * (x.dim() - 2), -1) for table in tables)
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat([second, first], dim=-1), sin)


def fuse(model):
    """Lay the query, key and value weights of each layer end to end, so that one product serves all; fair-esm's forward
    still works. Call it when the model is on its device, in its dtype.
    """
    for layer in model.layers:
        module = layer.self_attn
        module.joint = tuple(each.detach() for each in _joint(module))
        for kind, joint in zip(("weight", "bias"), module.joint, strict=True):
            for part, rows in zip((module.q_proj, module.k_proj, module.v_proj), joint.chunk(3), strict=True):
                getattr(part, kind).data = rows


def _joint(module):
    """Weight (3 d, d) and bias (3 d,) of query, key and value."""
    parts = (module.q_proj, module.k_proj, module.v_proj)
    return tuple(torch.cat([getattr(part, kind) for part in parts]) for kind in ("weight", "bias"))


def projections(layer, x, tables):
    """Query, key (both rotated by `tables`, if any) and value, (N, H, head_dim), from x (N, d) after the layer norm."""
    module = layer.self_attn
    joint = module.joint if hasattr(module, "joint") else _joint(module)
    joined = F.linear(x, *joint).view(len(x), 3, module.num_heads, -1)
    query, key = (joined[:, :2] if tables is None else _rotate(joined[:, :2], tables)).unbind(1)
    return query, key, joined[:, 2]


def attend(query, key, value, queries, layout):
    """Attention inside each sequence (Vaswani et al. 2017), (M, H * head_dim): `query` (M, H, head_dim) is of the
    tokens that `queries` counts, `key` and `value` (N, H, head_dim) of all.
    """
    if query.is_cuda and query.dtype == torch.bfloat16 and (in_one_call := varlen_attention()) is not None:
        bounds, longest = (queries.bounds, layout.bounds), (max(queries.lengths), max(layout.lengths))
        return in_one_call(query.contiguous(), key.contiguous(), value.contiguous(), *bounds, *longest).flatten(1)
    mixed, start, origin = [], 0, 0
    for (n_queries, length), run in itertools.groupby(zip(queries.lengths, layout.lengths, strict=True)):
        count = len(list(run))  # neighbours of one length go through together
        rows, tokens = slice(start, start + count * n_queries), slice(origin, origin + count * length)
        start, origin = rows.stop, tokens.stop
        if not n_queries:
            continue
        parts = ((query[rows], n_queries), (key[tokens], length), (value[tokens], length))
        heads = (part.view(count, n, *part.shape[1:]).transpose(1, 2) for part, n in parts)
        mixed.append(_attend_equal(*heads).transpose(1, 2).reshape(count * n_queries, -1))
    return torch.cat(mixed)


@cache
def varlen_attention():
    """torch's flash attention over unequal lengths, for a GPU; None before torch 2.10. Its import takes a second."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def _attend_equal(query, key, value):
    """B sequences of one length, (B, H, m or n, head_dim) -> (B, H, m, head_dim). For training on a CPU the products
    are written out: torch's fused kernel made a step 1.35 times slower (2.7 million parameters).
    """
    if query.requires_grad and query.device.type == "cpu":
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (B, H, m, n)
        return scores.softmax(dim=-1).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value)


def apply_layer(layer, x, layout, tables):
    """One transformer layer: (N, d) -> (N, d)."""
    mixed = attend(*projections(layer, layer.self_attn_layer_norm(x), tables), layout, layout)
    return _feed_forward(layer, x + layer.self_attn.out_proj(mixed))


def _apply_layer_at(layer, x, layout, tables, rows, queries):
    """One transformer layer at `rows` (M,) alone, (M, d): every token is attended to; `queries` is their `Layout`."""
    query, key, value = projections(layer, layer.self_attn_layer_norm(x), tables)
    return _feed_forward(layer, x[rows] + layer.self_attn.out_proj(attend(query[rows], key, value, queries, layout)))


def _feed_forward(layer, x):
    return x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))


def hidden_states(model, tokens, lengths, layers=None, rows=None, counts=None):
    """Hidden states (N, d) by layer: 0 is the input embedding, the default the last, after its layer norm, which with
    `rows` (M,), `counts` of each sequence, is (M, d).
    """
    n_layers = len(model.layers)
    wanted = {n_layers} if layers is None else set(layers)
    layout = Layout(lengths, tokens.device)
    x = embed_tokens(model, tokens, layout)
    found = {0: x} if 0 in wanted else {}
    first = model.layers[0].self_attn
    tables = None
    if getattr(first, "rot_emb", None) is not None:
        tables = rotary_tables(x.shape[1] // first.num_heads, layout, x.dtype)
    for number, layer in enumerate(model.layers[: max(wanted)], start=1):
        if number == n_layers and rows is not None:
            x = _apply_layer_at(layer, x, layout, tables, rows, Layout(counts, tokens.device))
        else:
            x = apply_layer(layer, x, layout, tables)
        if number == n_layers and getattr(model, "emb_layer_norm_after", None):
            x = model.emb_layer_norm_after(x)
        if number in wanted:
            found[number] = x
    return found


def pool(states, parts, how):
    """Mean or max, float32 (B, d), of states (N, d). `parts`: for each sequence the tokens before those that take part,
    those, and the ones after; they sum to N.
    """
    sizes = torch.tensor(parts, device=states.device).flatten()
    return torch.segment_reduce(states.float(), how, lengths=sizes)[1::3]


def fill(
    outputs: Sequence[Output],
    states: Mapping[int, torch.Tensor],
    numbers: Mapping[int, int],
    parts: Sequence[tuple[int, int, int]],
    *,
    pools: Sequence[str] = (),
    spans: Sequence[tuple[int, int]] | None = None,
) -> None:
    """Put states, (N, d) by layer number, into a batch's outputs, pooled or not; `numbers`: from a layer as asked for
    to its number; `parts`: special tokens before the residues of each sequence, the residues, and those after.
    """
    sizes = list(itertools.chain.from_iterable(parts))
    taken = parts
    if spans is not None:
        taken = [(b + start, stop - start, n - stop + a) for (b, n, a), (start, stop) in zip(parts, spans, strict=True)]
    first = list(itertools.accumulate((sum(each) for each in parts[:-1]), initial=0))  # where each sequence begins
    for layer, number in numbers.items():
        if not pools:
            residues = states[number].float().cpu().split(sizes)[1::3]
            for output, each in zip(outputs, residues, strict=True):
                output.hidden[layer] = each.numpy().copy()
            continue
        found = [states[number][first].float() if how == "bos" else pool(states[number], taken, how) for how in pools]
        for output, vector in zip(outputs, torch.cat(found, dim=1).cpu().numpy(), strict=True):
            output.pooled[layer] = vector


def lm_logits(model, x):
    """Logits of any rows, (M, d) -> float32 (M, vocabulary); a product in bfloat16 would be 0.03 off at a size of 8."""
    head = model.lm_head
    features = head.layer_norm(F.gelu(head.dense(x)))
    return F.linear(features.float(), head.weight.float(), head.bias.float())
