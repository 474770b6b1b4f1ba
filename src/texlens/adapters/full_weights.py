"""Training the weights themselves: which parameters, and the checkpoint that comes of it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from texlens.adapters.attach import check_trainable
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.model_layout import Parts
from texlens.adapters.plan import (
    EXPERTS,
    OTHER,
    AdapterPlan,
    Coverage,
    covered_stacks,
    grouped,
    linear_pattern,
    unadapted,
)
from texlens.core.errors import ConfigError
from texlens.core.files import write_json
from texlens.models.families import EMBEDDING, HEAD
from texlens.models.metadata import METADATA_FILE

ALL, EMBED, HEAD_GROUP, REST = "all", "embed", "head", "the rest"
MODULES = {EMBED: EMBEDDING, HEAD_GROUP: HEAD}


def plan_full(
    parts: Parts, groups: Mapping[str, str], *, targets: Sequence[str], layers: str | None = None
) -> AdapterPlan:
    """The parameters that `targets` name: module groups, `experts`, `embed`, `head`, `all`, layers' names, patterns.

    A group is its linear layers, weights and biases; `all` is every parameter, norms included.

    Raises:
        ConfigError: a target that matches nothing, or a tied head without its embedding.
    """
    if ALL in targets:
        return _plan_all(parts, groups, targets, layers)
    if HEAD_GROUP in targets and parts.tied and EMBED not in targets:
        raise ConfigError("adapter.targets: head and embed are one parameter in this model; name both")
    special = {EXPERTS, *MODULES}
    rows = {row.group: row for row in unadapted(parts)}
    whole: list[str] = []
    linear = [target for target in targets if target not in special]
    pattern = linear_pattern(linear, parts, groups, layers) if linear else "(?!)"
    for group, members in grouped(parts.linears, groups).items():
        matched = [layer.name for layer in members if re.fullmatch(pattern, layer.name)]
        if group in linear and not matched:
            raise ConfigError(f"adapter.layers: '{layers}' leaves nothing of {group}; widen it, or drop {group}")
        whole += matched
        if members and (matched or group != OTHER):
            count = sum(parts.modules[name] for name in matched)
            rows[group] = Coverage(group, len(matched), len(members), count, full=bool(matched))
    for group, module in MODULES.items():
        if group in targets:
            whole.append(module)
            rows[group] = Coverage(group, 1, 1, _count(parts, module), full=True)
    if EXPERTS in targets:
        stacks = covered_stacks(parts.stacks, layers)
        whole += [stack.name for stack in stacks]
        count = sum(stack.experts * stack.inputs * stack.outputs for stack in stacks)
        rows[EXPERTS] = Coverage(EXPERTS, len(stacks), len(parts.stacks), count, full=True)
    order = [*groups, OTHER, EXPERTS, "router", EMBED, HEAD_GROUP]
    table = tuple(rows[group] for group in order if group in rows)
    return AdapterPlan("(?!)", {}, {}, table, whole=tuple(whole), tied=parts.tied, groups=groups)


def _plan_all(parts: Parts, groups: Mapping[str, str], targets: Sequence[str], layers: str | None) -> AdapterPlan:
    if len(targets) > 1 or layers:
        key = "layers" if layers else "targets"
        raise ConfigError(f"adapter.{key}: target all is every parameter already; leave {key} out, or name groups")
    each = [*(group for group, members in grouped(parts.linears, groups).items() if members and group != OTHER)]
    each += [EXPERTS] * bool(parts.stacks) + [EMBED, HEAD_GROUP]
    named = plan_full(parts, groups, targets=each)
    top = [name for name in parts.modules if "." not in name and not (parts.tied and name == HEAD)]
    rest = sum(parts.modules[name] for name in top) - named.trainable
    rows = (*(row for row in named.coverage if row.matched), Coverage(REST, 1, 1, rest, full=True))
    return AdapterPlan("(?!)", {}, {}, rows, whole=tuple(top), tied=parts.tied, groups=groups)


def _count(parts: Parts, module: str) -> int:
    """A tied head costs nothing beside its embedding."""
    return 0 if parts.tied and module == HEAD else parts.modules[module]


def unfreeze(model: PreTrainedModel, plan: AdapterPlan) -> PreTrainedModel:
    """The same model with the planned parameters trainable and all others frozen."""
    wanted = set(plan.whole)
    for name, parameter in model.named_parameters():
        ancestors = {name, *(name[: match.start()] for match in re.finditer(r"\.", name))}
        parameter.requires_grad_(bool(ancestors & wanted))
    check_trainable(model, plan)
    return model


def save_full(model: PreTrainedModel, folder: Path, card: AdapterMetadata) -> None:
    """A whole checkpoint as transformers saves it, and the card beside it."""
    model.save_pretrained(str(folder), safe_serialization=True)
    write_json(folder / METADATA_FILE, card.to_json())


def load_full(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """`model` with the checkpoint's weights in the place of its own."""
    loaded = type(model).from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=model.dtype)
    model.load_state_dict(loaded.state_dict())
    return model
