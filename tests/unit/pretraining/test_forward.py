"""The written-out forward of pre-training gives the stock model's loss."""

import numpy as np
import pytest
import torch
from PIL import Image
from pretraining.forward import pack_loss
from pretraining.nano_config import NANO
from pretraining.packs import Packer, PackSize, Prompt
from transformers import AutoConfig, Qwen3VLForConditionalGeneration

SIZE = PackSize(tokens=512, patches=1024, samples=8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(AutoConfig.from_pretrained(NANO, attn_implementation="sdpa")).float().eval()
    torch.nn.init.normal_(model.model.visual.pos_embed.weight, std=0.5)
    return model


def image(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8))


def stock_loss(model, picture: Image.Image, ids: list[int], answer_length: int) -> float:
    """Summed loss of one sample through the stock forward."""
    gray = np.asarray(picture, np.float32) / 127.5 - 1
    height, width = gray.shape[0] // 8, gray.shape[1] // 8
    blocks = (
        gray.reshape(height // 2, 2, 8, width // 2, 2, 8).transpose(0, 3, 1, 4, 2, 5).reshape(height * width, 1, 64)
    )
    tokens = torch.tensor([ids])
    labels = tokens.clone()
    labels[:, :-answer_length] = -100
    output = model(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        labels=labels,
        pixel_values=torch.tensor(blocks.repeat(6, 1).reshape(height * width, 384)),
        image_grid_thw=torch.tensor([[1, height, width]]),
        mm_token_type_ids=(tokens == model.config.image_token_id).int(),
    )
    return float(output.loss) * answer_length


def test_a_pack_has_the_summed_loss_of_its_samples_one_by_one(model):
    prompt = Prompt((5, 6), (7, 8), end=9, image=model.config.image_token_id)
    pictures = [image(64, 32, 1), image(160, 48, 2), image(32, 96, 3)]
    answers = [[10, 11, 12], [20, 21, 22, 23, 24], [30]]
    packer = Packer(SIZE, prompt, side=16)
    for picture, answer in zip(pictures, answers, strict=True):
        assert packer.add(picture, answer) is None
    pack = {name: torch.as_tensor(array) for name, array in packer.finish().items()}
    with torch.no_grad():
        loss, count = pack_loss(model, pack, SIZE.longest_image, SIZE.longest_text)
        expected = 0.0
        for picture, answer in zip(pictures, answers, strict=True):
            images = picture.width * picture.height // 256
            ids = [5, 6, *[prompt.image] * images, 7, 8, *answer, 9]
            expected += stock_loss(model, picture, ids, len(answer) + 1)
    assert int(count) == 12
    assert float(loss) == pytest.approx(expected, rel=1e-5)
