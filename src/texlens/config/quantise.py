"""`base:` how the frozen checkpoint is held in memory while an adapter is trained on it."""

from typing import Any, Literal

from texlens.config.base import Settings


class QuantiseSettings(Settings):
    quantise: Literal["none", "nf4", "int8", "fp8"] = "none"
    """nf4 (4 bit) and int8 through bitsandbytes, to save memory; fp8, on cards that have it, to be faster. The vision
    tower and the head keep 16 bit."""
    quantise_vision: bool = False
    """fp8: the blocks of the vision tower too, which must be frozen then."""
    double_quantise: bool = True
    """nf4: also quantise the scales, which saves 0.4 bit a weight."""


def check_together(adapter: Any, base: QuantiseSettings) -> None:
    """
    Raises:
        ValueError: an adapter that can't be trained on this base.
    """
    packed = base.quantise != "none"
    kind = adapter.kind
    if kind == "full" and packed:
        raise ValueError(f"base.quantise: {base.quantise} weights can't be trained in full; use none, or kind: lora")
    if kind != "lora":
        return
    if adapter.init == "loftq" and base.quantise != "nf4":
        raise ValueError("adapter.init: loftq makes up for the error of a 4-bit base; set base.quantise: nf4")
    if adapter.init in ("pissa", "orthogonal") and packed:
        instead = "loftq" if base.quantise == "nf4" else "default"
        raise ValueError(
            f"adapter.init: {adapter.init} needs the unquantised weights; set base.quantise: none, or init: {instead}"
        )
    if adapter.dora and base.quantise in ("int8", "fp8"):
        raise ValueError(f"adapter.dora: has no form over a base in {base.quantise}; set base.quantise: nf4 or none")
