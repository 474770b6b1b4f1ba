import json

import pytest

from texlens.exporting.formats.onnx import ONNX, write_onnx_folder
from texlens.exporting.onnx.reader_settings import READER_SETTINGS


@pytest.fixture(autouse=True)
def stub_exporter(monkeypatch):
    """torch's exporter takes seconds; tests/integration/test_onnx_export.py runs it."""

    def write(merged, processor, folder, *, bits):
        assert (merged / "model.safetensors").is_file()
        (folder / "text_decoder.onnx").write_bytes(b"decoder")
        return {"bits": bits}

    monkeypatch.setattr("texlens.exporting.formats.onnx.write_onnx", write)


def test_the_folder_has_config_tokenizer_and_the_prompt(job):
    assert ONNX.write(job) == {"bits": 32}
    names = {path.name for path in job.folder.iterdir()}
    assert {"config.json", "tokenizer.json", "generation_config.json", READER_SETTINGS, "text_decoder.onnx"} <= names
    assert ".merged" not in names
    assert json.loads((job.folder / READER_SETTINGS).read_text())["max_new_tokens"] == 4


def test_bits_reach_the_exporter(job):
    assert write_onnx_folder(job, bits=8) == {"bits": 8}


def test_no_other_server_reads_the_folder(job):
    assert ONNX.serving_commands(None, job.folder, job.folder) == []
    assert "reader.json" in ONNX.loading_code(None, "out")
