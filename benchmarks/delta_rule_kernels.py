"""Our kernels of the gated delta rule on a GPU: errors against the reference, time by launch settings, and by kernel.

    python benchmarks/delta_rule_kernels.py --output benchmarks/results/delta-rule_h200_DATE.json
    python benchmarks/delta_rule_kernels.py --tiny            # a few tokens, on a GPU or in Triton's interpreter

The shape is Qwen3.5-4B's: 16 key heads, 32 value heads, widths of 128, 16,384 tokens in segments of 286, bf16. Errors
are the norm of the difference over the norm, against the reference in float32 on the same inputs. Each line is printed
as soon as it is known.
"""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.kernels.delta_rule import reference
from texlens.kernels.delta_rule import triton as kernels
from texlens.kernels.delta_rule.triton import LAUNCHES, Launch

NAMES = "output", "query", "key", "value", "decay", "beta"
CHOICES = {
    "states": ("forward", [(32, 4), (64, 4), (64, 8), (128, 8)]),
    "outputs": ("forward", [(64, 4), (128, 4), (128, 8)]),
    "grad_new": ("backward", [(64, 4), (128, 4), (128, 8)]),
    "states_backward": ("backward", [(32, 4), (64, 4), (64, 8), (128, 8)]),
    "grad_keys": ("backward", [(32, 4), (64, 4), (64, 8), (128, 8)]),
}


class Case:
    """Inputs, and the reference's results for them."""

    def __init__(self, tokens: int, keys: int, heads: int, width: int, segment: int):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        generator = torch.Generator(self.device).manual_seed(0)

        def draw(*sizes):
            return torch.randn(tokens, *sizes, generator=generator, device=self.device)

        self.inputs = [
            draw(keys, width).to(dtype),
            (draw(keys, width) + 0.5).to(dtype),
            draw(heads, width).to(dtype),
            -draw(heads).exp() * 0.1,
            draw(heads).sigmoid().to(dtype),
        ]
        ends = [*range(0, tokens, segment), tokens]
        self.bounds = torch.tensor(ends, dtype=torch.int32, device=self.device)
        self.grad = draw(heads, width).to(dtype)
        self.expected = [part.float() for part in self.results(reference, torch.float32)]

    def results(self, rule, dtype=None) -> list[torch.Tensor]:
        parts = [part.to(dtype or part.dtype).detach().requires_grad_() for part in self.inputs]
        output, _ = rule.delta_rule(*parts, self.bounds)
        return [output.detach(), *torch.autograd.grad(output, parts, self.grad.to(output.dtype))]

    def errors(self) -> dict[str, float]:
        pairs = zip(NAMES, self.results(kernels), self.expected, strict=True)
        return {name: round(float((ours.float() - theirs).norm() / theirs.norm()), 5) for name, ours, theirs in pairs}

    def passes(self):
        query, key, value, decay, beta = (part.detach() for part in self.inputs)
        _, _, saved = kernels.forward(query, key, value, decay, beta, self.bounds, None)

        def forward():
            return kernels.forward(query, key, value, decay, beta, self.bounds, None)

        to = tuple(torch.empty_like(part) for part in (query, key, value))

        def backward():
            return kernels.backward(self.grad, None, query, key, value, beta, self.bounds, saved, to=to)

        return {"forward": forward, "backward": backward}

    def milliseconds(self, run, repeats: int = 10) -> float:
        if self.device.type != "cuda":
            return 0.0
        for _ in range(3):
            run()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            run()
        end.record()
        torch.cuda.synchronize()
        return round(start.elapsed_time(end) / repeats, 3)

    def by_kernel(self) -> dict[str, float]:
        """Milliseconds of each kernel in a forward and a backward pass."""
        if self.device.type != "cuda":
            return {}
        from torch.profiler import ProfilerActivity, profile

        runs = self.passes().values()
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            for _ in range(5):
                for run in runs:
                    run()
            torch.cuda.synchronize()
        events = sorted(profiler.key_averages(), key=lambda event: -event.self_device_time_total)
        return {event.key[:60]: round(event.self_device_time_total / 5000, 3) for event in events[:14]}


def choose(case: Case, kernel: str, report: dict) -> None:
    """Time and errors with each launch; the fastest one whose errors are not larger than the default's stays."""
    part, launches = CHOICES[kernel]
    allowed = {name: 1.5 * error + 1e-4 for name, error in case.errors().items()}
    best = (case.milliseconds(case.passes()[part]), LAUNCHES[kernel])
    for launch in (Launch(*pair) for pair in launches):
        LAUNCHES[kernel] = launch
        try:
            row = {"ms": case.milliseconds(case.passes()[part]), "errors": case.errors()}
            if row["ms"] < best[0] and all(row["errors"][name] <= limit for name, limit in allowed.items()):
                best = row["ms"], launch
        except Exception as error:  # noqa: BLE001  a launch that the GPU refuses is reported
            row = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        report[f"{kernel} {launch.columns} columns, {launch.warps} warps, {part}"] = row
        print(kernel, tuple(launch), json.dumps(row), flush=True)
    LAUNCHES[kernel] = best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--choose", action="store_true", help="also try other launch settings")
    options = parser.parse_args()
    case = Case(150, 1, 2, 16, 70) if options.tiny else Case(16_384, 16, 32, 128, 286)
    report: dict = {"date": date.today().isoformat(), "command": " ".join(["python", *sys.argv])}
    report["hardware"] = torch.cuda.get_device_name() if case.device.type == "cuda" else "CPU"
    report["errors"] = case.errors()
    report["ms"] = {name: case.milliseconds(run) for name, run in case.passes().items()}
    report["kernels ms"] = case.by_kernel()
    print(json.dumps(report), flush=True)
    for kernel in CHOICES if options.choose else ():
        choose(case, kernel, report)
        write(report, options.output)
    if options.choose:
        report["chosen"] = {name: tuple(launch) for name, launch in LAUNCHES.items()}
        report["chosen ms"] = {name: case.milliseconds(run) for name, run in case.passes().items()}
        report["chosen kernels ms"] = case.by_kernel()
        print(json.dumps({key: report[key] for key in ("chosen", "chosen ms", "chosen kernels ms")}), flush=True)
    write(report, options.output)


def write(report: dict, path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
