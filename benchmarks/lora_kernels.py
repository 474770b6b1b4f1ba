"""The adapters' thin products and their neighbors: our kernels beside the calls of PyTorch that they stand for.

    python benchmarks/thin_kernels.py --output benchmarks/results/thin-kernels_h200_DATE.json
    TRITON_INTERPRET=1 python benchmarks/thin_kernels.py --tiny     # on a CPU; its times mean nothing

Qwen3-VL-4B, rank 16 on all seven projections, packs of 16k and 32k tokens: `pair` (the slopes of the thin product and
of `up`), `norm codes` (a norm written in 8 bits, with its thin product), `unnormed` (the slope behind a norm, without
the normalized rows) and `codes` (adapters beside a weight in 8 bits). Every cut is compiled in processes side by side,
checked against float32 and timed with events (median of 20). GB/s are those of the bytes that must be moved, whatever
an arm moves.
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
    median_ms,
    off,
    options_of,
    said,
    save,
    used_first,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.lora_linear.products import Adapted, Adapter, sum_over_tokens
from texlens.kernels.lora_linear.triton_lora_a import Cut

from texlens.kernels.elementwise import triton as triton_passes
from texlens.kernels.fp8 import triton as triton_fp8
from texlens.kernels.fp8.format import CODE, padded_columns, quantize_rows, quantize_with_residual
from texlens.kernels.lora_linear import dispatch as thin
from texlens.kernels.lora_linear import triton_lora_a as triton_lora

ERROR, RANK, EPS, LAYERS = 0.01, 16, 1e-6, 36
CODE_ERROR = 0.05 if DEVICE == "cuda" else 0.15  # Triton's interpreter rounds some codes wrongly
TOKENS = (16_384, 32_768)
PRODUCTS = {"q/k/v": (2560, (4096, 1024, 1024)), "out": (4096, (2560,)), "gate/up": (2560, (9728, 9728))}
PAIR_CUTS = used_first(
    triton_lora.PAIR,
    [
        Cut(64, 128, 4, 3),
        Cut(64, 128, 4, 3, 396),
        Cut(64, 128, 4, 3, 1584),
        Cut(64, 128, 4, 2, 1056),
        Cut(64, 128, 8, 3),
        Cut(128, 128, 8, 2, 528),
        Cut(64, 256, 4, 2, 528),
        Cut(64, 256, 8, 3, 264),
        Cut(64, 256, 8, 4, 264),
        Cut(32, 256, 4, 3, 1056),
        Cut(64, 64, 4, 4),
    ],
)
CODE_CUTS = used_first(
    triton_lora.NORM_CODES,
    [
        Cut(64, 64, 8, 3),
        Cut(64, 128, 8, 3),
        Cut(64, 128, 4, 3),
        Cut(32, 128, 4, 3),
        Cut(32, 64, 4, 4),
        Cut(16, 256, 4, 3),
    ],
)


class Arm(NamedTuple):
    part: str
    shape: str
    arm: str
    call: Callable[[], Any]


Tensors = list[torch.Tensor]


class Case(NamedTuple):
    """Arms whose results, as `read` tells them, are to be `expected`, and the bytes that must be moved."""

    arms: list[Arm]
    expected: Callable[[], Tensors]
    bytes: int
    read: Callable[[Tensors], Tensors] = list


def main() -> None:
    options = options_of(__doc__).parse_args()
    began = time.monotonic()
    if not options.tiny:
        jobs = [*(("pair", cut) for cut in PAIR_CUTS), *(("norm codes", cut) for cut in CODE_CUTS), ("rest", None)]
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
        except Exception as error:  # noqa: BLE001  one arm's failure is told and the others still run
            row["note"] = said(error)
        rows.append(row)
        print(" ".join(str(value) for value in row.values()), flush=True)


def cases(tokens: int, tiny: bool) -> Iterator[Case]:
    some = slice(0, 2 if tiny else None)
    for name, (width, heights) in PRODUCTS.items():
        size = 16 if tiny else 1
        product = Drawn(tokens, width // size, tuple(height // size for height in heights))
        yield pair_case(name, product, PAIR_CUTS[some])
        yield codes_case(name, product)
        if name != "out":
            yield norm_codes_case(name, product, CODE_CUTS[some], adds=name == "gate/up")
            yield unnormed_case(name, product)
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
            down, up = drawn(RANK, width, dtype=torch.float32), drawn(height, RANK, dtype=torch.float32)
            columns = slice(RANK * number, RANK * number + RANK)
            self.adapters += (Adapter(down, up, 2.0, slice(row, row + height), columns),)
            row += height
        adapted = Adapted(self.height, width, None, self.adapters)
        self.ranks = adapted.ranks
        self.whole = torch.zeros(self.height + self.ranks, width + self.ranks, dtype=DTYPE, device=DEVICE)
        self.right, self.below = self.whole[: self.height, width:], self.whole[self.height :, :width]
        adapted.place(self.right, self.below)
        self.thin = drawn(tokens, self.ranks)

    @staticmethod
    def without(part: str, call: Callable[[], Any]) -> Callable[[], Any]:
        """The call by PyTorch's operations."""

        def run() -> Any:
            before, thin.OWN[part] = thin.OWN[part], False
            try:
                return call()
            finally:
                thin.OWN[part] = before

        return run


