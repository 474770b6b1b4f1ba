"""Attached adapters: dropout of a group, models without experts."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES
from texlens.config.adapter import GroupSettings, LoraSettings, MoeLoraSettings
from texlens.core.errors import ConfigError

DENSE = [name for name in FAMILY_NAMES if "moe" not in name]
ATTENTION = ("text-attention",)
KINDS = {
    "lora": LoraSettings(rank=4, targets=(*ATTENTION, "vision", "merger")),
    "groups": LoraSettings(
        rank=4,
        targets=ATTENTION,
        layers="1",
        vision=GroupSettings(rank=2, alpha=4, dropout=0.1, learning_rate=1e-5),
        merger="full",
        rslora=True,
        modules_to_save=("embed_tokens", "lm_head"),
    ),
    "dora": LoraSettings(rank=4, targets=(*ATTENTION, "vision"), dora=True),
    "orthogonal": LoraSettings(rank=4, targets=ATTENTION, init="orthogonal"),
    "moe-lora": MoeLoraSettings(kind="moe-lora", rank=2, targets=(*ATTENTION, "vision"), shared=True),
    "moe-lora top 1": MoeLoraSettings(kind="moe-lora", rank=2, experts=3, top_k=1, targets=ATTENTION),
}


def test_a_group_has_its_own_dropout(adapt):
    adapted = adapt("qwen3_vl", KINDS["groups"])
    shares = {
        "visual" if "visual" in name else "text": getattr(module["default"], "p", 0.0)
        for name, module in adapted.model.named_modules()
        if name.endswith("lora_dropout")
    }
    assert shares == {"visual": 0.1, "text": 0.0}


@pytest.mark.parametrize("family", DENSE)
def test_a_dense_model_has_no_experts_to_adapt(family, adapt):
    with pytest.raises(ConfigError, match=r"adapter\.experts: this model is no mixture"):
        adapt(family, LoraSettings(experts="lora"))
