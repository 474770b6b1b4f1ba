"""A job of each format on a tiny run."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.unit.exporting.conftest import write_run
from texlens.evaluation.saved_run import open_run
from texlens.exporting.formats.protocol import ExportJob
from texlens.inference.opening.source import resolve_run_base


@pytest.fixture
def job(tmp_path: Path) -> ExportJob:
    config, run = open_run(write_run(tmp_path).path)
    (tmp_path / "out").mkdir()
    return ExportJob(config, run, resolve_run_base(config, run).base, tmp_path / "out", Console(quiet=True))
