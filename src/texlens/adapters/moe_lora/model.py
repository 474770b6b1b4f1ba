"""MoE-LoRA's tuner: which layers are wrapped, and one `RouterLog` for all of them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import get_pattern_key
from torch import Tensor, nn

from texlens.adapters.moe_lora.balance import RouterLog
from texlens.adapters.moe_lora.layer import MoeLoraLayer
from texlens.adapters.moe_lora.register import PREFIX


class MoeLoraModel(BaseTuner):
    prefix = PREFIX
    tuner_layer_cls = MoeLoraLayer
    target_module_mapping = {}  # noqa: RUF012 - PEFT reads it from the class

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        rank_key = get_pattern_key(list(peft_config.rank_pattern), current_key)
        alpha_key = get_pattern_key(list(peft_config.alpha_pattern), current_key)
        options: dict[str, Any] = {
            "r": peft_config.rank_pattern.get(rank_key, peft_config.r),
            "lora_alpha": peft_config.alpha_pattern.get(alpha_key, peft_config.lora_alpha),
            "lora_dropout": peft_config.lora_dropout,
            "experts": peft_config.experts,
            "top_k": peft_config.top_k,
            "shared_expert": peft_config.shared_expert,
            "inference_mode": peft_config.inference_mode,
        }
        if isinstance(target, MoeLoraLayer):
            target.update_layer(adapter_name, **options)
            return
        if not isinstance(target, torch.nn.Linear):
            raise ValueError(f"{current_key} is a {type(target).__name__}; MoE-LoRA adapts linear layers")
        layer = MoeLoraLayer(target, adapter_name, **options)
        layer.router_log = self._log()
        layer.router_log.names[id(layer)] = current_key
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    def _log(self) -> RouterLog:
        if "router_log" not in self.__dict__:
            self.router_log = RouterLog()
        return self.router_log

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self._log().recording(kwargs.get("attention_mask"), self.training):
            return super().forward(*args, **kwargs)

    def _check_merge_allowed(self) -> None:
        raise ValueError("MoE-LoRA can't be merged: its router weighs the experts for every token")


class BalanceLoss:
    """What a model with MoE-LoRA adds to its training loss, and the utilization of its experts."""

    def __init__(self, tuner: Any):
        self.weight: float = tuner.peft_config[tuner.active_adapters[0]].balance
        self.log: RouterLog = tuner.router_log

    def pack(self, pack: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Around the forward pass of a pack `[T]`, which has no attention mask and may be padded at its end."""
        positions = torch.arange(len(pack["ids"]), device=pack["ids"].device)
        return self.log.recording(positions < pack["tokens"])

    def __call__(self) -> Tensor | None:
        """The weighted balance loss of the last forward pass."""
        loss = self.log.loss() if self.weight else None
        return None if loss is None else self.weight * loss


def balance_of(model: nn.Module) -> BalanceLoss | None:
    """None for a model without MoE-LoRA."""
    tuner = getattr(model, "base_model", None)
    return BalanceLoss(tuner) if isinstance(tuner, MoeLoraModel) else None
