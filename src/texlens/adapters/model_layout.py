"""The trainable parts of a model as plain values, so that planning needs no weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from texlens.models.families import EMBEDDING, HEAD, Family


@dataclass(frozen=True)
class Linear:
    """A linear layer's full module name, width in and width out."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Stack:
    """A parameter that holds one matrix for each expert of a mixture's layer."""

    name: str
    experts: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Parts:
    """`modules` maps every module's full name to its parameters, those of its children included."""

    linears: tuple[Linear, ...]
    stacks: tuple[Stack, ...] = ()
    routers: int = 0
    modules: Mapping[str, int] = field(default_factory=dict)
    tied: bool = False
    """The head and the embedding are one parameter."""


def linear_layers(model: nn.Module) -> list[Linear]:
    """Every `nn.Linear` of the model (a meta model will do), in order, the output head included."""
    return [
        Linear(name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]


def parts_of(model: nn.Module, family: Family) -> Parts:
    """What of a model (a meta model will do) can be adapted or trained."""
    modules = dict(model.named_modules())
    return Parts(
        tuple(linear_layers(model)),
        tuple(_stack(name, weight) for name, weight in model.named_parameters() if family.is_expert(name)),
        sum(bool(family.router and re.fullmatch(family.router, name)) for name in modules),
        {name: sum(weight.numel() for weight in module.parameters()) for name, module in modules.items() if name},
        _is_tied(modules),
    )


def _stack(name: str, weight: torch.Tensor) -> Stack:
    experts, outputs, inputs = weight.shape
    return Stack(name, experts, inputs, outputs)


def _is_tied(modules: Mapping[str, nn.Module]) -> bool:
    embedding, head = modules.get(EMBEDDING), modules.get(HEAD)
    return embedding is not None and head is not None and embedding.weight is head.weight
