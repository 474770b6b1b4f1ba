"""Adapters as runs save them, merged: the merged checkpoint says what the adapter says."""

import pytest
import torch

from tests.fixtures.tiny_models import write_tiny_checkpoint
from tests.unit.adapters.conftest import METADATA
from tests.unit.adapters.kinds import ATTENTION
from texlens.adapters.lora import save_adapter
from texlens.config.adapter import ExpertSettings, LoraSettings, MoeLoraSettings
from texlens.core.errors import ModelError
from texlens.exporting.merged import write_merged
from texlens.models.load import load_model

KINDS = {
    "merger and embedding whole": (
        "qwen3_vl",
        LoraSettings(rank=4, targets=ATTENTION, merger="full", modules_to_save=("embed_tokens", "lm_head")),
    ),
    "pissa": ("qwen2_vl", LoraSettings(rank=4, targets=ATTENTION, init="pissa")),
    "experts of their own rank": (
        "qwen3_vl_moe",
        LoraSettings(rank=2, targets=ATTENTION, experts=ExpertSettings(rank=3, alpha=9)),
    ),
    "shared experts": ("qwen3_vl_moe", LoraSettings(rank=2, targets=ATTENTION, experts="shared")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_checkpoint_says_what_the_adapter_says(kind, adapt, saved, tmp_path):
    family, settings = KINDS[kind]
    adapted = adapt(family, settings).stir(0.02)
    save_adapter(adapted.model, saved, METADATA)
    (tmp_path / "merged").mkdir()
    write_merged(write_tiny_checkpoint(tmp_path / "base", family), saved, tmp_path / "merged")
    torch.testing.assert_close(adapted.logits(load_model(tmp_path / "merged")), adapted.logits(), rtol=0, atol=1e-3)


def test_moe_lora_is_refused_with_the_reason_and_nothing_is_written(adapt, saved, tmp_path):
    save_adapter(adapt("qwen3_vl", MoeLoraSettings(kind="moe-lora", rank=2)).model, saved, METADATA)
    (tmp_path / "merged").mkdir()
    with pytest.raises(ModelError, match="weighs the experts for every token"):
        write_merged(write_tiny_checkpoint(tmp_path / "base", "qwen3_vl"), saved, tmp_path / "merged")
    assert not list((tmp_path / "merged").iterdir())
