"""The stock forward pass of a divided model, which reads rows while it is trained.

All processes read the same rows in the same order: each layer is gathered around its own forward pass, and the main
process's logits are those of all, so that no process ends a row earlier than another one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, distributed

from texlens.models.sharding.divided_model import DividedModel


@contextmanager
def stock_passes(model: Any, divided: DividedModel, group: Any = None) -> Iterator[None]:
    """Inside, `model` (stock, adapted by PEFT or not) runs as if it was whole, without gradients; in all processes.

    Args:
        group: the processes; None is all.
    """
    handles = [model.lm_head.register_forward_hook(lambda head, inputs, logits: _of_main(logits, group))]
    if divided.layers is not None:
        divided.layers(lambda: None)  # FSDP prepares itself in the first pass
        for wrapper in divided.layers.layers:
            handles += _gathered(wrapper)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gathered(wrapper: Any) -> list[Any]:
    layer = wrapper.layer
    before = layer.register_forward_pre_hook(lambda module, inputs: wrapper.unshard())
    after = layer.register_forward_hook(lambda module, inputs, output: wrapper.reshard(), always_call=True)
    return [before, after]


def _of_main(logits: Tensor, group: Any) -> Tensor:
    logits = logits.contiguous()
    distributed.broadcast(logits, src=0, group=group)
    return logits
