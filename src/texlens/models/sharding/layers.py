"""Decoder layers whose frozen weights are divided over processes by FSDP (`torch.distributed.fsdp.fully_shard`).

Each layer has a wrapper, whose forward pass runs whatever function it is given: FSDP gathers the layer's weights before
it and frees them after it, again around the layer's backward pass, each one layer ahead of its use. Frozen weights have
no gradients, so nothing is reduced. The wrappers are not part of the model, so that no parameter changes its name.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from texlens.core.errors import ModelError
from texlens.models.families import LANGUAGE_MODEL
from texlens.models.sharding.division import Division
from texlens.models.sharding.quantized import Codes, code_parameters, codes_of_layer
from texlens.models.sharding.weights import chunk, divided_parameters
from texlens.models.weight_rows.placeholders import is_placeholder
from texlens.models.weight_rows.rows import WeightRows


class ShardedLayer(nn.Module):
    """A decoder layer whose weights are whole while `forward` runs."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, run: Callable[..., Tensor], *inputs: Any) -> Tensor:
        return run(*inputs)


class ShardedText(nn.Module):
    """All decoder layers. FSDP takes the module whose forward pass runs first as the root of the others: `forward` must
    run around all layers."""

    def __init__(self, layers: list[ShardedLayer]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, run: Callable[..., Tensor], *inputs: Any) -> Tensor:
        return run(*inputs)


def shard_layers(model: Any, division: Division, device: torch.device, rows_of: WeightRows) -> ShardedText:
    """Divides the weights of each layer in place; a layer at a time is in memory as a whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (division.processes,))
    wrappers: list[Any] = []
    for number, layer in enumerate(model.model.language_model.layers):
        divided = dict(divided_parameters(layer, number, stacks=not division.experts))
        for name, parameter in divided.items():
            if is_placeholder(parameter):
                _read_rows(name, parameter, division, rows_of)
        codes = code_parameters(layer, f"{LANGUAGE_MODEL}.layers.{number}", division, rows_of)
        taken = {*divided.values(), *codes}
        others = {parameter for parameter in layer.parameters() if parameter not in taken}
        wrapper = ShardedLayer(layer)
        wrappers.append(fully_shard(wrapper, mesh=mesh, reshard_after_forward=True, ignored_params=others))
    for before, after in pairwise(wrappers):
        before.set_modules_to_forward_prefetch([after])
        after.set_modules_to_backward_prefetch([before])
    root = ShardedText(wrappers)
    fully_shard(root, mesh=mesh, ignored_params=set(root.parameters()))
    if any(True for _ in codes_of_layer(root, "")):
        _check_gathered(root, division)
    return root


@torch.no_grad()
def _check_gathered(root: ShardedText, division: Division) -> None:
    """Codes are bits, not numbers: one that copying changes is another weight.

    Raises:
        ModelError: gathering changes some.
    """
    root(lambda: None)  # FSDP prepares itself in the first pass
    for wrapper in root.layers:
        layer: Any = wrapper
        divided: list[Any] = [codes.tensor for codes in _codes(layer, division)]
        stored = [tensor.to_local() for tensor in divided]
        layer.unshard()
        for codes, part in zip(_codes(layer, division), stored, strict=True):
            whole = codes.tensor
            rows = whole[chunk(len(whole), division.rank, division.processes)]
            if not torch.equal(rows.view(torch.uint8), part.view(torch.uint8)):
                raise ModelError(
                    f"{codes.name}: gathering changes quantized weights with this version of torch; set "
                    f"train.parallel.weights: replicate, or base.quantize: none"
                )
        layer.reshard()


def _codes(wrapper: Any, division: Division) -> list[Codes]:
    return list(codes_of_layer(wrapper.layer, "decoder layer", stacks=not division.experts))


def _read_rows(name: str, parameter: nn.Parameter, division: Division, rows_of: WeightRows) -> None:
    """The rows that this process keeps; the others are allocated until FSDP has copied these, and never written."""
    whole = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
    rows = chunk(len(whole), division.rank, division.processes)
    if rows.stop > rows.start:
        whole[rows] = rows_of(name, rows).to(whole.device)
    parameter.data = whole
