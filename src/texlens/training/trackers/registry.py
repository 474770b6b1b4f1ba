"""The trackers by name, and the callback that feeds them."""

from collections.abc import Callable, Mapping, Sequence

from PIL import Image
from transformers.trainer_callback import TrainerCallback

from texlens.training.trackers.protocol import CaptionedImage, TrackedRun, Tracker
from texlens.training.trackers.swanlab import SwanLab
from texlens.training.trackers.tensorboard import TensorBoard
from texlens.training.trackers.trackio import Trackio
from texlens.training.trackers.wandb import WandB

TRACKERS: Mapping[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "swanlab": SwanLab,
    "wandb": WandB,
    "trackio": Trackio,
}
PREDICTIONS, ROLLOUTS, LOSS_PLOT = "predictions", "rollouts", "loss_plot"


class TrackerLog(TrainerCallback):
    """Sends measurements, predictions as pictures at each validation, and at the end the loss plot.

    Where no validation has shown pictures they are sent once, at the end.

    Args:
        pictures: of the latest validation, each with its reference and prediction as the caption.
        final_pictures: the same of test rows, read now.
        plot_loss: draws the loss plot of the measurements so far.
        announce: prints a line.
        rollouts: the latest answers that an objective drew, shown where a training loss is logged.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        run: TrackedRun,
        pictures: Callable[[], Sequence[CaptionedImage]],
        final_pictures: Callable[[], Sequence[CaptionedImage]],
        plot_loss: Callable[[], Image.Image],
        announce: Callable[[str], None],
        rollouts: Callable[[], Sequence[CaptionedImage]] = list,
    ):
        self.trackers, self.run = trackers, run
        self.pictures, self.final_pictures = pictures, final_pictures
        self.plot_loss, self.announce, self.rollouts = plot_loss, announce, rollouts
        self.has_shown_pictures = False

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            for tracker in self.trackers:
                tracker.start(self.run)

    def on_log(self, args, state, control, logs=None, **kwargs):
        metrics = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if state.is_world_process_zero and metrics:
            for tracker in self.trackers:
                tracker.log(_grouped(metrics), state.global_step)
            if "loss" in metrics and (pictures := self.rollouts()):
                for tracker in self.trackers:
                    tracker.log_pictures(ROLLOUTS, pictures, state.global_step)

    def on_evaluate(self, args, state, control, **kwargs):
        self._show(state, self.pictures)

    def on_train_end(self, args, state, control, **kwargs):
        if not state.is_world_process_zero:
            return
        if not self.has_shown_pictures:
            self._show(state, self.final_pictures)
        plot = CaptionedImage(self.plot_loss(), "training and validation loss")
        for tracker in self.trackers:
            tracker.log_pictures(LOSS_PLOT, [plot], state.global_step)
            tracker.finish()
            if tracker.hint:
                self.announce(f"to see the run: {tracker.hint}")

    def _show(self, state, read: Callable[[], Sequence[CaptionedImage]]) -> None:
        if state.is_world_process_zero and (pictures := read()):
            self.has_shown_pictures = True
            for tracker in self.trackers:
                tracker.log_pictures(PREDICTIONS, pictures, state.global_step)


def _grouped(metrics: Mapping[str, float]) -> dict[str, float]:
    """
    Example:
        {"loss": 1.0, "eval_loss": 2.0} -> {"train/loss": 1.0, "eval/loss": 2.0}
    """
    return {
        f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}": value
        for name, value in metrics.items()
    }
