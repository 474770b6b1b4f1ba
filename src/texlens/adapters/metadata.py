"""`texlens.json`, saved beside every adapter: what reading with it must use so that it reads as it was trained."""

from dataclasses import asdict, dataclass
from pathlib import Path

from texlens.models.metadata import as_dataclass, read_metadata


@dataclass(frozen=True)
class AdapterMetadata:
    """`base_fingerprint` is of the checkpoint's files; the pixel budget counts width x height."""

    base: str
    base_fingerprint: str
    family: str
    min_pixels: int
    max_pixels: int
    question: str
    system: str | None
    max_new_tokens: int
    version: int = 1
    base_quantize: str = "none"
    """How the base was held in memory while the adapter was trained on it."""
    init: str = "default"

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> "AdapterMetadata | None":
        """The folder's card, or None where another program saved the adapter; an exported folder's card says more.

        Raises:
            ModelError: the card is damaged.
        """
        told = read_metadata(folder)
        return as_dataclass(cls, told, folder) if told else None