def pair_case(name: str, product: Drawn, cuts: list[Cut]) -> Case:
    whole = product.drawn(product.tokens, product.height + product.ranks)
    slope, border = whole[:, : product.height], whole[:, product.height :]
    up, beside, adapters = product.right, product.thin, product.adapters

    def present() -> Tensors:
        dthin = torch.mm(slope, up)
        border.copy_(dthin)
        dup = sum_over_tokens(slope, beside)
        return [dthin, *(dup[one.rows, one.columns] * one.scale for one in adapters)]

    def own(cut: Cut) -> Callable[[], Tensors]:
        def run() -> Tensors:
            dthin, dups = triton_lora.pair(slope, up, beside, adapters, border, cut)
            return [dthin, *dups]

        return run

    def expected() -> Tensors:
        full = slope.float()
        dup = full.T @ beside.float()
        return [full @ up.float(), *(dup[one.rows, one.columns] * one.scale for one in adapters)]

    arms = [Arm("pair", name, "PyTorch", present), *(Arm("pair", name, str(tuple(cut)), own(cut)) for cut in cuts)]
    return Case(arms, expected, DTYPE.itemsize * product.tokens * (product.height + 2 * product.ranks))


def norm_codes_case(name: str, product: Drawn, cuts: list[Cut], *, adds: bool) -> Case:
    """With `adds` x is 0, so that what is written over y stays the same."""
    x, weight = product.drawn(product.tokens, product.width), product.drawn(product.width)
    y, down, gain = x.clone(), product.below.contiguous(), torch.ones(1, device=DEVICE)
    if adds:
        x.zero_()

    def present() -> Tensors:
        normed = triton_passes.add_rms_norm(x, y, weight, EPS)[1] if adds else triton_passes.rms_norm(x, weight, EPS)
        beside = torch.mm(normed, down.T)
        return [*quantize_rows(normed, beside, gain), beside]

    def own(cut: Cut) -> Callable[[], Tensors]:
        def run() -> Tensors:
            rows, beside = triton_lora.norm_quantize(x, weight, EPS, down, gain, y if adds else None, cut)
            return [*rows, beside]

        return run

    def expected() -> Tensors:
        normed = torch.nn.functional.rms_norm(y.float(), (product.width,), weight.float(), EPS)
        return [normed, normed @ down.T.float()]

    def read(found: Tensors) -> Tensors:
        return [found[0][:, : product.width].float() * found[1], found[2]]

    arms = [Arm("norm codes", name, "PyTorch", present)]
    arms += [Arm("norm codes", name, str(tuple(cut)), own(cut)) for cut in cuts]
    wide = (3 if adds else 1) * DTYPE.itemsize + 1
    return Case(arms, expected, product.tokens * (wide * product.width + 5 * product.ranks), read)


