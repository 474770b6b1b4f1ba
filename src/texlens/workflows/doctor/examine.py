"""`texlens doctor`: runs the health checks, in the order in which problems are best fixed."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from texlens.latex.layout.fonts import cjk_font
from texlens.workflows.doctor import checks, machine
from texlens.workflows.doctor.checks import Check, GpuState

NANO_SHA256 = "64704c1818a4bc3234b7cee11bb877f3c6f731755013625b26af6ae2ed05f72d"
"""Of the shipped model's weights."""
BINARY_PAIR = "import numpy, pyarrow, pyarrow.parquet; pyarrow.array(numpy.arange(3)).to_numpy()"


def examine(output: Path, *, reading: bool = True) -> Iterator[Check]:
    """Yields each check when it is done.

    Args:
        output: the folder that runs are written to.
        reading: let the shipped model read a formula; it takes a few seconds.
    """
    yield checks.check_python(sys.version_info[:3])
    ranges = machine.package_ranges()
    packages = [checks.check_package(name, ranges[name], *machine.package_state(name, ranges[name])) for name in ranges]
    yield from packages
    pair = "pip install --force-reinstall --no-deps 'numpy>=2.0' 'pyarrow>=18'"
    yield checks.check_import("numpy with pyarrow", machine.import_error(BINARY_PAIR), pair, needed=True)
    if any(check.status == "fail" and check.name in ("torch", "numpy") for check in packages):
        return
    gpu = machine.gpu_state()
    yield from _gpu(gpu)
    yield from _optional(gpu)
    yield checks.check_cjk_font(cjk_font() is not None)
    yield from _surroundings(output)
    yield from _shipped_model(reading)


def _gpu(gpu: GpuState) -> Iterator[Check]:
    yield checks.check_gpu(gpu)
    more: tuple[Callable[[GpuState], Check | None], ...] = (checks.check_capability, checks.check_gpu_memory)
    yield from (check for check_more in more if (check := check_more(gpu)) is not None)


def _optional(gpu: GpuState) -> Iterator[Check]:
    """Packages that are needed for some features only; one that is installed and broken is worse than a missing one."""
    for name, purpose in (("bitsandbytes", "4- and 8-bit bases"), ("torchvision", "the stock image processors")):
        installed, _ = machine.package_state(name, "")
        needed = name == "bitsandbytes" and gpu.available
        missing = checks.check_optional(name, purpose, installed is not None, needed=needed)
        remedy = f"pip uninstall -y {name}, or pip install --force-reinstall {name}"
        yield missing or checks.check_import(name, machine.import_error(_use_of(name, gpu)), remedy, needed=False)


def _use_of(name: str, gpu: GpuState) -> str:
    """Code that fails where the package does not work; with a GPU, bitsandbytes must quantize a tensor."""
    if name == "bitsandbytes" and gpu.available:
        return "import torch, bitsandbytes as b; b.functional.quantize_4bit(torch.zeros(64, 64, device='cuda'))"
    return f"import {name}"


def _surroundings(output: Path) -> Iterator[Check]:
    from huggingface_hub import constants

    folder, free = machine.disk_free(Path(constants.HF_HUB_CACHE))
    yield checks.check_disk(str(folder), free)
    offline = machine.offline_variable()
    error = None if offline else machine.endpoint_error(constants.ENDPOINT)
    yield checks.check_hub(constants.ENDPOINT, offline, error)
    yield checks.check_tokens(os.environ)
    yield checks.check_output(str(output), machine.write_error(output))


def _shipped_model(reading: bool) -> Iterator[Check]:
    from texlens.models.bundled import NANO_FOLDER

    weights = checks.check_weights(NANO_SHA256, machine.weights_sha256(NANO_FOLDER / "model.safetensors"))
    yield weights
    if reading and weights.status == "ok":
        yield checks.check_reading(machine.FORMULA, *machine.one_reading())
