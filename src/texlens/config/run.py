"""The `RunConfig`: everything that decides a run, as one frozen tree."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from texlens.config.adapter import AdapterSettings, LoraSettings
from texlens.config.base import Settings
from texlens.config.data import DataSettings
from texlens.config.evaluate import EvaluateSettings
from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings, check_together
from texlens.config.train import TrainSettings

SCHEMA_VERSION = 2
"""Of config.yaml in a run folder; 0.1 wrote none, which counts as 1."""


class RunConfig(Settings):
    schema_version: Literal[2] = SCHEMA_VERSION
    """Version of the names in this file; `config.yaml` of a run folder records it, run files need not."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    """The run folder's name; a number is added where it is taken."""
    output: str = "runs"
    """The folder that run folders are made in."""
    model: ModelSettings
    data: DataSettings
    adapter: AdapterSettings = LoraSettings()
    base: QuantizeSettings = QuantizeSettings()
    train: TrainSettings = TrainSettings(epochs=1)
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="before")
    @classmethod
    def _lora_unless_said(cls, values):
        """`adapter:` without a kind is LoRA."""
        adapter = values.get("adapter") if isinstance(values, dict) else None
        if isinstance(adapter, dict) and "kind" not in adapter:
            return {**values, "adapter": {"kind": "lora", **adapter}}
        return values

    @model_validator(mode="after")
    def _adapter_fits_base(self):
        check_together(self.adapter, self.base)
        if self.train.optimizer.lora_plus_ratio and self.adapter.kind == "full":
            raise ValueError("train.optimizer.lora_plus_ratio: weights trained in full have no A and B; remove it")
        return self

    @model_validator(mode="after")
    def _best_is_what_the_objective_improves(self):
        validation, kind = self.train.validation, self.train.objective.kind
        if kind == "grpo" and self.data.splits.validation is not None and validation.best_by == "validation_loss":
            raise ValueError(
                "train.validation.best_by: validation_loss is the likelihood of the rows' texts, which objective grpo "
                "does not improve; set generation_rows: 100 and best_by: exact_match_canonical, or "
                "data.splits.validation: null"
            )
        return self

    @model_validator(mode="after")
    def _features_are_constants(self):
        if self.train.cache_features == "on" and self.data.augment is not None:
            raise ValueError(
                "train.cache_features: on can't be used with data.augment, which changes images in each epoch; "
                "set one of the two to off or none"
            )
        if self.train.cache_features == "on" and self.train.compute.backend == "plain":
            raise ValueError("train.cache_features: on needs the packed backend; set train.compute.backend: auto")
        return self
