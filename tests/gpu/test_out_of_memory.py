"""Where the GPU's allocator fails, a step is run again in smaller packs, with the loss and gradients of the whole."""

import pytest
import torch

from tests.gpu.test_pack_graphs import adapted_on_gpu
from tests.unit.models.packed.packs import ROWS, examples
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.pack import build_pack
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.packed_step import packed_step
from texlens.training.backends.smaller_packs import SmallerPacks
from texlens.training.distributed.context import SINGLE_PROCESS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
COPIES = 100


def grads_of(parameters):
    grads = torch.cat([part.grad.flatten().float() for part in parameters])
    for part in parameters:
        part.grad = None
    return grads


def test_a_step_beyond_the_memory_has_the_loss_and_gradients_of_the_whole():
    trained, processor = adapted_on_gpu("qwen3_vl")
    model = trained.base_model.model
    parameters = [part for part in trained.parameters() if part.requires_grad]
    forward = packed_forward(model, processor.geometry, backend="triton")
    raw = examples(processor, ROWS * COPIES, patchify=image_to_raw_patches)
    pack = build_pack(raw, pack_spec(model.config, processor, padded=True))
    pack = {name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in pack.items()}
    lines = []

    def step(packs):
        return packed_step(forward, packs, pack["label_count"], parameters, SINGLE_PROCESS)

    def clear():
        trained.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()

    step([pack])  # builds the kernels
    clear()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    whole = step([pack]).loss
    expected = grads_of(parameters)
    clear()
    limit = held + 0.75 * (torch.cuda.max_memory_allocated() - held)
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    try:
        retry = SmallerPacks(processor.geometry.merge_size**2, warn=lines.append, clear=clear)
        packs, outcome = retry([pack], step)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(packs) > 1
    assert lines
    assert all(line.startswith("out of memory: packs of at most ") for line in lines)
    assert sum(part["tokens"] for part in packs) == pack["tokens"]
    torch.testing.assert_close(outcome.loss, whole, rtol=2e-3, atol=0)
    assert (grads_of(parameters) - expected).norm() / expected.norm() < 0.02
