"""The products of a frozen weight with its LoRA beside it, as `layer` takes them: in one matrix product each way.

Bordered, the weight has the adapters' matrices at its side and below it, and rows have their thin products beside them:

    [x, x @ down.T] @ [weight, up].T  =  x @ (weight + up @ down).T            forward
    [slope, slope @ up] @ [weight; down]  =  slope @ (weight + up @ down)      backward

so that results are never read again to add the adapters' share. Coded, the same in 8 bits (`fp8`).
LoRA: Hu et al. 2021, arXiv:2106.09685.

# T = tokens, D = width in, N = width out, R = adapter ranks side by side, rounded up
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from texlens.kernels.fp8.format import codes_with_rest, quantize_rows, room_for, scaled_product
from texlens.kernels.lora_linear.dispatch import WIDE, own_thin
from texlens.kernels.swiglu.dispatch import own_mlp

MULTIPLE = 8
"""Borders are this many columns or a multiple: rows of 16-bit numbers then begin at multiples of 16 bytes."""


UpSlopes = Tensor | tuple[Tensor, ...]
"""Slopes of all of `up` as one [N, R], or of each adapter's own `up`, its scale included."""


class Slopes(NamedTuple):
    """Of x [T, D], and, where there are adapters, of the thin product [T, R] and of `up`."""

    x: Tensor
    thin: Tensor | None
    up: UpSlopes | None


class SwigluSlopes(NamedTuple):
    """What the way back through SwiGLU gives: the slope of gate and up as rows that their product takes, and the slopes
    of their thin product, of their `up`, and of all of the down projection's `down` [R', F]."""

    rows: Any
    thin: Tensor | None
    up: UpSlopes | None
    down: Tensor | None


