import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.inference.engine.layers.norms import LayerNorm


def test_a_trained_norm_is_read_again_into_the_same_tensor():
    for family, offset in (("qwen3_vl", 0), ("qwen3_5", 1)):
        text = tiny_model(family)[0].model.language_model
        norm = LayerNorm(text.norm, text.config)
        address = norm.weight.data_ptr()
        with torch.no_grad():
            text.norm.weight.fill_(0.5)
        norm.refresh()
        assert norm.weight.tolist() == [0.5 + offset] * 32
        assert norm.weight.data_ptr() == address
