"""Whether the kernels that a model's packs would run on can be made here: one small pack, there and back."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from texlens.core.errors import TexlensError
from texlens.data.geometry import ImageGeometry
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inputs.example import IGNORED, Example
from texlens.inputs.pack import Pack, PackSpec, build_pack
from texlens.models.packed.forward import PackedForward

TOLD = 300


def tried(
    build: Callable[[], PackedForward], model: nn.Module, geometry: ImageGeometry, layout: PackSpec
) -> tuple[PackedForward | None, str | None]:
    """The forward pass after a loss and its gradients, or None and what failed: no compiler, an old GPU or Triton.

    What is made here is not made again in the first step. The model is as before after it, without gradients.
    """
    try:
        with evaluation_mode(model):
            forward = build()
            forward.loss(small_pack(geometry, layout, next(model.parameters()).device)).backward()
        return forward, None
    except (TexlensError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001  a compiler may raise anything, and what it says is passed on
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:TOLD]}"
    finally:
        model.zero_grad(set_to_none=True)


def small_pack(geometry: ImageGeometry, layout: PackSpec, device: torch.device) -> Pack:
    """Two black images of four tokens, with a few labels each."""
    side = 2 * geometry.merge_size
    patches = np.zeros((side * side, 3 * geometry.patch_size**2), np.uint8)
    said = [layout.pad_token_id] * 12
    image = [layout.image_token_id] * 4
    example = Example([*said, *image, *said], [IGNORED] * 16 + said, (1, side, side), "trial", patches)
    pack = build_pack([example, example], layout)
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in pack.items()}
