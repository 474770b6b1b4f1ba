"""The command line run in this process, tiny checkpoints of every family, and small data sets of drawn formulas."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, write_tiny_checkpoint
from texlens.cli.main import main
from texlens.latex.render.formats import render_png

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "src" / "texlens" / "recipes"
LABELS = (
    "x ^ { 2 }",
    "\\frac { a } { b }",
    "a + b = c",
    "\\sqrt { y }",
    "\\alpha _ { i }",
    "2 \\pi r",
    "p ( x )",
    "n !",
    "\\sum _ { i } i",
    "z - 1",
    "u v",
    "\\theta = 0",
)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


SMALL_TRAINING = (
    "--set train.epochs=null --set train.steps=2 --set train.batch_size=2 --set data.limit=8 "
    "--set evaluate.max_rows=4 --set evaluate.max_new_tokens=32 --set data.splits.validation=0.02"
)
"""What makes a run of the bundled model and data take seconds."""


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """Standard output as the one JSON object that it must be."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The last line on standard error, where an error stands, and nothing of a traceback before it."""
        assert "Traceback" not in self.err, self.err
        return self.err.rstrip("\n").rpartition("\n")[2]


Run = Callable[..., Outcome]


@pytest.fixture
def texlens(capfd, monkeypatch) -> Run:
    """`texlens("plan", file, "--json")` runs the program's own `main` in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["texlens", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def trained(trained_once, tmp_path) -> Path:
    """A copy of a finished run of two steps, with its comparison, for a test to read or to damage."""
    return copy_run(trained_once, tmp_path / "runs" / "tiny")


@pytest.fixture(scope="session")
def nano_run(tmp_path_factory) -> Path:
    """A finished run of the bundled model, to be copied."""
    output = tmp_path_factory.mktemp("nano")
    changes = shlex.split(f"--set output={output} {SMALL_TRAINING}")
    run_quietly(["train", str(RECIPES / "nano_latex-ocr_lora.yaml"), *changes])
    return output / "nano"


@pytest.fixture(scope="session")
def trained_once(tiny_checkpoints, hub_layout, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    file = write_run_file(output / "run.yaml", tiny_checkpoints["qwen3_vl"], hub_layout, output)
    run_quietly(["train", str(file)])
    return output / "tiny"


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory) -> Mapping[str, Path]:
    """A folder for each family, as `write_tiny_checkpoint` leaves it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: write_tiny_checkpoint(folder / name, name) for name in FAMILY_NAMES}


@pytest.fixture(scope="session")
def hub_layout(tmp_path_factory) -> Path:
    """A data set with 8 train, 4 validation and 4 test rows, no label in two of them."""
    folder = tmp_path_factory.mktemp("formulas")
    for split, labels in (("train", LABELS[:6] + LABELS[:2]), ("validation", LABELS[6:9]), ("test", LABELS[8:])):
        write_rows(folder / f"{split}-00000-of-00001.parquet", labels)
    return folder


@pytest.fixture
def run_file(tiny_checkpoints, hub_layout, tmp_path) -> Path:
    """A run of two steps on the tiny Qwen3-VL, into `tmp_path/runs/tiny`."""
    return write_run_file(tmp_path / "run.yaml", tiny_checkpoints["qwen3_vl"], hub_layout, tmp_path / "runs")


def write_run_file(file: Path, model: Path, data: Path, output: Path) -> Path:
    file.write_text(
        f"name: tiny\noutput: {output}\nmodel: {{path: {model}}}\ndata: {{path: {data}}}\n"
        "adapter: {rank: 4, alpha: 8}\n"
        "train: {steps: 2, batch_size: 4}\n"
        "evaluate: {max_new_tokens: 8}\n"
    )
    return file


def run_quietly(arguments: Sequence[str]) -> None:
    """For fixtures that outlive a test, where no capture is at hand."""
    before = sys.argv
    sys.argv = ["texlens", *arguments]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise AssertionError(f"texlens {' '.join(arguments)} failed") from None
    finally:
        sys.argv = before


def copy_run(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to))


def write_rows(path: Path, labels: Sequence[str], images: Mapping[int, bytes] | None = None) -> Path:
    """Parquet rows as `datasets` stores them, each label drawn; `images` puts other bytes into some rows."""
    drawn = {label: render_png(label) for label in set(labels) if label.strip()}
    data = [{"bytes": (images or {}).get(row, drawn.get(label, b"")), "path": None} for row, label in enumerate(labels)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(data, IMAGE), "text": pa.array(labels, pa.string())}), path)
    return path


def environment() -> dict[str, str]:
    """For the program run as a process of its own."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
