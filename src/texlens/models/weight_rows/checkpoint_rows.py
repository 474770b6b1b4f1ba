"""Rows of a checkpoint's tensors by the names of a model's parameters, read from the files without the other rows.

Read, not mapped into memory: a process's peak is what it keeps.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from texlens.core.errors import ModelError
from texlens.models.checkpoint import tensors
from texlens.models.families.stored_names import parameter_name

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Of safetensors; quantized checkpoints are not read here."""
EXPERT = re.compile(r"^(.*\.experts)\.(gate_up_proj|down_proj)$")
PARTS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}
"""Of a stack, where a checkpoint stores each expert's matrices."""


@dataclass(frozen=True)
class TensorRows:
    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    def rows(self, rows: slice) -> Tensor:
        """Along the first dimension."""
        width = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        first, last, _ = rows.indices(self.shape[0] if self.shape else 1)
        if last <= first:
            return torch.empty(0, *self.shape[1:], dtype=self.dtype)
        buffer = np.empty((last - first) * width, np.uint8)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start + first * width)
            view = buffer.data
            while view:
                if not (count := file.readinto(view)):
                    raise ModelError(f"{self.path}: ends too early; download this file again")
                view = view[count:]
        return torch.from_numpy(buffer).view(self.dtype).reshape(last - first, *self.shape[1:])


class CheckpointRows:
    """See `rows.WeightRows`.

    Args:
        folder: of a checkpoint in 16 or 32 bits.
        shapes: of the parameters of its model.
        dtype: of the results.
    """

    def __init__(self, folder: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype):
        self.folder, self.shapes, self.dtype = folder, shapes, dtype
        self._stored: dict[str, TensorRows] = {}
        for path, name, entry in tensors(folder):
            if entry["dtype"] in DTYPES:
                stored = TensorRows(path, DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"][0])
                self._stored[parameter_name(name)] = stored

    def __call__(self, name: str, rows: slice = slice(None)) -> Tensor:
        """
        Raises:
            ModelError: no such tensor in the checkpoint, or one of another shape.
        """
        stored = self._stored.get(name)
        part = self._of_experts(name, rows) if stored is None else self._oriented(name, stored, rows)
        return part.to(self.dtype)

    def _oriented(self, name: str, stored: TensorRows, rows: slice) -> Tensor:
        """Stacks may be stored transposed; as in transformers, they are recognized by their shape."""
        expected = self.shapes[name]
        if stored.shape == expected:
            return stored.rows(rows)
        if len(expected) == 3 and stored.shape == (expected[0], expected[2], expected[1]):
            return stored.rows(rows).transpose(1, 2).contiguous()
        raise ModelError(
            f"{self.folder}: {name} has the shape {list(stored.shape)} where config.json asks for {list(expected)}; "
            "download the checkpoint again"
        )

    def _of_experts(self, name: str, rows: slice) -> Tensor:
        """A stack whose experts are stored one by one."""
        match = EXPERT.match(name)
        first, last, _ = rows.indices(self.shapes[name][0]) if name in self.shapes else (0, 0, 1)
        result = []
        for expert in range(first, last if match else first):
            assert match
            names = [f"{match[1]}.{expert}.{part}.weight" for part in PARTS[match[2]]]
            if any(part not in self._stored for part in names):
                break
            result.append(torch.cat([self._stored[part].rows(slice(None)) for part in names]))
        if len(result) != max(last - first, 1) or result[0].shape != self.shapes[name][1:]:
            raise ModelError(f"{self.folder}: the weights lack {name}; download the checkpoint again")
        return torch.stack(result)
