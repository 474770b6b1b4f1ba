"""CUDA graphs of small packs, whose thousands of launches would take the host longer than the GPU takes for the work.

Forward and backward of a pack of one set of shapes are recorded when they first occur, which takes about as long as a
step without, and replayed then and from then on with new inputs: adapters are copied, dropout seeds drawn and
gradients written by the graph itself.
"""

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from texlens.adapters.moe_lora.balance import Utilization
from texlens.adapters.moe_lora.model import BalanceLoss
from texlens.models.packed.forward import PackedForward

MOST_GRAPHS = 32
"""Beyond these shapes packs run without a graph."""

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class PackGraph:
    """
    Args:
        inputs: of the pack, and `label_count` of the step and `pack_labels`; copied to before a replay.
        loss: written by a replay.
        has_grad: of each parameter.
        use: of MoE-LoRA's experts, written by a replay.
        balance_loss: MoE-LoRA's, before its weight, written by a replay; None without MoE-LoRA.
    """

    graph: Any
    inputs: Mapping[str, Tensor]
    loss: Tensor
    has_grad: Sequence[bool]
    use: Utilization
    balance_loss: Tensor | None


class PackGraphs:
    """
    Args:
        record: records a function that launches work on the GPU; `record_on_gpu`, or in tests one that calls it.
        warn: is called with a line if graphs can't be recorded here.
    """

    def __init__(
        self,
        forward: PackedForward,
        record: "Callable[[Callable[[], Any]], tuple[Any, Any]] | None" = None,
        warn: Callable[[str], Any] = warnings.warn,
    ):
        self.forward, self._record, self._warn = forward, record or GpuRecorder(), warn
        self._graphs: dict[Shapes, PackGraph] = {}
        self._grads: list[Tensor] = []
        self._is_possible = True

    def __len__(self) -> int:
        return len(self._graphs)

    def loss(
        self, pack: Mapping[str, Any], label_count: int, parameters: Sequence[nn.Parameter], balance: BalanceLoss | None
    ) -> Tensor | None:
        """The loss of a pack per label of the step, after its gradients were added to those of the `parameters`; None
        if the pack is to run without a graph."""
        if not (self._is_possible and pack.get("in_bucket") and not pack.get("new_images")):
            return None
        shapes = shapes_of(pack)
        if shapes not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                return None
            self._try_to_record(shapes, pack, label_count, parameters, balance)
        graph = self._graphs.get(shapes)
        return None if graph is None else self._replay(graph, pack, label_count, parameters, balance)

    def _try_to_record(self, shapes: Shapes, pack, label_count, parameters, balance) -> None:
        try:
            self._graphs[shapes] = self._recorded(pack, label_count, parameters, balance)
        except torch.OutOfMemoryError:
            self._is_possible = False
            self._graphs.clear()
            self._warn("CUDA graphs of packs do not fit into memory: small steps run without them, which is slower")
        except RuntimeError as error:
            self._is_possible = False
            self._graphs.clear()
            line = " ".join(str(error).split())[:200]
            self._warn(
                f"CUDA graphs of packs can't be recorded here ({line}): small steps run without, which is slower"
            )

    def _recorded(self, pack, label_count, parameters, balance) -> PackGraph:
        inputs = {name: value.clone() for name, value in pack.items() if isinstance(value, Tensor)}
        inputs |= _numbers(pack, label_count, inputs["ids"].device)
        static = {**pack, **inputs}
        self._grads = self._grads or [torch.zeros_like(parameter) for parameter in parameters]

        def work() -> tuple[Tensor, list[bool]]:
            loss = step_loss(self.forward, static, inputs["label_count"], inputs["pack_labels"], balance)
            grads = torch.autograd.grad(loss, parameters, allow_unused=True)
            pairs = [(buffer, grad) for buffer, grad in zip(self._grads, grads, strict=True) if grad is not None]
            torch._foreach_copy_([buffer for buffer, _ in pairs], [grad for _, grad in pairs])
            return loss.detach(), [grad is not None for grad in grads]

        graph, (loss, has_grad), use, balance_loss = self._with_utilization(work, balance)
        return PackGraph(graph, inputs, loss, has_grad, use, balance_loss)

    def _with_utilization(self, work, balance) -> tuple[Any, Any, Utilization, Tensor | None]:
        if balance is None:
            return *self._record(work), {}, None
        with balance.log.separately():
            graph, results = self._record(work)
            return graph, results, balance.log.take_use(), balance.log.last_loss()

    def _replay(self, graph: PackGraph, pack, label_count, parameters, balance) -> Tensor:
        numbers = _numbers(pack, label_count, torch.device("cpu"))
        for name, value in graph.inputs.items():
            value.copy_(numbers[name] if name in numbers else pack[name], non_blocking=True)
        graph.graph.replay()
        chosen = [number for number, has_grad in enumerate(graph.has_grad) if has_grad]
        grads = torch._foreach_mul([self._grads[number] for number in chosen], 1.0)
        for number, grad in zip(chosen, grads, strict=True):
            parameter = parameters[number]
            parameter.grad = grad if parameter.grad is None else parameter.grad.add_(grad)
        if balance is not None:
            balance.log.add_use(graph.use)
            balance.log.set_last_loss(None if graph.balance_loss is None else graph.balance_loss.clone())
        return graph.loss.clone()


