"""`base:` how the frozen checkpoint is held in memory while an adapter is trained on it."""

from typing import Any, Literal

from texlens.config.base import Settings


class QuantizeSettings(Settings):
    quantize: Literal["none", "nf4", "int8", "fp8"] = "none"
    """nf4 (4 bit) and int8 through bitsandbytes, to save memory; fp8, on GPUs that have it, to be faster, and with a
    mixture of experts to save memory. The vision tower and the head keep 16 bit."""
    quantize_vision: bool = False
    """fp8: the blocks of the vision tower too, which must be frozen then."""
    double_quantize: bool = True
    """nf4: also quantize the scales, which saves 0.4 bit a weight."""


def check_together(adapter: Any, base: QuantizeSettings) -> None:
    """
    Raises:
        ValueError: an adapter that can't be trained on this base.
    """
    packed = base.quantize != "none"
    kind = adapter.kind
    if kind == "full" and packed:
        raise ValueError(f"base.quantize: {base.quantize} weights can't be trained in full; use none, or kind: lora")
    if kind != "lora":
        return
    if adapter.init == "loftq" and base.quantize != "nf4":
        raise ValueError("adapter.init: loftq makes up for the error of a 4-bit base; set base.quantize: nf4")
    if adapter.init in ("pissa", "orthogonal") and packed:
        instead = "loftq" if base.quantize == "nf4" else "default"
        raise ValueError(
            f"adapter.init: {adapter.init} needs the unquantized weights; set base.quantize: none, or init: {instead}"
        )
    if adapter.dora and base.quantize in ("int8", "fp8"):
        raise ValueError(f"adapter.dora: has no form over a base in {base.quantize}; set base.quantize: nf4 or none")
