"""`texlens.json` of an exported folder: how it was made, from what, and how to read with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from texlens.data.geometry import Resize
from texlens.models.metadata import as_dataclass, read_metadata

ReaderName = Literal["transformers", "peft", "llama.cpp", "onnxruntime"]
"""What reads an exported folder."""

OLD_READERS: Mapping[str, ReaderName] = {"adapter": "peft", "gguf": "llama.cpp"}
"""Readers of version 1, which does not name them; transformers for all other formats."""


@dataclass(frozen=True)
class ExportManifest:
    """`adapter` is the sha256 of the adapter's weights; the pixel budget counts width x height."""

    format: str
    base: str
    base_fingerprint: str
    adapter: str
    family: str
    run: str
    min_pixels: int
    max_pixels: int
    prompt: str
    system_prompt: str | None
    max_new_tokens: int
    reader: ReaderName = "transformers"
    notes: Mapping[str, Any] = field(default_factory=dict)
    """The method in words and numbers: libraries, group size, calibration rows, numbers of quantized layers."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    verified: Mapping[str, Any] | None = None
    temperature: float = 0.0
    """Of the measured decoding; 0 is greedy."""
    resize: Resize = "pil"
    """Whose bicubic resizing images had in training."""
    image_preparation: Mapping[str, float | None] | None = None
    """How texlens prepares images before it reads them with this; other programs don't."""
    version: int = 2

    def to_json(self) -> dict:
        return asdict(self)

    def with_verification(self, verified: Mapping[str, Any]) -> "ExportManifest":
        return replace(self, verified=verified)

    @classmethod
    def read(cls, folder: Path) -> "ExportManifest | None":
        """The folder's manifest; None where there is none, or the metadata of an adapter.

        Raises:
            ModelError: the file is damaged.
        """
        metadata = read_metadata(folder)
        if "format" not in metadata:
            return None
        reader = OLD_READERS.get(metadata["format"], "transformers")
        return as_dataclass(cls, {"reader": reader, **metadata}, folder)
