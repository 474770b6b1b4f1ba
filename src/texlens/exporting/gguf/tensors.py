"""GGUF tensors, written one at a time so that memory holds one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from texlens.core.errors import ExportError
from texlens.exporting.shards import StoredTensor

BLOCK = 32
"""Weights that share a scale in Q8_0."""
IN_FLOAT32 = ("position_embd", "ffn_gate_inp", "ssm_conv1d")
"""Parts of the names of matrices that llama.cpp wants in float32."""


@dataclass(frozen=True)
class GgufTensor:
    """A tensor under llama.cpp's name; `shape` is in torch's order."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def llama_name(names: Any, name: str, stored: StoredTensor) -> str:
    """llama.cpp's name, from the tables of the `gguf` package.

    Raises:
        ExportError: not in the tables.
    """
    target = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if target is None:
        raise ExportError(f"{stored.path}: {stored.name} has no name in llama.cpp's tables; use --format merged")
    return target


def write_tensors(writer: Any, tensors: Sequence[GgufTensor], *, quantized: bool) -> None:
    """Writes headers and tensors, and closes the file.

    Vectors, position tables, routers and convolutions are float32; matrices Q8_0 where `quantized` and their rows are
    whole blocks, else float16.
    """
    import gguf

    for tensor in tensors:
        _add_info(writer, tensor, _storage_type(tensor, quantized))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        values = tensor.read().to(torch.float32).numpy()
        writer.write_tensor_data(gguf.quants.quantize(values, _storage_type(tensor, quantized)))
    writer.close()


def _storage_type(tensor: GgufTensor, quantized: bool) -> Any:
    import gguf

    if len(tensor.shape) == 1 or any(part in tensor.name for part in IN_FLOAT32):
        return gguf.GGMLQuantizationType.F32
    blocked = quantized and tensor.shape[-1] % BLOCK == 0
    return gguf.GGMLQuantizationType.Q8_0 if blocked else gguf.GGMLQuantizationType.F16


def _add_info(writer: Any, tensor: GgufTensor, storage: Any) -> None:
    import gguf
    import numpy as np

    block, block_bytes = gguf.GGML_QUANT_SIZES[storage]
    nbytes = math.prod(tensor.shape) // block * block_bytes
    dtypes = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}
    if storage in dtypes:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(dtypes[storage]), nbytes, None)
        return
    shape = gguf.quant_shape_to_byte_shape(tensor.shape, storage)
    writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), nbytes, storage)
