"""Which layers the names in `adapter.targets`, `adapter.layers` and `adapter.modules_to_save` mean.

A target is a module group of the family (`text-attention`), `all-linear`, the last part of a layer's name (`q_proj`),
or `regex:` and an expression that full names match.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from texlens.adapters.expressions import unsafe_reason
from texlens.adapters.model_layout import ExpertParameter, LinearSpec, ModelLayout
from texlens.config.adapter import layer_numbers
from texlens.core.errors import ConfigError
from texlens.models.families import EMBEDDING, HEAD

OTHER = "other"
NOTHING = r"(?!)"
TEXT_LAYER = r"model\.language_model\.layers\.(\d+)\..*"


def linear_pattern(
    targets: Sequence[str], layout: ModelLayout, groups: Mapping[str, str], layers: str | None = None
) -> str:
    """A pattern of the full names of the linear layers that `targets` name.

    Args:
        groups: group name to a pattern of full layer names.
        layers: which layers of the language model, as `config.adapter.Layers`.

    Raises:
        ConfigError: a target or layer pattern that matches nothing, with the nearest name.
    """
    patterns = [_target_pattern(target, layout.linears, groups) for target in dict.fromkeys(targets)]
    return _within_layers(layers, _alternatives(patterns), layout.linears)


def expand_targets(targets: Sequence[str], all_linear: Sequence[str]) -> list[str]:
    """The targets with `all-linear` replaced by the groups that it means, none twice."""
    names = [name for target in targets for name in (all_linear if target == "all-linear" else [target])]
    return list(dict.fromkeys(names))


def layers_by_group(linears: Sequence[LinearSpec], groups: Mapping[str, str]) -> dict[str, list[LinearSpec]]:
    """The linear layers of every group, and of none under `other`; the head belongs to no group."""
    group_of = grouping(groups)
    layers: dict[str, list[LinearSpec]] = {group: [] for group in (*groups, OTHER)}
    for layer in linears:
        if layer.name != HEAD:
            layers[group_of(layer.name)].append(layer)
    return layers


def grouping(groups: Mapping[str, str]) -> Callable[[str], str]:
    """The group of a full module name."""
    compiled = {group: re.compile(pattern) for group, pattern in groups.items()}

    def group_of(name: str) -> str:
        return next((group for group, pattern in compiled.items() if pattern.fullmatch(name)), OTHER)

    return group_of


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


def covered_experts(parameters: Sequence[ExpertParameter], layers: str | None) -> list[ExpertParameter]:
    """The expert parameters of the trained layers.

    Raises:
        ConfigError: a model without experts, or none in these layers.
    """
    if not parameters:
        raise ConfigError("adapter.experts: this model is no mixture and has no experts; remove the key")
    pattern = _within_layers(layers, ".*", parameters)
    covered = [parameter for parameter in parameters if re.fullmatch(pattern, parameter.name)]
    if not covered:
        raise ConfigError(f"adapter.layers: '{layers}' leaves no expert to adapt; widen it, or set experts: frozen")
    return covered


def expert_pattern(parameters: Sequence[ExpertParameter]) -> str:
    """A pattern of the expert parameters' full names, by their last parts."""
    leaves = sorted({re.escape(parameter.name.rsplit(".", 1)[-1]) for parameter in parameters})
    return rf".*\.experts\.(?:{'|'.join(leaves)})"


def covered_modules(names: Sequence[str], layout: ModelLayout, adapted: str) -> list[str]:
    """Full names of the modules that `modules_to_save` names by their last parts or by `regex:`.

    Args:
        adapted: pattern of the adapted layers.

    Raises:
        ConfigError: a name that matches nothing, contains an adapted layer, or is a tied head alone.
    """
    modules = [module for name in names for module in _modules_named(name, layout)]
    for module in modules:
        inside = next(
            (x.name for x in layout.linears if _contains(module, x.name) and re.fullmatch(adapted, x.name)), None
        )
        if inside:
            raise ConfigError(
                f"adapter.modules_to_save: {module} contains {inside}, which is adapted too; keep one of the two"
            )
    if layout.tied and HEAD in modules and EMBEDDING not in modules:
        raise ConfigError(
            "adapter.modules_to_save: lm_head and embed_tokens are one parameter in this model; name both"
        )
    return list(dict.fromkeys(module for module in modules if not (layout.tied and module == HEAD)))


