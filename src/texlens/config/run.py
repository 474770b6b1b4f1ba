"""The `RunConfig`: everything that decides a run, as one frozen tree."""

from typing import Annotated

from pydantic import Field

from texlens.config.adapter import LoraSettings
from texlens.config.base import Settings
from texlens.config.data import DataSettings
from texlens.config.evaluate import EvaluateSettings
from texlens.config.model import ModelSettings
from texlens.config.train import TrainSettings


class RunConfig(Settings):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    """The run folder's name; a number is added where it is taken."""
    output: str = "runs"
    """The folder that run folders are made in."""
    model: ModelSettings
    data: DataSettings
    adapter: LoraSettings = LoraSettings()
    train: TrainSettings = TrainSettings(epochs=1)
    evaluate: EvaluateSettings = EvaluateSettings()
