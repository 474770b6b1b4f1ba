"""`adapter`: the adapter as PEFT saves it, with the base's processor and chat template."""

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.adapters.lora import SETTINGS, WEIGHTS, is_full
from texlens.adapters.moe_lora.register import NAME as MOE_LORA
from texlens.core.errors import ExportError
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand, reading_code, vllm_flags
from texlens.exporting.standalone_loader import write_standalone_loader
from texlens.inference.vllm.flags import lora_flags, unsupported_reason
from texlens.models.checkpoint import read_header
from texlens.models.export_manifest import ExportManifest, ReaderName
from texlens.models.families import FAMILIES
from texlens.models.metadata import METADATA_FILE

LOADING = """from peft import PeftModel
from transformers import AutoProcessor, GenerationConfig, {class_name}
{more_import}
base = {class_name}.from_pretrained({base}, dtype="auto", device_map="auto")
model = PeftModel.from_pretrained(base, "{folder}")
model.generation_config = GenerationConfig.from_pretrained("{folder}")
processor = AutoProcessor.from_pretrained("{folder}")

{reading}"""

BUNDLED_FOLDER = '"$(python -c "from texlens.models.bundled import NANO_FOLDER; print(NANO_FOLDER)")"'
"""Where the bundled model is, in a shell: what is published names no path of this machine."""
TOLERANCE = Tolerance(kl_nats=1e-4, edit_similarity=0.001)


@dataclass(frozen=True)
class AdapterFormat:
    name: str = "adapter"
    summary: str = "the adapter as PEFT saves it: PEFT, vLLM with --enable-lora"
    reader: ReaderName = "peft"
    tolerance: Tolerance = TOLERANCE
    is_calibrated: bool = False

    def needed_bytes(self, job: ExportJob) -> int:
        return sum(path.stat().st_size for path in job.run.adapter.glob("*.safetensors"))

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        run, folder = job.run, job.folder
        if is_full(run.adapter):
            raise ExportError(f"{run.path}: fully fine-tuned, so there is no adapter; use --format merged")
        shutil.copyfile(run.adapter / SETTINGS, folder / SETTINGS)
        shutil.copyfile(run.adapter / WEIGHTS, folder / WEIGHTS)
        job.write_supporting_files()
        if (run.adapter / METADATA_FILE).is_file():
            shutil.copyfile(run.adapter / METADATA_FILE, folder / METADATA_FILE)
        if _settings(folder).get("peft_type") == MOE_LORA:
            write_standalone_loader(folder)
        coverage = run.read_list("coverage.json")
        covers_vision = any(row.get("matched") and row.get("group") in ("vision", "merger") for row in coverage)
        return {"method": "as PEFT saves it", "tower": covers_vision}

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        is_bundled = manifest.base == "nano"
        return LOADING.format(
            class_name=FAMILIES[manifest.family].class_name,
            more_import="from texlens.models.bundled import NANO_FOLDER\n" if is_bundled else "",
            base="NANO_FOLDER" if is_bundled else json.dumps(manifest.base),
            folder=folder_name,
            reading=reading_code(manifest),
        )

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        settings = _settings(staging)
        if unsupported_reason(settings, read_header(staging / WEIGHTS)):
            return []
        adapters = lora_flags({manifest.run: str(folder)}, [settings], tower=bool(manifest.notes.get("tower")))
        base = BUNDLED_FOLDER if manifest.base == "nano" else shlex.quote(manifest.base)
        return [ServingCommand("vLLM", f"vllm serve {base} {shlex.join([*adapters, *vllm_flags(manifest)])}")]


def _settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))


ADAPTER = AdapterFormat()
