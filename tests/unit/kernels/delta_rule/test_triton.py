"""The kernels of the gated delta rule compared with the reference in float64; on a GPU, or with TRITON_INTERPRET=1."""

import pytest
import torch

from tests.unit.kernels.triton_here import DEVICE, interpreted, skip_module_without_triton
from texlens.kernels.delta_rule import api, reference

skip_module_without_triton()

from texlens.kernels.delta_rule import triton as kernels  # noqa: E402

ENDS = [0, 1, 65, 65, 129, 300]
"""Segments of 1, 64, 0, 64 and 171 tokens, none of which begins where a chunk of the whole pack would."""
SHAPES = {"padded widths": (1, 2, 24, 20), "grouped heads": (2, 4, 32, 16), "as Qwen3.5": (1, 2, 128, 128)}
NAMES = "output", "states", "query", "key", "value", "decay", "beta", "initial states"


def inputs(shape, tokens: int = ENDS[-1], alike: float = 2.0) -> list[torch.Tensor]:
    """Keys share a part of length `alike`, as those of a blank background do."""
    keys, heads, x, y = shape
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes):
        return torch.randn(*sizes, generator=generator, dtype=torch.float64)

    return [
        draw(tokens, keys, x),
        draw(tokens, keys, x) + alike * draw(1, keys, x),
        draw(tokens, heads, y),
        -draw(tokens, heads).exp() * 0.1,
        draw(tokens, heads).sigmoid(),
        draw(len(ENDS) - 1, heads, x, y),
    ]


def bounds(device: str = DEVICE) -> torch.Tensor:
    return torch.tensor(ENDS, dtype=torch.int32, device=device)


def results(rule, parts, dtype, device: str = DEVICE) -> list[torch.Tensor]:
    """Outputs, final states and all gradients, of weighted sums of both."""
    *parts, initial = (part.to(device, dtype).requires_grad_() for part in parts)
    output, states = rule.delta_rule(*parts, bounds(device), initial_states=initial)
    sums = (
        (part.to(torch.promote_types(part.dtype, torch.float32)) * weights(part)).sum() for part in (output, states)
    )
    return [output.detach(), states.detach(), *torch.autograd.grad(sum(sums), [*parts, initial])]


def weights(part: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 1, part.numel(), device=part.device).view_as(part)


def errors(actual, expected) -> dict[str, float]:
    return {
        name: float((ours.cpu().double() - theirs).norm() / theirs.norm())
        for name, ours, theirs in zip(NAMES, actual, expected, strict=True)
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_outputs_states_and_gradients_equal_the_reference(shape):
    if interpreted and shape[2] == 128:
        pytest.skip("slow in the interpreter; the other shapes run the same code")
    parts = inputs(shape)
    expected = results(reference, parts, torch.float64, "cpu")
    assert max(errors(results(kernels, parts, torch.float32), expected).values()) < 2e-6


no_bf16 = pytest.mark.skipif(interpreted, reason="Triton's interpreter has no products in bfloat16")


@pytest.mark.parametrize("dtype", [pytest.param(torch.bfloat16, marks=no_bf16), torch.float16])
def test_16_bit_inputs_give_the_reference_within_their_rounding(dtype):
    parts = [part.to(dtype) for part in inputs(SHAPES["as Qwen3.5" if DEVICE == "cuda" else "grouped heads"])]
    expected = results(reference, [part.double() for part in parts], torch.float64, "cpu")
    actual = results(kernels, parts, dtype)
    assert max(errors(actual, expected).values()) < (0.015 if dtype == torch.bfloat16 else 0.003)
    assert actual[0].dtype == dtype
    assert actual[1].dtype == torch.float32


def test_keys_that_are_all_the_same_lose_no_precision():
    parts = inputs(SHAPES["grouped heads"], alike=1e4)
    parts[3], parts[4] = parts[3] * 0, parts[4] * 0 + 1
    expected = results(reference, parts, torch.float64, "cpu")[:2]
    actual = results(kernels, parts, torch.float32)[:2]
    for ours, theirs in zip(actual, expected, strict=True):
        assert (ours.cpu() - theirs).norm() < 1e-4 * theirs.norm()


def test_a_neighbor_of_nan_changes_nothing_and_tokens_after_the_last_segment_give_zeros():
    parts = inputs(SHAPES["grouped heads"], tokens=310)
    poisoned = [part.clone() for part in parts]
    for part in poisoned[:5]:
        part[65:129], part[300:] = torch.nan, torch.nan
    clean, actual = results(kernels, parts, torch.float32), results(kernels, poisoned, torch.float32)
    others = torch.cat([torch.arange(65), torch.arange(129, 300)]).to(DEVICE)
    for ours, theirs in zip([actual[0], *actual[2:7]], [clean[0], *clean[2:7]], strict=True):
        assert torch.equal(ours[others], theirs[others])
    assert torch.equal(actual[1][[0, 1, 4]], clean[1][[0, 1, 4]])
    for part in (actual[0], *actual[4:7]):
        assert not part[300:].any()


def test_no_gradient_of_final_states_is_needed_and_strided_heads_are_read_in_place():
    keys, heads, x, y = SHAPES["grouped heads"]
    parts = [part.float().to(DEVICE) for part in inputs(SHAPES["grouped heads"])[:5]]
    mixed = torch.cat([part.flatten(1) for part in parts[:3]], 1).requires_grad_()
    query, key, value = mixed.split([keys * x, keys * x, heads * y], 1)
    split = query.unflatten(1, (keys, x)), key.unflatten(1, (keys, x)), value.unflatten(1, (heads, y))
    output, _ = kernels.delta_rule(*split, *parts[3:], bounds())
    (grad,) = torch.autograd.grad(output.square().sum(), mixed)
    separate = [part.requires_grad_() for part in parts]
    expected, _ = reference.delta_rule(*separate, bounds())
    expected_grads = torch.autograd.grad(expected.square().sum(), separate[:3])
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(grad, torch.cat([part.flatten(1) for part in expected_grads], 1), atol=1e-3, rtol=1e-3)


def test_the_kernels_follow_the_protocol():
    assert isinstance(api.BACKENDS["triton"], api.DeltaRule)
