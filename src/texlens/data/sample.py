"""The `Sample`: one image with the text that should be read from it, and the `Refusal` of a row that can't be used."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageOps

from texlens.core.errors import DataError

MAX_IMAGE_PIXELS = 120_000_000
"""Larger images are refused from their header, before a pixel is decoded."""


@dataclass(frozen=True)
class LazyImage:
    """An image that is opened when asked for; its size comes from the header alone.

    `read` returns the encoded bytes (PNG, JPEG, …), `where` names the file or row for messages.
    """

    read: Callable[[], bytes]
    where: str

    @classmethod
    def from_file(cls, path: Path) -> "LazyImage":
        return cls(path.read_bytes, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "image") -> "LazyImage":
        return cls(lambda: data, where)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as shown (EXIF orientation applied), read from the header.

        Raises:
            DataError: not an image, or larger than `MAX_IMAGE_PIXELS`.
        """
        with self._open() as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            return (image.height, image.width) if turned else image.size

    def load(self) -> Image.Image:
        """The decoded image: RGB, upright, transparency laid on white.

        Raises:
            DataError: the bytes are truncated or not an image.
        """
        with self._open() as image:
            try:
                return _to_rgb(ImageOps.exif_transpose(image))
            except (OSError, SyntaxError, ValueError) as error:
                raise DataError(f"{self.where}: the image is damaged ({error}); replace the file") from error

    def _open(self) -> Image.Image:
        try:
            image = Image.open(io.BytesIO(self.read()))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{self.where}: not a readable image ({_short(error)}); replace or remove it") from error
        if image.width * image.height > MAX_IMAGE_PIXELS:
            raise DataError(
                f"{self.where}: {image.width}x{image.height} pixels, over the limit of {MAX_IMAGE_PIXELS:,}; scale it down"
            )
        return image


@dataclass(frozen=True)
class Sample:
    """One row: `image` in, `text` out. `prompt` and `system` replace the run's own where given."""

    id: str
    image: LazyImage
    text: str
    prompt: str | None = None
    system: str | None = None
    domain: str | None = None
    extra: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A row left out, with its place, the reason and what mends it."""

    id: str
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA"):
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    if image.mode in ("I", "I;16", "F"):
        raise ValueError(f"mode {image.mode}: save it with 8 bits a channel")
    return image.convert("RGB")


def _short(error: BaseException) -> str:
    return str(error).split("<_io")[0].strip() or type(error).__name__
