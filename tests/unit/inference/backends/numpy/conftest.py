"""Fixtures of these tests."""

import pytest

from texlens.inference.model import LoadedModel
from texlens.inference.open import open_model


@pytest.fixture(scope="module")
def numpy_model() -> LoadedModel:
    return open_model("nano", backend="numpy")


@pytest.fixture(scope="module")
def torch_model() -> LoadedModel:
    return open_model("nano", device="cpu", dtype="float32")
