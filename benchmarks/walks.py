"""How far a value travels through the code: distinct files that receive it, and calls that carry it to another package.

    python benchmarks/walks.py [--json FILE] [--details] [--depth 1]

Each walk runs a small job on the bundled model (a minute on a CPU) with a marked value, such as the rank 29, and
records every function of TexLens that receives it as an argument: alone, or as a field or item of one (`--depth 1`; a
function that takes the whole settings, with the value deep inside, only passes them on and counts at `--depth 3`).
A walk ends at its goal: a rank's where PEFT builds its layers, a learning rate's where PyTorch builds the optimizer.
Functions are taken in the order in which they first receive the value. A stay is a stretch of them in one file, and a
return is a stay in a file that the value had left. Run it with PYTHONPATH set to the source of another version to
compare the two. Needs bitsandbytes and httpx.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from PIL import Image

import texlens

SOURCE = str(Path(texlens.__file__).parent)
RANK, LEARNING_RATE = 1013, 1.2345e-4
MAX_ITEMS = 40
OPTIMIZER = "torch/optim/optimizer.py", "__init__"
SETTINGS = (
    *("model.path=nano", "data.path=demo", "data.splits.train=train[:8]", "data.splits.validation=null"),
    *("data.splits.test=test[:2]", f"adapter.rank={RANK}", "train.steps=1", "train.batch_size=8"),
    *(f"train.optimizer.learning_rate={LEARNING_RATE}", "evaluate.max_new_tokens=8"),
)


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (120, 40), "white").save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = _picture()


@dataclass
class Walk:
    """Functions that received the value, as (file, function), and the calls between packages that carried it."""

    is_over: bool = False
    functions: dict[tuple[str, str], None] = field(default_factory=dict)
    """In the order of their first calls."""
    crossings: set[tuple[tuple[str, str], tuple[str, str]]] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        stays = [file for file, _ in itertools.groupby(file for file, _ in self.functions)]
        return {
            "files": len(set(stays)),
            "functions": len(self.functions),
            "cross-package calls": len(self.crossings),
            "stays": len(stays),
            "returns": len(stays) - len(set(stays)),
        }

    def details(self) -> list[str]:
        calls = [f"{' '.join(caller)} -> {' '.join(called)}" for caller, called in self.crossings]
        return [" ".join(function) for function in self.functions] + sorted(calls)


@contextlib.contextmanager
def recording(holds: Callable[[Any], bool], depth: int, goal: tuple[str, str] | None = None) -> Iterator[Walk]:
    """Follows each call of TexLens's functions, in all threads, whose arguments hold the value.

    Args:
        goal: end of a file's path and a function, of any package, whose first call ends the walk.
    """
    walk = Walk()

    def profile(frame: FrameType, event: str, _) -> None:
        if event != "call" or walk.is_over:
            return
        if goal and frame.f_code.co_name == goal[1] and frame.f_code.co_filename.endswith(goal[0]):
            walk.is_over = True
        if not frame.f_code.co_filename.startswith(SOURCE):
            return
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
        if any(contains(frame.f_locals.get(name), holds, depth) for name in names):
            here, caller = place_of(frame), calling(frame)
            walk.functions[here] = None
            if caller and package(caller) != package(here):
                walk.crossings.add((caller, here))

    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def contains(value: Any, holds: Callable[[Any], bool], depth: int) -> bool:
    if holds(value):
        return True
    return depth > 0 and any(contains(part, holds, depth - 1) for part in parts(value))


def parts(value: Any) -> list[Any]:
    """What a container, dataclass or settings object holds directly."""
    if isinstance(value, dict):
        return list(value.values())[:MAX_ITEMS]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)[:MAX_ITEMS]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, entry.name, None) for entry in fields(value)]
    if hasattr(type(value), "model_fields"):
        return [getattr(value, name) for name in type(value).model_fields]
    return []


def place_of(frame: FrameType) -> tuple[str, str]:
    return frame.f_code.co_filename.removeprefix(SOURCE + "/"), frame.f_code.co_qualname


def calling(frame: FrameType) -> tuple[str, str] | None:
    """The nearest function of TexLens that called this one."""
    outer = frame.f_back
    while outer and not outer.f_code.co_filename.startswith(SOURCE):
        outer = outer.f_back
    return place_of(outer) if outer else None


def package(function: tuple[str, str]) -> str:
    return function[0].split("/")[0]


def run(*arguments: str) -> None:
    """The command line in this process; what it prints is dropped."""
    from texlens.cli.main import main

    sys.argv = ["texlens", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise RuntimeError(errors.getvalue()) from None


def equals(marked: Any) -> Callable[[Any], bool]:
    """Whether a value has the marked one's type and is equal to it."""
    return lambda value: type(value) is type(marked) and value == marked


