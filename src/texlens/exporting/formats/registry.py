"""The export formats by name.

To add a format: write `exporting/formats/NAME.py` with one object that has what `protocol.ExportFormat` asks for (copy
the nearest one: `merged.py` for checkpoints, `fp8.py` for another way to store linear layers), and add it to `_ALL`.
`--format`, verification, README and manifest take everything from the object; docs/extending/export-format.md walks
through it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from texlens.core.errors import ConfigError
from texlens.exporting.formats.adapter import ADAPTER
from texlens.exporting.formats.awq import AWQ
from texlens.exporting.formats.float16 import MERGED_FLOAT16
from texlens.exporting.formats.fp8 import FP8
from texlens.exporting.formats.gguf.f16 import GGUF_F16
from texlens.exporting.formats.gguf.q4_k_m import GGUF_Q4_K_M
from texlens.exporting.formats.gguf.q5_k_m import GGUF_Q5_K_M
from texlens.exporting.formats.gguf.q6_k import GGUF_Q6_K
from texlens.exporting.formats.gguf.q8_0 import GGUF
from texlens.exporting.formats.gptq import GPTQ
from texlens.exporting.formats.int8 import INT8
from texlens.exporting.formats.merged import MERGED
from texlens.exporting.formats.nf4 import NF4
from texlens.exporting.formats.onnx import ONNX
from texlens.exporting.formats.protocol import ExportFormat
from texlens.exporting.formats.web import WEB

_ALL: tuple[ExportFormat, ...] = (
    ADAPTER,
    MERGED,
    MERGED_FLOAT16,
    NF4,
    INT8,
    FP8,
    GPTQ,
    AWQ,
    GGUF,
    GGUF_F16,
    GGUF_Q6_K,
    GGUF_Q5_K_M,
    GGUF_Q4_K_M,
    ONNX,
    WEB,
)

FORMATS: Mapping[str, ExportFormat] = MappingProxyType({export_format.name: export_format for export_format in _ALL})


def find_format(name: str) -> ExportFormat:
    """
    Raises:
        ConfigError: an unknown format.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name}: not one of {', '.join(FORMATS)}")
    return FORMATS[name]
