"""Our arms and the peers' beside one another: each in a process of its own, one JSON, one table.

    python benchmarks/side_by_side.py --list
    python benchmarks/side_by_side.py --output benchmarks/results/side-by-side_h200_DATE.json [--model NAME ...]
    python benchmarks/side_by_side.py --only "bf16, 16k tokens" --only Unsloth --output FILE
    python benchmarks/side_by_side.py --add FILE --output FILE # only what did not run there
    python benchmarks/side_by_side.py --table FILE             # the table of results there already

`fast_path.py` and `fast_path_peers.py` do the work, on the same rows and the same random weights. An arm that fails or
hangs is reported with its last words and costs no more than `--limit-s`; results are written after each. While an
arm sets up, the next one's process loads its libraries; it stands still before steps are timed, and reaches the GPU
when the arm before has ended.
"""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = ("torch", "triton", "transformers", "peft", "accelerate", "trl", "unsloth", "unsloth_zoo")
PACKAGES += ("liger-kernel", "bitsandbytes", "torchao", "datasets")
COUNTERPARTS = (
    ("fp8", "Unsloth fp8, no checkpointing, 32"),
    ("nf4", "Unsloth 4-bit, its defaults, 8"),
    ("4-bit", "Unsloth 4-bit, its defaults, 8"),
    ("lean", "Unsloth, its defaults, 8"),
)
"""What an arm of ours is compared with by a word of its name; any other, with Unsloth's best in 16 bits."""
COLUMNS = (
    "arm",
    "rows a step",
    "samples/s",
    "× Unsloth's best",
    "× its counterpart",
    "tokens/s",
    "TFLOP/s",
    "of the matrix rate",
    "peak GiB",
    "first step s",
    "loss",
    "gradient norm",
)


@dataclasses.dataclass(frozen=True)
class Task:
    """`kind` is ours, peer or build."""

    model: str
    kind: str
    arm: str


def main() -> None:
    options = _options()
    if options.table:
        print(tables(json.loads(Path(options.table).read_text(encoding="utf-8"))))
        return
    sys.path.insert(0, str(HERE))
    names = all_arms()
    if options.list:
        print("\n".join(f"{kind}: {name}" for name, kind in names.items()))
        return
    chosen = selected(list(names), options.only)
    report = report_of(options)
    tasks = [task for model in options.model for task in tasks_of(model, chosen, names, report)]
    for task, result in results(tasks, Child, options):
        if task.kind == "build" and "failed" not in result:
            print(f"checkpoint of {task.model}: {result['seconds_in_all']} s", flush=True)
            continue
        print(json.dumps(result), flush=True)
        report["models"][task.model]["arms"].append({**result, "arm": task.arm, "by": task.kind})
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(tables(report))


def report_of(options: argparse.Namespace) -> dict:
    """A report without arms, or that of `--add` without the arms that failed."""
    report: dict = {"commands": []}
    if options.add:
        report = json.loads(Path(options.add).read_text(encoding="utf-8"))
        for results_of_model in report["models"].values():
            results_of_model["arms"] = [arm for arm in results_of_model["arms"] if "failed" not in flattened(arm)]
    else:
        versions = {name: version for name in PACKAGES if (version := _version(name))}
        report |= {"date": date.today().isoformat(), "versions": versions}
        report |= {"warm_up": options.warm_up, "steps": options.steps, "models": {}}
    report["commands"].append(shlex.join(["python", "benchmarks/side_by_side.py", *sys.argv[1:]]))
    for model in options.model:
        report["models"].setdefault(model, {"arms": []})
    return report


def all_arms() -> dict[str, str]:
    """The names of all arms in their order, and whose each is."""
    import fast_path
    import fast_path_peers

    return {arm.name: "ours" for arm in fast_path.ARMS} | {arm.name: "peer" for arm in fast_path_peers.ARMS}