def named(*names: str) -> Callable[[Any], bool]:
    """Whether a value is an instance of a class of one of these names."""
    return lambda value: type(value).__name__ in names


def walks(folder: Path, depth: int) -> Iterator[tuple[str, Walk]]:
    recipe = folder / "run.yaml"
    recipe.write_text(f"name: run\noutput: {folder}\nmodel: {{path: nano}}\ndata: {{path: demo}}\n")
    changes = [part for change in SETTINGS for part in ("--set", change)]
    for name, marked, goal in (
        ("a LoRA rank, from the settings to PEFT", RANK, ("peft/tuners/tuners_utils.py", "inject_adapter")),
        (
            "a learning rate, from the settings to the optimizer",
            LEARNING_RATE,
            ("torch/optim/optimizer.py", "__init__"),
        ),
    ):
        with recording(equals(marked), depth, goal) as walk:
            run("train", str(recipe), *changes, "--set", f"output={folder / str(len(name))}", "--no-compare")
        yield name, walk
    trained = next(folder.glob("*/run"))
    compare = ("compare", str(trained))
    export = ("export", str(trained), "--format", "nf4", "--rows", "1", "--tolerance", "99", "--force")
    export = (*export, "-o", str(folder / "exported"))
    for name, command, holds, levels in (
        ("a prediction, from decoding to the report", compare, named("Prediction"), depth),
        ("a run folder, through a comparison to the report", (*compare, "--no-cache"), named("RunFolder"), 0),
        ("a run folder, through an NF4 export to the verified folder", export, named("RunFolder"), 0),
        ("the format of an NF4 export, from the command to the verified folder", export, equals("nf4"), depth),
    ):
        with recording(holds, levels) as walk:
            run(*command)
        yield name, walk
    yield "an image, from the request to the answer", served(trained, depth)


def served(trained: Path, depth: int) -> Walk:
    """One image is read by `texlens serve` in this thread, asked from another."""
    port = free_port()
    asking = threading.Thread(target=ask, args=(port,))
    asking.start()
    with recording(
        lambda value: type(value).__name__ == "LazyImage" or (type(value) is bytes and value == PICTURE), depth
    ) as walk:
        run("serve", str(trained), "--port", str(port))
    asking.join()
    return walk


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int) -> None:
    """Waits for the server, sends the picture and stops the server."""
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    client.get("/readyz").raise_for_status()
                    break
                time.sleep(0.2)
            client.post("/v1/read", files={"file": ("a.png", PICTURE)}).raise_for_status()
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the counts here too")
    parser.add_argument("--depth", type=int, default=1, help="how deep inside an argument the value counts")
    parser.add_argument("--details", action="store_true", help="name the functions and the calls between packages")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recorded = dict(walks(Path(folder), args.depth))
    for name, walk in recorded.items():
        print(f"{name}: " + ", ".join(f"{number} {what}" for what, number in walk.counts().items()))
        if args.details:
            print(*(f"    {line}" for line in walk.details()), sep="\n")
    if args.json:
        counts = {name: walk.counts() for name, walk in recorded.items()}
        args.json.write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
