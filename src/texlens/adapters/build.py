"""From the run file's `adapter:` to a plan of covered layers, and from the plan to an adapted model."""

import re
from dataclasses import replace

from peft import PeftModel
from transformers import PreTrainedModel

from texlens.adapters.full_weights import plan_full, unfreeze
from texlens.adapters.lora import attach_lora
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.model_layout import Linear, Parts, linear_layers, parts_of
from texlens.adapters.moe_lora.attach import attach_moe_lora, moe_lora_cost
from texlens.adapters.plan import (
    EXPERTS,
    AdapterPlan,
    Coverage,
    Own,
    covered_modules,
    covered_stacks,
    lora_cost,
    plan_adapter,
)
from texlens.config.adapter import FullSettings, LoraSettings, MoeLoraSettings
from texlens.config.quantize import QuantizeSettings
from texlens.config.run import RunConfig
from texlens.core.errors import ConfigError
from texlens.models.build import BaseCheckpoint
from texlens.models.families import ALL_LINEAR, EMBEDDING, HEAD, LANGUAGE_MODEL, MERGER_MODULES, Family
from texlens.models.fp8 import BLOCKS
from texlens.models.meta_model import meta_model


def build_plan(
    settings: LoraSettings | MoeLoraSettings | FullSettings, family: Family, model_config: dict
) -> AdapterPlan:
    """The covered layers of the model that `model_config` (a config.json) describes; no weights are read.

    Raises:
        ConfigError: a target, group, layer or module that matches nothing.
    """
    parts = parts_of(meta_model(model_config), family)
    if isinstance(settings, FullSettings):
        plan = plan_full(parts, family.groups, targets=settings.targets, layers=settings.layers)
    elif isinstance(settings, MoeLoraSettings):
        plan = _plan_linears(settings, family, parts, settings.targets, ALL_LINEAR)
    else:
        plan = _plan_lora(settings, family, parts)
    rates = {group: own.learning_rate for group, own in settings.own.items() if own.learning_rate}
    return replace(plan, rates={**rates, **plan.rates})


def _plan_lora(settings: LoraSettings, family: Family, parts: Parts) -> AdapterPlan:
    frozen = {group for group in ("vision", "merger") if getattr(settings, group) in ("frozen", "full")}
    targets = [*settings.targets, *(["merger"] if settings.merger == "lora" else [])]
    all_linear = [group for group in ALL_LINEAR if group not in frozen]
    plan = _plan_linears(settings, family, parts, targets, all_linear)
    if settings.expert_settings:
        plan = _with_experts(plan, settings, parts)
    merger = [name for name in parts.modules if re.fullmatch(MERGER_MODULES, name)] if settings.merger == "full" else []
    return _with_whole(plan, [*covered_modules(settings.train_also, parts, plan.pattern), *merger], parts)


def _plan_linears(settings: LoraSettings | MoeLoraSettings, family: Family, parts: Parts, targets, all_linear):
    if isinstance(settings, MoeLoraSettings):
        cost = moe_lora_cost(settings.experts, settings.shared)
    else:
        cost = lora_cost(settings.dora)
    plan = plan_adapter(
        parts,
        family.groups,
        targets=targets,
        rank=settings.rank,
        alpha=settings.alpha,
        own={name: Own(own.rank or settings.rank, own.alpha or settings.alpha) for name, own in settings.own.items()},
        layers=settings.layers,
        cost=cost,
        all_linear=all_linear,
    )
    dropouts = {group: own.dropout for group, own in settings.own.items() if own.dropout is not None}
    plan = replace(plan, dropouts=dropouts)
    if isinstance(settings, MoeLoraSettings):
        return _with_whole(plan, covered_modules(settings.train_also, parts, plan.pattern), parts)
    return plan


def _with_experts(plan: AdapterPlan, settings: LoraSettings, parts: Parts) -> AdapterPlan:
    """The plan with adapters on the stacked experts of the trained layers."""
    own = settings.expert_settings
    assert own is not None
    rank, alpha = own.rank or settings.rank, own.alpha or settings.alpha
    stacks = covered_stacks(parts.stacks, settings.layers)
    copies = {stack.name: 1 if own.mode == "shared" else stack.experts for stack in stacks}
    cost = sum(copies[stack.name] * rank * (stack.inputs + stack.outputs) for stack in stacks)
    row = Coverage(EXPERTS, len(stacks), len(parts.stacks), cost)
    pattern = "|".join(sorted({re.escape(stack.name.rsplit(".", 1)[-1]) for stack in stacks}))
    pattern = rf".*\.experts\.(?:{pattern})"
    return replace(
        plan,
        stacks=tuple(stack.name for stack in stacks),
        shared_stacks=own.mode == "shared",
        ranks={**plan.ranks, **({pattern: rank} if rank != settings.rank else {})},
        alphas={**plan.alphas, **({pattern: alpha} if alpha != settings.alpha else {})},
        rates={**plan.rates, **({EXPERTS: own.learning_rate} if own.learning_rate else {})},
        coverage=tuple(row if old.group == EXPERTS else old for old in plan.coverage),
    )


