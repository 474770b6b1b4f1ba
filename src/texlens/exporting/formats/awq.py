"""`awq`: 4-bit codes in groups of inputs, columns rescaled by the size of their inputs on rows of the task (Lin et al.
2023, arXiv:2306.00978), in the layout of compressed-tensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from texlens.core.errors import ExportError
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.quantized import QuantizedFormat
from texlens.exporting.quantization.codec import Codec
from texlens.exporting.quantization.task_calibration import CalibrationData, calibrated_codec

METHOD = "AWQ: columns rescaled by the size of their inputs, then rounded to 4 bits"


def build_codec(job: ExportJob, merged: Path, layers: Sequence[str]) -> tuple[Codec, Mapping[str, Tensor]]:
    """
    Raises:
        ExportError: norms that factors can't be divided out of.
    """
    family = job.base.processor.family
    if family.zero_centered_norms:
        raise ExportError(
            f"--format awq divides its factors out of norms, and those of {family.title} multiply by 1 + weight; "
            f"use --format fp8, int8 or gptq"
        )
    data = CalibrationData(job.config, job.base.processor, job.calibration_rows)
    return calibrated_codec("awq", METHOD, merged, layers, data, job.console)


AWQ = QuantizedFormat(
    name="awq",
    summary="4-bit codes, rescaled and calibrated on train rows, compressed-tensors: vLLM, transformers",
    tolerance=Tolerance(kl_nats=0.25, edit_similarity=0.05),
    size_ratio=0.27,
    build_codec=build_codec,
    is_calibrated=True,
)
