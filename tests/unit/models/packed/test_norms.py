import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.kernels.decoder_layer.reference import rms_norm
from texlens.models.packed.norms import rms_norm_of


def test_both_kinds_of_norm_equal_the_stock_module():
    for family in ("qwen3_vl", "qwen3_5"):
        model, _ = tiny_model(family)
        text = model.model.language_model
        torch.nn.init.normal_(text.layers[0].input_layernorm.weight)
        x = torch.randn(3, text.config.hidden_size)
        with torch.no_grad():
            expected = text.layers[0].input_layernorm(x)
            torch.testing.assert_close(rms_norm(x, *rms_norm_of(text.layers[0].input_layernorm, text.config)), expected)
