"""`onnx`: image encoder and text decoder with its cache, in float32, for onnxruntime."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.exporting.formats.merged import checkpoint_bytes, via_merged
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.exporting.onnx.reader_settings import write_reader_settings
from texlens.exporting.onnx.write import write_onnx
from texlens.models.checkpoint import CONFIG
from texlens.models.export_manifest import ExportManifest, ReaderName

LOADING = """import texlens

print(texlens.read("formula.png", model="{folder}").text)  # pip install 'texlens[onnx]'

# Without TexLens: onnxruntime.InferenceSession on image_encoder.onnx (uint8 pixels [height, width, 3], both sides
# multiples of reader.json's "factor") and on text_decoder.onnx (token ids, positions, features, cache); the prompt is
# in reader.json."""
TOLERANCE = Tolerance(kl_nats=0.01, edit_similarity=0.01)


@dataclass(frozen=True)
class OnnxFormat:
    name: str = "onnx"
    summary: str = "image encoder and text decoder with its cache, float32: onnxruntime"
    reader: ReaderName = "onnxruntime"
    tolerance: Tolerance = TOLERANCE
    is_calibrated: bool = False

    def needed_bytes(self, job: ExportJob) -> int:
        return 3 * checkpoint_bytes(job)

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        return write_onnx_folder(job, bits=32)

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        return LOADING.format(folder=folder_name)

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        return []


def write_onnx_folder(job: ExportJob, *, bits: int) -> dict[str, Any]:
    """The pair of ONNX files of the merged checkpoint, config, tokenizer, and reader.json."""
    job.console.print("merging, then exporting to ONNX")
    processor = job.base.processor
    notes = via_merged(job, lambda merged: write_onnx(merged, processor, job.folder, bits=bits))
    shutil.copyfile(job.base.folder / CONFIG, job.folder / CONFIG)
    job.write_supporting_files()
    write_reader_settings(job.folder, job.config.data.prompt, job.config.data.system_prompt, processor, job.decoding)
    return notes


ONNX = OnnxFormat()
