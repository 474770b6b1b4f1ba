"""Bicubic resizing of an image, as Pillow or as torchvision does it.

transformers' image processors have both: torchvision's is the default where it is installed (vLLM, SGLang), Pillow's
elsewhere. torchvision itself calls torch's `interpolate` on bytes, as here, so it need not be installed.
"""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from texlens.data.geometry import Resize


def resize_pil(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The RGB image at (width, height), with Pillow's fixed-point weights."""
    return image.resize(size, Image.Resampling.BICUBIC)


def resize_torchvision(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The RGB image at (width, height), with torch's antialiased bicubic weights."""
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous()
    width, height = size
    resized = torch.nn.functional.interpolate(
        pixels, (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return Image.fromarray(resized[0].permute(1, 2, 0).contiguous().numpy())


RESIZERS: Mapping[Resize, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {
    "pil": resize_pil,
    "torchvision": resize_torchvision,
}
