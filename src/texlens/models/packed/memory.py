"""What a pack takes while it is trained: what stays until its backward pass, and what is there for a moment."""

from typing import Any

from texlens.kernels.loss import CHUNK
from texlens.models.packed.text import RECOMPUTE

SPARE = 1.15
"""What is left free around a pack for the allocator's fragments, as a factor; chosen, not measured."""


def peak_of_pack(
    text_config, recompute: str, tokens: int, labels: int, itemsize: int = 2, *, loss_chunk: int = CHUNK
) -> int:
    """Bytes at the worst moment of a pack, which is either in its loss or in the backward pass of its last layer."""
    loss = loss_bytes(labels, text_config.vocab_size, itemsize, chunk=loss_chunk)
    backward = backward_per_token(text_config, recompute, itemsize) * tokens
    return kept_per_token(text_config, recompute, itemsize) * tokens + max(loss, backward)


def kept_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes that the fused layers of a language model keep for each token until their backward passes.

    Only the adapters' thin products, a few numbers of the rank a layer, are left out.
    """
    layers = text_config.num_hidden_layers
    if recompute == "full":
        return itemsize * text_config.hidden_size * layers
    return kept_of_layer(text_config, recompute, itemsize) * layers


def kept_of_layer(text_config, recompute: str, itemsize: int = 2) -> int:
    """With d the width, h the heads' width, g that of keys and values, f the width of the MLP: a layer keeps its input,
    q, k and v before and after their norms, what attention mixed and its float32 sums, the middle of the residual
    stream, and, if nothing is made again, gate and up.
    """
    width, head = text_config.hidden_size, _head_width(text_config)
    queries, keys = text_config.num_attention_heads * head, text_config.num_key_value_heads * head
    heads = queries + 2 * keys
    before_norms = heads if text_config.model_type.startswith("qwen3") else 0
    kept = 2 * width + heads + before_norms + queries
    if recompute == "none":
        kept += 2 * text_config.intermediate_size
    return itemsize * kept + 4 * text_config.num_attention_heads


def backward_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes a token while one layer is in its backward pass: gate and up, their slopes, the activation, the stream; and
    the layer's own tensors where the whole of it is made again."""
    passing = itemsize * (6 * text_config.intermediate_size + 6 * text_config.hidden_size)
    return passing + (kept_of_layer(text_config, recompute, itemsize) if recompute == "full" else 0)


def loss_bytes(labels: int, vocabulary: int, itemsize: int = 2, *, chunk: int = CHUNK, in_place: bool = True) -> int:
    """Bytes at the worst moment of `label_row_loss`: a chunk's logits, over which their slopes are written; without the
    kernel that works `in_place`, a float32 copy of 16-bit ones too."""
    number = itemsize + (4 if itemsize < 4 and not in_place else 0)
    return number * min(labels, chunk) * vocabulary


def least_recompute(text_config, tokens: int, room: float, itemsize: int = 2) -> str:
    """The least recomputation with which a pack of `tokens`, any of which may carry a label, takes no more than `room`
    bytes; `full` where none does."""
    for recompute in RECOMPUTE:
        if peak_of_pack(text_config, recompute, tokens, tokens, itemsize) * SPARE <= room:
            return recompute
    return "full"


def choose_recompute(model: Any, tokens: int, memory_gib: float) -> str:
    """`least_recompute` beside this model's weights, gradients and optimiser."""
    weights = sum(parameter.numel() * parameter.itemsize for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    room = memory_gib * 2**30 - weights - trained * 12
    itemsize = next(model.model.language_model.parameters()).itemsize
    return least_recompute(model.config.text_config, tokens, room, max(itemsize, 2))


def _head_width(text_config) -> int:
    return getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
