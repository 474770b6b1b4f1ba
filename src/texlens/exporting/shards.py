"""Safetensors files written tensor by tensor in blocks, so that memory holds one block instead of a file."""

import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from texlens.core.errors import ExportError
from texlens.core.files import naming
from texlens.models.checkpoint import read_header

BLOCK_BYTES = 32 * 2**20

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file; `begin` and `end` are bytes from the file's start."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        return self.end - self.begin

    @property
    def torch_dtype(self) -> torch.dtype:
        """
        Raises:
            ExportError: a type that torch lacks.
        """
        if self.dtype not in DTYPES:
            raise ExportError(f"{self.path}: {self.name} is of type {self.dtype}; take a checkpoint in bf16")
        return DTYPES[self.dtype]

    def blocks(self) -> Iterator[tuple[Tensor, int]]:
        """Blocks of whole rows, each with the index of its first row."""
        rows = self.shape[0] if self.shape else 1
        row_bytes = max((self.end - self.begin) // max(rows, 1), 1)
        step = max(BLOCK_BYTES // row_bytes, 1)
        with self.path.open("rb") as file:
            file.seek(self.begin)
            for start in range(0, rows, step):
                count = min(step, rows - start)
                data = bytearray(count * row_bytes)
                file.readinto(data)
                block = torch.frombuffer(data, dtype=self.torch_dtype)
                yield block.view(count, *self.shape[1:]) if self.shape else block.view(()), start

    def read(self) -> Tensor:
        """The whole tensor."""
        if self.end == self.begin:
            return torch.empty(self.shape, dtype=self.torch_dtype)
        with self.path.open("rb") as file:
            file.seek(self.begin)
            data = bytearray(self.end - self.begin)
            file.readinto(data)
        return torch.frombuffer(data, dtype=self.torch_dtype).view(self.shape)

    def raw(self) -> Iterator[bytes]:
        """Its bytes, in blocks."""
        with self.path.open("rb") as file:
            file.seek(self.begin)
            remaining = self.nbytes
            while remaining:
                data = file.read(min(BLOCK_BYTES, remaining))
                remaining -= len(data)
                yield data


@dataclass(frozen=True)
class TensorWriter:
    """A tensor to write; `chunks` yields its bytes, which must fill `shape` exactly."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[bytes | memoryview]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize

    @classmethod
    def copied(cls, stored: StoredTensor) -> "TensorWriter":
        return cls(stored.name, stored.dtype, stored.shape, stored.raw)

    @classmethod
    def of(cls, name: str, tensor: Tensor) -> "TensorWriter":
        return cls(name, NAMES[tensor.dtype], tuple(tensor.shape), lambda: [as_bytes(tensor)])


def as_bytes(tensor: Tensor) -> memoryview:
    flat: Any = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
    return memoryview(flat)


def read_shard(path: Path) -> tuple[list[StoredTensor], dict[str, str]]:
    """The tensors of a file in the order of their offsets, and the file's metadata."""
    header = read_header(path)
    stored = [
        StoredTensor(path, name, part["dtype"], tuple(part["shape"]), *part["data_offsets"])
        for name, part in header.items()
    ]
    return sorted(stored, key=lambda tensor: (tensor.begin, tensor.name)), _metadata(path)


def write_shard(path: Path, tensors: Sequence[TensorWriter], metadata: Mapping[str, str]) -> None:
    """Writes one file and flushes it to disk; peak memory is that of the largest chunk."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for writer in tensors:
        header[writer.name] = {
            "dtype": writer.dtype,
            "shape": list(writer.shape),
            "data_offsets": [offset, offset + writer.nbytes],
        }
        offset += writer.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with naming(path), path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for writer in tensors:
            written = sum(file.write(chunk) for chunk in writer.chunks())
            if written != writer.nbytes:
                raise ExportError(f"{path}: {writer.name} has another size than planned; please report this")
        file.flush()
        os.fsync(file.fileno())


def _metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(length)).get("__metadata__") or {}
