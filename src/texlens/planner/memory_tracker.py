"""Counts what a computation on torch's meta device would allocate and do: live bytes, FLOPs, memory traffic, calls.

The meta device computes shapes only, yet autograd saves and frees its tensors as on a GPU. So a training step of a
30-billion-parameter model can run on a laptop, and its memory can be measured. Integer tensors may be real ones on the
CPU (token ids, grids), so that what depends on their values is decided as in a real step.
"""

import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

BLOCK = 512
"""Bytes that CUDA's caching allocator rounds a tensor up to."""
_INDEXING = (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)


class MemoryTracker(TorchDispatchMode):
    """
    `live` and `peak` are bytes; `peak_parts` says which parts (`tag`) held them at the peak. `work` has one
    (floating-point operations, bytes read and written) for each call that launches something.
    """

    def __init__(self, tag: str = "inputs"):
        super().__init__()
        self.live, self.peak = 0, 0
        self.parts: Counter[str] = Counter()
        self.peak_parts: Counter[str] = Counter()
        self.work: list[tuple[int, int]] = []
        self.tag = tag
        self._storages: dict[int, tuple[weakref.ref, int, str]] = {}

    @contextmanager
    def tagged(self, tag: str) -> Iterator[None]:
        """Tensors created inside belong to this part."""
        outer, self.tag = self.tag, tag
        try:
            yield
        finally:
            self.tag = outer

    def retag(self, tensor: torch.Tensor, tag: str) -> None:
        """Assigns an existing tensor to another part."""
        key = id(tensor.untyped_storage())
        if key in self._storages:
            reference, size, old = self._storages[key]
            self._storages[key] = (reference, size, tag)
            self.parts[old] -= size
            self.parts[tag] += size

    def track(self, tensor: torch.Tensor) -> None:
        """Counts a tensor, unless its storage is already counted."""
        storage = tensor.untyped_storage()
        key = id(storage)
        known = self._storages.get(key)
        if known and known[0]() is storage:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        reference = weakref.ref(storage, lambda _: self._release(key))
        self._storages[key] = (reference, size, self.tag)
        self.live += size
        self.parts[self.tag] += size
        if self.live > self.peak:
            self.peak, self.peak_parts = self.live, self.parts.copy()

    def _release(self, key: int) -> None:
        _, size, tag = self._storages.pop(key)
        self.live -= size
        self.parts[tag] -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        args, kwargs = _to_meta(func, args, kwargs or {})
        if func is torch.ops.aten._to_copy.default and not _is_meta(args[0]) and not args[0].is_floating_point():
            kwargs = {**kwargs, "device": args[0].device}
        out = self._index_backward(args) if _is_index_backward(func, args) else _computed(func, args, kwargs)
        outputs = [leaf for leaf in tree_leaves(out) if _is_meta(leaf)]
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if _is_meta(leaf)]
        if outputs and not _is_view(func):
            traffic = sum(tensor.nbytes for tensor in (*inputs, *outputs))
            self.work.append((_flops(func, args, kwargs, out), traffic))
        for tensor in outputs:
            self.track(tensor)
        return out

    def _index_backward(self, args) -> torch.Tensor:
        """Writes the gradient of selected rows into zeros for all rows: in place, with one temporary copy of the rows.

        Under a dispatch mode autograd allocates a second tensor for all rows; on a GPU it writes into its zeros. The
        copy is observed, not derived: on an H200 (torch 2.11) nine peaks of nine exceed what is live after the forward
        pass by the float32 logits and one copy of the label rows, to 0.02 GiB.
        """
        zeros, _, rows = args[:3]
        self.track(torch.empty_like(rows))
        return zeros.detach()


def _is_index_backward(func, args) -> bool:
    """Whether a call is the backward pass of `tensor[indices]`."""
    if func is not torch.ops.aten.index_put.default or not _is_meta(args[0]) or torch.is_grad_enabled():
        return False
    return len(args) > 3 and bool(args[3])


def _computed(func, args, kwargs):
    """The call; bincount, whose length depends on values, gets the minimum length that was asked for."""
    if func is torch.ops.aten.bincount.default and _is_meta(args[0]):
        return args[0].new_empty(kwargs.get("minlength", args[-1] if len(args) > 2 else 0))
    return func(*args, **kwargs)


def _flops(func, args, kwargs, out) -> int:
    """Two per multiply-add of a matrix product; other calls count none."""
    if func.overloadpacket is torch.ops.aten._grouped_mm:
        return 2 * args[0].numel() * out.shape[-1]  # every row is multiplied by one of the stacked weights
    count = flop_registry.get(func.overloadpacket)
    return int(count(*args, **kwargs, out_val=out)) if count else 0


def _is_meta(leaf) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.device.type == "meta"


def _is_view(func) -> bool:
    """Views and the like launch no kernel."""
    return func.is_view or func.overloadpacket in (torch.ops.aten.detach, torch.ops.aten._unsafe_view)


def _to_meta(func, args, kwargs):
    """Moves real tensors among meta ones to meta; a real boolean mask becomes indices, whose number is then known."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if len({tensor.device.type for tensor in tensors}) < 2 or func.overloadpacket is torch.ops.aten.copy_:
        return args, kwargs
    if func.overloadpacket in _INDEXING:
        args = (args[0], _indices(args[1]), *args[2:])
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))


def _indices(masks) -> list:
    indices = []
    for index in masks:
        indices += index.nonzero(as_tuple=True) if index is not None and index.dtype == torch.bool else [index]
    return indices
