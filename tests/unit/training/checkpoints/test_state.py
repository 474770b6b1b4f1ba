import random

import numpy as np
import pytest
import torch

from texlens.training.checkpoints.state import (
    load_optimizer,
    load_random,
    load_scheduler,
    save_optimizer,
    save_random,
    save_scheduler,
)


def one_step(parameter, optimizer, scheduler):
    optimizer.zero_grad()
    (parameter * torch.randn(3)).sum().backward()
    optimizer.step()
    scheduler.step()


def build():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, fused=True)
    return parameter, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


def test_training_continues_bit_for_bit_after_loading_the_states(tmp_path):
    torch.manual_seed(1)
    parameter, optimizer, scheduler = build()
    one_step(parameter, optimizer, scheduler)
    save_optimizer(optimizer, tmp_path)
    save_scheduler(scheduler, tmp_path)
    save_random(tmp_path)
    saved = parameter.detach().clone()
    one_step(parameter, optimizer, scheduler)

    restored, optimizer, scheduler = build()
    restored.data.copy_(saved)
    load_optimizer(optimizer, tmp_path)
    load_scheduler(scheduler, tmp_path)
    load_random(tmp_path)
    one_step(restored, optimizer, scheduler)
    assert torch.equal(restored, parameter)


def test_every_random_generator_is_restored(tmp_path):
    save_random(tmp_path)
    numbers = random.random(), np.random.rand(), torch.rand(1)
    load_random(tmp_path)
    assert (random.random(), np.random.rand(), torch.rand(1)) == numbers


def test_only_safetensors_and_json_are_written(tmp_path):
    save_random(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


class WrappingAdamW(torch.optim.AdamW):
    """Hands out its moments in a dictionary of their own, as the 8-bit optimizers of bitsandbytes do."""

    MOMENTS = ("exp_avg", "exp_avg_sq")

    def state_dict(self):
        saved = super().state_dict()
        saved["state"] = {
            index: {
                "step": slots["step"],
                "__quant_state__": {name: slots[name] for name in self.MOMENTS} | {"blocks": 2},
            }
            for index, slots in saved["state"].items()
        }
        return saved

    def load_state_dict(self, saved):
        for slots in saved["state"].values():
            inner = slots.pop("__quant_state__")
            assert inner.pop("blocks") == 2
            slots.update(inner)
        super().load_state_dict(saved)


def test_a_slot_may_be_a_dictionary_of_tensors_and_numbers(tmp_path):
    def train(optimizer, parameter):
        (parameter * torch.arange(3.0)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = WrappingAdamW([parameter], lr=0.1)
    train(optimizer, parameter)
    save_optimizer(optimizer, tmp_path)
    restored = torch.nn.Parameter(parameter.detach().clone())
    train(optimizer, parameter)

    other = WrappingAdamW([restored], lr=0.1)
    load_optimizer(other, tmp_path)
    train(other, restored)
    assert torch.equal(restored, parameter)


@pytest.mark.parametrize("name", ["AdamW8bit", "PagedAdamW8bit"])
def test_8_bit_states_continue_bit_for_bit(tmp_path, name):
    bitsandbytes = pytest.importorskip("bitsandbytes")

    def train(optimizer, parameter, step):
        torch.manual_seed(step)
        (parameter * torch.randn(128, 64, device=parameter.device)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    def build(values):
        parameter = torch.nn.Parameter(values.clone())
        return parameter, getattr(bitsandbytes.optim, name)([parameter], lr=0.1)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    parameter, optimizer = build(torch.ones(128, 64, device=device))
    try:
        train(optimizer, parameter, 0)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        pytest.skip(f"bitsandbytes has no 8-bit optimizer on this device: {error}")
    save_optimizer(optimizer, tmp_path)
    restored, other = build(parameter.detach())
    train(optimizer, parameter, 1)

    load_optimizer(other, tmp_path)
    train(other, restored, 1)
    assert torch.equal(restored, parameter)
