"""The samples, tiny checkpoints and engine that the tests of `models` and `serve` use too."""

from tests.unit.models.conftest import checkpoint, samples
from tests.unit.serve.conftest import engine

__all__ = ["checkpoint", "engine", "samples"]
