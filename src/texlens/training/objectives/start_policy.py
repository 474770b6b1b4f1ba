"""The model as it was when training began, in the memory of the model that is trained.

The trained weights (an adapter's, or those of full training) are replaced by their first values for the length of a
block. A new adapter adds nothing to its base, so for it this is the adapter switched off; an adapter that training
goes on from, or one whose initial weights are computed from the base, is what it was.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from texlens.inference.evaluation_mode import evaluation_mode


class StartPolicy:
    """
    Args:
        model: with its first weights; they are copied now.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._start = [parameter.detach().clone() for parameter in self._parameters]

    @contextmanager
    def active(self) -> Iterator[None]:
        """The start's weights, in evaluation mode and without gradients."""
        now = [parameter.detach().clone() for parameter in self._parameters]
        self._write(self._start)
        try:
            with evaluation_mode(self.model), torch.no_grad():
                yield
        finally:
            self._write(now)

    @torch.no_grad()
    def _write(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)
