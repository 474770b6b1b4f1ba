"""The adaptable layers of a model as plain values, so that planning needs no weights."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Linear:
    """A linear layer's full module name, width in and width out."""

    name: str
    inputs: int
    outputs: int


def linear_layers(model: nn.Module) -> list[Linear]:
    """Every `nn.Linear` of the model (a skeleton will do), in order, the output head included."""
    return [
        Linear(name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
