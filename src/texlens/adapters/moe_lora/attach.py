"""Attaches MoE-LoRA to a loaded model as planned."""

import torch
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel

from texlens.adapters.attach import check_trainable, set_dropouts
from texlens.adapters.model_layout import LinearSpec
from texlens.adapters.moe_lora import MoeLoraConfig
from texlens.adapters.plan import AdapterPlan, Cost


def moe_lora_cost(experts: int, shared: bool) -> Cost:
    """Parameters in a layer: a pair of matrices for each expert, and the router."""

    def cost(layer: LinearSpec, rank: int) -> int:
        return (experts + shared) * rank * (layer.inputs + layer.outputs) + experts * layer.inputs

    return cost


def attach_moe_lora(
    model: PreTrainedModel,
    plan: AdapterPlan,
    *,
    experts: int,
    rank: int,
    alpha: int,
    dropout: float,
    top_k: int | None = None,
    balance: float = 0.01,
    shared: bool = False,
    seed: int = 0,
    base_path: str | None = None,
) -> PeftModel:
    """The model with new experts on the planned layers, all else frozen; the same seed gives the same weights."""
    config = MoeLoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        experts=experts,
        top_k=top_k,
        balance=balance,
        shared_expert=shared,
        target_modules=plan.target_modules,
        rank_pattern=dict(plan.rank_pattern),
        alpha_pattern=dict(plan.alpha_pattern),
        modules_to_save=list(plan.modules_to_save) or None,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config)
    if base_path:
        adapted.peft_config["default"].base_model_name_or_path = base_path
    set_dropouts(adapted, plan)
    check_trainable(adapted, plan)
    return adapted
