"""An exported GGUF folder as a `Backend`: prompt and image size are decided as for every other backend."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from texlens.core.errors import DataError, ModelError
from texlens.data.sample import Sample
from texlens.inference.backend import OnToken, failed_prediction
from texlens.inference.backends.llama_cpp.binding import CONTEXT_TOKENS, LlamaCpp
from texlens.inference.backends.next_token_logits import stack_rows
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.grammar import row_grammar
from texlens.inference.decoding.sample_tokens import sample_tokens
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.model import LoadedModel
from texlens.inference.prompts import end_ids
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.metrics.prediction import Prediction
from texlens.models.families import IMAGE_TOKEN, VISION_END_TOKEN, VISION_START_TOKEN
from texlens.models.processor import Processor

if TYPE_CHECKING:
    from texlens.inference.opening.source import ModelSource


@dataclass(frozen=True)
class LlamaCppBackend:
    """One image at a time, on the CPU."""

    llama: LlamaCpp
    processor: Processor

    def generate(
        self,
        samples: Iterable[Sample],
        style: PromptStyle,
        *,
        sampling: Sampling,
        batch_size: int,
        seed: int,
        on_token: OnToken | None,
    ) -> Iterator[Prediction]:
        """See `Backend.generate`."""
        generator = None if sampling.is_greedy else torch.Generator().manual_seed(seed)
        for sample in samples:
            detokenizer = IncrementalDetokenizer(TokenBytes(self.processor.tokenizer))
            grammar = row_grammar(self.processor.tokenizer, end_ids(self.processor), sampling)
            state = GenerationState(sampling, detokenizer=detokenizer, grammar=grammar)
            try:
                self._generate_one(sample, style.of(sample), state, generator, on_token)
            except DataError as error:
                yield failed_prediction(sample, error)
                continue
            yield Prediction(
                id=sample.id,
                reference=sample.text,
                text=detokenizer.text,
                stop=state.stop,
                tokens=len(state.tokens),
                log_probability=state.log_probability,
                domain=sample.domain,
                more_references=sample.more_answers,
                corrected=sample.extra.get("corrected"),
            )

    reads_streams = False

    def next_token_logits(self, samples: Sequence[Sample], style: PromptStyle) -> Tensor:
        """See `Backend.next_token_logits`."""
        rows: list[Tensor | None] = []
        for sample in samples:
            try:
                rows.append(self._prefill(sample, style.of(sample)))
            except DataError:
                rows.append(None)
        return stack_rows(rows) if any(row is not None for row in rows) else self._no_logits(len(rows))

    def _no_logits(self, rows: int) -> Tensor:
        return torch.full((rows, self.llama.vocabulary_size), torch.nan)

    def _generate_one(
        self,
        sample: Sample,
        style: PromptStyle,
        state: GenerationState,
        generator: torch.Generator | None,
        on_token: OnToken | None,
    ) -> None:
        logits_V = self._prefill(sample, style)
        while True:
            tokens_B, (log_probability,), (alternatives,) = sample_tokens(
                logits_V[None], [state.sampling], [generator], [state.tokens], [state.grammar]
            )
            token = int(tokens_B[0])
            state.append_token(token, log_probability, end_ids(self.processor), alternatives)
            if state.is_active and self.llama.is_full:
                state.finish("length")
            if on_token is not None and state.token_texts[-1]:
                on_token(sample.id, state.token_texts[-1])
            if not state.is_active:
                return
            logits_V = self.llama.step(token)

    def _prefill(self, sample: Sample, style: PromptStyle) -> Tensor:
        """Logits [vocabulary] after the prompt."""
        if sample.more_images or sample.history:
            raise DataError(f"{sample.image.where}: the llama.cpp backend reads one image and one question")
        tokenizer: Any = self.processor.tokenizer
        ids = prompt_ids(tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=1)
        image_text = f"{VISION_START_TOKEN}{IMAGE_TOKEN}{VISION_END_TOKEN}"
        text = tokenizer.decode(ids).replace(image_text, self.llama.image_marker)
        return self.llama.prefill(text, self._resized(sample), sample.image.where)

    def _resized(self, sample: Sample) -> Image.Image:
        """The image at the size of training, which llama.cpp then leaves as it is."""
        image = sample.image.load().convert("RGB")
        geometry = self.processor.geometry
        _, rows, columns = geometry.grid(*image.size)
        size = (columns * geometry.patch_size, rows * geometry.patch_size)
        return image.resize(size, Image.Resampling.BICUBIC)


def open_llama_cpp(source: "ModelSource") -> LoadedModel:
    """A GGUF export.

    Raises:
        ModelError: the export lacks its files, llama-cpp-python is missing or can't read them.
    """
    folder, files = source.base.folder, source.gguf_files
    if files is None:
        raise ModelError(f"{source.path}: not a GGUF export; use backend='transformers'")
    model, projector = files
    backend = LlamaCppBackend(LlamaCpp(folder / model, folder / projector), source.base.processor)
    limit = min(source.max_new_tokens, CONTEXT_TOKENS)
    return LoadedModel(source.name, backend, source.style, limit, source.calibration)
