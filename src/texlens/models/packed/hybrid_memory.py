"""Memory of hybrid layers in a pack: what delta nets and gated attention save for each token.

On a GPU they are kernels, which save what their backward passes read. On a CPU they run under autograd, so that float32
copies of norms and of the convolution are saved too.
"""

from typing import Any

CHUNK = 64
"""Places of a chunk, which the delta rule saves the relations between."""
CHUNKS_PER_TOKEN = 1.25 / CHUNK
"""The last chunk of a segment is not full: of segments with 256 tokens and more."""
CHUNKS_PER_ANSWER_TOKEN = 2 / CHUNK
"""Of answers that share a prompt, which are segments of their own: with 64 tokens and more."""


def is_hybrid(text_config: Any) -> bool:
    return "linear_attention" in (getattr(text_config, "layer_types", None) or ())


def mlp_width(text_config: Any) -> int:
    """Of the dense MLP, or of the experts that a token passes, the shared one included."""
    if (width := getattr(text_config, "intermediate_size", None)) is not None:
        return width
    shared = getattr(text_config, "shared_expert_intermediate_size", 0) or 0
    return text_config.num_experts_per_tok * text_config.moe_intermediate_size + shared


def saved_by_kind(text_config: Any, recompute: str, itemsize: int = 2, *, by_kernels: bool = True) -> dict[str, int]:
    """Bytes that one layer of each kind saves for a token; all but its input is recomputed under `full`.

    Args:
        by_kernels: rather than autograd.
    """
    delta_net, attention = (_delta_net, _gated_attention) if by_kernels else (_delta_net_autograd, _attention_autograd)
    common = itemsize * 2 * text_config.hidden_size + _routing(text_config, itemsize)
    if recompute == "none":
        common += itemsize * 2 * mlp_width(text_config)
    return {
        "linear_attention": common + delta_net(text_config, itemsize),
        "full_attention": common + attention(text_config, itemsize),
    }


def saved_per_token(text_config: Any, recompute: str, itemsize: int = 2, *, by_kernels: bool = True) -> int:
    """Bytes of all layers."""
    kinds = text_config.layer_types
    if recompute == "full":
        return itemsize * text_config.hidden_size * len(kinds)
    saved = saved_by_kind(text_config, recompute, itemsize, by_kernels=by_kernels)
    return sum(saved[kind] for kind in kinds)


def more_for_answers(text_config: Any, recompute: str, itemsize: int = 2) -> int:
    """Bytes a token that packs need besides, by kernels, where answers share their prompts."""
    if not is_hybrid(text_config):
        return 0
    layers = 1 if recompute == "full" else list(text_config.layer_types).count("linear_attention")
    return layers * saved_for_answers(text_config, itemsize) + gathered_for_answers(text_config, itemsize)


def saved_for_answers(text_config: Any, itemsize: int = 2) -> int:
    """Of each delta net: the states before the further chunks."""
    return round(itemsize * (CHUNKS_PER_ANSWER_TOKEN - CHUNKS_PER_TOKEN) * _states(text_config))


def gathered_for_answers(text_config: Any, itemsize: int = 2) -> int:
    """In one backward pass: prompts and answers are computed one after the other, so their tokens are gathered: the
    convolution's result, its gradient, and that of the rule's output."""
    keys, values, _ = delta_net_widths(text_config)
    return itemsize * (2 * (2 * keys + values) + values)


def backward_per_token(text_config: Any, itemsize: int = 2) -> int:
    """Bytes a token while the kernels of a delta net are in their backward pass: gradients of the residual stream and
    of the result; of the first product, the rule's output and the convolution; two of what places write; three parts of
    those of queries and keys for each value head; and of the state before each chunk."""
    keys, values, heads = delta_net_widths(text_config)
    product = 2 * keys + 2 * values + 2 * heads
    repeated = heads * text_config.linear_key_head_dim
    stored = text_config.hidden_size + values + product + values + (2 * keys + values) + 2 * values + 3 * repeated
    return round(itemsize * (stored + CHUNKS_PER_TOKEN * values * text_config.linear_key_head_dim))


def first_product_width(text_config: Any) -> int:
    """Of the widest first product: queries, keys and values with their gates."""
    keys, values, heads = delta_net_widths(text_config)
    queries, grouped = _attention_widths(text_config)
    return max(2 * keys + 2 * values + 2 * heads, 2 * queries + 2 * grouped)


def delta_net_widths(text_config: Any) -> tuple[int, int, int]:
    """Of all keys together, of all values, and the number of value heads."""
    keys = text_config.linear_num_key_heads * text_config.linear_key_head_dim
    heads = text_config.linear_num_value_heads
    return keys, heads * text_config.linear_value_head_dim, heads


def _delta_net(text_config: Any, itemsize: int) -> int:
    """The first product; the convolution's result; queries and keys of length 1; what each place writes; the state
    before each chunk and the inverse of its system; the rule's output; the result; decay and rate in float32."""
    keys, values, heads = delta_net_widths(text_config)
    product = 2 * keys + 2 * values + 2 * heads
    stored = product + (2 * keys + values) + 2 * keys + 3 * values
    return round(itemsize * (stored + CHUNKS_PER_TOKEN * _states(text_config))) + 8 * heads


def _states(text_config: Any) -> int:
    """Values of the state before a chunk and of the inverse of its system, of all heads."""
    _, values, heads = delta_net_widths(text_config)
    return values * text_config.linear_key_head_dim + heads * CHUNK**2


def _routing(text_config: Any, itemsize: int) -> int:
    """Bytes of the weights and numbers of a token's experts, of their order, and of what the shared one weighs."""
    experts = getattr(text_config, "num_experts_per_tok", None) or 0
    return experts * (itemsize + 4 * 8) + (itemsize if experts else 0)


def _gated_attention(text_config: Any, itemsize: int) -> int:
    """The first product; turned queries and keys; the attention output and its float32 sums; the result."""
    queries, keys = _attention_widths(text_config)
    return itemsize * (2 * queries + 2 * keys + queries + keys + 2 * queries) + 4 * text_config.num_attention_heads


def _delta_net_autograd(text_config: Any, itemsize: int) -> int:
    """The first product; the convolution's sum in float32 and its result; queries and keys of length 1; the delta
    rule's output and the relations within a chunk; decay and rate in float32; four float32 tensors of the gated norm,
    and its result."""
    keys, values, heads = delta_net_widths(text_config)
    channels = 2 * keys + values
    product = channels + values + 2 * heads
    stored = product + channels + 2 * keys + values + CHUNK * heads + values
    return itemsize * stored + 4 * channels + 16 * values + 8 * heads


def _attention_autograd(text_config: Any, itemsize: int) -> int:
    """The first product; queries and keys before and after their norms in float32, and rotated; values; the attention
    output, its gate, their product, and its float32 sums."""
    queries, keys = _attention_widths(text_config)
    stored = (2 * queries + 2 * keys) + (queries + 2 * keys) + 3 * queries
    return itemsize * stored + 8 * (queries + keys) + 4 * text_config.num_attention_heads


def _attention_widths(text_config: Any) -> tuple[int, int]:
    return (
        text_config.num_attention_heads * text_config.head_dim,
        text_config.num_key_value_heads * text_config.head_dim,
    )
