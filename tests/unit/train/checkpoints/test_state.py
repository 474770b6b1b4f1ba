import random

import numpy as np
import torch

from texlens.train.checkpoints.state import (
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


def test_training_goes_on_bit_for_bit_after_a_reload(tmp_path):
    torch.manual_seed(1)
    parameter, optimizer, scheduler = build()
    one_step(parameter, optimizer, scheduler)
    save_optimizer(optimizer, tmp_path)
    save_scheduler(scheduler, tmp_path)
    save_random(tmp_path)
    saved = parameter.detach().clone()
    one_step(parameter, optimizer, scheduler)

    again, optimizer, scheduler = build()
    again.data.copy_(saved)
    load_optimizer(optimizer, tmp_path)
    load_scheduler(scheduler, tmp_path)
    load_random(tmp_path)
    one_step(again, optimizer, scheduler)
    assert torch.equal(again, parameter)


def test_every_generator_is_put_back(tmp_path):
    save_random(tmp_path)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    load_random(tmp_path)
    assert (random.random(), np.random.rand(), torch.rand(1)) == drawn


def test_only_safetensors_and_json_are_written(tmp_path):
    save_random(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
