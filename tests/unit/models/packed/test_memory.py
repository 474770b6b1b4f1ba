"""The account of a pack's memory, against a count of what is alive on the CPU and against peaks of an H200."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from texlens.kernels.loss import CHUNK, label_row_loss
from texlens.models.packed.memory import kept_per_token, least_recompute, loss_bytes, peak_of_pack
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
    """benchmarks/fast_path.py, 2026-11-21; `waiting` are the run's other packs, which lay on the card. The loss was not
    yet in place then: 16 bytes a logit of 2,048 rows, and 2 of the chunk before."""
    loss = min(2048, labels) * 151_936 * (18 if labels > 4096 else 16) / GIB
    kept = kept_per_token(text_config(), recompute) * tokens / GIB
    planned = HELD + waiting + max(peak_of_pack(text_config(), recompute, tokens, labels) / GIB, kept + loss)
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


@pytest.mark.parametrize(("labels", "chunk"), [(600, CHUNK), (CHUNK, CHUNK), (2 * CHUNK + 600, CHUNK), (2600, 256)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_loss_takes_what_is_planned_for_it(labels, chunk, dtype):
    vocabulary = 512
    hidden = torch.randn(labels, 4, dtype=dtype, requires_grad=True)
    head = torch.randn(vocabulary, 4, dtype=dtype)
    with Floats() as floats:
        label_row_loss(hidden, head, torch.arange(labels) % vocabulary, chunk=chunk)
    planned = loss_bytes(labels, vocabulary, dtype.itemsize, chunk=chunk, in_place=False)
    gradient = labels * 4 * dtype.itemsize
    assert floats.peak == pytest.approx(planned + gradient, rel=0.02)


def test_the_kernel_of_the_loss_takes_no_more_than_its_logits():
    assert loss_bytes(5265, 151_936, 2) == 2048 * 151_936 * 2
    assert loss_bytes(5265, 151_936, 2, chunk=256) == 256 * 151_936 * 2
    assert loss_bytes(100, 151_936, 2, in_place=False) == 100 * 151_936 * 6


def test_the_least_recomputation_that_fits_is_chosen():
    chosen = [least_recompute(text_config(), 16_384, room * GIB) for room in (100, 40, 12, 1)]
    assert chosen == ["none", "mlp", "full", "full"]
