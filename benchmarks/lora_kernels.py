"""LoRA kernels by Triton compared with the PyTorch operations that they replace.

    python benchmarks/lora_kernels.py --output benchmarks/results/lora-kernels_h200_DATE.json
    TRITON_INTERPRET=1 python benchmarks/lora_kernels.py --tiny     # on a CPU; its times mean nothing

Qwen3-VL-4B, rank 16 on all seven projections, packs of 16k and 32k tokens: `lora_b_backward` (gradients of LoRA A
outputs and of LoRA B), `norm_quantize` (a norm in float8 with its LoRA A output), `rms_norm_backward` (without
normalized rows) and `quantize_adapters` (adapters next to a float8 weight). Every tile is compiled in parallel
processes, checked against float32 and timed with events (median of 20). GB/s are those of the bytes that must be moved.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
from texlens.kernels.elementwise import triton as elementwise
from texlens.kernels.fp8 import triton as triton_fp8
from texlens.kernels.fp8.format import FP8_DTYPE, padded_columns
from texlens.kernels.fp8.quantize import quantize_rows
from texlens.kernels.fp8.reference import quantize_with_residual
from texlens.kernels.lora_linear import backend as lora_backend
from texlens.kernels.lora_linear import triton as triton_lora
from texlens.kernels.lora_linear.fused_linear import FusedLinearBase, sum_over_tokens
from texlens.kernels.lora_linear.triton import LoraTile

ERROR, RANK, EPS, LAYERS = 0.01, 16, 1e-6, 36
FP8_ERROR = 0.05 if DEVICE == "cuda" else 0.15  # Triton's interpreter rounds some codes wrongly
TOKENS = (16_384, 32_768)
PRODUCTS = {"q/k/v": (2560, (4096, 1024, 1024)), "out": (4096, (2560,)), "gate/up": (2560, (9728, 9728))}
LORA_B_TILES = used_first(
    triton_lora.LORA_B_BACKWARD_TILES[0],
    [
        LoraTile(64, 128, 4, 3),
        LoraTile(64, 128, 4, 3, 396),
        LoraTile(64, 128, 4, 3, 1584),
        LoraTile(64, 128, 4, 2, 1056),
        LoraTile(64, 128, 8, 3),
        LoraTile(128, 128, 8, 2, 528),
        LoraTile(64, 256, 4, 2, 528),
        LoraTile(64, 256, 8, 3, 264),
        LoraTile(64, 256, 8, 4, 264),
        LoraTile(32, 256, 4, 3, 1056),
        LoraTile(64, 64, 4, 4),
    ],
)
QUANTIZE_TILES = used_first(
    triton_lora.NORM_QUANTIZE_TILE,
    [
        LoraTile(64, 64, 8, 3),
        LoraTile(64, 128, 8, 3),
        LoraTile(64, 128, 4, 3),
        LoraTile(32, 128, 4, 3),
        LoraTile(32, 64, 4, 4),
        LoraTile(16, 256, 4, 3),
    ],
)


class Arm(NamedTuple):
    part: str
    shape: str
    arm: str
    call: Callable[[], Any]


Tensors = list[torch.Tensor]


class Case(NamedTuple):
    """Arms whose results, as `read` returns them, are to be `expected`, and the bytes that must be moved."""

    arms: list[Arm]
    expected: Callable[[], Tensors]
    bytes: int
    read: Callable[[Tensors], Tensors] = list


def main() -> None:
    options = options_of(__doc__).parse_args()
    began = time.monotonic()
    if not options.tiny:
        jobs = [
            *(("lora_b_backward", tile) for tile in LORA_B_TILES),
            *(("norm_quantize", tile) for tile in QUANTIZE_TILES),
            ("rest", None),
        ]
        compile_side_by_side(jobs, compile_one, limit_s=120)
    report: dict[str, Any] = {**described(), "compile_s": round(time.monotonic() - began, 1), "arms": []}
    for tokens in (80,) if options.tiny else TOKENS:
        for case in cases(tokens, options.tiny):
            measure(case, tokens, report["arms"])
            save(report, options.output)
    report["milliseconds_of_a_pass"] = summed(report["arms"])
    report["seconds_in_all"] = round(time.monotonic() - began, 1)
    save(report, options.output)
    for row in report["milliseconds_of_a_pass"]:
        print(json.dumps(row))
    print(f"compiled in {report['compile_s']} s, {report['seconds_in_all']} s in all")


def measure(case: Case, tokens: int, rows: list[dict]) -> None:
    expected = case.expected()
    for part, shape, arm, call in case.arms:
        row: dict[str, Any] = {"part": part, "of": shape, "tokens": tokens, "arm": arm}
        try:
            row["error"] = off(case.read(call()), expected)
            row["ms"] = round(median_ms(call), 4)
            row["gb_per_s"] = round(case.bytes / row["ms"] / 1e6)
        except Exception as error:  # noqa: BLE001  one arm's failure is reported and the others still run
            row["note"] = error_text(error)
        rows.append(row)
        print(" ".join(str(value) for value in row.values()), flush=True)


def cases(tokens: int, tiny: bool) -> Iterator[Case]:
    some = slice(0, 2 if tiny else None)
    for name, (width, heights) in PRODUCTS.items():
        size = 16 if tiny else 1
        product = Drawn(tokens, width // size, tuple(height // size for height in heights))
        yield lora_b_case(name, product, LORA_B_TILES[some])
        yield quantize_adapters_case(name, product)
        if name != "out":
            yield norm_quantize_case(name, product, QUANTIZE_TILES[some], adds=name == "gate/up")
            yield rms_norm_case(name, product)
        del product


class Drawn:
    """A product's tensors, with rows as far apart as in a layer."""

    def __init__(self, tokens: int, width: int, heights: tuple[int, ...]):
        generator = torch.Generator(DEVICE).manual_seed(0)

        def drawn(*shape: int, dtype: torch.dtype = DTYPE) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, device=DEVICE).to(dtype)

        self.drawn, self.tokens, self.width, self.height = drawn, tokens, width, sum(heights)
        self.adapters: tuple[Adapter, ...] = ()
        row = 0
        for number, height in enumerate(heights):
            lora_a, lora_b = drawn(RANK, width, dtype=torch.float32), drawn(height, RANK, dtype=torch.float32)
            columns = slice(RANK * number, RANK * number + RANK)
            self.adapters += (Adapter(lora_a, lora_b, 2.0, slice(row, row + height), columns),)
            row += height
        adapted = FusedLinearBase(self.height, width, None, self.adapters)
        self.ranks = adapted.ranks
        self.whole = torch.zeros(self.height + self.ranks, width + self.ranks, dtype=DTYPE, device=DEVICE)
        self.right, self.below = self.whole[: self.height, width:], self.whole[self.height :, :width]
        adapted.write_adapters(self.right, self.below)
        self.lora_a_out = drawn(tokens, self.ranks)

    @staticmethod
    def without(part: str, call: Callable[[], Any]) -> Callable[[], Any]:
        """The call by PyTorch's operations."""

        def run() -> Any:
            before, lora_backend.ENABLED[part] = lora_backend.ENABLED[part], False
            try:
                return call()
            finally:
                lora_backend.ENABLED[part] = before

        return run


