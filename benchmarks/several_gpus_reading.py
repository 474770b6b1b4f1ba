"""Reading from a model whose layers are on two GPUs: the texts of one that is whole on one GPU.

    python benchmarks/several_gpus_reading.py [--rows 16] [--result FILE]

Nano in float32 with an adapter whose B is not zero reads formulas of the demo greedily: on one GPU, and with its layers
placed on two as those of a model that does not fit on one (`models.sharding.layer_placement`). Without GPUs both are
the CPU.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from texlens.data.load import load_split
from texlens.inference.model import in_order
from texlens.inference.open import wrap_model
from texlens.models.bundled import NANO_FOLDER
from texlens.models.load import load_model, load_processor
from texlens.models.sharding.layer_placement import part_sizes, place_parts

PROMPT = "Write the formula as LaTeX."


def main() -> None:
    options = _options()
    gpus = torch.cuda.device_count()
    rows = list(load_split("demo", split="test"))[: options.rows]
    report = {"gpus": gpus, "rows": len(rows)}
    texts = {}
    for name, placement in (("one", None), ("two", placed(NANO_FOLDER) if gpus > 1 else None)):
        began = time.monotonic()
        model = adapted(load_model(NANO_FOLDER, dtype="float32", placement=placement))
        reader = wrap_model(model, load_processor(NANO_FOLDER), prompt=PROMPT, max_new_tokens=options.tokens)
        predictions = in_order(reader.generate(rows), rows)
        texts[name] = [prediction.text for prediction in predictions]
        report[name] = {
            "devices": sorted({str(parameter.device) for parameter in model.parameters()}),
            "seconds": round(time.monotonic() - began, 1),
        }
    report |= {
        "equal_texts": sum(a == b for a, b in zip(texts["one"], texts["two"], strict=True)),
        "empty_texts": sum(not text for text in texts["one"]),
        "texts": texts["two"][:3],
    }
    print(json.dumps(report, indent=1))
    if options.result:
        options.result.write_text(json.dumps(report))


def placed(folder: Path) -> dict[str, torch.device]:
    """As if each GPU had room for half of the model."""
    numbers = place_parts(part_sizes(folder, 4), [2**30, 2**30])
    return {part: torch.device("cuda", number) for part, number in numbers.items()}


def adapted(model):
    """With LoRA on attention, B not zero."""
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|v_proj)", task_type="CAUSAL_LM")
    adapter = get_peft_model(model, config).eval()
    for name, parameter in adapter.named_parameters():
        if "lora_B" in name:
            values = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            parameter.data.copy_(values * 0.01)
    return adapter


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--tiny", action="store_true", help="two rows")
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    if options.tiny:
        options.rows, options.tokens = 2, 8
    return options


if __name__ == "__main__":
    main()
