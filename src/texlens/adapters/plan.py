"""Which layers an adapter covers and what that costs: pure decisions from names and shapes.

A target is a module group of the family (`text-attention`), `all-linear`, the last part of a layer's name (`q_proj`),
or `regex:` and an expression that full names match.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from texlens.adapters.linears import Linear
from texlens.core.errors import ConfigError

OTHER = "other"


@dataclass(frozen=True)
class Coverage:
    """One row of the coverage table: of `total` linear layers in a group, `matched` are adapted."""

    group: str
    matched: int
    total: int
    parameters: int


@dataclass(frozen=True)
class AdapterPlan:
    """`pattern` matches the full names of the adapted layers (PEFT's `target_modules`).

    `ranks` and `alphas` hold what differs from the adapter's own, by pattern (PEFT's `rank_pattern`, `alpha_pattern`).
    """

    pattern: str
    ranks: Mapping[str, int]
    alphas: Mapping[str, int]
    coverage: tuple[Coverage, ...]

    @property
    def trainable(self) -> int:
        return sum(row.parameters for row in self.coverage)

    @property
    def modules(self) -> int:
        return sum(row.matched for row in self.coverage)


def plan_adapter(
    linears: Sequence[Linear],
    groups: Mapping[str, str],
    *,
    targets: Sequence[str],
    rank: int,
    alpha: int,
    own: Mapping[str, tuple[int, int]] | None = None,
    expert_stacks: int = 0,
    all_linear: Sequence[str] = ("text-attention", "text-mlp", "vision", "merger"),
) -> AdapterPlan:
    """The layers that `targets` and the groups with their `own` (rank, alpha) cover.

    Args:
        groups: group name to a pattern of full layer names.
        own: groups to adapt with a rank and alpha of their own.
        expert_stacks: stacked parameters of a mixture's experts; no linear layers, so listed as not adapted.

    Raises:
        ConfigError: a target that is no group and matches no layer, with the nearest name.
    """
    own = own or {}
    wanted = [*_expanded(targets, all_linear), *own]
    patterns = [_pattern(target, linears, groups) for target in wanted]
    pattern = patterns[0] if len(patterns) == 1 else "|".join(f"(?:{part})" for part in patterns)
    group_of = _grouping(groups)
    rank_of = {group: values[0] for group, values in own.items()}
    rows = []
    for group in [*groups, OTHER]:
        members = [layer for layer in linears if group_of(layer.name) == group]
        matched = [layer for layer in members if re.fullmatch(pattern, layer.name)]
        if members and (matched or group != OTHER):
            cost = sum(rank_of.get(group, rank) * (layer.inputs + layer.outputs) for layer in matched)
            rows.append(Coverage(group, len(matched), len(members), cost))
    if expert_stacks:
        rows.append(Coverage("experts", 0, expert_stacks, 0))
    return AdapterPlan(
        pattern,
        {groups[group]: values[0] for group, values in own.items()},
        {groups[group]: values[1] for group, values in own.items()},
        tuple(rows),
    )


def _expanded(targets: Sequence[str], all_linear: Sequence[str]) -> list[str]:
    names = [name for target in targets for name in (all_linear if target == "all-linear" else [target])]
    return list(dict.fromkeys(names))


def _pattern(target: str, linears: Sequence[Linear], groups: Mapping[str, str]) -> str:
    if target in groups:
        pattern = groups[target]
    elif target.startswith("regex:"):
        pattern = target.removeprefix("regex:")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"adapter.targets: {pattern!r} is no regular expression ({error})") from None
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


def _grouping(groups: Mapping[str, str]) -> Callable[[str], str]:
    compiled = {group: re.compile(pattern) for group, pattern in groups.items()}

    def group_of(name: str) -> str:
        return next((group for group, pattern in compiled.items() if pattern.fullmatch(name)), OTHER)

    return group_of
