"""The samples and tiny checkpoints that the tests of `models` use too."""

from tests.unit.models.conftest import checkpoint, samples

__all__ = ["checkpoint", "samples"]
