"""Pairs of tokens of two pictures: assigned at the least cost, kept where one shift and scale explains their positions.

T = tokens of the reference, P = tokens of the text, N = pairs, R = candidates of a round.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from rapidfuzz.distance import LCSseq
from scipy.optimize import linear_sum_assignment

from texlens.metrics.cdm.rules import (
    ORDER_COST,
    POSITION_COST,
    SEED,
    STRUCTURE_COST,
    SYNONYM_COST,
    TOKEN_COST,
    Rules,
)
from texlens.metrics.cdm.visible_tokens import Picture, VisibleToken

MAX_CELLS = 1_000_000
"""Cells of the cost matrix; longer pictures are paired in order of their tokens, which is linear in memory."""


def assigned(reference: Picture, text: Picture, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Indices of paired tokens, reference and text, at the least cost in all."""
    if len(reference.tokens) * len(text.tokens) > MAX_CELLS:
        return _in_order(reference, text)
    cost_TP = TOKEN_COST * _token_cost(reference.tokens, text.tokens)
    cost_TP += (POSITION_COST / 4) * _distance(
        reference.boxes_N4 / (reference.size * 2), text.boxes_N4 / (text.size * 2)
    )
    cost_TP += ORDER_COST * np.abs(_order(reference)[:, None] - _order(text)[None, :])
    if rules.fixed:
        cost_TP += STRUCTURE_COST * _differ(
            [token.scripts for token in reference.tokens], [token.scripts for token in text.tokens]
        )
    return linear_sum_assignment(cost_TP)


def explained(reference_N2: np.ndarray, text_N2: np.ndarray, rules: Rules) -> np.ndarray:
    """Which pairs of centers a translation with one scale explains, `[N]`; in rounds over the pairs not yet explained.

    RANSAC (Fischler and Bolles 1981) as the authors call it, with candidates that are the same every time: all of
    them where there are no more than `trials`.
    """
    kept_N = np.ones(len(reference_N2), dtype=bool)
    if len(reference_N2) <= rules.samples:
        return kept_N
    kept_N[:] = False
    for _ in range(rules.rounds):
        left = np.flatnonzero(~kept_N)
        if len(left) <= rules.samples:
            break
        inlier_N = _consensus(reference_N2[left], text_N2[left], rules)
        if not inlier_N.any():
            break
        kept_N[left[inlier_N]] = True
    return kept_N


def centers(boxes_N4: np.ndarray) -> np.ndarray:
    return (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2


def _consensus(reference_N2: np.ndarray, text_N2: np.ndarray, rules: Rules) -> np.ndarray:
    """The largest set of pairs that a candidate explains; of equally large ones that with the smallest residuals."""
    chosen_RS = _candidates(len(reference_N2), rules.samples, rules.trials)
    source, target = reference_N2[chosen_RS], text_N2[chosen_RS]
    source_center, target_center = source.mean(axis=1), target.mean(axis=1)
    spread = np.linalg.norm(source - source_center[:, None], axis=2).mean(axis=1)
    scale_R = np.linalg.norm(target - target_center[:, None], axis=2).mean(axis=1) / (spread + 1e-10)
    middle = reference_N2.mean(axis=0)
    moved = scale_R[:, None, None] * (reference_N2 - middle)[None] + middle + (target_center - source_center)[:, None]
    squares_RN = ((moved - text_N2[None]) ** 2).sum(axis=2)
    inlier_RN = squares_RN < rules.residual_px**2
    counts = inlier_RN.sum(axis=1)
    largest = np.flatnonzero(counts == counts.max())
    return inlier_RN[largest[squares_RN[largest].sum(axis=1).argmin()]]


@lru_cache(maxsize=1024)
def _candidates(pairs: int, samples: int, trials: int) -> np.ndarray:
    if comb(pairs, samples) <= trials:
        return np.array(list(combinations(range(pairs), samples)))
    generator = np.random.default_rng(SEED)
    return np.array([generator.choice(pairs, samples, replace=False) for _ in range(trials)])


def _token_cost(reference: Sequence[VisibleToken], text: Sequence[VisibleToken]) -> np.ndarray:
    differ = _differ([token.name for token in reference], [token.name for token in text])
    look_unlike = _differ([token.look for token in reference], [token.look for token in text])
    return np.where(differ & ~look_unlike, SYNONYM_COST, differ)


def _differ(reference: list, text: list) -> np.ndarray:
    ids: dict = {}
    numbers = [np.array([ids.setdefault(value, len(ids)) for value in values]) for values in (reference, text)]
    return numbers[0][:, None] != numbers[1][None, :]


def _distance(reference_T4: np.ndarray, text_P4: np.ndarray) -> np.ndarray:
    total = np.zeros((len(reference_T4), len(text_P4)))
    for side in range(4):
        total += np.abs(reference_T4[:, side, None] - text_P4[None, :, side])
    return total


def _order(picture: Picture) -> np.ndarray:
    return np.arange(len(picture.tokens)) / len(picture.tokens)


def _in_order(reference: Picture, text: Picture) -> tuple[np.ndarray, np.ndarray]:
    blocks = LCSseq.opcodes([token.look for token in reference.tokens], [token.look for token in text.tokens])
    same = [block for block in blocks if block.tag == "equal"]
    rows = [np.arange(block.src_start, block.src_end) for block in same]
    columns = [np.arange(block.dest_start, block.dest_end) for block in same]
    return np.concatenate([*rows, np.zeros(0, int)]), np.concatenate([*columns, np.zeros(0, int)])
