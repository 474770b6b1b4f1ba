"""The image formats that are decoded, and no others: Pillow's further ones reach old decoders, EPS even Ghostscript."""

import contextlib
import importlib.util
from functools import cache

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
"""Pillow's names. AVIF and JPEG 2000 need a Pillow that was built with them, as the wheels are."""
IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
HEIF_SUFFIXES = frozenset({".heic", ".heif"})
"""Read where the package pillow-heif is installed."""


@cache
def allowed_formats() -> tuple[str, ...]:
    """What `Image.open(…, formats=…)` is given, everywhere."""
    return (*FORMATS, "HEIF") if _has_heif() else FORMATS


def unreadable_suffix(suffix: str) -> str | None:
    """Why files of this suffix can't be read here; None for those that can.

    Example:
        unreadable_suffix(".heic") -> "HEIC needs the package pillow-heif; run pip install pillow-heif …"
    """
    if suffix.lower() in HEIF_SUFFIXES and not _has_heif():
        return "HEIC needs the package pillow-heif; run pip install 'texlens[heif]', or save it as PNG"
    return None


@cache
def _has_heif() -> bool:
    """Whether pillow-heif is there; it is registered with Pillow then."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    with contextlib.suppress(ImportError, OSError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return True
    return False
