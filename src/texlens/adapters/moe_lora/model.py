"""MoE-LoRA's tuner: which layers are wrapped, and one `RouterLog` for all of them."""

from typing import Any, ClassVar

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import get_pattern_key
from torch import nn

from texlens.adapters.moe_lora.balance import RouterLog
from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.adapters.moe_lora.layer import MoeLoraLayer
from texlens.adapters.moe_lora.register import PREFIX


class MoeLoraModel(BaseTuner):
    prefix = PREFIX
    tuner_layer_cls = MoeLoraLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}

    def _create_and_replace(
        self,
        peft_config: MoeLoraConfig,
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
        """One for the whole model, kept on the wrapped model itself."""
        log = getattr(self.model, "router_log", None)
        if log is None:
            log = RouterLog()
            log.watch(self.model)
            object.__setattr__(self.model, "router_log", log)
        return log

    def _check_merge_allowed(self) -> None:
        raise ValueError("MoE-LoRA can't be merged: its router weighs the experts anew for every token")


def router_log(model: nn.Module) -> RouterLog | None:
    """The log of a model with MoE-LoRA on it, wrapped by PEFT or not; None for any other."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(inner, "router_log", None)
