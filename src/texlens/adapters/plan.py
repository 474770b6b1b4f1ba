"""Which layers an adapter covers and what that costs: pure decisions from names and shapes.

A target is a module group of the family (`text-attention`), `all-linear`, the last part of a layer's name (`q_proj`),
or `regex:` and an expression that full names match.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from texlens.adapters.model_layout import Linear, Parts, Stack
from texlens.config.adapter import layer_numbers
from texlens.core.errors import ConfigError
from texlens.models.families import EMBEDDING, HEAD

OTHER = "other"
EXPERTS = "experts"
TEXT_LAYER = r"model\.language_model\.layers\.(\d+)\..*"

Cost = Callable[[Linear, int], int]


@dataclass(frozen=True)
class Coverage:
    """One row of the coverage table: of `total` layers in a group, `matched` are trained.

    Layers are linear layers; stacked parameters for `experts`; one module for `embed` and `head`.
    """

    group: str
    matched: int
    total: int
    parameters: int
    full: bool = False
    """The weights themselves are trained, not an adapter on them."""

    def to_json(self) -> dict:
        """`full` stands there only where it holds."""
        told = asdict(self)
        return told if self.full else {key: value for key, value in told.items() if key != "full"}


@dataclass(frozen=True)
class AdapterPlan:
    """`pattern` matches the full names of the adapted layers (PEFT's `target_modules`).

    `ranks` and `alphas` hold what differs from the adapter's own, by pattern (PEFT's `rank_pattern`, `alpha_pattern`);
    `stacks` names the adapted expert parameters (`target_parameters`), `whole` the modules that are trained whole
    (`modules_to_save`). `rates` and `dropouts` hold what a group has of its own, by group; `groups` its pattern.
    """

    pattern: str
    ranks: Mapping[str, int]
    alphas: Mapping[str, int]
    coverage: tuple[Coverage, ...]
    stacks: tuple[str, ...] = ()
    shared_stacks: bool = False
    whole: tuple[str, ...] = ()
    tied: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    dropouts: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def trainable(self) -> int:
        return sum(row.parameters for row in self.coverage)

    @property
    def added(self) -> int:
        """Parameters that stand beside the checkpoint's own."""
        return sum(row.parameters for row in self.coverage if not row.full)

    @property
    def added_bytes(self) -> int:
        """What these take in the adapter's file, which holds them as float32 whatever the base is."""
        return 4 * self.added

    @property
    def modules(self) -> int:
        return sum(row.matched for row in self.coverage if not row.full)


@dataclass(frozen=True)
class Own:
    """What a group has of its own."""

    rank: int
    alpha: int


def lora_cost(dora: bool = False) -> Cost:
    """Parameters of a layer's update of a rank; DoRA adds a magnitude for each output."""
    return lambda layer, rank: rank * (layer.inputs + layer.outputs) + (layer.outputs if dora else 0)


def plan_adapter(
    parts: Parts,
    groups: Mapping[str, str],
    *,
    targets: Sequence[str],
    rank: int,
    alpha: int,
    own: Mapping[str, Own] | None = None,
    layers: str | None = None,
    cost: Cost | None = None,
    all_linear: Sequence[str] = ("text-attention", "text-mlp", "vision", "merger"),
) -> AdapterPlan:
    """The layers that `targets` and the groups with their `own` rank and alpha cover.

    Args:
        groups: group name to a pattern of full layer names.
        own: groups with a rank and alpha of their own; they are adapted whether targets name them or not.
        layers: which layers of the language model, as `config.adapter.Layers`.

    Raises:
        ConfigError: a target, a group or a layer pattern that matches nothing, with the nearest name.
    """
    own, cost = own or {}, cost or lora_cost()
    check_groups(own, groups)
    wanted = [*_expanded(targets, all_linear), *(group for group in own if group not in targets)]
    patterns = [_pattern(target, parts.linears, groups) for target in dict.fromkeys(wanted)]
    pattern = _within(layers, _either(patterns), parts.linears)
    rows = []
    for group, members in grouped(parts.linears, groups).items():
        matched = [layer for layer in members if re.fullmatch(pattern, layer.name)]
        if group in (*wanted, *own) and not matched:
            raise ConfigError(f"adapter.layers: '{layers}' leaves nothing of {group}; widen it, or drop {group}")
        if members and (matched or group != OTHER):
            of_rank = own[group].rank if group in own else rank
            rows.append(Coverage(group, len(matched), len(members), sum(cost(layer, of_rank) for layer in matched)))
    return AdapterPlan(
        pattern,
        {groups[group]: values.rank for group, values in own.items() if values.rank != rank},
        {groups[group]: values.alpha for group, values in own.items() if values.alpha != alpha},
        (*rows, *unadapted(parts)),
        groups=groups,
        tied=parts.tied,
    )


