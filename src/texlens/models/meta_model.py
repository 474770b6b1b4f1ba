"""A model without weights, on torch's meta device: its modules and shapes can be counted, nothing is computed.

`texlens plan` builds a 31-billion-parameter model in about a second and no memory.
"""

from collections.abc import Mapping
from typing import cast

import torch
import transformers
from accelerate import init_empty_weights
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from texlens.core.errors import ModelError
from texlens.models.families import Family, family_of


def meta_model(config: Mapping, where: str = "config.json") -> PreTrainedModel:
    """The model that a config.json (as a dict) describes, all parameters on the meta device, tied weights tied.

    Raises:
        ModelError: an unknown family, or sizes that don't fit together.
    """
    family = family_of(config, where)
    try:
        with torch.device("meta"):
            return model_class(family)(build_config(config, where))
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise ModelError(f"{where}: no {family.title} can be built ({_line(error)}); check its sizes") from error


def model_without_weights(
    config: Mapping, where: str = "config.json", *, dtype: torch.dtype, attn_implementation: str = "sdpa"
) -> PreTrainedModel:
    """The model that a config.json describes, its parameters on the meta device and its buffers, which no checkpoint
    has, on the CPU, to be filled tensor by tensor."""
    family = family_of(config, where)
    options = {"dtype": dtype, "attn_implementation": attn_implementation}
    with init_empty_weights(include_buffers=False):
        model = model_class(family)._from_config(build_config(config, where), **options)
    model.tie_weights()
    return model.eval()


def move_buffers(model: torch.nn.Module, device: torch.device) -> None:
    """Moves the buffers of such a model."""
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device)


def build_config(config: Mapping, where: str = "config.json") -> PreTrainedConfig:
    """The dict as the family's own transformers config."""
    family = family_of(config, where)
    check_transformers(family, where)
    try:
        return CONFIG_MAPPING[family.model_type].from_dict(dict(config))
    except Exception as error:
        raise ModelError(f"{where}: not a valid {family.title} config ({_line(error)}); download it again") from error


def check_transformers(family: Family, where: str = "config.json") -> None:
    """
    Raises:
        ModelError: the installed transformers lacks the family.
    """
    if family.model_type not in CONFIG_MAPPING:
        raise ModelError(
            f"{where}: transformers {transformers.__version__} has no {family.title}; "
            f"pip install 'transformers>={family.min_transformers}'"
        )


def model_class(family: Family) -> type[PreTrainedModel]:
    """The class that transformers' auto classes know for the family, registered ones included."""
    return cast(type[PreTrainedModel], MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[CONFIG_MAPPING[family.model_type]])


def count_parameters(model: torch.nn.Module) -> int:
    """Parameters of the model; one that is used twice (a tied head) counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
