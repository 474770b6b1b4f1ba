"""`Decoding`: how the run's predictions were decoded, for the programs that serve the artifact.

Checkpoints on the hub bring sampling settings in generation_config.json (Qwen3-VL: temperature 0.7), which vLLM, SGLang
and plain `generate()` follow. An artifact carries the settings with which its scores were measured instead.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from texlens.config.run import RunConfig
from texlens.core.files import write_json
from texlens.models.processor import Processor

GENERATION_CONFIG = "generation_config.json"
TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Keys of the base's generation_config.json that have nothing to do with sampling."""


@dataclass(frozen=True)
class Decoding:
    """Greedy decoding, or sampling from the whole vocabulary at a temperature above 0."""

    max_new_tokens: int
    temperature: float = 0.0

    @classmethod
    def of_run(cls, config: RunConfig) -> "Decoding":
        return cls(config.evaluate.max_new_tokens, config.evaluate.temperature)

    def sampling_settings(self) -> dict[str, Any]:
        """Settings in transformers' terms, complete enough that no program's defaults fill in.

        vLLM and SGLang don't read `do_sample`: temperature 0 is greedy there, so it is written too. transformers
        ignores it in greedy decoding; version 4 refuses to save a model that it loaded with both.
        """
        if self.temperature == 0:
            return {"do_sample": False, "temperature": 0.0}
        return {"do_sample": True, "temperature": self.temperature, "top_k": 0, "top_p": 1.0}


def write_generation_config(base: Path, processor: Processor, decoding: Decoding, folder: Path) -> None:
    """Writes generation_config.json with the base's token ids and the measured decoding."""
    path = base / GENERATION_CONFIG
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(folder / GENERATION_CONFIG, generation_config(settings, processor, decoding))


def generation_config(base: Mapping[str, Any], processor: Processor, decoding: Decoding) -> dict[str, Any]:
    """The base's token ids, where it names any, and the measured decoding."""
    tokens = {"eos_token_id": processor.end_token_id, "pad_token_id": processor.pad_token_id}
    tokens |= {key: base[key] for key in TOKEN_KEYS if base.get(key) is not None}
    return {**tokens, **decoding.sampling_settings(), "max_new_tokens": decoding.max_new_tokens}
