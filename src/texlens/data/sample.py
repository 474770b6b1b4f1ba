"""The `Sample`: one image (or several) with the text that should be read from it, and the `RejectedRow` of a row."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from PIL import Image

from texlens.core.errors import TOO_LARGE, DataError
from texlens.data.png_header import png_header

IMAGE_PLACEHOLDER = "<image>"
"""The position of an image in a user's turn. Without placeholders all images go before the first user's text."""
MAX_IMAGE_PIXELS = 120_000_000
"""Larger images are rejected from their header, before a pixel is decoded."""
EIGHT_BIT_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
)
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""


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
    """An image that is opened when asked for; its size comes from the header alone.

    `read` returns the encoded bytes (PNG, JPEG, …), `where` names the file or row for messages. With a `path` the
    header is read from the file without the rest of it. `read_name` returns the file name where there is no path.
    """

    read: Callable[[], bytes]
    where: str
    path: Path | None = None
    read_name: Callable[[], str | None] | None = None

    @classmethod
    def from_file(cls, path: Path) -> "LazyImage":
        return cls(path.read_bytes, str(path), path)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "image") -> "LazyImage":
        return cls(lambda: data, where)

    @property
    def name(self) -> str | None:
        """The file name that the image has or had, where it is known."""
        if self.read_name is not None:
            return self.read_name()
        return self.path.name if self.path else None

    def encoded(self) -> bytes:
        """The file as it is, never re-encoded.

        Raises:
            DataError: it can't be read.
        """
        try:
            return self.read()
        except FileNotFoundError as error:
            raise DataError(f"{self.where}: no such file; put the image there or remove the row") from error
        except OSError as error:
            raise DataError(f"{self.where}: can't be read ({error.strerror or error}); fix or remove it") from error

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as shown (EXIF orientation applied), read from the header.

        Raises:
            DataError: not an image, of more than 8 bits a channel, or larger than `MAX_IMAGE_PIXELS`.
        """
        header = self.header
        return header.width, header.height

    @cached_property
    def header(self) -> "Header":
        """Size, mode and orientation from the file's header; no pixel is decoded.

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
        """The decoded image: RGB, upright, transparency laid on white. Its size is `size`.

        Raises:
            DataError: the bytes are truncated or not an image.
        """
        with self._open() as image:
            orientation = _orientation(image)
            try:
                rgb = _to_rgb(image)
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                raise DataError(f"{self.where}: the image is damaged ({_short(error)}); replace the file") from error
        return rgb.transpose(TURNS[orientation]) if orientation in TURNS else rgb

    def _open(self) -> Image.Image:
        try:
            image = Image.open(self.path or io.BytesIO(self.read()))
        except FileNotFoundError as error:
            raise DataError(f"{self.where}: no such file; put the image there or remove the row") from error
        except Image.DecompressionBombError as error:
            message = f"{self.where}: over the limit of {MAX_IMAGE_PIXELS:,} pixels; scale it down"
            raise DataError(message, TOO_LARGE) from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise DataError(f"{self.where}: not a readable image ({_short(error)}); replace or remove it") from error
        if image.width * image.height > MAX_IMAGE_PIXELS:
            size = f"{image.width}x{image.height}"
            message = f"{self.where}: {size} pixels, over the limit of {MAX_IMAGE_PIXELS:,}; scale it down"
            raise DataError(message, TOO_LARGE)
        if image.mode not in EIGHT_BIT_MODES:
            raise DataError(f"{self.where}: pixels of mode {image.mode}; save the image with 8 bits a channel")
        return image


@dataclass(frozen=True)
class Turn:
    """An earlier turn of a conversation; `role` is `user` or `assistant`."""

    role: str
    text: str


@dataclass(frozen=True)
class Sample:
    """One row: `image` in, `text` out. `prompt` and `system` replace the run's own where given.

    A row of several images holds the others in `more_images`; `images` are all of them. In the texts of user turns
    (those of `history`, then `prompt`) each `<image>` is the place of the next image; without any mark all images
    stand before the first user's text. So a plain row has no mark, and its image stands before the question.

    `history` holds the turns before the last question, user and assistant in turn. Of several accepted answers `text`
    is the first and `more_answers` the others; `answers` are all of them.

    Example:
        Sample("7", a, "They differ in x", "And <image>?", more_images=(b,),
               history=(Turn("user", "What is <image>?"), Turn("assistant", "A sum")))
    """

    id: str
    image: LazyImage
    text: str
    prompt: str | None = None
    system: str | None = None
    domain: str | None = None
    extra: dict = field(default_factory=dict)
    more_images: tuple[LazyImage, ...] = ()
    history: tuple[Turn, ...] = ()
    more_answers: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[LazyImage, ...]:
        return (self.image, *self.more_images)

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.text, *self.more_answers)


@dataclass(frozen=True)
class RejectedRow:
    """A row left out: where it is, why, and how to fix it. `kind` is a short name to count by.

    `text`, `more_answers` and `domain` are those of the row as far as it could be read, so that a rejected row scores
    zero in the domain that it belongs to.
    """

    id: str
    where: str
    reason: str
    kind: str = "row"
    text: str = ""
    domain: str | None = None
    more_answers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"

    @classmethod
    def from_error(cls, sample: Sample, error: DataError, kind: str) -> "RejectedRow":
        """A rejected row from an error about `sample`."""
        where = sample.image.where
        reason = str(error).removeprefix(f"{where}: ")
        return cls(sample.id, where, reason, kind, sample.text, sample.domain, sample.more_answers)

    def to_json(self) -> dict[str, str]:
        """The line of rejected.jsonl."""
        return {"id": self.id, "where": self.where, "reason": self.reason, "kind": self.kind}


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 from the header; damaged EXIF counts as upright.

    Pillow turns a TIFF by itself. It decodes a whole PNG in search of EXIF behind the pixels; there none is looked for.
    """
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and "exif" not in image.info and "Raw profile type exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, EOFError):
        return 1


def _has_transparency(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _to_rgb(image: Image.Image) -> Image.Image:
    if _has_transparency(image):
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _short(error: BaseException) -> str:
    return str(error).split(" <_io")[0].strip() or type(error).__name__
