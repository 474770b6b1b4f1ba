"""A GGUF model and its projector through llama.cpp's Python binding: prompt in, logits out, one row at a time."""

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from texlens.core.errors import DataError, ModelError

CONTEXT_TOKENS = 4096


class LlamaCpp:
    """One model and its projector, on the CPU, with torch's number of threads. Not thread-safe.

    llama.cpp's own number does not look at the machine (4 for images), and its threads wait by spinning.
    """

    def __init__(self, model: Path, projector: Path):
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

        self._llama_cpp, self._mtmd = llama_cpp, mtmd_cpp
        for set_log in (llama_cpp.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            set_log(_ignore_log, ctypes.c_void_p(0))
        try:
            self._llama = llama_cpp.Llama(
                str(model),
                n_ctx=CONTEXT_TOKENS,
                n_batch=CONTEXT_TOKENS,
                n_ubatch=CONTEXT_TOKENS,
                n_threads=torch.get_num_threads(),
                n_threads_batch=torch.get_num_threads(),
                verbose=False,
            )
        except (ValueError, OSError) as error:
            raise ModelError(f"{model}: llama.cpp can't load it ({error}); export it again") from None
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu = False
        settings.print_timings = False
        settings.n_threads = torch.get_num_threads()
        self._projector = mtmd_cpp.mtmd_init_from_file(str(projector).encode(), self._llama.model, settings)
        if not self._projector:
            raise ModelError(f"{projector}: llama.cpp can't load it; export it again")
        self._position = 0

    @property
    def vocabulary_size(self) -> int:
        return self._llama.n_vocab()

    @property
    def image_marker(self) -> str:
        """What marks the image in a prompt's text."""
        return self._mtmd.mtmd_default_marker().decode()

    def prefill(self, text: str, image: Image.Image, where: str) -> Tensor:
        """Logits [vocabulary] after a prompt with one image marker.

        Raises:
            DataError: llama.cpp refuses the image, or the prompt is over `CONTEXT_TOKENS`.
        """
        bitmap = self._bitmap(image)
        chunks = self._mtmd.mtmd_input_chunks_init()
        try:
            data = text.encode()
            prompt = self._mtmd.mtmd_input_text()
            prompt.text, prompt.text_len, prompt.add_special, prompt.parse_special = data, len(data), False, True
            bitmaps = (self._mtmd.mtmd_bitmap_p_ctypes * 1)(bitmap)
            if self._mtmd.mtmd_tokenize(self._projector, chunks, ctypes.byref(prompt), bitmaps, 1):
                raise DataError(f"{where}: llama.cpp can't take this image; make it larger")
            self._llama.reset()
            self._llama._ctx.kv_cache_clear()
            after = self._llama_cpp.llama_pos(0)
            if self._mtmd.mtmd_helper_eval_chunks(
                self._projector, self._llama._ctx.ctx, chunks, 0, 0, CONTEXT_TOKENS, True, ctypes.byref(after)
            ):
                raise DataError(f"{where}: llama.cpp can't read this image; is it over {CONTEXT_TOKENS} tokens?")
            self._position = int(after.value)
            return self._logits()
        finally:
            self._mtmd.mtmd_input_chunks_free(chunks)
            self._mtmd.mtmd_bitmap_free(bitmap)

    def step(self, token: int) -> Tensor:
        """Logits [vocabulary] after one more token.

        Raises:
            DataError: the context is full.
        """
        batch = self._llama_cpp.llama_batch_init(1, 0, 1)
        try:
            batch.n_tokens = 1
            batch.token[0], batch.pos[0] = token, self._position
            batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, True
            if self._llama_cpp.llama_decode(self._llama._ctx.ctx, batch):
                raise DataError(f"llama.cpp stopped at position {self._position}; its context holds {CONTEXT_TOKENS}")
        finally:
            self._llama_cpp.llama_batch_free(batch)
        self._position += 1
        return self._logits()

    @property
    def is_full(self) -> bool:
        """Whether no further token fits into the context."""
        return self._position >= CONTEXT_TOKENS

    def _logits(self) -> Tensor:
        logits = self._llama_cpp.llama_get_logits_ith(self._llama._ctx.ctx, -1)
        return torch.tensor(logits[: self.vocabulary_size], dtype=torch.float32)

    def _bitmap(self, image: Image.Image) -> Any:
        pixels = image.tobytes()
        return self._mtmd.mtmd_bitmap_init(*image.size, (ctypes.c_ubyte * len(pixels)).from_buffer_copy(pixels))


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _ignore_log(level: int, text: bytes, data: Any) -> None:
    """Drop llama.cpp's log lines, of which every load writes many."""
