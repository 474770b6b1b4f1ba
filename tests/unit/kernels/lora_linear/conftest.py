"""Fixtures of these tests."""

import importlib.util

import pytest


@pytest.fixture
def kernels():
    return importlib.import_module("texlens.kernels.lora_linear.triton")
