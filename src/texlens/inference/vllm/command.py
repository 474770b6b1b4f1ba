"""The command that serves the same models with vLLM: base, adapters by name, pixel limits, key."""

import os
import shlex
import shutil
from collections.abc import Sequence

from texlens.adapters.lora import WEIGHTS
from texlens.core.errors import ModelError
from texlens.inference.opening.compatibility import adapter_settings, check_shared
from texlens.inference.opening.source import ModelSource, resolve
from texlens.inference.vllm.flags import decoding_flags, image_flags, lora_flags, unsupported_reason
from texlens.models.checkpoint import read_header


def vllm_command(models: Sequence[str], *, host: str, port: int, checkpoint: str | int | None = None) -> list[str]:
    """Program and arguments; the key stays in the environment, where `ps` does not show it.

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
    command = ["vllm", "serve", str(first.base.folder), "--host", host, "--port", str(port)]
    flags = [*decoding_flags(temperature=0.0), *image_flags(*_pixel_budget(adapters or sources))]
    return [*command, "--served-model-name", name, *flags, *_lora(adapters)]


def run_vllm(command: Sequence[str], key: str | None) -> int | None:
    """Replace this process by vLLM; None where it is not installed."""
    program = shutil.which(command[0])
    if program is None:
        return None
    environment = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
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
        if reason := unsupported_reason(values):
            merge = (
                "use --engine transformers"
                if values.get("peft_type") != "LORA"
                else "merge it with `texlens export`, or use --engine transformers"
            )
            raise ModelError(f"{source.adapter}: {reason}; {merge}")
    folders = {source.name: source.adapter.resolve() for source in adapters if source.adapter is not None}
    tower = any(".visual." in name for folder in folders.values() for name in read_header(folder / WEIGHTS))
    return lora_flags({name: str(folder) for name, folder in folders.items()}, settings, tower=tower)
