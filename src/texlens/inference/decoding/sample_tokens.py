"""The next token of every row of a batch, each row by its own `Sampling`.

Legend: B = rows of the batch, V = vocabulary, D = the rows of them that are sampled together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from texlens.inference.decoding.grammar import CANDIDATES, RowGrammar
from texlens.inference.decoding.sampling import Sampling

MIN_TEMPERATURE = 1e-3
"""Lower ones are computed as this: the logits divided by less could overflow, and the most probable token is already
e^1000 times as probable as one that is a nat less so."""

Alternatives = list[list[tuple[int, float]]]
"""Of each row its most probable tokens with their natural log-probabilities."""


def sample_tokens(
    logits_BV: Tensor,
    samplings: Sequence[Sampling],
    generators: Sequence[torch.Generator | None],
    generated: Sequence[Sequence[int]] | None = None,
    grammars: Sequence[RowGrammar | None] = (),
) -> tuple[Tensor, list[float], Alternatives]:
    """A token for each row [B], its natural log-probability under the model's own distribution, and alternatives.

    A row whose logits hold NaN or +Inf has the log-probability NaN and any token; the other rows are not affected.

    Args:
        generated: tokens that each row has generated so far; needed where a row has a repetition penalty.
        grammars: of each row, what refuses tokens; none of them is advanced here.
    """
    log_probabilities_BV = logits_BV.float().log_softmax(-1)
    penalized_BV = _penalized(log_probabilities_BV, logits_BV, samplings, generated)
    tokens_B = penalized_BV.argmax(-1)
    for rows in _sampled_together(samplings, generators):
        tokens_B[rows] = draw(penalized_BV[rows], samplings[rows[0]], generators[rows[0]])
    if any(grammars):
        tokens_B = _grammatical(tokens_B, penalized_BV, grammars)
    chosen = log_probabilities_BV.gather(1, tokens_B[:, None])[:, 0].tolist()
    return tokens_B, chosen, _alternatives(log_probabilities_BV, samplings)


def _grammatical(tokens_B: Tensor, scores_BV: Tensor, grammars: Sequence[RowGrammar | None]) -> Tensor:
    """The tokens [B], those that a row's grammar refuses replaced by the most probable accepted ones."""
    tokens = tokens_B.tolist()
    refused = [row for row, grammar in enumerate(grammars) if grammar is not None and not grammar.accepts(tokens[row])]
    if not refused:
        return tokens_B
    likeliest = scores_BV[refused].topk(min(CANDIDATES, scores_BV.shape[1])).indices.tolist()
    for row, candidates in zip(refused, likeliest, strict=True):
        grammar = grammars[row]
        assert grammar is not None
        tokens[row] = grammar.choose(candidates)
    return tokens_B.new_tensor(tokens)


def draw(scores_DV: Tensor, sampling: Sampling, generator: torch.Generator | None) -> Tensor:
    """A token for each row [D], drawn from the distribution that temperature, top_k, top_p and min_p leave."""
    scores_DV = scores_DV.masked_fill(scores_DV.isnan(), 0)
    scaled_DV = scores_DV / max(sampling.temperature or 1.0, MIN_TEMPERATURE)
    return torch.multinomial(truncated(scaled_DV.softmax(-1), sampling), 1, generator=generator)[:, 0]


def truncated(probabilities_DV: Tensor, sampling: Sampling) -> Tensor:
    """The probabilities with 0 for tokens that top_k, top_p or min_p drop; the most probable token always stays."""
    if 0 < sampling.top_k < probabilities_DV.shape[1]:
        kth_D1 = probabilities_DV.topk(sampling.top_k).values[:, -1:]
        probabilities_DV = probabilities_DV.masked_fill(probabilities_DV < kth_D1, 0)
    if sampling.top_p < 1:
        ordered_DV, order_DV = probabilities_DV.sort(-1, descending=True)
        beyond_DV = ordered_DV.cumsum(-1) - ordered_DV >= sampling.top_p
        beyond_DV[:, 0] = False
        probabilities_DV = probabilities_DV.masked_fill(torch.zeros_like(beyond_DV).scatter(1, order_DV, beyond_DV), 0)
    if sampling.min_p > 0:
        least_D1 = sampling.min_p * probabilities_DV.max(-1, keepdim=True).values
        probabilities_DV = probabilities_DV.masked_fill(probabilities_DV < least_D1, 0)
    return probabilities_DV


def _penalized(
    log_probabilities_BV: Tensor,
    logits_BV: Tensor,
    samplings: Sequence[Sampling],
    generated: Sequence[Sequence[int]] | None,
) -> Tensor:
    """Scores to choose by: the log-probabilities, and the penalized logits of rows that have a repetition penalty."""
    penalized = [row for row, sampling in enumerate(samplings) if sampling.repetition_penalty != 1.0]
    if not penalized or generated is None:
        return log_probabilities_BV
    scores_BV = log_probabilities_BV.clone()
    for row in penalized:
        scores_V = logits_BV[row].float().clone()
        used = torch.tensor(sorted(set(generated[row])), dtype=torch.long, device=scores_V.device)
        penalty = samplings[row].repetition_penalty
        scores_V[used] = torch.where(scores_V[used] > 0, scores_V[used] / penalty, scores_V[used] * penalty)
        scores_BV[row] = scores_V
    return scores_BV


def _sampled_together(samplings: Sequence[Sampling], generators: Sequence[torch.Generator | None]) -> list[list[int]]:
    """Rows that are not greedy, grouped by what they are drawn with."""
    groups: dict[tuple, list[int]] = {}
    for row, (sampling, generator) in enumerate(zip(samplings, generators, strict=True)):
        if not sampling.is_greedy:
            key = (sampling.temperature, sampling.top_p, sampling.min_p, sampling.top_k, id(generator))
            groups.setdefault(key, []).append(row)
    return list(groups.values())


def _alternatives(log_probabilities_BV: Tensor, samplings: Sequence[Sampling]) -> Alternatives:
    count = max((sampling.top_logprobs for sampling in samplings), default=0)
    if not count:
        return [[] for _ in samplings]
    top = log_probabilities_BV.topk(min(count, log_probabilities_BV.shape[1]))
    values, tokens = top.values.tolist(), top.indices.tolist()
    return [
        list(zip(tokens[row], values[row], strict=True))[: sampling.top_logprobs]
        for row, sampling in enumerate(samplings)
    ]
