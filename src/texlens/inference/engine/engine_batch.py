"""`EngineBatch`: the decoding engine behind the Protocol `DecodingBatch`.

Rows that the engine does not decode are decoded by the reference beside it: those with a grammar, of models with
recurrent states.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from texlens.core.errors import ConfigError
from texlens.core.notes import print_note
from texlens.inference.adapter_switch import UNCHANGED, AdapterSwitch
from texlens.inference.decoding.continuous_batch import ContinuousBatch
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine import DecodingEngine
from texlens.inference.engine.plan import BULK_SLOTS, EnginePlan, plan_for_memory
from texlens.inference.engine.support import model_unsupported_reason
from texlens.inference.prompts import end_ids
from texlens.inputs.example import Example
from texlens.inputs.image_patches import normalized_values
from texlens.models.mixtures.experts import quantized_experts
from texlens.models.packed.memory import expert_buffer_bytes
from texlens.models.processor import Processor

SHARE_OF_FREE_MEMORY = 0.8
CPU_FREE_BYTES = 2 * 2**30
CPU_SLOTS = 64
CPU_LEAST_ROWS = 32
CPU_MOST_PARAMETERS = 100_000_000
"""Larger models are read by the reference on a CPU: the engine keeps a copy of the weights there."""


class EngineBatch:
    """
    Args:
        adapters: that rows may have, as `AdapterSwitch` names them.
        plan: slots and memory; None plans with what is free on the device.
        packs: see `DecodingEngine`.
    """

    raw_patches = True

    def __init__(
        self,
        switch: AdapterSwitch,
        processor: Processor,
        adapters: Sequence[str | None],
        plan: EnginePlan | None = None,
        *,
        packs: bool = False,
    ):
        self._switch, self._processor = switch, processor
        self._reference: ContinuousBatch | None = None
        self.is_temporary = UNCHANGED in adapters
        names = adapter_names(switch.model, adapters)
        self._unchanged = names[0] if self.is_temporary else None
        self.engine = DecodingEngine(
            switch.model,
            processor,
            end_ids=end_ids(processor),
            adapters=names,
            plan=plan or _planned(switch.model),
            packs=packs,
        )

    @property
    def states(self) -> Sequence[GenerationState]:
        return [*self.engine.states, *(self._reference.states if self._reference is not None else ())]

    @property
    def is_on_gpu(self) -> bool:
        return self.engine.device.type == "cuda"

    @property
    def is_busy(self) -> bool:
        """Whether rows wait or run."""
        return self.engine.has_work or bool(self._reference is not None and self._reference.states)

    @property
    def wants_rows(self) -> bool:
        """Whether fewer rows wait than there are free slots, or than the next pack holds."""
        return self.engine.wants_rows

    def prefill(self, prompts: Sequence[Example], states: Sequence[GenerationState]) -> None:
        """See `DecodingBatch.prefill`; rows wait in the engine until a slot is free."""
        others = []
        for prompt, state in zip(prompts, states, strict=True):
            if state.grammar is not None and not self.engine.can_rewind:
                others.append((prompt, state))
            else:
                self._add(prompt, state)
        if others:
            self._prefill_reference(*zip(*others, strict=True))

    def _prefill_reference(self, prompts: Sequence[Example], states: Sequence[GenerationState]) -> None:
        print_note("a grammar can't take back steps of recurrent states; such rows are decoded by the reference")
        if self._reference is None:
            self._reference = ContinuousBatch(self._switch, self._processor)
        self._reference.prefill([normalized_prompt(prompt, self._processor) for prompt in prompts], states)

    def step(self) -> None:
        """See `DecodingBatch.step`."""
        self.launch()
        self.collect()

    def launch(self) -> None:
        """See `DecodingEngine.launch`."""
        if self.engine.has_work:
            self.engine.launch()

    def collect(self) -> None:
        """See `DecodingEngine.collect`; rows of the reference get their tokens here."""
        if self.engine.has_work:
            self.engine.collect()
        if self._reference is not None and self._reference.states:
            self._reference.step()

    def close(self) -> None:
        """Gives the cache's memory back."""
        self.engine.close()

    def _add(self, prompt: Example, state: GenerationState) -> None:
        adapter = self._unchanged if state.adapter == UNCHANGED else state.adapter
        try:
            self.engine.add([prompt], [state], [adapter])
        except ValueError as error:
            state.fail(str(error))


