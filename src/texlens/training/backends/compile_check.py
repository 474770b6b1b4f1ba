"""Checks that the kernels of the packed backend can be compiled here: forward and backward of one small pack."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from texlens.core.errors import TexlensError
from texlens.core.labels import IGNORE_INDEX
from texlens.data.geometry import ImageGeometry
from texlens.inference.evaluation_mode import evaluation_mode
from texlens.inputs.example import Example
from texlens.inputs.pack import Pack, PackSpec, build_pack
from texlens.models.packed.forward import PackedForward

MAX_REASON_CHARS = 300


def compile_check(
    build: Callable[[], PackedForward], model: nn.Module, geometry: ImageGeometry, layout: PackSpec
) -> tuple[PackedForward | None, str | None]:
    """The forward pass after a loss and its gradients, or None and what failed: no compiler, an old GPU or Triton.

    What is compiled here is not compiled again in the first step. The model is unchanged and has no gradients, and
    random numbers of the run are as if this had not been called.
    """
    device = next(model.parameters()).device
    try:
        with evaluation_mode(model), torch.random.fork_rng([device] if device.type == "cuda" else []):
            forward = build()
            forward.text.model.training = True  # of this module alone: dropout has kernels of its own
            forward.loss(small_pack(geometry, layout, device)).backward()
        return forward, None
    except (TexlensError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001  a compiler may raise anything; its message is reported
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_REASON_CHARS]}"
    finally:
        model.zero_grad(set_to_none=True)


def small_pack(geometry: ImageGeometry, layout: PackSpec, device: torch.device) -> Pack:
    """Two rows: a black image of four tokens and twelve labels each."""
    side = 2 * geometry.merge_size
    patches = np.zeros((side * side, 3 * geometry.patch_size**2), np.uint8)
    text = [layout.pad_token_id] * 12
    image = [layout.image_token_id] * 4
    example = Example([*text, *image, *text], [IGNORE_INDEX] * 16 + text, (1, side, side), "compile check", patches)
    pack = build_pack([example, example], layout)
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in pack.items()}
