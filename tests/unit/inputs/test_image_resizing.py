import numpy as np
import pytest
import torch
from PIL import Image

from texlens.data.geometry import ImageGeometry
from texlens.inputs.image_patches import RESIZERS, image_to_patches, resize_pil, resize_torchvision, resized_image

SIZES = [((200, 50), (512, 128)), ((640, 480), (320, 224)), ((700, 40), (672, 64))]
"""From, to; in the last one side grows and the other shrinks."""


def noise(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_both_give_the_size_and_close_pixels(before, after):
    image = noise(before)
    pil, torchvision = (np.asarray(RESIZERS[name](image, after)).astype(int) for name in ("pil", "torchvision"))
    assert pil.shape == torchvision.shape == (after[1], after[0], 3)
    assert np.abs(pil - torchvision).mean() < 3


def test_torchvisions_weights_are_torchs_on_bytes():
    image = noise((200, 50))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous()
    expected = torch.nn.functional.interpolate(pixels, (128, 512), mode="bicubic", antialias=True)[0]
    assert np.array_equal(np.asarray(resize_torchvision(image, (512, 128))), expected.permute(1, 2, 0).numpy())


def test_the_setting_decides_the_patches():
    image = noise((700, 40))
    settings = {"patch_size": 16, "min_pixels": 1024, "max_pixels": 43008}
    pil, torchvision = (ImageGeometry(**settings, resize=name) for name in ("pil", "torchvision"))
    assert np.array_equal(np.asarray(resized_image(image, pil)), np.asarray(resize_pil(image, pil.resized(700, 40))))
    patches = [image_to_patches(image, geometry)[0] for geometry in (pil, torchvision)]
    assert patches[0].shape == patches[1].shape
    assert not np.array_equal(*patches)


def test_results_of_the_two_are_not_mistaken_for_each_other():
    assert ImageGeometry(16, min_pixels=1024, max_pixels=2048).chosen == [1024, 2048]
    assert ImageGeometry(16, min_pixels=1024, max_pixels=2048, resize="torchvision").chosen[2:] == ["torchvision"]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_pixels_are_torchvisions_own(before, after):
    functional = pytest.importorskip("torchvision.transforms.v2.functional", exc_type=ImportError)
    from torchvision.transforms import InterpolationMode

    image = noise(before)
    pixels = functional.pil_to_tensor(image)
    size = [after[1], after[0]]
    expected = functional.resize(pixels, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
    assert np.array_equal(np.asarray(resize_torchvision(image, after)), expected.permute(1, 2, 0).numpy())
