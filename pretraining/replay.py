"""Earlier packs trained on once more, in other ink: while the generators draw the next pack, the GPU need not wait.

# P = image patches of a pack, N = samples
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

MOST_PACKS = 384
"""Packs, of about 6 MB each, that stay on the device."""


READY_PACKS = 4


class PacksAhead:
    """The packs of a loader, taken from it by a thread; `is_ready` says whether the next one is there already.

    An error of the loader is raised where its pack would come.
    """

    def __init__(self, loader: Iterable[dict[str, Tensor]]):
        self._loader, self._thread = iter(loader), ThreadPoolExecutor(1)
        self._coming = deque(self._next() for _ in range(READY_PACKS))

    @property
    def is_ready(self) -> bool:
        return self._coming[0].done()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while (pack := self._coming.popleft().result()) is not None:
            self._coming.append(self._next())
            yield pack

    def _next(self) -> Future[dict[str, Tensor] | None]:
        return self._thread.submit(next, self._loader, None)


class Replay:
    """Keeps the last `most` packs; `again()` gives one of them with its images in other ink.

    A pack comes back only once `most` / 2 newer ones have been trained on, so that it is not answered from memory.
    """

    def __init__(self, seed: int, most: int = MOST_PACKS):
        self.packs: deque[dict[str, Tensor]] = deque(maxlen=most)
        self.random = torch.Generator().manual_seed(seed)

    def keep(self, pack: dict[str, Tensor]) -> None:
        self.packs.append(pack)

    def again(self) -> dict[str, Tensor] | None:
        """A pack of the older half; None until the buffer is full."""
        if len(self.packs) < (self.packs.maxlen or 0):
            return None
        number = int(torch.randint(len(self.packs) // 2, (1,), generator=self.random))
        pack = self.packs[number]
        seed = int(torch.randint(2**31, (1,), generator=self.random))
        return pack | {"patches": other_ink(pack["patches"], pack["image_ends"], seed)}


def other_ink(patches: Tensor, image_ends: Tensor, seed: int) -> Tensor:
    """Gray patches [P, 64] (uint8) with another contrast, level, stroke weight (gamma) and grain for each image.

    Args:
        image_ends: bounds [N + 1] of the images in `patches`.
    """
    random = torch.Generator(patches.device).manual_seed(seed)
    drawn = torch.rand(5, len(image_ends), device=patches.device, generator=random)
    contrast, level = 1 - 0.3 * drawn[0], 0.1 * drawn[1]
    gamma, grain = torch.exp(0.8 * drawn[2] - 0.4), 0.06 * drawn[3] * (drawn[4] < 0.4)
    image = torch.bucketize(torch.arange(len(patches), device=patches.device), image_ends[1:].long(), right=True)
    per_patch = torch.stack([contrast, level, gamma, grain])[:, image.clamp(max=len(image_ends) - 1), None]
    ink = (1 - patches.float() / 255) ** per_patch[2] * per_patch[0]
    noise = torch.randn(patches.shape, device=patches.device, generator=random) * per_patch[3]
    return ((1 - per_patch[1] * (per_patch[0] < 0.9) - ink + noise).clamp(0, 1) * 255).round().to(torch.uint8)
