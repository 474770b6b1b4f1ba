"""What this CPU reaches in training and reading the bundled model: measured once in some seconds, then kept."""

import json
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers.utils import logging as transformers_logging

from texlens.adapters.build import build_adapter, build_plan
from texlens.config.load import build_config
from texlens.config.run import RunConfig
from texlens.core.cache import cache_folder
from texlens.core.environment import describe_environment
from texlens.core.files import write_json
from texlens.data.load import Rows
from texlens.inference.open import wrap_model
from texlens.inputs.build import read_split
from texlens.inputs.dataset import ExampleDataset
from texlens.models.build import BaseCheckpoint, build_base, build_model
from texlens.models.checkpoint import read_config
from texlens.planner.cpu import CpuRates
from texlens.planner.run_plan import plan_run
from texlens.planner.work import ModelWork, trains_vision
from texlens.training.backends.choose import build_backend
from texlens.training.backends.packed_step import packed_step
from texlens.training.distributed.context import SINGLE_PROCESS

ROWS = 8
REPEATS = 3
SETTINGS = {
    "model": {"path": "nano", "device": "cpu"},
    "data": {"path": "demo", "limit": ROWS},
    "adapter": {"rank": 16, "alpha": 32, "targets": ["all-linear"]},
    "train": {"batch_size": ROWS, "compute": {"backend": "packed"}},
}


def cpu_rates(console: Console, measure: Callable[[], CpuRates] | None = None) -> CpuRates:
    """The stored rates of this CPU, threads and torch, measured where there are none."""
    path = cache_folder() / "cpu-rates.json"
    known = _stored(path)
    if known is not None:
        return known
    console.print("measuring this CPU with the bundled model, once …", style="dim")
    rates = (measure or measure_cpu)()
    write_json(path, rates.to_json())
    return rates


def _stored(path: Path) -> CpuRates | None:
    try:
        rates = CpuRates(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    is_same = (rates.cpu, rates.threads, rates.torch) == (_cpu(), torch.get_num_threads(), torch.__version__)
    return rates if is_same else None


def measure_cpu() -> CpuRates:
    """The best of `REPEATS` training steps, and one reading, of `ROWS` demo rows."""
    transformers_logging.disable_progress_bar()
    config = build_config(SETTINGS)
    base = build_base(config.model)
    model_config = read_config(base.folder)
    plan = build_plan(config.adapter, base.processor.family, model_config)
    model: Any = build_model(base, config.model)
    adapted: Any = build_adapter(model, plan, config.adapter, seed=0, base_path="nano")
    work, sizes = ModelWork.of(model_config), plan_run(config).sizes
    trained = sum(work.training(size, vision_is_trained=trains_vision(plan.coverage)) for size in sizes)
    rows = read_split(config.data, "train")
    training = trained / _training_seconds(config, base, adapted, rows)
    read_s, tokens = _reading(config, base, adapted, rows)
    read = sum(work.reading(size) for size in sizes)
    read += 2 * work.text * (tokens - sum(size.answer for size in sizes))
    return CpuRates(
        _cpu(), torch.get_num_threads(), torch.__version__, training, read / read_s, ROWS, date.today().isoformat()
    )


def _training_seconds(config: RunConfig, base: BaseCheckpoint, adapted: Any, rows: Rows) -> float:
    backend: Any = build_backend(config, adapted, base.processor)
    examples = ExampleDataset(
        rows,
        base.processor.tokenizer,
        base.processor.geometry,
        prompt=config.data.prompt,
        system_prompt=None,
        patchify=backend.patchify,
    )
    batch = backend.collator(examples.dummy_example())([examples[index] for index in range(len(examples))])
    parameters = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    adapted.train()
    seconds = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        packed_step(backend.forward, batch["packs"], batch["label_count"], parameters, SINGLE_PROCESS)
        seconds.append(time.perf_counter() - start)
    for parameter in parameters:
        parameter.grad = None
    return min(seconds[1:])


def _reading(config: RunConfig, base: BaseCheckpoint, adapted: Any, rows: Rows) -> tuple[float, int]:
    """Seconds, and tokens that were decoded."""
    model = wrap_model(adapted.eval(), base.processor, prompt=config.data.prompt, max_new_tokens=64)
    start = time.perf_counter()
    predictions = list(model.generate(list(rows), batch_size=len(rows)))
    seconds = time.perf_counter() - start
    tokenizer = base.processor.tokenizer
    return seconds, sum(len(tokenizer(prediction.text)["input_ids"]) + 1 for prediction in predictions)


def _cpu() -> str:
    return str(describe_environment().get("cpu", "this CPU"))
