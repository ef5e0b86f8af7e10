"""What `auto` chooses."""

import pytest

from plmbook.core.errors import InputError
from plmbook.models import device


@pytest.mark.parametrize(
    ("gain", "expected"), [(4.0, "bfloat16"), (1.3, "bfloat16"), (1.1, "float32"), (0.3, "float32")]
)
def test_a_cpu_takes_bfloat16_where_it_pays(monkeypatch, gain, expected):
    asked = []
    monkeypatch.setattr(device, "bfloat16_gain", lambda dim, heads: asked.append((dim, heads)) or gain)
    assert device.choose_device("cpu", "auto", dim=320, heads=20) == ("cpu", expected)
    assert asked == [(320, 20)]


def test_what_is_named_is_not_probed(monkeypatch):
    monkeypatch.setattr(device, "bfloat16_gain", lambda dim, heads: pytest.fail("probed"))
    for dtype in ("float32", "bfloat16"):
        assert device.choose_device("cpu", dtype, dim=320, heads=20) == ("cpu", dtype)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_narrow_model_stays_in_float32(monkeypatch, kind):
    monkeypatch.setattr(device, "bfloat16_gain", lambda dim, heads: pytest.fail("probed"))
    monkeypatch.setattr(device.torch, "empty", lambda *_, **__: None)  # as if there were a GPU
    assert device.choose_device(kind, "auto", dim=192, heads=4) == (kind, "float32")


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(InputError, match="device 'cuda:9': not usable here"):
        device.choose_device("cuda:9", "float32", dim=8, heads=1)


def test_the_probe_compares_the_two_on_one_layer():
    gain = device.bfloat16_gain(64, 4)
    assert 0.01 < gain < 100
    assert device.bfloat16_gain(64, 4) == gain  # asked once a process: one machine, one answer
    layer = device._Layer(64, 4, device.DTYPES["bfloat16"])
    assert layer().shape == (384, 64)


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float32")])
def test_a_gpu_without_bfloat16_stays_in_float32(monkeypatch, capability, expected):
    monkeypatch.setattr(device.torch, "empty", lambda *_, **__: None)  # as if there were a GPU
    monkeypatch.setattr(device.torch.cuda, "get_device_capability", lambda name: capability)
    assert device.choose_device("cuda", "auto", dim=1280, heads=20) == ("cuda", expected)


def test_a_wide_model_is_probed_on_a_narrower_layer(monkeypatch):
    asked = []
    monkeypatch.setattr(device, "bfloat16_gain", lambda dim, heads: asked.append((dim, heads)) or 3.0)
    assert device.choose_device("cpu", "auto", dim=5120, heads=40) == ("cpu", "bfloat16")
    assert asked == [(1280, 20)]


def test_free_memory_counts_what_torch_keeps(monkeypatch):
    monkeypatch.setattr(device.torch.cuda, "mem_get_info", lambda name: (10, 100))
    monkeypatch.setattr(device.torch.cuda, "memory_reserved", lambda name: 50)
    monkeypatch.setattr(device.torch.cuda, "memory_allocated", lambda name: 20)
    assert device.free_memory("cuda") == 40
