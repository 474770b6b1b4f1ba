"""A Qwen3-VL checkpoint in numpy: what `texlens read formula.png` runs, in under a second.

Weights, prompt, tokens and stop reasons equal those of the transformers backend, which a test compares.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

from texlens.core.errors import ConfigError, DataError
from texlens.data.geometry import ImageGeometry
from texlens.data.sample import Sample
from texlens.inference.backend import OnToken, failed_prediction, finished_prediction
from texlens.inference.backends.numpy.drafted import DraftedLogits
from texlens.inference.backends.numpy.forward import Decoder, NumpyModel
from texlens.inference.backends.numpy.tokenizer import LightTokenizer
from texlens.inference.confidence import read_calibration
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState, least_of
from texlens.inference.decoding.grammar import CANDIDATES, row_grammar
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.defaults import DEFAULT_PROMPT, default_max_new_tokens
from texlens.inference.model import LoadedModel
from texlens.inputs.chat_template import IMAGE_TOKEN, TURN_END_TOKEN, PromptStyle, prompt_ids
from texlens.inputs.image_patches import image_to_patches
from texlens.metrics.prediction import Prediction
from texlens.models.metadata import read_preparation
from texlens.models.preprocessor import geometry_of, read_preprocessor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NumpyBackend:
    """One image at a time, greedy."""

    model: NumpyModel
    tokenizer: LightTokenizer
    geometry: ImageGeometry

    @classmethod
    def open(cls, folder: Path) -> "NumpyBackend":
        """A checkpoint in one safetensors file."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = {
            name.removeprefix("model."): value.astype(np.float32)
            for name, value in load_file(folder / "model.safetensors").items()
        }
        return cls(NumpyModel(config, weights), LightTokenizer(folder), geometry_of(config, read_preprocessor(folder)))

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
        """See `Backend.generate`.

        Raises:
            ConfigError: the sampling needs the transformers backend.
        """
        if not replace(sampling, grammar=False).is_plain_greedy:
            raise ConfigError("the numpy backend decodes greedily only; open the model with backend='transformers'")
        for sample in samples:
            try:
                yield self._generate_one(sample, style.of(sample), sampling, on_token)
            except DataError as error:
                yield failed_prediction(sample, error)

    reads_streams = False

    def next_token_logits(self, samples: Sequence[Sample], style: PromptStyle) -> "Tensor":
        """See `Backend.next_token_logits`."""
        import torch

        from texlens.inference.backends.next_token_logits import stack_rows

        rows: list[Tensor | None] = []
        for sample in samples:
            try:
                rows.append(torch.from_numpy(self._prefill(sample, style.of(sample))[1]).float())
            except DataError:
                rows.append(None)
        return stack_rows(rows)

    def _generate_one(
        self, sample: Sample, style: PromptStyle, sampling: Sampling, on_token: OnToken | None
    ) -> Prediction:
        decoder, first = self._prefill(sample, style)
        ahead = DraftedLogits(decoder, first, self._draft(sample))
        grammar = row_grammar(self.tokenizer, self._end_ids, sampling)
        detokenizer = IncrementalDetokenizer(TokenBytes(self.tokenizer))
        state = GenerationState(
            sampling, detokenizer=detokenizer, grammar=grammar, least_log_probability=least_of(sample)
        )
        while True:
            logits = ahead.logits
            token = int(logits.argmax())
            if grammar is not None and not grammar.accepts(token):
                token = grammar.choose(np.argsort(-logits)[:CANDIDATES].tolist())
            state.append_token(token, -float(np.log(np.exp(logits - logits[token]).sum())), self._end_ids)
            if on_token is not None and state.token_texts[-1]:
                on_token(sample.id, state.token_texts[-1])
            if not state.is_active:
                break
            ahead.take(token)
        assert state.detokenizer is not None
        return finished_prediction(sample, state, state.detokenizer.text)

    def _draft(self, sample: Sample) -> list[int]:
        """Tokens that the reading may have."""
        if sample.rival is None:
            return []
        return [*self.tokenizer(sample.rival.text)["input_ids"], self._end_token]

    def _prefill(self, sample: Sample, style: PromptStyle) -> tuple[Decoder, Any]:
        """The decoder after the prompt, and the logits [vocabulary] that follow.

        Raises:
            DataError: the image can't be read, or the prompt holds a special token.
        """
        if sample.more_images or sample.history:
            raise DataError(f"{sample.image.where}: the numpy backend reads one image and one question")
        patches, grid = image_to_patches(sample.image.load(), self.geometry)
        image_tokens = grid[1] * grid[2] // self.geometry.merge_size**2
        tokenizer: Any = self.tokenizer
        ids = prompt_ids(tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=image_tokens)
        assert ids.count(self.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN) or -1) == image_tokens
        decoder = Decoder(self.model)
        return decoder, decoder.prefill(ids, *self.model.encode_image(patches, grid), grid, self.geometry.merge_size)

    @property
    def _end_token(self) -> int:
        end = self.tokenizer.convert_tokens_to_ids(TURN_END_TOKEN)
        assert end is not None
        return end

    @property
    def _end_ids(self) -> frozenset[int]:
        end = self._end_token
        ids = {end, self.model.config["text_config"].get("pad_token_id", end)}
        return frozenset(ids)


def open_numpy(folder: Path, name: str) -> LoadedModel:
    """The checkpoint of `folder` as a model of that name, without torch."""
    backend = NumpyBackend.open(folder)
    return LoadedModel(
        name,
        backend,
        PromptStyle(DEFAULT_PROMPT),
        default_max_new_tokens(backend.model.config),
        read_calibration(folder),
        preparation=read_preparation(folder),
    )
