"""Weights trained in full."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.adapters.conftest import METADATA
from tests.unit.adapters.kinds import ATTENTION
from texlens.adapters.lora import load_adapter, save_adapter
from texlens.config.adapter import FullSettings

FULL = {
    "full": FullSettings(kind="full", targets=(*ATTENTION, "merger")),
    "all": FullSettings(kind="full", targets=("all",)),
}


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("kind", FULL)
def test_weights_trained_in_full_leave_a_checkpoint_that_stock_transformers_loads(family, kind, adapt, saved):
    adapted = adapt(family, FULL[kind])
    frozen = {name: part.clone() for name, part in adapted.model.named_parameters() if not part.requires_grad}
    changed = adapted.stir().logits()
    assert (changed - adapted.before).abs().max() > 0.1
    assert all(torch.equal(dict(adapted.model.named_parameters())[name], part) for name, part in frozen.items())

    save_adapter(adapted.model, saved, METADATA)
    assert torch.equal(adapted.logits(load_adapter(tiny_model(family)[0], saved, fingerprint=None)), changed)
    stock = AutoModelForImageTextToText.from_pretrained(saved, dtype=torch.float32)
    assert torch.equal(adapted.logits(in_own_memory(stock)), changed)


def in_own_memory(model: torch.nn.Module) -> torch.nn.Module:
    """The model with the same weights in memory that torch allocates, where they begin at multiples of 64 bytes.

    A loaded checkpoint is a mapped file, whose tensors begin anywhere; a matrix product there may round differently.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model
