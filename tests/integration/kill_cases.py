"""The commands of the kill series: what each one starts from, how it is called, and what must come out.

Every call is made in an empty folder `work`, which is at the same path each time, so that results are equal byte for
byte; `shared` holds what all calls read: a tiny checkpoint, rows, pictures and a trained run.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import write_tiny_checkpoint
from texlens.cli.main import main
from texlens.core.run_folder import RunFolder
from texlens.training.checkpoints.folder import damage, list_checkpoints

ROWS = 18
VOLATILE = ("created", "updated", "date", "seconds", "samples_per_s", "peak_memory_gib")
"""Keys of JSON files that a clock or a meter decides."""


@dataclass(frozen=True)
class Case:
    """`prepare` fills `work`; `arguments` is asked before each call, since a killed training is resumed; `results` are
    the digests that must not differ."""

    prepare: Callable[[Path, Path], None]
    arguments: Callable[[Path, Path], list[str]]
    results: Callable[[Path], dict[str, str]]


def write_shared(shared: Path) -> None:
    """Checkpoint, rows as parquet and CSV, pictures, and a finished run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_tiny_checkpoint(shared / "tiny")
    pictures = [drawn(48, 24, seed) for seed in range(ROWS)]
    texts = [f"x_{{{number}}}" for number in range(ROWS)]
    parts = (("a", "train", slice(0, 12)), ("a", "test", slice(12, 18)), ("b", "train", slice(18)))
    for folder, split, chosen in parts:
        images = [{"bytes": data, "path": None} for data in pictures[chosen]]
        (shared / folder).mkdir(exist_ok=True)
        pq.write_table(pa.table({"image": images, "text": texts[chosen]}), shared / folder / f"{split}.parquet")
    (shared / "pictures").mkdir()
    for number, data in enumerate(pictures[:12]):
        (shared / "pictures" / f"{number}.png").write_bytes(data)
    lines = [f"pictures/{number % 6}.png,{text}" for number, text in enumerate(texts)]
    (shared / "rows.csv").write_text("\n".join(["image,text", *lines, "pictures/none.png,lost"]) + "\n")
    (shared / "run.yaml").write_text(run_file(shared, shared / "runs"))
    call(["train", str(shared / "run.yaml"), "--no-compare"])


GRPO = {"kind": "grpo", "answers": 3, "max_new_tokens": 4, "rewards": {"edit_similarity": 1.0}, "updates": 2}


def run_file(shared: Path, output: Path, objective: dict | None = None) -> str:
    values = {
        "name": "run",
        "output": str(output),
        "model": {"path": str(shared / "tiny")},
        "data": {"path": str(shared / "a"), "splits": {"validation": None if objective else "test[:4]"}},
        "adapter": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["text-attention"]},
        "train": {
            "objective": objective or "sft",
            "steps": 5,
            "batch_size": 2,
            "checkpoints": {"every_steps": 1, "keep": 1},
            "validation": {"every_steps": 2},
            "logging": {"every_steps": 1},
            "optimizer": {"schedule": "constant", "learning_rate": 1e-3},
        },
        "evaluate": {"max_new_tokens": 4, "metrics": ["exact_match", "edit_similarity"]},
    }
    return json.dumps(values)


def call(arguments: list[str]) -> int:
    """Runs the program's `main` in this process; returns its exit code."""
    sys.argv = ["texlens", *arguments]
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _nothing(shared: Path, work: Path) -> None:
    pass


def _copied_run(shared: Path, work: Path) -> None:
    shutil.copytree(shared / "runs/run", work / "run")


def _run_with_older_results(shared: Path, work: Path) -> None:
    """Predictions of other rows are there, which must be moved to `previous/` and never lost."""
    _copied_run(shared, work)
    for system in ("base", "adapter"):
        rows = work / "run/predictions" / f"test.{system}.jsonl"
        rows.parent.mkdir(exist_ok=True)
        rows.write_text(json.dumps({"id": "old", "reference": "x", "text": system}) + "\n")
        rows.with_suffix(".json").write_text(json.dumps({"rows": f"other rows of {system}"}))


def _training(objective: dict | None = None) -> Callable[[Path, Path], list[str]]:
    def arguments(shared: Path, work: Path) -> list[str]:
        if (work / "runs/run/run.json").is_file():
            return ["train", "--resume", str(work / "runs/run"), "--no-compare"]
        (work / "run.yaml").write_text(run_file(shared, work / "runs", objective))
        return ["train", str(work / "run.yaml"), "--no-compare"]

    return arguments


