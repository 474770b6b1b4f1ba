"""`GgufFormat`: files for llama.cpp, the language model in one of its sizes, tower and merger in 16 bits."""

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.exporting.formats.merged import checkpoint_bytes, via_merged
from texlens.exporting.formats.protocol import ExportJob, Tolerance
from texlens.exporting.formats.serving_commands import ServingCommand
from texlens.exporting.gguf.modelfile import MODELFILE, write_modelfile
from texlens.exporting.gguf.write import write_gguf
from texlens.inference.vllm.flags import WITHOUT_THINKING
from texlens.models.checkpoint import CONFIG
from texlens.models.export_manifest import ExportManifest, ReaderName
from texlens.models.families import FAMILIES


@dataclass(frozen=True)
class GgufFormat:
    """
    Args:
        size: of the language model, as llama.cpp names it.
    """

    name: str
    size: str
    tolerance: Tolerance
    reader: ReaderName = "llama.cpp"
    is_calibrated: bool = False

    @property
    def summary(self) -> str:
        return f"language model {self.size}, vision tower 16 bits: llama.cpp"

    def needed_bytes(self, job: ExportJob) -> int:
        return 2 * checkpoint_bytes(job)

    def write(self, job: ExportJob) -> Mapping[str, Any]:
        base = job.base
        notes = via_merged(job, self._converter(job))
        shutil.copyfile(base.folder / CONFIG, job.folder / CONFIG)
        job.write_supporting_files()
        write_modelfile(job.folder, notes, base.processor, job.decoding, job.config.data.system_prompt)
        return notes

    def loading_code(self, manifest: ExportManifest, folder_name: str) -> str | None:
        return None

    def serving_commands(self, manifest: ExportManifest, folder: Path, staging: Path) -> list[ServingCommand]:
        notes = manifest.notes
        fewest, most = (pixels // notes["pixels a token"] for pixels in (manifest.min_pixels, manifest.max_pixels))
        server = ["llama-server", "-m", str(folder / notes["model"]), "--mmproj", str(folder / notes["projector"])]
        server += ["--image-min-tokens", str(fewest), "--image-max-tokens", str(most)]
        server += ["--temp", f"{manifest.temperature:g}", "--top-k", "0", "--top-p", "1", "--min-p", "0"]
        if FAMILIES[manifest.family].thinks:
            server += ["--chat-template-kwargs", json.dumps(WITHOUT_THINKING)]
        create = ["ollama", "create", folder.name, "-f", str(folder / MODELFILE)]
        return [ServingCommand("llama.cpp", shlex.join(server)), ServingCommand("Ollama", shlex.join(create))]

    def _converter(self, job: ExportJob) -> Callable[[Path], Mapping[str, Any]]:
        processor = job.base.processor
        return lambda merged: write_gguf(merged, processor, job.decoding, job.folder, size=self.size, name=self.name)
