"""Mixtures of experts whose experts are divided among processes: each keeps some of them whole.

# T = tokens, D = width, K = experts of a token
"""

from typing import Any

from torch import Tensor, nn

from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.families.expert_stacks import STACKS, base_experts
from texlens.models.mixtures.experts import QuantizedExperts, routed_forward
from texlens.models.weight_rows.placeholders import is_placeholder
from texlens.models.weight_rows.rows import WeightRows


class DividedExperts(nn.Module):
    """A stock experts module over this process's part of its stacks; rows travel to the processes that have the others.

    Args:
        experts: the stock module, whose stacks are this process's already.
    """

    def __init__(self, experts: Any, owners: ExpertOwners):
        super().__init__()
        self.gate_up_proj, self.down_proj = experts.gate_up_proj, experts.down_proj
        self.act_fn, self.num_experts, self.owners = experts.act_fn, experts.num_experts, owners

    def forward(self, hidden_TD: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        return routed_forward(self, self.owners, hidden_TD, top_k_index, top_k_weights)


def divide_experts(model: Any, owners: ExpertOwners, rows_of: WeightRows) -> None:
    """Leaves this process's experts in every layer of a stock model, in place."""
    for number, layer in enumerate(model.model.language_model.layers):
        if not hasattr(layer.mlp, "experts"):
            continue
        experts = base_experts(layer.mlp)
        if isinstance(experts, QuantizedExperts):
            experts.keep(owners.experts)
            _take_owners(layer.mlp, owners)
            continue
        for name in STACKS:
            stack = getattr(experts, name)
            full_name = f"{LANGUAGE_MODEL}.layers.{number}.mlp.experts.{name}"
            part = (
                rows_of(full_name, owners.experts).to(stack.device) if is_placeholder(stack) else stack[owners.experts]
            )
            setattr(experts, name, nn.Parameter(part.detach().clone(), requires_grad=False))
        _take_owners(layer.mlp, owners)


def _take_owners(mlp: Any, owners: ExpertOwners) -> None:
    """PEFT's wrappers, one inside the other, and quantized experts get them as an attribute; a stock module is
    replaced."""
    wrapper = mlp.experts
    if isinstance(wrapper, QuantizedExperts):
        wrapper.owners = owners
    elif not hasattr(wrapper, "base_layer"):
        mlp.experts = DividedExperts(wrapper, owners)
    while hasattr(wrapper, "base_layer"):
        wrapper.owners = owners
        wrapper = wrapper.base_layer
