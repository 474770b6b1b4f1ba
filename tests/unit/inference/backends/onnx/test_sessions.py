import sys

import pytest

from texlens.core.errors import ModelError
from texlens.inference.backends.onnx.sessions import IMAGE_ENCODER, OnnxSessions


def test_without_onnxruntime_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match="pip install onnxruntime"):
        OnnxSessions(tmp_path)


def test_a_damaged_file_is_an_error_of_one_line(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / IMAGE_ENCODER).write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"onnxruntime can't load it .* export it again"):
        OnnxSessions(tmp_path)
