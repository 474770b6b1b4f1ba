"""Loading a model whose decoder layers are divided among processes: none of them has the whole model in memory.

Everything outside of the decoder layers' matrices is read whole; those are placeholders until `divide_model` reads the
rows that this process keeps.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from texlens.core.errors import ModelError
from texlens.models.checkpoint import CONFIG, check_checkpoint, read_config
from texlens.models.device import choose_attention, choose_device, choose_dtype
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.meta_model import model_without_weights, move_buffers
from texlens.models.sharding.checkpoint_rows import CheckpointRows
from texlens.models.sharding.division import Division
from texlens.models.sharding.weights import STACK, is_divided_name, parameter_owner, placeholder

LAYERS = f"{LANGUAGE_MODEL}.layers."


def load_to_divide(
    folder: str | Path, division: Division, *, device: str = "auto", dtype: str = "auto", attention: str = "auto"
) -> tuple[PreTrainedModel, CheckpointRows]:
    """The model in a checkpoint's folder, as `load_model`, with placeholders for what `division` divides, and where
    their rows are read.

    Raises:
        ModelError: the checkpoint is unknown, damaged, quantized, or lacks weights.
    """
    folder, on = Path(folder), choose_device(device)
    config, _ = read_config(folder), check_checkpoint(folder)
    if "quantization_config" in config:
        raise ModelError(f"{folder}: its weights are quantized, and those can't be divided; use the 16-bit checkpoint")
    options = {"dtype": choose_dtype(dtype, on), "attn_implementation": choose_attention(attention, on)}
    model: Any = model_without_weights(config, str(folder / CONFIG), **options)
    parameters = dict(model.named_parameters())
    rows = CheckpointRows(folder, {name: tuple(part.shape) for name, part in parameters.items()}, options["dtype"])
    for name, parameter in parameters.items():
        owner, leaf = parameter_owner(model, name)
        is_divided = name.startswith(LAYERS) and _is_divided(name, division)
        value = placeholder(parameter.shape, options["dtype"], on) if is_divided else _whole(rows, name, on)
        setattr(owner, leaf, value)
    model.tie_weights()
    move_buffers(model, on)
    return model.eval(), rows


def _is_divided(name: str, division: Division) -> bool:
    return is_divided_name(name) if division.weights else bool(STACK.search(name))


def _whole(rows: CheckpointRows, name: str, device: torch.device) -> nn.Parameter:
    return nn.Parameter(rows(name).to(device))
