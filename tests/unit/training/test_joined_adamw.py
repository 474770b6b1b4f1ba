"""Joined tensors have the weights and states of bitsandbytes, bit for bit."""

from types import SimpleNamespace

import pytest
import torch

from texlens.training.checkpoints.state import load_optimizer, save_optimizer

bitsandbytes = pytest.importorskip("bitsandbytes")

from texlens.training import joined_adamw  # noqa: E402
from texlens.training.joined_adamw import JoinedAdamW  # noqa: E402

SHAPES = [(64, 96), (8, 1024), (4097,), (300,), (1, 5000), (96, 64)]
"""In blocks and not, and two under 4,096 values, whose states have 32 bits."""
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def parameters(device="cpu"):
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape).to(device)) for shape in SHAPES]


def optimizer_of(kind, parts):
    groups = [{"params": parts[:4], "lr": 1e-2}, {"params": parts[4:], "lr": 3e-3, "weight_decay": 0.0}]
    options = {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.9, 0.99)}
    return kind(groups, **options, **({} if kind is JoinedAdamW else {"optim_bits": 8}))


def run(optimizer, parts, steps, *, without=()):
    """Steps with gradients that depend on the step alone; the parameters `without` get none."""
    for step in steps:
        torch.manual_seed(step)
        for number, part in enumerate(parts):
            grad = torch.randn(part.shape).to(part.device) * 10.0 ** (number - 2)
            part.grad = None if number in without else grad
        optimizer.step()


def assert_equal(parts, optimizer, expected_parts, expected):
    for part, expected_part in zip(parts, expected_parts, strict=True):
        assert torch.equal(part, expected_part)
    states, expected_states = optimizer.state_dict()["state"], expected.state_dict()["state"]
    assert states.keys() == expected_states.keys()
    for number, state in states.items():
        torch.testing.assert_close(state, expected_states[number], rtol=0, atol=0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chunk", [1 << 23, 6000])
def test_steps_are_those_of_bitsandbytes(monkeypatch, chunk, device):
    monkeypatch.setattr(joined_adamw, "CHUNK", chunk)
    parts, expected_parts = parameters(device), parameters(device)
    optimizer, expected = optimizer_of(JoinedAdamW, parts), optimizer_of(bitsandbytes.optim.AdamW, expected_parts)
    for some_parts, some in ((parts, optimizer), (expected_parts, expected)):
        run(some, some_parts, range(3))
        run(some, some_parts, range(3, 5), without=(1, 3))
        some.param_groups[0]["lr"] = 5e-4
        run(some, some_parts, range(5, 8))
    assert_equal(parts, optimizer, expected_parts, expected)
    assert not torch.equal(parts[0], parameters(device)[0])


@pytest.mark.parametrize("device", DEVICES)
def test_a_saved_run_continues_bit_for_bit_and_checkpoints_are_those_of_bitsandbytes(tmp_path, device):
    whole, halves, theirs = parameters(device), parameters(device), parameters(device)
    expected = optimizer_of(JoinedAdamW, whole)
    run(expected, whole, range(6))
    first = optimizer_of(JoinedAdamW, halves)
    run(first, halves, range(3))
    save_optimizer(first, tmp_path)
    second = optimizer_of(JoinedAdamW, halves)
    load_optimizer(second, tmp_path)
    with torch.no_grad():
        for part, half in zip(theirs, halves, strict=True):
            part.copy_(half)
    stock = optimizer_of(bitsandbytes.optim.AdamW, theirs)
    load_optimizer(stock, tmp_path)
    run(second, halves, range(3, 6))
    run(stock, theirs, range(3, 6))
    assert_equal(halves, second, whole, expected)
    assert_equal(theirs, stock, whole, expected)


def test_states_loaded_into_an_optimizer_that_has_run_are_used():
    parts, other = parameters(), parameters()
    optimizer, expected = optimizer_of(JoinedAdamW, parts), optimizer_of(JoinedAdamW, other)
    run(optimizer, parts, range(2))
    run(expected, other, range(4))
    optimizer.load_state_dict(expected.state_dict())
    with torch.no_grad():
        for part, value in zip(parts, other, strict=True):
            part.copy_(value)
    run(optimizer, parts, [4])
    run(expected, other, [4])
    assert_equal(parts, optimizer, other, expected)


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_with_a_bad_loss_leaves_the_parameters(device):
    parts = parameters(device)
    optimizer = optimizer_of(JoinedAdamW, parts)
    run(optimizer, parts, range(2))
    before = [part.detach().clone() for part in parts]
    optimizer.found_inf = torch.ones((), device=device)
    run(optimizer, parts, [2])
    assert all(torch.equal(part, value) for part, value in zip(parts, before, strict=True))
    optimizer.found_inf = torch.zeros((), device=device)
    run(optimizer, parts, [3])
    assert not any(torch.equal(part, value) for part, value in zip(parts, before, strict=True))


def test_a_group_is_updated_in_few_launches(monkeypatch):
    parts = [torch.nn.Parameter(torch.ones(64, 64)) for _ in range(50)]
    optimizer = JoinedAdamW(parts, lr=1e-3)
    calls = []
    update = optimizer.update_step
    monkeypatch.setattr(optimizer, "update_step", lambda *args: calls.append(args[1].numel()) or update(*args))
    for part in parts:
        part.grad = torch.ones_like(part)
    optimizer.step()
    assert calls == [50 * 64 * 64]


def test_the_trainer_uses_it_where_8_bits_are_asked_for():
    from texlens.training.trainer import TexlensTrainer

    model = torch.nn.Linear(4, 4)
    stub = SimpleNamespace(
        optimizer=None,
        _network=model,
        args=SimpleNamespace(optim="adamw_bnb_8bit", learning_rate=1e-3, weight_decay=0.0),
        is_deepspeed_enabled=False,
        _step=SimpleNamespace(learning_rates=_no_rates()),
        get_optimizer_cls_and_kwargs=lambda args, network: (bitsandbytes.optim.AdamW, {"optim_bits": 8}),
    )
    assert isinstance(TexlensTrainer.create_optimizer(stub), JoinedAdamW)


def _no_rates():
    from texlens.training.optimizer_groups import GroupLearningRates

    return GroupLearningRates()