def lora_b_case(name: str, product: Drawn, cuts: list[LoraTile]) -> Case:
    whole = product.drawn(product.tokens, product.height + product.ranks)
    grad, extra_columns = whole[:, : product.height], whole[:, product.height :]
    lora_b, appended, adapters = product.right, product.lora_a_out, product.adapters

    def present() -> Tensors:
        grad_lora_a_out = torch.mm(grad, lora_b)
        extra_columns.copy_(grad_lora_a_out)
        dup = sum_over_tokens(grad, appended)
        return [grad_lora_a_out, *(dup[item.rows, item.columns] * item.scaling for item in adapters)]

    def triton(tile: LoraTile) -> Callable[[], Tensors]:
        def run() -> Tensors:
            grad_lora_a_out, dups = triton_lora.lora_b_backward(grad, lora_b, appended, adapters, extra_columns, tile)
            return [grad_lora_a_out, *dups]

        return run

    def expected() -> Tensors:
        full = grad.float()
        dup = full.T @ appended.float()
        return [full @ lora_b.float(), *(dup[item.rows, item.columns] * item.scaling for item in adapters)]

    arms = [
        Arm("lora_b_backward", name, "PyTorch", present),
        *(Arm("lora_b_backward", name, str(tuple(tile)), triton(tile)) for tile in cuts),
    ]
    return Case(arms, expected, DTYPE.itemsize * product.tokens * (product.height + 2 * product.ranks))


def norm_quantize_case(name: str, product: Drawn, cuts: list[LoraTile], *, adds: bool) -> Case:
    """With `adds` x is 0, so that what is written over y stays the same."""
    x, weight = product.drawn(product.tokens, product.width), product.drawn(product.width)
    y, lora_a, rescale = x.clone(), product.below.contiguous(), torch.ones(1, device=DEVICE)
    if adds:
        x.zero_()

    def present() -> Tensors:
        normed = elementwise.add_rms_norm(x, y, weight, EPS)[1] if adds else elementwise.rms_norm(x, weight, EPS)
        appended = torch.mm(normed, lora_a.T)
        return [*quantize_rows(normed, appended, rescale), appended]

    def triton(tile: LoraTile) -> Callable[[], Tensors]:
        def run() -> Tensors:
            rows, appended = triton_lora.norm_quantize(x, weight, EPS, lora_a, rescale, y if adds else None, tile)
            return [*rows, appended]

        return run

    def expected() -> Tensors:
        normed = torch.nn.functional.rms_norm(y.float(), (product.width,), weight.float(), EPS)
        return [normed, normed @ lora_a.T.float()]

    def read(results: Tensors) -> Tensors:
        return [results[0][:, : product.width].float() * results[1], results[2]]

    arms = [Arm("norm_quantize", name, "PyTorch", present)]
    arms += [Arm("norm_quantize", name, str(tuple(tile)), triton(tile)) for tile in cuts]
    gate_up = (3 if adds else 1) * DTYPE.itemsize + 1
    return Case(arms, expected, product.tokens * (gate_up * product.width + 5 * product.ranks), read)


