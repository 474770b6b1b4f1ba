import random

import numpy as np
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
