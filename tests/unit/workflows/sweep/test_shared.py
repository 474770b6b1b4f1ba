import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.fixtures.tiny_models import tiny_model
from texlens.config.model import ModelSettings
from texlens.config.quantize import QuantizeSettings
from texlens.models.build import BaseCheckpoint
from texlens.workflows.sweep.shared import SharedModels, make_contiguous, weights_checksum

BASE = BaseCheckpoint("tiny", None, "fingerprint", None)  # type: ignore[arg-type]
SETTINGS, QUANTIZE = ModelSettings(path="tiny"), QuantizeSettings()


def models() -> SharedModels:
    return SharedModels(lambda *_: tiny_model()[0])


def adapted(model, **options):
    return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", **options))


def test_the_base_under_an_adapter_is_used_again():
    shared = models()
    first = shared.load(BASE, SETTINGS, QUANTIZE)
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    shared.release(adapted(first))
    second = shared.load(BASE, SETTINGS, QUANTIZE)
    assert second is first
    assert shared.loads == 1
    assert not second.training
    assert all(torch.equal(before[name], tensor) for name, tensor in second.state_dict().items())


def test_a_base_whose_weights_have_changed_is_read_again():
    shared = models()
    shared.release(adapted(shared.load(BASE, SETTINGS, QUANTIZE), init_lora_weights="pissa"))
    shared.load(BASE, SETTINGS, QUANTIZE)
    assert shared.loads == 2


def test_a_model_that_was_trained_in_full_is_read_again():
    shared = models()
    shared.release(shared.load(BASE, SETTINGS, QUANTIZE))
    shared.load(BASE, SETTINGS, QUANTIZE)
    assert shared.loads == 2


@pytest.mark.parametrize(
    ("settings", "quantize"),
    [(ModelSettings(path="tiny", dtype="float32"), QUANTIZE), (SETTINGS, QuantizeSettings(quantize="nf4"))],
)
def test_other_settings_of_the_base_are_another_base(settings, quantize):
    shared = models()
    shared.release(adapted(shared.load(BASE, SETTINGS, QUANTIZE)))
    shared.load(BASE, settings, quantize)
    assert shared.loads == 2


def test_the_checksum_sees_one_bit_and_two_values_that_changed_places():
    model, _ = tiny_model()
    before = weights_checksum(model)
    weight = next(model.parameters())
    with torch.no_grad():
        swapped = weight.clone()
        swapped.view(-1)[[0, 1]] = weight.view(-1)[[1, 0]]
        weight.copy_(swapped)
    assert weights_checksum(model) != before


def test_views_of_wider_tensors_become_tensors_of_their_own():
    layer = torch.nn.Linear(4, 3)
    layer.weight.data = torch.zeros(3, 6)[:, :4]
    make_contiguous(layer)
    assert layer.weight.is_contiguous()
