"""Full fine-tuning: which parameters are trained, and the checkpoint that is saved."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from texlens.adapters.attach import check_trainable
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.model_layout import ModelLayout
from texlens.adapters.plan import EXPERTS, AdapterPlan, Coverage, untrained_rows
from texlens.adapters.targets import NOTHING, OTHER, covered_experts, layers_by_group, linear_pattern
from texlens.core.errors import ConfigError
from texlens.core.files import write_json
from texlens.models.families import EMBEDDING, HEAD
from texlens.models.metadata import METADATA_FILE

ALL, EMBED, HEAD_GROUP, OTHER_PARAMETERS = "all", "embed", "head", "the rest"
MODULES = {EMBED: EMBEDDING, HEAD_GROUP: HEAD}


def plan_full(
    layout: ModelLayout, groups: Mapping[str, str], *, targets: Sequence[str], layers: str | None = None
) -> AdapterPlan:
    """The parameters that `targets` name: module groups, `experts`, `embed`, `head`, `all`, layers' names, patterns.

    A group is its linear layers, weights and biases; `all` is every parameter, norms included.

    Raises:
        ConfigError: a target that matches nothing, or a tied head without its embedding.
    """
    if ALL in targets:
        return _plan_all(layout, groups, targets, layers)
    if HEAD_GROUP in targets and layout.tied and EMBED not in targets:
        raise ConfigError("adapter.targets: head and embed are one parameter in this model; name both")
    special = {EXPERTS, *MODULES}
    rows = {row.group: row for row in untrained_rows(layout)}
    trained: list[str] = []
    linear = [target for target in targets if target not in special]
    pattern = linear_pattern(linear, layout, groups, layers) if linear else NOTHING
    for group, members in layers_by_group(layout.linears, groups).items():
        matched = [layer.name for layer in members if re.fullmatch(pattern, layer.name)]
        if group in linear and not matched:
            raise ConfigError(f"adapter.layers: '{layers}' leaves nothing of {group}; widen it, or drop {group}")
        trained += matched
        if members and (matched or group != OTHER):
            count = sum(layout.modules[name] for name in matched)
            rows[group] = Coverage(group, len(matched), len(members), count, full=bool(matched))
    for group, module in MODULES.items():
        if group in targets:
            trained.append(module)
            rows[group] = Coverage(group, 1, 1, _count(layout, module), full=True)
    if EXPERTS in targets:
        experts = covered_experts(layout.expert_parameters, layers)
        trained += [parameter.name for parameter in experts]
        count = sum(parameter.numel for parameter in experts)
        rows[EXPERTS] = Coverage(EXPERTS, len(experts), len(layout.expert_parameters), count, full=True)
    order = [*groups, OTHER, EXPERTS, "router", EMBED, HEAD_GROUP]
    table = tuple(rows[group] for group in order if group in rows)
    return AdapterPlan(NOTHING, {}, {}, table, modules_to_save=tuple(trained), tied=layout.tied, groups=groups)


def _plan_all(
    layout: ModelLayout, groups: Mapping[str, str], targets: Sequence[str], layers: str | None
) -> AdapterPlan:
    if len(targets) > 1 or layers:
        key = "layers" if layers else "targets"
        raise ConfigError(f"adapter.{key}: target all is every parameter already; leave {key} out, or name groups")
    each = [
        *(group for group, members in layers_by_group(layout.linears, groups).items() if members and group != OTHER)
    ]
    each += [EXPERTS] * bool(layout.expert_parameters) + [EMBED, HEAD_GROUP]
    named = plan_full(layout, groups, targets=each)
    top = [name for name in layout.modules if "." not in name and not (layout.tied and name == HEAD)]
    remaining = sum(layout.modules[name] for name in top) - named.trainable
    rows = (*(row for row in named.coverage if row.matched), Coverage(OTHER_PARAMETERS, 1, 1, remaining, full=True))
    return AdapterPlan(NOTHING, {}, {}, rows, modules_to_save=tuple(top), tied=layout.tied, groups=groups)


def _count(layout: ModelLayout, module: str) -> int:
    """A tied head adds nothing to its embedding."""
    return 0 if layout.tied and module == HEAD else layout.modules[module]


def unfreeze(model: PreTrainedModel, plan: AdapterPlan) -> PreTrainedModel:
    """The same model with the planned parameters trainable and all others frozen."""
    modules = set(plan.modules_to_save)
    for name, parameter in model.named_parameters():
        ancestors = {name, *(name[: match.start()] for match in re.finditer(r"\.", name))}
        parameter.requires_grad_(bool(ancestors & modules))
    check_trainable(model, plan)
    return model


def save_full(model: PreTrainedModel, folder: Path, metadata: AdapterMetadata) -> None:
    """A complete checkpoint as transformers saves it, and the metadata next to it."""
    model.save_pretrained(str(folder), safe_serialization=True)
    write_json(folder / METADATA_FILE, metadata.to_json())


def load_full(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """`model` with the checkpoint's weights instead of its own."""
    loaded = type(model).from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=model.dtype)
    model.load_state_dict(loaded.state_dict())
    return model
