"""Whether Triton's kernels can run here: on a GPU, or by Triton's interpreter (TRITON_INTERPRET=1) anywhere."""

import importlib.util
import os

import pytest
import torch

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
can_triton = bool(importlib.util.find_spec("triton")) and (torch.cuda.is_available() or interpreted)
REASON = "no Triton, or no GPU and no interpreter"
needs_triton = pytest.mark.skipif(not can_triton, reason=REASON)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def skip_module_without_triton() -> None:
    """For a test module that imports kernels at its top."""
    if not can_triton:
        pytest.skip(REASON, allow_module_level=True)
