"""Where a training takes its base model from: a fresh one, or one that several trainings of a process share."""

from typing import Any, Protocol

from transformers import PreTrainedModel

from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.models.build import BaseCheckpoint, build_model


class BaseModels(Protocol):
    def load(self, base: BaseCheckpoint, settings: ModelSettings, quantize: QuantizeSettings) -> PreTrainedModel:
        """The base's weights in memory, as they are in its files.

        Raises:
            ConfigError: this base can't be quantized so on this device.
        """
        ...

    def release(self, adapted: Any) -> None:
        """Takes back the trained model, with its adapter on it."""
        ...


class FreshModels:
    """Reads the files for each training."""

    def load(self, base: BaseCheckpoint, settings: ModelSettings, quantize: QuantizeSettings) -> PreTrainedModel:
        return build_model(base, settings, quantize)

    def release(self, adapted: Any) -> None:
        return None


FRESH_MODELS = FreshModels()
