"""`texlens.json`, saved beside every adapter: what reading with it must use so that it reads as it was trained."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from texlens.core.errors import ModelError

CARD = "texlens.json"


@dataclass(frozen=True)
class AdapterCard:
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
    base_quantise: str = "none"
    """How the base was held in memory while the adapter was trained on it."""
    init: str = "default"

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def read(cls, folder: Path) -> "AdapterCard | None":
        """The folder's card, or None where another program saved the adapter; an exported folder's card says more.

        Raises:
            ModelError: the card is damaged.
        """
        path = folder / CARD
        if not path.is_file():
            return None
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{part.name: told[part.name] for part in fields(cls) if part.name in told})
        except (ValueError, TypeError) as error:
            raise ModelError(f"{path}: damaged ({error}); save the adapter again") from None
