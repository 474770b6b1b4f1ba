"""The backends that there are. To add another, implement `backend.Backend` and add a function here that opens it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from texlens.inference.model import LoadedModel

if TYPE_CHECKING:
    from texlens.inference.opening.source import ModelSource


def _transformers(source: "ModelSource") -> LoadedModel:
    from texlens.inference.open_shared import open_shared

    return open_shared([source])[source.name]


def _numpy(source: "ModelSource") -> LoadedModel:
    from texlens.inference.backends.numpy.backend import open_numpy

    return open_numpy(source.checkpoint_without_adapter, source.name)


def _llama_cpp(source: "ModelSource") -> LoadedModel:
    from texlens.inference.backends.llama_cpp.backend import open_llama_cpp

    return open_llama_cpp(source)


def _onnxruntime(source: "ModelSource") -> LoadedModel:
    from texlens.inference.backends.onnx.backend import open_onnx

    return open_onnx(source)


BACKENDS: Mapping[str, Callable[["ModelSource"], LoadedModel]] = {
    "transformers": _transformers,
    "numpy": _numpy,
    "llama.cpp": _llama_cpp,
    "onnxruntime": _onnxruntime,
}
"""transformers opens everything but GGUF and ONNX, numpy Qwen3-VL checkpoints without an adapter, llama.cpp GGUF
exports, onnxruntime ONNX exports."""
