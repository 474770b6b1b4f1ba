"""The images of a folder, each known by its content; which of them are held out follows from that alone."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from texlens.core.errors import DataError
from texlens.data.fingerprint import FileHashes
from texlens.data.image_formats import HEIF_SUFFIXES, IMAGE_SUFFIXES, unreadable_suffix
from texlens.data.lazy_image import LazyImage
from texlens.data.sample import Sample

STATE_FOLDER = "learn"
"""Of a folder of images, the folder that holds what was read, corrected and trained."""


@dataclass(frozen=True)
class LearnImage:
    """`key` is the SHA-256 of the file; `name` is its path in the folder."""

    key: str
    name: str
    path: Path

    @property
    def sample(self) -> Sample:
        return Sample(self.key, LazyImage.from_file(self.path, self.name), "")


@dataclass(frozen=True)
class FolderImages:
    """`by_key` has each content once, in the order of names; `copies` are the names of further files of a content, and
    `unreadable` those of files that can't be read, with the reason."""

    by_key: dict[str, LearnImage]
    copies: dict[str, str]
    unreadable: dict[str, str]


def find_images(folder: Path) -> FolderImages:
    """
    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images; check the path")
    images = FolderImages({}, {}, {})
    with FileHashes() as hashes:
        for path in _image_files(folder):
            name = os.fsencode(path.relative_to(folder)).decode("utf-8", errors="backslashreplace")
            key, reason = _key(path, hashes)
            if reason:
                images.unreadable[name] = reason
            elif key in images.by_key:
                images.copies[name] = images.by_key[key].name
            else:
                images.by_key[key] = LearnImage(key, name, path)
    if not images.by_key:
        raise DataError(f"{folder}: no image in it ({', '.join(sorted(IMAGE_SUFFIXES))}); name another folder")
    return images


def is_held_out(key: str, share: float) -> bool:
    """Whether an image is only ever used to measure. It follows from the image's content, so it never changes, in
    whatever order and however often images are read and corrected.

    Args:
        share: of all images, on average.
    """
    digest = hashlib.sha256(f"held out {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _key(path: Path, hashes: FileHashes) -> tuple[str, str]:
    """The key, or why the file can't be read."""
    if reason := unreadable_suffix(path.suffix):
        return "", reason
    try:
        return hashes.of(path), ""
    except (OSError, DataError) as error:
        return "", getattr(error, "strerror", None) or str(error)


def _image_files(folder: Path) -> Iterator[Path]:
    for home, folders, names in os.walk(folder):
        parent = Path(home)
        folders[:] = sorted(name for name in folders if not _is_skipped(parent / name, folder))
        for name in sorted(names):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES | HEIF_SUFFIXES and not name.startswith("."):
                yield parent / name


def _is_skipped(path: Path, folder: Path) -> bool:
    return path.name.startswith(".") or path == folder / STATE_FOLDER
