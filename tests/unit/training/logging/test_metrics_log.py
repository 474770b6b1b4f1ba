"""Measurements in metrics.jsonl."""

import json
import os
from types import SimpleNamespace

import pytest
from transformers.trainer_callback import TrainerControl

from texlens.core.errors import RunError
from texlens.training.logging.metrics_log import MetricsLog, append_line, drop_lines_after


class Throughput:
    def start(self):
        pass

    def measure(self):
        return {"samples_per_second": 3.0}


def state(step, max_steps=4):
    return SimpleNamespace(is_world_process_zero=True, global_step=step, max_steps=max_steps, epoch=0.5)


def test_measurements_are_lines_and_other_values_are_left_out(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", Throughput())
    log.on_log(None, state(2), None, logs={"loss": 1.25, "grad_norm": 0.5, "total_flos": 1})
    log.on_log(None, state(2), None, logs={"eval_loss": 1.5})
    log.on_log(None, state(2), None, logs={"train_runtime": 1})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [
        {"step": 2, "epoch": 0.5, "loss": 1.25, "grad_norm": 0.5, "samples_per_second": 3.0},
        {"step": 2, "epoch": 0.5, "eval_loss": 1.5},
    ]


def test_a_small_learning_rate_keeps_its_digits(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", Throughput())
    log.on_log(None, state(2), None, logs={"loss": 1.0, "learning_rate": 3.2258064516e-07})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["learning_rate"] == 3.2258065e-07


def test_a_resumed_run_drops_what_it_measures_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    MetricsLog(path, Throughput()).on_train_begin(None, state(2), None)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_kill_while_lines_are_dropped_loses_none(tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n')

    def killed(aside, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        drop_lines_after(file, 1)
    assert file.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_the_last_step_is_logged():
    log, control = MetricsLog(None, Throughput()), TrainerControl()
    log.on_step_end(None, state(3), control)
    assert not control.should_log
    log.on_step_end(None, state(4), control)
    assert control.should_log


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(RunError, match="deleted or moved"):
        append_line(tmp_path / "gone" / "metrics.jsonl", {})
