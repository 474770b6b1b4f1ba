"""Projections with stacked weights and adapters."""

import pytest
import torch

from tests.fixtures.tiny_models import tiny_model
from tests.unit.models.packed.packs import adapted, gradients, pack_of, stock_loss
from texlens.models.packed.forward import packed_forward


def test_stacked_weights_stay_the_models_own():
    model, processor = tiny_model("qwen2_5_vl")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained = adapted(model)
    packed_forward(trained.base_model.model, processor.geometry)
    layer = model.model.language_model.layers[0].self_attn
    storage = layer.q_proj.base_layer.weight.untyped_storage().data_ptr()
    assert layer.k_proj.weight.untyped_storage().data_ptr() == storage
    bare = trained.unload().state_dict()
    assert all(torch.equal(before[name], bare[name]) for name in before)


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_adapters_are_read_after_each_step_of_a_fused_optimizer(recompute):
    model, processor = tiny_model("qwen3_vl")
    trained = adapted(model)
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05, fused=True)
    forward = packed_forward(trained.base_model.model, processor.geometry, recompute=recompute, backend="cpu")
    pack = pack_of(model, processor)
    for _ in range(2):
        gradients(forward.loss(pack) / 7, trained)
        optimizer.step()
    torch.testing.assert_close(forward.loss(pack) / 7, stock_loss(trained, processor), atol=1e-5, rtol=1e-6)
