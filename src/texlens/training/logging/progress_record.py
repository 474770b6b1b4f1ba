"""When a training began, from which step, and how many steps it will take: for those who watch the run folder."""

from datetime import UTC, datetime

from transformers.trainer_callback import TrainerCallback

from texlens.core.run_folder import RunFolder


class ProgressRecord(TrainerCallback):
    """Sets `progress` in run.json: `started` (UTC), `from_step`, `max_steps`."""

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            started = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.folder.update(
                progress={"started": started, "from_step": state.global_step, "max_steps": state.max_steps}
            )
