"""The command that serves the same models with vLLM: base, adapters by name, pixel limits, key."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from texlens.adapters.lora import WEIGHTS
from texlens.core.errors import ConfigError, ModelError, one_line
from texlens.inference.opening.compatibility import adapter_settings, check_shared
from texlens.inference.opening.source import ModelSource, resolve
from texlens.inference.vllm.flags import decoding_flags, image_flags, lora_flags, template_flags, unsupported_reason
from texlens.models.checkpoint import read_header

MODULE = "vllm.entrypoints.cli.main"
"""What the `vllm` script of vLLM's wheel runs, for `python -m`."""

OWN_VARIABLES = ("PYTHONPATH", "PYTHONHOME")
PROBE_TIMEOUT_S = 60


def vllm_command(
    models: Sequence[str],
    *,
    host: str,
    port: int,
    checkpoint: str | int | None = None,
    python: Path | None = None,
) -> list[str]:
    """Program and arguments; the key stays in the environment, where `ps` does not show it.

    Args:
        python: the interpreter of the environment that has vLLM; None for the `vllm` on the PATH.

    Raises:
        ModelError: no such model, several bases, or an adapter that vLLM can't serve.
    """
    sources = [resolve(model, checkpoint=checkpoint) for model in models]
    check_shared(sources)
    adapters = [source for source in sources if source.adapter is not None]
    first = next((source for source in sources if source.adapter is None), adapters[0] if adapters else sources[0])
    name = first.name if first.adapter is None else first.base.folder.name
    if name in {source.name for source in adapters}:
        name += "-base"
    program = ["vllm"] if python is None else [str(python), "-m", MODULE]
    command = [*program, "serve", str(first.base.folder), "--host", host, "--port", str(port)]
    flags = [*decoding_flags(temperature=0.0), *image_flags(*_pixel_budget(adapters or sources))]
    flags += template_flags(first.base.processor.family)
    return [*command, "--served-model-name", name, *flags, *_lora(adapters)]


def check_vllm_python(python: Path) -> None:
    """
    Raises:
        ConfigError: not an interpreter, or one without vLLM.
    """
    probe = [str(python), "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"]
    try:
        is_missing = subprocess.run(probe, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"--vllm-python {python}: can't be run ({one_line(error)}); name an interpreter") from None
    if is_missing:
        raise ConfigError(f"--vllm-python {python}: has no vLLM; {python} -m pip install vllm")


def run_vllm(command: Sequence[str], key: str | None) -> int | None:
    """Replace this process by vLLM; None where it is not installed.

    PYTHONPATH and PYTHONHOME belong to this environment, so another interpreter starts without them.
    """
    program = shutil.which(command[0])
    if program is None:
        return None
    environment = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
    if MODULE in command:
        environment = {name: value for name, value in environment.items() if name not in OWN_VARIABLES}
    os.execve(program, [program, *command[1:]], environment)


def as_shell(command: Sequence[str]) -> str:
    return shlex.join(command)


def _pixel_budget(sources: Sequence[ModelSource]) -> tuple[int, int]:
    """Smallest and largest image, in pixels, that the models were trained with.

    Raises:
        ModelError: different budgets, of which vLLM has one for all adapters.
    """
    geometries = [source.base.processor.geometry for source in sources]
    budgets = {(geometry.min_pixels, geometry.max_pixels) for geometry in geometries}
    if len(budgets) > 1:
        raise ModelError(f"adapters of {len(budgets)} pixel budgets; vLLM has one for all, so serve them separately")
    return budgets.pop()


def _lora(adapters: Sequence[ModelSource]) -> list[str]:
    """
    Raises:
        ModelError: an adapter that vLLM can't serve.
    """
    if not adapters:
        return []
    settings = [adapter_settings(source) for source in adapters]
    for source, values in zip(adapters, settings, strict=True):
        assert source.adapter is not None
        if reason := unsupported_reason(values, read_header(source.adapter / WEIGHTS)):
            merge = (
                "use --engine transformers"
                if values.get("peft_type") != "LORA"
                else "merge it with `texlens export`, or use --engine transformers"
            )
            raise ModelError(f"{source.adapter}: {reason}; {merge}")
    folders = {source.name: source.adapter.resolve() for source in adapters if source.adapter is not None}
    tower = any(".visual." in name for folder in folders.values() for name in read_header(folder / WEIGHTS))
    return lora_flags({name: str(folder) for name, folder in folders.items()}, settings, tower=tower)
