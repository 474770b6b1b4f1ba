"""The load-balancing loss of MoE-LoRA's routers, and how much each expert is used.

    loss = mean over layers of  E * sum_e f_e P_e

P_e is the mean probability of expert e over the tokens, f_e the mean share of the token that it was given: its gate
with a dense softmax, 1 / k for each of the k chosen with top-k. The loss is 1 where all experts are used alike and E
where one is used alone (Fedus et al. 2021, Switch Transformers, arXiv:2101.03961, equations 4 to 6; there k = 1).
With top-k, f counts choices and has no gradient.

Padding is left out: the attention mask says which positions are tokens.

# B = rows, L = positions of a row, T = tokens, E = experts, N = layers
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Utilization = dict[tuple[str, ...], Tensor]
"""By the names of layers, sums of their gates over tokens [N, E]."""


class RouterLog:
    """Collects, from all layers of one forward pass, the balance loss, and over many passes the expert utilization.

    Records only inside `recording`, in training: layers that gradient checkpointing recomputes in the backward pass do
    the same work (it must repeat every operation) and record nothing. A layer records E numbers, and the loss is
    computed for all layers at once: on a GPU a layer's own small operations would cost more than its matrix products.
    """

    def __init__(self):
        self.names: dict[int, str] = {}
        self._mask: Tensor | None = None
        self._is_recording = False
        self._weights_by_shape: dict[tuple, tuple[Tensor, Tensor]] = {}
        self._layers: list[tuple[str, Tensor, Tensor, Tensor, Tensor]] = []
        self._use: Utilization = {}
        self._last_loss: Tensor | None = None

    @contextmanager
    def recording(self, mask: Tensor | None, training: bool = True) -> Iterator[None]:
        """Around one forward pass; `mask` (`[B, L]`, or `[T]` of a pack) is True for tokens, None means all."""
        self._mask = mask if isinstance(mask, Tensor) and mask.ndim <= 2 else None
        self._is_recording, self._layers, self._weights_by_shape = training, [], {}
        self._last_loss = None
        try:
            yield
        finally:
            self._is_recording = False
            self._accumulate()

    def add(self, layer: nn.Module, probabilities: Tensor, gates: Tensor) -> None:
        """Records one layer's `[..., E]` probabilities and gates."""
        name = self.names.get(id(layer), "?")
        weights_T, count = self._weights(probabilities, name)
        chance_E = weights_T @ probabilities.flatten(0, -2)
        if gates is probabilities:
            assigned_E = used_E = chance_E
        else:
            assigned_E = weights_T @ (gates > 0).to(weights_T.dtype).flatten(0, -2)
            used_E = weights_T @ gates.detach().flatten(0, -2)
        if self._is_recording:
            self._layers.append((name, chance_E, assigned_E, used_E.detach(), count))

    def _weights(self, probabilities: Tensor, layer: str) -> tuple[Tensor, Tensor]:
        """1 for every token that counts, and their number; in the vision tower every patch does."""
        shape = probabilities.shape[:-1]
        masked = self._mask is not None and self._mask.shape == shape and ".visual." not in layer
        key = (shape, masked, probabilities.device)
        if key not in self._weights_by_shape:
            weights = self._mask.to(probabilities.dtype) if masked and self._mask is not None else None
            weights = probabilities.new_ones(shape) if weights is None else weights
            self._weights_by_shape[key] = (weights.flatten(), weights.sum().clamp(min=1.0))
        return self._weights_by_shape[key]

    def _accumulate(self) -> None:
        if self._layers:
            names = tuple(layer[0] for layer in self._layers)
            self.add_use({names: torch.stack([layer[3] for layer in self._layers])})

    def add_use(self, use: Utilization) -> None:
        """Adds what another pass used."""
        for names, used_NE in use.items():
            self._use[names] = self._use[names] + used_NE if names in self._use else used_NE.clone()

    def take_use(self) -> Utilization:
        """The sums of the passes so far, which are forgotten here."""
        use, self._use = self._use, {}
        return use

    @contextmanager
    def separately(self) -> Iterator[None]:
        """What is used inside does not count among the sums outside, and `last_loss` is that of a pass outside."""
        use, last_loss = self.take_use(), self._last_loss
        try:
            yield
        finally:
            self._use, self._last_loss = use, last_loss

    def loss(self) -> Tensor | None:
        """Of the last forward pass, the mean over its layers; None if no layer recorded anything."""
        if not self._layers:
            return None
        _, chances, assigned, _, counts = zip(*self._layers, strict=True)
        loss = balance_loss(torch.stack(chances), torch.stack(assigned), torch.stack(counts))
        self._last_loss = loss.detach()
        return loss

    def last_loss(self) -> Tensor | None:
        """The value of `loss`, without gradients; it is kept by `forget_layers`."""
        if self._last_loss is None:
            self.loss()
        return self._last_loss

    def set_last_loss(self, loss: Tensor | None) -> None:
        """For a pass that was replayed, and so recorded nothing here."""
        self._last_loss = loss

    def forget_layers(self) -> None:
        """Frees the last pass's autograd graph; after this `loss` is None, and `last_loss` has its value."""
        self.last_loss()
        self._layers = []

    def pop_utilization(self) -> dict[str, list[float]]:
        """Each layer's share of tokens by expert since the last call: sums of gates over their total."""
        total: dict[str, Tensor] = {}
        for names, used_NE in self._use.items():
            for name, used_E in zip(names, used_NE.cpu(), strict=True):
                total[name] = total[name] + used_E if name in total else used_E
        self._use = {}
        return {name: (sums / sums.sum().clamp(min=1e-9)).tolist() for name, sums in total.items()}


def balance_loss(chance_NE: Tensor, assigned_NE: Tensor, counts_N: Tensor) -> Tensor:
    """The mean over layers, from sums over tokens: of probabilities and of assigned shares; and the number of tokens.

    Example:
        one layer, two experts, two tokens, both to the first: [[2, 0]], [[2, 0]], [2] -> 2.0
    """
    mean_NE = chance_NE / counts_N.unsqueeze(-1)
    fraction_NE = assigned_NE / assigned_NE.sum(-1, keepdim=True).clamp(min=1e-9)
    return (chance_NE.shape[-1] * (fraction_NE * mean_NE).sum(-1)).mean()
