"""Where a model runs and in which numbers: what `auto` means."""

import time
from functools import cache

import torch
import torch.nn.functional as F

from plmbook.core.errors import InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NARROW = 256  # models of so few numbers a residue are always float32: they hardly gain, and the bundled ones are such
_AMPERE = (8, 0)  # the first generation of GPUs that computes in bfloat16
_PROBED = (1280, 20)  # width and heads of the probe for wider models, which only gain more
_WORTH = 1.25  # bfloat16 is chosen on a CPU that is so many times as fast in it


def choose_device(device: str, dtype: str, *, dim: int, heads: int) -> tuple[str, str]:
    """Resolve `auto`: CUDA where there is one; bfloat16 there, and on a CPU on which a layer of the model gains by it
    (near the threshold this may change), but for models no wider than `_NARROW`.

    >>> choose_device("cpu", "float16", dim=320, heads=20)
    Traceback (most recent call last):
    ...
    plmbook.core.errors.InputError: dtype 'float16': expected auto, float32 or bfloat16
    """
    if dtype not in ("auto", *DTYPES):
        raise InputError(f"dtype {dtype!r}: expected auto, float32 or bfloat16")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r}: not usable here ({str(error).splitlines()[0]})") from None
    if dtype == "auto":
        if dim <= _NARROW:
            fast = False
        elif kind == "cuda":  # older ones emulate it, and flash attention refuses them
            fast = torch.cuda.get_device_capability(device) >= _AMPERE
        else:
            fast = kind == "cpu" and bfloat16_gain(*_PROBED if dim > _PROBED[0] else (dim, heads)) >= _WORTH
        dtype = "bfloat16" if fast else "float32"
    return device, dtype


@cache
def bfloat16_gain(dim: int, heads: int) -> float:
    """How many times as fast as float32 this CPU is in bfloat16 on one layer: the shortest of five times each, below a
    second. The processor's flags would not say it: attention in a narrow model hardly gains.
    """
    layers = [_Layer(dim, heads, dtype) for dtype in DTYPES.values()]
    best = [float("inf"), float("inf")]
    with torch.inference_mode():
        for turn in range(6):
            for number, layer in enumerate(layers):
                start = time.perf_counter()
                layer()
                if turn:  # the first one warms up
                    best[number] = min(best[number], time.perf_counter() - start)
    return best[0] / best[1]


class _Layer:
    """The products and the attention of a transformer layer over one protein of 384 tokens."""

    def __init__(self, dim: int, heads: int, dtype: torch.dtype):
        sizes = ((3 * dim, dim), (dim, dim), (4 * dim, dim), (dim, 4 * dim))
        self.weights = [torch.full(size, 0.01, dtype=dtype) for size in sizes]
        self.x = torch.full((384, dim), 0.5, dtype=dtype)
        self.heads = heads

    def __call__(self) -> torch.Tensor:
        joint, out, up, down = self.weights
        query, key, value = F.linear(self.x, joint).view(len(self.x), 3, self.heads, -1).permute(1, 2, 0, 3)[:, None]
        mixed = F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1).reshape(self.x.shape)
        return F.linear(F.gelu(F.linear(F.linear(mixed, out), up)), down)


def free_memory(device: str) -> int:
    """Bytes that a CUDA device can still give to this process: those that are free, and those that torch keeps."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
