"""Plans of every bundled configuration of Qwen3.5, 3.6 and 3.8."""

import pytest

from tests.fixtures.thorough import later
from texlens.config.load import build_config
from texlens.models.bundled import bundled_config, bundled_names
from texlens.models.meta_model import count_parameters, meta_model
from texlens.planner.gpus import find_gpu
from texlens.planner.plan import plan_on_gpu
from texlens.planner.rows import RowSize

GIB = 2**30
NAMES = [name for name in bundled_names() if name.startswith(("Qwen3.5", "Qwen3.6", "Qwen3.8"))]
ROWS = [RowSize(((16, 38),), 120, 80)] * 112
"""152 image tokens and 120 of text, 80 of them the answer."""
RUN = {
    "model": {"path": "nano"},
    "data": {"path": "demo"},
    "adapter": {"kind": "lora", "rank": 16, "targets": ["text-attention", "text-mlp"]},
    "train": {"epochs": 1, "batch_size": 56},
}


@pytest.mark.parametrize("name", later(NAMES, in_short=[]))
def test_weights_tokens_memory_and_time_are_counted(name):
    settings = bundled_config(name)
    assert settings is not None
    plan = plan_on_gpu(build_config(RUN), settings, ROWS, find_gpu("h200")).to_json()
    parts = plan["memory"]["parts_gib"]
    assert plan["backend"] == "packed"
    assert plan["fits"]
    assert plan["batch"] == {"rows": 56, "tokens": 56 * 272}
    assert parts["frozen weights"] == pytest.approx(2 * count_parameters(meta_model(settings)) / GIB, rel=1e-2)
    assert 5 < plan["rows_per_s"] < 1000
