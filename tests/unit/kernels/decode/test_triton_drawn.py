"""Drawn tokens compared with the reference, in Triton's interpreter or on a GPU."""

import pytest
import torch

from tests.unit.kernels.decode.test_triton import CAN_RUN, DEVICE
from texlens.kernels.decode import reference

pytestmark = pytest.mark.skipif(not CAN_RUN, reason="needs a GPU, or Triton's interpreter (TRITON_INTERPRET=1)")

if CAN_RUN:
    from texlens.kernels.decode import triton_drawn as kernels


@pytest.mark.parametrize(("rows", "width"), [(1, 300), (3, 9000), (40, 700)])
@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_drawn_tokens_are_those_of_the_reference(rows, width, spread):
    generator = torch.Generator().manual_seed(0)
    logits = (spread * torch.randn(rows, width, generator=generator)).to(DEVICE)
    seeds = torch.randint(0, 2**47, (rows,), generator=generator).to(DEVICE)
    heat = torch.linspace(0.2, 2.0, rows, device=DEVICE)
    for count in range(5):
        counts = torch.full((rows,), count, dtype=torch.int32, device=DEVICE)
        ours, expected = (module.drawn(logits, heat, seeds, counts) for module in (kernels, reference))
        assert ours.tolist() == expected.tolist()
