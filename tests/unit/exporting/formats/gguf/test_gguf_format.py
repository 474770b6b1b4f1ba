import pytest

from texlens.core.errors import ExportError
from texlens.exporting.formats.gguf.f16 import GGUF_F16
from texlens.exporting.formats.gguf.q4_k_m import GGUF_Q4_K_M
from texlens.exporting.formats.gguf.q8_0 import GGUF
from texlens.models.export_manifest import ExportManifest

pytest.importorskip("gguf")


def test_a_pair_of_files_and_a_modelfile_are_written(job):
    notes = GGUF.write(job)
    names = {path.name for path in job.folder.iterdir()}
    assert {notes["model"], notes["projector"], "Modelfile", "config.json"} <= names
    assert notes["pixels a token"] == 32 * 32


def test_llama_server_decodes_greedily_at_the_pixel_budget(job):
    notes = {"model": "model.gguf", "projector": "mmproj.gguf", "pixels a token": 1024}
    manifest = ExportManifest("gguf", "b", "f", "a", "qwen3_vl", "r", 2048, 24576, "Read.", None, 8, notes=notes)
    server, ollama = GGUF.serving_commands(manifest, job.folder, job.folder)
    assert (server.program, ollama.program) == ("llama.cpp", "Ollama")
    for part in ("--image-min-tokens 2", "--image-max-tokens 24", "--temp 0 "):
        assert part in server.command
    assert ollama.command == f"ollama create out -f {job.folder}/Modelfile"


def test_16_bits_are_written_without_a_quantizer(job):
    notes = GGUF_F16.write(job)
    assert notes["method"].startswith("GGUF: language model F16")
    assert "quantizer" not in notes


def test_a_k_quant_without_llama_cpp_is_refused_before_anything_is_written(job, monkeypatch):
    monkeypatch.setattr("texlens.exporting.gguf.quantize.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExportError, match=r"--format gguf-q4_k_m: needs llama.cpp's quantizer"):
        GGUF_Q4_K_M.write(job)
    assert not list(job.folder.glob("*.gguf"))


def test_the_language_model_passes_through_the_quantizer(job, monkeypatch):
    sizes = []

    def quantize(source, target, size):
        sizes.append(size)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("texlens.exporting.gguf.write.check_quantizer", lambda name: "a quantizer")
    monkeypatch.setattr("texlens.exporting.gguf.write.quantize", quantize)
    notes = GGUF_Q4_K_M.write(job)
    assert sizes == ["Q4_K_M"]
    assert notes["quantizer"] == "a quantizer"
    assert sorted(path.name for path in job.folder.rglob("*.gguf")) == ["mmproj.gguf", "model.gguf"]
