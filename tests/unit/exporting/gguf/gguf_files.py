"""GGUF files written and read back."""

import pytest

from tests.fixtures.tiny_models import tiny_processor
from tests.unit.exporting.conftest import write_base
from texlens.exporting.decoding import Decoding
from texlens.exporting.gguf.write import write_gguf

gguf = pytest.importorskip("gguf")


def read(path) -> tuple[dict, dict]:
    reader = gguf.GGUFReader(str(path))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: tensor for tensor in reader.tensors}


def write(folder, family: str, decoding: Decoding = Decoding(8)):  # noqa: B008 - a frozen value
    base = write_base(folder / "base", family)
    write_gguf(base, tiny_processor(family), decoding, folder)
    return base
