"""The decoding engine on one GPU: bulk reading, a step, one row alone, a comparison, beside stock `generate`.

    python benchmarks/reading_gpu.py --output benchmarks/results/reading_h200_DATE.json
    python benchmarks/reading_gpu.py --arms steps bulk --model Qwen3-VL-8B-Instruct
    python benchmarks/reading_gpu.py --tiny            # two narrow layers, on the CPU: only whether it runs

Random bf16 weights of the full size, LoRA r 16 on the seven text projections, PNG images of about 150 image tokens with
22 tokens of text (prompts of about 170), exactly 115 new tokens a row (no token ends a turn). `bulk` begins with PNG
bytes: decoding, resizing and patching are part of its time. `compare` reads every row by base and adapter in one batch.
"""

import argparse
import atexit
import io
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from fast_path_rows import END, GIB, IMAGE, PAD, RANK, START, base_model, gate, settings_of, text_projections

from texlens.core.labels import IGNORE_INDEX
from texlens.data.lazy_image import LazyImage
from texlens.inference.decoding.generation_state import GenerationState
from texlens.inference.decoding.sampling import Sampling
from texlens.inference.engine.engine import DecodingEngine
from texlens.inference.engine.plan import EnginePlan, engine_bytes, plan_for_rows
from texlens.inference.engine.read_ahead import GATHER_S, PACK_ROWS, ReadAhead, prepared_ahead, short_turns
from texlens.inputs.example import Example
from texlens.inputs.image_patches import image_to_raw_patches
from texlens.inputs.patching.processes import PatchProcesses
from texlens.models.families import family_of
from texlens.models.preprocessor import geometry_of
from texlens.models.processor import Processor

NEW_TOKENS = 115
TEXT_BEFORE, TEXT_AFTER = 8, 12
POSITIONS = 320


def drawn_png(number: int, geometry) -> bytes:
    """Lines on white, of a size that gives 120 to 180 image tokens."""
    random = np.random.default_rng(number)
    rows = int(random.integers(8, 13))
    columns = round(150 / rows)
    side = geometry.factor
    size = columns * side - int(random.integers(0, 8)), rows * side - int(random.integers(0, 8))
    image = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(image)
    for _ in range(40):
        canvas.line([tuple(random.integers(0, (size[0], size[1])).tolist()) for _ in range(3)], fill="black", width=3)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class Rows:
    """PNG images, and how one becomes a prompt."""

    def __init__(self, count: int, geometry):
        self.geometry = geometry
        self.images = [drawn_png(number, geometry) for number in range(min(count, 256))]
        self.count = count

    def prompt(self, number: int, processes: PatchProcesses | None = None) -> Example:
        image = LazyImage.from_bytes(self.images[number % len(self.images)])
        read_patches = (
            processes.patches if processes else lambda image, geometry: image_to_raw_patches(image.load(), geometry)
        )
        patches, grid = read_patches(image, self.geometry)
        tokens = np.random.default_rng(number).integers(1000, 100_000, TEXT_BEFORE + TEXT_AFTER).tolist()
        count = grid[1] * grid[2] // self.geometry.merge_size**2
        ids = [*tokens[:TEXT_BEFORE], START, *[IMAGE] * count, END, *tokens[TEXT_BEFORE:]]
        return Example(ids, [IGNORE_INDEX] * len(ids), grid, str(number), patches)


@dataclass(eq=False)
class RowRequest:
    """A prompt that is read by an adapter."""

    key: Any
    prompt: Example
    state: GenerationState


