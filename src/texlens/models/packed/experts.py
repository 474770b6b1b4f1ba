"""A mixture's stacked experts, adapted by PEFT or not, as the products that the fused layers take."""

from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.kernels.experts.linear import ExpertAdapter, ExpertLinear, ExpertProduct, padded_rank
from texlens.models.families.expert_stacks import STACKS, base_experts
from texlens.models.mixtures.experts import QuantizedExperts
from texlens.models.module_kinds import is_class
from texlens.models.packed.gathered import GatheredExperts
from texlens.models.packed.weight_buffer import BufferedExperts, WeightBuffer


def unfused_experts_reason(mlp: Any) -> str | None:
    """Why a mixture of experts can't be part of a fused layer, or None."""
    experts = base_experts(mlp)
    router: Any = getattr(mlp, "gate", None)
    if not isinstance(getattr(router, "weight", None), Tensor) or not hasattr(router, "top_k"):
        return "a mixture of experts with another router"
    if reason := _unfused_shared_reason(mlp):
        return reason
    if router.weight.requires_grad:
        return "a mixture of experts whose router is trained"
    if not all(isinstance(getattr(experts, name, None), Tensor) for name in STACKS):
        return "a mixture of experts that is not stacked"
    if any(getattr(experts, name).requires_grad for name in STACKS):
        return "a mixture of experts whose weights are trained"
    if not _is_silu(experts):
        return "a mixture of experts with another activation"
    return _unfused_adapter_reason(mlp.experts)


def shared_expert(mlp: Any) -> Any | None:
    """The expert of a mixture that every token passes, with a gate of its own (`shared_expert_gate`)."""
    return getattr(mlp, "shared_expert", None)


def _unfused_shared_reason(mlp: Any) -> str | None:
    names = {name for name, _ in mlp.named_children() if name.startswith("shared")}
    if not names:
        return None
    if names != {"shared_expert", "shared_expert_gate"}:
        return "a mixture of experts with shared experts of another kind"
    gate = mlp.shared_expert_gate
    if type(gate) is not nn.Linear or gate.bias is not None or gate.weight.requires_grad:
        return "a shared expert whose gate is trained or of another kind"
    return None if _is_silu(mlp.shared_expert) else "a shared expert with another activation"


def _is_silu(module: Any) -> bool:
    activation = getattr(module, "act_fn", None)
    return isinstance(activation, nn.SiLU) or type(activation).__name__ == "SiLUActivation"


def _unfused_adapter_reason(experts: Any) -> str | None:
    wrappers = _wrappers(experts)
    if not wrappers:
        return None
    if not is_routed(experts):
        return f"a {type(experts).__name__} around its experts"
    if any(len(wrapper.active_adapters) != 1 or wrapper.merged or wrapper.disable_adapters for wrapper in wrappers):
        return "an adapter that is merged, off, or one of several"
    return None


def is_routed(experts: nn.Module) -> bool:
    """Whether it is `adapters.expert_parameters.RoutedExperts`, which is above this package."""
    return is_class(experts, "texlens.adapters.expert_parameters", "RoutedExperts")


class QuantizedExpertProduct(BufferedExperts):
    """A stack in float8 or NF4, dequantized next to its adapters just before each product."""

    def __init__(self, experts: Any, name: str, adapter: ExpertAdapter | None, buffer: WeightBuffer):
        placeholder, self.stack = getattr(experts, name), experts.stacks[name]
        super().__init__(self.stack.shape, adapter, buffer, dtype=placeholder.dtype, device=placeholder.device)

    def write_stack(self, stack: Tensor) -> None:
        self.stack.write(stack)


def expert_products(
    mlp: Any, buffer: WeightBuffer, owners: ExpertOwners | None = None, *, gathered: bool = False
) -> tuple[ExpertProduct, ExpertProduct]:
    """The gate/up and the down product; adapted stacks become views of the products' tensors, without a second copy.

    Args:
        buffer: of the model, for stacks that are quantized, or gathered while their layer runs.
        owners: which process has which experts, where they are divided.
    """
    experts = base_experts(mlp)
    part = None if owners is None else owners.experts
    adapters = {wrapper.parameter_name: _adapter(wrapper, part) for wrapper in _wrappers(mlp.experts)}
    if gathered or isinstance(experts, QuantizedExperts):
        kind = QuantizedExpertProduct if isinstance(experts, QuantizedExperts) else GatheredExperts
        first, second = (kind(experts, name, adapters.get(name), buffer) for name in STACKS)
        return first, second
    first, second = (_product(getattr(experts, name), adapters.get(name)) for name in STACKS)
    return first, second


def _wrappers(experts: Any) -> list[Any]:
    """PEFT wraps a module once for each of its adapted parameters, one wrapper inside the other."""
    wrappers = []
    while hasattr(experts, "base_layer"):
        wrappers.append(experts)
        experts = experts.base_layer
    return wrappers


def _adapter(wrapper: Any, experts: slice | None) -> ExpertAdapter:
    name = wrapper.active_adapters[0]
    lora_a, lora_b = wrapper.lora_A[name].weight, wrapper.lora_B[name].weight
    return ExpertAdapter(lora_a, lora_b, wrapper.scaling[name], wrapper.r[name], experts)


@torch.no_grad()
def _product(stack: nn.Parameter, adapter: ExpertAdapter | None) -> ExpertLinear:
    extra_columns = padded_rank(adapter)
    if not extra_columns:
        return ExpertLinear(stack.detach(), None)
    experts, height, width = stack.shape
    augmented = stack.new_zeros(experts, height + extra_columns, width + extra_columns)
    augmented[:, :height, :width] = stack
    stack.data = augmented[:, :height, :width]
    return ExpertLinear(augmented, adapter)
