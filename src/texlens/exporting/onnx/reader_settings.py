"""reader.json: what a program needs to read with the ONNX pair and has no tokenizer for."""

import base64
from pathlib import Path
from typing import Any

from texlens.core.files import write_json
from texlens.exporting.decoding import Decoding
from texlens.inference.decoding.detokenize import TokenBytes
from texlens.inference.prompts import end_ids
from texlens.inputs.chat_template import prompt_ids
from texlens.models.processor import Processor

READER_SETTINGS = "reader.json"


def write_reader_settings(
    folder: Path, prompt: str, system_prompt: str | None, processor: Processor, decoding: Decoding
) -> None:
    """Writes `reader_settings` to the folder."""
    write_json(folder / READER_SETTINGS, reader_settings(prompt, system_prompt, processor, decoding))


def reader_settings(prompt: str, system_prompt: str | None, processor: Processor, decoding: Decoding) -> dict[str, Any]:
    """Prompt tokens before and after the image, image sizes, tokens that end an answer, and every token's bytes.

    `token_bytes` has base64 of each token of the vocabulary in turn; special tokens have none.
    """
    tokenizer, geometry = processor.tokenizer, processor.geometry
    ids = prompt_ids(tokenizer, prompt=prompt, system_prompt=system_prompt, image_tokens=1)
    image = ids.index(processor.image_token_id)
    token_bytes = TokenBytes(tokenizer)
    return {
        "before_image": ids[:image],
        "image_token": processor.image_token_id,
        "after_image": ids[image + 1 :],
        "end_tokens": sorted(end_ids(processor)),
        "max_new_tokens": decoding.max_new_tokens,
        "factor": geometry.factor,
        "min_pixels": geometry.min_pixels,
        "max_pixels": geometry.max_pixels,
        "max_aspect": geometry.max_aspect,
        "token_bytes": [base64.b64encode(token_bytes[token]).decode() for token in range(len(tokenizer))],
    }
