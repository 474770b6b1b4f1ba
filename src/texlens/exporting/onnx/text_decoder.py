"""The language model as one function with a key-value cache, for torch's ONNX exporter: prefill and step are one graph.

# L = new tokens, S = tokens in the cache, K = key-value heads, G = query heads of each, W = width of a head,
# V = image tokens, D = width
"""

from typing import Any

import torch
from torch import Tensor, nn

from texlens.kernels.decoder_layer.reference import rotate
from texlens.models.families import Family
from texlens.models.packed.text import frequency_axes


class OnnxTextDecoder(nn.Module):
    """Logits of the next token, and the cache with the new tokens in it.

    Args:
        model: the whole model, float32, in evaluation mode.
        image_token_id: of the tokens that the image's features replace.
    """

    def __init__(self, model: Any, family: Family, image_token_id: int):
        super().__init__()
        self.text, self.head = model.model.language_model, model.lm_head
        self.image_token_id = image_token_id
        config = self.text.config
        frequencies = self.text.rotary_emb.inv_freq.float()
        axes = frequency_axes(config.rope_parameters, len(frequencies), family)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("axes", axes, persistent=False)
        self.scale = float(self.text.rotary_emb.attention_scaling)

    def forward(
        self, token_ids: Tensor, positions: Tensor, features: Tensor, cache: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """
        Args:
            token_ids: int64 [L].
            positions: int64 [3, L]: time, row and column of each token.
            features: of the image encoder, [1 + n, V, D]; V = 0 where the new tokens are text.
            cache: keys and values [K, S, W] of each layer in turn; S = 0 before the prompt.

        Returns:
            logits [vocabulary] after the last new token, and the cache of S + L tokens.
        """
        x = self.text.embed_tokens(token_ids)
        is_image = token_ids == self.image_token_id
        rows = self._placed(is_image, features)
        x = torch.where(is_image[:, None], rows[0], x)
        cos, sin = self._rotary(positions)
        is_hidden = self._is_hidden(token_ids, cache[0])
        new_cache = []
        for number, layer in enumerate(self.text.layers):
            x, key, value = _layer(layer, x, cos, sin, cache[2 * number], cache[2 * number + 1], is_hidden)
            new_cache += [key, value]
            if number + 1 < len(rows):
                x = x + rows[number + 1]
        return self.head(self.text.norm(x[-1:]))[0], new_cache

    @staticmethod
    def _placed(is_image: Tensor, features: Tensor) -> Tensor:
        """Features at the image tokens and zeros elsewhere, [1 + n, L, D]."""
        zero = features.new_zeros(features.shape[0], 1, features.shape[2])
        number = torch.cumsum(is_image.to(torch.int64), 0) * is_image
        return torch.cat([zero, features], 1)[:, number]

    def _rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions.to(torch.float32)[self.axes].T * self.frequencies
        angles = torch.cat([angles, angles], -1)
        return angles.cos() * self.scale, angles.sin() * self.scale

    @staticmethod
    def _is_hidden(token_ids: Tensor, keys: Tensor) -> Tensor:
        """[L, S + L]: True where a token comes after the one that looks."""
        before, new = keys.shape[1], token_ids.shape[0]
        return torch.arange(before + new)[None] > torch.arange(new)[:, None] + before


def _layer(
    layer: Any, x: Tensor, cos: Tensor, sin: Tensor, old_key: Tensor, old_value: Tensor, is_hidden: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    attention = layer.self_attn
    normed, width = layer.input_layernorm(x), attention.head_dim
    query, key, value = (
        projection(normed).unflatten(-1, (-1, width))
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if getattr(attention, "q_norm", None) is not None:
        query, key = attention.q_norm(query), attention.k_norm(key)
    key = torch.cat([old_key, rotate(key, cos, sin).transpose(0, 1)], 1)
    value = torch.cat([old_value, value.transpose(0, 1)], 1)
    query_KGLW = rotate(query, cos, sin).transpose(0, 1).unflatten(0, (key.shape[0], -1))
    scores = query_KGLW @ key[:, None].transpose(2, 3) * width**-0.5
    weights = scores.masked_fill(is_hidden, -torch.inf).softmax(-1)
    attended = (weights @ value[:, None]).flatten(0, 1).transpose(0, 1).flatten(1)
    x = x + attention.o_proj(attended)
    return x + layer.mlp(layer.post_attention_layernorm(x)), key, value
