"""One training from settings to a finished run folder: prepare, create or open the folder, lock it, train."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from texlens.config.load import dump_config, load_saved_config
from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.data.edits.edited_source import pinned
from texlens.rewards.own import OwnReward
from texlens.training.build import TrainContext
from texlens.training.distributed.context import SINGLE_PROCESS, DistributedContext
from texlens.training.initial_weights.adapter_start import starting_adapter
from texlens.training.prepare import Prepared, prepare
from texlens.training.run import train
from texlens.training.validation import check_scores


@dataclass(frozen=True)
class TrainedRun:
    """`training` has steps, seconds, samples per second, peak memory and more, as run.json."""

    config: RunConfig
    folder: RunFolder
    training: dict[str, Any]


def start_run(
    config: RunConfig,
    *,
    console: Console,
    with_test: bool = False,
    context: DistributedContext = SINGLE_PROCESS,
    on_prepared: Callable[[Prepared], None] = lambda prepared: None,
    own_rewards: tuple[OwnReward, ...] = (),
) -> TrainedRun:
    """Trains in a new run folder. In a distributed run the main process creates the folder and holds its lock.

    Args:
        with_test: the test rows are read afterwards, so a missing test split is an error now.
        own_rewards: of this call's command line.
        on_prepared: called once checkpoint, rows and plan are known and before anything is trained.

    Raises:
        ConfigError, DataError, ModelError: anything that would stop the run, before it costs anything.
        RunError: a loss that is NaN or Inf.
    """
    check_scores(config)
    config = _with_pinned_edits(config)
    prepared = prepare(config, console, with_test=with_test, context=context, own_rewards=own_rewards)
    starting_adapter(config, prepared.base.fingerprint)
    on_prepared(prepared)
    folder = RunFolder(
        context.broadcast(lambda: RunFolder.create(Path(config.output), config.name, dump_config(config)).path)
    )
    with folder.locked() if context.is_main else nullcontext():
        run = TrainContext(config, prepared, folder, console, context, own_rewards=own_rewards)
        with _recorded(run):
            return TrainedRun(config, folder, train(run))


def _with_pinned_edits(config: RunConfig) -> RunConfig:
    """With the version of `data.edits`, so that edits made later don't change the rows of a run that is resumed."""
    if config.data.edits is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"edits": pinned(config.data.edits)})})


def resume_run(
    path: Path,
    overrides: Iterable[str] = (),
    *,
    console: Console,
    with_test: bool = False,
    context: DistributedContext = SINGLE_PROCESS,
    accept_changes: bool = False,
    own_rewards: tuple[OwnReward, ...] = (),
) -> TrainedRun:
    """Continues a run from its last checkpoint, with the settings in its folder.

    Args:
        accept_changes: continue although data, base or settings have changed since that checkpoint.
        own_rewards: of this call's command line; a run folder can't name any.

    Raises:
        RunError: not a run folder, or it can't be continued.
    """
    folder = RunFolder.open(path)
    config = load_saved_config(folder.config, overrides)
    check_scores(config)
    with folder.locked() if context.is_main else nullcontext():
        prepared = prepare(config, console, with_test=with_test, context=context, own_rewards=own_rewards)
        run = TrainContext(config, prepared, folder, console, context, own_rewards=own_rewards)
        with _recorded(run):
            training = train(run, resume=True, accept_changes=accept_changes)
    return TrainedRun(config, folder, training)


@contextmanager
def _recorded(run: TrainContext) -> Iterator[None]:
    """Begin, end and failure of a training in the run folder's log."""
    run.record(f"training on {run.config.model.path} with {run.config.data.path}, process {os.getpid()}")
    try:
        yield
    except Exception as error:
        if run.folder.path.is_dir():
            run.record(f"failed: {type(error).__name__}: {error}")
        raise
    run.record("training ended")
