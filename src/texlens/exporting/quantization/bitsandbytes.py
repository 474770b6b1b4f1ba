"""Settings that bitsandbytes' formats have in common."""

from collections.abc import Sequence
from typing import Any

from texlens.models.families import HEAD


def base_settings(unquantized: Sequence[str]) -> dict[str, Any]:
    """transformers matches the names from the model's root, vLLM as part of its own names; so both are listed."""
    from_root = [f"model.{name}" for name in unquantized if name != HEAD]
    return {"quant_method": "bitsandbytes", "llm_int8_skip_modules": [*unquantized, *from_root]}
