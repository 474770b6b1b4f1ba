"""Delta nets and gated attention over packs whose samples are longer than a chunk, against the stock layers."""

from itertools import pairwise

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.delta_rule.chunks import CHUNK
from texlens.models.packed.mixers import DeltaNet, GatedAttention, mixer_groups, mixer_of, rotate_part
from texlens.models.packed.text import PackedText

LENGTHS = [3, CHUNK, CHUNK + 1, 1, 2 * CHUNK + 9]
ENDS = torch.tensor([0, *LENGTHS]).cumsum(0).int()
WIDTH = 32
HYBRID = ["qwen3_5", "qwen3_5_moe"]


def inputs(seed: int = 0) -> torch.Tensor:
    return torch.randn(int(ENDS[-1]), WIDTH, generator=torch.Generator().manual_seed(seed)) * 0.3


def positions() -> torch.Tensor:
    return torch.cat([torch.arange(length) for length in LENGTHS]).expand(3, -1)


def segments():
    return make_segments(ENDS, max(LENGTHS))


def packed(model, x, fused: bool, backend: str = "cpu") -> torch.Tensor:
    text = PackedText(model.model.language_model, fused=fused, backend=backend)
    none = torch.zeros(0, dtype=torch.long)
    return text(x, positions(), segments(), none, [])


def stock(model, x) -> torch.Tensor:
    """Hidden states before the last norm, sample by sample."""
    language_model = model.model.language_model
    norm, language_model.norm = language_model.norm, torch.nn.Identity()
    try:
        parts = [
            language_model(inputs_embeds=x[None, start:end], use_cache=False).last_hidden_state[0]
            for start, end in pairwise(ENDS)
        ]
    finally:
        language_model.norm = norm
    return torch.cat(parts)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("family", HYBRID)
def test_samples_longer_than_a_chunk_equal_the_stock_model_and_so_do_gradients(family, fused):
    model, _ = tiny_model(family)
    model.requires_grad_(False)
    x, expected_x = inputs().requires_grad_(), inputs().requires_grad_()
    result, expected = packed(model, x, fused), stock(model, expected_x)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
    weight = torch.linspace(-1, 1, result.numel()).view_as(result)
    (grad,), (expected_grad,) = (
        torch.autograd.grad((output * weight).sum(), source) for output, source in ((result, x), (expected, expected_x))
    )
    assert (grad - expected_grad).abs().max() < 1e-5 * expected_grad.abs().max()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("family", HYBRID)
def test_a_poisoned_neighbor_changes_nothing_across_chunk_borders(family, backend):
    model, _ = tiny_model(family)
    start, end = int(ENDS[2]), int(ENDS[3])
    others = torch.cat([torch.arange(start), torch.arange(end, int(ENDS[-1]))])
    poisoned = inputs()
    poisoned[start:end] = 1e4 * inputs(1)[start:end]
    with torch.no_grad():
        clean, result = packed(model, inputs(), True, backend), packed(model, poisoned, True, backend)
    torch.testing.assert_close(result[others], clean[others], atol=1e-6, rtol=1e-6)
    assert (result[start:end] - clean[start:end]).abs().max() > 1


def test_every_kind_of_layer_has_its_mixer():
    model, _ = tiny_model("qwen3_5")
    text = model.model.language_model
    assert [type(mixer_of(layer, text.config)) for layer in text.layers] == [DeltaNet, GatedAttention]
    assert [len(mixer_groups(layer)[0]) for layer in text.layers] == [4, 3]


def test_plain_attention_has_no_mixer():
    model, _ = tiny_model("qwen3_vl")
    text = model.model.language_model
    assert mixer_of(text.layers[0], text.config) is None


def test_only_the_first_columns_of_a_head_turn():
    x = torch.randn(2, 1, 6)
    cos, sin = torch.zeros(2, 4), torch.ones(2, 4)
    turned = rotate_part(x, cos, sin)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    torch.testing.assert_close(turned[..., :4], torch.cat([-x[..., 2:4], x[..., :2]], -1))
