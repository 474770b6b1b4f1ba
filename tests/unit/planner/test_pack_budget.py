"""Which packs a run makes within its memory."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.config.load import build_config
from texlens.core.errors import ConfigError
from texlens.models.packed.memory import static_bytes
from texlens.planner.pack_budget import GIB, pack_options, plan_packs

CPU = torch.device("cpu")


def config(quantize: str = "none", **train):
    values = {"model": {"path": "nano"}, "data": {"path": "demo"}, "base": {"quantize": quantize}, "train": train}
    return build_config(values)


def test_a_cpu_without_a_limit_makes_nothing_again():
    plan = plan_packs(config(), tiny_model()[0], CPU)
    assert (plan.choice.tokens, plan.choice.recompute, plan.notes) == (2048, "none", ())
    assert plan.gib == 0.01


def test_a_limit_makes_packs_smaller_and_their_backward_passes_longer():
    model = tiny_model()[0]
    held = static_bytes(model)
    plans = [plan_packs(config(memory_gib=(held + room) / GIB), model, CPU).choice for room in (8.3e6, 3.4e6, 2.56e6)]
    assert [(plan.tokens, plan.recompute) for plan in plans] == [(2048, "none"), (1024, "mlp"), (1024, "full")]
    assert all(plan.nbytes <= room for plan, room in zip(plans, (8.3e6, 3.4e6, 2.56e6), strict=True))


def test_too_little_memory_is_told_with_what_is_needed():
    with pytest.raises(
        ConfigError, match=r"train\.memory_gib: 0\.001 is too little.*needs at least 0\.00\d+ GiB"
    ) as said:
        plan_packs(config(memory_gib=0.001), tiny_model()[0], CPU)
    assert "raise it, or set base.quantize: nf4" in str(said.value)
    with pytest.raises(ConfigError, match=r"or leave train\.pack_tokens and train\.recompute to auto"):
        plan_packs(config(memory_gib=0.001, pack_tokens=4096), tiny_model()[0], CPU)
    with pytest.raises(ConfigError, match=r"or lower adapter\.rank"):
        plan_packs(config("nf4", memory_gib=0.001), tiny_model()[0], CPU)


def test_what_is_set_is_not_chosen_anew():
    options = pack_options(config(pack_tokens=5000, recompute="mlp").train, on_gpu=True)
    assert (options.tokens, options.recompute) == ((5000,), ("mlp",))
    assert pack_options(config(gradient_checkpointing=True).train, on_gpu=True).recompute == ("full",)
    assert max(pack_options(config().train, on_gpu=True).tokens) == 32_768
