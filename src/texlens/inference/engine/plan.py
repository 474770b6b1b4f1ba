"""How many rows the engine decodes together, and the memory that it takes beside the weights.

Nothing grows while rows are decoded: the cache is allocated once, and packs and batches have an upper bound.
"""

from dataclasses import dataclass
from typing import Any

from texlens.core.errors import ConfigError
from texlens.inference.engine.cache import PAGE_SIZE, pages_for
from texlens.inference.engine.layers.hybrid import state_shape

GIB = 2**30
BULK_SLOTS = 256
"""Rows at a time where many wait."""
MAX_POSITIONS = 32_768
"""Positions that one row can have."""
PACK_TOKENS = 8_192
"""Prompt tokens that are prefilled together: enough for matrix products at their full rate."""
FIXED_BYTES = GIB // 2
"""Work space of the libraries, recorded graphs, and the allocator's rounding."""
PATCHES_PER_TOKEN = 4
TYPICAL_POSITIONS = 1024
"""Positions a slot that the cache has room for where memory allows: a row reserves what it may need, and few rows are
longer."""
MIN_PACK_TOKENS = 1024


@dataclass(frozen=True)
class EnginePlan:
    """
    Args:
        slots: rows that run together.
        pages: of the cache, for all rows.
        pages_per_slot: that one row can have.
        pack_tokens: prompt tokens that are prefilled together (a longer prompt is prefilled alone).
        join_at_least: while more rows wait than slots are free, none joins before so many slots are.
    """

    slots: int
    pages: int
    pages_per_slot: int
    pack_tokens: int = PACK_TOKENS
    join_at_least: int = 1


def plan_for_rows(slots: int, positions: int, *, pack_tokens: int = PACK_TOKENS) -> EnginePlan:
    """A plan for rows of up to `positions` tokens, prompt and answer together."""
    pages = pages_for(positions)
    return EnginePlan(slots, slots * pages, pages, pack_tokens, max(1, slots // 16))


def plan_for_memory(config: Any, free_bytes: int, *, slots: int, itemsize: int = 2) -> EnginePlan:
    """Up to `slots` rows at a time, with as many pages as memory has room for, or as `slots` rows can use.

    Args:
        config: the model's config.
        free_bytes: that the engine may take.

    Raises:
        ConfigError: there is no room for a row of `TYPICAL_POSITIONS`.
    """
    pack_tokens = PACK_TOKENS
    while True:
        empty = EnginePlan(slots, 0, 0, pack_tokens)
        left_bytes = free_bytes - engine_bytes(config, empty, itemsize)
        pages = min(left_bytes // cache_bytes(config, empty, itemsize), slots * pages_for(TYPICAL_POSITIONS))
        if pages >= pages_for(TYPICAL_POSITIONS) * min(slots, 8):
            return EnginePlan(slots, pages, min(pages, pages_for(MAX_POSITIONS)), pack_tokens, max(1, slots // 16))
        if slots == 1 and pack_tokens <= MIN_PACK_TOKENS:
            raise ConfigError(
                f"{free_bytes / GIB:.1f} GiB of memory are free, too little to read a row with this model; "
                f"free some, or take a smaller model"
            )
        slots, pack_tokens = max(1, slots // 2), max(MIN_PACK_TOKENS, pack_tokens // 2)


def engine_bytes(config: Any, plan: EnginePlan, itemsize: int = 2) -> int:
    """What the engine takes beside the weights at its peak."""
    caches = cache_bytes(config, plan, itemsize) + state_bytes(config, plan, itemsize)
    return caches + work_bytes(config, plan, itemsize) + FIXED_BYTES


def cache_bytes(config: Any, plan: EnginePlan, itemsize: int = 2) -> int:
    """Keys and values of the layers with attention."""
    text = text_config(config)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shape = state_shape(text)
    layers = text.num_hidden_layers - (0 if shape is None else shape[0])
    per_position = 2 * layers * text.num_key_value_heads * width * itemsize
    return (plan.pages + 1) * PAGE_SIZE * per_position


def state_bytes(config: Any, plan: EnginePlan, itemsize: int = 2) -> int:
    """Convolution windows and float32 states of delta nets, by slot."""
    shape = state_shape(text_config(config))
    if shape is None:
        return 0
    count, channels, width, heads, width_x, width_y = shape
    return (plan.slots + 1) * count * (channels * (width - 1) * itemsize + 4 * heads * width_x * width_y)


def work_bytes(config: Any, plan: EnginePlan, itemsize: int = 2) -> int:
    """The larger of a pack's prefill, by the vision tower or the language model, and a step of all rows."""
    text, vision = text_config(config), config.vision_config
    width, vision_width = text.hidden_size, getattr(vision, "embed_dim", None) or vision.hidden_size
    experts = getattr(text, "num_experts_per_tok", 0) * getattr(text, "moe_intermediate_size", 0)
    per_token = 5 * width + 3 * (experts or text.intermediate_size)
    if (shape := state_shape(text)) is not None:
        per_token += 6 * shape[1]  # the convolution's inputs and results, partly in float32
    features = (1 + len(getattr(vision, "deepstack_visual_indexes", None) or ())) * width
    hidden = getattr(vision, "intermediate_size", None) or int(vision_width * vision.mlp_ratio)
    raw = 3 * vision.patch_size**2 * 9  # uint8 twice, and float32 before and after the normalization
    per_patch = max(raw, itemsize * (9 * vision_width + hidden))
    per_prompt_token = max(itemsize * (per_token + features), PATCHES_PER_TOKEN * per_patch + itemsize * features)
    step = plan.slots * (2 * text.vocab_size + per_token) * itemsize
    return max(plan.pack_tokens * per_prompt_token, step)


def text_config(config: Any) -> Any:
    return getattr(config, "text_config", None) or config
