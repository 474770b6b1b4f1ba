"""No test reads or leaves anything in the user's own caches, or is sent elsewhere by the user's environment."""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit these and share what was measured or compiled
    _CACHES = tempfile.TemporaryDirectory(prefix="texlens-tests-")
    """Set before any test file is imported, since libraries read their environment once."""
    for name in ("TEXLENS_CACHE", "HF_HOME", "MODELSCOPE_CACHE", "TORCHINDUCTOR_CACHE_DIR"):
        os.environ[name] = os.path.join(_CACHES.name, name.lower())
for name in ("HF_TOKEN", "HF_ENDPOINT", "MODELSCOPE_API_TOKEN"):
    os.environ.pop(name, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("steady", derandomize=True)
settings.register_profile("explore", max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
"""The same examples in every run, so that a change is judged by itself; HYPOTHESIS_PROFILE=explore draws new ones."""

_SRC = Path(__file__).parents[1] / "src"
_CHECKED = ("texlens/kernels/", "texlens/models/packed/")


def _is_checked(file: Path) -> bool:
    name = file.relative_to(_SRC).as_posix()
    return name.startswith(_CHECKED) or "from jaxtyping import" in file.read_text()


def _checked_modules() -> list[str]:
    """Modules whose shape annotations are checked at every call; Triton compiles from source and is left out."""
    files = (file for file in _SRC.rglob("*.py") if "triton" not in file.stem and file.stem != "__init__")
    return [".".join(file.relative_to(_SRC).with_suffix("").parts) for file in files if _is_checked(file)]


jaxtyping.install_import_hook(_checked_modules(), "beartype.beartype")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


_FROZEN = {"modules": 0}


def pytest_runtest_setup() -> None:
    """Leaves what was imported out of garbage collection: accelerate collects after each training, which takes 0.3 s
    over all that, a fifth of a tiny run."""
    if len(sys.modules) > _FROZEN["modules"] + 100:
        gc.collect()
        gc.freeze()
        _FROZEN["modules"] = len(sys.modules)
