"""Initial LoRA weights that need more than a layer's own weight, and the plain LoRA that they are saved as.

pissa   Meng et al. 2024, arXiv:2404.02948: A and B are the main singular directions of W and are subtracted from W.
        Saved as B A - B0 A0 on the unchanged W: a LoRA of twice the rank.
loftq   Li et al. 2023, arXiv:2310.08659, one step with the given base: s B A is the best approximation, at this rank,
        of the error of W in 4 bits.
eva     Paischer et al. 2024, arXiv:2410.07170: A is the main directions of the layer's inputs, B is zero.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import EvaConfig, PeftModel
from peft.tuners.lora import LoraLayer, initialize_lora_eva_weights
from peft.utils.integrations import dequantize_bnb_weight
from safetensors import safe_open
from torch import Tensor, nn

from texlens.adapters.attach import PEFT_PREFIX
from texlens.core.errors import ModelError
from texlens.models.checkpoint import tensors
from texlens.models.families.stored_names import parameter_name

INITIAL_WEIGHTS = "initial_lora_weights"
"""Attribute of a model initialized by pissa: A0 and B0 by layer."""


def store_initial_weights(model: PeftModel) -> None:
    """Keeps the initial A and B of every layer, whose product was subtracted from the base."""
    initial = {
        name.removeprefix(PEFT_PREFIX): (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
        for name, layer in _layers(model)
    }
    setattr(
        model, INITIAL_WEIGHTS, {name: (a.detach().clone(), b.detach().clone()) for name, (a, b) in initial.items()}
    )


def as_plain_lora(model: PeftModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`weights` (as PEFT names them) with `[A; A0]` and `[B, -B0]` instead of A and B."""
    initial = getattr(model, INITIAL_WEIGHTS)
    plain = dict(weights)
    for name, (a, b) in initial.items():
        key_a, key_b = f"{PEFT_PREFIX}{name}.lora_A.weight", f"{PEFT_PREFIX}{name}.lora_B.weight"
        plain[key_a] = torch.cat([weights[key_a], a.to(weights[key_a])])
        plain[key_b] = torch.cat([weights[key_b], -b.to(weights[key_b])], dim=1)
    return plain


def from_plain_lora(model: PeftModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `as_plain_lora`."""
    trained = dict(weights)
    for name, (a, b) in getattr(model, INITIAL_WEIGHTS).items():
        key_a, key_b = f"{PEFT_PREFIX}{name}.lora_A.weight", f"{PEFT_PREFIX}{name}.lora_B.weight"
        trained[key_a] = weights[key_a][: a.shape[0]].contiguous()
        trained[key_b] = weights[key_b][:, : b.shape[1]].contiguous()
    return trained


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """adapter_config.json of a LoRA of twice the rank with the same scale."""
    factor = 2**0.5 if settings.get("use_rslora") else 2
    return {
        **settings,
        "init_lora_weights": True,
        "r": 2 * settings["r"],
        "lora_alpha": factor * settings["lora_alpha"],
        "rank_pattern": {name: 2 * rank for name, rank in (settings.get("rank_pattern") or {}).items()},
        "alpha_pattern": {name: factor * alpha for name, alpha in (settings.get("alpha_pattern") or {}).items()},
    }


def initialize_eva(model: PeftModel, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Sets every A from the inputs that its layer sees over `batches`; ranks are not changed."""
    settings: Any = model.peft_config["default"]
    settings.eva_config = EvaConfig(rho=1.0)
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    on_device = [{name: part.to(device) for name, part in batch.items()} for batch in batches]
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        initialize_lora_eva_weights(
            model,
            on_device,
            prepare_model_inputs_fn=None,
            prepare_layer_inputs_fn=_token_rows,
            show_progress_bar=False,
        )
    model.train(was_training)


@torch.no_grad()
def initialize_loftq(model: PeftModel, checkpoint: Path) -> None:
    """Sets every A and B on a 4-bit layer from the error of its weight; the checkpoint's tensors are read one by one.

    Raises:
        ModelError: the checkpoint lacks the weight of an adapted layer.
    """
    layers = {f"{name.removeprefix(PEFT_PREFIX)}.weight": layer for name, layer in _layers(model)}
    for name, weight in _originals(checkpoint, set(layers)):
        layer = layers.pop(name)
        base = layer.get_base_layer()
        if not hasattr(base.weight, "quant_state"):
            continue
        error = weight.to(base.weight.device).float() - dequantize_bnb_weight(base.weight).float()
        u, s, v = torch.linalg.svd(error, full_matrices=False)
        rank, scale = layer.r["default"], layer.scaling["default"]
        root = (s[:rank] / scale).sqrt()
        layer.lora_A["default"].weight.copy_(root[:, None] * v[:rank])
        layer.lora_B["default"].weight.copy_(u[:, :rank] * root)
    if layers:
        raise ModelError(
            f"{checkpoint}: no weight {next(iter(layers))} in it, which init loftq needs; set init: default"
        )


def _token_rows(layer_input: Any, model_input: Any, layer_name: str) -> Tensor:
    """All tokens of a layer's input, one per row, in float32."""
    tokens = layer_input if isinstance(layer_input, Tensor) else layer_input[0]
    return tokens.detach().flatten(0, -2).float()


def _layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and "default" in module.lora_A:
            yield name, module


def _originals(checkpoint: Path, names: set[str]) -> Iterator[tuple[str, Tensor]]:
    for path, stored, _ in tensors(checkpoint):
        name = parameter_name(stored)
        if name in names:
            with safe_open(path, framework="pt") as file:
                yield name, file.get_tensor(stored)
