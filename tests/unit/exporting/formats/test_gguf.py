import pytest

from texlens.exporting.formats.gguf import GGUF
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
