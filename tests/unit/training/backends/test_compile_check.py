"""A failed compilation is reported, and leaves the model unchanged."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_model
from tests.unit.models.packed.packs import adapted
from texlens.core.errors import ModelError
from texlens.kernels.dropout import reference
from texlens.models.packed.forward import pack_spec, packed_forward
from texlens.training.backends.compile_check import compile_check, small_pack


def failing(forward, error):
    def loss(pack):
        raise error

    broken = replace(forward)
    object.__setattr__(broken, "loss", loss)
    return broken


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_compile_check_leaves_the_model_unchanged(family):
    model, processor = tiny_model(family)
    model.model.visual.train()
    modes = [module.training for module in model.modules()]
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    random_state = torch.get_rng_state()
    layout = pack_spec(model.config, processor, padded=True)
    forward, reason = compile_check(
        lambda: packed_forward(model, processor.geometry), model, processor.geometry, layout
    )
    assert reason is None
    assert forward is not None
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert torch.equal(random_state, torch.get_rng_state())


def test_products_of_dropped_inputs_are_compiled_too(monkeypatch):
    model, processor = tiny_model("qwen3_vl")
    adapted(model, target_modules=["q_proj"], lora_dropout=0.5)
    called, kernels = [], reference.dropped_product
    monkeypatch.setattr(reference, "dropped_product", lambda *options: called.append(1) or kernels(*options))
    state = torch.get_rng_state()
    _, reason = compile_check(
        lambda: packed_forward(model, processor.geometry, backend="cpu"),
        model,
        processor.geometry,
        pack_spec(model.config, processor),
    )
    assert reason is None
    assert len(called) == len(model.model.language_model.layers)
    assert torch.equal(state, torch.get_rng_state())


def test_compiler_error_is_reported_in_one_line():
    model, processor = tiny_model("qwen3_vl")
    layout = pack_spec(model.config, processor)
    broken = failing(packed_forward(model, processor.geometry), RuntimeError("Failed to find\n C compiler. Set CC"))
    forward, reason = compile_check(lambda: broken, model, processor.geometry, layout)
    assert forward is None
    assert reason == "RuntimeError: Failed to find C compiler. Set CC"


def test_missing_triton_is_reported():
    model, processor = tiny_model("qwen3_vl")

    def build():
        raise ModuleNotFoundError("No module named 'triton'")

    _, reason = compile_check(build, model, processor.geometry, pack_spec(model.config, processor))
    assert reason == "ModuleNotFoundError: No module named 'triton'"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("2 GiB"), ModelError("no such tower")])
def test_errors_unrelated_to_compilation_are_raised(error):
    model, processor = tiny_model("qwen3_vl")
    broken = failing(packed_forward(model, processor.geometry), error)
    with pytest.raises(type(error)):
        compile_check(lambda: broken, model, processor.geometry, pack_spec(model.config, processor))


def test_small_pack_has_images_and_labels():
    model, processor = tiny_model("qwen2_5_vl")
    pack = small_pack(processor.geometry, pack_spec(model.config, processor), torch.device("cpu"))
    assert len(pack["labels"]) == 24
    assert len(pack["image_rows"]) == 8
