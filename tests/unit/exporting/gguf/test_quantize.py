"""llama.cpp's quantizer as a program and, where llama-cpp-python is installed, as a library."""

import os

import numpy as np
import pytest

from texlens.core.errors import ExportError
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.quantize import check_quantizer, quantize
from texlens.exporting.gguf.write import MODEL

PROGRAM = """#!/bin/sh
echo "$3" > "{record}"
cp "$1" "$2"
"""


@pytest.fixture
def without_binding(monkeypatch):
    monkeypatch.setattr("texlens.exporting.gguf.quantize.find_spec", lambda name: None)


def write_program(folder, monkeypatch, text: str) -> None:
    program = folder / "llama-quantize"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_program_on_the_path_is_called_with_the_size(tmp_path, monkeypatch, without_binding):
    write_program(tmp_path, monkeypatch, PROGRAM.format(record=tmp_path / "size"))
    (tmp_path / "source").write_bytes(b"gguf")
    assert check_quantizer("gguf-q6_k") == "llama-quantize"
    quantize(tmp_path / "source", tmp_path / "target", "Q6_K")
    assert (tmp_path / "size").read_text() == "Q6_K\n"
    assert (tmp_path / "target").read_bytes() == b"gguf"


def test_a_failed_program_gives_its_last_line(tmp_path, monkeypatch, without_binding):
    write_program(tmp_path, monkeypatch, "#!/bin/sh\necho 'bad tensor' >&2\nexit 1\n")
    with pytest.raises(ExportError, match=r"llama-quantize failed \(bad tensor\)"):
        quantize(tmp_path / "source", tmp_path / "target", "Q6_K")


@pytest.mark.parametrize(("size", "kind", "error"), [("Q6_K", "Q6_K", 0.03), ("Q4_K_M", "Q4_K", 0.12)])
def test_the_library_writes_k_quants_that_gguf_reads_back(size, kind, error, tmp_path):
    pytest.importorskip("llama_cpp")
    gguf = pytest.importorskip("gguf")
    source, weights = write_wide_model(tmp_path)
    quantize(source, tmp_path / "target.gguf", size)
    tensor = next(t for t in gguf.GGUFReader(str(tmp_path / "target.gguf")).tensors if t.name == "blk.0.attn_q.weight")
    assert tensor.tensor_type == gguf.GGMLQuantizationType[kind]
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    assert np.abs(values - weights).mean() < error * np.abs(weights).mean()


def write_wide_model(folder):
    """A GGUF file of the bundled model, whose rows are whole blocks of 256, and its first query weights."""
    from safetensors.torch import load_file

    from texlens.exporting.gguf.write import write_gguf
    from texlens.models.bundled import NANO_FOLDER
    from texlens.models.processor import load_processor

    write_gguf(NANO_FOLDER, load_processor(NANO_FOLDER), Decoding(8), folder, size="F16")
    weights = load_file(NANO_FOLDER / "model.safetensors")
    return folder / MODEL, weights["model.language_model.layers.0.self_attn.q_proj.weight"].float().numpy()
