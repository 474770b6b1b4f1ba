"""Base and adapter in one batch compared with each on its own."""

import pytest
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import tiny_model
from tests.unit.inference.engine.conftest import samples
from texlens.data.sample import LazyImage, Sample
from texlens.inference import decoders
from texlens.inference.adapter_switch import FIRST_ADAPTER, AdapterSwitch
from texlens.inference.backends.read_together import can_read_together, read_together
from texlens.inference.backends.transformers import TransformersBackend
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import open_engine
from texlens.inference.engine.plan import plan_for_rows
from texlens.inference.model import LoadedModel, in_order
from texlens.inputs.chat_template import PromptStyle

__all__ = ["samples"]


@pytest.fixture
def models(monkeypatch):
    """A base and an adapter on it, decoded by the engine on the CPU too."""
    model, processor = tiny_model()
    model = get_peft_model(model, LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|down_proj)"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2)
    switch = AdapterSwitch(model.eval())
    factories = {**decoders.DECODERS, "engine": lambda *model: open_engine(*model, plan_for_rows(4, 160))}
    monkeypatch.setattr(decoders, "DECODERS", factories)
    monkeypatch.setattr(TransformersBackend, "reads_streams", True)
    return [
        LoadedModel(str(adapter), TransformersBackend(switch, processor, adapter), PromptStyle("Read."), 9)
        for adapter in (None, FIRST_ADAPTER)
    ]


def test_each_system_reads_what_it_reads_alone(models, samples):
    broken = Sample("broken", LazyImage.from_bytes(b"no image", "broken.png"), "")
    rows = [*samples, broken]
    assert can_read_together(models)

    both = list(read_together(models, rows, sampling=Sampling(9)))

    for number, model in enumerate(models):
        ours = in_order([prediction for system, prediction in both if system == number], rows)
        expected = model.read(rows, sampling=Sampling(9))
        assert [row.text for row in ours] == [row.text for row in expected]
        assert ours[-1].stop == "failed"


def test_models_that_share_nothing_are_read_one_after_the_other(models):
    model, processor = tiny_model()
    other = LoadedModel("x", TransformersBackend(AdapterSwitch(model), processor), PromptStyle("Read."), 9)

    assert not can_read_together([models[0], other])
    assert not can_read_together([models[0], object()])
