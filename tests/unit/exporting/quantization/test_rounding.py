import torch

from texlens.exporting.quantization.rounding import awq_scales, round_gptq, round_nearest, rounding_loss


def drawn(seed: int = 0):
    """A weight, and the second moments and mean sizes of inputs of very different sizes, correlated in pairs."""
    torch.manual_seed(seed)
    weight = torch.randn(24, 64)
    inputs = torch.randn(400, 64) * torch.logspace(-1, 1, 64)
    inputs[:, 1::2] += inputs[:, ::2]
    return weight, inputs.T @ inputs, inputs.abs().mean(0)


def test_codes_have_four_bits_and_weights_are_close():
    weight, _, _ = drawn()
    rounded = round_nearest(weight, 32)
    assert rounded.codes.dtype is torch.int8
    assert rounded.codes.min() >= -8
    assert rounded.codes.max() <= 7
    assert rounded.scales.shape == (24, 2)
    assert (rounded.weight - weight).abs().max() < weight.abs().max() / 4
    assert (rounded.weight - weight).square().mean() < 0.02 * weight.square().mean()


def test_scales_are_representable_in_the_stored_type():
    weight, _, _ = drawn()
    scales = round_nearest(weight, 32, torch.bfloat16).scales
    assert torch.equal(scales, scales.bfloat16().float())


def test_gptq_has_less_loss_than_rounding_to_nearest():
    weight, moments, _ = drawn()
    nearest = rounding_loss(weight, round_nearest(weight, 32).weight, moments)
    assert rounding_loss(weight, round_gptq(weight, moments, 32).weight, moments) < 0.9 * nearest


def test_gptq_ignores_inputs_that_are_always_zero():
    weight, moments, _ = drawn()
    moments[3], moments[:, 3] = 0, 0
    rounded = round_gptq(weight, moments, 32)
    assert rounded.weight.isfinite().all()
    assert (rounded.codes[:, 3] == 0).all()


def test_awq_has_less_loss_than_rounding_to_nearest():
    weight, moments, sizes = drawn()
    factors = awq_scales([weight], moments, sizes, 32)
    nearest = rounding_loss(weight, round_nearest(weight, 32).weight, moments)
    rescaled = rounding_loss(weight, round_nearest(weight * factors, 32).weight / factors, moments)
    assert rescaled < 0.9 * nearest


def test_awq_rescales_nothing_if_all_inputs_are_equal():
    weight = torch.randn(8, 64)
    assert torch.equal(awq_scales([weight], torch.eye(64), torch.ones(64), 32), torch.ones(64))
