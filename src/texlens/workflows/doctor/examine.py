"""`texlens doctor`: facts asked, judgments made, in the order in which one would mend things."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from texlens.workflows.doctor import checks as checkup
from texlens.workflows.doctor import facts
from texlens.workflows.doctor.checks import Check, GpuFacts

NANO_SHA256 = "985ba18b1748ffbd3661496d30767b6f57c12e28562b618af6987f0f66479fb2"
"""Of the shipped model's weights."""
BINARY_PAIR = "import numpy, pyarrow, pyarrow.parquet; pyarrow.array(numpy.arange(3)).to_numpy()"


def examine(output: Path, *, reading: bool = True) -> Iterator[Check]:
    """Every check, as it is made.

    Args:
        output: the folder that runs are written to.
        reading: let the shipped model read a formula; it takes a few seconds.
    """
    yield checkup.check_python(sys.version_info[:3])
    wanted = facts.package_ranges()
    packages = [checkup.check_package(name, wanted[name], *facts.package_state(name, wanted[name])) for name in wanted]
    yield from packages
    pair = "pip install --force-reinstall --no-deps 'numpy>=2.0' 'pyarrow>=18'"
    yield checkup.check_import("numpy with pyarrow", facts.import_error(BINARY_PAIR), pair, needed=True)
    if any(check.state == "fail" and check.name in ("torch", "numpy") for check in packages):
        return
    card = facts.gpu_facts()
    yield from _card(card)
    yield from _optional(card)
    yield from _surroundings(output)
    yield from _shipped_model(reading)


def _card(found: GpuFacts) -> Iterator[Check]:
    yield checkup.check_gpu(found)
    judgments: tuple[Callable, ...] = (checkup.check_capability, checkup.check_gpu_memory)
    yield from (check for judge in judgments if (check := judge(found)) is not None)


def _optional(card: GpuFacts) -> Iterator[Check]:
    """Packages without which most works: present and broken is worse than missing."""
    for name, what in (("bitsandbytes", "4- and 8-bit bases"), ("torchvision", "the stock image processors")):
        installed, _ = facts.package_state(name, "")
        if installed is None:
            state = "warn" if name == "bitsandbytes" and card.available else "ok"
            yield Check(name, state, f"not installed; {what} need it", "pip install 'texlens[gpu]'")
        else:
            remedy = f"pip uninstall -y {name}, or pip install --force-reinstall {name}"
            yield checkup.check_import(name, facts.import_error(_use_of(name, card)), remedy, needed=False)


def _use_of(name: str, card: GpuFacts) -> str:
    """Code that fails where the package does not work; on a card, bitsandbytes must quantize something."""
    if name == "bitsandbytes" and card.available:
        return "import torch, bitsandbytes as b; b.functional.quantize_4bit(torch.zeros(64, 64, device='cuda'))"
    return f"import {name}"


def _surroundings(output: Path) -> Iterator[Check]:
    from huggingface_hub import constants

    folder, free = facts.disk_free(Path(constants.HF_HUB_CACHE))
    yield checkup.check_disk(str(folder), free)
    offline = facts.offline_variable()
    error = None if offline else facts.endpoint_error(constants.ENDPOINT)
    yield checkup.check_hub(constants.ENDPOINT, offline, error)
    yield checkup.check_tokens(os.environ)
    yield checkup.check_output(str(output), facts.write_error(output))


def _shipped_model(reading: bool) -> Iterator[Check]:
    from texlens.models.bundled import NANO_FOLDER

    whole = checkup.check_weights(NANO_SHA256, facts.weights_sha256(NANO_FOLDER / "model.safetensors"))
    yield whole
    if reading and whole.state == "ok":
        yield checkup.check_reading(facts.FORMULA, *facts.one_reading())
