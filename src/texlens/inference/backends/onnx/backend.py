"""An exported ONNX folder as a `RowDecoder`: prompt, image size and positions as for every other backend."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.backends.numpy.forward import prompt_positions
from texlens.inference.backends.onnx.sessions import OnnxSessions
from texlens.inference.backends.row_by_row import RowByRowBackend
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.inputs.image_patches import resized_image
from texlens.models.processor import Processor

if TYPE_CHECKING:
    from texlens.inference.opening.source import ModelSource


@dataclass
class OnnxRows:
    sessions: OnnxSessions
    processor: Processor
    context_tokens: int
    _length: int = field(default=0, init=False)
    _position: int = field(default=0, init=False)

    @property
    def vocabulary_size(self) -> int:
        return self.sessions.vocabulary_size

    @property
    def is_full(self) -> bool:
        return self._length >= self.context_tokens

    def prefill(self, sample: Sample, style: PromptStyle) -> Tensor:
        """See `RowDecoder.prefill`."""
        if sample.more_images or sample.history:
            raise DataError(f"{sample.image.where}: the onnx backend reads one image and one question")
        geometry, tokenizer = self.processor.geometry, self.processor.tokenizer
        pixels = np.asarray(resized_image(sample.image.load(), geometry))
        rows, columns = pixels.shape[0] // geometry.factor, pixels.shape[1] // geometry.factor
        style_ids: Any = prompt_ids(
            tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=rows * columns
        )
        positions = prompt_positions(np.array(style_ids) == self.processor.image_token_id, rows, columns)
        self._length, self._position = len(style_ids), int(positions.max()) + 1
        return torch.from_numpy(self.sessions.prefill(style_ids, positions, self.sessions.encode(pixels)))

    def step(self, token: int) -> Tensor:
        """See `RowDecoder.step`."""
        self._length, self._position = self._length + 1, self._position + 1
        return torch.from_numpy(self.sessions.step(token, self._position - 1))


def open_onnx(source: "ModelSource") -> LoadedModel:
    """An ONNX export.

    Raises:
        ModelError: onnxruntime is missing or can't read the files.
    """
    rows = OnnxRows(OnnxSessions(source.base.folder), source.base.processor, source.max_new_tokens)
    backend = RowByRowBackend(rows, source.base.processor)
    return LoadedModel(
        source.name,
        backend,
        source.style,
        source.max_new_tokens,
        source.calibration,
        preparation=source.preparation,
    )
