"""Runs commands that are killed with SIGKILL at a random file operation, again and again, until they are done.

    python tests/integration/killed_commands.py FOLDER COMMANDS FIRST_SEED LAST_SEED

For each command and seed: the command is called, killed and called again until it ends. Prints one JSON line each: the
kills, and what differs from a call that was never killed (nothing, if all is well). Children are forked from this
process, which has imported everything, so that a kill costs a second.
"""

import importlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.integration.kill_cases import CASES, Case, broken_files, call, write_shared
from texlens.inference.bulk.readings_file import ReadingsFile

MAX_KILLS = 4
"""Of a seed; then the command may finish."""
SHARD_ROWS = 3
"""So that a data set of a dozen rows has several shards."""
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "shutil.copyfile")
IMPORTS = (
    "torch",
    "datasets",
    "peft",
    "texlens.data.convert",
    "texlens.evaluation.run",
    "texlens.exporting.pipeline",
    "texlens.exporting.formats.registry",
    "texlens.inference.backends.transformers",
    "texlens.inference.open",
    "texlens.workflows.train_run",
    "texlens.workflows.verify",
)


class Killer:
    """Counts file operations below a folder; kills the process at the `kill_at`-th. A file that is being opened then is
    left torn: with a few bytes in it."""

    def __init__(self, folder: Path, kill_at: int | None):
        self.folder, self.kill_at, self.count = str(folder), kill_at, 0

    def install(self) -> None:
        import pyarrow.parquet
        import safetensors.torch

        sys.addaudithook(self._on_event)
        os.fsync = self._around(os.fsync)
        pyarrow.parquet.write_table = self._around(pyarrow.parquet.write_table)
        safetensors.torch.serialize_file = self._around(safetensors.torch.serialize_file)
        ReadingsFile.append = self._before_line(ReadingsFile.append)

    def operation(self, torn: str | None = None) -> None:
        self.count += 1
        if self.count != self.kill_at:
            return
        self.kill_at = None
        if torn is not None:
            with open(torn, "ab") as file:
                file.write(b'{"torn')
        os.kill(os.getpid(), signal.SIGKILL)

    def _on_event(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and self._is_below(path):
                self.operation(torn=os.fsdecode(path))
        elif event in OPERATIONS and any(map(self._is_below, arguments[:2])):
            self.operation()

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self.folder)

    def _before_line(self, append: Callable) -> Callable:
        """An operation before each line, which may leave a torn one."""

        def counted(readings: ReadingsFile, rows) -> None:
            self.operation(torn=str(readings.path))
            append(readings, rows)

        return counted

    def _around(self, function: Callable) -> Callable:
        """An operation before the function and one after it."""

        def counted(*arguments, **options):
            self.operation()
            result = function(*arguments, **options)
            self.operation()
            return result

        return counted


def forked(function: Callable[[], int], log: Path) -> int:
    """The wait status of a forked process that runs the function and exits with what it returns."""
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1]
    code = 97
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = function()
    except BaseException as error:  # noqa: BLE001  reported to the parent by the exit code and in the log
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Series:
    """One command, called in `folder/work`; what it reads is in `folder/shared`."""

    def __init__(self, folder: Path, name: str, case: Case):
        self.shared, self.work, self.log = folder / "shared", folder / "work", folder / f"{name}.log"
        self.name, self.case = name, case
        self.operations = 0
        """Of a call that is not killed; `reference` counts them."""

    def reference(self) -> tuple[int, dict[str, str]]:
        """Exit status and results of a call that is never killed."""
        self._prepare()
        status = self._call(None)
        counted = (self.work.parent / "operations").read_text()
        self.operations = int(counted)
        return status, self.case.results(self.work)

    def survive(self, seed: int, reference: tuple[int, dict[str, str]]) -> tuple[int, list[str]]:
        """Kills, and what is wrong after them."""
        generator, kills = random.Random(f"{self.name} {seed}"), 0
        problems: list[str] = []
        self._prepare()
        for _ in range(MAX_KILLS):
            status = self._call(generator.randint(1, self.operations))
            if not os.WIFSIGNALED(status):
                break
            kills += 1
            problems += broken_files(self.work)
        status = self._call(None)
        if status != reference[0]:
            problems.append(f"status {status} instead of {reference[0]}")
        results = self.case.results(self.work) if not problems else reference[1]
        names = sorted(results.keys() | reference[1].keys())
        return kills, problems + [f"{name} differs" for name in names if results.get(name) != reference[1].get(name)]

    def _prepare(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.case.prepare(self.shared, self.work)

    def _call(self, kill_at: int | None) -> int:
        arguments = self.case.arguments(self.shared, self.work)

        def run() -> int:
            os.environ["TEXLENS_CACHE"] = str(self.work / "cache")
            killer = Killer(self.work, kill_at)
            killer.install()
            code = call(arguments)
            (self.work.parent / "operations").write_text(str(killer.count))
            return code

        return forked(run, self.log)


def import_all() -> None:
    for name in IMPORTS:
        importlib.import_module(name)
    from texlens.data.folder.writer import FolderWriter

    FolderWriter.__init__.__kwdefaults__["shard_rows"] = SHARD_ROWS
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def main(folder: Path, names: list[str], seeds: range) -> int:
    import_all()
    if not (folder / "shared").is_dir():
        (folder / "shared").mkdir(parents=True)
        if forked(lambda: write_shared(folder / "shared") or 0, folder / "shared.log"):
            print((folder / "shared.log").read_text(), file=sys.stderr)
            return 1
    for name in names:
        series = Series(folder, name, CASES[name])
        reference = series.reference()
        for seed in seeds:
            kills, problems = series.survive(seed, reference)
            result = {"command": name, "seed": seed, "kills": kills, "operations": series.operations}
            print(json.dumps({**result, "problems": problems}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), range(int(sys.argv[3]), int(sys.argv[4]) + 1)))
