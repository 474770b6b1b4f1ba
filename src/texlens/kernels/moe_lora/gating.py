"""The gates of MoE-LoRA between LoRA A and LoRA B of a product.

LoRA A outputs have the columns of all experts of all stacked layers, then the router logits. Each expert's columns are
multiplied by its gate, softmax over the logits, of which the `top_k` largest are kept and divided by their sum; columns
of the logits become 0. (Mixture of LoRA experts: see `adapters.moe_lora.layer`.)

# T = tokens, R = columns, E = experts of a layer
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


class GatedState(NamedTuple):
    """LoRA A outputs before and after the gates [T, R], and probabilities of each layer's experts, float32 [T, E]."""

    lora_a_out: Tensor
    gated: Tensor
    probabilities: tuple[Tensor, ...]


@dataclass(frozen=True)
class Router:
    """The router of one layer.

    Args:
        weight: [E, D].
        columns: of its experts, side by side, E times `rank`.
        rows: of LoRA A, those of its weight; also its columns of the LoRA A output.
        log: called with the probabilities of every forward pass that is trained.
    """

    weight: Tensor
    columns: slice
    rows: slice
    rank: int
    top_k: int | None
    log: Any = field(default=None, compare=False)

    @property
    def experts(self) -> int:
        return len(self.weight)
