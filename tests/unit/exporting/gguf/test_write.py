"""The pair of GGUF files of a tiny checkpoint, read back with the `gguf` package."""

import pytest

from tests.fixtures.tiny_models import FAMILY_NAMES, tiny_processor
from tests.unit.exporting.conftest import write_base
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import MODEL, PROJECTOR, write_gguf
from texlens.models.families import FAMILIES

gguf = pytest.importorskip("gguf")


def read(path) -> tuple[dict, dict]:
    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def write(folder, family: str, decoding: Decoding = Decoding(8)):  # noqa: B008 - a frozen value
    base = write_base(folder / "base", family)
    write_gguf(base, tiny_processor(family), decoding, folder)
    return base


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_settings_name_the_architecture_and_the_measured_decoding(family, tmp_path):
    write(tmp_path, family)
    text, _ = read(tmp_path / MODEL)
    vision, _ = read(tmp_path / PROJECTOR)
    architecture = text["general.architecture"]
    assert architecture == FAMILIES[family].gguf.architecture.lower()
    assert text[f"{architecture}.embedding_length"] == 64
    assert (text["general.sampling.temp"], text["general.sampling.top_k"]) == (0.0, 0)
    assert text["general.quantization_version"] == vision["general.quantization_version"] == gguf.GGML_QUANT_VERSION
    assert vision["clip.vision.projection_dim"] == 64


def test_a_temperature_of_the_evaluation_is_written(tmp_path):
    write(tmp_path, "qwen3_vl", Decoding(8, 0.5))
    assert read(tmp_path / MODEL)[0]["general.sampling.temp"] == 0.5
