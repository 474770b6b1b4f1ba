"""GGUF for llama.cpp: the language model in one file, tower and merger in 16 bit in another.

Tensor names come from the tables of the `gguf` package. What it has no table for (how tensors are split and which
settings llama.cpp reads) follows llama.cpp's own converter (as llama-cpp-python 0.3.36 carries it).
"""

from pathlib import Path
from typing import Any

from texlens.core.errors import ExportError
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.language import write_language_model
from texlens.exporting.gguf.quantize import check_quantizer, quantize
from texlens.exporting.gguf.vision import write_vision_tower
from texlens.exporting.quantization.codec import require_package
from texlens.exporting.shards import read_shard
from texlens.models.checkpoint import CONFIG, read_config, weight_files
from texlens.models.families import Family, family_of
from texlens.models.families.stored_names import parameter_name
from texlens.models.meta_model import build_config
from texlens.models.processor import Processor

MODEL = "model.gguf"
PROJECTOR = "mmproj.gguf"
UNQUANTIZED = ".model-f16.gguf"
DIRECT = ("F16", "Q8_0")
"""Sizes that the `gguf` package writes; the others take llama.cpp's quantizer."""


def write_gguf(
    merged: Path, processor: Processor, decoding: Decoding, folder: Path, *, size: str = "Q8_0", name: str = "gguf"
) -> dict[str, Any]:
    """Writes `model.gguf` and `mmproj.gguf` of a merged checkpoint; returns what the manifest says of the method.

    Args:
        size: of the language model, as llama.cpp names it: F16, Q8_0, or one of its k-quants.
        name: of the format, for messages.

    Raises:
        ExportError: the gguf package is missing, or llama.cpp can't run the model.
    """
    version = require_package("gguf", "gguf", name)
    quantizer = {} if size in DIRECT else {"quantizer": check_quantizer(name)}
    config = read_config(merged)
    family, model_config = family_of(config), build_config(config, str(merged / CONFIG))
    if family.gguf is None:
        raise ExportError(f"--format {name}: llama.cpp does not run {family.title}; use --format merged")
    _check_depth(family, model_config)
    stored = {parameter_name(tensor.name): tensor for path in weight_files(merged) for tensor in read_shard(path)[0]}
    written = folder / (MODEL if size in DIRECT else UNQUANTIZED)
    eight_bit = size == "Q8_0"
    write_language_model(written, family.gguf, model_config, stored, processor, decoding, quantized=eight_bit)
    if size not in DIRECT:
        quantize(written, folder / MODEL, size)
        written.unlink()
    write_vision_tower(folder / PROJECTOR, family, family.gguf, model_config, stored, processor)
    return {
        "method": f"GGUF: language model {size}, tower and merger 16 bit",
        "gguf": version,
        **quantizer,
        "model": MODEL,
        "projector": PROJECTOR,
        "vision tower": "16 bit",
        "pixels a token": (processor.geometry.patch_size * processor.geometry.merge_size) ** 2,
    }


def _check_depth(family: Family, config: Any) -> None:
    """llama.cpp (llama-cpp-python 0.3.36) aborts where deepstack features reach the last layer of the language model.

    Raises:
        ExportError: they do.
    """
    deepstack, layers = len(family.vision.deepstack_blocks(config.vision_config)), config.text_config.num_hidden_layers
    if deepstack >= layers:
        raise ExportError(
            f"--format gguf: {deepstack} deepstack layers in a language model of {layers}, which llama.cpp can't run; "
            f"use --format merged"
        )