def selected(names: list[str], only: list[str] | None) -> list[str]:
    """Each text of `only` picks the arm of that very name, or else all that have it in their names.

    Raises:
        SystemExit: a text that picks none.
    """
    if only is None:
        return names
    picked = set()
    for text in only:
        matches = {text} if text in names else {name for name in names if text in name}
        if not matches:
            raise SystemExit(f"--only {text}: no arm of this name; --list prints them")
        picked |= matches
    return [name for name in names if name in picked]


def tasks_of(model: str, chosen: list[str], whose: dict[str, str], report: dict) -> list[Task]:
    """The arms not in the report yet; the checkpoint on disk is made before the first that reads it."""
    finished = {arm["arm"] for arm in report["models"][model]["arms"]}
    tasks = [Task(model, whose[name], name) for name in chosen if name not in finished]
    first = next((number for number, task in enumerate(tasks) if task.arm.startswith("Unsloth")), None)
    if first is not None:
        tasks.insert(first, Task(model, "build", "checkpoint"))
    return tasks


def results(tasks: list[Task], start: Callable, options: argparse.Namespace) -> Iterator[tuple[Task, dict]]:
    """Runs the tasks one after the other; each one's process is started ahead, and waits to be let in."""
    began, ahead = time.monotonic(), None
    for task, following in zip(tasks, [*tasks[1:], None], strict=True):
        if options.budget_s and time.monotonic() - began > options.budget_s:
            if ahead:
                ahead.stop()
                ahead = None
            yield task, {"failed": f"not run: the {options.budget_s} s of --budget-s were over"}
            continue
        child, ahead = ahead or start(task, options), None
        child.wait_for("ready", options.limit_s)
        arrived = time.monotonic()
        child.let_on()
        if following:
            ahead = start(following, options)
        child.wait_for("warm", options.limit_s)
        if ahead:
            ahead.wait_for("ready", options.limit_s)
        child.let_on()
        result = child.result(max(1.0, arrived + options.limit_s - time.monotonic()))
        yield task, {**result, "seconds_in_all": round(time.monotonic() - arrived, 1)}
        if not options.keep and (following is None or following.model != task.model):
            shutil.rmtree(checkpoint_of(task.model, options), ignore_errors=True)


class Child:
    """The process of one task; it says `@ready` and `@warm` on its output and waits for a line after each."""

    def __init__(self, task: Task, options: argparse.Namespace):
        self.folder = Path(tempfile.mkdtemp(prefix="side_by_side_"))
        self.output = self.folder / "result.json"
        self.log = (self.folder / "log").open("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            command_of(task, options, self.output),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.heard = {word: threading.Event() for word in ("ready", "warm")}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if (word := line.strip().removeprefix("@")) in self.heard:
                self.heard[word].set()
            else:
                self.log.write(line)
        for event in self.heard.values():
            event.set()

    def wait_for(self, word: str, limit_s: float) -> bool:
        """Whether the process said the word, or ended, in time."""
        return self.heard[word].wait(limit_s)

    def let_on(self) -> None:
        with contextlib.suppress(OSError):
            print(file=self.process.stdin, flush=True)

    def result(self, limit_s: float) -> dict:
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = f"no end within {limit_s} s"
        self.stop()
        if code == 0:
            return json.loads(self.output.read_text(encoding="utf-8")) if self.output.exists() else {}
        return {"failed": f"{code}: {' '.join(self.last_words().split())}"}

    def last_words(self) -> str:
        self.log.flush()
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self) -> None:
        """Ends the process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def command_of(task: Task, options: argparse.Namespace, output: Path) -> list[str]:
    script = "fast_path.py" if task.kind == "ours" else "fast_path_peers.py"
    command = [sys.executable, str(HERE / script), "--model", task.model, "--output", str(output), "--gated"]
    command += ["--build"] if task.kind == "build" else ["--arm", task.arm, "--steps", str(options.steps)]
    if task.kind != "ours":
        command += ["--folder", options.folder, "--warm-up", str(options.warm_up)]
    return [*command, "--tiny"] if options.tiny else command


def checkpoint_of(model: str, options: argparse.Namespace) -> Path:
    return Path(options.folder) / (f"{model}-tiny" if options.tiny else model)


def tables(report: dict) -> str:
    """One table a model, of the arms that ran and those that did not."""
    return "\n\n".join(
        f"{model}\n\n{table([flattened(arm) for arm in results_of_model['arms']])}"
        for model, results_of_model in report["models"].items()
    )


def flattened(result: dict) -> dict:
    """An arm's result as one level: ours come as a report with one arm in it."""
    if not result.get("arms"):
        return result
    inner = result["arms"][0]
    return {**inner, "matrix_tflops": result["matrix_tflops"], "arm": result["arm"], "by": result["by"]}


