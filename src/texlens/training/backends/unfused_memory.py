"""What decoder layers that run module by module save for their backward passes, measured on one of each kind.

Unlike a fused layer's, it depends on the adapter, the base and the modules of other libraries.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from texlens.inference.evaluation_mode import evaluation_mode
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.backends import without_triton
from texlens.models.packed.hybrid import HybridModuleLayer
from texlens.models.packed.memory import CPU_PADDING, dora_bytes_per_token, padded_attention_bytes, saved_per_layer
from texlens.models.packed.mixers import mixer_of
from texlens.models.packed.text import RECOMPUTE, ModuleLayer, unfused_reason

TOKENS = {"cuda": 1024, "cpu": 64}
"""Of the measurement; on a GPU the allocator rounds each tensor up to 512 bytes."""


def saved_besides(model: Any) -> dict[str, int]:
    """Bytes a token by what is recomputed that layers save beyond `peak_of_pack`: results before DoRA's scaling, and
    what layers module by module save."""
    parameter = next(model.parameters())
    is_exact = parameter.dtype in (torch.float32, torch.float64)
    unfused = unfused_layers(model, "triton" if parameter.is_cuda else "cpu" if is_exact else "reference")
    dora, more = dora_bytes_per_token(model, unfused), unfused_bytes_per_token(model, unfused)
    return {mode: dora[mode] + more.get(mode, 0) for mode in RECOMPUTE}


def unfused_layers(model: Any, backend: str) -> dict[int, str]:
    """Numbers of the decoder layers that run module by module, and why."""
    reasons = (
        (number, unfused_reason(layer, backend)) for number, layer in enumerate(model.model.language_model.layers)
    )
    return {number: reason for number, reason in reasons if reason}


def unfused_bytes_per_token(model: Any, unfused: dict[int, str]) -> dict[str, int]:
    """Bytes a token by what is recomputed, beyond what `models.packed.memory` counts for these layers."""
    if not unfused:
        return {}
    config, text = model.config.text_config, model.model.language_model
    itemsize = max(next(text.parameters()).itemsize, 2)
    padded = 0 if next(text.parameters()).is_cuda else padded_attention_bytes(config, "full", itemsize) / CPU_PADDING
    kinds: dict[tuple[str, bool], float] = {}
    saved = []
    for number, reason in unfused.items():
        layer = text.layers[number]
        mixer = mixer_of(layer, config)
        kind = reason, mixer is None
        if kind not in kinds:
            run = ModuleLayer(layer) if mixer is None else HybridModuleLayer(layer, mixer)
            kinds[kind] = saved_by(layer, run, config) - padded
        saved.append(kinds[kind])
    more = {mode: sum(max(0, each - saved_per_layer(config, mode, itemsize)) for each in saved) for mode in RECOMPUTE}
    more["full"] = max(0, max(saved) - saved_per_layer(config, "mlp", itemsize))
    return {mode: round(count) for mode, count in more.items()}


def saved_by(layer: nn.Module, run: Callable[..., Tensor], text_config: Any) -> float:
    """Bytes that a layer saves in training for each token more, its input included."""
    device = next(layer.parameters()).device
    tokens = TOKENS.get(device.type, TOKENS["cpu"])
    with evaluation_mode(layer), torch.random.fork_rng([device] if device.type == "cuda" else []):
        layer.train()
        try:
            return _bytes_per_token(layer, run, text_config, tokens)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001  a compiler may raise anything; the check of the kernels reports it
            with without_triton():
                return _bytes_per_token(layer, run, text_config, tokens)


def _bytes_per_token(layer: nn.Module, run: Callable[..., Tensor], text_config: Any, tokens: int) -> float:
    sizes = tokens, tokens, 2 * tokens  # the first call fills caches of libraries
    _, few, many = (_saved_bytes(layer, run, text_config, count) for count in sizes)
    return (many - few) / tokens


def _saved_bytes(layer: nn.Module, run: Callable[..., Tensor], text_config: Any, tokens: int) -> int:
    norm = next(part for name, part in layer.named_parameters() if name.endswith("layernorm.weight"))
    width = getattr(text_config, "head_dim", None) or text_config.hidden_size // text_config.num_attention_heads
    rotary = round(width * (getattr(text_config, "rope_parameters", None) or {}).get("partial_rotary_factor", 1.0))
    x = torch.randn(tokens, text_config.hidden_size, dtype=norm.dtype, device=norm.device, requires_grad=True)
    cos, sin = (torch.ones(tokens, rotary, device=norm.device) for _ in range(2))
    segments = make_segments(torch.tensor([0, tokens], dtype=torch.int32, device=norm.device), tokens)
    if norm.is_cuda:
        before = torch.cuda.memory_allocated(norm.device)
        result = run(x, cos, sin, segments)
        saved = torch.cuda.memory_allocated(norm.device) - before
        del result
        return saved
    storages = _Saved([*layer.parameters(), *layer.buffers(), cos, sin])
    with torch.autograd.graph.saved_tensors_hooks(storages.pack, lambda tensor: tensor):
        run(x, cos, sin, segments)
    storages.pack(x)
    return storages.nbytes


class _Saved:
    """Storages of what autograd saves, but for those of `known` tensors."""

    def __init__(self, known: list[Tensor]):
        self._known = {part.untyped_storage().data_ptr() for part in known}
        self._sizes: dict[int, int] = {}
        self._kept: list[Tensor] = []

    def pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._sizes[storage.data_ptr()] = storage.nbytes()
            self._kept.append(tensor.detach())  # its address is not given to another one
        return tensor

    @property
    def nbytes(self) -> int:
        return sum(self._sizes.values())
