"""SwiGLU fused with the adapters around it, beside separate passes, forward and backward, in 16 bits and in 8.

    python benchmarks/mlp_kernels.py --output benchmarks/results/mlp_h200_DATE.json
    TRITON_INTERPRET=1 python benchmarks/mlp_kernels.py --tiny     # on a CPU; its times mean nothing

Qwen3-VL-4B's MLP (2,560 and 9,728 wide) with LoRA r=16 on all three layers, 16,384 and 32,768 tokens. What is timed
is between the products: forward from gate and up to the rows that `down` takes, backward from the gradient of the
activation to the rows that the product of gate and up takes, with the gradients of all adapters. Every way to cut the
kernels is compiled in processes side by side, checked against float32, and timed with events (median of 20 runs).
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from kernel_timing import (
    DEVICE,
    DTYPE,
    compile_side_by_side,
    described,
    error_text,
    median_ms,
    off,
    options_of,
    save,
    used_first,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.adapter import Adapter
from texlens.kernels.elementwise import triton as triton_passes
from texlens.kernels.fp8.quantize import quantize_rows
from texlens.kernels.lora_linear import backend as lora_backend
from texlens.kernels.lora_linear.augmented import DenseLinear
from texlens.kernels.lora_linear.fp8_linear import Fp8FusedLinear
from texlens.kernels.lora_linear.fused_linear import FusedLinearBase
from texlens.kernels.swiglu import backend as swiglu_backend
from texlens.kernels.swiglu import triton as triton_mlp
from texlens.kernels.swiglu.triton import SwigluTile, choose_tile

ERROR = 0.01 if DEVICE == "cuda" else 0.1  # the interpreter rounds some codes wrongly
RANKS, LAYERS = 16, 36
PARTS = ("forward", "backward")
FORMS = ("augmented", "quantized")


def cuts(*rows: tuple) -> list[SwigluTile]:
    return [SwigluTile(*row) for row in rows]


CUTS = {
    ("forward", "augmented"): cuts((16, 256, 2560, 4, 3), (16, 128, 2560, 4, 3), (32, 128, 2560, 4, 3))
    + cuts((64, 128, 2560, 8, 3, True)),
    ("forward", "quantized"): cuts((32, 128, 2560, 4, 3), (32, 128, 2560, 4, 3, True), (16, 256, 2560, 4, 3))
    + cuts((16, 128, 2560, 4, 4)),
    ("backward", "augmented"): cuts((32, 128, 1024, 8, 3, True, False), (64, 64, 1024, 8, 3, True, False))
    + cuts((32, 128, 1024, 4, 3, True, False), (32, 64, 1024, 4, 3, True, False), (32, 64, 1024, 2, 3, True, False))
    + cuts((64, 64, 1024, 4, 3, True, False), (32, 64, 512, 4, 3, True, False), (32, 64, 1024, 4, 3, False, False))
    + cuts((32, 128, 1024, 4, 2, False, True, 168), (32, 128, 1024, 4, 3), (64, 64, 1024, 4, 2, True)),
    ("backward", "quantized"): cuts((32, 64, 1024, 2, 3, True), (16, 64, 1024, 2, 3, True), (32, 64, 1024, 4, 3, True))
    + cuts((32, 128, 1024, 4, 2, False, True, 168), (32, 128, 1024, 4, 2), (32, 128, 512, 4, 2))
    + cuts((64, 64, 1024, 4, 2, True)),
}
"""The best of those tried on an H200 (benchmarks/results/mlp-kernels_h200_2026-11-21.json), those in use among them."""
IDEAL = {
    ("forward", "augmented"): 6,
    ("forward", "quantized"): 9,
    ("backward", "augmented"): 10,
    ("backward", "quantized"): 14,
}
"""Bytes for a token and column of the MLP that a fused pass must move; in 8 bits it reads its inputs twice."""


def main() -> None:
    options = options_of(__doc__).parse_args()
    began = time.monotonic()
    if not options.tiny:
        jobs = [(part, form, cut) for part, form in CUTS for cut in ways(part, form)]
        compile_side_by_side(jobs, compile_one, limit_s=60)
    report: dict[str, Any] = {**described(), "compile_s": round(time.monotonic() - began, 1), "tokens": {}}
    for tokens in (21,) if options.tiny else (16384, 32768):
        results = report["tokens"].setdefault(str(tokens), {})
        for form in FORMS:
            case = Case(tokens, form, options.tiny)
            for part in PARTS:
                rows = measured(case, part, options.tiny)
                results[f"{part}, {form}"] = {"arms": rows, **summed(rows)}
            del case
        report["seconds_in_all"] = round(time.monotonic() - began, 1)
        save(report, options.output)
    for tokens, results in report["tokens"].items():
        for name, entry in results.items():
            print(f"{tokens} tokens, {name}: {json.dumps(entry['summary'])}")
    print(f"compiled in {report['compile_s']} s, {report['seconds_in_all']} s in all")


class Case:
    """The products of an MLP with what goes in between, both ways."""

    def __init__(self, tokens: int, form: str, tiny: bool):
        depth, width, ranks = (24, 40, 4) if tiny else (2560, 9728, RANKS)
        self.tokens, self.width, self.form, self._seed = tokens, width, form, 0
        sides = tuple(
            Adapter(self._draw(ranks, depth, scale=0.02), self._draw(width, ranks, scale=0.02), 2.0, *places)
            for places in [
                (slice(half * width, (half + 1) * width), slice(half * ranks, (half + 1) * ranks)) for half in (0, 1)
            ]
        )
        below = Adapter(
            self._draw(ranks, width, scale=0.02), self._draw(depth, ranks), 2.0, slice(0, depth), slice(0, ranks)
        )
        self.gate_up, self.down = self._product(2 * width, depth, sides), self._product(depth, width, (below,))
        self.gate_up_out, self.grad_act = self._draw(tokens, 2 * width), self._draw(tokens, width)
        self.lora_a_out = self._draw(tokens, self.gate_up.ranks)
        self.grad_lora_a_out = self._draw(tokens, self.down.ranks)

    def _draw(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        self._seed += 1
        generator = torch.Generator(DEVICE).manual_seed(self._seed)
        return (torch.randn(*shape, generator=generator, device=DEVICE) * scale).to(DTYPE)

    def _product(self, height: int, width: int, adapters) -> FusedLinearBase:
        """With codes of zeros where there are codes: no product with them is timed."""
        ranks = -(-adapters[-1].columns.stop // 8) * 8
        if self.form == "augmented":
            return DenseLinear(
                torch.zeros(height + ranks, width + ranks, dtype=DTYPE, device=DEVICE), height, None, adapters
            )
        codes = torch.zeros(height, width, dtype=torch.uint8, device=DEVICE).view(torch.float8_e4m3fn)
        back = torch.zeros(width, height, dtype=torch.uint8, device=DEVICE).view(torch.float8_e4m3fn)
        scales = torch.ones(height, device=DEVICE), torch.ones(width, device=DEVICE)
        return Fp8FusedLinear(codes, scales[0], back, scales[1], None, adapters, DTYPE)

    def fused(self, part: str, cut: SwigluTile):
        """A call that returns rows, LoRA A outputs and gradients of adapters."""
        up, down, rescales = self.matrices()
        if part == "forward":
            if self.form == "augmented":
                return lambda: triton_mlp.swiglu_augmented(self.gate_up_out, down, cut)
            return lambda: triton_mlp.swiglu_quantized(self.gate_up_out, down, rescales[0], cut)
        inputs = self.grad_act, self.gate_up_out, self.lora_a_out, self.grad_lora_a_out, up, self.gate_up.adapters
        if self.form == "augmented":
            return lambda: triton_mlp.swiglu_backward_augmented(*inputs, cut)
        return lambda: triton_mlp.swiglu_backward_quantized(*inputs, rescales[1], cut)

    def separate(self, part: str):
        _, down, rescales = self.matrices()
        if part == "backward":
            return lambda: tuple(
                self.gate_up.swiglu_backward(
                    triton_passes, self.grad_act, self.gate_up_out, self.lora_a_out, self.grad_lora_a_out
                )
            )
        return lambda: self._forward(down, rescales[0])

    def _forward(self, down, rescale):
        act = triton_passes.swiglu(self.gate_up_out, self.down.extra_columns)
        lora_a_out = torch.mm(act[:, : self.width], down.T)
        if self.form == "quantized":
            return quantize_rows(act, lora_a_out, rescale), lora_a_out
        act[:, self.width :] = lora_a_out
        return act, lora_a_out

    def matrices(self):
        """All of gate's and up's `up`, of the down projection's `down`, and both passes' rescales."""
        if isinstance(self.gate_up, DenseLinear) and isinstance(self.down, DenseLinear):
            up = self.gate_up.augmented_weight()[: self.gate_up.height, self.gate_up.width :]
            return up, self.down.augmented_weight()[self.down.height :, : self.width], (None, None)
        for product in (self.gate_up, self.down):
            product._refresh()
        return self.gate_up.lora_b, self.down.lora_a, (self.down._rescale, self.gate_up._backward_rescale)

    def in_full(self, part: str) -> list[torch.Tensor]:
        """LoRA A outputs and gradients of adapters in float32, rows in 16 bits, as separate passes leave them."""
        up, down, _ = self.matrices()
        if part == "forward":
            act = triton_passes.swiglu(self.gate_up_out)
            return [act, act.float() @ down.float().T]
        grad_gate_up, act = triton_passes.swiglu_backward(self.grad_act, self.gate_up_out)
        grad_lora_a_out = torch.zeros(self.tokens, up.shape[1], device=DEVICE)
        grad_up = torch.zeros(up.shape, device=DEVICE)
        grad_down = torch.zeros(self.grad_lora_a_out.shape[1], self.width, device=DEVICE)
        for first in range(0, self.tokens, 4096):
            rows = slice(first, first + 4096)
            block = grad_gate_up[rows].float()
            grad_lora_a_out[rows] = block @ up.float()
            grad_up += block.T @ self.lora_a_out[rows].float()
            grad_down += self.grad_lora_a_out[rows].float().T @ act[rows].float()
        return [
            grad_gate_up,
            grad_lora_a_out,
            *(grad_up[adapter.rows, adapter.columns] * adapter.scaling for adapter in self.gate_up.adapters),
            grad_down,
        ]

    def error(self, part: str, results, full: list[torch.Tensor]) -> float:
        """`off` of all that a call gives; of codes, over the codes of `full`."""
        rows, lora_a_out, *grads = results
        actual, expected = [lora_a_out], [full[1]]
        if self.form == "augmented":
            actual.append(rows[:, : full[0].shape[1]])
            expected.append(full[0])
        else:
            actual += rows
            expected += quantize_rows(full[0], lora_a_out, self.matrices()[2][PARTS.index(part)])
        if part == "backward":
            ups, grad_down = grads
            if isinstance(ups, torch.Tensor):
                ups = [ups[adapter.rows, adapter.columns] * adapter.scaling for adapter in self.gate_up.adapters]
            actual += [*ups, grad_down]
            expected += full[2:]
        return off(actual, expected)


def ways(part: str, form: str) -> list[SwigluTile]:
    return used_first(choose_tile(part, form, DTYPE), CUTS[part, form])


def measured(case: Case, part: str, tiny: bool) -> list[dict]:
    """Separate passes, with our kernel for the pair of LoRA A output products and without, then every cut."""
    form = case.form
    print(f"\n{case.tokens} tokens, {part}, {form}")
    full, rows = case.in_full(part), []
    arms = [("separate", None)] + ([("separate, thin pair by cuBLAS", None)] if part == "backward" else [])
    tiles = ways(part, form)[: 1 if tiny else None]
    for name, cut in arms + [(str(tuple(cut)), cut) for cut in tiles]:
        pair = lora_backend.ENABLED["lora_b_backward"]
        lora_backend.ENABLED["lora_b_backward"] = pair and "cuBLAS" not in name
        swiglu_backend.ENABLED[part, form] = False
        row: dict[str, Any] = {"arm": name, "ms": None, "error": None, "gb_per_s": None, "note": ""}
        try:
            call = case.separate(part) if cut is None else case.fused(part, cut)
            row["error"] = case.error(part, call(), full)
            ms = median_ms(call)
            row["ms"] = round(ms, 4)
            row["gb_per_s"] = round(IDEAL[part, form] * case.tokens * case.width / ms / 1e6)
        except Exception as error:  # noqa: BLE001  one way's failure is reported and the others still run
            row["note"] = error_text(error)
        finally:
            lora_backend.ENABLED["lora_b_backward"], swiglu_backend.ENABLED[part, form] = pair, True
        rows.append(row)
        figures = "" if row["ms"] is None else f"{row['ms']:8.3f} ms {row['gb_per_s']:6} GB/s error {row['error']}"
        print(f"  {name:46} {figures} {row['note']}", flush=True)
    return rows


def summed(rows: list[dict]) -> dict:
    """The fastest cut whose numbers are right, the one in use, separate passes, and what all layers would save."""
    done = [row for row in rows if row["ms"] is not None and row["error"] <= ERROR]
    ours, separate = [row for row in done if row["arm"].startswith("(")], [row for row in done if row["arm"][0] == "s"]
    if not ours or not separate:
        return {"summary": {"failed": "no arm of ours, or no separate one, ran and was right"}}
    best, before = (min(group, key=lambda row: row["ms"]) for group in (ours, separate))
    summary = {"best": best["arm"], "ms": best["ms"], "separate_ms": before["ms"]}
    return {"summary": summary | {"saved_by_36_layers_ms": round(LAYERS * (before["ms"] - best["ms"]), 2)}}


_cases: dict[str, Case] = {}
"""One for each form, built once in a process."""


def compile_one(job: tuple[str, str, SwigluTile]) -> None:
    """One part run on few tokens; kernels are the same for any number of them."""
    part, form, cut = job
    if form not in _cases:
        _cases[form] = Case(64, form, False)
    _cases[form].fused(part, cut)()


if __name__ == "__main__":
    main()
