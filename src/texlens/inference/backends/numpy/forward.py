"""Qwen3-VL in numpy, for one image and one row. A test compares it with transformers token by token.

Legend: P = patches, V = image tokens, T = new tokens, S = tokens so far, H = heads, G = heads of keys, D = head
width, W = hidden width.
Every weight is float32.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]
_BLOCK = 256
"""Queries whose scores are computed at a time, so that they stay in the processor's cache."""
_GROWTH = 128
"""Tokens by which a full cache grows."""


@dataclass(frozen=True)
class NumpyModel:
    """A checkpoint's config.json and weights by name, without `model.`."""

    config: Mapping[str, Any]
    weights: Weights

    def encode_image(self, patches: Array, grid: tuple[int, int, int]) -> tuple[Array, list[Array]]:
        """Features [V, W] of the image tokens, and the deepstack features that are added after the first layers."""
        config, weights = self.config["vision_config"], self.weights
        kernel = weights["visual.patch_embed.proj.weight"]
        x = patches @ kernel.reshape(len(kernel), -1).T + weights["visual.patch_embed.proj.bias"]
        positions_2P = _patch_positions(grid, config["spatial_merge_size"])
        x = x + _interpolate_positions(weights["visual.pos_embed.weight"], positions_2P, grid)
        rope = _vision_rope(
            positions_2P, config["hidden_size"] // config["num_heads"], config["rope_parameters"]["rope_theta"]
        )
        deepstack = []
        for number in range(config["depth"]):
            x = self._vision_block(f"visual.blocks.{number}", x, rope, config["num_heads"])
            if number in config["deepstack_visual_indexes"]:
                deepstack.append(self._merge(f"visual.deepstack_merger_list.{len(deepstack)}", x, norm_after=True))
        return self._merge("visual.merger", x, norm_after=False), deepstack

    def _vision_block(self, name: str, x: Array, rope: tuple[Array, Array], heads: int) -> Array:
        qkv = self._linear(f"{name}.attn.qkv", self._layer_norm(f"{name}.norm1", x))
        query, key, value = qkv.reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
        attended = _attention(_rotate(query, rope), _rotate(key, rope), value, None)
        x = x + self._linear(f"{name}.attn.proj", attended.transpose(1, 0, 2).reshape(len(x), -1))
        inner = _gelu_tanh(self._linear(f"{name}.mlp.linear_fc1", self._layer_norm(f"{name}.norm2", x)))
        return x + self._linear(f"{name}.mlp.linear_fc2", inner)

    def _merge(self, name: str, x: Array, *, norm_after: bool) -> Array:
        width = self.weights[f"{name}.linear_fc1.weight"].shape[1]
        x = self._layer_norm(f"{name}.norm", x.reshape(-1, width) if norm_after else x).reshape(-1, width)
        return self._linear(f"{name}.linear_fc2", _gelu(self._linear(f"{name}.linear_fc1", x)))

    def _linear(self, name: str, x: Array) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _layer_norm(self, name: str, x: Array) -> Array:
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered * centered).mean(-1, keepdims=True) + 1e-6)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


