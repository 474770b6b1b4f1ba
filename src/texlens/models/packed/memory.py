"""What a pack takes while it is trained: what stays until its backward pass, and what is there for a moment."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from texlens.kernels.loss.chunked import CHUNK
from texlens.models.families import family_of_text
from texlens.models.fp8 import fp8_layers
from texlens.models.packed.text import RECOMPUTE

SPARE = 1.05
"""What is left free around a pack for the allocator's fragments, as a factor: with segments that can grow, as `texlens
train` asks for, they were 1% on an H200."""
PACK_TOKENS = (32_768, 24_576, 16_384, 12_288, 8192, 6144, 4096, 3072, 2560, 2048, 1792, 1536, 1280, 1024)
"""Sizes of packs to choose from."""
LOSS_CHUNKS = (CHUNK, 1024, 512, 256)
RECOMPUTE_TIME = {"none": 1.0, "mlp": 1.17, "full": 1.36}
"""What a pack takes when more is made again, by Qwen3-VL-4B on an H200 (2026-11-21, benchmarks/side_by_side.py)."""
PACK_COST = 460
"""A pack costs the time of so many tokens besides its own: 102.6 rows a second in packs of 16k tokens, 65.5 in packs of
1,792 that make everything again. A slower card, which waits less for its host, loses less by small packs."""
BORDERS = 1.55
"""Numbers of the weights' borders for each of the adapters': q/k/v's and gate/up's lie on diagonals of blocks. That of
Qwen3-VL-4B with all seven projections adapted."""
WORKSPACE = 64 * 2**20
"""cuBLAS and cuBLASLt keep 32 MiB each on Hopper cards (PyTorch's default), through its caching allocator."""


def peak_of_pack(
    text_config, recompute: str, tokens: int, labels: int, itemsize: int = 2, *, loss_chunk: int = CHUNK
) -> int:
    """Bytes at the worst moment of a pack, which is either in its loss or in the backward pass of its last layer."""
    loss = loss_bytes(labels, text_config.vocab_size, itemsize, chunk=loss_chunk)
    backward = backward_per_token(text_config, recompute, itemsize) * tokens
    return kept_per_token(text_config, recompute, itemsize) * tokens + max(loss, backward)


def kept_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes that the fused layers of a language model keep for each token until their backward passes.

    Only the adapters' thin products, a few numbers of the rank a layer, are left out, with the border that holds one of
    them beside what attention mixed.
    """
    layers = text_config.num_hidden_layers
    if recompute == "full":
        return itemsize * text_config.hidden_size * layers
    return kept_of_layer(text_config, recompute, itemsize) * layers


def kept_of_layer(text_config, recompute: str, itemsize: int = 2) -> int:
    """With d the width, h the heads' width, g that of keys and values, f the width of the MLP: a layer keeps its input,
    its q/k/v product (only v of it where heads have no norm of their own), q and k after rotation, what attention mixed
    and its float32 sums, the middle of the residual stream, and, if nothing is made again, gate and up.
    """
    width, (queries, keys) = text_config.hidden_size, _head_widths(text_config)
    product = queries + 2 * keys if family_of_text(text_config).head_norms else keys
    kept = 2 * width + product + (queries + keys) + queries
    if recompute == "none":
        kept += 2 * text_config.intermediate_size
    return itemsize * kept + 4 * text_config.num_attention_heads


def backward_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes a token while the MLP of one layer is in its backward pass, which is the most of a layer: the stream's
    slope, the activation's, gate's and up's, and the activation; gate and up, and the layer's own tensors, where they
    are made again."""
    width, wide = text_config.hidden_size, text_config.intermediate_size
    passing = width + 4 * wide + (0 if recompute == "none" else 2 * wide)
    again = kept_of_layer(text_config, "mlp", itemsize) - itemsize * width if recompute == "full" else 0
    return itemsize * passing + again


def loss_bytes(labels: int, vocabulary: int, itemsize: int = 2, *, chunk: int = CHUNK, in_place: bool = True) -> int:
    """Bytes at the worst moment of `label_row_loss`: a chunk's logits, over which their slopes are written; without the
    kernel that works `in_place`, a float32 copy of 16-bit ones too."""
    number = itemsize + (4 if itemsize < 4 and not in_place else 0)
    return number * min(labels, chunk) * vocabulary


@dataclass(frozen=True)
class PackOptions:
    """What may be chosen: tokens of a pack, what its backward pass makes again; and bytes of a number."""

    tokens: Sequence[int] = PACK_TOKENS
    recompute: Sequence[str] = RECOMPUTE
    itemsize: int = 2


@dataclass(frozen=True)
class PackChoice:
    """Tokens of a pack, what its backward pass makes again, label rows a chunk of the loss, and its bytes at its worst
    moment, with what is left free around it."""

    tokens: int
    recompute: str
    loss_chunk: int
    nbytes: int


def choose_pack(text_config, room: float, options: PackOptions) -> PackChoice | None:
    """The fastest pack, any of whose tokens may carry a label, that takes no more than `room` bytes, with the largest
    chunks of its loss; None where none does."""
    ranked = sorted(itertools.product(options.tokens, options.recompute), key=lambda pair: relative_time(*pair))
    chosen = (_sized(text_config, *pair, chunk, options.itemsize) for pair in ranked for chunk in LOSS_CHUNKS)
    return next((choice for choice in chosen if choice.nbytes <= room), None)


def least_pack(text_config, options: PackOptions) -> PackChoice:
    """The pack that takes the least."""
    return _sized(text_config, min(options.tokens), options.recompute[-1], min(LOSS_CHUNKS), options.itemsize)


def relative_time(tokens: int, recompute: str) -> float:
    """Of a token in such packs, against one in an endless pack that makes nothing again."""
    return RECOMPUTE_TIME[recompute] * (1 + PACK_COST / tokens)


def static_bytes(model: Any, *, optimizer: str = "adamw") -> int:
    """What is there whatever the pack: weights as they are stored, gradients and moments, what fused products keep
    beside them, and on a GPU the libraries' workspace."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    adapters = sum(part.numel() for name, part in model.named_parameters() if "lora_" in name)
    in_4_bit = any(hasattr(parameter, "quant_state") for parameter in model.parameters())
    itemsize = next(model.model.language_model.parameters()).itemsize
    beside = beside_weights(model.config.text_config, adapters, in_4_bit=in_4_bit, itemsize=itemsize)
    workspace = WORKSPACE if next(model.parameters()).is_cuda else 0
    moments = 2 if optimizer == "adamw-8bit" else 8
    return stored_bytes(model) + trained * (4 + moments) + beside + workspace


def beside_weights(text_config, adapters: int, *, in_4_bit: bool, itemsize: int = 2) -> int:
    """What fused products keep beside the weights: the adapters in the weights' borders, in the products' dtype; or the
    place that 4-bit weights are written out into.

    Args:
        adapters: how many numbers they have.
    """
    return scratch_bytes(text_config, itemsize) if in_4_bit else round(BORDERS * adapters * itemsize)


def scratch_bytes(text_config, itemsize: int = 2) -> int:
    """The largest product's weight, written out; but for its border."""
    queries, keys = _head_widths(text_config)
    return itemsize * text_config.hidden_size * max(2 * text_config.intermediate_size, queries + 2 * keys)


def stored_bytes(model: Any) -> int:
    """Of the parameters as they are kept: packed weights with their scales, 8-bit ones in both directions."""
    coded = sum(part.nbytes for layer in fp8_layers(model) for part in layer.buffers())
    return coded + sum(parameter.nbytes + _scales_of(parameter) for parameter in model.parameters())


def _scales_of(parameter: Any) -> int:
    state = getattr(parameter, "quant_state", None)
    if state is None:
        return 0
    return state.absmax.nbytes + (state.state2.absmax.nbytes if state.nested else 0)


def _sized(text_config, tokens: int, recompute: str, chunk: int, itemsize: int) -> PackChoice:
    size = peak_of_pack(text_config, recompute, tokens, tokens, itemsize, loss_chunk=chunk) * SPARE
    return PackChoice(tokens, recompute, chunk, round(size))


def _head_widths(text_config) -> tuple[int, int]:
    """Of all queries together, and of all keys."""
    width = getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
    return text_config.num_attention_heads * width, text_config.num_key_value_heads * width
