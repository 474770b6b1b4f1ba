"""`texlens.json`, saved beside every adapter: the settings that inference must share with training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from texlens.core.errors import ModelError
from texlens.data.geometry import Resize
from texlens.models.bundled import EARLIER_NANOS
from texlens.models.metadata import as_dataclass, read_metadata


@dataclass(frozen=True)
class AdapterMetadata:
    """`base_fingerprint` is of the checkpoint's files; the pixel budget counts width x height."""

    base: str
    base_fingerprint: str
    family: str
    min_pixels: int
    max_pixels: int
    prompt: str
    system_prompt: str | None
    max_new_tokens: int
    version: int = 2
    base_quantize: str = "none"
    """How the base was quantized in memory during training."""
    init: str = "default"
    resize: Resize = "pil"
    """Whose bicubic resizing images had."""
    image_preparation: Mapping[str, float | None] | None = None
    """`inputs.image_preparation.Preparation` of the images that it was trained on; None for images as they are."""

    def to_json(self) -> dict:
        return asdict(self)

    def check_base(self, fingerprint: str, folder: Path) -> None:
        """
        Args:
            fingerprint: of the base to be used; `folder` is the adapter's.

        Raises:
            ModelError: the adapter belongs to another base.
        """
        if self.base_fingerprint == fingerprint:
            return
        if version := EARLIER_NANOS.get(self.base_fingerprint):
            raise ModelError(
                f"{folder}: trained on the nano model of texlens {version}; this version has another one. Train again "
                f"with the run's config.yaml, or take the folder src/texlens/models/nano of version {version} and "
                "set model.path to it"
            )
        raise ModelError(
            f"{folder}: this adapter belongs to another base ({self.base}, fingerprint "
            f"{self.base_fingerprint[:12]}), the loaded base has {fingerprint[:12]}; set model.path to the base it "
            "was trained on"
        )

    @classmethod
    def read(cls, folder: Path) -> "AdapterMetadata | None":
        """The folder's metadata, or None where another program saved the adapter.

        Raises:
            ModelError: the file is damaged.
        """
        metadata = read_metadata(folder)
        return as_dataclass(cls, metadata, folder) if metadata else None
