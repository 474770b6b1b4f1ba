import numpy as np
import pytest
import torch
from PIL import Image

from tests.fixtures.tiny_models import tiny_model
from texlens.exporting.onnx.image_encoder import OnnxImageEncoder
from texlens.exporting.onnx.text_decoder import OnnxTextDecoder
from texlens.inference.backends.numpy.forward import prompt_positions
from texlens.inputs.image_patches import image_to_patches, resized_image


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_prompt_and_steps_give_the_stock_models_logits(family):
    model, processor = tiny_model(family)
    image = Image.effect_noise((90, 40), 80).convert("RGB")
    patches, grid = image_to_patches(image, processor.geometry)
    rows, columns = grid[1] // 2, grid[2] // 2
    ids = [3, 4, *[processor.image_token_id] * (rows * columns), 5, 6, 7, 8, 9]
    is_image = torch.tensor(ids) == processor.image_token_id
    with torch.no_grad():
        expected = model(
            input_ids=torch.tensor([ids]),
            mm_token_type_ids=is_image[None].int(),
            pixel_values=torch.from_numpy(patches),
            image_grid_thw=torch.tensor([grid]),
        ).logits[0]
        actual = _stepwise(model, processor, ids, prompt_positions(is_image.numpy(), rows, columns), image)
    for logits, position in zip(actual, (-3, -2, -1), strict=True):
        torch.testing.assert_close(logits, expected[position], atol=2e-5, rtol=2e-5)


def _stepwise(model, processor, ids: list[int], positions_3L: np.ndarray, image: Image.Image) -> list[torch.Tensor]:
    """Logits after the last three tokens: the prompt up to the first of them, then one at a time."""
    encoder = OnnxImageEncoder(model.model.visual, processor.family, processor.geometry)
    decoder = OnnxTextDecoder(model, processor.family, processor.image_token_id)
    features = encoder(torch.from_numpy(np.array(resized_image(image, processor.geometry))))
    config, positions = model.config.text_config, torch.from_numpy(positions_3L)
    width = model.model.language_model.layers[0].self_attn.head_dim
    cache = [torch.zeros(config.num_key_value_heads, 0, width) for _ in range(2 * config.num_hidden_layers)]
    results = []
    for start, stop in ((0, -2), (len(ids) - 2, -1), (len(ids) - 1, None)):
        part = torch.tensor(ids[start:stop])
        logits, cache = decoder(part, positions[:, start:stop], features if start == 0 else features[:, :0], cache)
        results.append(logits)
    return results