def check_groups(names: Sequence[str] | Mapping, groups: Mapping[str, str]) -> None:
    """
    Raises:
        ConfigError: no such module group.
    """
    for name in names:
        if name not in groups:
            near = difflib.get_close_matches(name, list(groups), 1, 0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"groups: {', '.join(groups)}"
            raise ConfigError(f"adapter.groups: '{name}' is no module group of this model; {hint}")


def covered_stacks(stacks: Sequence[Stack], layers: str | None) -> list[Stack]:
    """The expert parameters of the trained layers.

    Raises:
        ConfigError: a model without experts, or none in these layers.
    """
    if not stacks:
        raise ConfigError("adapter.experts: this model is no mixture and has no experts; remove the key")
    chosen = [stack for stack in stacks if re.fullmatch(_within(layers, ".*", stacks), stack.name)]
    if not chosen:
        raise ConfigError(f"adapter.layers: '{layers}' leaves no expert to adapt; widen it, or set experts: frozen")
    return chosen


def covered_modules(names: Sequence[str], parts: Parts, adapted: str) -> list[str]:
    """Full names of the modules that `train_also` names by their last parts or by `regex:`.

    Raises:
        ConfigError: a name that matches nothing, holds an adapted layer, or is a tied head by itself.
    """
    found: list[str] = []
    for name in names:
        matched = _modules_named(name, parts)
        if not matched:
            leaves = sorted({module.rsplit(".", 1)[-1] for module in parts.modules} - {str(n) for n in range(200)})
            near = difflib.get_close_matches(name, leaves, 1, 0.5)
            raise ConfigError(
                f"adapter.train_also: '{name}' matches no module of this model"
                + (f"; did you mean '{near[0]}'?" if near else "; embed_tokens and lm_head are the usual ones")
            )
        found += matched
    for module in found:
        inside = next((x.name for x in parts.linears if _holds(module, x.name) and re.fullmatch(adapted, x.name)), None)
        if inside:
            raise ConfigError(f"adapter.train_also: {module} holds {inside}, which is adapted too; keep one of the two")
    if parts.tied and HEAD in found and EMBEDDING not in found:
        raise ConfigError("adapter.train_also: lm_head and embed_tokens are one parameter in this model; name both")
    return list(dict.fromkeys(module for module in found if not (parts.tied and module == HEAD)))


def grouped(linears: Sequence[Linear], groups: Mapping[str, str]) -> dict[str, list[Linear]]:
    """The linear layers of every group; those of none stand under `other`, the head under no group."""
    group_of = grouping(groups)
    found: dict[str, list[Linear]] = {group: [] for group in (*groups, OTHER)}
    for layer in linears:
        if layer.name != HEAD:
            found[group_of(layer.name)].append(layer)
    return found


def grouping(groups: Mapping[str, str]) -> Callable[[str], str]:
    """The group of a full module name."""
    compiled = {group: re.compile(pattern) for group, pattern in groups.items()}

    def group_of(name: str) -> str:
        return next((group for group, pattern in compiled.items() if pattern.fullmatch(name)), OTHER)

    return group_of


def linear_pattern(targets: Sequence[str], parts: Parts, groups: Mapping[str, str], layers: str | None) -> str:
    """A pattern of the full names of the linear layers that `targets` name.

    Raises:
        ConfigError: as `plan_adapter`.
    """
    return _within(layers, _either([_pattern(target, parts.linears, groups) for target in targets]), parts.linears)


def unadapted(parts: Parts) -> list[Coverage]:
    """Rows of what is no linear layer of a group: experts and their routers, embedding and head."""
    rows = []
    if parts.stacks:
        rows += [Coverage(EXPERTS, 0, len(parts.stacks), 0), Coverage("router", 0, parts.routers, 0)]
    rows += [Coverage("embed", 0, 1, 0)] if EMBEDDING in parts.modules else []
    return rows + ([Coverage("head", 0, 1, 0)] if HEAD in parts.modules else [])


def _expanded(targets: Sequence[str], all_linear: Sequence[str]) -> list[str]:
    names = [name for target in targets for name in (all_linear if target == "all-linear" else [target])]
    return list(dict.fromkeys(names))


def _either(patterns: Sequence[str]) -> str:
    if not patterns:
        return r"(?!)"
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{part})" for part in patterns)


