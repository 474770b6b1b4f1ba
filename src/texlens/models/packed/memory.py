"""Memory of a pack in training: tensors saved for the backward pass, and temporaries."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.distributed.tensor import DTensor

from texlens.kernels.loss.chunked import CHUNK
from texlens.models.families import family_of_text
from texlens.models.fp8 import fp8_layers
from texlens.models.mixtures.experts import quantized_experts
from texlens.models.module_kinds import is_4_bit_layer
from texlens.models.packed import hybrid_memory
from texlens.models.packed.projections import has_dora
from texlens.models.packed.text import RECOMPUTE
from texlens.models.weight_rows.placeholders import is_placeholder

HEADROOM = 1.05
"""A factor for fragmentation of the allocator: with expandable segments, as `texlens train` sets them, it was 1% on an
H200."""
PACK_TOKENS = (32_768, 24_576, 16_384, 12_288, 8192, 6144, 4096, 3072, 2560, 2048, 1792, 1536, 1280, 1024)
"""Sizes of packs to choose from."""
LOSS_CHUNKS = (CHUNK, 1024, 512, 256)
RECOMPUTE_TIME = {"none": 1.0, "mlp": 1.17, "full": 1.36}
"""Relative time of a pack by what is recomputed, Qwen3-VL-4B on an H200 (2026-11-21, benchmarks/side_by_side.py)."""
PACK_COST = 460
"""A pack costs the time of so many additional tokens: 102.6 rows a second in packs of 16k tokens, 65.5 in packs of
1,792 that recompute everything. A slower GPU, which waits less for its host, loses less by small packs."""
AUGMENTED_RATIO = 1.55
"""Values in the extra rows and columns of the weights for each value of the adapters: those of q/k/v and gate/up are
block-diagonal. The ratio of Qwen3-VL-4B with all seven projections adapted."""
PATCHES_PER_TOKEN = 2.4
"""Of a formula: four patches an image token, and 170 image tokens of 290. A pack with more that does not fit is cut."""
WORKSPACE = 64 * 2**20
"""cuBLAS and cuBLASLt keep 32 MiB each on Hopper GPUs (PyTorch's default), through its caching allocator."""


CPU_PADDING = 1.35
"""Places of a pack's segments padded to the longest, for each token: of formulas 1.2 in packs of 8 rows, 1.5 of 16
(benchmarks/planner_peaks_cpu.py)."""


def peak_of_pack(
    text_config,
    recompute: str,
    tokens: int,
    labels: int,
    itemsize: int = 2,
    *,
    loss_chunk: int = CHUNK,
    on_cpu: bool = False,
) -> int:
    """Bytes at the worst moment of a pack, which is either in its loss or in the backward pass of its last layer."""
    loss = loss_bytes(labels, text_config.vocab_size, itemsize, chunk=loss_chunk)
    backward = backward_per_token(text_config, recompute, itemsize) * tokens
    padded = padded_attention_bytes(text_config, recompute, itemsize) * tokens if on_cpu else 0
    saved = saved_per_token(text_config, recompute, itemsize, by_kernels=not on_cpu) * tokens
    return saved + padded + max(loss, backward)


def padded_attention_bytes(text_config, recompute: str, itemsize: int = 4) -> int:
    """Bytes a token of what attention saves on a CPU, where it runs over padded segments: q, k, v and the output."""
    queries, keys = _head_widths(text_config)
    layers = 1 if recompute == "full" else text_config.num_hidden_layers
    return round(CPU_PADDING * itemsize * 2 * (queries + keys) * layers)


def saved_per_token(text_config, recompute: str, itemsize: int = 2, *, by_kernels: bool = True) -> int:
    """Bytes that the fused layers of a language model save for each token until their backward passes.

    Only the LoRA A outputs, a few values of the rank for each layer, are left out, with the extra columns that hold one
    of them next to the attention output.

    Args:
        by_kernels: what is between the products of hybrid layers; else by autograd.
    """
    if hybrid_memory.is_hybrid(text_config):
        return hybrid_memory.saved_per_token(text_config, recompute, itemsize, by_kernels=by_kernels)
    layers = text_config.num_hidden_layers
    if recompute == "full":
        return itemsize * text_config.hidden_size * layers
    return saved_per_layer(text_config, recompute, itemsize) * layers


def saved_per_layer(text_config, recompute: str, itemsize: int = 2) -> int:
    """With d the width, h the heads' width, g that of keys and values, f the width of the MLP: a layer keeps its input,
    its q/k/v product (only v of it where heads have no norm of their own), q and k after rotation, the attention
    output and its float32 sums, the residual stream after attention, and, if nothing is recomputed, gate and up. Of
    hybrid models, the layer that keeps most.
    """
    if hybrid_memory.is_hybrid(text_config):
        return max(hybrid_memory.saved_by_kind(text_config, recompute, itemsize).values())
    width, (queries, keys) = text_config.hidden_size, _head_widths(text_config)
    product = queries + 2 * keys if family_of_text(text_config).head_norms else keys
    saved = 2 * width + product + (queries + keys) + queries
    experts, mlp_width = _mlp(text_config)
    if recompute == "none":
        saved += 2 * experts * mlp_width
    routing = experts * (itemsize + 4 * 8) if is_mixture(text_config) else 0
    return itemsize * saved + 4 * text_config.num_attention_heads + routing


def backward_per_token(text_config, recompute: str, itemsize: int = 2) -> int:
    """Bytes a token while the MLP of one layer is in its backward pass, the largest of a layer: gradients of
    the residual stream, the activation, gate and up, and the activation; gate and up, and the saved tensors of the
    layer, where they are recomputed. Of hybrid models the delta net's, where that needs more."""
    width, (experts, mlp_width) = text_config.hidden_size, _mlp(text_config)
    if is_mixture(text_config):  # rows of each pair of token and expert, and of their gradient
        transient = 2 * width + experts * (2 * width + (4 if recompute == "none" else 6) * mlp_width)
        transient += width if getattr(text_config, "shared_expert_intermediate_size", 0) else 0
    else:
        transient = width + 4 * mlp_width + (0 if recompute == "none" else 2 * mlp_width)
    recomputed = saved_per_layer(text_config, "mlp", itemsize) - itemsize * width if recompute == "full" else 0
    transient *= itemsize
    if hybrid_memory.is_hybrid(text_config):
        transient = max(transient, hybrid_memory.backward_per_token(text_config, itemsize))
    return transient + recomputed


def loss_bytes(labels: int, vocabulary: int, itemsize: int = 2, *, chunk: int = CHUNK, in_place: bool = True) -> int:
    """Bytes at the worst moment of `label_row_loss`: the logits of a chunk, which their gradients overwrite; without
    the kernel that works `in_place`, a float32 copy of 16-bit ones too."""
    bytes_per_value = itemsize + (4 if itemsize < 4 and not in_place else 0)
    return bytes_per_value * min(labels, chunk) * vocabulary


@dataclass(frozen=True)
class PackOptions:
    """The choices: tokens of a pack, and what its backward pass recomputes; bytes of a value, and bytes a token that an
    adapted vision tower saves, and by what is recomputed those that DoRA and layers module by module save besides;
    whether attention is a CPU's."""

    tokens: Sequence[int] = PACK_TOKENS
    recompute: Sequence[str] = RECOMPUTE
    itemsize: int = 2
    vision: int = 0
    besides: Mapping[str, int] = field(default_factory=dict)
    on_cpu: bool = False


@dataclass(frozen=True)
class PackChoice:
    """Tokens of a pack, what its backward pass recomputes, label rows in a chunk of the loss, and bytes at the peak,
    headroom included."""

    tokens: int
    recompute: str
    loss_chunk: int
    nbytes: int


def choose_pack(text_config, budget: int | float, options: PackOptions) -> PackChoice | None:
    """The fastest pack, any of whose tokens may carry a label, that takes no more than `budget` bytes, with the largest
    chunks of its loss; None where none does."""
    pairs = sorted(itertools.product(options.tokens, options.recompute), key=lambda pair: relative_time(*pair))
    choices = (_choice(text_config, *pair, chunk, options) for pair in pairs for chunk in LOSS_CHUNKS)
    return next((choice for choice in choices if choice.nbytes <= budget), None)


def smallest_pack(text_config, options: PackOptions) -> PackChoice:
    """The pack that needs the least memory."""
    return _choice(text_config, min(options.tokens), options.recompute[-1], min(LOSS_CHUNKS), options)


def relative_time(tokens: int, recompute: str) -> float:
    """Time of a token in such packs, relative to an unlimited pack that recomputes nothing."""
    return RECOMPUTE_TIME[recompute] * (1 + PACK_COST / tokens)


def static_bytes(model: Any, *, optimizer: str = "adamw") -> int:
    """Bytes that do not depend on the pack: weights as stored, gradients and moments, what fused products add, and on a
    GPU the workspace of the libraries."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    bits: dict[str, Any] = {
        "in_4_bit": any(hasattr(parameter, "quant_state") for parameter in model.parameters())
        or any(_gathered_4_bit_layers(model)),
        "in_8_bit": any(quantized_experts(model)) or bool(fp8_layers(model.model.language_model)),
        "itemsize": next(model.model.language_model.parameters()).itemsize,
    }
    augmented = augmented_bytes(model.config.text_config, _adapters_beside_weights(model), **bits)
    workspace = WORKSPACE if next(model.parameters()).is_cuda else 0
    moments = 2 if optimizer == "adamw-8bit" else 8
    return stored_bytes(model) + trained * (4 + moments) + augmented + workspace + gathered_bytes(model)


def _adapters_beside_weights(model: Any) -> int:
    """Values of the adapters that have a copy next to their weight for good; those of quantized experts are in the
    buffer."""
    buffered = any(quantized_experts(model))
    names = ((name, part) for name, part in model.named_parameters() if "lora_" in name)
    return sum(part.numel() for name, part in names if not (buffered and ".experts." in name))


def gathered_bytes(model: Any) -> int:
    """Of a model divided among processes: two layers whole at a time, and the buffer of their products; else 0."""
    layers = [
        sum(part.numel() * part.itemsize for part in layer.parameters() if isinstance(part, DTensor))
        for layer in model.model.language_model.layers
    ]
    itemsize = next(model.model.language_model.parameters()).itemsize
    return 2 * max(layers) + weight_buffer_bytes(model.config.text_config, itemsize) if any(layers) else 0


def augmented_bytes(
    text_config, adapters: int, *, in_4_bit: bool = False, in_8_bit: bool = False, itemsize: int = 2
) -> int:
    """What fused products add to the weights: the adapters in extra rows and columns, in the dtype of the products, or
    in 4 bit none; and the buffer for weights that are dequantized: of linear layers in 4 bit, of experts in 4 or 8.

    Args:
        adapters: the number of their values.
    """
    linear = weight_buffer_bytes(text_config, itemsize) if in_4_bit else 0
    experts = expert_buffer_bytes(text_config, itemsize) if in_4_bit or in_8_bit else 0
    return max(linear, experts) + (0 if in_4_bit else round(AUGMENTED_RATIO * adapters * itemsize))


def expert_buffer_bytes(text_config, itemsize: int = 2) -> int:
    """The larger stack of a layer's experts, gate and up, dequantized; 0 without a mixture."""
    if not is_mixture(text_config):
        return 0
    return itemsize * text_config.num_experts * 2 * text_config.moe_intermediate_size * text_config.hidden_size


def weight_buffer_bytes(text_config, itemsize: int = 2) -> int:
    """The largest weight of a product, dequantized, without extra rows and columns."""
    queries, keys = _head_widths(text_config)
    hybrid = hybrid_memory.is_hybrid(text_config)
    first = hybrid_memory.first_product_width(text_config) if hybrid else queries + 2 * keys
    return itemsize * text_config.hidden_size * max(2 * hybrid_memory.mlp_width(text_config), first)


def stored_bytes(model: Any) -> int:
    """Bytes of the parameters as stored: packed weights with their scales, 8-bit ones in both orientations, but stacked
    experts in one."""
    quantized = sum(part.nbytes for layer in fp8_layers(model) for part in layer.buffers())
    quantized += sum(stack.nbytes for experts in quantized_experts(model) for stack in experts.buffers())
    quantized += sum(map(_scales_of, _gathered_4_bit_layers(model)))
    return quantized + sum(_nbytes(parameter) + _scales_of(parameter) for parameter in model.parameters())


def _nbytes(parameter: Any) -> int:
    """Of a divided parameter, those of this process; of a placeholder, none."""
    if isinstance(parameter, DTensor):
        return parameter.to_local().nbytes
    return 0 if is_placeholder(parameter) else parameter.nbytes


def _scales_of(owner: Any) -> int:
    """Of a parameter of bitsandbytes, or of its layer where that has them because the parameter was gathered."""
    state = getattr(owner, "quant_state", None)
    if state is None:
        return 0
    return state.absmax.nbytes + (state.state2.absmax.nbytes if state.nested else 0)


def _gathered_4_bit_layers(model: nn.Module) -> Iterator[nn.Module]:
    layers: Iterator[Any] = (module for module in model.modules() if is_4_bit_layer(module))
    return (layer for layer in layers if not hasattr(layer.weight, "quant_state"))


def _choice(text_config, tokens: int, recompute: str, chunk: int, options: PackOptions) -> PackChoice:
    text = peak_of_pack(
        text_config, recompute, tokens, tokens, options.itemsize, loss_chunk=chunk, on_cpu=options.on_cpu
    )
    size = (text + (options.vision + options.besides.get(recompute, 0)) * tokens) * HEADROOM
    return PackChoice(tokens, recompute, chunk, round(size))


def vision_bytes_per_token(model: Any) -> int:
    """Bytes that an adapted tower's fused blocks save for each token of a pack, 0 for a frozen one: of a patch its
    input, its q/k/v product, q and k after rotation, the attention output, the residual stream after attention, and
    the MLP's first product, and on a CPU what attention pads; and for each adapted merger four patches' widths of its
    norm, first product and activation."""
    visual = model.model.visual
    blocks, mergers = _blocks_with_gradient(visual), _trained_mergers(visual)
    if not blocks and not mergers:
        return 0
    config, itemsize = model.config.vision_config, next(visual.parameters()).itemsize
    width = getattr(config, "embed_dim", None) or config.hidden_size
    first = visual.blocks[0].mlp
    names = [name for name in ("linear_fc1", "fc1", "gate_proj") if hasattr(first, name)]
    mlp_width = getattr(first, names[0]).out_features * (2 if names[0] == "gate_proj" else 1)
    per_patch = itemsize * (8 * width + mlp_width) + 4 * config.num_heads
    if next(visual.parameters()).device.type == "cpu":
        per_patch += round(CPU_PADDING * itemsize * 4 * width)
    return round(PATCHES_PER_TOKEN * (per_patch * blocks + 3 * itemsize * width * mergers))


def dora_bytes_per_token(model: Any, unfused: Collection[int] = ()) -> dict[str, int]:
    """Bytes that products with DoRA save for each token, by what is recomputed: their results before scaling, but for
    those that are scaled in place, gate/up and, where heads have norms of their own, q/k/v.

    Args:
        unfused: numbers of decoder layers that are counted elsewhere.
    """
    text, visual = model.model.language_model, model.model.visual
    itemsize, config = max(next(text.parameters()).itemsize, 2), model.config.text_config
    in_place = {"gate_proj", "up_proj"}
    if family_of_text(config).head_norms and not hybrid_memory.is_hybrid(config):
        in_place |= {"q_proj", "k_proj", "v_proj"}
    fused = nn.ModuleList(layer for number, layer in enumerate(text.layers) if number not in unfused)
    saved = [(name, width) for name, width in _dora_widths(fused) if name not in in_place]
    mergers = [visual.merger, *getattr(visual, "deepstack_merger_list", ())]
    tower = sum(width for _, width in _dora_widths(visual.blocks))
    tower += sum(width for merger in mergers for _, width in _dora_widths(merger)) / 4
    widths = {mode: sum(width for name, width in saved if mode != "full" or name == "down_proj") for mode in RECOMPUTE}
    return {mode: round(itemsize * (width + PATCHES_PER_TOKEN * tower)) for mode, width in widths.items()}


def _dora_widths(modules: nn.Module) -> Iterator[tuple[str, int]]:
    """Last names and outputs of the linear layers with DoRA."""
    for name, module in modules.named_modules():
        base = getattr(module, "base_layer", None)
        if isinstance(module, BaseTunerLayer) and isinstance(base, nn.Linear) and has_dora(module):
            yield name.rsplit(".", 1)[-1], base.out_features


def _trained_mergers(visual: Any) -> int:
    mergers = [visual.merger, *getattr(visual, "deepstack_merger_list", ())]
    return sum(any(parameter.requires_grad for parameter in merger.parameters()) for merger in mergers)


def _blocks_with_gradient(visual: Any) -> int:
    """Blocks that a gradient reaches: from the first with a trained parameter on. Trained mergers need none of them."""
    trained = [name for name, parameter in visual.named_parameters() if parameter.requires_grad]
    if any(name.startswith(("patch_embed.", "pos_embed.")) for name in trained):
        return len(visual.blocks)
    numbers = [int(name.split(".")[1]) for name in trained if name.startswith("blocks.")]
    return len(visual.blocks) - min(numbers, default=len(visual.blocks))


def is_mixture(text_config) -> bool:
    return bool(getattr(text_config, "num_experts", 0))


def _mlp(text_config) -> tuple[int, int]:
    """Experts of a token and the width of one; 1 without a mixture."""
    if is_mixture(text_config):
        return text_config.num_experts_per_tok, text_config.moe_intermediate_size
    return 1, text_config.intermediate_size


def _head_widths(text_config) -> tuple[int, int]:
    """Of all queries together, and of all keys."""
    width = getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
    return text_config.num_attention_heads * width, text_config.num_key_value_heads * width