def step_loss(
    forward: PackedForward,
    pack: Mapping[str, Any],
    label_count: int | Tensor,
    pack_labels: int | Tensor,
    balance: BalanceLoss | None,
    *,
    adapters_unchanged: bool = False,
) -> Tensor:
    """The loss of a pack per label of the step, with its share of MoE-LoRA's balance loss."""
    with balance.pack(pack) if balance else nullcontext():
        loss = forward.loss(dict(pack), adapters_unchanged=adapters_unchanged) / label_count
    balance_loss = balance() if balance else None
    if balance is not None:
        balance.log.forget_layers()
    return loss if balance_loss is None else loss + balance_loss * (pack_labels / label_count)


def shapes_of(pack: Mapping[str, Any]) -> Shapes:
    """Packs of equal shapes, and equal bounds of their longest segments, can use one graph."""
    tensors = {name: tuple(value.shape) for name, value in pack.items() if isinstance(value, Tensor)}
    return tuple(sorted({**tensors, **{name: (pack[name],) for name in pack if name.startswith("longest_")}}.items()))


def _numbers(pack: Mapping[str, Any], label_count: int, device: torch.device) -> dict[str, Tensor]:
    """The numbers that a graph reads from the device."""
    values = {"tokens": pack["tokens"], "label_count": label_count, "pack_labels": pack["label_count"]}
    return {name: torch.full((), float(value), device=device) for name, value in values.items()}


class GpuRecorder:
    """Records CUDA graphs, all on one stream and with one pool of memory, which they share as they never run at
    the same time."""

    def __init__(self):
        self._pool: Any = None
        self._stream: Any = None

    def __call__(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        """The graph of `work`, and what it returned, whose tensors a replay writes. Random numbers of the run are as
        if `work` had not been called.

        Only the first `work` runs before it is recorded, and one that can't be recorded because something that its
        shapes need, a kernel for instance, is not there yet.
        """
        if self._stream is None:
            self._run(work)
        try:
            return self._graph(work)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # the allocator does not do so while a graph is recorded
        except RuntimeError:
            self._run(work)
        return self._graph(work)

    def _run(self, work: Callable[[], Any]) -> None:
        """Compiles what these shapes need, and fills caches."""
        state = torch.cuda.get_rng_state()
        self._stream = self._stream or torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)
        torch.cuda.synchronize()
        torch.cuda.set_rng_state(state)

    def _graph(self, work: Callable[[], Any]) -> tuple[Any, Any]:
        state = torch.cuda.get_rng_state()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        self._stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        try:
            results = self._recorded(graph, work)
        except RuntimeError:
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(generator.clone_state())  # the old state counts as one of a graph for good
            torch.cuda.set_rng_state(state)
            raise
        return graph, results

    def _recorded(self, graph: Any, work: Callable[[], Any]) -> Any:
        """As `torch.cuda.graph`, which would also collect garbage and empty the allocator's cache, a second in all."""
        collects = gc.isenabled()
        gc.disable()  # a graph that is freed while another is recorded would end the recording
        try:
            with torch.cuda.stream(self._stream):
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                try:
                    return work()
                finally:
                    graph.capture_end()
        finally:
            if collects:
                gc.enable()
