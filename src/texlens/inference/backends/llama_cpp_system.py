"""An exported GGUF folder as a `System`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from texlens.config.run import RunConfig
from texlens.data.sample import Sample
from texlens.inference.backends.llama_cpp import LlamaReader
from texlens.inputs.chat_template import PromptStyle
from texlens.metrics.prediction import Prediction
from texlens.models.export_manifest import ExportManifest
from texlens.models.processor import load_processor


@dataclass(frozen=True)
class LlamaSystem:
    """Reads greedily, one row at a time, on the CPU."""

    reader: LlamaReader
    config: RunConfig

    @classmethod
    def open(cls, folder: Path, card: ExportManifest, config: RunConfig) -> "LlamaSystem":
        """
        Raises:
            ModelError: llama-cpp-python is missing or can't read the files.
        """
        reader = LlamaReader(folder / card.notes["model"], folder / card.notes["projector"], load_processor(folder))
        return cls(reader, config)

    def read(self, samples: Sequence[Sample]) -> Iterator[Prediction]:
        return self.reader.read(samples, self._style, max_new_tokens=self.config.evaluate.max_new_tokens)

    def first_logits(self, samples: Sequence[Sample]) -> Tensor:
        return self.reader.first_logits(samples, self._style)

    @property
    def _style(self) -> PromptStyle:
        return PromptStyle(self.config.data.prompt, self.config.data.system_prompt)
