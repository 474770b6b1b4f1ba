"""An image of a row: its size from the header alone, its pixels when they are asked for, decoded under limits."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from PIL import Image

from texlens.core.errors import TOO_LARGE, DataError, one_line
from texlens.core.regular_files import open_regular, read_regular
from texlens.data.image_formats import allowed_formats
from texlens.data.png_header import png_header

MAX_IMAGE_PIXELS = 120_000_000
"""Larger images are rejected from their header, before a pixel is decoded."""
EIGHT_BIT_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)
ORIENTATION = 0x0112
UPRIGHT_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""
MIN_CONTRAST = 64
"""Gray levels between the lightest and darkest pixel that a transparent image must show on white."""
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, MemoryError, ArithmeticError, LookupError, TypeError)
"""What Pillow's decoders raise over damaged files."""

Ground = Literal["white", "black"]


@dataclass(frozen=True)
class Header:
    """Width and height as shown, Pillow's names of mode and format, EXIF orientation (1 is upright)."""

    width: int
    height: int
    mode: str
    format: str
    orientation: int = 1
    transparency: bool = False


@dataclass(frozen=True)
class LazyImage:
    """An image that is opened on demand; its size comes from the header alone.

    `read` returns the encoded bytes (PNG, JPEG, …), `where` names the file or row for messages. With a `path` the
    header is read from the file without the rest of it. `read_name` returns the file name where there is no path.
    `max_pixels` is the row's own budget: a larger image is scaled down to it, its aspect ratio kept.
    """

    read: Callable[[], bytes]
    where: str
    path: Path | None = None
    read_name: Callable[[], str | None] | None = None
    max_pixels: int | None = None

    @classmethod
    def from_file(cls, path: Path, where: str | None = None, max_pixels: int | None = None) -> "LazyImage":
        return cls(lambda: read_regular(path), where or str(path), path, max_pixels=max_pixels)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "image") -> "LazyImage":
        return cls(lambda: data, where)

    def __getstate__(self) -> dict:
        """An image in a file travels between processes without its reader."""
        state = dict(self.__dict__)
        if self.path is not None:
            state["read"] = None
        return state

    def __setstate__(self, state: dict) -> None:
        path = state["path"]
        if state["read"] is None:
            state["read"] = lambda: read_regular(path)
        self.__dict__.update(state)

    @property
    def name(self) -> str | None:
        """The file name that the image has or had, where it is known."""
        if self.read_name is not None:
            return self.read_name()
        return self.path.name if self.path else None

    def encoded(self) -> bytes:
        """The file's bytes, never re-encoded.

        Raises:
            DataError: it can't be read.
        """
        try:
            return self.read()
        except OSError as error:
            raise self._unreadable(error) from error
        except DataError as error:
            raise self._located(error) from error

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as shown (EXIF orientation and `max_pixels` applied), read from the header.

        Raises:
            DataError: not an image of an allowed format, of more than 8 bits a channel, or larger than
                `MAX_IMAGE_PIXELS`.
        """
        header = self.header
        return scaled_size(header.width, header.height, self.max_pixels)

    @cached_property
    def header(self) -> Header:
        """Size, mode and orientation from the file's header; no pixel is decoded, and `max_pixels` is not applied.

        Raises:
            DataError: as `size`.
        """
        if self.path is None:
            plain = png_header(self.encoded())
            if plain is not None and plain[0] * plain[1] <= MAX_IMAGE_PIXELS:
                width, height, mode, transparency = plain
                return Header(width, height, mode, "PNG", 1, transparency)
        with self._open() as image:
            orientation = _orientation(image)
            width, height = (image.height, image.width) if orientation >= 5 else image.size
            return Header(width, height, image.mode, image.format or "", orientation, _has_transparency(image))

    def load(self) -> Image.Image:
        """The decoded image: RGB, upright, of `size`; a transparent one on the ground that shows it.

        Raises:
            DataError: the bytes are truncated or not an image.
        """
        return self.load_on_ground()[0]

    def load_on_ground(self) -> tuple[Image.Image, Ground | None]:
        """As `load`, and the ground that transparency was put on (None for an opaque image).

        Raises:
            DataError: as `load`.
        """
        with self._open() as image:
            orientation = _orientation(image)
            try:
                rgb, ground = _to_rgb(image)
            except DECODING_ERRORS as error:
                raise DataError(f"{self.where}: {_damage(error)}") from error
        if orientation in UPRIGHT_TRANSPOSE:
            rgb = rgb.transpose(UPRIGHT_TRANSPOSE[orientation])
        target = scaled_size(*rgb.size, self.max_pixels)
        return (rgb if target == rgb.size else rgb.resize(target, Image.Resampling.BICUBIC)), ground

    def _open(self) -> Image.Image:
        try:
            file = open_regular(self.path) if self.path else io.BytesIO(self.read())
        except OSError as error:
            raise self._unreadable(error) from error
        except DataError as error:
            raise self._located(error) from error
        try:
            image = Image.open(file, formats=allowed_formats())
        except Image.DecompressionBombError as error:
            message = f"{self.where}: over the limit of {MAX_IMAGE_PIXELS:,} pixels; scale it down"
            raise DataError(message, TOO_LARGE) from error
        except DECODING_ERRORS as error:
            raise DataError(f"{self.where}: not a readable image ({_short(error)}); replace or remove it") from error
        if image.width * image.height > MAX_IMAGE_PIXELS:
            size = f"{image.width}x{image.height}"
            message = f"{self.where}: {size} pixels, over the limit of {MAX_IMAGE_PIXELS:,}; scale it down"
            raise DataError(message, TOO_LARGE)
        if image.mode not in EIGHT_BIT_MODES:
            raise DataError(f"{self.where}: pixels of mode {image.mode}; save the image with 8 bits a channel")
        return image

    def _unreadable(self, error: OSError) -> DataError:
        if isinstance(error, FileNotFoundError):
            return DataError(f"{self.where}: no such file; put the image there or remove the row")
        return DataError(f"{self.where}: can't be read ({error.strerror or error}); fix or remove it")

    def _located(self, error: DataError) -> DataError:
        return error if str(error).startswith(self.where) else DataError(f"{self.where}: {error}", error.kind)


def scaled_size(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    """
    Example:
        scaled_size(400, 100, 10_000) -> (200, 50)
    """
    if max_pixels is None or width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 from the header; damaged EXIF counts as upright.

    Pillow itself turns TIFF, and pillow-heif HEIF. Pillow would decode a PNG to find EXIF behind the pixels; there
    none is read.
    """
    if image.format in ("TIFF", "HEIF"):
        return 1
    if image.format == "PNG" and "exif" not in image.info and "Raw profile type exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DECODING_ERRORS:
        return 1


def _has_transparency(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _to_rgb(image: Image.Image) -> tuple[Image.Image, Ground | None]:
    """A transparent image on white where it shows contrast there, else on the ground that shows more of it."""
    if not _has_transparency(image):
        return image.convert("RGB"), None
    rgba = image.convert("RGBA")
    on_white = _composite(rgba, "white")
    if _contrast(on_white) >= MIN_CONTRAST:
        return on_white, "white"
    on_black = _composite(rgba, "black")
    return (on_black, "black") if _contrast(on_black) > _contrast(on_white) else (on_white, "white")


def _composite(rgba: Image.Image, ground: Ground) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba).convert("RGB")


def _contrast(image: Image.Image) -> int:
    """Gray levels between the darkest and the lightest pixel."""
    darkest, lightest = image.convert("L").getextrema()
    return int(lightest) - int(darkest)  # type: ignore[arg-type]


def _damage(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "decoding it needs more memory than there is; scale it down"
    return f"the image is damaged ({_short(error)}); replace the file"


def _short(error: BaseException) -> str:
    return one_line(error, 200).split(" <_io")[0].strip() or type(error).__name__
