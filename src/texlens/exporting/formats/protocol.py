"""`ExportFormat`: what a format has to say and do; `registry.py` lists the formats and says how to add one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from texlens.config.run import RunConfig
from texlens.core.run_folder import RunFolder
from texlens.exporting.decoding import Decoding
from texlens.exporting.folder import write_supporting_files
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.models.build import BaseCheckpoint
from texlens.models.export_manifest import ExportManifest, ReaderName

CALIBRATION_ROWS = 64


@dataclass(frozen=True)
class ExportJob:
    """One export: whose adapter, and the folder to write to, which is renamed when it is complete.

    `quantize_vision` and `calibration_rows` concern quantized formats alone.
    """

    config: RunConfig
    run: RunFolder
    base: BaseCheckpoint
    folder: Path
    console: Console
    quantize_vision: bool = False
    calibration_rows: int = CALIBRATION_ROWS

    @property
    def decoding(self) -> Decoding:
        return Decoding.of_run(self.config)

    def write_supporting_files(self, base: Path | None = None, folder: Path | None = None) -> None:
        """Tokenizer, image settings, decoding and small files of `base`, by default the run's, to `folder`."""
        source = base or self.base.folder
        write_supporting_files(source, self.base.processor, self.decoding, folder or self.folder)


@dataclass(frozen=True)
class Tolerance:
    """Differences from the adapter with which an artifact passes verification.

    `kl_nats` is the mean Kullback-Leibler divergence of the first token; `edit_similarity` the loss of that score, as
    a fraction.
    """

    kl_nats: float
    edit_similarity: float

    def times(self, factor: float) -> "Tolerance":
        return Tolerance(self.kl_nats * factor, self.edit_similarity * factor)


class ExportFormat(Protocol):
    """One format of exported folders.

    Attributes:
        name: the value of `--format`.
        summary: one line for `--list-formats`: what it is, and which programs read it.
        reader: what reads the folder during verification and comparison.
        is_calibrated: whether weights are rounded with rows of the run's data.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def reader(self) -> ReaderName: ...
    @property
    def tolerance(self) -> Tolerance: ...
    @property
    def is_calibrated(self) -> bool: ...

    def needed_bytes(self, job: ExportJob) -> int:
        """Largest disk use while the folder is written, without tokenizer and settings."""
        ...

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        """Writes weights, config and supporting files into `job.folder`; returns the manifest's notes on the method.

        Raises:
            ExportError: this model has no such format, or a package is missing.
            ModelError: the adapter can't be merged.
        """
        ...

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        """Python for the README that loads the folder, or None."""
        ...

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        """Shell commands for other servers, the most common first; empty where only TexLens serves the folder.

        Args:
            folder: where the artifact will be.
            staging: where it is while it is written.
        """
        ...
