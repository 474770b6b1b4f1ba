import torch
from torch.nn import functional

from tests.fixtures.tiny_models import tiny_model
from texlens.inference.engine.layers.shared_expert import SharedExpert
from texlens.inference.engine.layers.weights import Scratch
from texlens.kernels.decode import reference


def test_the_shared_expert_is_weighed_by_its_gate():
    block = tiny_model("qwen3_5_moe")[0].model.language_model.layers[0].mlp
    x = torch.randn(3, 32)
    with torch.no_grad():
        expected = block.shared_expert(x) * functional.sigmoid(block.shared_expert_gate(x))
        shared = SharedExpert(block, [None], Scratch(torch.float32))
        torch.testing.assert_close(shared(x, torch.zeros(3, dtype=torch.int32), reference), expected)
