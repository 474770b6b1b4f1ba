import pytest

from tests.fixtures.tiny_models import tiny_config
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.models.bundled import bundled_config
from texlens.planner.duration import time_step
from texlens.planner.fit import as_overrides, candidates, fit, with_changes
from texlens.planner.gpus import find_gpu, known_gpus
from texlens.planner.memory import optimizer_bytes
from texlens.planner.plan import plan_on_gpu, simulate
from texlens.planner.rows import RowSize, batches_of
from texlens.planner.run_plan import plan_run
from texlens.planner.simulated_step import Batch


def config_of(batch_size: int = 8, **compute):
    train = {"epochs": 1, "batch_size": batch_size, "compute": compute}
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": train})


def test_every_gpu_has_a_unique_name_and_a_source():
    names = [gpu.name for gpu in known_gpus()]
    assert len(set(names)) == len(names)
    assert {"h200", "h100", "a100-80g", "a100-40g", "l40s", "a10", "l4", "t4", "rtx4090", "rtx3090"} < set(names)
    assert all(gpu.source for gpu in known_gpus())


def test_misspelt_gpu_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean rtx4090"):
        find_gpu("rtx409")


def test_auto_without_a_gpu_gives_the_remedy(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="name one, such as --gpu rtx4090"):
        find_gpu("auto")


def test_the_worst_batch_is_as_long_as_the_longest_row():
    sizes = [RowSize(((2, 2),), 10, 4), RowSize(((2, 4),), 30, 9), RowSize(((2, 2),), 12, 5)]
    batches = batches_of(sizes, 2)
    assert batches.worst.length == 32
    assert batches.count == 2


def test_moments_have_the_parameters_dtype_or_one_byte():
    import torch

    adapter = torch.nn.Parameter(torch.empty(4096, device="meta"))
    norm = torch.nn.Parameter(torch.empty(64, device="meta", dtype=torch.bfloat16))
    assert optimizer_bytes([adapter, norm], "adamw") == 2 * 4 * 4096 + 2 * 2 * 64
    assert optimizer_bytes([adapter, norm], "adamw-8bit") == 2 * (4096 + 4 * 16) + 2 * 4 * 64


def test_call_is_bound_by_flops_or_by_memory_traffic():
    gpu = find_gpu("a100-80g")
    products = time_step([(int(312e12 * 0.79), 1)], gpu).device
    traffic = time_step([(1, int(2039e9 * 0.9))], gpu).device
    assert time_step([(1, 1)] * 80_000, gpu).seconds == pytest.approx(1.0, rel=0.01)
    assert products == pytest.approx(1.0, rel=1e-6)
    assert traffic == pytest.approx(1.0, rel=1e-6)


def test_smaller_batches_keep_the_rows_of_a_step():
    changes = [
        change for change in candidates(config_of(batch_size=8, backend="plain")) if "train.batch_size" in change
    ]
    assert [(change["train.batch_size"], change["train.gradient_accumulation"]) for change in changes[1:4]] == [
        (4, 2),
        (2, 4),
        (1, 8),
    ]


def test_recompute_set_by_the_user_is_raised():
    changes = list(candidates(config_of(batch_size=8, recompute="none")))
    assert any(change.get("train.compute.recompute") == "full" for change in changes)
    assert not any("train.compute.gradient_checkpointing" in change for change in changes)


def test_fit_gives_the_first_change_that_helps_and_no_more():
    change = fit(config_of(batch_size=8, backend="plain"), lambda other: other.base.quantize == "nf4")
    assert change == {"train.compute.gradient_checkpointing": True, "base.quantize": "nf4"}
    assert as_overrides(change) == ["train.compute.gradient_checkpointing=true", "base.quantize=nf4"]


def test_fit_is_none_when_nothing_helps():
    assert fit(config_of(batch_size=2, backend="plain"), lambda other: False) is None


def test_changes_that_can_t_be_combined_are_left_out():
    assert with_changes(config_of(), {"train.batch_size": 0}) is None


@pytest.mark.parametrize("backend", ["plain", "packed"])
def test_nano_model_fits_a_small_gpu(backend):
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(backend=backend), config, [RowSize(((4, 12),), 60, 40)] * 16, find_gpu("rtx3060-12g"))
    assert plan.fits
    assert plan.change == {}
    assert plan.backend == backend
    assert plan.to_json()["seconds_per_epoch"] is not None


def test_limit_that_no_pack_fits_is_noted():
    config, rows = bundled_config("nano"), [RowSize(((4, 12),), 60, 40)] * 16
    assert config is not None
    notes = [plan_on_gpu(config_of(memory_gib=gib), config, rows, find_gpu("l4")).notes for gib in (0.01, 4)]
    assert [any("so the run is refused" in note for note in plan_notes) for plan_notes in notes] == [True, False]


def test_without_rows_a_typical_formula_is_assumed_with_a_note():
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(backend="plain"), config, [], find_gpu("t4"))
    assert any("285 tokens each are assumed" in note for note in plan.notes)
    assert plan.seconds_per_epoch is None


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


def test_fp8_weighs_as_much_as_16_bits_and_needs_fp8_units():
    config = bundled_config("nano")
    assert config is not None
    settings = {"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"epochs": 1}}
    plans = [
        plan_on_gpu(build_config({**settings, "base": {"quantize": how}}), config, [], find_gpu("h200"))
        for how in ("none", "fp8")
    ]
    weights = [plan.memory.parts["frozen weights"] for plan in plans]
    assert weights[1] == pytest.approx(weights[0], rel=0.02)
    assert any("two bytes a number" in note for note in plans[1].notes)
    with pytest.raises(ConfigError, match=r"A100.* has no FP8 units; set base\.quantize: none"):
        plan_on_gpu(build_config({**settings, "base": {"quantize": "fp8"}}), config, [], find_gpu("a100-80g"))


def test_mixture_can_not_be_planned_over_an_fp8_base():
    settings = {"model": {"path": "Qwen/Qwen3-VL-30B-A3B-Instruct"}, "data": {"path": "nowhere"}}
    with pytest.raises(ConfigError, match="fp8 quantizes linear layers only"):
        plan_run(build_config({**settings, "base": {"quantize": "fp8"}}))


def test_gpus_share_the_rows_of_a_step_and_their_rates_add_up():
    config = bundled_config("nano")
    assert config is not None
    sizes = [RowSize(((4, 12),), 60, 40)] * 32
    single = plan_on_gpu(config_of(batch_size=8, backend="plain"), config, sizes, find_gpu("h20"))
    double = plan_on_gpu(config_of(batch_size=16, backend="plain"), config, sizes, find_gpu("h20"), gpus=2)
    assert double.memory == single.memory
    assert double.rows_per_second == pytest.approx(2 * single.rows_per_second)
    assert double.seconds_per_epoch == pytest.approx((single.seconds_per_epoch or 0) / 2)