class Product(Protocol):
    """A frozen weight [N, D] with its adapters."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def border(self) -> int:
        """Columns to leave free beside x and beside the slope."""
        ...

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """x @ (weight + up @ down).T + bias [T, N], and x @ down.T [T, R].

        x is [T, D + border], its border filled here, or [T, D].
        """
        ...

    def backward(self, slope: Tensor, thin: Tensor | None) -> Slopes:
        """From the slope of `forward`'s result, [T, N + border], its border filled here."""
        ...

    def forward_of_norm(
        self, kernels: ModuleType, x: Tensor, weight: Tensor, eps: float, added: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """`forward` of x [T, D] over its root mean square, times `weight` [D].

        With `added` [T, D] that of x + added, which is written over `added`.
        """
        ...

    def forward_of_swiglu(self, kernels: ModuleType, wide: Tensor) -> tuple[Tensor, Tensor | None]:
        """`forward` of silu(gate) x up, from gate and up side by side, [T, 2D]; `kernels` as `layer.Layer` has it."""
        ...

    def swiglu_slopes(
        self, kernels: ModuleType, dact: Tensor, wide: Tensor, thin: Tensor | None, dthin: Tensor | None
    ) -> SwigluSlopes:
        """From the slope of silu(gate) x up, where `wide` and `thin` are what `forward` gave.

        Args:
            dact: [T, F]; dthin: [T, R'], the slope of the thin product that goes with it, if there is one.
        """
        ...

    def slope_of_x(self, rows: Any) -> Tensor:
        """The rest of `backward` after `swiglu_slopes`: memory can be given back between the two."""
        ...

    def thin_slopes(
        self, slope: Tensor, thin: Tensor | None, border: Tensor | None = None
    ) -> tuple[Tensor | None, UpSlopes | None]:
        """`backward` without the slope of x; slope is [T, N], and `border` [T, border] is filled if given."""
        ...

    def trained(self) -> tuple[Tensor, ...]:
        """The adapters' parameters."""
        ...

    def expire(self) -> None:
        """Says that the adapters may have been written to."""
        ...

    def slopes(self, down: Tensor | None, up: UpSlopes | None) -> list[Tensor]:
        """Those of `trained`, from the slopes of all of `down` [R, D] and of `up`."""
        ...


class Adapter(NamedTuple):
    """The adapter of one layer: down [r, D], up [n, r], and where in the stacked product it lies."""

    down: Tensor
    up: Tensor
    scale: float
    rows: slice
    columns: slice


def ranks_of(adapters: Sequence[Adapter]) -> int:
    """Columns of the border that holds them side by side."""
    return -(-adapters[-1].columns.stop // MULTIPLE) * MULTIPLE if adapters else 0


class Adapted:
    """What the kinds of products share: the adapters of stacked layers, side by side in a border of `ranks` columns."""

    def __init__(self, height: int, width: int, bias: Tensor | None, adapters: tuple[Adapter, ...]):
        self.height, self.width, self.bias, self.adapters = height, width, bias, adapters
        self.ranks = ranks_of(adapters)
        self._seen: tuple = ()

    @property
    def border(self) -> int:
        return 0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError

    def rows_back(self, slope: Tensor, thin: Tensor | None) -> tuple[Any, Tensor | None, UpSlopes | None]:
        """What `slope_of_x` takes, and the slopes of the thin product and of `up`."""
        raise NotImplementedError

    def slope_of_x(self, rows: Any) -> Tensor:
        raise NotImplementedError

    def backward(self, slope: Tensor, thin: Tensor | None) -> Slopes:
        rows, dthin, dup = self.rows_back(slope, thin)
        return Slopes(self.slope_of_x(rows), dthin, dup)

    def forward_of_norm(
        self, kernels: ModuleType, x: Tensor, weight: Tensor, eps: float, added: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if added is None:
            return self.forward(kernels.rms_norm(x, weight, eps, self.border))
        return self.forward(kernels.add_rms_norm(x, added, weight, eps, self.border)[1])

    def forward_of_swiglu(self, kernels: ModuleType, wide: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.forward(kernels.swiglu(wide, self.border))

    def swiglu_slopes(
        self, kernels: ModuleType, dact: Tensor, wide: Tensor, thin: Tensor | None, dthin: Tensor | None
    ) -> SwigluSlopes:
        dwide, act = kernels.swiglu_back(dact, wide, self.border)
        down = None if dthin is None else over_tokens(dthin, act)
        del act
        return SwigluSlopes(*self.rows_back(dwide, thin), down)

    def trained(self) -> tuple[Tensor, ...]:
        return tuple(part for adapter in self.adapters for part in (adapter.down, adapter.up))

    def slopes(self, down: Tensor | None, up: UpSlopes | None) -> list[Tensor]:
        if down is None or up is None:
            return []
        if isinstance(up, Tensor):
            up = tuple(up[adapter.rows, adapter.columns] * adapter.scale for adapter in self.adapters)
        downs = (down[adapter.columns] for adapter in self.adapters)
        return [part for pair in zip(downs, up, strict=True) for part in pair]

    def expire(self) -> None:
        """Has the adapters read anew: fused optimizers write to them without a new version of the tensor."""
        self._seen = ()

    def changed(self) -> bool:
        """Whether an adapter was written to, or replaced, since the last call."""
        now = tuple((part._version, part.data_ptr()) for part in self.trained())
        before, self._seen = self._seen, now
        return now != before

    def place(self, right: Tensor, below: Tensor) -> None:
        """Writes all of `up`, with its scale, into `right` [N, R] and all of `down` into `below` [R, D]."""
        with torch.no_grad():
            for adapter in self.adapters:
                torch.mul(adapter.up, adapter.scale, out=right[adapter.rows, adapter.columns])
                below[adapter.columns] = adapter.down


def thin_pair(
    slope: Tensor, up: Tensor, thin: Tensor, adapters: Sequence[Adapter], border: Tensor | None
) -> tuple[Tensor, UpSlopes]:
    """slope @ up [T, R], written into `border` too if given, and the slopes of `up`: slope.T @ thin."""
    if slope.shape[1] >= WIDE and (own := own_thin("pair", slope)) is not None:
        return own.pair(slope, up, thin, adapters, border)
    dthin = torch.mm(slope, up)
    if border is not None:
        border.copy_(dthin)
    return dthin, over_tokens(slope, thin)


def over_tokens(left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right, of [T, N] and [T, R]; on a GPU in float32 where they have 16 bits."""
    if left.is_cuda and left.itemsize == 2:
        return torch.mm(left.T, right, out_dtype=torch.float32)
    return torch.mm(left.T, right)


class Bordered(Adapted):
    """A product over `whole()`."""

    @property
    def border(self) -> int:
        return self.ranks

    def whole(self) -> Tensor:
        """[N + R, D + R]: the weight, all of `up` with its scale at its right, all of `down` below it.

        Valid until another product's is asked for.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        whole, thin = self.whole(), None
        is_bordered = x.shape[1] > self.width
        if self.ranks:
            thin = torch.mm(x[:, : self.width], whole[self.height :, : self.width].T)
            if is_bordered:
                x[:, self.width :] = thin
        y = self._of_rows(x, whole)
        if thin is not None and not is_bordered:
            y.addmm_(thin, whole[: self.height, self.width :].T)
        return y, thin

    def _of_rows(self, x: Tensor, whole: Tensor) -> Tensor:
        weight = whole[: self.height, : x.shape[1]]
        return torch.mm(x, weight.T) if self.bias is None else torch.addmm(self.bias, x, weight.T)

    def forward_of_swiglu(self, kernels: ModuleType, wide: Tensor) -> tuple[Tensor, Tensor | None]:
        if (own := own_mlp("forward", "bordered", wide, self.adapters)) is None:
            return super().forward_of_swiglu(kernels, wide)
        whole = self.whole()
        x, thin = own.swiglu_bordered(wide, whole[self.height :, : self.width])
        return self._of_rows(x, whole), thin

    def rows_back(self, slope: Tensor, thin: Tensor | None) -> tuple[Tensor, Tensor | None, UpSlopes | None]:
        return slope, *self.thin_slopes(slope[:, : self.height], thin, slope[:, self.height :])

    def swiglu_slopes(
        self, kernels: ModuleType, dact: Tensor, wide: Tensor, thin: Tensor | None, dthin: Tensor | None
    ) -> SwigluSlopes:
        if thin is None or (own := own_mlp("back", "bordered", wide, self.adapters)) is None:
            return super().swiglu_slopes(kernels, dact, wide, thin, dthin)
        up = self.whole()[: self.height, self.width :]
        return SwigluSlopes(*own.back_bordered(dact, wide, thin, dthin, up, self.adapters))

    def slope_of_x(self, rows: Tensor) -> Tensor:
        return torch.mm(rows, self.whole()[:, : self.width])

    def thin_slopes(
        self, slope: Tensor, thin: Tensor | None, border: Tensor | None = None
    ) -> tuple[Tensor | None, UpSlopes | None]:
        if thin is None:
            return None, None
        return thin_pair(slope, self.whole()[: self.height, self.width :], thin, self.adapters, border)


class Stored(Bordered):
    """A bordered weight that stays in memory, [N + R, D + R]."""

    def __init__(self, bordered: Tensor, height: int, bias: Tensor | None, adapters: tuple[Adapter, ...]):
        super().__init__(height, bordered.shape[1] - ranks_of(adapters), bias, adapters)
        self.bordered = bordered

    def whole(self) -> Tensor:
        if self.changed():
            self.place(self.bordered[: self.height, self.width :], self.bordered[self.height :, : self.width])
        return self.bordered


class Coded(Adapted):
    """A product in 8 bits: rows of x and of slopes are quantized here, each by its own largest number.

    Args:
        codes: [N, D] float8 with `scale` float32 [N]; `back_codes` [D, N] with `back_scale` [D], the transposed weight.
        dtype: of results and of the adapters' thin products.

    The adapters' matrices stand beside the codes, in three columns a rank (`fp8`).
    """

    def __init__(self, codes, scale, back_codes, back_scale, bias, adapters: tuple[Adapter, ...], dtype: torch.dtype):
        height, width = codes.shape
        super().__init__(height, width, bias, adapters)
        self.codes, self.scale = _with_room(codes, room_for(self.ranks)), scale
        self.back_codes, self.back_scale = _with_room(back_codes, room_for(self.ranks)), back_scale
        self.up = torch.zeros(height, self.ranks, dtype=dtype, device=codes.device)
        self.down = torch.zeros(self.ranks, width, dtype=dtype, device=codes.device)
        self.dtype = dtype
        self._gain = self._back_gain = scale.new_ones(1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        self._refresh()
        thin = torch.mm(x, self.down.T) if self.ranks else None
        return self._of_codes(*quantize_rows(x, thin, self._gain)), thin

    def _of_codes(self, codes: Tensor, scale: Tensor) -> Tensor:
        return scaled_product(codes, scale, self.codes, self.scale, self.bias, self.dtype)

    def forward_of_norm(
        self, kernels: ModuleType, x: Tensor, weight: Tensor, eps: float, added: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if not self.ranks or (own := own_thin("norm_codes", x)) is None:
            return super().forward_of_norm(kernels, x, weight, eps, added)
        self._refresh()
        rows, thin = own.norm_codes(x, weight, eps, self.down, self._gain, added)
        return self._of_codes(*rows), thin

    def forward_of_swiglu(self, kernels: ModuleType, wide: Tensor) -> tuple[Tensor, Tensor | None]:
        if (own := own_mlp("forward", "coded", wide, self.adapters)) is None:
            return super().forward_of_swiglu(kernels, wide)
        self._refresh()
        rows, thin = own.swiglu_coded(wide, self.down, self._gain)
        return self._of_codes(*rows), thin

    def rows_back(self, slope: Tensor, thin: Tensor | None) -> tuple[Any, Tensor | None, UpSlopes | None]:
        self._refresh()
        dthin, dup = self.thin_slopes(slope, thin)
        return quantize_rows(slope, dthin, self._back_gain), dthin, dup

    def swiglu_slopes(
        self, kernels: ModuleType, dact: Tensor, wide: Tensor, thin: Tensor | None, dthin: Tensor | None
    ) -> SwigluSlopes:
        if thin is None or (own := own_mlp("back", "coded", wide, self.adapters)) is None:
            return super().swiglu_slopes(kernels, dact, wide, thin, dthin)
        self._refresh()
        return SwigluSlopes(*own.back_coded(dact, wide, thin, dthin, self.up, self.adapters, self._back_gain))

    def slope_of_x(self, rows: tuple[Tensor, Tensor]) -> Tensor:
        return scaled_product(*rows, self.back_codes, self.back_scale, None, self.dtype)

    def thin_slopes(
        self, slope: Tensor, thin: Tensor | None, border: Tensor | None = None
    ) -> tuple[Tensor | None, UpSlopes | None]:
        if thin is None:
            return None, None
        self._refresh()
        return thin_pair(slope, self.up, thin, self.adapters, border)

    def _refresh(self) -> None:
        if not self.changed():
            return
        self.place(self.up, self.down)
        beside, back_beside = self.codes[:, self.width :], self.back_codes[:, self.height :]
        if self.ranks and (own := own_thin("codes_beside", self.up)) is not None:
            sides = self.up, self.scale, beside, self.down, self.back_scale, back_beside
            self._gain, self._back_gain = own.codes_beside(*sides)
        elif self.ranks:
            self._gain = codes_with_rest(self.up, self.scale, beside)
            self._back_gain = codes_with_rest(self.down.T, self.back_scale, back_beside)


def _with_room(codes: Any, columns: int) -> Tensor:
    """The codes as the left part of a tensor with so many columns more, all zero."""
    if not columns:
        return codes
    whole = torch.zeros(len(codes), codes.shape[1] + columns, dtype=torch.uint8, device=codes.device)
    whole[:, : codes.shape[1]] = codes.view(torch.uint8)
    return whole.view(codes.dtype)
