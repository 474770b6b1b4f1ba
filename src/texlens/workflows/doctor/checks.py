"""Health checks from what is known of a machine: what works, what is missing, and the command that fixes it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "info", "warn", "fail"]
MIN_DRIVER = {13: 580, 12: 525, 11: 450}
"""The oldest NVIDIA driver for each major version of CUDA."""
MIN_DISK_GIB = 10.0
TOKENS = ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "SWANLAB_API_KEY", "WANDB_API_KEY")


@dataclass(frozen=True)
class Check:
    """One result. `info`: something optional is missing; `warn`: something won't work or will be slow; `fail`: nothing
    will work. `remedy` is a command."""

    name: str
    status: Status
    reason: str
    remedy: str | None = None

    def to_json(self) -> dict:
        """`state` is the name of `status` in version 0.1."""
        return {**asdict(self), "state": self.status}


@dataclass(frozen=True)
class GpuState:
    """What nvidia-smi reports (`gpus`, `driver`; empty and None without it) and what torch sees.

    `capability` and `memory_gib` (free, total) are of the first GPU, None where torch can't use one.
    """

    gpus: tuple[str, ...]
    driver: str | None
    torch: str
    cuda_build: str | None
    available: bool
    capability: tuple[int, int] | None = None
    memory_gib: tuple[float, float] | None = None


def check_gpu(gpu: GpuState) -> Check:
    """Whether GPU, driver and torch's build fit together."""
    if gpu.available:
        return Check("gpu", "ok", f"torch {gpu.torch} uses {', '.join(gpu.gpus) or 'the GPU'}")
    if gpu.gpus and gpu.cuda_build is None:
        reason = f"{gpu.gpus[0]} is here, but torch {gpu.torch} is a build for CPUs"
        return Check("gpu", "warn", reason, "pip uninstall -y torch torchvision && pip install 'torch>=2.11,<2.14'")
    if gpu.gpus:
        return _unusable(gpu)
    if gpu.cuda_build:
        reason = f"no GPU; torch {gpu.torch} is a build for CUDA, which works on the CPU and is larger"
        return Check("gpu", "ok", reason)
    return Check("gpu", "ok", f"no GPU; torch {gpu.torch} runs on the CPU: fine for the shipped model")


def _unusable(gpu: GpuState) -> Check:
    """A GPU and a CUDA build that can't be used together."""
    major = int((gpu.cuda_build or "0").split(".")[0])
    least = MIN_DRIVER.get(major, 0)
    driver = int(re.match(r"\d+", gpu.driver or "0")[0])  # type: ignore[index]
    if driver < least:
        reason = f"driver {gpu.driver} is too old for CUDA {gpu.cuda_build}, which torch {gpu.torch} needs"
        return Check("gpu", "warn", reason, f"install NVIDIA driver {least} or newer, or a torch for an older CUDA")
    reason = f"{gpu.gpus[0]} is here, yet torch {gpu.torch} can't open it"
    return Check("gpu", "warn", reason, "echo CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES; nvidia-smi")


def check_capability(gpu: GpuState) -> Check | None:
    """Which number formats the GPU computes in; None without a GPU that torch can use."""
    if gpu.capability is None:
        return None
    version = ".".join(map(str, gpu.capability))
    if gpu.capability < (8, 0):
        reason = f"compute capability {version} has no bfloat16: training is slow and packs can't be used"
        return Check("capability", "warn", reason, "use --set train.compute.backend=plain, or a GPU from Ampere on")
    fp8 = "and fp8" if gpu.capability >= (8, 9) else "but no fp8"
    return Check("capability", "ok", f"compute capability {version}: bfloat16 {fp8}")


def check_gpu_memory(gpu: GpuState) -> Check | None:
    if gpu.memory_gib is None:
        return None
    free, total = gpu.memory_gib
    if free < total / 2:
        reason = f"{free:.1f} of {total:.1f} GiB free: other programs hold the rest"
        return Check("gpu memory", "warn", reason, "nvidia-smi --query-compute-apps=pid,used_memory --format=csv")
    return Check("gpu memory", "ok", f"{free:.1f} of {total:.1f} GiB free")


def check_python(version: tuple[int, int, int]) -> Check:
    name = ".".join(map(str, version))
    if version < (3, 11, 0):
        return Check("python", "fail", f"Python {name}; 3.11 is needed", "python3.11 -m venv .venv")
    return Check("python", "ok", f"Python {name}")