def _read(shared: Path, work: Path) -> list[str]:
    """One image at a time: in larger batches the last digits of a log-probability depend on the rows beside it."""
    model = ["--model", str(shared / "runs/run"), "--max-tokens", "4", "--batch-size", "1"]
    return ["read", str(shared / "pictures"), *model, "-o", str(work / "readings.jsonl")]


def _on(command: str, *options: str) -> Callable[[Path, Path], list[str]]:
    return lambda shared, work: [command, str(work / "run"), *options]


def _into(*arguments: str) -> Callable[[Path, Path], list[str]]:
    """A command of `data`; `{}` stands for the shared folder."""
    return lambda shared, work: [
        "data",
        *(part.replace("{}", str(shared)) for part in arguments),
        "-o",
        str(work / "out"),
    ]


def training_results(work: Path) -> dict[str, str]:
    """Of a training: weights, losses and steps bit for bit; its times and checkpoints' names are its own."""
    run = RunFolder(work / "runs/run")
    losses = [row["loss"] for row in run.history() if "loss" in row]
    training = {"losses": losses, "steps": run.manifest["training"]["steps"], "state": run.manifest["state"]}
    weights = (run.adapter / "adapter_model.safetensors").read_bytes()
    return {"training": json.dumps(training), "weights": hashlib.sha256(weights).hexdigest()}


def grpo_results(work: Path) -> dict[str, str]:
    """The same, what an objective measures, and the answers that were drawn with their rewards."""
    run = RunFolder(work / "runs/run")
    measured = [
        {name: value for name, value in row.items() if name.startswith("objective_") and not name.endswith("_s")}
        for row in run.history()
    ]
    rollouts = (run.path / "rollouts.jsonl").read_text()
    return training_results(work) | {"measured": json.dumps(measured), "rollouts": rollouts}


def file_digests(work: Path) -> dict[str, str]:
    """SHA-256 by path of every file that the command left, hidden and volatile parts apart."""
    files = sorted(path for path in work.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(work)))
    return {str(path.relative_to(work)): hashlib.sha256(_without_volatile(path)).hexdigest() for path in files}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.parts[0] == "cache"


def _without_volatile(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".json":
        return data

    def cleaned(value):
        if isinstance(value, dict):
            return {key: cleaned(part) for key, part in value.items() if key not in VOLATILE}
        return [cleaned(part) for part in value] if isinstance(value, list) else value

    return json.dumps(cleaned(json.loads(data))).encode()


def broken_files(work: Path) -> Iterator[str]:
    """Files that are incomplete under their final names, which no kill may leave; staging names begin with a dot."""
    for path in work.rglob("*"):
        if not path.is_file() or _is_hidden(path.relative_to(work)):
            continue
        data = path.read_bytes()
        try:
            if path.suffix == ".json":
                json.loads(data)
            elif path.suffix == ".jsonl":
                [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]
            elif path.suffix == ".parquet" and not data.endswith(b"PAR1"):
                raise ValueError("cut short")
        except ValueError as error:
            yield f"{path.relative_to(work)}: {error}"
    for checkpoint in list_checkpoints(work / "runs/run/checkpoints"):
        if reason := damage(checkpoint):
            yield f"{checkpoint.name}: {reason}"


CASES = {
    "train": Case(_nothing, _training(), training_results),
    "train grpo": Case(_nothing, _training(GRPO), grpo_results),
    "import": Case(_nothing, _into("import", "{}/a"), file_digests),
    "convert": Case(_nothing, _into("convert", "{}/rows.csv"), file_digests),
    "mix": Case(_nothing, _into("mix", "{}/a:1.0", "{}/b:0.5"), file_digests),
    "read": Case(_nothing, _read, file_digests),
    "export": Case(
        _nothing,
        lambda shared, work: ["export", str(shared / "runs/run"), "-o", str(work / "out"), "--no-verify"],
        file_digests,
    ),
    "evaluate": Case(_copied_run, _on("evaluate"), file_digests),
    "compare": Case(_run_with_older_results, _on("compare"), file_digests),
}
LONG = ("train grpo",)
"""Killed in the full series alone."""
