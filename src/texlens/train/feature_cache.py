"""`train.cache_features`: a run whose vision tower is frozen computes the features of each image once."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

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
from texlens.train.backends.engine import Engine

FORMAT = 1
"""Changes with whatever makes features of the same tower and image differ: decoding, resizing, the file's form."""


def with_features(engine: Engine, config: RunConfig, geometry: ImageGeometry, rows: Sequence[Rows]) -> Engine:
    """The engine with the store that `train.cache_features` asks for, and a note on the room it takes.

    Raises:
        ConfigError: features are no constants here, or the engine is the plain one.
        RunError: the disk has no room for them.
    """
    if config.train.cache_features == "off":
        return engine
    if engine.forward is None:
        why = "; ".join(engine.notes) or "train.engine is plain"
        raise ConfigError(f"train.cache_features: on needs the packed engine ({why}); set train.cache_features: off")
    if engine.forward.vision.is_trained:
        raise ConfigError(
            "train.cache_features: on needs a frozen vision tower, and adapters or weights of the tower or the merger "
            "are trained here; set train.cache_features: off, or adapter.vision and adapter.merger: frozen"
        )
    store = feature_store(engine.forward, geometry)
    missing = sum(store.missing_bytes(some, geometry) for some in rows)
    if missing > store.free_bytes():
        raise RunError(
            f"train.cache_features: the features need about {missing >> 20:,} MiB in {store.folder}, "
            f"{store.free_bytes() >> 20:,} are free; make room, set TEXLENS_CACHE to another disk, or turn it off"
        )
    note = f"features of images are kept in {store.folder}; about {-(-missing // 2**20):,} MiB will be added"
    return replace(engine, forward=replace(engine.forward, store=store), notes=(*engine.notes, note))


def feature_store(forward: PackedForward, geometry: ImageGeometry) -> FeatureStore:
    """The store of this model's tower, as its weights are now, and this geometry."""
    vision = forward.vision
    weight = next(vision.visual.merger.parameters())
    return FeatureStore(
        cache_folder() / "features" / fingerprint(vision.visual, geometry),
        1 + len(vision.deepstack_blocks),
        forward.text.config.hidden_size,
        weight.dtype if weight.is_floating_point() else torch.get_default_dtype(),
    )


def fingerprint(visual: torch.nn.Module, geometry: ImageGeometry) -> str:
    """Of all of the tower's weights, as it computes with them, and of how images are cut for it."""
    digest = hashlib.sha256(f"{FORMAT} {geometry}".encode())
    for name, tensor in {**visual.state_dict(), **_codes(visual)}.items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _codes(visual: torch.nn.Module) -> dict[str, Tensor]:
    """Weights in float8, which are no part of the state dict."""
    layers = [(name, layer) for name, layer in visual.named_modules() if isinstance(layer, Fp8Linear)]
    return {f"{name}.{part}": tensor for name, layer in layers for part, tensor in layer.named_buffers()}
