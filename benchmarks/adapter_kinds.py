"""A training step of the packed model with each kind of adapter, in one process over one base: time, memory, errors.

    python benchmarks/adapter_kinds.py --output benchmarks/results/adapter-kinds_h200_DATE.json
    python benchmarks/adapter_kinds.py --tiny       # a model of a few layers on a CPU

Forward, backward, clipping and fused AdamW over packs on the device, without a loader; the vision tower runs without
torch.compile, so that nothing but our own kernels is built. `error` compares the gradients of one small pack with those
of PEFT's modules, given the same dropout mask: the norm of the difference over the norm, in bf16.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

import torch
from fast_path_rows import (
    GIB,
    base_model,
    made_examples,
    matrix_rate,
    packs_of,
    settings_of,
    spec_of,
    step,
    synchronize,
    text_projections,
    work_of,
)
from peft import LoraConfig, get_peft_model

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from texlens.adapters.moe_lora.config import MoeLoraConfig
from texlens.data.geometry import ImageGeometry
from texlens.kernels.dropout.mask import RowsMask
from texlens.models.families import family_of
from texlens.models.packed.forward import packed_forward
from texlens.models.packed.mixers import mixer_groups
from texlens.models.packed.text import FusedLayer

QKVO = r".*language_model.*self_attn\.(q|k|v|o)_proj$"
KINDS: dict[str, tuple[dict, int]] = {
    "r 16": ({"r": 16}, 56),
    "r 16, dropout 0.05": ({"r": 16, "lora_dropout": 0.05}, 56),
    "MoE-LoRA 2 x r 8": ({"experts": 2, "r": 8, "balance": 0.01}, 56),
    "r 64, dropout 0.05": ({"r": 64, "lora_dropout": 0.05}, 56),
    "r 128 on q k v o": ({"r": 128, "target_modules": QKVO}, 56),
    "r 128 on q k v o, 8 rows": ({"r": 128, "target_modules": QKVO}, 8),
    "MoE-LoRA 2 x r 8, 8 rows": ({"experts": 2, "r": 8, "balance": 0.01}, 8),
}
"""Adapter settings and rows of a step."""
STEPS, WARM = 6, 2


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = settings_of(options.model, options.tiny)
    matrix_tflops = matrix_rate(device, options.tiny)
    model = base_model(settings, device)
    report = {"model": options.model, "torch": torch.__version__, "matrix_tflops": round(matrix_tflops), "kinds": {}}
    if device.type == "cuda":
        report["device"] = torch.cuda.get_device_name()
    for name, (adapter, count) in KINDS.items():
        try:
            row = measure(model, settings, adapter, 3 if options.tiny else count, device, matrix_tflops)
        except Exception as error:  # noqa: BLE001  one kind's failure is reported and the others still run
            row = {"failed": f"{type(error).__name__}: {str(error)[:400]}"}
        report["kinds"][name] = row
        print(f"{name}: {json.dumps(row)}", flush=True)
        if options.output:
            Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def measure(model, settings: dict, adapter: dict, count: int, device, matrix_tflops: float) -> dict:
    torch.manual_seed(0)
    values = {"lora_alpha": 16, "target_modules": text_projections(settings), "task_type": "CAUSAL_LM", **adapter}
    config = MoeLoraConfig(**values) if "experts" in adapter else LoraConfig(**values)
    adapted = get_peft_model(model, config).train()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    family = family_of(settings)
    geometry = ImageGeometry(family.patch_size, mean=family.mean, std=family.std)
    inner = adapted.base_model.model
    try:
        began = time.perf_counter()
        forward = packed_forward(inner, geometry, backend="triton" if device.type == "cuda" else "cpu")
        spec = spec_of(inner.config, geometry, family)
        packs = packs_of(made_examples(count, family.patch_size), spec, device)
        row = {"rows": count, "fused_layers": forward.fused_layers, "packs": len(packs)}
        step(forward, packs, adapted, None)
        synchronize(device)
        row["first_step_s"] = round(time.perf_counter() - began, 1)
        row |= timed(forward, packs, adapted, device, settings, matrix_tflops)
        small = packs_of(made_examples(4, family.patch_size), spec, device)[0]
        row["error"] = gradient_error(forward, small, adapted, geometry)
        return row
    finally:
        adapted.unload()
        del adapted, inner
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def timed(forward, packs, adapted, device, settings: dict, matrix_tflops: float) -> dict:
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=device.type == "cuda")
    for _ in range(WARM):
        step(forward, packs, adapted, optimizer)
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    for _ in range(STEPS):
        step(forward, packs, adapted, optimizer)
    synchronize(device)
    spent = (time.perf_counter() - began) / STEPS
    rows, tokens = (sum(value(pack) for pack in packs) for value in (lambda p: len(p["rows"]), lambda p: p["tokens"]))
    labels, patches = (sum(len(pack[key]) for pack in packs) for key in ("labels", "patches"))
    tflops = work_of(settings).flops(tokens, labels, patches) / spent / 1e12
    peak = torch.cuda.max_memory_allocated() / GIB if device.type == "cuda" else None
    return {
        "step_ms": round(1000 * spent, 1),
        "samples_per_s": round(rows / spent, 1),
        "tokens_per_s": round(tokens / spent),
        "tflops": round(tflops, 1),
        "share_of_matrix_rate": round(tflops / matrix_tflops, 3),
        "peak_gib": peak and round(peak, 2),
    }


def gradient_error(forward, pack: dict, adapted, geometry) -> float:
    reference = packed_forward(adapted.base_model.model, geometry, fused=False)
    reference.text.options = forward.text.options
    for layer, run in zip(reference.text.model.layers, forward.text.layers, strict=True):
        mlp = layer.mlp
        groups = (*mixer_groups(layer), (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,))
        for product, modules in zip(run.layer.products if isinstance(run, FusedLayer) else (), groups, strict=False):
            for module in modules:
                if product.dropout is not None and hasattr(module, "lora_dropout"):
                    module.lora_dropout["default"] = RowsMask(product.dropout)
    grads = []
    for way in (reference, forward):
        torch.manual_seed(1)
        adapted.zero_grad(set_to_none=True)
        way.loss(pack).backward()
        grads.append([p.grad.float().clone() for p in adapted.parameters() if p.grad is not None])
    adapted.zero_grad(set_to_none=True)
    expected, actual = (torch.cat([grad.flatten() for grad in part]) for part in grads)
    return round(float((actual - expected).norm() / expected.norm()), 5)


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="Qwen3-VL-4B-Instruct")
    parser.add_argument("--output")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    torch._dynamo.config.disable = True
    return options


if __name__ == "__main__":
    main()