def _modules_named(name: str, layout: ModelLayout) -> list[str]:
    by_leaf = rf"(?:.*\.)?{re.escape(name)}"
    pattern = _expression(name, "adapter.modules_to_save") if name.startswith("regex:") else by_leaf
    modules = [module for module, count in layout.modules.items() if count and re.fullmatch(pattern, module)]
    if not modules:
        leaves = sorted({module.rsplit(".", 1)[-1] for module in layout.modules} - {str(n) for n in range(200)})
        near = difflib.get_close_matches(name, leaves, 1, 0.5)
        hint = f"did you mean '{near[0]}'?" if near else "embed_tokens and lm_head are the usual ones"
        raise ConfigError(f"adapter.modules_to_save: '{name}' matches no module of this model; {hint}")
    return modules


def _contains(module: str, name: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _alternatives(patterns: Sequence[str]) -> str:
    if not patterns:
        return NOTHING
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{part})" for part in patterns)


def _within_layers(layers: str | None, pattern: str, parts: Sequence[LinearSpec] | Sequence[ExpertParameter]) -> str:
    """`pattern` narrowed to the trained layers.

    Raises:
        ConfigError: a layer that the model does not have, or an expression that matches nothing.
    """
    if layers is None:
        return pattern
    if layers.startswith("regex:"):
        expression = _expression(layers, "adapter.layers")
        if not any(re.fullmatch(expression, part.name) for part in parts):
            raise ConfigError(f"adapter.layers: '{layers}' matches no layer of this model; it must match full names")
        return f"(?=(?:{expression})$)(?:{pattern})"
    numbers = layer_numbers(layers)
    existing = {int(match[1]) for part in parts if (match := re.fullmatch(TEXT_LAYER, part.name))}
    if numbers - existing:
        last, missing = max(existing, default=-1), min(numbers - existing)
        raise ConfigError(f"adapter.layers: the language model has layers 0 to {last}, no {missing}")
    choice = "|".join(str(number) for number in sorted(numbers))
    return rf"(?!model\.language_model\.layers\.(?!(?:{choice})\.))(?:{pattern})"


def _expression(target: str, key: str) -> str:
    pattern = target.removeprefix("regex:")
    if reason := unsafe_reason(pattern):
        raise ConfigError(f"{key}: {pattern[:200]!r} can't be used: {reason}")
    return pattern


def _target_pattern(target: str, linears: Sequence[LinearSpec], groups: Mapping[str, str]) -> str:
    if target in groups:
        pattern = groups[target]
    elif target.startswith("regex:"):
        pattern = _expression(target, "adapter.targets")
    else:
        pattern = rf"(?:.*\.)?{re.escape(target)}"
    if not any(re.fullmatch(pattern, layer.name) for layer in linears):
        raise ConfigError(
            f"adapter.targets: '{target}' matches no linear layer of this model{_hint(target, linears, groups)}"
        )
    return pattern


def _hint(target: str, linears: Sequence[LinearSpec], groups: Mapping[str, str]) -> str:
    """The nearest name that does match something, or what names there are."""
    if target.startswith("visual") and "vision" in groups:
        tower = [layer.name for layer in linears if re.fullmatch(groups["vision"], layer.name)]
        names = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in tower}))
        return f"; the vision tower is the group vision, its layers are {names}; leave it out or write vision"
    leaves = sorted({layer.name.rsplit(".", 1)[-1] for layer in linears})
    present = [group for group, pattern in groups.items() if any(re.fullmatch(pattern, x.name) for x in linears)]
    near = difflib.get_close_matches(target, [*present, "all-linear", *leaves], 1, 0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; groups: {', '.join([*present, 'all-linear'])}; layers: {', '.join(leaves)}"
