"""An exported GGUF folder as a `RowDecoder`: prompt and image size are decided as for every other backend."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from texlens.core.errors import DataError, ModelError
from texlens.data.sample import Sample
from texlens.inference.backends.llama_cpp.binding import CONTEXT_TOKENS, LlamaCpp
from texlens.inference.backends.row_by_row import RowByRowBackend
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.inputs.image_patches import resized_image
from texlens.models.families import IMAGE_TOKEN, VISION_END_TOKEN, VISION_START_TOKEN
from texlens.models.processor import Processor

if TYPE_CHECKING:
    from texlens.inference.opening.source import ModelSource


@dataclass(frozen=True)
class LlamaCppRows:
    """On the CPU. Images come at the size of training, which llama.cpp then leaves as it is."""

    llama: LlamaCpp
    processor: Processor

    @property
    def vocabulary_size(self) -> int:
        return self.llama.vocabulary_size

    @property
    def is_full(self) -> bool:
        return self.llama.is_full

    def prefill(self, sample: Sample, style: PromptStyle) -> Tensor:
        """See `RowDecoder.prefill`."""
        if sample.more_images or sample.history:
            raise DataError(f"{sample.image.where}: the llama.cpp backend reads one image and one question")
        tokenizer: Any = self.processor.tokenizer
        ids = prompt_ids(tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=1)
        image_text = f"{VISION_START_TOKEN}{IMAGE_TOKEN}{VISION_END_TOKEN}"
        text = tokenizer.decode(ids).replace(image_text, self.llama.image_marker)
        image = resized_image(sample.image.load(), self.processor.geometry)
        return self.llama.prefill(text, image, sample.image.where)

    def step(self, token: int) -> Tensor:
        return self.llama.step(token)


def open_llama_cpp(source: "ModelSource") -> LoadedModel:
    """A GGUF export.

    Raises:
        ModelError: the export lacks its files, llama-cpp-python is missing or can't read them.
    """
    folder, files = source.base.folder, source.gguf_files
    if files is None:
        raise ModelError(f"{source.path}: not a GGUF export; use backend='transformers'")
    model, projector = files
    rows = LlamaCppRows(LlamaCpp(folder / model, folder / projector), source.base.processor)
    limit = min(source.max_new_tokens, CONTEXT_TOKENS)
    backend = RowByRowBackend(rows, source.base.processor)
    return LoadedModel(source.name, backend, source.style, limit, source.calibration, preparation=source.preparation)
