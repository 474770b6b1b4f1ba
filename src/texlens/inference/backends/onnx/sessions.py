"""An exported ONNX pair through onnxruntime: image encoder, and text decoder with its cache, one row at a time."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from texlens.core.errors import ModelError, one_line

IMAGE_ENCODER = "image_encoder.onnx"
TEXT_DECODER = "text_decoder.onnx"
FOLD_8_BIT = ("session.disable_quant_qdq", "1")
"""Has onnxruntime turn 8-bit weights into float32 once, when the session opens, instead of in every step."""


class OnnxSessions:
    """The two graphs on the CPU, and the cache of the row in progress. Not thread-safe."""

    def __init__(self, folder: Path):
        """
        Raises:
            ModelError: onnxruntime is missing or can't read the files.
        """
        if importlib.util.find_spec("onnxruntime") is None:
            raise ModelError(
                f"{folder}: reading ONNX needs onnxruntime, which is not installed; pip install onnxruntime"
            )
        self._encoder = _session(folder / IMAGE_ENCODER)
        self._decoder = _session(folder / TEXT_DECODER)
        inputs = self._decoder.get_inputs()
        self._feature_shape = tuple(inputs[2].shape)
        self._past = {value.name: tuple(value.shape) for value in inputs[3:]}
        outputs = self._decoder.get_outputs()
        self._present = [value.name.replace("present.", "past.") for value in outputs[1:]]
        self.vocabulary_size = int(outputs[0].shape[0])
        self._cache: dict[str, np.ndarray] = {}

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Features [1 + n, V, D] of an image, uint8 [H, W, 3]."""
        return self._encoder.run(None, {"image": pixels})[0]

    def prefill(self, ids: list[int], positions: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Logits [vocabulary] after the prompt of a new row; `positions` is int64 [3, L]."""
        self._cache = {name: np.zeros((shape[0], 0, shape[2]), np.float32) for name, shape in self._past.items()}
        return self._run(ids, positions, features)

    def step(self, token: int, position: int) -> np.ndarray:
        """Logits [vocabulary] after one more token."""
        no_features = np.zeros((self._feature_shape[0], 0, self._feature_shape[2]), np.float32)
        return self._run([token], np.full((3, 1), position, np.int64), no_features)

    def _run(self, ids: list[int], positions: np.ndarray, features: np.ndarray) -> np.ndarray:
        inputs = {"token_ids": np.array(ids, np.int64), "positions": positions, "features": features, **self._cache}
        logits, *cache = self._decoder.run(None, inputs)
        self._cache = dict(zip(self._present, cache, strict=True))
        return logits


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(*FOLD_8_BIT)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common class
        raise ModelError(f"{path}: onnxruntime can't load it ({one_line(error, 200)}); export it again") from None
