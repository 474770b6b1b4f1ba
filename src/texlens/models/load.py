"""Loading a model: class and sizes from the checkpoint's own config, weights from safetensors, nothing else run."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError, ModelError, one_line
from texlens.models.checkpoint import CONFIG, check_checkpoint, read_config
from texlens.models.device import choose_attention, choose_device, choose_dtype, compute_on_their_devices
from texlens.models.families import family_of
from texlens.models.fp8 import fp8_layers, kept_in_16_bits, quantize_in_fp8
from texlens.models.meta_model import build_config, count_parameters, model_class
from texlens.models.mixtures.experts import quantized_experts
from texlens.models.mixtures.load import load_quantized_mixture
from texlens.models.processor import Processor, load_processor, save_processor
from texlens.models.quantized import is_packed, quantization

__all__ = ["Processor", "describe", "load_model", "load_processor", "random_model", "save_processor"]


def load_model(
    folder: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    trust_remote_code: bool = False,
    random_weights: bool = False,
    quantize: QuantizeSettings | None = None,
    placement: Mapping[str, torch.device | str] | None = None,
) -> PreTrainedModel:
    """The model in a checkpoint's folder, in eval mode, on its device.

    Args:
        device: `auto` is the GPU of this process where there is one, else the CPU.
        dtype: `auto` is bfloat16 on a GPU and float32 on the CPU.
        attention: `auto` is torch's own (sdpa); `describe(model)["attention"]` has the choice.
        trust_remote_code: run the model class in the checkpoint's own code (its `auto_map`); otherwise the class is the
            one in transformers.
        quantize: quantize the linear layers of the language model while they are loaded, or for fp8 one by one after
            all are loaded in 16 bits; of mixtures, the stacked experts too, layer by layer while they are loaded.
        placement: devices of its parts, where they are not all on `device`.
        random_weights: ignore the folder's weights; draw them from torch's generator.

    Raises:
        ModelError: the checkpoint is unknown, damaged, or lacks weights.
        ConfigError: an impossible device, dtype or attention.
    """
    config = read_config(folder)
    on = choose_device(device)
    options: dict[str, Any] = {"dtype": choose_dtype(dtype, on), "attn_implementation": choose_attention(attention, on)}
    if random_weights:
        return _moved(random_model(config, where=str(Path(folder) / CONFIG), **options), on)
    family = check_checkpoint(folder)
    _check_library(config, folder)
    brings_code = trust_remote_code and "auto_map" in config
    loader: Any = AutoModelForImageTextToText if brings_code else model_class(family)
    if quantize and quantize.quantize in ("fp8", "nf4") and family.expert_parameters:
        _check_stock_class(brings_code, quantize)
        attention = options["attn_implementation"]
        return load_quantized_mixture(
            Path(folder), quantize, device=on, dtype=options["dtype"], attention=attention, placement=placement
        )
    if brings_code:
        options["trust_remote_code"] = True
    if quantize and (packing := quantization(quantize, options["dtype"])):
        options["quantization_config"] = packing
    options |= {
        "local_files_only": True,
        "use_safetensors": True,
        "output_loading_info": True,
        "device_map": placement or {"": on},
    }
    model, loaded = _loaded(loader, folder, options)
    _check_loaded(loaded, folder)
    if "quantization_config" in config:
        _in_one_type(model, options["dtype"])
    if quantize and quantize.quantize == "fp8":
        quantize_in_fp8(model, vision=quantize.quantize_vision)
        if not fp8_layers(model):
            raise ModelError(f"{folder}: no linear layer can be fp8; is it quantized? set base.quantize: none")
    if placement:
        compute_on_their_devices(model, placement)
    return model.eval()


def _check_stock_class(brings_code: bool, quantize: QuantizeSettings) -> None:
    """
    Raises:
        ConfigError: a mixture by the checkpoint's own code, whose experts have an unknown form.
    """
    if brings_code:
        raise ConfigError(
            f"base.quantize: {quantize.quantize} with a mixture of experts needs transformers' own model class; set "
            f"model.trust_remote_code: false, or base.quantize: none"
        )


def _loaded(loader: Any, folder: str | Path, options: dict[str, Any]) -> tuple[Any, dict]:
    """
    Raises:
        ModelError: config and weights don't make a model; transformers reports this by errors of any kind.
    """
    try:
        return loader.from_pretrained(folder, **options)
    except (MemoryError, torch.OutOfMemoryError, OSError):
        raise
    except Exception as error:
        raise ModelError(
            f"{folder}: can't be loaded ({one_line(error, 300)}); download the checkpoint again"
        ) from error


def random_model(
    config: dict, *, dtype: torch.dtype = torch.float32, attn_implementation: str = "sdpa", where: str = CONFIG
) -> PreTrainedModel:
    """A model of this config with random weights from torch's global generator, in eval mode."""
    family = family_of(config, where)
    built = build_config(config, where)
    return model_class(family)._from_config(built, dtype=dtype, attn_implementation=attn_implementation).eval()


def describe(model: PreTrainedModel) -> dict:
    """The model in a run's summary: class, parameters, dtype, device and attention; with fp8 layers also their number,
    and the names of those that were requested and have 16 bits; and the number of layers with quantized experts."""
    experts = sum(1 for _ in quantized_experts(model))
    parameter, quantized = next(model.parameters()), fp8_layers(model)
    parameters = model.num_parameters() if is_packed(model) else count_parameters(model)
    return {
        "class": type(model).__name__,
        "parameters": parameters + sum(layer.codes.numel() for layer in quantized),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "device": str(parameter.device),
        "attention": model.config._attn_implementation,
        **({"fp8_layers": len(quantized), "kept_in_16_bits": list(kept_in_16_bits(model))} if quantized else {}),
        **({"quantized_expert_layers": experts} if experts else {}),
    }


def _moved(model: Any, device: torch.device) -> PreTrainedModel:
    return model.to(device)


def _check_library(config: dict, folder: str | Path) -> None:
    """
    Raises:
        ModelError: the weights are quantized by a library that is not installed.
    """
    method = (config.get("quantization_config") or {}).get("quant_method")
    package = {"bitsandbytes": "bitsandbytes", "compressed-tensors": "compressed_tensors"}.get(str(method))
    if package and importlib.util.find_spec(package) is None:
        raise ModelError(f"{folder}: reading these weights needs the package {method}; pip install {method}")


def _in_one_type(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Casts the 16-bit weights of a quantized checkpoint, which transformers leaves in their stored type."""
    for parameter in model.parameters():
        if type(parameter) is torch.nn.Parameter and parameter.dtype in (torch.float16, torch.bfloat16, torch.float32):
            parameter.data = parameter.data.to(dtype)


def _check_loaded(loaded: dict, folder: str | Path) -> None:
    missing = sorted(loaded.get("missing_keys") or [])
    if missing:
        raise ModelError(
            f"{folder}: the weights lack {missing[0]} ({len(missing)} tensors in all); "
            f"they belong to another config; download the checkpoint again"
        )
    mismatched = sorted(str(key) for key in loaded.get("mismatched_keys") or [])
    if mismatched:
        raise ModelError(f"{folder}: {mismatched[0]} has another shape than in {CONFIG}; download the checkpoint again")
