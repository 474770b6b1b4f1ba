"""Whether several models can share one loaded base; known from settings and metadata, before any weight is read."""

import json
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from texlens.adapters.lora import SETTINGS
from texlens.core.errors import ModelError
from texlens.inference.opening.source import ModelSource

SEPARATE = "start a second server"


def check_shared(sources: Sequence[ModelSource]) -> None:
    """
    Raises:
        ModelError: two of the models can't share one base in memory.
    """
    for source in sources:
        if source.kind == "gguf":
            raise ModelError(
                f"{source.path}: GGUF is llama.cpp's format; serve it with the llama-server command in its README.md"
            )
        if source.kind == "onnx":
            raise ModelError(f"{source.path}: ONNX is onnxruntime's format; serve an export of another format")
    full = next((source for source in sources if source.kind == "full"), None)
    if full and len(sources) > 1:
        raise ModelError(f"{full.path}: trained in full, so it shares no base with others; {SEPARATE}")
    bases = [source for source in sources if source.adapter is None]
    if len(bases) > 1:
        raise ModelError(f"{bases[1].path}: one base can be served at a time beside {bases[0].path}; {SEPARATE}")
    adapters = [source for source in sources if source.adapter is not None]
    _check_bases(adapters, bases)
    if len(adapters) < 2:
        return
    _check_equal(adapters, "base.quantize differs", lambda source: source.quantize and source.quantize.quantize)
    _check_equal(adapters, "adapters of different kinds", lambda source: adapter_settings(source).get("peft_type"))
    stacked = next((source for source in adapters if adapter_settings(source).get("target_parameters")), None)
    if stacked:
        raise ModelError(f"{stacked.path}: adapters on stacked experts are served alone; {SEPARATE}")


def adapter_settings(source: ModelSource) -> dict[str, Any]:
    """What adapter_config.json says; nothing for a model without an adapter."""
    path = (source.adapter or Path()) / SETTINGS
    return json.loads(path.read_text(encoding="utf-8")) if source.adapter and path.is_file() else {}


def _check_bases(adapters: Sequence[ModelSource], bases: Sequence[ModelSource]) -> None:
    if not adapters:
        return
    first = adapters[0]
    for source in [*adapters[1:], *bases]:
        if source.base.fingerprint != first.base.fingerprint:
            what = "belongs to another base than" if source.adapter else "not the base of"
            raise ModelError(f"{source.path}: {what} {first.path}; {SEPARATE}")


def _check_equal(sources: Sequence[ModelSource], what: str, of: Callable[[ModelSource], Hashable]) -> None:
    by_value = {of(source): source for source in sources}
    if len(by_value) > 1:
        which = ", ".join(f"{source.path} {value}" for value, source in by_value.items())
        raise ModelError(f"{what} ({which}); {SEPARATE}")
