"""The name under which results are kept: the split's for the run's own rows and settings, a longer one for others."""

import hashlib
import json
import re
from typing import Any

from texlens.config.run import RunConfig

ROW_FIELDS = ("path", "subset", "format", "splits", "seed", "prompt", "system_prompt", "allow_outside")
"""Of `data`: what decides which rows are read and what is asked about them."""
READING_FIELDS = ("max_rows", "fraction", "max_new_tokens", "temperature", "seed")
"""Of `evaluate`: what decides which predictions come out."""
MODEL_FIELDS = ("min_pixels", "max_pixels", "dtype")


def result_label(saved: RunConfig, used: RunConfig, split: str, *, weights: str = "adapter") -> str:
    """
    Args:
        saved: the settings in the run folder.
        used: those of this evaluation.
        weights: the folder of the trained weights, such as `checkpoint-62`.

    Example:
        saved and used alike, "test" -> "test"
        used.data.path "linxy/LaTeX_OCR", used.data.subset "human_handwrite" -> "test-LaTeX_OCR-human_handwrite-1f0c2a"
    """
    changed = {key: value for key, value in _deciding(used, split).items() if value != _deciding(saved, split).get(key)}
    name = split if weights == "adapter" else f"{split}-{_safe(weights)}"
    if not changed:
        return name
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:6]
    return "-".join([name, *_words(changed, used), digest])


def _deciding(config: RunConfig, split: str) -> dict[str, Any]:
    data, evaluate, model = (part.model_dump(mode="json") for part in (config.data, config.evaluate, config.model))
    chosen = {f"data.{name}": data[name] for name in ROW_FIELDS}
    chosen["data.splits"] = data["splits"].get(split)
    chosen |= {f"evaluate.{name}": evaluate[name] for name in READING_FIELDS}
    return chosen | {f"model.{name}": model[name] for name in MODEL_FIELDS}


def _words(changed: dict[str, Any], used: RunConfig) -> list[str]:
    words = []
    if "data.path" in changed or "data.subset" in changed:
        words += [used.data.path.rstrip("/").rpartition("/")[2], used.data.subset or ""]
    if "evaluate.max_rows" in changed:
        words.append(f"{used.evaluate.max_rows}rows" if used.evaluate.max_rows else "allrows")
    return [safe for word in words if (safe := _safe(word))]


def _safe(word: str) -> str:
    """As part of a file name."""
    return re.sub(r"[^-\w]+", "_", word).strip("_")[:40]