def check_package(name: str, required: str, installed: str | None, inside: bool) -> Check:
    """
    Args:
        required: the range that TexLens was tested with, such as `>=5.17,<6`.
        inside: whether `installed` is in it.
    """
    remedy = f"pip install '{name}{required}'"
    if installed is None:
        return Check(name, "fail", "not installed", remedy)
    if not inside:
        return Check(name, "fail", f"{installed}, outside {required}", remedy)
    return Check(name, "ok", installed)


def check_import(name: str, error: str | None, remedy: str, *, needed: bool) -> Check:
    """
    Args:
        error: of importing the package, None where it succeeded.
    """
    if error is None:
        return Check(name, "ok", "can be imported")
    return Check(name, "fail" if needed else "warn", error, remedy)


def check_optional(name: str, purpose: str, installed: bool, *, needed: bool) -> Check | None:
    """A missing optional package; None where it is installed.

    Args:
        needed: this machine could use it.
    """
    if installed:
        return None
    status: Status = "warn" if needed else "info"
    return Check(name, status, f"not installed; needed for {purpose}", "pip install 'texlens[gpu]'")


def conclusion(checks: Sequence[Check]) -> str:
    """One line: whether TexLens works here, and which checks need attention."""
    failed = [check.name for check in checks if check.status == "fail"]
    warned = [check.name for check in checks if check.status == "warn"]
    if failed:
        return f"TexLens can't work here until this is fixed: {', '.join(failed)}"
    return f"TexLens works here, with limits: {', '.join(warned)}" if warned else "TexLens works here"


def check_cjk_font(is_installed: bool) -> Check:
    """Whether Chinese, Japanese and Korean text in formulas can be drawn; scores never need it."""
    if is_installed:
        return Check("cjk font", "ok", "Chinese, Japanese and Korean text in formulas is drawn")
    reason = "none: Chinese, Japanese and Korean text in formulas is drawn as frames"
    return Check("cjk font", "info", reason, "apt-get install fonts-noto-cjk, or set TEXLENS_CJK_FONT to a font file")


def check_disk(folder: str, free_gib: float) -> Check:
    if free_gib < MIN_DISK_GIB:
        reason = f"{free_gib:.1f} GiB free at {folder}; a 4B checkpoint takes 9"
        return Check("disk", "warn", reason, "export HF_HOME=/a/larger/disk")
    return Check("disk", "ok", f"{free_gib:,.0f} GiB free at {folder}")


def check_hub(endpoint: str, offline: str | None, error: str | None) -> Check:
    """Whether models can be downloaded; user name and password in the endpoint's URL are never shown.

    Args:
        offline: the variable that keeps the hub's client offline, None where none is set.
        error: why the endpoint did not answer, None where it did.
    """
    if offline:
        return Check("hub", "ok", f"{offline} is set: only what is on this machine is used")
    endpoint = without_credentials(endpoint)
    if error:
        remedy = "export HF_ENDPOINT=URL-OF-A-MIRROR, or texlens models download ID --source modelscope"
        return Check("hub", "warn", f"{endpoint}: {error}", remedy)
    return Check("hub", "ok", f"{endpoint} answers")


def without_credentials(url: str) -> str:
    """
    Example:
        "https://me:secret@hub.example/x" -> "https://…@hub.example/x"
    """
    return re.sub(r"(?<=//)[^/@]*@", "…@", url)


def check_tokens(environment: Mapping[str, str]) -> Check:
    """Which keys are set; their values are never shown."""
    present = [name for name in TOKENS if environment.get(name)]
    return Check("tokens", "ok", f"set: {', '.join(present)}" if present else "none set; public models need none")


def check_output(folder: str, error: str | None) -> Check:
    if error:
        return Check(
            "runs", "fail", f"{folder}: can't write ({error})", "use --set output=FOLDER with one you may write"
        )
    return Check("runs", "ok", f"{folder} can be written")


def check_reading(expected: str, got: str, seconds: float) -> Check:
    """Whether both formulas are one, however they are written."""
    from texlens.latex.canonical.form import canonical

    if canonical(expected) != canonical(got):
        remedy = "pip install --force-reinstall texlens"
        return Check("reading", "fail", f"the shipped model read {got!r} where {expected!r} is drawn", remedy)
    return Check("reading", "ok", f"the shipped model read a formula right in {seconds:.1f} s, loading included")


def check_weights(expected: str, got: str | None) -> Check:
    """
    Args:
        expected, got: SHA-256 of the shipped model's weights; None where the file is missing.
    """
    if got is not None and got == expected:
        return Check("shipped model", "ok", f"complete (sha256 {got[:12]}…)")
    problem = "missing" if got is None else f"damaged (sha256 {got[:12]}…, not {expected[:12]}…)"
    return Check("shipped model", "fail", f"its weights are {problem}", "git checkout -- src/texlens/models/nano")
