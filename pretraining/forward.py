"""The nano model's loss over one pack, on the modules of a stock `Qwen3VLForConditionalGeneration`.

# P = patches, V = image tokens, T = tokens, H = heads, D = width

The same numbers as the model's own forward sample by sample (tests/unit/pretraining compares them); written out so that
it has static shapes, compiles into few kernels and needs no mask: attention is over segments.
"""

import inspect

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import varlen

_HAS_WINDOW = "window_size" in inspect.signature(varlen.varlen_attn).parameters
_CAUSAL = {"window_size": (-1, 0)} if _HAS_WINDOW else {"is_causal": True}


def segment_attention(query: Tensor, key: Tensor, value: Tensor, ends: Tensor, longest: int, causal: bool) -> Tensor:
    """Attention [T, H, D] within segments bounded by `ends` [N+1]; plain on the CPU, varlen_attn on a GPU."""
    if query.is_cuda:
        extra = _CAUSAL if causal else {}
        return varlen.varlen_attn(query, key, value, ends, ends, longest, longest, **extra)
    segment = torch.bucketize(torch.arange(len(query)), ends[1:].long(), right=True)
    allowed = segment[:, None] == segment[None]
    if causal:
        allowed = allowed.tril()
    heads = (x.transpose(0, 1)[None] for x in (query, key, value))
    return functional.scaled_dot_product_attention(*heads, attn_mask=allowed)[0].transpose(0, 1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [T, H, D] by cos, sin [T, D], in float32."""
    first, second = x.float().chunk(2, -1)
    turned = torch.cat([-second, first], -1)
    return (x.float() * cos[:, None] + turned * sin[:, None]).to(x.dtype)


def vision_rotary(cells: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and sin [P, D] of the patches' rows and columns [2, P] (axial, theta 10,000)."""
    steps = torch.arange(0, head_dim // 2, 2, device=cells.device, dtype=torch.float32)
    spectrum = 10000.0 ** (-steps / (head_dim // 2))
    angles = (cells.float()[..., None] * spectrum).transpose(0, 1).flatten(1)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def text_rotary(positions: Tensor, sections: list[int], head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos and sin [T, D] of interleaved M-RoPE positions [3, T] (temporal, height, width)."""
    spectrum = theta ** (-torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim)
    axis = torch.zeros(head_dim // 2, dtype=torch.long, device=positions.device)
    for dim in (1, 2):
        axis[dim : sections[dim] * 3 : 3] = dim
    angles = positions.float()[axis].T * spectrum
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def vision_features(visual, pack: dict, longest: int) -> tuple[Tensor, list[Tensor]]:
    """Merged features [V, D] and deepstack features of gray patches [P, 64] (0..255)."""
    config = visual.config
    weight = visual.patch_embed.proj.weight.flatten(3).sum((1, 2))
    x = functional.linear(pack["patches"].float() / 127.5 - 1, weight, visual.patch_embed.proj.bias)
    table = visual.pos_embed.weight[pack["mix_index"].long()]
    x = x + (table * pack["mix_weight"].float()[..., None]).sum(1)
    head_dim = config.hidden_size // config.num_heads
    cos, sin = vision_rotary(pack["cells"], head_dim)
    deep = []
    for number, block in enumerate(visual.blocks):
        query, key, value = block.attn.qkv(block.norm1(x)).view(len(x), 3, config.num_heads, head_dim).unbind(1)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mixed = segment_attention(query, key, value, pack["image_ends"], longest, False)
        x = x + block.attn.proj(mixed.flatten(1))
        x = x + block.mlp(block.norm2(x))
        if number in config.deepstack_visual_indexes:
            deep.append(visual.deepstack_merger_list[len(deep)](x))
    return visual.merger(x), deep


def pack_loss(model, pack: dict, longest_image: int, longest_text: int) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the labels in nats, and how many labels there are."""
    text, config = model.model.language_model, model.config.text_config
    features, deep = vision_features(model.model.visual, pack, longest_image)
    visual_index = pack["visual"].long()
    is_image = (visual_index < len(features))[:, None]
    spread = lambda f: torch.cat([f, f.new_zeros(1, f.shape[1])])[visual_index]  # noqa: E731
    words = text.embed_tokens(pack["ids"].long())
    x = torch.where(is_image, spread(features).to(words.dtype), words)
    rope = config.rope_parameters
    cos, sin = text_rotary(pack["positions"], rope["mrope_section"], config.head_dim, rope["rope_theta"])
    groups = config.num_attention_heads // config.num_key_value_heads
    for number, layer in enumerate(text.layers):
        attention, y = layer.self_attn, layer.input_layernorm(x)
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        query, key, value = (project(y).unflatten(-1, (-1, config.head_dim)) for project in projections)
        query, key = rotate(attention.q_norm(query), cos, sin), rotate(attention.k_norm(key), cos, sin)
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        query, key = query.to(value.dtype), key.to(value.dtype)
        mixed = segment_attention(query, key, value, pack["text_ends"], longest_text, True)
        x = x + attention.o_proj(mixed.flatten(1))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
        if number < len(deep):
            x = x + spread(deep[number])
    labels = functional.pad(pack["labels"].long()[1:], (0, 1), value=-100)
    logits = functional.linear(text.norm(x), model.lm_head.weight).float()
    return functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum"), (labels != -100).sum()
