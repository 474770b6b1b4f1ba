"""The samples, tiny checkpoints and scheduler that the tests of `models` and `serve` use too."""

from tests.unit.models.conftest import checkpoint, samples
from tests.unit.serve.conftest import scheduler

__all__ = ["checkpoint", "samples", "scheduler"]
