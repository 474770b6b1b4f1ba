"""Fixtures of these tests."""

import importlib.util

import pytest

from tests.unit.kernels.elementwise.forms import FORMS


@pytest.fixture(params=FORMS)
def kernels(request):
    return importlib.import_module(f"texlens.kernels.elementwise.{request.param}")
