"""Steps that every kind of adapter needs after PEFT has attached it to a model."""

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
        ModelError: the model has another number of trainable parameters than planned.
    """
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trainable != plan.trainable:
        raise ModelError(
            f"the adapter has {trainable:,} trainable parameters instead of the planned {plan.trainable:,}; report this"
        )


def with_default_dropout(plan: AdapterPlan, dropout: float) -> AdapterPlan:
    """The plan with `dropout` for every group that has no override."""
    return replace(plan, dropouts={**dict.fromkeys(plan.groups, dropout), **plan.dropouts})


def set_dropouts(model: PeftModel, plan: AdapterPlan) -> None:
    """Sets the dropout of every group that has an override; PEFT's config holds one value for all layers."""
    for group, dropout in plan.dropouts.items():
        for name, module in model.named_modules():
            layer = name.removeprefix(PEFT_PREFIX)
            if isinstance(module, BaseTunerLayer) and re.fullmatch(plan.groups[group], layer):
                _dropouts(module)["default"] = nn.Dropout(dropout) if dropout else nn.Identity()


def _dropouts(module: Any) -> nn.ModuleDict:
    dropouts = getattr(module, "lora_dropout", None)
    return module.moe_lora_dropout if dropouts is None else dropouts
