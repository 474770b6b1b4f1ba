"""What a pack leaves in memory until its backward pass, by how much of it is made again there."""

from typing import Any

from texlens.models.packed.text import RECOMPUTE

OVERHEAD = 1.15
"""Fragments, workspaces of products, and what is alive for a moment."""


def kept_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes that the fused layers of a language model keep for each token of a pack.

    With d the width, h the heads' width, g that of keys and values, f the width of the MLP: a layer keeps its input,
    q, k and v before and after their norms, what attention mixed, the middle of the residual stream, and gate and up.
    """
    width, head = text_config.hidden_size, _head_width(text_config)
    queries, keys = text_config.num_attention_heads * head, text_config.num_key_value_heads * head
    heads = queries + 2 * keys
    if recompute == "full":
        return itemsize * width * text_config.num_hidden_layers + kept_of_layer(text_config, itemsize)
    before_norms = heads if text_config.model_type.startswith("qwen3") else 0
    kept = 2 * width + heads + before_norms + queries
    if recompute == "none":
        kept += 2 * text_config.intermediate_size
    return itemsize * kept * text_config.num_hidden_layers + kept_of_layer(text_config, itemsize)


def kept_of_layer(text_config, itemsize: int = 2) -> int:
    """Bytes a token while one layer is in its backward pass: gate and up, their slopes, the activation, the stream."""
    return itemsize * (6 * text_config.intermediate_size + 6 * text_config.hidden_size)


def choose_recompute(model: Any, tokens: int, memory_gib: float) -> str:
    """The least recomputation with which a pack of `tokens` fits; `full` where none does."""
    weights = sum(parameter.numel() * parameter.itemsize for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    room = memory_gib * 2**30 - weights - trained * 12
    text_config = model.config.text_config
    itemsize = next(model.model.language_model.parameters()).itemsize
    for recompute in RECOMPUTE:
        if kept_per_token(text_config, recompute, max(itemsize, 2)) * tokens * OVERHEAD <= room:
            return recompute
    return "full"


def _head_width(text_config) -> int:
    return getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
