"""`merged`: base + update, added in float32 and rounded once to the base's type."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.adapters.lora import is_full
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand, checkpoint_commands, checkpoint_loading_code
from texlens.exporting.merged import write_merged
from texlens.models.checkpoint import CONFIG, INDEX, weight_files
from texlens.models.export_manifest import ExportManifest, ReaderName

TOLERANCE = Tolerance(kl_nats=0.01, edit_similarity=0.01)


@dataclass(frozen=True)
class MergedFormat:
    name: str = "merged"
    summary: str = "base + update in the base's own type: every program that reads the base"
    reader: ReaderName = "transformers"
    tolerance: Tolerance = TOLERANCE
    is_calibrated: bool = False

    def needed_bytes(self, job: ExportJob) -> int:
        return checkpoint_bytes(job)

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        return write_merged_checkpoint(job, job.folder)

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        return checkpoint_loading_code(manifest, folder_name)

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        return checkpoint_commands(manifest, folder)


def checkpoint_bytes(job: ExportJob) -> int:
    """Bytes of the base's weights."""
    return sum(path.stat().st_size for path in weight_files(job.base.folder))


def write_merged_checkpoint(job: ExportJob, folder: Path) -> dict[str, Any]:
    """The run's adapter merged into its base; a fully fine-tuned checkpoint is copied."""
    if is_full(job.run.adapter):
        for path in [*weight_files(job.run.adapter), job.run.adapter / CONFIG, job.run.adapter / INDEX]:
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        job.write_supporting_files(folder=folder)
        return {"method": "fully fine-tuned"}
    changed = write_merged(job.base.folder, job.run.adapter, folder)
    job.write_supporting_files(folder=folder)
    return {"method": "merged in float32, rounded once", "changed parameters": len(changed)}


def via_merged(job: ExportJob, convert: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """What `convert` returns for the folder of the merged checkpoint, which is deleted afterwards."""
    merged = job.folder / ".merged"
    merged.mkdir()
    write_merged_checkpoint(job, merged)
    notes = dict(convert(merged))
    shutil.rmtree(merged)
    return notes


MERGED = MergedFormat()
