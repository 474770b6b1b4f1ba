"""Predictions to rewards: in this process, or in processes of their own beside one that keeps a GPU busy."""

import math
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from texlens.core.errors import RunError
from texlens.metrics.prediction import Prediction
from texlens.rewards.own import OwnReward
from texlens.rewards.registry import Reward, chosen_rewards, reward_values

KEY = "train.objective.rewards"


@dataclass(frozen=True)
class RewardSpec:
    """What scoring depends on, as plain values that other processes can be sent.

    Args:
        weights: of the rewards that a run file can name.
        own_rewards: of `--reward`, as `OwnReward`s.
        watched: scores that are measured and not rewarded.
    """

    weights: Mapping[str, float]
    own_rewards: tuple[OwnReward, ...] = ()
    watched: tuple[str, ...] = ()

    @property
    def all_weights(self) -> dict[str, float]:
        """Weights by name, 0 for what is watched."""
        return self._named | {reward.name: reward.weight for reward in self.own_rewards}

    def load(self) -> tuple[Reward, ...]:
        """
        Raises:
            ConfigError: an unknown name, or code that can't be loaded.
        """
        return (*chosen_rewards(self._named, KEY), *(reward.load() for reward in self.own_rewards))

    @property
    def _named(self) -> dict[str, float]:
        """Those that a run file can name."""
        return dict.fromkeys(self.watched, 0.0) | dict(self.weights)


@dataclass(frozen=True)
class ScoredAnswer:
    """`total` is the weighted sum; `values` has every reward's and every watched score's own value."""

    total: float
    values: Mapping[str, float]


def score_answers(
    predictions: Sequence[Prediction], rewards: Sequence[Reward], weights: Mapping[str, float]
) -> list[ScoredAnswer]:
    """
    Raises:
        RunError: a reward fails or gives no finite number; it and the row are named.
    """
    return [_scored(prediction, rewards, weights) for prediction in predictions]


def _scored(prediction: Prediction, rewards: Sequence[Reward], weights: Mapping[str, float]) -> ScoredAnswer:
    try:
        values = reward_values(prediction, rewards)
    except Exception as error:  # a user's function may raise anything; its message is reported
        names = ", ".join(reward.name for reward in rewards)
        raise RunError(f"row {prediction.id}: a reward failed ({names}): {type(error).__name__}: {error}") from error
    for name, value in values.items():
        if not math.isfinite(value):
            raise RunError(f"row {prediction.id}: the reward {name} gave {value}; let it return a finite number")
    return ScoredAnswer(sum(weights.get(name, 0.0) * value for name, value in values.items()), values)


class RewardScorer:
    """Scores answers in `processes` processes, or in this one for 0. A context manager: at its end they are ended."""

    def __init__(self, spec: RewardSpec, processes: int = 0):
        """
        Raises:
            ConfigError: an unknown reward, or code that can't be loaded.
        """
        self.spec = spec
        self._rewards, self._weights = spec.load(), spec.all_weights
        self._pool = _pool(spec, processes) if processes else None

    def submit(self, predictions: Sequence[Prediction]) -> "Future[list[ScoredAnswer]]":
        """Scores in the order of the predictions, as they become known."""
        if self._pool is not None:
            return self._pool.submit(_score_in_worker, list(predictions))
        done: Future[list[ScoredAnswer]] = Future()
        done.set_result(score_answers(predictions, self._rewards, self._weights))
        return done

    def collect(self, futures: Sequence["Future[list[ScoredAnswer]]"]) -> list[ScoredAnswer]:
        """
        Raises:
            RunError: a reward failed, or a process ended.
        """
        try:
            return [answer for future in futures for answer in future.result()]
        except BrokenProcessPool:
            raise RunError("a process that computes rewards ended; out of memory? lower reward_workers") from None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "RewardScorer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WORKER: dict[str, tuple] = {}
"""Of a worker process: rewards and weights, loaded once."""


def _pool(spec: RewardSpec, processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, _start_worker, (spec, list(sys.path)))


def _start_worker(spec: RewardSpec, path: list[str]) -> None:
    sys.path[:] = path
    _WORKER["state"] = (spec.load(), spec.all_weights)


def _score_in_worker(predictions: list[Prediction]) -> list[ScoredAnswer]:
    return score_answers(predictions, *_WORKER["state"])
