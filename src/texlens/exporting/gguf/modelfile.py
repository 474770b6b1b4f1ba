"""Ollama's Modelfile for a GGUF pair: files, prompt template, and the measured decoding.

Directives as in Ollama's documentation (docs/modelfile.mdx); Ollama is not run by the tests.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from texlens.core.files import write_text
from texlens.exporting.decoding import Decoding
from texlens.inputs.chat_template import answer_opening
from texlens.inputs.template_rendering import render_template
from texlens.models.families import TURN_END_TOKEN, TURN_START_TOKEN
from texlens.models.processor import Processor

MODELFILE = "Modelfile"
CONTEXT_TOKENS = 4096
"""Ollama's context window; a prompt with an image must fit, and Ollama cuts prompts that don't."""
TEMPLATE = f"""{{{{- if .System }}}}{TURN_START_TOKEN}system
{{{{ .System }}}}{TURN_END_TOKEN}
{{{{ end }}}}{{{{- if .Prompt }}}}{TURN_START_TOKEN}user
{{{{ .Prompt }}}}{TURN_END_TOKEN}
{{{{ end }}}}{TURN_START_TOKEN}assistant
OPENING{{{{ .Response }}}}{TURN_END_TOKEN}"""
"""`OPENING` is replaced by what the chat template writes before an answer."""


def write_modelfile(
    folder: Path, notes: Mapping[str, Any], processor: Processor, decoding: Decoding, system_prompt: str | None
) -> None:
    """
    Args:
        notes: of the GGUF export: names of the files.
        system_prompt: of training; None leaves it to the chat template.
    """
    image_tokens = processor.geometry.max_pixels // notes["pixels a token"]
    parameters = {
        "temperature": f"{decoding.temperature:g}",
        "top_k": 0,
        "top_p": 1,
        "min_p": 0,
        "repeat_penalty": 1,
        "num_predict": decoding.max_new_tokens,
        "num_ctx": max(CONTEXT_TOKENS, image_tokens + decoding.max_new_tokens + 512),
        "stop": f'"{TURN_END_TOKEN}"',
    }
    template = ollama_template(processor)
    lines = [f"FROM ./{notes['model']}", f"FROM ./{notes['projector']}", f'TEMPLATE """{template}"""']
    if system := default_system_prompt(processor) if system_prompt is None else system_prompt:
        lines.append(f'SYSTEM """{system}"""')
    lines += [f"PARAMETER {name} {value}" for name, value in parameters.items()]
    write_text(folder / MODELFILE, "\n".join(lines) + "\n")


def ollama_template(processor: Processor) -> str:
    """The prompt in Go's template language."""
    return TEMPLATE.replace("OPENING", answer_opening(processor.tokenizer))


def default_system_prompt(processor: Processor) -> str:
    """The system prompt that the chat template adds to a conversation without one; empty for none."""
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": ""}]}]
    rendered = render_template(processor.tokenizer, messages, add_generation_prompt=False)
    start = f"{TURN_START_TOKEN}system\n"
    return rendered.removeprefix(start).split(TURN_END_TOKEN)[0] if rendered.startswith(start) else ""
