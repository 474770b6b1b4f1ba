"""Exported folders read with transformers 4.57: the same tokens, logits and greedy texts."""

import json

import pytest
import torch
from rich.console import Console

from tests.fixtures.thorough import later
from tests.fixtures.tiny_models import FAMILY_NAMES
from tests.integration.transformers_4 import run_with, transformers_4
from tests.unit.exporting.conftest import write_run
from texlens.evaluation.saved_run import open_run
from texlens.exporting.pipeline import export_run
from texlens.models.bundled import NANO_FOLDER
from texlens.models.families import FAMILIES
from texlens.models.load import load_model, load_processor
from texlens.models.processor import save_processor

READ = """
import json, sys, torch, transformers
from transformers import AutoModelForImageTextToText, AutoTokenizer
assert transformers.__version__.startswith("4.57"), transformers.__version__
folder, prompt = sys.argv[1], sys.argv[2]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
ids = torch.arange(5, 45)[None]
with torch.no_grad():
    logits = model(input_ids=ids).logits[0, -1]
messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
torch.manual_seed(0)
print(json.dumps({
    "special": sorted(tokenizer.all_special_tokens),
    "prompt": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
    "ids": tokenizer(prompt).input_ids,
    "logits": logits.tolist(),
    "generated": model.generate(input_ids=ids)[0, 40:].tolist(),
}))
"""
GRIDS = """
import json, sys
from PIL import Image
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
images = [Image.new("RGB", size) for size in json.loads(sys.argv[2])]
pixels = Qwen2VLImageProcessor.from_pretrained(sys.argv[1])(images=images, return_tensors="pt")
print(pixels["image_grid_thw"].tolist())
"""
TOKENIZE = """
import sys
from transformers import AutoTokenizer
print(AutoTokenizer.from_pretrained(sys.argv[1])(sys.argv[2]).input_ids)
"""
KNOWN_TO_4 = [name for name in FAMILY_NAMES if FAMILIES[name].min_transformers == "5.0"]
"""transformers 4.57 has no `qwen3_5` and no `qwen3_5_moe`: their first release is 5.2."""
PROMPT = "Read the formula \\frac{a}{b}."


def expected(folder) -> dict:
    """What the installed transformers gives."""
    model, tokenizer = load_model(folder, device="cpu"), load_processor(folder).tokenizer
    ids = torch.arange(5, 45)[None]
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
    return {
        "special": sorted(tokenizer.all_special_tokens),
        "prompt": tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
        "ids": tokenizer(PROMPT).input_ids,
        "logits": logits.tolist(),
        "generated": model.generate(input_ids=ids)[0, 40:].tolist(),
    }


def check(folder, packages) -> None:
    actual = json.loads(run_with(packages, READ, str(folder), PROMPT).splitlines()[-1])
    reference = expected(folder)
    torch.testing.assert_close(torch.tensor(actual.pop("logits")), torch.tensor(reference.pop("logits")))
    assert actual == reference


@pytest.mark.slow
@pytest.mark.parametrize("family", later(KNOWN_TO_4, in_short=["qwen3_vl"]))
def test_a_merged_folder_is_read_alike_by_transformers_4(family, tmp_path, pytestconfig):
    packages = transformers_4(pytestconfig.cache)
    run = write_run(tmp_path, family)
    config, folder = open_run(run.path)
    export_run(config, folder, tmp_path / "out", "merged", console=Console(quiet=True))
    check(tmp_path / "out", packages)


@pytest.mark.slow
def test_images_have_the_pixel_budget_of_training_in_transformers_4(tmp_path, pytestconfig):
    processor = load_processor(NANO_FOLDER, min_pixels=20_480, max_pixels=40_960)
    save_processor(processor, tmp_path)
    sizes = [(30, 20), (200, 100), (900, 400)]
    grids = json.loads(run_with(transformers_4(pytestconfig.cache), GRIDS, str(tmp_path), json.dumps(sizes)))
    assert [tuple(grid) for grid in grids] == [processor.geometry.grid(*size) for size in sizes]


@pytest.mark.slow
def test_the_tokenizer_of_nano_is_read_by_transformers_4(pytestconfig):
    tokens = run_with(transformers_4(pytestconfig.cache), TOKENIZE, str(NANO_FOLDER), PROMPT)
    assert json.loads(tokens) == load_processor(NANO_FOLDER).tokenizer(PROMPT).input_ids
