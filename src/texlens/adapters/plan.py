"""Which layers an adapter covers and what that costs: pure decisions from names and shapes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from texlens.adapters.model_layout import LinearSpec, ModelLayout
from texlens.adapters.targets import (
    OTHER,
    check_groups,
    covered_experts,
    covered_modules,
    expand_targets,
    expert_pattern,
    layers_by_group,
    linear_pattern,
)
from texlens.config.adapter import GroupSettings
from texlens.core.errors import ConfigError
from texlens.models.families import EMBEDDING, HEAD, MERGER_MODULES

EXPERTS = "experts"

Cost = Callable[[LinearSpec, int], int]


@dataclass(frozen=True)
class Coverage:
    """One row of the coverage table: of `total` layers in a group, `matched` are trained.

    Layers are linear layers; expert parameters for `experts`; one module for `embed` and `head`. `full`: the weights
    themselves are trained, not an adapter on them.
    """

    group: str
    matched: int
    total: int
    parameters: int
    full: bool = False

    def to_json(self) -> dict:
        """`full` is present only where it is true."""
        row = asdict(self)
        return row if self.full else {key: value for key, value in row.items() if key != "full"}


@dataclass(frozen=True)
class AdapterPlan:
    """What PEFT is asked for, by the names of its own settings, and the table of what that covers.

    `target_modules` is a pattern of the adapted layers' full names, `target_parameters` names the adapted expert
    parameters, `modules_to_save` the modules that are trained in full; `rank_pattern` and `alpha_pattern` hold what
    differs from the adapter's own rank and alpha, by pattern. `dropouts` and `learning_rates` hold what a module group
    has of its own, by group; `groups` maps every group to its pattern.
    """

    target_modules: str
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, int]
    coverage: tuple[Coverage, ...]
    target_parameters: tuple[str, ...] = ()
    shared_experts: bool = False
    modules_to_save: tuple[str, ...] = ()
    tied: bool = False
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    dropouts: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def trainable(self) -> int:
        return sum(row.parameters for row in self.coverage)

    @property
    def added(self) -> int:
        """Parameters that the adapter adds to the checkpoint's own."""
        return sum(row.parameters for row in self.coverage if not row.full)

    @property
    def added_bytes(self) -> int:
        """Their size in the adapter's file, which holds float32 whatever the base's dtype."""
        return 4 * self.added

    @property
    def modules(self) -> int:
        return sum(row.matched for row in self.coverage if not row.full)


@dataclass(frozen=True)
class AdapterRequest:
    """
    Args:
        overrides: of module groups, which are adapted whether `targets` name them or not; `experts` is the group of
            expert parameters, adapted only if it is here.
        layers: which layers of the language model, as `config.adapter.Layers`.
        modules_to_save: last parts of names, or `regex:`.
        full_merger: the merger is trained in full too.
        shared_experts: one pair of matrices for all experts of a parameter.
        cost: parameters of a layer's adapter of a rank; the default is LoRA's.
        all_linear: groups that the target `all-linear` means.
    """

    targets: Sequence[str]
    rank: int
    alpha: int
    overrides: Mapping[str, GroupSettings] = field(default_factory=dict)
    layers: str | None = None
    modules_to_save: Sequence[str] = ()
    full_merger: bool = False
    shared_experts: bool = False
    cost: Cost | None = None
    all_linear: Sequence[str] = ("text-attention", "text-mlp", "vision", "merger")

    def rank_of(self, group: str) -> int:
        override = self.overrides.get(group)
        return self.rank if override is None else override.rank or self.rank


def lora_cost(dora: bool = False) -> Cost:
    """Parameters of a layer's LoRA of a rank; DoRA adds a magnitude for each output."""
    return lambda layer, rank: rank * (layer.inputs + layer.outputs) + (layer.outputs if dora else 0)


