"""Which values each trial has. The same seed gives the same trials, in a sweep that goes on after a kill too.

To add a sampler, write a class with `ask` and `report`, and name it in `SAMPLERS`.
"""

import importlib.util
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from texlens.core.errors import ConfigError
from texlens.workflows.sweep.space import Choices, Dimension, NumberRange, rounded

Point = dict[str, Any]
"""A value for each key."""
MAX_DRAWS = 1_000
"""Tries for values that no earlier trial had."""


class Sampler(Protocol):
    def ask(self) -> Point | None:
        """The next trial's values; None where there are no others."""
        ...

    def report(self, value: float) -> None:
        """The validation loss (or other value to minimize) of the trial that was asked for last."""
        ...


class Grid:
    """Every combination of choices, the last key varying fastest."""

    def __init__(self, space: Sequence[Dimension], seed: int, trials: int):
        ranges = [dimension.key for dimension in space if not isinstance(dimension, Choices)]
        if ranges:
            raise ConfigError(f"--over {ranges[0]}: a grid has no ranges; list values, or use --sampler random")
        choices = [dimension for dimension in space if isinstance(dimension, Choices)]
        keys = [dimension.key for dimension in choices]
        values = itertools.product(*(dimension.values for dimension in choices))
        self._points = iter([dict(zip(keys, point, strict=True)) for point in values])

    def ask(self) -> Point | None:
        return next(self._points, None)

    def report(self, value: float) -> None:
        return None


class RandomSearch:
    """Values of each key drawn apart from the others; no trial twice."""

    def __init__(self, space: Sequence[Dimension], seed: int, trials: int):
        self._space, self._generator = space, np.random.default_rng(seed)
        self._drawn: set[str] = set()

    def ask(self) -> Point | None:
        for _ in range(MAX_DRAWS):
            positions = self._generator.random(len(self._space)).tolist()
            point = {
                dimension.key: dimension.at(position)
                for dimension, position in zip(self._space, positions, strict=True)
            }
            if (key := json.dumps(point, sort_keys=True)) not in self._drawn:
                self._drawn.add(key)
                return point
        return None

    def report(self, value: float) -> None:
        return None


class Tpe:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), which learns from the trials before."""

    def __init__(self, space: Sequence[Dimension], seed: int, trials: int):
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError("--sampler tpe needs Optuna: pip install 'texlens[sweep]', or use --sampler random")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=trials // 3))
        self._trial: Any = None

    def ask(self) -> Point | None:
        self._trial = self._study.ask()
        return {dimension.key: self._suggested(dimension) for dimension in self._space}

    def report(self, value: float) -> None:
        from optuna.trial import create_trial

        trial = self._trial
        self._study.add_trial(create_trial(params=trial.params, distributions=trial.distributions, value=value))

    def _suggested(self, dimension: Dimension) -> Any:
        if isinstance(dimension, Choices):
            names = [json.dumps(value, ensure_ascii=False) for value in dimension.values]
            return dimension.values[names.index(self._trial.suggest_categorical(dimension.key, names))]
        return _suggested_number(self._trial, dimension)


def _suggested_number(trial: Any, dimension: NumberRange) -> float | int:
    suggest = trial.suggest_int if dimension.whole else trial.suggest_float
    kind = int if dimension.whole else float
    value = suggest(dimension.key, kind(dimension.low), kind(dimension.high), log=dimension.log)
    return rounded(value, dimension.whole)


SAMPLERS: Mapping[str, Callable[[Sequence[Dimension], int, int], Sampler]] = {
    "grid": Grid,
    "random": RandomSearch,
    "tpe": Tpe,
}
"""By name: from the space, the seed and the number of trials."""


def choose_sampler(name: str, space: Sequence[Dimension], trials: int | None) -> tuple[str, int]:
    """The sampler and the number of trials: without either, the grid where there are choices alone.

    Raises:
        ConfigError: an unknown sampler, or a number of trials that is missing.
    """
    if name != "auto" and name not in SAMPLERS:
        raise ConfigError(f"--sampler {name}: no such sampler; choose auto, {', '.join(SAMPLERS)}")
    points = math.prod(len(dimension.values) for dimension in space if isinstance(dimension, Choices))
    is_finite = all(isinstance(dimension, Choices) for dimension in space)
    if name == "auto":
        name = "grid" if is_finite and trials in (None, points) else "random"
    if trials is None and not is_finite:
        raise ConfigError("--trials is missing: a range has no last value; give it, such as --trials 12")
    most = points if is_finite else math.inf
    return name, int(min(trials or points, most))
