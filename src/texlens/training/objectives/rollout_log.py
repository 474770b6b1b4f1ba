"""Rollouts to look at: lines of rollouts.jsonl, and their pictures for trackers.

One line a group: step, id, reference, and of each answer its text, stop reason, tokens, reward, scores and advantage.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from transformers.trainer_callback import TrainerCallback

from texlens.core.errors import DataError
from texlens.training.logging.metrics_log import append_line, drop_lines_after
from texlens.training.objectives.rollouts import Rollout
from texlens.training.trackers.protocol import CaptionedImage

ROLLOUTS = "rollouts.jsonl"


class RolloutLog(TrainerCallback):
    """Writes the first `groups` of a step's rollouts every `every_steps` steps and at the first.

    Args:
        path: None in a process that writes nothing.
    """

    def __init__(self, path: Path | None, every_steps: int, groups: int):
        self._path, self._every_steps, self._groups = path, every_steps, groups
        self._shown: list[tuple[Rollout, Sequence[float]]] = []

    def on_train_begin(self, args, state, control, **kwargs):
        if self._path is not None:
            drop_lines_after(self._path, state.global_step)

    def is_due(self, step: int) -> bool:
        return step == 1 or step % self._every_steps == 0

    def write(self, step: int, rollouts: Sequence[Rollout], advantages: Sequence[Sequence[float]]) -> None:
        if not self.is_due(step):
            return
        self._shown = list(zip(rollouts, advantages, strict=True))[: self._groups]
        for rollout, values in self._shown:
            if self._path is not None:
                append_line(self._path, row_of(step, rollout, values))

    def pictures(self) -> list[CaptionedImage]:
        """The images of the groups that were written last, with reference, answers and rewards."""
        pictures = []
        for rollout, _ in self._shown:
            with suppress(DataError):  # an image that can't be read any more
                pictures.append(CaptionedImage(rollout.sample.image.load(), caption(rollout)))
        return pictures


def row_of(step: int, rollout: Rollout, advantages: Sequence[float]) -> dict:
    """The line of a group."""
    answers = [
        {
            "text": prediction.text,
            "stop": prediction.stop,
            "tokens": prediction.tokens,
            "reward": round(score.total, 6),
            "scores": {name: round(value, 6) for name, value in score.values.items()},
            "advantage": round(advantage, 6),
        }
        for prediction, score, advantage in zip(rollout.predictions, rollout.scores, advantages, strict=True)
    ]
    return {"step": step, "id": rollout.sample.id, "reference": rollout.sample.text, "answers": answers}


def caption(rollout: Rollout) -> str:
    """Reference, then each different answer with its reward, the best first."""
    rewards = {
        prediction.text: score.total for prediction, score in zip(rollout.predictions, rollout.scores, strict=True)
    }
    lines = [f"{reward:.3f}  {text}" for text, reward in sorted(rewards.items(), key=lambda item: -item[1])]
    return "\n".join([f"reference: {rollout.sample.text}", *lines])
