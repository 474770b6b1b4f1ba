"""The forms in which hybrid layers run where they are not one function."""

import torch

from tests.fixtures.tiny_models import tiny_model
from texlens.kernels.attention.segments import make_segments
from texlens.models.packed.hybrid import HybridModuleLayer, HybridReferenceLayer
from texlens.models.packed.mixers import mixer_of

ENDS = torch.tensor([0, 3, 7], dtype=torch.int32)


def test_the_reference_equals_the_modules_and_gives_chosen_rows_alone():
    model, _ = tiny_model("qwen3_5")
    text = model.model.language_model
    cos, sin = text.rotary_emb(torch.zeros(1), torch.arange(7)[None, None].expand(3, 1, -1))
    x, rows = torch.randn(7, text.config.hidden_size), torch.tensor([2, 6])
    for layer in text.layers:
        mixer = mixer_of(layer, text.config)
        by_modules = HybridModuleLayer(layer, mixer)
        by_reference = HybridReferenceLayer(layer, mixer, text.config, "none")
        arguments = x, cos[0], sin[0], make_segments(ENDS, 4)
        with torch.no_grad():
            expected = by_modules(*arguments)
            torch.testing.assert_close(by_reference(*arguments), expected)
            torch.testing.assert_close(by_reference(*arguments, rows), expected[rows])
            torch.testing.assert_close(by_modules(*arguments, rows), expected[rows])
