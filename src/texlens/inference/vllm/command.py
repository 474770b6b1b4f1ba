"""The command that serves the same models by vLLM: base, adapters by name, pixel limits, key."""

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from texlens.adapters.lora import WEIGHTS, check_adapter, is_full
from texlens.adapters.metadata import AdapterMetadata
from texlens.config.load import load_saved_config
from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.inference.compatibility import check_together, refuse_unservable, settings_of
from texlens.inference.names import refuse_missing_run
from texlens.inference.vllm.flags import image_flags, lora_flags, why_not_vllm
from texlens.models.build import BaseCheckpoint, build_base
from texlens.models.checkpoint import read_header
from texlens.models.export_manifest import ExportManifest


def vllm_command(models: Sequence[str], *, host: str, port: int) -> list[str]:
    """Program and arguments; the key is left to the environment, where `ps` does not show it.

    Raises:
        ModelError: no such model, several bases, or an adapter that vLLM can't take.
    """
    runs = [RunFolder.open(Path(model)) for model in models if (Path(model) / MANIFEST).is_file()]
    bases = [model for model in models if not (Path(model) / MANIFEST).is_file()]
    for path in bases:
        refuse_missing_run(path)
        refuse_unservable(path)
    check_together(models, runs)
    if runs and is_full(runs[0].adapter):
        return _command(build_base(ModelSettings(path=str(runs[0].adapter))), runs[0].path.name, runs, host, port)
    settings = load_saved_config(runs[0].config).model if runs else ModelSettings(path=bases[0])
    base = build_base(settings)
    for run in runs:
        check_adapter(run.adapter, base.fingerprint)
    if len(bases) > 1 or (bases and runs and build_base(ModelSettings(path=bases[0])).fingerprint != base.fingerprint):
        raise ModelError(f"{bases[-1]}: one base can be served at a time; start a second server")
    name = Path(bases[0] if bases else settings.path).name
    name += "-base" * (name in {run.path.name for run in runs})
    return [*_command(base, name, runs, host, port), *_lora(runs)]


def _command(base: BaseCheckpoint, name: str, runs: Sequence[RunFolder], host: str, port: int) -> list[str]:
    command = ["vllm", "serve", str(base.folder), "--host", host, "--port", str(port), "--served-model-name", name]
    return command + image_flags(*_pixels(base, runs))


def run_vllm(command: Sequence[str], key: str | None) -> int | None:
    """Becomes vLLM, or gives None where it is not installed."""
    program = shutil.which(command[0])
    if program is None:
        return None
    environment = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
    os.execve(program, [program, *command[1:]], environment)


def printed(command: Sequence[str]) -> str:
    return shlex.join(command)


def _pixels(base: BaseCheckpoint, runs: Sequence[RunFolder]) -> tuple[int, int]:
    """The pixel budget that the adapters were trained with, or that of the folder.

    Raises:
        ModelError: adapters with different budgets, which one vLLM can't keep apart.
    """
    cards: list[Any] = [AdapterMetadata.read(run.adapter) for run in runs] or [ExportManifest.read(base.folder)]
    geometry = base.processor.geometry
    budgets = {(card.min_pixels, card.max_pixels) for card in cards if card} or {
        (geometry.min_pixels, geometry.max_pixels)
    }
    if len(budgets) > 1:
        raise ModelError(f"adapters of {len(budgets)} pixel budgets; vLLM has one for all, so serve them apart")
    return budgets.pop()


def _lora(runs: Sequence[RunFolder]) -> list[str]:
    """
    Raises:
        ModelError: an adapter that vLLM can't take.
    """
    if not runs:
        return []
    settings = [settings_of(run) for run in runs]
    for run, one in zip(runs, settings, strict=True):
        if reason := why_not_vllm(one):
            merge = (
                "use --engine transformers"
                if one.get("peft_type") != "LORA"
                else ("merge it with `texlens export`, or use --engine transformers")
            )
            raise ModelError(f"{run.adapter}: {reason}; {merge}")
    tower = any(".visual." in name for run in runs for name in read_header(run.adapter / WEIGHTS))
    return lora_flags({run.path.name: str(run.adapter.resolve()) for run in runs}, settings, tower=tower)
