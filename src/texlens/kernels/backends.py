"""Which implementation of an operation runs.

An operation is a folder: `reference.py` in plain PyTorch, where it pays `cpu.py`, `triton.py` (launches) and
`triton_kernels.py` (device code), and one file, `api.py` or `backend.py`, with the Protocol that they follow and the
operation's `Registry`. To add a backend to an operation:

1. write a module with the functions of the operation's Protocol;
2. register a function that imports it, in the same file: `BACKENDS = Registry(triton=_triton, mine=_mine)`;
3. add its name to the parameters of the operation's test, which compares every backend with the reference.

Imports of Triton are inside those functions, because Triton is not installed everywhere.
"""

import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

Backend = TypeVar("Backend")

TRITON_ENABLED = True
"""Whether our Triton kernels are used where they can run."""


class Registry(Generic[Backend]):
    """The backends of one operation by name, each imported when it is first asked for."""

    def __init__(self, **loaders: Callable[[], Backend]):
        self._loaders = loaders
        self._loaded: dict[str, Backend] = {}

    def __getitem__(self, name: str) -> Backend:
        """
        Raises:
            KeyError: no backend has this name.
        """
        if name not in self._loaded:
            self._loaded[name] = self._loaders[name]()
        return self._loaded[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loaders)


def use_triton(enabled: bool) -> None:
    """Turns our Triton kernels on or off in this process; without them a run needs no compiler."""
    global TRITON_ENABLED
    TRITON_ENABLED = enabled


@contextmanager
def without_triton() -> Iterator[None]:
    """Our Triton kernels are off inside the block."""
    before = TRITON_ENABLED
    use_triton(False)
    try:
        yield
    finally:
        use_triton(before)


def runs_triton(device: torch.device, enabled: bool | None = None) -> bool:
    """Whether our Triton kernels run on a device: a GPU with Triton installed, or any device in Triton's interpreter.

    Args:
        enabled: replaces `TRITON_ENABLED` if given.
    """
    return (TRITON_ENABLED if enabled is None else enabled) and _can_run_triton(device.type)


def triton_missing_reason() -> str:
    """Why Triton does not run on a GPU."""
    return "the package triton is not installed" if TRITON_ENABLED else "Triton kernels are turned off"


@functools.cache
def _can_run_triton(device_type: str) -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    return device_type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
