"""bitsandbytes' 8-bit AdamW over many tensors at a time.

bitsandbytes launches a kernel for each tensor and waits for the GPU after it, 712 times a step where a 7B model and its
tower are adapted. Here the tensors of a parameter group are joined, each padded to whole blocks of the values that
share a scale, so that weights and states are those of bitsandbytes bit for bit. States are parts of the joined ones,
and are saved and loaded parameter by parameter as before.

# N = values of a chunk, padded
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from bitsandbytes.optim import AdamW
from torch import Tensor, nn

BLOCK = 256
"""Values that share a scale."""
CHUNK = 1 << 23
"""Values that are joined: more would not be faster, and copies of parameters and gradients take 8 bytes each."""
JOINED = ("state1", "state2", "absmax1", "absmax2")


class JoinedAdamW(AdamW):
    """`bitsandbytes.optim.AdamW` in 8 bits; see `AdamW` for its arguments.

    A step in which `found_inf` is not 0 leaves the parameters as they are, as PyTorch's fused optimizers do, but not
    the states, which may then hold NaN: `NanGuard` ends the run before they are saved.
    """

    reads_found_inf = True

    def __init__(self, params: Any, **options: Any):
        super().__init__(params, **{"optim_bits": 8, **options})
        self.found_inf: Tensor | None = None
        self._chunks: dict[int, tuple[tuple, list[Chunk]]] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            for chunk in self._chunks_of(number, group):
                self._update(chunk, number, group)
        return loss

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._chunks.clear()
        super().load_state_dict(*args, **kwargs)

    def _chunks_of(self, number: int, group: dict) -> "list[Chunk]":
        """Those parameters of the group that have a gradient; states are joined again where others had one before."""
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        key = tuple((id(part), part.data_ptr()) for part in parameters)
        if number not in self._chunks or self._chunks[number][0] != key:
            for index, parameter in enumerate(group["params"]):
                if parameter.grad is not None and not self.state[parameter]:
                    self.init_state(group, parameter, number, index)
            chunks = [Chunk(part, [self.state[p] for p in part]) for part in self._alike(parameters)]
            self._chunks[number] = key, chunks
        return self._chunks[number][1]

    def _alike(self, parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
        """Parameters that one kernel can update: of one device and dtype, with states of one dtype and equal steps."""
        groups: dict[tuple, list[nn.Parameter]] = {}
        for part in parameters:
            state = self.state[part]
            key = part.device, part.dtype, state["state1"].dtype, state["step"]
            groups.setdefault(key, []).append(part)
        for members in groups.values():
            chunk, size = [], 0
            for part in members:
                if chunk and size + part.numel() > CHUNK:
                    yield chunk
                    chunk, size = [], 0
                chunk.append(part)
                size += part.numel()
            yield chunk

    def _update(self, chunk: "Chunk", number: int, group: dict) -> None:
        joined = chunk.gathered()
        self.state[joined] = chunk.state
        try:
            self.update_step(group, joined, number, 0)
        finally:
            del self.state[joined]
        chunk.scatter(joined, self.found_inf)
        for state in chunk.states:
            state["step"] = chunk.state["step"]


class Chunk:
    """Parameters [N] that are updated together. `states` are theirs, and become views of the joined `state`."""

    def __init__(self, parameters: list[nn.Parameter], states: list[dict[str, Any]]):
        self.parameters, self.states = parameters, states
        is_in_blocks = states[0]["state1"].dtype == torch.uint8
        self._sizes = [_up(part.numel(), BLOCK) if is_in_blocks else part.numel() for part in parameters]
        self._has_padding = self._sizes != [part.numel() for part in parameters]
        self.state = {**states[0], **{name: self._joined(name) for name in JOINED if name in states[0]}}

    def _joined(self, name: str) -> Tensor:
        """The states of all parameters behind each other; values of padding are 0."""
        first = self.states[0][name]
        sizes = [size // BLOCK for size in self._sizes] if name.startswith("absmax") else self._sizes
        code = self.states[0][name.replace("state", "qmap")].abs().argmin() if first.dtype == torch.uint8 else 0
        joined = torch.empty(sum(sizes), dtype=first.dtype, device=first.device).fill_(code)
        starts = list(accumulate(sizes, initial=0))
        for state, start in zip(self.states, starts, strict=False):
            part = joined[start : start + state[name].numel()].view_as(state[name])
            state[name] = part.copy_(state[name])
        return joined

    def gathered(self) -> nn.Parameter:
        """The parameters behind each other, with their gradients."""
        flat = self.parameters[0].new_zeros if self._has_padding else self.parameters[0].new_empty
        joined = nn.Parameter(flat(sum(self._sizes)))
        joined.grad = flat(sum(self._sizes))
        torch._foreach_copy_(self._parts(joined.data), [part.data for part in self.parameters])
        torch._foreach_copy_(self._parts(joined.grad), [part.grad for part in self.parameters if part.grad is not None])
        return joined

    def scatter(self, joined: nn.Parameter, found_inf: Tensor | None) -> None:
        """Writes the updated values to the parameters, or, where `found_inf` is set, the values that they have."""
        parameters = [part.data for part in self.parameters]
        if found_inf is not None:
            before = torch.empty_like(joined.data)
            torch._foreach_copy_(self._parts(before), parameters)
            torch.where(found_inf.bool(), before, joined.data, out=joined.data)
        torch._foreach_copy_(parameters, self._parts(joined.data))

    def _parts(self, joined: Tensor) -> list[Tensor]:
        """Views of the joined values in the shapes of the parameters."""
        starts = accumulate(self._sizes, initial=0)
        return [
            joined[start : start + part.numel()].view_as(part)
            for part, start in zip(self.parameters, starts, strict=False)
        ]


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
