"""llama.cpp itself, where llama-cpp-python is installed: images smaller than one token."""

import pytest
import torch
from PIL import Image

from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import MODEL, PROJECTOR, write_gguf
from texlens.models.bundled import NANO_FOLDER
from texlens.models.processor import load_processor

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    from texlens.inference.backends.llama_cpp.binding import LlamaCpp

    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(NANO_FOLDER, load_processor(NANO_FOLDER), Decoding(8), folder)
    return LlamaCpp(folder / MODEL, folder / PROJECTOR)


@pytest.mark.parametrize("size", [(1, 1), (200, 7), (30, 30), (31, 400)])
def test_small_images_are_padded_to_whole_tokens_by_the_budget_in_the_file(llama, size):
    text = f"<|im_start|>user\n{llama.image_marker}Read.<|im_end|>\n<|im_start|>assistant\n"
    logits = llama.prefill(text, Image.new("RGB", size, "white"), "small.png")
    assert torch.isfinite(logits).all()
