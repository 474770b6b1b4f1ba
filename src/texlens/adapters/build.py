"""From the run file's `adapter:` to a plan of covered layers, and from the plan to an adapted model."""

from peft import PeftModel
from transformers import PreTrainedModel

from texlens.adapters.card import AdapterCard
from texlens.adapters.linears import linear_layers
from texlens.adapters.lora import attach_lora
from texlens.adapters.plan import AdapterPlan, plan_adapter
from texlens.config.adapter import LoraSettings
from texlens.config.run import RunConfig
from texlens.models.build import Base
from texlens.models.families import ALL_LINEAR, Family
from texlens.models.skeleton import skeleton


def build_plan(settings: LoraSettings, family: Family, model_config: dict) -> AdapterPlan:
    """The covered layers of the model that `model_config` (a config.json) describes; no weights are read.

    Raises:
        ConfigError: a target that matches nothing.
    """
    model = skeleton(model_config)
    return plan_adapter(
        linear_layers(model),
        family.groups,
        targets=settings.targets,
        rank=settings.rank,
        alpha=settings.alpha,
        own={"vision": (settings.vision.rank, settings.vision.alpha)} if settings.vision else None,
        expert_stacks=sum(family.is_expert(name) for name, _ in model.named_parameters()),
        all_linear=ALL_LINEAR,
    )


def build_adapter(
    model: PreTrainedModel, plan: AdapterPlan, settings: LoraSettings, *, seed: int, base_path: str
) -> PeftModel:
    return attach_lora(
        model,
        plan,
        rank=settings.rank,
        alpha=settings.alpha,
        dropout=settings.dropout,
        rslora=settings.rslora,
        seed=seed,
        base_path=base_path,
    )


def build_card(config: RunConfig, base: Base) -> AdapterCard:
    """What evaluation and reading must use with this run's adapter."""
    geometry = base.processor.geometry
    return AdapterCard(
        base=config.model.path,
        base_fingerprint=base.fingerprint,
        family=base.processor.family.model_type,
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        question=config.data.question,
        system=config.data.system,
        max_new_tokens=config.evaluate.max_new_tokens,
    )
