"""Loading a model whose decoder layers are divided among processes: none of them has the whole model in memory.

Everything outside of the decoder layers' matrices is read whole; those are placeholders until `divide_model` reads the
rows that this process keeps.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ModelError
from texlens.kernels.experts.dispatch import ExpertOwners
from texlens.models.checkpoint import CONFIG, check_checkpoint, read_config
from texlens.models.device import choose_attention, choose_device, choose_dtype
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.meta_model import model_without_weights, move_buffers
from texlens.models.mixtures.experts import quantized_experts
from texlens.models.mixtures.load import fill_quantized
from texlens.models.sharding.division import Division
from texlens.models.sharding.quantized import CodeRows
from texlens.models.sharding.weights import STACK, is_divided_name
from texlens.models.weight_rows.checkpoint_rows import CheckpointRows
from texlens.models.weight_rows.placeholders import placeholder
from texlens.models.weight_rows.rows import WeightRows, parameter_owner

LAYERS = f"{LANGUAGE_MODEL}.layers."


def load_to_divide(
    folder: str | Path,
    division: Division,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    quantize: QuantizeSettings | None = None,
) -> tuple[PreTrainedModel, WeightRows]:
    """The model in a checkpoint's folder, as `load_model`, with placeholders for what `division` divides, and where
    their rows are read.

    Args:
        quantize: of fp8 and NF4, each layer is read and quantized as a whole, and this process's rows are kept.

    Raises:
        ModelError: the checkpoint is unknown, damaged, quantized, or lacks weights.
    """
    folder, on = Path(folder), choose_device(device)
    config, _ = read_config(folder), check_checkpoint(folder)
    if "quantization_config" in config:
        raise ModelError(f"{folder}: its weights are quantized, and those can't be divided; use the 16-bit checkpoint")
    options = {"dtype": choose_dtype(dtype, on), "attn_implementation": choose_attention(attention, on)}
    model: Any = model_without_weights(config, str(folder / CONFIG), **options)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    rows = CheckpointRows(folder, shapes, options["dtype"])
    if quantize and quantize.quantize in ("fp8", "nf4"):
        return fill_quantized_to_divide(model, division, rows, quantize, on)
    return fill_to_divide(model, division, rows, on), rows


def fill_quantized_to_divide(
    model: Any, division: Division, rows_of: WeightRows, quantize: QuantizeSettings, device: torch.device
) -> tuple[PreTrainedModel, WeightRows]:
    """As `fill_to_divide`, with decoder layers in fp8 or NF4; and where this process's rows are."""
    code_rows = CodeRows(division, rows_of)

    def keep(layer: nn.Module, prefix: str) -> None:
        if division.experts:
            owners = ExpertOwners.of(model.config.text_config.num_experts, division.rank, division.processes)
            for experts in quantized_experts(layer):
                experts.keep(owners.experts)
        if division.weights:
            code_rows.keep(layer, prefix)

    return fill_quantized(model, rows_of, quantize, device, keep).eval(), code_rows


def fill_to_divide(model: Any, division: Division, rows_of: WeightRows, device: torch.device) -> PreTrainedModel:
    """Fills a model without weights in place: placeholders for what `division` divides, all else from `rows_of`.

    Args:
        model: of `meta_model.model_without_weights`.
    """
    for name, parameter in dict(model.named_parameters()).items():
        owner, leaf = parameter_owner(model, name)
        is_divided = name.startswith(LAYERS) and _is_divided(name, division)
        value = placeholder(parameter.shape, parameter.dtype, device) if is_divided else _whole(rows_of, name, device)
        setattr(owner, leaf, value)
    model.tie_weights()
    move_buffers(model, device)
    return model.eval()


def _is_divided(name: str, division: Division) -> bool:
    if division.weights:
        return is_divided_name(name)
    return division.experts and bool(STACK.search(name))


def _whole(rows_of: WeightRows, name: str, device: torch.device) -> nn.Parameter:
    return nn.Parameter(rows_of(name, slice(None)).to(device))
