"""Device, dtype and attention by the names of the settings."""

import pytest
import torch
from torch import nn

from texlens.core.errors import ConfigError
from texlens.models.device import choose_attention, choose_device, choose_dtype, compute_on_their_devices, on_gpu

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")


def test_a_gpu_computes_in_bfloat16_and_a_cpu_in_float32_both_with_torchs_attention():
    assert (choose_dtype("auto", GPU), choose_dtype("auto", CPU)) == (torch.bfloat16, torch.float32)
    assert (choose_attention("auto", GPU), choose_attention("auto", CPU)) == ("sdpa", "sdpa")
    assert choose_dtype("float16", CPU) is torch.float16


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda: choose_device("gpu9"), r"model\.device 'gpu9' is not a torch device; use auto, cpu or cuda"),
        (lambda: choose_dtype("int4", CPU), r"model\.dtype 'int4' is not known; use auto or one of bfloat16"),
        (lambda: choose_attention("mine", CPU), r"model\.attention 'mine' is not known; use auto, sdpa, eager"),
        (lambda: choose_attention("flash_attention_2", CPU), "flash_attention_2 needs a GPU and the package"),
    ],
)
def test_unknown_names_are_refused_with_those_that_are_known(choose, message):
    with pytest.raises(ConfigError, match=message):
        choose()


def test_gpu_of_a_part_is_the_current_one_while_it_runs_and_not_afterwards(monkeypatch):
    current = [0]
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: current.__setitem__(0, getattr(device, "index", device))
    )
    devices = []

    class Part(nn.Module):
        def forward(self, x):
            devices.append(current[0])
            return x / x.shape[0] if x.shape[0] else x.missing

    model = nn.Sequential(Part(), Part(), Part())
    compute_on_their_devices(model, {"0": "cuda:0", "1": torch.device("cuda", 1), "2": "cpu"})
    model(torch.ones(2))
    assert devices == [0, 1, 0]
    assert current == [0]
    with pytest.raises(AttributeError):
        model[1](torch.ones(0))
    assert current == [0]
    with on_gpu(CPU):
        assert current == [0]
