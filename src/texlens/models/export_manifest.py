"""The card of an exported folder, `texlens.json`: how it was made, from what, and how to read with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from texlens.models.metadata import as_dataclass, read_metadata

Format = Literal["adapter", "merged", "nf4", "int8", "fp8", "gptq", "awq", "gguf"]
FORMATS: tuple[str, ...] = get_args(Format)


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
    question: str
    system: str | None
    max_new_tokens: int
    made: Mapping[str, Any] = field(default_factory=dict)
    """The method in words and numbers: libraries, group size, calibration rows, layers quantized and kept."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    verified: Mapping[str, Any] | None = None
    version: int = 1

    def to_json(self) -> dict:
        return asdict(self)

    def with_verification(self, verified: Mapping[str, Any]) -> "ExportManifest":
        return replace(self, verified=verified)

    @classmethod
    def read(cls, folder: Path) -> "ExportManifest | None":
        """The folder's card; None where there is none, or one of another kind (an adapter's).

        Raises:
            ModelError: the card is damaged.
        """
        told = read_metadata(folder)
        return as_dataclass(cls, told, folder) if "format" in told else None
