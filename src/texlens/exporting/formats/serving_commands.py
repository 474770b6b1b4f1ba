"""Commands and code that checkpoints in transformers' layout have in common.

Every command decodes as the run's predictions were decoded and resizes images as in training. Flags as of vLLM 0.33 and
SGLang 0.5 (read in their sources; none of these servers is run by the tests).
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from texlens.inference.vllm.flags import WITHOUT_THINKING, decoding_flags, image_flags, template_flags
from texlens.models.export_manifest import ExportManifest
from texlens.models.families import FAMILIES

LOADING = """from transformers import AutoProcessor, {class_name}

model = {class_name}.from_pretrained("{folder}", dtype="auto", device_map="auto")
processor = AutoProcessor.from_pretrained("{folder}")

{reading}"""

READING = """messages = [{{"role": "user", "content": [
    {{"type": "image", "url": "formula.png"}},
    {{"type": "text", "text": {prompt}}},
]}}]
inputs = processor.apply_chat_template(
    messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"{thinking}
).to(model.device)
tokens = model.generate(**inputs)  # decodes as generation_config.json says: {decoding}
print(processor.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0])"""


@dataclass(frozen=True)
class ServingCommand:
    """A shell command, and the program that it starts."""

    program: str
    command: str


def checkpoint_loading_code(manifest: ExportManifest, folder_name: str) -> str:
    return LOADING.format(
        class_name=FAMILIES[manifest.family].class_name,
        folder=folder_name,
        reading=reading_code(manifest),
    )


def reading_code(manifest: ExportManifest) -> str:
    """Python that reads an image with the variables `model` and `processor`."""
    return READING.format(
        prompt=json.dumps(manifest.prompt, ensure_ascii=False),
        thinking=", enable_thinking=False" if FAMILIES[manifest.family].thinks else "",
        decoding=_decoding_in_words(manifest),
    )


def checkpoint_commands(manifest: ExportManifest, folder: Path) -> list[ServingCommand]:
    return [
        ServingCommand("vLLM", shlex.join(["vllm", "serve", str(folder), *vllm_flags(manifest)])),
        ServingCommand("SGLang", shlex.join(_sglang(manifest, folder)) + _request_note(manifest)),
        ServingCommand("TGI", _tgi(manifest, folder)),
    ]


def vllm_flags(manifest: ExportManifest) -> list[str]:
    family = FAMILIES[manifest.family]
    images = image_flags(manifest.min_pixels, manifest.max_pixels)
    return [*decoding_flags(manifest.temperature), *images, *template_flags(family)]


def _decoding_in_words(manifest: ExportManifest) -> str:
    return f"temperature {manifest.temperature:g}" if manifest.temperature else "greedily"


def _sglang(manifest: ExportManifest, folder: Path) -> list[str]:
    """SGLang takes sampling defaults from the model's generation_config.json."""
    images = {"image": {"min_pixels": manifest.min_pixels, "max_pixels": manifest.max_pixels}}
    command = ["python", "-m", "sglang.launch_server", "--model-path", str(folder)]
    return [*command, "--sampling-defaults", "model", "--mm-process-config", json.dumps(images)]


def _request_note(manifest: ExportManifest) -> str:
    """SGLang has no setting of the server for variables of the chat template."""
    thinks = FAMILIES[manifest.family].thinks
    return f'  # requests need "chat_template_kwargs": {json.dumps(WITHOUT_THINKING)}' if thinks else ""


def _tgi(manifest: ExportManifest, folder: Path) -> str:
    """TGI has no setting for it: it samples unless a chat request itself asks for temperature 0."""
    command = shlex.join(["text-generation-launcher", "--model-id", str(folder)])
    return f'{command}  # requests need "temperature": {manifest.temperature:g}'
