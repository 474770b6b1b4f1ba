"""Rates of a decoder layer's products on a GPU: alone, with adapters in a border, with them added afterwards, in fp8.

    python benchmarks/product_rates.py             # Qwen3-VL-4B's widths, 16,384 tokens
    python benchmarks/product_rates.py --tiny      # small ones, on the CPU

Random bf16 numbers, LoRA of rank 16; the mean of 20 calls after three. `sustained` is all products of a layer, both
ways, 108 times over: a card that runs them for seconds on end is slower than in a burst.
"""

import argparse
import time

import torch

WIDTHS = {"q/k/v": (6144, 2560, 48), "out": (2560, 4096, 16), "gate/up": (19_456, 2560, 32), "down": (2560, 9728, 16)}
"""Width out, width in, and ranks side by side."""
CALLS, LAYERS = 20, 108


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    device, tokens, cut = ("cpu", 64, 32) if tiny else ("cuda", 16_384, 1)
    draw = lambda *shape: torch.randn(*shape, device=device, dtype=torch.bfloat16)  # noqa: E731
    layer = []
    for name, (high, wide, ranks) in WIDTHS.items():
        high, wide = high // cut, wide // cut
        x, slope, whole = draw(tokens, wide + ranks), draw(tokens, high + ranks), draw(high + ranks, wide + ranks)
        weight, flops = whole[:high, :wide].contiguous(), 2 * tokens * high * wide
        bare, back, thin, y = x[:, :wide].contiguous(), slope[:, :high].contiguous(), draw(tokens, ranks), slope
        layer += [(bare, weight.T), (back, weight)]
        tell(f"{name}, alone", lambda: bare @ weight.T, flops)  # noqa: B023
        tell(f"{name}, bordered", lambda: x @ whole[:high].T, flops)  # noqa: B023
        tell(f"{name}, adding the adapters", lambda: y[:, :high].addmm_(thin, whole[:high, wide:].T))  # noqa: B023
        tell(f"{name}, slope alone", lambda: back @ weight, flops)  # noqa: B023
        tell(f"{name}, slope bordered", lambda: slope @ whole[:, :wide], flops)  # noqa: B023
        if device == "cuda" and torch.cuda.get_device_capability() >= (8, 9):
            codes, weights = (part.to(torch.float8_e4m3fn) for part in (bare, weight))
            scales = torch.rand(tokens, 1, device=device), torch.rand(1, high, device=device)
            tell(f"{name}, fp8", lambda: product_of_codes(codes, weights, scales), flops)  # noqa: B023
    work = sum(2 * left.shape[0] * left.shape[1] * right.shape[1] for left, right in layer)
    layers = 2 if tiny else LAYERS
    tell("sustained, a layer", lambda: run(layer, layers), work, layers)


def run(products, times: int) -> None:
    for _ in range(times):
        for left, right in products:
            left @ right


def product_of_codes(codes, weights, scales):
    left, right = scales
    return torch._scaled_mm(
        codes, weights.T, scale_a=left, scale_b=right, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def tell(name: str, call, flops: float | None = None, times: int = 1) -> None:
    """Prints milliseconds and TFLOP/s of one of the `times` that a call does its work."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    calls = CALLS if times == 1 else 2
    for _ in range(3 if times == 1 else 1):
        call()
    wait()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    wait()
    seconds = (time.perf_counter() - began) / calls / times
    rate = f"{flops / seconds / 1e12:8.1f} TFLOP/s" if flops else ""
    print(f"{name:32} {1e3 * seconds:9.4f} ms {rate}", flush=True)


if __name__ == "__main__":
    main()
