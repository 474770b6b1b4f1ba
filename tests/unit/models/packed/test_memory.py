"""The account of a pack's memory, against a count of what is alive on the CPU and against peaks of an H200."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from texlens.kernels.loss import CHUNK, label_row_loss
from texlens.models.packed.memory import least_recompute, loss_bytes, peak_of_pack
from texlens.models.shipped import shipped_config
from texlens.models.skeleton import build_config

GIB = 2**30
HELD = 8.27 + 4 * 0.123 + 0.123 / 2 + 0.062
"""GiB: weights of Qwen3-VL-4B, adapters of r 16 with gradients and moments, their 16-bit copies, cuBLAS."""


def text_config():
    config = shipped_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    return build_config(config).text_config


@pytest.mark.parametrize(
    ("recompute", "tokens", "labels", "waiting", "measured"),
    [
        ("none", 16_768, 5265, 0.449, 60.86),
        ("none", 8_960, 3186, 0.222, 38.5),
        ("mlp", 16_768, 5265, 0.449, 38.98),
        ("full", 16_768, 5265, 0.449, 17.37),
    ],
)
def test_the_peak_of_a_pack_is_the_one_measured_on_an_h200(recompute, tokens, labels, waiting, measured):
    """benchmarks/fast_path.py, 2026-11-21; `waiting` are the run's other packs, which lay on the card."""
    planned = HELD + waiting + peak_of_pack(text_config(), recompute, tokens, labels) / GIB
    assert planned == pytest.approx(measured, rel=0.015)


class Floats(TorchDispatchMode):
    """Peak of the bytes of floating-point tensors made inside."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.known = 0, 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and not func.is_view:
                self.note(leaf.untyped_storage())
        return out

    def note(self, storage):
        key, size = id(storage), storage.nbytes()
        if key not in self.known:
            self.known[key] = weakref.ref(storage, lambda _: self.drop(key, size))
            self.live += size
            self.peak = max(self.peak, self.live)

    def drop(self, key, size):
        self.live -= size
        del self.known[key]


@pytest.mark.parametrize("labels", [600, CHUNK, CHUNK + 600, 2 * CHUNK, 2 * CHUNK + 600])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_loss_takes_what_is_planned_for_it(labels, dtype):
    vocabulary = 512
    hidden = torch.randn(labels, 4, dtype=dtype, requires_grad=True)
    head = torch.randn(vocabulary, 4, dtype=dtype)
    with Floats() as floats:
        label_row_loss(hidden, head, torch.arange(labels) % vocabulary)
    assert floats.peak == pytest.approx(loss_bytes(labels, vocabulary, dtype.itemsize), rel=0.02)


def test_the_least_recomputation_that_fits_is_chosen():
    chosen = [least_recompute(text_config(), 16_384, room * GIB) for room in (100, 40, 12, 1)]
    assert chosen == ["none", "mlp", "full", "full"]
