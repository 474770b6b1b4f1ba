"""Reading with GGUF files through llama.cpp's Python binding, prompt and image size decided as everywhere else."""

import ctypes
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from texlens.core.errors import DataError, ModelError
from texlens.data.sample import Sample
from texlens.inference.repetition import is_looping
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.metrics.prediction import Prediction, StopReason
from texlens.models.families import IMAGE_TOKEN, VISION_END_TOKEN, VISION_START_TOKEN
from texlens.models.processor import Processor

CONTEXT = 4096


class LlamaReader:
    """One model and its projector. Not for several threads at once."""

    def __init__(self, model: Path, projector: Path, processor: Processor):
        """
        Raises:
            ModelError: llama-cpp-python is missing or can't read the files.
        """
        if importlib.util.find_spec("llama_cpp") is None:
            raise ModelError(
                f"{model}: reading GGUF needs llama-cpp-python, which is not installed; pip install llama-cpp-python"
            )
        import llama_cpp
        from llama_cpp import mtmd_cpp

        self.processor = processor
        self._llama_cpp, self._mtmd = llama_cpp, mtmd_cpp
        try:
            self._llama = llama_cpp.Llama(str(model), n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=CONTEXT, verbose=False)
        except (ValueError, OSError) as error:
            raise ModelError(f"{model}: llama.cpp can't load it ({error}); export it again") from None
        for quiet in (llama_cpp.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            quiet(_silent, ctypes.c_void_p(0))
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu = False
        settings.print_timings = False
        self._projector = mtmd_cpp.mtmd_init_from_file(str(projector).encode(), self._llama.model, settings)
        if not self._projector:
            raise ModelError(f"{projector}: llama.cpp can't load it; export it again")

    def first_logits(self, samples: Sequence[Sample], style: PromptStyle) -> Tensor:
        """Float32 [samples, vocabulary]; a row of NaN where the image can't be read."""
        width = self._llama.n_vocab()
        rows = []
        for sample in samples:
            try:
                self._prompt(sample, style)
                rows.append(self._logits())
            except DataError:
                rows.append(torch.full((width,), torch.nan))
        return torch.stack(rows)

    def read(self, samples: Sequence[Sample], style: PromptStyle, *, max_new_tokens: int) -> Iterator[Prediction]:
        """Greedy predictions, one a sample, in order."""
        for sample in samples:
            try:
                position = self._prompt(sample, style)
            except DataError as error:
                yield Prediction(sample.id, sample.text, "", stop="failed", domain=sample.domain, error=str(error))
                continue
            tokens, score, stop = self._answer(position, max_new_tokens)
            said = tokens[:-1] if stop == "end" else tokens
            text = str(self.processor.tokenizer.decode(said, skip_special_tokens=True))
            yield Prediction(
                id=sample.id,
                reference=sample.text,
                text=text,
                stop=stop,
                tokens=len(tokens),
                log_probability=score,
                domain=sample.domain,
            )

    def _answer(self, position: int, most: int) -> tuple[list[int], float, StopReason]:
        ends = {self.processor.end_token_id, self.processor.pad_token_id}
        tokens: list[int] = []
        score = 0.0
        while len(tokens) < most:
            log_probabilities = self._logits().log_softmax(-1)
            token = int(log_probabilities.argmax())
            tokens.append(token)
            score += float(log_probabilities[token])
            if token in ends:
                return tokens, score, "end"
            if is_looping(tokens):
                return tokens, score, "loop"
            self._step(token, position)
            position += 1
        return tokens, score, "length"

    def _prompt(self, sample: Sample, style: PromptStyle) -> int:
        """Reads image and question; the position that comes next."""
        asked = style.of(sample)
        tokenizer: Any = self.processor.tokenizer
        ids = prompt_ids(tokenizer, prompt=asked.prompt, system_prompt=asked.system_prompt, image_tokens=1)
        marker = self._mtmd.mtmd_default_marker().decode()
        text = tokenizer.decode(ids).replace(f"{VISION_START_TOKEN}{IMAGE_TOKEN}{VISION_END_TOKEN}", marker)
        bitmap = self._bitmap(self._resized(sample))
        chunks = self._mtmd.mtmd_input_chunks_init()
        try:
            data = text.encode()
            said = self._mtmd.mtmd_input_text()
            said.text, said.text_len, said.add_special, said.parse_special = data, len(data), False, True
            bitmaps = (self._mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
            if self._mtmd.mtmd_tokenize(self._projector, chunks, ctypes.byref(said), bitmaps, 1):
                raise DataError(f"{sample.image.where}: llama.cpp can't take this image; make it larger")
            self._llama.reset()
            self._llama._ctx.kv_cache_clear()
            after = self._llama_cpp.llama_pos(0)
            if self._mtmd.mtmd_helper_eval_chunks(
                self._projector, self._llama._ctx.ctx, chunks, 0, 0, CONTEXT, True, ctypes.byref(after)
            ):
                raise DataError(f"{sample.image.where}: llama.cpp can't read this image; is it over {CONTEXT} tokens?")
            return int(after.value)
        finally:
            self._mtmd.mtmd_input_chunks_free(chunks)
            self._mtmd.mtmd_bitmap_free(bitmap)

    def _resized(self, sample: Sample) -> Image.Image:
        """At the size that training saw, so that llama.cpp's own resizing has nothing to do."""
        image = sample.image.load().convert("RGB")
        geometry = self.processor.geometry
        _, rows, columns = geometry.grid(*image.size)
        size = (columns * geometry.patch_size, rows * geometry.patch_size)
        return image.resize(size, Image.Resampling.BICUBIC)

    def _bitmap(self, image: Image.Image) -> Any:
        pixels = image.tobytes()
        return self._mtmd.mtmd_bitmap_init(*image.size, (ctypes.c_ubyte * len(pixels)).from_buffer_copy(pixels))

    def _logits(self) -> Tensor:
        found = self._llama_cpp.llama_get_logits_ith(self._llama._ctx.ctx, -1)
        return torch.tensor(found[: self._llama.n_vocab()], dtype=torch.float32)

    def _step(self, token: int, position: int) -> None:
        batch = self._llama_cpp.llama_batch_init(1, 0, 1)
        try:
            batch.n_tokens = 1
            batch.token[0], batch.pos[0] = token, position
            batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, True
            if self._llama_cpp.llama_decode(self._llama._ctx.ctx, batch):
                raise ModelError(f"llama.cpp stopped after {position} positions; the context holds {CONTEXT}")
        finally:
            self._llama_cpp.llama_batch_free(batch)


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _silent(level: int, text: bytes, data: Any) -> None:
    """llama.cpp's remarks on every load are of no use here."""
