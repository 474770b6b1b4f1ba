"""One run opened."""

import importlib.util

import pytest
import torch

from tests.unit.inference.shared_base import (
    KINDS,
    made_run,
    open_all,
    read_by_server,
    read_directly,
)
from texlens.core.files import write_text
from texlens.inference.open import open_model

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@pytest.mark.parametrize("kind", KINDS)
def test_run_of_any_kind_is_served_as_it_is_read(kind, tmp_path):
    family, adapter = KINDS[kind]
    run = made_run(tmp_path, kind, family, adapter)
    models, text = read_by_server(run)
    assert text == read_directly(run)
    assert models == [kind] if adapter.get("kind") == "full" else [kind, f"base-{family}-none"]


@needs_bitsandbytes
@pytest.mark.parametrize("quantize", ["nf4", "int8"])
def test_run_on_a_packed_base_is_served_on_it(quantize, tmp_path):
    run = made_run(tmp_path, quantize, "qwen3_vl", {"rank": 2}, quantize)
    assert read_by_server(run)[1] == read_directly(run)
    model = open_model(run.path).backend.model
    assert getattr(model, f"is_loaded_in_{4 if quantize == 'nf4' else 8}bit")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU may have products in fp8")
def test_base_in_fp8_is_refused_with_the_reason(tmp_path):
    run = made_run(tmp_path, "fp8", "qwen3_vl", {"rank": 2})
    write_text(run.config, run.config.read_text().replace("quantize: none", "quantize: fp8"))
    with pytest.raises(Exception, match="fp8 can't be used here"):
        open_all(run.path)
