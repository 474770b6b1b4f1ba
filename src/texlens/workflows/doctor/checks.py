"""Judgments about a machine, from plain facts: what is well, what is missing, and the command that mends it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
LEAST_DRIVER = {13: 580, 12: 525, 11: 450}
"""The NVIDIA driver that each major version of CUDA needs at least."""
LEAST_DISK_GIB = 10.0
TOKENS = ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "SWANLAB_API_KEY", "WANDB_API_KEY")


@dataclass(frozen=True)
class Check:
    """One finding. `warn`: something won't work or will be slow; `fail`: nothing will. `remedy` is a command."""

    name: str
    state: State
    reason: str
    remedy: str | None = None

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class GpuFacts:
    """What nvidia-smi says (`cards`, `driver`; empty and None without it) and what torch sees.

    `capability` and `memory_gib` (free, total) are of the first card, None where torch can't use one.
    """

    cards: tuple[str, ...]
    driver: str | None
    torch: str
    cuda_build: str | None
    available: bool
    capability: tuple[int, int] | None = None
    memory_gib: tuple[float, float] | None = None


def check_gpu(facts: GpuFacts) -> Check:
    """Whether card, driver and torch's build go together."""
    if facts.available:
        return Check("gpu", "ok", f"torch {facts.torch} uses {', '.join(facts.cards) or 'the GPU'}")
    if facts.cards and facts.cuda_build is None:
        reason = f"{facts.cards[0]} is here, but torch {facts.torch} is a build for processors alone"
        return Check("gpu", "warn", reason, "pip uninstall -y torch torchvision && pip install 'torch>=2.11,<2.14'")
    if facts.cards:
        return _unusable(facts)
    if facts.cuda_build:
        reason = f"no GPU; torch {facts.torch} is a build for CUDA, which works on the processor and is larger"
        return Check("gpu", "ok", reason)
    return Check("gpu", "ok", f"no GPU; torch {facts.torch} runs on the processor: fine for the shipped model")


def _unusable(facts: GpuFacts) -> Check:
    """A card and a CUDA build that don't find each other."""
    major = int((facts.cuda_build or "0").split(".")[0])
    least = LEAST_DRIVER.get(major, 0)
    driver = int(re.match(r"\d+", facts.driver or "0")[0])  # type: ignore[index]
    if driver < least:
        reason = f"driver {facts.driver} is too old for CUDA {facts.cuda_build}, which torch {facts.torch} needs"
        return Check("gpu", "warn", reason, f"install NVIDIA driver {least} or newer, or a torch for an older CUDA")
    reason = f"{facts.cards[0]} is here, yet torch {facts.torch} can't open it"
    return Check("gpu", "warn", reason, "echo CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES; nvidia-smi")


def check_capability(facts: GpuFacts) -> Check | None:
    """What the card's tensor cores take; None without a card that torch can use."""
    if facts.capability is None:
        return None
    version = ".".join(map(str, facts.capability))
    if facts.capability < (8, 0):
        reason = f"compute capability {version} has no bfloat16: training is slow and packs can't be used"
        return Check("capability", "warn", reason, "use --set train.engine=plain, or a card from Ampere on")
    fp8 = "and fp8" if facts.capability >= (8, 9) else "but no fp8"
    return Check("capability", "ok", f"compute capability {version}: bfloat16 {fp8}")


def check_gpu_memory(facts: GpuFacts) -> Check | None:
    if facts.memory_gib is None:
        return None
    free, total = facts.memory_gib
    if free < total / 2:
        reason = f"{free:.1f} of {total:.1f} GiB free: other programs hold the rest"
        return Check("gpu memory", "warn", reason, "nvidia-smi --query-compute-apps=pid,used_memory --format=csv")
    return Check("gpu memory", "ok", f"{free:.1f} of {total:.1f} GiB free")


def check_python(version: tuple[int, int, int]) -> Check:
    name = ".".join(map(str, version))
    if version < (3, 11, 0):
        return Check("python", "fail", f"Python {name}; 3.11 is needed", "python3.11 -m venv .venv")
    return Check("python", "ok", f"Python {name}")


def check_package(name: str, wanted: str, installed: str | None, inside: bool) -> Check:
    """
    Args:
        wanted: the range that TexLens was tested with, such as `>=5.17,<6`; `inside`: whether `installed` is in it.
    """
    remedy = f"pip install '{name}{wanted}'"
    if installed is None:
        return Check(name, "fail", "not installed", remedy)
    if not inside:
        return Check(name, "fail", f"{installed}, outside of {wanted}", remedy)
    return Check(name, "ok", installed)


def check_import(name: str, error: str | None, remedy: str, *, needed: bool) -> Check:
    """
    Args:
        error: what Python said when the package was imported, None where all went well.
    """
    if error is None:
        return Check(name, "ok", "can be imported")
    return Check(name, "fail" if needed else "warn", error, remedy)


def check_disk(folder: str, free_gib: float) -> Check:
    if free_gib < LEAST_DISK_GIB:
        reason = f"{free_gib:.1f} GiB free at {folder}; a 4B checkpoint takes 9"
        return Check("disk", "warn", reason, "export HF_HOME=/a/larger/disk")
    return Check("disk", "ok", f"{free_gib:,.0f} GiB free at {folder}")


def check_hub(endpoint: str, offline: str | None, error: str | None) -> Check:
    """
    Args:
        offline: the variable that keeps the hub's client offline, None where none is set.
        error: why the endpoint did not answer, None where it did.
    """
    if offline:
        return Check("hub", "ok", f"{offline} is set: only what is on this machine is used")
    if error:
        remedy = "export HF_ENDPOINT=URL-OF-A-MIRROR, or texlens models download ID --source modelscope"
        return Check("hub", "warn", f"{endpoint}: {error}", remedy)
    return Check("hub", "ok", f"{endpoint} answers")


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


def check_reading(wanted: str, got: str, seconds: float) -> Check:
    if wanted != got:
        remedy = "pip install --force-reinstall texlens"
        return Check("reading", "fail", f"the shipped model read {got!r} where {wanted!r} is drawn", remedy)
    return Check("reading", "ok", f"the shipped model read a formula right in {seconds:.1f} s, loading included")


def check_weights(wanted: str, got: str | None) -> Check:
    if got is None or got != wanted:
        found = "missing" if got is None else f"damaged (sha256 {got[:12]}…, not {wanted[:12]}…)"
        return Check("shipped model", "fail", f"its weights are {found}", "git checkout -- src/texlens/models/nano")
    return Check("shipped model", "ok", f"whole (sha256 {got[:12]}…)")
