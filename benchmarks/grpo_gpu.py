"""GRPO steps of a full-size model with random weights on one GPU: images a second, the share of reading, memory.

    python benchmarks/grpo_gpu.py --output benchmarks/results/grpo_h200_DATE.json
    python benchmarks/grpo_gpu.py --tiny                     # two narrow layers, on the CPU: only whether it runs

Qwen3-VL-4B, LoRA r 16 on the seven text projections, pictures of text of about 150 image tokens, 8 answers to each of
which random weights let all but a few run to 115 tokens; groups without spread are trained on too. Rows go through the
whole trainer: loading, drawing, rewards in processes, packs with shared prompts, backward, optimizer. Steps after the
fifth are timed, in which every fifth is logged, as in the recipe. Two further steps, not timed, say where the time and
the memory go (`grpo_phases.py`). Random weights write nonsense, which is quickly compared; `real_pairs_s` is what the
same rewards take for as many pairs of formulas of the demo set. The file is written after the timed steps, and again
with what follows them.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # as `texlens train` does

import torch
from fast_path_end_to_end import prepare, prepare_folder
from fast_path_rows import GIB, RANK, base_model
from grpo_phases import Phases
from rich.console import Console
from transformers import TrainerCallback, set_seed

from texlens.adapters.build import build_adapter
from texlens.core.run_folder import RunFolder
from texlens.data.load import load_split
from texlens.metrics.prediction import Prediction
from texlens.models.checkpoint import read_config
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.run_plan import plan_run
from texlens.rewards.score import RewardScorer, RewardSpec
from texlens.training.backends.choose import build_backend
from texlens.training.build import TrainContext, build_trainer
from texlens.training.objectives.build import reward_processes, with_objective
from texlens.training.workers import plan_workers

LOG_EVERY = 5
"""As in the recipe; a logged step also computes the divergence from the start."""
PHASED = 2
"""Steps after the timed ones."""
REWARDS = {"edit_similarity": 1.0, "cdm_f1": 1.0}


class StepTimes(TrainerCallback):
    """Seconds at the end of each timed step, when the GPU is done with it; then phases of the steps after them.

    Args:
        timed: steps that are timed.
        on_timed: called when their measurements are in metrics.jsonl.
    """

    def __init__(self, timed: int, phases: Phases, on_timed: Callable[[], None]) -> None:
        self.ends: list[float] = []
        self._timed, self._phases, self._on_timed = timed, phases, on_timed

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self._timed:
            self._on_timed()
        if state.global_step >= self._timed:
            self._phases.begin(record_memory=state.global_step > self._timed)

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if state.global_step <= self._timed:
            self.ends.append(time.perf_counter())
        else:
            self._phases.end()


def main() -> None:
    options = _options()
    console = Console(stderr=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as aside:
        config = prepare_folder(Path(aside), _rows(options))
        prepared = prepare(config, console)
        model = base_model(read_config(prepared.base.folder), device)
        adapted = build_adapter(model, prepared.plan, config.adapter, seed=0, base_path=config.model.path)
        processor, folder = prepared.base.processor, RunFolder.create(Path(aside), "run")
        context = TrainContext(config, prepared, folder, console)
        packed = build_backend(config, adapted, processor)
        rows = prepared.splits.train
        backend = with_objective(packed, config, adapted, processor, rows, folder, context.distributed)
        workers = plan_workers(backend, config, processor.geometry, rows)
        trainer, _ = build_trainer(context, adapted, backend, workers.count)
        report: dict = {}
        phases = Phases(backend.objective)

        def on_timed() -> None:
            report.update(_report(options, config, backend, times, folder.history(), device))
            _show(report, options)

        times = StepTimes(options.steps, phases, on_timed)
        trainer.add_callback(times)
        set_seed(0)
        try:
            trainer.train()
        finally:
            backend.close()
        report |= {"phases": phases.steps, "memory_at_the_peak": phases.memory}
        _show(report, options)
        report["real_pairs_s"] = _seconds_of_real_pairs(config)
        _show(report, options)


def _show(report: dict, options) -> None:
    text = json.dumps(report, indent=1)
    print(text, flush=True)
    if options.output:
        Path(options.output).write_text(text + "\n")


def _rows(options) -> SimpleNamespace:
    tokens = 8 if options.tiny else options.new_tokens
    objective = {
        "kind": "grpo",
        "answers": options.answers,
        "max_new_tokens": tokens,
        "rewards": REWARDS,
        "skip_flat": False,
    }
    if options.reward_workers is not None:
        objective["reward_workers"] = options.reward_workers
    train = {
        "objective": objective,
        "steps": options.steps + PHASED,
        "batch_size": options.rows,
        "checkpoints": {"every_steps": 100_000},
        "logging": {"every_steps": 1 if options.tiny else LOG_EVERY},
    }
    return SimpleNamespace(
        model=options.model,
        tiny=options.tiny,
        rows=options.rows,
        steps=options.steps + PHASED,
        set=options.set,
        values={"train": train},
    )


def _seconds_of_real_pairs(config) -> float:
    """Of the rewards of a step, in as many processes: each formula against the next one, then against itself."""
    texts, objective = load_split("demo", split="train").texts(), config.train.objective
    count = config.train.batch_size * objective.answers
    pairs = [Prediction(str(row), texts[row % len(texts)], texts[(row + row % 2) % len(texts)]) for row in range(count)]
    processes = reward_processes(objective, on_gpu=torch.cuda.is_available())
    with RewardScorer(RewardSpec(objective.rewards, (), objective.watch), processes) as scorer:
        scorer.collect([scorer.submit([pair]) for pair in pairs[:processes]])
        began = time.perf_counter()
        scorer.collect([scorer.submit([pair]) for pair in pairs])
        return round(time.perf_counter() - began, 3)


def _planned_gib(config, answer_tokens: int) -> float:
    """What `texlens plan` gives for an H200 and these rows, with answers of so many tokens, without context and
    fragmentation."""
    plan = plan_run(config)
    sizes = [replace(size, text=size.text - size.answer + answer_tokens, answer=answer_tokens) for size in plan.sizes]
    return plan_on_gpu(config, plan.model_config, sizes, find_gpu("h200")).memory.allocated


def _report(options, config, backend, times: StepTimes, history: list[dict], device: torch.device) -> dict:
    warm = 1 if options.tiny else LOG_EVERY
    seconds = (times.ends[-1] - times.ends[warm - 1]) / (len(times.ends) - warm)
    timed = [row for row in history if "objective_step_s" in row and row["step"] > warm]
    mean = {
        name: sum(row[name] for row in timed) / len(timed)
        for name in ("objective_reading_s", "objective_step_s", "objective_answer_tokens", "objective_drawn_gap")
    }
    planned = _planned_gib(config, options.new_tokens)
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else None
    reserved = torch.cuda.max_memory_reserved() / GIB if device.type == "cuda" else None
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "model": options.model,
        "rank": RANK,
        "images_per_step": options.rows,
        "answers": options.answers,
        "step_s": round(seconds, 3),
        "steps_s": [round(end - before, 3) for before, end in pairwise(times.ends)],
        "images_per_s": round(options.rows / seconds, 2),
        "answers_per_s": round(options.rows * options.answers / seconds, 1),
        "reading_share": round(mean["objective_reading_s"] / mean["objective_step_s"], 3),
        "answer_tokens": round(mean["objective_answer_tokens"], 1),
        "drawn_gap": round(mean["objective_drawn_gap"], 6),
        "planned_gib": round(planned, 2),
        "peak_gib": peak and round(peak, 2),
        "reserved_gib": reserved and round(reserved, 2),
        "peak_over_plan": peak and round(peak / planned, 3),
        "backend": dict(backend.settings),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--rows", type=int, default=64, help="images of a step")
    parser.add_argument("--steps", type=int, default=3 * LOG_EVERY)
    parser.add_argument("--reward-workers", type=int)
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=115)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output")
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.steps, options.answers = 2, 3, 2
    return options


if __name__ == "__main__":
    main()
