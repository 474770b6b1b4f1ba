"""A model whose decoder layers are divided among processes, for packs."""

from dataclasses import dataclass
from typing import Any

import torch

from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.models.sharding.divided_experts import divide_experts
from texlens.models.sharding.division import Division
from texlens.models.sharding.layers import ShardedText, shard_layers
from texlens.models.weight_rows.rows import WeightRows, no_rows


@dataclass(frozen=True)
class DividedModel:
    """What packs need of a divided model: its gathered layers, and the owners of its experts, or None of either."""

    layers: ShardedText | None = None
    owners: ExpertOwners | None = None

    @property
    def is_divided(self) -> bool:
        return self.layers is not None or self.owners is not None


UNDIVIDED = DividedModel()


def divide_model(
    model: Any, division: Division, device: torch.device, rows_of: WeightRows = no_rows, group: Any = None
) -> DividedModel:
    """Divides the weights of a stock model's decoder layers in place; its adapters stay whole in each process.

    Args:
        model: adapted by PEFT or not (its inner model, not the `PeftModel`).
        rows_of: where weights that are no memory yet come from.
    """
    text, owners = model.model.language_model, None
    if division.experts:
        owners = ExpertOwners.of(text.config.num_experts, division.rank, division.processes, group)
        divide_experts(model, owners, rows_of)
    if not division.weights:
        return DividedModel(None, owners)
    return DividedModel(shard_layers(model, division, device, rows_of), owners)
