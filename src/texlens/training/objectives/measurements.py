"""What an objective measures in its steps, as means since they were last taken."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from texlens.training.backends.protocol import Mean
from texlens.training.logging.metrics_log import OBJECTIVE


class Measurements:
    """Sums of values and of their weights; values on a GPU are copied to the host only in `take`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, Tensor | float] = {}

    def add(self, name: str, value: Tensor | float, weight: Tensor | float = 1.0) -> None:
        """A mean over `weight` things."""
        self._sums[name] = self._sums.get(name, 0.0) + value * weight
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def add_all(self, name: str, values: Tensor) -> None:
        """A tensor of values, each of which counts once."""
        if values.numel():
            self.add(name, values.detach().float().mean(), float(values.numel()))

    @contextmanager
    def unless_failed(self) -> Iterator[None]:
        """What is added inside is forgotten if an exception ends it."""
        before = dict(self._sums), dict(self._weights)
        try:
            yield
        except BaseException:
            self._sums, self._weights = before
            raise

    def take(self) -> dict[str, Mean]:
        """Means by name since the last call."""
        taken = {name: _mean(float(total), float(self._weights[name])) for name, total in self._sums.items()}
        self._sums, self._weights = {}, {}
        return {f"{OBJECTIVE}{name}": mean for name, mean in taken.items()}


def _mean(total: float, weight: float) -> Mean:
    return Mean(total / max(weight, 1e-12), weight)


def answer_sums(values_L: Tensor, answers_L: Tensor, answers: int) -> Tensor:
    """Sums of tokens' values over each answer."""
    return torch.zeros(answers, device=values_L.device, dtype=values_L.dtype).index_add(0, answers_L, values_L)
