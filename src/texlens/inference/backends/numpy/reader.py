"""One image read by the shipped model without torch: what `texlens read formula.png` runs, in under a second.

The same weights, prompt, tokens and stops as the engine of models/decode.py has them, which a test compares.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from texlens.data.sample import Sample
from texlens.inference.backends.numpy.forward import PlainModel, Writer
from texlens.inference.backends.numpy.tokenizer import PlainTokenizer
from texlens.inference.detokenize import TextStream, TokenPieces
from texlens.inference.repetition import is_looping
from texlens.inputs.chat_template import IMAGE_TOKEN, TURN_END_TOKEN, prompt_ids
from texlens.inputs.image_patches import image_to_patches
from texlens.metrics.prediction import Prediction, StopReason
from texlens.models.preprocessor import geometry_of, read_preprocessor


@dataclass(frozen=True)
class PlainReader:
    """A Qwen3-VL checkpoint, read from its folder."""

    folder: Path
    model: PlainModel
    tokenizer: Any

    @classmethod
    def open(cls, folder: Path) -> "PlainReader":
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = {
            name.removeprefix("model."): value.astype(np.float32)
            for name, value in load_file(folder / "model.safetensors").items()
        }
        return cls(folder, PlainModel(config, weights), PlainTokenizer(folder))

    def read(
        self, sample: Sample, *, question: str, max_new_tokens: int, on_text: Callable[[str], None] | None = None
    ) -> Prediction:
        """The likeliest token each time.

        Raises:
            DataError: the image can't be read.
        """
        geometry = geometry_of(self.model.config, read_preprocessor(self.folder))
        patches, grid = image_to_patches(sample.image.load(), geometry)
        image_tokens = grid[1] * grid[2] // geometry.merge_size**2
        ids = prompt_ids(self.tokenizer, prompt=question, image_tokens=image_tokens)
        assert ids.count(self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)) == image_tokens
        writer = Writer(self.model)
        logits = writer.prompt(ids, *self.model.see(patches, grid), grid, geometry.merge_size)
        return self._written(sample, writer, logits, max_new_tokens, on_text)

    def _written(
        self, sample: Sample, writer: Writer, logits: Any, limit: int, on_text: Callable[[str], None] | None
    ) -> Prediction:
        end = self.tokenizer.convert_tokens_to_ids(TURN_END_TOKEN)
        ends = {end, self.model.config["text_config"].get("pad_token_id", end)}
        text, tokens, total, stop = TextStream(TokenPieces(self.tokenizer)), [], 0.0, "length"
        for number in range(limit):
            token = int(logits.argmax())
            total -= float(np.log(np.exp(logits - logits[token]).sum()))
            tokens.append(token)
            _say(on_text, text.push(token))
            stop = _stop(tokens, ends)
            if stop != "length" or number == limit - 1:
                break
            logits = writer.step(token)
        _say(on_text, text.finish())
        return Prediction(sample.id, sample.text, text.text, stop, len(tokens), total, sample.domain)


def _stop(tokens: list[int], ends: set[int]) -> StopReason:
    return "end" if tokens[-1] in ends else "loop" if is_looping(tokens) else "length"


def _say(on_text: Callable[[str], None] | None, text: str) -> None:
    if on_text is not None and text:
        on_text(text)
