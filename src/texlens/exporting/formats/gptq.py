"""`gptq`: 4-bit codes in groups of inputs, rounded column by column on rows of the task (Frantar et al. 2022,
arXiv:2210.17323), in the layout of compressed-tensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.quantized import QuantizedFormat
from texlens.exporting.quantization.codec import Codec
from texlens.exporting.quantization.task_calibration import CalibrationData, calibrated_codec

METHOD = "GPTQ: 4-bit codes, the error of each column compensated by later columns"


def build_codec(job: ExportJob, merged: Path, layers: Sequence[str]) -> tuple[Codec, Mapping[str, Tensor]]:
    data = CalibrationData(job.config, job.base.processor, job.calibration_rows)
    return calibrated_codec("gptq", METHOD, merged, layers, data, job.console)


GPTQ = QuantizedFormat(
    name="gptq",
    summary="4-bit codes calibrated on train rows, compressed-tensors: vLLM, transformers",
    tolerance=Tolerance(kl_nats=0.25, edit_similarity=0.05),
    size_ratio=0.27,
    build_codec=build_codec,
    is_calibrated=True,
)