def _within(layers: str | None, pattern: str, parts: Sequence[Linear] | Sequence[Stack]) -> str:
    """`pattern` narrowed to the trained layers.

    Raises:
        ConfigError: a layer that the model does not have, or an expression that matches nothing.
    """
    if layers is None:
        return pattern
    if layers.startswith("regex:"):
        narrow = _expression(layers, "adapter.layers")
        if not any(re.fullmatch(narrow, part.name) for part in parts):
            raise ConfigError(f"adapter.layers: '{layers}' matches no layer of this model; it must match full names")
        return f"(?=(?:{narrow})$)(?:{pattern})"
    numbers = layer_numbers(layers)
    there = {int(match[1]) for part in parts if (match := re.fullmatch(TEXT_LAYER, part.name))}
    if numbers - there:
        missing = min(numbers - there)
        raise ConfigError(f"adapter.layers: the language model has layers 0 to {max(there, default=-1)}, no {missing}")
    chosen = "|".join(str(number) for number in sorted(numbers))
    return rf"(?!model\.language_model\.layers\.(?!(?:{chosen})\.))(?:{pattern})"


def _expression(target: str, key: str) -> str:
    pattern = target.removeprefix("regex:")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{key}: {pattern!r} is no regular expression ({error})") from None
    return pattern


def _pattern(target: str, linears: Sequence[Linear], groups: Mapping[str, str]) -> str:
    if target in groups:
        pattern = groups[target]
    elif target.startswith("regex:"):
        pattern = _expression(target, "adapter.targets")
    else:
        pattern = rf"(?:.*\.)?{re.escape(target)}"
    if not any(re.fullmatch(pattern, layer.name) for layer in linears):
        hint = _hint(target, linears, groups)
        raise ConfigError(f"adapter.targets: '{target}' matches no linear layer of this model{hint}")
    return pattern


def _hint(target: str, linears: Sequence[Linear], groups: Mapping[str, str]) -> str:
    leaves = sorted({layer.name.rsplit(".", 1)[-1] for layer in linears})
    near = difflib.get_close_matches(target, [*groups, "all-linear", *leaves], 1, 0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; groups: {', '.join([*groups, 'all-linear'])}; layers: {', '.join(leaves)}"


def _modules_named(name: str, parts: Parts) -> list[str]:
    by_name = rf"(?:.*\.)?{re.escape(name)}"
    pattern = _expression(name, "adapter.train_also") if name.startswith("regex:") else by_name
    return [module for module, count in parts.modules.items() if count and re.fullmatch(pattern, module)]


def _holds(module: str, name: str) -> bool:
    return name == module or name.startswith(f"{module}.")
