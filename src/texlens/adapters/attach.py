"""What every kind of adapter needs once PEFT has put it on a model."""

import re
from dataclasses import replace
from typing import Any

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from texlens.adapters.plan import AdapterPlan
from texlens.core.errors import ModelError

PEFT_PREFIX = "base_model.model."


def check_trainable(model: nn.Module, plan: AdapterPlan) -> None:
    """
    Raises:
        ModelError: the model trains another number of parameters than was planned.
    """
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trainable != plan.trainable:
        raise ModelError(f"the adapter has {trainable:,} parameters where {plan.trainable:,} were planned; report this")


def with_dropout(plan: AdapterPlan, share: float) -> AdapterPlan:
    """The plan with `share` as the dropout of every group that has none of its own."""
    return replace(plan, dropouts={**dict.fromkeys(plan.groups, share), **plan.dropouts})


def set_dropouts(model: PeftModel, plan: AdapterPlan) -> None:
    """Gives the layers of a group the dropout that the group has of its own; PEFT knows one for all."""
    for group, share in plan.dropouts.items():
        for name, module in model.named_modules():
            inner = name.removeprefix(PEFT_PREFIX)
            if isinstance(module, BaseTunerLayer) and re.fullmatch(plan.groups[group], inner):
                _dropouts(module)["default"] = nn.Dropout(share) if share else nn.Identity()


def _dropouts(module: Any) -> nn.ModuleDict:
    found = getattr(module, "lora_dropout", None)
    return module.moe_lora_dropout if found is None else found
