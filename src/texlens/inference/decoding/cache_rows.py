"""Rows of a transformers cache that join and leave: of keys and values, and of delta nets' states.

A state does not grow with the tokens, so padding on the left belongs to keys and values alone.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

LINEAR = "linear_attention"


def new_cache(text_config: Any) -> DynamicCache:
    """An empty cache; delta nets need the config, which lists the kinds of the layers."""
    hybrid = LINEAR in (getattr(text_config, "layer_types", None) or ())
    return DynamicCache(config=text_config) if hybrid else DynamicCache()


def select_rows(cache: DynamicCache, rows_B: Tensor, spare: int) -> None:
    """Keeps some of the rows, without the first `spare` positions, which are padding."""
    layers: list[Any] = cache.layers
    for layer in layers:
        if _has_states(layer):
            _change_states(layer, lambda state: state[rows_B.to(state.device)])
        else:
            kept_B = rows_B.to(layer.keys.device)  # layers may be on several GPUs
            layer.keys, layer.values = layer.keys[kept_B, :, spare:], layer.values[kept_B, :, spare:]


def concatenate_rows(cache: DynamicCache, appended: DynamicCache, length: int) -> None:
    """Adds the rows of another cache; the shorter side is padded on the left to `length` positions."""
    pairs: Iterable[tuple[Any, Any]] = zip(cache.layers, appended.layers, strict=True)
    for layer, other in pairs:
        if _has_states(layer):
            _append_states(layer, other)
        else:
            layer.keys = padded_rows(layer.keys, other.keys, length, -2)
            layer.values = padded_rows(layer.values, other.values, length, -2)


def padded_rows(first: Tensor, second: Tensor, length: int, dim: int) -> Tensor:
    """Both along the batch, zero-padded on the left of `dim` (-1 or -2) to `length`."""
    after = [0, 0] * (-1 - dim)
    return torch.cat([pad(part, (*after, length - part.shape[dim], 0)) for part in (first, second)])


def _has_states(layer: Any) -> bool:
    return hasattr(layer, "recurrent_states")


def _change_states(layer: Any, change: Callable[[Tensor], Tensor]) -> None:
    for states in (layer.conv_states, layer.recurrent_states):
        for number, state in states.items():
            states[number] = change(state)


def _append_states(layer: Any, other: Any) -> None:
    for states, others in (
        (layer.conv_states, other.conv_states),
        (layer.recurrent_states, other.recurrent_states),
    ):
        for number, state in states.items():
            states[number] = torch.cat([state, others[number]])
