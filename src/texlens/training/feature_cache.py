"""`train.cache_features`: with a frozen vision tower the features of each image are computed once and kept on disk."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from texlens.config.run import RunConfig
from texlens.core.cache import cache_folder
from texlens.core.errors import ConfigError, RunError
from texlens.data.geometry import ImageGeometry
from texlens.data.load import Rows
from texlens.inputs.feature_cache import FeatureStore
from texlens.models.fp8 import Fp8Linear
from texlens.models.packed.forward import PackedForward
from texlens.training.backends.packed import PackedBackend
from texlens.training.backends.protocol import StepBackend

FORMAT_VERSION = 1
"""Raised whenever features of the same tower and image change: decoding, resizing, the file's format."""


def with_feature_cache(
    backend: StepBackend, config: RunConfig, geometry: ImageGeometry, splits: Sequence[Rows]
) -> StepBackend:
    """The backend with the feature store that `train.cache_features` asks for, and a note on its size.

    Raises:
        ConfigError: features change during training, or the backend is the plain one.
        RunError: the disk is too small for them.
    """
    if config.train.cache_features == "off":
        return backend
    if not isinstance(backend, PackedBackend):
        reason = "; ".join(backend.notes) or "train.compute.backend is plain"
        raise ConfigError(
            f"train.cache_features: on needs the packed backend ({reason}); set train.cache_features: off"
        )
    if backend.forward.vision.is_trained:
        raise ConfigError(
            "train.cache_features: on needs a frozen vision tower, and adapters or weights of the tower or the merger "
            "are trained here; set train.cache_features: off, or adapter.vision and adapter.merger: frozen"
        )
    store = feature_store(backend.forward, geometry)
    missing = sum(store.missing_bytes(rows, geometry) for rows in splits)
    if missing > store.free_bytes():
        raise RunError(
            f"train.cache_features: the features need about {missing >> 20:,} MiB in {store.folder}, "
            f"{store.free_bytes() >> 20:,} are free; free some space, set TEXLENS_CACHE to another disk, or turn it off"
        )
    added_mib = -(-missing // 2**20)
    return backend.with_feature_store(
        store, f"features of images are kept in {store.folder}; about {added_mib:,} MiB will be added"
    )


def feature_store(forward: PackedForward, geometry: ImageGeometry) -> FeatureStore:
    """The store for this vision tower, with its present weights, and this geometry."""
    vision = forward.vision
    weight = next(vision.visual.merger.parameters())
    return FeatureStore(
        cache_folder() / "features" / fingerprint(vision.visual, geometry),
        1 + len(vision.deepstack_blocks),
        forward.text.config.hidden_size,
        weight.dtype if weight.is_floating_point() else torch.get_default_dtype(),
    )


def fingerprint(visual: torch.nn.Module, geometry: ImageGeometry) -> str:
    """Of all weights that the tower computes with, and of how images are resized for it."""
    digest = hashlib.sha256(f"{FORMAT_VERSION} {geometry}".encode())
    for name, tensor in {**visual.state_dict(), **_fp8_weights(visual)}.items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _fp8_weights(visual: torch.nn.Module) -> dict[str, Tensor]:
    """Weights in float8, which are not part of the state dict."""
    layers = [(name, layer) for name, layer in visual.named_modules() if isinstance(layer, Fp8Linear)]
    return {f"{name}.{buffer}": tensor for name, layer in layers for buffer, tensor in layer.named_buffers()}
