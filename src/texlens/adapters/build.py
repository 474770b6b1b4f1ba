"""From the run file's `adapter:` to a plan of covered layers, and from the plan to an adapted model."""

from dataclasses import replace

from peft import PeftModel
from transformers import PreTrainedModel

from texlens.adapters.full_weights import plan_full, unfreeze
from texlens.adapters.lora import attach_lora
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.model_layout import layout_of
from texlens.adapters.moe_lora.attach import attach_moe_lora, moe_lora_cost
from texlens.adapters.plan import AdapterPlan, AdapterRequest, lora_cost, plan_adapter
from texlens.config.adapter import FullSettings, LoraSettings, MoeLoraSettings
from texlens.config.run import RunConfig
from texlens.models.build import BaseCheckpoint
from texlens.models.families import ALL_LINEAR, Family
from texlens.models.meta_model import meta_model
from texlens.models.metadata import stored_preparation


def build_plan(
    settings: LoraSettings | MoeLoraSettings | FullSettings, family: Family, model_config: dict
) -> AdapterPlan:
    """The covered layers of the model that `model_config` (a config.json) describes; no weights are read.

    Raises:
        ConfigError: a target, group, layer or module that matches nothing.
    """
    layout = layout_of(meta_model(model_config), family)
    overrides = settings.group_overrides
    if isinstance(settings, FullSettings):
        plan = plan_full(layout, family.groups, targets=settings.targets, layers=settings.layers)
        rates = {name: override.learning_rate for name, override in overrides.items() if override.learning_rate}
        return replace(plan, learning_rates=rates)
    request = AdapterRequest(
        settings.targets,
        settings.rank,
        settings.alpha,
        overrides,
        layers=settings.layers,
        modules_to_save=settings.modules_to_save,
    )
    if isinstance(settings, MoeLoraSettings):
        cost = moe_lora_cost(settings.experts, settings.shared)
        return plan_adapter(layout, family.groups, replace(request, cost=cost, all_linear=ALL_LINEAR))
    frozen_or_full = {group for group in ("vision", "merger") if getattr(settings, group) in ("frozen", "full")}
    request = replace(
        request,
        targets=[*settings.targets, *(["merger"] if settings.merger == "lora" else [])],
        full_merger=settings.merger == "full",
        shared_experts=settings.experts_mode == "shared",
        cost=lora_cost(settings.dora),
        all_linear=[group for group in ALL_LINEAR if group not in frozen_or_full],
    )
    return plan_adapter(layout, family.groups, request)


def build_adapter(
    model: PreTrainedModel,
    plan: AdapterPlan,
    settings: LoraSettings | MoeLoraSettings | FullSettings,
    *,
    seed: int,
    base_path: str,
) -> PeftModel | PreTrainedModel:
    """The model with the planned weights trainable and all others frozen; the same seed gives the same weights."""
    if isinstance(settings, FullSettings):
        return unfreeze(model, plan)
    if isinstance(settings, MoeLoraSettings):
        return attach_moe_lora(
            model,
            plan,
            experts=settings.experts,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            top_k=settings.top_k,
            balance=settings.balance,
            shared=settings.shared,
            seed=seed,
            base_path=base_path,
        )
    return attach_lora(
        model,
        plan,
        rank=settings.rank,
        alpha=settings.alpha,
        dropout=settings.dropout,
        rslora=settings.rslora,
        dora=settings.dora,
        init=settings.init,
        seed=seed,
        base_path=base_path,
    )


def build_metadata(config: RunConfig, base: BaseCheckpoint) -> AdapterMetadata:
    """What evaluation and reading must use with this run's adapter."""
    geometry = base.processor.geometry
    return AdapterMetadata(
        base=config.model.path,
        base_fingerprint=base.fingerprint,
        family=base.processor.family.model_type,
        resize=geometry.resize,
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
        max_new_tokens=config.evaluate.max_new_tokens,
        base_quantize=config.base.quantize,
        init=getattr(config.adapter, "init", "default"),
        image_preparation=stored_preparation(config.model, base.folder),
    )