def _with_whole(plan: AdapterPlan, modules: list[str], parts: Parts) -> AdapterPlan:
    """The plan with modules trained whole; each counts in the row of its group."""
    rows = {row.group: row for row in plan.coverage}
    for name in modules:
        group = _row_of(name)
        old = rows.get(group, Coverage(group, 0, 0, 0, full=True))
        inside = _linears_in(name, parts.linears) if group == "merger" else 1
        total = old.total if group in (row.group for row in plan.coverage) else old.total + 1
        rows[group] = Coverage(group, old.matched + inside, total, old.parameters + parts.modules[name], full=True)
    if plan.tied and EMBEDDING in modules:
        rows["head"] = Coverage("head", 1, 1, 0, full=True)
    return replace(plan, whole=tuple(modules), coverage=tuple(rows.values()))


def _row_of(module: str) -> str:
    if re.fullmatch(MERGER_MODULES, module):
        return "merger"
    return {EMBEDDING: "embed", HEAD: "head"}.get(module, "whole modules")


def _linears_in(module: str, linears: tuple[Linear, ...]) -> int:
    return sum(layer.name.startswith(f"{module}.") for layer in linears)


def check_whole(plan: AdapterPlan, quantize: str, model_config: dict) -> None:
    """
    Raises:
        ConfigError: a module that is to be trained whole, but whose weights `base.quantize` packs.
    """
    if quantize == "none" or not plan.whole:
        return
    packed = [layer.name for layer in linear_layers(meta_model(model_config)) if layer.name.startswith(LANGUAGE_MODEL)]
    for module in plan.whole:
        if any(f"{name}.".startswith(f"{module}.") for name in packed):
            raise ConfigError(
                f"adapter.train_also: {module} has weights that base.quantize: {quantize} packs, which can't be "
                f"trained whole; remove it, or set base.quantize: none"
            )


def check_tower(plan: AdapterPlan, base: QuantizeSettings) -> None:
    """
    Raises:
        ConfigError: a tower in another form than float8 is asked for, or layers of the vision tower are to be trained,
            which float8 holds for the way forward alone.
    """
    if not base.quantize_vision:
        return
    if base.quantize != "fp8":
        raise ConfigError(
            f"base.quantize_vision: true goes with base.quantize: fp8 alone, and this is {base.quantize}; set "
            f"base.quantize_vision: false"
        )
    adapted = sum(row.matched for row in plan.coverage if row.group == "vision")
    whole = [name for name in plan.whole if f"{name}.".startswith(BLOCKS) or BLOCKS.startswith(f"{name}.")]
    if adapted or whole:
        what = f"adapter.train_also: {whole[0]}" if whole else f"adapter: {adapted} layers of the vision tower"
        raise ConfigError(
            f"{what} can't be trained with base.quantize_vision: true, which holds the tower in fp8 without a way "
            f"back; freeze the tower, or set base.quantize_vision: false"
        )


def build_adapter(
    model: PreTrainedModel,
    plan: AdapterPlan,
    settings: LoraSettings | MoeLoraSettings | FullSettings,
    *,
    seed: int,
    base_path: str,
) -> PeftModel | PreTrainedModel:
    """The model with what is trained ready to be trained, and all else frozen; the same seed, the same weights."""
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


def build_card(config: RunConfig, base: BaseCheckpoint) -> AdapterMetadata:
    """What evaluation and reading must use with this run's adapter."""
    geometry = base.processor.geometry
    return AdapterMetadata(
        base=config.model.path,
        base_fingerprint=base.fingerprint,
        family=base.processor.family.model_type,
        min_pixels=geometry.min_pixels,
        max_pixels=geometry.max_pixels,
        prompt=config.data.prompt,
        system_prompt=config.data.system_prompt,
        max_new_tokens=config.evaluate.max_new_tokens,
        base_quantize=config.base.quantize,
        init=getattr(config.adapter, "init", "default"),
    )
