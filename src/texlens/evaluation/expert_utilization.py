"""How evenly a MoE-LoRA's experts are used, as metrics.jsonl holds it: layer to each expert's share of the tokens."""

from collections.abc import Mapping, Sequence

DEAD_SHARE = 0.1
"""An expert is dead where it gets less than this part of an even share."""


def dead_experts(use: Mapping[str, Sequence[float]]) -> list[tuple[str, int]]:
    """(layer, expert) of every expert that gets less than `DEAD_SHARE` of an even share."""
    return [
        (layer, number)
        for layer, shares in use.items()
        for number, share in enumerate(shares)
        if share < DEAD_SHARE / len(shares)
    ]


def last_use(history: Sequence[Mapping]) -> Mapping[str, Sequence[float]]:
    """The last measurement in metrics.jsonl; empty where there is none."""
    return next((row["expert_use"] for row in reversed(history) if row.get("expert_use")), {})
