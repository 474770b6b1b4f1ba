"""Reading with a model of transformers, in batches of similar length; images are decoded while the model computes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from texlens.core.errors import DataError
from texlens.data.sample import Sample
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.backend import OnToken, failed_prediction, finished_prediction
from texlens.inference.backends.next_token_logits import next_token_logits
from texlens.inference.backends.refilled import FinishedRow, refilled_rows
from texlens.inference.decoders import decode, open_decoder
from texlens.inference.decoding.detokenize import IncrementalDetokenizer, TokenBytes
from texlens.inference.decoding.generation_state import GenerationState, least_of
from texlens.inference.decoding.grammar import row_grammar
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine_batch import EngineBatch, cpu_engine
from texlens.inference.engine.support import model_unsupported_reason
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inference.prompts import end_ids, prompt_example
from texlens.inputs.chat_template import PromptStyle, prompt_ids
from texlens.inputs.example import Example, ReadPatches
from texlens.metrics.prediction import Prediction
from texlens.models.processor import Processor


@dataclass(frozen=True)
class TransformersBackend:
    """A model, the processor of its prompts, and which of its adapters reads (None: the base alone)."""

    switch: AdapterSwitch
    processor: Processor
    adapter: str | None = UNCHANGED

    @property
    def model(self) -> torch.nn.Module:
        return self.switch.model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def activate(self) -> None:
        """Let the next forwards go through this backend's adapter."""
        self.switch.activate(self.adapter)

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
        """See `Backend.generate`. Samples with the most image tokens go first.

        Raises:
            DataError: the prompt or system prompt of `style` holds a special token.
        """
        rows = len(samples) if isinstance(samples, Sequence) else 0
        packed = cpu_engine(self.switch, self.processor, self.adapter, rows=rows, sampling=sampling)
        batch = packed or open_decoder(self.switch, self.processor, [self.adapter])
        reader = self.row_reader(style, sampling=sampling, seed=seed, has_text=on_token is not None)
        if isinstance(batch, EngineBatch):
            yield from self._generate_refilled(batch, reader, samples, on_token)
            return
        for rows, prompts, failed in self._prompt_batches(list(samples), style, batch_size, batch.raw_patches):
            yield from failed
            if not prompts:
                continue
            states = [reader.state(sample) for sample in rows]
            with evaluation_mode(self.model):
                decode(batch, prompts, states, None if on_token is None else partial(_report_text, on_token, rows))
            for sample, state in zip(rows, states, strict=True):
                yield self.prediction(sample, state)

    @property
    def reads_streams(self) -> bool:
        """See `Backend.reads_streams`: rows are decoded by the engine, which is refilled."""
        return self.device.type == "cuda" and model_unsupported_reason(self.model) is None

    def row_reader(
        self, style: PromptStyle, *, sampling: Sampling, seed: int, has_text: bool = False
    ) -> "SampleReader":
        """How this backend reads samples for the engine.

        Raises:
            DataError: the prompt or system prompt of `style` holds a special token.
        """
        prompt_ids(self.processor.tokenizer, prompt=style.prompt, system_prompt=style.system_prompt, image_tokens=1)
        token_bytes = TokenBytes(self.processor.tokenizer) if has_text else None
        return SampleReader(self.processor, self.adapter, style, sampling, seed, token_bytes)

    def _generate_refilled(
        self, batch: EngineBatch, reader: "SampleReader", samples: Iterable[Sample], on_token: OnToken | None
    ) -> Iterator[Prediction]:
        try:
            with evaluation_mode(self.model):
                for row in refilled_rows(batch, [reader], samples, on_token=on_token):
                    yield self.finished_prediction(row)
        finally:
            if batch.is_temporary:
                batch.close()

    def finished_prediction(self, row: FinishedRow) -> Prediction:
        """The prediction of a row that the engine has finished."""
        if row.error is not None:
            return failed_prediction(row.sample, row.error)
        return self.prediction(row.sample, row.state)

    def next_token_logits(self, samples: Sequence[Sample], style: PromptStyle) -> Tensor:
        """See `Backend.next_token_logits`."""
        self.activate()
        return next_token_logits(self.model, self.processor, samples, style)

    def prediction(self, sample: Sample, state: GenerationState) -> Prediction:
        return decoded_prediction(self.processor, sample, state)

    def _prompt_batches(
        self, samples: Sequence[Sample], style: PromptStyle, batch_size: int, raw_patches: bool
    ) -> Iterator["_PreparedBatch"]:
        """Of each batch the readable samples, their prompts, and the failed predictions of the others.

        The next batch's images are decoded while the model reads this one.
        """
        order = sorted(range(len(samples)), key=lambda index: (-self._image_tokens(samples[index]), index))
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

        def prepare(batch: list[int]) -> _PreparedBatch:
            return self._prepare([samples[index] for index in batch], style, raw_patches)

        with ThreadPoolExecutor(1) as pool:
            queue = [pool.submit(prepare, batch) for batch in batches[:1]]
            for batch in batches[1:]:
                queue.append(pool.submit(prepare, batch))
                yield queue.pop(0).result()
            for future in queue:
                yield future.result()

    def _prepare(self, samples: Sequence[Sample], style: PromptStyle, raw_patches: bool) -> "_PreparedBatch":
        rows, prompts, failed = [], [], []
        for sample in samples:
            try:
                prompts.append(prompt_example(self.processor, sample, style, raw_patches=raw_patches))
                rows.append(sample)
            except DataError as error:
                failed.append(failed_prediction(sample, error))
        return rows, prompts, failed

    def _image_tokens(self, sample: Sample) -> int:
        """The sort key; a sample that fails here is reported when it is prepared."""
        try:
            return sum(self.processor.geometry.tokens(*image.size) for image in sample.images)
        except DataError:
            return 0


_PreparedBatch = tuple[list[Sample], list[Example], list[Prediction]]


@dataclass(frozen=True)
class SampleReader:
    """Prompts and states of samples, as one backend reads them."""

    processor: Processor
    adapter: str | None
    style: PromptStyle
    sampling: Sampling
    seed: int
    token_bytes: TokenBytes | None

    def prompt(self, sample: Sample, read_patches: ReadPatches | None = None) -> Example:
        """See `RowReader.prompt`."""
        return prompt_example(self.processor, sample, self.style, raw_patches=True, read_patches=read_patches)

    def state(self, sample: Sample) -> GenerationState:
        """See `RowReader.state`."""
        detokenizer = None if self.token_bytes is None else IncrementalDetokenizer(self.token_bytes)
        grammar = row_grammar(self.processor.tokenizer, end_ids(self.processor), self.sampling)
        seed = row_seed(self.seed, sample.id)
        return GenerationState(self.sampling, self.adapter, seed, detokenizer, grammar, least_of(sample))


def _report_text(on_token: OnToken, samples: Sequence[Sample], states: Sequence[GenerationState]) -> None:
    for sample, state in zip(samples, states, strict=True):
        text = "".join(state.token_texts[index] for index in state.unreported_tokens())
        if text:
            on_token(sample.id, text)


def decoded_prediction(processor: Processor, sample: Sample, state: GenerationState) -> Prediction:
    """The prediction of a sample that was read, without the token that ended it."""
    tokens = state.tokens[:-1] if state.stop == "end" else state.tokens
    text = processor.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return finished_prediction(sample, state, text)


def row_seed(seed: int, sample_id: str) -> int:
    """A seed of the row's own, so that its tokens depend neither on the other rows nor on the batch size."""
    return int.from_bytes(hashlib.sha256(f"{seed} {sample_id}".encode("utf-8", "replace")).digest()[:7], "big")