class Decoder:
    """A prompt, then one token after the other, with a key-value cache."""

    def __init__(self, model: NumpyModel):
        self._model = model
        self._text = model.config["text_config"]
        self._cache: dict[int, Array] = {}
        self._lengths: Counter[int] = Counter()
        self._next_position = 0

    def prefill(
        self, ids: list[int], features: Array, deepstack: list[Array], grid: tuple[int, int, int], merge: int
    ) -> Array:
        """The prompt with the image features at the image tokens; logits of the token that follows."""
        is_image = np.array(ids) == self._model.config["image_token_id"]
        x = self._model.weights["language_model.embed_tokens.weight"][ids].copy()
        x[is_image] = features
        positions_3T = prompt_positions(is_image, grid[1] // merge, grid[2] // merge)
        self._next_position = int(positions_3T.max()) + 1
        after_layer = {layer: (is_image, features) for layer, features in enumerate(deepstack)}
        return self._logits(self._forward(x, positions_3T, after_layer)[-1])

    def step(self, token: int) -> Array:
        """One more token; logits of the next."""
        return self.extend([token])[0]

    def extend(self, tokens: Sequence[int]) -> Array:
        """More tokens; logits [T, vocabulary] of what follows each of them."""
        x = self._model.weights["language_model.embed_tokens.weight"][list(tokens)]
        positions_3T = np.tile(np.arange(len(tokens)) + self._next_position, (3, 1))
        self._next_position += len(tokens)
        return self._logits(self._forward(x, positions_3T, {}))

    def forget(self, count: int) -> None:
        """Take the last tokens back."""
        self._next_position -= count
        for number in self._lengths:
            self._lengths[number] -= count

    def _logits(self, hidden: Array) -> Array:
        weights = self._model.weights
        normed = _rms(hidden, weights["language_model.norm.weight"], self._text["rms_norm_eps"])
        return normed @ weights["language_model.embed_tokens.weight"].T

    def _forward(self, x: Array, positions_3T: Array, deepstack: Mapping[int, tuple[Array, Array]]) -> Array:
        """Hidden states [T, W] after the last layer."""
        rope = _text_rope(positions_3T, self._text)
        for number in range(self._text["num_hidden_layers"]):
            x = self._layer(number, x, rope)
            if number in deepstack:
                is_image, features = deepstack[number]
                x[is_image] += features
        return x

    def _layer(self, number: int, x: Array, rope: tuple[Array, Array]) -> Array:
        weights, epsilon = self._model.weights, self._text["rms_norm_eps"]
        name = f"language_model.layers.{number}"

        def of(part: str) -> Array:
            return weights[f"{name}.{part}.weight"]

        def heads(part: str, inputs: Array) -> Array:
            return (
                (inputs @ of(f"self_attn.{part}").T).reshape(len(inputs), -1, self._text["head_dim"]).transpose(1, 0, 2)
            )

        normed = _rms(x, of("input_layernorm"), epsilon)
        query = _rotate(_rms(heads("q_proj", normed), of("self_attn.q_norm"), epsilon), rope)
        key = _rotate(_rms(heads("k_proj", normed), of("self_attn.k_norm"), epsilon), rope)
        key, value = self._append_to_cache(number, key, heads("v_proj", normed))
        before = key.shape[1] - len(x)
        mask = np.arange(key.shape[1])[None] > np.arange(len(x))[:, None] + before if len(x) > 1 else None
        attended = _attention(query, key, value, mask)
        x = x + attended.transpose(1, 0, 2).reshape(len(x), -1) @ of("self_attn.o_proj").T
        normed = _rms(x, of("post_attention_layernorm"), epsilon)
        gate = normed @ of("mlp.gate_proj").T
        return x + (gate / (1 + np.exp(-gate)) * (normed @ of("mlp.up_proj").T)) @ of("mlp.down_proj").T

    def _append_to_cache(self, number: int, key: Array, value: Array) -> tuple[Array, Array]:
        """Keys and values [G, S, D] of a layer, the new ones appended."""
        start, end = self._lengths[number], self._lengths[number] + key.shape[1]
        if number not in self._cache or end > self._cache[number].shape[2]:
            grown = np.empty((2, len(key), end + _GROWTH, key.shape[2]), np.float32)
            if start:
                grown[:, :, :start] = self._cache[number][:, :, :start]
            self._cache[number] = grown
        self._cache[number][:, :, start:end] = key, value
        self._lengths[number] = end
        return self._cache[number][0, :, :end], self._cache[number][1, :, :end]


def _attention(query: Array, key: Array, value: Array, masked: Array | None) -> Array:
    """[H, T, D] of queries over keys and values [G, S, D], each for H / G heads; `masked` [T, S] is True where a query
    must not look."""
    heads, length, width = query.shape
    groups = len(key)
    query = (query / np.float32(math.sqrt(width))).reshape(groups, heads // groups, length, width)
    out = np.empty_like(query)
    for start in range(0, length, _BLOCK):
        rows = slice(start, start + _BLOCK)
        scores = query[:, :, rows] @ key[:, None].swapaxes(-1, -2)
        if masked is not None:
            np.copyto(scores, np.float32(-np.inf), where=masked[rows])
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        out[:, :, rows] = (scores @ value[:, None]) / scores.sum(-1, keepdims=True)
    return out.reshape(heads, length, width)


def _rms(x: Array, weight: Array, epsilon: float) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(epsilon)) * weight


def _rotate(x: Array, rope: tuple[Array, Array]) -> Array:
    """Rotary embedding of x [H, T, D] by cos, sin [T, D]."""
    half = x.shape[-1] // 2
    return x * rope[0] + np.concatenate([-x[..., half:], x[..., :half]], -1) * rope[1]


def _text_rope(positions_3T: Array, text: Mapping[str, Any]) -> tuple[Array, Array]:
    """Interleaved M-RoPE: height and width take every third frequency."""
    rope, dim = text["rope_parameters"], text["head_dim"]
    axis = np.zeros(dim // 2, int)
    for number in (1, 2):
        axis[number : rope["mrope_section"][number] * 3 : 3] = number
    return _angles(positions_3T[axis].T * _inverse_frequencies(dim, rope["rope_theta"]))


def _vision_rope(positions_2P: Array, dim: int, theta: float) -> tuple[Array, Array]:
    """Row positions rotate the first half of the frequencies, column positions the second."""
    angles = positions_2P[..., None] * _inverse_frequencies(dim // 2, theta)
    return _angles(np.concatenate([angles[0], angles[1]], -1))


def _inverse_frequencies(dim: int, theta: float) -> Array:
    return (1.0 / np.float32(theta) ** (np.arange(0, dim, 2, dtype=np.float32) / dim)).astype(np.float32)


def _angles(angles: Array) -> tuple[Array, Array]:
    angles = np.concatenate([angles, angles], -1).astype(np.float32)
    return np.cos(angles), np.sin(angles)


def _patch_positions(grid: tuple[int, int, int], merge: int) -> Array:
    """Row and column [2, P] of each patch, in the order in which the tower merges patches."""
    _, rows, columns = grid
    positions = np.indices((rows, columns)).reshape(2, rows // merge, merge, columns // merge, merge)
    return positions.transpose(0, 1, 3, 2, 4).reshape(2, -1)


def _interpolate_positions(table: Array, positions_2P: Array, grid: tuple[int, int, int]) -> Array:
    """The learned position embedding of each patch: bilinear in a square grid, corners aligned."""
    side = round(math.sqrt(len(table)))
    rows, columns = (
        np.linspace(0, side - 1, count, dtype=np.float32)[index]
        for count, index in zip(grid[1:], positions_2P, strict=True)
    )
    low_row, low_column = rows.astype(int), columns.astype(int)
    high_row, high_column = np.minimum(low_row + 1, side - 1), np.minimum(low_column + 1, side - 1)
    down, right = (rows - low_row)[:, None], (columns - low_column)[:, None]
    top = table[low_row * side + low_column] * (1 - right) + table[low_row * side + high_column] * right
    bottom = table[high_row * side + low_column] * (1 - right) + table[high_row * side + high_column] * right
    return top * (1 - down) + bottom * down


def prompt_positions(is_image: Array, rows: int, columns: int) -> Array:
    """M-RoPE positions [3, T] (time, row, column): text continues from the largest position before it."""
    start = int(is_image.argmax())
    image = np.stack([np.zeros(rows * columns, int), *np.indices((rows, columns)).reshape(2, -1)]) + start
    after = np.arange(len(is_image) - start - rows * columns) + start + max(rows, columns)
    return np.concatenate([np.tile(np.arange(start), (3, 1)), image, np.tile(after, (3, 1))], 1)


def _gelu_tanh(x: Array) -> Array:
    inner = x * x
    inner *= np.float32(0.044715)
    inner += 1
    inner *= x
    inner *= np.float32(math.sqrt(2 / math.pi))
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _gelu(x: Array) -> Array:
    from scipy.special import erf  # with image preparation it is loaded anyway

    return x * np.float32(0.5) * (1 + erf(x / np.float32(math.sqrt(2))))