def rms_norm_case(name: str, product: Drawn) -> Case:
    x, grad, added = (product.drawn(product.tokens, product.width) for _ in range(3))
    weight, grad_lora_a_out = product.drawn(product.width), product.lora_a_out

    def present() -> Tensors:
        dx, normed = elementwise.rms_norm_backward(grad, x, weight, EPS, added, RANK)
        return [dx[:, : product.width], sum_over_tokens(grad_lora_a_out, normed)]

    def triton() -> Tensors:
        dx, appended = triton_lora.rms_norm_backward(grad, x, weight, EPS, added, grad_lora_a_out, RANK)
        return [dx[:, : product.width], sum_over_tokens(appended, x).mul_(weight)]

    def expected() -> Tensors:
        full = x.float().clone().requires_grad_()
        normed = torch.nn.functional.rms_norm(full, (product.width,), weight.float(), EPS)
        dx = torch.autograd.grad(normed, full, grad.float())[0] + added.float()
        return [dx.detach(), grad_lora_a_out.float().T @ normed.detach()]

    arms = [Arm("rms_norm_backward", name, "PyTorch", present), Arm("rms_norm_backward", name, "triton", triton)]
    return Case(arms, expected, DTYPE.itemsize * product.tokens * (5 * product.width + 2 * product.ranks))


def quantize_adapters_case(name: str, product: Drawn) -> Case:
    lora_b, lora_a = product.right.contiguous(), product.below.contiguous()
    scales = product.drawn(product.height, dtype=torch.float32).abs() + 1, torch.ones(product.width, device=DEVICE)
    widths = (product.height, product.width), (product.width, product.height)
    padding = padded_columns(product.ranks)
    quantized = [
        torch.zeros(n, m + padding, dtype=torch.uint8, device=DEVICE).view(FP8_DTYPE)[:, m:] for n, m in widths
    ]

    def present() -> Tensors:
        return [
            quantize_with_residual(lora_b, scales[0], quantized[0]),
            quantize_with_residual(lora_a.T, scales[1], quantized[1]),
            *quantized,
        ]

    def triton() -> Tensors:
        return [
            *triton_fp8.quantize_adapters(lora_b, scales[0], quantized[0], lora_a, scales[1], quantized[1]),
            *quantized,
        ]

    def dequantized(results: Tensors) -> Tensors:
        ranks = product.ranks
        sums = (part[:, :ranks].float() + part[:, ranks : 2 * ranks].float() for part in results[2:])
        return [part * rescale * scale[:, None] for part, rescale, scale in zip(sums, results[:2], scales, strict=True)]

    arms = [Arm("quantize_adapters", name, "PyTorch", present), Arm("quantize_adapters", name, "triton", triton)]
    numbers = lora_b.numel() + lora_a.numel()
    return Case(arms, lambda: [lora_b.float(), lora_a.T.float()], numbers * (DTYPE.itemsize + 3), dequantized)


def summed(rows: list[dict]) -> list[dict]:
    """Of each part, product and length: PyTorch, what is in use, and the best cut, in milliseconds of 36 layers."""
    results = []
    for part, shape, tokens in dict.fromkeys((row["part"], row["of"], row["tokens"]) for row in rows):
        those = [row for row in rows if (row["part"], row["of"], row["tokens"]) == (part, shape, tokens)]
        limit = FP8_ERROR if part == "norm_quantize" else ERROR
        right = [row for row in those if row.get("error", math.nan) <= limit and "ms" in row]
        triton = [row for row in right if row["arm"] != "PyTorch"]
        line: dict[str, Any] = {"part": part, "of": shape, "tokens": tokens}
        if present := [row["ms"] for row in right if row["arm"] == "PyTorch"]:
            line["PyTorch"] = round(present[0] * LAYERS, 2)
        if triton:
            best = min(triton, key=lambda row: row["ms"])
            line |= {"first": round(triton[0]["ms"] * LAYERS, 2), "best": round(best["ms"] * LAYERS, 2)}
            line |= {"by": best["arm"], "gb_per_s": best["gb_per_s"]}
        results.append(line | {"wrong_or_failed": len(those) - len(right)})
    return results


def compile_one(job: tuple[str, LoraTile | None]) -> None:
    """One cut run on few tokens, with strides as in the real thing."""
    part, tile = job
    for name, (width, heights) in PRODUCTS.items():
        product = Drawn(256, width, heights)
        outputs = [quantize_adapters_case(name, product), rms_norm_case(name, product)]
        if tile is not None and part == "lora_b_backward":
            outputs = [lora_b_case(name, product, [tile])]
        elif tile is not None:
            outputs = [norm_quantize_case(name, product, [tile], adds=name == "gate/up")] * (name != "out")
        for case in outputs:
            case.arms[-1].call()


if __name__ == "__main__":
    main()
