from pathlib import Path

import pytest
from rich.console import Console

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.integration.conftest import LABELS, write_rows
from texlens.workflows.sweep.folder import SweepFolder, SweepPlan
from texlens.workflows.sweep.report import write_results
from texlens.workflows.sweep.run import SweepResult, run_sweep

OVER = ("adapter.rank=2,4", "train.optimizer.learning_rate=1e-4,1e-2")


@pytest.fixture(scope="session")
def values(tmp_path_factory) -> dict:
    """A run of 4 steps on the tiny Qwen3-VL, with 12 validation rows."""
    folder = tmp_path_factory.mktemp("sweep")
    write_tiny_checkpoint(folder / "tiny", "qwen3_vl")
    write_rows(folder / "rows/train-00000-of-00001.parquet", LABELS)
    write_rows(folder / "rows/validation-00000-of-00001.parquet", [f"{label} + 1" for label in LABELS])
    return {
        "name": "small",
        "model": {"path": str(folder / "tiny")},
        "data": {"path": str(folder / "rows"), "splits": {"test": None}},
        "adapter": {"alpha": 8, "dropout": 0.1},
        "train": {"steps": 4, "batch_size": 2, "workers": 0, "validation": {"every_steps": 2}},
    }


@pytest.fixture(scope="session")
def plan(values) -> SweepPlan:
    return SweepPlan("small-sweep", values, OVER, 4, "grid")


def swept(folder: SweepFolder, plan: SweepPlan) -> SweepResult:
    """Runs what is left of a sweep, and writes its results."""
    result = run_sweep(folder, plan, console=Console(quiet=True), on_trial=lambda _: None)
    write_results(result, finished=True)
    return result


@pytest.fixture(scope="session")
def finished(plan, tmp_path_factory) -> SweepResult:
    """A sweep that nothing interrupted; its third trial is stopped as a loser."""
    return swept(SweepFolder.create(Path(tmp_path_factory.mktemp("finished")), plan), plan)
