"""Combinations of an adapter plan and a quantized base that can't be trained."""

from texlens.adapters.model_layout import linear_layers
from texlens.adapters.plan import AdapterPlan
from texlens.config.quantize import QuantizeSettings
from texlens.core.errors import ConfigError
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.fp8 import BLOCKS
from texlens.models.meta_model import meta_model


def check_modules_to_save(plan: AdapterPlan, quantize: str, model_config: dict) -> None:
    """
    Raises:
        ConfigError: a module that is to be trained in full, but whose weights `base.quantize` packs.
    """
    if quantize == "none" or not plan.modules_to_save:
        return
    layers = linear_layers(meta_model(model_config))
    quantized = [layer.name for layer in layers if layer.name.startswith(LANGUAGE_MODEL)]
    for module in plan.modules_to_save:
        if any(f"{name}.".startswith(f"{module}.") for name in quantized):
            raise ConfigError(
                f"adapter.modules_to_save: {module} has weights that base.quantize: {quantize} packs, which can't be "
                f"trained in full; remove it, or set base.quantize: none"
            )


def check_quantized_vision(plan: AdapterPlan, base: QuantizeSettings) -> None:
    """
    Raises:
        ConfigError: another format than fp8 for the vision tower, or layers of it are to be trained, which fp8 holds
            for the forward pass only.
    """
    if not base.quantize_vision:
        return
    if base.quantize != "fp8":
        raise ConfigError(
            f"base.quantize_vision: true needs base.quantize: fp8, and this is {base.quantize}; set "
            f"base.quantize_vision: false"
        )
    adapted = sum(row.matched for row in plan.coverage if row.group == "vision")
    in_full = [name for name in plan.modules_to_save if f"{name}.".startswith(BLOCKS) or BLOCKS.startswith(f"{name}.")]
    if adapted or in_full:
        trained = (
            f"adapter.modules_to_save: {in_full[0]}" if in_full else f"adapter: {adapted} layers of the vision tower"
        )
        raise ConfigError(
            f"{trained} can't be trained with base.quantize_vision: true, which holds the tower in fp8 for the forward "
            f"pass only; freeze the tower, or set base.quantize_vision: false"
        )