def table(arms: list[dict]) -> str:
    rates = [arm["matrix_tflops"] for arm in arms if "failed" not in arm]
    rate = statistics.median(rates) if rates else math.nan
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(line_of(arm, arms, rate) for arm in arms)]
    lines[0][COLUMNS.index("of the matrix rate")] = f"of the matrix rate ({rate:.0f})"
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line_of(arm: dict, arms: list[dict], rate: float) -> list[str]:
    if "failed" in arm:
        return [arm["arm"], f"failed: …{arm['failed'][-160:].replace('|', '/')}", *[""] * (len(COLUMNS) - 2)]
    number = lambda value, form: "–" if value is None or math.isnan(value) else format(value, form)  # noqa: E731
    best = max((speed(other, arms) for other in names_of(arms) if other.startswith("Unsloth")), default=math.nan)
    return [
        arm["arm"],
        str(arm["rows"]),
        number(arm["samples_per_s"], ".1f"),
        number(arm["samples_per_s"] / best, ".2f"),
        number(arm["samples_per_s"] / counterpart(arm["arm"], arms) if arm["by"] == "ours" else None, ".2f"),
        number(arm["tokens_per_s"], ",.0f"),
        number(arm["tflops"], ".0f"),
        number(arm["tflops"] / rate, ".0%"),
        number(arm["peak_gib"], ".1f"),
        number(arm["first_step_s"], ".1f"),
        f"{arm['loss'][0]:.3f} → {arm['loss'][-1]:.3f}",
        number(arm["gradient_norm"], ".3f"),
    ]


def names_of(arms: list[dict]) -> list[str]:
    return [arm["arm"] for arm in arms if "failed" not in arm]


def speed(name: str, arms: list[dict]) -> float:
    """Samples a second of the arm of this name; NaN where it is not there or failed."""
    return next((arm["samples_per_s"] for arm in arms if arm["arm"] == name and "failed" not in arm), math.nan)


def counterpart(ours: str, arms: list[dict]) -> float:
    """Samples a second of what an arm of ours is compared with."""
    for word, name in COUNTERPARTS:
        if word in ours.lower():
            return speed(name, arms)
    return max((speed(name, arms) for name in names_of(arms) if name.startswith("Unsloth, ")), default=math.nan)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="may be repeated; Qwen3-VL-4B-Instruct unless given")
    parser.add_argument("--only", action="append", help="an arm's name or a part of it; may be repeated")
    parser.add_argument("--output")
    parser.add_argument("--add", help="start from this file's results and run only what is not there or failed")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", help="print the table of this file's results")
    parser.add_argument("--folder", default=f"{tempfile.gettempdir()}/fast_path_peers", help="checkpoints and scratch")
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints there")
    parser.add_argument("--limit-s", type=float, default=300, help="what an arm may take once it is let in")
    parser.add_argument("--budget-s", type=float, help="start no arm after this time")
    parser.add_argument("--warm-up", type=int, default=8, help="untimed steps of the peers' arms; ours have four")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tiny", action="store_true", help="a model of a few layers, on the CPU")
    options = parser.parse_args()
    options.model = options.model or ["Qwen3-VL-4B-Instruct"]
    return options


if __name__ == "__main__":
    main()