def engine_batch(switch: AdapterSwitch, processor: Processor, adapters: Sequence[str | None]) -> EngineBatch | None:
    """The engine of this model, or None with a remark where it can't run, and on a CPU (see `cpu_engine`).

    It is kept with the switch, but for a model in training.
    """
    device = next(switch.model.parameters()).device
    if device.type != "cuda":
        return None
    return open_engine(switch, processor, adapters)


def cpu_engine(
    switch: AdapterSwitch, processor: Processor, adapter: str | None, *, rows: int, sampling: Sampling
) -> EngineBatch | None:
    """The engine for many rows that a small model reads on a CPU; None where the reference is to read them: few rows,
    which it reads as fast, drawn tokens, which differ from its, and models in training."""
    weight = next(switch.model.parameters())
    is_for_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    is_worth_it = rows >= CPU_LEAST_ROWS or "engine" in switch.cache
    if not is_for_cpu or not is_worth_it or not sampling.is_greedy or adapter == UNCHANGED:
        return None
    if sum(part.numel() for part in switch.model.parameters()) > CPU_MOST_PARAMETERS:
        return None
    if model_unsupported_reason(switch.model) is not None:
        return None
    return _opened(switch, processor, [adapter], None)


def open_engine(
    switch: AdapterSwitch, processor: Processor, adapters: Sequence[str | None], plan: EnginePlan | None = None
) -> EngineBatch | None:
    """`engine_batch` on any device."""
    if reason := model_unsupported_reason(switch.model):
        print_note(f"the decoding engine can't run this model ({reason}); it is decoded by the reference, more slowly")
        return None
    try:
        return _opened(switch, processor, adapters, plan)
    except ConfigError as error:
        print_note(f"the decoding engine can't run here ({error}); rows are decoded by the reference, more slowly")
        return None


def _opened(
    switch: AdapterSwitch, processor: Processor, adapters: Sequence[str | None], plan: EnginePlan | None
) -> EngineBatch:
    if UNCHANGED in adapters:
        return EngineBatch(switch, processor, adapters, plan)
    batch = switch.cache.get("engine")
    if not isinstance(batch, EngineBatch) or (plan is not None and plan != batch.engine.plan) or batch.states:
        batch = switch.cache["engine"] = EngineBatch(switch, processor, adapters, plan, packs=True)
    return batch


def adapter_names(model: Any, adapters: Sequence[str | None]) -> list[str | None]:
    """Names for the engine: all of the model's adapters and the base, or of a model in training the active one."""
    config = getattr(model, "peft_config", None)
    if UNCHANGED in adapters:
        return [model.active_adapters[0] if config else None]
    return [None, *(config or {})]


def normalized_prompt(prompt: Example, processor: Processor) -> Example:
    """The prompt with float patches of all frames, as stock models take them."""
    if prompt.patches is None or prompt.patches.dtype != np.uint8:
        return prompt
    geometry = processor.geometry
    values = normalized_values(geometry.mean, geometry.std)
    pixels = prompt.patches.reshape(len(prompt.patches), 3, -1)
    scaled = np.stack([values[channel][pixels[:, channel]] for channel in range(3)], 1)
    frames = np.repeat(scaled[:, :, None], geometry.temporal_patch_size, 2)
    return replace(prompt, patches=frames.reshape(len(pixels), -1).astype(np.float32))


def _planned(model: Any) -> EnginePlan:
    device, itemsize = next(model.parameters()).device, 2 if torch.cuda.is_available() else 4
    config = model.get_base_model().config if hasattr(model, "get_base_model") else model.config
    if device.type != "cuda":
        return plan_for_memory(config, CPU_FREE_BYTES, slots=CPU_SLOTS, itemsize=4)
    free = torch.cuda.mem_get_info(device)[0]
    if any(quantized_experts(model)):
        free -= expert_buffer_bytes(config.text_config, itemsize)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return plan_for_memory(config, int((free + cached) * SHARE_OF_FREE_MEMORY), slots=BULK_SLOTS, itemsize=itemsize)
