"""Reads the images of a folder with transformers (4.57 or 5) and PEFT alone, in batches; writes texts as JSON.

python stock_reader.py FOLDER ROWS OUTPUT [--base BASE]     # --base: FOLDER is an adapter on it
"""

import argparse
import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, GenerationConfig

IMAGE = "<|image_pad|>"


def image_processor(folder: str) -> Any:
    """The processor that needs no torchvision, under its name in either version."""
    try:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil as Images
    except ImportError:
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor as Images
    return Images.from_pretrained(folder)


def open_model(folder: str, base: str | None) -> Any:
    """In float32, so that formats are compared and not types; bitsandbytes needs the checkpoint's type."""
    if base is None:
        settings = json.loads((Path(folder) / "config.json").read_text()).get("quantization_config", {})
        dtype: Any = "auto" if settings.get("quant_method") == "bitsandbytes" else torch.float32
        return AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
    from peft import PeftModel

    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, folder).eval()
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model


@torch.no_grad()
def read_batch(model: Any, tokenizer: Any, images: Any, batch: list[dict], folder: Path) -> list[str]:
    pixels = images(images=[Image.open(folder / row["image"]).convert("RGB") for row in batch], return_tensors="pt")
    prompts = []
    for row, grid in zip(batch, pixels["image_grid_thw"], strict=True):
        content = [{"type": "image"}, {"type": "text", "text": row["prompt"]}]
        messages = [{"role": "user", "content": content}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompts.append(prompt.replace(IMAGE, IMAGE * (int(grid.prod()) // images.merge_size**2)))
    inputs = dict(tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left"))
    inputs.pop("token_type_ids", None)
    if not importlib.metadata.version("transformers").startswith("4."):
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == tokenizer.convert_tokens_to_ids(IMAGE)).int()
    pixels = {name: value.to(model.dtype) if value.is_floating_point() else value for name, value in pixels.items()}
    tokens = model.generate(**inputs, **pixels)[:, inputs["input_ids"].shape[1] :]
    return tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("rows", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--base")
    parser.add_argument("--batch-size", type=int, default=16)
    arguments = parser.parse_args()
    rows = json.loads((arguments.rows / "rows.json").read_text())
    model = open_model(arguments.folder, arguments.base)
    tokenizer, images = AutoTokenizer.from_pretrained(arguments.folder), image_processor(arguments.folder)
    start, cpu, texts = time.perf_counter(), time.process_time(), []
    for first in range(0, len(rows), arguments.batch_size):
        texts += read_batch(model, tokenizer, images, rows[first : first + arguments.batch_size], arguments.rows)
    figures = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
    version = importlib.metadata.version("transformers")
    arguments.output.write_text(json.dumps({"texts": texts, "consumer": f"transformers {version}", **figures}))


if __name__ == "__main__":
    main()
