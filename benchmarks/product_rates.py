"""Rates of a decoder layer's products on a GPU: alone, with adapters in extra columns or added afterwards, in fp8.

    python benchmarks/product_rates.py             # Qwen3-VL-4B's widths, 16,384 tokens
    python benchmarks/product_rates.py --tokens 32768 --library cublaslt
    python benchmarks/product_rates.py --tiny      # small ones, on the CPU

Random bf16 numbers, LoRA of rank 16. The forms of one product are run in turn, 20 calls each, in five rounds, and
the median of the rounds is printed: a GPU that slows down as it warms up slows all forms alike.

augmented: rows end where their extra columns end. aligned: each row begins at a multiple of 128 bytes. filled: zeros
are appended up to such a multiple, and multiplied with. turned: the gradient times a transposed copy of the weight.
`sustained` is all products of a layer, both ways, 108 times over.
"""

import argparse
import statistics
import time

import torch

WIDTHS = {"q/k/v": (6144, 2560, 48), "out": (2560, 4096, 16), "gate/up": (19_456, 2560, 32), "down": (2560, 9728, 16)}
"""Width out, width in, and ranks side by side."""
ROUNDS, CALLS, LAYERS = 5, 20, 108
LINE = 64
"""Numbers of 16 bits in 128 bytes."""


def main() -> None:
    options = _options()
    tiny, tokens, cut = options.tiny, 64 if options.tiny else options.tokens, 32 if options.tiny else 1
    device = "cpu" if tiny else "cuda"
    if options.library:
        torch.backends.cuda.preferred_blas_library(options.library)
    layer = []
    for name, (height, width, ranks) in WIDTHS.items():
        height, width = height // cut, width // cut
        flops = 2 * tokens * height * width
        print_rates(f"{name}, forward", forward_forms(tokens, height, width, ranks, device), flops)
        print_rates(f"{name}, gradient", gradient_forms(tokens, height, width, ranks, device), flops)
        layer += [pair(tokens, width, height, device), pair(tokens, height, width, device)]
    work = sum(2 * left.shape[0] * left.shape[1] * right.shape[1] for left, right in layer)
    layers = 2 if tiny else LAYERS
    seconds = timed(lambda: run(layer, layers), 1) / layers
    print(f"sustained, a layer: {1e3 * seconds:.4f} ms {work / seconds / 1e12:.1f} TFLOP/s")


def forward_forms(tokens: int, height: int, width: int, ranks: int, device: str) -> dict:
    """x @ weight.T in its forms."""
    draw = drawing(device)
    x, whole = draw(tokens, width + ranks), draw(height, width + ranks)
    y, lora_a_out = draw(tokens, height), draw(tokens, ranks)
    bare, weight = x[:, :width].contiguous(), whole[:, :width].contiguous()
    even_x, even_whole = aligned(x), aligned(whole)
    full_x, full_whole = filled(x), filled(whole)
    forms = {
        "alone": lambda: bare @ weight.T,
        "augmented": lambda: x @ whole.T,
        "aligned": lambda: even_x @ even_whole.T,
        "filled": lambda: full_x @ full_whole.T,
        "adding the adapters": lambda: y.addmm_(lora_a_out, whole[:, width:].T),
    }
    if device == "cuda" and torch.cuda.get_device_capability() >= (8, 9):
        codes, weights = (part.to(torch.float8_e4m3fn) for part in (bare, weight))
        scales = torch.rand(tokens, 1, device=device), torch.rand(1, height, device=device)
        forms["fp8"] = lambda: product_of_codes(codes, weights, scales)
    return forms


def gradient_forms(tokens: int, height: int, width: int, ranks: int, device: str) -> dict:
    """grad @ weight in its forms."""
    draw = drawing(device)
    grad, whole = draw(tokens, height + ranks), draw(height + ranks, width + ranks)
    bare, weight = grad[:, :height].contiguous(), whole[:height, :width].contiguous()
    even_grad, even_whole = aligned(grad), aligned(whole)
    full_grad, turned = filled(grad), filled(whole[:, :width].T.contiguous())
    full_whole = torch.cat([even_whole, even_whole[: full_grad.shape[1] - len(whole)]])
    return {
        "alone": lambda: bare @ weight,
        "augmented": lambda: grad @ whole[:, :width],
        "aligned": lambda: even_grad @ even_whole[:, :width],
        "filled": lambda: full_grad @ full_whole[:, :width],
        "turned": lambda: full_grad @ turned.T,
    }


def drawing(device: str):
    return lambda *shape: torch.randn(*shape, device=device, dtype=torch.bfloat16)


def pair(tokens: int, inner: int, outer: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    draw = drawing(device)
    return draw(tokens, inner), draw(outer, inner).T


def aligned(x: torch.Tensor) -> torch.Tensor:
    """The same numbers in rows that begin at multiples of 128 bytes."""
    return filled(x)[:, : x.shape[1]]


def filled(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(x, (0, -x.shape[1] % LINE))


def run(products, times: int) -> None:
    for _ in range(times):
        for left, right in products:
            left @ right


def product_of_codes(codes, weights, scales):
    left, right = scales
    return torch._scaled_mm(
        codes, weights.T, scale_a=left, scale_b=right, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def print_rates(title: str, forms: dict, flops: float) -> None:
    """Prints milliseconds and TFLOP/s of each form; the work is that of the weight alone."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, call in forms.items():
            seconds[name].append(timed(call, CALLS))
    for name, rounds in seconds.items():
        middle = statistics.median(rounds)
        rate = "" if name == "adding the adapters" else f"{flops / middle / 1e12:8.1f} TFLOP/s"
        print(f"{title:18} {name:20} {1e3 * middle:9.4f} ms {rate}", flush=True)


def timed(call, times: int) -> float:
    """Seconds of one of `times` calls in a row, after one that isn't counted."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    call()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        call()
    wait()
    return (time.perf_counter() - began) / times


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--library", choices=["cublas", "cublaslt"])
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
