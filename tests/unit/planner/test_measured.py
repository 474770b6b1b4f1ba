"""Plans compared with measurements on an H200 on 2026-11-21 (torch 2.11, transformers 5.17): benchmarks/results."""

import pytest
from peft import LoraConfig, get_peft_model

from texlens.config.load import build_config
from texlens.models.bundled import bundled_config
from texlens.models.families import family_of
from texlens.models.meta_model import meta_model
from texlens.planner.duration import time_step
from texlens.planner.gpus import find_gpu
from texlens.planner.memory import plan_memory
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize
from texlens.planner.simulated_step import Batch, simulate_step


@pytest.mark.parametrize(
    ("name", "rank", "rows", "checkpointing", "allocated", "reserved", "step_ms"),
    [
        ("Qwen3-VL-4B-Instruct", 16, 16, True, 14.056, 18.256, 559.4),
        ("Qwen2-VL-2B-Instruct", 64, 16, False, 24.131, 28.393, 230.2),
    ],
)
def test_plain_step_takes_the_measured_memory_and_time(name, rank, rows, checkpointing, allocated, reserved, step_ms):
    config = bundled_config(name)
    assert config is not None
    base, family = meta_model(config).bfloat16(), family_of(config)
    pattern = "|".join(f"(?:{family.groups[group]})" for group in ("text-attention", "text-mlp"))
    model = get_peft_model(base, LoraConfig(r=rank, target_modules=pattern, task_type="CAUSAL_LM"))
    batch = Batch(rows, 300, rows * 90, (((8, 80),),) * rows)
    step = simulate_step(model, base, family, batch, checkpointing=checkpointing)  # pyrefly: ignore
    plan = plan_memory(step, [parameter for parameter in model.parameters() if parameter.requires_grad])
    assert plan.allocated == pytest.approx(allocated, rel=0.02)
    assert plan.allocated + plan.fragmentation == pytest.approx(reserved, rel=0.05)
    assert 1000 * time_step(step.work, find_gpu("h200")).seconds == pytest.approx(step_ms, rel=0.15)


def test_packs_of_16k_tokens_take_the_measured_time():
    """102.6 rows a second."""
    values = {
        "model": {"path": "Qwen/Qwen3-VL-4B-Instruct"},
        "data": {"path": "demo"},
        "adapter": {"kind": "lora", "rank": 16, "targets": ["text-attention", "text-mlp"]},
        "train": {"epochs": 1, "batch_size": 56},
    }
    config = bundled_config("Qwen3-VL-4B-Instruct")
    assert config is not None
    plan = plan_on_gpu(build_config(values), config, [RowSize(((8, 82),), 127, 98)] * 56, find_gpu("h200"))
    assert plan.rows_per_second == pytest.approx(102.6, rel=0.03)
