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


def config_of(**train):
    return build_config({"model": {"path": "nano"}, "data": {"path": "demo"}, "train": {"epochs": 1, **train}})


def test_every_card_has_a_name_of_its_own_and_says_where_its_figures_come_from():
    names = [gpu.name for gpu in known_gpus()]
    assert len(set(names)) == len(names)
    assert {"h200", "h100", "a100-80g", "a100-40g", "l40s", "a10", "l4", "t4", "rtx4090", "rtx3090"} < set(names)
    assert all(gpu.source for gpu in known_gpus())


def test_a_misspelt_card_gets_the_nearest_one():
    with pytest.raises(ConfigError, match="did you mean rtx4090"):
        find_gpu("rtx409")


def test_auto_without_a_card_says_what_to_do(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="name one, such as --gpu rtx4090"):
        find_gpu("auto")


def test_the_worst_batch_is_as_long_as_the_longest_row():
    sizes = [RowSize(((2, 2),), 10, 4), RowSize(((2, 4),), 30, 9), RowSize(((2, 2),), 12, 5)]
    batches = batches_of(sizes, 2)
    assert batches.worst.length == 32
    assert batches.count == 2


def test_moments_take_the_parameters_own_type_or_a_byte_each():
    import torch

    adapter = torch.nn.Parameter(torch.empty(4096, device="meta"))
    norm = torch.nn.Parameter(torch.empty(64, device="meta", dtype=torch.bfloat16))
    assert optimizer_bytes([adapter, norm], "adamw") == 2 * 4 * 4096 + 2 * 2 * 64
    assert optimizer_bytes([adapter, norm], "adamw-8bit") == 2 * (4096 + 4 * 16) + 2 * 4 * 64


def test_a_call_is_bound_by_its_products_or_by_its_traffic():
    card = find_gpu("a100-80g")
    products = time_step([(int(312e12 * 0.79), 1)], card).device
    traffic = time_step([(1, int(2039e9 * 0.9))], card).device
    assert time_step([(1, 1)] * 80_000, card).seconds == pytest.approx(1.0, rel=0.01)
    assert products == pytest.approx(1.0, rel=1e-6)
    assert traffic == pytest.approx(1.0, rel=1e-6)


def test_smaller_batches_keep_the_rows_of_a_step():
    changes = [change for change in candidates(config_of(batch_size=8, engine="plain")) if "train.batch_size" in change]
    assert [(change["train.batch_size"], change["train.accumulation"]) for change in changes[1:4]] == [
        (4, 2),
        (2, 4),
        (1, 8),
    ]


def test_recompute_that_was_set_is_raised_itself():
    changes = list(candidates(config_of(batch_size=8, recompute="none")))
    assert any(change.get("train.recompute") == "full" for change in changes)
    assert not any("train.gradient_checkpointing" in change for change in changes)


def test_fit_gives_the_first_change_that_helps_and_no_more():
    change = fit(config_of(batch_size=8, engine="plain"), lambda other: other.base.quantize == "nf4")
    assert change == {"train.gradient_checkpointing": True, "base.quantize": "nf4"}
    assert as_overrides(change) == ["train.gradient_checkpointing=true", "base.quantize=nf4"]


def test_fit_says_when_nothing_helps():
    assert fit(config_of(batch_size=2, engine="plain"), lambda other: False) is None


def test_changes_that_can_t_be_combined_are_left_out():
    assert with_changes(config_of(), {"train.batch_size": 0}) is None


@pytest.mark.parametrize("engine", ["plain", "packed"])
def test_the_nano_model_fits_a_small_card(engine):
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(engine=engine), config, [RowSize(((4, 12),), 60, 40)] * 16, find_gpu("rtx3060-12g"))
    assert plan.fits
    assert plan.change == {}
    assert plan.engine == engine
    assert plan.to_json()["seconds_per_epoch"] is not None


def test_a_limit_that_no_pack_meets_is_told():
    config, rows = bundled_config("nano"), [RowSize(((4, 12),), 60, 40)] * 16
    assert config is not None
    notes = [plan_on_gpu(config_of(memory_gib=gib), config, rows, find_gpu("l4")).notes for gib in (0.01, 4)]
    assert [any("with which the run is refused" in note for note in found) for found in notes] == [True, False]


def test_without_rows_a_formula_is_assumed_and_said():
    config = bundled_config("nano")
    assert config is not None
    plan = plan_on_gpu(config_of(engine="plain"), config, [], find_gpu("t4"))
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


def test_fp8_weighs_as_much_as_16_bits_and_needs_a_card_that_has_it():
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
    with pytest.raises(ConfigError, match=r"A100.* has no 8-bit products; set base\.quantize: none"):
        plan_on_gpu(build_config({**settings, "base": {"quantize": "fp8"}}), config, [], find_gpu("a100-80g"))


def test_a_mixture_can_not_be_planned_over_a_base_that_hardly_touches_it():
    settings = {"model": {"path": "Qwen/Qwen3-VL-30B-A3B-Instruct"}, "data": {"path": "nowhere"}}
    with pytest.raises(ConfigError, match="fp8 packs linear layers alone"):
        plan_run(build_config({**settings, "base": {"quantize": "fp8"}}))
