"""Counts of rows and tokens over processes, and memory on every system."""

import sys

import torch

from texlens.training.logging import throughput
from texlens.training.logging.throughput import BatchStats, ThroughputMeter, peak_resident_bytes


def test_meter_counts_rows_and_tokens_of_all_processes(monkeypatch):
    clock = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr(throughput.time, "monotonic", lambda: next(clock))
    meter = ThroughputMeter()
    meter.start()
    meter.count([BatchStats(3, torch.tensor(30)), BatchStats(1, 10)], memory_gib=1000.0)
    assert meter.measure() == {"samples_per_s": 2.0, "tokens_per_s": 20.0, "memory_gib": 1000.0}
    assert meter.rows_per_process == [3, 1]


def test_batch_stats_of_packs_count_rows_and_tokens():
    packs = [{"rows": ["a", "b"], "tokens": 7}, {"rows": ["c"], "tokens": 4}]
    assert BatchStats.of({"packs": packs}) == BatchStats(3, 11)


def test_resident_memory_is_measured_without_the_module_resource_on_windows(monkeypatch):
    assert peak_resident_bytes() > 2**20
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)

    class Process:
        def memory_info(self):
            return type("Memory", (), {"peak_wset": 12345})

    monkeypatch.setattr("psutil.Process", Process)
    assert peak_resident_bytes() == 12345
