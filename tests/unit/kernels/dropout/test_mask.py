import pytest
import torch

from texlens.kernels.dropout.mask import DropoutSeed, LoraDropout


def mask(probability: float, product: int = 0, seed: int = 5, tokens: int = 300, width: int = 400) -> torch.Tensor:
    return LoraDropout(probability, product, DropoutSeed(torch.tensor([seed]))).mask(tokens, width, torch.float64)


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5])
def test_share_of_dropped_values_and_mean(probability):
    values = mask(probability)
    deviation = (probability * (1 - probability) / values.numel()) ** 0.5
    assert abs((values == 0).double().mean() - probability) < 4 * deviation
    assert abs(values.mean() - 1) < 4 * deviation / (1 - probability)


def test_neighbors_are_independent():
    dropped = (mask(0.5) == 0).double() - 0.5
    bound = 4 * 0.25 / dropped.numel() ** 0.5
    for values, other in [
        (dropped[:, 1:], dropped[:, :-1]),
        (dropped[1:], dropped[:-1]),
        (dropped[:, 2:], dropped[:, :-2]),
    ]:
        assert abs((values * other).mean()) < bound


def test_mask_depends_on_seed_and_product():
    assert torch.equal(mask(0.3), mask(0.3))
    expected = 2 * 0.3 * 0.7
    for other in (mask(0.3, product=1), mask(0.3, seed=6), mask(0.3, seed=5 + (1 << 40))):
        assert abs((mask(0.3) != other).double().mean() - expected) < 0.01


def test_rows_do_not_depend_on_how_many_there_are():
    assert torch.equal(mask(0.3, tokens=7), mask(0.3)[:7])


def test_seed_comes_from_the_generator_that_checkpoints_save():
    seed = DropoutSeed()
    torch.manual_seed(3)
    seed.draw(torch.device("cpu"))
    first = seed.value.clone()
    state = torch.get_rng_state()
    seed.draw(torch.device("cpu"))
    second = seed.value.clone()
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    seed.draw(torch.device("cpu"))
    assert torch.equal(seed.value, second)
