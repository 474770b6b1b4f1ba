"""`DecodingEngine`: rows that join, are decoded together and leave, without the device ever waiting for the host.

Prompts are prefilled in packs, steps are CUDA graphs over a few batch sizes, and what a step gave is read while the
next one runs: a row's newest token is known to the host one step later than to the device.

# B = rows of a step, T = tokens of a pack, V = vocabulary
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.engine.cache import PagedCache, pages_for, positions_of
from texlens.inference.engine.choose import Draw, Penalty, Truncation, choose
from texlens.inference.engine.engine_row import EngineRow, seed_of
from texlens.inference.engine.graphs import GraphPool, PrefillGraphs, PrefillKind, StepGraphs
from texlens.inference.engine.layers.decoder import PromptRows, StepRows, TextDecoder
from texlens.inference.engine.layers.vision import VisionTower
from texlens.inference.engine.plan import EnginePlan
from texlens.inference.engine.prompt_pack import PromptPack, build_prompt_pack, graph_size, tensors_of, token_multiple
from texlens.inference.engine.shared_prompts import copies_of, distinct
from texlens.inference.engine.slot_state import ENDED, FULL, LOOPED, SlotState
from texlens.inference.engine.step_results import Readback, StepKind, StepOutput, pack_output
from texlens.inputs.example import Example
from texlens.kernels.attention.segments import make_segments
from texlens.kernels.decode.backend import decode_kernels
from texlens.models.packed.forward import pack_spec
from texlens.models.processor import Processor

STOPS = {ENDED: "end", LOOPED: "loop", FULL: "length"}
NO_ALTERNATIVES: list[tuple[int, float]] = []
"""Shared by all tokens, never changed: a list a token would keep the garbage collector busy."""
NOT_FINITE = "the model's logits are NaN or Inf for this row"


class DecodingEngine:
    """
    Args:
        model: a stock model, adapted by PEFT or not.
        adapters: names of the adapters that rows may have, None for the base; their order is their numbers.
        end_ids: tokens that end a turn.
        plan: slots and memory.
        packs: on a CPU, weights in float32 may be copied into the layout that multiplies fastest; for models that do
            not change.

    `lag` steps are under way when the host reads what an earlier one gave.
    """

    def __init__(
        self,
        model: Any,
        processor: Processor,
        *,
        end_ids: frozenset[int],
        adapters: Sequence[str | None],
        plan: EnginePlan,
        packs: bool = False,
    ):
        stock = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.end_ids, self.plan, self.adapters = end_ids, plan, list(adapters)
        self.device = next(stock.parameters()).device
        self.lag = 1 if self.device.type == "cuda" else 0
        self._kernels = decode_kernels(self.device)
        self._decoder = TextDecoder(stock, self.adapters, self._kernels, packs=packs)
        self._vision = VisionTower(stock, processor, self.adapters, packs=packs)
        self._spec = pack_spec(stock.config, processor)
        layers, keys, width = self._decoder.cache_shape
        self._cache = PagedCache(
            layers,
            keys,
            width,
            pages=plan.pages,
            dtype=self._decoder.embedding.dtype,
            device=self.device,
            states=self._decoder.new_states(plan.slots),
        )
        self._state = SlotState(plan.slots, plan.pages_per_slot, self.device)
        self._ends_E = torch.tensor(sorted(end_ids), dtype=torch.int64, device=self.device)
        self._free_slots = list(range(plan.slots - 1, -1, -1))
        self._waiting: deque[EngineRow] = deque()
        self._running: list[EngineRow] = []
        self._unreported: list[EngineRow] = []
        """Have no slot any more; their last tokens are under way."""
        self._launched: list[EngineRow] = []
        self._unread: deque[tuple[list[EngineRow], Readback]] = deque()
        pool = GraphPool()
        self._steps = StepGraphs(self._step_of_slots, plan.slots, self.device, pool)
        self._prefills = PrefillGraphs(self._prefill_rows, self.device, pool)

    # Rows ------------------------------------------------------------------------------------------------------------

    def add(
        self,
        prompts: Sequence[Example],
        states: Sequence[GenerationState],
        adapters: Sequence[str | None] | None = None,
    ) -> None:
        """Rows to be decoded, in order; they join as soon as slots and pages are free.

        Args:
            prompts: with raw patches (uint8); rows that share one object have its image read once, and in large packs
                its text too.

        Raises:
            ValueError: a row that the plan has no room for, or an unknown adapter.
        """
        names = [self.adapters[0]] * len(prompts) if adapters is None else adapters
        rows = [
            EngineRow(prompt, state, self.adapters.index(name))
            for prompt, state, name in zip(prompts, states, names, strict=True)
        ]
        for row in rows:
            pages = pages_for(row.positions)
            if pages > min(self.plan.pages_per_slot, self.plan.pages):
                raise ValueError(
                    f"{row.prompt.sample_id}: {row.positions} positions are more than the engine's plan has for a row"
                )
        self._waiting.extend(rows)

    @property
    def states(self) -> list[GenerationState]:
        """Of the rows that wait or run."""
        rows = *self._unreported, *self._running, *self._waiting
        return [row.state for row in rows if row.state.is_active]

    @property
    def has_work(self) -> bool:
        return bool(self._running or self._waiting or self._unread)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def waiting_tokens(self) -> int:
        """Prompt tokens of the rows that wait."""
        return sum(len(row.prompt) for row in self._waiting)

    @property
    def wants_rows(self) -> bool:
        """Whether fewer rows wait than slots are free, so that all of them fill in one step, or than a pack holds."""
        if self.waiting < len(self._free_slots):
            return True
        return self.waiting < self.plan.slots and self.waiting_tokens < self.plan.pack_tokens

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def can_rewind(self) -> bool:
        """Whether a row can decode a token again, as a grammar needs it."""
        return not self._decoder.has_states

    def refresh(self) -> None:
        """Reads the adapters' weights again, after a training step."""
        self._decoder.refresh()

    def close(self) -> None:
        """Gives back the cache and the graphs; rows that are not done are lost."""
        self._steps.clear()
        self._prefills.clear()
        self._unread.clear()
        self._running.clear()
        self._unreported.clear()
        self._waiting.clear()
        del self._cache, self._state, self._steps, self._prefills

    # Steps -----------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Rows that wait join where there is room, every row that runs gets a token, and results are read."""
        self.launch()
        self.collect()

    @torch.no_grad()
    def launch(self) -> None:
        """The first half of a step: rows join, and each gets a token, without waiting for the device.

        What the host does before `collect` runs beside the device.
        """
        self._release_finished()
        while joining := self._admitted():
            self._prefill(joining)
        self._launched = [row for row in self._running if row.is_running]
        if self._launched:
            self._launch(self._launched)

    def collect(self) -> None:
        """The second half of a step: the results of the steps before the last one are read, or of all if none runs."""
        while len(self._unread) > (self.lag if self._launched else 0):
            self._read(*self._unread.popleft())
        self._release_finished()

    def finish(self) -> None:
        """Steps until no row is left."""
        while self.has_work:
            self.step()

    def _admitted(self) -> list[EngineRow]:
        """Rows for one pack, taken from those that wait; none while it is better to let more slots become free."""
        while self._waiting and not self._waiting[0].state.is_active:
            self._waiting.popleft()
        few = len(self._free_slots) < self.plan.join_at_least and len(self._waiting) > len(self._free_slots)
        if few and self._running:
            return []
        rows, tokens, known = [], 0, set()
        while self._waiting and self._free_slots:
            row = self._waiting[0]
            pages, tokens = pages_for(row.positions), tokens + (0 if row.shared_by in known else len(row.prompt))
            known.add(row.shared_by)
            if pages > self._cache.free_pages or (rows and tokens > self.plan.pack_tokens):
                break
            self._waiting.popleft()
            if row.state.is_active:
                row.slot, row.pages = self._free_slots.pop(), self._cache.reserve(pages)
                rows.append(row)
        return rows

    def _prefill(self, rows: list[EngineRow]) -> None:
        versions = self._vision.versions([row.adapter for row in rows])
        kind = self._kind(rows)
        # A prefill of delta nets waits for nothing by kernels, but was never recorded on a GPU.
        is_padded = has_graphs(self.device) and not self._decoder.has_states
        fits_graph = is_padded and len(versions) == 1
        size = graph_size([row.prompt for row in rows]) if fits_graph else None
        read, source_B = (rows, range(len(rows))) if size is not None else distinct(rows, lambda row: row.shared_by)
        prompts = [row.prompt for row in read]
        pack = build_prompt_pack(prompts, self._spec, size, multiple=token_multiple(prompts) if is_padded else 1)
        inputs = tensors_of(pack) | self._token_tensors(read, pack) | self._row_tensors(rows, pack, source_B)
        if len(read) < len(rows):
            inputs |= copies_of(
                [row.pages for row in rows], [row.slot for row in rows], pack.lengths.tolist(), source_B
            )
        fixed = PrefillKind(kind, versions, pack.longest, _numbers(pack.vision))
        output = self._prefills.run(inputs, fixed, in_graph=size is not None)
        for row in rows:
            row.launched = 1
        self._running += rows
        self._unread.append((rows, Readback(output, len(rows))))

    def _token_tensors(self, read: Sequence[EngineRow], pack: PromptPack) -> dict[str, Tensor]:
        """What a prefill reads of the rows whose prompts are in the pack, by name: of tokens, images and prompts."""
        adapters = [row.adapter for row in read]
        at_T = np.zeros(len(pack.token_ids), np.int64)
        for number, (row, length) in enumerate(zip(read, pack.lengths, strict=True)):
            end = int(pack.last[number]) + 1
            at_T[end - length : end] = positions_of(row.pages, int(length))
        version_B = np.append(self._vision.version_numbers(adapters), 0)
        padding = np.full(len(pack.last) - len(read), self.plan.slots)
        arrays = {
            "at": at_T,
            "adapter_of_token": np.append(adapters, 0)[pack.rows].astype(np.int32),
            "version_of_image": version_B[pack.rows[pack.image_rows]],
            "read_slots": np.append([row.slot for row in read], padding).astype(np.int64),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _row_tensors(self, rows: Sequence[EngineRow], pack: PromptPack, source_B: Sequence[int]) -> dict[str, Tensor]:
        """What a prefill reads of all rows [B], by name, padded by the padding slot where the pack is.

        Args:
            source_B: the number of each row's prompt in the pack.
        """
        padding = len(pack.last) - len(pack.lengths)
        samplings, sources = [row.state.sampling for row in rows], np.array(source_B)
        pages_BP = np.zeros((len(rows) + padding, self.plan.pages_per_slot), np.int32)
        for number, row in enumerate(rows):
            pages_BP[number, : len(row.pages)] = row.pages
        values = {
            "length": pack.lengths[sources],
            "offset": pack.offsets[sources],
            "adapter": [row.adapter for row in rows],
            "limit": [sampling.max_new_tokens for sampling in samplings],
            "temperature": [sampling.temperature or 0.0 for sampling in samplings],
            "top_p": [sampling.top_p for sampling in samplings],
            "min_p": [sampling.min_p for sampling in samplings],
            "top_k": [sampling.top_k for sampling in samplings],
            "penalty": [sampling.repetition_penalty for sampling in samplings],
            "seed": [seed_of(row.state) for row in rows],
            "guard": [sampling.repetition_guard and not sampling.grammar for sampling in samplings],
        }
        kinds: dict[str, Any] = dict.fromkeys(("temperature", "top_p", "min_p", "penalty"), np.float32)
        kinds |= {"seed": np.int64, "guard": np.bool_}
        arrays: dict[str, np.ndarray] = {
            f"slot.{name}": np.append(value, np.zeros(padding)).astype(kinds.get(name, np.int32))
            for name, value in values.items()
        }
        arrays["slots"] = np.append([row.slot for row in rows], np.full(padding, self.plan.slots)).astype(np.int64)
        arrays["pages"] = pages_BP
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _prefill_rows(self, inputs: Mapping[str, Tensor], fixed: PrefillKind) -> StepOutput:
        """Prompts read and the first token of each row chosen; this is what a CUDA graph holds."""
        slots_B = inputs["slots"]
        self._state.join(slots_B, inputs["pages"], **_named(inputs, "slot."))
        features_ID, deepstack = self._vision(
            {**_named(inputs, "vision."), **dict(fixed.numbers)},
            fixed.versions,
            inputs["feature_rows"],
            inputs["version_of_image"],
        )
        rows = PromptRows(
            inputs["token_ids"],
            inputs["positions"],
            make_segments(inputs["ends"], fixed.longest),
            inputs["at"],
            inputs["adapter_of_token"],
            inputs["image_rows"],
            features_ID,
            deepstack,
            inputs["last"],
            inputs["read_slots"],
        )
        logits_BV = self._decoder.prefill(rows, self._cache)
        if copies := _named(inputs, "copies."):
            self._cache.copy(**copies)
            logits_BV = logits_BV[inputs["prompt_of_row"]]
        return self._take(logits_BV, slots_B, fixed.step, decoded=False)

    def _launch(self, rows: list[EngineRow]) -> None:
        kind = self._kind(rows)
        output = self._steps.run([row.slot for row in rows], kind)
        for row in rows:
            row.launched += 1
        self._unread.append((rows, Readback(output, len(rows))))

    def _kind(self, rows: Sequence[EngineRow]) -> StepKind:
        kind = StepKind.of([row.state.sampling for row in rows])
        if kind.penalizes:
            self._state.count_tokens(self._decoder.vocabulary)
        return kind

    def _step_of_slots(self, slots_B: Tensor, kind: StepKind) -> StepOutput:
        """One token for each slot; this is what a CUDA graph holds."""
        state = self._state
        length_B = state.length[slots_B]
        rows = StepRows(
            state.token[slots_B],
            length_B + state.offset[slots_B],
            length_B,
            state.pages[slots_B],
            state.adapter[slots_B],
            slots_B,
        )
        logits_BV = self._decoder.step(rows, self._cache)
        return self._take(logits_BV, slots_B, kind, decoded=True)

    def _take(self, logits_BV: Tensor, slots_B: Tensor, kind: StepKind, *, decoded: bool) -> StepOutput:
        state = self._state
        draw, penalty = None, None
        if kind.draws:
            draw = Draw(state.temperature[slots_B], state.seed[slots_B], state.count[slots_B])
            if kind.truncates:
                truncation = Truncation(state.top_p[slots_B], state.min_p[slots_B], state.top_k[slots_B])
                draw = draw._replace(truncation=truncation)
        if kind.penalizes and state.used is not None:
            penalty = Penalty(state.used[slots_B], state.penalty[slots_B])
        forced_B = state.forced[slots_B] if kind.checks else None
        choice = choose(logits_BV, self._kernels, draw, kind.alternatives, penalty=penalty, forced_B=forced_B)
        status_B = state.take(slots_B, choice.tokens, self._ends_E, decoded=decoded)
        return pack_output(choice, status_B)

    # Results ---------------------------------------------------------------------------------------------------------

    def _read(self, rows: list[EngineRow], readback: Readback) -> None:
        values = readback.wait()
        for number, row in enumerate(rows):
            state, token, log_probability = row.state, values.tokens[number], values.log_probabilities[number]
            if not state.is_active:
                continue
            if row.stale:
                row.stale -= 1
            elif math.isnan(log_probability):
                state.fail(NOT_FINITE)
            elif state.grammar is not None and not state.grammar.accepts(token):
                self._force(row, state.grammar.choose(values.candidates[number]))
            elif state.detokenizer is not None or state.grammar is not None or state.sampling.top_logprobs:
                others = values.alternatives[number] if values.alternatives else []
                state.append_token(token, log_probability, self.end_ids, others[: state.sampling.top_logprobs])
            else:
                state.tokens.append(token)
                state.log_probabilities.append(log_probability)
                state.alternatives.append(NO_ALTERNATIVES)
                if stop := STOPS.get(values.statuses[number]):
                    state.finish(stop)  # type: ignore[arg-type]

    def _force(self, row: EngineRow, token: int) -> None:
        """The row decodes its last token again and takes `token`; what is under way for it is ignored."""
        tokens = row.state.tokens
        row.stale, row.launched = row.launched - len(tokens) - 1, len(tokens)
        last = tokens[-1] if tokens else row.prompt.input_ids[-1]
        length = len(row.prompt) + len(tokens) - 1
        self._state.rewind(row.slot, token=last, length=length, tokens=tokens, forced=token)

    def _release_finished(self) -> None:
        """Gives back slots and pages of rows that are done, or will be when what is under way is read. That may still
        write there, before anything that comes later: the next prompts follow the last step without a gap."""
        done = [row for row in self._running if row.is_done]
        self._unreported = [row for row in (*self._unreported, *done) if row.state.is_active]
        for row in done:
            self._free_slots.append(row.slot)
            self._cache.release(row.pages)
        if done:
            self._running = [row for row in self._running if not row.is_done]


def has_graphs(device: torch.device) -> bool:
    """Whether small packs are padded to the sizes that have a CUDA graph."""
    return device.type == "cuda"


def _named(inputs: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The inputs whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): value for name, value in inputs.items() if name.startswith(prefix)}


def _numbers(vision: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """What of the vision tower's part of a pack is a number."""
    return tuple((name, value) for name, value in vision.items() if isinstance(value, int))
