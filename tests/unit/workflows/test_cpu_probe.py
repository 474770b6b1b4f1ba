from dataclasses import replace

import pytest
from rich.console import Console

from texlens.workflows.cpu_probe import cpu_rates, measure_cpu


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXLENS_CACHE", str(tmp_path))


def test_the_cpu_is_measured_once_and_again_for_another_torch(monkeypatch):
    measured = measure_cpu()
    assert measured.training > 1e8
    assert measured.reading > 1e7
    calls = []

    def measure():
        calls.append(1)
        return measured

    quiet = Console(quiet=True)
    assert cpu_rates(quiet, measure) == cpu_rates(quiet, measure) == measured
    assert len(calls) == 1
    monkeypatch.setattr("torch.__version__", "9.9")
    cpu_rates(quiet, lambda: replace(measure(), torch="9.9"))
    cpu_rates(quiet, measure)
    assert len(calls) == 2
