"""The loss of a pack: vision tower, language model and label loss, on the modules of a stock model.

# T = tokens, V = image tokens, L = labels, D = width
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.data.geometry import ImageGeometry
from texlens.inputs.feature_cache import FeatureStore
from texlens.inputs.pack import PackSpec
from texlens.kernels.attention.api import why_not_on
from texlens.kernels.loss.chunked import CHUNK, ChunkLoss, choose_chunk_loss, chunk_loss_plainly, label_row_loss
from texlens.models.families import family_of
from texlens.models.packed.text import PackedText, text_segments
from texlens.models.packed.vision import PackedVision
from texlens.models.processor import Processor


@dataclass(frozen=True)
class PackedForward:
    """
    Args:
        model: a stock model, adapted by PEFT or not (its inner model, not the `PeftModel`).
        store: where the frozen tower's features are kept; None keeps none.
        loss_chunk: label rows whose logits exist at a time.
    """

    text: PackedText
    vision: PackedVision
    head: Any
    store: FeatureStore | None = None
    loss_chunk: int = CHUNK
    chunk_loss: ChunkLoss = chunk_loss_plainly

    def hidden(self, pack: dict, chosen: Tensor | None = None, *, same_adapters: bool = False) -> Tensor:
        """Hidden states before the last norm, [T, D], or of the `chosen` rows alone."""
        if not same_adapters:
            self.text.expire()
        rows, (features, *deep) = pack["image_rows"], self.image_features(pack)
        x = self.text.embed(pack["ids"])
        x = x.index_copy(0, rows, features.to(x.dtype))
        return self.text(x, pack["positions"], text_segments(pack), rows, deep, chosen)

    def image_features(self, pack: dict) -> list[Tensor]:
        """Of each image token, [V, D]: merged features, then those for the first layers. Only images that did not
        come with features are run through the tower."""
        parts: list[Tensor] = []
        if "patches" in pack:
            features, deep = self.vision(pack)
            parts = [features, *deep]
        if "cached_features" in pack:
            stored = pack["cached_features"].unbind()
            parts = [torch.cat(pair) for pair in zip(parts, stored, strict=True)] if parts else list(stored)
        features = [part[pack["feature_rows"]] for part in parts]
        if self.store is not None and pack["new_images"]:
            self.store.reconcile(pack["new_images"], features)
        return features

    def loss(self, pack: dict, *, same_adapters: bool = False) -> Tensor:
        """Summed cross-entropy of the pack's labels in nats, float32.

        Args:
            same_adapters: they are as they were for the pack before, and need not be read again.
        """
        chosen = self.text.model.norm(self.hidden(pack, pack["label_rows"], same_adapters=same_adapters))
        if self.head_is_plain:
            form = {"chunk": self.loss_chunk, "chunk_loss": self.chunk_loss}
            return label_row_loss(chosen, self.head.weight, pack["labels"], **form)
        logits = self.head(chosen).float()
        return nn.functional.cross_entropy(logits, pack["labels"], reduction="sum")

    @property
    def fused_layers(self) -> int:
        return len(self.text.layers) - len(self.text.unfused)

    @property
    def head_is_plain(self) -> bool:
        return type(self.head) is nn.Linear and self.head.bias is None

    def logits(self, pack: dict) -> Tensor:
        """Logits of every token, [T, vocabulary]: for tests and comparisons, not for training."""
        return self.head(self.text.model.norm(self.hidden(pack)))


def packed_forward(
    model: Any,
    geometry: ImageGeometry,
    *,
    recompute: str = "none",
    fused: bool = True,
    passes: str = "plain",
    loss_chunk: int = CHUNK,
) -> PackedForward:
    """
    Args:
        model: the stock model (inside of a `PeftModel`: `base_model.model`).
        passes: the form of the fused layers: `triton` for GPUs, with the vision tower's blocks compiled and the loss
            as a kernel; `cpu` for full precision on a CPU; `plain`, their twin.
    """
    family = family_of({"model_type": model.config.model_type})
    wrap = (lambda body: torch.compile(body, dynamic=True)) if passes == "triton" else (lambda body: body)
    return PackedForward(
        PackedText(model.model.language_model, recompute=recompute, fused=fused, passes=passes),
        PackedVision(model.model.visual, geometry, family.vision, compiled=wrap),
        model.lm_head,
        loss_chunk=loss_chunk,
        chunk_loss=choose_chunk_loss(passes),
    )


def pack_spec(model_config, processor: Processor, *, padded: bool = False) -> PackSpec:
    """How this model's packs are laid; `padded` to few different shapes, for compiled passes."""
    vision, geometry, attributes = model_config.vision_config, processor.geometry, processor.family.vision
    window = attributes.window_size(vision)
    return PackSpec(
        image_token_id=processor.image_token_id,
        pad_token_id=processor.pad_token_id,
        merge_size=geometry.merge_size,
        window=window // geometry.factor if window else None,
        table_side=attributes.position_table_side(vision),
        token_multiple=128 if padded else 1,
        patch_multiple=128 if padded else geometry.merge_size**2,
    )


def why_not_packed(model: Any) -> str | None:
    """What keeps a model from being trained in packs, or None."""
    device = next(model.parameters()).device
    if reason := why_not_on(device):
        return reason
    text = model.model.language_model.config
    if getattr(text, "use_sliding_window", False):
        return "the checkpoint uses sliding-window attention"
    return None
