"""A linear layer plus a mixture of LoRA experts, and a router that weighs them for each token.

    y = W x + s * sum_e g_e(x) B_e A_e x  (+ s B_0 A_0 x with a shared expert),   s = alpha / rank
    g(x) = softmax(R x), in float32; with top-k, all but the k largest are set to 0 and the rest divided by their sum

Experts: Hu et al. 2021, arXiv:2106.09685 (LoRA); the mixture with a token-wise router: Dou et al. 2023 (LoRAMoE),
arXiv:2312.09979, and Li et al. 2024 (MixLoRA), arXiv:2404.15159. The experts of a layer are concatenated, so that
they cost two matrix products, as a single LoRA of rank E * r does; the router scales the r columns of each expert.

# T = tokens, I = width in, N = width out, E = experts, R = rank of an expert
"""

from contextlib import nullcontext
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from texlens.adapters.moe_lora.balance import RouterLog


class MoeLoraLayer(nn.Module, BaseTunerLayer):
    """Wraps a linear layer of any precision, 4-bit and 8-bit ones included."""

    adapter_layer_names = ("moe_lora_A", "moe_lora_B", "moe_lora_router", "moe_lora_shared_A", "moe_lora_shared_B")
    other_param_names = ("r", "lora_alpha", "scaling", "experts", "top_k", "moe_lora_dropout")

    moe_lora_A: Any  # noqa: N815 - PEFT's way of naming
    moe_lora_B: Any  # noqa: N815
    moe_lora_router: Any
    moe_lora_shared_A: Any  # noqa: N815
    moe_lora_shared_B: Any  # noqa: N815
    moe_lora_dropout: Any

    def __init__(self, base_layer: nn.Linear, adapter_name: str, **options: Any):
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.r: dict[str, int] = {}
        self.lora_alpha: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.experts: dict[str, int] = {}
        self.top_k: dict[str, int | None] = {}
        for name in (*self.adapter_layer_names, "moe_lora_dropout"):
            setattr(self, name, nn.ModuleDict())
        self.router_log: RouterLog | None = None
        self._disable_adapters = False
        self.merged_adapters = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, **options)

    def update_layer(
        self,
        adapter_name: str,
        *,
        r: int,
        lora_alpha: int,
        lora_dropout: float,
        experts: int,
        top_k: int | None,
        shared_expert: bool,
        inference_mode: bool = False,
    ) -> None:
        """Adds an adapter whose update is zero at first, because every B is."""
        self.r[adapter_name], self.lora_alpha[adapter_name] = r, lora_alpha
        self.scaling[adapter_name] = lora_alpha / r
        self.experts[adapter_name], self.top_k[adapter_name] = experts, top_k
        self.moe_lora_dropout[adapter_name] = nn.Dropout(lora_dropout) if lora_dropout else nn.Identity()
        self.moe_lora_A[adapter_name] = nn.Linear(self.in_features, experts * r, bias=False)
        self.moe_lora_B[adapter_name] = nn.Linear(experts * r, self.out_features, bias=False)
        self.moe_lora_router[adapter_name] = nn.Linear(self.in_features, experts, bias=False)
        nn.init.zeros_(self.moe_lora_B[adapter_name].weight)
        nn.init.normal_(self.moe_lora_router[adapter_name].weight, std=0.02)
        if shared_expert:
            self.moe_lora_shared_A[adapter_name] = nn.Linear(self.in_features, r, bias=False)
            self.moe_lora_shared_B[adapter_name] = nn.Linear(r, self.out_features, bias=False)
            nn.init.zeros_(self.moe_lora_shared_B[adapter_name].weight)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=inference_mode)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        for name in self.active_adapters:
            if name in self.moe_lora_A:
                result = result + self._update(name, x).to(result.dtype)
        return result

    def _update(self, name: str, x_TI: Tensor) -> Tensor:
        a, b = self.moe_lora_A[name], self.moe_lora_B[name]
        x_TI = x_TI.to(a.weight.dtype)
        gates_TE = self._gates(name, x_TI)
        x_TI = self.moe_lora_dropout[name](x_TI)
        hidden_TER = a(x_TI).unflatten(-1, (self.experts[name], self.r[name]))
        update_TN = b((hidden_TER * gates_TE.unsqueeze(-1).to(hidden_TER.dtype)).flatten(-2))
        if name in self.moe_lora_shared_A:
            update_TN = update_TN + self.moe_lora_shared_B[name](self.moe_lora_shared_A[name](x_TI))
        return update_TN * self.scaling[name]

    def _gates(self, name: str, x_TI: Tensor) -> Tensor:
        router = self.moe_lora_router[name]
        device = x_TI.device.type  # the meta device, on which `texlens plan` runs a step, has no autocast
        with torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext():
            probabilities_TE = nn.functional.linear(x_TI.float(), router.weight.float()).softmax(-1)
            gates_TE = keep_top(probabilities_TE, self.top_k[name])
            if self.router_log is not None and self.training:
                self.router_log.add(self, probabilities_TE, gates_TE)
        return gates_TE

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise ValueError("MoE-LoRA can't be merged: its router weighs the experts for every token")

    def __repr__(self) -> str:
        return "moe_lora." + super().__repr__()


def keep_top(probabilities_TE: Tensor, top_k: int | None) -> Tensor:
    """The weights with all but each token's `top_k` largest set to 0 and the rest divided by their sum.

    Example:
        [0.5, 0.3, 0.2], top_k 2 -> [0.625, 0.375, 0]
    """
    if top_k is None or top_k == probabilities_TE.shape[-1]:
        return probabilities_TE
    _, best = probabilities_TE.topk(top_k, dim=-1)
    largest_TE = torch.zeros_like(probabilities_TE).scatter(-1, best, probabilities_TE.gather(-1, best))
    return largest_TE / largest_TE.sum(-1, keepdim=True)
