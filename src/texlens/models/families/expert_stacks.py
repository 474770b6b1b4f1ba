"""The stacked expert weights of a mixture's decoder layer."""

from typing import Any

STACKS = ("gate_up_proj", "down_proj")
"""Names of the stacked parameters, [E, 2F, D] and [E, D, F]."""


def base_experts(mlp: Any) -> Any:
    """The module that has the stacks, inside of PEFT's wrappers."""
    experts = mlp.experts
    while hasattr(experts, "base_layer"):
        experts = experts.base_layer
    return experts
