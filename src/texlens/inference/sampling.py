"""How a token is chosen: settings of a row, and the choice for all rows of a batch at once.

Legend: B = rows of the batch, V = vocabulary, D = rows of them that are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """`temperature` None takes the likeliest token; else one is drawn, of those that make up the first `top_p`.

    `top_logprobs` counts the alternatives that are noted of each token.
    """

    max_new_tokens: int = 512
    temperature: float | None = None
    top_p: float = 1.0
    top_logprobs: int = 0
    repetition_guard: bool = True


Alternatives = list[list[tuple[int, float]]]


def pick(
    logits_BV: Tensor, samplings: Sequence[Sampling], generators: Sequence[torch.Generator | None]
) -> tuple[Tensor, list[float], Alternatives]:
    """A token for each row, its natural log-probability under the model's own distribution, and the likeliest ones."""
    log_probabilities_BV = logits_BV.float().log_softmax(-1)
    tokens_B = log_probabilities_BV.argmax(-1)
    for places in _drawn_together(samplings, generators):
        first = samplings[places[0]]
        scaled_DV = log_probabilities_BV[places] / (first.temperature or 1.0)
        tokens_B[places] = draw(scaled_DV, first.top_p, generators[places[0]])
    chosen = log_probabilities_BV.gather(1, tokens_B[:, None])[:, 0].tolist()
    return tokens_B, chosen, _alternatives(log_probabilities_BV, samplings)


def draw(scaled_DV: Tensor, top_p: float, generator: torch.Generator | None) -> Tensor:
    """A token of each row, from the smallest set of likeliest tokens that holds `top_p` of the probability."""
    probabilities_DV = scaled_DV.softmax(-1)
    if top_p < 1:
        ordered_DV, order_DV = probabilities_DV.sort(-1, descending=True)
        beyond_DV = ordered_DV.cumsum(-1) - ordered_DV >= top_p
        beyond_DV[:, 0] = False
        probabilities_DV = probabilities_DV.masked_fill(torch.zeros_like(beyond_DV).scatter(1, order_DV, beyond_DV), 0)
    return torch.multinomial(probabilities_DV, 1, generator=generator)[:, 0]


def _drawn_together(samplings: Sequence[Sampling], generators: Sequence[torch.Generator | None]) -> list[list[int]]:
    """Places of the rows that are drawn, grouped by what they are drawn with."""
    groups: dict[tuple, list[int]] = {}
    for place, (sampling, generator) in enumerate(zip(samplings, generators, strict=True)):
        if sampling.temperature:
            groups.setdefault((sampling.temperature, sampling.top_p, id(generator)), []).append(place)
    return list(groups.values())


def _alternatives(log_probabilities_BV: Tensor, samplings: Sequence[Sampling]) -> Alternatives:
    most = max((sampling.top_logprobs for sampling in samplings), default=0)
    if not most:
        return [[] for _ in samplings]
    values, tokens = (found.tolist() for found in log_probabilities_BV.topk(min(most, log_probabilities_BV.shape[1])))
    return [
        list(zip(tokens[row], values[row], strict=True))[: sampling.top_logprobs]
        for row, sampling in enumerate(samplings)
    ]
