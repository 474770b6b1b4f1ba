"""The command that serves the same models by vLLM: base, adapters by name, pixel limits, key.

vLLM's flags as of version 0.14 and later: `--enable-lora` with `--lora-modules NAME=PATH`, `--max-lora-rank` (one of
the ranks that its kernels know), `--enable-tower-connector-lora` for LoRA on the vision tower and the merger,
`--mm-processor-kwargs` with the image processor's own settings.
"""

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from texlens.adapters.card import AdapterCard
from texlens.adapters.lora import SETTINGS, WEIGHTS, check_adapter
from texlens.config.load import load_config
from texlens.config.model import ModelSettings
from texlens.core.errors import ModelError
from texlens.core.run_folder import MANIFEST, RunFolder
from texlens.models.build import Base, build_base
from texlens.models.checkpoint import read_header
from texlens.serve.names import refuse_missing_run

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank may be."""


def vllm_command(models: Sequence[str], *, host: str, port: int) -> list[str]:
    """Program and arguments; the key is left to the environment, where `ps` does not show it.

    Raises:
        ModelError: no such model, several bases, or an adapter that vLLM can't take.
    """
    runs = [RunFolder.open(Path(model)) for model in models if (Path(model) / MANIFEST).is_file()]
    bases = [model for model in models if not (Path(model) / MANIFEST).is_file()]
    for path in bases:
        refuse_missing_run(path)
    settings = load_config(runs[0].config).model if runs else ModelSettings(path=bases[0])
    base = build_base(settings)
    for run in runs:
        check_adapter(run.adapter, base.fingerprint)
    if len(bases) > 1 or (bases and runs and build_base(ModelSettings(path=bases[0])).fingerprint != base.fingerprint):
        raise ModelError(f"{bases[-1]}: one base can be served at a time; start a second server")
    command = ["vllm", "serve", str(base.folder), "--host", host, "--port", str(port)]
    command += ["--served-model-name", Path(bases[0] if bases else settings.path).name]
    command += ["--limit-mm-per-prompt", json.dumps({"image": 1, "video": 0})]
    command += ["--mm-processor-kwargs", json.dumps(_pixels(base, runs))]
    return command + _lora(runs)


def run_vllm(command: Sequence[str], key: str | None) -> int | None:
    """Becomes vLLM, or gives None where it is not installed."""
    program = shutil.which(command[0])
    if program is None:
        return None
    environment = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
    os.execve(program, [program, *command[1:]], environment)


def printed(command: Sequence[str]) -> str:
    return shlex.join(command)


def _pixels(base: Base, runs: Sequence[RunFolder]) -> Mapping[str, object]:
    """The pixel budget that the adapters were trained with, in the image processor's words.

    Raises:
        ModelError: adapters with different budgets, which one vLLM can't keep apart.
    """
    geometry = base.processor.geometry
    cards = [AdapterCard.read(run.adapter) for run in runs]
    budgets = {(card.min_pixels, card.max_pixels) for card in cards if card} or {
        (geometry.min_pixels, geometry.max_pixels)
    }
    if len(budgets) > 1:
        raise ModelError(f"adapters of {len(budgets)} pixel budgets; vLLM has one for all, so serve them apart")
    low, high = budgets.pop()
    return {"min_pixels": low, "max_pixels": high, "size": {"shortest_edge": low, "longest_edge": high}}


def _lora(runs: Sequence[RunFolder]) -> list[str]:
    if not runs:
        return []
    highest = max(_highest_rank(run.adapter) for run in runs)
    rank = next((known for known in RANKS if known >= highest), None)
    if rank is None:
        raise ModelError(f"an adapter of rank {highest}, over vLLM's {RANKS[-1]}; merge it with `texlens export`")
    flags = ["--enable-lora", "--max-loras", str(len(runs)), "--max-lora-rank", str(rank)]
    if any(".visual." in name for run in runs for name in read_header(run.adapter / WEIGHTS)):
        flags.append("--enable-tower-connector-lora")
    return [*flags, "--lora-modules", *(f"{run.path.name}={run.adapter.resolve()}" for run in runs)]


def _highest_rank(adapter: Path) -> int:
    """
    Raises:
        ModelError: not a plain LoRA.
    """
    settings = json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))
    if settings.get("peft_type") != "LORA":
        raise ModelError(
            f"{adapter}: vLLM takes LoRA alone; merge it with `texlens export`, or use --engine transformers"
        )
    return max([int(settings["r"]), *map(int, (settings.get("rank_pattern") or {}).values())])
