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
from texlens.kernels.attention.api import attention_unsupported_reason
from texlens.kernels.loss.chunked import BACKENDS as LOSS_BACKENDS
from texlens.kernels.loss.chunked import CHUNK, ChunkLoss, label_row_loss
from texlens.kernels.loss.log_probabilities import BACKENDS as SCORE_BACKENDS
from texlens.kernels.loss.log_probabilities import LabelScores, ScoreKernels, label_scores, label_scores_reference
from texlens.kernels.loss.reference import chunk_loss_reference
from texlens.models.families import family_of
from texlens.models.packed.text import PackedText, text_segments
from texlens.models.packed.vision import PackedVision
from texlens.models.processor import Processor
from texlens.models.sharding.divided_model import UNDIVIDED, DividedModel


@dataclass(frozen=True)
class PackedForward:
    """
    Args:
        model: a stock model, adapted by PEFT or not (its inner model, not the `PeftModel`).
        store: cache of the frozen tower's features, if any.
        loss_chunk: label rows whose logits exist at a time.
    """

    text: PackedText
    vision: PackedVision
    head: Any
    store: FeatureStore | None = None
    loss_chunk: int = CHUNK
    chunk_loss: ChunkLoss = chunk_loss_reference
    score_kernels: ScoreKernels | None = None

    def hidden(self, pack: dict, label_rows: Tensor | None = None, *, adapters_unchanged: bool = False) -> Tensor:
        """Hidden states before the last norm, [T, D], or of `label_rows` alone, [L, D]."""
        if not adapters_unchanged:
            self.text.invalidate()
            self.vision.invalidate()
        self.text.draw_seed(pack["ids"].device)
        rows, (features, *deep) = pack["image_rows"], self.image_features(pack)
        x = self.text.embed(pack["ids"])
        x = x.index_copy(0, rows, features.to(x.dtype))
        return self.text(x, pack["positions"], text_segments(pack), rows, deep, label_rows)

    def image_features(self, pack: dict) -> list[Tensor]:
        """Features of each image token, [V, D]: merged features, then those for the first layers. Only images without
        cached features are run through the tower."""
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

    def loss(self, pack: dict, *, adapters_unchanged: bool = False) -> Tensor:
        """Summed cross-entropy of the pack's labels in nats, float32.

        Args:
            adapters_unchanged: since the pack before, so that they are not copied again.
        """
        hidden = self.text.model.norm(self.hidden(pack, pack["label_rows"], adapters_unchanged=adapters_unchanged))
        if self.head_is_plain:
            form = {"chunk": self.loss_chunk, "chunk_loss": self.chunk_loss}
            return label_row_loss(hidden, self.head.weight, pack["labels"], **form)
        logits = self.head(hidden).float()
        return nn.functional.cross_entropy(logits, pack["labels"], reduction="sum")

    def label_scores(self, pack: dict, *, temperature: float = 1.0, adapters_unchanged: bool = False) -> LabelScores:
        """Log-probability and entropy of each label of the pack, in their order; see `loss`."""
        hidden = self.text.model.norm(self.hidden(pack, pack["label_rows"], adapters_unchanged=adapters_unchanged))
        if self.head_is_plain:
            form = {"temperature": temperature, "chunk": self.loss_chunk, "kernels": self.score_kernels}
            return label_scores(hidden, self.head.weight, pack["labels"], **form)
        return label_scores_reference(self.head(hidden), pack["labels"], temperature)

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
    backend: str = "reference",
    loss_chunk: int = CHUNK,
    divided: DividedModel = UNDIVIDED,
) -> PackedForward:
    """
    Args:
        model: the stock model (inside of a `PeftModel`: `base_model.model`).
        backend: of the fused layers and vision blocks: `triton` for GPUs, with the loss as a kernel; `cpu` for full
            precision on a CPU; `reference`.
        divided: how the weights are divided among processes.
    """
    family = family_of({"model_type": model.config.model_type})
    text = PackedText(model.model.language_model, recompute=recompute, fused=fused, backend=backend, divided=divided)
    tower_backend = backend if fused else "reference"
    return PackedForward(
        text,
        PackedVision(model.model.visual, geometry, family.vision, backend=tower_backend, options=text.options),
        model.lm_head,
        loss_chunk=loss_chunk,
        chunk_loss=LOSS_BACKENDS[backend],
        score_kernels=SCORE_BACKENDS[backend],
    )


def pack_spec(model_config, processor: Processor, *, padded: bool = False) -> PackSpec:
    """How packs of this model are built; `padded` to few different shapes, for compiled kernels."""
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


def packing_unsupported_reason(model: Any) -> str | None:
    """Why a model can't be trained in packs, or None."""
    device = next(model.parameters()).device
    if reason := attention_unsupported_reason(device):
        return reason
    text = model.model.language_model.config
    if getattr(text, "use_sliding_window", False):
        return "the checkpoint uses sliding-window attention"
    return None
