"""From what was named on the command line to systems."""

from collections.abc import Callable, Sequence
from pathlib import Path

from texlens.config.data import DataSettings
from texlens.core.errors import DataError
from texlens.evaluation.systems.endpoint import EndpointSource
from texlens.evaluation.systems.names import names_of_systems
from texlens.evaluation.systems.opened import OpenedSource
from texlens.evaluation.systems.prediction_file import SUFFIXES, PredictionFileSource
from texlens.evaluation.systems.protocol import SystemSource
from texlens.inputs.chat_template import PromptStyle


def find_systems(systems: Sequence[str], data: DataSettings, free: Callable[[], None]) -> list[SystemSource]:
    """A source for each: a URL is an endpoint, a file predictions, everything else a model that `open_model` opens.

    Args:
        data: whose prompt endpoints and bare models are asked with.
        free: gives back the memory of the systems before.

    Raises:
        ConfigError: a system named twice.
        ModelError, RunError, DataError: one that is not there, named before any weight is read.
    """
    sources: list[SystemSource] = []
    for name, system in names_of_systems(systems).items():
        if "://" in system:
            sources.append(EndpointSource(name, system, PromptStyle(data.prompt, data.system_prompt)))
        elif system.endswith(SUFFIXES):
            sources.append(PredictionFileSource(name, Path(system)))
        else:
            sources.append(OpenedSource(name, system, data, free))
    for source in sources:
        if isinstance(source, PredictionFileSource) and not source.path.is_file():
            raise DataError(f"{source.path}: no such file of predictions; check the path")
        if isinstance(source, OpenedSource):
            _ = source.source
    return sources
