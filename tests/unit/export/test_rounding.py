import torch

from texlens.export.rounding import awq_scales, round_gptq, round_nearest, rounding_loss


def drawn(seed: int = 0):
    """A weight and the second moments of inputs of very different sizes that go together in pairs."""
    torch.manual_seed(seed)
    weight = torch.randn(24, 64)
    inputs = torch.randn(400, 64) * torch.logspace(-1, 1, 64)
    inputs[:, 1::2] += inputs[:, ::2]
    return weight, inputs.T @ inputs, inputs.abs().mean(0)


def test_codes_are_four_bits_and_their_weights_near():
    weight, _, _ = drawn()
    made = round_nearest(weight, 32)
    assert made.codes.dtype is torch.int8
    assert made.codes.min() >= -8
    assert made.codes.max() <= 7
    assert made.scales.shape == (24, 2)
    assert (made.weight - weight).abs().max() < weight.abs().max() / 4
    assert (made.weight - weight).square().mean() < 0.02 * weight.square().mean()


def test_scales_are_those_that_can_be_stored():
    weight, _, _ = drawn()
    scales = round_nearest(weight, 32, torch.bfloat16).scales
    assert torch.equal(scales, scales.bfloat16().float())


def test_gptq_costs_less_than_rounding_to_the_nearest():
    weight, moments, _ = drawn()
    nearest = rounding_loss(weight, round_nearest(weight, 32).weight, moments)
    assert rounding_loss(weight, round_gptq(weight, moments, 32).weight, moments) < 0.9 * nearest


def test_gptq_leaves_inputs_that_were_never_seen_alone():
    weight, moments, _ = drawn()
    moments[3], moments[:, 3] = 0, 0
    made = round_gptq(weight, moments, 32)
    assert made.weight.isfinite().all()
    assert (made.codes[:, 3] == 0).all()


def test_awq_costs_less_than_rounding_to_the_nearest():
    weight, moments, sizes = drawn()
    factors = awq_scales([weight], moments, sizes, 32)
    nearest = rounding_loss(weight, round_nearest(weight, 32).weight, moments)
    rescaled = rounding_loss(weight, round_nearest(weight * factors, 32).weight / factors, moments)
    assert rescaled < 0.9 * nearest


def test_awq_rescales_nothing_where_all_inputs_are_alike():
    weight = torch.randn(8, 64)
    assert torch.equal(awq_scales([weight], torch.eye(64), torch.ones(64), 32), torch.ones(64))
