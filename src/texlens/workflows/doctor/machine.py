"""The state of this machine: packages, GPU, disk, hub, and one reading by the shipped model."""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from texlens.core.errors import one_line
from texlens.core.files import sha256_of
from texlens.core.own_process import code_command
from texlens.workflows.doctor.checks import GpuState

QUICK_S = 5.0
SLOW_S = 120.0
NEEDED = ("torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "safetensors", "numpy", "pyarrow")
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
FORMULA = r"\frac { a } { b } + c ^ { 2 }"


def package_ranges() -> dict[str, str]:
    """The range of each needed package that this version of TexLens declares."""
    declared = (Requirement(line) for line in metadata.requires("texlens") or ())
    return {
        package.name: str(package.specifier)
        for package in declared
        if package.name in NEEDED and package.marker is None
    }


def package_state(name: str, required: str) -> tuple[str | None, bool]:
    """The installed version and whether it is in the required range."""
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return None, False
    return installed, Requirement(f"{name}{required}").specifier.contains(installed, prereleases=True)


def import_error(code: str) -> str | None:
    """The last line on standard error of a new Python process that runs `code`; None where it succeeds.

    A separate process, because a broken binary package can crash Python.
    """
    try:
        done = subprocess.run(code_command(code), capture_output=True, text=True, timeout=SLOW_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {SLOW_S:.0f} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"exit code {done.returncode}"


def gpu_state() -> GpuState:
    import torch

    gpus, driver = _nvidia_smi()
    available = torch.cuda.is_available()
    capability = memory = None
    if available:
        capability = torch.cuda.get_device_capability(0)
        free, total = torch.cuda.mem_get_info(0)
        memory = (free / 2**30, total / 2**30)
        gpus = gpus or (torch.cuda.get_device_name(0),)
    return GpuState(gpus, driver, torch.__version__, torch.version.cuda, available, capability, memory)


def _nvidia_smi() -> tuple[tuple[str, ...], str | None]:
    """Names of the gpus and the driver's version."""
    if shutil.which("nvidia-smi") is None:
        return (), None
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (), None
    rows = [line.rsplit(",", 1) for line in done.stdout.splitlines() if line.count(",")]
    if done.returncode or not rows:
        return (), None
    return tuple(name.strip() for name, _ in rows), rows[0][1].strip()


def disk_free(folder: Path) -> tuple[Path, float]:
    """The nearest folder that exists, and the GiB free there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder, shutil.disk_usage(folder).free / 2**30


def offline_variable() -> str | None:
    return next(
        (name for name in OFFLINE_VARIABLES if os.environ.get(name, "0").upper() in ("1", "ON", "YES", "TRUE")), None
    )


def endpoint_error(endpoint: str) -> str | None:
    """Why a web server does not answer within a few seconds; any HTTP status counts as an answer."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=QUICK_S).close()
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as error:
        return one_line(getattr(error, "reason", error), 200)
    return None


def write_error(folder: Path) -> str | None:
    """Why nothing can be written into the folder (or its nearest parent that exists)."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return None


def weights_sha256(file: Path) -> str | None:
    return sha256_of(file) if file.is_file() else None


def one_reading() -> tuple[str, float]:
    """The shipped model's reading of a formula drawn here, in canonical form, and the seconds it took."""
    from transformers.utils import logging

    from texlens.data.sample import LazyImage, Sample
    from texlens.inference.open import open_model
    from texlens.latex.parse.tokens import canonical_spacing
    from texlens.latex.render.formats import render_png

    logging.disable_progress_bar()
    began = time.monotonic()
    picture = LazyImage.from_bytes(render_png(FORMULA), "self-test")
    (prediction,) = open_model("nano", device="cpu").read([Sample("self-test", picture, "")])
    return canonical_spacing(prediction.text), time.monotonic() - began
