"""What drawing answers takes beside training: the decoding engine's cache and work space, kept between steps."""

from typing import Any

from texlens.config.objective import GrpoObjective
from texlens.inference.engine.cache import pages_for
from texlens.inference.engine.plan import BULK_SLOTS, MAX_POSITIONS, EnginePlan, engine_bytes

SLOTS = 512
"""Answers drawn together: each step reads all weights, so 512 at a time take less time than twice 256."""
PROMPT_TOKENS = 512
"""Of a prompt, that the cache has room for in every slot up to `BULK_SLOTS`. More slots share that room, so that twice
as many answers are drawn where prompts are short, as formulas' are; a longer prompt takes the room of several."""


def rollout_plan(objective: GrpoObjective, prompts: int, model_config: Any) -> EnginePlan:
    """
    Args:
        prompts: of a step, in one process.
        model_config: of the model that draws.
    """
    slots = max(1, min(SLOTS, prompts * objective.answers))
    pages = min(slots, BULK_SLOTS) * pages_for(PROMPT_TOKENS + objective.max_new_tokens)
    return EnginePlan(slots, pages, min(pages, pages_for(MAX_POSITIONS)), join_at_least=max(1, slots // 16))


def rollout_bytes(objective: GrpoObjective, prompts: int, model_config: Any, itemsize: int = 2) -> int:
    """Of the engine at its peak, beside the weights."""
    return engine_bytes(model_config, rollout_plan(objective, prompts, model_config), itemsize)
