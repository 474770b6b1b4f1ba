"""K-quants of a GGUF file by llama.cpp's own quantizer, which also decides which layers get more bits.

It is called in llama-cpp-python where that is installed, else as the program `llama-quantize` on the PATH.
"""

import ctypes
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from texlens.core.errors import ExportError, one_line

PROGRAM = "llama-quantize"


def check_quantizer(format_name: str) -> str:
    """The quantizer that there is, for the manifest.

    Raises:
        ExportError: none.
    """
    if find_spec("llama_cpp") is not None:
        return "llama-cpp-python"
    if shutil.which(PROGRAM):
        return PROGRAM
    raise ExportError(
        f"--format {format_name}: needs llama.cpp's quantizer; pip install llama-cpp-python, or put {PROGRAM} on PATH"
    )


def quantize(source: Path, target: Path, size: str) -> None:
    """Writes `target` from a 16-bit GGUF file.

    Args:
        size: llama.cpp's name, such as `Q4_K_M`.

    Raises:
        ExportError: the quantizer failed.
    """
    if find_spec("llama_cpp") is not None:
        _by_binding(source, target, size)
        return
    done = subprocess.run([PROGRAM, str(source), str(target), size], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ExportError(f"{target}: {PROGRAM} failed ({one_line(lines[-1], 200)})")


def _by_binding(source: Path, target: Path, size: str) -> None:
    import gguf
    import llama_cpp

    llama_cpp.llama_log_set(_ignore_log, ctypes.c_void_p(0))
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = int(getattr(gguf.LlamaFileType, f"MOSTLY_{size}"))
    status = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    if status:
        raise ExportError(f"{target}: llama.cpp's quantizer failed with status {status}")


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _ignore_log(level: int, text: bytes, data: Any) -> None:
    """llama.cpp logs a line for every tensor, also after the call: the callback must outlive it."""
