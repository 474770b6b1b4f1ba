"""The load-balancing loss of MoE-LoRA's routers, and how much each expert is used.

    loss = mean over layers of  E * sum_e f_e P_e

P_e is the mean probability of expert e over the tokens, f_e the mean share of the token that it was given: its gate
with a dense softmax, 1 / k for each of the k chosen with top-k. The loss is 1 where all experts are used alike and E
where one is used alone (Fedus et al. 2021, Switch Transformers, arXiv:2101.03961, equations 4 to 6; there k = 1).
With top-k, f counts choices and has no gradient.

Padding takes no part: the attention mask says which tokens are there.

# B = rows, L = places in a row, E = experts
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RouterLog:
    """Gathers, from all layers of one forward pass, the balance loss, and over many passes the use of experts.

    Open only inside `passing`, in training: layers that gradient checkpointing computes again in the backward pass do
    the same work (it must repeat every operation) and leave nothing here.
    """

    def __init__(self):
        self.names: dict[int, str] = {}
        self._mask: Tensor | None = None
        self._open = False
        self._losses: list[Tensor] = []
        self._use: dict[str, Tensor] = {}

    @contextmanager
    def passing(self, mask: Tensor | None, training: bool = True) -> Iterator[None]:
        """Around one forward pass; `mask` (`[B, L]`, or `[T]` of a pack): which tokens are there, None for all."""
        self._mask = mask if isinstance(mask, Tensor) and mask.ndim <= 2 else None
        self._open, self._losses = training, []
        try:
            yield
        finally:
            self._open = False

    def add(self, layer: nn.Module, probabilities: Tensor, gates: Tensor) -> None:
        """Takes one layer's `[..., E]` probabilities and gates."""
        weights = self._weights(probabilities, self.names.get(id(layer), ""))
        given = gates if gates is probabilities else (gates > 0).float()
        loss = balance_loss(probabilities, given, weights)
        if not self._open:
            return
        self._losses.append(loss)
        used = (gates.detach() * weights.unsqueeze(-1)).flatten(0, -2).sum(0)
        name = self.names.get(id(layer), "?")
        self._use[name] = self._use[name] + used if name in self._use else used

    def _weights(self, probabilities: Tensor, layer: str) -> Tensor:
        """1 for every token that counts; in the vision tower every patch does."""
        places = probabilities.shape[:-1]
        if self._mask is not None and self._mask.shape == places and ".visual." not in layer:
            return self._mask.to(probabilities.dtype)
        return torch.ones(places, dtype=probabilities.dtype, device=probabilities.device)

    def loss(self) -> Tensor | None:
        """Of the last forward pass, the mean over its layers; None where no layer took part."""
        return torch.stack(self._losses).mean() if self._losses else None

    def take_use(self) -> dict[str, list[float]]:
        """Each layer's share of tokens by expert since the last call, as sums of gates over their total."""
        use = {name: (sums / sums.sum().clamp(min=1e-9)).tolist() for name, sums in self._use.items()}
        self._use = {}
        return use


def balance_loss(probabilities: Tensor, given: Tensor, weights: Tensor) -> Tensor:
    """
    Example:
        two experts, all tokens to the first: probabilities [[1, 0], [1, 0]], given the same -> 2.0
    """
    flat, shares, weights = probabilities.flatten(0, -2), given.flatten(0, -2), weights.flatten()
    count = weights.sum().clamp(min=1.0)
    mean = (flat * weights.unsqueeze(-1)).sum(0) / count
    fraction = (shares * weights.unsqueeze(-1)).sum(0) / count
    fraction = fraction / fraction.sum().clamp(min=1e-9)
    return flat.shape[-1] * (fraction * mean).sum()
