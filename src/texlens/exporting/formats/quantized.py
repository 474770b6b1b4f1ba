"""`QuantizedFormat`: the merged checkpoint with its linear layers stored in fewer bits."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from texlens.core.errors import ExportError
from texlens.exporting.formats.merged import checkpoint_bytes, via_merged
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand, checkpoint_commands, checkpoint_loading_code
from texlens.exporting.quantization.checkpoint import chosen_layers, quantized_bytes, write_quantized
from texlens.exporting.quantization.codec import Codec
from texlens.models.checkpoint import weight_files
from texlens.models.export_manifest import ExportManifest, ReaderName

CodecBuilder = Callable[[ExportJob, Path, Sequence[str]], tuple[Codec, Mapping[str, Tensor]]]
"""(job, folder of the merged checkpoint, names of its layers to quantize) to the codec, and the other parameters that
calibration changed."""


@dataclass(frozen=True)
class QuantizedFormat:
    """
    Args:
        size_ratio: size of a quantized layer, scales included, relative to 16 bits.
        input_multiple: layers whose inputs are not a multiple of this keep 16 bits.
        is_served_elsewhere: whether vLLM, SGLang and TGI load the format.
    """

    name: str
    summary: str
    tolerance: Tolerance
    size_ratio: float
    build_codec: CodecBuilder
    is_calibrated: bool = False
    input_multiple: int = 1
    is_served_elsewhere: bool = True
    reader: ReaderName = "transformers"

    def needed_bytes(self, job: ExportJob) -> int:
        layers = {layer.name for layer in chosen_layers(job.base.folder, vision=job.quantize_vision)}
        return checkpoint_bytes(job) + quantized_bytes(weight_files(job.base.folder), layers, self.size_ratio)

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        job.console.print(f"merging, then quantizing to {self.name}")
        return via_merged(job, lambda merged: self._quantize(job, merged))

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        return checkpoint_loading_code(manifest, folder_name)

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        if self.is_served_elsewhere:
            return checkpoint_commands(manifest, folder)
        return [ServingCommand("TexLens", shlex.join(["texlens", "serve", str(folder)]))]

    def _quantize(self, job: ExportJob, merged: Path) -> dict[str, Any]:
        layers = chosen_layers(merged, vision=job.quantize_vision, multiple_of=self.input_multiple)
        names = [layer.name for layer in layers]
        if not names:
            raise ExportError(
                f"--format {self.name}: no layer of this model is wide enough to be quantized; use --format merged"
            )
        codec, rescaled = self.build_codec(job, merged, names)
        write_quantized(merged, job.folder, codec, set(names), rescaled)
        job.write_supporting_files()
        tower = "quantized" if job.quantize_vision else "16 bit"
        return {**codec.notes, "quantized layers": len(names), "vision tower": tower}