def unnormed_case(name: str, product: Drawn) -> Case:
    x, slope, added = (product.drawn(product.tokens, product.width) for _ in range(3))
    weight, dthin = product.drawn(product.width), product.thin

    def present() -> Tensors:
        dx, normed = triton_passes.rms_norm_backward(slope, x, weight, EPS, added, RANK)
        return [dx[:, : product.width], sum_over_tokens(dthin, normed)]

    def own() -> Tensors:
        dx, beside = triton_lora.rms_norm_backward(slope, x, weight, EPS, added, dthin, RANK)
        return [dx[:, : product.width], sum_over_tokens(beside, x).mul_(weight)]

    def expected() -> Tensors:
        full = x.float().clone().requires_grad_()
        normed = torch.nn.functional.rms_norm(full, (product.width,), weight.float(), EPS)
        dx = torch.autograd.grad(normed, full, slope.float())[0] + added.float()
        return [dx.detach(), dthin.float().T @ normed.detach()]

    arms = [Arm("unnormed", name, "PyTorch", present), Arm("unnormed", name, "own", own)]
    return Case(arms, expected, DTYPE.itemsize * product.tokens * (5 * product.width + 2 * product.ranks))


def codes_case(name: str, product: Drawn) -> Case:
    up, down = product.right.contiguous(), product.below.contiguous()
    scales = product.drawn(product.height, dtype=torch.float32).abs() + 1, torch.ones(product.width, device=DEVICE)
    widths = (product.height, product.width), (product.width, product.height)
    room = padded_columns(product.ranks)
    codes = [torch.zeros(n, m + room, dtype=torch.uint8, device=DEVICE).view(CODE)[:, m:] for n, m in widths]

    def present() -> Tensors:
        return [
            quantize_with_residual(up, scales[0], codes[0]),
            quantize_with_residual(down.T, scales[1], codes[1]),
            *codes,
        ]

    def own() -> Tensors:
        return [*triton_fp8.quantize_adapters(up, scales[0], codes[0], down, scales[1], codes[1]), *codes]

    def held(found: Tensors) -> Tensors:
        ranks = product.ranks
        sums = (part[:, :ranks].float() + part[:, ranks : 2 * ranks].float() for part in found[2:])
        return [part * gain * scale[:, None] for part, gain, scale in zip(sums, found[:2], scales, strict=True)]

    arms = [Arm("codes", name, "PyTorch", present), Arm("codes", name, "own", own)]
    numbers = up.numel() + down.numel()
    return Case(arms, lambda: [up.float(), down.T.float()], numbers * (DTYPE.itemsize + 3), held)


def summed(rows: list[dict]) -> list[dict]:
    """Of each part, product and length: PyTorch, what is in use, and the best cut, in milliseconds of 36 layers."""
    found = []
    for part, shape, tokens in dict.fromkeys((row["part"], row["of"], row["tokens"]) for row in rows):
        those = [row for row in rows if (row["part"], row["of"], row["tokens"]) == (part, shape, tokens)]
        limit = CODE_ERROR if part == "norm codes" else ERROR
        right = [row for row in those if row.get("error", math.nan) <= limit and "ms" in row]
        own = [row for row in right if row["arm"] != "PyTorch"]
        line: dict[str, Any] = {"part": part, "of": shape, "tokens": tokens}
        if present := [row["ms"] for row in right if row["arm"] == "PyTorch"]:
            line["PyTorch"] = round(present[0] * LAYERS, 2)
        if own:
            best = min(own, key=lambda row: row["ms"])
            line |= {"first": round(own[0]["ms"] * LAYERS, 2), "best": round(best["ms"] * LAYERS, 2)}
            line |= {"by": best["arm"], "gb_per_s": best["gb_per_s"]}
        found.append(line | {"wrong_or_failed": len(those) - len(right)})
    return found


def compile_one(job: tuple[str, Cut | None]) -> None:
    """One cut run on few tokens, with strides as in the real thing."""
    part, cut = job
    for name, (width, heights) in PRODUCTS.items():
        product = Drawn(256, width, heights)
        made = [codes_case(name, product), unnormed_case(name, product)]
        if cut is not None and part == "pair":
            made = [pair_case(name, product, [cut])]
        elif cut is not None:
            made = [norm_codes_case(name, product, [cut], adds=name == "gate/up")] * (name != "out")
        for case in made:
            case.arms[-1].call()


if __name__ == "__main__":
    main()
