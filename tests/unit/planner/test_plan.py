import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.planner import plan
from texlens.planner.plan import simulate
from texlens.planner.run_plan import plan_run
from texlens.planner.simulated_step import Batch


@pytest.mark.parametrize(
    "adapter",
    [
        {"kind": "lora", "rank": 8, "targets": ["text-attention"], "experts": "lora"},
        {"kind": "moe-lora", "rank": 8, "targets": ["text-attention"]},
        {"kind": "full", "targets": ["text-attention"]},
    ],
)
def test_every_kind_of_adapter_runs_on_the_meta_device(adapter):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": adapter}
    batch = Batch(2, 24, 16, (((4, 4),), ((4, 4),)))
    step, trained = simulate(build_config(values), tiny_config("qwen3_vl_moe"), batch)
    assert step.gradients == sum(parameter.nbytes for parameter in trained)


def test_mixture_can_not_be_planned_over_an_int8_base():
    settings = {"model": {"path": "Qwen/Qwen3-VL-30B-A3B-Instruct"}, "data": {"path": "nowhere"}}
    with pytest.raises(ConfigError, match="int8 quantizes linear layers only"):
        plan_run(build_config({**settings, "base": {"quantize": "int8"}}))


def simulated(monkeypatch, *changes):
    """How often each of the changed runs is simulated, after one with none of the changes."""
    calls = []
    monkeypatch.setattr(plan, "_simulate", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(plan, "_SIMULATED", {})
    adapter = {"kind": "lora", "rank": 8, "targets": ["text-attention"]}
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": adapter}
    batch = Batch(2, 24, 16, (((4, 4),), ((4, 4),)))
    simulate(build_config(values), tiny_config("qwen3_vl"), batch)
    counts = []
    for change in changes:
        calls.clear()
        changed = {**values, **{name: part for name, part in change.items() if name in ("adapter", "base", "train")}}
        simulate(build_config(changed), tiny_config(change.get("family", "qwen3_vl")), change.get("batch", batch))
        counts.append(len(calls))
    return counts


def test_a_simulation_is_shared_by_settings_that_do_not_change_it(monkeypatch):
    shared = {"train": {"batch_size": 2, "seed": 5}}, {"train": {"compute": {"memory_gib": 20}}}
    assert simulated(monkeypatch, *shared) == [0, 0]


def test_a_simulation_is_not_shared_by_settings_that_change_it(monkeypatch):
    changes = (
        {"adapter": {"kind": "lora", "rank": 4, "targets": ["text-attention"]}},
        {"base": {"quantize": "nf4"}},
        {"base": {"quantize": "nf4", "double_quantize": False}},
        {"train": {"gradient_accumulation": 2}},
        {"train": {"compute": {"gradient_checkpointing": True}}},
        {"family": "qwen3_vl_moe"},
        {"batch": Batch(2, 25, 16, (((4, 4),), ((4, 4),)))},
    )
    assert simulated(monkeypatch, *changes) == [1] * len(changes)


def test_a_shared_simulation_is_that_of_its_own_settings(monkeypatch):
    monkeypatch.setattr(plan, "_SIMULATED", {})
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "adapter": {"rank": 8, "targets": ["text-mlp"]}}
    batch = Batch(2, 24, 16, (((4, 4),), ((4, 4),)))
    first = simulate(build_config(values | {"train": {"gradient_accumulation": 4}}), tiny_config("qwen3_vl"), batch)
    shared, _ = simulate(build_config(values | {"train": {"gradient_accumulation": 8}}), tiny_config("qwen3_vl"), batch)
    monkeypatch.setattr(plan, "_SIMULATED", {})
    again, _ = simulate(build_config(values | {"train": {"gradient_accumulation": 8}}), tiny_config("qwen3_vl"), batch)
    assert shared is first[0]
    assert shared == again
