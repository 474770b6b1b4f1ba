"""Trains in a child process that is killed at a random file operation, again and again, until the run is finished.

    python tests/integration/killed_runs.py CHECKPOINT OUTPUT FIRST_SEED LAST_SEED

For each seed: a run, killed with SIGKILL at a random file operation in its folder, is resumed until it ends. Prints one
JSON line per seed: the number of kills, and what differs from a run that was never killed (nothing, if all is well).
Children are forked from this process, which has imported everything, so that a kill costs a second.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path

from safetensors.torch import load_file

from tests.fixtures.training import losses, run_training, same_weights
from texlens.config.load import build_config, dump_config, load_saved_config
from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import damage, list_checkpoints

WRITING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "open", "shutil.rmtree")
MAX_KILLS = 12
"""Of a seed; then the run may finish."""
OPERATIONS = 160
"""About as many file operations as a run of `config_of` makes in its folder."""


def config_of(checkpoint: Path, output: Path) -> RunConfig:
    return build_config(
        {
            "name": "run",
            "output": str(output),
            "model": {"path": str(checkpoint)},
            "data": {"path": "demo", "limit": 8, "splits": {"validation": "validation[:4]", "test": None}},
            "adapter": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["text-attention"]},
            "train": {
                "steps": 5,
                "batch_size": 2,
                "checkpoints": {"every_steps": 1, "keep": 1},
                "validation": {"every_steps": 2},
                "logging": {"every_steps": 1},
                "optimizer": {"schedule": "constant", "learning_rate": 1e-3},
            },
        }
    )


def train_once(config: RunConfig, output: Path) -> None:
    """Begins the run, or resumes it where its folder exists, as the command does."""
    if (output / "run/run.json").is_file():
        folder = RunFolder.open(output / "run")
        with folder.locked():
            run_training(load_saved_config(folder.config), folder, resume=True)
    else:
        folder = RunFolder.create(output, "run", dump_config(config))
        with folder.locked():
            run_training(config, folder)


def child(config: RunConfig, output: Path, kill_at: int | None) -> int:
    """Trains in a forked process that kills itself at its `kill_at`-th file operation; returns its wait status."""
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1]
    try:
        if kill_at is not None:
            kill_at_operation(kill_at, str(output))
        train_once(config, output)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001  reported to the parent by the exit code and on standard error
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(3)


def kill_at_operation(number: int, folder: str) -> None:
    remaining = [number]

    def hook(event: str, arguments: tuple) -> None:
        if event not in WRITING or not any(str(argument).startswith(folder) for argument in arguments[:2]):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        remaining[0] -= 1
        if remaining[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def survive(config: RunConfig, output: Path, seed: int) -> tuple[int, list[str]]:
    """Kills, and what went wrong: errors of a resumed run, checkpoints that are incomplete under their final name."""
    generator, kills, problems = random.Random(seed), 0, []
    for _ in range(MAX_KILLS):
        status = child(config, output, generator.randrange(1, OPERATIONS))
        checkpoints = list_checkpoints(output / "run/checkpoints")
        problems += [f"{path.name}: {reason}" for path in checkpoints if (reason := damage(path))]
        if not os.WIFSIGNALED(status):
            break
        kills += 1
    status = child(config, output, None)
    return kills, problems + ([f"ended with status {status}"] if status else [])


def compare(run: RunFolder, reference: RunFolder) -> list[str]:
    weights = [load_file(folder.adapter / "adapter_model.safetensors") for folder in (run, reference)]
    differences = [] if same_weights(*weights) else ["the adapter's weights"]
    differences += [] if losses(run) == losses(reference) else [f"losses {losses(run)} instead of {losses(reference)}"]
    steps = [folder.manifest["training"]["steps"] for folder in (run, reference)]
    differences += [] if steps[0] == steps[1] else [f"steps {steps}"]
    return differences + ([] if run.manifest["state"] == "trained" else [f"state {run.manifest['state']}"])


def main(checkpoint: Path, output: Path, seeds: range) -> None:
    config = config_of(checkpoint, output / "reference")
    if child(config, output / "reference", None):
        raise SystemExit("the reference run failed")
    reference = RunFolder(output / "reference/run")
    for seed in seeds:
        folder = output / str(seed)
        kills, problems = survive(config_of(checkpoint, folder), folder, seed)
        problems += compare(RunFolder(folder / "run"), reference) if not problems else []
        print(json.dumps({"seed": seed, "kills": kills, "problems": problems}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4]) + 1))
