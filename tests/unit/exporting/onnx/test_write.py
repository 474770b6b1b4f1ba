"""What is refused; the files themselves are read in tests/integration/test_onnx_export.py."""

import pytest

from tests.fixtures.tiny_models import tiny_model
from texlens.core.errors import ExportError
from texlens.exporting.onnx.write import check_supported


@pytest.mark.parametrize(
    ("family", "reason"), [("qwen2_5_vl", "attends within windows"), ("qwen3_vl_moe", "a mixture of experts")]
)
def test_families_without_onnx_are_refused_with_the_reason(family, reason):
    model, processor = tiny_model(family)
    with pytest.raises(ExportError, match=reason):
        check_supported(model, processor.family, "onnx")


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_families_of_the_2b_models_are_supported(family):
    model, processor = tiny_model(family)
    check_supported(model, processor.family, "onnx")
