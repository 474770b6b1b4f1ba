"""Names of the weights of decoder layers that are divided among processes."""

import re
from collections.abc import Iterator

from torch import nn

from texlens.models.families import LANGUAGE_MODEL
from texlens.models.mixtures.experts import quantized_experts

LINEAR = re.compile(
    r"\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj|in_proj_qkv|in_proj_z|in_proj_b|in_proj_a|out_proj)"
    r"(\.base_layer)*\.weight$"
)
STACK = re.compile(r"\.experts(\.base_layer)*\.(gate_up_proj|down_proj)$")
"""Names of the parameters of decoder layers that are divided; norms, biases and routers are small and stay whole."""


def is_divided_name(name: str, *, stacks: bool = True) -> bool:
    """Whether a parameter, by its name in the adapted model, is divided among processes.

    Args:
        stacks: of experts too.
    """
    return bool(LINEAR.search(name) or (stacks and STACK.search(name)))


def stock_name(name: str) -> str:
    """A parameter's name before PEFT wrapped its module.

    Example:
        model.language_model.layers.0.mlp.up_proj.base_layer.weight
        model.language_model.layers.0.mlp.up_proj.weight
    """
    return name.replace(".base_layer", "")


def divided_parameters(layer: nn.Module, number: int, *, stacks: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
    """Stock name and parameter of a decoder layer's divided weights in 16 or 32 bits; `quantized.codes_of_layer` has
    the others."""
    prefix = f"{LANGUAGE_MODEL}.layers.{number}."
    replaced = {id(part) for experts in quantized_experts(layer) for part in experts.parameters(recurse=False)}
    for name, parameter in layer.named_parameters():
        if parameter.requires_grad or not parameter.is_floating_point() or id(parameter) in replaced:
            continue
        if is_divided_name(f".{name}", stacks=stacks):
            yield prefix + stock_name(name), parameter


def chunk(length: int, rank: int, processes: int) -> slice:
    """A process's rows, as FSDP divides them: `torch.chunk`, of which the last ones may be empty.

    Example:
        (10, 3, 4) -> rows 9 to 10
    """
    size = -(-length // processes)
    return slice(min(rank * size, length), min((rank + 1) * size, length))
