"""Every command in the tables is run as it is printed, on tiny models; files and pages in the tables exist afterwards.

`make test` runs the commands that train nothing and need no trained run; `make test-all` (TUTORIALS=1) runs all.
A row without a check in `checks.py` fails.
"""

import os
import re
import shlex

import pytest
import torch

from tests.integration.classic_recipes.checks import CHECKS, history
from tests.integration.classic_recipes.sandbox import MODELSCOPE, build_sandbox
from tests.integration.classic_recipes.table import StepRow, rows
from tests.integration.conftest import Outcome
from texlens.config.load import load_config

EVERYTHING = os.environ.get("TUTORIALS") == "1"
STEPS = [row for row in rows() if isinstance(row, StepRow)]
SLOW = (
    "texlens train",
    "texlens sweep",
    "texlens compare",
    "texlens evaluate",
    "texlens export",
    "runs/",
    "data/",
    "texlens doctor",
    "texlens read",
    "--gpu",
)
"""Commands that train, read many rows, write many files, or need a run or folder that such a command writes."""
SMALL = ("train.steps=2", "evaluate.max_new_tokens=8", "train.optimizer.name=adamw", "base.quantize=none")
"""Added to a training: two steps, on a CPU, without bitsandbytes."""


def is_quick(row: StepRow) -> bool:
    return not any(part in row.step for part in SLOW)


def arguments(row: StepRow) -> list[str]:
    """The command's words, with what makes it small."""
    words = shlex.split(row.step.replace("checkpoint-124", "checkpoint-2").replace("checkpoint-62", "checkpoint-2"))[1:]
    more: list[str] = []
    if words[0] == "train":
        changes = [*SMALL]
        if getattr(load_config(words[1]).adapter, "init", "default") == "loftq":
            changes.append("adapter.init=default")
        more = [part for change in changes for part in ("--set", change)]
    elif words[0] == "sweep":
        words[words.index("--trials") + 1] = "2"
        more = [part for change in SMALL for part in ("--set", change)]
    elif words[0] in ("compare", "evaluate"):
        more = ["--set", "evaluate.max_new_tokens=8"]
    elif words[0] == "export":
        more = ["--rows", "2"]
    elif words[0] == "read" and "--max-tokens" not in words:
        more = ["--max-tokens", "8"]
    elif words[0] == "read":
        words[words.index("--max-tokens") + 1] = "8"
    return words + more


@pytest.fixture
def sandbox(tiny_checkpoints, tmp_path, monkeypatch):
    folder = build_sandbox(tmp_path / "sandbox", tiny_checkpoints)
    homes = {f"modelscope:{name}": folder / home for name, home in MODELSCOPE.items()}
    monkeypatch.setattr("texlens.data.readers.registry.fetch_modelscope", homes.__getitem__)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SWANLAB_MODE", "offline")
    assert not torch.cuda.is_available() or os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    return folder


@pytest.mark.parametrize("section", dict.fromkeys(row.section for row in STEPS))
@pytest.mark.slow
def test_the_commands_of_a_section_do_what_the_script_does(section, texlens, sandbox, monkeypatch):
    chosen = [row for row in STEPS if row.section == section and (EVERYTHING or is_quick(row))]
    failures = []
    for row in chosen:
        monkeypatch.chdir(sandbox.parent / ("plan" if row.step.startswith("texlens plan") else "run"))
        outcome = texlens(*arguments(row)) if row.is_command else Outcome(0, "", "")
        try:
            assert row.is_command or row.page or (sandbox / row.step).exists(), "no such file"
            CHECKS[row.id](outcome, sandbox)
        except (AssertionError, OSError, ValueError) as error:
            failures.append(f"{row.id} {row.step}: {error}\n{outcome.err[-3000:]}\n{outcome.out[-2000:]}")
    assert not failures, "\n\n".join(failures)


@pytest.mark.slow
@pytest.mark.skipif(not EVERYTHING, reason="make test-all runs it")
def test_s4_makes_310_steps_and_ends_at_the_learning_rate_of_the_script_s_log(texlens, sandbox, monkeypatch):
    monkeypatch.chdir(sandbox)
    done = texlens("train", "qwen3-vl-4b_coco-caption_qlora", "--no-compare", "--set", "base.quantize=none", "--json")
    assert done.code == 0, done.err
    assert done.json["training"]["steps"] == 310
    logged = history(sandbox / "runs/qwen3-vl-4b_coco-caption_qlora")
    assert [row["step"] for row in logged] == [1, *range(10, 311, 10)]
    assert logged[-1]["learning_rate"] == pytest.approx(1e-4 / 310, rel=1e-6)


def test_every_row_has_a_check():
    assert {row.id for row in STEPS} == set(CHECKS)


def test_no_command_is_left_to_chance():
    """Each command is one that the program has."""
    for row in STEPS:
        if row.is_command:
            assert re.match(r"texlens (data |models )?[a-z]+", row.step), row.id
