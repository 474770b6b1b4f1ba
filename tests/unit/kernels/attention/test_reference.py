"""The reference of attention against PyTorch's own."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from texlens.kernels.attention.reference import attend_reference


def test_each_segment_is_attention_of_pytorch_with_shared_heads():
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(7, 4, 8, generator=generator)
    key, value = torch.randn(2, 7, 2, 8, generator=generator)
    bounds = torch.tensor([0, 3, 7], dtype=torch.int32)
    for causal in (True, False):
        out = attend_reference(query, key, value, bounds, causal=causal)
        for start, end in ((0, 3), (3, 7)):
            part = [x[start:end].transpose(0, 1)[None] for x in (query, key, value)]
            expected = scaled_dot_product_attention(*part, is_causal=causal, enable_gqa=True)
            torch.testing.assert_close(out[start:end], expected[0].transpose(0, 1))