def plan_adapter(layout: ModelLayout, groups: Mapping[str, str], request: AdapterRequest) -> AdapterPlan:
    """
    Args:
        groups: group name to a pattern of full layer names.

    Raises:
        ConfigError: a target, group, layer or module that matches nothing, with the nearest name.
    """
    linear_overrides = [group for group in request.overrides if group != EXPERTS]
    check_groups(linear_overrides, groups)
    targets = [*expand_targets(request.targets, request.all_linear), *linear_overrides]
    pattern = linear_pattern(targets, layout, groups, request.layers)
    rows = [*_linear_rows(layout, groups, request, pattern, targets), *untrained_rows(layout)]
    patterns, experts = dict(groups), []
    if EXPERTS in request.overrides:
        experts = covered_experts(layout.expert_parameters, request.layers)
        patterns[EXPERTS] = expert_pattern(experts)
        rows = [_expert_row(layout, request, experts) if row.group == EXPERTS else row for row in rows]
    modules = covered_modules(request.modules_to_save, layout, pattern)
    modules += [name for name in layout.modules if request.full_merger and re.fullmatch(MERGER_MODULES, name)]
    return AdapterPlan(
        pattern,
        _override_pattern(request, patterns, "rank"),
        _override_pattern(request, patterns, "alpha"),
        _with_modules(rows, modules, layout),
        target_parameters=tuple(parameter.name for parameter in experts),
        shared_experts=bool(experts) and request.shared_experts,
        modules_to_save=tuple(modules),
        tied=layout.tied,
        learning_rates={
            name: override.learning_rate for name, override in request.overrides.items() if override.learning_rate
        },
        dropouts={
            name: override.dropout for name, override in request.overrides.items() if override.dropout is not None
        },
        groups=groups,
    )


def _override_pattern(request: AdapterRequest, patterns: Mapping[str, str], name: str) -> dict[str, int]:
    """PEFT's `rank_pattern` or `alpha_pattern`: the one way by which a group's rank or alpha reaches PEFT."""
    default = getattr(request, name)
    values = {patterns[group]: getattr(override, name) or default for group, override in request.overrides.items()}
    return {pattern: value for pattern, value in values.items() if value != default}


def _linear_rows(
    layout: ModelLayout, groups: Mapping[str, str], request: AdapterRequest, pattern: str, targets: Sequence[str]
) -> list[Coverage]:
    cost = request.cost or lora_cost()
    rows = []
    for group, members in layers_by_group(layout.linears, groups).items():
        matched = [layer for layer in members if re.fullmatch(pattern, layer.name)]
        if group in targets and not matched:
            raise ConfigError(
                f"adapter.layers: '{request.layers}' leaves nothing of {group}; widen it, or drop {group}"
            )
        if members and (matched or group != OTHER):
            parameters = sum(cost(layer, request.rank_of(group)) for layer in matched)
            rows.append(Coverage(group, len(matched), len(members), parameters))
    return rows


def untrained_rows(layout: ModelLayout) -> list[Coverage]:
    """Rows of what is in no group of linear layers: experts and their routers, embedding and head."""
    rows = []
    if layout.expert_parameters:
        rows += [Coverage(EXPERTS, 0, len(layout.expert_parameters), 0), Coverage("router", 0, layout.routers, 0)]
    rows += [Coverage("embed", 0, 1, 0)] if EMBEDDING in layout.modules else []
    return rows + ([Coverage("head", 0, 1, 0)] if HEAD in layout.modules else [])


def _expert_row(layout: ModelLayout, request: AdapterRequest, experts: Sequence) -> Coverage:
    pairs = {parameter.name: 1 if request.shared_experts else parameter.experts for parameter in experts}
    rank = request.rank_of(EXPERTS)
    parameters = sum(pairs[item.name] * rank * (item.inputs + item.outputs) for item in experts)
    return Coverage(EXPERTS, len(experts), len(layout.expert_parameters), parameters)


def _with_modules(rows: Sequence[Coverage], modules: Sequence[str], layout: ModelLayout) -> tuple[Coverage, ...]:
    """The table with modules that are trained in full; each counts in the row of its group."""
    table = {row.group: row for row in rows}
    for name in modules:
        group = _row_of_module(name)
        row = table.get(group, Coverage(group, 0, 0, 0, full=True))
        linears = sum(layer.name.startswith(f"{name}.") for layer in layout.linears) if group == "merger" else 1
        total = row.total if group in (old.group for old in rows) else row.total + 1
        table[group] = Coverage(group, row.matched + linears, total, row.parameters + layout.modules[name], full=True)
    if layout.tied and EMBEDDING in modules:
        table["head"] = Coverage("head", 1, 1, 0, full=True)
    return tuple(table.values())


def _row_of_module(module: str) -> str:
    if re.fullmatch(MERGER_MODULES, module):
        return "merger"
    return {EMBEDDING: "embed", HEAD: "head"}.get(module, "whole modules")
