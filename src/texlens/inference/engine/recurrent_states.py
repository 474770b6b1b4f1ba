"""The convolution windows and recurrent states of delta nets, by slot.

# L = delta nets, S = slots (and one more, for padding), C = channels, W = width of the convolution, H = value heads
# X, Y = widths of keys and values, B = rows
"""

import torch
from torch import Tensor


class RecurrentStates:
    """
    Args:
        shape: L, C, W, H, X, Y.
        dtype: of the windows; states are float32.
    """

    def __init__(
        self, shape: tuple[int, int, int, int, int, int], slots: int, dtype: torch.dtype, device: torch.device
    ):
        count, channels, width, heads, width_x, width_y = shape
        self.windows_LSCW = torch.zeros(count, slots + 1, channels, width - 1, dtype=dtype, device=device)
        self.states_LSHXY = torch.zeros(
            count, slots + 1, heads, width_x, width_y, dtype=torch.promote_types(dtype, torch.float32), device=device
        )

    def of(self, number: int) -> tuple[Tensor, Tensor]:
        """Windows [slots, C, W - 1] and states [slots, H, X, Y] of one delta net, not copied."""
        return self.windows_LSCW[number], self.states_LSHXY[number]

    def read(self, number: int, slots_B: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of the windows and states of these rows in one delta net."""
        return self.windows_LSCW[number][slots_B], self.states_LSHXY[number][slots_B]

    def write(self, number: int, slots_B: Tensor, window_BCW: Tensor, state_BHXY: Tensor) -> None:
        windows, states = self.windows_LSCW[number], self.states_LSHXY[number]
        windows.index_copy_(0, slots_B, window_BCW.to(windows.dtype))
        states.index_copy_(0, slots_B, state_BHXY.to(states.dtype))

    def copy(self, source_B: Tensor, target_B: Tensor) -> None:
        """What the slots `source_B` have also in `target_B`."""
        for part in (self.windows_LSCW, self.states_LSHXY):
            part.index_copy_(1, target_B, part[:, source_B])

    @property
    def nbytes(self) -> int:
        return self.windows_LSCW.nbytes + self.states_LSHXY.nbytes
