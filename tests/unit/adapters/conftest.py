"""Tiny models of every family with inputs of two rows, one of them padded, and adapters that say something."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_config, tiny_model
from texlens.adapters.build import build_adapter, build_plan
from texlens.adapters.metadata import AdapterMetadata
from texlens.adapters.plan import AdapterPlan
from texlens.data.sample import LazyImage, Sample
from texlens.inference.prompts import prompt_example
from texlens.inputs.chat_template import PromptStyle
from texlens.inputs.padded_collator import Collator
from texlens.models.families import FAMILIES
from texlens.models.processor import Processor

METADATA = AdapterMetadata("base", "f" * 64, "qwen3_vl", 1, 2, "Read it.", None, 8)


@dataclass
class Adapted:
    """A tiny model with an adapter on it, and the logits it gave without."""

    model: torch.nn.Module
    plan: AdapterPlan
    inputs: dict[str, Tensor]
    before: Tensor

    @torch.no_grad()
    def logits(self, model: torch.nn.Module | None = None) -> Tensor:
        return (model or self.model).eval()(**self.inputs).logits

    @torch.no_grad()
    def stir(self, size: float = 0.05) -> "Adapted":
        """Moves every trained parameter, so that the adapter says something."""
        generator = torch.Generator().manual_seed(1)
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter += torch.randn(parameter.shape, generator=generator) * size
        return self


@pytest.fixture
def adapt() -> Callable[..., Adapted]:
    """`adapt("qwen3_vl", settings)`"""

    def make(family: str, settings) -> Adapted:
        model, processor = tiny_model(family)
        inputs = two_rows(processor)
        with torch.no_grad():
            before = model(**inputs).logits
        plan = build_plan(settings, FAMILIES[family], tiny_config(family))
        adapted = build_adapter(model, plan, settings, seed=0, base_path="base")
        return Adapted(adapted, plan, inputs, before)

    return make


@pytest.fixture
def saved(tmp_path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    return folder


def two_rows(processor: Processor, left: bool = True) -> dict[str, Tensor]:
    images = [
        LazyImage.from_bytes(drawn(*size, seed=row), f"row {row}") for row, size in enumerate([(120, 40), (64, 64)])
    ]
    rows = [
        prompt_example(processor, Sample(str(row), image, "t"), PromptStyle("Read it.", None))
        for row, image in enumerate(images)
    ]
    batch = Collator(processor.pad_token_id, processor.image_token_id, left=left)(rows)
    return {name: value for name, value in batch.items() if isinstance(value, Tensor) and name != "labels"}
