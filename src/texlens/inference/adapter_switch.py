"""One torch model with several adapters on it, of which one is active at a time."""

from typing import Any

import torch
from peft import PeftModel

FIRST_ADAPTER = "default"
"""PEFT's name of the adapter that a model is wrapped with."""
UNCHANGED = "as it is"
"""Instead of an adapter's name: the model is used in the state it is in (a model in training, for example)."""


class AdapterSwitch:
    """Activates adapters of `model`; shared by everything that computes with it. Not thread-safe."""

    def __init__(self, model: torch.nn.Module):
        self.model = model
        self.cache: dict[str, Any] = {}
        """What a decoder keeps for the model as long as it is open, by the decoder's name."""
        self._active: str | None = UNCHANGED

    def activate(self, adapter: str | None) -> None:
        """Let the next forwards go through one adapter, or through the base alone (None)."""
        if adapter in (UNCHANGED, self._active) or not isinstance(self.model, PeftModel):
            return
        layers: Any = self.model.base_model
        if adapter is None:
            layers.disable_adapter_layers()
        else:
            layers.enable_adapter_layers()
            self.model.set_adapter(adapter)
        self._active = adapter
