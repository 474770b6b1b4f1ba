"""What layers module by module save, against a count of what is alive."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.memory_peak import MemoryPeak
from tests.fixtures.tiny_models import tiny_model
from texlens.kernels import backends
from texlens.kernels.attention.segments import make_segments
from texlens.models.packed.memory import padded_attention_bytes, saved_per_token
from texlens.models.packed.text import ModuleLayer, PackedText
from texlens.training.backends.unfused_memory import saved_besides, unfused_layers

UNFUSED = {"use_dora": True, "lora_dropout": 0.1}
EVERY_LAYER = r".*language_model\..*_proj$"
TOKENS = 400


def model_with(family="qwen3_vl", **options):
    model, _ = tiny_model(family)
    get_peft_model(model, LoraConfig(r=4, target_modules=EVERY_LAYER, task_type="CAUSAL_LM", **options))
    return model.train()


def saved_by_layers(model, recompute):
    text, config = model.model.language_model, model.config.text_config
    run = PackedText(text, recompute=recompute, backend="cpu")
    where = make_segments(torch.tensor([0, TOKENS], dtype=torch.int32), TOKENS)
    positions, nothing = torch.zeros(3, TOKENS, dtype=torch.long), torch.tensor([], dtype=torch.long)
    x = torch.randn(TOKENS, config.hidden_size, requires_grad=True)
    with MemoryPeak() as floats:
        before = floats.live
        out = run(x, positions, where, nothing, [])
        return floats.live - before - out.nbytes + x.nbytes


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_dora_with_dropout_saves_what_is_planned(family):
    model = model_with(family, **UNFUSED)
    config = model.config.text_config
    assert set(unfused_layers(model, "cpu").values()) == {"DoRA with dropout"}
    planned = saved_per_token(config, "none", 4) + saved_besides(model)["none"]
    planned += padded_attention_bytes(config, "none", 4) / 1.35
    saved = saved_by_layers(model, "none") / TOKENS
    assert saved == pytest.approx(planned, rel=0.05)
    assert saved > 1.5 * saved_per_token(config, "none", 4)


def test_a_failing_compiler_leaves_the_measurement_to_other_kernels(monkeypatch):
    model = model_with(**UNFUSED)
    expected, run = saved_besides(model), ModuleLayer.__call__

    def failing(layer, *inputs):
        if backends.TRITON_ENABLED:
            raise RuntimeError("Failed to find C compiler")
        return run(layer, *inputs)

    monkeypatch.setattr(ModuleLayer, "__call__", failing)
    assert saved_besides(model) == expected
    assert backends.TRITON_ENABLED


def test_fused_layers_save_nothing_besides():
    assert saved_besides(model_with()) == {"none": 0, "mlp": 0, "full": 0}


def test_the_measurement_changes_neither_modes_nor_random_numbers_nor_gradients():
    model = model_with(**UNFUSED).eval()
    state = torch.get_rng_state()
    assert saved_besides(model)["none"] > 0
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
