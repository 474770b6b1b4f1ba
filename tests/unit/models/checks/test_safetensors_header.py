"""Headers that no safetensors file has are refused by name, without reading a tensor."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from texlens.core.errors import ModelError
from texlens.models.checkpoint import read_header
from texlens.models.checks.safetensors_header import header_fault

SOUND = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def test_sound_headers_have_no_fault():
    assert header_fault({"a": SOUND, "__metadata__": {"format": "pt"}}) is None
    assert header_fault({"scalar": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]}}) is None
    assert header_fault({"packed": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}) is None


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ([], "no JSON object"),
        (1, "no JSON object"),
        ({"a": 1}, "tensor 'a': no object"),
        ({"a": {**SOUND, "dtype": None}}, "no dtype"),
        ({"a": {**SOUND, "shape": "x"}}, "no shape"),
        ({"a": {**SOUND, "shape": [-1, 4]}}, "no shape"),
        ({"a": {**SOUND, "shape": [10**12]}}, "24 bytes for a shape that takes"),
        ({"a": {**SOUND, "data_offsets": [-8, 16]}}, "no data_offsets"),
        ({"a": {**SOUND, "data_offsets": [24, 0]}}, "-24 bytes for a shape"),
        ({"a": {**SOUND, "data_offsets": [0]}}, "no data_offsets"),
        ({"a": {**SOUND, "data_offsets": [0.5, 24.5]}}, "no data_offsets"),
        ({"a": SOUND, "__metadata__": [1]}, "__metadata__"),
        ({"\x1b[31m": 1}, r"tensor '\x1b[31m'"),
    ],
)
def test_faults_are_named(header, fault):
    assert fault in str(header_fault(header))


@pytest.mark.parametrize("length", [10**9, 2**63, 2**64 - 1])
def test_length_of_a_header_costs_no_memory(tmp_path, length):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + data[8:])
    with pytest.raises(ModelError, match="truncated"):
        read_header(tmp_path / "a.safetensors")


def test_deep_header_is_one_line(tmp_path):
    text = json.dumps({"a": 0}).replace("0", "[" * 50_000 + "]" * 50_000).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    # Python 3.14 parses lists of this depth; older ones refuse them.
    with pytest.raises(ModelError, match=r"a\.safetensors: (not a safetensors file|damaged \(tensor 'a': no object\))"):
        read_header(tmp_path / "a.safetensors")
