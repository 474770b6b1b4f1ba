"""What a frozen vision tower made of images, on disk: one safetensors file an image, read in place of its pixels.

# K = the merged features and those for the first layers (deepstack), V = image tokens, D = width
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from texlens.core.errors import DataError, RunError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.data.sample import LazyImage

NAME = "features"
SAMPLE_SIZE = 256
"""Rows from which the room that all will take is reckoned."""


@dataclass(frozen=True)
class FeatureStore:
    """
    Args:
        folder: of one tower and one geometry; other ones have other folders.
        parts, width, dtype: K, D and the tower's own dtype; a file of another make counts as damaged.
    """

    folder: Path
    parts: int
    width: int
    dtype: torch.dtype

    def key(self, image: LazyImage) -> str:
        """Of the image's encoded bytes.

        Raises:
            DataError: it can't be read.
        """
        return hashlib.sha256(image.encoded()).hexdigest()

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def bytes_of(self, tokens: int) -> int:
        return tokens * self.parts * self.width * self.dtype.itemsize

    def read(self, key: str, tokens: int) -> Tensor | None:
        """The features [K, V, D] in the image's own order, or None: not there, or the file is damaged."""
        try:
            features = load(self.path(key).read_bytes()).get(NAME)
        except (OSError, SafetensorError):
            return None
        if features is None or features.dtype != self.dtype:
            return None
        return features if features.shape == (self.parts, tokens, self.width) else None

    def reconcile(self, new_images: Sequence[tuple[str, int, int]], features: Sequence[Tensor]) -> None:
        """Keeps what was just made; what was kept before of the same image is used in its place, so that every image
        has the same numbers in the whole run, whichever neighbors it was computed with.

        Args:
            fresh: key and bounds in V of each image.
            features: K tensors [V, D], changed in place.

        Raises:
            RunError: the disk does not take them.
        """
        computed = torch.stack(list(features)).cpu()
        new: dict[str, Tensor] = {}
        for key, start, end in new_images:
            cached = new[key] if key in new else self.read(key, end - start)
            if cached is None:
                new[key] = computed[:, start:end].contiguous()
                continue
            for part, earlier in zip(features, cached, strict=True):
                part[start:end] = earlier.to(part.device)
        if torch.isfinite(computed).all():
            self.write(new)

    def write(self, features: Mapping[str, Tensor]) -> None:
        """Writes all aside before the first is put in its place, so that a kill leaves all of a pack or none.

        Raises:
            RunError: the disk does not take them.
        """
        written: dict[Path, Path] = {}
        try:
            for key, tensor in features.items():
                path = self.path(key)
                path.parent.mkdir(parents=True, exist_ok=True)
                written[path] = path.with_name(f".{key}.{os.getpid()}.partial")
                written[path].write_bytes(save({NAME: tensor}))
            for path, staging in written.items():
                os.replace(staging, path)
        except OSError as error:
            for staging in written.values():
                staging.unlink(missing_ok=True)
            raise RunError(
                f"train.cache_features: {self.folder} takes no more features ({error.strerror or error}); "
                "make room, set TEXLENS_CACHE to another disk, or turn it off"
            ) from error

    def missing_bytes(self, rows: Rows, geometry: ImageGeometry) -> int:
        """About what the features of `rows` will take that are not there yet, from some rows evenly chosen."""
        chosen = range(0, len(rows), -(-len(rows) // SAMPLE_SIZE)) if len(rows) else ()
        known: set[str] = set()
        missing = 0
        for index in chosen:
            for image in rows[index].images:
                try:
                    key, tokens = self.key(image), geometry.tokens(*image.size)
                except DataError:
                    continue
                if key not in known and not self.path(key).exists():
                    missing += self.bytes_of(tokens)
                known.add(key)
        return missing * len(rows) // max(len(chosen), 1)

    def free_bytes(self) -> int:
        """Room on the disk of the folder, which need not be there yet."""
        existing = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        return shutil.disk_usage(existing).free
