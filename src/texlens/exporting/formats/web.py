"""`web`: a static page that reads in the browser by onnxruntime-web, with 8-bit weights."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.exporting.formats.merged import checkpoint_bytes
from texlens.exporting.formats.onnx import write_onnx_folder
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.exporting.web.assemble import write_page
from texlens.models.export_manifest import ExportManifest, ReaderName

RUNTIME_BYTES = 16 * 2**20
TOLERANCE = Tolerance(kl_nats=0.05, edit_similarity=0.02)


@dataclass(frozen=True)
class WebFormat:
    name: str = "web"
    summary: str = "a static page that reads in the browser, 8-bit weights: onnxruntime-web, onnxruntime"
    reader: ReaderName = "onnxruntime"
    tolerance: Tolerance = TOLERANCE
    is_calibrated: bool = False

    def needed_bytes(self, job: ExportJob) -> int:
        return 3 * checkpoint_bytes(job) + RUNTIME_BYTES

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        notes = write_onnx_folder(job, bits=8)
        return {**notes, **write_page(job.folder)}

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        return None

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        command = ["python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder)]
        return [ServingCommand("the page, at http://127.0.0.1:8000", shlex.join(command))]


WEB = WebFormat()
