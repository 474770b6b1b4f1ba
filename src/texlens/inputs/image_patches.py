"""An image as the rows of numbers that the vision tower reads: numpy and PIL alone, equal to the stock processor.

The stock processor resizes with torchvision where it is installed (vLLM, SGLang), with Pillow elsewhere. torchvision
itself calls torch's `interpolate` on bytes, as here, so it need not be installed.

P = patches, C = 3 channels x frames x patch x patch
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from PIL import Image

from texlens.data.geometry import ImageGeometry, Resize


def image_to_patches(image: Image.Image, geometry: ImageGeometry) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The normalized patches, float32 [P, C], and their grid (1, rows, columns).

    Patches are in the order in which the tower merges them: blocks of merge_size x merge_size, row by row. Within
    one, channels are outermost, then frames (a still image repeated), then the lines of the patch.

    Raises:
        DataError: the aspect ratio is over the geometry's limit.
    """
    pixels, grid = _cut(image, geometry)
    count, area = pixels.shape[1:]
    patches = np.empty((count, 3, geometry.temporal_patch_size, area), np.float32)
    for channel, values in enumerate(normalized_values(geometry.mean, geometry.std)):
        patches[:, channel] = values[pixels[channel]][:, None]
    return patches.reshape(count, -1), grid


def image_to_raw_patches(image: Image.Image, geometry: ImageGeometry) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The same patches before normalization, of one frame: uint8 [P, 3 x patch x patch], an eighth of the bytes.

    Raises:
        DataError: as `image_to_patches`.
    """
    pixels, grid = _cut(image, geometry)
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)).reshape(pixels.shape[1], -1), grid


def resized_image(image: Image.Image, geometry: ImageGeometry) -> Image.Image:
    """The image in RGB, at the size that is cut into patches.

    Raises:
        DataError: as `image_to_patches`.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    target = geometry.resized(*image.size)
    return image if target == image.size else RESIZERS[geometry.resize](image, target)


def _cut(image: Image.Image, geometry: ImageGeometry) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Pixels [3, P, patch x patch] of the resized image, and its grid."""
    image = resized_image(image, geometry)
    patch, merge = geometry.patch_size, geometry.merge_size
    rows, columns = image.height // patch, image.width // patch
    blocks = np.asarray(image).reshape(rows // merge, merge, patch, columns // merge, merge, patch, 3)
    pixels = np.ascontiguousarray(blocks.transpose(6, 0, 3, 1, 4, 2, 5)).reshape(3, rows * columns, patch * patch)
    return pixels, (1, rows, columns)


@lru_cache(maxsize=16)
def normalized_values(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """What each of the 256 values of a channel becomes, [3, 256].

    The steps and their precisions are the stock processor's: times 1/255 in float64, rounded to float32, then minus
    the mean and over the deviation in float32.
    """
    scaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    return (scaled - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]


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
