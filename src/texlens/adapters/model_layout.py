"""The trainable parts of a model as plain values, so that planning needs no weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from texlens.models.families import EMBEDDING, HEAD, Family


@dataclass(frozen=True)
class LinearSpec:
    """A linear layer: full module name, input and output width."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class ExpertParameter:
    """A parameter `[E, N, I]` that holds one matrix for each expert of a mixture's layer."""

    name: str
    experts: int
    inputs: int
    outputs: int

    @property
    def numel(self) -> int:
        return self.experts * self.inputs * self.outputs


@dataclass(frozen=True)
class ModelLayout:
    """`modules` maps every module's full name to its number of parameters, those of its children included. `tied`: the
    head and the embedding are one parameter."""

    linears: tuple[LinearSpec, ...]
    expert_parameters: tuple[ExpertParameter, ...] = ()
    routers: int = 0
    modules: Mapping[str, int] = field(default_factory=dict)
    tied: bool = False


def linear_layers(model: nn.Module) -> list[LinearSpec]:
    """Every `nn.Linear` of the model (a meta model will do), in order, the output head included."""
    return [
        LinearSpec(name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]


def layout_of(model: nn.Module, family: Family) -> ModelLayout:
    """What of a model (a meta model will do) can be adapted or trained."""
    modules = dict(model.named_modules())
    experts = (_expert_parameter(name, part) for name, part in model.named_parameters() if family.is_expert(name))
    return ModelLayout(
        tuple(linear_layers(model)),
        tuple(experts),
        sum(bool(family.router and re.fullmatch(family.router, name)) for name in modules),
        {name: sum(part.numel() for part in module.parameters()) for name, module in modules.items() if name},
        _is_tied(modules),
    )


def _expert_parameter(name: str, weight: torch.Tensor) -> ExpertParameter:
    experts, outputs, inputs = weight.shape
    return ExpertParameter(name, experts, inputs, outputs)


def _is_tied(modules: Mapping[str, nn.Module]) -> bool:
    embedding, head = modules.get(EMBEDDING), modules.get(HEAD)
    return embedding is not None and head is not None and embedding.weight is head.weight
