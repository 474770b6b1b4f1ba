"""Two ONNX files of a merged checkpoint, by torch's exporter: image encoder, and text decoder with its cache.

Every size that differs between images and prompts is dynamic, so that one pair of files reads them all. Weights are
float32, or 8 bits with a scale for each output (`weights.py`).
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from texlens.core.errors import ExportError
from texlens.exporting.onnx.image_encoder import OnnxImageEncoder
from texlens.exporting.onnx.text_decoder import OnnxTextDecoder
from texlens.exporting.onnx.weights import round_weights
from texlens.exporting.quantization.codec import require_package
from texlens.inference.backends.onnx.sessions import IMAGE_ENCODER, TEXT_DECODER
from texlens.models.families import Family
from texlens.models.load import load_model
from texlens.models.processor import Processor

OPSET = 18
MAX_SIDE_TOKENS, MAX_TOKENS = 4096, 2**20
"""Bounds that the exporter asks for; no image or prompt comes near them."""
PROTOBUF_BYTES = 2**31 - 2**20
"""An ONNX file of more bytes keeps its weights in a file beside it."""


def write_onnx(merged: Path, processor: Processor, folder: Path, *, bits: int = 32) -> dict[str, Any]:
    """Writes the pair of files; returns what the manifest says of the method.

    Raises:
        ExportError: a package is missing, or the model has layers that this export lacks.
    """
    format_name = "onnx" if bits == 32 else "web"
    version = require_package("onnx", "onnx", format_name)
    require_package("onnxscript", "onnxscript", format_name)
    model: Any = load_model(merged, device="cpu", dtype="float32")
    check_supported(model, processor.family, format_name)
    with torch.no_grad(), _quiet():
        for name, program in (
            (IMAGE_ENCODER, _image_encoder(model, processor)),
            (TEXT_DECODER, _text_decoder(model, processor)),
        ):
            _save(program.model_proto, folder / name, bits)
    method = "float32 weights" if bits == 32 else "8-bit weights, a scale for each output; computed in float32"
    return {"method": method, "onnx": version, "opset": OPSET}


def check_supported(model: Any, family: Family, format_name: str) -> None:
    """
    Raises:
        ExportError: windows of attention in the tower, a mixture of experts, or layers other than full attention.
    """
    config = model.config
    reason = None
    if family.vision.full_attention_blocks(config.vision_config) is not None:
        reason = "its vision tower attends within windows"
    elif family.expert_parameters is not None:
        reason = "it is a mixture of experts"
    elif any(not hasattr(layer, "self_attn") for layer in model.model.language_model.layers):
        reason = "it has layers of linear attention"
    if reason:
        raise ExportError(f"--format {format_name}: not for {family.title}, {reason}; use --format merged or gguf")


def _image_encoder(model: Any, processor: Processor) -> Any:
    from torch.export import Dim

    encoder = OnnxImageEncoder(model.model.visual, processor.family, processor.geometry).eval()
    factor = processor.geometry.factor
    image = torch.zeros(2 * factor, 3 * factor, 3, dtype=torch.uint8)
    rows, columns = (Dim(name, min=1, max=MAX_SIDE_TOKENS) for name in ("rows", "columns"))
    shapes = ({0: factor * rows, 1: factor * columns},)
    return _exported(encoder, (image,), shapes, ["image"], ["features"])


def _text_decoder(model: Any, processor: Processor) -> Any:
    from torch.export import Dim

    decoder = OnnxTextDecoder(model, processor.family, processor.image_token_id).eval()
    config = model.config.text_config
    layers, heads = config.num_hidden_layers, config.num_key_value_heads
    features = 1 + len(processor.family.vision.deepstack_blocks(model.config.vision_config))
    ids = torch.tensor([0, processor.image_token_id, processor.image_token_id, 1])
    positions = torch.arange(len(ids)).expand(3, -1).contiguous()
    width = model.model.language_model.layers[0].self_attn.head_dim
    cache = [torch.zeros(heads, 3, width) for _ in range(2 * layers)]
    tokens = Dim("tokens", min=1, max=MAX_TOKENS)
    cached, image_tokens = (Dim(name, min=0, max=MAX_TOKENS) for name in ("cached", "image_tokens"))
    shapes = ({0: tokens}, {1: tokens}, {1: image_tokens}, [{1: cached}] * len(cache))
    names = [f"{number}.{part}" for number in range(layers) for part in ("key", "value")]
    return _exported(
        decoder,
        (ids, positions, torch.zeros(features, 2, config.hidden_size), cache),
        shapes,
        ["token_ids", "positions", "features", *(f"past.{name}" for name in names)],
        ["logits", *(f"present.{name}" for name in names)],
    )


def _exported(module: nn.Module, inputs: tuple, shapes: tuple, input_names: list[str], output_names: list[str]) -> Any:
    program = torch.onnx.export(
        module,
        inputs,
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=input_names,
        output_names=output_names,
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    return program


def _save(proto: Any, path: Path, bits: int) -> None:
    import onnx

    if bits == 8:
        round_weights(proto)
    beside = proto.ByteSize() > PROTOBUF_BYTES
    onnx.save_model(proto, str(path), save_as_external_data=beside, location=f"{path.name}.data")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, and warns of names of dynamic sizes and of its own use of torch."""
    level = logging.getLogger("torch").level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger("torch").setLevel(level)
