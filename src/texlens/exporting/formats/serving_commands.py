"""Commands and code that checkpoints in transformers' layout have in common."""

import shlex
from pathlib import Path

from texlens.inference.vllm.flags import image_flags
from texlens.models.export_manifest import ExportManifest
from texlens.models.families import FAMILIES

LOADING = """from transformers import AutoProcessor, {class_name}

model = {class_name}.from_pretrained("{folder}", device_map="auto")
processor = AutoProcessor.from_pretrained("{folder}")"""


def checkpoint_loading_code(manifest: ExportManifest, folder_name: str) -> str:
    return LOADING.format(class_name=FAMILIES[manifest.family].class_name, folder=folder_name)


def checkpoint_commands(manifest: ExportManifest, folder: Path) -> list[str]:
    images = image_flags(manifest.min_pixels, manifest.max_pixels)
    return [shlex.join(["vllm", "serve", str(folder), *images])]
