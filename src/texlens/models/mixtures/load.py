"""Loading a mixture of experts in float8 or NF4: layer by layer, so that one decoder layer at most has 16 bits.

transformers quantizes linear layers while it loads, but stacked experts, nearly all weights of a mixture, only after
all are in memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import dispatch_model
from torch import nn
from transformers import PreTrainedModel

from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ModelError
from texlens.models.checkpoint import CONFIG, read_config
from texlens.models.device import Placement, compute_on_their_devices, on_gpu
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.families.expert_stacks import STACKS
from texlens.models.fp8 import quantize_linear_layers, quantize_vision
from texlens.models.meta_model import model_without_weights, move_buffers
from texlens.models.mixtures.experts import (
    Fp8Stack,
    Nf4Stack,
    QuantizedExperts,
    QuantizedStackModule,
)
from texlens.models.weight_rows.checkpoint_rows import CheckpointRows
from texlens.models.weight_rows.rows import WeightRows, parameter_owner

LAYERS = f"{LANGUAGE_MODEL}.layers"


def load_quantized_mixture(
    folder: Path,
    quantize: QuantizeSettings,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: str,
    placement: Placement | None = None,
) -> PreTrainedModel:
    """The mixture in a checkpoint's folder in eval mode, with the decoder layers' weights in fp8 or NF4.

    Args:
        placement: devices of its parts, where they are not all on `device`.

    Raises:
        ModelError: the checkpoint is quantized already, lacks weights, or has widths that the format can't hold.
    """
    config = read_config(folder)
    if "quantization_config" in config:
        raise ModelError(
            f"{folder}: its weights are quantized, and base.quantize: {quantize.quantize} quantizes those of 16 bits; "
            f"use the 16-bit checkpoint"
        )
    model = model_without_weights(config, str(folder / CONFIG), dtype=dtype, attn_implementation=attention)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    filled: Any = fill_quantized(model, CheckpointRows(folder, shapes, dtype), quantize, device, placement=placement)
    if placement:
        dispatch_model(filled, device_map=dict(placement))
        compute_on_their_devices(filled, placement)
    return filled


def fill_quantized(
    model: Any,
    rows_of: WeightRows,
    quantize: QuantizeSettings,
    device: torch.device,
    after_layer: Callable[[nn.Module, str], None] | None = None,
    placement: Placement | None = None,
) -> PreTrainedModel:
    """Reads the weights of a model without any; those of decoder layers are quantized as soon as their layer is read.

    Args:
        model: of `meta_model.model_without_weights`.
        rows_of: reads the values of a parameter.
        after_layer: is called with each decoder layer once it is quantized, and its name.
    """
    names = [name for name, _ in model.named_parameters()]
    places = _Places(placement, device)
    _fill(model, (name for name in names if not name.startswith(f"{LAYERS}.")), rows_of, places)
    model.tie_weights()
    move_buffers(model, device)
    for number in range(len(model.get_submodule(LAYERS))):
        prefix = f"{LAYERS}.{number}"
        _fill(model, (name for name in names if name.startswith(f"{prefix}.")), rows_of, places)
        with on_gpu(places.of(prefix)):
            quantize_layer(model, prefix, quantize)
        if after_layer is not None:
            after_layer(model.get_submodule(prefix), prefix)
    if quantize.quantize == "nf4":
        model.is_loaded_in_4bit = True  # PEFT adapts 4-bit layers where it is set
    elif quantize.quantize_vision:
        quantize_vision(model)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return model


@torch.no_grad()
def quantize_layer(model: nn.Module, prefix: str, quantize: QuantizeSettings) -> None:
    """Replaces the linear layers and the stacked experts of a decoder layer in place."""
    if quantize.quantize == "fp8":
        quantize_linear_layers(model, prefix)
    else:
        _linear_layers_in_nf4(model.get_submodule(prefix), double=quantize.double_quantize)
    mlp = model.get_submodule(f"{prefix}.mlp")
    if hasattr(mlp, "experts"):
        quantize_experts(mlp, quantize)


@torch.no_grad()
def quantize_experts(mlp: Any, quantize: QuantizeSettings) -> None:
    """Replaces the stacked experts of a mixture in place."""
    stacks = {name: _stack(mlp.experts, name, quantize) for name in STACKS}
    mlp.experts = QuantizedExperts(mlp.experts, stacks)


def _stack(experts: Any, name: str, quantize: QuantizeSettings) -> QuantizedStackModule:
    weights = getattr(experts, name).detach()
    if quantize.quantize == "fp8":
        return Fp8Stack.of(weights)
    return Nf4Stack.of(weights, double=quantize.double_quantize)


def _linear_layers_in_nf4(layer: nn.Module, *, double: bool) -> None:
    for parent in list(layer.modules()):
        for leaf, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, leaf, _in_nf4(child, double=double))


def _in_nf4(linear: nn.Linear, *, double: bool) -> nn.Module:
    """As transformers makes it while it loads a checkpoint with `BitsAndBytesConfig`."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    weight = linear.weight.detach()
    options: dict[str, Any] = {"quant_type": "nf4", "compress_statistics": double}
    layer = Linear4bit(linear.in_features, linear.out_features, compute_dtype=weight.dtype, device="meta", **options)
    layer.weight = Params4bit(weight, requires_grad=False, module=layer, **options).to(weight.device)
    layer.bias = linear.bias
    if layer.bias is not None:
        layer.bias.requires_grad_(False)
    return layer


@dataclass(frozen=True)
class _Places:
    """Devices of a model's parts; `device` is that of what no part holds."""

    placement: Placement | None
    device: torch.device

    def of(self, name: str) -> torch.device:
        parts = (part for part in self.placement or () if name == part or name.startswith(f"{part}."))
        part = next(parts, None)
        return self.device if part is None or self.placement is None else torch.device(self.placement[part])


def _fill(model: nn.Module, names: Iterable[str], rows_of: WeightRows, places: _Places) -> None:
    for name in names:
        owner, leaf = parameter_owner(model, name)
        setattr(owner, leaf, nn.Parameter(rows_of(name, slice(None)).to(places.of(name))))