def decode_rows(engine: DecodingEngine, prepared: ReadAhead, waited: list[float] | None = None) -> Iterator[RowRequest]:
    """The rows as they finish, with the engine kept full; each prepared item is a list of requests.

    Args:
        waited: seconds are appended in which the engine had nothing to do but to wait for images.
    """
    open_rows, exhausted = [], False
    with short_turns():
        while open_rows or not exhausted:
            if not engine.has_work:
                prepared.gather(PACK_ROWS, GATHER_S)
            while not exhausted and engine.wants_rows and (prepared.is_ready or not engine.has_work):
                began = time.perf_counter()
                rows = next(prepared, None)
                if waited is not None:
                    waited.append(time.perf_counter() - began)
                exhausted = rows is None
                for row in rows or ():
                    engine.add([row.prompt], [row.state], [row.state.adapter])
                    open_rows.append(row)
            engine.step()
            prepared.refill()
            yield from (row for row in open_rows if not row.state.is_active)
            open_rows = [row for row in open_rows if row.state.is_active]


def request(key, prompt, adapter="default") -> RowRequest:
    return RowRequest(key, prompt, GenerationState(Sampling(NEW_TOKENS, repetition_guard=False), adapter))


class Bench:
    def __init__(self, options):
        self.options = options
        self.device = torch.device("cpu" if options.tiny else "cuda")
        settings = settings_of(options.model, options.tiny)
        began = time.perf_counter()
        self.model = self.adapted(base_model(settings, self.device), settings)
        self.config = self.model.get_base_model().config
        self.geometry = geometry_of(settings, {"min_pixels": 256, "max_pixels": 1_000_000})
        tokenizer = SimpleNamespace(pad_token_id=PAD)
        self.processor = Processor(tokenizer, self.geometry, IMAGE, PAD, family_of(settings))  # type: ignore[arg-type]
        self.rows = Rows(options.rows, self.geometry)
        self.processes = PatchProcesses(options.workers, start_after=0)
        self.sync()
        self.weights_gib = torch.cuda.memory_allocated() / GIB if self.device.type == "cuda" else 0
        self.figures: dict = {
            "build_s": round(time.perf_counter() - began, 1),
            "weights_gib": round(self.weights_gib, 2),
        }

    def adapted(self, model, settings):
        from peft import LoraConfig, get_peft_model

        if self.options.quantize == "fp8":
            from texlens.models.fp8 import quantize_in_fp8

            quantize_in_fp8(model)
        elif self.options.quantize in ("nf4", "int8"):
            import nf4_layers

            getattr(nf4_layers, f"quantize_in_{self.options.quantize}")(model)
        pattern = text_projections(settings)
        model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=pattern))
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        return model.eval()

    def sync(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def engine(self, slots: int, adapters=("default",), **changes) -> DecodingEngine:
        plan = plan_for_rows(slots, POSITIONS, pack_tokens=self.options.pack_tokens)
        plan = EnginePlan(**{**plan.__dict__, **changes})
        return DecodingEngine(self.model, self.processor, end_ids=frozenset(), adapters=adapters, plan=plan)

    def prepared(self, count: int, adapters=("default",)) -> ReadAhead:
        """Requests from PNG bytes, images read in processes."""

        def requests(number: int) -> list[RowRequest]:
            prompt = self.rows.prompt(number, self.processes)
            return [request((prompt.sample_id, adapter), prompt, adapter) for adapter in adapters]

        return prepared_ahead(range(count), requests, workers=self.options.workers, ahead=256)

    def read(self, engine, prepared, waited=None) -> tuple[list[RowRequest], float]:
        began = self.sync()
        done = list(decode_rows(engine, prepared, waited))
        return done, self.sync() - began

    # Arms

    def compare(self) -> dict:
        """Every row by base and adapter in one batch; the first time kernels are compiled on the way."""
        count, result = (501 if not self.options.tiny else 4), {"rows": 501, "systems": 2}
        for name in ("without_kernels_s", "with_kernels_s"):
            engine = self.engine(min(256, 2 * count), (None, "default"))
            done, seconds = self.read(engine, self.prepared(count, (None, "default")))
            result[name] = round(seconds, 2)
            result["rows_done"] = len(done)
            engine.close()
        return result

    def bulk(self) -> dict:
        """Rows from PNG bytes to tokens."""
        result: dict = {"rows": self.options.rows}
        for slots in self.options.slots:
            engine = self.engine(slots)
            self.read(engine, self.prepared(slots))
            gate("warm", self.options.gated)
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            waited: list[float] = []
            host = {name: timed(engine, name) for name in ("_prefill", "_launch", "_read")}
            done, seconds = self.read(engine, self.prepared(self.options.rows), waited)
            peak = torch.cuda.max_memory_allocated() / GIB if self.device.type == "cuda" else 0
            result[f"slots_{slots}"] = {
                "rows_per_s": round(len(done) / seconds, 1),
                "seconds": round(seconds, 2),
                "waited_for_images_s": round(sum(waited), 2),
                "host": {name: times.summary() for name, times in host.items()},
                "step_graphs": len(engine._steps._graphs),
                "peak_over_weights_gib": round(peak - self.weights_gib, 2),
                "planned_gib": round(engine_bytes(self.config, engine.plan) / GIB, 2),
                "tokens": sum(len(row.state.tokens) for row in done),
            }
            engine.close()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return result

    def steps(self) -> dict:
        """Milliseconds a step with B rows that run, graphs recorded, and the share of prefill."""
        result = {}
        prompts = [self.rows.prompt(number) for number in range(max(self.options.batches))]
        engine = self.engine(max(self.options.batches))
        for batch in self.options.batches:
            for _ in range(2):
                states = [request(0, p).state for p in prompts[:batch]]
                began = self.sync()
                engine.add(prompts[:batch], states, ["default"] * batch)
                engine.step()
                prefilled = self.sync()
                steps = 0
                while engine.has_work:
                    engine.step()
                    steps += 1
                seconds = self.sync() - prefilled
                result[str(batch)] = {
                    "ms_a_step": round(seconds / steps * 1e3, 3),
                    "first_step_ms": round((prefilled - began) * 1e3, 1),
                }
        engine.close()
        return result

    def prefill(self) -> dict:
        """Rows a second of prefill alone (packs of 96 rows), images prepared."""
        engine = self.engine(96)
        prompts = [self.rows.prompt(number) for number in range(96)]
        result = {}
        for _ in range(4):
            states = [GenerationState(Sampling(1, repetition_guard=False)) for _ in prompts]
            began = self.sync()
            engine.add(prompts, states, ["default"] * len(prompts))
            engine.step()
            launched = time.perf_counter()
            engine.finish()
            seconds = self.sync() - began
            result = {"rows_per_s": round(96 / seconds, 1), "launched_after_s": round(launched - began, 3)}
        engine.close()
        return result

    def single(self) -> dict:
        """One row: time to its first token, and from one token to the next."""
        engine, firsts, later = self.engine(8), [], []
        prompt = self.rows.prompt(3)
        for _ in range(6):
            state = request(0, prompt).state
            began = self.sync()
            engine.add([prompt], [state], ["default"])
            first = None
            while engine.has_work:
                engine.step()
                if first is None and state.tokens:
                    first = time.perf_counter()
            ended = self.sync()
            firsts.append((first - began) * 1e3)
            later.append((ended - first) / (NEW_TOKENS - 1) * 1e3)
        engine.close()
        return {
            "first_token_ms": round(float(np.median(firsts[2:])), 1),
            "ms_a_token": round(float(np.median(later[2:])), 2),
        }

    def stock(self) -> dict:
        """Stock `generate` with PEFT's adapter, 64 rows at a time, images prepared."""
        from transformers import GenerationConfig

        from texlens.inputs.padded_collator import Collator

        count = 64 if not self.options.tiny else 2
        prompts = [self.rows.prompt(number) for number in range(count)]
        examples = [normalized(prompt, self.geometry) for prompt in prompts]
        inputs = Collator(PAD, IMAGE, left=True)(examples)
        inputs = {k: v.to(self.device) for k, v in inputs.items() if isinstance(v, torch.Tensor) and k != "labels"}
        settings = GenerationConfig(
            do_sample=False, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, eos_token_id=[PAD], pad_token_id=PAD,
            output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        with torch.no_grad():
            self.model(**inputs, use_cache=False, logits_to_keep=1)
            began = self.sync()
            output = self.model.generate(**inputs, generation_config=settings)
            seconds = self.sync() - began
        new = output.sequences[:, inputs["input_ids"].shape[1] :].tolist()
        scores = torch.stack([score.float().log_softmax(-1).max(-1).values for score in output.scores], 1).tolist()
        del output
        engine = self.engine(count)
        rows = [[request(number, prompt)] for number, prompt in enumerate(prompts)]
        done, _ = self.read(engine, prepared_ahead(rows, lambda row: row, workers=1, ahead=1))
        engine.close()
        done = sorted(done, key=lambda row: row.key)
        firsts = [equal_tokens(row.state.tokens, tokens) for row, tokens in zip(done, new, strict=True)]
        common = [abs(row.state.log_probabilities[0] - score[0]) for row, score in zip(done, scores, strict=True)]
        single = []
        with torch.no_grad():
            for example in examples[:16]:
                inputs = Collator(PAD, IMAGE, left=True)([example])
                inputs = {
                    k: v.to(self.device) for k, v in inputs.items() if isinstance(v, torch.Tensor) and k != "labels"
                }
                logits = self.model(**inputs, use_cache=False, logits_to_keep=1).logits[0, -1]
                single.append(logits.float().log_softmax(-1).max().item())
        noise = [abs(value - score[0]) for value, score in zip(single, scores, strict=False)]
        return {
            "first_log_probability_of_stock_alone_differs_by": {"median": float(np.median(noise)), "most": max(noise)},
            "rows_per_s": round(count / seconds, 2),
            "ms_a_step": round(seconds / NEW_TOKENS * 1e3, 1),
            "equal_tokens_before_first_difference": {"median": float(np.median(firsts)), "least": min(firsts)},
            "first_log_probability_differs_by": {"median": float(np.median(common)), "most": max(common)},
        }

    def clients(self) -> dict:
        """Clients that each ask for one row after the other, without HTTP, images prepared: rows/s and latency."""
        counts = (64, 128) if not self.options.tiny else (2,)
        return {str(count): self.with_clients(count) for count in counts}

    def with_clients(self, clients: int) -> dict:
        prompts = [self.rows.prompt(number) for number in range(64)]
        engine, latencies, began = self.engine(128), [], 0.0
        pending: list[tuple[GenerationState, float]] = []
        submitted, total, warm = 0, 6 * clients, 2 * clients
        while len(latencies) < total - clients:
            while len(pending) < clients and submitted < total:
                state = request(0, prompts[0]).state
                engine.add([prompts[submitted % 64]], [state], ["default"])
                pending.append((state, time.perf_counter()))
                submitted += 1
            engine.step()
            now = time.perf_counter()
            for _, since in (pair for pair in pending if not pair[0].is_active):
                latencies.append(now - since)
                began = now if len(latencies) == warm else began
            pending = [pair for pair in pending if pair[0].is_active]
        counted, seconds = latencies[warm:], time.perf_counter() - began
        engine.close()
        return {
            "rows_per_s": round(len(counted) / seconds, 1),
            "p50_s": round(float(np.quantile(counted, 0.5)), 2),
            "p95_s": round(float(np.quantile(counted, 0.95)), 2),
        }

    def profile(self) -> dict:
        """Kernels of a prefill (96 rows) and of steps (16 and 256 rows) by time, for tuning."""
        from torch.profiler import ProfilerActivity, profile

        def traced(body) -> list:
            self.sync()
            with profile(activities=[ProfilerActivity.CUDA]) as trace:
                body()
                self.sync()
            return table(trace)

        result = {}
        engine = self.engine(256)
        for batch in (16, 256):
            prompts = [self.rows.prompt(number) for number in range(batch)]
            engine.add(prompts, [request(0, p).state for p in prompts], ["default"] * batch)
            for _ in range(8):
                engine.step()
            result[f"4 steps of {batch}"] = traced(lambda: [engine.step() for _ in range(4)])
            engine.finish()
        engine.add(prompts[:96], [request(0, p).state for p in prompts[:96]], ["default"] * 96)
        result["prefill of 96 and 1 step"] = traced(engine.step)
        engine.close()
        return result


class Times(NamedTuple):
    """Of each call of a method: seconds by the clock, and of the thread's own processor time. Where the first are many
    more, the thread waited: for the GPU, or for other threads."""

    clock_s: list[float]
    thread_s: list[float]

    def summary(self) -> dict:
        clock, thread = (round(sum(times), 2) for times in self)
        return {"calls": len(self.clock_s), "s": clock, "thread_s": thread, "most_s": round(max(self.clock_s), 3)}


def timed(engine: DecodingEngine, name: str) -> Times:
    """Seconds of each later call of a method, as the host sees them; `_read` waits for the GPU."""
    method, times = getattr(engine, name), Times([], [])

    def call(*arguments):
        began = time.perf_counter(), time.thread_time()
        try:
            return method(*arguments)
        finally:
            times.clock_s.append(time.perf_counter() - began[0])
            times.thread_s.append(time.thread_time() - began[1])

    setattr(engine, name, call)
    return times


def equal_tokens(first: list[int], second: list[int]) -> int:
    """Tokens before the first that differs."""
    differing = (number for number, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
    return next(differing, len(first))


def table(trace) -> list:
    events = sorted(trace.key_averages(), key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events)
    rows = [f"{e.self_device_time_total / 1e3:9.3f} ms {e.count:6d} {e.key[:90]}" for e in events[:24]]
    return [f"{total / 1e3:9.3f} ms total", *rows]


def normalized(prompt: Example, geometry) -> Example:
    """The prompt with float patches of two frames, as stock models take them."""
    from dataclasses import replace

    from texlens.inputs.image_patches import normalized_values

    values = normalized_values(geometry.mean, geometry.std)
    pixels = prompt.patches.reshape(len(prompt.patches), 3, -1)
    scaled = np.stack([values[channel][pixels[:, channel]] for channel in range(3)], 1)
    frames = np.repeat(scaled[:, :, None], geometry.temporal_patch_size, 2)
    return replace(prompt, patches=frames.reshape(len(pixels), -1).astype(np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument(
        "--arms", nargs="+", default=["compare", "bulk", "steps", "prefill", "single", "clients", "stock"]
    )
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--slots", type=int, nargs="+", default=[256])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--pack-tokens", type=int, default=8_192)
    parser.add_argument("--workers", type=int, default=8, help="processes that decode images")
    parser.add_argument("--quantize", choices=["none", "fp8", "nf4", "int8"], default="none")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--gated", action="store_true", help="wait for a line before `bulk` is timed")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    bench = Bench(options)
    figures = {
        "theme": "reading on a GPU",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": torch.cuda.get_device_name() if not options.tiny else "CPU",
        "versions": {"torch": torch.__version__},
        "command": "python " + " ".join(sys.argv),
        "model": options.model,
        **bench.figures,
    }
    atexit.register(bench.processes.close)
    for arm in options.arms:
        began = time.perf_counter()
        try:
            figures[arm] = getattr(bench, arm)()
        except Exception as error:  # noqa: BLE001 - the other arms still run
            traceback.print_exc()
            figures[arm] = {"error": f"{type(error).__name__}: {error}"[:300]}
        if arm == "profile":
            print("\n".join("\n".join([name, *rows]) for name, rows in figures[arm].items()))
        else:
            print(arm, json.dumps(figures[arm]), f"({time.perf_counter() - began:.1f} s)", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if options.output:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(figures, indent=2) + os.linesep)


if __name__ == "__main__":
    main()
