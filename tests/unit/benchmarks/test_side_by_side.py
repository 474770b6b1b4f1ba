"""The peers' arms and ours: the same rows, one arithmetic, and a driver that no arm can stop."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import fast_path_peers
import fast_path_rows
import side_by_side

SAYS_ALL = """
import json, sys
print("@ready", flush=True); sys.stdin.readline()
print("@warm", flush=True); sys.stdin.readline()
open(sys.argv[1], "w").write(json.dumps({"samples_per_s": 2.0}))
"""
FAILS = "import sys; print('@ready', flush=True); sys.exit('no kernel for this GPU')"
HANGS = "import time; print('@ready', flush=True); time.sleep(300)"


def test_lengths_are_those_of_the_figures_in_the_facts() -> None:
    drawn = fast_path_rows.drawn_lengths(512)
    assert drawn[:4] == [(4, 128, 40), (6, 90, 44), (4, 108, 97), (6, 106, 72)]
    assert sum(height * width for height, width, _ in drawn) == 331_880
    assert sum(answer for *_, answer in drawn) == 49_976


def test_fewer_rows_are_the_first_of_more() -> None:
    few, more = fast_path_rows.made_examples(2, 16), fast_path_rows.made_examples(3, 16)
    assert [example.input_ids for example in few] == [example.input_ids for example in more[:2]]


def test_a_step_of_4b_counts_as_the_facts_say() -> None:
    work = fast_path_rows.work_of(fast_path_rows.settings_of("Qwen3-VL-4B-Instruct", tiny=False))
    linear = 36 * (2 * 2560 * 4096 + 2 * 2560 * 1024 + 3 * 2560 * 9728)
    adapters = 36 * 16 * (2 * (2560 + 4096) + 2 * (2560 + 1024) + 3 * (2560 + 9728))
    assert work.per_token == 4 * linear + 6 * adapters
    assert work.per_label == 4 * 2560 * 151936
    assert work.flops(290, 100, 700) / 1e12 == pytest.approx(4.85, rel=0.01)


def test_a_padded_batch_has_the_rows_and_nothing_else() -> None:
    geometry = ImageGeometry(2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.5))
    short, long = sorted(fast_path_rows.made_examples(2, 2), key=len)
    batch = fast_path_peers.padded_batch([short, long], geometry)
    assert batch["input_ids"][0, : len(short)].tolist() == short.input_ids
    assert set(batch["labels"][0, len(short) :].tolist()) == {IGNORE_INDEX}
    tokens, labels, patches, padded = fast_path_peers.counts(batch)
    assert tokens == len(short) + len(long)
    assert labels == short.answer_tokens + long.answer_tokens
    assert patches == len(short.patches) + len(long.patches)
    assert padded == 2 * len(long)
    green = (short.patches[0, 4:8] / 255 - 0.5) / 0.25
    assert batch["pixel_values"][0, 8:16].numpy() == pytest.approx(np.tile(green, 2), abs=1e-6)


def test_a_name_picks_its_arm_and_a_part_all_that_have_it() -> None:
    names = ["bf16, 16k tokens", "bf16, 16k tokens, Triton", "Unsloth, 8"]
    assert side_by_side.selected(names, ["bf16, 16k tokens"]) == ["bf16, 16k tokens"]
    assert side_by_side.selected(names, ["Unsloth", "16k"]) == names
    with pytest.raises(SystemExit, match="fp16: no arm of this name"):
        side_by_side.selected(names, ["fp16"])


def test_the_checkpoint_is_made_before_the_first_arm_that_reads_it() -> None:
    whose = {"bf16": "ours", "Trainer": "peer", "Unsloth, 8": "peer", "Unsloth, 32": "peer"}
    tasks = side_by_side.tasks_of("4B", list(whose), whose, {"models": {"4B": {"arms": []}}})
    assert [task.arm for task in tasks] == ["bf16", "Trainer", "checkpoint", "Unsloth, 8", "Unsloth, 32"]


def test_only_what_is_missing_or_failed_is_run_again(tmp_path: Path) -> None:
    ran = {"arm": "bf16", "by": "ours", "matrix_tflops": 794.1, "arms": [{"arm": "bf16", "samples_per_s": 76.8}]}
    failed = {"arm": "Unsloth, 8", "by": "peer", "failed": "1: no kernel"}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"commands": ["first"], "models": {"4B": {"arms": [ran, failed]}}}))
    report = side_by_side.report_of(argparse.Namespace(add=str(file), model=["4B"]))
    whose = {"bf16": "ours", "Trainer": "peer", "Unsloth, 8": "peer"}
    tasks = side_by_side.tasks_of("4B", list(whose), whose, report)
    assert [task.arm for task in tasks] == ["Trainer", "checkpoint", "Unsloth, 8"]
    assert report["models"]["4B"]["arms"] == [ran]
    assert len(report["commands"]) == 2


def test_ratios_and_shares_of_the_table() -> None:
    arms = [
        arm("bf16, 16k tokens", "ours", 116.0, tflops=560.0),
        arm("fp8, 16k tokens", "ours", 160.0),
        arm("lean", "ours", 52.4),
        arm("Unsloth, its defaults, 8", "peer", 13.1),
        arm("Unsloth, no checkpointing, 32", "peer", 38.7),
        arm("Unsloth fp8, no checkpointing, 32", "peer", 40.0, matrix=780.0),
        {"arm": "Unsloth 4-bit, its defaults, 8", "by": "peer", "failed": "1: no kernel | none"},
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in side_by_side.table(arms).splitlines()]
    column = {name: number for number, name in enumerate(side_by_side.COLUMNS)}
    cell = lambda row, name: lines[2 + row][column[name]]  # noqa: E731
    assert cell(0, "× Unsloth's best") == "2.90"
    assert cell(0, "× its counterpart") == "3.00"
    assert cell(0, "of the matrix rate") == "70%"
    assert lines[0][column["of the matrix rate"]] == "of the matrix rate (800)"
    assert cell(1, "× its counterpart") == "4.00"
    assert cell(2, "× its counterpart") == "4.00"
    assert cell(4, "× its counterpart") == "–"
    assert lines[-1][:2] == ["Unsloth 4-bit, its defaults, 8", "failed: …1: no kernel / none"]


def test_an_arm_that_fails_or_hangs_costs_only_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripts = {"fails": FAILS, "works": SAYS_ALL, "hangs": HANGS, "works too": SAYS_ALL}
    command = lambda task, options, output: [sys.executable, "-c", scripts[task.arm], str(output)]  # noqa: E731
    monkeypatch.setattr(side_by_side, "command_of", command)
    tasks = [side_by_side.Task("4B", "peer", name) for name in scripts]
    outcomes = dict(side_by_side.results(tasks, side_by_side.Child, options(tmp_path, limit_s=5.0)))
    by_arm = {task.arm: result for task, result in outcomes.items()}
    assert by_arm["fails"]["failed"] == "1: no kernel for this GPU"
    assert by_arm["hangs"]["failed"].startswith("no end within")
    assert by_arm["works"]["samples_per_s"] == by_arm["works too"]["samples_per_s"] == 2.0


def test_when_the_time_is_over_no_arm_starts(tmp_path: Path) -> None:
    tasks = [side_by_side.Task("4B", "peer", "Trainer")]
    [(_, result)] = side_by_side.results(tasks, side_by_side.Child, options(tmp_path, budget_s=1e-9))
    assert result["failed"].startswith("not run")


def test_a_report_of_ours_counts_as_its_arm() -> None:
    inner = {"arm": "bf16", "samples_per_s": 76.8}
    report = json.loads(json.dumps({"matrix_tflops": 794.1, "arms": [inner], "arm": "bf16", "by": "ours"}))
    assert side_by_side.flattened(report) == {**inner, "matrix_tflops": 794.1, "by": "ours"}


def arm(name: str, by: str, samples_per_s: float, tflops: float = 100.0, matrix: float = 800.0) -> dict:
    numbers = {"samples_per_s": samples_per_s, "tokens_per_s": 1000, "tflops": tflops, "matrix_tflops": matrix}
    measured = {"rows": 8, "peak_gib": 9.5, "first_step_s": 1.0, "loss": [12.0, 11.0], "gradient_norm": 0.5}
    return {"arm": name, "by": by, **numbers, **measured}


def options(folder: Path, limit_s: float = 5.0, budget_s: float | None = None) -> argparse.Namespace:
    return argparse.Namespace(folder=str(folder), limit_s=limit_s, budget_s=budget_s, keep=False, tiny=True)
